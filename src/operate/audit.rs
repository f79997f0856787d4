//! `audit`: do the books balance (promise 3)?
//!
//! The records of every judged message are read again, the state of every recipient is recomputed from them ([`Fates`]), and what the
//! records say we still own is compared with what the store has. The rules:
//!
//! - Every recipient of a judged message is counted in exactly one state, so
//!   `received = refused + deferred-in + delivered + spooled + held + discarded + bounced + deleted + damaged + unanswered + in flight`.
//! - *Spooled* and *held* must be in the store, in that state: else the recipient is **missing**.
//! - What waits or is held in the store must be so by the records: after a final state (delivered, bounced, deleted …) it would be handed on
//!   again, and is **double**. So is a delivery more often than RCPT TO asked for.
//! - Two records that cannot both be true are a **contradiction**.
//! - *Judged* and nothing after it means: being settled at this moment (*in flight*), or the process ended inside the session, before the
//!   sender heard 250. Then the sender still owns it and tries again: **unanswered**, listed, no imbalance; but only while nothing of it is
//!   in the store. If the store has it, it counts as what the store says (spooled, held), with a note that its record was lost: the mail is
//!   safe, and the store is what delivers it.
//! - A process that is killed can have written a record and not the mark in the store, or the other way round. Until the next start has
//!   brought them together, such a difference in the last hour of the records is **unsettled**: listed, no imbalance.
//! - What a message became after its release is counted where it went: spooled, delivered. Our own notifications are not received
//!   by anybody; they are compared with the store in the same way and counted apart.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::fate::{Fate, Fates, State};
use super::{Error, blocking};
use crate::mail::{Address, Entry, Event, MessageId, Place, RecipientState, Record};
use crate::store::Store;

/// How long a judged message may go without an outcome and still count as in flight: longer than all budgets of a session together.
pub const IN_FLIGHT: SignedDuration = SignedDuration::from_mins(5);
/// The last hour of the records may differ from the store until the next start (see `pipeline/reconcile`).
const UNSETTLED: SignedDuration = SignedDuration::from_hours(1);
/// Between two looks at what did not agree, and how many.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);
const ROUNDS: usize = 3;
/// So many messages are looked up one by one; for more, all records are read again.
const FEW: usize = 8;
/// Problems and notes listed at most, each; all are counted.
pub const MAX_LISTED: usize = 1000;

/// The books.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Nothing is missing, double or contradictory.
    pub balanced: bool,
    /// Messages judged in the time looked at.
    pub messages: u64,
    /// Their recipients: the sum of `states` and `in_flight`.
    pub received: u64,
    /// Recipients by state (all ten, zeros too).
    pub states: BTreeMap<String, u64>,
    /// Judged less than five minutes ago and not settled yet.
    pub in_flight: u64,
    /// Recipients of notifications that we made ourselves, by state.
    pub notifications: BTreeMap<String, u64>,
    /// Records that cannot be read: torn by a crash, or damaged.
    pub unreadable: u64,
    /// How many problems there are.
    pub problem_count: u64,
    /// What is missing, double or contradictory.
    pub problems: Vec<Problem>,
    /// What is worth knowing and no imbalance: unanswered messages, lost records.
    pub notes: Vec<Problem>,
}

/// One thing that the audit names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The message.
    pub id: MessageId,
    /// `missing`, `double`, `contradiction`; for notes `unanswered`, `record lost`.
    pub what: String,
    /// In words.
    pub detail: String,
}

/// Reads all records between `since` and `until` (by the time of judging) and compares them with the store.
///
/// # Errors
/// [`Error::Store`] when records cannot be read.
pub async fn audit(store: Arc<Store>, since: Option<Timestamp>, until: Option<Timestamp>) -> Result<Audit, Error> {
    blocking(move || {
        let books = Books::read(&store, since.unwrap_or(Timestamp::UNIX_EPOCH), until)?;
        books.compare(&store)
    })
    .await
}

/// What the records say. A message whose recipients are all in final states shrinks to its counts and its id.
struct Books {
    since: Timestamp,
    until: Option<Timestamp>,
    open: HashMap<MessageId, Fates>,
    closed: HashSet<MessageId>,
    /// Closed, but with a later record that would change a state, or with contradictions.
    odd: HashSet<MessageId>,
    /// From here on records and store may differ, since nothing has brought them together yet.
    unsettled: Option<Timestamp>,
    audit: Audit,
}

