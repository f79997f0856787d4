//! What a hop cannot take by what it offers, before it is asked: size (RFC 1870) and SMTPUTF8 (RFC 6531).

use super::Job;
use super::capabilities::Capabilities;
use crate::mail::{HopReply, Outcome};

/// The message's size in bytes, before dots are doubled (RFC 1870 section 4).
pub(super) fn size(job: &Job) -> u64 {
    job.data.iter().map(|slice| slice.len() as u64).sum()
}

/// Outcomes for the recipients `which`, and those that are left to ask for. `None` stands for each of these.
pub(super) fn screen(job: &Job, which: &[usize], capabilities: &Capabilities, hop: &str) -> (Vec<Option<Outcome>>, Vec<usize>) {
    let refused = |code, enhanced: &str, text: String| {
        Some(Outcome::Refused { hop: hop.to_owned(), reply: HopReply { code, enhanced: Some(enhanced.to_owned()), text } })
    };
    let size = size(job);
    let too_big = capabilities.size.filter(|limit| *limit > 0 && *limit < size);
    let utf8_for_all = !capabilities.smtputf8 && needs_utf8(job);
    let outcomes: Vec<Option<Outcome>> = which
        .iter()
        .map(|n| {
            let utf8 = !capabilities.smtputf8 && job.recipients.get(*n).is_some_and(|to| !to.address.is_ascii());
            match too_big {
                Some(limit) => refused(552, "5.3.4", format!("the message has {size} bytes, and the next mail server takes {limit}")),
                None if utf8_for_all || utf8 => {
                    refused(550, "5.6.7", "the next mail server takes no internationalised mail (SMTPUTF8)".to_owned())
                }
                None => None,
            }
        })
        .collect();
    let rest = which.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_none()).map(|(n, _)| *n).collect();
    (outcomes, rest)
}

/// Fills the gaps with what the hop said.
pub(super) fn merge(screened: Vec<Option<Outcome>>, answered: Vec<Option<Outcome>>) -> Vec<Option<Outcome>> {
    let mut answered = answered.into_iter();
    screened.into_iter().map(|outcome| outcome.or_else(|| answered.next().flatten())).collect()
}

/// Whether no recipient can be served without SMTPUTF8: a non-ASCII sender, or header fields that use it.
fn needs_utf8(job: &Job) -> bool {
    job.sender.address().is_some_and(|sender| !sender.is_ascii()) || (job.smtputf8 && !header_is_ascii(job))
}

/// Looks at the slices up to the empty line, which may lie across two of them.
fn header_is_ascii(job: &Job) -> bool {
    let mut after_line = true;
    for slice in &job.data {
        if after_line && slice.starts_with(b"\r\n") {
            return true;
        }
        match memchr::memmem::find(slice, b"\r\n\r\n") {
            Some(end) => return slice.get(..end).is_some_and(<[u8]>::is_ascii),
            None if !slice.is_ascii() => return false,
            None => after_line = if slice.is_empty() { after_line } else { slice.ends_with(b"\r\n") },
        }
    }
    true
}
