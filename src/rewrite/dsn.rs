//! Notifications that a message could not be delivered: multipart/report (RFC 3462, RFC 3464).
//!
//! The caller decides whether one is sent at all: never to the null sender, never for spam or viruses.

use std::fmt::Write;

use bytes::Bytes;
use jiff::Timestamp;

use super::trace::date;
use crate::mail::{Address, MessageId, Outcome};

/// Headers of the original are returned up to this many bytes, cut at a line end.
const MAX_HEADERS: usize = 32 * 1024;
/// Recipients listed one by one; the rest is counted in the text part only.
const MAX_RECIPIENTS: usize = 100;

/// One recipient that was given up.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Whom.
    pub recipient: Address,
    /// What the last attempt gave, if there was one.
    pub outcome: Option<Outcome>,
    /// It was given up because it grew too old: the status is 5.4.7 then, whatever the last reply was (RFC 3463 section 3.5).
    pub expired: bool,
}

/// All that a notification says.
#[derive(Debug, Clone)]
pub struct DsnInput<'a> {
    /// The id of the notification itself.
    pub id: MessageId,
    /// Our host name: Reporting-MTA, and the domain of our sender address.
    pub hostname: &'a str,
    /// Whom it goes to: the sender of the original.
    pub to: &'a Address,
    /// When it is written.
    pub now: Timestamp,
    /// The id of the original.
    pub original: MessageId,
    /// When the original was accepted.
    pub arrived: Timestamp,
    /// The recipients given up; at least one.
    pub failures: &'a [Failure],
    /// The original message, or as much of it as has its headers.
    pub raw: &'a [u8],
}

/// The notification, CRLF line ends throughout. Seven bits, unless the address it goes to or the returned headers need eight
/// (then it says so, and must be sent with BODY=8BITMIME, and with SMTPUTF8 if `to` is not ASCII).
pub fn failure(input: &DsnInput<'_>) -> Bytes {
    let headers = returned_headers(input.raw);
    let eight = !headers.is_ascii() || !input.to.is_ascii();
    let boundary = boundary(input.id, headers);
    let mut out = String::with_capacity(2048 + headers.len());
    head(&mut out, input, &boundary, eight);
    explanation(&mut out, input, &boundary);
    status(&mut out, input, &boundary);
    let _infallible = write!(
        out,
        "--{boundary}\r\nContent-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: {}\r\nContent-Description: Headers of the undelivered message\r\n\r\n",
        if headers.is_ascii() { "7bit" } else { "8bit" },
    );
    let mut out = out.into_bytes();
    out.extend_from_slice(headers);
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out.into()
}

fn head(out: &mut String, input: &DsnInput<'_>, boundary: &str, eight: bool) {
    let DsnInput { id, hostname, to, now, .. } = input;
    let encoding = if eight { "8bit" } else { "7bit" };
    let _infallible = write!(
        out,
        "From: Mail delivery <mailer-daemon@{hostname}>\r\nTo: <{to}>\r\nSubject: Undelivered mail\r\nDate: {}\r\nMessage-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n\
         Content-Transfer-Encoding: {encoding}\r\n\r\nThis is a delivery report in MIME format.\r\n\r\n",
        date(*now),
    );
}

/// The part for people.
fn explanation(out: &mut String, input: &DsnInput<'_>, boundary: &str) {
    let _infallible = write!(
        out,
        "--{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
         This is the mail gateway {}.\r\n\r\nYour message of {} could not be delivered to:\r\n\r\n",
        input.hostname,
        date(input.arrived),
    );
    for failure in input.failures.iter().take(MAX_RECIPIENTS) {
        let _infallible = write!(out, "  {}\r\n", ascii(failure.recipient.as_str()));
        if failure.expired {
            out.push_str("    It was tried again and again, and has now been given up. The last attempt:\r\n");
        }
        let what = failure.outcome.as_ref().map_or_else(|| "It was given up by an operator.".to_owned(), ToString::to_string);
        for line in wrap(&ascii(&what), 70) {
            let _infallible = write!(out, "    {line}\r\n");
        }
        out.push_str("\r\n");
    }
    if input.failures.len() > MAX_RECIPIENTS {
        let _infallible = write!(out, "  and to {} more.\r\n\r\n", input.failures.len() - MAX_RECIPIENTS);
    }
    let _infallible = write!(out, "If you need help, quote this number to your administrator: {}\r\n\r\n", input.original);
}

