//! The work list: tasks taken from a stack until none is left, parts and findings collected on the way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::find::{Problem, limit, too_long};
use super::forks::{Node, ROOT, Readings};
use super::limits::{Budget, Limits, Supervisor};
use super::mime::entity::Mime;
use super::passwords;
use super::text::Urls;
use super::unpack::Container;
use super::{CHECK, mime};
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
    /// Nothing: a task to take the place of another one from.
    Nothing,
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
    /// Where what it finds is noted.
    pub node: Node,
}

impl Task {
    /// Something else to do at the same place.
    pub(super) fn beside(&self, what: What, node: Node) -> Self {
        Self { what, node, ..*self }
    }
}

/// Decoded bytes on their way to becoming a part.
#[derive(Clone)]
pub(super) struct Blob {
    pub bytes: Bytes,
    pub kind: PartKind,
    pub declared: String,
    pub charset: String,
    pub name: Option<String>,
    pub attachment: bool,
    /// Where the undecoded body stands in the raw bytes.
    pub span: Option<Span>,
    /// Nothing but its look called it encoded: damage in it accuses nobody.
    pub guess: bool,
}

impl Blob {
    /// Bytes about which no field says anything.
    pub(super) fn plain(bytes: Bytes, kind: PartKind, name: Option<String>) -> Self {
        Self { bytes, kind, declared: String::new(), charset: String::new(), name, attachment: false, span: None, guess: false }
    }
}

/// A message being taken apart.
pub(super) struct Work<'l> {
    pub limits: &'l Limits,
    pub raw: Bytes,
    pub budget: Budget,
    pub headers: Option<(usize, Vec<Header>)>,
    pub(super) parts: Vec<Part>,
    pub(super) urls: Urls,
    findings: Vec<Finding>,
    counts: HashMap<&'static str, usize>,
    /// Taken from its end, so that parts come in the order of the message.
    stack: Vec<Task>,
    /// Other readings wait until the first one is through: limits strike them first.
    later: VecDeque<Task>,
    /// Content that has a part.
    pub(super) seen: HashMap<[u8; 32], PartId>,
    /// Content that was offered to the readings, with what the fields say of it: readings go by both.
    pub(super) offered: HashSet<[u8; 32]>,
    /// Encrypted containers: opened once all text has been read for passwords.
    pub(super) locked: Vec<(PartId, &'static Container)>,
    /// Entities that have been read, by the place of their bytes; those of `kept` stay where they are.
    read: HashMap<(usize, usize), Node>,
    kept: Vec<Bytes>,
    pub(super) text_left: usize,
    /// Where the readings part, and what each of them hands out.
    pub(super) readings: Readings,
    /// Leaves that stand in `raw`, as they were cut out of it.
    pub(super) cut_out: Vec<mime::second::Cut>,
    /// The second reader has had its turn.
    pub(super) read_twice: bool,
    /// Pieces of files have been put together.
    pub(super) joined: bool,
}

impl<'l> Work<'l> {
    pub(super) fn new(raw: Bytes, limits: &'l Limits, supervisor: Arc<dyn Supervisor>) -> Self {
        let first = Task { what: What::Message(raw.clone()), parent: None, depth: 0, way: Way::First, node: ROOT };
        Self {
            limits,
            raw,
            budget: Budget::supervised(limits, supervisor),
            headers: None,
            parts: Vec::new(),
            urls: Urls::new(limits.urls),
            findings: Vec::new(),
            counts: HashMap::new(),
            stack: vec![first],
            later: VecDeque::new(),
            seen: HashMap::new(),
            offered: HashSet::new(),
            locked: Vec::new(),
            read: HashMap::new(),
            kept: Vec::new(),
            text_left: limits.text_bytes.bytes().saturating_mul(TEXTS),
            readings: Readings::new(),
            cut_out: Vec::new(),
            read_twice: false,
            joined: false,
        }
    }

    /// Reads the header fields alone.
    pub(super) fn header(mut self) -> Message {
        let bytes = self.raw.clone();
        self.message(Task { what: What::Message(bytes), parent: None, depth: 0, way: Way::First, node: ROOT });
        if let Some(entity) = self.stack.pop() {
            self.entity(entity);
        }
        let (body_start, headers) = self.headers.unwrap_or((self.raw.len(), Vec::new()));
        Message { raw: self.raw, body_start, headers, parts: self.parts, urls: Vec::new(), findings: Vec::new() }
    }

