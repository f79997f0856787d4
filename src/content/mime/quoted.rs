//! Quoted-printable (RFC 2045 section 6.7) as lenient readers take it.

use memchr::memchr;

/// What becomes of an `=` that starts no escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    /// It stands for itself, as RFC 2045 advises.
    Keep,
    /// It is dropped.
    Drop,
    /// It is dropped with the two characters after it.
    DropDigits,
    /// It is kept; but where a carriage return without a line feed follows it, all is skipped up to the line feed.
    SkipLine,
}

/// Decodes; tells how many `=` started no escape.
pub(crate) fn decode(text: &[u8], bad: Bad) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len());
    let mut wrong = 0;
    let mut rest = text;
    while let Some(at) = memchr(b'=', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        rest = escape.get(1..).unwrap_or_default();
        if let [high, low, tail @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            rest = tail;
        } else if bad == Bad::SkipLine && rest.first() == Some(&b'\r') {
            rest = memchr(b'\n', rest).and_then(|end| rest.get(end + 1..)).unwrap_or_default();
        } else if let Some(tail) = soft_break(rest) {
            // A carriage return of its own ends a line for some readers; others go on to the line feed.
            wrong += usize::from(rest.first() == Some(&b'\r') && !rest.starts_with(b"\r\n") && !rest.starts_with(b"\r\r\n"));
            rest = tail;
        } else {
            wrong += 1;
            match bad {
                Bad::Keep | Bad::SkipLine => out.push(b'='),
                Bad::Drop => {}
                Bad::DropDigits => rest = rest.get(rest.iter().take(2).take_while(|c| c.is_ascii_graphic()).count()..).unwrap_or_default(),
            }
        }
    }
    out.extend_from_slice(rest);
    (out, wrong)
}

/// The text without its soft line breaks, for readers that take these out before they look for escapes.
pub(crate) fn without_breaks(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr(b'=', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let behind = escape.get(1..).unwrap_or_default();
        rest = soft_break(behind).unwrap_or_else(|| {
            out.push(b'=');
            behind
        });
    }
    out.extend_from_slice(rest);
    out
}

/// What follows a soft line break, where `rest` (after the `=`) starts with one: blanks, then a line end or nothing more.
fn soft_break(rest: &[u8]) -> Option<&[u8]> {
    let blanks = rest.iter().take_while(|c| matches!(c, b' ' | b'\t')).count();
    match rest.get(blanks..)? {
        [b'\r', b'\r', b'\n', tail @ ..] | [b'\r', b'\n', tail @ ..] | [b'\n' | b'\r', tail @ ..] => Some(tail),
        [] => Some(&[]),
        _ => None,
    }
}

/// The value of a hexadecimal digit in either case.
pub(crate) fn hex(c: u8) -> Option<u8> {
    match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        b'A'..=b'F' => Some(c - b'A' + 10),
        _ => None,
    }
}

/// Whether `text` could be quoted-printable: has an escape of a byte, and more escapes and soft breaks than other `=`.
pub(crate) fn looks_like(text: &[u8]) -> bool {
    let head = text.get(..text.len().min(64 * 1024)).unwrap_or_default();
    let (mut good, mut other) = (0, 0);
    for at in memchr::memchr_iter(b'=', head) {
        match head.get(at + 1..).unwrap_or_default() {
            [high, low, ..] if hex(*high).is_some() && hex(*low).is_some() => good += 1,
            rest if soft_break(rest).is_some() => good += 1,
            _ => other += 1,
        }
    }
    good > other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        let rows: &[(&str, &str, usize)] = &[
            ("", "", 0),
            ("plain", "plain", 0),
            ("=41=42", "AB", 0),
            ("=4a=4A", "JJ", 0),
            ("a=\r\nb", "ab", 0),
            ("a=\nb", "ab", 0),
            ("a= \t\r\nb", "ab", 0),
            ("a=\r\r\nb", "ab", 0),
            ("a=\rjunk\nb", "ajunk\nb", 1),
            ("a=", "a", 0),
            ("a=4", "a=4", 1),
            ("a=ZZb", "a=ZZb", 1),
            ("==41", "=A", 1),
            ("a\r\nb\r\n", "a\r\nb\r\n", 0),
        ];
        for (text, want, wrong) in rows {
            let (got, count) = decode(text.as_bytes(), Bad::Keep);
            assert_eq!((String::from_utf8_lossy(&got).as_ref(), count), (*want, *wrong), "{text:?}");
        }
        assert_eq!(decode(b"a=ZZ=41", Bad::Drop).0, b"aZZA");
        assert_eq!(decode(b"a=ZZ=41=4", Bad::DropDigits).0, b"aA");
        assert_eq!(decode(b"a=\rjunk\nb=41", Bad::SkipLine).0, b"abA");
        assert!(looks_like(b"a=3D1 b=\r\n c") && !looks_like(b"a = b, c == d") && !looks_like(b"none"));
    }
}
