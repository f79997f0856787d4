//! The index: used only where it is worth it, made again whatever has become of it, while mail goes on; and entries read late.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Instant;

use super::super::index::Opener;
use super::*;

/// A store of `count` held messages in plain files, and its index, whole and closed.
async fn shelf(dir: &Path, count: usize) -> BTreeMap<(Place, MessageId), (Entry, Bytes)> {
    let mut kept = BTreeMap::new();
    let (store, _) = open_indexed(dir);
    for _ in 0..count {
        let (entry, bytes, change) = put(Place::Quarantine, 100);
        store.commit(vec![change]).await.unwrap();
        kept.insert((Place::Quarantine, entry.id), (entry, bytes));
    }
    store.close().await;
    kept
}

fn opening(sled: Opener, time: Duration) -> Opening {
    Opening { time, sled, patience: Some(Duration::from_millis(500)), ..Opening::default() }
}

#[tokio::test]
async fn few_entries_need_none() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { index_from: 5, ..Settings::default() };
    let (store, recovery) = Store::open_with(dir.path(), &settings, &small()).unwrap();
    assert_eq!((recovery.index_rebuilt, store.index()), (None, IndexState::Unneeded));
    for n in 0..5 {
        assert!(!dir.path().join("index.sled").exists(), "{n}");
        let (_, _, change) = put(Place::Quarantine, 100);
        store.commit(vec![change]).await.unwrap();
        store.checkpoint().await.unwrap();
    }
    until(&store, |state| *state == IndexState::Whole);
    store.close().await;
    drop(store);
    let (store, recovery) = Store::open_with(dir.path(), &settings, &small()).unwrap();
    assert_eq!((recovery.index_rebuilt, recovery.entries), (None, 5));
    until(&store, |state| *state == IndexState::Whole);
    assert_eq!(store.shared.index.lines().unwrap().len(), 5);
    // Where there are few again, it goes when it is asked for anew.
    let ids = store.list(Place::Quarantine, |_| true, 1);
    store.commit(vec![Change::Remove(Place::Quarantine, ids[0].id)]).await.unwrap();
    store.checkpoint().await.unwrap();
    store.rebuild_index().unwrap();
    assert_eq!((store.index(), dir.path().join("index.sled").exists()), (IndexState::Unneeded, false));
}

