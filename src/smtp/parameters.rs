//! Parameters of MAIL and RCPT (RFC 5321 section 4.1.2 "esmtp-param"): SIZE, BODY, SMTPUTF8; and those of DSN, which
//! [`super::notifications`] reads.

use crate::mail::Body;
use crate::mail::dsn::{MessageRequest, RecipientRequest};

use super::notifications;

/// What the parameters of MAIL FROM said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// SIZE in octets (RFC 1870); a number too large for 64 bits counts as the largest.
    pub size: Option<u64>,
    /// BODY (RFC 6152); the default where it is absent.
    pub body: Body,
    /// SMTPUTF8 was given (RFC 6531).
    pub smtputf8: bool,
    /// RET and ENVID (RFC 3461).
    pub dsn: MessageRequest,
}

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterError {
    /// Not of the form `KEYWORD` or `KEYWORD=value`.
    Form,
    /// One we do not offer; the keyword in capitals.
    Unknown(String),
    /// The value is wrong; what it should look like.
    Value(&'static str),
    /// Given twice.
    Twice(&'static str),
}

impl MailParameters {
    /// Reads what follows the path of MAIL FROM.
    pub fn parse(text: &str) -> Result<Self, ParameterError> {
        let mut found = Self::default();
        let mut body = None;
        for parameter in each(text) {
            let (keyword, value) = parameter?;
            match keyword.as_str() {
                "SIZE" => set(&mut found.size, size(value)?, "SIZE")?,
                "BODY" => set(&mut body, body_value(value)?, "BODY")?,
                "SMTPUTF8" if value.is_some() => return Err(ParameterError::Value("SMTPUTF8 without a value")),
                "SMTPUTF8" if found.smtputf8 => return Err(ParameterError::Twice("SMTPUTF8")),
                "SMTPUTF8" => found.smtputf8 = true,
                "RET" => set(&mut found.dsn.ret, notifications::ret(value)?, "RET")?,
                "ENVID" => set(&mut found.dsn.envid, notifications::envid(value)?, "ENVID")?,
                _ => return Err(ParameterError::Unknown(keyword)),
            }
        }
        found.body = body.unwrap_or_default();
        Ok(found)
    }
}

/// Reads what follows the path of RCPT TO: NOTIFY and ORCPT (RFC 3461).
pub fn recipient(text: &str) -> Result<RecipientRequest, ParameterError> {
    let mut found = RecipientRequest::default();
    for parameter in each(text) {
        let (keyword, value) = parameter?;
        match keyword.as_str() {
            "NOTIFY" => set(&mut found.notify, notifications::notify(value)?, "NOTIFY")?,
            "ORCPT" => set(&mut found.orcpt, notifications::orcpt(value)?, "ORCPT")?,
            _ => return Err(ParameterError::Unknown(keyword)),
        }
    }
    Ok(found)
}

/// A keyword in capitals and its value, if it has one.
type Parameter<'a> = (String, Option<&'a str>);

/// The parameters one by one. A path must be followed by a space, so text that touches it is an error.
fn each(text: &str) -> impl Iterator<Item = Result<Parameter<'_>, ParameterError>> {
    let touching = !text.is_empty() && !text.starts_with(' ');
    text.split(' ').filter(|word| !word.is_empty()).map(move |word| {
        let (keyword, value) = word.split_once('=').map_or((word, None), |(keyword, value)| (keyword, Some(value)));
        let is_keyword = keyword.starts_with(|c: char| c.is_ascii_alphanumeric())
            && keyword.len() <= 32
            && keyword.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        let is_value = value.is_none_or(|value| !value.is_empty() && !value.contains('='));
        if touching || !is_keyword || !is_value {
            return Err(ParameterError::Form);
        }
        Ok((keyword.to_ascii_uppercase(), value))
    })
}

fn set<T>(slot: &mut Option<T>, value: T, keyword: &'static str) -> Result<(), ParameterError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParameterError::Twice(keyword)),
    }
}

fn size(value: Option<&str>) -> Result<u64, ParameterError> {
    let wrong = ParameterError::Value("SIZE=number");
    let digits = value.ok_or(wrong.clone())?;
    if digits.len() > 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong);
    }
    Ok(digits.parse().unwrap_or(u64::MAX))
}

