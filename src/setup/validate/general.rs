//! The settings at the top of the file, and those of log and rules.

use std::net::IpAddr;

use super::Checker;

pub fn check(checker: &mut Checker<'_>) {
    let config = checker.config;
    match hostname_mistake(&config.hostname) {
        Some(what) if config.hostname.is_empty() => checker.error("hostname", what, "hostname = \"mx1.example.org\""),
        Some(what) => checker.error("hostname", format!("hostname \"{}\": {what}", config.hostname), "hostname = \"mx1.example.org\""),
        None => {}
    }
    if config.data_dir.as_os_str().is_empty() {
        checker.error("data_dir", "data_dir is empty", "data_dir = \"/var/lib/mailweir\"");
    }
    if let Some(what) = config.log.mistake() {
        checker.error("log.level", format!("log level \"{}\": {what}", config.log.level), "level = \"info\"");
    }
    for (i, directory) in config.rules.directories.iter().enumerate() {
        let path = checker.resolve(directory);
        if let Err(error) = std::fs::read_dir(&path) {
            let what = format!("cannot read rules in {}: {error}", path.display());
            checker.error(
                &format!("rules.directories[{i}]"),
                what,
                "a directory with rule files (*.toml), readable for the gateway's user",
            );
        }
    }
}

/// What keeps a text from being a full name in the DNS.
fn hostname_mistake(name: &str) -> Option<&'static str> {
    let labels: Vec<&str> = name.split('.').collect();
    if name.is_empty() {
        return Some("hostname is missing: the gateway's full name in the DNS");
    }
    if name.parse::<IpAddr>().is_ok() || name.starts_with('[') {
        return Some("an address is not a name; other mail servers expect the name that the address resolves to");
    }
    if labels.len() < 2 {
        return Some("not a full name: the domain is missing");
    }
    let is_label = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !labels.iter().all(is_label) {
        return Some("not a name in the DNS: letters, digits and hyphens between dots");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostnames() {
        for (name, good) in [
            ("mx1.example.gov.uk", true),
            ("a.b", true),
            ("", false),
            ("localhost", false),
            ("192.0.2.1", false),
            ("[192.0.2.1]", false),
            ("mx_1.example", false),
            ("mx1..example", false),
            ("-mx.example", false),
            ("mx1.example.", false),
            ("mx 1.example", false),
        ] {
            assert_eq!(hostname_mistake(name).is_none(), good, "{name}");
        }
    }
}
