//! Whether the settings make sense, each for itself and together. Every mistake is collected, at its place in the file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::config::Config;
use super::problem::Problem;
use super::read::Position;

mod general;
mod listeners;
mod parts;
mod routes;

pub use general::rules;
pub use routes::build as routes;

/// What the checks know, and where they put what they find.
#[derive(Debug)]
pub struct Checker<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The configuration file, for messages.
    pub file: &'a str,
    /// Where relative paths begin.
    pub dir: &'a Path,
    /// Where each setting stands.
    pub places: &'a BTreeMap<String, Position>,
    /// Lines whose syntax is broken: nothing is said about settings there.
    pub broken_lines: &'a BTreeSet<usize>,
    /// Settings that were taken out as wrong: nothing more is said about them.
    pub removed: &'a [String],
    /// What was found.
    pub problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    /// Nothing was found so far.
    pub fn new(
        config: &'a Config,
        (file, dir): (&'a str, &'a Path),
        places: &'a BTreeMap<String, Position>,
        broken_lines: &'a BTreeSet<usize>,
        removed: &'a [String],
    ) -> Self {
        Self { config, file, dir, places, broken_lines, removed, problems: Vec::new() }
    }
}

impl Checker<'_> {
    /// Notes a problem at a setting's value; where the setting is not written, at its table, else about the whole file.
    pub fn at(&mut self, path: &str, problem: Problem) {
        let inside = |removed: &String| removed.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        if self.removed.iter().any(inside) {
            return;
        }
        let mut way = path;
        let place = loop {
            if let Some(place) = self.places.get(way) {
                break Some(*place);
            }
            match way.rfind(['.', '[']) {
                Some(end) => way = way.get(..end).unwrap_or_default(),
                None => break None,
            }
        };
        let (line, column) = place.map_or((0, 0), |place| place.value);
        if line == 0 || !self.broken_lines.contains(&line) {
            self.problems.push(problem.at(self.file, line, column));
        }
    }

    /// Notes an error at a setting.
    pub fn error(&mut self, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.at(path, Problem::error(what, hint));
    }

    /// Notes a warning at a setting.
    pub fn warn(&mut self, path: &str, what: impl Into<String>, hint: impl Into<String>) {
        self.at(path, Problem::warning(what, hint));
    }

    /// A path of the configuration, from the configuration file's directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// The line on which a setting stands, in words: ` (line 7)`.
    pub fn line_of(&self, path: &str) -> String {
        self.places.get(path).map_or(String::new(), |place| format!(" (line {})", place.value.0))
    }
}

/// Everything that can be told from the file itself.
pub fn settings(checker: &mut Checker<'_>) {
    general::check(checker);
    listeners::check(checker);
    routes::check(checker);
    parts::check(checker);
}