/// The part for programs (RFC 3464 section 2).
fn status(out: &mut String, input: &DsnInput<'_>, boundary: &str) {
    let _infallible = write!(
        out,
        "--{boundary}\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; {}\r\nX-Mailweir-Id: {}\r\nArrival-Date: {}\r\n\r\n",
        input.hostname,
        input.original,
        date(input.arrived),
    );
    for failure in input.failures.iter().take(MAX_RECIPIENTS) {
        let _infallible =
            write!(out, "Final-Recipient: {}\r\nAction: failed\r\nStatus: {}\r\n", recipient(&failure.recipient), status_code(failure));
        if let Some(hop) = failure.outcome.as_ref().and_then(hop) {
            let _infallible = write!(out, "Remote-MTA: dns; {}\r\n", ascii(hop));
        }
        if let Some(reply) = failure.outcome.as_ref().and_then(Outcome::reply) {
            let lines = wrap(&ascii(&reply.to_string()), 60);
            let _infallible = write!(out, "Diagnostic-Code: smtp; {}\r\n", lines.join("\r\n "));
        }
        out.push_str("\r\n");
    }
}

/// `rfc822; a@b.example`, or the seven-bit form of RFC 6533 section 3.
fn recipient(address: &Address) -> String {
    if address.is_ascii() { format!("rfc822; {address}") } else { format!("utf-8; {}", ascii(address.as_str())) }
}

/// A 5.x.x code for a failure: the reply's own, or the plainest that fits.
fn status_code(failure: &Failure) -> String {
    if failure.expired {
        return "5.4.7".to_owned();
    }
    match failure.outcome.as_ref().and_then(Outcome::reply) {
        Some(reply) => reply.enhanced.clone().filter(|code| code.starts_with('5')).unwrap_or_else(|| "5.0.0".to_owned()),
        None => "5.0.0".to_owned(),
    }
}

/// The next hop's name without its port.
fn hop(outcome: &Outcome) -> Option<&str> {
    let hop = match outcome {
        Outcome::Delivered { hop, .. } | Outcome::Refused { hop, .. } | Outcome::Unknown { hop, .. } => Some(hop),
        Outcome::Deferred { hop, .. } => hop.as_ref(),
    }?;
    let name = hop.rsplit_once(':').map_or(hop.as_str(), |(host, _)| host);
    (!name.is_empty()).then_some(name)
}

/// Printable ASCII; other characters as `\x{FC}` (RFC 6533 section 3).
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_graphic() || c == ' ' {
            out.push(c);
        } else {
            let _infallible = write!(out, "\\x{{{:X}}}", u32::from(c));
        }
    }
    out
}

/// Lines of at most `width` characters, broken at blanks, or anywhere in a longer word; at least one.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let pieces = text.split_ascii_whitespace().flat_map(|word| word.as_bytes().chunks(width).map(String::from_utf8_lossy));
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&piece),
            Some(line) if line.len() + 1 + piece.len() <= width => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => lines.push(piece.into_owned()),
        }
    }
    lines
}

/// The original's header block, cut at a line end where it is too long.
fn returned_headers(raw: &[u8]) -> &[u8] {
    let headers = super::header_block(raw);
    let Some(cut) = headers.get(..MAX_HEADERS) else { return headers };
    let end = memchr::memrchr(b'\n', cut).map_or(0, |at| at + 1);
    cut.get(..end).unwrap_or_default()
}

