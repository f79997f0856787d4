//! A message with other line ends: readers differ on a CR that stands alone, and on vertical tabs, form feeds and the line ends of Unicode.

/// How much of a message is its header here, in bytes: any odd line end in it counts.
const HEADER: usize = 16_384;
/// How far a line is looked at, in bytes.
const LINE: usize = 1_000;

/// Odd line ends that are looked at; where there are more, they matter.
const MAX_LOOKS: usize = 10_000;

/// What a reader does with an odd line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// A CR alone ends a line.
    Cr,
    /// A CR alone is nothing.
    NoCr,
    /// A vertical tab, a form feed or a record separator ends a line.
    Tabs,
    /// The next line of ISO 6429 ends a line.
    Nel,
    /// The line separator of Unicode ends a line.
    Separator,
}

impl Ends {
    const ALL: [Self; 5] = [Self::Cr, Self::NoCr, Self::Tabs, Self::Nel, Self::Separator];

    /// In plain words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Cr => "a bare CR ends a line",
            Self::NoCr => "a bare CR is nothing",
            Self::Tabs => "a vertical tab or form feed ends a line",
            Self::Nel => "NEL ends a line",
            Self::Separator => "a line separator ends a line",
        }
    }

    /// The message as this reader sees it.
    pub(crate) fn apply(self, bytes: &[u8]) -> Vec<u8> {
        let with = if self == Self::NoCr { &b""[..] } else { b"\r\n" };
        let mut out = Vec::with_capacity(bytes.len());
        let mut from = 0;
        for at in self.places(bytes) {
            out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
            out.extend_from_slice(with);
            from = at + self.len();
        }
        out.extend_from_slice(bytes.get(from..).unwrap_or_default());
        out
    }

    fn len(self) -> usize {
        match self {
            Self::Cr | Self::NoCr | Self::Tabs => 1,
            Self::Nel => 2,
            Self::Separator => 3,
        }
    }

    fn places<'b>(self, bytes: &'b [u8]) -> Box<dyn Iterator<Item = usize> + 'b> {
        match self {
            Self::Cr | Self::NoCr => Box::new(memchr::memchr_iter(b'\r', bytes).filter(|at| bytes.get(at + 1) != Some(&b'\n'))),
            Self::Tabs => Box::new(memchr::memchr3_iter(0x0b, 0x0c, 0x1e, bytes)),
            Self::Nel => Box::new(memchr::memmem::find_iter(bytes, b"\xc2\x85")),
            Self::Separator => Box::new(memchr::memmem::find_iter(bytes, b"\xe2\x80\xa8")),
        }
    }
}

/// The ways in which other readers may see the lines of a message; empty where no odd line end shapes it.
pub(crate) fn others(bytes: &[u8]) -> Vec<Ends> {
    let header = header_end(bytes);
    let matter = |ends: &Ends| {
        let matters = |(i, at): (usize, usize)| i >= MAX_LOOKS || (at < header && ends.len() == 1) || shapes(bytes, at, ends.len());
        ends.places(bytes).enumerate().any(matters)
    };
    Ends::ALL.into_iter().filter(matter).collect()
}

/// Where the first empty line stands, looked for within bounds.
fn header_end(bytes: &[u8]) -> usize {
    let start = bytes.get(..bytes.len().min(HEADER)).unwrap_or_default();
    memchr::memmem::find(start, b"\n\r\n").or_else(|| memchr::memmem::find(start, b"\n\n")).unwrap_or(start.len())
}

/// Whether a boundary, a field or an empty line begins behind this place, or it stands in what could be a boundary line.
fn shapes(bytes: &[u8], at: usize, len: usize) -> bool {
    let rest = bytes.get(at + len..).unwrap_or_default();
    let rest = rest.get(..rest.len().min(LINE)).unwrap_or_default();
    let next = rest.trim_ascii_start();
    if next.len() < rest.len() && matches!(rest.first(), Some(b'\r' | b'\n')) {
        return true;
    }
    let before = bytes.get(at.saturating_sub(LINE)..at).unwrap_or_default();
    let line = memchr::memrchr(b'\n', before).map_or(before, |n| before.get(n + 1..).unwrap_or_default());
    line.starts_with(b"--") || line.is_empty() || next.starts_with(b"--") || super::loose::starts_field(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        let rows: &[(&str, &[&str])] = &[
            ("A: b\r\n\r\nx\r\n", &[]),
            ("A: b\n\nx\n", &[]),
            ("A: b\rC: d\r\n\r\nx", &["A: b\r\nC: d\r\n\r\nx", "A: bC: d\r\n\r\nx"]),
            ("A: b\r\n\r\n10%\r20%\r\n", &[]),
            ("A: b\r\n\r\nx\r--B\r\n", &["A: b\r\n\r\nx\r\n--B\r\n", "A: b\r\n\r\nx--B\r\n"]),
            ("A: b\r\n\r\nx\u{c}y", &[]),
            ("A: b\r\n\r\nx\u{c}--B\r\n", &["A: b\r\n\r\nx\r\n--B\r\n"]),
            ("A: b\r\n\r\nx\u{85}--B\r\n", &["A: b\r\n\r\nx\r\n--B\r\n"]),
        ];
        for (text, want) in rows {
            let got: Vec<String> =
                others(text.as_bytes()).into_iter().map(|ends| String::from_utf8(ends.apply(text.as_bytes())).unwrap()).collect();
            assert_eq!(got, *want, "{text:?}");
            for end in 0..text.len() {
                others(&text.as_bytes()[..end]);
            }
        }
    }
}
