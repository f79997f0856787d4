//! Sessions without sockets: whole conversations, each also cut at every byte.

mod chunks;
mod smuggling;

use super::*;
use crate::mail::{Address, Direction, Envelope};
use crate::smtp::decoder::{DataLimits, LineEndings};

fn terms() -> Terms {
    Terms {
        hostname: "mx.test".into(),
        data: DataLimits { message_size: 200, line_length: 100 },
        line_endings: LineEndings::Refuse,
        command_line: 128,
        recipients: 3,
        commands: 20,
        errors: 4,
        refused_recipients: 3,
        messages: 2,
        encryption: Encryption::Offered,
        strict_pipelining: false,
    }
}

fn id() -> MessageId {
    MessageId::from_u64(0)
}

/// What a conversation left behind.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    said: String,
    messages: Vec<(String, Vec<String>, Vec<u8>)>,
    envelopes: Vec<Envelope>,
    faults: Vec<DataFault>,
    asked: Vec<ForwardPath>,
    end: Option<End>,
}

fn answer(path: &ForwardPath) -> Result<Recipient, Reply> {
    let address: Address = match path {
        ForwardPath::Postmaster => "postmaster@ours.test".parse().unwrap(),
        ForwardPath::Mailbox(address) if address.domain_key() == "ours.test" => address.clone(),
        _ => return Err(replies::relaying_denied()),
    };
    Ok(Recipient { address, direction: Direction::Inbound, route: "r".into(), dsn: Default::default() })
}

/// Runs the session over the pieces as a connection would, and takes 220 away.
fn run(terms: &Terms, pieces: &[&[u8]]) -> Seen {
    let mut session = Session::new(Arc::new(terms.clone()));
    assert_eq!(session.take_output(), b"220 mx.test ESMTP ready\r\n");
    let (mut input, mut seen) = (BytesMut::new(), Seen::default());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match session.step(&mut input) {
                Step::Read => break,
                Step::Recipient(path) => {
                    session.recipient(answer(&path));
                    seen.asked.push(path);
                }
                Step::Data => session.begin_data(id()),
                Step::Message(received) => {
                    let recipients = received.envelope.recipients.iter().map(|r| r.address.to_string()).collect();
                    seen.messages.push((received.envelope.sender.to_string(), recipients, received.raw.to_vec()));
                    seen.envelopes.push(received.envelope);
                    session.settle(&Reply::new(250, (2, 0, 0), "taken"));
                }
                Step::Refused(Refused::Data { fault, .. }) => seen.faults.push(fault),
                Step::Refused(Refused::Size { .. } | Refused::Recipient) => {}
                Step::StartTls => {
                    assert!(input.is_empty());
                    session.secured();
                }
                Step::Close(end) => {
                    seen.end = Some(end);
                    break;
                }
            }
        }
        seen.said.push_str(&String::from_utf8(session.take_output()).unwrap());
        if seen.end.is_some() {
            break;
        }
    }
    seen
}

/// The same conversation pipelined in one piece, cut at every byte, and byte by byte.
fn talk(terms: &Terms, lines: &str) -> Seen {
    let input: String = lines.replace('\n', "\r\n");
    let input = input.as_bytes();
    let whole = run(terms, &[input]);
    for cut in 0..=input.len() {
        let (a, b) = input.split_at(cut);
        assert_eq!(run(terms, &[a, b]), whole, "cut at {cut}");
    }
    assert_eq!(run(terms, &input.chunks(1).collect::<Vec<_>>()), whole, "byte by byte");
    whole
}

/// The codes of the replies in order, with enhanced codes where there are any.
fn codes(said: &str) -> Vec<String> {
    let last = said.split_terminator("\r\n").filter(|line| line.as_bytes().get(3) == Some(&b' '));
    last.map(|line| {
        let enhanced = line[4..].split(' ').next().filter(|word| word.starts_with(&line[..1]) && word.matches('.').count() == 2);
        enhanced.map_or(line[..3].to_owned(), |enhanced| format!("{} {enhanced}", &line[..3]))
    })
    .collect()
}

