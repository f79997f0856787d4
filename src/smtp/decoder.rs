//! The reader of DATA (RFC 5321 section 4.5.2): finds the end, takes away stuffed dots, and refuses line ends that others
//! might read differently. The chunks of BDAT (RFC 3030) go through it too: there a dot means nothing, and the end is told.
//!
//! The data ends at CRLF `.` CRLF and at nothing else; a server that also takes LF `.` LF, or CR LF `.` CR CR LF, lets a
//! client hide a second message in the first ("smuggling"). A message with a fault is read to its true end all the same:
//! what follows must not be taken for commands.

use bytes::BytesMut;
use memchr::memchr3;
use serde::{Deserialize, Serialize};

/// What becomes of a CR or LF that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEndings {
    /// The message is refused, and the reply says where it stands.
    #[default]
    Refuse,
    /// It becomes CRLF, and that is recorded: for known old devices that cannot do better. CRs in front of an LF are one
    /// line end. The end of the data is still CRLF `.` CRLF only: a dot after a repaired line end is text, and of two dots
    /// the first counts as stuffed, since a device that ends its lines there doubles its dots there.
    Normalise,
}

/// Limits of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataLimits {
    /// Octets of the whole message, dots unstuffed.
    pub message_size: u64,
    /// Octets of one line, without its line end.
    pub line_length: u64,
}

/// Why a message cannot be taken. The first one counts; lines are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFault {
    /// A CR without LF after it.
    BareCr {
        /// Where.
        line: u64,
    },
    /// An LF without CR before it.
    BareLf {
        /// Where.
        line: u64,
    },
    /// A NUL byte (RFC 5321 section 4.5.2 has none; many mail programs end a text there).
    Nul {
        /// Where.
        line: u64,
    },
    /// A line longer than the limit.
    LineTooLong {
        /// Which.
        line: u64,
        /// The limit, in octets.
        limit: u64,
    },
    /// The message is larger than the limit.
    TooBig {
        /// The limit, in octets.
        limit: u64,
    },
    /// There was no memory for it; the client may try again later.
    NoMemory,
}

impl DataFault {
    /// One word, for metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BareCr { .. } => "bare_cr",
            Self::BareLf { .. } => "bare_lf",
            Self::Nul { .. } => "nul",
            Self::LineTooLong { .. } => "line_too_long",
            Self::TooBig { .. } => "too_big",
            Self::NoMemory => "memory",
        }
    }
}

/// Where the reader stands; CRs and dots that may belong to the end of a line or of the data are held back here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// After CRLF, or at the very start.
    LineStart,
    /// A dot at the start of a line.
    Dot,
    /// A dot and a CR.
    DotCr,
    /// After a line end that was repaired.
    Repaired,
    /// A dot there: text, unless a second one follows it.
    RepairedDot,
    /// Inside a line.
    Text,
    /// So many CRs, and nothing after them yet.
    Crs(u64),
}

/// The reader of one message. Bytes go in as they come; the decoded message is appended to the caller's buffer.
#[derive(Debug, Clone)]
pub struct Decoder {
    limits: DataLimits,
    endings: LineEndings,
    /// The message comes in chunks: a dot is a dot everywhere.
    chunks: bool,
    place: Place,
    line: u64,
    line_length: u64,
    size: u64,
    fault: Option<DataFault>,
    normalised: bool,
    odd_ends: bool,
}

impl Decoder {
    /// Starts at the beginning of the data, which counts as the start of a line.
    pub fn new(limits: DataLimits, endings: LineEndings) -> Self {
        let (place, chunks) = (Place::LineStart, false);
        Self { limits, endings, chunks, place, line: 1, line_length: 0, size: 0, fault: None, normalised: false, odd_ends: false }
    }

    /// The same for a message that comes in chunks, whose end [`Decoder::finish`] tells.
    pub fn chunks(limits: DataLimits, endings: LineEndings) -> Self {
        Self { chunks: true, place: Place::Text, ..Self::new(limits, endings) }
    }

