//! tar: old, POSIX (ustar, pax) and GNU, read leniently: what follows a damaged header is looked for, not given up.

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "tar", opens: "tar archives", is: |leaf| leaf.true_type == "tar", open };

const BLOCK: usize = 512;

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let mut at = 0;
    let mut next = Next::default();
    // Blocks that belong to no member: other readers may take them for content.
    let mut strays: Option<usize> = None;
    while let Some(header) = data.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        at += BLOCK;
        // Blocks of zeros end an archive, but another may follow; and behind what is no header one may stand again.
        let zeros = header.iter().all(|c| *c == 0);
        if zeros || !is_header(header) {
            strays = strays.or((!zeros).then_some(at - BLOCK));
            continue;
        }
        if let Some(start) = strays.take()
            && !finds.add(Item::Guess(data.slice(start.max(BLOCK).min(at - BLOCK)..at - BLOCK)))
        {
            return;
        }
        if !checksum_is_right(header) {
            finds.unseen("archive.malformed", Reason::Malformed, "A tar header with a wrong checksum", leaf.name.unwrap_or_default());
        }
        let kind = header[156];
        let mut map = if kind == b'S' { sparse_map(data, header, &mut at) } else { Vec::new() };
        let said = next.size.or_else(|| number(&header[124..136])).and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        // Links and directories have no content, whatever size they say; yet some writers give one content.
        let empty = matches!(kind, b'1'..=b'6') && (said == 0 || ends_or_starts(data, at));
        let size = if empty { 0 } else { said };
        let end = at.saturating_add(size).min(data.len());
        let content = data.slice(at.min(end)..end);
        if size > content.len() {
            finds.unseen("archive.malformed", Reason::Malformed, "A tar file ends within a member", leaf.name.unwrap_or_default());
        }
        match kind {
            b'L' => next.name = Some(until_nul(&content)),
            b'x' | b'X' => next.read(&content),
            b'g' | b'K' | b'V' => {}
            b'5' if content.is_empty() => next = Next::default(),
            _ => {
                let Next { name, map: extended, .. } = std::mem::take(&mut next);
                let name = name.unwrap_or_else(|| path(header));
                map.extend(extended);
                if let Some(whole) = unfolded(&content, map)
                    && !finds.add_decoded(Some(name.clone()), whole)
                {
                    return;
                }
                let is_file = !content.is_empty() || matches!(kind, 0 | b'0' | b'7');
                if is_file && !finds.add(Item::Blob { name: Some(name), bytes: content }) {
                    return;
                }
            }
        }
        at = end.div_ceil(BLOCK).saturating_mul(BLOCK);
    }
    let start = strays.unwrap_or(at.min(data.len()));
    // The first block alone is what makes a tar of it.
    let left = data.slice(start.max(BLOCK).min(data.len())..);
    if left.iter().any(|c| *c != 0) {
        finds.add(Item::Guess(left));
    }
}

/// What an extended header says of the member that follows it.
#[derive(Default)]
struct Next {
    name: Option<String>,
    size: Option<u64>,
    /// Pieces of a sparse file: where each belongs, and how long it is.
    map: Vec<(u64, u64)>,
}

impl Next {
    /// The records `length key=value` of a pax header.
    fn read(&mut self, records: &[u8]) {
        for record in records.split(|c| *c == b'\n').filter_map(|line| line.splitn(2, |c| *c == b' ').nth(1)) {
            let value = |key: &[u8]| record.strip_prefix(key).map(String::from_utf8_lossy);
            if let Some(name) = value(b"path=").or_else(|| value(b"GNU.sparse.name=")) {
                self.name = Some(name.into_owned());
            } else if let Some(size) = value(b"size=").and_then(|size| size.parse().ok()) {
                self.size = Some(size);
            } else if let Some(map) = value(b"GNU.sparse.map=") {
                let numbers: Vec<u64> = map.split(',').map_while(|n| n.parse().ok()).collect();
                self.map = numbers.as_chunks::<2>().0.iter().map(|[place, size]| (*place, *size)).collect();
            } else if let Some(place) = value(b"GNU.sparse.offset=").and_then(|place| place.parse().ok()) {
                self.map.push((place, 0));
            } else if let Some(size) = value(b"GNU.sparse.numbytes=").and_then(|size| size.parse().ok())
                && let Some(last) = self.map.last_mut()
            {
                last.1 = size;
            }
        }
    }
}

