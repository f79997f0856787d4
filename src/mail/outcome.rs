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

impl HopReply {
    /// Whether the server asks for less rather than refuses this message: 421, 452, a reply about load or rate (4.3.1, 4.3.2, 4.4.5,
    /// 4.5.3, 4.7.x), or a connection refused because there are too many. What is about one mailbox (4.1.x, 4.2.x) is no such thing.
    pub fn is_push_back(&self) -> bool {
        let status = self.enhanced.as_deref().unwrap_or_default();
        match self.code {
            421 => true,
            400..500 if status.starts_with("4.1.") || status.starts_with("4.2.") => false,
            452 => true,
            400..500 => {
                let load = matches!(status, "4.3.1" | "4.3.2" | "4.4.5" | "4.5.3");
                load || ((status.is_empty() || status.starts_with("4.7.")) && self.speaks_of(&RATE_WORDS))
            }
            500..600 => self.speaks_of(&["many"]) && self.speaks_of(&["connection", "connections", "sessions"]),
            _ => false,
        }
    }

    fn speaks_of(&self, words: &[&str]) -> bool {
        let mut said = self.text.split(|c: char| !c.is_ascii_alphanumeric());
        said.any(|word| words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted)))
    }
}

/// Words by which servers say that it was too much in too short a time.
const RATE_WORDS: [&str; 9] = ["rate", "ratelimit", "ratelimited", "many", "throttled", "throttling", "slow", "limit", "exceeded"];

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
        /// The next hop works, but not at once for all that there is: it pushed back, or one of our own limits towards it was reached.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        busy: bool,
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

    /// Busy, not failed: worth another attempt within seconds, which is no step of the retry schedule.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Deferred { busy, reply, .. } => *busy || reply.as_ref().is_some_and(HopReply::is_push_back),
            Self::Delivered { .. } | Self::Refused { .. } | Self::Unknown { .. } => false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn push_back_is_no_failure() {
        let rows = [
            (421, None, "closing", true),
            (421, Some("4.4.2"), "timeout", true),
            (452, None, "too many recipients", true),
            (452, Some("4.3.1"), "insufficient system resources", true),
            (452, Some("4.2.2"), "mailbox full", false),
            (450, Some("4.2.1"), "receiving mail at a rate that", false),
            (451, Some("4.3.0"), "queue file write error", false),
            (451, Some("4.4.5"), "congestion", true),
            (450, Some("4.7.1"), "greylisted, come back later", false),
            (450, Some("4.7.28"), "Rate limit: unusual amount of mail", true),
            (451, None, "too many messages, slow down", true),
            (451, None, "temporarily out of order", false),
            (554, Some("5.7.1"), "Too many connections from your host", true),
            (554, None, "too many bad recipients", false),
            (550, None, "who", false),
            (250, None, "too many connections", false),
        ];
        for (code, enhanced, text, want) in rows {
            let reply = HopReply { code, enhanced: enhanced.map(str::to_owned), text: text.to_owned() };
            assert_eq!(reply.is_push_back(), want, "{reply}");
            let outcome = Outcome::Deferred { hop: None, reply: Some(reply), why: String::new(), busy: false };
            assert_eq!(outcome.is_busy(), want);
        }
        let ours = Outcome::Deferred { hop: None, reply: None, why: "all busy".into(), busy: true };
        let text = serde_json::to_string(&ours).unwrap();
        assert!(ours.is_busy() && serde_json::from_str::<Outcome>(&text).unwrap() == ours, "{text}");
        let old: Outcome = serde_json::from_str(r#"{"outcome":"deferred","hop":null,"reply":null,"why":"x"}"#).unwrap();
        assert!(!old.is_busy());
    }
}
