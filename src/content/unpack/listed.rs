//! Archives whose members are not unpacked here: rar, arj, lzh. Their names are read, for the rules about names, and what is stored as it is
//! is handed on; the rest of them stays unseen, which the judgement of types says.

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf, Problem};
use super::Container;
use super::ints::{le16, le32, le64, until_nul};

pub(super) const CONTAINER: Container = Container {
    name: "listed",
    opens: "the names in rar, arj and lzh archives",
    is: |leaf| matches!(leaf.true_type, "rar" | "arj" | "lzh"),
    open,
};

/// A member: its name, where its data stands, and how it is kept.
#[derive(Default)]
struct Member {
    name: String,
    start: usize,
    size: usize,
    stored: bool,
    encrypted: bool,
    folder: bool,
}

/// What comes next in a list of members.
enum Next {
    /// A member, and where the next header stands.
    Member(Member, usize),
    /// Something without a name, and where the next header stands.
    Other(usize),
    /// The headers that follow are encrypted.
    Encrypted,
}

/// Reads the header at a place.
type Step = fn(&[u8], usize) -> Option<Next>;

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let (mut at, next): (usize, Step) = match leaf.true_type {
        "rar" if data.starts_with(b"Rar!\x1a\x07\x01\0") => (8, rar5),
        "rar" if data.starts_with(b"Rar!\x1a\x07\0") => (7, rar4),
        "arj" => (0, arj),
        "lzh" => (0, lzh),
        _ => return,
    };
    let mut encrypted = None;
    while let Some(next) = next(data, at) {
        let after = match next {
            Next::Member(member, after) => {
                let end = member.start.saturating_add(member.size).min(data.len());
                let content = data.slice(member.start.min(end)..end);
                let bytes = if member.stored && !member.encrypted { content } else { Bytes::new() };
                if member.encrypted {
                    encrypted.get_or_insert_with(|| member.name.clone());
                }
                if !member.folder && !finds.add(Item::Blob { name: Some(member.name), bytes }) {
                    return;
                }
                after
            }
            Next::Other(after) => after,
            Next::Encrypted => {
                encrypted.get_or_insert_with(String::new);
                break;
            }
        };
        // Each step goes on, however broken the sizes are.
        if after <= at || !finds.look(after - at) {
            break;
        }
        at = after;
    }
    if let Some(name) = encrypted {
        let evidence = format!("{}: {name}", leaf.name.unwrap_or_default());
        finds.problems.push(Problem::encrypted("archive.encrypted", "An encrypted archive", evidence));
    }
}

fn size(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// rar 1.5 to 4.
fn rar4(data: &[u8], at: usize) -> Option<Next> {
    let header = data.get(at..)?;
    let (kind, flags, header_size) = (*header.get(2)?, le16(header, 3)?, usize::from(le16(header, 5)?));
    let added = if flags & 0x8000 != 0 || kind == 0x74 { size(le32(header, 7)?) } else { 0 };
    let start = at.saturating_add(header_size);
    let after = start.saturating_add(added);
    match kind {
        0x73 if flags & 0x80 != 0 => Some(Next::Encrypted),
        0x74 => {
            let wide = flags & 0x100 != 0;
            let high = if wide { size(le32(header, 32)?) } else { 0 };
            let packed = added.saturating_add(high.checked_shl(32).unwrap_or(0));
            let name_at = if wide { 40 } else { 32 };
            let name = header.get(name_at..name_at + usize::from(le16(header, 26)?))?;
            let member = Member {
                name: until_nul(name),
                start,
                size: packed,
                stored: header.get(25) == Some(&0x30),
                encrypted: flags & 4 != 0,
                folder: flags & 0xe0 == 0xe0,
            };
            Some(Next::Member(member, start.saturating_add(packed)))
        }
        0x72 | 0x73 | 0x75..=0x7a => Some(Next::Other(after)),
        _ => None,
    }
}

/// Whether the first header after the magic of a rar makes sense.
pub(super) fn is_rar(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"Rar!\x1a\x07\0") {
        return bytes.get(9) == Some(&0x73);
    }
    let mut place = 12;
    let size = vint(bytes, &mut place).filter(|size| *size < 2 << 20).and_then(|size| usize::try_from(size).ok());
    let sum = size.and_then(|size| bytes.get(12..place + size)).map(crc32fast::hash);
    bytes.starts_with(b"Rar!\x1a\x07\x01\0") && sum.is_some() && le32(bytes, 8) == sum
}

