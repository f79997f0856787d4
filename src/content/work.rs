//! The work list: tasks taken from a stack until none is left, parts and findings collected on the way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::find::{Finds, Item, Leaf, Problem, limit};
use super::limits::{Budget, Limits};
use super::mime::entity::Mime;
use super::text::{self, Urls};
use super::unpack::CONTAINERS;
use super::{CHECK, mime, sniff};
use crate::mail::{Class, Finding, Header, Message, Part, PartId, PartKind, Reason, Span};

/// Findings kept per code: one thing repeated a thousand times is one thing.
const MAX_NOTES: usize = 3;
/// The same for findings that have consequences.
const MAX_GRAVE: usize = 20;
/// Text of all parts together, in units of the limit for one.
const TEXTS: usize = 16;

/// What a task works on.
pub(super) enum What {
    /// A whole message.
    Message(Bytes),
    /// Header fields and a body; whether it stands in a digest.
    Entity(Bytes, bool),
    /// A body under one of the types and one of the encodings that its fields name.
    Body(Rc<Mime>, usize, usize, Bytes),
    /// Decoded bytes.
    Leaf(Box<Blob>),
}

/// Which reading of the message a task belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The most regular one.
    First,
    /// More that the regular one holds, in another form: uuencode in a text.
    More,
    /// One that contradicts the first: another boundary, another transfer encoding.
    Other,
}

/// Something to do.
pub(super) struct Task {
    pub what: What,
    /// The part it was found in.
    pub parent: Option<PartId>,
    /// Containers around it.
    pub depth: u16,
    /// The reading it belongs to.
    pub way: Way,
}

/// Decoded bytes on their way to becoming a part.
pub(super) struct Blob {
    pub bytes: Bytes,
    pub kind: PartKind,
    pub declared: String,
    pub charset: String,
    pub name: Option<String>,
    pub attachment: bool,
    /// Where the undecoded body stands in the raw bytes.
    pub span: Option<Span>,
}

impl Blob {
    /// Bytes about which no field says anything.
    pub(super) fn plain(bytes: Bytes, kind: PartKind, name: Option<String>) -> Self {
        Self { bytes, kind, declared: String::new(), charset: String::new(), name, attachment: false, span: None }
    }
}

/// A message being taken apart.
pub(super) struct Work<'l> {
    pub limits: &'l Limits,
    pub raw: Bytes,
    pub budget: Budget,
    pub headers: Option<(usize, Vec<Header>)>,
    parts: Vec<Part>,
    urls: Urls,
    findings: Vec<Finding>,
    counts: HashMap<&'static str, usize>,
    /// Taken from its end, so that parts come in the order of the message.
    stack: Vec<Task>,
    /// Other readings wait until the first one is through: limits strike them first.
    later: VecDeque<Task>,
    /// Content that has a part.
    seen: HashMap<[u8; 32], PartId>,
    /// Content that was offered to the readings, with what the fields say of it: readings go by both.
    offered: HashSet<[u8; 32]>,
    /// Entities that have been read, by the place of their bytes; those of `kept` stay where they are.
    read: HashSet<(usize, usize)>,
    kept: Vec<Bytes>,
    text_left: usize,
}

impl<'l> Work<'l> {
    pub(super) fn new(raw: Bytes, limits: &'l Limits) -> Self {
        let first = Task { what: What::Message(raw.clone()), parent: None, depth: 0, way: Way::First };
        Self {
            limits,
            raw,
            budget: Budget::new(limits),
            headers: None,
            parts: Vec::new(),
            urls: Urls::new(limits.urls),
            findings: Vec::new(),
            counts: HashMap::new(),
            stack: vec![first],
            later: VecDeque::new(),
            seen: HashMap::new(),
            offered: HashSet::new(),
            read: HashSet::new(),
            kept: Vec::new(),
            text_left: limits.text_bytes.bytes().saturating_mul(TEXTS),
        }
    }

    /// Reads the header fields alone.
    pub(super) fn header(mut self) -> Message {
        let bytes = self.raw.clone();
        self.message(Task { what: What::Message(bytes), parent: None, depth: 0, way: Way::First });
        if let Some(entity) = self.stack.pop() {
            self.entity(entity);
        }
        let (body_start, headers) = self.headers.unwrap_or((self.raw.len(), Vec::new()));
        Message { raw: self.raw, body_start, headers, parts: self.parts, urls: Vec::new(), findings: Vec::new() }
    }

