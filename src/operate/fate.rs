//! What became of each recipient of a message, recomputed from its records.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::mail::{Address, Direction, Event, MessageId, Record};

/// The state of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Judged, and nothing after it: being settled just now, or the process ended before the sender was answered.
    Unanswered,
    /// The sender heard 5xx.
    Refused,
    /// The sender heard 4xx.
    DeferredIn,
    /// The next hop has it.
    Delivered,
    /// Waits in the spool, released mail included.
    Spooled,
    /// Kept for a person.
    Held,
    /// Dropped by a rule.
    Discarded,
    /// Given up; the sender was notified, or that was suppressed.
    Bounced,
    /// Deleted by a person or by expiry.
    Deleted,
    /// Found torn by recovery and set aside.
    Damaged,
}

impl State {
    /// All states, in the order in which they are listed.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::DeferredIn,
        Self::Delivered,
        Self::Spooled,
        Self::Held,
        Self::Discarded,
        Self::Bounced,
        Self::Deleted,
        Self::Damaged,
        Self::Unanswered,
    ];

    /// The word, as in listings and filters.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
            Self::DeferredIn => "deferred-in",
            Self::Delivered => "delivered",
            Self::Spooled => "spooled",
            Self::Held => "held",
            Self::Discarded => "discarded",
            Self::Bounced => "bounced",
            Self::Deleted => "deleted",
            Self::Damaged => "damaged",
        }
    }

    /// Whether nothing can follow it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Unanswered | Self::Spooled | Self::Held | Self::Damaged)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|state| state.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| Error::Bad {
            what: format!("no state {text:?}"),
            hint: format!("one of {}", Self::ALL.map(Self::as_str).join(", ")),
        })
    }
}

/// One recipient: how it stands and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fate {
    /// As given in RCPT TO.
    pub address: Address,
    /// Which way; `None` for our own notifications.
    pub direction: Option<Direction>,
    /// The route it went last.
    pub route: Option<Arc<str>>,
    /// How it stands.
    pub state: State,
    /// In words: what the next hop said, the area, the reason.
    pub detail: String,
    /// Since when.
    pub at: Timestamp,
    /// How often RCPT TO named it: that many deliveries are no duplicate.
    pub times: u32,
    /// Deliveries that next hops confirmed.
    pub delivered: u32,
}

/// All recipients of one message, built up record by record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fates {
    /// In the order of RCPT TO.
    pub recipients: Vec<Fate>,
    /// Records that cannot both be true, in words.
    pub contradictions: Vec<String>,
    /// The message was judged here; our own notifications are not.
    pub judged: bool,
}

