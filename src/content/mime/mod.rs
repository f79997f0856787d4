//! MIME, read from the raw bytes: header blocks, fields, boundaries, transfer encodings; and the further readings of a leaf.
//!
//! A reading finds what a client may decode out of bytes that already stand in a part. To add one: one file here with its
//! `pub(crate) const READING`, and one line in [`READINGS`].

mod apple;
pub(crate) mod base64;
mod base64_text;
mod based;
mod binhex;
pub(crate) mod boundary;
pub(crate) mod charset;
mod cms;
mod dumped;
mod ebcdic;
mod embedded;
pub(crate) mod ends;
pub(crate) mod entity;
mod escapes;
pub(crate) mod field;
mod folded;
pub(crate) mod header;
mod hexfile;
pub(crate) mod lines;
mod loose;
mod marked;
mod mbox;
pub(crate) mod named;
mod nested;
mod pgp;
pub(crate) mod quoted;
mod recoded;
mod runs;
pub(crate) mod second;
mod smuggled;
pub(crate) mod transfer;
mod uuencode;
mod wide;
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
pub(crate) const READINGS: &[Reading] = &[
    nested::READING,
    mbox::READING,
    uuencode::READING,
    yenc::READING,
    binhex::READING,
    apple::READING,
    embedded::READING,
    base64_text::READING,
    recoded::READING,
    pgp::READING,
    cms::READING,
    runs::READING,
    escapes::READING,
    folded::READING,
    marked::READING,
    hexfile::READING,
    dumped::READING,
    based::READING,
    wide::READING,
    smuggled::READING,
];

/// Whether readings for text apply: it is text by its look, or its type or name says so (a program that goes by these reads a page behind the
/// mark of a picture too), or it is of no known type and may be one (one control character makes no text unreadable for those who decode
/// what stands in it).
fn is_readable(leaf: &Leaf) -> bool {
    leaf.is_readable(says_text)
}

fn says_text(leaf: &Leaf) -> bool {
    let declared = || {
        let kinds = ["html", "xml", "json", "javascript", "ecmascript", "rfc822", "mbox"];
        leaf.declared.starts_with("text") || kinds.iter().any(|kind| leaf.declared.ends_with(kind))
    };
    super::sniff::is_text(leaf.true_type)
        || declared()
        || leaf.name.is_some_and(super::sniff::is_text_name)
        || (leaf.true_type.is_empty() && may_be_text(leaf.data))
}

/// Whether bytes of no known type have text in them: all small ones may; of large ones, a quarter of the samples are text.
fn may_be_text(data: &[u8]) -> bool {
    /// The size up to which everything may be text, in bytes.
    const SMALL: usize = 64 << 10;
    data.len() <= SMALL || text_of_1000(data) >= 250
}

/// Whether a leaf is text all over, and not bytes of any kind in which a text may stand: what is made of the whole of it is worth making.
fn is_all_text(leaf: &Leaf) -> bool {
    is_readable(leaf) && leaf.is_all_text(says_all_text)
}

fn says_all_text(leaf: &Leaf) -> bool {
    !leaf.true_type.is_empty() || leaf.declared.starts_with("text") || text_of_1000(leaf.data) >= 500
}

/// How much of `data` is text, in thousandths: those of its samples of which three quarters are shown characters.
fn text_of_1000(data: &[u8]) -> usize {
    /// Size and number of the samples.
    const SAMPLE: usize = 128;
    const SAMPLES: usize = 128;
    let shown = |sample: &[u8]| sample.iter().filter(|c| matches!(c, 0x20..0x7f | b'\t' | b'\r' | b'\n')).count();
    let is_text = |sample: &&[u8]| shown(sample) * 4 >= sample.len() * 3;
    let step = (data.len() / SAMPLES).max(SAMPLE);
    let samples = || data.chunks(step).filter_map(|chunk| chunk.get(..chunk.len().min(SAMPLE)));
    samples().filter(is_text).count() * 1000 / samples().count().max(1)
}

/// Another form of a whole text, marked so that it has no type of its own: rules about pages and attachments see the text itself.
fn untyped(text: Vec<u8>) -> Vec<u8> {
    [b"\0\n", text.as_slice()].concat()
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::find::{Finds, Item, Leaf};
    use super::super::limits::{Budget, Limits};
    use super::super::sniff;

    /// What a reading finds in `data`, as Latin-1; also over every cut of it and over every change of one byte, for panics.
    pub(crate) fn found(read: fn(&Leaf, &mut Finds), data: &[u8]) -> Vec<String> {
        found_as(read, data, "", "")
    }

    /// The same under a declared type and charset.
    pub(crate) fn found_as(read: fn(&Leaf, &mut Finds), data: &[u8], declared: &str, charset: &str) -> Vec<String> {
        for at in 0..data.len().min(3000) {
            once(read, &data[..at], declared, charset);
            let mut changed = data.to_vec();
            for flip in [0x01, 0x80, 0xff] {
                changed[at] = data[at] ^ flip;
                once(read, &changed, declared, charset);
            }
        }
        once(read, data, declared, charset).0
    }

    /// What a reading finds, and the codes of what it notes.
    pub(crate) fn once(read: fn(&Leaf, &mut Finds), data: &[u8], declared: &str, charset: &str) -> (Vec<String>, Vec<&'static str>) {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 1000);
        let data = bytes::Bytes::copy_from_slice(data);
        read(&Leaf::new(&data, None, declared, charset, sniff::true_type(&data)), &mut finds);
        let bytes = finds.items.iter().map(|item| match item {
            Item::Blob { bytes, .. } | Item::Entity(bytes) | Item::Message(bytes) | Item::Guess(bytes) => bytes,
        });
        let texts = bytes.map(|bytes| bytes.iter().map(|c| char::from(*c)).collect()).collect();
        (texts, finds.problems.iter().map(|problem| problem.code).collect())
    }
}

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
