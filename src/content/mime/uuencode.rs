//! uuencode (POSIX) in a text, its base64 variety `begin-base64`, and xxencode, which has another alphabet.

use memchr::memmem;

use super::super::find::{Finds, Leaf, limit};
use super::Reading;
use super::base64::{self, Style};

pub(super) const READING: Reading = Reading { name: "uuencode", reads: "files that stand uuencoded or xxencoded in a text", read };

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    let mut done = 0;
    let mut asked = 0;
    let mut far = data.len().saturating_mul(FAR);
    for at in leaf.lines().filter(|at| may_begin(data, *at)) {
        if at - asked > 64 * 1024 {
            asked = at;
            if !finds.has_time() {
                return;
            }
        }
        if at < done {
            continue;
        }
        let Some(begin) = data.get(at..).and_then(begin) else { continue };
        let Decoded { files, near, used, cut } = decode(&begin, if far > 0 { usize::MAX } else { MAX_ODD });
        far = far.saturating_sub(used - near);
        if !finds.look(used) {
            return;
        }
        if cut {
            finds.problems.push(limit("mime.limit.readings", "More between the lines of a file than the limit"));
        }
        if files.is_empty() {
            continue;
        }
        done = data.len() - begin.body.len() + near;
        finds.note("mime.uuencode", "A file stands uuencoded in the text", begin.name.as_deref().unwrap_or_default());
        for bytes in files {
            if !finds.add_decoded(begin.name.clone(), bytes) {
                return;
            }
        }
    }
}

/// Whether the line that starts here starts with the word, blanks and marks of a reply before it left out.
fn may_begin(data: &[u8], at: usize) -> bool {
    let line = data.get(at..).unwrap_or_default();
    let indent = line.iter().take_while(|c| is_indent(**c)).count();
    line.get(indent..indent + 5).is_some_and(|word| word.eq_ignore_ascii_case(b"begin"))
}

/// Where the word `begin` stands.
fn words(data: &[u8]) -> impl Iterator<Item = usize> + '_ {
    memchr::memchr2_iter(b'b', b'B', data).filter(|at| data.get(at + 1..at + 5).is_some_and(|rest| rest.eq_ignore_ascii_case(b"egin")))
}

/// Where the line starts in which nothing but blanks stands before the word at `b`.
fn line_start(data: &[u8], b: usize) -> Option<usize> {
    let before = data.get(..b)?;
    let indent = before.iter().rev().take_while(|c| is_indent(**c)).count();
    let start = b - indent;
    (start == 0 || matches!(data.get(start - 1), Some(b'\n' | b'\r'))).then_some(start)
}

/// Whether a file stands in a body that its fields call uuencoded.
pub(super) fn has_file(body: &[u8]) -> bool {
    let begins = words(body).filter_map(|at| line_start(body, at)).filter_map(|at| body.get(at..).and_then(begin));
    begins.take(10).any(|begin| !decode(&begin, MAX_ODD).files.is_empty())
}

/// All lines of a body that could be uuencoded, without a line that starts a file.
pub(super) fn bare(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in body.split(|c| matches!(c, b'\n' | b'\r')).map(<[u8]>::trim_ascii_end) {
        if let Some((length, text)) = uu_line(line).or_else(|| junk_behind(line))
            && text.len() + 2 >= (length * 4).div_ceil(3)
        {
            decode_line(text, length, UU, &mut out);
        }
    }
    out
}

/// The files that start at a line (both, where it may be one or the other code).
struct Decoded {
    files: Vec<Vec<u8>>,
    /// How far they go at least: another file may start behind that.
    near: usize,
    /// How far was read.
    used: usize,
    /// Code may stand behind that.
    cut: bool,
}

/// Decodes what starts here; no more than `most_odd` lines that are no code are stepped over.
fn decode(begin: &Begin, most_odd: usize) -> Decoded {
    let (files, near, used, cut) = if begin.is_base64 {
        let (bytes, used) = base64_lines(begin.body);
        (vec![bytes], used, used, false)
    } else {
        let uu = lines(begin, most_odd);
        let (xx, used_xx) = xx_lines(begin);
        (vec![uu.bytes, xx], uu.near.max(used_xx), uu.used.max(used_xx), uu.cut)
    };
    Decoded { files: files.into_iter().filter(|bytes| !bytes.is_empty()).collect(), near, used, cut }
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
    let (indent, word) = text.split_at_checked(text.iter().take_while(|c| is_indent(**c)).count())?;
    let (word, rest) = word.split_at_checked(5).filter(|(word, _)| word.eq_ignore_ascii_case(b"begin"))?;
    let said = |said: &[u8]| rest.get(..said.len()).is_some_and(|word| word.eq_ignore_ascii_case(said));
    let skip = [&b"-base64-encoded"[..], b"-base64", b"-encoded"].into_iter().find(|word| said(word)).map_or(0, <[u8]>::len);
    let is_base64 = said(b"-base64");
    let line = rest.get(skip..)?;
    let line = line.get(..memchr::memchr2(b'\n', b'\r', line)?)?;
    let rest = text.get(indent.len() + word.len() + skip + line.len()..)?;
    let body = rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?;
    let words = line.get(blanks(line)..).filter(|words| line.is_empty() || words.len() < line.len())?;
    let digits = words.iter().take_while(|c| c.is_ascii_digit()).count();
    let name = words.get(digits..)?;
    // Without a mode what follows is all name.
    let ok = digits <= 8 && (digits == 0 || digits >= 3 || name.first().is_none_or(|c| matches!(c, b' ' | b'\t')));
    let name = Some(name.trim_ascii()).filter(|name| !name.is_empty());
    let name = name.map(|name| String::from_utf8_lossy(name.get(..MAX_NAME).unwrap_or(name)).into_owned());
    let regular = indent.is_empty() && word == b"begin" && digits >= 3 && name.is_some();
    ok.then_some(Begin { indent, name, is_base64, regular, body })
}

