//! Content-Type, Content-Disposition and Content-Transfer-Encoding: every reading of their parameters that a client may take.

use super::quoted::hex;
use super::words;

/// Parameters read of one field.
const MAX_PARAMS: usize = 256;

/// A parameter as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Param {
    /// Lower case, without RFC 2231 marks.
    name: String,
    /// `*0`, `*1` … of RFC 2231 section 3.
    section: Option<u32>,
    /// A `*` at the end: percent-encoded, RFC 2231 section 4.
    extended: bool,
    /// The value, quotes removed and escapes undone.
    pub value: Vec<u8>,
    /// The value as it stands, up to the semicolon.
    pub raw: Vec<u8>,
}

/// A field of the form `value; name=value; …`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Structured {
    /// What stands before the parameters: lower case, without comments and blanks.
    pub value: String,
    params: Vec<Param>,
    /// All of it, unfolded.
    pub(super) raw: Vec<u8>,
}

impl Structured {
    /// Whether it has more parameters than are read.
    pub(crate) fn is_cut(&self) -> bool {
        self.params.len() >= MAX_PARAMS
    }

    /// Reads the bytes of a field's value; never fails.
    pub(crate) fn read(value: &[u8]) -> Self {
        let raw = words::unfold(value);
        let text = raw.trim_ascii();
        let head = text.iter().position(|c| *c == b';').unwrap_or(text.len());
        // A forgotten semicolon: `text/plain charset=x`.
        let head = match text.iter().take(head).position(|c| *c == b'=') {
            Some(equals) => text.iter().take(equals).rposition(|c| matches!(c, b' ' | b'\t' | b',')).unwrap_or(0),
            None => head,
        };
        let (value, params) = text.split_at(head);
        let value = without_comments(value);
        let value: String = value.iter().filter(|c| c.is_ascii_graphic() && !matches!(c, b'"' | b',')).map(|c| char::from(*c)).collect();
        let value = value.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        Self { value: value.to_ascii_lowercase(), params: read_params(params), raw: raw.to_vec() }
    }

    /// All values of the parameter as text, RFC 2231 forms first, then the plain ones (with encoded words decoded), duplicates removed.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        let extended = self.joined(name).into_iter().chain(self.extended(name));
        let plain = self.plain(name).map(|param| words::decode(&param.value));
        for text in extended.chain(plain).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    /// The first of [`Self::texts`].
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.texts(name).into_iter().next()
    }

    /// How many plain parameters of this name there are with different values.
    pub(crate) fn is_doubled(&self, name: &str) -> bool {
        let mut values = self.plain(name).map(|param| &param.value);
        values.next().is_some_and(|first| values.any(|value| value != first))
    }

    /// The values of the plain parameters of this name, as written.
    pub(crate) fn plainly<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.plain(name).map(|param| param.value.as_slice())
    }

    /// The parameters of this name without RFC 2231 marks.
    pub(super) fn plain<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Param> + 'a {
        self.params.iter().filter(move |param| param.name == name && param.section.is_none() && !param.extended)
    }

    /// The values of `name*=charset'language'text`.
    pub(super) fn extended(&self, name: &str) -> Vec<String> {
        let mine = self.params.iter().filter(|param| param.name == name && param.section.is_none() && param.extended);
        mine.map(|param| decode_extended(&param.value, true)).collect()
    }

    /// The sections `name*0`, `name*1` … put together: by number up to the first gap, over gaps, the last one of a number, as they stand.
    pub(super) fn joined(&self, name: &str) -> Vec<String> {
        let mine: Vec<&Param> = self.params.iter().filter(|param| param.name == name && param.section.is_some()).collect();
        let Some(least) = mine.iter().filter_map(|param| param.section).min() else { return Vec::new() };
        let mut sorted = mine.clone();
        sorted.sort_by_key(|param| param.section);
        let mut firsts = sorted.clone();
        firsts.dedup_by_key(|param| param.section);
        let mut lasts: Vec<&Param> = sorted.into_iter().rev().collect();
        lasts.dedup_by_key(|param| param.section);
        lasts.reverse();
        let unbroken = firsts.iter().zip(least..).take_while(|(param, section)| param.section == Some(*section)).map(|(param, _)| *param);
        let mut texts: Vec<String> = Vec::new();
        for params in [unbroken.collect(), firsts.clone(), lasts, mine] {
            let text = put_together(&params);
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }
}

/// The text of sections in this order.
fn put_together(sections: &[&Param]) -> String {
    let mut bytes = Vec::new();
    let mut label = None;
    for (i, param) in sections.iter().enumerate() {
        if !param.extended {
            bytes.extend_from_slice(&param.value);
            continue;
        }
        let (charset, text) = if i == 0 { split_charset(&param.value) } else { (None, param.value.as_slice()) };
        label = label.or(charset);
        bytes.extend(percent(text));
    }
    super::charset::decode(&bytes, label.as_deref()).into_owned()
}

