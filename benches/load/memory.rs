//! What sessions and large messages hold of memory.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::book::Book;
use crate::contestants::{Contestant, Kind, Site};
use crate::messages::Set;
use crate::options::Options;
use crate::sender::{Fleet, PATIENCE, Until};
use crate::sink::Sink;
use crate::usage;

const MIB: f64 = (1 << 20) as f64;
const IDLE: usize = 10_000;
/// Of Postfix, where each is a process.
const IDLE_POSTFIX: usize = 100;
/// The memory that 50 large messages share, in MiB: 19 of them fit in.
pub const BUDGET: f64 = 512e6 / MIB;

/// The names of the figures that goals are set for.
pub const IDLE_SESSION: &str = "idle session, after EHLO";
pub const SINGLE: [&str; 3] =
    ["one 25 MiB message, no checks", "one 25 MiB message, clamd on attachments", "one 25 MiB message, clamd on raw+parts"];
pub const MANY: [&str; 2] = ["50 messages of 25 MiB at once, no checks", "50 messages of 25 MiB at once, all checks"];
pub const MANY_ACCEPTED: [&str; 2] = ["50 at once, no checks: accepted", "50 at once, all checks: accepted"];
pub const MANY_SILENT: [&str; 2] =
    ["50 at once, no checks: neither 250 nor 4xx in time", "50 at once, all checks: neither 250 nor 4xx in time"];
pub const MANY_LOST: [&str; 2] =
    ["50 at once, no checks: acknowledged and not arrived", "50 at once, all checks: acknowledged and not arrived"];

/// 10,000 sessions that do nothing, before and after a message each.
pub async fn idle(options: &Options, site: &Site, sink: &Sink, book: &mut Book) {
    let count = if options.quick { IDLE / 5 } else { IDLE };
    for (kind, count) in [(Kind::CutThrough, count), (Kind::Postfix, IDLE_POSTFIX)] {
        if let Err(error) = sessions(kind, count, site, sink, book).await {
            println!("  {}, {count} idle sessions FAILED: {error}", kind.name());
        }
    }
}

async fn sessions(kind: Kind, count: usize, site: &Site, sink: &Sink, book: &mut Book) -> Result<(), String> {
    let contestant = Contestant::start(kind, site).await?;
    // Everything that is only made once is made before.
    let mut warm = Fleet::open(contestant.address, 20).await.map_err(|error| error.to_string())?;
    let arrived = sink.count();
    let sent = warm.send(&Set::small(), Until::Count(200)).await;
    sent.clean()?;
    sink.wait_for(arrived + sent.accepted, Duration::from_secs(30)).await;
    let held = || usage::family(&contestant.own).into_iter().map(usage::pss).sum::<u64>() as f64;
    let before = held();
    let mut fleet = Fleet::open(contestant.address, count).await.map_err(|error| format!("connecting: {error}"))?;
    let name = if kind == Kind::Postfix { "idle session, Postfix" } else { IDLE_SESSION };
    book.figure(name, (held() - before) / count as f64 / 1024.0, "KiB");
    if kind != Kind::Postfix {
        let sent = fleet.send(&Set::small(), Until::Count(count)).await;
        sent.clean()?;
        book.figure("idle session, after a message of 4 KiB", (held() - before) / count as f64 / 1024.0, "KiB");
    }
    contestant.stop().await;
    Ok(())
}

/// One message of 25 MiB: the peak above what the process held before.
pub async fn single(options: &Options, site: &Site, sink: &Sink, book: &mut Book) {
    let set = Set::large("25 MiB", 25);
    for (name, kind) in SINGLE.into_iter().zip([Kind::CutThrough, Kind::Attachments, Kind::RawParts]) {
        let mut peaks = Vec::new();
        for _ in 0..options.rounds {
            match peak(kind, 1, &set, site, sink, PATIENCE).await {
                Ok(peak) if peak.sent.accepted == 1 && peak.lost == 0 => peaks.push(peak.above),
                Ok(peak) => println!("  {name} FAILED: {:?}, {} lost", peak.sent, peak.lost),
                Err(error) => println!("  {name} FAILED: {error}"),
            }
        }
        peaks.sort_by(f64::total_cmp);
        if let Some(median) = peaks.get(peaks.len() / 2) {
            book.figure(name, *median, "MiB");
        }
    }
}

