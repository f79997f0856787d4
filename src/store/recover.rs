//! The start: joins plain files and journal into the state, and sorts what is there into whole, unfinished and damaged.
//!
//! - **whole**: in the files, or in a journal record, whichever has the higher sequence.
//! - **unfinished**: was being written and nobody was promised it: removed.
//! - **damaged**: was promised and is not what was written: set aside in `damaged/` with a text that says why. Never dropped.

use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::change::{Key, Logged, LoggedAt, decode, is_end};
use super::damage::{Case, Damaged, hole_case, missing_name};
use super::disk::Disk;
use super::frame::{SEGMENT_HEADER, SegmentHeader};
use super::index::Line;
use super::layout::{Folder, Layout, names};
use super::replay::{self, Hole};
use super::segment::Segment;
use super::shelf::{Known, Shelf};
use super::state::{At, Effect, Gone, Row, State};
use crate::mail::Entry;

/// What the start found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Whole entries.
    pub entries: usize,
    /// What is not what was written; set aside.
    pub damaged: Vec<Damaged>,
    /// Changes taken from the journal.
    pub replayed: u64,
    /// Entries among them whose files are read later, because there are so many.
    pub unread: usize,
    /// Files that were being written, of which nobody was promised anything; removed.
    pub unfinished: usize,
    /// The write that was cut off at the end of the journal, if one was.
    pub torn_tail: Option<TornTail>,
    /// Why the index was made again, if it was.
    pub index_rebuilt: Option<String>,
    /// How long it took.
    pub took: Duration,
}

/// Where the journal ended in the middle of a record: a crash during a write that was not yet answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornTail {
    /// The segment file.
    pub segment: PathBuf,
    /// Bytes from its start.
    pub offset: u64,
}

impl Recovery {
    /// One line for the log, and one for each piece of damage.
    pub(super) fn log(&self, dir: &Path) {
        let (entries, replayed, unfinished, torn) = (self.entries, self.replayed, self.unfinished, self.torn_tail.is_some());
        let (unread, damaged) = (self.unread, self.damaged.len());
        tracing::info!(dir = %dir.display(), entries, unread, replayed, unfinished, torn, damaged, took = ?self.took, "store open");
        if let Some(why) = &self.index_rebuilt {
            tracing::info!(why, "the index is made again, while mail goes on");
        }
        for damaged in &self.damaged {
            tracing::error!(what = damaged.what, id = ?damaged.id, files = ?damaged.files, "damaged, set aside");
        }
    }
}

/// The state after the start, and the segments to go on with.
pub(super) struct Recovered {
    pub state: State,
    pub recovery: Recovery,
    pub sealed: Vec<(Segment, u64)>,
    pub free: Vec<Segment>,
    /// The highest number in the name of a segment file.
    pub names: u64,
    pub ordinal: u64,
    /// The last sequence of the journal that counts.
    pub last: u64,
    /// Entries that the index does not know.
    pub unindexed: Vec<Key>,
    /// Entries that it should not know.
    pub stale: Vec<Key>,
}

struct Work<'a> {
    layout: &'a Layout,
    state: State,
    shelf: Shelf,
    /// Sequences of what the plain files say.
    based: HashMap<Key, u64>,
    removed: HashMap<Key, u64>,
    /// Own files that journal records name.
    named: HashSet<String>,
    cases: Vec<Case>,
    recovery: Recovery,
}

/// How the start goes about it.
pub(super) struct How {
    /// Bytes of mail to keep in memory.
    pub memory: u64,
    /// What the index says.
    pub lines: HashMap<Key, Line>,
    /// How long entries are read that the index does not know; the rest is left for later.
    pub time: Duration,
    /// Clear away and set aside.
    pub write: bool,
}

