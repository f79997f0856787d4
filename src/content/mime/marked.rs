//! A text in XML or HTML with all taken out that its readers take out between two letters: comments, processing instructions, the marks
//! of CDATA; and with the entities put in that it declares itself (XML 1.0 sections 2.5 to 2.7 and 4; HTML 13.2.5). Only where such a mark
//! stands in the midst of a text, or where entities are declared.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::{Reading, escapes};
use crate::mail::Reason;

pub(super) const READING: Reading =
    Reading { name: "marked", reads: "XML and HTML without the comments and CDATA marks in a text, its own entities put in", read };

/// Entities within entities that are put in, and how many times a text may grow by it.
const MAX_DEPTH: usize = 8;
const MAX_GROWTH: usize = 2;
/// What any text may grow by.
const LEAST_GROWTH: usize = 256 * 1024;

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    if !super::is_all_text(leaf) || memchr::memchr(b'<', data).is_none() {
        return;
    }
    let put_in = match entities(data) {
        Ok(text) => text,
        Err(TooMuch) => {
            finds.unseen("mime.limit.readings", Reason::Limit, "Entities within entities beyond the limit", leaf.name.unwrap_or_default());
            None
        }
    };
    let text = put_in.as_deref().unwrap_or(data);
    let strict = without_marks(text, false);
    let loose = without_marks(text, true).filter(|loose| strict.as_ref() != Some(loose));
    let none = strict.is_none() && loose.is_none();
    for text in strict.into_iter().chain(loose).chain(put_in.filter(|_| none)) {
        if !finds.look(text.len()) || !finds.add_guess(super::untyped(text)) {
            return;
        }
    }
}

/// A text as a browser reads it, for those who look for words in it; `None` where it stands so already.
pub(super) fn plain(text: &[u8]) -> Option<Vec<u8>> {
    let put_in = entities(text).ok().flatten();
    without_marks(put_in.as_deref().unwrap_or(text), false).or(put_in)
}

/// Entities grow beyond all limits.
#[derive(Debug, PartialEq, Eq)]
struct TooMuch;

/// The text with the entities put in that it declares; `None` where it declares none or uses none.
fn entities(text: &[u8]) -> Result<Option<Vec<u8>>, TooMuch> {
    if memmem::find(text, b"<!ENTITY").is_none() {
        return Ok(None);
    }
    // A parameter entity may hold declarations that are themselves escaped.
    let unescaped = memmem::find(text, b"ENTITY %").map(|_| escapes::entities(text));
    let known = declared(unescaped.as_deref().unwrap_or(text));
    let most = text.len().saturating_mul(MAX_GROWTH).saturating_add(LEAST_GROWTH);
    let mut now: Option<Vec<u8>> = None;
    for _ in 0..MAX_DEPTH {
        match put_in(now.as_deref().unwrap_or(text), &known, most)? {
            Some(next) => now = Some(next),
            None => return Ok(now),
        }
    }
    Err(TooMuch)
}

/// What stands between quotes in declarations of entities, by their names; the first one counts (XML 1.0 section 4.2).
fn declared(text: &[u8]) -> HashMap<&[u8], &[u8]> {
    let mut known = HashMap::new();
    let mut ended = [false; 2];
    for at in memmem::find_iter(text, b"<!ENTITY") {
        let rest = text.get(at + 8..).unwrap_or_default().trim_ascii_start();
        // No name goes on over the start of another declaration: nothing is looked at twice.
        let length = rest.iter().position(|c| c.is_ascii_whitespace() || *c == b'<').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(length);
        let rest = rest.trim_ascii_start();
        let Some((quote, rest)) = rest.split_first().filter(|(quote, _)| matches!(quote, b'"' | b'\'')) else { continue };
        let Some(ended) = ended.get_mut(usize::from(*quote == b'"')).filter(|ended| !**ended) else { continue };
        match memchr::memchr(*quote, rest) {
            Some(end) => {
                known.entry(name).or_insert(rest.get(..end).unwrap_or_default());
            }
            None => *ended = true,
        }
    }
    known
}

