//! Real mail through a running gateway with real clamd and all rules: everything is delivered, held or refused, byte for byte.
//! The corpus is used in place: `MAILWEIR_CORPUS`, else `../shared/corpus`. Where it is not, this says so in one line.
//! `make test` takes 2,000 messages; `MAILWEIR_CORPUS_MESSAGES=all` takes all of them (`make corpus`).
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mailweir::cli::demo::sender::Sender;
use support::site::Site;
use support::usage::Usage;
use support::{PATIENCE, below_trace};

const BOB: &str = "bob@groupwise.example";
const SAMPLE: usize = 2_000;
const SESSIONS: usize = 8;

/// What became of one message, as far as the sender knows.
#[derive(Debug, Clone)]
struct Sent {
    path: String,
    reply: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_goes_through() {
    let given = std::env::var_os("MAILWEIR_CORPUS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/corpus")), PathBuf::from);
    let Some((root, paths)) = corpus(&given) else {
        println!("stands aside: no mail corpus at {} (set MAILWEIR_CORPUS)", given.display());
        return;
    };
    let paths = Arc::new(paths);
    let site = Site::start_with("[limits]\nconnections_per_peer = 200\n").await;
    let gateway = site.gateway();
    let clock = Instant::now();
    let watching = tokio::spawn(watch_memory(gateway.pid()));

    let next = Arc::new(AtomicUsize::new(0));
    let address = gateway.address("internet");
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let (root, paths, next) = (root.clone(), paths.clone(), next.clone());
        sessions.push(tokio::spawn(async move {
            let mut sender = Sender::connect(address).await.unwrap();
            let mut sent = Vec::new();
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                let message = crlf(&std::fs::read(root.join(path)).unwrap());
                // If the gateway dies, its last words are below.
                let answer = match sender.send("sender@partner.example", &[BOB], &message).await {
                    Ok(answer) => answer,
                    Err(error) => panic!("{path}: the session ended: {error}"),
                };
                if answer.code() == 421 {
                    panic!("{path}: {}", answer.reply);
                }
                let closed = answer.reply.starts_with("550 5.6.0");
                sent.push(Sent { path: path.clone(), reply: answer.reply });
                if closed || sent.len() % 500 == 0 {
                    // A session ends behind a bare CR or LF, and may have its own limit of messages.
                    sender = Sender::connect(address).await.unwrap();
                }
            }
            sent
        }));
    }
    let mut sent = Vec::new();
    for session in sessions {
        sent.extend(session.await.unwrap());
    }
    let took = clock.elapsed();

    let accepted: HashMap<String, &Sent> =
        sent.iter().filter(|sent| sent.reply.starts_with("250")).map(|sent| (id(&sent.reply), sent)).collect();
    let refused: Vec<&Sent> = sent.iter().filter(|sent| !sent.reply.starts_with("250")).collect();
    let held = site.held();
    wait_until_spool_is_empty(&site).await;
    let arrived = site.groupwise.take();

    // Nothing lost, nothing twice.
    let mut delivered: HashMap<String, usize> = HashMap::new();
    for arrived in &arrived {
        let id = x_mailweir_id(&arrived.data);
        *delivered.entry(id.clone()).or_default() += 1;
        let sent = accepted.get(&id).unwrap_or_else(|| panic!("{id} was delivered and not accepted"));
        let original = crlf(&std::fs::read(root.join(&sent.path)).unwrap());
        assert!(below_trace(&arrived.data) == original, "{}: not byte for byte", sent.path);
    }
    let twice: Vec<_> = delivered.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "delivered twice: {twice:?}");
    assert_eq!(delivered.len() + held.len() + refused.len(), paths.len(), "delivered + held + refused");
    let lost: Vec<_> = accepted.iter().filter(|(id, _)| !delivered.contains_key(*id) && !held.contains(id)).collect();
    assert!(lost.is_empty(), "accepted and gone: {lost:?}");

    // What is held is what was sent.
    let folder = site.folder.path().join("exported");
    std::fs::create_dir(&folder).unwrap();
    for some in held.chunks(500) {
        let mut arguments = vec!["quarantine", "export", "--out", folder.to_str().unwrap()];
        arguments.extend(some.iter().map(String::as_str));
        let (code, _, err) = gateway.cli(&arguments);
        assert_eq!(code, 0, "{err}");
    }
    for id in &held {
        let exported = std::fs::read(folder.join(format!("{id}.eml"))).unwrap();
        let original = crlf(&std::fs::read(root.join(&accepted[id].path)).unwrap());
        assert!(exported == original, "{}: exported otherwise than sent", accepted[id].path);
    }

    // Refused only for what cannot be passed on, or as infected.
    let infected = refused.iter().filter(|sent| sent.reply.starts_with("550 5.7.1 message refused")).count();
    let broken = refused.iter().filter(|sent| sent.reply.starts_with("550 5.6.0")).count();
    assert_eq!(infected + broken, refused.len(), "{refused:?}");
    for sent in &refused {
        println!("refused {}: {}", sent.path, sent.reply);
    }
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
    watching.abort();
    let memory = MEMORY.lock().unwrap().clone();
    let memory: Vec<u64> = (0..=10).filter_map(|tenth| memory.get(tenth * memory.len().saturating_sub(1) / 10).copied()).collect();
    site.audit();
    println!(
        "{} messages in {took:.0?}: {} delivered, {} held, {} refused ({infected} infected, {broken} with NUL or bare CR or LF); PSS in MiB at each tenth of the time {memory:?}",
        paths.len(),
        delivered.len(),
        held.len(),
        refused.len()
    );
}

