//! Every setting in force, and where it comes from.

use serde::Serialize;
use toml::Value;

use super::config::Config;
use super::load::Loaded;

/// One setting.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// `route[0].next_hops`.
    pub name: String,
    /// The value, as the file would write it.
    pub value: String,
    /// `mailweir.toml:12`, or `default`.
    pub origin: String,
}

/// All settings by name; of lists of tables, each table for itself.
pub fn effective(loaded: &Loaded) -> Vec<Setting> {
    let mut found = Vec::new();
    walk("", &loaded.config.tree(), &mut |name, value| {
        let origin = loaded.line_of(name).map_or_else(|| "default".to_owned(), |line| format!("{}:{line}", loaded.file));
        found.push(Setting { name: name.to_owned(), value: value.to_string(), origin });
    });
    found
}

/// The settings in force as one text that is the same for the same settings, whatever the file looks like.
pub fn canonical(config: &Config) -> String {
    let mut text = String::new();
    walk("", &config.tree(), &mut |name, value| text.push_str(&format!("{name} = {value}\n")));
    text
}

fn walk(path: &str, value: &Value, visit: &mut dyn FnMut(&str, &Value)) {
    match value {
        Value::Table(table) if !table.is_empty() => {
            for (key, inner) in table {
                let dot = if path.is_empty() { "" } else { "." };
                walk(&format!("{path}{dot}{key}"), inner, visit);
            }
        }
        Value::Array(list) if list.first().is_some_and(Value::is_table) => {
            for (i, inner) in list.iter().enumerate() {
                walk(&format!("{path}[{i}]"), inner, visit);
            }
        }
        value => visit(path, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::config::EXAMPLE;
    use crate::setup::load::load_str;

    #[test]
    fn values_and_origins() {
        let settings = effective(&load_str(EXAMPLE, "m.toml").unwrap());
        let of = |name: &str| settings.iter().find(|setting| setting.name == name).map(|s| (s.value.as_str(), s.origin.as_str())).unwrap();
        assert_eq!(of("hostname"), ("\"mx1.example.gov.uk\"", "m.toml:2"));
        assert_eq!(of("log.format"), ("\"text\"", "default"));
        assert_eq!(of("route[1].connections"), ("15", "default"));
        assert_eq!(of("route[2].retry").0, "[\"1m\", \"5m\", \"15m\", \"1h\"]");
    }

    #[test]
    fn canonical_text_does_not_depend_on_spelling() {
        let one = load_str(EXAMPLE, "a.toml").unwrap();
        let other = load_str(&format!("# comment\n{}", EXAMPLE.replace("\"5d\"", "\"120h\"")), "b.toml").unwrap();
        let different = load_str(&EXAMPLE.replace("\"5d\"", "\"4d\""), "a.toml").unwrap();
        assert_eq!(canonical(&one.config), canonical(&other.config));
        assert_eq!(one.version, other.version);
        assert_ne!(one.version, different.version);
        assert_ne!(canonical(&one.config), canonical(&different.config));
    }
}
