//! A leaf that is nothing but base64 or quoted-printable, though its transfer encoding says otherwise or nothing.

use super::super::find::{Finds, Leaf};
use super::Reading;
use super::base64::{self, Style};
use super::quoted::{self, Bad};

pub(super) const READING: Reading =
    Reading { name: "base64_text", reads: "a body that is all base64 or quoted-printable without saying so", read };

/// Shorter ones could be a word or a number.
const LEAST: usize = 40;
/// Fewer escapes are a formula, or a piece of somebody else's mail.
const LEAST_ESCAPES: usize = 12;

fn read(leaf: &Leaf, finds: &mut Finds) {
    if !super::is_readable(leaf) {
        return;
    }
    if base64::looks_like(leaf.data, LEAST) && finds.look(leaf.data.len()) {
        let decoded = base64::decode(leaf.data, Style::Url);
        if decoded.at_junk.is_none() {
            finds.note("mime.base64_undeclared", "A body is base64 without saying so", leaf.name.unwrap_or_default());
            let through = decoded.after_pad.then(|| base64::decode(leaf.data, Style::Through).bytes);
            let lines = decoded.ragged.then(|| base64::decode(leaf.data, Style::Lines).bytes);
            let first = finds.add_decoded(None, decoded.bytes);
            // Where readers differ, they may have it either way.
            let _ = first && through.into_iter().chain(lines).all(|bytes| finds.look(leaf.data.len()) && finds.add_guess(bytes));
        }
    } else if is_quoted(leaf.data) && finds.look(leaf.data.len()) {
        finds.add_guess(quoted::decode(leaf.data, Bad::Keep).0);
    }
}

/// Whether a text has so many escapes of ordinary characters that it was made by an encoder that nobody undid.
fn is_quoted(text: &[u8]) -> bool {
    let escapes = memchr::memmem::find_iter(text, b"=")
        .filter(|at| text.get(at + 1..at + 3).is_some_and(|two| two.iter().all(|c| quoted::hex(*c).is_some())));
    escapes.take(LEAST_ESCAPES).count() == LEAST_ESCAPES && quoted::looks_like(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn bodies() {
        let rows: &[(&str, &[&str])] = &[
            ("V29yZHMgb2YgYSBtZXNzYWdlIHRoYXQgc3RhbmRzIGhlcmU=\r\n", &["Words of a message that stands here"]),
            ("V29yZHMgb2YgYSBtZXNz\nYWdlIHRoYXQgc3RhbmRzIGhlcmU", &["Words of a message that stands here"]),
            ("=57=6F=72=64=73=20=6F=66=20=61=20=6D=65=73=\r\n=73", &["Words of a mess"]),
            ("a = b, c == d", &[]),
            ("Words", &[]),
        ];
        for (text, want) in rows {
            assert_eq!(found(READING.read, text.as_bytes()), *want, "{text:?}");
        }
    }
}
