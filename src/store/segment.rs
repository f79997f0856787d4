//! Segments: the files of the journal. Filled with zeros once, then recycled: writing into blocks that are there already
//! changes no metadata, so a sync waits for the data alone (measured: twice to twenty times as fast as a growing file).
//!
//! A segment is **free**, then **active** (the writer appends to it), then **sealed** (full), and free again once everything in it
//! is in plain files or gone. Free ones are used in the order in which they became free.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::disk::Disk;
use super::layout::Layout;
use super::{StoreError, crash};

/// Free segments kept ready.
const READY: usize = 2;
/// How long the writer waits for a free segment before it says that there is no room.
const PATIENCE: Duration = Duration::from_secs(10);

/// One segment file, open for reading and writing.
#[derive(Debug)]
pub(super) struct Segment {
    pub path: PathBuf,
    pub file: File,
    /// Bytes of the file; one of another size than the settings say is not used again.
    pub size: u64,
}

impl Segment {
    /// `length` bytes from `offset` on. What was read must be checked: the file may have been recycled meanwhile.
    pub(super) fn read(&self, offset: u64, length: u64) -> Result<Bytes, StoreError> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, offset).map_err(|e| StoreError::io(&self.path, e))?;
        Ok(bytes.into())
    }
}

/// All segments and what they are used for.
#[derive(Debug)]
pub(super) struct Pool {
    disk: Arc<Disk>,
    layout: Layout,
    /// Bytes of a segment.
    pub size: u64,
    most: usize,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    free: VecDeque<Arc<Segment>>,
    sealed: VecDeque<(Arc<Segment>, u64)>,
    active: Option<Arc<Segment>>,
    /// How many files there are.
    count: usize,
    /// For the names of new ones.
    next_name: u64,
    closed: bool,
    /// Counts the writer's cries for a segment, and up to which of them the other two have done what they could.
    asked: u64,
    prepared: u64,
    checkpointed: u64,
    /// Why the last attempt to make one failed.
    trouble: Option<StoreError>,
}

impl Pool {
    /// A pool of what recovery found: sealed ones with their last sequence, oldest first, and free ones.
    pub(super) fn new(
        disk: Arc<Disk>,
        layout: Layout,
        size: u64,
        most: usize,
        sealed: Vec<(Segment, u64)>,
        free: Vec<Segment>,
        next_name: u64,
    ) -> Self {
        let sealed: VecDeque<_> = sealed.into_iter().map(|(segment, last)| (Arc::new(segment), last)).collect();
        let free: VecDeque<_> = free.into_iter().map(Arc::new).collect();
        let count = sealed.len() + free.len();
        let inner = Inner { free, sealed, count, next_name, ..Inner::default() };
        Self { disk, layout, size, most, inner: Mutex::new(inner), changed: Condvar::new() }
    }

    /// Whether too few segments are ready to take mail, and another may be made.
    pub(super) fn is_dry(&self) -> bool {
        let inner = self.lock();
        inner.free.len() < READY && inner.count < self.most
    }

    /// Makes one more segment and puts it with the free ones.
    pub(super) fn grow(&self) -> Result<(), StoreError> {
        let name = {
            let mut inner = self.lock();
            inner.next_name += 1;
            inner.next_name
        };
        let folder = self.layout.journal();
        let (path, temporary) = (folder.join(format!("{name:08}.seg")), folder.join(format!(".{name:08}.tmp")));
        self.disk.has_room(&folder, self.size)?;
        let made = self.disk.create(&temporary).and_then(|file| {
            self.disk.zero(&file, &temporary, self.size)?;
            crash::point("segment.after_zero");
            self.disk.sync(&file, &temporary)?;
            self.disk.rename(&temporary, &path)?;
            self.disk.sync_dir(&folder)?;
            Ok(file)
        });
        match made {
            Ok(file) => {
                let mut inner = self.lock();
                inner.free.push_back(Arc::new(Segment { path, file, size: self.size }));
                inner.count += 1;
                inner.trouble = None;
                self.changed.notify_all();
                Ok(())
            }
            Err(error) => {
                // Gives the space back; on a full disk every byte counts.
                let _ = std::fs::remove_file(&temporary);
                Err(error)
            }
        }
    }

