//! Records: one event each in the life of a message. The books of promise 3 are made of these and nothing else.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Address;
use super::{Area, Decision, Direction, Envelope, Finding, MessageId, Origin, Outcome, ReversePath, VersionId};

/// One event, with what it is about and which version was in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// When it was written.
    pub at: Timestamp,
    /// The message.
    pub id: MessageId,
    /// The version in force.
    pub version: VersionId,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happens to messages: a closed list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A whole message was received and judged. Written before the reply.
    Judged(Box<Judged>),
    /// Mail was refused before it was judged: recipients at RCPT, or a whole message for how it was sent.
    TurnedAway(Box<TurnedAway>),
    /// A recipient was refused at the end of data; the sender heard 5xx.
    Refused {
        /// Whom.
        recipient: Address,
        /// Our reply.
        reply: String,
    },
    /// A recipient was answered 4xx at the end of data.
    DeferredIn {
        /// Whom.
        recipient: Address,
        /// Our reply.
        reply: String,
    },
    /// A recipient's delivery attempt ended: cut-through or from the spool.
    Attempted {
        /// Whom.
        recipient: Address,
        /// The route tried.
        route: String,
        /// What the next hop said.
        #[serde(flatten)]
        outcome: Outcome,
        /// Handed over inside the sender's session.
        cut_through: bool,
    },
    /// A recipient's copy is in the spool, synced.
    Spooled {
        /// Whom.
        recipient: Address,
        /// The route.
        route: String,
        /// Why it was not handed over at once.
        why: String,
    },
    /// A recipient's copy is in the quarantine, synced.
    Held {
        /// Whom.
        recipient: Address,
        /// Where.
        area: Area,
    },
    /// A recipient's copy was dropped by a rule, synced.
    Discarded {
        /// Whom.
        recipient: Address,
        /// The rule.
        rule: String,
    },
    /// A recipient was given up.
    Bounced {
        /// Whom.
        recipient: Address,
        /// Why.
        why: String,
        /// The id of the notification; `None` if it was suppressed.
        notification: Option<MessageId>,
    },
    /// A person released an entry.
    Released {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Which recipients.
        recipients: Vec<Address>,
    },
    /// A release was refused: the virus scan before it found something, or could not tell.
    ReleaseRefused {
        /// Who asked.
        by: String,
        /// Why not.
        why: String,
    },
    /// A person deleted an entry, or it expired.
    Deleted {
        /// Who, or `expiry`.
        by: String,
        /// Why.
        reason: String,
        /// Which recipients.
        recipients: Vec<Address>,
    },
    /// A person looked at an entry or took a copy of it.
    Looked {
        /// Who.
        by: String,
        /// `show` or `export`.
        how: String,
    },
    /// A person set an entry's next try to now.
    Retried {
        /// Who.
        by: String,
    },
    /// A person took waiting recipients out of the queue into the quarantine; synced.
    HeldBack {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Where they lie now.
        area: Area,
        /// Which recipients.
        recipients: Vec<Address>,
    },
    /// The sender was told how it stands with recipients that are not given up.
    Notified {
        /// `delayed`, or `relayed`: handed to a next hop that sends no notifications.
        about: String,
        /// Which recipients.
        recipients: Vec<Address>,
        /// The id of the notification.
        notification: MessageId,
    },
    /// Recovery found an entry that is torn, and set it aside.
    Damaged {
        /// What is wrong, and where it lies now.
        what: String,
    },
}

impl Event {
    /// The word for records and listings (the same as in the serialised form).
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Judged(_) => "judged",
            Self::TurnedAway(_) => "turned_away",
            Self::Refused { .. } => "refused",
            Self::DeferredIn { .. } => "deferred_in",
            Self::Attempted { .. } => "attempted",
            Self::Spooled { .. } => "spooled",
            Self::Held { .. } => "held",
            Self::Discarded { .. } => "discarded",
            Self::Bounced { .. } => "bounced",
            Self::Released { .. } => "released",
            Self::ReleaseRefused { .. } => "release_refused",
            Self::Deleted { .. } => "deleted",
            Self::Looked { .. } => "looked",
            Self::Retried { .. } => "retried",
            Self::HeldBack { .. } => "held_back",
            Self::Notified { .. } => "notified",
            Self::Damaged { .. } => "damaged",
        }
    }
}

/// What was known when mail was refused before it was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnedAway {
    /// Where it came from.
    pub origin: Origin,
    /// MAIL FROM.
    pub sender: ReversePath,
    /// Whom it was for.
    pub recipients: Vec<Address>,
    /// Our reply.
    pub reply: String,
}

/// What was known when a message was judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Where it came from.
    pub origin: Origin,
    /// Sender and recipients.
    pub envelope: Envelope,
    /// Inbound, outbound or internal: that of the first recipient.
    pub direction: Direction,
    /// Bytes as received.
    pub size: u64,
    /// Message-ID, Subject and From, printable.
    pub message_id: String,
    /// Subject, decoded.
    pub subject: String,
    /// From, decoded.
    pub from: String,
    /// What the checks saw.
    pub findings: Vec<Finding>,
    /// What was decided, in the order of the recipients.
    pub decisions: Vec<Decision>,
    /// Milliseconds spent in: receiving data, decomposition, checks.
    pub took_ms: [u32; 3],
    /// `sha256` of the raw bytes in hex, so that what was exported can be compared.
    pub sha256: String,
}
