//! What the decomposition of one message may cost, and the budget that keeps to it.

use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::mail::units::{Period, Size};

/// Bytes decoded from a reader at a time.
const STEP: usize = 64 * 1024;
/// Decoded bytes of a message that may come out in any ratio, in units of `ratio_from`.
const FREE: usize = 4;

/// Limits for the decomposition of one message (`[content]`). What a limit leaves unread is reported as *could not tell (limit)*.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Containers inside each other: multiparts, messages, archives. Default 50.
    pub depth: u16,
    /// Parts in all, archive members and further readings included. Default 5000.
    pub parts: usize,
    /// Header fields of one message or part. Default 2000.
    pub header_fields: usize,
    /// Bytes of the header block of one message or part that are read as fields. Default 1MB.
    pub header_bytes: Size,
    /// Bytes that all decoding and unpacking together may produce; no more in any case than `[limits] memory` has room for. Default 256MB.
    pub decoded_bytes: Size,
    /// How many times bigger than its packed form a compressed stream may become, once it is above `ratio_from`. Default 250.
    pub ratio: u64,
    /// Unpacked size from which `ratio` counts: small things of one repeated byte are no bomb. It does not count either while all that
    /// was decoded together is below four times this: deflate packs an ordinary log up to 1032 times smaller. Default 16MiB.
    pub ratio_from: Size,
    /// Bytes that all readings together may look at: bounds the time of a message built to be read over and over. Default 4GB.
    pub effort: Size,
    /// Time for one message from its arrival on, bombs included; what is not done by then is left. Ordinary mail takes milliseconds. Half
    /// of it may go by in waiting for memory. Default 5s.
    pub time: Period,
    /// Text kept of one part, for the rules. Default 1MB.
    pub text_bytes: Size,
    /// Link targets kept of one message. Default 1000.
    pub urls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 50,
            parts: 5_000,
            header_fields: 2_000,
            header_bytes: Size(1_000_000),
            decoded_bytes: Size(256_000_000),
            ratio: 250,
            ratio_from: Size(16 << 20),
            effort: Size(4_000_000_000),
            time: Period(std::time::Duration::from_secs(5)),
            text_bytes: Size(1_000_000),
            urls: 1_000,
        }
    }
}

/// Whoever runs a decomposition: says when its time is over, and has the memory for what it unpacks. Asked at least once for each 64 KiB
/// that are decoded.
pub trait Supervisor: Send + Sync {
    /// Whether to go on. What has been found until then is kept, and the rest is *could not tell (limit)*.
    fn may_go_on(&self) -> bool;

    /// Whether decoded content may grow by `bytes`, which are kept until the message is dropped. May block for a while.
    fn grant(&self, bytes: usize) -> bool;
}

/// Nobody else has to be thought of: no time limit, and memory by the limits alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Supervisor for Alone {
    fn may_go_on(&self) -> bool {
        true
    }

    fn grant(&self, _bytes: usize) -> bool {
        true
    }
}

/// How reading a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// At its own end.
    Whole,
    /// With an error: what came before it is there.
    Broken,
    /// At the limit of decoded bytes.
    Bytes,
    /// At the limit of the ratio.
    Ratio,
    /// Because the time for the message was over.
    Time,
}

/// What is left of the limits while a message is decomposed.
pub(crate) struct Budget {
    supervisor: Arc<dyn Supervisor>,
    decoded: usize,
    /// Decoded bytes that may still come out in any ratio.
    free: usize,
    effort: usize,
    ratio: u64,
    ratio_from: u64,
}