/// A number of seven bits a byte, the lowest first, the highest bit saying that more follow.
fn vint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// rar 5.
fn rar5(data: &[u8], at: usize) -> Option<Next> {
    let mut place = at.checked_add(4)?;
    let header_size = usize::try_from(vint(data, &mut place)?).ok()?;
    let end = place.checked_add(header_size)?;
    let header = data.get(..end).filter(|_| header_size < 2 << 20)?;
    let (kind, flags) = (vint(header, &mut place)?, vint(header, &mut place)?);
    let extra = if flags & 1 != 0 { usize::try_from(vint(header, &mut place)?).ok()? } else { 0 };
    let packed = if flags & 2 != 0 { usize::try_from(vint(header, &mut place)?).ok()? } else { 0 };
    let after = end.saturating_add(packed);
    match kind {
        4 => Some(Next::Encrypted),
        2 => {
            let file_flags = vint(header, &mut place)?;
            vint(header, &mut place)?;
            vint(header, &mut place)?;
            place += if file_flags & 2 != 0 { 4 } else { 0 } + if file_flags & 4 != 0 { 4 } else { 0 };
            let method = vint(header, &mut place)? >> 7 & 7;
            vint(header, &mut place)?;
            let name_size = usize::try_from(vint(header, &mut place)?).ok()?;
            let name = String::from_utf8_lossy(header.get(place..place.checked_add(name_size)?)?).into_owned();
            let encrypted = header.get(end.saturating_sub(extra)..).is_some_and(has_encryption);
            let member = Member { name, start: end, size: packed, stored: method == 0, encrypted, folder: file_flags & 1 != 0 };
            Some(Next::Member(member, after))
        }
        1 | 3 | 5 => Some(Next::Other(after)),
        _ => None,
    }
}

/// Whether the extra area of a rar 5 header has a record of encryption.
fn has_encryption(extra: &[u8]) -> bool {
    let mut at = 0;
    while let Some(size) = vint(extra, &mut at).and_then(|size| usize::try_from(size).ok()) {
        let end = at.saturating_add(size);
        match vint(extra, &mut at) {
            Some(1) => return true,
            Some(_) if end > at => at = end,
            _ => return false,
        }
    }
    false
}

/// arj: a header of the archive, one of each member, each with a checksum.
fn arj(data: &[u8], at: usize) -> Option<Next> {
    let basic = usize::from(le16(data, at.checked_add(2)?)?);
    let header = data.get(at + 4..at + 4 + basic).filter(|_| data.get(at..).is_some_and(|h| h.starts_with(b"\x60\xea")) && basic >= 30)?;
    let mut start = at + 4 + basic + 4;
    // Extended headers, each with a checksum, until one of no size.
    while let Some(more) = le16(data, start).map(usize::from) {
        start += 2;
        if more == 0 {
            break;
        }
        start += more + 4;
    }
    let name = header.get(usize::from(*header.first()?)..)?;
    let (flags, kind) = (*header.get(4)?, *header.get(6)?);
    if kind == 2 {
        return Some(Next::Other(start));
    }
    let size = size(le32(header, 12)?);
    let member =
        Member { name: until_nul(name), start, size, stored: header.get(5) == Some(&0), encrypted: flags & 1 != 0, folder: kind == 3 };
    Some(Next::Member(member, start.saturating_add(size)))
}

/// Whether an arj header of a size there is stands here.
pub(crate) fn is_arj(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x60\xea") && le16(bytes, 2).is_some_and(|size| (30..=2600).contains(&size))
}

/// The same, and its checksum is right.
pub(super) fn is_sure_arj(bytes: &[u8]) -> bool {
    let header = le16(bytes, 2).and_then(|size| bytes.get(4..4 + usize::from(size)));
    is_arj(bytes) && header.is_some_and(|header| le32(bytes, 4 + header.len()) == Some(crc32fast::hash(header)))
}

/// Whether an lzh header stands here whose method and sizes are those of an archive, and whose checksum is right where there is one.
pub(super) fn is_sure_lzh(bytes: &[u8]) -> bool {
    let level = bytes.get(20).copied().unwrap_or(u8::MAX);
    let sum = || {
        let header = bytes.get(2..2 + usize::from(*bytes.first()?))?;
        Some(header.iter().fold(0u8, |sum, c| sum.wrapping_add(*c)) == *bytes.get(1)?)
    };
    let plausible = || {
        le16(bytes, 0).is_some_and(|size| (24..4096).contains(&size)) && le32(bytes, 7).is_some_and(|packed| size(packed) <= bytes.len())
    };
    is_lzh(bytes) && if level < 2 { sum() == Some(true) } else { plausible() }
}

