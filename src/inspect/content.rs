//! Content suitability: what kind of attachment or text may pass. The rules of `rules/detect/content.toml`, and what takes code:
//! sizes, and card numbers on their way out.

use serde::{Deserialize, Serialize};

use super::heuristics;
use crate::mail::units::Size;
use crate::mail::{Class, Context, Direction, Finding, Message, PartKind};
use crate::rules::Hit;

mod cards;

/// Settings of content suitability, the `[suitability]` table.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The biggest message from outside that passes unseen by a person, in bytes; 0 for no limit. Default `"50MB"`.
    pub max_message_inbound: Size,
    /// The biggest message to the outside (or between our own servers), in bytes; 0 for no limit. Default `"50MB"`.
    pub max_message_outbound: Size,
    /// The biggest attachment after decoding, in bytes; 0 for no limit. Default `"50MB"`.
    pub max_attachment: Size,
    /// A message to the outside that holds this many different card numbers is held; 0 to look for none. Default 1.
    pub card_numbers: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_message_inbound: Size(50_000_000),
            max_message_outbound: Size(50_000_000),
            max_attachment: Size(50_000_000),
            card_numbers: 1,
        }
    }
}

/// The findings about content: of the rules (code: the rule's id), `content.size.message`, `content.size.attachment`, `content.card`.
/// Encrypted archives are found by decomposition and are not repeated here.
pub fn check(settings: &Settings, hits: &[Hit], message: &Message, context: &Context) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        hits.iter().filter(|hit| hit.outcome.is_content()).filter_map(|hit| heuristics::finding("content", hit)).collect();
    findings.extend(oversize(settings, message, context));
    if settings.card_numbers > 0 && goes(context, Direction::Outbound) {
        findings.extend(card_numbers(settings.card_numbers, message));
    }
    findings
}

fn oversize(settings: &Settings, message: &Message, context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_over = |bytes: usize, limit: Size| limit.0 > 0 && bytes as u64 > limit.0;
    let inward = [(Direction::Inbound, settings.max_message_inbound)];
    let outward = [(Direction::Outbound, settings.max_message_outbound), (Direction::Internal, settings.max_message_outbound)];
    let limit =
        inward.iter().chain(&outward).filter(|(direction, limit)| limit.0 > 0 && goes(context, *direction)).map(|(_, limit)| *limit).min();
    if let Some(limit) = limit.filter(|limit| is_over(message.raw.len(), *limit)) {
        let evidence = format!("{} bytes, {limit} allowed", message.raw.len());
        findings.push(Finding::new("content", "content.size.message", Class::Content, "The message is bigger than allowed", evidence));
    }
    for part in &message.parts {
        let is_member = part.kind == PartKind::Member;
        if part.attachment && !is_member && is_over(part.data.len(), settings.max_attachment) {
            let name = part.name.as_deref().unwrap_or("without a name");
            let evidence = format!("{} bytes, {} allowed: {name}", part.data.len(), settings.max_attachment);
            let words = "An attachment is bigger than allowed";
            findings.push(Finding::new("content", "content.size.attachment", Class::Content, words, evidence).at(part.id));
        }
    }
    findings
}

/// Different card numbers in the subject and all texts, attached ones and archive members included. The evidence has last digits only.
fn card_numbers(least: u32, message: &Message) -> Option<Finding> {
    let mut found = cards::Found::default();
    found.look(message.subject(), None);
    for part in &message.parts {
        if let Some(text) = &part.text {
            found.look(text, Some(part.id));
        }
    }
    let first = found.first()?;
    if found.count() < least as usize {
        return None;
    }
    let more = match found.count() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let evidence = format!("{} number ending in {}{more}", first.issuer, first.last_digits);
    let finding = Finding::new("content", "content.card", Class::Content, "Payment card numbers on their way out", evidence);
    Some(match first.part {
        Some(part) => finding.at(part),
        None => finding,
    })
}

/// Whether the message goes this way for any recipient.
fn goes(context: &Context, direction: Direction) -> bool {
    context.direction == direction || context.envelope.recipients.iter().any(|recipient| recipient.direction == direction)
}

#[cfg(test)]
mod tests;
