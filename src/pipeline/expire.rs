//! Expire: what has been held for as long as `[quarantine] keep` says goes, and the records say so.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Pipeline;
use crate::mail::{Address, Entry, Event, MessageId, Place, RecipientState};
use crate::store::{Change, StoreError};

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(600);
/// How many entries go at once; more follow at the next look.
const AT_ONCE: usize = 1000;

impl Pipeline {
    /// Runs until `stop`.
    pub async fn expire(self: Arc<Self>, stop: CancellationToken) {
        loop {
            for id in self.parts.store.expired(Timestamp::now(), AT_ONCE) {
                if let Err(error) = self.expire_one(id).await {
                    tracing::error!(%id, %error, "expired entry not removed; trying again later");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    async fn expire_one(&self, id: MessageId) -> Result<(), StoreError> {
        let Some(_turn) = self.turn(id) else { return Ok(()) };
        let _only_one = self.spool_change.lock().await;
        let Some(entry) = self.parts.store.get(Place::Quarantine, id) else { return Ok(()) };
        self.remove_held(entry, "expiry", "").await?;
        Ok(())
    }

    /// Ends a held entry: deleted, recorded, and then gone, in this order, so that a process that dies in between leaves either its entry
    /// or its record (see `reconcile`).
    pub(super) async fn remove_held(&self, mut entry: Entry, by: &str, reason: &str) -> Result<Vec<Address>, StoreError> {
        let (id, at) = (entry.id, Timestamp::now());
        let mut gone = Vec::new();
        for recipient in entry.recipients.iter_mut().filter(|recipient| recipient.state == RecipientState::Held) {
            recipient.state = RecipientState::Deleted { by: by.to_owned(), at };
            gone.push(recipient.address.clone());
        }
        if !gone.is_empty() {
            self.parts.store.commit(vec![Change::Update(entry)]).await?;
            self.record(vec![(id, Event::Deleted { by: by.to_owned(), reason: reason.to_owned(), recipients: gone.clone() })]);
        }
        self.parts.store.commit(vec![Change::Remove(Place::Quarantine, id)]).await?;
        Ok(gone)
    }
}
