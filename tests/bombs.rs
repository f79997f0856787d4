//! Messages built to cost more than they weigh, through a running gateway with a real clamd, while clean mail is sent all the time: each is
//! answered, none is delivered as clean, the process lives, and its memory stays within its budget. Times are printed, not asserted:
//! `cargo test --test bombs -- --nocapture`. `MAILWEIR_BOMBS=NAME` sends those alone whose name has this in it; `all`
//! every text as every type.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mailweir::cli::demo::sender::Sender;
use support::bombs::{Bomb, all};
use support::site::{Site, ids};
use support::usage;

/// Bombs sent at once.
const AT_ONCE: usize = 3;
/// Sessions that send clean mail, and how long each waits between two messages.
const CLEAN: usize = 3;
const PAUSE: Duration = Duration::from_millis(50);
/// How long clean mail is sent before the first bomb.
const BEFORE: Duration = Duration::from_secs(10);
/// More than this no answer may ever take: a hang, not a timing.
const HANG: Duration = Duration::from_secs(120);
/// What a process holds that is no mail: code, rules, threads, the allocator's waste.
const BESIDE: u64 = 400 << 20;
/// `limits.memory` by default.
const MEMORY: u64 = 512_000_000;

#[test]
fn the_quine_is_one() {
    let quine = support::bombs::quine();
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&quine[..]), &mut out).unwrap();
    assert!(out == quine, "with its checksum");
}

#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_answered_and_clean_mail_flows() {
    let wanted = std::env::var("MAILWEIR_BOMBS").unwrap_or_default();
    let every = wanted == "all";
    let bombs = tokio::task::spawn_blocking(move || all(every)).await.unwrap();
    let bombs: Vec<Bomb> = bombs.into_iter().filter(|bomb| every || bomb.name.contains(&wanted)).collect();
    let site = Arc::new(Site::start().await);
    let pid = site.gateway().pid();
    usage::forget_peak(pid).unwrap();
    let at = site.gateway().address("internet");

    let quiet = Clean::start(at);
    tokio::time::sleep(BEFORE).await;
    let quiet = quiet.end().await;
    let under_fire = Clean::start(at);
    let began = Instant::now();
    let bombs = Arc::new(std::sync::Mutex::new(bombs.into_iter()));
    let senders: Vec<_> = (0..AT_ONCE).map(|_| tokio::spawn(throw(at, bombs.clone()))).collect();
    let mut answers = Vec::new();
    for sender in senders {
        answers.extend(sender.await.unwrap());
    }
    let took = began.elapsed();
    let under_fire = under_fire.end().await;

    let log = site.gateway().log();
    let stages = stages(&site);
    answers.sort_by_key(|answer: &Answered| std::cmp::Reverse(answer.took));
    for answer in &answers {
        let judged = judged(&log, &answer.reply).map_or(String::new(), |ms| format!("{:.2}", ms / 1e3));
        let stages = stages.iter().find(|(subject, _)| *subject == answer.subject).map_or(String::new(), |(_, took)| format!("{took:?}"));
        println!(
            "{:>6.2} s, judged in {judged:>5} {stages:>20}  {:>9} bytes  {}: {}",
            answer.took.as_secs_f64(),
            answer.size,
            answer.name,
            answer.reply
        );
    }
    let peak = usage::peak_rss(pid);
    println!("{} bombs in {took:.0?}, {AT_ONCE} at once; peak memory {} MiB", answers.len(), peak >> 20);
    println!("clean mail, p50 p99 max in ms: {} before; {} meanwhile", summary(&quiet), summary(&under_fire));

    println!("slowest clean mail, ms to receive, take apart, inspect: {:?}", slowest(&stages));

    let arrived: Vec<String> = site.groupwise.take().iter().filter_map(|message| subject(&message.data)).collect();
    let through = |answer: &&Answered| arrived.contains(&answer.subject);
    let wrong: Vec<&str> = answers.iter().filter(|answer| !answer.harmless).filter(through).map(|answer| answer.name).collect();
    assert_eq!(wrong, Vec::<&str>::new(), "delivered as if clean");
    assert!(peak <= MEMORY + BESIDE, "{} MiB", peak >> 20);
    assert!(quiet.iter().chain(&under_fire).all(|took| *took < HANG));
    assert!(
        arrived.iter().filter(|subject| subject.starts_with("clean")).count() == quiet.len() + under_fire.len(),
        "all clean mail arrived"
    );
    site.audit();
}

