//! Shutdown: idle sessions end, transactions finish, and then it is over.

use crate::harness::{START, START_REPLIES, Server};

#[tokio::test]
async fn idle_sessions_hear_421_and_transactions_finish() {
    let mut server = Server::start("", "");
    server.close_gate();
    let (mut fresh, mut idle, mut open, mut judged) =
        (server.client().await, server.client().await, server.client().await, server.client().await);
    for client in [&mut fresh, &mut idle, &mut open, &mut judged] {
        client.expect("220").await;
    }
    idle.talk("EHLO client.test\n", &["250-"]).await;
    open.talk(START, &START_REPLIES).await;
    judged.talk(START, &START_REPLIES).await;
    judged.talk("DATA\none\n.\n", &["354"]).await;
    server.message_arrived().await;

    server.shutdown.cancel();
    for client in [&mut fresh, &mut idle] {
        client.expect("421 4.3.2").await;
        client.closed().await;
    }
    open.talk("DATA\ntwo\n.\n", &["354"]).await;
    server.message_arrived().await;
    assert!(!server.running.is_finished());
    server.sink.gate.add_permits(2);
    for client in [&mut open, &mut judged] {
        client.expect("250 2.0.0 accepted").await;
        client.expect("421 4.3.2").await;
        client.closed().await;
    }
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "no new connections");
    assert_eq!(server.messages().len(), 2);
    drop((fresh, idle, open, judged));
    server.stop().await;
}

#[tokio::test]
async fn after_the_grace_it_returns_all_the_same() {
    let mut server = Server::start("", "shutdown_grace = \"50ms\"");
    server.close_gate();
    let mut client = server.client().await;
    client.expect("220").await;
    client.talk(START, &START_REPLIES).await;
    client.talk("DATA\none\n.\n", &["354"]).await;
    server.message_arrived().await;
    server.stop().await;
    client.closed().await; // without 250: the client will send it again
}
