//! The index: what lies in the plain files, so that a start with very many of them need not read each, and a long list neither.
//!
//! Nothing promised rests on it: sled's flush never syncs on Linux. A row counts only if it carries the stamp of the `.json`
//! file that is there; any other is read anew. sled has been seen to panic, and to hang, on damaged files, and the first use of it
//! costs a process some 22 MB that it never gives back. So it is used only where there are many entries, by one thread that
//! ends when there is nothing to do, and whoever waits for that thread waits for a limited time: then the index counts as broken, and
//! entries are read from their files.

mod rows;
mod worker;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::change::Key;
use super::lock;
use crate::mail::Entry;

pub(super) use rows::Line;
use rows::Rows;

/// How long sled may be busy without a sign of life.
const PATIENCE: Duration = Duration::from_secs(10);
/// Rows that wait to be written at most; a row more is left out, and read from its file at the next start.
const PENDING: usize = 4096;
/// Rows written at once.
const BATCH: usize = 256;

/// How the index stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum IndexState {
    /// There are too few entries for it to be worth its memory: they are read from their files.
    Unneeded,
    /// It is being made.
    Building {
        /// Entries that are in it.
        done: usize,
        /// Entries that shall be.
        of: usize,
    },
    /// It has every entry that lies in files.
    Whole,
    /// It cannot be used; entries are read from their files.
    Broken {
        /// What is wrong with it.
        why: String,
    },
}

impl IndexState {
    /// How much of it is made, in percent.
    pub fn percent(&self) -> usize {
        match self {
            Self::Building { done, of } => (done * 100).checked_div(*of).unwrap_or(100).min(100),
            _ => 100,
        }
    }
}

impl std::fmt::Display for IndexState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unneeded => f.write_str("no index is kept for so few entries"),
            Self::Building { done, of } => write!(f, "the index is being rebuilt, {} % ({done} of {of})", self.percent()),
            Self::Whole => f.write_str("the index is whole"),
            Self::Broken { why } => write!(f, "the index cannot be used: {why}; `mailweir store rebuild` makes it again"),
        }
    }
}

/// Opens sled; tests put one here that panics, or that never comes back.
pub(super) type Opener = fn(&Path) -> Result<Rows, String>;

/// The real one.
pub(super) const SLED: Opener = Rows::open;

/// The index, from outside of its thread.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    opener: Opener,
    patience: Duration,
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queue {
    state: IndexState,
    /// Rows to be written; `None`: to be removed.
    pending: BTreeMap<Key, Option<Vec<u8>>>,
    /// Since when there are some.
    since: Option<Instant>,
    asks: VecDeque<Ask>,
    /// Which thread may go on: one that was given up is told so when it comes back.
    generation: u64,
    running: bool,
    /// Since when sled is at work.
    busy: Option<Instant>,
    closing: bool,
    /// Somebody waits until everything is written.
    hurry: bool,
}

impl Default for Queue {
    fn default() -> Self {
        let pending = BTreeMap::new();
        let state = IndexState::Unneeded;
        let (asks, since, busy) = (VecDeque::new(), None, None);
        Self { state, pending, since, asks, generation: 0, running: false, busy, closing: false, hurry: false }
    }
}

/// What the thread is asked to do at once.
#[derive(Debug)]
enum Ask {
    Lines(SyncSender<Vec<(Key, Line)>>),
    Fetch(Vec<(Key, u64)>, SyncSender<Vec<Option<Entry>>>),
    /// Close sled, so that its folder may be moved.
    Close(SyncSender<()>),
}

impl Index {
    /// An index in the folder `path` that is not used yet.
    pub(super) fn new(path: PathBuf, opener: Opener, patience: Option<Duration>) -> Self {
        Self { path, opener, patience: patience.unwrap_or(PATIENCE), inner: Arc::default() }
    }

    /// Reads it at start. If it cannot be read to its end, in time, it is moved aside and begun anew: the text says why.
    pub(super) fn load(&self) -> (HashMap<Key, Line>, Option<String>) {
        if !self.path.exists() && !self.path.is_symlink() {
            self.set(IndexState::Building { done: 0, of: 0 });
            return (HashMap::new(), Some("there was none".to_owned()));
        }
        self.set(IndexState::Building { done: 0, of: 0 });
        match self.lines() {
            Ok(lines) => (lines, None),
            Err(why) => {
                if let Err(error) = self.reset() {
                    tracing::error!(error, path = %self.path.display(), "no index: entries are read from their files");
                    self.set(IndexState::Broken { why: error });
                }
                (HashMap::new(), Some(why))
            }
        }
    }

