//! One mail transaction (RFC 5321 section 3.3) on an open connection: MAIL, RCPT, DATA, and an outcome for each recipient.
//!
//! With PIPELINING (RFC 2920) commands go out in one write, up to 50 at a time, so that neither side's buffers fill while
//! the other waits.

use bytes::Bytes;
use std::fmt::Write;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::{Connection, Kind, Sent, Trouble};
use super::{To, wishes};
use crate::mail::dsn::MessageRequest;
use crate::mail::{Body, HopReply, Outcome, ReversePath};
use crate::smtp::reply_reader::ServerReply;

/// Commands in one write.
const BATCH: usize = 50;
/// A server must take the body at this rate, in bytes per second, beside the time for the envelope.
const SLOWEST: u64 = 128 * 1024;

/// What is sent.
pub(super) struct Transaction<'a> {
    /// `host:port`, for outcomes.
    pub hop: &'a str,
    pub sender: &'a ReversePath,
    pub recipients: Vec<&'a To>,
    pub body: Body,
    pub smtputf8: bool,
    /// RET and ENVID.
    pub dsn: &'a MessageRequest,
    pub data: &'a [Bytes],
    /// Bytes in `data`.
    pub size: u64,
    /// From MAIL to the answer to DATA.
    pub envelope_time: Duration,
    /// From the final dot to its reply.
    pub final_time: Duration,
    /// Never later than this before the final dot.
    pub limit: Option<Instant>,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Report {
    /// One per recipient; `None` where `trouble` left it open, and another hop may be tried. Without trouble: the others were taken, and
    /// this one was too many for one transaction.
    pub outcomes: Vec<Option<Outcome>>,
    /// How many recipients it took, where it did not take all because they were too many.
    pub took: Option<usize>,
    /// The connection failed before the final dot, or MAIL was answered 4xx.
    pub trouble: Option<Trouble>,
    /// It failed before the server answered anything but 421: an idle connection that had ended unnoticed.
    pub stale: bool,
    /// The connection can carry another transaction.
    pub reusable: bool,
}

impl Report {
    pub fn failed(recipients: usize, trouble: Trouble) -> Self {
        Self { outcomes: vec![None; recipients], ..Self::over(Some(trouble)) }
    }

    /// Nothing more is to be done here.
    pub fn over(trouble: Option<Trouble>) -> Self {
        Self { outcomes: Vec::new(), took: None, trouble, stale: false, reusable: false }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    Reset,
    Mail,
    Rcpt(usize),
    Data,
}

/// What the envelope came to.
enum Envelope {
    /// 354, with recipients: the body is awaited.
    Data,
    /// All recipients are settled.
    Over,
    /// MAIL was answered 4xx.
    Elsewhere(Trouble),
}

impl Transaction<'_> {
    /// Runs it. The connection stays in step with the server if `reusable` is true after it.
    pub async fn run(&self, connection: &mut Connection) -> Report {
        let mut talk = Talk {
            tx: self,
            outcomes: vec![None; self.recipients.len()],
            too_many: Vec::new(),
            mail: None,
            data: None,
            heard: false,
            closing: false,
            dsn: connection.capabilities.dsn,
        };
        let deadline = self.capped(Instant::now() + self.envelope_time);
        let envelope = talk.envelope(connection, deadline).await;
        let in_step = envelope.is_ok();
        // A refusal of MAIL stands, even if the connection was lost behind it.
        let envelope = match (talk.mail.take(), envelope) {
            (Some(reply), _) => talk.without_mail(reply),
            (None, Ok(envelope)) => envelope,
            (None, Err(trouble)) => return talk.report(Some(trouble), false),
        };
        match envelope {
            Envelope::Elsewhere(trouble) => {
                let closing = trouble.reply.as_ref().is_some_and(|reply| reply.code == 421);
                talk.heard &= !closing;
                talk.report(Some(trouble), in_step && !closing)
            }
            Envelope::Over => talk.report(None, in_step),
            Envelope::Data => talk.body(connection).await,
        }
    }

    fn capped(&self, deadline: Instant) -> Instant {
        self.limit.map_or(deadline, |limit| deadline.min(limit))
    }

