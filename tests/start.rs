//! What keeps a gateway from starting: one clear line on stderr, exit code 2, and nothing is lost.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

mod support;

use support::Gateway;

/// A configuration in a folder of its own; `listener` and `rest` are put in where they belong.
fn configuration(folder: &Path, listener: &str, rest: &str) -> String {
    format!(
        "hostname = \"mx1.example.org\"\ndata_dir = \"{0}/data\"\n\
         [[listener]]\nname = \"internet\"\ndirection = \"inbound\"\n{listener}\n\
         [[route]]\nname = \"groupwise\"\ndomains = [\"example.org\"]\nnext_hops = [\"127.0.0.1:9\"]\n\
         [log]\nformat = \"json\"\n[admin]\nsocket = \"{0}/admin.sock\"\n{rest}\n",
        folder.display()
    )
}

const ANY: &str = "address = \"127.0.0.1:0\"";
const BARE: &str = "[inspect]\nchecks = []";

fn serve(folder: &Path, config: &str) -> Output {
    let path = folder.join("mailweir.toml");
    std::fs::write(&path, config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_mailweir")).args(["serve", "--config"]).arg(&path).output().unwrap()
}

/// What is said on stderr when it does not start: the log's lines left out, problems of the configuration in full.
fn refusal(folder: &Path, config: &str) -> String {
    let output = serve(folder, config);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    let said: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    said.join("\n")
}

#[test]
fn an_occupied_port() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let said = refusal(folder.path(), &configuration(folder.path(), &format!("address = \"{address}\""), BARE));
    assert!(said.contains("internet") && said.contains(&address.to_string()) && said.contains("in use"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_data_directory_that_cannot_be_written() {
    let folder = TempDir::new().unwrap();
    // Not even root can make a folder there.
    let config = configuration(folder.path(), ANY, BARE).replace(&format!("{}/data", folder.path().display()), "/proc/mailweir");
    let said = refusal(folder.path(), &config);
    assert!(said.contains("/proc/mailweir") && said.contains("data directory"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_certificate_that_is_not_there() {
    let folder = TempDir::new().unwrap();
    let listener = format!("{ANY}\ntls_certificate = \"mx1.crt\"\ntls_key = \"mx1.key\"");
    let said = refusal(folder.path(), &configuration(folder.path(), &listener, BARE));
    assert!(said.contains("mailweir.toml:7:19: error: cannot read ") && said.contains("mx1.crt"), "{said}");
}

#[test]
fn a_rule_that_cannot_be_read() {
    let folder = TempDir::new().unwrap();
    let rules = folder.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::write(rules.join("local.toml"), "[[rule]]\nid = \"local.x\"\nwords = \"X\"\nwhere = \"subject\"\npattern = \"(\"\n").unwrap();
    let said = refusal(folder.path(), &configuration(folder.path(), ANY, &format!("{BARE}\n[rules]\ndirectories = [\"rules\"]")));
    assert!(said.contains("rules/local.toml:5:"), "{said}");
}

#[test]
fn a_broken_configuration_is_told_in_full() {
    let folder = TempDir::new().unwrap();
    let said = refusal(folder.path(), &configuration(folder.path(), "adress = \"127.0.0.1:0\"", "[limits]\nrecipients = \"many\""));
    assert!(said.contains("did you mean `address`?") && said.contains("`recipients` is the text"), "{said}");
}

#[test]
fn a_store_that_another_gateway_has() {
    let folder = TempDir::new().unwrap();
    let first = Gateway::start(folder.path(), &configuration(folder.path(), ANY, BARE));
    let other = TempDir::new().unwrap();
    let config = configuration(folder.path(), ANY, BARE).replace("admin.sock", "other.sock");
    let said = refusal(other.path(), &config);
    assert!(said.contains("in use") && said.contains(&first.pid().to_string()), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn an_admin_socket_that_another_gateway_answers_at() {
    let folder = TempDir::new().unwrap();
    let _first = Gateway::start(folder.path(), &configuration(folder.path(), ANY, BARE));
    let other = TempDir::new().unwrap();
    let config = configuration(folder.path(), ANY, BARE).replace("/data\"", "/data2\"");
    let said = refusal(other.path(), &config);
    assert!(said.contains("a gateway already answers at"), "{said}");
}

#[test]
fn without_its_engine_it_starts_and_says_so() {
    let folder = TempDir::new().unwrap();
    let engine = format!("[antivirus]\nengines = [\"clamd:unix:{}/no-clamd.ctl\"]", folder.path().display());
    let gateway = Gateway::start(folder.path(), &configuration(folder.path(), ANY, &engine));
    let end = std::time::Instant::now() + support::PATIENCE;
    while !gateway.log().contains("this virus engine cannot be used") {
        assert!(std::time::Instant::now() < end, "{}", gateway.log());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(gateway.stop().success());
}

#[test]
fn a_token_for_loopback_http_is_made_once() {
    let folder = TempDir::new().unwrap();
    let config = configuration(folder.path(), ANY, "http = \"127.0.0.1:0\"\n[inspect]\nchecks = []");
    let file = folder.path().join("data/admin.tokens");
    assert!(Gateway::start(folder.path(), &config).stop().success());
    let token = std::fs::read(&file).unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(Gateway::start(folder.path(), &config).stop().success());
    assert_eq!(std::fs::read(&file).unwrap(), token);
}
