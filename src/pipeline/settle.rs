//! Settle: give every recipient a durable owner, then say so.

use std::sync::Arc;

use jiff::Timestamp;
use metrics::counter;

use super::Pipeline;
use super::accept::Case;
use super::bounce::Failure;
use super::hand_over::{Handed, Letter, Onward};
use crate::deliver::Patience;
use crate::mail::{
    Address, Area, Decision, Delivery, Direction, Disposition, Entry, EntryRecipient, Event, Outcome, Place, Recipient, RecipientState,
};
use crate::rewrite::{self, trace};
use crate::smtp::Reply;
use crate::store::{Change, StoreError};

/// How a message was settled: the sender's reply, and one word for log and metrics.
pub(super) struct Settled {
    pub(super) reply: Reply,
    pub(super) became: &'static str,
}

impl Pipeline {
    /// The decisions are reconciled: reject and defer only ever go for all recipients.
    pub(super) async fn settle(&self, case: &Case) -> Settled {
        let _underway = self.accepting.begin();
        let all = |wanted| case.decisions.iter().all(|decision| decision.disposition == wanted);
        if rewrite::is_looping(&case.incoming.raw, &self.parts.hostname) {
            let text = format!("too many hops: the message is going round in a loop ({})", case.incoming.id);
            self.refuse(case, Reply::new(554, (5, 4, 6), text))
        } else if all(Disposition::Reject) {
            self.refuse(case, Reply::new(550, (5, 7, 1), format!("message refused ({})", case.incoming.id)))
        } else if all(Disposition::Defer) {
            self.put_off(case, Reply::new(451, (4, 7, 1), format!("message cannot be checked now, try again later ({})", case.incoming.id)))
        } else if all(Disposition::Deliver) && self.may_cut_through(case) {
            self.cut_through(case).await
        } else {
            self.keep(case).await
        }
    }

    fn may_cut_through(&self, case: &Case) -> bool {
        let by_cut_through =
            |recipient: &Recipient| case.in_force.routes.get(&recipient.route).is_some_and(|route| route.delivery == Delivery::CutThrough);
        case.incoming.envelope.recipients.iter().all(by_cut_through)
    }

    /// 5xx: the sender keeps it.
    fn refuse(&self, case: &Case, reply: Reply) -> Settled {
        self.record_all(case, |recipient| Event::Refused { recipient: recipient.address.clone(), reply: reply.to_string() });
        Settled { reply, became: "reject" }
    }

    /// 4xx: the sender keeps it, and tries again.
    fn put_off(&self, case: &Case, reply: Reply) -> Settled {
        self.put_off_but(case, reply, &[])
    }

    /// The same, where some recipients have it already: at them it will be a duplicate, and that is counted.
    fn put_off_but(&self, case: &Case, reply: Reply, delivered: &[Address]) -> Settled {
        let recipients = case.incoming.envelope.recipients.iter().map(|recipient| &recipient.address);
        let without = recipients.filter(|address| !delivered.contains(address));
        let event = |recipient: &Address| Event::DeferredIn { recipient: recipient.clone(), reply: reply.to_string() };
        self.record(without.map(|address| (case.incoming.id, event(address))).collect());
        counter!("mailweir_possible_duplicates_total").increment(delivered.len() as u64);
        Settled { reply, became: "defer" }
    }

    /// Spool, quarantine and discard, as decided: one atomic commit, synced before the reply.
    async fn keep(&self, case: &Case) -> Settled {
        let entries = self.entries(case, |_| RecipientState::Spooled { attempts: 0, next_try: Timestamp::now(), last: None });
        let events = self.kept_events(case, "the route goes through the spool");
        let all_discarded = case.decisions.iter().all(|decision| decision.disposition == Disposition::Discard);
        if let Err(error) = self.own(case, entries, events).await {
            return self.no_room(case, &error, &[]);
        }
        let held = case.decisions.iter().any(|decision| decision.disposition == Disposition::Hold);
        let became = if all_discarded {
            "discard"
        } else if held {
            "hold"
        } else {
            "spool"
        };
        Settled { reply: accepted(case), became }
    }

