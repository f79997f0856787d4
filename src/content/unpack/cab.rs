//! Windows cabinets (MS-CAB). The headers are read here, leniently; each folder is decoded once as a whole, and cut into its files. The
//! library is given a cabinet of our own making with that one folder as its one file: it knows files by name only, and two may share one.

use std::io::Cursor;

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf};
use super::super::limits::Ended;
use super::Container;
use super::ints::{le16, le32};
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "cab", opens: "Windows cabinets", is: |leaf| leaf.true_type == "cab", open };

/// Whether the header of a cabinet stands here: of the one version there is, and with places that lie in it.
pub(crate) fn is_header(bytes: &[u8]) -> bool {
    let (size, files) = (le32(bytes, 8).unwrap_or_default(), le32(bytes, 16).unwrap_or_default());
    bytes.starts_with(b"MSCF") && bytes.get(25) == Some(&1) && size >= 44 && (36..size).contains(&files) && le16(bytes, 28) != Some(0)
}

/// A folder: where its data starts, in how many blocks it is, and how it is packed.
struct Folder {
    start: usize,
    blocks: u16,
    method: u16,
}

/// A file: its place in the unpacked folder.
struct File {
    name: String,
    folder: u16,
    start: usize,
    size: usize,
}

/// What the headers say.
struct Cabinet {
    folders: Vec<Folder>,
    files: Vec<File>,
    /// Bytes before the data of each block that are no part of it.
    reserve: usize,
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let name = leaf.name.unwrap_or_default();
    let Some((cabinet, whole)) = read(leaf.data) else { return malformed(finds, name) };
    if !whole {
        malformed(finds, name);
    }
    let mut by_folder: Vec<Vec<&File>> = cabinet.folders.iter().map(|_| Vec::new()).collect();
    let mut nowhere = false;
    for file in &cabinet.files {
        // The first goes on from a folder of the cabinet before, the last two into one of the next.
        let index = match file.folder {
            0xfffd => 0,
            0xfffe | 0xffff => by_folder.len().saturating_sub(1),
            other => usize::from(other),
        };
        match by_folder.get_mut(index) {
            Some(files) => files.push(file),
            None => nowhere = true,
        }
    }
    for (folder, files) in cabinet.folders.iter().zip(by_folder).filter(|(_, files)| !files.is_empty()) {
        let content = match contents(leaf, &cabinet, folder, finds) {
            Ok(content) => content,
            Err(Stop::Folder) => Bytes::new(),
            Err(Stop::All) => return,
        };
        let mut cut = false;
        for file in files {
            let end = file.start.saturating_add(file.size);
            cut |= end > content.len();
            let bytes = content.slice(file.start.min(content.len())..end.min(content.len()));
            if !finds.add(Item::Blob { name: Some(file.name.clone()), bytes }) {
                return;
            }
        }
        if cut && !content.is_empty() {
            malformed(finds, name);
        }
    }
    if nowhere {
        malformed(finds, name);
    }
    if cabinet.files.iter().any(|file| file.folder >= 0xfffd) {
        finds.unseen("archive.unknown", Reason::UnknownContainer, "A file that goes on in another cabinet", name);
    }
}

fn malformed(finds: &mut Finds, name: &str) {
    finds.unseen("archive.malformed", Reason::Malformed, "A cabinet that cannot be read", name);
}

/// Why there is no content: for this folder, or for all that follow.
enum Stop {
    Folder,
    All,
}

/// A folder unpacked; what stands before damage is handed back.
fn contents(leaf: &Leaf, cabinet: &Cabinet, folder: &Folder, finds: &mut Finds) -> Result<Bytes, Stop> {
    let name = leaf.name.unwrap_or_default();
    let kind = folder.method & 15;
    if !matches!(kind, 0 | 1 | 3) {
        finds.unseen("archive.unknown", Reason::UnknownContainer, "A cabinet packed in a way that is not opened here", name);
        return Err(Stop::Folder);
    }
    let (blocks, whole) = blocks_of(leaf.data, folder, cabinet.reserve);
    if !whole {
        malformed(finds, name);
    }
    let packed: usize = blocks.iter().map(|(_, data)| data.len() + 8).sum();
    if !finds.look(packed) {
        return Err(Stop::All);
    }
    if kind == 0 {
        let bytes: Vec<u8> = blocks.iter().flat_map(|(_, data)| data.iter().copied()).collect();
        return if finds.decoded(bytes.len()) { Ok(Bytes::from(bytes)) } else { Err(Stop::All) };
    }
    let one = alone(folder.method, &blocks, packed);
    let Ok(mut library) = cab::Cabinet::new(Cursor::new(one)) else {
        malformed(finds, name);
        return Err(Stop::Folder);
    };
    let Ok(stream) = library.read_file("x") else {
        malformed(finds, name);
        return Err(Stop::Folder);
    };
    let (bytes, ended) = finds.unpack(stream, packed, name);
    if matches!(ended, Ended::Bytes | Ended::Time) { Err(Stop::All) } else { Ok(bytes) }
}