    /// Works until nothing is left to do or a limit of the whole message is reached.
    pub(super) fn run(mut self) -> Message {
        while self.work() && (self.join_pieces() || self.read_again() || self.unlock()) {}
        self.judge_forks();
        if self.urls.cut {
            self.note(Problem::note("mime.limit.urls", "More links than are kept", ""), None);
        }
        let (body_start, headers) = self.headers.unwrap_or((self.raw.len(), Vec::new()));
        for problem in mime::lines::problems(&self.raw, body_start) {
            self.findings.push(finding(problem, None));
        }
        Message { raw: self.raw, body_start, headers, parts: self.parts, urls: self.urls.into_list(), findings: self.findings }
    }

    /// Does what is on the list; false where a limit of the whole message ends it.
    fn work(&mut self) -> bool {
        while let Some(task) = self.stack.pop().or_else(|| self.later.pop_front()) {
            if let Some(problem) = self.refuse(&task) {
                self.note(problem, None);
                return false;
            }
            match task.what {
                What::Message(_) => self.message(task),
                What::Entity(..) => self.entity(task),
                What::Body(..) => self.body(task),
                What::Leaf(blob) => {
                    let part = self.leaf(*blob, task.parent, task.depth, task.way);
                    part.into_iter().for_each(|part| self.readings.leaf(task.node, part));
                }
                What::Nothing => {}
            }
        }
        true
    }

    /// Opens the encrypted containers met so far with the passwords that stand in the texts; false where there are none.
    fn unlock(&mut self) -> bool {
        let locked = std::mem::take(&mut self.locked);
        if locked.is_empty() {
            return false;
        }
        let subject = self.headers.iter().flat_map(|(_, headers)| headers).filter(|header| header.name.eq_ignore_ascii_case("subject"));
        let texts = self.parts.iter().filter_map(|part| part.text.as_deref());
        let names = self.parts.iter().filter_map(|part| part.name.as_deref());
        let passwords = passwords::candidates(subject.map(|header| header.value.as_str()).chain(texts), names);
        for (id, container) in locked {
            self.open_again(id, container, &passwords);
        }
        true
    }

    /// The limit that forbids to go on.
    fn refuse(&mut self, task: &Task) -> Option<Problem> {
        let size = match &task.what {
            What::Message(bytes) | What::Entity(bytes, _) => bytes.len().min(1024),
            What::Body(_, _, _, bytes) => bytes.len(),
            What::Leaf(blob) => blob.bytes.len(),
            What::Nothing => 0,
        };
        if self.parts.len() >= self.limits.parts || self.stack.len() + self.later.len() > self.limits.parts.saturating_mul(8) {
            return Some(limit("mime.limit.parts", "More parts than the limit"));
        }
        (!self.budget.look(size)).then(|| too_long(&self.budget))
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
    pub(super) fn push_other(&mut self, what: What, parent: Option<PartId>, depth: u16, node: Node) {
        self.later.push_back(Task { what, parent, depth, way: Way::Other, node });
    }

    /// The node of the entity in `bytes`; `None` where another reading met it before, and then that one's content counts here too.
    pub(super) fn new_entity(&mut self, bytes: &Bytes, task: &Task) -> Option<Node> {
        let place = (bytes.as_ptr().addr(), bytes.len());
        if let Some(node) = self.read.get(&place).copied().filter(|_| task.way != Way::First) {
            self.readings.link(task.node, node);
            return None;
        }
        let node = self.readings.below(task.node);
        if self.read.insert(place, node).is_none() && self.place(bytes).is_none() {
            self.kept.push(bytes.clone());
        }
        Some(node)
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

    /// Whether a limit was reached.
    pub(super) fn has_limit(&self) -> bool {
        self.findings.iter().any(|finding| finding.class == Class::CouldNotTell { reason: Reason::Limit })
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

    pub(super) fn add(&mut self, blob: Blob, true_type: &'static str, sha256: [u8; 32], parent: Option<PartId>, depth: u16) -> PartId {
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
}

fn finding(problem: Problem, part: Option<PartId>) -> Finding {
    let finding = Finding::new(CHECK, problem.code, problem.class, problem.words, problem.evidence);
    match part {
        Some(part) => finding.at(part),
        None => finding,
    }
}
