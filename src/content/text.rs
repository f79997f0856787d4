//! Text as people see it, and the link targets in it.

use std::collections::HashSet;
use std::convert::Infallible;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use linkify::{LinkFinder, LinkKind};
use memchr::memmem;

/// The longest link target kept, in bytes; longer ones are cut.
const MAX_URL: usize = 2048;

/// Link targets, each once, up to a number.
#[derive(Debug)]
pub(crate) struct Urls {
    list: Vec<String>,
    seen: HashSet<String>,
    most: usize,
    /// There were more.
    pub cut: bool,
}

impl Urls {
    pub(crate) fn new(most: usize) -> Self {
        Self { list: Vec::new(), seen: HashSet::new(), most, cut: false }
    }

    pub(crate) fn into_list(self) -> Vec<String> {
        self.list
    }

    fn add(&mut self, url: &str) {
        let url = url.trim();
        let starts = |scheme: &str| url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if url.is_empty() || url.starts_with('#') || starts("cid:") || starts("data:") {
            return;
        }
        let url = url.get(..url.floor_char_boundary(MAX_URL)).unwrap_or_default();
        if self.seen.contains(url) {
            return;
        }
        if self.list.len() >= self.most {
            self.cut = true;
            return;
        }
        self.seen.insert(url.to_owned());
        self.list.push(url.to_owned());
    }

    /// Takes the links that stand in plain text, `www.` without a scheme included.
    pub(crate) fn find_in(&mut self, text: &str) {
        if memmem::find(text.as_bytes(), b"://").is_some() {
            let mut finder = LinkFinder::new();
            finder.kinds(&[LinkKind::Url]);
            finder.links(text).for_each(|link| self.add(link.as_str()));
        }
        let ends = |c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | '(' | ')' | '[' | ']');
        for at in memmem::find_iter(text.as_bytes(), b"www.") {
            let (Some(before), Some(rest)) = (text.get(..at), text.get(at..)) else { continue };
            if before.chars().next_back().is_none_or(|c| ends(c) || c == ':') {
                let rest = rest.get(..rest.floor_char_boundary(MAX_URL)).unwrap_or_default();
                self.add(rest.split(ends).next().unwrap_or_default().trim_end_matches(['.', ',', ';', ':', '!', '?']));
            }
        }
    }
}

/// HTML reduced to the text it shows; its link targets go to `urls`.
pub(crate) fn shown(html: &str, urls: &mut Urls) -> String {
    let mut page = Page { text: String::with_capacity(html.len() / 4), urls, tag: Tag::default(), skip: None, hidden: None };
    let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| -> Option<Infallible> {
        page.take(event);
        None
    });
    emitter.naively_switch_states(true);
    // A string cannot fail to be read.
    let Ok(()) = Tokenizer::new_with_emitter(html, emitter).finish();
    page.text
}

/// The start tag being read.
#[derive(Debug, Default)]
struct Tag {
    name: Vec<u8>,
    attribute: Vec<u8>,
    hides: bool,
}

/// An element whose text is not shown: where it began, and how many of its name are open.
#[derive(Debug)]
struct Hidden {
    name: Vec<u8>,
    open: usize,
    from: usize,
}

struct Page<'a> {
    text: String,
    urls: &'a mut Urls,
    tag: Tag,
    skip: Option<Vec<u8>>,
    hidden: Option<Hidden>,
}

impl Page<'_> {
    fn take(&mut self, event: CallbackEvent<'_>) {
        match event {
            CallbackEvent::String { value } if self.skip.is_none() => self.words(&String::from_utf8_lossy(value)),
            CallbackEvent::OpenStartTag { name } => {
                self.tag.name.clear();
                self.tag.name.extend_from_slice(name);
                self.tag.hides = false;
                self.gap(name);
            }
            CallbackEvent::AttributeName { name } => {
                self.tag.attribute.clear();
                self.tag.attribute.extend_from_slice(name);
                self.tag.hides |= name == b"hidden";
            }
            CallbackEvent::AttributeValue { value } => self.attribute(value),
            CallbackEvent::CloseStartTag { .. } => self.start(),
            CallbackEvent::EndTag { name } => self.end(name),
            _ => {}
        }
    }

    fn start(&mut self) {
        let name = self.tag.name.as_slice();
        if matches!(name, b"script" | b"style" | b"title" | b"template") && self.skip.is_none() {
            self.skip = Some(name.to_vec());
        }
        match &mut self.hidden {
            Some(hidden) if hidden.name == name => hidden.open += 1,
            None if self.tag.hides && ends_explicitly(name) => {
                self.hidden = Some(Hidden { name: name.to_vec(), open: 1, from: self.text.len() });
            }
            _ => {}
        }
    }

    fn end(&mut self, name: &[u8]) {
        if self.skip.as_deref() == Some(name) {
            self.skip = None;
        }
        // Text is only dropped once its element is seen to end: an unclosed one must not hide the rest from the rules.
        if let Some(hidden) = self.hidden.as_mut().filter(|hidden| hidden.name == name) {
            hidden.open -= 1;
            if hidden.open == 0 {
                self.text.truncate(hidden.from);
                self.hidden = None;
            }
        }
        self.gap(name);
    }

    fn attribute(&mut self, value: &[u8]) {
        match self.tag.attribute.as_slice() {
            b"href" | b"src" | b"action" | b"formaction" | b"background" | b"poster" | b"xlink:href" => {
                let plain: Vec<u8> = value.iter().copied().filter(|c| !matches!(c, b'\r' | b'\n' | b'\t')).collect();
                self.urls.add(&String::from_utf8_lossy(&plain));
            }
            b"content" if self.tag.name == b"meta" => {
                let value = String::from_utf8_lossy(value);
                if let Some((_, url)) = value.split_once("url=").or_else(|| value.split_once("URL=")) {
                    self.urls.add(url.trim_matches(['"', '\'']));
                }
            }
            b"style" => self.tag.hides |= hides(value, &self.tag.name),
            _ => {}
        }
    }

    /// Adds text, every run of blanks as one.
    fn words(&mut self, text: &str) {
        let mut blank = text.starts_with(|c: char| c.is_ascii_whitespace());
        for word in text.split_ascii_whitespace() {
            if blank && !self.text.ends_with([' ', '\n']) && !self.text.is_empty() {
                self.text.push(' ');
            }
            self.text.push_str(word);
            blank = true;
        }
        if text.ends_with(|c: char| c.is_ascii_whitespace()) && !self.text.ends_with([' ', '\n']) && !self.text.is_empty() {
            self.text.push(' ');
        }
    }

    /// What the start or end of an element puts between words.
    fn gap(&mut self, name: &[u8]) {
        let gap = match name {
            b"br" | b"p" | b"div" | b"tr" | b"li" | b"ul" | b"ol" | b"table" | b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" | b"hr"
            | b"blockquote" | b"pre" | b"center" | b"form" | b"section" | b"body" => '\n',
            b"td" | b"th" | b"option" | b"img" | b"input" => ' ',
            _ => return,
        };
        let parted = self.text.is_empty() || self.text.ends_with('\n') || (gap == ' ' && self.text.ends_with(' '));
        if !parted {
            self.text.push(gap);
        }
    }
}

