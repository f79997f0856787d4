//! Release: a held message goes on, at most once, after a virus scan with today's signatures.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use metrics::counter;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::time::Instant;

use super::Pipeline;
use crate::mail::{
    Address, Class, Context, Direction, Entry, Envelope, Event, Finding, MessageId, Mode, Outcome, Place, Recipient, RecipientState,
    Record, Release,
};
use crate::store::{Change, StoreError};

/// What became of a release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Released {
    /// Which entry.
    pub id: MessageId,
    /// Whom it goes to, and what the next hop said, as far as it was known when the wait was over.
    pub recipients: Vec<(Address, Option<Outcome>)>,
}

impl Released {
    /// Every recipient's next hop has it: only this may be called "released".
    pub fn is_delivered(&self) -> bool {
        self.recipients.iter().all(|(_, outcome)| outcome.as_ref().is_some_and(Outcome::is_delivered))
    }
}

/// Why a release was not done.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// There is no such entry in the quarantine.
    #[error("there is no {0} in the quarantine")]
    NoSuchEntry(MessageId),
    /// It was released before: by whom, and when.
    #[error("already released by {} at {}", .0.by, .0.at)]
    Already(Release),
    /// Somebody else is releasing it at this moment.
    #[error("{0} is being released by somebody else at this moment")]
    InProgress(MessageId),
    /// It was deleted, so there is nothing left to release.
    #[error("{0} has been deleted")]
    Deleted(MessageId),
    /// The virus scan found something, or could not tell for a passing reason.
    #[error("not released: {0}")]
    Scan(String),
    /// The store cannot do it now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Pipeline {
    /// Releases an entry in the name of `by`, and waits up to `wait` for what the next hops say.
    ///
    /// # Errors
    /// See [`ReleaseError`]; in every case the entry is as it was.
    pub async fn release(&self, id: MessageId, by: &str, reason: &str, wait: Duration) -> Result<Released, ReleaseError> {
        let _turn = self.turn(id).ok_or(ReleaseError::InProgress(id))?;
        let _underway = self.releasing.begin();
        let entry = self.releasable(id)?;
        let raw = self.parts.store.bytes(Place::Quarantine, id).await?;
        if let Some(why) = self.scan_again(&entry, &raw).await {
            counter!("mailweir_releases_total", "result" => "refused").increment(1);
            self.record(vec![(id, Event::ReleaseRefused { by: by.to_owned(), why: why.clone() })]);
            return Err(ReleaseError::Scan(why));
        }
        let news = self.parts.store.subscribe();
        let recipients =
            self.move_to_spool(id, raw, Release { by: by.to_owned(), at: Timestamp::now(), reason: reason.to_owned() }).await?;
        counter!("mailweir_releases_total", "result" => "released").increment(1);
        Ok(await_outcomes(id, recipients, news, wait).await)
    }

    fn releasable(&self, id: MessageId) -> Result<Entry, ReleaseError> {
        let entry = self.parts.store.get(Place::Quarantine, id).ok_or(ReleaseError::NoSuchEntry(id))?;
        match &entry.release {
            Some(release) => Err(ReleaseError::Already(release.clone())),
            None if !entry.is_held() => Err(ReleaseError::Deleted(id)),
            None => Ok(entry),
        }
    }

    /// Why it must not go, by today's signatures. What a person may overrule (an encrypted archive, a suspicion) is no reason.
    async fn scan_again(&self, entry: &Entry, raw: &Bytes) -> Option<String> {
        let (message, _room) = match self.decompose(raw.clone()).await {
            Ok(opened) => (opened.message, opened.room),
            Err(error) => return Some(error.to_string()),
        };
        let findings = self.in_force().inspector.run_in_full(message, Arc::new(context(entry)), Mode::AvOnly).await;
        let stops = |finding: &&Finding| match finding.class {
            Class::Malware => true,
            Class::CouldNotTell { reason } => reason.is_passing(),
            _ => false,
        };
        findings.iter().find(stops).map(|finding| format!("{}: {}", finding.words, finding.evidence))
    }

    /// One commit: the spool owns the held recipients, and the quarantine knows by whom.
    async fn move_to_spool(&self, id: MessageId, raw: Bytes, release: Release) -> Result<Vec<Address>, ReleaseError> {
        let _only_one = self.spool_change.lock().await;
        // While it was scanned, an attempt that was still in progress when it was held may have delivered it.
        let mut held = self.releasable(id)?;
        let now = Timestamp::now();
        let existing = self.parts.store.get(Place::Spool, held.id);
        let mut spooled =
            existing.clone().unwrap_or_else(|| Entry { place: Place::Spool, area: None, recipients: Vec::new(), ..held.clone() });
        spooled.release = Some(release.clone());
        let mut addresses = Vec::new();
        for recipient in held.recipients.iter_mut().filter(|recipient| recipient.state == RecipientState::Held) {
            let mut going = recipient.clone();
            going.state = RecipientState::Spooled { attempts: 0, next_try: now, last: None };
            spooled.recipients.push(going);
            recipient.state = RecipientState::Released;
            addresses.push(recipient.address.clone());
        }
        held.release = Some(release.clone());
        let put = match existing {
            Some(_) => Change::Update(spooled.clone()),
            None => Change::Put { entry: spooled.clone(), bytes: raw },
        };
        self.parts.store.commit(vec![put, Change::Update(held)]).await?;
        self.record(vec![(id, Event::Released { by: release.by, reason: release.reason, recipients: addresses.clone() })]);
        self.schedule.add_entry(&spooled);
        Ok(addresses)
    }

    /// Deletes a held entry in the name of `by`, with its bytes; the records keep who did it and why.
    ///
    /// # Errors
    /// As for [`Pipeline::release`].
    pub async fn delete(&self, id: MessageId, by: &str, reason: &str) -> Result<Vec<Address>, ReleaseError> {
        let _turn = self.turn(id).ok_or(ReleaseError::InProgress(id))?;
        let _only_one = self.spool_change.lock().await;
        let entry = self.releasable(id)?;
        let gone = self.remove_held(entry, by, reason).await?;
        Ok(gone)
    }

    /// The right to release or delete this entry; `None` while somebody else has it.
    pub(super) fn turn(&self, id: MessageId) -> Option<Turn<'_>> {
        let mut turns = self.turns.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Made only for who has it: dropping one gives the turn back.
        turns.insert(id).then(|| Turn { pipeline: self, id })
    }
}

