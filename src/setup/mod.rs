//! The configuration file and everything it wires: the one place that knows all parts.

mod assemble;
mod changes;
pub mod config;
pub mod effective;
pub mod examine;
mod history;
pub mod load;
pub mod log;
mod prepare;
pub mod problem;
mod read;
mod reload;
pub mod route;
mod service;
mod signals;
mod sockets;
mod suggest;
mod syntax;
mod token;
mod tree;
mod validate;
mod version;
mod watch;
mod wire;
mod words;

pub use config::Config;
pub use load::{Loaded, admin_socket, check_str, find, load, load_str, read_config};
pub use problem::{Problem, Severity};
pub use wire::{Running, StartError};
