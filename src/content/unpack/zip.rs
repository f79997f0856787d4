//! zip (APPNOTE 6.3): members from the central directory and from local headers that only a forward scan finds. Readers differ in which of
//! the two they believe, so both are opened; sizes are counted while unpacking, never believed.

use std::collections::BTreeMap;

use bytes::Bytes;
use flate2::bufread::DeflateDecoder;
use memchr::memmem;

use super::super::find::{Finds, Item, Leaf};
use super::super::sniff;
use super::Container;
use crate::mail::Reason;

pub(super) const CONTAINER: Container =
    Container { name: "zip", opens: "zip archives, and documents and programs that are or hold one", is: is_zip, open };

const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
const END: &[u8] = b"PK\x05\x06";
const END64: &[u8] = b"PK\x06\x06";
/// End records tried, from the last one back.
const MAX_ENDS: usize = 8;
/// Size of a local header without name and extra field.
const LOCAL_SIZE: usize = 30;
/// The size that says: look into the zip64 field.
const ZIP64: u64 = 0xffff_ffff;

fn is_zip(leaf: &Leaf) -> bool {
    let of_zip = matches!(leaf.true_type, "zip" | "jar" | "apk" | "epub" | "odf" | "docx" | "docm" | "xlsx" | "xlsm" | "pptx" | "pptm");
    of_zip || sniff::has_zip(leaf.data)
}

/// A member, as its headers have it.
#[derive(Debug, Clone, Default)]
struct Member {
    name: String,
    flags: u16,
    method: u16,
    packed: u64,
    /// Where its data starts.
    data: usize,
}

/// Whether `bytes` start with a local header that makes sense.
pub(crate) fn is_local_header(bytes: &[u8]) -> bool {
    let name = u16_at(bytes, 26).unwrap_or_default();
    let method = u16_at(bytes, 8).unwrap_or(u16::MAX);
    bytes.starts_with(LOCAL) && u16_at(bytes, 4).is_some_and(|v| v & 0xff < 100) && name > 0 && name < 4096 && method < 100
}

/// Whether an end record leads to a central directory that lists a member, wherever the members are.
pub(crate) fn has_directory(data: &[u8]) -> bool {
    !central(data).is_empty()
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let archive = leaf.name.unwrap_or_default();
    let listed = central(data);
    let mut done: BTreeMap<usize, usize> = BTreeMap::new();
    let mut encrypted: Option<String> = None;
    let mut members = 0usize;
    let mut missing: Option<&Member> = None;
    for (offset, listed) in &listed {
        if done.contains_key(offset) {
            continue;
        }
        let Some(member) = local(data, *offset, Some(listed)) else {
            missing.get_or_insert(listed);
            continue;
        };
        let end = member.data.saturating_add(usize::try_from(member.packed).unwrap_or(usize::MAX)).min(data.len());
        let Some(used) = take(data, &member, end, finds, &mut encrypted) else { return };
        members += 1;
        done.insert(*offset, used);
    }
    if let Some(missing) = missing {
        let evidence = format!("{archive}: {}", missing.name);
        finds.unseen("archive.malformed", Reason::Malformed, "A zip lists a member that is not there", &evidence);
    }
    // Local headers in the gaps between what is listed.
    let mut at = 0;
    while let Some(offset) = data.get(at..).and_then(|rest| memmem::find(rest, LOCAL)).map(|n| at + n) {
        at = offset + LOCAL.len();
        let covered = done.range(..=offset).next_back().filter(|(_, end)| **end > offset);
        if let Some((_, end)) = covered {
            at = at.max(*end);
            continue;
        }
        if !data.get(offset..).is_some_and(is_local_header) {
            continue;
        }
        let Some(member) = local(data, offset, None) else { continue };
        if !listed.is_empty() {
            finds.note("archive.zip_unlisted", "A zip holds a member that its directory does not list", &member.name);
        }
        let end = unlisted_end(data, &member);
        let Some(used) = take(data, &member, end, finds, &mut encrypted) else { return };
        members += 1;
        done.insert(offset, used);
        at = at.max(used);
    }
    if let Some(name) = encrypted {
        finds.locked("archive.encrypted", "An encrypted archive", &format!("{archive}: {name}"));
    }
    if members == 0 && missing.is_none() && !data.starts_with(b"PK\x05\x06") {
        finds.unseen("archive.malformed", Reason::Malformed, "A zip in which no member can be found", archive);
    }
}

