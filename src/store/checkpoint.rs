//! The checkpoint: what is still here some seconds after it was accepted becomes plain files, and journal segments become free.
//!
//! In one round: first the files of removed entries go; then, batch by batch, `.eml` and `.json` are written under other names, all
//! are synced, all are renamed (the `.eml` before its `.json`), the folders are synced, and only then do the rows count as written.
//! Mail that was delivered meanwhile never becomes a file.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::change::Key;
use super::files::{Draft, Stamp, check_message};
use super::index::{IndexState, Line};
use super::layout::Folder;
use super::state::{At, Gone, Todo, Wanted};
use super::{Shared, StoreError, crash, lock};

/// Entries and bytes of one batch.
const ROWS: usize = 512;
const BYTES: u64 = 32 << 20;
/// Up to so many entries are synced file by file; more by one sync of the file system. It writes what others have left unwritten there
/// too, and is still the faster way: on ext4, 64 entries took 74 ms so and 642 ms one by one (470 ms where all are handed to the disk
/// first, sync_file_range); beside a process that wrote 80 MB/s to the same disk 202, 874 and 539 ms; 512 entries 0.4, 5.0 and 2.9 s.
const FEW: usize = 4;

/// Calls the checkpoint's thread.
#[derive(Debug, Default)]
pub(super) struct Wake {
    call: Mutex<Call>,
    called: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Call {
    hurry: bool,
    stop: bool,
}

impl Wake {
    /// A segment is needed now.
    pub(super) fn hurry(&self) {
        lock(&self.call).hurry = true;
        self.called.notify_all();
    }

    /// The thread shall end.
    pub(super) fn stop(&self) {
        lock(&self.call).stop = true;
        self.called.notify_all();
    }

    fn wait(&self, time: Duration) -> Call {
        let call = lock(&self.call);
        let (mut call, _) =
            self.called.wait_timeout_while(call, time, |call| !call.hurry && !call.stop).unwrap_or_else(PoisonError::into_inner);
        let now = *call;
        call.hurry = false;
        now
    }
}

/// Which entries a round takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Those that have waited long enough.
    Ripe,
    /// Those too that keep a sealed segment from being used again.
    Sealed,
    /// All.
    All,
}

/// The thread's whole life.
pub(super) fn run(shared: &Arc<Shared>) {
    let age = shared.journal.checkpoint.0;
    let pause = (age / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        let call = shared.wake.wait(pause);
        if call.stop {
            return;
        }
        let (asked, open) = shared.pool.asked();
        if let Err(error) = round(shared, if open { Scope::Sealed } else { Scope::Ripe }) {
            tracing::error!(%error, "the checkpoint could not write entries to files; they stay in the journal");
        }
        shared.pool.checkpointed(asked);
    }
}

/// One round. An error leaves what could not be done to the next round; nothing is lost by it.
pub(super) fn round(shared: &Arc<Shared>, scope: Scope) -> Result<(), StoreError> {
    let _one_at_a_time = lock(&shared.rounds);
    let buried = lock(&shared.state).buried();
    if !buried.is_empty() {
        remove(shared, &buried.iter().map(|(_, gone)| gone.clone()).collect::<Vec<_>>())?;
        lock(&shared.state).unburied(buried.into_iter().map(|(name, _)| name));
    }
    let (now, age) = (Instant::now(), shared.journal.checkpoint.0);
    let through = match scope {
        Scope::Ripe => 0,
        Scope::Sealed => shared.pool.sealed_through().unwrap_or(0),
        Scope::All => u64::MAX,
    };
    let wanted = Wanted { now, age, through, rows: ROWS, bytes: BYTES };
    let (mut cursor, mut trouble) = (None, Ok(()));
    loop {
        let (todo, next) = lock(&shared.state).todo(&wanted, cursor);
        if next.is_none() {
            break;
        }
        cursor = next;
        let begun = Instant::now();
        let written = write(shared, &todo);
        metrics::histogram!("mailweir_store_checkpoint_seconds").record(begun.elapsed().as_secs_f64());
        shared.pool.release(lock(&shared.state).horizon());
        if let Err(error) = written {
            let full = matches!(error, StoreError::Full);
            trouble = Err(error);
            if full {
                break;
            }
        }
    }
    shared.pool.release(lock(&shared.state).horizon());
    trouble
}

/// Removes the files of entries that are gone.
fn remove(shared: &Arc<Shared>, buried: &[Gone]) -> Result<(), StoreError> {
    // A file must not go before the journal's word for it is on disk: a .eml alone would look like damage.
    if let Some(active) = shared.pool.active() {
        shared.disk.sync(&active.file, &active.path)?;
    }
    let (disk, layout) = (&shared.disk, &shared.layout);
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    for gone in buried {
        if gone.folder.is_some() {
            // An entry may have been moved between areas.
            for folder in Folder::all().filter(|folder| folder.0 == gone.key.0) {
                for path in [layout.json(folder, gone.key.1), layout.eml(folder, gone.key.1)] {
                    if path.exists() {
                        disk.remove(&path)?;
                        folders.insert(layout.folder(folder));
                    }
                }
            }
        }
        if let Some(name) = &gone.own {
            disk.remove(&layout.large().join(name.as_ref()))?;
        }
    }
    crash::point("checkpoint.after_unlink");
    folders.iter().try_for_each(|folder| disk.sync_dir(folder))?;
    shared.index.remove(buried.iter().map(|gone| gone.key));
    Ok(())
}

/// An entry whose files are written under other names.
struct Prepared<'a> {
    todo: &'a Todo,
    eml: Option<Draft>,
    json: Draft,
}

