//! What the formats of one packed stream share: several streams one after the other, junk between them, the name of what is inside.

use std::io::{ErrorKind, Read};

use bytes::Bytes;
use memchr::memmem;

use super::super::find::{Finds, Item, Leaf};
use super::super::limits::Ended;
use crate::mail::Reason;

/// The most that a decoder may keep of what it has put out, in bytes: larger dictionaries and windows are a limit.
pub(super) const WINDOW: u32 = 64 << 20;
/// The same for libraries that count in KiB and add what their tables take.
pub(super) const WINDOW_KIB: u32 = (WINDOW >> 10) + 8 * 1024;
/// Effort of setting up a decoder, in bytes looked at: a file of a million empty streams has its price.
const SET_UP: usize = 8 * 1024;
/// Effort of unpacking, for each packed byte: at its worst it is that much slower than looking.
pub(super) const UNPACKING: usize = 8;

/// How a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// At its end, and what it says of itself is right.
    Whole,
    /// Damaged or cut: what came before is there.
    Broken,
    /// At a limit of the message, which has been noted.
    Limit,
    /// It wants more memory than it gets.
    Large,
    /// In a way that nobody here can unpack.
    Unknown,
}

/// What one stream gave.
#[derive(Debug)]
pub(super) struct Piece {
    /// What came out.
    pub bytes: Bytes,
    /// How it ended.
    pub how: How,
    /// Packed bytes that it took.
    pub used: usize,
    /// The name it gives its content.
    pub name: Option<String>,
}

impl Piece {
    /// A stream that gave nothing.
    pub(super) fn none(how: How) -> Self {
        Self { bytes: Bytes::new(), how, used: 1, name: None }
    }
}

/// A format of streams.
pub(super) struct Format {
    /// The bytes that a stream starts with, for the search behind junk.
    pub magic: &'static [u8],
    /// Whether one starts here.
    pub starts: fn(&[u8]) -> bool,
    /// Unpacks the one at the start of the bytes.
    pub one: fn(&[u8], &mut Finds, &str) -> Piece,
}

/// A reader that remembers what kind of error ended it.
struct Watched<R> {
    inner: R,
    error: Option<ErrorKind>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buf).inspect_err(|error| self.error = Some(error.kind()))
    }
}

/// Unpacks within the limits of the message without a word about damage: that is for the caller to say.
pub(super) fn quietly(finds: &mut Finds, stream: impl Read, packed: usize, name: &str) -> (Bytes, How) {
    let before = finds.problems.len();
    let mut watched = Watched { inner: stream, error: None };
    let (bytes, ended) = finds.unpack(&mut watched, packed.max(1), name);
    let how = match (ended, watched.error) {
        (Ended::Whole, _) => How::Whole,
        (Ended::Broken, Some(ErrorKind::OutOfMemory)) => How::Large,
        (Ended::Broken, Some(ErrorKind::Unsupported)) => How::Unknown,
        (Ended::Broken, _) => How::Broken,
        _ => How::Limit,
    };
    if ended == Ended::Broken {
        finds.problems.truncate(before);
    }
    (bytes, how)
}

/// Says what was not seen of something that ended so.
pub(super) fn complain(finds: &mut Finds, how: How, name: &str) {
    match how {
        How::Whole | How::Limit => {}
        How::Broken => finds.unseen("archive.malformed", Reason::Malformed, "Packed data that cannot be unpacked", name),
        How::Large => finds.unseen("archive.limit.window", Reason::Limit, "Unpacking it takes more memory than the limit", name),
        How::Unknown => finds.unseen("archive.unknown", Reason::UnknownContainer, "Packed in a way that is not opened here", name),
    }
}

/// Unpacks all streams of a file: those that follow each other are one content, as every reader has it; those behind junk are found too, and
/// are contents of their own, which accuse nobody where they are damaged.
pub(super) fn open(leaf: &Leaf, finds: &mut Finds, format: &Format) {
    let (data, archive) = (leaf.data, leaf.name.unwrap_or_default());
    let mut run = Run::default();
    let mut at = 0;
    let mut in_row = true;
    while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
        if !finds.look(SET_UP) {
            break;
        }
        let piece = (format.one)(rest, finds, archive);
        let how = piece.how;
        if in_row || how != How::Broken {
            complain(finds, how, archive);
        }
        run.guess = !in_row && how != How::Whole;
        run.name = run.name.or(piece.name);
        run.pieces.push(piece.bytes);
        if how == How::Limit || !finds.look(piece.used.saturating_mul(UNPACKING)) {
            break;
        }
        at = at.saturating_add(piece.used.max(1));
        let rest = data.get(at..).unwrap_or_default();
        let padding = rest.iter().take_while(|c| **c == 0).count();
        in_row = how == How::Whole && rest.get(padding..).is_some_and(format.starts);
        if in_row {
            at += padding;
            continue;
        }
        let next = memmem::find_iter(rest, format.magic).find(|place| rest.get(*place..).is_some_and(format.starts));
        if !std::mem::take(&mut run).end(leaf, finds) {
            return;
        }
        let Some(next) = next else { return };
        at += next;
    }
    run.end(leaf, finds);
}

