//! Compressed streams inside other formats: one function for those who have a stream and no file of its own.

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, ZlibDecoder};

use super::super::find::Finds;
use super::super::limits::Ended;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// RFC 1951.
    Deflate,
    /// RFC 1950.
    Zlib,
    /// bzip2.
    Bzip2,
}

/// Unpacks `packed` within the limits; what follows the stream is left. Problems go to `finds`, with `name`.
pub(crate) fn unpack(method: Method, packed: &[u8], finds: &mut Finds, name: &str) -> (Bytes, Ended) {
    match method {
        Method::Deflate => finds.unpack(DeflateDecoder::new(packed), packed.len(), name),
        Method::Zlib => finds.unpack(ZlibDecoder::new(packed), packed.len(), name),
        Method::Bzip2 => finds.unpack(bzip2::bufread::BzDecoder::new(packed), packed.len(), name),
    }
}
