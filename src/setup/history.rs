//! `versions/history.jsonl` in the data directory: which version came into force when, one JSON object a line.

use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use crate::mail::VersionId;

/// One line.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When it came into force.
    pub at: Timestamp,
    /// The version, as records have it.
    pub version: &'a VersionId,
    /// `start`, `SIGHUP`, or the user who asked for the reload.
    pub by: &'a str,
    /// What changed; nothing at a start.
    pub changed: &'a [String],
}

/// Writes a line down. What cannot be written is logged: mail goes on.
pub fn write(data_dir: &Path, line: &Line<'_>) {
    let folder = data_dir.join("versions");
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(&folder)?;
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        std::fs::OpenOptions::new().append(true).create(true).open(folder.join("history.jsonl"))?.write_all(&text)
    };
    if let Err(error) = write() {
        tracing::warn!(%error, folder = %folder.display(), version = %line.version, "cannot write down which version came into force");
    }
}
