//! Deflated pieces in the streams of a document, wherever they start: embedded objects and pictures of office programs.

use bytes::Bytes;

use super::super::super::find::{Finds, Item};
use super::super::lenient::{self, is_deflated};

/// The least that is worth a part, and that shows that it is no accident.
const LEAST: usize = 64;
/// What a try costs of the effort: it goes on for this long at most.
const TRY: usize = 4096;

/// Hands out what the deflated pieces hold; false where a limit is reached.
pub(super) fn blobs(name: &str, bytes: &Bytes, finds: &mut Finds) -> bool {
    let mut at = 0;
    while let Some(start) = bytes.get(at..).and_then(|rest| memchr::memchr(0x78, rest)).map(|n| at + n) {
        at = start + 1;
        if !matches!(bytes.get(at), Some(0x01 | 0x5e | 0x9c | 0xda)) {
            continue;
        }
        let Some(packed) = bytes.get(start..) else { break };
        if !finds.look(TRY) {
            return false;
        }
        if !is_deflated(packed.get(..packed.len().min(TRY)).unwrap_or_default(), true, LEAST) {
            continue;
        }
        let (unpacked, used) = lenient::inflate(packed, u64::MAX, name, finds);
        at = start + used.max(1);
        if !finds.add(Item::Blob { name: Some(format!("{name}.unpacked")), bytes: unpacked }) {
            return false;
        }
    }
    true
}
