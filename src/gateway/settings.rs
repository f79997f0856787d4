//! Settings of the gateway: `[[listener]]` and `[limits]`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use crate::mail::units::{Period, Size};
use crate::smtp::decoder::LineEndings;

use super::networks::Network;

/// Which mail a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ListenerDirection {
    /// From anybody, to our domains only.
    Inbound,
    /// From its `clients` only, to anybody.
    Outbound,
}

/// What a listener does about STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsUse {
    /// Not offered.
    Off,
    /// Offered, for the client to use or not.
    #[default]
    Offer,
    /// MAIL is refused without it. Not for a listener that the whole internet sends to (RFC 3207 section 4).
    Require,
}

/// What becomes of a client that does not wait for a reply where it has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unsynchronised {
    /// It is counted and logged.
    #[default]
    Note,
    /// It hears 554, and the connection is closed.
    Refuse,
}

/// One `[[listener]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerSettings {
    /// Its name in logs, metrics and records; unique.
    pub name: String,
    /// IP address and port to listen on, such as `"192.0.2.25:25"` or `"[::]:25"`. Port 0: any free one.
    #[serde(deserialize_with = "socket_address")]
    pub address: SocketAddr,
    /// `"inbound"` or `"outbound"`.
    pub direction: ListenerDirection,
    /// Addresses and networks that may connect to an outbound listener. Default: none, which refuses everybody.
    #[serde(default)]
    pub clients: Vec<Network>,
    /// What becomes of bare CR and LF in a message: `"refuse"` (default) or `"normalise"` (repaired, and recorded).
    #[serde(default)]
    pub line_endings: LineEndings,
    /// Time a client has to keep silent before it is greeted (RFC 5321 section 3.1); one that speaks earlier, as programs
    /// that send junk do, hears 554. Default `"0s"`: it is greeted at once, and not watched. Some seconds keep honest
    /// clients waiting a little; not for an outbound listener.
    #[serde(default = "no_pause")]
    pub greet_pause: Period,
    /// Clients that send on where they have to wait for a reply, such as behind EHLO and DATA (RFC 2920 section 3.1):
    /// `"note"` (default; counted and logged) or `"refuse"` (554).
    #[serde(default)]
    pub unsynchronised: Unsynchronised,
    /// STARTTLS: `"offer"` (default), `"off"` or `"require"`.
    #[serde(default)]
    pub tls: TlsUse,
    /// Certificate chain, PEM. Default: one that signs itself, made on first start.
    #[serde(default)]
    pub tls_certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(default)]
    pub tls_key: Option<PathBuf>,
}

fn no_pause() -> Period {
    Period(Duration::ZERO)
}

fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        serde::de::Error::custom(format!(
            "not an address to listen on: {text:?}; write an IP address and a port, such as \"192.0.2.25:25\" or \"[::]:25\""
        ))
    })
}

/// A setting that can be read and makes no sense. Setup adds where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key.
    pub key: &'static str,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

impl ListenerSettings {
    /// What makes no sense in it, as far as it can be told without the others.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |key, what: &str, hint: &str| problems.push(Problem { key, what: what.to_owned(), hint: hint.to_owned() });
        if self.name.is_empty() {
            add("name", "a listener needs a name", "write name = \"internet\", for example");
        }
        match self.direction {
            ListenerDirection::Outbound if self.clients.is_empty() => {
                add(
                    "clients",
                    "an outbound listener without clients refuses everybody",
                    "list your mail servers: clients = [\"10.0.0.20\"]",
                );
            }
            ListenerDirection::Inbound if !self.clients.is_empty() => {
                add("clients", "an inbound listener takes mail from anybody", "remove clients, or make it direction = \"outbound\"");
            }
            _ => {}
        }
        match (&self.tls_certificate, &self.tls_key) {
            (Some(_), None) => add("tls_certificate", "the key of the certificate is missing", "add tls_key = \"FILE\""),
            (None, Some(_)) => add("tls_key", "the certificate of the key is missing", "add tls_certificate = \"FILE\""),
            (Some(_), Some(_)) if self.tls == TlsUse::Off => {
                add("tls", "there is a certificate, but TLS is off", "remove tls = \"off\", or the certificate");
            }
            _ => {}
        }
        problems
    }
}

/// `[limits]`: of what comes in over SMTP. All can be raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, over all listeners; one more hears 421. Where there is an outbound listener, a tenth is kept
    /// for it, so that a flood from outside does not lock our own servers out. Default 2000.
    pub connections: usize,
    /// Connections at once from one address (IPv6: from one /64). Default 50.
    pub connections_per_peer: usize,
    /// Size of one message. Default 50MB.
    pub message_size: Size,
    /// Length of one line of a message; long lines are passed on as they are. Default 1MB.
    pub line_length: Size,
    /// Length of one command line with its CRLF. Default 2048 bytes (RFC 5321 section 4.5.3.1.4 asks for 512).
    pub command_line: Size,
    /// Recipients of one message; the ones above hear 452. Default 1000.
    pub recipients: usize,
    /// Bytes of mail in memory at once: half for messages as received, three eighths for what is decoded of them, an eighth for what
    /// leaves the spool. More waits, then hears 452. No single message may decode much more than a seventh of it. Default 512MB.
    pub memory: Size,
    /// How long a message waits for memory. Default 20s.
    pub memory_wait: Period,
    /// Commands of a session since its last accepted message; the next one hears 421. Default 5000.
    pub commands: u32,
    /// Errors of a session since its last accepted message; this one hears 421. Default 20.
    pub errors: u32,
    /// Refused recipients of a session since its last accepted message; this one hears 421. Default 100.
    pub refused_recipients: u32,
    /// Messages over one connection; MAIL after that hears 421. Default 100000.
    pub messages_per_connection: u32,
    /// Time for the client to send its next whole command, and to take our replies. Default 5m (RFC 5321 section 4.5.3.2.7).
    pub command_time: Period,
    /// Longest silence inside a message. Default 3m (RFC 5321 section 4.5.3.2.5).
    pub data_idle: Period,
    /// Time for one whole message. Default 10m.
    pub data_time: Period,
    /// Time for a call-out to the next hop about a recipient, after which it is taken unasked. Default 10s.
    pub callout_time: Period,
    /// Time for a TLS handshake. Default 30s.
    pub tls_time: Period,
    /// Time after which a session hears 421 in place of its next transaction. Default 1h.
    pub session_time: Period,
    /// At shutdown, time for running transactions to finish. Default 30s.
    pub shutdown_grace: Period,
}

