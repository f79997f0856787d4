//! The virus check with a real clamd, started by the test: it must be installed (`apt-get install clamav-daemon`).
#![allow(clippy::unwrap_used)] // a test may

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailweir::cli::demo::clamd::{Clamd, eicar};
use mailweir::content::{Limits, decompose};
use mailweir::inspect::antivirus::{Antivirus, EngineStatus, Settings, State};
use mailweir::mail::units::Period;
use mailweir::mail::{Class, Finding, Message, Part, PartId, PartKind, Reason};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::Instant;

const EICAR_BASE64: [&str; 2] = ["WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5E", "QVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo="];
const MESSAGE_SIZE: u64 = 8 << 20;

fn antivirus(engines: &[String], timeout: Duration) -> Antivirus {
    let settings = Settings { engines: engines.to_vec(), timeout: Period(timeout), ..Settings::default() };
    Antivirus::new(&settings, MESSAGE_SIZE).unwrap()
}

fn patient(engine: String) -> Antivirus {
    antivirus(&[engine], Duration::from_secs(60))
}

/// A message of these raw bytes, with parts that exist only decoded.
fn message(raw: impl Into<Bytes>, parts: &[&[u8]]) -> Arc<Message> {
    let raw = raw.into();
    let part = |(at, data): (usize, Bytes), kind, verbatim| Part {
        id: PartId(at as u32),
        parent: (at > 0).then_some(PartId(0)),
        depth: u16::from(at > 0),
        kind,
        declared_type: String::new(),
        true_type: "",
        name: None,
        attachment: at > 0,
        span: None,
        verbatim,
        text: None,
        sha256: Sha256::digest(&data).into(),
        data,
    };
    let mut all = vec![part((0, raw.clone()), PartKind::Message, true)];
    all.extend(parts.iter().enumerate().map(|(at, data)| part((at + 1, Bytes::copy_from_slice(data)), PartKind::Leaf, false)));
    Arc::new(Message { raw, body_start: 0, headers: Vec::new(), parts: all, urls: Vec::new(), findings: Vec::new() })
}

fn mail(body: &[u8]) -> Vec<u8> {
    [b"From: a@b.example\r\nTo: c@d.example\r\nSubject: test\r\n\r\n", body, b"\r\n"].concat()
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_ref()).collect()
}

fn zeros(size: usize) -> Vec<u8> {
    vec![0; size]
}

/// The one status of one engine.
async fn probe(antivirus: &Antivirus) -> EngineStatus {
    antivirus.probe().await.remove(0)
}