#[test]
fn a_transaction() {
    let seen = talk(
        &terms(),
        "EHLO client.test\nMAIL FROM:<a@else.test> SIZE=12 BODY=8BITMIME\nRCPT TO:<bob@ours.test>\nRCPT TO:<BOB@ours.test>\nRCPT TO:<postmaster>\nDATA\nhello\n..x\n.\nQUIT\n",
    );
    let ehlo = "250-mx.test\r\n250-PIPELINING\r\n250-SIZE 200\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-DSN\r\n250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n250 HELP\r\n";
    assert!(seen.said.starts_with(ehlo), "{}", seen.said);
    assert_eq!(codes(&seen.said), ["250", "250 2.1.0", "250 2.1.5", "250 2.1.5", "250 2.1.5", "354", "250 2.0.0", "221 2.0.0"]);
    let recipients = vec!["bob@ours.test".to_owned(), "postmaster@ours.test".to_owned()];
    assert_eq!(seen.messages, [("<a@else.test>".to_owned(), recipients, b"hello\r\n.x\r\n".to_vec())]);
    assert_eq!(seen.end, Some(End::Quit));
}

#[test]
fn order_and_replies() {
    const E: &str = "EHLO c\n";
    const M: &str = "EHLO c\nMAIL FROM:<>\n";
    const R: &str = "EHLO c\nMAIL FROM:<>\nRCPT TO:<a@ours.test>\n";
    let rows: &[(&str, &str, &[&str])] = &[
        ("", "MAIL FROM:<>\n", &["503 5.5.1"]),
        ("", "RCPT TO:<a@ours.test>\n", &["503 5.5.1"]),
        ("", "DATA\n", &["503 5.5.1"]),
        ("", "NOOP\nRSET\nVRFY a\nHELP\n", &["250 2.0.0", "250 2.0.0", "252 2.5.0", "214 2.0.0"]),
        ("", "HELO c\n", &["250"]),
        ("", "STARTTLS\n", &["503 5.5.1"]),
        (E, "RCPT TO:<a@ours.test>\n", &["503 5.5.1"]),
        (E, "DATA\n", &["503 5.5.1"]),
        (E, "MAIL FROM:<> SIZE=200\n", &["250 2.1.0"]),
        (E, "MAIL FROM:<> SIZE=201\n", &["552 5.3.4"]),
        (E, "MAIL FROM:<é@b.test>\n", &["553 5.6.7"]),
        (E, "MAIL FROM:<é@b.test> SMTPUTF8\nRCPT TO:<ü@ours.test>\n", &["250 2.1.0", "250 2.1.5"]),
        (E, "MAIL FROM:a@b.test\n", &["501 5.5.4"]),
        (E, "MAIL FROM:<a@b..test>\n", &["501 5.1.7"]),
        (E, "MAIL FROM:<> AUTH=<>\n", &["555 5.5.4"]),
        (E, "AUTH PLAIN\n", &["502 5.5.1"]),
        (M, "MAIL FROM:<>\n", &["503 5.5.1"]),
        (M, "DATA\n", &["503 5.5.1"]),
        (M, "RCPT TO:<a@else.test>\nDATA\n", &["550 5.7.1", "554 5.5.1"]),
        (M, "RCPT TO:<ü@ours.test>\nDATA\n", &["553 5.6.7", "554 5.5.1"]),
        (M, "RCPT TO:<x>\n", &["501 5.1.3"]),
        (M, "RSET\nMAIL FROM:<>\n", &["250 2.0.0", "250 2.1.0"]),
        (R, "EHLO c\nDATA\n", &["250", "503 5.5.1"]),
        (R, "RSET\nDATA\n", &["250 2.0.0", "503 5.5.1"]),
        (R, "RCPT TO:<b@ours.test>\nRCPT TO:<c@ours.test>\nRCPT TO:<d@ours.test>\n", &["250 2.1.5", "250 2.1.5", "452 4.5.3"]),
    ];
    for (before, then, want) in rows {
        let skip = codes(&talk(&terms(), before).said).len();
        let seen = talk(&terms(), &format!("{before}{then}"));
        assert_eq!(&codes(&seen.said)[skip..], *want, "{before:?} {then:?}");
        assert_eq!(seen.end, None, "{then:?}");
    }
    let seen = talk(&terms(), "EHLO c\nMAIL FROM:x\n");
    assert!(seen.said.ends_with("501 5.5.4 Syntax: MAIL FROM:<address> [parameters]\r\n"), "{}", seen.said);
}

