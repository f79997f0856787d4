//! zip (APPNOTE 6.3): members from all central directories and from local headers that only a forward scan finds. Readers differ in which
//! of them they believe, so all are opened; sizes are counted while unpacking, never believed.

mod crypt;
mod directory;
mod headers;
mod member;
mod methods;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use bytes::Bytes;
use memchr::memmem;

use self::crypt::Opened;
use self::directory::Directory;
use self::headers::{DESCRIPTOR, LOCAL};
use self::member::{Member, Readings};
use super::super::find::{Finds, Item, Leaf};
use super::super::{passwords, sniff};
use super::Container;
use super::ints::le32;
use super::stream::{How, complain};
use crate::mail::Reason;

pub(crate) use headers::is_local_header;

pub(super) const CONTAINER: Container =
    Container { name: "zip", opens: "zip archives, and documents and programs that are or hold one", is: is_zip, open };

/// Key derivations of one archive: the time for the message is for other parts too.
const MAX_DERIVATIONS: usize = 2000;
/// Names of one member that are handed on.
const MAX_NAMES: usize = 8;

fn is_zip(leaf: &Leaf) -> bool {
    let of_zip = matches!(leaf.true_type, "zip" | "jar" | "apk" | "epub" | "odf" | "docx" | "docm" | "xlsx" | "xlsm" | "pptx" | "pptm");
    of_zip || sniff::has_zip(leaf.data)
}

/// Whether an end record leads to a central directory that lists a member, wherever the members are.
pub(crate) fn has_directory(data: &[u8]) -> bool {
    !Directory::read(data).is_empty()
}

fn open(leaf: &Leaf, finds: &mut Finds) {
    let archive = leaf.name.unwrap_or_default();
    let mut passwords = finds.passwords().to_vec();
    if !passwords.is_empty() {
        // Programs show the comment of an archive.
        let comment = directory::comment(leaf.data);
        passwords.extend(passwords::candidates(comment.iter().map(String::as_str), std::iter::empty()));
    }
    let mut open = Open {
        data: leaf.data,
        archive,
        in_pieces: matches!(leaf.true_type, "ole2" | "msi"),
        passwords: &passwords,
        finds,
        done: BTreeMap::new(),
        members: 0,
        locked: None,
        opened: None,
        last_password: 0,
        derivations: 0,
    };
    let complete = open.all().is_some();
    if complete && open.members == 0 && !leaf.data.starts_with(b"PK\x05\x06") {
        open.damaged("A zip in which no member can be found", "");
    }
    let Open { locked, opened, .. } = open;
    match (locked, opened) {
        (Some(name), _) => finds.locked("archive.encrypted", "An encrypted archive", &format!("{archive}: {name}")),
        (None, Some(name)) => {
            let evidence = format!("{archive}: {name}");
            finds.note("archive.password_in_text", "An encrypted archive whose password stands in the message", &evidence);
        }
        (None, None) => {}
    }
}

/// An archive being opened.
struct Open<'o, 'f> {
    data: &'o Bytes,
    archive: &'o str,
    /// It stands in a file that keeps content in pieces, which another reader puts together: damage is to be expected.
    in_pieces: bool,
    passwords: &'o [String],
    finds: &'o mut Finds<'f>,
    /// Where data of members starts and ends.
    done: BTreeMap<usize, usize>,
    members: usize,
    /// A member that no password opens.
    locked: Option<String>,
    /// A member that a password opened.
    opened: Option<String>,
    /// The password that opened the last one.
    last_password: usize,
    derivations: usize,
}

impl Open<'_, '_> {
    /// Opens what is listed, then what is not. `None` where a limit ends it.
    fn all(&mut self) -> Option<()> {
        let data = self.data;
        let directory = Directory::read(data);
        if directory.cut {
            self.finds.unseen("archive.limit.members", Reason::Limit, "An archive of more members than are read", self.archive);
        }
        if directory.hidden {
            self.members += 1;
            self.locked = Some("central directory".to_owned());
        }
        if directory.split {
            self.disagree("several disks");
        }
        for (place, listed) in &directory.members {
            let Some((local, start)) = headers::local(data, *place) else {
                let name = listed.first().map(|header| header.name.as_str()).unwrap_or_default();
                self.damaged("A zip lists a member that is not there", name);
                self.members += 1;
                continue;
            };
            if let Some((header, what)) = listed.iter().find_map(|header| Some((header, header.difference(&local)?))) {
                self.disagree(&format!("{}: {what}", header.name));
            }
            let headers = listed.iter().chain([&local]).collect();
            self.member(&Member { headers, start, behind: None })?;
        }
        self.scan(&directory)
    }

