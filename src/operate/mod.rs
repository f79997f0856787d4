//! What operators do over time: find, explain, look after queue and quarantine, audit.
//!
//! Plain functions over the store that return values for people and programs alike: the API and the command line only carry them.

pub mod audit;
pub mod engines;
pub mod explain;
pub mod fate;
pub mod filter;
pub mod find;
pub mod hands;
pub mod plain;
pub mod quarantine;
pub mod queue;
pub mod reload;
pub mod status;
pub mod store;

use jiff::Timestamp;

use crate::mail::{MessageId, Place};
use crate::store::StoreError;

/// Why an operator's request was not done; each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request makes no sense.
    #[error("{what}")]
    Bad {
        /// What is wrong.
        what: String,
        /// What to write instead.
        hint: String,
    },
    /// There is no such message here.
    #[error("no message {id} {in_what}")]
    Unknown {
        /// The id asked for.
        id: MessageId,
        /// Where it was looked for: `in the quarantine`.
        in_what: &'static str,
    },
    /// It was released before: at most once.
    #[error("already released by {by} at {at}")]
    AlreadyReleased {
        /// Who did.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// It cannot be done now, or not any more.
    #[error("{0}")]
    Conflict(String),
    /// The configuration was not reloaded: everything that is wrong with it.
    #[error("{}", .0.join("\n"))]
    NotReloaded(Vec<String>),
    /// The virus scan before a release found something, or could not tell.
    #[error("not released: {0}")]
    NotReleased(String),
    /// Nobody here may change the store.
    #[error("{0}")]
    ReadOnly(String),
    /// The store failed.
    #[error("the store: {0}")]
    Store(StoreError),
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            // Looking is recorded, so it writes too.
            StoreError::ReadOnly => {
                Self::ReadOnly("this is recorded, and no gateway runs; to write to the store without one add --offline".into())
            }
            StoreError::Missing(place, id) => Self::not_in(place, id),
            error => Self::Store(error),
        }
    }
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Bad { hint, .. } => hint.clone(),
            Self::Unknown { .. } => "`mailweir find --since 30d` looks for it".into(),
            Self::AlreadyReleased { .. } => "mailweir explain ID tells where it went".into(),
            Self::NotReleased(_) => "mailweir quarantine show ID lists the findings".into(),
            Self::NotReloaded(_) => "the configuration before stays in force".into(),
            Self::Conflict(_) | Self::ReadOnly(_) => String::new(),
            Self::Store(StoreError::Full) => "make room on the disk of data_dir".into(),
            Self::Store(_) => "the gateway's log has the details".into(),
        }
    }

    /// No such message in this place.
    pub fn not_in(place: Place, id: MessageId) -> Self {
        let in_what = match place {
            Place::Spool => "in the queue",
            Place::Quarantine => "in the quarantine",
        };
        Self::Unknown { id, in_what }
    }
}

/// Runs blocking work off the reactor.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(gone) => Err(Error::Conflict(format!("the work was cut off: {gone}"))),
    }
}
