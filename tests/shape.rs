//! Holds the code to the house: floors, homes of foreign crates, documented items, one subject a file.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by floor; imports go down only, and siblings do not know each other.
const FLOORS: [&[&str]; 8] = [
    &["mail"],
    &["smtp", "content", "rules", "learn", "rewrite", "net"],
    &["inspect", "policy", "store", "deliver"],
    &["pipeline"],
    &["operate"],
    &["gateway", "admin"],
    &["setup"],
    &["cli"],
];

/// Crates with a job, and the one place each is used in. A folder, or a file.
const HOMES: &[(&str, &[&str])] = &[
    ("aes", &["content/unpack/zip/crypt"]),
    ("aho_corasick", &["rules/", "inspect/antivirus/builtin"]),
    ("axum", &["admin/", "cli/client"]),
    ("bzip2", &["content/unpack/"]),
    ("cab", &["content/unpack/"]),
    ("cfb", &["content/unpack/"]),
    ("clamav_client", &["inspect/antivirus/clamd"]),
    ("clap", &["cli/"]),
    ("comfy_table", &["cli/"]),
    ("crc32fast", &["store/", "content/unpack/"]),
    ("ctr", &["content/unpack/zip/crypt"]),
    ("deflate64", &["content/unpack/"]),
    ("encoding_rs", &["content/"]),
    ("flate2", &["content/unpack/"]),
    ("hickory_resolver", &["net/"]),
    ("hmac", &["content/unpack/zip/crypt"]),
    ("http_body_util", &["cli/client", "admin/"]),
    ("hyper", &["cli/client", "admin/"]),
    ("hyper_util", &["cli/client", "admin/"]),
    ("infer", &["content/sniff"]),
    ("linkify", &["content/"]),
    ("listenfd", &["setup/sockets"]),
    ("lopdf", &["content/unpack/"]),
    ("lzma_rust2", &["content/unpack/"]),
    ("mail_parser", &["content/mime/"]),
    ("md5", &["inspect/antivirus/builtin"]),
    ("metrics_exporter_prometheus", &["admin/metrics"]),
    ("office_crypto", &["content/unpack/"]),
    ("pbkdf2", &["content/unpack/zip/crypt"]),
    ("ppmd_rust", &["content/unpack/"]),
    ("rcgen", &["net/"]),
    ("regex", &["rules/"]),
    ("regex_syntax", &["rules/"]),
    ("rustls", &["net/"]),
    ("ruzstd", &["content/unpack/"]),
    ("sd_notify", &["setup/service"]),
    ("sevenz_rust2", &["content/unpack/"]),
    ("sha1", &["inspect/antivirus/builtin", "content/unpack/zip/crypt"]),
    ("sled", &["store/index"]),
    ("tokio_rustls", &["net/", "gateway/tls", "deliver/"]),
    ("toml", &["setup/", "rules/"]),
    ("tracing_appender", &["setup/log"]),
    ("tracing_subscriber", &["setup/log"]),
    ("weezl", &["content/unpack/"]),
];

/// Crates that are used everywhere.
const EVERYWHERE: &[&str] = &[
    "arc_swap",
    "bytes",
    "futures_util",
    "jiff",
    "memchr",
    "metrics",
    "rustix",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "tokio",
    "tokio_util",
    "tracing",
];

/// Lines, tests apart, from which a file has two subjects.
const LONGEST: usize = 450;

fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 50, "the sources were found");
    let relative = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    paths.iter().map(|path| (relative(path), fs::read_to_string(path).unwrap())).collect()
}

/// The text without comments and without inline test modules.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Every `crate::name` in the text.
fn crate_paths(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for piece in code.split("crate::").skip(1) {
        if let Some(group) = piece.strip_prefix('{') {
            names.extend(group.split('}').next().unwrap_or_default().split(',').map(|item| first_word(item.trim())));
        } else {
            names.push(first_word(piece));
        }
    }
    names
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn imports_go_down() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let module = path.split(['/', '.']).next().unwrap().to_owned();
        let Some(here) = floor(&module) else {
            assert!(["lib", "main"].contains(&module.as_str()), "{module} stands on no floor");
            continue;
        };
        for name in crate_paths(&code(&text)) {
            let Some(there) = floor(&name) else { continue };
            if name != module && there >= here {
                wrong.push(format!("src/{path} ({module}, floor {here}) uses {name} (floor {there})"));
            }
        }
    }
    assert!(wrong.is_empty(), "imports go down only:\n{}", wrong.join("\n"));
}

#[test]
fn every_crate_has_one_home() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<String> = dependencies.lines().map(|line| line.split([' ', '.', '=']).next().unwrap().replace('-', "_")).collect();
    assert!(names.len() > 20);
    let homes: BTreeMap<&str, &[&str]> = HOMES.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    let sources = sources();
    for name in &names {
        let name = if name == "md_5" { "md5" } else { name };
        for (path, text) in &sources {
            let path_with = |mark: &str| code(text).split(mark).skip(1).count() > 0;
            let uses = path_with(&format!("{name}::")) && code(text).lines().any(|line| names_crate(line, name));
            if !uses {
                continue;
            }
            *used.entry(name.to_owned()).or_default() += 1;
            let at_home =
                EVERYWHERE.contains(&name) || homes.get(name).is_some_and(|homes| homes.iter().any(|home| path.starts_with(home)));
            if !at_home && !is_test(path) {
                wrong.push(format!("src/{path} uses {name}, whose home is {:?}", homes.get(name)));
            }
        }
        if !used.contains_key(name) {
            wrong.push(format!("{name} stands in Cargo.toml and is not used"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether the line names the crate itself, not a module of ours that is called the same.
fn names_crate(line: &str, name: &str) -> bool {
    let mut rest = line;
    while let Some(place) = rest.find(&format!("{name}::")) {
        let before = &rest[..place];
        if !before.ends_with(|c: char| c.is_alphanumeric() || c == '_') && !before.ends_with("::") || before.ends_with(" ::") {
            return true;
        }
        rest = &rest[place + name.len()..];
    }
    false
}

#[test]
fn one_subject_a_file() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|(path, _)| !is_test(path))
        .map(|(path, text)| (path, text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| format!("src/{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "files with more than one subject:\n{}", long.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> =
        sources().into_iter().filter(|(path, text)| !is_test(path) && !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(silent.is_empty(), "files that do not begin with what they are:\n{}", silent.join("\n"));
}

#[test]
fn public_items_are_documented_and_nothing_is_unsafe() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    for lint in ["missing_docs = \"warn\"", "unsafe_code = \"forbid\"", "unwrap_used = \"warn\"", "panic = \"warn\""] {
        assert!(manifest.contains(lint), "{lint} (clippy runs with warnings as errors)");
    }
    let loose: Vec<String> = sources()
        .into_iter()
        .filter(|(path, text)| !is_test(path) && code(text).contains("allow(missing_docs"))
        .map(|(path, _)| path)
        .collect();
    assert!(loose.is_empty(), "{loose:?} switch the lint off");
}

#[test]
fn the_map_is_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let unexplained: Vec<&str> = dependencies
        .lines()
        .map(|line| line.split([' ', '.', '=']).next().unwrap())
        .filter(|name| !map.contains(&format!("`{name}`")))
        .collect();
    assert!(unexplained.is_empty(), "ARCHITECTURE.md does not say why these are there: {unexplained:?}");
    for module in FLOORS.iter().flat_map(|floor| floor.iter()) {
        let built = root.join("src").join(module).exists();
        assert!(!built || map.contains(&format!("{module}/")), "ARCHITECTURE.md does not name {module}/");
    }
}
