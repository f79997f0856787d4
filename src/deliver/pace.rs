//! Pacing: the route's own rate, and the lower one that a hop which pushes back has asked for.
//!
//! The first is a token bucket, kept as the one moment at which it would be full again (the generic cell rate algorithm). The second
//! is half of what the hop took before it pushed back, grows from there, and is dropped when it is well above that. Each push-back
//! also means a pause, longer each time until something goes well.

use std::time::Duration;

use tokio::time::Instant;

/// The pause after the first push-back; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The lowest rate that a hop can push us down to, in messages per second.
const SLOWEST: f64 = 1.0;

/// At most `burst` messages at once, and `rate` a second in the long run; less for a hop that pushes back.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// How far ahead of the even pace a burst may run.
    tolerance: Duration,
    /// When the next message would be due at an even pace.
    due: Option<Instant>,
    slowed: Option<Slowed>,
    /// The end of the pause.
    resume: Option<Instant>,
    /// Push-backs since something went well.
    strikes: u32,
    taken: Taken,
}

/// The lower rate.
#[derive(Debug)]
struct Slowed {
    rate: f64,
    /// What it took before.
    before: f64,
    due: Instant,
}

/// How many messages a hop takes.
#[derive(Debug, Default)]
struct Taken {
    since: Option<Instant>,
    count: u32,
    /// Per second, of the time before.
    last: f64,
}

impl Taken {
    fn one(&mut self, now: Instant) {
        let since = *self.since.get_or_insert(now);
        let seconds = now.saturating_duration_since(since).as_secs_f64();
        if seconds >= 1.0 {
            (self.last, self.count, self.since) = (f64::from(self.count) / seconds, 0, Some(now));
        }
        self.count = self.count.saturating_add(1);
    }

    fn per_second(&self, now: Instant) -> f64 {
        let seconds = self.since.map_or(1.0, |since| now.saturating_duration_since(since).as_secs_f64().max(0.1));
        self.last.max(f64::from(self.count) / seconds)
    }
}

impl Pace {
    /// `rate` in messages per second; not above zero means no limit.
    pub fn new(rate: Option<f64>, burst: u32) -> Self {
        let interval = rate.filter(|rate| *rate > 0.0).and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok()).unwrap_or_default();
        let tolerance = interval.saturating_mul(burst.saturating_sub(1));
        Self { interval, tolerance, due: None, slowed: None, resume: None, strikes: 0, taken: Taken::default() }
    }

    /// Reserves the next place: when to send. `None` if that is after `deadline`; nothing is reserved then.
    pub fn reserve(&mut self, now: Instant, deadline: Instant) -> Option<Instant> {
        let slowed = self.slowed.as_ref().map_or(now, |slowed| slowed.due);
        let from = now.max(slowed).max(self.resume.unwrap_or(now));
        let due = self.due.unwrap_or(from).max(from);
        let at = if self.interval.is_zero() { from } else { due.checked_sub(self.tolerance).unwrap_or(from).max(from) };
        if at > deadline {
            return None;
        }
        if !self.interval.is_zero() {
            self.due = Some(due + self.interval);
        }
        if let Some(slowed) = &mut self.slowed {
            slowed.due = at + Duration::try_from_secs_f64(1.0 / slowed.rate).unwrap_or(LONGEST_PAUSE);
        }
        Some(at)
    }

    /// The end of the pause, if there is one.
    pub fn pause(&self, now: Instant) -> Option<Instant> {
        self.resume.filter(|resume| now < *resume)
    }

    /// The hop pushed back: a pause, and then, if it was about messages and not about connections, half as many of them. How long the
    /// pause is.
    pub fn push_back(&mut self, now: Instant, messages: bool) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.strikes.min(10)).min(LONGEST_PAUSE);
        self.strikes = self.strikes.saturating_add(1);
        let resume = now + pause;
        self.resume = Some(resume);
        if !messages {
            return pause;
        }
        let taken = self.taken.per_second(now);
        let before = self.slowed.as_ref().map_or(taken.max(1.0), |slowed| slowed.before);
        let rate = self.slowed.as_ref().map_or(before, |slowed| slowed.rate) / 2.0;
        self.slowed = Some(Slowed { rate: rate.max(SLOWEST), before, due: resume });
        pause
    }

    /// The hop took one.
    pub fn went_well(&mut self, now: Instant) {
        self.taken.one(now);
        self.strikes = 0;
        if let Some(slowed) = &mut self.slowed {
            // So much more each second: from half to twice the old rate in half a minute, and a slow hop in seconds.
            let more = (slowed.before / 20.0).max(1.0) / slowed.rate;
            slowed.rate += more.min(slowed.rate);
            if slowed.rate > 2.0 * slowed.before {
                self.slowed = None;
            }
        }
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
        assert_eq!(most, Some(28), "one is left for the network, which may hold one up and let the next pass");
        assert_eq!(times[59], 57 * 400, "a burst of 3, then one every 0.4 s");
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

    #[test]
    fn push_back_pauses_halves_and_is_forgotten() {
        let mut pace = Pace::new(None, 1);
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        // 100 a second, for two seconds.
        (0..200).for_each(|n| pace.went_well(at(n * 10)));
        let now = at(2000);
        assert_eq!(pace.push_back(now, false), FIRST_PAUSE);
        assert!(pace.slowed.is_none(), "fewer connections are enough");
        pace.went_well(now);
        assert_eq!(pace.push_back(now, true), FIRST_PAUSE);
        assert_eq!(pace.pause(now), Some(at(2500)));
        assert_eq!(pace.reserve(now, at(2400)), None);
        assert_eq!(sent(&mut pace, start, 2000, 3), [2500, 2520, 2540], "half of 100 a second, after the pause");
        // No answer but push-back: the pause doubles up to its limit, and the rate falls to its own.
        let pauses: Vec<u64> = (0..9).map(|_| pace.push_back(now, true).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30, 30]);
        assert!(pace.slowed.as_ref().is_some_and(|slowed| (SLOWEST..1.5).contains(&slowed.rate)));
        // It recovers: seconds to a fifth of the old rate, and no limit within two minutes of success.
        let mut time = pace.reserve(at(32_000), at(100_000)).unwrap();
        let begin = time;
        while pace.slowed.is_some() {
            pace.went_well(time);
            time = pace.reserve(time, time + Duration::from_secs(60)).unwrap();
        }
        let seconds = time.duration_since(begin).as_secs();
        assert!((20..120).contains(&seconds), "{seconds}");
        assert_eq!(pace.push_back(time, true), FIRST_PAUSE);
    }
}
