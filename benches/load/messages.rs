//! The messages that are sent: the same in every run, prepared once as they go over the wire.

use std::sync::Arc;

/// One message with its envelope, ready to be written.
pub struct Prepared {
    /// MAIL, RCPT and DATA, pipelined.
    pub envelope: Vec<u8>,
    /// The message, dots doubled, with the lone dot at its end.
    pub data: Vec<u8>,
}

/// A named set of messages, sent one after the other and over again.
#[derive(Clone)]
pub struct Set {
    pub name: &'static str,
    pub messages: Arc<[Prepared]>,
}

impl Set {
    fn new(name: &'static str, messages: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { name, messages: messages.into_iter().map(|message| prepare(&message)).collect() }
    }

    /// Texts of 4 KiB.
    pub fn small() -> Self {
        Self::new("4 KiB", [text(4 << 10, 0)])
    }

    /// A hundred messages as mail comes: mostly small texts, some with attachments; mean about 22 KiB.
    pub fn mix() -> Self {
        let messages = (0..100).map(|seed| match seed % 50 {
            0 => attachment(400 << 10, seed),
            1..=4 => attachment(100 << 10, seed),
            5..=14 => text(18 << 10, seed),
            _ => text(3 << 10, seed),
        });
        Self::new("mix", messages)
    }

    /// One message with an attachment, of this many MiB in all.
    pub fn large(name: &'static str, mebibytes: usize) -> Self {
        Self::new(name, [attachment(mebibytes << 20, 1)])
    }

    /// One message with the EICAR test file as its attachment.
    pub fn virus() -> Self {
        let mut text = head("virus", "v0", "multipart/mixed; boundary=b");
        text.push_str("--b\r\nContent-Type: text/plain\r\n\r\nPlease find the file attached.\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=file.com\r\n\r\n");
        let mut text = text.into_bytes();
        text.extend(mailweir::cli::demo::clamd::eicar());
        text.extend(b"\r\n--b--\r\n");
        Self::new("virus", [text])
    }

    /// Bytes of all messages by their number.
    pub fn mean(&self) -> f64 {
        self.messages.iter().map(|message| message.data.len()).sum::<usize>() as f64 / self.messages.len() as f64
    }
}

fn prepare(message: &[u8]) -> Prepared {
    let mut data = Vec::with_capacity(message.len() + 64);
    let mut line_start = true;
    for &byte in message {
        if line_start && byte == b'.' {
            data.push(b'.');
        }
        data.push(byte);
        line_start = byte == b'\n';
    }
    assert!(line_start, "it ends with a whole line");
    data.extend_from_slice(b".\r\n");
    let size = message.len();
    let envelope = format!("MAIL FROM:<ann@partner.example> SIZE={size}\r\nRCPT TO:<bob@groupwise.example>\r\nDATA\r\n").into_bytes();
    Prepared { envelope, data }
}

fn head(subject: &str, id: &str, content_type: &str) -> String {
    format!(
        "From: ann@partner.example\r\nTo: bob@groupwise.example\r\nSubject: {subject}\r\nMessage-ID: <{id}@partner.example>\r\n\
         Date: Mon, 02 Nov 2026 09:15:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: {content_type}\r\n\r\n"
    )
}

/// A text message of about `size` bytes; `seed` makes it differ.
fn text(size: usize, seed: usize) -> Vec<u8> {
    const WORDS: [&str; 15] =
        ["minutes", "of", "the", "meeting", "on", "Monday", "about", "budget", "rooms", "and", "the", "next", "steps", "for", "everybody"];
    let mut text = head(&format!("message {seed}"), &seed.to_string(), "text/plain; charset=utf-8");
    let mut state = seed as u64 + 1;
    while text.len() < size {
        for _ in 0..10 {
            text.push_str(WORDS[random(&mut state) as usize % WORDS.len()]);
            text.push(' ');
        }
        text.push_str("\r\n");
    }
    text.into_bytes()
}

/// A message with an attachment, of about `size` bytes, most of them base64.
fn attachment(size: usize, seed: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = head(&format!("file {seed}"), &format!("f{seed}"), "multipart/mixed; boundary=b");
    text.push_str("--b\r\nContent-Type: text/plain\r\n\r\nPlease find the file attached.\r\n--b\r\nContent-Type: image/jpeg; name=picture.jpg\r\nContent-Disposition: attachment; filename=picture.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    let mut text = text.into_bytes();
    let mut state = seed as u64 + 1;
    let mut start: &[u8] = b"/9j/4AAQ";
    while text.len() + 90 < size {
        text.extend_from_slice(start);
        text.extend((start.len()..76).map(|_| LETTERS[random(&mut state) as usize % 64]));
        text.extend_from_slice(b"\r\n");
        start = b"";
    }
    text.extend_from_slice(b"--b--\r\n");
    text
}

/// A linear congruential generator: the same messages in every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}
