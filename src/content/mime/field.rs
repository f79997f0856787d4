//! Content-Type, Content-Disposition and Content-Transfer-Encoding: every reading of their parameters that a client may take.

use memchr::memmem;

use super::quoted::hex;
use super::words;

/// Parameters read of one field.
const MAX_PARAMS: usize = 64;
/// Different boundaries tried of one field.
const MAX_BOUNDARIES: usize = 8;
/// Sections of one RFC 2231 parameter.
const MAX_SECTIONS: u32 = 64;

/// A parameter as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Param {
    /// Lower case, without RFC 2231 marks.
    name: String,
    /// `*0`, `*1` … of RFC 2231 section 3.
    section: Option<u32>,
    /// A `*` at the end: percent-encoded, RFC 2231 section 4.
    extended: bool,
    /// The value, quotes removed and escapes undone.
    value: Vec<u8>,
    /// The value as it stands, up to the semicolon.
    raw: Vec<u8>,
}

/// A field of the form `value; name=value; …`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Structured {
    /// What stands before the parameters: lower case, without comments and blanks.
    pub value: String,
    params: Vec<Param>,
    raw: Vec<u8>,
}

impl Structured {
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

    /// Every boundary that a client could read out of the field, the most regular one first.
    pub(crate) fn boundaries(&self) -> Vec<Vec<u8>> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        let mut add = |boundary: &[u8]| {
            let boundary = boundary.trim_ascii_end();
            if all.len() < MAX_BOUNDARIES && boundary.len() < 1000 && !all.iter().any(|b| b == boundary) {
                all.push(boundary.to_vec());
            }
        };
        self.plain("boundary").for_each(|param| add(&param.value));
        self.joined("boundary").into_iter().chain(self.extended("boundary")).for_each(|text| add(text.as_bytes()));
        for param in self.plain("boundary") {
            let raw = param.raw.trim_ascii();
            let inner = raw.strip_prefix(b"\"").map(|inner| inner.strip_suffix(b"\"").unwrap_or(inner));
            add(inner.unwrap_or(raw));
            if memmem::find(&param.value, b"=?").is_some() {
                add(words::decode(&param.value).as_bytes());
            }
            if inner.is_none() {
                add(&without_comments(raw));
                add(raw.split(|c| c.is_ascii_whitespace() || *c == b',').next().unwrap_or_default());
                add(raw.strip_prefix(b"'").and_then(|raw| raw.strip_suffix(b"'")).unwrap_or(raw));
            }
        }
        self.loose_boundaries().iter().for_each(|boundary| add(boundary));
        let explicit = self.plain("boundary").any(|param| param.value.is_empty());
        all.retain(|boundary| !boundary.is_empty() || explicit);
        all
    }

    /// How many plain parameters of this name there are with different values.
    pub(crate) fn is_doubled(&self, name: &str) -> bool {
        let mut values = self.plain(name).map(|param| &param.value);
        values.next().is_some_and(|first| values.any(|value| value != first))
    }

    /// What follows `boundary=` anywhere, for fields so broken that the parameters cannot be told apart.
    fn loose_boundaries(&self) -> Vec<Vec<u8>> {
        let lower = self.raw.to_ascii_lowercase();
        let after = memmem::find_iter(&lower, b"boundary").filter_map(|at| self.raw.get(at + 8..)).take(MAX_BOUNDARIES);
        let values = after.filter_map(|rest| rest.trim_ascii_start().strip_prefix(b"=").map(<[u8]>::trim_ascii_start));
        values
            .map(|value| match value.strip_prefix(b"\"") {
                Some(quoted) => quoted.split(|c| *c == b'"').next().unwrap_or_default().to_vec(),
                None => value.split(|c| *c == b';' || c.is_ascii_whitespace()).next().unwrap_or_default().to_vec(),
            })
            .collect()
    }

    fn plain<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Param> + 'a {
        self.params.iter().filter(move |param| param.name == name && param.section.is_none() && !param.extended)
    }

    /// The values of `name*=charset'language'text`.
    fn extended(&self, name: &str) -> Vec<String> {
        let mine = self.params.iter().filter(|param| param.name == name && param.section.is_none() && param.extended);
        mine.map(|param| decode_extended(&param.value, true)).collect()
    }

    /// The sections `name*0`, `name*1` … put together.
    fn joined(&self, name: &str) -> Option<String> {
        let mut bytes = Vec::new();
        let mut label = None;
        let mut found = false;
        for section in 0..MAX_SECTIONS {
            let Some(param) = self.params.iter().find(|param| param.name == name && param.section == Some(section)) else {
                if section == 0 { continue } else { break }
            };
            found = true;
            if !param.extended {
                bytes.extend_from_slice(&param.value);
                continue;
            }
            let (charset, text) = if section == 0 { split_charset(&param.value) } else { (None, param.value.as_slice()) };
            label = label.or(charset);
            bytes.extend(percent(text));
        }
        found.then(|| super::charset::decode(&bytes, label.as_deref()).into_owned())
    }
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
fn without_comments(text: &[u8]) -> Vec<u8> {
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

fn percent(text: &[u8]) -> Vec<u8> {
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
        let value = words::decode(&without_comments(value)).to_ascii_lowercase();
        let value = value.split([';', ',']).next().unwrap_or_default();
        let name: String = value.chars().filter(char::is_ascii_alphanumeric).collect();
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
    fn boundaries() {
        let rows: &[(&str, &[&str])] = &[
            ("multipart/mixed; boundary=\"B\"", &["B"]),
            ("multipart/mixed; boundary=B", &["B"]),
            ("multipart/mixed; BOUNDARY = \"B\" ; x=y", &["B"]),
            ("multipart/mixed; boundary=\"B\"; boundary=\"F\"", &["B", "F"]),
            ("multipart/mixed; boundary*0=\"BO\"; boundary*1=\"UND\"", &["BOUND"]),
            ("multipart/mixed; boundary*1=UND; boundary*0=BO", &["BOUND"]),
            ("multipart/mixed; boundary*=us-ascii'en'B%4FUND", &["BOUND"]),
            ("multipart/mixed; boundary*0*=us-ascii''B%4F; boundary*1=UND", &["BOUND"]),
            ("multipart/mixed; boundary=\"=?us-ascii?q?BOUND?=\"", &["=?us-ascii?q?BOUND?=", "BOUND"]),
            ("multipart/mixed; boundary=\"B\\O\"", &["BO", "B\\O"]),
            ("multipart/mixed; boundary=B(comment)", &["B(comment)", "B"]),
            ("multipart/mixed; boundary='B'", &["'B'", "B"]),
            ("multipart/mixed; boundary=\"B", &["B"]),
            ("multipart/mixed boundary=\"B\"", &["B"]),
            ("multipart/mixed; (x) boundary=\"B\"", &["B"]),
            ("multipart/mixed;\r\n\tboundary=\"B  \"", &["B", "B"]),
            ("multipart/mixed; x=\"; boundary=B\"", &["B\""]),
            ("multipart/mixed; boundary=B trailing", &["B trailing", "B"]),
            ("text/plain", &[]),
        ];
        for (text, want) in rows {
            let got: Vec<String> =
                Structured::read(text.as_bytes()).boundaries().into_iter().map(|b| String::from_utf8(b).unwrap()).collect();
            let mut want = want.to_vec();
            want.dedup();
            assert_eq!(got, want, "{text:?}");
        }
    }

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
            assert!(cut.boundaries().len() <= MAX_BOUNDARIES && cut.texts("name").len() <= MAX_PARAMS);
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
    }
}
