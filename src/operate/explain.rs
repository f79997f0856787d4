//! `explain`: everything that is known about one message (promise 7), for people and for programs.

use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fate::{Fate, Fates};
use super::plain::harmless_line;
use super::quarantine::{describe, harmless_finding};
use super::{Error, blocking};
use crate::mail::record::Judged;
use crate::mail::{Class, Decision, Direction, Entry, Event, Finding, MessageId, Place, Record, VersionId};
use crate::store::Store;

/// Everything about one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The message.
    pub id: MessageId,
    /// When it was received, or made where it is a notification of ours.
    pub at: Timestamp,
    /// The version that judged it.
    pub version: VersionId,
    /// Where it came from.
    pub origin: String,
    /// MAIL FROM; empty for `<>`.
    pub sender: String,
    /// From, Subject and Message-ID, decoded and harmless.
    pub from: String,
    /// Subject.
    pub subject: String,
    /// Message-ID.
    pub message_id: String,
    /// Bytes as received.
    pub size: u64,
    /// `sha256` of the bytes in hex; empty where it was not judged here.
    pub sha256: String,
    /// Milliseconds spent in receiving data, decomposition, checks; `None` where it was not judged here.
    pub took_ms: Option<[u32; 3]>,
    /// What the checks saw.
    pub findings: Vec<Finding>,
    /// Each recipient: decision and fate.
    pub recipients: Vec<Explained>,
    /// Where we have it at this moment.
    pub places: Vec<Place>,
    /// Records that cannot both be true.
    pub contradictions: Vec<String>,
    /// All records in order.
    pub records: Vec<Record>,
}

/// One recipient of an explained message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// How it stands.
    #[serde(flatten)]
    pub fate: Fate,
    /// What was decided, and by which rule; `None` for our own notifications.
    pub decision: Option<Decision>,
}

/// Reads all records of `id`.
///
/// # Errors
/// [`Error::Unknown`] when neither records nor store know it; [`Error::Store`] when records cannot be read.
pub async fn explain(store: Arc<Store>, id: MessageId) -> Result<Explanation, Error> {
    blocking(move || {
        let records = store.records_of(id)?;
        let entries: Vec<Entry> = [Place::Spool, Place::Quarantine].into_iter().filter_map(|place| store.get(place, id)).collect();
        build(id, records, &entries).ok_or(Error::Unknown { id, in_what: "in the records" })
    })
    .await
}

fn build(id: MessageId, records: Vec<Record>, entries: &[Entry]) -> Option<Explanation> {
    let judged = records.iter().find_map(|record| match &record.event {
        Event::Judged(judged) => Some((record, judged)),
        _ => None,
    });
    let turned = records.iter().find_map(|record| match &record.event {
        Event::TurnedAway(turned) => Some(turned),
        _ => None,
    });
    let entry = entries.first();
    let version =
        judged.map(|(record, _)| &record.version).or(entry.map(|entry| &entry.version)).or(records.first().map(|r| &r.version))?;
    let fates = Fates::of(&records);
    let findings = judged.map(|(_, judged)| &judged.findings).or(entry.map(|entry| &entry.findings));
    let text = |of_judged: fn(&Judged) -> &str, of_entry: fn(&Entry) -> &str| {
        harmless_line(judged.map(|(_, judged)| of_judged(judged)).or(entry.map(of_entry)).unwrap_or_default())
    };
    Some(Explanation {
        id,
        at: judged.map(|(record, _)| record.at).or(entry.map(|entry| entry.received_at)).unwrap_or(id.time()),
        version: version.clone(),
        origin: judged
            .map(|(_, judged)| &judged.origin)
            .or(entry.map(|entry| &entry.origin))
            .or(turned.map(|turned| &turned.origin))
            .map(describe)
            .unwrap_or_default(),
        sender: match turned {
            Some(turned) => harmless_line(turned.sender.as_str()),
            None => text(|judged| judged.envelope.sender.as_str(), |entry| entry.sender.as_str()),
        },
        from: text(|judged| &judged.from, |entry| &entry.from),
        subject: text(|judged| &judged.subject, |entry| &entry.subject),
        message_id: text(|judged| &judged.message_id, |_| ""),
        size: judged.map(|(_, judged)| judged.size).or(entry.map(|entry| entry.size)).unwrap_or_default(),
        sha256: judged.map(|(_, judged)| judged.sha256.clone()).unwrap_or_default(),
        took_ms: judged.map(|(_, judged)| judged.took_ms),
        findings: findings.into_iter().flatten().map(harmless_finding).collect(),
        recipients: fates.recipients.into_iter().map(|fate| explained(fate, judged.map(|(_, judged)| &**judged), entries)).collect(),
        places: entries.iter().filter(|entry| entry.is_waiting() || entry.is_held()).map(|entry| entry.place).collect(),
        contradictions: fates.contradictions,
        records,
    })
}

