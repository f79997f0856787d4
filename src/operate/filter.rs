//! Filters that operators give: times, addresses, words. One query type for the API and the command line.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Error;
use super::fate::State;
use crate::mail::units::Period;
use crate::mail::{Area, Entry, EntryRecipient, Outcome, RecipientState};

/// The most rows that one answer holds, whatever `limit` says.
pub const MAX_LIMIT: usize = 10_000;
/// Rows in an answer when no limit is given.
pub const DEFAULT_LIMIT: usize = 100;

/// A filter as people write it; all that is given must match.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Query {
    /// Part of a recipient's address, any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Part of the sender's address or of the From field, any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Not before: a period back from now (`2h`), a date, or a date and time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Before: written like `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Part of anything shown in a listing: subject, addresses, Message-ID, findings; any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Part of the subject, any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A recipient's state: `held`, `delivered` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// An area of the quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub area: Option<String>,
    /// The route of a recipient, any case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Part of the name of the next hop that was tried last, any case; of what waits only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<String>,
    /// Part of what it said, or of why it could not be reached, any case; of what waits only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Rows at most; default 100, greatest 10,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A filter, read: times are points in time, words are in lower case.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// In a recipient.
    pub to: Option<String>,
    /// In the sender.
    pub from: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// In anything listed.
    pub text: Option<String>,
    /// In the subject.
    pub subject: Option<String>,
    /// Of a recipient.
    pub state: Option<State>,
    /// Of the quarantine.
    pub area: Option<Area>,
    /// Of a recipient, in lower case.
    pub route: Option<String>,
    /// In the name of the next hop that was tried last.
    pub next_hop: Option<String>,
    /// In what it said.
    pub reply: Option<String>,
    /// Rows at most, between 1 and [`MAX_LIMIT`].
    pub limit: usize,
}

impl Query {
    /// Reads it; `now` is what periods count from.
    ///
    /// # Errors
    /// [`Error::Bad`] for a time, state, area or limit that cannot be read.
    pub fn read(&self, now: Timestamp) -> Result<Filter, Error> {
        let word = |text: &Option<String>| text.as_deref().map(str::to_lowercase).filter(|text| !text.is_empty());
        let time = |text: &Option<String>| text.as_deref().map(|text| moment(text, now)).transpose();
        let limit = match self.limit {
            Some(0) => return Err(bad("limit 0 shows nothing", format!("a number from 1 to {MAX_LIMIT}"))),
            limit => limit.unwrap_or(DEFAULT_LIMIT).min(MAX_LIMIT),
        };
        let area = self.area.as_deref().map(str::parse).transpose().map_err(|error: String| bad(error, "for instance --area Spam"))?;
        Ok(Filter {
            to: word(&self.to),
            from: word(&self.from),
            since: time(&self.since)?,
            until: time(&self.until)?,
            text: word(&self.text),
            subject: word(&self.subject),
            state: self.state.as_deref().map(str::parse).transpose()?,
            area,
            route: word(&self.route),
            next_hop: word(&self.next_hop),
            reply: word(&self.reply),
            limit,
        })
    }

    /// Whether nothing narrows it down (a limit does not count).
    pub fn is_empty(&self) -> bool {
        Self { limit: None, ..self.clone() } == Self::default()
    }
}

fn bad(what: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::Bad { what: what.into(), hint: hint.into() }
}

/// Reads a point in time: `2h` (back from `now`), `2026-11-03`, `2026-11-03 14:00`, or RFC 3339; local time where no zone is given.
///
/// # Errors
/// [`Error::Bad`] for anything else.
pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let text = text.trim();
    let local = |time: DateTime| time.to_zoned(TimeZone::system()).ok().map(|zoned| zoned.timestamp());
    let back = |period: Period| SignedDuration::try_from(period.0).ok().and_then(|back| now.checked_sub(back).ok());
    None.or_else(|| text.parse::<Period>().ok().and_then(back))
        .or_else(|| text.parse::<Timestamp>().ok())
        .or_else(|| text.parse::<DateTime>().ok().and_then(local))
        .or_else(|| text.parse::<Date>().ok().and_then(|date| local(date.at(0, 0, 0, 0))))
        .ok_or_else(|| {
            bad(format!("not a time: {text:?}"), "a period back from now (90s, 15m, 2h, 7d), a date (2026-11-03) or \"2026-11-03 14:00\"")
        })
}

