//! The schedule: which spool entries are due when, by route, so that a slow route only ever waits for itself.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
}

#[derive(Default)]
struct Plan {
    by_route: HashMap<Arc<str>, BTreeSet<(Timestamp, MessageId)>>,
    in_flight: HashSet<Due>,
}

impl Schedule {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts down every route on which recipients of `entry` wait.
    pub(super) fn add_entry(&self, entry: &Entry) {
        let mut plan = self.plan();
        for recipient in &entry.recipients {
            if let RecipientState::Spooled { next_try, .. } = recipient.state {
                plan.by_route.entry(recipient.route.clone()).or_default().insert((next_try, entry.id));
            }
        }
        drop(plan);
        self.wake.notify_one();
    }

    /// Puts one thing down again.
    pub(super) fn add_again(&self, route: Arc<str>, when: Timestamp, id: MessageId) {
        self.plan().by_route.entry(route).or_default().insert((when, id));
        self.wake.notify_one();
    }

    /// Takes what is due, oldest first, no more of a route than `room` says, and nothing that is being tried at this moment.
    pub(super) fn take(&self, now: Timestamp, room: impl Fn(&str) -> usize) -> Vec<Due> {
        let mut plan = self.plan();
        let Plan { by_route, in_flight } = &mut *plan;
        let mut taken = Vec::new();
        for (route, waiting) in by_route.iter_mut() {
            let busy = in_flight.iter().filter(|(name, _)| name == route).count();
            let free = room(route).saturating_sub(busy);
            let due: Vec<(Timestamp, MessageId)> = waiting
                .iter()
                .take_while(|(when, _)| *when <= now)
                .filter(|(_, id)| !in_flight.contains(&(route.clone(), *id)))
                .take(free)
                .copied()
                .collect();
            for (when, id) in due {
                waiting.remove(&(when, id));
                if in_flight.insert((route.clone(), id)) {
                    taken.push((route.clone(), id));
                }
            }
        }
        by_route.retain(|_, waiting| !waiting.is_empty());
        taken
    }

    /// The attempt is over.
    pub(super) fn done(&self, due: &Due) {
        self.plan().in_flight.remove(due);
    }

    /// When something that is not due yet becomes due.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let plan = self.plan();
        plan.by_route.values().filter_map(|waiting| waiting.iter().map(|(when, _)| *when).find(|when| *when > now)).min()
    }

    /// Returns when something was added.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn with(rows: &[(&str, i64, u64)]) -> Schedule {
        let schedule = Schedule::default();
        for (route, when, id) in rows {
            schedule.plan().by_route.entry((*route).into()).or_default().insert((at(*when), MessageId::from_u64(*id)));
        }
        schedule
    }

    #[test]
    fn oldest_first_and_a_full_route_waits_alone() {
        let schedule = with(&[("slow", 1, 1), ("slow", 2, 2), ("slow", 3, 3), ("fast", 9, 4), ("fast", 99, 5)]);
        let room = |route: &str| if route == "slow" { 2 } else { 10 };
        let mut taken: Vec<u64> = schedule.take(at(10), room).iter().map(|(_, id)| id.to_u64()).collect();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 4], "two of the slow route, what is due of the fast one");
        assert!(schedule.take(at(10), room).is_empty(), "the slow route is full");
        schedule.done(&("slow".into(), MessageId::from_u64(1)));
        assert_eq!(schedule.take(at(10), room), [("slow".into(), MessageId::from_u64(3))]);
        assert_eq!(schedule.next(at(10)), Some(at(99)));
    }

    #[test]
    fn nothing_is_tried_twice_at_once() {
        let schedule = with(&[("r", 1, 1)]);
        assert_eq!(schedule.take(at(10), |_| 9).len(), 1);
        schedule.plan().by_route.entry("r".into()).or_default().insert((at(2), MessageId::from_u64(1)));
        assert!(schedule.take(at(10), |_| 9).is_empty(), "it is being tried");
        schedule.done(&("r".into(), MessageId::from_u64(1)));
        assert_eq!(schedule.take(at(10), |_| 9).len(), 1);
    }
}
