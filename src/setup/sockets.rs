//! Sockets that the service manager opened before us (`LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`; sd_listen_fds(3)).
//!
//! A socket belongs to the listener of its name (`FileDescriptorName=`), or else to the one with its address.

use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::gateway::{BindError, ListenerSettings, Reserved};

/// The sockets we were given and have not used.
#[derive(Debug, Default)]
pub struct Given(Vec<One>);

#[derive(Debug)]
struct One {
    name: String,
    address: SocketAddr,
    socket: TcpListener,
}

impl Given {
    /// Takes over what is there. What is no TCP socket is left alone, and the log says so.
    pub fn from_environment() -> Self {
        let mut sockets = ListenFd::from_env();
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut found = Vec::new();
        for place in 0..sockets.len() {
            let name = names.get(place).copied().unwrap_or_default().to_owned();
            let taken = sockets.take_tcp_listener(place).map(|socket| socket.map(|socket| (socket.local_addr(), socket)));
            match taken {
                Ok(Some((Ok(address), socket))) => found.push(One { name, address, socket }),
                Ok(Some((Err(error), _))) | Err(error) => {
                    tracing::warn!(socket = place, name, %error, "a socket of the service manager cannot be used");
                }
                Ok(None) => {}
            }
        }
        Self(found)
    }

    /// The listener's socket: one of ours to give if there is one, else a new one.
    ///
    /// # Errors
    /// When there is none, and the address cannot be bound.
    pub fn reserve(&mut self, settings: &ListenerSettings) -> Result<Reserved, BindError> {
        let by_name = |one: &One| one.name == settings.name;
        let by_address = |one: &One| is_same(one.address, settings.address);
        let place = self.0.iter().position(by_name).or_else(|| self.0.iter().position(by_address));
        let Some(place) = place else { return Reserved::bind(settings) };
        let One { address, socket, .. } = self.0.remove(place);
        tracing::info!(listener = settings.name, %address, "taken over from the service manager");
        if !is_same(address, settings.address) && settings.address.port() != 0 {
            tracing::warn!(listener = settings.name, configured = %settings.address, %address, "the service manager's socket listens elsewhere than the configuration says");
        }
        Ok(Reserved::given(settings, socket))
    }

    /// Names what nobody wanted. It stays open: a reload may want it.
    pub fn tell_the_rest(&self) {
        for One { name, address, .. } in &self.0 {
            tracing::warn!(name, %address, "no listener has the name or address of this socket of the service manager; who connects to it waits in vain");
        }
    }
}

/// All addresses of IPv6 are those of IPv4 too, as long as nothing else is set.
fn is_same(given: SocketAddr, wanted: SocketAddr) -> bool {
    given == wanted || given.port() == wanted.port() && given.ip().is_unspecified() && wanted.ip().is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn by_name_then_by_address() {
        let one = |name: &str| {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            One { name: name.into(), address: socket.local_addr().unwrap(), socket }
        };
        let (a, b) = (one("a"), one("mailweir.socket"));
        let (at_a, at_b) = (a.address, b.address);
        let mut given = Given(vec![a, b]);
        let mut reserve = |name: &str, address: SocketAddr| {
            let text = format!(r#"{{"name":"{name}","address":"{address}","direction":"inbound","tls":"off"}}"#);
            given.reserve(&serde_json::from_str(&text).unwrap()).unwrap().listen(None).unwrap().local_addr().unwrap()
        };
        assert_eq!(reserve("a", at_b), at_a, "the name goes first");
        assert_eq!(reserve("b", at_b), at_b);
        let other: SocketAddr = "127.0.0.1:0".parse().unwrap();
        assert!(![at_a, at_b, other].contains(&reserve("a", other)), "a new one");
        assert!(given.0.is_empty());
    }

    #[test]
    fn all_addresses() {
        let rows = [("[::]:25", "0.0.0.0:25", true), ("[::]:25", "0.0.0.0:26", false), ("[::]:25", "192.0.2.1:25", false)];
        for (given, wanted, same) in rows {
            assert_eq!(is_same(given.parse().unwrap(), wanted.parse().unwrap()), same, "{given} {wanted}");
        }
    }
}