    /// Reads `input` up to the end of the data. Gives how many bytes the data took when its end was found; `None`: all of
    /// them, and there is more to come. After a fault nothing is appended any more, and `out` is emptied.
    pub fn decode(&mut self, input: &[u8], out: &mut BytesMut) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            at += 1;
            match (self.place, byte) {
                (Place::LineStart, b'.') => self.place = Place::Dot,
                (Place::Dot, b'\r') => self.place = Place::DotCr,
                (Place::DotCr, b'\n') => return Some(at),
                (Place::DotCr, _) => {
                    self.place = Place::Crs(1);
                    at -= 1;
                }
                (Place::Repaired, b'.') => self.place = Place::RepairedDot,
                (Place::RepairedDot, _) => {
                    self.lengthen(1, out);
                    self.append(b".", out);
                    self.place = Place::Text;
                    at -= usize::from(byte != b'.');
                }
                (Place::LineStart | Place::Dot | Place::Repaired | Place::Text, _) => at = self.text(input, at - 1, out),
                (Place::Crs(1), b'\n') => self.end_line(out),
                (Place::Crs(_), b'\n') => {
                    self.odd_line_end(DataFault::BareCr { line: self.line }, out);
                    self.place = self.line_start();
                }
                (Place::Crs(crs), b'\r') => self.place = Place::Crs(crs + 1),
                (Place::Crs(crs), _) => {
                    self.bare_crs(crs, out);
                    at -= 1;
                }
            }
        }
        None
    }

    /// The last chunk has come: what was held back is text after all.
    pub fn finish(&mut self, out: &mut BytesMut) {
        if let Place::Crs(crs) = self.place {
            self.bare_crs(crs, out);
        }
    }

    /// What makes the message unacceptable, if anything does.
    pub fn fault(&self) -> Option<DataFault> {
        self.fault
    }

    /// Whether a line end was repaired.
    pub fn normalised(&self) -> bool {
        self.normalised
    }

    /// Whether a CR or LF stood alone and was not repaired, even where another fault was the first.
    pub fn has_odd_ends(&self) -> bool {
        self.odd_ends
    }

    /// Gives the message up for a reason from outside; the rest is still read to its end.
    pub fn give_up(&mut self, fault: DataFault, out: &mut BytesMut) {
        self.fault.get_or_insert(fault);
        *out = BytesMut::new();
    }

    /// Takes text from `start` on, over whole lines as long as they end in CRLF and the next one starts without a dot;
    /// gives where it stopped.
    fn text(&mut self, input: &[u8], start: usize, out: &mut BytesMut) -> usize {
        self.place = Place::Text;
        let (mut at, mut line_start) = (start, start);
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let Some(found) = memchr3(b'\r', b'\n', 0, rest) else {
                self.lengthen(input.len() - line_start, out);
                self.append(input.get(start..).unwrap_or_default(), out);
                return input.len();
            };
            at += found;
            self.lengthen(at - line_start, out);
            if input.get(at..at + 2) == Some(b"\r\n") && input.get(at + 2).is_some_and(|next| self.chunks || *next != b'.') {
                at += 2;
                line_start = at;
                self.next_line();
                continue;
            }
            self.append(input.get(start..at).unwrap_or_default(), out);
            match input.get(at) {
                Some(b'\r') => self.place = Place::Crs(1),
                Some(b'\n') => self.odd_line_end(DataFault::BareLf { line: self.line }, out),
                _ => self.give_up(DataFault::Nul { line: self.line }, out),
            }
            return at + 1;
        }
    }

    /// CRLF: the only line end after which a dot means something.
    fn end_line(&mut self, out: &mut BytesMut) {
        self.append(b"\r\n", out);
        self.next_line();
        self.place = self.line_start();
    }

    /// Where a CRLF leads to.
    fn line_start(&self) -> Place {
        if self.chunks { Place::Text } else { Place::LineStart }
    }

    fn bare_crs(&mut self, crs: u64, out: &mut BytesMut) {
        for _ in 0..crs {
            self.odd_line_end(DataFault::BareCr { line: self.line }, out);
        }
    }

    /// A CR or LF alone: a fault, or repaired to CRLF.
    fn odd_line_end(&mut self, fault: DataFault, out: &mut BytesMut) {
        self.place = Place::Text;
        match self.endings {
            LineEndings::Refuse => {
                self.odd_ends = true;
                self.give_up(fault, out);
            }
            LineEndings::Normalise => {
                self.normalised = true;
                self.place = if self.chunks { Place::Text } else { Place::Repaired };
                self.append(b"\r\n", out);
                self.next_line();
            }
        }
    }

    fn next_line(&mut self) {
        self.line += 1;
        self.line_length = 0;
    }

    fn lengthen(&mut self, bytes: usize, out: &mut BytesMut) {
        self.line_length += bytes as u64;
        if self.line_length > self.limits.line_length {
            self.give_up(DataFault::LineTooLong { line: self.line, limit: self.limits.line_length }, out);
        }
    }

    fn append(&mut self, bytes: &[u8], out: &mut BytesMut) {
        self.size += bytes.len() as u64;
        if self.size > self.limits.message_size {
            self.give_up(DataFault::TooBig { limit: self.limits.message_size }, out);
        }
        if self.fault.is_none() {
            out.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: DataLimits = DataLimits { message_size: 1000, line_length: 1000 };

    #[derive(Debug, PartialEq)]
    struct Read {
        /// The message or the fault; `None` while the end has not come.
        message: Option<Result<Vec<u8>, DataFault>>,
        /// What was left for the commands after it.
        rest: Vec<u8>,
        normalised: bool,
    }

    fn read(pieces: &[&[u8]], limits: DataLimits, endings: LineEndings) -> Read {
        let (mut decoder, mut out) = (Decoder::new(limits, endings), BytesMut::new());
        let mut pieces = pieces.iter();
        while let Some(piece) = pieces.next() {
            if let Some(taken) = decoder.decode(piece, &mut out) {
                let rest = [&piece[taken..]].into_iter().chain(pieces.copied()).flatten().copied().collect();
                let message = Some(decoder.fault().map_or(Ok(out.to_vec()), Err));
                return Read { message, rest, normalised: decoder.normalised() };
            }
        }
        assert!(decoder.fault().is_none() || out.is_empty(), "nothing is kept of a message that is refused");
        Read { message: None, rest: Vec::new(), normalised: decoder.normalised() }
    }

    /// Reads the input whole, cut once at every byte, and byte by byte; all must agree.
    fn read_any(input: &[u8], limits: DataLimits, endings: LineEndings) -> Read {
        let whole = read(&[input], limits, endings);
        for cut in 0..=input.len() {
            let (a, b) = input.split_at(cut);
            assert_eq!(read(&[a, b], limits, endings), whole, "{:?} cut at {cut}", String::from_utf8_lossy(input));
        }
        assert_eq!(read(&input.chunks(1).collect::<Vec<_>>(), limits, endings), whole, "{input:?} byte by byte");
        whole
    }

    type Row<'a> = (&'a str, Option<Result<&'a str, DataFault>>, &'a str);

    fn check(rows: &[Row<'_>], limits: DataLimits, endings: LineEndings) {
        for (input, want, rest) in rows {
            let got = read_any(input.as_bytes(), limits, endings);
            assert_eq!(got.message, want.map(|want| want.map(|text| text.as_bytes().to_vec())), "{input:?}");
            assert_eq!(got.rest, rest.as_bytes(), "{input:?}");
        }
    }

    fn bare_cr(line: u64) -> Option<Result<&'static str, DataFault>> {
        Some(Err(DataFault::BareCr { line }))
    }

    fn bare_lf(line: u64) -> Option<Result<&'static str, DataFault>> {
        Some(Err(DataFault::BareLf { line }))
    }

    #[test]
    fn ends_at_crlf_dot_crlf_only() {
        let rows: &[Row<'_>] = &[
            ("", None, ""),
            (".", None, ""),
            (".\r", None, ""),
            ("abc", None, ""),
            ("abc\r\n", None, ""),
            ("abc\r\n.", None, ""),
            ("abc\r\n.\r", None, ""),
            // The empty message, and empty lines.
            (".\r\n", Some(Ok("")), ""),
            ("\r\n.\r\n", Some(Ok("\r\n")), ""),
            ("\r\n\r\n.\r\n", Some(Ok("\r\n\r\n")), ""),
            ("abc\r\n.\r\n", Some(Ok("abc\r\n")), ""),
            ("abc\r\ndef\r\n.\r\nQUIT\r\n", Some(Ok("abc\r\ndef\r\n")), "QUIT\r\n"),
            ("a\r\n.\r\n.\r\n", Some(Ok("a\r\n")), ".\r\n"),
            // Dots at line starts lose one dot, others stay.
            ("..\r\n.\r\n", Some(Ok(".\r\n")), ""),
            ("...\r\n.\r\n", Some(Ok("..\r\n")), ""),
            (".abc\r\n.\r\n", Some(Ok("abc\r\n")), ""),
            ("a\r\n.b\r\n..c\r\n.\r\n", Some(Ok("a\r\nb\r\n.c\r\n")), ""),
            ("a.\r\nb .\r\n.\r\n", Some(Ok("a.\r\nb .\r\n")), ""),
            ("a.\r\n\r\n. \r\n.\r\n", Some(Ok("a.\r\n\r\n \r\n")), ""),
            // Ways to hide an end: each is read on to the true end and refused.
            ("a\n.\nMAIL\r\n.\r\nQUIT\r\n", bare_lf(1), "QUIT\r\n"),
            ("a\n.\r\nMAIL\r\n.\r\nQUIT\r\n", bare_lf(1), "QUIT\r\n"),
            ("a\r\n.\nMAIL\r\n.\r\nQUIT\r\n", bare_lf(2), "QUIT\r\n"),
            ("a\r\n.\rMAIL\r\n.\r\nQUIT\r\n", bare_cr(2), "QUIT\r\n"),
            ("a\r\n.\r\r\nMAIL\r\n.\r\nQUIT\r\n", bare_cr(2), "QUIT\r\n"),
            ("a\r.\r\nMAIL\r\n.\r\nQUIT\r\n", bare_cr(1), "QUIT\r\n"),
            ("a\r.\rMAIL\r\n.\r\nQUIT\r\n", bare_cr(1), "QUIT\r\n"),
            ("a\r\r\n.\r\nQUIT\r\n", bare_cr(1), "QUIT\r\n"),
            ("\n.\r\nx\r\n.\r\n", bare_lf(1), ""),
            ("\r.\r\nx\r\n.\r\n", bare_cr(1), ""),
            // The first fault is the one told.
            ("a\r\nb\nc\rd\0\r\n.\r\n", bare_lf(2), ""),
            ("a\r\n\0\n\r\n.\r\n", Some(Err(DataFault::Nul { line: 2 })), ""),
            ("\0", None, ""),
            (".\0\r\n.\r\n", Some(Err(DataFault::Nul { line: 1 })), ""),
            // Eight bits pass.
            ("é\r\n.\r\n", Some(Ok("é\r\n")), ""),
        ];
        check(rows, WIDE, LineEndings::Refuse);
    }

    #[test]
    fn normalising() {
        let rows: &[Row<'_>] = &[
            ("a\r\nb\r\n.\r\n", Some(Ok("a\r\nb\r\n")), ""),
            ("a\nb\nc\r\n.\r\n", Some(Ok("a\r\nb\r\nc\r\n")), ""),
            ("a\rb\rc\r\n.\r\n", Some(Ok("a\r\nb\r\nc\r\n")), ""),
            ("a\r\rb\r\n.\r\n", Some(Ok("a\r\n\r\nb\r\n")), ""),
            ("a\r\r\nb\r\n.\r\n", Some(Ok("a\r\nb\r\n")), ""),
            ("a\r\r\r\n.\r\n", Some(Ok("a\r\n")), ""),
            // A lone LF around a dot is no end, and the dot is text.
            ("a\n.\nb\r\n.\r\n", Some(Ok("a\r\n.\r\nb\r\n")), ""),
            ("a\n.\r\nb\r\n.\r\n", Some(Ok("a\r\n.\r\nb\r\n")), ""),
            ("a\r\n.\r\rb\r\n.\r\n", Some(Ok("a\r\n\r\n\r\nb\r\n")), ""),
            // Two dots there are one stuffed dot; one dot is one dot.
            ("a\n..b\r\n.\r\n", Some(Ok("a\r\n.b\r\n")), ""),
            ("a\n.b\n...c\r\n.\r\n", Some(Ok("a\r\n.b\r\n..c\r\n")), ""),
            ("a\n..\r\nb\r\n.\r\n", Some(Ok("a\r\n.\r\nb\r\n")), ""),
            ("a\r..\r.\n..\n\r\n.\r\n", Some(Ok("a\r\n.\r\n.\r\n.\r\n\r\n")), ""),
            ("a\n\0\r\n.\r\n", Some(Err(DataFault::Nul { line: 2 })), ""),
        ];
        check(rows, WIDE, LineEndings::Normalise);
        assert!(!read_any(b"a\r\n..b\r\n.\r\n", WIDE, LineEndings::Normalise).normalised);
        assert!(read_any(b"a\nb\r\n.\r\n", WIDE, LineEndings::Normalise).normalised);
        assert!(read_any(b"a\rb\r\n.\r\n", WIDE, LineEndings::Normalise).normalised);
    }

    /// The message out of chunks cut anywhere: whole, cut once at every byte, and byte by byte.
    fn chunked(input: &str, endings: LineEndings) -> (Result<String, DataFault>, bool) {
        let run = |pieces: &[&[u8]]| {
            let (mut decoder, mut out) = (Decoder::chunks(WIDE, endings), BytesMut::new());
            for piece in pieces {
                assert_eq!(decoder.decode(piece, &mut out), None, "chunks have no end of their own");
            }
            decoder.finish(&mut out);
            let message = String::from_utf8(out.to_vec()).unwrap();
            (decoder.fault().map_or(Ok(message), Err), decoder.normalised())
        };
        let bytes = input.as_bytes();
        let whole = run(&[bytes]);
        for cut in 0..=bytes.len() {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(run(&[a, b]), whole, "{input:?} cut at {cut}");
        }
        assert_eq!(run(&bytes.chunks(1).collect::<Vec<_>>()), whole, "{input:?} byte by byte");
        whole
    }

    #[test]
    fn in_chunks_a_dot_is_a_dot_and_line_ends_have_the_same_rules() {
        use DataFault::{BareCr, BareLf, Nul};
        let rows = [
            ("", Ok(""), ""),
            (".", Ok("."), "."),
            (".\r\n", Ok(".\r\n"), ".\r\n"),
            ("a\r\n.\r\nQUIT\r\n", Ok("a\r\n.\r\nQUIT\r\n"), "a\r\n.\r\nQUIT\r\n"),
            ("..a\r\n..b\r\n.c", Ok("..a\r\n..b\r\n.c"), "..a\r\n..b\r\n.c"),
            ("a\n.b", Err(BareLf { line: 1 }), "a\r\n.b"),
            ("a\n..b", Err(BareLf { line: 1 }), "a\r\n..b"),
            ("a\r\nb\r", Err(BareCr { line: 2 }), "a\r\nb\r\n"),
            ("a\r.\r\n", Err(BareCr { line: 1 }), "a\r\n.\r\n"),
            ("a\r\r\n.\r\n", Err(BareCr { line: 1 }), "a\r\n.\r\n"),
            ("a\r\r", Err(BareCr { line: 1 }), "a\r\n\r\n"),
        ];
        for (input, refuse, normalise) in rows {
            assert_eq!(chunked(input, LineEndings::Refuse).0, refuse.map(str::to_owned), "{input:?}");
            let repaired = (Ok(normalise.to_owned()), refuse.is_err());
            assert_eq!(chunked(input, LineEndings::Normalise), repaired, "{input:?}");
        }
        assert_eq!(chunked("a\0", LineEndings::Normalise).0, Err(Nul { line: 1 }));
    }

    #[test]
    fn odd_ends_are_told_even_behind_another_fault() {
        for (input, want) in [("a\0\r\n.\r\n", false), ("a\0\nb\r\n.\r\n", true), ("a\rb\r\n.\r\n", true), ("a\r\n.\r\n", false)] {
            let (mut decoder, mut out) = (Decoder::new(WIDE, LineEndings::Refuse), BytesMut::new());
            decoder.decode(input.as_bytes(), &mut out);
            assert_eq!(decoder.has_odd_ends(), want, "{input:?}");
        }
    }

    #[test]
    fn limits() {
        let narrow = DataLimits { message_size: 12, line_length: 5 };
        let too_long = |line| Some(Err(DataFault::LineTooLong { line, limit: 5 }));
        let rows: &[Row<'_>] = &[
            ("12345\r\n123\r\n.\r\n", Some(Ok("12345\r\n123\r\n")), ""),
            (".12345\r\n.\r\n", Some(Ok("12345\r\n")), ""),
            ("12345\r\n1234\r\n.\r\nQUIT\r\n", Some(Err(DataFault::TooBig { limit: 12 })), "QUIT\r\n"),
            ("123456\r\n.\r\nQUIT\r\n", too_long(1), "QUIT\r\n"),
            ("1\r\n123456", None, ""),
            ("1\r\n123456\r\n.\r\n", too_long(2), ""),
        ];
        check(rows, narrow, LineEndings::Refuse);
    }

    #[test]
    fn every_text_over_the_alphabet_of_ends_is_read_the_same_however_it_is_cut() {
        let alphabet = b"\r\n.a";
        for number in 0..alphabet.len().pow(7) {
            let text: Vec<u8> = (0..7).map(|digit| alphabet[number / alphabet.len().pow(digit) % alphabet.len()]).collect();
            for endings in [LineEndings::Refuse, LineEndings::Normalise] {
                let whole = read(&[&text], WIDE, endings);
                assert_eq!(read(&text.chunks(1).collect::<Vec<_>>(), WIDE, endings), whole, "{text:?}");
                assert_eq!(read(&text.chunks(3).collect::<Vec<_>>(), WIDE, endings), whole, "{text:?}");
                let end =
                    text.starts_with(b".\r\n").then_some(3).or_else(|| text.windows(5).position(|w| w == b"\r\n.\r\n").map(|at| at + 5));
                assert_eq!(whole.message.is_some(), end.is_some(), "{text:?} ends at CRLF.CRLF and nowhere else");
                assert_eq!(whole.rest, end.map_or(Vec::new(), |end| text[end..].to_vec()), "{text:?}");
                if let Some(Ok(message)) = &whole.message {
                    assert!(!String::from_utf8_lossy(message).replace("\r\n", "").contains(['\r', '\n']), "{text:?} → {message:?}");
                }
            }
        }
    }
}
