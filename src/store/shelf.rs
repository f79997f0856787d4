//! What lies in the folders of spool and quarantine at start: pairs of `.eml` and `.json`, and what is left of interrupted work.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::StoreError;
use super::change::Key;
use super::files::{Stamp, read_sheet};
use super::index::{Index, Line};
use super::layout::{Folder, Layout, id_of, names};
use super::state::Facts;
use crate::mail::Entry;

/// Index rows written at once while it is rebuilt.
const BATCH: usize = 256;

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

    /// What the files say of each entry: from the index where it is up to date, else read, and then the index is brought up to date.
    pub(super) fn known(&mut self, layout: &Layout, index: Option<&Index>) -> HashMap<Key, Known> {
        let mut lines: HashMap<Key, Line> = index.map(|index| index.lines().collect()).unwrap_or_default();
        let (mut known, mut fresh) = (HashMap::with_capacity(self.files.len()), Vec::new());
        for (key, all) in &self.files {
            let line = lines.remove(key);
            let simple = all.len() == 1 && all.iter().all(|files| files.eml.is_some());
            for files in all {
                let Some(stamp) = files.stamp else { continue };
                if let (true, Some(line)) = (simple, line.as_ref().filter(|line| line.stamp == stamp)) {
                    known.insert(*key, Known { facts: line.facts.clone(), folder: files.folder, entry: None });
                    continue;
                }
                let (sheet, stamp) = match read_sheet(&layout.json(files.folder, key.1)) {
                    Ok(read) => read,
                    Err(error) => {
                        self.unreadable.insert(*key, error.to_string());
                        continue;
                    }
                };
                let Some(facts) = sheet.facts().filter(|_| sheet.entry.place == key.0) else { continue };
                if known.get(key).is_some_and(|other: &Known| other.facts.sequence >= facts.sequence) {
                    continue;
                }
                if simple {
                    fresh.push((*key, Line { stamp, facts: facts.clone() }, sheet.entry));
                    known.insert(*key, Known { facts, folder: files.folder, entry: None });
                } else {
                    known.insert(*key, Known { facts, folder: files.folder, entry: Some(sheet.entry) });
                }
            }
            if fresh.len() >= BATCH {
                write(index, &mut fresh);
                if known.len().is_multiple_of(BATCH * 40) {
                    tracing::info!(done = known.len(), of = self.files.len(), "reading entries into the index");
                }
            }
        }
        write(index, &mut fresh);
        if let Some(index) = index {
            // Rows without files.
            index.remove(lines.into_keys());
        }
        known
    }
}

fn write(index: Option<&Index>, fresh: &mut Vec<(Key, Line, Entry)>) {
    if let Some(index) = index {
        index.put(fresh.iter().map(|(key, line, entry)| (*key, Line { stamp: line.stamp, facts: line.facts.clone() }, entry)));
    }
    fresh.clear();
}
