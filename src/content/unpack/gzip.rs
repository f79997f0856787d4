//! gzip (RFC 1952): one member per stream, several streams one after the other as one file, as gunzip has it.

use bytes::Bytes;
use flate2::Crc;

use super::super::find::{Finds, Leaf};
use super::Container;
use super::deflate::Stream;
use super::stream::{self, Format, How, Piece, quietly};

pub(super) const CONTAINER: Container = Container {
    name: "gzip",
    opens: "gzip files",
    is: |leaf| leaf.true_type == "gzip",
    open: |leaf: &Leaf, finds: &mut Finds| stream::open(leaf, finds, &FORMAT),
};

const FORMAT: Format = Format { magic: b"\x1f\x8b", starts: |bytes| bytes.starts_with(b"\x1f\x8b\x08") && bytes.get(3) < Some(&0x20), one };

/// Bytes of a header that has no optional fields.
const PLAIN: usize = 10;

fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    let header = Header::read(rest);
    let mut best = Piece::none(How::Broken);
    // Flags that are reserved, or fields that do not fit, stop one reader and are skipped by another.
    let starts = [header.as_ref().map(|header| header.len), Some(PLAIN)];
    for start in starts.into_iter().flatten() {
        let Some(packed) = rest.get(start..) else { continue };
        let mut decoder = Stream::deflate(packed, false);
        let (bytes, how) = quietly(finds, &mut decoder, packed.len(), name);
        let used = start + decoder.used();
        if bytes.len() > best.bytes.len() || how == How::Whole || how == How::Limit {
            best = Piece { bytes, how, used, name: None };
        }
        if best.how != How::Broken || !best.bytes.is_empty() {
            break;
        }
    }
    if best.how == How::Whole {
        let trailer = rest.get(best.used..).and_then(<[u8]>::first_chunk::<8>);
        best.used = best.used.saturating_add(8).min(rest.len());
        if trailer != Some(&trailer_of(&best.bytes)) {
            best.how = How::Broken;
        }
    } else if best.how == How::Broken && best.bytes.is_empty() && header.as_ref().is_some_and(|header| header.method != 8) {
        best.how = How::Unknown;
    }
    best.name = header.and_then(|header| header.name);
    best
}

/// Checksum and size, as they stand behind the data.
fn trailer_of(bytes: &Bytes) -> [u8; 8] {
    let mut crc = Crc::new();
    crc.update(bytes);
    let [a, b, c, d] = crc.sum().to_le_bytes();
    let [e, f, g, h, ..] = (bytes.len() as u64).to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

struct Header {
    len: usize,
    method: u8,
    name: Option<String>,
}

impl Header {
    /// Skips the optional fields that the flags name; the checksum of the header is not looked at.
    fn read(bytes: &[u8]) -> Option<Self> {
        let [_, _, method, flags, ..] = bytes.first_chunk::<PLAIN>()?;
        let mut len = PLAIN;
        if flags & 4 != 0 {
            let extra = bytes.get(len..)?.first_chunk::<2>()?;
            len += 2 + usize::from(u16::from_le_bytes(*extra));
        }
        let mut text = |flag: u8| {
            let rest = bytes.get(len..)?;
            if flags & flag == 0 {
                return Some(None);
            }
            let end = memchr::memchr(0, rest)?;
            len += end + 1;
            Some(rest.get(..end).map(|text| String::from_utf8_lossy(text).into_owned()))
        };
        let name = text(8)?;
        text(16)?;
        if flags & 2 != 0 {
            len += 2;
        }
        Some(Self { len, method: *method, name })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn opened(data: Vec<u8>) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
        stream::opened(CONTAINER.open, "a.txt.gz", &data, &[])
    }

    #[test]
    fn streams() {
        let hello = || vec![("a.txt".to_owned(), b"hello".to_vec())];
        assert_eq!(opened(gz(b"hello")), (hello(), vec![]));
        assert_eq!(opened([gz(b"hel"), gz(b"lo")].concat()), (hello(), vec![]));
        assert_eq!(opened([gz(b"hel"), vec![0; 7], gz(b"lo")].concat()), (hello(), vec![]), "padding");
        assert_eq!(opened([gz(b"hello"), b"junk".to_vec()].concat()), (hello(), vec![]));
        let (items, problems) = opened([gz(b"hello"), b"junk".to_vec(), gz(b"world")].concat());
        assert_eq!((items[1].1.as_slice(), items.len(), problems), (&b"world"[..], 2, vec![]), "junk between");
        let many: Vec<u8> = (0..500).flat_map(|n| gz(format!("{n},").as_bytes())).collect();
        assert!(opened(many).0[0].1.ends_with(b"498,499,"));
        let whole = gz(&b"hello ".repeat(100));
        for end in 0..whole.len() {
            let (_, problems) = opened(whole[..end].to_vec());
            assert!(problems == ["archive.malformed"] || end == 0, "{end}: {problems:?}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            opened(flipped);
        }
        let mut wrong = gz(b"hello");
        let last = wrong.len() - 6;
        wrong[last] ^= 0xff;
        assert_eq!(opened(wrong), (hello(), vec!["archive.malformed"]));
    }

    #[test]
    fn header_flags() {
        let plain = gz(b"hello");
        let with = |flags: u8, fields: &[u8]| [&plain[..3], &[flags], &plain[4..10], fields, &plain[10..]].concat();
        let rows: [(u8, &[u8], &str); 8] = [
            (1, b"", "a.txt"),
            (2, b"\xff\xff", "a.txt"),
            (4, b"\x03\0abc", "a.txt"),
            (8, b"n.exe\0", "n.exe"),
            (16, b"comment\0", "a.txt"),
            (0x1f, b"\x01\0xn\0c\0\0\0", "n"),
            // Reserved flags, and a name that is not there.
            (0xe0, b"", "a.txt"),
            (0x20, b"", "a.txt"),
        ];
        for (flags, fields, name) in rows {
            assert_eq!(opened(with(flags, fields)), (vec![(name.to_owned(), b"hello".to_vec())], vec![]), "{flags:x}");
        }
        assert_eq!(opened(with(4, b"")).0[0].1, b"hello", "a field that does not fit");
        let mut other = plain.clone();
        other[2] = 7;
        assert_eq!(opened(other).0[0].1, b"hello", "another method");
    }
}
