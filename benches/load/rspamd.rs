//! A private rspamd from Debian's package with Debian's rules: a milter on a unix socket that asks a private clamd about every
//! attachment. What asks the network is off (RBL, SPF, DKIM, fuzzy hashes): it would only cost rspamd time, and there is none here.
//! Redis is not needed: what wants it (greylisting, rate limits, Bayes) stays off by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::contestants::Process;
use crate::usage;

const PROGRAM: &str = "/usr/bin/rspamd";
/// Debian's user for it.
const USER: &str = "_rspamd";
/// The first start compiles thousands of expressions.
const PATIENCE: Duration = Duration::from_secs(180);

/// Modules that ask the network, off.
const OFF: [&str; 14] = [
    "rbl",
    "surbl",
    "spf",
    "dmarc",
    "dkim",
    "dkim_signing",
    "arc",
    "fuzzy_check",
    "asn",
    "mx_check",
    "rspamd_update",
    "url_redirector",
    "bimi",
    "dcc",
];

/// A running instance; killed when dropped.
pub struct Rspamd {
    process: Process,
    /// Where its milter listens.
    pub socket: PathBuf,
    log: PathBuf,
}

impl Rspamd {
    /// Starts one in `folder`; `cache` keeps what it compiles from one start to the next.
    pub fn start(folder: &Path, cache: &Path, clamd: &Path) -> Result<Self, String> {
        let text = |error: std::io::Error| error.to_string();
        if !Path::new(PROGRAM).exists() {
            return Err("rspamd is not installed: apt-get install rspamd (make bench does it)".to_owned());
        }
        let local = folder.join("local.d");
        fs::create_dir_all(&local).map_err(text)?;
        for name in OFF {
            fs::write(local.join(format!("{name}.conf")), "enabled = false;\n").map_err(text)?;
        }
        let antivirus = format!(
            "clamav {{ type = \"clamav\"; symbol = \"CLAM_VIRUS\"; action = \"reject\"; scan_mime_parts = true; servers = \"{}\"; }}\n",
            clamd.display()
        );
        fs::write(local.join("antivirus.conf"), antivirus).map_err(text)?;
        // Nobody answers there: nothing leaves the machine.
        fs::write(local.join("options.inc"), "dns { nameserver = [\"127.0.0.1:1\"]; timeout = 0.1s; retransmits = 1; }\n").map_err(text)?;
        fs::write(folder.join("rspamd.conf"), configuration()).map_err(text)?;
        for path in [folder, cache] {
            open_to_all(path)?;
            let owned = Command::new("chown").arg("-R").arg(USER).arg(path).status().map_err(text)?;
            if !owned.success() {
                return Err("rspamd can only be started by root".to_owned());
            }
        }
        let variable = |name: &str, path: &Path| format!("--var={name}={}", path.display());
        let mut command = Command::new(PROGRAM);
        command.args(["-f", "-u", USER, "-g", USER, "-c"]).arg(folder.join("rspamd.conf"));
        command.args([variable("DBDIR", cache), variable("RUNDIR", folder), variable("LOGDIR", folder), variable("LOCAL_CONFDIR", folder)]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut rspamd =
            Self { process: Process::spawn(&mut command)?, socket: folder.join("milter.sock"), log: folder.join("rspamd.log") };
        let until = Instant::now() + PATIENCE;
        while UnixStream::connect(&rspamd.socket).is_err() {
            rspamd.process.check().map_err(|error| format!("rspamd: {error}\n{}", rspamd.log()))?;
            if Instant::now() > until {
                return Err(format!("rspamd did not get ready:\n{}", rspamd.log()));
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(rspamd)
    }

    /// Starts and stops one, so that everything is compiled before anything is measured.
    pub fn compile(folder: &Path, cache: &Path) -> Result<(), String> {
        let rspamd = Self::start(folder, cache, Path::new("/nowhere"))?;
        let until = Instant::now() + PATIENCE;
        while !rspamd.log().contains("hyperscan database of") && Instant::now() < until {
            std::thread::park_timeout(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Its main process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Rspamd {
    fn drop(&mut self) {
        // Its workers do not end with it when it is killed: all of them go together, before the main process is waited for.
        let family = usage::family(&[self.id()]).into_iter().map(|pid| pid.to_string());
        let _already_gone = Command::new("kill").arg("-KILL").args(family).stderr(Stdio::null()).status();
    }
}

/// As many scanners as there are cores, each of which is its own milter (`self_scan`): the fastest of its usual set-ups.
fn configuration() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        ".include \"$CONFDIR/common.conf\"\n\
         options {{\n pidfile = \"$RUNDIR/rspamd.pid\";\n .include \"$CONFDIR/options.inc\"\n\
         .include(try=true; priority=1,duplicate=merge) \"$LOCAL_CONFDIR/local.d/options.inc\"\n}}\n\
         logging {{\n type = \"file\";\n filename = \"$LOGDIR/rspamd.log\";\n .include \"$CONFDIR/logging.inc\"\n}}\n\
         worker \"rspamd_proxy\" {{\n bind_socket = \"$RUNDIR/milter.sock mode=0666\";\n milter = yes;\n timeout = 120s;\n count = {cores};\n\
         upstream \"local\" {{ default = yes; self_scan = yes; }}\n}}\n"
    )
}

/// Makes a folder that other users may enter: Postfix's and rspamd's processes run as such.
pub fn open_to_all(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder)
        .and_then(|()| fs::set_permissions(folder, fs::Permissions::from_mode(0o755)))
        .map_err(|error| error.to_string())
}
