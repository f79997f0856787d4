//! gzip (RFC 1952): one member per stream, several streams one after the other as one file, as gunzip has it.

use std::io::Read;

use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder};

use super::super::find::{Finds, Item, Leaf};
use super::super::limits::Ended;
use super::Container;

pub(super) const CONTAINER: Container = Container { name: "gzip", opens: "gzip files", is: |leaf| leaf.true_type == "gzip", open };

/// Streams read of one file.
const MAX_STREAMS: usize = 100;

fn open(leaf: &Leaf, finds: &mut Finds) {
    let mut rest = leaf.data.as_ref();
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut name = None;
    for _ in 0..MAX_STREAMS {
        let mut decoder = GzDecoder::new(rest);
        let said = decoder.header().and_then(|header| header.filename()).map(|name| String::from_utf8_lossy(name).into_owned());
        name = name.or(said);
        let (bytes, ended) = finds.unpack(&mut decoder, rest.len(), leaf.name.unwrap_or_default());
        let broken_start = ended == Ended::Broken && bytes.is_empty();
        let tail = decoder.into_inner();
        pieces.push(bytes);
        if broken_start {
            // A wrong header checksum or reserved flag stops this reader, but not every reader.
            pieces.extend(raw_deflate(rest, finds));
        }
        if ended != Ended::Whole || !tail.starts_with(b"\x1f\x8b") {
            break;
        }
        rest = tail;
    }
    let name = name.or_else(|| leaf.name.map(inner_name));
    let bytes = match pieces.len() {
        1 => pieces.pop().unwrap_or_default(),
        _ => Bytes::from(pieces.concat()),
    };
    if !bytes.is_empty() {
        finds.add(Item::Blob { name, bytes });
    }
}

/// The data behind the ten bytes of a plain header, without the checks.
fn raw_deflate(gzip: &[u8], finds: &mut Finds) -> Option<Bytes> {
    let data = gzip.get(10..)?;
    let mut out = Vec::new();
    let _ = DeflateDecoder::new(data).take(64 * 1024).read_to_end(&mut out);
    (!out.is_empty()).then(|| finds.unpack(DeflateDecoder::new(data), data.len(), "").0)
}

/// `a.tgz` holds `a.tar`, `a.txt.gz` holds `a.txt`.
fn inner_name(name: &str) -> String {
    let ends =
        |ending: &str| name.len().checked_sub(ending.len()).filter(|at| name.get(*at..).is_some_and(|e| e.eq_ignore_ascii_case(ending)));
    match (ends(".gz"), ends(".tgz")) {
        (Some(at), _) => name.get(..at).unwrap_or_default().to_owned(),
        (None, Some(at)) => format!("{}.tar", name.get(..at).unwrap_or_default()),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn opened(data: Vec<u8>) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 10);
        let data = Bytes::from(data);
        open(&Leaf { data: &data, name: Some("a.txt.gz"), declared: "", charset: "", true_type: "gzip" }, &mut finds);
        let items = finds.items.into_iter().filter_map(|item| match item {
            Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
            _ => None,
        });
        (items.collect(), finds.problems.iter().map(|p| p.code).collect())
    }

    #[test]
    fn streams() {
        let hello = || vec![("a.txt".to_owned(), b"hello".to_vec())];
        assert_eq!(opened(gz(b"hello")), (hello(), vec![]));
        assert_eq!(opened([gz(b"hel"), gz(b"lo")].concat()), (hello(), vec![]));
        assert_eq!(opened([gz(b"hello"), b"junk".to_vec()].concat()), (hello(), vec![]));
        let whole = gz(&b"hello ".repeat(100));
        for end in 0..whole.len() {
            let (_, problems) = opened(whole[..end].to_vec());
            assert!(problems == ["archive.malformed"], "{end}: {problems:?}");
        }
        let mut wrong = gz(b"hello");
        let last = wrong.len() - 6;
        wrong[last] ^= 0xff;
        assert_eq!(opened(wrong), (hello(), vec!["archive.malformed"]));
    }

    #[test]
    fn names() {
        for (name, want) in [("a.gz", "a"), ("a.TGZ", "a.tar"), ("a", "a"), (".gz", ""), ("ü.gz", "ü")] {
            assert_eq!(inner_name(name), want);
        }
    }
}
