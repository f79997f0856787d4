//! Since when scanning fails: of all mail, and of each message that comes again and again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::mail::{Class, Finding};

/// Messages remembered at once; beyond that the oldest are forgotten, which only makes the policy more patient with them.
const REMEMBERED: usize = 10_000;

/// What the policy's patience is measured by. In memory only: a restart begins anew.
#[derive(Debug, Default)]
pub(super) struct Unscanned {
    /// Since when no message got through all engines.
    all: Option<Instant>,
    /// Since when this very message (by SHA-256) could not be scanned.
    each: HashMap<String, Instant>,
}

impl Unscanned {
    /// Takes down how a scan went; gives for how long it has been going wrong, for all mail or for this message.
    pub(super) fn note(&mut self, sha256: &str, findings: &[Finding], now: Instant) -> Option<Duration> {
        let failed = findings.iter().any(|finding| matches!(finding.class, Class::CouldNotTell { reason } if reason.is_passing()));
        if !failed {
            // Malware found by one engine says nothing about the others.
            if !findings.iter().any(|finding| finding.class == Class::Malware) {
                self.all = None;
            }
            self.each.remove(sha256);
            return None;
        }
        let all = *self.all.get_or_insert(now);
        if self.each.len() >= REMEMBERED && !self.each.contains_key(sha256) {
            let oldest = self.each.iter().min_by_key(|(_, since)| **since).map(|(sha256, _)| sha256.clone());
            oldest.map(|sha256| self.each.remove(&sha256));
        }
        let this = *self.each.entry(sha256.to_owned()).or_insert(now);
        Some(now.saturating_duration_since(all.min(this)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Reason;

    #[test]
    fn patience_ends_for_all_and_for_each() {
        let failed = [Finding::new("antivirus", "av.time", Class::CouldNotTell { reason: Reason::Time }, "", "")];
        let mut unscanned = Unscanned::default();
        let begin = Instant::now();
        let at = |minutes: u64| begin + Duration::from_secs(60 * minutes);
        let minutes = |found: Option<Duration>| found.map(|age| age.as_secs() / 60);
        assert_eq!(minutes(unscanned.note("a", &failed, at(0))), Some(0));
        assert_eq!(minutes(unscanned.note("b", &failed, at(10))), Some(10), "the engines fail since ten minutes");
        assert_eq!(unscanned.note("c", &[], at(11)), None, "they work");
        assert_eq!(minutes(unscanned.note("d", &failed, at(12))), Some(0), "a new failure begins anew");
        assert_eq!(minutes(unscanned.note("a", &failed, at(31))), Some(31), "but this message has failed since the beginning");
        for number in 0..REMEMBERED + 10 {
            unscanned.note(&number.to_string(), &failed, at(40));
        }
        assert!(unscanned.each.len() <= REMEMBERED);
    }
}