impl Books {
    fn read(store: &Store, since: Timestamp, until: Option<Timestamp>) -> Result<Self, Error> {
        let states = || State::ALL.iter().map(|state| (state.as_str().to_owned(), 0)).collect();
        let audit = Audit { states: states(), ..Audit::default() };
        let last = if store.is_reconciled() { None } else { store.last_record_at()? };
        let unsettled = last.and_then(|last| last.checked_sub(UNSETTLED).ok());
        let mut books = Self { since, until, open: HashMap::new(), closed: HashSet::new(), odd: HashSet::new(), unsettled, audit };
        let scanned = store.scan_records(since, None, &mut |record| {
            books.take(&record);
            ControlFlow::Continue(())
        })?;
        books.audit.unreadable = scanned.unreadable;
        Ok(books)
    }

    fn take(&mut self, record: &Record) {
        let id = record.id;
        if self.closed.contains(&id) {
            if changes_a_state(&record.event) {
                self.odd.insert(id);
            }
            return;
        }
        let begins = match record.event {
            Event::Judged(_) => self.until.is_none_or(|until| record.at < until),
            // A notification of ours begins with being spooled; an id holds its time, so older messages are not taken for one.
            Event::Spooled { .. } => id.time() >= self.since && self.until.is_none_or(|until| id.time() < until),
            _ => false,
        };
        if !begins && !self.open.contains_key(&id) {
            return;
        }
        let fates = self.open.entry(id).or_default();
        fates.apply(record);
        if !fates.contradictions.is_empty() {
            self.odd.insert(id);
        } else if fates.are_final() {
            let fates = self.open.remove(&id).unwrap_or_default();
            self.count(&fates);
            self.closed.insert(id);
        }
    }

    fn count(&mut self, fates: &Fates) {
        self.audit.messages += u64::from(fates.judged);
        for fate in &fates.recipients {
            self.count_one(fates.judged, fate.state, fate.times);
        }
    }

    fn count_one(&mut self, judged: bool, state: State, times: u32) {
        let times = u64::from(times.max(1));
        if judged {
            self.audit.received += times;
            *self.audit.states.entry(state.as_str().to_owned()).or_default() += times;
        } else {
            *self.audit.notifications.entry(state.as_str().to_owned()).or_default() += times;
        }
    }

    /// Mail goes on while we read: where records and store do not agree about a message, both are read again after a pause. What still
    /// differs then is a problem.
    fn compare(mut self, store: &Store) -> Result<Audit, Error> {
        let mut suspects = Vec::new();
        let open: Vec<(MessageId, Fates)> = std::mem::take(&mut self.open).into_iter().collect();
        let open_ids: HashSet<MessageId> = open.iter().map(|(id, _)| *id).collect();
        for (id, fates) in open {
            let owned = Owned::of(store, id);
            if owned.agrees(&fates) { self.settle(id, &fates, &owned) } else { suspects.push(id) }
        }
        for place in [Place::Spool, Place::Quarantine] {
            let unknown = |entry: &Entry| is_live(entry) && !open_ids.contains(&entry.id) && self.is_in_time(entry);
            suspects.extend(store.list(place, unknown, usize::MAX).into_iter().map(|entry| entry.id));
        }
        suspects.sort();
        suspects.dedup();
        for (id, fates) in self.look_again(store, suspects)? {
            self.settle(id, &fates, &Owned::of(store, id));
        }
        self.name_contradictions(store)?;
        let audit = &mut self.audit;
        audit.balanced = audit.problem_count == 0 && audit.received == audit.states.values().sum::<u64>() + audit.in_flight;
        audit.problems.sort_by_key(|problem| problem.id);
        audit.notes.sort_by_key(|note| note.id);
        Ok(self.audit)
    }

    fn is_in_time(&self, entry: &Entry) -> bool {
        let at = entry.id.time();
        at >= self.since && self.until.is_none_or(|until| at < until)
    }

    /// Settles the suspects that turn out to agree; the others are returned with their records' last word.
    fn look_again(&mut self, store: &Store, suspects: Vec<MessageId>) -> Result<Vec<(MessageId, Fates)>, Error> {
        let mut suspects: Vec<(MessageId, Fates)> = suspects.into_iter().map(|id| (id, Fates::default())).collect();
        for _ in 0..ROUNDS {
            if suspects.is_empty() {
                break;
            }
            std::thread::sleep(PAUSE);
            let mut still = Vec::new();
            for (id, fates) in read_again(store, suspects.into_iter().map(|(id, _)| id))? {
                let owned = Owned::of(store, id);
                if owned.agrees(&fates) { self.settle(id, &fates, &owned) } else { still.push((id, fates)) }
            }
            suspects = still;
        }
        Ok(suspects)
    }