/// Adds a member; tells where its data ends, or `None` where a limit is reached.
fn take(data: &Bytes, member: &Member, end: usize, finds: &mut Finds, encrypted: &mut Option<String>) -> Option<usize> {
    let packed = data.slice(member.data.min(end)..end);
    let name = || Some(member.name.clone());
    if member.name.ends_with('/') && packed.is_empty() {
        return Some(end);
    }
    if member.flags & 0x41 != 0 || member.method == 99 {
        encrypted.get_or_insert_with(|| member.name.clone());
        return finds.add(Item::Blob { name: name(), bytes: Bytes::new() }).then_some(end);
    }
    match member.method {
        0 => finds.add(Item::Blob { name: name(), bytes: packed }).then_some(end),
        8 => {
            // Deflate knows its own end: what the headers say of the size is not needed.
            let rest = data.get(member.data..).unwrap_or_default();
            let mut decoder = DeflateDecoder::new(rest);
            let (bytes, _) = finds.unpack(&mut decoder, packed.len().max(1), &member.name);
            let used = member.data + usize::try_from(decoder.total_in()).unwrap_or_default().min(rest.len());
            finds.add(Item::Blob { name: name(), bytes }).then_some(used.max(member.data))
        }
        _ => {
            finds.unseen("archive.unknown", Reason::UnknownContainer, "A zip member packed in a way that is not opened here", &member.name);
            finds.add(Item::Blob { name: name(), bytes: Bytes::new() }).then_some(end)
        }
    }
}

/// The members that the central directory lists, by the place of their local header. It is found through the last end record that has one;
/// what other end records list (concatenated archives) the forward scan finds.
fn central(data: &[u8]) -> BTreeMap<usize, Member> {
    let mut before = data.len();
    for _ in 0..MAX_ENDS {
        let Some(end) = data.get(..before).and_then(|data| memmem::rfind(data, END)) else { break };
        let members = directory_of(data, end).map(|(start, shift)| entries(data, start, end, shift)).unwrap_or_default();
        if !members.is_empty() {
            return members;
        }
        before = end;
    }
    BTreeMap::new()
}

/// Where the directory of the end record at `end` starts, and how far the archive's offsets are off because of junk before it.
fn directory_of(data: &[u8], end: usize) -> Option<(usize, usize)> {
    let (mut size, mut offset) = (u64::from(u32_at(data, end + 12)?), u64::from(u32_at(data, end + 16)?));
    let mut end = end;
    if (size == ZIP64 || offset == ZIP64)
        && let Some(wide) = data.get(..end).and_then(|data| memmem::rfind(data, END64))
        && let (Some(wide_size), Some(wide_offset)) = (u64_at(data, wide + 40), u64_at(data, wide + 48))
    {
        (size, offset, end) = (wide_size, wide_offset, wide);
    }
    // Some writers leave something between directory and end: then the offset is believed.
    let before = end.checked_sub(usize::try_from(size).ok()?).filter(|start| is_central(data, *start));
    let offset = usize::try_from(offset).ok()?;
    let start = before.or(Some(offset).filter(|start| is_central(data, *start)))?;
    Some((start, start.saturating_sub(offset)))
}

fn is_central(data: &[u8], at: usize) -> bool {
    data.get(at..).is_some_and(|rest| rest.starts_with(CENTRAL))
}

fn entries(data: &[u8], start: usize, end: usize, shift: usize) -> BTreeMap<usize, Member> {
    let mut members = BTreeMap::new();
    let mut at = start;
    while at < end && is_central(data, at) {
        let Some((member, offset, size)) = data.get(at..).and_then(central_entry) else { break };
        let fits = |place: &usize| data.get(*place..).is_some_and(|rest| rest.starts_with(LOCAL));
        let place = [offset.saturating_add(shift), offset].into_iter().find(fits).unwrap_or(offset);
        members.entry(place).or_insert(member);
        at += size;
    }
    members
}

/// An entry of the central directory, the offset of its local header, and its own size.
fn central_entry(entry: &[u8]) -> Option<(Member, usize, usize)> {
    let name_len = usize::from(u16_at(entry, 28)?);
    let extra_len = usize::from(u16_at(entry, 30)?);
    let comment_len = usize::from(u16_at(entry, 32)?);
    let name = entry.get(46..46 + name_len)?;
    let extra = entry.get(46 + name_len..46 + name_len + extra_len).unwrap_or_default();
    let (mut packed, size, mut offset) = (u64::from(u32_at(entry, 20)?), u64::from(u32_at(entry, 24)?), u64::from(u32_at(entry, 42)?));
    // zip64: those of size, packed size and offset that are all ones stand in the extra field, in this order.
    let mut wide = zip64(extra).into_iter();
    if size == ZIP64 {
        wide.next();
    }
    if packed == ZIP64 {
        packed = wide.next().unwrap_or(packed);
    }
    if offset == ZIP64 {
        offset = wide.next().unwrap_or(offset);
    }
    let member =
        Member { name: String::from_utf8_lossy(name).into_owned(), flags: u16_at(entry, 8)?, method: u16_at(entry, 10)?, packed, data: 0 };
    Some((member, usize::try_from(offset).ok()?, 46 + name_len + extra_len + comment_len))
}

/// The values of the zip64 field (id 1) among extra fields.
fn zip64(mut extra: &[u8]) -> Vec<u64> {
    while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let end = (4 + usize::from(len)).min(extra.len());
        let (field, rest) = extra.split_at(end);
        if id == 1 {
            return field.get(4..).unwrap_or_default().as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        }
        extra = rest;
    }
    Vec::new()
}

