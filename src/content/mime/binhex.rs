//! BinHex 4.0 in a text (RFC 1741): both forks of a Macintosh file, six bits a character, runs packed.

use std::io::{self, Read};

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf};
use super::Reading;

pub(super) const READING: Reading = Reading { name: "binhex", reads: "Macintosh files that stand in BinHex in a text", read };

/// The 64 characters, in the order of their values.
const ALPHABET: &[u8; 64] = b"!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
/// Shorter ones have not even a header.
const LEAST: usize = 32;
/// The mark of a run; followed by a zero it stands for itself.
const RUN: u8 = 0x90;

const fn table() -> [u8; 256] {
    let mut table = [0xff; 256];
    let mut i = 0;
    while i < 64 {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table
}

const TABLE: [u8; 256] = table();

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    let mut done = 0;
    for colon in memchr::memchr_iter(b':', data) {
        // The colon that starts the data stands first in its line; so few lines start with one that no other mark is asked for.
        let starts_line = data.get(colon.saturating_sub(1)).is_none_or(|c| colon == 0 || matches!(c, b'\n' | b'\r' | b' ' | b'\t' | b'>'));
        if colon < done || !starts_line {
            continue;
        }
        let Some((packed, used)) = data.get(colon + 1..).and_then(sixes) else { continue };
        if !finds.look(used) {
            return;
        }
        let Some(head) = header(&packed) else { continue };
        done = colon + used;
        finds.note("mime.binhex", "A file stands in BinHex in the text", &head);
        let (bytes, _) = finds.unpack(Runs { packed: &packed, last: 0, left: 0 }, packed.len(), &head);
        if !forks(&bytes, head, finds) {
            return;
        }
    }
}

/// The bytes before runs are unpacked, up to the closing colon or what does not belong there; and how much text that was.
fn sixes(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let first = text.iter().take_while(|c| TABLE[**c as usize] < 64).take(LEAST).count();
    if first < LEAST {
        return None;
    }
    let mut out = Vec::new();
    let (mut bits, mut held, mut used) = (0u32, 0u32, 0);
    for c in text {
        used += 1;
        match (TABLE[*c as usize], c) {
            (six @ 0..64, _) => {
                bits = bits << 6 | u32::from(six);
                held += 6;
                if held >= 8 {
                    held -= 8;
                    out.push((bits >> held) as u8);
                }
            }
            (_, b'\r' | b'\n' | b' ' | b'\t') => {}
            _ => break,
        }
    }
    Some((out, used))
}

/// The file's name, where the bytes start with a header: a name of up to 63 characters, a zero, type, creator, flags, two lengths.
fn header(packed: &[u8]) -> Option<String> {
    let mut head = Vec::new();
    Runs { packed, last: 0, left: 0 }.take(90).read_to_end(&mut head).ok()?;
    let length = usize::from(*head.first()?);
    let name = head.get(1..1 + length)?;
    ((1..64).contains(&length) && head.get(1 + length) == Some(&0) && !name.iter().any(|c| *c < 0x20))
        .then(|| String::from_utf8_lossy(name).into_owned())
}

/// Adds both forks; where their lengths cannot be right, all there is.
fn forks(bytes: &Bytes, name: String, finds: &mut Finds) -> bool {
    let at = bytes.first().map_or(0, |length| usize::from(*length) + 2 + 4 + 4 + 2);
    let length = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes).map_or(0, |n| n as usize);
    let (data, resource) = (length(at), length(at + 4));
    let start = (at + 8 + 2).min(bytes.len());
    let end = start.saturating_add(data).min(bytes.len());
    let from = end.saturating_add(2).min(bytes.len());
    let to = from.saturating_add(resource).min(bytes.len());
    let whole = to - from == resource && end - start == data;
    let both = [(start, end), (from, to)].into_iter().chain((!whole).then_some((start, bytes.len())));
    both.filter(|(from, to)| from < to).all(|(from, to)| finds.add(Item::Blob { name: Some(name.clone()), bytes: bytes.slice(from..to) }))
}

/// Unpacks runs: a byte, `0x90`, a count.
struct Runs<'a> {
    packed: &'a [u8],
    last: u8,
    left: u8,
}

impl Read for Runs<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        while n < out.len() {
            let byte = if self.left > 0 {
                self.left -= 1;
                self.last
            } else {
                match self.packed {
                    [RUN, 0, rest @ ..] => {
                        (self.last, self.packed) = (RUN, rest);
                        RUN
                    }
                    [RUN, count, rest @ ..] => {
                        // The byte itself has come already.
                        (self.left, self.packed) = (count.saturating_sub(1), rest);
                        continue;
                    }
                    [byte, rest @ ..] => {
                        (self.last, self.packed) = (*byte, rest);
                        *byte
                    }
                    [] => break,
                }
            };
            if let Some(place) = out.get_mut(n) {
                *place = byte;
            }
            n += 1;
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    /// Made with Python's former module `binhex` in mind: the format as RFC 1741 has it, checksums left at zero.
    fn hqx(data: &[u8], resource: &[u8]) -> Vec<u8> {
        let mut plain = b"\x05a.txt\0TEXTttxt\0\0".to_vec();
        plain.extend((data.len() as u32).to_be_bytes());
        plain.extend((resource.len() as u32).to_be_bytes());
        plain.extend([0, 0]);
        plain.extend_from_slice(data);
        plain.extend([0, 0]);
        plain.extend_from_slice(resource);
        plain.extend([0, 0]);
        let packed: Vec<u8> = plain.iter().flat_map(|c| if *c == RUN { vec![RUN, 0] } else { vec![*c] }).collect();
        let bits: Vec<u8> = packed.iter().flat_map(|c| (0..8).rev().map(move |n| c >> n & 1)).collect();
        let letters: Vec<u8> =
            bits.chunks(6).map(|six| ALPHABET[six.iter().chain(&[0; 6]).take(6).fold(0, |n, bit| n << 1 | *bit) as usize]).collect();
        let lines: Vec<&[u8]> = letters.chunks(64).collect();
        [b"words\r\n(This file must be converted with BinHex 4.0)\r\n\r\n:", &lines.join(&b"\r\n"[..])[..], b":\r\nmore"].concat()
    }

    #[test]
    fn both_forks() {
        assert_eq!(found(READING.read, &hqx(b"hello \x90 world", b"fork")), ["hello \u{90} world", "fork"]);
        assert_eq!(found(READING.read, b":one\n:two two\n: and a list of words that starts with a colon\n"), [""; 0]);
    }

    #[test]
    fn runs() {
        let mut out = Vec::new();
        Runs { packed: b"a\x90\x05b\x90\0\x90\x03", last: 0, left: 0 }.read_to_end(&mut out).unwrap();
        assert_eq!(out, b"aaaaab\x90\x90\x90");
    }
}
