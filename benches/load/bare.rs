//! The bare disk: what a group commit and a single sync cost here, without any of the store's code.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of one record: the mean of the mix.
pub const RECORD: usize = 22 << 10;
const SEGMENT: usize = 16 << 20;
const SEGMENTS: usize = 4;

/// Segments full of zeros, synced; written over and over.
pub struct Segments {
    files: Vec<File>,
    record: Vec<u8>,
    at: usize,
}

impl Segments {
    pub fn create(folder: &Path) -> io::Result<Self> {
        let files = (0..SEGMENTS).map(|number| {
            let file = OpenOptions::new().write(true).create_new(true).open(folder.join(format!("segment-{number}")))?;
            for place in 0..SEGMENT >> 20 {
                file.write_all_at(&vec![0; 1 << 20], (place as u64) << 20)?;
            }
            file.sync_all()?;
            Ok(file)
        });
        Ok(Self { files: files.collect::<io::Result<_>>()?, record: vec![b'x'; 200 * RECORD], at: 0 })
    }

    /// Writes `bytes` in one piece behind what was written before, and syncs.
    fn append(&mut self, bytes: usize) -> io::Result<()> {
        let bytes = bytes.min(self.record.len());
        if self.at % SEGMENT + bytes > SEGMENT {
            self.at = (self.at / SEGMENT + 1) * SEGMENT % (SEGMENT * SEGMENTS);
        }
        let file = &self.files[self.at / SEGMENT];
        file.write_all_at(&self.record[..bytes], (self.at % SEGMENT) as u64)?;
        self.at = (self.at + bytes) % (SEGMENT * SEGMENTS);
        file.sync_data()
    }

    /// How long single writes of `bytes` with their sync take.
    pub fn single(&mut self, bytes: usize, times: usize) -> io::Result<Vec<Duration>> {
        (0..times)
            .map(|_| {
                let begun = Instant::now();
                self.append(bytes)?;
                Ok(begun.elapsed())
            })
            .collect()
    }

    /// Records per second: `writers` threads, each with one record at a time, synced once for all who wait.
    pub fn group_commit(&mut self, writers: usize, time: Duration) -> io::Result<f64> {
        let group = Mutex::new(Group::default());
        let (work, done) = (Condvar::new(), Condvar::new());
        let locked = || group.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let mut records = 0;
        let result = std::thread::scope(|scope| {
            for _ in 0..writers {
                scope.spawn(|| {
                    let mut state = locked();
                    while !state.over {
                        state.waiting += 1;
                        let mine = state.open;
                        work.notify_one();
                        state = done.wait_while(state, |state| state.synced <= mine && !state.over).unwrap_or_else(PoisonError::into_inner);
                    }
                });
            }
            let result = loop {
                let mut state = work.wait_while(locked(), |state| state.waiting == 0).unwrap_or_else(PoisonError::into_inner);
                let count = std::mem::take(&mut state.waiting);
                state.open += 1;
                drop(state);
                if let Err(error) = self.append(count * RECORD) {
                    break Err(error);
                }
                records += count;
                locked().synced += 1;
                done.notify_all();
                if begun.elapsed() >= time {
                    break Ok(());
                }
            };
            locked().over = true;
            done.notify_all();
            result
        });
        result.map(|()| records as f64 / begun.elapsed().as_secs_f64())
    }
}

#[derive(Default)]
struct Group {
    /// Writers whose record is in the group that is being gathered.
    waiting: usize,
    /// Its number.
    open: u64,
    /// Groups that are synced.
    synced: u64,
    over: bool,
}
