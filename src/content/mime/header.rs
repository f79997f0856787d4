//! The header block of a message or part, read from the raw bytes: where each field stands, and where the body starts.

use std::ops::Range;

use memchr::memchr;

/// Most fields kept once the limit is reached: only those that say how the body is to be read.
const BEYOND: usize = 16;

/// One field, as places in the bytes of its entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name, without colon and white space.
    pub name: Range<usize>,
    /// What follows the colon, folding included, without the last line end.
    pub value: Range<usize>,
}

/// A header block.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The fields in order.
    pub fields: Vec<Field>,
    /// Where the body starts; the length of the entity where there is none.
    pub body: usize,
    /// Where a reader that takes the first line without a field for text would start the body, if that is elsewhere.
    pub other_body: Option<usize>,
    /// No empty line ends the block.
    pub unended: bool,
    /// The first line that is no field.
    pub no_field: Option<Range<usize>>,
    /// Fields were left out: there are more than the limit.
    pub cut: bool,
}

impl Head {
    /// The fields of this name (lower case), in order, as the bytes of their values.
    pub(crate) fn values<'a>(&'a self, bytes: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let named = move |field: &&Field| bytes.get(field.name.clone()).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()));
        self.fields.iter().filter(named).map(|field| bytes.get(field.value.clone()).unwrap_or_default())
    }
}

/// Reads the header block at the start of `bytes` (RFC 5322 section 2.2). Takes CRLF, bare LF; lines without a colon are stepped over.
pub(crate) fn read(bytes: &[u8], max_fields: usize, max_bytes: usize) -> Head {
    let mut head = Head { body: bytes.len(), unended: true, ..Head::default() };
    let mut at = 0;
    let mut open = false;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let next = memchr(b'\n', rest).map_or(bytes.len(), |n| at + n + 1);
        let line = trim_line_end(bytes.get(at..next).unwrap_or_default());
        match line.first() {
            None => {
                head.body = next;
                head.unended = false;
                break;
            }
            Some(b' ' | b'\t') if open => {
                let blank = line.iter().all(u8::is_ascii_whitespace);
                if blank {
                    head.other_body.get_or_insert(next);
                }
                if let Some(field) = head.fields.last_mut().filter(|_| !head.cut && !blank) {
                    field.value.end = at + line.len();
                }
            }
            _ => match colon(line) {
                Some((name, colon)) => {
                    open = true;
                    head.cut |= head.fields.len() >= max_fields || next > max_bytes;
                    let kept = !head.cut || (is_mime(line) && head.fields.len() < max_fields.saturating_add(BEYOND));
                    if kept {
                        head.fields.push(Field { name: at..at + name, value: at + colon + 1..at + line.len() });
                    }
                }
                None if is_mbox_from(line) => {}
                None => {
                    head.no_field.get_or_insert(at..at + line.len());
                    head.other_body.get_or_insert(at);
                }
            },
        }
        at = next;
    }
    if head.unended
        && let Some(other) = head.other_body.take()
    {
        head.body = other;
    }
    head
}

/// `line` without CR and LF at its end.
pub(crate) fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The lengths of a field's name and of what stands before its colon; blanks before the colon are let through (RFC 5322 section 4.5).
fn colon(line: &[u8]) -> Option<(usize, usize)> {
    let colon = memchr(b':', line.get(..line.len().min(998)).unwrap_or_default())?;
    let name = line.get(..colon)?.trim_ascii_end();
    let ok = !name.is_empty() && name.iter().all(|c| c.is_ascii_graphic() || *c >= 0x80);
    ok.then_some((name.len(), colon))
}

fn is_mbox_from(line: &[u8]) -> bool {
    line.starts_with(b"From ") || line.starts_with(b">From ")
}

fn is_mime(line: &[u8]) -> bool {
    line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> (Vec<(&str, &str)>, &str, Option<&str>) {
        let head = read(text.as_bytes(), 100, 10_000);
        let fields = head.fields.iter().map(|f| (&text[f.name.clone()], text[f.value.clone()].trim())).collect();
        (fields, &text[head.body..], head.other_body.map(|at| &text[at..]))
    }

    #[test]
    fn blocks() {
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str, Option<&'a str>);
        let rows: &[Row] = &[
            ("", &[], "", None),
            ("\r\nbody", &[], "body", None),
            ("A: 1\r\nB: 2\r\n\r\nbody", &[("A", "1"), ("B", "2")], "body", None),
            ("A: 1\nB: 2\n\nbody", &[("A", "1"), ("B", "2")], "body", None),
            ("A : 1\r\n\r\n", &[("A", "1")], "", None),
            ("A: 1\r\n 2\r\n\t3\r\n\r\nx", &[("A", "1\r\n 2\r\n\t3")], "x", None),
            ("A: 1\r\n \r\n 3\r\n\r\nx", &[("A", "1\r\n \r\n 3")], "x", Some(" 3\r\n\r\nx")),
            ("From me Mon\r\nA: 1\r\n\r\nx", &[("A", "1")], "x", None),
            ("A: 1\r\nno field\r\nB: 2\r\n\r\nx", &[("A", "1"), ("B", "2")], "x", Some("no field\r\nB: 2\r\n\r\nx")),
            ("A: 1\r\nWDVPIVAl\r\nWDVP", &[("A", "1")], "WDVPIVAl\r\nWDVP", None),
            ("A: 1", &[("A", "1")], "", None),
            (" x\r\nA: 1\r\n\r\n", &[("A", "1")], "", Some(" x\r\nA: 1\r\n\r\n")),
        ];
        for (text, fields, body, other) in rows {
            assert_eq!(shown(text), (fields.to_vec(), *body, *other), "{text:?}");
        }
    }

    #[test]
    fn beyond_the_limit_only_what_shapes_the_body() {
        let text = format!("{}Content-Type: a/b\r\nX: y\r\n\r\nbody", "X: y\r\n".repeat(50));
        let head = read(text.as_bytes(), 10, 10_000);
        assert!(head.cut && head.fields.len() == 11);
        assert_eq!(head.values(text.as_bytes(), "content-type").collect::<Vec<_>>(), [b" a/b"]);
        assert_eq!(&text[head.body..], "body");
    }
}