/// Reads everything. Without `write` nothing on disk is changed, and damage is only listed.
pub(super) fn run(disk: &Disk, layout: &Layout, mut shelf: Shelf, how: How) -> Result<Recovered, StoreError> {
    let write = how.write;
    let seen = shelf.known(layout, how.lines, how.time);
    let mut work = Work {
        layout,
        state: State::new(how.memory),
        shelf,
        based: HashMap::new(),
        removed: HashMap::new(),
        named: HashSet::new(),
        cases: Vec::new(),
        recovery: Recovery::default(),
    };
    work.load(seen.known);
    seen.unread.into_iter().for_each(|(key, unread)| work.state.put_off(key, unread));
    let mut recovered = work.journal()?;
    let mut unfinished = work.settle()?;
    unfinished.append(&mut work.shelf.unfinished);
    unfinished.extend(leftovers(&layout.journal())?);
    work.recovery.unfinished = unfinished.len();
    if write {
        unfinished.iter().try_for_each(|path| disk.remove(path))?;
    }
    for case in std::mem::take(&mut work.cases) {
        let damaged = if write { case.set_aside(disk, layout)? } else { Some(case.listed()) };
        work.recovery.damaged.extend(damaged);
    }
    work.recovery.entries = work.state.len();
    work.recovery.unread = work.state.all_unread().len();
    (recovered.unindexed, recovered.stale) = (seen.unindexed, seen.stale);
    (recovered.state, recovered.recovery) = (work.state, work.recovery);
    Ok(recovered)
}

