//! Delivery status notifications: multipart/report (RFC 6522, RFC 3464; with SMTPUTF8 RFC 6533).
//!
//! The caller decides whether one is sent at all: never to the null sender, never for spam or viruses.

mod status;

use std::fmt::Write;

use bytes::Bytes;
use jiff::Timestamp;

use super::trace::date;
use super::wishes::shown;
use crate::mail::dsn::{MessageRequest, Ret};
use crate::mail::{Address, MessageId, Outcome};

/// Headers of the original are returned up to this many bytes, cut at a line end.
const MAX_HEADERS: usize = 32 * 1024;
/// A message up to this size is returned whole where the sender did not say (RET).
const MAX_WHOLE: usize = 50_000;
/// And up to this size where the sender asked for it (RET=FULL); of a larger one its headers.
const MAX_FULL: usize = 5_000_000;
/// Recipients listed one by one; the rest is counted in the text part only.
const MAX_RECIPIENTS: usize = 1000;

/// What a notification tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Still being tried.
    Delayed,
    /// Handed to a server that sends no notifications.
    Relayed,
}

impl Action {
    /// The word in the Action field, in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Relayed => "relayed",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Undelivered mail",
            Self::Delayed => "Delayed mail: still being tried",
            Self::Relayed => "Mail handed on",
        }
    }

    fn explained(self) -> &'static str {
        match self {
            Self::Failed => "could not be delivered to:",
            Self::Delayed => "has not been delivered yet to:",
            Self::Relayed => "has been handed on, to a mail server that does not confirm delivery, for:",
        }
    }
}

/// Why a recipient was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The next hop refused it, or (no failure) the outcome says all.
    Said,
    /// It grew too old: the status is 5.4.7 then, whatever the last reply was (RFC 3463 section 3.5).
    Expired,
    /// A person gave it up; with the reason given, which may be empty.
    GivenUp(String),
}

/// One recipient that a notification is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Whom.
    pub recipient: Address,
    /// ORCPT as it stood on the wire.
    pub orcpt: Option<String>,
    /// What the last attempt gave, if there was one.
    pub outcome: Option<Outcome>,
    /// Why it was given up.
    pub why: Why,
    /// When it was tried last, where that is known.
    pub tried: Option<Timestamp>,
    /// Until when it is tried, for a delay.
    pub until: Option<Timestamp>,
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
    /// RET and ENVID of the original.
    pub request: &'a MessageRequest,
    /// What it tells.
    pub action: Action,
    /// The recipients; at least one.
    pub about: &'a [Subject],
    /// The original message.
    pub raw: &'a [u8],
}

/// A notification, ready to be sent.
#[derive(Debug, Clone)]
pub struct Dsn {
    /// CRLF line ends throughout.
    pub bytes: Bytes,
    /// It must be sent with SMTPUTF8: an address in it is not ASCII, and it is of the form of RFC 6533.
    pub smtputf8: bool,
}

impl DsnInput<'_> {
    fn is_utf8(&self) -> bool {
        !self.to.is_ascii() || self.about.iter().any(|about| !about.recipient.is_ascii())
    }
}

/// What comes back of the original, and as what.
struct Returned<'a> {
    bytes: &'a [u8],
    kind: &'static str,
    described: &'static str,
}

/// Writes it. Seven bits, unless what is returned or an address needs eight: then it says so, and must be sent with BODY=8BITMIME.
pub fn notification(input: &DsnInput<'_>) -> Dsn {
    let utf8 = input.is_utf8();
    let returned = returned(input, utf8);
    let boundary = boundary(input.id, returned.bytes);
    let mut out = String::with_capacity(4096);
    explanation(&mut out, input, &boundary, utf8);
    status::status(&mut out, input, &boundary, utf8);
    let encoding = if returned.bytes.is_ascii() { "7bit" } else { "8bit" };
    let Returned { bytes, kind, described } = returned;
    let _infallible = write!(
        out,
        "--{boundary}\r\nContent-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\nContent-Description: {described}\r\n\r\n"
    );
    let eight = !out.is_ascii() || !bytes.is_ascii() || !input.to.is_ascii();
    let mut message = head(input, &boundary, eight).into_bytes();
    message.reserve(out.len() + bytes.len() + 80);
    message.extend_from_slice(out.as_bytes());
    message.extend_from_slice(bytes);
    message.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Dsn { bytes: message.into(), smtputf8: utf8 }
}