    fn name_contradictions(&mut self, store: &Store) -> Result<(), Error> {
        for (id, fates) in read_again(store, std::mem::take(&mut self.odd))? {
            for line in fates.contradictions {
                let what = if line.ends_with(" times") { "double" } else { "contradiction" };
                self.problem(id, what, line);
            }
        }
        Ok(())
    }

    /// Counts a message (unless it was counted when it closed) and names what is wrong with it.
    fn settle(&mut self, id: MessageId, fates: &Fates, owned: &Owned) {
        let counted = self.closed.contains(&id);
        self.audit.messages += u64::from(fates.judged && !counted);
        for fate in &fates.recipients {
            let state = self.settle_recipient(id, fate, owned);
            match state {
                _ if counted => {}
                Some(state) => self.count_one(fates.judged, state, fate.times),
                None => {
                    self.audit.received += u64::from(fate.times.max(1));
                    self.audit.in_flight += u64::from(fate.times.max(1));
                }
            }
        }
        for (address, state) in owned.states.iter().filter(|(address, _)| !fates.recipients.iter().any(|f| f.address.as_str() == *address))
        {
            self.note(id, "record lost", format!("{address}: the store has it ({state}), and there are no records of it"));
        }
    }

    /// The state that this recipient counts in; `None` for in flight.
    fn settle_recipient(&mut self, id: MessageId, fate: &Fate, owned: &Owned) -> Option<State> {
        let address = &fate.address;
        match (fate.state, owned.states.get(address.as_str())) {
            (State::Unanswered, Some(state)) => {
                self.note(id, "record lost", format!("{address}: the store has it ({state}), the records do not say so"));
                return Some(*state);
            }
            (State::Unanswered, None) if Timestamp::now().duration_since(fate.at) < IN_FLIGHT => return None,
            (State::Unanswered, None) => {
                let detail = format!("{address}: judged, and the process ended before the sender was answered; the sender has it");
                self.note(id, "unanswered", detail);
            }
            (state, Some(found)) if *found == state => {}
            (state, Some(found)) if self.unsettled.is_some_and(|since| fate.at >= since) => {
                let detail = format!("{address}: {state} by the records, {found} in the store; the process ended between the two");
                self.note(id, "unsettled", detail);
            }
            (State::Spooled | State::Held, None) if owned.ended.contains_key(address.as_str()) => {
                let state = owned.ended.get(address.as_str()).copied()?;
                self.note(id, "record lost", format!("{address}: the store has it ({state}), the records do not say so"));
                return Some(state);
            }
            (state, Some(found)) => {
                let what = if state.is_final() { "double" } else { "contradiction" };
                self.problem(id, what, format!("{address}: {state} by the records, and {found} in the store"));
            }
            (state @ (State::Spooled | State::Held), None) => {
                self.problem(id, "missing", format!("{address}: {state} by the records, not in the store"));
            }
            (_, None) => {}
        }
        Some(fate.state)
    }

    fn problem(&mut self, id: MessageId, what: &str, detail: String) {
        self.audit.problem_count += 1;
        if self.audit.problems.len() < MAX_LISTED {
            self.audit.problems.push(Problem { id, what: what.to_owned(), detail });
        }
    }

    fn note(&mut self, id: MessageId, what: &str, detail: String) {
        if self.audit.notes.len() < MAX_LISTED {
            self.audit.notes.push(Problem { id, what: what.to_owned(), detail });
        }
    }
}

/// The fates of these messages from all their records: one look at each where they are few, else one walk over the records.
fn read_again(store: &Store, ids: impl IntoIterator<Item = MessageId>) -> Result<BTreeMap<MessageId, Fates>, Error> {
    let mut all: BTreeMap<MessageId, Fates> = ids.into_iter().map(|id| (id, Fates::default())).collect();
    let Some((first, _)) = all.first_key_value() else { return Ok(all) };
    if all.len() > FEW {
        store.scan_records(first.time(), None, &mut |record| {
            if let Some(fates) = all.get_mut(&record.id) {
                fates.apply(&record);
            }
            ControlFlow::Continue(())
        })?;
    } else {
        for (id, fates) in &mut all {
            *fates = Fates::of(&store.records_of(*id)?);
        }
    }
    Ok(all)
}

