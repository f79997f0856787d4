//! Where readings part, and what each of them would hand a client. From this follows `mime.ambiguous`.
//!
//! Leaves are noted at nodes: one for each entity, and one for each way to go at a fork. A node's content is its leaves and that of the
//! nodes below it; below a fork, that of its most regular way. Entities that two ways share are read once and have one node.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::find::{Problem, too_long};
use super::sniff;
use super::work::Work;
use crate::mail::{Class, Part, PartId};

/// A place in the tree of readings.
pub(super) type Node = usize;
/// The whole message in its most regular reading.
pub(super) const ROOT: Node = 0;
/// Content that no client shows as a part: before the first boundary, after the last.
pub(super) const ASIDE: Node = 1;

/// Forks that are compared; a message with more has enough findings.
const MAX_FORKS: usize = 300;
/// Pairs of parts that are compared by their places.
const MAX_PAIRS: usize = 1_000_000;
/// Leaves named in the evidence of one reading.
const MAX_NAMED: usize = 4;
/// Longest name shown, in characters.
const MAX_NAME: usize = 40;

/// The tree.
pub(super) struct Readings {
    nodes: Vec<Point>,
    forks: Vec<Fork>,
}

#[derive(Default)]
struct Point {
    leaves: Vec<PartId>,
    below: Vec<Node>,
}

/// Several ways to read the same bytes.
struct Fork {
    at: Option<PartId>,
    what: &'static str,
    first: (Node, String),
    others: Vec<Other>,
}

struct Other {
    node: Node,
    label: String,
    firm: bool,
}

/// The number of a fork.
#[derive(Debug, Clone, Copy)]
pub(super) struct ForkId(usize);

impl Readings {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Point::default(), Point::default()], forks: Vec::new() }
    }

    fn node(&mut self) -> Node {
        self.nodes.push(Point::default());
        self.nodes.len() - 1
    }

    /// A node below `above`.
    pub(super) fn below(&mut self, above: Node) -> Node {
        let node = self.node();
        self.link(above, node);
        node
    }

    /// What stands at `node` belongs to `above` too.
    pub(super) fn link(&mut self, above: Node, node: Node) {
        if let Some(point) = self.nodes.get_mut(above) {
            point.below.push(node);
        }
    }

    /// Notes a leaf.
    pub(super) fn leaf(&mut self, node: Node, part: PartId) {
        if let Some(point) = self.nodes.get_mut(node).filter(|_| node != ASIDE) {
            point.leaves.push(part);
        }
    }

    /// The readings part at `above`: hands out the node of the most regular way.
    pub(super) fn fork(&mut self, above: Node, at: Option<PartId>, what: &'static str, label: impl Into<String>) -> (ForkId, Node) {
        let first = self.below(above);
        (self.fork_from(first, at, what, label), first)
    }

    /// The readings part, and the most regular way is at `first` already.
    pub(super) fn fork_from(&mut self, first: Node, at: Option<PartId>, what: &'static str, label: impl Into<String>) -> ForkId {
        self.forks.push(Fork { at, what, first: (first, label.into()), others: Vec::new() });
        ForkId(self.forks.len() - 1)
    }

    /// Another way at a fork. A `firm` one is a contradiction in the message itself, so that a client may well see nothing but this way;
    /// others are ways of readers that try harder, which matter for what they find more.
    pub(super) fn way(&mut self, fork: ForkId, label: impl Into<String>, firm: bool) -> Node {
        let node = self.node();
        if let Some(fork) = self.forks.get_mut(fork.0) {
            fork.others.push(Other { node, label: label.into(), firm });
        }
        node
    }

    /// All leaves at and below a node.
    fn content(&self, node: Node) -> Vec<PartId> {
        let mut seen = HashSet::from([node]);
        let mut open = vec![node];
        let mut all = Vec::new();
        while let Some(point) = open.pop().and_then(|node| self.nodes.get(node)) {
            all.extend(&point.leaves);
            open.extend(point.below.iter().rev().filter(|below| seen.insert(**below)));
        }
        all
    }
}

impl Work<'_> {
    /// Compares the ways at all forks.
    pub(super) fn judge_forks(&mut self) {
        let mut found: Vec<(Problem, Option<PartId>)> = Vec::new();
        let mut essences = Essences::default();
        for fork in self.readings.forks.iter().filter(|fork| !fork.others.is_empty()).take(MAX_FORKS) {
            let first = self.readings.content(fork.first.0);
            let mut worst: Option<Problem> = None;
            for other in &fork.others {
                let content = self.readings.content(other.node);
                if !self.budget.look((first.len() + content.len()) * 64) {
                    found.push((too_long(&self.budget), fork.at));
                    break;
                }
                let Some(grave) = compare(&self.parts, &first, &content, other.firm, &mut essences) else { continue };
                if worst.as_ref().is_none_or(|worst| grave && worst.class == Class::Note) {
                    worst = Some(ambiguous(&self.parts, fork, other, &first, &content, grave));
                }
            }
            found.extend(worst.map(|problem| (problem, fork.at)));
        }
        found.into_iter().for_each(|(problem, at)| self.note(problem, at));
    }
}

