//! The type of the configuration file: the settings of all parts, composed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Value;

use super::log::LogSettings;
use super::route::RouteSettings;
use crate::mail::Mode;
use crate::policy;

/// A small useful configuration: what hints quote, and what `mailweir check` is tried on.
pub const EXAMPLE: &str = include_str!("example.toml");

/// Settings without a default that the small useful one does not have.
const MORE_EXAMPLES: &str = r#"
[[route]]
recipients = "groupwise-users.txt"
connections = 10
rate = 3.0
[rules]
directories = ["rules"]
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
    /// Which recipients go to which mail servers; at least one.
    #[serde(rename = "route")]
    pub routes: Vec<RouteSettings>,
    /// Score thresholds, and what to do with each class of finding.
    pub policy: policy::Settings,
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
            routes: Vec::new(),
            policy: policy::Settings::default(),
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
