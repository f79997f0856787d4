//! The shipped scores on real, labelled mail, where a corpus is there: how much ham is accused, how much spam is caught.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::content::{Limits, decompose};
use crate::mail::{Body, Class, Context, Direction, Envelope, Message, Origin, Recipient, ReversePath};
use crate::rules::RuleSet;

/// The thresholds that are shipped.
const TAG: f32 = 5.0;
const HOLD: f32 = 8.0;

/// Messages taken, spread over all; `MAILWEIR_CORPUS_MESSAGES` takes more, or `all`.
const SAMPLE: usize = 2000;

/// Prints, for each source, how much of its good and bad mail reaches the thresholds, and refuses a rule set that holds good mail.
#[test]
fn scores_over_the_corpus() {
    let Some((root, rows)) = corpus() else {
        println!("stands aside: no mail corpus (MAILWEIR_CORPUS names a folder with index.tsv, unpacked there or in target/corpus)");
        return;
    };
    let rules = RuleSet::embedded();
    let mut sums: BTreeMap<(bool, String), (u32, u32, u32)> = BTreeMap::new();
    for line in &rows {
        let mut fields = line.split('\t');
        let (Some(path), Some(label), Some(source)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let message = decompose(read(&root.join(path)), &Limits::default());
        let findings = super::check(&rules.hits(&message, &context(&message)));
        let points = |class: &Class| if let Class::Score { points } = class { *points } else { 0.0 };
        let score: f32 = findings.iter().map(|finding| points(&finding.class)).sum();
        let row = sums.entry((label == "ham", source.to_owned())).or_default();
        *row = (row.0 + 1, row.1 + u32::from(score >= TAG), row.2 + u32::from(score >= HOLD));
    }
    for ((is_ham, source), (all, tagged, held)) in &sums {
        let share = |part: &u32| 100.0 * f64::from(*part) / f64::from(*all);
        let label = if *is_ham { "ham" } else { "bad" };
        println!("{source:16} {label} {all:6}  tagged {:6.2} %  held {:6.2} %", share(tagged), share(held));
        // A message or two of a small sample are more than the share allowed, and no proof of anything.
        assert!(!is_ham || *held <= 2 || share(held) <= 0.2, "{source}: {held} of {all} good messages would be held");
    }
}

/// Where the messages are, and the rows of the index to take.
fn corpus() -> Option<(PathBuf, Vec<String>)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::var_os("MAILWEIR_CORPUS").map_or_else(|| here.join("../shared/corpus"), PathBuf::from);
    let index = std::fs::read_to_string(given.join("index.tsv")).ok()?;
    let root = [given, here.join("target/corpus")].into_iter().find(|root| root.join("spamassassin").is_dir())?;
    let all: Vec<&str> = index.lines().skip(1).collect();
    let wanted = match std::env::var("MAILWEIR_CORPUS_MESSAGES") {
        Ok(word) if word == "all" => all.len(),
        Ok(number) => number.parse().unwrap(),
        Err(_) => SAMPLE,
    };
    Some((root, all.iter().step_by((all.len() / wanted.max(1)).max(1)).map(|row| (*row).to_owned()).collect()))
}

fn read(path: &Path) -> Bytes {
    let text = std::fs::read(path).unwrap();
    let mut message = Vec::with_capacity(text.len() + text.len() / 32);
    for byte in text {
        if byte == b'\n' && message.last() != Some(&b'\r') {
            message.push(b'\r');
        }
        message.push(byte);
    }
    message.into()
}

/// What the session would have known, as far as the message tells.
fn context(message: &Message) -> Context {
    let received = message.header("received").next().unwrap_or_default();
    let recipient = received.split("for <").nth(1).and_then(|rest| rest.split('>').next()).and_then(|address| address.parse().ok());
    let sender = message.header("return-path").next().and_then(|path| path.trim().trim_matches(['<', '>']).parse().ok());
    Context {
        direction: Direction::Inbound,
        origin: Origin { listener: "corpus".into(), peer: None, helo: String::new(), esmtp: true, tls: None, normalised: false },
        envelope: Envelope {
            dsn: Default::default(),
            sender: sender.map_or(ReversePath::Null, ReversePath::Address),
            recipients: recipient
                .map(|address| Recipient { address, direction: Direction::Inbound, route: "corpus".into(), dsn: Default::default() })
                .into_iter()
                .collect(),
            body: Body::EightBitMime,
            smtputf8: false,
        },
    }
}
