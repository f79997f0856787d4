//! Rule text to matcher to hits. Pure.
//!
//! ```text
//!  rules/detect/*.toml ─► read ─► Rule { where, patterns, outcome, cases }
//!                                  │ literals: what every match must contain
//!                                  ▼
//!  Message ─► fields ─► matcher: one literal automaton per field ─► regex in a window ─► Hit
//!          └► facts (structure) ───────────────────────────────────────────────────────► Hit
//!                                                     rules over hits ──────────────────► Hit
//! ```
//!
//! How to write a rule: `rules/README.md`.

mod addresses;
mod cases;
mod error;
mod facts;
mod fields;
mod literals;
mod matcher;
mod measures;
mod pattern;
mod read;
mod rule;
mod shipped;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use error::{CaseFailure, RuleError};
pub use rule::{Field, Outcome, Rule};

use crate::mail::{Context, Direction, Message, PartId};
use facts::Observed;
use matcher::Scope;
use rule::Test;

/// A rule that matched a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The rule's id.
    pub id: Arc<str>,
    /// The rule's plain words.
    pub words: Arc<str>,
    /// What the rule says.
    pub outcome: Outcome,
    /// What matched: the text, the name, the facts. Not yet made printable.
    pub evidence: String,
    /// The part it matched in, if in one.
    pub part: Option<PartId>,
}

/// All rules, ready to match. Immutable; shared by reference.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    scopes: Vec<Scope>,
    digest: [u8; 32],
}

impl RuleSet {
    /// The rules that come with the program.
    pub fn embedded() -> Self {
        Self::load(&[]).unwrap_or_else(|errors| {
            // The tests read the same texts, so this cannot be met in a built program; no rules is still better than no mail.
            tracing::error!(?errors, "the shipped rules cannot be read");
            Self { rules: Vec::new(), scopes: Vec::new(), digest: [0; 32] }
        })
    }

    /// The shipped rules and those of every `*.toml` in `dirs` (in order of name), or all that is wrong with them.
    ///
    /// A file can change a rule of an earlier file: `[[change]]` with `id` and `score`, `enabled` or `direction`.
    pub fn load(dirs: &[PathBuf]) -> Result<Self, Vec<RuleError>> {
        let mut texts: Vec<(String, String)> = shipped::FILES.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let mut errors = Vec::new();
        for dir in dirs {
            match files_of(dir) {
                Ok(files) => texts.extend(files),
                Err(error) => errors.push(error),
            }
        }
        Self::from_texts(&texts).and_then(|set| if errors.is_empty() { Ok(set) } else { Err(Vec::new()) }).map_err(|more| {
            errors.extend(more);
            errors.sort();
            errors
        })
    }

    /// A set out of (file name, text) pairs.
    pub fn from_texts(texts: &[(String, String)]) -> Result<Self, Vec<RuleError>> {
        let mut digest = Sha256::new();
        let (mut rules, mut changes, mut errors) = (Vec::<Rule>::new(), Vec::new(), Vec::new());
        for (name, text) in texts {
            digest.update((name.len() as u64).to_be_bytes());
            digest.update(name);
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
            let file = read::file(name, text);
            rules.extend(file.rules);
            changes.extend(file.changes);
            errors.extend(file.errors);
        }
        for change in changes {
            match rules.iter_mut().find(|rule| *rule.id == *change.id) {
                Some(rule) => errors.extend(apply(rule, change)),
                None => {
                    let hint =
                        error::suggestion(&change.id, rules.iter().map(|rule| &*rule.id)).map(|close| format!("did you mean {close:?}?"));
                    errors.push(RuleError { hint: hint.unwrap_or_default(), ..change.error });
                }
            }
        }
        errors.extend(conflicts(&rules));
        if !errors.is_empty() {
            errors.sort();
            return Err(errors);
        }
        let scopes = matcher::scopes(&rules, |rule| rule.enabled)
            .map_err(|what| vec![RuleError::of_file("rules", format!("too much rule text for one matcher: {what}"), "")])?;
        Ok(Self { rules, scopes, digest: digest.finalize().into() })
    }

