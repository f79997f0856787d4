//! The store as its callers see it: what was committed is there, byte for byte, whatever happens to disk and process.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::disk::Op;
use super::disk::fault::Fault;
use super::testing::{entry, message};
use super::*;
use crate::mail::units::{Period, Size};
use crate::mail::{Area, Entry, MessageId, Place, RecipientState};

/// Small segments, and a checkpoint that comes only when asked for or needed.
fn small() -> JournalSettings {
    JournalSettings {
        segment_size: Size(64 << 10),
        segments: 4,
        checkpoint: Period(Duration::from_secs(3600)),
        own_file: Size(8 << 10),
        memory: Size(32 << 10),
    }
}

fn open(dir: &Path) -> (Arc<Store>, Recovery) {
    Store::open_with(dir, &Settings::default(), &small()).unwrap()
}

fn put(place: Place, size: usize) -> (Entry, Bytes, Change) {
    let mut entry = entry(place);
    let bytes = message(entry.id, size);
    entry.size = bytes.len() as u64;
    let change = Change::Put { entry: entry.clone(), bytes: bytes.clone() };
    (entry, bytes, change)
}

fn delivered(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    for recipient in &mut entry.recipients {
        recipient.state = RecipientState::Bounced { why: "test".into(), notification: None, at: jiff::Timestamp::UNIX_EPOCH };
    }
    entry
}

fn files(path: impl AsRef<Path>) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

async fn check(store: &Store, kept: &BTreeMap<(Place, MessageId), (Entry, Bytes)>) {
    for (key, (entry, bytes)) in kept {
        assert_eq!(store.get(key.0, key.1).as_ref(), Some(entry));
        assert_eq!(&store.bytes(key.0, key.1).await.unwrap(), bytes);
    }
    for place in [Place::Spool, Place::Quarantine] {
        let mut want: Vec<MessageId> = kept.keys().filter(|key| key.0 == place).map(|key| key.1).collect();
        want.reverse();
        let got: Vec<MessageId> = store.list(place, |_| true, usize::MAX).iter().map(|entry| entry.id).collect();
        assert_eq!(got, want);
    }
}

#[tokio::test]
async fn committed_is_there_before_and_after_the_checkpoint_and_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = BTreeMap::new();
    for round in 0..4 {
        let (store, recovery) = open(dir.path());
        assert_eq!((recovery.entries, recovery.damaged.len()), (kept.len(), 0), "round {round}");
        assert_eq!((recovery.torn_tail, recovery.unfinished), (None, 0));
        check(&store, &kept).await;
        for size in [0, 1, 1000, 8 << 10, 9 << 10, 300 << 10] {
            for place in [Place::Spool, Place::Quarantine] {
                let (entry, bytes, change) = put(place, size);
                store.commit(vec![change]).await.unwrap();
                kept.insert((place, entry.id), (entry, bytes));
            }
        }
        check(&store, &kept).await;
        if round == 1 {
            store.checkpoint().await.unwrap();
            check(&store, &kept).await;
        }
        if round == 2 {
            store.close().await;
            let (_, _, change) = put(Place::Spool, 10);
            assert!(matches!(store.commit(vec![change]).await, Err(StoreError::Closed)));
        }
        assert_eq!(store.verify(|_, _| ()), []);
    }
    assert_eq!(files(dir.path().join("damaged")), [""; 0]);
}

#[tokio::test]
async fn plain_files_are_what_was_sent_and_go_when_it_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (kept, bytes, one) = put(Place::Quarantine, 500);
    let (gone, _, two) = put(Place::Spool, 500);
    let (quick, _, three) = put(Place::Spool, 20 << 10);
    store.commit(vec![one, two]).await.unwrap();
    store.commit(vec![three]).await.unwrap();
    store.note(vec![Change::Update(delivered(&quick))]).await.unwrap();
    store.checkpoint().await.unwrap();
    assert_eq!(files(dir.path().join("spool")), [format!("{}.eml", gone.id), format!("{}.json", gone.id)], "the quick one never was");
    assert_eq!(files(dir.path().join("journal/large")), [""; 0]);
    let held = dir.path().join("quarantine/Spam");
    assert_eq!(fs::read(held.join(format!("{}.eml", kept.id))).unwrap(), bytes);
    let text = fs::read_to_string(held.join(format!("{}.json", kept.id))).unwrap();
    assert!(text.contains("\"subject\": \"A subject\"") && text.contains("\"sequence\": 1"), "{text}");
    store.note(vec![Change::Update(delivered(&gone))]).await.unwrap();
    assert_eq!(store.get(Place::Spool, gone.id), None);
    store.checkpoint().await.unwrap();
    assert_eq!(files(dir.path().join("spool")), [""; 0]);
    drop(store);
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged.len()), (1, 0));
    assert!(store.get(Place::Quarantine, kept.id).is_some());
}

