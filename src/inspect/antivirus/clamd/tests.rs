//! The clamd engine against a scripted peer on loopback; the real clamd is in `tests/clamd.rs`.

use std::future::Future;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::super::engine;
use super::super::probe::Terms;
use super::super::watched::Watched;
use super::*;

/// A peer that gives each connection to `script`, and the engine that talks to it.
async fn peer<S, F>(script: S) -> Arc<dyn Engine>
where
    S: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let spec = format!("clamd:tcp:{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    engine::build(&spec, &Settings::default()).unwrap()
}

/// Reads one INSTREAM command to its end: the bytes, and the lengths of the chunks.
async fn instream(stream: &mut TcpStream) -> (Vec<u8>, Vec<u32>) {
    let mut command = [0; 10];
    stream.read_exact(&mut command).await.unwrap();
    assert_eq!(&command, b"zINSTREAM\0");
    let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
    loop {
        let length = stream.read_u32().await.unwrap();
        if length == 0 {
            return (bytes, lengths);
        }
        lengths.push(length);
        let start = bytes.len();
        bytes.resize(start + length as usize, 0);
        stream.read_exact(&mut bytes[start..]).await.unwrap();
    }
}

fn kind(answer: &Answer) -> Option<TroubleKind> {
    match answer {
        Answer::CouldNotTell(trouble) => Some(trouble.kind),
        _ => None,
    }
}

#[tokio::test]
async fn the_bytes_arrive_as_they_are_in_big_chunks() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let engine = peer(move |mut stream| {
        let sender = sender.clone();
        async move {
            sender.send(instream(&mut stream).await).unwrap();
            stream.write_all(b"stream: OK\0").await.unwrap();
        }
    })
    .await;
    for size in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7] {
        let sent: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        assert_eq!(engine.scan(sent.clone().into()).await, Answer::Clean);
        let (bytes, lengths) = receiver.recv().await.unwrap();
        assert!(bytes == sent, "{size}");
        assert_eq!(lengths.len(), size.div_ceil(CHUNK), "{size}");
    }
}

#[tokio::test]
async fn a_reply_in_pieces_and_a_reply_cut_off() {
    const REPLY: &[u8] = b"stream: Test.One FOUND\0";
    for cut in 0..=REPLY.len() {
        for rest in [true, false] {
            let engine = peer(move |mut stream| async move {
                stream.set_nodelay(true).unwrap();
                instream(&mut stream).await;
                stream.write_all(&REPLY[..cut]).await.unwrap();
                if rest {
                    stream.write_all(&REPLY[cut..]).await.unwrap();
                }
            })
            .await;
            let answer = engine.scan(Bytes::from_static(b"x")).await;
            if rest || cut == REPLY.len() {
                assert_eq!(answer, Answer::Found("Test.One".to_owned()), "{cut}");
            } else {
                assert!(matches!(kind(&answer), Some(TroubleKind::Unavailable | TroubleKind::Malformed)), "{cut}: {answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_last_words_before_hanging_up_are_heard() {
    // Closing with unread bytes resets the connection, as clamd's does for a stream above StreamMaxLength.
    let rows: [(&[u8], &[TroubleKind]); 3] = [
        (b"INSTREAM size limit exceeded. ERROR\0", &[TroubleKind::TooBig]),
        (b"stream: OK\0", &[TroubleKind::Malformed]),
        (b"", &[TroubleKind::Unavailable]),
    ];
    for (reply, want) in rows {
        let engine = peer(move |mut stream| async move {
            let mut some = [0; 1000];
            stream.read_exact(&mut some).await.unwrap();
            stream.write_all(reply).await.unwrap();
        })
        .await;
        for _ in 0..20 {
            let answer = engine.scan(vec![0; 16 << 20].into()).await;
            assert!(kind(&answer).is_some_and(|kind| want.contains(&kind)), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_peer_that_is_silent_gone_or_no_clamd() {
    let patience = Duration::from_millis(100);
    let silent = peer(|mut stream| async move {
        instream(&mut stream).await;
        std::future::pending().await
    });
    let deaf = peer(|stream| async move {
        let _open = stream;
        std::future::pending().await
    });
    let gone = peer(|stream| async move { drop(stream) });
    let endless = peer(|mut stream| async move { while stream.write_all(&[b'x'; 4096]).await.is_ok() {} });
    let nobody = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let spec = format!("clamd:tcp:{}", listener.local_addr().unwrap());
        engine::build(&spec, &Settings::default()).unwrap()
    };
    use TroubleKind::{Malformed, Time, Unavailable};
    let rows = [
        ("silent", silent.await, vec![Time], 1),
        ("deaf", deaf.await, vec![Time], 1 << 20),
        ("gone", gone.await, vec![Unavailable], 1 << 20),
        ("endless", endless.await, vec![Malformed], 1),
        ("nobody", nobody.await, vec![Unavailable], 1),
    ];
    for (name, engine, want, size) in rows {
        let watched = Watched::new(engine, 8, 0, Terms { timeout: patience, signature_age: Duration::MAX, message_size: 1 });
        let answer = watched.scan(vec![0; size].into(), Instant::now() + Duration::from_secs(20)).await;
        assert!(kind(&answer).is_some_and(|kind| want.contains(&kind)), "{name}: {answer:?}");
    }
}

#[tokio::test]
async fn a_socket_that_is_not_there_says_so() {
    let engine = engine::build("clamd:unix:/nonexistent/clamd.ctl", &Settings::default()).unwrap();
    let answer = engine.scan(Bytes::from_static(b"x")).await;
    assert_eq!(kind(&answer), Some(TroubleKind::Unavailable));
    let trouble = engine.version().await.unwrap_err();
    assert!(trouble.to_string().contains("No such file"), "{trouble}");
}

#[tokio::test]
async fn versions_and_what_is_none() {
    async fn versioned(reply: &'static [u8]) -> Result<Version, Trouble> {
        let engine = peer(move |mut stream| async move {
            let mut command = [0; 9];
            stream.read_exact(&mut command).await.unwrap();
            assert_eq!(&command, b"zVERSION\0");
            stream.write_all(reply).await.unwrap();
        });
        engine.await.version().await
    }
    assert_eq!(versioned(b"ClamAV 1.4.6/27600/Mon Apr 14 08:30:00 2025\0").await.unwrap().signatures, Some(27600));
    assert_eq!(versioned(b"220 mail.example ESMTP\r\n").await.unwrap_err().kind, TroubleKind::Malformed);
}
