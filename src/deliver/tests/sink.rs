//! Against a server that we did not write: Postfix's smtp-sink.

use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;

use super::*;

const SINK: &str = "/usr/sbin/smtp-sink";

struct Sink {
    address: SocketAddr,
    dir: tempfile::TempDir,
    _process: tokio::process::Child,
}

impl Sink {
    /// Starts it and waits until it listens.
    async fn start(options: &[&str]) -> Self {
        assert!(Path::new(SINK).exists(), "{SINK} is missing; install it with: apt-get install postfix");
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
        loop {
            // It cannot tell which port it got, so it is given one that is free; should somebody else be quicker, another.
            let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut command = tokio::process::Command::new(SINK);
            if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
                command.args(["-u", "nobody"]);
            }
            command.args(["-d", &format!("{}/mail.", dir.path().display())]).args(options).args([&address.to_string(), "100"]);
            let mut process = command.kill_on_drop(true).stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            while process.try_wait().unwrap().is_none() {
                if tokio::net::TcpStream::connect(address).await.is_ok() {
                    return Self { address, dir, _process: process };
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// The messages it wrote down: after its own header lines, with LF line ends, and with an empty line behind each.
    fn mails(&self) -> Vec<String> {
        std::fs::read_dir(self.dir.path()).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
    }
}

#[tokio::test]
async fn messages_arrive() {
    for options in [&[][..], &["-p", "-8", "-a"], &["-e"]] {
        let sink = Sink::start(options).await;
        let route = route(&[sink.address]);
        let courier = courier(&Settings::default());
        let outcomes = courier.deliver(job(&route, &["x@b.example", "y@b.example"])).await;
        assert_eq!(words(&outcomes), ["delivered 250", "delivered 250"], "{options:?}: {outcomes:?}");
        let mails = sink.mails();
        assert!(mails.len() == 1 && mails[0].ends_with("Received: us\nSubject: x\n\n.dot\n\n"), "{options:?}: {mails:?}");
        assert!(mails[0].contains("X-Rcpt-Args: <x@b.example>\nX-Rcpt-Args: <y@b.example>\n"), "{mails:?}");
        for _ in 0..20 {
            assert_eq!(words(&courier.deliver(job(&route, &["x@b.example"])).await), ["delivered 250"]);
        }
        assert_eq!(courier.hops()[0].connections, 1);
    }
}

#[tokio::test]
async fn refusals_and_endings() {
    for (options, want) in [
        (["-f", "CONNECT"], "deferred 500"),
        (["-r", "CONNECT"], "deferred 450"),
        (["-q", "CONNECT"], "deferred"),
        (["-f", "EHLO"], "delivered 250"),
        (["-f", "MAIL"], "refused 500"),
        (["-r", "MAIL"], "deferred 450"),
        (["-f", "RCPT"], "refused 500"),
        (["-r", "RCPT"], "deferred 450"),
        (["-Q", "RCPT"], "deferred 421"),
        (["-q", "DATA"], "deferred"),
        (["-f", "DATA"], "refused 500"),
        (["-f", "."], "refused 500"),
        (["-r", "."], "deferred 450"),
        (["-Q", "."], "deferred 421"),
        (["-q", "."], "unknown"),
    ] {
        let sink = Sink::start(&options).await;
        let outcomes = courier(&Settings::default()).deliver(job(&route(&[sink.address]), &["x@b.example"])).await;
        assert_eq!(words(&outcomes), [want], "{options:?}: {outcomes:?}");
    }
}
