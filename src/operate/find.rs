//! `find`: what became of any message, delivered ones included; one row per message, newest first.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fate::{Fate, Fates};
use super::filter::{Filter, has};
use super::{Error, blocking};
use crate::mail::record::{Judged, TurnedAway};
use crate::mail::{Direction, Disposition, Event, MessageId, Record};
use crate::store::Store;

/// How far back it looks when no `since` is given.
pub const DEFAULT_BACK: SignedDuration = SignedDuration::from_hours(24);
/// Messages kept at most while looking for a state, which is known only at the end.
const MAX_CANDIDATES: usize = 50_000;

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The message.
    pub id: MessageId,
    /// When it was judged, or made where it is a notification of ours.
    pub at: Timestamp,
    /// Which way; `None` for our own notifications.
    pub direction: Option<Direction>,
    /// MAIL FROM; empty for `<>`.
    pub sender: String,
    /// From, decoded.
    pub from: String,
    /// Subject, decoded.
    pub subject: String,
    /// Bytes as received.
    pub size: u64,
    /// The greatest score of its decisions.
    pub score: f32,
    /// What would have been done in mode normal, where the mode did otherwise.
    pub would: Option<Disposition>,
    /// Codes of the findings that are more than notes.
    pub findings: Vec<String>,
    /// How each recipient stands.
    pub recipients: Vec<Fate>,
}

/// The answer of `find`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Newest first.
    pub messages: Vec<Row>,
    /// Matching messages, those beyond the limit included (as far as they were looked at, see `cut`).
    pub total: usize,
    /// From when on it looked.
    pub since: Timestamp,
    /// There was more than it could keep in mind: narrow the time.
    pub cut: bool,
}

/// A message while its records are read.
struct Candidate {
    row: Row,
    fates: Fates,
}

/// Looks through the records.
///
/// # Errors
/// [`Error::Store`] when records cannot be read.
pub async fn find(store: Arc<Store>, filter: Filter) -> Result<Found, Error> {
    blocking(move || look(&store, &filter)).await
}

fn look(store: &Store, filter: &Filter) -> Result<Found, Error> {
    let since = filter.since.unwrap_or_else(|| Timestamp::now().checked_sub(DEFAULT_BACK).unwrap_or(Timestamp::UNIX_EPOCH));
    let keep = if filter.state.is_some() { MAX_CANDIDATES } else { filter.limit };
    let mut search = Search { filter, since, keep, kept: BTreeMap::new(), own: BTreeMap::new(), passed: HashSet::new(), dropped: 0 };
    // Outcomes come after `until`, so the scan goes on to the end.
    store.scan_records(since, None, &mut |record| {
        search.take(&record);
        ControlFlow::Continue(())
    })?;
    Ok(search.finish())
}

struct Search<'a> {
    filter: &'a Filter,
    since: Timestamp,
    keep: usize,
    kept: BTreeMap<MessageId, Candidate>,
    /// Notifications of our own, apart: whether they match is known only when their recipients are, and until then they must not take
    /// the places of messages that do.
    own: BTreeMap<MessageId, Candidate>,
    /// Messages seen and not kept: their later records are passed over.
    passed: HashSet<MessageId>,
    dropped: usize,
}

