//! One connection: carries bytes between the socket and the session, keeps the time, and does what the session asks for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use jiff::Timestamp;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::mail::record::TurnedAway;
use crate::mail::{Address, HopReply, MessageId, Origin, Recipient};
use crate::pipeline::{Accept, Incoming};
use crate::smtp::path::ForwardPath;
use crate::smtp::session::{End, Hello, Received, Refused, Session, Step};
use crate::smtp::{Reply, replies};

use super::limits::Held;
use super::listener::{Port, session_refused};
use super::relay;
use super::tls::Wire;
use super::{Shared, input};

/// How long we listen after our last word, so that it is not lost when the client was still sending.
const FAREWELL: Duration = Duration::from_secs(2);
/// And how many bytes.
const FAREWELL_BYTES: usize = 1024 * 1024;

/// A connection with its session.
pub(super) struct Connection<A> {
    shared: Arc<Shared<A>>,
    port: Arc<Port>,
    wire: Wire,
    peer: SocketAddr,
    /// Protocol and cipher suite, under TLS.
    tls: Option<String>,
    session: Session,
    input: BytesMut,
    held: Held,
    began: Instant,
    /// Since when we wait for the client's next command.
    waiting_since: Instant,
    /// The message that is coming in, or was last.
    data: DataClock,
}

struct DataClock {
    since: Instant,
    at: Timestamp,
}

/// Why a connection ends without the session's asking.
enum Halt {
    /// The client is gone.
    Gone,
    TimedOut,
    ShuttingDown,
}

impl From<io::Error> for Halt {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl<A: Accept> Connection<A> {
    /// Boxed, so that the task of an idle session is small: a future is as large as all that it carries, several times over.
    pub(super) fn new(socket: TcpStream, peer: SocketAddr, port: Arc<Port>, shared: Arc<Shared<A>>) -> Box<Self> {
        // One write for each batch of replies already; waiting for more would only delay it.
        let _best_effort = socket.set_nodelay(true);
        let now = Instant::now();
        Box::new(Self {
            session: Session::new(port.terms.clone()),
            shared,
            port,
            wire: Wire::Plain(socket),
            peer,
            tls: None,
            input: BytesMut::new(),
            held: Held::default(),
            began: now,
            waiting_since: now,
            data: DataClock { since: now, at: Timestamp::UNIX_EPOCH },
        })
    }

    /// Runs the session to its end.
    pub(super) async fn run(mut self: Box<Self>) {
        if let Err(halt) = self.talk().await {
            self.halt(halt).await;
        }
        if self.session.was_out_of_step() {
            metrics::counter!("mailweir_unsynchronised_sessions_total").increment(1);
            let reason = "out_of_step";
            tracing::info!(listener = %self.port.name, peer = %self.peer, reason, "client did not wait for a reply where it has to");
        }
    }

    async fn talk(&mut self) -> Result<(), Halt> {
        self.greet().await?;
        loop {
            self.account().await;
            match self.session.step(&mut self.input) {
                Step::Read => self.read().await?,
                Step::Recipient(path) => self.recipient(&path).await,
                Step::Data => self.begin_data().await,
                Step::Message(received) => self.settle(*received).await?,
                Step::Refused(refused) => self.refused(&refused),
                Step::StartTls => Box::pin(self.start_tls()).await?,
                Step::Close(end) => return Box::pin(self.close(end)).await,
            }
        }
    }

    /// Waits, where the listener wants that, whether the client speaks before it was spoken to.
    async fn greet(&mut self) -> Result<(), Halt> {
        let pause = self.port.greet_pause;
        let Wire::Plain(socket) = &self.wire else { return Ok(()) };
        if pause.is_zero() {
            return Ok(());
        }
        let mut byte = [0];
        let spoke = tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled() => return Err(Halt::ShuttingDown),
            spoke = timeout(pause, socket.peek(&mut byte)) => spoke,
        };
        match spoke {
            Err(_kept_silent) => Ok(()),
            Ok(Ok(1..)) => {
                self.session.too_early();
                Ok(())
            }
            Ok(_) => Err(Halt::Gone),
        }
    }

