//! `mailweir demo`: a gateway with embedded defaults, stand-in mail servers, a real clamd, and sample mail of every kind through all of it.

pub mod clamd;
pub mod running;
pub mod sender;
pub mod stand_in;

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::table::table;
use super::{CliError, Code, Global};
use clamd::Clamd;
use running::Gateway;
use sender::Sender;
use stand_in::{Behaviour, StandIn};

/// Arguments of `mailweir demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Leave everything running afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

/// A piece of sample mail: what it is, over which listener it comes, from whom, to whom.
struct Sample {
    what: &'static str,
    listener: &'static str,
    from: &'static str,
    to: &'static str,
    bytes: &'static [u8],
}

const ANN: &str = "ann@partner.example";
const BOB: &str = "bob@groupwise.example";
const EVE: &str = "eve@exchange.example";

/// Sample mail of every kind.
const SAMPLES: [Sample; 11] = [
    Sample { what: "clean", listener: "internet", from: ANN, to: BOB, bytes: include_bytes!("mail/clean.eml") },
    Sample { what: "with attachment", listener: "internet", from: ANN, to: BOB, bytes: include_bytes!("mail/attachment.eml") },
    Sample { what: "GroupWise to Exchange", listener: "inside", from: BOB, to: EVE, bytes: include_bytes!("mail/internal.eml") },
    Sample { what: "to the internet", listener: "inside", from: BOB, to: ANN, bytes: include_bytes!("mail/outbound.eml") },
    Sample {
        what: "spam",
        listener: "internet",
        from: "winner8837@lottery-claims.example",
        to: BOB,
        bytes: include_bytes!("mail/spam.eml"),
    },
    Sample { what: "GTUBE", listener: "internet", from: ANN, to: BOB, bytes: include_bytes!("mail/gtube.eml") },
    Sample { what: "EICAR", listener: "internet", from: ANN, to: BOB, bytes: include_bytes!("mail/eicar.eml") },
    Sample { what: "EICAR in a zip", listener: "internet", from: ANN, to: BOB, bytes: include_bytes!("mail/eicar-zip.eml") },
    Sample { what: "forbidden attachment", listener: "internet", from: ANN, to: BOB, bytes: include_bytes!("mail/program.eml") },
    Sample { what: "encrypted zip", listener: "internet", from: ANN, to: BOB, bytes: include_bytes!("mail/encrypted-zip.eml") },
    Sample {
        what: "unknown domain",
        listener: "internet",
        from: ANN,
        to: "carl@elsewhere.example",
        bytes: include_bytes!("mail/unknown-domain.eml"),
    },
];

/// Runs it.
///
/// # Errors
/// When no port, folder or process can be had; each with what to do.
pub fn run(args: Args, _global: &Global) -> Result<Code, CliError> {
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::from)?;
    let folder = Folder::new()?;
    let code = runtime.block_on(demonstrate(&folder.0, args.keep));
    runtime.shutdown_timeout(Duration::from_secs(1));
    code
}

/// The demo's own folder, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("mailweir-demo-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _the_system_cleans_up_else = fs::remove_dir_all(&self.0);
    }
}

async fn demonstrate(folder: &Path, keep: bool) -> Result<Code, CliError> {
    let mut out = io::stdout();
    let (clamd, engine) = engine(folder, &mut out)?;
    let [groupwise, exchange, internet] = [
        StandIn::start(Behaviour::default()).await?,
        StandIn::start(Behaviour::default()).await?,
        StandIn::start(Behaviour::default()).await?,
    ];
    let config = configuration(folder, &engine, groupwise.address, exchange.address, internet.address);
    let gateway = Gateway::start(folder, &config).map_err(CliError::new)?;
    writeln!(out, "gateway: {} (from outside), {} (from inside)", gateway.address("internet")?, gateway.address("inside")?)?;
    writeln!(
        out,
        "stand-in mail servers: GroupWise {}, Exchange {}, the internet {}\n",
        groupwise.address, exchange.address, internet.address
    )?;

    let mut rows = Vec::new();
    for sample in &SAMPLES {
        rows.push(send(&gateway, sample).await?);
    }
    // What goes through the spool takes a moment.
    let _what_is_late_is_shown_as_waiting = tokio::time::timeout(Duration::from_secs(10), internet.wait_for(1)).await;
    writeln!(out, "{}", outcome(&gateway, &rows)?)?;
    writeln!(
        out,
        "delivered: {} to GroupWise, {} to Exchange, {} to the internet\n",
        groupwise.count(),
        exchange.count(),
        internet.count()
    )?;
    commands(&gateway, &rows, keep, &mut out)?;
    if keep {
        writeln!(out, "\nrunning until Ctrl-C")?;
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
    }
    drop((gateway, clamd));
    Ok(Code::Done)
}

