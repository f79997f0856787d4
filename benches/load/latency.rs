//! One connection: how long the sender waits for the reply to its dot, beside one sync of the same disk. Blocks of messages alternate
//! between the contestants, all of which run the whole time; the syncs alternate with the messages of the spool.

use std::time::Duration;

use crate::bare::Segments;
use crate::book::Book;
use crate::contestants::{Contestant, Kind, Site};
use crate::messages::Set;
use crate::options::Options;
use crate::sender::{Session, Style};
use crate::sink::Sink;

/// What a delayed acknowledgement (40 ms on Linux) looks like.
const STALL: std::ops::Range<Duration> = Duration::from_millis(35)..Duration::from_millis(60);

/// The names of the figures that goals are set for.
pub const CUT_THROUGH: &str = "acknowledgement, cut-through, p50";
pub const SPOOL: &str = "acknowledgement, spool, p50";
pub const DISK: &str = "one write of 4 KiB with fdatasync, p50";
pub const STALLS: &str = "acknowledgements of 35 to 60 ms, Mailweir";

struct Row {
    name: String,
    kind: Kind,
    style: Style,
    session: Session,
    times: Vec<Duration>,
}

pub async fn run(options: &Options, site: &Site, sink: &Sink, book: &mut Book) {
    if let Err(error) = measure(options, site, sink, book).await {
        println!("  FAILED: {error}");
    }
}

async fn measure(options: &Options, site: &Site, sink: &Sink, book: &mut Book) -> Result<(), String> {
    let (blocks, each) = if options.quick { (5, 20) } else { (20, 25) };
    let set = Set::small();
    let mut running = Vec::new();
    let mut rows = Vec::new();
    for kind in [Kind::CutThrough, Kind::Spool, Kind::Attachments, Kind::Postfix, Kind::Relay] {
        let contestant = Contestant::start(kind, site).await?;
        for (style, ending) in [(Style::Together, ""), (Style::DotAlone, ", dot alone with Nagle on")] {
            if style == Style::DotAlone && !matches!(kind, Kind::CutThrough | Kind::Spool | Kind::Postfix) {
                continue;
            }
            let mut session = Session::open(contestant.address).await.map_err(|error| error.to_string())?;
            for _ in 0..20 {
                session.send(&set.messages[0], Style::Together).await.map_err(|error| error.to_string())?;
            }
            rows.push(Row { name: format!("{}{ending}", kind.name()), kind, style, session, times: Vec::new() });
        }
        running.push(contestant);
    }
    let folder = tempfile::TempDir::new().map_err(|error| error.to_string())?;
    let mut segments = Segments::create(folder.path()).map_err(|error| error.to_string())?;
    let mut disk = Vec::new();
    for _ in 0..blocks {
        for row in &mut rows {
            let count = if row.style == Style::Together { each } else { each / 4 };
            for _ in 0..count {
                if row.kind == Kind::Spool && row.style == Style::Together {
                    // Turn by turn, so that both meet the disk and the machine in the same mood. Nothing else runs on this thread now.
                    disk.extend(segments.single(4 << 10, 1).map_err(|error| error.to_string())?);
                }
                let (code, time) = row.session.send(&set.messages[0], row.style).await.map_err(|error| format!("{}: {error}", row.name))?;
                if code != 250 {
                    return Err(format!("{} answered {code}", row.name));
                }
                row.times.push(time);
            }
            // What comes after the reply must not be the next one's delay.
            settle(sink).await;
        }
    }
    for contestant in running {
        contestant.stop().await;
    }
    report(rows, disk, book);
    Ok(())
}

/// Until nothing has arrived for a moment.
async fn settle(sink: &Sink) {
    for _ in 0..50 {
        let count = sink.count();
        if !sink.wait_for(count + 1, Duration::from_millis(40)).await {
            return;
        }
    }
}

fn report(rows: Vec<Row>, disk: Vec<Duration>, book: &mut Book) {
    let mut stalls = 0;
    println!("\nacknowledgement of 4 KiB over one connection, in ms: from writing the end of data to the 250");
    println!("{:<36} {:>6} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8}", "", "count", "p50", "p90", "p99", "max", "35-60 ms", ">60 ms");
    let line = |name: &str, mut times: Vec<Duration>| {
        times.sort();
        let at = |share: f64| times.get(((times.len() - 1) as f64 * share) as usize).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
        let stalled = times.iter().filter(|time| STALL.contains(*time)).count();
        let longer = times.iter().filter(|time| **time >= STALL.end).count();
        println!(
            "{name:<36} {:>6} {:>8.3} {:>8.3} {:>8.3} {:>8.3} {stalled:>10} {longer:>8}",
            times.len(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        );
        (at(0.5), at(0.99), stalled)
    };
    let mut figures = vec![(DISK.to_owned(), line("one fdatasync", disk).0)];
    for row in rows {
        let (p50, p99, stalled) = line(&row.name, row.times);
        // With the dot alone it is the sender's own Nagle that waits; those are in the table.
        if !matches!(row.kind, Kind::Postfix | Kind::Relay) && row.style == Style::Together {
            stalls += stalled;
        }
        figures.push((format!("acknowledgement, {}, p50", row.name), p50));
        figures.push((format!("acknowledgement, {}, p99", row.name), p99));
    }
    for (name, value) in figures {
        book.figure(name, value, "ms");
    }
    book.figure(STALLS, stalls as f64, "");
}
