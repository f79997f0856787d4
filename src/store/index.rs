//! The index: what can be looked up without opening a file for each entry. The only home of sled.
//!
//! Nothing promised rests on it: sled's flush never syncs on Linux. A row counts only if it carries the stamp of the `.json`
//! file that is there; any other is read anew. An index that cannot be opened is moved aside and made again. An index that breaks
//! while we run is left alone: entries are read from their files then.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use super::change::Key;
use super::files::Stamp;
use super::state::Facts;
use crate::mail::{Entry, MessageId, Place};

/// The form of the index; another one is made again.
const FORMAT: &[u8] = b"mailweir index 1";
/// Bytes of pages that sled keeps in memory.
const CACHE: u64 = 8 << 20;

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    db: sled::Db,
    entries: sled::Tree,
    broken: AtomicBool,
}

/// The first line of a value; the entry's JSON follows.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub stamp: Stamp,
    pub facts: Facts,
}

impl Index {
    /// Opens the index; if that cannot be done, moves it aside and begins a new one; if that cannot be done either (a full disk), goes
    /// without. The text says why.
    pub(super) fn open(path: &Path) -> (Option<Self>, Option<String>) {
        let missing = !path.exists();
        let why = match Self::try_open(path) {
            Ok(index) => return (Some(index), missing.then(|| "there was none".to_owned())),
            Err(why) => why,
        };
        let aside = aside(path);
        // Of earlier broken ones none is of use.
        let _ = std::fs::remove_dir_all(&aside);
        let moved = std::fs::rename(path, &aside).or_else(|_| std::fs::remove_dir_all(path)).map_err(|e| e.to_string());
        let index = moved.and_then(|()| Self::try_open(path));
        if let Err(error) = &index {
            tracing::error!(error, path = %path.display(), "no index: entries are read from their files");
        }
        (index.ok(), Some(why))
    }

    fn try_open(path: &Path) -> Result<Self, String> {
        // sled has been seen to panic on damaged files.
        let open = || sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(Some(1_000)).open();
        let mut opened = std::panic::catch_unwind(AssertUnwindSafe(open));
        // Threads of a database that this process just closed may hold its lock a little longer; ours on the data directory is taken.
        for _ in 0..100 {
            match &opened {
                Ok(Err(sled::Error::Io(error))) if error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("lock") => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    opened = std::panic::catch_unwind(AssertUnwindSafe(open));
                }
                _ => break,
            }
        }
        let db = opened.map_err(|_| "sled panicked on it".to_owned())?.map_err(|e| e.to_string())?;
        let entries = db.open_tree("entries").map_err(|e| e.to_string())?;
        match db.get("format").map_err(|e| e.to_string())? {
            Some(format) if format.as_ref() == FORMAT => {}
            Some(format) => return Err(format!("it is of another version ({})", String::from_utf8_lossy(&format))),
            None if entries.is_empty() => {
                db.insert("format", FORMAT).map_err(|e| e.to_string())?;
            }
            None => return Err("it has no version".to_owned()),
        }
        Ok(Self { db, entries, broken: AtomicBool::new(false) })
    }

    /// The entry, if the index has this state of it.
    pub(super) fn get(&self, key: Key, sequence: u64) -> Option<Entry> {
        let value = self.watch(self.entries.get(name(key)))??;
        let (line, entry) = split(&value)?;
        let line: Line = serde_json::from_slice(line).ok()?;
        (line.facts.sequence == sequence).then(|| serde_json::from_slice(entry).ok())?
    }

    /// Writes rows; an error is logged, not told.
    pub(super) fn put<'a>(&self, rows: impl IntoIterator<Item = (Key, Line, &'a Entry)>) {
        let mut batch = sled::Batch::default();
        for (key, line, entry) in rows {
            let (Ok(mut value), Ok(entry)) = (serde_json::to_vec(&line), serde_json::to_vec(entry)) else { continue };
            value.push(b'\n');
            value.extend_from_slice(&entry);
            batch.insert(name(key).as_slice(), value);
        }
        self.watch(self.entries.apply_batch(batch));
    }

    /// Removes rows; an error is logged, not told: a row without files counts for nothing.
    pub(super) fn remove(&self, keys: impl IntoIterator<Item = Key>) {
        let mut batch = sled::Batch::default();
        for key in keys {
            batch.remove(name(key).as_slice());
        }
        self.watch(self.entries.apply_batch(batch));
    }

    /// What every readable row says, without the entries.
    pub(super) fn lines(&self) -> impl Iterator<Item = (Key, Line)> {
        self.entries.iter().map_while(|row| self.watch(row)).filter_map(|(name, value)| {
            let line = serde_json::from_slice(split(&value)?.0).ok()?;
            Some((key(&name)?, line))
        })
    }

    /// Hands everything to the operating system. Not for the reactor.
    pub(super) fn flush(&self) {
        self.watch(self.db.flush());
    }

    /// Says once that the index is broken.
    fn watch<T>(&self, result: sled::Result<T>) -> Option<T> {
        result
            .inspect_err(|error| {
                if !self.broken.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the index is broken; entries are read from their files until the next start makes a new one");
                }
            })
            .ok()
    }
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("sled.old")
}

