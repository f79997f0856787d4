//! What the fields of a message or part say about its body: types, encodings, names. All of what they say, where they say it twice.

use super::super::find::Problem;
use super::field::{Encoding, Structured};
use super::header::Head;
use super::loose::Means;

/// Different values of one field that are followed.
const MAX_VALUES: usize = 4;
/// Names kept of one part.
const MAX_NAMES: usize = 16;

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
    /// A field has more parameters than are read.
    pub cut: bool,
}

impl Mime {
    /// Reads the fields of `head`; a part of a digest without a type is a message (RFC 2046 section 5.1.5).
    pub(crate) fn read(bytes: &[u8], head: &Head, in_digest: bool) -> Self {
        let values = distinct(head.values(bytes, "content-type").chain(head.loose_values(bytes, Means::Type)));
        let mut types: Vec<Structured> = values.iter().map(|value| Structured::read(value)).collect();
        let words = values.iter().filter(|value| value.trim_ascii_start().starts_with(b"=?"));
        types.extend(words.map(|value| Structured::read(super::words::decode(value).as_bytes())).collect::<Vec<_>>());
        if types.is_empty() {
            types.push(Structured::read(if in_digest { b"message/rfc822" } else { b"" }));
        }
        let dispositions = distinct(head.values(bytes, "content-disposition").chain(head.loose_values(bytes, Means::Disposition)));
        let dispositions: Vec<Structured> = dispositions.into_iter().map(Structured::read).collect();
        let mut names: Vec<String> = Vec::new();
        let all = dispositions.iter().flat_map(|field| field.texts("filename")).chain(types.iter().flat_map(|field| field.texts("name")));
        for name in all {
            if !names.contains(&name) {
                // The last one is some reader's, however many there are.
                names.truncate(MAX_NAMES - 1);
                names.push(name);
            }
        }
        let disposition = dispositions.first().map(|field| field.value.clone()).unwrap_or_default();
        let cut = types.iter().chain(&dispositions).any(Structured::is_cut);
        Self { types, encodings: encodings(bytes, head), names, disposition, cut }
    }

    /// What a reading goes by, for people: the type, the encoding, and where the header ends.
    pub(crate) fn label(&self, t: usize, e: usize, header: Option<&str>) -> String {
        let kind = self.types.get(t).map(|kind| kind.value.as_str()).filter(|kind| !kind.is_empty()).unwrap_or("no type");
        let encoding = self.encodings.get(e).copied().unwrap_or(Encoding::Identity).words();
        match header {
            None => format!("{kind}, {encoding}"),
            Some(header) => format!("{kind}, {encoding} (the header {header})"),
        }
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

/// Different values: the first ones and the last.
fn distinct<'a>(all: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let mut values: Vec<&[u8]> = Vec::new();
    for value in all {
        if values.iter().any(|known| known.trim_ascii() == value.trim_ascii()) {
            continue;
        }
        if values.len() >= MAX_VALUES {
            values.pop();
        }
        values.push(value);
    }
    values
}

/// Every encoding that the fields name; what a malformed field names counts where it is known.
pub(super) fn encodings(bytes: &[u8], head: &Head) -> Vec<Encoding> {
    let mut all: Vec<Encoding> = Vec::new();
    let well = head.values(bytes, "content-transfer-encoding").flat_map(Encoding::readings);
    let loose = head.loose_values(bytes, Means::Encoding).flat_map(Encoding::readings);
    for encoding in well.chain(loose.filter(|encoding| *encoding != Encoding::Unknown)) {
        if !all.contains(&encoding) {
            all.push(encoding);
        }
    }
    if all.is_empty() {
        all.push(Encoding::Identity);
    }
    all
}

/// Whether a type says that the body is a message.
pub(crate) fn is_message(declared: &str) -> bool {
    matches!(declared, "message/rfc822" | "message/global" | "message/news" | "message/partial" | "message/rfc-822")
}

/// Fields that may stand once in a message (RFC 5322 section 3.6) and stand there several times.
pub(crate) fn doubled_fields(bytes: &[u8], head: &Head) -> Vec<Problem> {
    let once = ["from", "sender", "to", "subject", "date", "message-id", "content-transfer-encoding"];
    let doubled = once.into_iter().filter(|name| head.values(bytes, name).nth(1).is_some());
    doubled.map(|name| Problem::note("mime.duplicate_field", "A field stands twice in the header", name)).collect()
}

/// The limit that a header reached: what stands behind it was not read, and somebody may read it.
pub(crate) fn reached(head: &Head, mime: &Mime) -> Option<Problem> {
    (head.cut || mime.cut).then(|| super::super::find::limit("mime.limit.headers", "More header than the limit"))
}

/// What is doubtful about a header block itself.
pub(crate) fn header_problems(bytes: &[u8], head: &Head) -> Vec<Problem> {
    let mut all = Vec::new();
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
        let many: String = (0..40).map(|n| format!("; filename=a{n}.txt")).collect();
        let many = mime(&format!("Content-Disposition: attachment{many}; filename=z.exe\n\n"));
        assert_eq!((many.names.len(), many.names.last().map(String::as_str), many.cut), (MAX_NAMES, Some("z.exe"), false));
        let params: String = (0..300).map(|n| format!("; a{n}=b")).collect();
        assert!(mime(&format!("Content-Disposition: attachment{params}; filename=z.exe\n\n")).cut);
    }
}
