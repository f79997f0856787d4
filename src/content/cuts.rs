//! Every way to cut a body at boundaries: the boundaries that its type names, those that its lines show, and the rules for each.

use bytes::Bytes;

use super::find::{Problem, limit};
use super::mime::boundary::{self, Layout, Rule};
use super::mime::field::Structured;
use super::mime::named;
use super::work::Work;
use crate::mail::PartId;

/// Characters of a boundary that are shown.
const SHOWN: usize = 20;

/// One way to cut a body.
pub(super) struct Cuts {
    /// In plain words.
    pub label: String,
    /// The field contradicts itself here.
    pub firm: bool,
    /// No field names the boundary.
    pub guessed: bool,
    /// The parts; `None` for a boundary that does not stand in the body, so that a client sees no part.
    pub layout: Option<Layout>,
}

impl Work<'_> {
    /// All different ways to cut a body of type `kind`, the most regular one first; empty where there is none.
    pub(super) fn cuts(&mut self, bytes: &Bytes, kind: &Structured, part: Option<PartId>) -> Vec<Cuts> {
        let boundaries = named::all(kind);
        if boundaries.len() >= named::MAX_BOUNDARIES {
            self.note(limit("mime.limit.readings", "More boundaries in one field than the limit"), part);
        }
        let is_multipart = kind.value.contains("multipart");
        if boundaries.is_empty() && !is_multipart {
            return Vec::new();
        }
        let doubled = kind.is_doubled("boundary");
        let mut all = self.cuts_at(bytes, &boundaries, doubled, false);
        if doubled && !all.is_empty() {
            let missing = kind.plainly("boundary").filter(|value| memchr::memmem::find(bytes, &[b"--", *value].concat()).is_none());
            let missing = missing.map(|value| Cuts { label: shown(value, None), firm: true, guessed: false, layout: None });
            all.extend(missing);
        }
        if all.is_empty() && is_multipart {
            self.note(Problem::note("mime.boundary_missing", "A multipart whose boundary does not stand in it", kind.value.as_str()), part);
            all = self.cuts_at(bytes, &boundary::shown(bytes), false, true);
        }
        all
    }

    fn cuts_at(&mut self, bytes: &Bytes, boundaries: &[Vec<u8>], doubled: bool, guessed: bool) -> Vec<Cuts> {
        let mut all: Vec<Cuts> = Vec::new();
        for (i, boundary) in boundaries.iter().enumerate() {
            if i > 0 && !self.budget.look(bytes.len()) {
                break;
            }
            for layout in boundary::layouts(bytes, boundary, self.limits.parts) {
                let same = |known: &Cuts| known.layout.as_ref().is_some_and(|known| known.parts == layout.parts);
                if !all.iter().any(same) {
                    let label = shown(boundary, Some(layout.rule));
                    all.push(Cuts { label, firm: doubled && layout.rule == Rule::Strict, guessed, layout: Some(layout) });
                }
            }
        }
        all
    }
}

/// A boundary and the rule, for people.
fn shown(boundary: &[u8], rule: Option<Rule>) -> String {
    let text: String = String::from_utf8_lossy(boundary).chars().take(SHOWN).collect();
    match rule {
        None | Some(Rule::Strict) => format!("\"{text}\""),
        Some(rule) => format!("\"{text}\" {}", rule.words()),
    }
}
