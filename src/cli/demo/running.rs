//! A gateway as a process of its own, for the demo: started, asked for its addresses, killed at the end.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// A running `mailweir serve`; killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    addresses: HashMap<String, SocketAddr>,
    /// Its configuration file.
    pub config: PathBuf,
}

impl Gateway {
    /// Writes `config` to `folder/mailweir.toml`, starts this program with it, and waits until it is ready.
    ///
    /// # Errors
    /// What it said before it ended.
    pub fn start(folder: &Path, config: &str) -> Result<Self, String> {
        let path = folder.join("mailweir.toml");
        std::fs::write(&path, config).map_err(|error| format!("{}: {error}", path.display()))?;
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut lines = child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines).map_while(Result::ok);
        let mut gateway = Self { child, addresses: HashMap::new(), config: path };
        let mut said = Vec::new();
        for line in lines.by_ref() {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            match event["message"].as_str() {
                Some("listening") => {
                    let address = event["address"].as_str().and_then(|text| text.parse().ok());
                    gateway.addresses.extend(event["listener"].as_str().map(str::to_owned).zip(address));
                }
                Some("ready") => {
                    // Somebody must read the log, or the gateway would wait for it.
                    std::thread::spawn(move || lines.for_each(drop));
                    return Ok(gateway);
                }
                _ => said.push(line),
            }
        }
        Err(format!("the gateway did not start: {}", said.join("\n")))
    }

    /// Where a listener listens.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn address(&self, listener: &str) -> Result<SocketAddr, std::io::Error> {
        self.addresses.get(listener).copied().ok_or_else(|| std::io::Error::other(format!("the gateway has no listener {listener}")))
    }

    /// What a subcommand prints with `--json`.
    ///
    /// # Errors
    /// The program cannot be run, or prints something else.
    pub fn json(&self, arguments: &[&str]) -> Result<Value, std::io::Error> {
        let output = Command::new(std::env::current_exe()?).args(arguments).arg("--json").arg("--config").arg(&self.config).output()?;
        serde_json::from_slice(&output.stdout).map_err(std::io::Error::other)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_waited = self.child.wait();
    }
}
