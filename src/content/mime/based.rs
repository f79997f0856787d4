//! Files in the rarer encodings as text: base32 (RFC 4648), Ascii85 (as in PostScript), base85 (RFC 1924, as Git writes it).

use memchr::memmem;

use super::super::find::{Finds, Leaf};
use super::Reading;

pub(super) const READING: Reading = Reading { name: "based", reads: "files in base32, Ascii85 and base85, and in patches of Git", read };

/// Shorter ones are words or numbers.
const LEAST: usize = 40;

/// The alphabets of base32.
const THIRTY_TWO: [&[u8]; 2] = [b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHIJKLMNOPQRSTUV"];
/// The alphabet of base85.
const EIGHTY_FIVE: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

fn read(leaf: &Leaf, finds: &mut Finds) {
    if super::is_readable(leaf) {
        let _ = whole(leaf.data, finds) && blocks(leaf.data, finds) && patches(leaf.data, finds);
    }
}

/// A text that is nothing but one of them; false where a limit is reached.
fn whole(text: &[u8], finds: &mut Finds) -> bool {
    let text = text.trim_ascii();
    // A blank in a line, which nearly every text has soon, is in none of them.
    let plain = text.iter().take_while(|c| c.is_ascii_graphic() || matches!(c, b'\r' | b'\n')).count();
    if plain < text.len() || text.len() < LEAST {
        return true;
    }
    if !finds.look(text.len().saturating_mul(2)) {
        return false;
    }
    let letters: Vec<u8> = text.iter().copied().filter(u8::is_ascii_graphic).collect();
    let same_case = !letters.iter().any(u8::is_ascii_lowercase) || !letters.iter().any(u8::is_ascii_uppercase);
    let decoded = THIRTY_TWO.into_iter().filter(|_| same_case).filter_map(|alphabet| thirty_two(&letters, alphabet));
    decoded.chain(ascii85(&letters)).chain(base85(&letters)).all(|bytes| finds.add_guess(bytes))
}

/// What stands between the marks of Ascii85, however many there are: no byte is looked at twice; false where a limit is reached.
fn blocks(text: &[u8], finds: &mut Finds) -> bool {
    let mut end = 0;
    for start in memmem::find_iter(text, b"<~") {
        if start < end {
            continue;
        }
        let Some(length) = text.get(start..).and_then(|rest| memmem::find(rest, b"~>")) else { return true };
        end = start + length;
        if !finds.look(length) {
            return false;
        }
        let block: Vec<u8> = text.get(start + 2..end).unwrap_or_default().iter().copied().filter(|c| !c.is_ascii_whitespace()).collect();
        if let Some(bytes) = ascii85(&block).filter(|bytes| !bytes.is_empty())
            && !finds.add_guess(bytes)
        {
            return false;
        }
    }
    true
}

/// The files in patches of Git: each line starts with its length, and the whole is deflated. A file ends where the next one starts, since
/// that line has a blank in it.
fn patches(text: &[u8], finds: &mut Finds) -> bool {
    let mut asked = 0;
    for start in memmem::find_iter(text, b"\nliteral ") {
        if start - asked > 64 * 1024 {
            asked = start;
            if !finds.has_time() {
                return false;
            }
        }
        let lines = text.get(start + 1..).unwrap_or_default().split(|c| *c == b'\n').skip(1).map(<[u8]>::trim_ascii_end);
        let mut bytes = Vec::new();
        for line in lines {
            let length = match line.first() {
                Some(c @ b'A'..=b'Z') => usize::from(c - b'A') + 1,
                Some(c @ b'a'..=b'z') => usize::from(c - b'a') + 27,
                _ => break,
            };
            let Some(decoded) = base85(line.get(1..).unwrap_or_default()) else { break };
            bytes.extend(decoded.into_iter().take(length));
        }
        let goes_on = bytes.is_empty() || (finds.look(bytes.len()) && finds.add_guess(bytes));
        if !goes_on {
            return false;
        }
    }
    true
}

fn thirty_two(letters: &[u8], alphabet: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(letters.len() / 8 * 5);
    let (mut bits, mut held) = (0u32, 0u32);
    for letter in letters.iter().filter(|c| **c != b'=') {
        let value = alphabet.iter().position(|c| c.eq_ignore_ascii_case(letter))?;
        held = held << 5 | u32::try_from(value).ok()?;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push(u8::try_from(held >> bits & 0xff).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    Some(out)
}

fn ascii85(letters: &[u8]) -> Option<Vec<u8>> {
    let letters = letters.strip_prefix(b"<~").unwrap_or(letters);
    let letters = letters.strip_suffix(b"~>").unwrap_or(letters);
    let values = letters.iter().flat_map(|c| if *c == b'z' { vec![Some(0); 5] } else { vec![c.checked_sub(b'!').filter(|v| *v < 85)] });
    groups(values)
}

fn base85(letters: &[u8]) -> Option<Vec<u8>> {
    groups(letters.iter().map(|c| EIGHTY_FIVE.iter().position(|known| known == c).and_then(|at| u8::try_from(at).ok())))
}

/// Each five digits are four bytes; of a shorter last group one less than there are digits.
fn groups(values: impl Iterator<Item = Option<u8>>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut group: Vec<u8> = Vec::with_capacity(5);
    let word = |group: &[u8]| group.iter().fold(0u32, |n, digit| n.wrapping_mul(85).wrapping_add(u32::from(*digit))).to_be_bytes();
    for value in values {
        group.push(value?);
        if group.len() == 5 {
            out.extend(word(&group));
            group.clear();
        }
    }
    if group.len() > 1 {
        let kept = group.len() - 1;
        group.resize(5, 84);
        out.extend(word(&group).into_iter().take(kept));
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, once};
    use super::*;

    #[test]
    fn encodings() {
        let want = "Words of a message that stands here";
        let rows = [
            "K5XXEZDTEBXWMIDBEBWWK43TMFTWKIDUNBQXIIDTORQW4ZDTEBUGK4TF\r\n",
            "k5xxezdtebxwmidbebwwk43tmftwki\ndunbqxiidtorqw4zdtebugk4tf",
            "ATNN4P3J41NMC83141MMASRJC5JMA83KD1GN883JEHGMSP3J41K6ASJ5",
            "See <~=)W+iF!,C5+CQC0ATM\np$B4W3-BOQ!*F*(i.A9/l,ATD>~> there",
            "<~=)W+iF!,C5+CQC0ATMp$B4W3-BOQ!*F*(i.A9/l,ATD>~>",
            "S8sA;b0BYKAYmYFWpi_3\nXJsICXkm09b97;DWOE>BWpZT",
            "GIT binary patch\nliteral 35\niS8sA;b0BYKAYmYFWpi_3XJsICXkm09b97;DWOE>BWpZTz\n\nliteral 0\n",
        ];
        for text in rows {
            assert!(once(READING.read, text.as_bytes(), "", "").0.iter().any(|found| found == want), "{text:?}");
            found(READING.read, text.as_bytes());
        }
        for decoy in ["<~ABCDE~> ", "\nliteral 0\nH\n"] {
            let text = format!("{}{}", decoy.repeat(150), rows[3].to_owned() + rows[6]);
            assert_eq!(once(READING.read, text.as_bytes(), "", "").0.iter().filter(|found| *found == want).count(), 2, "{decoy:?}");
        }
        for text in ["Words of a message\r\nthat stands here, and goes on", "SHORT", "<~ an arrow ~> in a text"] {
            assert!(once(READING.read, text.as_bytes(), "", "").0.is_empty(), "{text:?}");
        }
    }
}
