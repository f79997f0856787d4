//! Dispatch: empties the spool. Each attempt ends in a conclusion: delivered, tried again later, or bounced.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use metrics::counter;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::Pipeline;
use super::backoff;
use super::bounce::{Failure, Notice};
use super::hand_over::{Handed, Letter, Onward};
use super::schedule::Due;
use crate::deliver::Patience;
use crate::mail::{Address, Entry, MessageId, Outcome, Place, RecipientState};
use crate::store::{Change, StoreError, crash};

/// How long attempts in progress may go on at shutdown; what they had not finished is tried again after the start.
const DRAIN: Duration = Duration::from_secs(20);
/// Messages up to this size are taken out of the spool without asking for memory, so that slow next hops with large ones do not hold
/// them up.
const SMALL: u64 = 1 << 20;
/// When the store cannot be read or written, or an attempt ends abnormally, an entry is tried again after this.
const TROUBLE: Duration = Duration::from_secs(60);

/// Attempts in progress, and what each is about: a task that panics cannot tell any more.
#[derive(Default)]
pub(super) struct Attempts {
    tasks: JoinSet<()>,
    about: HashMap<Id, Due>,
}

impl Attempts {
    pub(super) fn begin(&mut self, due: Due, attempt: impl Future<Output = ()> + Send + 'static) {
        self.about.insert(self.tasks.spawn(attempt).id(), due);
    }

    /// The next one that has ended, and how; `None` where none is in progress.
    pub(super) async fn next(&mut self) -> Option<(Due, Result<(), JoinError>)> {
        let (id, done) = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => (id, Ok(())),
            Err(error) => (error.id(), Err(error)),
        };
        Some((self.about.remove(&id)?, done))
    }
}

impl Pipeline {
    /// Runs until `stop`; exactly one of these per store.
    pub async fn dispatch(self: Arc<Self>, stop: CancellationToken) {
        self.reconcile().await;
        for entry in self.parts.store.list(Place::Spool, Entry::is_waiting, usize::MAX) {
            self.schedule.add_entry(&entry);
        }
        tokio::join!(self.clone().empty_spool(stop.clone()), self.watch_deadlines(stop));
    }

