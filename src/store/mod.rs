//! What we own: journal, spool, quarantine, records.
//!
//! ```text
//!  commit ─► change ─► journal (one thread: write, fdatasync, for all who wait) ─► state (rows in memory) ─► Ok
//!            └ large messages: files (journal/large/, synced) ┘        │
//!                                                                      ▼ some seconds later, for what is still here
//!  index (sled) ◄── checkpoint (one thread): spool/ID.eml + ID.json, quarantine/AREA/ID.eml + ID.json ─► segment free
//!
//!  open: shelf (the files) + replay (the journal) ─► recover ─► state
//!  records: records/YYYY-MM-DD.jsonl, one write(2) per call
//! ```
//!
//! The store never knows what a finding means. It promises: what [`Store::commit`] has answered `Ok` to survives a crash of the
//! process and of the machine, whole, and all changes of one commit or none. `quarantine/README.md` tells people the layout.

pub mod crash;

mod change;
mod checkpoint;
mod damage;
mod disk;
mod error;
mod files;
mod fill;
mod frame;
mod index;
mod journal;
mod layout;
mod read;
mod records;
mod recover;
mod replay;
mod segment;
mod settings;
mod shelf;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod verify;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};

pub use change::Change;
pub use damage::Damaged;
pub use error::StoreError;
pub use index::IndexState;
pub use read::Depth;
pub use records::Scanned;
pub use recover::{Recovery, TornTail};
pub use settings::{JournalSettings, Settings};
pub use verify::{Tally, Verified};

use change::{Message, Pending};
use checkpoint::{Scope, Wake};
use disk::Disk;
use files::OwnFile;
use fill::Task;
use index::{Index, Opener};
use journal::{Order, Request, Writer};
use layout::Layout;
use records::Records;
use recover::How;
use segment::Pool;
use shelf::Shelf;
use state::State;

/// Large messages that are written to files of their own at the same time.
const LARGE_WRITERS: usize = 4;

/// What callers, writer and checkpoint share.
struct Shared {
    disk: Arc<Disk>,
    layout: Layout,
    journal: JournalSettings,
    pool: Pool,
    state: Mutex<State>,
    index: Index,
    /// From so many entries in files on, the index is kept.
    index_from: usize,
    wake: Wake,
    /// Held by the checkpoint round that runs.
    rounds: Mutex<()>,
    /// The start has left entries to be read later.
    late: bool,
    /// New changes have a higher sequence than this.
    floor: AtomicU64,
    /// It may be written to.
    writes: bool,
    closing: AtomicBool,
    /// When a commit was last refused because the disk was full, in seconds since 1970; 0 for never.
    full_at: AtomicI64,
    filler: Mutex<Option<JoinHandle<()>>>,
    /// Damage that was found after the start, and nobody has taken yet.
    damaged: Mutex<Vec<Damaged>>,
    damage: Notify,
    /// How many messages of how many are verified.
    verifying: (AtomicUsize, AtomicUsize),
}

/// How a store is opened; tests have it otherwise.
struct Opening {
    disk: Arc<Disk>,
    /// How long entries are read before mail is accepted; what is not read then is read while mail goes on.
    time: Duration,
    sled: Opener,
    /// How long sled may take.
    patience: Option<Duration>,
}

impl Default for Opening {
    fn default() -> Self {
        Self { disk: Arc::default(), time: Duration::from_secs(2), sled: index::SLED, patience: None }
    }
}

/// The open store. Cheap to share (`Arc`); ends its threads when dropped, [`Store::close`] also writes everything to plain files.
pub struct Store {
    shared: Arc<Shared>,
    records: Records,
    settings: Settings,
    orders: Option<mpsc::Sender<Order>>,
    large: Semaphore,
    threads: Mutex<Vec<JoinHandle<()>>>,
    closed: AtomicBool,
    /// The records and the entries were brought together since the last end of the process.
    reconciled: AtomicBool,
    /// The lock on the data directory, until closed.
    lock: Mutex<Option<File>>,
}

