//! Questions about recipients: asked once, remembered, and never a reason to refuse everybody.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::super::Verified;
use super::server::{Do, Server, script, usual};
use super::*;
use crate::mail::Address;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn picky() -> server::Script {
    script(|_, line| match line {
        "RCPT TO:<no@b.example>" => Do::Say("550 5.1.1 no such user"),
        "RCPT TO:<later@b.example>" => Do::Say("450 4.2.1 later"),
        _ => Do::Usual,
    })
}

fn rcpts(server: &Server) -> usize {
    server.lines().iter().filter(|line| line.starts_with("RCPT")).count()
}

#[tokio::test]
async fn asked_once_and_remembered() {
    for offers in [&["PIPELINING"][..], &[]] {
        let server = Server::offering(offers, picky()).await;
        let route = route(&[server.address]);
        let courier = courier(&Settings::default());
        for _ in 0..3 {
            assert_eq!(courier.verify(&route, &address("yes@b.example")).await, Verified::Known);
            assert!(matches!(courier.verify(&route, &address("no@b.example")).await, Verified::Unknown(reply) if reply.code == 550));
            assert!(matches!(courier.verify(&route, &address("later@b.example")).await, Verified::CannotTell(why) if why.contains("450")));
        }
        assert_eq!((rcpts(&server), server.connections()), (3, 1));
        assert_eq!(server.lines()[1..4], ["MAIL FROM:<>", "RCPT TO:<yes@b.example>", "RSET"]);
        // The session is one for mail.
        assert_eq!(words(&courier.deliver(job(&route, &["yes@b.example"])).await), ["delivered 250"]);
        assert_eq!(server.connections(), 1);
        assert_eq!(server.lines()[10], "MAIL FROM:<a@a.example>", "in step, without another RSET");
    }
}

#[tokio::test]
async fn one_question_for_all_who_wait() {
    let server =
        Server::new(script(|_, line| if line.starts_with("RCPT") { Do::Wait(Duration::from_millis(50), "250 ok") } else { Do::Usual }))
            .await;
    let route = route(&[server.address]);
    let courier = Arc::new(courier(&Settings::default()));
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (courier, route) = (courier.clone(), route.clone());
            tokio::spawn(async move { courier.verify(&route, &address("x@b.example")).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Verified::Known);
    }
    assert_eq!(rcpts(&server), 1);
}

#[tokio::test]
async fn a_late_answer_serves_the_next_sender() {
    let slow =
        |_: usize, line: &str| if line.starts_with("RCPT") { Do::Wait(Duration::from_millis(300), "550 5.1.1 who") } else { Do::Usual };
    let server = Server::new(script(slow)).await;
    let route = route(&[server.address]);
    let courier = courier(&Settings { callout_time: Period(Duration::from_millis(50)), ..Settings::default() });
    assert!(matches!(courier.verify(&route, &address("x@b.example")).await, Verified::CannotTell(_)));
    let begin = Instant::now();
    while !matches!(courier.verify(&route, &address("x@b.example")).await, Verified::Unknown(_)) {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(rcpts(&server), 1);
}

#[tokio::test]
async fn nobody_is_refused_for_what_is_not_about_them() {
    for (start, text) in [
        ("MAIL", "550 5.7.1 no null sender here"),
        ("RCPT", "554 5.7.1 relaying denied"),
        ("RCPT", "530 5.7.0 log in first"),
        ("RCPT", "452 4.3.1 full"),
        ("connect", "554 no service"),
        ("connect", "421 busy"),
    ] {
        let server = Server::new(script(move |_, line| if line.starts_with(start) { Do::Say(text) } else { Do::Usual })).await;
        let said = courier(&Settings::default()).verify(&route(&[server.address]), &address("x@b.example")).await;
        assert!(matches!(said, Verified::CannotTell(_)), "{start} {text}: {said:?}");
    }
    let lost = Server::new(script(|_, line| if line.starts_with("RCPT") { Do::Close } else { Do::Usual })).await;
    let said = courier(&Settings::default()).verify(&route(&[lost.address]), &address("x@b.example")).await;
    assert!(matches!(said, Verified::CannotTell(_)), "{said:?}");
}

#[tokio::test]
async fn a_hop_that_is_gone_costs_one_wait_and_forgets_nobody() {
    let up = Arc::new(AtomicBool::new(true));
    let seen = up.clone();
    let answers = script(move |_, line| match line {
        "connect" if !seen.load(Ordering::SeqCst) => Do::Hang,
        line if line.starts_with("RCPT") => Do::SayAndClose("250 ok"),
        _ => Do::Usual,
    });
    // Closing after each answer, so that each question is a new connection.
    let server = Server::offering(&[], answers).await;
    let other = Server::new(usual()).await;
    let settings = Settings { callout_positive: seconds(0), callout_time: Period(Duration::from_millis(200)), ..Settings::default() };
    let courier = courier(&settings);
    let pair = route(&[server.address, other.address]);
    assert_eq!(courier.verify(&pair, &address("x@b.example")).await, Verified::Known, "the second one is asked");
    let alone = Server::new(at_rcpt_known(up.clone())).await;
    let alone_route = Arc::new(Route { name: "alone".into(), ..(*route(&[alone.address])).clone() });
    assert_eq!(courier.verify(&alone_route, &address("x@b.example")).await, Verified::Known);
    up.store(false, Ordering::SeqCst);
    courier.close();
    alone.one_ended().await;
    let begin = Instant::now();
    for n in 0..20 {
        let said = courier.verify(&alone_route, &address(&format!("y{n}@b.example"))).await;
        assert!(matches!(said, Verified::CannotTell(_)), "{said:?}");
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "twenty senders did not wait each");
    assert_eq!(courier.verify(&alone_route, &address("x@b.example")).await, Verified::Known, "as it was");
}

/// Knows everybody while `up`, and takes no connections afterwards.
fn at_rcpt_known(up: Arc<AtomicBool>) -> server::Script {
    script(move |_, line| if line == "connect" && !up.load(Ordering::SeqCst) { Do::Hang } else { Do::Usual })
}
