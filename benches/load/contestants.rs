//! What is measured: each with its own ports, folders and configuration, started and stopped here.

use std::any::Any;
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mailweir::cli::demo::clamd::Clamd;

use crate::postfix::Postfix;
use crate::rspamd::Rspamd;
use crate::{relay, rspamd};

/// How long a contestant may take to get ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Postfix,
    PostfixRspamd,
    CutThrough,
    Spool,
    Attachments,
    RawParts,
    Relay,
    BareDisk,
}

impl Kind {
    pub const ALL: [Self; 8] =
        [Self::Postfix, Self::CutThrough, Self::Spool, Self::PostfixRspamd, Self::Attachments, Self::RawParts, Self::Relay, Self::BareDisk];

    /// Its name in tables and options.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postfix => "postfix",
            Self::PostfixRspamd => "postfix+rspamd+clamd",
            Self::CutThrough => "cut-through",
            Self::Spool => "spool",
            Self::Attachments => "full, attachments",
            Self::RawParts => "full, raw+parts",
            Self::Relay => "byte relay",
            Self::BareDisk => "bare group commit",
        }
    }

    /// What it is, in one line.
    pub fn what(self) -> &'static str {
        match self {
            Self::Postfix => "Postfix as Debian ships it: queue, fsync, relay; no checks",
            Self::PostfixRspamd => "the same with rspamd as its milter, which asks clamd about each attachment",
            Self::CutThrough => "Mailweir, no checks, handed over inside the session",
            Self::Spool => "Mailweir, no checks, everything journalled first",
            Self::Attachments => "Mailweir, all rules, clamd on attachments, cut-through",
            Self::RawParts => "Mailweir, all rules, clamd on everything (the default), cut-through",
            Self::Relay => "copies bytes, knows no SMTP: the most this machine can do",
            Self::BareDisk => "22 KiB records into zeroed segments, one fdatasync for all who wait",
        }
    }

    /// Whether it must find a virus.
    pub fn scans(self) -> bool {
        matches!(self, Self::PostfixRspamd | Self::Attachments | Self::RawParts)
    }
}

/// A child process; killed when dropped.
pub struct Process(Child);

