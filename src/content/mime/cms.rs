//! CMS (RFC 5652; S/MIME is RFC 8551): the content of messages that are signed, digested or compressed, but not encrypted.

use bytes::Bytes;
use memchr::memmem;

use super::super::find::{Finds, Item, Leaf};
use super::super::unpack::inner::{self, Method};
use super::{Reading, header};

pub(super) const READING: Reading = Reading { name: "cms", reads: "S/MIME: the content of signed and compressed messages", read };

/// 1.2.840.113549.1.7, the arc of PKCS #7's content types.
const PKCS7: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07";
/// 1.2.840.113549.1.9.16.1, the arc of further content types.
const SMIME: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01";
/// Content types below [`PKCS7`] that are encrypted: enveloped, signed and enveloped, encrypted.
const SEALED: [u8; 3] = [3, 4, 6];
/// Content types below [`SMIME`]: compressed (RFC 3274), authenticated and enveloped (RFC 5083).
const COMPRESSED: u8 = 9;
const AUTH_ENVELOPED: u8 = 23;
/// The arc must stand this near to the start.
const NEAR: usize = 40;
/// Contents taken out of one leaf.
const MAX_CONTENTS: usize = 20;
/// Least size of an octet string that is taken where no content stands in its place.
const LEAST: usize = 64;

fn read(leaf: &Leaf, finds: &mut Finds) {
    let declared = leaf.declared.contains("pkcs7") || leaf.declared.ends_with("/cms") || leaf.declared.ends_with("timestamped-data");
    let is_der = looks_like(leaf.data);
    if !(is_der || declared && leaf.data.first() == Some(&0x30)) {
        return;
    }
    if !finds.look(leaf.data.len()) {
        return;
    }
    let found = walk(leaf.data);
    if found.sealed {
        finds.note("mime.smime", "S/MIME, encrypted", leaf.name.unwrap_or_default());
    }
    for content in found.contents {
        let name = leaf.name.unwrap_or_default();
        let bytes = if content.compressed && content.bytes.first().is_some_and(|c| c & 0x0f == 8) {
            let (bytes, _) = inner::unpack(Method::Zlib, &content.bytes, finds, name);
            bytes
        } else if finds.decoded(content.bytes.len()) {
            Bytes::from(content.bytes)
        } else {
            return;
        };
        let head = header::read(&bytes, 20, 4096);
        if head.no_field.is_none() && !head.fields.is_empty() && !finds.add(Item::Entity(bytes.clone())) {
            return;
        }
        if !bytes.is_empty() && !finds.add(Item::Blob { name: None, bytes }) {
            return;
        }
    }
}

/// Whether bytes start as CMS does: a sequence that begins with one of its content types.
pub(super) fn looks_like(data: &[u8]) -> bool {
    let head = data.get(..data.len().min(NEAR)).unwrap_or_default();
    data.first() == Some(&0x30) && (memmem::find(head, PKCS7).is_some() || memmem::find(head, SMIME).is_some())
}

/// A content, and whether it is compressed.
struct Content {
    bytes: Vec<u8>,
    compressed: bool,
}

#[derive(Default)]
struct Found {
    contents: Vec<Content>,
    sealed: bool,
}

/// The header of a value (X.690 section 8.1): its tag, where its content starts, and where that ends, if it says so.
struct Value {
    tag: u8,
    start: usize,
    end: Option<usize>,
}

fn value(data: &[u8], at: usize) -> Option<Value> {
    let tag = *data.get(at)?;
    let mut start = at + 1;
    if tag & 0x1f == 0x1f {
        // Tags above 30 take more bytes, of which the last one has no highest bit.
        start += data.get(start..)?.iter().take(6).position(|c| c & 0x80 == 0)? + 1;
    }
    let first = *data.get(start)?;
    start += 1;
    let end = match first {
        0x80 => None,
        0..0x80 => Some(start + usize::from(first)),
        _ => {
            let bytes = data.get(start..start + usize::from(first & 0x7f))?;
            start += bytes.len();
            let length = bytes.iter().try_fold(0usize, |n, c| n.checked_mul(256)?.checked_add(usize::from(*c)))?;
            Some(start.checked_add(length)?)
        }
    };
    Some(Value { tag, start, end: end.map(|end| end.min(data.len())) })
}

/// Goes through all values in the order of their bytes, into those that hold others, so that no stack is needed. The content stands in a
/// `[0]` right behind its type, as one octet string or as one in pieces.
fn walk(data: &[u8]) -> Found {
    let mut found = Found::default();
    let (mut at, mut behind_type, mut compressed) = (0, false, false);
    let mut large: Vec<u8> = Vec::new();
    while let Some(here) = value(data, at) {
        let body = data.get(here.start..here.end.unwrap_or(data.len())).unwrap_or_default();
        let holds_others = here.tag & 0x20 != 0;
        match here.tag {
            0x06 => {
                behind_type = body.starts_with(PKCS7) || body.starts_with(SMIME) || behind_type;
                let kind = body.last().copied().unwrap_or_default();
                found.sealed |= (body.starts_with(PKCS7) && SEALED.contains(&kind)) || (body.starts_with(SMIME) && kind == AUTH_ENVELOPED);
                compressed |= body.starts_with(SMIME) && kind == COMPRESSED;
            }
            0xa0 if behind_type => {
                behind_type = false;
                let inner = value(data, here.start).filter(|inner| matches!(inner.tag, 0x04 | 0x24));
                if let Some(inner) = inner
                    && found.contents.len() < MAX_CONTENTS
                {
                    let (bytes, next) = octets(data, &inner);
                    found.contents.push(Content { bytes, compressed });
                    compressed = false;
                    at = next.max(here.start);
                    continue;
                }
            }
            0x04 if here.end.is_some() && body.len() >= LEAST => large.extend_from_slice(body),
            _ => {}
        }
        behind_type &= !matches!(here.tag, 0 | 0x30 | 0x31);
        at = if holds_others { here.start } else { here.end.unwrap_or(here.start).max(here.start) };
    }
    if found.contents.is_empty() && !found.sealed && !large.is_empty() {
        // Not as it should be: whatever a reader may take for the content.
        found.contents.push(Content { bytes: large, compressed: false });
    }
    found
}

