//! What one message may take: its core, its memory, its time; and the slow lane for those that want more.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use rustix::process::Pid;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::super::memory::{Memory, Room};
use super::workers::{set_priority, this_thread};
use crate::content::Supervisor;

/// Decoded bytes beyond its own size that a message may have without the slow lane.
const FREE: usize = 8 << 20;
/// Time that a message may take without the slow lane.
const QUICK: Duration = Duration::from_millis(100);
/// The same for each byte of it.
const QUICK_BYTE: Duration = Duration::from_nanos(30);
/// Memory is taken in steps of this many bytes.
const STEP: usize = 256 << 10;
/// The priority of those who are slow, in and before the lane, and of those who were given up, as of nice(2).
const SLOW_NICE: i32 = 15;
const GIVEN_UP_NICE: i32 = 19;
/// So many may wait for the lane.
const WAITING: usize = 16;

/// The slow lane: one place, and memory that only those have who are or were in it.
#[derive(Debug)]
pub(super) struct Lane {
    place: Arc<Semaphore>,
    memory: Memory,
    waiting: AtomicUsize,
}

impl Lane {
    /// With this many bytes.
    pub(super) fn new(bytes: u64) -> Self {
        Self { place: Arc::new(Semaphore::new(1)), memory: Memory::new(bytes), waiting: AtomicUsize::new(0) }
    }

    /// Whether nobody is in it.
    #[cfg(test)]
    pub(super) fn has_place(&self) -> bool {
        self.place.available_permits() == 1
    }

    /// Whether nobody is in it, nor has any of its memory.
    #[cfg(test)]
    pub(super) fn is_free(&self) -> bool {
        self.has_place() && self.memory.room_at_once(u64::MAX).is_some()
    }
}

/// A message on its way. The thread that takes it apart asks as [`Supervisor`]; the task that waits for it has the rest.
#[derive(Debug)]
pub(super) struct Ticket {
    /// What it may decode without the slow lane, in bytes.
    free: usize,
    /// What it leaves of `memory` for others when it decodes more than its size, in bytes.
    keep: u64,
    memory: Arc<Memory>,
    lane: Arc<Lane>,
    runtime: Handle,
    quick_until: Instant,
    deadline: Instant,
    thread: OnceLock<Pid>,
    over: AtomicBool,
    in_lane: AtomicBool,
    /// It took longer than most: its thread has a low priority.
    slow: AtomicBool,
    held: Mutex<Held>,
}

/// What it has of what others want too.
#[derive(Debug)]
struct Held {
    room: Room,
    core: Option<OwnedSemaphorePermit>,
    lane: Option<OwnedSemaphorePermit>,
    /// Bytes decoded.
    decoded: usize,
    /// Bytes that it may have decoded.
    granted: usize,
    /// Those of them that are the lane's.
    from_lane: usize,
    /// It has been taken apart: its thread is for others.
    finished: bool,
}

impl Ticket {
    /// For a message of `size` bytes, which has `room` and `core` and may take more out of `memory`. Must be made inside a runtime.
    pub(super) fn new(
        size: usize,
        room: Room,
        core: OwnedSemaphorePermit,
        memory: Arc<Memory>,
        lane: Arc<Lane>,
        deadline: Instant,
    ) -> Self {
        let quick = QUICK + QUICK_BYTE.saturating_mul(u32::try_from(size).unwrap_or(u32::MAX));
        Self {
            free: size.saturating_add(FREE),
            // A few small bombs must not keep all small mail waiting until they have been judged.
            keep: if size <= super::SMALL { memory.total() / 2 } else { 0 },
            memory,
            lane,
            runtime: Handle::current(),
            quick_until: Instant::now() + quick,
            deadline,
            thread: OnceLock::new(),
            over: AtomicBool::new(false),
            in_lane: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            held: Mutex::new(Held { room, core: Some(core), lane: None, decoded: 0, granted: size, from_lane: 0, finished: false }),
        }
    }

    /// On the thread that will do it.
    pub(super) fn begin(&self) {
        let _once = self.thread.set(this_thread());
    }

    /// It has been taken apart: lane and core are for others, and the memory that it did not need.
    pub(super) fn finish(&self) {
        let mut held = self.held();
        (held.core, held.lane) = (None, None);
        held.finished = true;
        let decoded = held.decoded as u64;
        held.room.trim(decoded);
    }

    /// It is not waited for any more. What it has decoded it keeps.
    pub(super) fn give_up(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.held().lane = None;
        self.slow_down(GIVEN_UP_NICE);
    }

    /// Its quick time is over: the core is for others, and its thread takes what they leave. By whoever waits for it, since readers may
    /// not ask for a while.
    pub(super) fn give_way(&self) {
        self.slow_down(SLOW_NICE);
    }

