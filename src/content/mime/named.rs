//! The boundaries that a Content-Type names: every one that a client could read out of the field, however its parameter is written.

use memchr::memmem;

use super::field::{Structured, percent, without_comments};
use super::words;

/// Different boundaries tried of one field.
pub(crate) const MAX_BOUNDARIES: usize = 64;
/// Longest boundary tried, in bytes.
const MAX_LENGTH: usize = 8_000;
/// Longest boundary there may be (RFC 2046 section 5.1.1); some readers cut what is longer.
const LONGEST: usize = 70;

/// All boundaries of `field`, the most regular one first.
pub(crate) fn all(field: &Structured) -> Vec<Vec<u8>> {
    let mut names = Names(Vec::new());
    let last = field.plain("boundary").last().into_iter();
    field.plain("boundary").take(1).chain(last).chain(field.plain("boundary")).for_each(|param| names.add(&param.value));
    field.joined("boundary").into_iter().chain(field.extended("boundary")).for_each(|text| names.add(text.as_bytes()));
    for param in field.plain("boundary") {
        as_written(&param.value, &param.raw, &mut names);
    }
    loose(&field.raw).iter().for_each(|boundary| names.add(boundary));
    for name in names.0.clone() {
        bent(&name, &mut names);
    }
    let mut all = names.0;
    let explicit = field.plain("boundary").any(|param| param.value.trim_ascii().is_empty());
    all.retain(|boundary| !boundary.is_empty() || explicit);
    all
}

struct Names(Vec<Vec<u8>>);

impl Names {
    fn add(&mut self, name: &[u8]) {
        let name = name.trim_ascii_end();
        if self.0.len() < MAX_BOUNDARIES && name.len() < MAX_LENGTH && !self.0.iter().any(|known| known == name) {
            self.0.push(name.to_vec());
        }
    }
}

/// A plain parameter, as those read it who do not undo quotes, escapes, words and comments, or undo them where none are.
fn as_written(value: &[u8], raw: &[u8], names: &mut Names) {
    let raw = raw.trim_ascii();
    let inner = raw.strip_prefix(b"\"").map(|inner| inner.strip_suffix(b"\"").unwrap_or(inner));
    names.add(inner.unwrap_or(raw));
    if memmem::find(value, b"=?").is_some() {
        names.add(words::decode(value).as_bytes());
    }
    if inner.is_none() {
        names.add(&without_comments(raw));
        names.add(raw.split(|c| c.is_ascii_whitespace() || *c == b',').next().unwrap_or_default());
    }
    names.add(raw.strip_prefix(b"'").and_then(|raw| raw.strip_suffix(b"'")).unwrap_or(raw));
    if memchr::memchr(b'\\', raw).is_some() {
        names.add(&raw.iter().copied().filter(|c| !matches!(c, b'\\' | b'"')).collect::<Vec<_>>());
    }
}

/// A boundary as those take it who cut it, or leave out or undo what stands in it.
fn bent(name: &[u8], names: &mut Names) {
    names.add(name.trim_ascii_start());
    names.add(name.get(..LONGEST).unwrap_or(name));
    if memchr::memchr(b'%', name).is_some() {
        names.add(&percent(name));
    }
    if name.iter().any(u8::is_ascii_control) {
        names.add(&name.iter().copied().filter(|c| !c.is_ascii_control()).collect::<Vec<_>>());
        names.add(name.split(u8::is_ascii_control).next().unwrap_or_default());
    }
    for end in [b'"', b'\'', b';', b'(', b' '] {
        if let Some(cut) = name.split(|c| *c == end).next().filter(|cut| cut.len() < name.len() && !cut.is_empty()) {
            names.add(cut);
        }
    }
    names.add(&name.iter().copied().filter(|c| *c != b'"').collect::<Vec<_>>());
    if let Some(rest) = name.strip_prefix(b"=").filter(|rest| !rest.is_empty()) {
        names.add(rest);
    }
}

/// What follows `boundary=` anywhere, for fields so broken that the parameters cannot be told apart.
fn loose(raw: &[u8]) -> Vec<Vec<u8>> {
    let lower = raw.to_ascii_lowercase();
    let places: Vec<usize> = memmem::find_iter(&lower, b"boundary").collect();
    let last = places.last().copied().into_iter();
    let after = places.iter().copied().take(MAX_BOUNDARIES).chain(last).filter_map(|at| raw.get(at + 8..));
    let values = after.filter_map(|rest| {
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
        let rest = rest.strip_prefix(b"*").unwrap_or(rest);
        Some(skip_comment(rest).trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start())
    });
    let ended = |value: &[u8]| value.split(|c| *c == b';' || c.is_ascii_whitespace()).next().unwrap_or_default().to_vec();
    values
        .flat_map(|value| match value.strip_prefix(b"\"") {
            Some(quoted) => vec![quoted.split(|c| *c == b'"').next().unwrap_or_default().to_vec(), ended(quoted)],
            None => vec![ended(value), ended(value.strip_prefix(b"=").unwrap_or(value))],
        })
        .collect()
}

/// Behind one `(comment)`, where `text` starts with it.
fn skip_comment(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_start();
    match text.strip_prefix(b"(").and_then(|rest| memchr::memchr(b')', rest).and_then(|end| rest.get(end + 1..))) {
        Some(rest) => rest,
        None => text,
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
            let mut got: Vec<String> = all(&Structured::read(text.as_bytes())).into_iter().map(|b| String::from_utf8(b).unwrap()).collect();
            let mut want = want.to_vec();
            want.dedup();
            got.truncate(want.len());
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn some_reader_takes_it_so() {
        let rows = [
            ("multipart/mixed; boundary*0=BO; boundary*2=UND", "BOUND"),
            ("multipart/mixed; boundary*0=x; boundary*0=BO; boundary*1=UND", "BOUND"),
            ("multipart/mixed; boundary*1=BO; boundary*0=UND", "BOUND"),
            ("multipart/mixed; boundary=B%4FUND", "BOUND"),
            ("multipart/mixed; boundary=\" BOUND\"", "BOUND"),
            ("multipart/mixed; boundary (x) = BOUND", "BOUND"),
            ("multipart/mixed; \"boundary\"=BOUND", "BOUND"),
            ("multipart/mixed; boundary==BOUND", "BOUND"),
            ("multipart/mixed; boundary=\"BOUND;x\"", "BOUND"),
            ("multipart/mixed; boundary=BO\"UND\"", "BOUND"),
        ];
        for (text, want) in rows {
            let got = all(&Structured::read(text.as_bytes()));
            assert!(got.iter().any(|name| name == want.as_bytes()), "{text:?}");
        }
        let long = "x".repeat(90);
        assert!(all(&Structured::read(format!("a/b; boundary={long}").as_bytes())).contains(&long.as_bytes()[..70].to_vec()));
        let whole = b"x/y; boundary*0*=utf-8''gr%C3; boundary*1*=%BCn; boundary=\"a\\\"b\" (c); boundary=\"=?utf-8?q?=C3=BC?=\"";
        for end in 0..=whole.len() {
            assert!(all(&Structured::read(&whole[..end])).len() <= MAX_BOUNDARIES);
        }
    }
}
