//! What stands in the way of a start is told in one clear line, with what to do; nothing is left behind.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use support::{Gateway, cli};
use tempfile::TempDir;

/// A configuration that starts; `change` breaks it.
fn config(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "hostname = \"mx1.ours.example\"\ndata_dir = \"{folder}/data\"\n\n[[listener]]\nname = \"internet\"\naddress = \"127.0.0.1:0\"\ndirection = \"inbound\"\n\n\
         [[route]]\nname = \"ours\"\ndomains = [\"ours.example\"]\nnext_hops = [\"127.0.0.1:9\"]\n\n[inspect]\nchecks = [\"heuristics\"]\n\n\
         [admin]\nsocket = \"{folder}/admin.sock\"\n\n[log]\nformat = \"json\"\n"
    )
}

/// Starts with a broken configuration: how it ended, and what it said outside the log.
fn fails(folder: &Path, config: &str) -> String {
    let path = folder.join("mailweir.toml");
    std::fs::write(&path, config).unwrap();
    let (code, out, err) = cli(&path, &["serve"]);
    let mut said: Vec<&str> = err.lines().filter(|line| !line.starts_with('{')).collect();
    said.retain(|line| !line.contains(": warning: "));
    assert_eq!(code, 2, "{out}{err}");
    said.join("\n")
}

#[test]
fn what_stands_in_the_way_is_told() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = occupied.local_addr().unwrap().to_string();
    let rows: [(&str, &str, String, &[&str]); 8] = [
        ("unknown setting", "[inspect]", "[inspect]\nchekcs = []".into(), &["mailweir.toml:15:1", "chekcs", "checks"]),
        ("occupied port", "address = \"127.0.0.1:0\"", format!("address = \"{port}\""), &[&port, "in use"]),
        ("unwritable data directory", "/data\"", "/mailweir.toml/data\"".into(), &["mailweir.toml/data"]),
        (
            "missing certificate",
            "direction = \"inbound\"",
            "direction = \"inbound\"\ntls_certificate = \"/nowhere/mx1.crt\"\ntls_key = \"/nowhere/mx1.key\"".into(),
            &["/nowhere/mx1.crt", "mailweir.toml:8:"],
        ),
        (
            "rules directory that is not there",
            "[admin]",
            "[rules]\ndirectories = [\"/nowhere/rules\"]\n[admin]".into(),
            &["/nowhere/rules"],
        ),
        (
            "bad regex",
            "[admin]",
            "[rules]\ndirectories = [\"FOLDER/rules\"]\n[admin]".into(),
            &["rules/own.toml:5:11", "pattern", "unclosed group"],
        ),
        (
            "no such quarantine store",
            "[admin]",
            "[quarantine]\nstore = \"postgres://x\"\n[admin]".into(),
            &["postgres://x", "not built yet", "sled"],
        ),
        ("HTTP for everybody, without tokens", "[admin]", "[admin]\nhttp = \"0.0.0.0:0\"".into(), &["mailweir.toml:18:8", "token_file"]),
    ];
    for (what, old, new, wanted) in rows {
        let folder = TempDir::new().unwrap();
        std::fs::create_dir(folder.path().join("rules")).unwrap();
        let rule = "[[rule]]\nid = \"own.bad\"\nwords = \"A bad pattern\"\nwhere = \"subject\"\npattern = '(unclosed'\nscore = 1.0\nhit = [\"x\"]\nmiss = [\"y\"]\n";
        std::fs::write(folder.path().join("rules/own.toml"), rule).unwrap();
        let new = new.replace("FOLDER", &folder.path().display().to_string());
        let good = config(folder.path());
        assert!(good.contains(old), "{what}: {old:?} is not in the configuration");
        let said = fails(folder.path(), &good.replacen(old, &new, 1));
        for part in wanted {
            assert!(said.contains(part), "{what}: {part:?} is not in:\n{said}");
        }
        assert!(said.lines().count() <= 3, "{what}: more than needed:\n{said}");
    }
}

#[test]
fn an_occupied_address_leaves_nothing() {
    let occupied = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    let good = config(folder.path());
    let said = fails(folder.path(), &good.replacen("127.0.0.1:0", &address, 1));
    assert!(said.contains(&address) && said.contains("internet"), "{said}");
    assert!(!folder.path().join("data").exists(), "the store was not begun");
    assert!(!folder.path().join("admin.sock").exists());
    // What is bound last, too: the store is closed in order and nobody's socket lies about.
    let said = fails(folder.path(), &good.replacen("[admin]", &format!("[admin]\nmetrics = \"{address}\""), 1));
    assert!(said.contains("admin.metrics") && said.contains(&address), "{said}");
    assert!(!folder.path().join("admin.sock").exists());
    assert!(Gateway::start(folder.path(), &good).stop().success(), "nothing stands in the way of the next start");
}

#[test]
fn a_second_gateway_on_the_same_data_is_refused() {
    let folder = TempDir::new().unwrap();
    let first = Gateway::start(folder.path(), &config(folder.path()));
    let second = TempDir::new().unwrap();
    let other = config(folder.path()).replace("admin.sock", "other.sock");
    let said = fails(second.path(), &other);
    assert!(said.contains("data") && said.contains(&first.pid().to_string()), "{said}");
    assert!(first.stop().success(), "the first went on, and ends well");
}

#[test]
fn no_configuration_says_where_it_was_looked_for() {
    let (code, _, err) = cli(Path::new("/nowhere/mailweir.toml"), &["serve"]);
    assert!(code == 2 && err.contains("/nowhere/mailweir.toml"), "{err}");
}

#[test]
fn an_admin_socket_that_another_gateway_answers_at() {
    let folder = TempDir::new().unwrap();
    let _first = Gateway::start(folder.path(), &config(folder.path()));
    let second = TempDir::new().unwrap();
    let said = fails(second.path(), &config(folder.path()).replace("/data\"", "/data2\""));
    assert!(said.contains("a gateway already answers at"), "{said}");
}

#[test]
fn without_its_engine_it_starts_and_says_so() {
    let folder = TempDir::new().unwrap();
    let engine = format!("checks = [\"antivirus\"]\n\n[antivirus]\nengines = [\"clamd:unix:{}/no-clamd.ctl\"]", folder.path().display());
    let gateway = Gateway::start(folder.path(), &config(folder.path()).replace("checks = [\"heuristics\"]", &engine));
    let end = std::time::Instant::now() + support::PATIENCE;
    // There is nothing to be woken by in another process.
    while !gateway.log().contains("this virus engine cannot be used") {
        assert!(std::time::Instant::now() < end, "{}", gateway.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_token_for_loopback_http_is_made_once() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path()).replace("[admin]", "[admin]\nhttp = \"127.0.0.1:0\"");
    let file = folder.path().join("data/admin.tokens");
    assert!(Gateway::start(folder.path(), &config).stop().success());
    let token = std::fs::read(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Gateway::start(folder.path(), &config).stop().success());
    assert_eq!(std::fs::read(&file).unwrap(), token);
}
