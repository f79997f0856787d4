//! Encrypted PDF (ISO 32000-1 section 7.6): written anew without its encryption where a password opens it. Most of them have none for
//! reading, and open without a question.

use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::{Document, LoadOptions, Object};

use super::super::super::find::{Finds, Leaf};

/// The biggest file that is given to the library.
const MAX_SIZE: usize = 64 << 20;
/// What the library may unpack of object streams, all together.
const OBJECTS: usize = 64 << 20;
/// Passwords tried on one file.
const MAX_TRIES: usize = 50;
/// What a try costs of the effort beyond reading the file: the newest form of encryption hashes a lot.
const TRY: usize = 4 << 20;

/// Hands out the file without encryption, or says that it is encrypted. `streams` and `holders` are how many streams there are, and how many
/// of them hold objects.
pub(super) fn open(leaf: &Leaf, streams: usize, holders: usize, finds: &mut Finds) {
    let document = leaf.name.unwrap_or_default();
    let from_text: Vec<String> = finds.passwords().to_vec();
    let passwords = std::iter::once("").chain(from_text.iter().map(String::as_str));
    for (index, password) in passwords.take(MAX_TRIES).enumerate() {
        if leaf.data.len() > MAX_SIZE || !finds.look(leaf.data.len().saturating_mul(4).saturating_add(TRY)) {
            break;
        }
        let Some((plain, seen)) = decrypt(leaf.data, password, holders, false) else { continue };
        if index > 0 {
            finds.note("doc.password_in_text", "An encrypted document whose password stands in the message", document);
        }
        // Where the table of objects hides some, programs look for them as they stand in the file.
        let more = (seen < streams).then(|| decrypt(leaf.data, password, holders, true)).flatten();
        if finds.add_decoded(Some(format!("decrypted {document}")), plain)
            && let Some((more, _)) = more
        {
            finds.add_decoded(Some(format!("decrypted {document}")), more);
        }
        return;
    }
    finds.locked("doc.encrypted", "An encrypted document", document);
}

/// The file without encryption, and how many streams are in it; `None` where the password is wrong or the file cannot be read.
fn decrypt(data: &[u8], password: &str, holders: usize, rebuild: bool) -> Option<(Vec<u8>, usize)> {
    let options = LoadOptions {
        password: Some(password.to_owned()),
        max_decompressed_size: Some((OBJECTS / holders.max(1)).max(64 << 10)),
        force_reconstruct: rebuild,
        ..LoadOptions::default()
    };
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut document = Document::load_mem_with_options(data, options).ok()?;
        if document.is_encrypted() {
            document.decrypt(password).ok()?;
        }
        let streams = document.objects.values().filter(|object| matches!(object, Object::Stream(_))).count();
        document.trailer.remove(b"Encrypt");
        let mut plain = Vec::with_capacity(data.len());
        document.save_to(&mut plain).ok()?;
        Some((plain, streams))
    }));
    opened.ok().flatten()
}
