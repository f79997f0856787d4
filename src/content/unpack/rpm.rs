//! rpm: a lead, a header of signatures, the header proper, and then a packed cpio archive, which is handed on.

use super::super::find::{Finds, Item, Leaf};
use super::super::sniff;
use super::Container;
use super::ints::be32;
use crate::mail::Reason;

pub(super) const CONTAINER: Container = Container { name: "rpm", opens: "rpm packages", is: |leaf| leaf.true_type == "rpm", open };

const LEAD: usize = 96;
const MAGIC: &[u8] = b"\x8e\xad\xe8";

fn open(leaf: &Leaf, finds: &mut Finds) {
    let payload = header_end(leaf.data, LEAD).and_then(|end| header_end(leaf.data, end.next_multiple_of(8)));
    match payload.filter(|at| *at < leaf.data.len()) {
        Some(at) => {
            let bytes = leaf.data.slice(at..);
            // Where the headers lie about their size, the archive is looked for.
            let lost = sniff::true_type(&bytes).is_empty();
            if finds.add(Item::Blob { name: Some("payload".to_owned()), bytes }) && lost {
                finds.add(Item::Guess(leaf.data.slice(LEAD..)));
            }
        }
        None => finds.unseen("archive.malformed", Reason::Malformed, "An rpm package that cannot be read", leaf.name.unwrap_or_default()),
    }
}

/// Where the header that starts at `at` ends: after its index and its store.
fn header_end(data: &[u8], at: usize) -> Option<usize> {
    data.get(at..).filter(|header| header.starts_with(MAGIC))?;
    let index = usize::try_from(be32(data, at + 8)?).ok()?.checked_mul(16)?;
    let store = usize::try_from(be32(data, at + 12)?).ok()?;
    at.checked_add(16)?.checked_add(index)?.checked_add(store).filter(|end| *end <= data.len())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{each_cut_and_flip, opened};
    use super::*;

    #[test]
    fn the_payload() {
        let header = |entries: u32, store: &[u8]| {
            let sizes = [entries.to_be_bytes(), (store.len() as u32).to_be_bytes()].concat();
            [b"\x8e\xad\xe8\x01\0\0\0\0".to_vec(), sizes, vec![0; entries as usize * 16], store.to_vec()].concat()
        };
        let mut rpm = [b"\xed\xab\xee\xdb\x03\0".to_vec(), vec![0; 90], header(1, b"abcde")].concat();
        rpm.resize(rpm.len().next_multiple_of(8), 0);
        rpm.extend(header(2, b"xy"));
        rpm.extend(b"070701");
        assert_eq!(opened(&CONTAINER, "rpm", &rpm), (vec![("payload".to_owned(), b"070701".to_vec())], vec![]));
        assert_eq!(crate::content::sniff::true_type(&rpm), "rpm");
        each_cut_and_flip(&CONTAINER, "rpm", &rpm);
        assert_eq!(opened(&CONTAINER, "rpm", &rpm[..rpm.len() - 7]).1, ["archive.malformed"]);
    }
}
