//! Damage: what the store was trusted with and cannot give back as it was. It is moved to `damaged/` with a text that says what is
//! wrong, and listed; never dropped.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StoreError;
use super::change::Key;
use super::disk::Disk;
use super::frame::SegmentHeader;
use super::layout::Layout;
use super::replay::Hole;
use crate::mail::{MessageId, Place};

/// Something that the store was trusted with and cannot give back as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// Which message; `None` where not even that can be read.
    pub id: Option<MessageId>,
    /// Which of our two keeps had it.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
    /// Where what is left of it lies now.
    pub files: Vec<PathBuf>,
}

/// Damage as it was found, to be set aside.
pub(super) struct Case {
    pub key: Option<Key>,
    pub what: String,
    pub files: Vec<PathBuf>,
    /// What lies in no file of its own, with the name it shall get.
    pub saved: Vec<(String, Vec<u8>)>,
}

impl Case {
    pub(super) fn listed(&self) -> Damaged {
        let (place, id) = self.key.unzip();
        Damaged { id, place, what: self.what.clone(), files: self.files.clone() }
    }

    /// Moves what is left of something damaged to `damaged/`, with a text beside it. `None` if an earlier start did so already.
    pub(super) fn set_aside(self, disk: &Disk, layout: &Layout) -> Result<Option<Damaged>, StoreError> {
        let folder = layout.damaged();
        let mut files = Vec::new();
        for (name, bytes) in &self.saved {
            let path = folder.join(name);
            if self.files.is_empty() && path.exists() {
                return Ok(None);
            }
            let file = disk.create(&path)?;
            disk.write(&file, &path, &mut [std::io::IoSlice::new(bytes)])?;
            disk.sync(&file, &path)?;
            files.push(path);
        }
        for from in &self.files {
            let below = from.strip_prefix(layout.root()).unwrap_or(from);
            let name = below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("-");
            let to = (0..).map(|n| folder.join(if n == 0 { name.clone() } else { format!("{n}-{name}") })).find(|path| !path.exists());
            let Some(to) = to else { continue };
            disk.rename(from, &to)?;
            files.push(to);
        }
        let damaged = Damaged { files, ..self.listed() };
        let text = files_text(&damaged);
        if let Some(first) = damaged.files.first() {
            let path = PathBuf::from(format!("{}.txt", first.display()));
            std::fs::write(&path, text).map_err(|e| StoreError::io(&path, e))?;
        }
        disk.sync_dir(&folder)?;
        Ok(Some(damaged))
    }
}

fn files_text(damaged: &Damaged) -> String {
    let id = damaged.id.map_or("not known".to_owned(), |id| id.to_string());
    let mut text = format!("Set aside at {}.\nMessage: {id}\nWhat is wrong: {}\nWhat is left:\n", jiff::Timestamp::now(), damaged.what);
    for file in &damaged.files {
        text.push_str(&format!("  {}\n", file.display()));
    }
    text
}

/// Damage in the journal: the bytes are saved as they are, and what ids can be seen in them are named.
pub(super) fn hole_case(header: &SegmentHeader, hole: &Hole, path: &Path, lost: &[u8]) -> Case {
    let ids: Vec<String> = memchr::memmem::find_iter(lost, b"{\"id\":\"")
        .filter_map(|at| std::str::from_utf8(lost.get(at + 7..at + 19)?).ok()?.parse::<MessageId>().ok())
        .map(|id| id.to_string())
        .collect();
    let about = if ids.is_empty() { String::new() } else { format!("; about {}", ids.join(", ")) };
    let what =
        format!("journal records {} to {} cannot be read ({}, at byte {}){about}", hole.from, hole.to - 1, path.display(), hole.offset);
    let name = format!("journal-{}-{}-{}.bin", header.ordinal, hole.from, hole.offset);
    // Zeros at the end say nothing.
    let length = lost.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    Case { key: None, what, files: Vec::new(), saved: vec![(name, lost.get(..length).unwrap_or_default().to_vec())] }
}

pub(super) fn missing_name(path: &Path) -> (String, Vec<u8>) {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    (format!("journal-before-{name}.bin"), Vec::new())
}
