//! What the store knows in memory: a small row for every entry, and what the checkpoint still has to do.
//!
//! A row is some 200 bytes; the whole entry is kept only until it lies in plain files and in the index. Nothing here is
//! promised: it is rebuilt at start from files and journal.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::Key;
use super::layout::Folder;
use super::segment::Segment;
use crate::mail::{Area, Entry, MessageId, Place};

/// What is known of an entry without reading it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The sequence of its last change.
    pub sequence: u64,
    /// Bytes and crc32 of the message.
    pub size: u64,
    pub crc: u32,
    pub area: Option<Area>,
    pub received_at: Timestamp,
    pub next_try: Option<Timestamp>,
    /// Some recipient still waits or is held.
    pub open: bool,
}

impl Facts {
    pub(super) fn of(entry: &Entry, sequence: u64, size: u64, crc: u32) -> Self {
        let (received_at, next_try) = (entry.received_at, entry.next_try());
        Self { sequence, size, crc, area: entry.area, received_at, next_try, open: next_try.is_some() || entry.is_held() }
    }
}

/// Where the message of an entry lies.
#[derive(Debug, Clone)]
pub(super) enum At {
    /// In a journal record, and perhaps in memory too.
    Journal { segment: Arc<Segment>, offset: u64, cached: Option<Bytes> },
    /// In `journal/large/`.
    Own(Arc<str>),
    /// In its folder.
    File,
}

/// One entry.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub facts: Facts,
    pub at: At,
    /// The sequence of the change that brought the message.
    pub put: u64,
    /// The first change that is not in the plain files.
    pub dirty: Option<u64>,
    /// The folder that has its files, or is about to.
    pub filed: Option<Folder>,
    /// The whole entry, while it is not in files and index.
    pub entry: Option<Arc<Entry>>,
}

/// A change, as it takes effect.
#[derive(Debug, Clone)]
pub(super) enum Effect {
    Put { entry: Arc<Entry>, size: u64, crc: u32, at: At },
    Update(Arc<Entry>),
    Remove(Key),
}

/// Files that belong to nothing any more.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub key: Key,
    pub folder: Option<Folder>,
    pub own: Option<Arc<str>>,
}

/// A row to be written as files.
#[derive(Debug, Clone)]
pub(super) struct Todo {
    pub key: Key,
    pub facts: Facts,
    pub put: u64,
    pub at: At,
    pub entry: Arc<Entry>,
    pub from: Option<Folder>,
    pub to: Folder,
}

/// An entry of which only the files were seen at start: its `.json` is read when somebody asks for it, or when there is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread {
    pub folder: Folder,
    /// Bytes of the `.eml`.
    pub size: u64,
}

/// How many entries a place (or area) has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Entries with a recipient that waits or is held, and the bytes of their messages.
    pub open: u64,
    pub bytes: u64,
    /// The others.
    pub settled: u64,
    pub settled_bytes: u64,
}

/// All rows, and the orders in which they are asked for.
#[derive(Debug, Default)]
pub(super) struct State {
    rows: BTreeMap<Key, Row>,
    /// Entries of which nothing is known yet but that they are there. They count as open until they are read.
    unread: BTreeMap<Key, Unread>,
    due: BTreeSet<(Timestamp, MessageId)>,
    /// Rows that are not in files, by the first change that is missing there, with when they came to miss one; `None`: long ago.
    dirty: BTreeMap<(u64, Key), Option<Instant>>,
    gone: BTreeMap<(u64, u32), Gone>,
    gone_serial: u32,
    last: u64,
    cached: u64,
    /// Bytes of mail that may be kept in memory.
    budget: u64,
    counts: HashMap<Folder, Count>,
}

impl State {
    pub(super) fn new(budget: u64) -> Self {
        Self { budget, ..Self::default() }
    }

    /// A row found in plain files at start.
    pub(super) fn load(&mut self, key: Key, row: Row) {
        self.last = self.last.max(row.facts.sequence);
        self.insert(key, row, None);
    }

