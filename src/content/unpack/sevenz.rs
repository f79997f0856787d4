//! 7z: every block by itself, so that one that cannot be read hides no other. What is encrypted is tried with the passwords of the message.

use std::io::{Cursor, Read};

use sevenz_rust2::{Archive, Block, BlockDecoder, EncoderMethod, Error, Password};

use super::super::find::{Finds, Item, Leaf};
use super::super::limits::Ended;
use super::Container;
use super::ints::{le32, le64};
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "7z", opens: "7z archives", is: |leaf| leaf.true_type == "7z", open };

const MAGIC: &[u8] = b"7z\xbc\xaf\x27\x1c";
const START_SIZE: usize = 32;
/// The longest header that is read, unpacked. The library makes an entry of some hundred bytes of each file that a header counts.
const MAX_HEADER: u64 = 1 << 20;
/// What a byte of a header weighs against looking at one.
const ENTRY: usize = 128;
/// The same for setting up the decoders of a block.
const BLOCK: usize = 32 << 10;
/// The biggest dictionary or model, in KiB, with what belongs to it.
const MAX_MEMORY: usize = (64 + 1) << 10;
/// The costliest key derivation that is tried: two to the power of this. The format's own writers use 19.
const MAX_POWER: u8 = 20;
/// What one round of key derivation weighs against looking at a byte.
const ROUND: usize = 64;
/// Bytes decoded to tell a right password from a wrong one.
const TRIAL: u64 = 4 << 20;

/// Whether a start header stands here whose checksum is right.
pub(super) fn is_start(bytes: &[u8]) -> bool {
    let said = le32(bytes, 8);
    bytes.starts_with(MAGIC) && bytes.get(12..START_SIZE).is_some_and(|start| said == Some(crc32fast::hash(start)))
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let name = leaf.name.unwrap_or_default();
    let Some(header) = next_header(leaf.data) else {
        // One without files has no header at all.
        if !(is_start(leaf.data) && le64(leaf.data, 20) == Some(0)) {
            malformed(finds, name);
        }
        return;
    };
    let Some((size, power)) = header_size(header) else { return malformed(finds, name) };
    if size > MAX_HEADER {
        return finds.unseen("archive.limit.members", Reason::Limit, "A 7z with more members than the limit", name);
    }
    if !finds.look(usize::try_from(size).unwrap_or_default().saturating_mul(ENTRY)) {
        return;
    }
    let mut passwords = vec![Password::empty()];
    if let Some(power) = power {
        passwords = candidates(finds);
        if power > MAX_POWER && power != 63 {
            passwords.clear();
        }
    }
    for password in &passwords {
        if !afford(finds, power) {
            return;
        }
        match Archive::read_with_memory_limit(&mut Cursor::new(leaf.data), password, MAX_MEMORY) {
            Ok(archive) if !password.is_empty() => {
                opened_by_text(finds, name);
                return blocks(&archive, password, leaf, finds);
            }
            Ok(archive) => return blocks(&archive, password, leaf, finds),
            // Without encryption there is but one way.
            Err(error) if power.is_none() => return unreadable(&error, finds, name),
            Err(_) => {}
        }
    }
    finds.locked("archive.encrypted", "An encrypted archive", name);
}

fn malformed(finds: &mut Finds, name: &str) {
    finds.unseen("archive.malformed", Reason::Malformed, "A 7z that cannot be read", name);
}

fn unreadable(error: &Error, finds: &mut Finds, name: &str) {
    match error {
        Error::MaxMemLimited { .. } => {
            finds.unseen("archive.limit.memory", Reason::Limit, "Packed with a bigger dictionary than the limit", name);
        }
        Error::UnsupportedCompressionMethod(_) | Error::Unsupported(_) | Error::ExternalUnsupported | Error::UnsupportedVersion { .. } => {
            finds.unseen("archive.unknown", Reason::UnknownContainer, "A 7z packed in a way that is not opened here", name);
        }
        _ => malformed(finds, name),
    }
}

fn candidates(finds: &Finds) -> Vec<Password> {
    finds.passwords().iter().filter(|word| !word.is_empty()).map(|word| Password::from(word.as_str())).collect()
}

fn opened_by_text(finds: &mut Finds, name: &str) {
    finds.note("archive.password_in_text", "An encrypted archive whose password stands in the message", name);
}

