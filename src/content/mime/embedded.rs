//! Parts that stand in a text where no boundary that we know cuts them out: the header block of a part, with a transfer encoding.
//!
//! This finds what a wrong, missing or unreadable boundary hides, in preambles and epilogues too.

use memchr::memmem;

use super::super::find::{Finds, Item, Leaf, limit};
use super::field::Encoding;
use super::header::{self, trim_line_end};
use super::loose::{self, Means};
use super::{Reading, entity};

pub(super) const READING: Reading =
    Reading { name: "embedded", reads: "MIME parts that stand in a text without a boundary around them", read };

/// Parts taken out of one leaf.
const MAX_PARTS: usize = 500;
/// Fields looked at in one leaf.
const MAX_TRIED: usize = 5_000;
/// How far before the transfer encoding a part's header may begin, and how far behind it end, in bytes.
const MAX_HEADER: usize = 4096;
/// Fields read of one part.
const MAX_FIELDS: usize = 50;
/// How far a line is looked at, in bytes.
const MAX_LINE: usize = 200;

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    // Word reads a page with its parts behind a whole PDF.
    let has_field = || [&b"ransfer-"[..], b"RANSFER-"].iter().any(|piece| memmem::find(data, piece).is_some());
    if !super::is_readable(leaf) && !has_field() {
        return;
    }
    let mut done = 0;
    // Fields that have been read, of a block that has no encoding.
    let mut read_to = 0;
    let (mut parts, mut tried) = (0, 0);
    let mut asked = 0;
    for at in lines(leaf) {
        if at - asked > 64 * 1024 {
            asked = at;
            if !finds.has_time() {
                return;
            }
        }
        let line = data.get(at..data.len().min(at + MAX_LINE)).unwrap_or_default();
        if at < read_to || at < done || !matches!(loose::field(line), Some((Means::Encoding, _))) {
            continue;
        }
        tried += 1;
        if parts >= MAX_PARTS || tried > MAX_TRIED {
            finds.problems.push(limit("mime.limit.parts", "More parts in a text than the limit"));
            return;
        }
        let start = block_start(data, at, done);
        let block = data.get(start..data.len().min(at + MAX_HEADER)).unwrap_or_default();
        let head = header::read(block, MAX_FIELDS, MAX_HEADER * 2);
        // Under an identity encoding the text stands here as it is, and has been read.
        if entity::encodings(block, &head).iter().all(|encoding| *encoding == Encoding::Identity) {
            read_to = head.fields.last().map_or(0, |field| start + field.value.end);
            if !finds.look(block.len()) {
                return;
            }
            continue;
        }
        let end = part_end(data, at.max(start + head.body).min(data.len()));
        done = end;
        parts += 1;
        finds.note("mime.embedded", "A part of a message stands in the text", "");
        if !finds.look(end - start) || !finds.add(Item::Entity(leaf.data.slice(start..end))) {
            return;
        }
    }
}

/// Where lines start that could hold a field of this kind: with its first letter, or with what is no letter.
fn lines(leaf: &Leaf) -> impl Iterator<Item = usize> {
    let first = |at: &usize| leaf.data.get(*at).copied().unwrap_or_default();
    leaf.lines()
        .filter(move |at| matches!(first(at), b'c' | b'C' | b't' | b'T') || !(first(at).is_ascii_alphanumeric() || first(at) < b' '))
}

/// Where the header block around `at` begins: after the last empty line or line of dashes before it.
fn block_start(data: &[u8], at: usize, floor: usize) -> usize {
    let floor = floor.max(at.saturating_sub(MAX_HEADER));
    let mut start = at;
    while start > floor {
        let before = data.get(floor..start - 1).unwrap_or_default();
        let line = floor + memchr::memrchr(b'\n', before).map_or(0, |n| n + 1);
        let text = trim_line_end(data.get(line..start).unwrap_or_default());
        if text.is_empty() || text.starts_with(b"--") {
            break;
        }
        start = line;
    }
    start
}

/// Where the part ends: at a line that starts with two dashes, after the header's empty line.
fn part_end(data: &[u8], from: usize) -> usize {
    let rest = data.get(from..).unwrap_or_default();
    memmem::find(rest, b"\n--").map_or(data.len(), |n| from + n + 1)
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::{Budget, Limits};
    use super::*;

    #[test]
    fn parts() {
        let rows: &[(&str, &[&str])] = &[
            ("no part here - or there", &[]),
            (
                "text\r\n--X\r\nContent-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n--X--\r\n",
                &["Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"],
            ),
            ("a\n\nCONTENT-TRANSFER-ENCODING: Base64\nX: y\n\naGVsbG8=", &["CONTENT-TRANSFER-ENCODING: Base64\nX: y\n\naGVsbG8="]),
            ("a\n\nContent-Transfer-Encoding:\n base64\n\naGVsbG8=", &["Content-Transfer-Encoding:\n base64\n\naGVsbG8="]),
            ("a\n\nContent_Transfer_Encoding: base64\n\naGVsbG8=", &["Content_Transfer_Encoding: base64\n\naGVsbG8="]),
            ("Transfer-Encoding: chunked\n\nx", &[]),
            ("Content-Transfer-Encoding: 7bit\n\nx", &[]),
            ("x Content-Transfer-Encoding: base64\n\nx", &[]),
        ];
        for (text, want) in rows {
            for end in (0..=text.len()).rev() {
                let data = bytes::Bytes::copy_from_slice(&text.as_bytes()[..end]);
                let mut budget = Budget::new(&Limits::default());
                let mut finds = Finds::new(&mut budget, 10);
                read(&Leaf::new(&data, None, "", "", "text"), &mut finds);
                let got: Vec<&[u8]> = finds.items.iter().map(|item| if let Item::Entity(b) = item { &b[..] } else { b"" }).collect();
                if end == text.len() {
                    assert_eq!(got, want.iter().map(|w| w.as_bytes()).collect::<Vec<_>>(), "{text:?}");
                }
            }
        }
    }
}
