//! Field values as text: unfolded, with encoded words (RFC 2047) decoded.

use std::borrow::Cow;

use memchr::memmem;

use super::base64::{self, Style};
use super::charset;
use super::quoted::{self, Bad};

/// Encoded words read in one value; what follows stays as written.
const MAX_WORDS: usize = 2_000;

/// A field's value as people see it: without folding and outer blanks, encoded words decoded, undecodable bytes replaced.
pub(crate) fn decode(value: &[u8]) -> String {
    let unfolded = unfold(value.trim_ascii());
    if !has_word(&unfolded) {
        // Nearly all values are ASCII.
        return match String::from_utf8(unfolded.into_owned()) {
            Ok(text) if text.is_ascii() => text,
            Ok(text) => charset::decode(text.as_bytes(), None).into_owned(),
            Err(error) => charset::decode(error.as_bytes(), None).into_owned(),
        };
    }
    let mut out = String::with_capacity(unfolded.len());
    // Bytes of words in one charset that follow each other: a character may be split between them.
    let mut pending: Option<(String, Vec<u8>)> = None;
    let mut rest = unfolded.as_ref();
    for _ in 0..MAX_WORDS {
        let Some((before, word, after)) = next_word(rest) else { break };
        if pending.is_none() || !before.trim_ascii().is_empty() {
            settle(&mut pending, &mut out);
            out.push_str(&charset::decode(before, None));
        }
        match &mut pending {
            Some((label, bytes)) if label.eq_ignore_ascii_case(&word.label) => bytes.extend_from_slice(&word.bytes),
            _ => {
                settle(&mut pending, &mut out);
                pending = Some((word.label, word.bytes));
            }
        }
        rest = after;
    }
    settle(&mut pending, &mut out);
    out.push_str(&charset::decode(rest, None));
    out
}

/// Whether an encoded word may stand in a text.
pub(crate) fn has_word(text: &[u8]) -> bool {
    memchr::memchr_iter(b'=', text).any(|at| text.get(at + 1) == Some(&b'?'))
}

/// A value without CR and LF; the blank that follows a line end stays.
pub(crate) fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    let mut unfolded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        unfolded.extend_from_slice(rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    unfolded.extend_from_slice(rest);
    Cow::Owned(unfolded)
}

struct Word {
    label: String,
    bytes: Vec<u8>,
}

/// The first encoded word in `text`, what stands before and after it. Blanks within the encoded text are let through: clients do.
fn next_word(text: &[u8]) -> Option<(&[u8], Word, &[u8])> {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| memmem::find(rest, b"=?")).map(|n| from + n) {
        if let Some((word, len)) = word(text.get(at + 2..)?) {
            return Some((text.get(..at)?, word, text.get(at + 2 + len..)?));
        }
        from = at + 2;
    }
    None
}

/// Reads `charset*language?encoding?text?=`; tells its length too.
fn word(text: &[u8]) -> Option<(Word, usize)> {
    let (label, rest) = text.split_at_checked(text.iter().take(80).position(|c| *c == b'?')?)?;
    let (encoding, rest) = match rest {
        [b'?', encoding, b'?', rest @ ..] => (encoding.to_ascii_lowercase(), rest),
        _ => return None,
    };
    let end = memmem::find(rest, b"?=")?;
    let encoded = rest.get(..end)?;
    let bytes = match encoding {
        b'b' => base64::decode(encoded, Style::Chunks).bytes,
        b'q' => {
            let blanks: Vec<u8> = encoded.iter().map(|c| if *c == b'_' { b' ' } else { *c }).collect();
            quoted::decode(&blanks, Bad::Keep).0
        }
        _ => return None,
    };
    let label = label.split(|c| *c == b'*').next().unwrap_or_default();
    let label = std::str::from_utf8(label).ok().filter(|label| label.bytes().all(|c| c.is_ascii_graphic()))?;
    Some((Word { label: label.to_owned(), bytes }, text.len() - rest.len() + end + 2))
}

fn settle(pending: &mut Option<(String, Vec<u8>)>, out: &mut String) {
    if let Some((label, bytes)) = pending.take() {
        out.push_str(&charset::decode(&bytes, Some(&label)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let rows: &[(&str, &str)] = &[
            ("", ""),
            (" plain ", "plain"),
            ("folded\r\n value", "folded value"),
            ("=?utf-8?q?gr=C3=BC=C3=9Fe?=", "grüße"),
            ("=?UTF-8?B?Z3LDvMOfZQ==?=", "grüße"),
            ("=?iso-8859-1*de?Q?a_b=5Fc?=", "a b_c"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?a?=\r\n =?iso-8859-1?q?b?= c", "ab c"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
            ("x =?utf-8?q?a?= y", "x a y"),
            ("=?utf-8?q?two words?=", "two words"),
            ("=?broken", "=?broken"),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?a=?utf-8?q?b?=", "=?ab"),
            ("=?utf-8?q??=", ""),
        ];
        for (value, want) in rows {
            assert_eq!(decode(value.as_bytes()), *want, "{value:?}");
        }
        assert_eq!(decode(b"gr\xfc\xdfe"), "grüße");
    }

    #[test]
    fn cut_at_every_byte() {
        let whole = b"x =?utf-8*en?B?Z3LDvMOfZQ==?=\r\n =?utf-8?q?=C3=BC_?= y";
        for end in 0..=whole.len() {
            decode(&whole[..end]);
        }
    }
}
