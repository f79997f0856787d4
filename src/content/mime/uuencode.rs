//! uuencode (POSIX) in a text, and its base64 variety `begin-base64`.

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::super::sniff;
use super::Reading;
use super::base64::{self, Style};

pub(super) const READING: Reading = Reading { name: "uuencode", reads: "files that stand uuencoded in a text", read };

/// Files decoded out of one leaf.
const MAX_FILES: usize = 200;

fn read(leaf: &Leaf, finds: &mut Finds) {
    if !sniff::is_text(leaf.true_type) {
        return;
    }
    let data = leaf.data.as_ref();
    let mut done = 0;
    let mut files = 0;
    for at in memmem::find_iter(data, b"begin") {
        let starts_line = at == 0 || matches!(data.get(at - 1), Some(b'\n' | b'\r'));
        if at < done || !starts_line {
            continue;
        }
        let Some((name, is_base64, body)) = data.get(at..).and_then(begin) else { continue };
        let (bytes, used) = if is_base64 { base64_lines(body) } else { lines(body) };
        if files >= MAX_FILES || !finds.look(used) {
            return;
        }
        if bytes.is_empty() {
            continue;
        }
        files += 1;
        done = data.len() - body.len() + used;
        finds.note("mime.uuencode", "A file stands uuencoded in the text", &name);
        if !finds.add_decoded(Some(name), bytes) {
            return;
        }
    }
}

/// Reads `begin 644 name` or `begin-base64 644 name`; tells the name, the variety, and what follows the line.
fn begin(text: &[u8]) -> Option<(String, bool, &[u8])> {
    let end = memchr::memchr2(b'\n', b'\r', text.get(..text.len().min(1000))?)?;
    let (line, rest) = text.split_at_checked(end)?;
    let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?;
    let line = line.strip_prefix(b"begin")?;
    let (line, is_base64) = line.strip_prefix(b"-base64").map_or((line, false), |line| (line, true));
    let words = line.strip_prefix(b" ")?.trim_ascii();
    let digits = words.iter().take_while(|c| c.is_ascii_digit()).count();
    let name = words.get(digits..)?;
    let ok = (3..=6).contains(&digits) && matches!(name.first(), Some(b' ' | b'\t'));
    ok.then(|| (String::from_utf8_lossy(name.trim_ascii()).into_owned(), is_base64, rest))
}

/// Decodes lines up to `end`, an empty length, or a line that is none; tells how far it read.
fn lines(body: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let next = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
        let line = rest.get(..next).unwrap_or_default().trim_ascii_end();
        at += next;
        let Some((length, text)) = line.split_first() else { continue };
        let length = usize::from(length.wrapping_sub(b' ') & 63);
        let most = length.div_ceil(3) * 4;
        // Writers differ by a checksum character or stripped blanks at a line's end; prose differs by far more.
        let is_line = line.iter().all(|c| (b' '..=b'`').contains(c)) && text.len() <= most + 2;
        if line == b"end" || length == 0 || !is_line {
            break;
        }
        decode_line(text, length, &mut out);
    }
    (out, at)
}

fn decode_line(text: &[u8], length: usize, out: &mut Vec<u8>) {
    let from = out.len();
    let six = |c: Option<&u8>| u32::from(c.map_or(0, |c| c.wrapping_sub(b' ') & 63));
    for group in 0..length.div_ceil(3) {
        let at = group * 4;
        let bits = six(text.get(at)) << 18 | six(text.get(at + 1)) << 12 | six(text.get(at + 2)) << 6 | six(text.get(at + 3));
        let [_, x, y, z] = bits.to_be_bytes();
        out.extend_from_slice(&[x, y, z]);
    }
    out.truncate(from + length);
}

fn base64_lines(body: &[u8]) -> (Vec<u8>, usize) {
    let end = memmem::find(body, b"\n====").unwrap_or(body.len());
    (base64::decode(body.get(..end).unwrap_or_default(), Style::Chunks).bytes, end)
}

#[cfg(test)]
mod tests {
    use super::super::super::find::Item;
    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn found(text: &str) -> Vec<(String, String)> {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 10);
        let data = bytes::Bytes::copy_from_slice(text.as_bytes());
        read(&Leaf { data: &data, name: None, declared: "", charset: "", true_type: "text" }, &mut finds);
        finds
            .items
            .into_iter()
            .map(|item| match item {
                Item::Blob { name, bytes } => (name.unwrap(), String::from_utf8_lossy(&bytes).into_owned()),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn files() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("begin 644 a.txt\r\n%:&5L;&\\ \r\n`\r\nend\r\n", &[("a.txt", "hello")]),
            ("text\nbegin 644 a b.txt\n%:&5L;&\\\n`\nend\ntext", &[("a b.txt", "hello")]),
            ("begin 644 a\n%:&5L;&\\", &[("a", "hello")]),
            ("begin-base64 644 a\naGVsbG8=\n====\n", &[("a", "hello")]),
            ("begin 644 a\n%:&5L;&\\\n`\nend\nbegin 600 b\n%:&5L;&\\\nend\n", &[("a", "hello"), ("b", "hello")]),
            ("begin the day\nwith a smile", &[]),
            ("x begin 644 a\n%:&5L;&\\\n", &[]),
            ("begin 644 a\nthis is prose and no code\n", &[]),
        ];
        for (text, want) in rows {
            let got = found(text);
            let got: Vec<(&str, &str)> = got.iter().map(|(n, b)| (n.as_str(), b.as_str())).collect();
            assert_eq!(got, *want, "{text:?}");
            for end in 0..=text.len() {
                found(&text[..end]);
            }
        }
    }
}
