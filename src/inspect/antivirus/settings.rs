//! The `[antivirus]` table: which engines, what they are shown, and what their answers lead to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mail::Disposition;
use crate::mail::units::Period;

use super::engine;

/// What of a message the engines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Scan {
    /// The raw message, and every part whose decoded bytes do not stand in it verbatim.
    #[default]
    #[serde(rename = "raw+parts")]
    RawAndParts,
    /// Every part, decoded; not the raw message.
    #[serde(rename = "parts")]
    Parts,
    /// Attachments, archive members and whatever is not text.
    #[serde(rename = "attachments")]
    Attachments,
}

/// What kind of finding a name from an engine becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    /// Treated as malware (`on_malware_…`).
    Malware,
    /// A suspicion (`on_suspicious`).
    Suspicious,
    /// An unwanted program (`on_unwanted`).
    Unwanted,
    /// Recorded, without consequence.
    Note,
}

/// Settings of the virus check, the `[antivirus]` table.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The engines, all of which are asked: `clamd:unix:/path`, `clamd:tcp:HOST:PORT`, `builtin:DIRECTORY`.
    /// Default: `["clamd:unix:/run/clamav/clamd.ctl"]`.
    pub engines: Vec<String>,
    /// What they are shown: `raw+parts`, `parts` or `attachments`. Default: `raw+parts`.
    pub scan: Scan,
    /// How long one scan of one part may take. Default: `30s`.
    pub timeout: Period,
    /// How long connecting to an engine may take. Default: `5s`.
    pub connect_timeout: Period,
    /// How many scans each engine is given at once. Default: 8.
    pub in_flight: usize,
    /// How many answers of each engine are remembered by content hash, so that the same attachment is not scanned again and again: *clean*
    /// and *found* only, until its signatures change. Some 100 bytes each. 0: none. Default: 20000.
    pub remember: usize,
    /// From which age of its signatures on an engine's status warns. Default: `7d`.
    pub signature_age: Period,
    /// What ClamAV's `Heuristics.*` names count as: `malware`, `suspicious`, `unwanted` or `note`. Default: `suspicious`.
    /// (`Heuristics.Encrypted.*` is always encrypted, `Heuristics.Limits.Exceeded.*` always *could not tell*.)
    pub heuristics: Rating,
    /// What ClamAV's `PUA.*` names count as: `malware`, `suspicious`, `unwanted` or `note`. Default: `unwanted`.
    pub pua: Rating,
    /// An engine is down, too slow or in error: `defer`, `hold` or `deliver` (unscanned, and said so). Default: `defer`.
    pub on_unavailable: Disposition,
    /// With `on_unavailable = "defer"`: from this long on, hold instead of defer. Default: `30m`.
    pub unavailable_hold_after: Period,
    /// Too big, a limit, malformed, an unknown container: `hold`, `reject` or `deliver`. Default: `hold`.
    pub on_unscannable: Disposition,
    /// Encrypted archives and documents: `hold`, `reject` or `deliver`. Default: `hold`.
    pub on_encrypted: Disposition,
    /// Malware in inbound mail: `reject`, `hold` or `discard`. Default: `reject`.
    pub on_malware_inbound: Disposition,
    /// Malware in outbound and internal mail: `hold`, `reject` or `discard`. Default: `hold`.
    pub on_malware_outbound: Disposition,
    /// An engine's suspicion: `hold`, `reject`, `discard` or `deliver`. Default: `hold`.
    pub on_suspicious: Disposition,
    /// A potentially unwanted program: `hold`, `reject`, `discard` or `deliver`. Default: `hold`.
    pub on_unwanted: Disposition,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            engines: vec!["clamd:unix:/run/clamav/clamd.ctl".to_owned()],
            scan: Scan::default(),
            timeout: Period(Duration::from_secs(30)),
            connect_timeout: Period(Duration::from_secs(5)),
            in_flight: 8,
            remember: 20_000,
            signature_age: Period(Duration::from_hours(7 * 24)),
            heuristics: Rating::Suspicious,
            pua: Rating::Unwanted,
            on_unavailable: Disposition::Defer,
            unavailable_hold_after: Period(Duration::from_mins(30)),
            on_unscannable: Disposition::Hold,
            on_encrypted: Disposition::Hold,
            on_malware_inbound: Disposition::Reject,
            on_malware_outbound: Disposition::Hold,
            on_suspicious: Disposition::Hold,
            on_unwanted: Disposition::Hold,
        }
    }
}

/// A setting of `[antivirus]` that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("antivirus.{key}: {what}; {hint}")]
pub struct SettingsError {
    /// The key in the `[antivirus]` table.
    pub key: &'static str,
    /// What is wrong with it.
    pub what: String,
    /// What to write instead.
    pub hint: String,
}

