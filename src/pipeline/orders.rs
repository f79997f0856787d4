//! Orders: what operators do with mail that waits: try now, hold, give up. Never behind the back of an attempt in progress: what that has
//! delivered is delivered.

use std::time::Duration;

use jiff::Timestamp;

use super::Pipeline;
use super::bounce::Failure;
use super::hand_over::Handed;
use crate::mail::{Address, Area, Decision, Disposition, Entry, EntryRecipient, Event, MessageId, Place, RecipientState};
use crate::rewrite::dsn::Why;
use crate::store::{Change, StoreError};

/// The rule in the decision of a recipient that an operator holds.
pub(super) const HOLD: &str = "queue.hold";
/// How long an order waits for an attempt in progress.
const WAIT: Duration = Duration::from_secs(10);

/// Whom to give up, and why.
pub(super) enum Whom<'a> {
    /// Those who are too old at this time.
    Expired(Timestamp),
    /// These (all, where none are named), because a person says so.
    Named { whom: &'a [Address], by: &'a str, reason: &'a str },
}

/// What became of giving up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenUp {
    /// Nobody in it waits.
    Nobody,
    /// It is being tried at this moment, and may be delivered: not given up.
    BeingTried,
    /// These were given up.
    Recipients(Vec<Address>),
}

/// Who was held, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// The area that the message lies in now.
    pub area: Area,
    /// The recipients that were waiting.
    pub recipients: Vec<Address>,
}

fn is_waiting(recipient: &EntryRecipient, whom: &[Address]) -> bool {
    matches!(recipient.state, RecipientState::Spooled { .. }) && (whom.is_empty() || whom.contains(&recipient.address))
}

