//! A small SMTP client that sends bytes as they are and tells every reply. For the demo and the tests; shares no code with the gateway.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A session with a server.
#[derive(Debug)]
pub struct Sender {
    stream: BufReader<TcpStream>,
}

/// What the server said to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The reply that settled it: to the end of data, or the first refusal before.
    pub reply: String,
    /// Replies to each RCPT.
    pub recipients: Vec<String>,
}

impl Answer {
    /// The code of the settling reply; 0 if there was none.
    pub fn code(&self) -> u16 {
        self.reply.get(..3).and_then(|code| code.parse().ok()).unwrap_or(0)
    }
}

impl Sender {
    /// Connects, reads the greeting and says EHLO.
    ///
    /// # Errors
    /// Connection trouble, or a server that does not greet with 2xx.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut sender = Self { stream: BufReader::new(stream) };
        let greeting = sender.reply().await?;
        if !greeting.starts_with('2') {
            return Err(io::Error::other(greeting));
        }
        sender.command("EHLO sender.example").await?;
        Ok(sender)
    }

    /// Sends one line and gives the reply, lines joined by `\n`.
    ///
    /// # Errors
    /// Connection trouble.
    pub async fn command(&mut self, line: &str) -> io::Result<String> {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Reads one reply.
    ///
    /// # Errors
    /// Connection trouble; `UnexpectedEof` if the server closed.
    pub async fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            reply.push_str(line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(reply);
            }
            reply.push('\n');
        }
    }

    /// Sends one message. A refusal before DATA ends it with RSET, so that the session can go on.
    ///
    /// # Errors
    /// Connection trouble.
    pub async fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> io::Result<Answer> {
        let body = if message.is_ascii() { "" } else { " BODY=8BITMIME" };
        let utf8 = if from.is_ascii() && to.iter().all(|to| to.is_ascii()) { "" } else { " SMTPUTF8" };
        let reply = self.command(&format!("MAIL FROM:<{from}>{body}{utf8}")).await?;
        let mut recipients = Vec::new();
        if reply.starts_with('2') {
            for to in to {
                recipients.push(self.command(&format!("RCPT TO:<{to}>")).await?);
            }
        }
        if !recipients.iter().any(|reply| reply.starts_with('2')) {
            self.command("RSET").await?;
            return Ok(Answer { reply: recipients.first().cloned().unwrap_or(reply), recipients });
        }
        let go = self.command("DATA").await?;
        if !go.starts_with('3') {
            return Ok(Answer { reply: go, recipients });
        }
        self.stream.get_mut().write_all(&stuffed(message)).await?;
        Ok(Answer { reply: self.reply().await?, recipients })
    }
}

/// The message with dots doubled and the lone dot at its end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut at_line_start = true;
    for (place, byte) in message.iter().enumerate() {
        if at_line_start && *byte == b'.' {
            out.push(b'.');
        }
        out.push(*byte);
        at_line_start = *byte == b'\n' && place > 0 && message[place - 1] == b'\r';
    }
    if !at_line_start {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}