impl SettingsError {
    /// An error at `key`, with what to write instead.
    pub fn new(key: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key, what: what.into(), hint: hint.into() }
    }
}

impl Settings {
    /// Everything that is wrong with the values, so that `mailweir check` can name all of it. Touches no socket and no file.
    pub fn problems(&self) -> Vec<SettingsError> {
        let mut found = Vec::new();
        if self.engines.is_empty() {
            let hint = "name one, such as \"clamd:unix:/run/clamav/clamd.ctl\", or take \"antivirus\" out of inspect.checks";
            found.push(SettingsError::new("engines", "no engine is named", hint));
        }
        for (at, spec) in self.engines.iter().enumerate() {
            if self.engines.iter().take(at).any(|before| before == spec) {
                found.push(SettingsError::new("engines", format!("{spec:?} stands there twice"), "name each engine once"));
            }
            found.extend(engine::check(spec).err());
        }
        if self.in_flight == 0 {
            found.push(SettingsError::new("in_flight", "0 would let no scan through", "write 1 or more; 8 is the default"));
        }
        for (key, period) in [("timeout", self.timeout), ("connect_timeout", self.connect_timeout)] {
            if period.0.is_zero() {
                found.push(SettingsError::new(key, "no time at all", "write a period such as \"30s\""));
            }
        }
        found.extend(self.actions().into_iter().filter(|action| !action.2.contains(&action.1)).map(not_allowed));
        found
    }

    /// Each `on_…` key, its value, and the values it may have.
    fn actions(&self) -> [(&'static str, Disposition, &'static [Disposition]); 7] {
        use Disposition::{Defer, Deliver, Discard, Hold, Reject};
        [
            ("on_unavailable", self.on_unavailable, &[Defer, Hold, Deliver]),
            ("on_unscannable", self.on_unscannable, &[Hold, Reject, Deliver]),
            ("on_encrypted", self.on_encrypted, &[Hold, Reject, Deliver]),
            ("on_malware_inbound", self.on_malware_inbound, &[Reject, Hold, Discard]),
            ("on_malware_outbound", self.on_malware_outbound, &[Hold, Reject, Discard]),
            ("on_suspicious", self.on_suspicious, &[Hold, Reject, Discard, Deliver]),
            ("on_unwanted", self.on_unwanted, &[Hold, Reject, Discard, Deliver]),
        ]
    }
}

fn not_allowed((key, value, allowed): (&'static str, Disposition, &'static [Disposition])) -> SettingsError {
    let allowed: Vec<String> = allowed.iter().map(|word| format!("{:?}", word.as_str())).collect();
    SettingsError::new(key, format!("\"{value}\" is not possible here"), format!("write {}", allowed.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound_and_round_trip() {
        let settings = Settings::default();
        assert_eq!(settings.problems(), []);
        let text = toml::to_string(&settings).unwrap();
        let again: Settings = toml::from_str(&text).unwrap();
        assert_eq!(toml::to_string(&again).unwrap(), text);
        assert!(text.contains("scan = \"raw+parts\"") && text.contains("unavailable_hold_after = \"30m\""), "{text}");
    }

    #[test]
    fn all_problems_are_named() {
        let rows: &[(&str, &[&str])] = &[
            ("engines = []", &["engines"]),
            ("engines = [\"clamd:tcp:host\", \"sssp:unix:/x\", \"builtin:\"]", &["engines", "engines", "engines"]),
            ("engines = [\"clamd:tcp:h:1\", \"clamd:tcp:h:1\"]", &["engines"]),
            ("in_flight = 0\ntimeout = \"0s\"", &["in_flight", "timeout"]),
            ("on_malware_inbound = \"deliver\"\non_unavailable = \"reject\"", &["on_unavailable", "on_malware_inbound"]),
            ("on_suspicious = \"deliver\"\non_unavailable = \"deliver\"\nheuristics = \"malware\"", &[]),
        ];
        for (text, want) in rows {
            let settings: Settings = toml::from_str(text).unwrap();
            let keys: Vec<_> = settings.problems().iter().map(|problem| problem.key).collect();
            assert_eq!(keys, *want, "{text}");
        }
        for unknown in ["engine = []", "scan = \"all\"", "on_encrypted = \"drop\"", "timeout = 30"] {
            assert!(toml::from_str::<Settings>(unknown).is_err(), "{unknown}");
        }
        let settings: Settings = toml::from_str("on_encrypted = \"discard\"").unwrap();
        let said = settings.problems()[0].to_string();
        assert_eq!(said, r#"antivirus.on_encrypted: "discard" is not possible here; write "hold" or "reject" or "deliver""#);
    }
}
