//! What a client could open, we opened: the inert EICAR string in every disguise that `tests/disguises/` builds, each proved potent by
//! an independent decoder, through a running gateway with a real clamd. None may be delivered; clean twins must be.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mailweir::cli::demo::sender::Sender;
use mailweir::mail::{Event, Record};
use support::site::Site;

/// How many proved disguises there must be at least of each group, and which file of the generator makes it.
const AT_LEAST: &[(&str, usize, &str)] = &[("mime", 150, "mime.py"), ("container", 80, "containers.py")];

/// Fewer than this many may be refused only for how their lines end, before anybody looked into them.
const UNREAD: usize = 10;

/// Where the generator is.
const GENERATOR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/disguises");

/// Sessions side by side, and messages in each before it is closed.
const SESSIONS: usize = 6;
const PER_SESSION: usize = 20;

/// One message of the built set.
struct Disguise {
    name: String,
    group: String,
    /// `payload`, `held` or `delivered`.
    want: String,
    potent_by: String,
    idea: String,
    message: Vec<u8>,
}

impl Disguise {
    /// Whether it must not be delivered: proved, or not provable by its nature.
    fn counts(&self) -> bool {
        self.want == "held" || (self.want == "payload" && !self.potent_by.is_empty())
    }
}

/// Builds the set into `folder` and reads its table.
fn build(folder: &Path) -> Vec<Disguise> {
    let built = Command::new("python3").arg("-B").arg(Path::new(GENERATOR).join("build.py")).arg(folder).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&built.stdout), String::from_utf8_lossy(&built.stderr));
    assert!(built.status.success(), "the generator failed (scripts/setup.sh installs what it needs):\n{out}{err}");
    println!("{out}");
    let table = std::fs::read_to_string(folder.join("list.tsv")).unwrap();
    let rows = table.lines().skip(1).map(|row| {
        let [name, group, want, potent_by, idea] = row.split('\t').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
        let message = std::fs::read(folder.join(format!("{name}.eml"))).unwrap();
        Disguise { name, group, want, potent_by, idea, message }
    });
    rows.collect()
}

/// What became of one message.
#[derive(Default, Clone)]
struct Fate {
    /// The reply that settled it.
    reply: String,
    /// It came out on the other side.
    delivered: bool,
    /// The gateway judged it, rather than refuse how it was sent.
    judged: bool,
    /// A virus engine knew it.
    virus: bool,
    /// Disposition and the code behind it.
    because: String,
}

/// The sender address of the message in this row: what it is known by in the records and at the next hop.
fn address(row: usize) -> String {
    format!("row{row}@partner.example")
}

/// Sends all of them, several sessions at once, and says what became of each.
async fn send(site: &Site, all: &Arc<Vec<Disguise>>) -> Vec<Fate> {
    let inbound = site.gateway().address("internet");
    let next = Arc::new(AtomicUsize::new(0));
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|_| {
            let (all, next) = (all.clone(), next.clone());
            tokio::spawn(async move {
                let mut replies = Vec::new();
                let mut session: Option<(Sender, usize)> = None;
                loop {
                    let row = next.fetch_add(1, Ordering::Relaxed);
                    let Some(disguise) = all.get(row) else { return replies };
                    let mut reply = String::new();
                    // The gateway closes a session in which line ends were wrong: the next message then opens another.
                    for _ in 0..2 {
                        let (mut sender, sent) = match session.take() {
                            Some(open) => open,
                            None => (Sender::connect(inbound).await.unwrap(), 0),
                        };
                        let from = address(row);
                        let answer = sender.send(&from, &["bob@groupwise.example"], &disguise.message);
                        match tokio::time::timeout(support::PATIENCE, answer).await {
                            Ok(Ok(answer)) => {
                                session = (sent + 1 < PER_SESSION).then_some((sender, sent + 1));
                                reply = answer.reply;
                                break;
                            }
                            Ok(Err(error)) => reply = format!("000 {error}"),
                            Err(_) => reply = "000 no answer in time".to_owned(),
                        }
                    }
                    replies.push((row, reply));
                }
            })
        })
        .collect();
    let mut fates = vec![Fate::default(); all.len()];
    for session in sessions {
        for (row, reply) in session.await.unwrap() {
            fates[row].reply = reply;
        }
    }
    let rows: HashMap<String, usize> = (0..all.len()).map(|row| (address(row), row)).collect();
    for arrived in [&site.groupwise, &site.exchange, &site.internet].into_iter().flat_map(|stand_in| stand_in.take()) {
        let row = rows.get(&arrived.sender).unwrap_or_else(|| panic!("nobody sent what arrived from {:?}", arrived.sender));
        fates[*row].delivered = true;
    }
    for day in std::fs::read_dir(site.folder.path().join("data/records")).unwrap() {
        for line in std::fs::read_to_string(day.unwrap().path()).unwrap().lines() {
            let record: Record = serde_json::from_str(line).unwrap();
            let Event::Judged(judged) = record.event else { continue };
            let Some(row) = rows.get(judged.envelope.sender.as_str()) else { continue };
            let fate = &mut fates[*row];
            fate.judged = true;
            fate.virus = judged.findings.iter().any(|finding| finding.code == "av.malware");
            let decision = &judged.decisions[0];
            let code = decision.because.split(':').next().unwrap_or_default();
            fate.because = format!("{} for {}", decision.disposition.as_str(), if code.is_empty() { &decision.rule } else { code });
        }
    }
    fates
}