#[tokio::test]
async fn a_removal_holds_although_the_file_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (held, _, change) = put(Place::Quarantine, 500);
    store.commit(vec![change]).await.unwrap();
    store.checkpoint().await.unwrap();
    store.commit(vec![Change::Remove(Place::Quarantine, held.id)]).await.unwrap();
    assert!(matches!(store.bytes(Place::Quarantine, held.id).await, Err(StoreError::Missing(..))));
    drop(store);
    assert_eq!(files(dir.path().join("quarantine/Spam")).len(), 2);
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, store.get(Place::Quarantine, held.id)), (0, None));
    store.close().await;
    assert_eq!(files(dir.path().join("quarantine/Spam")), [""; 0]);
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged.len()), (0, 0));
}

#[tokio::test]
async fn updates_move_between_areas_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (mut held, bytes, change) = put(Place::Quarantine, 500);
    store.commit(vec![change]).await.unwrap();
    store.checkpoint().await.unwrap();
    held.area = Some(Area::Virus);
    held.subject = "Another".into();
    store.commit(vec![Change::Update(held.clone())]).await.unwrap();
    assert_eq!(store.bytes(Place::Quarantine, held.id).await.unwrap(), bytes);
    store.checkpoint().await.unwrap();
    assert_eq!(files(dir.path().join("quarantine/Spam")), [""; 0]);
    assert_eq!(files(dir.path().join("quarantine/Virus")).len(), 2);
    drop(store);
    // As if the move had been cut off half-way: the message is still in the old folder.
    let name = format!("quarantine/Spam/{}.eml", held.id);
    fs::rename(dir.path().join(format!("quarantine/Virus/{}.eml", held.id)), dir.path().join(&name)).unwrap();
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged.len()), (1, 0));
    assert_eq!(store.get(Place::Quarantine, held.id), Some(held.clone()));
    assert_eq!(store.bytes(Place::Quarantine, held.id).await.unwrap(), bytes);
    store.checkpoint().await.unwrap();
    assert!(!dir.path().join(name).exists());
    assert_eq!(store.bytes(Place::Quarantine, held.id).await.unwrap(), bytes);
    let missing = Change::Update(entry(Place::Quarantine));
    assert!(matches!(store.commit(vec![missing]).await, Err(StoreError::Missing(..))));
}

#[tokio::test]
async fn segments_are_recycled_under_load() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = BTreeMap::new();
    for _ in 0..3 {
        let (store, recovery) = open(dir.path());
        assert_eq!((recovery.entries, recovery.damaged.len()), (kept.len(), 0));
        for n in 0..120 {
            let (entry, bytes, change) = put(Place::Spool, 3000);
            store.commit(vec![change]).await.unwrap();
            if n % 3 == 0 {
                kept.insert((Place::Spool, entry.id), (entry, bytes));
            } else {
                store.note(vec![Change::Update(delivered(&entry))]).await.unwrap();
            }
        }
        check(&store, &kept).await;
    }
    let segments = files(dir.path().join("journal")).into_iter().filter(|name| name.ends_with(".seg")).count();
    assert!(segments <= 4, "{segments} segments for 360 messages of 3000 bytes");
}

#[tokio::test]
async fn one_commit_is_one_thing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (held, bytes, change) = put(Place::Quarantine, 500);
    store.commit(vec![change]).await.unwrap();
    let released = Entry { place: Place::Spool, ..held.clone() };
    let both = vec![Change::Put { entry: released, bytes: bytes.clone() }, Change::Remove(Place::Quarantine, held.id)];
    store.shared.disk.faults.set(&[Fault { op: Op::Sync, path: "seg", after: 0, kind: io::ErrorKind::Other, once: true, partial: 0 }]);
    assert!(matches!(store.commit(both.clone()).await, Err(StoreError::Io { .. })));
    assert!(store.get(Place::Quarantine, held.id).is_some() && store.get(Place::Spool, held.id).is_none());
    drop(store);
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged.len()), (1, 0), "what was answered no is not accepted later");
    assert!(store.get(Place::Quarantine, held.id).is_some());
    store.commit(both).await.unwrap();
    drop(store);
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged.len()), (1, 0));
    assert_eq!(store.bytes(Place::Spool, held.id).await.unwrap(), bytes);
}

