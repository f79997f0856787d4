//! A TOML text into a type, with *all* its mistakes: each one is noted, blanked out, and the rest is read on.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use toml::Value;
use toml::de::{DeTable, DeValue, Deserializer};

use super::problem::{Problem, Source};
use super::syntax;
use super::tree::{self, Path};
use super::words::{self, Kind};

/// After so many mistakes of one kind the rest is not worth reading.
const MAX_PROBLEMS: usize = 100;

/// Where a setting stands: lines and columns from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Its key (of a list's element: the element).
    pub key: (usize, usize),
    /// Its value; of a table the header.
    pub value: (usize, usize),
}

/// What became of a text.
#[derive(Debug)]
pub struct Read<T> {
    /// What could be read; wrong settings have their defaults. `None` if nothing could.
    pub value: Option<T>,
    /// Where each setting that was read stands.
    pub places: BTreeMap<String, Position>,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
    /// Lines that cannot be judged, because the syntax there is broken.
    pub broken_lines: BTreeSet<usize>,
    /// Settings that were taken out, because they are wrong: that they are missing now is nobody's mistake.
    pub removed: Vec<String>,
    /// A whole table was taken out, because a setting was missing in it: what seems missing may be there.
    pub incomplete: bool,
}

/// Reads `source`. `examples` holds, for as many settings as possible, a value that could be written: for hints, and to tell
/// tables from lists of tables.
pub fn read<T: DeserializeOwned>(source: &Source<'_>, examples: &Value) -> Read<T> {
    let repaired = syntax::repair(source);
    let source = Source { name: source.name, text: &repaired.text };
    let mut problems = repaired.problems;
    let (mut table, _) = DeTable::parse_recoverable(source.text);
    let wrong_shapes = shape_problems(table.get_mut(), examples, &mut problems, &source);

    let mut value = None;
    let mut incomplete = false;
    let mut removed: Vec<String> = wrong_shapes.iter().map(Path::to_string).collect();
    for _ in 0..MAX_PROBLEMS {
        let error = match T::deserialize(Deserializer::from(table.clone())) {
            Ok(read) => {
                value = Some(read);
                break;
            }
            Err(error) => error,
        };
        let span = error.span().unwrap_or(0..0);
        let path = tree::locate(table.get_ref(), &span).unwrap_or_default();
        let (path, span) = tree::quoted_element(table.get_ref(), &path, error.message()).unwrap_or((path, span));
        let said = words::value(error.message(), &path, examples);
        let known = said.kind == Kind::Missing && said.meant.as_ref().is_some_and(|meant| removed.contains(&meant.to_string()));
        if !known {
            problems.push(source.place(said.problem, &span));
        }
        removed.extend(said.meant.iter().map(Path::to_string));
        if said.kind == Kind::Missing && fill(table.get_mut(), said.meant.as_ref(), examples) {
            continue;
        }
        incomplete |= said.kind == Kind::Missing;
        removed.push(path.to_string());
        if !tree::remove(table.get_mut(), &path) {
            break;
        }
    }
    let places = tree::places(table.get_ref())
        .into_iter()
        .map(|(path, place)| {
            let (line, column) = source.position(place.value.start);
            (path, Position { key: source.position(place.key.start), value: (line, column) })
        })
        .collect();
    keep_first_of_broken_lines(&mut problems, &repaired.broken_lines);
    problems.sort_by_key(|problem| (problem.line, problem.column));
    Read { value, places, problems, broken_lines: repaired.broken_lines, removed, incomplete }
}

/// Puts an example in the place of a missing setting, so that the rest of its table can be judged; whether that was possible.
fn fill(table: &mut DeTable<'_>, missing: Option<&Path>, examples: &Value) -> bool {
    let Some((path, Some(example))) = missing.map(|path| (path, path.example(examples))) else { return false };
    let parent = Path(path.0.get(..path.0.len().saturating_sub(1)).unwrap_or_default().to_vec());
    tree::insert(table, &parent, path.name(), example)
}

