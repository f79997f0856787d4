//! Reconcile: brings records and entries together, after a process that was killed between the two.
//!
//! The record of a delivery is written first, the mark in the spool a moment later: a process that dies in between leaves a recipient
//! that the next hop has and that the spool would hand over again. Everything else is committed first and recorded then: giving up,
//! holding, releasing, deleting. There the entry stays until the record is written, so that what is missing can be written now.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Pipeline;
use super::hand_over::Handed;
use super::orders;
use crate::mail::{Address, Area, Entry, Event, MessageId, Outcome, Place, RecipientState, Record};
use crate::store::{Change, Store, StoreError};

/// How far before the last record a mark may be missing: marks are lost within a second of a process's end, and an hour is
/// enough for one that was killed again and again before it came to this.
const BEFORE_THE_LAST: SignedDuration = SignedDuration::from_hours(1);

/// The last delivery of each recipient of a message, unless it was spooled again after it.
type Delivered = HashMap<MessageId, HashMap<Address, Handed>>;

/// What has to be done.
#[derive(Default)]
struct Found {
    delivered: Delivered,
    /// Records that were not written.
    unrecorded: Vec<(MessageId, Event)>,
    /// Entries that nobody waits for any more.
    ended: Vec<(Place, MessageId)>,
}

impl Pipeline {
    /// Takes down deliveries that only the records know, and writes the records that only the store knows. Before the first attempt.
    pub(super) async fn reconcile(&self) {
        let store = self.parts.store.clone();
        match tokio::task::spawn_blocking(move || look(&store)).await {
            Ok(Ok(found)) => self.settle_all(found).await,
            Ok(Err(error)) => tracing::warn!(%error, "the records cannot be read: what was delivered last may be delivered twice"),
            Err(error) => tracing::error!(%error, "reconciling ended abnormally: what was delivered last may be delivered twice"),
        }
        self.parts.store.reconciled();
    }

    async fn settle_all(&self, found: Found) {
        self.record(found.unrecorded);
        let removals = found.ended.into_iter().map(|(place, id)| Change::Remove(place, id)).collect();
        if let Err(error) = self.parts.store.note(removals).await {
            tracing::warn!(%error, "entries that have ended are removed at the next start");
        }
        for (id, handed) in found.delivered {
            let recipients = handed.len();
            match self.take_down_again(id, handed).await {
                Ok(()) => {
                    tracing::info!(%id, recipients, "delivered before the last end of the process, by the records; not delivered again")
                }
                Err(error) => tracing::warn!(%id, %error, "delivered by the records, and perhaps once more"),
            }
        }
    }

    async fn take_down_again(&self, id: MessageId, handed: HashMap<Address, Handed>) -> Result<(), StoreError> {
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id) else { return Ok(()) };
        for recipient in entry.recipients.iter_mut().filter(|recipient| recipient.state.is_spooled()) {
            if let Some(handed) = handed.get(&recipient.address) {
                recipient.state = RecipientState::Delivered { outcome: handed.outcome.clone(), at: Timestamp::now() };
            }
        }
        self.write_down(entry, []).await
    }
}

fn look(store: &Arc<Store>) -> Result<Found, StoreError> {
    let (waiting, ended): (Vec<Entry>, Vec<Entry>) =
        store.list(Place::Spool, |_| true, usize::MAX).into_iter().partition(Entry::is_waiting);
    let last = store.last_record_at()?;
    let since = last.and_then(|last| last.checked_sub(BEFORE_THE_LAST).ok()).unwrap_or(Timestamp::MIN);
    let changed = |entry: &Entry| {
        let ended = |state: &RecipientState| matches!(state, RecipientState::Deleted { .. } | RecipientState::Delivered { .. });
        entry.release.as_ref().is_some_and(|release| release.at >= since)
            || entry.recipients.iter().any(|recipient| ended(&recipient.state) || recipient.decision.rule == orders::HOLD)
    };
    let held = store.list(Place::Quarantine, changed, usize::MAX);
    let mut found = Found { delivered: deliveries(store, &waiting, since)?, ..Found::default() };
    found.ended.extend(ended.iter().map(|entry| (Place::Spool, entry.id)));
    found.ended.extend(held.iter().filter(|entry| is_over(entry)).map(|entry| (Place::Quarantine, entry.id)));
    for entry in ended.iter().chain(&waiting).chain(&held) {
        let missing = unrecorded(entry);
        if !missing.is_empty() {
            let records = store.records_of(entry.id)?;
            found.unrecorded.extend(missing.into_iter().filter(|event| !is_there(&records, event)).map(|event| (entry.id, event)));
        }
    }
    Ok(found)
}

