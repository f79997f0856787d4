//! A text with the escapes undone that browsers and scripts undo: entities, `\x`, `\u`, octal, percent; and string literals joined that
//! stand in pieces.

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::Reading;
use super::quoted::hex;

pub(super) const READING: Reading =
    Reading { name: "escapes", reads: "text with its entities and escapes undone, and strings joined", read };

/// Escapes of ordinary characters in scripts, and joined strings, from which a text is read so.
const LEAST: usize = 8;
const LEAST_JOINTS: usize = 3;

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    if !super::is_all_text(leaf) {
        return;
    }
    let entities = memchr::memchr_iter(b'&', data).any(|at| data.get(at..).and_then(entity).is_some_and(|(c, _)| is_telling(c)));
    let slashes = memchr::memchr_iter(b'\\', data).filter_map(|at| data.get(at..).and_then(backslash)).filter(|(c, _)| is_shown(*c));
    let slashes = slashes.take(LEAST).count() == LEAST;
    let undoes = |name: &[u8]| memmem::find(data, name).is_some();
    let percents = memchr::memchr(b'%', data).is_some() && (undoes(b"nescape(") || undoes(b"decodeURI") || undoes(b"urldecode("));
    let joints = ['"', '\'', '`'].iter().any(|quote| joints(data, *quote as u8).take(LEAST_JOINTS).count() == LEAST_JOINTS);
    if !(entities || slashes || percents || joints) || !finds.look(data.len().saturating_mul(2)) {
        return;
    }
    let text = if entities { self::entities(data) } else { data.to_vec() };
    let text = if slashes || percents || joints { scripts(&text, slashes, percents, joints) } else { text };
    if text != data {
        finds.add_guess(super::untyped(text));
    }
}

/// A page or drawing as its scripts are run: everything undone, whatever it is.
pub(super) fn run(text: &[u8]) -> Vec<u8> {
    scripts(&entities(text), true, true, true)
}

fn is_shown(c: u32) -> bool {
    (0x21..0x7f).contains(&c)
}

/// Characters that honest writers have no need to write as entities.
fn is_telling(c: u32) -> bool {
    u8::try_from(c).is_ok_and(|c| c.is_ascii_alphanumeric() || b"!%[\\]()^{}$*`|~".contains(&c))
}

/// Every entity that stands for an ASCII character or has a number, undone.
pub(super) fn entities(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (c, length) = entity(tail).unwrap_or((u32::from(b'&'), 1));
        push(&mut out, c);
        rest = tail.get(length..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

fn push(out: &mut Vec<u8>, c: u32) {
    out.extend_from_slice(char::from_u32(c).unwrap_or('\u{FFFD}').encode_utf8(&mut [0; 4]).as_bytes());
}

/// The names of ASCII characters in HTML.
const NAMES: [(&[u8], u8); 45] = [
    (b"Tab", b'\t'),
    (b"NewLine", b'\n'),
    (b"excl", b'!'),
    (b"quot", b'"'),
    (b"QUOT", b'"'),
    (b"num", b'#'),
    (b"dollar", b'$'),
    (b"percnt", b'%'),
    (b"amp", b'&'),
    (b"AMP", b'&'),
    (b"apos", b'\''),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"ast", b'*'),
    (b"midast", b'*'),
    (b"plus", b'+'),
    (b"comma", b','),
    (b"hyphen", b'-'),
    (b"period", b'.'),
    (b"sol", b'/'),
    (b"colon", b':'),
    (b"semi", b';'),
    (b"lt", b'<'),
    (b"LT", b'<'),
    (b"equals", b'='),
    (b"gt", b'>'),
    (b"GT", b'>'),
    (b"quest", b'?'),
    (b"commat", b'@'),
    (b"lsqb", b'['),
    (b"lbrack", b'['),
    (b"bsol", b'\\'),
    (b"rsqb", b']'),
    (b"rbrack", b']'),
    (b"Hat", b'^'),
    (b"lowbar", b'_'),
    (b"UnderBar", b'_'),
    (b"grave", b'`'),
    (b"DiacriticalGrave", b'`'),
    (b"lcub", b'{'),
    (b"lbrace", b'{'),
    (b"verbar", b'|'),
    (b"vert", b'|'),
    (b"rcub", b'}'),
    (b"rbrace", b'}'),
];

/// The entity that `text` starts with, and its length.
fn entity(text: &[u8]) -> Option<(u32, usize)> {
    if text.get(1) == Some(&b'#') {
        return numeric(text);
    }
    let name = text.get(1..text.len().min(20))?;
    let length = name.iter().take_while(|c| c.is_ascii_alphabetic()).count();
    let name = name.get(..length).filter(|_| text.get(length + 1) == Some(&b';'))?;
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, c)| (u32::from(*c), length + 2))
}

