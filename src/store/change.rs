//! Changes to entries: what callers ask for, and how a batch of them lies in a journal record.
//!
//! ```text
//! count u32, then each:  0 kind u8  1 place u8  2 length of the name u16  4 length of the JSON u32  8 id u64
//!                        16 length of the message u64  24 crc32 of the message u32  28 JSON, name, message (if not in a file of its own)
//! ```

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use crc32fast::Hasher;

use super::StoreError;
use super::frame::{u32_at, u64_at};
use crate::mail::{Class, Entry, MessageId, Place};

/// One change to what the store keeps. A `commit` of several is all or nothing.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new entry with its message, byte for byte as received. One that is there with this place and id is replaced.
    Put {
        /// What is kept beside the bytes.
        entry: Entry,
        /// The message.
        bytes: Bytes,
    },
    /// New states of an entry that is there. One of which no recipient waits any more stays until it is removed: what became of it has to
    /// be recorded first.
    Update(Entry),
    /// The entry goes, with its bytes.
    Remove(Place, MessageId),
}

impl Change {
    /// Which entry it is about.
    pub(super) fn key(&self) -> Key {
        match self {
            Self::Put { entry, .. } | Self::Update(entry) => (entry.place, entry.id),
            Self::Remove(place, id) => (*place, *id),
        }
    }
}

/// Whether this state of an entry is its end: a spool entry of which no recipient waits or is held any more.
pub(super) fn is_end(entry: &Entry) -> bool {
    entry.place == Place::Spool && !entry.is_waiting() && !entry.is_held()
}

/// An entry's name in the store.
pub(super) type Key = (Place, MessageId);

/// A change, ready to be logged.
#[derive(Debug, Clone)]
pub(super) enum Pending {
    Put { entry: Arc<Entry>, message: Message },
    Update(Arc<Entry>),
    Remove(Key),
}

/// Where the bytes of a new entry go.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// Into the journal record.
    Inline(Bytes),
    /// In `journal/large/` already.
    Own { name: Arc<str>, size: u64, crc: u32 },
}

/// A batch of changes as the payload of a record: slices to write one after the other, nothing copied.
#[derive(Debug)]
pub(super) struct Payload {
    pub slices: Vec<Bytes>,
    pub length: usize,
    pub crc: u32,
    /// For each change: where its message begins in the payload, and its crc.
    pub messages: Vec<(usize, u32)>,
}

const PUT: u8 = 1;
const PUT_OWN: u8 = 2;
const UPDATE: u8 = 3;
const REMOVE: u8 = 4;
/// Bytes of a change before its JSON.
const HEAD: usize = 28;

/// Whether what is logged could be read again: JSON has no way to write a number that is none.
pub(super) fn check(entry: &Entry) -> Result<(), StoreError> {
    let scores = entry.recipients.iter().map(|recipient| recipient.decision.score);
    let points = entry.findings.iter().map(|finding| if let Class::Score { points } = finding.class { points } else { 0.0 });
    if scores.chain(points).all(f32::is_finite) {
        return Ok(());
    }
    Err(StoreError::Damaged { what: format!("entry {} has a score that is no number", entry.id) })
}

/// Lays out a batch.
pub(super) fn encode(changes: &[Pending]) -> Result<Payload, serde_json::Error> {
    let mut payload = Payload { slices: Vec::with_capacity(2 * changes.len()), length: 0, crc: 0, messages: Vec::new() };
    let mut hasher = Hasher::new();
    let mut head = BytesMut::with_capacity(1024);
    head.put_u32_le(u32::try_from(changes.len()).unwrap_or(u32::MAX));
    for change in changes {
        let (kind, key, entry, message) = match change {
            Pending::Put { entry, message } => {
                let kind = if matches!(message, Message::Inline(_)) { PUT } else { PUT_OWN };
                (kind, (entry.place, entry.id), Some(entry), Some(message))
            }
            Pending::Update(entry) => (UPDATE, (entry.place, entry.id), Some(entry), None),
            Pending::Remove(key) => (REMOVE, *key, None, None),
        };
        let json = entry.map(|entry| serde_json::to_vec(entry.as_ref())).transpose()?.unwrap_or_default();
        let (name, size, crc, bytes) = match message {
            Some(Message::Inline(bytes)) => {
                let mut own = Hasher::new();
                own.update(bytes);
                ("", bytes.len() as u64, own.clone().finalize(), Some((bytes, own)))
            }
            Some(Message::Own { name, size, crc }) => (name.as_ref(), *size, *crc, None),
            None => ("", 0, 0, None),
        };
        head.put_u8(kind);
        head.put_u8(place_code(key.0));
        head.put_u16_le(u16::try_from(name.len()).unwrap_or(0));
        head.put_u32_le(u32::try_from(json.len()).unwrap_or(u32::MAX));
        head.put_u64_le(key.1.to_u64());
        head.put_u64_le(size);
        head.put_u32_le(crc);
        head.put_slice(&json);
        head.put_slice(name.as_bytes());
        payload.messages.push((payload.length + head.len(), crc));
        if let Some((bytes, own)) = bytes {
            payload.push(head.split().freeze(), &mut hasher);
            hasher.combine(&own);
            payload.length += bytes.len();
            payload.slices.push(bytes.clone());
        }
    }
    payload.push(head.freeze(), &mut hasher);
    payload.crc = hasher.finalize();
    Ok(payload)
}

