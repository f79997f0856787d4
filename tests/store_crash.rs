//! The store under `kill -9` and at every crash point: what was acknowledged is there, byte for byte, and nothing is damaged.
//!
//! The test starts itself again as the writer: a child that commits, updates, delivers and removes as fast as it can, and says on
//! its standard output what was acknowledged. The parent stops it dead, opens what it left, and compares.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use mailweir::mail::units::{Period, Size};
use mailweir::mail::{
    Area, Body, Decision, Direction, Disposition, Entry, EntryRecipient, MessageId, Origin, Place, RecipientState, ReversePath, VersionId,
};
use mailweir::store::{Change, JournalSettings, Settings, Store, crash};

/// Names the directory for the child.
const CHILD: &str = "MAILWEIR_TEST_STORE_CHILD";
/// Messages after which the child gives up: a crash point that was not met by then is never met.
const ENOUGH: usize = 30_000;

fn settings() -> JournalSettings {
    JournalSettings {
        segment_size: Size(128 << 10),
        segments: 4,
        checkpoint: Period(Duration::from_millis(20)),
        own_file: Size(16 << 10),
        memory: Size(64 << 10),
    }
}

fn open(dir: &Path) -> (Arc<Store>, mailweir::store::Recovery) {
    // With an index from the first entry on.
    Store::open_with(dir, &Settings { index_from: 0, ..Settings::default() }, &settings()).unwrap()
}

fn entry(id: MessageId, place: Place, size: usize) -> Entry {
    let state = match place {
        Place::Spool => RecipientState::Spooled { attempts: 0, next_try: Timestamp::UNIX_EPOCH, last: None },
        Place::Quarantine => RecipientState::Held,
    };
    let decision = Decision {
        disposition: Disposition::Deliver,
        area: None,
        rule: "default".into(),
        because: String::new(),
        score: 0.0,
        would: None,
        tagged: false,
    };
    let recipient = EntryRecipient {
        dsn: Default::default(),
        warned: false,
        address: "c@d.example".parse().unwrap(),
        direction: Direction::Inbound,
        route: "groupwise".into(),
        decision,
        state,
    };
    Entry {
        id,
        place,
        area: (place == Place::Quarantine).then_some(Area::Content),
        received_at: Timestamp::now(),
        origin: Origin { listener: "internet".into(), peer: None, helo: "h".into(), esmtp: true, tls: None, normalised: false },
        sender: ReversePath::Null,
        body: Body::SevenBit,
        smtputf8: false,
        dsn: Default::default(),
        recipients: vec![recipient],
        size: size as u64,
        subject: "0".into(),
        from: String::new(),
        trace: String::new(),
        findings: Vec::new(),
        version: VersionId("0123456789ab".into()),
        release: None,
    }
}

/// The message that belongs to an id: parent and child make the same.
fn message(id: MessageId, size: usize) -> Bytes {
    let mut state = id.to_u64() | 1;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..size).map(byte).collect()
}

fn say(line: String) {
    // One write, so that a kill never cuts a line that counts.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}

/// Not a test of its own: the child's work, when the parent started us for it.
#[test]
fn writer_child() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, recovery) = open(Path::new(&dir));
        say(format!("damaged {}", recovery.damaged.len()));
        let writers: Vec<_> = (0..6).map(|n| tokio::spawn(write(store.clone(), n))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// `+ place id size`: acknowledged. `= place id subject`: an update is. `? place id`: may be gone from here on. `-`: must be.
async fn write(store: Arc<Store>, writer: usize) {
    for n in 0..ENOUGH / 6 {
        let place = if (n + writer).is_multiple_of(3) { Place::Quarantine } else { Place::Spool };
        let size = [0, 700, 3_000, 20_000][(n + writer) % 4] + n % 100;
        let mut entry = entry(MessageId::new(), place, size);
        let (id, name) = (entry.id, place.as_str());
        store.commit(vec![Change::Put { entry: entry.clone(), bytes: message(id, size) }]).await.unwrap();
        say(format!("+ {name} {id} {size}"));
        match n % 5 {
            0 | 1 => {
                say(format!("? {name} {id}"));
                match place {
                    Place::Spool => {
                        entry.recipients[0].state =
                            RecipientState::Bounced { why: "t".into(), notification: None, at: Timestamp::UNIX_EPOCH };
                        store.note(vec![Change::Update(entry)]).await.unwrap();
                        store.note(vec![Change::Remove(place, id)]).await.unwrap();
                    }
                    Place::Quarantine => {
                        store.commit(vec![Change::Remove(place, id)]).await.unwrap();
                        say(format!("- {name} {id}"));
                    }
                }
            }
            2 => {
                entry.subject = n.to_string();
                store.commit(vec![Change::Update(entry)]).await.unwrap();
                say(format!("= {name} {id} {n}"));
            }
            // A release: out of the quarantine and into the spool, in one.
            3 if place == Place::Quarantine => {
                let spooled =
                    Entry { recipients: self::entry(id, Place::Spool, size).recipients, place: Place::Spool, area: None, ..entry };
                say(format!("? {name} {id}"));
                let both = vec![Change::Remove(place, id), Change::Put { entry: spooled, bytes: message(id, size) }];
                store.commit(both).await.unwrap();
                say(format!("- {name} {id}\n+ spool {id} {size}"));
            }
            _ => {}
        }
        if n % 40 == 39 {
            // What was filed before goes too: removals meet files.
            let old = store.list(place, |_| true, 60);
            for entry in old.iter().skip(30) {
                say(format!("? {name} {}", entry.id));
                store.note(vec![Change::Remove(place, entry.id)]).await.unwrap();
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Expected {
    /// `None` for one that was never acknowledged and turned up all the same.
    size: Option<usize>,
    subject: u64,
    uncertain: bool,
    gone: bool,
}

type Books = BTreeMap<(String, MessageId), Expected>;

fn enter(books: &mut Books, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let [sign @ ("+" | "=" | "?" | "-"), place, id, rest @ ..] = words.as_slice() else { return };
    let Ok(id) = id.parse::<MessageId>() else { return };
    let number: u64 = rest.first().and_then(|word| word.parse().ok()).unwrap_or(0);
    let expected = books.entry((place.to_string(), id)).or_default();
    match *sign {
        "+" => *expected = Expected { size: Some(number as usize), ..Expected::default() },
        "=" => expected.subject = number,
        "?" => expected.uncertain = true,
        _ => expected.gone = true,
    }
}

/// Runs the child until it has said `lines` lines (and kills it then) or dies by itself. Returns whether it was stopped by a signal.
fn run(dir: &Path, books: &mut Books, lines: usize, crash_at: Option<&str>) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "writer_child", "--nocapture", "--test-threads=1"]).env(CHILD, dir).stdout(Stdio::piped());
    command.stderr(Stdio::piped());
    if let Some(point) = crash_at {
        command.env(crash::VARIABLE, point);
    }
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut err = child.stderr.take().unwrap();
    let complaints = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = err.read_to_string(&mut text);
        text
    });
    let (mut line, mut read) = (String::new(), 0);
    while out.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            enter(books, line.trim_end());
        }
        line.clear();
        read += 1;
        if read == lines {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    let complaints = complaints.join().unwrap();
    assert!(!complaints.contains("panicked"), "{complaints}");
    std::os::unix::process::ExitStatusExt::signal(&status).is_some()
}

