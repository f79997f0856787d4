//! The filters of PDF streams (ISO 32000-1 section 7.4): a chain of them is undone as far as it can be.

use std::io::Read;

use bytes::Bytes;
use weezl::{BitOrder, LzwStatus, decode::Decoder};

use super::super::super::find::Finds;
use super::super::lenient;
use super::lex::{self, digit};

/// Filters of one stream that are undone; a longer chain is not known.
const MAX_CHAIN: usize = 64;

/// A stream as it stands in the file.
pub(super) struct Packed<'a> {
    /// From its first byte to the end of the file: what packs by a method of its own knows its end.
    pub rest: &'a Bytes,
    /// How many bytes of it there are for filters that do not.
    pub length: usize,
    /// Its dictionary in plain form.
    pub dictionary: &'a [u8],
    /// The most that is decoded of it.
    pub most: u64,
}

/// What a stream decodes to, and whether all its filters are known to this program.
pub(super) fn decode(packed: &Packed<'_>, names: &[String], finds: &mut Finds) -> (Bytes, bool) {
    if names.len() > MAX_CHAIN {
        return (Bytes::new(), false);
    }
    let mut bytes = packed.rest.slice(..packed.length.min(packed.rest.len()));
    let last = names.iter().rposition(|name| matches!(name.as_str(), "FlateDecode" | "Fl" | "LZWDecode" | "LZW"));
    for (index, name) in names.iter().enumerate() {
        let input = if index == 0 { packed.rest } else { &bytes };
        let decoded = match name.as_str() {
            "FlateDecode" | "Fl" => lenient::inflate(input, packed.most, "PDF stream", finds).0,
            "LZWDecode" | "LZW" => lzw(&bytes, packed, finds),
            "ASCIIHexDecode" | "AHx" => kept(hexadecimal(&bytes), finds),
            "ASCII85Decode" | "A85" => kept(base85(&bytes), finds),
            "RunLengthDecode" | "RL" => {
                lenient::unpack(RunLength { data: &bytes, literal: 0, repeat: 0 }.take(packed.most), bytes.len(), "PDF stream", finds)
            }
            "Crypt" => continue,
            // Pictures: nobody makes anything else of them.
            "DCTDecode" | "DCT" | "JPXDecode" | "JBIG2Decode" | "CCITTFaxDecode" | "CCF" => return (bytes, true),
            _ => return (bytes, false),
        };
        bytes = if Some(index) == last { unpredicted(&decoded, packed.dictionary).map_or(decoded, |b| kept(b, finds)) } else { decoded };
    }
    (bytes, true)
}

fn kept(bytes: Vec<u8>, finds: &mut Finds) -> Bytes {
    if finds.decoded(bytes.len()) { Bytes::from(bytes) } else { Bytes::new() }
}

fn hexadecimal(text: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = text.iter().take_while(|c| **c != b'>').filter_map(|c| digit(*c)).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair.get(1).copied().unwrap_or_default()).collect()
}

fn base85(text: &[u8]) -> Vec<u8> {
    let text = text.trim_ascii_start();
    let text = text.strip_prefix(b"<~").unwrap_or(text);
    let mut out = Vec::with_capacity(text.len());
    let mut group: Vec<u8> = Vec::with_capacity(5);
    for byte in text.iter().take_while(|c| **c != b'~') {
        match byte {
            b'z' if group.is_empty() => out.extend([0; 4]),
            b'!'..=b'u' => group.push(byte - b'!'),
            _ => continue,
        }
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
    out
}

fn word(group: &[u8]) -> [u8; 4] {
    group.iter().fold(0u32, |value, digit| value.wrapping_mul(85).wrapping_add(u32::from(*digit))).to_be_bytes()
}

/// LZW, with the change of width that nearly all writers have, or the other one.
fn lzw(data: &Bytes, packed: &Packed<'_>, finds: &mut Finds) -> Bytes {
    let late = lex::values(packed.dictionary, "/EarlyChange").any(|value| lex::number(value).is_some_and(|(n, _)| n == 0));
    let decoder = if late { Decoder::new(BitOrder::Msb, 8) } else { Decoder::with_tiff_size_switch(BitOrder::Msb, 8) };
    lenient::unpack(Lzw { decoder, data, done: false }.take(packed.most), data.len(), "PDF stream", finds)
}

struct Lzw<'a> {
    decoder: Decoder,
    data: &'a [u8],
    done: bool,
}

