//! The schedule: which spool entries are due when, by route, so that a slow route only ever waits for itself.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::mail::{Entry, MessageId, RecipientState};

/// One thing to do: the recipients of this entry that go by this route.
pub(super) type Due = (Arc<str>, MessageId);

/// In memory only; made anew from the spool at start.
#[derive(Default)]
pub(super) struct Schedule {
    plan: Mutex<Plan>,
    wake: Notify,
    landed: Notify,
}

#[derive(Default)]
struct Plan {
    lanes: HashMap<Arc<str>, Lane>,
    /// Entries that somebody is changing by hand: not to be begun now.
    kept_back: HashMap<MessageId, usize>,
}

/// One route. What is looked for at each turn is found at the front of a set, however much waits.
#[derive(Default)]
struct Lane {
    waiting: BTreeSet<(Timestamp, MessageId)>,
    in_flight: HashSet<MessageId>,
    /// All of the lane, those in flight too.
    slots: HashMap<MessageId, Slot>,
    /// The same, the oldest first.
    ages: BTreeSet<(Timestamp, MessageId)>,
    /// Those with a recipient whose sender was not told of a delay.
    untold: BTreeSet<(Timestamp, MessageId)>,
}

#[derive(Clone, Copy)]
struct Slot {
    /// Its next try; `None` while it is in flight and nothing was put down again.
    when: Option<Timestamp>,
    since: Timestamp,
    /// How often in a row the next hop was busy.
    busy: u32,
}

impl Lane {
    fn put(&mut self, id: MessageId, when: Timestamp, since: Timestamp, untold: bool) {
        let busy = self.remove(id).map_or(0, |slot| slot.busy);
        self.waiting.insert((when, id));
        self.ages.insert((since, id));
        if untold {
            self.untold.insert((since, id));
        }
        self.slots.insert(id, Slot { when: Some(when), since, busy });
    }

    fn remove(&mut self, id: MessageId) -> Option<Slot> {
        let slot = self.slots.remove(&id)?;
        if let Some(when) = slot.when {
            self.waiting.remove(&(when, id));
        }
        self.ages.remove(&(slot.since, id));
        self.untold.remove(&(slot.since, id));
        Some(slot)
    }

    fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.in_flight.is_empty()
    }
}

/// What waits on one route.
pub(super) struct Waiting {
    pub(super) route: Arc<str>,
    pub(super) count: usize,
    /// Since when the oldest waits.
    pub(super) oldest: Option<Timestamp>,
}

impl Schedule {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down every route on which recipients of `entry` wait, and takes it off those on which nobody does any more.
    pub(super) fn add_entry(&self, entry: &Entry) {
        let mut by_route: HashMap<&Arc<str>, (Timestamp, bool)> = HashMap::new();
        for recipient in &entry.recipients {
            if let RecipientState::Spooled { next_try, .. } = recipient.state {
                let (when, untold) = by_route.entry(&recipient.route).or_insert((next_try, false));
                *when = next_try.min(*when);
                *untold |= !recipient.warned;
            }
        }
        let since = entry.waits_since();
        let mut plan = self.plan();
        for (route, lane) in &mut plan.lanes {
            if !by_route.contains_key(route) {
                lane.remove(entry.id);
            }
        }
        for (route, (when, untold)) in by_route {
            plan.lanes.entry(route.clone()).or_default().put(entry.id, when, since, untold);
        }
        drop(plan);
        self.wake.notify_one();
    }

    /// Puts one thing down again that is in flight.
    pub(super) fn add_again(&self, route: Arc<str>, when: Timestamp, id: MessageId) {
        let mut plan = self.plan();
        let lane = plan.lanes.entry(route).or_default();
        let since = lane.slots.get(&id).map_or(id.time(), |slot| slot.since);
        let untold = lane.untold.contains(&(since, id));
        lane.put(id, when, since, untold);
        drop(plan);
        self.wake.notify_one();
    }