fn is_live(entry: &Entry) -> bool {
    entry.is_waiting() || entry.is_held()
}

fn changes_a_state(event: &Event) -> bool {
    match event {
        Event::Attempted { outcome, .. } => outcome.is_delivered(),
        Event::Refused { .. } | Event::DeferredIn { .. } | Event::Held { .. } | Event::Discarded { .. } | Event::Bounced { .. } => true,
        Event::Deleted { .. } | Event::HeldBack { .. } => true,
        _ => false,
    }
}

/// What the store has of one message.
struct Owned {
    /// The recipients that wait or are held.
    states: HashMap<String, State>,
    /// Those whose end was written into the store, and whose entry is still there: its record comes next.
    ended: HashMap<String, State>,
}

impl Owned {
    fn of(store: &Store, id: MessageId) -> Self {
        let (mut states, mut ended) = (HashMap::new(), HashMap::new());
        for recipient in [Place::Quarantine, Place::Spool].into_iter().filter_map(|place| store.get(place, id)).flat_map(|e| e.recipients) {
            let address = Address::as_str(&recipient.address).to_owned();
            match recipient.state {
                RecipientState::Spooled { .. } => states.insert(address, State::Spooled),
                RecipientState::Held => states.insert(address, State::Held),
                RecipientState::Bounced { .. } => ended.insert(address, State::Bounced),
                RecipientState::Deleted { .. } => ended.insert(address, State::Deleted),
                RecipientState::Delivered { .. } => ended.insert(address, State::Delivered),
                RecipientState::Released => None,
            };
        }
        Self { states, ended }
    }

