//! The syntax of PDF (ISO 32000-1 section 7.2): what stands between streams, brought into a plain form in which names and strings can be
//! found.

/// Bytes that are brought into plain form at once: bounds what pairing brackets takes.
const WINDOW: usize = 4 << 20;

/// Text between streams in plain form.
#[derive(Default)]
pub(super) struct Structure {
    /// Without comments, names without escapes, each string as its number in round brackets.
    pub text: Vec<u8>,
    /// The strings, decoded.
    pub strings: Vec<String>,
}

impl Structure {
    /// Appends the plain form of `raw`.
    pub(super) fn push(&mut self, raw: &[u8]) {
        for window in raw.chunks(WINDOW) {
            self.push_window(window);
        }
        self.text.push(b'\n');
    }

    fn push_window(&mut self, raw: &[u8]) {
        let pairs = pairs(raw);
        let mut at = 0;
        while let Some(byte) = raw.get(at) {
            let rest = raw.get(at + 1..).unwrap_or_default();
            at += 1;
            match byte {
                b'%' => {
                    at += rest.iter().position(|c| matches!(c, b'\r' | b'\n')).unwrap_or(rest.len());
                    self.text.push(b'\n');
                }
                b'(' => {
                    let close = pairs.binary_search_by_key(&(at - 1), |pair| pair.0).ok().and_then(|n| pairs.get(n)).map(|pair| pair.1);
                    let Some(close) = close else {
                        self.text.push(b' ');
                        continue;
                    };
                    self.string(literal(raw.get(at..close).unwrap_or_default()));
                    at = close + 1;
                }
                b'<' if rest.first() == Some(&b'<') => {
                    self.text.extend(b"<<");
                    at += 1;
                }
                b'<' => match hexadecimal(rest) {
                    Some((bytes, used)) => {
                        self.string(bytes);
                        at += used;
                    }
                    None => self.text.push(b' '),
                },
                b'#' => match rest.get(..2).and_then(|digits| Some(digit(digits[0])? << 4 | digit(digits[1])?)) {
                    Some(byte) => {
                        self.text.push(byte);
                        at += 2;
                    }
                    None => self.text.push(b'#'),
                },
                byte => self.text.push(*byte),
            }
        }
    }

    fn string(&mut self, bytes: Vec<u8>) {
        self.text.extend(format!("({})", self.strings.len()).bytes());
        self.strings.push(decoded(&bytes));
    }

    /// Whether there is such a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// What stands behind each occurrence of a name.
    pub(super) fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        values(&self.text, name)
    }

    /// The string that a value is.
    pub(super) fn string_of(&self, value: &[u8]) -> Option<&String> {
        let digits = value.trim_ascii_start().strip_prefix(b"(")?;
        self.strings.get(number(digits)?.0)
    }
}

/// What stands behind each occurrence of a name in text of plain form.
pub(super) fn values<'a>(text: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let length = name.len();
    let name = name.to_owned();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let found = at + memchr::memmem::find(text.get(at..)?, name.as_bytes())?;
            at = found + length;
            let value = text.get(at..)?;
            if !value.first().is_some_and(|c| c.is_ascii_alphanumeric()) {
                return Some(value);
            }
        }
    })
}

/// A number at the start, and what follows it.
pub(super) fn number(text: &[u8]) -> Option<(usize, &[u8])> {
    let text = text.trim_ascii_start();
    let digits = text.iter().take_while(|c| c.is_ascii_digit()).count();
    let value = std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()?;
    Some((value, text.get(digits..)?))
}

/// The number of the object that a reference (`12 0 R`) leads to.
pub(super) fn reference(value: &[u8]) -> Option<usize> {
    let (object, rest) = number(value)?;
    let (_, rest) = number(rest)?;
    rest.trim_ascii_start().starts_with(b"R").then_some(object)
}

/// Pairs of round brackets, by the place of the first.
fn pairs(raw: &[u8]) -> Vec<(usize, usize)> {
    let mut open = Vec::new();
    let mut pairs = Vec::new();
    let mut escaped = false;
    for (at, byte) in raw.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = !open.is_empty(),
            b'(' => open.push(at),
            b')' => pairs.extend(open.pop().map(|start| (start, at))),
            _ => {}
        }
    }
    pairs.sort_unstable();
    pairs
}

fn literal(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        if *byte != b'\\' {
            out.push(*byte);
            continue;
        }
        let Some(escape) = text.get(at) else { break };
        at += 1;
        match escape {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'\r' => at += usize::from(text.get(at) == Some(&b'\n')),
            b'\n' => {}
            b'0'..=b'7' => {
                let mut value = u32::from(escape - b'0');
                for _ in 0..2 {
                    let Some(digit) = text.get(at).filter(|c| (b'0'..=b'7').contains(c)) else { break };
                    value = value * 8 + u32::from(digit - b'0');
                    at += 1;
                }
                out.push((value & 0xff) as u8);
            }
            other => out.push(*other),
        }
    }
    out
}

/// A hexadecimal string up to its `>`, and the bytes it takes with it; `None` if something else stands in it.
fn hexadecimal(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::new();
    let mut half = None;
    for (at, byte) in text.iter().enumerate() {
        match (digit(*byte), half) {
            (Some(low), Some(high)) => {
                out.push(high << 4 | low);
                half = None;
            }
            (Some(high), None) => half = Some(high),
            (None, _) if byte.is_ascii_whitespace() || *byte == 0 => {}
            (None, _) if *byte == b'>' => {
                out.extend(half.map(|high| high << 4));
                return Some((out, at + 1));
            }
            (None, _) => return None,
        }
    }
    None
}

/// The value of a hexadecimal digit.
pub(super) fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

/// Text strings are UTF-16 or UTF-8 with a mark, or bytes.
fn decoded(bytes: &[u8]) -> String {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        bytes => bytes.iter().map(|c| char::from(*c)).collect(),
    }
}
