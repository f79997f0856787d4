//! A power cut may come right after a 250: what was answered so was synced before. Shown by the system calls of the real binary.
//!
//! strace writes down what the gateway asks of the kernel, in order. For every message that was answered 250 the trace must show, before
//! the answer was written to the client's socket, that the kernel had finished what makes it durable: the write to the journal and its
//! fdatasync (spool, quarantine), that of its own file, of its name and of the journal's word for it (large messages), the record and
//! its fdatasync (discarded), or the next hop's 250 (cut-through). A trace without that evidence, or without the answer, fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::path::Path;
use std::process::Command;

use mailweir::cli::demo::sender::Sender;
use mailweir::cli::demo::stand_in::{Behaviour, StandIn};
use support::{BINARY, Gateway, PATIENCE};
use tempfile::TempDir;

/// What is traced: what writes, reads from the next hop, syncs and names files.
const CALLS: &str =
    "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,read,readv,recvfrom,recvmsg,fsync,fdatasync,rename,renameat,renameat2,link,linkat";

/// One system call: which lines of the trace it began and ended on, its name, what it was asked and what came of it.
#[derive(Debug)]
struct Call {
    began: usize,
    ended: usize,
    name: String,
    /// The descriptor, with what it stands for: `9</data/journal/00000001.seg>`.
    fd: String,
    text: String,
    worked: bool,
}

impl Call {
    fn writes(&self) -> bool {
        ["write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg"].contains(&self.name.as_str())
    }

    fn reads(&self) -> bool {
        ["read", "readv", "recvfrom", "recvmsg"].contains(&self.name.as_str())
    }

    fn syncs(&self) -> bool {
        ["fsync", "fdatasync"].contains(&self.name.as_str())
    }

    fn is_socket(&self) -> bool {
        self.fd.contains("<TCP:")
    }
}

/// Reads what strace wrote: `PID name(fd<what>, …) = result`, or the same cut in two where another thread came between.
fn parse(trace: &str) -> Vec<Call> {
    let mut begun: std::collections::HashMap<(String, String), (usize, String)> = Default::default();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(rest) = rest.strip_prefix("<... ") {
            let Some((name, tail)) = rest.split_once(" resumed>") else { continue };
            if let Some((began, head)) = begun.remove(&(pid.to_owned(), name.to_owned())) {
                calls.extend(call(began, at, &format!("{head}{tail}")));
            }
        } else if let Some(head) = rest.strip_suffix(" <unfinished ...>") {
            let name = head.split('(').next().unwrap_or_default();
            begun.insert((pid.to_owned(), name.to_owned()), (at, head.to_owned()));
        } else {
            calls.extend(call(at, at, rest));
        }
    }
    calls
}

fn call(began: usize, ended: usize, text: &str) -> Option<Call> {
    let (name, arguments) = text.split_once('(')?;
    let (_, result) = text.rsplit_once(" = ")?;
    let fd = arguments.split([',', ')']).next().unwrap_or_default();
    let worked = !result.starts_with('-') && !result.starts_with('?');
    Some(Call { began, ended, name: name.to_owned(), fd: fd.to_owned(), text: text.to_owned(), worked })
}

/// What must have been done before the 250.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    CutThrough,
    Journal,
    OwnFile,
    Discard,
}

/// Where the trace shows that a message was safe: the line on which the last thing needed for it had returned.
fn safe(calls: &[Call], id: &str, way: Way, until: usize) -> Result<usize, String> {
    let before = || calls.iter().filter(move |call| call.worked && call.ended < until);
    // The id is looked for in what was written, not in a name.
    let said = |call: &Call, mark: &str| call.text.split_once('"').is_some_and(|(_, text)| text.contains(mark));
    let written = |file: &str, mark: &str| {
        let write = before().filter(|call| call.writes() && call.fd.contains(file) && said(call, mark)).min_by_key(|call| call.ended);
        write.ok_or(format!("nothing about it was written to {file}"))
    };
    // A sync that began after the write had returned, and returned itself.
    let synced = |write: &Call| {
        let name = write.fd.split_once('<').map_or("", |(_, name)| name);
        let sync =
            before().filter(|call| call.syncs() && call.fd.ends_with(name) && call.began > write.ended).min_by_key(|call| call.ended);
        sync.ok_or(format!("{} was written to and not synced", write.fd))
    };
    let quoted = format!("\\\"id\\\":\\\"{id}\\\"");
    match way {
        Way::Journal => Ok(synced(written(".seg>", &quoted)?)?.ended),
        Way::Discard => Ok(synced(written(".jsonl>", &quoted)?)?.ended),
        Way::OwnFile => {
            let own = format!("/journal/large/.{id}");
            let last = before().filter(|call| call.writes() && call.fd.contains(&own)).max_by_key(|call| call.ended);
            let file = synced(last.ok_or("no file of its own was written")?)?;
            let names = before().filter(|call| call.name.starts_with("rename") || call.name.starts_with("link"));
            let named = names.filter(|call| call.text.contains(&own) && call.began > file.ended).min_by_key(|call| call.ended);
            let named = named.ok_or("its file was not named after the sync")?;
            let folder = before().find(|call| call.syncs() && call.fd.contains("/journal/large>") && call.began > named.ended);
            let folder = folder.ok_or("its folder was not synced after that")?;
            let word = synced(written(".seg>", &quoted)?)?;
            if word.began < folder.ended {
                return Err("the journal spoke of its file before that was safe".into());
            }
            Ok(word.ended)
        }
        Way::CutThrough => {
            let mark = format!("X-Mailweir-Id: {id}");
            let sent = before().find(|call| call.is_socket() && call.writes() && said(call, &mark)).ok_or("it was not sent on")?;
            let socket = |call: &Call| call.is_socket() && call.fd == sent.fd && call.began > sent.ended;
            let heard = before().find(|call| call.reads() && socket(call) && call.text.contains("\"250"));
            Ok(heard.ok_or("the next hop's 250 was not read")?.ended)
        }
    }
}

