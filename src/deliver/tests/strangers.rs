//! Hosts found by MX: one slow domain leaves the others alone, equals share the load, and aliases are followed.

use super::server::{Do, Server, script, usual};
use super::*;
use crate::net::dns::tests::{Row, serve};

async fn by_mx(zone: Vec<Row>, settings: Settings) -> (Arc<Courier>, Arc<Route>) {
    let dns = Arc::new(Resolver::new(&[serve(zone).await]).unwrap());
    let courier = Courier::new(&settings, "mx1.example", dns, ClientTls::new(None).unwrap());
    (Arc::new(courier), Arc::new(Route { next_hops: vec![NextHop::Mx], connections: 20, ..(*route(&[])).clone() }))
}

/// Servers at one port of several loopback addresses, 127.0.0.1 and up.
async fn at_one_port<const N: usize>(scripts: [server::Script; N]) -> [Server; N] {
    'port: loop {
        let probe = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = probe.local_addr().unwrap().port();
        drop(probe);
        let mut servers = Vec::new();
        for (n, script) in scripts.iter().enumerate() {
            let address = format!("127.0.0.{}:{port}", n + 1);
            if tokio::net::TcpListener::bind(&address).await.is_err() {
                continue 'port;
            }
            servers.push(Server::at(&address, script.clone(), &["PIPELINING"], None).await);
        }
        return servers.try_into().unwrap_or_else(|_| unreachable!());
    }
}

#[tokio::test]
async fn a_slow_domain_holds_up_no_other() {
    let slow = script(|_, line| if line.starts_with("MAIL") { Do::Hang } else { Do::Usual });
    let [slow, good] = at_one_port([slow, usual()]).await;
    let settings = Settings { mx_port: slow.address.port(), mx_connections: 6, mx_domain_connections: 3, ..Settings::default() };
    let zone = vec![("slow.example", "A", "127.0.0.1"), ("good.example", "A", "127.0.0.2")];
    let (courier, route) = by_mx(zone, settings).await;
    let held: Vec<_> = (0..20)
        .map(|_| {
            let (courier, job) = (courier.clone(), Job { patience: Patience::Spool, ..job(&route, &["x@slow.example"]) });
            tokio::spawn(async move { courier.deliver(job).await })
        })
        .collect();
    while slow.lines().iter().filter(|line| line.starts_with("MAIL")).count() < 3 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@good.example"])).await), ["delivered 250"]);
    }
    assert_eq!((slow.connections(), good.messages().len()), (3, 10));
    assert!(held.iter().all(|task| !task.is_finished()));
    held.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_dead_domain_of_a_message_holds_up_no_other_of_it() {
    let slow = script(|_, line| if line == "connect" { Do::Hang } else { Do::Usual });
    let [_slow, good] = at_one_port([slow, usual()]).await;
    let settings = Settings { mx_port: good.address.port(), ..Settings::default() };
    let zone = vec![("slow.example", "A", "127.0.0.1"), ("good.example", "A", "127.0.0.2")];
    let (courier, route) = by_mx(zone, settings).await;
    let mixed = job(&route, &["x@slow.example", "y@good.example"]);
    let task = tokio::spawn(async move { courier.deliver(mixed).await });
    while good.messages().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test]
async fn equals_share_the_load_and_stand_in_for_each_other() {
    let [one, two] = at_one_port([usual(), usual()]).await;
    let settings = Settings { mx_port: one.address.port(), messages_per_connection: 1, ..Settings::default() };
    let zone = vec![
        ("pair.example", "MX", "10 a.pair.example"),
        ("pair.example", "MX", "10 b.pair.example"),
        ("a.pair.example", "A", "127.0.0.1"),
        ("b.pair.example", "A", "127.0.0.2"),
        ("many.example", "MX", "10 c.pair.example"),
        ("c.pair.example", "A", "127.0.0.9"),
        ("c.pair.example", "A", "127.0.0.2"),
        ("alias.example", "CNAME", "pair.example"),
        ("pointed.example", "MX", "10 also.pair.example"),
        ("also.pair.example", "CNAME", "a.pair.example"),
        ("number.example", "MX", "10 127.0.0.2"),
    ];
    let (courier, route) = by_mx(zone, settings).await;
    for n in 0..60 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@pair.example"])).await), ["delivered 250"]);
        if n > 4 && one.connections() > 0 && two.connections() > 0 {
            break;
        }
    }
    assert!(one.connections() > 0 && two.connections() > 0, "{} and {}", one.connections(), two.connections());
    for to in ["x@many.example", "x@alias.example", "x@pointed.example", "x@number.example"] {
        let outcomes = courier.deliver(job(&route, &[to])).await;
        assert_eq!(words(&outcomes), ["delivered 250"], "{to}: {outcomes:?}");
    }
    two.stop().await;
    for _ in 0..6 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@pair.example"])).await), ["delivered 250"], "the other takes it");
    }
}

#[tokio::test]
async fn one_probe_brings_a_hop_back() {
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = tries.clone();
    let first = Server::new(script(move |_, line| match line {
        "connect" => match counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Do::Close,
            1 => Do::Wait(Duration::from_millis(300), "220 back"),
            _ => Do::Usual,
        },
        _ => Do::Usual,
    }))
    .await;
    let second = Server::new(usual()).await;
    let route = route(&[first.address, second.address]);
    let courier = Arc::new(courier(&Settings { down_time: seconds(0), ..Settings::default() }));
    assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    assert_eq!((first.messages().len(), second.messages().len()), (0, 1));
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (courier, job) = (courier.clone(), job(&route, &["x@b.example"]));
            tokio::spawn(async move { courier.deliver(job).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(words(&task.await.unwrap()), ["delivered 250"]);
    }
    assert_eq!((first.connections(), first.messages().len(), second.messages().len()), (2, 1, 10), "one of ten has tried");
    assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    assert_eq!(first.messages().len(), 2, "and is the first again");
}