struct Answered {
    name: &'static str,
    subject: String,
    harmless: bool,
    size: usize,
    took: Duration,
    reply: String,
}

/// Sends one bomb after the other until there are none.
async fn throw(at: SocketAddr, bombs: Arc<std::sync::Mutex<std::vec::IntoIter<Bomb>>>) -> Vec<Answered> {
    let mut answers = Vec::new();
    loop {
        let Some(bomb) = bombs.lock().unwrap().next() else { return answers };
        let subject = format!("bomb {}", bomb.name);
        let message = String::from_utf8_lossy(&bomb.message[..400.min(bomb.message.len())]).replacen("a bomb", &subject, 1).into_bytes();
        let message = [&message[..], &bomb.message[400.min(bomb.message.len())..]].concat();
        let mut sender = Sender::connect(at).await.unwrap();
        let began = Instant::now();
        let answer = tokio::time::timeout(HANG, sender.send("ann@partner.example", &["bob@groupwise.example"], &message)).await;
        let reply = answer.unwrap_or_else(|_| panic!("{} hangs", bomb.name)).unwrap().reply;
        answers.push(Answered { name: bomb.name, subject, harmless: bomb.harmless, size: message.len(), took: began.elapsed(), reply });
    }
}

/// Clean mail, sent all the time.
struct Clean {
    over: Arc<AtomicBool>,
    senders: Vec<tokio::task::JoinHandle<Vec<Duration>>>,
}

impl Clean {
    fn start(at: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let send = |n: usize| {
            let over = over.clone();
            async move {
                let mut sender = Sender::connect(at).await.unwrap();
                let mut times = Vec::new();
                while !over.load(Ordering::Relaxed) {
                    let text = format!("clean {n} {}\r\n", times.len()).repeat(200);
                    let message = format!("From: ann@partner.example\r\nSubject: clean {n}\r\n\r\n{text}");
                    let began = Instant::now();
                    let answer = sender.send("ann@partner.example", &["bob@groupwise.example"], message.as_bytes()).await.unwrap();
                    assert_eq!(answer.code(), 250, "{}", answer.reply);
                    times.push(began.elapsed());
                    tokio::time::sleep(PAUSE).await;
                }
                times
            }
        };
        let senders = (0..CLEAN).map(|n| tokio::spawn(send(n))).collect();
        Self { over, senders }
    }

    async fn end(self) -> Vec<Duration> {
        self.over.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for sender in self.senders {
            times.extend(sender.await.unwrap());
        }
        times.sort();
        times
    }
}

fn summary(times: &[Duration]) -> String {
    let at = |share: usize| times.get(times.len() * share / 100).or(times.last()).map_or(0.0, |time| time.as_secs_f64() * 1e3);
    format!("{:.1} {:.1} {:.1} ({} messages)", at(50), at(99), at(100), times.len())
}

/// From the end of its data to its reply, in milliseconds, by the log.
fn judged(log: &str, reply: &str) -> Option<f64> {
    let id = reply.rsplit_once('(')?.1.split(')').next()?;
    let line = log.lines().find(|line| line.contains(id) && line.contains("accept_ms"))?;
    serde_json::from_str::<serde_json::Value>(line).ok()?["accept_ms"].as_f64()
}