    async fn empty_spool(self: Arc<Self>, stop: CancellationToken) {
        let mut attempts = Attempts::default();
        loop {
            let now = Timestamp::now();
            for (route, id) in self.schedule.take(now, |route| self.room(route)) {
                let (pipeline, about) = (self.clone(), (route.clone(), id));
                attempts.begin(about, async move { pipeline.attempt(&route, id).await });
            }
            let next = self
                .schedule
                .next(now)
                .map_or(Duration::from_secs(3600), |next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
            tokio::select! {
                () = stop.cancelled() => break,
                Some((due, done)) = attempts.next() => self.finished(due, done),
                () = self.schedule.changed() => {}
                () = tokio::time::sleep(next) => {}
            }
        }
        let drain = async { while attempts.next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drain).await.is_err() {
            tracing::warn!("deliveries still in progress at shutdown are tried again after the next start");
        }
    }

    /// An attempt that ended abnormally concluded nothing: its entry is put down again, so that it is not left until the next start.
    pub(super) fn finished(&self, due: Due, done: Result<(), JoinError>) {
        if let Err(error) = done {
            tracing::error!(id = %due.1, route = %due.0, %error, "a delivery attempt ended abnormally; trying again in a minute");
            self.schedule.add_again(due.0.clone(), later(TROUBLE), due.1);
        }
        self.schedule.done(&due);
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
        let _room = if entry.size > SMALL { Some(self.leaving.room(entry.size).await) } else { None };
        let concluded = match self.parts.store.bytes(Place::Spool, id).await {
            Ok(raw) => {
                let handed = self.hand_over(&Letter::of_entry(&entry, &raw, &self.parts.hostname), due, Patience::Spool).await;
                tell(&entry, &handed);
                self.conclude(id, route, &raw, handed).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = concluded {
            tracing::error!(%id, %error, "spool entry cannot be worked on; trying again in a minute");
            self.schedule.add_again(route.clone(), later(TROUBLE), id);
        }
    }

    /// Writes down what became of an attempt: new states, notifications, the end of the entry. What an operator did with a recipient
    /// meanwhile stands, except that what was delivered is delivered.
    pub(super) async fn conclude(&self, id: MessageId, route: &Arc<str>, raw: &Bytes, handed: Vec<Handed>) -> Result<(), StoreError> {
        // At once, not after waiting for others: until it is written, a process that dies would deliver it again.
        self.record(handed.iter().map(|handed| (id, handed.event(false))).collect());
        let _only_one = self.spool_change.lock().await;
        let Some(mut entry) = self.parts.store.get(Place::Spool, id) else { return self.delivered_though_held(id, &handed).await };
        let waits = |entry: &Entry, address: &Address| {
            entry.recipients.iter().any(|r| r.address == *address && matches!(r.state, RecipientState::Spooled { .. }))
        };
        let (handed, taken_out): (Vec<Handed>, Vec<Handed>) = handed.into_iter().partition(|handed| waits(&entry, &handed.address));
        self.delivered_though_held(id, &taken_out).await?;
        if !handed.iter().any(|handed| handed.outcome.is_busy()) {
            self.schedule.not_busy(route, id);
        }
        let relayed = self.relayed(&entry, raw, &handed);
        let now = Timestamp::now();
        let mut failed = Vec::new();
        for handed in handed {
            failed.extend(
                self.take_down(&mut entry, route, handed).map(|handed| Failure::of(&handed, now, self.is_expired(&entry, &handed))),
            );
        }
        let failed = (!failed.is_empty()).then(|| self.bounce(&entry, raw, &failed));
        failed.iter().for_each(|notice| notice.mark(&mut entry));
        let delayed = self.delayed(&mut entry, raw, now);
        self.write_down(entry, failed.into_iter().chain(relayed).chain(delayed)).await
    }

    /// Commits a changed spool entry together with the notifications about it, records and schedules them. The caller holds
    /// `spool_change`. Without a notification nothing waits for a sync: losing the change costs an attempt more. An entry that has ended
    /// stays until that is recorded; where it cannot be, until the next start (see `reconcile`).
    pub(super) async fn write_down(&self, entry: Entry, notices: impl IntoIterator<Item = Notice>) -> Result<(), StoreError> {
        let (mut changes, mut sent, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for notice in notices {
            events.extend(notice.events);
            if let Some((notification, bytes)) = notice.notification {
                sent.push(notification.clone());
                changes.push(Change::Put { entry: notification, bytes });
            }
        }
        let synced = !events.is_empty();
        let waiting = entry.is_waiting();
        changes.push(if waiting || synced { Change::Update(entry.clone()) } else { Change::Remove(Place::Spool, entry.id) });
        if synced {
            self.parts.store.commit(changes).await?;
        } else {
            self.parts.store.note(changes).await?;
        }
        let ended = synced && !waiting;
        if ended {
            crash::point("spool.before_record");
        }
        let recorded = self.record(events);
        if ended && recorded {
            crash::point("spool.before_remove");
            self.parts.store.note(vec![Change::Remove(Place::Spool, entry.id)]).await?;
        }
        sent.iter().for_each(|notification| self.schedule.add_entry(notification));
        if waiting {
            self.schedule.add_entry(&entry)
        } else {
            self.schedule.forget(entry.id)
        }
        Ok(())
    }

    /// Writes one outcome into its recipient's state; gives it back if the recipient has to be given up.
    fn take_down(&self, entry: &mut Entry, lane: &str, handed: Handed) -> Option<Handed> {
        let id = entry.id;
        let expired = self.is_expired(entry, &handed);
        let recipient = entry
            .recipients
            .iter_mut()
            .find(|recipient| recipient.address == handed.address && matches!(recipient.state, RecipientState::Spooled { .. }))?;
        let RecipientState::Spooled { attempts, .. } = recipient.state else { return None };
        recipient.route = handed.route.clone();
        match &handed.outcome {
            Outcome::Delivered { .. } => {
                recipient.state = RecipientState::Delivered { outcome: handed.outcome, at: Timestamp::now() };
                None
            }
            Outcome::Refused { .. } => Some(handed),
            Outcome::Deferred { .. } | Outcome::Unknown { .. } => {
                if matches!(handed.outcome, Outcome::Unknown { .. }) {
                    counter!("mailweir_possible_duplicates_total").increment(1);
                }
                if expired {
                    return Some(handed);
                }
                let (attempts, next_try) = self.next_try(&handed, lane, id, attempts);
                recipient.state = RecipientState::Spooled { attempts, next_try, last: Some(handed.outcome) };
                None
            }
        }
    }

    fn is_expired(&self, entry: &Entry, handed: &Handed) -> bool {
        if matches!(handed.outcome, Outcome::Refused { .. }) {
            return false;
        }
        let age = Duration::try_from(Timestamp::now().duration_since(entry.waits_since())).unwrap_or_default();
        age >= self.expire_of(&handed.route, Some(&handed.address))
    }

    /// How many attempts count after this one, and when the next is due. A busy next hop slows and does not fail: seconds, and no step of
    /// the schedule, unless it goes on for a quarter of an hour. `lane`: the route that the attempt was scheduled on.
    pub(super) fn next_try(&self, handed: &Handed, lane: &str, id: MessageId, attempts: u32) -> (u32, Timestamp) {
        if handed.outcome.is_busy() {
            let times = self.schedule.busy_again(lane, id);
            counter!("mailweir_busy_total", "route" => handed.route.to_string()).increment(1);
            // Where it did not even say so, a limit of our own was reached: a long queue is no failure, however long it takes.
            if handed.outcome.reply().is_none() || !times.is_multiple_of(backoff::BUSY_TRIES) {
                return (attempts, later(backoff::after_busy(id, times)));
            }
        }
        let in_force = self.in_force();
        let retry = in_force.routes.get(&handed.route).map(|route| route.retry.as_slice()).unwrap_or_default();
        let attempts = attempts.saturating_add(1);
        (attempts, later(backoff::after_failure(retry, id, attempts)))
    }
}

pub(super) fn later(wait: Duration) -> Timestamp {
    Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::testing::*;
    use super::*;
    use crate::cli::demo::stand_in::{Behaviour, StandIn};
    use crate::mail::Delivery;

    fn handed(to: &str, outcome: Outcome) -> Handed {
        Handed { address: to.parse().unwrap(), route: "ours".into(), outcome }
    }

    fn here() -> crate::pipeline::InForce {
        let mut ours = route("ours", &["ours.example"], "127.0.0.1:1", Delivery::CutThrough);
        ours.retry = [60, 3600].map(Duration::from_secs).to_vec();
        routes(vec![ours, route("internet", &["*"], "127.0.0.1:1", Delivery::Spool)])
    }

    /// A busy next hop costs seconds and no step; one that stays busy is one that does not work.
    #[tokio::test]
    async fn busy_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let id = pipeline.put(entry(10, vec![waits("ann@ours.example", "ours", None)])).await;
        let mut seen = Vec::new();
        for code in [421, 452, 421, 450, 421] {
            let outcome = deferred(code);
            pipeline.conclude(id, &"ours".into(), &Bytes::from_static(RAW), vec![handed("ann@ours.example", outcome)]).await.unwrap();
            let now = Timestamp::now();
            let RecipientState::Spooled { attempts, next_try, .. } =
                pipeline.parts.store.get(Place::Spool, id).unwrap().recipients[0].state
            else {
                panic!("it waits")
            };
            seen.push((attempts, next_try.duration_since(now).as_secs_f64()));
        }
        let want = [(1, 5.0), (1, 10.0), (1, 20.0), (2, 3600.0), (1, 5.0)];
        for (n, ((attempts, wait), (_, base))) in seen.iter().zip(want).enumerate() {
            assert!((base - 1.0..base * 1.1 + 1.0).contains(wait), "{n}: {attempts} {wait}");
        }
        assert_eq!(seen.iter().map(|(attempts, _)| *attempts).collect::<Vec<_>>(), [1, 1, 1, 2, 2]);
        let busy = handed("ann@ours.example", deferred(421));
        let steps = (0..2 * backoff::BUSY_TRIES).filter(|_| pipeline.next_try(&busy, "ours", id, 7).0 == 8).count();
        assert_eq!(steps, 2, "a quarter of an hour of it is a step");
    }

    /// An attempt that panics is put down again: its entry is not left until the next start.
    #[tokio::test]
    async fn a_panic_strands_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let pipeline = pipeline(dir.path(), here());
        let id = pipeline.put(entry(10, vec![waits("ann@ours.example", "ours", None)])).await;
        let taken = pipeline.schedule.take(Timestamp::now(), |_| 1);
        assert_eq!(taken, [("ours".into(), id)]);
        let mut attempts = Attempts::default();
        attempts.begin(taken[0].clone(), async { panic!("of the test") });
        let (due, done) = attempts.next().await.unwrap();
        assert!(done.is_err() && due == taken[0]);
        pipeline.finished(due, done);
        assert!(attempts.next().await.is_none());
        let next = pipeline.schedule.next(Timestamp::now()).unwrap();
        assert!((55..65).contains(&next.duration_since(Timestamp::now()).as_secs()), "{next}");
        assert_eq!(pipeline.schedule.take(later(TROUBLE * 2), |_| 1), [("ours".into(), id)], "and it is free to be tried");
    }

    /// A next hop that takes connections and never says a word fills its own route, and nothing else.
    #[tokio::test]
    async fn a_dead_route_holds_up_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fast = StandIn::start(Behaviour::default()).await.unwrap();
        let in_force = routes(vec![
            route("dead", &["dead.example"], &mute.local_addr().unwrap().to_string(), Delivery::Spool),
            route("ours", &["ours.example"], &fast.address.to_string(), Delivery::Spool),
        ]);
        let pipeline = pipeline(dir.path(), in_force);
        for n in 0..40 {
            pipeline.put(entry(10, vec![waits(&format!("x{n}@dead.example"), "dead", None)])).await;
            pipeline
                .put(entry(5, vec![waits(&format!("x{n}@dead.example"), "dead", None), waits(&format!("y{n}@ours.example"), "ours", None)]))
                .await;
        }
        let stop = CancellationToken::new();
        let running = tokio::spawn(pipeline.clone().dispatch(stop.clone()));
        tokio::time::timeout(Duration::from_secs(60), fast.wait_for(40)).await.expect("the fast route is emptied");
        let to: BTreeSet<String> = fast.arrived().into_iter().flat_map(|arrived| arrived.recipients).collect();
        assert_eq!(to.len(), 40);
        let dead = pipeline.schedule.waiting().into_iter().find(|lane| &*lane.route == "dead").unwrap();
        assert_eq!(dead.count, 80, "while the dead one stands");
        running.abort();
    }
}