    /// All rules, switched off ones included, in order of reading.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// SHA-256 over the names and texts of all files, for the version id.
    pub fn source_digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Runs the cases of every rule; empty means that all came out as they say.
    pub fn run_cases(&self) -> Vec<CaseFailure> {
        (0..self.rules.len()).flat_map(|index| cases::run(&self.rules, index)).collect()
    }

    /// The rules that match this message. A rule with a score is named once; one that finds content is named for each part.
    pub fn hits(&self, message: &Message, context: &Context) -> Vec<Hit> {
        let mut run = Run::new(self, context);
        let mut tries = Vec::new();
        for scope in &self.scopes {
            fields::each(message, context, &scope.field, &mut |value, part| run.scan(scope, &mut tries, value, message, part));
        }
        run.facts(&Observed::new(message, context));
        run.hits_over_hits();
        run.hits.into_iter().filter(|hit| hit.outcome != Outcome::Helper).collect()
    }
}

/// One message on its way through the rules.
struct Run<'a> {
    set: &'a RuleSet,
    /// How often each rule may still be named.
    left: Vec<u16>,
    hits: Vec<Hit>,
}

impl<'a> Run<'a> {
    fn new(set: &'a RuleSet, context: &Context) -> Self {
        let applies = |directions: &[Direction]| {
            let of_recipient = || context.envelope.recipients.iter().any(|recipient| directions.contains(&recipient.direction));
            directions.is_empty() || directions.contains(&context.direction) || of_recipient()
        };
        let left = set.rules.iter().map(|rule| if rule.enabled && applies(&rule.directions) { rule.outcome.most() } else { 0 });
        Self { set, left: left.collect(), hits: Vec::new() }
    }

    fn take(&mut self, index: usize, evidence: String, part: Option<PartId>) {
        let (Some(left), Some(rule)) = (self.left.get_mut(index), self.set.rules.get(index)) else { return };
        *left = left.saturating_sub(1);
        self.hits.push(Hit { id: rule.id.clone(), words: rule.words.clone(), outcome: rule.outcome, evidence, part });
    }

    fn scan(&mut self, scope: &Scope, tries: &mut Vec<u8>, value: &[u8], message: &Message, part: Option<PartId>) {
        let mut found: Vec<(usize, std::ops::Range<usize>)> = Vec::new();
        let left = &self.left;
        scope.scan(&self.set.rules, tries, value, &|rule| left.get(rule).is_some_and(|left| *left > 0), &mut |rule, range| {
            // Two patterns of a rule in one value are one hit.
            if !found.iter().any(|(known, _)| *known == rule) {
                found.push((rule, range));
            }
        });
        for (rule, range) in found {
            self.take(rule, evidence(&scope.field, value, range, message, part), part);
        }
    }

    fn facts(&mut self, observed: &Observed<'_>) {
        for (index, rule) in self.set.rules.iter().enumerate() {
            if self.left.get(index).is_some_and(|left| *left > 0) && cases::facts_hold(&rule.test, observed) {
                let Test::Facts { any, all, .. } = &rule.test else { continue };
                let held: Vec<_> = any.iter().chain(all).filter(|fact| fact.holds(observed)).map(|fact| observed.evidence(fact)).collect();
                let part = held.iter().find_map(|(_, part)| *part);
                self.take(index, held.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(" "), part);
            }
        }
    }

    fn hits_over_hits(&mut self) {
        let said: HashSet<Arc<str>> = self.hits.iter().map(|hit| hit.id.clone()).collect();
        for (index, rule) in self.set.rules.iter().enumerate() {
            let Test::Hits { any, all, .. } = &rule.test else { continue };
            if self.left.get(index).is_some_and(|left| *left > 0) && cases::hits_hold(&rule.test, &|id| said.contains(id)) {
                let held = any.iter().chain(all).filter(|id| said.contains(id.as_str())).map(String::as_str);
                self.take(index, held.collect::<Vec<_>>().join(" "), None);
            }
        }
    }
}

