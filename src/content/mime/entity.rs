//! What the fields of a message or part say about its body: types, encodings, names. All of what they say, where they say it twice.

use super::super::find::Problem;
use super::field::{Encoding, Structured};
use super::header::Head;

/// Different values of one field that are followed.
const MAX_VALUES: usize = 4;
/// Names kept of one part.
const MAX_NAMES: usize = 4;

/// The MIME side of a header block.
#[derive(Debug, Clone)]
pub(crate) struct Mime {
    /// Every Content-Type, the first one first; never empty.
    pub types: Vec<Structured>,
    /// Every transfer encoding; never empty.
    pub encodings: Vec<Encoding>,
    /// The names claimed, the one for the attachment first.
    pub names: Vec<String>,
    /// Content-Disposition, lower case; empty if none.
    pub disposition: String,
}

impl Mime {
    /// Reads the fields of `head`; a part of a digest without a type is a message (RFC 2046 section 5.1.5).
    pub(crate) fn read(bytes: &[u8], head: &Head, in_digest: bool) -> Self {
        let mut values: Vec<&[u8]> = Vec::new();
        for value in head.values(bytes, "content-type") {
            if values.len() < MAX_VALUES && !values.iter().any(|v| v.trim_ascii() == value.trim_ascii()) {
                values.push(value);
            }
        }
        let mut types: Vec<Structured> = values.iter().map(|value| Structured::read(value)).collect();
        let words = values.iter().filter(|value| value.trim_ascii_start().starts_with(b"=?"));
        types.extend(words.map(|value| Structured::read(super::words::decode(value).as_bytes())).collect::<Vec<_>>());
        if types.is_empty() {
            types.push(Structured::read(if in_digest { b"message/rfc822" } else { b"" }));
        }
        let mut encodings: Vec<Encoding> = Vec::new();
        for encoding in head.values(bytes, "content-transfer-encoding").map(Encoding::read) {
            if !encodings.contains(&encoding) {
                encodings.push(encoding);
            }
        }
        if encodings.is_empty() {
            encodings.push(Encoding::Identity);
        }
        let dispositions: Vec<Structured> = head.values(bytes, "content-disposition").take(MAX_VALUES).map(Structured::read).collect();
        let mut names: Vec<String> = Vec::new();
        let all = dispositions.iter().flat_map(|field| field.texts("filename")).chain(types.iter().flat_map(|field| field.texts("name")));
        for name in all {
            if names.len() < MAX_NAMES && !names.contains(&name) {
                names.push(name);
            }
        }
        let disposition = dispositions.first().map(|field| field.value.clone()).unwrap_or_default();
        Self { types, encodings, names, disposition }
    }

    /// Content-Disposition says attachment, or there is a name and it is not shown inline.
    pub(crate) fn is_attachment(&self, declared: &str) -> bool {
        let shown = self.disposition == "inline" && (declared.starts_with("text/") || declared.starts_with("image/"));
        self.disposition == "attachment" || (!self.names.is_empty() && !shown)
    }

    /// The first name, and those others that end differently: rules that go by a file's ending must see each.
    pub(crate) fn differing_names(&self) -> impl Iterator<Item = &String> {
        let ending = |name: &str| name.rsplit_once('.').map(|(_, ending)| ending.trim().to_lowercase()).unwrap_or_default();
        let first = self.names.first().map(|name| ending(name)).unwrap_or_default();
        self.names.iter().skip(1).filter(move |name| ending(name) != first)
    }

    /// What is doubtful about the fields.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut all = Vec::new();
        if self.types.len() > 1 {
            all.push(Problem::note("mime.duplicate_field", "A field stands twice with different values", "Content-Type"));
        }
        if self.encodings.len() > 1 {
            all.push(super::transfer::conflict());
        }
        if self.types.iter().any(|field| field.is_doubled("boundary")) {
            all.push(Problem::note("mime.boundary_doubled", "A boundary is given twice with different values", ""));
        }
        if self.differing_names().next().is_some() {
            all.push(Problem::note("mime.names_differ", "A part has names with different endings", self.names.join(", ")));
        }
        all
    }
}

/// Fields that may stand once in a message (RFC 5322 section 3.6) and stand there several times.
pub(crate) fn doubled_fields(bytes: &[u8], head: &Head) -> Vec<Problem> {
    let once = ["from", "sender", "to", "subject", "date", "message-id", "content-transfer-encoding"];
    let doubled = once.into_iter().filter(|name| head.values(bytes, name).nth(1).is_some());
    doubled.map(|name| Problem::note("mime.duplicate_field", "A field stands twice in the header", name)).collect()
}

/// What is doubtful about a header block itself.
pub(crate) fn header_problems(bytes: &[u8], head: &Head) -> Vec<Problem> {
    let mut all = Vec::new();
    if head.cut {
        all.push(super::super::find::limit("mime.limit.headers", "More header than the limit"));
    }
    if let Some(line) = &head.no_field {
        let line = bytes.get(line.clone()).unwrap_or_default();
        all.push(Problem::note("mime.header_syntax", "A line in the header is no field", String::from_utf8_lossy(line)));
    }
    if head.unended && head.body < bytes.len() {
        all.push(Problem::note("mime.no_blank_line", "No empty line between header and body", ""));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::header;
    use super::*;

    fn mime(text: &str) -> Mime {
        Mime::read(text.as_bytes(), &header::read(text.as_bytes(), 100, 10_000), false)
    }

    #[test]
    fn all_that_is_said() {
        let one = mime("Content-Type: a/b; name=x.txt\nContent-Type: c/d\nContent-Disposition: attachment; filename=y.exe\n\n");
        assert_eq!(one.types.iter().map(|t| t.value.as_str()).collect::<Vec<_>>(), ["a/b", "c/d"]);
        assert_eq!(one.names, ["y.exe", "x.txt"]);
        assert_eq!(one.differing_names().collect::<Vec<_>>(), ["x.txt"]);
        assert!(one.is_attachment("a/b"));
        let codes: Vec<&str> = one.problems().iter().map(|p| p.code).collect();
        assert_eq!(codes, ["mime.duplicate_field", "mime.names_differ"]);
        let none = mime("Subject: x\n\n");
        assert!(none.types.len() == 1 && none.encodings == [Encoding::Identity] && !none.is_attachment("") && none.problems().is_empty());
        assert!(!mime("Content-Type: image/png; name=a.png\nContent-Disposition: inline\n\n").is_attachment("image/png"));
    }
}