/// What the gateway held, every half second.
static MEMORY: Mutex<Vec<u64>> = Mutex::new(Vec::new());

async fn watch_memory(pid: u32) {
    loop {
        let pss = Usage::of(vec![pid]).pss_bytes >> 20;
        MEMORY.lock().unwrap().push(pss);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn wait_until_spool_is_empty(site: &Site) {
    let end = Instant::now() + PATIENCE;
    while !site.spooled().is_empty() {
        assert!(Instant::now() < end, "the spool does not empty");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Where the messages are, and which to take; unpacked below `target/corpus` once.
fn corpus(given: &Path) -> Option<(PathBuf, Vec<String>)> {
    let index = std::fs::read_to_string(given.join("index.tsv")).ok()?;
    let root = if given.join("spamassassin").is_dir() { given.to_owned() } else { unpack(given) };
    let all: Vec<String> = index.lines().skip(1).filter_map(|row| row.split('\t').next()).map(str::to_owned).collect();
    assert!(all.len() > SAMPLE, "the index was read");
    let wanted = match std::env::var("MAILWEIR_CORPUS_MESSAGES") {
        Ok(all_of_them) if all_of_them == "all" => all.len(),
        Ok(number) => number.parse().unwrap(),
        Err(_) => SAMPLE,
    };
    let step = all.len() as f64 / wanted as f64;
    Some((root, (0..wanted).map(|i| all[(i as f64 * step) as usize].clone()).collect()))
}

fn unpack(given: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/corpus");
    if root.join("complete").exists() {
        return root;
    }
    std::fs::create_dir_all(&root).unwrap();
    for entry in std::fs::read_dir(given).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with(".tar.zst") {
            let script = format!("zstd -q -d --long=27 -c '{}' | tar -x -C '{}'", path.display(), root.display());
            let unpacked = Command::new("sh").args(["-c", &script]).status().unwrap();
            assert!(unpacked.success(), "this needs zstd: apt-get install zstd");
        }
    }
    std::fs::write(root.join("complete"), "").unwrap();
    root
}

/// LF line ends made CRLF.
fn crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 40);
    for byte in text {
        if *byte == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*byte);
    }
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The id in `250 2.0.0 accepted (8M4KX2Q9TZAB)`.
fn id(reply: &str) -> String {
    reply.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(id, _)| id.to_owned()).unwrap_or_default()
}

fn x_mailweir_id(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(&data[..data.len().min(4096)]);
    text.split("X-Mailweir-Id: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap_or_default().to_owned()
}
