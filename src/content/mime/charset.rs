//! Charsets: bytes to text, by label where it is known, else by what the bytes are.

use std::borrow::Cow;

use encoding_rs::{Encoding, REPLACEMENT, UTF_16BE, UTF_16LE, WINDOWS_1252};
use mail_parser::decoders::charsets::map::charset_decoder;

use super::base64::{self, Style};

/// `bytes` as text. Never fails: what is no text in the charset becomes U+FFFD; unknown labels are read as UTF-8, else as Windows-1252.
pub(crate) fn decode<'a>(bytes: &'a [u8], label: Option<&str>) -> Cow<'a, str> {
    let label = label.unwrap_or_default().trim();
    if let Some(text) = decode_wide(bytes, label) {
        return Cow::Owned(text);
    }
    match Encoding::for_label(label.as_bytes()).filter(|encoding| *encoding != REPLACEMENT && *encoding != WINDOWS_1252) {
        Some(encoding) => encoding.decode(bytes).0,
        // Mail that says nothing, or us-ascii, and is UTF-8, is the rule today.
        None => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text.strip_prefix('\u{FEFF}').unwrap_or(text)),
            // mail-parser knows some that the web's tables leave out.
            Err(_) => match charset_decoder(label.as_bytes()).filter(|_| Encoding::for_label(label.as_bytes()).is_none()) {
                Some(decoder) => Cow::Owned(decoder(bytes)),
                None => WINDOWS_1252.decode_without_bom_handling(bytes).0,
            },
        },
    }
}

/// Text in a charset whose bytes do not show ASCII as itself (UTF-7, UTF-16, UTF-32), by label or byte order mark; `None` for all others.
/// A scanner that looks at the bytes sees nothing there.
pub(crate) fn decode_wide(bytes: &[u8], label: &str) -> Option<String> {
    let is = |name: &str| label.eq_ignore_ascii_case(name);
    match bytes {
        [0xFF, 0xFE, 0, 0, rest @ ..] => return Some(utf32(rest, u32::from_le_bytes)),
        [0, 0, 0xFE, 0xFF, rest @ ..] => return Some(utf32(rest, u32::from_be_bytes)),
        [0xFF, 0xFE, rest @ ..] => return Some(UTF_16LE.decode_without_bom_handling(rest).0.into_owned()),
        [0xFE, 0xFF, rest @ ..] => return Some(UTF_16BE.decode_without_bom_handling(rest).0.into_owned()),
        _ => {}
    }
    if is("utf-16be") {
        return Some(UTF_16BE.decode_without_bom_handling(bytes).0.into_owned());
    } else if is("utf-16") || is("utf-16le") || is("unicode") || is("ucs-2") || is("iso-10646-ucs-2") || is("csunicode") {
        // Unlabelled order: the side on which the zeros stand.
        let zeros = |odd: usize| bytes.iter().take(512).skip(odd).step_by(2).filter(|c| **c == 0).count();
        let encoding = if !is("utf-16le") && zeros(0) > zeros(1) { UTF_16BE } else { UTF_16LE };
        return Some(encoding.decode_without_bom_handling(bytes).0.into_owned());
    } else if is("utf-32be") || is("utf-32") || is("ucs-4") || is("iso-10646-ucs-4") || is("csucs4") || is("ucs-4be") {
        return Some(utf32(bytes, if bytes.first() == Some(&0) { u32::from_be_bytes } else { u32::from_le_bytes }));
    } else if is("utf-32le") || is("ucs-4le") {
        return Some(utf32(bytes, u32::from_le_bytes));
    }
    // UTF-7 is the one charset of mail that the web's tables leave out, and mail-parser's reading of `+-` is not RFC 2152's.
    let utf7 = is("utf-7") || is("unicode-1-1-utf-7") || is("x-unicode-2-0-utf-7") || is("csunicode11utf7");
    utf7.then(|| String::from_utf8_lossy(&unshift(bytes, b'+', Style::Chunks)).into_owned())
}

/// UTF-7 (RFC 2152) as UTF-8, as lenient readers take it; with `&` and [`Style::Comma`] its form for mailbox names.
pub(super) fn unshift(data: &[u8], shift: u8, style: Style) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(at) = memchr::memchr(shift, rest) {
        let (plain, tail) = rest.split_at(at);
        out.extend_from_slice(plain);
        let tail = tail.get(1..).unwrap_or_default();
        let is_letter = |c: u8| c != b'-' && c != b'_' && base64::is_letter(c) || (style == Style::Comma && c == b',');
        let length = tail.iter().take_while(|c| is_letter(**c)).count();
        let units = base64::decode(tail.get(..length).unwrap_or_default(), style).bytes;
        let units = units.as_chunks::<2>().0.iter().map(|unit| u16::from_be_bytes(*unit));
        let before = out.len();
        for c in char::decode_utf16(units) {
            out.extend_from_slice(c.unwrap_or('\u{FFFD}').encode_utf8(&mut [0; 4]).as_bytes());
        }
        rest = tail.get(length..).unwrap_or_default();
        if out.len() == before {
            // `+-` is the sign itself; and a sign with a word behind it is one too.
            out.push(shift);
            out.extend_from_slice(tail.get(..length).unwrap_or_default());
        }
        rest = rest.strip_prefix(b"-").unwrap_or(rest);
    }
    out.extend_from_slice(rest);
    out
}

fn utf32(bytes: &[u8], read: fn([u8; 4]) -> u32) -> String {
    let units = bytes.as_chunks::<4>().0;
    units.iter().map(|unit| char::from_u32(read(*unit)).unwrap_or('\u{FFFD}')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let rows: &[(&[u8], Option<&str>, &str)] = &[
            (b"abc", None, "abc"),
            ("grüße".as_bytes(), None, "grüße"),
            ("grüße".as_bytes(), Some("us-ascii"), "grüße"),
            (b"gr\xfc\xdfe", None, "grüße"),
            (b"gr\xfc\xdfe", Some("iso-8859-1"), "grüße"),
            (b"gr\xfc\xdfe", Some("no-such-charset"), "grüße"),
            (b"\xd0\xd2", Some("KOI8-R"), "пр"),
            (b"\x82\xa0", Some("shift_jis"), "あ"),
            (b"\x1b$B$\"\x1b(B", Some("iso-2022-jp"), "あ"),
            (b"+AOQ-b", Some("utf-7"), "äb"),
            (b"a+-b+ACE-", Some("utf-7"), "a+b!"),
            (b"a\0b\0", Some("utf-16le"), "ab"),
            (b"\0a\0b", Some("utf-16"), "ab"),
            (b"\xff\xfea\0", None, "a"),
            (b"\0\0\0a", Some("utf-32"), "a"),
            (b"a\0\0\0b", Some("utf-32le"), "a"),
            (b"\xff\xff", Some("utf-8"), "\u{FFFD}\u{FFFD}"),
        ];
        for (bytes, label, want) in rows {
            assert_eq!(decode(bytes, *label), *want, "{bytes:?} {label:?}");
        }
    }
}
