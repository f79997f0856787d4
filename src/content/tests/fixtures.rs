//! Every file of `tests/messages`: what stands disguised in it is found, and no cut of it does harm.

use super::*;

const PAYLOAD: &[u8] = b"This line stands for malware; a scanner has to see it???>>>~~~ 3f9c2b71.";

fn files() -> Vec<(String, Vec<u8>)> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/messages");
    let names = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, Vec<u8>)> = names
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() > 50, "fixtures are missing");
    files
}

#[test]
fn each_disguise_is_seen_through() {
    let mut missed = Vec::new();
    for (name, raw) in files() {
        assert!(memchr::memmem::find(&raw, PAYLOAD).is_none(), "{name} shows it openly");
        let message = read(&raw);
        if has(&message, PAYLOAD) == name.starts_with("clean-") {
            missed.push(name);
        } else if name.starts_with("clean-") {
            let grave = message.findings.iter().find(|finding| finding.class != Class::Note || finding.code == "mime.ambiguous");
            assert_eq!(grave, None, "{name}");
        } else {
            assert_eq!(limits_reached(&message), Vec::<&str>::new(), "{name}");
        }
    }
    assert_eq!(missed, Vec::<String>::new());
}

#[test]
fn cut_at_every_byte() {
    let limits = Limits::default();
    for (name, raw) in files() {
        let raw = Bytes::from(raw);
        for end in 0..raw.len() {
            check_promises(&decompose(raw.slice(..end), &limits), &limits, &name);
        }
    }
}

#[test]
fn each_byte_changed() {
    let limits = Limits::default();
    for (name, raw) in files() {
        // One change at a time, over the structure rather than the long encoded bodies.
        for at in 0..raw.len().min(700) {
            let mut changed = raw.clone();
            changed[at] = [b'\n', b'-', b'"', 0xff][at % 4];
            check_promises(&decompose(changed.into(), &limits), &limits, &name);
        }
    }
}
