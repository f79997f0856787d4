//! The structural steps of the work list: a message, its header, its body cut into parts or decoded.

use std::rc::Rc;

use bytes::Bytes;

use super::find::{Finds, Problem};
use super::forks::{ASIDE, Node};
use super::mime::boundary::Layout;
use super::mime::entity::{self, Mime};
use super::mime::field::Encoding;
use super::mime::header::Odd;
use super::mime::second::{self, Cut};
use super::mime::{ends, header, transfer, words};
use super::work::{Blob, Task, Way, What, Work};
use crate::mail::{Header, PartId, PartKind, Reason, Span};

/// Ways to read one entity: header blocks, types and encodings together.
const MAX_WAYS: usize = 24;

impl Work<'_> {
    /// A message: a part that holds one entity. In another reading it is no part of its own, only its content is.
    pub(super) fn message(&mut self, task: Task) {
        let What::Message(bytes) = &task.what else { return };
        let bytes = bytes.clone();
        let id = if task.way != Way::First {
            task.parent
        } else {
            Some(self.add_holder(PartKind::Message, &bytes, "message/rfc822", task.parent, task.depth))
        };
        if self.may_descend(task.depth, id) {
            let node = self.other_line_ends(&task, &bytes, id);
            let next = Task { what: What::Entity(bytes, false), parent: id, depth: task.depth + 1, node, ..task };
            self.push_all(vec![next], false);
        }
    }

    /// Queues a message with other line ends, where its odd ones may shape it; hands out the node for it as it stands.
    fn other_line_ends(&mut self, task: &Task, bytes: &Bytes, id: Option<PartId>) -> Node {
        let verbatim = task.depth > 0 && self.place(bytes).is_some();
        let others = if verbatim { Vec::new() } else { ends::others(bytes) };
        if others.is_empty() {
            return task.node;
        }
        let (fork, first) = self.readings.fork(task.node, id, "line ends", "as they stand");
        for ends in others {
            if !self.budget.decode(bytes.len()) || !self.budget.look(bytes.len()) {
                self.note(super::find::limit("mime.limit.bytes", "Decoding gives more than the limit"), id);
                break;
            }
            let node = self.readings.way(fork, ends.words(), false);
            self.push_other(What::Entity(ends.apply(bytes).into(), false), id, task.depth + 1, node);
        }
        first
    }

    /// An entity: its header block is read in every way, and its body queued under every type and encoding that the fields name.
    pub(super) fn entity(&mut self, task: Task) {
        let What::Entity(bytes, in_digest) = &task.what else { return };
        let (bytes, in_digest) = (bytes.clone(), *in_digest);
        let Some(node) = self.new_entity(&bytes, &task) else { return };
        let heads = header::readings(&bytes, self.limits.header_fields, self.limits.header_bytes.bytes());
        let size: usize = heads.iter().map(|(_, head)| head.body).sum();
        if !self.budget.look(size) {
            self.note(super::find::too_long(&self.budget), task.parent);
            return;
        }
        let mut ways = Vec::new();
        let mut holds_message = false;
        for (i, (odd, head)) in heads.iter().enumerate() {
            // Behind the empty line of a nested message stands its own header.
            if holds_message && *odd == Some(Odd::GoesOn) {
                continue;
            }
            let mime = Rc::new(Mime::read(&bytes, head, in_digest));
            if let Some(problem) = entity::reached(head, &mime) {
                self.note(problem, task.parent);
            }
            if i == 0 {
                self.first_head(&task, &bytes, head, &mime);
                holds_message = mime.types.first().is_some_and(|kind| entity::is_message(&kind.value));
            }
            let body = bytes.slice(head.body.min(bytes.len())..);
            let both = (0..mime.types.len()).flat_map(|t| (0..mime.encodings.len()).map(move |e| (t, e)));
            ways.extend(both.map(|(t, e)| (i == 0, mime.label(t, e, odd.map(Odd::words)), What::Body(mime.clone(), t, e, body.clone()))));
        }
        if let Some((_, head)) = heads.first()
            && head.unended
            && head.body >= bytes.len()
            && let Some(body) = self.behind_line(&bytes)
        {
            let mime = Rc::new(Mime::read(&bytes, head, in_digest));
            for e in (0..mime.encodings.len()).filter(|e| mime.encodings.get(*e) != Some(&Encoding::Identity)) {
                self.push_other(What::Body(mime.clone(), 0, e, body.clone()), task.parent, task.depth, ASIDE);
            }
        }
        self.queue_ways(&task, node, ways);
    }

    /// What stands behind the boundary line that cuts off a header: its body, for those who look for boundaries in bodies only.
    fn behind_line(&self, header: &Bytes) -> Option<Bytes> {
        let span = self.place(header)?;
        let rest = self.raw.slice(span.end..);
        let start = rest.iter().take_while(|c| matches!(c, b'\r' | b'\n')).count();
        let line = rest.slice(start..);
        let end = memchr::memchr(b'\n', &line).filter(|_| line.starts_with(b"--"))?;
        let body = line.slice(end + 1..);
        let end = memchr::memmem::find(&body, b"\n--").map_or(body.len(), |at| at + 1);
        Some(body.slice(..end))
    }

    /// Notes what the most regular header block says, and keeps it where it is that of the message.
    fn first_head(&mut self, task: &Task, bytes: &Bytes, head: &header::Head, mime: &Mime) {
        let is_root = self.headers.is_none();
        if is_root {
            self.headers = Some((head.body, fields(bytes, head)));
        }
        if task.way == Way::First {
            let doubled = if is_root { entity::doubled_fields(bytes, head) } else { Vec::new() };
            let problems = doubled.into_iter().chain(entity::header_problems(bytes, head)).chain(mime.problems());
            problems.for_each(|problem| self.note(problem, task.parent));
        }
        let coded = coded_words(bytes, head);
        if !coded.is_empty() && self.budget.decode(coded.len()) {
            let blob = Blob::plain(coded.into(), PartKind::Reading, None);
            self.push_other(What::Leaf(Box::new(blob)), task.parent, task.depth, ASIDE);
        }
    }

    /// Queues an entity's body in every way: the first one now, others at the end.
    fn queue_ways(&mut self, task: &Task, node: Node, ways: Vec<(bool, String, What)>) {
        if ways.len() > MAX_WAYS {
            self.note(super::find::limit("mime.limit.readings", "More ways to read a header than the limit"), task.parent);
        }
        let mut ways = ways.into_iter().take(MAX_WAYS);
        let Some((_, label, first)) = ways.next() else { return };
        let others: Vec<_> = ways.collect();
        let mut at = node;
        if !others.is_empty() {
            let (fork, first) = self.readings.fork(node, task.parent, "fields", label);
            at = first;
            for (firm, label, what) in others {
                let node = self.readings.way(fork, label, firm);
                self.push_other(what, task.parent, task.depth, node);
            }
        }
        self.push_all(vec![task.beside(first, at)], false);
    }

    /// A body: cut at boundaries, read as a message, or decoded as a leaf.
    pub(super) fn body(&mut self, mut task: Task) {
        let What::Body(mime, t, e, bytes) = &task.what else { return };
        let (mime, t, e, bytes) = (mime.clone(), *t, *e, bytes.clone());
        let (Some(kind), Some(encoding)) = (mime.types.get(t), mime.encodings.get(e).copied()) else { return };
        self.note_kind(&kind.value, task.parent);
        let mut cuts = self.cuts(&bytes, kind, task.parent);
        let is_multipart = kind.value.starts_with("multipart");
        let first = if is_multipart && cuts.first().is_some_and(|cut| !cut.guessed) { Some(cuts.remove(0)) } else { None };
        let inner = self.encoded_multipart(&task, &mime, t, encoding, &bytes, is_multipart || !cuts.is_empty());
        if !cuts.is_empty() || !inner.is_empty() {
            let label = first.as_ref().map_or_else(|| "as one part".to_owned(), |cut| cut.label.clone());
            let (fork, at) = self.readings.fork(task.node, task.parent, "boundary", label);
            for cut in cuts {
                let node = self.readings.way(fork, cut.label, cut.firm);
                let Some(layout) = cut.layout else { continue };
                self.parts_of(&Task { way: Way::Other, ..task.beside(What::Nothing, node) }, &bytes, &kind.value, layout);
            }
            for what in inner {
                let node = self.readings.way(fork, "decoded as a whole", false);
                self.push_other(what, task.parent, task.depth, node);
            }
            task.node = at;
        }
        match first.and_then(|cut| cut.layout) {
            Some(layout) => self.parts_of(&task, &bytes, &kind.value, layout),
            None if entity::is_message(&kind.value) && self.nested(&task, &bytes, encoding) => {}
            None => self.leaves(&task, &mime, t, encoding, &bytes),
        }
    }

    /// A multipart has no transfer encoding (RFC 2045 section 6.4); some readers undo it all the same.
    fn encoded_multipart(&mut self, task: &Task, mime: &Mime, t: usize, encoding: Encoding, bytes: &Bytes, cut: bool) -> Vec<What> {
        if encoding == Encoding::Identity || !cut {
            return Vec::new();
        }
        let plain = Rc::new(Mime { encodings: vec![Encoding::Identity], ..mime.clone() });
        let decoded = self.decode(bytes, encoding, task.parent);
        decoded.into_iter().filter(|decoded| decoded != bytes).map(|decoded| What::Body(plain.clone(), t, 0, decoded)).collect()
    }

    /// Queues what one layout cuts out.
    fn parts_of(&mut self, task: &Task, bytes: &Bytes, declared: &str, layout: Layout) {
        let way = task.way;
        let id = if way != Way::First {
            task.parent
        } else {
            Some(self.add_holder(PartKind::Multipart, bytes, declared, task.parent, task.depth))
        };
        if layout.cut {
            self.note(super::find::limit("mime.limit.parts", "More parts than the limit"), id);
        }
        if way == Way::First && !layout.closed {
            self.note(Problem::note("mime.boundary_unterminated", "A multipart without a closing boundary", declared), id);
        }
        if !self.may_descend(task.depth, id) {
            return;
        }
        let inside = Task { what: What::Nothing, parent: id, depth: task.depth + 1, ..*task };
        let in_digest = declared == "multipart/digest";
        let around = |range: std::ops::Range<usize>| {
            let text = bytes.slice(range);
            let blank = text.iter().all(u8::is_ascii_whitespace);
            let span = self.place(&text);
            let blob = Blob { span, declared: "text/plain".to_owned(), ..Blob::plain(text, PartKind::Reading, None) };
            (!blank).then(|| inside.beside(What::Leaf(Box::new(blob)), ASIDE))
        };
        let (before, after) = (around(layout.preamble), around(layout.epilogue));
        let parts = layout.parts.into_iter().map(|range| inside.beside(What::Entity(bytes.slice(range), in_digest), task.node));
        let tasks: Vec<Task> = before.into_iter().chain(parts).chain(after).collect();
        self.push_all(tasks, way == Way::Other);
    }

    /// A body that is declared a message; false where it does not look like one as it stands.
    fn nested(&mut self, task: &Task, bytes: &Bytes, encoding: Encoding) -> bool {
        let mut decoded = self.decode(bytes, encoding, task.parent).into_iter();
        let first = decoded.next().unwrap_or_else(|| bytes.clone());
        let looks = super::mime::looks_like_message(&first);
        // RFC 2046 section 5.2.1 wants no encoding here; a reader that goes by it sees the bytes as they stand.
        let plain = encoding != Encoding::Identity && super::mime::looks_like_message(bytes);
        let others: Vec<Bytes> = decoded.chain(plain.then(|| bytes.clone())).collect();
        let mut at = task.node;
        if !others.is_empty() {
            let (fork, first) = self.readings.fork(task.node, task.parent, "message", "decoded as it says");
            at = first;
            for other in others {
                let node = self.readings.way(fork, "otherwise", false);
                self.push_other(What::Message(other), task.parent, task.depth, node);
            }
        }
        self.push_all(vec![task.beside(What::Message(first), at)], false);
        looks || bytes.is_empty()
    }

    /// A body that is a leaf, in every decoding and under every name.
    fn leaves(&mut self, task: &Task, mime: &Mime, t: usize, encoding: Encoding, bytes: &Bytes) {
        let kind = mime.types.get(t);
        let declared = kind.map(|kind| kind.value.clone()).unwrap_or_default();
        let blob = Blob {
            charset: kind.and_then(|kind| kind.text("charset")).unwrap_or_default(),
            attachment: mime.is_attachment(&declared),
            span: self.place(bytes),
            declared,
            ..Blob::plain(Bytes::new(), PartKind::Leaf, mime.names.first().cloned())
        };
        let leaf = |bytes: Bytes, name: Option<&String>| {
            What::Leaf(Box::new(Blob { bytes, name: name.cloned().or_else(|| blob.name.clone()), ..blob.clone() }))
        };
        let mut decoded = self.decode(bytes, encoding, task.parent).into_iter();
        let first = decoded.next().unwrap_or_else(|| bytes.clone());
        let others: Vec<Bytes> = decoded.collect();
        let text = blob.declared.is_empty() || blob.declared.starts_with("text/");
        let file = blob.attachment || task.way == Way::First;
        self.cut_out.extend(blob.span.map(|span| Cut { span, encoding, odd: !others.is_empty(), text, file }));
        let may_differ = !others.is_empty() && blob.attachment && task.way != Way::Other;
        let differs = may_differ && !second::is_regular(bytes, encoding) && !second::is_footer(bytes);
        let (differ, same): (Vec<Bytes>, Vec<Bytes>) = others.into_iter().partition(|other| differs && other != bytes);
        let mut node = task.node;
        if !differ.is_empty() {
            let (fork, first) = self.readings.fork(task.node, task.parent, encoding.words(), "the usual way");
            node = first;
            for other in differ {
                let node = self.readings.way(fork, "another", true);
                self.push_other(leaf(other, None), task.parent, task.depth, node);
            }
        }
        let names: Vec<What> = mime.differing_names().map(|name| leaf(first.clone(), Some(name))).collect();
        let aside = names.into_iter().chain(same.into_iter().map(|bytes| leaf(bytes, None)));
        let aside: Vec<What> = aside.collect();
        self.push_all(vec![task.beside(leaf(first, None), node)], false);
        aside.into_iter().for_each(|what| self.push_other(what, task.parent, task.depth, ASIDE));
    }

    /// All decodings of a body within the budget.
    fn decode(&mut self, bytes: &Bytes, encoding: Encoding, part: Option<PartId>) -> Vec<Bytes> {
        let mut finds = Finds::new(&mut self.budget, 0);
        let decoded = transfer::decodings(bytes, encoding, &mut finds);
        let problems = finds.problems;
        problems.into_iter().for_each(|problem| self.note(problem, part));
        let mut kept = Vec::with_capacity(decoded.len());
        for one in decoded {
            if one.as_ptr() == bytes.as_ptr() || self.budget.decode(one.len()) {
                kept.push(one);
            } else {
                self.note(super::find::limit("mime.limit.bytes", "Decoding gives more than the limit"), part);
            }
        }
        kept
    }

    /// Findings that follow from a declared type alone.
    fn note_kind(&mut self, declared: &str, part: Option<PartId>) {
        let problem = match declared {
            "message/partial" => {
                Problem::unseen("mime.partial", Reason::UnknownContainer, "A piece of a message that cannot be judged alone", declared)
            }
            "message/external-body" => Problem::note("mime.external", "A part that names content elsewhere", declared),
            "application/pkcs7-mime" | "application/x-pkcs7-mime" => Problem::note("mime.smime", "S/MIME", declared),
            "multipart/encrypted" | "application/pgp-encrypted" => Problem::note("mime.pgp", "PGP encrypted mail", declared),
            _ => return,
        };
        self.note(problem, part);
    }
}

/// What stands in encoded words of the fields and is no language: ASCII without blanks.
fn coded_words(bytes: &[u8], head: &header::Head) -> Vec<u8> {
    /// Characters that people write without a blank, at most.
    const LONGEST: usize = 50;
    let mut all = Vec::new();
    for value in head.fields.iter().filter_map(|field| bytes.get(field.value.clone())).filter(|value| words::has_word(value)) {
        let text = words::decode(value);
        if text.split(|c: char| !c.is_ascii_graphic()).any(|word| word.len() > LONGEST) {
            all.extend_from_slice(text.as_bytes());
            all.push(b'\n');
        }
    }
    all
}

/// The fields of the message itself, decoded.
fn fields(bytes: &[u8], head: &header::Head) -> Vec<Header> {
    let field = |field: &header::Field| Header {
        name: String::from_utf8_lossy(bytes.get(field.name.clone()).unwrap_or_default()).into_owned(),
        value: words::decode(bytes.get(field.value.clone()).unwrap_or_default()),
        raw: Span { start: field.value.start, end: field.value.end },
    };
    head.fields.iter().filter(|field| !field.name.is_empty()).map(field).collect()
}
