//! Reconcile: what the records know and the spool does not, after a process that was killed between the two.
//!
//! The record of a delivery is written first, the mark in the spool a moment later. A process that dies in between leaves a
//! recipient that the next hop has and that the spool would hand over again. The records tell, so it is not.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::Pipeline;
use super::hand_over::Handed;
use crate::mail::{Address, Entry, Event, MessageId, Outcome, Place, Record};
use crate::store::{Store, StoreError};

/// How far before the last record a mark may be missing: marks are lost within a second of a process's end, and an hour is
/// enough for one that was killed again and again before it came to this.
const BEFORE_THE_LAST: SignedDuration = SignedDuration::from_hours(1);

/// The last delivery of each recipient of a message, unless it was spooled again after it.
type Delivered = HashMap<MessageId, HashMap<Address, Handed>>;

impl Pipeline {
    /// Takes down deliveries that only the records know. Before the first attempt of a run.
    pub(super) async fn reconcile(&self) {
        let waiting = self.parts.store.list(Place::Spool, Entry::is_waiting, usize::MAX);
        if !waiting.is_empty() {
            let store = self.parts.store.clone();
            match tokio::task::spawn_blocking(move || deliveries(&store, &waiting)).await {
                Ok(Ok(delivered)) => self.take_down_again(delivered).await,
                Ok(Err(error)) => tracing::warn!(%error, "the records cannot be read: what was delivered last may be delivered twice"),
                Err(error) => tracing::error!(%error, "reconciling ended abnormally: what was delivered last may be delivered twice"),
            }
        }
        self.parts.store.reconciled();
    }

    async fn take_down_again(&self, delivered: Delivered) {
        for (id, handed) in delivered {
            let recipients = handed.len();
            let concluded = match self.parts.store.bytes(Place::Spool, id).await {
                Ok(raw) => self.conclude(id, &raw, handed.into_values().collect()).await,
                Err(error) => Err(error),
            };
            match concluded {
                Ok(()) => {
                    tracing::info!(%id, recipients, "delivered before the last end of the process, by the records; not delivered again")
                }
                Err(error) => tracing::warn!(%id, %error, "delivered by the records, and perhaps once more"),
            }
        }
    }
}

/// What the records say was delivered of entries that wait.
fn deliveries(store: &Arc<Store>, waiting: &[Entry]) -> Result<Delivered, StoreError> {
    let Some(last) = store.last_record_at()? else { return Ok(Delivered::new()) };
    let oldest = waiting.iter().map(|entry| entry.received_at).min().unwrap_or(last);
    let since = last.checked_sub(BEFORE_THE_LAST).unwrap_or(Timestamp::MIN).max(oldest);
    let mut seen: Delivered = waiting.iter().map(|entry| (entry.id, HashMap::new())).collect();
    store.scan_records(since, None, &mut |record| {
        if let Some(handed) = seen.get_mut(&record.id) {
            note(handed, record);
        }
        ControlFlow::Continue(())
    })?;
    let waits = |id: &MessageId, address: &Address| {
        let entry = waiting.iter().find(|entry| entry.id == *id);
        entry.is_some_and(|entry| entry.recipients.iter().any(|recipient| recipient.address == *address && recipient.state.is_spooled()))
    };
    for (id, handed) in &mut seen {
        handed.retain(|address, _| waits(id, address));
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
