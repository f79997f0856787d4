//! A mail address as the envelope carries it (RFC 5321 section 4.1.2), kept as it was written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest local part we take, in octets: RFC 5321 section 4.5.3.1.1 says 64; longer ones are in use, so 256.
pub const MAX_LOCAL: usize = 256;
/// The longest domain, in octets (RFC 5321 section 4.5.3.1.2).
pub const MAX_DOMAIN: usize = 255;

/// `local@domain`, spelled as the sender spelled it; comparison keys are lower case.
///
/// Never holds a control character, an angle bracket outside quotes, or white space outside quotes, so that it can be
/// written into a command or a log line as it is. Non-ASCII is allowed here (RFC 6531); who may use it is the session's to say.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    text: Box<str>,
    at: usize,
}

/// Why a text is not an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no `@`, or nothing before it.
    #[error("no local part and domain")]
    Incomplete,
    /// The local part is not a dot-string or quoted string (RFC 5321 section 4.1.2).
    #[error("malformed local part")]
    Local,
    /// The domain is not a host name or address literal.
    #[error("malformed domain")]
    Domain,
    /// One side is longer than its limit.
    #[error("address too long")]
    TooLong,
}

impl Address {
    /// The address as written, without angle brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the last `@`, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..self.at]
    }

    /// What stands after the last `@`, as written.
    pub fn domain(&self) -> &str {
        &self.text[self.at + 1..]
    }

    /// The domain in lower case, for look-ups.
    pub fn domain_key(&self) -> String {
        self.domain().to_lowercase()
    }

    /// The whole address in lower case, for look-ups (we never tell `Bob` from `bob` at one domain).
    pub fn key(&self) -> String {
        self.text.to_lowercase()
    }

    /// Whether it needs SMTPUTF8 (RFC 6531) to be passed on.
    pub fn is_ascii(&self) -> bool {
        self.text.is_ascii()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let at = text.rfind('@').ok_or(AddressError::Incomplete)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.is_empty() || domain.is_empty() {
            return Err(AddressError::Incomplete);
        }
        if local.len() > MAX_LOCAL || domain.len() > MAX_DOMAIN {
            return Err(AddressError::TooLong);
        }
        if !(is_dot_string(local) || is_quoted_string(local)) {
            return Err(AddressError::Local);
        }
        if !(is_host(domain) || is_literal(domain)) {
            return Err(AddressError::Domain);
        }
        Ok(Self { text: text.into(), at })
    }
}

/// Dot-string; consecutive and trailing dots are let through, because real addresses (Japanese mobile mail) have them.
fn is_dot_string(local: &str) -> bool {
    !local.starts_with('.') && local.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || is_utf8_text(c))
}

fn is_quoted_string(local: &str) -> bool {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(' '..='~') => {}
                _ => return false,
            },
            '"' => return false,
            ' '..='~' => {}
            c if is_utf8_text(c) => {}
            _ => return false,
        }
    }
    local.len() >= 2
}

fn is_host(domain: &str) -> bool {
    domain.split('.').all(|label| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || is_utf8_text(c))
    })
}

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
fn is_literal(domain: &str) -> bool {
    let Some(inner) = domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else { return false };
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner[5..].parse::<std::net::Ipv6Addr>().is_ok(),
        _ => inner.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// Non-ASCII text that is neither a control nor white space nor a direction override, which would disguise the address.
fn is_utf8_text(c: char) -> bool {
    !c.is_ascii()
        && !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| serde::de::Error::custom(format!("{error}: {text:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        type Want = Result<(&'static str, &'static str), AddressError>;
        let rows: &[(&str, Want)] = &[
            ("a@b.example", Ok(("a", "b.example"))),
            ("First.Last+tag@Example.ORG", Ok(("First.Last+tag", "Example.ORG"))),
            ("\"a b\"@b.example", Ok(("\"a b\"", "b.example"))),
            ("\"a@c\"@b.example", Ok(("\"a@c\"", "b.example"))),
            ("\"a\\\"c\"@b.example", Ok(("\"a\\\"c\"", "b.example"))),
            ("a@[192.0.2.1]", Ok(("a", "[192.0.2.1]"))),
            ("a@[IPv6:2001:db8::1]", Ok(("a", "[IPv6:2001:db8::1]"))),
            ("jürgen@münchen.example", Ok(("jürgen", "münchen.example"))),
            ("docomo.@mobile.example", Ok(("docomo.", "mobile.example"))),
            ("user%other@b.example", Ok(("user%other", "b.example"))),
            ("other!user@b.example", Ok(("other!user", "b.example"))),
            ("a", Err(AddressError::Incomplete)),
            ("@b.example", Err(AddressError::Incomplete)),
            ("a@", Err(AddressError::Incomplete)),
            ("a b@c.example", Err(AddressError::Local)),
            ("a>\r\nRCPT TO:<x@b.example", Err(AddressError::Local)),
            ("a@b@c.example", Err(AddressError::Local)),
            ("\"a\"b\"@c.example", Err(AddressError::Local)),
            ("\"@c.example", Err(AddressError::Local)),
            ("\"a\u{0}\"@c.example", Err(AddressError::Local)),
            ("a@b..example", Err(AddressError::Domain)),
            ("a@-b.example", Err(AddressError::Domain)),
            ("a@b.example\r", Err(AddressError::Domain)),
            ("a@[300.0.2.1]", Err(AddressError::Domain)),
            ("a@[192.0.2.1", Err(AddressError::Domain)),
            ("a\u{202E}b@c.example", Err(AddressError::Local)),
        ];
        for (text, want) in rows {
            let got = text.parse::<Address>();
            let got = got.as_ref().map(|a| (a.local(), a.domain())).map_err(|e| *e);
            assert_eq!(got, *want, "{text:?}");
        }
        let long = format!("{}@b.example", "a".repeat(MAX_LOCAL + 1));
        assert_eq!(long.parse::<Address>(), Err(AddressError::TooLong));
    }
}
