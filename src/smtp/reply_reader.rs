//! The reader of a server's replies (RFC 5321 section 4.2): bytes in, whole replies out, as many as were pipelined.
//!
//! Lenient about the text, which may be missing or not ASCII; strict about the three digits and about sizes, because
//! what follows rests on them.

use bytes::BytesMut;

use crate::mail::HopReply;

/// The longest line taken, in bytes. RFC 5321 section 4.5.3.1.5 says 512; long explanations are in use.
const MAX_LINE: usize = 2048;
/// The most lines in one reply.
const MAX_LINES: usize = 128;
/// Free space offered to one read, in bytes.
const ROOM: usize = 1024;
/// The longest text of a [`HopReply`], in bytes.
const MAX_TEXT: usize = 512;

/// One reply of a server, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerReply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The text of each line without the code; control characters replaced. At least one, which may be empty.
    pub lines: Vec<String>,
}

impl ServerReply {
    /// 2yz.
    pub fn is_success(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The reply as records keep it: enhanced code apart, lines joined by a blank, at most 512 bytes.
    pub fn to_hop_reply(&self) -> HopReply {
        let enhanced = self.lines.first().and_then(|line| enhanced(line, self.code));
        let mut text = String::new();
        for line in &self.lines {
            let rest = enhanced.and_then(|code| line.strip_prefix(code)).unwrap_or(line).trim();
            if !rest.is_empty() {
                text.push_str(if text.is_empty() { "" } else { " " });
                text.push_str(rest);
            }
        }
        text.truncate(text.floor_char_boundary(MAX_TEXT));
        HopReply { code: self.code, enhanced: enhanced.map(str::to_owned), text }
    }
}

/// Why a server's bytes are no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// A line does not begin with three digits and a blank, a hyphen or its end.
    #[error("the server sent something that is no SMTP reply: {0:?}")]
    NotAReply(String),
    /// The lines of one reply bear different codes.
    #[error("the server sent a reply with two codes, {0} and {1}")]
    TwoCodes(u16, u16),
    /// A line is longer than 2,048 bytes.
    #[error("the server sent a reply line of more than {MAX_LINE} bytes")]
    LongLine,
    /// A reply has more than 128 lines.
    #[error("the server sent a reply of more than {MAX_LINES} lines")]
    ManyLines,
}

/// Collects bytes until they are replies.
#[derive(Debug, Default)]
pub struct ReplyReader {
    buffer: BytesMut,
    code: u16,
    lines: Vec<String>,
}

impl ReplyReader {
    /// The buffer to read into. Take all replies out with [`Self::next_reply`] before reading more; then it stays small.
    pub fn buffer(&mut self) -> &mut BytesMut {
        // Without room, reading into it would go on in pieces of 64 bytes.
        self.buffer.reserve(ROOM);
        &mut self.buffer
    }

    /// Whether nothing is left over: required before STARTTLS, or somebody slipped text in front of the encrypted stream.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty() && self.lines.is_empty()
    }

    /// The next whole reply, or `None` if more bytes are needed. After a fault the connection is of no more use.
    pub fn next_reply(&mut self) -> Result<Option<ServerReply>, ReplyFault> {
        while let Some(end) = memchr::memchr(b'\n', &self.buffer) {
            if end > MAX_LINE {
                return Err(ReplyFault::LongLine);
            }
            let line = self.buffer.split_to(end + 1);
            if self.line(&line)? {
                return Ok(Some(ServerReply { code: self.code, lines: std::mem::take(&mut self.lines) }));
            }
        }
        if self.buffer.len() > MAX_LINE { Err(ReplyFault::LongLine) } else { Ok(None) }
    }

    /// Takes one line; true if it was the last of its reply.
    fn line(&mut self, line: &[u8]) -> Result<bool, ReplyFault> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let not_a_reply = || ReplyFault::NotAReply(printable(line).chars().take(60).collect());
        let (digits, rest) = line.split_at_checked(3).ok_or_else(not_a_reply)?;
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(not_a_reply()),
        };
        let code = match digits {
            [a @ b'2'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                100 * u16::from(a - b'0') + 10 * u16::from(b - b'0') + u16::from(c - b'0')
            }
            _ => return Err(not_a_reply()),
        };
        if !self.lines.is_empty() && code != self.code {
            return Err(ReplyFault::TwoCodes(self.code, code));
        }
        if self.lines.len() == MAX_LINES {
            return Err(ReplyFault::ManyLines);
        }
        self.code = code;
        self.lines.push(printable(text));
        Ok(last)
    }
}

