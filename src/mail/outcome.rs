//! Outcomes: what a next hop said about one recipient.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A reply from a next hop, made printable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HopReply {
    /// Three digits (RFC 5321 section 4.2).
    pub code: u16,
    /// Enhanced status code (RFC 3463) if the text begins with one: `5.1.1`.
    pub enhanced: Option<String>,
    /// The rest of the text, lines joined by a blank, printable, at most 512 bytes.
    pub text: String,
}

impl fmt::Display for HopReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.enhanced {
            Some(enhanced) => write!(f, "{} {} {}", self.code, enhanced, self.text),
            None => write!(f, "{} {}", self.code, self.text),
        }
    }
}

/// What became of one recipient in one delivery attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The next hop has it.
    Delivered {
        /// `host:port`.
        hop: String,
        /// Its reply to the final dot.
        reply: HopReply,
        /// It was given the sender's wishes about notifications, and answers for them from here on (RFC 3461 section 5.2.2).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dsn: bool,
    },
    /// Not now: connection trouble or a 4xx.
    Deferred {
        /// `host:port` of the last hop tried; `None` if none could be found (DNS).
        hop: Option<String>,
        /// Its reply, if it gave one.
        reply: Option<HopReply>,
        /// What happened, for the operator.
        why: String,
    },
    /// Refused for good: a 5xx, or something that can never work (`hop` is empty and the reply our own then).
    Refused {
        /// `host:port`.
        hop: String,
        /// Its reply, or ours (5.6.7 for SMTPUTF8, 5.1.10 for a null MX).
        reply: HopReply,
    },
    /// The connection ended after our final dot and before the reply: it may have been delivered.
    Unknown {
        /// `host:port`.
        hop: String,
        /// What happened, for the operator.
        why: String,
    },
}

impl Outcome {
    /// Whether the next hop has it.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Self::Delivered { .. })
    }

    /// The next hop, as `host:port`; `None` where none could be found, or where we refused ourselves.
    pub fn hop(&self) -> Option<&str> {
        let hop = match self {
            Self::Delivered { hop, .. } | Self::Refused { hop, .. } | Self::Unknown { hop, .. } => Some(hop.as_str()),
            Self::Deferred { hop, .. } => hop.as_deref(),
        };
        hop.filter(|hop| !hop.is_empty())
    }

    /// The next hop's reply, if it gave one.
    pub fn reply(&self) -> Option<&HopReply> {
        match self {
            Self::Delivered { reply, .. } | Self::Refused { reply, .. } => Some(reply),
            Self::Deferred { reply, .. } => reply.as_ref(),
            Self::Unknown { .. } => None,
        }
    }

    /// Busy, not failed (421, 452): worth another attempt within seconds, which is no step of the retry schedule.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Deferred { reply: Some(reply), .. } if matches!(reply.code, 421 | 452))
    }

    /// Whether the next hop says that it does not know the recipient (5.1.1, 5.1.10, or a bare 550/551/553 to RCPT).
    pub fn is_unknown_user(&self) -> bool {
        let Self::Refused { reply, .. } = self else { return false };
        match reply.enhanced.as_deref() {
            Some(enhanced) => matches!(enhanced, "5.1.1" | "5.1.10" | "5.1.6"),
            None => matches!(reply.code, 550 | 551 | 553),
        }
    }

    /// The word for records and metrics.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Delivered { .. } => "delivered",
            Self::Deferred { .. } => "deferred",
            Self::Refused { .. } => "refused",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    /// For people: hop and reply, or what happened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delivered { hop, reply, .. } | Self::Refused { hop, reply } if !hop.is_empty() => write!(f, "{hop} said: {reply}"),
            Self::Delivered { reply, .. } | Self::Refused { reply, .. } => write!(f, "{reply}"),
            Self::Deferred { hop: Some(hop), reply: Some(reply), .. } => write!(f, "{hop} said: {reply}"),
            Self::Deferred { hop: Some(hop), why, .. } | Self::Unknown { hop, why } => write!(f, "{hop}: {why}"),
            Self::Deferred { why, .. } => write!(f, "{why}"),
        }
    }
}
