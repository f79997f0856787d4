//! Broken syntax: every such place is noted once and repaired, so that what follows can be read.
//!
//! A repair only adds to a line, which then counts as broken: the places of everything else stay what they were.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::de::DeTable;

use super::problem::{Problem, Source};
use super::words;

/// More repairs than this are not worth it.
const MAX_REPAIRS: usize = 50;

/// A text that parses as far as it can be made to.
#[derive(Debug)]
pub struct Repaired {
    /// The text, with brackets and signs added where they were missing.
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
        let (_, errors) = DeTable::parse_recoverable(source.text);
        let mut errors: Vec<(Range<usize>, String)> = errors.iter().map(|e| (e.span().unwrap_or(0..0), e.message().to_owned())).collect();
        errors.sort_by_key(|(span, _)| span.start);
        let brackets = if round < MAX_REPAIRS { missing_bracket(&source, &errors) } else { None };
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

/// What would repair the text: brackets, or an equals sign.
struct Missing {
    problem: Problem,
    begin: Range<usize>,
    at: usize,
    brackets: String,
}

/// The first place that can be repaired.
fn missing_bracket(source: &Source<'_>, errors: &[(Range<usize>, String)]) -> Option<Missing> {
    errors.iter().find_map(|(span, message)| match message.split(", expected").next().unwrap_or_default() {
        "unclosed array" | "unexpected `=` in array" => {
            let list = unclosed_list(source.text)?;
            let problem = Problem::error("the list that begins here is not closed", "] after its last element");
            Some(Missing { problem, at: list.end, brackets: list.quote.into_iter().chain([']']).collect(), begin: list.start..list.end })
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
        "key with no value" => {
            let line = line_at(source.text, span.start)?;
            let (key, value) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            let hint = format!("{key} = {}", if value.is_empty() { "…" } else { value.trim() });
            let brackets = if value.is_empty() { "= 0" } else { "= " };
            let problem = Problem::error(format!("there is no = after `{key}`"), hint);
            Some(Missing { problem, begin: span.clone(), at: span.start, brackets: brackets.to_owned() })
        }
        _ => None,
    })
}

/// The line around an offset.
fn line_at(text: &str, offset: usize) -> Option<&str> {
    let start = text.get(..offset)?.rfind('\n').map_or(0, |at| at + 1);
    text.get(start..)?.lines().next()
}

/// A list without its last bracket.
struct List {
    start: usize,
    /// Where it would have ended: at the end of the last line before one that looks like a setting or a table.
    end: usize,
    /// A quote that is open there.
    quote: Option<char>,
}

/// The first list that is not closed before the next setting begins.
fn unclosed_list(text: &str) -> Option<List> {
    let mut open: Option<(List, i32)> = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (length, quote) = content_end(line);
        let content = line.get(..length)?;
        let key = content.split_once('=').map(|(key, _)| key.trim());
        let is_setting = key.is_some_and(|key| !key.is_empty() && !key.contains(['"', '\'', '[', ']', ',', '{']));
        let header = content.trim_start();
        let is_table = header.starts_with('[') && header.chars().nth(1).is_some_and(|c| c == '[' || c.is_ascii_alphabetic());
        if open.is_some() && (is_setting || is_table) {
            return open.map(|(list, _)| list);
        }
        match &mut open {
            Some((list, depth)) if !content.trim().is_empty() => {
                *depth += balance(content);
                (list.end, list.quote) = (at + length, quote);
            }
            None if is_setting => {
                let value = content.find('=').map_or(length, |equals| equals + 1);
                let start = value + content.get(value..)?.len() - content.get(value..)?.trim_start().len();
                if content.get(start..)?.starts_with('[') {
                    open = Some((List { start: at + start, end: at + length, quote }, balance(content.get(start..)?)));
                }
            }
            _ => {}
        }
        open = open.filter(|(_, depth)| *depth > 0);
        at += line.len();
    }
    open.map(|(list, _)| list)
}

/// Opening brackets less closing ones, outside quotes.
fn balance(content: &str) -> i32 {
    let mut quote = None;
    let mut depth = 0;
    for c in content.chars() {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => depth -= 1,
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    depth
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
            ("[[r]]\na = ['x', 'y'\nb = ['z']\nc =\n", "[[r]]\na = ['x', 'y']\nb = ['z']\nc =\n", &[(2, 5), (4, 4)]),
            ("a = [['x'],\n['y']\n\n[t]\nb = {c = 1}", "a = [['x'],\n['y']]\n\n[t]\nb = {c = 1}", &[(1, 5)]),
            ("a 'x'\nb\nc = 1\n", "a = 'x'\nb= 0\nc = 1\n", &[(1, 3), (2, 2)]),
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