    /// Until when it has its core.
    pub(super) fn quick_until(&self) -> Instant {
        self.quick_until
    }

    fn slow_down(&self, nice: i32) {
        let mut held = self.held();
        held.core = None;
        // A thread that has finished may have another message already.
        if let Some(thread) = self.thread.get().filter(|_| !held.finished) {
            self.slow.store(true, Ordering::Relaxed);
            set_priority(*thread, nice);
        }
    }

    /// The memory that it takes.
    pub(super) fn room(&self) -> Room {
        std::mem::take(&mut self.held().room)
    }

    /// Whether its thread has a low priority.
    pub(super) fn was_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// Whether it was, or wanted to be, in the slow lane.
    pub(super) fn was_in_lane(&self) -> bool {
        self.in_lane.load(Ordering::Relaxed)
    }

    /// How it ended, for the metrics.
    pub(super) fn end(&self) -> &'static str {
        match (self.over.load(Ordering::Relaxed), self.was_in_lane()) {
            (true, _) => "late",
            (false, true) => "slow_lane",
            (false, false) => "quick",
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks this thread, which is no thread of the runtime, until `wanted` is there or the time is over.
    fn wait<T>(&self, wanted: impl Future<Output = T>) -> Option<T> {
        self.runtime.block_on(async { timeout_at(self.deadline, wanted).await.ok() })
    }

    /// Waits for the lane; false where it is not to be had in time, and then the time is over.
    fn enter_lane(&self) -> bool {
        if self.in_lane.swap(true, Ordering::Relaxed) {
            return true;
        }
        self.slow_down(SLOW_NICE);
        let waiting = self.lane.waiting.fetch_add(1, Ordering::Relaxed);
        let place = match waiting < WAITING {
            true => self.wait(self.lane.place.clone().acquire_owned()).and_then(Result::ok),
            false => None,
        };
        self.lane.waiting.fetch_sub(1, Ordering::Relaxed);
        if place.is_none() {
            self.over.store(true, Ordering::Relaxed);
        }
        self.held().lane = place;
        !self.over.load(Ordering::Relaxed)
    }

    /// More memory without waiting and without the lane.
    fn grows_at_once(&self, missing: usize) -> bool {
        let step = missing.max(STEP);
        let mut held = self.held();
        let may = !self.was_in_lane() && held.granted.saturating_add(missing) <= self.free;
        let Some(room) = may.then(|| self.memory.spare_room(step as u64, self.keep)).flatten() else { return false };
        held.room.join(room);
        held.granted += step;
        true
    }

    /// More memory out of the lane's: what judged messages still hold of it is waited for.
    fn grows_in_lane(&self, missing: usize) -> bool {
        let left = usize::try_from(self.lane.memory.total()).unwrap_or(usize::MAX).saturating_sub(self.held().from_lane);
        if missing > left {
            return false;
        }
        let step = missing.max(STEP).min(left);
        let room = match self.lane.memory.room_at_once(step as u64) {
            Some(room) => room,
            None => match self.wait(self.lane.memory.room(step as u64)) {
                Some(room) => room,
                None => {
                    self.over.store(true, Ordering::Relaxed);
                    return false;
                }
            },
        };
        let mut held = self.held();
        held.room.join(room);
        held.granted += step;
        held.from_lane += step;
        true
    }
}

impl Supervisor for Ticket {
    fn may_go_on(&self) -> bool {
        if self.over.load(Ordering::Relaxed) {
            return false;
        }
        let now = Instant::now();
        if now >= self.deadline {
            self.over.store(true, Ordering::Relaxed);
            return false;
        }
        now < self.quick_until || self.enter_lane()
    }

    fn grant(&self, bytes: usize) -> bool {
        let missing = {
            let mut held = self.held();
            held.decoded = held.decoded.saturating_add(bytes);
            held.decoded.saturating_sub(held.granted)
        };
        if missing == 0 || self.grows_at_once(missing) {
            return true;
        }
        let grown = self.enter_lane() && self.grows_in_lane(missing);
        if !grown {
            let mut held = self.held();
            held.decoded = held.decoded.saturating_sub(bytes);
        }
        grown
    }
}

/// A time limit and nothing else.
#[derive(Debug)]
pub(super) struct Clock(std::time::Instant, Duration);

impl Clock {
    pub(super) fn new(time: Duration) -> Self {
        Self(std::time::Instant::now(), time)
    }
}

impl Supervisor for Clock {
    fn may_go_on(&self) -> bool {
        self.0.elapsed() < self.1
    }

    fn grant(&self, _bytes: usize) -> bool {
        true
    }
}
