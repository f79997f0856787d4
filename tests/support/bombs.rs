//! Messages built to cost more than they weigh. Each is made here, by libraries that are not the gateway's readers where there is one.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::Write;

use flate2::{Compress, Compression, FlushCompress};

/// A bomb as a whole message.
pub struct Bomb {
    /// What it is.
    pub name: &'static str,
    /// Whether it may be delivered: nothing in it is hidden, it only takes long.
    pub harmless: bool,
    /// The message.
    pub message: Vec<u8>,
}

/// All of them. Another reader's bomb is one line more. Of the texts each comes as one of four types, with `every` as each of them.
pub fn all(every: bool) -> Vec<Bomb> {
    let mut bombs = vec![
        bomb("10 GB of zeros, gzip", attached(&gzip(&zeros(10_240)), "zeros.gz")),
        bomb("10 GB of zeros, zip", attached(&zip(&[("zeros".to_owned(), zeros(10_240))]), "zeros.zip")),
        bomb("10 GB of zeros, bzip2", attached(&bzip2(32).repeat(320), "zeros.bz2")),
        bomb("10 GB of zeros, xz", attached(&XZ.repeat(80), "zeros.xz")),
        bomb("10 GB of zeros, zstd", attached(&ZSTD.repeat(80), "zeros.zst")),
        bomb("zeros, 7z with a dictionary of 64 MiB", attached(SEVENZ, "zeros.7z")),
        bomb("10 GB of zeros, gzip in gzip", attached(&deflated_gzip(&gzip(&zeros(10_240))), "zeros.gz.gz")),
        bomb("20 GB of zeros in a PDF", attached(&pdf(20, 1024), "zeros.pdf")),
        bomb("a PDF's stream packed 30 times", attached(&packed_pdf(30), "chain.pdf")),
        Bomb { harmless: true, ..bomb("OLE2 in a circle", attached(&circle(), "circle.doc")) },
        bomb("400 GB, zip of overlapping members", attached(&overlapping(4000, zeros(100)), "overlap.zip")),
        bomb("nested zips, 16 in each of 6", attached(&nested(6, 16), "42.zip")),
        bomb("gzip quine", attached(&quine(), "quine.gz")),
        bomb("100,000 members, zip", attached(&zip(&numbered(100_000)), "many.zip")),
        bomb("100,000 members, tar", attached(&deflated_gzip(&tar(100_000)), "many.tar.gz")),
        bomb("30 deep, zip", attached(&in_zips(super::eicar(), 30), "deep.zip")),
        bomb("30 deep, tar and gzip", attached(&in_tars(super::eicar(), 30), "deep.tgz")),
        bomb("30 deep, multipart", deep_multipart(30, &super::eicar())),
        bomb("30 deep, rfc822", deep_messages(30, &super::eicar())),
        bomb("200 deep, multipart", deep_multipart(200, b"x")),
        bomb("10,000 parts", parts(10_000)),
        bomb("300,000 header lines", lines("X-Field: value\r\n", 300_000 * 16, "", "\r\nbody\r\n")),
    ];
    let texts = [
        ("=", "=".repeat(900) + "\r\n"),
        ("= at ends of lines", "=\r\n".to_owned()),
        ("begin", "begin 644 x\r\n".to_owned()),
        ("begin-base64", "begin-base64 644 x\r\n".to_owned()),
        ("=ybegin", "=ybegin line=128 size=9 name=x\r\n".to_owned()),
        ("--", "--\r\n".to_owned()),
        ("dashes", "-".repeat(900) + "\r\n"),
        ("<", "<".repeat(900) + "\r\n"),
        ("tags", "<div style='display:none'>".repeat(30) + "\r\n"),
        ("data:", "data:a/b;base64,".repeat(50) + "\r\n"),
        ("atob(", "atob('".repeat(100) + "\r\n"),
        ("+", "+".repeat(900) + "\r\n"),
        ("&", "&#x41;".repeat(100) + "\r\n"),
        ("links", "http://x.example/ ".repeat(40) + "\r\n"),
        ("From ", "From a@b.example Mon Jan  1 00:00:00 2024\r\n".to_owned()),
        ("header fields", "Content-Transfer-Encoding: base64\r\n\r\n".to_owned()),
        ("base64", "QUJD".repeat(19) + "\r\n"),
        ("blanks", " ".repeat(900) + "\r\n"),
        ("zip headers", "PK\x03\x04PK\x05\x06PK\x01\x02".repeat(50) + "\r\n"),
        ("pgp", "-----BEGIN PGP MESSAGE-----\r\n\r\n".to_owned()),
        ("binhex", "(This file must be converted with BinHex 4.0)\r\n\r\n:".to_owned()),
        ("pdf", "%PDF-1.4 1 0 obj << stream endstream ".repeat(20) + "\r\n"),
        ("brackets", "[{\"a\":".repeat(100) + "\r\n"),
        ("groups", "{\\rtf1".to_owned() + &"{".repeat(900) + "\r\n"),
        ("rtf", "{\\rtf1{\\object\\objdata ".repeat(30) + "\r\n"),
    ];
    let kinds = ["text/plain", "text/html", "multipart/mixed; boundary=B", "application/octet-stream"];
    for (n, (name, line)) in texts.into_iter().enumerate() {
        for (_, kind) in kinds.into_iter().enumerate().filter(|(k, _)| every || n % kinds.len() == *k) {
            let encoding = if kind == "text/html" { "quoted-printable" } else { "8bit" };
            let head = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
            let name = Box::leak(format!("20 MB of {name}, {kind}").into_boxed_str());
            bombs.push(Bomb { name, harmless: true, message: lines(&line, 20_000_000, &head, "") });
        }
    }
    bombs
}

