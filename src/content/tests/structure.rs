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

/// A part that is an attachment, with `body` in base64 as its content.
fn attached(name: &str, body: &str) -> String {
    format!("Content-Type: application/octet-stream; name={name}\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n")
}

fn ambiguous(raw: &str) -> Vec<(Class, String)> {
    let message = read(raw.as_bytes());
    let found = message.findings.into_iter().filter(|finding| finding.code == "mime.ambiguous");
    found.map(|finding| (finding.class, finding.evidence)).collect()
}

#[test]
fn readings_that_hand_out_different_things_are_ambiguous() {
    let (pdf, text) = (attached("invoice.pdf", "JVBERi0xLjQKJSVFT0YK"), "\r\nhello\r\n");
    let two = |first: &str, second: &str| format!("--A\r\n{first}--A--\r\n--B\r\n{second}--B--\r\n");
    let doubled = "Content-Type: multipart/mixed; boundary=A; boundary=B\r\n\r\n";
    let rows: &[(String, Class, &str)] = &[
        (
            format!("{doubled}{}", two(text, &pdf)),
            Class::Ambiguous,
            "boundary: \"A\" gives 1 part (text); \"B\" gives 1 part (invoice.pdf)",
        ),
        (format!("{doubled}--A\r\n{pdf}--A--\r\n"), Class::Ambiguous, "boundary: \"A\" gives 1 part (invoice.pdf); \"B\" gives 0 parts ()"),
        (format!("{doubled}{}", two(text, "\r\nother\r\n")), Class::Note, "boundary: \"A\" gives 1 part (text); \"B\" gives 1 part (text)"),
        (
            format!("Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=A\r\n\r\n--A\r\n{pdf}--A--\r\n"),
            Class::Ambiguous,
            "fields: text/plain, not encoded gives 1 part (text); multipart/mixed, not encoded gives 1 part (invoice.pdf)",
        ),
        (
            format!("Content-Transfer-Encoding: 7bit\r\n{pdf}"),
            Class::Ambiguous,
            "fields: application/octet-stream, not encoded gives 1 part (invoice.pdf); application/octet-stream, base64 gives",
        ),
        (
            format!("{MIXED}--B\r\n{text}--B--\r\n--B\r\n{pdf}--B--\r\n"),
            Class::Ambiguous,
            "boundary: \"B\" gives 1 part (text); \"B\" also past the closing line gives 2 parts (text, invoice.pdf)",
        ),
        (
            format!("{MIXED}--B\r\n{}--B--\r\n", attached("a.txt", "aGVsbG8gd29ybGQ=aGVsbG8gd29ybGQ=")),
            Class::Ambiguous,
            "base64: the usual way gives 1 part (a.txt); another gives 1 part (a.txt)",
        ),
        (
            format!("Content-Type: multipart/mixed\r\n\r\n--X\r\n{pdf}--X--\r\n"),
            Class::Ambiguous,
            "boundary: as one part gives 1 part (text); \"X\" gives 1 part (invoice.pdf)",
        ),
    ];
    for (raw, class, evidence) in rows {
        let found = ambiguous(raw);
        assert!(found.iter().any(|(c, e)| c == class && e.starts_with(evidence)), "{raw}\n{found:?}");
    }
}

#[test]
fn what_every_client_sees_alike_is_not_ambiguous() {
    let pdf = attached("invoice.pdf", "JVBERi0xLjQKJSVFT0YK");
    let rows = [
        format!("{MIXED}This is a multi-part message in MIME format.\r\n--B\r\n{pdf}--B--\r\n"),
        format!("{MIXED}\r\n\r\n--B  \r\n{pdf}\r\n\r\n--B--\t\r\n\r\n"),
        format!("{MIXED}--B\r\n{pdf}-----------\r\nA list, http://list.example/\r\n--B--\r\n"),
        format!("{MIXED}--B\r\n{pdf}"),
        format!("{MIXED}--B\r\n{pdf}--B--\r\n_______\r\nThe list: http://list.example/ --B\r\n"),
        format!("Content-Type: multipart/mixed; boundary=B\r\nContent-Type: multipart/mixed; boundary=\"B\"\r\n\r\n--B\r\n{pdf}--B--\r\n"),
        "Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nhello\r\n".to_owned(),
        "Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=b and c=\r\nd = e\r\n".to_owned(),
        format!("Subject: s\r\nno field here\r\n{MIXED}--B\r\n{pdf}--B--\r\n"),
        format!("Subject: a\rb\r\n{MIXED}--B\r\n{pdf}--B--\r\n"),
        format!("{MIXED}--B\r\nContent-Type: message/rfc822\r\n\r\n{MIXED}\r\n--B\r\n{pdf}--B--\r\n")
            .replacen("=B", "=C", 1)
            .replacen("--B", "--C", 1),
    ];
    for raw in rows {
        assert_eq!(ambiguous(&raw), [], "{raw}");
    }
}

