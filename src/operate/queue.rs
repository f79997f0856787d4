//! The queue: mail that we accepted and have not yet handed on.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::{Error, blocking};
use crate::mail::{Address, Direction, Entry, MessageId, Outcome, Place, RecipientState};
use crate::store::Store;

/// One waiting message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// The message.
    pub id: MessageId,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// MAIL FROM; empty for `<>`.
    pub sender: String,
    /// Subject, decoded.
    pub subject: String,
    /// Bytes as received.
    pub size: u64,
    /// The earliest next try.
    pub next_try: Option<Timestamp>,
    /// The recipients that wait (in a list: that match).
    pub recipients: Vec<WaitingFor>,
}

/// One recipient that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WaitingFor {
    /// Whom.
    pub address: Address,
    /// Which way.
    pub direction: Direction,
    /// The route.
    pub route: Arc<str>,
    /// Attempts made.
    pub attempts: u32,
    /// Not to be tried before.
    pub next_try: Timestamp,
    /// What the last attempt gave, in words; empty before the first.
    pub last: String,
}

/// The answer of `queue list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// Newest first.
    pub messages: Vec<Waiting>,
    /// All that match, those beyond the limit included.
    pub total: usize,
    /// Their recipients that wait and match.
    #[serde(default)]
    pub recipients: usize,
}

/// Lists what waits.
///
/// # Errors
/// Only where the work is cut off at shutdown.
pub async fn list(store: Arc<Store>, filter: Filter) -> Result<Queue, Error> {
    blocking(move || {
        let recipients = std::cell::Cell::new(0);
        let wanted = |entry: &Entry| {
            let yes = filter.takes_waiting(entry);
            if yes {
                recipients.set(recipients.get() + waiting(entry, &filter).recipients.len());
            }
            yes
        };
        let (entries, total) = super::quarantine::matching(&store, Place::Spool, wanted, filter.limit);
        Ok(Queue { messages: entries.iter().map(|entry| waiting(entry, &filter)).collect(), total, recipients: recipients.get() })
    })
    .await
}

/// One entry of the queue.
///
/// # Errors
/// [`Error::Unknown`] when it is not in the queue.
pub async fn show(store: Arc<Store>, id: MessageId) -> Result<Waiting, Error> {
    blocking(move || store.get(Place::Spool, id).map(|entry| waiting(&entry, &Filter::default())).ok_or(Error::not_in(Place::Spool, id)))
        .await
}

/// The entry with the waiting recipients that match.
fn waiting(entry: &Entry, filter: &Filter) -> Waiting {
    let recipients =
        entry.recipients.iter().filter(|recipient| filter.takes_recipient(recipient)).filter_map(|recipient| match &recipient.state {
            RecipientState::Spooled { attempts, next_try, last } => Some(WaitingFor {
                address: recipient.address.clone(),
                direction: recipient.direction,
                route: recipient.route.clone(),
                attempts: *attempts,
                next_try: *next_try,
                last: last.as_ref().map(Outcome::to_string).unwrap_or_default(),
            }),
            _ => None,
        });
    Waiting {
        id: entry.id,
        received_at: entry.received_at,
        sender: entry.sender.as_str().to_owned(),
        subject: entry.subject.clone(),
        size: entry.size,
        next_try: entry.next_try(),
        recipients: recipients.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::filter::Query;
    use crate::operate::quarantine::tests::{entry, put};
    use crate::store::Settings;

    #[tokio::test]
    async fn lists_and_shows() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        let state = RecipientState::Spooled { attempts: 2, next_try: Timestamp::now(), last: None };
        let one = put(&store, entry(Place::Spool, state.clone())).await;
        let two = put(&store, entry(Place::Spool, state)).await;
        let all = list(store.clone(), Query::default().read(Timestamp::now()).unwrap()).await.unwrap();
        assert_eq!((all.messages.iter().map(|m| m.id).collect::<Vec<_>>(), all.total), (vec![two, one], 2));
        let first = Query { limit: Some(1), ..Query::default() }.read(Timestamp::now()).unwrap();
        assert_eq!(list(store.clone(), first).await.unwrap().total, 2);
        let none = Query { to: Some("nobody".into()), ..Query::default() }.read(Timestamp::now()).unwrap();
        assert_eq!(list(store.clone(), none).await.unwrap().messages, []);
        assert_eq!(show(store.clone(), one).await.unwrap().recipients[0].attempts, 2);
        // A filter is about recipients, not only about messages.
        let mut three = entry(Place::Spool, RecipientState::Spooled { attempts: 0, next_try: Timestamp::now(), last: None });
        let refused = serde_json::json!({ "outcome": "deferred", "hop": "ex1:25", "reply": null, "why": "connection refused" });
        let last = Some(serde_json::from_value(refused).unwrap());
        let carl = crate::mail::EntryRecipient {
            address: "carl@ours.example".parse().unwrap(),
            route: "exchange".into(),
            state: RecipientState::Spooled { attempts: 1, next_try: Timestamp::now(), last },
            ..three.recipients[0].clone()
        };
        three.recipients.push(carl);
        put(&store, three).await;
        let some = |text: &str| Some(text.to_owned());
        for (query, messages, recipients) in [
            (Query::default(), 3, 4),
            (Query { route: some("Exchange"), ..Query::default() }, 1, 1),
            (Query { route: some("groupwise"), ..Query::default() }, 3, 3),
            (Query { next_hop: some("EX1"), ..Query::default() }, 1, 1),
            (Query { reply: some("refused"), ..Query::default() }, 1, 1),
            (Query { reply: some("refused"), to: some("ann@"), ..Query::default() }, 0, 0),
            (Query { next_hop: some("refused"), ..Query::default() }, 0, 0),
            (Query { until: some("1h"), ..Query::default() }, 0, 0),
        ] {
            let found = list(store.clone(), query.read(Timestamp::now()).unwrap()).await.unwrap();
            assert_eq!((found.total, found.recipients), (messages, recipients), "{query:?}");
        }
        assert!(matches!(show(store, MessageId::new()).await, Err(Error::Unknown { .. })));
    }
}
