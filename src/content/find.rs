//! What readings and containers are given and what they hand back.

use std::cell::OnceCell;

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
    lines: OnceCell<Option<Vec<u32>>>,
    readable: OnceCell<bool>,
    all_text: OnceCell<bool>,
}

/// Lines of a leaf whose places are kept; where there are more, each reading looks for them itself.
const MAX_LINES: usize = 1 << 20;

impl<'a> Leaf<'a> {
    pub(crate) fn new(data: &'a Bytes, name: Option<&'a str>, declared: &'a str, charset: &'a str, true_type: &'static str) -> Self {
        Self { data, name, declared, charset, true_type, lines: OnceCell::new(), readable: OnceCell::new(), all_text: OnceCell::new() }
    }

    /// Where lines start: at the start, behind each LF, and behind each CR that no LF follows.
    pub(crate) fn lines(&self) -> impl Iterator<Item = usize> {
        let kept = self.lines.get_or_init(|| {
            let starts: Vec<u32> = line_starts(self.data).take(MAX_LINES + 1).map_while(|at| u32::try_from(at).ok()).collect();
            (starts.len() <= MAX_LINES).then_some(starts)
        });
        let sought = kept.is_none().then(|| line_starts(self.data));
        kept.iter().flatten().map(|at| *at as usize).chain(sought.into_iter().flatten())
    }

    /// What `is_readable` says of it, asked once.
    pub(crate) fn is_readable(&self, is_readable: fn(&Self) -> bool) -> bool {
        *self.readable.get_or_init(|| is_readable(self))
    }

    /// The same of `is_all_text`.
    pub(crate) fn is_all_text(&self, is_all_text: fn(&Self) -> bool) -> bool {
        *self.all_text.get_or_init(|| is_all_text(self))
    }
}

fn line_starts(data: &[u8]) -> impl Iterator<Item = usize> {
    let behind = memchr::memchr2_iter(b'\n', b'\r', data).map(|at| at + 1);
    let behind = behind.filter(|at| data.get(*at) != Some(&b'\n') || data.get(at - 1) != Some(&b'\r'));
    std::iter::once(0).chain(behind)
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
    /// Bytes that a run of text would give if somebody decoded it, though nothing says so: damage in them accuses nobody.
    Guess(Bytes),
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
    passwords: &'a [String],
    /// Something encrypted that no password opened: the container is opened again once all text has been read for passwords.
    pub locked: bool,
    /// What was found, in order.
    pub items: Vec<Item>,
    /// What was noticed.
    pub problems: Vec<Problem>,
}

impl<'a> Finds<'a> {
    pub(crate) fn new(budget: &'a mut Budget, room: usize) -> Self {
        Self { budget, room, passwords: &[], locked: false, items: Vec::new(), problems: Vec::new() }
    }

    /// With passwords to be tried on what is encrypted.
    pub(crate) fn with_passwords(self, passwords: &'a [String]) -> Self {
        Self { passwords, ..self }
    }

    /// Passwords that stand in the text of the message, the likeliest first; empty until all text has been read.
    pub(crate) fn passwords(&self) -> &'a [String] {
        self.passwords
    }

    /// Notes something encrypted that none of [`Self::passwords`] opens.
    pub(crate) fn locked(&mut self, code: &'static str, words: &'static str, evidence: &str) {
        self.locked = true;
        self.problems.push(Problem::encrypted(code, words, evidence));
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

    /// Adds bytes that nothing but their look calls encoded; false where a limit is reached.
    pub(crate) fn add_guess(&mut self, bytes: Vec<u8>) -> bool {
        self.decoded(bytes.len()) && self.add(Item::Guess(bytes.into()))
    }

    /// Adds bytes that a reading decoded; false where a limit is reached.
    pub(crate) fn add_decoded(&mut self, name: Option<String>, bytes: Vec<u8>) -> bool {
        self.decoded(bytes.len()) && self.add(Item::Blob { name, bytes: bytes.into() })
    }

    /// Takes `n` decoded bytes, for what is made without [`Self::unpack`]; false where a limit is reached.
    pub(crate) fn decoded(&mut self, n: usize) -> bool {
        let enough = self.budget.decode(n);
        if !enough {
            self.problems.push(limit("mime.limit.bytes", "Decoding gives more than the limit"));
        }
        enough
    }

    /// Unpacks `stream` within the limits; a limit or an error becomes a problem, and what came out before it is handed back.
    pub(crate) fn unpack(&mut self, stream: impl std::io::Read, packed: usize, name: &str) -> (Bytes, Ended) {
        let (bytes, ended) = self.budget.read(stream, packed);
        match ended {
            Ended::Whole => {}
            Ended::Bytes => self.unseen("archive.limit.bytes", Reason::Limit, "Unpacks to more than the limit", name),
            Ended::Ratio => self.unseen("archive.limit.ratio", Reason::Limit, "Unpacks to many times its size: a bomb?", name),
            Ended::Time => self.unseen("mime.limit.time", Reason::Limit, "Taking it apart took longer than the limit", name),
            Ended::Broken => self.unseen("archive.malformed", Reason::Malformed, "Packed data that cannot be unpacked", name),
        }
        (bytes, ended)
    }

    /// Takes the effort of looking at `n` bytes once more; false where none is left.
    pub(crate) fn look(&mut self, n: usize) -> bool {
        let enough = self.budget.look(n);
        if !enough {
            self.problems.push(too_long(self.budget));
        }
        enough
    }

    /// Whether there is time to go on: for loops over long texts, asked about every 64 KiB.
    pub(crate) fn has_time(&mut self) -> bool {
        self.look(0)
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

/// Why reading must end, where looking at more was refused.
pub(crate) fn too_long(budget: &Budget) -> Problem {
    if budget.is_late() {
        limit("mime.limit.time", "Taking it apart took longer than the limit")
    } else {
        limit("mime.limit.effort", "Too much to read over and over")
    }
}

/// A limit of the whole message.
pub(crate) fn limit(code: &'static str, words: &'static str) -> Problem {
    Problem::unseen(code, Reason::Limit, words, "")
}
