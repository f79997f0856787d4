//! What a virus engine is to the rest: a name, an answer for some bytes, and a version. One file per kind of engine.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::settings::{Settings, SettingsError};
use super::{builtin, clamd};
use crate::mail::Reason;

/// What an engine said of some bytes. There is no fourth answer, and the third never becomes the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Looked at all of it, and knows nothing of the kind.
    Clean,
    /// Found something: the signature's name as the engine spells it.
    Found(String),
    /// Did not come to an answer.
    CouldNotTell(Trouble),
}

/// Why an engine came to no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Trouble {
    /// Which kind, for the policy.
    pub kind: TroubleKind,
    /// What exactly, for the administrator.
    pub detail: String,
}

/// The kinds of trouble an engine can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TroubleKind {
    /// Not there, gone in mid-scan, or an error of its own.
    Unavailable,
    /// No answer within the deadline.
    Time,
    /// Bigger than what the engine takes or looks into.
    TooBig,
    /// The engine met a limit of its own while unpacking.
    Limit,
    /// An answer that is not one.
    Malformed,
}

impl TroubleKind {
    /// The word in metrics and in the code `av.…`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Time => "time",
            Self::TooBig => "too_big",
            Self::Limit => "limit",
            Self::Malformed => "malformed",
        }
    }

    /// The reason the policy sees. An answer that is not one is the engine's failure, not the mail's.
    pub fn reason(self) -> Reason {
        match self {
            Self::Unavailable | Self::Malformed => Reason::Unavailable,
            Self::Time => Reason::Time,
            Self::TooBig => Reason::TooBig,
            Self::Limit => Reason::Limit,
        }
    }
}

impl Trouble {
    /// Trouble of this kind.
    pub fn new(kind: TroubleKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl Answer {
    /// *Could not tell*, of this kind.
    pub fn trouble(kind: TroubleKind, detail: impl Into<String>) -> Self {
        Self::CouldNotTell(Trouble::new(kind, detail))
    }

    /// The word in metrics: `clean`, `found`, or the kind of trouble.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::Found(_) => "found",
            Self::CouldNotTell(trouble) => trouble.kind.as_str(),
        }
    }
}

/// What an engine says it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Version {
    /// Program and version, such as `ClamAV 1.4.6`.
    pub program: String,
    /// The number of its signature database, if it has one.
    pub signatures: Option<u32>,
    /// When these signatures were made.
    pub signature_time: Option<Timestamp>,
    /// What an administrator has to know about it, whatever the state.
    pub warnings: Vec<String>,
}

/// A virus engine. It need not keep deadlines, count, or know its own limits: [`super::watched::Watched`] does that around it.
pub trait Engine: Send + Sync {
    /// As written in `engines`; the label of its metrics and the first word of its evidence.
    fn name(&self) -> &str;

    /// Looks at these bytes, which are not empty.
    fn scan(&self, bytes: Bytes) -> BoxFuture<'_, Answer>;

    /// Asks what it is. Cheap; also the sign of life.
    fn version(&self) -> BoxFuture<'_, Result<Version, Trouble>>;

    /// Whether it passes over big input in silence, so that its limits must be measured.
    fn has_limits(&self) -> bool;

    /// Whether it compares hashes of whole files and takes no mail apart itself.
    fn wants_whole_parts(&self) -> bool {
        false
    }
}

type Check = fn(spec: &str, rest: &str) -> Result<(), SettingsError>;
type Build = fn(spec: &str, rest: &str, settings: &Settings) -> Result<Arc<dyn Engine>, SettingsError>;

/// A kind of engine: its word in `engines`, how it is written, its syntax check, and its maker.
struct Kind {
    word: &'static str,
    usage: &'static str,
    check: Check,
    build: Build,
}

const KINDS: &[Kind] = &[
    Kind { word: "clamd", usage: clamd::USAGE, check: clamd::check, build: clamd::build },
    Kind { word: "builtin", usage: builtin::USAGE, check: builtin::check, build: builtin::build },
];

fn kind_of(spec: &str) -> Result<(&'static Kind, &str), SettingsError> {
    let (word, rest) = spec.split_once(':').unwrap_or((spec, ""));
    KINDS.iter().find(|kind| kind.word == word).map(|kind| (kind, rest)).ok_or_else(|| {
        let usages: Vec<&str> = KINDS.iter().map(|kind| kind.usage).collect();
        let what = match word {
            "sssp" | "icap" => format!("{spec:?}: engines of the kind {word} are not built yet"),
            _ => format!("{spec:?} is no engine"),
        };
        SettingsError::new("engines", what, format!("write {}", usages.join(" or ")))
    })
}

/// Whether `spec` is written as an engine should be.
pub fn check(spec: &str) -> Result<(), SettingsError> {
    let (kind, rest) = kind_of(spec)?;
    (kind.check)(spec, rest)
}

/// Makes the engine that `spec` names. Reads files, where the engine has some; connects to nothing.
pub fn build(spec: &str, settings: &Settings) -> Result<Arc<dyn Engine>, SettingsError> {
    let (kind, rest) = kind_of(spec)?;
    (kind.build)(spec, rest, settings)
}

/// The error for a `spec` that is of a known kind, but not written as `usage` says.
pub fn misspelled(spec: &str, usage: &str) -> SettingsError {
    SettingsError::new("engines", format!("{spec:?} is incomplete or misspelled"), format!("write {usage}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        for (spec, ok) in [
            ("clamd:unix:/run/clamav/clamd.ctl", true),
            ("clamd:tcp:localhost:3310", true),
            ("clamd:tcp:[::1]:3310", true),
            ("builtin:/var/lib/lists", true),
            ("clamd", false),
            ("clamd:unix:", false),
            ("clamd:tcp:localhost", false),
            ("clamd:tcp::3310", false),
            ("clamd:tcp:localhost:0", false),
            ("clamd:tcp:::1:3310", false),
            ("clamd:udp:localhost:3310", false),
            ("builtin:", false),
            ("builtin", false),
            ("sssp:unix:/x", false),
            ("", false),
        ] {
            let got = check(spec);
            assert_eq!(got.is_ok(), ok, "{spec}: {got:?}");
            if let Err(error) = got {
                assert!(error.hint.contains("write "), "{error}");
            }
        }
    }

    #[test]
    fn every_kind_is_listed_once_and_shows_how_it_is_written() {
        for kind in KINDS {
            assert!(kind.usage.contains(kind.word), "{}", kind.word);
            assert_eq!(KINDS.iter().filter(|other| other.word == kind.word).count(), 1);
        }
    }
}
