//! The header block of a message or part, read from the raw bytes: where each field stands, and where the body starts.

use std::ops::Range;

use memchr::memchr;

use super::loose::{self, Means};

/// Most fields kept once the limit is reached: only those that say how the body is to be read.
const BEYOND: usize = 16;
/// How much of a body is looked at for a header that goes on after its empty line, in bytes.
const MAX_SECOND: usize = 65_536;
/// Folded lines of a malformed field.
const MAX_FOLDS: usize = 8;

/// One field, as places in the bytes of its entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    /// The name, without colon and white space.
    pub name: Range<usize>,
    /// What follows the colon, folding included, without the last line end.
    pub value: Range<usize>,
    /// It is no well-formed field, but some reader takes it for this one.
    pub loose: Option<Means>,
}

/// A header block.
#[derive(Debug, Clone, Default)]
pub(crate) struct Head {
    /// The fields in order.
    pub fields: Vec<Field>,
    /// Where the body starts; the length of the entity where there is none.
    pub body: usize,
    /// No empty line ends the block.
    pub unended: bool,
    /// The first line that is no field.
    pub no_field: Option<Range<usize>>,
    /// The first line of nothing but blanks, which goes on with the field before it.
    pub blank: Option<Range<usize>>,
    /// Fields were left out: there are more than the limit.
    pub cut: bool,
}

impl Head {
    /// The fields of this name (lower case), in order, as the bytes of their values.
    pub(crate) fn values<'a>(&'a self, bytes: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        let named = move |field: &&Field| {
            field.loose.is_none() && bytes.get(field.name.clone()).is_some_and(|n| n.eq_ignore_ascii_case(name.as_bytes()))
        };
        self.fields.iter().filter(named).map(|field| bytes.get(field.value.clone()).unwrap_or_default())
    }

    /// The same for those that only some reader takes for such a field.
    pub(crate) fn loose_values<'a>(&'a self, bytes: &'a [u8], means: Means) -> impl Iterator<Item = &'a [u8]> + 'a {
        let named = move |field: &&Field| field.loose == Some(means);
        self.fields.iter().filter(named).map(|field| bytes.get(field.value.clone()).unwrap_or_default())
    }

    /// The same block for a reader that ends it at `end` and starts the body at `body`.
    fn ended_at(&self, end: usize, body: usize) -> Self {
        let mut fields: Vec<Field> = self.fields.iter().filter(|field| field.name.start < end).cloned().collect();
        fields.iter_mut().for_each(|field| field.value.end = field.value.end.min(end).max(field.value.start));
        Self { fields, body, ..Self::default() }
    }
}

/// How a reader leaves the most regular reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    /// The header ends at a line that is no field.
    NoField,
    /// The header ends at a line of blanks.
    Blanks,
    /// The header goes on after its empty line.
    GoesOn,
}

impl Odd {
    /// What the header does, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::NoField => "ends at a line that is no field",
            Self::Blanks => "ends at a line of blanks",
            Self::GoesOn => "goes on after its empty line",
        }
    }
}

/// Every way to read the header block at the start of `bytes`, the most regular one first.
pub(crate) fn readings(bytes: &[u8], max_fields: usize, max_bytes: usize) -> Vec<(Option<Odd>, Head)> {
    let head = read(bytes, max_fields, max_bytes);
    let mut others = Vec::new();
    if let Some(line) = head.no_field.as_ref().filter(|line| line.start != head.body) {
        others.push((Some(Odd::NoField), head.ended_at(line.start, line.start)));
    }
    if let Some(blank) = &head.blank {
        others.push((Some(Odd::Blanks), head.ended_at(blank.start, blank.end)));
    }
    others.extend(second_block(bytes, &head, max_fields, max_bytes).map(|second| (Some(Odd::GoesOn), second)));
    let mut all = vec![(None, head)];
    all.extend(others);
    all
}

