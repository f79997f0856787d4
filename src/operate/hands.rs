//! What changes mail, seen from here: the pipeline does it, operators ask for it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Error;
use super::status::Hop;
use crate::deliver::HopStatus;
use crate::mail::{Address, MessageId, NextHop, Outcome, Place};
use crate::pipeline::{self, Age, GivenUp, Pipeline, ReleaseError};

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

    /// Sets the next try of waiting recipients to now: of those in `whom`, of all where it is empty; so too below.
    fn retry<'a>(&'a self, id: MessageId, by: &'a str, whom: &'a [Address]) -> Task<'a, ()>;

    /// Takes waiting recipients out of the queue into the quarantine; who they were.
    fn hold<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str, whom: &'a [Address]) -> Task<'a, Vec<Address>>;

    /// Gives waiting recipients up, with the notification that is due; who they were.
    fn bounce<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str, whom: &'a [Address]) -> Task<'a, Vec<Address>>;

    /// How much mail is in each passing state, since when, and until when it may be.
    fn ages(&self) -> Vec<Age>;

    /// The next hops as delivery knows them.
    fn hops(&self) -> Vec<Hop>;
}

impl Hands for Pipeline {
    fn release<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str, wait: Duration) -> Task<'a, Released> {
        Box::pin(async move { Ok(said(self.release(id, by, reason, wait).await?)) })
    }

    fn delete<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str) -> Task<'a, ()> {
        Box::pin(async move { Ok(self.delete(id, by, reason).await.map(|_| ())?) })
    }

    fn retry<'a>(&'a self, id: MessageId, _by: &'a str, whom: &'a [Address]) -> Task<'a, ()> {
        Box::pin(async move { if self.retry(id, whom).await? { Ok(()) } else { Err(Error::not_in(Place::Spool, id)) } })
    }

    fn hold<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str, whom: &'a [Address]) -> Task<'a, Vec<Address>> {
        Box::pin(async move {
            let held = self.hold_back(id, by, reason, whom).await?;
            held.map(|held| held.recipients).ok_or(Error::not_in(Place::Spool, id))
        })
    }

    fn bounce<'a>(&'a self, id: MessageId, by: &'a str, reason: &'a str, whom: &'a [Address]) -> Task<'a, Vec<Address>> {
        Box::pin(async move {
            match self.bounce_now(id, by, reason, whom).await? {
                GivenUp::Recipients(whom) => Ok(whom),
                GivenUp::Nobody => Err(Error::not_in(Place::Spool, id)),
                GivenUp::BeingTried => Err(Error::Conflict(format!("{id} is being tried at this moment, and may be delivered: ask again"))),
            }
        })
    }

    fn ages(&self) -> Vec<Age> {
        self.ages()
    }

    fn hops(&self) -> Vec<Hop> {
        let routes = self.in_force().routes.clone();
        // Delivery remembers hops that a reload took out of the routes.
        let is_used = |hop: &HopStatus| {
            let named = |next: &NextHop| *next == NextHop::Mx || next.to_string() == hop.hop;
            routes.get(&hop.route).is_some_and(|route| route.next_hops.iter().any(named))
        };
        let hops = self.parts().courier.hops().into_iter().filter(is_used);
        let hops = hops.map(|hop| Hop {
            hop: hop.hop,
            route: hop.route,
            up: hop.up,
            since: Some(hop.since),
            last: hop.last.unwrap_or_default(),
            connections: hop.connections,
        });
        hops.collect()
    }
}

/// What a release came to, in the words of the API.
fn said(released: pipeline::Released) -> Released {
    let to = |(address, outcome): (Address, Option<Outcome>)| {
        let went = match &outcome {
            Some(Outcome::Delivered { .. }) => Went::Delivered,
            Some(Outcome::Refused { .. }) => Went::Refused,
            Some(Outcome::Deferred { .. } | Outcome::Unknown { .. }) | None => Went::Queued,
        };
        let detail = outcome.map_or("the next hop has not answered yet".to_owned(), |outcome| outcome.to_string());
        ReleasedTo { address, went, detail }
    };
    Released { id: released.id, recipients: released.recipients.into_iter().map(to).collect() }
}

impl From<ReleaseError> for Error {
    fn from(error: ReleaseError) -> Self {
        match error {
            ReleaseError::NoSuchEntry(id) => Self::not_in(Place::Quarantine, id),
            ReleaseError::Already(release) => Self::AlreadyReleased { by: release.by, at: release.at },
            ReleaseError::Scan(why) => Self::NotReleased(why),
            ReleaseError::Store(error) => Self::Store(error),
            other @ (ReleaseError::InProgress(_) | ReleaseError::Deleted(_)) => Self::Conflict(other.to_string()),
        }
    }
}
