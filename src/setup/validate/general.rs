//! The settings at the top of the file, and those of log and rules.

use std::net::IpAddr;
use std::sync::Arc;

use super::Checker;
use crate::mail::Disposition;
use crate::rules::{RuleError, RuleSet};
use crate::setup::problem::Problem;

pub fn check(checker: &mut Checker<'_>) {
    let config = checker.config;
    match hostname_mistake(&config.hostname) {
        Some(what) if config.hostname.is_empty() => checker.error("hostname", what, "hostname = \"mx1.example.org\""),
        Some(what) => checker.error("hostname", format!("hostname \"{}\": {what}", config.hostname), "hostname = \"mx1.example.org\""),
        None => {}
    }
    if config.data_dir.as_os_str().is_empty() {
        checker.error("data_dir", "data_dir is empty", "data_dir = \"/var/lib/mailweir\"");
    }
    if let Some(what) = config.log.mistake() {
        checker.error("log.level", format!("log level \"{}\": {what}", config.log.level), "level = \"info\"");
    }
    policy(checker);
}

/// Thresholds.
fn policy(checker: &mut Checker<'_>) {
    let policy = &checker.config.policy;
    let (tag, hold) = (policy.tag, policy.hold);
    for (name, points) in [("tag", tag), ("hold", hold)] {
        if !points.is_finite() || points <= 0.0 {
            checker.error(
                &format!("policy.{name}"),
                format!("{name} = {points}: a threshold must be greater than 0"),
                format!("{name} = 5.0"),
            );
        }
    }
    if hold < tag && hold > 0.0 {
        let what = format!("mail is held from {hold} points on, marked only from {tag}: nothing would ever be marked and delivered");
        checker.warn("policy.hold", what, "tag = 5.0 and hold = 8.0");
    }
    use Disposition::{Deliver, Discard, Hold, Reject};
    for (name, value, allowed) in [
        ("on_spam", policy.on_spam, &[Hold, Reject, Discard, Deliver][..]),
        ("on_content_inbound", policy.on_content_inbound, &[Hold, Reject, Deliver]),
        ("on_content_outbound", policy.on_content_outbound, &[Hold, Reject, Deliver]),
        ("on_ambiguous_inbound", policy.on_ambiguous_inbound, &[Hold, Reject, Deliver]),
        ("on_ambiguous_outbound", policy.on_ambiguous_outbound, &[Hold, Reject, Deliver]),
    ] {
        if !allowed.contains(&value) {
            let choices = allowed.iter().map(|choice| format!("\"{choice}\"")).collect::<Vec<_>>().join(" or ");
            checker.error(&format!("policy.{name}"), format!("{name} = \"{value}\" is not possible"), format!("{name} = {choices}"));
        }
    }
}

/// The shipped rules and those of the directories that the configuration names; `None` where they cannot be used, which is noted.
pub fn rules(checker: &mut Checker<'_>) -> Option<Arc<RuleSet>> {
    let mut directories = Vec::new();
    for (i, directory) in checker.config.rules.directories.iter().enumerate() {
        let path = checker.resolve(directory);
        match std::fs::read_dir(&path) {
            Ok(_) => directories.push(path),
            Err(error) => {
                let what = format!("cannot read rules in {}: {error}", path.display());
                let hint = "do: name a directory with rule files (*.toml) that the gateway's user may read";
                checker.error(&format!("rules.directories[{i}]"), what, hint);
            }
        }
    }
    match RuleSet::load(&directories) {
        Ok(rules) => Some(Arc::new(rules)),
        Err(errors) => {
            let problem = |error: RuleError| Problem::error(error.what, rule_hint(&error.hint)).at(error.file, error.line, error.column);
            checker.problems.extend(errors.into_iter().map(problem));
            None
        }
    }
}

/// Hints about rules begin with what to do; those that are what to write stay.
fn rule_hint(hint: &str) -> String {
    let is_advice = ["add ", "did ", "it ", "move ", "one ", "see ", "switch ", "take ", "use "].iter().any(|word| hint.starts_with(word));
    if is_advice { format!("do: {hint}") } else { hint.strip_prefix("write ").unwrap_or(hint).to_owned() }
}

/// What keeps a text from being a full name in the DNS.
fn hostname_mistake(name: &str) -> Option<&'static str> {
    let labels: Vec<&str> = name.split('.').collect();
    if name.is_empty() {
        return Some("hostname is missing: the gateway's full name in the DNS");
    }
    if name.parse::<IpAddr>().is_ok() || name.starts_with('[') {
        return Some("an address is not a name; other mail servers expect the name that the address resolves to");
    }
    if labels.len() < 2 {
        return Some("not a full name: the domain is missing");
    }
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !labels.iter().all(is_label) {
        return Some("not a name in the DNS: letters, digits and hyphens between dots");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames() {
        for (name, good) in [
            ("mx1.example.gov.uk", true),
            ("a.b", true),
            ("", false),
            ("localhost", false),
            ("192.0.2.1", false),
            ("[192.0.2.1]", false),
            ("mx_1.example", false),
            ("mx1..example", false),
            ("-mx.example", false),
            ("mx1.example.", false),
            ("mx 1.example", false),
        ] {
            assert_eq!(hostname_mistake(name).is_none(), good, "{name}");
        }
    }
}
