//! Scripts that make a file in the reader's browser and have it saved ("HTML smuggling"): what the file is nobody knows without running
//! them.

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::{Reading, escapes, marked};
use crate::mail::Reason;

pub(super) const READING: Reading =
    Reading { name: "smuggled", reads: "pages with a script that builds a file (not run: it could not be told)", read };

/// Ways to hand a file over that a script has built: each of the first with any of the second in one text.
const BUILT: [&[u8]; 4] = [b"Blob(", b"File(", b"Uint8Array", b"Blob;"];
const SAVED: [&[u8]; 4] = [b"createObjectURL", b"msSaveOrOpenBlob", b"msSaveBlob", b"readAsDataURL"];

/// Any of them alone in a page that came as a file.
const HANDED: [&[u8]; 6] = [b"createobjecturl", b"mssave", b"readasdataurl", b"blob(", b"\"blob\"", b"showsavefilepicker"];
/// Words of programs that decode, or of addresses that are; with one of them, a place to go to is a file.
const DECODED: [&[u8]; 7] = [b"atob", b"fromcharcode", b"fromcodepoint", b"unescape(", b"decodeuri", b"textdecoder", b"base64,"];
/// Where a browser goes, or what it is given to go to.
const PLACES: [&[u8]; 3] = [b"location", b"href", b"window.open"];
/// How a script writes or fetches what it has decoded.
const WRITTEN: [&[u8]; 6] = [b"document.write", b"fetch(", b"innerhtml", b"download", b"setattribute", b"eval("];
/// What makes a page run a script.
const RUN: [&[u8]; 3] = [b"<script", b":script", b"javascript:"];

fn read(leaf: &Leaf, finds: &mut Finds) {
    // What mail programs and browsers run; a source text is none.
    let is_page = matches!(leaf.true_type, "html" | "xml") || leaf.declared.contains("html") || leaf.declared.contains("svg");
    let is_page_file = leaf.name.is_some_and(is_page_name);
    if !(is_page || is_page_file) {
        return;
    }
    let builds = has(leaf.data, &SAVED) && has(leaf.data, &BUILT);
    if builds || (finds.look(leaf.data.len().saturating_mul(2)) && may_build(leaf.data, leaf.name.is_some())) {
        finds.unseen("html.script_file", Reason::UnknownContainer, "A script in it builds a file", leaf.name.unwrap_or_default());
    }
}

/// Files that a browser opens as a page, whatever they look like.
fn is_page_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".htm", ".html", ".xhtml", ".xht", ".shtml", ".svg", ".hta"].iter().any(|end| name.trim_end_matches(['.', ' ']).ends_with(end))
}

fn has(text: &[u8], marks: &[&[u8]]) -> bool {
    marks.iter().any(|mark| memmem::find(text, mark).is_some())
}

/// Whether a script in this page may build a file, under whatever names. Browsers run it when it is opened as a file; the text of a mail,
/// which mail programs show without running anything, has to decode something for it.
fn may_build(page: &[u8], is_file: bool) -> bool {
    // UTF-16 is read too.
    let narrow: Option<Vec<u8>> = memchr::memchr(0, page).map(|_| page.iter().copied().filter(|c| *c != 0).collect());
    let page = narrow.as_deref().unwrap_or(page);
    let plain = marked::plain(page);
    let plain = plain.as_deref().unwrap_or(page).to_ascii_lowercase();
    let text = escapes::run(&plain).to_ascii_lowercase();
    if !(has(&plain, &RUN) || has(&text, &RUN) || has_handler(&text)) {
        return false;
    }
    let decodes = has(&text, &DECODED) && (goes(&text) || has(&text, &WRITTEN));
    if !is_file {
        return decodes;
    }
    let count = |text: &[u8], word: &[u8]| memmem::find_iter(text, word).count();
    // A word that is there only when strings are joined and escapes undone was hidden.
    let hidden = [&b"data:"[..], b"base64,", b"href", b"location"].iter().any(|word| count(&text, word) > count(&plain, word));
    has(&text, &HANDED) || has_download(&text) || hidden || decodes
}

/// Whether something that is no literal address is assigned to a place to go to: `location = x`, `a.href = f(y)`, `location = "data:" + x`.
fn goes(text: &[u8]) -> bool {
    PLACES.iter().any(|place| {
        memmem::find_iter(text, place).any(|at| {
            let rest = text.get(at + place.len()..).unwrap_or_default();
            let rest = rest.get(..rest.len().min(80)).unwrap_or_default();
            let rest = [&b".href"[..], b".assign", b".replace", b"\"]", b"']"]
                .iter()
                .fold(rest, |rest, end| rest.strip_prefix(*end).unwrap_or(rest));
            let value = match rest.trim_ascii_start() {
                [b'=', b'=', ..] => b"",
                [b'=' | b'(', value @ ..] => value.trim_ascii_start(),
                _ => b"",
            };
            // The value of an attribute in markup has quotes around it, and so has a plain address.
            match value {
                [b'"' | b'\'' | b'`', literal @ ..] => *place != b"href" && literal.starts_with(b"data:"),
                value => value.first().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, b'(' | b'[' | b'_' | b'$')),
            }
        })
    })
}

