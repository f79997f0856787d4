//! bzip2: several streams one after the other as one file.

use ::bzip2::{Decompress, Status};

use super::super::find::{Finds, Leaf};
use super::Container;
use super::deflate::{Decoder, Stream};
use super::stream::{self as streams, Format, Piece, quietly};

pub(super) const CONTAINER: Container = Container {
    name: "bzip2",
    opens: "bzip2 files",
    is: |leaf| leaf.true_type == "bzip2",
    open: |leaf: &Leaf, finds: &mut Finds| streams::open(leaf, finds, &FORMAT),
};

const FORMAT: Format = Format { magic: b"BZh", starts, one };

/// A header, and behind it the mark of a block or of the end.
fn starts(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BZh")
        && [b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"].iter().any(|mark| bytes.get(4..10) == Some(&mark[..]))
}

/// A reader of the stream at the start of `packed`.
pub(super) fn stream(packed: &[u8]) -> Stream<'_, Decompress> {
    Stream::new(packed, Decompress::new(false))
}

/// Unpacks the stream at the start of `rest`.
pub(super) fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    let mut decoder = stream(rest);
    let (bytes, how) = quietly(finds, &mut decoder, rest.len(), name);
    Piece { bytes, how, used: decoder.used(), name: None }
}

impl Decoder for Decompress {
    fn step(&mut self, packed: &[u8], out: &mut [u8]) -> Result<bool, ()> {
        self.decompress(packed, out).map(|status| status == Status::StreamEnd).map_err(|_| ())
    }

    fn totals(&self) -> (u64, u64) {
        (self.total_in(), self.total_out())
    }
}
