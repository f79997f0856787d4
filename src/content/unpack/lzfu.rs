//! Compressed RTF of Exchange and Outlook (MS-OXRTFCP).

use super::super::find::Finds;
use super::ints::{le32, size_at};

/// What the window holds before anything came out (MS-OXRTFCP section 2.1.2.1).
const START: &[u8] =
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor MS Sans SerifSymbolArial\
Times New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
/// Size of the window.
const WINDOW: usize = 4096;
/// Said of text that is compressed, and of text that is not.
const PACKED: u32 = 0x7546_5a4c;
const PLAIN: u32 = 0x414c_454d;

/// The text, as far as it can be read; empty if it is no compressed RTF. Neither size nor checksum in the header is believed. It gets at most
/// some nine times bigger than what it is read from.
pub(super) fn unpack(packed: &[u8]) -> Vec<u8> {
    let data = packed.get(16..).unwrap_or_default();
    match le32(packed, 8) {
        Some(PLAIN) => data.to_vec(),
        Some(PACKED) => unpack_data(data),
        _ => Vec::new(),
    }
}

/// Hands out the text as a member; false where a limit is reached.
pub(super) fn add(packed: &[u8], finds: &mut Finds) -> bool {
    let rtf = unpack(packed);
    match (rtf.is_empty(), size_at(packed, 4)) {
        (false, _) => finds.add_decoded(Some("body.rtf".into()), rtf),
        (true, Some(1..)) => finds.add_decoded(None, packed.to_vec()),
        (true, _) => true,
    }
}

fn unpack_data(data: &[u8]) -> Vec<u8> {
    let mut window = [b' '; WINDOW];
    let mut write = START.len();
    if let Some(start) = window.get_mut(..write) {
        start.copy_from_slice(START);
    }
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(flags) = data.get(at) {
        at += 1;
        for bit in 0..8 {
            if flags >> bit & 1 == 0 {
                let Some(byte) = data.get(at) else { return out };
                at += 1;
                put(*byte, &mut window, &mut write, &mut out);
                continue;
            }
            let Some(token) = data.get(at..).and_then(|rest| rest.first_chunk()).map(|pair| u16::from_be_bytes(*pair)) else { return out };
            at += 2;
            let (mut read, length) = (usize::from(token >> 4), usize::from(token & 0xf) + 2);
            // A copy from where the next byte is written says that it is the end.
            if read == write {
                return out;
            }
            for _ in 0..length {
                let byte = window.get(read).copied().unwrap_or_default();
                read = (read + 1) % WINDOW;
                put(byte, &mut window, &mut write, &mut out);
            }
        }
    }
    out
}

fn put(byte: u8, window: &mut [u8; WINDOW], write: &mut usize, out: &mut Vec<u8>) {
    out.push(byte);
    if let Some(place) = window.get_mut(*write) {
        *place = byte;
    }
    *write = (*write + 1) % WINDOW;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of MS-OXRTFCP, section 3.
    #[test]
    fn examples() {
        let simple = b"\x2d\0\0\0\x2b\0\0\0LZFu\xf1\xc5\xc7\xa7\x03\0\x0a\0rcpg125B2\x0a\xf3 hel\x09\0 bw\x05\xb0ld}\x0a\x80\x0f\xa0";
        assert_eq!(unpack(simple), b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n");
        let crossing = b"\x1a\0\0\0\x1c\0\0\0LZFu\xe2\xd4\x4b\x51\x41\0\x04\x20WXYZ\x0d\x6e\x7d\x01\x0e\xb0";
        assert_eq!(unpack(crossing), b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}");
        assert_eq!(unpack(b"\x09\0\0\0\x05\0\0\0MELA\0\0\0\0hello"), b"hello");
        assert_eq!(START.len(), 207);
        for end in 0..simple.len() {
            unpack(&simple[..end]);
            let mut flipped = simple.to_vec();
            flipped[end] ^= 0xff;
            unpack(&flipped);
        }
    }
}
