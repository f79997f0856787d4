//! ISO 9660: the files of every directory tree it has (plain, Joliet), each extent once, and the images it starts a machine with.

use std::collections::HashSet;

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf, limit};
use super::Container;
use super::ints::{le16, le32};
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "iso", opens: "ISO 9660 disk images", is: |leaf| leaf.true_type == "iso", open };

const SECTOR: usize = 2048;
/// Volume descriptors looked at.
const MAX_VOLUMES: usize = 32;
/// Folders above a file are named up to so many bytes.
const MAX_PATH: usize = 1024;
/// Entries of the catalogue of boot images looked at.
const MAX_BOOTS: usize = 64;

/// A directory still to be read.
struct Folder {
    start: usize,
    size: usize,
    path: String,
}

/// What is being read.
struct Image<'a> {
    data: &'a Bytes,
    block: usize,
    wide: bool,
    /// Files handed on, by place and size: two trees show the same ones.
    done: HashSet<(usize, usize)>,
    cut: bool,
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data;
    let mut image = Image { data, block: SECTOR, wide: false, done: HashSet::new(), cut: false };
    let volume = |sector: usize| data.get(sector * SECTOR..(sector + 1) * SECTOR).filter(|volume| volume.get(1..6) == Some(b"CD001"));
    let mut volumes: Vec<&[u8]> = (16..16 + MAX_VOLUMES).map_while(volume).collect();
    if volume(16 + MAX_VOLUMES).is_some() && volumes.len() == MAX_VOLUMES {
        finds.problems.push(limit("archive.limit.members", "A disk image with more volume descriptors than the limit"));
    }
    // The tree with long names goes before the one with short ones, the boot images come last.
    volumes.sort_by_key(|volume| volume.first().map(|kind| 3u8.wrapping_sub(*kind)));
    for volume in volumes {
        let go_on = match volume.first() {
            Some(0) => boots(&mut image, volume, finds),
            Some(1 | 2) => {
                let escape = volume.get(88..91).unwrap_or_default();
                image.wide = matches!(escape, b"%/@" | b"%/C" | b"%/E");
                image.block = le16(volume, 128).map(usize::from).filter(|size| matches!(size, 512 | 1024 | 2048)).unwrap_or(SECTOR);
                tree(&mut image, volume.get(156..190).unwrap_or_default(), finds)
            }
            _ => true,
        };
        if !go_on {
            return;
        }
    }
    if image.cut || image.done.is_empty() {
        finds.unseen(
            "archive.malformed",
            Reason::Malformed,
            "A disk image that ends within a file, or shows none",
            leaf.name.unwrap_or_default(),
        );
    }
}

/// A directory record: where its extent starts, its size, its flags, whether it is interleaved, and its name.
struct Record<'a> {
    start: usize,
    size: usize,
    flags: u8,
    interleaved: bool,
    name: &'a [u8],
}

fn record<'a>(bytes: &'a [u8], block: usize) -> Option<Record<'a>> {
    let place = usize::try_from(le32(bytes, 2)?).ok()?.checked_add(usize::from(*bytes.get(1)?))?;
    let name_len = usize::from(*bytes.get(32)?);
    Some(Record {
        start: place.checked_mul(block)?,
        size: usize::try_from(le32(bytes, 10)?).ok()?,
        flags: *bytes.get(25)?,
        interleaved: bytes.get(26..28)? != [0, 0],
        name: bytes.get(33..33 + name_len).unwrap_or_default(),
    })
}

/// Hands on the files of one tree; false where a limit is reached.
fn tree(image: &mut Image, root: &[u8], finds: &mut Finds) -> bool {
    let Some(root) = record(root, image.block) else { return true };
    let mut folders = vec![Folder { start: root.start, size: root.size, path: String::new() }];
    let mut met: HashSet<usize> = HashSet::from([root.start]);
    while let Some(folder) = folders.pop() {
        let bytes = image.extent(folder.start, folder.size);
        if !finds.look(bytes.len()) {
            return false;
        }
        let mut at = 0;
        let mut pieces: Vec<Bytes> = Vec::new();
        while let Some(len) = bytes.get(at).map(|len| usize::from(*len)) {
            if len == 0 {
                at = (at / SECTOR + 1) * SECTOR;
                continue;
            }
            let found = bytes.get(at..at + len).and_then(|bytes| record(bytes, image.block));
            at += len;
            let Some(found) = found else { continue };
            // The first two are the directory itself and the one above it.
            if matches!(found.name, [0] | [1]) {
                continue;
            }
            let above = if folder.path.len() < MAX_PATH { folder.path.as_str() } else { "" };
            let path = format!("{above}{}", image.name(found.name));
            if found.flags & 2 != 0 {
                if met.insert(found.start) {
                    folders.push(Folder { start: found.start, size: found.size, path: format!("{path}/") });
                }
                continue;
            }
            if found.interleaved {
                finds.unseen("archive.unknown", Reason::UnknownContainer, "A file laid out in a way that is not read here", &path);
            }
            let new = image.done.insert((found.start, found.size));
            let piece = image.extent(found.start, found.size);
            if found.flags & 0x80 != 0 {
                pieces.push(piece);
                continue;
            }
            let content = if pieces.is_empty() {
                piece
            } else {
                pieces.push(piece);
                let pieces = std::mem::take(&mut pieces);
                if !finds.decoded(pieces.iter().fold(0, |sum, piece| sum.saturating_add(piece.len()))) {
                    return false;
                }
                Bytes::from(pieces.concat())
            };
            if new && !finds.add(Item::Blob { name: Some(path), bytes: content }) {
                return false;
            }
        }
    }
    true
}

