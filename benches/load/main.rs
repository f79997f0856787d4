//! The load benchmark: this gateway beside Postfix and Postfix + rspamd + clamd, and beside what the machine can do at all (a byte relay,
//! the bare disk). Same run, same machine, same messages, same sender, same receiver.
//!
//! `make bench` builds everything and runs it, some ten minutes; `make bench BENCH=quick` to see that it works. More options: `options.rs`.
//! Rounds alternate between the contestants; medians and ratios are printed, then the goals, then everything as JSON lines (also in
//! `target/tmp/load.jsonl`). Machines differ and are noisy: quote the ratios. Needs root, as Postfix and rspamd do.
#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used, missing_docs)]

mod bare;
mod book;
mod contestants;
mod goals;
mod latency;
mod memory;
mod messages;
mod options;
#[path = "../../tests/support/postfix.rs"]
mod postfix;
mod relay;
mod rounds;
mod rspamd;
mod sender;
mod sink;
#[path = "../../tests/support/usage.rs"]
mod usage;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use book::Book;
use contestants::{Kind, Site};
use options::Options;
use sink::Sink;

/// File descriptors that 10,000 sessions need, here and (inherited) in the gateway.
const DESCRIPTORS: usize = 10_500;

// One thread for sender and sink: they cost least that way, and never more than one core.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|argument| argument == relay::ARGUMENT).is_some() {
        let sink = arguments.next().and_then(|address| address.parse().ok()).expect("an address");
        let error = relay::run(sink).await;
        panic!("the relay ended: {error:?}");
    }
    match Options::read(arguments) {
        // What is running is stopped when its owner is dropped, which a signal alone would not do.
        Ok(options) => tokio::select! {
            () = run(&options) => {}
            _ = tokio::signal::ctrl_c() => println!("stopped"),
        },
        Err(error) => {
            println!("{error}");
            std::process::exit(2);
        }
    }
}

async fn run(options: &Options) {
    let begun = Instant::now();
    raise_limit();
    let scratch = tempfile::TempDir::new().unwrap();
    rspamd::open_to_all(scratch.path()).unwrap();
    let sink = Sink::start().await.unwrap();
    let site = Site { sink: sink.address, rspamd_cache: scratch.path().join("rspamd-cache"), limits: String::new() };
    let mut book = Book::default();
    println!(
        "{} cores, disk {}; {} round(s) of {:?}, alternating; CPU and PSS are of all processes of a contestant, clamd included; PSS is the \
         largest of the samples under load; \"bench\" is what sender and sink cost",
        std::thread::available_parallelism().map_or(1, usize::from),
        disk(scratch.path()),
        options.rounds,
        options.time
    );
    for kind in Kind::ALL {
        println!("  {:<22} {}", kind.name(), kind.what());
    }
    for part in options::PARTS.into_iter().filter(|part| options.part(part)) {
        let clock = Instant::now();
        println!("\n== {part}");
        match part {
            "load" => {
                if options.takes_part(Kind::PostfixRspamd) {
                    compile(scratch.path(), &site).await;
                }
                rounds::load(options, &site, &sink, &mut book).await;
            }
            "large" => rounds::large(options, &site, &sink, &mut book).await,
            "latency" => latency::run(options, &site, &sink, &mut book).await,
            "idle" => memory::idle(options, &site, &sink, &mut book).await,
            "single" => memory::single(options, &site, &sink, &mut book).await,
            _ => memory::many(options, &site, &sink, &mut book).await,
        }
        println!("-- {part} took {:.0} s", clock.elapsed().as_secs_f64());
    }
    let goals = goals::goals(&book, options);
    goals::print(&goals);
    write_json(&book, &goals);
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
}

/// rspamd compiles its expressions at its first start: not in anybody's measured time.
async fn compile(scratch: &Path, site: &Site) {
    let (folder, cache) = (scratch.join("rspamd"), site.rspamd_cache.clone());
    let compiled = tokio::task::spawn_blocking(move || rspamd::Rspamd::compile(&folder, &cache)).await;
    if let Err(error) = compiled.unwrap_or_else(|error| Err(error.to_string())) {
        println!("  rspamd: {error}");
    }
}

fn write_json(book: &Book, goals: &[goals::Goal]) {
    let lines: String = book.json().into_iter().chain(goals::json(goals)).map(|line| format!("{line}\n")).collect();
    println!("\n{lines}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load.jsonl");
    match std::fs::write(&path, lines) {
        Ok(()) => println!("also in {}", path.display()),
        Err(error) => println!("{}: {error}", path.display()),
    }
}

/// Raises the limit of open files of this process, which what it starts inherits. Only root with all rights may go above the hard one.
fn raise_limit() {
    let limit = || {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default().to_owned();
        let mut numbers = line.split_whitespace().map(|number| number.parse::<usize>().unwrap_or(usize::MAX));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    };
    let set = |to: String| {
        let pid = std::process::id().to_string();
        let _shown_below =
            Command::new("prlimit").args([&format!("--nofile={to}"), "--pid", &pid]).stderr(std::process::Stdio::null()).status();
    };
    let (soft, hard) = limit();
    if hard < DESCRIPTORS {
        set(format!("{DESCRIPTORS}:{DESCRIPTORS}"));
    } else if soft < DESCRIPTORS {
        set(format!("{hard}:{hard}"));
    }
    if limit().0 < DESCRIPTORS {
        println!("open files are limited to {}: 10,000 sessions will not be possible; try `ulimit -n 20000`", limit().0);
    }
}

/// Which kind of file system the queues and journals lie on.
fn disk(folder: &Path) -> String {
    let output = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder).output();
    let kind = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let note = if kind == "tmpfs" { " (memory, not a disk: set TMPDIR to one)" } else { "" };
    format!("{kind} at {}{note}", folder.parent().unwrap_or(folder).display())
}