    /// Keeps some segments ready until the pool is closed. A thread's whole life.
    pub(super) fn prepare(&self) {
        let mut tried = 0;
        let mut inner = self.lock();
        while !inner.closed {
            let short = inner.count < self.most && inner.free.len() < READY;
            // After a failure it tries again only when asked.
            if short && (inner.trouble.is_none() || inner.asked > tried) {
                tried = inner.asked;
                drop(inner);
                let made = self.grow();
                inner = self.lock();
                if let Err(error) = made {
                    tracing::error!(%error, "the journal could not make another segment");
                    inner.trouble = Some(error);
                }
                continue;
            }
            inner.prepared = inner.asked;
            self.changed.notify_all();
            inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next free segment becomes the active one. Waits until one is ready; `hurry` is called when that takes a checkpoint. The last
    /// one is only for removals (`frees`): when the disk is full, what makes room must still be written down.
    pub(super) fn take(&self, frees: bool, hurry: impl Fn()) -> Result<Arc<Segment>, StoreError> {
        let mut inner = self.wait_free(if frees { 1 } else { 2 }, hurry)?;
        let segment = inner.free.pop_front().ok_or(StoreError::Full)?;
        inner.active = Some(segment.clone());
        self.changed.notify_all();
        Ok(segment)
    }

    /// Waits until there is a segment for removals beside the active one.
    pub(super) fn wait_reserve(&self, hurry: impl Fn()) -> Result<(), StoreError> {
        self.wait_free(1, hurry).map(drop)
    }

    /// Whether there is one now.
    pub(super) fn has_reserve(&self) -> bool {
        !self.lock().free.is_empty()
    }

    /// Waits for free segments; `Err` when neither a checkpoint nor another file has brought enough of them.
    fn wait_free(&self, wanted: usize, hurry: impl Fn()) -> Result<MutexGuard<'_, Inner>, StoreError> {
        let mut inner = self.lock();
        if inner.free.len() < wanted {
            inner.asked += 1;
            hurry();
            self.changed.notify_all();
        }
        let (asked, since) = (inner.asked, Instant::now());
        loop {
            if inner.free.len() >= wanted {
                return Ok(inner);
            }
            let done = inner.prepared >= asked && inner.checkpointed >= asked;
            let waited = since.elapsed();
            if done || inner.closed || waited >= PATIENCE {
                let trouble = inner.trouble.clone();
                return Err(trouble.unwrap_or(StoreError::Full));
            }
            inner = self.changed.wait_timeout(inner, PATIENCE - waited).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The active segment is full (or given up); `last` is its last sequence that counts.
    pub(super) fn seal(&self, last: u64) {
        let mut inner = self.lock();
        if let Some(segment) = inner.active.take() {
            inner.sealed.push_back((segment, last));
        }
    }

    /// The active segment, to sync what was written without waiting.
    pub(super) fn active(&self) -> Option<Arc<Segment>> {
        self.lock().active.clone()
    }

    /// Everything before `horizon` is in plain files: segments that hold nothing else become free.
    pub(super) fn release(&self, horizon: u64) {
        let mut inner = self.lock();
        while inner.sealed.front().is_some_and(|(_, last)| *last < horizon) {
            let Some((segment, _)) = inner.sealed.pop_front() else { break };
            if segment.size == self.size {
                inner.free.push_back(segment);
            } else {
                inner.count -= 1;
                let _ = self.disk.remove(&segment.path);
            }
        }
        self.changed.notify_all();
    }

    /// The last sequence of the sealed segments: a checkpoint up to it frees them all.
    pub(super) fn sealed_through(&self) -> Option<u64> {
        self.lock().sealed.back().map(|(_, last)| *last)
    }

    /// The newest cry for a segment, and whether it is still open.
    pub(super) fn asked(&self) -> (u64, bool) {
        let inner = self.lock();
        (inner.asked, inner.asked > inner.checkpointed)
    }

    /// A checkpoint round that began after cry `asked` has ended.
    pub(super) fn checkpointed(&self, asked: u64) {
        let mut inner = self.lock();
        inner.checkpointed = inner.checkpointed.max(asked);
        self.changed.notify_all();
    }

    /// Ends [`Self::prepare`], and whoever waits in [`Self::take`].
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(most: usize) -> (tempfile::TempDir, Pool) {
        let dir = tempfile::tempdir().unwrap();
        let (disk, layout) = (Arc::new(Disk::default()), Layout::new(dir.path()));
        layout.create(&disk).unwrap();
        (dir, Pool::new(disk, layout, 64 << 10, most, Vec::new(), Vec::new(), 0))
    }

    #[test]
    fn segments_go_round() {
        let (_dir, pool) = pool(3);
        assert!(pool.is_dry());
        pool.grow().unwrap();
        pool.grow().unwrap();
        let one = pool.take(true, || ()).unwrap();
        assert_eq!(one.file.metadata().unwrap().len(), 64 << 10);
        pool.seal(10);
        let two = pool.take(true, || ()).unwrap();
        pool.seal(20);
        assert_eq!(pool.sealed_through(), Some(20));
        pool.release(10);
        assert!(pool.lock().free.is_empty(), "sequence 10 is not in files yet");
        pool.release(11);
        assert_eq!(pool.take(true, || ()).unwrap().path, one.path);
        pool.release(21);
        assert_eq!(pool.take(true, || ()).unwrap().path, two.path);
    }

    #[test]
    fn the_last_one_is_for_removals() {
        let (_dir, pool) = pool(3);
        pool.grow().unwrap();
        let pool = Arc::new(pool);
        pool.lock().prepared = 1;
        assert!(matches!(pool.take(false, || pool_checkpointed(&pool)), Err(StoreError::Full)));
        pool.take(true, || ()).unwrap();
        assert!(!pool.has_reserve());
    }

    #[test]
    fn a_full_disk_is_said_and_forgotten_when_there_is_room() {
        let (_dir, pool) = pool(3);
        let pool = Arc::new(pool);
        pool.disk.faults.fill("journal");
        let preparer = std::thread::spawn({
            let pool = pool.clone();
            move || pool.prepare()
        });
        let taken = pool.take(true, || pool_checkpointed(&pool));
        assert!(matches!(taken, Err(StoreError::Full)), "{taken:?}");
        pool.disk.faults.set(&[]);
        pool.take(true, || ()).unwrap();
        pool.close();
        preparer.join().unwrap();
        assert!(std::fs::read_dir(pool.layout.journal()).unwrap().all(|entry| !entry.unwrap().path().ends_with(".tmp")));
    }

    /// The checkpoint has nothing to do, and says so as soon as the cry is counted.
    fn pool_checkpointed(pool: &Arc<Pool>) {
        let pool = pool.clone();
        std::thread::spawn(move || pool.checkpointed(pool.asked().0));
    }
}
