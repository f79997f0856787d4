//! lz4: frames, also in the old form, one after the other as one file; skippable frames between them.

use std::io::{Error, ErrorKind, Read};

use super::super::find::{Finds, Leaf};
use super::Container;
use super::stream::{self, Format, How, Piece, quietly};
use super::zstd::{behind_skippable, skippable};

pub(super) const CONTAINER: Container = Container {
    name: "lz4",
    opens: "lz4 files",
    is: |leaf| behind_skippable(leaf.data, is_frame).is_some(),
    open: |leaf: &Leaf, finds: &mut Finds| stream::open(leaf, finds, &FORMAT),
};

const FRAME: &[u8] = b"\x04\x22\x4d\x18";
const OLD: &[u8] = b"\x02\x21\x4c\x18";
/// How far back a match may reach.
const HISTORY: usize = 64 << 10;
/// Content of a block in the old form.
const OLD_BLOCK: usize = 8 << 20;

const FORMAT: Format = Format { magic: FRAME, starts: |bytes| is_frame(bytes) || skippable(bytes).is_some(), one };

fn is_frame(bytes: &[u8]) -> bool {
    bytes.starts_with(FRAME) || bytes.starts_with(OLD)
}

fn one(rest: &[u8], finds: &mut Finds, name: &str) -> Piece {
    if let Some(size) = skippable(rest) {
        return Piece { used: size.min(rest.len()), ..Piece::none(How::Whole) };
    }
    let Some(mut reader) = Lz4::new(rest) else { return Piece::none(How::Broken) };
    let (bytes, how) = quietly(finds, &mut reader, rest.len(), name);
    // What a dictionary would give is missing.
    let how = if how == How::Broken && reader.dictionary { How::Unknown } else { how };
    Piece { bytes, how, used: rest.len() - reader.rest.len(), name: None }
}

struct Lz4<'a> {
    rest: &'a [u8],
    old: bool,
    dictionary: bool,
    /// Bytes behind each block, and behind the last one: checksums, which are not looked at.
    block_sum: usize,
    sum: usize,
    most: usize,
    /// What came before and may be repeated, and from `handed` on what is to be handed out.
    out: Vec<u8>,
    handed: usize,
    done: bool,
}

impl<'a> Lz4<'a> {
    /// Reads the header of a frame.
    fn new(data: &'a [u8]) -> Option<Self> {
        let plain = Self {
            rest: data.get(4..)?,
            old: true,
            dictionary: false,
            block_sum: 0,
            sum: 0,
            most: OLD_BLOCK,
            out: Vec::new(),
            handed: 0,
            done: false,
        };
        if data.starts_with(OLD) {
            return Some(plain);
        }
        let &[flags, sizes] = plain.rest.first_chunk::<2>()?;
        let given = |bit: u8, size: usize| if flags >> bit & 1 == 1 { size } else { 0 };
        let header = 2 + given(3, 8) + given(0, 4) + 1;
        Some(Self {
            rest: plain.rest.get(header..)?,
            old: false,
            dictionary: flags & 1 == 1,
            block_sum: given(4, 4),
            sum: given(2, 4),
            most: 1 << (8 + 2 * u32::from(sizes >> 4 & 7)),
            ..plain
        })
    }

    /// Unpacks the next block behind what is kept; false at the end of the frame.
    fn block(&mut self) -> Option<bool> {
        if self.old && (self.rest.is_empty() || is_frame(self.rest) || skippable(self.rest).is_some()) {
            return Some(false);
        }
        let size = u32::from_le_bytes(*self.rest.first_chunk::<4>()?);
        let body = self.rest.get(4..)?;
        if size == 0 && !self.old {
            self.rest = body.get(self.sum.min(body.len())..)?;
            return Some(false);
        }
        let stored = size >> 31 == 1 && !self.old;
        let size = usize::try_from(if self.old { size } else { size & 0x7fff_ffff }).ok()?;
        let packed = body.get(..size)?;
        self.rest = body.get(size.saturating_add(self.block_sum).min(body.len())..)?;
        self.out.drain(..self.out.len().saturating_sub(HISTORY));
        self.handed = self.out.len();
        let most = self.handed + self.most;
        if stored {
            self.out.extend_from_slice(packed.get(..packed.len().min(self.most))?);
            return Some(true);
        }
        unpack(packed, &mut self.out, most).then_some(true)
    }
}

/// Unpacks a block behind what `out` holds already; false where it is damaged.
fn unpack(packed: &[u8], out: &mut Vec<u8>, most: usize) -> bool {
    let mut rest = packed;
    while let Some(token) = next(&mut rest) {
        let plain = length(&mut rest, token >> 4)
            .filter(|literals| out.len() + literals <= most)
            .and_then(|literals| rest.split_at_checked(literals));
        let Some((plain, behind)) = plain else { return false };
        out.extend_from_slice(plain);
        rest = behind;
        let (Some(low), Some(high)) = (next(&mut rest), next(&mut rest)) else { return rest.is_empty() };
        let back = usize::from(u16::from_le_bytes([low, high]));
        let Some(mut left) = length(&mut rest, token & 15).map(|n| n + 4) else { return false };
        let Some(mut from) = out.len().checked_sub(back).filter(|_| back > 0 && out.len() + left <= most) else { return false };
        while left > 0 {
            let n = left.min(out.len() - from);
            out.extend_from_within(from..from + n);
            (from, left) = (from + n, left - n);
        }
    }
    true
}

fn next(rest: &mut &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

/// A length of four bits; if all are set, bytes that add to it follow, up to one that is not full.
fn length(rest: &mut &[u8], bits: u8) -> Option<usize> {
    let mut sum = usize::from(bits);
    if bits == 15 {
        loop {
            let more = next(rest)?;
            sum += usize::from(more);
            if more != 255 {
                break;
            }
        }
    }
    Some(sum)
}

impl Read for Lz4<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        while self.handed >= self.out.len() && !self.done {
            match self.block() {
                Some(going_on) => self.done = !going_on,
                // What the damaged block gave is handed out first.
                None if self.handed < self.out.len() => {}
                None => return Err(Error::from(ErrorKind::InvalidData)),
            }
        }
        let ready = self.out.get(self.handed..).unwrap_or_default();
        let n = ready.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), ready.get(..n)) {
            to.copy_from_slice(from);
        }
        self.handed += n;
        Ok(n)
    }
}
