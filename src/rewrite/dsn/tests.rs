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

/// Type and bytes of each part directly below the report, as our reader of any mail sees them.
fn parts(dsn: &Dsn) -> Vec<(String, String)> {
    let message = content::decompose(dsn.bytes.clone(), &content::Limits::default());
    assert!(message.findings.is_empty(), "{:?}", message.findings);
    let part = |part: &crate::mail::Part| {
        let body = part.span.map(|span| String::from_utf8_lossy(span.of(&message.raw)).into_owned()).unwrap_or_default();
        (part.declared_type.clone(), body)
    };
    message.parts.iter().filter(|one| one.depth == 1).map(part).collect()
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
        assert!(text.contains("Subject: ="), "the headers always do");
        if raw.len() > 100 && !whole {
            assert!(dsn.bytes.len() < 10_000);
        }
        assert!(text.contains(&format!("Action: {}\r\n", action.as_str())));
    }
}

#[test]
fn delays_and_relays() {
    let mut slow = subject("a@b.example", down("gwia.example:25"), Why::Said);
    slow.until = Some("2026-11-06T00:00:00Z".parse().unwrap());
    let text = |dsn: Dsn| String::from_utf8(dsn.bytes.to_vec()).unwrap();
    let delayed = text(report(Action::Delayed, "me@here.example", &MessageRequest::default(), &[slow], RAW));
    for part in [
        "Status: 4.4.1\r\n",
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
        let dsn = report(Action::Failed, to, &MessageRequest { ret, envid: None }, &[about], "Subject: grüße\r\n\r\nbody\r\n".as_bytes());
        assert!(dsn.smtputf8);
        let parts = parts(&dsn);
        let kinds: Vec<&str> = parts.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["text/plain", "message/global-delivery-status", last]);
    }
    let dsn = report(Action::Failed, "me@here.example", &MessageRequest::default(), &[one], RAW);
    let parts = parts(&dsn);
    for part in ["Original-Recipient: utf-8; ü@b.example\r\n", "Final-Recipient: utf-8; ü@b.example\r\n", "gibt es hier nicht: ü\r\n"] {
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
    let many = vec![one[0].clone(); 150];
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