fn head(input: &DsnInput<'_>, boundary: &str, eight: bool) -> String {
    let DsnInput { id, hostname, to, now, action, .. } = input;
    let encoding = if eight { "8bit" } else { "7bit" };
    format!(
        "From: Mail Delivery System <mailer-daemon@{hostname}>\r\nTo: <{to}>\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n\
         Content-Transfer-Encoding: {encoding}\r\n\r\nThis is a delivery report in MIME format.\r\n\r\n",
        action.subject(),
        date(*now),
    )
}

/// The part for people.
fn explanation(out: &mut String, input: &DsnInput<'_>, boundary: &str, utf8: bool) {
    let (charset, encoding) = if utf8 { ("utf-8", "8bit") } else { ("us-ascii", "7bit") };
    let _infallible = write!(
        out,
        "--{boundary}\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n\
         This is the mail gateway {}.\r\n\r\nYour message of {}\r\n{}\r\n\r\n",
        input.hostname,
        date(input.arrived),
        input.action.explained(),
    );
    for about in input.about.iter().take(MAX_RECIPIENTS) {
        let _infallible = write!(out, "  {}\r\n", shown(about.recipient.as_str(), utf8));
        let last = about.outcome.as_ref().map(ToString::to_string);
        let said = match &about.why {
            Why::Said => last.unwrap_or_else(|| "It could not be tried yet.".to_owned()),
            Why::Expired => {
                out.push_str("    It could not be delivered in time, and has now been given up. The last attempt:\r\n");
                last.unwrap_or_else(|| "none was possible".to_owned())
            }
            Why::GivenUp(reason) if reason.is_empty() => "It was given up by the postmaster.".to_owned(),
            Why::GivenUp(reason) => format!("It was given up by the postmaster: {reason}"),
        };
        for line in wrap(&shown(&said, utf8), 70) {
            let _infallible = write!(out, "    {line}\r\n");
        }
        out.push_str("\r\n");
    }
    if input.about.len() > MAX_RECIPIENTS {
        let _infallible = write!(out, "  and to {} more.\r\n\r\n", input.about.len() - MAX_RECIPIENTS);
    }
    if input.action == Action::Delayed {
        if let Some(until) = input.about.iter().filter_map(|about| about.until).max() {
            let _infallible = write!(out, "It is tried again until {}.\r\n", date(until));
        }
        out.push_str("You need not send it again.\r\n\r\n");
    }
    let _infallible = write!(out, "If you need help, quote this number to your administrator: {}\r\n\r\n", input.original);
}

/// How much of the original goes back: what RET asks for, of a failure; of anything else its headers (RFC 3461 section 4.3).
fn returned<'a>(input: &DsnInput<'a>, utf8: bool) -> Returned<'a> {
    let most = match (input.action, input.request.ret) {
        (Action::Failed, Some(Ret::Full)) => MAX_FULL,
        (Action::Failed, None) => MAX_WHOLE,
        _ => 0,
    };
    if !input.raw.is_empty() && input.raw.len() <= most {
        let kind = if utf8 { "message/global" } else { "message/rfc822" };
        return Returned { bytes: input.raw, kind, described: "The undelivered message" };
    }
    let kind = if utf8 { "message/global-headers" } else { "text/rfc822-headers" };
    Returned { bytes: returned_headers(input.raw), kind, described: "Headers of the message" }
}

/// The original's header block, cut at a line end where it is too long.
fn returned_headers(raw: &[u8]) -> &[u8] {
    let headers = super::header_block(raw);
    let Some(cut) = headers.get(..MAX_HEADERS) else { return headers };
    let end = memchr::memrchr(b'\n', cut).map_or(0, |at| at + 1);
    cut.get(..end).unwrap_or_default()
}