    /// An entry to be read later.
    pub(super) fn put_off(&mut self, key: Key, unread: Unread) {
        self.count_unread(&unread, true);
        self.unread.insert(key, unread);
    }

    /// The files of an entry that has not been read.
    pub(super) fn unread(&self, key: Key) -> Option<Unread> {
        self.unread.get(&key).copied()
    }

    /// Entries that have not been read.
    pub(super) fn all_unread(&self) -> Vec<Key> {
        self.unread.keys().copied().collect()
    }

    /// It has been read: with a row, or it turned out to be damaged. `false` if somebody else was faster. Its sequence may be above the
    /// journal's, so it is no measure for what the journal has seen.
    pub(super) fn adopt(&mut self, key: Key, row: Option<Row>) -> bool {
        let Some(unread) = self.unread.remove(&key) else { return false };
        self.count_unread(&unread, false);
        if let Some(row) = row {
            self.insert(key, row, None);
        }
        true
    }

    fn count_unread(&mut self, unread: &Unread, more: bool) {
        let count = self.counts.entry(unread.folder).or_default();
        let by = |number: &mut u64, n: u64| *number = if more { *number + n } else { number.saturating_sub(n) };
        by(&mut count.open, 1);
        by(&mut count.bytes, unread.size);
    }

    /// Makes a change visible. Recovery and the journal's writer use the same one, so both come to the same state.
    pub(super) fn apply(&mut self, sequence: u64, effect: Effect, now: Option<Instant>) {
        self.last = self.last.max(sequence);
        match effect {
            Effect::Put { entry, size, crc, mut at } => {
                let key = (entry.place, entry.id);
                let since = self.since(key, now);
                let before = self.take(key);
                let filed = before.as_ref().and_then(|row| row.filed);
                if let Some(Row { at: At::Own(name), .. }) = before {
                    self.bury(sequence, Gone { key, folder: None, own: Some(name) });
                }
                if let At::Journal { cached, .. } = &mut at {
                    *cached = cached.take().filter(|_| self.cached + size <= self.budget);
                }
                let facts = Facts::of(&entry, sequence, size, crc);
                let row = Row { facts, at, put: sequence, dirty: Some(sequence), filed, entry: Some(entry) };
                self.insert(key, row, since);
            }
            Effect::Update(entry) => {
                let key = (entry.place, entry.id);
                let facts = Facts::of(&entry, sequence, 0, 0);
                let since = self.since(key, now);
                let Some(row) = self.take(key) else { return };
                let dirty = Some(row.dirty.unwrap_or(sequence));
                let facts = Facts { size: row.facts.size, crc: row.facts.crc, ..facts };
                self.insert(key, Row { facts, dirty, entry: Some(entry), ..row }, since);
            }
            Effect::Remove(key) => self.remove(sequence, key),
        }
    }

    fn remove(&mut self, sequence: u64, key: Key) {
        let Some(row) = self.take(key) else { return };
        let own = if let At::Own(name) = row.at { Some(name) } else { None };
        if row.filed.is_some() || own.is_some() {
            self.bury(sequence, Gone { key, folder: row.filed, own });
        }
    }

    /// Marks files for removal.
    pub(super) fn bury(&mut self, sequence: u64, gone: Gone) {
        self.gone_serial = self.gone_serial.wrapping_add(1);
        self.gone.insert((sequence, self.gone_serial), gone);
    }

    /// Since when a row that changes `now` has not been in files. A further change does not make it younger: what changes all the
    /// time would never become files, and hold up all that came after it.
    fn since(&self, key: Key, now: Option<Instant>) -> Option<Instant> {
        let first = self.rows.get(&key).and_then(|row| row.dirty);
        first.and_then(|first| self.dirty.get(&(first, key))).copied().unwrap_or(now)
    }

    /// `since`: since when it has not been in files, if it is not.
    fn insert(&mut self, key: Key, row: Row, since: Option<Instant>) {
        if let At::Journal { cached: Some(bytes), .. } = &row.at {
            self.cached += bytes.len() as u64;
        }
        if let (Place::Spool, Some(next_try)) = (key.0, row.facts.next_try) {
            self.due.insert((next_try, key.1));
        }
        if let Some(first) = row.dirty {
            self.dirty.insert((first, key), since);
        }
        self.count(key, &row.facts, true);
        self.rows.insert(key, row);
    }