    /// The entry is gone from the spool.
    pub(super) fn forget(&self, id: MessageId) {
        let mut plan = self.plan();
        for lane in plan.lanes.values_mut() {
            lane.remove(id);
        }
        plan.lanes.retain(|_, lane| !lane.is_empty());
    }

    /// Takes what is due, the most overdue first, no more of a route than `room` says, and nothing that is being tried at this moment.
    pub(super) fn take(&self, now: Timestamp, room: impl Fn(&str) -> usize) -> Vec<Due> {
        let mut plan = self.plan();
        let Plan { lanes, kept_back } = &mut *plan;
        let mut taken = Vec::new();
        for (route, lane) in lanes.iter_mut() {
            let free = room(route).saturating_sub(lane.in_flight.len());
            if free == 0 {
                continue;
            }
            let due = lane.waiting.iter().take_while(|(when, _)| *when <= now);
            let due = due.filter(|(_, id)| !lane.in_flight.contains(id) && !kept_back.contains_key(id));
            let due: Vec<(Timestamp, MessageId)> = due.take(free).copied().collect();
            for (when, id) in due {
                lane.waiting.remove(&(when, id));
                lane.in_flight.insert(id);
                if let Some(slot) = lane.slots.get_mut(&id) {
                    slot.when = None;
                }
                taken.push((route.clone(), id));
            }
        }
        taken
    }

    /// The attempt is over.
    pub(super) fn done(&self, (route, id): &Due) {
        let mut plan = self.plan();
        if let Some(lane) = plan.lanes.get_mut(route) {
            lane.in_flight.remove(id);
            if lane.slots.get(id).is_some_and(|slot| slot.when.is_none()) {
                lane.remove(*id);
            }
            if lane.is_empty() {
                plan.lanes.remove(route);
            }
        }
        drop(plan);
        self.landed.notify_waiters();
    }

    /// When something that is not due yet becomes due.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        use std::ops::Bound::{Excluded, Unbounded};
        let plan = self.plan();
        let after = (Excluded((now, MessageId::from_u64(u64::MAX))), Unbounded);
        plan.lanes.values().filter_map(|lane| lane.waiting.range(after).next()).map(|(when, _)| *when).min()
    }

    /// Returns when something was added.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }

    /// The next hop was busy once more: how often in a row it has been, by now, for this message.
    pub(super) fn busy_again(&self, route: &str, id: MessageId) -> u32 {
        let mut plan = self.plan();
        let slot = plan.lanes.get_mut(route).and_then(|lane| lane.slots.get_mut(&id));
        slot.map_or(1, |slot| {
            slot.busy = slot.busy.saturating_add(1);
            slot.busy
        })
    }

    /// It was not busy this time.
    pub(super) fn not_busy(&self, route: &str, id: MessageId) {
        if let Some(slot) = self.plan().lanes.get_mut(route).and_then(|lane| lane.slots.get_mut(&id)) {
            slot.busy = 0;
        }
    }

    /// Keeps an entry from being begun until the guard is dropped, and waits up to `wait` for what is in flight of it. `None`: it is still
    /// being tried.
    pub(super) async fn keep_back(&self, id: MessageId, wait: Duration) -> Option<KeptBack<'_>> {
        *self.plan().kept_back.entry(id).or_default() += 1;
        let guard = KeptBack { schedule: self, id };
        let landed = async {
            loop {
                let landed = self.landed.notified();
                tokio::pin!(landed);
                landed.as_mut().enable();
                if !self.is_in_flight(id) {
                    return;
                }
                landed.await;
            }
        };
        tokio::time::timeout(wait, landed).await.ok().map(|()| guard)
    }

    fn is_in_flight(&self, id: MessageId) -> bool {
        self.plan().lanes.values().any(|lane| lane.in_flight.contains(&id))
    }

    /// Entries that have waited for longer than `limit` says for their route (`None`: no limit) and are not being tried.
    pub(super) fn older(&self, now: Timestamp, limit: impl Fn(&str) -> Option<Duration>) -> Vec<MessageId> {
        self.pick(now, limit, |lane| &lane.ages)
    }

    /// The same of those whose senders were not told of a delay.
    pub(super) fn untold(&self, now: Timestamp, limit: impl Fn(&str) -> Option<Duration>) -> Vec<MessageId> {
        self.pick(now, limit, |lane| &lane.untold)
    }

    fn pick(
        &self,
        now: Timestamp,
        limit: impl Fn(&str) -> Option<Duration>,
        of: impl Fn(&Lane) -> &BTreeSet<(Timestamp, MessageId)>,
    ) -> Vec<MessageId> {
        let plan = self.plan();
        let mut picked = BTreeSet::new();
        for (route, lane) in &plan.lanes {
            let Some(last) = limit(route).and_then(|limit| now.checked_sub(limit).ok()) else { continue };
            let old = of(lane).iter().take_while(|(since, _)| *since <= last);
            picked.extend(old.map(|(_, id)| *id).filter(|id| !lane.in_flight.contains(id)));
        }
        picked.into_iter().collect()
    }

    /// How much waits on each route, and since when.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let plan = self.plan();
        let of = |(route, lane): (&Arc<str>, &Lane)| Waiting {
            route: route.clone(),
            count: lane.slots.len(),
            oldest: lane.ages.first().map(|(since, _)| *since),
        };
        plan.lanes.iter().map(of).collect()
    }
}

