//! Verify: reads everything that lies in the data directory and compares it with what was written. Changes nothing, and may run while
//! mail goes on: what seems wrong is looked at twice, since things move between journal and files.

use std::collections::{HashMap, HashSet};
use std::fs::Metadata;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::Key;
use super::damage::Damaged;
use super::files::Stamp;
use super::index::{IndexState, Line};
use super::layout::{Folder, id_of, names};
use super::recover::{TornTail, scan_all, segments};
use super::state::At;
use super::{Shared, Store, StoreError, lock};
use crate::mail::{Area, Place};

/// Between two looks at what seems wrong.
const PAUSE: Duration = Duration::from_millis(300);
/// Looks at what seems wrong.
const LOOKS: usize = 4;
/// A file of the journal's folder that is younger than this may be one that is being written.
const YOUNG: Duration = Duration::from_secs(60);

/// How many, and how many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Bytes of the messages or files.
    pub bytes: u64,
}

impl Tally {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// What reading everything has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Messages that are byte for byte what was written, and their envelopes: in plain files.
    pub files: Tally,
    /// The same, still in the journal (or in a file of their own beside it).
    pub journal: Tally,
    /// What was promised and is not what was written.
    pub damaged: Vec<Damaged>,
    /// Files whose writing was cut off; nobody was promised them, the next start removes them.
    pub unfinished: Vec<PathBuf>,
    /// Files in our folders that belong to no message.
    pub orphaned: Vec<PathBuf>,
    /// Things that earlier starts set aside in `damaged/`.
    pub set_aside: u64,
    /// Files of the journal that have something, and their bytes.
    pub segments: Tally,
    /// Records in them whose checksum was right.
    pub journal_records: u64,
    /// Where the journal ends in the middle of a write that nobody was answered.
    pub torn_tail: Option<TornTail>,
    /// Records of what happened that could be read.
    pub records: u64,
    /// Lines among them that could not: cut off by a crash, or damaged.
    pub records_unreadable: u64,
    /// How the index stands; `None` where the store was read without one.
    pub index: Option<IndexState>,
    /// Rows of the index that are as the files are.
    pub index_right: u64,
    /// Rows of the index that are older than the files, and entries that it lacks: they are read from their files.
    pub index_stale: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Verified {
    /// Nothing is damaged, nothing belongs to nobody, and the index can be used.
    pub fn is_whole(&self) -> bool {
        self.damaged.is_empty() && self.orphaned.is_empty() && !matches!(self.index, Some(IndexState::Broken { .. }))
    }
}

impl Store {
    /// Reads everything and compares it with what was written. Blocks for as long as that takes. `progress` is called with how many
    /// messages of how many are done.
    pub fn verify(&self, mut progress: impl FnMut(usize, usize)) -> Result<Verified, StoreError> {
        let (begun, shared) = (Instant::now(), &self.shared);
        let mut verified = Verified::default();
        let keys: Vec<Key> = {
            let state = lock(&shared.state);
            state.rows().map(|(key, _)| *key).chain(state.all_unread()).collect()
        };
        for (done, key) in keys.iter().enumerate() {
            progress(done, keys.len());
            shared.verifying.0.store(done, Ordering::Relaxed);
            shared.verifying.1.store(keys.len(), Ordering::Relaxed);
            shared.verify_one(*key, &mut verified);
        }
        progress(keys.len(), keys.len());
        shared.verifying.1.store(0, Ordering::Relaxed);
        verified.damaged.extend(shared.take_damaged_here());
        shared.verify_journal(&mut verified)?;
        shared.verify_folders(&mut verified)?;
        shared.verify_index(&mut verified);
        let scanned = self.scan_records(Timestamp::MIN, None, &mut |_| ControlFlow::Continue(()))?;
        (verified.records, verified.records_unreadable) = (scanned.records, scanned.unreadable);
        let named = |name: &String| !name.ends_with(".txt");
        verified.set_aside = names(&shared.layout.damaged())?.iter().filter(|name| named(name)).count() as u64;
        verified.took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(verified)
    }
}

impl Shared {
    /// A message and its envelope.
    fn verify_one(&self, key: Key, verified: &mut Verified) {
        let what = match self.bytes(key) {
            // It went meanwhile.
            Err(StoreError::Missing(..)) => return,
            Err(error) => error.to_string(),
            Ok(_) if self.get(key).is_none() && self.row(key).is_ok() => "its .json cannot be read".into(),
            Ok(bytes) => {
                let filed = self.row(key).is_ok_and(|row| matches!(row.at, At::File) && row.dirty.is_none());
                let tally = if filed { &mut verified.files } else { &mut verified.journal };
                return tally.add(bytes.len() as u64);
            }
        };
        let files = self.paths(key);
        verified.damaged.push(Damaged { id: Some(key.1), place: Some(key.0), what, files });
    }

    /// Entries that were read only now and are damaged: nobody else is told where no gateway runs.
    fn take_damaged_here(&self) -> Vec<Damaged> {
        if self.writes { lock(&self.damaged).clone() } else { self.take_damaged() }
    }

