//! What a client asks about notifications (RFC 3461): RET and ENVID of MAIL, NOTIFY and ORCPT of RCPT.
//!
//! Values are kept as they stood on the wire: they are passed on to the next hop, or written into a notification, and
//! either place has to be safe from what they hold.

use crate::mail::dsn::{Notify, Ret};

use super::parameters::ParameterError;

/// The longest ENVID, in octets on the wire (RFC 3461 section 4.4).
pub const MAX_ENVID: usize = 100;
/// The longest ORCPT, in octets on the wire (RFC 3461 section 4.2).
pub const MAX_ORCPT: usize = 500;

const RET: ParameterError = ParameterError::Value("RET=FULL or RET=HDRS");
const ENVID: ParameterError = ParameterError::Value("ENVID=xtext (printable, at most 100 characters)");
const NOTIFY: ParameterError = ParameterError::Value("NOTIFY=NEVER, or SUCCESS, FAILURE, DELAY, each once, with commas");
const ORCPT: ParameterError = ParameterError::Value("ORCPT=addr-type;xtext (at most 500 characters)");

/// RET (RFC 3461 section 4.3).
pub fn ret(value: Option<&str>) -> Result<Ret, ParameterError> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "FULL" => Ok(Ret::Full),
        "HDRS" => Ok(Ret::Hdrs),
        _ => Err(RET),
    }
}

/// ENVID (RFC 3461 section 4.4).
pub fn envid(value: Option<&str>) -> Result<String, ParameterError> {
    value.filter(|text| text.len() <= MAX_ENVID && is_xtext(text)).map(str::to_owned).ok_or(ENVID)
}

/// NOTIFY (RFC 3461 section 4.1): NEVER alone, or a list in which each word stands once.
pub fn notify(value: Option<&str>) -> Result<Notify, ParameterError> {
    let value = value.ok_or(NOTIFY)?;
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(Notify::Never);
    }
    let (mut success, mut failure, mut delay) = (false, false, false);
    for word in value.split(',') {
        let wanted = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut success,
            "FAILURE" => &mut failure,
            "DELAY" => &mut delay,
            _ => return Err(NOTIFY),
        };
        if std::mem::replace(wanted, true) {
            return Err(NOTIFY);
        }
    }
    Ok(Notify::On { success, failure, delay })
}

