//! Containers that stand inside something else: behind a program, a picture or junk, or behind another archive. Clients open many of them all
//! the same. Only what has a strong mark and a header that makes sense is looked for; of a weak one that gives nothing nothing is said.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::super::find::{Finds, Leaf};
use super::super::sniff;
use super::Container;
use super::ints::{le16, le32};
use super::{cab, cpio, listed, sevenz, tar};
use crate::mail::{Class, Reason};

pub(super) const CONTAINER: Container = Container {
    name: "carve",
    opens: "archives behind a program, a picture, junk or another archive",
    is: |leaf| leaf.data.len() > LEAST,
    open,
};

/// Less holds nothing behind something.
const LEAST: usize = 40;
/// Candidates of one kind in one leaf that are opened; more of a sure kind are a limit reached.
const MOST: usize = 64;
/// Marks of one kind looked at: a header is read at each.
const MARKS: usize = 20_000;

/// Something to look for.
struct Kind {
    name: &'static str,
    mark: &'static [u8],
    /// How far behind its start the mark stands.
    back: usize,
    /// Whether the header makes sense.
    fits: fn(&[u8]) -> bool,
    /// The mark and its header cannot be there by chance.
    sure: bool,
    /// One stream goes on to the end by itself, its followers included.
    stream: bool,
}