/// Whether a block is a header: by its checksum, or where that is wrong by its mark and a size.
fn is_header(block: &[u8; BLOCK]) -> bool {
    checksum_is_right(block) || (block[257..].starts_with(b"ustar") && number(&block[124..136]).is_some())
}

/// Whether at `at` the archive ends or the next header stands, so that there is no content.
fn ends_or_starts(data: &[u8], at: usize) -> bool {
    data.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>).is_none_or(|block| block.iter().all(|c| *c == 0) || is_header(block))
}

/// The map of a sparse file after GNU's old way: four pieces in the header, more in the blocks behind it, over which `at` is moved.
fn sparse_map(data: &[u8], header: &[u8; BLOCK], at: &mut usize) -> Vec<(u64, u64)> {
    let pieces = |block: &[u8]| -> Vec<(u64, u64)> {
        block.as_chunks::<24>().0.iter().map_while(|piece| Some((number(&piece[..12])?, number(&piece[12..])?))).collect()
    };
    let mut map = pieces(&header[386..482]);
    let mut more = header[482] != 0;
    while more && let Some(block) = data.get(*at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        *at += BLOCK;
        map.extend(pieces(&block[..504]));
        more = block[504] != 0;
    }
    map
}

/// The content of a sparse file whose pieces do not stand in their order, put in order; long holes are made short.
fn unfolded(content: &[u8], map: Vec<(u64, u64)>) -> Option<Vec<u8>> {
    if map.is_sorted() {
        return None;
    }
    let mut at = 0usize;
    let mut pieces: Vec<(u64, &[u8])> = Vec::with_capacity(map.len());
    for (place, size) in map {
        let end = at.saturating_add(usize::try_from(size).unwrap_or(usize::MAX)).min(content.len());
        pieces.push((place, content.get(at..end).unwrap_or_default()));
        at = end;
    }
    pieces.sort_by_key(|(place, _)| *place);
    let mut whole = Vec::with_capacity(content.len());
    let mut reached = 0u64;
    for (place, piece) in pieces.into_iter().filter(|(_, piece)| !piece.is_empty()) {
        let hole = place.saturating_sub(reached).min(1);
        whole.resize(whole.len() + usize::try_from(hole).unwrap_or_default(), 0);
        whole.extend_from_slice(piece);
        reached = place.saturating_add(piece.len() as u64);
    }
    Some(whole)
}

/// Whether the checksum of a header block is right, summed signed or unsigned.
pub(crate) fn checksum_is_right(header: &[u8; BLOCK]) -> bool {
    let Some(said) = number(&header[148..156]) else { return false };
    let bytes = || header.iter().enumerate().map(|(i, c)| if (148..156).contains(&i) { b' ' } else { *c });
    let unsigned: u64 = bytes().map(u64::from).sum();
    let signed: i64 = bytes().map(|c| i64::from(c.cast_signed())).sum();
    said == unsigned || i64::try_from(said) == Ok(signed)
}

/// Octal digits between blanks and NULs, or GNU's binary form.
fn number(field: &[u8]) -> Option<u64> {
    if let Some((0x80, rest)) = field.split_first().map(|(first, rest)| (*first, rest)) {
        return rest.iter().try_fold(0u64, |sum, c| sum.checked_mul(256)?.checked_add(u64::from(*c)));
    }
    let digits = field.iter().skip_while(|c| **c == b' ' || **c == 0).take_while(|c| (b'0'..=b'7').contains(c));
    let mut any = false;
    let sum = digits.inspect(|_| any = true).try_fold(0u64, |sum, c| sum.checked_mul(8)?.checked_add(u64::from(c - b'0')));
    sum.filter(|_| any)
}

