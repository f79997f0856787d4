//! Limits that need more than one connection, or time.

use std::net::TcpListener;

use mailweir::gateway::{BindError, Listener};

use crate::harness::{START, START_REPLIES, Server, listener_settings};

#[tokio::test]
async fn connections_in_total_and_by_peer() {
    let server = Server::start("", "connections = 2");
    let (mut one, mut two) = (server.client().await, server.client().await);
    one.expect("220").await;
    two.expect("220").await;
    let mut three = server.client().await;
    three.expect("421 4.3.2").await;
    three.closed().await;
    two.talk("QUIT\n", &["221"]).await;
    two.closed().await;
    drop((two, three));
    let mut four = server.client_with_a_place().await;
    four.talk(
        "QUIT
",
        &["221"],
    )
    .await;
    drop((one, four));
    server.stop().await;

    let server = Server::start("", "connections_per_peer = 1");
    let mut one = server.client().await;
    one.expect("220").await;
    let mut two = server.client().await;
    two.expect("421 4.7.0").await;
    two.closed().await;
    drop((one, two));
    server.stop().await;
}

#[tokio::test]
async fn only_clients_reach_an_outbound_listener() {
    for (clients, greeting) in
        [("[]", "554 5.7.1"), ("[\"192.0.2.0/24\"]", "554 5.7.1"), ("[\"127.0.0.1\"]", "220"), ("[\"127.0.0.0/8\"]", "220")]
    {
        let server = Server::start(&format!("direction = \"outbound\"\nclients = {clients}"), "");
        let mut client = server.client().await;
        client.expect(greeting).await;
        if greeting.starts_with('5') {
            client.closed().await;
        }
        drop(client);
        server.stop().await;
    }
}

#[tokio::test]
async fn silent_and_slow_clients_hear_421() {
    let rows = [
        ("command_time = \"100ms\"", "", vec!["220"]),
        ("command_time = \"100ms\"", "EHLO client.test\nMAIL FR", vec!["220", "250-"]),
        ("session_time = \"100ms\"", "EHLO client.test\n", vec!["220", "250-"]),
        (
            "data_idle = \"100ms\"",
            "EHLO c.test\nMAIL FROM:<>\nRCPT TO:<bob@ours.test>\nDATA\nhel",
            vec!["220", "250-", "250", "250", "354"],
        ),
        (
            "data_time = \"100ms\"",
            "EHLO c.test\nMAIL FROM:<>\nRCPT TO:<bob@ours.test>\nDATA\nhel",
            vec!["220", "250-", "250", "250", "354"],
        ),
    ];
    for (limits, lines, replies) in rows {
        let server = Server::start("", limits);
        let mut client = server.client().await;
        client.talk(lines, &replies).await;
        client.expect("421 4.4.2").await;
        client.closed().await;
        drop(client);
        assert!(server.messages().is_empty());
        server.stop().await;
    }
}

#[tokio::test]
async fn one_byte_now_and_then_does_not_keep_a_message_open() {
    let server = Server::start("", "data_idle = \"10s\"\ndata_time = \"300ms\"");
    let mut client = server.client().await;
    client.expect("220").await;
    client.talk(START, &START_REPLIES).await;
    client.talk("DATA\n", &["354"]).await;
    let (read, mut write) = client.into_inner().into_split();
    let trickle = tokio::spawn(async move {
        // As fast as the scheduler lets it; ends when the server has closed.
        while tokio::io::AsyncWriteExt::write_all(&mut write, b"x").await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut tokio::io::BufReader::new(read), &mut line).await.unwrap();
    assert!(line.starts_with("421 4.4.2"), "{line}");
    trickle.await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn memory_in_use_is_452_and_comes_back() {
    // 128 KiB: two messages of one step each.
    let mut server = Server::start("", "memory = \"128KiB\"\nmessage_size = \"100KiB\"\nmemory_wait = \"50ms\"");
    server.close_gate();
    let (mut one, mut two, mut three) = (server.client().await, server.client().await, server.client().await);
    for client in [&mut one, &mut two, &mut three] {
        client.expect("220").await;
        client.talk(START, &START_REPLIES).await;
    }
    one.talk("DATA\nfirst\n.\n", &["354"]).await;
    server.message_arrived().await;
    // The second has one step, and there is no other to grow into.
    two.talk("DATA\n", &["354"]).await;
    three.talk("DATA\n", &["452 4.3.1"]).await;
    two.talk(&format!("{}.\n", format!("{}\n", "x".repeat(70)).repeat(1000)), &["452 4.3.1"]).await;
    // It is read to its end, and what it held is free for the third, whose transaction is still open.
    three.talk("DATA\nthird\n.\n", &["354"]).await;
    server.message_arrived().await;
    server.sink.gate.add_permits(2);
    one.expect("250 2.0.0").await;
    three.expect("250 2.0.0").await;
    // A message of nearly the limit fits when nothing else is there.
    server.sink.gate.add_permits(1);
    let large = format!("{}\n", "y".repeat(70)).repeat(1400);
    two.talk(&format!("MAIL FROM:<>\nRCPT TO:<bob@ours.test>\nDATA\n{large}.\n"), &["250", "250", "354", "250 2.0.0"]).await;
    assert_eq!(server.messages().last().map(|message| message.raw.len()), Some(72 * 1400));
    drop((one, two, three));
    server.stop().await;
}

#[tokio::test]
async fn a_large_message_comes_in_whole() {
    let server = Server::start("", "");
    let mut client = server.client().await;
    client.expect("220").await;
    client.talk(START, &START_REPLIES).await;
    client.talk("DATA\n", &["354"]).await;
    let line: String = "0123456789abcdef".repeat(60);
    let body = format!("..{line}\r\n").repeat(20_000);
    client.send(&body).await;
    client.talk(".\n", &["250 2.0.0"]).await;
    let want = format!(".{line}\r\n").repeat(20_000);
    let message = server.messages().pop().unwrap();
    assert!(message.raw == want.as_bytes(), "{} bytes instead of {}", message.raw.len(), want.len());
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_inside_a_message_leaves_nothing() {
    let server = Server::start("", "connections = 1");
    let mut client = server.client().await;
    client.expect("220").await;
    client.talk(START, &START_REPLIES).await;
    client.talk("DATA\nhalf a mess", &["354"]).await;
    drop(client);
    drop(server.client_with_a_place().await);
    assert!(server.messages().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_bound_is_said_with_what_to_do() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut settings = listener_settings("");
    settings.address = other.local_addr().unwrap();
    let error = Listener::bind(&settings, None).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(&settings.address.to_string()) && text.contains("ss -ltnp"), "{text}");

    settings.address = "192.0.2.1:2525".parse().unwrap();
    let error = Listener::bind(&settings, None).unwrap_err();
    assert!(error.to_string().contains("this machine has no address 192.0.2.1"), "{error}");

    let error = Listener::bind(&listener_settings("tls = \"require\""), None).unwrap_err();
    assert!(error.to_string().contains("tls_certificate"), "{error}");
}
