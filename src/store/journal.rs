//! The writer: one thread that appends to the journal for everybody, and syncs once for all who wait (group commit).
//!
//! Requests come over a bounded channel. What has come while the last sync ran is written with one system call and synced with one
//! fdatasync; then the changes take effect in memory, in the order of the log, and everybody is answered.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::change::{Message, Payload, Pending, is_end};
use super::files::OwnFile;
use super::frame::{RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader, record_len};
use super::segment::Segment;
use super::state::{At, Effect};
use super::{Shared, StoreError, crash, lock};

/// Bytes and requests written at once, at most.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_REQUESTS: usize = 1024;
/// Requests that wait for the writer; more wait before they are queued.
pub(super) const QUEUE: usize = 1024;
static PADDING: [u8; 8] = [0; 8];

/// A batch of changes to be logged.
#[derive(Debug)]
pub(super) struct Request {
    pub changes: Vec<Pending>,
    pub payload: Payload,
    /// Files of their own that the changes name; kept once the record is synced.
    pub own: Vec<OwnFile>,
    /// Answer after the sync; else after the write.
    pub sync: bool,
    pub answer: oneshot::Sender<Result<(), StoreError>>,
}

impl Request {
    /// Whether it only removes entries, or ends them, which comes before. That is done even when there is no room for anything else.
    fn frees(&self) -> bool {
        self.changes.iter().all(|change| match change {
            Pending::Put { .. } => false,
            Pending::Update(entry) => is_end(entry),
            Pending::Remove(_) => true,
        })
    }
}

/// What the writer is told.
#[derive(Debug)]
pub(super) enum Order {
    Write(Request),
    /// Ends the thread when everything before is done.
    Stop,
}

/// The writer's own state.
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    ordinal: u64,
    /// The last sequence given out; those of failed writes are not used again.
    sequence: u64,
    /// The last sequence that took effect.
    applied: u64,
    /// The last sequence known to be on disk.
    synced: u64,
}

struct Active {
    segment: Arc<Segment>,
    at: usize,
    /// It is the last one, for removals only.
    reserve: bool,
    /// The header has not been written yet.
    fresh: bool,
}

impl Writer {
    /// A writer that goes on after `ordinal`, `sequence` and `last`, as recovery found them.
    pub(super) fn new(shared: Arc<Shared>, ordinal: u64, sequence: u64, last: u64) -> Self {
        Self { shared, active: None, ordinal, sequence, applied: last, synced: last }
    }