/// Writes a batch. Entries that cannot be written are left out, and the first reason is told; a full disk ends the batch.
fn write(shared: &Arc<Shared>, todo: &[Todo]) -> Result<(), StoreError> {
    let (mut prepared, mut trouble) = (Vec::with_capacity(todo.len()), Ok(()));
    let systems = if todo.len() > FEW { file_systems(shared, todo)? } else { Vec::new() };
    for todo in todo {
        match prepare(shared, todo) {
            Ok(one) if systems.is_empty() => prepared.push(one),
            Ok(one) => prepared.push(Prepared { eml: one.eml.map(Draft::close), json: one.json.close(), ..one }),
            Err(error) => {
                let full = matches!(error, StoreError::Full);
                trouble = trouble.and(Err(error));
                if full {
                    break;
                }
            }
        }
    }
    crash::point("checkpoint.after_eml");
    for one in &prepared {
        one.eml.iter().chain([&one.json]).try_for_each(|draft| draft.sync(&shared.disk))?;
    }
    systems.iter().try_for_each(|(dir, path)| shared.disk.sync_file_system(dir, path))?;
    crash::point("checkpoint.after_sync");
    let (mut folders, mut done) = (BTreeSet::new(), Vec::with_capacity(prepared.len()));
    for one in prepared {
        let todo = one.todo;
        folders.insert(shared.layout.folder(todo.to));
        folders.extend(todo.from.map(|from| shared.layout.folder(from)));
        if matches!(todo.at, At::Own(_)) {
            folders.insert(shared.layout.large());
        }
        match rename(shared, one) {
            Ok(stamp) => done.push((todo, stamp)),
            Err(error) => trouble = trouble.and(Err(error)),
        }
    }
    crash::point("checkpoint.after_rename");
    folders.iter().try_for_each(|folder| shared.disk.sync_dir(folder))?;
    finish(shared, &done);
    trouble
}

/// The folders of the batch, one for each file system that they lie on (an area may be on a disk of its own). They are opened before
/// anything is written, so that the sync tells of every error since.
fn file_systems(shared: &Arc<Shared>, todo: &[Todo]) -> Result<Vec<(File, PathBuf)>, StoreError> {
    let (mut devices, mut systems) = (BTreeSet::new(), Vec::new());
    for path in todo.iter().map(|todo| todo.to).collect::<BTreeSet<_>>().into_iter().map(|to| shared.layout.folder(to)) {
        let dir = File::open(&path).map_err(|e| StoreError::io(&path, e))?;
        if devices.insert(dir.metadata().map_err(|e| StoreError::io(&path, e))?.dev()) {
            systems.push((dir, path));
        }
    }
    Ok(systems)
}

fn prepare<'a>(shared: &Arc<Shared>, todo: &'a Todo) -> Result<Prepared<'a>, StoreError> {
    let (disk, layout) = (&shared.disk, &shared.layout);
    let eml = match &todo.at {
        At::Journal { segment, offset, cached } => {
            let bytes = match cached {
                Some(bytes) => bytes.clone(),
                None => segment.read(*offset, todo.facts.size)?,
            };
            check_message(&bytes, &todo.facts, || format!("{} at {offset}", segment.path.display()))?;
            Some(Draft::eml(disk, layout, todo.to, todo.key.1, &bytes)?)
        }
        At::Own(_) | At::File => None,
    };
    let json = Draft::json(disk, layout, todo.to, &todo.facts, &todo.entry)?;
    Ok(Prepared { todo, eml, json })
}

/// Gives the files of an entry their names, the `.json` last.
fn rename(shared: &Arc<Shared>, one: Prepared<'_>) -> Result<Stamp, StoreError> {
    let (disk, layout, todo) = (&shared.disk, &shared.layout, one.todo);
    let moved = todo.from.filter(|from| *from != todo.to);
    let (id, eml) = (todo.key.1, layout.eml(todo.to, todo.key.1));
    let elsewhere = match (&todo.at, moved) {
        (At::Own(name), _) => Some(layout.large().join(name.as_ref())),
        (At::File, Some(from)) => Some(layout.eml(from, id)),
        _ => None,
    };
    if let Some(draft) = one.eml {
        draft.rename(disk)?;
    }
    if let Some(from) = elsewhere {
        // It may have been moved by a round that failed later on.
        disk.rename(&from, &eml).or_else(|error| if error.is_not_found() && eml.exists() { Ok(()) } else { Err(error) })?;
    }
    crash::point("checkpoint.between_renames");
    let stamp = one.json.rename(disk)?;
    if let Some(from) = moved {
        disk.remove(&layout.json(from, id))?;
        disk.remove(&layout.eml(from, id))?;
    }
    Ok(stamp)
}

/// The files are there to stay: rows and index learn of it.
fn finish(shared: &Arc<Shared>, done: &[(&Todo, Stamp)]) {
    let now = Instant::now();
    {
        let mut state = lock(&shared.state);
        done.iter().for_each(|(todo, _)| state.written(todo, now));
    }
    shared.index.put(done.iter().map(|(todo, stamp)| {
        let line = Line { stamp: *stamp, facts: todo.facts.clone() };
        (todo.key, line, todo.entry.as_ref())
    }));
    crash::point("checkpoint.after_index");
    let mut state = lock(&shared.state);
    for (todo, _) in done {
        let (key, sequence): (Key, u64) = (todo.key, todo.facts.sequence);
        state.forget(key, sequence);
    }
    metrics::counter!("mailweir_store_checkpointed_total").increment(done.len() as u64);
    drop(state);
    let unneeded = !done.is_empty() && shared.index.state() == IndexState::Unneeded;
    if unneeded && lock(&shared.state).count_filed() >= shared.index_from {
        // From now on there are enough of them for it.
        if let Err(error) = shared.rebuild_index() {
            tracing::error!(%error, "no index; entries are read from their files");
        }
    }
}
