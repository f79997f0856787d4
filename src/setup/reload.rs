//! Reload: the configuration file read again and put in force as a whole, or not at all. Sessions that have begun go on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use metrics::{counter, gauge};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::assemble::{self, LISTS};
use super::changes::changes;
use super::prepare::{Ready, own, plan, prepare};
use super::problem::Problem;
use super::sockets::Given;
use super::{Loaded, history, service, watch};
use crate::admin::{Desk, Desks};
use crate::gateway::{Gateway, Planned};
use crate::inspect::antivirus::Antivirus;
use crate::mail::Disposition;
use crate::operate;
use crate::operate::engines::Engines;
use crate::operate::hands::{Hands, Task};
use crate::operate::reload::{NotReloaded, Reloaded, Reloads};
use crate::operate::status::Listening;
use crate::pipeline::Pipeline;

/// How long new virus engines are tried before they are put in force; after that they are watched like all others.
const TRY_ENGINES: Duration = Duration::from_secs(20);

/// Everything that a reload touches.
pub struct Reloader {
    /// The configuration file.
    pub file: PathBuf,
    /// When the gateway started.
    pub started: Timestamp,
    /// The way of a message.
    pub pipeline: Arc<Pipeline>,
    /// The listeners.
    pub gateway: Gateway<Pipeline>,
    /// Cancelled when no new mail is taken: then nothing is put in force any more.
    pub no_more_mail: CancellationToken,
    /// Cancelled at the very end.
    pub no_more: CancellationToken,
    /// What runs beside the mail until the end.
    pub tasks: TaskTracker,
    /// One reload at a time.
    current: Mutex<Option<Current>>,
    desks: OnceLock<Desks>,
    failed: std::sync::Mutex<Option<NotReloaded>>,
}

/// What is in force now.
pub struct Current {
    /// The configuration.
    pub loaded: Loaded,
    /// What lies in files beside it ([`assemble::files`]).
    pub files: BTreeMap<String, [u8; 32]>,
    /// The virus engines.
    pub antivirus: Option<Arc<Antivirus>>,
    /// Ends the watch over them.
    pub watching: CancellationToken,
    /// Sockets of the service manager that no listener wanted so far.
    pub given: Given,
}

impl Reloader {
    /// With everything that runs. `tokens`: no more mail, and nothing more at all.
    pub fn new(loaded: &Loaded, pipeline: Arc<Pipeline>, gateway: Gateway<Pipeline>, tokens: [CancellationToken; 2]) -> Arc<Self> {
        let [no_more_mail, no_more] = tokens;
        for result in ["ok", "failed"] {
            counter!("mailweir_reloads_total", "result" => result).absolute(0);
        }
        gauge!("mailweir_config_in_force").set(1.0);
        loaded_now();
        Arc::new(Self {
            file: PathBuf::from(&loaded.file),
            started: Timestamp::now(),
            pipeline,
            gateway,
            no_more_mail,
            no_more,
            tasks: TaskTracker::new(),
            current: Mutex::new(None),
            desks: OnceLock::new(),
            failed: std::sync::Mutex::default(),
        })
    }

    /// From now on it reloads; `current` is in force already. Begins the watch over its engines.
    pub async fn begin(self: &Arc<Self>, mut current: Current) {
        let config = &current.loaded.config;
        current.watching = self.watch(current.antivirus.clone(), config.antivirus.on_unavailable);
        *self.current.lock().await = Some(current);
    }

    /// Reads the file again and puts it in force, or says why not. Whoever asked may go away: it is done all the same.
    pub async fn reload(self: &Arc<Self>, by: &str) -> Result<Reloaded, Vec<String>> {
        let (reloader, by) = (self.clone(), by.to_owned());
        let done = tokio::spawn(async move { reloader.reload_now(&by).await }).await;
        done.unwrap_or_else(|gone| Err(vec![format!("the reload ended abnormally: {gone}")]))
    }

