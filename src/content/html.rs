//! HTML cut into tags, attributes and text as browsers cut it (WHATWG HTML § 13.2.5). One loop, no recursion, no state kept but a few
//! positions: hostile markup costs time in proportion to its length, and no memory.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter, memchr3};

/// What stands in the page, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// Text, its character references resolved; one run of text may come in several pieces.
    Text(&'a str),
    /// A character that was written as a reference.
    Char(char),
    /// A start tag begins.
    Start(Name),
    /// An attribute of the start tag, its value as written: see `resolved`.
    Attribute(Name, &'a str),
    /// The start tag is complete.
    Open(Name),
    /// An end tag, complete.
    End(Name),
    /// The page ended within a tag: browsers drop it, its attributes too. Nothing follows.
    Cut,
}

/// The longest name told apart, in bytes; all that matter here are shorter.
const LONGEST_NAME: usize = 12;

/// The name of a tag or attribute, in lower case; empty when it is longer than any that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Name([u8; LONGEST_NAME], usize);

impl Name {
    fn new(written: &[u8]) -> Self {
        let mut name = Self::default();
        if let Some(place) = name.0.get_mut(..written.len()) {
            place.copy_from_slice(written);
            place.make_ascii_lowercase();
            name.1 = written.len();
        }
        name
    }

    /// The name in lower case.
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

/// Where the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tags.
    Markup,
    /// In an element without tags, up to a position; with character references or without.
    Raw { to: usize, references: bool },
    /// In a start tag, after its name.
    StartTag(Name),
    /// In an end tag, after its name.
    EndTag(Name),
}

/// Reads a page event by event.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    html: &'a str,
    bytes: &'a [u8],
    at: usize,
    state: State,
}

impl<'a> Reader<'a> {
    pub(super) fn new(html: &'a str) -> Self {
        Self { html, bytes: html.as_bytes(), at: 0, state: State::Markup }
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Goes to `to`; what was passed. Both ends stand beside ASCII, so the cut is always between characters.
    fn pass(&mut self, to: usize) -> &'a str {
        let passed = self.html.get(self.at..to).unwrap_or_default();
        self.at = to;
        passed
    }

    /// The position of the first byte from here on that `ends`, or the end of the page.
    fn until(&self, ends: impl Fn(u8) -> bool) -> usize {
        self.rest().iter().position(|c| ends(*c)).map_or(self.bytes.len(), |found| self.at + found)
    }

    fn skip_blanks(&mut self) {
        self.at = self.until(|c| !is_blank(c));
    }

    /// Passes what browsers take for a comment that ends at the next `>`.
    fn skip_bogus(&mut self) {
        self.at = memchr(b'>', self.rest()).map_or(self.bytes.len(), |found| self.at + found + 1);
    }

    /// Passes a comment, standing after its `<!--`. `<!-->`, `<!--->` and `--!>` end it too.
    fn skip_comment(&mut self) {
        let rest = self.rest();
        let ends = |at: &usize| {
            let before = rest.get(..*at).unwrap_or_default();
            matches!(before, b"" | b"-") || before.ends_with(b"--") || before.ends_with(b"--!")
        };
        let length = memchr_iter(b'>', rest).find(ends).map(|at| at + 1);
        self.at = length.map_or(self.bytes.len(), |length| self.at + length);
    }

