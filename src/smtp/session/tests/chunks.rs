//! BDAT: chunks by count, in any order with everything else, and cut at every byte.

use super::*;

const START: &str = "EHLO c\nMAIL FROM:<>\nRCPT TO:<a@ours.test>\n";

fn raws(seen: &Seen) -> Vec<String> {
    seen.messages.iter().map(|(_, _, raw)| String::from_utf8(raw.clone()).unwrap()).collect()
}

#[test]
fn a_message_in_chunks() {
    let rows: &[(&str, &str, &[&str])] = &[
        ("BDAT 7 LAST\nhello\n", "hello\r\n", &["250 2.0.0"]),
        ("bdat 3 last\n.\nQUIT\n", ".\r\n", &["250 2.0.0", "221 2.0.0"]),
        ("BDAT 7\nhello\nBDAT 4 LAST\n.x\n", "hello\r\n.x\r\n", &["250 2.0.0", "250 2.0.0"]),
        ("BDAT 7\nhello\nBDAT 0 LAST\n", "hello\r\n", &["250 2.0.0", "250 2.0.0"]),
        ("BDAT 0 LAST\n", "", &["250 2.0.0"]),
        ("BDAT 0\nBDAT 0\nBDAT 1\nxBDAT 0 LAST\n", "x", &["250 2.0.0", "250 2.0.0", "250 2.0.0", "250 2.0.0"]),
    ];
    for (lines, want, replies) in rows {
        let seen = talk(&terms(), &format!("{START}{lines}"));
        assert_eq!(&codes(&seen.said)[3..], *replies, "{lines:?}");
        assert_eq!(raws(&seen), [*want], "{lines:?}");
    }
    let seen = talk(&terms(), &format!("{START}BDAT 5\nabc\nBDAT 1 LAST\nx"));
    assert!(seen.said.contains("250 2.0.0 5 octets received\r\n"), "{}", seen.said);
}

#[test]
fn a_line_end_across_chunks_and_commands_between_them() {
    let input = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nBDAT 2\r\nx\rNOOP\r\nVRFY a\r\nBDAT 1 LAST\r\n\nNOOP\r\n";
    for cut in 0..=input.len() {
        let (a, b) = input.split_at(cut);
        let seen = run(&terms(), &[a, b]);
        assert_eq!(raws(&seen), ["x\r\n"]);
        assert_eq!(codes(&seen.said)[3..], ["250 2.0.0", "250 2.0.0", "252 2.5.0", "250 2.0.0", "250 2.0.0"]);
    }
}

#[test]
fn two_messages_and_both_ways_in_one_session() {
    let message = "MAIL FROM:<>\nRCPT TO:<a@ours.test>\n";
    let seen = talk(&terms(), &format!("{START}BDAT 3 LAST\n1\n{message}DATA\n2\n.\nQUIT\n"));
    assert_eq!(raws(&seen), ["1\r\n", "2\r\n"]);
    assert_eq!(seen.end, Some(End::Quit));
}

#[test]
fn out_of_order_octets_are_never_commands() {
    // The octets say QUIT; nobody must do so.
    let rows: &[(&str, &[&str])] = &[
        ("BDAT 6\nQUIT\nNOOP\n", &["503 5.5.1", "250 2.0.0"]),
        ("BDAT 6 LAST\nQUIT\nNOOP\n", &["503 5.5.1", "250 2.0.0"]),
        ("EHLO c\nBDAT 6 LAST\nQUIT\nNOOP\n", &["250", "503 5.5.1", "250 2.0.0"]),
        ("EHLO c\nMAIL FROM:<>\nBDAT 6 LAST\nQUIT\nMAIL FROM:<>\n", &["250", "250 2.1.0", "503 5.5.1", "250 2.1.0"]),
        (
            "EHLO c\nMAIL FROM:<>\nRCPT TO:<a@else.test>\nBDAT 6\nQUIT\nBDAT 6 LAST\nQUIT\nNOOP\n",
            &["250", "250 2.1.0", "550 5.7.1", "554 5.5.1", "503 5.5.1", "250 2.0.0"],
        ),
        // A refused chunk is no part of a message that a later one could end.
        (
            "EHLO c\nMAIL FROM:<>\nRCPT TO:<a@else.test>\nBDAT 6\nQUIT\nRCPT TO:<a@ours.test>\nBDAT 6 LAST\nQUIT\n",
            &["250", "250 2.1.0", "550 5.7.1", "554 5.5.1", "503 5.5.1", "503 5.5.1"],
        ),
    ];
    for (lines, want) in rows {
        let seen = talk(&terms(), lines);
        assert_eq!(codes(&seen.said), *want, "{lines:?}");
        assert_eq!((seen.messages.len(), seen.end), (0, None), "{lines:?}");
    }
}

