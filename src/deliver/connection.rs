//! One connection to a next hop: connect, greeting, EHLO, STARTTLS, then replies and bytes, each with a deadline.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::auth::LogIn;
use super::capabilities::Capabilities;
use crate::mail::HopReply;
use crate::mail::TlsUse;
use crate::net::{ClientTls, Trust};
use crate::smtp::encoder::Encoder;
use crate::smtp::reply_reader::{ReplyReader, ServerReply};

/// Slices handed to the kernel in one write.
const MAX_SLICES: usize = 64;
/// How long a connection that is given up may take to hear so.
const QUIT_TIME: Duration = Duration::from_secs(1);

/// Why a connection is of no use, or no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// What happened, for the operator.
    pub why: String,
    /// What the server said, if that was it.
    pub reply: Option<HopReply>,
    pub kind: Kind,
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The hop does not work.
    Failed,
    /// It works, but not at once for all that there is; or a limit of ours was reached.
    Busy,
    /// It does not take our user name and password.
    LogIn,
}

impl Trouble {
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), reply: None, kind: Kind::Failed }
    }

    /// A limit of our own was reached.
    pub fn busy(why: impl Into<String>) -> Self {
        Self { kind: Kind::Busy, ..Self::new(why) }
    }

    pub fn said(what: &str, reply: &ServerReply) -> Self {
        Self::replied(what, reply.to_hop_reply())
    }

    pub fn replied(what: &str, reply: HopReply) -> Self {
        let kind = if reply.is_push_back() { Kind::Busy } else { Kind::Failed };
        Self { why: format!("{what} was answered {reply}"), reply: Some(reply), kind }
    }

    pub fn is_busy(&self) -> bool {
        self.kind == Kind::Busy
    }
}

/// How the writing of a message ended.
#[derive(Debug)]
pub(super) enum Sent {
    /// All of it, final dot included, was handed to the network.
    Whole,
    /// The end never left: the server cannot have taken the message.
    CutOff(Trouble),
    /// The end may have left.
    Doubtful(Trouble),
}

pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for T {}

/// A connection over which mail can be sent.
pub(super) struct Connection {
    stream: Box<dyn Socket>,
    replies: ReplyReader,
    /// What the server offers.
    pub capabilities: Capabilities,
    /// Messages sent over it.
    pub messages: usize,
    /// A transaction was begun and not ended: RSET goes before the next.
    pub needs_reset: bool,
    /// It may be kept idle after use.
    pub keep: bool,
    /// Counts it for metrics and limits, for as long as it lives.
    pub counted: Option<Box<dyn Send + Sync>>,
}

/// What is needed to open one.
pub(super) struct Opening<'a> {
    /// The host's name, for certificates.
    pub host: &'a str,
    /// Our name for EHLO.
    pub hostname: &'a str,
    pub tls: &'a ClientTls,
    pub use_tls: TlsUse,
    /// What to log in with.
    pub auth: Option<LogIn<'a>>,
}

/// Why an opening failed.
pub(super) enum NotOpen {
    /// STARTTLS was agreed, and the handshake failed: plain text may work.
    Handshake(Trouble),
    Other(Trouble),
}

impl From<Trouble> for NotOpen {
    fn from(trouble: Trouble) -> Self {
        Self::Other(trouble)
    }
}

