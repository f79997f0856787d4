//! What is in a message: one work list over `mime` readings and `unpack` containers, with limits. Pure: bytes in, parts and findings out.
//!
//! ```text
//!  raw ─► work list ─► mime/header   fields, where the body starts            mime/entity   what the fields say
//!            ▲         mime/boundary  the body cut at boundaries               mime/transfer  base64, quoted-printable
//!            │         leaf ─► sniff  true type    text  shown text, links     Part, once by SHA-256
//!            └──────── mime::READINGS  more in the same bytes     unpack::CONTAINERS  members
//! ```
//!
//! Where the bytes can be read in several ways, the most regular reading makes parts of kind `Message`, `Multipart` and `Leaf`; the others
//! are read after it and give parts of kind `Reading`, for content that has not been seen yet. What is found inside decoded bytes goes back
//! onto the list, so nothing recurses. At last `second` lets another reader of mail, written by others, look at the same message.
//!
//! `forks` keeps where the readings part, and compares what each of them would hand a client: `mime.ambiguous` names the place, the two
//! readings and their parts. It is of class ambiguous where an attachment is concerned, else a note. What stands in the message openly in
//! one reading and decoded in the other, blanks, and the footers of mailing lists make no difference.
//!
//! Findings have the check `decompose`. Other `mime.*`, `doc.*` but `doc.encrypted`, `archive.zip_disagrees` and
//! `archive.password_in_text` are notes. `mime.limit.*`, `archive.limit.*` (limit), `archive.malformed` (malformed), `archive.unknown`,
//! `html.script_file` and `mime.partial` (unknown container) mean *could not tell*. `archive.encrypted` and `doc.encrypted` are of class
//! encrypted.

mod cuts;
mod find;
mod forks;
mod html;
mod joined;
mod leaves;
mod limits;
mod mime;
mod passwords;
mod second;
mod sniff;
mod structure;
mod text;
mod unpack;
mod work;

use std::sync::Arc;

use bytes::Bytes;

pub use limits::{Alone, Limits, Supervisor};

use crate::mail::Message;

/// The check that findings of decomposition name.
pub const CHECK: &str = "decompose";

/// Takes `raw` apart. Never fails and never panics: what cannot be read becomes a finding. Bounded in memory and time by `limits`; parts
/// that stand verbatim in `raw` are slices of it.
///
/// The first part is the message itself (kind `Message`, its `data` empty), the next one its body: a leaf, or a multipart and then what
/// it holds, in the order of the message. Messages and multiparts have empty `data` and a `sha256` of zeros, since what they hold follows
/// as parts of its own; only a nested message that stands encoded in `raw` has its decoded bytes there.
pub fn decompose(raw: Bytes, limits: &Limits) -> Message {
    supervised(raw, limits, Arc::new(Alone))
}

/// The same, where somebody has to be asked for time and memory.
pub fn supervised(raw: Bytes, limits: &Limits, supervisor: Arc<dyn Supervisor>) -> Message {
    work::Work::new(raw, limits, supervisor).run()
}

/// Reads the header fields of `raw` and nothing else: for a relay without checks. The one part is the message itself.
pub fn header(raw: Bytes) -> Message {
    work::Work::new(raw, &Limits::default(), Arc::new(Alone)).header()
}

/// The readings and containers there are: name, and what it reads or opens in plain words.
pub fn methods() -> impl Iterator<Item = (&'static str, &'static str)> {
    let readings = mime::READINGS.iter().map(|reading| (reading.name, reading.reads));
    readings.chain(unpack::CONTAINERS.iter().map(|container| (container.name, container.opens)))
}

/// What fields say of bytes: the file name, the media type in lower case, the charset; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Said<'a> {
    /// The name it claims.
    pub name: Option<&'a str>,
    /// The type it claims.
    pub declared: &'a str,
    /// The charset it claims.
    pub charset: &'a str,
}

/// Runs one of the [`methods`] alone over `data`, whatever it is: for fuzzing and measuring. Tells how much it found, `None` where there
/// is no such method. Unlike [`decompose`] it lets a panic through.
pub fn alone(name: &str, said: Said<'_>, data: &Bytes, limits: &Limits) -> Option<usize> {
    let mut budget = limits::Budget::supervised(limits, Arc::new(Alone));
    let passwords = ["infected".to_owned()];
    let mut finds = find::Finds::new(&mut budget, limits.parts).with_passwords(&passwords);
    let Said { name: file, declared, charset } = said;
    let leaf = find::Leaf::new(data, file, declared, charset, sniff::true_type(data));
    if let Some(reading) = mime::READINGS.iter().find(|reading| reading.name == name) {
        (reading.read)(&leaf, &mut finds);
    } else {
        let container = unpack::CONTAINERS.iter().find(|container| container.name == name)?;
        let _says = (container.is)(&leaf);
        (container.open)(&leaf, &mut finds);
    }
    Some(finds.items.len())
}

/// What `data` is, by its first bytes and structure: a short name as in [`crate::mail::Part::true_type`], empty if unknown.
pub fn true_type(data: &[u8]) -> &'static str {
    sniff::true_type(data)
}

#[cfg(test)]
mod tests;
