//! A disk that fails: what was answered "no" is not accepted later, and what was accepted is not lost.

use std::io;

use super::super::disk::Op;
use super::super::disk::fault::Fault;
use super::*;

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
    // What makes room is still written down.
    for _ in 0..10 {
        let (key, (entry, _)) = kept.pop_first().unwrap();
        end(&store, &entry).await.unwrap();
        assert!(store.get(key.0, key.1).is_none());
    }
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
            assert!(store.verify(|_, _| ()).unwrap().is_whole());
        }
    }
}

/// The disk is full at one kind of place after the other: it is said, nothing that was promised is lost, what is delivered drains it, and
/// when there is room again everything goes on.
#[tokio::test]
async fn full_wherever_is_written() {
    let full = |op, path| Fault { op, path, after: 0, kind: io::ErrorKind::StorageFull, once: false, partial: 0 };
    for (what, path, own, refuses) in [
        ("the journal", ".seg", false, true),
        // The checkpoint makes room in those that are there.
        ("a new segment", "journal/.", false, false),
        ("a file of its own", "large", true, true),
        ("the checkpoint's .eml", ".eml.tmp", false, false),
        ("the checkpoint's .json", ".json.tmp", false, false),
        ("the records", ".jsonl", false, false),
    ] {
        let dir = tempfile::tempdir().unwrap();
        // From here on nothing depends on the index, which is on the full disk too.
        let (store, _) = Store::open_as(
            Opening { sled: |_| Err("no space left on device".into()), ..Opening::default() },
            dir.path(),
            &indexed(),
            &small(),
        )
        .unwrap();
        let mut kept = BTreeMap::new();
        for n in 0..6 {
            let (entry, bytes, change) = put(Place::Spool, if n % 3 == 2 { 20_000 } else { 3000 });
            store.commit(vec![change]).await.unwrap();
            kept.insert((Place::Spool, entry.id), (entry, bytes));
        }
        store.shared.disk.faults.set(&[full(Op::Write, path), full(Op::Create, path)]);
        // A full .seg lets nothing through at all; the others until the segments are used up.
        let mut refused = 0;
        for _ in 0..120 {
            let (entry, bytes, change) = put(Place::Spool, if own { 20_000 } else { 3000 });
            match store.commit(vec![change]).await {
                Ok(()) => drop(kept.insert((Place::Spool, entry.id), (entry, bytes))),
                Err(StoreError::Full) => refused += 1,
                Err(error) => panic!("{what}: {error}"),
            }
            if refused > 1 {
                break;
            }
        }
        assert!(refused > 0 || !refuses, "{what}: nobody was told");
        let record = crate::mail::Record {
            at: jiff::Timestamp::now(),
            id: MessageId::new(),
            version: crate::mail::VersionId("v".into()),
            event: crate::mail::Event::Retried { by: "x".into() },
        };
        let recorded = store.record_synced(std::slice::from_ref(&record)).await;
        assert_eq!(matches!(recorded, Err(StoreError::Full)), what == "the records", "{what}: {recorded:?}");
        let _ = store.checkpoint().await;
        check(&store, &kept).await;
        // Deliveries drain it: what makes room is written down, but where the journal itself takes nothing.
        if what != "the journal" {
            while kept.len() > 3 {
                let (key, (entry, _)) = kept.pop_first().unwrap();
                end(&store, &entry).await.unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(store.get(key.0, key.1).is_none());
            }
        }
        store.shared.disk.faults.set(&[]);
        store.checkpoint().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        for _ in 0..10 {
            let (entry, bytes, change) = put(Place::Spool, if own { 20_000 } else { 3000 });
            store.commit(vec![change]).await.unwrap_or_else(|error| panic!("{what}, afterwards: {error}"));
            kept.insert((Place::Spool, entry.id), (entry, bytes));
        }
        store.record_synced(&[record]).await.unwrap();
        check(&store, &kept).await;
        drop(store);
        let (store, recovery) = open(dir.path());
        assert_eq!((recovery.entries, recovery.damaged), (kept.len(), vec![]), "{what}");
        check(&store, &kept).await;
        assert!(store.verify(|_, _| ()).unwrap().is_whole(), "{what}");
    }
}
