use std::io::Write;
use std::sync::Barrier;

use futures_util::future::join_all;

use super::super::ledger;
use super::*;
use crate::content::Supervisor;
use crate::mail::PartKind;
use crate::mail::units::{Period, Size};

fn opening(bytes: u64) -> (tempfile::TempDir, Opening) {
    let dir = tempfile::tempdir().unwrap();
    let opening = Opening::new(bytes, Ledger::open(&dir.path().join(ledger::NAME)));
    (dir, opening)
}

fn limits(seconds: u64) -> Limits {
    Limits { time: Period(Duration::from_secs(seconds)), ..Limits::default() }
}

/// A gzip of `mega` MiB that do not shrink much when they are packed again and again: below the ratio of a bomb.
fn log(mega: usize) -> Bytes {
    let mut state = 1u32;
    let line = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:08x} the same words on every line of this log\n", state)
    };
    let some: String = (0..20_000).map(line).collect();
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut left = mega << 20;
    while left > 0 {
        let n = left.min(some.len());
        packer.write_all(&some.as_bytes()[..n]).unwrap();
        left -= n;
    }
    let head = b"Content-Type: application/gzip; name=log.gz\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    [&head[..], &base64(&packer.finish().unwrap())].concat().into()
}

/// In lines, since what stands in binary has line ends that may be read in several ways.
fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let four = |three: &[u8]| {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let letter = move |at: usize| ALPHABET[(bits >> (18 - 6 * at)) as usize & 63];
        let count = three.len() + 1;
        (0..4).map(move |at| if at < count { letter(at) } else { b'=' })
    };
    bytes.chunks(57).flat_map(|line| line.chunks(3).flat_map(four).chain(*b"\r\n")).collect()
}

/// What is found beside oddities of lines.
fn codes(opened: &Opened) -> Vec<&str> {
    let codes = opened.message.findings.iter().map(|finding| finding.code.as_ref());
    codes.filter(|code| code.contains("limit") || *code == CRASHED).collect()
}