fn body_value(value: Option<&str>) -> Result<Body, ParameterError> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        _ => Err(ParameterError::Value("BODY=7BIT or BODY=8BITMIME")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::dsn::{Notify, Ret};

    #[test]
    fn mail_parameters() {
        let some = |size, body, smtputf8| Ok(MailParameters { size, body, smtputf8, dsn: MessageRequest::default() });
        let asked = |ret, envid: Option<&str>| {
            let dsn = MessageRequest { ret, envid: envid.map(str::to_owned) };
            Ok(MailParameters { dsn, ..MailParameters::default() })
        };
        let rows = [
            ("", some(None, Body::SevenBit, false)),
            (" ", some(None, Body::SevenBit, false)),
            (" SIZE=10", some(Some(10), Body::SevenBit, false)),
            (" size=0  body=8bitmime smtputf8 ", some(Some(0), Body::EightBitMime, true)),
            (" SIZE=99999999999999999999", some(Some(u64::MAX), Body::SevenBit, false)),
            (" SIZE=999999999999999999999", Err(ParameterError::Value("SIZE=number"))),
            (" SIZE=-1", Err(ParameterError::Value("SIZE=number"))),
            (" SIZE", Err(ParameterError::Value("SIZE=number"))),
            (" SIZE=", Err(ParameterError::Form)),
            (" SIZE=1 SIZE=1", Err(ParameterError::Twice("SIZE"))),
            (" BODY=BINARYMIME", Err(ParameterError::Value("BODY=7BIT or BODY=8BITMIME"))),
            (" BODY=7BIT BODY=7BIT", Err(ParameterError::Twice("BODY"))),
            (" SMTPUTF8=yes", Err(ParameterError::Value("SMTPUTF8 without a value"))),
            (" SMTPUTF8 SMTPUTF8", Err(ParameterError::Twice("SMTPUTF8"))),
            (" RET=HDRS ENVID=QQ314159", asked(Some(Ret::Hdrs), Some("QQ314159"))),
            (" ret=full", asked(Some(Ret::Full), None)),
            (" RET=FULL RET=HDRS", Err(ParameterError::Twice("RET"))),
            (" ENVID=a ENVID=a", Err(ParameterError::Twice("ENVID"))),
            (" RET", Err(ParameterError::Value("RET=FULL or RET=HDRS"))),
            (" NOTIFY=NEVER", Err(ParameterError::Unknown("NOTIFY".into()))),
            (" AUTH=<>", Err(ParameterError::Unknown("AUTH".into()))),
            (" x-y=1", Err(ParameterError::Unknown("X-Y".into()))),
            ("SIZE=1", Err(ParameterError::Form)),
            (" =1", Err(ParameterError::Form)),
            (" a=b=c", Err(ParameterError::Form)),
            (" ä=1", Err(ParameterError::Form)),
        ];
        for (text, want) in rows {
            assert_eq!(MailParameters::parse(text), want, "{text:?}");
        }
    }

    #[test]
    fn recipient_parameters() {
        let asked = |notify, orcpt: Option<&str>| Ok(RecipientRequest { notify, orcpt: orcpt.map(str::to_owned) });
        for (text, want) in [
            ("", asked(None, None)),
            ("  ", asked(None, None)),
            (" NOTIFY=NEVER", asked(Some(Notify::Never), None)),
            (" orcpt=rfc822;a@b.example notify=never", asked(Some(Notify::Never), Some("rfc822;a@b.example"))),
            (" NOTIFY=NEVER NOTIFY=NEVER", Err(ParameterError::Twice("NOTIFY"))),
            (" ORCPT=rfc822;a ORCPT=rfc822;a", Err(ParameterError::Twice("ORCPT"))),
            (" RET=FULL", Err(ParameterError::Unknown("RET".into()))),
            (" X-Y", Err(ParameterError::Unknown("X-Y".into()))),
            (">", Err(ParameterError::Form)),
        ] {
            assert_eq!(recipient(text), want, "{text:?}");
        }
    }
}
