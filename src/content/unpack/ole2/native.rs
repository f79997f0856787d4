//! Embedded objects of the first OLE (MS-OLEDS): files put into a document by the packager, and data of the old form.

use bytes::Bytes;

use super::super::super::find::{Finds, Item};
use super::super::ints::{le16, size_at, text_at};
use super::sectors::MAGIC;

/// Texts of an object's header are names of classes, files and topics.
const MAX_TEXT: usize = 4096;

/// What is in a stream `Ole10Native`: a size, and then what the packager or the object's program put there. False where a limit is reached.
pub(super) fn native_stream(bytes: &Bytes, finds: &mut Finds) -> bool {
    let inner = bytes.slice(4.min(bytes.len())..);
    match package(&inner).or_else(|| package(bytes)) {
        Some((name, content)) => finds.add(Item::Blob { name: Some(name), bytes: content }),
        None => inner.is_empty() || finds.add(Item::Blob { name: None, bytes: inner }),
    }
}

/// What the packager writes: a label, the file's name, where it came from, and its content.
fn package(data: &Bytes) -> Option<(String, Bytes)> {
    // Two bytes of flags: 2 for a file that stands here.
    let (label, at) = text_at(data, 2).filter(|(text, _)| text.len() < MAX_TEXT)?;
    let (file, at) = text_at(data, at).filter(|(text, _)| text.len() < MAX_TEXT)?;
    let at = at.checked_add(4)?;
    let path = size_at(data, at)?;
    let at = at.checked_add(4)?.checked_add(path)?;
    let size = size_at(data, at)?;
    let start = at.checked_add(4).filter(|start| *start < data.len())?;
    let end = start.saturating_add(size).min(data.len());
    let name = [label, file].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let name = name.rsplit(['\\', '/']).next().unwrap_or_default().to_owned();
    Some((name, data.slice(start..end)))
}

/// The native data of an embedded object as RTF and the first OLE have it, and the name of its class; `None` if there is no such header.
pub(crate) fn object(data: &Bytes) -> Option<(String, Bytes)> {
    // Version and format; then class, topic and item, each with its length before it.
    let mut at = 8usize;
    let mut class = None;
    for _ in 0..3 {
        let length = size_at(data, at).filter(|n| *n < MAX_TEXT)?;
        let text = data.get(at + 4..)?.get(..length)?;
        let text = String::from_utf8_lossy(text.split(|c| *c == 0).next().unwrap_or_default()).into_owned();
        class.get_or_insert(text);
        at += 4 + length;
    }
    let size = size_at(data, at)?;
    let start = at.checked_add(4).filter(|start| *start < data.len())?;
    Some((class.unwrap_or_default(), data.slice(start..start.saturating_add(size).min(data.len()))))
}

/// Hands out what an object of the first OLE holds: a packaged file, a compound file, or whatever its program wrote; wherever in the bytes
/// it starts, since headers are garbled to mislead. False where a limit is reached.
pub(crate) fn add_object(data: &Bytes, finds: &mut Finds) -> bool {
    let mut parts: Vec<(Option<String>, Bytes)> = Vec::new();
    if let Some((class, native)) = object(data) {
        match package(&native).filter(|_| !native.starts_with(MAGIC)) {
            Some((name, content)) => parts.push((Some(name), content)),
            None => parts.push((Some(class).filter(|class| !class.is_empty()), native)),
        }
    } else if le16(data, 0) == Some(2)
        && let Some((name, content)) = package(data)
    {
        parts.push((Some(name), content));
    }
    let lost = memchr::memmem::find(data, MAGIC).map(|at| data.slice(at..));
    let lost = lost.filter(|lost| !parts.iter().any(|(_, part)| part.starts_with(MAGIC) && part.len() <= lost.len()));
    parts.extend(lost.map(|lost| (None, lost)));
    parts.into_iter().filter(|(_, bytes)| !bytes.is_empty()).all(|(name, bytes)| finds.add(Item::Blob { name, bytes }))
}
