//! `mailweir scan`: findings and the decision for messages in files, without a gateway.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::{CliError, Code, Global, block_on, offline, print_line};
use crate::inspect::{Check, Inspector};
use crate::mail::{Address, Body, Context, Decision, Direction, Disposition, Envelope, Finding, Mode, Origin, Recipient, ReversePath};
use crate::operate::explain::{decision_line, finding_line};
use crate::operate::quarantine::harmless_finding;
use crate::pipeline;
use crate::policy::{self, Circumstances};
use crate::rules::RuleSet;
use crate::setup::{self, Config};

/// Messages scanned side by side.
const AT_ONCE: usize = 4;

/// Arguments of `mailweir scan`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all would be delivered, 1 some would not, 2 a file cannot be read.\n\
    Without a configuration file the defaults are used. Files with LF line ends are scanned with CRLF, as they would come over SMTP.")]
pub struct Args {
    /// Message files, folders of them, or - for standard input
    #[arg(required = true, value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// As mail in this direction: inbound, outbound, internal
    #[arg(long, default_value = "inbound", value_parser = direction)]
    direction: Direction,
    /// The sender, as in MAIL FROM; default <>
    #[arg(long, value_name = "ADDRESS")]
    from: Option<Address>,
    /// The recipient, as in RCPT TO
    #[arg(long, value_name = "ADDRESS", default_value = "recipient@recipient.invalid", hide_default_value = true)]
    to: Address,
    /// Do not ask the virus engines
    #[arg(long)]
    without_antivirus: bool,
}

fn direction(text: &str) -> Result<Direction, String> {
    let all = [Direction::Inbound, Direction::Outbound, Direction::Internal];
    all.into_iter().find(|direction| direction.as_str() == text).ok_or_else(|| "one of inbound, outbound, internal".to_owned())
}

/// What came of one file.
#[derive(Serialize)]
struct Scanned {
    file: String,
    /// Line ends were LF.
    converted: bool,
    size: usize,
    parts: usize,
    decision: Decision,
    findings: Vec<Finding>,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        let files = files(&args.paths)?;
        let bench = Bench::new(&args, global).await?;
        let mut results = stream::iter(files.iter().map(|file| bench.scan(file))).buffered(AT_ONCE);
        let (mut code, mut unread) = (Code::Done, 0);
        while let Some(result) = results.next().await {
            match result {
                Ok(scanned) => {
                    if scanned.decision.disposition != Disposition::Deliver {
                        code = Code::No;
                    }
                    print_line(if global.json { json(&scanned)? } else { text(&scanned) })?;
                }
                Err(why) => {
                    unread += 1;
                    eprintln!("mailweir: {why}");
                }
            }
        }
        if unread > 0 { Err(CliError::new(format!("{unread} file(s) could not be scanned"))) } else { Ok(code) }
    })
}

/// All files that are named or lie in named folders, in order.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let mut folders = vec![path.clone()];
        let first = files.len();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|error| CliError::new(format!("{}: {error}", folder.display())))? {
                let entry = entry?;
                match entry.file_type()? {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file() => files.push(entry.path()),
                    _ => {}
                }
            }
        }
        if let Some(found) = files.get_mut(first..) {
            found.sort();
        }
    }
    Ok(files)
}

/// The checks and the policy, and what mail they are told it is.
struct Bench {
    config: Config,
    mode: Mode,
    inspector: Inspector,
    context: Arc<Context>,
}

