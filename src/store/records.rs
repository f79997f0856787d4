//! Records: one line of JSON for each event in the life of a message, in a file for each day (UTC). Only ever appended to.
//!
//! One call is one write(2) of whole lines. A line that a crash or a full disk cut off is skipped when reading, and counted.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use tokio::sync::broadcast;

use super::disk::Disk;
use super::layout::{Layout, names};
use super::{Store, StoreError, blocking, lock};
use crate::mail::{MessageId, Record};

/// Records that a slow subscriber may lag behind before it misses some.
const BACKLOG: usize = 1024;
/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// The longest line that is looked at; a longer one counts as unreadable.
const LONGEST: usize = 64 << 20;

/// What a scan of the records saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Records handed on.
    pub records: u64,
    /// Lines that are no record: cut off by a crash.
    pub unreadable: u64,
}

/// The files of records.
#[derive(Debug)]
pub(super) struct Records {
    disk: Arc<Disk>,
    folder: PathBuf,
    open: Mutex<Option<Arc<Day>>>,
    watchers: broadcast::Sender<Arc<Record>>,
}

/// The file of one day.
#[derive(Debug)]
pub(super) struct Day {
    date: Date,
    path: PathBuf,
    file: File,
    end: Mutex<End>,
    /// How far it is synced.
    synced: Mutex<u64>,
}

#[derive(Debug)]
struct End {
    length: u64,
    /// The last line was cut off: the next one must begin a new line.
    torn: bool,
}

impl Records {
    pub(super) fn new(disk: Arc<Disk>, layout: &Layout) -> Self {
        Self { disk, folder: layout.records(), open: Mutex::new(None), watchers: broadcast::Sender::new(BACKLOG) }
    }

    /// Appends and returns the file and how long it is now.
    pub(super) fn append(&self, records: &[Record]) -> Result<Option<(Arc<Day>, u64)>, StoreError> {
        let Some(first) = records.first() else { return Ok(None) };
        let mut lines = Vec::with_capacity(512 * records.len());
        // Room for the line end before, should the last line have been cut off.
        lines.push(b'\n');
        for record in records {
            serde_json::to_writer(&mut lines, record)
                .map_err(|e| StoreError::Damaged { what: format!("a record that has no JSON form: {e}") })?;
            lines.push(b'\n');
        }
        let day = self.day(date(first.at))?;
        let end = day.append(&self.disk, &lines)?;
        if self.watchers.receiver_count() > 0 {
            for record in records {
                // Nobody may be there any more.
                let _ = self.watchers.send(Arc::new(record.clone()));
            }
        }
        Ok(Some((day, end)))
    }

    fn day(&self, date: Date) -> Result<Arc<Day>, StoreError> {
        let mut open = lock(&self.open);
        if let Some(day) = open.as_ref().filter(|day| day.date == date) {
            return Ok(day.clone());
        }
        let day = Arc::new(Day::open(&self.disk, self.path(date), date)?);
        *open = Some(day.clone());
        Ok(day)
    }

    fn path(&self, date: Date) -> PathBuf {
        self.folder.join(format!("{date}.jsonl"))
    }

    /// The days that have a file, from `from` on, in order.
    fn days(&self, from: Date) -> Result<Vec<Date>, StoreError> {
        let mut days: Vec<Date> = names(&self.folder)?.iter().filter_map(|name| name.strip_suffix(".jsonl")?.parse().ok()).collect();
        days.retain(|day| *day >= from);
        days.sort_unstable();
        Ok(days)
    }
}

impl Day {
    fn open(disk: &Disk, path: PathBuf, date: Date) -> Result<Self, StoreError> {
        let io = |e| StoreError::io(&path, e);
        let fresh = !path.exists();
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).map_err(io)?;
        if let (true, Some(folder)) = (fresh, path.parent()) {
            disk.sync_dir(folder)?;
        }
        let length = file.metadata().map_err(io)?.len();
        let mut last = [b'\n'];
        if length > 0 {
            file.read_exact_at(&mut last, length - 1).map_err(io)?;
        }
        Ok(Self { date, end: Mutex::new(End { length, torn: last != [b'\n'] }), synced: Mutex::new(0), path, file })
    }

    /// Writes lines with one write(2); `lines` begins with a line end, which is left out unless the last line was cut off.
    fn append(&self, disk: &Disk, lines: &[u8]) -> Result<u64, StoreError> {
        let mut end = lock(&self.end);
        let bytes = if end.torn { lines } else { lines.get(1..).unwrap_or_default() };
        let written = disk.append(&self.file, &self.path, bytes);
        match written {
            Ok(()) => {
                end.length += bytes.len() as u64;
                end.torn = false;
                Ok(end.length)
            }
            Err(error) => {
                // A part of it may be there; if it cannot be taken back, the next line begins anew.
                end.torn |= self.file.set_len(end.length).is_err();
                if let Ok(metadata) = self.file.metadata() {
                    end.length = metadata.len();
                }
                Err(error)
            }
        }
    }

    /// Returns when at least `end` bytes are synced. Whoever waits shares the sync of the one before.
    fn sync(&self, disk: &Disk, end: u64) -> Result<(), StoreError> {
        let mut synced = lock(&self.synced);
        if *synced < end {
            let length = lock(&self.end).length;
            disk.sync(&self.file, &self.path)?;
            *synced = length;
        }
        Ok(())
    }
}

