//! Findings to decisions. Pure: the same findings, settings and mode always give the same decisions.

pub mod settings;

pub use settings::Settings;

use std::time::Duration;

use crate::mail::{Area, Class, Decision, Direction, Disposition, Finding, Mode, Recipient};

/// What the policy must know beside the findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Circumstances {
    /// How strictly findings are acted on.
    pub mode: Mode,
    /// For how long no message could be scanned by all engines; `None` while they answer.
    pub unavailable_for: Option<Duration>,
}

/// One decision per recipient, in order, and already reconciled with each other ([`reconcile`]).
pub fn decide(settings: &Settings, circumstances: Circumstances, findings: &[Finding], recipients: &[Recipient]) -> Vec<Decision> {
    let mut decisions: Vec<Decision> =
        recipients.iter().map(|recipient| decide_one(settings, circumstances, findings, recipient.direction)).collect();
    reconcile(&mut decisions);
    decisions
}

/// What a finding asks for: the gravest wins.
struct Wish {
    disposition: Disposition,
    area: Area,
    rule: &'static str,
    because: String,
    /// Whether it is about viruses: these act in every mode.
    virus: bool,
}

fn decide_one(settings: &Settings, circumstances: Circumstances, findings: &[Finding], direction: Direction) -> Decision {
    let score = score(findings);
    let wishes: Vec<Wish> = findings
        .iter()
        .filter_map(|finding| wish(settings, circumstances, finding, direction))
        .chain(score_wish(settings, score, findings))
        .filter(|wish| wish.disposition != Disposition::Deliver)
        .collect();
    let acts = |wish: &&Wish| match circumstances.mode {
        Mode::Normal | Mode::HoldAll => true,
        Mode::Observe => wish.virus,
        Mode::AvOnly => wish.area >= Area::Encrypted,
    };
    let gravity = |wish: &&Wish| (gravity(wish.disposition), wish.area);
    let gravest = wishes.iter().filter(acts).max_by_key(gravity);
    let would = wishes.iter().max_by_key(gravity).map(|wish| wish.disposition);
    let tagged = score >= settings.tag;
    let (disposition, area, rule, because) = match gravest {
        Some(wish) => (wish.disposition, Some(wish.area), wish.rule, wish.because.clone()),
        None => (Disposition::Deliver, None, "default", String::new()),
    };
    match (circumstances.mode, disposition) {
        (Mode::HoldAll, Disposition::Deliver | Disposition::Discard) => Decision {
            disposition: Disposition::Hold,
            area: Some(Area::Held),
            rule: "mode.hold-all".into(),
            because,
            score,
            would: None,
            tagged,
        },
        _ => {
            let would = would.filter(|would| *would != disposition);
            Decision { disposition, area, rule: rule.into(), because, score, would, tagged }
        }
    }
}

/// The sum of all scores, to two decimals.
pub fn score(findings: &[Finding]) -> f32 {
    let sum: f32 = findings.iter().map(|finding| if let Class::Score { points } = finding.class { points } else { 0.0 }).sum();
    // Adding zero makes -0 plain 0.
    (sum * 100.0).round() / 100.0 + 0.0
}

/// The order in which dispositions outdo each other. A defer outdoes a hold: when it comes again, everything will be known.
fn gravity(disposition: Disposition) -> u8 {
    match disposition {
        Disposition::Deliver => 0,
        Disposition::Discard => 1,
        Disposition::Hold => 2,
        Disposition::Defer => 3,
        Disposition::Reject => 4,
    }
}

fn wish(settings: &Settings, circumstances: Circumstances, finding: &Finding, direction: Direction) -> Option<Wish> {
    let inbound = direction == Direction::Inbound;
    let (disposition, area, rule, virus) = match &finding.class {
        Class::Note | Class::Score { .. } => return None,
        Class::Spam => (settings.on_spam, Area::Spam, "policy.on_spam", false),
        Class::Content if inbound => (settings.on_content_inbound, Area::Content, "policy.on_content_inbound", false),
        Class::Content => (settings.on_content_outbound, Area::Content, "policy.on_content_outbound", false),
        Class::Encrypted => (settings.on_encrypted, Area::Encrypted, "antivirus.on_encrypted", false),
        Class::Malware if inbound => (settings.on_malware_inbound, Area::Virus, "antivirus.on_malware_inbound", true),
        Class::Malware => (settings.on_malware_outbound, Area::Virus, "antivirus.on_malware_outbound", true),
        Class::Suspicious => (settings.on_suspicious, Area::Virus, "antivirus.on_suspicious", true),
        Class::Unwanted => (settings.on_unwanted, Area::Virus, "antivirus.on_unwanted", true),
        Class::Ambiguous if inbound => (settings.on_ambiguous_inbound, Area::Unscanned, "policy.on_ambiguous_inbound", false),
        Class::Ambiguous => (settings.on_ambiguous_outbound, Area::Unscanned, "policy.on_ambiguous_outbound", false),
        Class::CouldNotTell { reason } if reason.is_passing() => {
            let (disposition, rule) = unavailable(settings, circumstances);
            (disposition, Area::Unscanned, rule, true)
        }
        Class::CouldNotTell { .. } => (settings.on_unscannable, Area::Unscanned, "antivirus.on_unscannable", false),
    };
    Some(Wish { disposition, area, rule, because: because(finding), virus })
}

/// Deferring for ever would lose mail at the sender's: after a while what cannot be scanned is held instead.
fn unavailable(settings: &Settings, circumstances: Circumstances) -> (Disposition, &'static str) {
    let too_long = circumstances.unavailable_for.is_some_and(|down| down >= settings.unavailable_hold_after.0);
    match settings.on_unavailable {
        Disposition::Defer if too_long => (Disposition::Hold, "antivirus.unavailable_hold_after"),
        disposition => (disposition, "antivirus.on_unavailable"),
    }
}

fn score_wish(settings: &Settings, score: f32, findings: &[Finding]) -> Option<Wish> {
    if score < settings.hold {
        return None;
    }
    let mut top: Vec<(f32, &Finding)> = findings
        .iter()
        .filter_map(|finding| if let Class::Score { points } = finding.class { Some((points, finding)) } else { None })
        .collect();
    top.sort_by(|a, b| b.0.total_cmp(&a.0));
    let names: Vec<String> = top.iter().take(5).map(|(points, finding)| format!("{} {points:+}", finding.code)).collect();
    let because = format!("score {score} of {}: {}", settings.hold, names.join(", "));
    Some(Wish { disposition: Disposition::Hold, area: Area::Spam, rule: "policy.hold", because, virus: false })
}

fn because(finding: &Finding) -> String {
    if finding.evidence.is_empty() { finding.code.to_string() } else { format!("{}: {}", finding.code, finding.evidence) }
}

/// Makes one reply possible: 5xx or 4xx only if it goes for everybody, otherwise who would be refused is held.
fn reconcile(decisions: &mut [Decision]) {
    let is = |decision: &Decision, wanted: Disposition| decision.disposition == wanted;
    if decisions.iter().all(|decision| is(decision, Disposition::Reject)) {
        return;
    }
    if decisions.iter().all(|decision| is(decision, Disposition::Reject) || is(decision, Disposition::Defer)) {
        for decision in decisions {
            decision.disposition = Disposition::Defer;
        }
        return;
    }
    for decision in decisions.iter_mut().filter(|decision| matches!(decision.disposition, Disposition::Reject | Disposition::Defer)) {
        decision.would = Some(decision.disposition);
        decision.disposition = Disposition::Hold;
    }
}

#[cfg(test)]
mod tests;
