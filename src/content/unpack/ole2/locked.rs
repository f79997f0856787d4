//! Encrypted office documents (MS-OFFCRYPTO): recognised, and opened where a password is known: those that stand in the message, and those
//! that office programs themselves try.

use std::io::{Cursor, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::super::find::{Finds, Leaf};
use super::{MAGIC, Stream, office};

/// Passwords with which documents are encrypted that everybody shall open.
const DEFAULTS: [&str; 2] = ["VelvetSweatshop", "/01Hannes Ruescher/01"];
/// Hashes that deriving keys may take in one document: each password costs some ten thousand.
const MAX_HASHES: u64 = 4_000_000;
/// Hashes for a password where the document does not say.
const USUAL_HASHES: u64 = 50_000;
/// What a hash costs of the effort, in bytes.
const HASH: usize = 200;
/// The biggest document that is decrypted.
const MAX_SIZE: usize = 64 << 20;

/// Looks whether the document is encrypted, and hands out its plain form where a password opens it.
pub(super) fn open(leaf: &Leaf, streams: &[Stream], finds: &mut Finds) {
    if !is_encrypted(streams) {
        return;
    }
    let document = leaf.name.unwrap_or_default();
    let info = find(streams, "EncryptionInfo").map(|stream| stream.bytes.as_ref()).unwrap_or_default();
    let hashes = hashes(info);
    let tries = usize::try_from(MAX_HASHES / hashes.max(1)).unwrap_or(usize::MAX);
    let from_text: Vec<String> = finds.passwords().to_vec();
    let passwords = DEFAULTS.iter().copied().chain(from_text.iter().map(String::as_str));
    let size: usize = streams.iter().map(|stream| stream.bytes.len()).sum();
    let file = if size <= MAX_SIZE && finds.decoded(size) { rebuilt(streams).unwrap_or_default() } else { Vec::new() };
    for (index, password) in passwords.take(tries).enumerate() {
        let cost = usize::try_from(hashes).unwrap_or(usize::MAX).saturating_mul(HASH).saturating_add(file.len());
        if file.is_empty() || !finds.look(cost) {
            break;
        }
        if let Some(plain) = decrypt(&file, password) {
            if index < DEFAULTS.len() {
                finds.note("doc.default_password", "A document encrypted with a password that office programs know", document);
            } else {
                finds.note("doc.password_in_text", "An encrypted document whose password stands in the message", document);
            }
            finds.add_decoded(Some(format!("decrypted {document}")), plain);
            return;
        }
    }
    finds.locked("doc.encrypted", "An encrypted document", document);
}

fn find<'a>(streams: &'a [Stream], name: &str) -> Option<&'a Stream> {
    streams.iter().find(|stream| stream.name.eq_ignore_ascii_case(name))
}

fn is_encrypted(streams: &[Stream]) -> bool {
    let says = |name: &str, says: fn(&[u8]) -> bool| find(streams, name).is_some_and(|stream| says(&stream.bytes));
    says("EncryptedPackage", |_| true)
        || says("WordDocument", office::text_is_encrypted)
        || says("Workbook", office::workbook_is_encrypted)
        || says("Book", office::workbook_is_encrypted)
        || says("Current User", office::user_is_encrypted)
        || says("PowerPoint Document", office::slides_are_encrypted)
        || says("\tDRMContent", |_| true)
        || says("EncryptedSummary", |_| true)
}

/// How many hashes a password costs: the document says so itself.
fn hashes(info: &[u8]) -> u64 {
    let number = |at: usize| {
        let digits = info.get(at..)?.iter().take_while(|c| c.is_ascii_digit()).take(12);
        Some(digits.fold(0u64, |n, c| n * 10 + u64::from(c - b'0')))
    };
    let spins = b"spinCount=\"";
    let said = memchr::memmem::find_iter(info, spins).take(8).filter_map(|at| number(at + spins.len())).max();
    said.unwrap_or(USUAL_HASHES).max(1000)
}

/// The streams that decryption needs, in a new file: the library follows the chains and trees of a file without counting.
fn rebuilt(streams: &[Stream]) -> Option<Vec<u8>> {
    const NEEDED: [&str; 9] = [
        "EncryptionInfo",
        "EncryptedPackage",
        "WordDocument",
        "0Table",
        "1Table",
        "Data",
        "Current User",
        "PowerPoint Document",
        "Pictures",
    ];
    let mut file = cfb::CompoundFile::create_with_version(cfb::Version::V3, Cursor::new(Vec::new())).ok()?;
    for name in NEEDED {
        if let Some(stream) = find(streams, name) {
            file.create_stream(format!("/{name}")).ok()?.write_all(&stream.bytes).ok()?;
        }
    }
    file.flush().ok()?;
    Some(file.into_inner().into_inner())
}

/// The plain form; `None` where the password is wrong, or the library does not know the way it is encrypted.
fn decrypt(file: &[u8], password: &str) -> Option<Vec<u8>> {
    let plain = catch_unwind(AssertUnwindSafe(|| office_crypto::decrypt_from_bytes(file.to_vec(), password))).ok()?.ok()?;
    // The library does not check every password: what comes out shows whether it was right.
    let is_plain = plain.starts_with(b"PK\x03\x04") || (plain.starts_with(MAGIC) && plain != file);
    is_plain.then_some(plain)
}