    /// What every row says, without the entries.
    pub(super) fn lines(&self) -> Result<HashMap<Key, Line>, String> {
        let (answer, answered) = sync_channel(4);
        self.ask(Ask::Lines(answer));
        let mut lines = HashMap::new();
        // The last batch is an empty one.
        loop {
            match self.wait(&answered)? {
                batch if batch.is_empty() => return Ok(lines),
                batch => lines.extend(batch),
            }
        }
    }

    /// The entries, where the index has this state of them. Waits for a limited time.
    pub(super) fn fetch(&self, keys: Vec<(Key, u64)>) -> Vec<Option<Entry>> {
        let (answer, answered) = sync_channel(1);
        self.ask(Ask::Fetch(keys, answer));
        self.wait(&answered).unwrap_or_default()
    }

    /// Moves what is there aside and begins anew.
    pub(super) fn reset(&self) -> Result<(), String> {
        let running = {
            let mut queue = lock(&self.inner.queue);
            queue.pending.clear();
            queue.running
        };
        if running {
            let (answer, answered) = sync_channel(1);
            self.ask(Ask::Close(answer));
            let _given_up_then = self.wait(&answered);
        }
        let aside = self.path.with_extension("sled.old");
        // Of earlier broken ones none is of use.
        let _ = remove(&aside);
        if self.path.is_symlink() || self.path.exists() {
            std::fs::rename(&self.path, &aside).or_else(|_| remove(&self.path)).map_err(|e| format!("{}: {e}", self.path.display()))?;
        }
        self.set(IndexState::Building { done: 0, of: 0 });
        Ok(())
    }

    /// Removes it from the disk: it is not kept any more.
    pub(super) fn discard(&self) -> Result<(), String> {
        self.reset()?;
        let _ = remove(&self.path.with_extension("sled.old"));
        self.set(IndexState::Unneeded);
        Ok(())
    }

