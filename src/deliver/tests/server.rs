//! A mail server on loopback that follows a script and writes down what it heard.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::net::ServerTls;

/// What the server does when it hears something.
#[derive(Debug, Clone)]
pub enum Do {
    /// Answers; CRLF is added.
    Say(&'static str),
    /// Answers, and closes the connection in good order.
    SayAndClose(&'static str),
    /// Waits, and then answers.
    Wait(std::time::Duration, &'static str),
    /// Closes the connection.
    Close,
    /// Answers, waits until the client has written some of the message, and closes.
    CutOff,
    /// Says nothing more, and keeps the connection.
    Hang,
    /// The ordinary answer.
    Usual,
}

/// Decides by connection (from 0) and line; the line is `connect` before the greeting, `.` after the message, and `gone`
/// when the connection has ended.
pub type Script = Arc<dyn Fn(usize, &str) -> Do + Send + Sync>;

pub fn script(f: impl Fn(usize, &str) -> Do + Send + Sync + 'static) -> Script {
    Arc::new(f)
}

pub fn usual() -> Script {
    script(|_, _| Do::Usual)
}

pub struct Server {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    script: Script,
    offers: Vec<&'static str>,
    tls: Option<ServerTls>,
    connections: AtomicUsize,
    lines: Mutex<Vec<String>>,
    messages: Mutex<Vec<Vec<u8>>>,
    done: tokio::sync::Notify,
}

impl Server {
    pub async fn new(script: Script) -> Self {
        Self::at("127.0.0.1:0", script, &["PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000"], None).await
    }

    pub async fn offering(offers: &[&'static str], script: Script) -> Self {
        Self::at("127.0.0.1:0", script, offers, None).await
    }

    pub async fn at(address: &str, script: Script, offers: &[&'static str], tls: Option<ServerTls>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script,
            offers: offers.to_vec(),
            tls,
            connections: AtomicUsize::new(0),
            lines: Mutex::default(),
            messages: Mutex::default(),
            done: tokio::sync::Notify::new(),
        });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let number = serving.connections.fetch_add(1, Ordering::SeqCst);
                let shared = serving.clone();
                connections.spawn(async move {
                    Client { stream: Box::new(stream), buffer: Vec::new(), number, shared: shared.clone(), encrypted: false }.serve().await;
                    (shared.script)(number, "gone");
                    shared.done.notify_one();
                });
            }
        });
        Self { address, shared, task }
    }

    /// How many connections were made.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// All lines heard, QUIT excepted (it comes at any time).
    pub fn lines(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().iter().filter(|line| *line != "QUIT").cloned().collect()
    }

    /// The messages received, dots undoubled.
    pub fn messages(&self) -> Vec<Vec<u8>> {
        self.shared.messages.lock().unwrap().clone()
    }

    /// Waits until a connection has ended.
    pub async fn one_ended(&self) {
        self.shared.done.notified().await;
    }

    /// Closes everything; the port is free again.
    pub async fn stop(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

struct Client {
    stream: Box<dyn Socket>,
    buffer: Vec<u8>,
    number: usize,
    shared: Arc<Shared>,
    encrypted: bool,
}

impl Client {
    async fn serve(mut self) {
        if !self.react("connect", "220 test").await {
            return;
        }
        while let Some(line) = self.until(b"\r\n").await {
            let line = String::from_utf8(line).unwrap().trim_end_matches("\r\n").to_owned();
            self.shared.lines.lock().unwrap().push(line.clone());
            let usual = match line.split([' ', ':']).next().unwrap() {
                "AUTH" => "235 2.7.0 in".to_owned(),
                "EHLO" => self.offers(),
                "DATA" => "354 go".to_owned(),
                "STARTTLS" => "220 go".to_owned(),
                "QUIT" => "221 bye".to_owned(),
                _ => "250 2.0.0 ok".to_owned(),
            };
            match line.as_str() {
                "QUIT" => {
                    let _ = self.stream.write_all(b"221 bye\r\n").await;
                    return;
                }
                "DATA" => match (self.shared.script)(self.number, "DATA") {
                    Do::CutOff => {
                        self.stream.write_all(b"354 go\r\n").await.unwrap();
                        let _ = self.stream.read(&mut [0; 100]).await;
                        return;
                    }
                    action => {
                        let answer = match action {
                            Do::Say(text) => text.to_owned(),
                            _ => usual.clone(),
                        };
                        if !self.act(action, &usual).await || (answer.starts_with("354") && !self.data().await) {
                            return;
                        }
                    }
                },
                "STARTTLS" => {
                    if !self.react(&line, &usual).await {
                        return;
                    }
                    let Some(tls) = self.shared.tls.clone() else { continue };
                    let Ok(stream) = tls.accept(self.stream).await else { return };
                    self = Self { stream: Box::new(stream), buffer: Vec::new(), encrypted: true, ..self };
                }
                line => {
                    if !self.react(line, &usual).await {
                        return;
                    }
                }
            }
        }
    }

    fn offers(&self) -> String {
        let mut lines = vec!["test"];
        lines.extend(&self.shared.offers);
        if self.shared.tls.is_some() && !self.encrypted {
            lines.push("STARTTLS");
        }
        let last = lines.pop().unwrap();
        lines.iter().map(|line| format!("250-{line}\r\n")).collect::<String>() + "250 " + last
    }

    async fn data(&mut self) -> bool {
        // The data begins as if after CRLF, so that an empty message ends at its first line.
        self.buffer.splice(0..0, *b"\r\n");
        let Some(data) = self.until(b"\r\n.\r\n").await else { return false };
        let body = &data[2..data.len() - 3];
        self.shared.messages.lock().unwrap().push(undouble(body));
        self.react(".", "250 2.0.0 taken").await
    }

    async fn react(&mut self, line: &str, usual: &str) -> bool {
        let action = (self.shared.script)(self.number, line);
        self.act(action, usual).await
    }

    /// False if the connection is over.
    async fn act(&mut self, action: Do, usual: &str) -> bool {
        if let Do::Wait(time, _) = action {
            tokio::time::sleep(time).await;
        }
        let (text, go_on) = match action {
            Do::Say(text) | Do::Wait(_, text) => (text, true),
            Do::SayAndClose(text) => (text, false),
            Do::Usual => (usual, true),
            Do::Close | Do::CutOff => return false,
            Do::Hang => std::future::pending().await,
        };
        let written = self.stream.write_all(format!("{text}\r\n").as_bytes()).await.is_ok() && self.stream.flush().await.is_ok();
        if written && !go_on {
            // Closing with unread input would reset the connection, and the answer could be lost on its way.
            let _ = self.stream.shutdown().await;
            while self.stream.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {}
        }
        written && go_on
    }

    /// Bytes up to and including `end`.
    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let mut from = 0;
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer[from..], end) {
                let rest = self.buffer.split_off(from + at + end.len());
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
            from = self.buffer.len().saturating_sub(end.len());
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
}

fn undouble(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut start = true;
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(if start { line.strip_prefix(b".").unwrap_or(line) } else { line });
        start = line.ends_with(b"\r\n");
    }
    out
}
