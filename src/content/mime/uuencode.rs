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
    let starts = memchr::memchr2_iter(b'\n', b'\r', data).map(|at| at + 1);
    for at in std::iter::once(0).chain(starts) {
        if at < done {
            continue;
        }
        let Some(begin) = data.get(at..).and_then(begin) else { continue };
        let body = begin.body;
        let (bytes, used) = if begin.is_base64 { base64_lines(body) } else { lines(&begin) };
        if files >= MAX_FILES || !finds.look(used) {
            return;
        }
        if bytes.is_empty() {
            continue;
        }
        files += 1;
        done = data.len() - body.len() + used;
        finds.note("mime.uuencode", "A file stands uuencoded in the text", begin.name.as_deref().unwrap_or_default());
        if !finds.add_decoded(begin.name, bytes) {
            return;
        }
    }
}

/// The line that starts a file, and what follows it.
struct Begin<'a> {
    /// Blanks before it, which may stand before each further line too.
    indent: &'a [u8],
    name: Option<String>,
    is_base64: bool,
    /// Whether it is `begin`, a mode of three digits or more, and a name; else what follows must look more like code.
    regular: bool,
    body: &'a [u8],
}

/// Reads `begin 644 name` or `begin-base64 644 name`, and what lenient readers take for it: blanks before it, capitals, a mode of other
/// length, no name.
fn begin(text: &[u8]) -> Option<Begin<'_>> {
    let head = text.get(..text.len().min(1000))?;
    let (indent, word) = head.split_at_checked(blanks(head))?;
    let (word, rest) = word.split_at_checked(5).filter(|(word, _)| word.eq_ignore_ascii_case(b"begin"))?;
    let base64 = rest.split_at_checked(7).filter(|(word, _)| word.eq_ignore_ascii_case(b"-base64"));
    let (line, is_base64) = base64.map_or((rest, false), |(_, rest)| (rest, true));
    let line = line.get(..memchr::memchr2(b'\n', b'\r', line)?)?;
    let rest = text.get(indent.len() + word.len() + (if is_base64 { 7 } else { 0 }) + line.len()..)?;
    let body = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?;
    let words = line.get(blanks(line)..).filter(|words| words.len() < line.len())?;
    let digits = words.iter().take_while(|c| c.is_ascii_digit()).count();
    let name = words.get(digits..)?;
    let ok = (1..=8).contains(&digits) && name.first().is_none_or(|c| matches!(c, b' ' | b'\t'));
    let name = Some(name.trim_ascii()).filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned());
    let regular = indent.is_empty() && word == b"begin" && digits >= 3 && name.is_some();
    ok.then_some(Begin { indent, name, is_base64, regular, body })
}

fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|c| matches!(c, b' ' | b'\t')).count()
}

/// Decodes lines up to `end`, an empty length, or a line that is none; tells how far it read. Nothing is decoded where neither the line
/// before nor the first one nor the end is regular: that is prose.
fn lines(begin: &Begin) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    let (mut full, mut ended) = (None, false);
    while let Some(rest) = begin.body.get(at..).filter(|rest| !rest.is_empty()) {
        let next = memchr::memchr(b'\n', rest).map_or(rest.len(), |n| n + 1);
        let line = rest.get(..next).unwrap_or_default();
        let line = line.strip_prefix(begin.indent).unwrap_or(line).trim_ascii_end();
        at += next;
        let Some((length, text)) = line.split_first() else { continue };
        let length = usize::from(length.wrapping_sub(b' ') & 63);
        let most = length.div_ceil(3) * 4;
        // Writers differ by a checksum character or stripped blanks at a line's end; prose differs by far more.
        let is_line = line.iter().all(|c| (b' '..=b'`').contains(c)) && text.len() <= most + 2;
        ended = line == b"end" || (!begin.regular && line == b"END");
        if ended || length == 0 || !is_line || is_begin(line) {
            ended |= line == b"`";
            break;
        }
        full.get_or_insert(text.len() >= (length * 4).div_ceil(3));
        decode_line(text, length, &mut out);
    }
    if !(begin.regular || ended || full == Some(true)) {
        out.clear();
    }
    (out, at)
}

/// Whether a line that could be code starts another file, in capitals.
fn is_begin(line: &[u8]) -> bool {
    line.strip_prefix(b"BEGIN").and_then(|rest| rest.first()).is_some_and(|c| matches!(c, b' ' | b'-'))
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
                Item::Blob { name, bytes } => (name.unwrap_or_default(), String::from_utf8_lossy(&bytes).into_owned()),
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
            ("begin 64 a\n%:&5L;&\\\n`\nend\n", &[("a", "hello")]),
            ("begin 0644 a\n%:&5L;&\\\n`\nend\n", &[("a", "hello")]),
            ("x\nBEGIN 644 A\n%:&5L;&\\\n`\nEND\n", &[("A", "hello")]),
            (" \tbegin 644 a\r\n%:&5L;&\\\r\n`\r\nend\r\n", &[("a", "hello")]),
            ("  begin 644 a\n  %:&5L;&\\\n  `\n  end\n", &[("a", "hello")]),
            ("begin 644\n%:&5L;&\\\n`\nend\n", &[("", "hello")]),
            ("Begin-Base64 644 a\naGVsbG8=\n====\n", &[("a", "hello")]),
            ("Begin 20 minutes early.\nTHE END\n", &[]),
            ("begin 12\nA\nB\n", &[]),
            ("begin 644 words\n\nAnd so on.\n", &[]),
            ("begin644 a\n%:&5L;&\\\n`\nend\n", &[]),
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