/// That the message was safe before the client heard 250.
fn prove(calls: &[Call], id: &str, way: Way) -> Result<(), String> {
    let answers = |call: &&Call| call.is_socket() && call.writes() && call.text.contains("\"250 2.0.0") && call.text.contains(id);
    let answer = calls.iter().find(answers).ok_or(format!("{id}: the trace does not show its 250"))?;
    safe(calls, id, way, answer.began)
        .map(|_| ())
        .map_err(|why| format!("{id} ({way:?}): 250 on line {}, and before it {why}", answer.began))
}

const GTUBE: &str = concat!("XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-", "STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");

fn configuration(folder: &Path, hop: &StandIn) -> String {
    let dir = folder.display();
    let rule = "[[rule]]\nid = \"own.hold\"\nwords = \"To be held\"\nwhere = \"subject\"\npattern = 'Bitte aufhalten'\nscore = 9.0\n\
                hit = [\"Bitte aufhalten\"]\nmiss = [\"y\"]\n";
    std::fs::create_dir(folder.join("rules")).unwrap();
    std::fs::write(folder.join("rules/own.toml"), rule).unwrap();
    format!(
        "hostname = \"mx1.ours.example\"\ndata_dir = \"{dir}/data\"\n\
         [[listener]]\nname = \"internet\"\naddress = \"127.0.0.1:0\"\ndirection = \"inbound\"\n\
         [[route]]\nname = \"through\"\ndomains = [\"through.example\"]\nnext_hops = [\"{hop}\"]\nrate = 100000.0\n\
         [[route]]\nname = \"spool\"\ndomains = [\"spool.example\"]\nnext_hops = [\"{hop}\"]\ndelivery = \"spool\"\nrate = 100000.0\n\
         [inspect]\nchecks = [\"heuristics\", \"content\"]\n[rules]\ndirectories = [\"{dir}/rules\"]\n[policy]\non_spam = \"discard\"\n\
         [admin]\nsocket = \"{dir}/admin.sock\"\n[log]\nformat = \"json\"\n",
        hop = hop.address
    )
}