/// 50 of them at once, with memory for 20: the others wait or hear 452.
pub async fn many(options: &Options, site: &Site, sink: &Sink, book: &mut Book) {
    let set = Set::large("25 MiB", 25);
    let site = Site { limits: "memory = \"512MB\"".to_owned(), ..site.clone() };
    for (place, kind) in [Kind::CutThrough, Kind::RawParts].into_iter().enumerate() {
        let patience = Duration::from_secs(if options.quick { 25 } else { 60 });
        match peak(kind, 50, &set, &site, sink, patience).await {
            Ok(peak) => {
                println!("  {}: {:?}", MANY[place], peak.sent);
                book.figure(MANY[place], peak.above, "MiB");
                book.figure(MANY_ACCEPTED[place], peak.sent.accepted as f64, "");
                book.figure(MANY_SILENT[place], (peak.sent.broken + peak.sent.refused) as f64, "");
                book.figure(MANY_LOST[place], peak.lost as f64, "");
            }
            Err(error) => println!("  {} FAILED: {error}", MANY[place]),
        }
    }
}

struct Peak {
    /// MiB above what the gateway held before, without its engine's.
    above: f64,
    sent: crate::sender::Sent,
    lost: usize,
}

async fn peak(kind: Kind, connections: usize, set: &Set, site: &Site, sink: &Sink, patience: Duration) -> Result<Peak, String> {
    let contestant = Contestant::start(kind, site).await?;
    let result = peak_of(&contestant, connections, set, sink, patience).await;
    contestant.stop().await;
    result
}

async fn peak_of(contestant: &Contestant, connections: usize, set: &Set, sink: &Sink, patience: Duration) -> Result<Peak, String> {
    let mut fleet = Fleet::open(contestant.address, connections).await.map_err(|error| error.to_string())?;
    let arrived = sink.count();
    let warm = fleet.send(&Set::small(), Until::Count(connections * 4)).await;
    warm.clean()?;
    sink.wait_for(arrived + warm.accepted, Duration::from_secs(30)).await;

    let pid = contestant.own[0];
    usage::forget_peak(pid).map_err(|error| error.to_string())?;
    let (before, resident) = (usage::pss(pid), usage::rss(pid));
    let begun = sink.count();
    let (over, watching) = mpsc::channel::<()>();
    let watch = tokio::task::spawn_blocking(move || watch(pid, &watching));
    fleet.patience(patience);
    let sent = fleet.send(set, Until::Count(connections)).await;
    // What goes through the spool after all must arrive too.
    sink.wait_for(begun + sent.accepted, Duration::from_secs(60)).await;
    drop(over);
    let sampled = watch.await.map_err(|error| error.to_string())?;
    // Samples may miss the peak; the kernel's own high-water mark does not.
    let above = sampled.saturating_sub(before).max(usage::peak_rss(pid).saturating_sub(resident));
    Ok(Peak { above: above as f64 / MIB, lost: sent.accepted.saturating_sub(sink.count() - begun), sent })
}

/// The largest PSS of one process until the other side hangs up.
fn watch(pid: u32, over: &mpsc::Receiver<()>) -> u64 {
    let mut largest = 0;
    let mut pause = Duration::from_millis(2);
    while over.recv_timeout(pause) != Err(mpsc::RecvTimeoutError::Disconnected) {
        let begun = Instant::now();
        largest = largest.max(usage::pss(pid));
        pause = (begun.elapsed() * 10).max(Duration::from_millis(2));
    }
    largest
}
