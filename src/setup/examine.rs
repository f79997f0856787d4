//! What a configuration cannot show by itself, tried out: the data directory, the rules' own cases, addresses, engines.
//! Nothing is changed, and a running gateway is not disturbed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixStream};

use super::config::Config;
use super::load::Loaded;
use super::problem::{Problem, Severity};
use crate::gateway::{BindError, Listener, ListenerSettings, TlsUse};
use crate::inspect::Check;
use crate::inspect::antivirus::{Antivirus, EngineStatus, State};

/// How long the engines may take to show what they can.
const ENGINES: Duration = Duration::from_secs(60);

/// Tries everything; the problems have the places of the settings that they are about.
pub async fn examine(loaded: &Loaded) -> Vec<Problem> {
    let config = loaded.config.resolved(&loaded.dir);
    let mut found: Vec<(String, Problem)> = Vec::new();
    found.extend(data_dir(&config.data_dir).map(|problem| ("data_dir".to_owned(), problem)));
    // A running gateway has the addresses: that they are taken is as it should be.
    if UnixStream::connect(&config.admin.socket).await.is_err() {
        found.extend(addresses(&config).await);
    }
    found.extend(engines(&config).await);
    let mut problems: Vec<Problem> = found.into_iter().map(|(path, problem)| loaded.place(&path, problem)).collect();
    problems.extend(cases(loaded));
    problems
}

/// Every address that cannot be had.
async fn addresses(config: &Config) -> Vec<(String, Problem)> {
    let mut found = Vec::new();
    for (i, listener) in config.listeners.iter().enumerate() {
        let plain = ListenerSettings { tls: TlsUse::Off, ..listener.clone() };
        if let Err(error) = Listener::bind(&plain, None) {
            let mut problem = Problem::from_text(&error.to_string());
            // Whoever tries this need not be who runs the gateway.
            if matches!(error, BindError::NotAllowed { .. }) {
                problem.severity = Severity::Warning;
            }
            found.push((format!("listener[{i}].address"), problem));
        }
    }
    for (path, address) in [("admin.http", config.admin.http), ("admin.metrics", config.admin.metrics)] {
        if let Some(address) = address
            && let Err(error) = TcpListener::bind(address).await
        {
            let hint = "do: stop the program that has it (`ss -ltnp` names it), or choose another address";
            found.push((path.to_owned(), Problem::error(format!("{path}: cannot listen on {address}: {error}"), hint)));
        }
    }
    let folder = config.admin.socket.parent().unwrap_or(Path::new("")).to_owned();
    if !folder.as_os_str().is_empty() && !folder.is_dir() {
        let what = format!("there is no directory {} for the admin socket", folder.display());
        let hint = "do: make it and give it to the gateway's user (systemd does, with RuntimeDirectory=), or choose another socket";
        found.push(("admin.socket".to_owned(), Problem::warning(what, hint)));
    }
    found
}

/// What the engines cannot do. The gateway starts without them, so that is a warning; an engine that answers wrongly is an error.
async fn engines(config: &Config) -> Vec<(String, Problem)> {
    if !config.inspect.checks.contains(&Check::Antivirus) {
        return Vec::new();
    }
    let (settings, size) = (config.antivirus.clone(), config.limits.message_size.0);
    let built = tokio::task::spawn_blocking(move || Antivirus::new(&settings, size)).await;
    let antivirus = match built {
        Ok(Ok(antivirus)) => antivirus,
        Ok(Err(error)) => return vec![(format!("antivirus.{}", error.key), Problem::said(error.what, &error.hint))],
        Err(error) => return vec![("antivirus".to_owned(), Problem::error(error.to_string(), ""))],
    };
    match tokio::time::timeout(ENGINES, antivirus.probe()).await {
        Ok(all) => all.iter().enumerate().flat_map(|(i, engine)| engine_problems(config, i, engine)).collect(),
        Err(_) => vec![("antivirus.engines".to_owned(), Problem::warning(format!("the engines have not answered within {ENGINES:?}"), ""))],
    }
}