    /// One step between tags, standing at a `<`; `None` when it passed something that shows nothing.
    fn markup(&mut self) -> Option<Event<'a>> {
        match (self.byte(1), self.byte(2)) {
            (Some(c), _) if c.is_ascii_alphabetic() => {
                self.at += 1;
                let name = self.tag_name();
                self.state = State::StartTag(name);
                return Some(Event::Start(name));
            }
            (Some(b'/'), Some(c)) if c.is_ascii_alphabetic() => {
                self.at += 2;
                self.state = State::EndTag(self.tag_name());
            }
            (Some(b'!'), _) if self.rest().starts_with(b"<!--") => {
                self.at += 4;
                self.skip_comment();
            }
            (Some(b'!' | b'?'), _) | (Some(b'/'), Some(_)) => self.skip_bogus(),
            _ => return Some(Event::Text(self.pass(self.at + 1))),
        }
        None
    }

    fn tag_name(&mut self) -> Name {
        let end = self.until(|c| is_blank(c) || c == b'/' || c == b'>');
        Name::new(self.pass(end).as_bytes())
    }

    /// Text up to `to` or what cannot be text; `None` for a NUL, which browsers drop.
    fn text(&mut self, to: usize, references: bool, found: Option<usize>) -> Option<Event<'a>> {
        let stop = found.map_or(to, |found| (self.at + found).min(to));
        if stop > self.at {
            return Some(Event::Text(self.pass(stop)));
        }
        match self.byte(0) {
            Some(b'&') if references => match reference(self.rest(), false) {
                Some((c, length)) => {
                    self.at += length;
                    Some(Event::Char(c))
                }
                None => Some(Event::Text(self.pass(self.at + 1))),
            },
            Some(b'&') => Some(Event::Text(self.pass(self.at + 1))),
            _ => {
                self.at += 1;
                None
            }
        }
    }

    /// One step within a tag: its next attribute, or its end.
    fn in_tag(&mut self, tag: Name, start: bool) -> Option<Event<'a>> {
        self.at = self.until(|c| !is_blank(c) && c != b'/');
        match self.byte(0) {
            None => Some(Event::Cut),
            Some(b'>') => {
                self.at += 1;
                self.state = if start { self.after(tag) } else { State::Markup };
                Some(if start { Event::Open(tag) } else { Event::End(tag) })
            }
            Some(_) => {
                let (name, value) = self.attribute();
                if self.at >= self.bytes.len() {
                    return Some(Event::Cut);
                }
                start.then_some(Event::Attribute(name, value))
            }
        }
    }

    fn attribute(&mut self) -> (Name, &'a str) {
        let from = self.at;
        self.at += 1; // A name may begin with `=`.
        self.at = self.until(|c| is_blank(c) || matches!(c, b'/' | b'>' | b'='));
        let name = Name::new(self.bytes.get(from..self.at).unwrap_or_default());
        self.skip_blanks();
        if self.byte(0) != Some(b'=') {
            return (name, "");
        }
        self.at += 1;
        self.skip_blanks();
        let value = match self.byte(0) {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                let end = memchr(quote, self.rest()).map_or(self.bytes.len(), |found| self.at + found);
                let value = self.pass(end);
                self.at = (end + 1).min(self.bytes.len());
                value
            }
            _ => {
                let end = self.until(|c| is_blank(c) || c == b'>');
                self.pass(end)
            }
        };
        (name, value)
    }

    /// How what follows this start tag is read. Mail is read without scripts, so `noscript` holds markup.
    fn after(&self, tag: Name) -> State {
        let name = tag.bytes();
        match name {
            b"textarea" | b"title" => State::Raw { to: self.raw_end(name), references: true },
            b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" => State::Raw { to: self.raw_end(name), references: false },
            b"script" => State::Raw { to: self.script_end(), references: false },
            b"plaintext" => State::Raw { to: self.bytes.len(), references: false },
            _ => State::Markup,
        }
    }

    /// Where the end tag of the element without tags begins that was just opened.
    fn raw_end(&self, name: &[u8]) -> usize {
        let rest = self.rest();
        let end = memchr_iter(b'<', rest).find(|at| is_tag(rest.get(*at..).unwrap_or_default(), b"</", name));
        end.map_or(self.bytes.len(), |end| self.at + end)
    }

    /// As `raw_end` for a script: within `<!-- -->` a `<script>` may stand with its own end (§ 13.2.5.17 and on).
    fn script_end(&self) -> usize {
        let rest = self.rest();
        let (mut comment, mut nested) = (false, false);
        for at in memchr2_iter(b'<', b'-', rest) {
            let here = rest.get(at..).unwrap_or_default();
            if here.starts_with(b"<!--") {
                comment = true;
            } else if here.starts_with(b"-->") {
                (comment, nested) = (false, false);
            } else if comment && is_tag(here, b"<", b"script") {
                nested = true;
            } else if is_tag(here, b"</", b"script") {
                if !nested {
                    return self.at + at;
                }
                nested = false;
            }
        }
        self.bytes.len()
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Event<'a>;

    /// The next event. Every turn of the loop passes at least one byte or ends a raw element.
    fn next(&mut self) -> Option<Event<'a>> {
        while self.at < self.bytes.len() || matches!(self.state, State::StartTag(_) | State::EndTag(_)) {
            let event = match self.state {
                State::Markup if self.byte(0) == Some(b'<') => self.markup(),
                State::Markup => self.text(self.bytes.len(), true, memchr3(b'<', b'&', 0, self.rest())),
                State::Raw { to, .. } if self.at >= to => {
                    self.state = State::Markup;
                    None
                }
                State::Raw { to, references } => {
                    let raw = self.bytes.get(self.at..to).unwrap_or_default();
                    self.text(to, references, if references { memchr2(b'&', 0, raw) } else { memchr(0, raw) })
                }
                State::StartTag(tag) => self.in_tag(tag, true),
                State::EndTag(tag) => self.in_tag(tag, false),
            };
            if event == Some(Event::Cut) {
                (self.at, self.state) = (self.bytes.len(), State::Markup);
            }
            if event.is_some() {
                return event;
            }
        }
        None
    }
}

