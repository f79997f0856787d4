//! TNEF, Outlook's winmail.dat (MS-OXTNEF): attachments, embedded objects, and the bodies it carries.

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf, limit};
use super::ints::{le32, wide_text};
use super::{Container, lzfu};
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "tnef", opens: "winmail.dat", is: |leaf| leaf.true_type == "tnef", open };

/// Attributes (MS-OXTNEF section 2.1.3.3): id in the low, type in the high half.
const ATTACH_REND_DATA: u32 = 0x0006_9002;
const ATTACH_DATA: u32 = 0x0006_800f;
const ATTACH_TITLE: u32 = 0x0001_8010;
const TRANSPORT_NAME: u32 = 0x0006_9001;
const ATTACHMENT: u32 = 0x0006_9005;
const MSG_PROPS: u32 = 0x0006_9003;
const BODY: u32 = 0x0002_800c;
/// Properties (MS-OXPROPS), without their type.
const PID_ATTACH_DATA: u16 = 0x3701;
const PID_LONG_NAME: u16 = 0x3707;
const PID_BODY: u16 = 0x1000;
const PID_HTML: u16 = 0x1013;
const PID_RTF: u16 = 0x1009;
/// Types of properties: an object, and text in UTF-16.
const OBJECT: u16 = 0x0d;
const WIDE: u16 = 0x1f;
/// Properties shorter than this are no file and no text that hides one.
const SHORT: usize = 64;
/// Properties with bytes or text that are taken of one attribute.
const MAX_PROPERTIES: usize = 100_000;

/// The attachment whose attributes are being read: its name comes before or after its data.
#[derive(Default)]
struct Attachment {
    name: Option<String>,
    data: Vec<Bytes>,
}

impl Attachment {
    /// Takes a property: the content of an attachment, its name, or something else; false where a limit is reached.
    fn property(&mut self, id: u16, kind: u16, value: Bytes, finds: &mut Finds) -> bool {
        match (id, kind) {
            // An object stands behind the class id of its interface.
            (PID_ATTACH_DATA, OBJECT) => self.data.push(value.slice(16.min(value.len())..)),
            (PID_ATTACH_DATA, _) => self.data.push(value),
            (PID_LONG_NAME, _) => self.name = text(&value).or(self.name.take()),
            (PID_RTF, _) => return lzfu::add(&value, finds),
            (_, WIDE) if value.len() >= SHORT => return finds.add_decoded(None, wide_text(&value).into_bytes()),
            (PID_BODY | PID_HTML, _) => return finds.add(Item::Blob { name: None, bytes: value }),
            _ if value.len() >= SHORT => return finds.add(Item::Blob { name: None, bytes: value }),
            _ => {}
        }
        true
    }
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let document = leaf.name.unwrap_or_default();
    let mut at = 6;
    let mut attachment = Attachment::default();
    while at < data.len() {
        let Some((id, start, end)) = attribute(data, at) else {
            finds.unseen("archive.malformed", Reason::Malformed, "A winmail.dat that breaks off", document);
            break;
        };
        let value = data.slice(start..end);
        match id {
            ATTACH_REND_DATA if !settle(&mut attachment, finds) => return,
            ATTACH_DATA => attachment.data.push(value),
            ATTACH_TITLE | TRANSPORT_NAME => attachment.name = attachment.name.take().or_else(|| text(&value)),
            ATTACHMENT | MSG_PROPS => {
                let mut may_go_on = true;
                let mut left = Some(MAX_PROPERTIES);
                let whole = properties(&value, &mut |id, kind, value| {
                    left = left.and_then(|left| left.checked_sub(1));
                    may_go_on = may_go_on && left.is_some() && attachment.property(id, kind, value, finds);
                });
                if left.is_none() {
                    finds.problems.push(limit("archive.limit.members", "A winmail.dat with more properties than the limit"));
                }
                if !may_go_on {
                    settle(&mut attachment, finds);
                    return;
                }
                if !whole {
                    finds.unseen("archive.malformed", Reason::Malformed, "A winmail.dat with properties that cannot be read", document);
                }
            }
            BODY => _ = finds.add(Item::Blob { name: None, bytes: value }),
            _ => {}
        }
        // A checksum of two bytes follows.
        at = end.saturating_add(2);
    }
    settle(&mut attachment, finds);
}