    fn agrees(&self, fates: &Fates) -> bool {
        let recorded = |address: &str| fates.recipients.iter().any(|fate| fate.address.as_str() == address);
        self.states.keys().all(|address| recorded(address))
            && fates.recipients.iter().all(|fate| match self.states.get(fate.address.as_str()) {
                Some(state) => *state == fate.state,
                None => !matches!(fate.state, State::Spooled | State::Held),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Area, EntryRecipient};
    use crate::operate::fate::tests::{address, delivered, judged, record, spooled};
    use crate::operate::quarantine::tests::{entry, put};
    use crate::store::{Change, Settings};

    const ANN: &str = "ann@ours.example";
    const CARL: &str = "carl@ours.example";

    fn old(mut records: Vec<Record>) -> Vec<Record> {
        for record in &mut records {
            record.at = record.at.checked_sub(IN_FLIGHT * 2).unwrap();
        }
        records
    }

    fn waits() -> RecipientState {
        RecipientState::Spooled { attempts: 0, next_try: Timestamp::now(), last: None }
    }

    fn keep(id: MessageId, place: Place, state: RecipientState) -> Entry {
        Entry { id, ..entry(place, state) }
    }

    async fn books(records: Vec<Record>, entries: Vec<Entry>) -> Audit {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        store.record(&records).unwrap();
        for entry in entries {
            put(&store, entry).await;
        }
        store.reconciled();
        audit(store, None, None).await.unwrap()
    }

    /// What a process that was killed left, before the next start has brought it together.
    #[tokio::test]
    async fn the_last_hour_may_be_unsettled() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        let id = put(&store, entry(Place::Spool, waits())).await;
        store.record(&[record(id, judged(&[ANN])), record(id, spooled(ANN)), record(id, delivered(ANN))]).unwrap();
        let before = audit(store.clone(), None, None).await.unwrap();
        assert_eq!((before.balanced, found(&before)), (true, vec!["unsettled"]));
        store.reconciled();
        let after = audit(store, None, None).await.unwrap();
        assert_eq!((after.balanced, found(&after)), (false, vec!["double"]));
    }

    fn found(audit: &Audit) -> Vec<&str> {
        audit.problems.iter().chain(&audit.notes).map(|problem| problem.what.as_str()).collect()
    }

    #[tokio::test]
    async fn balanced_books() {
        let ids: Vec<MessageId> = (0..5).map(|_| MessageId::new()).collect();
        let held = || Event::Held { recipient: address(ANN), area: Area::Spam };
        let released = Event::Released { by: "ann".into(), reason: String::new(), recipients: vec![address(ANN)] };
        let records = vec![
            record(ids[0], judged(&[ANN, CARL])),
            record(ids[0], delivered(ANN)),
            record(ids[0], spooled(CARL)),
            record(ids[0], delivered(CARL)),
            record(ids[1], judged(&[ANN])),
            record(ids[1], held()),
            record(ids[2], judged(&[ANN])),
            record(ids[2], spooled(ANN)),
            record(ids[3], judged(&[ANN])),
            record(ids[3], held()),
            record(ids[3], released),
            record(ids[4], spooled(ANN)),
        ];
        let entries = vec![
            keep(ids[1], Place::Quarantine, RecipientState::Held),
            keep(ids[2], Place::Spool, waits()),
            keep(ids[3], Place::Quarantine, RecipientState::Released),
            keep(ids[3], Place::Spool, waits()),
            keep(ids[4], Place::Spool, waits()),
        ];
        let audit = books(records, entries).await;
        assert!(audit.balanced, "{audit:?}");
        assert_eq!((audit.messages, audit.received, audit.states["delivered"], audit.states["held"]), (4, 5, 2, 1));
        assert_eq!((audit.states["spooled"], audit.notifications["spooled"]), (2, 1));
        assert_eq!(found(&audit), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        let id = MessageId::new();
        let held = || Event::Held { recipient: address(ANN), area: Area::Spam };
        let told = |events: Vec<Event>| events.into_iter().map(|event| record(id, event)).collect::<Vec<_>>();
        let in_spool = || vec![keep(id, Place::Spool, waits())];
        type Row<'a> = (&'a str, Vec<Record>, Vec<Entry>, bool, Vec<&'a str>);
        let rows: Vec<Row<'_>> = vec![
            ("spooled, not there", told(vec![judged(&[ANN]), spooled(ANN)]), vec![], false, vec!["missing"]),
            ("held, not there", told(vec![judged(&[ANN]), held()]), vec![], false, vec!["missing"]),
            ("one of two is there", told(vec![judged(&[ANN, CARL]), spooled(ANN), spooled(CARL)]), in_spool(), false, vec!["missing"]),
            ("delivered, and waits", told(vec![judged(&[ANN]), spooled(ANN), delivered(ANN)]), in_spool(), false, vec!["double"]),
            ("held, and waits", told(vec![judged(&[ANN]), held()]), in_spool(), false, vec!["contradiction"]),
            ("delivered twice", told(vec![judged(&[ANN]), delivered(ANN), delivered(ANN)]), vec![], false, vec!["double"]),
            ("delivered, then held", told(vec![judged(&[ANN]), delivered(ANN), held()]), vec![], false, vec!["contradiction"]),
            ("in flight", told(vec![judged(&[ANN])]), vec![], true, vec![]),
            ("unanswered", old(told(vec![judged(&[ANN])])), vec![], true, vec!["unanswered"]),
            ("stored, record lost", old(told(vec![judged(&[ANN])])), in_spool(), true, vec!["record lost"]),
            ("stored, no records", vec![], in_spool(), true, vec!["record lost"]),
        ];
        for (name, records, entries, balanced, what) in rows {
            let audit = books(records, entries).await;
            assert_eq!((audit.balanced, found(&audit)), (balanced, what), "{name}: {audit:?}");
            assert_eq!(audit.received, audit.states.values().sum::<u64>() + audit.in_flight, "{name}");
        }
    }

    #[tokio::test]
    async fn released_copies_count_once() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        let id = put(&store, entry(Place::Quarantine, RecipientState::Held)).await;
        store.record(&[record(id, judged(&[ANN])), record(id, Event::Held { recipient: address(ANN), area: Area::Spam })]).unwrap();
        assert!(audit(store.clone(), None, None).await.unwrap().balanced);
        let mut gone = store.get(Place::Quarantine, id).unwrap();
        gone.recipients = vec![EntryRecipient {
            state: RecipientState::Deleted { by: "ann".into(), at: Timestamp::now() },
            ..gone.recipients[0].clone()
        }];
        store.commit(vec![Change::Update(gone)]).await.unwrap();
        let unrecorded = audit(store.clone(), None, None).await.unwrap();
        assert_eq!((unrecorded.balanced, found(&unrecorded)), (true, vec!["record lost"]), "its record comes before it is removed");
        store.commit(vec![Change::Remove(Place::Quarantine, id)]).await.unwrap();
        let missing = audit(store, None, None).await.unwrap();
        assert_eq!(found(&missing), ["missing"]);
    }
}
