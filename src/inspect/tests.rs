//! The checks as a whole: which run in which mode, and that none that failed counts as passed.

use std::future::Future;

use bytes::Bytes;

use super::*;
use crate::mail::{Body, Direction, Envelope, Origin, Part, PartId, PartKind, ReversePath};

const GTUBE: &str = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

fn message(text: &str) -> Arc<Message> {
    let raw = Bytes::from(format!("Subject: test\r\n\r\n{text}\r\n"));
    let body_start = raw.len() - text.len() - 2;
    let part = Part {
        id: PartId(0),
        parent: None,
        depth: 0,
        kind: PartKind::Message,
        declared_type: "text/plain".to_owned(),
        true_type: "text",
        name: None,
        attachment: false,
        span: None,
        data: raw.slice(body_start..),
        verbatim: true,
        text: Some(text.to_owned()),
        sha256: [1; 32],
    };
    let findings = vec![Finding::new("decompose", "mime.depth", Class::CouldNotTell { reason: Reason::Limit }, "Too deep", "")];
    Arc::new(Message { raw, body_start, headers: Vec::new(), parts: vec![part], urls: Vec::new(), findings })
}

fn context() -> Arc<Context> {
    let origin = Origin { listener: "internet".into(), peer: None, helo: String::new(), esmtp: true, tls: None, normalised: false };
    let envelope =
        Envelope { sender: ReversePath::Null, recipients: Vec::new(), body: Body::default(), smtputf8: false, dsn: Default::default() };
    Arc::new(Context { direction: Direction::Inbound, origin, envelope })
}

/// A built-in engine that knows the word `xyzzy`; the directory must outlive it only until it is built.
fn engine() -> Arc<Antivirus> {
    let lists = tempfile::tempdir().unwrap();
    std::fs::write(lists.path().join("local.ndb"), "Local.Word:0:*:78797a7a79\n").unwrap();
    let settings = antivirus::Settings { engines: vec![format!("builtin:{}", lists.path().display())], ..antivirus::Settings::default() };
    Arc::new(Antivirus::new(&settings, 1000).unwrap())
}

fn inspector(checks: &[Check], scan_time: Duration) -> Inspector {
    let settings = Settings { checks: checks.to_vec(), scan_time: Period(scan_time) };
    Inspector::new(&settings, &content::Settings::default(), Some(Arc::new(RuleSet::embedded())), Some(engine()))
}

fn codes(findings: &[Finding]) -> Vec<&str> {
    findings.iter().map(|finding| finding.code.as_ref()).collect()
}

fn has(findings: &[Finding], class: &Class) -> bool {
    findings.iter().any(|finding| finding.class == *class)
}

const ALL: [Check; 3] = [Check::Heuristics, Check::Content, Check::Antivirus];
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn which_checks_run() {
    // checks, mode, decomposition's own finding, spam found, malware found
    let rows: [(&[Check], Mode, [bool; 3]); 7] = [
        (&ALL, Mode::Normal, [true, true, true]),
        (&ALL, Mode::Observe, [true, true, true]),
        (&ALL, Mode::HoldAll, [true, true, true]),
        (&ALL, Mode::AvOnly, [true, false, true]),
        (&[Check::Heuristics], Mode::Normal, [true, true, false]),
        (&[Check::Antivirus, Check::Antivirus], Mode::Normal, [true, false, true]),
        (&[], Mode::Normal, [false, false, false]),
    ];
    for (checks, mode, want) in rows {
        let findings = inspector(checks, MINUTE).run(message(&format!("{GTUBE} xyzzy")), context(), mode).await;
        let decomposed = codes(&findings).contains(&"mime.depth");
        let malware = findings.iter().filter(|finding| finding.class == Class::Malware).count();
        assert!(malware <= 1, "{findings:?}");
        assert_eq!([decomposed, has(&findings, &Class::Spam), malware == 1], want, "{checks:?} {mode}: {findings:?}");
    }
}