    async fn reload_now(self: Arc<Self>, by: &str) -> Result<Reloaded, Vec<String>> {
        let mut current = self.current.lock().await;
        let Some(current) = current.as_mut() else { return Err(vec!["the gateway is starting; try again".to_owned()]) };
        service::reloading().await;
        let outcome = self.attempt(current, by).await;
        match &outcome {
            Ok(reloaded) => tell(reloaded, by),
            Err(problems) => tell_failure(problems, by, &current.loaded),
        }
        let failed = outcome.as_ref().err();
        let failed = failed.map(|problems| NotReloaded {
            at: Timestamp::now(),
            by: by.to_owned(),
            why: problems.iter().map(Problem::to_string).collect(),
        });
        counter!("mailweir_reloads_total", "result" => if failed.is_none() { "ok" } else { "failed" }).increment(1);
        gauge!("mailweir_config_in_force").set(if failed.is_none() { 1.0 } else { 0.0 });
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        if !self.no_more_mail.is_cancelled() {
            service::ready(self.status(&current.loaded)).await;
        }
        outcome.map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    async fn attempt(self: &Arc<Self>, current: &mut Current, by: &str) -> Result<Reloaded, Vec<Problem>> {
        let (file, running) = (self.file.clone(), current.loaded.clone());
        let prepared = tokio::task::spawn_blocking(move || prepare(&file, &running)).await;
        let ready = prepared.map_err(|gone| own(gone.to_string()))??;
        let antivirus = self.engines(current, &ready).await?;
        let plan = plan(&self.gateway, &mut current.given, &ready)?;
        if self.no_more_mail.is_cancelled() {
            return Err(own("the gateway is stopping".to_owned()));
        }
        Ok(self.put_in_force(current, ready, antivirus, plan, by))
    }

    /// The engines of the new configuration: those that run if nothing about them changed, else new ones, tried once.
    async fn engines(&self, current: &Current, ready: &Ready) -> Result<Option<Arc<Antivirus>>, Vec<Problem>> {
        let running = current.loaded.config.resolved(&current.loaded.dir);
        let lists = |files: &BTreeMap<String, [u8; 32]>| -> Vec<(String, [u8; 32])> {
            files.iter().filter(|(name, _)| name.starts_with(LISTS)).map(|(name, sum)| (name.clone(), *sum)).collect()
        };
        if assemble::engines(&running) == assemble::engines(&ready.config) && lists(&current.files) == lists(&ready.files) {
            return Ok(current.antivirus.clone());
        }
        let config = ready.config.clone();
        let built = tokio::task::spawn_blocking(move || assemble::antivirus(&config)).await.map_err(|gone| own(gone.to_string()))?;
        let at = |error: crate::inspect::antivirus::SettingsError| {
            let setting = format!("antivirus.{}", error.key);
            vec![ready.loaded.place(&setting, Problem::from_text(&error.to_string()))]
        };
        let built = built.map_err(at)?;
        if let Some(antivirus) = &built {
            let _as_far_as_it_got = tokio::time::timeout(TRY_ENGINES, antivirus.probe()).await;
        }
        Ok(built)
    }

    /// Nothing in here can fail or wait.
    fn put_in_force(
        self: &Arc<Self>,
        current: &mut Current,
        ready: Ready,
        antivirus: Option<Arc<Antivirus>>,
        plan: Vec<Planned>,
        by: &str,
    ) -> Reloaded {
        let Ready { loaded, config, files, needs_restart, .. } = ready;
        let mut changed = changes(&current.loaded.config, &loaded.config);
        let in_files = files.iter().filter(|(name, sum)| current.files.get(*name).is_some_and(|before| before != *sum));
        changed.extend(in_files.map(|(name, _)| format!("{name}: changed")));
        config.log.relevel();
        let same_engines = match (&antivirus, &current.antivirus) {
            (Some(new), Some(old)) => Arc::ptr_eq(new, old),
            (new, old) => new.is_none() && old.is_none(),
        };
        self.pipeline.put_in_force(assemble::in_force(&loaded, &config, antivirus.clone()));
        self.gateway.put_in_force(plan, &config.limits);
        if !same_engines {
            current.watching.cancel();
            current.watching = self.watch(antivirus.clone(), config.antivirus.on_unavailable);
        }
        loaded_now();
        let line = history::Line { at: Timestamp::now(), version: &loaded.version, by, changed: &changed };
        history::write(&config.data_dir, &line);
        let reloaded = Reloaded {
            version: loaded.version.clone(),
            before: std::mem::replace(&mut current.loaded, loaded).version,
            changed,
            needs_restart,
            warnings: current.loaded.warnings.iter().map(Problem::to_string).collect(),
        };
        (current.files, current.antivirus) = (files, antivirus);
        if let Some(desks) = self.desks.get() {
            desks.put(self.desk(current));
        }
        reloaded
    }

    /// Watches engines until another reload replaces them, or the end.
    fn watch(&self, antivirus: Option<Arc<Antivirus>>, on_unavailable: Disposition) -> CancellationToken {
        let watching = self.no_more.child_token();
        if let Some(antivirus) = antivirus {
            let stop = watching.clone();
            self.tasks.spawn(async move { watch::watch(&antivirus, on_unavailable, stop).await });
        }
        watching
    }
}

impl Reloader {
    /// What the API works on; the same one shows what later reloads put in force.
    pub fn desks(self: &Arc<Self>, current: &Current) -> Desks {
        self.desks.get_or_init(|| Arc::new(self.desk(current)).into()).clone()
    }

