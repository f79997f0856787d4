//! Lines that are no well-formed field, and that some reader takes for one of those that say how a body is to be read: a blank, a control
//! or an 8-bit character in the name, an underscore for a dash, a name in an encoded word, no colon behind it.

use super::field::{Encoding, Structured};
use super::words;

/// The field that a line is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// Content-Type
    Type,
    /// Content-Transfer-Encoding
    Encoding,
    /// Content-Disposition
    Disposition,
}

/// The names as they ought to be written.
const NAMES: [&str; 3] = ["content-type", "content-transfer-encoding", "content-disposition"];

/// Their letters, and those of other names that readers know for them.
const LETTERS: [(&[u8], Means); 5] = [
    (b"contenttype", Means::Type),
    (b"contenttransferencoding", Means::Encoding),
    (b"contentdisposition", Means::Disposition),
    (b"transferencoding", Means::Encoding),
    (b"contentencoding", Means::Encoding),
];

/// Characters before the last letter of a name, at most.
const MAX_NAME: usize = 200;
/// Characters in a name that do not belong there, at most.
const MAX_JUNK: usize = 24;

/// Whether a name is exactly as it ought to be.
pub(super) fn is_well_formed(name: &[u8]) -> bool {
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// What a line (folding included) is taken for, and where its value starts.
pub(super) fn field(line: &[u8]) -> Option<(Means, usize)> {
    // Cheap for nearly all lines: the first letter is none of ours, or there is none.
    let at = line.iter().take(MAX_JUNK).position(|c| c.is_ascii_alphanumeric() || *c == b'=')?;
    let second = line.get(at + 1).map(u8::to_ascii_lowercase).filter(u8::is_ascii_alphanumeric);
    let begins = match line.get(at)? {
        b'c' | b'C' => second.is_none_or(|c| c == b'o'),
        b't' | b'T' => second.is_none_or(|c| c == b'r'),
        b'=' => true,
        _ => return None,
    };
    if !begins {
        return None;
    }
    let plain = LETTERS.iter().find_map(|(letters, means)| eat(line, letters).map(|from| (*means, from)));
    plain.or_else(|| {
        let colon = memchr::memchr(b':', line.get(..line.len().min(MAX_NAME))?)?;
        Some((word(line.get(..colon)?)?, colon + 1))
    })
}

/// Whether a text starts with a field of this kind, well-formed or not.
pub(super) fn starts_field(text: &[u8]) -> bool {
    let line = text.get(..text.len().min(MAX_NAME)).unwrap_or_default();
    field(line).is_some() || line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
}

/// What a name is taken for, its colon included.
pub(super) fn name(name: &[u8]) -> Option<Means> {
    field(name).map(|(means, _)| means)
}

/// What a name is taken for that is written as an encoded word (RFC 2047).
fn word(name: &[u8]) -> Option<Means> {
    if !words::has_word(name) {
        return None;
    }
    let name = words::decode(name);
    LETTERS.iter().find(|(letters, _)| eat(name.as_bytes(), letters).is_some_and(|end| end == name.len())).map(|(_, means)| *means)
}

/// The same as [`field`] for a line that starts with a blank and so belongs to the field before it: only where its value has a meaning,
/// since a signature lists names of fields.
pub(super) fn indented(line: &[u8]) -> Option<(Means, usize)> {
    let (means, from) = field(line)?;
    let value = line.get(from..)?;
    let speaks = match means {
        Means::Type => {
            let value = Structured::read(value).value;
            value.starts_with("multipart/") || value.starts_with("message/")
        }
        Means::Encoding => !matches!(Encoding::read(value), Encoding::Identity | Encoding::Unknown),
        Means::Disposition => false,
    };
    speaks.then_some((means, from))
}

/// Steps over the letters with whatever stands between them, and over what parts a name from its value.
fn eat(line: &[u8], letters: &[u8]) -> Option<usize> {
    let mut wanted = letters.iter();
    let mut next = wanted.next();
    let (mut at, mut junk) = (0, 0);
    while let Some(letter) = next {
        let c = line.get(at).filter(|_| at < MAX_NAME)?;
        match c {
            c if c.eq_ignore_ascii_case(letter) => next = wanted.next(),
            b':' => return None,
            c if c.is_ascii_alphanumeric() || junk > MAX_JUNK => return None,
            _ => junk += 1,
        }
        at += 1;
    }
    let rest = line.get(at..)?;
    if rest.first().is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.' | b'/')) {
        return None;
    }
    // The colon is behind what follows the name, or there is none.
    let gap = rest.iter().take_while(|c| !c.is_ascii_alphanumeric() && !matches!(c, b'"' | b'(' | b'<' | b'=')).count();
    let gap = match rest.iter().take(gap).position(|c| *c == b':') {
        Some(colon) => colon + 1,
        None => gap,
    };
    Some(at + gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let rows: &[(&str, Option<(Means, &str)>)] = &[
            ("Content-Type: a", Some((Means::Type, " a"))),
            ("Content Type : a", Some((Means::Type, " a"))),
            ("content_transfer_encoding: b", Some((Means::Encoding, " b"))),
            ("Transfer-Encoding: b", Some((Means::Encoding, " b"))),
            ("\u{feff}Content-Disposition: c", Some((Means::Disposition, " c"))),
            ("Content-Type text/html", Some((Means::Type, "text/html"))),
            ("Content-Type; a", Some((Means::Type, "a"))),
            ("Content-Type", Some((Means::Type, ""))),
            ("X-Content-Type: a", None),
            ("Content-Type-X: a", None),
            ("Content-Types: a", None),
            ("Content:-Type: a", None),
            ("Content", None),
            ("", None),
        ];
        for (line, want) in rows {
            for end in 0..line.len() {
                field(&line.as_bytes()[..end]);
            }
            assert_eq!(field(line.as_bytes()).map(|(means, from)| (means, &line[from..])), *want, "{line:?}");
        }
        assert_eq!(word(b"=?utf-8?b?Q29udGVudC1UeXBl?="), Some(Means::Type));
        assert_eq!(word(b"=?utf-8?q?Subject?="), None);
        assert_eq!(indented(b" Content-Transfer-Encoding:MIME-Version:Subject"), None);
        assert_eq!(indented(b"\tContent-Type:Content-Transfer-Encoding"), None);
        assert!(indented(b"  Content-Type: multipart/mixed").is_some());
    }
}