impl Pipeline {
    /// Makes waiting recipients (those in `whom`; all, where it is empty) due at once; `false` if there is no such entry or none of them
    /// waits.
    ///
    /// # Errors
    /// What the store says.
    pub async fn retry(&self, id: MessageId, whom: &[Address]) -> Result<bool, StoreError> {
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id) else { return Ok(false) };
        let mut any = false;
        for recipient in entry.recipients.iter_mut().filter(|recipient| is_waiting(recipient, whom)) {
            if let RecipientState::Spooled { next_try, .. } = &mut recipient.state {
                *next_try = Timestamp::now();
                any = true;
            }
        }
        if any {
            self.parts.store.note(vec![Change::Update(entry.clone())]).await?;
            self.schedule.add_entry(&entry);
        }
        Ok(any)
    }

    /// Takes waiting recipients (those in `whom`; all, where it is empty) out of the queue into the quarantine, in one commit; `None` if
    /// none of them waits. An attempt in progress goes on: whom it reaches is delivered, and not held any more.
    ///
    /// # Errors
    /// What the store says; nothing was changed then.
    pub async fn hold_back(&self, id: MessageId, by: &str, reason: &str, whom: &[Address]) -> Result<Option<HeldBack>, StoreError> {
        let raw = match self.parts.store.bytes(Place::Spool, id).await {
            Err(StoreError::Missing(..)) => return Ok(None),
            raw => raw?,
        };
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id) else { return Ok(None) };
        let (going, staying): (Vec<_>, Vec<_>) = std::mem::take(&mut entry.recipients).into_iter().partition(|r| is_waiting(r, whom));
        if going.is_empty() {
            return Ok(None);
        }
        let recipients: Vec<Address> = going.iter().map(|recipient| recipient.address.clone()).collect();
        let existing = self.parts.store.get(Place::Quarantine, id);
        let put = existing.is_none();
        let mut held = existing.unwrap_or_else(|| Entry { place: Place::Quarantine, ..entry.clone() });
        // It was released before, perhaps: it is held anew, and can be released anew.
        held.release = None;
        held.recipients.retain(|before| before.state == RecipientState::Held || !recipients.contains(&before.address));
        held.recipients.extend(going.into_iter().map(|recipient| held_by(recipient, by, reason)));
        let of_held = held.recipients.iter().filter(|recipient| recipient.state == RecipientState::Held);
        let area = of_held.filter_map(|recipient| recipient.decision.area).max().unwrap_or(Area::Operator);
        held.area = Some(area);
        entry.recipients = staying;
        let waiting = entry.is_waiting();
        let changes = vec![
            if put { Change::Put { entry: held, bytes: raw } } else { Change::Update(held) },
            if waiting { Change::Update(entry.clone()) } else { Change::Remove(Place::Spool, id) },
        ];
        self.parts.store.commit(changes).await?;
        let event = Event::HeldBack { by: by.to_owned(), reason: reason.to_owned(), area, recipients: recipients.clone() };
        self.record(vec![(id, event)]);
        if waiting {
            self.schedule.add_entry(&entry)
        } else {
            self.schedule.forget(id)
        }
        Ok(Some(HeldBack { area, recipients }))
    }

    /// Gives up waiting recipients (those in `whom`; all, where it is empty) now, with the notification to the sender that is due. An
    /// attempt in progress is waited for, some seconds.
    ///
    /// # Errors
    /// What the store says; nothing was changed then.
    pub async fn bounce_now(&self, id: MessageId, by: &str, reason: &str, whom: &[Address]) -> Result<GivenUp, StoreError> {
        self.give_up(id, Whom::Named { whom, by, reason }, WAIT).await
    }

    pub(super) async fn give_up(&self, id: MessageId, whom: Whom<'_>, wait: Duration) -> Result<GivenUp, StoreError> {
        let Some(_kept_back) = self.schedule.keep_back(id, wait).await else { return Ok(GivenUp::BeingTried) };
        let raw = match self.parts.store.bytes(Place::Spool, id).await {
            Err(StoreError::Missing(..)) => return Ok(GivenUp::Nobody),
            raw => raw?,
        };
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id) else { return Ok(GivenUp::Nobody) };
        let since = entry.waits_since();
        let why = |recipient: &EntryRecipient| match &whom {
            Whom::Expired(now) => {
                let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
                let over = is_waiting(recipient, &[]) && age >= self.expire_of(&recipient.route, Some(&recipient.address));
                over.then_some(Why::Expired)
            }
            Whom::Named { whom, reason, .. } => is_waiting(recipient, whom).then(|| Why::GivenUp((*reason).to_owned())),
        };
        let failed: Vec<Failure> = entry
            .recipients
            .iter()
            .filter_map(|recipient| {
                let why = why(recipient)?;
                let RecipientState::Spooled { last, .. } = &recipient.state else { return None };
                Some(Failure { recipient: recipient.address.clone(), outcome: last.clone(), why, tried: None, until: None })
            })
            .collect();
        if failed.is_empty() {
            return Ok(GivenUp::Nobody);
        }
        let by = if let Whom::Named { by, .. } = whom { Some(by) } else { None };
        let notice = self.bounce_by(&entry, &raw, &failed, by);
        notice.mark(&mut entry);
        self.write_down(entry, [notice]).await?;
        Ok(GivenUp::Recipients(failed.into_iter().map(|failure| failure.recipient).collect()))
    }

    /// What an attempt delivered while an operator held it is delivered: the held copy goes. The caller holds `spool_change`.
    pub(super) async fn delivered_though_held(&self, id: MessageId, handed: &[Handed]) -> Result<(), StoreError> {
        if !handed.iter().any(|handed| handed.outcome.is_delivered()) {
            return Ok(());
        }
        let Some(mut held) = self.parts.store.get(Place::Quarantine, id) else { return Ok(()) };
        let before = held.clone();
        for handed in handed.iter().filter(|handed| handed.outcome.is_delivered()) {
            let ours = |recipient: &&mut EntryRecipient| {
                recipient.address == handed.address && recipient.state == RecipientState::Held && recipient.decision.rule == HOLD
            };
            if let Some(recipient) = held.recipients.iter_mut().find(ours) {
                recipient.state = RecipientState::Delivered { outcome: handed.outcome.clone(), at: Timestamp::now() };
            }
        }
        if held == before {
            return Ok(());
        }
        let change = if held.is_held() { Change::Update(held) } else { Change::Remove(Place::Quarantine, id) };
        self.parts.store.commit(vec![change]).await
    }
}

