//! The connection to clamd: a unix or TCP stream from which clamd's last words can still be read after it has hung up.
//!
//! When a stream is too long, clamd writes why, closes, and our next write fails. clamav-client returns that write error and
//! the reply is lost. So a write to a closed peer counts as done here, is noted, and the reply is read.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use clamav_client::tokio::TransportProtocol;
use tokio::io::{AsyncRead, AsyncWrite, BufWriter, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::either::Either;

use super::reply::MAX_REPLY;

/// Where clamd listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// A unix socket.
    Unix(PathBuf),
    /// A host name or address, and a port.
    Tcp(String, u16),
}

/// How to reach clamd for one command, and whether it hung up before it had everything.
pub struct Dial<'a> {
    pub address: &'a Address,
    pub timeout: Duration,
    pub hung_up: Arc<AtomicBool>,
}

impl TransportProtocol for Dial<'_> {
    /// Small writes (command, chunk lengths, the end mark) are gathered; chunks beyond the buffer go out as they are.
    type Stream = BufWriter<Line>;

    async fn connect(&self) -> io::Result<Self::Stream> {
        let connected = tokio::time::timeout(self.timeout, self.address.open()).await;
        let stream = connected.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time"))??;
        Ok(BufWriter::new(Line { stream, hung_up: self.hung_up.clone(), room: MAX_REPLY, heard: false }))
    }
}

impl Address {
    async fn open(&self) -> io::Result<Either<UnixStream, TcpStream>> {
        match self {
            Self::Unix(path) => UnixStream::connect(path).await.map(Either::Left),
            Self::Tcp(host, port) => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Either::Right(stream))
            }
        }
    }
}

/// One connection. Reads at most [`MAX_REPLY`] bytes, then says end of file.
pub struct Line {
    stream: Either<UnixStream, TcpStream>,
    hung_up: Arc<AtomicBool>,
    room: usize,
    heard: bool,
}

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted)
}

impl Line {
    /// A failed write to a peer that is gone counts as done, and is noted.
    fn forgive<T>(&self, result: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
        match result {
            Poll::Ready(Err(error)) if is_hang_up(&error) => {
                self.hung_up.store(true, Ordering::Relaxed);
                Poll::Ready(Ok(done))
            }
            other => other,
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.hung_up.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.forgive(result, bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.forgive(result, ())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.forgive(result, ())
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.room == 0 {
            return Poll::Ready(Ok(()));
        }
        let room = self.room.min(out.remaining());
        let mut part = ReadBuf::new(out.initialize_unfilled_to(room));
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let read = part.filled().len();
        match result {
            // What came before the reset is the reply; nothing before it is an error.
            Poll::Ready(Err(error)) if self.heard && is_hang_up(&error) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(())) => {
                out.advance(read);
                self.room -= read;
                self.heard |= read > 0;
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}