    /// Keeps the memory held in step with the message that is coming in. While there is none to be had nothing is read,
    /// which slows the client down; in the end the message is given up.
    async fn account(&mut self) {
        match self.session.receiving() {
            Some(kept) => {
                if !self.shared.budget.grow(&mut self.held, kept + self.input.len()).await {
                    self.session.out_of_memory();
                    self.held.release();
                }
            }
            None => self.held.release(),
        }
    }

    async fn read(&mut self) -> Result<(), Halt> {
        self.flush().await?;
        let deadline = self.deadline();
        let bulk = self.session.is_in_data() || self.session.is_swallowing();
        let read = async {
            match bulk {
                true => input::data(&mut self.wire, &mut self.input, self.session.receiving().unwrap_or_default()).await,
                false => input::commands(&mut self.wire, &mut self.input).await,
            }
        };
        let read = tokio::select! {
            biased;
            () = self.shared.shutdown.cancelled(), if self.session.is_idle() => return Err(Halt::ShuttingDown),
            read = timeout_at(deadline, read) => read,
        };
        match read.map_err(|_elapsed| Halt::TimedOut)?? {
            0 => Err(Halt::Gone),
            _ => Ok(()),
        }
    }

    /// When we stop waiting for the client.
    fn deadline(&self) -> Instant {
        let limits = &self.shared.limits;
        let silence = Instant::now() + limits.data_idle.0;
        if self.session.is_in_data() {
            return silence.min(self.data.since + limits.data_time.0);
        }
        let whole = match self.session.is_swallowing() {
            true => silence.min(self.waiting_since + limits.data_time.0),
            false => self.waiting_since + limits.command_time.0,
        };
        whole.min(self.began + limits.session_time.0)
    }

    /// Sends all replies there are, in one write.
    async fn flush(&mut self) -> Result<(), Halt> {
        let output = self.session.take_output();
        if output.is_empty() {
            return Ok(());
        }
        let write = async {
            self.wire.write_all(&output).await?;
            self.wire.flush().await
        };
        // Somebody who does not read our replies will not read a 421 either.
        timeout(self.shared.limits.command_time.0, write).await.map_err(|_elapsed| Halt::Gone)??;
        self.waiting_since = Instant::now();
        Ok(())
    }

    /// Whether a recipient is taken: by our own rules, and where its route wants that by the next hop's.
    async fn recipient(&mut self, path: &ForwardPath) {
        let (decision, callout) = {
            let routes = self.shared.accept.routes();
            let decision = relay::decide(&routes, self.port.inbound, &self.shared.hostname, path);
            let route = decision.as_ref().ok().and_then(|recipient| routes.get(&recipient.route));
            (decision, route.is_some_and(|route| route.callout))
        };
        let answer = match decision {
            Err(refusal) => Err(self.recipient_refused(path.address(), refusal.reason(), refusal.reply(), None)),
            Ok(recipient) if !callout => Ok(recipient),
            Ok(recipient) => Box::pin(self.call_out(&recipient)).await.map_err(|words| {
                let reply = replies::refused_by_next_hop(words.code, words.enhanced.as_deref());
                self.recipient_refused(Some(&recipient.address), "callout", reply, Some(&words))
            }),
        };
        self.session.recipient(answer);
    }

    /// What the next hop says about a recipient. One that takes too long to answer keeps nobody out.
    async fn call_out(&self, recipient: &Recipient) -> Result<Recipient, HopReply> {
        let limit = self.shared.limits.callout_time.0;
        timeout(limit, self.shared.accept.verify(recipient.clone())).await.unwrap_or_else(|_elapsed| {
            tracing::warn!(recipient = %recipient.address, route = %recipient.route, ?limit, "call-out took too long; the recipient is taken unasked");
            Ok(recipient.clone())
        })
    }

