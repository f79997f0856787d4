//! Wiring: from a loaded configuration to a running gateway, and from a signal to a drained end.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Config, Loaded, token};
use crate::admin::{self, Desk, Metrics};
use crate::deliver::Courier;
use crate::gateway::{self, Listener, ListenerSettings, Tls};
use crate::inspect::antivirus::{Antivirus, State};
use crate::inspect::{Check, Inspector};
use crate::mail::{Disposition, Event, Mode, Record, VersionId};
use crate::net::{ClientTls, Resolver, ServerTls, TlsError};
use crate::operate::engines::Engines;
use crate::operate::hands::Hands;
use crate::operate::status::Listening;
use crate::pipeline::{InForce, Parts, Pipeline};
use crate::store::{Damaged, Store, StoreError};

/// Why the gateway does not start; each text is one line and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A listener cannot be bound.
    #[error(transparent)]
    Listener(#[from] gateway::BindError),
    /// The admin socket or a port of it cannot be bound.
    #[error(transparent)]
    Admin(#[from] admin::BindError),
    /// A certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The engines are configured wrongly.
    #[error("[antivirus] {0}")]
    Antivirus(String),
    /// Something of our own.
    #[error("{0}")]
    Other(String),
}

/// Everything that runs, built but not yet started.
pub struct Running {
    loaded: Loaded,
    listeners: Vec<Listener>,
    admin: admin::Bound,
    metrics: Metrics,
    pipeline: Arc<Pipeline>,
    antivirus: Option<Arc<Antivirus>>,
}

impl Running {
    /// Binds every socket and opens the store; nothing is accepted yet. Must run inside a runtime.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind then.
    pub async fn build(loaded: Loaded) -> Result<Self, StartError> {
        let mut config = loaded.config.resolved(&loaded.dir);
        let metrics = Metrics::install().map_err(|error| StartError::Other(error.to_string()))?;
        describe();
        let store = open_store(&config, &loaded.version).await?;
        if config.admin.http.is_some() && config.admin.token_file.is_none() {
            config.admin.token_file = Some(token::made(&config.data_dir).map_err(StartError::Other)?);
        }
        let listeners = bind(&config.listeners, &config.data_dir, &config.hostname)?;
        let admin = admin::Bound::bind(&config.admin).await?;
        let antivirus = antivirus(&config).await?;
        let rules = config.inspect.checks.iter().any(|check| *check != Check::Antivirus).then(|| loaded.rules.clone());
        let inspector = Inspector::new(&config.inspect, &config.suitability, rules, antivirus.clone());
        let resolver = Resolver::new(&config.delivery.nameservers).unwrap_or_else(|why| {
            tracing::warn!(%why, "no DNS: only next hops that are addresses can be reached");
            Resolver::without(why)
        });
        let tls = ClientTls::new(config.delivery.ca_file.as_deref())?;
        let courier = Courier::new(&config.delivery, &config.hostname, Arc::new(resolver), tls);
        let parts = Parts { hostname: config.hostname.as_str().into(), courier, store };
        let in_force = InForce {
            mode: config.mode,
            version: loaded.version.clone(),
            routes: loaded.routes.clone(),
            limits: config.content.clone(),
            policy: config.policy(),
            inspector,
        };
        Ok(Self { loaded, listeners, admin, metrics, pipeline: Arc::new(Pipeline::new(parts, in_force)), antivirus })
    }

    /// Runs until SIGTERM or SIGINT; then takes nothing new, finishes what is in progress, and puts everything in order on disk.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
    pub async fn run(self) -> Result<(), StartError> {
        let mut signals = Signals::new().map_err(|error| StartError::Other(format!("signals: {error}")))?;
        let (no_more_mail, no_more) = (CancellationToken::new(), CancellationToken::new());
        let store = self.pipeline.parts().store.clone();
        let hostname = self.loaded.config.hostname.clone();
        self.announce();

        let mut others = JoinSet::new();
        others.spawn(self.pipeline.clone().dispatch(no_more.clone()));
        others.spawn(self.pipeline.clone().expire(no_more.clone()));
        if let Some(antivirus) = self.antivirus.clone() {
            let (stop, on_unavailable) = (no_more.clone(), self.loaded.config.antivirus.on_unavailable);
            others.spawn(async move { watch(&antivirus, on_unavailable, stop).await });
        }
        let (kept, version, stop) = (store.clone(), self.loaded.version.clone(), no_more.clone());
        others.spawn(async move {
            // The start leaves many entries to be read later; damage among them is recorded then.
            while let Some(damaged) = stop.run_until_cancelled(kept.next_damaged()).await {
                record_damaged(&kept, damaged, &version).await;
            }
        });
        let desk = Arc::new(self.desk(no_more.clone()));
        let (admin, exporter, stop) = (self.admin, self.metrics, no_more.clone());
        others.spawn(async move {
            if let Err(error) = admin.serve(desk, exporter, stop).await {
                tracing::error!(%error, "the admin sockets ended; mail goes on");
            }
        });

        let limits = self.loaded.config.limits.clone();
        let (accept, stop) = (self.pipeline.clone(), no_more_mail.clone());
        let serving = tokio::spawn(async move { gateway::serve(self.listeners, accept, &limits, &hostname, stop).await });
        tracing::info!("ready");
        let signal = signals.next().await;
        tracing::info!(signal, "stopping: no new mail; what is in progress is finished; a second signal stops at once");
        no_more_mail.cancel();
        tokio::spawn(async move {
            let signal = signals.next().await;
            tracing::warn!(signal, "stopped at once; what was in progress is taken up at the next start");
            std::process::exit(1);
        });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the listeners ended abnormally");
        }
        no_more.cancel();
        while others.join_next().await.is_some() {}
        self.pipeline.parts().courier.close();
        store.close().await;
        tracing::info!("stopped");
        Ok(())
    }

    /// Where everything listens, and what somebody should know about this configuration.
    fn announce(&self) {
        for listening in self.listening() {
            tracing::info!(listener = listening.name, address = listening.address, "listening");
        }
        let mut others = vec![("http", self.admin.http_address()), ("metrics", self.admin.metrics_address())];
        others.retain(|(_, address)| address.is_some());
        for (name, address) in others {
            tracing::info!(listener = name, address = address.map(tracing::field::display), "listening");
        }
        // Checks that are off and mail that may pass unscanned are among them.
        for warning in &self.loaded.warnings {
            tracing::warn!(file = warning.file, line = warning.line, "{}", warning.what);
        }
        let config = &self.loaded.config;
        if config.mode != Mode::Normal {
            tracing::warn!(mode = %config.mode, "the mode is not normal");
        }
    }

    fn listening(&self) -> Vec<Listening> {
        let address = |listener: &Listener| listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
        self.listeners.iter().map(|listener| Listening { name: listener.name().to_owned(), address: address(listener) }).collect()
    }

    fn desk(&self, shutdown: CancellationToken) -> Desk {
        let (config, parts) = (&self.loaded.config, self.pipeline.parts());
        Desk {
            hostname: config.hostname.clone(),
            data_dir: self.loaded.resolve(&config.data_dir),
            store: parts.store.clone(),
            hands: Some(self.pipeline.clone() as Arc<dyn Hands>),
            read_only: String::new(),
            limits: config.content.clone(),
            version: self.loaded.version.clone(),
            mode: config.mode,
            started: Some(Timestamp::now()),
            listeners: self.listening(),
            engines: self.antivirus.clone().map(|antivirus| antivirus as Arc<dyn Engines>),
            engine_optional: self.antivirus.is_none() || config.antivirus.on_unavailable == Disposition::Deliver,
            shutdown,
        }
    }
}

