//! Central directories: all that an end record, or one of its values, leads to. Readers differ in which of them they believe.

use std::collections::{BTreeMap, BTreeSet};

use memchr::memmem;

use super::super::ints::{le16, le32, le64};
use super::headers::{CENTRAL, Header, LOCAL, ZIP64, central};

const END: &[u8] = b"PK\x05\x06";
const END64: &[u8] = b"PK\x06\x06";
const LOCATOR64: &[u8] = b"PK\x06\x07";
/// Starts what precedes an encrypted directory.
const DECRYPTION: &[u8] = b"PK\x06\x08";
/// End records tried, from the last one back and from the first one on.
const MAX_ENDS: usize = 8;
/// Entries read in all: far more than a message may have parts.
const MAX_ENTRIES: usize = 50_000;

/// What all central directories list.
#[derive(Debug, Default)]
pub(super) struct Directory {
    /// By the place of the local header.
    pub members: BTreeMap<usize, Vec<Header>>,
    /// There were more entries than are read.
    pub cut: bool,
    /// The directory itself is encrypted.
    pub hidden: bool,
    /// It is one disk of several.
    pub split: bool,
    entries: usize,
    read: BTreeSet<usize>,
}

impl Directory {
    /// Reads the directories of `data`.
    pub(super) fn read(data: &[u8]) -> Self {
        let mut all = Self::default();
        // Nearly nothing has one, and forwards that is seen faster.
        if memmem::find(data, END).is_none() {
            return all;
        }
        let mut ends: BTreeSet<usize> = memmem::rfind_iter(data, END).take(MAX_ENDS).collect();
        if ends.len() == MAX_ENDS {
            ends.extend(memmem::find_iter(data, END).take(MAX_ENDS));
        }
        for end in ends.into_iter().rev() {
            all.read_end(data, end);
        }
        all
    }

    /// Whether anything is listed.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn read_end(&mut self, data: &[u8], end: usize) {
        let at = |n: usize| end.saturating_add(n);
        let (Some(size), Some(offset)) = (le32(data, at(12)), le32(data, at(16))) else { return };
        let (disk, first) = (le16(data, at(4)).unwrap_or_default(), le16(data, at(6)).unwrap_or_default());
        self.split |= (disk != 0 && disk != u16::MAX) || (first != 0 && first != u16::MAX);
        self.read_at(data, end, u64::from(size), u64::from(offset));
        let located = end.checked_sub(20).is_some_and(|locator| data.get(locator..).is_some_and(|rest| rest.starts_with(LOCATOR64)));
        if (u64::from(size) == ZIP64 || u64::from(offset) == ZIP64 || located)
            && let Some(wide) = data.get(..end).and_then(|data| memmem::rfind(data, END64))
            && let (Some(size), Some(offset)) = (le64(data, wide.saturating_add(40)), le64(data, wide.saturating_add(48)))
        {
            self.read_at(data, wide, size, offset);
        }
    }

    /// Reads the directory of `size` bytes that ends at `end`, and the one at `offset`, which is another one if bytes stand before the
    /// archive or between directory and end.
    fn read_at(&mut self, data: &[u8], end: usize, size: u64, offset: u64) {
        let Ok(offset) = usize::try_from(offset) else { return };
        let before = usize::try_from(size).ok().and_then(|size| end.checked_sub(size));
        for start in [before, Some(offset)].into_iter().flatten() {
            let rest = data.get(start..).unwrap_or_default();
            self.hidden |= size > 0 && rest.starts_with(DECRYPTION);
            if rest.starts_with(CENTRAL) && self.read.insert(start) {
                self.read_entries(data, start, end, start.saturating_sub(offset));
            }
        }
    }

    /// Reads the entries from `start` on; their offsets are off by `shift` because of bytes before the archive.
    fn read_entries(&mut self, data: &[u8], start: usize, end: usize, shift: usize) {
        let mut at = start;
        while at < end {
            let Some(entry) = data.get(at..).filter(|rest| rest.starts_with(CENTRAL)) else { return };
            let Some((header, offset, size)) = central(entry) else { return };
            if self.entries >= MAX_ENTRIES {
                self.cut = true;
                return;
            }
            at = at.saturating_add(size);
            self.entries += 1;
            let offset = usize::try_from(offset).unwrap_or(usize::MAX);
            let fits = |place: &usize| data.get(*place..).is_some_and(|rest| rest.starts_with(LOCAL));
            let mut places: Vec<usize> = [offset.saturating_add(shift), offset].into_iter().filter(fits).collect();
            places.dedup();
            if places.is_empty() {
                places.push(offset);
            }
            for place in places {
                let listed = self.members.entry(place).or_default();
                if listed.len() < MAX_ENDS && !listed.contains(&header) {
                    listed.push(header.clone());
                }
            }
        }
    }
}

/// The comment behind the last end record, if there is one.
pub(super) fn comment(data: &[u8]) -> Option<String> {
    let end = memmem::rfind(data, END)?;
    let text = data.get(end.checked_add(22)?..)?;
    let text = text.get(..text.len().min(1 << 16))?;
    text.iter().any(u8::is_ascii_alphanumeric).then(|| String::from_utf8_lossy(text).into_owned())
}