/// A numeric entity (`&#88;`, `&#x58`, any number of zeros, with or without a semicolon) that `text` starts with, and its length.
pub(super) fn numeric(text: &[u8]) -> Option<(u32, usize)> {
    let digits = text.strip_prefix(b"&#")?;
    let (base, digits, skip) = match digits {
        [b'x' | b'X', digits @ ..] => (16, digits, 3),
        digits => (10, digits, 2),
    };
    let zeros = digits.iter().take_while(|c| **c == b'0').count();
    let digits = digits.get(zeros..)?;
    let length = digits.iter().take(20).take_while(|c| char::from(**c).is_digit(base)).count();
    let number = match digits.get(..length)? {
        [] => Some(0).filter(|_| zeros > 0)?,
        digits => u32::from_str_radix(std::str::from_utf8(digits).ok()?, base).ok()?,
    };
    let semicolon = usize::from(digits.get(length) == Some(&b';'));
    Some((number, skip + zeros + length + semicolon))
}

/// `\x58`, `\u0058`, `\u{58}`, `\130` and what they stand for, with their length.
fn backslash(text: &[u8]) -> Option<(u32, usize)> {
    let number = |digits: Option<&[u8]>, base: u32| u32::from_str_radix(std::str::from_utf8(digits?).ok()?, base).ok();
    let all_hex = |from: usize, to: usize| text.get(from..to).filter(|digits| digits.iter().all(|c| hex(*c).is_some()));
    match text.get(1)? {
        b'x' | b'X' => Some((number(all_hex(2, 4), 16)?, 4)),
        b'u' | b'U' if text.get(2) == Some(&b'{') => {
            let digits = text.get(3..text.len().min(12))?;
            let length = digits.iter().take_while(|c| hex(**c).is_some()).count();
            Some((number(digits.get(..length), 16)?, 3 + length + usize::from(digits.get(length) == Some(&b'}'))))
        }
        b'u' => Some((number(all_hex(2, 6), 16)?, 6)),
        b'U' => Some((number(all_hex(2, 10), 16)?, 10)),
        b'0'..=b'7' => {
            let digits = text.get(1..text.len().min(4))?;
            let length = digits.iter().take_while(|c| (b'0'..=b'7').contains(*c)).count();
            Some((number(digits.get(..length), 8)?, 1 + length))
        }
        _ => None,
    }
}

/// `\n`, `\\` and their like; a line end after a backslash is nothing.
fn single(tail: &[u8]) -> Option<(Option<u32>, usize)> {
    match tail {
        [b'\r', b'\n', ..] => Some((None, 3)),
        [b'\n', ..] => Some((None, 2)),
        [b'n', ..] => Some((Some(10), 2)),
        [b'r', ..] => Some((Some(13), 2)),
        [b't', ..] => Some((Some(9), 2)),
        [c, ..] => Some((Some(u32::from(*c)), 2)),
        [] => None,
    }
}

/// Where one string literal ends and another one starts that is put behind it: places and lengths.
fn joints(text: &[u8], quote: u8) -> impl Iterator<Item = (usize, usize)> + '_ {
    memchr::memchr_iter(quote, text).filter_map(move |at| joint(text.get(at..)?).map(|length| (at, length)))
}