const KINDS: [Kind; 22] = [
    Kind { name: "7z", mark: b"7z\xbc\xaf\x27\x1c", back: 0, fits: sevenz::is_start, sure: true, stream: false },
    Kind { name: "rar", mark: b"Rar!\x1a\x07", back: 0, fits: listed::is_rar, sure: true, stream: false },
    Kind { name: "cab", mark: b"MSCF\0\0\0\0", back: 0, fits: cab::is_header, sure: true, stream: false },
    Kind {
        name: "ace",
        mark: b"**ACE**",
        back: 7,
        fits: |b| b.get(4) == Some(&0) && le16(b, 2).is_some_and(|n| n < 512),
        sure: true,
        stream: false,
    },
    Kind { name: "arj", mark: b"\x60\xea", back: 0, fits: listed::is_sure_arj, sure: true, stream: false },
    Kind { name: "xz", mark: b"\xfd7zXZ\0", back: 0, fits: is_xz, sure: true, stream: true },
    Kind { name: "bzip2", mark: b"1AY&SY", back: 4, fits: is_bzip2, sure: true, stream: true },
    Kind {
        name: "lzip",
        mark: b"LZIP\x01",
        back: 0,
        fits: |b| b.get(5).is_some_and(|size| (12..=29).contains(&(size & 31))),
        sure: false,
        stream: true,
    },
    Kind { name: "gzip", mark: b"\x1f\x8b\x08", back: 0, fits: is_gzip, sure: false, stream: true },
    Kind { name: "zstd", mark: b"\x28\xb5\x2f\xfd", back: 0, fits: is_zstd, sure: false, stream: true },
    Kind { name: "lzh", mark: b"-lh", back: 2, fits: listed::is_sure_lzh, sure: true, stream: false },
    Kind { name: "cpio", mark: b"070701", back: 0, fits: cpio::is_header, sure: true, stream: true },
    Kind { name: "cpio", mark: b"070702", back: 0, fits: cpio::is_header, sure: true, stream: true },
    Kind { name: "cpio", mark: b"070707", back: 0, fits: cpio::is_header, sure: true, stream: true },
    Kind { name: "ar", mark: b"!<arch>\n", back: 0, fits: |b| b.get(66..68) == Some(b"`\n"), sure: true, stream: true },
    Kind { name: "dmg", mark: b"koly\0\0\0\x04\0\0\x02\0", back: 0, fits: |_| true, sure: true, stream: false },
    Kind { name: "fat", mark: b"FAT12   ", back: 54, fits: sniff::is_fat, sure: true, stream: false },
    Kind { name: "fat", mark: b"FAT16   ", back: 54, fits: sniff::is_fat, sure: true, stream: false },
    Kind { name: "tar", mark: b"ustar", back: 257, fits: is_tar, sure: true, stream: true },
    Kind { name: "ole2", mark: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", back: 0, fits: is_ole2, sure: false, stream: false },
    Kind { name: "pdf", mark: b"%PDF-1.", back: 0, fits: |_| true, sure: false, stream: false },
    Kind { name: "rtf", mark: b"{\\rtf1", back: 0, fits: |_| true, sure: false, stream: false },
];

/// A finder of each mark, made once.
static FINDERS: LazyLock<Vec<Finder>> = LazyLock::new(|| KINDS.iter().map(|kind| Finder::new(kind.mark)).collect());

fn is_xz(bytes: &[u8]) -> bool {
    bytes.get(6..8).is_some_and(|flags| le32(bytes, 8) == Some(crc32fast::hash(flags)))
}

fn is_bzip2(bytes: &[u8]) -> bool {
    bytes.starts_with(b"BZh") && bytes.get(3).is_some_and(|level| (b'1'..=b'9').contains(level))
}

fn is_gzip(bytes: &[u8]) -> bool {
    let at = |at: usize| bytes.get(at).copied();
    at(3).is_some_and(|flags| flags & 0xe0 == 0) && matches!(at(8), Some(0 | 2 | 4)) && matches!(at(9), Some(0..=13 | 255))
}

/// A frame without a dictionary whose first block is of a kind there is.
fn is_zstd(bytes: &[u8]) -> bool {
    let Some(head) = bytes.get(4).copied() else { return false };
    let single = usize::from(head >> 5 & 1);
    let size = [single, 2, 4, 8][usize::from(head >> 6)];
    let block = bytes.get(5 + (1 - single) + size).copied();
    head & 0x0b == 0 && block.is_some_and(|block| block >> 1 & 3 != 3)
}

fn is_tar(bytes: &[u8]) -> bool {
    bytes.first_chunk().is_some_and(tar::checksum_is_right)
}

fn is_ole2(bytes: &[u8]) -> bool {
    le16(bytes, 28) == Some(0xfffe) && matches!(le16(bytes, 30), Some(9 | 12))
}

/// Whether what stands in a leaf is handed on by its own reader, so that a stream in it is met again.
fn hands_on(true_type: &str) -> bool {
    sniff::is_zip(true_type) || matches!(true_type, "tar" | "ar" | "cpio" | "iso" | "rpm" | "tnef")
}

/// Whether a weak mark may be looked for: not in documents, which are read as what they are, nor one of letters in texts, which talk of it.
fn may_hide(true_type: &str, kind: &Kind) -> bool {
    let document = matches!(true_type, "pdf" | "ole2" | "msi" | "one" | "chm");
    let talks = sniff::is_text(true_type) && kind.mark.is_ascii();
    !(document || talks || hands_on(true_type))
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    // Most leaves are text, in which most marks cannot stand.
    let letters = leaf.data.is_ascii() && memchr::memchr2(0, 0x1a, leaf.data).is_none();
    for (kind, finder) in KINDS.iter().zip(FINDERS.iter()) {
        // A mark of two bytes is looked for only where archives are put behind something.
        let short = kind.mark.len() < 3 && hands_on(leaf.true_type);
        let same_stream = kind.stream && kind.name == leaf.true_type;
        let asked = if kind.stream { !hands_on(leaf.true_type) } else { true };
        if letters && kind.mark.iter().any(|c| matches!(c, 0 | 0x1a | 0x80..)) {
            continue;
        }
        if short || same_stream || !asked || !(kind.sure || may_hide(leaf.true_type, kind)) {
            continue;
        }
        let (mut opened, mut marks) = (0, 0);
        for mark in finder.find_iter(leaf.data).take(MARKS + 1) {
            marks += 1;
            if opened == MOST && is_next(leaf, mark, kind) || marks > MARKS {
                if kind.sure || kind.stream {
                    finds.unseen(
                        "archive.limit.members",
                        Reason::Limit,
                        "More archives in one file than the limit",
                        leaf.name.unwrap_or_default(),
                    );
                }
                break;
            }
            let Some(at) = mark.checked_sub(kind.back).filter(|at| *at > 0) else { continue };
            if !leaf.data.get(at..).is_some_and(kind.fits) {
                continue;
            }
            opened += 1;
            let gave = candidate(leaf, at, kind, finds);
            if finds.problems.iter().any(|problem| problem.code.starts_with("mime.limit.")) {
                return;
            }
            if gave && kind.stream {
                break;
            }
        }
    }
}

/// Whether a header stands at a mark.
fn is_next(leaf: &Leaf, mark: usize, kind: &Kind) -> bool {
    mark.checked_sub(kind.back).filter(|at| *at > 0).and_then(|at| leaf.data.get(at..)).is_some_and(kind.fits)
}

/// Opens what stands at `at` with the container for it; whether it gave anything.
fn candidate(leaf: &Leaf, at: usize, kind: &Kind, finds: &mut Finds) -> bool {
    let tail = leaf.data.slice(at..);
    let inner = Leaf::new(&tail, leaf.name, "", "", kind.name);
    let (items, problems) = (finds.items.len(), finds.problems.len());
    if kind.sure && sniff::UNOPENED.contains(&kind.name) {
        let evidence = format!("{} {}", kind.name, leaf.name.unwrap_or_default());
        finds.unseen("archive.unknown", Reason::UnknownContainer, "A container that is not opened here", &evidence);
    }
    for container in super::CONTAINERS.iter().filter(|container| container.name != CONTAINER.name && container.name != "zip") {
        if (container.is)(&inner) {
            (container.open)(&inner, finds);
        }
    }
    let gave = finds.items.len() > items;
    if !kind.sure {
        let mut place = 0;
        finds.problems.retain(|problem| {
            place += 1;
            let accuses = matches!(problem.class, Class::CouldNotTell { reason: Reason::Malformed | Reason::UnknownContainer });
            place <= problems || !accuses
        });
    }
    gave
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::{Budget, Limits};
    use super::super::testing::fixture;
    use super::*;

    /// Members of more than a few bytes, and the codes of problems.
    fn carved(true_type: &'static str, data: Vec<u8>) -> (usize, Vec<&'static str>) {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 1000);
        let data = bytes::Bytes::from(data);
        open(&Leaf::new(&data, None, "", "", true_type), &mut finds);
        (finds.items.len(), finds.problems.iter().map(|p| p.code).collect())
    }

    #[test]
    fn behind_something_else() {
        let junk = || b"MZ\x90\0junk that is a program, or a picture, or the like".to_vec();
        let behind = |tail: &[u8]| [junk(), tail.to_vec(), b"and more".to_vec()].concat();
        let (seven, cab) = (fixture("lzma.7z"), fixture("mszip.cab"));
        let rar = b"Rar!\x1a\x07\0\0\0\x73\0\0\x0d\0\0\0\0\0\0\0".to_vec();
        let gzip = |text: &[u8]| {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            std::io::Write::write_all(&mut out, text).unwrap();
            out.finish().unwrap()
        };
        type Row<'a> = (&'a str, &'static str, Vec<u8>, usize, &'a [&'a str]);
        let rows: &[Row] = &[
            ("7z", "exe", behind(&seven), 2, &[]),
            ("7z in a text", "text", behind(&seven), 2, &[]),
            ("7z twice", "7z", [seven.clone(), seven.clone(), seven.clone()].concat(), 4, &[]),
            ("cab", "exe", behind(&cab), 2, &[]),
            ("cab twice", "cab", [cab.clone(), cab.clone()].concat(), 2, &[]),
            ("rar", "exe", behind(&rar), 0, &["archive.unknown"]),
            ("gzip behind a picture", "png", behind(&gzip(b"hello")), 1, &[]),
            ("gzip in a tar", "tar", behind(&gzip(b"hello")), 0, &[]),
            ("no gzip", "png", behind(b"\x1f\x8b\x08\0\0\0\0\0\0\x03 is no gzip at all"), 0, &[]),
            ("a mark alone", "exe", behind(b"7z\xbc\xaf\x27\x1c\0\x04 and no header"), 0, &[]),
            ("a mark in a text", "text", b"The mark of a rar is Rar!\x1a\x07, that of a PDF %PDF-1.4 and so on, it says".to_vec(), 0, &[]),
        ];
        for (what, true_type, data, items, problems) in rows {
            assert_eq!(carved(true_type, data.clone()), (*items, problems.to_vec()), "{what}");
        }
        let (_, problems) = carved("exe", [junk(), cab.repeat(MOST + 1)].concat());
        assert!(problems.contains(&"archive.limit.members"));
        let mut broken = behind(&seven);
        let at = broken.len() - 20;
        broken[at] ^= 0xff;
        assert_eq!(carved("exe", broken).1, ["archive.malformed"]);
    }

    #[test]
    fn damage() {
        let data = [b"MZ\x90\0some junk".to_vec(), fixture("lzma.7z"), fixture("mszip.cab")].concat();
        for at in 0..data.len() {
            carved("exe", data[..at].to_vec());
            let mut flipped = data.clone();
            flipped[at] ^= 0xff;
            carved("exe", flipped);
        }
    }
}
