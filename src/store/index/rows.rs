//! The rows of the index in sled. The only home of sled. Everything here may block, panic or never end on damaged files: only
//! `index.rs` calls it, from threads of its own.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::change::Key;
use super::super::files::Stamp;
use super::super::state::Facts;
use crate::mail::{Entry, MessageId, Place};

/// The form of the index; another one is made again.
const FORMAT: &[u8] = b"mailweir index 1";
/// Bytes of pages that sled keeps in memory. The index is written in batches and read from end to end: a cache is of no use.
const CACHE: u64 = 64 << 10;

/// The open index.
#[derive(Debug)]
pub(in crate::store) struct Rows {
    db: sled::Db,
    entries: sled::Tree,
}

/// The first line of a value; the entry's JSON follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct Line {
    pub stamp: Stamp,
    pub facts: Facts,
}

impl Rows {
    /// Opens the index, or makes an empty one. The text says why it cannot be used.
    pub(in crate::store) fn open(path: &Path) -> Result<Self, String> {
        let open = || sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None).open();
        let mut opened = open();
        // Threads of a database that this process just closed may hold its lock a little longer; ours on the data directory is taken.
        for _ in 0..100 {
            match &opened {
                Err(sled::Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock || error.to_string().contains("lock") => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    opened = open();
                }
                _ => break,
            }
        }
        let db = opened.map_err(|e| e.to_string())?;
        let entries = db.open_tree("entries").map_err(|e| e.to_string())?;
        match db.get("format").map_err(|e| e.to_string())? {
            Some(format) if format.as_ref() == FORMAT => {}
            Some(format) => return Err(format!("it is of another version ({})", String::from_utf8_lossy(&format))),
            None if entries.is_empty() => {
                db.insert("format", FORMAT).map_err(|e| e.to_string())?;
            }
            None => return Err("it has no version".to_owned()),
        }
        Ok(Self { db, entries })
    }

    /// Writes rows, and removes those without a value; then hands everything to the operating system.
    pub(super) fn write(&self, rows: impl IntoIterator<Item = (Key, Option<Vec<u8>>)>) -> Result<(), String> {
        let mut batch = sled::Batch::default();
        for (key, value) in rows {
            match value {
                Some(value) => batch.insert(name(key).as_slice(), value),
                None => batch.remove(name(key).as_slice()),
            }
        }
        self.entries.apply_batch(batch).and_then(|()| self.db.flush()).map(|_| ()).map_err(|e| e.to_string())
    }

    /// The entry, if the index has this state of it.
    pub(super) fn get(&self, key: Key, sequence: u64) -> Result<Option<Entry>, String> {
        let Some(value) = self.entries.get(name(key)).map_err(|e| e.to_string())? else { return Ok(None) };
        let Some((line, entry)) = split(&value) else { return Ok(None) };
        let fits = serde_json::from_slice::<Line>(line).is_ok_and(|line| line.facts.sequence == sequence);
        Ok(if fits { serde_json::from_slice(entry).ok() } else { None })
    }

    /// Hands on what every readable row says, without the entries, in batches.
    pub(super) fn lines(&self, batch: usize, mut f: impl FnMut(Vec<(Key, Line)>)) -> Result<(), String> {
        let mut lines = Vec::with_capacity(batch);
        for row in self.entries.iter() {
            let (name, value) = row.map_err(|e| e.to_string())?;
            let line = split(&value).and_then(|(line, _)| serde_json::from_slice(line).ok());
            lines.extend(key(&name).zip(line));
            if lines.len() >= batch {
                f(std::mem::take(&mut lines));
            }
        }
        f(lines);
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn set_format(&self, format: &[u8]) {
        self.db.insert("format", format).unwrap();
        self.db.flush().unwrap();
    }
}

/// A row's value; `None` if it has no JSON form.
pub(super) fn value(line: &Line, entry: &Entry) -> Option<Vec<u8>> {
    let mut value = serde_json::to_vec(line).ok()?;
    value.push(b'\n');
    serde_json::to_writer(&mut value, entry).ok()?;
    Some(value)
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
