//! The thread that has sled open: it does what is asked, writes what is pending, and ends when there is nothing to do.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::super::change::Key;
use super::super::lock;
use super::rows::Rows;
use super::{Ask, BATCH, Inner, Opener, wait_on};

/// How long rows wait for company.
const LINGER: Duration = Duration::from_secs(1);
/// How long sled stays open without work.
const IDLE: Duration = Duration::from_secs(10);
/// Lines handed on at once.
const LINES: usize = 1024;

enum Work {
    Ask(Ask),
    Write(Vec<(Key, Option<Vec<u8>>)>),
}

/// The thread's whole life. A panic of sled ends it, and with it the use of the index.
pub(super) fn run(inner: &Inner, path: &Path, opener: Opener, generation: u64) {
    let ended = catch_unwind(AssertUnwindSafe(|| serve(inner, path, opener, generation)));
    let mut queue = lock(&inner.queue);
    if queue.generation == generation {
        (queue.running, queue.busy) = (false, None);
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(why)) => queue.broken(why),
            Err(_) => queue.broken("sled panicked on it".to_owned()),
        }
    }
    drop(queue);
    inner.changed.notify_all();
}

fn serve(inner: &Inner, path: &Path, opener: Opener, generation: u64) -> Result<(), String> {
    let mut rows: Option<Rows> = None;
    loop {
        let Some(work) = next(inner, generation) else {
            // Only when sled is closed, and nobody has asked meanwhile, another thread may open it.
            rows = None;
            let mut queue = lock(&inner.queue);
            if queue.generation == generation && queue.asks.is_empty() && queue.pending.is_empty() {
                queue.running = false;
                queue.generation += 1;
            }
            if queue.generation != generation {
                return Ok(());
            }
            continue;
        };
        if matches!(work, Work::Ask(Ask::Close(_))) {
            rows = None;
        } else if rows.is_none() {
            rows = Some(opener(path)?);
        }
        match (work, &rows) {
            // Who asked may have given up.
            (Work::Ask(Ask::Close(answer)), _) => drop(answer.send(())),
            (Work::Ask(Ask::Lines(answer)), Some(rows)) => {
                rows.lines(LINES, |lines| {
                    if !lines.is_empty() {
                        let _ = answer.send(lines);
                    }
                })?;
                let _ = answer.send(Vec::new());
            }
            (Work::Ask(Ask::Fetch(keys, answer)), Some(rows)) => {
                let found = keys.into_iter().map(|(key, sequence)| rows.get(key, sequence)).collect::<Result<_, _>>()?;
                let _ = answer.send(found);
            }
            (Work::Write(batch), Some(rows)) => rows.write(batch)?,
            (_, None) => {}
        }
    }
}

/// Waits for something to do; `None` when there is nothing for a while, or the thread was given up.
fn next(inner: &Inner, generation: u64) -> Option<Work> {
    let begun = Instant::now();
    let mut queue = lock(&inner.queue);
    if queue.generation == generation {
        queue.busy = None;
        inner.changed.notify_all();
    }
    loop {
        if queue.generation != generation {
            return None;
        }
        if let Some(ask) = queue.asks.pop_front() {
            queue.busy = Some(Instant::now());
            return Some(Work::Ask(ask));
        }
        let waited = queue.since.map(|since| since.elapsed()).unwrap_or_default();
        if !queue.pending.is_empty() && (queue.pending.len() >= BATCH || waited >= LINGER || queue.closing || queue.hurry) {
            let mut batch = Vec::with_capacity(BATCH);
            while let Some(row) = queue.pending.pop_first() {
                batch.push(row);
                if batch.len() >= BATCH {
                    break;
                }
            }
            queue.since = (!queue.pending.is_empty()).then(Instant::now);
            queue.busy = Some(Instant::now());
            inner.changed.notify_all();
            return Some(Work::Write(batch));
        }
        let idle = begun.elapsed();
        if queue.closing || (queue.pending.is_empty() && idle >= IDLE) {
            return None;
        }
        let pause = if queue.pending.is_empty() { IDLE.saturating_sub(idle) } else { LINGER.saturating_sub(waited) };
        queue = wait_on(&inner.changed, queue, pause.max(Duration::from_millis(1)));
    }
}
