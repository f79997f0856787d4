//! Several hops: failover, failback, MX, and slow ones that hold up nobody else.

use std::net::SocketAddr;

use super::server::{Do, Server, script, usual};
use super::*;
use crate::net::dns::tests::serve;

/// An address at which nothing listens; the port stays taken while the socket lives.
fn nobody() -> (tokio::net::TcpSocket, SocketAddr) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn at(start: &'static str, what: Do) -> server::Script {
    script(move |_, line| if line.starts_with(start) { what.clone() } else { Do::Usual })
}

#[tokio::test]
async fn what_is_handed_to_the_next_hop() {
    let rows: Vec<(&str, server::Script, &str, bool)> = vec![
        ("greeting 4xx", at("connect", Do::Say("421 busy")), "delivered 250", true),
        ("greeting 5xx", at("connect", Do::Say("554 no")), "delivered 250", true),
        ("closed", at("connect", Do::Close), "delivered 250", true),
        ("EHLO 4xx", at("EHLO", Do::Say("451 busy")), "delivered 250", true),
        ("MAIL 4xx", at("MAIL", Do::Say("451 busy")), "delivered 250", true),
        ("MAIL 421", at("MAIL", Do::SayAndClose("421 busy")), "delivered 250", true),
        ("lost in the envelope", at("RCPT", Do::Close), "delivered 250", true),
        ("MAIL 5xx", at("MAIL", Do::Say("550 no")), "refused 550", false),
        ("RCPT 4xx", at("RCPT", Do::Say("450 later")), "deferred 450", false),
        ("RCPT 5xx", at("RCPT", Do::Say("550 who")), "refused 550", false),
        ("final 4xx", at(".", Do::Say("452 full")), "deferred 452", false),
        ("final 5xx", at(".", Do::Say("554 no")), "refused 554", false),
        ("lost at the end", at(".", Do::Close), "unknown", false),
    ];
    for (name, script, want, handed_on) in rows {
        let (first, second) = (Server::new(script).await, Server::new(usual()).await);
        let outcomes = courier(&Settings::default()).deliver(job(&route(&[first.address, second.address]), &["x@b.example"])).await;
        assert_eq!(words(&outcomes), [want], "{name}: {outcomes:?}");
        assert_eq!(second.connections(), usize::from(handed_on), "{name}");
    }
}

#[tokio::test]
async fn a_message_cut_off_in_the_middle_goes_to_the_next_hop() {
    let (first, second) = (Server::new(at("DATA", Do::CutOff)).await, Server::new(usual()).await);
    let data = vec![Bytes::from(vec![b'x'; 8 << 20])];
    let job = Job { data, ..job(&route(&[first.address, second.address]), &["x@b.example"]) };
    assert_eq!(words(&courier(&Settings::default()).deliver(job.clone()).await), ["delivered 250"]);
    assert_eq!((first.messages().len(), second.messages().len()), (0, 1));
    let alone = Job { route: route(&[first.address]), ..job };
    assert_eq!(words(&courier(&Settings::default()).deliver(alone).await), ["deferred"]);
}

#[tokio::test]
async fn only_unsettled_recipients_go_on() {
    let first = Server::offering(
        &[],
        script(|_, line| match line {
            "RCPT TO:<one@b.example>" => Do::Say("550 5.1.1 who"),
            "RCPT TO:<three@b.example>" => Do::Close,
            _ => Do::Usual,
        }),
    )
    .await;
    let second = Server::new(usual()).await;
    let outcomes = courier(&Settings::default())
        .deliver(job(&route(&[first.address, second.address]), &["one@b.example", "two@b.example", "three@b.example"]))
        .await;
    assert_eq!(words(&outcomes), ["refused 550", "delivered 250", "delivered 250"]);
    assert!(!second.lines().iter().any(|line| line.contains("<one@")));
}

