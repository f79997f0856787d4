//! What a start with very many entries leaves for later: reading their files, and bringing the index up to date. Mail goes on meanwhile:
//! an entry that is asked for before its turn is read at once.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::change::Key;
use super::damage::{Case, Damaged};
use super::files::{Stamp, read_sheet};
use super::index::{IndexState, Line};
use super::layout::Layout;
use super::state::{At, Row, Unread};
use super::{Shared, StoreError, lock};
use crate::mail::Entry;

/// How often progress is logged.
const SAY: Duration = Duration::from_secs(5);
/// Entries between two looks at whether the store is closing, and two words on progress.
const STEP: usize = 64;

impl Unread {
    /// Reads the `.json`: the row, and the entry with the stamp of its file.
    pub(super) fn read(&self, layout: &Layout, key: Key) -> Result<(Row, (Stamp, Entry)), StoreError> {
        let path = layout.json(self.folder, key.1);
        let (sheet, stamp) = read_sheet(&path)?;
        let damaged = |what: String| StoreError::Damaged { what };
        let facts = sheet.facts().filter(|_| sheet.entry.place == key.0);
        let facts = facts.ok_or_else(|| damaged(format!("{} is about another entry", path.display())))?;
        if facts.size != self.size {
            return Err(damaged(format!("the .eml has {} bytes, not {}", self.size, facts.size)));
        }
        let (put, filed) = (facts.sequence, Some(self.folder));
        Ok((Row { facts, at: At::File, put, dirty: None, filed, entry: None }, (stamp, sheet.entry)))
    }
}

/// What the start has left to do.
#[derive(Debug, Default)]
pub(super) struct Task {
    /// Entries that the index does not know.
    pub unindexed: Vec<Key>,
    /// Make the index from all entries.
    pub afresh: bool,
}

impl Shared {
    /// Reads an entry that the start has left for later; does nothing if it did not, or somebody else has done so.
    pub(super) fn adopt(&self, key: Key) {
        if !self.late {
            return;
        }
        let Some(unread) = lock(&self.state).unread(key) else { return };
        match unread.read(&self.layout, key) {
            Ok((row, _)) => {
                // New changes must have a higher sequence than the file.
                self.floor.fetch_max(row.facts.sequence, Ordering::AcqRel);
                lock(&self.state).adopt(key, Some(row));
            }
            Err(error) if lock(&self.state).adopt(key, None) => self.set_aside(key, unread, &error),
            Err(_) => {}
        }
    }

    /// An entry turned out to be damaged after the start.
    fn set_aside(&self, key: Key, unread: Unread, error: &StoreError) {
        let both = [self.layout.eml(unread.folder, key.1), self.layout.json(unread.folder, key.1)];
        let files = both.into_iter().filter(|path| path.exists()).collect();
        let case = Case { key: Some(key), what: error.to_string(), files, saved: Vec::new() };
        let listed = case.listed();
        let damaged = if self.writes { case.set_aside(&self.disk, &self.layout) } else { Ok(Some(listed.clone())) };
        let damaged = damaged.unwrap_or_else(|error| {
            tracing::error!(%error, "what is damaged could not be set aside");
            Some(listed)
        });
        if let Some(damaged) = damaged {
            tracing::error!(what = damaged.what, id = ?damaged.id, files = ?damaged.files, "damaged, set aside");
            lock(&self.damaged).push(damaged);
            self.damage.notify_one();
        }
    }

    /// Damage found since the last call.
    pub(super) fn take_damaged(&self) -> Vec<Damaged> {
        std::mem::take(&mut *lock(&self.damaged))
    }

