//! Base64 (RFC 2045 section 6.8) as lenient readers take it, and what was odd about it.

/// Values of the alphabet; the marks below are above 63.
const TABLE: [u8; 256] = table();
/// White space.
const BLANK: u8 = 0x80;
/// A line feed: white space that ends a line.
const LINE: u8 = 0x81;
/// `=`.
const PAD: u8 = 0x82;
/// Anything else.
const JUNK: u8 = 0x83;

const fn table() -> [u8; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [JUNK; 256];
    let mut i = 0;
    while i < 64 {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    table[b' ' as usize] = BLANK;
    table[b'\t' as usize] = BLANK;
    table[b'\r' as usize] = BLANK;
    table[b'\n' as usize] = LINE;
    table[b'=' as usize] = PAD;
    table
}

/// No letter of the alphabet.
const ODD: u32 = 1 << 31;

/// The values at each of the four places of a group.
static PLACED: [[u32; 256]; 4] = placed();

const fn placed() -> [[u32; 256]; 4] {
    let mut tables = [[ODD; 256]; 4];
    let mut i = 0;
    while i < 1024 {
        let value = TABLE[i % 256];
        if value < 64 {
            tables[i / 256][i % 256] = (value as u32) << (18 - 6 * (i / 256));
        }
        i += 1;
    }
    tables
}

/// How the odd places are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `=` ends a chunk, and the next character starts a new one.
    Chunks,
    /// `=` is stepped over like junk.
    Through,
    /// As `Chunks`, and each line is a chunk of its own.
    Lines,
    /// As `Chunks`, with `-` and `_` of the URL alphabet (RFC 4648 section 5).
    Url,
    /// As `Chunks`, with `,` for `/` (RFC 3501 section 5.1.3).
    Comma,
    /// As `Chunks`, with the highest bit of each character left out.
    Masked,
    /// `=` takes a place in its group of four, wherever it stands.
    Slots,
    /// `=` is a letter of the value 0, as `A` is.
    Zeros,
}

/// Decoded bytes and what was seen on the way.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How many bytes there were at the first padding.
    pub at_pad: Option<usize>,
    /// Characters of the alphabet came after padding.
    pub after_pad: bool,
    /// Where in the text the first character stood that does not belong here.
    pub at_junk: Option<usize>,
    /// Characters that do not belong here came after padding (the footer of a mailing list, mostly).
    pub junk_after_pad: bool,
    /// `-` or `_` was among them.
    pub url: bool,
    /// `,` was among them.
    pub comma: bool,
    /// Characters above 127 were among them.
    pub high: bool,
    /// A line other than the last one broke off within a group of four.
    pub ragged: bool,
}

impl Decoded {
    /// Whether readers may disagree about it.
    pub(crate) fn is_odd(&self) -> bool {
        self.after_pad || self.at_junk.is_some() || self.ragged
    }
}

/// Decodes what can be decoded; never fails.
pub(crate) fn decode(text: &[u8], style: Style) -> Decoded {
    let mut out = Decoded { bytes: Vec::with_capacity(text.len() / 4 * 3 + 3), ..Decoded::default() };
    let (mut group, mut held) = (0u32, 0u8);
    let mut broke_off = false;
    let mut rest = text;
    while let Some((&c, tail)) = rest.split_first() {
        if held == 0 {
            let left = sixteens(rest, &mut out, broke_off);
            if left.len() < rest.len() {
                rest = left;
                continue;
            }
        }
        if held == 0
            && let Some((four, tail)) = rest.split_first_chunk::<4>()
        {
            let [a, b, c, d] = four.map(|c| TABLE[c as usize]);
            if (a | b | c | d) & 0x80 == 0 {
                let bits = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
                let [_, x, y, z] = bits.to_be_bytes();
                out.bytes.extend_from_slice(&[x, y, z]);
                out.after_pad |= out.at_pad.is_some();
                out.ragged |= broke_off;
                rest = tail;
                continue;
            }
        }
        rest = tail;
        match (value(c, style), style) {
            (v @ 0..64, _) => {
                out.after_pad |= out.at_pad.is_some();
                out.ragged |= broke_off;
                group = group << 6 | u32::from(v);
                held += 1;
                if held == 4 {
                    let [_, x, y, z] = group.to_be_bytes();
                    out.bytes.extend_from_slice(&[x, y, z]);
                    (group, held) = (0, 0);
                }
            }
            (LINE, Style::Lines) => flush(&mut out.bytes, &mut group, &mut held),
            (LINE, _) => broke_off |= held != 0,
            (PAD, Style::Through) => _ = out.at_pad.get_or_insert(out.bytes.len()),
            (PAD, Style::Slots) if held > 0 => {
                out.at_pad.get_or_insert(out.bytes.len());
                group <<= 6;
                held += 1;
                if held == 4 {
                    // What the padding fills is no byte of its own.
                    let [_, x, y, z] = group.to_be_bytes();
                    let bytes = if c == b'=' && group & 0xFFF == 0 { &[x][..] } else { &[x, y, z][..2] };
                    out.bytes.extend_from_slice(bytes);
                    (group, held) = (0, 0);
                }
            }
            (PAD, _) => {
                flush(&mut out.bytes, &mut group, &mut held);
                out.at_pad.get_or_insert(out.bytes.len());
            }
            (JUNK, _) => {
                out.at_junk.get_or_insert(text.len() - tail.len() - 1);
                out.junk_after_pad |= out.at_pad.is_some();
                out.url |= c == b'-' || c == b'_';
                out.comma |= c == b',';
                out.high |= c >= 0x80;
            }
            _ => {}
        }
    }
    flush(&mut out.bytes, &mut group, &mut held);
    out
}

