//! Findings: what the checks saw. A finding never says what shall be done about it; that is the policy's.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::PartId;

/// The longest evidence kept, in bytes; longer text is cut at a character.
pub const MAX_EVIDENCE: usize = 200;

/// One observation by a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check that saw it: `decompose`, `heuristics`, `content`, `antivirus`.
    pub check: Cow<'static, str>,
    /// What was seen, as a dotted code: `mime.depth`, `spam.gtube`, `av.found`, or a rule's id.
    pub code: Cow<'static, str>,
    /// What kind of thing it is; the policy looks at nothing else.
    pub class: Class,
    /// In plain words, for the administrator (`Program attached, by its content`).
    pub words: Cow<'static, str>,
    /// What exactly: a file name, a matched text, a signature's name. Printable, at most [`MAX_EVIDENCE`] bytes.
    pub evidence: String,
    /// The part it was seen in; `None` for the message as a whole.
    pub part: Option<PartId>,
}

impl Finding {
    /// A finding about the whole message; `evidence` is made printable and cut to length.
    pub fn new(
        check: &'static str,
        code: impl Into<Cow<'static, str>>,
        class: Class,
        words: impl Into<Cow<'static, str>>,
        evidence: impl AsRef<str>,
    ) -> Self {
        Self { check: check.into(), code: code.into(), class, words: words.into(), evidence: printable(evidence.as_ref()), part: None }
    }

    /// The same finding, placed at a part.
    pub fn at(mut self, part: PartId) -> Self {
        self.part = Some(part);
        self
    }
}

/// What kind of observation it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Class {
    /// Worth recording, no consequence.
    Note,
    /// Counts towards the spam score; may be negative.
    Score {
        /// Points to add.
        points: f32,
    },
    /// Spam in itself, whatever the score (GTUBE).
    Spam,
    /// Unsuitable content: a forbidden attachment, a card number.
    Content,
    /// An encrypted archive or document that cannot be looked into.
    Encrypted,
    /// Malware by name.
    Malware,
    /// An engine's suspicion rather than a match: ClamAV's `Heuristics.*`.
    Suspicious,
    /// Potentially unwanted application.
    Unwanted,
    /// Two readings of the message would hand a client different attachments: which one it takes cannot be known.
    Ambiguous,
    /// A check that could not tell. Never the same as clean (promise 2).
    CouldNotTell {
        /// Why not.
        reason: Reason,
    },
}

impl Class {
    /// The word for metrics and listings (the same as in the serialised form).
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Score { .. } => "score",
            Self::Spam => "spam",
            Self::Content => "content",
            Self::Encrypted => "encrypted",
            Self::Malware => "malware",
            Self::Suspicious => "suspicious",
            Self::Unwanted => "unwanted",
            Self::Ambiguous => "ambiguous",
            Self::CouldNotTell { .. } => "could_not_tell",
        }
    }

    /// Whether it can have any consequence.
    pub fn counts(&self) -> bool {
        !matches!(self, Self::Note)
    }
}

/// Why a check could not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Engine down, or an error of its own.
    Unavailable,
    /// No answer within the deadline.
    Time,
    /// Bigger than what the engine takes.
    TooBig,
    /// A limit of decomposition was reached: depth, parts, decoded bytes.
    Limit,
    /// So broken that it cannot be read.
    Malformed,
    /// A container that nobody here can open.
    UnknownContainer,
}

impl Reason {
    /// Whether it will probably go away by itself, so that `on_unavailable` applies rather than `on_unscannable`.
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Unavailable | Self::Time)
    }

    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Time => "time",
            Self::TooBig => "too_big",
            Self::Limit => "limit",
            Self::Malformed => "malformed",
            Self::UnknownContainer => "unknown_container",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// `text` on one line, without control or direction-changing characters, cut to [`MAX_EVIDENCE`] bytes.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(MAX_EVIDENCE));
    for c in text.chars() {
        let c = match c {
            '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' => '\u{FFFD}',
            c if c.is_control() || c.is_whitespace() => ' ',
            c => c,
        };
        if out.len() + c.len_utf8() > MAX_EVIDENCE - '…'.len_utf8() {
            out.push('…');
            break;
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_short_and_harmless() {
        assert_eq!(printable("a\r\nb\u{1b}[31m\u{202E}c"), "a  b [31m\u{FFFD}c");
        let long = printable(&"ä".repeat(500));
        assert!(long.len() <= MAX_EVIDENCE && long.ends_with('…'));
    }
}
