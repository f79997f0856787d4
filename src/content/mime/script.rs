//! Pages whose script makes a file in the browser (HTML smuggling): what comes out is only known to who runs the script, and nobody here does.

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::Reading;
use crate::mail::Reason;

pub(super) const READING: Reading = Reading { name: "script", reads: "pages whose script makes a file, which is not run here", read };

/// Without one of these no script of a page hands its reader a file that it has made itself.
const MAKERS: [&[u8]; 7] = [
    b"createObjectURL",
    b"msSaveBlob",
    b"msSaveOrOpenBlob",
    b"showSaveFilePicker",
    b"new Blob(",
    b"new File(",
    // Windows Script Host and its like, in .hta and script files.
    b"ADODB.Stream",
];

fn read(leaf: &Leaf, finds: &mut Finds) {
    if !super::is_readable(leaf) || !is_page(leaf) {
        return;
    }
    // Nobody writes these names in another case: scripts know the difference.
    if let Some(maker) = MAKERS.iter().find(|maker| memmem::find(leaf.data, maker).is_some()) {
        let words = "A page whose script makes a file: what is in it is not known without running it";
        let evidence = format!("{} {}", leaf.name.unwrap_or_default(), String::from_utf8_lossy(maker));
        finds.unseen("html.script_file", Reason::UnknownContainer, words, evidence.trim());
    }
}

/// Something that a browser or a script engine runs, by its content, its type or its name.
fn is_page(leaf: &Leaf) -> bool {
    let named = leaf.name.and_then(|name| name.rsplit_once('.')).is_some_and(|(_, ending)| {
        let ending = ending.trim().to_ascii_lowercase();
        matches!(
            ending.as_str(),
            "htm" | "html" | "xhtml" | "xht" | "shtml" | "svg" | "mht" | "mhtml" | "hta" | "js" | "jse" | "wsf" | "vbs"
        )
    });
    let declared = ["html", "svg", "javascript", "ecmascript"].iter().any(|kind| leaf.declared.contains(kind));
    // A text that talks about scripts shows their text; a page has the element.
    let has_script = || {
        memchr::memchr_iter(b'<', leaf.data)
            .any(|at| leaf.data.get(at + 1..at + 7).is_some_and(|name| name.eq_ignore_ascii_case(b"script")))
    };
    named || ((declared || matches!(leaf.true_type, "html" | "xml")) && has_script()) || leaf.declared.contains("javascript")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found_as, once};
    use super::*;

    #[test]
    fn pages() {
        let blob = "<html><SCRIPT>var a = URL.createObjectURL(new Blob([x.map(n => n ^ 90)]));</script>";
        let rows = [
            (blob, "text/html", true),
            (blob, "", true),
            ("<svg><script>new Blob([1])</script></svg>", "image/svg+xml", true),
            ("<html><p>In scripts, <code>new Blob(</code> makes a file</p>", "text/html", false),
            ("Call URL.createObjectURL(new Blob([x])) as I told you", "text/plain", false),
            ("<html><script>track('x')</script>", "text/html", false),
        ];
        for (text, declared, want) in rows {
            let (_, codes) = once(read, text.as_bytes(), declared, "");
            assert_eq!(codes == ["html.script_file"], want, "{text:?} {declared:?}");
            found_as(read, text.as_bytes(), declared, "");
        }
    }
}