/// Streams that follow each other.
#[derive(Default)]
struct Run {
    pieces: Vec<Bytes>,
    name: Option<String>,
    guess: bool,
}

impl Run {
    /// Adds what they gave; false where a limit is reached.
    fn end(mut self, leaf: &Leaf, finds: &mut Finds) -> bool {
        let bytes = match self.pieces.len() {
            0 | 1 => self.pieces.pop().unwrap_or_default(),
            _ => Bytes::from(self.pieces.concat()),
        };
        if bytes.is_empty() {
            return true;
        }
        if self.guess {
            return finds.add(Item::Guess(bytes));
        }
        let name = self.name.or_else(|| leaf.name.map(inner_name));
        finds.add(Item::Blob { name, bytes })
    }
}

/// Endings of packed files, and what stands in their place unpacked.
const ENDINGS: [(&str, &str); 24] = [
    (".tgz", ".tar"),
    (".taz", ".tar"),
    (".tbz", ".tar"),
    (".tbz2", ".tar"),
    (".tb2", ".tar"),
    (".txz", ".tar"),
    (".tlz", ".tar"),
    (".tzst", ".tar"),
    (".svgz", ".svg"),
    (".emz", ".emf"),
    (".wmz", ".wmf"),
    (".gz", ""),
    (".gzip", ""),
    (".bz2", ""),
    (".bz", ""),
    (".xz", ""),
    (".lzma", ""),
    (".lz", ""),
    (".zst", ""),
    (".zstd", ""),
    (".z", ""),
    (".zz", ""),
    (".zlib", ""),
    (".lz4", ""),
];

/// `a.tgz` holds `a.tar`, `a.txt.gz` holds `a.txt`.
fn inner_name(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let row = ENDINGS.iter().find(|(ending, _)| lower.ends_with(ending));
    let stem = row.and_then(|(ending, instead)| Some((name.get(..name.len().checked_sub(ending.len())?)?, instead)));
    stem.map_or_else(|| name.to_owned(), |(stem, instead)| format!("{stem}{instead}"))
}

/// Whether the name ends so, or the declared type is one of these.
pub(super) fn is_named(leaf: &Leaf, endings: &[&str], types: &[&str]) -> bool {
    let name = leaf.name.unwrap_or_default().trim_end().to_ascii_lowercase();
    endings.iter().any(|ending| name.ends_with(ending)) || types.contains(&leaf.declared)
}