/// Takes the effort of one key derivation.
fn afford(finds: &mut Finds, power: Option<u8>) -> bool {
    power.filter(|power| *power <= MAX_POWER).is_none_or(|power| finds.look(ROUND << power))
}

/// Two to the power of this are the rounds of key derivation of a block; nothing where it is not encrypted.
fn power_of(block: &Block) -> Option<u8> {
    let coder = block.coders.iter().find(|coder| coder.encoder_method_id() == EncoderMethod::ID_AES256_SHA256)?;
    Some(coder.properties().first().map_or(0, |first| first & 63))
}

fn blocks(archive: &Archive, known: &Password, leaf: &Leaf, finds: &mut Finds) {
    let mut right: Option<Password> = (!known.is_empty()).then(|| known.clone());
    let mut locked: Option<String> = None;
    let mut tried = false;
    for index in 0..archive.blocks.len() {
        let Some(block) = archive.blocks.get(index) else { continue };
        if !finds.look(BLOCK) {
            return;
        }
        let mut password = Password::empty();
        if let Some(power) = power_of(block) {
            if right.is_none() && !std::mem::replace(&mut tried, true) {
                right = find_password(archive, index, power, leaf, finds);
                if right.is_some() {
                    opened_by_text(finds, leaf.name.unwrap_or_default());
                }
            }
            let Some(word) = right.clone().filter(|_| power <= MAX_POWER || power == 63) else {
                let names = names(archive, index);
                locked.get_or_insert_with(|| names.first().cloned().unwrap_or_default());
                for name in names {
                    if !finds.add(Item::Blob { name: Some(name), bytes: bytes::Bytes::new() }) {
                        return;
                    }
                }
                continue;
            };
            if !afford(finds, Some(power)) {
                return;
            }
            password = word;
        }
        if !block_members(archive, index, &password, leaf, finds) {
            return;
        }
    }
    let in_no_block = |at: usize| archive.stream_map.file_block_index.get(at).is_some_and(Option::is_none);
    for (_, file) in archive.files.iter().enumerate().filter(|(at, file)| in_no_block(*at) && !file.is_directory) {
        if !finds.add(Item::Blob { name: Some(file.name.clone()), bytes: bytes::Bytes::new() }) {
            return;
        }
    }
    if let Some(name) = locked {
        finds.locked("archive.encrypted", "An encrypted archive", &format!("{}: {name}", leaf.name.unwrap_or_default()));
    }
}

fn decoder<'a>(
    archive: &'a Archive,
    index: usize,
    password: &'a Password,
    source: &'a mut Cursor<&'a [u8]>,
) -> BlockDecoder<'a, Cursor<&'a [u8]>> {
    BlockDecoder::new_with_memory_limit(1, MAX_MEMORY, index, archive, password, source)
}

fn names(archive: &Archive, index: usize) -> Vec<String> {
    let (none, mut nothing) = (Password::empty(), Cursor::new(&[][..]));
    let block = decoder(archive, index, &none, &mut nothing);
    block.entries().iter().filter(|file| !file.is_directory).map(|file| file.name.clone()).collect()
}

/// Adds what is in a block; false where a limit forbids to go on.
fn block_members(archive: &Archive, index: usize, password: &Password, leaf: &Leaf, finds: &mut Finds) -> bool {
    let mut source = Cursor::new(leaf.data.as_ref());
    let mut go_on = true;
    let mut told = false;
    let read = decoder(archive, index, password, &mut source).for_each_entries(&mut |file, stream| {
        if file.is_directory || file.is_anti_item {
            return Ok(true);
        }
        let (bytes, ended) = finds.unpack(stream, leaf.data.len(), &file.name);
        let added = finds.add(Item::Blob { name: Some(file.name.clone()), bytes });
        go_on = added && matches!(ended, Ended::Whole | Ended::Broken);
        told |= ended == Ended::Broken;
        Ok(go_on && ended == Ended::Whole)
    });
    if let Err(error) = read.as_ref()
        && !told
    {
        unreadable(error, finds, leaf.name.unwrap_or_default());
    }
    go_on
}

