//! What is fuzzed: each function eats any bytes, must not panic, and checks what must hold whatever they are.
//!
//! `make fuzz` runs them under libFuzzer (nightly compiler, cargo-fuzz); `tests/fuzz.rs` runs the same functions over the kept seeds
//! and random inputs in `make test`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is a finding")]

use std::panic;
use std::sync::{Arc, Once};

use bytes::{Bytes, BytesMut};
use mail_parser::{Encoding, MessageParser, MessagePart, MimeHeaders, PartType};
use mailweir::content::{self, Limits};
use mailweir::mail::{self, Class, Direction, HopReply, MessageId, Outcome, Place, Recipient};
use mailweir::rewrite::dsn;
use mailweir::smtp::decoder::{DataLimits, Decoder, LineEndings};
use mailweir::smtp::encoder::encode;
use mailweir::smtp::parameters::MailParameters;
use mailweir::smtp::path::ForwardPath;
use mailweir::smtp::reply_reader::ReplyReader;
use mailweir::smtp::session::{Encryption, Session, Step, Terms};
use mailweir::smtp::{Reply, command};
use mailweir::store::Store;

/// Eats any bytes.
pub type Target = fn(&[u8]);

/// Every target with its name, for the driver without libFuzzer.
pub const TARGETS: [(&str, Target); 11] = [
    ("command", command),
    ("data", data),
    ("bdat", bdat),
    ("reply", reply),
    ("dsn", dsn),
    ("journal", journal),
    ("configuration", configuration),
    ("mime", mime),
    ("readings", readings),
    ("sniff", sniff),
    ("reader", reader),
];

/// Commands: one line by itself, and a whole session, cut anywhere.
pub fn command(input: &[u8]) {
    for line in input.split(|byte| *byte == b'\n') {
        let _any = command::parse(line);
    }
    session(b"", input);
}

/// The same with a transaction open, so that chunks come soon (RFC 3030).
pub fn bdat(input: &[u8]) {
    session(b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<ann@ours.test>\r\n", input);
}

/// A session says the same and takes the same messages wherever its input is cut.
fn session(before: &[u8], input: &[u8]) {
    let whole = [before, input].concat();
    let cut = usize::from(input.first().copied().unwrap_or_default()) * 7 % (whole.len() + 1);
    let (left, right) = whole.split_at(cut);
    assert_eq!(converse(&[&whole]), converse(&[left, right]), "cut at {cut}");
    let bytes: Vec<&[u8]> = whole.chunks(1).collect();
    assert_eq!(converse(&[&whole]), converse(&bytes), "byte by byte");
}

fn terms() -> Arc<Terms> {
    Arc::new(Terms {
        hostname: "mx.test".into(),
        data: DataLimits { message_size: 4096, line_length: 512 },
        line_endings: LineEndings::Refuse,
        command_line: 512,
        recipients: 3,
        commands: 200,
        errors: 20,
        refused_recipients: 9,
        messages: 9,
        encryption: Encryption::Off,
        strict_pipelining: false,
    })
}

/// What was said, and the messages that were taken.
fn converse(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Bytes>) {
    let mut session = Session::new(terms());
    let (mut input, mut said, mut messages) = (BytesMut::new(), Vec::new(), Vec::new());
    'pieces: for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let step = session.step(&mut input);
            said.extend(session.take_output());
            match step {
                Step::Read => break,
                Step::Recipient(path) => session.recipient(answer(&path)),
                Step::Data => session.begin_data(MessageId::from_u64(1)),
                Step::Message(received) => {
                    check(&received.raw);
                    messages.push(received.raw);
                    session.settle(&Reply::new(250, (2, 0, 0), "ok"));
                }
                Step::StartTls => session.secured(),
                Step::Refused(_) => {}
                Step::Close(_) => break 'pieces,
            }
        }
    }
    said.extend(session.take_output());
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        assert!(
            line.len() >= 5 && line[..3].iter().all(u8::is_ascii_digit) && line.ends_with(b"\r\n"),
            "{:?}",
            String::from_utf8_lossy(line)
        );
        assert!(!line[..line.len() - 2].iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "a reply within a reply");
    }
    (said, messages)
}

fn answer(path: &ForwardPath) -> Result<Recipient, Reply> {
    match path.address() {
        Some(address) if address.domain_key() == "ours.test" => {
            Ok(Recipient { address: address.clone(), direction: Direction::Inbound, route: "r".into(), dsn: Default::default() })
        }
        _ => Err(Reply::new(550, (5, 7, 1), "no")),
    }
}

