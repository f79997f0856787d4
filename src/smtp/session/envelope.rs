//! MAIL, RCPT, DATA: the envelope of one transaction (RFC 5321 section 3.3).

use std::collections::HashSet;

use crate::mail::dsn::RecipientRequest;
use crate::mail::{Address, Envelope, Recipient, ReversePath};
use crate::smtp::parameters::MailParameters;
use crate::smtp::path::ForwardPath;
use crate::smtp::replies;
use crate::smtp::reply::Reply;

use super::{Encryption, End, Hello, Refused, Session, State, Step};

/// What is known between MAIL and DATA.
#[derive(Debug)]
pub(super) struct Transaction {
    hello: Hello,
    sender: ReversePath,
    parameters: MailParameters,
    recipients: Vec<Recipient>,
    /// Keys of the recipients: the same one again is answered 250 and kept once.
    keys: HashSet<String>,
    /// Some recipient was refused: DATA without any says "no valid recipients" rather than "send RCPT first".
    refused_any: bool,
}

impl Transaction {
    fn new(hello: Hello, sender: ReversePath, parameters: MailParameters) -> Self {
        Self { hello, sender, parameters, recipients: Vec::new(), keys: HashSet::new(), refused_any: false }
    }

    /// How the client introduced itself, and the recipients so far.
    pub(super) fn facts(&self) -> (&Hello, &[Recipient]) {
        (&self.hello, &self.recipients)
    }

    /// Takes the answer about a recipient, and what RCPT asked for it; gives the reply to the client.
    pub(super) fn add(&mut self, answer: Result<Recipient, Reply>, dsn: RecipientRequest) -> Reply {
        match answer {
            Ok(recipient) => {
                let recipient = Recipient { dsn, ..recipient };
                if self.keys.insert(recipient.address.key()) {
                    self.recipients.push(recipient);
                }
                replies::recipient_ok()
            }
            Err(reply) => {
                self.refused_any = true;
                reply
            }
        }
    }

    /// Why no message can be sent: there is nobody to send it to.
    pub(super) fn without_recipients(&self) -> Option<Reply> {
        let reply = if self.refused_any { replies::no_valid_recipients() } else { replies::not_now("RCPT") };
        self.recipients.is_empty().then_some(reply)
    }

    /// Who sent it, the envelope, and the SIZE that was declared, in octets.
    pub(super) fn into_parts(self) -> (Hello, Envelope, u64) {
        let Self { hello, sender, recipients, parameters, .. } = self;
        let MailParameters { size, body, smtputf8, dsn } = parameters;
        (hello, Envelope { sender, recipients, body, smtputf8, dsn }, size.unwrap_or(0))
    }

    pub(super) fn sender(&self) -> &ReversePath {
        &self.sender
    }

    pub(super) fn into_hello(self) -> Hello {
        self.hello
    }
}

impl Session {
    pub(super) fn mail(&mut self, sender: ReversePath, parameters: MailParameters) -> Option<Step> {
        let hello = match &self.state {
            State::Idle(hello) => hello.clone(),
            State::Fresh => {
                self.fail(&replies::not_now("EHLO or HELO"));
                return None;
            }
            State::Chunks(_) => {
                self.fail(&replies::between_chunks());
                return None;
            }
            _ => {
                self.fail(&replies::nested_mail());
                return None;
            }
        };
        let MailParameters { size, smtputf8, .. } = parameters;
        let limit = self.terms.data.message_size;
        if self.terms.encryption == Encryption::Required && !self.secured {
            self.fail(&replies::tls_first());
        } else if let Some(size) = size.filter(|size| *size > limit) {
            self.say(&replies::too_big(limit));
            return Some(Step::Refused(Refused::Size { sender, size }));
        } else if !smtputf8 && !sender.as_str().is_ascii() {
            self.say(&replies::needs_smtputf8());
        } else if self.messages >= self.terms.messages {
            self.end(&replies::too_many_messages(self.terms.messages), End::Messages);
        } else {
            self.state = State::Mail(Box::new(Transaction::new(hello, sender, parameters)));
            self.say(&replies::sender_ok());
        }
        None
    }

    pub(super) fn rcpt(&mut self, path: ForwardPath, dsn: RecipientRequest) -> Option<Step> {
        let State::Mail(transaction) = &mut self.state else {
            self.fail(&self.before_mail());
            return None;
        };
        let is_ascii = path.address().is_none_or(Address::is_ascii) && dsn.orcpt.as_deref().is_none_or(str::is_ascii);
        if !transaction.parameters.smtputf8 && !is_ascii {
            transaction.refused_any = true;
            self.say(&replies::needs_smtputf8());
            return None;
        }
        if transaction.recipients.len() >= self.terms.recipients {
            transaction.refused_any = true;
            self.say(&replies::too_many_recipients(self.terms.recipients));
            return Some(Step::Refused(Refused::Recipient));
        }
        if let State::Mail(transaction) = std::mem::replace(&mut self.state, State::Fresh) {
            self.state = State::AskedRecipient(transaction, path, dsn);
        }
        None
    }

    pub(super) fn data(&mut self) {
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::Mail(transaction) => match transaction.without_recipients() {
                Some(reply) => {
                    self.state = State::Mail(transaction);
                    self.fail(&reply);
                }
                None => self.state = State::AskedData(transaction, None),
            },
            other => {
                self.state = other;
                self.fail(&self.before_mail());
            }
        }
    }

    /// What a command hears that needs an open transaction.
    fn before_mail(&self) -> Reply {
        if matches!(self.state, State::Chunks(_)) { replies::between_chunks() } else { replies::not_now("MAIL") }
    }
}