    /// The text of a command. Addresses are written as they are: [`Address`] holds nothing that could end the command.
    fn write(&self, command: Command, capabilities: &super::capabilities::Capabilities, out: &mut String) {
        match command {
            Command::Reset => out.push_str("RSET\r\n"),
            Command::Data => out.push_str("DATA\r\n"),
            Command::Rcpt(n) => {
                if let Some(to) = self.recipients.get(n) {
                    let _infallible = write!(out, "RCPT TO:<{}>", to.address);
                    if capabilities.dsn {
                        wishes::rcpt(&to.dsn, capabilities.smtputf8 && self.smtputf8, out);
                    }
                    out.push_str("\r\n");
                }
            }
            Command::Mail => {
                let _infallible = write!(out, "MAIL FROM:{}", self.sender);
                if capabilities.size.is_some() {
                    let _infallible = write!(out, " SIZE={}", self.size);
                }
                if capabilities.eight_bit_mime && self.body == Body::EightBitMime {
                    out.push_str(" BODY=8BITMIME");
                }
                if capabilities.smtputf8 && self.smtputf8 {
                    out.push_str(" SMTPUTF8");
                }
                if capabilities.dsn {
                    wishes::mail(self.dsn, out);
                }
                out.push_str("\r\n");
            }
        }
    }
}

/// A transaction under way.
struct Talk<'a> {
    tx: &'a Transaction<'a>,
    outcomes: Vec<Option<Outcome>>,
    /// Recipients refused for now because the transaction has enough of them.
    too_many: Vec<usize>,
    /// The answer to MAIL, where it was not 2xx.
    mail: Option<HopReply>,
    /// The answer to DATA.
    data: Option<HopReply>,
    /// The server answered something.
    heard: bool,
    /// It answered 421: whoever is left over was not refused, it only closes.
    closing: bool,
    /// The server offers DSN.
    dsn: bool,
}

