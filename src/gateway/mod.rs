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
mod settings;
mod tls;

use std::sync::Arc;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pipeline::Accept;

pub use listener::{BindError, Listener};
pub use networks::Network;
pub use settings::{Limits, ListenerDirection, ListenerSettings, Problem, TlsUse, Unsynchronised};
pub use tls::Tls;

use limits::{Budget, Slots};

/// What all connections share.
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

/// Serves all listeners until `shutdown` is cancelled; then takes no new connection, ends idle sessions with 421, lets
/// running transactions finish within [`Limits::shutdown_grace`], and returns.
///
/// `hostname` is our name in greetings, and the last resort for `<postmaster>`.
pub async fn serve<A: Accept>(listeners: Vec<Listener>, accept: Arc<A>, limits: &Limits, hostname: &str, shutdown: CancellationToken) {
    let reserve = listeners.iter().any(|listener| listener.direction() == ListenerDirection::Outbound);
    let shared = Arc::new(Shared {
        accept,
        hostname: hostname.to_owned(),
        slots: Arc::new(Slots::new(limits.connections, limits.connections_per_peer, reserve)),
        budget: Budget::new(limits.memory.0, limits.memory_wait.0),
        limits: limits.clone(),
        shutdown,
        hurry: CancellationToken::new(),
        tasks: TaskTracker::new(),
    });
    join_all(listeners.into_iter().map(|listener| listener.run(shared.clone()))).await;
    shared.tasks.close();
    let grace = limits.shutdown_grace.0;
    if tokio::time::timeout(grace, shared.tasks.wait()).await.is_err() {
        let connections = shared.tasks.len();
        tracing::warn!(connections, ?grace, "shutdown grace is over; connections are cut, their clients will try again");
        shared.hurry.cancel();
        shared.tasks.wait().await;
    }
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
