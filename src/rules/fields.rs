//! The values that text rules look at, field by field.

use std::borrow::Cow;

use super::measures::is_hidden;
use super::rule::Field;
use crate::mail::{Context, Message, Part, PartId, PartKind};

/// Calls `look` with every value of `field`, and the part it belongs to.
pub(super) fn each(message: &Message, context: &Context, field: &Field, look: &mut dyn FnMut(&[u8], Option<PartId>)) {
    match field {
        Field::Header(name) => {
            for header in message.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name)) {
                look(header.value.trim().as_bytes(), None);
            }
        }
        Field::Headers => {
            for header in &message.headers {
                look(format!("{}: {}", header.name, header.value.trim()).as_bytes(), None);
            }
        }
        Field::HeaderRaw => look(message.raw.get(..message.body_start).unwrap_or(&message.raw), None),
        Field::Subject => look(message.subject().trim().as_bytes(), None),
        Field::Body => {
            for part in &message.parts {
                if let Some(text) = &part.text {
                    look(readable(text).as_bytes(), Some(part.id));
                }
            }
        }
        Field::Html => {
            for part in message.parts.iter().filter(|part| part.declared_type == "text/html" || part.true_type == "html") {
                look(&part.data, Some(part.id));
            }
        }
        Field::Url => {
            for url in &message.urls {
                look(url.as_bytes(), None);
            }
        }
        Field::Name => {
            for part in &message.parts {
                if let Some(name) = &part.name {
                    look(name.trim().as_bytes(), Some(part.id));
                }
            }
        }
        Field::Type => {
            for part in message.parts.iter().filter(|part| !part.true_type.is_empty() && !is_message_text(part)) {
                look(part.true_type.as_bytes(), Some(part.id));
            }
        }
        Field::DeclaredType => {
            for part in message.parts.iter().filter(|part| !part.declared_type.is_empty()) {
                look(part.declared_type.as_bytes(), Some(part.id));
            }
        }
        Field::Raw => look(&message.raw, None),
        Field::Sender => look(context.envelope.sender.as_str().as_bytes(), None),
        Field::Helo => look(context.origin.helo.as_bytes(), None),
    }
}

/// A text without a name that a mail program shows as the message: not a file of any type, whatever its first characters.
fn is_message_text(part: &Part) -> bool {
    part.text.is_some() && part.name.is_none() && !part.attachment && part.kind != PartKind::Member
}

/// Text as a reader sees it: runs of white space are one space, characters that show nothing are gone.
///
/// So a phrase rule needs no thought of line breaks or of characters put between letters to hide a word.
pub(super) fn readable(text: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(text.len());
    let mut gap = true;
    if text.is_ascii() {
        // The common case, by runs: most of the time is spent here.
        for word in text.split_ascii_whitespace() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
        return out.into();
    }
    for c in text.chars() {
        if c.is_whitespace() {
            if !gap {
                out.push(' ');
            }
            gap = true;
        } else if !is_hidden(c) {
            out.push(c);
            gap = false;
        }
    }
    out.truncate(out.trim_end().len());
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text() {
        for (text, want) in
            [(" Buy\r\n\tnow  ! ", "Buy now !"), ("via\u{200B}gra\u{AD} é \u{A0} x\n", "viagra é x"), ("", ""), (" \u{A0}", "")]
        {
            assert_eq!(readable(text), want, "{text:?}");
        }
    }
}
