//! Real mail, where a collection of it is at hand: `MAILWEIR_CORPUS` names a folder of messages (any depth, `.eml`).

use std::path::PathBuf;

use super::*;

/// Messages taken, spread over all that are there.
const MESSAGES: usize = 500;

#[test]
fn real_mail_is_taken_apart_without_complaint() {
    let Some(dir) = std::env::var_os("MAILWEIR_CORPUS") else {
        println!("MAILWEIR_CORPUS is not set: no real mail to take apart");
        return;
    };
    let files = files(dir.into());
    assert!(!files.is_empty(), "MAILWEIR_CORPUS holds no .eml file");
    let limits = Limits::default();
    let mut limited = Vec::new();
    for path in files.iter().step_by(files.len().div_ceil(MESSAGES)) {
        let raw = crlf(&std::fs::read(path).unwrap());
        let message = decompose(raw.into(), &limits);
        check_promises(&message, &limits, &path.to_string_lossy());
        assert!(message.parts.len() > 1 && !message.headers.is_empty(), "{}", path.display());
        if !limits_reached(&message).is_empty() {
            limited.push(path.display().to_string());
        }
    }
    assert!(limited.len() <= MESSAGES / 500, "limits reached by real mail: {limited:?}");
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
