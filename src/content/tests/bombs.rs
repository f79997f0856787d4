//! Messages built to cost more than they weigh: each ends at a limit, which is said, or costs little.

use std::fmt::Write;

use super::super::unpack::bomb::zeros;
use super::*;

fn attached(file: &[u8], name: &str) -> Vec<u8> {
    // Binary as it is: the size of the message is that of the bomb.
    let head = format!("Content-Type: application/octet-stream; name={name}\r\nContent-Transfer-Encoding: binary\r\n\r\n");
    [head.as_bytes(), file].concat()
}

/// A zip without a directory whose members are `(name, deflated)`.
fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, packed) in members {
        out.extend(b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0");
        out.extend((packed.len() as u32).to_le_bytes());
        out.extend([0; 4]);
        out.extend((name.len() as u16).to_le_bytes());
        out.extend([0, 0]);
        out.extend(name.as_bytes());
        out.extend(packed);
    }
    out
}

/// Takes it apart under default limits; tells how much it holds decoded.
fn blown(raw: Vec<u8>, what: &str) -> (Message, usize) {
    let limits = Limits::default();
    let size = raw.len();
    let started = std::time::Instant::now();
    let message = decompose(raw.into(), &limits);
    let held: usize = message.parts.iter().filter(|part| !part.verbatim).map(|part| part.data.len()).sum();
    println!(
        "{what}: {size} bytes, {} parts, {held} decoded, {:?}, {:?}",
        message.parts.len(),
        started.elapsed(),
        limits_reached(&message)
    );
    check_promises(&message, &limits, what);
    assert!(held as u64 <= limits.decoded_bytes.0, "{what}");
    (message, held)
}

#[test]
fn zip_of_a_gigabyte_of_zeros() {
    let file = zip(&[("zeros".to_owned(), zeros(1024))]);
    let (message, held) = blown(attached(&file, "a.zip"), "1 GB of zeros");
    assert_eq!((limits_reached(&message), held), (vec!["archive.limit.bytes"], 256_000_000));
    let (message, held) = blown(attached(&zip(&[("zeros".to_owned(), zeros(100))]), "a.zip"), "100 MB of zeros");
    assert_eq!(limits_reached(&message), ["archive.limit.ratio"]);
    assert!(held < 30_000_000);
}

#[test]
fn zip_of_an_ordinary_log() {
    let (message, held) = blown(attached(&zip(&[("log".to_owned(), zeros(20))]), "a.zip"), "20 MB of a log");
    assert_eq!((limits_reached(&message), held), (vec![], 20 << 20));
}

#[test]
fn a_file_that_unpacks_to_itself() {
    // Made by a script after Russ Cox, "Zip files all the way down"; gzip(1) agrees.
    let quine = include_bytes!("../../../tests/fixtures/quine.gz");
    for name in ["a", "q.gz", "a.tgz"] {
        let (message, _) = blown(attached(quine, name), "a quine");
        assert_eq!(limits_reached(&message), ["mime.limit.depth"], "{name}");
        assert!(message.parts.len() < 10);
    }
}

#[test]
fn equal_parts_under_many_charsets() {
    let part = |n| format!("--B\r\nContent-Type: text/plain; charset=x{n}\r\n\r\nbegin 644 a\r\n%:&5L;&\\ \r\nend\r\n");
    let parts: String = (0..5000).map(part).collect();
    let raw = format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n{parts}--B--\r\n");
    let (message, _) = blown(raw.into_bytes(), "5,000 equal parts");
    assert_eq!(limits_reached(&message), ["mime.limit.parts"]);
    let capitals = "BEGIN 64 X\r\n".repeat(100_000);
    let (message, _) = blown(format!("Subject: s\r\n\r\n{capitals}").into_bytes(), "BEGIN");
    assert_eq!(limits_reached(&message), Vec::<&str>::new());
}

#[test]
fn zip_of_many_small_bombs() {
    let small = zeros(15);
    let members: Vec<_> = (0..100).map(|n| (format!("{n}"), small.clone())).collect();
    let (message, _) = blown(attached(&zip(&members), "a.zip"), "100 times 15 MB of zeros");
    assert!(limits_reached(&message).contains(&"archive.limit.bytes"));
}

#[test]
fn zip_of_a_hundred_thousand_members() {
    let members: Vec<_> = (0..100_000).map(|n| (format!("{n}"), vec![3, 0])).collect();
    let (message, _) = blown(attached(&zip(&members), "a.zip"), "100,000 members");
    assert_eq!(limits_reached(&message), ["mime.limit.parts"]);
}

