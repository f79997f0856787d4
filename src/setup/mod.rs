//! The configuration file and everything it wires: the one place that knows all parts.

pub mod problem;
mod read;
mod suggest;
mod syntax;
mod tree;
mod words;

pub use problem::{Problem, Severity};
