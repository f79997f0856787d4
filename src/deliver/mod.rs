//! Sockets out: the courier, its connections, and what each kind of next hop wants.
//!
//! ```text
//!  Courier::deliver   groups recipients, finds hops (route, MX), tries them in order        courier
//!  Courier::verify    asks a hop about a recipient, or remembers what it said               callout, answers
//!     └ visit         at one hop: wait, connect, one transaction or several                 visit
//!     └ Hop           slots, pace, idle connections, up or down                             hop, pool, slots, pace, profile
//!         └ Connection   connect, greeting, EHLO, STARTTLS, AUTH; replies and bytes with deadlines   connection, auth
//!             └ transaction   MAIL, RCPT, DATA, final dot: an outcome for each recipient          transaction, wishes
//! ```
//!
//! The SMTP client is our own, on tokio, and does not use mail-send: its reader drops what arrives behind the first of
//! several replies (so no pipelining, and text injected before STARTTLS passes unseen) and has no limit; its DATA writer is
//! not byte-exact; its deadlines are per call and not per phase; and it would bring a second set of TLS settings.

mod answers;
mod auth;
mod callout;
mod capabilities;
mod clock;
mod connection;
mod courier;
mod hop;
mod pace;
mod pool;
pub mod profile;
mod screen;
mod slots;
mod terms;
mod transaction;
mod visit;
mod wishes;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::mail::dsn::{MessageRequest, RecipientRequest};
use crate::mail::units::Period;
use crate::mail::{Address, Body, ReversePath, Route, TlsUse};

pub use callout::Verified;
pub use courier::Courier;
pub use hop::HopStatus;

/// Settings of delivery (`[delivery]`); connections, pacing and retries are settings of each route.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Encryption towards next hops of routes that do not say: `"opportunistic"` (default), `"required"` or `"off"`.
    pub tls: TlsUse,
    /// Certificates of the authorities trusted with `tls = "required"`, PEM. Default: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Name servers, as addresses with port. Default: those of `/etc/resolv.conf`.
    pub nameservers: Vec<SocketAddr>,
    /// While the sender waits: all of finding, connecting and greeting, over all hops tried. Default 20 s.
    pub connect_time: Period,
    /// While the sender waits: MAIL to the answer to DATA. Default 20 s.
    pub envelope_time: Period,
    /// While the sender waits: final dot to its reply. Exchange may delay it by 30 s. Default 120 s.
    pub final_time: Period,
    /// While the sender waits: for a free connection, and then for the pace of the route or of a hop that asks for less, each. What does
    /// not get its turn goes to the spool. Default 5 s.
    pub wait_time: Period,
    /// From the spool: connecting and greeting, for each hop. Default 1 m.
    pub spool_connect_time: Period,
    /// From the spool: MAIL to the answer to DATA. Default 5 m (RFC 5321 section 4.5.3.2).
    pub spool_envelope_time: Period,
    /// From the spool: final dot to its reply. Default 10 m (RFC 5321 section 4.5.3.2.6).
    pub spool_final_time: Period,
    /// For how long a hop that could not be reached is tried after all others. Default 30 s.
    pub down_time: Period,
    /// Connections in use at once to hosts found by MX, all domains together. Default 200. Hops named in routes do not count:
    /// each has its own limit there, so that slow strangers never hold up one's own mail servers. As many again are kept idle, for 5 s.
    pub mx_connections: usize,
    /// Of these, connections in use at once for one domain. Default 10.
    pub mx_domain_connections: usize,
    /// Messages over one connection before it is closed. Default 100.
    pub messages_per_connection: usize,
    /// Recipients in one transaction; more are sent in several. Default 100, which every server must take (RFC 5321 section 4.5.3.1.8).
    pub recipients_per_transaction: usize,
    /// The port of hosts found by MX. Default 25.
    pub mx_port: u16,
    /// For how long it is remembered that a next hop takes a recipient (`callout`). Beyond that too, while the hop cannot be asked.
    /// Default 1 h.
    pub callout_positive: Period,
    /// For how long it is remembered that a next hop does not know a recipient. Default 5 m.
    pub callout_negative: Period,
    /// How long the sender of RCPT waits for the next hop's answer about it; without one the recipient is accepted. Default 5 s.
    pub callout_time: Period,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = |n| Period(Duration::from_secs(n));
        Self {
            tls: TlsUse::Opportunistic,
            ca_file: None,
            nameservers: Vec::new(),
            connect_time: seconds(20),
            envelope_time: seconds(20),
            final_time: seconds(120),
            wait_time: seconds(5),
            spool_connect_time: seconds(60),
            spool_envelope_time: seconds(300),
            spool_final_time: seconds(600),
            down_time: seconds(30),
            mx_connections: 200,
            mx_domain_connections: 10,
            messages_per_connection: 100,
            recipients_per_transaction: 100,
            mx_port: 25,
            callout_positive: seconds(3600),
            callout_negative: seconds(300),
            callout_time: seconds(5),
        }
    }
}

/// One message for recipients of one route.
#[derive(Debug, Clone)]
pub struct Job {
    /// Where to.
    pub route: Arc<Route>,
    /// MAIL FROM.
    pub sender: ReversePath,
    /// RCPT TO; outcomes come in this order.
    pub recipients: Vec<To>,
    /// BODY parameter.
    pub body: Body,
    /// The sender asked for SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// RET and ENVID.
    pub dsn: MessageRequest,
    /// The message, trace fields first, dots not doubled; written to the socket without being copied.
    pub data: Vec<Bytes>,
    /// How long to wait for slow hops.
    pub patience: Patience,
}

/// One recipient of a job.
#[derive(Debug, Clone)]
pub struct To {
    /// RCPT TO.
    pub address: Address,
    /// NOTIFY and ORCPT.
    pub dsn: RecipientRequest,
}

/// Who waits for the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// The sender, in its session: seconds, then the spool takes over.
    Session,
    /// Nobody: minutes.
    Spool,
}

/// Tells the metrics recorder what the courier counts.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(
        "mailweir_next_hop_replies_total",
        "Outcomes for recipients by route and class of the next hop's reply: 2xx, 4xx, 5xx, none"
    );
    describe_histogram!(
        "mailweir_delivery_seconds",
        Unit::Seconds,
        "Time of one delivery attempt by route, waiting for a connection included"
    );
    describe_gauge!("mailweir_next_hop_connections", "Connections to next hops by route, idle ones included");
    describe_counter!(
        "mailweir_next_hop_push_backs_total",
        "Times that a next hop asked for less (421, 452, too many connections), by route"
    );
    describe_counter!(
        "mailweir_callouts_total",
        "Questions whether a next hop takes a recipient, by route, by answer (known, unknown, cannot_tell), and by whether it was asked or remembered"
    );
    describe_gauge!("mailweir_next_hop_up", "1 where the next hop took its last connection, 0 where it did not; hops named in routes only");
}