impl Search<'_> {
    fn take(&mut self, record: &Record) {
        let id = record.id;
        if let Some(candidate) = self.kept.get_mut(&id).or_else(|| self.own.get_mut(&id)) {
            candidate.fates.apply(record);
            return;
        }
        let mut row = match &record.event {
            Event::Judged(judged) if self.matches(record, judged) => row_of(record, judged),
            Event::TurnedAway(turned) if self.matches_turned(record, turned) => row_of_turned(record, turned),
            // Spooled without having been judged: a notification of ours. Ids hold their time, so an older message's is not mistaken for one.
            Event::Spooled { .. } if !self.passed.contains(&id) && id.time() >= self.since && self.filter.is_in_time(record.at) => {
                notification_of(record)
            }
            Event::Judged(_) => {
                self.passed.insert(id);
                return;
            }
            _ => return,
        };
        let mut fates = Fates::default();
        fates.apply(record);
        row.recipients.clear();
        if matches!(record.event, Event::Spooled { .. }) {
            self.own.insert(id, Candidate { row, fates });
            if self.own.len() > MAX_CANDIDATES {
                self.own.pop_first();
            }
            return;
        }
        self.kept.insert(id, Candidate { row, fates });
        if self.kept.len() > self.keep
            && let Some((oldest, _)) = self.kept.pop_first()
        {
            self.passed.insert(oldest);
            self.dropped += 1;
        }
    }

    fn matches(&self, record: &Record, judged: &Judged) -> bool {
        let filter = self.filter;
        let from = |word: &str| has(judged.envelope.sender.as_str(), word) || has(&judged.from, word);
        let to = |word: &str| judged.envelope.recipients.iter().any(|recipient| has(recipient.address.as_str(), word));
        let finding = |word: &str| judged.findings.iter().any(|finding| has(&finding.code, word) || has(&finding.evidence, word));
        let text = |word: &str| {
            let listed = [&judged.subject, &judged.message_id, &judged.sha256, &judged.origin.helo];
            listed.into_iter().any(|text| has(text, word)) || from(word) || to(word) || finding(word) || has(&record.id.to_string(), word)
        };
        filter.is_in_time(record.at)
            && filter.to.as_deref().is_none_or(to)
            && filter.from.as_deref().is_none_or(from)
            && filter.subject.as_deref().is_none_or(|word| has(&judged.subject, word))
            && filter.text.as_deref().is_none_or(text)
    }

    fn matches_turned(&self, record: &Record, turned: &TurnedAway) -> bool {
        let filter = self.filter;
        let from = |word: &str| has(turned.sender.as_str(), word);
        let to = |word: &str| turned.recipients.iter().any(|recipient| has(recipient.as_str(), word));
        let text = |word: &str| has(&turned.reply, word) || has(&turned.origin.helo, word) || from(word) || to(word);
        filter.is_in_time(record.at)
            && filter.subject.is_none()
            && filter.to.as_deref().is_none_or(to)
            && filter.from.as_deref().is_none_or(from)
            && filter.text.as_deref().is_none_or(text)
    }

    fn finish(self) -> Found {
        let Self { filter, since, mut kept, own, dropped, .. } = self;
        kept.extend(own);
        let word = |word: &Option<String>, text: &str| word.as_deref().is_none_or(|word| has(text, word));
        let mut messages: Vec<Row> = kept
            .into_values()
            .rev()
            .map(|candidate| Row { recipients: candidate.fates.recipients, ..candidate.row })
            .filter(|row| filter.state.is_none_or(|state| row.recipients.iter().any(|fate| fate.state == state)))
            // Notifications could not be matched before their recipients were known.
            .filter(|row| row.direction.is_some() || row.subject == TURNED_AWAY || matches_notification(filter, row, &word))
            .collect();
        let by_state = filter.state.is_some();
        let total = messages.len() + if by_state { 0 } else { dropped };
        messages.truncate(filter.limit);
        Found { messages, total, since, cut: by_state && dropped > 0 }
    }
}

fn matches_notification(filter: &Filter, row: &Row, word: &dyn Fn(&Option<String>, &str) -> bool) -> bool {
    let to = row.recipients.iter().map(|fate| fate.address.as_str()).collect::<Vec<_>>().join(" ");
    word(&filter.to, &to)
        && word(&filter.from, &row.sender)
        && word(&filter.subject, &row.subject)
        && word(&filter.text, &format!("{} {} {to}", row.id, row.subject))
}