/// While it lives, nobody else releases or deletes the entry.
pub(super) struct Turn<'a> {
    pipeline: &'a Pipeline,
    id: MessageId,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pipeline.turns.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&self.id);
    }
}

fn context(entry: &Entry) -> Context {
    let recipients = entry
        .recipients
        .iter()
        .map(|recipient| Recipient {
            address: recipient.address.clone(),
            direction: recipient.direction,
            route: recipient.route.clone(),
            dsn: recipient.dsn.clone(),
        })
        .collect();
    Context {
        direction: entry.recipients.first().map_or(Direction::Inbound, |recipient| recipient.direction),
        origin: entry.origin.clone(),
        envelope: Envelope { sender: entry.sender.clone(), recipients, body: entry.body, smtputf8: entry.smtputf8, dsn: entry.dsn.clone() },
    }
}

async fn await_outcomes(id: MessageId, recipients: Vec<Address>, mut news: Receiver<Arc<Record>>, wait: Duration) -> Released {
    let until = Instant::now() + wait;
    let mut recipients: Vec<(Address, Option<Outcome>)> = recipients.into_iter().map(|address| (address, None)).collect();
    while recipients.iter().any(|(_, outcome)| outcome.is_none()) {
        let record = match tokio::time::timeout_at(until, news.recv()).await {
            Ok(Ok(record)) => record,
            // Too much was going on to follow; the next record of ours may still come.
            Ok(Err(tokio::sync::broadcast::error::RecvError::Lagged(_))) => continue,
            Ok(Err(tokio::sync::broadcast::error::RecvError::Closed)) | Err(_) => break,
        };
        let Event::Attempted { recipient, outcome, .. } = &record.event else { continue };
        if let (true, Some(slot)) = (record.id == id, recipients.iter_mut().find(|(address, _)| address == recipient)) {
            slot.1 = Some(outcome.clone());
        }
    }
    Released { id, recipients }
}