    fn take(&mut self, key: Key) -> Option<Row> {
        let row = self.rows.remove(&key)?;
        if let At::Journal { cached: Some(bytes), .. } = &row.at {
            self.cached = self.cached.saturating_sub(bytes.len() as u64);
        }
        if let (Place::Spool, Some(next_try)) = (key.0, row.facts.next_try) {
            self.due.remove(&(next_try, key.1));
        }
        if let Some(first) = row.dirty {
            self.dirty.remove(&(first, key));
        }
        self.count(key, &row.facts, false);
        Some(row)
    }

    fn count(&mut self, key: Key, facts: &Facts, more: bool) {
        let count = self.counts.entry(Folder(key.0, facts.area)).or_default();
        let by = |number: &mut u64, n: u64| *number = if more { *number + n } else { number.saturating_sub(n) };
        let (entries, bytes) =
            if facts.open { (&mut count.open, &mut count.bytes) } else { (&mut count.settled, &mut count.settled_bytes) };
        by(entries, 1);
        by(bytes, facts.size);
    }

    /// Everything before this sequence is in plain files, or gone.
    pub(super) fn horizon(&self) -> u64 {
        let dirty = self.dirty.first_key_value().map(|((first, _), _)| *first);
        let gone = self.gone.first_key_value().map(|((sequence, _), _)| *sequence);
        [dirty, gone].into_iter().flatten().min().unwrap_or(self.last + 1)
    }

    /// The last sequence that took effect.
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// The last sequence there was, where recovery found that later ones do not count.
    pub(super) fn skip_to(&mut self, sequence: u64) {
        self.last = self.last.max(sequence);
    }

    /// Recovery found files of this entry; `in_file`: its message among them.
    pub(super) fn mend(&mut self, key: Key, folder: Option<Folder>, in_file: bool) {
        if let Some(row) = self.rows.get_mut(&key) {
            row.filed = row.filed.or(folder);
            if in_file {
                row.at = At::File;
            }
        }
    }

    /// Takes a row out without a trace: it is set aside.
    pub(super) fn drop_row(&mut self, key: Key) -> Option<Row> {
        self.take(key)
    }

    pub(super) fn row(&self, key: Key) -> Option<&Row> {
        self.rows.get(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.unread.len()
    }

    /// Entries that lie in plain files as they are, with the sequence of that state.
    pub(super) fn filed(&self) -> Vec<(Key, u64)> {
        let filed = self.rows.iter().filter(|(_, row)| row.dirty.is_none() && matches!(row.at, At::File));
        filed.map(|(key, row)| (*key, row.facts.sequence)).collect()
    }

    /// How many entries lie in plain files, or are about to.
    pub(super) fn count_filed(&self) -> usize {
        self.unread.len() + self.rows.values().filter(|row| row.filed.is_some()).count()
    }

    /// All rows, in no order that matters.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&Key, &Row)> {
        self.rows.iter()
    }