/// lzh: levels 0 to 3.
fn lzh(data: &[u8], at: usize) -> Option<Next> {
    let header = data.get(at..)?;
    let method = header.get(2..7).filter(|method| method.starts_with(b"-l") && method.ends_with(b"-"))?;
    let (packed, level) = (size(le32(header, 7)?), *header.get(20)?);
    let mut name = String::new();
    let (mut start, mut packed_here) = (at, packed);
    if level < 2 {
        let length = usize::from(*header.get(21)?);
        name = until_nul(header.get(22..22 + length)?);
        start = at + 2 + usize::from(*header.first()?);
    }
    if level > 0 {
        // Extended headers: their size (with its own field) stands at the end of the one before.
        let wide = level == 3;
        let field = if wide { 4 } else { 2 };
        let next = |place: usize| if wide { le32(data, place).map(size) } else { le16(data, place).map(usize::from) };
        let mut place = match level {
            1 => start.checked_sub(2)?,
            2 => at + 24,
            _ => at + 28,
        };
        let end = match level {
            1 => usize::MAX,
            2 => at + usize::from(le16(header, 0)?),
            _ => at.saturating_add(size(le32(header, 24)?)),
        };
        // The headers of levels 2 and 3 end where they say: what they hold is looked at once.
        while let Some(length) = next(place).filter(|length| *length > field && place < end) {
            let extended = data.get(place + field..)?.get(..length - field)?;
            if extended.first() == Some(&1) {
                name = until_nul(extended.get(1..)?);
            }
            place = place.checked_add(length)?;
            packed_here = if level == 1 { packed_here.saturating_sub(length) } else { packed_here };
        }
        start = if level == 1 { place + 2 } else { end };
    }
    let after = start.saturating_add(packed_here);
    let member = Member {
        name,
        start,
        size: packed_here,
        stored: matches!(method, b"-lh0-" | b"-lz4-" | b"-pm0-"),
        encrypted: false,
        folder: method == b"-lhd-",
    };
    Some(Next::Member(member, after))
}

