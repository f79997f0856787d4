//! The methods a member is packed by (APPNOTE 4.4.5), each unpacked to its own end: the sizes that headers give are not needed, but for
//! those methods that have no end of their own.

use std::io::{Error, ErrorKind, Read};

use bytes::Bytes;
use deflate64::InflaterManaged;
use ppmd_rust::{Ppmd8Decoder, RestoreMethod};

use super::super::super::find::Finds;
use super::super::deflate::Stream;
use super::super::ints::{le16, le32};
use super::super::stream::{How, WINDOW, quietly};
use super::super::{bzip2, lzma, xz, zstd};

/// Nothing is packed.
pub(super) const STORED: u16 = 0;
/// Methods tried where the one that is named does not fit, unless their data would start otherwise.
pub(super) const GUESSES: [u16; 6] = [8, 9, 12, 14, 93, 95];

/// What unpacking by one method gave.
#[derive(Debug)]
pub(super) struct Outcome {
    pub bytes: Bytes,
    pub how: How,
    /// Packed bytes it took.
    pub used: usize,
}

/// Whether data may be packed by a method, by how it starts.
pub(super) fn may_be(method: u16, packed: &[u8]) -> bool {
    match method {
        12 => packed.starts_with(b"BZh"),
        14 => le16(packed, 2) == Some(5) && packed.get(4) < Some(&225) && packed.get(9) == Some(&0),
        93 => packed.starts_with(b"\x28\xb5\x2f\xfd"),
        95 => packed.starts_with(b"\xfd7zXZ"),
        _ => true,
    }
}

/// Unpacks packed bytes, which may go on behind the `said` ones of the member, by a method other than [`STORED`]. `size` is what the headers
/// say comes out.
pub(super) fn unpack(method: u16, flags: u16, size: u64, (packed, said): (&[u8], usize), finds: &mut Finds, name: &str) -> Outcome {
    let none = |how| Outcome { bytes: Bytes::new(), how, used: 0 };
    let piece = |piece: super::super::stream::Piece| Outcome { bytes: piece.bytes, how: piece.how, used: piece.used };
    match method {
        8 => {
            let mut decoder = Stream::deflate(packed, false);
            let (bytes, how) = quietly(finds, &mut decoder, said, name);
            Outcome { bytes, how, used: decoder.used() }
        }
        9 => {
            let mut decoder = Deflate64 { rest: packed, inflater: Box::new(InflaterManaged::new()) };
            let (bytes, how) = quietly(finds, &mut decoder, said, name);
            Outcome { bytes, how, used: packed.len() - decoder.rest.len() }
        }
        12 => piece(bzip2::one(packed, finds, name)),
        14 => of_lzma(flags, size, packed, finds, name),
        20 | 93 => piece(zstd::one(packed, finds, name)),
        95 => piece(xz::one(packed, finds, name)),
        98 => of_ppmd(size, packed, finds, name),
        _ => none(How::Unknown),
    }
}

/// Version, size of the properties, properties (APPNOTE 5.8.8); a flag says whether a mark ends the data.
fn of_lzma(flags: u16, size: u64, packed: &[u8], finds: &mut Finds, name: &str) -> Outcome {
    let none = Outcome { bytes: Bytes::new(), how: How::Broken, used: 0 };
    let start = 4 + usize::from(le16(packed, 2).unwrap_or_default());
    let (Some(properties), Some(dictionary), Some(rest)) = (packed.get(4), le32(packed, 5), packed.get(start..)) else { return none };
    let size = if flags & 2 != 0 { u64::MAX } else { size };
    let (bytes, how, used) = lzma::raw(rest, *properties, dictionary, size, finds, name);
    Outcome { bytes, how, used: start + used }
}

/// Two bytes of parameters (APPNOTE 5.10.3): order, memory in MiB, what happens when it is full.
fn of_ppmd(size: u64, packed: &[u8], finds: &mut Finds, name: &str) -> Outcome {
    let none = |how| Outcome { bytes: Bytes::new(), how, used: 0 };
    let (Some(parameters), Some(rest)) = (le16(packed, 0), packed.get(2..)) else { return none(How::Broken) };
    let (order, memory) = (u32::from(parameters & 0xf) + 1, (u32::from(parameters >> 4 & 0xff) + 1) << 20);
    if memory > WINDOW {
        return none(How::Large);
    }
    let Ok(mut decoder) = Ppmd8Decoder::new(rest, order, memory, RestoreMethod::from(parameters >> 12)) else {
        return none(How::Broken);
    };
    let (bytes, how) = quietly(finds, (&mut decoder).take(size), packed.len(), name);
    Outcome { bytes, how, used: packed.len() - decoder.get_ref().len() }
}

/// Deflate64 with its end told from the end of the input.
struct Deflate64<'a> {
    rest: &'a [u8],
    inflater: Box<InflaterManaged>,
}

impl Read for Deflate64<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let result = self.inflater.inflate(self.rest, out);
            self.rest = self.rest.get(result.bytes_consumed..).unwrap_or_default();
            if result.bytes_written > 0 || out.is_empty() {
                return Ok(result.bytes_written);
            }
            if result.data_error || self.inflater.errored() {
                return Err(Error::from(ErrorKind::InvalidData));
            }
            if self.inflater.finished() {
                return Ok(0);
            }
            if result.bytes_consumed == 0 {
                return Err(Error::from(ErrorKind::UnexpectedEof));
            }
        }
    }
}
