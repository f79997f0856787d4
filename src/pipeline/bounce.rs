//! Notices: tells the sender who could not be reached, who has to wait, and who was handed to a server that does not confirm; once, never
//! to nobody, and only what the sender asked for (RFC 5321 section 6.1, RFC 3461 section 5, RFC 3464).

use bytes::Bytes;
use jiff::Timestamp;
use metrics::counter;

use super::Pipeline;
use super::hand_over::Handed;
use crate::mail::route::Lookup;
use crate::mail::{
    Address, Area, Body, Class, Decision, Direction, Disposition, Entry, EntryRecipient, Event, MessageId, Origin, Outcome, Place,
    RecipientState, ReversePath,
};
use crate::rewrite;
use crate::rewrite::dsn::{self, Action, DsnInput, Subject, Why};

/// A recipient that its sender may hear of.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) recipient: Address,
    pub(super) outcome: Option<Outcome>,
    pub(super) why: Why,
    pub(super) tried: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Failure {
    /// After an attempt.
    pub(super) fn of(handed: &Handed, now: Timestamp, expired: bool) -> Self {
        let why = if expired { Why::Expired } else { Why::Said };
        Self { recipient: handed.address.clone(), outcome: Some(handed.outcome.clone()), why, tried: Some(now), until: None }
    }

    fn told(&self, by: Option<&str>) -> String {
        let last = self.outcome.as_ref().map(Outcome::to_string);
        match &self.why {
            Why::Said => last.unwrap_or_default(),
            Why::Expired => {
                format!("could not be delivered in time; the last attempt: {}", last.as_deref().unwrap_or("none was possible"))
            }
            Why::GivenUp(reason) => {
                let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
                if reason.is_empty() { format!("given up{by}") } else { format!("given up{by}: {reason}") }
            }
        }
    }
}

/// A notification to be committed together with what it is about, and the records to write then.
pub(super) struct Notice {
    pub(super) notification: Option<(Entry, Bytes)>,
    pub(super) events: Vec<(MessageId, Event)>,
}

impl Notice {
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

/// Why nobody is told anything about this message, whatever becomes of it.
fn silent(entry: &Entry, raw: &[u8]) -> Option<&'static str> {
    let spam_or_virus = |recipient: &EntryRecipient| {
        recipient.decision.would.is_some() || matches!(recipient.decision.area, Some(Area::Spam | Area::Virus))
    };
    if entry.sender.address().is_none() {
        Some("its sender is <>")
    } else if entry.recipients.iter().any(spam_or_virus)
        || entry.findings.iter().any(|finding| matches!(finding.class, Class::Spam | Class::Malware))
    {
        Some("spam and viruses have forged senders")
    } else if rewrite::is_report(raw) {
        Some("it is a notification itself")
    } else {
        None
    }
}

/// Whether the sender asked to hear of this (NOTIFY).
fn is_wanted(entry: &Entry, address: &Address, action: Action) -> bool {
    let Some(recipient) = entry.recipients.iter().find(|recipient| recipient.address == *address) else { return false };
    match action {
        Action::Failed => recipient.dsn.wants_failure(),
        Action::Delayed => recipient.dsn.wants_delay(),
        Action::Relayed => recipient.dsn.wants_success(),
    }
}

impl Pipeline {
    /// Makes the notification about `failed`, who are recipients of `entry` (which has all of the message's that matter: what was said of
    /// one is said of all), or says in the records why there is none.
    pub(super) fn bounce(&self, entry: &Entry, raw: &Bytes, failed: &[Failure]) -> Notice {
        self.bounce_by(entry, raw, failed, None)
    }

    /// The same in the name of a person.
    pub(super) fn bounce_by(&self, entry: &Entry, raw: &Bytes, failed: &[Failure], by: Option<&str>) -> Notice {
        let (wanted, unwanted): (Vec<_>, Vec<_>) =
            failed.iter().cloned().partition(|failure| is_wanted(entry, &failure.recipient, Action::Failed));
        let (notification, silent) = match self.notification(entry, raw, Action::Failed, &wanted) {
            Ok(notification) => (notification, ""),
            Err(why) => (None, why),
        };
        let sent = notification.as_ref().map(|(entry, _)| entry.id);
        let mut events = Vec::new();
        for (failures, sent, silent) in [(&wanted, sent, silent), (&unwanted, None, "the sender asked for none")] {
            counter!("mailweir_bounces_total", "notification" => if sent.is_some() { "sent" } else { "suppressed" })
                .increment(failures.len() as u64);
            let no_notice = if sent.is_some() || silent.is_empty() { String::new() } else { format!(" (no notification: {silent})") };
            events.extend(failures.iter().map(|failure| {
                let why = failure.told(by) + &no_notice;
                (entry.id, Event::Bounced { recipient: failure.recipient.clone(), why, notification: sent })
            }));
        }
        events.extend(notification.iter().flat_map(|(entry, _)| spooled(entry)));
        Notice { notification, events }
    }