/// ORCPT (RFC 3461 section 4.2): `addr-type;xtext`, or `utf-8;` and an address in the forms of RFC 6533 section 3.
pub fn orcpt(value: Option<&str>) -> Result<String, ParameterError> {
    let value = value.filter(|text| text.len() <= MAX_ORCPT).ok_or(ORCPT)?;
    let (kind, address) = value.split_once(';').ok_or(ORCPT)?;
    let is_atom = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*-/?^_`{|}~".contains(c));
    let is_address = if kind.eq_ignore_ascii_case("utf-8") { is_utf8_address(address) } else { is_xtext(address) };
    (is_atom && is_address).then(|| value.to_owned()).ok_or(ORCPT)
}

/// xtext (RFC 3461 section 4): printable ASCII, where `+` and two capital hex digits stand for a character that must be
/// printable too.
fn is_xtext(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'+' => hex(bytes.next()).zip(hex(bytes.next())).is_some_and(|(high, low)| matches!(high * 16 + low, b' '..=b'~')),
            b'=' => false,
            other => other.is_ascii_graphic(),
        };
        if !good {
            return false;
        }
    }
    !text.is_empty()
}

/// utf-8-addr-xtext and utf-8-addr-unitext (RFC 6533 section 3): characters as they are or as `\x{2C}`; whether those
/// outside ASCII may stand there is SMTPUTF8's to say.
fn is_utf8_address(text: &str) -> bool {
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let good = match c {
            '\\' => embedded(&mut rest),
            '+' | '=' => false,
            c => c.is_ascii_graphic() || !c.is_ascii() && is_visible(c),
        };
        if !good {
            return false;
        }
    }
    !text.is_empty()
}

/// What follows the backslash of `\x{HEXPOINT}`: two to six capital hex digits of a character that may stand in an address.
fn embedded(rest: &mut std::str::Chars<'_>) -> bool {
    let Some((digits, after)) = rest.as_str().strip_prefix("x{").and_then(|rest| rest.split_once('}')) else { return false };
    *rest = after.chars();
    let is_hex = (2..=6).contains(&digits.len()) && digits.bytes().all(|byte| hex(Some(byte)).is_some());
    let character = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex).and_then(char::from_u32);
    character.is_some_and(|c| c == ' ' || is_visible(c))
}

/// No control character, and nothing that reorders or hides text.
fn is_visible(c: char) -> bool {
    !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}')
}

/// One hex digit, in capitals.
fn hex(byte: Option<u8>) -> Option<u8> {
    match byte? {
        digit @ b'0'..=b'9' => Some(digit - b'0'),
        letter @ b'A'..=b'F' => Some(letter - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notify_is_never_or_a_list() {
        let on = |success, failure, delay| Some(Notify::On { success, failure, delay });
        for (value, want) in [
            ("NEVER", Some(Notify::Never)),
            ("never", Some(Notify::Never)),
            ("SUCCESS", on(true, false, false)),
            ("failure,Delay", on(false, true, true)),
            ("DELAY,FAILURE,SUCCESS", on(true, true, true)),
            ("NEVER,SUCCESS", None),
            ("SUCCESS,NEVER", None),
            ("SUCCESS,SUCCESS", None),
            ("SUCCESS,", None),
            (",", None),
            ("SUCCESS;DELAY", None),
            ("ALWAYS", None),
        ] {
            assert_eq!(notify(Some(value)).ok(), want, "{value:?}");
        }
        assert_eq!(notify(None), Err(NOTIFY));
    }

    #[test]
    fn xtext_and_lengths() {
        let full = "a".repeat(MAX_ENVID);
        let long = "a".repeat(MAX_ENVID + 1);
        for (value, good) in [
            ("QQ314159", true),
            ("a+2Bb+3Dc+20d", true),
            (full.as_str(), true),
            (long.as_str(), false),
            ("", false),
            ("a+2b", false),
            ("a+", false),
            ("a+2", false),
            ("a+0A", false),
            ("a+7F", false),
            ("a+C3+A9", false),
            ("a=b", false),
            ("a b", false),
            ("é", false),
        ] {
            assert_eq!(envid(Some(value)).is_ok(), good, "{value:?}");
        }
        assert_eq!(envid(None), Err(ENVID));
    }

    #[test]
    fn original_recipients() {
        let full = format!("rfc822;{}", "a".repeat(MAX_ORCPT - 7));
        let long = format!("rfc822;{}", "a".repeat(MAX_ORCPT - 6));
        for (value, good) in [
            ("rfc822;bob@ours.test", true),
            ("RFC822;Bob+2Bx@ours.test", true),
            ("x400;/S=Q", false),
            ("x400;/S+3DQ", true),
            (full.as_str(), true),
            (long.as_str(), false),
            ("bob@ours.test", false),
            (";bob@ours.test", false),
            ("rfc822;", false),
            ("rfc 822;bob", false),
            ("rfc(822);bob", false),
            ("rfc822;jürgen@ours.test", false),
            ("utf-8;jürgen@ours.test", true),
            ("UTF-8;j\\x{FC}rgen@ours.test", true),
            ("utf-8;a\\x{2B}b\\x{3D}\\x{5C}@ours.test", true),
            ("utf-8;\\x{1F600}@ours.test", true),
            ("utf-8;a+2Bb@ours.test", false),
            ("utf-8;j\\x{fc}rgen@ours.test", false),
            ("utf-8;j\\x{FCrgen", false),
            ("utf-8;j\\xFC", false),
            ("utf-8;j\\x{F}", false),
            ("utf-8;j\\x{0A}", false),
            ("utf-8;j\\x{D800}", false),
            ("utf-8;j\\x{1100000}", false),
            ("utf-8;j\\x{202E}x", false),
            ("utf-8;", false),
        ] {
            assert_eq!(orcpt(Some(value)).ok().as_deref(), good.then_some(value), "{value:?}");
        }
    }

    #[test]
    fn no_value_panics_however_it_is_cut() {
        let text = "utf-8;a\\x{FC}é+2B,SUCCESS;=\\x{";
        for (start, _) in text.char_indices() {
            for (end, _) in text.char_indices().filter(|(end, _)| *end >= start) {
                let value = text.get(start..end);
                let _any = (ret(value), envid(value), notify(value), orcpt(value));
            }
        }
    }
}
