//! xz: several streams, with padding between them, as one file; all filters that the format knows.

use lzma_rust2::XzReader;

use super::super::find::{Finds, Leaf};
use super::Container;
use super::stream::{self, Format, Piece, WINDOW_KIB, quietly};

pub(super) const CONTAINER: Container = Container {
    name: "xz",
    opens: "xz files",
    is: |leaf| leaf.true_type == "xz",
    open: |leaf: &Leaf, finds: &mut Finds| stream::open(leaf, finds, &FORMAT),
};

const MAGIC: &[u8] = b"\xfd7zXZ\0";

const FORMAT: Format = Format { magic: MAGIC, starts: |bytes| bytes.starts_with(MAGIC), one };

/// Unpacks the stream at the start of `rest`.
pub(super) fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    // The reader goes down its chain of filters to the input only between blocks: the input counts what it gave away itself.
    let mut left = rest;
    let (bytes, how) = quietly(finds, XzReader::new_mem_limit(&mut left, false, WINDOW_KIB), rest.len(), name);
    Piece { bytes, how, used: rest.len() - left.len(), name: None }
}
