//! Bad configurations, each with what `mailweir check` must print beside it: `NAME.toml` and `NAME.expected`.
//!
//! With `UPDATE=1` in the environment, the expected texts are written anew; look at the difference before you keep them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn check(file: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mailweir"))
        .args(["check", "--config", file])
        .args(arguments)
        .current_dir(directory())
        .output()
        .expect("mailweir runs")
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs")
}

/// The numbers of rules and of the version change with every rule.
fn without_numbers(text: &str) -> String {
    text.lines()
        .map(|line| if line.contains(", version ") { line.split(';').next().unwrap_or(line) } else { line }.to_owned() + "\n")
        .collect()
}

#[test]
fn every_configuration_gives_what_stands_beside_it() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() >= 10, "the configurations are gone");
    let mut wrong = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let output = check(name, &["--files-only"]);
        let got = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let got = without_numbers(&got);
        let code = output.status.code();
        let expected = path.with_extension("expected");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &got).unwrap();
        }
        let want = std::fs::read_to_string(&expected).unwrap_or_default();
        let is_good = name.starts_with("good");
        if got != want || code != Some(i32::from(!is_good)) {
            wrong.push(format!("--- {name}, exit code {code:?}, wanted:\n{want}--- got:\n{got}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn six_mistakes_are_all_named_with_place_and_remedy() {
    let output = check("six.toml", &["--files-only", "--json"]);
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let problems = answer["problems"].as_array().unwrap();
    let places: Vec<(u64, u64)> = problems.iter().map(|p| (p["line"].as_u64().unwrap(), p["column"].as_u64().unwrap())).collect();
    assert_eq!(places, [(2, 12), (5, 1), (8, 14), (12, 14), (18, 16), (19, 1)]);
    assert!(problems.iter().all(|problem| problem["hint"].as_str().is_some_and(|hint| !hint.is_empty())));
    assert_eq!((answer["errors"].as_u64(), output.status.code()), (Some(6), Some(1)));
}

#[test]
fn without_a_file_the_three_places_are_named() {
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_mailweir")).arg("check").current_dir(empty.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    for place in ["--config", "./mailweir.toml", "/etc/mailweir/mailweir.toml"] {
        assert!(text.contains(place), "{text}");
    }
    assert_eq!((text.lines().count(), output.status.code()), (1, Some(2)));
}

#[test]
fn effective_settings_have_their_origin() {
    let output = check("good.toml", &["--files-only", "--effective"]);
    let text = String::from_utf8_lossy(&output.stdout);
    for (setting, origin) in [("hostname = \"mx1.example.gov.uk\" ", "# good.toml:2"), ("log.level = \"info\" ", "# default")] {
        let line = text.lines().find(|line| line.starts_with(setting)).unwrap_or_else(|| panic!("{setting} in {text}"));
        assert!(line.ends_with(origin), "{line}");
    }
}
