//! The parsed file with the place of every key and value, so that a value can be blanked out and the rest judged on.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step from a table or list to what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A key of a table.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
}

/// The way from the top of the file to a setting.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path(pub Vec<Step>);

impl Path {
    /// The last key on the way: the setting's own name.
    pub fn name(&self) -> &str {
        self.0.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None }).unwrap_or_default()
    }

    /// Where the setting stands, in words: `in [limits]`, `in [[route]]`, `at the top of the file`.
    pub fn within(&self) -> String {
        let parent = self.0.iter().rposition(|step| matches!(step, Step::Key(_))).map_or(&[][..], |at| &self.0[..at]);
        let keys: Vec<&str> = parent.iter().filter_map(|step| if let Step::Key(key) = step { Some(key.as_str()) } else { None }).collect();
        match (keys.is_empty(), parent.last()) {
            (true, _) => "at the top of the file".to_owned(),
            (false, Some(Step::Index(_))) => format!("in [[{}]]", keys.join(".")),
            (false, _) => format!("in [{}]", keys.join(".")),
        }
    }

    /// What stands here in a tree of values; of a list, its first element stands for all.
    pub fn example<'v>(&self, examples: &'v toml::Value) -> Option<&'v toml::Value> {
        self.0.iter().try_fold(examples, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(_) => value.get(0),
        })
    }
}

impl fmt::Display for Path {
    /// `route[0].next_hops`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if i == 0 => f.write_str(key)?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Where a setting stands: byte ranges of its key and of its value (of a `[table]`, both are in the header).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The key; of a list element, the element.
    pub key: Range<usize>,
    /// The value.
    pub value: Range<usize>,
}

/// The places of all settings by their path (`route[0].next_hops`).
pub fn places(table: &DeTable<'_>) -> BTreeMap<String, Place> {
    let mut found = BTreeMap::new();
    walk(table, &mut Path::default(), &mut |path, key, value| {
        if key != NOWHERE {
            found.insert(path.to_string(), Place { key, value: value.span() });
        }
    });
    found
}

/// What is called for each value: its way, where its key stands, and the value.
type Visitor<'v, 't, 'i> = dyn FnMut(&Path, Range<usize>, &'t Spanned<DeValue<'i>>) + 'v;

/// Visits all values below a table, parents first.
pub fn walk<'t, 'i>(table: &'t DeTable<'i>, path: &mut Path, visit: &mut Visitor<'_, 't, 'i>) {
    for (key, value) in table {
        path.0.push(Step::Key(key.get_ref().to_string()));
        walk_value(key.span(), value, path, visit);
        path.0.pop();
    }
}

fn walk_value<'t, 'i>(key: Range<usize>, value: &'t Spanned<DeValue<'i>>, path: &mut Path, visit: &mut Visitor<'_, 't, 'i>) {
    visit(path, key, value);
    match value.get_ref() {
        DeValue::Table(table) => walk(table, path, visit),
        DeValue::Array(array) => {
            for (i, element) in array.iter().enumerate() {
                path.0.push(Step::Index(i));
                walk_value(element.span(), element, path, visit);
                path.0.pop();
            }
        }
        _ => {}
    }
}

/// The way to what an error points at: a key or value of exactly this range (the deepest one), else the smallest around it.
pub fn locate(table: &DeTable<'_>, span: &Range<usize>) -> Option<Path> {
    let mut exact = None;
    let mut around: Option<(usize, Path)> = None;
    walk(table, &mut Path::default(), &mut |path, key, value| {
        let value = value.span();
        if key == *span || value == *span {
            exact = Some(path.clone());
        }
        let inside = value.start <= span.start && span.end <= value.end;
        if inside && around.as_ref().is_none_or(|(length, _)| value.len() <= *length) {
            around = Some((value.len(), path.clone()));
        }
    });
    exact.or(around.map(|(_, path)| path))
}

/// The place of a value that is not in the text.
const NOWHERE: Range<usize> = usize::MAX..usize::MAX;

/// Puts a value into the table at `path`, without a place in the text; whether that was possible.
pub fn insert(table: &mut DeTable<'_>, path: &Path, key: &str, value: &toml::Value) -> bool {
    let mut at: Option<&mut DeTable<'_>> = Some(table);
    let mut steps = path.0.iter().peekable();
    while let Some(Step::Key(name)) = steps.next() {
        let Some(value) = at.take().and_then(|table| table.get_mut(name.as_str())) else { return false };
        let mut value = value;
        while let Some(Step::Index(i)) = steps.peek() {
            let DeValue::Array(array) = value.get_mut() else { return false };
            let Some(element) = array.get_mut(*i) else { return false };
            value = element;
            steps.next();
        }
        let DeValue::Table(inner) = value.get_mut() else { return false };
        at = Some(inner);
    }
    let (Some(table), Some(value)) = (at, parsed(value)) else { return false };
    table.insert(Spanned::new(NOWHERE, key.to_owned().into()), value);
    true
}

