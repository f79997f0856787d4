//! The load benchmark: this gateway beside Postfix, same run, same machine, same messages, same sender and receiver.
//!
//! `make bench` builds everything and runs it; `make bench BENCH="--messages 2000 --rounds 3 --connections 20"` changes it.
//! Rounds alternate between the contestants; medians and ratios are printed. Machines differ and are noisy: quote the ratios.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

#[path = "../tests/support/postfix.rs"]
mod postfix;
#[path = "../tests/support/usage.rs"]
mod usage;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mailweir::cli::demo::clamd::Clamd;
use mailweir::cli::demo::sender::Sender;
use mailweir::cli::demo::stand_in::{Behaviour, StandIn};
use usage::Usage;

/// What is measured, in one line each.
const CONTESTANTS: [(&str, &str); 4] = [
    ("postfix", "Postfix 3, as Debian ships it: fsync, queue, relay"),
    ("cut-through", "Mailweir, no checks, handed over inside the session"),
    ("spool", "Mailweir, no checks, everything journalled first"),
    ("full", "Mailweir, all rules, clamd on attachments, cut-through"),
];

struct Options {
    messages: usize,
    rounds: usize,
    connections: usize,
}

fn options() -> Options {
    let mut options = Options { messages: 3000, rounds: 3, connections: 20 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--bench" {
            continue; // cargo says so to every benchmark
        }
        let value = arguments.next().and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} wants a number"));
        match name.as_str() {
            "--messages" => options.messages = value,
            "--rounds" => options.rounds = value,
            "--connections" => options.connections = value,
            _ => panic!("{name}: one of --messages, --rounds, --connections"),
        }
    }
    options
}

/// What one round measured.
#[derive(Debug, Clone, Copy)]
struct Round {
    per_second: f64,
    cpu_ms_per_message: f64,
    pss_mib: f64,
}