fn engine_problems(config: &Config, i: usize, engine: &EngineStatus) -> Vec<(String, Problem)> {
    let path = format!("antivirus.engines[{i}]");
    let name = &engine.engine;
    let state = match &engine.state {
        State::Down { reason } => {
            let what = format!(
                "{name} does not answer: {reason}; until it does, on_unavailable = \"{}\" applies",
                config.antivirus.on_unavailable
            );
            Some(Problem::warning(what, "do: start it (systemctl start clamav-daemon), or name the one that runs"))
        }
        State::Wrong { reason } => {
            Some(Problem::error(format!("{name} cannot be believed: {reason}"), "do: see its log and its signatures"))
        }
        State::Up | State::Unknown => None,
    };
    let warnings = engine.warnings.iter().map(|warning| Problem::warning(format!("{name}: {warning}"), ""));
    state.into_iter().chain(warnings).map(|problem| (path.clone(), problem)).collect()
}

/// Every rule's own cases.
fn cases(loaded: &Loaded) -> Vec<Problem> {
    let failed = loaded.rules.run_cases();
    failed
        .into_iter()
        .map(|failure| {
            let case: String = failure.case.chars().take(120).collect();
            Problem::error(
                format!("rule {}: {}: {case:?}", failure.rule, failure.what),
                "do: change the pattern or the case until they agree",
            )
            .at(failure.file, failure.line, 1)
        })
        .collect()
}

/// What keeps us from writing into the data directory, or from making it.
pub fn data_dir(dir: &Path) -> Option<Problem> {
    let advice = "do: make the directory and give it to the gateway's user (mkdir -p, chown, chmod 700)";
    let there: PathBuf = dir.ancestors().find(|part| part.exists()).unwrap_or(Path::new(".")).to_owned();
    if !there.is_dir() {
        return Some(Problem::error(format!("data_dir {}: {} is no directory", dir.display(), there.display()), advice));
    }
    let probe = there.join(format!(".mailweir-check-{}", std::process::id()));
    let tried = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    let _ = std::fs::remove_file(&probe);
    tried.err().map(|error| Problem::error(format!("cannot write in data_dir {}: {error}", dir.display()), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration on loopback with this listener address and metrics address.
    fn loaded(folder: &Path, address: &str, metrics: &str) -> Loaded {
        let text = format!(
            "hostname = \"mx1.example.org\"\ndata_dir = \"{0}/data\"\n[[listener]]\nname = \"a\"\naddress = \"{address}\"\n\
             direction = \"inbound\"\n[[route]]\nname = \"r\"\ndomains = [\"example.org\"]\nnext_hops = [\"192.0.2.1\"]\n\
             [admin]\nsocket = \"{0}/admin.sock\"\nmetrics = \"{metrics}\"\n\
             [antivirus]\nengines = [\"clamd:unix:{0}/no-clamd.ctl\"]\n",
            folder.display()
        );
        crate::setup::load_str(&text, "m.toml").unwrap()
    }

    #[tokio::test]
    async fn occupied_ports_and_absent_engines() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let problems = examine(&loaded(dir.path(), &address, &address.replace("127.0.0.1", "127.0.0.2"))).await;
        let said: Vec<String> = problems.iter().map(|p| format!("{}:{}:{} {}", p.line, p.column, p.severity.as_str(), p.what)).collect();
        assert_eq!(said.len(), 2, "{said:#?}");
        assert!(said[0].starts_with("5:11:error") && said[0].contains(&address) && said[0].contains("in use"), "{}", said[0]);
        assert!(said[1].starts_with("15:12:warning") && said[1].contains("does not answer"), "{}", said[1]);
    }

    #[tokio::test]
    async fn a_running_gateway_keeps_its_addresses() {
        let dir = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let loaded = loaded(dir.path(), &taken.local_addr().unwrap().to_string(), "127.0.0.1:0");
        let _admin = tokio::net::UnixListener::bind(dir.path().join("admin.sock")).unwrap();
        let problems = examine(&loaded).await;
        assert!(problems.iter().all(|problem| !problem.is_error()), "{problems:#?}");
    }

    #[test]
    fn data_directories() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        std::fs::write(path.join("file"), "").unwrap();
        assert_eq!(data_dir(path), None);
        assert_eq!(data_dir(&path.join("a/b/c")), None);
        assert_eq!(std::fs::read_dir(path).unwrap().count(), 1, "nothing is left behind, nothing made");
        let problem = data_dir(&path.join("file/data")).unwrap();
        assert!(problem.what.contains("is no directory"), "{problem}");
        // Not even root can write here.
        assert!(data_dir(Path::new("/proc/mailweir")).unwrap().what.contains("cannot write"));
    }
}
