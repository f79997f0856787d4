//! The message as another reader sees it: mail-parser, which was written by others after the same rules. What it hands out and we did
//! not see is what a client may hand out too.
//!
//! It reads a copy in which long, regular base64 bodies are cut short: they hold neither boundary nor field, so that nothing else is seen
//! for it, and an attachment is neither decoded nor held twice. At first long texts are cut short too, where no two dashes stand in them:
//! no part starts or ends there for it, so that it could see but the rest of the same leaf otherwise, and we ourselves look into all of a
//! text for what is encoded in it. If it then finds anything that we did not cut out so, it reads all texts in full. Its result is taken apart by value, since dropping deeply nested messages
//! as a whole would recurse.

use std::collections::HashMap;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use mail_parser::{Encoding as Theirs, HeaderName, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use memchr::memmem;

use super::field::Encoding;
use crate::mail::Span;

/// Largest copy that is read, in bytes: what is longer is text, which we read in all our own ways.
const MAX_COPY: usize = 1 << 20;
/// What is kept of a long base64 body, in characters of its alphabet: whole groups of four.
const KEPT: usize = 1024;
/// Base64 bodies longer than this are cut short, in bytes.
const LONG: usize = 4096;
/// The same for texts without two dashes, and what is kept at their start and end.
const LONG_TEXT: usize = 768;
const KEPT_TEXT: usize = 192;
/// A line of this length and nothing but base64 is no text, in characters.
const CODED: usize = 24;
/// Places with a colon, each of which may cost a field's memory over there.
const MAX_COLONS: usize = 100_000;
/// Places where a nested message or a boundary may be announced: each may cost a pass over the rest, or a frame when it is dropped.
const MAX_NESTED: usize = 200;

/// A leaf as we cut it out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// Where it stands.
    pub span: Span,
    /// How it was decoded.
    pub encoding: Encoding,
    /// There is more than one way to decode it.
    pub odd: bool,
    /// It is text by its type.
    pub text: bool,
    /// It is a part in the most regular reading, or an attachment in another one.
    pub file: bool,
}

/// A leaf that the other reader hands out and that we did not cut out so.
#[derive(Debug)]
pub(crate) struct Handed {
    /// Its content; a text's as UTF-8.
    pub bytes: Vec<u8>,
    /// The type it claims, lower case.
    pub declared: String,
    /// The name it claims.
    pub name: Option<String>,
    /// It has a name or says so, and it could be decoded.
    pub attachment: bool,
}

/// Whether a body is nothing but base64 without anything odd: lines of one length, padding at its end.
pub(crate) fn is_regular(body: &[u8], encoding: Encoding) -> bool {
    if encoding != Encoding::Base64 || !is_plain(body) {
        return false;
    }
    let mut lines = body.trim_ascii().split(|c| *c == b'\n').map(<[u8]>::trim_ascii);
    let last = lines.next_back().unwrap_or_default().len();
    let first = lines.next().map_or(last, <[u8]>::len);
    last <= first && lines.all(|line| line.len() == first)
}

/// Nothing but characters of the alphabet, line ends, and padding at the end.
fn is_plain(body: &[u8]) -> bool {
    let trimmed = body.trim_ascii_end();
    let pads = trimmed.iter().rev().take_while(|c| **c == b'=').count();
    let plain = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/' | b'\r' | b'\n');
    pads <= 2 && trimmed.get(..trimmed.len() - pads).is_some_and(|text| text.iter().all(plain))
}

/// Whether base64 is followed by text and nothing but text, such as the footer of a mailing list.
pub(crate) fn is_footer(body: &[u8]) -> bool {
    let mut lines = body.split(|c| *c == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).peekable();
    let starts = lines.peek().is_some_and(|line| is_plain(line));
    let mut rest = lines.skip_while(|line| is_plain(line)).peekable();
    starts && rest.peek().is_some() && rest.all(|line| line.len() < CODED || !is_plain(line))
}