impl Fates {
    /// The fates after these records, which are all of one message and in order.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut fates = Self::default();
        records.into_iter().for_each(|record| fates.apply(record));
        fates
    }

    /// Whether nothing can follow for any recipient.
    pub fn are_final(&self) -> bool {
        !self.recipients.is_empty() && self.recipients.iter().all(|fate| fate.state.is_final())
    }

    /// Takes one more record into account.
    ///
    /// A final state stays: records of one recipient are written by different tasks, so "spooled" may stand after the "delivered" that
    /// followed it. Two different final states contradict each other, and so does one delivery more than RCPT TO asked for.
    pub fn apply(&mut self, record: &Record) {
        let at = record.at;
        match &record.event {
            Event::Judged(judged) => {
                self.judged = true;
                for recipient in &judged.envelope.recipients {
                    let fate = self.entry(&recipient.address, at);
                    fate.times += 1;
                    fate.direction = Some(recipient.direction);
                    fate.route.get_or_insert_with(|| recipient.route.clone());
                }
            }
            Event::TurnedAway(turned) => {
                for recipient in &turned.recipients {
                    self.entry(recipient, at).times += 1;
                    let state = if turned.reply.starts_with('4') { State::DeferredIn } else { State::Refused };
                    self.set(recipient, state, format!("we said: {}", turned.reply), at);
                }
            }
            Event::Refused { recipient, reply } => self.set(recipient, State::Refused, format!("we said: {reply}"), at),
            Event::DeferredIn { recipient, reply } => self.set(recipient, State::DeferredIn, format!("we said: {reply}"), at),
            Event::Attempted { recipient, route, outcome, cut_through } => {
                let fate = self.entry(recipient, at);
                fate.route = Some(route.as_str().into());
                if outcome.is_delivered() {
                    fate.delivered += 1;
                    self.set(recipient, State::Delivered, outcome.to_string(), at);
                } else if fate.state == State::Spooled || (!cut_through && fate.state == State::Unanswered) {
                    fate.state = State::Spooled;
                    fate.detail = outcome.to_string();
                } else if fate.state == State::Unanswered {
                    fate.detail = outcome.to_string();
                }
            }
            Event::Spooled { recipient, route, why } => {
                self.entry(recipient, at).route = Some(route.as_str().into());
                self.set(recipient, State::Spooled, why.clone(), at);
            }
            Event::Held { recipient, area } => self.set(recipient, State::Held, format!("area {area}"), at),
            Event::Discarded { recipient, rule } => self.set(recipient, State::Discarded, format!("by rule {rule}"), at),
            Event::Bounced { recipient, why, notification } => {
                let told = notification.map_or("no notification sent".to_owned(), |id| format!("sender notified by {id}"));
                self.set(recipient, State::Bounced, format!("{why}; {told}"), at);
            }
            Event::Released { by, reason, recipients } => {
                let why = if reason.is_empty() { format!("released by {by}") } else { format!("released by {by}: {reason}") };
                self.set_all(recipients, State::Spooled, &why, at);
            }
            Event::Deleted { by, reason, recipients } => {
                let why = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
                self.set_all(recipients, State::Deleted, &why, at);
            }
            Event::HeldBack { by, reason, area, recipients } => {
                let why = if reason.is_empty() { format!("area {area}, by {by}") } else { format!("area {area}, by {by}: {reason}") };
                self.set_all(recipients, State::Held, &why, at);
            }
            Event::Damaged { what } => self.set_all(&[], State::Damaged, what, at),
            Event::ReleaseRefused { .. } | Event::Looked { .. } | Event::Retried { .. } | Event::Notified { .. } => {}
        }
    }

    fn entry(&mut self, address: &Address, at: Timestamp) -> &mut Fate {
        let place = self.recipients.iter().position(|fate| fate.address == *address).unwrap_or_else(|| {
            self.recipients.push(Fate {
                address: address.clone(),
                direction: None,
                route: None,
                state: State::Unanswered,
                detail: String::new(),
                at,
                times: 0,
                delivered: 0,
            });
            self.recipients.len() - 1
        });
        &mut self.recipients[place]
    }

    fn set(&mut self, address: &Address, state: State, detail: String, at: Timestamp) {
        let fate = self.entry(address, at);
        let (was, deliveries) = (fate.state, (fate.delivered, fate.times.max(1)));
        if !was.is_final() {
            (fate.state, fate.detail, fate.at) = (state, detail, at);
        }
        if was.is_final() && state == State::Delivered && was == State::Delivered {
            if deliveries.0 > deliveries.1 {
                self.contradictions.push(format!("{address}: delivered {} times", deliveries.0));
            }
        } else if was.is_final() && state != was && state != State::Spooled {
            self.contradictions.push(format!("{address}: {was}, and then {state}"));
        }
    }

    /// Sets these recipients, or, where none are named, all that are not in a final state.
    fn set_all(&mut self, addresses: &[Address], state: State, detail: &str, at: Timestamp) {
        let open = self.recipients.iter().filter(|fate| !fate.state.is_final()).map(|fate| fate.address.clone());
        let whom: Vec<Address> = if addresses.is_empty() { open.collect() } else { addresses.to_vec() };
        for address in whom {
            self.set(&address, state, detail.to_owned(), at);
        }
    }
}

