//! What a session is given and what it gives: its terms, and the steps it asks of the connection.

use bytes::Bytes;

use crate::mail::{Envelope, MessageId, ReversePath};
use crate::smtp::Reply;
use crate::smtp::decoder::{DataFault, DataLimits, LineEndings};
use crate::smtp::path::ForwardPath;

/// Whether a session can be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// STARTTLS is not offered.
    Off,
    /// It is, and the client may use it.
    Offered,
    /// MAIL is refused without it.
    Required,
}

/// What a session keeps to; made once for a listener.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Our name in the greeting and the answer to EHLO.
    pub hostname: String,
    /// Limits of a message.
    pub data: DataLimits,
    /// What becomes of bare CR and LF in a message.
    pub line_endings: LineEndings,
    /// Octets of a command line, CRLF included.
    pub command_line: usize,
    /// Recipients of one message.
    pub recipients: usize,
    /// Commands without an accepted message; the next one ends the session.
    pub commands: u32,
    /// Errors in a row without an accepted message; with this one the session ends.
    pub errors: u32,
    /// Refused recipients likewise.
    pub refused_recipients: u32,
    /// Messages over one connection.
    pub messages: u32,
    /// STARTTLS.
    pub encryption: Encryption,
    /// A client that does not wait for a reply where it has to (RFC 2920 section 3.1) is sent away.
    pub strict_pipelining: bool,
}

/// How the client introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The name it gave; letters, digits and `-._:[]` only.
    pub name: String,
    /// EHLO rather than HELO.
    pub esmtp: bool,
}

/// A message received to its end and without fault.
#[derive(Debug)]
pub struct Received {
    /// The id given with [`super::Session::begin_data`].
    pub id: MessageId,
    /// Who sent it.
    pub hello: Hello,
    /// Sender and recipients.
    pub envelope: Envelope,
    /// The message.
    pub raw: Bytes,
    /// Line ends were repaired.
    pub normalised: bool,
}

/// Something that the session refused by itself; the client has its reply.
#[derive(Debug)]
pub enum Refused {
    /// A message that was received to its end.
    Data {
        /// Its id, as the reply names it.
        id: MessageId,
        /// How the client introduced itself.
        hello: Hello,
        /// Sender and recipients.
        envelope: Envelope,
        /// What is wrong with it.
        fault: DataFault,
        /// What the client heard.
        reply: Reply,
    },
    /// MAIL with a SIZE above the limit.
    Size {
        /// The sender.
        sender: ReversePath,
        /// What it wanted to send, in octets.
        size: u64,
    },
    /// A recipient above the limit of one message.
    Recipient,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// QUIT.
    Quit,
    /// Too many commands.
    Commands,
    /// Too many errors.
    Errors,
    /// Too many refused recipients.
    RefusedRecipients,
    /// The most messages over one connection were sent.
    Messages,
    /// The client speaks HTTP.
    Http,
    /// The client speaks TLS without STARTTLS.
    TlsHello,
    /// Commands came behind STARTTLS.
    Injection,
    /// The client spoke before the greeting.
    TooEarly,
    /// It did not wait for a reply where it has to.
    OutOfStep,
    /// A BDAT did not say how many octets follow it.
    ChunkSyntax,
    /// A message had a CR or LF that stands alone: what follows it is not read.
    OddEnds,
    /// The reply to a message was 421, or the connection's side ended it.
    Closed,
}

/// What the connection has to do next.
#[derive(Debug)]
pub enum Step {
    /// Send what is in the output, then bring more bytes.
    Read,
    /// Decide on a recipient and call [`super::Session::recipient`].
    Recipient(ForwardPath),
    /// The client wants to send a message: call [`super::Session::begin_data`] or [`super::Session::refuse_data`].
    Data,
    /// Send the output, let the message be settled, and call [`super::Session::settle`].
    Message(Box<Received>),
    /// Something was refused; nothing to do but log and count it.
    Refused(Refused),
    /// Send the output, start TLS and call [`super::Session::secured`].
    StartTls,
    /// Send the output and close.
    Close(End),
}
