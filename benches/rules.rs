//! The shipped rules over mail: bytes of raw message a second, on one core, decomposition not counted.
//!
//! `MAILWEIR_CORPUS` names a folder of mail to take a sample from; without it a few messages made here serve.

use std::hint::black_box;
use std::path::PathBuf;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mailweir::content::{Limits, decompose};
use mailweir::mail::{Body, Context, Direction, Envelope, Message, Origin, ReversePath};
use mailweir::rules::RuleSet;

/// Messages taken from a corpus.
const SAMPLE: usize = 500;

fn made() -> Vec<Bytes> {
    let words =
        "The meeting on Friday is moved to the small room, because the large one has no light. Please bring the figures of last year. ";
    let text = words.repeat(40);
    let html: String = (0..60).map(|row| format!("<tr><td><a href=\"https://shop.example/{row}\">{words}</a></td></tr>\r\n")).collect();
    let head = "From: Ann <ann@a.example>\r\nTo: Bob <bob@b.example>\r\nSubject: The meeting\r\nDate: Mon, 23 Nov 2026 16:05:00 +0000\r\nMIME-Version: 1.0\r\n";
    vec![
        format!("{head}Content-Type: text/plain\r\n\r\n{text}\r\n").into(),
        format!("{head}Content-Type: text/html\r\n\r\n<table>{html}</table>\r\n").into(),
    ]
}

/// Some of the `.eml` files below a folder.
fn corpus(root: PathBuf) -> Vec<Bytes> {
    let (mut folders, mut files) = (vec![root], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "eml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().step_by((files.len() / SAMPLE).max(1)).filter_map(|path| std::fs::read(path).ok()).map(Bytes::from).collect()
}

fn context() -> Context {
    Context {
        direction: Direction::Inbound,
        origin: Origin { listener: "bench".into(), peer: None, helo: "a.example".into(), esmtp: true, tls: None, normalised: false },
        envelope: Envelope {
            sender: ReversePath::Null,
            recipients: Vec::new(),
            body: Body::SevenBit,
            smtputf8: false,
            dsn: Default::default(),
        },
    }
}

fn rules(c: &mut Criterion) {
    let mails = std::env::var_os("MAILWEIR_CORPUS").map(|root| corpus(root.into())).filter(|mails| !mails.is_empty()).unwrap_or_else(made);
    let messages: Vec<Message> = mails.into_iter().map(|raw| decompose(raw, &Limits::default())).collect();
    let bytes: usize = messages.iter().map(|message| message.raw.len()).sum();
    let (set, context) = (RuleSet::embedded(), context());
    let mut group = c.benchmark_group("rules");
    group.sample_size(10);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("hits", |b| {
        b.iter(|| messages.iter().map(|message| set.hits(black_box(message), &context).len()).sum::<usize>());
    });
    group.finish();
    c.bench_function("rules/load", |b| b.iter(RuleSet::embedded));
}

criterion_group!(benches, rules);
criterion_main!(benches);
