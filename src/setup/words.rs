//! What the TOML parser and serde say, in words for an administrator: what is wrong, and what to write instead.

use std::ops::Range;

use toml::Value;

use super::problem::{Problem, Source};
use super::suggest::nearest;
use super::tree::Path;

/// What kinds of number, list and so on serde expects, in our words.
const KINDS: [(&str, &str); 21] = [
    ("a string", "a text in quotes"),
    ("string", "a text in quotes"),
    ("str", "a text in quotes"),
    ("path string", "a path in quotes"),
    ("a boolean", "true or false"),
    ("bool", "true or false"),
    ("u8", "a whole number from 0 to 255"),
    ("u16", "a whole number from 0 to 65535"),
    ("u32", "a whole number, 0 or more"),
    ("u64", "a whole number, 0 or more"),
    ("usize", "a whole number, 0 or more"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("f32", "a number"),
    ("f64", "a number"),
    ("socket address", "an address and a port, such as \"127.0.0.1:25\""),
    ("IP address", "an IP address in quotes"),
    ("a sequence", "a list in [ ]"),
    ("a map", "a table"),
    ("a nonzero usize", "a whole number, 1 or more"),
    ("a nonzero u32", "a whole number, 1 or more"),
];

/// How an error leaves the setting it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nobody reads this setting.
    Unknown,
    /// A setting is missing in this table.
    Missing,
    /// Its value is wrong.
    Wrong,
}

/// A syntax error.
pub fn syntax(message: &str, source: &Source<'_>, span: &Range<usize>) -> Problem {
    let found = source.snippet(span);
    let line = line_around(source.text, span.start);
    let (what, hint) = match message.split(", expected").next().unwrap_or(message) {
        "string values must be quoted" if found.is_empty() => ("there is no value here".to_owned(), format!("{} = …", key_of(line))),
        "string values must be quoted" => (format!("a text needs quotes: {found}"), format!("{} = {}", key_of(line), quoted_rest(line))),
        "key with no value" => (format!("`{}` has no value", line.trim()), format!("{} = …", line.trim())),
        "invalid basic string" | "invalid literal string" => {
            ("the text is not closed with a quote".to_owned(), format!("{}\"", line.trim_end().replace('\'', "\"")))
        }
        "duplicate key" => (format!("`{found}` is written twice"), "do: keep one of the two".to_owned()),
        "unclosed array" | "missing comma between array elements" => {
            ("the list is not closed, or a comma is missing".to_owned(), "[\"one\", \"two\"]".to_owned())
        }
        _ => (message.replace("literal string", "a text in quotes"), "name = value; texts in \"quotes\", lists in [ ]".to_owned()),
    };
    source.place(Problem::error(what, hint), span)
}

/// What serde says about a value.
#[derive(Debug)]
pub struct Said {
    /// What it leaves of the setting.
    pub kind: Kind,
    /// The words.
    pub problem: Problem,
    /// The setting that was meant, where another one was misspelt, or that is missing.
    pub meant: Option<Path>,
}

/// An error that serde found in a value. `names` in messages come from serde; examples from `examples`.
pub fn value(message: &str, path: &Path, examples: &Value) -> Said {
    let name = path.name();
    if message.starts_with("unknown field") {
        return unknown(name, path, &ticked(message), examples);
    }
    if let Some(missing) = message.strip_prefix("missing field").and_then(|rest| ticked(rest).first().map(|name| (*name).to_owned())) {
        let mut inner = path.clone();
        inner.0.push(super::tree::Step::Key(missing.clone()));
        let problem = Problem::error(format!("`{missing}` is missing {}", inner.within()), assignment(&missing, inner.example(examples)));
        return Said { kind: Kind::Missing, problem, meant: Some(inner) };
    }
    let problem = if let Some(rest) = message.strip_prefix("unknown variant") {
        variant(path, &ticked(rest))
    } else if let Some(rest) = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: ")) {
        let (got, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "another value"));
        let (subject, hint) = match path.0.last() {
            Some(super::tree::Step::Index(at)) => {
                let example = path.example(examples).map_or("…".to_owned(), Value::to_string);
                (format!("element {} of `{name}`", at + 1), example)
            }
            _ => (format!("`{name}`"), assignment(name, path.example(examples))),
        };
        Problem::error(format!("{subject} is {}; it must be {}", got_in_words(got), expected_in_words(expected)), hint)
    } else {
        let (what, hint) = message.split_once("; ").unwrap_or((message, ""));
        let hint =
            if hint.is_empty() { assignment(name, path.example(examples)) } else { hint.strip_prefix("write ").unwrap_or(hint).to_owned() };
        Problem::error(format!("`{name}`: {what}"), hint)
    };
    Said { kind: Kind::Wrong, problem, meant: None }
}

