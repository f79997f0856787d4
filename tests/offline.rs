//! The command line where no gateway runs: it reads the store itself, and changes it only when told to.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use bytes::Bytes;
use jiff::Timestamp;
use mailweir::mail::record::Judged;
use mailweir::mail::{
    Area, Body, Decision, Direction, Disposition, Entry, EntryRecipient, Envelope, Event, MessageId, Origin, Place, Recipient,
    RecipientState, Record, ReversePath, VersionId,
};
use mailweir::store::{Change, Store};
use serde_json::Value;
use tempfile::TempDir;

const RAW: &[u8] = b"From: Bob <bob@else.example>\r\nSubject: Win\r\n\r\nGo to http://evil.example/ now\r\n";
const CONFIG: &str = r#"
hostname = "mx1.ours.example"
data_dir = "data"
[[listener]]
name = "internet"
address = "127.0.0.1:2525"
direction = "inbound"
[[route]]
name = "groupwise"
domains = ["ours.example"]
next_hops = ["127.0.0.1:1"]
[inspect]
checks = ["heuristics"]
[admin]
socket = "admin.sock"
"#;

/// A folder with a configuration, and a store that holds one message.
async fn site() -> (TempDir, MessageId) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mailweir.toml"), CONFIG).unwrap();
    let (store, _) = Store::open(&dir.path().join("data"), &Default::default()).unwrap();
    let entry = entry();
    let id = entry.id;
    let judged = Judged {
        origin: entry.origin.clone(),
        envelope: Envelope {
            dsn: Default::default(),
            sender: entry.sender.clone(),
            recipients: vec![Recipient {
                address: ann(),
                direction: Direction::Inbound,
                route: "groupwise".into(),
                dsn: Default::default(),
            }],
            body: Body::SevenBit,
            smtputf8: false,
        },
        direction: Direction::Inbound,
        size: entry.size,
        message_id: String::new(),
        subject: entry.subject.clone(),
        from: entry.from.clone(),
        findings: vec![],
        decisions: vec![entry.recipients[0].decision.clone()],
        took_ms: [0; 3],
        sha256: String::new(),
    };
    store.commit(vec![Change::Put { entry, bytes: Bytes::from_static(RAW) }]).await.unwrap();
    let held = Event::Held { recipient: ann(), area: Area::Spam };
    let records = [Event::Judged(Box::new(judged)), held];
    store.record(&records.map(|event| Record { at: Timestamp::now(), id, version: VersionId("v1".into()), event })).unwrap();
    store.close().await;
    (dir, id)
}

fn ann() -> mailweir::mail::Address {
    "ann@ours.example".parse().unwrap()
}

fn entry() -> Entry {
    let decision = Decision {
        disposition: Disposition::Hold,
        area: Some(Area::Spam),
        rule: "score.hold".into(),
        because: String::new(),
        score: 9.0,
        would: None,
        tagged: true,
    };
    Entry {
        id: MessageId::new(),
        place: Place::Quarantine,
        area: Some(Area::Spam),
        received_at: Timestamp::now(),
        origin: Origin { listener: "internet".into(), peer: None, helo: "x".into(), esmtp: true, tls: None, normalised: false },
        sender: ReversePath::Address("bob@else.example".parse().unwrap()),
        body: Body::SevenBit,
        smtputf8: false,
        dsn: Default::default(),
        recipients: vec![EntryRecipient {
            dsn: Default::default(),
            warned: false,
            address: ann(),
            direction: Direction::Inbound,
            route: "groupwise".into(),
            decision,
            state: RecipientState::Held,
        }],
        size: RAW.len() as u64,
        subject: "Win".into(),
        from: "Bob".into(),
        trace: String::new(),
        findings: vec![],
        version: VersionId("v1".into()),
        release: None,
    }
}

fn mailweir(dir: &Path, line: &str) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_mailweir"))
        .args(["--config", "mailweir.toml"])
        .args(line.split(' '))
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[tokio::test]
async fn reading_needs_no_gateway() {
    let (dir, id) = site().await;
    let id = id.to_string();
    for (line, code, wanted) in [
        ("status --line", 2, "critical: no gateway is running\n"),
        ("quarantine list", 0, id.as_str()),
        ("quarantine list --area Virus", 1, "nothing is held"),
        ("find --to ann@", 0, "held"),
        ("find --to nobody@", 1, "found nothing since"),
        ("audit", 0, "the books balance"),
        ("queue list", 1, "nothing waits"),
        (&format!("explain {id}"), 0, "hold in Spam by rule score.hold"),
        ("explain 222222222222", 1, "no message 222222222222"),
    ] {
        let (got, out, err) = mailweir(dir.path(), line);
        assert_eq!(got, code, "{line}: {out}{err}");
        assert!(out.contains(wanted), "{line}: {out}{err}");
        assert!(out.lines().all(|row| row.chars().count() <= 100), "{line}: {out}");
    }
    let (_, json, _) = mailweir(dir.path(), "quarantine list --json");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["messages"][0]["id"], id.as_str());
}