/// Puts in what the names stand for, once; `None` where no name stands in the text.
fn put_in(text: &[u8], known: &HashMap<&[u8], &[u8]>, most: usize) -> Result<Option<Vec<u8>>, TooMuch> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let Some(at) = memchr::memchr(b'&', rest) {
        let (before, tail) = rest.split_at(at);
        out.extend_from_slice(before);
        // No name goes on over the next `&`.
        let head = tail.get(1..).unwrap_or_default();
        let name = head.get(..head.iter().take_while(|c| c.is_ascii_alphanumeric() || !c.is_ascii() || b"_-.:".contains(*c)).count());
        let name = name.filter(|name| tail.get(1 + name.len()) == Some(&b';')).unwrap_or_default();
        if let Some(value) = known.get(name) {
            any = true;
            out.extend_from_slice(value);
            rest = tail.get(name.len() + 2..).unwrap_or_default();
        } else {
            out.push(b'&');
            rest = tail.get(1..).unwrap_or_default();
        }
        if out.len() > most {
            return Err(TooMuch);
        }
    }
    out.extend_from_slice(rest);
    Ok(any.then_some(out))
}

/// The text without marks, and without the blanks around those that stand in the midst of a text; `None` where none does. `loose`: as HTML,
/// in which CDATA, processing instructions and wrong tags are comments up to the next `>`.
fn without_marks(text: &[u8], loose: bool) -> Option<Vec<u8>> {
    if !Gaps::new(text, loose).any(|gap| gap.joins) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for gap in Gaps::new(text, loose) {
        let before = text.get(from..gap.place.start).unwrap_or_default();
        out.extend_from_slice(if gap.joins { before.trim_ascii_end() } else { before });
        out.extend((!gap.joins).then_some(b'\n'));
        from = gap.place.end;
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    Some(out)
}

/// A place where one mark or several stand, with the blanks behind each.
struct Gap {
    place: Range<usize>,
    /// What stands before and behind it are pieces of one value.
    joins: bool,
}

/// The places of marks in a text, in order.
struct Gaps<'a> {
    text: &'a [u8],
    marks: Marks,
    /// Where the last gap ended, and how far the text has been looked at.
    from: usize,
    at: usize,
}

impl<'a> Gaps<'a> {
    fn new(text: &'a [u8], loose: bool) -> Self {
        Self { text, marks: Marks { loose, in_data: false, comments: true, instructions: true, tags: true }, from: 0, at: 0 }
    }
}

impl Iterator for Gaps<'_> {
    type Item = Gap;

    fn next(&mut self) -> Option<Gap> {
        loop {
            let start = self.at + self.marks.next(self.text.get(self.at..)?)?;
            let tail = self.text.get(start..)?;
            let mut behind = tail;
            while let Some(length) = self.marks.length(behind) {
                behind = behind.get(length..).unwrap_or_default().trim_ascii_start();
            }
            let end = start + tail.len() - behind.len();
            if end == start {
                self.at = start + 1;
                continue;
            }
            let before = self.text.get(self.from..start).unwrap_or_default().trim_ascii_end();
            (self.from, self.at) = (end, end);
            return Some(Gap { place: start..end, joins: ends_piece(before) && behind.first().is_some_and(is_piece) });
        }
    }
}

/// Not what starts or ends an element.
fn is_piece(c: &u8) -> bool {
    c.is_ascii_graphic() && !matches!(c, b'<' | b'>')
}

/// Whether a text ends in the midst of something: not with the start of a script's comment, as stands before CDATA in honest pages.
fn ends_piece(text: &[u8]) -> bool {
    let comment = match text {
        [head @ .., b'/', b'/'] => Some(head),
        [head @ .., b'/' | b'*', b'*'] | [head @ .., b'*', b'/'] => Some(head),
        _ => None,
    };
    text.last().is_some_and(is_piece) && comment.is_none_or(|head| head.last().is_some_and(u8::is_ascii_alphanumeric))
}

/// Steps over marks; remembers which ends are not there any more, so that none is looked for again.
struct Marks {
    loose: bool,
    in_data: bool,
    comments: bool,
    instructions: bool,
    tags: bool,
}

impl Marks {
    /// Where the next place is that may be a mark.
    fn next(&self, text: &[u8]) -> Option<usize> {
        if self.in_data {
            return memchr::memchr2(b'<', b']', text);
        }
        let may_be = |at: &usize| match text.get(at + 1) {
            Some(b'!' | b'?') => true,
            Some(b'/') => self.loose && text.get(at + 2).is_some_and(|c| !c.is_ascii_alphabetic()),
            _ => false,
        };
        memchr::memchr_iter(b'<', text).find(may_be)
    }