/// The first of the message's passwords with which a block can be read.
fn find_password(archive: &Archive, index: usize, power: u8, leaf: &Leaf, finds: &mut Finds) -> Option<Password> {
    if power > MAX_POWER && power != 63 {
        return None;
    }
    for password in candidates(finds) {
        if !afford(finds, Some(power)) || !finds.look(usize::try_from(TRIAL).unwrap_or_default()) {
            return None;
        }
        let mut source = Cursor::new(leaf.data.as_ref());
        let mut fits = false;
        let _ = decoder(archive, index, &password, &mut source).for_each_entries(&mut |_, stream| {
            fits = std::io::copy(&mut stream.take(TRIAL), &mut std::io::sink()).is_ok();
            Ok(false)
        });
        if fits {
            return Some(password);
        }
    }
    None
}

/// The header at the end, where the start header says it is.
fn next_header(data: &[u8]) -> Option<&[u8]> {
    let offset = usize::try_from(le64(data, 12)?).ok()?;
    let size = usize::try_from(le64(data, 20)?).ok()?;
    let from = offset.checked_add(START_SIZE)?;
    data.get(from..from.checked_add(size)?).filter(|header| !header.is_empty())
}

/// How big a header is unpacked, and how costly its key derivation is if it is encrypted.
fn header_size(header: &[u8]) -> Option<(u64, Option<u8>)> {
    match header.first()? {
        0x01 => Some((header.len() as u64, None)),
        0x17 => Fields { bytes: header, at: 1 }.packed_header(),
        _ => None,
    }
}