#[test]
fn limits_end_a_session() {
    let message = "MAIL FROM:<>\nRCPT TO:<a@ours.test>\nDATA\nx\n.\n";
    let refused = "RCPT TO:<a@else.test>\n";
    let rows = [
        ("X\nX\nX\nX\nQUIT\n".to_owned(), "421 4.7.0", End::Errors),
        (format!("EHLO c\nX\nX\nX\n{message}X\nX\nX\nX\n"), "421 4.7.0", End::Errors),
        (format!("EHLO c\nMAIL FROM:<>\n{refused}{refused}{refused}QUIT\n"), "421 4.7.0", End::RefusedRecipients),
        (format!("EHLO c\n{message}{message}{message}"), "421 4.7.0", End::Messages),
        ("NOOP\n".repeat(21), "421 4.7.0", End::Commands),
        ("GET / HTTP/1.1\nHost: x\n".to_owned(), "554 5.5.1", End::Http),
        ("EHLO c\nPOST / HTTP/1.1\n".to_owned(), "554 5.5.1", End::Http),
        ("PRI * HTTP/2.0\n\nSM\n".to_owned(), "554 5.5.1", End::Http),
        ("\x16\x03\x01\x02\n\x01\n".to_owned(), "554 5.5.1", End::TlsHello),
        ("RSET\n".repeat(21), "421 4.7.0", End::Commands),
        ("EHLO c\n".repeat(21), "421 4.7.0", End::Commands),
        (format!("EHLO c\n{}", "BDAT 0\n".repeat(20)), "421 4.7.0", End::Commands),
    ];
    for (lines, last, end) in rows {
        let seen = talk(&terms(), &lines);
        assert_eq!(seen.end, Some(end), "{lines:?}");
        assert_eq!(codes(&seen.said).last().map(String::as_str), Some(last), "{lines:?}");
    }
}

#[test]
fn what_is_wrong_with_a_message_is_said_at_its_end() {
    let start = "EHLO c\nMAIL FROM:<>\nRCPT TO:<a@ours.test>\nDATA\n";
    let rows = [
        (
            "a\r\nb\nc\r\n.\r\n",
            "550 5.6.0 message has a bare LF (line 2); send lines ended by CRLF (222222222222)",
            DataFault::BareLf { line: 2 },
        ),
        (
            "a\rb\r\n.\r\n",
            "550 5.6.0 message has a bare CR (line 1); send lines ended by CRLF (222222222222)",
            DataFault::BareCr { line: 1 },
        ),
        ("a\0\r\n.\r\n", "550 5.6.0 message has a NUL byte (line 1) (222222222222)", DataFault::Nul { line: 1 }),
    ];
    for (data, reply, fault) in rows {
        let input = format!("{}{data}NOOP\r\n", start.replace('\n', "\r\n"));
        for cut in 0..=input.len() {
            let (a, b) = input.as_bytes().split_at(cut);
            let seen = run(&terms(), &[a, b]);
            // Behind a bare CR or LF nothing is read any more.
            let (then, end) = match fault {
                DataFault::Nul { .. } => ("250 2.0.0 ok", None),
                _ => ("421 4.7.0 nothing is taken behind such a message; closing the connection", Some(End::OddEnds)),
            };
            assert!(seen.said.ends_with(&format!("{reply}\r\n{then}\r\n")), "{}", seen.said);
            assert_eq!((seen.messages.len(), seen.faults, seen.end), (0, vec![fault], end));
        }
    }
    let long = format!("{start}{}\n.\nNOOP\n", "x".repeat(101));
    assert_eq!(talk(&terms(), &long).faults, [DataFault::LineTooLong { line: 1, limit: 100 }]);
    let big = format!("{start}{}.\nNOOP\n", "0123456789\n".repeat(20));
    let seen = talk(&terms(), &big);
    assert_eq!(seen.faults, [DataFault::TooBig { limit: 200 }]);
    assert_eq!(codes(&seen.said)[4..], ["552 5.3.4", "250 2.0.0"]);
}

