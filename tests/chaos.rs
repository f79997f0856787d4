//! The real gateway stopped dead, again and again, under load: nothing that was acknowledged is lost, the books balance every time,
//! and a duplicate only ever follows a reply that was cut off.
//!
//! Cut-through, spool and quarantine traffic, small messages and such that get files of their own, next hops that fail at random.
//! `make test` does a short form; `make chaos` (`MAILWEIR_CHAOS_ROUNDS=200`) the long one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mailweir::cli::demo::sender::Sender;
use mailweir::cli::demo::stand_in::{Behaviour, StandIn};
use mailweir::store::crash;
use support::flaky::{self, Flaky};
use support::{Gateway, below_trace, cli};

/// Sessions that send at once.
const SESSIONS: usize = 12;
/// How long everything that is still under way may take to arrive, once nothing fails any more.
const SETTLING: Duration = Duration::from_secs(120);

/// So long after a 250 of the next hop, at the latest, it is written down that it has the message (machines are noisy).
const WRITTEN_DOWN: Duration = Duration::from_millis(250);

/// So long after the end of the gateway a session has heard all that it will ever hear.
const HEARD: Duration = Duration::from_secs(10);

/// So long after our end a server may still be reading what we sent.
const UNDER_WAY: Duration = Duration::from_millis(250);

/// The crash points of the spool: giving up is committed, and recorded, and the entry removed.
const OF_THE_SPOOL: [&str; 2] = ["spool.before_record", "spool.before_remove"];

/// What is between sender and gateway, over all rounds.
#[derive(Default)]
struct Ledger {
    next: AtomicU64,
    acknowledged: Mutex<BTreeMap<String, Vec<u8>>>,
    kills: Mutex<Vec<Instant>>,
}