#[tokio::test]
async fn a_failed_hop_is_tried_last_and_comes_back() {
    let (socket, down) = nobody();
    let second = Server::new(usual()).await;
    let route = route(&[down, second.address]);
    // For an hour it is tried after the other: not at all, while that one works.
    let patient = courier(&Settings { down_time: seconds(3600), ..Settings::default() });
    let quick = courier(&Settings { down_time: seconds(0), ..Settings::default() });
    for courier in [&patient, &quick] {
        assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
        let hops = courier.hops();
        let hop = hops.iter().find(|hop| hop.hop == down.to_string()).unwrap();
        assert!(!hop.up && hop.last.as_deref().is_some_and(|last| last.contains("refused")), "{hop:?}");
    }
    drop(socket);
    let first = Server::at(&down.to_string(), usual(), &[], None).await;
    assert_eq!(words(&patient.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    assert_eq!(first.connections(), 0);
    assert_eq!(words(&quick.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    assert_eq!(first.connections(), 1);
    assert!(quick.hops().iter().all(|hop| hop.up));
    // Tried last is still tried: with the second one gone, the first takes it.
    let gone = second.stop().await;
    assert_eq!(words(&patient.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"], "{gone} is gone");
    assert_eq!(first.connections(), 2);
}

#[tokio::test]
async fn nothing_listens() {
    let (_socket, down) = nobody();
    let outcomes = courier(&Settings::default()).deliver(job(&route(&[down]), &["x@b.example"])).await;
    assert!(
        matches!(&outcomes[..], [Outcome::Deferred { hop: Some(hop), reply: None, why, .. }] if *hop == down.to_string() && why.contains("refused"))
    );
    let (_socket, other) = nobody();
    let outcomes = courier(&Settings::default()).deliver(job(&route(&[down, other]), &["x@b.example"])).await;
    assert!(
        matches!(&outcomes[..], [Outcome::Deferred { hop: Some(hop), why, .. }] if *hop == other.to_string() && why.contains(&down.to_string()))
    );
    assert_eq!(words(&courier(&Settings::default()).deliver(job(&route(&[]), &["x@b.example"])).await), ["deferred"]);
}

#[tokio::test]
async fn a_hanging_hop_has_its_time_and_holds_up_nobody() {
    let slow = Server::new(at("MAIL", Do::Hang)).await;
    let good = Server::new(usual()).await;
    let settings = Settings { envelope_time: Period(Duration::from_millis(300)), ..Settings::default() };
    let courier = Arc::new(courier(&settings));
    let route_slow = Arc::new(Route { connections: 1, ..(*route(&[slow.address])).clone() });
    let route_good = Arc::new(Route { name: "good".into(), ..(*route(&[good.address])).clone() });
    // One message holds the only connection, one waits for it, and the other route goes on meanwhile.
    let held: Vec<_> = (0..2)
        .map(|_| {
            let (courier, job) = (courier.clone(), Job { patience: Patience::Spool, ..job(&route_slow, &["x@b.example"]) });
            tokio::spawn(async move { courier.deliver(job).await })
        })
        .collect();
    while slow.lines().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(words(&courier.deliver(job(&route_good, &["x@b.example"])).await), ["delivered 250"]);
    assert!(held.iter().all(|task| !task.is_finished()) && slow.connections() == 1);
    held.iter().for_each(tokio::task::JoinHandle::abort);
    // While a sender waits, the time is short, and the next hop gets the message.
    let both = route(&[slow.address, good.address]);
    assert_eq!(words(&courier.deliver(job(&both, &["x@b.example"])).await), ["delivered 250"]);
    let alone = courier.deliver(job(&route(&[slow.address]), &["x@b.example"])).await;
    assert!(matches!(&alone[..], [Outcome::Deferred { why, .. }] if why == "MAIL: no answer in time"), "{alone:?}");
}

#[tokio::test]
async fn no_answer_to_the_final_dot_is_unknown() {
    let server = Server::new(at(".", Do::Hang)).await;
    let settings = Settings { final_time: Period(Duration::from_millis(50)), ..Settings::default() };
    let outcomes = courier(&settings).deliver(job(&route(&[server.address]), &["x@b.example"])).await;
    assert!(matches!(&outcomes[..], [Outcome::Unknown { why, .. }] if why == "the message: no answer in time"), "{outcomes:?}");
}

#[tokio::test]
async fn a_hop_that_is_down_is_tried_by_one_at_a_time() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::new(script(move |connection, line| match (connection, line) {
        (0, "connect") => Do::Close,
        (_, "connect") if count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => Do::Hang,
        _ => Do::Usual,
    }))
    .await;
    let route = route(&[server.address]);
    let courier = Arc::new(courier(&Settings::default()));
    assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["deferred"]);
    let trying = {
        let (courier, job) = (courier.clone(), job(&route, &["x@b.example"]));
        tokio::spawn(async move { courier.deliver(job).await })
    };
    while server.connections() < 2 {
        tokio::task::yield_now().await;
    }
    let outcomes = courier.deliver(job(&route, &["x@b.example"])).await;
    assert!(matches!(&outcomes[..], [Outcome::Deferred { why, .. }] if why.contains("down since")), "{outcomes:?}");
    assert_eq!(server.connections(), 2);
    trying.abort();
    let _ = trying.await;
    assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
}

#[tokio::test]
async fn pace_that_cannot_be_kept_defers() {
    let server = Server::new(usual()).await;
    let route = Arc::new(Route { rate: Some(0.001), ..(*route(&[server.address])).clone() });
    let courier = courier(&Settings::default());
    assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    let second = courier.deliver(job(&route, &["x@b.example"])).await;
    assert!(matches!(&second[..], [Outcome::Deferred { why, .. }] if why.contains("rate")), "{second:?}");
    assert_eq!(server.messages().len(), 1);
}

/// Two servers at one port of two loopback addresses.
async fn twins(first: server::Script, second: server::Script) -> (Server, Server) {
    loop {
        let one = Server::at("127.0.0.1:0", first.clone(), &[], None).await;
        if tokio::net::TcpListener::bind(("127.0.0.2", one.address.port())).await.is_ok() {
            let two = Server::at(&format!("127.0.0.2:{}", one.address.port()), second, &[], None).await;
            return (one, two);
        }
    }
}

#[tokio::test]
async fn by_mx() {
    let (one, two) = twins(at("MAIL", Do::Say("451 busy")), usual()).await;
    let dns = serve(vec![
        ("two.example", "MX", "20 b.two.example"),
        ("two.example", "MX", "10 a.two.example"),
        ("a.two.example", "A", "127.0.0.1"),
        ("b.two.example", "A", "127.0.0.2"),
        ("alone.example", "A", "127.0.0.2"),
        ("null.example", "MX", "0 ."),
        ("lost.example", "MX", "5 gone.example"),
        ("loop.example", "MX", "5 MX1.example"),
        ("loop.example", "MX", "9 b.two.example"),
        ("nothing.example", "MX", "0 ."),
    ])
    .await;
    let settings = Settings { mx_port: one.address.port(), ..Settings::default() };
    let courier = Courier::new(&settings, "mx1.example", Arc::new(Resolver::new(&[dns]).unwrap()), ClientTls::new(None).unwrap());
    let route = Arc::new(Route { next_hops: vec![NextHop::Mx], ..(*route(&[])).clone() });
    let to = [
        "x@two.example",
        "x@null.example",
        "y@TWO.example",
        "x@absent.example",
        "x@lost.example",
        "x@loop.example",
        "x@alone.example",
        "x@broken.example",
        "x@[127.0.0.2]",
    ];
    let outcomes = courier.deliver(job(&route, &to)).await;
    let enhanced: Vec<String> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Refused { hop, reply } => format!("{hop}{} {}", reply.code, reply.enhanced.clone().unwrap_or_default()),
            Outcome::Deferred { hop, .. } => format!("deferred {}", hop.clone().unwrap_or_default()),
            other => other.as_str().to_owned(),
        })
        .collect();
    let port = one.address.port();
    let want = [
        "delivered",
        "556 5.1.10",
        "delivered",
        "550 5.1.2",
        &format!("deferred gone.example:{port}"),
        "554 5.4.6",
        "delivered",
        "deferred ",
        "delivered",
    ];
    assert_eq!(enhanced, want, "{outcomes:?}");
    assert_eq!(one.connections(), 1, "the better MX first");
    assert_eq!(two.lines().iter().filter(|line| line.starts_with("RCPT")).count(), 4);
    assert_eq!(two.messages().len(), 3, "two recipients of one domain in one transaction");
}

#[tokio::test]
async fn idle_connections_to_strangers_are_bounded() {
    let (one, two) = twins(usual(), usual()).await;
    let dns = serve(vec![("one.example", "A", "127.0.0.1"), ("two.example", "A", "127.0.0.2")]).await;
    let settings = Settings { mx_port: one.address.port(), mx_connections: 1, ..Settings::default() };
    let courier = Courier::new(&settings, "mx1.example", Arc::new(Resolver::new(&[dns]).unwrap()), ClientTls::new(None).unwrap());
    let route = Arc::new(Route { next_hops: vec![NextHop::Mx], ..(*route(&[])).clone() });
    for _ in 0..2 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@one.example", "x@two.example"])).await), ["delivered 250", "delivered 250"]);
    }
    // The only place for an idle connection is the first one's; the second is closed after each use.
    assert_eq!(one.connections() + two.connections(), 3);
}
