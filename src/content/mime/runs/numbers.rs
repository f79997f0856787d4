//! Bytes written as numbers: `\x58\x35`, `%58`, `0x58,0x35`, `&#x58;`, `58 35`, `88,53`, `Chr(88)`, `fromCharCode(88,53)`.

use super::super::quoted::hex;
use super::Pile;

/// Bytes of text from which numbers are looked for, and how far apart bytes are looked at.
const SPAN: usize = 128;
const STEP: usize = 32;
/// Numbers with a mark of their own from which a row counts; and numbers without.
const LEAST_MARKED: usize = 48;
const LEAST_PLAIN: usize = 64;
/// The same for arguments of functions that make characters of numbers.
const LEAST_CALLS: usize = 32;

/// Whether a character stands in rows of numbers.
const fn is_part(c: u8) -> bool {
    matches!(c, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' | b'x' | b'X' | b'u' | b'U' | b'h' | b'H')
        || matches!(c, b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' | b':' | b'-' | b'+' | b'.' | b'&' | b'#' | b'%' | b'$' | b'\\' | b'=')
        || matches!(c, b'"' | b'\'' | b'{' | b'}' | b'[' | b']' | b'_' | b'|' | b'/' | b'(' | b')')
}

const fn table() -> [bool; 256] {
    let mut table = [false; 256];
    let mut c = 0;
    while c < 256 {
        table[c] = is_part(c as u8);
        c += 1;
    }
    table
}

const PART: [bool; 256] = table();

/// Decodes all rows of numbers in a text onto the pile.
pub(super) fn each(text: &[u8], pile: &mut Pile) {
    let mut at = STEP - 1;
    let mut floor = 0;
    let mut asked = 0;
    while let Some(c) = text.get(at) {
        if at - asked > 64 * 1024 {
            asked = at;
            if !pile.finds.has_time() {
                pile.full = true;
                return;
            }
        }
        if !PART[*c as usize] {
            at += STEP;
            continue;
        }
        let before = text.get(floor..at).unwrap_or_default();
        let start = at - before.iter().rev().take_while(|c| PART[**c as usize]).count();
        let end = at + text.get(at..).unwrap_or_default().iter().take_while(|c| PART[**c as usize]).count();
        if end - start >= SPAN {
            row(text.get(start..end).unwrap_or_default(), pile);
        }
        floor = end;
        at = end + STEP;
    }
    calls(text, pile);
}

/// What the numbers of one row give, in each way to read them.
#[derive(Default)]
struct Row {
    marked: Vec<u8>,
    hex: Vec<u8>,
    hex_tokens: usize,
    decimal: Vec<u8>,
    found: Vec<Vec<u8>>,
}

impl Row {
    fn end_hex(&mut self) {
        let bytes = std::mem::take(&mut self.hex);
        if bytes.len() >= LEAST_PLAIN && self.hex_tokens >= 2 {
            self.found.push(bytes);
        }
        self.hex_tokens = 0;
    }

    fn end_decimal(&mut self) {
        let bytes = std::mem::take(&mut self.decimal);
        if bytes.len() >= LEAST_PLAIN {
            self.found.push(bytes);
        }
    }

    /// A number without a mark: two digits each of hexadecimal, a decimal one up to 255, or both. What is neither ends a row.
    fn plain(&mut self, digits: &[u8]) {
        if digits.len().is_multiple_of(2) && digits.len() <= 64 {
            self.hex.extend(digits.as_chunks::<2>().0.iter().filter_map(|[a, b]| Some(hex(*a)? << 4 | hex(*b)?)));
            self.hex_tokens += 1;
        } else {
            self.end_hex();
        }
        match std::str::from_utf8(digits).ok().filter(|digits| digits.len() <= 4).and_then(|digits| digits.parse::<u8>().ok()) {
            Some(byte) => self.decimal.push(byte),
            None => self.end_decimal(),
        }
    }
}

fn row(text: &[u8], pile: &mut Pile) {
    let digits = text.iter().filter(|c| hex(**c).is_some()).count();
    if digits * 4 < text.len() || !pile.finds.look(text.len()) {
        return;
    }
    let mut row = Row::default();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'\\' | b'%' | b'0', [b'x' | b'X', ..]) | (b'#', [b'x' | b'X', ..]) => {
                marked(&mut row, tail.get(1..), 16, if *first == b'#' { 6 } else { 2 })
            }
            (b'\\' | b'%', [b'u' | b'U', b'{', ..]) => marked(&mut row, tail.get(2..), 16, 6),
            (b'\\' | b'%', [b'u' | b'U', ..]) => marked(&mut row, tail.get(1..), 16, 4),
            (b'&', [b'H' | b'h', ..]) => marked(&mut row, tail.get(1..), 16, 2),
            (b'%' | b'=' | b'$', [c, ..]) if hex(*c).is_some() => marked(&mut row, Some(tail), 16, 2),
            (b'#', [b'0'..=b'9', ..]) => marked(&mut row, Some(tail), 10, 7),
            (b'\\', [b'0'..=b'7', ..]) => marked(&mut row, Some(tail), 8, 3),
            (b'-', [b'0'..=b'9', ..]) => {
                // Bytes with a sign, as Java has them.
                let length = tail.iter().take_while(|c| c.is_ascii_digit()).count();
                let number =
                    tail.get(..length).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| digits.parse::<u8>().ok());
                match number.filter(|_| !row.decimal.is_empty()) {
                    Some(number) => row.decimal.push(number.wrapping_neg()),
                    None => row.end_decimal(),
                }
                // The same digits, if they are hexadecimal with dashes between them.
                if length == 2 {
                    row.hex.extend(tail.first().zip(tail.get(1)).and_then(|(a, b)| Some(hex(*a)? << 4 | hex(*b)?)));
                    row.hex_tokens += 1;
                }
                tail.get(length..).unwrap_or_default()
            }
            (c, _) if hex(*c).is_some() => {
                let length = rest.iter().take_while(|c| hex(**c).is_some()).count();
                row.plain(rest.get(..length).unwrap_or_default());
                rest.get(length..).unwrap_or_default()
            }
            _ => tail,
        };
    }
    row.end_hex();
    row.end_decimal();
    if row.marked.len() >= LEAST_MARKED {
        pile.add(row.marked);
    }
    row.found.into_iter().for_each(|bytes| pile.add(bytes));
}

