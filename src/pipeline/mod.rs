//! The way of a message, one screen each: accept, dispatch, release.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use crate::mail::{Envelope, MessageId, Origin, Routes};
use crate::smtp::Reply;

/// A whole message as the gateway received it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Made when the data began; also in our Received field and in every reply about it.
    pub id: MessageId,
    /// The session it came over.
    pub origin: Origin,
    /// Sender and recipients, each with its route and direction.
    pub envelope: Envelope,
    /// The message: dots unstuffed, CRLF line ends, without the final dot.
    pub raw: Bytes,
    /// When the data began.
    pub received_at: Timestamp,
    /// How long the data took.
    pub receiving: Duration,
}

/// What the gateway hands whole messages to.
pub trait Accept: Send + Sync + 'static {
    /// Judges and settles the message; the reply is for the sender, whose session waits for it.
    fn accept(&self, incoming: Incoming) -> impl Future<Output = Reply> + Send;

    /// The routes in force, for RCPT.
    fn routes(&self) -> Arc<Routes>;
}
