//! The type of the configuration file: the settings of all parts, composed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Value;

use super::log::LogSettings;
use super::route::RouteSettings;
use crate::admin;
use crate::content;
use crate::deliver;
use crate::gateway::{self, ListenerSettings};
use crate::inspect::{self, antivirus};
use crate::mail::Mode;
use crate::policy;
use crate::store;

/// A small useful configuration: what hints quote, and what `mailweir check` is tried on.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Settings without a default that the small useful one does not have.
const MORE_EXAMPLES: &str = r#"
[[route]]
recipients = "groupwise-users.txt"
connections = 10
rate = 3.0
tls = "required"
username = "mailweir"
password_file = "smart-host-password"
callout = true
[[listener]]
clients = ["10.0.0.20", "10.0.1.0/24"]
line_endings = "refuse"
greet_pause = "5s"
unsynchronised = "note"
tls = "offer"
tls_certificate = "/etc/mailweir/mx1.crt"
tls_key = "/etc/mailweir/mx1.key"
[rules]
directories = ["rules"]
[delivery]
ca_file = "/etc/ssl/certs/ca-certificates.crt"
nameservers = ["192.0.2.53:53"]
[admin]
http = "127.0.0.1:8025"
token_file = "/etc/mailweir/tokens"
metrics = "127.0.0.1:9125"
[log]
directory = "/var/log/mailweir"
[quarantine]
keep_area = { Spam = "14d" }
"#;

/// `[rules]`: rules beside those that come with the program.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesSettings {
    /// Directories with rule files (`*.toml`) of your own. Relative to the configuration file. Default: none.
    pub directories: Vec<PathBuf>,
}

/// The configuration file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The gateway's full name in the DNS, for EHLO and `Received`. No default.
    pub hostname: String,
    /// Where journal, spool, quarantine and records lie. Default: `/var/lib/mailweir`.
    pub data_dir: PathBuf,
    /// How strictly findings are acted on: `normal`, `observe`, `av-only` or `hold-all`. Default: `normal`.
    pub mode: Mode,
    /// Sockets that mail comes in over; at least one.
    #[serde(rename = "listener")]
    pub listeners: Vec<ListenerSettings>,
    /// Which recipients go to which mail servers; at least one.
    #[serde(rename = "route")]
    pub routes: Vec<RouteSettings>,
    /// Which checks run.
    pub inspect: inspect::Settings,
    /// Which attachments and texts may pass.
    pub suitability: inspect::content::Settings,
    /// What one message may cost to take apart.
    pub content: content::Limits,
    /// Virus engines, and what their answers lead to.
    pub antivirus: antivirus::Settings,
    /// Score thresholds, and what to do with each class of finding.
    pub policy: policy::Settings,
    /// Connections, sizes and times of mail that comes in.
    pub limits: gateway::Limits,
    /// Mail that goes out: encryption, name servers, times.
    pub delivery: deliver::Settings,
    /// Held mail: where its index lies, and how long it is kept.
    pub quarantine: store::Settings,
    /// The journal that accepted mail is synced to.
    pub journal: store::JournalSettings,
    /// Sockets of people and monitors.
    pub admin: admin::Settings,
    /// Rules of your own.
    pub rules: RulesSettings,
    /// Log lines.
    pub log: LogSettings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: String::new(),
            data_dir: PathBuf::from("/var/lib/mailweir"),
            mode: Mode::default(),
            listeners: Vec::new(),
            routes: Vec::new(),
            inspect: inspect::Settings::default(),
            suitability: inspect::content::Settings::default(),
            content: content::Limits::default(),
            antivirus: antivirus::Settings::default(),
            policy: policy::Settings::default(),
            limits: gateway::Limits::default(),
            delivery: deliver::Settings::default(),
            quarantine: store::Settings::default(),
            journal: store::JournalSettings::default(),
            admin: admin::Settings::default(),
            rules: RulesSettings::default(),
            log: LogSettings::default(),
        }
    }
}

impl Config {
    /// Puts in what depends on other settings.
    pub fn fill(&mut self) {
        self.routes.iter_mut().for_each(RouteSettings::fill);
    }

    /// The same with every path that is not absolute beginning at `dir`, the configuration file's directory.
    #[must_use]
    pub fn resolved(&self, dir: &Path) -> Self {
        let mut config = self.clone();
        let join = |path: &mut PathBuf| *path = dir.join(&*path);
        join(&mut config.data_dir);
        config.log.directory.iter_mut().for_each(join);
        for listener in &mut config.listeners {
            listener.tls_certificate.iter_mut().chain(&mut listener.tls_key).for_each(join);
        }
        config.routes.iter_mut().flat_map(|route| route.recipients.iter_mut().chain(&mut route.password_file)).for_each(join);
        config.admin.token_file.iter_mut().chain([&mut config.admin.socket]).for_each(join);
        config.rules.directories.iter_mut().chain(&mut config.delivery.ca_file).for_each(join);
        for engine in &mut config.antivirus.engines {
            if let Some(lists) = engine.strip_prefix("builtin:").filter(|lists| !lists.is_empty()) {
                *engine = format!("builtin:{}", dir.join(lists).display());
            }
        }
        config
    }

    /// The policy's settings, with those that stand in `[antivirus]`.
    pub fn policy(&self) -> policy::Settings {
        let antivirus = &self.antivirus;
        policy::Settings {
            on_unavailable: antivirus.on_unavailable,
            unavailable_hold_after: antivirus.unavailable_hold_after,
            on_unscannable: antivirus.on_unscannable,
            on_encrypted: antivirus.on_encrypted,
            on_malware_inbound: antivirus.on_malware_inbound,
            on_malware_outbound: antivirus.on_malware_outbound,
            on_suspicious: antivirus.on_suspicious,
            on_unwanted: antivirus.on_unwanted,
            ..self.policy.clone()
        }
    }

    /// All settings as a tree of values, by the names of the file.
    pub fn tree(&self) -> Value {
        Value::try_from(self).unwrap_or_else(|_| Value::Table(toml::Table::new()))
    }
}

/// For each setting a value that could be written: the default, or what [`EXAMPLE`] has.
pub fn examples() -> Value {
    let mut defaults = Config { routes: vec![RouteSettings::default()], ..Config::default() }.tree();
    for text in [MORE_EXAMPLES, EXAMPLE] {
        if let Ok(example) = toml::from_str::<Value>(text) {
            overlay(&mut defaults, example);
        }
    }
    defaults
}

/// Puts `over` on top of `under`; of lists of tables, everything in `over` goes into the one table of `under`.
fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Table(under), Value::Table(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(there) => overlay(there, value),
                    None => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(under), Value::Array(over)) if under.first().is_some_and(Value::is_table) => {
            // The first one's values are kept.
            for value in over.into_iter().rev() {
                if let Some(first) = under.first_mut() {
                    overlay(first, value);
                }
            }
        }
        (under, over) => *under = over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_have_every_setting() {
        let examples = examples();
        assert_eq!(examples["route"][0]["unknown_user"].as_str(), Some("exchange"));
        assert_eq!(examples["route"][0]["name"].as_str(), Some("groupwise"));
        assert_eq!(examples["log"]["format"].as_str(), Some("text"));
        assert_eq!(examples["hostname"].as_str(), Some("mx1.example.gov.uk"));
    }
}