/// Blanks, and the marks of a reply.
fn is_indent(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'>' | b'|')
}

fn blanks(text: &[u8]) -> usize {
    text.iter().take_while(|c| matches!(c, b' ' | b'\t')).count()
}

/// What lines of code give: see [`Decoded`].
struct Lines {
    bytes: Vec<u8>,
    near: usize,
    used: usize,
    cut: bool,
}

/// Decodes lines up to `end` or a line that starts another file; tells how far it read. What is no line of code is stepped over, as some
/// readers do, and so is an empty length. Nothing is decoded where neither the line before nor the first one nor the end is regular:
/// that is prose.
fn lines(begin: &Begin, most_odd: usize) -> Lines {
    let mut out = Vec::new();
    let mut at = 0;
    let (mut full, mut ended, mut odd) = (false, false, 0);
    let (mut near, mut cut) = (None, false);
    while let Some(rest) = begin.body.get(at..).filter(|rest| !rest.is_empty()) {
        let next = memchr::memchr2(b'\n', b'\r', rest).map_or(rest.len(), |n| n + 1);
        let line = rest.get(..next).unwrap_or_default();
        let line = line.strip_prefix(begin.indent).unwrap_or(line).trim_ascii_end();
        ended = line == b"end" || (!begin.regular && line == b"END");
        if !ended && is_begin(line) {
            break;
        }
        at += next;
        if ended {
            break;
        }
        match uu_line(line).or_else(|| junk_behind(line).filter(|_| begin.regular)) {
            Some((length, text)) => {
                full |= text.len() >= (length * 4).div_ceil(3);
                decode_line(text, length, UU, &mut out);
            }
            None if line == b"`" => ended = true,
            None => odd += usize::from(!line.is_empty()),
        }
        if odd > MAX_ODD {
            near.get_or_insert(at);
        }
        // Prose behind a file without an end is not read for ever.
        if odd > most_odd {
            cut = (full || begin.regular) && begin.body.len() > at;
            break;
        }
    }
    if !(full || (odd == 0 && (begin.regular || ended))) {
        out.clear();
    }
    Lines { bytes: out, near: near.unwrap_or(at), used: at, cut }
}

/// Lines that are no code, stepped over in one file where `FAR` is used up, and behind which another file may start.
const MAX_ODD: usize = 200;
/// How many times a whole text is read behind that. A text in which `begin` is an ordinary word has that many without being code.
const FAR: usize = 32;
/// Bytes kept of a name.
const MAX_NAME: usize = 4_096;

/// The length and the code of a line, where it could be one. Writers differ by a checksum character or stripped blanks at a line's end;
/// prose differs by far more.
fn uu_line(line: &[u8]) -> Option<(usize, &[u8])> {
    let (length, text) = line.split_first()?;
    let length = usize::from(length.wrapping_sub(b' ') & 63);
    let fits = length > 0 && text.len() <= length.div_ceil(3) * 4 + 2;
    (fits && line.iter().all(|c| (b' '..=b'`').contains(c))).then_some((length, text))
}

/// The same for a line with more behind its code than any writer puts there: readers look no further than the length says.
fn junk_behind(line: &[u8]) -> Option<(usize, &[u8])> {
    let (length, text) = line.split_first().filter(|(length, _)| (b' '..=b'`').contains(length))?;
    let length = usize::from(length.wrapping_sub(b' ') & 63);
    let code = text.get(..(length * 4).div_ceil(3)).filter(|_| length > 0)?;
    code.iter().all(|c| (b' '..=b'`').contains(c)).then_some((length, code))
}