/// The recipient, held. What was found in the message before still counts: its area, if it had one, is the graver.
fn held_by(recipient: EntryRecipient, by: &str, reason: &str) -> EntryRecipient {
    let because = if reason.is_empty() { format!("by {by}") } else { format!("by {by}: {reason}") };
    let area = recipient.decision.area.unwrap_or(Area::Operator).max(Area::Operator);
    let decision =
        Decision { disposition: Disposition::Hold, area: Some(area), rule: HOLD.into(), because, would: None, ..recipient.decision };
    EntryRecipient { decision, state: RecipientState::Held, ..recipient }
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

    fn both() -> Entry {
        entry(60, vec![waits(ANN, "ours", None), waits(EVE, "ours", None)])
    }

    fn whom(to: &str) -> Vec<Address> {
        vec![to.parse().unwrap()]
    }

    fn handed(to: &str, outcome: crate::mail::Outcome) -> Handed {
        Handed { address: to.parse().unwrap(), route: "ours".into(), outcome }
    }

    #[tokio::test]
    async fn held_and_released_and_held_again() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let store = &pipeline.parts.store;
        let id = pipeline.put(both()).await;
        let held = pipeline.hold_back(id, "ann", "look", &whom(EVE)).await.unwrap().unwrap();
        assert_eq!((held.area, held.recipients), (Area::Operator, whom(EVE)));
        assert_eq!(store.get(Place::Spool, id).unwrap().recipients.len(), 1, "Ann still waits");
        assert!(pipeline.hold_back(id, "ann", "", &whom(EVE)).await.unwrap().is_none(), "nobody of that name waits");
        pipeline.hold_back(id, "ann", "", &[]).await.unwrap().unwrap();
        assert!(store.get(Place::Spool, id).is_none() && pipeline.schedule.waiting().is_empty());
        assert_eq!(store.get(Place::Quarantine, id).unwrap().recipients.len(), 2);
        assert_eq!(store.bytes(Place::Quarantine, id).await.unwrap(), RAW);
        pipeline.release(id, "carl", "fine", Duration::ZERO).await.unwrap();
        let spooled = store.get(Place::Spool, id).unwrap();
        assert!(spooled.recipients.len() == 2 && spooled.is_waiting());
        pipeline.hold_back(id, "ann", "again", &[]).await.unwrap().unwrap();
        let again = store.get(Place::Quarantine, id).unwrap();
        assert!(again.is_held() && again.recipients.len() == 2 && again.release.is_none(), "{again:?}");
        pipeline.release(id, "carl", "fine", Duration::ZERO).await.unwrap();
        assert_eq!(pipeline.told(id), ["held_back", "held_back", "released", "held_back", "released"]);
        assert!(pipeline.hold_back(MessageId::new(), "ann", "", &[]).await.unwrap().is_none());
    }

    /// Held while it was being tried: what came of that stands.
    #[tokio::test]
    async fn delivered_wins_over_held() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let store = &pipeline.parts.store;
        let raw = Bytes::from_static(RAW);
        for (of_ann, of_eve, held) in
            [(delivered(false), deferred(450), 1), (delivered(false), delivered(false), 0), (refused(), deferred(421), 2)]
        {
            let id = pipeline.put(both()).await;
            assert!(!pipeline.schedule.take(Timestamp::now(), |_| 9).is_empty());
            pipeline.hold_back(id, "ann", "look", &[]).await.unwrap().unwrap();
            pipeline.conclude(id, &"ours".into(), &raw, vec![handed(ANN, of_ann), handed(EVE, of_eve)]).await.unwrap();
            pipeline.schedule.done(&("ours".into(), id));
            let left = store
                .get(Place::Quarantine, id)
                .map_or(0, |entry| entry.recipients.iter().filter(|recipient| recipient.state == RecipientState::Held).count());
            assert_eq!(left, held);
            assert!(store.get(Place::Spool, id).is_none(), "nothing comes back to the spool");
        }
        assert!(pipeline.notifications().await.is_empty() && pipeline.schedule.waiting().is_empty());
    }

    #[tokio::test]
    async fn bounced_by_a_person() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let store = &pipeline.parts.store;
        let id = pipeline.put(both()).await;
        let gone = pipeline.bounce_now(id, "ann", "wrong address", &whom(EVE)).await.unwrap();
        assert_eq!(gone, GivenUp::Recipients(whom(EVE)));
        let texts = pipeline.notifications().await;
        assert!(texts.len() == 1 && texts[0].contains("given up by the postmaster: wrong address"), "{texts:?}");
        assert!(!texts[0].contains("by ann"), "who did it is no business of strangers");
        let record = store.records_of(id).unwrap().remove(0);
        assert!(matches!(&record.event, Event::Bounced { why, notification: Some(_), .. } if why == "given up by ann: wrong address"));
        assert!(store.get(Place::Spool, id).unwrap().is_waiting(), "Ann still waits");
        assert_eq!(pipeline.bounce_now(id, "ann", "", &whom(EVE)).await.unwrap(), GivenUp::Nobody);
        assert_eq!(pipeline.bounce_now(id, "ann", "", &[]).await.unwrap(), GivenUp::Recipients(whom(ANN)));
        assert!(store.get(Place::Spool, id).is_none());
    }

    #[tokio::test]
    async fn what_is_being_tried_is_not_bounced() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let id = pipeline.put(both()).await;
        let due = pipeline.schedule.take(Timestamp::now(), |_| 9).remove(0);
        let whom = || Whom::Named { whom: &[], by: "ann", reason: "" };
        assert_eq!(pipeline.give_up(id, whom(), Duration::ZERO).await.unwrap(), GivenUp::BeingTried);
        let (other, raw) = (pipeline.clone(), Bytes::from_static(RAW));
        let lands = async move {
            let handed = vec![handed(ANN, delivered(false)), handed(EVE, deferred(450))];
            other.conclude(id, &"ours".into(), &raw, handed).await.unwrap();
            other.schedule.done(&due);
        };
        let (given_up, ()) = tokio::join!(pipeline.give_up(id, whom(), Duration::from_secs(60)), lands);
        assert_eq!(given_up.unwrap(), GivenUp::Recipients(vec![EVE.parse().unwrap()]), "Ann was delivered meanwhile");
        assert!(pipeline.parts.store.get(Place::Spool, id).is_none());
    }

    #[tokio::test]
    async fn tried_again_for_some() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let mut entry = both();
        for recipient in &mut entry.recipients {
            recipient.state = RecipientState::Spooled { attempts: 3, next_try: Timestamp::MAX, last: None };
        }
        let id = pipeline.put(entry).await;
        assert!(pipeline.retry(id, &whom(ANN)).await.unwrap());
        assert!(!pipeline.retry(id, &whom("x@ours.example")).await.unwrap());
        let due: Vec<bool> = pipeline
            .parts
            .store
            .get(Place::Spool, id)
            .unwrap()
            .recipients
            .iter()
            .map(|recipient| matches!(recipient.state, RecipientState::Spooled { next_try, .. } if next_try < Timestamp::MAX))
            .collect();
        assert_eq!(due, [true, false]);
        assert_eq!(pipeline.schedule.take(Timestamp::now(), |_| 9).len(), 1);
    }
}
