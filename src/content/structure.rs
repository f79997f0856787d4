//! The structural steps of the work list: a message, its header, its body cut into parts or decoded.

use std::rc::Rc;

use bytes::Bytes;

use super::find::{Finds, Problem};
use super::mime::boundary::{self, Layout};
use super::mime::entity::{self, Mime};
use super::mime::field::Encoding;
use super::mime::{header, transfer, words};
use super::work::{Blob, Task, Way, What, Work};
use crate::mail::{Header, PartId, PartKind, Reason, Span};

impl Work<'_> {
    /// A message: a part that holds one entity. In another reading it is no part of its own, only its content is.
    pub(super) fn message(&mut self, task: Task) {
        let What::Message(bytes) = task.what else { return };
        let id = if task.way != Way::First {
            task.parent
        } else {
            Some(self.add_holder(PartKind::Message, &bytes, "message/rfc822", task.parent, task.depth))
        };
        if self.may_descend(task.depth, id) {
            let next = Task { what: What::Entity(bytes, false), parent: id, depth: task.depth + 1, way: task.way };
            self.push_all(vec![next], false);
        }
    }

    /// An entity: its header block is read, and its body queued under every type and encoding that the fields name.
    pub(super) fn entity(&mut self, task: Task) {
        let What::Entity(bytes, in_digest) = task.what else { return };
        if !self.is_new_entity(&bytes) && task.way != Way::First {
            return;
        }
        let head = header::read(&bytes, self.limits.header_fields, self.limits.header_bytes.bytes());
        if !self.budget.look(head.body) {
            self.note(super::find::too_long(&self.budget), task.parent);
            return;
        }
        let mime = Rc::new(Mime::read(&bytes, &head, in_digest));
        let is_root = self.headers.is_none();
        if is_root {
            self.headers = Some((head.body, fields(&bytes, &head)));
        }
        if task.way == Way::First {
            let doubled = if is_root { entity::doubled_fields(&bytes, &head) } else { Vec::new() };
            let problems = doubled.into_iter().chain(entity::header_problems(&bytes, &head)).chain(mime.problems());
            problems.for_each(|problem| self.note(problem, task.parent));
        }
        let body = bytes.slice(head.body.min(bytes.len())..);
        let others = (0..mime.types.len()).flat_map(|t| (0..mime.encodings.len()).map(move |e| (t, e))).skip(1);
        others.for_each(|(t, e)| self.push_other(What::Body(mime.clone(), t, e, body.clone()), task.parent, task.depth));
        if let Some(other) = head.other_body.filter(|other| *other < bytes.len()) {
            self.push_other(What::Body(mime.clone(), 0, 0, bytes.slice(other..)), task.parent, task.depth);
        }
        let next = Task { what: What::Body(mime, 0, 0, body), ..task_like(&task.parent, task.depth, task.way) };
        self.push_all(vec![next], false);
    }

    /// A body: cut at boundaries, read as a message, or decoded as a leaf.
    pub(super) fn body(&mut self, task: Task) {
        let What::Body(mime, t, e, bytes) = &task.what else { return };
        let (Some(kind), Some(encoding)) = (mime.types.get(*t), mime.encodings.get(*e)) else { return };
        self.note_kind(&kind.value, task.parent);
        let is_multipart = kind.value.starts_with("multipart");
        let boundaries = kind.boundaries();
        if (is_multipart || !boundaries.is_empty()) && self.multipart(&task, bytes, &kind.value, boundaries, *encoding) {
            return;
        }
        if is_message(&kind.value) && self.nested(&task, bytes, *encoding) {
            return;
        }
        self.leaves(&task, mime, *t, *encoding, bytes);
    }

    /// Cuts a body at every boundary in every way; false where no boundary stands in it.
    fn multipart(&mut self, task: &Task, bytes: &Bytes, declared: &str, boundaries: Vec<Vec<u8>>, encoding: Encoding) -> bool {
        let is_multipart = declared.starts_with("multipart");
        let identity = matches!(encoding, Encoding::Identity);
        if !identity && let What::Body(mime, t, _, _) = &task.what {
            // A multipart has no transfer encoding (RFC 2045 section 6.4); some readers undo it all the same.
            let mut plain = Mime::clone(mime);
            plain.encodings = vec![Encoding::Identity];
            let plain = Rc::new(plain);
            for decoded in self.decode(bytes, encoding, task.parent).into_iter().filter(|decoded| decoded != bytes) {
                self.push_other(What::Body(plain.clone(), *t, 0, decoded), task.parent, task.depth);
            }
        }
        let mut found = false;
        for (i, boundary) in boundaries.iter().enumerate() {
            if i > 0 && !self.budget.look(bytes.len()) {
                break;
            }
            for layout in boundary::layouts(bytes, boundary, self.limits.parts) {
                let way = if found || !is_multipart { Way::Other } else { task.way };
                self.parts_of(task, bytes, declared, layout, way);
                found = true;
            }
        }
        if !found && is_multipart {
            self.note(Problem::note("mime.boundary_missing", "A multipart whose boundary does not stand in it", declared), task.parent);
        }
        found && is_multipart
    }

    /// Queues what one layout cuts out.
    fn parts_of(&mut self, task: &Task, bytes: &Bytes, declared: &str, layout: Layout, way: Way) {
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
        let depth = task.depth + 1;
        let in_digest = declared == "multipart/digest";
        let around = |range: std::ops::Range<usize>| {
            let text = bytes.slice(range);
            let blank = text.iter().all(u8::is_ascii_whitespace);
            let span = self.place(&text);
            let blob = Blob { span, declared: "text/plain".to_owned(), ..Blob::plain(text, PartKind::Reading, None) };
            (!blank).then(|| Task { what: What::Leaf(Box::new(blob)), ..task_like(&id, depth, way) })
        };
        let (before, after) = (around(layout.preamble), around(layout.epilogue));
        let parts =
            layout.parts.into_iter().map(|range| Task { what: What::Entity(bytes.slice(range), in_digest), ..task_like(&id, depth, way) });
        let tasks: Vec<Task> = before.into_iter().chain(parts).chain(after).collect();
        self.push_all(tasks, way == Way::Other);
    }

    /// A body that is declared a message; false where it does not look like one as it stands.
    fn nested(&mut self, task: &Task, bytes: &Bytes, encoding: Encoding) -> bool {
        let mut decoded = self.decode(bytes, encoding, task.parent).into_iter();
        let first = decoded.next().unwrap_or_else(|| bytes.clone());
        let looks = super::mime::looks_like_message(&first);
        for other in decoded {
            self.push_other(What::Message(other), task.parent, task.depth);
        }
        // RFC 2046 section 5.2.1 wants no encoding here; a reader that goes by it sees the bytes as they stand.
        if encoding != Encoding::Identity && super::mime::looks_like_message(bytes) {
            self.push_other(What::Message(bytes.clone()), task.parent, task.depth);
        }
        let next = Task { what: What::Message(first), ..task_like(&task.parent, task.depth, task.way) };
        self.push_all(vec![next], false);
        looks || bytes.is_empty()
    }

    /// A body that is a leaf, in every decoding and under every name.
    fn leaves(&mut self, task: &Task, mime: &Mime, t: usize, encoding: Encoding, bytes: &Bytes) {
        let kind = mime.types.get(t);
        let declared = kind.map(|kind| kind.value.clone()).unwrap_or_default();
        let charset = kind.and_then(|kind| kind.text("charset")).unwrap_or_default();
        let attachment = mime.is_attachment(&declared);
        let span = self.place(bytes);
        let leaf = |bytes: Bytes, name: Option<&String>, way: Way| Task {
            what: What::Leaf(Box::new(Blob {
                bytes,
                kind: PartKind::Leaf,
                declared: declared.clone(),
                charset: charset.clone(),
                name: name.cloned(),
                attachment,
                span,
                guess: false,
            })),
            ..task_like(&task.parent, task.depth, way)
        };
        let mut decoded = self.decode(bytes, encoding, task.parent).into_iter();
        let first = decoded.next().unwrap_or_else(|| bytes.clone());
        let names: Vec<Task> = mime.differing_names().map(|name| leaf(first.clone(), Some(name), Way::Other)).collect();
        let others: Vec<Task> = decoded.map(|bytes| leaf(bytes, mime.names.first(), Way::Other)).collect();
        let first = leaf(first, mime.names.first(), task.way);
        self.push_all(vec![first], false);
        self.push_all(names, true);
        self.push_all(others, true);
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

fn task_like(parent: &Option<PartId>, depth: u16, way: Way) -> Task {
    Task { what: What::Message(Bytes::new()), parent: *parent, depth, way }
}

fn is_message(declared: &str) -> bool {
    matches!(declared, "message/rfc822" | "message/global" | "message/news" | "message/partial" | "message/rfc-822" | "application/mbox")
}

/// The fields of the message itself, decoded.
fn fields(bytes: &[u8], head: &header::Head) -> Vec<Header> {
    let field = |field: &header::Field| Header {
        name: String::from_utf8_lossy(bytes.get(field.name.clone()).unwrap_or_default()).into_owned(),
        value: words::decode(bytes.get(field.value.clone()).unwrap_or_default()),
        raw: Span { start: field.value.start, end: field.value.end },
    };
    head.fields.iter().map(field).collect()
}
