//! What the tests of containers share.

use bytes::Bytes;

use super::super::find::{Finds, Item, Leaf};
use super::super::limits::{Budget, Limits};
use super::Container;

/// A file under `tests/fixtures`.
pub(super) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// What a container gives: members by name, and the codes of problems.
pub(super) fn opened(container: &Container, true_type: &'static str, data: &[u8]) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
    opened_with(container, true_type, data, &[])
}

/// The same with passwords.
pub(super) fn opened_with(
    container: &Container,
    true_type: &'static str,
    data: &[u8],
    passwords: &[String],
) -> (Vec<(String, Vec<u8>)>, Vec<&'static str>) {
    let mut budget = Budget::new(&Limits::default());
    let mut finds = Finds::new(&mut budget, 100).with_passwords(passwords);
    let data = Bytes::copy_from_slice(data);
    (container.open)(&Leaf::new(&data, None, "", "", true_type), &mut finds);
    let items = finds.items.into_iter().filter_map(|item| match item {
        Item::Blob { name, bytes } => Some((name.unwrap_or_default(), bytes.to_vec())),
        _ => None,
    });
    (items.collect(), finds.problems.iter().map(|p| p.code).collect())
}

/// Opens it cut at every byte, and with every byte flipped: nothing panics, nothing takes for ever.
pub(super) fn each_cut_and_flip(container: &Container, true_type: &'static str, data: &[u8]) {
    for at in 0..data.len() {
        opened(container, true_type, &data[..at]);
        let mut flipped = data.to_vec();
        for mask in [0xff, 0x01, 0x80] {
            flipped[at] = data[at] ^ mask;
            opened(container, true_type, &flipped);
        }
    }
}
