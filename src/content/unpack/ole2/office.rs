//! What the binary formats of office programs keep in their records: embedded objects of PowerPoint (MS-PPT), macro sheets of Excel (MS-XLS).

use bytes::Bytes;

use super::super::super::find::{Finds, Item};
use super::super::ints::{le16, le32, size_at};
use super::super::lenient;

/// PowerPoint: an embedded object, deflated if its instance is 1 (MS-PPT section 2.10.34).
const EX_OLE_OBJECT: u16 = 0x1011;
/// PowerPoint: the version of a record that holds others.
const HOLDER: u16 = 0xf;
/// PowerPoint: a session of encryption.
const CRYPT_SESSION: u16 = 0x2f14;
/// Excel: a sheet (MS-XLS section 2.4.28).
const BOUND_SHEET: u16 = 0x85;
/// Excel: a defined name (MS-XLS section 2.4.150).
const NAME: u16 = 0x18;
/// Excel: what follows is encrypted (MS-XLS section 2.4.117).
const FILE_PASS: u16 = 0x2f;
/// Excel: begins a sheet or the workbook.
const BOF: u16 = 0x809;

/// Hands out the objects in the records of a presentation; false where a limit is reached.
pub(super) fn slides(bytes: &Bytes, finds: &mut Finds) -> bool {
    let mut at = 0usize;
    while let (Some(version), Some(kind), Some(size)) = (le16(bytes, at), le16(bytes, at + 2), size_at(bytes, at + 4)) {
        at += 8;
        if version & 0xf == HOLDER {
            continue;
        }
        let end = at.saturating_add(size).min(bytes.len());
        if kind == EX_OLE_OBJECT {
            let object = bytes.slice(at..end);
            let packed = object.get(4..).filter(|packed| version >> 4 == 1 || packed.first() == Some(&0x78));
            let object = match packed {
                Some(packed) => lenient::inflate(packed, u64::MAX, "embedded object", finds).0,
                None => object,
            };
            if !finds.add(Item::Blob { name: Some("embedded object".into()), bytes: object }) {
                return false;
            }
        }
        at = end;
    }
    true
}

/// Whether the records of a presentation say that it is encrypted.
pub(super) fn slides_are_encrypted(bytes: &[u8]) -> bool {
    let mut at = 0usize;
    while let (Some(version), Some(kind), Some(size)) = (le16(bytes, at), le16(bytes, at + 2), size_at(bytes, at + 4)) {
        if kind == CRYPT_SESSION && version & 0xf == HOLDER && size < 4096 {
            return true;
        }
        at = at.saturating_add(8).saturating_add(size);
    }
    false
}

/// The records of a workbook: kind and content.
fn records(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut at = 0usize;
    std::iter::from_fn(move || {
        let (kind, size) = (le16(bytes, at)?, usize::from(le16(bytes, at + 2)?));
        let content = bytes.get(at + 4..(at + 4).saturating_add(size).min(bytes.len()))?;
        at += 4 + size;
        Some((kind, content))
    })
}

/// Whether the records of a workbook say that it is encrypted.
pub(super) fn workbook_is_encrypted(bytes: &[u8]) -> bool {
    let mut records = records(bytes);
    records.next().is_some_and(|(kind, _)| kind & 0xff == BOF & 0xff) && records.take(20).any(|(kind, _)| kind == FILE_PASS)
}

/// Notes macro sheets of Excel 4 and the names by which they start; false where a limit is reached.
pub(super) fn workbook(path: &str, bytes: &Bytes, finds: &mut Finds) -> bool {
    if !finds.look(bytes.len() / 16) {
        return false;
    }
    let (mut sheets, mut starts) = (false, false);
    for (kind, content) in records(bytes) {
        match kind {
            BOUND_SHEET => sheets |= content.get(5) == Some(&1),
            // A built-in name is one character: 1 to 3 open, close and extract by themselves, 10 and 11 on showing a sheet.
            NAME => {
                let flags = le16(content, 0).unwrap_or_default();
                let text = content.get(14..).unwrap_or_default();
                let text = text.strip_prefix(b"\0").unwrap_or(text);
                starts |= flags & 0x20 != 0 && matches!(text.first(), Some(1 | 2 | 10 | 11));
                starts |= text.get(..5).is_some_and(|text| text.eq_ignore_ascii_case(b"auto_"));
            }
            _ => {}
        }
    }
    if sheets {
        finds.note("doc.macros", "A document with macros", &format!("{path}: a macro sheet"));
    }
    if sheets && starts {
        finds.note("doc.macros_autostart", "A macro that starts by itself", &format!("{path}: a macro sheet"));
    }
    true
}

/// Whether the head of a Word document says that it is encrypted (MS-DOC section 2.5.2).
pub(super) fn text_is_encrypted(bytes: &[u8]) -> bool {
    matches!(le16(bytes, 0), Some(0xa5ec | 0xa5dc)) && le16(bytes, 10).is_some_and(|flags| flags & 0x100 != 0)
}

/// Whether the stream `Current User` of a presentation says that it is encrypted (MS-PPT section 2.3.2).
pub(super) fn user_is_encrypted(bytes: &[u8]) -> bool {
    le32(bytes, 12) == Some(0xf3d1_c4df)
}
