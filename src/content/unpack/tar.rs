//! tar: old, POSIX (ustar, pax) and GNU, read leniently: what follows a damaged header is looked for, not given up.

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "tar", opens: "tar archives", is: |leaf| leaf.true_type == "tar", open };

const BLOCK: usize = 512;

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let mut at = 0;
    let mut long_name: Option<String> = None;
    while let Some(header) = data.get(at..).and_then(<[u8]>::first_chunk::<BLOCK>) {
        at += BLOCK;
        if header.iter().all(|c| *c == 0) {
            continue;
        }
        if !checksum_is_right(header) {
            // Not a header: the next block may be one again.
            continue;
        }
        let kind = header[156];
        let size = if matches!(kind, b'1'..=b'6') { 0 } else { number(&header[124..136]).unwrap_or(u64::MAX) };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let end = at.saturating_add(size).min(data.len());
        let content = data.slice(at..end);
        if size > content.len() {
            finds.unseen("archive.malformed", Reason::Malformed, "A tar file ends within a member", leaf.name.unwrap_or_default());
        }
        match kind {
            b'L' => long_name = Some(until_nul(&content)),
            b'x' => long_name = pax_path(&content).or(long_name),
            b'g' | b'K' | b'V' => {}
            _ if content.is_empty() => long_name = None,
            _ => {
                let name = long_name.take().unwrap_or_else(|| path(header));
                if !finds.add(Item::Blob { name: Some(name), bytes: content }) {
                    return;
                }
            }
        }
        at = end.div_ceil(BLOCK).saturating_mul(BLOCK);
    }
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

/// `path=` among the records `length key=value` of a pax header.
fn pax_path(records: &[u8]) -> Option<String> {
    let line = records.split(|c| *c == b'\n').find_map(|line| line.splitn(2, |c| *c == b' ').nth(1)?.strip_prefix(b"path="))?;
    Some(String::from_utf8_lossy(line).into_owned())
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
        open(&Leaf { data: &data, name: None, declared: "", charset: "", true_type: "tar" }, &mut finds);
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
        assert_eq!(items.iter().map(|(_, b)| b.as_slice()).collect::<Vec<_>>(), [b"hello", b"world"]);
        assert_eq!(items[0].0, "a.txt");
        assert!(items[1].0.ends_with("/b.txt") && items[1].0.len() > 160 && problems.is_empty());
        assert_eq!(crate::content::sniff::true_type(&whole), "tar");
        for end in 0..whole.len() {
            opened(&whole[..end]);
        }
        let damaged = [&[7; BLOCK][..], &whole].concat();
        assert_eq!(opened(&damaged).0.len(), 2);
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
