//! The few things the store asks of the file system, in one place, so that a test can make the n-th of them fail.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::StoreError;

/// Zeros to fill with; written 64 KiB at a time.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The disk, or in tests one that fails when told to.
#[derive(Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    pub(super) faults: fault::Faults,
}

impl Disk {
    /// Creates `path`, empty, for reading and writing, readable by our user only.
    pub(super) fn create(&self, path: &Path) -> Result<File, StoreError> {
        self.gate(Op::Create, path)?;
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path).map_err(|e| StoreError::io(path, e))
    }

    /// Writes all slices where the file's cursor stands: one system call, unless the kernel takes less at once.
    pub(super) fn write(&self, mut file: &File, path: &Path, mut slices: &mut [IoSlice<'_>]) -> Result<(), StoreError> {
        #[cfg(test)]
        if let Some(error) = self.faults.short_write(file, path, slices) {
            return Err(StoreError::io(path, error));
        }
        self.gate(Op::Write, path)?;
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match file.write_vectored(slices) {
                Ok(0) => return Err(StoreError::io(path, io::ErrorKind::WriteZero.into())),
                Ok(n) => IoSlice::advance_slices(&mut slices, n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(StoreError::io(path, error)),
            }
        }
        Ok(())
    }

    /// Whether `path` may be written to: always, but in tests.
    pub(super) fn writable(&self, path: &Path) -> Result<(), StoreError> {
        self.gate(Op::Write, path)
    }

    /// [`StoreError::Full`] unless `size` bytes and as many again are free where `path` lies. What is tried and fails uses up what
    /// others need meanwhile.
    pub(super) fn has_room(&self, path: &Path, size: u64) -> Result<(), StoreError> {
        let system = rustix::fs::statvfs(path).map_err(|e| StoreError::io(path, e.into()))?;
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if free < size.saturating_mul(2) { Err(StoreError::Full) } else { Ok(()) }
    }

    /// Writes `size` zeros: real writes, so that later ones change no metadata.
    pub(super) fn zero(&self, file: &File, path: &Path, size: u64) -> Result<(), StoreError> {
        let mut left = size;
        while left > 0 {
            let n = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
            self.write(file, path, &mut [IoSlice::new(ZEROS.get(..n).unwrap_or_default())])?;
            left -= n as u64;
        }
        Ok(())
    }

    /// fdatasync(2).
    pub(super) fn sync(&self, file: &File, path: &Path) -> Result<(), StoreError> {
        self.gate(Op::Sync, path)?;
        file.sync_data().map_err(|e| StoreError::io(path, e))
    }

    /// syncfs(2): everything on the file system that `dir` lies on, in one go.
    pub(super) fn sync_file_system(&self, dir: &File, path: &Path) -> Result<(), StoreError> {
        self.gate(Op::Sync, path)?;
        rustix::fs::syncfs(dir).map_err(|e| StoreError::io(path, e.into()))
    }

    /// fsync(2) of a folder: what was renamed or removed in it stays so.
    pub(super) fn sync_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.gate(Op::Sync, path)?;
        File::open(path).and_then(|dir| dir.sync_all()).map_err(|e| StoreError::io(path, e))
    }

    /// rename(2), over what is there.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.gate(Op::Rename, from)?;
        fs::rename(from, to).map_err(|e| StoreError::io(from, e))
    }

    /// unlink(2); a file that is not there is as good as removed.
    pub(super) fn remove(&self, path: &Path) -> Result<(), StoreError> {
        self.gate(Op::Remove, path)?;
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, error)),
            _ => Ok(()),
        }
    }

    /// Makes the folder, readable by our user only, unless it is there.
    pub(super) fn make_dir(&self, path: &Path) -> Result<(), StoreError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| match StoreError::io(path, e) {
            StoreError::Io { path, source } => StoreError::Unusable { path, source },
            other => other,
        })
    }

    #[cfg(not(test))]
    #[inline]
    fn gate(&self, _op: Op, _path: &Path) -> Result<(), StoreError> {
        Ok(())
    }

    #[cfg(test)]
    fn gate(&self, op: Op, path: &Path) -> Result<(), StoreError> {
        self.faults.gate(op, path).map_err(|e| StoreError::io(path, e))
    }
}

/// What can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Making a file.
    Create,
    /// Writing.
    Write,
    /// fdatasync or fsync.
    Sync,
    /// rename.
    Rename,
    /// unlink.
    Remove,
}

#[cfg(test)]
pub(super) mod fault {
    //! Faults for tests: the n-th operation of a kind, on paths that contain a text, fails; for ever, or once.

    use super::Op;
    use std::fs::File;
    use std::io::{self, IoSlice, Write};
    use std::path::Path;
    use std::sync::Mutex;

    #[derive(Debug, Clone)]
    pub(in crate::store) struct Fault {
        pub op: Op,
        pub path: &'static str,
        pub after: u32,
        pub kind: io::ErrorKind,
        pub once: bool,
        pub partial: usize,
    }

    #[derive(Debug, Default)]
    pub(in crate::store) struct Faults(Mutex<Vec<Fault>>);

    impl Faults {
        pub(in crate::store) fn set(&self, faults: &[Fault]) {
            *self.0.lock().unwrap() = faults.to_vec();
        }

        /// A disk on which nothing can be created or grown.
        pub(in crate::store) fn fill(&self, path: &'static str) {
            let fault = Fault { op: Op::Write, path, after: 0, kind: io::ErrorKind::StorageFull, once: false, partial: 0 };
            self.set(&[fault.clone(), Fault { op: Op::Create, ..fault }]);
        }

        pub(super) fn gate(&self, op: Op, path: &Path) -> io::Result<()> {
            match self.take(op, path) {
                Some(fault) => Err(fault.kind.into()),
                None => Ok(()),
            }
        }

        fn take(&self, op: Op, path: &Path) -> Option<Fault> {
            let mut faults = self.0.lock().unwrap();
            let at = faults.iter().position(|fault| fault.op == op && path.to_string_lossy().contains(fault.path))?;
            let fault = faults.get_mut(at)?;
            if fault.after > 0 {
                fault.after -= 1;
                return None;
            }
            let hit = fault.clone();
            if hit.once {
                faults.remove(at);
            }
            Some(hit)
        }

        /// A write that stops half-way: the first `partial` bytes go to the file.
        pub(super) fn short_write(&self, mut file: &File, path: &Path, slices: &[IoSlice<'_>]) -> Option<io::Error> {
            let fault = {
                let mut faults = self.0.lock().unwrap();
                let hit = |fault: &Fault| fault.partial > 0 && fault.after == 0 && path.to_string_lossy().contains(fault.path);
                let at = faults.iter().position(hit)?;
                faults.remove(at)
            };
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            file.write_all(&all[..fault.partial.min(all.len())]).unwrap();
            Some(fault.kind.into())
        }
    }
}
