//! `watch`: records as they are written, one JSON object a line, for as long as the peer listens.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use jiff::Timestamp;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::Desk;
use crate::mail::{Event, MessageId, Record};
use crate::operate::Error;
use crate::operate::filter::{Filter, Query, has};

/// An empty line is sent after this much silence, so that a peer that is gone is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Messages whose later events are still followed; the oldest are forgotten first.
const FOLLOWED: usize = 10_000;

/// The stream of what matches `query`.
///
/// # Errors
/// [`Error::Bad`] for a filter that cannot be read.
pub fn stream(desk: &Arc<Desk>, query: &Query) -> Result<Response, Error> {
    let watch = Watch {
        records: desk.store.subscribe(),
        shutdown: desk.shutdown.clone(),
        selection: Selection { filter: query.read(Timestamp::now())?, all: query.is_empty(), ids: HashSet::new(), order: VecDeque::new() },
    };
    let lines = stream::unfold(watch, |mut watch| async move { watch.next().await.map(|line| (Ok::<_, std::io::Error>(line), watch)) });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

struct Watch {
    records: Receiver<Arc<Record>>,
    shutdown: CancellationToken,
    selection: Selection,
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let received = tokio::select! {
                () = self.shutdown.cancelled() => return None,
                received = tokio::time::timeout(KEEP_ALIVE, self.records.recv()) => received,
            };
            match received {
                Err(_silence) => return Some(Bytes::from_static(b"\n")),
                Ok(Err(RecvError::Closed)) => return None,
                Ok(Err(RecvError::Lagged(missed))) => return Some(Bytes::from(format!("{{\"missed\":{missed}}}\n"))),
                Ok(Ok(record)) if self.selection.takes(&record) => {
                    let mut line = serde_json::to_vec(&*record).ok()?;
                    line.push(b'\n');
                    return Some(line.into());
                }
                Ok(Ok(_)) => {}
            }
        }
    }
}

/// Which records go out: those of messages that matched when they were judged.
struct Selection {
    filter: Filter,
    all: bool,
    ids: HashSet<MessageId>,
    order: VecDeque<MessageId>,
}

impl Selection {
    fn takes(&mut self, record: &Record) -> bool {
        if self.all || self.ids.contains(&record.id) {
            return true;
        }
        let Event::Judged(judged) = &record.event else { return false };
        let filter = &self.filter;
        let from = |word: &str| has(judged.envelope.sender.as_str(), word) || has(&judged.from, word);
        let to = |word: &str| judged.envelope.recipients.iter().any(|recipient| has(recipient.address.as_str(), word));
        let text = |word: &str| has(&judged.subject, word) || from(word) || to(word) || judged.findings.iter().any(|f| has(&f.code, word));
        let taken = filter.to.as_deref().is_none_or(to)
            && filter.from.as_deref().is_none_or(from)
            && filter.subject.as_deref().is_none_or(|word| has(&judged.subject, word))
            && filter.text.as_deref().is_none_or(text);
        if taken {
            self.ids.insert(record.id);
            self.order.push_back(record.id);
            if self.order.len() > FOLLOWED
                && let Some(oldest) = self.order.pop_front()
            {
                self.ids.remove(&oldest);
            }
        }
        taken
    }
}