impl Bench {
    async fn new(args: &Args, global: &Global) -> Result<Self, CliError> {
        let (mut config, rules) = match setup::find(global.config.as_deref()) {
            Ok(path) => {
                let loaded = setup::load(&path).map_err(|found| offline::problems(&found))?;
                (loaded.config.resolved(&loaded.dir), loaded.rules)
            }
            Err(_no_file) => (Config::default(), Arc::new(RuleSet::embedded())),
        };
        if args.without_antivirus {
            config.inspect.checks.retain(|check| *check != Check::Antivirus);
        }
        let recipient = Recipient { address: args.to.clone(), direction: args.direction, route: "scan".into(), dsn: Default::default() };
        let envelope = Envelope {
            dsn: Default::default(),
            sender: args.from.clone().map_or(ReversePath::Null, ReversePath::Address),
            recipients: vec![recipient],
            body: Body::EightBitMime,
            smtputf8: false,
        };
        let origin = Origin { listener: "scan".into(), peer: None, helo: String::new(), esmtp: true, tls: None, normalised: false };
        let inspector = offline::inspector(&config, rules).await?;
        Ok(Self { mode: config.mode, inspector, context: Arc::new(Context { direction: args.direction, origin, envelope }), config })
    }

    async fn scan(&self, file: &Path) -> Result<Scanned, String> {
        let (path, limits) = (file.to_owned(), self.config.content.clone());
        let work = move || -> std::io::Result<_> {
            let (raw, converted) = crlf(read(&path)?);
            Ok((pipeline::take_apart_alone(raw, &limits), converted))
        };
        let read = tokio::task::spawn_blocking(work).await.map_err(|gone| gone.to_string())?;
        let (message, converted) = read.map_err(|error| format!("{}: {error}", file.display()))?;
        let message = Arc::new(message);
        let findings = self.inspector.run(message.clone(), self.context.clone(), self.mode).await;
        let circumstances = Circumstances { mode: self.mode, unavailable_for: None };
        let decisions = policy::decide(&self.config.policy(), circumstances, &findings, &self.context.envelope.recipients);
        let decision = decisions.into_iter().next().ok_or("no decision")?;
        Ok(Scanned {
            file: file.display().to_string(),
            converted,
            size: message.raw.len(),
            parts: message.parts.len(),
            decision,
            findings: findings.iter().map(harmless_finding).collect(),
        })
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path);
    }
    let mut bytes = Vec::new();
    std::io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes with CRLF line ends, and whether a bare LF had to be made one.
fn crlf(bytes: Vec<u8>) -> (Bytes, bool) {
    let is_bare = |at: usize| at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r');
    let bare = memchr::memchr_iter(b'\n', &bytes).filter(|at| is_bare(*at)).count();
    if bare == 0 {
        return (bytes.into(), false);
    }
    let mut out = Vec::with_capacity(bytes.len() + bare);
    let mut before = 0;
    for byte in &bytes {
        if *byte == b'\n' && before != b'\r' {
            out.push(b'\r');
        }
        out.push(*byte);
        before = *byte;
    }
    (out.into(), true)
}

fn json(scanned: &Scanned) -> Result<String, CliError> {
    serde_json::to_string(scanned).map_err(|error| CliError::new(error.to_string()))
}

fn text(scanned: &Scanned) -> String {
    let converted = if scanned.converted { ", line ends made CRLF" } else { "" };
    let mut lines = vec![
        format!("{}: {}", scanned.file, decision_line(&scanned.decision)),
        format!("  {} bytes, {} parts{converted}", scanned.size, scanned.parts),
    ];
    lines.extend(scanned.findings.iter().map(|finding| format!("  {}", finding_line(finding))));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        for (from, to, converted) in [
            ("a\r\nb\r\n", "a\r\nb\r\n", false),
            ("a\nb\r\n\n", "a\r\nb\r\n\r\n", true),
            ("\n", "\r\n", true),
            ("a\rb", "a\rb", false),
            ("", "", false),
        ] {
            assert_eq!(crlf(from.into()), (Bytes::from(to), converted), "{from:?}");
        }
    }

    #[test]
    fn folders_are_walked_in_order() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("b")).unwrap();
        for name in ["c.eml", "b/2.eml", "a.eml"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let found = files(&[dir.path().to_owned(), PathBuf::from("-")]).unwrap();
        let want = ["a.eml", "b/2.eml", "c.eml"].map(|name| dir.path().join(name));
        assert_eq!(found, [&want[..], &[PathBuf::from("-")]].concat());
    }
}