    /// Counts, logs and records a refused recipient; gives the reply with the id under which that is found. `words`: the
    /// next hop's, which are not the client's to hear.
    fn recipient_refused(&self, address: Option<&Address>, reason: &'static str, reply: Reply, words: Option<&HopReply>) -> Reply {
        count_recipient(reason);
        let (id, sender) = (MessageId::new(), self.session.sender().map(tracing::field::display));
        let (listener, recipient) = (&self.port.name, address.map_or("postmaster", Address::as_str));
        let next_hop = words.map(tracing::field::display);
        tracing::info!(%id, %listener, peer = %self.peer, sender, recipient, reason, next_hop, "recipient refused");
        let reply = Reply { text: format!("{} ({id})", reply.text), ..reply };
        let said = words.map_or(String::new(), |words| format!("; the next hop said: {words}"));
        self.turned_away(id, address.cloned().into_iter().collect(), format!("{reply}{said}"));
        reply
    }

    /// Has it written down that the open transaction got no further for these recipients.
    fn turned_away(&self, id: MessageId, recipients: Vec<Address>, reply: String) {
        let Some((hello, _)) = self.session.transaction() else { return };
        let sender = self.session.sender().cloned().unwrap_or_default();
        let origin = self.origin(hello.clone(), false);
        self.shared.accept.turned_away(id, TurnedAway { origin, sender, recipients, reply });
    }

    fn origin(&self, hello: Hello, normalised: bool) -> Origin {
        Origin {
            listener: self.port.name.clone(),
            peer: Some(self.peer),
            helo: hello.name,
            esmtp: hello.esmtp,
            tls: self.tls.clone(),
            normalised,
        }
    }

    async fn begin_data(&mut self) {
        if !self.shared.budget.grow(&mut self.held, 1).await {
            count_data("memory");
            let sender = self.session.sender().map(tracing::field::display);
            let id = MessageId::new();
            tracing::info!(%id, listener = %self.port.name, peer = %self.peer, sender, reason = "memory", "message deferred at DATA");
            let reply = replies::no_memory(Some(id));
            let recipients = self.session.transaction().map(|(_, recipients)| recipients).unwrap_or_default();
            self.turned_away(id, recipients.iter().map(|recipient| recipient.address.clone()).collect(), reply.to_string());
            return self.session.refuse_data(&reply);
        }
        self.data = DataClock { since: Instant::now(), at: Timestamp::now() };
        self.session.begin_data(MessageId::at(self.data.at));
    }

    /// Hands the message over and waits for its reply. The memory is held until then.
    async fn settle(&mut self, received: Received) -> Result<(), Halt> {
        let Received { id, hello, envelope, raw, normalised } = received;
        let receiving = self.data.since.elapsed();
        metrics::histogram!("mailweir_receive_seconds").record(receiving.as_secs_f64());
        self.flush().await?;
        if self.input.is_empty() {
            self.input = BytesMut::new(); // hundreds may wait here for a next hop
        }
        let origin = self.origin(hello, normalised);
        let incoming = Incoming { id, origin, envelope, raw, received_at: self.data.at, receiving };
        let reply = Box::pin(self.shared.accept.accept(incoming)).await; // its way is long: not room for an idle session to keep
        self.session.settle(&reply);
        Ok(())
    }

    /// One line and one count for what the session refused by itself.
    fn refused(&self, refused: &Refused) {
        let (listener, peer) = (&self.port.name, self.peer);
        match refused {
            Refused::Data { id, hello, envelope, fault, reply } => {
                let (reason, sender) = (fault.as_str(), &envelope.sender);
                count_data(reason);
                let recipients = envelope.recipients.iter().map(|recipient| recipient.address.clone()).collect();
                let origin = self.origin(hello.clone(), false);
                let turned = TurnedAway { origin, sender: sender.clone(), recipients, reply: reply.to_string() };
                self.shared.accept.turned_away(*id, turned);
                tracing::info!(%id, %listener, %peer, %sender, reason, ?fault, "message refused at the end of data");
            }
            Refused::Size { sender, size } => {
                count_data("too_big");
                tracing::info!(%listener, %peer, %sender, size, reason = "too_big", "message refused at MAIL");
            }
            Refused::Recipient => count_recipient("too_many"),
        }
    }

