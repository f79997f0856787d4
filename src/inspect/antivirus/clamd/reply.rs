//! Reading what clamd answers, exactly: one reply, ended by NUL, of one of the known forms (clamd(8), commands INSTREAM and VERSION).

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::super::engine::{Answer, TroubleKind, Version};

/// The longest reply that is read, in bytes. clamd's own are far shorter.
pub const MAX_REPLY: usize = 4096;

/// The answer that a reply to INSTREAM is. Whatever is not one of the known forms is *could not tell*.
pub fn answer(reply: &[u8]) -> Answer {
    if reply.is_empty() {
        return Answer::trouble(TroubleKind::Unavailable, "clamd closed the connection without an answer");
    }
    let Some(text) = line(reply) else { return malformed(reply) };
    if text == "stream: OK" {
        return Answer::Clean;
    }
    if let Some(name) = text.strip_prefix("stream: ").and_then(|rest| rest.strip_suffix(" FOUND")) {
        return found(name).unwrap_or_else(|| malformed(reply));
    }
    match error_kind(&text) {
        Some(kind) => Answer::trouble(kind, format!("clamd says: {text}")),
        None => malformed(reply),
    }
}

/// `Heuristics.Limits.Exceeded.*` is clamd's way to say that it did not look at everything (AlertExceedsMax).
fn found(name: &str) -> Option<Answer> {
    if name.trim().is_empty() {
        return None;
    }
    if name.starts_with("Heuristics.Limits.Exceeded") {
        return Some(Answer::trouble(TroubleKind::Limit, name));
    }
    Some(Answer::Found(name.to_owned()))
}

/// clamd's errors end in `ERROR`; only those about size and time say something about the mail or the moment.
fn error_kind(text: &str) -> Option<TroubleKind> {
    let lower = text.to_ascii_lowercase();
    if lower.contains("timed out") || lower.starts_with("stream: time limit") {
        return Some(TroubleKind::Time);
    }
    if !text.ends_with(" ERROR") {
        return None;
    }
    if lower.contains("size limit exceeded") {
        return Some(TroubleKind::TooBig);
    }
    Some(TroubleKind::Unavailable)
}

/// The one line of a reply: ended by NUL, without another control character.
fn line(reply: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(reply.strip_suffix(b"\0")?).into_owned();
    (!text.chars().any(char::is_control)).then_some(text)
}

fn malformed(reply: &[u8]) -> Answer {
    Answer::trouble(TroubleKind::Malformed, format!("malformed reply: {:?}", String::from_utf8_lossy(reply)))
}

/// What a reply to VERSION says: `ClamAV 1.4.6/27600/Mon Apr 14 08:30:00 2025`, or `ClamAV 1.4.6` without a numbered database.
/// The date is clamd's local time; it is read as ours, which is exact enough for an age in hours.
pub fn version(reply: &[u8]) -> Option<Version> {
    let text = line(reply)?;
    let mut fields = text.splitn(3, '/');
    let program = fields.next().filter(|program| program.starts_with("ClamAV "))?.to_owned();
    let signatures = fields.next().and_then(|number| number.parse().ok());
    let signature_time = fields.next().and_then(time);
    let mut warnings = Vec::new();
    if signatures.is_none() {
        warnings.push("it has no numbered signature database, only local lists: let freshclam fetch ClamAV's signatures".to_owned());
    }
    Some(Version { program, signatures, signature_time, warnings })
}

