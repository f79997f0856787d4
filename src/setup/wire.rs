//! Wiring: from a loaded configuration to a running gateway, and from a signal to a drained end.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Loaded;
use crate::admin::{self, Desk, Metrics};
use crate::deliver::Courier;
use crate::gateway::{self, Listener, ListenerSettings, Tls};
use crate::inspect::antivirus::Antivirus;
use crate::inspect::{Check, Inspector};
use crate::mail::{Disposition, Mode};
use crate::net::{ClientTls, Resolver, ServerTls, TlsError};
use crate::operate::engines::Engines;
use crate::operate::hands::Hands;
use crate::operate::status::Listening;
use crate::pipeline::{Parts, Pipeline};
use crate::store::{Store, StoreError};

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
        let config = loaded.config.resolved(&loaded.dir);
        let metrics = Metrics::install().map_err(|error| StartError::Other(error.to_string()))?;
        describe();
        let store = open_store(&loaded, &config.data_dir).await?;
        let listeners = bind(&config.listeners, &config.data_dir, &config.hostname)?;
        let admin = admin::Bound::bind(&config.admin).await?;
        let antivirus = antivirus(&loaded)?;
        let rules = config.inspect.checks.iter().any(|check| *check != Check::Antivirus).then(|| loaded.rules.clone());
        let inspector = Inspector::new(&config.inspect, &config.suitability, rules, antivirus.clone());
        let resolver = Resolver::new(&config.delivery.nameservers).unwrap_or_else(|why| {
            tracing::warn!(%why, "no DNS: only next hops that are addresses can be reached");
            Resolver::without(why)
        });
        let tls = ClientTls::new(config.delivery.ca_file.as_deref())?;
        let courier = Courier::new(&config.delivery, &config.hostname, Arc::new(resolver), tls);
        let parts = Parts {
            hostname: config.hostname.as_str().into(),
            mode: config.mode,
            version: loaded.version.clone(),
            routes: loaded.routes.clone(),
            limits: config.content.clone(),
            policy: config.policy(),
            inspector,
            courier,
            store,
        };
        Ok(Self { loaded, listeners, admin, metrics, pipeline: Arc::new(Pipeline::new(parts)), antivirus })
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
            let stop = no_more.clone();
            others.spawn(async move { watch(&antivirus, stop).await });
        }
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
        tracing::info!(signal, "stopping: no new mail; what is in progress is finished");
        no_more_mail.cancel();
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
        for warning in &self.loaded.warnings {
            tracing::warn!("{warning}");
        }
        let config = &self.loaded.config;
        if config.inspect.checks.is_empty() {
            tracing::warn!("[inspect] checks = []: mail is passed on UNCHECKED, this is a bare relay");
        }
        if config.mode != Mode::Normal {
            tracing::warn!(mode = %config.mode, "the mode is not normal");
        }
        if config.antivirus.on_unavailable == Disposition::Deliver {
            tracing::warn!("[antivirus] on_unavailable = \"deliver\": while no engine answers, mail is delivered UNSCANNED");
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
            engine_optional: config.antivirus.on_unavailable == Disposition::Deliver,
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

async fn open_store(loaded: &Loaded, data_dir: &PathBuf) -> Result<Arc<Store>, StartError> {
    let (dir, settings, journal) = (data_dir.clone(), loaded.config.quarantine.clone(), loaded.config.journal.clone());
    let opened = tokio::task::spawn_blocking(move || Store::open_with(&dir, &settings, &journal)).await;
    let (store, recovery) = opened.map_err(|error| StartError::Other(error.to_string()))??;
    tracing::info!(entries = recovery.entries, damaged = recovery.damaged.len(), took_ms = recovery.took.as_millis() as u64, "store open");
    Ok(store)
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

fn antivirus(loaded: &Loaded) -> Result<Option<Arc<Antivirus>>, StartError> {
    let config = loaded.config.resolved(&loaded.dir);
    if !config.inspect.checks.contains(&Check::Antivirus) {
        return Ok(None);
    }
    let built = Antivirus::new(&config.antivirus, config.limits.message_size.0);
    built.map(|antivirus| Some(Arc::new(antivirus))).map_err(|error| StartError::Antivirus(error.to_string()))
}

/// Tries the engines and says what is wrong with them, then keeps watching.
async fn watch(antivirus: &Antivirus, stop: CancellationToken) {
    let statuses = tokio::select! {
        statuses = antivirus.probe() => statuses,
        () = stop.cancelled() => return,
    };
    for status in statuses {
        for engine in std::iter::once(&status) {
            tracing::info!(engine = engine.engine, state = ?engine.state, version = engine.version, "virus engine");
            for warning in &engine.warnings {
                tracing::warn!(engine = engine.engine, "{warning}");
            }
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