/// Reads a number behind its mark, of at most so many digits. Numbers above 255 are two bytes, the lower one last.
fn marked<'a>(row: &mut Row, rest: Option<&'a [u8]>, base: u32, most: usize) -> &'a [u8] {
    let rest = rest.unwrap_or_default();
    let length = rest.iter().take(most).take_while(|c| char::from(**c).is_digit(base)).count();
    let number =
        rest.get(..length).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|digits| u32::from_str_radix(digits, base).ok());
    if let Some(number) = number {
        let [_, _, high, low] = number.to_be_bytes();
        row.marked.extend(Some(high).filter(|high| *high > 0));
        row.marked.push(low);
    }
    rest.get(length..).unwrap_or_default()
}

/// Functions that make a character of a number, and their arguments one after the other.
fn calls(text: &[u8], pile: &mut Pile) {
    const NAMES: [&[u8]; 7] = [b"fromcharcode", b"fromcodepoint", b"chr", b"chrw", b"chrb", b"chr$", b"char"];
    let mut out = Vec::new();
    let mut found = 0;
    for at in memchr::memchr_iter(b'(', text) {
        let before = text.get(at.saturating_sub(14)..at).unwrap_or_default();
        if !matches!(before.last(), Some(b'e' | b'E' | b't' | b'T' | b'r' | b'R' | b'w' | b'W' | b'b' | b'B' | b'$')) {
            continue;
        }
        let is = |name: &&&[u8]| {
            before.len().checked_sub(name.len()).and_then(|from| before.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(name))
        };
        if NAMES.iter().find(is).is_none() {
            continue;
        }
        let mut rest = text.get(at + 1..).unwrap_or_default();
        loop {
            loop {
                let marks = rest.iter().take_while(|c| c.is_ascii_whitespace() || matches!(c, b',' | b'[' | b'+')).count();
                rest = rest.get(marks..).unwrap_or_default();
                let blanks = super::super::escapes::blanks(rest);
                rest = rest.get(blanks..).unwrap_or_default();
                if marks + blanks == 0 {
                    break;
                }
            }
            let (base, skip) = match rest {
                [b'0', b'x' | b'X', ..] | [b'&', b'H' | b'h', ..] => (16, 2),
                _ => (10, 0),
            };
            let digits = rest.get(skip..).unwrap_or_default();
            let zeros = digits.iter().take_while(|c| **c == b'0').count();
            // A zero alone is a number too.
            let digits = digits.get(zeros.saturating_sub(1)..).unwrap_or_default();
            let length = digits.iter().take(8).take_while(|c| char::from(**c).is_digit(base)).count();
            let number =
                digits.get(..length).and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|d| u32::from_str_radix(d, base).ok());
            let Some(number) = number else { break };
            found += 1;
            out.push(number.to_le_bytes()[0]);
            rest = digits.get(length..).unwrap_or_default();
        }
    }
    if found >= LEAST_CALLS {
        pile.add(out);
    }
}