#[test]
fn between_chunks() {
    let rows: &[(&str, &[&str], &[&str])] = &[
        ("MAIL FROM:<>\nBDAT 0 LAST\n", &["503 5.5.1", "250 2.0.0"], &["x\r\n"]),
        ("RCPT TO:<b@ours.test>\nBDAT 0 LAST\n", &["503 5.5.1", "250 2.0.0"], &["x\r\n"]),
        ("DATA\nBDAT 0 LAST\n", &["503 5.5.1", "250 2.0.0"], &["x\r\n"]),
        ("HELP\nBDAT 0 LAST\n", &["214 2.0.0", "250 2.0.0"], &["x\r\n"]),
        ("RSET\nBDAT 0 LAST\n", &["250 2.0.0", "503 5.5.1"], &[]),
        ("EHLO c\nBDAT 0 LAST\n", &["250", "503 5.5.1"], &[]),
        ("RSET\nMAIL FROM:<>\nRCPT TO:<a@ours.test>\nBDAT 3 LAST\ny\n", &["250 2.0.0", "250 2.1.0", "250 2.1.5", "250 2.0.0"], &["y\r\n"]),
        ("QUIT\n", &["221 2.0.0"], &[]),
    ];
    for (lines, want, messages) in rows {
        let seen = talk(&terms(), &format!("{START}BDAT 3\nx\n{lines}"));
        assert_eq!(&codes(&seen.said)[4..], *want, "{lines:?}");
        assert_eq!(raws(&seen), *messages, "{lines:?}");
    }
}

#[test]
fn after_the_last_one_there_is_none() {
    let seen = talk(&terms(), &format!("{START}BDAT 3 LAST\nx\nBDAT 6 LAST\nQUIT\nNOOP\n"));
    assert_eq!(codes(&seen.said)[3..], ["250 2.0.0", "503 5.5.1", "250 2.0.0"]);
}

#[test]
fn a_size_that_cannot_be_read_ends_the_session() {
    for line in
        ["BDAT\r\n", "BDAT x\r\n", "BDAT 6 LASTQUIT\r\n", "BDAT -6\r\n", "BDAT 99999999999999999999 LAST\r\n", "BDAT 6\n", "BDAT\t6\r\n"]
    {
        let input = format!("{}{line}NOOP\r\nNOOP\r\n", START.replace('\n', "\r\n"));
        for cut in 0..=input.len() {
            let (a, b) = input.as_bytes().split_at(cut);
            let seen = run(&terms(), &[a, b]);
            assert_eq!(seen.end, Some(End::ChunkSyntax), "{line:?}");
            assert!(seen.said.ends_with("cannot be told from commands; closing the connection\r\n"), "{}", seen.said);
            assert_eq!(codes(&seen.said)[3..], ["501 5.5.4"], "{line:?}");
        }
    }
}

#[test]
fn the_same_rules_for_what_is_in_them() {
    let rows: &[(&str, DataFault, &str)] = &[
        ("BDAT 4 LAST\r\na\nb\n", DataFault::BareLf { line: 1 }, "550 5.6.0"),
        ("BDAT 2\r\na\rBDAT 1 LAST\r\nb", DataFault::BareCr { line: 1 }, "550 5.6.0"),
        ("BDAT 2 LAST\r\na\r", DataFault::BareCr { line: 1 }, "550 5.6.0"),
        ("BDAT 2 LAST\r\na\0", DataFault::Nul { line: 1 }, "550 5.6.0"),
    ];
    for (chunks, fault, reply) in rows {
        let input = format!("{}{chunks}NOOP\r\n", START.replace('\n', "\r\n"));
        for cut in 0..=input.len() {
            let (a, b) = input.as_bytes().split_at(cut);
            let seen = run(&terms(), &[a, b]);
            assert_eq!((seen.messages.len(), &seen.faults[..]), (0, &[*fault][..]), "{chunks:?}");
            let codes = codes(&seen.said);
            // Its end was told, not searched for: what follows is sure to be commands.
            assert_eq!(codes[codes.len() - 2..], [*reply, "250 2.0.0"], "{chunks:?}");
        }
    }
    // Told at the first chunk; what was sent meanwhile is swallowed.
    let seen = talk(&terms(), &format!("{START}BDAT 3\na\0\nBDAT 6\nQUIT\nBDAT 6 LAST\nQUIT\nMAIL FROM:<>\n").replace("a\0\n", "a\0b"));
    assert_eq!(codes(&seen.said)[3..], ["550 5.6.0", "503 5.5.1", "503 5.5.1", "250 2.1.0"]);

    let normalise = Terms { line_endings: LineEndings::Normalise, ..terms() };
    let input = b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nBDAT 3\r\na\n.BDAT 6 LAST\r\n\n..b\r\r";
    for cut in 0..=input.len() {
        let (a, b) = input.split_at(cut);
        assert_eq!(raws(&run(&normalise, &[a, b])), ["a\r\n.\r\n..b\r\n\r\n"]);
    }
}

