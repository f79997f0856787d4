//! Packed data that is opened as far as it goes: programs that show documents do not ask for more, so damage in it accuses nobody.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, ZlibDecoder};

use super::super::find::Finds;
use super::super::limits::Ended;

/// Unpacks within the limits; an error ends it and is no problem. Limits are problems as everywhere.
pub(super) fn unpack(stream: impl Read, packed: usize, name: &str, finds: &mut Finds) -> Bytes {
    let before = finds.problems.len();
    let (bytes, ended) = finds.unpack(stream, packed, name);
    if ended == Ended::Broken {
        finds.problems.truncate(before);
    }
    bytes
}

/// Unpacks what may be zlib (RFC 1950) or, with a wrong or no header, plain deflate; at most `most` bytes of it. Says how much was read.
pub(super) fn inflate(packed: &[u8], most: u64, name: &str, finds: &mut Finds) -> (Bytes, usize) {
    let mut zlib = ZlibDecoder::new(packed);
    let bytes = unpack(zlib.by_ref().take(most), packed.len(), name, finds);
    if !bytes.is_empty() {
        return (bytes, usize::try_from(zlib.total_in()).unwrap_or_default());
    }
    for skip in [2, 0] {
        let Some(packed) = packed.get(skip..) else { continue };
        let mut probe = Vec::new();
        let _ = DeflateDecoder::new(packed).take(256).read_to_end(&mut probe);
        if probe.len() < 8 {
            continue;
        }
        let mut plain = DeflateDecoder::new(packed);
        let bytes = unpack(plain.by_ref().take(most), packed.len(), name, finds);
        return (bytes, skip + usize::try_from(plain.total_in()).unwrap_or_default());
    }
    (Bytes::new(), 0)
}
