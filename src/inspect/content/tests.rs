use bytes::Bytes;

use super::*;
use crate::content::{Limits, decompose};
use crate::mail::{Body, Envelope, Origin, Recipient, ReversePath};
use crate::rules::RuleSet;

fn context(direction: Direction) -> Context {
    Context {
        direction,
        origin: Origin { listener: "test".into(), peer: None, helo: "mail.a.example".into(), esmtp: true, tls: None, normalised: false },
        envelope: Envelope {
            dsn: Default::default(),
            sender: ReversePath::Null,
            recipients: vec![Recipient { address: "b@b.example".parse().unwrap(), direction, route: "r".into(), dsn: Default::default() }],
            body: Body::SevenBit,
            smtputf8: false,
        },
    }
}

fn mail(headers: &str, body: &str) -> Message {
    let head = "From: Ann <a@a.example>\r\nTo: b@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n";
    decompose(Bytes::from(format!("{head}{headers}\r\n{body}\r\n")), &Limits::default())
}

fn codes(settings: &Settings, message: &Message, direction: Direction) -> Vec<String> {
    let context = context(direction);
    let hits = RuleSet::embedded().hits(message, &context);
    check(settings, &hits, message, &context).into_iter().map(|finding| format!("{} {}", finding.code, finding.evidence)).collect()
}

fn attachment(name: &str, content: &str) -> Message {
    let disposition = format!("Content-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n");
    mail(&disposition, content)
}

#[test]
fn names_and_types_of_attachments() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("report.txt", "hello", &[]),
        ("setup.exe", "hello", &["content.name.program setup.exe"]),
        ("invoice.pdf.js", "hello", &["content.name.double invoice.pdf.js", "content.name.script invoice.pdf.js"]),
        ("notes", "#!/bin/sh\r\necho x", &["content.script script: notes"]),
        ("a.txt", "\x7fELF\x02\x01\x01", &["content.program elf: a.txt"]),
    ];
    for (name, content, want) in rows {
        let mut got = codes(&Settings::default(), &attachment(name, content), Direction::Inbound);
        got.sort();
        assert_eq!(got, *want, "{name}");
    }
    // A text that begins like a script is a text, as long as it is the text of the mail.
    assert_eq!(codes(&Settings::default(), &mail("Content-Type: text/plain\r\n", "#!/bin/sh\r\necho x"), Direction::Inbound), [""; 0]);
}

#[test]
fn macros_inbound_only() {
    let message = attachment("letter.docm", "x");
    assert_eq!(codes(&Settings::default(), &message, Direction::Inbound), ["content.name.macros letter.docm"]);
    assert_eq!(codes(&Settings::default(), &message, Direction::Outbound), [""; 0]);
}

#[test]
fn sizes() {
    let message = attachment("a.bin", &"x".repeat(5000));
    let settings = Settings { max_message_inbound: Size(4000), max_message_outbound: Size(0), max_attachment: Size(0), card_numbers: 0 };
    assert_eq!(codes(&settings, &message, Direction::Inbound).len(), 1);
    assert_eq!(codes(&settings, &message, Direction::Outbound), [""; 0]);
    let settings = Settings { max_attachment: Size(4999), max_message_inbound: Size(0), ..settings };
    let got = codes(&settings, &message, Direction::Outbound);
    assert!(
        got.len() == 1 && got[0].starts_with("content.size.attachment 500") && got[0].ends_with("5KB allowed: a.bin")
            || got[0].contains("4999B allowed"),
        "{got:?}"
    );
}

#[test]
fn card_numbers_outbound_only_and_masked() {
    let message = mail("", "My card: 4111 1111 1111 1111, and 5555-5555-5555-4444.");
    assert_eq!(codes(&Settings::default(), &message, Direction::Inbound), [""; 0]);
    assert_eq!(codes(&Settings::default(), &message, Direction::Outbound), ["content.card Visa number ending in 1111 and 1 more"]);
    let three = Settings { card_numbers: 3, ..Settings::default() };
    assert_eq!(codes(&three, &message, Direction::Outbound), [""; 0]);
}

#[test]
fn settings_are_strict() {
    let settings: Settings = serde_json::from_str(r#"{"max_attachment": "20MB"}"#).unwrap();
    assert_eq!(settings, Settings { max_attachment: Size(20_000_000), ..Settings::default() });
    assert!(serde_json::from_str::<Settings>(r#"{"max_atachment": "20MB"}"#).is_err());
}

/// A message cut anywhere is judged like any other.
#[test]
fn cut_anywhere() {
    let whole = concat!(
        "From: \"Bank <x\" <a@a.example>\r\nTo: \"b\" <b@b.example>\r\nSubject: =?utf-8?q?4111_1111?= 1111 1111\r\n",
        "Date: Mon, 23 Nov 2026 16:05:00 +0000\r\nReceived: from x by y; Mon, 23 Nov 2026 12:05:00 +0000\r\nMIME-Version: 1.0\r\n",
        "Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\nContent-Type: text/html; charset=utf-8\r\n\r\n",
        "<p>Dear customer <a href=\"http://a.example/\">http://b.example</a> &#118; ü</p>\r\n--q\r\n",
        "Content-Disposition: attachment; filename=\"a.pdf.exe\"\r\n\r\nMZ\r\n--q--\r\n"
    );
    let (rules, context) = (RuleSet::embedded(), context(Direction::Outbound));
    let mut most = 0;
    for cut in 0..=whole.len() {
        let message = decompose(Bytes::copy_from_slice(&whole.as_bytes()[..cut]), &Limits::default());
        most = check(&Settings::default(), &rules.hits(&message, &context), &message, &context).len();
    }
    assert!(most >= 3, "{most} findings in the whole message");
}