/// Whether no reader can differ about the message: one leaf, decoded in the one way that its one regular field says, below a header of regular
/// fields in which no word of any structure stands.
pub(crate) fn is_simple(header: &[u8], known: &[Cut]) -> bool {
    let [Cut { odd: false, encoding, .. }] = known else { return false };
    if memchr::memchr(0, header).is_some() {
        return false;
    }
    let mut encodings = 0;
    // After the field of the encoding no folded line may follow; nor may one come first.
    let (mut may_fold, mut of_content) = (false, false);
    let lines = memchr::memchr_iter(b'\n', header).chain([header.len()]).scan(0, |from, end| {
        let line = header.get(*from..end);
        *from = end + 1;
        Some(line.unwrap_or_default())
    });
    for line in lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)).take_while(|line| !line.is_empty()) {
        if memchr::memchr(b'\r', line).is_some() {
            return false;
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if !may_fold || line.trim_ascii().is_empty() || (of_content && shapes(line)) {
                return false;
            }
            continue;
        }
        let Some((name, value)) = memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) else { return false };
        if name.is_empty() || !name.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-') {
            return false;
        }
        of_content = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"content-"));
        if of_content && shapes(value) {
            return false;
        }
        let is_encoding = name.eq_ignore_ascii_case(b"content-transfer-encoding");
        may_fold = !is_encoding;
        if is_encoding {
            encodings += 1;
            let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
            let said = ENCODINGS.iter().find(|(name, _)| value.eq_ignore_ascii_case(name)).map(|(_, encoding)| encoding);
            if said != Some(encoding) {
                return false;
            }
        }
    }
    encodings == 1 || (encodings == 0 && *encoding == Encoding::Identity)
}

/// Whether a value speaks of a structure, or has anything in it that readers could take so.
fn shapes(value: &[u8]) -> bool {
    if value.iter().any(|c| matches!(c, b'(' | b'*' | b'?' | b'%' | b'\\')) {
        return true;
    }
    let value = value.to_ascii_lowercase();
    [&b"multipart"[..], b"message", b"boundary"].iter().any(|word| memmem::find(&value, word).is_some())
}

/// The transfer encodings of RFC 2045 section 6.1.
const ENCODINGS: [(&[u8], Encoding); 5] = [
    (b"7bit", Encoding::Identity),
    (b"8bit", Encoding::Identity),
    (b"binary", Encoding::Identity),
    (b"quoted-printable", Encoding::Quoted),
    (b"base64", Encoding::Base64),
];

/// What the other reader hands out of `raw` beyond the leaves in `known`; empty where it is too long, or could cost too much. `None` where
/// it panicked: then nobody knows what it would have handed out.
pub(crate) fn read(raw: &[u8], known: &[Cut]) -> Option<Vec<Handed>> {
    let (all, cut) = read_copy(raw, known, true)?;
    if all.is_empty() || !cut { Some(all) } else { Some(read_copy(raw, known, false)?.0) }
}

/// The same, of a copy with texts cut short or not; and whether any was.
fn read_copy(raw: &[u8], known: &[Cut], texts: bool) -> Option<(Vec<Handed>, bool)> {
    let Some(copy) = shortened(raw, known, texts) else { return Some((Vec::new(), false)) };
    if memchr::memchr_iter(b':', &copy.text).count() > MAX_COLONS || announced(&copy.text) > MAX_NESTED {
        return Some((Vec::new(), copy.cut));
    }
    let read = catch_unwind(AssertUnwindSafe(|| flatten(&copy)));
    read.inspect_err(|_| tracing::error!("the second reader of messages panicked")).ok().map(|read| (read, copy.cut))
}

/// A copy, and where our leaves stand in it.
struct Copy {
    text: Vec<u8>,
    /// Place and encoding; and 0 for each place too: what is not decoded stands in the message as it is. With it, whether we have it as a
    /// file.
    known: HashMap<(usize, usize, u8), bool>,
    /// A text was cut short.
    cut: bool,
}

/// What is left out of a body: ranges in it, in order.
fn gaps(body: &[u8], cut: &Cut, texts: bool) -> Vec<Range<usize>> {
    if cut.encoding == Encoding::Base64 {
        if body.len() <= LONG || memchr::memchr2(b'-', b':', body).is_some() {
            return Vec::new();
        }
        let kept = body.iter().enumerate().filter(|(_, c)| !c.is_ascii_whitespace()).nth(KEPT);
        return kept.map(|(at, _)| at..body.len()).into_iter().collect();
    }
    if !texts || !cut.text || body.len() < LONG_TEXT || !matches!(cut.encoding, Encoding::Identity | Encoding::Quoted) {
        return Vec::new();
    }
    // Whole lines between two places with two dashes.
    let ends = memmem::find_iter(body, b"--").chain([body.len()]);
    let mut from = 0;
    let mut all = Vec::new();
    for end in ends {
        let start = from + KEPT_TEXT;
        let rest = body.get(start..end.saturating_sub(KEPT_TEXT)).unwrap_or_default();
        if let (Some(first), Some(last)) = (memchr::memchr(b'\n', rest), memchr::memrchr(b'\n', rest)) {
            all.extend((last > first + KEPT_TEXT).then_some(start + first + 1..start + last + 1));
        }
        from = end;
    }
    all
}