/// Subject, and milliseconds to receive, take apart, inspect, of every message that was judged, by the records.
fn stages(site: &Site) -> Vec<(String, Vec<u64>)> {
    let records = std::fs::read_dir(site.folder.path().join("data/records")).unwrap();
    let text: String = records.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect();
    text.lines()
        .filter_map(|line| {
            let subject = line.split_once("\"subject\":\"")?.1.split('"').next()?;
            let took = line.split_once("\"took_ms\":[")?.1.split(']').next()?;
            Some((subject.to_owned(), took.split(',').filter_map(|ms| ms.parse().ok()).collect()))
        })
        .collect()
}

/// Where the slowest clean messages spent their time.
fn slowest(stages: &[(String, Vec<u64>)]) -> Vec<&[u64]> {
    let mut took: Vec<&[u64]> = stages.iter().filter(|(subject, _)| subject.starts_with("clean")).map(|(_, took)| &took[..]).collect();
    took.sort_by_key(|took| std::cmp::Reverse(took.iter().sum::<u64>()));
    took.truncate(12);
    took
}

fn subject(message: &[u8]) -> Option<String> {
    let head = String::from_utf8_lossy(&message[..message.len().min(4000)]).into_owned();
    head.lines().find_map(|line| line.strip_prefix("Subject: ")).map(str::to_owned)
}

/// Each bomb alone and without a gateway, for whoever looks for the reader that takes long.
#[test]
#[ignore = "prints times"]
fn how_long_each_takes() {
    let wanted = std::env::var("MAILWEIR_BOMBS").unwrap_or_default();
    for bomb in all(wanted == "all").into_iter().filter(|bomb| wanted == "all" || bomb.name.contains(&wanted)) {
        let began = Instant::now();
        let message = mailweir::pipeline::take_apart_alone(bomb.message.into(), &mailweir::content::Limits::default());
        let codes: std::collections::BTreeSet<&str> = message.findings.iter().map(|finding| &*finding.code).collect();
        println!("{:>6.2} s {:>5} parts  {}: {codes:?}", began.elapsed().as_secs_f64(), message.parts.len(), bomb.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_kills_the_process_is_held_the_third_time() {
    let mut site = Site::start().await;
    let bad = b"Subject: bad\r\nX-Mailweir-Test: crash when this is taken apart\r\n\r\nbody\r\n";
    let good = b"Subject: good\r\n\r\nbody\r\n";
    for _ in 0..2 {
        site.gateway = None;
        let armed = [(mailweir::store::crash::VARIABLE, "opening.marked")];
        let mut gateway = support::Gateway::start_with(site.folder.path(), &site.config, &armed);
        let mut sender = Sender::connect(gateway.address("internet")).await.unwrap();
        assert_eq!(sender.send("ann@partner.example", &["bob@groupwise.example"], good).await.unwrap().code(), 250, "only the marked one");
        let mut sender = Sender::connect(gateway.address("internet")).await.unwrap();
        let answer = sender.send("ann@partner.example", &["bob@groupwise.example"], bad).await;
        assert!(answer.is_err(), "it died: {:?}", answer.map(|answer| answer.reply));
        let end = Instant::now() + HANG;
        while gateway.is_running() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!gateway.is_running());
    }
    let armed = [(mailweir::store::crash::VARIABLE, "opening.marked")];
    site.gateway = Some(support::Gateway::start_with(site.folder.path(), &site.config, &armed));
    site.groupwise.take();
    let answer = site.send(&["bob@groupwise.example"], bad).await;
    assert_eq!(answer.code(), 250, "{}", answer.reply);
    let held = ids(&site.gateway().json(&["quarantine", "list"]));
    assert_eq!((held.len(), site.groupwise.take().len()), (1, 0));
    let (_, told, _) = site.gateway().cli(&["explain", &held[0]]);
    assert!(told.contains("content.crashed"), "{told}");
    let (code, shown, err) = site.gateway().cli(&["quarantine", "show", &held[0]]);
    assert!(code == 0 && shown.contains("bad"), "looking at it is safe: {shown}{err}");
    assert_eq!(site.send(&["bob@groupwise.example"], good).await.code(), 250);
    assert_eq!(site.groupwise.take().len(), 1, "later mail flows");
    site.audit();
}
