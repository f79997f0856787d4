//! Compressed streams inside other formats: one function for those who have a stream and no file of its own.

use bytes::Bytes;

use super::super::find::Finds;
use super::super::limits::Ended;
use super::deflate::Stream;

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
        Method::Deflate => finds.unpack(Stream::deflate(packed, false), packed.len(), name),
        Method::Zlib => finds.unpack(Stream::deflate(packed, true), packed.len(), name),
        Method::Bzip2 => finds.unpack(super::bzip2::stream(packed), packed.len(), name),
    }
}
