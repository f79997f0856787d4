//! A stand-in mail server: takes everything it is told to take and keeps the bytes. For the demo, the tests and the benchmark;
//! deliberately shares no code with the gateway, so that it can bear witness to what the gateway sends.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// One message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrived {
    /// MAIL FROM, without brackets.
    pub sender: String,
    /// RCPT TO of the recipients it took, without brackets.
    pub recipients: Vec<String>,
    /// The bytes, dots unstuffed.
    pub data: Vec<u8>,
}

/// How the server behaves; can be changed while it runs.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// Recipients (lower case) that it does not know.
    pub unknown: HashSet<String>,
    /// Answer to the end of data instead of 250, such as `451 4.3.0 later`.
    pub after_data: Option<String>,
    /// Answer to MAIL FROM instead of 250.
    pub at_mail: Option<String>,
    /// EHLO keywords; empty for `8BITMIME`, `PIPELINING`, `SIZE`, `SMTPUTF8` and `ENHANCEDSTATUSCODES`.
    pub keywords: Vec<String>,
    /// Close the connection instead of answering the end of data; the message is kept.
    pub close_after_data: bool,
    /// Keep only how many messages came, not their bytes.
    pub count_only: bool,
}

/// A running stand-in; stops when dropped.
#[derive(Debug)]
pub struct StandIn {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    arrived: Mutex<Vec<Arrived>>,
    news: Notify,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandIn {
    /// Starts one on a loopback port of the system's choice.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(behaviour: Behaviour) -> std::io::Result<Self> {
        Self::start_at("127.0.0.1:0", behaviour).await
    }

    /// Starts one at this address.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start_at(address: &str, behaviour: Behaviour) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { behaviour: Mutex::new(behaviour), ..Shared::default() });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away in the middle is none of our business.
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        Ok(Self { address, shared, task })
    }

    /// Changes how it behaves from the next command on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut locked(&self.shared.behaviour));
    }

    /// What has arrived so far.
    pub fn arrived(&self) -> Vec<Arrived> {
        locked(&self.shared.arrived).clone()
    }

    /// Takes what has arrived so far.
    pub fn take(&self) -> Vec<Arrived> {
        std::mem::take(&mut locked(&self.shared.arrived))
    }

    /// How many messages have arrived.
    pub fn count(&self) -> usize {
        locked(&self.shared.arrived).len()
    }

    /// Returns once `count` messages have arrived in all.
    pub async fn wait_for(&self, count: usize) {
        loop {
            let news = self.shared.news.notified();
            if self.count() >= count {
                return;
            }
            news.await;
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::with_capacity(64 * 1024, read);
    write.write_all(b"220 stand-in ESMTP\r\n").await?;
    let (mut sender, mut recipients) = (String::new(), Vec::new());
    let mut out = String::new();
    loop {
        // Answers to pipelined commands leave together.
        if read.buffer().is_empty() && !out.is_empty() {
            write.write_all(out.as_bytes()).await?;
            out.clear();
        }
        let mut line = Vec::new();
        if read.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let behaviour = locked(&shared.behaviour).clone();
        match verb.as_str() {
            "EHLO" => out.push_str(&ehlo(&behaviour)),
            "HELO" | "NOOP" => out.push_str("250 2.0.0 ok\r\n"),
            "RSET" => {
                recipients.clear();
                out.push_str("250 2.0.0 ok\r\n");
            }
            "MAIL" => {
                sender = path(&line);
                recipients.clear();
                out.push_str(behaviour.at_mail.as_deref().unwrap_or("250 2.1.0 ok"));
                out.push_str("\r\n");
            }
            "RCPT" => {
                let recipient = path(&line);
                if behaviour.unknown.contains(&recipient.to_lowercase()) {
                    out.push_str("550 5.1.1 no such user here\r\n");
                } else {
                    recipients.push(recipient);
                    out.push_str("250 2.1.5 ok\r\n");
                }
            }
            "DATA" if recipients.is_empty() => out.push_str("554 5.5.1 no valid recipients\r\n"),
            "DATA" => {
                out.push_str("354 go ahead\r\n");
                write.write_all(out.as_bytes()).await?;
                out.clear();
                let Some(data) = data(&mut read).await? else { return Ok(()) };
                let data = if behaviour.count_only { Vec::new() } else { data };
                if behaviour.after_data.is_none() {
                    let arrived = Arrived { sender: sender.clone(), recipients: std::mem::take(&mut recipients), data };
                    locked(&shared.arrived).push(arrived);
                    shared.news.notify_waiters();
                }
                if behaviour.close_after_data {
                    return Ok(());
                }
                out.push_str(behaviour.after_data.as_deref().unwrap_or("250 2.0.0 kept"));
                out.push_str("\r\n");
            }
            "QUIT" => {
                out.push_str("221 2.0.0 bye\r\n");
                write.write_all(out.as_bytes()).await?;
                return Ok(());
            }
            _ => out.push_str("502 5.5.1 not implemented\r\n"),
        }
    }
}

fn ehlo(behaviour: &Behaviour) -> String {
    let usual = ["PIPELINING", "8BITMIME", "SIZE", "SMTPUTF8", "ENHANCEDSTATUSCODES"].map(str::to_owned);
    let keywords = if behaviour.keywords.is_empty() { &usual[..] } else { &behaviour.keywords };
    let lines: String = keywords.iter().map(|keyword| format!("250-{keyword}\r\n")).collect();
    format!("250-stand-in\r\n{lines}250 HELP\r\n")
}

fn path(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    inner.map(|(path, _)| path.to_owned()).unwrap_or_default()
}

/// Lines up to the lone dot, unstuffed; `None` if the client went away.
async fn data(read: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> std::io::Result<Option<Vec<u8>>> {
    let mut data = Vec::new();
    loop {
        let start = data.len();
        if read.read_until(b'\n', &mut data).await? == 0 {
            return Ok(None);
        }
        // A line is what ends in CRLF; a bare LF is part of one.
        if start >= 2 && !data[..start].ends_with(b"\r\n") || !data.ends_with(b"\r\n") {
            continue;
        }
        if &data[start..] == b".\r\n" {
            data.truncate(start);
            return Ok(Some(data));
        }
        if data.get(start) == Some(&b'.') {
            data.remove(start);
        }
    }
}
