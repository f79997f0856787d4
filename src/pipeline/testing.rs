//! A pipeline on loopback for tests: a store of its own, routes to a next hop, no checks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;

use super::{InForce, Incoming, Parts, Pipeline};
use crate::content;
use crate::deliver::{self, Courier};
use crate::inspect::{self, Inspector};
use crate::mail::dsn::{MessageRequest, Notify, RecipientRequest};
use crate::mail::{
    Body, Decision, Delivery, Direction, Disposition, Entry, EntryRecipient, Envelope, MessageId, Mode, Origin, Outcome, Place, Profile,
    Recipient, RecipientState, ReversePath, Route, Routes, VersionId,
};
use crate::net::{ClientTls, Resolver};
use crate::store::{Change, Store};

pub(super) const RAW: &[u8] = b"From: bob@else.example\r\nSubject: x\r\n\r\nthe body\r\n";
pub(super) const BOB: &str = "bob@else.example";

pub(super) fn route(name: &str, domains: &[&str], hop: &str, delivery: Delivery) -> Route {
    Route {
        name: name.into(),
        domains: domains.iter().map(|domain| domain.to_string()).collect(),
        recipients: None,
        next_hops: vec![hop.parse().unwrap()],
        profile: Profile::Generic,
        unknown_user: None,
        outbound: domains.contains(&"*"),
        delivery,
        retry: vec![Duration::from_secs(3600)],
        expire: Duration::from_secs(5 * 86_400),
        warn_after: Some(Duration::from_secs(4 * 3600)),
        tls: None,
        auth: None,
        callout: false,
        connections: 4,
        rate: None,
    }
}

pub(super) fn routes(routes: Vec<Route>) -> InForce {
    let settings = inspect::Settings { checks: vec![], ..Default::default() };
    InForce {
        mode: Mode::Normal,
        version: VersionId("v1".into()),
        routes: Arc::new(Routes::new(routes)),
        limits: content::Limits::default(),
        policy: crate::policy::Settings::default(),
        inspector: Inspector::new(&settings, &Default::default(), None, None),
    }
}

pub(super) fn pipeline(dir: &Path, in_force: InForce) -> Arc<Pipeline> {
    let (store, _) = Store::open(dir, &Default::default()).unwrap();
    let courier = Courier::new(
        &deliver::Settings::default(),
        "mx1.example",
        Arc::new(Resolver::without("no DNS in tests")),
        ClientTls::new(None).unwrap(),
    );
    Arc::new(Pipeline::new(
        Parts { hostname: "mx1.example".into(), courier, store, opening: 64 << 20, leaving: 64 << 20, data_dir: dir.to_owned() },
        in_force,
    ))
}

pub(super) fn on(success: bool, failure: bool, delay: bool) -> Option<Notify> {
    Some(Notify::On { success, failure, delay })
}

pub(super) fn waits(to: &str, route: &str, notify: Option<Notify>) -> EntryRecipient {
    EntryRecipient {
        address: to.parse().unwrap(),
        direction: Direction::Inbound,
        route: route.into(),
        dsn: RecipientRequest { notify, orcpt: None },
        warned: false,
        decision: Decision {
            disposition: Disposition::Deliver,
            area: None,
            rule: "default".into(),
            because: String::new(),
            score: 0.0,
            would: None,
            tagged: false,
        },
        state: RecipientState::Spooled { attempts: 1, next_try: Timestamp::now(), last: Some(deferred(450)) },
    }
}

/// An entry that came `age` seconds ago.
pub(super) fn entry(age: i64, recipients: Vec<EntryRecipient>) -> Entry {
    let received_at = Timestamp::now().checked_sub(jiff::SignedDuration::from_secs(age)).unwrap();
    Entry {
        id: MessageId::new(),
        place: Place::Spool,
        area: None,
        received_at,
        origin: origin(),
        sender: ReversePath::Address(BOB.parse().unwrap()),
        body: Body::SevenBit,
        smtputf8: false,
        dsn: MessageRequest::default(),
        recipients,
        size: RAW.len() as u64,
        subject: String::new(),
        from: String::new(),
        trace: String::new(),
        findings: vec![],
        version: VersionId("v1".into()),
        release: None,
    }
}

pub(super) fn origin() -> Origin {
    Origin { listener: "x".into(), peer: None, helo: "x".into(), esmtp: true, tls: None, normalised: false }
}

impl Pipeline {
    pub(super) async fn put(&self, entry: Entry) -> MessageId {
        let id = entry.id;
        self.schedule.add_entry(&entry);
        self.parts.store.commit(vec![Change::Put { entry, bytes: Bytes::from_static(RAW) }]).await.unwrap();
        id
    }

    /// Our own notifications in the spool, oldest first: the whole text of each.
    pub(super) async fn notifications(&self) -> Vec<String> {
        let mut texts = Vec::new();
        for entry in self.parts.store.list(Place::Spool, |entry| entry.sender == ReversePath::Null, usize::MAX).into_iter().rev() {
            assert_eq!(entry.recipients[0].address.as_str(), BOB);
            let bytes = self.parts.store.bytes(Place::Spool, entry.id).await.unwrap();
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        texts
    }

    /// The words of all events about a message.
    pub(super) fn told(&self, id: MessageId) -> Vec<&'static str> {
        self.parts.store.records_of(id).unwrap().iter().map(|record| record.event.as_str()).collect()
    }
}

pub(super) fn incoming(to: Vec<(&str, &str, Option<Notify>)>, raw: &[u8]) -> Incoming {
    let recipient = |(to, route, notify): (&str, &str, Option<Notify>)| Recipient {
        address: to.parse().unwrap(),
        direction: Direction::Inbound,
        route: route.into(),
        dsn: RecipientRequest { notify, orcpt: None },
    };
    Incoming {
        id: MessageId::new(),
        origin: origin(),
        envelope: Envelope {
            sender: ReversePath::Address(BOB.parse().unwrap()),
            recipients: to.into_iter().map(recipient).collect(),
            body: Body::SevenBit,
            smtputf8: false,
            dsn: MessageRequest::default(),
        },
        raw: Bytes::copy_from_slice(raw),
        received_at: Timestamp::now(),
        receiving: Duration::ZERO,
    }
}

pub(super) fn deferred(code: u16) -> Outcome {
    let reply = serde_json::json!({ "code": code, "enhanced": null, "text": "not now" });
    serde_json::from_value(serde_json::json!({ "outcome": "deferred", "hop": "hop:25", "reply": reply, "why": "said so" })).unwrap()
}

pub(super) fn refused() -> Outcome {
    let reply = serde_json::json!({ "code": 550, "enhanced": "5.1.1", "text": "no such user" });
    serde_json::from_value(serde_json::json!({ "outcome": "refused", "hop": "hop:25", "reply": reply })).unwrap()
}

pub(super) fn delivered(dsn: bool) -> Outcome {
    let reply = serde_json::json!({ "code": 250, "enhanced": "2.0.0", "text": "kept" });
    serde_json::from_value(serde_json::json!({ "outcome": "delivered", "hop": "hop:25", "reply": reply, "dsn": dsn })).unwrap()
}
