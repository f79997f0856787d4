//! Which bytes of a message the engines are shown, by the `scan` setting: nothing twice, and nothing empty.

use std::collections::HashSet;

use bytes::Bytes;

use super::settings::Scan;
use crate::mail::{Message, Part, PartId, PartKind};

/// Bytes to be scanned, and where they stand in the message.
#[derive(Debug, Clone)]
pub struct Object {
    /// The part; `None` for the raw message.
    pub part: Option<PartId>,
    /// Its decoded bytes: a slice, never a copy.
    pub bytes: Bytes,
    /// Their SHA-256, where it is known.
    pub sha256: Option<[u8; 32]>,
}

/// The objects of `message`, the raw message first, then the parts in their order. `whole_parts`: the engine compares hashes of whole
/// files, so that a part must be shown as such although its bytes stand verbatim in the raw message.
pub fn of(message: &Message, scan: Scan, whole_parts: bool) -> Vec<Object> {
    let holders = holders(message);
    let mut seen: HashSet<[u8; 32]> = HashSet::new();
    let mut objects = Vec::new();
    if scan == Scan::RawAndParts && !message.raw.is_empty() {
        // The message as a whole is its first part, which has no bytes of its own.
        let whole = message.parts.first().filter(|part| part.parent.is_none() && part.data.is_empty());
        let sha256 = whole.map(|part| part.sha256).filter(|sha256| *sha256 != [0; 32]);
        objects.push(Object { part: None, bytes: message.raw.clone(), sha256 });
    }
    for part in &message.parts {
        let holds_parts = holders.contains(&part.id);
        if is_wanted(part, scan, holds_parts, whole_parts) && !part.data.is_empty() && seen.insert(part.sha256) {
            objects.push(Object { part: Some(part.id), bytes: part.data.clone(), sha256: Some(part.sha256) });
        }
    }
    objects
}

/// The parts in which others were found.
fn holders(message: &Message) -> HashSet<PartId> {
    message.parts.iter().filter_map(|part| part.parent).collect()
}

fn is_wanted(part: &Part, scan: Scan, holds_parts: bool, whole_parts: bool) -> bool {
    // What is in a multipart or an inner message follows as parts of its own; an archive is also shown as it is.
    let is_leaf = match part.kind {
        PartKind::Multipart => false,
        PartKind::Message => !holds_parts,
        PartKind::Leaf | PartKind::Reading | PartKind::Member => true,
    };
    match scan {
        // An inner message that exists only decoded is shown as a whole too: an engine may read it differently.
        Scan::RawAndParts => (!part.verbatim || whole_parts) && part.kind != PartKind::Multipart,
        Scan::Parts => is_leaf,
        Scan::Attachments => is_leaf && is_attachment(part),
    }
}

fn is_attachment(part: &Part) -> bool {
    part.attachment || part.text.is_none() || matches!(part.kind, PartKind::Member | PartKind::Reading)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PartKind as Kind;

    struct Row(u32, Option<u32>, Kind, &'static str, bool, bool);

    /// A multipart mail: text verbatim, base64 attachment, the same attachment again, a zip with two members (one empty), an
    /// inner mail that was base64, with a text of its own.
    fn message() -> Message {
        let rows = [
            Row(0, None, Kind::Message, "all", true, false),
            Row(1, Some(0), Kind::Multipart, "body", true, false),
            Row(2, Some(1), Kind::Leaf, "text", true, false),
            Row(3, Some(1), Kind::Leaf, "attached", false, true),
            Row(4, Some(1), Kind::Leaf, "attached", false, true),
            Row(5, Some(1), Kind::Leaf, "zip", false, true),
            Row(6, Some(5), Kind::Member, "member", false, false),
            Row(7, Some(5), Kind::Member, "", false, false),
            Row(8, Some(1), Kind::Message, "inner", false, false),
            Row(9, Some(8), Kind::Leaf, "inner text", false, false),
        ];
        let part = |row: Row| Part {
            id: PartId(row.0),
            parent: row.1.map(PartId),
            depth: u16::from(row.1.is_some()),
            kind: row.2,
            declared_type: String::new(),
            true_type: "",
            name: None,
            attachment: row.5,
            span: None,
            data: Bytes::from_static(row.3.as_bytes()),
            verbatim: row.4,
            text: row.3.contains("text").then(String::new),
            sha256: std::array::from_fn(|at| row.3.as_bytes().get(at).copied().unwrap_or_default()),
        };
        Message {
            raw: Bytes::from_static(b"raw"),
            body_start: 0,
            headers: Vec::new(),
            parts: rows.map(part).into(),
            urls: Vec::new(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn what_is_shown() {
        let rows: [(Scan, &[&str]); 3] = [
            (Scan::RawAndParts, &["raw", "attached", "zip", "member", "inner", "inner text"]),
            (Scan::Parts, &["text", "attached", "zip", "member", "inner text"]),
            (Scan::Attachments, &["attached", "zip", "member"]),
        ];
        for (scan, want) in rows {
            let objects = of(&message(), scan, false);
            let got: Vec<_> = objects.iter().map(|object| std::str::from_utf8(&object.bytes).unwrap()).collect();
            assert_eq!(got, want, "{scan:?}");
        }
    }

    #[test]
    fn a_mail_without_parts_is_its_own_leaf() {
        let mut message = message();
        message.parts.truncate(1);
        assert_eq!(of(&message, Scan::RawAndParts, false).len(), 1, "verbatim: the raw message is enough");
        assert_eq!(of(&message, Scan::RawAndParts, true).len(), 2, "but not for an engine that compares hashes");
        assert_eq!(of(&message, Scan::Parts, false).len(), 1);
        message.parts[0].verbatim = false;
        assert_eq!(of(&message, Scan::RawAndParts, false).len(), 2, "a base64 body");
    }
}
