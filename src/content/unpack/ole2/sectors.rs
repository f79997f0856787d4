//! The sectors, chains and directory of a compound file (MS-CFB), read as leniently as the programs that open one: what is said of counts,
//! versions and colours is not believed, the directory is read as a flat list, and chains end where they leave the file.

use std::ops::Range;

use bytes::Bytes;

use super::super::super::find::Finds;
use super::super::ints::{le16, le32, size_at, wide_text};

/// The first bytes of a compound file.
pub(crate) const MAGIC: &[u8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";

/// Size of the header.
const HEADER: usize = 512;
/// Size of an entry of the directory.
const ENTRY: usize = 128;
/// Sector numbers from here on mean something else than a sector.
const LAST_SECTOR: u32 = 0xffff_fffa;
/// No entry.
const NONE: u32 = 0xffff_ffff;
/// Entries of the directory that are read.
const MAX_ENTRIES: usize = 100_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Free,
    /// A folder, or the root.
    Storage,
    /// A file.
    Stream,
}

/// An entry of the directory.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its name, decoded.
    pub name: String,
    /// The storage it is in; 0 for the root, `None` if no storage leads to it.
    pub parent: Option<usize>,
    /// What it is.
    pub kind: Kind,
    start: u32,
    size: usize,
}

/// An opened compound file.
pub(super) struct Compound {
    data: Bytes,
    sector: usize,
    mini_sector: usize,
    cutoff: usize,
    fat: Vec<u32>,
    mini_fat: Vec<u32>,
    /// The stream that holds all small ones.
    mini: Bytes,
    /// The directory, in its own order; the first one is the root.
    pub entries: Vec<Entry>,
}

impl Compound {
    /// Reads tables and directory; `None` where there is no directory.
    pub(super) fn read(data: &Bytes, finds: &mut Finds) -> Option<Self> {
        if data.len() < HEADER || !finds.look(data.len() / 8) {
            return None;
        }
        let shift = |at: usize, usual: u16, most: u16| le16(data, at).filter(|n| (4..=most).contains(n)).unwrap_or(usual);
        let sector = 1usize << shift(30, 9, 16);
        let mini_sector = 1usize << shift(32, 6, 12);
        let cutoff = size_at(data, 56).unwrap_or(4096);
        let mut file = Self {
            data: data.clone(),
            sector,
            mini_sector,
            cutoff,
            fat: Vec::new(),
            mini_fat: Vec::new(),
            mini: Bytes::new(),
            entries: Vec::new(),
        };
        file.read_fat();
        let directory = file.whole_chain(le32(data, 48)?, finds)?;
        file.entries = directory.chunks_exact(ENTRY).take(MAX_ENTRIES).map(entry).collect();
        file.entries.first()?;
        let mini_fat = file.whole_chain(le32(data, 60)?, finds)?;
        file.mini_fat = numbers(&mini_fat).collect();
        let root = file.entries.first().map(|root| root.start).unwrap_or(NONE);
        file.mini = file.whole_chain(root, finds)?;
        file.find_parents(&directory);
        Some(file)
    }

    /// The table of chains: its sectors are listed in the header, and then in a chain of their own.
    fn read_fat(&mut self) {
        let sectors = self.data.len() / self.sector + 1;
        let per_sector = self.sector / 4;
        let most = sectors / per_sector + 1;
        let mut tables: Vec<u32> = numbers(self.data.get(76..HEADER).unwrap_or_default()).take_while(|n| *n < LAST_SECTOR).collect();
        let mut next = le32(&self.data, 68).unwrap_or(NONE);
        while next < LAST_SECTOR && tables.len() < most {
            let Some(table) = self.sector_range(next).and_then(|range| self.data.get(range)) else { break };
            let mut listed: Vec<u32> = numbers(table).collect();
            next = listed.pop().unwrap_or(NONE);
            tables.extend(listed.into_iter().filter(|n| *n < LAST_SECTOR));
        }
        for table in tables.into_iter().take(most) {
            let bytes = self.sector_range(table).and_then(|range| self.data.get(range)).unwrap_or_default();
            let missing = per_sector.saturating_sub(bytes.len() / 4);
            self.fat.extend(numbers(bytes).chain(std::iter::repeat_n(NONE, missing)));
        }
    }

    /// Where a sector stands; the last one of a file may be cut.
    fn sector_range(&self, number: u32) -> Option<Range<usize>> {
        let start = usize::try_from(number).ok()?.checked_add(1)?.checked_mul(self.sector)?;
        let end = start.checked_add(self.sector)?.min(self.data.len());
        (start < end).then_some(start..end)
    }

    fn mini_range(&self, number: u32) -> Option<Range<usize>> {
        let start = usize::try_from(number).ok()?.checked_mul(self.mini_sector)?;
        let end = start.checked_add(self.mini_sector)?.min(self.mini.len());
        (start < end).then_some(start..end)
    }