fn explained(fate: Fate, judged: Option<&Judged>, entries: &[Entry]) -> Explained {
    let of_judged = judged.and_then(|judged| {
        let place = judged.envelope.recipients.iter().position(|recipient| recipient.address == fate.address)?;
        judged.decisions.get(place)
    });
    let of_entry = || entries.iter().flat_map(|entry| &entry.recipients).find(|r| r.address == fate.address).map(|r| &r.decision);
    Explained { decision: of_judged.or_else(of_entry).cloned(), fate }
}

impl Explanation {
    /// The page for people: what came, what was seen, what was decided, what became of it, and every event.
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).ok();
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        match self.records.iter().any(|record| matches!(record.event, Event::TurnedAway(_))) {
            true => writeln!(out, "Message {}, refused before it was judged, version {}", self.id, self.version)?,
            false => writeln!(out, "Message {}, {} bytes, version {}", self.id, self.size, self.version)?,
        }
        writeln!(out, "  received   {} from {}", local(self.at), if self.origin.is_empty() { "ourselves" } else { &self.origin })?;
        writeln!(out, "  sender     <{}>", self.sender)?;
        for (name, value) in [("From", &self.from), ("Subject", &self.subject), ("Message-ID", &self.message_id), ("SHA-256", &self.sha256)]
        {
            if !value.is_empty() {
                writeln!(out, "  {name:<10} {value}")?;
            }
        }
        if let Some([receiving, decomposing, checking]) = self.took_ms {
            writeln!(out, "  took       {receiving} ms to receive, {decomposing} ms to take apart, {checking} ms to check")?;
        }
        writeln!(out, "\nFindings{}", if self.findings.is_empty() { ": none" } else { "" })?;
        for finding in &self.findings {
            writeln!(out, "  {}", finding_line(finding))?;
        }
        for Explained { fate, decision } in &self.recipients {
            writeln!(
                out,
                "\nTo {}{}{}",
                fate.address,
                direction(fate.direction),
                fate.route.as_ref().map(|r| format!(", route {r}")).unwrap_or_default()
            )?;
            if let Some(decision) = decision {
                writeln!(out, "  decided    {}", decision_line(decision))?;
            }
            let detail = if fate.detail.is_empty() { String::new() } else { format!(": {}", harmless_line(&fate.detail)) };
            writeln!(out, "  now        {}{detail} ({})", fate.state, local(fate.at))?;
        }
        for place in &self.places {
            writeln!(out, "\nWe have it in the {}.", place.as_str())?;
        }
        for line in &self.contradictions {
            writeln!(out, "\nContradiction in the records: {line}")?;
        }
        writeln!(out, "\nEvents")?;
        for record in &self.records {
            writeln!(out, "  {}  {:<15} {}", local(record.at), record.event.as_str(), event_line(&record.event))?;
        }
        Ok(())
    }
}

fn direction(direction: Option<Direction>) -> String {
    direction.map(|direction| format!(" ({direction})")).unwrap_or_default()
}

