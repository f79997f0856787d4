//! A listening socket: bound before anything is served, and the decision who may connect.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Accept;
use crate::smtp::decoder::DataLimits;
use crate::smtp::session::{Encryption, Terms};
use crate::smtp::{Reply, replies};

use super::Shared;
use super::connection::{Connection, farewell};
use super::limits::{Slot, Taken};
use super::networks::Network;
use super::settings::{Limits, ListenerDirection, ListenerSettings, TlsUse, Unsynchronised};
use super::tls::{Tls, Wire};

/// Connections that the kernel keeps for us while we are busy.
const BACKLOG: u32 = 1024;
/// Refusals that are being said at once; what comes above is closed without a word.
const REFUSALS: usize = 256;
/// Pause after accept(2) failed, which it does when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A bound socket and what it was bound for.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    settings: ListenerSettings,
    tls: Option<Tls>,
}

/// Why a listener cannot be had, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program has the port.
    #[error(
        "listener {name:?}: {address} is in use by another program; stop that one (`ss -ltnp` names it), or change the listener's address"
    )]
    InUse {
        /// The listener's.
        name: String,
        /// The address asked for.
        address: SocketAddr,
    },
    /// Ports below 1024 need a privilege.
    #[error(
        "listener {name:?}: not allowed to listen on {address}; start as root or with the capability CAP_NET_BIND_SERVICE \
         (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or use a port above 1023"
    )]
    NotAllowed {
        /// The listener's.
        name: String,
        /// The address asked for.
        address: SocketAddr,
    },
    /// The machine does not have the address.
    #[error("listener {name:?}: this machine has no address {}; `ip address` lists those it has; 0.0.0.0 or [::] stands for all", address.ip())]
    NotHere {
        /// The listener's.
        name: String,
        /// The address asked for.
        address: SocketAddr,
    },
    /// `tls = "require"` and nothing to do it with.
    #[error("listener {name:?}: tls = \"require\" needs a certificate; set tls_certificate and tls_key")]
    NoCertificate {
        /// The listener's.
        name: String,
    },
    /// Anything else.
    #[error("listener {name:?}: cannot listen on {address}: {source}")]
    Other {
        /// The listener's.
        name: String,
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// An address that is ours, and that nobody can connect to yet. Reserve all before anything slow or lasting is begun.
#[derive(Debug)]
pub struct Reserved {
    socket: Socket,
    settings: ListenerSettings,
}

#[derive(Debug)]
enum Socket {
    /// Bound by us.
    Ours(TcpSocket),
    /// Opened by the service manager: it listens already.
    Given(std::net::TcpListener),
}

impl Reserved {
    /// Binds the address without listening on it. Call it inside a Tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(settings: &ListenerSettings) -> Result<Self, BindError> {
        let socket = socket(settings.address).map_err(|error| BindError::of(settings, error))?;
        Ok(Self { socket: Socket::Ours(socket), settings: settings.clone() })
    }

    /// A socket that somebody else opened for this listener. Where it listens goes before the address of the settings.
    pub fn given(settings: &ListenerSettings, socket: std::net::TcpListener) -> Self {
        Self { socket: Socket::Given(socket), settings: settings.clone() }
    }

    /// Listens; connections wait in the kernel until they are served. `tls` is not used where the settings say `tls = "off"`.
    ///
    /// # Errors
    /// When TLS is required and not there, or the system does not let us listen.
    pub fn listen(self, tls: Option<Tls>) -> Result<Listener, BindError> {
        let Self { socket, settings } = self;
        if settings.tls == TlsUse::Require && tls.is_none() {
            return Err(BindError::NoCertificate { name: settings.name });
        }
        let tls = tls.filter(|_| settings.tls != TlsUse::Off);
        let listening = match socket {
            Socket::Ours(socket) => socket.listen(BACKLOG),
            Socket::Given(socket) => socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)),
        };
        let socket = listening.map_err(|error| BindError::of(&settings, error))?;
        Ok(Listener { socket, settings, tls })
    }
}

impl BindError {
    fn of(settings: &ListenerSettings, error: io::Error) -> Self {
        let (name, address) = (settings.name.clone(), settings.address);
        match error.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { name, address },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { name, address },
            io::ErrorKind::AddrNotAvailable => Self::NotHere { name, address },
            _ => Self::Other { name, address, source: error },
        }
    }
}

impl Listener {
    /// Binds the socket and listens; connections wait in the kernel until [`super::serve`] runs. Bind all listeners before serving
    /// any. Call it inside a Tokio runtime.
    ///
    /// # Errors
    /// Those of [`Reserved::bind`] and [`Reserved::listen`].
    pub fn bind(settings: &ListenerSettings, tls: Option<Tls>) -> Result<Self, BindError> {
        Reserved::bind(settings)?.listen(tls)
    }

    /// The address it is bound to; tells the port where the settings say 0.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The listener's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What it was bound for.
    pub fn settings(&self) -> &ListenerSettings {
        &self.settings
    }

    /// The socket, and what its connections share from now on.
    pub(super) fn split<A: Accept>(self, shared: Arc<Shared<A>>) -> (TcpListener, Open<A>) {
        let port = Port::new(self.settings, self.tls, &shared.limits, &shared.hostname);
        (self.socket, Open { port: Arc::new(port), shared })
    }
}

/// What a new connection gets: the listener's terms and what all connections share, both of one configuration. A reload replaces it
/// as one; sessions that have begun keep theirs.
pub(super) struct Open<A> {
    pub(super) port: Arc<Port>,
    pub(super) shared: Arc<Shared<A>>,
}

