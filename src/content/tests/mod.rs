//! Tests of the decomposition as a whole. Details are tested beside the code that has them.

mod bombs;
mod corpus;
mod fixtures;
mod structure;

use bytes::Bytes;

use super::{Limits, decompose};
use crate::mail::{Class, Message, PartKind, Reason};

/// What every decomposition keeps to, however broken its message is.
pub(super) fn check_promises(message: &Message, limits: &Limits, what: &str) {
    assert!(message.parts.len() <= limits.parts.max(1), "{what}: parts");
    assert!(message.urls.len() <= limits.urls, "{what}: urls");
    assert!(message.body_start <= message.raw.len(), "{what}: body");
    assert_eq!(message.parts.first().map(|part| (part.kind, part.depth, part.parent)), Some((PartKind::Message, 0, None)), "{what}");
    for (i, part) in message.parts.iter().enumerate() {
        assert_eq!(part.id.0 as usize, i, "{what}: ids are places");
        assert!(part.parent.is_none_or(|parent| parent < part.id), "{what}: containers come first");
        assert!(part.depth <= limits.depth + 1, "{what}: depth");
        assert!(part.span.is_none_or(|span| span.start <= span.end && span.end <= message.raw.len()), "{what}: span");
        if part.verbatim {
            assert!(part.span.is_some_and(|span| span.of(&message.raw) == part.data), "{what}: verbatim");
        }
    }
}

/// Whether some part has these bytes in it.
pub(super) fn has(message: &Message, bytes: &[u8]) -> bool {
    message.parts.iter().any(|part| memchr::memmem::find(&part.data, bytes).is_some())
}

pub(super) fn codes(message: &Message) -> Vec<&str> {
    let mut codes: Vec<&str> = message.findings.iter().map(|finding| finding.code.as_ref()).collect();
    codes.dedup();
    codes
}

pub(super) fn limits_reached(message: &Message) -> Vec<&str> {
    let limit = Class::CouldNotTell { reason: Reason::Limit };
    let mut codes: Vec<&str> = message.findings.iter().filter(|f| f.class == limit).map(|f| f.code.as_ref()).collect();
    codes.dedup();
    codes
}

pub(super) fn read(raw: &[u8]) -> Message {
    let limits = Limits::default();
    let message = decompose(Bytes::copy_from_slice(raw), &limits);
    check_promises(&message, &limits, "message");
    message
}