#[tokio::test]
async fn a_full_disk_is_said_and_nothing_half_done_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut kept = BTreeMap::new();
    let faults = &store.shared.disk.faults;
    let (one, one_bytes, first) = put(Place::Spool, 3000);
    store.commit(vec![first]).await.unwrap();
    kept.insert((Place::Spool, one.id), (one, one_bytes));
    // A write that stops half-way.
    for partial in [1, 60, 500, 3000] {
        faults.set(&[Fault { op: Op::Write, path: "seg", after: 0, kind: io::ErrorKind::StorageFull, once: true, partial }]);
        let (_, _, change) = put(Place::Spool, 3000);
        assert!(matches!(store.commit(vec![change]).await, Err(StoreError::Full)), "{partial}");
    }
    // Nothing can be created or grown: large messages at once, others when the segments are used up.
    faults.fill("");
    let (_, _, large) = put(Place::Spool, 100 << 10);
    assert!(matches!(store.commit(vec![large]).await, Err(StoreError::Full)));
    faults.set(&["spool", "tmp", "large"].map(|path| Fault {
        op: Op::Create,
        path,
        after: 0,
        kind: io::ErrorKind::StorageFull,
        once: false,
        partial: 0,
    }));
    let mut full = None;
    for n in 0..200 {
        let (entry, bytes, change) = put(Place::Spool, 3000);
        match store.commit(vec![change]).await {
            Ok(()) => drop(kept.insert((Place::Spool, entry.id), (entry, bytes))),
            Err(error) => {
                full = Some((n, error));
                break;
            }
        }
    }
    assert!(matches!(full, Some((_, StoreError::Full))), "{full:?}");
    assert!(matches!(store.checkpoint().await, Err(StoreError::Full)));
    check(&store, &kept).await;
    // There is room again.
    faults.set(&[]);
    for _ in 0..60 {
        let (entry, bytes, change) = put(Place::Spool, 3000);
        store.commit(vec![change]).await.unwrap();
        kept.insert((Place::Spool, entry.id), (entry, bytes));
    }
    check(&store, &kept).await;
    drop(store);
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged.len()), (kept.len(), 0));
    check(&store, &kept).await;
    assert_eq!(files(dir.path().join("journal/large")), [""; 0]);
}

#[tokio::test]
async fn a_checkpoint_that_fails_anywhere_is_made_up_for() {
    for op in [Op::Create, Op::Write, Op::Sync, Op::Rename, Op::Remove] {
        for after in 0..12 {
            let dir = tempfile::tempdir().unwrap();
            let (store, _) = open(dir.path());
            let mut kept = BTreeMap::new();
            for (place, size) in [(Place::Spool, 100), (Place::Quarantine, 100), (Place::Spool, 10_000), (Place::Spool, 100)] {
                let (entry, bytes, change) = put(place, size);
                store.commit(vec![change]).await.unwrap();
                kept.insert((place, entry.id), (entry, bytes));
            }
            store.checkpoint().await.unwrap();
            let (first, _) = kept.pop_first().unwrap();
            store.commit(vec![Change::Remove(first.0, first.1)]).await.unwrap();
            let (entry, bytes, change) = put(Place::Quarantine, 20_000);
            store.commit(vec![change]).await.unwrap();
            kept.insert((Place::Quarantine, entry.id), (entry, bytes));
            let (key, (mut entry, bytes)) = kept.pop_last().unwrap();
            entry.area = Some(Area::Content);
            store.commit(vec![Change::Update(entry.clone())]).await.unwrap();
            kept.insert(key, (entry, bytes));
            store.shared.disk.faults.set(&[Fault { op, path: "", after, kind: io::ErrorKind::Other, once: true, partial: 0 }]);
            let _ = store.checkpoint().await;
            check(&store, &kept).await;
            if after % 2 == 0 {
                store.shared.disk.faults.set(&[]);
                store.checkpoint().await.unwrap();
                check(&store, &kept).await;
            }
            drop(store);
            let (store, recovery) = open(dir.path());
            assert_eq!((recovery.entries, recovery.damaged), (kept.len(), vec![]), "{op:?} {after}");
            check(&store, &kept).await;
            assert_eq!(store.verify(|_, _| ()), []);
        }
    }
}