/// Whether `text` contains `word` (lower case already) in any case.
pub fn has(text: &str, word: &str) -> bool {
    text.to_lowercase().contains(word)
}

impl Filter {
    /// Whether `at` lies between `since` and `until`.
    pub fn is_in_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether an entry of spool or quarantine matches; the state is not looked at.
    pub fn takes(&self, entry: &Entry) -> bool {
        let from = |word: &str| has(entry.sender.as_str(), word) || has(&entry.from, word);
        let to = |word: &str| entry.recipients.iter().any(|recipient| has(recipient.address.as_str(), word));
        let finding = |word: &str| entry.findings.iter().any(|finding| has(&finding.code, word) || has(&finding.evidence, word));
        let text = |word: &str| has(&entry.subject, word) || from(word) || to(word) || finding(word) || has(&entry.id.to_string(), word);
        self.is_in_time(entry.received_at)
            && self.area.is_none_or(|area| entry.area == Some(area))
            && entry.recipients.iter().any(|recipient| self.takes_recipient(recipient))
            && self.from.as_deref().is_none_or(from)
            && self.subject.as_deref().is_none_or(|word| has(&entry.subject, word))
            && self.text.as_deref().is_none_or(text)
    }

    /// Whether a recipient of a matching entry matches by itself: its address, its route, and what its next hop said last.
    pub fn takes_recipient(&self, recipient: &EntryRecipient) -> bool {
        let last = || match &recipient.state {
            RecipientState::Spooled { last, .. } => last.as_ref(),
            _ => None,
        };
        let hop = |word: &str| last().and_then(Outcome::hop).is_some_and(|hop| has(hop, word));
        let said = |word: &str| last().is_some_and(|last| has(&last.to_string(), word));
        self.to.as_deref().is_none_or(|word| has(recipient.address.as_str(), word))
            && self.route.as_deref().is_none_or(|route| recipient.route.to_lowercase() == route)
            && self.next_hop.as_deref().is_none_or(hop)
            && self.reply.as_deref().is_none_or(said)
    }

    /// Whether a waiting recipient of the entry matches.
    pub fn takes_waiting(&self, entry: &Entry) -> bool {
        let waits = |recipient: &&EntryRecipient| matches!(recipient.state, RecipientState::Spooled { .. });
        entry.recipients.iter().filter(waits).any(|recipient| self.takes_recipient(recipient)) && self.takes(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        for (text, want) in [
            ("2h", Some("2026-11-03T10:00:00Z")),
            (" 90s ", Some("2026-11-03T11:58:30Z")),
            ("7d", Some("2026-10-27T12:00:00Z")),
            ("2026-11-01T00:00:00Z", Some("2026-11-01T00:00:00Z")),
            ("2026-11-01T00:00:00+01:00", Some("2026-10-31T23:00:00Z")),
            ("yesterday", None),
            ("", None),
            ("2026-13-01", None),
            ("99999999999999d", None),
        ] {
            assert_eq!(moment(text, now).ok().map(|at| at.to_string()).as_deref(), want, "{text:?}");
        }
        for text in ["2026-11-01", "2026-11-01 14:30", "2026-11-01T14:30:00"] {
            assert!(moment(text, now).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn queries() {
        let now = Timestamp::now();
        assert!(Query::default().read(now).is_ok_and(|filter| filter.limit == DEFAULT_LIMIT));
        assert!(Query { limit: Some(usize::MAX), ..Query::default() }.read(now).is_ok_and(|filter| filter.limit == MAX_LIMIT));
        for bad in [
            Query { limit: Some(0), ..Query::default() },
            Query { area: Some("Attic".into()), ..Query::default() },
            Query { state: Some("lost".into()), ..Query::default() },
            Query { since: Some("soon".into()), ..Query::default() },
        ] {
            assert!(matches!(bad.read(now), Err(Error::Bad { .. })), "{bad:?}");
        }
        assert!(Query { limit: Some(5), ..Query::default() }.is_empty());
        assert!(!Query { to: Some("a".into()), ..Query::default() }.is_empty());
    }
}
