//! The decomposed message: the raw bytes and a flat list of everything found in them.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Finding;

/// A range of bytes in [`Message::raw`] (or in the decoded bytes of a part's container, where that is said).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The bytes it names in `raw`; empty where it does not fit.
    pub fn of<'a>(&self, raw: &'a [u8]) -> &'a [u8] {
        raw.get(self.start..self.end).unwrap_or_default()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The number of a part: its place in [`Message::parts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartId(pub u32);

/// One header field of a part (RFC 5322 section 2.2), in the order of appearance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name as written, without the colon.
    pub name: String,
    /// The value: unfolded, encoded words (RFC 2047) decoded, undecodable bytes replaced.
    pub value: String,
    /// The value's bytes as written, folding included, in [`Message::raw`]; empty for headers of nested, decoded parts.
    pub raw: Span,
}

/// How a part came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// The message itself, or a message inside (message/rfc822).
    Message,
    /// A multipart: only holds others.
    Multipart,
    /// A MIME leaf: text, attachment.
    Leaf,
    /// Another reading of bytes that already stand in a part: uuencode inside a text, a second boundary rule.
    Reading,
    /// A member of an archive or document.
    Member,
}

/// A node of the decomposed message. Containers come before what they hold; ids are places in the list.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its place in the list.
    pub id: PartId,
    /// The part it was found in; `None` for the message itself.
    pub parent: Option<PartId>,
    /// How many containers stand around it; 0 for the message itself.
    pub depth: u16,
    /// How it came to be.
    pub kind: PartKind,
    /// The media type it claims, in lower case without parameters (`text/plain`); empty if it claims none.
    pub declared_type: String,
    /// What its content is, by its first bytes and structure: a short name from `content::sniff` (`pdf`, `exe`, `zip`, `text`); empty if unknown.
    pub true_type: &'static str,
    /// The file name it claims (RFC 2231 and 2047 decoded), or its path in the archive.
    pub name: Option<String>,
    /// Content-Disposition says attachment, or it has a name and is not shown inline.
    pub attachment: bool,
    /// Where the (undecoded) body stands in [`Message::raw`]; `None` for what exists only decoded.
    pub span: Option<Span>,
    /// The body after transfer decoding: a slice of the raw bytes where it stands there verbatim (then `verbatim`), else its own.
    pub data: Bytes,
    /// The decoded body is the same bytes as in the raw message: no engine needs to see it twice.
    pub verbatim: bool,
    /// The body as text, for text parts: charset decoded, HTML reduced to what is shown. `None` for others.
    pub text: Option<String>,
    /// SHA-256 of `data`, so that the same bytes are judged once. Of the message itself, whose `data` is empty: that of the raw bytes, once
    /// somebody has summed them up, else zeros.
    pub sha256: [u8; 32],
}

/// A message and everything found in it. Without lifetimes, so that it crosses threads in an `Arc`.
#[derive(Debug, Clone)]
pub struct Message {
    /// The bytes as received, CRLF line ends.
    pub raw: Bytes,
    /// Where the body starts in `raw` (after the empty line); `raw.len()` if there is none.
    pub body_start: usize,
    /// The header fields of the message itself.
    pub headers: Vec<Header>,
    /// Everything found, the message itself first.
    pub parts: Vec<Part>,
    /// Targets of links, in texts and HTML attributes, as written; bounded by the limits.
    pub urls: Vec<String>,
    /// What decomposition itself noticed: problems and limits reached.
    pub findings: Vec<Finding>,
}

impl Message {
    /// The decoded values of all fields of this name (any case), topmost first.
    pub fn header<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    /// The first Subject, decoded; empty if there is none.
    pub fn subject(&self) -> &str {
        self.header("subject").next().unwrap_or_default()
    }

    /// The part of this number.
    pub fn part(&self, id: PartId) -> Option<&Part> {
        self.parts.get(id.0 as usize)
    }
}
