//! Parts that stand in a text where no boundary that we know cuts them out: the header block of a part, with a transfer encoding.
//!
//! This finds what a wrong, missing or unreadable boundary hides, in preambles and epilogues too.

use memchr::memmem;

use super::super::find::{Finds, Item, Leaf};
use super::super::sniff;
use super::Reading;
use super::field::Encoding;
use super::header::trim_line_end;

pub(super) const READING: Reading =
    Reading { name: "embedded", reads: "MIME parts that stand in a text without a boundary around them", read };

/// Parts taken out of one leaf.
const MAX_PARTS: usize = 500;
/// How far before the transfer encoding a part's header may begin, in bytes.
const MAX_HEADER: usize = 4096;
const FIELD: &[u8] = b"content-transfer-encoding";

fn read(leaf: &Leaf, finds: &mut Finds) {
    if !sniff::is_text(leaf.true_type) || leaf.declared == "text/rfc822-headers" {
        return;
    }
    let data = leaf.data.as_ref();
    let mut done = 0;
    let mut parts = 0;
    // Fields are written in any case; the dash has none.
    for dash in memchr::memchr_iter(b'-', data) {
        let Some(at) = dash.checked_sub(7).filter(|at| *at >= done) else { continue };
        let starts_line = at == 0 || matches!(data.get(at - 1), Some(b'\n' | b'\r'));
        if !starts_line || !data.get(at..at + FIELD.len()).is_some_and(|name| name.eq_ignore_ascii_case(FIELD)) {
            continue;
        }
        // Under an identity encoding the text stands here as it is, and has been read.
        let line_end = memchr::memchr(b'\n', data.get(at..).unwrap_or_default()).map_or(data.len(), |n| at + n);
        let value = data.get((at + FIELD.len() + 1).min(line_end)..line_end).unwrap_or_default();
        if Encoding::read(value) == Encoding::Identity {
            continue;
        }
        let start = block_start(data, at, done);
        let end = part_end(data, line_end);
        done = end;
        parts += 1;
        finds.note("mime.embedded", "A part of a message stands in the text", "");
        if parts > MAX_PARTS || !finds.look(end - start) || !finds.add(Item::Entity(leaf.data.slice(start..end))) {
            return;
        }
    }
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
            ("Content-Transfer-Encoding: 7bit\n\nx", &[]),
            ("x Content-Transfer-Encoding: base64\n\nx", &[]),
        ];
        for (text, want) in rows {
            for end in (0..=text.len()).rev() {
                let data = bytes::Bytes::copy_from_slice(&text.as_bytes()[..end]);
                let mut budget = Budget::new(&Limits::default());
                let mut finds = Finds::new(&mut budget, 10);
                read(&Leaf { data: &data, name: None, declared: "", charset: "", true_type: "text" }, &mut finds);
                let got: Vec<&[u8]> = finds.items.iter().map(|item| if let Item::Entity(b) = item { &b[..] } else { b"" }).collect();
                if end == text.len() {
                    assert_eq!(got, want.iter().map(|w| w.as_bytes()).collect::<Vec<_>>(), "{text:?}");
                }
            }
        }
    }
}
