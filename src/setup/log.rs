//! `[log]`: where log lines go and how they look.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `time level message name=value …`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`. Lines go to stderr, which the service manager puts into its journal, or to files of their own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `text` or `json`. Default: `text`.
    pub format: Format,
    /// `error`, `warn`, `info`, `debug` or `trace`, or levels for parts as in `"info,mailweir::deliver=debug"`. Default: `info`.
    pub level: String,
    /// A directory for log files `mailweir.DATE.log`, a new one each day (UTC), instead of stderr. Default: none.
    pub directory: Option<PathBuf>,
    /// How many files to keep in `directory`; older ones are deleted. Default: 14.
    pub keep: usize,
}

type Filter = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

/// Changes what is logged: there is one log in a process.
static FILTER: OnceLock<Filter> = OnceLock::new();

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".into(), directory: None, keep: 14 }
    }
}

impl LogSettings {
    /// What is wrong with the level, if something is.
    pub fn mistake(&self) -> Option<String> {
        EnvFilter::builder().parse(&self.level).err().map(|error| error.to_string())
    }

    /// Starts logging for the whole process; a second call changes nothing.
    ///
    /// # Errors
    /// When files cannot be written in `directory`; says what to do.
    pub fn start(&self) -> Result<(), String> {
        let filter = EnvFilter::builder().parse(&self.level).unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(self.writer()?);
        let (started, filter): (_, Filter) = match self.format {
            Format::Text => {
                let lines = lines.with_ansi(false).with_target(false).with_filter_reloading();
                let handle = lines.reload_handle();
                (lines.try_init(), Box::new(move |filter| handle.reload(filter).is_ok()))
            }
            Format::Json => {
                let lines = lines.json().flatten_event(true).with_target(true).with_filter_reloading();
                let handle = lines.reload_handle();
                (lines.try_init(), Box::new(move |filter| handle.reload(filter).is_ok()))
            }
        };
        if started.is_err() || FILTER.set(filter).is_err() {
            tracing::debug!("logging runs already");
        }
        Ok(())
    }

    /// Puts another level in force for the whole process, where logging has been started.
    pub fn relevel(&self) {
        let Ok(filter) = EnvFilter::builder().parse(&self.level) else { return };
        if FILTER.get().is_some_and(|put| !put(filter)) {
            tracing::warn!(level = self.level, "the log's level cannot be changed");
        }
    }

    fn writer(&self) -> Result<BoxMakeWriter, String> {
        let Some(directory) = &self.directory else { return Ok(BoxMakeWriter::new(std::io::stderr)) };
        let files = RollingFileAppender::builder().rotation(Rotation::DAILY).filename_prefix("mailweir").filename_suffix("log");
        let opened = files.max_log_files(self.keep.max(1)).build(directory);
        let wrong = |error| format!("[log] directory {}: {error}; make it and give it to the gateway's user", directory.display());
        opened.map(BoxMakeWriter::new).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        for (level, good) in [("info", true), ("warn,mailweir::deliver=debug", true), ("mailweir=loud", false)] {
            assert_eq!(LogSettings { level: level.into(), ..LogSettings::default() }.mistake().is_none(), good, "{level}");
        }
    }

    #[test]
    fn files_of_their_own() {
        use std::io::Write;
        use tracing_subscriber::fmt::MakeWriter;
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings { directory: Some(folder.path().join("log")), ..LogSettings::default() };
        settings.writer().unwrap().make_writer().write_all(b"a line\n").unwrap();
        let files: Vec<_> = std::fs::read_dir(folder.path().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1);
        assert!(files[0].extension().is_some_and(|extension| extension == "log"), "{files:?}");
        assert_eq!(std::fs::read(&files[0]).unwrap(), b"a line\n");
        std::fs::write(folder.path().join("file"), "").unwrap();
        let nowhere = LogSettings { directory: Some(folder.path().join("file/log")), ..LogSettings::default() };
        let why = nowhere.writer().err().unwrap();
        assert!(why.contains("file/log") && why.contains("gateway's user"), "{why}");
    }
}
