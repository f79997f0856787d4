//! Real mail, where a collection of it is at hand: `MAILWEIR_CORPUS` names a folder of messages (any depth, `.eml`). Where it has an
//! `index.tsv` (path and label first), only what is labelled `ham` counts. `MAILWEIR_CORPUS_EVERY` says which share is taken: every n-th.

use std::path::PathBuf;

use super::*;

/// Messages taken, spread over all that are there.
const MESSAGES: usize = 500;

/// Honest messages that may be called ambiguous or reach a limit, of a thousand.
const ODD_OF_1000: usize = 1;

#[test]
fn real_mail_is_taken_apart_without_complaint() {
    let Some(dir) = std::env::var_os("MAILWEIR_CORPUS") else {
        println!("MAILWEIR_CORPUS is not set: no real mail to take apart");
        return;
    };
    let files = ham(dir.into());
    if files.is_empty() {
        println!("MAILWEIR_CORPUS holds no .eml file (it may still be packed): no real mail to take apart");
        return;
    }
    let every = std::env::var("MAILWEIR_CORPUS_EVERY").ok().and_then(|n| n.parse().ok());
    let limits = Limits::default();
    let (mut taken, mut odd) = (0, 0);
    for path in files.iter().step_by(every.unwrap_or(files.len().div_ceil(MESSAGES))) {
        let raw = crlf(&std::fs::read(path).unwrap());
        let message = decompose(raw.into(), &limits);
        check_promises(&message, &limits, &path.to_string_lossy());
        assert!(message.parts.len() > 1 && !message.headers.is_empty(), "{}", path.display());
        let hits: Vec<_> = message.findings.iter().filter(|f| f.code == "mime.ambiguous" || f.code.contains(".limit.")).collect();
        taken += 1;
        odd += usize::from(!hits.is_empty());
        hits.iter().for_each(|hit| println!("{}\t{} ({})\t{}", path.display(), hit.code, hit.class.as_str(), hit.evidence));
    }
    println!("{odd} of {taken} honest messages are ambiguous or reach a limit");
    assert!(odd * 1000 <= (taken * ODD_OF_1000).max(1000), "{odd} of {taken}: they are listed above");
}

/// The messages in `dir`, those labelled ham where there are labels.
fn ham(dir: PathBuf) -> Vec<PathBuf> {
    let Ok(index) = std::fs::read_to_string(dir.join("index.tsv")) else { return files(dir) };
    let row = |line: &str| line.split_once('\t').map(|(path, rest)| (path.to_owned(), rest.starts_with("ham\t")));
    let ham: std::collections::HashMap<String, bool> = index.lines().filter_map(row).collect();
    let is_ham = |path: &PathBuf| {
        let place = path.strip_prefix(&dir).unwrap().to_string_lossy();
        ham.get(place.as_ref()).copied().unwrap_or(false)
    };
    files(dir.clone()).into_iter().filter(is_ham).collect()
}

fn files(dir: PathBuf) -> Vec<PathBuf> {
    let mut dirs = vec![dir];
    let mut files = Vec::new();
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                Some(ending) if ending == "eml" => files.push(path),
                _ if path.is_dir() => dirs.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Line ends as they come over SMTP.
fn crlf(raw: &[u8]) -> Vec<u8> {
    let lines = raw.split(|c| *c == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.collect::<Vec<_>>().join(&b"\r\n"[..])
}
