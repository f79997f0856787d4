//! Paths: what stands between the angle brackets of MAIL and RCPT (RFC 5321 section 4.1.2).

use crate::mail::Address;
use crate::mail::address::AddressError;

/// The path of RCPT TO.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in any case (RFC 5321 section 4.5.1).
    Postmaster,
    /// `<local@domain>`.
    Mailbox(Address),
    /// `<@relay,@relay:local@domain>` (RFC 5321 appendix C). Kept apart, since who takes it has to say so.
    SourceRouted(Address),
}

impl ForwardPath {
    /// The address at the end of the path; `None` for the bare postmaster.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Postmaster => None,
            Self::Mailbox(address) | Self::SourceRouted(address) => Some(address),
        }
    }
}

/// What a path held, before MAIL or RCPT say what they allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// `<>`.
    Empty,
    /// A word without `@`, as written.
    Word(String),
    /// A mailbox.
    Mailbox(Address),
    /// A mailbox behind a source route, whose hosts are checked for form and then dropped.
    SourceRouted(Address),
}

/// Why there is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// No angle brackets around it, or rubbish after them.
    Brackets,
    /// The source route is malformed.
    Route,
    /// The address is.
    Address(AddressError),
}

/// Reads a path from the start of `text`; gives it and what follows the closing bracket.
pub fn parse(text: &str) -> Result<(Path, &str), PathError> {
    let rest = text.strip_prefix('<').ok_or(PathError::Brackets)?;
    let close = closing_bracket(rest).ok_or(PathError::Brackets)?;
    let (inner, rest) = (&rest[..close], &rest[close + 1..]);
    if inner.is_empty() {
        return Ok((Path::Empty, rest));
    }
    if inner.starts_with('@') {
        let mailbox = after_route(inner).ok_or(PathError::Route)?;
        return Ok((Path::SourceRouted(mailbox.parse().map_err(PathError::Address)?), rest));
    }
    match inner.parse() {
        Ok(address) => Ok((Path::Mailbox(address), rest)),
        Err(_) if !inner.contains('@') => Ok((Path::Word(inner.to_owned()), rest)),
        Err(error) => Err(PathError::Address(error)),
    }
}

/// Where the bracket closes, one inside a quoted local part not counted.
fn closing_bracket(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().position(|byte| {
        let here = !quoted && byte == b'>';
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        here
    })
}

/// What follows the colon of `@one,@two:mailbox`, if each host has the form of one.
fn after_route(text: &str) -> Option<&str> {
    let mut literal = false;
    let colon = text.bytes().position(|byte| {
        match byte {
            b'[' => literal = true,
            b']' => literal = false,
            _ => {}
        }
        byte == b':' && !literal
    })?;
    let is_host = |hop: &str| hop.strip_prefix('@').is_some_and(|host| format!("x@{host}").parse::<Address>().is_ok());
    text[..colon].split(',').all(is_host).then_some(&text[colon + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let mailbox = |text: &str| Path::Mailbox(text.parse().unwrap());
        let routed = |text: &str| Path::SourceRouted(text.parse().unwrap());
        let rows = [
            ("<>", Ok((Path::Empty, ""))),
            ("<a@b.example>", Ok((mailbox("a@b.example"), ""))),
            ("<a@b.example> SIZE=1", Ok((mailbox("a@b.example"), " SIZE=1"))),
            ("<\"a>b\"@c.example>x", Ok((mailbox("\"a>b\"@c.example"), "x"))),
            ("<\"a\\\">b\"@c.example>", Ok((mailbox("\"a\\\">b\"@c.example"), ""))),
            ("<Postmaster>", Ok((Path::Word("Postmaster".into()), ""))),
            ("<@a.example:u@c.example>", Ok((routed("u@c.example"), ""))),
            ("<@a.example,@[IPv6:::1]:u@c.example>", Ok((routed("u@c.example"), ""))),
            ("<@a.example,b.example:u@c.example>", Err(PathError::Route)),
            ("<@a.example>", Err(PathError::Route)),
            ("<@:u@c.example>", Err(PathError::Route)),
            ("<@a.example:u>", Err(PathError::Address(AddressError::Incomplete))),
            ("a@b.example", Err(PathError::Brackets)),
            ("<a@b.example", Err(PathError::Brackets)),
            ("<\"a@b.example>", Err(PathError::Brackets)),
            ("", Err(PathError::Brackets)),
            ("<a@@b.example>", Err(PathError::Address(AddressError::Local))),
            ("<a b@c.example>", Err(PathError::Address(AddressError::Local))),
            ("<<a@b.example>>", Err(PathError::Address(AddressError::Local))),
            ("<a@b..example>", Err(PathError::Address(AddressError::Domain))),
        ];
        for (text, want) in rows {
            assert_eq!(parse(text), want, "{text:?}");
        }
    }
}