impl Store {
    /// Opens the store in `dir`, making it if need be, and takes the lock on it. Reads files and journal; blocks while it does.
    pub fn open(dir: &Path, settings: &Settings) -> Result<(Arc<Self>, Recovery), StoreError> {
        Self::open_with(dir, settings, &JournalSettings::default())
    }

    /// [`Self::open`] with `[journal]` settings.
    pub fn open_with(dir: &Path, settings: &Settings, journal: &JournalSettings) -> Result<(Arc<Self>, Recovery), StoreError> {
        Self::open_as(Opening::default(), dir, settings, journal)
    }

    /// How long ago a commit was refused because the disk was full; `None` if none was.
    pub fn full_ago(&self) -> Option<Duration> {
        let at = Timestamp::from_second(self.shared.full_at.load(Ordering::Relaxed)).ok().filter(|at| *at != Timestamp::UNIX_EPOCH)?;
        Duration::try_from(Timestamp::now().duration_since(at)).ok()
    }

    /// Whether records and entries were brought together since the last end of the process. Before that, the last of them may disagree:
    /// a process that is killed can have written one and not the other.
    pub fn is_reconciled(&self) -> bool {
        self.reconciled.load(Ordering::Acquire)
    }

    /// Says that they were.
    pub fn reconciled(&self) {
        self.reconciled.store(true, Ordering::Release);
    }

    /// Opens what another gateway left, for reading: changes nothing on disk, and refuses changes. A running gateway has the lock.
    pub fn open_read_only(dir: &Path, settings: &Settings) -> Result<(Arc<Self>, Recovery), StoreError> {
        let begun = Instant::now();
        let (opening, layout, journal) = (Opening::default(), Layout::new(dir), JournalSettings::default());
        let lock = layout.lock(false)?;
        let how = How { memory: journal.memory.0, lines: Default::default(), time: opening.time, write: false };
        let found = recover::run(&opening.disk, &layout, Shelf::list(&layout)?, how)?;
        let recovery = Recovery { took: begun.elapsed(), ..found.recovery };
        let pool = Pool::new(opening.disk.clone(), layout.clone(), journal.segment_size.0, 0, found.sealed, found.free, found.names);
        let shared = Shared::new(&opening, layout, journal, pool, found.state, false, usize::MAX);
        Ok((Arc::new(Self::new(Arc::new(shared), settings, None, Vec::new(), lock)?), recovery))
    }

    fn open_as(opening: Opening, dir: &Path, settings: &Settings, journal: &JournalSettings) -> Result<(Arc<Self>, Recovery), StoreError> {
        settings.validate()?;
        journal.validate()?;
        let (begun, layout, disk) = (Instant::now(), Layout::new(dir), opening.disk.clone());
        layout.create(&disk)?;
        let lock = layout.lock(true)?;
        let shelf = Shelf::list(&layout)?;
        let index = Index::new(layout.index(), opening.sled, opening.patience);
        let wanted = shelf.files.len() >= settings.index_from;
        let (lines, index_rebuilt) = if wanted { index.load() } else { Default::default() };
        let how = How { memory: journal.memory.0, lines, time: opening.time, write: true };
        let found = recover::run(&disk, &layout, shelf, how)?;
        index.remove(found.stale);
        let pool = Pool::new(disk, layout.clone(), journal.segment_size.0, journal.segments, found.sealed, found.free, found.names);
        pool.release(found.state.horizon());
        while pool.is_dry() {
            // On a full disk we start all the same: what is delivered makes room.
            match pool.grow() {
                Err(StoreError::Full) => break,
                made => made?,
            }
        }
        let sequence = found.state.last();
        let shared = Shared::new(&opening, layout, journal.clone(), pool, found.state, true, settings.index_from);
        let shared = Arc::new(Shared { index, ..shared });
        let writer = Writer::new(shared.clone(), found.ordinal, sequence, found.last);
        let (orders, queue) = mpsc::channel(journal::QUEUE);
        let (one, two) = (shared.clone(), shared.clone());
        let threads = vec![
            spawn("journal", move || writer.run(queue))?,
            spawn("checkpoint", move || checkpoint::run(&one))?,
            spawn("segments", move || two.pool.prepare())?,
        ];
        let recovery = Recovery { took: begun.elapsed(), index_rebuilt, ..found.recovery };
        recovery.log(dir);
        if wanted || recovery.unread > 0 {
            shared.fill(Task { unindexed: found.unindexed, afresh: recovery.index_rebuilt.is_some() })?;
        }
        Ok((Arc::new(Self::new(shared, settings, Some(orders), threads, lock)?), recovery))
    }

