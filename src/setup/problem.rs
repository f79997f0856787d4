//! A mistake in the configuration or in a file it names: where it is, what is wrong, and what to write instead.

use std::fmt;
use std::ops::Range;

use serde::Serialize;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The gateway does not start with it.
    Error,
    /// It starts, but somebody should know.
    Warning,
}

impl Severity {
    /// The word for messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, as it was named; empty where the problem is in no file (an occupied port, say).
    pub file: String,
    /// Line, from 1; 0 where the problem is about the whole file.
    pub line: usize,
    /// Column in characters, from 1; 0 with line 0.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// What to write instead; or, after `do: `, what to do. May be empty.
    pub hint: String,
}

impl Problem {
    /// An error that is not at a place in a file.
    pub fn error(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { file: String::new(), line: 0, column: 0, severity: Severity::Error, what: what.into(), hint: hint.into() }
    }

    /// A warning that is not at a place in a file.
    pub fn warning(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(what, hint) }
    }

    /// From the text of an error of ours, which says after a semicolon what to do.
    pub fn from_text(text: &str) -> Self {
        match text.split_once("; ") {
            Some((what, hint)) => Self::said(what, hint),
            None => Self::error(text, ""),
        }
    }

    /// An error with the advice of another part, which begins with the word that says what to do.
    pub fn said(what: impl Into<String>, advice: &str) -> Self {
        match advice.strip_prefix("write ") {
            Some(hint) if !hint.starts_with("at least") => Self::error(what, hint),
            _ => Self::error(what, format!("do: {advice}")),
        }
    }

    /// The same problem at a place.
    #[must_use]
    pub fn at(self, file: impl Into<String>, line: usize, column: usize) -> Self {
        Self { file: file.into(), line, column, ..self }
    }

    /// Whether the gateway does not start with it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: error: what`, and on a second line what to write instead.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.file.as_str(), self.line) {
            ("", _) => {}
            (file, 0) => write!(f, "{file}: ")?,
            (file, line) => write!(f, "{file}:{line}:{}: ", self.column)?,
        }
        write!(f, "{}: {}", self.severity.as_str(), self.what)?;
        if !self.hint.is_empty() {
            let label = if self.hint.starts_with("do: ") { "" } else { "write: " };
            write!(f, "\n    {label}{}", self.hint)?;
        }
        Ok(())
    }
}

/// A file's text and name, to turn offsets into lines.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The name for messages.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
}

impl Source<'_> {
    /// Line and column, both from 1, of a byte offset; an offset at a line's end belongs to that line.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = self.text.get(..end).unwrap_or_default();
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// The text of a range, one line of it.
    pub fn snippet(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).and_then(|text| text.lines().next()).unwrap_or_default()
    }

    /// Puts a problem at the beginning of a range.
    pub fn place(&self, problem: Problem, span: &Range<usize>) -> Problem {
        let (line, column) = self.position(span.start);
        problem.at(self.name, line, column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let source = Source { name: "f", text: "a\nbö=c\n\nd" };
        for (offset, want) in
            [(0, (1, 1)), (1, (1, 2)), (2, (2, 1)), (5, (2, 3)), (4, (2, 2)), (7, (2, 5)), (8, (3, 1)), (9, (4, 1)), (99, (4, 2))]
        {
            assert_eq!(source.position(offset), want, "{offset}");
        }
    }

    #[test]
    fn printed() {
        let problem = Problem::error("it is wrong", "x = 1");
        assert_eq!(problem.to_string(), "error: it is wrong\n    write: x = 1");
        assert_eq!(problem.clone().at("f.toml", 3, 4).to_string(), "f.toml:3:4: error: it is wrong\n    write: x = 1");
        assert_eq!(Problem::warning("hm", "").at("f.toml", 0, 0).to_string(), "f.toml: warning: hm");
        assert_eq!(Problem::from_text("it is broken; mend it").to_string(), "error: it is broken\n    do: mend it");
        assert_eq!(Problem::from_text("too small; write \"1KB\"").to_string(), "error: too small\n    write: \"1KB\"");
    }
}