/// A thread that was given up gives back what it has a little later.
async fn all_free(opening: &Opening) {
    let end = Instant::now() + Duration::from_secs(60);
    let free = || {
        let memory = opening.small.room_at_once(u64::MAX).is_some() && opening.large.room_at_once(u64::MAX).is_some();
        memory && opening.lane.is_free()
    };
    while !free() {
        assert!(Instant::now() < end, "memory or the lane is not given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ordinary_message_gives_back_what_it_did_not_need() {
    let (_dir, opening) = opening(128 << 20);
    let raw = Bytes::from(format!("Subject: x\r\n\r\n{}", "plain words\r\n".repeat(1000)));
    let opened = opening.open(raw.clone(), &limits(60)).await.unwrap();
    assert!(codes(&opened).is_empty() && opened.room.bytes() < 1024, "nothing was decoded: {}", opened.room.bytes());
    assert_eq!(opened.message.parts[0].sha256[..], Sha256::digest(&raw)[..]);
    assert_eq!(opened.sha256, hex(&Sha256::digest(&raw)));
    drop(opened);
    all_free(&opening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn much_goes_through_the_lane_and_too_much_nowhere() {
    let (_dir, opening) = opening(128 << 20);
    let big = opening.open(log(30), &limits(60)).await.unwrap();
    assert!(codes(&big).is_empty(), "{:?}", codes(&big));
    assert_eq!(big.message.parts.iter().filter(|part| part.kind == PartKind::Member).map(|part| part.data.len()).sum::<usize>(), 30 << 20);
    assert!(big.room.bytes() >= 29 << 20, "{}", big.room.bytes());
    assert!(!opening.lane.is_free(), "its memory is held while it is judged");
    drop(big);
    all_free(&opening).await;
    let bomb = opening.open(log(100), &limits(60)).await.unwrap();
    assert_eq!(codes(&bomb), ["archive.limit.bytes"], "more than the lane's 48 MiB");
    drop(bomb);
    all_free(&opening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_lane_waits_as_long_as_its_time() {
    let (_dir, opening) = opening(128 << 20);
    let judged = opening.open(log(40), &limits(60)).await.unwrap();
    let began = Instant::now();
    let next = opening.open(log(41), &limits(1)).await.unwrap();
    assert!(codes(&next).iter().any(|code| code.contains("limit")), "{:?}", codes(&next));
    assert!(began.elapsed() < Duration::from_secs(30));
    drop(judged);
    drop(next);
    let again = opening.open(log(41), &limits(60)).await.unwrap();
    assert!(codes(&again).is_empty(), "{:?} {:?}", codes(&again), again.message.findings);
    drop(again);
    all_free(&opening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_bombs_at_once_all_end() {
    let (_dir, opening) = opening(48 << 20);
    let (bomb, small) = (log(60), Bytes::from_static(b"Subject: x\r\n\r\nsmall\r\n"));
    let (less, usual) = (Limits { decoded_bytes: Size(20 << 20), ..limits(2) }, Limits::default());
    let bombs = (0..40).map(|_| opening.open(bomb.clone(), &less));
    let others = (0..40).map(|_| opening.open(small.clone(), &usual));
    let (bombs, others) = tokio::join!(join_all(bombs), join_all(others));
    for bomb in &bombs {
        match bomb {
            Ok(bomb) => assert!(codes(bomb).iter().any(|code| code.contains("limit")), "{:?}", codes(bomb)),
            Err(why) => assert_eq!(*why, Unopened::Busy),
        }
    }
    assert!(others.iter().all(|other| other.as_ref().is_ok_and(|other| codes(other).is_empty())));
    drop((bombs, others));
    all_free(&opening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_is_said() {
    let (_dir, opening) = opening(30 << 20);
    let _all = opening.large.room(u64::MAX).await;
    let opened = opening.open(Bytes::from_static(b"Subject: x\r\n\r\nsmall\r\n"), &limits(60)).await;
    assert_eq!(opened.err(), None, "a small message is no matter of the large ones' memory");
    let large = Bytes::from(vec![b'x'; 2 << 20]);
    assert_eq!(opening.open(large, &limits(0)).await.err(), Some(Unopened::Busy));
}

impl PartialEq for Opened {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sha256)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_given_up_keeps_its_memory_and_nothing_else() {
    let (_dir, opening) = opening(128 << 20);
    let room = opening.small.room(1 << 20).await;
    let core = opening.cores.clone().acquire_owned().await.unwrap();
    let cores = opening.cores.available_permits();
    let deadline = Instant::now() + Duration::from_secs(60);
    let ticket = Arc::new(Ticket::new(1 << 20, room, core, opening.small.clone(), opening.lane.clone(), deadline));
    let loops = Arc::new(Barrier::new(2));
    let job = {
        let (ticket, loops) = (ticket.clone(), loops.clone());
        move || {
            ticket.begin();
            assert!(ticket.may_go_on() && ticket.grant(20 << 20), "by the lane");
            loops.wait();
            loops.wait();
            assert!(!ticket.may_go_on(), "it need not go on");
            ticket.finish();
            false
        }
    };
    opening.workers.run(Box::new(job)).unwrap();
    tokio::task::spawn_blocking({
        let loops = loops.clone();
        move || loops.wait()
    })
    .await
    .unwrap();
    assert!(!opening.lane.is_free());
    ticket.give_up();
    drop(ticket);
    assert_eq!(opening.cores.available_permits(), cores + 1, "its core is free");
    assert!(opening.lane.has_place() && opening.small.room_at_once(u64::MAX).is_none(), "the lane too, the memory not");
    tokio::task::spawn_blocking(move || loops.wait()).await.unwrap();
    all_free(&opening).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_ended_the_process_twice_is_not_taken_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(ledger::NAME);
    let raw = Bytes::from_static(b"Subject: bad\r\nContent-Type: text/plain\r\n\r\nbody\r\n");
    for _ in 0..2 {
        std::mem::forget(Ledger::open(&path).enter(Sha256::digest(&raw).into()));
    }
    let opening = Opening::new(96 << 20, Ledger::open(&path));
    let opened = opening.open(raw.clone(), &limits(60)).await.unwrap();
    assert_eq!(codes(&opened), [CRASHED]);
    assert_eq!((opened.message.parts.len(), opened.message.subject(), &opened.message.raw), (1, "bad", &raw));
    assert_eq!(opened.message.findings[0].class, Class::CouldNotTell { reason: Reason::Malformed });
    let other = opening.open(Bytes::from_static(b"Subject: good\r\n\r\nbody\r\n"), &limits(60)).await.unwrap();
    assert!(codes(&other).is_empty() && other.message.parts.len() > 1);
}

#[tokio::test]
async fn the_header_alone() {
    let (_dir, opening) = opening(128 << 20);
    for size in [10, 1 << 20] {
        let raw = Bytes::from(format!("Subject: x\r\n\r\n{}", "y".repeat(size)));
        let opened = opening.header(raw.clone()).await.unwrap();
        assert_eq!((opened.message.subject(), opened.message.parts.len(), opened.sha256), ("x", 1, hex(&Sha256::digest(&raw))));
    }
}
