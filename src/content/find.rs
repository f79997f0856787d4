//! What readings and containers are given and what they hand back.

use bytes::Bytes;

use super::limits::{Budget, Ended};
use crate::mail::{Class, Reason};

/// A decoded leaf, offered to every reading and container.
pub(crate) struct Leaf<'a> {
    /// Its bytes.
    pub data: &'a Bytes,
    /// The name it claims.
    pub name: Option<&'a str>,
    /// The type it claims, lower case.
    pub declared: &'a str,
    /// The charset it claims; empty if none.
    pub charset: &'a str,
    /// What it is.
    pub true_type: &'static str,
}

/// Something found in a leaf.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// Bytes with perhaps a name: decoded text, a member of an archive.
    Blob {
        /// Its path or name.
        name: Option<String>,
        /// Its content.
        bytes: Bytes,
    },
    /// Header fields and a body, as in a multipart.
    Entity(Bytes),
    /// A whole message.
    Message(Bytes),
}

/// Something worth a finding.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// The finding's code.
    pub code: &'static str,
    /// Its class.
    pub class: Class,
    /// For people.
    pub words: &'static str,
    /// What exactly.
    pub evidence: String,
}

impl Problem {
    /// Worth recording, no consequence.
    pub(crate) fn note(code: &'static str, words: &'static str, evidence: impl Into<String>) -> Self {
        Self { code, class: Class::Note, words, evidence: evidence.into() }
    }

    /// What could not be looked into, and why.
    pub(crate) fn unseen(code: &'static str, reason: Reason, words: &'static str, evidence: impl Into<String>) -> Self {
        Self { code, class: Class::CouldNotTell { reason }, words, evidence: evidence.into() }
    }

    /// An encrypted thing.
    pub(crate) fn encrypted(code: &'static str, words: &'static str, evidence: impl Into<String>) -> Self {
        Self { code, class: Class::Encrypted, words, evidence: evidence.into() }
    }
}

/// Collects what one reading or container finds, within the limits of the message.
pub(crate) struct Finds<'a> {
    budget: &'a mut Budget,
    room: usize,
    /// What was found, in order.
    pub items: Vec<Item>,
    /// What was noticed.
    pub problems: Vec<Problem>,
}

impl<'a> Finds<'a> {
    pub(crate) fn new(budget: &'a mut Budget, room: usize) -> Self {
        Self { budget, room, items: Vec::new(), problems: Vec::new() }
    }

    /// Adds an item; false where the limit of parts is reached, and then it is not added.
    pub(crate) fn add(&mut self, item: Item) -> bool {
        if self.items.len() >= self.room {
            self.problems.push(limit("mime.limit.parts", "More parts than the limit"));
            return false;
        }
        self.items.push(item);
        true
    }

    /// Adds bytes that a reading decoded; false where a limit is reached.
    pub(crate) fn add_decoded(&mut self, name: Option<String>, bytes: Vec<u8>) -> bool {
        if !self.budget.decode(bytes.len()) {
            self.problems.push(limit("mime.limit.bytes", "Decoding gives more than the limit"));
            return false;
        }
        self.add(Item::Blob { name, bytes: bytes.into() })
    }

    /// Unpacks `stream` within the limits; a limit or an error becomes a problem, and what came out before it is handed back.
    pub(crate) fn unpack(&mut self, stream: impl std::io::Read, packed: usize, name: &str) -> (Bytes, Ended) {
        let (bytes, ended) = self.budget.read(stream, packed);
        match ended {
            Ended::Whole => {}
            Ended::Bytes => self.unseen("archive.limit.bytes", Reason::Limit, "Unpacks to more than the limit", name),
            Ended::Ratio => self.unseen("archive.limit.ratio", Reason::Limit, "Unpacks to many times its size: a bomb?", name),
            Ended::Broken => self.unseen("archive.malformed", Reason::Malformed, "Packed data that cannot be unpacked", name),
        }
        (bytes, ended)
    }

    /// Takes the effort of looking at `n` bytes once more; false where none is left.
    pub(crate) fn look(&mut self, n: usize) -> bool {
        let enough = self.budget.look(n);
        if !enough {
            self.problems.push(limit("mime.limit.effort", "Too much to read over and over"));
        }
        enough
    }

    /// Notes something.
    pub(crate) fn note(&mut self, code: &'static str, words: &'static str, evidence: &str) {
        self.problems.push(Problem::note(code, words, evidence));
    }

    /// Notes something that was not seen.
    pub(crate) fn unseen(&mut self, code: &'static str, reason: Reason, words: &'static str, evidence: &str) {
        self.problems.push(Problem::unseen(code, reason, words, evidence));
    }
}

/// A limit of the whole message.
pub(crate) fn limit(code: &'static str, words: &'static str) -> Problem {
    Problem::unseen(code, Reason::Limit, words, "")
}
