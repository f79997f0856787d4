//! What has to be counted or compared in a message for the facts; each measured once, when first asked.

use std::cell::OnceCell;
use std::collections::HashSet;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use memchr::memmem;

use super::addresses;
use crate::mail::{Message, Part, PartKind};

/// Links of a part looked at for a shown address that differs.
const LINKS: usize = 2000;
/// Words compared of each alternative.
const COMPARED: usize = 5000;

/// Measures of one message.
pub(super) struct Measures<'a> {
    message: &'a Message,
    text: OnceCell<Text>,
    ahead: OnceCell<Option<i64>>,
}

/// Counts over the texts shown.
#[derive(Debug, Clone, Copy, Default)]
struct Text {
    plain_words: usize,
    html_words: usize,
    hidden: usize,
    mixed: usize,
}

impl<'a> Measures<'a> {
    pub fn new(message: &'a Message) -> Self {
        Self { message, text: OnceCell::new(), ahead: OnceCell::new() }
    }

    /// Parts that a mail program shows as text: no attachments, nothing out of archives.
    fn shown(&self) -> impl Iterator<Item = (&'a Part, &'a str)> {
        let shown = self.message.parts.iter().filter(|part| !part.attachment && part.kind != PartKind::Member);
        shown.filter_map(|part| part.text.as_deref().map(|text| (part, text)))
    }

    fn text(&self) -> Text {
        *self.text.get_or_init(|| {
            let mut counts = Text::default();
            for (part, text) in self.shown() {
                let words = if is_html(part) { &mut counts.html_words } else { &mut counts.plain_words };
                *words += text.split_whitespace().count();
                if !text.is_ascii() {
                    counts.hidden += text.chars().filter(|c| is_hidden(*c)).count();
                    counts.mixed += text.split(|c: char| !c.is_alphabetic()).filter(|word| is_mixed(word)).count();
                }
            }
            counts
        })
    }

    /// Words shown: the longer of plain and HTML.
    pub fn words(&self) -> usize {
        self.text().plain_words.max(self.text().html_words)
    }

    pub fn hidden_chars(&self) -> usize {
        self.text().hidden
    }

    pub fn mixed_words(&self) -> usize {
        self.text().mixed
    }

    pub fn html_only(&self) -> bool {
        let mut any = false;
        self.shown().filter(|(_, text)| !text.trim().is_empty()).all(|(part, _)| {
            any = true;
            is_html(part)
        }) && any
    }

    pub fn images(&self) -> usize {
        self.message.parts.iter().filter(|part| part.declared_type.starts_with("image/") && part.kind != PartKind::Member).count()
    }

    pub fn attachments(&self) -> usize {
        self.message.parts.iter().filter(|part| part.attachment && part.kind != PartKind::Member).count()
    }

    pub fn html_attachment(&self) -> bool {
        self.message.parts.iter().filter(|part| part.kind != PartKind::Member && part.name.is_some()).any(|part| {
            let name = part.name.as_deref().unwrap_or_default().to_lowercase();
            [".htm", ".html", ".shtml", ".xhtml", ".svg"].iter().any(|end| name.ends_with(end))
                && (part.attachment || !name.ends_with(".svg"))
        })
    }

    /// How many organisations the links lead to.
    pub fn url_organisations(&self) -> usize {
        let hosts: HashSet<String> =
            self.message.urls.iter().filter_map(|url| addresses::host(url)).map(|host| addresses::organisation(&host).to_owned()).collect();
        hosts.len()
    }

    pub fn subject_caps(&self) -> bool {
        let subject = self.message.subject();
        subject.chars().filter(|c| c.is_alphabetic()).count() >= 10
            && !subject.chars().any(char::is_lowercase)
            && subject.chars().any(char::is_uppercase)
            && subject.split_whitespace().count() >= 2
    }

    /// The plain text and the HTML of a message have fewer than one word in ten in common, and both have twenty or more.
    pub fn alternative_differs(&self) -> bool {
        let words = |html: bool| -> HashSet<&str> {
            let texts = self.shown().filter(|(part, _)| is_html(part) == html);
            texts.flat_map(|(_, text)| text.split(|c: char| !c.is_alphanumeric()).filter(|word| word.len() > 3)).take(COMPARED).collect()
        };
        let plain = words(false);
        if plain.len() < 20 {
            return false;
        }
        let html = words(true);
        html.len() >= 20 && plain.intersection(&html).count() * 10 < plain.len().min(html.len())
    }

    /// A link shows a web address of another organisation than it leads to.
    pub fn link_differs(&self) -> bool {
        let sources = self.message.parts.iter().filter(|part| is_html(part) && part.kind != PartKind::Member);
        sources.flat_map(|part| Links { source: &part.data, at: 0, left: LINKS }).any(|(target, shown)| {
            let (Some(target), Some(shown)) = (addresses::host(&target), addresses::host(&shown)) else { return false };
            shown.contains('.') && addresses::organisation(&target) != addresses::organisation(&shown)
        })
    }

