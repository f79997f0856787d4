//! What next hops said about recipients, remembered for a time and in bounded number.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::Verified;

/// Answers in one generation; there are two.
const GENERATION: usize = 50_000;

/// Two generations: when the younger is full, the elder is forgotten as a whole. That bounds the memory without a clock for each entry.
pub(super) struct Answers {
    young: HashMap<String, Answer>,
    old: HashMap<String, Answer>,
    size: usize,
}

struct Answer {
    said: Verified,
    until: Instant,
}

impl Default for Answers {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), size: GENERATION }
    }
}

impl Answers {
    /// What was said, if it still counts.
    pub fn fresh(&self, key: &str, now: Instant) -> Option<Verified> {
        self.get(key).filter(|answer| now < answer.until).map(|answer| answer.said.clone())
    }

    /// Whether the last word about it was that it is taken, however old that is.
    pub fn was_known(&self, key: &str) -> bool {
        self.get(key).is_some_and(|answer| answer.said == Verified::Known)
    }

    /// Remembers an answer. One that cannot tell does not displace an older one that could.
    pub fn put(&mut self, key: String, said: Verified, now: Instant, time: Duration) {
        if matches!(said, Verified::CannotTell(_)) && self.was_known(&key) {
            return;
        }
        if self.young.len() >= self.size {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, Answer { said, until: now + time });
    }

    fn get(&self, key: &str) -> Option<&Answer> {
        self.young.get(key).or_else(|| self.old.get(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounded_and_timed() {
        let mut answers = Answers { size: 10, ..Answers::default() };
        let now = Instant::now();
        let later = now + Duration::from_secs(61);
        let minute = Duration::from_secs(60);
        for n in 0..25 {
            answers.put(n.to_string(), Verified::Known, now, minute);
        }
        assert_eq!(answers.young.len() + answers.old.len(), 15);
        assert_eq!(
            (answers.fresh("24", now), answers.fresh("10", now), answers.fresh("9", now)),
            (Some(Verified::Known), Some(Verified::Known), None)
        );
        assert_eq!((answers.fresh("24", later), answers.was_known("24"), answers.was_known("9")), (None, true, false));
        answers.put("24".into(), Verified::CannotTell("down".into()), later, minute);
        assert!(answers.was_known("24"));
        answers.put("x".into(), Verified::CannotTell("down".into()), later, minute);
        assert!(answers.fresh("x", later).is_some() && !answers.was_known("x"));
    }
}
