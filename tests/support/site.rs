//! A small organisation on loopback: GroupWise, Exchange and the internet as stand-ins, a real clamd, and the gateway between them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use mailweir::cli::demo::sender::{Answer, Sender};
use mailweir::cli::demo::stand_in::{Behaviour, StandIn};
use tempfile::TempDir;

use super::{Gateway, PATIENCE};
use mailweir::cli::demo::clamd::Clamd;

/// The organisation. Everything stops when it is dropped.
pub struct Site {
    /// Takes `groupwise.example`.
    pub groupwise: StandIn,
    /// Takes `exchange.example`.
    pub exchange: StandIn,
    /// Takes the rest of the world.
    pub internet: StandIn,
    /// The virus engine.
    pub clamd: Option<Clamd>,
    /// The gateway; `None` while it is stopped.
    pub gateway: Option<Gateway>,
    /// Its configuration.
    pub config: String,
    /// Where it lives.
    pub folder: TempDir,
}

impl Site {
    /// Everything up, with the shipped settings.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Everything up; `extra` is appended to the configuration, and takes the place of tables that it names.
    pub async fn start_with(extra: &str) -> Self {
        let clamd = Clamd::start(&[]).unwrap();
        let engine = clamd.unix();
        Self::build(Some(clamd), &engine, extra).await
    }

    /// Without checks: what only moves mail is tested faster.
    pub async fn start_bare(extra: &str) -> Self {
        Self::build(None, "", &format!("[inspect]\nchecks = []\n{extra}")).await
    }

    async fn build(clamd: Option<Clamd>, engine: &str, extra: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let [groupwise, exchange, internet] = [
            StandIn::start(Behaviour::default()).await.unwrap(),
            StandIn::start(Behaviour::default()).await.unwrap(),
            StandIn::start(Behaviour::default()).await.unwrap(),
        ];
        let config = configuration(folder.path(), &groupwise, &exchange, &internet, engine, extra);
        let gateway = Some(Gateway::start(folder.path(), &config));
        Self { groupwise, exchange, internet, clamd, gateway, config, folder }
    }

    /// The running gateway.
    pub fn gateway(&self) -> &Gateway {
        self.gateway.as_ref().unwrap()
    }

    /// Starts the gateway again, on the same data.
    pub fn restart(&mut self) {
        self.gateway = None;
        self.gateway = Some(Gateway::start(self.folder.path(), &self.config));
    }

    /// Sends one message to the inbound listener.
    pub async fn send(&self, to: &[&str], message: &[u8]) -> Answer {
        self.send_to("internet", "ann@partner.example", to, message).await
    }

    /// Sends one message to a listener.
    pub async fn send_to(&self, listener: &str, from: &str, to: &[&str], message: &[u8]) -> Answer {
        let mut sender = Sender::connect(self.gateway().address(listener)).await.unwrap();
        tokio::time::timeout(PATIENCE, sender.send(from, to, message)).await.unwrap().unwrap()
    }

    /// The ids in the quarantine, newest first.
    pub fn held(&self) -> Vec<String> {
        ids(&self.gateway().json(&["quarantine", "list", "--limit", "1000000"]))
    }

    /// The ids in the spool.
    pub fn spooled(&self) -> Vec<String> {
        ids(&self.gateway().json(&["queue", "list", "--limit", "1000000"]))
    }

    /// The books must balance.
    pub fn audit(&self) {
        let (code, out, err) = self.gateway().cli(&["audit"]);
        assert_eq!(code, 0, "audit: {out}{err}");
    }
}

/// Every `id` in a listing.
pub fn ids(listing: &serde_json::Value) -> Vec<String> {
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            serde_json::Value::Object(fields) => match fields.get("id").and_then(serde_json::Value::as_str) {
                Some(id) => found.push(id.to_owned()),
                None => fields.values().for_each(|value| walk(value, found)),
            },
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(listing, &mut found);
    found
}

fn configuration(folder: &Path, groupwise: &StandIn, exchange: &StandIn, internet: &StandIn, engine: &str, extra: &str) -> String {
    let folder = folder.display();
    let antivirus =
        if extra.contains("[antivirus]") || engine.is_empty() { String::new() } else { format!("[antivirus]\nengines = [\"{engine}\"]\n") };
    format!(
        r#"hostname = "mx1.groupwise.example"
data_dir = "{folder}/data"

[[listener]]
name = "internet"
address = "127.0.0.1:0"
direction = "inbound"

[[listener]]
name = "inside"
address = "127.0.0.1:0"
direction = "outbound"
clients = ["127.0.0.1"]

[[route]]
name = "groupwise"
domains = ["groupwise.example"]
next_hops = ["{groupwise}"]
profile = "groupwise"
unknown_user = "exchange"
rate = 100000.0
retry = ["1s"]

[[route]]
name = "exchange"
domains = ["exchange.example"]
next_hops = ["{exchange}"]
profile = "exchange"
rate = 100000.0
retry = ["1s"]

[[route]]
name = "internet"
domains = ["*"]
next_hops = ["{internet}"]
direction = "outbound"
retry = ["1s"]

[admin]
socket = "{folder}/admin.sock"
metrics = "127.0.0.1:0"

[log]
format = "json"

{antivirus}
{extra}
"#,
        groupwise = groupwise.address,
        exchange = exchange.address,
        internet = internet.address,
    )
}
