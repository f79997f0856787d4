//! Findings to decisions. Pure.
