//! Broken syntax: every such place is noted once and repaired, so that what follows can be read.
//!
//! A repair only adds brackets at the end of a line: lines, and columns of what was there before, stay what they were.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::{Problem, Source};
use super::tree::{self, Path};
use super::words;

/// More repairs than this are not worth it.
const MAX_REPAIRS: usize = 20;

/// A text that parses as far as it can be made to.
#[derive(Debug)]
pub struct Repaired {
    /// The text, with brackets added where they were missing.
    pub text: String,
    /// What was wrong.
    pub problems: Vec<Problem>,
    /// Lines (from 1) on which something was wrong.
    pub broken_lines: BTreeSet<usize>,
}

/// Finds and repairs all syntax errors.
pub fn repair(source: &Source<'_>) -> Repaired {
    let mut repaired = Repaired { text: source.text.to_owned(), problems: Vec::new(), broken_lines: BTreeSet::new() };
    for round in 0..=MAX_REPAIRS {
        let mut text = repaired.text.clone();
        let source = Source { name: source.name, text: &text };
        let (table, errors) = DeTable::parse_recoverable(source.text);
        let mut errors: Vec<(Range<usize>, String)> = errors.iter().map(|e| (e.span().unwrap_or(0..0), e.message().to_owned())).collect();
        errors.sort_by_key(|(span, _)| span.start);
        let brackets = if round < MAX_REPAIRS { missing_bracket(&source, table.get_ref(), &errors) } else { None };
        let Some(missing) = brackets else {
            for (span, message) in errors {
                if repaired.broken_lines.insert(source.position(span.start).0) {
                    repaired.problems.push(words::syntax(&message, &source, &span));
                }
            }
            break;
        };
        repaired.broken_lines.extend(source.position(missing.begin.start).0..=source.position(missing.at).0);
        repaired.problems.push(source.place(missing.problem, &missing.begin));
        text.insert_str(missing.at, &missing.brackets);
        repaired.text = text;
    }
    repaired
}

/// A bracket that would repair the text.
struct Missing {
    problem: Problem,
    begin: Range<usize>,
    at: usize,
    brackets: String,
}

/// The first place where a bracket is missing.
fn missing_bracket(source: &Source<'_>, table: &DeTable<'_>, errors: &[(Range<usize>, String)]) -> Option<Missing> {
    errors.iter().find_map(|(span, message)| match message.split(", expected").next().unwrap_or_default() {
        "unclosed array" => {
            let list = outermost_list(table, span.start)?;
            let (at, quote) = end_of_list(source.text, list.start)?;
            let problem = Problem::error("the list that begins here is not closed", "] after its last element");
            Some(Missing { problem, begin: list, at, brackets: quote.into_iter().chain([']']).collect() })
        }
        "unclosed table" | "unclosed array table" => {
            let start = source.text.get(..span.start)?.rfind('\n').map_or(0, |at| at + 1);
            let line = source.text.get(start..)?.lines().next()?;
            let (end, _) = content_end(line);
            let header = line.get(..end)?;
            let open = header.chars().take_while(|c| *c == '[').count();
            let name = header.trim_matches(['[', ']']).trim();
            let brackets = if open == 2 && !header.ends_with(']') { "]]" } else { "]" };
            let hint = if open == 2 { format!("[[{name}]]") } else { format!("[{name}]") };
            Some(Missing {
                problem: Problem::error("the table's name is not closed", hint),
                begin: start..start + end,
                at: start + end,
                brackets: brackets.to_owned(),
            })
        }
        _ => None,
    })
}

/// The outermost list that reaches to or beyond `offset`, or the last one before it.
fn outermost_list(table: &DeTable<'_>, offset: usize) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    tree::walk(table, &mut Path::default(), &mut |_, _, value| {
        let span = value.span();
        // Of `[[route]]`, list and first table have the span of the header.
        let is_list = matches!(value.get_ref(), DeValue::Array(list) if list.iter().all(|element| element.span() != span));
        let holds = span.start < offset && offset <= span.end;
        if is_list && holds && found.as_ref().is_none_or(|other| span.start < other.start) {
            found = Some(span);
        }
    });
    found
}

/// Where a list that begins at `start` would have ended: at the end of the last line before one that looks like a setting or table.
/// With a quote that is open there.
fn end_of_list(text: &str, start: usize) -> Option<(usize, Option<char>)> {
    let mut at = start;
    let mut end = None;
    for (number, line) in text.get(start..)?.split_inclusive('\n').enumerate() {
        let (length, quote) = content_end(line);
        let content = line.get(..length)?.trim_start();
        let is_setting = content.split_once('=').is_some_and(|(key, _)| !key.is_empty() && !key.contains(['"', '\'', '[', ']', ',']));
        let is_table = content.starts_with('[') && content.chars().nth(1).is_some_and(|c| c == '[' || c.is_ascii_alphabetic());
        if number > 0 && (is_setting || is_table) {
            break;
        }
        if !content.is_empty() {
            end = Some((at + length, quote));
        }
        at += line.len();
    }
    end
}

/// The length of a line without its comment, the white space before that, and the line end; and a quote that is not closed.
fn content_end(line: &str) -> (usize, Option<char>) {
    let mut quote = None;
    let mut end = line.len();
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') => {
                end = at;
                break;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    (line.get(..end).unwrap_or(line).trim_end().len(), quote)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repaired() {
        let rows = [
            ("a = ['x', 'y'\n\nb = 1\n", "a = ['x', 'y']\n\nb = 1\n", &[(1, 5)][..]),
            ("a = ['x', # one\n 'y' # two\n[t]\nb = 1\n", "a = ['x', # one\n 'y'] # two\n[t]\nb = 1\n", &[(1, 5)]),
            ("[t\na = 1\n[[u]\nb = 2\n[[v\n", "[t]\na = 1\n[[u]]\nb = 2\n[[v]]\n", &[(1, 1), (3, 1), (5, 1)]),
            ("a = ['x'\nb = ['y'\nc = 1", "a = ['x']\nb = ['y']\nc = 1", &[(1, 5), (2, 5)]),
            ("a = 'x\nb = y\nc = ['z\nd = 1", "a = 'x\nb = y\nc = ['z']\nd = 1", &[(1, 7), (2, 5), (3, 5)]),
            ("a = 1", "a = 1", &[]),
        ];
        for (text, want, places) in rows {
            let repaired = repair(&Source { name: "f", text });
            assert_eq!(repaired.text, want, "{text:?}");
            let mut found: Vec<(usize, usize)> = repaired.problems.iter().map(|problem| (problem.line, problem.column)).collect();
            found.sort_unstable();
            assert_eq!(found, places, "{text:?}");
        }
    }
}