impl Budget {
    #[cfg(test)]
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::supervised(limits, Arc::new(Alone))
    }

    pub(crate) fn supervised(limits: &Limits, supervisor: Arc<dyn Supervisor>) -> Self {
        Self {
            supervisor,
            decoded: limits.decoded_bytes.bytes(),
            free: limits.ratio_from.bytes().saturating_mul(FREE),
            effort: limits.effort.bytes(),
            ratio: limits.ratio.max(1),
            ratio_from: limits.ratio_from.0,
        }
    }

    /// Takes `n` decoded bytes; false where they are no longer there, and then none is left.
    pub(crate) fn decode(&mut self, n: usize) -> bool {
        let enough = n <= self.decoded && self.supervisor.grant(n);
        self.decoded = if enough { self.decoded - n } else { 0 };
        self.free = self.free.saturating_sub(n);
        enough
    }

    /// Takes the effort of looking at `n` bytes; false where none is left.
    pub(crate) fn look(&mut self, n: usize) -> bool {
        let enough = n <= self.effort;
        self.effort = self.effort.saturating_sub(n);
        enough && self.supervisor.may_go_on()
    }

    /// Whether the time for the message is over.
    pub(crate) fn is_late(&self) -> bool {
        !self.supervisor.may_go_on()
    }

    /// Reads `stream` to its end within the budget. `packed` is the number of bytes it is unpacked from; memory grows with what
    /// really comes out, never with a declared size.
    pub(crate) fn read(&mut self, mut stream: impl Read, packed: usize) -> (Bytes, Ended) {
        let most = self.ratio_from.max((packed as u64).saturating_mul(self.ratio));
        let kept = usize::try_from(most).unwrap_or(usize::MAX);
        let most = kept.max(self.free);
        let mut out = Vec::new();
        let ended = loop {
            let room = self.decoded.min(most.saturating_sub(out.len()));
            let had = out.len();
            if !self.supervisor.may_go_on() {
                break Ended::Time;
            }
            // One byte more than there is room for tells an end from a limit.
            match stream.by_ref().take(STEP.min(room.saturating_add(1)) as u64).read_to_end(&mut out) {
                Ok(0) => break Ended::Whole,
                Ok(n) if n > room => {
                    out.truncate(had + room);
                    self.decoded -= room;
                    break if self.decoded == 0 { Ended::Bytes } else { Ended::Ratio };
                }
                Ok(n) if !self.supervisor.grant(n) => {
                    out.truncate(had);
                    self.decoded = 0;
                    break Ended::Bytes;
                }
                Ok(n) => self.decoded -= n,
                Err(_) => {
                    out.truncate(had + room.min(out.len() - had));
                    self.decoded -= out.len() - had;
                    break Ended::Broken;
                }
            }
        };
        self.free = self.free.saturating_sub(out.len());
        if ended == Ended::Ratio {
            // A bomb is known only now; no more of it is held than if it had been known before.
            out.truncate(kept);
            out.shrink_to_fit();
        }
        (Bytes::from(out), ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(decoded: u64, ratio: u64, ratio_from: u64) -> Budget {
        Budget::new(&Limits { decoded_bytes: Size(decoded), ratio, ratio_from: Size(ratio_from), ..Limits::default() })
    }

    #[test]
    fn streams_end_at_their_end_or_at_a_limit() {
        let rows = [
            (100, 100, 10, 50, 50, 50, Ended::Whole),
            (100, 100, 10, 100, 100, 100, Ended::Whole),
            (100, 100, 10, 101, 100, 100, Ended::Bytes),
            (1000, 4, 10, 40, 40, 40, Ended::Whole),
            (1000, 4, 10, 41, 40, 40, Ended::Ratio),
            (1000, 2, 10, 40, 40, 40, Ended::Whole),
            (1000, 2, 10, 41, 40, 20, Ended::Ratio),
            (1_000_000, 2, 500_000, 400_000, 400_000, 400_000, Ended::Whole),
        ];
        for (decoded, ratio, from, size, taken, want, ended) in rows {
            let mut budget = budget(decoded, ratio, from);
            let (bytes, how) = budget.read(std::io::repeat(b'x').take(size), 10);
            assert_eq!((bytes.len(), how), (want, ended), "{decoded} {ratio} {from} {size}");
            assert_eq!(budget.decoded as u64, decoded - taken);
        }
    }

    #[test]
    fn any_ratio_is_free_for_a_while_only() {
        let mut budget = budget(1000, 2, 10);
        let mut read = |size| budget.read(std::io::repeat(b'x').take(size), 10).1;
        assert_eq!([read(30), read(30), read(20)], [Ended::Whole, Ended::Ratio, Ended::Whole]);
    }
}
