//! Packed zeros, for tests.

use flate2::{Compress, Compression, FlushCompress};

/// Deflate of `mega` MiB of zeros: one flushed block again and again.
pub(crate) fn zeros(mega: usize) -> Vec<u8> {
    let mut block = Vec::with_capacity(8192);
    let mut packer = Compress::new(Compression::best(), false);
    packer.compress_vec(&vec![0; 1 << 20], &mut block, FlushCompress::Full).unwrap();
    let mut out = block.repeat(mega);
    out.extend([1, 0, 0, 0xff, 0xff]);
    out
}
