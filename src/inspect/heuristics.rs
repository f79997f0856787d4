//! Spam heuristics: the score rules of `rules/detect`.
use crate::mail::Finding;
use crate::rules::Hit;
/// stand-in
pub fn check(hits: &[Hit]) -> Vec<Finding> {
    hits.iter()
        .filter_map(|h| Some(Finding::new("heuristics", h.id.to_string(), h.outcome.class()?, h.words.to_string(), &h.evidence)))
        .collect()
}