#[tokio::test]
async fn changing_needs_to_be_said() {
    let (dir, id) = site().await;
    for line in [format!("quarantine release {id}"), format!("quarantine delete {id} --reason old"), format!("quarantine show {id}")] {
        let (code, out, err) = mailweir(dir.path(), &line);
        assert_eq!((code, out.as_str()), (2, ""), "{line}: {err}");
        assert!(err.contains("add --offline"), "{line}: {err}");
    }
    let (code, shown, err) = mailweir(dir.path(), &format!("quarantine show {id} --offline"));
    assert!(code == 0 && shown.contains("hxxp://evil.example"), "{shown}{err}");
    let (code, raw, _) = mailweir(dir.path(), &format!("quarantine export {id} --offline"));
    assert_eq!((code, raw.as_bytes()), (0, RAW));

    let (code, preview, _) = mailweir(dir.path(), "--offline quarantine release --area Spam");
    assert!(code == 1 && preview.contains("add --yes to do it"), "{preview}");
    let (code, queued, err) = mailweir(dir.path(), "--offline quarantine release --area Spam --yes --reason asked");
    assert_eq!((code, queued), (0, format!("{id}  queued for release: it goes out when the gateway starts\n")), "{err}");
    let (code, again, _) = mailweir(dir.path(), &format!("--offline quarantine release {id}"));
    assert!(code == 1 && again.contains("already released by "), "{again}");

    let (code, waiting, _) = mailweir(dir.path(), &format!("queue show {id}"));
    assert!(code == 0 && waiting.contains("To ann@ours.example"), "{waiting}");
    let (code, books, _) = mailweir(dir.path(), "audit");
    assert!(code == 0 && books.contains("spooled              1"), "{books}");
    let (_, explained, _) = mailweir(dir.path(), &format!("explain {id}"));
    for event in ["looked", "(show)", "(export)", "released", "for ann@ours.example: asked"] {
        assert!(explained.contains(event), "{event}: {explained}");
    }
}

#[tokio::test]
async fn the_queue_is_looked_after() {
    let (dir, id) = site().await;
    let run = |line: &str| mailweir(dir.path(), line);
    assert_eq!(run(&format!("--offline quarantine release {id} --reason asked")).0, 0);
    for (line, code, wanted) in [
        // Nothing is done that was not said.
        ("queue hold --route groupwise", 1, "1 message(s) to 1 recipient(s) would be held; add --yes to do it"),
        ("queue bounce --to ann@ --reason old", 1, "would be bounced"),
        ("queue retry --all", 1, "would be tried again"),
        ("queue hold --route exchange", 1, "nothing waits (that matches)"),
        ("queue hold --older-than 2h", 1, "nothing waits (that matches)"),
        ("queue hold", 2, "name ids, or filters"),
        ("queue bounce --all", 2, "--reason"),
        ("queue hold --route groupwise --yes", 2, "add --offline"),
        ("--offline queue retry --all --yes", 0, "due when the gateway starts"),
        ("--offline queue hold --route groupwise --yes --reason look", 0, "held for ann@ours.example"),
        ("queue list", 1, "nothing waits"),
        ("quarantine list", 0, "queue.hold: by "),
        ("audit", 0, "held                 1"),
        ("--offline queue hold --all --yes", 1, "nothing waits (that matches)"),
    ] {
        let (got, out, err) = run(line);
        assert!(got == code && format!("{out}{err}").contains(wanted), "{line}: {got} {out}{err}");
    }
    let (_, json, _) = run("queue bounce --all --reason x --json");
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["recipients"], 0);
    let (code, out, err) = run(&format!("--offline quarantine release {id}"));
    assert_eq!(code, 0, "held anew, so released anew: {out}{err}");
    let (code, out, err) = run(&format!("--offline queue bounce {id} --reason hopeless"));
    assert!(code == 0 && out.contains("bounced for ann@ours.example"), "{out}{err}");
    let (code, out, err) = run(&format!("--offline queue bounce {id} --reason hopeless"));
    assert!(code == 1 && out.contains("no message"), "{out}{err}");
    let (code, books, _) = run("audit");
    assert!(code == 0 && books.contains("bounced              1"), "{books}");
    let (_, explained, _) = run(&format!("explain {id}"));
    for event in ["held_back", "in Spam for ann@ours.example: look", "given up by ", "no notification: spam and viruses", "hopeless"] {
        assert!(explained.contains(event), "{event}: {explained}");
    }
}