/// The id that a record makes known as our own notification.
pub fn notification(record: &Record) -> Option<MessageId> {
    match record.event {
        Event::Bounced { notification, .. } => notification,
        Event::Notified { notification, .. } => Some(notification),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::mail::record::Judged;
    use crate::mail::{Area, Body, Decision, Disposition, Envelope, HopReply, Origin, Outcome, Recipient, ReversePath, VersionId};

    pub(crate) fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    pub(crate) fn record(id: MessageId, event: Event) -> Record {
        Record { at: Timestamp::now(), id, version: VersionId("v1".into()), event }
    }

    pub(crate) fn origin() -> Origin {
        let peer = Some("192.0.2.7:4711".parse().unwrap());
        Origin { listener: "internet".into(), peer, helo: "mx.else.example".into(), esmtp: true, tls: None, normalised: false }
    }

    pub(crate) fn decision(disposition: Disposition) -> Decision {
        Decision { disposition, area: None, rule: "default".into(), because: String::new(), score: 1.5, would: None, tagged: false }
    }

    pub(crate) fn judged(to: &[&str]) -> Event {
        let recipient = |to: &&str| Recipient {
            address: address(to),
            direction: Direction::Inbound,
            route: "groupwise".into(),
            dsn: Default::default(),
        };
        let recipients: Vec<Recipient> = to.iter().map(recipient).collect();
        Event::Judged(Box::new(Judged {
            origin: origin(),
            decisions: recipients.iter().map(|_| decision(Disposition::Deliver)).collect(),
            envelope: Envelope {
                dsn: Default::default(),
                sender: ReversePath::Address(address("bob@else.example")),
                recipients,
                body: Body::SevenBit,
                smtputf8: false,
            },
            direction: Direction::Inbound,
            size: 1234,
            message_id: "<m1@else.example>".into(),
            subject: "Lunch on Friday".into(),
            from: "Bob <bob@else.example>".into(),
            findings: vec![],
            took_ms: [1, 2, 3],
            sha256: "00".into(),
        }))
    }

    pub(crate) fn delivered(to: &str) -> Event {
        let reply = HopReply { code: 250, enhanced: Some("2.0.0".into()), text: "queued".into() };
        let outcome = Outcome::Delivered { hop: "gwia:25".into(), reply, dsn: false };
        Event::Attempted { recipient: address(to), route: "groupwise".into(), outcome, cut_through: true }
    }

    pub(crate) fn deferred(to: &str, cut_through: bool) -> Event {
        let outcome = Outcome::Deferred { hop: Some("gwia:25".into()), reply: None, why: "connection refused".into(), busy: false };
        Event::Attempted { recipient: address(to), route: "groupwise".into(), outcome, cut_through }
    }

    pub(crate) fn spooled(to: &str) -> Event {
        Event::Spooled { recipient: address(to), route: "groupwise".into(), why: "next hop down".into() }
    }

    #[test]
    fn states() {
        let a = "a@b.example";
        let to = || address(a);
        let held = || Event::Held { recipient: to(), area: Area::Spam };
        let released = || Event::Released { by: "ann".into(), reason: "asked".into(), recipients: vec![to()] };
        let deleted = || Event::Deleted { by: "expiry".into(), reason: String::new(), recipients: vec![] };
        let bounced = || Event::Bounced { recipient: to(), why: "too old".into(), notification: None };
        let damaged = || Event::Damaged { what: "torn".into() };
        let held_back = || Event::HeldBack { by: "ann".into(), reason: "look".into(), area: Area::Operator, recipients: vec![to()] };
        let notified = || Event::Notified { about: "delayed".into(), recipients: vec![to()], notification: MessageId::new() };
        let rows: Vec<(Vec<Event>, State, &str, usize)> = vec![
            (vec![], State::Unanswered, "", 0),
            (vec![Event::Refused { recipient: to(), reply: "550 no".into() }], State::Refused, "we said: 550 no", 0),
            (vec![Event::DeferredIn { recipient: to(), reply: "451 later".into() }], State::DeferredIn, "we said: 451 later", 0),
            (vec![delivered(a)], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 0),
            (vec![deferred(a, true)], State::Unanswered, "gwia:25: connection refused", 0),
            (vec![deferred(a, true), spooled(a)], State::Spooled, "next hop down", 0),
            (vec![spooled(a), deferred(a, false)], State::Spooled, "gwia:25: connection refused", 0),
            (vec![spooled(a), delivered(a)], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 0),
            (vec![delivered(a), spooled(a)], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 0),
            (vec![held()], State::Held, "area Spam", 0),
            (vec![held(), released()], State::Spooled, "released by ann: asked", 0),
            (vec![held(), released(), spooled(a), delivered(a)], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 0),
            (vec![spooled(a), held_back()], State::Held, "area Operator, by ann: look", 0),
            (vec![spooled(a), held_back(), released()], State::Spooled, "released by ann: asked", 0),
            (vec![held(), released(), held_back()], State::Held, "area Operator, by ann: look", 0),
            (vec![spooled(a), held_back(), delivered(a)], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 0),
            (vec![delivered(a), held_back()], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 1),
            (vec![spooled(a), notified()], State::Spooled, "next hop down", 0),
            (vec![held(), deleted()], State::Deleted, "by expiry", 0),
            (vec![spooled(a), bounced()], State::Bounced, "too old; no notification sent", 0),
            (vec![spooled(a), damaged()], State::Damaged, "torn", 0),
            (vec![delivered(a), damaged()], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 0),
            (vec![Event::Discarded { recipient: to(), rule: "r".into() }], State::Discarded, "by rule r", 0),
            (vec![delivered(a), delivered(a)], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 1),
            (vec![delivered(a), held()], State::Delivered, "gwia:25 said: 250 2.0.0 queued", 1),
            (vec![spooled(a), bounced(), delivered(a)], State::Bounced, "too old; no notification sent", 1),
        ];
        for (events, state, detail, contradictions) in rows {
            let id = MessageId::new();
            let said = format!("{events:?}");
            let records: Vec<Record> = std::iter::once(judged(&[a, "c@b.example"])).chain(events).map(|event| record(id, event)).collect();
            let fates = Fates::of(&records);
            let fate = &fates.recipients[0];
            assert_eq!((fate.state, fate.detail.as_str(), fates.contradictions.len()), (state, detail, contradictions), "{said}");
        }
    }

    #[test]
    fn an_address_named_twice_may_be_delivered_twice() {
        let id = MessageId::new();
        let mut records = vec![record(id, judged(&["a@b.example", "a@b.example"]))];
        records.extend([record(id, delivered("a@b.example")), record(id, delivered("a@b.example"))]);
        assert_eq!(Fates::of(&records).contradictions, Vec::<String>::new());
        records.push(record(id, delivered("a@b.example")));
        assert_eq!(Fates::of(&records).contradictions, ["a@b.example: delivered 3 times"]);
    }

    #[test]
    fn words_read_back() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse::<State>().ok(), Some(state));
        }
    }
}