fn time(text: &str) -> Option<Timestamp> {
    let civil = DateTime::strptime("%a %b %e %H:%M:%S %Y", text.trim()).ok()?;
    civil.to_zoned(TimeZone::system()).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use TroubleKind::*;

    fn kind(answer: &Answer) -> Option<TroubleKind> {
        match answer {
            Answer::CouldNotTell(trouble) => Some(trouble.kind),
            _ => None,
        }
    }

    #[test]
    fn replies() {
        let rows: &[(&[u8], Result<&str, TroubleKind>)] = &[
            (b"stream: OK\0", Ok("")),
            (b"stream: Win.Test.EICAR_HDB-1 FOUND\0", Ok("Win.Test.EICAR_HDB-1")),
            (b"stream: Local.Test.EICAR.UNOFFICIAL FOUND\0", Ok("Local.Test.EICAR.UNOFFICIAL")),
            (b"stream: Eicar(44d88612fea8a8f36de82e1278abb02f:68) FOUND\0", Ok("Eicar(44d88612fea8a8f36de82e1278abb02f:68)")),
            (b"stream: OK FOUND\0", Ok("OK")),
            (b"stream: Heuristics.Encrypted.Zip FOUND\0", Ok("Heuristics.Encrypted.Zip")),
            (b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", Err(Limit)),
            (b"INSTREAM size limit exceeded. ERROR\0", Err(TooBig)),
            (b"stream: Can't allocate memory ERROR\0", Err(Unavailable)),
            (b"stream: Time limit reached ERROR\0", Err(Time)),
            (b"COMMAND READ TIMED OUT\0", Err(Time)),
            (b"", Err(Unavailable)),
            (b"\0", Err(Malformed)),
            (b"stream: OK", Err(Malformed)),
            (b"stream: OK\n", Err(Malformed)),
            (b"stream: OK\0stream: X FOUND\0", Err(Malformed)),
            (b"stream: OK\nstream: X FOUND\0", Err(Malformed)),
            (b"stream: ok\0", Err(Malformed)),
            (b" stream: OK\0", Err(Malformed)),
            (b"stream: OK \0", Err(Malformed)),
            (b"stream: NOT OK\0", Err(Malformed)),
            (b"stream:  FOUND\0", Err(Malformed)),
            (b"stream: FOUND\0", Err(Malformed)),
            (b"X FOUND\0", Err(Malformed)),
            (b"UNKNOWN COMMAND\0", Err(Malformed)),
            (b"HTTP/1.1 200 OK\0", Err(Malformed)),
        ];
        for (reply, want) in rows {
            let got = answer(reply);
            let shown = String::from_utf8_lossy(reply);
            match want {
                Ok("") => assert_eq!(got, Answer::Clean, "{shown:?}"),
                Ok(name) => assert_eq!(got, Answer::Found((*name).to_owned()), "{shown:?}"),
                Err(want) => assert_eq!(kind(&got), Some(*want), "{shown:?}"),
            }
        }
    }

    #[test]
    fn a_reply_cut_anywhere_is_no_answer() {
        for whole in [&b"stream: OK\0"[..], b"stream: Local.Test FOUND\0", b"INSTREAM size limit exceeded. ERROR\0"] {
            for cut in 0..whole.len() {
                assert!(matches!(kind(&answer(&whole[..cut])), Some(Unavailable | Malformed)), "{:?}", &whole[..cut]);
            }
        }
    }

    #[test]
    fn versions() {
        let full = version(b"ClamAV 1.4.6/27600/Mon Apr 14 08:30:00 2025\0").unwrap();
        assert_eq!((full.program.as_str(), full.signatures), ("ClamAV 1.4.6", Some(27600)));
        let zoned = full.signature_time.unwrap().to_zoned(TimeZone::system());
        assert_eq!(zoned.datetime(), jiff::civil::date(2025, 4, 14).at(8, 30, 0, 0));
        assert!(full.warnings.is_empty());
        let single = version(b"ClamAV 1.4.6/27600/Tue Apr  1 08:30:00 2025\0").unwrap();
        assert!(single.signature_time.is_some());
        let bare = version(b"ClamAV 1.4.6\0").unwrap();
        assert_eq!((bare.signatures, bare.signature_time, bare.warnings.len()), (None, None, 1));
        for not in [&b""[..], b"ClamAV 1.4.6", b"PONG\0", b"UNKNOWN COMMAND\0", b"220 mail ESMTP\r\n"] {
            assert_eq!(version(not), None);
        }
    }
}
