//! What differs between two configurations, in words, and which of it only a restart can put in force.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::config::Config;

/// Lists whose tables are told apart by their names, not by their places.
const NAMED: [&str; 2] = ["listener", "route"];

/// One line for each difference: `mode: "observe" -> "normal"`, `route "exchange": new`.
pub fn changes(before: &Config, after: &Config) -> Vec<String> {
    let (before, after) = (flat(before), flat(after));
    let tables = |settings: &BTreeMap<Key, String>| -> BTreeSet<String> { settings.keys().filter_map(|key| key.table.clone()).collect() };
    let (had, has) = (tables(&before), tables(&after));
    let mut lines: Vec<String> = has.difference(&had).map(|table| format!("{table}: new")).collect();
    lines.extend(had.difference(&has).map(|table| format!("{table}: gone")));
    let whole = |key: &&Key| key.table.as_ref().is_none_or(|table| had.contains(table) && has.contains(table));
    let keys: BTreeSet<&Key> = before.keys().chain(after.keys()).filter(whole).collect();
    let value = |settings: &BTreeMap<Key, String>, key| settings.get(key).cloned().unwrap_or_else(|| "(not set)".to_owned());
    let pairs = keys.into_iter().map(|key| (key, value(&before, key), value(&after, key)));
    lines.extend(pairs.filter(|(_, before, after)| before != after).map(|(key, before, after)| format!("{key}: {before} -> {after}")));
    lines
}

/// Gives `wanted` the values of `running` where a running gateway cannot change them, and says which of them differed.
pub fn keep(wanted: &mut Config, running: &Config) -> Vec<String> {
    let asked = wanted.clone();
    wanted.hostname.clone_from(&running.hostname);
    wanted.data_dir.clone_from(&running.data_dir);
    wanted.admin = running.admin.clone();
    wanted.journal = running.journal.clone();
    wanted.quarantine = running.quarantine.clone();
    wanted.delivery = running.delivery.clone();
    wanted.limits.memory = running.limits.memory;
    wanted.limits.memory_wait = running.limits.memory_wait;
    let level = std::mem::take(&mut wanted.log.level);
    wanted.log = super::log::LogSettings { level, ..running.log.clone() };
    changes(wanted, &asked)
}

/// The name of a setting: of a table in a named list, or of the file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// `route "groupwise"`.
    table: Option<String>,
    name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.table {
            Some(table) => write!(f, "{table} {}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

fn flat(config: &Config) -> BTreeMap<Key, String> {
    let mut found = BTreeMap::new();
    let Value::Table(tree) = config.tree() else { return found };
    for (name, value) in &tree {
        match value {
            Value::Array(tables) if NAMED.contains(&name.as_str()) => {
                for table in tables {
                    let called = table.get("name").map(Value::to_string).unwrap_or_default();
                    walk(Some(&format!("{name} {called}")), "", table, &mut found);
                }
            }
            value => walk(None, name, value, &mut found),
        }
    }
    found
}

fn walk(table: Option<&str>, path: &str, value: &Value, found: &mut BTreeMap<Key, String>) {
    match value {
        Value::Table(inner) => {
            for (name, value) in inner {
                let dot = if path.is_empty() { "" } else { "." };
                walk(table, &format!("{path}{dot}{name}"), value, found);
            }
        }
        value => {
            found.insert(Key { table: table.map(str::to_owned), name: path.to_owned() }, value.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::config::EXAMPLE;
    use crate::setup::load::load_str;

    fn config(from: &str, to: &str) -> Config {
        assert!(EXAMPLE.contains(from), "{from:?}");
        load_str(&EXAMPLE.replacen(from, to, 1), "m.toml").unwrap().config
    }

    #[test]
    fn in_words() {
        let before = config("", "");
        let rows: [(&str, &str, &[&str]); 5] = [
            ("# no such line", "", &[]),
            ("\"5d\"", "\"4d\"", &["route \"internet\" expire: \"5d\" -> \"4d\""]),
            ("mode     = \"normal\"", "mode = \"observe\"", &["mode: \"normal\" -> \"observe\""]),
            (
                "[[route]]",
                "[[route]]\nname = \"first\"\ndomains = [\"first.example\"]\nnext_hops = [\"192.0.2.1\"]\n[[route]]",
                &["route \"first\": new"],
            ),
            ("name      = \"inside\"", "name = \"within\"", &["listener \"within\": new", "listener \"inside\": gone"]),
        ];
        for (from, to, lines) in rows {
            let after = if EXAMPLE.contains(from) { config(from, to) } else { before.clone() };
            assert_eq!(changes(&before, &after), lines, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn what_stays_until_a_restart() {
        let running = config("", "");
        let mut wanted = config("hostname = \"mx1.example.gov.uk\"", "hostname = \"mx2.example.gov.uk\"");
        wanted.mode = crate::mail::Mode::Observe;
        wanted.limits.memory.0 *= 2;
        wanted.log.level = "debug".into();
        wanted.log.keep += 1;
        let kept = keep(&mut wanted, &running);
        let names: Vec<&str> = kept.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["hostname", "limits.memory", "log.keep"], "{kept:?}");
        assert_eq!(wanted.hostname, "mx1.example.gov.uk");
        let names = changes(&running, &wanted);
        assert_eq!(names, ["log.level: \"info\" -> \"debug\"", "mode: \"normal\" -> \"observe\""]);
    }
}
