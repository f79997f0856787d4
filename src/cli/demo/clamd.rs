//! A private clamd for the demo, the tests and the benchmark: its own configuration and database (one local signature for the EICAR
//! test file) in a directory of its own, on a unix socket and a free loopback port.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What to do where there is no clamd.
pub const HOW_TO_INSTALL: &str = "clamd is not installed: apt-get install clamav-daemon";

/// Where Debian's package puts it, and where it may be otherwise.
const PLACES: [&str; 3] = ["/usr/sbin/clamd", "/usr/local/sbin/clamd", "/usr/bin/clamd"];

/// How long it may take to load the signatures and answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running clamd; stops and leaves nothing behind when dropped.
pub struct Clamd {
    child: Child,
    directory: PathBuf,
    socket: PathBuf,
    port: u16,
    lines: Vec<String>,
}

/// The EICAR test file, put together so that no scanner takes this source for it.
pub fn eicar() -> Vec<u8> {
    let second: String = "*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-".chars().rev().collect();
    format!("X5O!P%@AP[4\\PZX54(P^)7CC)7}}$EICAR{second}").into_bytes()
}

/// The signature's line in a `.ndb` file; its name is `Local.Test.EICAR`.
pub fn eicar_signature() -> String {
    let hex: String = eicar().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("Local.Test.EICAR:0:*:{hex}\n")
}

/// The path of clamd, if it is installed.
pub fn program() -> Option<&'static Path> {
    PLACES.into_iter().map(Path::new).find(|path| path.is_file())
}

impl Clamd {
    /// Starts one with the local signature beside the system's, which take some twenty seconds to load where there are any.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn with_system_signatures() -> io::Result<Self> {
        let lines = ["StreamMaxLength 55M", "MaxFileSize 55M", "MaxScanSize 220M", "AlertExceedsMax yes"];
        Self::launch(&lines.map(str::to_owned), true)
    }

    /// Starts one with more lines of clamd.conf, such as `StreamMaxLength 1M`; none for its own defaults.
    ///
    /// # Errors
    /// It is not installed, or does not come up; with what it said.
    pub fn start(lines: &[&str]) -> io::Result<Self> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        // Another process may take the port between our look and clamd's: then look again.
        let mut last = io::Error::other("clamd did not start");
        for _ in 0..3 {
            match Self::launch(&lines, false) {
                Ok(clamd) => return Ok(clamd),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn launch(lines: &[String], with_system: bool) -> io::Result<Self> {
        let program = program().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, HOW_TO_INSTALL))?;
        let directory = own_directory()?;
        let database = directory.join("db");
        fs::create_dir(&database)?;
        fs::write(database.join("local.ndb"), eicar_signature())?;
        if with_system {
            link_system_signatures(&database)?;
        }
        let socket = directory.join("clamd.ctl");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut clamd = Self { child: spawn(program, &directory, &socket, port, lines)?, directory, socket, port, lines: lines.to_vec() };
        clamd.wait_for_answer()?;
        Ok(clamd)
    }

    /// Starts it again at the same socket and port after [`Self::kill`].
    pub fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let program = program().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, HOW_TO_INSTALL))?;
        self.child = spawn(program, &self.directory, &self.socket, self.port, &self.lines)?;
        self.wait_for_answer()
    }

    /// Waits until it answers PING.
    fn wait_for_answer(&mut self) -> io::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if ping(&self.socket).is_ok() {
                return Ok(());
            }
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > give_up {
                let log = fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("clamd does not answer ({ended:?}); it said:\n{log}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its unix socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// As written in `engines`, over the unix socket.
    pub fn unix(&self) -> String {
        format!("clamd:unix:{}", self.socket.display())
    }

    /// As written in `engines`, over TCP.
    pub fn tcp(&self) -> String {
        format!("clamd:tcp:127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it where it is (SIGSTOP): it keeps its connections and says nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(name).arg(self.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name} failed");
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A new directory under `/tmp`: short enough for a socket's path, and where Debian's AppArmor profile lets clamd work.
fn own_directory() -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new("/tmp").join(format!("mailweir-clamd-{}-{number}", std::process::id()));
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other.map(|()| path),
        }
    }
}

/// Where Debian's freshclam keeps them.
const SYSTEM_SIGNATURES: &str = "/var/lib/clamav";

fn link_system_signatures(database: &Path) -> io::Result<()> {
    let Ok(listing) = fs::read_dir(SYSTEM_SIGNATURES) else { return Ok(()) };
    for path in listing.filter_map(Result::ok).map(|entry| entry.path()) {
        let is_database = path.extension().is_some_and(|extension| extension == "cvd" || extension == "cld");
        if let (true, Some(name)) = (is_database, path.file_name()) {
            std::os::unix::fs::symlink(&path, database.join(name))?;
        }
    }
    Ok(())
}

fn spawn(program: &Path, directory: &Path, socket: &Path, port: u16, lines: &[String]) -> io::Result<Child> {
    let shown = directory.display();
    let mut conf = format!(
        "Foreground yes\nDatabaseDirectory {shown}/db\nTemporaryDirectory {shown}\nLocalSocket {}\nFixStaleSocket yes\n\
         TCPSocket {port}\nTCPAddr 127.0.0.1\nConcurrentDatabaseReload no\n",
        socket.display()
    );
    for line in lines {
        conf.push_str(line);
        conf.push('\n');
    }
    let path = directory.join("clamd.conf");
    fs::write(&path, conf)?;
    let log = fs::File::create(directory.join("log"))?;
    Command::new(program).arg("-c").arg(path).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()
}

fn ping(socket: &Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"zPING\0")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    if reply == b"PONG\0" { Ok(()) } else { Err(io::Error::other("no PONG")) }
}
