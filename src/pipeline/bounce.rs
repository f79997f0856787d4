//! Bounce: tells the sender who could not be reached, once, and never to nobody (RFC 5321 section 6.1, RFC 3464).

use bytes::Bytes;
use jiff::Timestamp;
use metrics::counter;

use super::Pipeline;
use super::hand_over::Handed;
use crate::mail::route::Lookup;
use crate::mail::{
    Body, Decision, Direction, Disposition, Entry, EntryRecipient, Event, MessageId, Origin, Outcome, Place, RecipientState, ReversePath,
};
use crate::rewrite::dsn::{self, DsnInput, Failure};

/// A recipient that is given up: refused for good, or too old.
pub(super) fn failures<'a>(handed: impl Iterator<Item = &'a Handed>) -> Vec<Failure> {
    let failure = |handed: &Handed| Failure {
        recipient: handed.address.clone(),
        outcome: Some(handed.outcome.clone()),
        expired: !matches!(handed.outcome, Outcome::Refused { .. }),
    };
    handed.map(failure).collect()
}

fn why(failure: &Failure) -> String {
    let last = failure.outcome.as_ref().map(Outcome::to_string).unwrap_or_default();
    if failure.expired { format!("could not be delivered in time; the last attempt: {last}") } else { last }
}

/// A notification to be committed together with what it is about, and the records to write then.
pub(super) struct Bounce {
    pub(super) notification: Option<(Entry, Bytes)>,
    pub(super) events: Vec<(MessageId, Event)>,
}

impl Bounce {
    /// Sets the state of those who were given up.
    pub(super) fn mark(&self, entry: &mut Entry) {
        let about = entry.id;
        for (id, event) in &self.events {
            let Event::Bounced { recipient: address, why, notification } = event else { continue };
            let waiting = |recipient: &&mut EntryRecipient| {
                recipient.address == *address && matches!(recipient.state, RecipientState::Spooled { .. })
            };
            if let (true, Some(recipient)) = (*id == about, entry.recipients.iter_mut().find(waiting)) {
                recipient.state = RecipientState::Bounced { why: why.clone(), notification: *notification, at: Timestamp::now() };
            }
        }
    }
}

impl Pipeline {
    /// Makes the notification about `failed` of the message `entry`, or says in the records why there is none.
    pub(super) fn bounce(&self, entry: &Entry, raw: &Bytes, failed: &[Failure]) -> Bounce {
        let notification = self.notification(entry, raw, failed);
        let sent = notification.as_ref().map(|(entry, _)| entry.id);
        counter!("mailweir_bounces_total", "notification" => if sent.is_some() { "sent" } else { "suppressed" })
            .increment(failed.len() as u64);
        let bounced = |failure: &Failure| Event::Bounced { recipient: failure.recipient.clone(), why: why(failure), notification: sent };
        let mut events: Vec<(MessageId, Event)> = failed.iter().map(|failure| (entry.id, bounced(failure))).collect();
        if let Some((entry, _)) = &notification {
            let spooled = |recipient: &EntryRecipient| Event::Spooled {
                recipient: recipient.address.clone(),
                route: recipient.route.to_string(),
                why: "notification of our own".into(),
            };
            events.extend(entry.recipients.iter().map(|recipient| (entry.id, spooled(recipient))));
        }
        Bounce { notification, events }
    }

    /// None to the null sender, none about what looked like spam (its sender is forged), none that no route would take.
    fn notification(&self, entry: &Entry, raw: &Bytes, failed: &[Failure]) -> Option<(Entry, Bytes)> {
        let sender = entry.sender.address()?;
        if entry.recipients.iter().any(|recipient| recipient.decision.tagged) {
            return None;
        }
        let in_force = self.in_force();
        let Lookup::Found(route) = in_force.routes.lookup(sender) else { return None };
        let direction =
            if in_force.routes.get(&route).is_some_and(|route| route.outbound) { Direction::Outbound } else { Direction::Inbound };
        let id = MessageId::new();
        let now = Timestamp::now();
        let hostname = &*self.parts.hostname;
        let bytes = dsn::failure(&DsnInput {
            id,
            hostname,
            to: sender,
            now,
            original: entry.id,
            arrived: entry.received_at,
            failures: failed,
            raw,
        });
        let decision = Decision {
            disposition: Disposition::Deliver,
            area: None,
            rule: "notification".into(),
            because: String::new(),
            score: 0.0,
            would: None,
            tagged: false,
        };
        let recipient = EntryRecipient {
            address: sender.clone(),
            direction,
            route,
            dsn: Default::default(),
            warned: true,
            decision,
            state: RecipientState::Spooled { attempts: 0, next_try: now, last: None },
        };
        let notification = Entry {
            id,
            place: Place::Spool,
            area: None,
            received_at: now,
            origin: Origin {
                listener: "mailweir".into(),
                peer: None,
                helo: self.parts.hostname.to_string(),
                esmtp: true,
                tls: None,
                normalised: false,
            },
            sender: ReversePath::Null,
            body: if bytes.is_ascii() { Body::SevenBit } else { Body::EightBitMime },
            smtputf8: !sender.is_ascii(),
            dsn: Default::default(),
            recipients: vec![recipient],
            size: bytes.len() as u64,
            subject: "Undelivered mail".into(),
            from: format!("mailer-daemon@{}", self.parts.hostname),
            trace: String::new(),
            findings: Vec::new(),
            version: in_force.version.clone(),
            release: None,
        };
        Some((notification, bytes))
    }
}