fn read_params(mut rest: &[u8]) -> Vec<Param> {
    let mut params = Vec::new();
    while params.len() < MAX_PARAMS {
        rest = skip_separators(rest);
        let Some(end) = rest.iter().position(|c| matches!(c, b'=' | b';')) else { break };
        let (name, after) = rest.split_at(end);
        if after.first() == Some(&b';') {
            rest = after;
            continue;
        }
        let after = after.get(1..).unwrap_or_default();
        let (value, len) = read_value(after);
        let raw = after.get(..len).unwrap_or_default().to_vec();
        rest = after.get(len..).unwrap_or_default();
        let name = String::from_utf8_lossy(name.trim_ascii()).to_ascii_lowercase();
        let (name, extended) = name.strip_suffix('*').map_or((name.as_str(), false), |name| (name, true));
        let (name, section) = match name.rsplit_once('*') {
            Some((base, digits)) if !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit()) => (base, digits.parse().ok()),
            _ => (name, None),
        };
        params.push(Param { name: name.trim().to_owned(), section, extended, value, raw });
    }
    params
}

/// Semicolons, commas, blanks and comments before a parameter's name.
fn skip_separators(mut rest: &[u8]) -> &[u8] {
    loop {
        match rest.first() {
            Some(b';' | b',' | b' ' | b'\t') => rest = rest.get(1..).unwrap_or_default(),
            Some(b'(') => match rest.iter().position(|c| *c == b')') {
                Some(end) => rest = rest.get(end + 1..).unwrap_or_default(),
                None => return rest,
            },
            _ => return rest,
        }
    }
}

/// A parameter's value, and its length as written: a quoted string (an unclosed one goes to the end), or all up to the next semicolon.
fn read_value(text: &[u8]) -> (Vec<u8>, usize) {
    let blanks = text.len() - text.trim_ascii_start().len();
    let semicolon = |from: usize| text.iter().skip(from).position(|c| *c == b';').map_or(text.len(), |n| from + n);
    if text.get(blanks) != Some(&b'"') {
        let end = semicolon(blanks);
        return (text.get(blanks..end).unwrap_or_default().trim_ascii().to_vec(), end);
    }
    let mut value = Vec::new();
    let mut at = blanks + 1;
    while let Some(c) = text.get(at) {
        match c {
            b'"' => return (value, semicolon(at)),
            b'\\' => {
                at += 1;
                value.extend(text.get(at));
            }
            c => value.push(*c),
        }
        at += 1;
    }
    (value, text.len())
}

/// Without `(comments)` (RFC 5322 section 3.2.2), nested ones too.
pub(super) fn without_comments(text: &[u8]) -> Vec<u8> {
    let mut deep = 0usize;
    let mut out = Vec::with_capacity(text.len());
    for c in text {
        match c {
            b'(' => deep += 1,
            b')' if deep > 0 => deep -= 1,
            c if deep == 0 => out.push(*c),
            _ => {}
        }
    }
    out
}

fn decode_extended(value: &[u8], with_charset: bool) -> String {
    let (label, text) = if with_charset { split_charset(value) } else { (None, value) };
    super::charset::decode(&percent(text), label.as_deref()).into_owned()
}

/// `charset'language'text` (RFC 2231 section 4).
fn split_charset(value: &[u8]) -> (Option<String>, &[u8]) {
    let mut pieces = value.splitn(3, |c| *c == b'\'');
    match (pieces.next(), pieces.next(), pieces.next()) {
        (Some(label), Some(_), Some(text)) => (Some(String::from_utf8_lossy(label).into_owned()), text),
        _ => (None, value),
    }
}

pub(super) fn percent(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((c, tail)) = rest.split_first() {
        rest = tail;
        match tail {
            [high, low, tail @ ..] if *c == b'%' => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    rest = tail;
                }
                _ => out.push(*c),
            },
            _ => out.push(*c),
        }
    }
    out
}

/// Words looked at in the value of a transfer encoding.
const MAX_WORDS: usize = 8;

/// A transfer encoding (RFC 2045 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// 7bit, 8bit, binary, or none said.
    Identity,
    /// base64
    Base64,
    /// quoted-printable
    Quoted,
    /// x-uuencode and its like
    Uuencode,
    /// A name that nobody knows.
    Unknown,
}