    /// The thread's whole life.
    pub(super) fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(order) = orders.blocking_recv() {
            let (mut batch, mut bytes, mut next) = (VecDeque::new(), 0, Some(order));
            while let Some(Order::Write(request)) = next {
                bytes += request.payload.length;
                batch.push_back(request);
                let full = bytes >= BATCH_BYTES || batch.len() >= BATCH_REQUESTS;
                next = if full { None } else { orders.try_recv().ok() };
            }
            while !batch.is_empty() {
                self.write_some(&mut batch);
            }
            if matches!(next, Some(Order::Stop)) {
                break;
            }
        }
        if let Some(active) = &self.active {
            let _ = self.shared.disk.sync(&active.segment.file, &active.segment.path);
        }
    }

    /// Writes as many requests as fit into the active segment, and answers them.
    fn write_some(&mut self, batch: &mut VecDeque<Request>) {
        if let Err(error) = self.above_floor() {
            return answer(&self.shared, std::mem::take(batch).into(), Err(error));
        }
        let Some(first) = batch.front() else { return };
        let capacity = usize::try_from(self.shared.pool.size).unwrap_or(usize::MAX);
        let need = record_len(first.payload.length);
        if need > capacity - SEGMENT_HEADER {
            if let Some(request) = batch.pop_front() {
                let error = StoreError::TooBig(request.payload.length);
                answer(&self.shared, vec![request], Err(error));
            }
            return;
        }
        let frees = first.frees();
        let fits = |active: &Active| active.at + need <= capacity && (frees || !active.reserve || self.shared.pool.has_reserve());
        if !self.active.as_ref().is_some_and(fits)
            && let Err(error) = self.rotate(frees, need, capacity)
        {
            // What needs room is told that there is none; what makes room goes on.
            let (keep, refused) = std::mem::take(batch).into_iter().partition(|request| !frees && request.frees());
            *batch = keep;
            return answer(&self.shared, refused.into(), Err(error));
        }
        let Some(active) = &mut self.active else { return };
        active.reserve &= !self.shared.pool.has_reserve();
        let (mut group, mut end) = (Vec::new(), active.at);
        while let Some(request) = batch.front() {
            end += record_len(request.payload.length);
            if end > capacity || (active.reserve && !request.frees()) {
                break;
            }
            group.extend(batch.pop_front());
        }
        match self.write(&group) {
            Ok(offsets) => {
                self.apply(&mut group, &offsets);
                crash::point("journal.after_apply");
                answer(&self.shared, group, Ok(()));
            }
            Err(error) => {
                tracing::error!(%error, requests = group.len(), "the journal could not be written");
                self.give_up();
                answer(&self.shared, group, Err(error));
            }
        }
    }

    /// One write, and one sync if anybody waits for it. Returns where each payload begins.
    fn write(&mut self, group: &[Request]) -> Result<Vec<u64>, StoreError> {
        let horizon = lock(&self.shared.state).horizon();
        let (ordinal, applied, synced) = (self.ordinal, self.applied, self.synced);
        let Some(active) = &mut self.active else { return Err(StoreError::Closed) };
        let head = SegmentHeader { ordinal, first: self.sequence + 1, previous_last: applied, horizon, size: self.shared.pool.size };
        let (head, fresh) = (head.encode(), active.fresh);
        active.fresh = false;
        let headers: Vec<[u8; RECORD_HEADER]> = group
            .iter()
            .map(|request| {
                self.sequence += 1;
                let length = u32::try_from(request.payload.length).unwrap_or(u32::MAX);
                RecordHeader { ordinal, sequence: self.sequence, synced, horizon, length, crc: request.payload.crc }.encode()
            })
            .collect();
        let mut slices = Vec::with_capacity(1 + 5 * group.len());
        slices.extend(fresh.then_some(IoSlice::new(&head)));
        let mut offsets = Vec::with_capacity(group.len());
        for (request, header) in group.iter().zip(&headers) {
            offsets.push((active.at + RECORD_HEADER) as u64);
            slices.push(IoSlice::new(header));
            slices.extend(request.payload.slices.iter().map(|slice| IoSlice::new(slice)));
            let total = record_len(request.payload.length);
            slices.push(IoSlice::new(PADDING.get(..total - RECORD_HEADER - request.payload.length).unwrap_or_default()));
            active.at += total;
        }
        let (disk, segment) = (&self.shared.disk, &active.segment);
        crash::point("journal.before_write");
        disk.write(&segment.file, &segment.path, &mut slices)?;
        crash::point("journal.after_write");
        if group.iter().any(|request| request.sync) {
            disk.sync(&segment.file, &segment.path)?;
            self.synced = self.sequence;
            metrics::counter!("mailweir_store_synced_total").increment(1);
            crash::point("journal.after_sync");
        }
        Ok(offsets)
    }

    /// What is logged takes effect.
    fn apply(&mut self, group: &mut [Request], offsets: &[u64]) {
        let Some(active) = &self.active else { return };
        let first = self.sequence + 1 - group.len() as u64;
        let now = Instant::now();
        let mut state = lock(&self.shared.state);
        for ((sequence, request), offset) in (first..).zip(group).zip(offsets) {
            for (change, (begin, crc)) in request.changes.drain(..).zip(&request.payload.messages) {
                let effect = match change {
                    Pending::Put { entry, message: Message::Inline(bytes) } => {
                        let (size, offset) = (bytes.len() as u64, offset + *begin as u64);
                        let at = At::Journal { segment: active.segment.clone(), offset, cached: Some(bytes) };
                        Effect::Put { entry, size, crc: *crc, at }
                    }
                    Pending::Put { entry, message: Message::Own { name, size, crc } } => {
                        Effect::Put { entry, size, crc, at: At::Own(name) }
                    }
                    Pending::Update(entry) => Effect::Update(entry),
                    Pending::Remove(key) => Effect::Remove(key),
                };
                state.apply(sequence, effect, Some(now));
            }
            request.own.drain(..).for_each(OwnFile::keep);
        }
        self.applied = self.sequence;
    }

    /// Makes room for a record of `need` bytes: goes on to the next free segment, if need be. Its header is written with its first records.
    fn rotate(&mut self, frees: bool, need: usize, capacity: usize) -> Result<(), StoreError> {
        if let Some(active) = self.active.as_mut().filter(|active| active.reserve && !frees) {
            // It is not given up for something that may not have the next one.
            self.shared.pool.release(lock(&self.shared.state).horizon());
            self.shared.pool.wait_reserve(|| self.shared.wake.hurry())?;
            active.reserve = false;
            if active.at + need <= capacity {
                return Ok(());
            }
        }
        self.retire()?;
        // Perhaps one is free for the asking.
        self.shared.pool.release(lock(&self.shared.state).horizon());
        let segment = self.shared.pool.take(frees, || self.shared.wake.hurry())?;
        std::io::Seek::seek(&mut &segment.file, std::io::SeekFrom::Start(0)).map_err(|e| StoreError::io(&segment.path, e))?;
        self.ordinal += 1;
        let reserve = !self.shared.pool.has_reserve();
        self.active = Some(Active { segment, at: SEGMENT_HEADER, reserve, fresh: true });
        Ok(())
    }

    /// Ends the active segment.
    fn retire(&mut self) -> Result<(), StoreError> {
        if let Some(active) = self.active.take() {
            // What was written without waiting must not be missing from the middle of the log.
            if self.synced < self.applied {
                self.shared.disk.sync(&active.segment.file, &active.segment.path).inspect_err(|_| self.shared.pool.seal(self.applied))?;
                self.synced = self.applied;
            }
            self.shared.pool.seal(self.applied);
            crash::point("journal.after_rotate");
        }
        Ok(())
    }

    /// Where a file was read late whose state is newer than the journal (one that was put back from a backup), the journal goes on above
    /// it: in a new segment, since a gap within one is damage.
    fn above_floor(&mut self) -> Result<(), StoreError> {
        let floor = self.shared.floor.load(Ordering::Acquire);
        if floor > self.sequence {
            self.retire()?;
            self.sequence = floor;
        }
        Ok(())
    }

    /// After a failed write or sync nobody knows what is on disk: the segment is not appended to any more, the next one says where
    /// the log ended, and the failed records are made unreadable as far as the disk lets us, so that what was answered "no" stays so.
    fn give_up(&mut self) {
        let Some(active) = self.active.take() else { return };
        let segment = &active.segment;
        let mut at = SEGMENT_HEADER;
        while at < active.at {
            let mut head = [0; RECORD_HEADER];
            if segment.file.read_exact_at(&mut head, at as u64).is_err() {
                break;
            }
            match RecordHeader::decode(&head).filter(|header| header.ordinal == self.ordinal) {
                Some(header) if header.sequence <= self.applied => at += header.total(),
                _ => break,
            }
        }
        let zeros = vec![0; active.at.saturating_sub(at)];
        let wiped = segment.file.write_all_at(&zeros, at as u64).and_then(|()| segment.file.sync_data());
        if let Err(error) = wiped {
            tracing::error!(%error, path = %segment.path.display(), "what was not accepted could not be wiped from the journal");
        }
        self.shared.pool.seal(self.applied);
    }
}

fn answer(shared: &Shared, group: Vec<Request>, result: Result<(), StoreError>) {
    if matches!(result, Err(StoreError::Full)) {
        shared.full_at.store(jiff::Timestamp::now().as_second(), Ordering::Relaxed);
        metrics::counter!("mailweir_store_full_total").increment(group.len() as u64);
    }
    for request in group {
        // Who asked may have gone.
        let _ = request.answer.send(result.clone());
    }
}
