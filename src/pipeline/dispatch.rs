//! Dispatch: empties the spool. Each attempt ends in a conclusion: delivered, tried again later, or bounced.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use metrics::counter;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Pipeline;
use super::bounce::failures;
use super::hand_over::{Handed, Letter, Onward};
use super::schedule::Due;
use crate::deliver::Patience;
use crate::mail::{Entry, MessageId, Outcome, Place, RecipientState};
use crate::store::{Change, StoreError};

/// How long attempts in progress may go on at shutdown; what they had not finished is tried again after the start.
const DRAIN: Duration = Duration::from_secs(20);
/// When the store cannot be read or written, an entry is tried again after this.
const STORE_TROUBLE: Duration = Duration::from_secs(60);

impl Pipeline {
    /// Runs until `stop`; exactly one of these per store.
    pub async fn dispatch(self: Arc<Self>, stop: CancellationToken) {
        self.reconcile().await;
        for entry in self.parts.store.list(Place::Spool, Entry::is_waiting, usize::MAX) {
            self.schedule.add_entry(&entry);
        }
        let mut attempts: JoinSet<Due> = JoinSet::new();
        loop {
            let now = Timestamp::now();
            for (route, id) in self.schedule.take(now, |route| self.room(route)) {
                let pipeline = self.clone();
                attempts.spawn(async move {
                    pipeline.attempt(&route, id).await;
                    (route, id)
                });
            }
            let next = self
                .schedule
                .next(now)
                .map_or(Duration::from_secs(3600), |next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = attempts.join_next() => self.finished(done),
                () = self.schedule.changed() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
        let drain = async { while attempts.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!("deliveries still in progress at shutdown are tried again after the next start");
        }
    }

    fn finished(&self, done: Result<Due, tokio::task::JoinError>) {
        match done {
            Ok(due) => self.schedule.done(&due),
            Err(error) => {
                tracing::error!(%error, "a delivery attempt ended abnormally; its message stays in the spool until the next start")
            }
        }
    }

    /// Attempts at once on a route: as many as it may have connections, with some to spare for an MX route's many hosts.
    fn room(&self, route: &str) -> usize {
        self.in_force().routes.get(route).map_or(1, |route| if route.outbound { route.connections.max(100) } else { route.connections })
    }

    async fn attempt(&self, route: &Arc<str>, id: MessageId) {
        let Some(entry) = self.parts.store.get(Place::Spool, id) else { return };
        let due: Vec<Onward> =
            entry.recipients.iter().filter(|recipient| recipient.route == *route && is_due(&recipient.state)).map(Onward::from).collect();
        if due.is_empty() {
            return;
        }
        let concluded = match self.parts.store.bytes(Place::Spool, id).await {
            Ok(raw) => {
                let handed = self.hand_over(&Letter::of_entry(&entry, &raw, &self.parts.hostname), due, Patience::Spool).await;
                self.record(handed.iter().map(|handed| (id, handed.event(false))).collect());
                tell(&entry, &handed);
                self.conclude(id, &raw, handed).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = concluded {
            tracing::error!(%id, %error, "spool entry cannot be worked on; trying again in a minute");
            self.schedule.add_again(route.clone(), Timestamp::now().saturating_add(STORE_TROUBLE).unwrap_or(Timestamp::MAX), id);
        }
    }

    /// Writes down what became of an attempt: new states, a notification for who is given up, the end of the entry.
    pub(super) async fn conclude(&self, id: MessageId, raw: &Bytes, handed: Vec<Handed>) -> Result<(), StoreError> {
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id) else { return Ok(()) };
        let failed: Vec<Handed> = handed.into_iter().filter_map(|handed| self.take_down(&mut entry, handed)).collect();
        let failed = failures(failed.iter());
        let mut changes = Vec::new();
        if failed.is_empty() {
            changes.push(if entry.is_waiting() { Change::Update(entry.clone()) } else { Change::Remove(Place::Spool, id) });
            self.parts.store.note(changes).await?;
        } else {
            let bounce = self.bounce(&entry, raw, &failed);
            bounce.mark(&mut entry);
            let notification = bounce.notification.as_ref().map(|(entry, _)| entry.clone());
            changes.extend(bounce.notification.map(|(entry, bytes)| Change::Put { entry, bytes }));
            changes.push(if entry.is_waiting() { Change::Update(entry.clone()) } else { Change::Remove(Place::Spool, id) });
            self.parts.store.commit(changes).await?;
            self.record(bounce.events);
            notification.iter().for_each(|entry| self.schedule.add_entry(entry));
        }
        if entry.is_waiting() {
            self.schedule.add_entry(&entry);
        }
        Ok(())
    }

    /// Writes one outcome into its recipient's state; gives it back if the recipient has to be given up.
    fn take_down(&self, entry: &mut Entry, handed: Handed) -> Option<Handed> {
        let (id, received_at) = (entry.id, entry.received_at);
        let recipient = entry
            .recipients
            .iter_mut()
            .find(|recipient| recipient.address == handed.address && matches!(recipient.state, RecipientState::Spooled { .. }))?;
        let RecipientState::Spooled { attempts, .. } = recipient.state else { return None };
        recipient.route = handed.route.clone();
        let now = Timestamp::now();
        match &handed.outcome {
            Outcome::Delivered { .. } => {
                recipient.state = RecipientState::Delivered { outcome: handed.outcome, at: now };
                None
            }
            Outcome::Refused { .. } => Some(handed),
            Outcome::Deferred { .. } | Outcome::Unknown { .. } => {
                if matches!(handed.outcome, Outcome::Unknown { .. }) {
                    counter!("mailweir_possible_duplicates_total").increment(1);
                }
                if self.is_expired(&handed.route, received_at, now) {
                    return Some(handed);
                }
                let attempts = attempts.saturating_add(1);
                recipient.state =
                    RecipientState::Spooled { attempts, next_try: self.next_try(&handed.route, id, attempts), last: Some(handed.outcome) };
                None
            }
        }
    }

    fn is_expired(&self, route: &str, received_at: Timestamp, now: Timestamp) -> bool {
        let age = Duration::try_from(now.duration_since(received_at)).unwrap_or_default();
        self.in_force().routes.get(route).is_some_and(|route| age >= route.expire)
    }

    /// When to try again after so many attempts: the route's schedule, spread by up to a tenth so that a queue does not come back all at once.
    pub(super) fn next_try(&self, route: &str, id: MessageId, attempts: u32) -> Timestamp {
        let in_force = self.in_force();
        let retry = in_force.routes.get(route).map(|route| route.retry.as_slice()).unwrap_or_default();
        let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(retry.len().saturating_sub(1));
        let wait = retry.get(step).copied().unwrap_or(Duration::from_secs(900));
        let spread = wait / 1000 * u32::try_from(id.to_u64() % 100).unwrap_or(0);
        Timestamp::now().saturating_add(wait + spread).unwrap_or(Timestamp::MAX)
    }

    /// Makes waiting recipients due at once; `false` if there is no such entry or nobody in it waits.
    ///
    /// # Errors
    /// What the store says.
    pub async fn retry(&self, id: MessageId) -> Result<bool, StoreError> {
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id).filter(Entry::is_waiting) else { return Ok(false) };
        for recipient in &mut entry.recipients {
            if let RecipientState::Spooled { next_try, .. } = &mut recipient.state {
                *next_try = Timestamp::now();
            }
        }
        self.parts.store.note(vec![Change::Update(entry.clone())]).await?;
        self.schedule.add_entry(&entry);
        Ok(true)
    }
}

fn is_due(state: &RecipientState) -> bool {
    matches!(state, RecipientState::Spooled { next_try, .. } if *next_try <= Timestamp::now())
}

fn tell(entry: &Entry, handed: &[Handed]) {
    for Handed { address, route, outcome } in handed {
        let age_s = Timestamp::now().duration_since(entry.received_at).as_secs();
        tracing::info!(id = %entry.id, sender = %entry.sender, recipient = %address, %route, disposition = outcome.as_str(), next_hop = %outcome, age_s, "dispatch");
    }
}
