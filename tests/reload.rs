//! Reload, shutdown and the service manager, on the real binary: sessions go on, what is wrong is told, nothing acknowledged is lost.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

use mailweir::cli::demo::sender::Sender;
use mailweir::cli::demo::stand_in::{Behaviour, StandIn};
use mailweir::net::tls::Trust;
use mailweir::net::{ClientTls, ServerTls};
use support::site::Site;
use support::{BINARY, Gateway, PATIENCE, below_trace};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

const CLEAN: &[u8] = include_bytes!("../src/cli/demo/mail/clean.eml");
const EICAR: &[u8] = include_bytes!("../src/cli/demo/mail/eicar.eml");
const BOB: &str = "bob@groupwise.example";
const ANN: &str = "ann@partner.example";

/// Writes another configuration for the running gateway.
fn write(site: &Site, config: &str) {
    std::fs::write(&site.gateway().config, config).unwrap();
}

/// Changes the configuration, sends SIGHUP and waits until it is in force.
fn reload(site: &mut Site, from: &str, to: &str) {
    assert!(site.config.contains(from), "{from:?} in {}", site.config);
    site.config = site.config.replacen(from, to, 1);
    write(site, &site.config);
    let before = site.gateway().log().matches("\"message\":\"reloaded\"").count();
    site.gateway().signal("HUP");
    site.gateway().wait_for_lines("\"message\":\"reloaded\"", before + 1);
}

/// The line of the configuration that begins with this, from 1.
fn line_of(config: &str, start: &str) -> usize {
    config.lines().position(|line| line.starts_with(start)).unwrap() + 1
}

/// A session in which a message was begun: the sender waits with the rest of its data.
async fn in_transaction(site: &Site, to: &str) -> Sender {
    let mut sender = Sender::connect(site.gateway().address("internet")).await.unwrap();
    assert!(sender.command(&format!("MAIL FROM:<{ANN}>")).await.unwrap().starts_with("250"));
    let reply = sender.command(&format!("RCPT TO:<{to}>")).await.unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    sender
}