#[tokio::test]
async fn the_index_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = BTreeMap::new();
    let (store, recovery) = open(dir.path());
    assert!(recovery.index_rebuilt.is_some());
    for _ in 0..20 {
        let (entry, bytes, change) = put(Place::Quarantine, 100);
        store.commit(vec![change]).await.unwrap();
        kept.insert((Place::Quarantine, entry.id), (entry, bytes));
    }
    store.close().await;
    drop(store);
    let index = dir.path().join("index.sled");
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.index_rebuilt, recovery.entries), (None, 20));
    check(&store, &kept).await;
    drop(store);
    for name in files(&index).into_iter().filter(|name| index.join(name).is_file()) {
        fs::write(index.join(name), [0xA5; 5000]).unwrap();
    }
    let (store, recovery) = open(dir.path());
    assert!(recovery.index_rebuilt.is_some());
    check(&store, &kept).await;
    drop(store);
    fs::remove_dir_all(&index).unwrap();
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.index_rebuilt.as_deref(), recovery.damaged.len()), (Some("there was none"), 0));
    check(&store, &kept).await;
}

#[tokio::test]
async fn a_stale_index_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (mut held, _, change) = put(Place::Quarantine, 100);
    store.commit(vec![change]).await.unwrap();
    store.close().await;
    drop(store);
    let copy = dir.path().join("copy");
    fs::rename(dir.path().join("index.sled"), &copy).unwrap();
    let (store, _) = open(dir.path());
    held.subject = "Released since".into();
    store.commit(vec![Change::Update(held.clone())]).await.unwrap();
    store.close().await;
    drop(store);
    fs::remove_dir_all(dir.path().join("index.sled")).unwrap();
    fs::rename(&copy, dir.path().join("index.sled")).unwrap();
    let (store, recovery) = open(dir.path());
    assert_eq!(recovery.index_rebuilt, None);
    assert_eq!(store.get(Place::Quarantine, held.id), Some(held));
}

#[tokio::test]
async fn what_is_damaged_is_set_aside_with_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut ids = Vec::new();
    for n in 0..6 {
        let (entry, _, change) = put(Place::Quarantine, 100);
        if n == 5 {
            // From here on the journal says that the five are in files, so that it does not bring them back.
            store.checkpoint().await.unwrap();
        }
        store.commit(vec![change]).await.unwrap();
        ids.push(entry.id);
    }
    store.close().await;
    drop(store);
    let held = dir.path().join("quarantine/Spam");
    let path = |n: usize, extension: &str| held.join(format!("{}.{extension}", ids[n]));
    fs::write(path(0, "eml"), "short").unwrap();
    fs::remove_file(path(1, "eml")).unwrap();
    fs::remove_file(path(2, "json")).unwrap();
    fs::write(path(3, "json"), "{\"format\":1,").unwrap();
    let mut bytes = fs::read(path(4, "eml")).unwrap();
    bytes[50] ^= 1;
    fs::write(path(4, "eml"), bytes).unwrap();
    fs::write(held.join(format!(".{}.eml.tmp", ids[5])), "half").unwrap();
    fs::write(held.join("README"), "an administrator's note").unwrap();
    let (store, recovery) = open(dir.path());
    let mut got: Vec<_> = recovery.damaged.iter().map(|damaged| damaged.id.unwrap()).collect();
    got.sort();
    assert_eq!(got, ids[..4]);
    assert_eq!((recovery.entries, recovery.unfinished), (2, 1));
    for damaged in &recovery.damaged {
        assert!(damaged.files.iter().all(|file| file.starts_with(dir.path().join("damaged")) && file.exists()), "{damaged:?}");
        let text = fs::read_to_string(format!("{}.txt", damaged.files[0].display())).unwrap();
        assert!(text.contains(&damaged.what) && text.contains(&damaged.id.unwrap().to_string()), "{text}");
    }
    assert!(matches!(store.bytes(Place::Quarantine, ids[4]).await, Err(StoreError::Damaged { .. })), "noticed when read");
    assert_eq!(store.verify(|_, _| ()).iter().map(|damaged| damaged.id.unwrap()).collect::<Vec<_>>(), [ids[4]]);
    assert!(store.bytes(Place::Quarantine, ids[5]).await.is_ok());
    assert!(held.join("README").exists());
    drop(store);
    let (_, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged.len()), (2, 0), "it is told once");
}

