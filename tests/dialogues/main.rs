//! SMTP conversations over real sockets: the dialogue files of this folder, TLS, limits, shutdown.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers outside #[test] functions too

mod dialogue;
mod harness;
mod limits;
mod observe;
mod shutdown;
mod tls;
