//! `mailweir store`: verify and rebuild, with a gateway and without, on a store that is whole and on one that is not.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;

use mailweir::cli::demo::sender::Sender;
use support::{Gateway, PATIENCE, cli};
use tempfile::TempDir;

const HELD: &[u8] = b"From: Ann <ann@partner.example>\r\nSubject: Bitte aufhalten\r\n\r\nHello\r\n";

fn configuration(folder: &Path) -> String {
    let rule = "[[rule]]\nid = \"own.hold\"\nwords = \"To be held\"\nwhere = \"subject\"\npattern = 'Bitte aufhalten'\nscore = 9.0\n\
                hit = [\"Bitte aufhalten\"]\nmiss = [\"y\"]\n";
    std::fs::create_dir_all(folder.join("rules")).unwrap();
    std::fs::write(folder.join("rules/own.toml"), rule).unwrap();
    format!(
        "hostname = \"mx1.ours.example\"\ndata_dir = \"{dir}/data\"\n\
         [[listener]]\nname = \"internet\"\naddress = \"127.0.0.1:0\"\ndirection = \"inbound\"\n\
         [[route]]\nname = \"ours\"\ndomains = [\"ours.example\"]\nnext_hops = [\"127.0.0.1:9\"]\n\
         [inspect]\nchecks = [\"heuristics\", \"content\"]\n[rules]\ndirectories = [\"{dir}/rules\"]\n\
         [quarantine]\nindex_from = 1\n[journal]\ncheckpoint = \"10ms\"\n\
         [admin]\nsocket = \"{dir}/admin.sock\"\n[log]\nformat = \"json\"\n",
        dir = folder.display()
    )
}

async fn hold(gateway: &Gateway, times: usize) {
    for _ in 0..times {
        let mut sender = Sender::connect(gateway.address("internet")).await.unwrap();
        let sent = sender.send("ann@partner.example", &["bob@ours.example"], HELD);
        assert_eq!(tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap().code(), 250);
    }
}

/// There is nothing to be woken by in another process.
fn until(what: &str, done: impl Fn() -> bool) {
    let end = std::time::Instant::now() + PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < end, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verified_and_rebuilt_while_mail_goes_on_and_without_a_gateway() {
    let folder = TempDir::new().unwrap();
    let (config, data) = (configuration(folder.path()), folder.path().join("data"));
    let gateway = Gateway::start(folder.path(), &config);
    hold(&gateway, 5).await;
    until("all are in files", || gateway.json(&["store", "verify"])["files"]["count"] == 5);
    let (code, out, err) = gateway.cli(&["store", "verify"]);
    assert!(code == 0 && out.contains("everything is what was written"), "{out}{err}");
    let (code, out, err) = gateway.cli(&["store", "rebuild"]);
    assert_eq!((code, out.as_str()), (0, "the index is whole\n"), "{err}");
    let verified = gateway.json(&["store", "verify"]);
    assert_eq!((&verified["index_right"], &verified["index"]["state"]), (&5.into(), &"whole".into()), "{verified}");
    // While it runs, a file is damaged and one appears that belongs to nothing.
    let held = data.join("quarantine/Spam");
    let eml = std::fs::read_dir(&held).unwrap().map(|file| file.unwrap().path()).find(|path| path.extension().unwrap() == "eml").unwrap();
    let id = eml.file_stem().unwrap().to_str().unwrap().to_owned();
    let good = std::fs::read(&eml).unwrap();
    std::fs::write(&eml, [&good[..good.len() - 3], b"X\r\n"].concat()).unwrap();
    std::fs::write(data.join("spool/222222222222.eml"), "x").unwrap();
    for running in [true, false] {
        if !running {
            let pid = std::fs::read_to_string(data.join("lock")).unwrap();
            assert!(std::process::Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
            until("it has stopped", || gateway.log().contains("\"stopped\""));
        }
        let (code, out, err) = gateway.cli(&["store", "verify"]);
        assert_eq!(code, 1, "{running}: {out}{err}");
        assert!(out.contains(&format!("DAMAGED {id}: ")), "{running}: {out}");
        // A read-only start lists what it cannot make sense of; a running gateway sees that it belongs to nobody.
        assert!(out.contains("spool/222222222222.eml"), "{running}: {out}");
    }
    gateway.wait();
    std::fs::write(&eml, &good).unwrap();
    std::fs::remove_file(data.join("spool/222222222222.eml")).unwrap();
    let path = folder.path().join("mailweir.toml");
    assert_eq!(cli(&path, &["store", "verify"]).0, 0);
    let (code, _, err) = cli(&path, &["store", "rebuild"]);
    assert!(code == 2 && err.contains("--offline"), "{err}");
    let (code, out, err) = cli(&path, &["store", "rebuild", "--offline"]);
    assert_eq!((code, out.as_str()), (0, "the index is whole\n"), "{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_index_keeps_nobody_from_starting() {
    let folder = TempDir::new().unwrap();
    let (config, index) = (configuration(folder.path()), folder.path().join("data/index.sled"));
    let gateway = Gateway::start(folder.path(), &config);
    hold(&gateway, 3).await;
    until("there is an index", || index.join("db").exists());
    assert!(gateway.stop().success());
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 4] = [
        ("garbage", |index| ["db", "conf"].iter().for_each(|name| std::fs::write(index.join(name), [0xA5; 5000]).unwrap())),
        ("zeros", |index| std::fs::write(index.join("db"), vec![0; 600_000]).unwrap()),
        ("missing", |index| std::fs::remove_dir_all(index).unwrap()),
        ("a file", |index| std::fs::remove_dir_all(index).and_then(|()| std::fs::write(index, "x")).unwrap()),
    ];
    let mut held = 3;
    for (what, damage) in damages {
        damage(&index);
        let gateway = Gateway::start(folder.path(), &config);
        hold(&gateway, 1).await;
        held += 1;
        let listed = gateway.json(&["quarantine", "list"]);
        assert_eq!(listed["messages"].as_array().unwrap().len(), held, "{what}: {listed}");
        until(what, || gateway.json(&["store", "verify"])["index"]["state"] == "whole");
        assert_eq!(gateway.cli(&["store", "verify"]).0, 0, "{what}");
        assert!(gateway.stop().success(), "{what}");
    }
}