/// Whether sixty-four bits at the start of `bytes` are those of an lzh header: a method, a level, a size that the rest has room for.
pub(crate) fn is_lzh(bytes: &[u8]) -> bool {
    let method = bytes.get(2..7).is_some_and(|m| {
        m.starts_with(b"-l")
            && matches!(m.get(2), Some(b'h' | b'z'))
            && m.get(3).is_some_and(u8::is_ascii_alphanumeric)
            && m.ends_with(b"-")
            || m.starts_with(b"-pm") && m.ends_with(b"-")
    });
    method && bytes.get(20).is_some_and(|level| *level <= 3) && le64(bytes, 7).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{each_cut_and_flip, fixture, opened};
    use super::*;

    fn rar4_block(kind: u8, flags: u16, rest: &[u8], data: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, kind];
        out.extend(flags.to_le_bytes());
        out.extend((7 + rest.len() as u16).to_le_bytes());
        out.extend(rest);
        out.extend(data);
        out
    }

    fn rar4_file(name: &str, flags: u16, method: u8, data: &[u8]) -> Vec<u8> {
        let mut rest = (data.len() as u32).to_le_bytes().to_vec();
        rest.extend([0; 13]);
        rest.extend([29, method]);
        rest.extend((name.len() as u16).to_le_bytes());
        rest.extend([0; 4]);
        rest.extend(name.bytes());
        rar4_block(0x74, flags | 0x8000, &rest, data)
    }

    fn rar5_block(body: &[u8], data: &[u8]) -> Vec<u8> {
        let sized = [vec![body.len() as u8], body.to_vec()].concat();
        [crc32fast::hash(&sized).to_le_bytes().to_vec(), sized, data.to_vec()].concat()
    }

    fn rar5_file(name: &str, method: u8, extra: &[u8], data: &[u8]) -> Vec<u8> {
        let flags = if extra.is_empty() { 2 } else { 3 };
        let mut body = vec![2, flags];
        if !extra.is_empty() {
            body.push(extra.len() as u8);
        }
        body.extend([data.len() as u8, 0, data.len() as u8, 0, 0x80, method, 0, name.len() as u8]);
        body.extend(name.bytes());
        body.extend(extra);
        rar5_block(&body, data)
    }

    #[test]
    fn rar() {
        let stored = || vec![("a.txt".to_owned(), b"hello".to_vec())];
        let unseen = || vec![("a.txt".to_owned(), vec![])];
        let four = |main: u16, file: Vec<u8>| [b"Rar!\x1a\x07\0".to_vec(), rar4_block(0x73, main, &[0; 6], b""), file].concat();
        let five = |file: Vec<u8>| [b"Rar!\x1a\x07\x01\0".to_vec(), rar5_block(&[1, 0, 0], b""), file].concat();
        let rows = [
            ("4 stored", four(0, rar4_file("a.txt", 0, 0x30, b"hello")), stored(), vec![]),
            ("4 packed", four(0, rar4_file("a.txt", 0, 0x33, b"hello")), unseen(), vec![]),
            ("4 encrypted", four(0, rar4_file("a.txt", 4, 0x30, b"hello")), unseen(), vec!["archive.encrypted"]),
            ("4 names encrypted", four(0x80, b"junk".to_vec()), vec![], vec!["archive.encrypted"]),
            ("5 stored", five(rar5_file("a.txt", 0, b"", b"hello")), stored(), vec![]),
            ("5 encrypted", five(rar5_file("a.txt", 0, &[3, 1, 0, 0], b"hello")), unseen(), vec!["archive.encrypted"]),
            ("5 names encrypted", five(rar5_block(&[4, 0, 0, 0], b"")), vec![], vec!["archive.encrypted"]),
        ];
        for (what, archive, items, problems) in rows {
            assert_eq!(opened(&CONTAINER, "rar", &archive), (items, problems), "{what}");
            assert!(is_rar(&archive), "{what}");
            each_cut_and_flip(&CONTAINER, "rar", &archive);
        }
    }

    #[test]
    fn lzh_of_every_level() {
        let fields =
            |method: &str, size: u32, level: u8| [method.as_bytes(), &size.to_le_bytes(), &[5, 0, 0, 0, 0, 0, 0, 0, 0x20, level]].concat();
        let level0 = |name: &str, method: &str| {
            [vec![27, 0], fields(method, 5, 0), vec![5], name.bytes().collect(), vec![0, 0], b"hello".to_vec()].concat()
        };
        // The size of the first extended header stands at the end of the header, of the next one at its own end.
        let level1 =
            [vec![25, 0], fields("-lh0-", 5 + 8, 1), vec![0, 0, 0, b'M', 8, 0, 1], b"b.txt\0\0".to_vec(), b"hello".to_vec()].concat();
        let level2 = [vec![34, 0], fields("-lh5-", 5, 2), vec![0, 0, b'M', 8, 0, 1], b"c.txt\0\0".to_vec(), b"hello".to_vec()].concat();
        let archive = [level0("a.txt", "-lh0-"), level1, level2, level0("d.txt", "-lh5-"), vec![0]].concat();
        assert_eq!(crate::content::sniff::true_type(&archive), "lzh");
        let (items, problems) = opened(&CONTAINER, "lzh", &archive);
        let named: Vec<_> = items.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        assert_eq!(named, [("a.txt", &b"hello"[..]), ("b.txt", b"hello"), ("c.txt", b""), ("d.txt", b"")]);
        assert_eq!(problems, Vec::<&str>::new());
        each_cut_and_flip(&CONTAINER, "lzh", &archive);
    }

    #[test]
    fn arj_members() {
        let text = b"X5-stands-for-malware 3f9c2b71 X5-stands-for-malware\n".to_vec();
        let rows = [
            ("stored.arj", "arj", vec![("m.txt".to_owned(), text)], vec![]),
            ("packed.arj", "arj", vec![("m.txt".to_owned(), vec![])], vec![]),
            ("secret.arj", "arj", vec![("m.txt".to_owned(), vec![])], vec!["archive.encrypted"]),
        ];
        for (name, kind, items, problems) in rows {
            let archive = fixture(name);
            assert_eq!(crate::content::sniff::true_type(&archive), kind, "{name}");
            assert_eq!(opened(&CONTAINER, kind, &archive), (items, problems), "{name}");
            each_cut_and_flip(&CONTAINER, kind, &archive);
        }
    }
}
