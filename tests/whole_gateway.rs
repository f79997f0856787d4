//! The real binary between real peers: what becomes of mail, and that nothing is lost when something fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::time::{Duration, Instant};

use mailweir::cli::demo::sender::Sender;
use mailweir::cli::demo::stand_in::Behaviour;
use support::postfix::Postfix;
use support::site::Site;
use support::{PATIENCE, below_trace};

const CLEAN: &[u8] = include_bytes!("../src/cli/demo/mail/clean.eml");
const GTUBE: &[u8] = include_bytes!("../src/cli/demo/mail/gtube.eml");
const EICAR: &[u8] = include_bytes!("../src/cli/demo/mail/eicar.eml");
const EICAR_ZIP: &[u8] = include_bytes!("../src/cli/demo/mail/eicar-zip.eml");
const PROGRAM: &[u8] = include_bytes!("../src/cli/demo/mail/program.eml");
const ENCRYPTED: &[u8] = include_bytes!("../src/cli/demo/mail/encrypted-zip.eml");
const SPAM: &[u8] = include_bytes!("../src/cli/demo/mail/spam.eml");

const BOB: &str = "bob@groupwise.example";
const EVE: &str = "eve@exchange.example";
const ANN: &str = "ann@partner.example";

/// Waits until `done` says so; there is nothing to be woken by in another process. Panics after [`PATIENCE`].
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_mail_becomes_what_it_should() {
    let site = Site::start().await;
    let rows: [(&str, &[u8], u16, Option<&str>); 7] = [
        ("clean", CLEAN, 250, None),
        ("gtube", GTUBE, 250, Some("Spam")),
        ("eicar", EICAR, 550, None),
        ("eicar in a zip", EICAR_ZIP, 550, None),
        ("program", PROGRAM, 250, Some("Content")),
        ("encrypted zip", ENCRYPTED, 250, Some("Encrypted")),
        ("spam", SPAM, 250, Some("Spam")),
    ];
    for (name, message, code, area) in rows {
        let (held, delivered) = (site.held().len(), site.groupwise.count());
        let answer = site.send(&[BOB], message).await;
        assert_eq!(answer.code(), code, "{name}: {}", answer.reply);
        let listing = site.gateway().json(&["quarantine", "list"]);
        match area {
            Some(area) => {
                assert_eq!(site.held().len(), held + 1, "{name} is held: {listing}");
                assert!(listing.to_string().contains(area), "{name} in {area}: {listing}");
                assert_eq!(site.groupwise.count(), delivered, "{name} is not delivered");
            }
            None => {
                assert_eq!(site.held().len(), held, "{name} is not held: {listing}");
                assert_eq!(site.groupwise.count(), delivered + usize::from(code == 250), "{name}");
            }
        }
    }
    let arrived = site.groupwise.arrived();
    assert_eq!(below_trace(&arrived[0].data), CLEAN, "byte for byte, dots and all");
    let top = String::from_utf8_lossy(&arrived[0].data);
    assert!(top.starts_with("Received: from "), "{top}");
    assert!(top.contains("\r\nX-Mailweir-Id: ") && top.contains("\r\nX-Mailweir-Verdict: "), "{top}");
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_finds_its_route() {
    let site = Site::start_bare("").await;
    assert_eq!(site.send(&[BOB, EVE], CLEAN).await.code(), 250);
    assert_eq!((site.groupwise.count(), site.exchange.count()), (1, 1), "both were served inside the session");
    // Internal, from GroupWise to Exchange; outbound, through the spool.
    assert_eq!(site.send_to("inside", BOB, &[EVE], CLEAN).await.code(), 250);
    assert_eq!(site.exchange.count(), 2);
    assert_eq!(site.send_to("inside", BOB, &[ANN], CLEAN).await.code(), 250);
    tokio::time::timeout(PATIENCE, site.internet.wait_for(1)).await.unwrap();
    let outbound = site.internet.arrived().remove(0);
    assert_eq!(below_trace(&outbound.data), CLEAN);
    assert!(!String::from_utf8_lossy(&outbound.data).contains("X-Mailweir-Verdict"), "the verdict is for our own servers only");
    // What GroupWise does not know is tried on Exchange.
    site.groupwise.behave(|behaviour| behaviour.unknown.extend([BOB.to_owned()]));
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250);
    assert_eq!(site.exchange.take().last().unwrap().recipients, [BOB]);
    // What neither knows is refused in the session, in the next hop's words.
    site.exchange.behave(|behaviour| behaviour.unknown.extend([BOB.to_owned()]));
    let answer = site.send(&[BOB], CLEAN).await;
    assert!(answer.reply.starts_with("550 5.1.1 no such user here ("), "{}", answer.reply);
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_relays_through_us() {
    let site = Site::start_bare("").await;
    for to in [
        "x@elsewhere.example",
        "x%elsewhere.example@groupwise.example",
        "elsewhere.example!x@groupwise.example",
        "\"x@elsewhere.example\"@groupwise.example",
        "@groupwise.example:x@elsewhere.example",
        "x@elsewhere.example@groupwise.example",
        "x@[127.0.0.1]",
    ] {
        let answer = site.send(&[to], CLEAN).await;
        assert!((500..560).contains(&answer.code()), "{to}: {}", answer.reply);
    }
    assert_eq!(site.groupwise.count() + site.exchange.count() + site.internet.count(), 0);
    // What was refused is found and explained by the id in the reply.
    let answer = site.send(&["x@elsewhere.example"], CLEAN).await;
    let id = answer.reply.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap().to_owned();
    let found = site.gateway().json(&["find", "--to", "x@elsewhere.example"]).to_string();
    assert!(found.contains(&id), "{id} in {found}");
    let explained = site.gateway().cli(&["explain", &id]).1;
    for part in ["refused before it was judged", ANN, "127.0.0.1", "relaying denied"] {
        assert!(explained.contains(part), "{part} in {explained}");
    }
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_fields_leave_and_that_is_recorded() {
    let site = Site::start_bare("").await;
    let forged = [&b"X-Mailweir-Verdict: clean\r\nAuthentication-Results: mx1.groupwise.example;\r\n spf=pass\r\n"[..], CLEAN].concat();
    let answer = site.send(&[BOB], &forged).await;
    assert_eq!(answer.code(), 250);
    assert_eq!(below_trace(&site.groupwise.arrived()[0].data), CLEAN, "the rest is untouched");
    let id = answer.reply.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap().to_owned();
    let explained = site.gateway().cli(&["explain", &id]).1;
    assert!(explained.contains("trace.forged") && explained.contains("Authentication-Results"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn release_is_once_and_byte_for_byte() {
    let site = Site::start().await;
    assert_eq!(site.send(&[BOB, EVE], GTUBE).await.code(), 250);
    let id = site.held().remove(0);
    let shown = site.gateway().cli(&["quarantine", "show", &id]);
    assert!(shown.0 == 0 && shown.1.contains("generic test"), "{shown:?}");
    let exported = std::process::Command::new(support::BINARY)
        .args(["quarantine", "export", &id, "--config"])
        .arg(&site.gateway().config)
        .output()
        .unwrap();
    assert_eq!(exported.stdout, GTUBE, "export gives the original bytes");

    let (code, out, err) = site.gateway().cli(&["quarantine", "release", &id, "--reason", "the sender rang"]);
    assert!(code == 0 && out.contains("released") && out.contains("250"), "{code} {out} {err}");
    assert_eq!(below_trace(&site.groupwise.take()[0].data), GTUBE);
    assert_eq!(below_trace(&site.exchange.take()[0].data), GTUBE);

    let (code, out, err) = site.gateway().cli(&["quarantine", "release", &id]);
    let said = format!("{out}{err}");
    assert!(code == 1 && said.contains("already released by "), "{code} {said}");
    assert_eq!(site.groupwise.count(), 0, "once means once");
    let explained = site.gateway().cli(&["explain", &id]).1;
    for part in ["the sender rang", "released", "looked"] {
        assert!(explained.to_lowercase().contains(part), "{part} in {explained}");
    }
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_hands_release_once() {
    let site = Site::start().await;
    assert_eq!(site.send(&[BOB], GTUBE).await.code(), 250);
    let id = site.held().remove(0);
    let config = &site.gateway().config;
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..8).map(|_| scope.spawn(|| support::cli(config, &["quarantine", "release", &id]).0)).collect();
        hands.into_iter().map(|hand| hand.join().unwrap()).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(site.groupwise.count(), 1, "once means once");
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virus_is_not_released() {
    let site = Site::start_with("").await;
    assert_eq!(site.send_to("inside", BOB, &[ANN], EICAR).await.code(), 250, "held, for the sender is ours");
    let id = site.held().remove(0);
    let (code, out, err) = site.gateway().cli(&["quarantine", "release", &id]);
    assert!(code == 1 && format!("{out}{err}").contains("not released"), "{code} {out} {err}");
    assert_eq!(site.internet.count(), 0);
    assert_eq!(site.held(), [id], "it is still held");
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_minus_nine_loses_nothing() {
    let mut site = Site::start().await;
    site.groupwise.behave(|behaviour| behaviour.after_data = Some("451 4.3.0 not now".into()));
    for _ in 0..5 {
        assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250);
        assert_eq!(site.send(&[BOB], GTUBE).await.code(), 250);
    }
    let (held, spooled) = (site.held(), site.spooled());
    assert_eq!((held.len(), spooled.len()), (5, 5));
    site.gateway.take().unwrap().kill();
    site.restart();
    assert_eq!(site.held(), held, "the quarantine is whole");
    site.groupwise.behave(|behaviour| behaviour.after_data = None);
    tokio::time::timeout(PATIENCE, site.groupwise.wait_for(5)).await.unwrap();
    assert!(site.groupwise.take().iter().all(|arrived| below_trace(&arrived.data) == CLEAN));
    for id in &held {
        let (code, out, err) = site.gateway().cli(&["quarantine", "release", id]);
        assert_eq!(code, 0, "{out}{err}");
    }
    assert!(site.groupwise.take().iter().all(|arrived| below_trace(&arrived.data) == GTUBE));
    until("the spool is empty", || site.spooled().is_empty()).await;
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_hop_goes_and_comes_back() {
    let mut site = Site::start_bare("").await;
    let address = site.groupwise.address.to_string();
    site.groupwise = mailweir::cli::demo::stand_in::StandIn::start(Behaviour::default()).await.unwrap();
    let answer = site.send(&[BOB], CLEAN).await;
    assert_eq!(answer.code(), 250, "{}", answer.reply);
    assert_eq!(site.spooled().len(), 1);
    let (code, out, _) = site.gateway().cli(&["queue", "show", &site.spooled()[0]]);
    assert!(code == 0 && out.contains("refused"), "the reason is told: {out}");
    let back = mailweir::cli::demo::stand_in::StandIn::start_at(&address, Behaviour::default()).await.unwrap();
    let (code, out, err) = site.gateway().cli(&["queue", "retry", &site.spooled()[0]]);
    assert_eq!(code, 0, "{out}{err}");
    tokio::time::timeout(PATIENCE, back.wait_for(1)).await.unwrap();
    assert_eq!(below_trace(&back.arrived()[0].data), CLEAN);
    until("the spool is empty", || site.spooled().is_empty()).await;
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn failover_in_order() {
    let mut site = Site::start_bare("").await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hops = format!("next_hops = [\"{}\"]\nprofile = \"exchange\"", site.exchange.address);
    assert!(site.config.contains(&hops));
    site.config = site.config.replace(&hops, &format!("next_hops = [\"{dead}\", \"{}\"]\nprofile = \"exchange\"", site.exchange.address));
    site.restart();
    assert_eq!(site.send(&[EVE], CLEAN).await.code(), 250);
    assert_eq!(site.exchange.count(), 1, "the second took it, inside the session");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_bounced_to_its_sender() {
    let mut site = Site::start_bare("").await;
    site.config =
        site.config.replace("direction = \"outbound\"\nretry = [\"1s\"]", "direction = \"outbound\"\nretry = [\"1s\"]\nexpire = \"2s\"");
    site.restart();
    site.internet.behave(|behaviour| behaviour.after_data = Some("451 4.3.0 never".into()));
    assert_eq!(site.send_to("inside", BOB, &[ANN], CLEAN).await.code(), 250);
    tokio::time::timeout(PATIENCE, site.groupwise.wait_for(1)).await.unwrap();
    let bounce = site.groupwise.arrived().remove(0);
    let text = String::from_utf8_lossy(&bounce.data);
    assert_eq!((bounce.sender.as_str(), bounce.recipients[0].as_str()), ("", BOB));
    for part in ["multipart/report", "report-type=delivery-status", "Action: failed", ANN, "4.3.0"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    until("the spool is empty", || site.spooled().is_empty()).await;
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_bit_and_utf8_mail_at_hops_that_know_neither() {
    let site = Site::start_bare("").await;
    site.groupwise.behave(|behaviour| behaviour.keywords = vec!["PIPELINING".into()]);
    let eight_bit = "From: ann@partner.example\r\nSubject: x\r\n\r\nGr\u{fc}\u{df}e\r\n".as_bytes();
    assert_eq!(site.send(&[BOB], eight_bit).await.code(), 250);
    assert_eq!(below_trace(&site.groupwise.arrived()[0].data), eight_bit, "as it is");
    let answer = site.send(&["j\u{fc}rgen@groupwise.example"], CLEAN).await;
    assert!(answer.reply.contains("5.6.7"), "{}", answer.reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_goes_and_comes_back() {
    let mut site = Site::start().await;
    site.clamd = None;
    let answer = site.send(&[BOB], CLEAN).await;
    assert_eq!(answer.code(), 451, "never delivered unscanned: {}", answer.reply);
    assert_eq!(site.groupwise.count(), 0);
    let (code, out, _) = site.gateway().cli(&["status"]);
    assert!(code == 2 && out.contains("clamd"), "a monitor hears of it at once: {code} {out}");
    // Without an engine at the start: it says so, starts, and puts mail off.
    site.restart();
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 451);
    let log = site.gateway().log();
    assert!(log.contains("clamd"), "{log}");
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn observe_holds_and_refuses_nothing_but_viruses() {
    let mut site = Site::start().await;
    site.config = format!("mode = \"observe\"\n{}", site.config);
    site.restart();
    for message in [GTUBE, PROGRAM, ENCRYPTED, SPAM, CLEAN] {
        assert_eq!(site.send(&[BOB], message).await.code(), 250);
    }
    assert_eq!(site.groupwise.count(), 5);
    assert_eq!(site.send(&[BOB], EICAR).await.code(), 550);
    let found = site.gateway().json(&["find", "--to", BOB]).to_string();
    assert!(found.contains("\"would\":\"hold\""), "what would have been is recorded: {found}");
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_puts_off_and_loses_nothing() {
    let mut site = Site::start_bare("").await;
    let data = site.folder.path().join("data");
    site.gateway.take().unwrap().stop();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=96m", "mailweir-test"]).arg(&data).status().unwrap();
    assert!(mounted.success(), "this test mounts a small file system, so it wants root");
    site.restart();
    site.groupwise.behave(|behaviour| behaviour.after_data = Some("451 4.3.0 not now".into()));
    let big = [CLEAN, "0123456789abcdef\r\n".repeat(60_000).as_bytes()].concat();
    let mut kept = 0;
    let answer = loop {
        let answer = site.send(&[BOB], &big).await;
        match answer.code() {
            250 => kept += 1,
            _ => break answer,
        }
        assert!(kept < 200, "96 MiB are full by now");
    };
    assert!(answer.reply.starts_with("452 4.3.1"), "{}", answer.reply);
    assert_eq!(site.spooled().len(), kept, "what was acknowledged is there, and nothing else");
    site.groupwise.behave(|behaviour| behaviour.after_data = None);
    tokio::time::timeout(PATIENCE, site.groupwise.wait_for(kept)).await.unwrap();
    assert!(site.groupwise.take().iter().all(|arrived| below_trace(&arrived.data) == big));
    until("it takes mail again", || site.spooled().is_empty()).await;
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250, "space is back");
    site.gateway.take().unwrap().stop();
    let unmounted = std::process::Command::new("umount").arg(&data).status().unwrap();
    assert!(unmounted.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn real_postfix_on_both_sides() {
    let site = Site::start_bare("").await;
    let (behind, before) = (tempfile::TempDir::new().unwrap(), tempfile::TempDir::new().unwrap());
    // Postfix as next hop: behind us in place of GroupWise, relaying to the stand-in.
    let next_hop = Postfix::start(behind.path(), Some(site.exchange.address), "");
    let mut site = site;
    site.config = site.config.replace(&site.groupwise.address.to_string(), &next_hop.address.to_string());
    site.restart();
    // Postfix as client: before us, relaying to our inbound listener.
    let client = Postfix::start(before.path(), Some(site.gateway().address("internet")), "");
    let mut sender = Sender::connect(client.address).await.unwrap();
    for _ in 0..20 {
        assert_eq!(sender.send(ANN, &[BOB], CLEAN).await.unwrap().code(), 250);
    }
    tokio::time::timeout(PATIENCE, site.exchange.wait_for(20))
        .await
        .unwrap_or_else(|_| panic!("{}\n{}\n{}", client.log(), next_hop.log(), site.gateway().log()));
    for arrived in site.exchange.take() {
        assert!(arrived.data.ends_with(CLEAN.split(|byte| *byte == b'\n').next_back().unwrap()));
        let body = CLEAN.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        assert!(arrived.data.ends_with(&CLEAN[body..]), "the body came through two Postfixes and us unchanged");
    }
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_health_and_status() {
    let site = Site::start().await;
    for message in [CLEAN, GTUBE, EICAR] {
        site.send(&[BOB], message).await;
    }
    let address = site.gateway().address("metrics");
    let get = |path: &'static str| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    };
    let mut metrics = get("/metrics").await;
    let end = Instant::now() + PATIENCE;
    while !metrics.contains("mailweir_engine_up") {
        assert!(Instant::now() < end, "the engine was never asked");
        tokio::time::sleep(Duration::from_millis(50)).await;
        metrics = get("/metrics").await;
    }
    for name in [
        "mailweir_messages_total{direction=\"inbound\",disposition=\"deliver\"} 1",
        "mailweir_messages_total{direction=\"inbound\",disposition=\"hold\"} 1",
        "mailweir_messages_total{direction=\"inbound\",disposition=\"reject\"} 1",
        "mailweir_findings_total",
        "mailweir_message_size_bytes_bucket",
        "mailweir_stage_duration_seconds_bucket{stage=\"inspect\"",
        "mailweir_quarantine_depth{area=\"Spam\"} 1",
        "mailweir_quarantine_oldest_age_seconds",
        "mailweir_queue_depth",
        "mailweir_connections",
        "mailweir_engine_up",
        "mailweir_next_hop_replies_total",
    ] {
        assert!(metrics.contains(name), "{name} in:\n{metrics}");
    }
    for path in ["/healthz", "/readyz"] {
        let answer = get(path).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    }
    let (code, out, err) = site.gateway().cli(&["status"]);
    // This clamd has only a local signature, and that is worth a warning to a monitor: exit code 1.
    assert!(code == 1 && out.starts_with("warning") && out.contains("local lists"), "{code} {out}{err}");
    let mut promtool = std::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("this needs promtool: apt-get install prometheus");
    let body = metrics.split_once("\r\n\r\n").unwrap().1.to_owned();
    std::io::Write::write_all(&mut promtool.stdin.take().unwrap(), dechunked(&body).as_bytes()).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
}

/// The body of an answer, chunked or not.
fn dechunked(body: &str) -> String {
    if body.lines().next().is_none_or(|line| usize::from_str_radix(line.trim(), 16).is_err()) {
        return body.to_owned();
    }
    let mut out = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            break;
        }
        out.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    out
}
