//! What lies in the folders of spool and quarantine at start: pairs of `.eml` and `.json`, and what is left of interrupted work.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::StoreError;
use super::change::Key;
use super::files::{Stamp, read_sheet};
use super::index::Line;
use super::layout::{Folder, Layout, id_of, names};
use super::state::{Facts, Unread};
use crate::mail::Entry;

/// The files of one entry in one folder.
#[derive(Debug)]
pub(super) struct Files {
    pub folder: Folder,
    /// The `.json`.
    pub stamp: Option<Stamp>,
    /// Bytes of the `.eml`.
    pub eml: Option<u64>,
}

/// What the files of one entry say.
#[derive(Debug)]
pub(super) struct Known {
    pub facts: Facts,
    /// Where the `.json` lies.
    pub folder: Folder,
    /// Only if the message lies in another folder: what was known had to be read then.
    pub entry: Option<Entry>,
}

/// What was found out about the files at start.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub known: HashMap<Key, Known>,
    /// For later.
    pub unread: Vec<(Key, Unread)>,
    /// Known, and not in the index.
    pub unindexed: Vec<Key>,
    /// In the index, and there are no files.
    pub stale: Vec<Key>,
}

/// All files of all folders.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub files: BTreeMap<Key, Vec<Files>>,
    /// Files whose writing was cut off.
    pub unfinished: Vec<PathBuf>,
    /// Entries whose `.json` cannot be read, and why.
    pub unreadable: HashMap<Key, String>,
}

impl Shelf {
    /// Lists the folders.
    pub(super) fn list(layout: &Layout) -> Result<Self, StoreError> {
        let mut shelf = Self::default();
        for folder in Folder::all() {
            let path = layout.folder(folder);
            for name in names(&path)? {
                shelf.sort(folder, path.join(&name), &name)?;
            }
        }
        Ok(shelf)
    }

    fn sort(&mut self, folder: Folder, path: PathBuf, name: &str) -> Result<(), StoreError> {
        if name.starts_with('.') && name.ends_with(".tmp") {
            self.unfinished.push(path);
            return Ok(());
        }
        let Some((id, extension)) = name.rsplit_once('.').and_then(|(stem, extension)| Some((id_of(stem)?, extension))) else {
            return Ok(());
        };
        let metadata = path.symlink_metadata().map_err(|e| StoreError::io(&path, e))?;
        let all = self.files.entry((folder.0, id)).or_default();
        let at = all.iter().position(|files| files.folder == folder).unwrap_or_else(|| {
            all.push(Files { folder, stamp: None, eml: None });
            all.len() - 1
        });
        if let Some(files) = all.get_mut(at) {
            match extension {
                "eml" => files.eml = Some(metadata.len()),
                "json" => files.stamp = Some(Stamp::of(&metadata)),
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the message of an entry lies, and its size: in this folder, or in another (a move between areas was cut off).
    pub(super) fn eml(&self, key: Key, first: Folder) -> Option<(Folder, u64)> {
        let all = self.files.get(&key)?;
        let lies = |files: &Files| Some((files.folder, files.eml?));
        all.iter().filter(|files| files.folder == first).find_map(lies).or_else(|| all.iter().find_map(lies))
    }

    /// What the files say of each entry: from the index where it is up to date, else they are read, for as long as `time` lasts; the rest
    /// is left for later.
    pub(super) fn known(&mut self, layout: &Layout, mut lines: HashMap<Key, Line>, time: Duration) -> Seen {
        let begun = Instant::now();
        let mut seen = Seen { known: HashMap::with_capacity(self.files.len()), ..Seen::default() };
        for (key, all) in &self.files {
            let line = lines.remove(key);
            let simple = if let [files] = all.as_slice() {
                files.stamp.zip(files.eml).map(|(stamp, size)| (files.folder, stamp, size))
            } else {
                None
            };
            if let Some((folder, stamp, size)) = simple {
                if let Some(line) = line.filter(|line| line.stamp == stamp) {
                    seen.known.insert(*key, Known { facts: line.facts, folder, entry: None });
                    continue;
                }
                if begun.elapsed() >= time {
                    seen.unread.push((*key, Unread { folder, size }));
                    continue;
                }
                seen.unindexed.push(*key);
            }
            for files in all.iter().filter(|files| files.stamp.is_some()) {
                let sheet = match read_sheet(&layout.json(files.folder, key.1)) {
                    Ok((sheet, _)) => sheet,
                    Err(error) => {
                        self.unreadable.insert(*key, error.to_string());
                        continue;
                    }
                };
                let Some(facts) = sheet.facts().filter(|_| sheet.entry.place == key.0) else { continue };
                if seen.known.get(key).is_some_and(|other: &Known| other.facts.sequence >= facts.sequence) {
                    continue;
                }
                let entry = simple.is_none().then_some(sheet.entry);
                seen.known.insert(*key, Known { facts, folder: files.folder, entry });
            }
        }
        seen.stale = lines.into_keys().collect();
        seen
    }
}