impl Read for Lzw<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while !self.done && !out.is_empty() {
            let result = self.decoder.decode_bytes(self.data, out);
            self.data = self.data.get(result.consumed_in..).unwrap_or_default();
            self.done = !matches!(result.status, Ok(LzwStatus::Ok)) || (result.consumed_in == 0 && result.consumed_out == 0);
            if result.consumed_out > 0 {
                return Ok(result.consumed_out);
            }
        }
        Ok(0)
    }
}

/// Runs: a length below 128 is followed by that many bytes and one, above by one that is repeated.
struct RunLength<'a> {
    data: &'a [u8],
    literal: usize,
    repeat: usize,
}

impl Read for RunLength<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.literal == 0 && self.repeat == 0 {
            match self.data.split_first() {
                None | Some((128, _)) => return Ok(0),
                Some((length @ 0..128, rest)) => (self.literal, self.data) = (usize::from(*length) + 1, rest),
                Some((length, rest)) => (self.repeat, self.data) = (257 - usize::from(*length), rest),
            }
        }
        let Some(first) = self.data.first().copied() else { return Ok(0) };
        if self.literal > 0 {
            let n = self.literal.min(out.len()).min(self.data.len());
            for (to, from) in out.iter_mut().zip(self.data.iter().take(n)) {
                *to = *from;
            }
            self.literal -= n;
            self.data = self.data.get(n..).unwrap_or_default();
            return Ok(n);
        }
        let n = self.repeat.min(out.len());
        out.iter_mut().take(n).for_each(|to| *to = first);
        self.repeat -= n;
        if self.repeat == 0 {
            self.data = self.data.get(1..).unwrap_or_default();
        }
        Ok(n)
    }
}

/// Undoes a predictor (ISO 32000-1 section 7.4.4.4); `None` if there is none.
fn unpredicted(data: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    let parameter = |name: &str| lex::values(dictionary, name).filter_map(|value| lex::number(value)).map(|(n, _)| n).max();
    let predictor = parameter("/Predictor").filter(|n| *n > 1)?;
    let colors = parameter("/Colors").unwrap_or(1).clamp(1, 32);
    let bits = parameter("/BitsPerComponent").unwrap_or(8).clamp(1, 16);
    let columns = parameter("/Columns").unwrap_or(1).clamp(1, 1 << 20);
    let (row, pixel) = ((colors * bits * columns).div_ceil(8), (colors * bits).div_ceil(8));
    let mut out: Vec<u8> = Vec::with_capacity(data.len());
    if predictor == 2 {
        for line in data.chunks(row) {
            let start = out.len();
            for (at, byte) in line.iter().enumerate() {
                let left = if at >= pixel && bits == 8 { out.get(start + at - pixel).copied().unwrap_or_default() } else { 0 };
                out.push(byte.wrapping_add(left));
            }
        }
        return Some(out);
    }
    for line in data.chunks(row + 1) {
        let start = out.len();
        let Some((kind, line)) = line.split_first() else { break };
        for (at, byte) in line.iter().enumerate() {
            let before = |back: usize| (start + at).checked_sub(back).and_then(|n| out.get(n)).copied().unwrap_or_default();
            let left = if at >= pixel { before(pixel) } else { 0 };
            let up = if start >= row { before(row) } else { 0 };
            let corner = if at >= pixel && start >= row { before(row + pixel) } else { 0 };
            let predicted = match kind {
                1 => left,
                2 => up,
                3 => ((u16::from(left) + u16::from(up)) / 2) as u8,
                4 => paeth(left, up, corner),
                _ => 0,
            };
            out.push(byte.wrapping_add(predicted));
        }
    }
    Some(out)
}

fn paeth(left: u8, up: u8, corner: u8) -> u8 {
    let (a, b, c) = (i16::from(left), i16::from(up), i16::from(corner));
    let p = a + b - c;
    let (pa, pb, pc) = ((p - a).abs(), (p - b).abs(), (p - c).abs());
    if pa <= pb && pa <= pc {
        left
    } else if pb <= pc {
        up
    } else {
        corner
    }
}