/// An octet string, and where it ends: as it stands, or the pieces of one that is made of others (X.690 section 8.7.3).
fn octets(data: &[u8], string: &Value) -> (Vec<u8>, usize) {
    let limit = string.end.unwrap_or(data.len());
    if string.tag & 0x20 == 0 {
        return (data.get(string.start..limit).unwrap_or_default().to_vec(), limit);
    }
    let mut out = Vec::new();
    let (mut at, mut open) = (string.start, 1usize);
    while at < limit
        && let Some(piece) = value(data, at)
    {
        match piece.tag {
            0 => {
                open -= 1;
                at = piece.start;
                if open == 0 {
                    break;
                }
            }
            0x24 => {
                // A piece of known length inside has no end of its own to be counted.
                open += usize::from(piece.end.is_none());
                at = piece.start;
            }
            0x04 => {
                let end = piece.end.unwrap_or(limit).min(limit);
                out.extend_from_slice(data.get(piece.start..end).unwrap_or_default());
                at = end.max(piece.start);
            }
            _ => break,
        }
    }
    (out, at)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, once};
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = match body.len() {
            n @ 0..128 => vec![n as u8],
            n => [&[0x82][..], &(n as u16).to_be_bytes()].concat(),
        };
        [&[tag][..], &length, &body].concat()
    }

    fn ber(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        [&[tag, 0x80][..], &parts.concat(), &[0, 0]].concat()
    }

    fn oid(arc: &[u8], last: u8) -> Vec<u8> {
        der(6, &[arc, &[last]])
    }

    /// Signed data around `content`, which is a whole octet string.
    fn signed(wrap: fn(u8, &[&[u8]]) -> Vec<u8>, content: &[u8]) -> Vec<u8> {
        let inner = wrap(0x30, &[&oid(PKCS7, 1), &wrap(0xa0, &[content])]);
        let certificates = der(0xa0, &[&der(0x30, &[&der(4, &[&[7; 80]])])]);
        let data = wrap(0x30, &[&der(2, &[&[1]]), &der(0x31, &[]), &inner, &certificates, &der(0x31, &[])]);
        wrap(0x30, &[&oid(PKCS7, 2), &wrap(0xa0, &[&data])])
    }

    #[test]
    fn contents() {
        let whole = der(4, &[b"hello"]);
        let pieces = ber(0x24, &[&der(4, &[b"hel"]), &ber(0x24, &[&der(4, &[b"l"])]), &der(4, &[b"o"])]);
        let known = der(0x24, &[&der(4, &[b"hel"]), &der(4, &[b"lo"])]);
        for content in [&whole, &pieces, &known] {
            assert_eq!(found(READING.read, &signed(der, content)), ["hello"]);
            assert_eq!(found(READING.read, &signed(ber, content)), ["hello"]);
        }
        let entity = "Content-Type: text/plain\r\n\r\nhello";
        assert_eq!(found(READING.read, &signed(der, &der(4, &[entity.as_bytes()]))), [entity, entity]);
        // A detached signature has no content, and the octet strings in its certificates are none.
        let detached = der(0x30, &[&der(2, &[&[1]]), &der(0x31, &[]), &der(0x30, &[&oid(PKCS7, 1)]), &der(0xa0, &[&der(0x30, &[])])]);
        assert_eq!(found(READING.read, &der(0x30, &[&oid(PKCS7, 2), &der(0xa0, &[&detached])])), [""; 0]);
        // Encrypted.
        let sealed = der(0x30, &[&oid(PKCS7, 3), &der(0xa0, &[&der(0x30, &[&der(4, &[&[7; 100]])])])]);
        assert_eq!(once(READING.read, &sealed, "", ""), (vec![], vec!["mime.smime"]));
    }

    #[test]
    fn compressed() {
        // zlib of "hello" in a stored block.
        let packed = b"\x78\x01\x01\x05\0\xfa\xffhello\x06\x2c\x02\x15";
        let inner = der(0x30, &[&oid(PKCS7, 1), &der(0xa0, &[&der(4, &[packed])])]);
        let data = der(0x30, &[&der(2, &[&[0]]), &der(0x30, &[&oid(b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x03", 8)]), &inner]);
        assert_eq!(found(READING.read, &der(0x30, &[&oid(SMIME, COMPRESSED), &der(0xa0, &[&data])])), ["hello"]);
    }
}