/// Reads the description of a packed header (7zFormat.txt, `StreamsInfo`): the library is not given one that unpacks to more than is meant.
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += 1;
        byte
    }

    fn skip(&mut self, n: u64) -> Option<()> {
        self.at = self.at.checked_add(usize::try_from(n).ok()?).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }

    /// The leading ones of the first byte count the bytes that follow; its other bits are the highest.
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        let more = first.leading_ones();
        let mut value = 0;
        for i in 0..more {
            value |= u64::from(self.byte()?) << (8 * i);
        }
        let high = if more >= 7 { 0 } else { u64::from(first & (0x7f >> more)) };
        Some(value | high << (8 * more.min(7)))
    }

    fn packed_header(&mut self) -> Option<(u64, Option<u8>)> {
        if self.byte()? != 0x06 {
            return None;
        }
        self.number()?;
        let streams = self.number().filter(|n| *n <= 64)?;
        loop {
            match self.byte()? {
                0x09 => (0..streams).try_for_each(|_| self.number().map(drop))?,
                0x0a => self.checksums(streams)?,
                0x00 => break,
                _ => return None,
            }
        }
        if (self.byte()?, self.byte()?) != (0x07, 0x0b) {
            return None;
        }
        let folders = self.number().filter(|n| (1..=64).contains(n))?;
        if self.byte()? != 0 {
            return None;
        }
        let mut outs = 0;
        let mut power = None;
        for _ in 0..folders {
            outs += self.folder(&mut power)?;
        }
        if self.byte()? != 0x0c {
            return None;
        }
        let mut size = 0;
        for _ in 0..outs {
            size = self.number()?.max(size);
        }
        Some((size, power))
    }

    fn checksums(&mut self, n: u64) -> Option<()> {
        let all = self.byte()? != 0;
        let mut defined = n;
        if !all {
            defined = 0;
            for _ in 0..n.div_ceil(8) {
                defined += u64::from(self.byte()?.count_ones());
            }
        }
        self.skip(defined * 4)
    }

    /// Its number of output streams.
    fn folder(&mut self, power: &mut Option<u8>) -> Option<u64> {
        let coders = self.number().filter(|n| (1..=32).contains(n))?;
        let (mut ins, mut outs) = (0, 0);
        for _ in 0..coders {
            let flags = self.byte()?;
            let id = self.bytes.get(self.at..self.at.checked_add(usize::from(flags & 15))?)?;
            self.skip(u64::from(flags & 15))?;
            let (more, less) = if flags & 0x10 == 0 { (1, 1) } else { (self.number()?, self.number()?) };
            ins += Some(more).filter(|n| *n <= 32)?;
            outs += Some(less).filter(|n| *n <= 32)?;
            if flags & 0x20 != 0 {
                let size = self.number()?;
                if id == EncoderMethod::ID_AES256_SHA256 {
                    *power = Some(self.bytes.get(self.at).copied().unwrap_or_default() & 63);
                }
                self.skip(size)?;
            } else if id == EncoderMethod::ID_AES256_SHA256 {
                *power = Some(0);
            }
        }
        let pairs = u64::checked_sub(outs, 1)?;
        (0..pairs * 2).try_for_each(|_| self.number().map(drop))?;
        let packed = u64::checked_sub(ins, pairs)?;
        if packed > 1 {
            (0..packed).try_for_each(|_| self.number().map(drop))?;
        }
        Some(outs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{each_cut_and_flip, fixture, opened, opened_with};
    use super::*;

    const TEXT: &[u8] = b"X5-stands-for-malware 3f9c2b71 X5-stands-for-malware\n";

    #[test]
    fn every_method_of_the_format() {
        for method in ["lzma", "lzma2", "ppmd", "bzip2", "deflate", "copy", "bcj", "bcj2", "delta", "plain-header"] {
            let archive = fixture(&format!("{method}.7z"));
            let (items, problems) = opened(&CONTAINER, "7z", &archive);
            assert!(items.contains(&("m.txt".to_owned(), TEXT.to_vec())), "{method}");
            assert_eq!(problems, Vec::<&str>::new(), "{method}");
            let cut = opened(&CONTAINER, "7z", &archive[..archive.len() - 1]);
            assert_eq!(cut.1, ["archive.malformed"], "{method}");
        }
        assert_eq!(opened(&CONTAINER, "7z", &fixture("deflate64.7z")).1, ["archive.unknown"]);
        let empty = [b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), crc32fast::hash(&[0; 20]).to_le_bytes().to_vec(), vec![0; 20]].concat();
        assert_eq!(opened(&CONTAINER, "7z", &empty), (vec![], vec![]));
    }

    #[test]
    fn passwords_of_the_message() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for name in ["secret-content.7z", "secret-names.7z"] {
            let archive = fixture(name);
            for wrong in [words(&[]), words(&["wrong"])] {
                let (items, problems) = opened_with(&CONTAINER, "7z", &archive, &wrong);
                assert!(items.iter().all(|(_, bytes)| bytes.is_empty()), "{name}");
                assert_eq!(problems, ["archive.encrypted"], "{name}");
            }
            let (items, problems) = opened_with(&CONTAINER, "7z", &archive, &words(&["wrong", "secret3"]));
            assert_eq!((items[1].1.as_slice(), problems), (TEXT, vec!["archive.password_in_text"]), "{name}");
        }
        assert_eq!(opened(&CONTAINER, "7z", &fixture("secret-content.7z")).0[1].0, "m.txt");
    }

    /// Makes the checksums right again.
    fn fixed(mut archive: Vec<u8>) -> Vec<u8> {
        let sum = next_header(&archive).map(crc32fast::hash).unwrap_or_default();
        archive[28..32].copy_from_slice(&sum.to_le_bytes());
        let sum = crc32fast::hash(&archive[12..32]);
        archive[8..12].copy_from_slice(&sum.to_le_bytes());
        archive
    }

    #[test]
    fn bombs() {
        // 200 MB of zeros in a few hundred bytes.
        let (items, problems) = opened(&CONTAINER, "7z", &fixture("zeros.7z"));
        assert_eq!(problems, ["archive.limit.ratio"]);
        assert!(items[0].1.len() <= 16 << 20);
    }

    #[test]
    fn limits() {
        let archive = fixture("plain-header.7z");
        let method = memchr::memmem::find(&archive, b"\x21\x21\x01").unwrap();
        let mut big = archive.clone();
        big[method + 3] = 30;
        assert_eq!(opened(&CONTAINER, "7z", &fixed(big)).1, ["archive.limit.memory"]);
        let mut other = archive.clone();
        other[method + 1] = 0x7f;
        assert_eq!(opened(&CONTAINER, "7z", &fixed(other)).1, ["archive.unknown"]);
        let mut long = archive;
        long[20..28].copy_from_slice(&(2u64 << 20).to_le_bytes());
        long.resize(3 << 20, 0);
        assert_eq!(opened(&CONTAINER, "7z", &fixed(long)).1, ["archive.limit.members"]);
    }

    #[test]
    fn damage() {
        for name in ["lzma2.7z", "bcj2.7z", "ppmd.7z", "secret-content.7z"] {
            each_cut_and_flip(&CONTAINER, "7z", &fixture(name));
        }
        let plain = fixture("plain-header.7z");
        for at in 12..plain.len() {
            for mask in [0xff, 0x01, 0x80] {
                let mut flipped = plain.clone();
                flipped[at] ^= mask;
                if next_header(&flipped).is_some() {
                    opened(&CONTAINER, "7z", &fixed(flipped));
                }
            }
        }
    }
}