impl Opening<'_> {
    /// A connection to `address`, past EHLO and, where wanted, STARTTLS; all before `deadline`.
    pub async fn open(&self, address: SocketAddr, deadline: Instant) -> Result<Connection, NotOpen> {
        let stream = within(deadline, "connecting", TcpStream::connect(address)).await?;
        // Without it a write waits for the acknowledgement of the one before: 40 ms and more a message.
        stream.set_nodelay(true).map_err(|error| Trouble::new(format!("connecting: {error}")))?;
        let mut plain = Greeter { stream, replies: ReplyReader::default() };
        let greeting = plain.reply(deadline, "the greeting").await?;
        if !greeting.is_success() {
            return Err(Trouble::said("the connection", &greeting).into());
        }
        let capabilities = plain.ehlo(self.hostname, deadline).await?;
        let (stream, capabilities) = match self.use_tls {
            TlsUse::Off => self.ready(plain, capabilities, deadline).await?,
            TlsUse::Required if !capabilities.starttls => {
                return Err(Trouble::new("it does not offer STARTTLS, and tls = \"required\"").into());
            }
            TlsUse::Opportunistic if !capabilities.starttls => self.ready(plain, capabilities, deadline).await?,
            TlsUse::Opportunistic | TlsUse::Required => self.starttls(plain, capabilities, deadline).await?,
        };
        Ok(Connection { stream, replies: ReplyReader::default(), capabilities, messages: 0, needs_reset: false, keep: true, counted: None })
    }

    /// The end of the opening in plain text.
    async fn ready(
        &self,
        mut plain: Greeter<TcpStream>,
        capabilities: Capabilities,
        deadline: Instant,
    ) -> Result<(Box<dyn Socket>, Capabilities), NotOpen> {
        if let Some(auth) = &self.auth {
            let here = plain.stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
            if !(auth.in_clear && here) {
                return Err(Trouble::new("it does not offer STARTTLS, and the password of the route is not sent unencrypted").into());
            }
            auth.run(&mut plain, &capabilities, deadline).await?;
        }
        Ok((plain.into_socket(), capabilities))
    }

    async fn starttls(
        &self,
        mut plain: Greeter<TcpStream>,
        before: Capabilities,
        deadline: Instant,
    ) -> Result<(Box<dyn Socket>, Capabilities), NotOpen> {
        let answer = plain.ask(b"STARTTLS\r\n", deadline, "STARTTLS").await?;
        if !answer.is_success() {
            return match self.use_tls {
                TlsUse::Required => Err(Trouble::said("STARTTLS", &answer).into()),
                _ => self.ready(plain, before, deadline).await,
            };
        }
        if !plain.replies.is_empty() {
            return Err(Trouble::new("text was sent in front of the encrypted stream: somebody tampers with the connection").into());
        }
        let trust = if self.use_tls == TlsUse::Required { Trust::Verified } else { Trust::Anyone };
        let stream =
            within(deadline, "the TLS handshake", self.tls.connect(trust, self.host, plain.stream)).await.map_err(NotOpen::Handshake)?;
        let mut encrypted = Greeter { stream, replies: ReplyReader::default() };
        let capabilities = encrypted.ehlo(self.hostname, deadline).await?;
        if let Some(auth) = &self.auth {
            auth.run(&mut encrypted, &capabilities, deadline).await?;
        }
        Ok((encrypted.into_socket(), capabilities))
    }
}

/// A stream in the phase in which each command waits for its reply.
pub(super) struct Greeter<S> {
    stream: S,
    replies: ReplyReader,
}

impl<S: Socket + 'static> Greeter<S> {
    async fn reply(&mut self, deadline: Instant, what: &str) -> Result<ServerReply, Trouble> {
        read_reply(&mut self.stream, &mut self.replies, deadline, what).await
    }

    /// One command and its reply.
    pub async fn ask(&mut self, command: &[u8], deadline: Instant, what: &str) -> Result<ServerReply, Trouble> {
        within(deadline, what, async {
            self.stream.write_all(command).await?;
            self.stream.flush().await
        })
        .await?;
        self.reply(deadline, what).await
    }

    /// EHLO, or HELO for a server that does not know it (RFC 5321 section 3.2).
    async fn ehlo(&mut self, hostname: &str, deadline: Instant) -> Result<Capabilities, Trouble> {
        let answer = self.ask(format!("EHLO {hostname}\r\n").as_bytes(), deadline, "EHLO").await?;
        if answer.is_success() {
            return Ok(Capabilities::parse(&answer));
        }
        if answer.is_permanent() {
            let answer = self.ask(format!("HELO {hostname}\r\n").as_bytes(), deadline, "HELO").await?;
            if answer.is_success() {
                return Ok(Capabilities::default());
            }
            return Err(Trouble::said("HELO", &answer));
        }
        Err(Trouble::said("EHLO", &answer))
    }

    fn into_socket(self) -> Box<dyn Socket> {
        Box::new(self.stream)
    }
}

