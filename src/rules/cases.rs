//! The cases that every rule carries: texts it must hit and texts it must miss.

use super::error::CaseFailure;
use super::facts::Imagined;
use super::fields::readable;
use super::matcher;
use super::rule::{Field, Rule, Test};

/// Runs the cases of the rule at `index` as the matcher would see them, and names those that come out wrong.
pub(super) fn run(rules: &[Rule], index: usize) -> Vec<CaseFailure> {
    let Some(rule) = rules.get(index) else { return Vec::new() };
    let cases = rule.hit.iter().map(|case| (case, true)).chain(rule.miss.iter().map(|case| (case, false)));
    let failure = |what: String, case: &str| CaseFailure {
        file: rule.file.to_string(),
        line: rule.line,
        rule: rule.id.to_string(),
        what,
        case: case.to_owned(),
    };
    let mut failures = Vec::new();
    for (case, wanted) in cases {
        match outcome(rules, index, case) {
            Ok(hit) if hit == wanted => {}
            Ok(true) => failures.push(failure("a miss case is hit".into(), case)),
            Ok(false) => failures.push(failure("a hit case is missed".into(), case)),
            Err(error) => failures.push(failure(error, case)),
        }
    }
    failures
}

/// Whether the rule hits the case.
fn outcome(rules: &[Rule], index: usize, case: &str) -> Result<bool, String> {
    let Some(rule) = rules.get(index) else { return Ok(false) };
    match &rule.test {
        Test::Text { .. } => text(rules, index, case),
        Test::Facts { .. } => Ok(facts_hold(&rule.test, &Imagined::parse(case)?)),
        Test::Hits { any, all, not, .. } => {
            let said: Vec<&str> = case.split_whitespace().collect();
            if let Some(stranger) = said.iter().find(|id| !any.iter().chain(all).chain(not).any(|known| known == *id)) {
                return Err(format!("the rule does not refer to {stranger:?}"));
            }
            Ok(hits_hold(&rule.test, &|id| said.contains(&id)))
        }
    }
}

/// Through the same automaton and windows as real mail, in a set of this rule alone.
fn text(rules: &[Rule], index: usize, case: &str) -> Result<bool, String> {
    let mut hit = false;
    for scope in matcher::scopes(rules, |rule| rules.get(index).is_some_and(|wanted| rule.id == wanted.id))? {
        let value = match scope.field {
            Field::Body => readable(case),
            _ => case.into(),
        };
        scope.scan(rules, &mut Vec::new(), value.as_bytes(), &|_| true, &mut |_, _| hit = true);
    }
    Ok(hit)
}

/// Whether a facts test holds.
pub(super) fn facts_hold(test: &Test, source: &dyn super::facts::Source) -> bool {
    let Test::Facts { any, all, not } = test else { return false };
    (any.is_empty() || any.iter().any(|fact| fact.holds(source)))
        && all.iter().all(|fact| fact.holds(source))
        && !not.iter().any(|fact| fact.holds(source))
}

/// Whether a hits test holds, given which rules were hit.
pub(super) fn hits_hold(test: &Test, said: &dyn Fn(&str) -> bool) -> bool {
    let Test::Hits { any, all, not, at_least } = test else { return false };
    any.iter().filter(|id| said(id)).count() >= *at_least && all.iter().all(|id| said(id)) && !not.iter().any(|id| said(id))
}