/// The member whose local header stands at `offset`. What the directory lists about it goes before what the local header says, except
/// that a member which either of them calls encrypted or packed is taken so.
fn local(data: &[u8], offset: usize, listed: Option<&Member>) -> Option<Member> {
    let header = data.get(offset..).filter(|header| header.starts_with(LOCAL))?;
    let name_len = usize::from(u16_at(header, 26)?);
    let extra_len = usize::from(u16_at(header, 28)?);
    let name = header.get(LOCAL_SIZE..LOCAL_SIZE + name_len)?;
    let start = offset.checked_add(LOCAL_SIZE + name_len + extra_len).filter(|start| *start <= data.len())?;
    let own = Member {
        name: String::from_utf8_lossy(name).into_owned(),
        flags: u16_at(header, 6)?,
        method: u16_at(header, 8)?,
        packed: u64::from(u32_at(header, 18)?),
        data: start,
    };
    let Some(listed) = listed else { return Some(own) };
    let method = if listed.method == 0 { own.method } else { listed.method };
    Some(Member { data: start, method, ..listed.clone() })
}

/// Where the data of a stored member ends whose size only its local header knows, or nobody (a data descriptor follows).
fn unlisted_end(data: &[u8], member: &Member) -> usize {
    let said = member.data.saturating_add(usize::try_from(member.packed).unwrap_or(usize::MAX));
    if member.packed != 0 && member.packed != ZIP64 {
        return said.min(data.len());
    }
    let rest = data.get(member.data..).unwrap_or_default();
    let next = [DESCRIPTOR, LOCAL, CENTRAL].into_iter().filter_map(|signature| memmem::find(rest, signature)).min();
    let unknown = member.flags & 8 != 0 || member.packed == ZIP64;
    if unknown || member.method == 0 { member.data + next.unwrap_or(rest.len()) } else { said.min(data.len()) }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn archive(members: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content, method) in members {
            writer.start_file(*name, SimpleFileOptions::default().compression_method(*method)).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn opened(data: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 100);
        let data = Bytes::copy_from_slice(data);
        open(&Leaf { data: &data, name: Some("a.zip"), declared: "", charset: "", true_type: "zip" }, &mut finds);
        let items = finds.items.into_iter().filter_map(|item| match item {
            Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
            _ => None,
        });
        (items.collect(), finds.problems.iter().map(|p| p.code).collect())
    }

    fn two() -> Vec<u8> {
        archive(&[("a.txt", b"hello", CompressionMethod::Stored), ("b.txt", &b"world ".repeat(50), CompressionMethod::Deflated)])
    }

    fn want() -> Vec<(String, Vec<u8>)> {
        vec![("a.txt".to_owned(), b"hello".to_vec()), ("b.txt".to_owned(), b"world ".repeat(50))]
    }

    /// Where the central directory starts.
    fn directory(data: &[u8]) -> usize {
        memmem::find(data, CENTRAL).unwrap()
    }

    #[test]
    fn members_are_found_whatever_the_directory_says() {
        let whole = two();
        assert_eq!(opened(&whole), (want(), vec![]));
        assert_eq!(opened(&[b"junk before", &whole[..]].concat()), (want(), vec![]), "prefix");
        assert_eq!(opened(&[&whole[..], b"junk after"].concat()), (want(), vec![]), "suffix");
        assert_eq!(opened(&whole[..directory(&whole)]), (want(), vec![]), "no directory");
        let hidden = archive(&[("c.txt", b"hidden", CompressionMethod::Stored)]);
        let both = [&hidden[..directory(&hidden)], &whole[..]].concat();
        let (items, problems) = opened(&both);
        assert!(items.iter().any(|(name, content)| name == "c.txt" && content == b"hidden"), "{items:?}");
        assert!(items.len() == 3 && problems == ["archive.zip_unlisted"], "{items:?} {problems:?}");
        let concatenated = [&hidden[..], &whole[..]].concat();
        assert_eq!(opened(&concatenated).0.len(), 3);
        let mut lying = whole.clone();
        for at in memmem::find_iter(&whole, b"PK\x03\x04") {
            lying[at + 18..at + 26].fill(0xff);
        }
        assert_eq!(opened(&lying), (want(), vec![]), "sizes in local headers");
    }

    #[test]
    fn what_cannot_be_opened_is_said() {
        let whole = two();
        let mut encrypted = whole.clone();
        encrypted[6] |= 1;
        let at = directory(&whole);
        encrypted[at + 8] |= 1;
        let (items, problems) = opened(&encrypted);
        assert_eq!((items[0].0.as_str(), items[0].1.len(), problems), ("a.txt", 0, vec!["archive.encrypted"]));
        let mut other = whole.clone();
        other[at + 10] = 14;
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
                assert!(is_zip(&Leaf { data, name: None, declared: "", charset: "", true_type }), "{true_type}");
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
}