/// Opens bytes with a container, for tests: what came out by name, and the codes of the problems.
#[cfg(test)]
pub(super) fn opened(
    open: fn(&Leaf, &mut Finds),
    name: &str,
    data: &[u8],
    passwords: &[String],
) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
    let mut budget = super::super::limits::Budget::new(&super::super::limits::Limits::default());
    let mut finds = Finds::new(&mut budget, 1000).with_passwords(passwords);
    let data = Bytes::copy_from_slice(data);
    let true_type = super::super::sniff::true_type(&data);
    open(&Leaf::new(&data, Some(name), "", "", true_type), &mut finds);
    let items = finds.items.into_iter().filter_map(|item| match item {
        Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
        Item::Guess(bytes) => Some(("?".to_owned(), bytes.to_vec())),
        _ => None,
    });
    (items.collect(), finds.problems.iter().map(|p| p.code).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::{CONTAINERS, Container};
    use super::*;

    /// The content of the files in `tests/fixtures/packed`.
    pub(crate) fn lines(n: u64) -> Vec<u8> {
        (0..n).flat_map(|i| format!("line {i} {}\n", i * i * 7919 % 10007).into_bytes()).collect()
    }

    pub(crate) fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/fixtures/packed/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn container(data: &[u8], name: &str) -> &'static Container {
        let data = Bytes::copy_from_slice(data);
        let true_type = super::super::super::sniff::true_type(&data);
        let leaf = Leaf::new(&data, Some(name), "", "", true_type);
        CONTAINERS.iter().find(|container| (container.is)(&leaf)).unwrap()
    }

    const FILES: [&str; 25] = [
        "small.bz2",
        "two.bz2",
        "small.xz",
        "two.xz",
        "x86.xz",
        "arm.xz",
        "delta.xz",
        "sha256.xz",
        "nocheck.xz",
        "blocks.xz",
        "small.lzma",
        "odd.lzma",
        "sized.lzma",
        "small.lz",
        "two.lz",
        "small.zst",
        "two.zst",
        "skip.zst",
        "small.lz4",
        "big-linked.lz4",
        "two.lz4",
        "old.lz4",
        "small.Z",
        "big-12.Z",
        "big-16.Z",
    ];

    #[test]
    fn files_of_other_programs() {
        for name in FILES {
            let data = fixture(name);
            let want = lines(if name.starts_with("big") { 4000 } else { 60 });
            let (items, problems) = opened(container(&data, name).open, name, &data, &[]);
            assert_eq!((items.len(), problems), (1, vec![]), "{name}");
            assert!(items[0].1 == want, "{name}: {} bytes", items[0].1.len());
            let stem = name.split_once('.').unwrap().0;
            assert_eq!(items[0].0, stem, "{name}");
            // By content alone, under any name.
            let (items, _) = opened(container(&data, "a.dat").open, "a.dat", &data, &[]);
            assert!(items[0].1 == want, "{name} as a.dat");
            let junk = [&data[..], b"some junk"].concat();
            if !name.ends_with(".Z") && name != "old.lz4" {
                let (items, problems) = opened(container(&junk, name).open, name, &junk, &[]);
                assert!(items[0].1 == want && problems.is_empty(), "{name} and junk: {problems:?}");
            }
            let between = [&data[..], b"some junk", &data].concat();
            if !name.ends_with(".Z") && !name.ends_with(".lzma") && name != "old.lz4" {
                let (items, _) = opened(container(&between, name).open, name, &between, &[]);
                assert!(items.len() == 2 && items[1].1 == want, "{name}, junk, {name}");
            }
        }
    }

    #[test]
    fn what_is_cut_is_said() {
        for name in FILES.iter().filter(|name| !name.ends_with(".Z") && !name.starts_with("two") && !name.starts_with("big")) {
            let data = fixture(name);
            let container = container(&data, name);
            for end in 20..data.len() {
                let (items, problems) = opened(container.open, name, &data[..end], &[]);
                // The index of xz and the mark at the end of lzma of known size may go unread; all of the content is there then.
                let want = lines(if name.starts_with("big") { 4000 } else { 60 });
                let all = items.iter().any(|(_, bytes)| *bytes == want);
                assert!(!problems.is_empty() || all, "{name} cut at {end}");
            }
        }
    }

    #[test]
    fn flipped_at_every_byte() {
        for name in FILES.iter().filter(|name| !name.starts_with("big")) {
            let data = fixture(name);
            let container = container(&data, name);
            for at in 0..data.len() {
                let mut flipped = data.clone();
                flipped[at] ^= [0xff, 1, 0x20][at % 3];
                opened(container.open, name, &flipped, &[]);
            }
        }
    }

    #[test]
    fn what_asks_for_too_much_is_a_limit() {
        let mut xz = fixture("small.xz");
        // Dictionary of 1 GiB in the filter's flags, with the checksum of the block header made right.
        let at = memmem::find(&xz, b"\x21\x01").unwrap() + 2;
        xz[at] = 36;
        let size = (usize::from(xz[12]) + 1) * 4;
        let mut crc = flate2::Crc::new();
        crc.update(&xz[12..12 + size - 4]);
        xz[12 + size - 4..12 + size].copy_from_slice(&crc.sum().to_le_bytes());
        let mut lzma = fixture("small.lzma");
        lzma[1..5].copy_from_slice(&(1u32 << 30).to_le_bytes());
        let mut lzip = fixture("small.lz");
        lzip[5] = 29;
        // A window of 128 MiB.
        let zstd = [&b"\x28\xb5\x2f\xfd\x00\x88"[..], &[1, 0, 0]].concat();
        for (name, data) in [("a.xz", xz), ("a.lzma", lzma), ("a.lz", lzip), ("a.zst", zstd)] {
            let container = CONTAINERS.iter().find(|c| {
                c.name == ["xz", "lzma", "lzip", "zstd"][["a.xz", "a.lzma", "a.lz", "a.zst"].iter().position(|n| *n == name).unwrap()]
            });
            assert_eq!(opened(container.unwrap().open, name, &data, &[]).1, ["archive.limit.window"], "{name}");
        }
        let data = fixture("dictionary.zst");
        assert_eq!(opened(container(&data, "a.zst").open, "a.zst", &data, &[]).1, ["archive.unknown"]);
    }

    #[test]
    fn names() {
        let rows = [
            ("a.gz", "a"),
            ("a.TGZ", "a.tar"),
            ("a", "a"),
            (".gz", ""),
            ("ü.gz", "ü"),
            ("a.tar.xz", "a.tar"),
            ("a.tbz2", "a.tar"),
            ("a.Z", "a"),
            ("a.txt.zst", "a.txt"),
        ];
        for (name, want) in rows {
            assert_eq!(inner_name(name), want);
        }
    }
}
