//! What is wrong with a rule file: where, what, and what to write instead.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// One mistake in a rule file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, thiserror::Error)]
pub struct RuleError {
    /// The file, as it was named to us.
    pub file: String,
    /// Line, from 1; 0 where the mistake is the file's itself (it cannot be read).
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead; empty if there is nothing to add.
    pub hint: String,
}

impl RuleError {
    /// A mistake in `text`, the content of `file`, at these bytes.
    pub(super) fn at(file: &str, text: &str, span: Range<usize>, what: impl Into<String>, hint: impl Into<String>) -> Self {
        let (line, column) = place(text, span.start);
        Self { file: file.into(), line, column, what: what.into(), hint: hint.into() }
    }

    /// A mistake of the file as a whole.
    pub(super) fn of_file(file: &str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, what: what.into(), hint: hint.into() }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// A case of a rule that did not come out as it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{file}:{line}: rule {rule}: {what}: {case:?}")]
pub struct CaseFailure {
    /// The file of the rule.
    pub file: String,
    /// The line of the rule.
    pub line: usize,
    /// The rule's id.
    pub rule: String,
    /// What went wrong: a `hit` that does not match, a `miss` that does, facts that cannot be read.
    pub what: String,
    /// The text of the case.
    pub case: String,
}

/// Line and column (from 1, in characters) of the byte `offset`.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}

/// The candidate that `word` was probably meant to be.
pub(super) fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance of two short words, in characters, case ignored.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_ascii_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_ascii_lowercase().chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (slot, y) in row.iter_mut().skip(1).zip(&b) {
            let value = (diagonal + usize::from(x != *y)).min(left + 1).min(*slot + 1);
            diagonal = *slot;
            *slot = value;
            left = value;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_suggestions() {
        assert_eq!(place("ab\ncäd", 0), (1, 1));
        assert_eq!(place("ab\ncäd", 4), (2, 2));
        assert_eq!(place("ab\ncäd", 6), (2, 3));
        assert_eq!(place("ab", 99), (1, 3));
        assert_eq!(suggestion("scoer", ["score", "where", "words"]), Some("score"));
        assert_eq!(suggestion("pattren", ["score", "pattern"]), Some("pattern"));
        assert_eq!(suggestion("zzz", ["score", "where"]), None);
    }
}