/// Declares the metrics of all parts.
fn describe() {
    gateway::describe();
    crate::inspect::describe();
    crate::inspect::antivirus::describe();
    crate::deliver::describe();
    crate::store::describe();
}

/// Opens the store, which logs what its recovery found; damaged entries are recorded here.
async fn open_store(config: &Config, version: &VersionId) -> Result<Arc<Store>, StartError> {
    let (dir, settings, journal) = (config.data_dir.clone(), config.quarantine.clone(), config.journal.clone());
    let opened = tokio::task::spawn_blocking(move || Store::open_with(&dir, &settings, &journal)).await;
    let (store, recovery) = opened.map_err(|error| StartError::Other(error.to_string()))??;
    record_damaged(&store, recovery.damaged, version).await;
    Ok(store)
}

async fn record_damaged(store: &Store, damaged: Vec<Damaged>, version: &VersionId) {
    let at = Timestamp::now();
    let record = |damaged: Damaged| {
        let lies = damaged.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        let what = format!("{}; set aside: {lies}", damaged.what);
        Some(Record { at, id: damaged.id?, version: version.clone(), event: Event::Damaged { what } })
    };
    let records: Vec<Record> = damaged.into_iter().filter_map(record).collect();
    if let Err(error) = store.record_synced(&records).await {
        tracing::error!(%error, entries = records.len(), "damaged entries are set aside, but that could not be recorded");
    }
}

fn bind(listeners: &[ListenerSettings], data_dir: &std::path::Path, hostname: &str) -> Result<Vec<Listener>, StartError> {
    let mut bound = Vec::new();
    for settings in listeners {
        let tls = match (settings.tls, &settings.tls_certificate, &settings.tls_key) {
            (gateway::TlsUse::Off, _, _) => None,
            (_, Some(certificate), Some(key)) => Some(ServerTls::load(certificate, key)?),
            _ => Some(ServerTls::self_signed(&data_dir.join("tls"), hostname)?),
        };
        bound.push(Listener::bind(settings, tls.map(|tls| Tls::new(tls.config())))?);
    }
    Ok(bound)
}

/// The engines. One that does not answer keeps nobody from starting: `on_unavailable` says what becomes of mail.
async fn antivirus(config: &Config) -> Result<Option<Arc<Antivirus>>, StartError> {
    if !config.inspect.checks.contains(&Check::Antivirus) {
        return Ok(None);
    }
    let (settings, size) = (config.antivirus.clone(), config.limits.message_size.0);
    let built = tokio::task::spawn_blocking(move || Antivirus::new(&settings, size)).await;
    built
        .map_err(|error| StartError::Other(error.to_string()))?
        .map(|antivirus| Some(Arc::new(antivirus)))
        .map_err(|error| StartError::Antivirus(error.to_string()))
}

/// Tries the engines and says what is wrong with them, then keeps watching.
async fn watch(antivirus: &Antivirus, on_unavailable: Disposition, stop: CancellationToken) {
    let statuses = tokio::select! {
        statuses = antivirus.probe() => statuses,
        () = stop.cancelled() => return,
    };
    for status in &statuses {
        let (engine, version) = (&status.engine, status.version.as_deref().unwrap_or_default());
        match &status.state {
            State::Down { reason } | State::Wrong { reason } => {
                tracing::warn!(engine, reason, %on_unavailable, "this virus engine cannot be used; mail is treated as on_unavailable says");
            }
            State::Up | State::Unknown => tracing::info!(engine, version, "virus engine answers"),
        }
        for warning in &status.warnings {
            tracing::warn!(engine, "{warning}");
        }
    }
    antivirus.watch(stop).await;
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