impl Payload {
    fn push(&mut self, bytes: Bytes, hasher: &mut Hasher) {
        hasher.update(&bytes);
        self.length += bytes.len();
        self.slices.push(bytes);
    }
}

/// A change as read from a record.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Logged {
    Put { entry: Box<Entry>, size: u64, crc: u32, at: LoggedAt },
    Update(Box<Entry>),
    Remove(Key),
}

/// Where the message of a logged change lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LoggedAt {
    /// In the record, that far into the payload.
    Inline(usize),
    /// In `journal/large/`.
    Own(String),
}

/// Reads a payload; `None` if it is not one.
pub(super) fn decode(payload: &[u8]) -> Option<Vec<Logged>> {
    let count = u32_at(payload, 0)?;
    let mut at = 4usize;
    let mut changes = Vec::new();
    for _ in 0..count {
        let head = payload.get(at..at.checked_add(HEAD)?)?;
        let (name_len, json_len) = (usize::from(u16::from_le_bytes(*head.get(2..)?.first_chunk()?)), u32_at(head, 4)? as usize);
        let key = (place_of(*head.get(1)?)?, MessageId::from_u64(u64_at(head, 8)?));
        let (size, crc) = (u64_at(head, 16)?, u32_at(head, 24)?);
        let json = at + HEAD..(at + HEAD).checked_add(json_len)?;
        let name = json.end..json.end.checked_add(name_len)?;
        at = name.end;
        let entry = || serde_json::from_slice::<Entry>(payload.get(json.clone())?).ok().filter(|entry| (entry.place, entry.id) == key);
        changes.push(match *head.first()? {
            PUT => {
                let begin = at;
                at = at.checked_add(usize::try_from(size).ok()?)?;
                payload.get(begin..at)?;
                Logged::Put { entry: Box::new(entry()?), size, crc, at: LoggedAt::Inline(begin) }
            }
            PUT_OWN => {
                let name = std::str::from_utf8(payload.get(name)?).ok().filter(|name| !name.contains('/'))?;
                Logged::Put { entry: Box::new(entry()?), size, crc, at: LoggedAt::Own(name.to_owned()) }
            }
            UPDATE => Logged::Update(Box::new(entry()?)),
            REMOVE => Logged::Remove(key),
            _ => return None,
        });
    }
    (at == payload.len()).then_some(changes)
}

fn place_code(place: Place) -> u8 {
    match place {
        Place::Spool => 1,
        Place::Quarantine => 2,
    }
}

fn place_of(code: u8) -> Option<Place> {
    match code {
        1 => Some(Place::Spool),
        2 => Some(Place::Quarantine),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::entry;
    use super::*;

    fn batch() -> (Vec<Pending>, Vec<u8>) {
        let [one, two] = [entry(Place::Spool), entry(Place::Quarantine)].map(Arc::new);
        let own = Message::Own { name: "a.eml".into(), size: 1 << 20, crc: 7 };
        let changes = vec![
            Pending::Put { entry: one.clone(), message: Message::Inline(Bytes::from_static(b"Subject: x\r\n\r\nbody\r\n")) },
            Pending::Put { entry: two.clone(), message: own },
            Pending::Update(one.clone()),
            Pending::Put { entry: two, message: Message::Inline(Bytes::new()) },
            Pending::Remove((Place::Spool, one.id)),
        ];
        let payload = encode(&changes).unwrap();
        let flat = payload.slices.concat();
        assert_eq!((flat.len(), hash(&flat)), (payload.length, payload.crc));
        assert!(flat[payload.messages[0].0..].starts_with(b"Subject: x"));
        (changes, flat)
    }
    use crc32fast::hash;

    #[test]
    fn a_batch_reads_back() {
        let (changes, flat) = batch();
        let read = decode(&flat).unwrap();
        assert_eq!(read.len(), changes.len());
        for (wrote, read) in changes.iter().zip(&read) {
            match (wrote, read) {
                (
                    Pending::Put { entry, message: Message::Inline(bytes) },
                    Logged::Put { entry: got, size, crc, at: LoggedAt::Inline(at) },
                ) => {
                    assert_eq!((entry.as_ref(), hash(bytes)), (got.as_ref(), *crc));
                    assert_eq!(&flat[*at..*at + *size as usize], &bytes[..]);
                }
                (Pending::Put { message: Message::Own { name, .. }, .. }, Logged::Put { at: LoggedAt::Own(got), size, .. }) => {
                    assert_eq!((name.as_ref(), *size), (got.as_str(), 1 << 20));
                }
                (Pending::Update(entry), Logged::Update(got)) => assert_eq!(entry.as_ref(), got.as_ref()),
                (Pending::Remove(key), Logged::Remove(got)) => assert_eq!(key, got),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn cut_anywhere_it_is_none() {
        let (_, flat) = batch();
        for end in 0..flat.len() {
            assert_eq!(decode(&flat[..end]), None, "cut at {end}");
        }
        assert_eq!(decode(&[&flat[..], b"x"].concat()), None);
    }
}