/// No message that is taken can be read as two by anybody, and it comes out of DATA as it went in.
fn check(message: &Bytes) {
    let lines = message.split(|byte| *byte == b'\n').count() - 1;
    let crlf = message.windows(2).filter(|two| two == b"\r\n").count();
    let crs = message.iter().filter(|byte| **byte == b'\r').count();
    assert!(lines == crlf && crs == crlf && !message.contains(&0), "a bare CR, LF or NUL");
    let wire: Vec<u8> = encode(std::slice::from_ref(message)).concat();
    let (decoded, taken) = decode(&[&wire], LineEndings::Refuse);
    assert_eq!(taken, Some(wire.len()));
    let whole = if message.is_empty() || message.ends_with(b"\r\n") { message.to_vec() } else { [message, &b"\r\n"[..]].concat() };
    assert_eq!(decoded, whole);
}

fn decode(pieces: &[&[u8]], endings: LineEndings) -> (Vec<u8>, Option<usize>) {
    let mut decoder = Decoder::new(DataLimits { message_size: 1 << 20, line_length: 1 << 20 }, endings);
    let (mut out, mut before) = (BytesMut::new(), 0);
    for piece in pieces {
        if let Some(taken) = decoder.decode(piece, &mut out) {
            return (out.to_vec(), Some(before + taken));
        }
        before += piece.len();
    }
    (out.to_vec(), None)
}

/// The reader of DATA: same result however it is cut, the end only at CRLF.CRLF, nothing in it that others read differently.
pub fn data(input: &[u8]) {
    for endings in [LineEndings::Refuse, LineEndings::Normalise] {
        let whole = decode(&[input], endings);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        assert_eq!(whole, decode(&bytes, endings));
        let (message, end) = whole;
        if let Some(end) = end {
            assert!(&input[..end] == b".\r\n" || input[..end].ends_with(b"\r\n.\r\n"), "it ended elsewhere");
            check(&message.into());
        }
    }
}

/// The reader of a server's replies.
pub fn reply(input: &[u8]) {
    let read = |pieces: &[&[u8]]| {
        let (mut reader, mut replies) = (ReplyReader::default(), Vec::new());
        for piece in pieces {
            reader.buffer().extend_from_slice(piece);
            loop {
                match reader.next_reply() {
                    Ok(Some(reply)) => replies.push(reply.to_hop_reply().to_string()),
                    Ok(None) => break,
                    Err(_) => return replies,
                }
            }
        }
        replies
    };
    let whole = read(&[input]);
    assert!(whole.iter().all(|reply| !reply.contains(['\r', '\n', '\0'])), "a reply with a line end in it");
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(whole, read(&bytes));
}

/// A configuration file: read, or refused with reasons, each at a place in it.
pub fn configuration(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let lines = text.lines().count() + 1;
    for problem in mailweir::setup::check_str(text, "fuzz.toml") {
        assert!(problem.file != "fuzz.toml" || problem.line <= lines, "a place that is not there: {problem}");
        assert!(!problem.to_string().is_empty());
    }
}

/// Limits small enough that a bomb costs the fuzzer little.
fn limits() -> Limits {
    Limits { decoded_bytes: mailweir::mail::units::Size(8 << 20), parts: 300, depth: 20, ..Limits::default() }
}

/// Panics in mail-parser are no findings here: they are caught, and become a finding of ours. Most are assertions of its own that no
/// release build has. libFuzzer's hook would end the process before.
fn spare_theirs() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if info.location().is_none_or(|at| !at.file().contains("/mail-parser-")) {
                hook(info);
            }
        }));
    });
}

/// A message taken apart: a flat list of parts that hold together, within the limits, and no reader that failed.
pub fn mime(input: &[u8]) {
    spare_theirs();
    let raw = Bytes::copy_from_slice(input);
    let limits = limits();
    let message = content::decompose(raw.clone(), &limits);
    assert!(message.raw == raw && message.body_start <= raw.len() && message.parts.len() <= limits.parts + 1);
    for (at, part) in message.parts.iter().enumerate() {
        assert_eq!(part.id.0 as usize, at);
        assert!(part.parent.is_none_or(|parent| (parent.0 as usize) < at), "a part before what holds it");
        assert!(part.parent.is_some() || at == 0 || part.depth > 0 || part.kind != mailweir::mail::PartKind::Message);
        assert!(part.span.is_none_or(|span| span.start <= span.end && span.end <= raw.len()), "a place that is not there");
    }
    let is_ours = |finding: &mail::Finding| finding.code == "content.fault" && finding.evidence != "mail-parser";
    assert!(!message.findings.iter().any(is_ours), "a reader panicked");
}

