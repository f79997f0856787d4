//! Who asks: the peer's user name on the unix socket.

use std::fs;
use std::os::unix::fs::MetadataExt;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

/// The name that goes into the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By(pub String);

/// The user at the other end of a unix socket, as the kernel says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self(stream.io().peer_cred().ok().map(|peer| peer.uid()))
    }
}

impl Peer {
    /// The user's name; `uid 1234` where the system has none, `unknown` where the kernel would not say.
    pub fn name(self) -> By {
        By(self.0.map_or_else(|| "unknown".to_owned(), user_name))
    }
}

/// The name of the user who runs this process.
pub fn myself() -> By {
    // The owner of our own entry in /proc is the effective user.
    Peer(fs::metadata("/proc/self").ok().map(|entry| entry.uid())).name()
}

fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_in(&passwd, uid).map_or_else(|| format!("uid {uid}"), str::to_owned)
}

/// Looks `uid` up in the text of a passwd(5) file: `name:password:uid:…`.
fn name_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid) && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n\nbroken\n:x:7::\nann:x:1000:1000::/home/ann:/bin/sh\nlast:x:1001";
        for (uid, want) in [(0, Some("root")), (1000, Some("ann")), (1001, Some("last")), (7, None), (5, None)] {
            assert_eq!(name_in(passwd, uid), want, "{uid}");
        }
        assert_eq!(user_name(4_000_000_000), "uid 4000000000");
        assert_eq!(Peer(None).name(), By("unknown".into()));
        assert_ne!(myself(), By("unknown".into()));
    }
}
