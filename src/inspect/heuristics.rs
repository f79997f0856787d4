//! Spam heuristics: what the score rules of `rules/detect` say, as findings.

use crate::mail::Finding;
use crate::rules::Hit;

/// The findings of all hits that are not about content: scores, spam in itself (GTUBE), notes. Their code is the rule's id.
pub fn check(hits: &[Hit]) -> Vec<Finding> {
    hits.iter().filter(|hit| !hit.outcome.is_content()).filter_map(|hit| finding("heuristics", hit)).collect()
}

/// The finding that a hit makes for the check of this name; `None` for rules that only serve other rules.
pub(super) fn finding(check: &'static str, hit: &Hit) -> Option<Finding> {
    let finding = Finding::new(check, hit.id.to_string(), hit.outcome.class()?, hit.words.to_string(), &hit.evidence);
    Some(match hit.part {
        Some(part) => finding.at(part),
        None => finding,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Class, PartId};
    use crate::rules::Outcome;

    fn hit(outcome: Outcome) -> Hit {
        Hit { id: "a.b".into(), words: "because".into(), outcome, evidence: "x\r\ny".into(), part: Some(PartId(2)) }
    }

    #[test]
    fn hits_become_findings() {
        let hits = [Outcome::Score(1.5), Outcome::Spam, Outcome::Note, Outcome::Helper, Outcome::Content, Outcome::Encrypted].map(hit);
        let findings = check(&hits);
        let classes: Vec<Class> = findings.iter().map(|finding| finding.class.clone()).collect();
        assert_eq!(classes, [Class::Score { points: 1.5 }, Class::Spam, Class::Note]);
        let first = &findings[0];
        assert_eq!((&*first.check, &*first.code, &*first.words, &*first.evidence), ("heuristics", "a.b", "because", "x  y"));
        assert_eq!(first.part, Some(PartId(2)));
    }
}

/// The shipped rules over the corpus, where there is one.
#[cfg(test)]
mod corpus;
