//! Reading the store: entries, messages, what is due, what has expired, how much there is.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::change::Key;
use super::damage::Damaged;
use super::files::{check_message, read_message, read_sheet};
use super::index::IndexState;
use super::layout::Folder;
use super::state::{At, Facts, Row};
use super::{Shared, Store, StoreError, blocking, lock};
use crate::mail::{Area, Entry, MessageId, Place};

/// How often a read is tried again because the entry was moved (journal to file, area to area) meanwhile.
const TRIES: usize = 4;
/// Ids taken under the lock at once while listing.
const PAGE: usize = 256;
/// Lists up to this length are read from the files alone.
const SMALL: usize = 2 * PAGE;

/// How much of one kind there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Depth {
    /// Spool or quarantine.
    pub place: Place,
    /// The area, for the quarantine.
    pub area: Option<Area>,
    /// Entries with a recipient that waits or is held.
    pub count: u64,
    /// Entries that are only kept to be looked at: everything in them was released or deleted.
    pub settled: u64,
    /// Bytes of the messages that wait or are held.
    pub bytes: u64,
    /// Bytes of the messages that are only kept.
    pub settled_bytes: u64,
    /// When the oldest entry that waits or is held was accepted.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// The entry. May read a file: a fraction of a millisecond; for many, use a blocking thread.
    pub fn get(&self, place: Place, id: MessageId) -> Option<Entry> {
        self.shared.get((place, id))
    }

    /// Entries that `pred` wants, newest first. Reads entry by entry until it has `limit`: for a blocking thread.
    pub fn list(&self, place: Place, pred: impl Fn(&Entry) -> bool, limit: usize) -> Vec<Entry> {
        let (mut found, mut before, mut looked) = (Vec::new(), None, 0);
        while found.len() < limit {
            let page = lock(&self.shared.state).newest(place, before, PAGE);
            let Some(last) = page.last() else { break };
            before = Some(*last);
            looked += page.len();
            let wanted = self.shared.page(place, &page, looked > SMALL).into_iter().flatten().filter(|entry| pred(entry));
            found.extend(wanted.take(limit - found.len()));
        }
        found
    }

    /// How the index stands: what looks up entries does not depend on it, and is only slower without.
    pub fn index(&self) -> IndexState {
        self.shared.index.state()
    }

    /// How many messages of how many `verify` has read, while it runs.
    pub fn verifying(&self) -> Option<(usize, usize)> {
        let of = self.shared.verifying.1.load(Ordering::Relaxed);
        (of > 0).then(|| (self.shared.verifying.0.load(Ordering::Relaxed), of))
    }

    /// Begins to make the index again from the files, while mail goes on; [`Self::index`] says how far it is. Blocks for a moment. Where
    /// there are fewer entries than `[quarantine] index_from`, what is there of an index is removed.
    pub fn rebuild_index(&self) -> Result<(), StoreError> {
        if self.shared.writes { self.shared.rebuild_index() } else { Err(StoreError::ReadOnly) }
    }

    /// Damage that was found after the start, in entries that it had left to be read later. Waits until there is some.
    pub async fn next_damaged(&self) -> Vec<Damaged> {
        loop {
            let told = self.shared.damage.notified();
            let damaged = self.shared.take_damaged();
            if !damaged.is_empty() {
                return damaged;
            }
            told.await;
        }
    }

    /// The original message, byte for byte as it came. What is not what was written is [`StoreError::Damaged`].
    pub async fn bytes(&self, place: Place, id: MessageId) -> Result<Bytes, StoreError> {
        match self.shared.row((place, id))?.at {
            At::Journal { cached: Some(bytes), .. } => Ok(bytes),
            _ => {
                let shared = self.shared.clone();
                blocking(move || shared.bytes((place, id))).await?
            }
        }
    }

    /// Spool entries with a recipient whose next try is now or past, the most overdue first.
    pub fn due(&self, now: Timestamp, limit: usize) -> Vec<MessageId> {
        lock(&self.shared.state).due(now, limit)
    }

    /// When the next try of all is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        lock(&self.shared.state).next_due()
    }

    /// Quarantine entries that have been kept for as long as `[quarantine] keep` says, oldest first. Whoever asks records it and
    /// removes them.
    pub fn expired(&self, now: Timestamp, limit: usize) -> Vec<MessageId> {
        let state = lock(&self.shared.state);
        let rows = state.rows().filter(|(key, _)| key.0 == Place::Quarantine);
        let past = |facts: &Facts| facts.received_at.checked_add(self.settings.keep(facts.area)).is_ok_and(|end| end <= now);
        rows.filter(|(_, row)| past(&row.facts)).take(limit).map(|(key, _)| key.1).collect()
    }

    /// How long what is held in this area is kept.
    pub fn keep(&self, area: Option<Area>) -> std::time::Duration {
        self.settings.keep(area)
    }

    /// How much there is: the spool and every area, empty ones too.
    pub fn depths(&self) -> Vec<Depth> {
        let state = lock(&self.shared.state);
        let mut oldest = state.oldest();
        let none = |Folder(place, area)| Depth { place, area, count: 0, settled: 0, bytes: 0, settled_bytes: 0, oldest: None };
        let mut depths: Vec<Depth> = Folder::all().map(none).collect();
        for (folder, count) in state.counts() {
            // A quarantine entry without an area lies in `Held`.
            let area = if folder.0 == Place::Quarantine { Some(folder.1.unwrap_or(Area::Held)) } else { None };
            if let Some(depth) = depths.iter_mut().find(|depth| (depth.place, depth.area) == (folder.0, area)) {
                depth.count += count.open;
                depth.settled += count.settled;
                depth.bytes += count.bytes;
                depth.settled_bytes += count.settled_bytes;
                depth.oldest = depth.oldest.into_iter().chain(oldest.remove(folder)).min();
            }
        }
        depths
    }
}