    /// Hands the message over inside the sender's session; what the next hops do not take now is spooled.
    async fn cut_through(&self, case: &Case) -> Settled {
        let recipients = &case.incoming.envelope.recipients;
        let to = recipients.iter().map(Onward::from).collect();
        let trace = self.trace(case);
        let handed = self.hand_over(&Letter::of_case(case, &trace, &self.parts.hostname), to, Patience::Session).await;
        self.record(handed.iter().map(|handed| (case.incoming.id, handed.event(true))).collect());

        if let Some(reply) = all_refused(case, &handed) {
            return self.refuse(case, reply);
        }
        if handed.iter().all(|handed| handed.outcome.is_delivered()) {
            self.confirm(case, &handed).await;
            return Settled { reply: accepted(case), became: "deliver" };
        }
        match self.keep_the_rest(case, &handed).await {
            Ok(()) => Settled { reply: accepted(case), became: "spool" },
            Err(error) => {
                let delivered: Vec<Address> =
                    handed.iter().filter(|handed| handed.outcome.is_delivered()).map(|handed| handed.address.clone()).collect();
                self.no_room(case, &error, &delivered)
            }
        }
    }

    /// After a hand-over that reached everybody: the notification that a sender asked for, where the next hop sends none. Durable before
    /// the 250; if the store cannot take it, the mail is delivered all the same, and only the confirmation is missing.
    async fn confirm(&self, case: &Case, handed: &[Handed]) {
        let asked = case.incoming.envelope.recipients.iter().any(|recipient| recipient.dsn.wants_success());
        let notice = asked.then(|| self.relayed(&self.whole(case), &case.incoming.raw, handed)).flatten();
        let Some(notice) = notice else { return };
        if let Err(error) = self.own(case, notice.notification.into_iter().collect(), notice.events).await {
            tracing::error!(id = %case.incoming.id, %error, "delivered, and the sender does not get the confirmation it asked for");
        }
    }

    /// The message with all its recipients, as notifications want it.
    fn whole(&self, case: &Case) -> Entry {
        let waiting = RecipientState::Spooled { attempts: 0, next_try: Timestamp::now(), last: None };
        let pairs = case.incoming.envelope.recipients.iter().zip(&case.decisions);
        let recipients = pairs.map(|(recipient, decision)| kept(recipient, recipient.route.clone(), decision, waiting.clone()));
        self.entry(case, Place::Spool, None, recipients.collect())
    }

    /// After a hand-over that did not reach everybody: spools who is to be tried again, bounces who was refused.
    async fn keep_the_rest(&self, case: &Case, handed: &[Handed]) -> Result<(), StoreError> {
        let later: Vec<&Handed> =
            handed.iter().filter(|handed| matches!(handed.outcome, Outcome::Deferred { .. } | Outcome::Unknown { .. })).collect();
        let refused = handed.iter().filter(|handed| matches!(handed.outcome, Outcome::Refused { .. }));
        let failed: Vec<Failure> = refused.map(|handed| Failure::of(handed, Timestamp::now(), false)).collect();
        counter!("mailweir_possible_duplicates_total")
            .increment(later.iter().filter(|handed| matches!(handed.outcome, Outcome::Unknown { .. })).count() as u64);

        let mut entry = self.entry(case, Place::Spool, None, Vec::new());
        for (recipient, decision) in case.incoming.envelope.recipients.iter().zip(&case.decisions) {
            let Some(handed) = later.iter().find(|handed| handed.address == recipient.address) else { continue };
            let (attempts, next_try) = self.next_try(handed, &handed.route, case.incoming.id, 0);
            let state = RecipientState::Spooled { attempts, next_try, last: Some(handed.outcome.clone()) };
            entry.recipients.push(kept(recipient, handed.route.clone(), decision, state));
        }
        let mut events: Vec<_> = later
            .iter()
            .map(|handed| Event::Spooled {
                recipient: handed.address.clone(),
                route: handed.route.to_string(),
                why: handed.outcome.to_string(),
            })
            .map(|event| (case.incoming.id, event))
            .collect();
        let mut entries = Vec::new();
        let whole = self.whole(case);
        let bounced = (!failed.is_empty()).then(|| self.bounce(&whole, &case.incoming.raw, &failed));
        for notice in bounced.into_iter().chain(self.relayed(&whole, &case.incoming.raw, handed)) {
            events.extend(notice.events);
            entries.extend(notice.notification);
        }
        if !entry.recipients.is_empty() {
            entries.push((entry, case.incoming.raw.clone()));
        }
        self.own(case, entries, events).await
    }