#[test]
fn ten_thousand_parts() {
    let raw = format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n{}--B--\r\n", "--B\r\n\r\nx\r\n".repeat(10_000));
    let (message, _) = blown(raw.into_bytes(), "10,000 parts");
    assert_eq!(limits_reached(&message), ["mime.limit.parts"]);
}

#[test]
fn multiparts_two_hundred_deep() {
    let mut raw = String::new();
    for n in 0..200 {
        write!(raw, "Content-Type: multipart/mixed; boundary=\"B{n}x\"\r\n\r\n--B{n}x\r\n").unwrap();
    }
    let (message, _) = blown(raw.into_bytes(), "multipart 200 deep");
    assert_eq!(limits_reached(&message), ["mime.limit.depth"]);
}

#[test]
fn every_way_to_cut_at_every_depth() {
    // Two boundaries, junk after them and parts past the closing line, on each of 40 levels: readings of readings.
    let mut raw = String::new();
    for n in 0..40 {
        write!(
            raw,
            "Content-Type: multipart/mixed; boundary=\"B{n}\"; boundary=\"C{n}\"\r\nContent-Type: multipart/x; boundary=B{n}\r\n\r\n"
        )
        .unwrap();
        write!(raw, "--B{n}--\r\n\r\n --C{n}\r\n\r\n--C{n}x\r\n\r\na\r\n--B{n}x\r\n\r\n--C{n}--\r\n--C{n}\r\n\r\nb\r\n--B{n}\r\n").unwrap();
    }
    blown(raw.into_bytes(), "readings of readings");
}

#[test]
fn a_header_of_three_hundred_thousand_lines() {
    let raw = format!("{}\r\nbody", "X-Field: value\r\n".repeat(300_000));
    let (message, _) = blown(raw.into_bytes(), "300,000 header lines");
    assert_eq!(limits_reached(&message), ["mime.limit.headers"]);
    assert!(message.headers.len() <= Limits::default().header_fields && message.parts[1].data == "body");
    let folded = format!("Subject: x{}\r\n\r\nbody", "\r\n =?utf-8?q?a?=".repeat(300_000));
    blown(folded.into_bytes(), "300,000 folded lines");
    blown(format!("Content-Type: a/b{}\r\n\r\nbody", ";boundary=x".repeat(300_000)).into_bytes(), "300,000 parameters");
}

#[test]
fn messages_twenty_thousand_deep() {
    let raw = "Content-Type: message/rfc822\r\n\r\n".repeat(20_000);
    let (message, _) = blown(raw.into_bytes(), "message/rfc822 20,000 deep");
    assert_eq!(limits_reached(&message), ["mime.limit.depth"]);
    let named = "From: a\r\nTo: b\r\n\r\n".repeat(20_000);
    blown(named.into_bytes(), "undeclared messages 20,000 deep");
}

#[test]
fn much_of_what_readings_look_for() {
    let rows = [
        ("begin", "begin 644 x\r\n".repeat(200_000)),
        ("ybegin", "=ybegin x\r\n".repeat(200_000)),
        ("embedded", "Content-Transfer-Encoding: base64\r\n".repeat(100_000)),
        ("embedded, dashed", "Content-Transfer-Encoding: base64\r\n\r\naaaa\r\n--\r\n".repeat(50_000)),
        ("dashes", "-".repeat(3_000_000)),
        ("boundaries in lines", "x --B".repeat(500_000)),
        ("local headers", "PK\x03\x04".repeat(500_000)),
        ("end records", "PK\x05\x06".repeat(500_000)),
        ("tags", "<div style='display:none'>".repeat(100_000)),
        ("links", "http://x.example/".repeat(100_000)),
        ("www", "www.".repeat(500_000)),
        ("equals", "=".repeat(3_000_000)),
    ];
    for (what, body) in rows {
        for kind in ["text/html", "multipart/mixed; boundary=B", "application/octet-stream\r\nContent-Transfer-Encoding: quoted-printable"]
        {
            blown(format!("Content-Type: {kind}\r\n\r\n{body}").into_bytes(), what);
        }
    }
}

#[test]
fn limits_are_kept_when_they_are_small() {
    let raw = format!("Content-Type: multipart/mixed; boundary=B\r\n\r\n{}--B--\r\n", "--B\r\n\r\nhttp://x.example/\r\n".repeat(50));
    for parts in [0, 1, 2, 10] {
        let limits = Limits { parts, depth: 3, urls: 0, effort: "1KB".parse().unwrap(), ..Limits::default() };
        let message = decompose(Bytes::from(raw.clone()), &limits);
        assert!(!limits_reached(&message).is_empty(), "{parts}");
        assert!(message.parts.len() <= parts, "{parts}");
    }
}
