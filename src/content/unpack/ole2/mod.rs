//! OLE2 compound files (MS-CFB): every stream is a member, and what office programs keep packed in streams is unpacked: embedded files,
//! modules of Visual Basic, deflated objects. Mail kept by Outlook (`.msg`) is put together again; encrypted documents are opened where a
//! password is known.

mod locked;
mod msg;
mod native;
mod office;
mod sectors;
mod vba;
mod zlib;

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf};
use super::Container;
use crate::mail::Reason;
pub(super) use native::add_object;
pub(super) use sectors::MAGIC;
use sectors::{Compound, Kind};

pub(super) const CONTAINER: Container = Container {
    name: "compound",
    opens: "OLE2 documents, installer packages and Outlook messages",
    is: |leaf| leaf.data.starts_with(MAGIC),
    open,
};

/// A stream of a compound file.
struct Stream {
    /// Its own name.
    name: String,
    /// With the storages before it.
    path: String,
    /// The storage it is in.
    parent: Option<usize>,
    bytes: Bytes,
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let document = leaf.name.unwrap_or_default();
    let Some(file) = Compound::read(leaf.data, finds) else {
        finds.unseen("archive.malformed", Reason::Malformed, "An OLE2 file whose directory cannot be found", document);
        return;
    };
    let Some(streams) = streams(&file, document, finds) else { return };
    locked::open(leaf, &streams, finds);
    if msg::is_message(&streams) {
        msg::open(&streams, finds);
        return;
    }
    if file.entries.iter().any(|entry| vba::is_project(&entry.name)) {
        finds.note("doc.macros", "A document with macros", document);
    }
    for stream in &streams {
        if !finds.add(Item::Blob { name: Some(stream.path.clone()), bytes: stream.bytes.clone() }) || !open_stream(stream, finds) {
            return;
        }
    }
}

/// What is packed in a stream; false where a limit is reached.
fn open_stream(stream: &Stream, finds: &mut Finds) -> bool {
    let name = stream.name.trim_start_matches(|c: char| c < ' ');
    let of_name = match name.to_ascii_lowercase().as_str() {
        "ole10native" => native::native_stream(&stream.bytes, finds),
        "powerpoint document" => office::slides(&stream.bytes, finds),
        "workbook" | "book" => office::workbook(&stream.path, &stream.bytes, finds),
        _ => true,
    };
    of_name && vba::modules(&stream.path, &stream.bytes, finds) && zlib::blobs(&stream.path, &stream.bytes, finds)
}

/// All streams that have something in them; `None` where a limit is reached.
fn streams(file: &Compound, document: &str, finds: &mut Finds) -> Option<Vec<Stream>> {
    let mut streams = Vec::new();
    for (index, entry) in file.entries.iter().enumerate().filter(|(_, entry)| entry.kind == Kind::Stream) {
        let (bytes, whole) = file.stream(entry, finds)?;
        // Entries that nothing leads to are left over, and so are their sectors.
        if !whole && entry.parent.is_some() {
            finds.unseen("archive.malformed", Reason::Malformed, "An OLE2 file of which a stream is not all there", &file.path(index));
        }
        if !bytes.is_empty() {
            streams.push(Stream { name: entry.name.clone(), path: file.path(index), parent: entry.parent, bytes });
        }
    }
    // Some have no more than a root: Word keeps one beside its themes.
    if file.entries.first().is_none_or(|root| root.kind != Kind::Storage) {
        finds.unseen("archive.malformed", Reason::Malformed, "An OLE2 file whose directory has no root", document);
    }
    Some(streams)
}

#[cfg(test)]
mod tests;
