//! The session: which command is allowed when, and what it is answered.
//!
//! A pure state machine. Bytes go in through [`Session::step`]; replies collect in an output buffer, so that the answers
//! to a pipelined batch go out in one write; and what only others can do or decide comes out as a [`Step`]:
//!
//! ```text
//!  Fresh ─EHLO─► Idle ─MAIL─► Mail ─DATA─► Data ─end─► Step::Message ─► settle(reply) ─► Idle
//!    ▲             │            └─RCPT─► Step::Recipient ─► recipient(answer) ─► Mail
//!    └── secured ──┴─STARTTLS─► Step::StartTls
//! ```

mod envelope;
mod step;
#[cfg(test)]
mod tests;

pub use step::{Encryption, End, Hello, Received, Refused, Step, Terms};

use std::sync::Arc;

use bytes::{Buf, BytesMut};

use crate::mail::{Envelope, MessageId, Recipient, ReversePath};

use super::command::{self, Command, SyntaxError};
use super::decoder::{DataFault, Decoder};
use super::lines::Lines;
use super::path::ForwardPath;
use super::replies;
use super::reply::Reply;

use envelope::Transaction;

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
    AskedRecipient(Box<Transaction>, ForwardPath),
    /// DATA waits for an answer.
    AskedData(Box<Transaction>),
    /// The message is coming in.
    Data(Box<Receiving>),
    /// The message was handed over; its reply is awaited.
    Settling(Hello),
    /// STARTTLS was answered; TLS is awaited.
    Securing,
    /// It is over.
    Ended(End),
}

#[derive(Debug)]
struct Receiving {
    id: MessageId,
    hello: Hello,
    envelope: Envelope,
    decoder: Decoder,
    raw: BytesMut,
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
        };
        session.say(&replies::greeting(&session.terms.hostname));
        session
    }

    /// Goes on with what is in `input`, until something has to be done or decided elsewhere.
    pub fn step(&mut self, input: &mut BytesMut) -> Step {
        loop {
            match &mut self.state {
                State::AskedRecipient(_, path) => return Step::Recipient(path.clone()),
                State::AskedData(_) => return Step::Data,
                State::Settling(_) => return Step::Read,
                State::Securing => return Step::StartTls,
                State::Ended(end) => return Step::Close(*end),
                State::Data(receiving) => {
                    let ended = receiving.decoder.decode(input, &mut receiving.raw);
                    let Some(taken) = ended else {
                        input.clear();
                        return Step::Read;
                    };
                    input.advance(taken);
                    return self.end_data();
                }
                State::Fresh | State::Idle(_) | State::Mail(_) => match self.lines.next(input) {
                    None => return Step::Read,
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
            State::AskedRecipient(mut transaction, _) => {
                let reply = transaction.add(answer);
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

    /// Answers [`Step::Data`] with 354; the bytes of the message come next.
    pub fn begin_data(&mut self, id: MessageId) {
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::AskedData(transaction) => {
                let (hello, envelope) = transaction.into_parts();
                let decoder = Decoder::new(self.terms.data, self.terms.line_endings);
                self.messages += 1;
                self.state = State::Data(Box::new(Receiving { id, hello, envelope, decoder, raw: BytesMut::new() }));
                self.say(&replies::send_data());
            }
            other => self.state = other,
        }
    }

    /// Answers [`Step::Data`] with a refusal; the transaction stays open.
    pub fn refuse_data(&mut self, reply: &Reply) {
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::AskedData(transaction) => {
                self.state = State::Mail(transaction);
                self.say(reply);
            }
            other => self.state = other,
        }
    }

    /// Octets of the message that is coming in, as far as it is kept; `None` outside DATA and after a fault.
    pub fn receiving(&self) -> Option<usize> {
        match &self.state {
            State::Data(receiving) if receiving.decoder.fault().is_none() => Some(receiving.raw.len()),
            _ => None,
        }
    }

    /// Whether the bytes that come next are a message's.
    pub fn is_in_data(&self) -> bool {
        matches!(self.state, State::Data(_))
    }

    /// There is no memory for the message that is coming in: it is read to its end and then hears 452.
    pub fn out_of_memory(&mut self) {
        if let State::Data(receiving) = &mut self.state {
            receiving.decoder.give_up(DataFault::NoMemory, &mut receiving.raw);
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

    /// The sender of the open transaction, before DATA.
    pub fn sender(&self) -> Option<&ReversePath> {
        match &self.state {
            State::Mail(transaction) | State::AskedRecipient(transaction, _) | State::AskedData(transaction) => Some(transaction.sender()),
            _ => None,
        }
    }

    /// How the client introduced itself and whom the open transaction is for so far, before DATA.
    pub fn transaction(&self) -> Option<(&Hello, &[Recipient])> {
        match &self.state {
            State::Mail(transaction) | State::AskedRecipient(transaction, _) | State::AskedData(transaction) => Some(transaction.facts()),
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
        match command::parse(line) {
            Err(SyntaxError::Http) => self.end(&replies::not_http(), End::Http),
            Err(error) => self.fail(&replies::syntax(&error)),
            Ok(Command::Ehlo(name)) => self.hello(Hello { name, esmtp: true }),
            Ok(Command::Helo(name)) => self.hello(Hello { name, esmtp: false }),
            Ok(Command::Mail(sender, parameters)) => return self.mail(sender, parameters),
            Ok(Command::Rcpt(path)) => return self.rcpt(path),
            Ok(Command::Data) => self.data(),
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

    fn hello(&mut self, hello: Hello) {
        let mut extensions = Vec::new();
        if hello.esmtp {
            extensions.extend(["PIPELINING".to_owned(), format!("SIZE {}", self.terms.data.message_size), "8BITMIME".to_owned()]);
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
            other => other,
        };
    }

    /// The end of the data: a message, or what was wrong with it.
    fn end_data(&mut self) -> Step {
        let State::Data(receiving) = std::mem::replace(&mut self.state, State::Fresh) else { return Step::Read };
        let Receiving { id, hello, envelope, decoder, raw } = *receiving;
        match decoder.fault() {
            None => {
                self.state = State::Settling(hello.clone());
                Step::Message(Box::new(Received { id, hello, envelope, raw: raw.freeze(), normalised: decoder.normalised() }))
            }
            Some(fault) => {
                self.state = State::Idle(hello.clone());
                let reply = replies::data(fault, id);
                self.say(&reply);
                Step::Refused(Refused::Data { id, hello, envelope, fault, reply })
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