/// Hands out the attachment read so far; false where a limit is reached.
fn settle(attachment: &mut Attachment, finds: &mut Finds) -> bool {
    let Attachment { name, data } = std::mem::take(attachment);
    data.into_iter().all(|bytes| {
        // An embedded object stands behind the class id of its interface: a message (TNEF again) or a document.
        let inner = bytes.get(16..).filter(|inner| inner.starts_with(b"\x78\x9f\x3e\x22") || inner.starts_with(b"\xd0\xcf\x11\xe0"));
        let bytes = if inner.is_some() { bytes.slice(16..) } else { bytes };
        finds.add(Item::Blob { name: name.clone(), bytes })
    })
}

/// The attribute at `at`: its id and where its value stands. A length beyond the end is cut.
fn attribute(data: &[u8], at: usize) -> Option<(u32, usize, usize)> {
    let level = *data.get(at)?;
    let id = le32(data, at + 1)?;
    let len = usize::try_from(le32(data, at + 5)?).ok()?;
    let start = at + 9;
    (level == 1 || level == 2).then(|| (id, start, start.saturating_add(len).min(data.len())))
}

/// Walks MAPI properties (MS-OXTNEF section 2.1.3.4) and hands out those with bytes or text, with their type; false where it can no longer
/// follow. Each takes some of the bytes: however many there are said to be, it ends with them.
fn properties(data: &Bytes, each: &mut dyn FnMut(u16, u16, Bytes)) -> bool {
    let count = le32(data, 0).unwrap_or_default();
    let mut at = 4;
    for _ in 0..count {
        match property(data, at, each) {
            Some(next) => at = next,
            None => return false,
        }
    }
    true
}

fn property(data: &Bytes, at: usize, each: &mut dyn FnMut(u16, u16, Bytes)) -> Option<usize> {
    let tag = le32(data, at)?;
    let (kind, id) = ((tag & 0xffff) as u16, (tag >> 16) as u16);
    let mut at = at + 4;
    if id >= 0x8000 {
        // A named property: a class id, then a number or a name.
        let by_name = le32(data, at + 16)? == 1;
        let len = if by_name { padded(le32(data, at + 20)?)? } else { 0 };
        at = at.checked_add(24)?.checked_add(len)?;
    }
    let many = kind & 0x1000 != 0;
    match kind & 0x0fff {
        0x02 | 0x03 | 0x04 | 0x0a | 0x0b if !many => Some(at + 4),
        0x05..=0x07 | 0x14 | 0x40 if !many => Some(at + 8),
        0x48 if !many => Some(at + 16),
        0x0d | 0x1e | 0x1f | 0x102 => {
            let values = le32(data, at)?;
            at += 4;
            for _ in 0..values {
                let len = le32(data, at)?;
                let start = at + 4;
                let end = start.checked_add(usize::try_from(len).ok()?)?;
                if start > data.len() {
                    return None;
                }
                each(id, kind & 0x0fff, data.slice(start..end.min(data.len()).max(start)));
                at = start.checked_add(padded(len)?)?;
                // Some writers leave out the filling behind the last value.
                if end > data.len() {
                    return None;
                }
            }
            Some(at)
        }
        kind => {
            let size = match kind {
                0x02 | 0x03 | 0x04 | 0x0a | 0x0b => 4,
                0x48 => 16,
                _ => 8,
            };
            at.checked_add(4)?.checked_add(usize::try_from(le32(data, at)?).ok()?.checked_mul(size)?)
        }
    }
}

/// Rounded up to four.
fn padded(len: u32) -> Option<usize> {
    usize::try_from(len).ok()?.checked_next_multiple_of(4)
}