    /// Whole hours that Date lies after the newest Received (negative: before it); `None` without two readable dates.
    pub fn hours_ahead(&self) -> Option<i64> {
        *self.ahead.get_or_init(|| {
            let written = date(self.message.header("date").next()?)?;
            let received = self.message.header("received").take(20).filter_map(|field| date(field.rsplit(';').next()?)).max()?;
            Some((written.as_second() - received.as_second()) / 3600)
        })
    }
}

/// A date of RFC 5322 section 3.3, obsolete forms included; a wrong weekday is forgiven.
fn date(text: &str) -> Option<Timestamp> {
    static PARSER: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);
    let text = text.split('(').next()?.trim();
    PARSER.parse_timestamp(text).ok()
}

fn is_html(part: &Part) -> bool {
    part.declared_type == "text/html" || part.true_type == "html"
}

/// Characters that show nothing and split words for a filter, not for a reader.
pub(super) fn is_hidden(c: char) -> bool {
    matches!(c, '\u{AD}' | '\u{34F}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// Latin letters together with Cyrillic or Greek ones that look like them, or letters meant for formulas.
fn is_mixed(word: &str) -> bool {
    if word.chars().filter(|c| matches!(c, '\u{1D400}'..='\u{1D7FF}')).count() > 2 {
        return true;
    }
    word.chars().any(|c| c.is_ascii_alphabetic())
        && word.chars().any(|c| matches!(c, '\u{370}'..='\u{3FF}' | '\u{400}'..='\u{4FF}') && c != 'µ' && c != 'μ')
}

/// The links of an HTML source: target, and the shown text where it looks like a web address.
struct Links<'a> {
    source: &'a [u8],
    at: usize,
    /// How many more are looked at, so that a text of nothing but links costs no more than its length.
    left: usize,
}

impl Iterator for Links<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.left = self.left.checked_sub(1)?;
            let rest = self.source.get(self.at..)?;
            let start = memchr::memchr_iter(b'<', rest)
                .find(|at| matches!(rest.get(at + 1..at + 3), Some([b'a' | b'A', b]) if b.is_ascii_whitespace()))?;
            let tag = rest.get(start + 2..)?;
            let tag_end = memchr::memchr(b'>', tag)?;
            self.at += start + 2 + tag_end;
            let target = href(tag.get(..tag_end)?);
            let inner = tag.get(tag_end + 1..)?;
            let inner = inner.get(..inner.len().min(600))?;
            let shown = shown(inner.get(..memmem::find(inner, b"</").unwrap_or(inner.len()))?);
            if let (Some(target), Some(shown)) = (target, shown) {
                return Some((target, shown));
            }
        }
    }
}

/// The value of the href attribute.
fn href(tag: &[u8]) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = memmem::find(&lower, b"href")? + 4;
    let value = tag.get(at..)?.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let value = match value.first()? {
        quote @ (b'"' | b'\'') => value.get(1..)?.split(|b| b == quote).next()?,
        _ => value.split(|b| b.is_ascii_whitespace()).next()?,
    };
    Some(String::from_utf8_lossy(value.trim_ascii()).into_owned())
}

/// The text between `<a>` and its end, tags left out, if it reads as a web address; given its scheme where it has none.
fn shown(inner: &[u8]) -> Option<String> {
    let mut text = Vec::new();
    let mut in_tag = false;
    for byte in inner {
        match byte {
            b'<' => in_tag = true,
            b'>' => in_tag = false,
            byte if !in_tag => text.push(*byte),
            _ => {}
        }
    }
    let text = String::from_utf8_lossy(text.trim_ascii()).to_lowercase();
    if text.contains(char::is_whitespace) {
        return None;
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Some(text);
    }
    text.starts_with("www.").then(|| format!("http://{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("<a href=\"http://evil.example/x\"><b>http://bank.example</b></a>", &[("http://evil.example/x", "http://bank.example")]),
            ("<A class=x HREF = 'http://e.example' >www.bank.example</A>", &[("http://e.example", "http://www.bank.example")]),
            ("<a href=http://e.example target=x>www.b.example</a>", &[("http://e.example", "http://www.b.example")]),
            ("<a href=\"http://e.example\">click here</a><abbr>", &[]),
            ("<a name=x>www.b.example</a>", &[]),
        ];
        for (source, want) in rows {
            let got: Vec<_> = Links { source: source.as_bytes(), at: 0, left: 9 }.collect();
            let got: Vec<_> = got.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            assert_eq!(got, *want, "{source}");
            for cut in 0..source.len() {
                let _ = Links { source: &source.as_bytes()[..cut], at: 0, left: 9 }.count();
            }
        }
    }

    #[test]
    fn dates_and_words() {
        assert!(date(" Mon, 23 Nov 2026 16:05:00 +0000 (UTC)").is_some());
        assert!(date("Tue, 23 Nov 2026 16:05:00 GMT").is_some(), "wrong weekday");
        assert!(date("yesterday").is_none());
        assert!(is_mixed("𝗦𝗮𝘃𝗲") && !is_mixed("𝑥"));
        assert!(is_mixed("раypal") && !is_mixed("paypal") && !is_mixed("почта") && !is_mixed("5µm"));
    }
}
