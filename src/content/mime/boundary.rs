//! A multipart's body cut at its boundary lines (RFC 2046 section 5.1.1), strictly and as lenient readers do it.

use std::ops::Range;

use memchr::memmem;

use super::header::trim_line_end;

/// Lines looked at for a boundary that nothing names.
const MAX_LINES: usize = 10_000;
/// Boundaries that nothing names, at most.
const MAX_SHOWN: usize = 3;

/// One way to cut a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Which rule cut it.
    pub rule: Rule,
    /// Before the first boundary line.
    pub preamble: Range<usize>,
    /// Between boundary lines, without the line end that belongs to the boundary.
    pub parts: Vec<Range<usize>>,
    /// After the closing line.
    pub epilogue: Range<usize>,
    /// There is a closing line.
    pub closed: bool,
    /// There were more boundary lines than the limit.
    pub cut: bool,
}

/// What counts as a boundary line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// `--boundary` or `--boundary--` at a line's start, then nothing but blanks; the closing one ends it.
    Strict,
    /// As strict, but what follows the closing line is cut as well.
    PastClose,
    /// As strict, but `--boundary--` is no boundary line: it could be the start of an inner boundary that is ours and two dashes.
    NoClose,
    /// As strict, whether the letters are small or capital.
    AnyCase,
    /// Whatever follows `--boundary` on its line.
    Prefix,
    /// `--boundary` anywhere in a line.
    Anywhere,
    /// As strict, but not in the header of a part, where no empty line has come yet.
    NotInHeader,
}

impl Rule {
    /// What a reader goes by, in plain words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Strict => "whole lines up to the closing one",
            Self::PastClose => "also past the closing line",
            Self::NoClose => "without a closing line",
            Self::AnyCase => "in any case",
            Self::Prefix => "whatever follows on the line",
            Self::Anywhere => "anywhere in a line",
            Self::NotInHeader => "not in the header of a part",
        }
    }
}

/// A place where `--boundary` stands.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Where the text before it ends (before the line end, where it starts a line).
    before: usize,
    /// Where the text after it starts.
    after: usize,
    /// It starts a line.
    at_start: bool,
    /// Nothing but blanks follows, or dashes and blanks.
    exact: bool,
    /// Two dashes follow.
    closing: bool,
    /// The letters are as they ought to be, small or capital.
    same_case: bool,
}

/// All layouts of `body` that differ, the strictest first; empty where the boundary does not stand in it.
pub(crate) fn layouts(body: &[u8], boundary: &[u8], max_parts: usize) -> Vec<Layout> {
    let (marks, cut) = find(body, boundary, max_parts);
    let strict = |mark: &&Mark| mark.at_start && mark.exact && mark.same_case;
    let closed_at = marks.iter().filter(strict).position(|mark| mark.closing);
    let past_close = closed_at.is_some_and(|at| marks.iter().filter(strict).count() > at + 1);
    let other_case = marks.iter().any(|mark| !mark.same_case);
    let loose = marks.iter().any(|mark| mark.at_start && !mark.exact);
    let inside = marks.iter().any(|mark| !mark.at_start);
    let plain: Vec<&Mark> = marks.iter().filter(strict).collect();
    let in_header = plain.windows(2).any(|pair| !pair[0].closing && is_header_only(body, pair[0], pair[1]));
    let rules = [
        (Rule::Strict, true),
        (Rule::PastClose, past_close),
        (Rule::NoClose, past_close),
        (Rule::AnyCase, other_case),
        (Rule::Prefix, loose),
        (Rule::Anywhere, inside),
        (Rule::NotInHeader, in_header),
    ];
    let used = rules.into_iter().filter(|(_, used)| *used).map(|(rule, _)| rule);
    let mut all: Vec<Layout> = used.filter_map(|rule| layout(body, &marks, rule)).collect();
    all.iter_mut().for_each(|layout| layout.cut = cut);
    all
}

/// The boundaries that the lines of `body` show themselves: two dashes and a word, and fields or an empty line below. For multiparts that
/// name none of them.
pub(crate) fn shown(body: &[u8]) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let starts = memmem::find_iter(body, b"\n--").map(|at| at + 1);
    let first = body.starts_with(b"--").then_some(0);
    for at in first.into_iter().chain(starts).take(MAX_LINES) {
        let rest = body.get(at + 2..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default().trim_ascii();
        let below = rest.get(end + 1..).unwrap_or_default();
        let parts = below.first().is_some_and(|c| matches!(c, b'\r' | b'\n')) || super::loose::starts_field(below);
        if parts && word.len() < 1000 && all.len() < MAX_SHOWN && !all.iter().any(|known| known == word) {
            all.push(word.to_vec());
        }
    }
    all
}

