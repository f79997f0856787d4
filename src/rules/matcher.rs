//! Matching: one literal automaton per field finds candidates, the regular expression confirms them in a window.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::pattern::Pattern;
use super::rule::{Field, Rule, Test, TextTest};

/// After so many windows of one pattern in one value, the whole value is searched once instead.
const WINDOWS: u8 = 24;
/// A value shorter than this is searched as a whole at once; so is every value of a field that is not long by nature.
const SHORT: usize = 512;
/// Marks a pattern as done with in the value at hand.
const DONE: u8 = u8::MAX;

/// All patterns that look at one field.
#[derive(Debug)]
pub(super) struct Scope {
    pub field: Field,
    /// Finds the literals of all patterns; `None` where no pattern has any.
    automaton: Option<AhoCorasick>,
    /// For each literal of the automaton, the triggers it is a literal of.
    literal_triggers: Vec<Vec<usize>>,
    /// Triggers without a literal, tried on every value.
    always: Vec<usize>,
    triggers: Vec<Trigger>,
}

/// A pattern of a rule: which one.
#[derive(Debug, Clone, Copy)]
struct Trigger {
    rule: usize,
    pattern: usize,
}

/// Groups the patterns of the enabled rules by field. Fails only if the automaton would be too big.
pub(super) fn scopes(rules: &[Rule], wanted: impl Fn(&Rule) -> bool) -> Result<Vec<Scope>, String> {
    let mut fields: BTreeMap<String, (Field, Vec<Trigger>)> = BTreeMap::new();
    for (index, rule) in rules.iter().enumerate().filter(|(_, rule)| wanted(rule)) {
        let Test::Text { fields: looked_at, test } = &rule.test else { continue };
        for field in looked_at {
            let (_, triggers) = fields.entry(field.to_string()).or_insert_with(|| (field.clone(), Vec::new()));
            triggers.extend((0..test.any.len()).map(|pattern| Trigger { rule: index, pattern }));
        }
    }
    fields.into_values().map(|(field, triggers)| Scope::new(rules, field, triggers)).collect()
}

fn test_of(rules: &[Rule], trigger: Trigger) -> Option<(&TextTest, &Pattern)> {
    match &rules.get(trigger.rule)?.test {
        Test::Text { test, .. } => test.any.get(trigger.pattern).map(|pattern| (test, pattern)),
        _ => None,
    }
}

impl Scope {
    fn new(rules: &[Rule], field: Field, triggers: Vec<Trigger>) -> Result<Self, String> {
        let mut numbers: HashMap<&[u8], usize> = HashMap::new();
        let mut literals: Vec<&[u8]> = Vec::new();
        let mut literal_triggers: Vec<Vec<usize>> = Vec::new();
        let mut always = Vec::new();
        for (at, trigger) in triggers.iter().enumerate() {
            let Some((_, pattern)) = test_of(rules, *trigger) else { continue };
            if pattern.literals.is_empty() {
                always.push(at);
            }
            for literal in &pattern.literals {
                let number = *numbers.entry(literal).or_insert_with(|| {
                    literals.push(literal);
                    literal_triggers.push(Vec::new());
                    literals.len() - 1
                });
                if let Some(of) = literal_triggers.get_mut(number) {
                    of.push(at);
                }
            }
        }
        let automaton = if literals.is_empty() { None } else { Some(automaton(&literals, field.is_long())?) };
        Ok(Self { field, automaton, literal_triggers, always, triggers })
    }

    /// Finds the rules that match `value`; `take` is told rule and place, and answers whether it wants more of that rule.
    pub fn scan(
        &self,
        rules: &[Rule],
        tries: &mut Vec<u8>,
        value: &[u8],
        open: &dyn Fn(usize) -> bool,
        take: &mut dyn FnMut(usize, Range<usize>),
    ) {
        tries.clear();
        tries.resize(self.triggers.len(), 0);
        for at in &self.always {
            self.confirm(rules, tries, value, *at, None, open, take);
        }
        let Some(automaton) = &self.automaton else { return };
        let Ok(found) = automaton.try_find_overlapping_iter(value) else { return };
        for literal in found {
            let Some(triggers) = self.literal_triggers.get(literal.pattern().as_usize()) else { continue };
            for at in triggers {
                self.confirm(rules, tries, value, *at, Some(literal.range()), open, take);
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the inner step of `scan`, with its whole state")]
    fn confirm(
        &self,
        rules: &[Rule],
        tries: &mut [u8],
        value: &[u8],
        at: usize,
        literal: Option<Range<usize>>,
        open: &dyn Fn(usize) -> bool,
        take: &mut dyn FnMut(usize, Range<usize>),
    ) {
        let (Some(tried), Some(trigger)) = (tries.get_mut(at), self.triggers.get(at).copied()) else { return };
        if *tried == DONE {
            return;
        }
        if !open(trigger.rule) {
            *tried = DONE;
            return;
        }
        let Some((test, pattern)) = test_of(rules, trigger) else { return };
        let found = match literal {
            Some(literal) if self.field.is_long() && pattern.has_window() && *tried < WINDOWS && value.len() > SHORT => {
                *tried += 1;
                pattern.find_around(value, literal)
            }
            _ => {
                *tried = DONE;
                pattern.find(value)
            }
        };
        if let Some(found) = found {
            *tried = DONE;
            if test.rest_holds(value) {
                take(trigger.rule, found);
            }
        }
    }
}

fn automaton(literals: &[&[u8]], long: bool) -> Result<AhoCorasick, String> {
    let bytes: usize = literals.iter().map(|literal| literal.len()).sum();
    // A DFA is the fastest and takes up to some 256 bytes a literal byte: worth it for long texts, and fine for a few thousand rules.
    let kind = if long && bytes < 40_000 { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::Standard)
        .kind(Some(kind))
        .build(literals)
        .map_err(|error| error.to_string())
}