/// How long the blanks and comments are that a text of a script starts with.
pub(super) fn blanks(text: &[u8]) -> usize {
    /// The longest comment, in bytes.
    const COMMENT: usize = 4096;
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let near = || rest.get(..rest.len().min(COMMENT)).unwrap_or_default();
        at += match rest {
            [c, ..] if c.is_ascii_whitespace() => rest.iter().take_while(|c| c.is_ascii_whitespace()).count(),
            [b'/', b'*', ..] => match memmem::find(near(), b"*/") {
                Some(end) => end + 2,
                None => return at,
            },
            [b'/', b'/', ..] => match memchr::memchr(b'\n', near()) {
                Some(end) => end + 1,
                None => return at,
            },
            _ => return at,
        };
    }
}

fn joint(rest: &[u8]) -> Option<usize> {
    let quote = *rest.first().filter(|c| matches!(c, b'"' | b'\'' | b'`'))?;
    let blanks = |at: usize| at + blanks(rest.get(at..).unwrap_or_default());
    let at = blanks(1);
    if !matches!(rest.get(at), Some(b'+' | b'&' | b'.')) {
        return None;
    }
    let at = blanks(at + 1);
    let at = if rest.get(at) == Some(&b'_') { blanks(at + 1) } else { at };
    (rest.get(at) == Some(&quote)).then_some(at + 1)
}

/// A script with its escapes undone and its strings joined.
fn scripts(text: &[u8], slashes: bool, percents: bool, joined: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        let undone = match first {
            b'\\' if slashes || joined => backslash(rest).map(|(c, length)| (Some(c), length)).or_else(|| single(tail)),
            b'%' if percents => match tail {
                [b'u', a, b, c, d, ..] => number16(&[*a, *b, *c, *d]).map(|c| (Some(c), 6)),
                [a, b, ..] => number16(&[*a, *b]).map(|c| (Some(c), 3)),
                _ => None,
            },
            b'"' | b'\'' | b'`' if joined => joint(rest).map(|length| (None, length)),
            _ => None,
        };
        match undone {
            Some((c, length)) => {
                // A byte as such: what stands in strings is more often data than text.
                match c {
                    Some(c @ 0..=0xff) => out.push(c as u8),
                    Some(c) => push(&mut out, c),
                    None => {}
                }
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

fn number16(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, c| Some(n << 4 | u32::from(hex(*c)?)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn undone() {
        let rows: &[(&str, &[&str])] = &[
            ("a &amp; b &lt; c &nbsp; &#8217; &#64; &#39;", &[]),
            ("&#88;5O&excl;P&#x25;&amp;", &["X5O!P%&"]),
            ("&#0000088;&#88 &#88;", &["XX X"]),
            ("var a = '\\x58\\x35\\x4f\\x21\\u0050\\u{25}\\100\\101P';", &["var a = 'X5O!P%@AP';"]),
            ("a \\x58 in a text", &[]),
            ("unescape('%58%35%u004f')", &["unescape('X5O')"]),
            ("100%25 of it", &[]),
            ("a = \"X5\" + \"O!\" +\n \"P%\"+\"@A\"", &["a = \"X5O!P%@A\""]),
            ("a = \"X5\" + \"O!\" + \"P[4\\\\\"+\"PZ\"", &["a = \"X5O!P[4\\PZ\""]),
            ("a = `X5`+`O!`+`P%`+`@A`", &["a = `X5O!P%@A`"]),
            ("a = 'X5' /* x */ + // y\n'O!'+ /**/'P%'+'@A'", &["a = 'X5O!P%@A'"]),
            ("&#000000000000000000000000000000088;&#x0000000000000000000000000000058;", &["XX"]),
            ("a = \"X5\" + \"O!\"", &[]),
        ];
        for (text, want) in rows {
            let want: Vec<String> = want.iter().map(|want| format!("\0\n{want}")).collect();
            assert_eq!(found(READING.read, text.as_bytes()), want, "{text:?}");
        }
    }
}
