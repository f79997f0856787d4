//! Messages that stand in a leaf without being declared: an attached `.eml`, decoded text that is mail.

use super::super::find::{Finds, Item, Leaf};
use super::Reading;
use super::header::{self, Field};

pub(super) const READING: Reading = Reading { name: "nested", reads: "a leaf whose content is a whole message", read };

/// Fields that only mail has, or every mail has.
const KNOWN: [&str; 20] = [
    "received",
    "from",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "return-path",
    "delivered-to",
    "reply-to",
    "cc",
    "sender",
    "content-disposition",
    "x-mailer",
    "in-reply-to",
    "references",
    "dkim-signature",
    "x-uidl",
];

/// Fields read of a header to find its end.
const MAX_FIELDS: usize = 1_000;

fn read(leaf: &Leaf, finds: &mut Finds) {
    // A copy of a header alone is no message.
    if leaf.true_type == "mail" && (leaf.declared != "text/rfc822-headers" || has_body(leaf.data)) {
        finds.add(Item::Message(leaf.data.clone()));
    }
}

fn has_body(bytes: &[u8]) -> bool {
    let head = header::read(bytes, MAX_FIELDS, bytes.len());
    bytes.get(head.body..).is_some_and(|body| !body.trim_ascii().is_empty())
}

/// Whether bytes start with a header block: their first line is a field that mail has, and another one follows.
pub(crate) fn looks_like_message(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(2048)).unwrap_or_default();
    let head = match head {
        [b'F', b'r', b'o', b'm', b' ', ..] => head.split_once_line(),
        head => head,
    };
    // Cheap for all other text: most first lines are no field.
    let first_line = head.get(..head.len().min(80)).unwrap_or_default();
    if !memchr::memchr(b':', first_line).and_then(|at| first_line.get(..at)).is_some_and(is_known) {
        return false;
    }
    let block = header::read(head, 20, head.len());
    let known = |field: &&Field| head.get(field.name.clone()).is_some_and(is_known);
    block.fields.iter().filter(known).count() >= 2
}

fn is_known(name: &[u8]) -> bool {
    KNOWN.iter().any(|known| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes()))
}

trait SplitLine {
    /// What follows the first line.
    fn split_once_line(&self) -> &Self;
}

impl SplitLine for [u8] {
    fn split_once_line(&self) -> &[u8] {
        memchr::memchr(b'\n', self).and_then(|at| self.get(at + 1..)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let rows = [
            ("From: a\r\nSubject: b\r\n\r\nc", true),
            ("From a Mon Jan 1\nReceived: x\nDate: y\n", true),
            ("MIME-Version: 1.0\nContent-Type: text/plain\n\nx", true),
            ("From: a\r\n\r\nTo: not in the header", false),
            ("Note: a\r\nWarning: b\r\n\r\n", false),
            ("Dear Sir,\r\nFrom: a\r\nTo: b\r\n", false),
            ("", false),
        ];
        for (text, want) in rows {
            assert_eq!(looks_like_message(text.as_bytes()), want, "{text:?}");
        }
    }
}
