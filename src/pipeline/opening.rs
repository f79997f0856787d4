//! Opening: a message is taken apart on a thread of its own, within its time and within the memory for it.
//!
//! **Places.** A message up to 1 MiB has a core, as many at once as there are cores. A larger one runs at a lower priority, and only on
//! half of the cores, so that the small ones, which are nearly all, never queue behind it.
//!
//! **Memory** (`limits.memory`, three eighths of it): an eighth for small messages, half for large ones, three eighths for the slow lane. A
//! message waits for room of its own size before it begins, half of its time at most; then its sender is asked to come again (452). It may
//! decode that much and 8 MiB more without further ado, if the memory is there at once: whoever holds some never waits for more of it.
//! Half of the memory for small messages is kept free of this, since bombs hold theirs until they have been judged.
//!
//! **The slow lane.** Whoever needs more than that, or more than 100 ms (and 30 ms for each MiB of its size), is probably a bomb and at
//! best a rarity. It gives its core back, gets the lowest priority, and waits for the one slow lane, where it has the lane's memory:
//! no bomb may decode more than that, whatever `[content] decoded_bytes` allows. The window of the one stream being unpacked comes on
//! top: never more than what has come out of it, and 64 MiB at most (115 with a library's own tables). The lane is free again when
//! decoding ends; the memory when the message has been judged. Waiting for the lane or its memory counts towards the message's time, so
//! it ends. Nobody is waited for who waits himself: those in the lane need only memory that judged messages give back, and judging needs
//! neither lane nor memory. Where 16 wait already there is no use in waiting. A reader that asks for neither time nor memory for that
//! long loses its core and its priority all the same.
//!
//! **Time** (`[content] time`, from its arrival on): when it is over, what was found so far stands, and the rest is *could not tell
//! (limit)*. A library that loops does not ask us for the time: a second later the message is judged by its header alone, which is *could
//! not tell (limit)* too.
//! Its core is given to others and its thread gets the lowest priority; its memory and its place in the crash ledger it keeps until it
//! ends, should that ever be.
//!
//! **Crashes**: see [`super::ledger`].

mod ticket;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use metrics::counter;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::ledger::Ledger;
use super::memory::{Memory, Room};
use crate::content::{self, CHECK, Limits};
use crate::mail::{Class, Finding, Message, Reason};
use crate::store::crash;
use ticket::{Lane, Ticket};
use workers::{Workers, lower_priority};

/// Up to this size, in bytes, a message is small.
const SMALL: usize = 1 << 20;
/// How much lower the priority of a large message is, in steps of nice(2).
const LARGE_NICE: i32 = 5;
/// So long after the end of its time a message that does not come back is given up.
const GRACE: Duration = Duration::from_secs(1);
/// So many bytes are summed up, and their header fields read, in less time than it takes to hand them to another thread.
const AT_ONCE: usize = 64 << 10;
/// The finding about a message that ended the process.
pub const CRASHED: &str = "content.crashed";
/// The crash point of decomposition: met by a message in which [`MARK`] stands.
const POINT: &str = "opening.marked";
const MARK: &[u8] = b"X-Mailweir-Test: crash when this is taken apart";

/// A message that was taken apart.
pub(super) struct Opened {
    pub(super) message: Arc<Message>,
    /// Of its raw bytes, hex.
    pub(super) sha256: String,
    /// The memory it takes; held until it has been judged.
    pub(super) room: Room,
}

/// Why a message was not taken apart at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unopened {
    /// It panicked outside of any reader, or we are shutting down.
    #[error("the message could not be taken apart (a fault of this program)")]
    Fault,
    /// No memory for it for a while.
    #[error("too much mail is being looked into at this moment")]
    Busy,
}

/// Where messages are opened. One for the whole program.
pub(super) struct Opening {
    small: Arc<Memory>,
    large: Arc<Memory>,
    cores: Arc<Semaphore>,
    large_cores: Arc<Semaphore>,
    lane: Arc<Lane>,
    workers: Arc<Workers>,
    ledger: Arc<Ledger>,
}

