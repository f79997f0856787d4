//! Reading the journal after a crash: which records count, where the log was cut off, and what is damaged. Pure: bytes in.
//!
//! Records of a segment have consecutive sequences. Where one is missing or its checksum is wrong, one of two things happened. A
//! write was cut off before its sync ended: nobody was promised it, and nothing after it counts. Or the disk lost what had been
//! synced: that is damage. The `synced` of later records and the `previous last` of the next segment tell which.

use super::frame::{ALIGN, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, SegmentHeader, is_right, record_len};

/// A record that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub header: RecordHeader,
    /// Where its payload begins in the segment.
    pub payload: usize,
}

/// Bytes of the log that were synced once and cannot be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hole {
    pub offset: usize,
    pub length: usize,
    /// The sequences that are missing: from here up to, not including, the next.
    pub from: u64,
    pub to: u64,
}

/// What a segment has.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    pub records: Vec<Found>,
    pub holes: Vec<Hole>,
    /// Where a write was cut off.
    pub torn: Option<usize>,
    /// The last sequence that counts (the one before the first, if none does).
    pub last: u64,
    /// The highest sequence seen, counting or not: new ones begin above it.
    pub seen: u64,
    /// The highest horizon seen.
    pub horizon: u64,
}

/// A stretch of a segment, while reading.
struct Walk<'a> {
    bytes: &'a [u8],
    ordinal: u64,
    at: usize,
}

enum Step {
    Record(Found),
    /// A record whose payload is not what was written.
    Bad(RecordHeader),
    /// No record here.
    Nothing,
}

impl Walk<'_> {
    fn step(&self, expected: u64) -> Step {
        let Some(header) = self.bytes.get(self.at..).and_then(RecordHeader::decode) else { return Step::Nothing };
        if header.ordinal != self.ordinal || header.sequence < expected {
            return Step::Nothing;
        }
        let payload = self.at + RECORD_HEADER;
        match payload.checked_add(header.length as usize).and_then(|end| self.bytes.get(payload..end)) {
            Some(bytes) if is_right(crc32fast::hash(bytes), header.crc) => Step::Record(Found { header, payload }),
            _ => Step::Bad(header),
        }
    }

    /// The next place that has a header of this segment with a sequence of at least `expected`.
    fn resume(&self, expected: u64) -> Option<usize> {
        (self.at + ALIGN..self.bytes.len()).step_by(ALIGN).find(|at| {
            let begun = self.bytes.get(*at..).filter(|rest| RecordHeader::looks_begun(rest));
            begun.and_then(RecordHeader::decode).is_some_and(|header| header.ordinal == self.ordinal && header.sequence >= expected)
        })
    }
}

/// Reads a segment. `limit`: the `previous last` of the next segment, if there is one.
pub(super) fn scan(bytes: &[u8], header: &SegmentHeader, limit: Option<u64>) -> Scan {
    let mut scan = Scan { last: header.first.saturating_sub(1), horizon: header.horizon, ..Scan::default() };
    scan.seen = scan.last.max(header.previous_last);
    let mut walk = Walk { bytes, ordinal: header.ordinal, at: SEGMENT_HEADER };
    let mut expected = header.first;
    let mut synced = header.previous_last;
    let mut gaps: Vec<Hole> = Vec::new();
    let mut gap = None;
    loop {
        match walk.step(expected) {
            Step::Record(found) => {
                let offset = gap.take().unwrap_or(walk.at);
                if found.header.sequence > expected || offset < walk.at {
                    gaps.push(Hole { offset, length: walk.at - offset, from: expected, to: found.header.sequence });
                }
                expected = found.header.sequence + 1;
                synced = synced.max(found.header.synced);
                scan.horizon = scan.horizon.max(found.header.horizon);
                scan.records.push(found);
                walk.at += found.header.total();
            }
            Step::Bad(header) => {
                gap.get_or_insert(walk.at);
                scan.seen = scan.seen.max(header.sequence);
                synced = synced.max(header.synced);
                // Its length may be what is right, or the end of the file may have come first.
                match walk.at.checked_add(record_len(header.length as usize)) {
                    Some(next) if next <= bytes.len() => walk.at = next,
                    _ => break,
                }
            }
            Step::Nothing => match walk.resume(expected) {
                Some(next) => {
                    gap.get_or_insert(walk.at);
                    walk.at = next;
                }
                None => break,
            },
        }
    }
    scan.seen = scan.seen.max(expected.saturating_sub(1));
    // The end: a record was begun, or a gap was still open.
    let begun = bytes.get(walk.at..).is_some_and(RecordHeader::looks_begun) && !is_stale(bytes, walk.at, header.ordinal);
    let end = gap.or(begun.then_some(walk.at));
    let promised = limit.unwrap_or(synced);
    if expected <= promised {
        let offset = end.unwrap_or(walk.at);
        gaps.push(Hole { offset, length: bytes.len().saturating_sub(offset), from: expected, to: promised + 1 });
    } else if limit.is_none() {
        scan.torn = end;
    }
    judge(&mut scan, gaps, promised, limit);
    scan
}

