//! What a rule is, once read: where it looks, what it tests, what it says.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::facts::Fact;
use super::pattern::Pattern;
use crate::mail::{Class, Direction};

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name: `spam.subject.caps` or `GTUBE`; unique over all files.
    pub id: Arc<str>,
    /// In plain words, why it is a sign.
    pub words: Arc<str>,
    /// What it says when it matches.
    pub outcome: Outcome,
    /// The directions it applies to; empty means all.
    pub directions: Vec<Direction>,
    /// Switched on.
    pub enabled: bool,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line it starts at, from 1.
    pub line: usize,
    pub(super) test: Test,
    pub(super) hit: Vec<String>,
    pub(super) miss: Vec<String>,
}

/// How a rule decides.
#[derive(Debug)]
pub(super) enum Test {
    /// Patterns over the values of some fields.
    Text { fields: Vec<Field>, test: TextTest },
    /// Facts computed from the structure (`where = "structure"`).
    Facts { any: Vec<Fact>, all: Vec<Fact>, not: Vec<Fact> },
    /// What other rules said (`where = "hits"`): at least `at_least` of `any`, every one of `all`, none of `not`.
    Hits { any: Vec<String>, all: Vec<String>, not: Vec<String>, at_least: usize },
}

/// One value of a field must match one of `any` (where there are any) and all of `all`, and none of `not`.
#[derive(Debug, Default)]
pub(super) struct TextTest {
    /// Found through the literal prefilter. Never empty: a rule with `all` alone has its rarest pattern here.
    pub any: Vec<Pattern>,
    pub all: Vec<Pattern>,
    pub not: Vec<Pattern>,
}

impl TextTest {
    /// Whether the conditions beside `any` hold for this value.
    pub fn rest_holds(&self, value: &[u8]) -> bool {
        self.all.iter().all(|pattern| pattern.is_match(value)) && !self.not.iter().any(|pattern| pattern.is_match(value))
    }
}

/// What a rule says when it matches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Counts towards the spam score.
    Score(f32),
    /// Spam in itself.
    Spam,
    /// Unsuitable content.
    Content,
    /// Encrypted, cannot be looked into.
    Encrypted,
    /// Recorded, no consequence.
    Note,
    /// Says nothing itself; other rules refer to it.
    Helper,
}

impl Outcome {
    /// The words that `finding = …` takes.
    pub(super) const FINDINGS: [(&'static str, Self); 4] =
        [("content", Self::Content), ("encrypted", Self::Encrypted), ("spam", Self::Spam), ("note", Self::Note)];

    /// The class of the finding it makes; `None` for helpers.
    pub fn class(self) -> Option<Class> {
        Some(match self {
            Self::Score(points) => Class::Score { points },
            Self::Spam => Class::Spam,
            Self::Content => Class::Content,
            Self::Encrypted => Class::Encrypted,
            Self::Note => Class::Note,
            Self::Helper => return None,
        })
    }

    /// Whether it belongs to the check `content` rather than to `heuristics`.
    pub fn is_content(self) -> bool {
        matches!(self, Self::Content | Self::Encrypted)
    }

    /// How often it is reported in one message: a score counts once, each forbidden part is named.
    pub(super) fn most(self) -> u16 {
        if self.is_content() { 20 } else { 1 }
    }
}

/// Where a text rule looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// The decoded values of the message's header fields of this name (lower case).
    Header(String),
    /// Every header field, as `Name: decoded value`.
    Headers,
    /// The header block as it came.
    HeaderRaw,
    /// The decoded Subject.
    Subject,
    /// The text of text parts, HTML reduced to what is shown, white space runs as one space.
    Body,
    /// The source of HTML parts after transfer decoding.
    Html,
    /// Each link target.
    Url,
    /// Each name of an attachment or archive member.
    Name,
    /// The true type of each part, by content.
    Type,
    /// The declared type of each part.
    DeclaredType,
    /// All bytes of the message.
    Raw,
    /// MAIL FROM, without brackets.
    Sender,
    /// What the peer called itself.
    Helo,
}

impl Field {
    /// The words that `where = …` takes, beside `header:<Name>`, `structure` and `hits`.
    pub(super) const WORDS: [(&'static str, Self); 12] = [
        ("headers", Self::Headers),
        ("header-raw", Self::HeaderRaw),
        ("subject", Self::Subject),
        ("body", Self::Body),
        ("html", Self::Html),
        ("url", Self::Url),
        ("name", Self::Name),
        ("type", Self::Type),
        ("declared-type", Self::DeclaredType),
        ("raw", Self::Raw),
        ("envelope:sender", Self::Sender),
        ("helo", Self::Helo),
    ];

    /// The field that `where` names.
    pub(super) fn parse(word: &str) -> Option<Self> {
        if let Some(name) = word.strip_prefix("header:") {
            let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
            return valid.then(|| Self::Header(name.to_ascii_lowercase()));
        }
        Self::WORDS.iter().find(|(known, _)| *known == word).map(|(_, field)| field.clone())
    }

    /// Whether its values are long, so that a pattern without a literal would have to run over all of them.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Self::Body | Self::Html | Self::Raw | Self::HeaderRaw)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            other => f.write_str(Self::WORDS.iter().find(|(_, field)| field == other).map_or("", |(word, _)| word)),
        }
    }
}
