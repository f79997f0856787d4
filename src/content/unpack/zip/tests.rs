use std::io::{Cursor, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::super::super::limits::{Budget, Limits};
use super::super::stream::opened as opened_by;
use super::super::stream::tests::{fixture, lines};
use super::headers::{CENTRAL, LOCAL};
use super::*;

type Items = Vec<(String, Vec<u8>)>;

fn opened(data: &[u8]) -> (Items, Vec<&'static str>) {
    opened_by(open, "a.zip", data, &["wrong".to_owned()])
}

fn archive(members: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content, method) in members {
        writer.start_file(*name, SimpleFileOptions::default().compression_method(*method)).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn two() -> Vec<u8> {
    archive(&[("a.txt", b"hello", CompressionMethod::Stored), ("b.txt", &b"world ".repeat(50), CompressionMethod::Deflated)])
}

fn want() -> Items {
    vec![("a.txt".to_owned(), b"hello".to_vec()), ("b.txt".to_owned(), b"world ".repeat(50))]
}

/// Where the central directory starts.
fn directory(data: &[u8]) -> usize {
    memmem::find(data, CENTRAL).unwrap()
}

fn has(items: &Items, content: &[u8]) -> bool {
    items.iter().any(|(_, bytes)| bytes == content)
}

#[test]
fn members_are_found_whatever_the_directory_says() {
    let whole = two();
    assert_eq!(opened(&whole), (want(), vec![]));
    assert_eq!(opened(&[b"junk before", &whole[..]].concat()), (want(), vec![]), "prefix");
    assert_eq!(opened(&[&whole[..], b"junk after"].concat()), (want(), vec![]), "suffix");
    assert_eq!(opened(&whole[..directory(&whole)]), (want(), vec![]), "no directory");
    let hidden = archive(&[("c.txt", b"hidden", CompressionMethod::Stored)]);
    let (items, problems) = opened(&[&hidden[..directory(&hidden)], &whole[..]].concat());
    // Where directory and offsets fit at two places, both are read.
    assert!(has(&items, b"hidden") && want().iter().all(|one| items.contains(one)), "{items:?}");
    assert!(!problems.is_empty() && problems.iter().all(|code| *code == "archive.zip_disagrees"), "{problems:?}");
    let concatenated = [&hidden[..], &whole[..]].concat();
    let (items, _) = opened(&concatenated);
    assert!(has(&items, b"hidden") && want().iter().all(|one| items.contains(one)), "{items:?}");
    // An end record that leads to nothing, behind the right one; twenty of them; an archive in the comment of another.
    let fake = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x10\0\0\0\x10\0\0\0\0\0";
    assert_eq!(opened(&[&whole[..], fake].concat()).0, want());
    assert_eq!(opened(&[&whole[..], &fake.repeat(20)].concat()).0, want());
    let mut commented = whole.clone();
    let len = commented.len();
    commented[len - 2] = u8::try_from(hidden.len()).unwrap();
    commented.extend(&hidden);
    assert!(has(&opened(&commented).0, b"hidden") && has(&opened(&commented).0, b"hello"));
    // A member in the extra field of another.
    let mut extra = hidden[..directory(&hidden)].to_vec();
    extra.splice(0..0, [0xef, 0xbe, u8::try_from(extra.len()).unwrap(), 0]);
    let mut nested = whole.clone();
    nested[28] = u8::try_from(extra.len()).unwrap();
    nested.splice(35..35, extra);
    assert!(has(&opened(&nested).0, b"hidden"), "in an extra field");
}

#[test]
fn headers_that_disagree_are_a_note_and_all_is_opened() {
    let whole = two();
    let at = directory(&whole);
    // Place, value; each makes local header and directory differ.
    let rows: [(&str, usize, u8); 8] = [
        ("name", at + 46, b'x'),
        ("local name", 30, b'x'),
        ("method", at + 10, 8),
        ("local method", 8, 8),
        ("unknown method", at + 10, 6),
        ("checksum", at + 16, 0xaa),
        ("packed size", at + 20, 3),
        ("encrypted", at + 8, 1),
    ];
    for (what, place, value) in rows {
        let mut changed = whole.clone();
        changed[place] = value;
        let (items, problems) = opened(&changed);
        assert!(has(&items, b"hello") && has(&items, &b"world ".repeat(50)), "{what}: {items:?}");
        assert!(!problems.is_empty() && problems.iter().all(|code| *code == "archive.zip_disagrees"), "{what}: {problems:?}");
        if what.ends_with("name") {
            assert!(items.iter().any(|(name, _)| name == "x.txt") && items.iter().any(|(name, _)| name == "a.txt"), "{items:?}");
        }
    }
    let mut both = whole.clone();
    (both[6], both[at + 8]) = (1, 1);
    assert_eq!(opened(&both), (want(), vec!["archive.zip_disagrees"]), "falsely called encrypted");
    // Both call it stored, and it is deflated.
    let second = memmem::rfind(&whole, LOCAL).unwrap();
    let listed = memmem::rfind(&whole, CENTRAL).unwrap();
    let mut stored = whole.clone();
    (stored[second + 8], stored[listed + 10]) = (0, 0);
    assert!(has(&opened(&stored).0, &b"world ".repeat(50)));
    let nul = archive(&[("a.exe\0.txt", b"hello", CompressionMethod::Stored)]);
    assert!(opened(&nul).0.iter().any(|(name, _)| name == "a.exe"));
    let folder = archive(&[("folder_", b"hello", CompressionMethod::Stored)]);
    let folder: Vec<u8> = folder.iter().map(|c| if *c == b'_' { b'/' } else { *c }).collect();
    assert!(has(&opened(&folder).0, b"hello"));
}

#[test]
fn several_entries_for_one_place() {
    let whole = archive(&[("a.txt", b"hello", CompressionMethod::Stored), ("b.exe", b"hello", CompressionMethod::Stored)]);
    let mut one = whole.clone();
    let listed = memmem::rfind(&whole, CENTRAL).unwrap();
    one[listed + 42..listed + 46].fill(0);
    let (items, _) = opened(&one);
    assert!(items.iter().filter(|(name, _)| name == "b.exe").count() == 2 && items.iter().any(|(name, _)| name == "a.txt"), "{items:?}");
}

#[test]
fn all_methods() {
    for method in ["copy", "deflate", "deflate64", "bzip2", "lzma", "ppmd", "xz", "zstd", "zstd-old", "streamed"] {
        let data = fixture(&format!("zip-{method}.zip"));
        let (items, problems) = opened(&data);
        assert_eq!((items.len(), problems), (1, vec![]), "{method}");
        assert_eq!(items[0].1, lines(60), "{method}");
        // Without its directory; with a method that no reader has.
        let (items, problems) = opened(&data[..directory(&data)]);
        assert!(items[0].1 == lines(60) && problems.is_empty(), "{method} without a directory: {problems:?}");
        let mut other = data.clone();
        let at = directory(&data);
        (other[8], other[at + 10]) = (77, 77);
        let (items, problems) = opened(&other);
        assert!(has(&items, &lines(60)) || method == "ppmd" || problems == ["archive.unknown"], "{method} as 77: {problems:?}");
        for at in 0..data.len() {
            let mut flipped = data.clone();
            flipped[at] ^= [0xff, 1, 8][at % 3];
            opened(&flipped);
            opened(&data[..at]);
        }
    }
}

#[test]
fn passwords() {
    let passwords = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    for name in ["zipcrypto", "copy", "infozip", "aes128", "aes192", "aes256", "bzip2"] {
        let data = fixture(&format!("locked-{name}.zip"));
        assert_eq!(opened_by(open, "a.zip", &data, &[]).1, ["archive.encrypted"], "{name}");
        let (items, problems) = opened_by(open, "a.zip", &data, &passwords(&["wrong", "infected"]));
        assert_eq!((items[0].1.len(), problems), (0, vec!["archive.encrypted"]), "{name}");
        let right = passwords(&["a", "winter", "winter26", "b"]);
        let (items, problems) = opened_by(open, "a.zip", &data, &right);
        assert_eq!((items.len(), problems), (1, vec!["archive.password_in_text"]), "{name}");
        assert_eq!(items[0].1, lines(60), "{name}");
        let (items, _) = opened_by(open, "a.zip", &data[..directory(&data)], &right);
        assert_eq!(items[0].1, lines(60), "{name} without a directory");
        for at in (0..data.len()).step_by(17) {
            let mut flipped = data.clone();
            flipped[at] ^= 0xff;
            opened_by(open, "a.zip", &flipped, &right[2..3]);
            opened_by(open, "a.zip", &data[..at], &right[2..3]);
        }
    }
    let mut commented = fixture("locked-aes128.zip");
    let len = commented.len();
    commented[len - 2] = 18;
    commented.extend(b"password: winter26");
    assert_eq!(opened_by(open, "a.zip", &commented, &passwords(&["wrong"])).1, ["archive.password_in_text"]);
    // Many wrong ones open nothing.
    let many: Vec<String> = (0..2000).map(|n| format!("w{n}")).collect();
    assert_eq!(opened_by(open, "a.zip", &fixture("locked-copy.zip"), &many).1, ["archive.encrypted"]);
}

#[test]
fn strong_encryption_is_not_opened() {
    let mut strong = two();
    let at = directory(&strong);
    (strong[6], strong[at + 8]) = (0x41, 0x41);
    assert!(opened(&strong).1.contains(&"archive.encrypted"));
    let mut hidden = two();
    hidden[at..at + 4].copy_from_slice(b"PK\x06\x08");
    assert!(opened(&hidden).1.contains(&"archive.encrypted"));
}

#[test]
fn what_cannot_be_opened_is_said() {
    let whole = two();
    let mut other = archive(&[("a.txt", b"\x01\x02\x03\x04", CompressionMethod::Stored)]);
    let at = directory(&other);
    (other[8], other[at + 10]) = (6, 6);
    assert_eq!(opened(&other).1, ["archive.unknown"]);
    let mut broken = whole.clone();
    let second = memmem::rfind(&whole, LOCAL).unwrap();
    broken[second + 35..second + 45].fill(0xff);
    assert!(opened(&broken).1.contains(&"archive.malformed"));
    assert_eq!(opened(b"PK\x03\x04 not a zip at all").1, ["archive.malformed"]);
    assert_eq!(opened(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0").1, Vec::<&str>::new());
}

#[test]
fn a_listed_member_without_a_local_header_is_said() {
    for whole in [two(), archive(&[("a.txt", b"hello", CompressionMethod::Stored)])] {
        let mut broken = whole.clone();
        broken[3] = 5;
        let (as_it_is, data) = (Bytes::from(whole), Bytes::from(broken));
        for data in [&data, &as_it_is] {
            let true_type = sniff::true_type(data);
            assert!(is_zip(&Leaf::new(data, None, "", "", true_type)), "{true_type}");
        }
        assert_eq!(opened(&data).1.first(), Some(&"archive.malformed"));
        assert_eq!(opened(&as_it_is).1, Vec::<&str>::new());
    }
}

#[test]
fn cut_and_flipped_at_every_byte() {
    let whole = two();
    for at in 0..whole.len() {
        opened(&whole[..at]);
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        opened(&flipped);
    }
}

/// An archive whose members are all the same deflated bytes: every local header but the last stands before the next one (as in the bombs
/// of David Fifield), and the data is read `count` times.
fn overlapping(count: usize, packed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut listed = Vec::new();
    for n in 0..count {
        let at = u32::try_from(out.len()).unwrap();
        // Each header has an extra field that reaches to the end of the last header.
        let extra = (count - 1 - n) * 31;
        out.extend(b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\x01\0\0\0");
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend([0; 4]);
        out.extend([1, 0]);
        out.extend((extra as u16).to_le_bytes());
        out.push(b'a');
        listed.extend(b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0\x01\0\0\0");
        listed.extend((packed.len() as u32).to_le_bytes());
        listed.extend([0; 4]);
        listed.extend([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        listed.extend(at.to_le_bytes());
        listed.push(b'a');
    }
    out.extend(packed);
    let (at, size) = (out.len() as u32, listed.len() as u32);
    out.extend(listed);
    out.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    out.extend(size.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

#[test]
fn overlapping_members_are_bounded() {
    let (items, problems) = opened(&overlapping(1000, &super::super::bomb::zeros(10)));
    let all: usize = items.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(problems.contains(&"archive.limit.bytes") || problems.contains(&"archive.limit.ratio"), "{problems:?}");
    assert!(all <= 256_000_000);
    // A stream of empty blocks gives nothing, however often it is read.
    let mut empty = [0, 0, 0, 0xff, 0xff].repeat(200_000);
    empty.extend([1, 0, 0, 0xff, 0xff]);
    let limits = Limits { effort: "100MB".parse().unwrap(), ..Limits::default() };
    let mut budget = Budget::new(&limits);
    let mut finds = Finds::new(&mut budget, 10_000);
    let data = Bytes::from(overlapping(2000, &empty));
    open(&Leaf::new(&data, None, "", "", "zip"), &mut finds);
    assert!(finds.problems.iter().any(|problem| problem.code == "mime.limit.effort") && finds.items.len() < 20);
}
