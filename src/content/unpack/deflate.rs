//! Readers over decoders that work step by step: what comes out before damage is handed out first, and the end of the packed bytes is told
//! from the end of the stream.

use std::io::{Error, ErrorKind, Read};

use flate2::{Decompress, FlushDecompress, Status};

/// A decoder that takes some bytes and gives some.
pub(super) trait Decoder {
    /// One step: whether the stream is at its end, `Err` where it is damaged.
    fn step(&mut self, packed: &[u8], out: &mut [u8]) -> Result<bool, ()>;

    /// Bytes taken and given so far.
    fn totals(&self) -> (u64, u64);
}

impl Decoder for Decompress {
    fn step(&mut self, packed: &[u8], out: &mut [u8]) -> Result<bool, ()> {
        self.decompress(packed, out, FlushDecompress::None).map(|status| status == Status::StreamEnd).map_err(|_| ())
    }

    fn totals(&self) -> (u64, u64) {
        (self.total_in(), self.total_out())
    }
}

/// What a decoder gives.
pub(super) struct Stream<'a, D> {
    decoder: D,
    packed: &'a [u8],
    ended: Option<Result<(), ()>>,
}

impl<'a> Stream<'a, Decompress> {
    /// Deflate without a header, or with that of zlib.
    pub(super) fn deflate(packed: &'a [u8], zlib: bool) -> Self {
        Self::new(packed, Decompress::new(zlib))
    }
}

impl<'a, D: Decoder> Stream<'a, D> {
    pub(super) fn new(packed: &'a [u8], decoder: D) -> Self {
        Self { decoder, packed, ended: None }
    }

    /// Packed bytes taken so far.
    pub(super) fn used(&self) -> usize {
        usize::try_from(self.decoder.totals().0).unwrap_or(usize::MAX).min(self.packed.len())
    }
}

impl<D: Decoder> Read for Stream<'_, D> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.ended.is_none() && !out.is_empty() {
            let before = self.decoder.totals();
            let result = self.decoder.step(self.packed.get(self.used()..).unwrap_or_default(), out);
            let after = self.decoder.totals();
            let given = usize::try_from(after.1 - before.1).unwrap_or_default();
            self.ended = match result {
                Ok(true) => Some(Ok(())),
                Err(()) => Some(Err(())),
                // Neither taken nor given: the packed bytes end before the stream does.
                Ok(false) if after == before => Some(Err(())),
                Ok(false) => None,
            };
            if given > 0 {
                return Ok(given);
            }
        }
        match self.ended {
            Some(Err(())) => Err(Error::from(ErrorKind::InvalidData)),
            _ => Ok(0),
        }
    }
}
