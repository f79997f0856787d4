//! From the answers of all engines about all objects of a message to findings: any *found* wins, and no *could not tell* is lost.

use std::borrow::Cow;

use super::engine::{Answer, TroubleKind};
use super::settings::{Rating, Settings};
use crate::mail::{Class, Finding, PartId};

/// The check's name in findings.
pub const CHECK: &str = "antivirus";

/// What one engine said about one object.
#[derive(Debug)]
pub struct Said<'a> {
    /// The engine.
    pub engine: &'a str,
    /// The part; `None` for the raw message.
    pub part: Option<PartId>,
    /// Its answer.
    pub answer: Answer,
}

/// The findings. The same signature, or the same kind of trouble, from one engine about several parts is one finding, placed
/// at the first part it names. Where malware was found, trouble elsewhere no longer matters and is left out.
pub fn findings(said: &[Said<'_>], settings: &Settings) -> Vec<Finding> {
    let mut found: Vec<(String, Finding)> = Vec::new();
    for Said { engine, part, answer } in said {
        let Some((key, mut finding)) = finding(engine, answer, settings) else { continue };
        finding.part = *part;
        match found.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => known.part = known.part.or(*part),
            None => found.push((key, finding)),
        }
    }
    let infected = found.iter().any(|(_, finding)| finding.class == Class::Malware);
    let counts = |finding: &Finding| !infected || !matches!(finding.class, Class::CouldNotTell { .. });
    found.into_iter().map(|(_, finding)| finding).filter(counts).collect()
}

/// One answer as a finding, and what makes it the same as another.
fn finding(engine: &str, answer: &Answer, settings: &Settings) -> Option<(String, Finding)> {
    match answer {
        Answer::Clean => None,
        Answer::Found(name) => {
            let (code, class, words) = classify(name, settings);
            let evidence = format!("{engine}: {name}");
            Some((evidence.clone(), Finding::new(CHECK, code, class, words, evidence)))
        }
        Answer::CouldNotTell(trouble) => {
            let class = Class::CouldNotTell { reason: trouble.kind.reason() };
            let code: Cow<'static, str> = format!("av.{}", trouble.kind.as_str()).into();
            let key = format!("{engine} {code}");
            Some((key, Finding::new(CHECK, code, class, words(trouble.kind), format!("{engine}: {trouble}"))))
        }
    }
}

/// What a signature's name stands for (ClamAV documentation, "Signature names").
fn classify(name: &str, settings: &Settings) -> (&'static str, Class, &'static str) {
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix));
    if starts("Heuristics.Encrypted.") {
        return ("av.encrypted", Class::Encrypted, "Encrypted, by a virus engine");
    }
    let rating = match () {
        () if starts("Heuristics.") => settings.heuristics,
        () if starts("PUA.") => settings.pua,
        () => Rating::Malware,
    };
    match rating {
        Rating::Malware => ("av.malware", Class::Malware, "Malware found by a virus engine"),
        Rating::Suspicious => ("av.suspicious", Class::Suspicious, "Suspicious to a virus engine"),
        Rating::Unwanted => ("av.unwanted", Class::Unwanted, "Unwanted program found by a virus engine"),
        Rating::Note => ("av.note", Class::Note, "Noticed by a virus engine, and set to be passed"),
    }
}

fn words(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::Unavailable => "A virus engine was not available",
        TroubleKind::Time => "A virus engine gave no answer in time",
        TroubleKind::TooBig => "Too big for a virus engine",
        TroubleKind::Limit => "A virus engine reached a limit of its own",
        TroubleKind::Malformed => "A virus engine's answer made no sense",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::Reason;

    fn found(name: &str) -> Answer {
        Answer::Found(name.to_owned())
    }

    fn said(rows: Vec<(&'static str, Option<u32>, Answer)>) -> Vec<Said<'static>> {
        rows.into_iter().map(|(engine, part, answer)| Said { engine, part: part.map(PartId), answer }).collect()
    }

    #[test]
    fn names() {
        let strict = Settings { heuristics: Rating::Malware, pua: Rating::Note, ..Settings::default() };
        for (name, shipped, other) in [
            ("Win.Trojan.Agent-1", Class::Malware, Class::Malware),
            ("Local.Test.EICAR.UNOFFICIAL", Class::Malware, Class::Malware),
            ("Heuristics.Phishing.Email.SpoofedDomain", Class::Suspicious, Class::Malware),
            ("heuristics.ole2.containsmacros", Class::Suspicious, Class::Malware),
            ("PUA.Win.Packer.Upx-1", Class::Unwanted, Class::Note),
            ("Heuristics.Encrypted.Zip", Class::Encrypted, Class::Encrypted),
            ("HeuristicsX", Class::Malware, Class::Malware),
            ("é", Class::Malware, Class::Malware),
        ] {
            assert_eq!(classify(name, &Settings::default()).1, shipped, "{name}");
            assert_eq!(classify(name, &strict).1, other, "{name}");
        }
    }

    #[test]
    fn several_engines_and_parts() {
        let down = || Answer::trouble(TroubleKind::Unavailable, "connection refused");
        let big = || Answer::trouble(TroubleKind::TooBig, "60000000 bytes");
        type Want = &'static [(&'static str, &'static str, Option<u32>)];
        let rows: Vec<(_, Want)> = vec![
            (vec![("a", None, Answer::Clean), ("b", None, Answer::Clean)], &[]),
            // One finding for an engine and a signature, at the first part that it names.
            (vec![("a", None, found("X")), ("a", Some(3), found("X")), ("a", Some(4), found("X"))], &[("av.malware", "a: X", Some(3))]),
            (vec![("a", None, found("X")), ("b", None, found("X"))], &[("av.malware", "a: X", None), ("av.malware", "b: X", None)]),
            // One engine clean, one down: the second stays.
            (vec![("a", None, Answer::Clean), ("b", None, down())], &[("av.unavailable", "b: connection refused", None)]),
            // Malware found by one is enough; a suspicion is not.
            (vec![("a", None, found("X")), ("b", None, down())], &[("av.malware", "a: X", None)]),
            (
                vec![("a", None, found("PUA.X")), ("b", None, down())],
                &[("av.unwanted", "a: PUA.X", None), ("av.unavailable", "b: connection refused", None)],
            ),
            // One finding for an engine and a reason.
            (
                vec![("a", None, big()), ("a", Some(2), down()), ("a", Some(5), down())],
                &[("av.too_big", "a: 60000000 bytes", None), ("av.unavailable", "a: connection refused", Some(2))],
            ),
        ];
        for (row, (answers, want)) in rows.into_iter().enumerate() {
            let findings = findings(&said(answers), &Settings::default());
            let got: Vec<_> = findings.iter().map(|f| (f.code.as_ref(), f.evidence.as_str(), f.part.map(|part| part.0))).collect();
            assert_eq!(got, want, "row {row}");
        }
    }

    #[test]
    fn no_trouble_becomes_nothing() {
        use TroubleKind::*;
        for (kind, reason) in [
            (Unavailable, Reason::Unavailable),
            (Time, Reason::Time),
            (TooBig, Reason::TooBig),
            (Limit, Reason::Limit),
            (Malformed, Reason::Unavailable),
        ] {
            let findings = findings(&said(vec![("a", None, Answer::trouble(kind, "x"))]), &Settings::default());
            assert_eq!(findings[0].class, Class::CouldNotTell { reason }, "{kind:?}");
        }
    }
}