/// Everything that can have become of the files: the start comes, all entries are there, and the index is made again where it must be.
#[tokio::test]
async fn whatever_has_become_of_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let kept = shelf(dir.path(), 20).await;
    let index = dir.path().join("index.sled");
    let whole = tempfile::tempdir().unwrap();
    copy(&index, &whole.path().join("i"));
    fn each(index: &Path, change: impl Fn(&mut Vec<u8>)) {
        for name in files(index).into_iter().filter(|name| index.join(name).is_file()) {
            let mut bytes = fs::read(index.join(&name)).unwrap();
            change(&mut bytes);
            fs::write(index.join(name), bytes).unwrap();
        }
    }
    type Row = (&'static str, Box<dyn Fn(&Path)>, Option<bool>);
    let mut rows: Vec<Row> = vec![
        ("as it was", Box::new(|_| ()), Some(false)),
        ("missing", Box::new(|index| fs::remove_dir_all(index).unwrap()), Some(true)),
        ("all of it other bytes", Box::new(|index| each(index, |bytes| bytes.fill(0xA5))), Some(true)),
        ("zeros", Box::new(|index| each(index, |bytes| bytes.fill(0))), None),
        ("empty files", Box::new(|index| each(index, Vec::clear)), None),
        ("half of each file", Box::new(|index| each(index, |bytes| bytes.truncate(bytes.len() / 2))), None),
        ("a file in its place", Box::new(|index| fs::remove_dir_all(index).and_then(|()| fs::write(index, "x")).unwrap()), Some(true)),
        ("a link to nowhere", Box::new(|index| fs::remove_dir_all(index).and_then(|()| symlink("/nowhere/x", index)).unwrap()), Some(true)),
        ("no right to read", Box::new(|index| fs::set_permissions(index, fs::Permissions::from_mode(0o000)).unwrap()), None),
        ("an empty folder", Box::new(|index| fs::remove_dir_all(index).and_then(|()| fs::create_dir(index)).unwrap()), None),
        (
            "folders in place of its files",
            Box::new(|index| {
                fs::remove_dir_all(index).unwrap();
                ["db", "conf", "blobs"].iter().for_each(|name| fs::create_dir_all(index.join(name)).unwrap());
            }),
            Some(true),
        ),
        ("another version", Box::new(super::super::index::other_version), Some(true)),
    ];
    for seed in 0..12u64 {
        let flip = move |bytes: &mut Vec<u8>| {
            let mut state = seed * 2 + 1;
            for _ in 0..(1 << (seed % 6)) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Where the rows are: the rest of the file is zeros.
                let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                if let Some(byte) = bytes.get_mut((state >> 33) as usize % used.max(1)) {
                    *byte ^= 1 << (state % 8);
                }
            }
        };
        rows.push(("bits flipped", Box::new(move |index| each(index, flip)), None));
    }
    for (what, damage, rebuilt) in rows {
        let _ = fs::set_permissions(&index, fs::Permissions::from_mode(0o700));
        let _ = fs::remove_dir_all(&index).or_else(|_| fs::remove_file(&index));
        copy(&whole.path().join("i"), &index);
        damage(&index);
        let begun = Instant::now();
        let (store, recovery) = open_indexed(dir.path());
        assert!(begun.elapsed() < Duration::from_secs(25), "{what}: {:?}", begun.elapsed());
        assert_eq!((recovery.entries, &recovery.damaged), (kept.len(), &vec![]), "{what}");
        if let Some(rebuilt) = rebuilt {
            assert_eq!(recovery.index_rebuilt.is_some(), rebuilt, "{what}: {:?}", recovery.index_rebuilt);
        }
        check(&store, &kept).await;
        let (_, _, change) = put(Place::Spool, 10);
        store.commit(vec![change.clone(), Change::Remove(change.key().0, change.key().1)]).await.unwrap();
        until(&store, |state| *state == IndexState::Whole);
        drop(store);
        let (store, recovery) = open_indexed(dir.path());
        assert_eq!((recovery.index_rebuilt, recovery.entries), (None, kept.len()), "{what}: the next start");
        until(&store, |state| *state == IndexState::Whole);
        store.close().await;
    }
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

#[tokio::test]
async fn sled_may_panic_hang_or_be_kept_out() {
    let dir = tempfile::tempdir().unwrap();
    let kept = shelf(dir.path(), 20).await;
    let openers: [(&str, Opener); 3] = [
        ("panic", |_| panic!("as sled does")),
        ("hang", |_| {
            std::thread::park_timeout(Duration::from_secs(3600));
            Err("woken".into())
        }),
        ("kept out", |_| Err("permission denied".into())),
    ];
    for (what, opener) in openers {
        let (store, recovery) = Store::open_as(opening(opener, Duration::from_secs(9)), dir.path(), &indexed(), &small()).unwrap();
        assert!(recovery.index_rebuilt.is_some(), "{what}");
        check(&store, &kept).await;
        let (_, _, change) = put(Place::Spool, 10);
        store.commit(vec![change.clone()]).await.unwrap();
        until(&store, |state| matches!(state, IndexState::Broken { .. }));
        store.commit(vec![Change::Remove(change.key().0, change.key().1)]).await.unwrap();
        store.checkpoint().await.unwrap();
        check(&store, &kept).await;
        store.close().await;
    }
    let (store, _) = open_indexed(dir.path());
    until(&store, |state| *state == IndexState::Whole);
    assert_eq!(store.shared.index.lines().unwrap().len(), kept.len());
}

