//! When an entry becomes plain files: some time after its first change that is not in files, however often it is changed again.

use std::time::Instant;

use super::super::checkpoint::round;
use super::super::state::{At, Effect, Wanted};
use super::*;

const AGE: Duration = Duration::from_secs(2);

fn arrives(entry: &Entry) -> Effect {
    Effect::Put { entry: Arc::new(entry.clone()), size: 9, crc: 0, at: At::Own(Arc::from("x.eml")) }
}

#[test]
fn age_counts_from_the_first_change_that_is_not_in_files() {
    let begun = Instant::now();
    let after = |millis| begun + Duration::from_millis(millis);
    let wanted = |millis| Wanted { now: after(millis), age: AGE, through: 0, rows: 9, bytes: 9000 };
    for how in ["updated", "put again"] {
        let (retried, other) = (entry(Place::Spool), entry(Place::Spool));
        let again = || if how == "updated" { Effect::Update(Arc::new(retried.clone())) } else { arrives(&retried) };
        let mut state = State::new(0);
        state.apply(1, arrives(&retried), Some(after(0)));
        state.apply(2, arrives(&other), Some(after(0)));
        for sequence in 3..10 {
            state.apply(sequence, again(), Some(after((sequence - 2) * 250)));
        }
        assert_eq!(state.todo(&wanted(1999), None).0.len(), 0, "{how}");
        let (todo, _) = state.todo(&wanted(2000), None);
        assert_eq!(todo.len(), 2, "{how}: neither it nor what came after it may wait longer");
        if how == "put again" {
            // Its files are those of a message that is replaced: the next round writes it.
            continue;
        }
        // A change while the files are written is the first one of the next age.
        state.apply(10, again(), Some(after(2100)));
        todo.iter().for_each(|todo| state.written(todo, after(2200)));
        assert_eq!(state.horizon(), 10, "what is in files pins no segment");
        state.apply(11, again(), Some(after(4100)));
        assert_eq!(state.todo(&wanted(4099), None).0.len(), 0);
        let (todo, _) = state.todo(&wanted(4200), None);
        assert_eq!(todo.iter().map(|todo| todo.facts.sequence).collect::<Vec<_>>(), [11]);
        todo.iter().for_each(|todo| state.written(todo, after(4300)));
        assert_eq!(state.horizon(), 12);
    }
}

#[test]
fn what_the_journal_gave_back_at_start_is_due_at_once() {
    let (one, now) = (entry(Place::Spool), Instant::now());
    let mut state = State::new(0);
    state.apply(1, arrives(&one), None);
    state.apply(2, Effect::Update(Arc::new(one)), Some(now));
    assert_eq!(state.todo(&Wanted { now, age: AGE, through: 0, rows: 9, bytes: 9000 }, None).0.len(), 1);
}

#[tokio::test]
async fn an_entry_that_is_retried_all_the_time_becomes_files() {
    let dir = tempfile::tempdir().unwrap();
    // Large segments: the need of a free one would write it too.
    let checkpoint = Period(Duration::from_millis(100));
    let settings = JournalSettings { checkpoint, segment_size: Size(64 << 20), ..small() };
    let (store, _) = Store::open_with(dir.path(), &Settings::default(), &settings).unwrap();
    let (mut retried, bytes, change) = put(Place::Spool, 500);
    store.commit(vec![change]).await.unwrap();
    let (begun, mut attempts) = (Instant::now(), 0);
    while files(dir.path().join("spool")) != [format!("{}.eml", retried.id), format!("{}.json", retried.id)] {
        assert!(begun.elapsed() < Duration::from_secs(5), "no files after {attempts} attempts");
        attempts += 1;
        retried.recipients[0].state = RecipientState::Spooled { attempts, next_try: jiff::Timestamp::UNIX_EPOCH, last: None };
        store.commit(vec![Change::Update(retried.clone())]).await.unwrap();
        let shared = store.shared.clone();
        tokio::task::spawn_blocking(move || round(&shared, Scope::Ripe)).await.unwrap().unwrap();
    }
    assert!(attempts > 1 && lock(&store.shared.state).horizon() > 1, "{attempts} attempts");
    drop(store);
    let (store, recovery) = open(dir.path());
    assert_eq!((recovery.entries, recovery.damaged), (1, vec![]));
    assert_eq!(store.get(Place::Spool, retried.id), Some(retried.clone()));
    assert_eq!(store.bytes(Place::Spool, retried.id).await.unwrap(), bytes);
}