#[tokio::test]
async fn found_and_clean_over_both_sockets() {
    let clamd = Clamd::start(&[]).unwrap();
    let encoded = format!(
        "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        EICAR_BASE64.concat()
    );
    for engine in [clamd.unix(), clamd.tcp()] {
        let antivirus = patient(engine.clone());
        let found = format!("{engine}: Local.Test.EICAR.UNOFFICIAL");
        let rows = [
            ("clean", message(mail(b"hello"), &[b"an attachment", b""]), None),
            ("raw", message(mail(&eicar()), &[]), Some(None)),
            ("in a decoded part only", message(mail(b"something encoded as nobody knows"), &[b"clean", &eicar()]), Some(Some(PartId(2)))),
            ("base64 in the raw message and as a part", message(encoded.clone(), &[&eicar()]), Some(Some(PartId(1)))),
        ];
        for (name, message, want) in rows {
            let findings = antivirus.scan(&message).await;
            match want {
                None => assert_eq!(findings, [], "{name}"),
                Some(part) => {
                    assert_eq!(codes(&findings), ["av.malware"], "{name}");
                    assert_eq!(
                        (&findings[0].class, findings[0].part, findings[0].evidence.as_str()),
                        (&Class::Malware, part, found.as_str()),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn what_clamd_does_not_open_in_a_mail_it_is_shown_decoded() {
    // clamd's own mail parser does not look into the second part of a multipart/signed.
    let raw = format!(
        "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=e.com\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n--b--\r\n",
        EICAR_BASE64.concat()
    );
    let clamd = Clamd::start(&[]).unwrap();
    let antivirus = patient(clamd.unix());
    assert_eq!(antivirus.scan(&message(raw.clone(), &[])).await, [], "if clamd has learnt it, take another example");
    let decomposed = Arc::new(decompose(raw.into(), &Limits::default()));
    let findings = antivirus.scan(&decomposed).await;
    assert_eq!(codes(&findings), ["av.malware"]);
    let part = findings[0].part.and_then(|part| decomposed.part(part)).unwrap();
    assert_eq!(part.name.as_deref(), Some("e.com"));
}

#[tokio::test]
async fn an_engine_in_order() {
    let clamd = Clamd::start(&["AlertExceedsMax yes"]).unwrap();
    for engine in [clamd.unix(), clamd.tcp()] {
        let antivirus = patient(engine);
        assert_eq!(antivirus.status()[0].state, State::Unknown);
        let status = probe(&antivirus).await;
        assert_eq!((&status.state, status.eicar_found, status.clean_passed), (&State::Up, Some(true), Some(true)), "{status:?}");
        assert_eq!((status.stream_limit, status.scan_limit), (None, Some(MESSAGE_SIZE)), "{status:?}");
        assert!(status.version.as_deref().is_some_and(|version| version.starts_with("ClamAV ")), "{status:?}");
        assert_eq!(status.warnings.len(), 1, "only that there is no numbered database: {status:?}");
        assert_eq!(antivirus.status(), [status]);
    }
}

#[tokio::test]
async fn the_stream_limit_is_measured_and_what_exceeds_it_is_too_big() {
    let clamd = Clamd::start(&["StreamMaxLength 1M", "AlertExceedsMax yes"]).unwrap();
    for engine in [clamd.unix(), clamd.tcp()] {
        let antivirus = patient(engine);
        let status = probe(&antivirus).await;
        let limit = status.stream_limit.unwrap();
        assert!((950_000..=1 << 20).contains(&limit), "{limit}");
        assert!(status.warnings.iter().any(|warning| warning.ends_with("StreamMaxLength 10M")), "{status:?}");
        // Far above, and within what was measured too roughly: the same answer, whether it was sent or not.
        for size in [6 << 20, (1 << 20) + 1] {
            let findings = antivirus.scan(&message(zeros(size), &[b"small"])).await;
            assert_eq!(codes(&findings), ["av.too_big"], "{findings:?}");
            assert_eq!(findings[0].class, Class::CouldNotTell { reason: Reason::TooBig });
        }
        // A part that fits is still scanned.
        let findings = antivirus.scan(&message(zeros(6 << 20), &[&eicar()])).await;
        assert_eq!(codes(&findings), ["av.malware"], "{findings:?}");
    }
}

#[tokio::test]
async fn too_big_without_a_probe_before() {
    let clamd = Clamd::start(&["StreamMaxLength 512K", "AlertExceedsMax yes"]).unwrap();
    for engine in [clamd.unix(), clamd.tcp()] {
        let antivirus = patient(engine);
        for size in [600_000, 6 << 20, 6 << 20] {
            let findings = antivirus.scan(&message(zeros(size), &[])).await;
            assert_eq!(codes(&findings), ["av.too_big"], "{size}: {findings:?}");
        }
    }
}

#[tokio::test]
async fn an_ok_for_what_clamd_does_not_look_into_is_not_believed() {
    // Without AlertExceedsMax clamd answers OK for files above MaxFileSize or MaxScanSize, infected or not.
    for line in ["MaxFileSize 2M", "MaxScanSize 2M"] {
        let clamd = Clamd::start(&[line]).unwrap();
        let infected = || [zeros(4 << 20), eicar()].concat();
        let antivirus = patient(clamd.unix());
        let findings = antivirus.scan(&message(infected(), &[])).await;
        assert_eq!(codes(&findings), ["av.too_big"], "{line}: {findings:?}");
        assert_eq!(antivirus.scan(&message(zeros(1 << 20), &[])).await, [], "{line}");
        let status = probe(&antivirus).await;
        let advice = status.warnings.join("\n");
        assert!(advice.contains("MaxFileSize 10M and MaxScanSize 40M") && advice.contains("AlertExceedsMax yes"), "{line}: {advice}");
        assert!(status.scan_limit.is_some_and(|limit| (1_900_000..=2 << 20).contains(&limit)), "{line}: {status:?}");
    }
    let clamd = Clamd::start(&["MaxFileSize 2M", "AlertExceedsMax yes"]).unwrap();
    let findings = patient(clamd.unix()).scan(&message(zeros(4 << 20), &[])).await;
    assert_eq!(codes(&findings), ["av.limit"], "{findings:?}");
    assert!(findings[0].evidence.ends_with("Heuristics.Limits.Exceeded.MaxFileSize"), "{findings:?}");
}

#[tokio::test]
async fn gone_and_back() {
    let mut clamd = Clamd::start(&[]).unwrap();
    let antivirus = patient(clamd.unix());
    assert_eq!(probe(&antivirus).await.state, State::Up);
    clamd.kill();
    let findings = antivirus.scan(&message(mail(&eicar()), &[])).await;
    assert_eq!(codes(&findings), ["av.unavailable"], "{findings:?}");
    assert!(matches!(probe(&antivirus).await.state, State::Down { .. }));
    clamd.restart().unwrap();
    let findings = antivirus.scan(&message(mail(&eicar()), &[])).await;
    assert_eq!(codes(&findings), ["av.malware"], "{findings:?}");
}

/// Passes one connection on to a clamd, and says so once it has had the first bytes of it.
async fn on_the_way(listener: TcpListener, clamd: String, started: oneshot::Sender<()>) {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut clamd = TcpStream::connect(clamd).await.unwrap();
    let mut first = [0; 10_000];
    client.read_exact(&mut first).await.unwrap();
    clamd.write_all(&first).await.unwrap();
    started.send(()).unwrap();
    // Nothing more goes through; what clamd says, or that it is gone, does.
    tokio::io::copy(&mut clamd, &mut client).await.ok();
}

#[tokio::test]
async fn gone_in_mid_scan() {
    let mut clamd = Clamd::start(&[]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let antivirus = Arc::new(patient(format!("clamd:tcp:{}", listener.local_addr().unwrap())));
    let (sender, started) = oneshot::channel();
    tokio::spawn(on_the_way(listener, format!("127.0.0.1:{}", clamd.port()), sender));
    let scan = tokio::spawn(async move { antivirus.scan(&message(zeros(1 << 20), &[])).await });
    started.await.unwrap();
    clamd.kill();
    let findings = scan.await.unwrap();
    assert_eq!(codes(&findings), ["av.unavailable"], "{findings:?}");
    assert_eq!(findings[0].class, Class::CouldNotTell { reason: Reason::Unavailable });
}

#[tokio::test]
async fn no_answer_in_time() {
    let clamd = Clamd::start(&[]).unwrap();
    let antivirus = antivirus(&[clamd.unix(), clamd.tcp()], Duration::from_millis(300));
    clamd.freeze();
    let findings = antivirus.scan(&message(mail(b"hello"), &[b"part"])).await;
    assert_eq!(codes(&findings), ["av.time", "av.time"], "one for each engine: {findings:?}");
    let findings = antivirus.scan_until(&message(mail(b"hello"), &[b"part"]), Instant::now()).await;
    assert_eq!(codes(&findings), ["av.time", "av.time"]);
    clamd.thaw();
}

#[tokio::test]
async fn several_engines_any_found_wins_and_no_trouble_is_lost() {
    let clamd = Clamd::start(&[]).unwrap();
    let lists = tempfile::tempdir().unwrap();
    std::fs::write(lists.path().join("local.ndb"), "Local.Word:0:*:78797a7a79\n").unwrap();
    let builtin = format!("builtin:{}", lists.path().display());
    let gone = "clamd:unix:/nonexistent/clamd.ctl".to_owned();
    let antivirus = antivirus(&[clamd.unix(), builtin.clone(), gone], Duration::from_secs(60));
    let rows: [(&[u8], &[&str]); 3] =
        [(b"hello", &["av.unavailable"]), (b"say xyzzy", &["av.malware"]), (&eicar(), &["av.malware", "av.malware"])];
    for (body, want) in rows {
        let findings = antivirus.scan(&message(mail(body), &[])).await;
        assert_eq!(codes(&findings), want, "{findings:?}");
    }
    let findings = antivirus.scan(&message(mail(b"say xyzzy"), &[])).await;
    assert_eq!(findings[0].evidence, format!("{builtin}: Local.Word"));
    let states: Vec<_> = antivirus.probe().await.into_iter().map(|status| status.state).collect();
    assert!(matches!(states[..], [State::Up, State::Up, State::Down { .. }]), "{states:?}");
}
