//! What the tests of the store share.

use bytes::Bytes;
use jiff::Timestamp;

use crate::mail::{
    Area, Body, Decision, Direction, Disposition, Entry, EntryRecipient, MessageId, Origin, Place, RecipientState, ReversePath, VersionId,
};

/// An entry with one recipient that waits or is held.
pub(super) fn entry(place: Place) -> Entry {
    let state = match place {
        Place::Spool => RecipientState::Spooled { attempts: 0, next_try: Timestamp::UNIX_EPOCH, last: None },
        Place::Quarantine => RecipientState::Held,
    };
    let decision = Decision {
        disposition: Disposition::Hold,
        area: None,
        rule: "default".into(),
        because: String::new(),
        score: 0.5,
        would: None,
        tagged: false,
    };
    Entry {
        id: MessageId::new(),
        place,
        area: (place == Place::Quarantine).then_some(Area::Spam),
        received_at: Timestamp::now(),
        origin: Origin { listener: "internet".into(), peer: None, helo: "h".into(), esmtp: true, tls: None, normalised: false },
        sender: ReversePath::Address("a@b.example".parse().unwrap()),
        body: Body::SevenBit,
        smtputf8: false,
        dsn: Default::default(),
        recipients: vec![EntryRecipient {
            dsn: Default::default(),
            warned: false,
            address: "c@d.example".parse().unwrap(),
            direction: Direction::Inbound,
            route: "groupwise".into(),
            decision,
            state,
        }],
        size: 0,
        subject: "A subject".into(),
        from: "A <a@b.example>".into(),
        trace: String::new(),
        findings: Vec::new(),
        version: VersionId("0123456789ab".into()),
        release: None,
    }
}

/// A message of about `size` bytes that no other message equals.
pub(super) fn message(id: MessageId, size: usize) -> Bytes {
    let mut text = format!("Message-ID: <{id}@b.example>\r\n\r\n").into_bytes();
    let mut state = id.to_u64() | 1;
    while text.len() < size {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push((state >> 33) as u8);
    }
    Bytes::from(text)
}