    fn new(
        shared: Arc<Shared>,
        settings: &Settings,
        orders: Option<mpsc::Sender<Order>>,
        threads: Vec<JoinHandle<()>>,
        lock: File,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            records: Records::new(shared.disk.clone(), &shared.layout),
            shared,
            settings: settings.clone(),
            orders,
            large: Semaphore::new(LARGE_WRITERS),
            threads: Mutex::new(threads),
            closed: AtomicBool::new(false),
            reconciled: AtomicBool::new(false),
            lock: Mutex::new(Some(lock)),
        })
    }

    /// Makes the changes durable, all or none: when it returns `Ok`, they are synced. On `Err` none of them was made.
    ///
    /// [`StoreError::Missing`] if an `Update` is about an entry that is not there. If the future is dropped before it is done, the
    /// changes may have been made or not.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let begun = Instant::now();
        let done = self.log(changes, true).await;
        metrics::histogram!("mailweir_store_commit_seconds").record(begun.elapsed().as_secs_f64());
        done
    }

    /// Writes the changes in order, without waiting for a sync: after a crash of the machine they may be lost. For marks whose loss
    /// costs a duplicate, not a message.
    pub async fn note(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        self.log(changes, false).await
    }

    async fn log(&self, changes: Vec<Change>, sync: bool) -> Result<(), StoreError> {
        let orders = self.orders.as_ref().ok_or(StoreError::ReadOnly)?;
        if self.closed.load(Ordering::Acquire) {
            return Err(StoreError::Closed);
        }
        let (changes, own) = self.prepare(changes).await?;
        let payload = change::encode(&changes).map_err(|e| StoreError::Damaged { what: format!("an entry that has no JSON form: {e}") })?;
        let (answer, answered) = oneshot::channel();
        orders.send(Order::Write(Request { changes, payload, own, sync, answer })).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Checks the changes, and gives large messages files of their own.
    async fn prepare(&self, changes: Vec<Change>) -> Result<(Vec<Pending>, Vec<OwnFile>), StoreError> {
        let (mut pending, mut own) = (Vec::with_capacity(changes.len()), Vec::new());
        // What is too much for one record together goes to files too.
        let mut room = (self.shared.journal.segment_size.0 / 2).max(self.shared.journal.own_file.0);
        for change in changes {
            self.shared.adopt(change.key());
            pending.push(match change {
                Change::Put { entry, bytes } => {
                    change::check(&entry)?;
                    let size = bytes.len() as u64;
                    let message = if size <= self.shared.journal.own_file.0.min(room) {
                        room -= size;
                        Message::Inline(bytes)
                    } else {
                        let file = self.write_large(entry.id, bytes).await?;
                        let message = Message::Own { name: file.name.clone(), size: file.size, crc: file.crc };
                        own.push(file);
                        message
                    };
                    Pending::Put { entry: Arc::new(entry), message }
                }
                Change::Update(entry) => {
                    change::check(&entry)?;
                    let key = (entry.place, entry.id);
                    let put_now = |change: &Pending| matches!(change, Pending::Put { entry, .. } if (entry.place, entry.id) == key);
                    if lock(&self.shared.state).row(key).is_none() && !pending.iter().any(put_now) {
                        return Err(StoreError::Missing(key.0, key.1));
                    }
                    Pending::Update(Arc::new(entry))
                }
                Change::Remove(place, id) => Pending::Remove((place, id)),
            });
        }
        Ok((pending, own))
    }

    async fn write_large(&self, id: crate::mail::MessageId, bytes: Bytes) -> Result<OwnFile, StoreError> {
        let _permit = self.large.acquire().await.map_err(|_| StoreError::Closed)?;
        let shared = self.shared.clone();
        blocking(move || OwnFile::write(&shared.disk, &shared.layout, id, &bytes)).await?
    }

    /// Writes everything that is still in the journal alone to plain files now, whatever its age.
    pub async fn checkpoint(&self) -> Result<(), StoreError> {
        if self.orders.is_none() {
            return Err(StoreError::ReadOnly);
        }
        let shared = self.shared.clone();
        blocking(move || checkpoint::round(&shared, Scope::All)).await?
    }

    /// Finishes what was begun, writes everything to plain files and lets go of the data directory. Later calls say
    /// [`StoreError::Closed`]. What could not be written to files (a full disk) is still in the journal.
    pub async fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(orders) = &self.orders {
            let _ = orders.send(Order::Stop).await;
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        let (shared, writes) = (self.shared.clone(), self.orders.is_some());
        let done = blocking(move || {
            stop(&shared, threads);
            let done = if writes { checkpoint::round(&shared, Scope::All) } else { Ok(()) };
            shared.index.close(true);
            done
        });
        if let Err(error) = done.await.and_then(|done| done) {
            tracing::warn!(%error, "at the end not everything could be written to files; it is still in the journal");
        }
        lock(&self.lock).take();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // The writer ends when nobody can send orders any more.
        self.orders.take();
        stop(&self.shared, std::mem::take(&mut *lock(&self.threads)));
        self.shared.index.close(false);
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.shared.layout.root()).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(opening: &Opening, layout: Layout, journal: JournalSettings, pool: Pool, state: State, writes: bool, index_from: usize) -> Self {
        Self {
            disk: opening.disk.clone(),
            index: Index::new(layout.index(), opening.sled, opening.patience),
            index_from,
            layout,
            journal,
            pool,
            late: !state.all_unread().is_empty(),
            state: Mutex::new(state),
            wake: Wake::default(),
            rounds: Mutex::new(()),
            floor: AtomicU64::new(0),
            writes,
            closing: AtomicBool::new(false),
            full_at: AtomicI64::new(0),
            filler: Mutex::default(),
            damaged: Mutex::default(),
            damage: Notify::new(),
            verifying: Default::default(),
        }
    }
}

