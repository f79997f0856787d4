//! The session: which command is allowed when, and what it is answered.
//!
//! A pure state machine. Bytes go in through [`Session::step`]; replies collect in an output buffer, so that the answers
//! to a pipelined batch go out in one write; and what only others can do or decide comes out as a [`Step`]:
//!
//! ```text
//!  Fresh ─EHLO─► Idle ─MAIL─► Mail ─DATA─► Data ─end─► Step::Message ─► settle(reply) ─► Idle
//!    ▲             │            ├─BDAT─► Chunk ─► Chunks ─BDAT LAST─► Chunk ─► Step::Message, likewise
//!    │             │            └─RCPT─► Step::Recipient ─► recipient(answer) ─► Mail
//!    └── secured ──┴─STARTTLS─► Step::StartTls
//! ```

mod chunks;
mod envelope;
mod receiving;
mod step;
#[cfg(test)]
mod tests;

pub use step::{Encryption, End, Hello, Received, Refused, Step, Terms};

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use crate::mail::dsn::RecipientRequest;
use crate::mail::{MessageId, Recipient, ReversePath};

use super::command::{self, Command, SyntaxError};
use super::decoder::{DataFault, Decoder};
use super::lines::{LineFault, Lines};
use super::path::ForwardPath;
use super::replies;
use super::reply::Reply;

use chunks::{Chunk, Swallowing};
use envelope::Transaction;
use receiving::Receiving;

/// How a TLS handshake begins: a record of that kind, of any version (RFC 8446 section 5.1).
const TLS_HELLO: &[u8] = &[0x16, 0x03];

/// One session. Calls that do not fit the state are ignored: the connection asks [`Session::step`] what to do.
#[derive(Debug)]
pub struct Session {
    terms: Arc<Terms>,
    lines: Lines,
    out: Vec<u8>,
    state: State,
    secured: bool,
    commands: u32,
    errors: u32,
    refused_recipients: u32,
    messages: u32,
    out_of_step: bool,
}

/// Each state owns what exists in it.
#[derive(Debug)]
enum State {
    /// Before EHLO or HELO.
    Fresh,
    /// Between transactions.
    Idle(Hello),
    /// After MAIL.
    Mail(Box<Transaction>),
    /// A recipient waits for an answer.
    AskedRecipient(Box<Transaction>, ForwardPath, RecipientRequest),
    /// DATA waits for an answer, or the BDAT of a first chunk.
    AskedData(Box<Transaction>, Option<Chunk>),
    /// The message is coming in.
    Data(Box<Receiving>),
    /// A chunk of it is coming in.
    Chunk(Box<Receiving>, Chunk),
    /// Between its chunks.
    Chunks(Box<Receiving>),
    /// A chunk is coming in that is not taken.
    Swallowing(Box<Swallowing>),
    /// The message was handed over; its reply is awaited.
    Settling(Hello),
    /// STARTTLS was answered; TLS is awaited.
    Securing,
    /// It is over.
    Ended(End),
}

impl Session {
    /// A session whose greeting is already in the output.
    pub fn new(terms: Arc<Terms>) -> Self {
        let lines = Lines::new(terms.command_line);
        let mut session = Self {
            terms,
            lines,
            out: Vec::new(),
            state: State::Fresh,
            secured: false,
            commands: 0,
            errors: 0,
            refused_recipients: 0,
            messages: 0,
            out_of_step: false,
        };
        session.say(&replies::greeting(&session.terms.hostname));
        session
    }

    /// Goes on with what is in `input`, until something has to be done or decided elsewhere.
    pub fn step(&mut self, input: &mut BytesMut) -> Step {
        loop {
            match &mut self.state {
                State::AskedRecipient(_, path, _) => return Step::Recipient(path.clone()),
                State::AskedData(..) => return Step::Data,
                State::Settling(_) => return Step::Read,
                State::Securing => return Step::StartTls,
                State::Ended(end) => return Step::Close(*end),
                State::Data(receiving) => {
                    let Some(taken) = receiving.take(input) else {
                        input.clear();
                        return Step::Read;
                    };
                    input.advance(taken);
                    return self.end_data();
                }
                State::Chunk(..) | State::Swallowing(_) => {
                    if let Some(step) = self.chunk(input) {
                        return step;
                    }
                }
                State::Fresh if self.commands == 0 && input.starts_with(TLS_HELLO) => {
                    self.end(&replies::tls_too_early(), End::TlsHello);
                }
                State::Fresh | State::Idle(_) | State::Mail(_) | State::Chunks(_) => match self.lines.next(input) {
                    None => return Step::Read,
                    Some(Err(LineFault::Chunk)) => self.end(&replies::chunk_syntax(), End::ChunkSyntax),
                    Some(Err(fault)) => self.fail(&replies::line(fault)),
                    Some(Ok(line)) => {
                        if let Some(step) = self.command(&line, !input.is_empty()) {
                            return step;
                        }
                    }
                },
            }
        }
    }