/// What to show of a match: names and types as a whole, of other fields the matched text.
fn evidence(field: &Field, value: &[u8], range: std::ops::Range<usize>, message: &Message, part: Option<PartId>) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.get(..bytes.len().min(400)).unwrap_or_default()).into_owned();
    let name = part.and_then(|id| message.part(id)).and_then(|part| part.name.as_deref());
    match field {
        Field::Name | Field::Url | Field::Sender | Field::Helo | Field::Subject => text(value),
        Field::Type | Field::DeclaredType => match name {
            Some(name) => format!("{}: {name}", text(value)),
            None => text(value),
        },
        Field::Header(header) => format!("{header}: {}", text(value)),
        _ => text(value.get(range).unwrap_or_default()),
    }
}

fn apply(rule: &mut Rule, change: read::Change) -> Option<RuleError> {
    if let Some(score) = change.score {
        if !matches!(rule.outcome, Outcome::Score(_)) {
            let what = format!("rule {:?} has no score to change", change.id);
            return Some(RuleError { what, hint: "switch it off with enabled = false".into(), ..change.error });
        }
        rule.outcome = Outcome::Score(score);
    }
    rule.enabled = change.enabled.unwrap_or(rule.enabled);
    if let Some(directions) = change.directions {
        rule.directions = directions;
    }
    None
}

/// What is wrong between rules: two of one name, references to rules that are not there, helpers that nobody uses.
fn conflicts(rules: &[Rule]) -> Vec<RuleError> {
    let at = |rule: &Rule, what: String, hint: String| RuleError { file: rule.file.to_string(), line: rule.line, column: 1, what, hint };
    let mut errors = Vec::new();
    let mut known: HashMap<&str, &Rule> = HashMap::new();
    for rule in rules {
        if let Some(first) = known.insert(&rule.id, rule) {
            let hint = format!("it is already in {}:{}; to alter that one write [[change]]", first.file, first.line);
            errors.push(at(rule, format!("duplicate id {:?}", &*rule.id), hint));
        }
    }
    let mut used = HashSet::new();
    for rule in rules {
        let Test::Hits { any, all, not, .. } = &rule.test else { continue };
        for id in any.iter().chain(all).chain(not) {
            used.insert(id.as_str());
            match known.get(id.as_str()) {
                None => {
                    let hint =
                        error::suggestion(id, known.keys().copied()).map(|close| format!("did you mean {close:?}?")).unwrap_or_default();
                    errors.push(at(rule, format!("refers to {id:?}, which is no rule"), hint));
                }
                Some(other) if matches!(other.test, Test::Hits { .. }) => {
                    errors.push(at(
                        rule,
                        format!("refers to {id:?}, which itself refers to rules"),
                        "name the rules below it instead".into(),
                    ));
                }
                Some(_) => {}
            }
        }
    }
    for rule in rules.iter().filter(|rule| rule.outcome == Outcome::Helper && !used.contains(&*rule.id)) {
        errors.push(at(rule, "the rule has no score and no finding, and no other rule uses it".into(), "add score = 1.0".into()));
    }
    errors
}

/// The `*.toml` of a folder, in order of name.
fn files_of(dir: &Path) -> Result<Vec<(String, String)>, RuleError> {
    let trouble = |path: &Path, error: std::io::Error| RuleError::of_file(&path.display().to_string(), format!("cannot read: {error}"), "");
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|error| trouble(dir, error))? {
        let path = entry.map_err(|error| trouble(dir, error))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| std::fs::read_to_string(&path).map(|text| (path.display().to_string(), text)).map_err(|error| trouble(&path, error)))
        .collect()
}

#[cfg(test)]
mod tests;