    /// The length of the mark that `text` starts with.
    fn length(&mut self, text: &[u8]) -> Option<usize> {
        let upto = |from: usize, end: &[u8]| memmem::find(text.get(from..)?, end).map(|at| from + at + end.len());
        if self.in_data {
            self.in_data = !text.starts_with(b"]]>");
            return (!self.in_data).then_some(3);
        }
        match text {
            [b'<', b'!', b'-', b'-', ..] if self.comments => {
                let end = upto(if self.loose { 2 } else { 4 }, b"-->");
                self.comments = end.is_some();
                end
            }
            [b'<', b'!' | b'?', ..] if self.loose && self.tags => {
                let end = upto(2, b">");
                self.tags = end.is_some();
                end
            }
            [b'<', b'/', c, ..] if self.loose && self.tags && !c.is_ascii_alphabetic() => {
                let end = upto(2, b">");
                self.tags = end.is_some();
                end
            }
            [b'<', b'?', ..] if !self.loose && self.instructions => {
                let end = upto(2, b"?>");
                self.instructions = end.is_some();
                end
            }
            _ if !self.loose && text.starts_with(b"<![CDATA[") => {
                self.in_data = true;
                Some(9)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, once};
    use super::*;

    #[test]
    fn marks() {
        let rows: &[(&str, &[&str])] = &[
            ("<a><![CDATA[AB]]><![CDATA[CD]]></a>", &["<a>\nABCD\n</a>"]),
            ("<a>AB<!-- x -->CD</a>", &["<a>ABCD</a>"]),
            ("<a>AB <!-- x -->\n<!-- y --> CD</a>", &["<a>ABCD</a>"]),
            ("<a>AB<?x y?>CD</a>", &["<a>ABCD</a>"]),
            ("<a>AB<?x>CD?>E</a>", &["<a>ABE</a>", "<a>ABCD?>E</a>"]),
            ("<a>AB</ x>CD</a>", &["<a>ABCD</a>"]),
            ("<a><![CDATA[A<!--B]]><![CDATA[C-->D]]></a>", &["<a>\nA<!--BC-->D\n</a>"]),
            (
                "<!DOCTYPE a [<!ENTITY x \"AB\"><!ENTITY y '&x;C'>]><a b=\"&y;D\"/>",
                &["<!DOCTYPE a [<!ENTITY x \"AB\"><!ENTITY y 'ABC'>]><a b=\"ABCD\"/>"],
            ),
            ("<a>AB</a><!-- x --><b>CD</b><!--", &[]),
            ("<script>//<![CDATA[\nvar a;\n//]]></script>", &[]),
            ("<script>/* <![CDATA[ */ var a; /* ]]> */</script>", &[]),
            ("a[b[1]]>2 <x", &[]),
        ];
        let long = "n".repeat(20_000);
        let text = format!("<!DOCTYPE a [<!ENTITY {long} 'CD'>]><a>AB&{long};</a>");
        let (texts, _) = once(READING.read, text.as_bytes(), "", "");
        assert!(texts.len() == 1 && texts[0].ends_with("<a>ABCD</a>"));
        for (text, want) in rows {
            let want: Vec<String> = want.iter().map(|want| format!("\0\n{want}")).collect();
            assert_eq!(found(READING.read, text.as_bytes()), want, "{text:?}");
        }
    }

    #[test]
    fn entities_that_grow_are_a_limit() {
        let mut text = "<!ENTITY a0 \"0123456789\">".to_owned();
        (1..12).for_each(|n| text.push_str(&format!("<!ENTITY a{n} \"{}\">", format!("&a{};", n - 1).repeat(10))));
        text.push_str("<a>&a11;</a>");
        assert_eq!(once(READING.read, text.as_bytes(), "", "").1, ["mime.limit.readings"]);
        assert_eq!(once(READING.read, b"<!ENTITY a \"&a;\"><a>&a;</a>", "", "").1, ["mime.limit.readings"]);
        // Openings that are never closed, and a text of nothing but marks, are gone through once.
        for text in ["<!ENTITY", "<!ENTITY a", "<!ENTITY a '&a", "<!--", "<?", "</ ", "<![CDATA[", "]]>", "A<!---->"] {
            once(READING.read, text.repeat(200_000).as_bytes(), "", "");
        }
    }
}