/// Whether two ways hand out different things: `Some(true)` where one of them is more than text to be shown.
fn compare(parts: &[Part], first: &[PartId], other: &[PartId], firm: bool, essences: &mut Essences) -> Option<bool> {
    let get = |ids: &[PartId]| -> Vec<&Part> { ids.iter().filter_map(|id| parts.get(id.0 as usize)).collect() };
    let (first, other) = (get(first), get(other));
    let (less, mut more) = (essences.missing(&first, &other), essences.missing(&other, &first));
    if !firm && more.len().saturating_mul(first.len()) < MAX_PAIRS {
        more.retain(|part| !first.iter().any(|known| covers(part, known)));
    }
    let grave = more.iter().any(|part| opens(part)) || (firm && less.iter().any(|part| opens(part)));
    (grave || (firm && !(less.is_empty() && more.is_empty()))).then_some(grave)
}

/// Digests of contents, each made once.
#[derive(Default)]
struct Essences(HashMap<PartId, [u8; 32]>);

impl Essences {
    /// Those of `from` whose content is not in `within`. White space, control characters and empty parts make no difference.
    fn missing<'p>(&mut self, from: &[&'p Part], within: &[&Part]) -> Vec<&'p Part> {
        let exact: HashSet<&[u8; 32]> = within.iter().map(|part| &part.sha256).collect();
        let mut from: Vec<&Part> = from.iter().copied().filter(|part| !exact.contains(&part.sha256)).collect();
        if !from.is_empty() {
            let near: HashSet<[u8; 32]> = within.iter().map(|part| self.of(part)).chain([essence(b"")]).collect();
            from.retain(|part| !near.contains(&self.of(part)));
        }
        from
    }

    fn of(&mut self, part: &Part) -> [u8; 32] {
        *self.0.entry(part.id).or_insert_with(|| essence(&part.data))
    }
}

/// Whether `part` is no more than the undecoded text in which `known` stands.
fn covers(part: &Part, known: &Part) -> bool {
    match (part.span, known.span) {
        (Some(outer), Some(inner)) => {
            part.verbatim && sniff::is_text(part.true_type) && outer.start <= inner.start && inner.end <= outer.end
        }
        _ => false,
    }
}

/// A digest of what remains of a content without white space and control characters.
pub(super) fn essence(data: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    let mut buffer = [0u8; 1024];
    let mut held = 0;
    for c in data.iter().filter(|c| **c > b' ' && !matches!(c, 0x7f | 0x85)) {
        if let Some(place) = buffer.get_mut(held) {
            *place = *c;
            held += 1;
        }
        if held == buffer.len() {
            digest.update(buffer);
            held = 0;
        }
    }
    digest.update(buffer.get(..held).unwrap_or_default());
    digest.finalize().into()
}

/// An attachment, or something that is opened by a program rather than shown.
fn opens(part: &Part) -> bool {
    let shown = sniff::is_text(part.true_type) && part.true_type != "rtf";
    part.attachment || !(shown || part.true_type.is_empty())
}

fn ambiguous(parts: &[Part], fork: &Fork, other: &Other, first: &[PartId], content: &[PartId], grave: bool) -> Problem {
    let evidence =
        format!("{}: {} gives {}; {} gives {}", fork.what, fork.first.1, shown(parts, first), other.label, shown(parts, content));
    let class = if grave { Class::Ambiguous } else { Class::Note };
    Problem { class, ..Problem::note("mime.ambiguous", "Two readings of the message give different content", evidence) }
}

/// `2 parts (text, invoice.pdf)`.
fn shown(parts: &[Part], ids: &[PartId]) -> String {
    let name = |part: &Part| match part.name.as_deref() {
        Some(name) => name.chars().take(MAX_NAME).collect(),
        None if part.true_type.is_empty() => "unknown".to_owned(),
        None => part.true_type.to_owned(),
    };
    let named: Vec<String> = ids.iter().filter_map(|id| parts.get(id.0 as usize)).take(MAX_NAMED).map(name).collect();
    let more = if ids.len() > MAX_NAMED { ", …" } else { "" };
    let word = if ids.len() == 1 { "part" } else { "parts" };
    format!("{} {word} ({}{more})", ids.len(), named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_what_is_below_it_once() {
        let mut tree = Readings::new();
        let entity = tree.below(ROOT);
        tree.leaf(entity, PartId(1));
        let (fork, first) = tree.fork(ROOT, None, "x", "a");
        tree.leaf(first, PartId(2));
        let other = tree.way(fork, "b", true);
        tree.link(other, entity);
        tree.link(entity, other);
        tree.leaf(ASIDE, PartId(3));
        assert_eq!(tree.content(ROOT), [PartId(1), PartId(2)]);
        assert_eq!(tree.content(other), [PartId(1)]);
    }

    #[test]
    fn blanks_make_no_difference() {
        assert_eq!(essence(b"a b\r\nc\0"), essence(b"abc"));
        assert_ne!(essence(b"abc"), essence(b"abd"));
        assert_eq!(essence(&b"xy ".repeat(1000)), essence(&b"xy".repeat(1000)));
    }
}
