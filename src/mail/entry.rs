//! Entries: what the store keeps beside the bytes of a message that we own, readable as plain JSON on disk.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::Address;
use super::dsn::{MessageRequest, RecipientRequest};
use super::{Area, Body, Decision, Direction, Finding, MessageId, Origin, Outcome, ReversePath, VersionId};

/// Which of our two keeps holds an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// Accepted and not yet delivered.
    Spool,
    /// Held for a person.
    Quarantine,
}

impl Place {
    /// The word, and the folder's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spool => "spool",
            Self::Quarantine => "quarantine",
        }
    }
}

/// The state of one recipient of an entry (`refused` and `deferred-in` never become entries).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum RecipientState {
    /// Waiting for delivery.
    Spooled {
        /// Delivery attempts made; those that met a busy next hop do not count.
        attempts: u32,
        /// Not to be tried before.
        next_try: Timestamp,
        /// What the last attempt gave.
        last: Option<Outcome>,
    },
    /// Kept for a person.
    Held,
    /// The next hop has it.
    Delivered {
        /// Its reply.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
    /// Given up: a notification was sent or suppressed.
    Bounced {
        /// The reason.
        why: String,
        /// The id of the notification; `None` if it was suppressed.
        notification: Option<MessageId>,
        /// When.
        at: Timestamp,
    },
    /// Released from the quarantine: from here on the spool entry of the same id owns it.
    Released,
    /// Deleted by a person or by expiry.
    Deleted {
        /// Who: a user name, or `expiry`.
        by: String,
        /// When.
        at: Timestamp,
    },
}

impl RecipientState {
    /// Waiting for delivery.
    pub fn is_spooled(&self) -> bool {
        matches!(self, Self::Spooled { .. })
    }
}

/// One recipient of an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntryRecipient {
    /// As given in RCPT TO.
    pub address: Address,
    /// Which way.
    pub direction: Direction,
    /// The route's name; may change by `unknown_user` fall-through.
    pub route: Arc<str>,
    /// NOTIFY and ORCPT.
    #[serde(default, skip_serializing_if = "RecipientRequest::is_empty")]
    pub dsn: RecipientRequest,
    /// The sender was told that it takes longer, or it was settled that nobody is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub warned: bool,
    /// Why it is here.
    pub decision: Decision,
    /// How it stands.
    #[serde(flatten)]
    pub state: RecipientState,
}

/// Who released an entry, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// User name (from the socket's peer credentials or token).
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// `--reason`; may be empty.
    pub reason: String,
}

/// What the store keeps beside the bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The message's id; unique within a place.
    pub id: MessageId,
    /// Spool or quarantine.
    pub place: Place,
    /// The area, for the quarantine.
    pub area: Option<Area>,
    /// When the message was accepted.
    pub received_at: Timestamp,
    /// Where it came from.
    pub origin: Origin,
    /// MAIL FROM.
    pub sender: ReversePath,
    /// BODY parameter.
    pub body: Body,
    /// SMTPUTF8 parameter.
    pub smtputf8: bool,
    /// RET and ENVID.
    #[serde(default, skip_serializing_if = "MessageRequest::is_empty")]
    pub dsn: MessageRequest,
    /// Recipients and how each stands.
    pub recipients: Vec<EntryRecipient>,
    /// Bytes of the message as received.
    pub size: u64,
    /// Subject, decoded, printable, for listings.
    pub subject: String,
    /// From, decoded, printable, for listings.
    pub from: String,
    /// Our trace fields, each ending in CRLF, to be put on top when it is handed on.
    pub trace: String,
    /// What the checks saw.
    pub findings: Vec<Finding>,
    /// The version that judged it.
    pub version: VersionId,
    /// Set once it was released: at most once.
    pub release: Option<Release>,
}

impl Entry {
    /// Whether any recipient is still waiting for delivery.
    pub fn is_waiting(&self) -> bool {
        self.recipients.iter().any(|recipient| matches!(recipient.state, RecipientState::Spooled { .. }))
    }

    /// Whether any recipient is still held.
    pub fn is_held(&self) -> bool {
        self.recipients.iter().any(|recipient| recipient.state == RecipientState::Held)
    }

    /// Since when the spool has had it: age counts from here for `expire` and `warn_after`. What was held for weeks is not too old the
    /// moment it is released.
    pub fn waits_since(&self) -> Timestamp {
        self.release.as_ref().map_or(self.received_at, |release| release.at.max(self.received_at))
    }

    /// The earliest next try of the recipients that wait.
    pub fn next_try(&self) -> Option<Timestamp> {
        self.recipients
            .iter()
            .filter_map(|recipient| match recipient.state {
                RecipientState::Spooled { next_try, .. } => Some(next_try),
                _ => None,
            })
            .min()
    }
}
