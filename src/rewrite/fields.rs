//! The top header block, field by field, as far as trace and removal need it.

use memchr::memchr;

/// One field, with its folded lines.
pub(super) struct Field<'a> {
    /// What stands before the colon, without the white space that old syntax allows there (RFC 5322 section 4.5.3).
    pub name: &'a [u8],
    /// What stands after the colon, line ends included.
    pub value: &'a [u8],
    /// First byte.
    pub start: usize,
    /// One past the last line end.
    pub end: usize,
}

/// The fields of the top header block: up to the first empty line. A line without a colon is passed over, not taken for
/// the end, because many mail programs read on there.
pub(super) fn fields(raw: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at;
            let line = line(raw, start)?;
            if is_empty(line) {
                return None;
            }
            at += line.len();
            while let Some(next) = self::line(raw, at).filter(|next| matches!(next, [b' ' | b'\t', ..])) {
                at += next.len();
            }
            let Some(colon) = memchr(b':', line) else { continue };
            let (name, value) = (line.get(..colon)?, raw.get(start + colon + 1..at)?);
            return Some(Field { name: name.trim_ascii_end(), value, start, end: at });
        }
    })
}

/// The line that begins at `at`, with its end; `None` at the end of the bytes.
fn line(raw: &[u8], at: usize) -> Option<&[u8]> {
    let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
    Some(memchr(b'\n', rest).and_then(|end| rest.get(..=end)).unwrap_or(rest))
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n" | b"\r")
}

/// The top header block, without the empty line that ends it.
pub fn header_block(raw: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(line) = line(raw, at).filter(|line| !is_empty(line)) {
        at += line.len();
    }
    raw.get(..at).unwrap_or(raw)
}

/// Whether the message is itself a report on delivery (RFC 6522), whatever sender it claims: there is no report about one.
pub fn is_report(raw: &[u8]) -> bool {
    let is = |field: &Field<'_>| {
        let value = field.value.to_ascii_lowercase();
        let has = |word: &[u8]| memchr::memmem::find(&value, word).is_some();
        field.name.eq_ignore_ascii_case(b"content-type") && has(b"multipart/report") && has(b"delivery-status")
    };
    fields(raw).any(|field| is(&field))
}

/// The first word of a structured value, past white space and comments; quotes and escapes resolved.
pub(super) fn first_word(value: &[u8]) -> Vec<u8> {
    let mut word = Vec::new();
    let (mut depth, mut quoted) = (0usize, false);
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if depth > 0 || quoted => {
                let escaped = bytes.next();
                if depth == 0 {
                    word.extend(escaped);
                }
            }
            b'"' if depth == 0 => quoted = !quoted,
            _ if quoted => word.push(byte),
            b'(' if word.is_empty() => depth += 1,
            b')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            b' ' | b'\t' | b'\r' | b'\n' if word.is_empty() => {}
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b'/' => break,
            _ => word.push(byte),
        }
    }
    word
}