struct World {
    folder: tempfile::TempDir,
    config: String,
    hop: Flaky,
    /// Takes the notifications.
    partner: StandIn,
    ledger: Arc<Ledger>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let hop = Flaky::start(seed).await;
        let partner = StandIn::start(Behaviour::default()).await.unwrap();
        let config = configuration(folder.path(), hop.address, partner.address);
        Self { folder, config, hop, partner, ledger: Arc::default() }
    }

    fn start(&self, environment: &[(&str, &str)]) -> Gateway {
        Gateway::start_with(self.folder.path(), &self.config, environment)
    }

    /// Loads the gateway until it is dead: by our hand after `time`, or by its own at a crash point.
    async fn round(&self, environment: &[(&str, &str)], time: Duration) -> bool {
        let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.start(environment)));
        let mut gateway = match started {
            Ok(gateway) => gateway,
            // A crash point can be met before it is ready.
            Err(_) if !environment.is_empty() => return true,
            Err(cause) => std::panic::resume_unwind(cause),
        };
        let senders: Vec<_> = (0..SESSIONS).map(|_| tokio::spawn(send(self.ledger.clone(), gateway.address("inside")))).collect();
        let until = Instant::now() + time;
        while gateway.is_running() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let by_itself = !gateway.is_running();
        self.ledger.kills.lock().unwrap().push(Instant::now());
        gateway.kill();
        for mut sender in senders {
            // A connection that was being made when it was killed may never hear of that: what came has been read by then.
            match tokio::time::timeout(HEARD, &mut sender).await {
                Ok(done) => done.unwrap(),
                Err(_silence) => sender.abort(),
            }
        }
        self.audit();
        by_itself
    }

    /// The books, read from what the dead gateway left.
    fn audit(&self) {
        // The last minutes: what came before was looked at after earlier rounds, and all of it is at the end.
        let (code, out, err) = cli(&self.folder.path().join("mailweir.toml"), &["audit", "--since", "3m"]);
        assert_eq!(code, 0, "audit: {out}{err}{}", self.all_about(&out));
    }

    /// What there is about every message that the audit names: its fate, its records as they were written, its files.
    fn all_about(&self, audit: &str) -> String {
        let ids: BTreeSet<&str> = audit.lines().filter_map(named).collect();
        let data = self.folder.path().join("data");
        let records: Vec<String> = files(&data.join("records")).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        let kept = ["spool", "quarantine", "journal/large", "damaged"].map(|folder| files(&data.join(folder)));
        let mut text = String::new();
        for id in ids {
            let (_, out, err) = cli(&self.folder.path().join("mailweir.toml"), &["explain", id]);
            let lines: Vec<&str> = records.iter().flat_map(|file| file.lines()).filter(|line| line.contains(id)).collect();
            let files: Vec<_> = kept.iter().flatten().filter(|path| path.display().to_string().contains(id)).collect();
            text.push_str(&format!("\n--- {id}\n{out}{err}\nfiles: {files:?}\n{}\n", lines.join("\n")));
        }
        text
    }

    /// Lets everything arrive, then compares: every acknowledged message is delivered, held or bounced, with its bytes.
    async fn settle(&self) -> Counts {
        self.hop.calm_down();
        let gateway = self.start(&[]);
        let until = Instant::now() + SETTLING;
        loop {
            let waiting = support::site::ids(&gateway.json(&["queue", "list", "--limit", "1000000"]));
            if waiting.is_empty() {
                break;
            }
            assert!(Instant::now() < until, "still in the queue: {waiting:?}\n{}", gateway.log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let export = self.folder.path().join("export");
        std::fs::create_dir_all(&export).unwrap();
        let (code, out, err) =
            gateway.cli(&["quarantine", "export", "--subject", "of chaos", "--limit", "1000000", "--out", &export.display().to_string()]);
        assert!(code < 2, "export: {out}{err}");
        let counts = self.compare(&exported(&export));
        let (code, out, err) = gateway.cli(&["audit"]);
        // Explained from the files, by a command of its own.
        drop(gateway);
        assert_eq!(code, 0, "audit: {out}{err}{}", self.all_about(&out));
        counts
    }

    fn compare(&self, held: &BTreeMap<String, Vec<u8>>) -> Counts {
        let acknowledged = self.ledger.acknowledged.lock().unwrap();
        let kept = self.hop.kept();
        let bounced: BTreeSet<String> = self.partner.arrived().iter().filter_map(|dsn| in_notification(&dsn.data)).collect();
        let mut counts = Counts { acknowledged: acknowledged.len(), ..Counts::default() };
        let mut lost = Vec::new();
        for (token, message) in acknowledged.iter() {
            let delivered = kept.get(token).into_iter().flatten();
            for copy in delivered.clone() {
                assert_eq!(below_trace(&copy.data), message, "{token}: the bytes that arrived");
            }
            if let Some(bytes) = held.get(token) {
                assert_eq!(bytes, message, "{token}: the bytes that are held");
            }
            match (delivered.count() > 0, held.contains_key(token), bounced.contains(token)) {
                (false, false, false) => lost.push(token.clone()),
                (true, _, _) => counts.delivered += 1,
                (_, true, _) => counts.held += 1,
                (_, _, true) => counts.bounced += 1,
            }
        }
        assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
        let kills = self.ledger.kills.lock().unwrap();
        for (token, copies) in &kept {
            let recipients: BTreeSet<&String> = copies.iter().flat_map(|copy| &copy.recipients).collect();
            for recipient in recipients {
                let copies: Vec<_> = copies.iter().filter(|copy| copy.recipients.contains(recipient)).collect();
                for pair in copies.windows(2) {
                    counts.duplicates += 1;
                    // The server itself cut its 250 off, or we were killed before we had heard and written it down: perhaps before
                    // the server had read to the end what was under way.
                    let killed = kills.iter().any(|kill| *kill + UNDER_WAY >= pair[0].at && *kill < pair[0].at + WRITTEN_DOWN);
                    let next = kills.iter().find(|kill| **kill >= pair[0].at).map(|kill| *kill - pair[0].at);
                    let again = pair[1].at - pair[0].at;
                    assert!(pair[0].cut || killed, "{token} came to {recipient} again after {again:?}; the next kill was after {next:?}");
                }
            }
        }
        counts
    }
}

/// The id that a line of the audit begins with: `3LPLE3NHS223  missing: …`.
fn named(line: &str) -> Option<&str> {
    let (id, what) = line.trim_start().split_once("  ")?;
    (what.contains(": ") && id.len() == 12).then_some(id)
}

/// All files below a folder, if it is there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[derive(Debug, Default)]
#[allow(dead_code, reason = "read by Debug")]
struct Counts {
    acknowledged: usize,
    delivered: usize,
    held: usize,
    bounced: usize,
    duplicates: usize,
}

/// One session: sends until the gateway is gone, and writes down what was acknowledged.
async fn send(ledger: Arc<Ledger>, address: SocketAddr) {
    while let Ok(mut sender) = Sender::connect(address).await {
        loop {
            let number = ledger.next.fetch_add(1, Ordering::Relaxed);
            let (token, to, message) = letter(number);
            match sender.send("ann@partner.example", &to, &message).await {
                Ok(answer) if answer.code() == 250 => {
                    ledger.acknowledged.lock().unwrap().insert(token, message);
                }
                Ok(answer) if answer.code() / 100 == 4 => {}
                Ok(answer) => panic!("{token}: {answer:?}"),
                Err(_gone) => break,
            }
        }
    }
}

/// Every kind of way, in turn.
fn letter(number: u64) -> (String, Vec<&'static str>, Vec<u8>) {
    let token = format!("t{number}");
    let (to, note, size) = match number % 16 {
        0 | 5 | 10 => (vec!["a@spool.example"], "", 900),
        1 | 6 | 11 => (vec!["a@cut.example", "b@spool.example"], "", 3_000),
        2 => (vec!["nobody@spool.example"], "", 500),
        3 | 8 => (vec!["a@cut.example"], HELD, 2_000),
        4 => (vec!["a@spool.example"], "", 70_000),
        12 => (vec!["a@cut.example"], HELD, 40_000),
        _ => (vec!["a@cut.example"], "", 1_500),
    };
    let mut message = format!("From: ann@partner.example\r\nSubject: {token} of chaos\r\n\r\n{note}\r\n").into_bytes();
    let mut line = number;
    while message.len() < size {
        line = line.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        message.extend_from_slice(format!(".{line:x} and some words\r\n").as_bytes());
    }
    (token, to, message)
}

/// The string that every spam filter finds.
const HELD: &str = concat!("XJS*C4JDBQADN1.NSBN3*2IDNEN*", "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");

/// The subject's token of the message that a notification is about.
fn in_notification(dsn: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(dsn);
    let subject = text.lines().find_map(|line| line.strip_prefix("Subject: t").filter(|rest| rest.ends_with("of chaos")))?;
    Some(format!("t{}", subject.split(' ').next()?))
}

fn exported(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let messages = files.filter(|path| path.extension().is_some_and(|end| end == "eml")).map(|path| std::fs::read(path).unwrap());
    messages.filter_map(|bytes| Some((flaky::token(&bytes)?, bytes))).collect()
}

fn configuration(folder: &Path, hop: SocketAddr, partner: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"hostname = "mx1.chaos.example"
data_dir = "{folder}/data"

[[listener]]
name = "inside"
address = "127.0.0.1:0"
direction = "outbound"
clients = ["127.0.0.1"]

[[route]]
name = "cut"
domains = ["cut.example"]
next_hops = ["{hop}"]
direction = "outbound"
delivery = "cut-through"
retry = ["1s"]

[[route]]
name = "spool"
domains = ["spool.example"]
next_hops = ["{hop}"]
direction = "outbound"
delivery = "spool"
retry = ["1s"]

[[route]]
name = "partner"
domains = ["partner.example"]
next_hops = ["{partner}"]
direction = "outbound"
retry = ["1s"]

[inspect]
checks = ["heuristics"]

[journal]
segment_size = "1MB"
checkpoint = "50ms"
own_file = "32KB"

[delivery]
down_time = "1s"

[limits]
connections_per_peer = 100

[admin]
socket = "{folder}/admin.sock"

[log]
format = "json"
"#
    )
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable} wants a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_under_load() {
    let rounds = number("MAILWEIR_CHAOS_ROUNDS", 8);
    let seed = number("MAILWEIR_CHAOS_SEED", u64::from(std::process::id()));
    println!("{rounds} rounds, MAILWEIR_CHAOS_SEED={seed}");
    let world = World::new(seed).await;
    for round in 0..rounds {
        let time = Duration::from_millis(50 + (seed.wrapping_add(round).wrapping_mul(2_654_435_761) >> 7) % 900);
        assert!(!world.round(&[], time).await, "it died by itself in round {round}");
    }
    let counts = world.settle().await;
    println!("{rounds} kills: {counts:?}");
    assert!(counts.delivered > 0 && counts.held > 0 && counts.bounced > 0, "all ways were used: {counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_at_every_crash_point() {
    let world = World::new(1).await;
    let mut never = Vec::new();
    // Segments are made while the journal is young; what comes later meets all other points.
    for point in crash::POINTS.iter().rev().chain(&OF_THE_SPOOL) {
        let at = format!("{point}:3");
        if !world.round(&[(crash::VARIABLE, &at)], Duration::from_secs(20)).await {
            never.push(*point);
        }
    }
    assert!(never.is_empty(), "never met: {never:?}");
    let counts = world.settle().await;
    println!("{} crash points: {counts:?}", OF_THE_SPOOL.len() + crash::POINTS.len());
}
