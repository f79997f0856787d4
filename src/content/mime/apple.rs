//! AppleSingle and AppleDouble (RFC 1740), and MacBinary: the forks of a Macintosh file behind a header.

use super::super::find::{Finds, Item, Leaf};
use super::Reading;

pub(super) const READING: Reading = Reading { name: "apple", reads: "AppleSingle, AppleDouble and MacBinary: the forks in them", read };

/// Entries read of one header.
const MAX_ENTRIES: usize = 64;
/// Entries that hold content: data fork and resource fork.
const FORKS: [u32; 2] = [1, 2];
/// The entry with the name.
const NAME: u32 = 3;
/// The length of MacBinary's header.
const MAC: usize = 128;

fn read(leaf: &Leaf, finds: &mut Finds) {
    if let Some([0, 5, 0x16, 0 | 7]) = leaf.data.first_chunk::<4>() {
        single(leaf, finds);
    } else if leaf.true_type.is_empty() {
        mac_binary(leaf, finds);
    }
}

/// RFC 1740 appendix A: magic, version, filler, the number of entries, and for each id, offset and length.
fn single(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    let word = |at: usize| data.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let count = data.get(24..26).and_then(|b| b.try_into().ok()).map_or(0, |b| usize::from(u16::from_be_bytes(b)));
    let entries: Vec<(u32, usize, usize)> = (0..count.min(MAX_ENTRIES))
        .map_while(|i| Some((word(26 + i * 12)?, word(30 + i * 12)? as usize, word(34 + i * 12)? as usize)))
        .map(|(id, at, length)| (id, at.min(data.len()), at.saturating_add(length).min(data.len())))
        .map(|(id, from, to)| (id, from, to.max(from)))
        .collect();
    let name = entries.iter().find(|(id, ..)| *id == NAME).and_then(|(_, from, to)| data.get(*from..*to));
    let name = name.filter(|name| !name.is_empty() && name.len() < 256).map(|name| String::from_utf8_lossy(name).into_owned());
    for (id, from, to) in entries {
        let item = Item::Blob { name: name.clone().or_else(|| leaf.name.map(str::to_owned)), bytes: leaf.data.slice(from..to) };
        if FORKS.contains(&id) && from < to && !finds.add(item) {
            return;
        }
    }
}

/// MacBinary: zeros at their places, a name, two lengths that fit.
fn mac_binary(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    let byte = |at: usize| data.get(at).copied().unwrap_or(1);
    let length = |at: usize| data.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(usize::MAX, |b| u32::from_be_bytes(b) as usize);
    let name = usize::from(byte(1));
    let zeros = [0, 74, 82].iter().all(|at| byte(*at) == 0) && data.get(2 + name..65).is_some_and(|rest| rest.iter().all(|c| *c == 0));
    if data.len() <= MAC || !(1..64).contains(&name) || !zeros {
        return;
    }
    let (fork, resource) = (length(83), length(87));
    let start = MAC.saturating_add(fork.saturating_add(127) / 128 * 128);
    if fork.saturating_add(MAC) > data.len() || start.saturating_add(resource) > data.len().saturating_add(127) {
        return;
    }
    let name = data.get(2..2 + name).map(|name| String::from_utf8_lossy(name).into_owned());
    let ends = [(MAC, MAC + fork), (start.min(data.len()), start.saturating_add(resource).min(data.len()))];
    for (from, to) in ends.into_iter().filter(|(from, to)| from < to) {
        if !finds.add(Item::Blob { name: name.clone(), bytes: leaf.data.slice(from..to) }) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::found;
    use super::*;

    #[test]
    fn forks() {
        let mut single = b"\0\x05\x16\0\0\x02\0\0................\0\x03".to_vec();
        for (id, at, length) in [(3u32, 62u32, 5u32), (1, 67, 5), (2, 72, 4)] {
            single.extend([id, at, length].iter().flat_map(|n| n.to_be_bytes()));
        }
        single.extend(b"a.txthellofork");
        assert_eq!(found(READING.read, &single), ["hello", "fork"]);
        let mut mac = vec![0; 128];
        mac[1] = 5;
        mac[2..7].copy_from_slice(b"a.txt");
        mac[86] = 5;
        mac[90] = 4;
        mac.extend(b"hello");
        mac.resize(256, 0);
        mac.extend(b"fork");
        assert_eq!(found(READING.read, &mac), ["hello", "fork"]);
        assert_eq!(found(READING.read, &[0; 300]), [""; 0]);
    }
}