/// A name: 8-bit up to NUL, or UTF-16.
fn text(bytes: &[u8]) -> Option<String> {
    let wide = bytes.len() >= 4 && bytes.get(1) == Some(&0) && bytes.get(3) == Some(&0);
    let bytes: Vec<u8> = if wide { bytes.iter().step_by(2).copied().collect() } else { bytes.to_vec() };
    let name = String::from_utf8_lossy(bytes.split(|c| *c == 0).next().unwrap_or_default()).into_owned();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn attr(level: u8, id: u32, value: &[u8]) -> Vec<u8> {
        let sum = value.iter().map(|c| u16::from(*c)).fold(0u16, u16::wrapping_add);
        [&[level][..], &id.to_le_bytes(), &(value.len() as u32).to_le_bytes(), value, &sum.to_le_bytes()].concat()
    }

    fn prop(tag: u32, value: &[u8]) -> Vec<u8> {
        let mut out = [&tag.to_le_bytes()[..], &1u32.to_le_bytes(), &(value.len() as u32).to_le_bytes(), value].concat();
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn sample() -> Vec<u8> {
        let props = [&3u32.to_le_bytes()[..], &[3, 0, 0x05, 0x37, 1, 0, 0, 0], &prop(0x3707_001e, b"long name.txt\0"), &{
            let object = [&[9; 16][..], b"\x78\x9f\x3e\x22\x01\0inner"].concat();
            prop(0x3701_000d, &object)
        }]
        .concat();
        let wide: Vec<u8> = "the text of the message, which is long enough".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let rtf = b"\x09\0\0\0\x05\0\0\0MELA\0\0\0\0{\\rtf1}";
        // A named property, with a class id and a number, and a list of numbers.
        let named = [&0x8001_0003u32.to_le_bytes()[..], &[7; 16], &[0; 4], &[1, 0, 0, 0], &[5, 0, 0, 0]].concat();
        let list = [&0x6000_1003u32.to_le_bytes()[..], &[2, 0, 0, 0], &[1, 0, 0, 0], &[2, 0, 0, 0]].concat();
        let body = [&4u32.to_le_bytes()[..], &named, &prop(0x1009_0102, rtf), &list, &prop(0x1000_001f, &wide)].concat();
        [
            &b"\x78\x9f\x3e\x22\x01\0"[..],
            &attr(1, BODY, b"a body"),
            &attr(2, ATTACH_REND_DATA, &[0; 14]),
            &attr(2, ATTACH_TITLE, b"a.com\0"),
            &attr(2, ATTACH_DATA, b"hello"),
            &attr(2, ATTACH_REND_DATA, &[0; 14]),
            &attr(2, ATTACHMENT, &props),
            &attr(1, MSG_PROPS, &body),
        ]
        .concat()
    }

    fn opened(data: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 100);
        let data = Bytes::copy_from_slice(data);
        open(&Leaf::new(&data, None, "", "", "tnef"), &mut finds);
        let items = finds.items.into_iter().filter_map(|item| match item {
            Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
            _ => None,
        });
        (items.collect(), finds.problems.iter().map(|p| p.code).collect())
    }

    #[test]
    fn nothing_hides_behind_many_properties() {
        let inside = |before: &[u8], many: u32| {
            let props = [&(many + 1).to_le_bytes()[..], &before.repeat(many as usize), &prop(0x3701_0102, b"hello")].concat();
            opened(&[&b"\x78\x9f\x3e\x22\x01\0"[..], &attr(2, ATTACHMENT, &props)].concat())
        };
        let number = [3, 0, 0x05, 0x37, 1, 0, 0, 0];
        assert_eq!(inside(&number, 10_001).0, [(String::new(), b"hello".to_vec())]);
        assert_eq!(inside(&prop(0x3704_001e, b"a"), 10_001).0, [(String::new(), b"hello".to_vec())]);
        assert_eq!(inside(&prop(0x3704_001e, b"a"), MAX_PROPERTIES as u32).1, ["archive.limit.members"]);
        let values = [&0x3704_101eu32.to_le_bytes()[..], &20_000u32.to_le_bytes(), &[0; 80_000]].concat();
        assert_eq!(inside(&values, 1).0, [(String::new(), b"hello".to_vec())]);
    }

    #[test]
    fn attachments() {
        let whole = sample();
        let (items, problems) = opened(&whole);
        let want = [
            ("", &b"a body"[..]),
            ("a.com", b"hello"),
            ("body.rtf", b"{\\rtf1}"),
            ("", b"the text of the message, which is long enough"),
            ("long name.txt", b"\x78\x9f\x3e\x22\x01\0inner"),
        ];
        assert_eq!(items.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect::<Vec<_>>(), want);
        assert!(problems.is_empty());
        for at in 0..whole.len() {
            opened(&whole[..at]);
            let mut flipped = whole.clone();
            flipped[at] ^= 0xff;
            opened(&flipped);
        }
    }
}
