//! What a sender asks about delivery status notifications: RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT (RFC 3461).

use std::fmt;

use serde::{Deserialize, Serialize};

/// RET: how much of the message a notification of failure gives back (RFC 3461 section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header fields.
    Hdrs,
}

impl Ret {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "FULL",
            Self::Hdrs => "HDRS",
        }
    }
}

/// What MAIL asked for, for all recipients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct MessageRequest {
    /// RET, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ret: Option<Ret>,
    /// ENVID as it stood on the wire, in xtext (RFC 3461 section 4.4); at most 100 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub envid: Option<String>,
}

impl MessageRequest {
    /// Nothing was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// NOTIFY: of which events the sender wants to hear (RFC 3461 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Notify {
    /// Of none.
    Never,
    /// Of these; at least one is set.
    On {
        /// Delivered, or handed to a server that sends no notifications.
        success: bool,
        /// Given up.
        failure: bool,
        /// Still not delivered after some time.
        delay: bool,
    },
}

impl fmt::Display for Notify {
    /// The value on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::On { success, failure, delay } = *self else { return f.write_str("NEVER") };
        let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let words: Vec<&str> = words.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
        f.write_str(&words.join(","))
    }
}

/// What RCPT asked for, for one recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RecipientRequest {
    /// NOTIFY, where it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// ORCPT as it stood on the wire, `addr-type;xtext` (RFC 3461 section 4.2, RFC 6533 section 3); at most 500 octets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orcpt: Option<String>,
}

impl RecipientRequest {
    /// Nothing was asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The sender wants to hear that the recipient was given up: so too where nothing was said (RFC 3461 section 4.1).
    pub fn wants_failure(&self) -> bool {
        matches!(self.notify, None | Some(Notify::On { failure: true, .. }))
    }

    /// The sender wants to hear of a delay: where nothing was said, that is ours to decide, and we tell.
    pub fn wants_delay(&self) -> bool {
        matches!(self.notify, None | Some(Notify::On { delay: true, .. }))
    }

    /// The sender wants to hear of success: only where asked for.
    pub fn wants_success(&self) -> bool {
        matches!(self.notify, Some(Notify::On { success: true, .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_hears_of_what() {
        let on = |success, failure, delay| Some(Notify::On { success, failure, delay });
        for (notify, success, failure, delay) in [
            (None, false, true, true),
            (Some(Notify::Never), false, false, false),
            (on(true, false, false), true, false, false),
            (on(false, true, true), false, true, true),
        ] {
            let request = RecipientRequest { notify, orcpt: None };
            assert_eq!((request.wants_success(), request.wants_failure(), request.wants_delay()), (success, failure, delay), "{notify:?}");
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<RecipientRequest>(&text).unwrap(), request, "{text}");
        }
        assert_eq!(on(true, false, true).unwrap().to_string(), "SUCCESS,DELAY");
        assert_eq!(Notify::Never.to_string(), "NEVER");
    }
}