impl Limits {
    /// The part of `memory` for messages as received.
    pub fn for_receiving(&self) -> u64 {
        self.memory.0 - self.for_opening() - self.for_leaving()
    }

    /// The part of `memory` for what is decoded of messages while they are judged.
    pub fn for_opening(&self) -> u64 {
        self.memory.0 / 8 * 3
    }

    /// The part of `memory` for messages that leave the spool.
    pub fn for_leaving(&self) -> u64 {
        self.memory.0 / 8
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = |seconds| Period(Duration::from_secs(seconds));
        Self {
            connections: 2000,
            connections_per_peer: 50,
            message_size: Size(50_000_000),
            line_length: Size(1_000_000),
            command_line: Size(2048),
            recipients: 1000,
            memory: Size(512_000_000),
            memory_wait: seconds(20),
            commands: 5000,
            errors: 20,
            refused_recipients: 100,
            messages_per_connection: 100_000,
            command_time: seconds(300),
            data_idle: seconds(180),
            data_time: seconds(600),
            callout_time: seconds(10),
            tls_time: seconds(30),
            session_time: seconds(3600),
            shutdown_grace: seconds(30),
        }
    }
}

impl Limits {
    /// What makes no sense in them.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.for_receiving() < self.message_size.0 {
            problems.push(Problem {
                key: "memory",
                what: format!(
                    "half of memory ({}) is less than message_size ({}): large messages could never come in",
                    self.memory, self.message_size
                ),
                hint: "raise memory to several times message_size, or lower message_size".to_owned(),
            });
        }
        let counts = [
            ("connections", self.connections as u64, 1),
            ("connections_per_peer", self.connections_per_peer as u64, 1),
            ("message_size", self.message_size.0, 1),
            ("line_length", self.line_length.0, 998),
            ("command_line", self.command_line.0, 512),
            ("recipients", self.recipients as u64, 100),
            ("commands", self.commands.into(), self.recipients as u64 + 10),
            ("errors", self.errors.into(), 1),
            ("refused_recipients", self.refused_recipients.into(), 1),
            ("messages_per_connection", self.messages_per_connection.into(), 1),
        ];
        for (key, value, least) in counts.into_iter().filter(|(_, value, least)| value < least) {
            problems.push(Problem {
                key,
                what: format!("{key} = {value} is too small to receive mail"),
                hint: format!("write at least {least}, or remove the line for the default"),
            });
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(text: &str) -> Result<ListenerSettings, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn listeners() {
        let minimal = listener(r#"{"name":"internet","address":"192.0.2.25:25","direction":"inbound"}"#).unwrap();
        assert_eq!((minimal.tls, minimal.line_endings, minimal.problems()), (TlsUse::Offer, LineEndings::Refuse, vec![]));
        let rows = [
            (r#"{"name":"a","address":"mx:25","direction":"inbound"}"#, "not an address to listen on: \"mx:25\""),
            (r#"{"name":"a","address":"[::]:25","direction":"both"}"#, "unknown variant `both`"),
            (r#"{"name":"a","address":"[::]:25"}"#, "missing field `direction`"),
            (r#"{"name":"a","address":"[::]:25","direction":"inbound","port":1}"#, "unknown field `port`"),
            (r#"{"name":"a","address":"[::]:25","direction":"outbound","clients":["10.0.0.1/8"]}"#, "bits set behind its prefix"),
        ];
        for (text, want) in rows {
            let error = listener(text).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
        let rows = [
            (r#"{"name":"","address":"[::]:25","direction":"inbound"}"#, "name"),
            (r#"{"name":"a","address":"[::]:25","direction":"outbound"}"#, "clients"),
            (r#"{"name":"a","address":"[::]:25","direction":"inbound","clients":["::1"]}"#, "clients"),
            (r#"{"name":"a","address":"[::]:25","direction":"inbound","tls_key":"k"}"#, "tls_key"),
            (r#"{"name":"a","address":"[::]:25","direction":"inbound","tls_certificate":"c"}"#, "tls_certificate"),
            (r#"{"name":"a","address":"[::]:25","direction":"inbound","tls":"off","tls_certificate":"c","tls_key":"k"}"#, "tls"),
        ];
        for (text, key) in rows {
            let keys: Vec<_> = listener(text).unwrap().problems().into_iter().map(|problem| problem.key).collect();
            assert_eq!(keys, [key], "{text}");
        }
    }

    #[test]
    fn limits() {
        assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), Limits::default());
        assert_eq!(Limits::default().problems(), []);
        let text = r#"{"connections":0,"recipients":99,"commands":100,"memory":"1MB"}"#;
        let keys: Vec<_> = serde_json::from_str::<Limits>(text).unwrap().problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["memory", "connections", "recipients", "commands"]);
    }
}
