//! Leaves: decoded bytes become a part, and are offered to every reading and container.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::find::{Finds, Item, Leaf, Problem, limit, too_long};
use super::forks::ASIDE;
use super::unpack::{CONTAINERS, Container};
use super::work::{Blob, Task, Way, What, Work};
use super::{mime, sniff, text};
use crate::mail::{Class, PartId, PartKind, Reason};

impl Work<'_> {
    /// Makes a part of decoded bytes, and offers them to all readings and containers if they, or what is said of them, are new. Hands out
    /// the part that has these bytes.
    pub(super) fn leaf(&mut self, mut blob: Blob, parent: Option<PartId>, depth: u16, way: Way) -> Option<PartId> {
        if way != Way::First {
            blob.kind = PartKind::Reading;
        }
        let sha256: [u8; 32] = Sha256::digest(&blob.bytes).into();
        let before = self.seen.get(&sha256).copied();
        let view = view(&sha256, &blob);
        if blob.kind == PartKind::Reading && self.is_known_reading(&blob, before, &view) {
            return before;
        }
        let true_type = sniff::true_type(&blob.bytes);
        let (data, charset, guess) = (blob.bytes.clone(), std::mem::take(&mut blob.charset), blob.guess);
        let id = self.add(blob, true_type, sha256, parent, depth);
        self.seen.entry(sha256).or_insert(id);
        // What nothing but its look calls encoded is for the engines, not for the rules about what people read.
        if !guess {
            self.read_text(id, &charset);
        }
        if data.is_empty() {
            return Some(id);
        }
        if !self.offered.insert(view) {
            if self.holds_itself(id, &sha256) {
                self.note(limit("mime.limit.depth", "A container that holds itself, without end"), Some(id));
            }
            return Some(id);
        }
        if before.is_none() {
            self.judge_type(id, true_type, &data, guess);
        }
        self.offer(id, &data, &charset, true_type, depth, guess);
        Some(id)
    }

    /// Another reading is only worth a part where its bytes are new, come under a new name, or are to be read in a new way.
    fn is_known_reading(&self, blob: &Blob, before: Option<PartId>, view: &[u8; 32]) -> bool {
        let same_name = |id: PartId| blob.name.is_none() || self.parts.get(id.0 as usize).is_some_and(|part| part.name == blob.name);
        blob.bytes.is_empty() || (before.is_some_and(same_name) && self.offered.contains(view))
    }

    /// Whether a part stands inside of the very same bytes.
    fn holds_itself(&self, id: PartId, sha256: &[u8; 32]) -> bool {
        let part = |id: PartId| self.parts.get(id.0 as usize);
        std::iter::successors(part(id).and_then(|part| part.parent), |id| part(*id).and_then(|part| part.parent))
            .any(|above| part(above).is_some_and(|above| above.sha256 == *sha256))
    }

    /// Offers bytes to every reading and container, and queues what they find.
    fn offer(&mut self, id: PartId, data: &Bytes, charset: &str, true_type: &'static str, depth: u16, guess: bool) {
        let Some(part) = self.parts.get(id.0 as usize) else { return };
        let leaf = Leaf::new(data, part.name.as_deref(), &part.declared_type, charset, true_type);
        let room = self.limits.parts.saturating_sub(self.parts.len());
        let mut found = Found::default();
        for reading in mime::READINGS {
            if self.budget.is_late() {
                found.problems.push(too_long(&self.budget));
                break;
            }
            let mut finds = Finds::new(&mut self.budget, room);
            guarded(reading.name, &mut finds, |finds| (reading.read)(&leaf, finds));
            found.readings.append(&mut finds.items);
            found.problems.append(&mut finds.problems);
        }
        let scrap = part.kind == PartKind::Reading && sniff::is_scrap(data, true_type);
        for container in CONTAINERS.iter().filter(|container| !scrap && (container.is)(&leaf)) {
            if self.budget.is_late() {
                found.problems.push(too_long(&self.budget));
                break;
            }
            // At the limit of depth a container stays closed, which is found below.
            if depth >= self.limits.depth {
                found.problems.push(limit("mime.limit.depth", "More containers inside each other than the limit"));
                continue;
            }
            let mut finds = Finds::new(&mut self.budget, room);
            guarded(container.name, &mut finds, |finds| (container.open)(&leaf, finds));
            if finds.locked {
                self.locked.push((id, container));
                continue;
            }
            found.members.append(&mut finds.items);
            found.problems.append(&mut finds.problems);
        }
        self.take(found, id, depth, guess);
    }

    /// Opens a container again that was locked, now with passwords.
    pub(super) fn open_again(&mut self, id: PartId, container: &Container, passwords: &[String]) {
        let Some(part) = self.parts.get(id.0 as usize) else { return };
        let (data, depth) = (part.data.clone(), part.depth);
        let leaf = Leaf::new(&data, part.name.as_deref(), &part.declared_type, "", part.true_type);
        let room = self.limits.parts.saturating_sub(self.parts.len());
        let mut finds = Finds::new(&mut self.budget, room).with_passwords(passwords);
        guarded(container.name, &mut finds, |finds| (container.open)(&leaf, finds));
        let found = Found { members: finds.items, problems: finds.problems, ..Found::default() };
        self.take(found, id, depth, false);
    }

    /// Notes the problems, and queues what was found.
    fn take(&mut self, found: Found, id: PartId, depth: u16, guess: bool) {
        let malformed = Class::CouldNotTell { reason: Reason::Malformed };
        for mut problem in found.problems {
            if guess && problem.class == malformed {
                problem.class = Class::Note;
            }
            self.note(problem, Some(id));
        }
        let readings = found.readings.into_iter().map(|item| (item, PartKind::Reading));
        let members = found.members.into_iter().map(|item| (item, PartKind::Member));
        let tasks: Vec<Task> = readings.chain(members).map(|(item, kind)| task_of(item, kind, id, depth)).collect();
        if !tasks.is_empty() && self.may_descend(depth, Some(id)) {
            self.push_all(tasks, false);
        }
    }

    /// Text and links of a part that is text, by its type or its content.
    fn read_text(&mut self, id: PartId, charset: &str) {
        let most = self.limits.text_bytes.bytes().min(self.text_left);
        let Some(part) = self.parts.get_mut(id.0 as usize) else { return };
        // Nobody reads a member of unknown type as text: a stream of a document, say.
        let undeclared = part.declared_type.is_empty() && part.kind != PartKind::Member;
        let declared_text = undeclared || part.declared_type.starts_with("text");
        let is_text = matches!(part.true_type, "text" | "html" | "xml" | "script" | "mail") || (declared_text && part.true_type.is_empty());
        if !is_text || part.data.is_empty() {
            return;
        }
        let data = part.data.get(..part.data.len().min(most)).unwrap_or_default();
        self.text_left -= data.len();
        let decoded = mime::charset::decode(data, Some(charset));
        let html = part.declared_type == "text/html" || part.declared_type == "application/xhtml+xml";
        let html = html || (part.true_type == "html" && part.declared_type != "text/plain");
        let text = if html { text::shown(&decoded, &mut self.urls) } else { decoded.into_owned() };
        self.urls.find_in(&text);
        part.text = Some(text);
    }

    /// Findings that follow from the true type alone.
    fn judge_type(&mut self, id: PartId, true_type: &'static str, data: &Bytes, guess: bool) {
        let Some(part) = self.parts.get(id.0 as usize) else { return };
        let scrap = part.kind == PartKind::Reading && sniff::is_scrap(data, true_type);
        let scrap = scrap || (guess && sniff::is_short_marked(true_type));
        let name = part.name.clone().unwrap_or_default();
        let differs = sniff::differs(part.name.as_deref(), &part.declared_type, true_type) && !data.is_empty();
        let said = format!("{true_type} by its content, declared {}: {name}", part.declared_type);
        if differs {
            self.note(Problem::note("mime.type_mismatch", "A file that is not what its name or type says", said), Some(id));
        }
        // What is named as an archive and is nothing that is known may be one that a client opens.
        let nameless = true_type.is_empty() && sniff::is_archive_name(&name) && !data.is_empty() && !sniff::has_zip(data);
        if (sniff::UNOPENED.contains(&true_type) || nameless) && !scrap {
            let words = "A container that is not opened here";
            self.note(Problem::unseen("archive.unknown", Reason::UnknownContainer, words, format!("{true_type} {name}")), Some(id));
        }
    }
}

