//! Deflate outside of other formats: with a header and checksum (zlib, RFC 1950), known by its look; without, where the name says so.

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use super::deflate::Stream;
use super::stream::{How, complain, is_named, quietly};

pub(super) const CONTAINER: Container =
    Container { name: "zlib", opens: "zlib and raw deflate streams", is: |leaf| is_sure(leaf) || may_be(leaf), open };

/// Damaged bytes of a guess that are worth a part.
const WORTH: usize = 16;

/// The name or the declared type says so.
fn is_sure(leaf: &Leaf) -> bool {
    let types = ["application/zlib", "application/x-zlib", "application/deflate", "application/x-deflate", "application/zlib-compressed"];
    matches!(leaf.true_type, "" | "text") && is_named(leaf, &[".zlib", ".zz", ".deflate", ".dfl"], &types)
}

/// One of the usual headers; or a binary file of no known type, which may be a raw stream.
fn may_be(leaf: &Leaf) -> bool {
    leaf.data.len() > 2 && (leaf.true_type.is_empty() || (leaf.true_type == "text" && usual(leaf.data)))
}

/// The four headers that the usual writers make.
pub(super) fn usual(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x78) && matches!(bytes.get(1), Some(0x01 | 0x5e | 0x9c | 0xda))
}

/// Whether a header of zlib stands here, of any window.
fn has_header(bytes: &[u8]) -> bool {
    let Some(&[method, flags]) = bytes.first_chunk::<2>() else { return false };
    method & 0x0f == 8 && method >> 4 <= 7 && (u16::from(method) << 8 | u16::from(flags)) % 31 == 0
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let (data, name, sure) = (leaf.data, leaf.name.unwrap_or_default(), is_sure(leaf));
    if !finds.look(data.len()) {
        return;
    }
    let mut best = (Bytes::new(), How::Broken);
    if has_header(data) {
        let dictionary = data.get(1).is_some_and(|flags| flags & 0x20 != 0);
        let (bytes, how) = quietly(finds, Stream::deflate(data, true), data.len(), name);
        let how = if dictionary && how == How::Broken { How::Unknown } else { how };
        best = (bytes, how);
    }
    if matches!(best.1, How::Broken | How::Unknown) && best.0.is_empty() && (sure || !usual(data)) {
        let mut decoder = Stream::deflate(data, false);
        let (bytes, how) = quietly(finds, &mut decoder, data.len(), name);
        // By chance a few bytes may look like a stream: a guess has to take nearly all of them.
        let left = data.len() - decoder.used();
        let fits = sure || how == How::Limit || (how == How::Whole && left <= 8);
        best = if fits && !bytes.is_empty() { (bytes, how) } else { (Bytes::new(), best.1) };
    }
    let (bytes, how) = best;
    if sure {
        complain(finds, how, name);
        if !bytes.is_empty() {
            finds.add(Item::Blob { name: None, bytes });
        }
    } else if how == How::Whole && !bytes.is_empty() || bytes.len() >= WORTH {
        finds.add(Item::Guess(bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};

    use super::super::stream::opened;
    use super::*;

    fn text() -> Vec<u8> {
        (0..200).flat_map(|n| format!("line {n}\n").into_bytes()).collect()
    }

    fn zlib(level: u32) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(level));
        encoder.write_all(&text()).unwrap();
        encoder.finish().unwrap()
    }

    fn raw() -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&text()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn by_content_and_by_name() {
        for level in [0, 1, 6, 9] {
            assert_eq!(opened(open, "a.bin", &zlib(level), &[]), (vec![("?".to_owned(), text())], vec![]), "{level}");
        }
        assert_eq!(opened(open, "a.zz", &zlib(6), &[]).0[0].1, text());
        assert_eq!(opened(open, "a.deflate", &raw(), &[]).0[0].1, text());
        assert_eq!(opened(open, "a.bin", &raw(), &[]), (vec![("?".to_owned(), text())], vec![]));
    }

    #[test]
    fn damage_accuses_only_what_is_named_so() {
        let whole = zlib(6);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            for data in [&whole[..at], &flipped] {
                assert_eq!(opened(open, "a.bin", data, &[]).1, Vec::<&str>::new());
                opened(open, "a.zlib", data, &[]);
            }
        }
        assert_eq!(opened(open, "a.zlib", &whole[..100], &[]).1, ["archive.malformed"]);
        assert_eq!(opened(open, "a.bin", &[7; 1000], &[]).0, vec![]);
    }
}
