//! Messages that stand one after the other in a file: an mbox, each message behind a line that starts with `From `; or below a line of
//! dashes, as in a digest or a forwarded text.

use super::super::find::{Finds, Item, Leaf, limit};
use super::Reading;
use super::header::{self, Field};
use super::nested::looks_like_message;

pub(super) const READING: Reading =
    Reading { name: "mbox", reads: "messages that stand in a text behind lines that start with From, or below a line of dashes", read };

/// Messages taken out of one leaf.
const MAX_MESSAGES: usize = 1_000;
/// What looking at a line weighs against looking at a byte, and what reading the header below it.
const LINE: usize = 200;
const HEAD: usize = 2_048;

fn read(leaf: &Leaf, finds: &mut Finds) {
    if !super::is_readable(leaf) {
        return;
    }
    let data = leaf.data;
    let mut starts: Vec<usize> = starts(leaf, finds);
    starts.dedup();
    // A leaf that is one message alone is read as such elsewhere.
    if starts.is_empty() || (starts.len() == 1 && starts.first() == Some(&0)) {
        return;
    }
    finds.note("mime.mbox", "Messages stand in a text one after the other", "");
    if starts.len() > MAX_MESSAGES {
        finds.problems.push(limit("mime.limit.parts", "More messages in a text than the limit"));
    }
    let ends = starts.iter().copied().skip(1).chain([data.len()]);
    for (start, end) in starts.iter().copied().zip(ends).take(MAX_MESSAGES) {
        if !finds.look(end - start) || !finds.add(Item::Message(data.slice(start..end))) {
            return;
        }
    }
}

/// Where messages start: at a `From ` line with a header below it, or below a line of dashes.
fn starts(leaf: &Leaf, finds: &mut Finds) -> Vec<usize> {
    let data = leaf.data.as_ref();
    let line = |at: usize| data.get(at..).unwrap_or_default();
    let mut all = Vec::new();
    let from = leaf.lines().filter(|at| line(*at).starts_with(b"From ") || line(*at).starts_with(b">From "));
    for at in from.map(|at| at + usize::from(line(at).starts_with(b">"))) {
        if !finds.look(HEAD) {
            return all;
        }
        if all.len() <= MAX_MESSAGES && looks_like_message(data.get(at..).unwrap_or_default()) {
            all.push(at);
        }
    }
    for at in leaf.lines().filter(|at| line(*at).starts_with(b"--")) {
        if !finds.look(LINE) {
            break;
        }
        let rest = line(at);
        let Some(end) = memchr::memchr(b'\n', rest.get(..rest.len().min(200)).unwrap_or_default()) else { continue };
        let below = rest.get(end + 1..).unwrap_or_default();
        let blanks = below.iter().take_while(|c| matches!(c, b'\r' | b'\n')).count();
        let below = below.get(blanks..).unwrap_or_default();
        // No field starts with anything else: nothing is read below most lines of dashes.
        if !below.first().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, b' ' | b'\t')) {
            continue;
        }
        if !finds.look(HEAD) {
            break;
        }
        if all.len() <= MAX_MESSAGES && looks_like_message(below) && shapes(below) {
            all.push(at + end + 1 + blanks);
        }
    }
    all.sort_unstable();
    all
}

/// Whether a header is that of a message, and says how its body is to be read: one that does not is text like all around it.
fn shapes(text: &[u8]) -> bool {
    let head = header::read(text.get(..text.len().min(8_192)).unwrap_or_default(), 50, 8_192);
    let shapes = |field: &Field| field.loose.is_some() || text.get(field.name.clone()).is_some_and(header::is_mime);
    let of_message = ["from", "to", "subject", "date", "received", "mime-version"];
    head.fields.iter().any(shapes) && of_message.iter().any(|name| head.values(text, name).next().is_some())
}

#[cfg(test)]
mod tests {
    use super::super::super::limits::{Budget, Limits};
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let data = bytes::Bytes::copy_from_slice(text.as_bytes());
        let mut budget = Budget::new(&Limits::default());
        let mut finds = Finds::new(&mut budget, 10);
        read(&Leaf::new(&data, None, "", "", "text"), &mut finds);
        let message = |item| if let Item::Message(b) = item { String::from_utf8_lossy(&b).into_owned() } else { String::new() };
        finds.items.into_iter().map(message).collect()
    }

    #[test]
    fn messages() {
        let one = "From a Mon Jan 1\r\nSubject: x\r\nTo: y\r\n\r\none\r\n\r\n";
        let two = one.replace("one", "two");
        assert_eq!(found(&format!("{one}{two}")), [one, &two]);
        assert_eq!(found(&format!("text\r\n{two}")), std::slice::from_ref(&two));
        assert_eq!(found(one), Vec::<String>::new());
        assert_eq!(found("Dear all,\r\nFrom here on: nothing.\r\n"), Vec::<String>::new());
        let forwarded = "From: a\r\nTo: b\r\nContent-Type: text/plain\r\n\r\nx";
        assert_eq!(found(&format!("see\r\n----- Original Message -----\r\n\r\n{forwarded}")), [forwarded]);
        assert_eq!(found("see\r\n----- Original Message -----\r\nFrom: a\r\nTo: b\r\n\r\nx"), Vec::<String>::new());
        for decoy in ["From x\r\n", "--\r\n", "-- \r\nwords\r\n"] {
            assert_eq!(found(&format!("{}\r\n----\r\n{forwarded}", decoy.repeat(20_001))), [forwarded], "{decoy}");
            assert_eq!(found(&format!("{}\r\n{two}", decoy.repeat(20_001))).last(), Some(&two), "{decoy}");
        }
        let whole = format!("{one}{two}");
        for end in 0..whole.len() {
            found(&whole[..end]);
        }
    }
}
