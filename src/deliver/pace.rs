//! Pacing: a token bucket, kept as the one moment at which it would be full again (the generic cell rate algorithm).

use std::time::Duration;

use tokio::time::Instant;

/// At most `burst` messages at once, and `rate` a second in the long run.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// How far ahead of the even pace a burst may run.
    tolerance: Duration,
    /// When the next message would be due at an even pace.
    due: Option<Instant>,
}

impl Pace {
    /// `rate` in messages per second; not above zero means no limit.
    pub fn new(rate: Option<f64>, burst: u32) -> Self {
        let interval = rate.filter(|rate| *rate > 0.0).and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok()).unwrap_or_default();
        Self { interval, tolerance: interval.saturating_mul(burst.saturating_sub(1)), due: None }
    }

    /// Reserves the next place: when to send. `None` if that is after `deadline`; nothing is reserved then.
    pub fn reserve(&mut self, now: Instant, deadline: Instant) -> Option<Instant> {
        if self.interval.is_zero() {
            return Some(now);
        }
        let due = self.due.unwrap_or(now).max(now);
        let at = due.checked_sub(self.tolerance).unwrap_or(now).max(now);
        if at > deadline {
            return None;
        }
        self.due = Some(due + self.interval);
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::profile::defaults;
    use super::*;
    use crate::mail::Profile;

    /// When each of `count` messages that come at `now` goes, in milliseconds after `start`.
    fn sent(pace: &mut Pace, start: Instant, now: u64, count: usize) -> Vec<u128> {
        let now = start + Duration::from_millis(now);
        (0..count).map(|_| pace.reserve(now, now + Duration::from_secs(3600)).unwrap().duration_since(start).as_millis()).collect()
    }

    #[test]
    fn groupwise_never_sees_thirty_in_ten_seconds() {
        let wanted = defaults(Profile::Groupwise);
        let mut pace = Pace::new(wanted.rate, wanted.burst);
        let start = Instant::now();
        let mut times = Vec::new();
        // A flood, a pause that fills the bucket again, single messages, and a flood.
        for (now, count) in [(0, 60), (40_000, 1), (40_100, 1), (45_000, 3), (46_000, 80)] {
            times.extend(sent(&mut pace, start, now, count));
        }
        let most = times.iter().map(|from| times.iter().filter(|t| *t >= from && **t <= from + 10_000).count()).max();
        assert_eq!(most, Some(29));
        assert_eq!(times[59], 56 * 400, "a burst of 4, then one every 0.4 s");
    }

    #[test]
    fn a_pause_fills_the_bucket_once() {
        let mut pace = Pace::new(Some(1.0), 3);
        let start = Instant::now();
        assert_eq!(sent(&mut pace, start, 0, 5), [0, 0, 0, 1000, 2000]);
        assert_eq!(sent(&mut pace, start, 2500, 1), [3000]);
        assert_eq!(sent(&mut pace, start, 100_000, 4), [100_000, 100_000, 100_000, 101_000]);
    }

    #[test]
    fn a_late_place_is_not_reserved() {
        let mut pace = Pace::new(Some(1.0), 1);
        let now = Instant::now();
        assert_eq!(pace.reserve(now, now), Some(now));
        assert_eq!(pace.reserve(now, now), None);
        assert_eq!(pace.reserve(now, now + Duration::from_secs(1)), Some(now + Duration::from_secs(1)));
        for rate in [None, Some(0.0), Some(-1.0), Some(f64::NAN)] {
            let mut free = Pace::new(rate, 1);
            assert!((0..1000).all(|_| free.reserve(now, now) == Some(now)));
        }
    }
}
