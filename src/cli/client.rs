//! The client of the admin API: over the gateway's unix socket, or, where no gateway runs, the same router in this process.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::{CliError, Global};
use crate::admin::answer::Refusal;
use crate::admin::{Desk, Local};
use crate::setup;

/// The longest line that `watch` takes, in bytes; a record with a thousand recipients and findings is far below.
const MAX_LINE: usize = 64 << 20;

/// A way to the API.
pub struct Client(Way);

enum Way {
    Socket(PathBuf),
    Here(Box<Local>),
}

/// An answer of the API.
pub struct Answer {
    status: StatusCode,
    /// As it came.
    pub body: Bytes,
}

/// What an answer says.
pub enum Said<T> {
    /// 2xx, with its value.
    Yes(T),
    /// The request cannot be done: unknown id, released before, refused.
    No(Refusal),
}

impl Answer {
    /// The value, or the refusal.
    ///
    /// # Errors
    /// When the request was wrong (400, 401, 403), the gateway failed, or the answer cannot be read.
    pub fn said<T: DeserializeOwned>(&self) -> Result<Said<T>, CliError> {
        let unreadable = |error| CliError::new(format!("the gateway's answer cannot be read: {error}; is it of the same version?"));
        if self.status.is_success() {
            let body: &[u8] = if self.body.is_empty() { b"null" } else { &self.body };
            return serde_json::from_slice(body).map(Said::Yes).map_err(unreadable);
        }
        let refusal: Refusal = serde_json::from_slice(&self.body).map_err(unreadable)?;
        match self.status {
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => Ok(Said::No(refusal)),
            _ => Err(CliError::new(sentence(&refusal))),
        }
    }

    /// The bytes of a 2xx answer that is no JSON; `None` for any other.
    pub fn bytes(&self) -> Option<&Bytes> {
        self.status.is_success().then_some(&self.body)
    }

    /// The value; a refusal is an error.
    ///
    /// # Errors
    /// As [`Answer::said`], and for a refusal.
    pub fn value<T: DeserializeOwned>(&self) -> Result<T, CliError> {
        match self.said()? {
            Said::Yes(value) => Ok(value),
            Said::No(refusal) => Err(CliError::new(sentence(&refusal))),
        }
    }
}

/// A refusal on one line: what is wrong; what to do.
pub fn sentence(refusal: &Refusal) -> String {
    if refusal.hint.is_empty() { refusal.error.clone() } else { format!("{}; {}", refusal.error, refusal.hint) }
}

impl Client {
    /// Finds the gateway; where none answers, reads the store itself (`--offline` lets it change it too).
    ///
    /// # Errors
    /// When the configuration is broken, the socket cannot be used, or the store not be opened.
    pub async fn new(global: &Global) -> Result<Self, CliError> {
        let socket = socket(global)?;
        match UnixStream::connect(&socket).await {
            Ok(_) => Ok(Self(Way::Socket(socket))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                let desk = super::offline::desk(global, &socket).await?;
                Ok(Self::here(desk))
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(CliError::new(format!(
                "{}: {error}; run it as root, or as a member of the group that the socket belongs to",
                socket.display()
            ))),
            Err(error) => Err(CliError::new(format!("{}: {error}", socket.display()))),
        }
    }

    /// A client of a gateway's socket.
    pub fn at(socket: &Path) -> Self {
        Self(Way::Socket(socket.to_owned()))
    }

    /// The API in this process, as the user who runs it.
    pub fn here(desk: Desk) -> Self {
        Self(Way::Here(Box::new(Local::new(desk))))
    }

    /// Whether no gateway is asked.
    pub fn is_offline(&self) -> bool {
        matches!(self.0, Way::Here(_))
    }

    /// GET.
    ///
    /// # Errors
    /// When the gateway goes away.
    pub async fn get(&self, address: &str) -> Result<Answer, CliError> {
        self.call("GET", address, Bytes::new()).await
    }

    /// POST with a JSON body.
    ///
    /// # Errors
    /// When the gateway goes away.
    pub async fn post(&self, address: &str, body: &impl Serialize) -> Result<Answer, CliError> {
        let body = serde_json::to_vec(body).map_err(|error| CliError::new(error.to_string()))?;
        self.call("POST", address, body.into()).await
    }

    async fn call(&self, method: &str, address: &str, body: Bytes) -> Result<Answer, CliError> {
        match &self.0 {
            Way::Socket(socket) => {
                let response = send(socket, request(method, address, body)?).await?;
                let status = response.status();
                let body = response.into_body().collect().await.map_err(gone)?.to_bytes();
                Ok(Answer { status, body })
            }
            Way::Here(local) => {
                let (status, body) = local.call(method, address, body).await.map_err(CliError::new)?;
                let status = StatusCode::from_u16(status).map_err(|error| CliError::new(error.to_string()))?;
                Ok(Answer { status, body })
            }
        }
    }

    /// GET of an endless answer: `line` is called for each line until the gateway ends it or `line` fails.
    ///
    /// # Errors
    /// What `line` says, or when the gateway refuses or goes away.
    pub async fn lines(&self, address: &str, mut line: impl FnMut(&[u8]) -> Result<(), CliError>) -> Result<(), CliError> {
        let Way::Socket(socket) = &self.0 else {
            return Err(CliError::new("no gateway is running: there is nothing to watch"));
        };
        let response = send(socket, request("GET", address, Bytes::new())?).await?;
        let status = response.status();
        let mut body = response.into_body();
        if !status.is_success() {
            let body = body.collect().await.map_err(gone)?.to_bytes();
            return Answer { status, body }.value();
        }
        let mut rest = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(gone)?.into_data() else { continue };
            rest.extend_from_slice(&data);
            while let Some(end) = memchr::memchr(b'\n', &rest) {
                line(rest.split_to(end + 1).trim_ascii())?;
            }
            if rest.len() > MAX_LINE {
                return Err(CliError::new("the gateway sends a line without end; is it of the same version?"));
            }
        }
        Ok(())
    }
}

fn request(method: &str, address: &str, body: Bytes) -> Result<Request<Full<Bytes>>, CliError> {
    let request = Request::builder().method(method).uri(address).header("host", "mailweir").header("content-type", "application/json");
    request.body(Full::new(body)).map_err(|error| CliError::new(format!("{address}: {error}")))
}

async fn send(socket: &Path, request: Request<Full<Bytes>>) -> Result<hyper::Response<Incoming>, CliError> {
    let stream = UnixStream::connect(socket).await.map_err(|error| CliError::new(format!("{}: {error}", socket.display())))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(gone)?;
    // Ends with the connection; its error is the request's too.
    tokio::spawn(connection);
    sender.send_request(request).await.map_err(gone)
}

fn gone(error: hyper::Error) -> CliError {
    CliError::new(format!("the gateway did not answer to the end: {error}; see its log"))
}

/// Where the socket is: from the configuration, or the default where there is none.
fn socket(global: &Global) -> Result<PathBuf, CliError> {
    match setup::find(global.config.as_deref()) {
        Err(_no_file) => Ok(crate::admin::Settings::default().socket),
        Ok(path) => setup::admin_socket(&path).map_err(|problems| super::offline::problems(&problems)),
    }
}
