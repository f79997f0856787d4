//! Reload: another configuration put in force while sessions go on. Setup does it; operators ask for it and see what came of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::hands::Task;
use crate::mail::VersionId;

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The version in force now.
    pub version: VersionId,
    /// The one before.
    pub before: VersionId,
    /// What is in force now and was not before, one thing a line: `mode: "observe" -> "normal"`.
    pub changed: Vec<String>,
    /// What was changed in the file and cannot be put in force without a restart.
    pub needs_restart: Vec<String>,
    /// What somebody should know about the configuration.
    pub warnings: Vec<String>,
}

/// Why the last reload was not done; the configuration before it stays in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotReloaded {
    /// When it was tried.
    pub at: Timestamp,
    /// Who asked for it: a user, or `SIGHUP`.
    pub by: String,
    /// Everything that is wrong, with file and line.
    pub why: Vec<String>,
}

/// Who can put another configuration in force.
pub trait Reloads: Send + Sync + 'static {
    /// Reads the configuration file again and puts it in force as a whole, or leaves everything as it is.
    fn reload<'a>(&'a self, by: &'a str) -> Task<'a, Reloaded>;

    /// Why the last one was not done; `None` if it was, or there was none.
    fn failed(&self) -> Option<NotReloaded>;
}
