//! What the server says, and what becomes of each recipient.

use super::server::{Do, Script, Server, script, usual};
use super::*;

/// Answers `text` to lines that begin with `start`.
fn says(start: &'static str, text: &'static str) -> Script {
    script(move |_, line| if line.starts_with(start) { Do::Say(text) } else { Do::Usual })
}

fn does(start: &'static str, what: Do) -> Script {
    script(move |_, line| if line.starts_with(start) { what.clone() } else { Do::Usual })
}

/// Three recipients, of which the server answers the second with 550 and the third with 450.
fn mixed(at_end: Do) -> Script {
    script(move |_, line| match line {
        "RCPT TO:<two@b.example>" => Do::Say("550 5.1.1 no such user"),
        "RCPT TO:<three@b.example>" => Do::Say("450 4.2.0 later"),
        "." => at_end.clone(),
        _ => Do::Usual,
    })
}

#[tokio::test]
async fn each_recipient_has_its_outcome() {
    let all = |word: &'static str| vec![word; 3];
    let rows: Vec<(&str, Script, Vec<&str>)> = vec![
        ("taken", usual(), all("delivered 250")),
        ("taken with 251", says("RCPT", "251 forwarded"), all("delivered 250")),
        ("mixed", mixed(Do::Usual), vec!["delivered 250", "refused 550", "deferred 450"]),
        ("mixed, then refused", mixed(Do::Say("554 5.7.1 no")), vec!["refused 554", "refused 550", "deferred 450"]),
        ("mixed, then later", mixed(Do::Say("452 4.3.1 full")), vec!["deferred 452", "refused 550", "deferred 450"]),
        ("mixed, then lost", mixed(Do::Close), vec!["unknown", "refused 550", "deferred 450"]),
        ("garbage at the end", says(".", "what?"), all("unknown")),
        ("354 at the end", says(".", "354 more"), all("unknown")),
        ("421 at the end", does(".", Do::SayAndClose("421 4.3.2 closing")), all("deferred 421")),
        ("all unknown", says("RCPT", "550 5.1.1 no such user"), all("refused 550")),
        ("all later", says("RCPT", "451 4.7.1 greylisted"), all("deferred 451")),
        ("lost at RCPT", does("RCPT", Do::Close), all("deferred")),
        ("421 at RCPT", does("RCPT TO:<one", Do::SayAndClose("421 4.3.2 closing")), vec!["deferred 421", "deferred", "deferred"]),
        ("sender refused", says("MAIL", "550 5.7.1 not you"), all("refused 550")),
        ("sender refused, closed", does("MAIL", Do::SayAndClose("550 5.7.1 not you")), all("refused 550")),
        ("sender later", says("MAIL", "451 4.3.0 busy"), all("deferred 451")),
        ("lost at MAIL", does("MAIL", Do::Close), all("deferred")),
        ("garbage at MAIL", says("MAIL", "ok"), all("deferred")),
        ("354 at MAIL", says("MAIL", "354 eh"), all("deferred 354")),
        ("DATA refused", says("DATA", "554 5.7.1 no"), all("refused 554")),
        ("DATA later", says("DATA", "451 4.3.0 no"), all("deferred 451")),
        ("DATA with 250", says("DATA", "250 eh"), all("deferred 250")),
        ("lost at DATA", does("DATA", Do::Close), all("deferred")),
        ("greeted with 5xx", says("connect", "554 5.7.1 go away"), all("deferred 554")),
        ("greeted with 4xx", says("connect", "421 4.3.2 busy"), all("deferred 421")),
        ("closed at once", does("connect", Do::Close), all("deferred")),
        ("not SMTP", says("connect", "SSH-2.0-OpenSSH_9.2p1"), all("deferred")),
        ("EHLO with 4xx", says("EHLO", "421 4.3.2 busy"), all("deferred 421")),
        ("HELO only", says("EHLO", "502 5.5.1 what"), all("delivered 250")),
        ("neither", script(|_, line| if line.contains("LO ") { Do::Say("550 no") } else { Do::Usual }), all("deferred 550")),
    ];
    for (name, script, want) in rows {
        for offers in [&["PIPELINING", "8BITMIME"][..], &[]] {
            let server = Server::offering(offers, script.clone()).await;
            let courier = courier(&Settings::default());
            let outcomes = courier.deliver(job(&route(&[server.address]), &["one@b.example", "two@b.example", "three@b.example"])).await;
            assert_eq!(words(&outcomes), want, "{name}, offering {offers:?}: {outcomes:?}");
            let hop = server.address.to_string();
            let named = |outcome: &Outcome| match outcome {
                Outcome::Delivered { hop, .. } | Outcome::Refused { hop, .. } | Outcome::Unknown { hop, .. } => {
                    *hop == server.address.to_string()
                }
                Outcome::Deferred { hop, .. } => *hop == Some(server.address.to_string()),
            };
            assert!(outcomes.iter().all(named), "{name}: {outcomes:?} names {hop}");
        }
    }
}

#[tokio::test]
async fn no_data_for_nobody() {
    // With pipelining, 354 comes although all were refused: a lone dot ends it, and the connection serves on.
    let nobody = |server: usize, line: &str| if server == 0 && line.contains("<no") { Do::Say("550 5.1.1 no") } else { Do::Usual };
    for (offers, between) in [(&["PIPELINING"][..], &["DATA", "RSET"][..]), (&[], &["RSET"])] {
        let server = Server::offering(offers, script(nobody)).await;
        let courier = courier(&Settings::default());
        let route = route(&[server.address]);
        assert_eq!(words(&courier.deliver(job(&route, &["no@b.example"])).await), ["refused 550"]);
        assert_eq!(words(&courier.deliver(job(&route, &["yes@b.example"])).await), ["delivered 250"]);
        assert_eq!(server.connections(), 1);
        let want = [
            &["EHLO mx1.example", "MAIL FROM:<a@a.example>", "RCPT TO:<no@b.example>"],
            between,
            &["MAIL FROM:<a@a.example>", "RCPT TO:<yes@b.example>", "DATA"],
        ]
        .concat();
        assert_eq!(server.lines(), want);
        assert_eq!(server.messages().last().map(Vec::as_slice), Some(&b"Received: us\r\nSubject: x\r\n\r\n.dot\r\n"[..]));
    }
}