/// Nobody is held in it and it was not released: what became of it stands in the records.
fn is_over(entry: &Entry) -> bool {
    !entry.is_held() && entry.release.is_none()
}

/// The events that an entry itself tells of, and that were recorded after it was committed.
fn unrecorded(entry: &Entry) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut deleted: HashMap<&str, Vec<Address>> = HashMap::new();
    let mut held_back = Vec::new();
    for recipient in &entry.recipients {
        let address = recipient.address.clone();
        match &recipient.state {
            RecipientState::Bounced { why, notification, .. } => {
                events.push(Event::Bounced { recipient: address, why: why.clone(), notification: *notification });
            }
            RecipientState::Deleted { by, .. } => deleted.entry(by).or_default().push(address),
            RecipientState::Held if recipient.decision.rule == orders::HOLD => held_back.push(address),
            _ => {}
        }
    }
    let reason = String::new;
    events.extend(deleted.into_iter().map(|(by, recipients)| Event::Deleted { by: by.to_owned(), reason: reason(), recipients }));
    if !held_back.is_empty() {
        let area = entry.area.unwrap_or(Area::Operator);
        events.push(Event::HeldBack { by: String::new(), reason: reason(), area, recipients: held_back });
    }
    if let (Place::Quarantine, Some(release)) = (entry.place, &entry.release) {
        let released = entry.recipients.iter().filter(|recipient| recipient.state == RecipientState::Released);
        let recipients = released.map(|recipient| recipient.address.clone()).collect();
        events.push(Event::Released { by: release.by.clone(), reason: release.reason.clone(), recipients });
    }
    events
}

/// Whether the records say this of these recipients already. What is held back and released can be so again: the last one counts.
fn is_there(records: &[Record], event: &Event) -> bool {
    let (moves, kind) = (moves(event), event.as_str());
    whom(event).iter().all(|address| {
        let about = |record: &&Record| {
            let said = &record.event;
            (said.as_str() == kind || moves && self::moves(said)) && whom(said).contains(address)
        };
        records.iter().rev().find(about).is_some_and(|record| record.event.as_str() == kind)
    })
}

fn moves(event: &Event) -> bool {
    matches!(event, Event::HeldBack { .. } | Event::Released { .. })
}

fn whom(event: &Event) -> Vec<&Address> {
    match event {
        Event::Bounced { recipient, .. } => vec![recipient],
        Event::Deleted { recipients, .. } | Event::HeldBack { recipients, .. } | Event::Released { recipients, .. } => {
            recipients.iter().collect()
        }
        _ => Vec::new(),
    }
}

/// What the records say was delivered of entries that wait.
fn deliveries(store: &Arc<Store>, waiting: &[Entry], since: Timestamp) -> Result<Delivered, StoreError> {
    let Some(oldest) = waiting.iter().map(|entry| entry.received_at).min() else { return Ok(Delivered::new()) };
    let mut seen: Delivered = waiting.iter().map(|entry| (entry.id, HashMap::new())).collect();
    store.scan_records(since.max(oldest), None, &mut |record| {
        if let Some(handed) = seen.get_mut(&record.id) {
            note(handed, record);
        }
        ControlFlow::Continue(())
    })?;
    for entry in waiting {
        if let Some(handed) = seen.get_mut(&entry.id) {
            let waits = |address: &Address| entry.recipients.iter().any(|to| to.address == *address && to.state.is_spooled());
            handed.retain(|address, _| waits(address));
        }
    }
    seen.retain(|_, handed| !handed.is_empty());
    Ok(seen)
}

