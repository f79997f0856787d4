//! BDAT: a message in chunks that are counted, not searched for an end (RFC 3030).
//!
//! The octets of a chunk are read as what they are whatever becomes of the command: taken, or swallowed before it is
//! answered. After a refused chunk the transaction is over, so that no later chunk can pass for a whole message.

use bytes::{Buf, BytesMut};

use crate::smtp::replies;
use crate::smtp::reply::Reply;

use super::receiving::Receiving;
use super::{End, Session, State, Step};

/// A chunk of more than so many times the largest message is not read to its end before it is refused.
const SWALLOWED: u64 = 4;

/// A chunk that is coming in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk {
    octets: u64,
    /// Of these, still to come.
    left: u64,
    last: bool,
}

impl Chunk {
    /// How many of the `have` octets at hand are the chunk's; they count as taken.
    fn take(&mut self, have: usize) -> usize {
        let taken = usize::try_from(self.left).map_or(have, |left| left.min(have));
        self.left = self.left.saturating_sub(taken as u64);
        taken
    }
}

/// A chunk that is thrown away, and what comes after it.
#[derive(Debug)]
pub(super) struct Swallowing {
    chunk: Chunk,
    reply: Reply,
    then: State,
}

impl Session {
    /// BDAT. Its errors do not count as the client's: chunks that were sent before it heard of the first refusal are honest.
    pub(super) fn bdat(&mut self, octets: u64, last: bool) {
        if octets > self.terms.data.message_size.saturating_mul(SWALLOWED) {
            // Nobody listens to that much in order to say no.
            return self.end(&replies::too_big(self.terms.data.message_size), End::ChunkSyntax);
        }
        let chunk = Chunk { octets, left: octets, last };
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::Mail(transaction) => match transaction.without_recipients() {
                Some(reply) => self.swallow(chunk, reply, State::Idle(transaction.into_hello())),
                None => self.state = State::AskedData(transaction, Some(chunk)),
            },
            State::Chunks(receiving) => {
                if octets > 0 {
                    self.commands = self.commands.saturating_sub(1); // the size of a message bounds these
                }
                self.begin_chunk(receiving, chunk);
            }
            other => self.swallow(chunk, replies::not_now("MAIL"), other),
        }
    }

    /// The octets of a chunk come next.
    pub(super) fn begin_chunk(&mut self, mut receiving: Box<Receiving>, chunk: Chunk) {
        receiving.expect(chunk.octets, self.terms.data.message_size);
        self.state = State::Chunk(receiving, chunk);
    }

    /// They do, are thrown away, and then hear `reply`.
    pub(super) fn swallow(&mut self, chunk: Chunk, reply: Reply, then: State) {
        self.state = State::Swallowing(Box::new(Swallowing { chunk, reply, then }));
    }

    /// Reads on in a chunk; `None` when it has ended and the session goes on.
    pub(super) fn chunk(&mut self, input: &mut BytesMut) -> Option<Step> {
        let left = match &mut self.state {
            State::Chunk(receiving, chunk) => {
                let taken = chunk.take(input.len());
                let _chunks_have_no_end_of_their_own = receiving.take(input.get(..taken).unwrap_or_default());
                input.advance(taken);
                chunk.left
            }
            State::Swallowing(swallowing) => {
                input.advance(swallowing.chunk.take(input.len()));
                swallowing.chunk.left
            }
            _ => return None,
        };
        if left > 0 {
            return Some(Step::Read);
        }
        match std::mem::replace(&mut self.state, State::Fresh) {
            State::Chunk(receiving, chunk) => self.end_chunk(receiving, chunk),
            State::Swallowing(swallowing) => {
                self.state = swallowing.then;
                self.say(&swallowing.reply);
                None
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    fn end_chunk(&mut self, mut receiving: Box<Receiving>, chunk: Chunk) -> Option<Step> {
        if chunk.last {
            receiving.finish();
        }
        if chunk.last || receiving.fault().is_some() {
            return Some(self.conclude(receiving));
        }
        self.say(&replies::chunk_taken(chunk.octets));
        self.state = State::Chunks(receiving);
        None
    }
}
