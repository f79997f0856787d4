//! cpio: the new portable format with and without checksums, the old portable one, and the old binary one in both byte orders. What follows
//! the trailer is looked at too: archives stand one behind the other in start-up images.

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use super::ints::{be16, digits, le16};
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "cpio", opens: "cpio archives", is: |leaf| leaf.true_type == "cpio", open };

/// A member: how big its header, its name, its content are, and to what each is filled up.
struct Member {
    header: usize,
    name: usize,
    size: usize,
    mode: usize,
    fill: usize,
}

impl Member {
    fn read(bytes: &[u8]) -> Option<Self> {
        let field = |at: usize, len: usize, base| digits(bytes.get(at..at + len)?, base);
        match bytes.get(..6)? {
            b"070701" | b"070702" => {
                Some(Self { header: 110, name: field(94, 8, 16)?, size: field(54, 8, 16)?, mode: field(14, 8, 16)?, fill: 4 })
            }
            b"070707" => Some(Self { header: 76, name: field(59, 6, 8)?, size: field(65, 11, 8)?, mode: field(18, 6, 8)?, fill: 1 }),
            b if b.starts_with(b"\xc7\x71") => Self::binary(bytes, le16),
            b if b.starts_with(b"\x71\xc7") => Self::binary(bytes, be16),
            _ => None,
        }
    }

    fn binary(bytes: &[u8], half: fn(&[u8], usize) -> Option<u16>) -> Option<Self> {
        let half = |at| half(bytes, at).map(usize::from);
        Some(Self { header: 26, name: half(20)?, size: half(22)? << 16 | half(24)?, mode: half(6)?, fill: 2 })
    }
}

/// Whether bytes start with a header that makes sense: a name of a fair length that ends with NUL.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    let Some(member) = Member::read(bytes) else { return false };
    let end = member.header + member.name;
    (2..=4096).contains(&member.name) && bytes.get(end - 1) == Some(&0) && bytes.get(member.header).is_some_and(|c| *c >= b' ')
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let mut at = 0;
    while let Some(member) = data.get(at..).and_then(Member::read) {
        let padded = |end: usize| end.checked_next_multiple_of(member.fill).unwrap_or(usize::MAX);
        let name_at = at + member.header;
        let start = padded(name_at.saturating_add(member.name)).min(data.len());
        let name = super::ints::until_nul(data.get(name_at..name_at.saturating_add(member.name)).unwrap_or_default());
        let said = start.saturating_add(member.size);
        let content = data.slice(start..said.min(data.len()));
        if said > data.len() {
            finds.unseen("archive.malformed", Reason::Malformed, "A cpio archive that ends within a member", leaf.name.unwrap_or_default());
        }
        at = padded(said.min(data.len())).min(data.len());
        if name == "TRAILER!!!" {
            let zeros = data.get(at..).unwrap_or_default().iter().take_while(|c| **c == 0).count();
            at += zeros;
            continue;
        }
        let is_file = member.mode & 0o170_000 != 0o040_000 || !content.is_empty();
        if is_file && !finds.add(Item::Blob { name: Some(name), bytes: content }) {
            return;
        }
    }
    if at < data.len() && data.get(at..).is_some_and(|rest| rest.iter().any(|c| *c != 0)) {
        finds.unseen(
            "archive.malformed",
            Reason::Malformed,
            "A cpio archive with a member that cannot be read",
            leaf.name.unwrap_or_default(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{each_cut_and_flip, opened};
    use super::*;

    fn newc(magic: &str, name: &str, content: &[u8]) -> Vec<u8> {
        let mut out = format!("{magic}{:08x}{:08X}{}", 1, 0o100_644, "00000000".repeat(4)).into_bytes();
        out.extend(format!("{:08x}{}{:08x}00000000", content.len(), "00000000".repeat(4), name.len() + 1).bytes());
        for bytes in [[name.as_bytes(), b"\0"].concat(), content.to_vec()] {
            out.extend(bytes);
            out.resize(out.len().next_multiple_of(4), 0);
        }
        out
    }

    fn odc(name: &str, content: &[u8]) -> Vec<u8> {
        let mut out = format!("070707{}{:06o}{}", "000000".repeat(2), 0o100_644, "000000".repeat(4)).into_bytes();
        out.extend(format!("{:011o}{:06o}{:011o}{name}\0", 0, name.len() + 1, content.len()).bytes());
        out.extend(content);
        out
    }

    fn old(big: bool, name: &str, content: &[u8]) -> Vec<u8> {
        let name_size = u16::try_from(name.len() + 1).unwrap();
        let fields = [0o070_707, 0, 1, 0o100_644, 0, 0, 1, 0, 0, 0, name_size, 0, u16::try_from(content.len()).unwrap()];
        let mut out: Vec<u8> = fields.iter().flat_map(|n: &u16| if big { n.to_be_bytes() } else { n.to_le_bytes() }).collect();
        for bytes in [[name.as_bytes(), b"\0"].concat(), content.to_vec()] {
            out.extend(bytes);
            out.resize(out.len().next_multiple_of(2), 0);
        }
        out
    }

    #[test]
    fn members() {
        let rows = [
            ("newc", [newc("070701", "a.txt", b"hello"), newc("070701", "TRAILER!!!", b"")].concat()),
            ("crc", [newc("070702", "a.txt", b"hello"), newc("070702", "TRAILER!!!", b"")].concat()),
            ("odc", [odc("a.txt", b"hello"), odc("TRAILER!!!", b"")].concat()),
            ("binary", [old(false, "a.txt", b"hello"), old(false, "TRAILER!!!", b"")].concat()),
            ("swapped", [old(true, "a.txt", b"hello"), old(true, "TRAILER!!!", b"")].concat()),
        ];
        for (what, archive) in rows {
            assert_eq!(crate::content::sniff::true_type(&archive), "cpio", "{what}");
            let one = || ("a.txt".to_owned(), b"hello".to_vec());
            assert_eq!(opened(&CONTAINER, "cpio", &archive), (vec![one()], vec![]), "{what}");
            let two = [archive.clone(), vec![0; 64], archive.clone()].concat();
            assert_eq!(opened(&CONTAINER, "cpio", &two), (vec![one(), one()], vec![]), "{what}, twice");
            each_cut_and_flip(&CONTAINER, "cpio", &archive);
        }
        let broken = [newc("070701", "a.txt", b"hello"), b"07x701".to_vec()].concat();
        assert_eq!(opened(&CONTAINER, "cpio", &broken).1, ["archive.malformed"]);
    }
}