fn split(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'\n', value)?;
    value.split_at_checked(at).map(|(line, rest)| (line, rest.get(1..).unwrap_or_default()))
}

fn name((place, id): Key) -> [u8; 9] {
    let mut name = [match place {
        Place::Spool => b's',
        Place::Quarantine => b'q',
    }; 9];
    name[1..].copy_from_slice(&id.to_u64().to_be_bytes());
    name
}

fn key(name: &[u8]) -> Option<Key> {
    let (place, id) = name.split_first()?;
    let place = match place {
        b's' => Place::Spool,
        b'q' => Place::Quarantine,
        _ => return None,
    };
    Some((place, MessageId::from_u64(u64::from_be_bytes(id.try_into().ok()?))))
}

#[cfg(test)]
mod tests {
    use super::super::testing::entry;
    use super::*;

    fn line(dir: &Path, sequence: u64, entry: &Entry) -> Line {
        Line { stamp: Stamp::of(&dir.metadata().unwrap()), facts: Facts::of(entry, sequence, 10, 7) }
    }

    #[test]
    fn rows_read_back_until_the_entry_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sled");
        let entry = entry(Place::Quarantine);
        let key = (entry.place, entry.id);
        {
            let (index, why) = Index::open(&path);
            let index = index.unwrap();
            assert_eq!(why.as_deref(), Some("there was none"));
            index.put([(key, line(dir.path(), 5, &entry), &entry)]);
            assert_eq!(index.get(key, 5), Some(entry.clone()));
            assert_eq!(index.get(key, 6), None, "a later state is not in it");
            assert_eq!(index.get((Place::Spool, entry.id), 5), None);
            index.flush();
        }
        let (index, why) = Index::open(&path);
        let index = index.unwrap();
        assert_eq!(why, None);
        let lines: Vec<_> = index.lines().collect();
        assert_eq!((lines.len(), lines[0].0, lines[0].1.facts.sequence), (1, key, 5));
        index.remove([key]);
        assert_eq!(index.get(key, 5), None);
    }

    #[test]
    fn another_version_or_garbage_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.sled");
        Index::open(&path).0.unwrap().db.insert("format", b"mailweir index 0").unwrap();
        let (index, why) = Index::open(&path);
        let index = index.unwrap();
        assert!(why.unwrap().contains("another version"));
        drop(index);
        for file in ["db", "conf"] {
            std::fs::write(path.join(file), [0xFF; 4096]).unwrap();
        }
        let (index, why) = Index::open(&path);
        assert!(index.is_some());
        assert!(why.is_some() && aside(&path).exists());
    }
}