/// Prints for each group how many were known to an engine, and for what the others were not delivered.
fn summary(site: &str, all: &[Disguise], fates: &[Fate]) {
    for (group, ..) in AT_LEAST {
        let mut ways: BTreeMap<String, usize> = BTreeMap::new();
        for (disguise, fate) in all.iter().zip(fates) {
            if disguise.group == *group && disguise.counts() {
                let way = match fate {
                    Fate { delivered: true, .. } => "DELIVERED".to_owned(),
                    Fate { virus: true, .. } => "refused as a virus".to_owned(),
                    Fate { judged: false, reply, .. } => format!("refused unread: {}", reply.get(..9).unwrap_or(reply)),
                    Fate { because, .. } => because.clone(),
                };
                *ways.entry(way).or_default() += 1;
            }
        }
        let total: usize = ways.values().sum();
        println!("{site}, {group}: {total}");
        let mut ways: Vec<_> = ways.into_iter().collect();
        ways.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (way, count) in ways {
            println!("  {count:4} {way}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_disguise_passes() {
    let folder = tempfile::tempdir().unwrap();
    let all = Arc::new(build(folder.path()));
    // The second site repairs line ends, so that what is refused for them is looked into there all the same.
    let strict = Site::start().await;
    let mut lenient = Site::start().await;
    lenient.config = lenient.config.replace("direction = \"inbound\"", "direction = \"inbound\"\nline_endings = \"normalise\"");
    lenient.restart();
    let mut wrong: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut miss = |site: &'static str, what: String| wrong.entry(what).or_default().push(site);
    for (name, site) in [("strict", &strict), ("lenient", &lenient)] {
        let fates = send(site, &all).await;
        summary(name, &all, &fates);
        let mut unread = Vec::new();
        for (disguise, fate) in all.iter().zip(&fates) {
            let Disguise { name: which, want, idea, potent_by, .. } = disguise;
            let became = if fate.because.is_empty() { &fate.reply } else { &fate.because };
            if want == "delivered" {
                if !fate.delivered {
                    miss(name, format!("{which} ({idea}) is clean, and was not delivered: {became}"));
                }
            } else if disguise.counts() {
                if fate.delivered {
                    miss(name, format!("{which} ({idea}; potent by {potent_by}) was delivered: {became}"));
                } else if !fate.reply.starts_with(['2', '5']) {
                    miss(name, format!("{which} ({idea}) was not settled: {:?}", fate.reply));
                } else if !fate.judged {
                    unread.push(which.as_str());
                }
            }
        }
        println!("{name}: refused unread: {unread:?}");
        if unread.len() >= UNREAD {
            miss(name, format!("{} were refused only for how they were sent: {unread:?}", unread.len()));
        }
        site.audit();
    }
    for (group, least, maker) in AT_LEAST {
        if !Path::new(GENERATOR).join(maker).exists() {
            println!("stands aside: no generator of group {group}");
            continue;
        }
        let potent = all.iter().filter(|disguise| disguise.group == *group && disguise.want == "payload" && disguise.counts()).count();
        if potent < *least {
            miss("both", format!("only {potent} potent disguises of group {group}; {least} are wanted"));
        }
    }
    let twins = all.iter().filter(|disguise| disguise.want == "delivered").count();
    if twins < 20 {
        miss("both", format!("only {twins} clean twins"));
    }
    let wrong: Vec<String> = wrong.into_iter().map(|(what, sites)| format!("{what} [{}]", sites.join(", "))).collect();
    assert!(wrong.is_empty(), "{} misses:\n{}", wrong.len(), wrong.join("\n"));
}