/// The block together with the fields that follow its empty line, where these say how the body is to be read.
fn second_block(bytes: &[u8], head: &Head, max_fields: usize, max_bytes: usize) -> Option<Head> {
    let rest = bytes.get(head.body..)?;
    let blanks = rest.iter().take_while(|c| c.is_ascii_whitespace()).count();
    let start = head.body + blanks;
    let text = bytes.get(start..bytes.len().min(start.saturating_add(MAX_SECOND)))?;
    let first = text.get(..memchr(b'\n', text.get(..998.min(text.len()))?).unwrap_or(text.len()))?;
    if head.cut || head.unended || (colon(first).is_none() && loose::field(first).is_none()) {
        return None;
    }
    let second = read(text, max_fields, max_bytes.min(MAX_SECOND));
    let shapes = |field: &Field| field.loose.is_some() || text.get(field.name.clone()).is_some_and(is_mime);
    if !second.fields.iter().any(shapes) {
        return None;
    }
    let moved = |range: &Range<usize>| range.start + start..range.end + start;
    let second_fields = second.fields.iter().map(|field| Field { name: moved(&field.name), value: moved(&field.value), ..*field });
    let fields = head.fields.iter().cloned().chain(second_fields).collect();
    Some(Head { fields, body: start + second.body, ..Head::default() })
}

/// Reads the header block at the start of `bytes` (RFC 5322 section 2.2). Takes CRLF, bare LF; lines without a colon are stepped over.
pub(crate) fn read(bytes: &[u8], max_fields: usize, max_bytes: usize) -> Head {
    let mut block = Block { bytes, head: Head { body: bytes.len(), unended: true, ..Head::default() }, open: false, max_fields, max_bytes };
    let mut at = 0;
    while at < bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let next = memchr(b'\n', rest).map_or(bytes.len(), |n| at + n + 1);
        let line = trim_line_end(bytes.get(at..next).unwrap_or_default());
        match line.first() {
            None => {
                block.head.body = next;
                block.head.unended = false;
                break;
            }
            Some(b' ' | b'\t') if block.open => block.fold(at, line, next),
            _ if line.iter().all(|c| *c <= b' ') => _ = block.head.blank.get_or_insert(at..next),
            _ => block.line(at, line, next),
        }
        at = next;
    }
    block.end()
}

/// A header block being read.
struct Block<'a> {
    bytes: &'a [u8],
    head: Head,
    /// There is a field that may go on.
    open: bool,
    max_fields: usize,
    max_bytes: usize,
}

impl Block<'_> {
    /// A line that starts with a blank: it goes on with the field before it.
    fn fold(&mut self, at: usize, line: &[u8], next: usize) {
        if line.iter().all(|c| *c <= b' ') {
            self.head.blank.get_or_insert(at..next);
            return;
        }
        if let Some(field) = self.head.fields.last_mut().filter(|_| !self.head.cut) {
            field.value.end = at + line.len();
        }
        // Some readers step over the blank.
        if let Some((means, from)) = loose::indented(line) {
            self.add(Field { name: at..at, value: at + from..at + line.len(), loose: Some(means) }, next);
        }
    }

    /// A line of its own.
    fn line(&mut self, at: usize, line: &[u8], next: usize) {
        if let Some((name, colon)) = colon(line) {
            self.open = true;
            let written = line.get(..name).unwrap_or_default();
            let loose = if loose::is_well_formed(written) { None } else { loose::name(line.get(..=colon).unwrap_or_default()) };
            self.add(Field { name: at..at + name, value: at + colon + 1..at + line.len(), loose }, next);
            return;
        }
        if is_mbox_from(line) {
            return;
        }
        self.head.no_field.get_or_insert(at..at + line.len());
        // A name that is folded, has characters that do not belong there, or no colon behind it.
        let logical = self.bytes.get(at..logical_end(self.bytes, next)).unwrap_or_default();
        let logical = trim_line_end(logical);
        if let Some((means, from)) = loose::field(logical) {
            self.open = true;
            self.add(Field { name: at..at + line.len().min(from), value: at + from..at + logical.len(), loose: Some(means) }, next);
        }
    }

    fn add(&mut self, field: Field, next: usize) {
        let head = &mut self.head;
        head.cut |= head.fields.len() >= self.max_fields || next > self.max_bytes;
        let shapes = field.loose.is_some() || self.bytes.get(field.name.clone()).is_some_and(is_mime);
        if !head.cut || (shapes && head.fields.len() < self.max_fields.saturating_add(BEYOND)) {
            head.fields.push(field);
        }
    }

    /// Without an empty line, the body starts where the fields end.
    fn end(mut self) -> Head {
        if self.head.unended {
            let line = self.head.no_field.as_ref().map(|line| line.start);
            let blank = self.head.blank.as_ref().map(|blank| blank.end);
            if let Some(body) = [line, blank].into_iter().flatten().min() {
                self.head.body = body;
            }
        }
        self.head
    }
}