    /// Starts the thread that does what is left, unless it runs.
    pub(super) fn fill(self: &Arc<Self>, task: Task) -> Result<(), StoreError> {
        let mut filler = lock(&self.filler);
        if filler.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Err(StoreError::Settings("the index is being rebuilt already".into()));
        }
        let shared = self.clone();
        *filler = Some(super::spawn("filler", move || run(&shared, task))?);
        Ok(())
    }

    /// Makes the index again from the files, in a thread; where there are too few entries for one, removes it.
    pub(super) fn rebuild_index(self: &Arc<Self>) -> Result<(), StoreError> {
        if lock(&self.filler).as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Err(StoreError::Settings("the index is being rebuilt already; `mailweir status` says how far it is".into()));
        }
        let wanted = lock(&self.state).count_filed() >= self.index_from;
        let ready = if wanted { self.index.reset() } else { self.index.discard() };
        ready.map_err(|what| StoreError::Settings(format!("the index cannot be made again: {what}")))?;
        if wanted { self.fill(Task { unindexed: Vec::new(), afresh: true }) } else { Ok(()) }
    }

    /// Waits for the thread, which ends soon when the store closes.
    pub(super) fn join_filler(&self) {
        let thread = self.filler.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that reads entries later panicked");
        }
    }
}

/// How far it is, told now and then.
struct Progress {
    done: usize,
    of: usize,
    begun: Instant,
    said: Instant,
}

impl Progress {
    /// One more; `false` when the store closes.
    fn step(&mut self, shared: &Shared) -> bool {
        self.done += 1;
        if self.done.is_multiple_of(STEP) {
            shared.index.progress(self.done.min(self.of.saturating_sub(1)), self.of);
            if self.said.elapsed() >= SAY {
                self.said = Instant::now();
                let percent = self.done * 100 / self.of.max(1);
                tracing::info!(percent, done = self.done, of = self.of, "entries are read and the index is made, while mail goes on");
            }
        }
        !shared.closing.load(Ordering::Acquire)
    }
}

/// The thread's whole life: first what nothing is known of, then the index.
fn run(shared: &Arc<Shared>, task: Task) {
    if task.afresh {
        metrics::counter!("mailweir_index_rebuilds_total").increment(1);
    }
    let unread = lock(&shared.state).all_unread();
    let mut keys = task.unindexed;
    keys.extend(&unread);
    let all = if task.afresh { lock(&shared.state).count_filed() } else { keys.len() };
    let now = Instant::now();
    let mut progress = Progress { done: 0, of: unread.len() + all, begun: now, said: now };
    shared.index.progress(0, progress.of);
    for key in unread {
        shared.adopt(key);
        if !progress.step(shared) {
            return;
        }
    }
    let filed = lock(&shared.state).filed();
    let wanted: std::collections::HashSet<Key> = keys.into_iter().collect();
    for (key, sequence) in filed.into_iter().filter(|(key, _)| task.afresh || wanted.contains(key)) {
        if !shared.index.has_room() {
            break;
        }
        index_one(shared, key, sequence);
        if !progress.step(shared) {
            return;
        }
    }
    shared.index.drain(|| shared.closing.load(Ordering::Acquire));
    shared.index.progress(progress.of, progress.of);
    if progress.of > 0 {
        let (entries, took) = (progress.done, progress.begun.elapsed());
        match shared.index.state() {
            IndexState::Broken { why } => tracing::error!(why, "all entries are read; there is no index"),
            _ => tracing::info!(entries, ?took, "all entries are read, and the index is whole"),
        }
    }
}

/// Puts an entry into the index, as its file says.
fn index_one(shared: &Shared, key: Key, sequence: u64) {
    let Some(row) = lock(&shared.state).row(key).filter(|row| row.facts.sequence == sequence && row.dirty.is_none()).cloned() else {
        return;
    };
    let Some(folder) = row.filed else { return };
    // What cannot be read is damage that reading it tells of, and verify.
    if let Ok((sheet, stamp)) = read_sheet(&shared.layout.json(folder, key.1))
        && sheet.sequence == sequence
    {
        shared.index.put([(key, Line { stamp, facts: row.facts }, &sheet.entry)]);
    }
}