impl Disk {
    fn append(&self, mut file: &File, path: &std::path::Path, bytes: &[u8]) -> Result<(), StoreError> {
        self.writable(path)?;
        loop {
            return match file.write(bytes) {
                Ok(n) if n == bytes.len() => Ok(()),
                // The kernel takes less only when the disk is full.
                Ok(_) => Err(StoreError::Full),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(StoreError::io(path, error)),
            };
        }
    }
}

impl Store {
    /// Appends records, with one write(2) before it returns; not synced. They are in the file of the day of the first one.
    pub fn record(&self, records: &[Record]) -> Result<(), StoreError> {
        self.may_record()?;
        self.records.append(records).map(|_| ())
    }

    /// Appends records and returns when they are synced.
    pub async fn record_synced(&self, records: &[Record]) -> Result<(), StoreError> {
        self.may_record()?;
        let Some((day, end)) = self.records.append(records)? else { return Ok(()) };
        let disk = self.records.disk.clone();
        blocking(move || day.sync(&disk, end)).await?
    }

    fn may_record(&self) -> Result<(), StoreError> {
        self.orders.as_ref().map(|_| ()).ok_or(StoreError::ReadOnly)
    }

    /// All records of a message, in the order of writing. Blocks: reads the files from the id's day until today.
    pub fn records_of(&self, id: MessageId) -> Result<Vec<Record>, StoreError> {
        let text = id.to_string();
        let finder = memchr::memmem::Finder::new(&text);
        let mut found = Vec::new();
        for day in self.records.days(date(id.time()))? {
            let _ = each_line(&self.records.path(day), Some(&finder), &mut |line| {
                found.extend(serde_json::from_slice::<Record>(line).ok().filter(|record| record.id == id));
                ControlFlow::Continue(())
            })?;
        }
        Ok(found)
    }

    /// Hands on every record from `since` to before `until`, in the order of writing, until `f` breaks. Blocks.
    pub fn scan_records(
        &self,
        since: Timestamp,
        until: Option<Timestamp>,
        f: &mut dyn FnMut(Record) -> ControlFlow<()>,
    ) -> Result<Scanned, StoreError> {
        let mut scanned = Scanned::default();
        // Records of one call lie together, so one may lie in the file of the day before.
        let from = date(since).checked_sub(1.day()).unwrap_or(Date::MIN);
        for day in self.records.days(from)?.into_iter().filter(|day| until.is_none_or(|until| *day <= date(until))) {
            let flow = each_line(&self.records.path(day), None, &mut |line| match serde_json::from_slice::<Record>(line) {
                Ok(record) if record.at < since || until.is_some_and(|until| record.at >= until) => ControlFlow::Continue(()),
                Ok(record) => {
                    scanned.records += 1;
                    f(record)
                }
                Err(_) => {
                    scanned.unreadable += 1;
                    ControlFlow::Continue(())
                }
            })?;
            if flow.is_break() {
                break;
            }
        }
        Ok(scanned)
    }

    /// When the last record was written; `None` where there is none. Blocking.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn last_record_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let mut last = None;
        for day in self.records.days(Date::MIN)?.into_iter().rev() {
            let _read_to_its_end = each_line(&self.records.path(day), None, &mut |line| {
                last = serde_json::from_slice::<At>(line).map(|record| record.at).ok().max(last);
                ControlFlow::Continue(())
            })?;
            if last.is_some() {
                break;
            }
        }
        Ok(last)
    }

    /// Every record from now on, as it is written. Who lags behind by more than 1,024 misses some and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Record>> {
        self.records.watchers.subscribe()
    }
}

/// As much of a record as tells when it was written.
#[derive(serde::Deserialize)]
struct At {
    at: Timestamp,
}

/// Calls `f` with every line (or those that contain what `finder` seeks), without its end.
fn each_line(
    path: &std::path::Path,
    finder: Option<&memchr::memmem::Finder<'_>>,
    f: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ControlFlow::Continue(())),
        Err(error) => return Err(StoreError::io(path, error)),
    };
    let mut file = BufReader::with_capacity(CHUNK, file);
    let mut held: Vec<u8> = Vec::with_capacity(2 * CHUNK);
    loop {
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut held).map_err(|e| StoreError::io(path, e))?;
        let whole = match memchr::memrchr(b'\n', &held) {
            _ if read == 0 => held.len(),
            Some(end) => end + 1,
            None if held.len() > LONGEST => held.len(),
            None => continue,
        };
        let (lines, _) = held.split_at_checked(whole).unwrap_or_default();
        if finder.is_none_or(|finder| finder.find(lines).is_some()) {
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                if finder.is_none_or(|finder| finder.find(line).is_some()) && f(line).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        held.drain(..whole);
        if read == 0 {
            return Ok(ControlFlow::Continue(()));
        }
    }
}

fn date(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}
