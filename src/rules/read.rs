//! Reads a rule file. Every mistake is told, with its place and what to write instead; nothing stops at the first.

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{RuleError, place, suggestion};
use super::facts::Fact;
use super::pattern::Pattern;
use super::rule::{Field, Outcome, Rule, Test, TextTest};
use crate::mail::Direction;

/// Keys of a `[[rule]]`.
const RULE_KEYS: [&str; 16] = [
    "id",
    "words",
    "where",
    "pattern",
    "literal",
    "fact",
    "any",
    "all",
    "not",
    "at_least",
    "score",
    "finding",
    "direction",
    "enabled",
    "hit",
    "miss",
];
/// Keys of a `[[change]]`.
const CHANGE_KEYS: [&str; 4] = ["id", "score", "enabled", "direction"];
/// The largest score, up or down: more than this is a finding, not a score.
const MOST_POINTS: f64 = 100.0;

/// A change to a rule of another file: `[[change]]`.
#[derive(Debug)]
pub(super) struct Change {
    pub id: String,
    pub score: Option<f32>,
    pub enabled: Option<bool>,
    pub directions: Option<Vec<Direction>>,
    /// Where it stands, for the error that there is no such rule.
    pub error: RuleError,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct File {
    pub rules: Vec<Rule>,
    pub changes: Vec<Change>,
    pub errors: Vec<RuleError>,
}

/// Reads the text of one file.
pub(super) fn file(name: &str, text: &str) -> File {
    let mut reader = Reader { name, text, file: File::default() };
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        reader.error(error.span().unwrap_or(0..0), error.message().lines().next().unwrap_or_default(), "rule files are TOML");
    }
    if reader.file.errors.is_empty() {
        reader.document(document.get_ref());
    }
    reader.file
}

type Value<'i> = Spanned<DeValue<'i>>;

struct Reader<'a> {
    name: &'a str,
    text: &'a str,
    file: File,
}

/// One `[[rule]]` table: looks up keys and tells mistakes through the reader.
struct Table<'r, 'a, 'i> {
    reader: &'r mut Reader<'a>,
    table: &'r DeTable<'i>,
    span: Range<usize>,
}

impl Reader<'_> {
    fn error(&mut self, span: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.file.errors.push(RuleError::at(self.name, self.text, span, what, hint));
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let known = key.get_ref().as_ref();
            if !matches!(known, "rule" | "change") {
                self.error(key.span(), format!("unknown key {known:?}"), "a rule file holds [[rule]] and [[change]] tables");
                continue;
            }
            let Some(entries) = value.get_ref().as_array() else {
                self.error(value.span(), format!("{known} must be a list of tables"), format!("write [[{known}]]"));
                continue;
            };
            for entry in entries {
                let Some(table) = entry.get_ref().as_table() else {
                    self.error(entry.span(), format!("{known} must be a table"), format!("write [[{known}]]"));
                    continue;
                };
                let mut table = Table { span: entry.span(), reader: self, table };
                if known == "rule" {
                    table.unknown_keys(&RULE_KEYS);
                    if let Some(rule) = table.rule() {
                        self.file.rules.push(rule);
                    }
                } else {
                    table.unknown_keys(&CHANGE_KEYS);
                    if let Some(change) = table.change() {
                        self.file.changes.push(change);
                    }
                }
            }
        }
    }
}

impl<'i> Table<'_, '_, 'i> {
    fn error(&mut self, span: Range<usize>, what: impl Into<String>, hint: impl Into<String>) {
        self.reader.error(span, what, hint);
    }

    fn unknown_keys(&mut self, known: &[&str]) {
        for key in self.table.keys() {
            let word = key.get_ref().as_ref();
            if !known.contains(&word) {
                let hint = match suggestion(word, known.iter().copied()) {
                    Some(close) => format!("did you mean {close:?}?"),
                    None => format!("known keys: {}", known.join(", ")),
                };
                self.error(key.span(), format!("unknown key {word:?}"), hint);
            }
        }
    }