    /// Makes the entries ours: committed, recorded, scheduled.
    async fn own(
        &self,
        case: &Case,
        entries: Vec<(Entry, bytes::Bytes)>,
        events: Vec<(crate::mail::MessageId, Event)>,
    ) -> Result<(), StoreError> {
        let spooled: Vec<Entry> = entries.iter().filter(|(entry, _)| entry.place == Place::Spool).map(|(entry, _)| entry.clone()).collect();
        let changes: Vec<Change> = entries.into_iter().map(|(entry, bytes)| Change::Put { entry, bytes }).collect();
        if !changes.is_empty() {
            self.parts.store.commit(changes).await?;
        }
        let records: Vec<_> = events.into_iter().map(|(id, event)| self.event(id, event)).collect();
        let discards = case.decisions.iter().any(|decision| decision.disposition == Disposition::Discard);
        if discards {
            self.parts.store.record_synced(&records).await?;
        } else if let Err(error) = self.parts.store.record(&records) {
            // The entries are durable and say the same: the books can be made good from them.
            tracing::error!(id = %case.incoming.id, %error, "record not written");
        }
        spooled.iter().for_each(|entry| self.schedule.add_entry(entry));
        Ok(())
    }

    /// The store cannot take it: the sender keeps it.
    fn no_room(&self, case: &Case, error: &StoreError, delivered: &[Address]) -> Settled {
        tracing::error!(id = %case.incoming.id, %error, "message not accepted: the store cannot take it");
        self.put_off_but(
            case,
            Reply::new(452, (4, 3, 1), format!("no room to keep the message, try again later ({})", case.incoming.id)),
            delivered,
        )
    }

    /// One entry for the spool and one for the quarantine, each with its recipients, where there are any.
    fn entries(&self, case: &Case, spooled: impl Fn(&Recipient) -> RecipientState) -> Vec<(Entry, bytes::Bytes)> {
        let with = |wanted: Disposition, state: &dyn Fn(&Recipient) -> RecipientState| -> Vec<EntryRecipient> {
            let pairs = case.incoming.envelope.recipients.iter().zip(&case.decisions);
            pairs
                .filter(|(_, decision)| decision.disposition == wanted)
                .map(|(recipient, decision)| kept(recipient, recipient.route.clone(), decision, state(recipient)))
                .collect()
        };
        let to_spool = with(Disposition::Deliver, &spooled);
        let to_hold = with(Disposition::Hold, &|_| RecipientState::Held);
        let area = to_hold.iter().filter_map(|recipient| recipient.decision.area).max().or(Some(Area::Held));
        let entries = [self.entry(case, Place::Spool, None, to_spool), self.entry(case, Place::Quarantine, area, to_hold)];
        entries.into_iter().filter(|entry| !entry.recipients.is_empty()).map(|entry| (entry, case.incoming.raw.clone())).collect()
    }

    fn entry(&self, case: &Case, place: Place, area: Option<Area>, recipients: Vec<EntryRecipient>) -> Entry {
        let incoming = &case.incoming;
        Entry {
            id: incoming.id,
            place,
            area,
            received_at: incoming.received_at,
            origin: incoming.origin.clone(),
            sender: incoming.envelope.sender.clone(),
            body: incoming.envelope.body,
            smtputf8: incoming.envelope.smtputf8,
            dsn: incoming.envelope.dsn.clone(),
            recipients,
            size: incoming.raw.len() as u64,
            subject: case.heading.subject.clone(),
            from: case.heading.from.clone(),
            trace: self.trace(case),
            findings: case.findings.clone(),
            version: case.in_force.version.clone(),
            release: None,
        }
    }