fn find(body: &[u8], boundary: &[u8], max_parts: usize) -> (Vec<Mark>, bool) {
    let needle = [b"--", boundary].concat();
    let mut marks: Vec<Mark> = Vec::new();
    // The empty boundary is in every pair of dashes: only whole lines count then.
    let only_lines = boundary.is_empty();
    for at in memmem::find_iter(body, &needle) {
        if marks.len() > max_parts {
            return (marks, true);
        }
        let mark = mark(body, at, needle.len());
        if !only_lines || (mark.at_start && mark.exact) {
            marks.push(mark);
        }
    }
    if boundary.iter().any(u8::is_ascii_alphabetic) {
        let lines = body.starts_with(b"--").then_some(0).into_iter().chain(memmem::find_iter(body, b"\n--").map(|at| at + 1));
        let other_case =
            |at: &usize| body.get(*at..*at + needle.len()).is_some_and(|line| line != needle && line.eq_ignore_ascii_case(&needle));
        let room = max_parts.saturating_sub(marks.len());
        let before = marks.len();
        marks.extend(lines.filter(other_case).take(room).map(|at| Mark { same_case: false, ..mark(body, at, needle.len()) }));
        if marks.len() > before {
            marks.sort_by_key(|mark| mark.after);
        }
    }
    (marks, false)
}

fn mark(body: &[u8], at: usize, len: usize) -> Mark {
    let start = body.get(..at).unwrap_or_default();
    let rest = body.get(at + len..).unwrap_or_default();
    let at_start = matches!(start.last(), None | Some(b'\n' | b'\r'));
    let line_end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    let line = rest.get(..line_end).unwrap_or_default();
    let blanks = line.iter().rev().take_while(|c| **c <= b' ').count();
    let tail = line.get(..line.len() - blanks).unwrap_or_default();
    let over = match rest.get(line_end..) {
        Some([b'\r', b'\n', ..]) => 2,
        Some([_, ..]) => 1,
        _ => 0,
    };
    Mark {
        before: if at_start { trim_one_line_end(start).len() } else { at },
        after: at + len + line_end + over,
        at_start,
        exact: tail.is_empty() || tail == b"--",
        closing: tail.starts_with(b"--"),
        same_case: true,
    }
}

fn trim_one_line_end(text: &[u8]) -> &[u8] {
    let trimmed = trim_line_end(text);
    if trimmed.len() == text.len() { text.strip_suffix(b"\r").unwrap_or(text) } else { trimmed }
}

/// Whether a header starts behind a mark and has not ended before the next.
fn is_header_only(body: &[u8], mark: &Mark, next: &Mark) -> bool {
    let text = body.get(mark.after..next.before).unwrap_or_default();
    super::loose::starts_field(text) && !has_empty_line(text)
}

/// Whether a line of `text` other than its first is empty; read only as far as that one.
fn has_empty_line(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', text).any(|at| matches!(text.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..])))
}

