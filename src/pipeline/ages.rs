//! Ages: how much mail is in each passing state, since when, and what its deadline is. What grows past it, somebody must look at.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Pipeline;
use crate::mail::Place;

/// The longest that a message may be on its way to a reply: all budgets of a session together.
const ACCEPTING: Duration = Duration::from_secs(300);
/// The longest that a release may take: the virus scan, and the longest wait for the next hop that may be asked for.
const RELEASING: Duration = Duration::from_secs(600);

/// One state that mail passes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// `spooled`, `held`, `accepting`, `releasing`.
    pub state: String,
    /// The route of what is spooled, the area of what is held; empty for the others.
    pub name: String,
    /// How many messages.
    pub count: u64,
    /// The age of the oldest in seconds; 0 where there is none.
    pub oldest: u64,
    /// The age in seconds at which it is acted on: given up, expired; or, of what somebody waits for, at which something is wrong.
    pub deadline: u64,
}

/// Work that somebody waits for: how much of it, and since when.
#[derive(Debug, Default)]
pub(super) struct Underway(Mutex<(u64, BTreeSet<(Instant, u64)>)>);

impl Underway {
    /// Begun; ends when the guard is dropped.
    pub(super) fn begin(&self) -> Begun<'_> {
        let mut now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        now.0 += 1;
        let mark = (Instant::now(), now.0);
        now.1.insert(mark);
        Begun { of: self, mark }
    }

    fn age(&self, state: &str, deadline: Duration) -> Age {
        let now = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let oldest = now.1.first().map_or(0, |(begun, _)| begun.elapsed().as_secs());
        Age { state: state.into(), name: String::new(), count: now.1.len() as u64, oldest, deadline: deadline.as_secs() }
    }
}

/// One piece of work underway.
pub(super) struct Begun<'a> {
    of: &'a Underway,
    mark: (Instant, u64),
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.of.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1.remove(&self.mark);
    }
}

impl Pipeline {
    /// Every passing state: each route (those that have nothing too, and those that are not there any more while mail waits for them),
    /// each area, what is being accepted and what is being released.
    pub fn ages(&self) -> Vec<Age> {
        let now = Timestamp::now();
        let seconds = |since: Option<Timestamp>| since.map_or(0, |since| u64::try_from(now.duration_since(since).as_secs()).unwrap_or(0));
        let waiting = self.schedule.waiting();
        let in_force = self.in_force();
        let mut names: BTreeSet<_> = in_force.routes.iter().map(|route| route.name.clone()).collect();
        names.extend(waiting.iter().map(|lane| lane.route.clone()));
        let spooled = names.into_iter().map(|name| {
            let lane = waiting.iter().find(|lane| lane.route == name);
            Age {
                state: "spooled".into(),
                count: lane.map_or(0, |lane| lane.count as u64),
                oldest: seconds(lane.and_then(|lane| lane.oldest)),
                deadline: self.expire_of(&name, None).as_secs(),
                name: name.to_string(),
            }
        });
        let store = &self.parts.store;
        let held = store.depths().into_iter().filter(|depth| depth.place == Place::Quarantine).map(|depth| Age {
            state: "held".into(),
            name: depth.area.map(|area| area.to_string()).unwrap_or_default(),
            count: depth.count,
            oldest: seconds(depth.oldest),
            deadline: store.keep(depth.area).as_secs(),
        });
        let others = [self.accepting.age("accepting", ACCEPTING), self.releasing.age("releasing", RELEASING)];
        spooled.chain(held).chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begun_and_ended() {
        let underway = Underway::default();
        let one = underway.begin();
        let two = underway.begin();
        assert_eq!(underway.age("accepting", ACCEPTING).count, 2);
        drop(one);
        drop(two);
        let none = underway.age("accepting", ACCEPTING);
        assert_eq!((none.count, none.oldest, none.deadline), (0, 0, 300));
    }
}