    /// Ids of a place below `before`, newest first.
    pub(super) fn newest(&self, place: Place, before: Option<MessageId>, limit: usize) -> Vec<MessageId> {
        let end = before.unwrap_or(MessageId::from_u64(u64::MAX));
        let all = (place, MessageId::from_u64(0))..=(place, end);
        let ids = |id: &MessageId| before != Some(*id);
        let read = self.rows.range(all.clone()).rev().map(|(key, _)| key.1).filter(ids).take(limit);
        if self.unread.is_empty() {
            return read.collect();
        }
        let mut both: Vec<MessageId> = read.chain(self.unread.range(all).rev().map(|(key, _)| key.1).filter(ids).take(limit)).collect();
        both.sort_unstable_by(|a, b| b.cmp(a));
        both.truncate(limit);
        both
    }

    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<MessageId> {
        self.due.iter().take_while(|(next_try, _)| *next_try <= now).take(limit).map(|(_, id)| *id).collect()
    }

    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(next_try, _)| *next_try)
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = (&Folder, &Count)> {
        self.counts.iter()
    }

    /// When the oldest open entry of each folder came.
    pub(super) fn oldest(&self) -> HashMap<Folder, Timestamp> {
        let mut oldest = HashMap::new();
        let mut wanted = self.counts.values().filter(|count| count.open > 0).count();
        for (key, row) in self.rows.iter().filter(|(_, row)| row.facts.open) {
            if wanted == 0 {
                break;
            }
            oldest.entry(Folder(key.0, row.facts.area)).or_insert_with(|| {
                wanted -= 1;
                row.facts.received_at
            });
        }
        for (key, unread) in &self.unread {
            let came = key.1.time();
            oldest.entry(unread.folder).and_modify(|oldest: &mut Timestamp| *oldest = came.min(*oldest)).or_insert(came);
        }
        oldest
    }

    /// What files are to be removed now.
    pub(super) fn buried(&self) -> Vec<((u64, u32), Gone)> {
        self.gone.iter().map(|(name, gone)| (*name, gone.clone())).collect()
    }

    /// They are removed, and will stay so.
    pub(super) fn unburied(&mut self, names: impl IntoIterator<Item = (u64, u32)>) {
        for name in names {
            self.gone.remove(&name);
        }
    }

    /// Rows to be written as files: those older than `age`, or whose change is at or before `through`; after `after`, in order.
    pub(super) fn todo(&mut self, wanted: &Wanted, after: Option<(u64, Key)>) -> (Vec<Todo>, Option<(u64, Key)>) {
        let (mut todo, mut cursor, mut bytes) = (Vec::new(), None, 0);
        for ((first, key), since) in &self.dirty {
            if after.is_some_and(|after| (*first, *key) <= after) {
                continue;
            }
            let ripe = since.is_none_or(|since| wanted.now.saturating_duration_since(since) >= wanted.age);
            if !(ripe || *first <= wanted.through) || todo.len() >= wanted.rows || bytes >= wanted.bytes {
                break;
            }
            cursor = Some((*first, *key));
            let Some(row) = self.rows.get_mut(key) else { continue };
            let Some(entry) = row.entry.clone() else { continue };
            let to = Folder::of(&entry);
            let from = row.filed;
            // From now on there may be files, so a removal must look for them.
            row.filed = Some(from.unwrap_or(to));
            bytes += if matches!(row.at, At::Journal { .. }) { row.facts.size } else { 0 };
            todo.push(Todo { key: *key, facts: row.facts.clone(), put: row.put, at: row.at.clone(), entry, from, to });
        }
        (todo, cursor)
    }

    /// The files of `todo` are written, and will stay so.
    pub(super) fn written(&mut self, todo: &Todo, now: Instant) {
        let Some(row) = self.rows.get_mut(&todo.key).filter(|row| row.put == todo.put) else { return };
        if let At::Journal { cached: Some(bytes), .. } = &row.at {
            self.cached = self.cached.saturating_sub(bytes.len() as u64);
        }
        row.at = At::File;
        row.filed = Some(todo.to);
        let Some(first) = row.dirty else { return };
        self.dirty.remove(&(first, todo.key));
        row.dirty = (row.facts.sequence != todo.facts.sequence).then_some(todo.facts.sequence + 1);
        if let Some(first) = row.dirty {
            self.dirty.insert((first, todo.key), Some(now));
        }
    }

    /// The entry can be read from files and index: memory lets go of it.
    pub(super) fn forget(&mut self, key: Key, sequence: u64) {
        if let Some(row) = self.rows.get_mut(&key).filter(|row| row.facts.sequence == sequence && row.dirty.is_none()) {
            row.entry = None;
        }
    }
}

/// Which rows a checkpoint takes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub now: Instant,
    pub age: Duration,
    /// Regardless of age.
    pub through: u64,
    pub rows: usize,
    pub bytes: u64,
}