#[test]
fn what_the_second_reader_alone_hands_out_is_a_part() {
    let raw = format!(
        "{MIXED}--B\r\n\r\ntext\r\n--B Content-Type: application/octet-stream; name=a.com\r\nContent-Transfer-Encoding: \
         quoted-printable\r\n\r\nh=65=6C=6Co\r\n--B--\r\n"
    );
    let message = read(raw.as_bytes());
    let part = message.parts.iter().find(|part| part.data == "hello").unwrap();
    assert_eq!(part.kind, PartKind::Reading);
    // That we read its bytes as something without a name is not enough: rules go by names.
    assert!(message.parts.iter().any(|part| part.data == "hello" && part.name.as_deref() == Some("a.com") && part.attachment));
    assert!(ambiguous(&raw).iter().any(|(class, _)| *class == Class::Ambiguous), "{:?}", message.findings);
}

#[test]
fn structure_is_read_in_every_way() {
    let leaf = "Content-Transfer-Encoding: quoted-printable\r\n\r\nh=65=6C=6Co\r\n";
    let rows = [
        format!("Content-Type: multipart/mixed; boundary=Bound\r\n\r\n--BOUND\r\n{leaf}--BOUND--\r\n"),
        format!("X: y\r\n\r\n\r\nContent-Type: text/plain\r\n{leaf}"),
        "Content-Transfer-\r\n Encoding: quoted-printable\r\n\r\nh=65=6C=6Co\r\n".to_owned(),
        format!("X: y\r\n \t\r\n{leaf}"),
        "X: y\rContent-Transfer-Encoding: quoted-printable\r\n\r\nh=65=6C=6Co\r\n".to_owned(),
        leaf.replace("\r\n", "\r"),
        leaf.replace("\r\n", "\r\r\n"),
        leaf.replace("\r\n", "\u{85}\r\n"),
        format!("Content-Type: multipart/mixed\r\n; boundary=B\r\n\r\n--B\r\n{leaf}--B--\r\n"),
        format!("{MIXED}From a Mon Jan 1\nSubject: x\nTo: y\n\none\n\nFrom b Mon Jan 1\nSubject: x\nTo: y\n{leaf}"),
        format!("Content-Type: text/rfc822-headers\r\n\r\nFrom: a\r\nTo: b\r\n{leaf}"),
        format!("Content-Type: multipart/mixed; boundary*0=B; boundary*2=C\r\n\r\n--BC\r\n{leaf}--BC--\r\n"),
        format!("=?utf-8?q?Content-Type?=: multipart/mixed; boundary=B\r\n\r\n--B\r\n{leaf}--B--\r\n"),
    ];
    for raw in rows {
        assert!(has(&read(raw.as_bytes()), b"hello"), "{raw:?}");
    }
}

#[test]
fn more_ways_than_are_read_are_a_limit() {
    let kinds = ["text/plain", "text/html", "a/b", "c/d"].map(|kind| format!("Content-Type: {kind}\r\n")).concat();
    let codings =
        ["7bit", "base64", "quoted-printable", "x-uuencode", "rot13"].map(|name| format!("Content-Transfer-Encoding: {name}\r\n"));
    let raw = format!("{kinds}{}no field\r\nX: y\r\n\r\nhello\r\n", codings.concat());
    assert_eq!(limits_reached(&read(raw.as_bytes())), ["mime.limit.readings"]);
}

#[test]
fn every_method_is_named_once() {
    let mut names: Vec<_> = super::super::methods().map(|(name, _)| name).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn a_second_reader_that_panics_is_told_of() {
    // An assertion of mail-parser, which is there in the same builds as ours.
    let inner = "Content-Type: message/rfc822\r\n\r\n";
    let raw = format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n--B\r\n{inner}{inner}\r\n--B--");
    let message = read(raw.as_bytes());
    let told: Vec<_> =
        message.findings.iter().filter(|finding| finding.code == "content.fault").map(|finding| finding.class.clone()).collect();
    let want = cfg!(debug_assertions).then_some(Class::CouldNotTell { reason: Reason::Malformed });
    assert_eq!(told, Vec::from_iter(want), "{:?}", message.findings);
}
