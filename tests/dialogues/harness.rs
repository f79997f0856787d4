//! A gateway with a pipeline that only remembers, and a client that speaks line by line.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailweir::gateway::{self, Limits, Listener, ListenerSettings, Tls};
use mailweir::mail::record::TurnedAway;
use mailweir::mail::{Delivery, HopReply, MessageId, NextHop, Profile, Recipient, Route, Routes};
use mailweir::pipeline::{Accept, Incoming};
use mailweir::smtp::Reply;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Remembers messages and answers 250 with the id, once its gate lets it.
pub struct Sink {
    routes: Arc<Routes>,
    seen: Mutex<Vec<Incoming>>,
    /// What was refused before there was a message.
    pub turned: Mutex<Vec<TurnedAway>>,
    /// One permit for each message that may be answered.
    pub gate: Semaphore,
    arrived: mpsc::UnboundedSender<()>,
}

impl Accept for Sink {
    async fn accept(&self, incoming: Incoming) -> Reply {
        let id = incoming.id;
        self.seen.lock().unwrap().push(incoming);
        let _ignored = self.arrived.send(());
        self.gate.acquire().await.unwrap().forget();
        Reply::new(250, (2, 0, 0), format!("accepted ({id})"))
    }

    fn turned_away(&self, _: MessageId, what: TurnedAway) {
        self.turned.lock().unwrap().push(what);
    }

    async fn verify(&self, recipient: Recipient) -> Result<Recipient, HopReply> {
        let said = |code, enhanced: &str, text: &str| HopReply { code, enhanced: Some(enhanced.into()), text: text.into() };
        match recipient.address.as_str() {
            "nobody@asked.test" => Err(said(553, "5.1.10", "secret words of the next hop")),
            "moved@asked.test" => Ok(Recipient { route: "exchange".into(), ..recipient }),
            "slow@asked.test" => std::future::pending().await,
            address if address.ends_with("@asked.test") => Ok(recipient),
            address => panic!("{address} is on a route without call-out"),
        }
    }

    fn routes(&self) -> Arc<Routes> {
        self.routes.clone()
    }
}

/// Ours: legacy.test (exchange), ours.test with ann and bob only (groupwise), asked.test (with call-out). All else goes to the internet.
fn routes() -> Routes {
    let route = |name: &str, domains: &[&str], users: Option<&[&str]>| Route {
        name: name.into(),
        domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        recipients: users.map(|users| users.iter().map(|user| (*user).to_owned()).collect()),
        next_hops: vec![NextHop::Mx],
        profile: Profile::Generic,
        unknown_user: None,
        outbound: name == "internet",
        delivery: Delivery::CutThrough,
        retry: vec![Duration::from_secs(60)],
        expire: Duration::from_secs(3600),
        connections: 10,
        rate: None,
        warn_after: None,
        tls: None,
        auth: None,
        callout: name == "asked",
    };
    Routes::new([
        route("exchange", &["legacy.test"], None),
        route("groupwise", &["ours.test"], Some(&["ann@ours.test", "bob@ours.test"])),
        route("asked", &["asked.test"], None),
        route("internet", &["*"], None),
    ])
}

/// A running gateway.
pub struct Server {
    pub address: SocketAddr,
    pub sink: Arc<Sink>,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<()>,
    arrivals: mpsc::UnboundedReceiver<()>,
}

/// Listener settings from lines of TOML; `direction = "inbound"` unless they say otherwise.
pub fn listener_settings(lines: &str) -> ListenerSettings {
    let direction = if lines.contains("direction") { "" } else { "direction = \"inbound\"\n" };
    toml::from_str(&format!("name = \"test\"\naddress = \"127.0.0.1:0\"\n{direction}{lines}")).unwrap()
}

impl Server {
    /// Starts one listener; messages are answered at once.
    pub fn start(listener: &str, limits: &str) -> Self {
        Self::start_with(listener, limits, None)
    }

    pub fn start_with(listener: &str, limits: &str, tls: Option<Tls>) -> Self {
        let listener = Listener::bind(&listener_settings(listener), tls).unwrap();
        let limits: Limits = toml::from_str(limits).unwrap();
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        let sink = Arc::new(Sink { routes: Arc::new(routes()), seen: Mutex::default(), turned: Mutex::default(), gate, arrived });
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (accept, token) = (sink.clone(), shutdown.clone());
        let running = tokio::spawn(async move { gateway::serve(vec![listener], accept, &limits, "mx.ours.test", token).await });
        Self { address, sink, shutdown, running, arrivals }
    }

    /// From now on messages are answered only as the gate gets permits.
    pub fn close_gate(&self) {
        self.sink.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub async fn client(&self) -> Client<TcpStream> {
        Client::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A client that found a place: tries until the server greets it.
    pub async fn client_with_a_place(&self) -> Client<TcpStream> {
        let search = async {
            loop {
                let mut client = self.client().await;
                if client.line().await.starts_with("220") {
                    return client;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search).await.expect("a place should become free")
    }

    /// Waits until a message has reached the pipeline.
    pub async fn message_arrived(&mut self) {
        tokio::time::timeout(PATIENCE, self.arrivals.recv()).await.expect("a message should arrive");
    }

    pub fn messages(&self) -> Vec<Incoming> {
        self.sink.seen.lock().unwrap().clone()
    }

    /// Stops it and waits for its end.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.running).await.expect("serve should return").unwrap();
    }
}

/// A client that speaks in lines.
pub struct Client<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub fn into_inner(self) -> S {
        assert!(self.0.buffer().is_empty(), "unread: {:?}", String::from_utf8_lossy(self.0.buffer()));
        self.0.into_inner()
    }

    /// The stream, whatever has come over it and was not read.
    pub fn into_inner_unread(self) -> S {
        self.0.into_inner()
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next line without its CRLF; empty at the end of the stream.
    pub async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        tokio::time::timeout(PATIENCE, read).await.expect("a line should come").unwrap_or_default();
        line.strip_suffix("\r\n").map(str::to_owned).unwrap_or(line)
    }

    /// Reads one reply, however many lines it has, and checks how it begins.
    pub async fn expect(&mut self, start: &str) -> String {
        let mut reply = self.line().await;
        let first = reply.clone();
        while reply.as_bytes().get(3) == Some(&b'-') {
            reply = self.line().await;
        }
        assert!(first.starts_with(start), "expected {start:?}, got {first:?}");
        first
    }

    /// Sends lines (ended by `\n` here, by CRLF there) and checks one reply for each expected start.
    pub async fn talk(&mut self, lines: &str, replies: &[&str]) {
        self.send(lines.replace('\n', "\r\n")).await;
        for reply in replies {
            self.expect(reply).await;
        }
    }

    /// Checks that the server closed, and said nothing more.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _reset_counts_as_closed = tokio::time::timeout(PATIENCE, self.0.read_to_end(&mut rest)).await.expect("the server should close");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
}

/// EHLO to RCPT in one go.
pub const START: &str = "EHLO client.test\nMAIL FROM:<a@else.test>\nRCPT TO:<bob@ours.test>\n";
/// What they are answered.
pub const START_REPLIES: [&str; 3] = ["250-", "250 2.1.0", "250 2.1.5"];