fn shortened(raw: &[u8], known: &[Cut], texts: bool) -> Option<Copy> {
    let mut cuts: Vec<&Cut> = known.iter().filter(|cut| !cut.odd).collect();
    cuts.sort_by_key(|cut| (cut.span.start, cut.span.end));
    let mut text = Vec::with_capacity(raw.len().min(MAX_COPY / 8));
    let mut from = 0;
    // Where something was left out: its place, how much, and how much before it.
    let mut left_out: Vec<(usize, usize, usize)> = Vec::new();
    let (mut before, mut cut_text) = (0, false);
    for cut in cuts.iter().filter(|cut| cut.span.len() > LONG_TEXT) {
        if cut.span.start < from {
            continue;
        }
        for gap in gaps(cut.span.of(raw), cut, texts) {
            let at = cut.span.start + gap.start;
            text.extend_from_slice(raw.get(from..at)?);
            left_out.push((at, gap.len(), before));
            before += gap.len();
            from = at + gap.len();
            cut_text |= cut.encoding != Encoding::Base64;
            if text.len() > MAX_COPY {
                return None;
            }
        }
    }
    if text.len() + (raw.len() - from) > MAX_COPY {
        return None;
    }
    text.extend_from_slice(raw.get(from..)?);
    let moved = |at: usize| match left_out.partition_point(|(gap, ..)| *gap < at).checked_sub(1).and_then(|last| left_out.get(last)) {
        Some((gap, len, before)) => at - before - (*len).min(at - gap),
        None => at,
    };
    let mut known = HashMap::new();
    for cut in &cuts {
        let Some((start, end)) = trimmed(&text, moved(cut.span.start), moved(cut.span.end)) else { continue };
        for kind in [kind(cut.encoding), 0] {
            *known.entry((start, end, kind)).or_default() |= cut.file;
        }
    }
    Some(Copy { text, known, cut: cut_text })
}

fn kind(encoding: Encoding) -> u8 {
    match encoding {
        Encoding::Base64 => 1,
        Encoding::Quoted => 2,
        _ => 0,
    }
}

/// A place without the white space around it.
fn trimmed(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let body = text.get(start..end)?;
    let inner = body.trim_ascii_start();
    let start = end - inner.len();
    Some((start, start + inner.trim_ascii_end().len()))
}

/// How often a nested message or a boundary is announced.
fn announced(text: &[u8]) -> usize {
    let is = |at: usize, word: &[u8]| text.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word));
    let starts = memchr::memchr3_iter(b'b', b'B', b'/', text);
    starts.filter(|at| is(*at, b"boundary") || is(*at, b"/rfc822") || is(*at, b"/global") || is(*at, b"/digest")).count()
}

fn flatten(copy: &Copy) -> Vec<Handed> {
    let parser = MessageParser::new()
        .header_content_type(HeaderName::ContentType)
        .header_content_type(HeaderName::ContentDisposition)
        .header_text(HeaderName::ContentTransferEncoding)
        .default_header_ignore();
    let mut open: Vec<(Message, bool)> = parser.parse(&copy.text).map(|message| (message, true)).into_iter().collect();
    let mut all = Vec::new();
    while let Some((message, in_place)) = open.pop() {
        for mut part in message.parts {
            match std::mem::take(&mut part.body) {
                PartType::Message(inner) => open.push((inner, in_place && part.encoding == Theirs::None)),
                PartType::Text(text) | PartType::Html(text) => all.extend(handed(copy, &part, in_place, text.as_bytes())),
                PartType::Binary(bytes) | PartType::InlineBinary(bytes) => all.extend(handed(copy, &part, in_place, &bytes)),
                PartType::Multipart(_) => {}
            }
        }
    }
    all
}