/// xxencode: lines of exactly the length that they say, in letters of its alphabet only, so that nothing else is taken for one.
fn xx_lines(begin: &Begin) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(rest) = begin.body.get(at..).filter(|rest| !rest.is_empty()) {
        let next = memchr::memchr2(b'\n', b'\r', rest).map_or(rest.len(), |n| n + 1);
        let line = rest.get(..next).unwrap_or_default();
        let line = line.strip_prefix(begin.indent).unwrap_or(line).trim_ascii_end();
        at += next;
        if line.eq_ignore_ascii_case(b"end") || is_begin(line) {
            break;
        }
        let Some((length, text)) = line.split_first().and_then(|(length, text)| Some((usize::from(xx(*length)?), text))) else { continue };
        let most = length.div_ceil(3) * 4;
        if length == 0 || !(most..=most + 1).contains(&text.len()) || text.iter().any(|c| xx(*c).is_none()) {
            if out.is_empty() {
                break;
            }
            continue;
        }
        decode_line(text, length, |c| xx(c).unwrap_or_default(), &mut out);
    }
    (out, at)
}

fn xx(c: u8) -> Option<u8> {
    match c {
        b'+' => Some(0),
        b'-' => Some(1),
        b'0'..=b'9' => Some(c - b'0' + 2),
        b'A'..=b'Z' => Some(c - b'A' + 12),
        b'a'..=b'z' => Some(c - b'a' + 38),
        _ => None,
    }
}

/// Whether a line starts another file.
fn is_begin(line: &[u8]) -> bool {
    let rest = line.split_at_checked(5).filter(|(word, _)| word.eq_ignore_ascii_case(b"begin")).map(|(_, rest)| rest);
    rest.is_some_and(|rest| {
        rest.first().is_some_and(|c| matches!(c, b' ' | b'-')) && rest.get(1).is_some_and(|c| c.is_ascii_alphanumeric())
    })
}

/// The value of a character in the usual alphabet.
const UU: fn(u8) -> u8 = |c| c.wrapping_sub(b' ') & 63;

fn decode_line(text: &[u8], length: usize, value: fn(u8) -> u8, out: &mut Vec<u8>) {
    let from = out.len();
    let six = |c: Option<&u8>| u32::from(c.map_or(0, |c| value(*c)));
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
        read(&Leaf::new(&data, None, "", "", "text"), &mut finds);
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
    fn nothing_hides_behind_many_lines_or_a_long_name() {
        let file = "%:&5L;&\\\n`\nend\n";
        let hello = |text: String| found(&text).iter().any(|(_, bytes)| bytes.contains("hello"));
        let prose = "words in small letters\n";
        assert!(hello(format!("begin 644 {}\n{file}", "a".repeat(20_000))));
        assert!(hello(format!("begin-base64 644 {}\naGVsbG8=\n====\n", "a".repeat(20_000))));
        assert!(hello(format!("{}begin 644 a\n{file}", " ".repeat(300))));
        assert!(hello(format!("begin 644 a\n{}{file}", prose.repeat(10_000))));
        assert!(hello(format!("begin 644 a\n{file}{}  begin 644 b\n  {file}", prose.repeat(300))));
        // Each starts a file and ends none.
        let decoy = format!("begin  644 a\n#1234\n{}", prose.repeat(201)).repeat(100);
        let (texts, problems) = super::super::testing::once(READING.read, format!("{decoy}begin  644 a\n{file}").as_bytes(), "", "");
        assert!(texts.iter().any(|text| text.contains("hello")) || problems.contains(&"mime.limit.readings"), "{problems:?}");
        // A program in which it is a word.
        let program = "begin\n    count = 12;\n    if (ready) begin\n    end\nwords\n".repeat(5_000);
        assert_eq!(super::super::testing::once(READING.read, program.as_bytes(), "", ""), (vec![], vec![]));
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
            ("begin 644 a\n%:&5L;&\\\n`\n%:&5L;&\\\nend\n", &[("a", "hellohello")]),
            ("begin 644 a\n%:&5L;&\\\nA comment\n%:&5L;&\\\nend\n", &[("a", "hellohello")]),
            ("begin 644 a\n3O4JgPqw=\n+\nend\n", &[]),
            ("begin 644 a\n3O4JgP4w+\n+\nend\n", &[("a", "hello")]),
            ("begin 644 a\n1Mq3o\n+\nend\n", &[("a", "cat")]),
            ("begin-encoded 644 YQ==\n%:&5L;&\\\n`\nend\n", &[("YQ==", "hello")]),
            ("begin a.txt\n%:&5L;&\\\n`\nend\n", &[("a.txt", "hello")]),
            ("begin\n%:&5L;&\\\n`\nend\n", &[("", "hello")]),
            ("> begin 644 a\n> %:&5L;&\\\n> `\n> end\n", &[("a", "hello")]),
            ("begin-base64-encoded 644 YQ==\naGVsbG8=\n====\n", &[("YQ==", "hello")]),
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