fn row_of(record: &Record, judged: &Judged) -> Row {
    let noted = judged.findings.iter().filter(|finding| finding.class != crate::mail::Class::Note);
    Row {
        id: record.id,
        at: record.at,
        direction: Some(judged.direction),
        sender: judged.envelope.sender.as_str().to_owned(),
        from: judged.from.clone(),
        subject: judged.subject.clone(),
        size: judged.size,
        would: judged.decisions.iter().find_map(|decision| decision.would),
        score: judged.decisions.iter().map(|decision| decision.score).fold(0.0, f32::max),
        findings: noted.map(|finding| finding.code.to_string()).collect(),
        recipients: Vec::new(),
    }
}

/// Stands in the place of the subject where there was no message yet.
const TURNED_AWAY: &str = "(refused before it was judged)";

fn row_of_turned(record: &Record, turned: &TurnedAway) -> Row {
    let row = notification_of(record);
    Row { sender: turned.sender.as_str().to_owned(), subject: TURNED_AWAY.into(), ..row }
}

fn notification_of(record: &Record) -> Row {
    Row {
        id: record.id,
        at: record.at,
        direction: None,
        sender: String::new(),
        from: String::new(),
        subject: "(a notification of our own)".into(),
        size: 0,
        score: 0.0,
        would: None,
        findings: Vec::new(),
        recipients: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Area;
    use crate::operate::fate::State;
    use crate::operate::fate::tests::{address, deferred, delivered, judged, record, spooled};
    use crate::operate::filter::Query;
    use crate::store::Settings;

    #[tokio::test]
    async fn finds() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        let ids: Vec<MessageId> = (0..4).map(|_| MessageId::new()).collect();
        let held = Event::Held { recipient: address("carl@ours.example"), area: Area::Spam };
        let records = [
            record(ids[0], judged(&["ann@ours.example"])),
            record(ids[0], delivered("ann@ours.example")),
            record(ids[1], judged(&["carl@ours.example"])),
            record(ids[2], judged(&["ann@ours.example", "dora@ours.example"])),
            record(ids[1], held),
            record(ids[2], deferred("ann@ours.example", true)),
            record(ids[2], spooled("ann@ours.example")),
            record(ids[2], delivered("dora@ours.example")),
            record(ids[3], spooled("sender@else.example")),
        ];
        store.record(&records).unwrap();
        let query = Query::default;
        let some = |text: &str| Some(text.to_owned());
        for (query, want, total) in [
            (query(), vec![3, 2, 1, 0], 4),
            (Query { limit: Some(2), ..query() }, vec![3, 2], 4),
            (Query { to: some("ANN@"), ..query() }, vec![2, 0], 2),
            (Query { to: some("sender@"), ..query() }, vec![3], 1),
            (Query { state: some("held"), ..query() }, vec![1], 1),
            (Query { state: some("delivered"), limit: Some(1), ..query() }, vec![2], 2),
            (Query { state: some("spooled"), ..query() }, vec![3, 2], 2),
            (Query { from: some("bob"), text: some("lunch"), ..query() }, vec![2, 1, 0], 3),
            (Query { text: some(&ids[0].to_string()), ..query() }, vec![0], 1),
            (Query { subject: some("dinner"), ..query() }, vec![], 0),
            (Query { until: some("1h"), ..query() }, vec![], 0),
        ] {
            let found = find(store.clone(), query.read(Timestamp::now()).unwrap()).await.unwrap();
            let got: Vec<MessageId> = found.messages.iter().map(|row| row.id).collect();
            let want: Vec<MessageId> = want.into_iter().map(|place: usize| ids[place]).collect();
            assert_eq!((got, found.total), (want, total), "{query:?}");
        }
        let found = find(store, Query { text: some(&ids[2].to_string()), ..query() }.read(Timestamp::now()).unwrap()).await.unwrap();
        let states: Vec<State> = found.messages[0].recipients.iter().map(|fate| fate.state).collect();
        assert_eq!(states, [State::Spooled, State::Delivered]);
    }
}
