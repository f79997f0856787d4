//! yEnc in a text: `=ybegin … =yend` (yenc-draft 1.3).

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::Reading;

pub(super) const READING: Reading = Reading { name: "yenc", reads: "files that stand yEncoded in a body", read };

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    // Signs of equality stand everywhere in markup, before this letter hardly ever.
    if memmem::find(data, b"=y").is_none() && memmem::find(data, b"=Y").is_none() {
        return;
    }
    let mut done = 0;
    let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut asked = 0;
    for at in memchr::memchr_iter(b'=', data) {
        if at - asked > 64 * 1024 {
            asked = at;
            if !finds.has_time() {
                return;
            }
        }
        if !data.get(at + 1..).is_some_and(|rest| starts(rest, b"ybegin")) {
            continue;
        }
        if at < done || !starts_line(data, at) {
            continue;
        }
        let Some((line, body)) = data.get(at..).and_then(split_line) else { break };
        let body = if starts(body, b"=ypart") { split_line(body).map_or(body, |(_, rest)| rest) } else { body };
        let body = body.get(..end(body)).unwrap_or_default();
        done = at + body.len();
        let name =
            memmem::find(line, b"name=").and_then(|n| line.get(n + 5..)).map(|n| String::from_utf8_lossy(n.trim_ascii()).into_owned());
        finds.note("mime.yenc", "A file stands yEncoded in the body", name.as_deref().unwrap_or_default());
        // A dot at the start of a line is doubled in transport (RFC 3977 section 3.1.1), and not every writer undoes it.
        let dots = memmem::find(body, b"\n..").is_some() || body.starts_with(b"..");
        let decoded = decode(body, false);
        if !finds.look(body.len() * 2) || (dots && !finds.add_decoded(name.clone(), decode(body, true))) {
            return;
        }
        if let Some(at) = memmem::find(line, b"part=") {
            let number = line.get(at + 5..).unwrap_or_default().iter().take(9).take_while(|c| c.is_ascii_digit());
            pieces.push((number.fold(0, |n, c| n * 10 + u32::from(c - b'0')), decoded.clone()));
        }
        if !finds.add_decoded(name, decoded) {
            return;
        }
    }
    // A file in parts that all stand here.
    if pieces.len() > 1 {
        pieces.sort_by_key(|(number, _)| *number);
        finds.add_decoded(None, pieces.into_iter().flat_map(|(_, piece)| piece).collect());
    }
}

fn starts_line(data: &[u8], at: usize) -> bool {
    let before = data.get(at.saturating_sub(80)..at).unwrap_or_default();
    before.iter().rev().find(|c| !matches!(c, b' ' | b'\t')).is_none_or(|c| matches!(c, b'\n' | b'\r'))
}

fn starts(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

/// Where the data ends: at the line `=yend`, at the next file, or with the text.
fn end(body: &[u8]) -> usize {
    let is = |at: &usize| body.get(*at + 2..).is_some_and(|rest| starts(rest, b"yend") || starts(rest, b"ybegin"));
    memmem::find_iter(body, b"\n=").find(is).unwrap_or(body.len())
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(b'\n', b'\r', text)?;
    let rest = text.get(end..)?;
    Some((text.get(..end)?, rest.strip_prefix(b"\r\n").or_else(|| rest.get(1..))?))
}

fn decode(body: &[u8], dots: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let (mut escaped, mut first) = (false, true);
    for (at, c) in body.iter().enumerate() {
        if matches!(c, b'\r' | b'\n') {
            first = true;
            continue;
        }
        if dots && first && *c == b'.' && body.get(at + 1) == Some(&b'.') {
            first = false;
            continue;
        }
        first = false;
        match (escaped, c) {
            (false, b'=') => escaped = true,
            (false, c) => out.push(c.wrapping_sub(42)),
            (true, c) => {
                out.push(c.wrapping_sub(42 + 64));
                escaped = false;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(decode(b"\x92\x8f\x96\r\n\x96\x99", false), b"hello");
        assert_eq!(decode(b"=n", false), [4]);
        assert_eq!(decode(b"=", false), b"");
        assert_eq!(decode(b"..\n..", true), b"\x04\x04");
    }

    #[test]
    fn files() {
        let rows: &[(&[u8], &[&str])] = &[
            (b"words\r\n=ybegin line=128 size=5 name=a\r\n\x92\x8f\x96\x96\x99\r\n=yend size=5\r\n", &["hello"]),
            (b"=ybegin name=a\n\x92\x8f\x96\x96\x99", &["hello"]),
            (b"  =YBEGIN line=1\n\x92\x8f\x96\x96\x99\n=YEND", &["hello"]),
            (
                b"=ybegin part=2 name=a\n=ypart begin=3 end=5\n\x96\x96\x99\n=yend\n=ybegin part=1 name=a\n=ypart begin=1 end=2\n\x92\x8f\n=yend\n",
                &["llo", "he", "hello"],
            ),
            (b"words of =ybegin name=a\n\x92", &[]),
        ];
        for (text, want) in rows {
            assert_eq!(found(READING.read, text), *want, "{text:?}");
        }
    }
}