fn message(subject: &str, size: usize) -> Vec<u8> {
    let mut text = format!(
        "From: Ann <ann@partner.example>\r\nTo: bob@ours.example\r\nSubject: {subject}\r\nMessage-ID: <{size}@partner.example>\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\n\r\n"
    );
    if subject == "Werbung" {
        text.push_str(GTUBE);
        text.push_str("\r\n");
    }
    while text.len() < size {
        text.push_str("All is well here, and the weather is as it was.\r\n");
    }
    text.into_bytes()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_250_was_synced_before() {
    let (folder, hop) = (TempDir::new().unwrap(), StandIn::start(Behaviour::default()).await.unwrap());
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-yy", "-e", CALLS, "-e", "abbrev=none", "-e", "signal=none", "-s", "300", "-o"]).arg(&trace).arg(BINARY);
    let able = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let able = able.as_ref().map(|output| (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()));
    assert!(
        matches!(able, Ok((true, _))),
        "strace cannot be used here ({able:?}): install Debian's package strace, and allow ptrace (in a container: --cap-add SYS_PTRACE)"
    );
    let gateway = Gateway::start_under(strace, folder.path(), &configuration(folder.path(), &hop), &[]);
    let rows = [
        (Way::CutThrough, "bob@through.example", "Hello", 2_000, "X"),
        (Way::CutThrough, "bob@through.example", "Hello", 400_000, "X"),
        (Way::Journal, "bob@spool.example", "Hello", 2_000, "spool"),
        (Way::Journal, "bob@spool.example", "Hello", 100_000, "spool"),
        (Way::OwnFile, "bob@spool.example", "Hello", 400_000, "spool"),
        (Way::Journal, "bob@through.example", "Bitte aufhalten", 2_000, "held"),
        (Way::OwnFile, "bob@through.example", "Bitte aufhalten", 400_000, "held"),
        (Way::Discard, "bob@through.example", "Werbung", 2_000, "gone"),
    ];
    let mut senders = tokio::task::JoinSet::new();
    // Side by side, so that many wait for one sync.
    for (way, to, subject, size, _) in rows.iter().cycle().take(5 * rows.len()).copied() {
        let address = gateway.address("internet");
        senders.spawn(async move {
            let mut sender = Sender::connect(address).await.unwrap();
            let (to, message) = ([to], message(subject, size));
            let sent = sender.send("ann@partner.example", &to, &message);
            (way, tokio::time::timeout(PATIENCE, sent).await.unwrap().unwrap())
        });
    }
    let mut answered = Vec::new();
    while let Some(done) = senders.join_next().await {
        let (way, answer) = done.unwrap();
        let text = format!("{answer:?}");
        assert_eq!(answer.code(), 250, "{way:?}: {text}");
        answered.push((way, text));
    }
    // The gateway is the tracer's child; it says its own process id.
    let pid = std::fs::read_to_string(folder.path().join("data/lock")).unwrap();
    assert!(Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
    gateway.wait();
    let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    let without = |left_out: &str| parse(&text.lines().filter(|line| !line.contains(left_out)).collect::<Vec<_>>().join("\n"));
    let (calls, cut) = (parse(&text), ["fdatasync", "fsync", "recvfrom"].map(|left_out| (left_out, without(left_out))));
    for (way, answer) in &answered {
        let id = id_in(answer);
        prove(&calls, &id, *way).unwrap_or_else(|why| panic!("{why}\n{}", about(&text, &id)));
        // The same trace without what makes it safe must not pass.
        for (left_out, calls) in &cut {
            let needed = match way {
                Way::CutThrough => *left_out == "recvfrom",
                Way::OwnFile => *left_out != "recvfrom",
                Way::Journal | Way::Discard => *left_out == "fdatasync",
            };
            assert_eq!(prove(calls, &id, *way).is_err(), needed, "{way:?} without {left_out}");
        }
    }
    for way in [Way::CutThrough, Way::Journal, Way::OwnFile, Way::Discard] {
        assert!(answered.iter().filter(|(seen, _)| *seen == way).count() >= 5, "{way:?}");
    }
}

fn id_in(answer: &str) -> String {
    let words = answer.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .filter(|word| word.len() == 12)
        .find(|word| word.parse::<mailweir::mail::MessageId>().is_ok())
        .unwrap_or_else(|| panic!("no id: {answer}"))
        .to_owned()
}

fn about(trace: &str, id: &str) -> String {
    let lines = trace.lines().enumerate().filter(|(_, line)| line.contains(id));
    lines.map(|(at, line)| format!("{at}: {}\n", line.chars().take(200).collect::<String>())).collect()
}

const GOOD: &str = r#"7 writev(9</d/journal/00000001.seg>, [{iov_base="MWRC", iov_len=4}, {iov_base="{\"id\":\"8M4KX2Q9TZAB\"}", iov_len=9}], 2) = 13
8 recvfrom(12<TCP:[127.0.0.1:25->127.0.0.1:9]>,  <unfinished ...>
7 fdatasync(9</d/journal/00000001.seg> <unfinished ...>
8 <... recvfrom resumed>"QUIT", 4, 0, NULL, NULL) = 4
7 <... fdatasync resumed>) = 0
8 sendto(11<TCP:[127.0.0.1:25->127.0.0.1:7]>, "250 2.0.0 8M4KX2Q9TZAB accepted\r\n", 30, MSG_NOSIGNAL, NULL, 0) = 30
"#;

#[test]
fn the_proof_can_fail() {
    let prove = |trace: &str| prove(&parse(trace), "8M4KX2Q9TZAB", Way::Journal);
    assert_eq!(prove(GOOD), Ok(()));
    let lines: Vec<&str> = GOOD.lines().collect();
    let order = |order: &[usize]| order.iter().map(|at| lines[*at]).collect::<Vec<_>>().join("\n");
    for (what, trace) in [
        ("nothing", String::new()),
        ("no answer", order(&[0, 1, 2, 3, 4])),
        ("no write", order(&[1, 2, 3, 4, 5])),
        ("no sync", order(&[0, 1, 3, 5])),
        ("the sync had not returned", order(&[0, 1, 2, 3, 5, 4])),
        ("the sync began before the write", order(&[2, 0, 4, 5])),
        ("the sync failed", GOOD.replace("resumed>) = 0", "resumed>) = -1 EIO (Input/output error)")),
        ("another file was synced", GOOD.replace("fdatasync(9</d/journal/00000001.seg>", "fdatasync(8</d/journal/00000002.seg>")),
        ("another message was written", GOOD.replace("\\\"8M4KX2Q9TZAB", "\\\"8M4KX2Q9TZAC")),
    ] {
        assert!(prove(&trace).is_err(), "{what}");
    }
}
