//! Bytes to bytes: trace fields ([`trace`]), notifications ([`dsn`]), and the message as it leaves.

pub mod dsn;
mod fields;
mod loops;
pub mod trace;
mod wishes;

use bytes::Bytes;

pub use fields::{header_block, is_report};
pub use loops::{MAX_HOPS, MAX_OWN, is_looping, own_count, received_count};

/// Names of removed fields that are told one by one.
const MAX_NAMES: usize = 20;

/// A message as it leaves: our fields, and the original bytes by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To be written one after the other.
    pub slices: Vec<Bytes>,
    /// Names of the fields that were removed, as they were spelled; for the record. At most 20, and one line about the rest.
    pub removed: Vec<String>,
}

/// Puts `trace` (fields that each end in CRLF) on top of `raw`, and leaves out fields that pretend to be ours.
///
/// Those are `X-Mailweir-*`, and `Authentication-Results` with `hostname` as its authserv-id (RFC 8601 section 5), in the
/// message's own header block, with their folded lines. Nothing is copied, and nothing else is touched.
pub fn outgoing(trace: &str, raw: &Bytes, hostname: &str) -> Outgoing {
    let mut slices = vec![Bytes::copy_from_slice(trace.as_bytes())];
    if raw.starts_with(b" ") || raw.starts_with(b"\t") {
        // Its first line would be read as the continuation of our last field, and say what it likes there.
        slices.push(Bytes::from_static(b"X-Mailweir-Note: the message began with a folded line\r\n"));
    }
    let mut removed = Vec::new();
    let mut count = 0;
    let mut kept_from = 0;
    for field in fields::fields(raw) {
        if is_ours(&field, hostname) {
            if kept_from < field.start {
                slices.push(raw.slice(kept_from..field.start));
            }
            kept_from = field.end;
            count += 1;
            if count <= MAX_NAMES {
                removed.push(
                    String::from_utf8_lossy(field.name).chars().take(60).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect(),
                );
            }
        }
    }
    if count > MAX_NAMES {
        removed.push(format!("and {} more", count - MAX_NAMES));
    }
    if kept_from < raw.len() {
        slices.push(raw.slice(kept_from..));
    }
    Outgoing { slices, removed }
}

fn is_ours(field: &fields::Field<'_>, hostname: &str) -> bool {
    const PREFIX: &[u8] = b"x-mailweir-";
    if field.name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)) {
        return true;
    }
    field.name.eq_ignore_ascii_case(b"authentication-results") && fields::first_word(field.value).eq_ignore_ascii_case(hostname.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(raw: &str) -> (String, Vec<String>) {
        let out = outgoing("Received: us\r\n", &Bytes::copy_from_slice(raw.as_bytes()), "mx1.example");
        (String::from_utf8(out.slices.concat()).unwrap(), out.removed)
    }

    #[test]
    fn forged_fields_are_left_out() {
        let rows: &[(&str, &str, &[&str])] = &[
            ("Subject: x\r\n\r\nbody\r\n", "Subject: x\r\n\r\nbody\r\n", &[]),
            ("X-Mailweir-Id: 1\r\nSubject: x\r\n\r\nb", "Subject: x\r\n\r\nb", &["X-Mailweir-Id"]),
            ("A: 1\r\nx-MAILWEIR-verdict: a\r\n\tb\r\n c\r\nB: 2\r\n\r\nb", "A: 1\r\nB: 2\r\n\r\nb", &["x-MAILWEIR-verdict"]),
            ("X-Mailweir-Id : 1\r\n\r\n", "\r\n", &["X-Mailweir-Id"]),
            ("X-Mailweir-A: 1\r\nX-Mailweir-B: 2\r\n\r\nb", "\r\nb", &["X-Mailweir-A", "X-Mailweir-B"]),
            ("A: 1\r\n\r\nX-Mailweir-Id: in the body\r\n", "A: 1\r\n\r\nX-Mailweir-Id: in the body\r\n", &[]),
            ("A: 1\r\nno field\r\nX-Mailweir-Id: 1\r\n\r\n", "A: 1\r\nno field\r\n\r\n", &["X-Mailweir-Id"]),
            ("X-Mailweirs: 1\r\n\r\n", "X-Mailweirs: 1\r\n\r\n", &[]),
            ("A: X-Mailweir-Id: 1\r\n X-Mailweir-Id: 2\r\n\r\n", "A: X-Mailweir-Id: 1\r\n X-Mailweir-Id: 2\r\n\r\n", &[]),
            ("X-Mailweir-Id: cut off", "", &["X-Mailweir-Id"]),
            ("Authentication-Results: mx1.example; spf=pass\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n", &["Authentication-Results"]),
            ("authentication-results:\r\n (c (d)) \"MX1.example\" 1;\r\n spf=pass\r\n\r\n", "\r\n", &["authentication-results"]),
            ("Authentication-Results: mx2.example; spf=pass\r\n\r\n", "Authentication-Results: mx2.example; spf=pass\r\n\r\n", &[]),
            ("Authentication-Results: mx1.example.net; x\r\n\r\n", "Authentication-Results: mx1.example.net; x\r\n\r\n", &[]),
            (" folded\r\n\r\n", "X-Mailweir-Note: the message began with a folded line\r\n folded\r\n\r\n", &[]),
            ("", "", &[]),
            ("\r\nbody", "\r\nbody", &[]),
        ];
        for (raw, want, removed) in rows {
            let got = leaves(raw);
            assert_eq!(got.0, format!("Received: us\r\n{want}"), "{raw:?}");
            assert_eq!(got.1, *removed, "{raw:?}");
        }
    }

    #[test]
    fn nothing_is_copied_and_the_list_is_bounded() {
        let raw = Bytes::from(format!("{}Subject: x\r\n\r\nbody", "A: 1\r\nX-Mailweir-Id: 1\r\n".repeat(100)));
        let out = outgoing("", &raw, "mx1.example");
        assert_eq!(out.removed.len(), MAX_NAMES + 1);
        assert_eq!(out.removed.last().map(String::as_str), Some("and 80 more"));
        let range = raw.as_ptr_range();
        assert!(out.slices.iter().skip(1).all(|slice| range.contains(&slice.as_ptr())));
        assert_eq!(received_count(&Bytes::from_static(b"Received: a\r\n b\r\nreceived : c\r\nX-Received: d\r\n\r\nReceived: e\r\n")), 2);
    }

    /// Cut at every byte: never a panic, and never a byte that was not there.
    #[test]
    fn cut_anywhere() {
        let raw = "A: 1\r\nX-Mailweir-Id: (\r\n 1\r\nAuthentication-Results: (a\\) \"mx1.\\example\"; x\r\n\r\nbody";
        for end in 0..=raw.len() {
            let raw = Bytes::copy_from_slice(&raw.as_bytes()[..end]);
            let out = outgoing("", &raw, "mx1.example");
            assert!(out.slices.concat().len() <= end);
        }
    }
}
