//! Loops: a message that comes through us again and again (RFC 5321 section 6.3).

use super::fields::fields;

/// Received fields beyond this number mean a loop (RFC 5321 section 6.3 asks for at least 100 where nothing else is checked;
/// Exchange and Postfix give up at 60 and 50). The pipeline refuses with 554 5.4.6.
pub const MAX_HOPS: usize = 50;
/// Received fields of our own beyond this number mean a loop: no way of a message leads through one gateway so often.
pub const MAX_OWN: usize = 5;

/// How many Received fields the message bears: each is a hop it has come through.
pub fn received_count(raw: &[u8]) -> usize {
    fields(raw).filter(|field| field.name.eq_ignore_ascii_case(b"received")).count()
}

/// How many of them are ours: `by` our name, in the words of our own field. `X-Mailweir-Id` cannot tell, for it is taken out on the way.
pub fn own_count(raw: &[u8], hostname: &str) -> usize {
    fields(raw).filter(|field| field.name.eq_ignore_ascii_case(b"received") && is_by(field.value, hostname.as_bytes())).count()
}

/// Whether the message has come round too often.
pub fn is_looping(raw: &[u8], hostname: &str) -> bool {
    received_count(raw) > MAX_HOPS || own_count(raw, hostname) > MAX_OWN
}

/// Whether the field says `by HOSTNAME (Mailweir)`; the words of other mail servers in it may stand anywhere before.
fn is_by(value: &[u8], hostname: &[u8]) -> bool {
    let mut words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"by") {
            return words.next().is_some_and(|name| name.eq_ignore_ascii_case(hostname))
                && words.next().is_some_and(|mark| mark.eq_ignore_ascii_case(b"(mailweir)"));
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Body, Envelope, MessageId, Origin, ReversePath};
    use crate::rewrite::trace;

    #[test]
    fn our_own_fields_are_known_again() {
        let origin = |peer: Option<&str>| Origin {
            listener: "x".into(),
            peer: peer.map(|peer| peer.parse().unwrap()),
            helo: "by".into(),
            esmtp: true,
            tls: Some("TLSv1.3".into()),
            normalised: false,
        };
        let envelope =
            Envelope { sender: ReversePath::Null, recipients: vec![], body: Body::SevenBit, smtputf8: false, dsn: Default::default() };
        let field = |peer| trace::received(&origin(peer), &envelope, "mx1.example", MessageId::new(), jiff::Timestamp::now());
        let plain = Origin { helo: "mail.peer.example".into(), ..origin(Some("192.0.2.1:25")) };
        let ours = trace::received(&plain, &envelope, "mx1.example", MessageId::new(), jiff::Timestamp::now());
        assert_eq!(own_count(format!("{ours}{}Subject: x\r\n\r\n{ours}", field(None)).as_bytes(), "MX1.example"), 2);
        for other in [
            "Received: from mx1.example (Mailweir) by other.example (Postfix); x\r\n",
            "Received: by mx1.example (Postfix) with SMTP; x\r\n",
            "Received: by mx11.example (Mailweir) with SMTP; x\r\n",
            "X-Received: by mx1.example (Mailweir) with SMTP; x\r\n",
            "Received: by",
        ] {
            assert_eq!(own_count(other.as_bytes(), "mx1.example"), 0, "{other}");
        }
        let times = |n: usize| format!("{}Subject: x\r\n\r\n", ours.repeat(n));
        assert!(!is_looping(times(MAX_OWN).as_bytes(), "mx1.example"));
        assert!(is_looping(times(MAX_OWN + 1).as_bytes(), "mx1.example"));
        assert!(!is_looping(times(MAX_OWN + 1).as_bytes(), "mx2.example"), "another gateway's are only hops");
        assert!(is_looping(times(MAX_HOPS + 1).as_bytes(), "mx2.example"));
    }
}
