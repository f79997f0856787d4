//! What we build on: licences that a closed or open site can live with, and one copy of one cryptographic provider.
//! Advisories want a database from the network; `cargo deny check advisories` does that where there is one.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;

/// Each may be had under one of these.
const ALLOWED: [&str; 13] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "BSL-1.0",
    // That of bzip2 itself: permissive, as BSD.
    "bzip2-1.0.6",
    "Apache-2.0 WITH LLVM-exception",
];

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Whether a licence expression can be satisfied: every part joined by AND, one of those joined by OR (`/` is the old way to write it).
fn is_allowed(expression: &str) -> bool {
    let all_of = expression.split(" AND ");
    all_of.into_iter().all(|part| {
        let part = part.replace(['(', ')'], "").replace('/', " OR ");
        part.split(" OR ").any(|licence| ALLOWED.contains(&licence.trim()))
    })
}

#[test]
fn licences() {
    // What other platforms would need has not been downloaded.
    let version = String::from_utf8(Command::new("rustc").arg("-vV").output().unwrap().stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let arguments = ["metadata", "--locked", "--offline", "--format-version", "1", "--filter-platform", host];
    let metadata: Value = serde_json::from_str(&cargo(&arguments)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100);
    let wrong: Vec<String> = packages
        .iter()
        .filter(|package| package["name"] != env!("CARGO_PKG_NAME"))
        .filter(|package| !package["license"].as_str().is_some_and(is_allowed))
        .map(|package| format!("{} {}", package["name"], package["license"]))
        .collect();
    assert!(wrong.is_empty(), "licences that nobody has looked at:\n{}", wrong.join("\n"));
    for (expression, allowed) in [("MIT OR GPL-3.0", true), ("MIT AND GPL-3.0", false), ("AGPL-3.0-only", false), ("Unlicense/MIT", true)] {
        assert_eq!(is_allowed(expression), allowed, "{expression}");
    }
}

#[test]
fn one_cryptographic_provider() {
    let tree = cargo(&["tree", "--locked", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let mut copies: Vec<&str> =
        tree.lines().filter(|line| line.starts_with("aws-lc-sys ") || line.starts_with("ring ") || line.starts_with("openssl")).collect();
    copies.iter_mut().for_each(|line| *line = line.trim_end_matches(" (*)"));
    copies.sort_unstable();
    copies.dedup();
    assert_eq!(copies.len(), 1, "{copies:?}");
    assert!(copies[0].starts_with("aws-lc-sys "), "{copies:?}");
}
