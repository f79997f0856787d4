use super::super::files::Stamp;
use super::super::state::Facts;
use super::super::testing::entry;
use super::*;
use crate::mail::Place;

fn line(dir: &Path, sequence: u64, entry: &Entry) -> Line {
    Line { stamp: Stamp::of(&dir.metadata().unwrap()), facts: Facts::of(entry, sequence, 10, 7) }
}

#[test]
fn rows_read_back_until_the_entry_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.sled");
    let entry = entry(Place::Quarantine);
    let key = (entry.place, entry.id);
    {
        let index = Index::new(path.clone(), SLED, None);
        index.put([(key, line(dir.path(), 5, &entry), &entry)]);
        assert!(!path.exists(), "it is not used yet");
        assert_eq!(index.load().1.as_deref(), Some("there was none"));
        index.put([(key, line(dir.path(), 5, &entry), &entry)]);
        index.close(true);
    }
    let index = Index::new(path.clone(), SLED, None);
    let (lines, why) = index.load();
    assert_eq!((lines.len(), lines[&key].facts.sequence, why), (1, 5, None));
    let found = index.fetch(vec![(key, 5), (key, 6), ((Place::Spool, entry.id), 5)]);
    assert_eq!(found, [Some(entry), None, None], "a later state is not in it");
    index.remove([key]);
    index.close(true);
    drop(index);
    let index = Index::new(path, SLED, None);
    assert_eq!(index.load().0.len(), 0);
}

#[test]
fn more_than_is_to_wait_is_left_out_and_nothing_grows() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::new(dir.path().join("index.sled"), |_| Err("not now".into()), None);
    index.set(IndexState::Building { done: 0, of: 0 });
    lock(&index.inner.queue).closing = true;
    for _ in 0..PENDING + 100 {
        let entry = entry(Place::Spool);
        index.put([((entry.place, entry.id), line(dir.path(), 5, &entry), &entry)]);
    }
    assert_eq!(lock(&index.inner.queue).pending.len(), PENDING);
}

#[test]
fn states_in_words() {
    let building = IndexState::Building { done: 42, of: 100 };
    assert_eq!(building.to_string(), "the index is being rebuilt, 42 % (42 of 100)");
    assert_eq!(serde_json::to_string(&building).unwrap(), "{\"state\":\"building\",\"done\":42,\"of\":100}");
    assert!(IndexState::Broken { why: "x".into() }.to_string().contains("store rebuild"));
}
