//! The documents say what the program does: names and codes that it has stand there.
#![allow(clippy::unwrap_used)]

use std::path::Path;

fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

#[test]
fn what_is_opened_is_listed_in_its_own_words() {
    let page = page("docs/opened.md");
    for (name, words) in mailweir::content::methods() {
        assert!(page.contains(&format!("| `{name}` | {words} |")), "docs/opened.md lacks: | `{name}` | {words} |");
    }
}

/// Codes in the source: a string literal of one of these families.
fn codes(text: &str, found: &mut Vec<String>) {
    for piece in text.split('"').skip(1).step_by(2) {
        let family = ["mime.", "archive.", "doc.", "html."].iter().any(|family| piece.starts_with(family));
        let plain = piece.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.')) && !piece.ends_with('.');
        if family && plain && !found.iter().any(|code| code == piece) {
            found.push(piece.to_owned());
        }
    }
}

#[test]
fn every_finding_of_decomposition_is_explained() {
    let page = page("docs/opened.md");
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/content")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                if !path.ends_with("tests") {
                    folders.push(path);
                }
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
            if !path.ends_with("tests.rs") {
                code.lines().filter(|line| !line.trim_start().starts_with("//")).for_each(|line| codes(line, &mut found));
            }
        }
    }
    assert!(found.len() > 30, "{found:?}");
    let missing: Vec<&String> = found.iter().filter(|code| !page.contains(&format!("`{code}`"))).collect();
    assert!(missing.is_empty(), "docs/opened.md says nothing of {missing:?}");
}
