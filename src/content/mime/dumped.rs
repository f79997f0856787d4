//! Files in dumps of their bytes, as programs write them for people and read them back (`xxd -r`, `certutil -decodehex`, `debug`): an
//! address and the bytes behind it, in hexadecimal or octal.

use super::super::find::{Finds, Leaf};
use super::{Reading, quoted};

pub(super) const READING: Reading = Reading { name: "dumped", reads: "files in hexadecimal and octal dumps that stand in a text", read };

/// Lines from which a text is read so.
const LEAST: usize = 2;
/// Bytes on one line, at most.
const MOST: usize = 32;
/// The longest line that is looked at.
const LONGEST: usize = 300;

/// The bytes of one line, as they stand and with each word turned round.
type Line = (Vec<u8>, Vec<u8>);

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    if !super::is_readable(leaf) {
        return;
    }
    let lines = || leaf.lines().filter_map(|at| may_start(data, at)).filter_map(line);
    if lines().take(LEAST).count() < LEAST || !finds.look(data.len()) {
        return;
    }
    let (mut plain, mut turned) = (Vec::new(), Vec::new());
    for (bytes, words) in lines() {
        plain.extend(bytes);
        turned.extend(words);
    }
    let differ = plain != turned;
    if finds.add_guess(plain) && differ {
        finds.add_guess(turned);
    }
}

/// The line at `at`, where it starts with a digit, or as a command to a debugger.
fn may_start(data: &[u8], at: usize) -> Option<&[u8]> {
    let rest = data.get(at..)?;
    let first = rest.iter().find(|c| !matches!(c, b' ' | b'\t'))?;
    if !(first.is_ascii_hexdigit() || *first == b'E') {
        return None;
    }
    let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
    rest.get(..end).filter(|line| line.len() > 8)
}

/// The bytes of a line, if it is one of a dump.
fn line(line: &[u8]) -> Option<Line> {
    let line = line.get(..line.len().min(LONGEST))?.trim_ascii();
    let mut words = line.split(|c| matches!(c, b' ' | b'\t' | b'-')).filter(|word| !word.is_empty());
    let mut address = words.next()?;
    if matches!(address, b"e" | b"E") {
        address = words.next()?;
    }
    // Addresses come with segment or colon, or without.
    let address = address.strip_suffix(b":").unwrap_or(address);
    let digits = |word: &[u8]| word.iter().all(|c| c.is_ascii_hexdigit() || *c == b':');
    if !(3..=17).contains(&address.len()) || !digits(address) {
        return None;
    }
    let first = words.next()?;
    let (octal, size) = match first.len() {
        2 | 4 | 8 => (false, first.len() / 2),
        3 => (true, 1),
        6 => (true, 2),
        _ => return None,
    };
    let mut found: Line = Default::default();
    for word in std::iter::once(first).chain(words).take_while(|word| word.len() == first.len()) {
        let Some(bytes) = bytes(word, octal, size).filter(|_| found.0.len() < MOST) else { break };
        found.0.extend(&bytes);
        // Words of octal stand with their upper byte first, as a number does.
        found.1.extend(bytes.iter().rev());
    }
    (!found.0.is_empty()).then_some(found)
}

fn bytes(word: &[u8], octal: bool, size: usize) -> Option<Vec<u8>> {
    if !octal {
        let pairs = word.as_chunks::<2>().0;
        return pairs.iter().map(|[high, low]| Some(quoted::hex(*high)? << 4 | quoted::hex(*low)?)).collect();
    }
    let number = word.iter().try_fold(0u32, |n, c| matches!(c, b'0'..=b'7').then(|| n << 3 | u32::from(c - b'0')))?;
    let all = number.to_be_bytes();
    all.get(..4 - size)?.iter().all(|c| *c == 0).then(|| all.get(4 - size..).map(<[u8]>::to_vec)).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, once};
    use super::*;

    #[test]
    fn dumps() {
        let letter = "Words of a letter";
        let rows: &[(&str, &[&str])] = &[
            ("00000000: 576f 7264 7320 6f66 2061 206c 6574 7465  Words of a lette\n00000010: 72 r\n", &[letter, "oWdr sfoa l teetr"]),
            ("00000000  57 6f 72 64 73 20 6f 66  20 61 20 6c 65 74 74 65  |Words of a lette|\n00000010  72  |r|\n00000011\n", &[letter]),
            ("0000\t57 6f 72 64 73 20 6f 66  20 61 20 6c 65 74 74 65   Words of a lette\r\n0010\t72  r\r\n", &[letter]),
            (
                "0000000 067527 062162 020163 063157 060440 066040 072145 062564\n0000020 000162\n",
                &["oWdr sfoa l teet\0r", "Words of a letter\0"],
            ),
            ("0000000 127 157 162 144 163 040 157 146 040 141 040 154 145 164 164 145\n0000020 162\n", &[letter]),
            ("n a.com\r\ne 0100 57 6F 72 64 73 20 6f 66 20 61 20 6c 65 74 74 65\r\ne 0110 72\r\nrcx\r\n", &[letter]),
            ("2026 was a year\n1234 or so\nabcdef ghi\n", &[]),
            ("00000000: 576f 7264 is one line", &[]),
        ];
        for (text, want) in rows {
            assert_eq!(once(READING.read, text.as_bytes(), "", "").0, *want, "{text:?}");
            found(READING.read, text.as_bytes());
        }
    }
}
