//! A mail server that fails at random: at every stage, with every kind of answer, and by silence. It remembers what it kept, and
//! whether its 250 left.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One message that it kept.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The bytes, dots unstuffed.
    pub data: Vec<u8>,
    /// Who it was for.
    pub recipients: Vec<String>,
    /// When.
    pub at: Instant,
    /// Its 250 was cut off by itself.
    pub cut: bool,
}

/// A running one; stops when dropped.
pub struct Flaky {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    calm: AtomicBool,
    seed: AtomicU64,
    kept: Mutex<HashMap<String, Vec<Kept>>>,
}

impl Shared {
    /// True in `percent` of all cases, while it is not calm.
    fn fails(&self, percent: u64) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.random() % 1000 < percent * 10
    }

    fn random(&self) -> u64 {
        let step = self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        let mixed = (step ^ (step >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 16
    }
}

impl Flaky {
    /// Starts one; the seed decides how it fails.
    pub async fn start(seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { seed: AtomicU64::new(seed), ..Shared::default() });
        let serving = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, serving.clone()));
            }
        });
        Self { address, shared, task }
    }

    /// From here on it takes everything.
    pub fn calm_down(&self) {
        self.shared.calm.store(true, Ordering::Relaxed);
    }

    /// Everything it kept, by the token in the subject.
    pub fn kept(&self) -> HashMap<String, Vec<Kept>> {
        self.shared.kept.lock().unwrap().clone()
    }
}

impl Drop for Flaky {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The token: the subject up to the first space.
pub fn token(message: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(message);
    let subject = text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix("Subject: "))?;
    Some(subject.split(' ').next().unwrap_or_default().to_owned())
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    if shared.fails(2) {
        return Ok(());
    }
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let greeting = if shared.fails(2) { "421 4.3.2 too busy\r\n" } else { "220 flaky ESMTP\r\n" };
    write.write_all(greeting.as_bytes()).await?;
    let (mut open, mut recipients) = (false, Vec::<String>::new());
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-flaky\r\n250-8BITMIME\r\n250 PIPELINING",
            "MAIL" => {
                recipients.clear();
                open = !shared.fails(2);
                if open { "250 2.1.0 ok" } else { "451 4.3.0 not now" }
            }
            "RCPT" if !open => "503 5.5.1 MAIL first",
            "RCPT" if line.contains("nobody") => "550 5.1.1 no such user here",
            "RCPT" if shared.fails(3) => "452 4.2.2 not now",
            "RCPT" => {
                recipients.extend(line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|(path, _)| path.to_owned()));
                "250 2.1.5 ok"
            }
            "DATA" if recipients.is_empty() => "554 5.5.1 no valid recipients",
            "DATA" if shared.fails(2) => "451 4.3.0 not now",
            "DATA" => {
                write.write_all(b"354 go ahead\r\n").await?;
                match take(&mut read, &shared, &mut recipients).await? {
                    Some(answer) => answer,
                    None => return Ok(()),
                }
            }
            "QUIT" => return write.write_all(b"221 2.0.0 bye\r\n").await,
            _ => "250 2.0.0 ok",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

/// The data and what is said to it; `None` for a connection that just ends.
async fn take<R: tokio::io::AsyncRead + Unpin>(
    read: &mut BufReader<R>,
    shared: &Shared,
    recipients: &mut Vec<String>,
) -> std::io::Result<Option<&'static str>> {
    let mut data = Vec::new();
    loop {
        let start = data.len();
        if read.read_until(b'\n', &mut data).await? == 0 || shared.fails(0) {
            return Ok(None);
        }
        if &data[start..] == b".\r\n" {
            data.truncate(start);
            break;
        }
        if data[start] == b'.' {
            data.remove(start);
        }
    }
    if shared.fails(3) {
        return Ok(None);
    }
    if shared.fails(3) {
        return Ok(Some("451 4.3.0 not now"));
    }
    let cut = shared.fails(3);
    let token = token(&data).unwrap_or_default();
    let kept = Kept { data, recipients: std::mem::take(recipients), at: Instant::now(), cut };
    shared.kept.lock().unwrap().entry(token).or_default().push(kept);
    Ok((!cut).then_some("250 2.0.0 kept"))
}
