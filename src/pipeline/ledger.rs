//! The crash ledger: which messages were being taken apart when the process died.
//!
//! A message is entered by its content hash before it is taken apart and struck out after. A process that dies in between (a stack that
//! overflows, memory that the kernel does not have, a library that aborts) leaves the entry behind, and the next start counts it as one
//! death. A message that was there at two deaths is not taken apart a third time: it is held, unparsed. Those that were merely in work
//! beside the culprit are cleared as soon as they have been taken apart without harm.
//!
//! The file is small and of a fixed size. It must outlive the process, not the machine, so nothing is synced; and since this program has
//! no unsafe code it is not mapped: each entry is one `pwrite`, which the kernel has when the call returns, whatever becomes of us then.
//!
//! ```text
//! "MAILWEIR CRASHES"   16 bytes
//! 128 places           messages in work; all zero: free
//! 256 deaths           oldest first; all zero: none. More of them: the oldest is forgotten
//! each: SHA-256 of the message (32), deaths (4, little-endian), first bytes of the SHA-256 of both (4)
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// Its name in the data directory.
pub(super) const NAME: &str = "crash-ledger";
const MAGIC: &[u8; 16] = b"MAILWEIR CRASHES";
/// Messages in work at once that are entered: more than `opening` ever has.
const PLACES: usize = 128;
/// Messages that are remembered with their deaths.
const DEATHS: usize = 256;
/// Bytes of one entry.
const ENTRY: usize = 40;
const LENGTH: usize = MAGIC.len() + (PLACES + DEATHS) * ENTRY;
/// From so many deaths on a message is not taken apart.
const TOO_MANY: u32 = 2;

type Hash = [u8; 32];
/// Messages, each with how often the process died over it.
type Deaths = Vec<(Hash, u32)>;

/// The ledger of one data directory.
#[derive(Debug)]
pub(super) struct Ledger {
    /// `None`: it cannot be had, and nothing is remembered.
    file: Option<File>,
    books: Mutex<Books>,
    complained: AtomicBool,
}

#[derive(Debug, Default)]
struct Books {
    /// Which places are in use.
    in_use: Vec<bool>,
    /// Oldest first.
    deaths: Deaths,
}

/// A message in work: struck out when dropped.
#[derive(Debug)]
pub(super) struct Underway {
    ledger: Arc<Ledger>,
    hash: Hash,
    /// `None`: all places were taken.
    place: Option<usize>,
}

impl Ledger {
    /// Opens the ledger at `path`, and counts what it finds in work there as deaths. A file that is not as we write it is set aside as
    /// `….damaged`; where no file can be had, the log says so and mail goes on without.
    pub(super) fn open(path: &Path) -> Arc<Self> {
        let (file, books) = match prepare(path) {
            Ok((file, deaths)) => (Some(file), Books { in_use: vec![false; PLACES], deaths }),
            Err(error) => {
                tracing::error!(file = %path.display(), %error, "no crash ledger: a message that ends this program is not recognised when it comes again");
                (None, Books::default())
            }
        };
        Arc::new(Self { file, books: Mutex::new(books), complained: AtomicBool::new(false) })
    }

    /// Enters a message that is about to be taken apart; `None` where that ended the process too often.
    pub(super) fn enter(self: &Arc<Self>, hash: Hash) -> Option<Underway> {
        let place = {
            let mut books = self.books();
            if books.deaths.iter().any(|(known, deaths)| *known == hash && *deaths >= TOO_MANY) {
                return None;
            }
            let place = books.in_use.iter().position(|in_use| !in_use);
            if let Some(in_use) = place.and_then(|place| books.in_use.get_mut(place)) {
                *in_use = true;
            }
            place
        };
        if let Some(place) = place {
            self.write(place_at(place), &entry(&hash, 1));
        }
        Some(Underway { ledger: self.clone(), hash, place })
    }

    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        let Some(file) = &self.file else { return };
        if let Err(error) = file.write_all_at(bytes, at as u64)
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            tracing::error!(%error, "the crash ledger cannot be written");
        }
    }
}