fn layout(body: &[u8], marks: &[Mark], rule: Rule) -> Option<Layout> {
    let counts = |mark: &&Mark| match rule {
        Rule::Strict | Rule::PastClose | Rule::NotInHeader => mark.same_case && mark.at_start && mark.exact,
        Rule::NoClose => mark.same_case && mark.at_start && mark.exact && !mark.closing,
        Rule::AnyCase => mark.at_start && mark.exact,
        Rule::Prefix => mark.same_case && mark.at_start,
        Rule::Anywhere => mark.same_case,
    };
    let mut marks = marks.iter().filter(counts).peekable();
    let first = marks.peek()?;
    let mut layout =
        Layout { rule, preamble: 0..first.before, parts: Vec::new(), epilogue: body.len()..body.len(), closed: false, cut: false };
    while let Some(mark) = marks.next() {
        if mark.closing && mark.exact && rule != Rule::PastClose {
            layout.closed = true;
            layout.epilogue = mark.after..body.len();
            break;
        }
        if rule == Rule::NotInHeader {
            let mut header = marks.peek().is_some_and(|next| is_header_only(body, mark, next));
            while header && let Some(over) = marks.next() {
                let text = |next: &&Mark| body.get(over.before..next.before);
                header = marks.peek().and_then(text).is_some_and(|text| !has_empty_line(text));
            }
        }
        let end = marks.peek().map_or(body.len(), |next| next.before.max(mark.after));
        layout.parts.push(mark.after..end);
    }
    Some(layout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_that_nothing_names() {
        let body = b"text\r\n--X\r\nContent-Type: a/b\r\n\r\n1\r\n--Y is no boundary\r\n1\r\n--X\r\n\r\n2\r\n--X--\r\n";
        assert_eq!(super::shown(body), [b"X".to_vec()]);
    }

    fn cut(body: &str, boundary: &str) -> Vec<(Rule, Vec<String>)> {
        layouts(body.as_bytes(), boundary.as_bytes(), 100)
            .into_iter()
            .map(|l| {
                let parts = l.parts.iter().map(|p| body[p.clone()].to_owned());
                let all = [body[l.preamble.clone()].to_owned()].into_iter().chain(parts).chain([body[l.epilogue].to_owned()]);
                (l.rule, all.collect())
            })
            .collect()
    }

    #[test]
    fn rules() {
        use Rule::*;
        type Row<'a> = (&'a str, &'a str, &'a [(Rule, &'a [&'a str])]);
        let rows: &[Row] = &[
            ("nothing", "B", &[]),
            ("p\r\n--B\r\n1\r\n--B\r\n2\r\n--B--\r\ne", "B", &[(Strict, &["p", "1", "2", "e"])]),
            ("--B\n1\n--B--", "B", &[(Strict, &["", "1", ""])]),
            ("--B  \t\r\n1\r\n\r\n--B-- \r\n", "B", &[(Strict, &["", "1\r\n", ""])]),
            ("--B\r\n1", "B", &[(Strict, &["", "1", ""])]),
            ("--B\r\n--B\r\n--B--", "B", &[(Strict, &["", "", "", ""])]),
            (
                "--B\r\n1\r\n--B--\r\ne\r\n--B\r\n2\r\n",
                "B",
                &[
                    (Strict, &["", "1", "e\r\n--B\r\n2\r\n"]),
                    (PastClose, &["", "1", "e", "2\r\n", ""]),
                    (NoClose, &["", "1\r\n--B--\r\ne", "2\r\n", ""]),
                ],
            ),
            ("--B\r\n1\r\n--Bx\r\n2", "B", &[(Strict, &["", "1\r\n--Bx\r\n2", ""]), (Prefix, &["", "1", "2", ""])]),
            ("--B\r\n1\r\n--b\r\n2", "B", &[(Strict, &["", "1\r\n--b\r\n2", ""]), (AnyCase, &["", "1", "2", ""])]),
            ("--B\r\n1 --B\r\n2", "B", &[(Strict, &["", "1 --B\r\n2", ""]), (Anywhere, &["", "1 ", "2", ""])]),
            (
                "--B\r\nContent-Type: a/b\r\n--B--\r\nX: y\r\n\r\n2\r\n--B--",
                "B",
                &[
                    (Strict, &["", "Content-Type: a/b", "X: y\r\n\r\n2\r\n--B--"]),
                    (PastClose, &["", "Content-Type: a/b", "X: y\r\n\r\n2", "", ""]),
                    (NoClose, &["", "Content-Type: a/b\r\n--B--\r\nX: y\r\n\r\n2\r\n--B--", ""]),
                    (NotInHeader, &["", "Content-Type: a/b\r\n--B--\r\nX: y\r\n\r\n2", ""]),
                ],
            ),
            ("--\r\n1\r\n----x\r\n----\r\n", "", &[(Strict, &["", "1\r\n----x", ""])]),
        ];
        for (body, boundary, want) in rows {
            let want: Vec<_> = want.iter().map(|(r, p)| (*r, p.iter().map(|p| p.to_string()).collect::<Vec<_>>())).collect();
            assert_eq!(cut(body, boundary), want, "{body:?}");
        }
    }

    #[test]
    fn cut_at_every_byte_and_bounded() {
        let whole = "p\r\n--B\r\n1\r\n--B--x\r\nx --B\r\n--B--\r\n--B\r\n2\r\n--B--\r\ne";
        for end in 0..=whole.len() {
            layouts(&whole.as_bytes()[..end], b"B", 100);
        }
        let many = "--B\r\n".repeat(1000);
        assert!(layouts(many.as_bytes(), b"B", 100).iter().all(|l| l.cut && l.parts.len() <= 101));
    }
}