/// Takes connections until `stop`; then the socket is closed.
pub(super) async fn run<A: Accept>(socket: TcpListener, open: Arc<ArcSwap<Open<A>>>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let Open { port, shared } = &*open.load_full();
        match accepted {
            Ok((socket, peer)) => port.welcome(socket, peer, shared),
            Err(error) => {
                tracing::warn!(listener = %port.name, %error, "cannot take connections; if file descriptors ran out, raise the limit (LimitNOFILE)");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?; // a restart must not wait for the last connections to fade
    socket.bind(address)?;
    Ok(socket)
}

/// What the connections of one listener share.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) name: Arc<str>,
    pub(super) inbound: bool,
    pub(super) terms: Arc<Terms>,
    pub(super) greet_pause: Duration,
    pub(super) tls: Option<Tls>,
    clients: Vec<Network>,
    refusals: Arc<Semaphore>,
}

/// Why somebody may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwelcome {
    NotAClient,
    TooMany,
    TooManyFromPeer,
}

impl Unwelcome {
    fn reason(self) -> &'static str {
        match self {
            Self::NotAClient => "not_a_client",
            Self::TooMany => "connections",
            Self::TooManyFromPeer => "connections_per_peer",
        }
    }

    fn reply(self, peer: IpAddr) -> Reply {
        match self {
            Self::NotAClient => replies::not_a_client(peer),
            Self::TooMany => replies::too_many_connections(),
            Self::TooManyFromPeer => replies::too_many_from_peer(),
        }
    }
}

impl Port {
    pub(super) fn new(settings: ListenerSettings, tls: Option<Tls>, limits: &Limits, hostname: &str) -> Self {
        let encryption = match (&tls, settings.tls) {
            (None, _) | (_, TlsUse::Off) => Encryption::Off,
            (_, TlsUse::Offer) => Encryption::Offered,
            (_, TlsUse::Require) => Encryption::Required,
        };
        let terms = Terms {
            hostname: hostname.to_owned(),
            data: DataLimits { message_size: limits.message_size.0.min(limits.memory.0), line_length: limits.line_length.0 },
            line_endings: settings.line_endings,
            command_line: limits.command_line.bytes(),
            recipients: limits.recipients,
            commands: limits.commands,
            errors: limits.errors,
            refused_recipients: limits.refused_recipients,
            messages: limits.messages_per_connection,
            encryption,
            strict_pipelining: settings.unsynchronised == Unsynchronised::Refuse,
        };
        Self {
            name: settings.name.into(),
            inbound: settings.direction == ListenerDirection::Inbound,
            terms: Arc::new(terms),
            greet_pause: settings.greet_pause.0,
            tls,
            clients: settings.clients,
            refusals: Arc::new(Semaphore::new(REFUSALS)),
        }
    }

    /// Starts a session, or says why not.
    fn welcome<A: Accept>(self: &Arc<Self>, socket: TcpStream, peer: SocketAddr, shared: &Arc<Shared<A>>) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        match self.admit(peer.ip(), shared) {
            Ok(slot) => {
                metrics::counter!("mailweir_connections_total", "listener" => self.name.clone()).increment(1);
                let connection = Connection::new(socket, peer, self.clone(), shared.clone());
                let (hurry, listener) = (shared.hurry.clone(), self.name.clone());
                let open = metrics::gauge!("mailweir_connections", "listener" => self.name.clone());
                shared.tasks.spawn(async move {
                    let _open = OpenGauge::new(open);
                    let _slot = slot;
                    if hurry.run_until_cancelled(connection.run()).await.is_none() {
                        tracing::warn!(%listener, %peer, "session cut: the grace of the shutdown is over");
                    }
                });
            }
            Err(unwelcome) => self.turn_away(socket, peer, unwelcome, shared),
        }
    }

    fn admit<A>(&self, peer: IpAddr, shared: &Shared<A>) -> Result<Slot, Unwelcome> {
        if !self.inbound && !self.clients.iter().any(|network| network.contains(peer)) {
            return Err(Unwelcome::NotAClient);
        }
        shared.slots.take(peer, self.inbound).map_err(|taken| match taken {
            Taken::Total => Unwelcome::TooMany,
            Taken::Peer => Unwelcome::TooManyFromPeer,
        })
    }

    fn turn_away<A: Accept>(&self, socket: TcpStream, peer: SocketAddr, why: Unwelcome, shared: &Shared<A>) {
        session_refused(&self.name, peer, why.reason());
        let Ok(permit) = self.refusals.clone().try_acquire_owned() else { return };
        let mut reply = Vec::new();
        why.reply(peer.ip()).write_to(&mut reply);
        shared.tasks.spawn(async move {
            let _permit = permit;
            let mut wire = Wire::Plain(socket);
            let said = tokio::time::timeout(Duration::from_secs(5), wire.write_all(&reply)).await;
            if matches!(said, Ok(Ok(()))) {
                farewell(&mut wire).await;
            }
        });
    }
}

/// One line and one count for a session that was refused or ended by us.
pub(super) fn session_refused(listener: &str, peer: SocketAddr, reason: &'static str) {
    metrics::counter!("mailweir_sessions_refused_total", "reason" => reason).increment(1);
    tracing::info!(listener, %peer, reason, "session refused");
}

/// Counts a connection as open for as long as it lives.
struct OpenGauge(metrics::Gauge);

impl OpenGauge {
    fn new(gauge: metrics::Gauge) -> Self {
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for OpenGauge {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}
