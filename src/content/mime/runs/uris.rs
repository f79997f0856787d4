//! `data:` URIs (RFC 2397), in any attribute, style or script.

use std::ops::Range;

use super::super::base64::{self, Style};
use super::super::{escapes, quoted};
use super::Pile;

/// The longest media type with its parameters.
const HEAD: usize = 300;
/// URIs decoded of one text.
const MAX_URIS: usize = 2_000;

/// Decodes each URI onto the pile; tells where they stand, in order.
pub(super) fn each(data: &[u8], pile: &mut Pile) -> Vec<Range<usize>> {
    let mut taken: Vec<Range<usize>> = Vec::new();
    let colons = memchr::memchr_iter(b':', data);
    for colon in colons {
        let Some(start) = colon.checked_sub(4).filter(|start| *start >= taken.last().map_or(0, |range| range.end)) else { continue };
        if !data.get(start..colon).is_some_and(|word| word.eq_ignore_ascii_case(b"data")) || taken.len() >= MAX_URIS || pile.full {
            continue;
        }
        let rest = data.get(colon + 1..).unwrap_or_default();
        let Some(comma) = memchr::memchr(b',', rest.get(..rest.len().min(HEAD)).unwrap_or_default()) else { continue };
        let head = rest.get(..comma).unwrap_or_default();
        if head.iter().any(|c| matches!(c, b'<' | b'>' | b'(' | b')' | b'\n')) {
            continue;
        }
        let body = rest.get(comma + 1..).unwrap_or_default();
        let quote = start.checked_sub(1).and_then(|before| data.get(before)).copied().unwrap_or_default();
        let body = body.get(..length(body, quote)).unwrap_or_default();
        let is_base64 = head.to_ascii_lowercase().trim_ascii().trim_suffix_slash().ends_with(b"base64");
        // A sentence with the word "data:" in it has no media type.
        if !(is_base64 || head.is_empty() || head.contains(&b'/') || head.starts_with(b";")) {
            continue;
        }
        let plain = percent(&escapes::entities(body));
        if is_base64 {
            let decoded = base64::decode(&plain, Style::Url);
            let through = decoded.after_pad.then(|| base64::decode(&plain, Style::Through).bytes);
            pile.add(decoded.bytes);
            pile.add(through.unwrap_or_default());
        } else {
            pile.add(plain);
        }
        taken.push(start..colon + 1 + comma + 1 + body.len());
    }
    taken
}

/// How long the URI's data is: up to the quote or bracket that closes what stands before it, else up to a blank.
fn length(body: &[u8], before: u8) -> usize {
    let end = match before {
        b'"' | b'\'' | b'`' => memchr::memchr(before, body),
        b'(' => memchr::memchr(b')', body),
        _ => unquoted(body),
    };
    end.unwrap_or(body.len())
}

/// Up to a blank, but over the line ends of folded lines (RFC 5545 section 3.1).
fn unquoted(body: &[u8]) -> Option<usize> {
    let folds = |at: usize| match body.get(at..).unwrap_or_default() {
        [b'\r', b'\n', b' ' | b'\t', ..] | [b'\n', b' ' | b'\t', ..] => true,
        [b' ' | b'\t', ..] => at.checked_sub(1).and_then(|before| body.get(before)) == Some(&b'\n'),
        _ => false,
    };
    body.iter().enumerate().position(|(at, c)| {
        c.is_ascii_whitespace() && !folds(at) && !(*c == b'\n' && at > 0 && folds(at - 1)) || matches!(c, b'"' | b'\'' | b'<' | b'>' | b')')
    })
}

/// A comma is escaped in vCards.
trait Escaped {
    fn trim_suffix_slash(&self) -> &Self;
}

impl Escaped for [u8] {
    fn trim_suffix_slash(&self) -> &[u8] {
        self.strip_suffix(b"\\").unwrap_or(self)
    }
}

/// `%41` as `A`.
pub(super) fn percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = match tail {
            [_, high, low, tail @ ..] if quoted::hex(*high).is_some() && quoted::hex(*low).is_some() => {
                out.push(quoted::hex(*high).unwrap_or_default() << 4 | quoted::hex(*low).unwrap_or_default());
                tail
            }
            _ => {
                out.push(b'%');
                tail.get(1..).unwrap_or_default()
            }
        };
    }
    out.extend_from_slice(rest);
    out
}
