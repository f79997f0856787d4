//! MIME, read from the raw bytes: header blocks, fields, boundaries, transfer encodings; and the further readings of a leaf.
//!
//! A reading finds what a client may decode out of bytes that already stand in a part. To add one: one file here with its
//! `pub(crate) const READING`, and one line in [`READINGS`].

pub(crate) mod base64;
mod base64_text;
pub(crate) mod boundary;
pub(crate) mod charset;
mod embedded;
pub(crate) mod ends;
pub(crate) mod entity;
pub(crate) mod field;
pub(crate) mod header;
pub(crate) mod lines;
mod loose;
mod mbox;
pub(crate) mod named;
mod nested;
pub(crate) mod quoted;
mod recoded;
pub(crate) mod second;
pub(crate) mod transfer;
mod uuencode;
pub(crate) mod words;
mod yenc;

pub(crate) use nested::looks_like_message;

use super::find::{Finds, Leaf};

/// A further reading of a leaf.
pub(crate) struct Reading {
    /// A short name, for tests and benchmarks.
    pub name: &'static str,
    /// What it reads, in plain words.
    pub reads: &'static str,
    /// Adds what it finds.
    pub read: fn(&Leaf, &mut Finds),
}

/// All readings, tried on every leaf.
pub(crate) const READINGS: &[Reading] =
    &[nested::READING, mbox::READING, uuencode::READING, yenc::READING, embedded::READING, base64_text::READING, recoded::READING];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_have_names_of_their_own_and_say_what_they_read() {
        for (i, reading) in READINGS.iter().enumerate() {
            assert!(!reading.name.is_empty() && reading.reads.len() > 10, "{}", reading.name);
            assert!(READINGS.iter().skip(i + 1).all(|other| other.name != reading.name), "{}", reading.name);
        }
    }
}
