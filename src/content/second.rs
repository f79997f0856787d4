//! The second reader's turn: what it hands out of the message beyond what was seen becomes parts.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::find::{Problem, limit};
use super::forks::{ROOT, essence};
use super::mime::second::{self, Handed};
use super::work::{Blob, What, Work};
use crate::mail::{PartId, PartKind, Reason};

impl Work<'_> {
    /// Lets the second reader have its turn, once; true where it found more to do. After a limit it has none: what was built to exceed
    /// our limits is not shown to a reader that has none.
    pub(super) fn read_again(&mut self) -> bool {
        if std::mem::replace(&mut self.read_twice, true) || self.has_limit() || !self.budget.look(self.raw.len()) {
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

    /// Those leaves whose content has not been seen; white space and control characters make no difference.
    fn unseen(&mut self, handed: Vec<Handed>) -> Vec<Handed> {
        let exact = |leaf: &Handed| self.seen.contains_key(&<[u8; 32]>::from(Sha256::digest(&leaf.bytes)));
        let new: Vec<Handed> = handed.into_iter().filter(|leaf| !exact(leaf)).collect();
        let size: usize = self.parts.iter().map(|part| part.data.len()).sum();
        if new.is_empty() || !self.budget.look(size) {
            return new;
        }
        let mut known: HashSet<[u8; 32]> = self.parts.iter().map(|part| essence(&part.data)).collect();
        known.extend(self.parts.iter().filter_map(|part| part.text.as_deref()).map(|text| essence(text.as_bytes())));
        new.into_iter().filter(|leaf| !known.contains(&essence(&leaf.bytes))).collect()
    }
}