/// A time for people: local, to the second.
pub fn local(at: Timestamp) -> String {
    at.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// One finding on a line: code, words, evidence, weight.
pub fn finding_line(finding: &Finding) -> String {
    let weight = match &finding.class {
        Class::Note => "note".to_owned(),
        Class::Score { points } => format!("{points:+.1}"),
        Class::CouldNotTell { reason } => format!("could not tell: {reason}"),
        Class::Spam => "spam".into(),
        Class::Content => "content".into(),
        Class::Encrypted => "encrypted".into(),
        Class::Malware => "malware".into(),
        Class::Suspicious => "suspicious".into(),
        Class::Unwanted => "unwanted".into(),
        Class::Ambiguous => "ambiguous".into(),
    };
    let evidence = if finding.evidence.is_empty() { String::new() } else { format!(" [{}]", finding.evidence) };
    let part = finding.part.map(|part| format!(", part {}", part.0)).unwrap_or_default();
    format!("{:<24} {} ({weight}{part}){evidence}", finding.code, finding.words)
}

/// One decision on a line: disposition, rule, evidence, score.
pub fn decision_line(decision: &Decision) -> String {
    let area = decision.area.map(|area| format!(" in {area}")).unwrap_or_default();
    let because = if decision.because.is_empty() { String::new() } else { format!(" because of {}", harmless_line(&decision.because)) };
    let would = decision.would.map(|would| format!("; would have been {would} in mode normal")).unwrap_or_default();
    let tagged = if decision.tagged { ", tagged" } else { "" };
    format!("{}{area} by rule {}{because}, score {:.1}{tagged}{would}", decision.disposition, decision.rule, decision.score)
}

/// What one event says, beside its word, on a line.
pub fn event_line(event: &Event) -> String {
    let line = match event {
        Event::Judged(judged) => format!("{} recipient(s), {} finding(s)", judged.envelope.recipients.len(), judged.findings.len()),
        Event::TurnedAway(turned) => {
            let whom: Vec<&str> = turned.recipients.iter().map(crate::mail::Address::as_str).collect();
            format!("{} for {}: we said {}", turned.sender, whom.join(", "), turned.reply)
        }
        Event::Refused { recipient, reply } | Event::DeferredIn { recipient, reply } => format!("{recipient}: we said {reply}"),
        Event::Attempted { recipient, route, outcome, cut_through } => {
            format!("{recipient} on {route}{}: {outcome}", if *cut_through { ", in session" } else { "" })
        }
        Event::Spooled { recipient, route, why } => format!("{recipient} on {route}: {why}"),
        Event::Held { recipient, area } => format!("{recipient} in {area}"),
        Event::Discarded { recipient, rule } => format!("{recipient} by rule {rule}"),
        Event::Bounced { recipient, why, notification } => {
            format!("{recipient}: {why}; {}", notification.map_or("no notification".into(), |id| format!("notification {id}")))
        }
        Event::Released { by, reason, recipients } | Event::Deleted { by, reason, recipients } => {
            let whom: Vec<&str> = recipients.iter().map(crate::mail::Address::as_str).collect();
            format!("by {by} for {}{}", whom.join(", "), if reason.is_empty() { String::new() } else { format!(": {reason}") })
        }
        Event::ReleaseRefused { by, why } => format!("asked by {by}: {why}"),
        Event::Looked { by, how } => format!("by {by} ({how})"),
        Event::Retried { by } => format!("by {by}"),
        Event::HeldBack { by, reason, area, recipients } => {
            let whom: Vec<&str> = recipients.iter().map(crate::mail::Address::as_str).collect();
            format!("by {by} in {area} for {}{}", whom.join(", "), if reason.is_empty() { String::new() } else { format!(": {reason}") })
        }
        Event::Notified { about, recipients, notification } => {
            let whom: Vec<&str> = recipients.iter().map(crate::mail::Address::as_str).collect();
            format!("{about}: {}; notification {notification}", whom.join(", "))
        }
        Event::Damaged { what } => what.clone(),
    };
    harmless_line(&line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operate::fate::tests::{deferred, delivered, judged, record, spooled};
    use crate::store::Settings;

    #[tokio::test]
    async fn a_page_and_json() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(dir.path(), &Settings::default()).unwrap();
        let id = MessageId::new();
        let to = "ann@ours.example";
        let events = [judged(&[to, "c@ours.example"]), deferred(to, true), spooled(to), delivered("c@ours.example"), delivered(to)];
        store.record(&events.map(|event| record(id, event))).unwrap();
        let explanation = explain(store.clone(), id).await.unwrap();
        let text = explanation.text();
        for part in [
            &format!("Message {id}, 1234 bytes, version v1"),
            "192.0.2.7 (mx.else.example) on listener internet, no TLS",
            "Lunch on Friday",
            "Findings: none",
            "To ann@ours.example (inbound), route groupwise",
            "deliver by rule default, score 1.5",
            "delivered: gwia:25 said: 250 2.0.0 queued",
            "in session: gwia:25: connection refused",
            "next hop down",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
        let json = serde_json::to_string(&explanation).unwrap();
        assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation);
        assert!(matches!(explain(store, MessageId::new()).await, Err(Error::Unknown { .. })));
    }
}