/// Elements that HTML never closes by itself (as it does `p`, `td`, `li`).
fn ends_explicitly(name: &[u8]) -> bool {
    matches!(
        name,
        b"div" | b"span" | b"font" | b"table" | b"section" | b"a" | b"center" | b"b" | b"i" | b"strong" | b"em" | b"u" | b"small"
    )
}

/// Whether a style attribute keeps its element from being seen. A size of zero on a block is a layout trick: what is in it sets its own.
fn hides(style: &[u8], name: &[u8]) -> bool {
    let style: String = style.iter().filter(|c| !c.is_ascii_whitespace()).map(|c| char::from(c.to_ascii_lowercase())).collect();
    let none = style.contains("display:none") || style.contains("visibility:hidden") || style.contains("mso-hide:all");
    let tiny = style.split_once("font-size:0").is_some_and(|(_, rest)| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'));
    none || (tiny && !matches!(name, b"div" | b"table" | b"section" | b"center"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("", "", &[]),
            ("plain  text\r\nhere", "plain text here", &[]),
            ("<p>one</p><p>two</p>", "one\ntwo\n", &[]),
            ("a<b>b</b>c &amp; &#x41;&uuml;", "abc & Aü", &[]),
            ("<script>var x='<b>';</script>x<style>p{}</style>y<!-- z -->", "xy", &[]),
            ("<title>t</title>x", "x", &[]),
            ("<a href=\"http://a.example/?x=1&amp;y=2\">link</a>", "link", &["http://a.example/?x=1&y=2"]),
            ("<img src='cid:1'><img SRC=https://b.example/x.png><a href='#top'>", "", &["https://b.example/x.png"]),
            ("<a href='http://a.exa\nmple/'>", "", &["http://a.example/"]),
            ("<form action=http://c.example/login>", "", &["http://c.example/login"]),
            ("<meta http-equiv=refresh content='0; url=http://d.example/'>", "", &["http://d.example/"]),
            ("x<div style='DISPLAY: none'>gone<div>too</div></div>y", "x\ny", &[]),
            ("x<span hidden>gone</span>y<span style='font-size:0px'>g</span>z<i style='font-size:0.9em'>k</i>", "xyzk", &[]),
            ("<div style='font-size:0'>layout</div>", "layout\n", &[]),
            ("x<div style='display:none'>never closed", "x\nnever closed", &[]),
            ("<td>1</td><td>2</td>", "1 2 ", &[]),
            ("<a href=http://e.example", "", &[]),
        ];
        for (html, text, links) in rows {
            let mut urls = Urls::new(10);
            assert_eq!(shown(html, &mut urls), *text, "{html:?}");
            assert_eq!(urls.into_list(), *links, "{html:?}");
        }
    }

    #[test]
    fn links_in_text() {
        let mut urls = Urls::new(3);
        urls.find_in("see http://a.example/x?y=1, (https://b.example) and www.c.example. twice http://a.example/x?y=1 xwww.d.example");
        assert!(!urls.cut);
        urls.find_in("www.e.example");
        assert!(urls.cut);
        assert_eq!(urls.into_list(), ["http://a.example/x?y=1", "https://b.example", "www.c.example"]);
    }

    #[test]
    fn cut_at_every_byte() {
        let whole =
            "<div style='display:none'>ü<a href='http://x.example/ü'>&uuml;</a><!-- x --><script>1</script></div><td>x www.ü.example";
        for end in (0..=whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let mut urls = Urls::new(10);
            let text = shown(&whole[..end], &mut urls);
            urls.find_in(&text);
        }
    }
}