fn note(handed: &mut HashMap<Address, Handed>, record: Record) {
    match record.event {
        Event::Attempted { recipient, route, outcome: outcome @ Outcome::Delivered { .. }, .. } => {
            handed.insert(recipient.clone(), Handed { address: recipient, route: route.into(), outcome });
        }
        Event::Spooled { recipient, .. } => {
            handed.remove(&recipient);
        }
        Event::Released { recipients, .. } => recipients.iter().for_each(|recipient| drop(handed.remove(recipient))),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::testing::*;
    use super::*;
    use crate::mail::Delivery;
    use crate::pipeline::InForce;

    const ANN: &str = "ann@ours.example";
    const EVE: &str = "eve@ours.example";

    fn here() -> InForce {
        let ours = route("ours", &["ours.example"], "127.0.0.1:1", Delivery::Spool);
        routes(vec![ours, route("internet", &["*"], "127.0.0.1:1", Delivery::Spool)])
    }

    fn handed(to: &str, outcome: Outcome) -> Handed {
        Handed { address: to.parse().unwrap(), route: "ours".into(), outcome }
    }

    /// The process ends after giving up was committed, and before it was recorded (here: nothing can be recorded any more).
    #[tokio::test]
    async fn what_was_given_up_and_not_recorded_is_recorded_at_the_next_start() {
        for (name, sender, of_eve) in [("with a notification", BOB, None), ("without", "", None), ("one of two", BOB, Some(deferred(450)))]
        {
            let dir = tempfile::tempdir().unwrap();
            let first = pipeline(dir.path(), here());
            let mut message = entry(60, vec![waits(ANN, "ours", None), waits(EVE, "ours", None)]);
            if sender.is_empty() {
                message.sender = crate::mail::ReversePath::Null;
            }
            let id = first.put(message).await;
            let today = dir.path().join(format!("records/{}.jsonl", Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()));
            std::fs::create_dir(&today).unwrap();
            let both = vec![handed(ANN, refused()), handed(EVE, of_eve.clone().unwrap_or_else(refused))];
            first.conclude(id, &"ours".into(), &Bytes::from_static(RAW), both).await.unwrap();
            assert!(first.parts.store.get(Place::Spool, id).is_some(), "{name}: it stays until that is recorded");
            drop(first);
            std::fs::remove_dir(&today).unwrap();

            let second = pipeline(dir.path(), here());
            second.reconcile().await;
            let bounced = if of_eve.is_some() { vec!["bounced"] } else { vec!["bounced"; 2] };
            assert_eq!(second.told(id), bounced, "{name}");
            assert_eq!(second.parts.store.get(Place::Spool, id).is_some(), of_eve.is_some(), "{name}");
            drop(second);

            let third = pipeline(dir.path(), here());
            third.reconcile().await;
            assert_eq!(third.told(id), bounced, "{name}: once");
        }
    }
    #[test]
    fn what_was_moved_again_is_not_what_was_recorded_before() {
        let to = |to: &[&str]| to.iter().map(|to| to.parse().unwrap()).collect();
        let held = |whom: &[&str]| Event::HeldBack { by: "x".into(), reason: "y".into(), area: Area::Operator, recipients: to(whom) };
        let released = |whom: &[&str]| Event::Released { by: "x".into(), reason: "y".into(), recipients: to(whom) };
        let bounced = |to: &str| Event::Bounced { recipient: to.parse().unwrap(), why: "z".into(), notification: None };
        let rows = [
            (vec![], held(&[ANN]), false),
            (vec![held(&[ANN])], held(&[ANN]), true),
            (vec![held(&[ANN])], held(&[ANN, EVE]), false),
            (vec![held(&[ANN]), released(&[ANN])], held(&[ANN]), false),
            (vec![held(&[ANN]), released(&[EVE])], held(&[ANN]), true),
            (vec![held(&[ANN]), released(&[ANN]), held(&[ANN])], held(&[ANN]), true),
            (vec![held(&[ANN]), released(&[ANN]), held(&[ANN])], released(&[ANN]), false),
            (vec![held(&[ANN]), released(&[ANN]), bounced(ANN)], released(&[ANN]), true),
            (vec![bounced(ANN)], bounced(EVE), false),
            (vec![bounced(ANN), bounced(EVE)], bounced(ANN), true),
        ];
        for (events, event, there) in rows {
            let id = MessageId::new();
            let record =
                |event: &Event| Record { at: Timestamp::now(), id, version: crate::mail::VersionId("v1".into()), event: event.clone() };
            let records: Vec<Record> = events.iter().map(record).collect();
            assert_eq!(is_there(&records, &event), there, "{events:?}: {event:?}");
        }
    }
}
