//! The fields that we put on top of a message: Received (RFC 5321 section 4.4), X-Mailweir-Id, X-Mailweir-Verdict.
//!
//! What the peer said of itself is hostile until sanitised; no line grows past some 330 bytes whatever it said.

use std::fmt::Write;
use std::net::IpAddr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::mail::{Envelope, MessageId, Origin};

/// The longest HELO name shown, in characters.
const MAX_HELO: usize = 255;
/// Rule codes in a verdict beyond this number are only counted.
const MAX_CODES: usize = 30;
/// Lines of a verdict are folded before this length.
const FOLD: usize = 76;

/// The Received field of a message that came over `origin`; ends in CRLF.
///
/// The recipient is named only where there is one, so that blind copies stay blind (RFC 5321 section 7.2).
pub fn received(origin: &Origin, envelope: &Envelope, hostname: &str, id: MessageId, at: Timestamp) -> String {
    let mut field = String::from("Received: ");
    if let Some(ip) = origin.ip() {
        let _infallible = write!(field, "from {} ({})\r\n ", helo(&origin.helo, envelope.smtputf8), literal(ip));
    }
    let _infallible = write!(field, "by {hostname} (Mailweir) with {} id {id}", protocol(origin, envelope));
    if let Some(tls) = &origin.tls {
        let _infallible = write!(field, "\r\n ({})", comment(tls));
    }
    if let [only] = &envelope.recipients[..]
        && (only.address.is_ascii() || envelope.smtputf8)
    {
        let _infallible = write!(field, "\r\n for <{}>", only.address);
    }
    let _infallible = write!(field, ";\r\n {}\r\n", date(at));
    field
}

/// The X-Mailweir-Id field; ends in CRLF.
pub fn mailweir_id(id: MessageId) -> String {
    format!("X-Mailweir-Id: {id}\r\n")
}

/// The X-Mailweir-Verdict field, for inbound mail: `score=6.5 tagged=yes rules=a,b`; folded, ends in CRLF.
pub fn verdict<S: AsRef<str>>(score: f32, tagged: bool, codes: impl IntoIterator<Item = S>) -> String {
    let score = if score.is_finite() { score } else { 0.0 };
    let mut words = vec![format!("score={score:.1}"), format!("tagged={}", if tagged { "yes" } else { "no" })];
    let mut codes = codes.into_iter();
    for (n, code) in codes.by_ref().take(MAX_CODES).enumerate() {
        let code: String = code.as_ref().chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(60).collect();
        match words.last_mut() {
            Some(last) if n > 0 => last.push(','),
            _ => {}
        }
        words.push(if n == 0 { format!("rules={code}") } else { code });
    }
    match codes.count() {
        0 => {}
        more => words.push(format!("(and {more} more)")),
    }
    fold("X-Mailweir-Verdict:", &words)
}

/// A field of words, folded before 77 characters where a blank may stand: between words, and after a comma.
fn fold(name: &str, words: &[String]) -> String {
    let mut field = name.to_owned();
    let mut width = field.len();
    for word in words {
        let glue = if field.ends_with(',') { "" } else { " " };
        if width + glue.len() + word.len() > FOLD {
            field.push_str("\r\n ");
            width = 1;
        } else {
            field.push_str(glue);
            width += glue.len();
        }
        field.push_str(word);
        width += word.len();
    }
    field + "\r\n"
}

/// A date as header fields write it (RFC 5322 section 3.3), in UTC.
pub fn date(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// RFC 3848 and RFC 6531 section 4.3.
fn protocol(origin: &Origin, envelope: &Envelope) -> &'static str {
    match (envelope.smtputf8, origin.tls.is_some(), origin.esmtp) {
        (true, true, _) => "UTF8SMTPS",
        (true, false, _) => "UTF8SMTP",
        (false, true, _) => "ESMTPS",
        (false, false, true) => "ESMTP",
        (false, false, false) => "SMTP",
    }
}

/// What the peer called itself, with everything replaced that is not in a host name or an address literal.
fn helo(name: &str, utf8: bool) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c) || (utf8 && c.is_alphanumeric());
    let shown: String = name.chars().take(MAX_HELO).map(|c| if fits(c) { c } else { '?' }).collect();
    if shown.is_empty() { "unknown".to_owned() } else { shown }
}

fn literal(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(ip) => format!("[{ip}]"),
        IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
    }
}

