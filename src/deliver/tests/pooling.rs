//! Connections used again, and those that ended while nobody looked.

use super::server::{Do, Server, script, usual};
use super::*;

#[tokio::test]
async fn one_connection_serves_many() {
    let server = Server::new(usual()).await;
    let route = route(&[server.address]);
    let courier = courier(&Settings::default());
    for _ in 0..5 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    }
    assert_eq!((server.connections(), server.messages().len()), (1, 5));
    assert!(!server.lines().iter().any(|line| line == "RSET"), "a finished transaction needs none");
    let hops = courier.hops();
    assert_eq!((hops.len(), hops[0].up, hops[0].connections, hops[0].idle), (1, true, 1, 1));
    assert_eq!(hops[0].last.as_deref(), Some("250 2.0.0 taken"));
    courier.close();
    server.one_ended().await;
}

#[tokio::test]
async fn a_connection_is_closed_after_its_messages() {
    let server = Server::new(usual()).await;
    let route = route(&[server.address]);
    let courier = courier(&Settings { messages_per_connection: 2, ..Settings::default() });
    for _ in 0..5 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn side_by_side_within_the_limit() {
    let server = Server::new(usual()).await;
    let route = Arc::new(Route { connections: 3, ..(*route(&[server.address])).clone() });
    let courier = Arc::new(courier(&Settings::default()));
    let tasks: Vec<_> = (0..50)
        .map(|_| {
            let (courier, job) = (courier.clone(), job(&route, &["x@b.example"]));
            tokio::spawn(async move { courier.deliver(job).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(words(&task.await.unwrap()), ["delivered 250"]);
    }
    assert!(server.connections() <= 3, "{} connections", server.connections());
    assert_eq!(server.messages().len(), 50);
}

#[tokio::test]
async fn a_stale_connection_is_retried_once_on_a_fresh_one() {
    // The server ends the first connection at the second MAIL, in one of three ways.
    for ending in [Do::Close, Do::SayAndClose("421 4.4.2 idle for too long")] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let ending_of_second = script(move |connection, line| {
            let second = line.starts_with("MAIL") && connection == 0 && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
            if second { ending.clone() } else { Do::Usual }
        });
        let server = Server::new(ending_of_second).await;
        let route = route(&[server.address]);
        let courier = courier(&Settings::default());
        for _ in 0..2 {
            assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
        }
        assert_eq!((server.connections(), server.messages().len()), (2, 2));
    }
    // Closed right after the first message: seen before use, or at the write.
    let server =
        Server::new(script(|connection, line| if connection == 0 && line == "." { Do::SayAndClose("250 taken") } else { Do::Usual })).await;
    let route = route(&[server.address]);
    let courier = courier(&Settings::default());
    for _ in 0..2 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_fresh_connection_that_fails_is_not_retried() {
    let server = Server::new(script(|_, line| if line.starts_with("MAIL") { Do::Close } else { Do::Usual })).await;
    assert_eq!(words(&courier(&Settings::default()).deliver(job(&route(&[server.address]), &["x@b.example"])).await), ["deferred"]);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn after_the_first_answer_nothing_is_retried() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::new(script(move |_, line| {
        let second = line.starts_with("RCPT") && count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1;
        if second { Do::Close } else { Do::Usual }
    }))
    .await;
    let route = route(&[server.address]);
    let courier = courier(&Settings::default());
    let first = courier.deliver(job(&route, &["x@b.example"])).await;
    let second = courier.deliver(job(&route, &["x@b.example"])).await;
    assert_eq!((words(&first), words(&second)), (vec!["delivered 250".into()], vec!["deferred".into()]));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_changed_limit_takes_effect() {
    let server = Server::new(usual()).await;
    let courier = courier(&Settings::default());
    let before = route(&[server.address]);
    let after = Arc::new(Route { rate: Some(100.0), ..(*before).clone() });
    for route in [&before, &after, &after] {
        assert_eq!(words(&courier.deliver(job(route, &["x@b.example"])).await), ["delivered 250"]);
    }
    assert_eq!((server.connections(), courier.hops().len()), (2, 1));
}