impl Image<'_> {
    fn extent(&mut self, start: usize, size: usize) -> Bytes {
        let end = start.saturating_add(size);
        self.cut |= end > self.data.len();
        self.data.slice(start.min(self.data.len())..end.min(self.data.len()))
    }

    /// A name without its version number.
    fn name(&self, name: &[u8]) -> String {
        let name = if self.wide {
            let units = name.as_chunks::<2>().0.iter().map(|b| u16::from_be_bytes(*b));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        } else {
            String::from_utf8_lossy(name).into_owned()
        };
        name.rsplit_once(';').map_or(name.as_str(), |(name, _)| name).trim_end_matches('.').to_owned()
    }
}

/// Hands on the boot images of El Torito's catalogue; false where a limit is reached.
fn boots(image: &mut Image, volume: &[u8], finds: &mut Finds) -> bool {
    if !volume.get(7..).is_some_and(|system| system.starts_with(b"EL TORITO SPECIFICATION")) {
        return true;
    }
    let at = le32(volume, 71).and_then(|sector| usize::try_from(sector).ok()).unwrap_or_default().saturating_mul(SECTOR);
    let catalogue = image.data.slice(at.min(image.data.len())..at.saturating_add(32 * MAX_BOOTS).min(image.data.len()));
    for entry in catalogue.as_chunks::<32>().0.iter().filter(|entry| entry[0] == 0x88) {
        let start = usize::try_from(le32(entry, 8).unwrap_or_default()).unwrap_or(usize::MAX).saturating_mul(SECTOR);
        let size = match entry[1] & 15 {
            1 => 1_228_800,
            2 => 1_474_560,
            3 => 2_949_120,
            _ => usize::from(le16(entry, 6).unwrap_or_default()).max(4) * 512,
        };
        let end = start.saturating_add(size).min(image.data.len());
        let bytes = image.data.slice(start.min(end)..end);
        if !bytes.is_empty() && image.done.insert((start, size)) && !finds.add(Item::Blob { name: Some("[boot].img".to_owned()), bytes }) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::super::testing::{fixture, opened};
    use super::*;

    const TEXT: &[u8] = b"X5-stands-for-malware 3f9c2b71 X5-stands-for-malware\n";

    fn image() -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(fixture("joliet.iso.gz").as_slice()).read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn files_of_both_trees_come_once_with_their_long_names() {
        let image = image();
        assert_eq!(crate::content::sniff::true_type(&image), "iso");
        let (mut items, problems) = opened(&CONTAINER, "iso", &image);
        items.sort();
        let names: Vec<_> = items.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((names, problems), (vec!["in.txt", "m.txt"], vec![]));
        assert!(items.iter().all(|(_, bytes)| bytes == TEXT));
        // Without the tree of long names the other one is left.
        let mut plain = image.clone();
        plain[17 * SECTOR] = 3;
        assert_eq!(opened(&CONTAINER, "iso", &plain).0[0].0, "IN.TXT");
    }

    #[test]
    fn damage() {
        let image = image();
        for end in (0..image.len()).step_by(511) {
            opened(&CONTAINER, "iso", &image[..end]);
        }
        let used: Vec<usize> = (16 * SECTOR..image.len()).filter(|at| image[*at] != 0).collect();
        for at in used {
            let mut flipped = image.clone();
            flipped[at] ^= 0xff;
            opened(&CONTAINER, "iso", &flipped);
        }
        let end = memchr::memmem::find(&image, TEXT).unwrap();
        assert!(opened(&CONTAINER, "iso", &image[..end + 5]).1.contains(&"archive.malformed"));
    }

    #[test]
    fn one_file_in_many_extents_costs_no_more_than_the_budget() {
        // A directory that says again and again that the file goes on with the whole image.
        let mut image = vec![0u8; 64 * SECTOR];
        image.resize(1 << 20, b'x');
        let record = |start: u32, size: u32, flags: u8| {
            let mut record = vec![0u8; 34];
            record[0] = 34;
            record[2..6].copy_from_slice(&start.to_le_bytes());
            record[10..14].copy_from_slice(&size.to_le_bytes());
            record[25] = flags;
            record[32] = 1;
            record[33] = b'a';
            record
        };
        image[16 * SECTOR..16 * SECTOR + 7].copy_from_slice(b"\x01CD001\x01");
        image[16 * SECTOR + 156..16 * SECTOR + 190].copy_from_slice(&record(20, 40 * 2048, 2));
        for n in 0..40 * 60 {
            let at = (20 + n / 60) * SECTOR + n % 60 * 34;
            image[at..at + 34].copy_from_slice(&record(0, 1 << 20, if n == 40 * 60 - 1 { 0 } else { 0x80 }));
        }
        assert!(opened(&CONTAINER, "iso", &image).1.contains(&"mime.limit.bytes"));
    }

    #[test]
    fn many_volumes() {
        for (volumes, want) in [(MAX_VOLUMES, false), (MAX_VOLUMES + 1, true)] {
            let mut volume = b"\xffCD001".to_vec();
            volume.resize(SECTOR, 0);
            let data = [vec![0; 16 * SECTOR], volume.repeat(volumes)].concat();
            let (_, problems) = super::super::testing::opened(&CONTAINER, "iso", &data);
            assert_eq!(problems.contains(&"archive.limit.members"), want, "{volumes}");
        }
    }
}
