//! The writer of DATA: dot-stuffing and nothing else (RFC 5321 section 4.5.2).
//!
//! A dot is doubled at the very start and after CRLF; after a bare CR or LF it is text. What the receiver decodes is
//! byte for byte what was put in; only a message that does not end in CRLF gains one, because the end of data needs it.

use bytes::{Bytes, BytesMut};
use memchr::memmem::Finder;

/// Pieces shorter than this (in bytes) are copied together, so that a message full of dots stays linear in time and memory.
const COPY_BELOW: usize = 1024;
/// A run of copied pieces is handed out at this size, in bytes.
const CHUNK: usize = 32 * 1024;

/// Turns a message, given in slices, into the slices that go over the wire, end of data included.
///
/// It is lazy: beyond the message it holds at most one copied run of some 33 KiB. Long stretches without a dot to
/// double are handed out as they are, uncopied.
#[derive(Debug)]
pub struct Encoder<'a> {
    slices: std::slice::Iter<'a, Bytes>,
    current: Bytes,
    line: Line,
    finder: Finder<'static>,
    copied: BytesMut,
    next: Option<Bytes>,
    stage: Stage,
}

/// Where in a line we stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// At the start of the message or after CRLF: a dot here is doubled.
    Start,
    /// After a CR that may be followed by LF.
    Cr,
    /// Anywhere else, also just before a dot whose double was written.
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Body,
    End,
    Done,
}

impl<'a> Encoder<'a> {
    /// An encoder of the message that the slices make up together.
    pub fn new(slices: &'a [Bytes]) -> Self {
        Self {
            slices: slices.iter(),
            current: Bytes::new(),
            line: Line::Start,
            finder: Finder::new(b"\r\n."),
            copied: BytesMut::new(),
            next: None,
            stage: Stage::Body,
        }
    }

    /// Whether only the end of data is left. It belongs into the same write as what came before it: a last packet of
    /// three bytes would wait for the receiver's delayed acknowledgement.
    pub fn is_at_end(&self) -> bool {
        self.stage == Stage::End
            || (self.stage == Stage::Body && self.current.is_empty() && self.slices.as_slice().iter().all(Bytes::is_empty))
    }

    /// The next piece of the body: up to and including a dot to double (the next piece begins with the same dot), or all that is left.
    fn piece(&mut self) -> Option<Bytes> {
        while self.current.is_empty() {
            self.current = self.slices.next()?.clone();
        }
        match self.dot() {
            Some(dot) => {
                let piece = self.current.slice(..=dot);
                self.current = self.current.slice(dot..);
                self.line = Line::Text;
                Some(piece)
            }
            None => {
                let piece = std::mem::take(&mut self.current);
                self.line = match (&piece[..], self.line) {
                    ([.., b'\r', b'\n'], _) | (b"\n", Line::Cr) => Line::Start,
                    ([.., b'\r'], _) => Line::Cr,
                    _ => Line::Text,
                };
                Some(piece)
            }
        }
    }

    /// The place of the next dot to double in the current slice.
    fn dot(&self) -> Option<usize> {
        match (self.line, &self.current[..]) {
            (Line::Start, [b'.', ..]) => Some(0),
            (Line::Cr, [b'\n', b'.', ..]) => Some(1),
            (_, text) => self.finder.find(text).map(|at| at + 2),
        }
    }

    fn end(&self) -> &'static [u8] {
        if self.line == Line::Start { b".\r\n" } else { b"\r\n.\r\n" }
    }

    fn take_copied(&mut self) -> Bytes {
        self.copied.split().freeze()
    }
}

impl Iterator for Encoder<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        while self.stage == Stage::Body {
            match self.piece() {
                Some(piece) if piece.len() >= COPY_BELOW => {
                    if self.copied.is_empty() {
                        return Some(piece);
                    }
                    self.next = Some(piece);
                    return Some(self.take_copied());
                }
                Some(piece) => {
                    self.copied.extend_from_slice(&piece);
                    if self.copied.len() >= CHUNK {
                        return Some(self.take_copied());
                    }
                }
                None => self.stage = Stage::End,
            }
        }
        if self.stage == Stage::Done {
            return None;
        }
        self.stage = Stage::Done;
        self.copied.extend_from_slice(self.end());
        Some(self.take_copied())
    }
}

