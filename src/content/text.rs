//! Text as people see it, and the link targets in it.

use std::collections::HashSet;

use linkify::{LinkFinder, LinkKind};
use memchr::memmem;

use super::html::{self, Event, Name};

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

    /// Forgets the links after the first `kept`.
    fn forget(&mut self, kept: usize) {
        let seen = &mut self.seen;
        self.list.drain(kept.min(self.list.len())..).for_each(|url| {
            seen.remove(&url);
        });
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

/// HTML reduced to the text it shows; its link targets go to `urls`. The text is never longer than `html`.
pub(crate) fn shown(html: &str, urls: &mut Urls) -> String {
    let mut page = Page { text: String::with_capacity(html.len() / 4), urls, tag: Tag::default(), skip: None, hidden: None };
    html::Reader::new(html).for_each(|event| page.take(event));
    page.text
}

/// The start tag being read.
#[derive(Debug, Default)]
struct Tag {
    name: Name,
    hides: bool,
    /// It has a `style`: browsers take the first one only.
    styled: bool,
    /// Links that stay should the page end within a tag.
    links: usize,
}

/// An element whose text is not shown: where it began, and how many of its name are open.
#[derive(Debug)]
struct Hidden {
    name: Name,
    open: usize,
    from: usize,
}

struct Page<'a> {
    text: String,
    urls: &'a mut Urls,
    tag: Tag,
    skip: Option<Name>,
    hidden: Option<Hidden>,
}

impl Page<'_> {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Text(text) if self.skip.is_none() => self.words(text),
            Event::Char(c) if self.skip.is_none() => self.words(c.encode_utf8(&mut [0; 4])),
            Event::Text(_) | Event::Char(_) => {}
            Event::Start(name) => {
                self.tag = Tag { name, links: self.urls.list.len(), ..Tag::default() };
                self.gap(name.bytes());
            }
            Event::Attribute(name, value) => self.attribute(name.bytes(), value),
            Event::Open(name) => self.start(name),
            Event::End(name) => self.end(name),
            Event::Cut => self.urls.forget(self.tag.links),
        }
    }

    fn start(&mut self, name: Name) {
        self.tag.links = self.urls.list.len();
        let unseen = matches!(name.bytes(), b"script" | b"style" | b"title" | b"template" | b"iframe" | b"noembed" | b"noframes");
        if unseen && self.skip.is_none() {
            self.skip = Some(name);
        }
        match &mut self.hidden {
            Some(hidden) if hidden.name == name => hidden.open += 1,
            None if self.tag.hides && ends_explicitly(name.bytes()) => {
                self.hidden = Some(Hidden { name, open: 1, from: self.text.len() });
            }
            _ => {}
        }
    }

    fn end(&mut self, name: Name) {
        if self.skip == Some(name) {
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
        self.gap(name.bytes());
    }

    /// Takes an attribute of the start tag, its value as written.
    fn attribute(&mut self, name: &[u8], value: &str) {
        match name {
            b"href" | b"src" | b"action" | b"formaction" | b"background" | b"poster" | b"xlink:href" => {
                // What a browser leaves out of a URL (WHATWG URL § 4.4).
                let value = html::resolved(value);
                let value = value.trim_matches(|c: char| c <= ' ');
                if value.contains(['\r', '\n', '\t']) {
                    self.urls.add(&value.replace(['\r', '\n', '\t'], ""));
                } else {
                    self.urls.add(value);
                }
            }
            b"content" if self.tag.name.bytes() == b"meta" => {
                let value = html::resolved(value);
                if let Some((_, url)) = value.split_once("url=").or_else(|| value.split_once("URL=")) {
                    self.urls.add(url.trim_matches(['"', '\'']));
                }
            }
            b"style" if !self.tag.styled => {
                self.tag.styled = true;
                self.tag.hides |= hides(html::resolved(value).as_bytes(), self.tag.name.bytes());
            }
            b"hidden" => self.tag.hides = true,
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
            ("x<a href='http://e.example' <b>z", "xz", &["http://e.example"]),
            ("x<a href='http://e.example'", "x", &[]),
            ("<a href=http://f.example>y<a id=1 href='http://f.example' src='http://g.example' ", "y", &["http://f.example"]),
            ("<a href=http://f.example>y</a", "y", &["http://f.example"]),
            ("<a/HREF = ' \u{1}ht&Tab;tp&colon;//h.ex&NewLine;ample/\t'>", "", &["http://h.example/"]),
            ("<noscript><a href=http://i.example>x</a></noscript>", "x", &["http://i.example"]),
            ("<textarea>a<b>c</textarea><iframe>gone</iframe>d", "a<b>cd", &[]),
            ("x<span style='' style='display:none'>seen</span>", "xseen", &[]),
            ("x&#32;&nbsp;&#10; y&lt;b&gt; z", "x \u{a0} y<b> z", &[]),
            ("a&shy;b&zwnj;c\0d", "a\u{ad}b\u{200c}cd", &[]),
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