    /// The output so far; empty afterwards.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Answers [`Step::Recipient`].
    pub fn recipient(&mut self, answer: Result<Recipient, Reply>) {
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::AskedRecipient(mut transaction, _, dsn) => {
                let reply = transaction.add(answer, dsn);
                self.state = State::Mail(transaction);
                if reply.is_permanent() {
                    self.refused_recipients += 1;
                }
                match self.refused_recipients >= self.terms.refused_recipients && reply.is_permanent() {
                    true => self.end(&replies::too_many_refused(), End::RefusedRecipients),
                    false => self.say(&reply),
                }
            }
            other => self.state = other,
        }
    }

    /// Answers [`Step::Data`]: the bytes of the message come next, after a 354 where it was DATA that asked.
    pub fn begin_data(&mut self, id: MessageId) {
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::AskedData(transaction, chunk) => {
                self.messages += 1;
                let (limits, endings) = (self.terms.data, self.terms.line_endings);
                match chunk {
                    None => {
                        self.state = State::Data(Box::new(Receiving::new(id, *transaction, Decoder::new(limits, endings))));
                        self.say(&replies::send_data());
                    }
                    Some(chunk) => self.begin_chunk(Box::new(Receiving::new(id, *transaction, Decoder::chunks(limits, endings))), chunk),
                }
            }
            other => self.state = other,
        }
    }

    /// Answers [`Step::Data`] with a refusal; after DATA the transaction stays open.
    pub fn refuse_data(&mut self, reply: &Reply) {
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::AskedData(transaction, None) => {
                self.state = State::Mail(transaction);
                self.say(reply);
            }
            State::AskedData(transaction, Some(chunk)) => self.swallow(chunk, reply.clone(), State::Idle(transaction.into_hello())),
            other => self.state = other,
        }
    }

    /// Octets of the message that is coming in, as far as it is kept; `None` outside a message and after a fault.
    pub fn receiving(&self) -> Option<usize> {
        match &self.state {
            State::Data(receiving) | State::Chunk(receiving, _) | State::Chunks(receiving) => receiving.kept(),
            _ => None,
        }
    }

    /// Whether a message is coming in.
    pub fn is_in_data(&self) -> bool {
        matches!(self.state, State::Data(_) | State::Chunk(..) | State::Chunks(_))
    }

    /// Whether octets are coming in that are thrown away.
    pub fn is_swallowing(&self) -> bool {
        matches!(self.state, State::Swallowing(_))
    }

    /// There is no memory for the message that is coming in: it is read to its end, or to that of its chunk, and then hears 452.
    pub fn out_of_memory(&mut self) {
        if let State::Data(receiving) | State::Chunk(receiving, _) | State::Chunks(receiving) = &mut self.state {
            receiving.give_up(DataFault::NoMemory);
        }
    }

    /// Answers [`Step::Message`]: `reply` goes to the client, and the next transaction may begin.
    pub fn settle(&mut self, reply: &Reply) {
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::Settling(hello) => {
                if reply.is_positive() {
                    (self.commands, self.errors, self.refused_recipients) = (0, 0, 0);
                }
                self.say(reply);
                self.state = if reply.code == 421 { State::Ended(End::Closed) } else { State::Idle(hello) };
            }
            other => self.state = other,
        }
    }

    /// Answers [`Step::StartTls`] when the handshake is done: everything said before is forgotten (RFC 3207 section 4.2).
    pub fn secured(&mut self) {
        self.secured = true;
        self.lines = Lines::new(self.terms.command_line);
        self.state = State::Fresh;
    }

    /// Ends the session from the connection's side, with a 421.
    pub fn close(&mut self, reply: &Reply) {
        self.end(reply, End::Closed);
    }

    /// The client spoke before it was greeted: it hears that instead of the greeting.
    pub fn too_early(&mut self) {
        self.out.clear();
        self.end(&replies::too_early(), End::TooEarly);
    }

    /// Whether the client did not wait for a reply where it has to.
    pub fn was_out_of_step(&self) -> bool {
        self.out_of_step
    }

    /// The sender of the open transaction, before DATA.
    pub fn sender(&self) -> Option<&ReversePath> {
        match &self.state {
            State::Mail(transaction) | State::AskedRecipient(transaction, ..) | State::AskedData(transaction, _) => {
                Some(transaction.sender())
            }
            _ => None,
        }
    }

    /// How the client introduced itself and whom the open transaction is for so far, before DATA.
    pub fn transaction(&self) -> Option<(&Hello, &[Recipient])> {
        match &self.state {
            State::Mail(transaction) | State::AskedRecipient(transaction, ..) | State::AskedData(transaction, _) => {
                Some(transaction.facts())
            }
            _ => None,
        }
    }

    /// No transaction is open: the session can be ended without loss.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Fresh | State::Idle(_))
    }

    /// One command line. `more`: bytes stand behind it.
    fn command(&mut self, line: &[u8], more: bool) -> Option<Step> {
        self.commands += 1;
        if self.commands > self.terms.commands {
            self.end(&replies::too_many_commands(), End::Commands);
            return None;
        }
        let parsed = command::parse(line);
        if more && parsed.as_ref().is_ok_and(|command| command.ends_group() || !self.may_pipeline()) {
            self.out_of_step = true;
            if self.terms.strict_pipelining {
                self.end(&replies::out_of_step(), End::OutOfStep);
                return None;
            }
        }
        match parsed {
            Err(SyntaxError::Chunk) => self.end(&replies::chunk_syntax(), End::ChunkSyntax),
            Err(SyntaxError::Http) => self.end(&replies::not_http(), End::Http),
            Err(error) => self.fail(&replies::syntax(&error)),
            Ok(Command::Ehlo(name)) => self.hello(Hello { name, esmtp: true }),
            Ok(Command::Helo(name)) => self.hello(Hello { name, esmtp: false }),
            Ok(Command::Mail(sender, parameters)) => return self.mail(sender, parameters),
            Ok(Command::Rcpt(path, dsn)) => return self.rcpt(path, dsn),
            Ok(Command::Data) => self.data(),
            Ok(Command::Bdat { octets, last }) => self.bdat(octets, last),
            Ok(Command::Rset) => {
                self.reset();
                self.say(&replies::ok());
            }
            Ok(Command::Noop) => self.say(&replies::ok()),
            Ok(Command::Vrfy) => self.say(&replies::not_verified()),
            Ok(Command::Help) => self.say(&replies::help()),
            Ok(Command::Quit) => self.end(&replies::goodbye(&self.terms.hostname), End::Quit),
            Ok(Command::StartTls) => self.start_tls(more),
        }
        None
    }

    /// Whether commands may come in groups: only after EHLO offered it. What stands behind QUIT, STARTTLS and BDAT is not
    /// read as commands, so it is no matter there.
    fn may_pipeline(&self) -> bool {
        match &self.state {
            State::Idle(hello) => hello.esmtp,
            State::Mail(transaction) => transaction.facts().0.esmtp,
            State::Chunks(_) => true,
            _ => false,
        }
    }

    fn hello(&mut self, hello: Hello) {
        let mut extensions = Vec::new();
        if hello.esmtp {
            extensions.extend(["PIPELINING".to_owned(), format!("SIZE {}", self.terms.data.message_size)]);
            extensions.extend(["8BITMIME", "CHUNKING", "DSN"].map(str::to_owned));
            if self.terms.encryption != Encryption::Off && !self.secured {
                extensions.push("STARTTLS".to_owned());
            }
            extensions.extend(["ENHANCEDSTATUSCODES", "SMTPUTF8", "HELP"].map(str::to_owned));
        }
        self.say(&replies::hello(&self.terms.hostname, &extensions));
        self.state = State::Idle(hello);
    }

    fn start_tls(&mut self, more: bool) {
        match (self.terms.encryption, self.secured) {
            (Encryption::Off, _) => self.fail(&replies::no_tls()),
            (_, true) => self.fail(&replies::already_tls()),
            // Bytes that are here before the handshake were not sent under TLS and must never be read as if they were.
            _ if more => self.end(&replies::injected(), End::Injection),
            _ if matches!(self.state, State::Fresh) => self.fail(&replies::not_now("EHLO")),
            _ => {
                self.say(&replies::start_tls());
                self.state = State::Securing;
            }
        }
    }

    /// Forgets the open transaction.
    fn reset(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Fresh) {
            State::Mail(transaction) => State::Idle(transaction.into_hello()),
            State::Chunks(receiving) => State::Idle(receiving.into_hello()),
            other => other,
        };
    }

    /// The end of the data. Behind a message with a bare CR or LF nothing is taken: somebody may have made it so that one
    /// server sees its end where another does not, and then what comes next is part of it.
    fn end_data(&mut self) -> Step {
        let State::Data(receiving) = std::mem::replace(&mut self.state, State::Fresh) else { return Step::Read };
        let odd_ends = receiving.has_odd_ends();
        let step = self.conclude(receiving);
        if odd_ends {
            self.end(&replies::not_trusted(), End::OddEnds);
        }
        step
    }

    /// A message that has come to its end, or what is wrong with it.
    fn conclude(&mut self, receiving: Box<Receiving>) -> Step {
        match receiving.conclude() {
            Ok(received) => {
                self.state = State::Settling(received.hello.clone());
                Step::Message(Box::new(received))
            }
            Err(refused) => {
                if let Refused::Data { hello, reply, .. } = &*refused {
                    self.state = State::Idle(hello.clone());
                    self.say(reply);
                }
                Step::Refused(*refused)
            }
        }
    }

    fn say(&mut self, reply: &Reply) {
        reply.write_to(&mut self.out);
    }

    /// An error of the client's; the last one allowed hears 421 instead.
    fn fail(&mut self, reply: &Reply) {
        self.errors += 1;
        match self.errors >= self.terms.errors {
            true => self.end(&replies::too_many_errors(), End::Errors),
            false => self.say(reply),
        }
    }

    fn end(&mut self, reply: &Reply, end: End) {
        self.say(reply);
        self.state = State::Ended(end);
    }
}
