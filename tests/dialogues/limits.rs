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
        // A chunk, between chunks, and a chunk that is thrown away.
        ("data_idle = \"100ms\"", "HELO c.test\nMAIL FROM:<>\nRCPT TO:<bob@ours.test>\nBDAT 9 LAST\nhel", vec!["220", "250", "250", "250"]),
        (
            "data_time = \"100ms\"",
            "HELO c.test\nMAIL FROM:<>\nRCPT TO:<bob@ours.test>\nBDAT 2\n\nNOOP\n",
            vec!["220", "250", "250", "250", "250", "250"],
        ),
        ("data_idle = \"100ms\"", "HELO c.test\nBDAT 99999\nhel", vec!["220", "250"]),
        ("data_time = \"100ms\"", "HELO c.test\nBDAT 99999\nhel", vec!["220", "250"]),
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
async fn one_byte_now_and_then_does_not_keep_a_command_open() {
    let server = Server::start("", "command_time = \"300ms\"");
    let mut client = server.client().await;
    client.expect("220").await;
    let (read, mut write) = client.into_inner().into_split();
    let trickle = tokio::spawn(async move {
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
async fn a_line_of_ten_megabytes_is_one_error() {
    let server = Server::start("", "errors = 2");
    let mut client = server.client().await;
    client.expect("220").await;
    client.send(vec![b'x'; 10_000_000]).await;
    client.talk("\nHELO c.test\nQUIT\n", &["500 5.5.2 command line is longer", "250", "221"]).await;
    client.closed().await;
    // One that looks like a chunk leaves no doubt: it is over.
    let mut client = server.client().await;
    client.expect("220").await;
    client.send([&b"BDAT "[..], &vec![b'1'; 1_000_000], b"\r\nNOOP\r\n"].concat()).await;
    client.expect("501 5.5.4").await;
    client.closed().await;
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn who_speaks_before_the_greeting_hears_554_where_that_is_watched() {
    let server = Server::start("greet_pause = \"20s\"", "");
    for words in [&b"EHLO client.test\r\n"[..], b"\0", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = server.client().await;
        client.send(words).await;
        client.expect("554 5.5.0").await;
        client.closed().await;
    }
    // One that leaves meanwhile is gone, and one that waits when we go down hears so.
    drop(server.client().await);
    let mut client = server.client().await;
    server.shutdown.cancel();
    let line = client.line().await;
    assert!(line.is_empty() || line.contains("421 4.3.2") || line.starts_with("220"), "{line}");
    drop(client);
    server.stop().await;

    let server = Server::start("greet_pause = \"50ms\"", "");
    let mut client = server.client().await;
    client.expect("220").await;
    client.talk(START, &START_REPLIES).await;
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_ends_its_side_is_let_go() {
    let server = Server::start("", "connections = 1");
    for lines in ["", "NOOP\r\nMAIL FR", "HELO c\r\nBDAT 5\r\nab", "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<bob@ours.test>\r\nBDAT 5 LAST\r\nab"]
    {
        let mut client = server.client_with_a_place().await;
        client.send(lines).await;
        let mut socket = client.into_inner_unread();
        tokio::io::AsyncWriteExt::shutdown(&mut socket).await.unwrap();
        let mut rest = Vec::new();
        let _reset_counts_as_closed = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut rest).await;
    }
    drop(server.client_with_a_place().await);
    assert!(server.messages().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn what_the_next_hop_said_is_written_down() {
    let server = Server::start("", "");
    let mut client = server.client().await;
    client
        .talk("HELO c\nMAIL FROM:<a@else.test>\nRCPT TO:<nobody@asked.test>\n", &["220", "250", "250", "553 5.1.10 no such user here ("])
        .await;
    let turned = server.sink.turned.lock().unwrap().pop().unwrap();
    assert_eq!(turned.recipients, ["nobody@asked.test".parse().unwrap()]);
    assert!(turned.reply.starts_with("553 5.1.10 no such user here ("), "{}", turned.reply);
    assert!(turned.reply.ends_with("; the next hop said: 553 5.1.10 secret words of the next hop"), "{}", turned.reply);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn chunks_share_the_memory_for_mail() {
    // 128 KiB of it for messages as received: two steps.
    let server = Server::start("", "memory = \"256KiB\"\nmessage_size = \"100KiB\"\nmemory_wait = \"50ms\"");
    let (mut one, mut two) = (server.client().await, server.client().await);
    let start = "HELO c\nMAIL FROM:<>\nRCPT TO:<bob@ours.test>\n";
    for client in [&mut one, &mut two] {
        client.talk(start, &["220", "250", "250", "250"]).await;
    }
    let chunk = format!("BDAT 60000\r\n{}", "x".repeat(60_000));
    one.send(&chunk).await;
    one.expect("250 2.0.0 60000 octets received").await;
    // What it holds between its chunks is missing for the other, whose first chunk fits and whose second does not.
    two.send(&chunk).await;
    two.expect("250").await;
    two.send(format!("BDAT 30000 LAST\r\n{}NOOP\r\n", "x".repeat(30_000))).await;
    two.expect("452 4.3.1").await;
    two.expect("250 2.0.0 ok").await;
    one.send(format!("BDAT 30000 LAST\r\n{}", "x".repeat(30_000))).await;
    one.expect("250 2.0.0 accepted").await;
    assert_eq!(server.messages().iter().map(|message| message.raw.len()).collect::<Vec<_>>(), [90_000]);
    drop((one, two));
    server.stop().await;
}

#[tokio::test]
async fn memory_in_use_is_452_and_comes_back() {
    // 128 KiB of it for messages as received: two messages of one step each.
    let mut server = Server::start("", "memory = \"256KiB\"\nmessage_size = \"100KiB\"\nmemory_wait = \"50ms\"");
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
