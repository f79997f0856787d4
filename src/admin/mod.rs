//! Sockets of people: the API, metrics and health. Never on the face towards the internet.
//!
//! ```text
//! unix socket    peer credentials ─► who ─┐
//! loopback HTTP  bearer token     ─► who ─┴─► api::router ─► operate ─► store, pipeline
//! metrics        /metrics /healthz /readyz
//! ```
//!
//! The command line uses the same router in process when no gateway runs.

pub mod answer;
pub mod api;
pub mod desk;
pub mod health;
pub mod local;
pub mod metrics;
pub mod server;
pub mod token;
pub mod watch;
pub mod who;

pub use desk::{Desk, Desks};
pub use local::Local;
pub use metrics::Metrics;
pub use server::{BindError, Bound};

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[admin]`: where people and monitors reach the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The unix socket of the API, open to its owner and group; default `/run/mailweir/admin.sock`.
    pub socket: PathBuf,
    /// The API over HTTP, on loopback, such as `"127.0.0.1:8025"`; wants `token_file`; default off.
    pub http: Option<SocketAddr>,
    /// A file with one `name:token` a line, for `http`; readable by nobody else.
    pub token_file: Option<PathBuf>,
    /// `/metrics`, `/healthz` and `/readyz` over HTTP, such as `"127.0.0.1:9125"`; default off.
    pub metrics: Option<SocketAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { socket: PathBuf::from("/run/mailweir/admin.sock"), http: None, token_file: None, metrics: None }
    }
}
