//! STARTTLS as the client: where it is offered, where it must be, and where it fails.

use super::server::{Do, Server, script, usual};
use super::*;
use crate::mail::TlsUse;
use crate::net::ServerTls;

async fn encrypted(script: server::Script) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(dir.path(), "localhost").unwrap();
    (Server::at("127.0.0.1:0", script, &["PIPELINING"], Some(tls)).await, dir)
}

async fn deliver(use_tls: TlsUse, server: &Server) -> Vec<Outcome> {
    courier(&Settings { tls: use_tls, ..Settings::default() }).deliver(job(&route(&[server.address]), &["x@b.example"])).await
}

#[tokio::test]
async fn where_offered() {
    let (server, _dir) = encrypted(usual()).await;
    assert_eq!(words(&deliver(TlsUse::Opportunistic, &server).await), ["delivered 250"]);
    assert_eq!(server.lines()[..3], ["EHLO mx1.example", "STARTTLS", "EHLO mx1.example"]);
    assert_eq!(server.messages().concat(), b"Received: us\r\nSubject: x\r\n\r\n.dot\r\n");
    assert_eq!(words(&deliver(TlsUse::Off, &server).await), ["delivered 250"]);
    assert!(!server.lines()[3..].contains(&"STARTTLS".to_owned()));
}

#[tokio::test]
async fn a_large_message_and_a_lost_end() {
    let (server, _dir) = encrypted(script(|connection, line| if connection == 1 && line == "." { Do::Close } else { Do::Usual })).await;
    let route = route(&[server.address]);
    let data = vec![Bytes::from(".line\r\n".repeat(700_000))];
    for want in ["delivered 250", "unknown"] {
        let outcomes = courier(&Settings::default()).deliver(Job { data: data.clone(), ..job(&route, &["x@b.example"]) }).await;
        assert_eq!(words(&outcomes), [want]);
    }
    assert!(server.messages()[0] == data[0]);
}

#[tokio::test]
async fn required_means_verified() {
    let (server, dir) = encrypted(usual()).await;
    let outcomes = deliver(TlsUse::Required, &server).await;
    assert!(matches!(&outcomes[..], [Outcome::Deferred { why, .. }] if why.contains("certificate")), "{outcomes:?}");
    let trusting = ClientTls::new(Some(&dir.path().join("self-signed.crt"))).unwrap();
    let settings = Settings { tls: TlsUse::Required, ..Settings::default() };
    let courier = Courier::new(&settings, "mx1.example", Arc::new(Resolver::new(&["127.0.0.1:9".parse().unwrap()]).unwrap()), trusting);
    let named = Arc::new(Route {
        next_hops: vec![NextHop::Host { host: "localhost".into(), port: server.address.port() }],
        ..(*route(&[])).clone()
    });
    let outcomes = courier.deliver(job(&named, &["x@b.example"])).await;
    assert_eq!(words(&outcomes), ["delivered 250"], "{outcomes:?}");
    let plain = Server::new(usual()).await;
    let outcomes = deliver(TlsUse::Required, &plain).await;
    assert!(matches!(&outcomes[..], [Outcome::Deferred { why, .. }] if why.contains("does not offer STARTTLS")), "{outcomes:?}");
}

#[tokio::test]
async fn failing_tls_falls_back_to_plain_text() {
    // STARTTLS is refused: on in plain text over the same connection.
    let refusing =
        Server::offering(&["STARTTLS"], script(|_, line| if line == "STARTTLS" { Do::Say("454 4.7.0 not now") } else { Do::Usual })).await;
    assert_eq!(words(&deliver(TlsUse::Opportunistic, &refusing).await), ["delivered 250"]);
    assert_eq!(refusing.connections(), 1);
    assert_eq!(words(&deliver(TlsUse::Required, &refusing).await), ["deferred 454"]);

    // The handshake fails: a new connection without TLS, and no more attempts for some time.
    let broken =
        Server::offering(&["STARTTLS"], script(|_, line| if line == "STARTTLS" { Do::SayAndClose("220 go") } else { Do::Usual })).await;
    let courier = courier(&Settings { messages_per_connection: 1, ..Settings::default() });
    let route = route(&[broken.address]);
    for connections in [2, 3] {
        assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
        assert_eq!(broken.connections(), connections);
    }
    assert_eq!(words(&deliver(TlsUse::Required, &broken).await), ["deferred"]);
}

#[tokio::test]
async fn text_in_front_of_the_handshake_is_tampering() {
    let server =
        Server::offering(&["STARTTLS"], script(|_, line| if line == "STARTTLS" { Do::Say("220 go\r\n250 injected") } else { Do::Usual }))
            .await;
    let outcomes = deliver(TlsUse::Opportunistic, &server).await;
    assert!(matches!(&outcomes[..], [Outcome::Deferred { why, .. }] if why.contains("tampers")), "{outcomes:?}");
}
