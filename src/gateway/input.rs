//! Reading from a connection so that one which says nothing costs nothing.
//!
//! Between messages a read goes into a buffer on the stack, and what came is copied: a session that waits for its client
//! then holds no buffer at all. Inside a message a read goes straight into the large buffer.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use super::tls::Wire;

/// Room for one read of commands.
const COMMAND_READ: usize = 4 * 1024;
/// Room for one read inside a message: small for one that is small so far, since hundreds may come in at once.
const DATA_READ: std::ops::RangeInclusive<usize> = 8 * 1024..=64 * 1024;

/// Commands: appends what there is to `input`; gives how many bytes came, 0 at the end of the stream.
pub(super) async fn commands(wire: &mut Wire, input: &mut BytesMut) -> io::Result<usize> {
    if input.is_empty() {
        *input = BytesMut::new();
    }
    poll_fn(|cx| poll_read(wire, cx, |bytes| input.extend_from_slice(bytes))).await
}

/// The same for the bytes of a message of which `kept` have come.
pub(super) async fn data(wire: &mut Wire, input: &mut BytesMut, kept: usize) -> io::Result<usize> {
    input.reserve(kept.clamp(*DATA_READ.start(), *DATA_READ.end()));
    wire.read_buf(input).await
}

/// Reads and throws away.
pub(super) async fn discard(wire: &mut Wire) -> io::Result<usize> {
    poll_fn(|cx| poll_read(wire, cx, |_| ())).await
}

fn poll_read(wire: &mut Wire, cx: &mut Context<'_>, take: impl FnOnce(&[u8])) -> Poll<io::Result<usize>> {
    let mut room = [MaybeUninit::uninit(); COMMAND_READ];
    let mut read = ReadBuf::uninit(&mut room);
    ready!(Pin::new(wire).poll_read(cx, &mut read))?;
    take(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}