/// Opens what the child left and compares. `reopen` tells how the store is left for the next.
fn compare(dir: &Path, books: &mut Books, close: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (store, recovery) = open(dir);
        assert_eq!(recovery.damaged, []);
        for ((name, id), expected) in books.iter() {
            let place = if name == "spool" { Place::Spool } else { Place::Quarantine };
            let found = store.get(place, *id);
            if expected.gone {
                assert!(found.is_none(), "{name} {id} came back");
                continue;
            }
            let Some(entry) = found else {
                assert!(expected.uncertain, "{name} {id} of {:?} bytes was acknowledged and is lost: {recovery:?}", expected.size);
                continue;
            };
            assert!(entry.subject.parse::<u64>().unwrap() >= expected.subject, "{name} {id}: an update was lost");
            let bytes = store.bytes(place, *id).await.unwrap();
            assert!(bytes == message(*id, expected.size.unwrap_or(entry.size as usize)), "{name} {id} is not what was sent");
        }
        // What was not acknowledged may be there, but only whole.
        assert!(store.verify(|_, _| ()).unwrap().is_whole());
        // The rest is settled now: what is there stays, what is not stays away.
        books.retain(|(name, id), expected| {
            let place = if name == "spool" { Place::Spool } else { Place::Quarantine };
            expected.gone = store.get(place, *id).is_none();
            expected.uncertain = false;
            true
        });
        if close {
            store.close().await;
        }
    });
}

/// Nothing rests on sled's files: they are lost, overwritten, cut off or have bits changed.
fn harm(index: &Path, round: usize) {
    let files = std::fs::read_dir(index).into_iter().flatten().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    for path in files {
        let mut bytes = std::fs::read(&path).unwrap();
        match round % 4 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x10),
            2 => continue,
            _ => bytes.fill(0xA5),
        }
        std::fs::write(&path, bytes).unwrap();
    }
    if round == 11 {
        std::fs::remove_dir_all(index).unwrap();
    }
}

#[test]
fn kill_at_random() {
    let dir = tempfile::tempdir().unwrap();
    let mut books = Books::new();
    let mut random = std::process::id().wrapping_mul(2_654_435_761) | 1;
    for round in 0..12 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let lines = 20 + (random >> 8) as usize % 600;
        assert!(run(dir.path(), &mut books, lines, None), "round {round}: it ended before it was killed");
        harm(&dir.path().join("index.sled"), round);
        compare(dir.path(), &mut books, round % 3 == 2);
    }
    assert!(books.values().filter(|expected| !expected.gone).count() > 100);
}

#[test]
fn stopped_at_every_crash_point() {
    let dir = tempfile::tempdir().unwrap();
    let mut books = Books::new();
    for (n, name) in crash::POINTS.iter().enumerate() {
        for times in [1, 3] {
            // A new segment is made only while there are few.
            let fresh = tempfile::tempdir().unwrap();
            let dir = if name.starts_with("segment.") { fresh.path() } else { dir.path() };
            let mut new = Books::new();
            let books = if name.starts_with("segment.") { &mut new } else { &mut books };
            assert!(run(dir, books, usize::MAX, Some(&format!("{name}:{times}"))), "{name} was not met {times} times");
            compare(dir, books, n % 2 == 0);
        }
    }
}