    /// Local headers that nothing lists: in the gaps, and in the headers of others.
    fn scan(&mut self, directory: &Directory) -> Option<()> {
        let data = self.data;
        let (mut at, mut expected) = (0, 0);
        while let Some(place) = data.get(at..).and_then(|rest| memmem::find(rest, LOCAL)).map(|n| at + n) {
            at = place + LOCAL.len();
            if let Some((_, end)) = self.done.range(..=place).next_back().filter(|(_, end)| **end > place) {
                at = at.max(*end);
                expected = *end;
                continue;
            }
            // A reader that goes from member to member asks less of a header that stands in its place, perhaps behind a descriptor.
            let in_place = place.checked_sub(expected).is_some_and(|gap| gap <= 24);
            let plausible = in_place || data.get(place..).is_some_and(is_local_header);
            if !plausible || directory.members.contains_key(&place) {
                continue;
            }
            let Some((local, start)) = headers::local(data, place) else { continue };
            if !directory.is_empty() {
                self.disagree(&format!("{}: not listed", local.name));
            }
            expected = self.member(&Member { headers: vec![&local], start, behind: None })?;
        }
        Some(())
    }

    fn damaged(&mut self, words: &'static str, name: &str) {
        let evidence = format!("{}: {name}", self.archive);
        if self.in_pieces {
            self.finds.note("archive.malformed", words, &evidence);
        } else {
            self.finds.unseen("archive.malformed", Reason::Malformed, words, &evidence);
        }
    }

    fn disagree(&mut self, what: &str) {
        let evidence = format!("{}: {what}", self.archive);
        self.finds.note("archive.zip_disagrees", "Headers of a zip that contradict each other", &evidence);
    }

    /// Adds a member; tells where its data ends, or `None` where a limit is reached.
    fn member(&mut self, member: &Member) -> Option<usize> {
        self.members += 1;
        let data = self.data;
        let ends = member.ends(data, self.finds)?;
        let end = ends.last().copied().unwrap_or(member.start);
        let names = member.names();
        let name = names.first().cloned().unwrap_or_default();
        if name.ends_with('/') && end == member.start {
            self.done.insert(member.start, end);
            return Some(end);
        }
        let encrypted = member.is_encrypted();
        let mut readings = if encrypted && member.headers.iter().all(|header| header.is_strong()) {
            Readings::default()
        } else {
            member.read(data, member.start, &ends, self.finds)
        };
        if encrypted && !readings.right {
            // What an encrypted member gives without its password is noise.
            let limited = readings.how == Some(How::Limit) || readings.stop;
            let plain = if limited { None } else { self.decrypt(member, &ends) };
            let Some(plain) = plain else {
                self.locked.get_or_insert_with(|| name.clone());
                self.done.insert(member.start, end);
                let named = self.finds.add(Item::Blob { name: Some(name), bytes: Bytes::new() });
                // Until there are passwords, nothing that is found here is kept.
                return (named && !self.passwords.is_empty()).then_some(end);
            };
            readings = Readings { end, ..plain };
            self.opened.get_or_insert_with(|| name.clone());
        } else if encrypted {
            self.disagree(&format!("{name}: not encrypted"));
        }
        // Damaged data may seem to reach over the next member.
        let said = ends.iter().copied().filter(|end| *end > member.start && !readings.right).min();
        self.done.insert(member.start, said.unwrap_or(readings.end).min(readings.end));
        self.judge(&readings, &name);
        let stop = readings.stop;
        let end = self.add(readings, &names);
        end.filter(|_| !stop)
    }

    /// Says what is wrong with a member.
    fn judge(&mut self, readings: &Readings, name: &str) {
        match readings.how {
            _ if readings.right => {}
            _ if readings.unknown => complain(self.finds, How::Unknown, &format!("{}: {name}", self.archive)),
            _ if readings.whole && readings.contents.is_empty() => {}
            _ if readings.whole => self.disagree(&format!("{name}: the checksum of the content")),
            Some(How::Broken) => self.damaged("Packed data that cannot be unpacked", name),
            Some(how) => complain(self.finds, how, &format!("{}: {name}", self.archive)),
            None => {}
        }
    }