    fn whole_chain(&self, start: u32, finds: &mut Finds) -> Option<Bytes> {
        let runs = chain(&self.fat, start, usize::MAX, self.data.len() / self.sector + 1, |n| self.sector_range(n));
        gather(&self.data, &runs, finds)
    }

    /// The bytes of a stream, and whether all are there; `None` where a limit is reached.
    pub(super) fn stream(&self, entry: &Entry, finds: &mut Finds) -> Option<(Bytes, bool)> {
        // What looking along a chain costs.
        if !finds.look(entry.size.min(self.data.len())) {
            return None;
        }
        let (source, runs) = if entry.size < self.cutoff {
            let most = self.mini.len() / self.mini_sector + 1;
            (&self.mini, chain(&self.mini_fat, entry.start, entry.size, most, |n| self.mini_range(n)))
        } else {
            let most = self.data.len() / self.sector + 1;
            (&self.data, chain(&self.fat, entry.start, entry.size, most, |n| self.sector_range(n)))
        };
        let bytes = gather(source, &runs, finds)?;
        let whole = bytes.len() >= entry.size;
        Some((bytes.slice(..entry.size.min(bytes.len())), whole))
    }

    /// The path of an entry, by the storages that lead to it.
    pub(super) fn path(&self, index: usize) -> String {
        let mut names = Vec::new();
        let mut at = Some(index);
        while let Some(entry) = at.filter(|at| *at != 0).and_then(|at| self.entries.get(at)) {
            names.push(entry.name.as_str());
            at = entry.parent;
            if names.len() > 50 {
                break;
            }
        }
        names.reverse();
        names.join("/")
    }

    /// Follows the trees of the directory, which say what is in which storage.
    fn find_parents(&mut self, directory: &[u8]) {
        let link = |entry: usize, at: usize| {
            le32(directory, entry * ENTRY + at).filter(|n| *n != NONE).and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0)
        };
        let mut visited = vec![false; self.entries.len()];
        let mut to_do: Vec<(usize, usize)> = link(0, 76).map(|child| (child, 0)).into_iter().collect();
        while let Some((at, parent)) = to_do.pop() {
            let Some(visited) = visited.get_mut(at).filter(|visited| !**visited) else { continue };
            *visited = true;
            if let Some(entry) = self.entries.get_mut(at) {
                entry.parent = Some(parent);
            }
            to_do.extend([link(at, 68), link(at, 72)].into_iter().flatten().map(|sibling| (sibling, parent)));
            to_do.extend(link(at, 76).map(|child| (child, at)));
        }
    }
}

/// The runs of a chain of sectors until `size` bytes are there or it ends; at most `most` sectors.
fn chain(fat: &[u32], start: u32, size: usize, most: usize, place: impl Fn(u32) -> Option<Range<usize>>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let (mut sector, mut had) = (start, 0usize);
    for _ in 0..most {
        let Some(range) = (sector < LAST_SECTOR && had < size).then(|| place(sector)).flatten() else { break };
        had += range.len();
        match runs.last_mut().filter(|last| last.end == range.start) {
            Some(last) => last.end = range.end,
            None => runs.push(range),
        }
        sector = usize::try_from(sector).ok().and_then(|n| fat.get(n)).copied().unwrap_or(NONE);
    }
    runs
}

/// The bytes of runs: a slice where it is one run, which is what most files have.
fn gather(source: &Bytes, runs: &[Range<usize>], finds: &mut Finds) -> Option<Bytes> {
    match runs {
        [] => Some(Bytes::new()),
        [run] => Some(source.slice(run.clone())),
        runs => {
            let size = runs.iter().map(Range::len).sum();
            finds.decoded(size).then(|| runs.iter().filter_map(|run| source.get(run.clone())).collect::<Vec<_>>().concat().into())
        }
    }
}

fn entry(bytes: &[u8]) -> Entry {
    let length = le16(bytes, 64).map(usize::from).filter(|n| (2..=64).contains(n)).unwrap_or(64);
    let kind = match bytes.get(66) {
        None | Some(0) => Kind::Free,
        Some(1 | 5) => Kind::Storage,
        Some(_) => Kind::Stream,
    };
    Entry {
        name: plain_name(&wide_text(bytes.get(..length).unwrap_or_default())),
        parent: None,
        kind,
        start: le32(bytes, 116).unwrap_or(NONE),
        // The upper half counts in files of version 4 only, and there is no stream of that size in a mail.
        size: size_at(bytes, 120).unwrap_or_default(),
    }
}

/// Installer packages have two characters of a small alphabet in one of the name.
fn plain_name(name: &str) -> String {
    let small =
        |n: u32| char::from(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._".get(n as usize).copied().unwrap_or(b'_'));
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match u32::from(c) {
            n @ 0x3800..=0x47ff => out.extend([small((n - 0x3800) & 0x3f), small((n - 0x3800) >> 6)]),
            n @ 0x4800..=0x483f => out.push(small(n - 0x4800)),
            0x4840 => out.push('!'),
            _ => out.push(c),
        }
    }
    out
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> + '_ {
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}