/// Notes and takes out tables written as lists of tables and the other way round: serde would speak of sequences and maps.
fn shape_problems(table: &mut DeTable<'_>, examples: &Value, found: &mut Vec<Problem>, source: &Source<'_>) -> Vec<Path> {
    let mut wrong: Vec<Path> = Vec::new();
    tree::walk(table, &mut Path::default(), &mut |path, _, value| {
        let is_list_of_tables = |list: &[Value]| list.first().is_some_and(Value::is_table);
        let name = path.to_string();
        let (what, hint) = match (path.example(examples), value.get_ref()) {
            (Some(Value::Table(_)), DeValue::Array(_)) => (format!("there is only one `{name}`, not a list of them"), format!("[{name}]")),
            (Some(Value::Table(_)), DeValue::Table(_)) => return,
            (Some(Value::Table(_)), _) => (format!("`{name}` is a table, not a value"), format!("[{name}]  and its settings below")),
            (Some(Value::Array(list)), DeValue::Table(_)) if is_list_of_tables(list) => {
                (format!("there can be several `{name}`, so it takes two brackets"), format!("[[{name}]]"))
            }
            _ => return,
        };
        if !wrong.iter().any(|outer| path.0.starts_with(&outer.0)) {
            found.push(source.place(Problem::error(what, hint), &value.span()));
            wrong.push(path.clone());
        }
    });
    for path in wrong.iter().rev() {
        tree::remove(table, path);
    }
    wrong
}