fn bomb(name: &'static str, message: Vec<u8>) -> Bomb {
    Bomb { name, harmless: false, message }
}

/// A message with one file, in base64.
fn attached(file: &[u8], name: &str) -> Vec<u8> {
    let head = format!("{HEAD}Content-Type: application/octet-stream; name={name}\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    [head.into_bytes(), base64(file)].concat()
}

const HEAD: &str = "From: bob@partner.example\r\nTo: bob@groupwise.example\r\nSubject: a bomb\r\nMIME-Version: 1.0\r\n";

fn lines(line: &str, size: usize, head: &str, tail: &str) -> Vec<u8> {
    [HEAD.as_bytes(), head.as_bytes(), line.repeat(size / line.len()).as_bytes(), tail.as_bytes()].concat()
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::with_capacity(bytes.len() / 54 * 74 + 100);
    for line in bytes.chunks(54) {
        for three in line.chunks(3) {
            let n = three.iter().fold(0u32, |n, byte| n << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
            for at in 0..4 {
                out.push(if at <= three.len() { ALPHABET[(n >> (18 - 6 * at)) as usize & 63] } else { b'=' });
            }
        }
        out.extend(b"\r\n");
    }
    out
}

/// Deflate of `mega` MiB of zeros: one flushed block again and again.
fn zeros(mega: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(8192);
    Compress::new(Compression::best(), false).compress_vec(&vec![0; 1 << 20], &mut block, FlushCompress::Full).unwrap();
    let mut out = block.repeat(mega);
    out.extend([1, 0, 0, 0xff, 0xff]);
    out
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn gzip(deflate: &[u8]) -> Vec<u8> {
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], deflate, &[0; 8]].concat()
}

fn deflated_gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// One stream of `mega` MiB of zeros.
fn bzip2(mega: usize) -> Vec<u8> {
    let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
    for _ in 0..mega {
        packer.write_all(&[0; 1 << 20]).unwrap();
    }
    packer.finish().unwrap()
}

/// One stream of 128 MiB of zeros, made with xz 5.
const XZ: &[u8] = include_bytes!("../fixtures/zeros-128m.xz");

/// One frame of 128 MiB of zeros, made with zstd 1.5 at level 19.
const ZSTD: &[u8] = include_bytes!("../fixtures/zeros-128m.zst");

/// 256 MiB of zeros, made with 7-Zip at level 9 (`-md=64m`).
const SEVENZ: &[u8] = include_bytes!("../fixtures/zeros-256m.7z");

/// A PDF without a table of what stands where: `streams` of as many objects, each a dictionary and what it packs.
fn pdf_of(streams: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    for (n, (filter, packed)) in streams.iter().enumerate() {
        let length = packed.len();
        out.extend(format!("{} 0 obj\n<</Type /EmbeddedFile /Length {length} /Filter {filter}>>\nstream\n", n + 1).as_bytes());
        out.extend(packed);
        out.extend(b"\nendstream\nendobj\n");
    }
    out.extend(b"trailer\n<</Root 1 0 R>>\n%%EOF\n");
    out
}

/// Of `count` streams, each of `mega` MiB of zeros.
fn pdf(count: usize, mega: usize) -> Vec<u8> {
    let packed = [&b"\x78\xda"[..], &zeros(mega)].concat();
    pdf_of(&vec![("/FlateDecode".to_owned(), packed); count])
}

/// Of one stream of 64 MiB of zeros, which is packed over and over.
fn packed_pdf(times: usize) -> Vec<u8> {
    let mut packed = vec![0; 64 << 20];
    for _ in 0..times {
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
        packer.write_all(&packed).unwrap();
        packed = packer.finish().unwrap();
    }
    pdf_of(&[(format!("[{}]", "/FlateDecode ".repeat(times)), packed)])
}

/// A compound file whose longest chain of sectors comes back to its start.
fn circle() -> Vec<u8> {
    let mut file = cfb::CompoundFile::create_with_version(cfb::Version::V3, std::io::Cursor::new(Vec::new())).unwrap();
    file.create_stream("/WordDocument").unwrap().write_all(&vec![b'x'; 40_000]).unwrap();
    file.flush().unwrap();
    let mut out = file.into_inner().into_inner();
    let word = |out: &[u8], at: usize| u32::from_le_bytes(out[at..at + 4].try_into().unwrap());
    // The first sector of the allocation table; the last link of the longest chain.
    let table = (word(&out, 0x4c) as usize + 1) * 512;
    let link = (0..128).rev().find(|n| word(&out, table + n * 4) == 0xffff_fffe).unwrap();
    let start = u32::try_from(link - 70).unwrap();
    out[table + link * 4..table + link * 4 + 4].copy_from_slice(&start.to_le_bytes());
    out
}

/// Tars in gzips in tars.
fn in_tars(mut file: Vec<u8>, depth: usize) -> Vec<u8> {
    for n in 0..depth {
        let mut out = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(file.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, if n == 0 { "a.com" } else { "deeper.tgz" }, &file[..]).unwrap();
        file = deflated_gzip(&out.into_inner().unwrap());
    }
    file
}

/// The fields that local and central header share: from the version on to the length of the extra field.
fn zip_fields(name: &str, packed: usize) -> Vec<u8> {
    let mut out = vec![20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend((packed as u32).to_le_bytes());
    out.extend(u32::MAX.to_le_bytes());
    out.extend((name.len() as u16).to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A zip of `(name, deflated)`, with its directory.
fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, packed) in members {
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(zip_fields(name, packed.len()));
        directory.extend([0; 10]);
        directory.extend((out.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(zip_fields(name, packed.len()));
        out.extend(name.as_bytes());
        out.extend(packed);
    }
    ended(out, &directory, members.len())
}

fn ended(mut out: Vec<u8>, directory: &[u8], count: usize) -> Vec<u8> {
    let start = out.len() as u32;
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([(count.min(0xffff) as u16).to_le_bytes(); 2].concat());
    out.extend((directory.len() as u32).to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// A zip whose `count` members are all the same bytes.
fn overlapping(count: usize, packed: Vec<u8>) -> Vec<u8> {
    let mut out = b"PK\x03\x04".to_vec();
    out.extend(zip_fields("00000", packed.len()));
    out.extend(b"00000");
    out.extend(&packed);
    let mut directory = Vec::new();
    for n in 0..count {
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(zip_fields("00000", packed.len()));
        directory.extend([0; 14]);
        directory.extend(format!("{n:05}").as_bytes());
    }
    ended(out, &directory, count)
}

/// Zips in zips, `width` in each, 4 GB of zeros in the innermost: as 42.zip.
fn nested(levels: usize, width: usize) -> Vec<u8> {
    let mut file = zip(&[("0.dll".to_owned(), zeros(4096))]);
    for level in 1..levels {
        let packed = deflated(&file);
        let members: Vec<_> = (0..width).map(|n| (format!("lib {level} {n:x}.zip"), packed.clone())).collect();
        file = zip(&members);
    }
    file
}

fn in_zips(mut file: Vec<u8>, depth: usize) -> Vec<u8> {
    for n in 0..depth {
        file = zip(&[(if n == 0 { "a.com".to_owned() } else { format!("{n}.zip") }, deflated(&file))]);
    }
    file
}

fn numbered(count: usize) -> Vec<(String, Vec<u8>)> {
    (0..count).map(|n| (n.to_string(), deflated(n.to_string().as_bytes()))).collect()
}

fn tar(count: usize) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for n in 0..count {
        let text = n.to_string();
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        out.append_data(&mut header, &text, text.as_bytes()).unwrap();
    }
    out.into_inner().unwrap()
}

fn deep_multipart(depth: usize, inner: &[u8]) -> Vec<u8> {
    let mut raw = HEAD.as_bytes().to_vec();
    for n in 0..depth {
        raw.extend(format!("Content-Type: multipart/mixed; boundary=\"B{n}x\"\r\n\r\n--B{n}x\r\n").as_bytes());
    }
    raw.extend(b"Content-Type: application/octet-stream; name=a.com\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    raw.extend(base64(inner));
    for n in (0..depth).rev() {
        raw.extend(format!("\r\n--B{n}x--\r\n").as_bytes());
    }
    raw
}

fn deep_messages(depth: usize, inner: &[u8]) -> Vec<u8> {
    let mut raw = attached(inner, "a.com");
    for _ in 0..depth {
        raw = [HEAD.as_bytes(), b"Content-Type: message/rfc822\r\n\r\n", &raw[..]].concat();
    }
    raw
}

fn parts(count: usize) -> Vec<u8> {
    let body: String = (0..count).map(|n| format!("--B\r\n\r\n{n}\r\n")).collect();
    format!("{HEAD}Content-Type: multipart/mixed; boundary=B\r\n\r\n{body}--B--\r\n").into_bytes()
}

/// A gzip that unpacks to itself, checksum and all, after Russ Cox, "Zip files all the way down" (2010). All is in units of five bytes:
/// `L n`, print the next n units (a stored block's head); `R`, print the last four units again (a block of two copies of 10 bytes from 20
/// bytes ago).
pub fn quine() -> Vec<u8> {
    let literal = |n: u16| [&[0][..], &(5 * n).to_le_bytes(), &(!(5 * n)).to_le_bytes()].concat();
    let (l0, l1, l4, r) = (literal(0), literal(1), literal(4), repeat());
    let head = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03q.gz\0".to_vec();
    let whole = |crc: u32| {
        // Two empty blocks and an empty last one, so that it is three units with the checksum and the size.
        let tail = [&[0b0000_0010, 0b0000_1000, 0b0001_0000, 0, 0, 0xff, 0xff][..], &crc.to_le_bytes(), &SIZE.to_le_bytes()].concat();
        let l = &l4;
        let units: [&Vec<u8>; 35] = [
            &head,
            l,
            &head,
            l,
            &r,
            &l1,
            &r,
            &l1,
            &l1,
            l,
            &r,
            &l1,
            &l1,
            l,
            &r,
            l,
            &r,
            l,
            &r,
            l,
            &r,
            l,
            &r,
            &l0,
            &l0,
            l,
            &r,
            &l0,
            &l0,
            l,
            &r,
            &tail,
            &r,
            &tail,
            &Vec::new(),
        ];
        units.into_iter().flatten().copied().collect::<Vec<u8>>()
    };
    whole(fixed_point(|crc| crc32(&whole(crc))))
}

/// Bytes of the quine.
const SIZE: u32 = 30 * 5 + 4 * 15;

/// `R`: a block with fixed codes (RFC 1951 section 3.2.6): length 10 at distance 20, twice.
fn repeat() -> Vec<u8> {
    let copy = [(8u32, 7u32, true), (8, 5, true), (3, 3, false)];
    let bits = [(0b010, 3, false)].into_iter().chain(copy).chain(copy).chain([(0, 7, true)]);
    let (mut out, mut count) = (0u64, 0);
    for (value, width, is_code) in bits {
        let value = if is_code { value.reverse_bits() >> (32 - width) } else { value };
        out |= u64::from(value) << count;
        count += width;
    }
    assert_eq!(count, 40);
    out.to_le_bytes()[..5].to_vec()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Where `f(x) = x`, for an `f` that is linear over bits but for a constant, as checksums are.
fn fixed_point(f: impl Fn(u32) -> u32) -> u32 {
    let constant = f(0);
    // One equation a bit: the 32 unknowns, and the right side.
    let mut rows = [0u64; 32];
    for unknown in 0..32 {
        let column = f(1 << unknown) ^ constant ^ (1 << unknown);
        for (bit, row) in rows.iter_mut().enumerate() {
            *row |= u64::from(column >> bit & 1) << unknown;
        }
    }
    for (bit, row) in rows.iter_mut().enumerate() {
        *row |= u64::from(constant >> bit & 1) << 32;
    }
    for unknown in 0..32 {
        let Some(pivot) = (unknown..32).find(|row| rows[*row] >> unknown & 1 == 1) else { continue };
        rows.swap(unknown, pivot);
        for row in 0..32 {
            if row != unknown && rows[row] >> unknown & 1 == 1 {
                rows[row] ^= rows[unknown];
            }
        }
    }
    (0..32).map(|unknown| u32::from(rows[unknown] >> 32 & 1 == 1) << unknown).sum()
}