/// Whether a link is one that saves a file: an attribute in markup, or set by a script.
fn has_download(text: &[u8]) -> bool {
    memmem::find_iter(text, b"download").any(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before)).copied().unwrap_or(b' ');
        let rest = text.get(at + 8..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(80)).unwrap_or_default();
        let quoted = matches!(before, b'"' | b'\'' | b'`') && matches!(rest.first(), Some(b'"' | b'\'' | b'`'));
        let set = |rest: &[u8]| matches!(rest.trim_ascii_start(), [b'=', next, ..] if *next != b'=') || matches!(rest, [b'>', ..]);
        quoted || ((before.is_ascii_whitespace() || matches!(before, b'.' | b'/')) && set(rest))
    })
}

/// Whether an element has a handler of events, which is a script too: ` onload=`.
fn has_handler(text: &[u8]) -> bool {
    memmem::find_iter(text, b"on").any(|at| {
        let before = at.checked_sub(1).and_then(|before| text.get(before));
        let rest = text.get(at + 2..).unwrap_or_default();
        let length = rest.iter().take(30).take_while(|c| c.is_ascii_alphabetic()).count();
        let starts = before.is_some_and(|c| c.is_ascii_whitespace() || matches!(c, b'"' | b'\'' | b'/'));
        starts && length > 2 && rest.get(length..).is_some_and(|rest| matches!(rest.trim_ascii_start(), [b'=', ..]))
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::find::Finds;
    use super::super::super::limits::{Budget, Limits};
    use super::super::super::sniff;
    use super::super::testing::once;
    use super::*;

    #[test]
    fn scripts() {
        let rows = [
            ("<html><script>a.href=URL.createObjectURL(new Blob([x]))</script>", "", 1),
            ("<svg><script>navigator.msSaveBlob(new Blob([x]))</script>", "image/svg+xml", 1),
            ("<html><p>createObjectURL is a function</p>", "", 0),
            ("a.href=URL.createObjectURL(new Blob([x]))", "text/x-patch", 0),
            ("<html><script>a.download=1;location=\"da\"+\"ta:\"</script>", "", 0),
            ("<html><script>document.write(atob(x+y))</script>", "", 1),
            ("<html><script>location=\"data:application/zip;base64,\"+x</script>", "", 1),
            ("<html><script>location=\"https://example.org/\"+x</script>", "", 0),
            ("<html><p>document.write(atob(x)) is a script</p>", "", 0),
        ];
        for (text, declared, want) in rows {
            assert_eq!(once(READING.read, text.as_bytes(), declared, "").1.len(), want, "{text}");
        }
    }

    /// What is found in a page that has a name.
    fn held(text: &[u8]) -> bool {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 1000);
        let data = bytes::Bytes::copy_from_slice(text);
        let leaf = Leaf::new(&data, Some("a.html"), "", "", sniff::true_type(&data));
        read(&leaf, &mut finds);
        !finds.problems.is_empty()
    }

    #[test]
    fn pages_that_came_as_files() {
        let rows = [
            ("<html><a id=a download=e.com>x</a><script>a.href=f(b)</script>", true),
            ("<html><script>a.setAttribute('download','e.com')</script>", true),
            ("<html><script>a[\"down\"+\"load\"]=1</script>", true),
            ("<html><script>f=window[\"Bl\"+\"ob\"]</script>", true),
            ("<html><script>f=window[\"\\x42lob\"]</script>", true),
            ("<html><script>location=\"da\"+\"ta:;base\"+\"64,\"+s</script>", true),
            ("<html><script>a.href=\"da\"+\"ta:,\"+escape(o)</script>", true),
            ("<html><script>x=atob(y);window.location.href = x</script>", true),
            ("<html><body onload=\"window['loca'+'tion']=x\">", true),
            ("<svg><script>cre<!-- -->ateObjectURL(x)</script></svg>", true),
            ("<\0h\0t\0m\0l\0>\0<\0s\0c\0r\0i\0p\0t\0>\0B\0l\0o\0b\0(\0x\0)\0", true),
            ("<html><p>A download = a file</p>", false),
            ("<html><script>location='https://example.org/';var a=document.title;</script>", false),
            ("<html><script>var o='a'+'b'; if (location.hash == '#a') f(o)</script><a href=\"data:,x\">x</a>", false),
            ("<html><p>Words</p></html>", false),
        ];
        for (text, want) in rows {
            assert_eq!(held(text.as_bytes()), want, "{text}");
            (0..text.len()).for_each(|end| _ = held(&text.as_bytes()[..end]));
        }
    }
}