/// All slices at once, for short messages and tests.
pub fn encode(slices: &[Bytes]) -> Vec<Bytes> {
    Encoder::new(slices).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A receiver written from RFC 5321 section 4.5.2 alone: the message, and whether the data ended exactly at the end.
    fn decode(wire: &[u8]) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        let mut rest = wire;
        loop {
            let end = rest.windows(2).position(|pair| pair == b"\r\n")? + 2;
            let (line, after) = rest.split_at(end);
            if line == b".\r\n" {
                return after.is_empty().then_some(message);
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
            rest = after;
        }
    }

    fn wire(slices: &[Bytes]) -> Vec<u8> {
        encode(slices).concat()
    }

    fn check(message: &[u8], slices: &[Bytes]) {
        let mut want = message.to_vec();
        if !(want.is_empty() || want.ends_with(b"\r\n")) {
            want.extend_from_slice(b"\r\n");
        }
        let wire = wire(slices);
        assert_eq!(decode(&wire), Some(want), "{:?} became {:?}", message.escape_ascii().to_string(), wire.escape_ascii().to_string());
    }

    #[test]
    fn on_the_wire() {
        for (message, want) in [
            ("", ".\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            ("a", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("..\r\n", "...\r\n.\r\n"),
            ("a\r\n.b\r\n", "a\r\n..b\r\n.\r\n"),
            ("a\r\n.\r\n.\r\n", "a\r\n..\r\n..\r\n.\r\n"),
            ("a\n.b\r.c.d\r\n", "a\n.b\r.c.d\r\n.\r\n"),
            ("a\r", "a\r\r\n.\r\n"),
            ("a\r\n\r\n", "a\r\n\r\n.\r\n"),
        ] {
            assert_eq!(String::from_utf8(wire(&[Bytes::from_static(message.as_bytes())])).unwrap(), want, "{message:?}");
        }
    }

    #[test]
    fn cut_at_every_boundary() {
        for message in [".a\r\n.b\r\n..\r\n\r\n.", "\r\n.\r\n\r.\n.\r\n", ".\r\n", "x\r\r\n.\r\n"] {
            let whole = Bytes::copy_from_slice(message.as_bytes());
            for first in 0..=whole.len() {
                for second in first..=whole.len() {
                    check(&whole, &[whole.slice(..first), whole.slice(first..second), whole.slice(second..)]);
                }
            }
            let bytes: Vec<Bytes> = (0..whole.len()).map(|at| whole.slice(at..=at)).collect();
            check(&whole, &bytes);
        }
    }

    #[test]
    fn long_stretches_are_not_copied_and_dots_stay_linear() {
        let body = Bytes::from(vec![b'x'; 1 << 20]);
        let slices = encode(&[Bytes::from_static(b"Trace: 1\r\n"), body.clone()]);
        assert_eq!(slices.len(), 3);
        assert_eq!(slices[1].as_ptr(), body.as_ptr());
        let dots = Bytes::from(b".\r\n".repeat(400_000));
        let pieces = encode(std::slice::from_ref(&dots));
        assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), 400_000 * 4 + 3);
        assert!(pieces.len() < 100, "{} pieces", pieces.len());
    }

    #[test]
    fn the_end_is_announced() {
        let body = Bytes::from(vec![b'x'; 5000]);
        let slices = [body, Bytes::new()];
        let mut encoder = Encoder::new(&slices);
        assert!(!encoder.is_at_end());
        assert_eq!(encoder.next().map(|piece| piece.len()), Some(5000));
        assert!(encoder.is_at_end());
        assert_eq!(encoder.next().as_deref(), Some(&b"\r\n.\r\n"[..]));
        assert!(encoder.next().is_none() && !encoder.is_at_end());
    }

    proptest! {
        #[test]
        fn bytes_in_are_bytes_out(
            pieces in prop::collection::vec(prop::sample::select(vec!["\r", "\n", ".", "a", "\r\n", "\r\n.", "\r\n.\r\n", ""]), 0..60),
            long in 0usize..3000,
        ) {
            let mut slices: Vec<Bytes> = pieces.iter().map(|piece| Bytes::from_static(piece.as_bytes())).collect();
            slices.insert(slices.len() / 2, Bytes::from(vec![b'y'; long]));
            let message = slices.concat();
            check(&message, &slices);
            check(&message, &[Bytes::from(message.clone())]);
        }
    }
}
