//! The settings of the policy: thresholds and what to do with each class of finding.

use serde::{Deserialize, Serialize};

use crate::mail::Disposition;
use crate::mail::units::Period;

/// `[policy]`, together with the `on_…` settings of `[antivirus]` that setup puts in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Score from which a message is marked as spam for the mail server; points, default 5.
    pub tag: f32,
    /// Score from which a message is held in area Spam; points, default 8. No score alone refuses a message.
    pub hold: f32,
    /// What is spam in itself (GTUBE): `hold` (default), `reject`, `discard`, `deliver`.
    pub on_spam: Disposition,
    /// Unsuitable content from outside: `hold` (default), `reject`, `deliver`.
    pub on_content_inbound: Disposition,
    /// Unsuitable content from our own: `hold` (default), `reject`, `deliver`.
    pub on_content_outbound: Disposition,
    /// A message from outside that mail programs would read differently, where an attachment is concerned: `hold` (default), `reject`, `deliver`.
    pub on_ambiguous_inbound: Disposition,
    /// The same from our own: `deliver` (default; all its readings have been scanned), `hold`, `reject`.
    pub on_ambiguous_outbound: Disposition,
    /// Engine down, timeout, error; from `[antivirus]`, default `defer`.
    #[serde(skip)]
    pub on_unavailable: Disposition,
    /// After so long a time without a full scan, `defer` becomes `hold`; from `[antivirus]`, default 30 minutes.
    #[serde(skip)]
    pub unavailable_hold_after: Period,
    /// Too big, limit reached, malformed, unknown container; from `[antivirus]`, default `hold`.
    #[serde(skip)]
    pub on_unscannable: Disposition,
    /// Encrypted archives and documents; from `[antivirus]`, default `hold`.
    #[serde(skip)]
    pub on_encrypted: Disposition,
    /// Malware from outside; from `[antivirus]`, default `reject`.
    #[serde(skip)]
    pub on_malware_inbound: Disposition,
    /// Malware from our own; from `[antivirus]`, default `hold`.
    #[serde(skip)]
    pub on_malware_outbound: Disposition,
    /// An engine's suspicion; from `[antivirus]`, default `hold`.
    #[serde(skip)]
    pub on_suspicious: Disposition,
    /// Potentially unwanted applications; from `[antivirus]`, default `hold`.
    #[serde(skip)]
    pub on_unwanted: Disposition,
}

fn half_an_hour() -> Period {
    Period(std::time::Duration::from_secs(30 * 60))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tag: 5.0,
            hold: 8.0,
            on_spam: Disposition::Hold,
            on_content_inbound: Disposition::Hold,
            on_content_outbound: Disposition::Hold,
            on_ambiguous_inbound: Disposition::Hold,
            on_ambiguous_outbound: Disposition::Deliver,
            on_unavailable: Disposition::Defer,
            unavailable_hold_after: half_an_hour(),
            on_unscannable: Disposition::Hold,
            on_encrypted: Disposition::Hold,
            on_malware_inbound: Disposition::Reject,
            on_malware_outbound: Disposition::Hold,
            on_suspicious: Disposition::Hold,
            on_unwanted: Disposition::Hold,
        }
    }
}