#[tokio::test]
async fn damage_in_the_journal_is_saved_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut kept = BTreeMap::new();
    for _ in 0..5 {
        let (entry, bytes, change) = put(Place::Spool, 1000);
        store.commit(vec![change]).await.unwrap();
        kept.insert((Place::Spool, entry.id), (entry, bytes));
    }
    drop(store);
    let lost = *kept.keys().nth(2).unwrap();
    let (_, bytes) = kept.remove(&lost).unwrap();
    let segment = dir.path().join("journal/00000001.seg");
    let mut journal = fs::read(&segment).unwrap();
    let at = memchr::memmem::find(&journal, &bytes).unwrap();
    journal[at + 900] ^= 1;
    fs::write(&segment, journal).unwrap();
    for round in 0..2 {
        let (store, recovery) = open(dir.path());
        check(&store, &kept).await;
        if round == 0 {
            let [damaged] = recovery.damaged.as_slice() else { panic!("{:?}", recovery.damaged) };
            assert!(damaged.what.contains(&lost.1.to_string()), "{}", damaged.what);
            let saved = fs::read(&damaged.files[0]).unwrap();
            assert!(memchr::memmem::find(&saved, &bytes[..900]).is_some(), "what can be read of it is saved");
        } else {
            assert_eq!(recovery.damaged, [], "it is told once");
        }
    }
}

/// Every prefix of the last segment, as a torn write would leave it: what was whole before the cut is there, nothing else.
#[tokio::test]
async fn torn_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut kept = Vec::new();
    for n in 0..4 {
        let (entry, bytes, change) = put(Place::Spool, 100 + n);
        store.commit(vec![change]).await.unwrap();
        kept.push((entry, bytes));
    }
    store.commit(vec![Change::Remove(Place::Spool, kept[0].0.id)]).await.unwrap();
    drop(store);
    let segment = dir.path().join("journal/00000001.seg");
    let whole = fs::read(&segment).unwrap();
    let ends: Vec<usize> = kept.iter().map(|(_, bytes)| memchr::memmem::find(&whole, bytes).unwrap() + bytes.len()).collect();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let (disk, layout) = (Disk::default(), Layout::new(dir.path()));
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    use std::os::unix::fs::FileExt;
    for cut in (frame::SEGMENT_HEADER..=end).rev() {
        file.write_all_at(&[0], cut as u64).unwrap();
        let found = recover::run(&disk, &layout, 0, None, false).unwrap();
        assert_eq!(found.recovery.damaged, [], "cut at {cut}");
        let mut want: Vec<MessageId> = kept.iter().zip(&ends).filter(|(_, end)| **end <= cut).map(|((entry, _), _)| entry.id).collect();
        if cut >= end {
            want.remove(0);
        }
        let got: Vec<MessageId> = found.state.rows().map(|(key, _)| key.1).collect();
        let spared = ends.iter().any(|end| whole[cut.min(*end)..*end].iter().all(|byte| *byte == 0));
        assert!(
            got == want || (spared && cut + 8 > *ends.iter().find(|end| **end > cut).unwrap_or(&cut)),
            "cut at {cut}: {got:?}, not {want:?}"
        );
    }
}