/// A value as if it had been read; of numbers and tables, none.
fn parsed(value: &toml::Value) -> Option<Spanned<DeValue<'static>>> {
    let value = match value {
        toml::Value::String(text) => DeValue::String(text.clone().into()),
        toml::Value::Boolean(value) => DeValue::Boolean(*value),
        toml::Value::Array(list) => DeValue::Array(list.iter().map(parsed).collect::<Option<_>>()?),
        _ => return None,
    };
    Some(Spanned::new(NOWHERE, value))
}

/// Of a list, the first element that a message quotes: the error of an element's text has no place of its own.
pub fn quoted_element(table: &DeTable<'_>, path: &Path, message: &str) -> Option<(Path, Range<usize>)> {
    let mut found = None;
    walk(table, &mut Path::default(), &mut |at, _, value| {
        if let (DeValue::Array(list), true, None) = (value.get_ref(), at == path, &found) {
            let quoted =
                |element: &Spanned<DeValue<'_>>| element.get_ref().as_str().is_some_and(|text| message.contains(&format!("{text:?}")));
            found = list.iter().position(quoted).and_then(|i| {
                let way = Path(at.0.iter().cloned().chain([Step::Index(i)]).collect());
                Some((way, list.get(i)?.span()))
            });
        }
    });
    found
}

/// Takes a value out of the tree; whether it was there.
pub fn remove(table: &mut DeTable<'_>, path: &Path) -> bool {
    fn from_table(table: &mut DeTable<'_>, steps: &[Step]) -> bool {
        let Some((Step::Key(name), rest)) = steps.split_first() else { return false };
        if rest.is_empty() {
            return table.remove(name.as_str()).is_some();
        }
        table.iter_mut().find(|(key, _)| key.get_ref() == name).is_some_and(|(_, value)| from_value(value.get_mut(), rest))
    }
    fn from_value(value: &mut DeValue<'_>, steps: &[Step]) -> bool {
        match (value, steps.split_first()) {
            (DeValue::Table(table), Some(_)) => from_table(table, steps),
            (DeValue::Array(array), Some((Step::Index(i), []))) if *i < array.len() => {
                let kept = array.iter().enumerate().filter(|(at, _)| at != i).map(|(_, element)| element.clone());
                *array = kept.collect();
                true
            }
            (DeValue::Array(array), Some((Step::Index(i), rest))) => {
                array.get_mut(*i).is_some_and(|element| from_value(element.get_mut(), rest))
            }
            _ => false,
        }
    }
    from_table(table, &path.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[t]\nb = [1, 2]\n[[r]]\nc = 'x'\n[[r]]\nc = 'y'\n";

    #[test]
    fn places_and_paths() {
        let (table, errors) = DeTable::parse_recoverable(TEXT);
        assert!(errors.is_empty());
        let places = places(table.get_ref());
        let rows = [("a", "a", "1"), ("t", "t", "[t]"), ("t.b", "b", "[1, 2]"), ("t.b[1]", "2", "2"), ("r[1].c", "c", "'y'")];
        for (path, key, value) in rows {
            let place = &places[path];
            assert_eq!((&TEXT[place.key.clone()], &TEXT[place.value.clone()]), (key, value), "{path}");
        }
    }

    #[test]
    fn located_and_removed() {
        let rows = [
            ("2]", 1, "t.b[1]", "in [t]"),
            ("b =", 1, "t.b", "in [t]"),
            ("'y'", 3, "r[1].c", "in [[r]]"),
            ("a", 1, "a", "at the top of the file"),
        ];
        for (needle, length, want, within) in rows {
            let (mut table, _) = DeTable::parse_recoverable(TEXT);
            let start = TEXT.find(needle).unwrap();
            let path = locate(table.get_ref(), &(start..start + length)).unwrap();
            assert_eq!(path.to_string(), want);
            assert_eq!(path.within(), within);
            let (here, parent) = path.0.split_last().map(|(last, parent)| (last.clone(), Path(parent.to_vec()))).unwrap();
            assert_eq!(insert(table.get_mut(), &parent, "new", &toml::Value::Boolean(true)), matches!(here, Step::Key(_)), "{want}");
            assert!(remove(table.get_mut(), &path));
            assert!(!places(table.get_ref()).contains_key(want), "{want}");
        }
    }
}
