//! SMTP as bytes and values: commands, replies, data, the session. No sockets, no clocks.
//!
//! ```text
//!  bytes ─► lines ─► command ─► session ─► replies
//!                                  │ after DATA, BDAT
//!           bytes ─► decoder ──────┘─► the message          encoder, reply_reader: the other way, as a client
//! ```

pub mod command;
pub mod decoder;
pub mod encoder;
pub mod lines;
pub mod notifications;
pub mod parameters;
pub mod path;
pub mod replies;
pub mod reply;
pub mod reply_reader;
pub mod session;

pub use reply::Reply;
