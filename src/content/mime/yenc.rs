//! yEnc in a text: `=ybegin … =yend` (yenc-draft 1.3).

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::Reading;

pub(super) const READING: Reading = Reading { name: "yenc", reads: "files that stand yEncoded in a body", read };

/// Files decoded out of one leaf.
const MAX_FILES: usize = 200;

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    let mut done = 0;
    for at in memmem::find_iter(data, b"=ybegin ").take(MAX_FILES) {
        if at < done || !(at == 0 || matches!(data.get(at - 1), Some(b'\n' | b'\r'))) {
            continue;
        }
        let Some((line, body)) = data.get(at..).and_then(split_line) else { return };
        let body = if body.starts_with(b"=ypart ") { split_line(body).map_or(body, |(_, rest)| rest) } else { body };
        let end = memmem::find(body, b"\n=yend").unwrap_or(body.len());
        let body = body.get(..end).unwrap_or_default();
        done = at + body.len();
        let name =
            memmem::find(line, b"name=").and_then(|n| line.get(n + 5..)).map(|n| String::from_utf8_lossy(n.trim_ascii()).into_owned());
        finds.note("mime.yenc", "A file stands yEncoded in the body", name.as_deref().unwrap_or_default());
        if !finds.look(body.len()) || !finds.add_decoded(name, decode(body)) {
            return;
        }
    }
}

fn split_line(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', text)?;
    Some((text.get(..end)?, text.get(end + 1..)?))
}

fn decode(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut escaped = false;
    for c in body.iter().filter(|c| !matches!(c, b'\r' | b'\n')) {
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
    use super::*;

    #[test]
    fn bytes() {
        assert_eq!(decode(b"\x92\x8f\x96\r\n\x96\x99"), b"hello");
        assert_eq!(decode(b"=n"), [4]);
        assert_eq!(decode(b"="), b"");
    }
}
