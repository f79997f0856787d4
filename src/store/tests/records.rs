//! Records: whole lines, in the order of writing, found by id and by time.

use std::io::Write;
use std::ops::ControlFlow;

use jiff::{SignedDuration, Timestamp};

use super::super::disk::Op;
use super::super::disk::fault::Fault;
use super::*;
use crate::mail::{Event, Record, VersionId};

fn record(id: MessageId, at: Timestamp, what: &str) -> Record {
    Record { at, id, version: VersionId("0123456789ab".into()), event: Event::Retried { by: what.into() } }
}

fn all(store: &Store, since: Timestamp, until: Option<Timestamp>) -> (Vec<String>, Scanned) {
    let mut seen = Vec::new();
    let scanned = store.scan_records(since, until, &mut |record| {
        seen.push(if let Event::Retried { by } = record.event { by } else { panic!("{record:?}") });
        ControlFlow::Continue(())
    });
    (seen, scanned.unwrap())
}

#[tokio::test]
async fn found_by_id_and_by_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let noon: Timestamp = "2100-03-01T12:00:00Z".parse().unwrap();
    let after = |hours: i64| noon + SignedDuration::from_hours(hours);
    // Ids of that time, made without moving the process's clock of ids there.
    let made = |n: u64| MessageId::from_u64((((noon.as_millisecond() - 1_577_836_800_000) as u64) << 18) + n);
    let (one, two) = (made(0), made(1));
    assert_eq!(one.time(), noon);
    let mut watch = store.subscribe();
    store.record(&[record(one, noon, "a"), record(two, noon, "b")]).unwrap();
    store.record_synced(&[record(one, after(20), "c")]).await.unwrap();
    store.record(&[record(two, after(21), &format!("about {one}"))]).unwrap();
    store.record(&[record(one, after(50), "d")]).unwrap();
    store.record(&[]).unwrap();
    assert_eq!(files(dir.path().join("records")), ["2100-03-01.jsonl", "2100-03-02.jsonl", "2100-03-03.jsonl"]);
    let found: Vec<Timestamp> = store.records_of(one).unwrap().iter().map(|record| record.at).collect();
    assert_eq!(found, [noon, after(20), after(50)]);
    assert_eq!(store.records_of(made(2)).unwrap(), []);
    let (seen, scanned) = all(&store, after(1), Some(after(50)));
    assert_eq!(seen, ["c".to_owned(), format!("about {one}")]);
    assert_eq!(scanned, Scanned { records: 2, unreadable: 0 });
    assert_eq!(all(&store, noon, None).1.records, 5);
    let mut first = 0;
    let flow = &mut |_| {
        first += 1;
        ControlFlow::Break(())
    };
    store.scan_records(noon, None, flow).unwrap();
    assert_eq!(first, 1);
    assert_eq!(std::iter::from_fn(|| watch.try_recv().ok()).count(), 5);
}

#[tokio::test]
async fn a_line_that_was_cut_off_is_counted_and_the_next_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (at, id) = (Timestamp::now(), MessageId::new());
    let (store, _) = open(dir.path());
    store.record(&[record(id, at, "a")]).unwrap();
    drop(store);
    let path = dir.path().join("records").join(&files(dir.path().join("records"))[0]);
    let whole = fs::read(&path).unwrap();
    for cut in 1..whole.len() - 1 {
        fs::write(&path, &whole).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&whole[..cut]).unwrap();
        let records = super::super::records::Records::new(Arc::default(), &Layout::new(dir.path()));
        records.append(&[record(id, at, "b")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[1].len()), (3, cut), "{text}");
        assert!(serde_json::from_str::<Record>(lines[2]).is_ok() && text.ends_with('\n'));
    }
    let (store, _) = open(dir.path());
    let (seen, scanned) = all(&store, Timestamp::UNIX_EPOCH, None);
    assert_eq!((seen, scanned), (vec!["a".into(), "b".into()], Scanned { records: 2, unreadable: 1 }));
}

#[tokio::test]
async fn lines_longer_than_a_chunk_and_many_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (id, at) = (MessageId::new(), Timestamp::now());
    let lengths = [1usize, 300_000, 5, 262_144, 100_000, 700_000, 2];
    for length in lengths {
        store.record(&[record(id, at, &"x".repeat(length)), record(MessageId::new(), at, "other")]).unwrap();
    }
    let length = |record: &Record| if let Event::Retried { by } = &record.event { by.len() } else { 0 };
    assert_eq!(store.records_of(id).unwrap().iter().map(length).collect::<Vec<_>>(), lengths);
    assert_eq!(all(&store, at, None).1, Scanned { records: 2 * lengths.len() as u64, unreadable: 0 });
}

#[tokio::test]
async fn a_full_disk_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (at, id) = (Timestamp::now(), MessageId::new());
    let full = Fault { op: Op::Write, path: "jsonl", after: 1, kind: std::io::ErrorKind::StorageFull, once: true, partial: 0 };
    store.shared.disk.faults.set(&[full]);
    store.record(&[record(id, at, "a")]).unwrap();
    assert!(matches!(store.record(&[record(id, at, "lost")]), Err(StoreError::Full)));
    store.record_synced(&[record(id, at, "b")]).await.unwrap();
    assert_eq!(all(&store, at, None).0, ["a", "b"]);
}
