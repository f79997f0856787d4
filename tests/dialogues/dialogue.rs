//! Runs every `*.txt` of this folder as a conversation with a gateway.
//!
//! ```text
//! # a comment
//! listener: line_endings = "normalise"       a line for the listener's settings (default: inbound)
//! limits: errors = 3                         a line for [limits]
//! c: EHLO client.test                        we send this and CRLF; lines in a row go out in one write
//! c-raw: a bare LF:\n                        we send exactly this; \r \n \0 \xff \\ are escapes
//! s: 250-mx.ours.test                        the server's next line; * stands for anything
//! closed                                     the server says no more and closes
//! got: from <a@b.test> to bob@ours.test *    the last message handed to the pipeline, or "nothing" if there was none
//! got-bytes: Subject: x\r\n                  its bytes
//! ```
//!
//! Users that exist: anybody in legacy.test, ann and bob in ours.test, anybody elsewhere by the route "internet". In
//! asked.test the next hop is asked: it knows all but nobody, finds moved elsewhere, and never answers about slow.

use std::path::{Path, PathBuf};

use mailweir::mail::Recipient;
use mailweir::pipeline::Incoming;

use crate::harness::{Client, Server};

#[tokio::test]
async fn all_dialogues() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialogues");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 10, "the dialogue files are missing from {}", folder.display());
    let mut failures = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        if let Err(what) = run(&text).await {
            failures.push(format!("{}:{what}", file.file_name().unwrap_or_default().to_string_lossy()));
        }
    }
    assert!(failures.is_empty(), "{} of {} dialogues failed:\n{}", failures.len(), files.len(), failures.join("\n"));
}

/// Runs one dialogue; the error begins with the line number.
async fn run(text: &str) -> Result<(), String> {
    let (mut listener, mut limits) = (String::new(), String::new());
    let mut steps = Vec::new();
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let (word, rest) = line.split_once(':').map_or((line, ""), |(word, rest)| (word, rest.strip_prefix(' ').unwrap_or(rest)));
        match word {
            "listener" => listener.push_str(&format!("{rest}\n")),
            "limits" => limits.push_str(&format!("{rest}\n")),
            "c" | "c-raw" | "s" | "closed" | "got" | "got-bytes" => steps.push((number, word, rest)),
            _ if line.trim().is_empty() || line.starts_with('#') => {}
            _ => return Err(format!("{number}: not a line of a dialogue: {line:?}")),
        }
    }
    let server = Server::start(&listener, &limits);
    let mut client = server.client().await;
    let mut waiting = Vec::new();
    for (number, word, rest) in steps {
        match word {
            "c" => waiting.extend([rest.as_bytes(), b"\r\n"].concat()),
            "c-raw" => waiting.extend(unescape(rest)),
            _ => {
                flush(&mut client, &mut waiting).await;
                check(&mut client, &server, word, rest).await.map_err(|what| format!("{number}: {what}"))?;
            }
        }
    }
    flush(&mut client, &mut waiting).await;
    drop(client);
    server.stop().await;
    Ok(())
}

async fn flush(client: &mut Client<tokio::net::TcpStream>, waiting: &mut Vec<u8>) {
    if !waiting.is_empty() {
        client.send(std::mem::take(waiting)).await;
    }
}

async fn check(client: &mut Client<tokio::net::TcpStream>, server: &Server, word: &str, want: &str) -> Result<(), String> {
    let got = match word {
        "s" => client.line().await,
        "got" => server.messages().last().map_or("nothing".to_owned(), describe),
        "got-bytes" => {
            let raw = server.messages().last().map(|message| message.raw.to_vec()).unwrap_or_default();
            return if raw == unescape(want) { Ok(()) } else { Err(format!("expected {want:?}, got {:?}", String::from_utf8_lossy(&raw))) };
        }
        _ => {
            client.closed().await;
            return Ok(());
        }
    };
    if matches(want, &got) { Ok(()) } else { Err(format!("expected {want:?}, got {got:?}")) }
}

fn describe(message: &Incoming) -> String {
    let envelope = &message.envelope;
    let notify = |recipient: &Recipient| recipient.dsn.notify.map_or(String::new(), |notify| format!(" NOTIFY={notify}"));
    let orcpt = |recipient: &Recipient| recipient.dsn.orcpt.as_ref().map_or(String::new(), |orcpt| format!(" ORCPT={orcpt}"));
    let describe = |r: &Recipient| format!("{} ({} {}{}{})", r.address, r.direction, r.route, notify(r), orcpt(r));
    let recipients: Vec<_> = envelope.recipients.iter().map(describe).collect();
    let mut text = format!("from {} to {}", envelope.sender, recipients.join(", "));
    let origin = &message.origin;
    for (holds, word) in [
        (envelope.body == mailweir::mail::Body::EightBitMime, "; 8BITMIME"),
        (envelope.smtputf8, "; SMTPUTF8"),
        (origin.normalised, "; normalised"),
        (!origin.esmtp, "; HELO"),
    ] {
        text.push_str(if holds { word } else { "" });
    }
    if let Some(ret) = envelope.dsn.ret {
        text.push_str(&format!("; RET={}", ret.as_str()));
    }
    if let Some(envid) = &envelope.dsn.envid {
        text.push_str(&format!(" ENVID={envid}"));
    }
    text
}

/// Whether `text` is `pattern`, where `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text
            .strip_prefix(head)
            .is_some_and(|rest| rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| matches(tail, &rest[at..]))),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b'0') => 0,
                Some(b'x') => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).unwrap()
                }
                other => other.unwrap_or(b'\\'),
            },
            other => other,
        });
    }
    bytes
}

#[tokio::test]
async fn a_wrong_dialogue_fails() {
    for (text, want) in [
        ("s: 220 *\nc: NOOP\ns: 251 *\n", "3: expected \"251 *\", got \"250 2.0.0 ok\""),
        ("s: 220 *\ngot: from *\n", "2: expected \"from *\", got \"nothing\""),
        ("hello\n", "1: not a line of a dialogue: \"hello\""),
    ] {
        assert_eq!(run(text).await, Err(want.to_owned()));
    }
}