fn is_blank(c: u8) -> bool {
    matches!(c, b' ' | b'\t' | b'\n' | b'\r' | b'\x0c')
}

/// Whether a tag of this name begins here.
fn is_tag(here: &[u8], opening: &[u8], name: &[u8]) -> bool {
    let Some(rest) = here.strip_prefix(opening) else { return false };
    rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
        && rest.get(name.len()).is_some_and(|c| is_blank(*c) || matches!(c, b'/' | b'>'))
}

/// An attribute's value with its character references resolved; never longer than as written. NULs are dropped.
pub(super) fn resolved(value: &str) -> Cow<'_, str> {
    if memchr2(b'&', 0, value.as_bytes()).is_none() {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(found) = memchr2(b'&', 0, rest.as_bytes()) {
        let (before, from) = rest.split_at(found);
        text.push_str(before);
        let length = match reference(from.as_bytes(), true) {
            Some((c, length)) => {
                text.push(c);
                length
            }
            None => {
                text.extend(from.starts_with('&').then_some('&'));
                1
            }
        };
        rest = from.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The names of characters (WHATWG HTML § 13.5, those of one character), and whether each stands without its semicolon too.
static NAMES: LazyLock<HashMap<&str, (char, bool)>> = LazyLock::new(|| {
    let (bare, others) = include_str!("references.txt").split_once("--").unwrap_or_default();
    let read = |list: &'static str, bare: bool| {
        list.split_ascii_whitespace().filter_map(move |row| {
            let (name, code) = row.split_once('=')?;
            Some((name, (char::from_u32(u32::from_str_radix(code, 16).ok()?)?, bare)))
        })
    };
    read(bare, true).chain(read(others, false)).collect()
});

/// The longest name of a character, in bytes, and the longest that stands without its semicolon.
const LONGEST_REFERENCE: usize = 31;
const LONGEST_BARE: usize = 6;

/// The character reference that begins here, and its length in bytes. In an attribute `&copy=1` is none: such links are written often.
fn reference(here: &[u8], attribute: bool) -> Option<(char, usize)> {
    let rest = here.strip_prefix(b"&")?;
    if let Some(number) = rest.strip_prefix(b"#") {
        return numeric(number).map(|(c, length)| (c, length + 2));
    }
    let length = rest.iter().take(LONGEST_REFERENCE + 1).take_while(|c| c.is_ascii_alphanumeric()).count();
    let name = |length: usize| std::str::from_utf8(rest.get(..length)?).ok();
    if rest.get(length) == Some(&b';')
        && let Some((c, _)) = NAMES.get(name(length)?)
    {
        return Some((*c, length + 2));
    }
    let (c, length) = (2..=length.min(LONGEST_BARE)).rev().find_map(|length| match NAMES.get(name(length)?) {
        Some((c, true)) => Some((*c, length)),
        _ => None,
    })?;
    let goes_on = rest.get(length).is_some_and(|next| next.is_ascii_alphanumeric() || *next == b'=');
    (!attribute || !goes_on).then_some((c, length + 1))
}

/// The character whose number begins here, after the `&#`, and the length of the number.
fn numeric(number: &[u8]) -> Option<(char, usize)> {
    let (radix, prefix) = if matches!(number.first(), Some(b'x' | b'X')) { (16, 1) } else { (10, 0) };
    let mut code: u32 = 0;
    let mut length = prefix;
    while let Some(digit) = number.get(length).and_then(|c| char::from(*c).to_digit(radix)) {
        code = code.saturating_mul(radix).saturating_add(digit);
        length += 1;
    }
    if length == prefix {
        return None;
    }
    length += usize::from(number.get(length) == Some(&b';'));
    let c = match code {
        0 => char::REPLACEMENT_CHARACTER,
        // Written for windows-1252, and read so.
        0x80..=0x9f => WINDOWS_1252.get(code as usize - 0x80).copied().unwrap_or(char::REPLACEMENT_CHARACTER),
        _ => char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER),
    };
    Some((c, length))
}

