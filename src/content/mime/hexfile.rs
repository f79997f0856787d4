//! Files in hexadecimal records, as they are sent to chips and as archivers open them: Intel HEX (Intel, 1988) and Motorola S-records.

use super::super::find::{Finds, Leaf};
use super::{Reading, quoted};

pub(super) const READING: Reading = Reading { name: "hexfile", reads: "files in Intel HEX and S-records that stand in a text", read };

/// Records from which a text is read so.
const LEAST: usize = 2;
/// The longest line that is a record: 255 bytes with their frame.
const LONGEST: usize = 600;

/// One record of data: where it belongs, and its bytes.
type Record = (u32, Vec<u8>);

fn read(leaf: &Leaf, finds: &mut Finds) {
    let data = leaf.data.as_ref();
    if !super::is_readable(leaf) {
        return;
    }
    for (starts, record) in [(&b":"[..], intel as fn(&[u8]) -> Option<Record>), (b"Ss", motorola)] {
        let lines = || lines(leaf, starts);
        if lines().filter_map(record).take(LEAST).count() < LEAST || !finds.look(data.len()) {
            continue;
        }
        let mut records: Vec<Record> = lines().filter_map(record).collect();
        let joined = |records: &[Record]| records.iter().flat_map(|(_, bytes)| bytes).copied().collect::<Vec<u8>>();
        let as_they_stand = joined(&records);
        let sorted = records.is_sorted_by_key(|(at, _)| *at);
        if !finds.add_decoded(None, as_they_stand) {
            return;
        }
        if !sorted && finds.look(data.len()) {
            records.sort_by_key(|(at, _)| *at);
            finds.add_decoded(None, joined(&records));
        }
    }
}

/// The lines that start with one of `starts`, without the blanks around them.
fn lines<'a>(leaf: &'a Leaf, starts: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let data = leaf.data.as_ref();
    leaf.lines().filter_map(move |start| {
        let line = data.get(start..)?;
        let line = if matches!(line.first()?, b' ' | b'\t' | 0x0c) { line.trim_ascii_start() } else { line };
        let line = Some(line).filter(|line| line.first().is_some_and(|c| starts.contains(c)))?;
        let end = memchr::memchr2(b'\n', b'\r', line).unwrap_or(line.len());
        line.get(..end).map(<[u8]>::trim_ascii_end)
    })
}

/// The bytes of hexadecimal digits up to something else.
fn digits(text: &[u8]) -> Option<Vec<u8>> {
    let pairs = text.get(..text.len().min(LONGEST))?.as_chunks::<2>().0;
    Some(pairs.iter().map_while(|[high, low]| Some(quoted::hex(*high)? << 4 | quoted::hex(*low)?)).collect())
}

/// `:LLAAAATT…CC`. Only data (type 0) is of interest; a wrong sum is no reason for all readers to refuse it.
fn intel(line: &[u8]) -> Option<Record> {
    let bytes = digits(line.strip_prefix(b":")?)?;
    let [length, high, low, kind, rest @ ..] = bytes.as_slice() else { return None };
    let data = rest.get(..usize::from(*length)).filter(|data| *kind == 0 && !data.is_empty())?;
    // Addresses above 64 KiB go on by records of another type: what stands later comes later.
    Some((u32::from(*high) << 8 | u32::from(*low), data.to_vec()))
}

/// `S1LLAAAA…CC`, `S2` with three bytes of address, `S3` with four.
fn motorola(line: &[u8]) -> Option<Record> {
    let (wide, rest) = match line {
        [b'S' | b's', kind @ b'1'..=b'3', rest @ ..] => (usize::from(kind - b'0') + 1, rest),
        _ => return None,
    };
    let bytes = digits(rest)?;
    let (length, rest) = bytes.split_first()?;
    let body = rest.get(..usize::from(*length).checked_sub(1)?)?;
    let (address, data) = body.split_at_checked(wide)?;
    (!data.is_empty()).then(|| (address.iter().fold(0, |n, c| n << 8 | u32::from(*c)), data.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{found, once};
    use super::*;

    #[test]
    fn records() {
        let rows: &[(&str, &[&str])] = &[
            (":10000000576F726473206F662061206C657474652D\r\n:01001000727D\r\n:00000001FF\r\n", &["Words of a letter"]),
            ("S0030000FC\nS1080000576F726473E8\nS10F0005206F662061206C6574746572C5\nS9030000FC\n", &["Words of a letter"]),
            ("S209000000576F726473E7\nS209000005206F6620617B\n", &["Words of a"]),
            ("S30A00000000576F726473E6\nS30A00000005206F6620617A\n", &["Words of a"]),
            (":05000500206F66206180\n:05000000576F726473EC\n", &[" of aWords", "Words of a"]),
            (":10 is a time\n: and\n:smile: S1 and S2\nS1 or S3\nSee", &[]),
            (":00000001FF\n:00000001FF\n", &[]),
        ];
        for (text, want) in rows {
            assert_eq!(once(READING.read, text.as_bytes(), "", "").0, *want, "{text:?}");
            found(READING.read, text.as_bytes());
        }
    }
}