/// What readings and containers found in a leaf.
#[derive(Default)]
struct Found {
    readings: Vec<Item>,
    members: Vec<Item>,
    problems: Vec<Problem>,
}

/// Runs a reader over a leaf. A panic in it, or in a library below it, is a fault of ours that this message brought out: what it could
/// not read was not seen.
fn guarded(name: &'static str, finds: &mut Finds<'_>, read: impl FnOnce(&mut Finds<'_>)) {
    if catch_unwind(AssertUnwindSafe(|| read(finds))).is_err() {
        tracing::error!(reader = name, "a reader panicked");
        finds.unseen("content.fault", Reason::Malformed, "A reader of this program failed on it", name);
    }
}

/// A digest of content and of all that readings go by: declared type, charset, and the ending of the name.
fn view(sha256: &[u8; 32], blob: &Blob) -> [u8; 32] {
    let ending = blob.name.as_deref().and_then(|name| name.rsplit_once('.')).map(|(_, ending)| ending.trim().to_lowercase());
    let mut digest = Sha256::new_with_prefix(sha256);
    for said in [blob.declared.as_str(), &blob.charset.to_lowercase(), &ending.unwrap_or_default()] {
        digest.update((said.len() as u64).to_le_bytes());
        digest.update(said);
    }
    digest.finalize().into()
}

fn task_of(item: Item, kind: PartKind, parent: PartId, depth: u16) -> Task {
    let what = match item {
        Item::Blob { name, bytes } => {
            let attachment = kind == PartKind::Member || name.is_some();
            What::Leaf(Box::new(Blob { attachment, ..Blob::plain(bytes, kind, name) }))
        }
        Item::Guess(bytes) => What::Leaf(Box::new(Blob { guess: true, ..Blob::plain(bytes, kind, None) })),
        Item::Entity(bytes) => What::Entity(bytes, false),
        Item::Message(bytes) => What::Message(bytes),
    };
    // What a reading cuts out of a text is no part of the message's own structure.
    let way = if kind == PartKind::Reading { Way::More } else { Way::First };
    Task { what, parent: Some(parent), depth: depth.saturating_add(1), way, node: ASIDE }
}