/// Decodes sixteen letters at a time while there is nothing else; what is left.
fn sixteens<'a>(mut rest: &'a [u8], out: &mut Decoded, broke_off: bool) -> &'a [u8] {
    let before = out.bytes.len();
    while let Some((letters, tail)) = rest.split_first_chunk::<16>() {
        let mut bytes = [0; 12];
        let mut odd = 0;
        for n in 0..4 {
            let three = PLACED[0][letters[4 * n] as usize]
                | PLACED[1][letters[4 * n + 1] as usize]
                | PLACED[2][letters[4 * n + 2] as usize]
                | PLACED[3][letters[4 * n + 3] as usize];
            odd |= three;
            bytes[3 * n] = (three >> 16) as u8;
            bytes[3 * n + 1] = (three >> 8) as u8;
            bytes[3 * n + 2] = three as u8;
        }
        if odd & ODD != 0 {
            break;
        }
        out.bytes.extend_from_slice(&bytes);
        rest = tail;
    }
    if out.bytes.len() > before {
        out.after_pad |= out.at_pad.is_some();
        out.ragged |= broke_off;
    }
    rest
}

fn value(c: u8, style: Style) -> u8 {
    match (style, c) {
        (Style::Url, b'-') => 62,
        (Style::Url, b'_') | (Style::Comma, b',') => 63,
        (Style::Zeros, b'=') => 0,
        (Style::Masked, c) => TABLE[(c & 0x7f) as usize],
        _ => TABLE[c as usize],
    }
}

/// The whole bytes in an unfinished group.
fn flush(out: &mut Vec<u8>, group: &mut u32, held: &mut u8) {
    let [_, x, y, _] = (*group << (6 * (4 - u32::from(*held)).min(4))).to_be_bytes();
    match *held {
        2 => out.push(x),
        3 => out.extend_from_slice(&[x, y]),
        _ => {}
    }
    (*group, *held) = (0, 0);
}

/// The text without the lines that have anything else in them than the alphabet: comments, prose before and after.
pub(crate) fn clean_lines(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split(|c| *c == b'\n') {
        let line = line.trim_ascii();
        if line.iter().all(|c| matches!(TABLE[*c as usize], 0..64 | PAD)) {
            out.extend_from_slice(line);
        }
    }
    out
}

/// Whether a character is one of the alphabet, or of the URL alphabet.
pub(crate) fn is_letter(c: u8) -> bool {
    LETTERS[c as usize]
}

const LETTERS: [bool; 256] = letters();

const fn letters() -> [bool; 256] {
    let mut letters = [false; 256];
    let mut c = 0;
    while c < 256 {
        letters[c] = TABLE[c] < 64 || c == b'-' as usize || c == b'_' as usize;
        c += 1;
    }
    letters
}

/// Whether `text` could be nothing but base64: at least `least` characters of the alphabet, no blanks within lines, no words.
pub(crate) fn looks_like(text: &[u8], least: usize) -> bool {
    let text = text.trim_ascii();
    let head = text.get(..text.len().min(4096)).unwrap_or_default();
    let of_alphabet = |c: &u8| matches!(TABLE[*c as usize], 0..64 | PAD) || matches!(c, b'\r' | b'\n' | b'-' | b'_');
    head.len() >= least
        && head.iter().all(of_alphabet)
        && head.iter().any(u8::is_ascii_uppercase)
        && head.iter().any(u8::is_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks() {
        let rows: &[(&str, &str, bool)] = &[
            ("", "", false),
            ("aGVsbG8=", "hello", false),
            ("aGVs\r\nbG8=\r\n", "hello", false),
            ("aGVsbG8", "hello", false),
            ("aGVsbA==", "hell", false),
            ("a G V s b G 8 =", "hello", false),
            ("aGVs!!bG8=", "hello", true),
            ("aA==ZQ==bGxv", "hello", true),
            ("aGVsb\r\nG8=\r\n", "hello", true),
            ("=aGVsbG8", "hello", true),
            ("a", "", false),
            ("====", "", false),
        ];
        for (text, want, odd) in rows {
            let got = decode(text.as_bytes(), Style::Chunks);
            assert_eq!((String::from_utf8_lossy(&got.bytes).as_ref(), got.is_odd()), (*want, *odd), "{text:?}");
        }
    }

    #[test]
    fn styles() {
        assert_eq!(decode(b"aGV=sbG8=", Style::Through).bytes, b"hello");
        assert_eq!(decode(b"aA\r\nZQ\r\nbGxv", Style::Lines).bytes, b"hello");
        assert_eq!(decode(b"_-_-", Style::Url).bytes, [0xff, 0xef, 0xfe]);
        let footer = decode(b"aGVsbG8=\r\n_____\r\nlist", Style::Chunks);
        assert!(footer.at_pad == Some(5) && footer.junk_after_pad && footer.after_pad);
    }

    #[test]
    fn looks() {
        assert!(looks_like(b"WDVPIVAlQEFQWzRcUFpYNTQo\r\nUF4pN0NDKTd9JEVJQ0FS=\r\n", 24));
        for text in ["short", "two words here and there", "WDVPIVAlQEFQWzRcUFpYNTQo.", "alllowercaseletterswithoutany"] {
            assert!(!looks_like(text.as_bytes(), 24), "{text:?}");
        }
    }
}
