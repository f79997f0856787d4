//! AUTH at a smart host: by what is offered, encrypted or not at all, and a refusal is for the operator.

use super::server::{Do, Script, Server, script, usual};
use super::*;
use crate::mail::TlsUse;
use crate::mail::route::Credentials;
use crate::net::ServerTls;

const SECRET: &str = "s3cret";

fn with_password(hop: std::net::SocketAddr, tls: Option<TlsUse>) -> Arc<Route> {
    let auth = Some(Credentials { user: "ann".into(), password: SECRET.into() });
    Arc::new(Route { tls, auth, ..(*route(&[hop])).clone() })
}

async fn encrypted(offers: &[&'static str], script: Script) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(dir.path(), "localhost").unwrap();
    (Server::at("127.0.0.1:0", script, offers, Some(tls)).await, dir)
}

/// Lines of the log-in.
fn said(server: &Server) -> Vec<String> {
    let lines = server.lines();
    lines.into_iter().skip_while(|line| !line.starts_with("AUTH")).take_while(|line| !line.starts_with("MAIL")).collect()
}

#[tokio::test]
async fn plain_and_login() {
    let (server, _dir) = encrypted(&["PIPELINING", "AUTH LOGIN PLAIN"], usual()).await;
    let courier = courier(&Settings::default());
    let route = with_password(server.address, None);
    for _ in 0..2 {
        assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
    }
    assert_eq!(said(&server), ["AUTH PLAIN AGFubgBzM2NyZXQ="], "once a connection");
    assert_eq!(server.lines()[..3], ["EHLO mx1.example", "STARTTLS", "EHLO mx1.example"]);

    let steps = script(|_, line| match line {
        "AUTH LOGIN" => Do::Say("334 VXNlcm5hbWU6"),
        "YW5u" => Do::Say("334 UGFzc3dvcmQ6"),
        "czNjcmV0" => Do::Say("235 2.7.0 in"),
        _ => Do::Usual,
    });
    let (server, _dir) = encrypted(&["AUTH=LOGIN"], steps).await;
    assert_eq!(words(&courier.deliver(job(&with_password(server.address, None), &["x@b.example"])).await), ["delivered 250"]);
    assert_eq!(said(&server), ["AUTH LOGIN", "YW5u", "czNjcmV0"]);
}

#[tokio::test]
async fn a_refused_password_waits_and_is_not_repeated() {
    let refusing = script(|_, line| if line.starts_with("AUTH") { Do::Say("535 5.7.8 wrong: s3cret czNjcmV0") } else { Do::Usual });
    let (server, _dir) = encrypted(&["AUTH PLAIN"], refusing).await;
    let courier = courier(&Settings::default());
    let route = with_password(server.address, None);
    for _ in 0..3 {
        let outcomes = courier.deliver(job(&route, &["x@b.example"])).await;
        assert_eq!(words(&outcomes), ["deferred 535"]);
        let text = format!("{outcomes:?} {:?} {route:?}", courier.hops());
        assert!(text.contains("log-in as") && text.contains("password_file"), "{text}");
        assert!(!text.contains(SECRET) && !text.contains("czNjcmV0") && !outcomes[0].is_busy(), "{text}");
    }
    assert_eq!(server.connections(), 1, "more attempts could lock the account");
    // Another password: another hop.
    let auth = Some(Credentials { user: "ann".into(), password: "other".into() });
    let other = Arc::new(Route { auth, ..(*route).clone() });
    assert_eq!(words(&courier.deliver(job(&other, &["x@b.example"])).await), ["deferred 535"]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn never_in_the_clear_but_on_this_machine() {
    let offers = &["AUTH PLAIN"];
    let plain = Server::offering(offers, usual()).await;
    let courier = courier(&Settings::default());
    for tls in [None, Some(TlsUse::Opportunistic), Some(TlsUse::Required)] {
        let outcomes = courier.deliver(job(&with_password(plain.address, tls), &["x@b.example"])).await;
        assert!(matches!(&outcomes[..], [Outcome::Deferred { why, .. }] if why.contains("STARTTLS")), "{outcomes:?}");
    }
    assert_eq!(said(&plain), [""; 0]);
    let outcomes = courier.deliver(job(&with_password(plain.address, Some(TlsUse::Off)), &["x@b.example"])).await;
    assert_eq!(words(&outcomes), ["delivered 250"]);
    // A failing handshake is no reason either.
    let broken = Server::offering(
        &["STARTTLS", "AUTH PLAIN"],
        script(|_, line| if line == "STARTTLS" { Do::SayAndClose("220 go") } else { Do::Usual }),
    )
    .await;
    assert_eq!(words(&courier.deliver(job(&with_password(broken.address, None), &["x@b.example"])).await), ["deferred"]);
    assert!(broken.connections() == 1 && said(&broken).is_empty());
    let without = Server::offering(&["AUTH CRAM-MD5"], usual()).await;
    let outcomes = courier.deliver(job(&with_password(without.address, Some(TlsUse::Off)), &["x@b.example"])).await;
    assert!(matches!(&outcomes[..], [Outcome::Deferred { why, .. }] if why.contains("neither AUTH")), "{outcomes:?}");
}

#[tokio::test]
async fn each_route_has_its_own_terms() {
    let (server, _dir) = encrypted(&["AUTH PLAIN"], usual()).await;
    let courier = courier(&Settings::default());
    let in_clear = Arc::new(Route { name: "clear".into(), tls: Some(TlsUse::Off), ..(*route(&[server.address])).clone() });
    let other = Arc::new(Route { name: "other".into(), ..(*with_password(server.address, None)).clone() });
    for route in [&in_clear, &other, &in_clear, &other] {
        assert_eq!(words(&courier.deliver(job(route, &["x@b.example"])).await), ["delivered 250"]);
    }
    assert_eq!((server.connections(), courier.hops().len()), (2, 2), "two hops, and each connection used again by its own route only");
    let lines = server.lines();
    assert_eq!(lines.iter().filter(|line| *line == "STARTTLS").count(), 1);
    assert_eq!(lines.iter().filter(|line| line.starts_with("AUTH")).count(), 1);
}