#[tokio::main]
async fn main() {
    let options = options();
    let sets: [(&str, Vec<Arc<[u8]>>); 2] = [("4 KiB", vec![message(4 << 10, 0)]), ("mix", mix())];
    println!("{} messages a round, {} connections, {} rounds, {} cores", options.messages, options.connections, options.rounds, cores());
    for (set, messages) in &sets {
        let mean = messages.iter().map(|message| message.len()).sum::<usize>() / messages.len();
        println!("\n{set}: mean {:.1} KiB", mean as f64 / 1024.0);
        let mut results: Vec<Vec<Round>> = vec![Vec::new(); CONTESTANTS.len()];
        for _ in 0..options.rounds {
            for (place, (name, _)) in CONTESTANTS.iter().enumerate() {
                results[place].push(round(name, messages, &options).await);
            }
        }
        report(&results);
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn report(results: &[Vec<Round>]) {
    let median = |rounds: &[Round], of: fn(&Round) -> f64| {
        let mut values: Vec<f64> = rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let line = |rounds: &[Round]| {
        [median(rounds, |round| round.per_second), median(rounds, |round| round.cpu_ms_per_message), median(rounds, |round| round.pss_mib)]
    };
    let base = line(&results[0]);
    println!("{:<12} {:>10} {:>12} {:>10}   {:>7} {:>7} {:>7}", "", "messages/s", "CPU ms/msg", "PSS MiB", "rate x", "CPU x", "PSS x");
    for ((name, what), rounds) in CONTESTANTS.iter().zip(results) {
        let [rate, cpu, pss] = line(rounds);
        println!(
            "{name:<12} {rate:>10.0} {cpu:>12.3} {pss:>10.1}   {:>7.2} {:>7.3} {:>7.3}   {what}",
            rate / base[0],
            cpu / base[1],
            pss / base[2]
        );
    }
}

async fn round(name: &str, messages: &[Arc<[u8]>], options: &Options) -> Round {
    let folder = tempfile::TempDir::new().unwrap();
    let receiver = StandIn::start(Behaviour { count_only: true, ..Behaviour::default() }).await.unwrap();
    let contestant = Contestant::start(name, folder.path(), receiver.address);
    // A first few, so that processes are started and connections open.
    send(contestant.address(), messages, options.connections * 2, options.connections).await;
    receiver.wait_for(options.connections * 2).await;
    let begun = receiver.count();
    let before = Usage::of(contestant.pids());
    let clock = Instant::now();
    let (sent, watched) = tokio::join!(send(contestant.address(), messages, options.messages, options.connections), async {
        let patience = Duration::from_secs(300);
        tokio::time::timeout(patience, receiver.wait_for(begun + options.messages)).await.expect("delivered in five minutes");
        clock.elapsed()
    });
    assert_eq!(sent, options.messages, "{name} took them all");
    let after = Usage::of(contestant.pids());
    Round {
        per_second: options.messages as f64 / watched.as_secs_f64(),
        cpu_ms_per_message: (after.cpu_seconds - before.cpu_seconds) * 1000.0 / options.messages as f64,
        pss_mib: after.pss_bytes as f64 / f64::from(1 << 20),
    }
}

/// Sends `count` messages over `connections` sessions; how many were answered 250.
async fn send(address: SocketAddr, messages: &[Arc<[u8]>], count: usize, connections: usize) -> usize {
    let next = Arc::new(AtomicUsize::new(0));
    let sessions = (0..connections).map(|_| {
        let (next, messages) = (next.clone(), messages.to_vec());
        tokio::spawn(async move {
            let mut sender = Sender::connect(address).await.unwrap();
            let mut taken = 0;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return taken;
                }
                let answer =
                    sender.send("ann@partner.example", &["bob@groupwise.example"], &messages[number % messages.len()]).await.unwrap();
                assert_eq!(answer.code(), 250, "{}", answer.reply);
                taken += 1;
            }
        })
    });
    let mut taken = 0;
    for session in sessions.collect::<Vec<_>>() {
        taken += session.await.unwrap();
    }
    taken
}

/// What is being measured; stopped when dropped.
enum Contestant {
    Postfix(postfix::Postfix),
    Mailweir { child: Child, address: SocketAddr, _clamd: Option<Clamd> },
}

impl Contestant {
    fn start(name: &str, folder: &Path, receiver: SocketAddr) -> Self {
        if name == "postfix" {
            return Self::Postfix(postfix::Postfix::start(folder, Some(receiver), ""));
        }
        let clamd = (name == "full").then(|| Clamd::start(&[]).unwrap());
        let inspect = match &clamd {
            Some(clamd) => format!("[antivirus]\nengines = [\"{}\"]\nscan = \"attachments\"\n", clamd.unix()),
            None => "[inspect]\nchecks = []\n".to_owned(),
        };
        let delivery = if name == "spool" { "spool" } else { "cut-through" };
        let config = format!(
            "hostname = \"mx1.groupwise.example\"\ndata_dir = \"{folder}/data\"\n[[listener]]\nname = \"internet\"\naddress = \"127.0.0.1:0\"\n\
             direction = \"inbound\"\n[[route]]\nname = \"r\"\ndomains = [\"groupwise.example\"]\nnext_hops = [\"{receiver}\"]\nconnections = 200\n\
             delivery = \"{delivery}\"\n[limits]\nconnections = 5000\nconnections_per_peer = 5000\n[admin]\nsocket = \"{folder}/admin.sock\"\n\
             [log]\nformat = \"json\"\n{inspect}",
            folder = folder.display()
        );
        std::fs::write(folder.join("mailweir.toml"), config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_mailweir"))
            .args(["serve", "--config"])
            .arg(folder.join("mailweir.toml"))
            .stderr(Stdio::piped())
            .spawn()
            .expect("built by make bench");
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.by_ref().find(|line| line.contains("\"listening\"") && line.contains("\"internet\"")).expect("it listens");
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = event["address"].as_str().unwrap().parse().unwrap();
        // Somebody must read the log, or the gateway would wait for it.
        std::thread::spawn(move || lines.for_each(drop));
        Self::Mailweir { child, address, _clamd: clamd }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Postfix(postfix) => postfix.address,
            Self::Mailweir { address, .. } => *address,
        }
    }

    /// The processes that belong to it; clamd's work for it counts as its own.
    fn pids(&self) -> Vec<u32> {
        match self {
            Self::Postfix(postfix) => postfix.master_pid().into_iter().collect(),
            Self::Mailweir { child, _clamd, .. } => std::iter::once(child.id()).chain(_clamd.as_ref().map(Clamd::id)).collect(),
        }
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        if let Self::Mailweir { child, .. } = self {
            let _already_gone = child.kill();
            let _already_waited = child.wait();
        }
    }
}

/// A text message of about `size` bytes; `seed` makes it differ.
fn message(size: usize, seed: usize) -> Arc<[u8]> {
    let mut text = format!(
        "From: ann@partner.example\r\nTo: bob@groupwise.example\r\nSubject: message {seed}\r\nMessage-ID: <{seed}@partner.example>\r\nDate: Mon, 02 Nov 2026 09:15:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
    );
    let words =
        ["minutes", "of", "the", "meeting", "on", "Monday", "about", "budget", "rooms", "and", "the", "next", "steps", "for", "everybody"];
    let mut state = seed as u64 + 1;
    while text.len() < size {
        for _ in 0..10 {
            text.push_str(words[random(&mut state) as usize % words.len()]);
            text.push(' ');
        }
        text.push_str("\r\n");
    }
    text.into_bytes().into()
}

/// A message with an attachment of about `size` bytes in base64.
fn attachment(size: usize, seed: usize) -> Arc<[u8]> {
    let mut text = format!(
        "From: ann@partner.example\r\nTo: bob@groupwise.example\r\nSubject: file {seed}\r\nMessage-ID: <f{seed}@partner.example>\r\nDate: Mon, 02 Nov 2026 09:15:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nPlease find the file attached.\r\n--b\r\nContent-Type: image/jpeg; name=picture.jpg\r\nContent-Disposition: attachment; filename=picture.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n/9j/4AAQ"
    );
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = seed as u64 + 1;
    let mut column = 8;
    while text.len() < size {
        text.push(char::from(letters[random(&mut state) as usize % 64]));
        column += 1;
        if column == 76 {
            text.push_str("\r\n");
            column = 0;
        }
    }
    text.push_str("\r\n--b--\r\n");
    text.into_bytes().into()
}

/// A hundred messages as mail comes: mostly small texts, some with attachments; mean about 22 KiB.
fn mix() -> Vec<Arc<[u8]>> {
    (0..100)
        .map(|seed| match seed % 50 {
            0 => attachment(400 << 10, seed),
            1..=4 => attachment(100 << 10, seed),
            5..=14 => message(18 << 10, seed),
            _ => message(3 << 10, seed),
        })
        .collect()
}

/// xorshift: the same messages in every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}