/// Where the lines end that start with a blank, from `at` on; looked for within bounds.
fn logical_end(bytes: &[u8], mut at: usize) -> usize {
    for _ in 0..MAX_FOLDS {
        let Some(rest) = bytes.get(at..).filter(|rest| matches!(rest.first(), Some(b' ' | b'\t'))) else { break };
        at = memchr(b'\n', rest).map_or(bytes.len(), |n| at + n + 1);
    }
    at
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

pub(super) fn is_mime(line: &[u8]) -> bool {
    line.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Shown<'a> = (Vec<(&'a str, &'a str)>, &'a str);

    fn shown(text: &str) -> Vec<Shown<'_>> {
        let one = |head: &Head| {
            let fields = head.fields.iter().map(|f| (&text[f.name.clone()], text[f.value.clone()].trim())).collect();
            (fields, &text[head.body..])
        };
        readings(text.as_bytes(), 100, 10_000).iter().map(|(_, head)| one(head)).collect()
    }

    #[test]
    fn blocks() {
        type Row<'a> = (&'a str, &'a [(&'a [(&'a str, &'a str)], &'a str)]);
        let rows: &[Row] = &[
            ("", &[(&[], "")]),
            ("\r\nbody", &[(&[], "body")]),
            ("A: 1\r\nB: 2\r\n\r\nbody", &[(&[("A", "1"), ("B", "2")], "body")]),
            ("A: 1\nB: 2\n\nbody", &[(&[("A", "1"), ("B", "2")], "body")]),
            ("A : 1\r\n\r\n", &[(&[("A", "1")], "")]),
            ("A: 1\r\n 2\r\n\t3\r\n\r\nx", &[(&[("A", "1\r\n 2\r\n\t3")], "x")]),
            ("A: 1\r\n \r\n 3\r\n\r\nx", &[(&[("A", "1\r\n \r\n 3")], "x"), (&[("A", "1")], " 3\r\n\r\nx")]),
            ("From me Mon\r\nA: 1\r\n\r\nx", &[(&[("A", "1")], "x")]),
            ("A: 1\r\nno field\r\nB: 2\r\n\r\nx", &[(&[("A", "1"), ("B", "2")], "x"), (&[("A", "1")], "no field\r\nB: 2\r\n\r\nx")]),
            ("A: 1\r\nWDVPIVAl\r\nWDVP", &[(&[("A", "1")], "WDVPIVAl\r\nWDVP")]),
            ("A: 1", &[(&[("A", "1")], "")]),
            (
                "A: 1\r\n\r\n\r\nContent-Type: b\r\n\r\nx",
                &[(&[("A", "1")], "\r\nContent-Type: b\r\n\r\nx"), (&[("A", "1"), ("Content-Type", "b")], "x")],
            ),
            ("A: 1\r\n\r\nB: 2\r\n\r\nx", &[(&[("A", "1")], "B: 2\r\n\r\nx")]),
        ];
        for (text, want) in rows {
            let want: Vec<Shown> = want.iter().map(|(fields, body)| (fields.to_vec(), *body)).collect();
            assert_eq!(shown(text), want, "{text:?}");
        }
    }

    #[test]
    fn fields_that_only_some_readers_know() {
        for text in [
            "Content_Type: a/b",
            "\u{feff}Content-Type: a/b",
            "Content-Type; a/b",
            "Content-Type a/b",
            "Content-\r\n Type: a/b",
            "Content\u{1}-Type: a/b",
            "=?utf-8?q?Content-Type?=: a/b",
            "X: y\r\n Content-Type: multipart/b",
            " Content-Type: a/b",
        ] {
            let text = format!("{text}\r\n\r\nbody");
            let head = read(text.as_bytes(), 100, 10_000);
            let values: Vec<&[u8]> = head.loose_values(text.as_bytes(), Means::Type).collect();
            assert!(values.len() == 1 && values[0].ends_with(b"/b"), "{text:?} {values:?}");
            assert_eq!(&text[head.body..], "body");
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
