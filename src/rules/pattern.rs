//! A compiled pattern: the regular expression, the literals to look for it by, and how far a match can reach.

use std::ops::Range;
use std::sync::OnceLock;

use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind};

use super::literals;

/// How deep a pattern may nest, so that walking it cannot exhaust the stack.
const NESTING: u32 = 50;
/// The most bytes a compiled pattern may take.
const COMPILED: usize = 1 << 20;
/// The most bytes that searching with one pattern may keep (for each search under way): there are hundreds of patterns.
const CACHE: usize = 1 << 18;
/// How many times something repeats that may repeat without end, when it is looked for in a window.
const ENDLESS: usize = 48;
/// A match that can be longer than this is searched for over the whole value, not in a window.
const WINDOW: usize = 1024;

/// A pattern, ready to search. Case is ignored and classes are ASCII unless the pattern says otherwise (`(?-i)`, `(?u)`).
#[derive(Debug)]
pub struct Pattern {
    text: String,
    /// Compiled when it is first needed: of hundreds of patterns, most never are, for their literals do not occur.
    regex: OnceLock<Option<Regex>>,
    /// Every match contains one of these (lower case); empty if nothing is known.
    pub literals: Vec<Vec<u8>>,
    /// The most bytes a match has, where that is at most [`WINDOW`]; repetition without end counts as [`ENDLESS`].
    reach: Option<usize>,
}

impl Pattern {
    /// Compiles a regular expression. The error is one line for the author of the rule.
    pub fn regex(text: &str) -> Result<Self, String> {
        let hir = ParserBuilder::new()
            .unicode(false)
            .utf8(false)
            .case_insensitive(true)
            .nest_limit(NESTING)
            .build()
            .parse(text)
            .map_err(|error| short(&error))?;
        if hir.properties().minimum_len().unwrap_or(1) == 0 {
            return Err("the pattern matches the empty text, so it would match everything".into());
        }
        // Tried here, so that nothing can be wrong with it later, and dropped.
        compile(text).map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!("the compiled pattern is bigger than {limit} bytes"),
            other => other.to_string().lines().last().unwrap_or_default().to_owned(),
        })?;
        let reach = Some(reach(&hir)).filter(|most| *most <= WINDOW);
        Ok(Self { text: text.to_owned(), regex: OnceLock::new(), literals: literals::required(&hir).unwrap_or_default(), reach })
    }

    /// A plain text, to be found as it stands (case ignored).
    pub fn literal(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty literal would match everything".into());
        }
        Self::regex(&regex::escape(text))
    }

    /// Why this pattern may not look into long fields, if so.
    pub fn unfit_for_long(&self) -> Option<String> {
        let Some(shortest) = self.literals.iter().map(Vec::len).min() else {
            return Some("no text occurs in all its matches".into());
        };
        (shortest < literals::SHORTEST).then(|| {
            let short = self.literals.iter().find(|literal| literal.len() == shortest);
            format!("its only sure text is {:?}", String::from_utf8_lossy(short.map(Vec::as_slice).unwrap_or_default()))
        })
    }

    /// How rare its literals are; higher is rarer, nothing is lowest.
    pub fn rarity(&self) -> f32 {
        if self.literals.is_empty() { f32::MIN } else { literals::rarity(&self.literals) }
    }

    /// Whether it matches anywhere in `value`.
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.compiled().is_some_and(|regex| regex.is_match(value))
    }

    /// The first match in `value`.
    pub fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        self.compiled()?.find(value).map(|found| found.range())
    }

    /// Whether a match round a literal can be looked for in a window ([`Self::find_around`]).
    pub fn has_window(&self) -> bool {
        self.reach.is_some()
    }

    /// The match that contains the literal found at `literal`, or another one near it.
    ///
    /// What stands before the window is seen by `^` and `\b`. A match that touches the window's cut end may owe itself to the cut, or
    /// go on after it, so the whole value is asked then. So this is exact for patterns whose repetitions have an end, and for others
    /// misses only what would have begun more than [`ENDLESS`] repetitions before its literal.
    pub fn find_around(&self, value: &[u8], literal: Range<usize>) -> Option<Range<usize>> {
        let Some(reach) = self.reach else { return self.find(value) };
        let start = literal.start.saturating_sub(reach);
        let end = (literal.end + reach + 4).min(value.len());
        let regex = self.compiled()?;
        let found = regex.find_at(value.get(..end)?, start)?.range();
        if found.end < end || end == value.len() { Some(found) } else { regex.find_at(value, start).map(|found| found.range()) }
    }

    fn compiled(&self) -> Option<&Regex> {
        self.regex.get_or_init(|| compile(&self.text).ok()).as_ref()
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).unicode(false).case_insensitive(true).nest_limit(NESTING).size_limit(COMPILED).dfa_size_limit(CACHE).build()
}

