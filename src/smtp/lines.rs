//! Command lines out of a stream of bytes (RFC 5321 section 2.3.8): they end at CRLF and at nothing else.

use bytes::{Buf, BytesMut};
use memchr::memchr;

/// Takes lines from the front of a buffer that the connection fills.
#[derive(Debug, Clone)]
pub struct Lines {
    limit: usize,
    /// The line at the front is longer than the limit; its bytes are thrown away up to its end.
    overlong: bool,
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
}

impl Lines {
    /// `limit` counts the CRLF (RFC 5321 section 4.5.3.1.4 asks for at least 512).
    pub fn new(limit: usize) -> Self {
        Self { limit, overlong: false, broken: false }
    }

    /// The next line without its CRLF; `None` when its end has not come yet. Of a line that is too long nothing is kept.
    ///
    /// A client that ends its lines at bare LF hears of it at once, since an LF ends the search; but nothing is
    /// taken as a command until a CRLF has ended the broken line, so that no command hides behind an LF.
    pub fn next(&mut self, input: &mut BytesMut) -> Option<Result<BytesMut, LineFault>> {
        let Some(end) = memchr(b'\n', input) else {
            self.overlong |= input.len() > self.limit;
            if self.overlong {
                input.advance(input.len().saturating_sub(1)); // the last byte may be the CR of the line's end
            }
            return None;
        };
        let mut line = input.split_to(end + 1);
        let overlong = std::mem::take(&mut self.overlong) || line.len() > self.limit;
        let whole = line.ends_with(b"\r\n");
        let broken = std::mem::replace(&mut self.broken, !whole);
        if !whole || broken {
            return Some(Err(LineFault::BareLf));
        }
        if overlong {
            return Some(Err(LineFault::TooLong { limit: self.limit }));
        }
        line.truncate(line.len().saturating_sub(2));
        Some(match line.iter().find(|byte| byte.is_ascii_control()) {
            Some(b'\r') => Err(LineFault::BareCr),
            Some(_) => Err(LineFault::Control),
            None => Ok(line),
        })
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
        use LineFault::{BareCr, BareLf, Control, TooLong};
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
            ("MAIL é\r\n".as_bytes(), vec![ok("MAIL é")]),
        ];
        for (input, want) in rows {
            assert_eq!(&lines(input, 12), want, "{input:?}");
        }
    }
}