    fn get(&self, key: &str) -> Option<&Value<'i>> {
        self.table.iter().find(|(known, _)| known.get_ref() == key).map(|(_, value)| value)
    }

    fn text(&mut self, key: &str) -> Option<(String, Range<usize>)> {
        let value = self.get(key)?;
        let span = value.span();
        match value.get_ref().as_str() {
            Some(text) => Some((text.to_owned(), span)),
            None => {
                self.error(span, format!("{key} must be a text"), format!("write {key} = \"…\""));
                None
            }
        }
    }

    fn required(&mut self, key: &str) -> Option<(String, Range<usize>)> {
        if self.get(key).is_none() {
            self.error(self.span.clone(), format!("the rule has no {key}"), format!("add {key} = \"…\""));
        }
        self.text(key)
    }

    /// A text or a list of texts.
    fn texts(&mut self, key: &str) -> Vec<(String, Range<usize>)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let span = value.span();
        let items: Vec<(Option<String>, Range<usize>)> = match value.get_ref() {
            DeValue::String(text) => vec![(Some(text.clone().into_owned()), span)],
            DeValue::Array(items) => items.iter().map(|item| (item.get_ref().as_str().map(str::to_owned), item.span())).collect(),
            _ => vec![(None, span)],
        };
        let mut texts = Vec::new();
        for (text, span) in items {
            match text {
                Some(text) => texts.push((text, span)),
                None => self.error(span, format!("{key} must be a text or a list of texts"), format!("write {key} = [\"…\", \"…\"]")),
            }
        }
        texts
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        let value = self.get(key)?;
        let span = value.span();
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.error(span, format!("{key} must be true or false"), "");
        }
        flag
    }

    fn number(&mut self, key: &str) -> Option<f64> {
        let value = self.get(key)?;
        let span = value.span();
        let digits = match value.get_ref() {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => "",
        };
        let number = digits.parse::<f64>().ok().filter(|number| number.is_finite() && number.abs() <= MOST_POINTS);
        if number.is_none() {
            self.error(span, format!("{key} must be a number between -100 and 100"), "");
        }
        number
    }

    fn directions(&mut self) -> Vec<Direction> {
        let mut directions = Vec::new();
        for (word, span) in self.texts("direction") {
            match [Direction::Inbound, Direction::Outbound, Direction::Internal].into_iter().find(|known| known.as_str() == word) {
                Some(direction) => directions.push(direction),
                None => self.error(span, format!("no direction {word:?}"), "one of inbound, outbound, internal"),
            }
        }
        directions
    }

    fn change(&mut self) -> Option<Change> {
        let (id, span) = self.required("id")?;
        let error = RuleError::at(self.reader.name, self.reader.text, span, format!("no rule {id:?} to change"), "");
        let score = self.number("score").map(|score| score as f32);
        let enabled = self.flag("enabled");
        let directions = self.get("direction").is_some().then(|| self.directions());
        Some(Change { id, score, enabled, directions, error })
    }

    fn rule(&mut self) -> Option<Rule> {
        let errors = self.reader.file.errors.len();
        let id = self.required("id");
        if let Some((id, span)) = id.as_ref().filter(|(id, _)| !is_id(id)) {
            self.error(
                span.clone(),
                format!("{id:?} is not a rule id"),
                "write a dotted name such as \"site.invoice\", or capitals such as GTUBE",
            );
        }
        let words = self.required("words");
        if let Some((_, span)) = words.as_ref().filter(|(words, _)| words.trim().len() < 8) {
            self.error(span.clone(), "words say too little", "say in plain words why a match is a sign");
        }
        let outcome = self.outcome();
        let test = self.test();
        let directions = self.directions();
        let enabled = self.flag("enabled").unwrap_or(true);
        let hit = self.cases("hit", test.as_ref());
        let miss = self.cases("miss", test.as_ref());
        if self.reader.file.errors.len() > errors {
            return None;
        }
        Some(Rule {
            id: id?.0.into(),
            words: words?.0.trim().into(),
            outcome: outcome?,
            directions,
            enabled,
            file: Arc::from(self.reader.name),
            line: place(self.reader.text, self.span.start).0,
            test: test?,
            hit,
            miss,
        })
    }

    fn outcome(&mut self) -> Option<Outcome> {
        let finding = self.text("finding");
        let score = self.number("score");
        match (score, finding) {
            (Some(_), Some((_, span))) => {
                self.error(span, "a rule has a score or a finding, not both", "");
                None
            }
            (Some(score), None) => Some(Outcome::Score(score as f32)),
            (None, Some((word, span))) => {
                let outcome = Outcome::FINDINGS.iter().find(|(known, _)| *known == word).map(|(_, outcome)| *outcome);
                if outcome.is_none() {
                    self.error(span, format!("no finding {word:?}"), "one of content, encrypted, spam, note");
                }
                outcome
            }
            // A key of the wrong kind was told above; no key at all makes a helper.
            (None, None) => Some(Outcome::Helper),
        }
    }

    fn test(&mut self) -> Option<Test> {
        if self.get("where").is_none() {
            self.error(self.span.clone(), "the rule has no where", "say where it looks: where = \"subject\"");
        }
        let places = self.texts("where");
        match places.first().map(|(word, _)| word.as_str())? {
            "structure" => {
                self.only("structure", &["fact", "all", "not"]);
                let test = Test::Facts { any: self.facts("fact"), all: self.facts("all"), not: self.facts("not") };
                if self.get("fact").is_none() && self.get("all").is_none() {
                    self.error(self.span.clone(), "the rule names no fact", "add fact = \"missing:Date\"; the list is in rules/README.md");
                }
                Some(test)
            }
            "hits" => {
                self.only("hits", &["any", "all", "not", "at_least"]);
                let ids = |texts: Vec<(String, Range<usize>)>| texts.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
                let (any, all, not) = (ids(self.texts("any")), ids(self.texts("all")), ids(self.texts("not")));
                if any.is_empty() && all.is_empty() {
                    self.error(self.span.clone(), "the rule names no other rule", "add any = [\"…\"] or all = [\"…\"] with ids of rules");
                }
                let at_least = self.number("at_least").map_or(usize::from(!any.is_empty()), |number| number as usize);
                Some(Test::Hits { any, all, not, at_least })
            }
            _ => self.text_test(places),
        }
    }

    fn text_test(&mut self, places: Vec<(String, Range<usize>)>) -> Option<Test> {
        self.only("a text field", &["pattern", "literal", "all", "not"]);
        let mut fields = Vec::new();
        for (word, span) in places {
            match Field::parse(&word) {
                Some(field) => fields.push(field),
                None => {
                    let known = Field::WORDS.iter().map(|(word, _)| *word).chain(["structure", "hits", "header:Name"]);
                    let hint = match suggestion(&word, known.clone()) {
                        Some(close) => format!("did you mean {close:?}?"),
                        None => format!("one of {}", known.collect::<Vec<_>>().join(", ")),
                    };
                    self.error(span, format!("cannot look into {word:?}"), hint);
                }
            }
        }
        let long = fields.iter().find(|field| field.is_long()).cloned();
        let mut any = self.patterns("pattern", long.as_ref());
        let texts = self.texts("literal");
        any.extend(self.compile(texts, long.as_ref(), Pattern::literal));
        // Without `pattern` the rarest of `all` starts the search; the others are only tried then.
        let mut all = self.patterns("all", None);
        if any.is_empty() && self.get("pattern").is_none() && self.get("literal").is_none() {
            let rarest = all.iter().enumerate().max_by(|(_, a), (_, b)| a.rarity().total_cmp(&b.rarity())).map(|(at, _)| at);
            match rarest {
                Some(at) => any.push(all.swap_remove(at)),
                None if self.get("all").is_none() => {
                    self.error(self.span.clone(), "the rule has no pattern", "add pattern = '…' (a regular expression) or literal = \"…\"");
                }
                None => {}
            }
            if let (Some(field), Some(unfit)) = (&long, any.first().and_then(Pattern::unfit_for_long)) {
                self.error(self.span.clone(), format!("no pattern is fit to search {field}: {unfit}"), NEEDS_TEXT);
            }
        }
        let not = self.patterns("not", None);
        Some(Test::Text { fields, test: TextTest { any, all, not } })
    }

    fn patterns(&mut self, key: &str, long: Option<&Field>) -> Vec<Pattern> {
        let texts = self.texts(key);
        self.compile(texts, long, Pattern::regex)
    }

    fn compile(
        &mut self,
        texts: Vec<(String, Range<usize>)>,
        long: Option<&Field>,
        make: fn(&str) -> Result<Pattern, String>,
    ) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        for (text, span) in texts {
            match make(&text) {
                Ok(pattern) => {
                    if let (Some(field), Some(unfit)) = (long, pattern.unfit_for_long()) {
                        self.error(span, format!("not fit to search {field}: {unfit}"), NEEDS_TEXT);
                    }
                    patterns.push(pattern);
                }
                Err(what) => {
                    let hint = if what.contains("look-around") { "use all = […] and not = […] instead" } else { "" };
                    self.error(span, format!("bad pattern: {what}"), hint);
                }
            }
        }
        patterns
    }

    fn facts(&mut self, key: &str) -> Vec<Fact> {
        let mut facts = Vec::new();
        for (text, span) in self.texts(key) {
            match Fact::parse(&text) {
                Ok(fact) => facts.push(fact),
                Err(hint) => self.error(span, format!("no fact {text:?}"), hint),
            }
        }
        facts
    }

    /// Tells keys that mean nothing for this kind of rule.
    fn only(&mut self, kind: &str, allowed: &[&str]) {
        for key in ["pattern", "literal", "fact", "any", "all", "not", "at_least"] {
            if let Some(value) = self.get(key).filter(|_| !allowed.contains(&key)) {
                let span = value.span();
                self.error(span, format!("{key} means nothing for a rule over {kind}"), format!("use {}", allowed.join(", ")));
            }
        }
    }

    fn cases(&mut self, key: &str, test: Option<&Test>) -> Vec<String> {
        let texts = self.texts(key);
        if texts.is_empty() {
            let example = match test {
                Some(Test::Facts { .. }) => "\"missing:Date url-count=3\"",
                Some(Test::Hits { .. }) => "\"spam.one spam.two\"",
                _ => "\"a value of that field\"",
            };
            self.error(self.span.clone(), format!("the rule has no {key} case"), format!("add {key} = [{example}]"));
        }
        texts.into_iter().map(|(text, _)| text).collect()
    }
}

const NEEDS_TEXT: &str = "a pattern over long fields needs three characters in a row that are the same in every match (or one of few)";

/// `dotted.lower-case` or `CAPITALS_AND_DIGITS`.
fn is_id(id: &str) -> bool {
    let dotted = id.contains('.')
        && id
            .split('.')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b)));
    let capitals =
        id.starts_with(|c: char| c.is_ascii_uppercase()) && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    id.len() <= 80 && (dotted || capitals)
}
