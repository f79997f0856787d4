//! The engine `clamd`: ClamAV's daemon, over a unix or TCP socket, one connection a command (clamd(8): INSTREAM, VERSION).

mod line;
mod reply;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clamav_client::tokio::{get_version, scan_stream};
use futures_util::future::BoxFuture;
use futures_util::stream;

use super::engine::{Answer, Engine, Trouble, TroubleKind, Version, misspelled};
use super::settings::{Settings, SettingsError};
use line::{Address, Dial};

/// How it is written in `engines`.
pub const USAGE: &str = "\"clamd:unix:/path/to/socket\" or \"clamd:tcp:HOST:PORT\"";

/// Bytes in one chunk of INSTREAM: few system calls, and no copy, because it is beyond the write buffer's size.
const CHUNK: usize = 256 * 1024;

/// Whether `rest`, what follows `clamd:`, names a socket.
pub fn check(spec: &str, rest: &str) -> Result<(), SettingsError> {
    address(rest).map(drop).ok_or_else(|| misspelled(spec, USAGE))
}

/// The engine behind the socket that `rest` names.
pub fn build(spec: &str, rest: &str, settings: &Settings) -> Result<Arc<dyn Engine>, SettingsError> {
    let address = address(rest).ok_or_else(|| misspelled(spec, USAGE))?;
    Ok(Arc::new(Clamd { name: spec.to_owned(), address, connect_timeout: settings.connect_timeout.0 }))
}

fn address(rest: &str) -> Option<Address> {
    match rest.split_once(':')? {
        ("unix", path) if !path.is_empty() => Some(Address::Unix(PathBuf::from(path))),
        ("tcp", place) => {
            let (host, port) = place.rsplit_once(':')?;
            let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let host = bracketed.unwrap_or(host);
            let sound = !host.is_empty() && (bracketed.is_some() || !host.contains(':'));
            sound.then(|| Address::Tcp(host.to_owned(), port))
        }
        _ => None,
    }
}

struct Clamd {
    name: String,
    address: Address,
    connect_timeout: Duration,
}

impl Clamd {
    fn dial(&self) -> (Dial<'_>, Arc<AtomicBool>) {
        let hung_up = Arc::new(AtomicBool::new(false));
        (Dial { address: &self.address, timeout: self.connect_timeout, hung_up: hung_up.clone() }, hung_up)
    }

    async fn stream(&self, bytes: Bytes) -> Answer {
        let (dial, hung_up) = self.dial();
        let once = stream::iter([Ok::<_, io::Error>(bytes)]);
        let answer = match scan_stream(once, dial, Some(CHUNK)).await {
            Ok(reply) => reply::answer(&reply),
            Err(error) => Answer::CouldNotTell(trouble(&error)),
        };
        if answer == Answer::Clean && hung_up.load(Ordering::Relaxed) {
            return Answer::trouble(TroubleKind::Malformed, "clamd said OK before it had everything");
        }
        answer
    }

    async fn ask_version(&self) -> Result<Version, Trouble> {
        let (dial, _) = self.dial();
        let reply = get_version(dial).await.map_err(|error| trouble(&error))?;
        reply::version(&reply).ok_or_else(|| {
            let text = String::from_utf8_lossy(&reply).into_owned();
            Trouble::new(TroubleKind::Malformed, format!("what answers there is no clamd: {text:?}"))
        })
    }
}

fn trouble(error: &io::Error) -> Trouble {
    let kind = if error.kind() == io::ErrorKind::TimedOut { TroubleKind::Time } else { TroubleKind::Unavailable };
    Trouble::new(kind, format!("clamd: {error}"))
}

impl Engine for Clamd {
    fn name(&self) -> &str {
        &self.name
    }

    fn scan(&self, bytes: Bytes) -> BoxFuture<'_, Answer> {
        Box::pin(self.stream(bytes))
    }

    fn version(&self) -> BoxFuture<'_, Result<Version, Trouble>> {
        Box::pin(self.ask_version())
    }

    fn has_limits(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
