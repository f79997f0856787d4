//! Scripts that make a file in the reader's browser and have it saved ("HTML smuggling"): what the file is nobody knows without running
//! them.

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::Reading;
use crate::mail::Reason;

pub(super) const READING: Reading =
    Reading { name: "smuggled", reads: "pages with a script that builds a file (not run: it could not be told)", read };

/// Ways to hand a file over that a script has built: each of the first with any of the second in one text.
const BUILT: [&[u8]; 4] = [b"Blob(", b"File(", b"Uint8Array", b"Blob;"];
const SAVED: [&[u8]; 4] = [b"createObjectURL", b"msSaveOrOpenBlob", b"msSaveBlob", b"readAsDataURL"];

fn read(leaf: &Leaf, finds: &mut Finds) {
    let has = |marks: &[&[u8]]| marks.iter().any(|mark| memmem::find(leaf.data, mark).is_some());
    // What mail programs and browsers run; a source text is none.
    let runs = matches!(leaf.true_type, "html" | "xml") || leaf.declared.contains("html") || leaf.declared.contains("svg");
    if runs && has(&SAVED) && has(&BUILT) {
        finds.unseen("html.script_file", Reason::UnknownContainer, "A script in it builds a file", leaf.name.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::once;
    use super::*;

    #[test]
    fn scripts() {
        let rows = [
            ("<html><script>a.href=URL.createObjectURL(new Blob([x]))</script>", "", 1),
            ("<svg><script>navigator.msSaveBlob(new Blob([x]))</script>", "image/svg+xml", 1),
            ("<html><p>createObjectURL is a function</p>", "", 0),
            ("a.href=URL.createObjectURL(new Blob([x]))", "text/x-patch", 0),
        ];
        for (text, declared, want) in rows {
            assert_eq!(once(READING.read, text.as_bytes(), declared, "").1.len(), want, "{text}");
        }
    }
}
