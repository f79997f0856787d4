//! True types: what bytes are, by their first bytes and structure, whatever their name and declared type say.
//!
//! Short names, for rules and findings. Programs: `exe` (PE, DOS), `elf`, `macho`, `java` (class), `dex`, `msi`, `lnk`, `script` (`#!`).
//! Documents: `ole2`, `docx` `docm` `xlsx` `xlsm` `pptx` `pptm`, `odf`, `pdf`, `rtf`, `one`, `chm`, `tnef`. Containers: `zip`, `jar`, `apk`, `epub`,
//! `gzip`, `bzip2`, `xz`, `lzma`, `zstd`, `compress`, `7z`, `rar`, `cab`, `tar`, `ar`, `cpio`, `rpm`, `iso`, and those of [`UNOPENED`].
//! Text: `html`, `xml`, `mail`, `text`. Others (images, sound, film, fonts) by the usual extension: `jpg`, `png`, `mp3`. Empty: unknown.

mod containers;
mod family;

pub(crate) use containers::is_fat;
pub(crate) use family::{differs, is_archive_name, is_text_name};
use memchr::memmem;

/// Bytes looked at to tell text from binary.
const TEXT_HEAD: usize = 1024;

/// Containers of files that nobody here opens: what is in them stays unseen, and that is a finding.
pub(crate) const UNOPENED: &[&str] = &[
    "rar",
    "arj",
    "lzh",
    "ace",
    "dmg",
    "vhd",
    "chm",
    "udf",
    "snappy",
    "lzop",
    "zpaq",
    "kgb",
    "freearc",
    "uharc",
    "zoo",
    "arc",
    "sit",
    "alz",
    "egg",
    "xar",
    "wim",
    "vmdk",
    "qcow2",
    "vdi",
    "squashfs",
    "cramfs",
    "ext",
    "fat",
    "ntfs",
    "hfs",
    "apfs",
    "disk",
    "cdimage",
    "zisofs",
    "szdd",
    "installshield",
    "lrzip",
    "rzip",
    "lzfse",
    "aar",
    "pst",
    "pack",
    "freeze",
    "dbx",
    "bzip3",
    "pea",
    "locked",
    "ppmd",
    "amiga",
    "hap",
    "nanozip",
    "uc2",
    "yaz",
    "sqx",
    "jarchive",
    "gitpack",
];

/// Types told by two or three bytes and a field or two: enough for a file, not for bytes that were only guessed to be one.
pub(crate) fn is_short_marked(true_type: &str) -> bool {
    matches!(true_type, "arj" | "pack" | "freeze" | "pea" | "compress" | "arc" | "ext" | "fat" | "disk" | "gzip")
}

/// The types that are a zip by another name, or a zip.
pub(crate) fn is_zip(true_type: &str) -> bool {
    matches!(true_type, "zip" | "jar" | "apk" | "epub" | "odf" | "docx" | "docm" | "xlsx" | "xlsm" | "pptx" | "pptm")
}

/// Types that are text: readings for text apply to them.
pub(crate) fn is_text(true_type: &str) -> bool {
    matches!(true_type, "text" | "html" | "xml" | "script" | "mail" | "rtf")
}

/// Types that the library takes two or four bytes for, by its own names: they are told here by more, or they are not.
const BY_TWO_BYTES: &[&str] =
    &["cpio", "Z", "lz", "ar", "deb", "rpm", "cab", "7z", "rar", "gz", "tar", "zst", "lz4", "msi", "bz2", "xz", "zip", "dmg", "iso"];

/// Signatures at the start.
const STARTS: [(&[u8], &str); 35] = [
    (b"\x7fELF", "elf"),
    (b"\xfe\xed\xfa\xce", "macho"),
    (b"\xfe\xed\xfa\xcf", "macho"),
    (b"\xce\xfa\xed\xfe", "macho"),
    (b"\xcf\xfa\xed\xfe", "macho"),
    (b"dex\n035\0", "dex"),
    (b"dex\n03", "dex"),
    (b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "lnk"),
    (b"%PDF-", "pdf"),
    (b"%FDF-", "pdf"),
    (b"{\\rt", "rtf"),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "one"),
    (b"ITSF\x03\0\0\0", "chm"),
    (b"\x78\x9f\x3e\x22", "tnef"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK00PK\x03\x04", "zip"),
    (b"PK\x07\x08PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"!<arch>\n", "ar"),
    (b"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff", "lzma"),
    (b"]\0\0\0\x04", "lzma"),
    (b"ActiveMime", "activemime"),
    (b"conectix", "vhd"),
    (b"vhdxfile", "vhd"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"#!", "script"),
    (b"\xef\xbb\xbf#!", "script"),
];

/// The type of `data`; empty where it is unknown.
pub(crate) fn true_type(data: &[u8]) -> &'static str {
    let Some(first) = data.first() else { return "" };
    let starts = if STARTS_WITH[*first as usize] { &STARTS[..] } else { &[] };
    let start = starts.iter().find(|(magic, _)| data.starts_with(magic)).map(|(_, name)| *name);
    match start {
        Some("zip") => return zip_kind(data),
        Some("gzip") if data.len() < 10 => {}
        Some(name) => return name,
        None => {}
    }
    if let Some(name) = structured(data) {
        return name;
    }
    let head = data.get(..data.len().min(TEXT_HEAD)).unwrap_or_default();
    if looks_text(head) {
        return text_kind(head);
    }
    let guessed = infer::get(data).map(|kind| kind.extension()).unwrap_or_default();
    // Of containers it knows the first bytes alone, which is not enough.
    if BY_TWO_BYTES.contains(&guessed) { "" } else { guessed }
}