    /// Adds the contents under the first name, and the likeliest one under all of them.
    fn add(&mut self, readings: Readings, names: &[String]) -> Option<usize> {
        let first = names.first().cloned();
        let best = readings.contents.first().cloned().unwrap_or_default();
        let others = names.iter().skip(1).take(MAX_NAMES).map(|name| (Some(name.clone()), best.clone()));
        let contents = readings.contents.into_iter().skip(1).map(|bytes| (first.clone(), bytes));
        let all = std::iter::once((first.clone(), best.clone())).chain(others).chain(contents);
        for (name, bytes) in all {
            if !self.finds.add(Item::Blob { name, bytes }) {
                return None;
            }
        }
        Some(readings.end)
    }

    /// Tries the passwords on a member: what the right one gives.
    fn decrypt(&mut self, member: &Member, ends: &[usize]) -> Option<Readings> {
        let strong = member.headers.iter().all(|header| header.is_strong());
        let key = member.headers.iter().find_map(|header| header.aes);
        let tries = self.passwords.len();
        for n in (0..tries).filter(|_| !strong) {
            // The one that opened the last member goes first.
            let n = if n == 0 {
                self.last_password
            } else if n <= self.last_password {
                n - 1
            } else {
                n
            };
            let Some(password) = self.passwords.get(n) else { continue };
            for coded in coded(password) {
                for end in ends {
                    let packed = self.data.slice(member.start.min(*end)..*end);
                    let behind = self.data.get(*end..).unwrap_or_default();
                    let behind = if behind.starts_with(DESCRIPTOR) { le32(behind, 4) } else { le32(behind, 0) };
                    let followed = member.headers.iter().any(|header| header.is_followed());
                    let member = &Member { headers: member.headers.clone(), start: 0, behind: behind.filter(|_| followed) };
                    let readings = match key {
                        Some(key) => self.try_aes(member, &packed, &coded, key)?,
                        None => self.try_old(member, &packed, &coded)?,
                    };
                    if let Some(readings) = readings {
                        self.last_password = n;
                        return Some(readings);
                    }
                }
            }
        }
        None
    }

    /// Tries a password on WinZip's encryption. The outer `None` ends all trying.
    fn try_aes(&mut self, member: &Member, packed: &Bytes, password: &[u8], key: usize) -> Option<Option<Readings>> {
        self.derivations += 1;
        if self.derivations > MAX_DERIVATIONS || !self.finds.look(crypt::DERIVATION) {
            return None;
        }
        let Opened::Plain(plain, right) = crypt::open_aes(packed, password, key) else { return Some(None) };
        let plain = self.take_plain(plain, packed.len())?;
        let mut readings = member.read(&plain, 0, &[plain.len()], self.finds);
        // AE-2 has no checksum but the authentication code.
        readings.right |= right && readings.whole;
        Some((right || readings.right).then_some(readings))
    }

    /// Tries a password on PKWARE's old encryption.
    fn try_old(&mut self, member: &Member, packed: &Bytes, password: &[u8]) -> Option<Option<Readings>> {
        let checks: Vec<u8> = member.headers.iter().flat_map(|header| [header.crc.to_le_bytes()[3], header.time]).collect();
        if !self.finds.look(256) {
            return None;
        }
        if !crypt::may_open_old(packed, password, &checks) {
            return Some(None);
        }
        if !self.finds.look(packed.len()) {
            return None;
        }
        let plain = Bytes::from(crypt::open_old(packed, password));
        let readings = member.read(&plain, 0, &[plain.len()], self.finds);
        // One wrong password in 128 gets as far as this: then the checksum is wrong.
        Some(readings.right.then_some(readings))
    }

    /// Decrypted bytes count as decoded.
    fn take_plain(&mut self, plain: Vec<u8>, packed: usize) -> Option<Bytes> {
        (self.finds.look(packed) && self.finds.decoded(plain.len())).then(|| Bytes::from(plain))
    }
}

/// The bytes that programs make of a password: UTF-8, and the old western ones where they differ.
fn coded(password: &str) -> Vec<Vec<u8>> {
    let mut all = vec![password.as_bytes().to_vec()];
    let narrow: Option<Vec<u8>> = password.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
    all.extend(narrow.filter(|narrow| narrow != password.as_bytes()));
    all
}