impl Work<'_> {
    /// Rows for what the plain files say.
    fn load(&mut self, known: HashMap<Key, Known>) {
        for (key, known) in known {
            let sequence = known.facts.sequence;
            self.based.insert(key, sequence);
            let filed = self.shelf.eml(key, known.folder).map_or(known.folder, |(folder, _)| folder);
            // A move between areas that was cut off is finished by the checkpoint.
            let dirty = (filed != known.folder).then_some(sequence);
            let row = Row { facts: known.facts, at: At::File, put: sequence, dirty, filed: Some(filed), entry: known.entry.map(Arc::new) };
            self.state.load(key, row);
        }
    }

    /// Applies what the journal has on top.
    fn journal(&mut self) -> Result<Recovered, StoreError> {
        let mut out = Recovered {
            state: State::new(0),
            recovery: Recovery::default(),
            sealed: Vec::new(),
            free: Vec::new(),
            names: 0,
            ordinal: 0,
            last: 0,
            unindexed: Vec::new(),
            stale: Vec::new(),
        };
        let Segments { used: segments, free, names } = segments(&self.layout.journal())?;
        (out.free, out.names) = (free, names);
        let (scans, horizon) = scan_all(&segments)?;
        if let Some((first, segment)) = segments.first()
            && first.previous_last + 1 > horizon.max(1)
        {
            let what = format!("the journal begins at {} and the files end before {horizon}: a segment is missing", first.first);
            self.cases.push(Case { key: None, what, files: Vec::new(), saved: vec![missing_name(&segment.path)] });
        }
        for ((header, segment), scan) in segments.into_iter().zip(scans) {
            let segment = Arc::new(segment);
            self.replay(&segment, &header, &scan, horizon)?;
            self.state.skip_to(scan.seen);
            (out.last, out.ordinal) = (scan.last, header.ordinal);
            if let Some(offset) = scan.torn {
                self.recovery.torn_tail = Some(TornTail { segment: segment.path.clone(), offset: offset as u64 });
            }
            // The rows that refer to it hold it open by their own handle.
            let own = Segment {
                path: segment.path.clone(),
                file: segment.file.try_clone().map_err(|e| StoreError::io(&segment.path, e))?,
                size: segment.size,
            };
            out.sealed.push((own, scan.last));
        }
        Ok(out)
    }

    fn replay(&mut self, segment: &Arc<Segment>, header: &SegmentHeader, scan: &replay::Scan, horizon: u64) -> Result<(), StoreError> {
        for hole in scan.holes.iter().filter(|hole| hole.to > horizon) {
            let lost = segment.read(hole.offset as u64, hole.length as u64)?;
            self.cases.push(hole_case(header, hole, &segment.path, &lost));
        }
        for found in scan.records.iter().filter(|found| found.header.sequence >= horizon) {
            let payload = segment.read(found.payload as u64, u64::from(found.header.length))?;
            let sequence = found.header.sequence;
            let Some(changes) = decode(&payload) else {
                let hole = Hole { offset: found.payload, length: payload.len(), from: sequence, to: sequence + 1 };
                self.cases.push(hole_case(header, &hole, &segment.path, &payload));
                continue;
            };
            for change in changes {
                self.change(sequence, change, segment, found.payload as u64);
            }
        }
        Ok(())
    }

    fn change(&mut self, sequence: u64, change: Logged, segment: &Arc<Segment>, payload: u64) {
        let (key, effect) = match change {
            Logged::Put { entry, size, crc, at } => {
                let at = match at {
                    LoggedAt::Inline(offset) => At::Journal { segment: segment.clone(), offset: payload + offset as u64, cached: None },
                    LoggedAt::Own(name) => {
                        self.named.insert(name.clone());
                        At::Own(name.into())
                    }
                };
                ((entry.place, entry.id), Effect::Put { entry: Arc::from(entry), size, crc, at })
            }
            Logged::Update(entry) => {
                let key = (entry.place, entry.id);
                if is_end(&entry) {
                    // Its removal may follow in a record that was cut off, and its files be half gone already by an older version, for
                    // which this was the removal.
                    self.removed.insert(key, sequence);
                }
                (key, Effect::Update(Arc::from(entry)))
            }
            Logged::Remove(key) => {
                self.removed.insert(key, sequence);
                (key, Effect::Remove(key))
            }
        };
        self.read_now(key);
        if self.based.get(&key).is_some_and(|based| *based >= sequence) {
            return;
        }
        self.recovery.replayed += 1;
        self.state.apply(sequence, effect, None);
    }

    /// What the journal changes must be known.
    fn read_now(&mut self, key: Key) {
        let Some(unread) = self.state.unread(key) else { return };
        let row = match unread.read(self.layout, key) {
            Ok((row, _)) => Some(row),
            Err(error) => {
                self.shelf.unreadable.insert(key, error.to_string());
                None
            }
        };
        self.based.extend(row.as_ref().map(|row| (key, row.facts.sequence)));
        self.state.adopt(key, row);
    }

    /// Sees that every row has its message, and that every file has its row. Returns what is unfinished.
    fn settle(&mut self) -> Result<Vec<PathBuf>, StoreError> {
        let mut lost = Vec::new();
        let mut over = Vec::new();
        let mut mended = Vec::new();
        let mut live = HashSet::new();
        for (key, row) in self.state.rows() {
            let folder = row.entry.as_ref().map(|entry| Folder::of(entry)).or(row.filed).unwrap_or(Folder(key.0, row.facts.area));
            let eml = self.shelf.eml(*key, folder);
            let fits = eml.filter(|(_, size)| *size == row.facts.size);
            match &row.at {
                At::Own(name) => {
                    live.insert(name.to_string());
                    let path = self.layout.large().join(name.as_ref());
                    if path.metadata().is_ok_and(|metadata| metadata.len() == row.facts.size) {
                    } else if let Some((folder, _)) = fits {
                        mended.push((*key, Some(folder), true));
                    } else if row.entry.as_ref().is_some_and(|entry| is_end(entry)) {
                        // Nobody waits for it: an older version removed it together with its end.
                        over.push(*key);
                    } else {
                        lost.push((*key, format!("its message of {} bytes is not in {}", row.facts.size, path.display())));
                    }
                }
                At::File if fits.is_none() => {
                    let what = match eml {
                        Some((_, size)) => format!("the .eml has {size} bytes, not {}", row.facts.size),
                        None => "there is no .eml beside the .json".to_owned(),
                    };
                    lost.push((*key, what));
                }
                At::Journal { .. } | At::File => {}
            }
            if row.filed.is_none() && self.shelf.files.contains_key(key) {
                mended.push((*key, Some(folder), false));
            }
        }
        for (key, folder, in_file) in mended {
            self.state.mend(key, folder, in_file);
        }
        for key in over {
            self.state.drop_row(key);
        }
        for (key, what) in lost {
            self.lose(key, what);
        }
        self.strays();
        let mut unfinished = Vec::new();
        let holes = self.cases.iter().any(|case| case.key.is_none());
        for name in names(&self.layout.large())?.into_iter().filter(|name| !live.contains(name)) {
            let path = self.layout.large().join(&name);
            match name.starts_with('.') || !holes {
                // What a journal record named and is not live was removed or moved since.
                true => unfinished.push(path),
                false if self.named.contains(&name) => unfinished.push(path),
                false => {
                    let what = format!("message {name} is named by no journal record that can be read");
                    self.cases.push(Case { key: None, what, files: vec![path], saved: Vec::new() });
                }
            }
        }
        Ok(unfinished)
    }

    /// Files without a row.
    fn strays(&mut self) {
        let keys: Vec<Key> =
            self.shelf.files.keys().filter(|key| self.state.row(**key).is_none() && self.state.unread(**key).is_none()).copied().collect();
        for key in keys {
            if self.based.contains_key(&key) || self.cases.iter().any(|case| case.key == Some(key)) {
                // Removed by the journal (and buried by it), or lost.
                continue;
            }
            if let Some(sequence) = self.removed.get(&key) {
                self.state.bury(*sequence, Gone { key, folder: Some(Folder(key.0, None)), own: None });
                continue;
            }
            let what = self.shelf.unreadable.get(&key).cloned().unwrap_or_else(|| "there is no .json beside the .eml".into());
            self.cases.push(Case { key: Some(key), what, files: self.files(key), saved: Vec::new() });
        }
    }

    fn lose(&mut self, key: Key, what: String) {
        let entry = self.state.drop_row(key).and_then(|row| row.entry);
        let saved = entry.and_then(|entry: Arc<Entry>| serde_json::to_vec_pretty(entry.as_ref()).ok());
        let saved = saved.map(|text| (format!("{}-{}-journal.json", key.0.as_str(), key.1), text));
        self.cases.push(Case { key: Some(key), what, files: self.files(key), saved: saved.into_iter().collect() });
    }

    fn files(&self, key: Key) -> Vec<PathBuf> {
        let all = self.shelf.files.get(&key).map(Vec::as_slice).unwrap_or_default();
        let mut paths = Vec::new();
        for files in all {
            paths.extend(files.eml.map(|_| self.layout.eml(files.folder, key.1)));
            paths.extend(files.stamp.map(|_| self.layout.json(files.folder, key.1)));
        }
        paths
    }
}