/// Text inside parentheses.
fn comment(text: &str) -> String {
    text.chars().take(100).filter(|c| c.is_ascii_graphic() || *c == ' ').filter(|c| !"()\\".contains(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Body, Direction, Recipient, ReversePath};

    fn origin(helo: &str, peer: Option<&str>, esmtp: bool, tls: Option<&str>) -> Origin {
        Origin {
            listener: "internet".into(),
            peer: peer.map(|peer| peer.parse().unwrap()),
            helo: helo.into(),
            esmtp,
            tls: tls.map(Into::into),
            normalised: false,
        }
    }

    fn envelope(to: &[&str], smtputf8: bool) -> Envelope {
        let recipients = to
            .iter()
            .map(|to| Recipient { address: to.parse().unwrap(), direction: Direction::Inbound, route: "r".into(), dsn: Default::default() })
            .collect();
        Envelope { sender: ReversePath::Null, recipients, body: Body::SevenBit, smtputf8, dsn: Default::default() }
    }

    #[test]
    fn received_fields() {
        let id: MessageId = "8M4KX2Q9TZAB".parse().unwrap();
        let at: Timestamp = "2026-11-05T09:08:07.5Z".parse().unwrap();
        let rows = [
            (
                origin("mail.peer.example", Some("192.0.2.7:4000"), true, None),
                envelope(&["a@b.example"], false),
                "from mail.peer.example ([192.0.2.7])\r\n by mx1.example (Mailweir) with ESMTP id 8M4KX2Q9TZAB\r\n for <a@b.example>;\r\n",
            ),
            (
                origin("[192.0.2.7]", Some("[2001:db8::7]:4000"), false, None),
                envelope(&["a@b.example", "c@b.example"], false),
                "from [192.0.2.7] ([IPv6:2001:db8::7])\r\n by mx1.example (Mailweir) with SMTP id 8M4KX2Q9TZAB;\r\n",
            ),
            (
                origin("evil\r\nBcc: x <y> (z", Some("[::ffff:192.0.2.7]:1"), true, Some("TLSv1.3 TLS13_AES_256_GCM_SHA384")),
                envelope(&["ü@b.example"], true),
                "from evil??Bcc:?x??y???z ([192.0.2.7])\r\n by mx1.example (Mailweir) with UTF8SMTPS id 8M4KX2Q9TZAB\r\n (TLSv1.3 TLS13_AES_256_GCM_SHA384)\r\n for <ü@b.example>;\r\n",
            ),
            (
                origin("", Some("192.0.2.7:1"), true, Some("TLSv1.2 X)")),
                envelope(&[], false),
                "from unknown ([192.0.2.7])\r\n by mx1.example (Mailweir) with ESMTPS id 8M4KX2Q9TZAB\r\n (TLSv1.2 X);\r\n",
            ),
            (origin("file", None, false, None), envelope(&[], false), "by mx1.example (Mailweir) with SMTP id 8M4KX2Q9TZAB;\r\n"),
        ];
        for (origin, envelope, want) in rows {
            let got = received(&origin, &envelope, "mx1.example", id, at);
            assert_eq!(got, format!("Received: {want} Thu, 05 Nov 2026 09:08:07 +0000\r\n"));
        }
        assert_eq!(mailweir_id(id), "X-Mailweir-Id: 8M4KX2Q9TZAB\r\n");
        let long = received(&origin(&"h".repeat(5000), Some("192.0.2.7:1"), true, None), &envelope(&[], false), "mx1.example", id, at);
        assert!(long.lines().all(|line| line.len() < 330));
    }

    #[test]
    fn verdicts() {
        assert_eq!(verdict(6.54, true, ["a.b", "c"]), "X-Mailweir-Verdict: score=6.5 tagged=yes rules=a.b,c\r\n");
        assert_eq!(verdict(0.0, false, [] as [&str; 0]), "X-Mailweir-Verdict: score=0.0 tagged=no\r\n");
        assert_eq!(verdict(f32::NAN, false, ["x\r\ny: (z)"]), "X-Mailweir-Verdict: score=0.0 tagged=no rules=xyz\r\n");
        let many = verdict(1.0, true, (0..100).map(|n| format!("rule.number-{n}")));
        assert!(many.lines().all(|line| line.len() <= 78), "{many}");
        assert!(many.lines().skip(1).all(|line| line.starts_with(' ')), "{many}");
        assert!(many.ends_with("(and 70 more)\r\n"), "{many}");
        assert_eq!(many.matches("rule.number-").count(), 30);
    }
}
