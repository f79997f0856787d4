//! The sockets: bound before mail is taken, so that an occupied one is an error at start and not a surprise later.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::{TcpListener, UnixListener};
use tokio_util::sync::CancellationToken;

use super::answer::No;
use super::token::{TokenError, Tokens};
use super::who::Peer;
use super::{Desk, Desks, Metrics, Settings, api, health};

/// Why the sockets of people cannot be opened; each text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another gateway has the socket.
    #[error("a gateway already answers at {path}; stop it, or set another admin.socket", path = .0.display())]
    Running(PathBuf),
    /// Something that is no socket lies there.
    #[error("{path} is there and is no socket; move it away, or set another admin.socket", path = .0.display())]
    NotASocket(PathBuf),
    /// The socket cannot be made.
    #[error("admin socket {path}: {source}; its folder must exist and belong to the user who runs the gateway", path = path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("{setting} = \"{address}\": {source}")]
    Address {
        /// `admin.http` or `admin.metrics`.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// HTTP without a token.
    #[error("admin.http = \"{0}\" wants admin.token_file: a file with one `name:token` a line")]
    NoToken(SocketAddr),
    /// The token file is wrong.
    #[error("admin.token_file: {0}")]
    Token(#[from] TokenError),
}

/// The sockets of people, bound.
pub struct Bound {
    socket: PathBuf,
    unix: UnixListener,
    http: Option<(TcpListener, Tokens)>,
    metrics: Option<TcpListener>,
}

impl Bound {
    /// Binds what the settings name.
    ///
    /// # Errors
    /// When a socket is occupied or cannot be made, or HTTP is asked for without tokens.
    pub async fn bind(settings: &Settings) -> Result<Self, BindError> {
        let http = match (settings.http, &settings.token_file) {
            (None, _) => None,
            (Some(address), None) => return Err(BindError::NoToken(address)),
            (Some(address), Some(file)) => {
                let tokens = Tokens::load(file)?;
                if !address.ip().is_loopback() {
                    tracing::warn!(%address, "admin.http is not on loopback: its tokens cross the network unencrypted");
                }
                Some((listen("admin.http", address).await?, tokens))
            }
        };
        let metrics = match settings.metrics {
            Some(address) => Some(listen("admin.metrics", address).await?),
            None => None,
        };
        let unix = bind_unix(&settings.socket)?;
        Ok(Self { socket: settings.socket.clone(), unix, http, metrics })
    }

    /// Where HTTP listens, if it does (the port is known only now where it was 0).
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Where metrics listen, if they do.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `shutdown`; requests under way are finished. Removes the unix socket at the end.
    ///
    /// # Errors
    /// None today: a failed accept is logged and tried again.
    pub async fn serve(self, desk: impl Into<Desks>, exporter: Metrics, shutdown: CancellationToken) -> io::Result<()> {
        let Self { socket, unix, http, metrics } = self;
        let desk: Desks = desk.into();
        let api = api::router(desk.clone());
        let of_unix = api.clone().layer(middleware::from_fn(know_peer)).into_make_service_with_connect_info::<Peer>();
        let unix = axum::serve(unix, of_unix).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        let http = async {
            let Some((listener, tokens)) = http else { return Ok(()) };
            let app = api.clone().layer(middleware::from_fn_with_state(Arc::new(tokens), know_token));
            axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned()).await
        };
        let metrics = async {
            let Some(listener) = metrics else { return Ok(()) };
            let app = monitoring(desk.clone(), exporter.clone());
            axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned()).await
        };
        let done = tokio::try_join!(async { unix.await }, http, metrics, exporter.upkeep(&shutdown)).map(|_| ());
        let _gone = fs::remove_file(&socket);
        done
    }
}

/// `/metrics`, `/healthz`, `/readyz`: nothing that tells of a message, and nothing that changes one.
pub fn monitoring(desk: impl Into<Desks>, exporter: Metrics) -> Router {
    let metrics = move |State(desk): State<Arc<Desk>>| async move {
        let text = exporter.render(&desk.facts().await, jiff::Timestamp::now());
        ([(axum::http::header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(desk.into())
}

async fn know_peer(ConnectInfo(peer): ConnectInfo<Peer>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(peer.name());
    next.run(request).await
}

async fn know_token(State(tokens): State<Arc<Tokens>>, mut request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match tokens.holder(given) {
        Some(by) => {
            request.extensions_mut().insert(by);
            next.run(request).await
        }
        None => {
            let no =
                No::new(StatusCode::UNAUTHORIZED, "no valid token", "send `Authorization: Bearer TOKEN` with a token of admin.token_file");
            ([(WWW_AUTHENTICATE, "Bearer realm=\"mailweir\"")], no).into_response()
        }
    }
}

async fn listen(setting: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| BindError::Address { setting, address, source })
}

/// Binds the unix socket; one that a dead gateway left behind is replaced.
fn bind_unix(path: &Path) -> Result<UnixListener, BindError> {
    let wrong = |source| BindError::Socket { path: path.into(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(BindError::NotASocket(path.into()));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(BindError::Running(path.into()));
        }
        fs::remove_file(path).map_err(wrong)?;
    }
    let listener = UnixListener::bind(path).map_err(wrong)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(wrong)?;
    Ok(listener)
}