#[test]
fn no_memory_is_temporary() {
    let mut session = Session::new(Arc::new(terms()));
    let mut input = BytesMut::from(&b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nDATA\r\nDATA\r\nabc"[..]);
    assert!(matches!(session.step(&mut input), Step::Recipient(_)));
    session.recipient(answer(&ForwardPath::Postmaster));
    assert!(matches!(session.step(&mut input), Step::Data));
    session.refuse_data(&replies::no_memory(None));
    assert!(matches!(session.step(&mut input), Step::Data), "the transaction stays open");
    session.begin_data(id());
    assert!(matches!(session.step(&mut input), Step::Read));
    assert_eq!(session.receiving(), Some(3));
    session.out_of_memory();
    assert_eq!(session.receiving(), None);
    input.extend_from_slice(b"more\r\n.\r\n");
    assert!(matches!(session.step(&mut input), Step::Refused(Refused::Data { fault: DataFault::NoMemory, .. })));
    let said = String::from_utf8(session.take_output()).unwrap();
    assert_eq!(codes(&said)[4..], ["452 4.3.1", "354", "452 4.3.1"]);
}

#[test]
fn who_does_not_wait_is_noted_or_sent_away() {
    let strict = Terms { strict_pipelining: true, ..terms() };
    let mail = "MAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\n";
    let message = format!("{mail}DATA\r\n");
    let rows: &[(&[&str], bool)] = &[
        // As RFC 2920 wants it.
        (&["EHLO c\r\n", &message, "x\r\n.\r\n"], true),
        (&["EHLO c\r\n", &message, &format!("x\r\n.\r\n{message}"), "y\r\n.\r\nQUIT\r\n"], true),
        (&["EHLO c\r\n", &format!("{mail}BDAT 1\r\nxBDAT 1 LAST\r\ny{mail}BDAT 2 LAST\r\nzzQUIT\r\n")], true),
        (&["EHLO c\r\n", "RSET\r\nQUIT\r\nrubbish\r\n"], true),
        (&["HELO c\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<a@ours.test>\r\n", "DATA\r\n", "x\r\n.\r\n"], true),
        // Not so.
        (&["EHLO c\r\nMAIL FROM:<>\r\n"], false),
        (&["NOOP\r\nEHLO c\r\n"], false),
        (&["HELO c\r\n", mail], false),
        (&["EHLO c\r\n", &format!("{message}x\r\n.\r\n")], false),
        (&["EHLO c\r\n", "NOOP\r\nRSET\r\n"], false),
        (&["EHLO c\r\n", "VRFY a\r\nRSET\r\n"], false),
    ];
    for (pieces, fine) in rows {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let seen = run(&strict, &pieces);
        assert_eq!(seen.end == Some(End::OutOfStep), !fine, "{:?} {}", pieces, seen.said);
        assert_eq!(seen.said.ends_with("554 5.5.0 SMTP synchronisation error: wait for the reply; closing the connection\r\n"), !fine);
        let noted = run(&terms(), &pieces);
        assert!(!noted.said.contains("554"), "noted only: {}", noted.said);
    }
    let mut session = Session::new(Arc::new(terms()));
    let _read = session.step(&mut BytesMut::from("NOOP\r\nNOOP\r\n"));
    assert!(session.was_out_of_step());
}

#[test]
fn requests_about_notifications_reach_the_envelope() {
    use crate::mail::dsn::{MessageRequest, Notify, RecipientRequest, Ret};
    let lines = "EHLO c\nMAIL FROM:<a@else.test> RET=HDRS ENVID=QQ+2B1\nRCPT TO:<a@ours.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x@else.test\n\
        RCPT TO:<b@ours.test> NOTIFY=NEVER\nRCPT TO:<A@ours.test> NOTIFY=NEVER\nDATA\nx\n.\n";
    let envelope = talk(&terms(), lines).envelopes.remove(0);
    assert_eq!(envelope.dsn, MessageRequest { ret: Some(Ret::Hdrs), envid: Some("QQ+2B1".into()) });
    let asked: Vec<RecipientRequest> = envelope.recipients.into_iter().map(|recipient| recipient.dsn).collect();
    let on = Notify::On { success: true, failure: false, delay: true };
    let first = RecipientRequest { notify: Some(on), orcpt: Some("rfc822;x@else.test".into()) };
    assert_eq!(asked, [first, RecipientRequest { notify: Some(Notify::Never), orcpt: None }], "a recipient given twice keeps what it had");

    let start = "EHLO c\nMAIL FROM:<a@else.test>";
    for (lines, want) in [
        (" RET=ALL\n", "501 5.5.4"),
        (" RET=FULL RET=FULL\n", "501 5.5.4"),
        (" ENVID=a+2b\n", "501 5.5.4"),
        ("\nRCPT TO:<a@ours.test> NOTIFY=NEVER,DELAY\n", "501 5.5.4"),
        ("\nRCPT TO:<a@ours.test> ORCPT=a@ours.test\n", "501 5.5.4"),
        ("\nRCPT TO:<a@ours.test> ORCPT=utf-8;ü@x.test\n", "553 5.6.7"),
        (" SMTPUTF8\nRCPT TO:<a@ours.test> ORCPT=utf-8;ü@x.test\n", "250 2.1.5"),
        ("\nRCPT TO:<a@ours.test> RRVS=2014\n", "555 5.5.4"),
    ] {
        assert_eq!(codes(&talk(&terms(), &format!("{start}{lines}")).said).last().map(String::as_str), Some(want), "{lines:?}");
    }
}

#[test]
fn starttls_forgets_everything_before() {
    // With nothing behind STARTTLS in the buffer.
    let pieces: [&[u8]; 4] = [b"EHLO c\r\nMAIL FROM:<>\r\n", b"STARTTLS\r\n", b"MAIL FROM:<>\r\n", b"EHLO c\r\nSTARTTLS\r\n"];
    let seen = run(&terms(), &pieces);
    assert_eq!(codes(&seen.said), ["250", "250 2.1.0", "220 2.0.0", "503 5.5.1", "250", "503 5.5.1"]);
    assert_eq!(seen.said.matches("STARTTLS\r\n").count(), 1, "offered once: {}", seen.said);
    // With something.
    let seen = run(&terms(), &[b"EHLO c\r\nSTARTTLS\r\nMAIL FROM:<evil@else.test>\r\n"]);
    assert_eq!((codes(&seen.said), seen.end), (vec!["250".to_owned(), "554 5.5.1".to_owned()], Some(End::Injection)));

    let off = Terms { encryption: Encryption::Off, ..terms() };
    let seen = talk(&off, "EHLO c\nSTARTTLS\n");
    assert!(!seen.said.contains("250-STARTTLS") && seen.said.contains("502 5.5.1"));
    let required = Terms { encryption: Encryption::Required, ..terms() };
    let seen = run(&required, &[b"EHLO c\r\nMAIL FROM:<>\r\n", b"STARTTLS\r\n", b"EHLO c\r\nMAIL FROM:<>\r\n"]);
    assert_eq!(codes(&seen.said), ["250", "530 5.7.0", "220 2.0.0", "250", "250 2.1.0"]);
}

#[test]
fn a_421_about_a_message_ends_the_session() {
    let mut session = Session::new(Arc::new(terms()));
    let mut input = BytesMut::from(&b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nDATA\r\n.\r\n"[..]);
    assert!(matches!(session.step(&mut input), Step::Recipient(_)));
    session.recipient(answer(&ForwardPath::Postmaster));
    assert!(matches!(session.step(&mut input), Step::Data));
    session.begin_data(id());
    assert!(matches!(session.step(&mut input), Step::Message(received) if received.raw.is_empty()));
    assert!(!session.is_idle());
    session.settle(&replies::shutting_down());
    assert!(matches!(session.step(&mut input), Step::Close(End::Closed)));
}

mod any_input {
    use super::*;
    use proptest::prelude::*;

    /// What conversations, and attacks on them, are made of.
    const PIECES: [&str; 26] = [
        "EHLO c",
        "HELO c",
        "MAIL FROM:<a@else.test>",
        "MAIL FROM:<>",
        "RCPT TO:<a@ours.test>",
        "RCPT TO:<b@else.test>",
        "DATA",
        "BDAT 4\r\n",
        "BDAT 7 LAST\r\n",
        "BDAT 0 LAST\r\n",
        "BDAT 1",
        "RSET",
        "NOOP",
        "QUIT",
        "VRFY a",
        "STARTTLS",
        "GET /",
        "\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        ".",
        "\r\n.\r\n",
        "\0",
        "x",
    ];

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn is_read_the_same_however_it_is_cut(picks in prop::collection::vec(0..PIECES.len(), 0..60), chunk in 1usize..40) {
            let terms = Terms { encryption: Encryption::Off, errors: 50, commands: 100, messages: 100, ..terms() };
            let input: String = std::iter::once("EHLO c\r\n").chain(picks.iter().filter_map(|pick| PIECES.get(*pick).copied())).collect();
            let whole = run(&terms, &[input.as_bytes()]);
            let cut = run(&terms, &input.as_bytes().chunks(chunk).collect::<Vec<_>>());
            prop_assert_eq!(&whole, &cut);
            for (_, recipients, raw) in &whole.messages {
                prop_assert!(recipients.iter().all(|recipient| recipient.ends_with("@ours.test")));
                prop_assert!(!String::from_utf8_lossy(raw).replace("\r\n", "").contains(['\r', '\n', '\0']));
            }
            prop_assert!(whole.said.ends_with("\r\n"));
        }
    }
}
