//! The load generator: SMTP sessions that pipeline the envelope and write prepared bytes, so that they cost little themselves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::messages::{Prepared, Set};

/// How long one message may take, unless said otherwise, before the session is given up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One session with a server.
pub struct Session {
    stream: TcpStream,
    /// What was read and is not yet looked at.
    input: Vec<u8>,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The dot leaves with the message's last bytes, and nothing waits for an acknowledgement (TCP_NODELAY).
    Together,
    /// The dot is written alone and Nagle's algorithm is on, as some senders do.
    DotAlone,
}

impl Session {
    /// Connects, reads the greeting and says EHLO.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut session = Self { stream, input: Vec::new() };
        session.expect(220).await?;
        session.stream.write_all(b"EHLO sender.example\r\n").await?;
        session.expect(250).await?;
        Ok(session)
    }

    async fn expect(&mut self, code: u16) -> io::Result<()> {
        match self.reply().await? {
            got if got == code => Ok(()),
            got => Err(io::Error::other(format!("{got} in place of {code}"))),
        }
    }

    /// The code of the next reply.
    async fn reply(&mut self) -> io::Result<u16> {
        loop {
            let mut start = 0;
            while let Some(length) = self.input[start..].iter().position(|&byte| byte == b'\n') {
                let line = &self.input[start..=start + length];
                start += length + 1;
                if line.get(3) != Some(&b'-') {
                    let code = std::str::from_utf8(&line[..3.min(line.len())]).ok().and_then(|code| code.parse().ok());
                    self.input.drain(..start);
                    return code.ok_or_else(|| io::Error::other("not a reply"));
                }
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Sends one message: the code that settled it, and the time from writing its end to that reply.
    pub async fn send(&mut self, message: &Prepared, style: Style) -> io::Result<(u16, Duration)> {
        self.transaction(message, style).await
    }

    async fn transaction(&mut self, message: &Prepared, style: Style) -> io::Result<(u16, Duration)> {
        self.stream.write_all(&message.envelope).await?;
        let replies = [self.reply().await?, self.reply().await?, self.reply().await?];
        if replies[2] != 354 {
            let refusal = replies.into_iter().find(|&code| code >= 400).unwrap_or(replies[2]);
            return Ok((refusal, Duration::ZERO));
        }
        let mut begun = Instant::now();
        match style {
            Style::Together => self.stream.write_all(&message.data).await?,
            Style::DotAlone => {
                let (body, dot) = message.data.split_at(message.data.len() - 3);
                self.stream.set_nodelay(false)?;
                self.stream.write_all(body).await?;
                begun = Instant::now();
                self.stream.write_all(dot).await?;
            }
        }
        let code = self.reply().await?;
        Ok((code, begun.elapsed()))
    }
}

/// What became of the messages of one go.
#[derive(Debug, Default, Clone)]
pub struct Sent {
    /// Answered 250.
    pub accepted: usize,
    /// Answered 4xx.
    pub deferred: usize,
    /// Answered otherwise.
    pub refused: usize,
    /// Sessions that ended in the middle of it, the first with its reason.
    pub broken: usize,
    pub reason: Option<String>,
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.deferred += other.deferred;
        self.refused += other.refused;
        self.broken += other.broken;
        self.reason = self.reason.take().or(other.reason);
    }

    /// All were accepted.
    pub fn clean(&self) -> Result<(), String> {
        if self.deferred + self.refused + self.broken == 0 {
            return Ok(());
        }
        let reason = self.reason.as_deref().unwrap_or("refused");
        Err(format!("{} accepted, {} deferred, {} refused, {} broken: {reason}", self.accepted, self.deferred, self.refused, self.broken))
    }
}

/// When a go is over.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// After this many messages in all.
    Count(usize),
    /// No message is begun after this instant.
    Time(Instant),
}

/// Many sessions with one server.
pub struct Fleet {
    sessions: Vec<Session>,
    /// How long one message may take.
    patience: Duration,
}

impl Fleet {
    /// Opens `count` sessions, up to a hundred at a time.
    pub async fn open(address: SocketAddr, count: usize) -> io::Result<Self> {
        let mut sessions = Vec::with_capacity(count);
        while sessions.len() < count {
            let batch = (count - sessions.len()).min(100);
            let opening = (0..batch).map(|_| tokio::time::timeout(PATIENCE, Session::open(address)));
            for session in futures_util::future::join_all(opening).await {
                sessions.push(session??);
            }
        }
        Ok(Self { sessions, patience: PATIENCE })
    }

    /// Gives a session up when one message takes longer than this.
    pub fn patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Sends messages of the set over all sessions at once. Sessions that break are closed.
    pub async fn send(&mut self, set: &Set, until: Until) -> Sent {
        let next = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> =
            self.sessions.drain(..).map(|session| tokio::spawn(one(session, next.clone(), set.clone(), until, self.patience))).collect();
        let mut sent = Sent::default();
        for task in tasks {
            match task.await {
                Ok((session, its)) => {
                    sent.add(its);
                    self.sessions.extend(session);
                }
                Err(error) => sent.add(Sent { broken: 1, reason: Some(error.to_string()), ..Sent::default() }),
            }
        }
        sent
    }
}

async fn one(mut session: Session, next: Arc<AtomicUsize>, set: Set, until: Until, patience: Duration) -> (Option<Session>, Sent) {
    let mut sent = Sent::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let over = match until {
            Until::Count(count) => number >= count,
            Until::Time(end) => Instant::now() >= end,
        };
        if over {
            return (Some(session), sent);
        }
        let sending = session.send(&set.messages[number % set.messages.len()], Style::Together);
        match tokio::time::timeout(patience, sending).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok((250, _)) => sent.accepted += 1,
            Ok((code, _)) => {
                if (400..500).contains(&code) {
                    sent.deferred += 1;
                } else {
                    sent.refused += 1;
                }
                sent.reason.get_or_insert_with(|| format!("answered {code}"));
            }
            Err(error) => {
                sent.broken += 1;
                sent.reason.get_or_insert_with(|| error.to_string());
                return (None, sent);
            }
        }
    }
}