    /// Works until nothing is left to do or a limit of the whole message is reached.
    pub(super) fn run(mut self) -> Message {
        while let Some(task) = self.stack.pop().or_else(|| self.later.pop_front()) {
            if let Some(problem) = self.refuse(&task) {
                self.note(problem, None);
                break;
            }
            match task.what {
                What::Message(_) => self.message(task),
                What::Entity(..) => self.entity(task),
                What::Body(..) => self.body(task),
                What::Leaf(blob) => self.leaf(*blob, task.parent, task.depth, task.way),
            }
        }
        if self.urls.cut {
            self.note(Problem::note("mime.limit.urls", "More links than are kept", ""), None);
        }
        let (body_start, headers) = self.headers.unwrap_or((self.raw.len(), Vec::new()));
        for problem in mime::lines::problems(&self.raw, body_start) {
            self.findings.push(finding(problem, None));
        }
        Message { raw: self.raw, body_start, headers, parts: self.parts, urls: self.urls.into_list(), findings: self.findings }
    }

    /// The limit that forbids to go on.
    fn refuse(&mut self, task: &Task) -> Option<Problem> {
        let size = match &task.what {
            What::Message(bytes) | What::Entity(bytes, _) => bytes.len().min(1024),
            What::Body(_, _, _, bytes) => bytes.len(),
            What::Leaf(blob) => blob.bytes.len(),
        };
        if self.parts.len() >= self.limits.parts || self.stack.len() + self.later.len() > self.limits.parts.saturating_mul(8) {
            return Some(limit("mime.limit.parts", "More parts than the limit"));
        }
        (!self.budget.look(size)).then(|| limit("mime.limit.effort", "Too much to read over and over"))
    }

    /// Whether a task may go one container deeper.
    pub(super) fn may_descend(&mut self, depth: u16, part: Option<PartId>) -> bool {
        let may = depth < self.limits.depth;
        if !may {
            self.note(limit("mime.limit.depth", "More containers inside each other than the limit"), part);
        }
        may
    }

    /// Puts tasks on the stack so that they are done in this order, before what lies there; or at the end of the other readings.
    pub(super) fn push_all(&mut self, tasks: Vec<Task>, later: bool) {
        if later {
            self.later.extend(tasks);
        } else {
            self.stack.extend(tasks.into_iter().rev());
        }
    }

    /// Puts a task that belongs to another reading behind all others.
    pub(super) fn push_other(&mut self, what: What, parent: Option<PartId>, depth: u16) {
        self.later.push_back(Task { what, parent, depth, way: Way::Other });
    }

    /// Whether the entity in `bytes` is met for the first time.
    pub(super) fn is_new_entity(&mut self, bytes: &Bytes) -> bool {
        let new = self.read.insert((bytes.as_ptr().addr(), bytes.len()));
        if new && self.place(bytes).is_none() {
            self.kept.push(bytes.clone());
        }
        new
    }

    /// Where `bytes` stands in the raw message, if it is a slice of it.
    pub(super) fn place(&self, bytes: &Bytes) -> Option<Span> {
        let start = bytes.as_ptr().addr().checked_sub(self.raw.as_ptr().addr())?;
        let end = start.checked_add(bytes.len())?;
        (!bytes.is_empty() && end <= self.raw.len()).then_some(Span { start, end })
    }

    /// Adds a finding, unless there are enough of its code.
    pub(super) fn note(&mut self, problem: Problem, part: Option<PartId>) {
        let most = if problem.class == Class::Note { MAX_NOTES } else { MAX_GRAVE };
        let count = self.counts.entry(problem.code).or_default();
        *count += 1;
        if *count <= most {
            self.findings.push(finding(problem, part));
        }
    }

    /// Adds a part that only holds others.
    pub(super) fn add_holder(&mut self, kind: PartKind, bytes: &Bytes, declared: &str, parent: Option<PartId>, depth: u16) -> PartId {
        let span = self.place(bytes);
        let decoded = kind == PartKind::Message && span.is_none() && !bytes.is_empty();
        let data = if decoded { bytes.clone() } else { Bytes::new() };
        let blob = Blob { span, declared: declared.to_owned(), ..Blob::plain(data, kind, None) };
        let sha256 = if decoded { Sha256::digest(bytes).into() } else { [0; 32] };
        self.add(blob, "", sha256, parent, depth)
    }

    fn add(&mut self, blob: Blob, true_type: &'static str, sha256: [u8; 32], parent: Option<PartId>, depth: u16) -> PartId {
        let id = PartId(u32::try_from(self.parts.len()).unwrap_or(u32::MAX));
        let verbatim = self.place(&blob.bytes).is_some();
        self.parts.push(Part {
            id,
            parent,
            depth,
            kind: blob.kind,
            declared_type: blob.declared,
            true_type,
            name: blob.name,
            attachment: blob.attachment,
            span: blob.span,
            data: blob.bytes,
            verbatim,
            text: None,
            sha256,
        });
        id
    }

