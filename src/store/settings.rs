//! The settings of the store: what is kept how long, and the size of the journal.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::mail::Area;
use crate::mail::units::{Period, Size};

/// `[quarantine]`: where the index of held mail lies and how long it is kept.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The index. Default `"sled"`, and there is no other yet.
    pub store: String,
    /// Held entries older than this expire. Default `"30d"`.
    pub keep: Period,
    /// Another time for single areas: `keep_area = { Spam = "14d" }`. Default: none.
    pub keep_area: BTreeMap<Area, Period>,
    /// From so many entries in plain files on, an index of them is kept; fewer are read from their files as fast, and the index
    /// costs some 22 MB of memory. Default 1000.
    pub index_from: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { store: "sled".into(), keep: Period(Duration::from_secs(30 * 86_400)), keep_area: BTreeMap::new(), index_from: 1000 }
    }
}

impl Settings {
    /// Whether everything that they ask for exists.
    pub fn validate(&self) -> Result<(), StoreError> {
        match self.store.as_str() {
            "sled" => Ok(()),
            other => Err(StoreError::Settings(format!("[quarantine] store = {other:?} is not built yet; write store = \"sled\""))),
        }
    }

    /// How long an entry of this area is kept.
    pub fn keep(&self, area: Option<Area>) -> Duration {
        area.and_then(|area| self.keep_area.get(&area)).unwrap_or(&self.keep).0
    }
}

/// `[journal]`: the log that every accepted message is synced to before the sender hears 250.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalSettings {
    /// Bytes of one segment file; filled with zeros once, then used again and again. Default `"16MiB"`, at least `"64KiB"`.
    pub segment_size: Size,
    /// Segments at most. When all are in use, commits wait for the checkpoint. Default 16, at least 3.
    pub segments: usize,
    /// What is still here after this long is written as plain files. Default `"2s"`.
    pub checkpoint: Period,
    /// Messages above this go to a file of their own, so that none holds up the group. Default `"256KiB"`.
    pub own_file: Size,
    /// Bytes of mail that are kept in memory between commit and checkpoint; more is read back from the journal. Default `"32MiB"`.
    pub memory: Size,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            segment_size: Size(16 << 20),
            segments: 16,
            checkpoint: Period(Duration::from_secs(2)),
            own_file: Size(256 << 10),
            memory: Size(32 << 20),
        }
    }
}

impl JournalSettings {
    /// Whether the sizes make sense together.
    pub fn validate(&self) -> Result<(), StoreError> {
        let wrong = |what: &str| Err(StoreError::Settings(format!("[journal] {what}")));
        match self {
            _ if self.segment_size.0 < 64 << 10 => wrong("segment_size must be at least \"64KiB\""),
            _ if self.segment_size.0 > 1 << 30 => wrong("segment_size must be at most \"1GiB\""),
            _ if self.segments < 3 => wrong("segments must be at least 3"),
            _ if self.own_file.0 > self.segment_size.0 / 4 => wrong("own_file must be at most a quarter of segment_size"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_from_toml() {
        let settings: Settings = toml::from_str("keep = \"10d\"\n[keep_area]\nSpam = \"14d\"").unwrap();
        assert_eq!(settings.keep(Some(Area::Spam)).as_secs(), 14 * 86_400);
        assert_eq!(settings.keep(Some(Area::Virus)).as_secs(), 10 * 86_400);
        assert!(settings.validate().is_ok());
        assert!(toml::from_str::<Settings>("kep = \"1d\"").is_err());
        let postgres: Settings = toml::from_str("store = \"postgres://x\"").unwrap();
        assert!(postgres.validate().unwrap_err().to_string().contains("not built yet"));
    }

    #[test]
    fn journal_limits() {
        for (text, good) in [
            ("", true),
            ("segment_size = \"64KiB\"\nown_file = \"8KiB\"", true),
            ("segment_size = \"1KiB\"", false),
            ("segments = 2", false),
            ("own_file = \"5MiB\"", false),
            ("segment_size = \"2GiB\"", false),
        ] {
            let settings: JournalSettings = toml::from_str(text).unwrap();
            assert_eq!(settings.validate().is_ok(), good, "{text:?}");
        }
    }
}
