//! OneNote sections (MS-ONESTORE): the files that are put into them. What else is in a section is not read; the engines see it as it stands.

use memchr::memmem;

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use super::ints::size_at;
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "onenote", opens: "files in OneNote sections", is: |leaf| is(leaf), open };

/// What a file in a section begins with (MS-ONESTORE section 2.6.13), and what it ends with.
const FILE: &[u8] = b"\xe7\x16\xe3\xbd\x65\x26\x11\x45\xa4\xc4\x8d\x4d\x0b\x7a\x9e\xac";
const FOOTER: &[u8] = b"\x22\xa7\xfb\x71\x79\x0f\x0b\x4a\xbb\x13\x89\x92\x56\x42\x6b\x24";
/// Bytes between the mark and the content: the length in eight, and twelve that are not used.
const HEADER: usize = 20;

fn is(leaf: &Leaf) -> bool {
    leaf.true_type == "one" || memmem::find(leaf.data, FILE).is_some()
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let mut found = false;
    let mut at = 0;
    while let Some(mark) = data.get(at..).and_then(|rest| memmem::find(rest, FILE)).map(|n| at + n) {
        at = mark + FILE.len();
        let start = at.saturating_add(HEADER).min(data.len());
        let said = size_at(data, at).and_then(|size| start.checked_add(size)).filter(|end| *end <= data.len());
        // A length that is not right: up to the mark of its end, or of the file.
        let end = said.or_else(|| data.get(start..).and_then(|rest| memmem::find(rest, FOOTER)).map(|n| start + n));
        let bytes = data.slice(start..end.unwrap_or(data.len()));
        found |= !bytes.is_empty();
        if !bytes.is_empty() && (!finds.look(64) || !finds.add(Item::Blob { name: None, bytes })) {
            return;
        }
    }
    if !found {
        finds.unseen("archive.unknown", Reason::UnknownContainer, "A container that is not opened here", leaf.name.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn opened(data: &[u8]) -> (Vec<Vec<u8>>, Vec<&'static str>) {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 100);
        let data = Bytes::copy_from_slice(data);
        open(&Leaf::new(&data, None, "", "", "one"), &mut finds);
        let items = finds.items.into_iter().filter_map(|item| match item {
            Item::Blob { bytes, .. } => Some(bytes.to_vec()),
            _ => None,
        });
        (items.collect(), finds.problems.iter().map(|p| p.code).collect())
    }

    #[test]
    fn files_in_sections() {
        let start = b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3 and so on ";
        let file = |size: u64, content: &[u8]| [FILE, &size.to_le_bytes(), &[0; 12], content, FOOTER].concat();
        let whole = [&start[..], &file(5, b"hello"), b"between", &file(3, b"you")].concat();
        assert_eq!(opened(&whole), (vec![b"hello".to_vec(), b"you".to_vec()], vec![]));
        assert_eq!(opened(&[&start[..], &file(5 << 40 | 4_000_000_000, b"hello")].concat()), (vec![b"hello".to_vec()], vec![]));
        assert_eq!(opened(start), (vec![], vec!["archive.unknown"]));
        for at in 0..whole.len() {
            opened(&whole[..at]);
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            opened(&flipped);
        }
    }
}