/// A leaf, unless we have it.
fn handed(copy: &Copy, part: &MessagePart, in_place: bool, bytes: &[u8]) -> Option<Handed> {
    let encoding = match part.encoding {
        Theirs::None => 0,
        Theirs::Base64 => 1,
        Theirs::QuotedPrintable => 2,
    };
    let place = trimmed(&copy.text, part.offset_body as usize, part.offset_end as usize);
    let known = place.and_then(|(start, end)| copy.known.get(&(start, end, encoding))).filter(|_| in_place);
    let name = part.attachment_name().map(str::to_owned);
    let declared = part.content_type().map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase());
    let said = name.is_some() || part.content_disposition().is_some_and(|said| said.is_attachment());
    let attachment = said && !part.is_encoding_problem;
    let is_known = known.is_some_and(|file| *file || !attachment);
    (!is_known && !bytes.trim_ascii().is_empty()).then(|| Handed {
        bytes: bytes.to_vec(),
        declared: declared.unwrap_or_default(),
        name,
        attachment,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(raw: &str, body: &str, encoding: Encoding) -> Cut {
        let start = raw.find(body).unwrap();
        Cut { span: Span { start, end: start + body.len() }, encoding, odd: false, text: true, file: true }
    }

    #[test]
    fn what_we_have_is_left_out() {
        let long = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n".repeat(200);
        let raw = format!(
            "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\nhello\r\n--B\r\nContent-Type: a/b; name=x\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{long}\r\n--B\r\nContent-Type: a/c\r\n\r\nmore\r\n--B--\r\n"
        );
        let all = [cut(&raw, "hello", Encoding::Identity), cut(&raw, &long, Encoding::Base64), cut(&raw, "more", Encoding::Identity)];
        assert!(shortened(raw.as_bytes(), &all, true).unwrap().text.len() < 2_000);
        assert!(read(raw.as_bytes(), &all).unwrap().is_empty(), "{:?}", read(raw.as_bytes(), &all));
        let left: Vec<(String, usize)> =
            read(raw.as_bytes(), &all[..1]).unwrap().into_iter().map(|leaf| (leaf.declared, leaf.bytes.len())).collect();
        assert_eq!(left, [("a/b".to_owned(), 200 * 57), ("a/c".to_owned(), 4)]);
        for end in 0..raw.len() {
            read(&raw.as_bytes()[..end], &[]);
        }
    }

    #[test]
    fn long_texts_are_cut_short_until_there_is_more() {
        let long = "Some words of a text.\r\n".repeat(200);
        let head = "Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n\r\n";
        let raw = format!("{head}{long}-- \r\n{long}\r\n--B\r\nContent-Type: a/c\r\n\r\nmore\r\n--B--\r\n");
        let text = format!("{long}-- \r\n{long}");
        let all = [cut(&raw, &text, Encoding::Identity), cut(&raw, "more", Encoding::Identity)];
        assert!(shortened(raw.as_bytes(), &all, true).unwrap().text.len() < 2_000);
        assert_eq!(shortened(raw.as_bytes(), &all, false).unwrap().text, raw.as_bytes());
        assert!(read(raw.as_bytes(), &all).unwrap().is_empty());
        // What it hands out is whole, though its place was cut short at first.
        let mut off = all;
        off[0].span.start += 1;
        let handed: Vec<usize> = read(raw.as_bytes(), &off).unwrap().iter().map(|leaf| leaf.bytes.len()).collect();
        assert_eq!(handed, [text.len()]);
    }

    #[test]
    fn deep_and_wide_do_no_harm() {
        let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(100_000);
        read(deep.as_bytes(), &[]);
        let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(150);
        read(deep.as_bytes(), &[]);
        read("A:\n".repeat(300_000).as_bytes(), &[]);
    }

    #[test]
    fn regular_bodies() {
        let rows = [
            ("QUJD\r\nQUJD\r\nQU==\r\n", true),
            ("QUJD\r\nQUJD\r\nQU", true),
            ("QUJDQUJD", true),
            ("QUJD\r\nQU\r\nQUJD", false),
            ("QU==QUJD", false),
            ("QUJD!", false),
            ("QUJD\r\n--\r\nlist", false),
        ];
        for (body, want) in rows {
            assert_eq!(is_regular(body.as_bytes(), Encoding::Base64), want, "{body:?}");
        }
        let footer = "QUJD\r\nQUJD\r\n\r\nhttp://x/\r\n____\r\nthe list\r\n";
        assert!(is_footer(footer.as_bytes()) && !is_footer(b"QU==QUJD") && !is_footer(b"QUJD"));
        assert!(!is_footer(format!("{footer}{}", "QUJD".repeat(10)).as_bytes()));
    }
}