#[tokio::test]
async fn a_stale_index_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = shelf(dir.path(), 1).await;
    let index = dir.path().join("index.sled");
    let copied = dir.path().join("copy");
    fs::rename(&index, &copied).unwrap();
    let (store, _) = open_indexed(dir.path());
    let (key, (held, _)) = kept.iter_mut().next().unwrap();
    held.subject = "Released since".into();
    store.commit(vec![Change::Update(held.clone())]).await.unwrap();
    store.close().await;
    drop(store);
    fs::remove_dir_all(&index).unwrap();
    fs::rename(&copied, &index).unwrap();
    let (store, recovery) = open_indexed(dir.path());
    assert_eq!(recovery.index_rebuilt, None);
    assert_eq!(store.get(key.0, key.1), Some(held.clone()));
}

#[tokio::test]
async fn long_lists_come_from_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let kept = shelf(dir.path(), 700).await;
    let (store, _) = open_indexed(dir.path());
    until(&store, |state| *state == IndexState::Whole);
    assert_eq!(store.shared.index.lines().unwrap().len(), 700);
    // Nothing but the index has them now.
    let held = dir.path().join("quarantine/Spam");
    for name in files(&held).iter().filter(|name| name.ends_with(".json")) {
        fs::rename(held.join(name), dir.path().join(name)).unwrap();
    }
    let listed = store.list(Place::Quarantine, |_| true, usize::MAX);
    let oldest: Vec<&Entry> = kept.values().rev().skip(512).map(|(entry, _)| entry).collect();
    assert_eq!(listed.iter().collect::<Vec<_>>(), oldest, "short lists are read from the files");
}

/// A start that has no time to read anything: every question has its true answer all the same.
#[tokio::test]
async fn entries_that_are_read_late() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = shelf(dir.path(), 60).await;
    let (store, _) = open_indexed(dir.path());
    for _ in 0..20 {
        let (entry, bytes, change) = put(Place::Spool, 100);
        store.commit(vec![change]).await.unwrap();
        kept.insert((Place::Spool, entry.id), (entry, bytes));
    }
    store.close().await;
    drop(store);
    let held = dir.path().join("quarantine/Spam");
    for round in 0..3 {
        fs::remove_dir_all(dir.path().join("index.sled")).unwrap();
        // Nothing is read by itself: what is asked for must be.
        let late = Opening { time: Duration::ZERO, ..Opening::default() };
        let (store, recovery) = if round == 0 {
            let (store, recovery) = Store::open_read_only(dir.path(), &Settings::default()).unwrap();
            (store, Recovery { unread: kept.len(), ..recovery })
        } else {
            Store::open_as(late, dir.path(), &indexed(), &small()).unwrap()
        };
        // What the journal still speaks of is read.
        assert!(recovery.entries == kept.len() && recovery.unread >= 40, "{round}: {recovery:?}");
        let count = |place| kept.keys().filter(|key| key.0 == place).count() as u64;
        for place in [Place::Spool, Place::Quarantine] {
            let depths = store.depths();
            let depths = depths.iter().filter(|depth| depth.place == place);
            assert_eq!(depths.map(|depth| depth.count).sum::<u64>(), count(place), "{round}: {place:?}");
        }
        if round == 1 {
            let changed: Vec<_> = kept.keys().copied().collect();
            for (n, key) in changed.into_iter().enumerate() {
                match n % 4 {
                    0 => {
                        store.commit(vec![Change::Remove(key.0, key.1)]).await.unwrap();
                        kept.remove(&key);
                    }
                    1 => {
                        let (entry, _) = kept.get_mut(&key).unwrap();
                        entry.subject = "Changed".into();
                        store.commit(vec![Change::Update(entry.clone())]).await.unwrap();
                    }
                    _ => {}
                }
            }
        }
        check(&store, &kept).await;
        if round > 0 {
            until(&store, |state| *state == IndexState::Whole);
            store.checkpoint().await.unwrap();
            check(&store, &kept).await;
            store.close().await;
        }
        fs::create_dir_all(dir.path().join("index.sled")).unwrap();
    }
    // Damage among them is found, set aside and told.
    fs::remove_dir_all(dir.path().join("index.sled")).unwrap();
    let hurt: Vec<_> = kept
        .iter()
        .filter(|(key, (entry, _))| key.0 == Place::Quarantine && entry.subject != "Changed")
        .map(|(key, _)| *key)
        .take(2)
        .collect();
    fs::write(held.join(format!("{}.json", hurt[0].1)), "{").unwrap();
    fs::write(held.join(format!("{}.eml", hurt[1].1)), "short").unwrap();
    let late = Opening { time: Duration::ZERO, ..Opening::default() };
    let (store, recovery) = Store::open_as(late, dir.path(), &indexed(), &small()).unwrap();
    let mut told = recovery.damaged;
    assert!(told.len() < 2, "one at least is read late");
    while told.len() < 2 {
        told.extend(store.next_damaged().await);
    }
    assert!(told.iter().all(|damaged| damaged.files.iter().all(|file| file.starts_with(dir.path().join("damaged")))), "{told:?}");
    hurt.iter().for_each(|key| drop(kept.remove(key)));
    check(&store, &kept).await;
}