/// The bytes that one of some marks starts with.
const fn firsts(marks: &[(&[u8], &str)]) -> [bool; 256] {
    let mut firsts = [false; 256];
    let mut i = 0;
    while i < marks.len() {
        firsts[marks[i].0[0] as usize] = true;
        i += 1;
    }
    firsts
}

const STARTS_WITH: [bool; 256] = firsts(&STARTS);

/// Types that take more than a glance at the first bytes.
fn structured(data: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| data.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    if at(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") {
        return Some(if is_installer(data) { "msi" } else { "ole2" });
    }
    if at(0, b"MZ") || at(0, b"ZM") {
        let pe = data.get(60..64).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).is_some_and(|pe| at(pe as usize, b"PE\0\0"));
        // A text may start with MZ; a program has binary in its first bytes.
        let binary = data.iter().take(64).any(|c| *c < 9);
        return (pe || binary).then_some("exe");
    }
    if at(0, b"\xca\xfe\xba\xbe") {
        // Fat Mach-O counts its architectures where a Java class has its version.
        return Some(if data.get(4..8).is_some_and(|n| n.starts_with(&[0, 0, 0]) && n.last() < Some(&40)) { "macho" } else { "java" });
    }
    // What zstd was before it had a standard.
    if matches!(data, [0x22..=0x27, 0xb5, 0x2f, 0xfd, ..]) {
        return Some("zstd");
    }
    let bzip2 = at(0, b"BZh") && (at(4, b"\x31\x41\x59\x26\x53\x59") || at(4, b"\x17\x72\x45\x38\x50\x90"));
    let rows = [
        (bzip2, "bzip2"),
        (at(257, b"ustar") || old_tar(data), "tar"),
        // Readers of PDF look for it in the first kilobyte.
        (memmem::find(data.get(..1024).unwrap_or(data), b"%PDF-1.").is_some(), "pdf"),
    ];
    rows.into_iter().find(|(is, _)| *is).map(|(_, name)| name).or_else(|| containers::kind(data))
}

/// The class id of the root entry of an OLE2 file is that of Windows Installer.
fn is_installer(data: &[u8]) -> bool {
    let shift = data.get(30).copied().unwrap_or_default().min(16);
    let sector = data.get(48..52).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes).unwrap_or_default();
    let root = usize::try_from((u64::from(sector) + 1) << shift).unwrap_or(usize::MAX);
    data.get(root.saturating_add(80)..).is_some_and(|id| id.starts_with(b"\x84\x10\x0c\0\0\0\0\0\xc0\0\0\0\0\0\0F"))
}

/// A tar header of before POSIX: a name, and a checksum that is right.
fn old_tar(data: &[u8]) -> bool {
    let Some(header) = data.first_chunk::<512>() else { return false };
    header[0] != 0 && header[0] < 0x80 && super::unpack::tar::checksum_is_right(header)
}

/// What kind of zip it is, by the names in its headers, which stand uncompressed.
fn zip_kind(data: &[u8]) -> &'static str {
    let has = |name: &[u8]| memmem::find(data, name).is_some();
    if data.get(30..).is_some_and(|rest| rest.starts_with(b"mimetypeapplication/vnd.oasis.opendocument")) {
        return "odf";
    }
    if data.get(30..).is_some_and(|rest| rest.starts_with(b"mimetypeapplication/epub")) {
        return "epub";
    }
    if has(b"[Content_Types].xml") {
        let macros = has(b"vbaProject.bin");
        for (folder, plain, active) in [(&b"word/"[..], "docx", "docm"), (b"xl/", "xlsx", "xlsm"), (b"ppt/", "pptx", "pptm")] {
            if has(folder) {
                return if macros { active } else { plain };
            }
        }
    }
    match () {
        () if has(b"AndroidManifest.xml") && has(b"classes.dex") => "apk",
        () if has(b"META-INF/MANIFEST.MF") => "jar",
        () => "zip",
    }
}

/// The least that a container with something in it takes: an empty zip has 22 bytes.
const LEAST_CONTAINER: usize = 22;