fn path(header: &[u8; BLOCK]) -> String {
    let name = until_nul(&header[..100]);
    let prefix = if header[257..].starts_with(b"ustar\0") { until_nul(&header[345..500]) } else { String::new() };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

fn until_nul(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.split(|c| *c == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let long = format!("{}/b.txt", "long".repeat(40));
        for (name, content) in [("a.txt", &b"hello"[..]), (&long, b"world"), ("empty", b"")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn opened(data: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 10);
        let data = Bytes::copy_from_slice(data);
        open(&Leaf::new(&data, None, "", "", "tar"), &mut finds);
        let items = finds.items.into_iter().filter_map(|item| match item {
            Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
            _ => None,
        });
        (items.collect(), finds.problems.iter().map(|p| p.code).collect())
    }

    #[test]
    fn members() {
        let whole = archive();
        let (items, problems) = opened(&whole);
        assert_eq!(items.iter().map(|(_, b)| b.as_slice()).collect::<Vec<_>>(), [&b"hello"[..], b"world", b""]);
        assert_eq!(items[0].0, "a.txt");
        assert!(items[1].0.ends_with("/b.txt") && items[1].0.len() > 160 && problems.is_empty());
        assert_eq!(crate::content::sniff::true_type(&whole), "tar");
        for end in 0..whole.len() {
            opened(&whole[..end]);
        }
        let damaged = [&[7; BLOCK][..], &whole].concat();
        assert_eq!(opened(&damaged).0.len(), 3);
    }

    fn header(name: &str, kind: u8, size: &[u8], ustar: bool) -> Vec<u8> {
        let mut block = [0u8; BLOCK];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..124 + size.len()].copy_from_slice(size);
        block[156] = kind;
        if ustar {
            block[257..263].copy_from_slice(b"ustar\0");
        }
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|c| u32::from(*c)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block.to_vec()
    }

    fn filled(bytes: &[u8]) -> Vec<u8> {
        let mut out = bytes.to_vec();
        out.resize(out.len().next_multiple_of(BLOCK), 0);
        out
    }

    #[test]
    fn what_other_writers_do() {
        let hello = filled(b"hello");
        let mut wrong = header("a", b'0', b"00000000005\0", true);
        wrong[148] = b'7';
        let mut sparse = header("a", b'S', b"00000000005\0", true);
        sparse[482] = 1;
        let sum: u32 = sparse.iter().enumerate().map(|(i, c)| if (148..156).contains(&i) { 32 } else { u32::from(*c) }).sum();
        sparse[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        let rows: &[(&str, Vec<u8>)] = &[
            ("v7", [header("a", 0, b"00000000005\0", false), hello.clone()].concat()),
            ("wrong checksum", [wrong, hello.clone()].concat()),
            ("base-256", [header("a", b'0', b"\x80\0\0\0\0\0\0\0\0\0\0\x05", true), hello.clone()].concat()),
            ("behind the end", [vec![0; 2 * BLOCK], header("a", b'0', b"00000000005\0", true), hello.clone()].concat()),
            ("sparse", [sparse, vec![0; BLOCK], hello.clone()].concat()),
            (
                "pax",
                [
                    header("pax", b'x', b"00000000023\0", true),
                    filled(b"9 path=a\n10 size=5\n"),
                    header("b", b'0', b"00000000000\0", true),
                    hello.clone(),
                ]
                .concat(),
            ),
            ("link with content", [header("a", b'1', b"00000000005\0", true), hello.clone()].concat()),
            (
                "link without content",
                [header("l", b'1', b"00000000005\0", true), header("a", b'0', b"00000000005\0", true), hello.clone()].concat(),
            ),
            ("folder with content", [header("a", b'5', b"00000000005\0", true), hello.clone()].concat()),
            ("unknown kind", [header("a", b'Z', b"00000000005\0", true), hello].concat()),
        ];
        for (what, archive) in rows {
            let damage = if *what == "wrong checksum" { vec!["archive.malformed"] } else { vec![] };
            assert_eq!(opened(archive), (vec![("a".to_owned(), b"hello".to_vec())], damage), "{what}");
            super::super::testing::each_cut_and_flip(&CONTAINER, "tar", archive);
        }
    }

    #[test]
    fn sparse_pieces_come_in_their_order() {
        let mut block = header("a", b'S', b"00000000005\0", true);
        for (at, n) in [(386, 2), (398, 3), (410, 0), (422, 2)] {
            block[at..at + 12].copy_from_slice(format!("{n:011o}\0").as_bytes());
        }
        let (items, _) = opened(&[block, filled(b"llohe")].concat());
        assert_eq!(items.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(), [b"hello", b"llohe"]);
    }

    #[test]
    fn numbers() {
        let rows: &[(&[u8], Option<u64>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   12 \0", Some(0o12)),
            (b"\x80\0\0\0\0\0\x01\0", Some(256)),
            (b"\0\0\0\0", None),
            (b"x", None),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ];
        for (field, want) in rows {
            assert_eq!(number(field), *want, "{field:?}");
        }
    }
}