/// Our reading of a message beside mail-parser's: what it hands out is among what we saw, and an attachment that it hands out is one in
/// our own reading too, or there is a finding that holds the message.
pub fn readings(input: &[u8]) {
    spare_theirs();
    let theirs = panic::catch_unwind(|| MessageParser::default().parse(input));
    let Ok(Some(theirs)) = theirs else { return };
    // Dropping its deeply nested messages recurses; so few bytes cannot nest deep enough to matter.
    if input.len() > 64 << 10 {
        std::mem::forget(theirs);
        return;
    }
    let ours = content::decompose(Bytes::copy_from_slice(input), &limits());
    if ours.findings.iter().any(|finding| matches!(finding.class, Class::CouldNotTell { .. } | Class::Ambiguous)) {
        return;
    }
    let ours = Ours::of(&ours);
    let mut open = vec![&theirs];
    while let Some(message) = open.pop() {
        for part in &message.parts {
            match &part.body {
                PartType::Message(inner) => open.push(inner),
                PartType::Binary(bytes) | PartType::InlineBinary(bytes) => compare(&ours, part, bytes),
                PartType::Text(text) | PartType::Html(text) if text.is_ascii() && is_plain(part) => compare(&ours, part, text.as_bytes()),
                _ => {}
            }
        }
    }
}

/// Whether ASCII is ASCII in a text: in other charsets, what is damaged gives nothing there and a mark here.
fn is_plain(part: &MessagePart) -> bool {
    let charset = part.content_type().and_then(|kind| kind.attribute("charset"));
    charset.is_none_or(|charset| ["us-ascii", "utf-8", "iso-8859-1"].iter().any(|plain| charset.eq_ignore_ascii_case(plain)))
}

/// All that we saw, without blanks, which make no difference.
struct Ours {
    raw: Vec<u8>,
    /// Contents and texts, and whether they belong to our own, most regular reading.
    parts: Vec<(Vec<u8>, bool)>,
}

impl Ours {
    fn of(message: &mail::Message) -> Self {
        let both = |part: &mail::Part| {
            let regular = part.kind != mail::PartKind::Reading;
            let text = part.text.as_ref().map(|text| (essence(text.as_bytes()), regular));
            [Some((essence(&part.data), regular)), text]
        };
        Self { raw: essence(&message.raw), parts: message.parts.iter().flat_map(both).flatten().collect() }
    }
}

/// One leaf of theirs beside all of ours. At the end of base64 that is not whole they leave out a group, or make a byte of a single
/// letter: nothing hides in that.
fn compare(ours: &Ours, part: &MessagePart, bytes: &[u8]) {
    let mut wanted = essence(bytes);
    if part.encoding == Encoding::Base64 {
        wanted.pop();
    }
    let is_in = |data: &[u8]| memchr::memmem::find(data, &wanted).is_some();
    if is_in(&ours.raw) {
        return;
    }
    assert!(ours.parts.iter().any(|(data, _)| is_in(data)), "content that we did not see");
    let named = part.attachment_name().is_some() || part.content_disposition().is_some_and(|said| said.is_attachment());
    let is_same = |data: &[u8]| data.starts_with(&wanted) && data.len() <= wanted.len() + 3;
    let is_ours = || ours.parts.iter().any(|(data, regular)| *regular && is_same(data));
    assert!(!named || part.is_encoding_problem || is_ours(), "an attachment in their reading only, and nothing said of it");
}

/// What remains without white space and control characters.
fn essence(data: &[u8]) -> Vec<u8> {
    data.iter().copied().filter(|c| *c > b' ' && !matches!(c, 0x7f | 0x85)).collect()
}

