//! Packed data that is opened as far as it goes: programs that show documents do not ask for more, so damage in it accuses nobody.

use std::io::Read;

use bytes::Bytes;

use super::super::find::Finds;
use super::super::limits::Ended;
use super::deflate::Stream;

/// Bytes that must come out of what may be deflated without a header, or it is no such thing.
const LEAST: usize = 8;

/// Bytes that are unpacked to see where deflate without a header starts.
const PROBE: u64 = 16 << 10;

/// Unpacks within the limits; an error ends it and is no problem. Limits are problems as everywhere.
pub(super) fn unpack(stream: impl Read, packed: usize, name: &str, finds: &mut Finds) -> Bytes {
    let before = finds.problems.len();
    let (bytes, ended) = finds.unpack(stream, packed, name);
    if ended == Ended::Broken {
        finds.problems.truncate(before);
    }
    bytes
}

/// Whether at least `least` bytes come out.
pub(super) fn is_deflated(packed: &[u8], zlib: bool, least: usize) -> bool {
    let mut out = Vec::new();
    let _ = Stream::deflate(packed, zlib).take(least as u64).read_to_end(&mut out);
    out.len() >= least
}

/// Unpacks what may be zlib or, with a wrong or no header, plain deflate; at most `most` bytes of it. Says how much was read.
pub(super) fn inflate(packed: &[u8], most: u64, name: &str, finds: &mut Finds) -> (Bytes, usize) {
    let zlib = is_deflated(packed, true, 1).then_some((packed, 0, true));
    let Some((data, skip, header)) = zlib.or_else(|| headless(packed)) else { return (Bytes::new(), 0) };
    let mut stream = Stream::deflate(data, header);
    let bytes = unpack(stream.by_ref().take(most), data.len(), name, finds);
    // Blocks may be empty: what gives nothing is paid for as well.
    finds.look(stream.used());
    (bytes, skip + stream.used())
}

/// Plain deflate at the start, or behind two bytes that should be a header: what gives more.
fn headless(packed: &[u8]) -> Option<(&[u8], usize, bool)> {
    let gives = |skip: usize| {
        let mut out = Vec::new();
        let _ = Stream::deflate(packed.get(skip..).unwrap_or_default(), false).take(PROBE).read_to_end(&mut out);
        out.len()
    };
    let (start, behind) = (gives(0), gives(2));
    let skip = if behind > start { 2 } else { 0 };
    (start.max(behind) >= LEAST).then(|| (packed.get(skip..).unwrap_or_default(), skip, false))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};

    use super::super::super::limits::{Budget, Limits};
    use super::*;

    #[test]
    fn everything_before_the_damage_comes_out() {
        let content: Vec<u8> = (0u32..2000).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 8).to_le_bytes()).collect();
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&content).unwrap();
        let whole = encoder.finish().unwrap();
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 10);
        let mut get = |data: &[u8]| inflate(data, u64::MAX, "", &mut finds).0;
        assert_eq!(get(&whole), content);
        assert_eq!(get(&whole[2..]), content, "no header");
        assert_eq!(get(&[&[0, 0], &whole[2..]].concat()), content, "a wrong header");
        for last in 1..5 {
            let mut wrong = whole.clone();
            let at = wrong.len() - last;
            wrong[at] ^= 0xff;
            assert_eq!(get(&wrong), content, "a wrong checksum");
        }
        let cut = get(&whole[..whole.len() / 2]);
        assert!(cut.len() > content.len() / 3 && content.starts_with(&cut));
        assert!(finds.problems.is_empty());
    }
}