impl Shared {
    pub(super) fn row(&self, key: Key) -> Result<Row, StoreError> {
        self.adopt(key);
        lock(&self.state).row(key).cloned().ok_or(StoreError::Missing(key.0, key.1))
    }

    /// Entries of a place, from the index where that is `long` enough to be worth it.
    fn page(&self, place: Place, ids: &[MessageId], long: bool) -> Vec<Option<Entry>> {
        let all = |id: &MessageId| self.get((place, *id));
        if !long || self.index.state() != IndexState::Whole {
            return ids.iter().map(all).collect();
        }
        let sequences = ids.iter().map(|id| (place, *id)).map(|key| (key, self.row(key).map_or(0, |row| row.facts.sequence)));
        let found = self.index.fetch(sequences.collect());
        let indexed = found.into_iter().chain(std::iter::repeat(None));
        ids.iter().zip(indexed).map(|(id, entry)| entry.or_else(|| all(id))).collect()
    }

    /// The entry: from memory, or its file.
    pub(super) fn get(&self, key: Key) -> Option<Entry> {
        for _ in 0..TRIES {
            let row = self.row(key).ok()?;
            if let Some(entry) = row.entry {
                return Some(entry.as_ref().clone());
            }
            let sequence = row.facts.sequence;
            for folder in folders(key, &row) {
                match read_sheet(&self.layout.json(folder, key.1)) {
                    Ok((sheet, _)) if sheet.sequence >= sequence => return Some(sheet.entry),
                    Ok(_) => {}
                    Err(error) if error.is_not_found() => {}
                    Err(error) => tracing::error!(%error, "an entry cannot be read"),
                }
            }
        }
        None
    }

    /// The message, checked, wherever it lies just now.
    pub(super) fn bytes(&self, key: Key) -> Result<Bytes, StoreError> {
        let mut trouble = StoreError::Missing(key.0, key.1);
        for _ in 0..TRIES {
            let row = self.row(key)?;
            let read = match &row.at {
                At::Journal { cached: Some(bytes), .. } => Ok(bytes.clone()),
                At::Journal { segment, offset, .. } => segment.read(*offset, row.facts.size).and_then(|bytes| {
                    check_message(&bytes, &row.facts, || format!("{} at {offset}", segment.path.display()))?;
                    Ok(bytes)
                }),
                At::Own(name) => {
                    let own = read_message(&self.layout.large().join(name.as_ref()), &row.facts);
                    // The checkpoint moves it to its folder.
                    own.or_else(|error| if error.is_not_found() { self.read_file(key, &row) } else { Err(error) })
                }
                At::File => self.read_file(key, &row),
            };
            match read {
                Ok(bytes) => return Ok(bytes),
                // It may have been moved, or the segment recycled, while we read.
                Err(error) => trouble = error,
            }
        }
        if trouble.is_not_found() {
            trouble = StoreError::Damaged { what: format!("the message of {} is gone: {trouble}", key.1) };
        }
        Err(trouble)
    }

    /// The `.eml` of an entry, in the first folder that has it.
    fn read_file(&self, key: Key, row: &Row) -> Result<Bytes, StoreError> {
        let mut tried = folders(key, row).map(|folder| read_message(&self.layout.eml(folder, key.1), &row.facts));
        let first = tried.next().unwrap_or(Err(StoreError::Missing(key.0, key.1)));
        first.or_else(|error| if error.is_not_found() { tried.next().unwrap_or(Err(error)) } else { Err(error) })
    }

    /// The files of an entry that are there.
    pub(super) fn paths(&self, key: Key) -> Vec<PathBuf> {
        let Ok(row) = self.row(key) else { return Vec::new() };
        let both = |folder| [self.layout.eml(folder, key.1), self.layout.json(folder, key.1)];
        folders(key, &row).flat_map(both).filter(|path| path.exists()).collect()
    }
}

/// Where the files of an entry can lie: in two folders while it is moved from one area to another.
fn folders(key: Key, row: &Row) -> impl Iterator<Item = Folder> + use<> {
    let other = Folder(key.0, row.facts.area);
    let first = row.filed.unwrap_or(other);
    std::iter::once(first).chain((other != first).then_some(other))
}