#[tokio::test]
async fn no_time_is_never_a_pass() {
    let mut inspector = inspector(&ALL, Duration::from_millis(50));
    inspector.cores = Cores::new(1);
    // The only core is busy with something endless.
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let busy = inspector.cores.run(Instant::now(), move || wait.recv().is_err()).await;
    let findings = inspector.run(message("hello"), context(), Mode::Normal).await;
    assert_eq!(busy, Err(Failure::Late));
    drop(release);
    let late: Vec<_> = findings.iter().filter(|finding| finding.class == Class::CouldNotTell { reason: Reason::Time }).collect();
    let named: Vec<_> = late.iter().map(|finding| (finding.code.as_ref(), finding.evidence.as_str())).collect();
    assert!(named.contains(&("check.time", "heuristics, content")), "{named:?}");
    inspector.scan_time = Duration::ZERO;
    let findings = inspector.run(message("hello"), context(), Mode::AvOnly).await;
    assert!(has(&findings, &Class::CouldNotTell { reason: Reason::Time }), "{findings:?}");
    assert!(codes(&findings).contains(&"av.time"), "{findings:?}");
}

#[tokio::test]
async fn a_check_that_is_asked_for_and_not_there_is_never_a_pass() {
    let inspector = Inspector::new(&Settings::default(), &content::Settings::default(), None, None);
    for (mode, want) in [(Mode::Normal, "antivirus, heuristics, content"), (Mode::AvOnly, "antivirus")] {
        let findings = inspector.run(message("hello"), context(), mode).await;
        let missing = findings.iter().find(|finding| finding.code == "check.missing").unwrap();
        assert_eq!((missing.evidence.as_str(), &missing.class), (want, &Class::CouldNotTell { reason: Reason::Unavailable }));
    }
}

#[test]
fn failures_are_named_by_kind() {
    let note = || Finding::new("content", "x", Class::Note, "", "");
    let findings = gather(
        vec![(Check::Antivirus, Err(Failure::Panicked)), (Check::Heuristics, Err(Failure::Late)), (Check::Content, Ok(vec![note()]))],
        false,
    );
    let got: Vec<_> = findings.iter().map(|finding| (finding.code.as_ref(), finding.evidence.as_str())).collect();
    assert_eq!(got, [("x", ""), ("check.time", "heuristics"), ("check.panicked", "antivirus")]);
    assert!(findings[1..].iter().all(|finding| matches!(finding.class, Class::CouldNotTell { .. })));
}

#[test]
fn the_run_can_cross_threads() {
    fn sendable<T: Send>(_: impl Future<Output = T> + Send) {}
    let inspector = inspector(&[], MINUTE);
    sendable(inspector.run(message(""), context(), Mode::Normal));
    let engine = engine();
    sendable(engine.scan(&message("")));
    sendable(engine.probe());
    sendable(engine.watch(tokio_util::sync::CancellationToken::new()));
}

#[tokio::test]
async fn the_watch_keeps_the_status_until_it_is_cancelled() {
    let engine = engine();
    assert_eq!(engine.status()[0].state, antivirus::State::Unknown);
    let cancel = tokio_util::sync::CancellationToken::new();
    let seen = async {
        while engine.status()[0].state != antivirus::State::Up {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    tokio::time::timeout(MINUTE, async { tokio::join!(engine.watch(cancel.clone()), seen) }).await.unwrap();
    assert!(engine.status()[0].warnings[0].contains("no substitute"));
}

#[test]
fn settings_from_text() {
    let settings: Settings = toml::from_str("checks = [\"antivirus\"]\nscan_time = \"20s\"").unwrap();
    assert_eq!((settings.checks, settings.scan_time.0), (vec![Check::Antivirus], Duration::from_secs(20)));
    for wrong in ["checks = [\"virus\"]", "check = []"] {
        assert!(toml::from_str::<Settings>(wrong).is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn a_message_that_reached_a_limit_is_looked_at_in_short() {
    let limited = || message("hello");
    let whole = || Arc::new(Message { findings: Vec::new(), ..Message::clone(&message("hello")) });
    let time = Class::CouldNotTell { reason: Reason::Time };
    let late = async |hold: bool, message: Arc<Message>, mode: Mode| {
        let mut inspector = inspector(&[Check::Heuristics, Check::Content, Check::Antivirus], Duration::ZERO).limits_hold(hold);
        inspector.antivirus = Some(engine());
        let findings = inspector.run(message, context(), mode).await;
        assert!(codes(&findings).iter().any(|code| code.starts_with("av.")), "never clean: {findings:?}");
        has(&findings, &time)
    };
    assert!(!late(true, limited(), Mode::Normal).await, "a limit: it is held, not asked for again");
    assert!(late(true, whole(), Mode::Normal).await, "it reached no limit");
    assert!(late(false, limited(), Mode::Normal).await, "it might be delivered");
    assert!(late(true, limited(), Mode::Observe).await, "it would be delivered");
}