impl Underway {
    /// It was taken apart and did no harm: earlier deaths were not its doing.
    pub(super) fn survived(self) {
        let mut books = self.ledger.books();
        let before = books.deaths.len();
        books.deaths.retain(|(hash, _)| *hash != self.hash);
        if books.deaths.len() != before {
            self.ledger.write(place_at(PLACES), &table(&books.deaths));
        }
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        // Written before the place is given to another.
        self.ledger.write(place_at(place), &[0; ENTRY]);
        if let Some(in_use) = self.ledger.books().in_use.get_mut(place) {
            *in_use = false;
        }
    }
}

fn place_at(place: usize) -> usize {
    MAGIC.len() + place * ENTRY
}

/// Opens or makes the file; what was in work becomes deaths.
fn prepare(path: &Path) -> io::Result<(File, Deaths)> {
    let mut deaths = Vec::new();
    match read(path)? {
        None => {}
        Some(bytes) => match parse(&bytes) {
            Some((in_work, known)) => deaths = counted(known, in_work),
            None => {
                let aside = path.with_extension("damaged");
                std::fs::rename(path, &aside)?;
                tracing::warn!(file = %aside.display(), "the crash ledger was damaged or is of another program: set aside, a new one begun");
            }
        },
    }
    for (hash, deaths) in &deaths {
        let sha256: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        tracing::warn!(sha256, deaths, "this message was being taken apart when the program ended unexpectedly");
    }
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    let mut whole = Vec::with_capacity(LENGTH);
    whole.extend(MAGIC);
    whole.resize(place_at(PLACES), 0);
    whole.extend(table(&deaths));
    file.write_all_at(&whole, 0)?;
    file.set_len(LENGTH as u64)?;
    Ok((file, deaths))
}

/// The file's bytes, no more of them than it should have and one; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LENGTH as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The messages in work and those with deaths; `None` for what we did not write.
fn parse(bytes: &[u8]) -> Option<(Vec<Hash>, Deaths)> {
    let entries = bytes.strip_prefix(MAGIC).filter(|_| bytes.len() == LENGTH)?;
    let (places, deaths) = entries.split_at_checked(PLACES * ENTRY)?;
    let read = |bytes: &[u8]| -> Option<Deaths> {
        let used = bytes.chunks_exact(ENTRY).filter(|entry| entry.iter().any(|byte| *byte != 0));
        used.map(read_entry).collect()
    };
    Some((read(places)?.into_iter().map(|(hash, _)| hash).collect(), read(deaths)?))
}

/// One death more for each of `in_work`; the youngest at the end, the oldest forgotten.
fn counted(mut deaths: Deaths, mut in_work: Vec<Hash>) -> Deaths {
    in_work.sort_unstable();
    in_work.dedup();
    for hash in in_work {
        let before = deaths.iter().position(|(known, _)| *known == hash).map_or(0, |at| deaths.remove(at).1);
        deaths.push((hash, before.saturating_add(1)));
    }
    let forgotten = deaths.len().saturating_sub(DEATHS);
    deaths.drain(..forgotten);
    deaths
}

fn entry(hash: &Hash, deaths: u32) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let said = hash.iter().copied().chain(deaths.to_le_bytes());
    entry.iter_mut().zip(said).for_each(|(to, from)| *to = from);
    let check = Sha256::digest(entry.get(..36).unwrap_or_default());
    entry.iter_mut().skip(36).zip(check).for_each(|(to, from)| *to = from);
    entry
}

fn read_entry(bytes: &[u8]) -> Option<(Hash, u32)> {
    let hash: Hash = bytes.get(..32)?.try_into().ok()?;
    let deaths = u32::from_le_bytes(bytes.get(32..36)?.try_into().ok()?);
    (entry(&hash, deaths) == bytes).then_some((hash, deaths))
}