/// Whether what a text shows has no more of a container than its first bytes, as an explanation of the format may.
pub(crate) fn is_scrap(data: &[u8], true_type: &str) -> bool {
    data.len() < LEAST_CONTAINER || (true_type == "zip" && !has_zip(data))
}

/// Whether it is a zip, or has one in it (after a program or other junk): a plausible local header, or a directory of members.
pub(crate) fn has_zip(data: &[u8]) -> bool {
    // What every mark of a zip has, and no text.
    if memchr::memchr2(3, 5, data).is_none() {
        return false;
    }
    memmem::find_iter(data, b"PK\x03\x04").any(|at| super::unpack::zip::is_local_header(data.get(at..).unwrap_or_default()))
        || super::unpack::zip::has_directory(data)
}

/// No control characters but the usual ones, or a byte order mark of UTF-16.
fn looks_text(head: &[u8]) -> bool {
    let control = |c: &u8| *c < 0x20 && !matches!(c, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b) || *c == 0x7f;
    if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") {
        return true;
    }
    // Of bytes of no text the first few tell mostly.
    if head.iter().any(control) {
        return false;
    }
    // Unlabelled 8-bit text has most of its bytes in ASCII or in whole UTF-8 sequences.
    let high = head.iter().filter(|c| **c >= 0x80).count();
    high * 3 < head.len() || is_utf8_head(head) || high * 10 < head.len() * 9
}

fn is_utf8_head(head: &[u8]) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    }
}

fn text_kind(head: &[u8]) -> &'static str {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let lower = head.get(..head.len().min(512)).unwrap_or_default().to_ascii_lowercase();
    let starts = |tags: &[&[u8]]| tags.iter().any(|tag| lower.starts_with(tag));
    if starts(&[
        b"<!doctype html",
        b"<html",
        b"<head",
        b"<body",
        b"<table",
        b"<div",
        b"<p>",
        b"<meta",
        b"<script",
        b"<font",
        b"<br",
        b"<a href",
    ]) {
        return "html";
    }
    if starts(&[b"<?xml"]) {
        return if memmem::find(&lower, b"<html").is_some() { "html" } else { "xml" };
    }
    if starts(&[b"<!--"]) && memmem::find(&lower, b"<html").is_some() {
        return "html";
    }
    if super::mime::looks_like_message(head) { "mail" } else { "text" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types() {
        let mut pe = b"MZ\x90\0".to_vec();
        pe.resize(60, 0);
        pe.extend(64u32.to_le_bytes());
        pe.extend(b"PE\0\0");
        let mut iso = vec![0; 0x8001];
        iso.extend(b"CD001");
        let ooxml = |names: &str| format!("PK\x03\x04{}[Content_Types].xml{names}", "\0".repeat(26)).into_bytes();
        let rows: &[(&[u8], &str)] = &[
            (b"", ""),
            (&pe, "exe"),
            (b"MZ is how this text starts", "text"),
            (b"\x7fELF\x02\x01", "elf"),
            (b"\xca\xfe\xba\xbe\0\0\0\x02", "macho"),
            (b"\xca\xfe\xba\xbe\0\0\0\x34", "java"),
            (b"%PDF-1.4\n", "pdf"),
            (b"junk\n%PDF-1.4\n", "pdf"),
            (b"{\\rtf1", "rtf"),
            (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", "ole2"),
            (b"Rar!\x1a\x07\x01\0", "rar"),
            (b"7z\xbc\xaf\x27\x1c\0\x04", "7z"),
            (b"BZh91AY&SY", "bzip2"),
            (b"BZh is a text", "text"),
            (b"\x28\xb5\x2f\xfd\x04", "zstd"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\0", "gzip"),
            (&iso, "iso"),
            (b"#!/bin/sh\n", "script"),
            (b"<HTML><body>", "html"),
            (b"  <!DOCTYPE html>", "html"),
            (b"<?xml version='1.0'?><x/>", "xml"),
            (b"plain words\r\n", "text"),
            ("grüße".as_bytes(), "text"),
            (b"Received: from a\r\nFrom: b\r\nSubject: c\r\n\r\nd", "mail"),
            (b"\x89PNG\r\n\x1a\n", "png"),
            (b"\xff\xd8\xff\xe0", "jpg"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "wav"),
            (b"\0\x01\x02\x03\x04", ""),
            (&ooxml("word/document.xml"), "docx"),
            (&ooxml("xl/workbook.xml xl/vbaProject.bin"), "xlsm"),
            (b"PK\x03\x04............................META-INF/MANIFEST.MF", "jar"),
        ];
        for (data, want) in rows {
            assert_eq!(true_type(data), *want, "{:?}", String::from_utf8_lossy(&data[..data.len().min(40)]));
            for end in 0..data.len().min(100) {
                true_type(&data[..end]);
            }
        }
    }

    #[test]
    fn what_is_in_documents() {
        assert!(!has_zip(b"PK\x03\x04 in a text about zip files is no zip file"));
    }
}
