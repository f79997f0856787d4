//! The envelope: who sends, to whom, and over which connection it came (RFC 5321 section 2.3.1).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Address;
use super::dsn::{MessageRequest, RecipientRequest};

/// Which way a message goes for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From outside to our domains.
    Inbound,
    /// From our mail servers to the outside.
    Outbound,
    /// From our mail servers to our domains (GroupWise to Exchange, say).
    Internal,
}

impl Direction {
    /// The word that configuration, records and metrics use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The reverse-path of MAIL FROM: an address, or `<>` (RFC 5321 section 4.5.5).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum ReversePath {
    /// `<>`: notifications, which are never answered with a notification.
    #[default]
    Null,
    /// An ordinary sender.
    Address(Address),
}

impl ReversePath {
    /// The address as text; empty for `<>`.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Address(address) => address.as_str(),
        }
    }

    /// The address, if it is not `<>`.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    /// With the angle brackets: `<a@b.example>` or `<>`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

impl Serialize for ReversePath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ReversePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::Null);
        }
        text.parse().map(Self::Address).map_err(serde::de::Error::custom)
    }
}

/// The BODY parameter of MAIL FROM (RFC 6152).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Body {
    /// `BODY=7BIT`, or no parameter.
    #[default]
    #[serde(rename = "7BIT")]
    SevenBit,
    /// `BODY=8BITMIME`.
    #[serde(rename = "8BITMIME")]
    EightBitMime,
}

/// One accepted recipient: the address, which way it goes, and by which route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// As given in RCPT TO.
    pub address: Address,
    /// Fixed at RCPT from the listener and the domain.
    pub direction: Direction,
    /// The name of the route that takes it ([`super::Route::name`]).
    pub route: Arc<str>,
    /// NOTIFY and ORCPT.
    #[serde(default, skip_serializing_if = "RecipientRequest::is_empty")]
    pub dsn: RecipientRequest,
}

/// Sender and recipients of one mail transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// MAIL FROM.
    pub sender: ReversePath,
    /// RCPT TO, in order; never empty once a transaction has reached DATA.
    pub recipients: Vec<Recipient>,
    /// BODY parameter.
    pub body: Body,
    /// SMTPUTF8 parameter (RFC 6531).
    pub smtputf8: bool,
    /// RET and ENVID.
    #[serde(default, skip_serializing_if = "MessageRequest::is_empty")]
    pub dsn: MessageRequest,
}

/// Where a message came from: the facts of the session, for trace fields, rules and records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The name of the listener.
    pub listener: Arc<str>,
    /// The peer's address; `None` for messages that came from a file or from ourselves.
    pub peer: Option<SocketAddr>,
    /// What the peer called itself in EHLO or HELO.
    pub helo: String,
    /// EHLO rather than HELO.
    pub esmtp: bool,
    /// Protocol and cipher suite, when the session was encrypted.
    pub tls: Option<String>,
    /// The line ends were repaired on arrival (`line_endings = "normalise"`).
    pub normalised: bool,
}

impl Origin {
    /// The peer's IP address, if it came over a socket.
    pub fn ip(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip())
    }
}

/// What a check may know beside the message: the envelope and where it came from.
#[derive(Debug, Clone)]
pub struct Context {
    /// That of the first recipient.
    pub direction: Direction,
    /// The session.
    pub origin: Origin,
    /// Sender and recipients.
    pub envelope: Envelope,
}
