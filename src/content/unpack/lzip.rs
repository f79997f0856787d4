//! lzip: members of lzma with a checksum, several one after the other as one file.

use flate2::Crc;

use super::super::find::{Finds, Leaf};
use super::Container;
use super::lzma;
use super::stream::{self, Format, How, Piece};

pub(super) const CONTAINER: Container = Container {
    name: "lzip",
    opens: "lzip files",
    is: |leaf| leaf.data.starts_with(b"LZIP\x01") || leaf.data.starts_with(b"LZIP\0"),
    open: |leaf: &Leaf, finds: &mut Finds| stream::open(leaf, finds, &FORMAT),
};

const FORMAT: Format = Format { magic: b"LZIP", starts: |bytes| bytes.starts_with(b"LZIP") && bytes.get(4) < Some(&2), one };

/// Literal and position bits as lzip has them: lc 3, lp 0, pb 2.
const PROPERTIES: u8 = 93;
/// Magic, version, coded size of the dictionary.
const HEADER: usize = 6;

fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    let Some(&[_, _, _, _, version, coded]) = rest.first_chunk::<HEADER>() else { return Piece::none(How::Broken) };
    let base = 1u32 << (coded & 0x1f);
    let dictionary = base - (base / 16) * u32::from(coded >> 5);
    let body = rest.get(HEADER..).unwrap_or_default();
    let (bytes, mut how, used) = lzma::raw(body, PROPERTIES, dictionary, u64::MAX, finds, name);
    // Version 0 has no size of the member in its trailer.
    let trailer = if version == 0 { 12 } else { 20 };
    let said = body.get(used..).and_then(<[u8]>::first_chunk::<12>);
    let mut crc = Crc::new();
    crc.update(&bytes);
    let right = said.is_some_and(|said| said.starts_with(&crc.sum().to_le_bytes()) && said.ends_with(&(bytes.len() as u64).to_le_bytes()));
    if how == How::Whole && !right {
        how = How::Broken;
    }
    Piece { bytes, how, used: HEADER + used + trailer, name: None }
}
