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
    use std::sync::{Arc, Mutex};

    /// 100 messages at once, as deliveries would wait for them.
    async fn sent(pace: Pace) -> Vec<Duration> {
        let start = Instant::now();
        let pace = Arc::new(Mutex::new(pace));
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let pace = pace.clone();
                tokio::spawn(async move {
                    let now = Instant::now();
                    let at = pace.lock().unwrap().reserve(now, now + Duration::from_secs(3600)).unwrap();
                    tokio::time::sleep_until(at).await;
                    start.elapsed()
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.push(task.await.unwrap());
        }
        times.sort();
        times
    }

    #[tokio::test(start_paused = true)]
    async fn groupwise_never_sees_thirty_in_ten_seconds() {
        let wanted = defaults(Profile::Groupwise);
        let times = sent(Pace::new(wanted.rate, wanted.burst)).await;
        let most = times.iter().map(|from| times.iter().filter(|t| *t >= from && **t <= *from + Duration::from_secs(10)).count()).max();
        assert_eq!(most, Some(29));
        let last = times.last().unwrap().as_secs_f64();
        assert!((last - 38.4).abs() < 0.1, "96 intervals of 0.4 s after a burst of 4, not {last}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_fills_the_bucket_once() {
        let mut pace = Pace::new(Some(1.0), 3);
        let far = Instant::now() + Duration::from_secs(3600);
        let mut go = || pace.reserve(Instant::now(), far).unwrap().duration_since(Instant::now()).as_secs();
        assert_eq!([go(), go(), go(), go(), go()], [0, 0, 0, 1, 2]);
        tokio::time::advance(Duration::from_secs(100)).await;
        assert_eq!([go(), go(), go(), go()], [0, 0, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_place_is_not_reserved() {
        let mut pace = Pace::new(Some(1.0), 1);
        let now = Instant::now();
        assert_eq!(pace.reserve(now, now), Some(now));
        assert_eq!(pace.reserve(now, now), None);
        assert_eq!(pace.reserve(now, now + Duration::from_secs(1)), Some(now + Duration::from_secs(1)));
        let mut free = Pace::new(None, 1);
        assert!((0..1000).all(|_| free.reserve(now, now) == Some(now)));
    }
}
