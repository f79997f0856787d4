//! `[log]`: where log lines go and how they look.

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

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

/// `[log]`. Lines go to stderr, which the service manager keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// `text` or `json`. Default: `text`.
    pub format: Format,
    /// `error`, `warn`, `info`, `debug` or `trace`, or levels for parts as in `"info,mailweir::deliver=debug"`. Default: `info`.
    pub level: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { format: Format::Text, level: "info".into() }
    }
}

impl LogSettings {
    /// What is wrong with the level, if something is.
    pub fn mistake(&self) -> Option<String> {
        EnvFilter::builder().parse(&self.level).err().map(|error| error.to_string())
    }

    /// Starts logging for the whole process; a second call changes nothing.
    pub fn start(&self) {
        let filter = EnvFilter::builder().parse(&self.level).unwrap_or_else(|_| EnvFilter::new("info"));
        let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let started = match self.format {
            Format::Text => lines.with_ansi(false).with_target(false).try_init(),
            Format::Json => lines.json().flatten_event(true).with_target(true).try_init(),
        };
        if started.is_err() {
            tracing::debug!("logging runs already");
        }
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
}