/// Where the syntax is broken, what else seems wrong on that line is only a consequence.
pub fn keep_first_of_broken_lines(problems: &mut Vec<Problem>, broken: &BTreeSet<usize>) {
    let mut seen = BTreeSet::new();
    problems.retain(|problem| !broken.contains(&problem.line) || seen.insert(problem.line));
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::mail::units::Size;

    #[derive(Debug, Default, Deserialize, serde::Serialize)]
    #[serde(deny_unknown_fields, default)]
    struct Sample {
        name: String,
        sizes: Vec<Size>,
        limits: Limits,
        route: Vec<Route>,
    }

    #[derive(Debug, Deserialize, serde::Serialize)]
    #[serde(deny_unknown_fields, default)]
    struct Limits {
        message_size: Size,
        recipients: u16,
        color: Color,
    }

    impl Default for Limits {
        fn default() -> Self {
            Self { message_size: Size(50_000_000), recipients: 1000, color: Color::DarkRed }
        }
    }

    #[derive(Debug, Clone, Deserialize, serde::Serialize)]
    #[serde(rename_all = "kebab-case")]
    enum Color {
        DarkRed,
        Blue,
    }

    #[derive(Debug, Default, Deserialize, serde::Serialize)]
    #[serde(deny_unknown_fields)]
    struct Route {
        name: String,
        domains: Vec<String>,
    }

    fn problems(text: &str) -> Vec<String> {
        let examples =
            toml::from_str("name='a'\n[limits]\nmessage_size='50MB'\nrecipients=1000\ncolor='blue'\n[[route]]\nname='r'\ndomains=['b']")
                .unwrap();
        let read: Read<Sample> = read(&Source { name: "f", text }, &examples);
        read.problems.iter().map(Problem::to_string).collect()
    }

    #[test]
    fn one_mistake_each() {
        let rows = [
            (
                "nam = 'x'",
                "f:1:1: error: unknown setting `nam` at the top of the file; did you mean `name`?\n    write: name = \"a\" (settings here are: name, sizes, limits, route)",
            ),
            (
                "[limits]\nrecipients = '7'",
                "f:2:14: error: `recipients` is the text \"7\"; it must be a whole number from 0 to 65535\n    write: recipients = 1000",
            ),
            (
                "[limits]\nrecipients = 99999",
                "f:2:14: error: `recipients` is the number 99999; it must be a whole number from 0 to 65535\n    write: recipients = 1000",
            ),
            (
                "[limits]\nmessage_size = 50",
                "f:2:16: error: `message_size` is the number 50; it must be a text in quotes\n    write: message_size = \"50MB\"",
            ),
            (
                "[limits]\nmessage_size = '50 apples'",
                "f:2:16: error: `message_size`: not a size: \"50 apples\"\n    write: a number and KB, MB, GB, KiB, MiB or GiB, such as \"50MB\"",
            ),
            (
                "[limits]\ncolor = 'bleu'",
                "f:2:9: error: `color` cannot be \"bleu\"; did you mean \"blue\"?\n    write: color = \"dark-red\" or \"blue\"",
            ),
            (
                "[limit]\nx = 1",
                "f:1:2: error: unknown setting `limit` at the top of the file; did you mean `limits`?\n    write: [limits] (settings here are: name, sizes, limits, route)",
            ),
            (
                "message_size = '1MB'",
                "f:1:1: error: unknown setting `message_size` at the top of the file; it belongs in [limits]\n    do: move it below [limits]",
            ),
            ("[[route]]\nname = 'r'", "f:1:1: error: `domains` is missing in [[route]]\n    write: domains = [\"b\"]"),
            (
                "sizes = ['1MB', '5 x']",
                "f:1:17: error: `sizes`: not a size: \"5 x\"\n    write: a number and KB, MB, GB, KiB, MiB or GiB, such as \"50MB\"",
            ),
            (
                "[[route]]\ndomains = ['a', 3]\nname = 'r'",
                "f:2:17: error: element 2 of `domains` is the number 3; it must be a text in quotes\n    write: \"b\"",
            ),
            ("[route]\ndomains = ['a']", "f:1:1: error: there can be several `route`, so it takes two brackets\n    write: [[route]]"),
            ("[[limits]]\nrecipients = 3", "f:1:1: error: there is only one `limits`, not a list of them\n    write: [limits]"),
            ("limits = 3", "f:1:10: error: `limits` is a table, not a value\n    write: [limits]  and its settings below"),
            ("name = mx1.example", "f:1:8: error: a text needs quotes: mx1.example\n    write: name = \"mx1.example\""),
            ("name = 'a'\nname = 'b'", "f:2:1: error: `name` is written twice\n    do: keep one of the two"),
            ("name = \"a\n[limits]\nrecipients = 3", "f:1:10: error: the text is not closed with a quote\n    write: name = \"a\""),
            ("[[route]\ndomains = ['a']", "f:1:1: error: the table's name is not closed\n    write: [[route]]"),
        ];
        for (text, want) in rows {
            assert_eq!(problems(text), [want], "{text}");
        }
    }

    #[test]
    fn nothing_wrong() {
        assert_eq!(problems("name = 'x'\nlimits.recipients = 3\n[[route]]\nname = 'r'\ndomains = []"), [""; 0]);
        assert_eq!(problems(""), [""; 0]);
    }

    #[test]
    fn many_mistakes_in_one_text() {
        let text = "nam = 'x'\nname = y\n[limits]\nrecipients = 'x'\nmessage_size = 'y'\ncolour = 'blue'\n[[route]]\ndomain = ['a']\n[[route]]\nname = 'r'\ndomains = [1, 'a', 2]\n";
        let lines: Vec<String> = problems(text).iter().map(|problem| problem.split(' ').next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["f:1:1:", "f:2:8:", "f:4:14:", "f:5:16:", "f:6:1:", "f:7:1:", "f:8:1:", "f:11:12:", "f:11:20:"]);
    }

    #[test]
    fn an_unclosed_list_is_one_mistake() {
        let text = "name = 'x'\n[[route]]\ndomains = ['a', 'b'\nname = 'r'\n[limits]\nrecipients = 3\n";
        assert_eq!(problems(text), ["f:3:11: error: the list that begins here is not closed\n    write: ] after its last element"]);
    }

    #[test]
    fn cut_anywhere_it_ends() {
        let text = "name = 'x'\n[limits]\nrecipients = 5\ncolor = \"blue\"\n[[route]]\ndomains = [\"a\", \"b\"]\n";
        for end in 0..=text.len() {
            let _ = problems(&text[..end]);
        }
    }
}
