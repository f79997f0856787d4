//! lzma in its old form without a checksum (`.lzma`): 13 bytes of header, known by their look, and the stream.

use bytes::Bytes;
use lzma_rust2::LzmaReader;

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use super::stream::{self, Format, How, Piece, WINDOW_KIB, complain, is_named, quietly};

pub(super) const CONTAINER: Container =
    Container { name: "lzma", opens: "lzma files", is: |leaf| is_sure(leaf) || looks_so(leaf.data), open };

/// Bytes of the header: properties, size of the dictionary, unpacked size.
const HEADER: usize = 13;
/// Unpacked sizes from which one is no size.
const NO_SIZE: u64 = 1 << 38;

/// The name, the declared type or a usual header say so.
fn is_sure(leaf: &Leaf) -> bool {
    let named = is_named(leaf, &[".lzma", ".tlz"], &["application/x-lzma", "application/lzma"]);
    leaf.true_type == "lzma" || (named && leaf.true_type.is_empty())
}

/// A header that makes sense: properties in range, a dictionary of a usual size, no size or one that can be, and the zero that every
/// stream starts with.
fn looks_so(bytes: &[u8]) -> bool {
    let Some(&[properties, d0, d1, d2, d3, s0, s1, s2, s3, s4, s5, s6, s7, zero]) = bytes.first_chunk::<{ HEADER + 1 }>() else {
        return false;
    };
    let dictionary = u32::from_le_bytes([d0, d1, d2, d3]);
    let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7]);
    let round = dictionary.is_power_of_two() || (dictionary % 3 == 0 && (dictionary / 3).is_power_of_two()) || dictionary == u32::MAX;
    properties < 225 && round && dictionary >= 1 << 10 && (size == u64::MAX || size < NO_SIZE) && size > 0 && zero == 0
}

const FORMAT: Format = Format { magic: b"]\0\0", starts: looks_so, one };

fn open(leaf: &Leaf, finds: &mut Finds) {
    if is_sure(leaf) {
        return stream::open(leaf, finds, &FORMAT);
    }
    // Other binary files may look like it: they are accused of nothing.
    if !finds.look(leaf.data.len()) {
        return;
    }
    let piece = one(leaf.data, finds, leaf.name.unwrap_or_default());
    match piece.how {
        How::Large if piece.bytes.is_empty() => {}
        how @ (How::Limit | How::Large) => complain(finds, how, leaf.name.unwrap_or_default()),
        _ => {}
    }
    if !piece.bytes.is_empty() {
        finds.add(Item::Guess(piece.bytes));
    }
}

/// Unpacks the stream at the start of `rest`.
fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    let mut reader = match LzmaReader::new_mem_limit(rest, WINDOW_KIB, None) {
        Ok(reader) => reader,
        Err(error) if error.kind() == std::io::ErrorKind::OutOfMemory => return Piece::none(How::Large),
        Err(_) => return Piece::none(How::Broken),
    };
    // What comes out before damage is handed out first.
    reader.set_defer_errors(true);
    let (bytes, how) = quietly(finds, &mut reader, rest.len(), name);
    Piece { bytes, how, used: used(rest, reader), name: None }
}

/// How much of `rest` a reader took.
pub(super) fn used(rest: &[u8], reader: LzmaReader<&[u8]>) -> usize {
    let (left, unused) = reader.into_parts();
    rest.len().saturating_sub(left.len() + unused.len())
}

/// Unpacks raw lzma, with an unpacked size of `u64::MAX` where a mark ends it; tells how much it took.
pub(super) fn raw(rest: &[u8], properties: u8, dictionary: u32, size: u64, finds: &mut Finds, name: &str) -> (Bytes, How, usize) {
    if dictionary > stream::WINDOW {
        return (Bytes::new(), How::Large, 0);
    }
    let Ok(mut reader) = LzmaReader::new_with_props(rest, size, properties, dictionary, None) else {
        return (Bytes::new(), How::Broken, 0);
    };
    // What comes out before damage is handed out first.
    reader.set_defer_errors(true);
    let (bytes, how) = quietly(finds, &mut reader, rest.len(), name);
    (bytes, how, used(rest, reader))
}