/// Files from a backup are newer than the journal: what is changed afterwards must survive a crash.
#[tokio::test]
async fn what_was_put_back_from_a_backup_and_read_late_can_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = shelf(dir.path(), 30).await;
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    fs::remove_dir_all(dir.path().join("index.sled")).unwrap();
    for round in 0..2 {
        let late = Opening { time: Duration::ZERO, ..Opening::default() };
        let (store, _) = Store::open_as(late, dir.path(), &indexed(), &small()).unwrap();
        for n in 0..3 {
            let (entry, bytes, change) = put(Place::Spool, 100);
            store.commit(vec![change]).await.unwrap();
            kept.insert((Place::Spool, entry.id), (entry, bytes));
            let (_, (entry, _)) = kept.iter_mut().filter(|(key, _)| key.0 == Place::Quarantine).nth(n).unwrap();
            entry.subject = format!("Changed in round {round}");
            store.commit(vec![Change::Update(entry.clone())]).await.unwrap();
        }
        let gone = *kept.keys().rfind(|key| key.0 == Place::Quarantine).unwrap();
        store.commit(vec![Change::Remove(gone.0, gone.1)]).await.unwrap();
        kept.remove(&gone);
        check(&store, &kept).await;
        drop(store);
        let (store, recovery) = open(dir.path());
        assert_eq!((recovery.entries, recovery.damaged), (kept.len(), vec![]), "{round}");
        check(&store, &kept).await;
        drop(store);
        let _ = fs::remove_dir_all(dir.path().join("index.sled"));
    }
}

/// What moves between journal and files while it is read is not taken for damage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verified_while_mail_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { checkpoint: Period(Duration::from_millis(10)), ..small() };
    let (store, _) = Store::open_with(dir.path(), &indexed(), &settings).unwrap();
    let (stop, total) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let (store, stop, total) = (store.clone(), stop.clone(), total.clone());
            tokio::spawn(async move {
                let mut old = std::collections::VecDeque::new();
                let mut written = 0u32;
                while !stop.load(Ordering::Acquire) {
                    let place = if written.is_multiple_of(2) { Place::Spool } else { Place::Quarantine };
                    let (mut entry, _, change) = put(place, if written.is_multiple_of(7) { 12_000 } else { 700 });
                    store.commit(vec![change]).await.unwrap();
                    if written.is_multiple_of(5) {
                        entry.area = (place == Place::Quarantine).then_some(Area::Content);
                        store.commit(vec![Change::Update(entry.clone())]).await.unwrap();
                    }
                    old.push_back((place, entry.id));
                    if old.len() > 40 {
                        let (place, id) = old.pop_front().unwrap();
                        store.note(vec![Change::Remove(place, id)]).await.unwrap();
                    }
                    written += 1;
                    total.fetch_add(1, Ordering::Release);
                }
            })
        })
        .collect();
    let mut round = 0;
    while round < 8 || total.load(Ordering::Acquire) < 400 {
        round += 1;
        let store = store.clone();
        let verified = tokio::task::spawn_blocking(move || store.verify(|_, _| ())).await.unwrap().unwrap();
        assert!(verified.is_whole() && verified.unfinished.is_empty(), "{round}: {verified:?}");
    }
    stop.store(true, Ordering::Release);
    for writer in writers {
        writer.await.unwrap();
    }
}