/// A real clamd where there is one; else the built-in engine, and it says so.
fn engine(folder: &Path, out: &mut impl Write) -> Result<(Option<Clamd>, String), CliError> {
    if clamd::program().is_some() {
        writeln!(out, "clamd: starting, with a local signature for EICAR beside the system's signatures, if there are any")?;
        let clamd = Clamd::with_system_signatures()?;
        let setting = clamd.unix();
        return Ok((Some(clamd), setting));
    }
    writeln!(out, "clamd: {}; using the built-in engine, which is no substitute for one", clamd::HOW_TO_INSTALL)?;
    let lists = folder.join("signatures");
    fs::create_dir_all(&lists)?;
    fs::write(lists.join("local.ndb"), clamd::eicar_signature())?;
    Ok((None, format!("builtin:{}", lists.display())))
}

fn configuration(folder: &Path, engine: &str, groupwise: SocketAddr, exchange: SocketAddr, internet: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        r#"hostname = "mx1.groupwise.example"
data_dir = "{folder}/data"

[[listener]]
name      = "internet"
address   = "127.0.0.1:0"
direction = "inbound"
[[listener]]
name      = "inside"
address   = "127.0.0.1:0"
direction = "outbound"
clients   = ["127.0.0.1"]

[[route]]
name      = "groupwise"
domains   = ["groupwise.example"]
next_hops = ["{groupwise}"]
profile   = "groupwise"
unknown_user = "exchange"
[[route]]
name      = "exchange"
domains   = ["exchange.example"]
next_hops = ["{exchange}"]
profile   = "exchange"
[[route]]
name      = "internet"
domains   = ["*"]
next_hops = ["{internet}"]                # a smart host
direction = "outbound"

[antivirus]
engines = ["{engine}"]

[admin]
socket  = "{folder}/admin.sock"
metrics = "127.0.0.1:0"

[log]
format = "json"
"#
    )
}

/// One sample and what the sender heard.
struct Row {
    what: &'static str,
    reply: String,
    id: Option<String>,
}

async fn send(gateway: &Gateway, sample: &Sample) -> Result<Row, CliError> {
    let mut sender = Sender::connect(gateway.address(sample.listener)?).await?;
    let answer = sender.send(sample.from, &[sample.to], sample.bytes).await?;
    let id = answer.reply.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).map(str::to_owned);
    Ok(Row { what: sample.what, reply: answer.reply, id })
}

fn outcome(gateway: &Gateway, rows: &[Row]) -> Result<String, CliError> {
    let mut lines = Vec::new();
    for row in rows {
        let (became, why) = match &row.id {
            Some(id) => became(&gateway.json(&["explain", id])?),
            None => ("refused".to_owned(), "not one of our domains".to_owned()),
        };
        let code: String = row.reply.chars().take(9).collect();
        lines.push([row.what.to_owned(), code, became, why]);
    }
    Ok(table(["mail", "the sender heard", "became", "why"], lines))
}

/// State and reason of the first recipient.
fn became(explanation: &Value) -> (String, String) {
    let recipient = &explanation["recipients"][0];
    let decision = &recipient["decision"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let state = text(&recipient["state"]);
    let state = match decision["area"].as_str() {
        Some(area) if state == "held" => format!("held in {area}"),
        _ => state,
    };
    let why = match text(&decision["because"]) {
        because if !because.is_empty() => because,
        _ if state == "delivered" => "nothing found".to_owned(),
        _ => text(&recipient["detail"]),
    };
    (state, why)
}

fn commands(gateway: &Gateway, rows: &[Row], keep: bool, out: &mut impl Write) -> io::Result<()> {
    let held = rows.iter().find(|row| row.what == "GTUBE").and_then(|row| row.id.as_deref()).unwrap_or("ID");
    let program = std::env::current_exe().map_or_else(|_| "mailweir".to_owned(), |path| path.display().to_string());
    let config = gateway.config.display();
    if !keep {
        writeln!(out, "To look at the held ones and release them, let it run on (`make demo KEEP=1`, or `mailweir demo --keep`), then:")?;
    } else {
        writeln!(out, "To look at the held ones and release them:")?;
    }
    for command in [
        "quarantine list".to_owned(),
        format!("quarantine show {held}"),
        format!("explain {held}"),
        format!("quarantine release {held} --reason \"wanted\""),
        "status".to_owned(),
    ] {
        writeln!(out, "  {program} --config {config} {command}")?;
    }
    Ok(())
}
