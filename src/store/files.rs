//! Entries as plain files: `ID.eml`, exactly the bytes that came, and `ID.json`, what we know about them. And the messages that
//! are too big for the journal, which get their file at once.
//!
//! Every file is written under another name, synced and renamed, so that what has the right name is whole.

use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::layout::{Folder, Layout};
use super::state::Facts;
use super::{StoreError, crash};
use crate::mail::{Entry, MessageId};

/// The form of the `.json` files; a higher one is from a newer version of the program.
const FORMAT: u32 = 1;

/// What a `.json` file says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sheet {
    /// The form of the file.
    pub format: u32,
    /// The journal sequence that this state is from: the higher one of journal and file counts.
    pub sequence: u64,
    /// Bytes of the `.eml`.
    pub size: u64,
    /// crc32 of the `.eml`, in hex.
    pub crc32: String,
    /// The entry.
    pub entry: Entry,
}

impl Sheet {
    pub(super) fn facts(&self) -> Option<Facts> {
        let crc = u32::from_str_radix(&self.crc32, 16).ok()?;
        Some(Facts::of(&self.entry, self.sequence, self.size, crc))
    }
}

/// Tells one version of a file from another without reading it (each is written anew and renamed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        Self { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()), size: metadata.len() }
    }
}

/// Reads an entry's `.json`.
pub(super) fn read_sheet(path: &Path) -> Result<(Sheet, Stamp), StoreError> {
    let file = File::open(path).map_err(|e| StoreError::io(path, e))?;
    let stamp = Stamp::of(&file.metadata().map_err(|e| StoreError::io(path, e))?);
    let text = std::io::read_to_string(file).map_err(|e| StoreError::io(path, e))?;
    let damaged = |what: String| StoreError::Damaged { what: format!("{}: {what}", path.display()) };
    let sheet: Sheet = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if sheet.format > FORMAT {
        return Err(damaged(format!("format {} is from a newer version of the program", sheet.format)));
    }
    let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if name != Some(sheet.entry.id.to_string()) {
        return Err(damaged(format!("it is about {}", sheet.entry.id)));
    }
    if sheet.facts().is_none() {
        return Err(damaged(format!("crc32 {:?} is no number in hex", sheet.crc32)));
    }
    Ok((sheet, stamp))
}

/// A file that was written under another name and waits for its sync and its rename.
#[derive(Debug)]
pub(super) struct Draft {
    /// Closed at once where many are synced together.
    file: Option<File>,
    stamp: Stamp,
    temporary: PathBuf,
    path: PathBuf,
}

impl Draft {
    fn write(disk: &Disk, path: PathBuf, bytes: &[u8]) -> Result<Self, StoreError> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let temporary = path.with_file_name(format!(".{name}.tmp"));
        let file = disk.create(&temporary)?;
        let written = disk.write(&file, &temporary, &mut [IoSlice::new(bytes)]);
        let stamp = written.and_then(|()| file.metadata().map_err(|e| StoreError::io(&temporary, e)));
        match stamp {
            Ok(metadata) => Ok(Self { file: Some(file), stamp: Stamp::of(&metadata), temporary, path }),
            Err(error) => {
                let _ = std::fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// `ID.eml` of an entry.
    pub(super) fn eml(disk: &Disk, layout: &Layout, folder: Folder, id: MessageId, bytes: &[u8]) -> Result<Self, StoreError> {
        Self::write(disk, layout.eml(folder, id), bytes)
    }

    /// `ID.json` of an entry.
    pub(super) fn json(disk: &Disk, layout: &Layout, folder: Folder, facts: &Facts, entry: &Entry) -> Result<Self, StoreError> {
        let sheet =
            Sheet { format: FORMAT, sequence: facts.sequence, size: facts.size, crc32: format!("{:08x}", facts.crc), entry: entry.clone() };
        let mut text = serde_json::to_vec_pretty(&sheet).map_err(|e| StoreError::Damaged { what: format!("entry {}: {e}", entry.id) })?;
        text.push(b'\n');
        Self::write(disk, layout.json(folder, entry.id), &text)
    }

    pub(super) fn sync(&self, disk: &Disk) -> Result<(), StoreError> {
        self.file.iter().try_for_each(|file| disk.sync(file, &self.temporary))
    }

    /// Not to be synced by itself.
    pub(super) fn close(mut self) -> Self {
        self.file = None;
        self
    }

    pub(super) fn rename(self, disk: &Disk) -> Result<Stamp, StoreError> {
        disk.rename(&self.temporary, &self.path)?;
        Ok(self.stamp)
    }
}

/// A message in `journal/large/`, synced. Removed again when dropped, unless a journal record names it.
#[derive(Debug)]
pub(super) struct OwnFile {
    pub name: Arc<str>,
    pub size: u64,
    pub crc: u32,
    path: PathBuf,
    kept: bool,
}

impl OwnFile {
    /// Writes the message and syncs file and folder. Takes as long as the disk needs: not for the reactor.
    pub(super) fn write(disk: &Disk, layout: &Layout, id: MessageId, bytes: &Bytes) -> Result<Self, StoreError> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        // Unlike any name of an earlier process, whose files may still be referred to.
        let started = jiff::Timestamp::now().as_nanosecond();
        let name = format!("{id}-{started:x}-{}.eml", SERIAL.fetch_add(1, Ordering::Relaxed));
        let folder = layout.large();
        let path = folder.join(&name);
        let draft = Draft::write(disk, path.clone(), bytes)?;
        let mut own =
            Self { name: name.into(), size: bytes.len() as u64, crc: crc32fast::hash(bytes), path: draft.temporary.clone(), kept: false };
        crash::point("commit.large.after_write");
        draft.sync(disk)?;
        draft.rename(disk)?;
        own.path = path;
        disk.sync_dir(&folder)?;
        crash::point("commit.large.after_link");
        Ok(own)
    }

    /// A synced journal record names it now.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Reads a message and checks that it is what was written.
pub(super) fn read_message(path: &Path, facts: &Facts) -> Result<Bytes, StoreError> {
    let bytes = Bytes::from(std::fs::read(path).map_err(|e| StoreError::io(path, e))?);
    check_message(&bytes, facts, || path.display().to_string())?;
    Ok(bytes)
}

/// Whether these are the bytes that were written.
pub(super) fn check_message(bytes: &Bytes, facts: &Facts, place: impl FnOnce() -> String) -> Result<(), StoreError> {
    if bytes.len() as u64 == facts.size && crc32fast::hash(bytes) == facts.crc {
        return Ok(());
    }
    let what = format!("{}: {} bytes, not the {} that were written (crc32 {:08x})", place(), bytes.len(), facts.size, facts.crc);
    Err(StoreError::Damaged { what })
}
