//! The configuration file and everything it wires: the one place that knows all parts.

pub mod config;
pub mod effective;
pub mod examine;
pub mod load;
pub mod log;
pub mod problem;
mod read;
pub mod route;
mod suggest;
mod syntax;
mod token;
mod tree;
mod validate;
mod version;
mod wire;
mod words;

pub use config::Config;
pub use load::{Loaded, find, load, load_str, read_config};
pub use problem::{Problem, Severity};
pub use wire::{Running, StartError};
