//! What the whole-gateway tests share: the real binary as a gateway, a real clamd, stand-in mail servers, senders.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, clippy::expect_used)]

pub mod bombs;
pub mod flaky;
pub mod postfix;
pub mod site;
pub mod usage;

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The program under test.
pub const BINARY: &str = env!("CARGO_BIN_EXE_mailweir");

/// The string that every scanner finds, in two pieces so that this file is not found itself.
pub fn eicar() -> Vec<u8> {
    ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-", "ANTIVIRUS-TEST-FILE!$H+H*"].concat().into_bytes()
}

/// A running `mailweir serve`; killed when dropped.
pub struct Gateway {
    child: Child,
    /// Where its listeners, metrics and so on listen, by name.
    pub addresses: HashMap<String, SocketAddr>,
    /// Its configuration file.
    pub config: PathBuf,
    log: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    /// Starts one with this configuration, written to `folder/mailweir.toml`, and waits until all listeners are bound.
    pub fn start(folder: &Path, config: &str) -> Self {
        Self::start_with(folder, config, &[])
    }

    /// The same with environment variables.
    pub fn start_with(folder: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_under(Command::new(BINARY), folder, config, environment)
    }

    /// The same under `command`: the program, or one that is given its name and runs it.
    pub fn start_under(mut command: Command, folder: &Path, config: &str, environment: &[(&str, &str)]) -> Self {
        let path = folder.join("mailweir.toml");
        std::fs::write(&path, config).unwrap();
        command.args(["serve", "--config"]).arg(&path).stdout(Stdio::null());
        command.envs(environment.iter().copied());
        Self::start_by(command, &path)
    }

    /// The same by a command of the caller's, which must become the gateway with this configuration.
    pub fn start_by(mut command: Command, path: &Path) -> Self {
        let path = path.to_owned();
        command.stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (tell, hear) = mpsc::channel();
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _nobody_listens_any_more = tell.send(line.clone());
                kept.lock().unwrap().push(line);
            }
        });
        let mut addresses = HashMap::new();
        loop {
            let line = hear.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                let _gone = child.kill();
                panic!("the gateway did not get ready:\n{}", log.lock().unwrap().join("\n"))
            });
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            match event["message"].as_str() {
                Some("listening") => {
                    let name = event["listener"].as_str().unwrap_or_default().to_owned();
                    if let Some(address) = event["address"].as_str().and_then(|text| text.parse().ok()) {
                        addresses.insert(name, address);
                    }
                }
                Some("ready") => break,
                _ => {}
            }
        }
        Self { child, addresses, config: path, log }
    }

    /// Where this listener listens.
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self.addresses.get(listener).unwrap_or_else(|| panic!("no listener {listener}: {:?}", self.addresses))
    }

    /// Runs a subcommand against it: exit code, standard output, standard error.
    pub fn cli(&self, arguments: &[&str]) -> (i32, String, String) {
        cli(&self.config, arguments)
    }

    /// Runs a subcommand with `--json` and reads what it prints.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let (code, out, err) = self.cli(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?} gave {code}, {error}: {out}\n{err}"))
    }

    /// Everything it wrote to its log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still alive.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// SIGKILL: no warning, no drain.
    pub fn kill(mut self) {
        let _dead_already = self.child.kill();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn stop(self) -> std::process::ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Sends it a signal (`HUP`).
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// How it ended, once it has.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    /// Waits until its log has `count` lines with this in them; gives the last of them.
    pub fn wait_for_lines(&self, part: &str, count: usize) -> String {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().filter(|line| line.contains(part)).nth(count.saturating_sub(1)) {
                return line.to_owned();
            }
            assert!(std::time::Instant::now() < end, "no {part:?} in the log:\n{log}");
            // There is nothing to be woken by in another process.
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The same for the first such line.
    pub fn wait_for(&self, part: &str) -> String {
        self.wait_for_lines(part, 1)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}

/// Runs a subcommand with this configuration.
pub fn cli(config: &Path, arguments: &[&str]) -> (i32, String, String) {
    // A command that does not end is a failure, not a test that hangs.
    let output = Command::new("timeout").arg("120").arg(BINARY).args(arguments).arg("--config").arg(config).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// A message as seen by the next hop, without the fields that we put on top: what must equal what was sent.
pub fn below_trace(arrived: &[u8]) -> &[u8] {
    let mut rest = arrived;
    for field in ["Received:", "X-Mailweir-Id:", "X-Mailweir-Verdict:"] {
        if !rest.starts_with(field.as_bytes()) {
            continue;
        }
        let mut end = 0;
        loop {
            end += rest[end..].windows(2).position(|two| two == b"\r\n").unwrap() + 2;
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        rest = &rest[end..];
    }
    rest
}
