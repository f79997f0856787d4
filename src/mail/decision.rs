//! Decisions: what shall become of a message for one recipient, and which rule said so.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What shall become of a message for a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Disposition {
    /// Hand on.
    Deliver,
    /// Accept, and keep for a person.
    Hold,
    /// 5xx.
    Reject,
    /// 4xx: the sender tries again.
    Defer,
    /// Accept and drop, because a rule says so.
    Discard,
}

impl Disposition {
    /// The word for records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Hold => "hold",
            Self::Reject => "reject",
            Self::Defer => "defer",
            Self::Discard => "discard",
        }
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A division of the quarantine. In order of gravity: an entry held for several reasons lies in the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Area {
    /// Taken out of the queue by an operator (`queue hold`).
    Operator,
    /// Held by `mode = "hold-all"`.
    Held,
    /// Spam by score or in itself.
    Spam,
    /// Unsuitable content.
    Content,
    /// Encrypted archives and documents.
    Encrypted,
    /// A check could not tell.
    Unscanned,
    /// Malware and suspicion of it.
    Virus,
}

impl Area {
    /// All areas.
    pub const ALL: [Self; 7] = [Self::Operator, Self::Held, Self::Spam, Self::Content, Self::Encrypted, Self::Unscanned, Self::Virus];

    /// The name, as in configuration, on disk and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "Operator",
            Self::Held => "Held",
            Self::Spam => "Spam",
            Self::Content => "Content",
            Self::Encrypted => "Encrypted",
            Self::Unscanned => "Unscanned",
            Self::Virus => "Virus",
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Area {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|area| area.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| format!("no area {text:?}: one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// How strictly findings are acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Judge and act.
    #[default]
    Normal,
    /// Judge and record everything, hold and refuse nothing but viruses: the first weeks of a site.
    Observe,
    /// Only the virus check runs: the fallback when the other checks misbehave.
    AvOnly,
    /// Everything is held.
    HoldAll,
}

impl Mode {
    /// The word, as in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Observe => "observe",
            Self::AvOnly => "av-only",
            Self::HoldAll => "hold-all",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What shall become of a message for one recipient, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What to do.
    pub disposition: Disposition,
    /// Where to hold it, for [`Disposition::Hold`] (and for what becomes one because another recipient is delivered).
    pub area: Option<Area>,
    /// The rule that decided: a policy line such as `antivirus.on_malware` or `score.hold`; `default` for deliver.
    pub rule: String,
    /// The code of the finding behind it, and its evidence; empty for `default`.
    pub because: String,
    /// The sum of the scores.
    pub score: f32,
    /// In observe mode: what the disposition would have been.
    pub would: Option<Disposition>,
    /// The score reached the tag threshold: marked for the mail server, whatever the disposition.
    #[serde(default)]
    pub tagged: bool,
}
