//! Messages as Outlook keeps them (MS-OXMSG): each property is a stream named after it, attachments and messages in messages are storages.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::super::find::{Finds, Item};
use super::super::{ints::wide_text, lzfu};
use super::{Stream, open_stream};

/// How the name of a property's stream begins; eight hexadecimal digits follow, four of the property and four of its type.
const PROPERTY: &str = "__substg1.0_";
/// Properties (MS-OXPROPS).
const ATTACH_DATA: u16 = 0x3701;
const LONG_NAME: u16 = 0x3707;
const SHORT_NAME: u16 = 0x3704;
const DISPLAY_NAME: u16 = 0x3001;
const BODY: u16 = 0x1000;
const HTML: u16 = 0x1013;
const RTF: u16 = 0x1009;
const HEADERS: u16 = 0x007d;
/// Types of properties: text of 8 bit and UTF-16.
const TEXT: u16 = 0x1e;
const WIDE: u16 = 0x1f;
/// Properties shorter than this are handed out together: there are a hundred of them in each message.
const SHORT: usize = 1024;

/// Whether the streams are those of a message.
pub(super) fn is_message(streams: &[Stream]) -> bool {
    streams.iter().any(|stream| stream.name == "__properties_version1.0" || property(&stream.name).is_some())
}

/// Property and type in the name of a stream; what stands behind them numbers the values of a list.
fn property(name: &str) -> Option<(u16, u16)> {
    let digits = name.strip_prefix(PROPERTY)?;
    let number = |range| digits.get(range).and_then(|digits| u16::from_str_radix(digits, 16).ok());
    Some((number(0..4)?, number(4..8)?))
}

/// Hands out bodies, attachments, and all the rest.
pub(super) fn open(streams: &[Stream], finds: &mut Finds) {
    let names = names(streams);
    let mut short: Vec<u8> = Vec::new();
    for stream in streams {
        let (id, kind) = property(&stream.name).unwrap_or_default();
        let is_text = matches!(kind, TEXT | WIDE);
        let bytes = if kind == WIDE { Bytes::from(wide_text_whole(&stream.bytes)) } else { stream.bytes.clone() };
        if kind == WIDE && !finds.decoded(bytes.len()) {
            return;
        }
        let may_go_on = match id {
            ATTACH_DATA => {
                let name = stream.parent.and_then(|storage| names.get(&storage)).map(|(_, name)| name.clone());
                let name = name.or_else(|| Some(stream.path.clone()));
                finds.add(Item::Blob { name, bytes }) && open_stream(stream, finds)
            }
            RTF => lzfu::add(&stream.bytes, finds),
            HTML => finds.add(Item::Blob { name: Some("body.html".into()), bytes }),
            BODY => finds.add(Item::Blob { name: Some("body.txt".into()), bytes }),
            HEADERS => finds.add(Item::Blob { name: Some("headers.txt".into()), bytes }),
            _ if id != 0 && bytes.len() < SHORT => {
                short.extend_from_slice(&bytes);
                short.push(b'\n');
                true
            }
            _ if is_text => finds.add(Item::Blob { name: Some(stream.path.clone()), bytes }),
            _ => finds.add(Item::Blob { name: Some(stream.path.clone()), bytes }) && open_stream(stream, finds),
        };
        if !may_go_on {
            return;
        }
    }
    finds.add_decoded(Some("properties".into()), short);
}

/// The names of attachments by their storages, with the property that gave it.
fn names(streams: &[Stream]) -> BTreeMap<usize, (u16, String)> {
    let mut names: BTreeMap<usize, (u16, String)> = BTreeMap::new();
    for stream in streams {
        let Some(((id @ (LONG_NAME | SHORT_NAME | DISPLAY_NAME), kind), storage)) = property(&stream.name).zip(stream.parent) else {
            continue;
        };
        let text = match kind {
            WIDE => wide_text(&stream.bytes),
            _ => String::from_utf8_lossy(stream.bytes.split(|c| *c == 0).next().unwrap_or_default()).into_owned(),
        };
        // The long name is the greatest number of the three, and the one that is shown.
        let known = names.get(&storage).map_or(0, |(known, _)| *known);
        if id > known && !text.is_empty() && text.len() < SHORT {
            names.insert(storage, (id, text));
        }
    }
    names
}

/// Text in UTF-16, NUL and all.
fn wide_text_whole(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}
