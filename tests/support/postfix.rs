//! A private Postfix from Debian's packages: as client, as next hop, and as what we are measured beside. Needs root, as Postfix does.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A running private instance; stopped and removed when dropped.
pub struct Postfix {
    /// Where its smtpd listens.
    pub address: SocketAddr,
    folder: PathBuf,
}

impl Postfix {
    /// Starts one in `folder` (which must not be below a directory that others may not enter) that relays everything to `relay`,
    /// or keeps it in its queue if there is none.
    pub fn start(folder: &Path, relay: Option<SocketAddr>, extra: &str) -> Self {
        assert!(Path::new("/usr/sbin/postfix").exists(), "this needs Postfix: apt-get install postfix (make setup does it)");
        let (config, queue, data) = (folder.join("config"), folder.join("queue"), folder.join("data"));
        for path in [&config, &queue, &data] {
            fs::create_dir_all(path).unwrap();
        }
        // Its processes run as `postfix` and must be able to come here.
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
        let owned = Command::new("chown").arg("postfix").arg(&data).status().unwrap();
        assert!(owned.success(), "Postfix can only be started by root");
        // Postfix chooses no port by itself: one that was free a moment ago.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let relayhost = relay.map(|relay| format!("[{}]:{}", relay.ip(), relay.port())).unwrap_or_default();
        let (q, d, f) = (queue.display(), data.display(), folder.display());
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {q}\ndata_directory = {d}\ncommand_directory = /usr/sbin\n\
             daemon_directory = /usr/lib/postfix/sbin\nmail_owner = postfix\nsetgid_group = postdrop\nmyhostname = postfix.example\n\
             mydestination =\nalias_maps =\nalias_database =\nlocal_recipient_maps =\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\n\
             mynetworks = 127.0.0.0/8\nrelayhost = {relayhost}\nsmtpd_relay_restrictions = permit_mynetworks, reject\n\
             smtpd_recipient_restrictions =\nmaillog_file_prefixes = {f}\nmaillog_file = {f}/mail.log\nsmtp_host_lookup = native\n\
             smtp_dns_support_level = disabled\ndefault_process_limit = 250\nsmtpd_client_connection_count_limit = 0\n\
             message_size_limit = 60000000\nmailbox_size_limit = 0\nminimal_backoff_time = 2s\nqueue_run_delay = 2s\n{extra}\n"
        );
        fs::write(config.join("main.cf"), main).unwrap();
        let service = |line: &str| format!("{line}\n");
        let mut master = service(&format!("127.0.0.1:{} inet n - n - 250 smtpd", address.port()));
        for (name, private, wake, limit, command) in [
            ("pickup", "n", "60", "1", "pickup"),
            ("cleanup", "n", "-", "0", "cleanup"),
            ("qmgr", "n", "300", "1", "qmgr"),
            ("tlsmgr", "-", "1000?", "1", "tlsmgr"),
            ("rewrite", "-", "-", "-", "trivial-rewrite"),
            ("bounce", "-", "-", "0", "bounce"),
            ("defer", "-", "-", "0", "bounce"),
            ("trace", "-", "-", "0", "bounce"),
            ("verify", "-", "-", "1", "verify"),
            ("flush", "n", "1000?", "0", "flush"),
            ("proxymap", "-", "-", "-", "proxymap"),
            ("smtp", "-", "-", "-", "smtp"),
            ("relay", "-", "-", "-", "smtp"),
            ("error", "-", "-", "-", "error"),
            ("retry", "-", "-", "-", "error"),
            ("anvil", "-", "-", "1", "anvil"),
            ("scache", "-", "-", "1", "scache"),
        ] {
            master.push_str(&service(&format!("{name} unix {private} - n {wake} {limit} {command}")));
        }
        master.push_str(&service("postlog unix-dgram n - n - 1 postlogd"));
        fs::write(config.join("master.cf"), master).unwrap();
        let postfix = Self { address, folder: folder.to_owned() };
        let status = postfix.command("start");
        assert!(status.success(), "postfix did not start: {}", postfix.log());
        postfix.wait();
        postfix
    }

    fn command(&self, verb: &str) -> std::process::ExitStatus {
        let mut command = Command::new("/usr/sbin/postfix");
        command.arg("-c").arg(self.folder.join("config")).arg(verb);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().unwrap()
    }

    /// Until it takes connections: there is nothing else to wait on, so asks again every few milliseconds, for ten seconds at most.
    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < until, "postfix does not answer: {}", self.log());
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// What it wrote into its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("mail.log")).unwrap_or_default()
    }

    /// Its master process, for measuring.
    pub fn master_pid(&self) -> Option<u32> {
        fs::read_to_string(self.folder.join("queue/pid/master.pid")).ok()?.trim().parse().ok()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // Its own script asks only every second whether it has stopped.
        if let Some(pid) = self.master_pid() {
            let asked = Command::new("kill").arg("-TERM").arg(pid.to_string()).status();
            let until = Instant::now() + Duration::from_secs(5);
            while asked.as_ref().is_ok_and(std::process::ExitStatus::success) && Instant::now() < until {
                if !Path::new(&format!("/proc/{pid}")).exists() {
                    return;
                }
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
        self.command("stop");
    }
}
