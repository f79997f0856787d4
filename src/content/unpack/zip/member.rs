//! One member, opened in every way that one of its headers asks for; where none of them gives what its checksum says, in others too.

use bytes::Bytes;
use memchr::memmem;

use super::super::super::find::Finds;
use super::super::ints::le32;
use super::super::stream::{How, UNPACKING};
use super::headers::{CENTRAL, DESCRIPTOR, Header, LOCAL, ZIP64, crc_of, is_local_header};
use super::methods::{self, GUESSES, Outcome, STORED};

/// Bytes that a decoder reads ahead, at most.
const AHEAD: usize = 8;

/// A member and all that is said about it.
pub(super) struct Member<'a> {
    /// The local header, and what the directories say, which comes first.
    pub headers: Vec<&'a Header>,
    /// Where its data starts.
    pub start: usize,
    /// A checksum that stands behind data which is read elsewhere, decrypted.
    pub behind: Option<u32>,
}

/// What opening a member gave.
#[derive(Default)]
pub(super) struct Readings {
    /// Contents that differ, the likeliest first.
    pub contents: Vec<Bytes>,
    /// One of them is what the headers say.
    pub right: bool,
    /// One of them came to its end.
    pub whole: bool,
    /// One that a header asks for is not known here.
    pub unknown: bool,
    /// Why the best of them is not whole.
    pub how: Option<How>,
    /// Where its data ends.
    pub end: usize,
    /// No effort or no time is left.
    pub stop: bool,
}

impl Member<'_> {
    /// Its names, each once.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for header in &self.headers {
            // Some readers end a name at a NUL.
            let cut = header.name.split('\0').next().unwrap_or_default();
            for name in [header.name.as_str(), cut] {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
        names
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.headers.iter().any(|header| header.is_encrypted())
    }

    /// Methods that its headers name, each once.
    fn methods(&self) -> Vec<u16> {
        let mut methods: Vec<u16> = self.headers.iter().map(|header| header.method).collect();
        methods.dedup();
        methods
    }

    /// Checksums that its headers name, where they do.
    fn checksums(&self) -> Vec<u32> {
        let known = self.headers.iter().filter(|header| header.crc != 0 || (header.size == 0 && !header.is_followed()));
        known.map(|header| header.crc).chain(self.behind).collect()
    }

    /// The size that comes out, for methods without an end of their own.
    fn size(&self) -> u64 {
        let sizes = self.headers.iter().map(|header| header.size).filter(|size| *size != ZIP64);
        sizes.max().filter(|size| *size > 0).unwrap_or(u64::MAX)
    }

    /// Where its data may end, by its headers or else by what follows; the longest last. `None` where a limit is reached.
    pub(super) fn ends(&self, data: &[u8], finds: &mut Finds) -> Option<Vec<usize>> {
        let said = self.headers.iter().filter(|header| header.packed != ZIP64 && !(header.packed == 0 && header.is_followed()));
        let mut ends: Vec<usize> = said
            .flat_map(|header| {
                // A reader of stored data may go by either size.
                let other = if header.method == STORED && !header.is_encrypted() { header.size } else { header.packed };
                [header.packed, other]
            })
            .map(|packed| self.start.saturating_add(usize::try_from(packed).unwrap_or(usize::MAX)).min(data.len()))
            .collect();
        if ends.is_empty() {
            if !finds.look(data.len().saturating_sub(self.start)) {
                return None;
            }
            ends.push(self.unsaid_end(data));
        }
        ends.sort_unstable();
        ends.dedup();
        Some(ends)
    }

    /// Where stored data ends that only a data descriptor knows the size of: before one that is right, else before the next header.
    fn unsaid_end(&self, data: &[u8]) -> usize {
        let rest = data.get(self.start..).unwrap_or_default();
        let described = memmem::find_iter(rest, DESCRIPTOR).find(|at| {
            let packed = le32(rest, at.saturating_add(8)).and_then(|packed| usize::try_from(packed).ok());
            packed == Some(*at)
        });
        let next_local = || memmem::find_iter(rest, LOCAL).find(|at| rest.get(*at..).is_some_and(is_local_header));
        let before = || {
            let next = [next_local(), memmem::find(rest, CENTRAL)].into_iter().flatten().min()?;
            // A descriptor without a signature: checksum, packed size, size.
            let bare = next.checked_sub(12).filter(|at| le32(rest, at + 4).and_then(|n| usize::try_from(n).ok()) == Some(*at));
            Some(bare.unwrap_or(next))
        };
        self.start.saturating_add(described.or_else(before).unwrap_or(rest.len()))
    }

    /// Opens data that is not encrypted, or no longer: `data` from `start` on, to one of `ends`.
    pub(super) fn read(&self, data: &Bytes, start: usize, ends: &[usize], finds: &mut Finds) -> Readings {
        let found = Readings { end: start, ..Readings::default() };
        let mut try_out = Trial { member: self, data, start, ends, sums: self.checksums(), fits: false, found };
        let methods = self.methods();
        for method in &methods {
            if !try_out.method(*method, true, finds) {
                return try_out.found;
            }
        }
        if !try_out.found.right && !try_out.fits && start < data.len() {
            for method in GUESSES.into_iter().filter(|method| !methods.contains(method)) {
                if !try_out.method(method, false, finds) || try_out.found.right {
                    break;
                }
            }
        }
        try_out.found
    }
}

