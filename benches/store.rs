//! Group commit: messages per second made durable, beside the bare disk (one write and one fdatasync into zeros that are there).
//!
//! `TMPDIR` says which disk. Look at the ratio, not at the figure: it is the disk's.

use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use mailweir::mail::{
    Body, Decision, Direction, Disposition, Entry, EntryRecipient, MessageId, Origin, Place, RecipientState, ReversePath, VersionId,
};
use mailweir::store::{Change, Settings, Store};

fn entry(size: usize) -> Entry {
    Entry {
        id: MessageId::new(),
        place: Place::Spool,
        area: None,
        received_at: Timestamp::now(),
        origin: Origin { listener: "internet".into(), peer: None, helo: "mail.example".into(), esmtp: true, tls: None, normalised: false },
        sender: ReversePath::Null,
        body: Body::EightBitMime,
        smtputf8: false,
        dsn: Default::default(),
        recipients: vec![EntryRecipient {
            dsn: Default::default(),
            warned: false,
            address: "someone@example.org".parse().expect("an address"),
            direction: Direction::Inbound,
            route: "groupwise".into(),
            decision: Decision {
                disposition: Disposition::Deliver,
                area: None,
                rule: "default".into(),
                because: String::new(),
                score: 0.5,
                would: None,
                tagged: false,
            },
            state: RecipientState::Spooled { attempts: 0, next_try: Timestamp::now(), last: None },
        }],
        size: size as u64,
        subject: "A subject of the usual length, or so".into(),
        from: "Someone <someone@example.com>".into(),
        trace: "Received: from mail.example by mx.example with ESMTPS id 8M4KX2Q9TZAB;\r\n Sun, 1 Mar 2026 12:00:00 +0000\r\n".into(),
        findings: Vec::new(),
        version: VersionId("0123456789ab".into()),
        release: None,
    }
}

/// `writers` at once, each commits a message and marks it delivered, as the spool route does.
async fn commits(store: &Arc<Store>, writers: u64, each: u64, message: &Bytes) {
    let tasks: Vec<_> = (0..writers)
        .map(|_| {
            let (store, message) = (store.clone(), message.clone());
            tokio::spawn(async move {
                for _ in 0..each {
                    let entry = entry(message.len());
                    let id = entry.id;
                    store.commit(vec![Change::Put { entry, bytes: message.clone() }]).await.expect("a commit");
                    store.note(vec![Change::Remove(Place::Spool, id)]).await.expect("a note");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a task");
    }
}

fn group_commit(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for size in [4 << 10, 22 << 10] {
        let mut group = criterion.benchmark_group(format!("commit {} KiB", size >> 10));
        group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(5));
        let message = Bytes::from(vec![b'x'; size]);
        group.bench_function("bare disk, one at a time", |bencher| {
            let dir = tempfile::tempdir().expect("a directory");
            let file = std::fs::OpenOptions::new().write(true).create_new(true).open(dir.path().join("zeros")).expect("a file");
            let length = 64 << 20;
            (0..64).for_each(|n| file.write_all_at(&vec![0; 1 << 20], n << 20).expect("zeros"));
            file.sync_all().expect("a sync");
            let mut at = 0;
            bencher.iter(|| {
                file.write_all_at(black_box(&message), at).expect("a write");
                file.sync_data().expect("a sync");
                at = (at + size as u64) % (length - size as u64);
            });
        });
        for writers in [1, 20, 64, 200] {
            group.bench_with_input(BenchmarkId::new("writers", writers), &writers, |bencher, writers| {
                let dir = tempfile::tempdir().expect("a directory");
                let (store, _) = Store::open(dir.path(), &Settings::default()).expect("a store");
                bencher.iter_custom(|iterations| {
                    let each = iterations.div_ceil(*writers).max(1);
                    let begun = Instant::now();
                    runtime.block_on(commits(&store, *writers, each, &message));
                    begun.elapsed().mul_f64(iterations as f64 / (each * writers) as f64)
                });
                runtime.block_on(store.close());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, group_commit);
criterion_main!(benches);