    /// The notification of a delay or of having relayed, about those of whom the sender wants to hear; `None` if of nobody.
    pub(super) fn notice(&self, entry: &Entry, raw: &Bytes, action: Action, about: &[Failure]) -> Option<Notice> {
        let wanted: Vec<Failure> = about.iter().filter(|one| is_wanted(entry, &one.recipient, action)).cloned().collect();
        let notification = self.notification(entry, raw, action, &wanted).ok().flatten()?;
        let recipients = wanted.into_iter().map(|one| one.recipient).collect();
        let mut events = vec![(entry.id, Event::Notified { about: action.as_str().into(), recipients, notification: notification.0.id })];
        events.extend(spooled(&notification.0));
        Some(Notice { notification: Some(notification), events })
    }

    /// The notification about whom a next hop took that will not tell the sender (RFC 3461 section 5.2.2); `None` if nobody asked.
    pub(super) fn relayed(&self, entry: &Entry, raw: &Bytes, handed: &[Handed]) -> Option<Notice> {
        let relayed = handed.iter().filter(|handed| matches!(handed.outcome, Outcome::Delivered { dsn: false, .. }));
        let relayed: Vec<Failure> = relayed.map(|handed| Failure::of(handed, Timestamp::now(), false)).collect();
        self.notice(entry, raw, Action::Relayed, &relayed)
    }

    /// `Ok(None)` about nobody; else why there is none.
    fn notification(&self, entry: &Entry, raw: &Bytes, action: Action, about: &[Failure]) -> Result<Option<(Entry, Bytes)>, &'static str> {
        if about.is_empty() {
            return Ok(None);
        }
        if let Some(why) = silent(entry, raw) {
            return Err(why);
        }
        let Some(sender) = entry.sender.address() else { return Ok(None) };
        let in_force = self.in_force();
        let Lookup::Found(route) = in_force.routes.lookup(sender) else { return Err("no route takes the sender's address") };
        let outbound = in_force.routes.get(&route).is_some_and(|route| route.outbound);
        let direction = if outbound { Direction::Outbound } else { Direction::Inbound };
        let id = MessageId::new();
        let now = Timestamp::now();
        let subject = |one: &Failure| Subject {
            recipient: one.recipient.clone(),
            orcpt: entry.recipients.iter().find(|to| to.address == one.recipient).and_then(|to| to.dsn.orcpt.clone()),
            outcome: one.outcome.clone(),
            why: one.why.clone(),
            tried: one.tried,
            until: one.until,
        };
        let about: Vec<Subject> = about.iter().map(subject).collect();
        let input = DsnInput {
            id,
            hostname: &self.parts.hostname,
            to: sender,
            now,
            original: entry.id,
            arrived: entry.received_at,
            request: &entry.dsn,
            action,
            about: &about,
            raw,
        };
        let dsn = dsn::notification(&input);
        counter!("mailweir_notifications_total", "about" => action.as_str()).increment(1);
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
        let hostname = self.parts.hostname.to_string();
        let notification = Entry {
            id,
            place: Place::Spool,
            area: None,
            received_at: now,
            from: format!("mailer-daemon@{hostname}"),
            origin: Origin { listener: "mailweir".into(), peer: None, helo: hostname, esmtp: true, tls: None, normalised: false },
            sender: ReversePath::Null,
            body: if dsn.bytes.is_ascii() { Body::SevenBit } else { Body::EightBitMime },
            smtputf8: dsn.smtputf8,
            dsn: Default::default(),
            recipients: vec![recipient],
            size: dsn.bytes.len() as u64,
            subject: format!("Notification: {}", action.as_str()),
            trace: String::new(),
            findings: Vec::new(),
            version: in_force.version.clone(),
            release: None,
        };
        Ok(Some((notification, dsn.bytes)))
    }
}

fn spooled(notification: &Entry) -> impl Iterator<Item = (MessageId, Event)> {
    notification.recipients.iter().map(|recipient| {
        let (recipient, route) = (recipient.address.clone(), recipient.route.to_string());
        (notification.id, Event::Spooled { recipient, route, why: "notification of our own".into() })
    })
}

#[cfg(test)]
mod tests;
