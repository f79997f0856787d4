//! Command lines out of a stream of bytes (RFC 5321 section 2.3.8): they end at CRLF and at nothing else.

use bytes::{Buf, BytesMut};
use memchr::memchr;

/// Takes lines from the front of a buffer that the connection fills.
#[derive(Debug, Clone)]
pub struct Lines {
    limit: usize,
    /// The line at the front is longer than the limit; its bytes are thrown away up to its end.
    overlong: bool,
    /// That line began as BDAT does.
    overlong_chunk: bool,
    /// The line before ended at a bare LF, so this one began inside a line and is not taken either.
    broken: bool,
}

/// Why a line is not a command line. The bytes up to the next LF are gone; the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// An LF without CR before it, in this line or at the end of the line before it.
    BareLf,
    /// A CR without LF after it.
    BareCr,
    /// NUL, TAB or another control character.
    Control,
    /// Longer than the limit.
    TooLong {
        /// Octets allowed, CRLF included.
        limit: usize,
    },
    /// Any of these in a line that begins as BDAT does. What follows it may be octets of a message, and nobody can tell
    /// how many: nothing more may be read as a command.
    Chunk,
}

/// Whether a line asks for octets behind it (RFC 3030), or nearly does.
pub fn is_chunk(line: &[u8]) -> bool {
    line.get(..4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"BDAT"))
}

impl Lines {
    /// `limit` counts the CRLF (RFC 5321 section 4.5.3.1.4 asks for at least 512).
    pub fn new(limit: usize) -> Self {
        Self { limit, overlong: false, overlong_chunk: false, broken: false }
    }

    /// The next line without its CRLF; `None` when its end has not come yet. Of a line that is too long nothing is kept.
    ///
    /// A client that ends its lines at bare LF hears of it at once, since an LF ends the search; but nothing is
    /// taken as a command until a CRLF has ended the broken line, so that no command hides behind an LF.
    pub fn next(&mut self, input: &mut BytesMut) -> Option<Result<BytesMut, LineFault>> {
        let Some(end) = memchr(b'\n', input) else {
            if !self.overlong && input.len() > self.limit {
                (self.overlong, self.overlong_chunk) = (true, is_chunk(input));
            }
            if self.overlong {
                input.advance(input.len().saturating_sub(1)); // the last byte may be the CR of the line's end
            }
            return None;
        };
        let mut line = input.split_to(end + 1);
        let chunk = std::mem::take(&mut self.overlong_chunk) || !self.overlong && is_chunk(&line);
        let fault = self.fault(&line);
        line.truncate(line.len().saturating_sub(2));
        Some(match fault {
            Some(_) if chunk => Err(LineFault::Chunk),
            Some(fault) => Err(fault),
            None => Ok(line),
        })
    }

    /// What is wrong with a line that has come to its LF.
    fn fault(&mut self, line: &[u8]) -> Option<LineFault> {
        let overlong = std::mem::take(&mut self.overlong) || line.len() > self.limit;
        let whole = line.strip_suffix(b"\r\n");
        let broken = std::mem::replace(&mut self.broken, whole.is_none());
        let Some(text) = whole.filter(|_| !broken) else { return Some(LineFault::BareLf) };
        if overlong {
            return Some(LineFault::TooLong { limit: self.limit });
        }
        text.iter().find(|byte| byte.is_ascii_control()).map(|byte| if *byte == b'\r' { LineFault::BareCr } else { LineFault::Control })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` in two pieces, and byte by byte, and checks that the lines are the same wherever it is cut.
    fn lines(input: &[u8], limit: usize) -> Vec<Result<String, LineFault>> {
        let run = |pieces: &[&[u8]]| {
            let (mut reader, mut buffer, mut seen) = (Lines::new(limit), BytesMut::new(), Vec::new());
            for piece in pieces {
                buffer.extend_from_slice(piece);
                while let Some(line) = reader.next(&mut buffer) {
                    seen.push(line.map(|line| String::from_utf8_lossy(&line).into_owned()));
                }
                assert!(buffer.len() <= limit, "an unfinished line is bounded");
            }
            seen
        };
        let whole = run(&[input]);
        for cut in 0..=input.len() {
            let (a, b) = input.split_at(cut);
            assert_eq!(run(&[a, b]), whole, "{input:?} cut at {cut}");
        }
        assert_eq!(run(&input.chunks(1).collect::<Vec<_>>()), whole, "{input:?} byte by byte");
        whole
    }

    #[test]
    fn lines_end_at_crlf_only() {
        use LineFault::{BareCr, BareLf, Chunk, Control, TooLong};
        let ok = |text: &str| Ok(text.to_owned());
        type Row<'a> = (&'a [u8], Vec<Result<String, LineFault>>);
        let rows: &[Row<'_>] = &[
            (b"", vec![]),
            (b"NOOP", vec![]),
            (b"NOOP\r", vec![]),
            (b"NOOP\r\n", vec![ok("NOOP")]),
            (b"\r\n", vec![ok("")]),
            (b"A\r\nB\r\nC", vec![ok("A"), ok("B")]),
            (b"NOOP\n", vec![Err(BareLf)]),
            (b"\n", vec![Err(BareLf)]),
            // What follows a bare LF is refused too, until a CRLF ends it.
            (b"A\nQUIT\r\nNOOP\r\n", vec![Err(BareLf), Err(BareLf), ok("NOOP")]),
            (b"A\nB\nC\r\nD\r\n", vec![Err(BareLf), Err(BareLf), Err(BareLf), ok("D")]),
            (b"A\rB\r\nC\r\n", vec![Err(BareCr), ok("C")]),
            (b"A\r\r\nC\r\n", vec![Err(BareCr), ok("C")]),
            (b"A\0B\r\nC\r\n", vec![Err(Control), ok("C")]),
            (b"A\tB\r\n", vec![Err(Control)]),
            (b"0123456789AB\r\nC\r\n", vec![Err(TooLong { limit: 12 }), ok("C")]),
            (b"0123456789\r\nC\r\n", vec![ok("0123456789"), ok("C")]),
            (b"0123456789012345678901234567890123456789\r\nC\r\n", vec![Err(TooLong { limit: 12 }), ok("C")]),
            (b"0123456789012345678901234567890123456789\nC\r\n", vec![Err(BareLf), Err(BareLf)]),
            (b"BDAT 1\r\n", vec![ok("BDAT 1")]),
            (b"BDAT 1\n", vec![Err(Chunk)]),
            (b"bdat\t1\r\n", vec![Err(Chunk)]),
            (b"BDAT\r1\r\n", vec![Err(Chunk)]),
            (b"BDAT 0123456789\r\n", vec![Err(Chunk)]),
            (b"BDAT 012345678901234567890123456789\r\nC\r\n", vec![Err(Chunk), ok("C")]),
            ("MAIL é\r\n".as_bytes(), vec![ok("MAIL é")]),
        ];
        for (input, want) in rows {
            assert_eq!(&lines(input, 12), want, "{input:?}");
        }
    }
}