/// Lines of at most `width` bytes, broken at blanks, or anywhere in a longer word; at least one.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut glue = true;
        for c in word.chars() {
            let blank = usize::from(glue && lines.last().is_some_and(|line| !line.is_empty()));
            // A word that fits on a line of its own is not broken.
            let needed = if glue && word.len() <= width { word.len() } else { c.len_utf8() };
            match lines.last_mut() {
                Some(line) if line.len() + blank + needed <= width => line.extend((blank == 1).then_some(' ')),
                _ => lines.push(String::new()),
            }
            glue = false;
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
        }
    }
    lines
}

/// A boundary that does not occur in what is returned, whoever wrote it.
fn boundary(id: MessageId, returned: &[u8]) -> String {
    let mut boundary = format!("=_{id}");
    while memchr::memmem::find(returned, boundary.as_bytes()).is_some() {
        boundary.push_str(".x");
    }
    boundary
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content;
    use crate::mail::HopReply;

    fn refused(text: &str) -> Option<Outcome> {
        let reply = HopReply { code: 550, enhanced: Some("5.1.1".into()), text: text.into() };
        Some(Outcome::Refused { hop: "gwia.example:25".into(), reply })
    }

    /// Connection refused by `hop`.
    fn down(hop: &str) -> Option<Outcome> {
        let json = serde_json::json!({ "outcome": "deferred", "hop": hop, "reply": null, "why": "connection refused" });
        Some(serde_json::from_value(json).unwrap())
    }

    fn subject(to: &str, outcome: Option<Outcome>, why: Why) -> Subject {
        Subject { recipient: to.parse().unwrap(), orcpt: None, outcome, why, tried: None, until: None }
    }

    fn report(action: Action, to: &str, request: &MessageRequest, about: &[Subject], raw: &[u8]) -> Dsn {
        let dsn = notification(&DsnInput {
            id: "8M4KX2Q9TZAB".parse().unwrap(),
            hostname: "mx1.example",
            to: &to.parse().unwrap(),
            now: "2026-11-05T09:08:07Z".parse().unwrap(),
            original: "8M4KX2Q9TZAA".parse().unwrap(),
            arrived: "2026-11-01T00:00:00Z".parse().unwrap(),
            request,
            action,
            about,
            raw,
        });
        let text = String::from_utf8_lossy(&dsn.bytes).replace("\r\n", "\n");
        assert!(!text.contains('\r') && text.split('\n').all(|line| line.len() < 998), "line ends are CRLF, lines are short");
        dsn
    }

    /// Type and bytes of each part of the report, as our reader of any mail sees them.
    fn parts(dsn: &Dsn) -> Vec<(String, String)> {
        let message = content::decompose(dsn.bytes.clone(), &content::Limits::default());
        let notes = message.findings.iter().all(|finding| finding.class == crate::mail::Class::Note);
        assert!(notes, "{:?}", message.findings);
        let part = |part: &crate::mail::Part| {
            let body = part.span.map(|span| String::from_utf8_lossy(span.of(&message.raw)).into_owned()).unwrap_or_default();
            (part.declared_type.clone(), body)
        };
        message.parts.iter().filter(|one| one.depth == 2 && one.kind != crate::mail::PartKind::Reading).map(part).collect()
    }

    const RAW: &[u8] = b"Subject: =_8M4KX2Q9TZAB\r\nFrom: me@here.example\r\n\r\nthe body\r\n";

    #[test]
    fn a_failure_reads_back() {
        let mut first = subject("a@b.example", refused("no such user here"), Why::Said);
        first.orcpt = Some("rfc822;alias+2Bx@b.example".into());
        first.tried = Some("2026-11-05T09:08:06Z".parse().unwrap());
        let about =
            [first, subject("e@b.example", down("[::1]:25"), Why::Expired), subject("c@b.example", None, Why::GivenUp("no use".into()))];
        let request = MessageRequest { ret: None, envid: Some("QQ+2B1".into()) };
        let dsn = report(Action::Failed, "me@here.example", &request, &about, RAW);
        let text = String::from_utf8(dsn.bytes.to_vec()).unwrap();
        assert!(text.is_ascii() && !dsn.smtputf8 && text.contains("Content-Transfer-Encoding: 7bit"));
        assert!(text.starts_with("From: Mail Delivery System <mailer-daemon@mx1.example>\r\nTo: <me@here.example>\r\n"), "{text}");
        assert!(text.contains("\r\nAuto-Submitted: auto-replied\r\n"));
        let parts = parts(&dsn);
        let kinds: Vec<&str> = parts.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["text/plain", "message/delivery-status", "message/rfc822"]);
        assert_eq!(
            parts[1].1.trim_end(),
            "Original-Envelope-Id: QQ+1\r\nReporting-MTA: dns; mx1.example\r\nX-Mailweir-Id: 8M4KX2Q9TZAA\r\nArrival-Date: Sun, 01 Nov 2026 00:00:00 +0000\r\n\r\n\
         Original-Recipient: rfc822; alias+x@b.example\r\n\
         Final-Recipient: rfc822; a@b.example\r\nAction: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; gwia.example\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 no such user here\r\nLast-Attempt-Date: Thu, 05 Nov 2026 09:08:06 +0000\r\n\r\n\
         Final-Recipient: rfc822; e@b.example\r\nAction: failed\r\nStatus: 5.4.7\r\nRemote-MTA: dns; [::1]\r\n\r\n\
         Final-Recipient: rfc822; c@b.example\r\nAction: failed\r\nStatus: 5.0.0"
        );
        assert_eq!(parts[2].1.trim_end().as_bytes(), RAW.trim_ascii_end(), "a small message comes back whole");
        assert!(parts[0].1.contains("given up by the postmaster: no use") && parts[0].1.contains("connection refused"), "{}", parts[0].1);
    }

    #[test]
    fn how_much_comes_back() {
        let one = [subject("a@b.example", refused("no"), Why::Said)];
        let large = [b"Subject: x\r\n\r\n".as_slice(), "the body\r\n".repeat(MAX_WHOLE / 10).as_bytes()].concat();
        let huge = [b"Subject: x\r\n\r\n".as_slice(), "the body\r\n".repeat(MAX_FULL / 10).as_bytes()].concat();
        for (action, ret, raw, whole) in [
            (Action::Failed, None, RAW, true),
            (Action::Failed, None, &large[..], false),
            (Action::Failed, Some(Ret::Full), &large[..], true),
            (Action::Failed, Some(Ret::Full), &huge[..], false),
            (Action::Failed, Some(Ret::Hdrs), RAW, false),
            (Action::Delayed, Some(Ret::Full), RAW, false),
            (Action::Relayed, None, RAW, false),
        ] {
            let dsn = report(action, "me@here.example", &MessageRequest { ret, envid: None }, &one, raw);
            let text = String::from_utf8_lossy(&dsn.bytes);
            assert_eq!(text.contains("the body"), whole, "{action:?} {ret:?} {}", raw.len());
            assert_eq!(text.contains("message/rfc822"), whole);
            assert_eq!(text.contains("text/rfc822-headers"), !whole);
            assert!(text.contains("\r\n\r\nSubject: "), "the headers always do");
            if raw.len() > 100 && !whole {
                assert!(dsn.bytes.len() < 10_000);
            }
            assert!(text.contains(&format!("Action: {}\r\n", action.as_str())));
        }
    }

    #[test]
    fn delays_and_relays() {
        let mut slow = subject("a@b.example", down("192.0.2.1:25"), Why::Said);
        slow.until = Some("2026-11-06T00:00:00Z".parse().unwrap());
        let text = |dsn: Dsn| String::from_utf8(dsn.bytes.to_vec()).unwrap();
        let delayed = text(report(Action::Delayed, "me@here.example", &MessageRequest::default(), &[slow], RAW));
        for part in [
            "Status: 4.4.1\r\nRemote-MTA: dns; [192.0.2.1]\r\n",
            "Will-Retry-Until: Fri, 06 Nov 2026 00:00:00 +0000\r\n",
            "You need not send it again",
            "Subject: Delayed mail",
        ] {
            assert!(delayed.contains(part), "{part} in {delayed}");
        }
        let reply = HopReply { code: 250, enhanced: Some("2.6.0".into()), text: "queued".into() };
        let done = subject("a@b.example", Some(Outcome::Delivered { hop: "gwia.example:25".into(), reply, dsn: false }), Why::Said);
        let relayed = text(report(Action::Relayed, "me@here.example", &MessageRequest::default(), &[done], RAW));
        for part in ["Action: relayed\r\nStatus: 2.6.0\r\n", "does not confirm delivery", "Subject: Mail handed on"] {
            assert!(relayed.contains(part), "{part} in {relayed}");
        }
        assert!(!relayed.contains("Will-Retry-Until"));
    }

    #[test]
    fn utf8_forms() {
        let mut one = subject("ü@b.example", refused("gibt es hier nicht: ü"), Why::Said);
        one.orcpt = Some("utf-8;\\x{FC}@b.example".into());
        for (to, about, ret, last) in [
            ("me@here.example", one.clone(), None, "message/global"),
            ("grüße@here.example", one.clone(), Some(Ret::Hdrs), "message/global-headers"),
            ("grüße@here.example", subject("a@b.example", refused("no"), Why::Said), Some(Ret::Hdrs), "message/global-headers"),
        ] {
            let dsn =
                report(Action::Failed, to, &MessageRequest { ret, envid: None }, &[about], "Subject: grüße\r\n\r\nbody\r\n".as_bytes());
            assert!(dsn.smtputf8);
            let parts = parts(&dsn);
            let kinds: Vec<&str> = parts.iter().map(|(kind, _)| kind.as_str()).collect();
            assert_eq!(kinds[..3], ["text/plain", "message/global-delivery-status", last]);
        }
        let dsn = report(Action::Failed, "me@here.example", &MessageRequest::default(), &[one], RAW);
        let parts = parts(&dsn);
        for part in ["Original-Recipient: utf-8; ü@b.example\r\n", "Final-Recipient: utf-8; ü@b.example\r\n", "gibt es hier nicht: ü\r\n"]
        {
            assert!(parts[1].1.contains(part), "{part} in {}", parts[1].1);
        }
        // Eight bits in the message alone ask for 8BITMIME, not for SMTPUTF8.
        let ascii = [subject("a@b.example", refused("nein: ü"), Why::Said)];
        let dsn = report(Action::Failed, "me@here.example", &MessageRequest::default(), &ascii, b"Subject: x\r\n\r\ngr\xfc\xdfe\r\n");
        assert!(!dsn.smtputf8 && !dsn.bytes.is_ascii());
        let text = String::from_utf8_lossy(&dsn.bytes);
        assert!(text.contains("nein: \\x{FC}") && text.matches("Content-Transfer-Encoding: 8bit").count() == 2, "{text}");
    }

    #[test]
    fn hostile_and_long_originals() {
        let one = [subject("a@b.example", refused(&"x".repeat(500)), Why::Said)];
        let hdrs = MessageRequest { ret: Some(Ret::Hdrs), envid: None };
        let dsn = report(Action::Failed, "me@here.example", &hdrs, &one, "Subject: grüße\r\n".repeat(10_000).as_bytes());
        assert!(dsn.bytes.len() < MAX_HEADERS + 5000 && String::from_utf8_lossy(&dsn.bytes).contains("Content-Transfer-Encoding: 8bit"));
        let many = vec![one[0].clone(); MAX_RECIPIENTS + 50];
        let text = String::from_utf8(report(Action::Failed, "me@here.example", &hdrs, &many, b"").bytes.to_vec()).unwrap();
        assert_eq!(text.matches("Final-Recipient:").count(), MAX_RECIPIENTS);
        assert!(text.contains("and to 50 more"));
        let evil = [subject("a@b.example", None, Why::GivenUp("x\r\n.\r\n--=_8M4KX2Q9TZAB--\u{7}".into()))];
        let dsn = report(Action::Failed, "me@here.example", &MessageRequest { envid: Some("+0D+0A+0D+0Ax".into()), ret: None }, &evil, RAW);
        assert_eq!(parts(&dsn).len(), 3, "{}", String::from_utf8_lossy(&dsn.bytes));
    }

    #[test]
    fn lines_are_wrapped_at_characters() {
        assert_eq!(wrap("ab cd  efg", 5), ["ab cd", "efg"]);
        assert_eq!(wrap("abcdefg hi", 5), ["abcde", "fg hi"]);
        assert_eq!(wrap("üüü ü", 4), ["üü", "ü", "ü"].map(str::to_owned).to_vec().as_slice());
        assert_eq!(wrap("", 5), [""]);
    }
}