impl Connection {
    /// Writes commands.
    pub async fn write(&mut self, commands: &[u8], deadline: Instant, what: &str) -> Result<(), Trouble> {
        within(deadline, what, async {
            self.stream.write_all(commands).await?;
            self.stream.flush().await
        })
        .await
    }

    /// The next reply; `what` it answers is for the operator.
    pub async fn reply(&mut self, deadline: Instant, what: &str) -> Result<ServerReply, Trouble> {
        read_reply(&mut self.stream, &mut self.replies, deadline, what).await
    }

    /// Whether the server has said something that was not asked for.
    pub fn has_unread(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Writes the message and the end of data, without copying it; the final dot goes out with the end of the body.
    pub async fn write_message(&mut self, data: &[Bytes], deadline: Instant) -> Sent {
        let mut encoder = Encoder::new(data);
        let mut queue: VecDeque<Bytes> = VecDeque::with_capacity(MAX_SLICES + 2);
        loop {
            while queue.len() < MAX_SLICES || encoder.is_at_end() {
                let Some(piece) = encoder.next() else { break };
                queue.push_back(piece);
            }
            if queue.is_empty() {
                break;
            }
            let slices: Vec<IoSlice<'_>> = queue.iter().map(|piece| IoSlice::new(piece)).collect();
            let written = within(deadline, "sending the message", self.stream.write_vectored(&slices)).await;
            match written {
                Ok(0) => return Sent::CutOff(Trouble::new("sending the message: the connection takes no more")),
                Ok(count) => advance(&mut queue, count),
                Err(trouble) => return Sent::CutOff(self.last_words().unwrap_or(trouble)),
            }
        }
        match within(deadline, "sending the message", self.stream.flush()).await {
            Ok(()) => Sent::Whole,
            Err(trouble) => Sent::Doubtful(trouble),
        }
    }

    /// What a server that closed on us said before, if that has arrived.
    fn last_words(&mut self) -> Option<Trouble> {
        let _count_or_error = self.stream.read_buf(self.replies.buffer()).now_or_never();
        let reply = self.replies.next_reply().ok().flatten()?;
        Some(Trouble::said("the message, before its end,", &reply))
    }

    /// Whether an idle connection still stands: the server has neither closed it nor said anything (such as 421).
    pub fn is_quiet(&mut self) -> bool {
        self.replies.is_empty() && self.stream.read_buf(self.replies.buffer()).now_or_never().is_none()
    }

    /// Says goodbye, and waits a moment for the server to close: until then it counts the connection among ours.
    pub async fn quit(mut self) {
        let goodbye = async {
            self.stream.write_all(b"QUIT\r\n").await?;
            self.stream.shutdown().await?;
            while self.stream.read(&mut [0; 256]).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        let _best_effort = tokio::time::timeout(QUIT_TIME, goodbye).await;
    }
}

/// Drops `count` written bytes from the front.
fn advance(queue: &mut VecDeque<Bytes>, mut count: usize) {
    while let Some(front) = queue.front_mut() {
        if count < front.len() {
            front.advance(count);
            return;
        }
        count -= front.len();
        queue.pop_front();
    }
}

async fn read_reply<S: AsyncRead + Unpin + ?Sized>(
    stream: &mut S,
    replies: &mut ReplyReader,
    deadline: Instant,
    what: &str,
) -> Result<ServerReply, Trouble> {
    loop {
        match replies.next_reply() {
            Ok(Some(reply)) => return Ok(reply),
            Ok(None) => {}
            Err(fault) => return Err(Trouble::new(format!("{what}: {fault}"))),
        }
        if within(deadline, what, stream.read_buf(replies.buffer())).await? == 0 {
            return Err(Trouble::new(format!("{what}: the server closed the connection")));
        }
    }
}

/// Waits for `work` until `deadline`, and words what goes wrong.
async fn within<T>(deadline: Instant, what: &str, work: impl Future<Output = io::Result<T>>) -> Result<T, Trouble> {
    match timeout_at(deadline, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Trouble::new(format!("{what}: {error}"))),
        Err(_) => Err(Trouble::new(format!("{what}: no answer in time"))),
    }
}