/// What 0x80 to 0x9F are in windows-1252; the five it lacks stay as they are.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“', '”', '•', '–',
    '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The events as one line: text as it is, `[name attribute=value]`, `[/name]`, `[cut]`.
    fn read(html: &str) -> String {
        let mut line = String::new();
        let lossy = |name: &Name| String::from_utf8_lossy(name.bytes()).into_owned();
        for event in Reader::new(html) {
            match event {
                Event::Text(text) => line.push_str(text),
                Event::Char(c) => line.push(c),
                Event::Start(name) => line.push_str(&format!("[{}", lossy(&name))),
                Event::Attribute(name, value) => line.push_str(&format!(" {}={}", lossy(&name), resolved(value))),
                Event::Open(_) => line.push(']'),
                Event::End(name) => line.push_str(&format!("[/{}]", lossy(&name))),
                Event::Cut => line.push_str("[cut]"),
            }
        }
        line
    }

    const TABLE: &[(&str, &str)] = &[
        ("", ""),
        ("a < b <3 <> << c", "a < b <3 <> << c"),
        ("x<", "x<"),
        ("x</", "x</"),
        ("a</>b</ x>c</3>d", "abcd"),
        ("a\0b", "ab"),
        ("<P>x</P\n>", "[p]x[/p]"),
        ("<br/>y<br / >", "[br]y[br]"),
        ("<averyveryverylongname>x", "[]x"),
        // Attributes.
        ("<a/href=x/y>z", "[a href=x/y]z"),
        ("<A HREF = 'x y' ID=\"q'>\">z", "[a href=x y id=q'>]z"),
        ("<a href='x\n\ty'>", "[a href=x\n\ty]"),
        ("<a href=x\ny>", "[a href=x y=]"),
        ("<a href=>x", "[a href=]x"),
        ("<a href=\"x\"id='y'z>", "[a href=x id=y z=]"),
        ("<a =b=c>", "[a =b=c]"),
        ("<a \"'=1>", "[a \"'=1]"),
        ("<a ü=ü>", "[a ü=ü]"),
        ("<a href=a&amp;b&copy=1&copy;&lt&lt>", "[a href=a&b&copy=1©<<]"),
        ("<a href='&#104;ttp&colon;&sol;&#x2F;e.example&Tab;'>", "[a href=http://e.example\t]"),
        // Cut short.
        ("x<a href=y", "x[a[cut]"),
        ("x<a href='y'", "x[a[cut]"),
        ("x<a id=1 href='y>z</a>", "x[a id=1[cut]"),
        ("x<a", "x[a[cut]"),
        ("x</a", "x[cut]"),
        ("x</a href='>'>y", "x[/a]y"),
        // Comments and what is taken for one.
        ("a<!-- <b> -- > --->b", "ab"),
        ("a<!-->b<!--->c<!---->d", "abcd"),
        ("a<!--x--!>b<!--!>x-->c<!---!>x-->d", "abcd"),
        ("a<!--x--!y>-->b", "ab"),
        ("a<!--<!-->b", "ab"),
        ("a<!-- never closed > b", "a"),
        ("<!DOCTYPE html PUBLIC \"x\">a", "a"),
        ("a<!x>b<!>c<?xml version='1'?>d", "abcd"),
        ("a<![CDATA[b>c]]>d", "ac]]>d"),
        ("<![if !mso]>a<![endif]><!--[if mso]><p>b<![endif]-->", "a"),
        // Elements without tags.
        ("<style>a<b>&amp;</style >c", "[style]a<b>&amp;[/style]c"),
        ("<title>a<b>&amp;</TITLE>c", "[title]a<b>&[/title]c"),
        ("<textarea>a</text></textareas>&lt</textarea/x>c", "[textarea]a</text></textareas><[/textarea]c"),
        ("<noscript><a href=x>y</noscript>", "[noscript][a href=x]y[/noscript]"),
        ("<xmp><b>&amp;\0</xmp><plaintext></plaintext>", "[xmp]<b>&amp;[/xmp][plaintext]</plaintext>"),
        ("<script>a</script>b", "[script]a[/script]b"),
        ("<script>a</script", "[script]a</script"),
        ("<script><!--</script>b", "[script]<!--[/script]b"),
        ("<script><!--<script></script>--></script>b", "[script]<!--<script></script>-->[/script]b"),
        ("<script><!--><script></script>b", "[script]<!--><script>[/script]b"),
        ("<style></style>b", "[style][/style]b"),
        ("</style>b<style/>c", "[/style]b[style]c"),
        // Character references.
        ("&amp;&lt;&gt;&quot;&apos;|&nbsp;|&zwnj;|&shy;", "&<>\"'|\u{a0}|\u{200c}|\u{ad}"),
        ("&copy;&reg;&euro;&hellip;&mdash;&ndash;&lsquo;&rsquo;&ldquo;&rdquo;", "©®€…—–‘’“”"),
        ("&ZeroWidthSpace;&CounterClockwiseContourIntegral;", "\u{200b}∳"),
        ("&amp &AMP&Amp; &ampx &notit; &notin; &euro &nosuch; & &;", "& &&Amp; &x ¬it; ∉ &euro &nosuch; & &;"),
        ("&#65;&#65&#x41;&#X41 &#x1F600;", "AAAA 😀"),
        ("&#0;&#xD800;&#x110000;&#99999999999999999999;", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ("&#128;&#x93;&#x9D;", "€“\u{9d}"),
        ("&#;&#x;&#xg;&#", "&#;&#x;&#xg;&#"),
        ("&#000000000000000000000000000000000065;", "A"),
    ];

    #[test]
    fn as_browsers_read() {
        for (html, line) in TABLE {
            assert_eq!(read(html), *line, "{html:?}");
        }
    }

    #[test]
    fn names_of_characters() {
        assert_eq!(NAMES.len(), 2032);
        assert_eq!(NAMES.keys().map(|name| name.len()).max(), Some(LONGEST_REFERENCE));
        assert_eq!(NAMES.iter().filter(|(_, of)| of.1).map(|(name, _)| name.len()).max(), Some(LONGEST_BARE));
        for (name, (c, bare)) in NAMES.iter() {
            assert_eq!(read(&format!("&{name};")), c.to_string());
            assert!(c.len_utf8() <= name.len() + 1, "{name} is longer than it is written");
            assert_eq!(read(&format!("&{name}")) == c.to_string(), *bare, "{name}");
        }
    }

    /// Events are few and cover at most the page, wherever it is cut.
    fn bounded(html: &str) {
        let (mut events, mut shown) = (0, 0);
        for event in Reader::new(html) {
            events += 1;
            shown += match event {
                Event::Text(text) => text.len(),
                Event::Char(c) => c.len_utf8(),
                Event::Attribute(_, value) => resolved(value).len(),
                _ => 0,
            };
        }
        assert!(events <= html.len() && shown <= html.len(), "{events} events, {shown} bytes of {}", html.len());
    }

    #[test]
    fn cut_at_every_byte() {
        let all: String = TABLE.iter().map(|(html, _)| *html).filter(|html| !html.contains("<plaintext>")).collect();
        for html in TABLE.iter().map(|(html, _)| *html).chain([all.as_str()]) {
            for at in (0..=html.len()).filter(|at| html.is_char_boundary(*at)) {
                bounded(&html[..at]);
                bounded(&html[at..]);
            }
        }
    }

    #[test]
    fn hostile_pages_take_linear_time() {
        const SIZE: usize = 1 << 20;
        let units = [
            "<",
            "<a ",
            "<a",
            "<a/",
            "<a b='",
            "<a b=\"'",
            "&#",
            "&",
            "&#1",
            "&#x",
            "&a",
            "&notin",
            "<!--",
            "<!-",
            "-",
            "--",
            "<!---->",
            "</",
            "</a ",
            "<!",
            "<?",
            ">",
            "<script>",
            "<script><!--",
            "<style></styl",
            "<title>&",
            "<textarea><",
            "\0",
            "\"'",
            "'\"<a b=",
            "<a b=&#0;>",
            "=",
            "<a =",
            "ü<ü&ü",
        ];
        let starts = ["", "<a ", "<a b='", "<a b=", "<!--", "<script>", "<script><!--", "<title>", "<style>", "<!", "&#"];
        for start in starts {
            for unit in units {
                let size = if start.is_empty() { SIZE } else { SIZE / 16 };
                bounded(&(start.to_owned() + &unit.repeat(size / unit.len())));
            }
        }
    }

    /// Pages on which a reader that calls itself for the next state ran out of stack: very long runs of one state.
    #[test]
    fn long_runs_do_not_nest() {
        let attributes: String = (0..20_000).map(|i| format!(" data-{i}='&#{};&amp;&nbsp'\n", 97 + i % 26)).collect();
        let references: String = (0..200_000).map(|i| format!("&#{};&zwnj;&#x{:x};", 97 + i % 26, 65 + i % 26)).collect();
        let blanks = " ".repeat(1 << 20);
        let html = format!("<a{attributes}{blanks}href='x{references}'>{references}{blanks}<!--{blanks}{references}--></a{blanks}>");
        let run = move || {
            bounded(&html);
            let text: usize = Reader::new(&html).filter(|event| matches!(event, Event::Char(_))).count();
            assert_eq!(text, 600_000);
        };
        // A small stack shows it.
        std::thread::Builder::new().stack_size(128 << 10).spawn(run).unwrap().join().unwrap();
    }
}