#[tokio::test]
async fn parameters_follow_what_is_offered() {
    let wide = ["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE"];
    let rows: &[(&[&'static str], Body, bool, &str)] = &[
        (&wide, Body::SevenBit, false, "MAIL FROM:<a@a.example> SIZE=34"),
        (&wide, Body::EightBitMime, false, "MAIL FROM:<a@a.example> SIZE=34 BODY=8BITMIME"),
        (&wide, Body::EightBitMime, true, "MAIL FROM:<a@a.example> SIZE=34 BODY=8BITMIME SMTPUTF8"),
        (&[], Body::EightBitMime, false, "MAIL FROM:<a@a.example>"),
        // Flagged, but neither an address nor the header needs it.
        (&[], Body::SevenBit, true, "MAIL FROM:<a@a.example>"),
    ];
    for (offers, body, smtputf8, want) in rows {
        let server = Server::offering(offers, usual()).await;
        let job = Job { body: *body, smtputf8: *smtputf8, ..job(&route(&[server.address]), &["x@b.example"]) };
        assert_eq!(words(&courier(&Settings::default()).deliver(job).await), ["delivered 250"]);
        assert_eq!(server.lines()[1], *want);
    }
}

#[tokio::test]
async fn what_the_hop_cannot_take_is_refused_by_us() {
    let server = Server::offering(&["PIPELINING", "SIZE 40"], usual()).await;
    let route = route(&[server.address]);
    let courier = courier(&Settings::default());
    let refused = |outcomes: &[Outcome]| -> Vec<String> {
        outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Refused { hop, reply } if *hop == server.address.to_string() => {
                    format!("{} {}", reply.code, reply.enhanced.clone().unwrap())
                }
                other => other.as_str().to_owned(),
            })
            .collect()
    };
    let plain = job(&route, &["x@b.example"]);
    let big = Job { data: vec![Bytes::from(vec![b'x'; 41])], ..plain.clone() };
    assert_eq!(refused(&courier.deliver(big).await), ["552 5.3.4"]);
    let header = Job { smtputf8: true, data: vec!["Subject: ü\r\n".into(), "\r\nbody".into()], ..plain.clone() };
    assert_eq!(refused(&courier.deliver(header).await), ["550 5.6.7"]);
    let body = Job { smtputf8: true, data: vec!["Subject: u\r\n".into(), "\r\nbödy".into()], ..plain.clone() };
    assert_eq!(refused(&courier.deliver(body).await), ["delivered"]);
    let sender = Job { smtputf8: true, sender: ReversePath::Address("ü@a.example".parse().unwrap()), ..plain.clone() };
    assert_eq!(refused(&courier.deliver(sender).await), ["550 5.6.7"]);
    let recipients = Job { smtputf8: true, ..job(&route, &["x@b.example", "ü@b.example", "y@b.example"]) };
    assert_eq!(refused(&courier.deliver(recipients).await), ["delivered", "550 5.6.7", "delivered"]);
    assert_eq!(server.connections(), 1, "none of these costs a connection");
}

#[tokio::test]
async fn bytes_arrive_as_they_were() {
    let server = Server::offering(&["PIPELINING"], usual()).await;
    let route = route(&[server.address]);
    let courier = courier(&Settings::default());
    let dots = ".\r\n..\r\nx\r\n".repeat(300_000);
    let messages = [String::new(), ".\r\n".into(), "no end".into(), dots, "x".repeat(3 << 20) + "\r\n.\r\n"];
    for message in &messages {
        let bytes = Bytes::from(message.clone());
        let half = bytes.len() / 2;
        let data = vec![bytes.slice(..half), bytes.slice(half..)];
        assert_eq!(words(&courier.deliver(Job { data, ..job(&route, &["x@b.example"]) }).await), ["delivered 250"]);
        let mut want = message.clone().into_bytes();
        if !(want.is_empty() || want.ends_with(b"\r\n")) {
            want.extend_from_slice(b"\r\n");
        }
        assert!(server.messages().last() == Some(&want), "{} bytes", message.len());
    }
}

#[tokio::test]
async fn many_recipients() {
    let server = Server::new(usual()).await;
    let to: Vec<String> = (0..230).map(|n| format!("r{n}@b.example")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    let outcomes = courier(&Settings::default()).deliver(job(&route(&[server.address]), &to)).await;
    assert!(outcomes.len() == 230 && outcomes.iter().all(Outcome::is_delivered));
    assert_eq!(server.messages().len(), 3, "100, 100 and 30");
    let lines = server.lines();
    assert!(to.iter().all(|to| lines.iter().filter(|line| **line == format!("RCPT TO:<{to}>")).count() == 1));
}

#[tokio::test]
async fn the_null_sender() {
    let server = Server::offering(&[], usual()).await;
    let job = Job { sender: ReversePath::Null, ..job(&route(&[server.address]), &["x@b.example"]) };
    assert_eq!(words(&courier(&Settings::default()).deliver(job).await), ["delivered 250"]);
    assert_eq!(server.lines()[1], "MAIL FROM:<>");
}
