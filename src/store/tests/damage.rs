//! A disk that lies: index, files and journal are not what was written.

use super::*;

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
    assert_eq!(store.verify(|_, _| ()).unwrap().damaged.iter().map(|damaged| damaged.id.unwrap()).collect::<Vec<_>>(), [ids[4]]);
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
        let found = look(&disk, &layout);
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

/// The last segment cut off, zeroed from there on, or with one bit changed, at every byte of its records: no panic, every record that was
/// acknowledged before is whole and byte for byte there, and what is not whole is either unfinished or damaged, never anything else.
#[tokio::test]
async fn cut_zeroed_or_flipped_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut kept: Vec<(Entry, Bytes)> = Vec::new();
    for n in 0..4 {
        let (entry, bytes, change) = put(if n % 2 == 0 { Place::Spool } else { Place::Quarantine }, 60 + n);
        store.commit(vec![change]).await.unwrap();
        kept.push((entry, bytes));
    }
    drop(store);
    let segment = dir.path().join("journal/00000001.seg");
    let whole = fs::read(&segment).unwrap();
    let mut found = replay::scan(&whole, &frame::SegmentHeader::decode(&whole).unwrap(), None).records.into_iter();
    let mut at = frame::SEGMENT_HEADER;
    let ends: Vec<usize> = std::iter::from_fn(|| {
        at += found.next()?.header.total();
        Some(at)
    })
    .collect();
    assert_eq!(ends.len(), 4);
    // The zeros behind say nothing, and take their time.
    let whole = whole[..ends[3] + 128].to_vec();
    let (disk, layout) = (Disk::default(), Layout::new(dir.path()));
    let (mut torn, mut damaged) = (0, 0);
    for how in ["cut", "zeroed", "flipped"] {
        for at in frame::SEGMENT_HEADER..ends[3] {
            let mut bytes = whole.clone();
            match how {
                "cut" => bytes.truncate(at),
                "zeroed" => bytes[at..].fill(0),
                _ => bytes[at] ^= 1 << (at % 8),
            }
            fs::write(&segment, &bytes).unwrap();
            let found = look(&disk, &layout);
            let hit = ends.iter().position(|end| at < *end).unwrap();
            for (n, (entry, message)) in kept.iter().enumerate() {
                let row = found.state.row((entry.place, entry.id));
                // A flip hurts one record; after a cut nothing is left.
                let must = n < hit || (how == "flipped" && n != hit);
                assert!(row.is_some() || !must, "{how} at {at}: {n} is lost");
                let Some(row) = row else { continue };
                let state::At::Journal { segment, offset, .. } = &row.at else { panic!("{how} at {at}") };
                assert!(row.entry.as_deref() == Some(entry), "{how} at {at}: {n} has another envelope");
                assert_eq!(segment.read(*offset, row.facts.size).unwrap(), message, "{how} at {at}: {n} has other bytes");
            }
            let lost = kept.len() - found.state.len();
            torn += usize::from(found.recovery.torn_tail.is_some());
            damaged += found.recovery.damaged.len();
            let expected = match how {
                // What a later record says was synced is missing: damage, and told. The last one may never have been answered.
                "flipped" if hit < 3 => usize::from(lost > 0),
                _ => 0,
            };
            assert_eq!(found.recovery.damaged.len(), expected, "{how} at {at}: {:?}", found.recovery);
        }
    }
    assert!(torn > 1000 && damaged > 1000, "{torn} {damaged}");
    // And a start for good: what was cut off does not come back, and the store goes on.
    for at in (frame::SEGMENT_HEADER..ends[3]).step_by(131) {
        let again = tempfile::tempdir().unwrap();
        fs::create_dir(again.path().join("journal")).unwrap();
        let mut bytes = whole.clone();
        bytes[at..].fill(0);
        fs::write(again.path().join("journal/00000001.seg"), &bytes).unwrap();
        let left: BTreeMap<_, _> =
            kept.iter().zip(&ends).filter(|(_, end)| **end <= at).map(|((e, b), _)| ((e.place, e.id), (e.clone(), b.clone()))).collect();
        for _ in 0..2 {
            let (store, recovery) = open(again.path());
            assert!(recovery.entries <= left.len() + 1 && recovery.damaged.is_empty(), "at {at}: {recovery:?}");
            for ((place, id), (entry, bytes)) in &left {
                assert_eq!((store.get(*place, *id).as_ref(), &store.bytes(*place, *id).await.unwrap()), (Some(entry), bytes));
            }
            let (_, _, change) = put(Place::Spool, 50);
            store.commit(vec![change.clone()]).await.unwrap();
            store.commit(vec![Change::Remove(change.key().0, change.key().1)]).await.unwrap();
        }
    }
}
