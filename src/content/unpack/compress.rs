//! compress (`.Z`): LZW with codes of 9 to 16 bits that come in groups of eight, and a code that empties the table.

use std::io::{Error, ErrorKind, Read};

use super::super::find::{Finds, Leaf};
use super::Container;
use super::stream::{self, Format, How, Piece, quietly};

pub(super) const CONTAINER: Container = Container {
    name: "compress",
    opens: "files of Unix compress (.Z)",
    is: |leaf| leaf.true_type == "compress",
    open: |leaf: &Leaf, finds: &mut Finds| stream::open(leaf, finds, &FORMAT),
};

/// A stream has no end of its own: nothing is looked for behind it.
const FORMAT: Format = Format { magic: b"\x1f\x9d", starts: |_| false, one };

/// Bits of the first codes.
const FIRST_BITS: u32 = 9;
/// The code that empties the table, in block mode.
const CLEAR: u16 = 256;

fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    let Some((&[_, second, flags], codes)) = rest.split_first_chunk::<3>() else { return Piece::none(How::Broken) };
    let bits = u32::from(flags & 0x1f);
    // 1F A0 is another method of the same family.
    if second != 0x9d || !(FIRST_BITS..=16).contains(&bits) {
        return Piece { used: rest.len(), ..Piece::none(How::Unknown) };
    }
    let (bytes, how) = quietly(finds, Lzw::new(codes, bits, flags & 0x80 != 0), rest.len(), name);
    Piece { bytes, how, used: rest.len(), name: None }
}

struct Lzw<'a> {
    codes: &'a [u8],
    /// Where the groups of the present width start.
    base: usize,
    /// Bits read since there.
    read: usize,
    width: u32,
    max_bits: u32,
    block: bool,
    prefix: Vec<u16>,
    suffix: Vec<u8>,
    /// The next code that gets a meaning.
    free: usize,
    last: Option<u16>,
    first_byte: u8,
    /// What the last code means, backwards, as far as it has not been handed out.
    ready: Vec<u8>,
}

impl<'a> Lzw<'a> {
    fn new(codes: &'a [u8], max_bits: u32, block: bool) -> Self {
        Self {
            codes,
            base: 0,
            read: 0,
            width: FIRST_BITS,
            max_bits,
            block,
            prefix: vec![0; 1 << max_bits],
            suffix: (0..1usize << max_bits).map(|code| if code < 256 { u8::try_from(code).unwrap_or_default() } else { 0 }).collect(),
            free: if block { 257 } else { 256 },
            last: None,
            first_byte: 0,
            ready: Vec::new(),
        }
    }

    /// Codes of another width start at the end of a group of eight.
    fn widen_to(&mut self, width: u32) {
        let group = self.width as usize * 8;
        self.base += self.read.div_ceil(group) * group / 8;
        (self.read, self.width) = (0, width);
    }

    fn code(&mut self) -> Option<u16> {
        let at = self.base + self.read / 8;
        let bytes = [0, 1, 2].map(|n| self.codes.get(at + n).copied());
        let there = bytes.iter().flatten().count() * 8;
        let (shift, width) = (self.read % 8, self.width as usize);
        if there < shift + width {
            return None;
        }
        let [a, b, c] = bytes.map(|byte| u32::from(byte.unwrap_or_default()));
        self.read += width;
        let code = ((a | b << 8 | c << 16) >> shift) & ((1 << width) - 1);
        u16::try_from(code).ok()
    }

    /// Reads one code into `ready`; false at the end.
    fn step(&mut self) -> std::io::Result<bool> {
        if self.free >= 1 << self.width && self.width < self.max_bits {
            self.widen_to(self.width + 1);
        }
        let Some(code) = self.code() else { return Ok(false) };
        let damaged = || Error::from(ErrorKind::InvalidData);
        let Some(last) = self.last else {
            self.first_byte = u8::try_from(code).map_err(|_| damaged())?;
            self.last = Some(code);
            self.ready.push(self.first_byte);
            return Ok(true);
        };
        if code == CLEAR && self.block {
            self.widen_to(FIRST_BITS);
            // The next code gets no meaning worth the name: it takes the place of the clear code.
            self.free = 256;
            return Ok(true);
        }
        let mut walk = usize::from(code);
        if walk > self.free {
            return Err(damaged());
        }
        if walk == self.free {
            self.ready.push(self.first_byte);
            walk = usize::from(last);
        }
        // A code's prefix is always a lower code, but for the one in the place of the clear code: so the steps are bounded.
        let mut steps = 0;
        while walk >= 256 {
            let (Some(suffix), Some(prefix)) = (self.suffix.get(walk), self.prefix.get(walk)) else { return Err(damaged()) };
            self.ready.push(*suffix);
            walk = usize::from(*prefix);
            steps += 1;
            if steps > 1 << 16 {
                return Err(damaged());
            }
        }
        self.first_byte = u8::try_from(walk).unwrap_or_default();
        self.ready.push(self.first_byte);
        if let (Some(prefix), Some(suffix)) = (self.prefix.get_mut(self.free), self.suffix.get_mut(self.free)) {
            (*prefix, *suffix) = (last, self.first_byte);
            self.free += 1;
        }
        self.last = Some(code);
        Ok(true)
    }
}

impl Read for Lzw<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let mut n = 0;
        for place in out {
            while self.ready.is_empty() {
                match self.step() {
                    Ok(true) => {}
                    Ok(false) => return Ok(n),
                    // What came before the damage is handed out first.
                    Err(_) if n > 0 => return Ok(n),
                    Err(error) => return Err(error),
                }
            }
            *place = self.ready.pop().unwrap_or_default();
            n += 1;
        }
        Ok(n)
    }
}
