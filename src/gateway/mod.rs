//! Sockets in: listeners, connections, TLS, limits, shutdown.
//!
//! ```text
//!  listener ─ may it connect? (clients, limits) ─► connection ─ bytes ─► smtp::Session
//!                                                      │ recipient ─► relay      │ TLS ─► tls
//!                                                      │ memory ───► limits
//!                                                      └ message ──► pipeline::Accept ─► reply
//! ```

mod connection;
mod input;
mod limits;
mod listener;
mod networks;
mod relay;
mod serve;
mod settings;
mod tls;

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use listener::{BindError, Listener, Reserved};
pub use networks::Network;
pub use serve::{Gateway, Planned, serve};
pub use settings::{Limits, ListenerDirection, ListenerSettings, Problem, TlsUse, Unsynchronised};
pub use tls::Tls;

use limits::{Budget, Slots};

/// What all connections share, of one configuration.
struct Shared<A> {
    accept: Arc<A>,
    hostname: String,
    limits: Limits,
    slots: Arc<Slots>,
    budget: Budget,
    /// Cancelled when no new work is to begin.
    shutdown: CancellationToken,
    /// Cancelled when the grace is over too.
    hurry: CancellationToken,
    tasks: TaskTracker,
}

/// Describes the metrics of this part.
pub fn describe() {
    use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_gauge!("mailweir_connections", "SMTP connections open now, by listener.");
    describe_counter!("mailweir_connections_total", "SMTP connections taken, by listener.");
    describe_counter!(
        "mailweir_sessions_refused_total",
        "SMTP sessions refused or ended by us for a reason that lies with the client or a limit."
    );
    describe_counter!("mailweir_rejected_recipients_total", "Recipients refused at RCPT, by reason.");
    describe_counter!("mailweir_unsynchronised_sessions_total", "Sessions in which the client did not wait for a reply where it has to.");
    describe_counter!("mailweir_data_refused_total", "Messages refused at or in DATA before any check saw them, by reason.");
    describe_histogram!("mailweir_receive_seconds", Unit::Seconds, "Time from DATA to the end of the message.");
    describe_gauge!("mailweir_mail_memory_bytes", Unit::Bytes, "Memory budget in use for mail that is coming in or being judged.");
}