/// Gaps up to `promised` are damage; the first gap beyond ends the log.
fn judge(scan: &mut Scan, gaps: Vec<Hole>, promised: u64, limit: Option<u64>) {
    let mut end = limit.unwrap_or(u64::MAX);
    for gap in gaps {
        if gap.from <= promised {
            scan.holes.push(gap);
        } else {
            end = end.min(gap.from - 1);
            if limit.is_none() {
                scan.torn = Some(scan.torn.map_or(gap.offset, |torn| torn.min(gap.offset)));
            }
        }
    }
    scan.records.retain(|found| found.header.sequence <= end);
    let last = scan.records.last().map(|found| found.header.sequence);
    let hole = scan.holes.last().map(|hole| hole.to - 1);
    scan.last = scan.last.max(last.unwrap_or(0)).max(hole.unwrap_or(0));
}

/// Whether a whole record of an earlier use of the file lies here.
fn is_stale(bytes: &[u8], at: usize, ordinal: u64) -> bool {
    bytes.get(at..).and_then(RecordHeader::decode).is_some_and(|header| header.ordinal != ordinal)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 4096;

    /// A segment with records of these payload lengths; every record says that the one before it was synced.
    fn segment(ordinal: u64, first: u64, lengths: &[usize]) -> (Vec<u8>, SegmentHeader, Vec<usize>) {
        let header = SegmentHeader { ordinal, first, previous_last: first - 1, horizon: 0, size: SIZE as u64 };
        let mut bytes = header.encode().to_vec();
        let mut ends = Vec::new();
        for (i, length) in lengths.iter().enumerate() {
            let payload: Vec<u8> = (0..*length).map(|n| (n * 7 + i) as u8).collect();
            let sequence = first + i as u64;
            let crc = crc32fast::hash(&payload);
            let record = RecordHeader { ordinal, sequence, synced: sequence - 1, horizon: i as u64, length: *length as u32, crc };
            bytes.extend_from_slice(&record.encode());
            bytes.extend_from_slice(&payload);
            bytes.resize(bytes.len().next_multiple_of(ALIGN), 0);
            ends.push(bytes.len());
        }
        bytes.resize(SIZE, 0);
        (bytes, header, ends)
    }

    fn sequences(scan: &Scan) -> Vec<u64> {
        scan.records.iter().map(|found| found.header.sequence).collect()
    }

    const LENGTHS: [usize; 5] = [100, 0, 33, 200, 64];

    #[test]
    fn whole() {
        let (bytes, header, _) = segment(4, 10, &LENGTHS);
        for limit in [None, Some(14)] {
            let scan = scan(&bytes, &header, limit);
            assert_eq!(sequences(&scan), [10, 11, 12, 13, 14]);
            assert_eq!((scan.last, scan.seen, scan.horizon, scan.torn), (14, 14, 4, None));
            assert_eq!(scan.holes, []);
        }
    }

    #[test]
    fn cut_at_every_byte_it_has_what_was_whole_before() {
        let (bytes, header, ends) = segment(4, 10, &LENGTHS);
        for cut in SEGMENT_HEADER..SIZE {
            // What follows the cut is zeros, the remains of an earlier use, or nothing at all.
            let mut zeros = bytes.clone();
            zeros[cut..].fill(0);
            let mut stale = segment(3, 5, &[48; 30]).0;
            stale[..cut].copy_from_slice(&bytes[..cut]);
            for (kind, cut_bytes) in [("zeros", zeros), ("stale", stale), ("short", bytes[..cut].to_vec())] {
                let scan = scan(&cut_bytes, &header, None);
                let mut whole = ends.iter().filter(|end| **end <= cut).count();
                if let Some(found) = scan.records.get(whole) {
                    // Only zeros were cut away: padding, or the tail of a header that is zero anyway.
                    let end = found.payload + found.header.length as usize;
                    assert!(cut_bytes.get(..end) == bytes.get(..end), "{kind} {cut}");
                    whole += 1;
                }
                assert_eq!(sequences(&scan), (10..10 + whole as u64).collect::<Vec<_>>(), "{kind} {cut}");
                assert_eq!(scan.holes, [], "{kind} {cut}");
                assert!(scan.seen < 16, "{kind} {cut}");
            }
        }
    }

    #[test]
    fn a_changed_byte_in_what_was_synced_is_damage() {
        let (bytes, header, ends) = segment(4, 10, &LENGTHS);
        for at in SEGMENT_HEADER..ends[3] {
            let mut changed = bytes.clone();
            changed[at] ^= 0x40;
            let scan = scan(&changed, &header, None);
            let hit = ends.iter().position(|end| at < *end).unwrap();
            if scan.records.len() == 5 {
                assert_eq!(changed[at] ^ 0x40, 0, "padding may change: byte {at}");
                continue;
            }
            let want: Vec<u64> = (10..15).filter(|n| *n != 10 + hit as u64).collect();
            assert_eq!(sequences(&scan), want, "byte {at}");
            assert_eq!(scan.holes.iter().map(|hole| (hole.from, hole.to)).collect::<Vec<_>>(), [(want_hole(hit), want_hole(hit) + 1)]);
            assert_eq!(scan.last, 14);
        }
    }

    fn want_hole(hit: usize) -> u64 {
        10 + hit as u64
    }

    #[test]
    fn a_gap_in_what_was_not_synced_ends_the_log() {
        let (mut bytes, header, ends) = segment(4, 10, &LENGTHS);
        // Record 13 was cut off and 14, of the same write, was not: 14 must not say that 13 was synced.
        let mut last = RecordHeader::decode(&bytes[ends[3]..]).unwrap();
        last.synced = 12;
        bytes[ends[3]..ends[3] + RECORD_HEADER].copy_from_slice(&last.encode());
        bytes[ends[2] + RECORD_HEADER + 3] ^= 1;
        let first = scan(&bytes, &header, None);
        assert_eq!(sequences(&first), [10, 11, 12]);
        assert_eq!((first.torn, first.last, first.seen), (Some(ends[2]), 12, 14));
        // A second look, when the next segment has begun, comes to the same.
        let again = scan(&bytes, &header, Some(12));
        assert_eq!((sequences(&again), again.holes.len(), again.torn), (vec![10, 11, 12], 0, None));
    }

    #[test]
    fn the_next_segment_says_what_must_be_there() {
        let (mut bytes, header, ends) = segment(4, 10, &LENGTHS);
        bytes[ends[2]..].fill(0);
        let scan = scan(&bytes, &header, Some(14));
        assert_eq!(sequences(&scan), [10, 11, 12]);
        assert_eq!(scan.holes, [Hole { offset: ends[2], length: SIZE - ends[2], from: 13, to: 15 }]);
        assert_eq!(scan.last, 14);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do(bytes in proptest::collection::vec(0u8.., 0..600), at in 0usize..600) {
            let (mut whole, header, _) = segment(4, 10, &LENGTHS);
            whole[SEGMENT_HEADER + at..][..bytes.len()].copy_from_slice(&bytes);
            let scan = scan(&whole, &header, None);
            proptest::prop_assert!(scan.records.windows(2).all(|pair| pair[0].header.sequence < pair[1].header.sequence));
        }
    }
}