/// The table of deaths, in its full length.
fn table(deaths: &[(Hash, u32)]) -> Vec<u8> {
    let mut table: Vec<u8> = deaths.iter().take(DEATHS).flat_map(|(hash, deaths)| entry(hash, *deaths)).collect();
    table.resize(DEATHS * ENTRY, 0);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> Hash {
        Sha256::digest(n.to_le_bytes()).into()
    }

    fn at() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(NAME);
        (dir, path)
    }

    /// Enters these, and dies.
    fn die_with(path: &Path, messages: &[u32]) {
        let ledger = Ledger::open(path);
        for message in messages {
            std::mem::forget(ledger.enter(hash(*message)));
        }
    }

    fn deaths(path: &Path) -> Vec<(Hash, u32)> {
        parse(&std::fs::read(path).unwrap()).unwrap().1
    }

    #[test]
    fn two_deaths_are_enough() {
        let (_dir, path) = at();
        die_with(&path, &[1, 2]);
        die_with(&path, &[3, 1]);
        let ledger = Ledger::open(&path);
        assert!(ledger.enter(hash(1)).is_none(), "there at both");
        let beside = ledger.enter(hash(2)).unwrap();
        beside.survived();
        assert!(ledger.enter(hash(4)).is_some(), "never seen");
        drop(ledger);
        let mut left = deaths(&path);
        left.sort_unstable_by_key(|(_, count)| *count);
        assert_eq!(left, [(hash(3), 1), (hash(1), 2)], "2 was harmless");
        drop(Ledger::open(&path));
        assert_eq!(deaths(&path).len(), 2, "an end in order is no death");
    }

    #[test]
    fn the_same_message_twice_at_once_is_one_death() {
        let (_dir, path) = at();
        die_with(&path, &[7, 7]);
        drop(Ledger::open(&path));
        assert_eq!(deaths(&path), [(hash(7), 1)]);
    }

    #[test]
    fn what_comes_to_an_end_leaves_nothing() {
        let (_dir, path) = at();
        let ledger = Ledger::open(&path);
        let two = [ledger.enter(hash(1)), ledger.enter(hash(2))];
        assert_eq!(parse(&std::fs::read(&path).unwrap()).unwrap().0, [hash(1), hash(2)]);
        drop(two);
        assert_eq!(parse(&std::fs::read(&path).unwrap()).unwrap(), (vec![], vec![]));
        let many: Vec<_> = (0..PLACES as u32 + 3).map(|n| ledger.enter(hash(n)).unwrap()).collect();
        assert_eq!(many.iter().filter(|underway| underway.place.is_none()).count(), 3, "more than places: not entered, but let in");
    }

    #[test]
    fn the_oldest_deaths_are_forgotten() {
        let (_dir, path) = at();
        for round in 0..4 {
            die_with(&path, &(round * 100..round * 100 + 100).collect::<Vec<_>>());
        }
        drop(Ledger::open(&path));
        let left = deaths(&path);
        assert_eq!(left.len(), DEATHS);
        assert!(left.iter().any(|(known, _)| *known == hash(399)) && left.iter().all(|(known, _)| *known != hash(0)));
    }

    #[test]
    fn damage_is_set_aside() {
        let (_dir, path) = at();
        die_with(&path, &[1]);
        drop(Ledger::open(&path));
        let good = std::fs::read(&path).unwrap();
        let flip = |at: usize| {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            bad
        };
        let first_death = place_at(PLACES);
        let longer = [&good[..], b"x"].concat();
        for (what, bad) in [
            ("magic", flip(3)),
            ("a place", flip(20)),
            ("a hash", flip(first_death + 5)),
            ("a count", flip(first_death + 33)),
            ("a check", flip(first_death + 39)),
            ("cut", good[..LENGTH - 1].to_vec()),
            ("longer", longer),
            ("empty", vec![]),
        ] {
            std::fs::write(&path, &bad).unwrap();
            let ledger = Ledger::open(&path);
            assert!(ledger.file.is_some() && ledger.books().deaths.is_empty(), "{what}");
            assert_eq!(std::fs::read(path.with_extension("damaged")).unwrap(), bad, "{what}");
            assert!(deaths(&path).is_empty(), "{what}");
        }
    }

    #[test]
    fn without_a_file_mail_goes_on() {
        let (dir, _) = at();
        let ledger = Ledger::open(&dir.path().join("no/such/folder"));
        ledger.enter(hash(1)).unwrap().survived();
    }
}