/// Sends the message of such a session.
async fn data(sender: &mut Sender) -> String {
    assert!(sender.command("DATA").await.unwrap().starts_with("354"));
    sender.command("Subject: goes on\r\n\r\nhello\r\n.").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_go_on_and_new_ones_are_under_the_new_configuration() {
    let mut site = Site::start_bare("[limits]\nmessage_size = \"2MB\"\n").await;
    let mut open = in_transaction(&site, BOB).await;
    let mut idle = Sender::connect(site.gateway().address("internet")).await.unwrap();
    assert_eq!(site.send(&["x@new.example"], CLEAN).await.code(), 550, "no route takes it yet");

    let before = site.gateway().json(&["status"])["version"].clone();
    let route = format!("[[route]]\nname = \"new\"\ndomains = [\"new.example\"]\nnext_hops = [\"{}\"]\n\n[admin]", site.exchange.address);
    let next = site.config.replacen("message_size = \"2MB\"", "message_size = \"1MB\"", 1);
    site.config = next;
    reload(&mut site, "[admin]", &route);

    let reply = data(&mut open).await;
    assert!(reply.starts_with("250"), "a transaction that was open goes on: {reply}");
    assert_eq!(site.groupwise.count(), 1);
    let said = idle.command("EHLO again.example").await.unwrap();
    assert!(said.contains("SIZE 2000000"), "a session keeps its terms: {said}");
    let mut new = Sender::connect(site.gateway().address("internet")).await.unwrap();
    let said = new.command("EHLO new.example").await.unwrap();
    assert!(said.contains("SIZE 1000000"), "{said}");
    // The routes are in force for everybody's next recipient.
    assert_eq!(idle.send(ANN, &["x@new.example"], CLEAN).await.unwrap().code(), 250);
    assert_eq!(site.exchange.count(), 1);

    let line = site.gateway().wait_for("\"message\":\"reloaded\"");
    for part in ["\"by\":\"SIGHUP\"", "route \\\"new\\\": new", "limits.message_size"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let after = site.gateway().json(&["status"])["version"].clone();
    assert_ne!(before, after);
    let history = std::fs::read_to_string(site.folder.path().join("data/versions/history.jsonl")).unwrap();
    let versions: Vec<serde_json::Value> = history.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!([&versions[0]["version"], &versions[1]["version"]], [&before, &after]);
    assert!(metrics(&site).await.contains("mailweir_reloads_total{result=\"ok\"} 1"));
    site.audit();
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

async fn metrics(site: &Site) -> String {
    let text = get(site.gateway().address("metrics"), "/metrics").await;
    assert!(text.contains("mailweir_config_loaded_timestamp_seconds"), "{text}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_everybody_is_told_why() {
    let site = Site::start_bare("").await;
    let version = site.gateway().json(&["status"])["version"].clone();
    let broken = site.config.replacen("direction = \"inbound\"", "direction = \"sideways\"", 1).replacen("retry = [", "rety = [", 1);
    write(&site, &broken);
    let places = [line_of(&broken, "direction = \"sideways\""), line_of(&broken, "rety")];

    site.gateway().signal("HUP");
    let line = site.gateway().wait_for("not reloaded: the configuration before stays in force");
    assert!(line.contains("\"errors\":2"), "{line}");
    for place in places {
        site.gateway().wait_for(&format!("\"line\":{place},"));
    }
    let (code, out, err) = site.gateway().cli(&["reload"]);
    assert_eq!(code, 1, "{out}{err}");
    let status = site.gateway().cli(&["status"]);
    assert_eq!(status.0, 1, "{status:?}");
    for place in places {
        let place = format!("mailweir.toml:{place}:");
        assert!(out.contains(&place), "{place} in {out}");
        assert!(status.1.contains(&place), "{place} in {}", status.1);
    }
    assert!(out.contains("stays in force"), "{out}");
    assert_eq!(site.gateway().json(&["status"])["version"], version);
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250, "mail goes on");
    let scraped = metrics(&site).await;
    assert!(scraped.contains("mailweir_reloads_total{result=\"failed\"} 2") && scraped.contains("mailweir_config_in_force 0"), "{scraped}");

    write(&site, &site.config);
    let (code, out, err) = site.gateway().cli(&["reload"]);
    assert!(code == 0 && out.contains(&format!("reloaded: version {}, as before", version.as_str().unwrap())), "{out}{err}");
    assert!(!site.gateway().cli(&["status"]).1.contains("not reloaded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_restart_is_named_and_the_rest_applied() {
    let site = Site::start_bare("").await;
    let other = site.config.replacen("mx1.groupwise.example", "mx9.groupwise.example", 1);
    let other = other.replacen("data_dir = \"", "mode = \"observe\"\ndata_dir = \"/nowhere", 1);
    let other =
        other.replacen("[log]\n", "[log]\nlevel = \"debug\"\n", 1) + "\n[delivery]\nconnect_time = \"7s\"\n[limits]\nmemory = \"100MB\"\n";
    write(&site, &other);
    let (code, out, err) = site.gateway().cli(&["reload"]);
    assert_eq!(code, 0, "{out}{err}");
    for setting in ["hostname", "data_dir", "delivery.", "limits.memory"] {
        assert!(out.contains(&format!("needs a restart: {setting}")), "{setting} in {out}");
        site.gateway().wait_for(&format!("needs a restart: {setting}"));
    }
    assert!(out.contains("mode: \"normal\" -> \"observe\"") && out.contains("log.level"), "{out}");
    assert_eq!(site.gateway().json(&["status"])["mode"], "observe");
    drop(Sender::connect(site.gateway().address("internet")).await.unwrap());
    site.gateway().wait_for("\"connection ended\"");
    // It is still what runs, and the next reload says so again.
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250);
    let (code, out, _) = site.gateway().cli(&["reload"]);
    assert!(code == 0 && out.contains("needs a restart: hostname: \"mx1.groupwise.example\" -> \"mx9.groupwise.example\""), "{out}");
    assert!(String::from_utf8_lossy(&site.groupwise.arrived()[0].data).contains("by mx1.groupwise.example"));
}

/// Speaks up to STARTTLS and has the handshake trust only `certificate`.
async fn starttls(address: SocketAddr, certificate: &Path) -> std::io::Result<tokio::io::BufReader<mailweir::net::tls::ClientStream>> {
    let mut stream = BufReader::new(tokio::net::TcpStream::connect(address).await?);
    for command in ["", "EHLO me.example\r\n", "STARTTLS\r\n"] {
        stream.write_all(command.as_bytes()).await?;
        reply(&mut stream).await?;
    }
    let client = ClientTls::new(Some(certificate)).unwrap();
    Ok(BufReader::new(client.connect(Trust::Verified, "mx1.groupwise.example", stream.into_inner()).await?))
}

async fn reply(stream: &mut (impl AsyncBufReadExt + Unpin)) -> std::io::Result<String> {
    loop {
        let mut line = String::new();
        tokio::time::timeout(PATIENCE, stream.read_line(&mut line)).await??;
        if line.as_bytes().get(3) != Some(&b'-') {
            return Ok(line);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_certificates_lists_and_rules_in_the_same_files() {
    let certificates = TempDir::new().unwrap();
    let make = |name: &str| {
        ServerTls::self_signed(&certificates.path().join(name), "mx1.groupwise.example").unwrap();
        certificates.path().join(name).join("self-signed.crt")
    };
    let (first, second) = (make("first"), make("second"));
    let used = certificates.path().join("used");
    std::fs::create_dir_all(used.join("rules")).unwrap();
    let install = |from: &Path| {
        for file in ["self-signed.crt", "self-signed.key"] {
            std::fs::copy(from.with_file_name(file), used.join(file)).unwrap();
        }
    };
    install(&first);
    std::fs::write(used.join("users"), "bob@groupwise.example\n").unwrap();
    let mut site =
        Site::start_with(&format!("[inspect]\nchecks = [\"heuristics\"]\n[rules]\ndirectories = [\"{}/rules\"]\n", used.display())).await;
    let tls =
        format!("direction = \"inbound\"\ntls_certificate = \"{0}/self-signed.crt\"\ntls_key = \"{0}/self-signed.key\"", used.display());
    reload(&mut site, "direction = \"inbound\"", &tls);
    let list = format!("domains = [\"groupwise.example\"]\nrecipients = \"{}/users\"", used.display());
    reload(&mut site, "domains = [\"groupwise.example\"]", &list);

    let address = site.gateway().address("internet");
    let mut under_way = starttls(address, &first).await.unwrap();
    assert!(starttls(address, &second).await.is_err());
    assert_eq!(site.send(&["new@groupwise.example"], CLEAN).await.code(), 550);

    install(&second);
    std::fs::write(used.join("users"), "bob@groupwise.example\nnew@groupwise.example\n").unwrap();
    let rule = "[[rule]]\nid = \"own.word\"\nwords = \"Our own word\"\nwhere = \"subject\"\npattern = 'zyzzyva'\nscore = 50.0\nhit = [\"a zyzzyva\"]\nmiss = [\"y\"]\n";
    std::fs::write(used.join("rules/own.toml"), rule).unwrap();
    let (code, out, err) = site.gateway().cli(&["reload"]);
    assert_eq!(code, 0, "{out}{err}");
    for part in ["listener \"internet\" certificate: changed", "route \"groupwise\" list of recipients: changed", "rules: changed"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    under_way.write_all(b"NOOP\r\n").await.unwrap();
    assert!(reply(&mut under_way).await.unwrap().starts_with("250"), "the session under the old certificate goes on");
    assert!(starttls(address, &second).await.is_ok());
    assert!(starttls(address, &first).await.is_err());
    assert_eq!(site.send(&["new@groupwise.example"], CLEAN).await.code(), 250);
    let held = [b"Subject: a zyzzyva\r\n", CLEAN].concat();
    assert_eq!(site.send(&[BOB], &held).await.code(), 250);
    assert_eq!(site.held().len(), 1, "the new rule holds it");

    // A certificate that cannot be used is an error with its place, and the one before stays.
    std::fs::write(used.join("self-signed.crt"), "nonsense").unwrap();
    let (code, out, _) = site.gateway().cli(&["reload"]);
    let line = line_of(&site.config, "tls_certificate");
    assert!(code == 1 && out.contains(&format!("mailweir.toml:{line}:")), "{code} {out}");
    assert!(starttls(address, &second).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_that_did_not_change_go_on_and_new_ones_are_tried_first() {
    let mut site = Site::start().await;
    site.gateway().wait_for("virus engine answers");
    let up = |site: &Site| site.gateway().json(&["status"])["engines"][0]["up"].as_bool().unwrap();
    let answers = |site: &Site| site.gateway().log().matches("virus engine answers").count();
    reload(&mut site, "[antivirus]\n", "[antivirus]\non_malware_inbound = \"hold\"\n");
    assert!(up(&site) && answers(&site) == 1, "the policy is not the engines' business");
    assert_eq!(site.send(&[BOB], EICAR).await.code(), 250, "and is in force");
    assert_eq!(site.held().len(), 1);
    reload(&mut site, "[antivirus]\n", "[antivirus]\ntimeout = \"20s\"\n");
    assert!(up(&site), "tried before it was put in force");
    site.gateway().wait_for_lines("virus engine answers", 2);
    // One that does not answer is put in force all the same, as at a start; everybody is told, and nothing passes unscanned.
    let engine = site.config.lines().find(|line| line.starts_with("engines = ")).unwrap().to_owned();
    let nowhere = format!("engines = [\"clamd:unix:{}/nowhere\"]", site.folder.path().display());
    reload(&mut site, &engine, &nowhere);
    site.gateway().wait_for("this virus engine cannot be used");
    assert!(!up(&site));
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 451);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go() {
    let mut site = Site::start_bare("").await;
    let mut inside = Sender::connect(site.gateway().address("inside")).await.unwrap();
    let renamed = "name = \"second\"\naddress = \"127.0.0.1:0\"\ndirection = \"inbound\"\n\n[[listener]]\nname = \"internet\"";
    reload(&mut site, "name = \"internet\"", renamed);
    let line = site.gateway().wait_for("\"listener\":\"second\"");
    let second: SocketAddr = serde_json::from_str::<serde_json::Value>(&line).unwrap()["address"].as_str().unwrap().parse().unwrap();
    let mut sender = Sender::connect(second).await.unwrap();
    assert_eq!(sender.send(ANN, &[BOB], CLEAN).await.unwrap().code(), 250);
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250, "the one that stayed has its port");
    assert_eq!(site.gateway().json(&["status"])["listeners"].as_array().unwrap().len(), 3);

    // An address that cannot be had is an error with its place, and nothing is changed.
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("address = \"{}\"", occupied.local_addr().unwrap());
    let config = site.config.replacen("address = \"127.0.0.1:0\"", &address, 1);
    write(&site, &config);
    let (code, out, _) = site.gateway().cli(&["reload"]);
    assert!(code == 1 && out.contains(&format!("mailweir.toml:{}:", line_of(&config, &address))) && out.contains("in use"), "{code} {out}");
    assert_eq!(sender.send(ANN, &[BOB], CLEAN).await.unwrap().code(), 250);
    assert!(Sender::connect(second).await.is_ok());

    let gone = "[[listener]]\nname = \"inside\"\naddress = \"127.0.0.1:0\"\ndirection = \"outbound\"\nclients = [\"127.0.0.1\"]\n";
    reload(&mut site, gone, "");
    let inside_address = site.gateway().address("inside");
    let end = std::time::Instant::now() + PATIENCE;
    while tokio::net::TcpStream::connect(inside_address).await.is_ok() {
        assert!(std::time::Instant::now() < end, "it still takes connections");
    }
    let answer = inside.send(BOB, &["eve@exchange.example"], CLEAN).await.unwrap();
    assert_eq!(answer.code(), 250, "who came over it goes on: {}", answer.reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_waits_goes_by_the_new_routes() {
    let mut site = Site::start_bare("").await;
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let hop = format!("next_hops = [\"{}\"]", site.groupwise.address);
    reload(&mut site, &hop, &format!("next_hops = [\"{dead}\"]"));
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250, "spooled");
    assert!(site.gateway().cli(&["status"]).1.contains(&format!("next hop {dead} (groupwise) is down")));
    let exchange = format!("next_hops = [\"{}\"]", site.exchange.address);
    reload(&mut site, &format!("next_hops = [\"{dead}\"]"), &exchange);
    tokio::time::timeout(PATIENCE, site.exchange.wait_for(1)).await.unwrap();
    let status = site.gateway().cli(&["status"]).1;
    assert!(!status.contains(&dead), "{status}");
    assert!(!metrics(&site).await.contains(&dead), "an alert would never end");
    // A route that is gone: what waits for it goes by the one that takes the address today.
    site.exchange.behave(|behaviour| behaviour.after_data = Some("451 4.3.0 later".into()));
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250, "spooled");
    site.exchange.behave(|behaviour| behaviour.after_data = None);
    let mut open = in_transaction(&site, BOB).await;
    reload(&mut site, "name = \"groupwise\"", "name = \"renamed\"");
    let reply = data(&mut open).await;
    assert!(reply.starts_with("250"), "{reply}");
    tokio::time::timeout(PATIENCE, site.exchange.wait_for(3)).await.unwrap();
    assert_eq!(site.exchange.count(), 3);
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_reloads_under_mail_lose_and_double_nothing() {
    let site = Site::start_bare("").await;
    let sending = async {
        for _ in 0..40 {
            assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250);
        }
    };
    let gateway = site.gateway();
    let one = site.config.clone();
    let other = site.config.replacen("rate = 100000.0", "rate = 90000.0", 1);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reloading = scope.spawn(|| {
            let mut reloads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) || reloads == 0 {
                std::fs::write(&gateway.config, if reloads % 2 == 0 { &other } else { &one }).unwrap();
                assert_eq!(gateway.cli(&["reload"]).0, 0);
                reloads += 1;
            }
        });
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(sending));
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        reloading.join().unwrap();
    });
    assert_eq!(site.groupwise.count(), 40);
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_finishes_what_is_in_progress() {
    let mut site = Site::start_bare("").await;
    let mut idle = Sender::connect(site.gateway().address("internet")).await.unwrap();
    let mut open = in_transaction(&site, BOB).await;
    assert!(open.command("DATA").await.unwrap().starts_with("354"));
    // What is acknowledged and not delivered lies in plain files afterwards.
    site.internet.behave(|behaviour| behaviour.after_data = Some("451 4.3.0 later".into()));
    assert_eq!(site.send_to("inside", BOB, &[ANN], CLEAN).await.code(), 250);

    let gateway = site.gateway.take().unwrap();
    gateway.signal("TERM");
    let goodbye = tokio::time::timeout(PATIENCE, idle.reply()).await.unwrap().unwrap();
    assert!(goodbye.starts_with("421"), "{goodbye}");
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        let readyz = get(gateway.address("metrics"), "/readyz").await;
        if readyz.starts_with("HTTP/1.1 503") && readyz.contains("no listener takes mail") {
            break;
        }
        assert!(std::time::Instant::now() < end, "{readyz}");
    }
    while tokio::net::TcpStream::connect(gateway.address("internet")).await.is_ok() {
        assert!(std::time::Instant::now() < end, "it still takes connections");
    }
    let reply = open.command("Subject: the last one\r\n\r\nhello\r\n.").await.unwrap();
    assert!(reply.starts_with("250"), "{reply}");
    assert!(open.reply().await.unwrap().starts_with("421"));
    assert_eq!(site.groupwise.count(), 1);
    assert_eq!(gateway.wait().code(), Some(0));
    let kept: Vec<_> = walk(&site.folder.path().join("data/spool"));
    assert!(kept.iter().any(|name| name.ends_with(".eml")), "{kept:?}");

    site.internet.behave(|behaviour| behaviour.after_data = None);
    site.restart();
    tokio::time::timeout(PATIENCE, site.internet.wait_for(1)).await.unwrap();
    assert_eq!(below_trace(&site.internet.arrived()[0].data), CLEAN);
    site.audit();
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(walk(&path)),
            path => found.push(path.display().to_string()),
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_outlasts_the_grace_is_cut_told_and_neither_lost_nor_doubled() {
    let mut site = Site::start_bare("[limits]\nshutdown_grace = \"100ms\"\n").await;
    // Acknowledged, and still to be delivered.
    site.internet.behave(|behaviour| behaviour.after_data = Some("451 4.3.0 later".into()));
    assert_eq!(site.send_to("inside", BOB, &[ANN], CLEAN).await.code(), 250);
    // A next hop that takes a connection and never says a word: its message is in progress for as long as we like.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let hop = format!("next_hops = [\"{}\"]", mute.local_addr().unwrap());
    let groupwise = format!("next_hops = [\"{}\"]", site.groupwise.address);
    reload(&mut site, &groupwise, &hop);
    let mut sender = in_transaction(&site, BOB).await;
    assert!(sender.command("DATA").await.unwrap().starts_with("354"));
    let reply = tokio::spawn(async move { sender.command("Subject: cut\r\n\r\nhello\r\n.").await });
    let (_reached, _) = mute.accept().unwrap();
    let mut receiving = in_transaction(&site, BOB).await;
    assert!(receiving.command("DATA").await.unwrap().starts_with("354"));

    let gateway = site.gateway.take().unwrap();
    gateway.signal("TERM");
    let cut = gateway.wait_for("cut off before its reply");
    assert!(cut.contains(ANN), "{cut}");
    gateway.wait_for_lines("session cut: the grace of the shutdown is over", 2);
    assert_eq!(gateway.wait().code(), Some(0));
    assert!(reply.await.unwrap().is_err(), "nothing was acknowledged");

    site.config = site.config.replacen(&hop, &groupwise, 1);
    site.internet.behave(|behaviour| behaviour.after_data = None);
    site.restart();
    tokio::time::timeout(PATIENCE, site.internet.wait_for(1)).await.unwrap();
    assert_eq!(site.send(&[BOB], CLEAN).await.code(), 250, "the sender tries again");
    assert_eq!((site.groupwise.count(), site.internet.count()), (1, 1), "what was acknowledged went once; what was not, not at all");
    assert!(site.spooled().is_empty());
    site.audit();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    let mut site = Site::start_bare("").await;
    let mut open = in_transaction(&site, BOB).await;
    assert!(open.command("DATA").await.unwrap().starts_with("354"));
    let gateway = site.gateway.take().unwrap();
    gateway.signal("TERM");
    gateway.wait_for("\"message\":\"stopping");
    // A reload is out of place now, and does no harm.
    gateway.signal("HUP");
    gateway.signal("INT");
    assert_eq!(gateway.wait().code(), Some(1));
    site.restart();
    site.audit();
}

/// A configuration with these listeners, each with its address.
fn small(folder: &Path, hop: SocketAddr, listeners: &[(&str, &str)]) -> String {
    let folder = folder.display();
    let listeners: String = listeners
        .iter()
        .map(|(name, address)| format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\ndirection = \"inbound\"\n"))
        .collect();
    format!(
        "hostname = \"mx1.groupwise.example\"\ndata_dir = \"{folder}/data\"\n{listeners}[[route]]\nname = \"groupwise\"\n\
         domains = [\"groupwise.example\"]\nnext_hops = [\"{hop}\"]\n[inspect]\nchecks = [\"heuristics\"]\n[admin]\nsocket = \"{folder}/admin.sock\"\n\
         [log]\nformat = \"json\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_the_service_manager_are_taken_over() {
    let (folder, hop) = (TempDir::new().unwrap(), StandIn::start(Behaviour::default()).await.unwrap());
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [named, addressed] = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    let config =
        small(folder.path(), hop.address, &[("internet", "127.0.0.1:0"), ("second", &addressed.to_string()), ("own", "127.0.0.1:0")]);
    let path = folder.path().join("mailweir.toml");
    std::fs::write(&path, config).unwrap();
    // Who comes before we are there waits in the kernel.
    let mut early = TcpStream::connect(named).unwrap();
    early.set_read_timeout(Some(PATIENCE)).unwrap();

    // As systemd does it: the sockets are numbers 3 and 4, and the process that is told of them is the one that serves.
    let [first, second] = sockets.map(OwnedFd::from);
    let mut command = Command::new("sh");
    let script = "exec 3<&0 4<&1 0</dev/null 1>/dev/null; LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=internet:mailweir.socket; \
                  export LISTEN_PID LISTEN_FDS LISTEN_FDNAMES; exec \"$0\" serve --config \"$1\"";
    command.args(["-c", script, BINARY]).arg(&path).stdin(Stdio::from(first)).stdout(Stdio::from(second));
    let gateway = Gateway::start_by(command, &path);
    assert_eq!((gateway.address("internet"), gateway.address("second")), (named, addressed), "{}", gateway.log());
    assert_eq!(gateway.log().matches("taken over from the service manager").count(), 2);
    let mut greeting = [0; 4];
    early.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ");
    for listener in ["internet", "second", "own"] {
        let mut sender = Sender::connect(gateway.address(listener)).await.unwrap();
        assert_eq!(sender.send(ANN, &[BOB], CLEAN).await.unwrap().code(), 250);
    }
    assert_eq!(gateway.cli(&["reload"]).0, 0, "they stay");
    assert!(Sender::connect(named).await.is_ok() && Sender::connect(addressed).await.is_ok());
    assert_eq!(gateway.stop().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told() {
    let (folder, hop) = (TempDir::new().unwrap(), StandIn::start(Behaviour::default()).await.unwrap());
    let path = folder.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = |wanted: &str| loop {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("waiting for {wanted}: {error}"));
        let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if said.lines().any(|line| line == wanted) {
            break said;
        }
        assert!(said.starts_with("WATCHDOG=1"), "{said:?} before {wanted}");
    };
    let config = small(folder.path(), hop.address, &[("internet", "127.0.0.1:0")]);
    let path = path.to_str().unwrap();
    let gateway = Gateway::start_with(folder.path(), &config, &[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", "400000")]);
    let ready = hear("READY=1");
    assert!(ready.contains("\nSTATUS=taking mail on 1 listener(s), mode normal, version "), "{ready}");
    assert!(Sender::connect(gateway.address("internet")).await.is_ok(), "ready means that");
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");

    gateway.signal("HUP");
    let reloading = hear("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    hear("READY=1");
    std::fs::write(&gateway.config, "nonsense").unwrap();
    gateway.signal("HUP");
    hear("RELOADING=1");
    let ready = hear("READY=1");
    assert!(ready.contains("has errors and is not in force"), "{ready}");

    gateway.signal("TERM");
    let stopping = hear("STOPPING=1");
    assert!(stopping.contains("STATUS=finishing"), "{stopping}");
    assert_eq!(gateway.wait().code(), Some(0));
}