/// The ways tried so far.
struct Trial<'a, 'm> {
    member: &'a Member<'m>,
    data: &'a Bytes,
    start: usize,
    ends: &'a [usize],
    sums: Vec<u32>,
    /// A method that a header names unpacks the data to its very end: whatever the checksum says, that is it.
    fits: bool,
    found: Readings,
}

impl Trial<'_, '_> {
    /// Tries a method; false where a limit of the message is reached.
    fn method(&mut self, method: u16, is_said: bool, finds: &mut Finds) -> bool {
        let packed = self.data.get(self.start..).unwrap_or_default();
        if method == STORED {
            return self.stored(finds);
        }
        if !is_said && !methods::may_be(method, packed) {
            return true;
        }
        let flags = self.member.headers.iter().fold(0, |flags, header| flags | header.flags);
        let name = self.member.headers.first().map(|header| header.name.as_str()).unwrap_or_default();
        let said = self.ends.last().map_or(packed.len(), |end| end.saturating_sub(self.start));
        let outcome = methods::unpack(method, flags, self.member.size(), (packed, said), finds, name);
        // A decoder may have taken some bytes more than it needed.
        let taken = self.start.saturating_add(outcome.used);
        let end = self.ends.iter().copied().rfind(|end| *end <= taken && taken - *end <= AHEAD).unwrap_or(taken);
        self.found.stop |= !finds.look(outcome.used.saturating_mul(UNPACKING).saturating_add(256));
        self.found.unknown |= is_said && outcome.how == How::Unknown;
        let going_on = !self.found.stop && outcome.how != How::Limit;
        let right = outcome.how == How::Whole && self.is_right(&outcome.bytes, end);
        // What is guessed counts where the checksum is right, or it fills the member to its end.
        let fits = outcome.how == How::Whole && !outcome.bytes.is_empty() && self.ends.contains(&end);
        self.fits |= is_said && fits;
        if is_said || right || fits {
            self.add(outcome, right, end);
        }
        going_on
    }

    /// Data that is not packed: as long as its checksum says, and as long as any header says.
    fn stored(&mut self, finds: &mut Finds) -> bool {
        for (n, end) in self.ends.iter().enumerate() {
            let end = (*end).min(self.data.len());
            let bytes = self.data.slice(self.start.min(end)..end);
            self.found.stop |= !finds.look(bytes.len());
            let right = self.is_right(&bytes, end);
            if right || n + 1 == self.ends.len() {
                self.add(Outcome { bytes, how: How::Whole, used: 0 }, right, end);
            }
            if self.found.stop {
                return false;
            }
        }
        true
    }

    /// Whether the checksum that a header or the descriptor behind the data gives is right.
    fn is_right(&self, bytes: &Bytes, end: usize) -> bool {
        let sum = crc_of(bytes);
        let rest = self.data.get(end..).unwrap_or_default();
        let behind = if rest.starts_with(DESCRIPTOR) { le32(rest, 4) } else { le32(rest, 0) };
        self.sums.contains(&sum) || (self.member.headers.iter().any(|header| header.is_followed()) && behind == Some(sum))
    }

    fn add(&mut self, outcome: Outcome, right: bool, end: usize) {
        let whole = outcome.how == How::Whole;
        if right || !self.found.right {
            self.found.end = if right && !self.found.right { end } else { self.found.end.max(end) };
        }
        let better = right && !self.found.right;
        self.found.right |= right;
        self.found.whole |= whole;
        if self.found.how.is_none_or(|how| how == How::Broken) {
            self.found.how = Some(outcome.how);
        }
        if outcome.bytes.is_empty() || self.found.contents.contains(&outcome.bytes) {
            return;
        }
        let place = if better { 0 } else { self.found.contents.len() };
        self.found.contents.insert(place, outcome.bytes);
    }
}
