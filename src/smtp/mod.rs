//! SMTP as bytes and values: commands, replies, data, the session. No sockets, no clocks.

pub mod command;
pub mod decoder;
pub mod encoder;
pub mod reply;
pub mod reply_reader;
pub mod session;

pub use reply::Reply;