/// A setting that nobody reads: a misspelling, or one of another table.
fn unknown(name: &str, path: &Path, known: &[&str], examples: &Value) -> Said {
    let known = known.get(1..).unwrap_or_default();
    let place = path.within();
    let list = format!("settings here are: {}", known.join(", "));
    let what = format!("unknown setting `{name}` {place}");
    let mut meant = None;
    let problem = if let Some(nearest) = nearest(name, known.iter().copied()) {
        let mut right = path.clone();
        if let Some(super::tree::Step::Key(key)) = right.0.last_mut() {
            *key = nearest.to_owned();
        }
        let hint = format!("{} ({list})", assignment(nearest, right.example(examples)));
        meant = Some(right);
        Problem::error(format!("{what}; did you mean `{nearest}`?"), hint)
    } else if let Some(table) = home_of(name, examples).filter(|table| !place.ends_with(table.as_str())) {
        let hint = if table.starts_with('[') {
            format!("do: move it below {table}")
        } else {
            format!("do: move it to {table}, above the first [table]")
        };
        Problem::error(format!("{what}; it belongs {} {table}", if table.starts_with('[') { "in" } else { "at" }), hint)
    } else {
        Problem::error(what, format!("do: take it out; {list}"))
    };
    Said { kind: Kind::Unknown, problem, meant }
}

/// The table in which a setting of this name is known.
fn home_of(name: &str, examples: &Value) -> Option<String> {
    let tables = examples.as_table()?;
    if tables.contains_key(name) {
        return Some("the top of the file".to_owned());
    }
    tables.iter().find_map(|(table, value)| match value {
        Value::Table(inner) if inner.contains_key(name) => Some(format!("[{table}]")),
        Value::Array(list) if list.first().and_then(|first| first.get(name)).is_some() => Some(format!("[[{table}]]")),
        _ => None,
    })
}

fn variant(path: &Path, words: &[&str]) -> Problem {
    let name = path.name();
    let (got, known) = words.split_first().map_or(("", &[][..]), |(got, known)| (*got, known));
    let choices = known.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
    let guess = nearest(got, known.iter().copied()).map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
    match path.0.last() {
        _ if name == got => Problem::error(format!("there is no `{got}` here{guess}"), choices),
        Some(super::tree::Step::Index(_)) => Problem::error(format!("`{name}`: there is no \"{got}\"{guess}"), choices),
        _ => Problem::error(format!("`{name}` cannot be \"{got}\"{guess}"), format!("{name} = {choices}")),
    }
}

/// `name = example`, or `name = …` where there is no example.
pub fn assignment(name: &str, example: Option<&Value>) -> String {
    match example {
        Some(Value::Table(_)) => format!("[{name}]"),
        Some(Value::Array(list)) if list.first().is_some_and(Value::is_table) => format!("[[{name}]]"),
        Some(value) if !matches!(value, Value::String(text) if text.is_empty()) => format!("{name} = {value}"),
        _ => format!("{name} = …"),
    }
}

/// All words between backticks.
fn ticked(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

fn got_in_words(got: &str) -> String {
    let inner = ticked(got).first().copied().unwrap_or_default();
    match got.split([' ', '\n']).next().unwrap_or_default() {
        "integer" | "floating" => format!("the number {inner}"),
        "boolean" => inner.to_owned(),
        "string" => format!("the text {}", got.strip_prefix("string ").unwrap_or_default()),
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        _ => got.to_owned(),
    }
}

fn expected_in_words(expected: &str) -> String {
    match KINDS.iter().find(|(kind, _)| *kind == expected) {
        Some((_, words)) => (*words).to_owned(),
        None if expected.starts_with("struct ") => "a table".to_owned(),
        None => expected.to_owned(),
    }
}

fn line_around(text: &str, offset: usize) -> &str {
    let start = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
    text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default()
}

fn key_of(line: &str) -> &str {
    line.split('=').next().unwrap_or_default().trim()
}

fn quoted_rest(line: &str) -> String {
    let rest = line.split_once('=').map_or("", |(_, rest)| rest).split('#').next().unwrap_or_default().trim();
    format!("\"{}\"", rest.trim_matches(['"', '\'']))
}