impl Talk<'_> {
    async fn envelope(&mut self, connection: &mut Connection, deadline: Instant) -> Result<Envelope, Trouble> {
        let capabilities = connection.capabilities;
        let reset = std::mem::replace(&mut connection.needs_reset, true).then_some(Command::Reset);
        let recipients = (0..self.tx.recipients.len()).map(Command::Rcpt);
        let commands: Vec<Command> = reset.into_iter().chain([Command::Mail]).chain(recipients).chain([Command::Data]).collect();
        let mut text = String::new();
        for batch in commands.chunks(if capabilities.pipelining { BATCH } else { 1 }) {
            if self.mail.is_some() || (batch == [Command::Data] && self.accepted() == 0) {
                break;
            }
            text.clear();
            batch.iter().for_each(|command| self.tx.write(*command, &capabilities, &mut text));
            connection.write(text.as_bytes(), deadline, "the envelope").await?;
            for command in batch {
                self.answer(*command, connection, deadline).await?;
            }
        }
        self.judge(connection, deadline).await
    }

    /// Reads the reply to one command.
    async fn answer(&mut self, command: Command, connection: &mut Connection, deadline: Instant) -> Result<(), Trouble> {
        let what = match command {
            Command::Reset => "RSET",
            Command::Mail => "MAIL",
            Command::Rcpt(_) => "RCPT",
            Command::Data => "DATA",
        };
        let reply = connection.reply(deadline, what).await?;
        self.heard |= reply.code != 421;
        self.closing |= reply.code == 421;
        let expected = match command {
            Command::Data => reply.code == 354 || reply.code >= 400,
            _ => reply.code < 300 || reply.code >= 400,
        };
        if !expected || (command == Command::Reset && !reply.is_success()) {
            return Err(Trouble::said(what, &reply));
        }
        match command {
            Command::Reset => {}
            Command::Mail if reply.is_success() => {}
            Command::Mail => self.mail = Some(reply.to_hop_reply()),
            Command::Rcpt(n) => {
                if let Some(outcome) = self.outcomes.get_mut(n).filter(|_| !reply.is_success()) {
                    let reply = reply.to_hop_reply();
                    if is_too_many(&reply) {
                        self.too_many.push(n);
                    }
                    *outcome = Some(reply_outcome(self.tx.hop, reply));
                }
            }
            Command::Data => self.data = Some(reply.to_hop_reply()),
        }
        Ok(())
    }

    /// Recipients that were not refused.
    fn accepted(&self) -> usize {
        if self.mail.is_some() { 0 } else { self.outcomes.iter().filter(|outcome| outcome.is_none()).count() }
    }

    /// After the last reply: go on with the body, or settle.
    async fn judge(&mut self, connection: &mut Connection, deadline: Instant) -> Result<Envelope, Trouble> {
        let go = self.data.as_ref().is_some_and(|reply| reply.code == 354);
        if go && self.accepted() > 0 {
            if connection.has_unread() {
                return Err(Trouble::new("the server spoke out of turn after DATA"));
            }
            return Ok(Envelope::Data);
        }
        if go {
            // It wants data for nobody: a lone dot ends that (RFC 2920 section 3.1). Whatever it answers, nothing was sent.
            connection.write(b".\r\n", deadline, "the end of no data").await?;
            connection.reply(deadline, "the end of no data").await?;
        }
        if let (None, Some(reply)) = (&self.mail, self.data.take()) {
            self.settle_rest(&reply_outcome(self.tx.hop, reply));
        }
        Ok(Envelope::Over)
    }

    /// MAIL was not accepted: 5xx settles all recipients, after 4xx another hop may take them.
    fn without_mail(&mut self, reply: HopReply) -> Envelope {
        if reply.code >= 500 {
            self.outcomes.fill(Some(Outcome::Refused { hop: self.tx.hop.to_owned(), reply }));
            return Envelope::Over;
        }
        self.outcomes.fill(None);
        Envelope::Elsewhere(Trouble::replied("MAIL", reply))
    }

    /// The body, the final dot, and what the server says to it.
    async fn body(mut self, connection: &mut Connection) -> Report {
        let time = self.tx.envelope_time + Duration::from_secs(self.tx.size / SLOWEST);
        match connection.write_message(self.tx.data, Instant::now() + time).await {
            Sent::Whole => {}
            Sent::CutOff(trouble) => {
                self.reopen();
                return self.report(Some(trouble), false);
            }
            Sent::Doubtful(trouble) => return self.unknown(trouble.why),
        }
        match connection.reply(Instant::now() + self.tx.final_time, "the message").await {
            Err(trouble) => self.unknown(trouble.why),
            Ok(reply) if reply.code / 100 == 3 => self.unknown(Trouble::said("the message", &reply).why),
            Ok(reply) => {
                connection.messages += 1;
                connection.needs_reset = false;
                let took = self.accepted();
                self.settle_rest(&settle(self.tx.hop, &reply));
                let took = self.reopen().then_some(took);
                Report { took, ..self.report(None, reply.code != 421) }
            }
        }
    }

    /// The final dot went out and no reply came back: it may have been delivered.
    fn unknown(mut self, why: String) -> Report {
        self.settle_rest(&Outcome::Unknown { hop: self.tx.hop.to_owned(), why });
        self.report(None, false)
    }

    fn settle_rest(&mut self, outcome: &Outcome) {
        for (open, to) in self.outcomes.iter_mut().zip(&self.tx.recipients).filter(|(open, _)| open.is_none()) {
            let mut outcome = outcome.clone();
            if let Outcome::Delivered { dsn, .. } = &mut outcome {
                *dsn = self.dsn && !(self.tx.dsn.is_empty() && to.dsn.is_empty());
            }
            *open = Some(outcome);
        }
    }

    /// Those that were too many are open again: the next transaction takes them. True if there are some.
    fn reopen(&mut self) -> bool {
        for n in &self.too_many {
            if let Some(outcome) = self.outcomes.get_mut(*n) {
                *outcome = None;
            }
        }
        !self.too_many.is_empty()
    }

    fn report(self, mut trouble: Option<Trouble>, reusable: bool) -> Report {
        if let Some(trouble) = trouble.as_mut().filter(|_| self.closing) {
            trouble.kind = Kind::Busy;
        }
        let stale = trouble.is_some() && !self.heard;
        Report { outcomes: self.outcomes, took: None, trouble, stale, reusable }
    }
}

/// What a reply means for a recipient.
fn settle(hop: &str, reply: &ServerReply) -> Outcome {
    reply_outcome(hop, reply.to_hop_reply())
}

fn reply_outcome(hop: &str, reply: HopReply) -> Outcome {
    let hop = hop.to_owned();
    match reply.code {
        ..300 => Outcome::Delivered { hop, reply, dsn: false },
        300..500 => {
            let busy = reply.is_push_back();
            Outcome::Deferred { hop: Some(hop), why: format!("the server said {reply}"), reply: Some(reply), busy }
        }
        500.. => Outcome::Refused { hop, reply },
    }
}

/// Whether the answer to RCPT means that the transaction has enough recipients (RFC 5321 section 4.5.3.1.10): 452, and 552 from old servers.
fn is_too_many(reply: &HopReply) -> bool {
    match (reply.code, reply.enhanced.as_deref()) {
        (450..=452, Some("4.5.3")) | (452, None) | (552, Some("5.5.3")) => true,
        (552, None) => reply.text.to_ascii_lowercase().contains("recipients"),
        _ => false,
    }
}