#[tokio::test]
async fn due_depths_and_expiry() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { keep_area: [(Area::Virus, Period(Duration::from_secs(60)))].into(), ..Settings::default() };
    let (store, _) = Store::open_with(dir.path(), &settings, &small()).unwrap();
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).unwrap();
    assert_eq!((store.next_due(), store.due(at(i64::from(u32::MAX)), 9)), (None, vec![]));
    let mut ids = Vec::new();
    for next in [300, 100, 200] {
        let (mut entry, bytes, _) = put(Place::Spool, 100);
        entry.received_at = at(next);
        entry.recipients[0].state = RecipientState::Spooled { attempts: 0, next_try: at(next), last: None };
        store.commit(vec![Change::Put { entry: entry.clone(), bytes }]).await.unwrap();
        ids.push(entry);
    }
    assert_eq!(store.next_due(), Some(at(100)));
    assert_eq!(store.due(at(99), 9), []);
    assert_eq!(store.due(at(250), 9), [ids[1].id, ids[2].id]);
    assert_eq!(store.due(at(300), 1), [ids[1].id]);
    ids[1].recipients[0].state = RecipientState::Spooled { attempts: 1, next_try: at(400), last: None };
    store.note(vec![Change::Update(ids[1].clone())]).await.unwrap();
    assert_eq!(store.due(at(400), 9), [ids[2].id, ids[0].id, ids[1].id]);

    for area in [Area::Virus, Area::Spam, Area::Virus] {
        let (mut entry, bytes, _) = put(Place::Quarantine, 100);
        (entry.area, entry.received_at) = (Some(area), at(1000));
        store.commit(vec![Change::Put { entry: entry.clone(), bytes }]).await.unwrap();
        ids.push(entry);
    }
    ids[5].recipients[0].state = RecipientState::Released;
    store.commit(vec![Change::Update(ids[5].clone())]).await.unwrap();
    for _ in 0..2 {
        let depths = store.depths();
        assert_eq!(depths.len(), 7);
        let depth = |place, area| depths.iter().find(|depth| (depth.place, depth.area) == (place, area)).unwrap();
        let (spool, virus) = (depth(Place::Spool, None), depth(Place::Quarantine, Some(Area::Virus)));
        assert_eq!((spool.count, spool.bytes, spool.settled), (3, ids[0].size * 3, 0));
        assert_eq!((virus.count, virus.settled, virus.oldest), (1, 1, Some(at(1000))));
        assert_eq!(depth(Place::Quarantine, Some(Area::Content)).count, 0);
        store.checkpoint().await.unwrap();
    }
    assert_eq!(store.expired(at(1059), 9), []);
    assert_eq!(store.expired(at(1060), 9), [ids[3].id, ids[5].id]);
    assert_eq!(store.expired(at(1000 + 30 * 86_400), 9).len(), 3);
    assert_eq!(store.list(Place::Quarantine, |entry| entry.area == Some(Area::Virus), 1), [ids[5].clone()]);
}

#[tokio::test]
async fn reading_only_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (one, bytes, change) = put(Place::Spool, 100);
    store.commit(vec![change]).await.unwrap();
    assert!(matches!(Store::open_read_only(dir.path(), &Settings::default()), Err(StoreError::Locked { .. })));
    drop(store);
    let before = files(dir.path().join("journal"));
    let (reader, recovery) = Store::open_read_only(dir.path(), &Settings::default()).unwrap();
    assert_eq!(recovery.entries, 1);
    assert_eq!(reader.get(Place::Spool, one.id), Some(one.clone()));
    assert_eq!(reader.bytes(Place::Spool, one.id).await.unwrap(), bytes);
    assert!(matches!(reader.commit(vec![Change::Remove(Place::Spool, one.id)]).await, Err(StoreError::ReadOnly)));
    reader.close().await;
    assert_eq!(files(dir.path().join("journal")), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { checkpoint: Period(Duration::from_millis(20)), ..small() };
    let (store, _) = Store::open_with(dir.path(), &Settings::default(), &settings).unwrap();
    let tasks: Vec<_> = (0..16)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut kept = Vec::new();
                for n in 0..40usize {
                    let (entry, bytes, change) = put(Place::Spool, if n % 10 == 9 { 9 << 10 } else { 500 });
                    store.commit(vec![change]).await.unwrap();
                    assert_eq!(store.bytes(Place::Spool, entry.id).await.unwrap(), bytes);
                    if (n + task) % 4 == 0 {
                        store.note(vec![Change::Update(delivered(&entry))]).await.unwrap();
                    } else {
                        kept.push(((Place::Spool, entry.id), (entry, bytes)));
                    }
                }
                kept
            })
        })
        .collect();
    let mut kept = BTreeMap::new();
    for task in tasks {
        kept.extend(task.await.unwrap());
    }
    check(&store, &kept).await;
    drop(store);
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged), (kept.len(), vec![]));
    check(&store, &kept).await;
}
