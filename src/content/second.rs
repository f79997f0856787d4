//! The second reader's turn: what it hands out of the message beyond what was seen becomes parts.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::find::{Problem, limit};
use super::forks::{ROOT, essence};
use super::mime::second::{self, Handed};
use super::work::{Blob, What, Work};
use crate::mail::{Part, PartId, PartKind, Reason};

impl Work<'_> {
    /// Lets the second reader have its turn, once; true where it found more to do. After a limit it has none: what was built to exceed
    /// our limits is not shown to a reader that has none.
    pub(super) fn read_again(&mut self) -> bool {
        let header = self.headers.as_ref().and_then(|(body, _)| self.raw.get(..*body)).unwrap_or_default();
        if std::mem::replace(&mut self.read_twice, true) || second::is_simple(header, &self.cut_out) {
            return false;
        }
        if self.has_limit() || !self.budget.look(self.raw.len()) {
            return false;
        }
        let Some(handed) = second::read(&self.raw, &self.cut_out) else {
            let words = "A reader of this program failed on it";
            self.note(Problem::unseen("content.fault", Reason::Malformed, words, "mail-parser"), Some(PartId(0)));
            return false;
        };
        if handed.is_empty() {
            return false;
        }
        let new = self.unseen(handed);
        let found = !new.is_empty();
        let message = Some(PartId(0));
        let fork = self.readings.fork_from(ROOT, message, "reader", "ours");
        let node = self.readings.way(fork, "mail-parser", false);
        for leaf in new {
            if !self.budget.decode(leaf.bytes.len()) {
                self.note(limit("mime.limit.bytes", "Decoding gives more than the limit"), message);
                break;
            }
            let blob = Blob {
                declared: leaf.declared,
                attachment: leaf.attachment,
                ..Blob::plain(leaf.bytes.into(), PartKind::Reading, leaf.name)
            };
            self.push_other(What::Leaf(Box::new(blob)), message, 1, node);
        }
        found
    }

    /// Those leaves whose content has not been seen; white space and control characters make no difference. An attachment wants a part
    /// that is more than another reading of a text, or one itself: what rules go by is its name.
    fn unseen(&mut self, handed: Vec<Handed>) -> Vec<Handed> {
        let is_file = |part: &&Part| part.attachment || part.kind != PartKind::Reading;
        let exact: HashSet<[u8; 32]> = self.parts.iter().filter(is_file).map(|part| part.sha256).collect();
        let is_exact = |leaf: &Handed| {
            let digest = <[u8; 32]>::from(Sha256::digest(&leaf.bytes));
            if leaf.attachment { exact.contains(&digest) } else { self.seen.contains_key(&digest) }
        };
        let new: Vec<Handed> = handed.into_iter().filter(|leaf| !is_exact(leaf)).collect();
        let size: usize = self.parts.iter().map(|part| part.data.len()).sum();
        if new.is_empty() || !self.budget.look(size) {
            return new;
        }
        let mut known: HashSet<[u8; 32]> = HashSet::new();
        let mut files: HashSet<[u8; 32]> = HashSet::new();
        for part in &self.parts {
            let both = [Some(essence(&part.data)), part.text.as_deref().map(|text| essence(text.as_bytes()))];
            known.extend(both.into_iter().flatten());
            files.extend(both.into_iter().flatten().filter(|_| is_file(&part)));
        }
        new.into_iter().filter(|leaf| !if leaf.attachment { &files } else { &known }.contains(&essence(&leaf.bytes))).collect()
    }
}