#[test]
fn sizes_over_all_chunks() {
    // The limit is 200.
    let line = format!("{}\n", "x".repeat(98));
    let chunk = format!("BDAT 100\n{line}");
    let seen = talk(&terms(), &format!("{START}{chunk}{chunk}BDAT 0 LAST\n"));
    assert_eq!(raws(&seen), [line.replace('\n', "\r\n").repeat(2)]);
    let seen = talk(&terms(), &format!("{START}{chunk}{chunk}BDAT 6\nQUIT\nBDAT 6 LAST\nQUIT\nNOOP\n"));
    assert_eq!(seen.faults, [DataFault::TooBig { limit: 200 }]);
    assert_eq!(codes(&seen.said)[3..], ["250 2.0.0", "250 2.0.0", "552 5.3.4", "503 5.5.1", "250 2.0.0"]);
    // Nothing is kept of one that says by itself that it is too large.
    let mut session = Session::new(Arc::new(terms()));
    let mut input = BytesMut::from(&b"HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nBDAT 700 LAST\r\nabc"[..]);
    assert!(matches!(session.step(&mut input), Step::Recipient(_)));
    session.recipient(answer(&ForwardPath::Postmaster));
    assert!(matches!(session.step(&mut input), Step::Data));
    session.begin_data(id());
    assert!(matches!(session.step(&mut input), Step::Read));
    assert_eq!((session.receiving(), session.is_in_data()), (None, true));
}

#[test]
fn a_chunk_beyond_all_measure_ends_the_session() {
    let seen = talk(&terms(), &format!("{START}BDAT 18446744073709551615 LAST\nabc"));
    assert_eq!(codes(&seen.said)[3..], ["552 5.3.4"]);
    assert_eq!(seen.end, Some(End::ChunkSyntax));
}

#[test]
fn many_small_chunks_are_no_flood_of_commands() {
    let chunks = "BDAT 1\nx".repeat(90); // the limit is 20 commands
    let seen = talk(&terms(), &format!("{START}{chunks}BDAT 0 LAST\n"));
    assert_eq!(raws(&seen), ["x".repeat(90)]);
}

#[test]
fn no_memory_for_the_first_chunk_or_a_later_one() {
    let mut session = Session::new(Arc::new(terms()));
    let mut input = BytesMut::from(&b"EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nBDAT 6\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\n"[..]);
    assert!(matches!(session.step(&mut input), Step::Recipient(_)));
    session.recipient(answer(&ForwardPath::Postmaster));
    assert!(matches!(session.step(&mut input), Step::Data));
    session.refuse_data(&replies::no_memory(None));
    assert!(matches!(session.step(&mut input), Step::Read));
    input.extend_from_slice(b"MAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nBDAT 3\r\nab");
    assert!(matches!(session.step(&mut input), Step::Recipient(_)));
    session.recipient(answer(&ForwardPath::Postmaster));
    assert!(matches!(session.step(&mut input), Step::Data));
    session.begin_data(id());
    assert!(matches!(session.step(&mut input), Step::Read));
    assert_eq!(session.receiving(), Some(2));
    input.extend_from_slice(b"cBDAT 6");
    assert!(matches!(session.step(&mut input), Step::Read));
    assert_eq!((session.receiving(), session.is_idle()), (Some(3), false), "what has come is held between chunks too");
    session.out_of_memory();
    assert_eq!(session.receiving(), None);
    input.extend_from_slice(b"\r\nQUIT\r\n");
    assert!(matches!(session.step(&mut input), Step::Refused(Refused::Data { fault: DataFault::NoMemory, .. })));
    assert!(session.is_idle());
    let said = String::from_utf8(session.take_output()).unwrap();
    assert_eq!(codes(&said)[4..], ["452 4.3.1", "503 5.5.1", "250 2.1.0", "250 2.1.5", "250 2.0.0", "452 4.3.1"]);
}
