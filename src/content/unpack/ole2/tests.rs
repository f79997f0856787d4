use std::io::{Cursor, Write};

use flate2::{Compression, write::ZlibEncoder};

use super::super::super::limits::{Budget, Limits};
use super::*;

/// A file made by another writer; each stream in two goes, so that their sectors are mixed.
fn compound(streams: &[(&str, &[u8])]) -> Vec<u8> {
    compound_of(cfb::Version::V3, streams)
}

fn compound_of(version: cfb::Version, streams: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = cfb::CompoundFile::create_with_version(version, Cursor::new(Vec::new())).unwrap();
    for (path, _) in streams {
        if let Some((storage, _)) = path.rsplit_once('/') {
            file.create_storage_all(format!("/{storage}")).unwrap();
        }
        file.create_stream(format!("/{path}")).unwrap();
    }
    for half in 0..2 {
        for (path, content) in streams {
            let (first, second) = content.split_at(content.len() / 2);
            let mut stream = file.open_stream(format!("/{path}")).unwrap();
            std::io::Seek::seek(&mut stream, std::io::SeekFrom::End(0)).unwrap();
            stream.write_all([first, second][half]).unwrap();
        }
    }
    file.flush().unwrap();
    file.into_inner().into_inner()
}

/// What is in a file, what was noticed, and whether it is encrypted.
type Opened = (Vec<(String, Vec<u8>)>, Vec<&'static str>, bool);

fn opened(data: &[u8]) -> Opened {
    let mut budget = Budget::new(&Limits::default());
    let mut finds = Finds::new(&mut budget, 1000);
    let data = Bytes::copy_from_slice(data);
    open(&Leaf::new(&data, Some("a.doc"), "", "", "ole2"), &mut finds);
    let items = finds.items.into_iter().filter_map(|item| match item {
        Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
        _ => None,
    });
    (items.collect(), finds.problems.iter().map(|p| p.code).collect(), finds.locked)
}

fn pattern(n: usize, seed: u8) -> Vec<u8> {
    (0..n).map(|i| (i % 251) as u8 ^ seed).collect()
}

fn zlib(content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// Literal bytes only: what a module may be packed to at worst.
fn packed_module(text: &[u8]) -> Vec<u8> {
    let mut out = vec![1];
    for chunk in text.chunks(3000) {
        let tokens: Vec<u8> = chunk.chunks(8).flat_map(|eight| [&[0][..], eight].concat()).collect();
        out.extend((0xb000 | (tokens.len() as u16 + 2 - 3)).to_le_bytes());
        out.extend(tokens);
    }
    out
}

fn native(name: &str, content: &[u8]) -> Vec<u8> {
    let body = [
        b"\x02\0",
        name.as_bytes(),
        b"\0C:\\x\\",
        name.as_bytes(),
        b"\0\0\0\x03\0\x05\0\0\0temp\0",
        &(content.len() as u32).to_le_bytes(),
        content,
    ]
    .concat();
    [&(body.len() as u32).to_le_bytes(), &body[..]].concat()
}

#[test]
fn streams_of_all_sizes() {
    let rows: Vec<(String, Vec<u8>)> =
        [1, 63, 64, 65, 4095, 4096, 4097, 20_000, 100_000].iter().map(|n| (format!("s/t/n{n}"), pattern(*n, *n as u8))).collect();
    let streams: Vec<(&str, &[u8])> = rows.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
    for version in [cfb::Version::V3, cfb::Version::V4] {
        let (mut items, problems, _) = opened(&compound_of(version, &streams));
        items.sort();
        let mut want = rows.clone();
        want.sort();
        assert_eq!((items, problems), (want, vec![]));
    }
    assert_eq!(opened(&compound(&[])), (vec![], vec![], false), "nothing in it");
}

#[test]
fn packed_things_in_streams() {
    let content = pattern(3000, 9);
    let object = [&3000u32.to_le_bytes()[..], &zlib(&content)].concat();
    let slides = [&0x0fu16.to_le_bytes()[..], &1000u16.to_le_bytes(), &[0; 4], &0x10u16.to_le_bytes(), &0x1011u16.to_le_bytes()].concat();
    let slides = [&slides[..], &(object.len() as u32).to_le_bytes(), &object].concat();
    let module = [&b"\0p-code"[..], &packed_module(b"Attribute VB_Name = \"M\"\r\nSub AutoOpen()\r\nEnd Sub\r\n")].concat();
    let data = compound(&[
        ("\u{1}Ole10Native", &native("x.exe", &content)),
        ("PowerPoint Document", &slides),
        ("Macros/VBA/_VBA_PROJECT", b"\xcc\x61"),
        ("Macros/VBA/M", &module),
        ("Other", &[&b"junk x\x9c x"[..], &zlib(&content)].concat()),
    ]);
    let (items, problems, _) = opened(&data);
    let named = |want: &str| items.iter().find(|(name, _)| name == want).map(|(_, bytes)| bytes.as_slice());
    assert_eq!(named("x.exe"), Some(&content[..]));
    assert_eq!(named("embedded object"), Some(&content[..]));
    assert_eq!(named("Other.unpacked"), Some(&content[..]));
    assert!(named("Macros/VBA/M.bas").is_some_and(|text| text.starts_with(b"Attribute VB_Name")));
    assert_eq!(problems, ["doc.macros", "doc.macros_autostart"]);
}

#[test]
fn modules_are_unpacked() {
    // The examples of MS-OVBA, section 3.2.
    let none = b"\x01\x19\xb0\x00abcdefgh\x00ijklmnop\x00qrstuv.";
    let usual = b"\x01\x2f\xb0\x00#aaabcde\x82f\0ahijkl\x08\x02mnopq\x06\x03 rstuvw\x06xyz:\0..";
    assert_eq!(vba::unpack(none), b"abcdefghijklmnopqrstuv.");
    let most = b"\x01\x03\xb0\x02a\x45\x00";
    assert_eq!(vba::unpack(most), b"a".repeat(73));
    for end in 0..usual.len() {
        vba::unpack(&usual[..end]);
    }
    for at in 0..none.len() {
        let mut flipped = none.to_vec();
        flipped[at] ^= 0xff;
        vba::unpack(&flipped);
    }
    assert!(vba::unpack(&[&[1][..], &b"\x03\xb0\x02a\xff\x0f".repeat(20_000)].concat()).len() < 17 << 20);
}

#[test]
fn macro_sheets() {
    let record = |kind: u16, content: &[u8]| [&kind.to_le_bytes()[..], &(content.len() as u16).to_le_bytes(), content].concat();
    let bof = record(0x809, &[0; 16]);
    let sheet = record(0x85, b"\0\0\0\0\0\x01\x01\0m");
    let name = record(0x18, b"\x20\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01");
    let book = |records: &[&[u8]]| compound(&[("Workbook", &records.concat())]);
    assert_eq!(opened(&book(&[&bof, &sheet, &name])).1, ["doc.macros", "doc.macros_autostart"]);
    assert_eq!(opened(&book(&[&bof, &name])).1, [""; 0]);
    assert!(opened(&book(&[&bof, &record(0x2f, &[0; 6])])).2, "encrypted");
}

#[test]
fn encrypted_documents() {
    let mut word = vec![0xec, 0xa5, 0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    word.resize(600, 0);
    let mut user = vec![0; 12];
    user.extend(0xf3d1_c4dfu32.to_le_bytes());
    for (name, content) in [("WordDocument", &word[..]), ("EncryptedPackage", &[0; 100]), ("Current User", &user)] {
        let (_, problems, locked) = opened(&compound(&[(name, content)]));
        assert!(locked && problems == ["doc.encrypted"], "{name}: {problems:?}");
    }
}

#[test]
fn mail_of_outlook() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let content = pattern(9000, 3);
    let rtf = b"\x09\0\0\0\x05\0\0\0MELA\0\0\0\0{\\rtf1}";
    let data = compound(&[
        ("__properties_version1.0", &[0; 64]),
        ("__substg1.0_1000001F", &wide("the text")),
        ("__substg1.0_10090102", rtf),
        ("__substg1.0_0037001F", &wide("a subject")),
        ("__attach_version1.0_#00000000/__substg1.0_37010102", &content),
        ("__attach_version1.0_#00000000/__substg1.0_3707001F", &wide("long name.exe")),
        ("__attach_version1.0_#00000000/__substg1.0_3704001F", &wide("LONGNA~1.EXE")),
        ("__attach_version1.0_#00000001/__substg1.0_3701000D/__substg1.0_1000001F", &wide("inner text")),
        ("__attach_version1.0_#00000001/__substg1.0_3701000D/__attach_version1.0_#00000000/__substg1.0_37010102", &content[..100]),
    ]);
    let (items, problems, _) = opened(&data);
    let want: [(&str, &[u8]); 5] = [
        ("body.txt", b"the text"),
        ("body.rtf", b"{\\rtf1}"),
        ("long name.exe", &content),
        ("body.txt", b"inner text"),
        ("__attach_version1.0_#00000001/__substg1.0_3701000D/__attach_version1.0_#00000000/__substg1.0_37010102", &content[..100]),
    ];
    for (name, bytes) in want {
        assert!(items.iter().any(|(n, b)| n == name && b == bytes), "{name}");
    }
    let rest = items.iter().find(|(name, _)| name == "properties").map(|(_, bytes)| bytes.as_slice());
    assert!(rest.is_some_and(|rest| memchr::memmem::find(rest, b"a subject").is_some()));
    assert_eq!(problems, [""; 0]);
}

#[test]
fn damage_is_said() {
    let whole = compound(&[("a", &pattern(9000, 1)), ("b", &pattern(100, 2))]);
    assert_eq!(opened(&whole).1, [""; 0]);
    assert_eq!(opened(&whole[..whole.len() / 2]).1.first(), Some(&"archive.malformed"));
    assert_eq!(opened(MAGIC).1, ["archive.malformed"]);
}

#[test]
fn cut_and_flipped_at_every_byte() {
    let whole = compound(&[
        ("\u{1}Ole10Native", &native("x", b"content")),
        ("s/VBA/dir", &packed_module(b"Sub Auto_Open")),
        ("b", &pattern(5000, 2)),
    ]);
    for at in 0..whole.len() {
        if at % 16 == 0 || at < 512 {
            opened(&whole[..at]);
        }
        let mut flipped = whole.clone();
        flipped[at] ^= 0xff;
        opened(&flipped);
    }
}

#[test]
fn chains_and_trees_that_lead_nowhere_end() {
    let whole = compound(&[("a", &pattern(9000, 1)), ("s/b", &pattern(100, 2))]);
    for value in [0u32, 1, 2, 3, 5, 0xffff_fffe] {
        for at in (0..whole.len() - 4).step_by(4) {
            let mut wrong = whole.clone();
            wrong[at..at + 4].copy_from_slice(&value.to_le_bytes());
            opened(&wrong);
        }
    }
}

/// Made by another program (msoffcrypto-tool): a document encrypted with the password of Excel, and with one that has to be known.
#[test]
fn documents_are_decrypted() {
    let rows: [(&[u8], &[&str], &str); 3] = [
        (include_bytes!("../../../../tests/documents/encrypted-default.docx"), &[], "doc.default_password"),
        (include_bytes!("../../../../tests/documents/encrypted-text.docx"), &["winter26"], "doc.password_in_text"),
        (include_bytes!("../../../../tests/documents/encrypted-text.docx"), &["summer26"], "doc.encrypted"),
    ];
    for (data, passwords, want) in rows {
        let passwords: Vec<String> = passwords.iter().map(|word| (*word).to_owned()).collect();
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 1000).with_passwords(&passwords);
        let data = Bytes::copy_from_slice(data);
        open(&Leaf::new(&data, Some("a.docx"), "", "", "ole2"), &mut finds);
        let codes: Vec<&str> = finds.problems.iter().map(|p| p.code).collect();
        assert_eq!((codes, finds.locked), (vec![want], want == "doc.encrypted"));
        let plain = finds.items.iter().any(|item| matches!(item, Item::Blob { bytes, .. } if bytes.starts_with(b"PK\x03\x04")));
        assert_eq!(plain, want != "doc.encrypted");
    }
}
