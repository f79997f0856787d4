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