/// Describes the metrics of the store, and begins those that a monitor wants to see at zero.
pub fn describe() {
    use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};
    describe_histogram!("mailweir_store_commit_seconds", Unit::Seconds, "From asking for a commit to its answer");
    describe_histogram!("mailweir_store_checkpoint_seconds", Unit::Seconds, "Writing one batch of entries as plain files");
    describe_counter!("mailweir_store_synced_total", "Syncs of the journal; many commits share one");
    describe_counter!("mailweir_store_checkpointed_total", "Entries written as plain files");
    describe_counter!("mailweir_store_full_total", "Commits refused because the disk was full");
    describe_counter!("mailweir_index_rebuilds_total", "How often the look-up index was made again from the files");
    describe_gauge!("mailweir_index_rebuild_running", "1 while the index is being made; mail goes on meanwhile");
    describe_gauge!("mailweir_index_rebuild_ratio", "How much of the index is made, from 0 to 1");
    describe_gauge!("mailweir_index_broken", "1 if the index cannot be used; entries are read from their files then");
    for name in ["store_synced", "store_checkpointed", "store_full", "index_rebuilds"] {
        counter!(format!("mailweir_{name}_total")).absolute(0);
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StoreError> {
    let thread = std::thread::Builder::new().name(format!("store-{name}"));
    thread.spawn(run).map_err(|e| StoreError::Io { path: "thread".into(), source: Arc::new(e) })
}

/// Waits until the writer, which is the first of them, has done what it was told to, then ends the others.
fn stop(shared: &Shared, threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the store panicked");
        }
        shared.wake.stop();
        shared.pool.close();
    }
    shared.closing.store(true, Ordering::Release);
    shared.join_filler();
}

/// Runs `work` off the reactor.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)
}

/// The lock; a thread that panicked with it leaves the rows as they are.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