    /// Makes a part of decoded bytes, and offers them to all readings and containers if they, or what is said of them, are new.
    fn leaf(&mut self, mut blob: Blob, parent: Option<PartId>, depth: u16, way: Way) {
        if way != Way::First {
            blob.kind = PartKind::Reading;
        }
        let sha256: [u8; 32] = Sha256::digest(&blob.bytes).into();
        let before = self.seen.get(&sha256).copied();
        let view = view(&sha256, &blob);
        if blob.kind == PartKind::Reading && self.is_known_reading(&blob, before, &view) {
            return;
        }
        let true_type = sniff::true_type(&blob.bytes);
        let (data, charset) = (blob.bytes.clone(), std::mem::take(&mut blob.charset));
        let id = self.add(blob, true_type, sha256, parent, depth);
        self.seen.entry(sha256).or_insert(id);
        self.read_text(id, &charset);
        if data.is_empty() || !self.offered.insert(view) {
            return;
        }
        if way == Way::Other && before.is_none() {
            self.note(Problem::note("mime.ambiguous", "Another reading of the message gives other content", ""), Some(id));
        }
        if before.is_none() {
            self.judge_type(id, true_type, &data);
        }
        self.offer(id, &data, &charset, true_type, depth);
    }

    /// Another reading is only worth a part where its bytes are new, come under a new name, or are to be read in a new way.
    fn is_known_reading(&self, blob: &Blob, before: Option<PartId>, view: &[u8; 32]) -> bool {
        let same_name = |id: PartId| blob.name.is_none() || self.parts.get(id.0 as usize).is_some_and(|part| part.name == blob.name);
        blob.bytes.is_empty() || (before.is_some_and(same_name) && self.offered.contains(view))
    }

    /// Offers bytes to every reading and container, and queues what they find.
    fn offer(&mut self, id: PartId, data: &Bytes, charset: &str, true_type: &'static str, depth: u16) {
        let Some(part) = self.parts.get(id.0 as usize) else { return };
        let leaf = Leaf { data, name: part.name.as_deref(), declared: &part.declared_type, charset, true_type };
        let room = self.limits.parts.saturating_sub(self.parts.len());
        let mut problems = Vec::new();
        let (mut readings, mut members) = (Vec::new(), Vec::new());
        for reading in mime::READINGS {
            let mut finds = Finds::new(&mut self.budget, room);
            (reading.read)(&leaf, &mut finds);
            readings.append(&mut finds.items);
            problems.append(&mut finds.problems);
        }
        // At the limit of depth a container stays closed, which is found below.
        let deep = depth >= self.limits.depth;
        let scrap = part.kind == PartKind::Reading && sniff::is_scrap(data, true_type);
        for container in CONTAINERS.iter().filter(|container| !scrap && (container.is)(&leaf)) {
            let mut finds = Finds::new(&mut self.budget, room);
            if deep {
                finds.problems.push(limit("mime.limit.depth", "More containers inside each other than the limit"));
            } else {
                (container.open)(&leaf, &mut finds);
            }
            members.append(&mut finds.items);
            problems.append(&mut finds.problems);
        }
        problems.into_iter().for_each(|problem| self.note(problem, Some(id)));
        let found =
            readings.into_iter().map(|item| (item, PartKind::Reading)).chain(members.into_iter().map(|item| (item, PartKind::Member)));
        let tasks: Vec<Task> = found.map(|(item, kind)| task_of(item, kind, id, depth)).collect();
        if !tasks.is_empty() && self.may_descend(depth, Some(id)) {
            self.push_all(tasks, false);
        }
    }

    /// Text and links of a part that is text, by its type or its content.
    fn read_text(&mut self, id: PartId, charset: &str) {
        let most = self.limits.text_bytes.bytes().min(self.text_left);
        let Some(part) = self.parts.get_mut(id.0 as usize) else { return };
        let declared_text = part.declared_type.is_empty() || part.declared_type.starts_with("text");
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
    fn judge_type(&mut self, id: PartId, true_type: &'static str, data: &Bytes) {
        let Some(part) = self.parts.get(id.0 as usize) else { return };
        let scrap = part.kind == PartKind::Reading && sniff::is_scrap(data, true_type);
        let name = part.name.clone().unwrap_or_default();
        if sniff::UNOPENED.contains(&true_type) && !scrap {
            let words = "A container that is not opened here";
            self.note(Problem::unseen("archive.unknown", Reason::UnknownContainer, words, format!("{true_type} {name}")), Some(id));
        }
        if sniff::has_macros(data, true_type) {
            self.note(Problem::note("doc.macros", "A document with macros", name.clone()), Some(id));
        }
        if sniff::is_encrypted_document(data, true_type) {
            self.note(Problem::encrypted("doc.encrypted", "An encrypted document", name), Some(id));
        }
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
        Item::Entity(bytes) => What::Entity(bytes, false),
        Item::Message(bytes) => What::Message(bytes),
    };
    // What a reading cuts out of a text is no part of the message's own structure.
    let way = if kind == PartKind::Reading { Way::More } else { Way::First };
    Task { what, parent: Some(parent), depth: depth.saturating_add(1), way }
}

fn finding(problem: Problem, part: Option<PartId>) -> Finding {
    let finding = Finding::new(CHECK, problem.code, problem.class, problem.words, problem.evidence);
    match part {
        Some(part) => finding.at(part),
        None => finding,
    }
}
