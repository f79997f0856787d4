//! Messages per second, CPU and memory under load: rounds that alternate between the contestants.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::bare::Segments;
use crate::book::{Book, Cell, Round};
use crate::contestants::{Contestant, Kind, Site};
use crate::messages::Set;
use crate::options::Options;
use crate::sender::{Fleet, Until};
use crate::sink::Sink;
use crate::usage;

/// How long what was accepted may take to arrive.
const PATIENCE: Duration = Duration::from_secs(90);
const MIB: f64 = (1 << 20) as f64;

/// 4 KiB and the mix, at each number of connections.
pub async fn load(options: &Options, site: &Site, sink: &Sink, book: &mut Book) {
    for set in [Set::small(), Set::mix()].into_iter().filter(|set| options.sends(set.name)) {
        for &connections in &options.connections {
            for _ in 0..options.rounds {
                for kind in Kind::ALL.into_iter().filter(|kind| options.takes_part(*kind)) {
                    if kind == Kind::BareDisk && set.name != "mix" {
                        continue; // its records are of the mix's mean size
                    }
                    let round = one(kind, site, sink, &set, connections, options.time).await;
                    book.round(Cell { kind, set: set.name, connections }, round);
                }
            }
            book.table(set.name, connections);
        }
    }
}

/// 10 MiB messages, in cut-through and through the byte relay.
pub async fn large(options: &Options, site: &Site, sink: &Sink, book: &mut Book) {
    let set = Set::large("10 MiB", 10);
    let connections = 20;
    for _ in 0..options.rounds {
        for kind in [Kind::CutThrough, Kind::Relay] {
            let round = one(kind, site, sink, &set, connections, options.time).await;
            book.round(Cell { kind, set: set.name, connections }, round);
        }
    }
    book.table(set.name, connections);
    for kind in [Kind::CutThrough, Kind::Relay] {
        if let Some(rate) = book.median(Cell { kind, set: set.name, connections }, |round| round.rate) {
            book.figure(format!("10 MiB messages, {}", kind.name()), rate * set.mean() / 1e6, "MB/s");
        }
    }
}

async fn one(kind: Kind, site: &Site, sink: &Sink, set: &Set, connections: usize, time: Duration) -> Result<Round, String> {
    if kind == Kind::BareDisk {
        return tokio::task::spawn_blocking(move || bare(connections, time)).await.map_err(|error| error.to_string())?;
    }
    let contestant = Contestant::start(kind, site).await?;
    let round = measure(kind, &contestant, sink, set, connections, time).await;
    contestant.stop().await;
    round
}

fn bare(writers: usize, time: Duration) -> Result<Round, String> {
    let folder = tempfile::TempDir::new().map_err(|error| error.to_string())?;
    let rate = Segments::create(folder.path()).and_then(|mut segments| segments.group_commit(writers, time));
    Ok(Round { rate: rate.map_err(|error| error.to_string())?, ..Round::default() })
}

async fn measure(kind: Kind, contestant: &Contestant, sink: &Sink, set: &Set, connections: usize, time: Duration) -> Result<Round, String> {
    let mut expected = sink.count();
    let mut fleet = Fleet::open(contestant.address, connections).await.map_err(|error| format!("connecting: {error}"))?;
    if kind.scans() {
        // Its virus must not arrive, however it is answered: the counts below would not be right.
        fleet.send(&Set::virus(), Until::Count(1)).await;
    }
    // One message on each session, so that processes are started and connections open.
    let sent = fleet.send(set, Until::Count(connections)).await;
    sent.clean()?;
    expected += sent.accepted;
    arrived(sink, expected).await?;

    let processes = contestant.processes();
    let (over, watching) = mpsc::channel::<()>();
    let (own, engine) = (contestant.own.clone(), contestant.engine.clone());
    let watch = tokio::task::spawn_blocking(move || watch(&own, &engine, &watching, time.mul_f64(0.4)));
    let cpu = |pids: &[u32]| usage::family(pids).into_iter().map(usage::cpu).sum::<f64>();
    let (cpu_before, bench_before) = (cpu(&processes), usage::own_cpu());
    let begun = Instant::now();
    let sent = fleet.send(set, Until::Time(begun + time)).await;
    drop(over);
    expected += sent.accepted;
    arrived(sink, expected).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let (cpu_after, bench_after) = (cpu(&processes), usage::own_cpu());
    let (total, own) = watch.await.map_err(|error| error.to_string())?;
    sent.clean()?;
    if sink.count() != expected {
        return Err(format!("{} messages arrived that were not sent", sink.count() - expected));
    }
    let messages = sent.accepted as f64;
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    Ok(Round {
        rate: messages / elapsed,
        cpu_ms: (cpu_after - cpu_before) * 1000.0 / messages,
        pss_mib: total as f64 / MIB,
        own_pss_mib: own as f64 / MIB,
        bench_ms: (bench_after - bench_before) * 1000.0 / messages,
        bench_share: (bench_after - bench_before) / elapsed / cores,
    })
}

async fn arrived(sink: &Sink, expected: usize) -> Result<(), String> {
    if sink.wait_for(expected, PATIENCE).await {
        return Ok(());
    }
    Err(format!("LOST: {} of the accepted messages did not arrive in {} s", expected - sink.count(), PATIENCE.as_secs()))
}

/// The largest sums of PSS seen until the other side hangs up: with the engine, and without. Looks rarely enough to cost little: a
/// thirtieth of the time at most.
fn watch(own: &[u32], engine: &[u32], over: &mpsc::Receiver<()>, first: Duration) -> (u64, u64) {
    let sum = |pids: &[u32]| usage::family(pids).into_iter().map(usage::pss).sum::<u64>();
    let mut largest = (0, 0);
    let mut pause = first;
    loop {
        let ended = over.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Disconnected);
        if ended && largest.0 > 0 {
            return largest;
        }
        let begun = Instant::now();
        let own = sum(own);
        let total = own + sum(engine);
        largest = (largest.0.max(total), largest.1.max(own));
        if ended {
            return largest;
        }
        pause = (begun.elapsed() * 30).max(Duration::from_millis(200));
    }
}
