//! How the journal looks on disk: the header of a segment and the header of a record. Numbers are little-endian.
//!
//! ```text
//! segment   0 "MWSEG\0\0\1"  8 crc32 of 16..64  12 -  16 ordinal  24 first sequence  32 previous last  40 horizon  48 size  56 -
//! record    0 "MWRC"  4 crc32 of 8..56  8 ordinal  16 sequence  24 synced  32 horizon  40 length  44 crc32 of the payload  48 kind
//!           56 payload, then zeros to a multiple of 8
//! ```
//!
//! The **ordinal** counts segments from the first one ever, the **sequence** counts records: together they tell what was
//! written last from what an earlier use of the same file left behind. **synced** is the last sequence known to be on disk when
//! the record was written: a gap below it is damage, a gap above it is a write that was cut off, which nobody was promised.
//! **horizon**: everything before it is in plain files already. **previous last** is where the log ended before this segment:
//! whatever an older segment has beyond it is not part of the log.

use crc32fast::hash;

/// Bytes of a segment header.
pub(super) const SEGMENT_HEADER: usize = 64;
/// Bytes of a record header.
pub(super) const RECORD_HEADER: usize = 56;
/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 8;

const SEGMENT_MAGIC: [u8; 8] = *b"MWSEG\0\0\x01";
const RECORD_MAGIC: [u8; 4] = *b"MWRC";
/// The only kind of record so far: a batch of changes.
const KIND_CHANGES: u8 = 1;

/// The head of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub ordinal: u64,
    pub first: u64,
    pub previous_last: u64,
    pub horizon: u64,
    pub size: u64,
}

/// The head of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub ordinal: u64,
    pub sequence: u64,
    pub synced: u64,
    pub horizon: u64,
    pub length: u32,
    pub crc: u32,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        put(&mut out, 0, &SEGMENT_MAGIC);
        for (i, number) in [self.ordinal, self.first, self.previous_last, self.horizon, self.size].into_iter().enumerate() {
            put(&mut out, 16 + 8 * i, &number.to_le_bytes());
        }
        let crc = hash(&out[16..]);
        put(&mut out, 8, &crc.to_le_bytes());
        out
    }

    /// The header at the start of `bytes`, if there is a whole one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..SEGMENT_HEADER)?;
        (bytes.starts_with(&SEGMENT_MAGIC) && is_right(u32_at(bytes, 8)?, hash(&bytes[16..]))).then_some(())?;
        Some(Self {
            ordinal: count_at(bytes, 16)?,
            first: count_at(bytes, 24)?,
            previous_last: count_at(bytes, 32)?,
            horizon: count_at(bytes, 40)?,
            size: count_at(bytes, 48)?,
        })
    }
}

impl RecordHeader {
    pub(super) fn encode(&self) -> [u8; RECORD_HEADER] {
        let mut out = [0; RECORD_HEADER];
        put(&mut out, 0, &RECORD_MAGIC);
        for (i, number) in [self.ordinal, self.sequence, self.synced, self.horizon].into_iter().enumerate() {
            put(&mut out, 8 + 8 * i, &number.to_le_bytes());
        }
        put(&mut out, 40, &self.length.to_le_bytes());
        put(&mut out, 44, &self.crc.to_le_bytes());
        put(&mut out, 48, &[KIND_CHANGES]);
        let crc = hash(&out[8..]);
        put(&mut out, 4, &crc.to_le_bytes());
        out
    }

    /// The header at the start of `bytes`, if there is a whole one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..RECORD_HEADER)?;
        (bytes.starts_with(&RECORD_MAGIC) && is_right(u32_at(bytes, 4)?, hash(&bytes[8..])) && bytes[48] == KIND_CHANGES).then_some(())?;
        Some(Self {
            ordinal: count_at(bytes, 8)?,
            sequence: count_at(bytes, 16)?,
            synced: count_at(bytes, 24)?,
            horizon: count_at(bytes, 32)?,
            length: u32_at(bytes, 40)?,
            crc: u32_at(bytes, 44)?,
        })
    }

    /// Whether bytes that are no whole header look like the beginning of one that was being written.
    pub(super) fn looks_begun(bytes: &[u8]) -> bool {
        bytes.starts_with(&RECORD_MAGIC)
    }

    /// Bytes of header, payload and padding.
    pub(super) fn total(&self) -> usize {
        record_len(self.length as usize)
    }
}

/// Whether a checksum is right. A fuzzer would never get past it, and what lies behind it must bear anything too.
pub(super) fn is_right(written: u32, computed: u32) -> bool {
    written == computed || cfg!(fuzzing)
}

/// Bytes that a record with this payload takes in a segment.
pub(super) fn record_len(payload: usize) -> usize {
    (RECORD_HEADER + payload).next_multiple_of(ALIGN)
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(slot) = out.get_mut(at..at + bytes.len()) {
        slot.copy_from_slice(bytes);
    }
}

/// A number that is counted up one by one and so is never near the end of its type: counting on from it cannot overflow.
fn count_at(bytes: &[u8], at: usize) -> Option<u64> {
    u64_at(bytes, at).filter(|number| *number < 1 << 62)
}

/// The number at `at`, if the bytes reach that far.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The number at `at`, if the bytes reach that far.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: RecordHeader = RecordHeader { ordinal: 3, sequence: 77, synced: 70, horizon: 60, length: 1234, crc: 0xDEAD_BEEF };
    const SEGMENT: SegmentHeader = SegmentHeader { ordinal: 3, first: 70, previous_last: 69, horizon: 60, size: 1 << 24 };

    #[test]
    fn headers_read_back() {
        assert_eq!(RecordHeader::decode(&RECORD.encode()), Some(RECORD));
        assert_eq!(SegmentHeader::decode(&SEGMENT.encode()), Some(SEGMENT));
    }

    #[test]
    fn cut_or_changed_anywhere_they_are_none() {
        for at in 0..RECORD_HEADER {
            let mut bytes = RECORD.encode();
            assert_eq!(RecordHeader::decode(&bytes[..at]), None);
            bytes[at] ^= 1;
            assert_eq!(RecordHeader::decode(&bytes), None, "record byte {at}");
        }
        for at in (0..12).chain(16..SEGMENT_HEADER) {
            let mut bytes = SEGMENT.encode();
            assert_eq!(SegmentHeader::decode(&bytes[..at]), None);
            bytes[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&bytes), None, "segment byte {at}");
        }
    }

    #[test]
    fn records_stay_aligned() {
        for payload in 0..100 {
            let total = record_len(payload);
            assert!(total.is_multiple_of(ALIGN) && total >= RECORD_HEADER + payload && total < RECORD_HEADER + payload + ALIGN);
        }
    }
}
