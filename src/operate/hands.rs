//! What changes mail, seen from here: the pipeline does it, operators ask for it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;
use super::status::Hop;
use crate::mail::{Address, MessageId};

/// Work in progress, boxed so that [`Hands`] can be handed about as one object.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// How far a released message has come for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Went {
    /// The next hop said 250: only this is "released".
    Delivered,
    /// It is in the queue, and will be tried (again).
    Queued,
    /// The next hop refused it for good; its sender is notified.
    Refused,
}

/// How a release stands for one recipient when the wait is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasedTo {
    /// Whom.
    pub address: Address,
    /// How far it has come.
    pub went: Went,
    /// What the next hop said, or why it still waits in the queue.
    pub detail: String,
}

/// The answer to a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// The message.
    pub id: MessageId,
    /// Every recipient that was held.
    pub recipients: Vec<ReleasedTo>,
}

/// Changes to mail that operators ask for. The pipeline has the one implementation that moves real mail.
pub trait Hands: Send + Sync + 'static {
    /// Releases a held entry, at most once: virus scan, spool, and up to `wait` for the next hop's reply.
    fn release<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str, wait: Duration) -> Task<'a, Released>;

    /// Deletes a held entry.
    fn delete<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str) -> Task<'a, ()>;

    /// Sets the next try of a spooled entry to now.
    fn retry<'a>(&'a self, id: MessageId, by: &'a str) -> Task<'a, ()>;

    /// The next hops as delivery knows them.
    fn hops(&self) -> Vec<Hop>;
}