/// While it lives, no attempt is begun on the entry.
pub(super) struct KeptBack<'a> {
    schedule: &'a Schedule,
    id: MessageId,
}

impl Drop for KeptBack<'_> {
    fn drop(&mut self) {
        let mut plan = self.schedule.plan();
        if let Some(hands) = plan.kept_back.get_mut(&self.id) {
            *hands -= 1;
            if *hands == 0 {
                plan.kept_back.remove(&self.id);
            }
        }
        drop(plan);
        self.schedule.wake.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(number: u64) -> MessageId {
        MessageId::from_u64(number)
    }

    fn with(rows: &[(&str, i64, u64)]) -> Schedule {
        let schedule = Schedule::default();
        for (route, when, number) in rows {
            put(&schedule, route, *when, *number);
        }
        schedule
    }

    fn put(schedule: &Schedule, route: &str, when: i64, number: u64) {
        schedule.plan().lanes.entry(route.into()).or_default().put(id(number), at(when), at(i64::try_from(number).unwrap()), true);
    }

    #[test]
    fn oldest_first_and_a_full_route_waits_alone() {
        let schedule = with(&[("slow", 1, 1), ("slow", 2, 2), ("slow", 3, 3), ("fast", 9, 4), ("fast", 99, 5)]);
        let room = |route: &str| if route == "slow" { 2 } else { 10 };
        let mut taken: Vec<u64> = schedule.take(at(10), room).iter().map(|(_, id)| id.to_u64()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 4], "two of the slow route, what is due of the fast one");
        assert!(schedule.take(at(10), room).is_empty(), "the slow route is full");
        schedule.done(&("slow".into(), id(1)));
        assert_eq!(schedule.take(at(10), room), [("slow".into(), id(3))]);
        assert_eq!(schedule.next(at(10)), Some(at(99)));
        assert_eq!(schedule.waiting().iter().map(|lane| lane.count).sum::<usize>(), 4, "in flight is waiting too");
    }

    #[test]
    fn nothing_is_tried_twice_at_once() {
        let schedule = with(&[("r", 1, 1)]);
        assert_eq!(schedule.take(at(10), |_| 9).len(), 1);
        put(&schedule, "r", 2, 1);
        assert!(schedule.take(at(10), |_| 9).is_empty(), "it is being tried");
        schedule.done(&("r".into(), id(1)));
        assert_eq!(schedule.take(at(10), |_| 9).len(), 1);
        schedule.done(&("r".into(), id(1)));
        assert!(schedule.waiting().is_empty(), "and then it is gone");
    }

    #[test]
    fn a_new_time_takes_the_place_of_the_old_one() {
        let schedule = with(&[("r", 100, 1)]);
        put(&schedule, "r", 5, 1);
        assert_eq!(schedule.take(at(10), |_| 9).len(), 1, "tried again at once");
        assert_eq!(schedule.next(at(10)), None, "and not once more at the old time");
        schedule.add_again("r".into(), at(50), id(1));
        schedule.done(&("r".into(), id(1)));
        assert_eq!(schedule.next(at(10)), Some(at(50)));
        schedule.forget(id(1));
        assert!(schedule.next(at(10)).is_none() && schedule.waiting().is_empty());
    }

    #[test]
    fn deadlines_are_of_each_route() {
        let schedule = with(&[("a", 90, 10), ("a", 90, 20), ("b", 90, 10), ("gone", 1, 5)]);
        let limit = |route: &str| match route {
            "a" => Some(Duration::from_secs(85)),
            "b" => None,
            _ => Some(Duration::from_secs(50)),
        };
        assert_eq!(schedule.older(at(100), limit), [id(5), id(10)]);
        assert_eq!(schedule.untold(at(100), limit), [id(5), id(10)]);
        schedule.take(at(1), |_| 1);
        assert_eq!(schedule.older(at(100), limit), [id(10)], "what is being tried is settled by its attempt");
    }

    #[test]
    fn busy_in_a_row() {
        let schedule = with(&[("r", 1, 1)]);
        assert_eq!((schedule.busy_again("r", id(1)), schedule.busy_again("r", id(1))), (1, 2));
        put(&schedule, "r", 2, 1);
        assert_eq!(schedule.busy_again("r", id(1)), 3, "a new time changes nothing");
        schedule.not_busy("r", id(1));
        assert_eq!(schedule.busy_again("r", id(1)), 1);
        assert_eq!(schedule.busy_again("r", id(9)), 1);
    }

    #[tokio::test]
    async fn an_entry_in_hand_is_not_begun() {
        let schedule = with(&[("r", 1, 1), ("s", 1, 1), ("r", 1, 2)]);
        let kept = schedule.keep_back(id(1), Duration::ZERO).await.unwrap();
        let twice = schedule.keep_back(id(1), Duration::ZERO).await.unwrap();
        assert_eq!(schedule.take(at(10), |_| 9), [("r".into(), id(2))]);
        drop(kept);
        assert!(schedule.take(at(10), |_| 9).is_empty(), "somebody else has it still");
        drop(twice);
        assert_eq!(schedule.take(at(10), |_| 9).len(), 2);
        assert!(schedule.keep_back(id(1), Duration::ZERO).await.is_none(), "it is being tried");
        let lands = async {
            for route in ["r", "s"] {
                tokio::task::yield_now().await;
                schedule.done(&(route.into(), id(1)));
            }
        };
        let (kept, ()) = tokio::join!(schedule.keep_back(id(1), Duration::from_secs(60)), lands);
        assert!(kept.is_some(), "now it has landed");
    }

    /// A turn costs by what is taken, not by what waits: with many thousands in flight and waiting, thousands of turns are quick.
    #[test]
    fn many_waiting_cost_nothing() {
        let schedule = Schedule::default();
        for number in 0..50_000 {
            put(&schedule, if number % 2 == 0 { "dead" } else { "fast" }, 1, number + 1);
        }
        let room = |route: &str| if route == "dead" { 100 } else { 1 };
        assert_eq!(schedule.take(at(5), room).len(), 101);
        let mut turns = 0;
        loop {
            let flying: Vec<Due> = schedule.plan().lanes["fast"].in_flight.iter().map(|id| ("fast".into(), *id)).collect();
            flying.iter().for_each(|due| schedule.done(due));
            turns += 1;
            if !schedule.take(at(5), room).iter().any(|(route, _)| &**route == "fast") {
                break;
            }
        }
        assert_eq!(turns, 25_000, "all of the fast route went, while the dead one stood");
    }
}