/// A boundary that does not occur in the returned headers, whoever wrote them.
fn boundary(id: MessageId, headers: &[u8]) -> String {
    let mut boundary = format!("=_{id}");
    while memchr::memmem::find(headers, boundary.as_bytes()).is_some() {
        boundary.push_str(".x");
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::HopReply;

    fn refused(text: &str) -> Option<Outcome> {
        let reply = HopReply { code: 550, enhanced: Some("5.1.1".into()), text: text.into() };
        Some(Outcome::Refused { hop: "gwia.example:25".into(), reply })
    }

    fn report(to: &str, failures: &[Failure], raw: &[u8]) -> String {
        let input = DsnInput {
            id: "8M4KX2Q9TZAB".parse().unwrap(),
            hostname: "mx1.example",
            to: &to.parse().unwrap(),
            now: "2026-11-05T09:08:07Z".parse().unwrap(),
            original: "8M4KX2Q9TZAA".parse().unwrap(),
            arrived: "2026-11-01T00:00:00Z".parse().unwrap(),
            failures,
            raw,
        };
        let text = String::from_utf8(failure(&input).to_vec()).unwrap();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "line ends are CRLF");
        assert!(text.split("\r\n").all(|line| line.len() < 998));
        text
    }

    #[test]
    fn a_report_reads_back() {
        let failures = [
            Failure { recipient: "a@b.example".parse().unwrap(), outcome: refused("no such user here"), expired: false },
            Failure {
                recipient: "ü@b.example".parse().unwrap(),
                outcome: Some(Outcome::Deferred {
                    hop: Some("[::1]:25".into()),
                    reply: None,
                    why: "connection refused".into(),
                    busy: false,
                }),
                expired: true,
            },
            Failure { recipient: "c@b.example".parse().unwrap(), outcome: None, expired: false },
        ];
        let text = report("me@here.example", &failures, b"Subject: =_8M4KX2Q9TZAB\r\nFrom: me@here.example\r\n\r\nbody\r\n");
        assert!(text.is_ascii() && text.contains("Content-Transfer-Encoding: 7bit"));
        let boundary = text.split_once("boundary=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
        assert!(text.contains("Content-Type: multipart/report; report-type=delivery-status;\r\n boundary="));
        let parts: Vec<(&str, &str)> =
            text.split(&format!("--{boundary}")).skip(1).filter_map(|part| part.trim_start().split_once("\r\n\r\n")).collect();
        let kinds =
            ["Content-Type: text/plain; charset=us-ascii", "Content-Type: message/delivery-status", "Content-Type: text/rfc822-headers"];
        assert!(parts.len() == 3 && parts.iter().zip(kinds).all(|(part, kind)| part.0.starts_with(kind)), "{text}");
        assert!(text.ends_with(&format!("\r\n--{boundary}--\r\n")));
        let body = |at: usize| parts[at - 1].1.to_owned();
        assert_eq!(
            body(2).trim_end(),
            "Reporting-MTA: dns; mx1.example\r\nX-Mailweir-Id: 8M4KX2Q9TZAA\r\nArrival-Date: Sun, 01 Nov 2026 00:00:00 +0000\r\n\r\n\
             Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; gwia.example\r\n\
             Diagnostic-Code: smtp; 550 5.1.1 no such user here\r\n\r\n\
             Final-Recipient: utf-8; \\x{FC}@b.example\r\nAction: failed\r\nStatus: 5.4.7\r\nRemote-MTA: dns; [::1]\r\n\r\n\
             Final-Recipient: rfc822; c@b.example\r\nAction: failed\r\nStatus: 5.0.0"
        );
        assert!(body(3).starts_with("Subject: =_8M4KX2Q9TZAB\r\nFrom: me@here.example\r\n"), "{}", body(3));
        assert!(!text.contains("body"));
    }

    #[test]
    fn hostile_and_long_originals() {
        let one = [Failure { recipient: "a@b.example".parse().unwrap(), outcome: refused(&"x".repeat(500)), expired: false }];
        let text = report("me@here.example", &one, "Subject: grüße\r\n".repeat(10_000).as_bytes());
        assert!(text.len() < MAX_HEADERS + 5000 && text.contains("Content-Transfer-Encoding: 8bit"));
        let many = vec![one[0].clone(); 150];
        assert_eq!(report("me@here.example", &many, b"").matches("Final-Recipient:").count(), MAX_RECIPIENTS);
        assert!(report("me@here.example", &many, b"").contains("and to 50 more"));
        assert!(report("ü@here.example", &one, b"").contains("To: <ü@here.example>"));
    }
}