    /// Every checksum of the journal.
    fn verify_journal(&self, verified: &mut Verified) -> Result<(), StoreError> {
        let mut before: Option<Vec<Damaged>> = None;
        for _ in 0..LOOKS {
            let found = segments(&self.layout.journal())?.used;
            let (scans, horizon) = scan_all(&found)?;
            let (mut holes, mut records) = (Vec::new(), 0);
            verified.segments = Tally::default();
            for ((_, segment), scan) in found.iter().zip(&scans) {
                verified.segments.add(segment.size);
                records += scan.records.len() as u64;
                // What is before the horizon is in files.
                for hole in scan.holes.iter().filter(|hole| hole.to > horizon) {
                    let what = format!("journal records {} to {} cannot be read, at byte {}", hole.from, hole.to - 1, hole.offset);
                    holes.push(Damaged { id: None, place: None, what, files: vec![segment.path.clone()] });
                }
                verified.torn_tail = scan.torn.map(|offset| TornTail { segment: segment.path.clone(), offset: offset as u64 });
            }
            verified.journal_records = records;
            if self.writes {
                // A running writer's last record is not there yet: no tail was cut off.
                verified.torn_tail = None;
            }
            if holes.is_empty() || !self.writes || before.as_ref() == Some(&holes) {
                verified.damaged.extend(holes);
                return Ok(());
            }
            // A segment that was being written, or was used again, while it was read.
            before = Some(holes);
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Files that belong to no message.
    fn verify_folders(&self, verified: &mut Verified) -> Result<(), StoreError> {
        let mut suspects: Option<HashMap<PathBuf, bool>> = None;
        for look in 0..LOOKS {
            let now = self.suspects()?;
            suspects = Some(match suspects {
                None => now,
                Some(before) => now.into_iter().filter(|(path, _)| before.contains_key(path)).collect(),
            });
            if suspects.as_ref().is_none_or(HashMap::is_empty) || !self.writes {
                break;
            }
            if look + 1 < LOOKS {
                std::thread::sleep(PAUSE);
            }
        }
        let damaged: Vec<PathBuf> = verified.damaged.iter().flat_map(|damaged| damaged.files.clone()).collect();
        for (path, unfinished) in suspects.into_iter().flatten().filter(|(path, _)| !damaged.contains(path)) {
            if unfinished { &mut verified.unfinished } else { &mut verified.orphaned }.push(path);
        }
        verified.unfinished.sort();
        verified.orphaned.sort();
        Ok(())
    }

    /// Files that nothing refers to just now; `true`: their writing was cut off.
    fn suspects(&self) -> Result<HashMap<PathBuf, bool>, StoreError> {
        // The checkpoint moves files about.
        let _no_round = lock(&self.rounds);
        let mut suspects = HashMap::new();
        let (live, going) = {
            let state = lock(&self.state);
            let buried: Vec<_> = state.buried().into_iter().map(|(_, gone)| gone).collect();
            let own = state.rows().filter_map(|(_, row)| if let At::Own(name) = &row.at { Some(name.to_string()) } else { None });
            let live: HashSet<String> = own.chain(buried.iter().filter_map(|gone| Some(gone.own.as_ref()?.to_string()))).collect();
            (live, buried.into_iter().map(|gone| gone.key).collect::<HashSet<Key>>())
        };
        for folder in Folder::all() {
            let path = self.layout.folder(folder);
            for name in names(&path)? {
                let unfinished = name.starts_with('.') && name.ends_with(".tmp");
                let ours = name.rsplit_once('.').filter(|(_, extension)| ["eml", "json"].contains(extension));
                let id = ours.and_then(|(stem, _)| id_of(stem));
                if unfinished || id.is_some_and(|id| !going.contains(&(folder.0, id)) && !self.is_known((folder.0, id))) {
                    suspects.insert(path.join(name), unfinished);
                }
            }
        }
        for folder in [self.layout.large(), self.layout.journal()] {
            for name in names(&folder)? {
                let unfinished = name.starts_with('.');
                let unnamed = name.ends_with(".eml") && !live.contains(&name);
                let path = folder.join(&name);
                if (unfinished || unnamed) && (!self.writes || path.metadata().is_ok_and(|metadata| is_old(&metadata))) {
                    // Own files that no record names were never promised.
                    suspects.insert(path, true);
                }
            }
        }
        Ok(suspects)
    }

    fn is_known(&self, key: Key) -> bool {
        let state = lock(&self.state);
        state.row(key).is_some() || state.unread(key).is_some()
    }

    /// The index against the files.
    fn verify_index(&self, verified: &mut Verified) {
        verified.index = self.writes.then(|| self.index.state());
        if !self.index.is_used() {
            return;
        }
        let lines: HashMap<Key, Line> = self.index.lines().unwrap_or_default();
        let rows = lock(&self.state).filed();
        for (key, sequence) in rows {
            let right = lines.get(&key).is_some_and(|line| {
                let area = (key.0 == Place::Quarantine).then(|| line.facts.area.unwrap_or(Area::Held));
                let json = self.layout.json(Folder(key.0, area), key.1);
                line.facts.sequence == sequence && json.metadata().is_ok_and(|metadata| Stamp::of(&metadata) == line.stamp)
            });
            *(if right { &mut verified.index_right } else { &mut verified.index_stale }) += 1;
        }
        verified.index = Some(self.index.state());
    }
}

fn is_old(metadata: &Metadata) -> bool {
    metadata.modified().ok().and_then(|at| at.elapsed().ok()).is_some_and(|age| age > YOUNG)
}