    fn desk(self: &Arc<Self>, current: &Current) -> Desk {
        let (config, parts) = (&current.loaded.config, self.pipeline.parts());
        let listening = self.gateway.listening().into_iter();
        Desk {
            hostname: config.hostname.clone(),
            data_dir: current.loaded.resolve(&config.data_dir),
            store: parts.store.clone(),
            hands: Some(self.pipeline.clone() as Arc<dyn Hands>),
            read_only: String::new(),
            limits: config.content.clone(),
            version: current.loaded.version.clone(),
            mode: config.mode,
            started: Some(self.started),
            listeners: listening.map(|(name, address)| Listening { name, address: address.to_string() }).collect(),
            engines: current.antivirus.clone().map(|antivirus| antivirus as Arc<dyn Engines>),
            engine_optional: current.antivirus.is_none() || config.antivirus.on_unavailable == Disposition::Deliver,
            reloads: Some(Arc::new(Reload(self.clone()))),
            shutdown: self.no_more.clone(),
        }
    }

    /// From now on no mail is taken: whoever asks whether we are ready hears it.
    pub fn stop_mail(&self) {
        self.no_more_mail.cancel();
        if let Some(desks) = self.desks.get() {
            desks.put(Desk { listeners: Vec::new(), ..Desk::clone(&desks.now()) });
        }
    }

    /// The line that the service manager shows.
    pub fn status(&self, loaded: &Loaded) -> String {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let failed = if failed { "; the configuration file has errors and is not in force, see `mailweir status`" } else { "" };
        format!(
            "taking mail on {} listener(s), mode {}, version {}{failed}",
            self.gateway.listening().len(),
            loaded.config.mode,
            loaded.version
        )
    }
}

/// The reloader as operators see it.
struct Reload(Arc<Reloader>);

impl Reloads for Reload {
    fn reload<'a>(&'a self, by: &'a str) -> Task<'a, Reloaded> {
        Box::pin(async move { self.0.reload(by).await.map_err(operate::Error::NotReloaded) })
    }

    fn failed(&self) -> Option<NotReloaded> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn tell(reloaded: &Reloaded, by: &str) {
    for setting in &reloaded.needs_restart {
        tracing::warn!(by, "needs a restart: {setting}");
    }
    for warning in &reloaded.warnings {
        tracing::warn!("{warning}");
    }
    let changed = reloaded.changed.join("; ");
    tracing::info!(by, version = %reloaded.version, before = %reloaded.before, changed, "reloaded");
}

fn tell_failure(problems: &[Problem], by: &str, running: &Loaded) {
    for problem in problems.iter().filter(|problem| problem.is_error()) {
        tracing::error!(file = problem.file, line = problem.line, hint = problem.hint, "{}", problem.what);
    }
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    tracing::error!(by, errors, version = %running.version, "not reloaded: the configuration before stays in force");
}

fn loaded_now() {
    gauge!("mailweir_config_loaded_timestamp_seconds").set(Timestamp::now().as_second() as f64);
}

/// Describes the metrics of reloads.
pub fn describe() {
    metrics::describe_counter!("mailweir_reloads_total", "Reloads of the configuration, by result (ok, failed).");
    metrics::describe_gauge!("mailweir_config_in_force", "0 where the last reload was refused: the file is not what is in force.");
    let unit = metrics::Unit::Seconds;
    metrics::describe_gauge!("mailweir_config_loaded_timestamp_seconds", unit, "When the configuration in force was loaded (Unix time).");
}
