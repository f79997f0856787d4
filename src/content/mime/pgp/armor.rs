//! ASCII armour (RFC 9580 section 6.2) and the cleartext signature framework (section 7).

use memchr::memmem;

use super::super::base64::{self, Style};

/// Blocks read of one leaf.
const MAX_BLOCKS: usize = 50;
const BEGIN: &[u8] = b"-----BEGIN PGP ";

/// What stands in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Packets in base64.
    Packets,
    /// Text as it is, with dashes before lines that start with one.
    Cleartext,
}

/// A block without its first and last line and its fields.
pub(super) struct Block<'a> {
    pub kind: Kind,
    pub text: &'a [u8],
}

/// The blocks in a text; those in which nothing could stand are left out.
pub(super) fn blocks(data: &[u8]) -> impl Iterator<Item = Block<'_>> {
    let starts = memmem::find_iter(data, BEGIN).take(MAX_BLOCKS);
    starts.filter_map(|at| {
        let rest = data.get(at + BEGIN.len()..)?;
        let kind = if rest.starts_with(b"SIGNED MESSAGE") { Kind::Cleartext } else { Kind::Packets };
        let body = rest.get(memchr::memchr2(b'\n', b'\r', rest)?..)?;
        let end = memmem::find(body, if kind == Kind::Cleartext { BEGIN } else { b"-----END PGP" }).unwrap_or(body.len());
        let text = without_fields(body.get(..end)?);
        (kind == Kind::Packets || text.starts_with(b"- ") || memmem::find(text, b"\n- ").is_some()).then_some(Block { kind, text })
    })
}

/// What follows the fields: lines with a colon up to an empty one, where there are any.
fn without_fields(body: &[u8]) -> &[u8] {
    let mut rest = body;
    loop {
        let next = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, tail) = rest.split_at(next);
        let blank = line.iter().all(|c| c.is_ascii_whitespace() || *c == b'>');
        if tail.is_empty() || !(blank || memchr::memchr(b':', line).is_some()) {
            return rest;
        }
        rest = tail;
    }
}

/// The bytes of a block; the line with the checksum is left out.
pub(super) fn decode(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|c| *c == b'\n').map(Quote::trim_start_matches_quote);
    let lines = lines.filter(|line| !line.starts_with(b"="));
    base64::decode(&lines.collect::<Vec<_>>().join(&b'\n'), Style::Chunks).bytes
}

trait Quote {
    /// Without marks of a reply before it.
    fn trim_start_matches_quote(&self) -> &Self;
}

impl Quote for [u8] {
    fn trim_start_matches_quote(&self) -> &[u8] {
        self.get(self.iter().take_while(|c| matches!(c, b'>' | b' ' | b'\t')).count()..).unwrap_or_default()
    }
}

/// Signed text as it was before dashes were put in.
pub(super) fn without_dashes(text: &[u8]) -> Vec<u8> {
    let lines = text.split(|c| *c == b'\n').map(|line| line.strip_prefix(b"- ").unwrap_or(line));
    lines.collect::<Vec<_>>().join(&b'\n').trim_ascii_end().to_vec()
}
