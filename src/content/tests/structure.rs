//! The shape of the part list.

use super::*;

const MIXED: &str = "From: a@b.example\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\nContent-Type: multipart/mixed; boundary=B\r\n\r\n";

#[test]
fn a_plain_message_is_a_message_and_a_leaf() {
    let message = read(b"From: a@b.example\r\nSubject: s\r\n\r\nsee http://x.example/\r\n");
    let kinds: Vec<_> = message.parts.iter().map(|part| (part.kind, part.depth, part.true_type)).collect();
    assert_eq!(kinds, [(PartKind::Message, 0, ""), (PartKind::Leaf, 1, "text")]);
    let leaf = &message.parts[1];
    assert!(leaf.verbatim && leaf.data.as_ptr() == message.raw[message.body_start..].as_ptr(), "not copied");
    assert_eq!(leaf.text.as_deref(), Some("see http://x.example/\r\n"));
    assert_eq!((message.subject(), message.urls.as_slice()), ("s", &["http://x.example/".to_owned()][..]));
    assert_eq!(message.headers[0].raw.of(&message.raw), b" a@b.example");
    assert!(message.findings.is_empty(), "{:?}", message.findings);
}

#[test]
fn parts_come_in_the_order_of_the_message() {
    let raw = format!(
        "{MIXED}--B\r\nContent-Type: multipart/alternative; boundary=C\r\n\r\n--C\r\n\r\none\r\n--C\r\nContent-Type: text/html\r\n\r\n<p>two\r\n--C--\r\n\
         --B\r\nContent-Type: application/pdf; name=t.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQK\r\n--B--\r\n"
    );
    let message = read(raw.as_bytes());
    let parts: Vec<_> =
        message.parts.iter().map(|p| (p.kind, p.parent.map(|id| id.0), p.declared_type.as_str(), p.true_type, p.attachment)).collect();
    assert_eq!(
        parts,
        [
            (PartKind::Message, None, "message/rfc822", "", false),
            (PartKind::Multipart, Some(0), "multipart/mixed", "", false),
            (PartKind::Multipart, Some(1), "multipart/alternative", "", false),
            (PartKind::Leaf, Some(2), "", "text", false),
            (PartKind::Leaf, Some(2), "text/html", "html", false),
            (PartKind::Leaf, Some(1), "application/pdf", "pdf", true),
        ]
    );
    assert_eq!(message.subject(), "grün");
    assert_eq!(message.parts[4].text.as_deref().map(str::trim), Some("two"));
}

#[test]
fn a_second_name_for_the_same_bytes_is_a_part() {
    let part = "Content-Type: a/b; name=x.txt\r\nContent-Disposition: attachment; filename=x.exe\r\n\r\nsame\r\n";
    let message = read(format!("{MIXED}--B\r\n{part}--B--\r\n").as_bytes());
    let names: Vec<_> = message.parts.iter().filter_map(|part| part.name.as_deref()).collect();
    assert_eq!(names, ["x.exe", "x.txt"]);
    assert!(codes(&message).contains(&"mime.names_differ"));
}

#[test]
fn equal_attachments_are_parts_each_and_opened_once() {
    let part = "Content-Type: a/b; name=N.txt\r\n\r\nbegin 644 u\r\n%:&5L;&\\ \r\nend\r\n";
    let two = format!("{MIXED}--B\r\n{}--B\r\n{}--B--\r\n", part.replace('N', "one"), part.replace('N', "two"));
    let message = read(two.as_bytes());
    let names: Vec<_> = message.parts.iter().filter_map(|part| part.name.as_deref()).collect();
    assert_eq!(names, ["one.txt", "u", "two.txt"]);
}

#[test]
fn equal_bytes_are_read_in_each_way_that_their_fields_ask_for() {
    let wide: String = "begin 644 u\r\n%:&5L;&\\ \r\nend\r\n".bytes().map(|c| format!("={c:02X}=00")).collect();
    let part = |charset: &str| {
        format!("--B\r\nContent-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{wide}\r\n")
    };
    let message = read(format!("{MIXED}{}{}--B--\r\n", part("us-ascii"), part("utf-16le")).as_bytes());
    assert!(message.parts.iter().any(|part| part.data == "hello"), "charset");
    let inner = "From: a\r\nTo: b\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n";
    let mail = |kind: &str| format!("--B\r\nContent-Type: {kind}\r\n\r\n{inner}\r\n");
    let message =
        read(format!("{MIXED}{}{}--B--\r\n", mail("text/rfc822-headers"), mail("application/octet-stream; name=x.eml")).as_bytes());
    assert!(message.parts.iter().any(|part| part.data == "hello"), "type");
}

#[test]
fn a_text_that_shows_the_first_bytes_of_a_container_is_a_text() {
    for shown in ["UEsDBA==", "UEsDBAoAAAAA", "H4sIAAAAAAAAAA==", "UmFyIRoHAQA=", "N3q8ryccAAQ="] {
        let text = format!(
            "Subject: s\r\n\r\nIt looks so:\r\n\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n{shown}\r\n"
        );
        let message = read(text.as_bytes());
        assert!(message.findings.iter().all(|finding| finding.class == Class::Note), "{shown}: {:?}", message.findings);
    }
}

#[test]
fn what_is_noticed() {
    let rows: &[(&str, &[&str])] = &[
        ("From: a\r\nFrom: b\r\n\r\n", &["mime.duplicate_field"]),
        ("Content-Type: multipart/mixed; boundary=B\r\n\r\nx", &["mime.boundary_missing"]),
        ("Content-Type: message/partial; id=1; number=1\r\n\r\nFrom: a\r\nTo: b\r\n\r\nx", &["mime.partial"]),
        ("Content-Type: message/external-body\r\n\r\nx", &["mime.external"]),
        ("Content-Type: application/pkcs7-mime\r\n\r\nx", &["mime.smime"]),
        ("Content-Transfer-Encoding: rot13\r\n\r\nx", &["mime.encoding_unknown"]),
        ("A: b\r\nno field\r\n\r\nx", &["mime.header_syntax"]),
        ("Content-Type: a/b\r\n\r\n7z\u{bc}", &[]),
    ];
    for (raw, want) in rows {
        assert_eq!(codes(&read(raw.as_bytes())), *want, "{raw:?}");
    }
    let rar = read(b"Content-Type: application/octet-stream; name=a.rar\r\n\r\nRar!\x1a\x07\x01\x00rest");
    let finding = rar.findings.iter().find(|finding| finding.code == "archive.unknown").unwrap();
    assert_eq!((finding.class.clone(), finding.part.map(|id| id.0)), (Class::CouldNotTell { reason: Reason::UnknownContainer }, Some(1)));
}

#[test]
fn every_method_is_named_once() {
    let mut names: Vec<_> = super::super::methods().map(|(name, _)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}