/// Text for records and terminals: invalid UTF-8, control characters and direction overrides become `?`.
fn printable(text: &[u8]) -> String {
    let hidden =
        |c: char| c.is_control() || matches!(c, '\u{FFFD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| {
            if c == '\t' {
                ' '
            } else if hidden(c) {
                '?'
            } else {
                c
            }
        })
        .collect()
}

/// The enhanced status code (RFC 2034) at the start of a line, if its class is that of the reply.
fn enhanced(line: &str, code: u16) -> Option<&str> {
    let word = line.split(' ').next()?;
    let mut numbers = word.split('.');
    let class = numbers.next()?;
    let number = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let fits = class.len() == 1
        && class.parse() == Ok(code / 100)
        && number(numbers.next()?)
        && number(numbers.next()?)
        && numbers.next().is_none();
    fits.then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reply in `input`, fed in pieces of `size`; a fault ends the list.
    fn read(input: &[u8], size: usize) -> Vec<Result<String, ReplyFault>> {
        let mut reader = ReplyReader::default();
        let mut out = Vec::new();
        for piece in input.chunks(size) {
            reader.buffer().extend_from_slice(piece);
            loop {
                match reader.next_reply() {
                    Ok(Some(reply)) => out.push(Ok(format!("{}/{}", reply.to_hop_reply(), reply.lines.len()))),
                    Ok(None) => break,
                    Err(fault) => {
                        out.push(Err(fault));
                        return out;
                    }
                }
            }
        }
        out
    }

    #[test]
    fn replies_cut_at_every_byte() {
        let rows: &[(&[u8], &[&str])] = &[
            (b"250 ok\r\n", &["250 ok/1"]),
            (b"250\r\n", &["250 /1"]),
            (b"250 \n", &["250 /1"]),
            (b"250-a\r\n250-\r\n250 b\r\n", &["250 a b/3"]),
            (b"250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n", &["250 2.1.0 ok/1", "250 2.1.5 ok/1", "354 go/1"]),
            (b"550-5.1.1 no such\r\n550 5.1.1 user\r\n", &["550 5.1.1 no such user/2"]),
            (b"550 5.1.1\r\n", &["550 5.1.1 /1"]),
            (b"550 4.1.1 odd class\r\n", &["550 4.1.1 odd class/1"]),
            (b"250 2.1.0.5 not one\r\n", &["250 2.1.0.5 not one/1"]),
            (b"451 caf\xe9 \x1b[31m\ttab\r\n", &["451 caf? ?[31m tab/1"]),
            ("451 höflich\r\n".as_bytes(), &["451 höflich/1"]),
            (b"250 unfinished", &[]),
            (b"250-unfinished\r\n", &[]),
        ];
        for (input, want) in rows {
            for size in 1..=input.len() {
                let got: Vec<String> = read(input, size).into_iter().map(Result::unwrap).collect();
                assert_eq!(got, *want, "{} in pieces of {size}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn what_is_no_reply() {
        let long = [b"250 ".as_slice(), &[b'x'; 3000], b"\r\n"].concat();
        let many = b"250-x\r\n".repeat(MAX_LINES + 1);
        type Row<'a> = (&'a [u8], fn(&ReplyFault) -> bool);
        let rows: &[Row<'_>] = &[
            (b"\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"25\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"2500 x\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"150 x\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"650 x\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"2\xb50 x\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"250:x\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"HTTP/1.1 400 Bad Request\r\n", |fault| matches!(fault, ReplyFault::NotAReply(_))),
            (b"250-a\r\n550 b\r\n", |fault| *fault == ReplyFault::TwoCodes(250, 550)),
            (&long, |fault| *fault == ReplyFault::LongLine),
            (&many, |fault| *fault == ReplyFault::ManyLines),
        ];
        for (input, want) in rows {
            for size in [1, 2, 3, 100, input.len()] {
                let got = read(input, size);
                assert!(matches!(&got[..], [Err(fault)] if want(fault)), "{} gave {got:?}", input.escape_ascii());
            }
        }
    }

    #[test]
    fn texts_are_bounded() {
        let mut reader = ReplyReader::default();
        for _ in 0..3 {
            reader.buffer().extend_from_slice(format!("550-{}\r\n", "ü".repeat(300)).as_bytes());
        }
        reader.buffer().extend_from_slice(b"550 end\r\n250 next");
        let reply = reader.next_reply().unwrap().unwrap().to_hop_reply();
        assert!(reply.text.len() <= MAX_TEXT && reply.text.len() > MAX_TEXT - 4);
        assert!(!reader.is_empty());
    }
}