    /// Adds rows as soon as there is time; what cannot be added is read from its file at the next start.
    pub(super) fn put<'a>(&self, rows: impl IntoIterator<Item = (Key, Line, &'a Entry)>) {
        if self.is_used() {
            let rows: Vec<_> = rows.into_iter().filter_map(|(key, line, entry)| Some((key, Some(rows::value(&line, entry)?)))).collect();
            self.change(rows);
        }
    }

    /// Removes rows; one that stays counts for nothing when there are no files.
    pub(super) fn remove(&self, keys: impl IntoIterator<Item = Key>) {
        if self.is_used() {
            self.change(keys.into_iter().map(|key| (key, None)).collect());
        }
    }

    fn change(&self, rows: Vec<(Key, Option<Vec<u8>>)>) {
        let mut queue = lock(&self.inner.queue);
        for (key, value) in rows {
            // A removal is small, and what is left out must not be an old state.
            if queue.pending.len() < PENDING || queue.pending.contains_key(&key) {
                queue.pending.insert(key, value);
            }
        }
        if !queue.pending.is_empty() {
            queue.since.get_or_insert_with(Instant::now);
            self.ensure(&mut queue);
        }
    }

    /// Waits until there is room for more rows. `false` if the index is not used (any more).
    pub(super) fn has_room(&self) -> bool {
        let mut queue = lock(&self.inner.queue);
        while queue.pending.len() >= BATCH * 2 && is_used(&queue.state) && !queue.closing {
            self.ensure(&mut queue);
            queue = wait_on(&self.inner.changed, queue, self.patience / 10);
        }
        is_used(&queue.state) && !queue.closing
    }

    /// How it stands.
    pub(super) fn state(&self) -> IndexState {
        let mut queue = lock(&self.inner.queue);
        self.check(&mut queue);
        queue.state.clone()
    }

    /// Waits until what is pending is written, or the index broke over it, or `stop` says so.
    pub(super) fn drain(&self, stop: impl Fn() -> bool) {
        let mut queue = lock(&self.inner.queue);
        while is_used(&queue.state) && (!queue.pending.is_empty() || queue.busy.is_some()) && !queue.closing && !stop() {
            queue.hurry = true;
            self.ensure(&mut queue);
            queue = wait_on(&self.inner.changed, queue, self.patience / 10);
        }
        queue.hurry = false;
    }

    /// Whether rows are kept in it.
    pub(super) fn is_used(&self) -> bool {
        is_used(&lock(&self.inner.queue).state)
    }

    /// Says how far it is; not where it broke meanwhile.
    pub(super) fn progress(&self, done: usize, of: usize) {
        let mut queue = lock(&self.inner.queue);
        if is_used(&queue.state) {
            queue.state = if done < of { IndexState::Building { done, of } } else { IndexState::Whole };
            gauges(&queue.state);
        }
    }

    fn set(&self, state: IndexState) {
        gauges(&state);
        lock(&self.inner.queue).state = state;
    }

    /// Ends the thread: with `write` after what is pending, for which it has a limited time.
    pub(super) fn close(&self, write: bool) {
        let mut queue = lock(&self.inner.queue);
        if !write {
            queue.pending.clear();
        } else if !queue.pending.is_empty() && is_used(&queue.state) {
            self.ensure(&mut queue);
        }
        queue.closing = true;
        self.inner.changed.notify_all();
        while queue.running {
            queue = wait_on(&self.inner.changed, queue, self.patience / 10);
            self.check(&mut queue);
        }
    }

    fn ask(&self, ask: Ask) {
        let mut queue = lock(&self.inner.queue);
        if !queue.closing {
            queue.asks.push_back(ask);
            self.ensure(&mut queue);
        }
    }

    fn wait<T>(&self, answered: &Receiver<T>) -> Result<T, String> {
        answered.recv_timeout(self.patience).map_err(|error| {
            let mut queue = lock(&self.inner.queue);
            let begun = Instant::now();
            // The thread has ended, or is about to: then it says why.
            while error == RecvTimeoutError::Disconnected && queue.running && begun.elapsed() < self.patience {
                queue = wait_on(&self.inner.changed, queue, self.patience / 10);
            }
            match &queue.state {
                IndexState::Broken { why } => why.clone(),
                _ if queue.closing => "it is closed".to_owned(),
                _ => self.give_up(&mut queue),
            }
        })
    }

    /// Sees that the thread runs, and that it is not stuck.
    fn ensure(&self, queue: &mut Queue) {
        self.check(queue);
        if !queue.running && !queue.closing {
            queue.running = true;
            let (inner, path, opener, generation) = (self.inner.clone(), self.path.clone(), self.opener, queue.generation);
            let spawned = super::spawn("index", move || worker::run(&inner, &path, opener, generation));
            if let Err(error) = spawned {
                queue.broken(error.to_string());
            }
        }
        self.inner.changed.notify_all();
    }

    fn check(&self, queue: &mut Queue) {
        if queue.busy.is_some_and(|since| since.elapsed() > self.patience * 3) {
            self.give_up(queue);
        }
    }

    /// The thread may stay where it is: nobody waits for it any more.
    fn give_up(&self, queue: &mut Queue) -> String {
        let why = format!("sled did not answer within {} s", self.patience.as_secs());
        queue.broken(why.clone());
        queue.generation += 1;
        why
    }
}

impl Queue {
    /// The index is not used until it is made again.
    fn broken(&mut self, why: String) {
        tracing::error!(why, "the index cannot be used; entries are read from their files");
        self.state = IndexState::Broken { why };
        gauges(&self.state);
        (self.running, self.busy) = (false, None);
        self.pending.clear();
        self.asks.clear();
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.close(false);
    }
}

fn is_used(state: &IndexState) -> bool {
    matches!(state, IndexState::Building { .. } | IndexState::Whole)
}

fn gauges(state: &IndexState) {
    metrics::gauge!("mailweir_index_broken").set(if matches!(state, IndexState::Broken { .. }) { 1.0 } else { 0.0 });
    metrics::gauge!("mailweir_index_rebuild_running").set(if matches!(state, IndexState::Building { .. }) { 1.0 } else { 0.0 });
    metrics::gauge!("mailweir_index_rebuild_ratio").set(state.percent() as f64 / 100.0);
}

/// Removes a folder, or a file that lies in its place.
fn remove(path: &Path) -> std::io::Result<()> {
    std::fs::remove_dir_all(path).or_else(|_| std::fs::remove_file(path))
}

fn wait_on<'a, T>(condvar: &Condvar, guard: std::sync::MutexGuard<'a, T>, time: Duration) -> std::sync::MutexGuard<'a, T> {
    condvar.wait_timeout(guard, time).unwrap_or_else(std::sync::PoisonError::into_inner).0
}

/// Makes it one of another version.
#[cfg(test)]
pub(super) fn other_version(path: &Path) {
    Rows::open(path).unwrap().set_format(b"mailweir index 0");
}

#[cfg(test)]
mod tests;
