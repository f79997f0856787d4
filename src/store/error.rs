//! What can go wrong in the store: whose fault, and what an operator can do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::mail::{MessageId, Place};

/// Why the store could not do it. Cheap to clone: one failed sync answers everybody who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// No space on the disk, or over quota (ENOSPC, EDQUOT). Nothing of the request was kept; it may be tried again.
    #[error("no space left on the disk of the data directory; make room, mail is answered 452 until then")]
    Full,
    /// The operating system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: Arc<io::Error>,
    },
    /// The data directory cannot be used.
    #[error("cannot use {} as data directory: {source}; make the folder and give it to the gateway's user (chown, chmod 700)", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// Another process has the store open.
    #[error("{} is in use{}; ask it over its admin socket, or stop it first", path.display(), pid.map_or(String::new(), |pid| format!(" by process {pid}")))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that has it, if it said so.
        pid: Option<u32>,
    },
    /// What is on disk is not what was written.
    #[error("damaged: {what}")]
    Damaged {
        /// What, where, and how it was noticed.
        what: String,
    },
    /// There is no such entry.
    #[error("no entry {1} in the {name}", name = .0.as_str())]
    Missing(Place, MessageId),
    /// The entry does not fit into a journal segment.
    #[error("an entry of {0} bytes does not fit into a journal segment; raise segment_size in [journal]")]
    TooBig(usize),
    /// The settings ask for something that there is not.
    #[error("{0}")]
    Settings(String),
    /// The store was opened for reading only.
    #[error("the store was opened for reading only")]
    ReadOnly,
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// From an error of the operating system at `path`; a full disk becomes [`StoreError::Full`].
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io { path: path.to_owned(), source: Arc::new(source) },
        }
    }

    /// Whether it says that a file is not there.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
