//! A message that is coming in, and the memory it takes.

use bytes::BytesMut;

use crate::mail::{Envelope, MessageId};
use crate::smtp::decoder::{DataFault, Decoder};
use crate::smtp::replies;

use super::envelope::Transaction;
use super::{Hello, Received, Refused};

/// What is reserved for any message that says it is at least as long, in octets.
const BELIEVED_AT_FIRST: u64 = 64 * 1024;
/// Beyond that, so many times what has come already is believed to come still.
const BELIEVED: u64 = 8;

#[derive(Debug)]
pub(super) struct Receiving {
    id: MessageId,
    hello: Hello,
    envelope: Envelope,
    decoder: Decoder,
    raw: BytesMut,
    /// How long the client said that the message will be, in octets.
    declared: u64,
}

impl Receiving {
    pub(super) fn new(id: MessageId, transaction: Transaction, decoder: Decoder) -> Self {
        let (hello, envelope, declared) = transaction.into_parts();
        Self { id, hello, envelope, decoder, raw: BytesMut::new(), declared }
    }

    /// Reads on; gives how many octets were the message's when its end was found.
    pub(super) fn take(&mut self, input: &[u8]) -> Option<usize> {
        if self.decoder.fault().is_none() {
            self.make_room(input.len());
        }
        self.decoder.decode(input, &mut self.raw)
    }

    /// Another so many octets are announced; they may be too many.
    pub(super) fn expect(&mut self, octets: u64, limit: u64) {
        let whole = octets.saturating_add(self.raw.len() as u64);
        self.declared = self.declared.max(whole);
        if whole > limit {
            self.give_up(DataFault::TooBig { limit });
        }
    }

    /// The last chunk has come.
    pub(super) fn finish(&mut self) {
        self.decoder.finish(&mut self.raw);
    }

    /// What makes it unacceptable, if anything does.
    pub(super) fn fault(&self) -> Option<DataFault> {
        self.decoder.fault()
    }

    /// Octets kept; `None` after a fault.
    pub(super) fn kept(&self) -> Option<usize> {
        self.decoder.fault().is_none().then_some(self.raw.len())
    }

    pub(super) fn has_odd_ends(&self) -> bool {
        self.decoder.has_odd_ends()
    }

    pub(super) fn give_up(&mut self, fault: DataFault) {
        self.decoder.give_up(fault, &mut self.raw);
    }

    pub(super) fn into_hello(self) -> Hello {
        self.hello
    }

    /// The whole message, or why it is refused.
    pub(super) fn conclude(self) -> Result<Received, Box<Refused>> {
        let Self { id, hello, envelope, decoder, raw, .. } = self;
        match decoder.fault() {
            None => Ok(Received { id, hello, envelope, raw: raw.freeze(), normalised: decoder.normalised() }),
            Some(fault) => Err(Box::new(Refused::Data { id, hello, envelope, fault, reply: replies::data(fault, id) })),
        }
    }

    /// Room for `more` octets. A buffer that grows by doubling is copied again and again, and leaves its old places
    /// behind; what the client declared spares that. It is believed only in proportion to what it has sent: who declares
    /// much and sends little reserves little.
    fn make_room(&mut self, more: usize) {
        let kept = self.raw.len();
        if self.raw.capacity() - kept >= more {
            return;
        }
        let believed = self.declared.min(BELIEVED_AT_FIRST.max((kept + more) as u64 * BELIEVED));
        let believed = usize::try_from(believed).unwrap_or(0);
        self.raw.reserve(more.max(believed.saturating_sub(kept)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::decoder::{DataLimits, LineEndings};

    fn of_size(declared: u64) -> Receiving {
        let envelope =
            Envelope { sender: Default::default(), recipients: vec![], body: Default::default(), smtputf8: false, dsn: Default::default() };
        let limits = DataLimits { message_size: 50_000_000, line_length: 1000 };
        let hello = Hello { name: "c".into(), esmtp: true };
        let decoder = Decoder::new(limits, LineEndings::Refuse);
        Receiving { id: MessageId::from_u64(0), hello, envelope, decoder, raw: BytesMut::new(), declared }
    }

    #[test]
    fn a_declared_size_is_believed_as_far_as_it_comes_true() {
        let declared: usize = 25 * 1024 * 1024;
        let piece = b"0123456789abcd\r\n".repeat(4096); // one read
        let mut receiving = of_size(declared as u64);
        let mut moved = 0;
        while receiving.raw.len() < declared {
            let before = receiving.raw.capacity();
            receiving.take(&piece);
            moved += usize::from(receiving.raw.capacity() != before);
            let bound = (receiving.raw.len() * BELIEVED as usize).max(BELIEVED_AT_FIRST as usize);
            assert!(receiving.raw.capacity() <= bound, "{} for {}", receiving.raw.capacity(), receiving.raw.len());
        }
        assert!(moved <= 4, "it moved {moved} times");
        assert!(receiving.raw.capacity() < declared + declared / 10, "and is not twice as large in the end");

        let mut liar = of_size(50_000_000);
        liar.take(b"x");
        assert!(liar.raw.capacity() <= BELIEVED_AT_FIRST as usize);
    }
}