impl Encoding {
    /// Reads a field's value: comments, quotes, dashes and blanks make no difference.
    pub(crate) fn read(value: &[u8]) -> Self {
        let value = words::decode(&without_comments(value));
        Self::named(value.split([';', ',']).next().unwrap_or_default())
    }

    /// Every encoding that some reader sees in a field's value, the most regular one first: all of it, each of its words, comments
    /// included, and names with letters behind them.
    pub(crate) fn readings(value: &[u8]) -> Vec<Self> {
        let whole = Self::read(value);
        let mut all = if whole == Self::Unknown { Vec::new() } else { vec![whole] };
        let text = words::decode(value).to_ascii_lowercase();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')).filter(|word| !word.is_empty());
        for word in words.take(MAX_WORDS) {
            let stem = ["base64", "quoted-printable"].into_iter().find(|name| word.starts_with(name)).unwrap_or(word);
            let one = Self::named(stem);
            if one != Self::Unknown && !all.contains(&one) {
                all.push(one);
            }
        }
        if all.is_empty() {
            all.push(whole);
        }
        all
    }

    /// Its name, for people.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Identity => "not encoded",
            Self::Base64 => "base64",
            Self::Quoted => "quoted-printable",
            Self::Uuencode => "uuencode",
            Self::Unknown => "encoded in an unknown way",
        }
    }

    fn named(name: &str) -> Self {
        let name: String = name.to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
        match name.as_str() {
            "" | "7bit" | "8bit" | "binary" | "7bits" | "8bits" | "7" | "8" | "none" => Self::Identity,
            "base64" | "xbase64" | "b" => Self::Base64,
            "quotedprintable" | "xquotedprintable" | "q" | "qp" => Self::Quoted,
            "uuencode" | "xuuencode" | "uue" | "xuue" | "xuu" | "uu" => Self::Uuencode,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_names() {
        let rows: &[(&str, &str, Option<&str>)] = &[
            ("Text/Plain; name=a.txt", "text/plain", Some("a.txt")),
            ("text/plain (comment); name=\"a b.txt\"", "text/plain", Some("a b.txt")),
            ("text / plain; name=report(1).pdf", "text/plain", Some("report(1).pdf")),
            ("x/y; name*=utf-8''gr%C3%BCn.txt; name=\"gr.txt\"", "x/y", Some("grün.txt")),
            ("x/y; name*0*=utf-8''gr%C3; name*1*=%BCn; name*2=.txt", "x/y", Some("grün.txt")),
            ("x/y; name=\"=?utf-8?q?gr=C3=BCn?=.txt\"", "x/y", Some("grün.txt")),
            ("x/y; name=", "x/y", None),
            ("name=a", "", Some("a")),
            ("", "", None),
            ("text/plain charset=x name=a", "text/plain", None),
        ];
        for (text, value, name) in rows {
            let got = Structured::read(text.as_bytes());
            assert_eq!((got.value.as_str(), got.text("name").as_deref()), (*value, *name), "{text:?}");
        }
        assert!(Structured::read(b"a/b; boundary=x; boundary=y").is_doubled("boundary"));
        let whole = b"x/y; name*0*=utf-8''gr%C3; name*1*=%BCn; boundary=\"a\\\"b\" (c); name=\"=?utf-8?q?=C3=BC?=\"";
        for end in 0..=whole.len() {
            let cut = Structured::read(&whole[..end]);
            assert!(cut.texts("name").len() <= MAX_PARAMS);
        }
    }

    #[test]
    fn encodings() {
        let rows = [
            ("base64", Encoding::Base64),
            (" BaSe64 (really)", Encoding::Base64),
            ("\"base64\";", Encoding::Base64),
            ("Quoted Printable", Encoding::Quoted),
            ("=?us-ascii?q?base64?=", Encoding::Base64),
            ("x-uuencode", Encoding::Uuencode),
            ("7bit", Encoding::Identity),
            ("", Encoding::Identity),
            ("rot13", Encoding::Unknown),
        ];
        for (text, want) in rows {
            assert_eq!(Encoding::read(text.as_bytes()), want, "{text:?}");
        }
        let rows: &[(&str, &[Encoding])] = &[
            ("base64", &[Encoding::Base64]),
            ("7bit (base64)", &[Encoding::Identity, Encoding::Base64]),
            ("8bit, base64", &[Encoding::Identity, Encoding::Base64]),
            ("quoted-printable base64", &[Encoding::Quoted, Encoding::Base64]),
            ("base64x", &[Encoding::Base64]),
            ("rot13", &[Encoding::Unknown]),
            ("", &[Encoding::Identity]),
        ];
        for (text, want) in rows {
            assert_eq!(Encoding::readings(text.as_bytes()), *want, "{text:?}");
        }
    }
}
