//! Backoff: how long a recipient waits for its next attempt. Pure.

use std::time::Duration;

use crate::mail::MessageId;

/// Where a route names no waits, or is not there any more.
const WITHOUT_ROUTE: Duration = Duration::from_secs(900);
/// The first wait for a busy next hop; it doubles from attempt to attempt, up to the longest.
const BUSY_FIRST: Duration = Duration::from_secs(5);
const BUSY_LONGEST: Duration = Duration::from_secs(60);
/// A next hop that is busy so often in a row (a quarter of an hour) counts as one that does not work: a step of the schedule.
pub(super) const BUSY_TRIES: u32 = 20;

/// The wait after the `attempts`th attempt (1, 2 …) failed: the route's schedule, its last step repeated, and spread.
pub(super) fn after_failure(retry: &[Duration], id: MessageId, attempts: u32) -> Duration {
    let step = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(retry.len().saturating_sub(1));
    spread(retry.get(step).copied().unwrap_or(WITHOUT_ROUTE), id, attempts)
}

/// The wait after the next hop was busy for the `times`th time (1, 2 …) in a row.
pub(super) fn after_busy(id: MessageId, times: u32) -> Duration {
    let doubled = BUSY_FIRST.saturating_mul(1 << times.saturating_sub(1).min(10));
    spread(doubled.min(BUSY_LONGEST), id, times)
}

/// Up to a tenth longer, so that a queue that filled at once does not come back at once. The same for the same message and attempt
/// (a restart changes nothing), and even over messages and attempts.
fn spread(wait: Duration, id: MessageId, attempt: u32) -> Duration {
    // SplitMix64's finaliser: neighbouring ids end far apart.
    let mut mixed = id.to_u64() ^ u64::from(attempt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    let part = u32::try_from(mixed % 1000).unwrap_or(0);
    wait.saturating_add(wait / 10_000 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps() {
        let id = MessageId::new();
        let retry = [60, 300, 3600].map(Duration::from_secs);
        for (attempts, base) in [(0, 60), (1, 60), (2, 300), (3, 3600), (4, 3600), (u32::MAX, 3600)] {
            let wait = after_failure(&retry, id, attempts).as_secs();
            assert!((base..=base + base / 10).contains(&wait), "{attempts}: {wait}");
        }
        assert!(after_failure(&[], id, 1) >= WITHOUT_ROUTE);
        for (times, base) in [(1, 5), (2, 10), (3, 20), (4, 40), (5, 60), (50, 60), (u32::MAX, 60)] {
            let wait = after_busy(id, times).as_secs();
            assert!((base..=base + base / 10 + 1).contains(&wait), "{times}: {wait}");
        }
    }

    /// Messages of one burst, whose ids differ in few bits, come back evenly over the tenth, and differently each time.
    #[test]
    fn a_burst_spreads() {
        let retry = [Duration::from_secs(1000)];
        let ids: Vec<MessageId> = (0..10_000).map(|n| MessageId::from_u64((1 << 40) + (n << 18))).collect();
        let mut tenths = [0usize; 10];
        for id in &ids {
            let extra = after_failure(&retry, *id, 1) - retry[0];
            tenths[usize::try_from(extra.as_millis() / 10_000).unwrap().min(9)] += 1;
        }
        assert!(tenths.iter().all(|count| (800..1200).contains(count)), "{tenths:?}");
        let same = ids.iter().filter(|id| after_failure(&retry, **id, 1) == after_failure(&retry, **id, 2)).count();
        assert!(same < 50, "{same}");
        assert_eq!(after_failure(&retry, ids[7], 3), after_failure(&retry, ids[7], 3), "and the same for the same attempt");
    }
}