    /// Our fields for the top of the message.
    fn trace(&self, case: &Case) -> String {
        let incoming = &case.incoming;
        let mut fields = trace::received(&incoming.origin, &incoming.envelope, &self.parts.hostname, incoming.id, incoming.received_at);
        fields.push_str(&trace::mailweir_id(incoming.id));
        if let (Direction::Inbound, Some(decision)) = (case.direction, case.decisions.first()) {
            let codes: Vec<&str> =
                case.findings.iter().filter(|finding| finding.class.counts()).map(|finding| finding.code.as_ref()).collect();
            fields.push_str(&trace::verdict(decision.score, decision.tagged, &codes));
        }
        fields
    }

    fn kept_events(&self, case: &Case, why: &str) -> Vec<(crate::mail::MessageId, Event)> {
        let pairs = case.incoming.envelope.recipients.iter().zip(&case.decisions);
        let event = |(recipient, decision): (&Recipient, &Decision)| {
            let (recipient, route) = (recipient.address.clone(), recipient.route.to_string());
            match decision.disposition {
                Disposition::Hold => Event::Held { recipient, area: decision.area.unwrap_or(Area::Held) },
                Disposition::Discard => Event::Discarded { recipient, rule: decision.rule.clone() },
                _ => Event::Spooled { recipient, route, why: why.to_owned() },
            }
        };
        pairs.map(|pair| (case.incoming.id, event(pair))).collect()
    }

    fn record_all(&self, case: &Case, event: impl Fn(&Recipient) -> Event) {
        self.record(case.incoming.envelope.recipients.iter().map(|recipient| (case.incoming.id, event(recipient))).collect());
    }

    /// Writes records where little more can be done if that fails: the owner is durable already, or is the sender. Whether they were.
    pub(super) fn record(&self, events: Vec<(crate::mail::MessageId, Event)>) -> bool {
        let records: Vec<_> = events.into_iter().map(|(id, event)| self.event(id, event)).collect();
        let written = self.parts.store.record(&records).inspect_err(|error| {
            tracing::error!(id = records.first().map(|record| tracing::field::display(record.id)), %error, "record not written");
        });
        written.is_ok()
    }
}

fn kept(recipient: &Recipient, route: Arc<str>, decision: &Decision, state: RecipientState) -> EntryRecipient {
    EntryRecipient {
        address: recipient.address.clone(),
        direction: recipient.direction,
        route,
        dsn: recipient.dsn.clone(),
        warned: false,
        decision: decision.clone(),
        state,
    }
}

fn accepted(case: &Case) -> Reply {
    Reply::new(250, (2, 0, 0), format!("accepted ({})", case.incoming.id))
}

/// What the sender hears when nobody was taken and never will be: what the next hop said.
fn all_refused(case: &Case, handed: &[Handed]) -> Option<Reply> {
    let reply = match handed.first().map(|handed| &handed.outcome) {
        Some(Outcome::Refused { reply, .. }) => reply,
        _ => return None,
    };
    if !handed.iter().all(|handed| matches!(handed.outcome, Outcome::Refused { .. })) {
        return None;
    }
    let text: String = reply.text.chars().map(|c| if c.is_ascii() && !c.is_control() { c } else { '?' }).take(300).collect();
    Some(Reply::new(reply.code, enhanced(reply.enhanced.as_deref()), format!("{text} ({})", case.incoming.id)))
}

/// `5.1.1` as numbers; 5.0.0 for a reply without (RFC 2034 wants one).
fn enhanced(code: Option<&str>) -> (u8, u16, u16) {
    let mut numbers = code.unwrap_or_default().split('.').map(str::parse::<u16>);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(5)), Some(Ok(subject)), Some(Ok(detail))) => (5, subject, detail),
        _ => (5, 0, 0),
    }
}
