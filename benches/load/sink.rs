//! Where all contestants deliver to: takes everything, counts it, keeps nothing. Costs little, so that it does not hold them up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

const END: &[u8] = b"\r\n.\r\n";

/// The running sink; it runs as long as the process.
pub struct Sink {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    messages: AtomicUsize,
    news: Notify,
}

impl Sink {
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A contestant that is stopped breaks its connections: no concern of ours.
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        Ok(Self { address, shared })
    }

    /// Messages that have arrived since the start.
    pub fn count(&self) -> usize {
        self.shared.messages.load(Ordering::Acquire)
    }

    /// Returns true once `count` messages have arrived in all, false when they do not in `patience`.
    pub async fn wait_for(&self, count: usize, patience: Duration) -> bool {
        let arrival = async {
            loop {
                let news = self.shared.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if self.count() >= count {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(patience, arrival).await.is_ok()
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.write_all(b"220 sink ESMTP\r\n").await?;
    let finder = memchr::memmem::Finder::new(END);
    let mut input = vec![0; 64 << 10];
    let mut filled = 0;
    let mut out = Vec::new();
    let mut in_data = false;
    loop {
        let mut start = 0;
        loop {
            let rest = &input[start..filled];
            if in_data {
                let Some(at) = finder.find(rest) else {
                    // The end may lie across two reads.
                    start = filled - rest.len().min(END.len() - 1);
                    break;
                };
                start += at + END.len();
                in_data = false;
                shared.messages.fetch_add(1, Ordering::Release);
                shared.news.notify_waiters();
                out.extend_from_slice(b"250 2.0.0 kept\r\n");
            } else {
                let Some(at) = memchr::memchr(b'\n', rest) else { break };
                let verb = rest.get(..4).unwrap_or_default().to_ascii_uppercase();
                // What follows DATA in the same read begins with its line end, so that an empty message is seen too.
                start += if verb == b"DATA" { at - 1 } else { at + 1 };
                out.extend_from_slice(match verb.as_slice() {
                    b"EHLO" => b"250-sink\r\n250-PIPELINING\r\n250-SIZE 60000000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
                    b"DATA" => {
                        in_data = true;
                        b"354 go ahead\r\n"
                    }
                    b"HELO" | b"NOOP" | b"RSET" | b"MAIL" | b"RCPT" => b"250 2.0.0 ok\r\n",
                    b"QUIT" => b"221 2.0.0 bye\r\n",
                    _ => b"502 5.5.1 not implemented\r\n",
                });
            }
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            out.clear();
        }
        input.copy_within(start..filled, 0);
        filled -= start;
        match stream.read(&mut input[filled..]).await? {
            0 => return Ok(()),
            read => filled += read,
        }
    }
}
