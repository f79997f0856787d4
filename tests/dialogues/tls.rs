//! STARTTLS with a certificate made for the occasion.

use std::sync::Arc;

use mailweir::gateway::Tls;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Client, START, START_REPLIES, Server};

fn certificate() -> (Tls, TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["mx.ours.test".to_owned()]).unwrap();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    (Tls::new(Arc::new(server)), TlsConnector::from(Arc::new(client)))
}

async fn secure(mut client: Client<TcpStream>, connector: &TlsConnector) -> Client<TlsStream<TcpStream>> {
    client.talk("STARTTLS\n", &["220 2.0.0"]).await;
    let name = ServerName::try_from("mx.ours.test").unwrap();
    Client::new(connector.connect(name, client.into_inner()).await.unwrap())
}

#[tokio::test]
async fn a_message_under_tls() {
    let (tls, connector) = certificate();
    let server = Server::start_with("", "", Some(tls));
    let mut client = server.client().await;
    client.talk("", &["220 "]).await;
    client.send("EHLO before.test\r\nMAIL FROM:<before@else.test>\r\n").await;
    let mut extensions = Vec::new();
    while extensions.last().is_none_or(|line: &String| line.starts_with("250-")) {
        extensions.push(client.line().await);
    }
    assert!(extensions.iter().any(|line| line == "250-STARTTLS"), "{extensions:?}");
    client.expect("250 2.1.0").await;

    let mut client = secure(client, &connector).await;
    client.talk("MAIL FROM:<a@else.test>\n", &["503 5.5.1"]).await;
    client.send("EHLO after.test\r\n").await;
    let mut line = client.line().await;
    while line.starts_with("250-") {
        assert_ne!(line, "250-STARTTLS", "not offered twice");
        line = client.line().await;
    }
    client.talk("STARTTLS\n", &["503 5.5.1"]).await;
    client.talk("MAIL FROM:<a@else.test>\nRCPT TO:<bob@ours.test>\nDATA\n", &["250", "250", "354"]).await;
    client.talk("hello\n.\nQUIT\n", &["250 2.0.0 accepted", "221"]).await;
    client.closed().await;
    drop(client);

    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    let origin = &messages[0].origin;
    assert_eq!((origin.helo.as_str(), &messages[0].raw[..]), ("after.test", &b"hello\r\n"[..]));
    assert!(origin.tls.as_deref().is_some_and(|tls| tls.starts_with("TLSv1.3 TLS_")), "{:?}", origin.tls);
    server.stop().await;
}

#[tokio::test]
async fn what_was_sent_in_the_clear_is_not_read_under_tls() {
    let (tls, _connector) = certificate();
    let server = Server::start_with("", "", Some(tls));
    let mut client = server.client().await;
    client.talk("EHLO client.test\nSTARTTLS\nMAIL FROM:<evil@else.test>\n", &["220", "250-", "554 5.5.1"]).await;
    client.closed().await;
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_listener_can_require_tls() {
    let (tls, connector) = certificate();
    let server = Server::start_with("tls = \"require\"", "", Some(tls));
    let mut client = server.client().await;
    client.talk("EHLO client.test\nMAIL FROM:<>\n", &["220", "250-", "530 5.7.0"]).await;
    let mut client = secure(client, &connector).await;
    client.talk(START, &START_REPLIES).await;
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_handshake_that_fails_or_never_comes_ends_the_connection() {
    let (tls, _connector) = certificate();
    let server = Server::start_with("", "tls_time = \"100ms\"", Some(tls));
    for rubbish in ["", "EHLO again.test\r\n"] {
        let mut client = server.client().await;
        client.talk("EHLO client.test\nSTARTTLS\n", &["220", "250-", "220 2.0.0"]).await;
        client.send(rubbish).await;
        let mut rest = Vec::new();
        let mut socket = client.into_inner();
        let _reset_counts_as_closed = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest).await;
        assert!(!String::from_utf8_lossy(&rest).contains("250"), "no reply in the clear after 220");
    }
    server.stop().await;
}