/// The blocks of a folder, each with its unpacked size; and whether all of them are there.
fn blocks_of<'a>(data: &'a [u8], folder: &Folder, reserve: usize) -> (Vec<(u16, &'a [u8])>, bool) {
    let mut at = folder.start;
    let mut blocks = Vec::new();
    for _ in 0..folder.blocks {
        let (Some(packed), Some(size)) = (le16(data, at.saturating_add(4)), le16(data, at.saturating_add(6))) else {
            return (blocks, false);
        };
        let start = at.saturating_add(8 + reserve);
        let end = start.saturating_add(usize::from(packed));
        let Some(bytes) = data.get(start..end) else { return (blocks, false) };
        // One of no size goes on in another cabinet.
        if size == 0 {
            return (blocks, false);
        }
        blocks.push((size, bytes));
        at = end;
    }
    (blocks, true)
}

/// A cabinet with this folder alone, its content one file called `x`.
fn alone(method: u16, blocks: &[(u16, &[u8])], packed: usize) -> Vec<u8> {
    let total: u32 = blocks.iter().fold(0, |sum, (size, _)| sum.saturating_add(u32::from(*size)));
    let count = u16::try_from(blocks.len()).unwrap_or(u16::MAX);
    let mut out = Vec::with_capacity(packed + 62);
    out.extend(b"MSCF\0\0\0\0\0\0\0\0\0\0\0\0\x2c\0\0\0\0\0\0\0\x03\x01\x01\0\x01\0\0\0\0\0\0\0");
    out.extend(62u32.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(method.to_le_bytes());
    out.extend(total.to_le_bytes());
    out.extend([0; 12]);
    out.extend(b"x\0");
    for (size, data) in blocks {
        // A checksum of zero is none: readers differ in whether they look at it.
        out.extend([0; 4]);
        out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend(size.to_le_bytes());
        out.extend_from_slice(data);
    }
    out
}

/// The headers, and whether all that they count is there.
fn read(data: &[u8]) -> Option<(Cabinet, bool)> {
    let (folder_count, file_count, flags) = (le16(data, 26)?, le16(data, 28)?, le16(data, 30)?);
    let mut at = 36;
    let (mut folder_reserve, mut reserve) = (0, 0);
    if flags & 4 != 0 {
        folder_reserve = usize::from(*data.get(38)?);
        reserve = usize::from(*data.get(39)?);
        at = 40 + usize::from(le16(data, 36)?);
    }
    // The names of the cabinets before and after, and of their disks.
    for _ in 0..2 * (flags & 3).count_ones() {
        at += data.get(at..)?.iter().position(|c| *c == 0)? + 1;
    }
    let mut cabinet = Cabinet { folders: Vec::new(), files: Vec::new(), reserve };
    for _ in 0..folder_count {
        let (Some(start), Some(blocks), Some(method)) = (le32(data, at), le16(data, at + 4), le16(data, at + 6)) else {
            return Some((cabinet, false));
        };
        cabinet.folders.push(Folder { start: usize::try_from(start).ok()?, blocks, method });
        at += 8 + folder_reserve;
    }
    at = usize::try_from(le32(data, 16)?).ok()?;
    for _ in 0..file_count {
        let (Some(size), Some(start), Some(folder)) = (le32(data, at), le32(data, at + 4), le16(data, at + 8)) else {
            return Some((cabinet, false));
        };
        let rest = data.get(at + 16..).unwrap_or_default();
        let name = rest.iter().take(4096).position(|c| *c == 0).and_then(|end| rest.get(..end));
        let Some(name) = name else { return Some((cabinet, false)) };
        at += 17 + name.len();
        let name = String::from_utf8_lossy(name).into_owned();
        cabinet.files.push(File { name, folder, start: usize::try_from(start).ok()?, size: usize::try_from(size).ok()? });
    }
    Some((cabinet, true))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{each_cut_and_flip, fixture, opened};
    use super::*;

    const TEXT: &[u8] = b"X5-stands-for-malware 3f9c2b71 X5-stands-for-malware\n";

    /// A cabinet of one folder of one block: its method, its block, its files by folder number, place and size.
    fn made(method: u16, unpacked: u16, block: &[u8], files: &[(&str, u16, u32, u32)]) -> Vec<u8> {
        let mut entries = Vec::new();
        for (name, folder, start, size) in files {
            entries.extend(size.to_le_bytes());
            entries.extend(start.to_le_bytes());
            entries.extend(folder.to_le_bytes());
            entries.extend([0; 6]);
            entries.extend(name.bytes());
            entries.push(0);
        }
        let mut out = b"MSCF\0\0\0\0".to_vec();
        let total = 44 + entries.len() + 8 + block.len();
        out.extend((total as u32).to_le_bytes());
        out.extend([0; 4]);
        out.extend(44u32.to_le_bytes());
        out.extend([0; 4]);
        out.extend([3, 1, 1, 0]);
        out.extend((files.len() as u16).to_le_bytes());
        out.extend([0; 6]);
        out.extend((44 + entries.len() as u32).to_le_bytes());
        out.extend([1, 0]);
        out.extend(method.to_le_bytes());
        out.extend(entries);
        out.extend([0; 4]);
        out.extend((block.len() as u16).to_le_bytes());
        out.extend(unpacked.to_le_bytes());
        out.extend(block);
        out
    }

    #[test]
    fn methods() {
        for name in ["stored.cab", "mszip.cab"] {
            let cabinet = fixture(name);
            let (items, problems) = opened(&CONTAINER, "cab", &cabinet);
            assert_eq!((items.len(), &items[0].0[..], &items[0].1[..], problems), (2, "m.txt", TEXT, vec![]), "{name}");
            assert!(is_header(&cabinet));
            each_cut_and_flip(&CONTAINER, "cab", &cabinet);
        }
        // LZX: a block as it is, after a header of 28 bits and three repeated offsets.
        let lzx = [&b"\0\x30\x50\0\x01\0\0\0\x01\0\0\0\x01\0\0\0"[..], b"hello\0"].concat();
        let cabinet = made(0x0f03, 5, &lzx, &[("a", 0, 0, 5)]);
        assert_eq!(opened(&CONTAINER, "cab", &cabinet), (vec![("a".to_owned(), b"hello".to_vec())], vec![]));
        each_cut_and_flip(&CONTAINER, "cab", &cabinet);
        assert_eq!(opened(&CONTAINER, "cab", &made(0x1272, 5, b"hello", &[("a", 0, 0, 5)])).1, ["archive.unknown"]);
    }

    #[test]
    fn odd_cabinets() {
        let files =
            |files: &[(&str, &str)]| files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.as_bytes().to_vec())).collect::<Vec<_>>();
        type Row<'a> = (&'a [(&'a str, u16, u32, u32)], Vec<(String, Vec<u8>)>, &'a [&'a str]);
        let rows: &[Row] = &[
            (&[("a", 0, 0, 2), ("a", 0, 2, 3)], files(&[("a", "he"), ("a", "llo")]), &[]),
            (&[("a", 0, 0, 9)], files(&[("a", "hello")]), &["archive.malformed"]),
            (&[("a", 7, 0, 5)], vec![], &["archive.malformed"]),
            (&[("a", 0xfffd, 0, 5)], files(&[("a", "hello")]), &["archive.unknown"]),
            (&[("a", 0xfffe, 1, 90)], files(&[("a", "ello")]), &["archive.malformed", "archive.unknown"]),
        ];
        for (list, want, problems) in rows {
            assert_eq!(opened(&CONTAINER, "cab", &made(0, 5, b"hello", list)), (want.clone(), problems.to_vec()), "{list:?}");
        }
    }
}