impl Process {
    pub fn spawn(command: &mut Command) -> Result<Self, String> {
        command.stdin(Stdio::null()).spawn().map(Self).map_err(|error| format!("{command:?}: {error}"))
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// An error once it has ended.
    pub fn check(&mut self) -> Result<(), String> {
        match self.0.try_wait() {
            Ok(None) => Ok(()),
            other => Err(format!("it ended: {other:?}")),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _already_waited = self.0.wait();
    }
}

/// What all contestants of one run share.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where they deliver to.
    pub sink: SocketAddr,
    /// What rspamd compiles once and loads from then on.
    pub rspamd_cache: PathBuf,
    /// More lines for `[limits]` of Mailweir's configuration.
    pub limits: String,
}

/// A running contestant; stops when dropped, which takes a second or two for Postfix.
pub struct Contestant {
    pub address: SocketAddr,
    /// Its processes; they count with all their descendants.
    pub own: Vec<u32>,
    /// Its virus engine's, which count too, apart from where a goal names its own memory.
    pub engine: Vec<u32>,
    /// What stops it, in the order of stopping.
    _parts: Vec<Box<dyn Any + Send>>,
}

impl Contestant {
    /// Starts one and stops the run's clock for as long as that takes: call it where nothing is measured.
    pub async fn start(kind: Kind, site: &Site) -> Result<Self, String> {
        let site = site.clone();
        let starting = tokio::task::spawn_blocking(move || Self::launch(kind, &site));
        starting.await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// Stops it.
    pub async fn stop(self) {
        let _panicked = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    /// Everything of it that is measured.
    pub fn processes(&self) -> Vec<u32> {
        [&self.own[..], &self.engine[..]].concat()
    }

    fn launch(kind: Kind, site: &Site) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        let folder = tempfile::TempDir::new().map_err(text)?;
        let clamd = if kind.scans() { Some(Clamd::start(&[]).map_err(text)?) } else { None };
        let engine: Vec<u32> = clamd.as_ref().map(Clamd::id).into_iter().collect();
        let mut parts: Vec<Box<dyn Any + Send>> = Vec::new();
        let (address, own) = match (kind, &clamd) {
            (Kind::Postfix, _) => {
                let postfix = Postfix::start(folder.path(), Some(site.sink), "");
                let own = (postfix.address, postfix.master_pid().into_iter().collect());
                parts.push(Box::new(postfix));
                own
            }
            (Kind::PostfixRspamd, Some(clamd)) => {
                rspamd::open_to_all(folder.path())?;
                let rspamd = Rspamd::start(&folder.path().join("rspamd"), &site.rspamd_cache, clamd.socket())?;
                let milter = format!("smtpd_milters = unix:{}\nmilter_default_action = tempfail\n", rspamd.socket.display());
                let postfix = Postfix::start(&folder.path().join("postfix"), Some(site.sink), &milter);
                let own = postfix.master_pid().into_iter().chain([rspamd.id()]).collect();
                let address = postfix.address;
                parts.push(Box::new(postfix));
                parts.push(Box::new(rspamd));
                (address, own)
            }
            (Kind::Relay, _) => {
                let (process, address) = relay::start(site.sink)?;
                let own = vec![process.id()];
                parts.push(Box::new(process));
                (address, own)
            }
            (Kind::BareDisk, _) => return Err("the bare disk takes no mail".to_owned()),
            (_, clamd) => {
                let (process, address) = mailweir(kind, folder.path(), site, clamd.as_ref())?;
                let own = vec![process.id()];
                parts.push(Box::new(process));
                (address, own)
            }
        };
        parts.push(Box::new(clamd));
        parts.push(Box::new(folder));
        Ok(Self { address, own, engine, _parts: parts })
    }
}

/// Mailweir's configuration for this contestant.
fn configuration(kind: Kind, folder: &Path, site: &Site, clamd: Option<&Clamd>) -> String {
    let (folder, sink) = (folder.display(), site.sink);
    let delivery = if kind == Kind::Spool { "spool" } else { "cut-through" };
    let mut config = format!(
        "hostname = \"mx1.groupwise.example\"\ndata_dir = \"{folder}/data\"\n\
         [[listener]]\nname = \"internet\"\naddress = \"127.0.0.1:0\"\ndirection = \"inbound\"\n\
         [[route]]\nname = \"r\"\ndomains = [\"groupwise.example\"]\nnext_hops = [\"{sink}\"]\nconnections = 200\ndelivery = \"{delivery}\"\n\
         [limits]\nconnections = 12000\nconnections_per_peer = 12000\n{limits}\n\
         [admin]\nsocket = \"{folder}/admin.sock\"\n[log]\nformat = \"json\"\n",
        limits = site.limits
    );
    let scan = if kind == Kind::Attachments { "attachments" } else { "raw+parts" };
    let written = match clamd {
        Some(clamd) => write!(config, "[antivirus]\nengines = [\"{}\"]\nscan = \"{scan}\"\n", clamd.unix()),
        None => write!(config, "[inspect]\nchecks = []\n"),
    };
    written.map(|()| config).unwrap_or_default()
}

/// Starts the gateway; its log goes to a file, as Postfix's does.
fn mailweir(kind: Kind, folder: &Path, site: &Site, clamd: Option<&Clamd>) -> Result<(Process, SocketAddr), String> {
    let text = |error: std::io::Error| error.to_string();
    let path = folder.join("mailweir.toml");
    fs::write(&path, configuration(kind, folder, site, clamd)).map_err(text)?;
    let log = folder.join("mailweir.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailweir"));
    command.args(["serve", "--config"]).arg(&path).stdout(Stdio::null()).stderr(fs::File::create(&log).map_err(text)?);
    let mut process = Process::spawn(&mut command)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let said = fs::read_to_string(&log).unwrap_or_default();
        let events = || said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        if events().any(|event| event["message"] == "ready") {
            let listening = events().find(|event| event["message"] == "listening" && event["listener"] == "internet");
            let address = listening.as_ref().and_then(|event| event["address"].as_str()).and_then(|address| address.parse().ok());
            return address.map(|address| (process, address)).ok_or_else(|| format!("it said no address:\n{said}"));
        }
        process
            .check()
            .and_then(|()| if Instant::now() < until { Ok(()) } else { Err("not ready in time".into()) })
            .map_err(|error| format!("Mailweir: {error}\n{said}"))?;
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