/// The most bytes of a match, with an end put to repetitions that have none.
fn reach(hir: &Hir) -> usize {
    let bounded = hir.properties().maximum_len();
    match (bounded, hir.kind()) {
        (Some(most), _) => most,
        (None, HirKind::Repetition(repetition)) => {
            let times = repetition.max.map_or(ENDLESS.max(repetition.min as usize), |max| max as usize);
            reach(&repetition.sub).saturating_mul(times)
        }
        (None, HirKind::Capture(capture)) => reach(&capture.sub),
        (None, HirKind::Concat(subs)) => subs.iter().map(reach).fold(0, usize::saturating_add),
        (None, HirKind::Alternation(subs)) => subs.iter().map(reach).max().unwrap_or(0),
        (None, _) => usize::MAX,
    }
}

/// The last line of what the regex parser says, and where.
fn short(error: &regex_syntax::Error) -> String {
    match error {
        regex_syntax::Error::Parse(error) => format!("{} (at character {} of the pattern)", error.kind(), error.span().start.offset + 1),
        regex_syntax::Error::Translate(error) => {
            format!("{} (at character {} of the pattern)", error.kind(), error.span().start.offset + 1)
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_patterns() {
        for (text, want) in [
            ("a(b", "unclosed group (at character 2 of the pattern)"),
            ("a*", "matches the empty text"),
            ("|b", "matches the empty text"),
            ("", "matches the empty text"),
            ("(?=x)y", "look-around"),
            ("[z-a]", "invalid character class range"),
            ("(?:x{1000}){1000}", "bigger than"),
        ] {
            let error = Pattern::regex(text).unwrap_err();
            assert!(error.contains(want) && !error.contains('\n'), "{text}: {error}");
        }
        assert!(Pattern::regex(&"(".repeat(100)).is_err());
        assert!(Pattern::regex(&format!("{}a{}", "(".repeat(100), ")".repeat(100))).is_err());
        assert!(Pattern::literal("").is_err());
        assert!(Pattern::literal("a.b*").unwrap().is_match(b"xA.B*x"));
        assert!(Pattern::regex("ab").unwrap().unfit_for_long().is_some());
        assert!(Pattern::regex("a[0-9]b").unwrap().unfit_for_long().is_some());
        assert!(Pattern::regex("abc").unwrap().unfit_for_long().is_none());
    }

    /// A window gives the answer of the whole value, anchors and word boundaries included.
    #[test]
    fn windows_are_exact() {
        for (pattern, value) in [
            (r"\bfoo\b", "a foo b"),
            (r"\bfoo\b", "afoo b foob foo"),
            (r"foo$", "foo foo"),
            (r"foo$", "foo fooo"),
            (r"^foo", "xfoo"),
            (r"^foo", "foo"),
            (r"foo.{0,5}bar", "foo 123 bar"),
            (r"foo.{0,5}bar\b", "foo 123 barfoo bar12345678901234567890"),
            (r"foo.{0,5}bar", "foo 123456 bar"),
            (r"\w+ foo \w+", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa foo x"),
            (r"foo \w+$", "foo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa foo"),
        ] {
            let pattern = Pattern::regex(pattern).unwrap();
            assert!(pattern.has_window());
            let value = value.as_bytes();
            let mut found = false;
            for literal in &pattern.literals {
                for at in 0..value.len() {
                    if value[at..].starts_with(literal) {
                        found |= pattern.find_around(value, at..at + literal.len()).is_some();
                    }
                }
            }
            assert_eq!(found, pattern.is_match(value), "{pattern:?}");
        }
        assert!(Pattern::regex("foo.*bar").unwrap().has_window());
        assert!(!Pattern::regex("foo(?:.*x){40}bar").unwrap().has_window());
    }
}
