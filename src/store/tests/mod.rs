//! The store as its callers see it: what was committed is there, byte for byte, whatever happens to disk and process.

mod damage;
mod faults;
mod fill;
mod records;
mod ripe;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

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

/// With an index from the first entry on.
fn indexed() -> Settings {
    Settings { index_from: 0, ..Settings::default() }
}

fn open_indexed(dir: &Path) -> (Arc<Store>, Recovery) {
    Store::open_with(dir, &indexed(), &small()).unwrap()
}

/// What a start would find, without changing anything.
fn look(disk: &Disk, layout: &Layout) -> recover::Recovered {
    let how = How { memory: 0, lines: Default::default(), time: Duration::MAX, write: false };
    recover::run(disk, layout, Shelf::list(layout).unwrap(), how).unwrap()
}

/// Waits until the index is as wanted.
fn until(store: &Store, wanted: impl Fn(&IndexState) -> bool) {
    let begun = std::time::Instant::now();
    while !wanted(&store.index()) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", store.index());
        std::thread::sleep(Duration::from_millis(2));
    }
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

/// Its end, and the removal that follows it.
async fn end(store: &Store, entry: &Entry) -> Result<(), StoreError> {
    store.note(vec![Change::Update(delivered(entry))]).await?;
    assert_eq!(store.get(entry.place, entry.id), Some(delivered(entry)), "it stays until it is removed");
    store.note(vec![Change::Remove(entry.place, entry.id)]).await
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
        assert!(store.verify(|_, _| ()).unwrap().is_whole());
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
    end(&store, &quick).await.unwrap();
    store.checkpoint().await.unwrap();
    assert_eq!(files(dir.path().join("spool")), [format!("{}.eml", gone.id), format!("{}.json", gone.id)], "the quick one never was");
    assert_eq!(files(dir.path().join("journal/large")), [""; 0]);
    let held = dir.path().join("quarantine/Spam");
    assert_eq!(fs::read(held.join(format!("{}.eml", kept.id))).unwrap(), bytes);
    let text = fs::read_to_string(held.join(format!("{}.json", kept.id))).unwrap();
    assert!(text.contains("\"subject\": \"A subject\"") && text.contains("\"sequence\": 1"), "{text}");
    end(&store, &gone).await.unwrap();
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
async fn a_removal_that_was_cut_off_between_two_files_is_finished() {
    for how in ["removed", "delivered"] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let (gone, _, change) = put(Place::Spool, 500);
        store.commit(vec![change]).await.unwrap();
        store.checkpoint().await.unwrap();
        // The journal says from here on that the first one is in files.
        let (kept, _, change) = put(Place::Spool, 500);
        store.commit(vec![change]).await.unwrap();
        match how {
            "removed" => store.note(vec![Change::Remove(Place::Spool, gone.id)]).await.unwrap(),
            _ => end(&store, &gone).await.unwrap(),
        }
        drop(store);
        fs::remove_file(dir.path().join(format!("spool/{}.json", gone.id))).unwrap();
        let (store, recovery) = open(dir.path());
        assert_eq!((recovery.damaged, recovery.entries), (vec![], 1), "{how}");
        store.checkpoint().await.unwrap();
        assert_eq!(files(dir.path().join("spool")), [format!("{}.eml", kept.id), format!("{}.json", kept.id)]);
    }
}

/// An older version removed a message together with its end: what its journal left is no damage.
#[tokio::test]
async fn an_ended_entry_without_its_message_is_over() {
    for ends in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let (entry, _, change) = put(Place::Spool, 20 << 10);
        store.commit(vec![change]).await.unwrap();
        if ends {
            store.commit(vec![Change::Update(delivered(&entry))]).await.unwrap();
        }
        drop(store);
        let large = dir.path().join("journal/large");
        fs::remove_file(large.join(&files(&large)[0])).unwrap();
        let (_, recovery) = open(dir.path());
        assert_eq!((recovery.entries, recovery.damaged.len()), (0, usize::from(!ends)));
    }
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
                end(&store, &entry).await.unwrap();
            }
        }
        check(&store, &kept).await;
    }
    let segments = files(dir.path().join("journal")).into_iter().filter(|name| name.ends_with(".seg")).count();
    assert!(segments <= 4, "{segments} segments for 360 messages of 3000 bytes");
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
        assert_eq!(depths.len(), 1 + Area::ALL.len());
        let depth = |place, area| depths.iter().find(|depth| (depth.place, depth.area) == (place, area)).unwrap();
        let (spool, virus) = (depth(Place::Spool, None), depth(Place::Quarantine, Some(Area::Virus)));
        assert_eq!((spool.count, spool.bytes, spool.settled), (3, ids[0].size * 3, 0));
        assert_eq!((virus.count, virus.settled, virus.oldest), (1, 1, Some(at(1000))));
        assert_eq!((virus.bytes, virus.settled_bytes), (ids[3].size, ids[5].size));
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
                        end(&store, &entry).await.unwrap();
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