impl Opening {
    /// With this many bytes for all messages that are being opened.
    pub(super) fn new(bytes: u64, ledger: Arc<Ledger>) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            small: Arc::new(Memory::new(bytes / 8)),
            large: Arc::new(Memory::new(bytes / 2)),
            cores: Arc::new(Semaphore::new(cores)),
            large_cores: Arc::new(Semaphore::new(cores.div_ceil(2))),
            lane: Arc::new(Lane::new(bytes / 8 * 3)),
            workers: Arc::new(Workers::new(cores * 2)),
            ledger,
        }
    }

    /// Takes a message apart.
    pub(super) async fn open(&self, raw: Bytes, limits: &Limits) -> Result<Opened, Unopened> {
        let is_large = raw.len() > SMALL;
        let (memory, cores) = if is_large { (&self.large, &self.large_cores) } else { (&self.small, &self.cores) };
        let arrived = Instant::now();
        let half = limits.time.0 / 2;
        let room = timeout(half, memory.room(raw.len() as u64)).await.map_err(|_late| {
            counter!("mailweir_opening_total", "end" => "no_room").increment(1);
            Unopened::Busy
        })?;
        let core = cores.clone().acquire_owned().await.map_err(|_| Unopened::Fault)?;
        // Half of its time it has in any case.
        let deadline = (arrived + limits.time.0).max(Instant::now() + half);
        let ticket = Arc::new(Ticket::new(raw.len(), room, core, memory.clone(), self.lane.clone(), deadline));
        let (done, mut result) = oneshot::channel();
        let job = {
            let (ticket, raw, limits, ledger) = (ticket.clone(), raw.clone(), limits.clone(), self.ledger.clone());
            move || {
                ticket.begin();
                if is_large {
                    lower_priority(LARGE_NICE);
                }
                let opened = take_apart(raw, &limits, &ticket, &ledger);
                ticket.finish();
                let _nobody_waits_any_more = done.send(opened);
                !is_large && !ticket.was_slow()
            }
        };
        self.workers.run(Box::new(job)).map_err(|_| Unopened::Fault)?;
        let quick = timeout_at(ticket.quick_until(), &mut result).await;
        let opened = match quick {
            Ok(opened) => Ok(opened),
            Err(_slow) => {
                ticket.give_way();
                timeout_at(deadline + GRACE, result).await
            }
        };
        match opened {
            Ok(Ok((message, sha256))) => {
                counter!("mailweir_opening_total", "end" => ticket.end()).increment(1);
                Ok(Opened { message: Arc::new(message), sha256, room: ticket.room() })
            }
            Ok(Err(_panicked)) => Err(Unopened::Fault),
            Err(_late) => {
                counter!("mailweir_opening_total", "end" => "given_up").increment(1);
                tracing::error!(size = raw.len(), "a message does not come back from being taken apart: given up, its thread runs on");
                ticket.give_up();
                let words = "Taking it apart did not come to an end: only its header was read";
                let finding = Finding::new(CHECK, "mime.limit.time", Class::CouldNotTell { reason: Reason::Limit }, words, "");
                tokio::task::spawn_blocking(move || header(raw, Some(finding))).await.map_err(|_| Unopened::Fault)
            }
        }
    }

    /// Reads the header fields and no more, where nobody looks at anything else.
    pub(super) async fn header(&self, raw: Bytes) -> Result<Opened, Unopened> {
        if raw.len() <= AT_ONCE {
            return Ok(header(raw, None));
        }
        let _core = self.cores.clone().acquire_owned().await.map_err(|_| Unopened::Fault)?;
        tokio::task::spawn_blocking(move || header(raw, None)).await.map_err(|_| Unopened::Fault)
    }
}

/// Takes a message apart on this thread and within its time, where no mail waits: for people who look at a file or at a held message.
pub fn take_apart_alone(raw: Bytes, limits: &Limits) -> Message {
    content::supervised(raw, limits, Arc::new(ticket::Clock::new(limits.time.0)))
}

/// Describes the metrics of this module.
pub(super) fn describe() {
    metrics::describe_counter!(
        "mailweir_opening_total",
        "Messages taken apart, by how it ended: quick, slow_lane, late (or the lane was crowded), given_up, no_room (452)"
    );
}

/// On a worker: sums the message up, and takes it apart unless that ended the process before.
fn take_apart(raw: Bytes, limits: &Limits, ticket: &Arc<Ticket>, ledger: &Arc<Ledger>) -> (Message, String) {
    let hash: [u8; 32] = Sha256::digest(&raw).into();
    let Some(underway) = ledger.enter(hash) else {
        let words = "Taking it apart ended this program twice: it was not tried again";
        let finding = Finding::new(CHECK, CRASHED, Class::CouldNotTell { reason: Reason::Malformed }, words, hex(&hash));
        let opened = header(raw, Some(finding));
        return (Arc::unwrap_or_clone(opened.message), opened.sha256);
    };
    if crash::is_wanted(POINT) && memchr::memmem::find(&raw, MARK).is_some() {
        crash::point(POINT);
    }
    let mut message = content::supervised(raw, limits, ticket.clone());
    underway.survived();
    if let Some(whole) = message.parts.first_mut() {
        whole.sha256 = hash;
    }
    (message, hex(&hash))
}

/// The header fields alone, and why.
fn header(raw: Bytes, why: Option<Finding>) -> Opened {
    let sha256 = hex(&Sha256::digest(&raw));
    let mut message = content::header(raw);
    message.findings.extend(why);
    Opened { message: Arc::new(message), sha256, room: Room::default() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