/// The type of any bytes: one that is a name, and that does not hang on what was asked before.
pub fn sniff(input: &[u8]) {
    let found = content::true_type(input);
    assert!(found.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_'), "{found}");
    assert_eq!(found, content::true_type(input));
    assert!(!input.is_empty() || found.is_empty(), "nothing is of a type");
}

/// What fields may say of bytes: name, type, charset. Readings go by these.
const SAID: [(Option<&str>, &str, &str); 8] = [
    (None, "", ""),
    (Some("word/_rels/a.xml.rels"), "application/xml", "utf-16le"),
    (Some("xl/activeX/a.xml"), "text/xml", "utf-7"),
    (Some("META-INF/manifest.xml"), "application/x-pkcs7-mime", ""),
    (Some("a.html"), "text/html", "cp1047"),
    (Some("a.pdf"), "application/pdf", "iso-2022-jp"),
    (Some("a.tar.lzma"), "application/x-lzma", "hz-gb-2312"),
    (Some("a.pgp"), "application/pgp-encrypted", "utf-8"),
];

/// One reading or container alone (`MAILWEIR_FUZZ_READER` names it, else all of them one after the other), under nothing and under one of
/// the names, types and charsets that readers go by.
pub fn reader(input: &[u8]) {
    let data = Bytes::copy_from_slice(input);
    let only = std::env::var("MAILWEIR_FUZZ_READER").ok().filter(|only| !only.is_empty());
    let names: Vec<&str> =
        content::methods().map(|(name, _)| name).filter(|name| only.as_deref().is_none_or(|only| only == *name)).collect();
    assert!(!names.is_empty(), "no reader is called {only:?}");
    let said = SAID[input.len() % SAID.len()];
    for name in names {
        for said in [Some(said).filter(|_| said.0.is_some()), Some(SAID[0])].into_iter().flatten() {
            let (file, declared, charset) = said;
            let found = content::alone(name, content::Said { name: file, declared, charset }, &data, &limits());
            assert!(found.is_some_and(|found| found <= limits().parts), "{name}");
        }
    }
}

/// What recovery makes of a segment of the journal that holds anything: entries, each with its bytes, or damage; never a panic.
pub fn journal(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    std::fs::create_dir_all(&journal).unwrap();
    std::fs::write(folder.path().join("lock"), b"").unwrap();
    std::fs::write(journal.join("00000001.seg"), input).unwrap();
    let (store, _recovery) = Store::open_read_only(folder.path(), &Default::default()).expect("whatever it holds, the store opens");
    for place in [Place::Spool, Place::Quarantine] {
        for entry in store.list(place, |_| true, usize::MAX) {
            assert_eq!((entry.place, store.get(place, entry.id).map(|entry| entry.id)), (place, Some(entry.id)));
        }
    }
}

/// What a sender asks about notifications, and the notification that it gets: whatever stands in request, reply and message, what
/// comes out is one message of three parts that others read as such.
pub fn dsn(input: &[u8]) {
    let mut pieces = input.splitn(5, |byte| *byte == 0).map(|piece| String::from_utf8_lossy(piece).into_owned());
    let mut next = || pieces.next().unwrap_or_default();
    let (mail, rcpt, said, address, message) = (next(), next(), next(), next(), next());
    let Ok(request) = MailParameters::parse(&mail) else { return };
    let recipient_request = match command::parse(format!("RCPT TO:<b@b.example> {rcpt}").as_bytes()) {
        Ok(command::Command::Rcpt(_, request)) => request,
        _ => return,
    };
    let (Ok(recipient), Ok(to)) = (address.parse().or_else(|_| "b@b.example".parse()), "a@a.example".parse()) else { return };
    let reply = HopReply { code: 550, enhanced: said.split(' ').next().map(str::to_owned), text: said.clone() };
    let outcome = Outcome::Refused { hop: said.chars().take(20).collect(), reply };
    let at = "2026-11-05T09:08:07Z".parse().unwrap();
    let subject = dsn::Subject {
        recipient,
        orcpt: recipient_request.orcpt,
        outcome: Some(outcome),
        why: dsn::Why::Said,
        tried: Some(at),
        until: None,
    };
    for action in [dsn::Action::Failed, dsn::Action::Delayed, dsn::Action::Relayed] {
        let written = dsn::notification(&dsn::DsnInput {
            id: MessageId::from_u64(1),
            hostname: "mx.example",
            to: &to,
            now: at,
            original: MessageId::from_u64(2),
            arrived: at,
            request: &request.dsn,
            action,
            about: std::slice::from_ref(&subject),
            raw: message.as_bytes(),
        });
        let parsed = MessageParser::default().parse(&written.bytes[..]).expect("a message");
        assert!(parsed.content_type().is_some_and(|kind| kind.ctype() == "multipart"), "no report");
        assert_eq!(
            parsed.part(0).and_then(|root| root.sub_parts()).map(<[u32]>::len),
            Some(3),
            "{}",
            String::from_utf8_lossy(&written.bytes)
        );
        let own = written.bytes.len() - message.len().min(written.bytes.len());
        assert!(own < 100_000, "it grew");
    }
}
