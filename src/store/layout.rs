//! Where everything lies in the data directory (told to people in `quarantine/README.md`), and the lock on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::StoreError;
use super::disk::Disk;
use crate::mail::{Area, Entry, MessageId, Place};

/// A folder of entries: the spool, or one area of the quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Folder(pub Place, pub Option<Area>);

impl Folder {
    /// The folder in which `entry` belongs. A quarantine entry without an area lies in `Held`.
    pub(super) fn of(entry: &Entry) -> Self {
        match entry.place {
            Place::Spool => Self(Place::Spool, None),
            Place::Quarantine => Self(Place::Quarantine, Some(entry.area.unwrap_or(Area::Held))),
        }
    }

    /// All folders there are.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let areas = Area::ALL.into_iter().map(|area| Self(Place::Quarantine, Some(area)));
        std::iter::once(Self(Place::Spool, None)).chain(areas)
    }
}

/// How long who wants to write waits for those who only read.
const READERS: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Whether those who hold the lock share it.
fn is_only_read(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_ok())
}

/// The paths below the data directory.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// Messages too big for the journal, until the checkpoint moves them to their folder.
    pub(super) fn large(&self) -> PathBuf {
        self.root.join("journal/large")
    }

    pub(super) fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    pub(super) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.sled")
    }

    pub(super) fn folder(&self, folder: Folder) -> PathBuf {
        let path = self.root.join(folder.0.as_str());
        match folder.1 {
            Some(area) => path.join(area.as_str()),
            None => path,
        }
    }

    pub(super) fn eml(&self, folder: Folder, id: MessageId) -> PathBuf {
        self.folder(folder).join(format!("{id}.eml"))
    }

    pub(super) fn json(&self, folder: Folder, id: MessageId) -> PathBuf {
        self.folder(folder).join(format!("{id}.json"))
    }

    /// Makes what is missing, with the rights of our user only.
    pub(super) fn create(&self, disk: &Disk) -> Result<(), StoreError> {
        disk.make_dir(&self.root)?;
        for path in [self.large(), self.records(), self.damaged()] {
            disk.make_dir(&path)?;
        }
        for folder in Folder::all() {
            disk.make_dir(&self.folder(folder))?;
        }
        for path in [self.root.clone(), self.root.join("quarantine"), self.journal()] {
            disk.sync_dir(&path)?;
        }
        Ok(())
    }

    /// Takes the lock on the data directory; it ends when the file is closed, also by a crash.
    pub(super) fn lock(&self, write: bool) -> Result<File, StoreError> {
        let path = self.root.join("lock");
        let unusable = |source: std::io::Error| StoreError::Unusable { path: self.root.clone(), source: source.into() };
        let opened = if write {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)
        } else {
            File::open(&path)
        };
        let mut file = opened.map_err(unusable)?;
        let until = Instant::now() + READERS;
        loop {
            match if write { file.try_lock() } else { file.try_lock_shared() } {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => return Err(unusable(error)),
                // Commands that only look (a monitor's, say) share it for a moment: no reason for a gateway not to start.
                Err(TryLockError::WouldBlock) if write && is_only_read(&path) && Instant::now() < until => std::thread::sleep(LOOK_AGAIN),
                Err(TryLockError::WouldBlock) => {
                    let mut text = String::new();
                    let writer = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                    return Err(StoreError::Locked { pid: writer.filter(|_| !(write && is_only_read(&path))), path });
                }
            }
        }
        if write {
            // Only for the message above; nothing depends on it, so an error (a full disk) is no reason to stay down.
            let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        }
        Ok(file)
    }
}

/// The id in a file name `ID.ext`.
pub(super) fn id_of(stem: &str) -> Option<MessageId> {
    let id: MessageId = stem.parse().ok()?;
    (id.to_string() == stem).then_some(id)
}

/// The names in a folder; those that are not UTF-8 are not ours. A folder that is not there is empty.
pub(super) fn names(path: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io(path, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::io(path, e))?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders() {
        let layout = Layout::new(Path::new("/d"));
        let id: MessageId = "8M4KX2Q9TZAB".parse().unwrap();
        assert_eq!(layout.eml(Folder(Place::Spool, None), id), Path::new("/d/spool/8M4KX2Q9TZAB.eml"));
        assert_eq!(layout.json(Folder(Place::Quarantine, Some(Area::Virus)), id), Path::new("/d/quarantine/Virus/8M4KX2Q9TZAB.json"));
        assert_eq!(Folder::all().count(), 1 + Area::ALL.len());
        assert_eq!(id_of("8m4kx2q9tzab"), None, "another spelling is another file");
        assert_eq!(id_of("8M4KX2Q9TZAB"), Some(id));
    }

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("data"));
        layout.create(&Disk::default()).unwrap();
        let lock = layout.lock(true).unwrap();
        match layout.lock(true) {
            Err(StoreError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        assert!(matches!(layout.lock(false), Err(StoreError::Locked { .. })));
        drop(lock);
        layout.lock(true).unwrap();
    }

    #[test]
    fn who_writes_waits_for_readers() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        drop(layout.lock(true).unwrap());
        let reader = layout.lock(false).unwrap();
        let writer = std::thread::spawn({
            let layout = layout.clone();
            move || layout.lock(true).is_ok()
        });
        while !is_waiting(&writer) {
            std::thread::yield_now();
        }
        drop(reader);
        assert!(writer.join().unwrap());
    }

    /// It has begun, and has not ended at the first refusal.
    fn is_waiting(writer: &std::thread::JoinHandle<bool>) -> bool {
        static BEGAN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        let began = *BEGAN.get_or_init(Instant::now);
        assert!(!writer.is_finished(), "it did not wait");
        began.elapsed() > 2 * LOOK_AGAIN
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let error = Layout::new(&dir.path().join("file/data")).create(&Disk::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("file/data") && text.contains("chown"), "{text}");
    }
}