    async fn start_tls(&mut self) -> Result<(), Halt> {
        self.flush().await?;
        // The session saw to it that nothing was behind STARTTLS; and if there were, it would not be read under TLS.
        self.input = BytesMut::new();
        let Some(tls) = &self.port.tls else { return Err(Halt::Gone) };
        match timeout(self.shared.limits.tls_time.0, self.wire.secure(tls)).await {
            Ok(Ok(description)) => {
                self.tls = Some(description);
                self.session.secured();
                self.waiting_since = Instant::now();
                Ok(())
            }
            Ok(Err(error)) => {
                tracing::info!(listener = %self.port.name, peer = %self.peer, %error, reason = "tls", "TLS handshake failed");
                Err(Halt::Gone)
            }
            Err(_elapsed) => {
                tracing::info!(listener = %self.port.name, peer = %self.peer, reason = "tls", "TLS handshake took too long");
                Err(Halt::Gone)
            }
        }
    }

    async fn close(&mut self, end: End) -> Result<(), Halt> {
        let reason = match end {
            End::Quit | End::Closed => None,
            End::Commands => Some("commands"),
            End::Errors => Some("errors"),
            End::RefusedRecipients => Some("refused_recipients"),
            End::Messages => Some("messages"),
            End::Http => Some("http"),
            End::TlsHello => Some("tls_hello"),
            End::Injection => Some("injection"),
            End::TooEarly => Some("too_early"),
            End::OutOfStep => Some("out_of_step"),
            End::ChunkSyntax => Some("chunk_syntax"),
            End::OddEnds => Some("bare_line_ends"),
        };
        if let Some(reason) = reason {
            session_refused(&self.port.name, self.peer, reason);
        }
        self.flush().await?;
        farewell(&mut self.wire).await;
        Ok(())
    }

    /// The end of a connection that the session did not ask for.
    async fn halt(&mut self, halt: Halt) {
        let reply = match halt {
            Halt::Gone => None,
            Halt::TimedOut => Some(replies::timed_out()),
            Halt::ShuttingDown => Some(replies::shutting_down()),
        };
        let in_data = self.session.is_in_data();
        if in_data {
            count_data(if reply.is_some() { "timeout" } else { "connection_lost" });
        }
        tracing::debug!(listener = %self.port.name, peer = %self.peer, in_data, reply = reply.as_ref().map(|r| r.code), "connection ended");
        if let Some(reply) = reply {
            self.session.close(&reply);
            let _output_only: Result<(), Halt> = Box::pin(self.close(End::Closed)).await;
        }
    }
}

/// Closes our side and reads what is still coming, for a moment: closing a socket with unread bytes resets it, and the
/// client would lose our last reply.
pub(super) async fn farewell(wire: &mut Wire) {
    let listen = async {
        wire.shutdown().await?;
        let mut left = FAREWELL_BYTES;
        while left > 0 {
            match input::discard(wire).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    let _enough = timeout(FAREWELL, listen).await;
}

fn count_recipient(reason: &'static str) {
    metrics::counter!("mailweir_rejected_recipients_total", "reason" => reason).increment(1);
}

fn count_data(reason: &'static str) {
    metrics::counter!("mailweir_data_refused_total", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;

    fn size<F: Future>(_: impl FnOnce(Box<Connection<Pipeline>>) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand sessions wait most of their time. What an idle one keeps is its task and its connection; all that only
    /// a busy one needs (judging a message, TLS, a farewell) is boxed when it begins.
    #[test]
    fn an_idle_session_is_small() {
        let (task, connection) = (size(|connection| connection.run()), size_of::<Connection<Pipeline>>());
        println!("task {task}, connection {connection} bytes");
        assert!(task <= 1024, "the task of a session takes {task} bytes");
        assert!(connection <= 1024, "a connection takes {connection} bytes");
    }
}
