//! The checks, one file each. A check reports; it never decides and never sees the store.

pub mod antivirus;
pub mod content;
pub mod heuristics;
