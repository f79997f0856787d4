//! Ways to make two servers see two ends of one message: none leads to a second message here, and none is handed on.

use bytes::Bytes;

use super::*;
use crate::smtp::encoder::encode;

/// What somebody puts where the data should not end; each has been taken for its end by some server.
const FORMS: [&str; 30] = [
    "\n.\n",
    "\n.\r\n",
    "\n.\r",
    "\r.\r",
    "\r.\r\n",
    "\r.\n",
    "\r\n.\n",
    "\r\n.\r",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\r\r.\r\r",
    "\n\n.\n\n",
    "\n\r.\n\r",
    "\n.\r\r\n",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n.\r\0\n",
    "\r\0\n.\r\n",
    "\r\n.\0\n",
    "\n\0.\n",
    "\n..\n",
    "\r..\r",
    "\n..\r\n",
    "\r\n.\n\r\n",
    "\r\n\r.\r\n",
    "\n\r\n.\n",
    "\r\n.\r\r",
    "\r\r\n.\n",
    "\n\r.\r\n",
    "\r\n .\n",
];
/// What follows it: a second message, as the attacker would have it.
const SECOND: &str = "MAIL FROM:<evil@else.test>\r\nRCPT TO:<victim@ours.test>\r\nDATA\r\nsecond\r\n.\r\n";

fn start(form: &str) -> String {
    format!("EHLO c\r\nMAIL FROM:<a@else.test>\r\nRCPT TO:<a@ours.test>\r\nDATA\r\nfirst{form}{SECOND}QUIT\r\n")
}

fn run_any(terms: &Terms, input: &str) -> Seen {
    let whole = run(terms, &[input.as_bytes()]);
    for cut in 0..=input.len() {
        let (a, b) = input.as_bytes().split_at(cut);
        assert_eq!(run(terms, &[a, b]), whole, "{input:?} cut at {cut}");
    }
    assert_eq!(run(terms, &input.as_bytes().chunks(1).collect::<Vec<_>>()), whole, "{input:?} byte by byte");
    whole
}

#[test]
fn every_form_is_refused_and_nothing_is_read_behind_it() {
    for form in FORMS {
        let seen = run_any(&terms(), &start(form));
        assert_eq!(seen.messages, [], "{form:?}");
        assert_eq!(seen.asked.len(), 1, "{form:?}: the second envelope was never read");
        assert_eq!(seen.faults.len(), 1, "{form:?}");
        assert!(seen.said.contains("\r\n550 5.6.0 message has a "), "{form:?}: {}", seen.said);
        // A NUL alone leaves no doubt where the data ended.
        let bare = form.replace("\r\n", "").contains(['\r', '\n']);
        assert_eq!(seen.end, Some(if bare { End::OddEnds } else { End::Quit }), "{form:?}");
    }
}

/// What each of these lenient readers takes for the end of data.
fn lenient_ends(wire: &[u8]) -> usize {
    let text: String = wire.iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect();
    let lines = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace('\r', "\n");
    format!("\n{lines}").matches("\n.\n").count()
}

#[test]
fn where_line_ends_are_repaired_one_message_goes_on_and_it_has_one_end_for_everybody() {
    let terms = Terms { line_endings: LineEndings::Normalise, ..terms() };
    for form in FORMS {
        let seen = run_any(&terms, &start(form));
        assert_eq!(seen.asked.len(), 1, "{form:?}: the second envelope was never read");
        assert!(seen.messages.len() <= 1, "{form:?}");
        assert_eq!(seen.messages.is_empty(), form.contains('\0'), "{form:?}");
        for (_, _, raw) in &seen.messages {
            let text = String::from_utf8_lossy(raw);
            assert!(text.contains("MAIL FROM:<evil@else.test>"), "{form:?}: it is text of the first message");
            let wire = encode(&[Bytes::from(raw.clone())]).concat();
            assert_eq!(lenient_ends(&wire), 1, "{form:?}: {:?}", wire.escape_ascii().to_string());
            assert!(!String::from_utf8_lossy(&wire).replace("\r\n", "").contains(['\r', '\n']), "{form:?}");
        }
    }
}

#[test]
fn in_chunks_no_form_breaks_out_either() {
    for endings in [LineEndings::Refuse, LineEndings::Normalise] {
        let terms = Terms { line_endings: endings, ..terms() };
        for form in FORMS.into_iter().chain(["\r\n.\r\n", ".\r\n", "\r\n.", "\r\n.\r\nQUIT"]) {
            let body = format!("first{form}{SECOND}");
            let input = format!("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@ours.test>\r\nBDAT {} LAST\r\n{body}QUIT\r\n", body.len());
            let seen = run_any(&terms, &input);
            assert_eq!((seen.asked.len(), seen.end), (1, Some(End::Quit)), "{form:?}");
            for (_, _, raw) in &seen.messages {
                let wire = encode(&[Bytes::from(raw.clone())]).concat();
                assert_eq!(lenient_ends(&wire), 1, "{form:?}: {:?}", wire.escape_ascii().to_string());
            }
        }
    }
}