/// Files in the journal's folder that were being made.
fn leftovers(journal: &Path) -> Result<Vec<PathBuf>, StoreError> {
    Ok(names(journal)?.into_iter().filter(|name| name.starts_with('.')).map(|name| journal.join(name)).collect())
}

/// The segments of a journal.
#[derive(Debug, Default)]
pub(super) struct Segments {
    /// Those that have something, oldest first.
    pub used: Vec<(SegmentHeader, Segment)>,
    pub free: Vec<Segment>,
    /// The highest number in a name.
    pub names: u64,
}

/// Opens all segments.
pub(super) fn segments(folder: &Path) -> Result<Segments, StoreError> {
    let mut all = Segments::default();
    for name in names(folder)?.into_iter().filter(|name| name.ends_with(".seg")) {
        all.names = all.names.max(name.trim_end_matches(".seg").parse().unwrap_or(0));
        let path = folder.join(&name);
        let opened = OpenOptions::new().read(true).write(true).open(&path).or_else(|_| OpenOptions::new().read(true).open(&path));
        let file = opened.map_err(|e| StoreError::io(&path, e))?;
        let size = file.metadata().map_err(|e| StoreError::io(&path, e))?.len();
        let segment = Segment { path, file, size };
        let head = segment.read(0, size.min(SEGMENT_HEADER as u64))?;
        match SegmentHeader::decode(&head) {
            Some(header) => all.used.push((header, segment)),
            None => all.free.push(segment),
        }
    }
    all.used.sort_by_key(|(header, _)| header.ordinal);
    Ok(all)
}

/// Reads all segments, in order, and the highest horizon.
pub(super) fn scan_all(segments: &[(SegmentHeader, Segment)]) -> Result<(Vec<replay::Scan>, u64), StoreError> {
    let mut scans = Vec::new();
    let limits = segments.iter().skip(1).map(|(header, _)| Some(header.previous_last)).chain(std::iter::once(None));
    for ((header, segment), limit) in segments.iter().zip(limits) {
        let bytes = segment.read(0, segment.size)?;
        scans.push(replay::scan(&bytes, header, limit));
    }
    let horizon = scans.iter().map(|scan| scan.horizon).max().unwrap_or(0);
    Ok((scans, horizon))
}
