//! Deadlines of one delivery. While a sender waits, all hops together have one budget; from the spool each hop has its own.

use std::time::Duration;

use tokio::time::Instant;

use super::{Patience, Settings};

pub(super) struct Clock<'a> {
    settings: &'a Settings,
    patience: Patience,
    start: Instant,
}

impl<'a> Clock<'a> {
    pub fn start(settings: &'a Settings, patience: Patience) -> Self {
        Self { settings, patience, start: Instant::now() }
    }

    /// When a connection must stand, with `hops_left` still to try: they share what is left of the time.
    pub fn connect(&self, hops_left: usize) -> Instant {
        self.connect_from(Instant::now(), hops_left)
    }

    fn connect_from(&self, now: Instant, hops_left: usize) -> Instant {
        match self.patience {
            Patience::Spool => now + self.settings.spool_connect_time.0,
            Patience::Session => {
                let end = self.start + self.settings.connect_time.0;
                // A hop that stalled in the envelope may have used it up: the next one gets what that left.
                let end = if now < end { end } else { self.limit().unwrap_or(end) };
                now + end.saturating_duration_since(now) / u32::try_from(hops_left.max(1)).unwrap_or(1)
            }
        }
    }

    /// How long to wait for a free connection.
    pub fn wait(&self, hops_left: usize) -> Instant {
        match self.patience {
            Patience::Session => self.connect(hops_left).min(Instant::now() + self.settings.wait_time.0),
            Patience::Spool => Instant::now() + self.settings.spool_envelope_time.0,
        }
    }

    /// How long to wait for the pace.
    pub fn pace(&self) -> Instant {
        self.pace_from(Instant::now())
    }

    fn pace_from(&self, now: Instant) -> Instant {
        match self.limit() {
            Some(limit) => limit.min(now + self.settings.wait_time.0),
            None => now + self.settings.spool_envelope_time.0,
        }
    }

    pub fn envelope_time(&self) -> Duration {
        match self.patience {
            Patience::Session => self.settings.envelope_time.0,
            Patience::Spool => self.settings.spool_envelope_time.0,
        }
    }

    pub fn final_time(&self) -> Duration {
        match self.patience {
            Patience::Session => self.settings.final_time.0,
            Patience::Spool => self.settings.spool_final_time.0,
        }
    }

    /// The end of the envelope, over all hops.
    pub fn limit(&self) -> Option<Instant> {
        match self.patience {
            Patience::Session => Some(self.start + self.settings.connect_time.0 + self.settings.envelope_time.0),
            Patience::Spool => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hops_share_the_senders_patience() {
        let settings = Settings::default();
        let clock = Clock::start(&settings, Patience::Session);
        let after = |seconds| clock.start + Duration::from_secs(seconds);
        let connect = |now, hops| clock.connect_from(after(now), hops).duration_since(after(now)).as_secs();
        let pace = |now| clock.pace_from(after(now)).duration_since(after(now)).as_secs();
        assert_eq!((connect(0, 2), connect(0, 1), pace(0)), (10, 20, 5));
        assert_eq!((connect(10, 1), pace(10)), (10, 5));
        assert_eq!((connect(30, 2), connect(30, 1), pace(37)), (5, 10, 3));
        assert_eq!((connect(40, 1), connect(50, 1)), (0, 0));
        let spool = Clock::start(&settings, Patience::Spool);
        let now = spool.start + Duration::from_secs(1000);
        assert_eq!((spool.connect_from(now, 2).duration_since(now).as_secs(), spool.limit()), (60, None));
        assert_eq!((spool.envelope_time().as_secs(), spool.final_time().as_secs()), (300, 600));
    }
}
