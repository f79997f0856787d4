//! From a configuration to a running gateway: every part built in order, all sockets bound before anything is taken.
//!
//! ```text
//! data directory ─► sockets (people, mail) ─► store (recovery) ─► engines, rules, courier ─► pipeline
//!                                                                                              │
//! run: serve mail, dispatch, watch engines, expire, serve people     ◄─────────────────────────┘
//! stop: no new mail, transactions finish ─► deliveries finish ─► people go ─► store closes
//! ```

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::load::Loaded;
use super::{Config, keep, token};
use crate::admin::{self, Desk, Metrics};
use crate::deliver::{self, Courier};
use crate::gateway::{self, Listener, ListenerSettings, Tls, TlsUse};
use crate::inspect::antivirus::{Antivirus, EngineStatus, SettingsError, State};
use crate::inspect::{self, Check, Inspector};
use crate::mail::{Disposition, Event, Record, VersionId};
use crate::net::{ClientTls, Resolver, ServerTls, TlsError};
use crate::operate::engines::Engines;
use crate::operate::status::Listening;
use crate::pipeline::{Parts, Pipeline};
use crate::store::{self, Recovery, Store, StoreError};

/// How long the start waits for the engines' first answers; mail is taken then, whatever they say.
const FIRST_PROBE: Duration = Duration::from_secs(10);

/// Why the gateway does not start: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A socket for mail.
    #[error(transparent)]
    Listener(#[from] gateway::BindError),
    /// A socket for people.
    #[error(transparent)]
    Admin(#[from] admin::BindError),
    /// A certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An engine's settings.
    #[error(transparent)]
    Antivirus(#[from] SettingsError),
    /// The data directory.
    #[error("cannot use data_dir {path}: {source}; make the directory and give it to the gateway's user (mkdir -p, chown, chmod 700)", path = .path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// A gateway whose sockets are bound and whose parts are built; [`Running::run`] makes it work.
pub struct Running {
    config: Config,
    listeners: Vec<Listener>,
    admin: admin::Bound,
    desk: Arc<Desk>,
    metrics: Metrics,
    pipeline: Arc<Pipeline>,
    antivirus: Option<Arc<Antivirus>>,
    /// Ends the sockets of people; after mail has ended.
    people: CancellationToken,
}

/// Builds everything. `metrics` is the process's recorder.
///
/// # Errors
/// The first thing that cannot be had. Nothing was accepted, and nothing on disk was changed but by the store's own recovery.
pub async fn wire(loaded: Loaded, metrics: Metrics) -> Result<Running, StartError> {
    let mut config = loaded.config.resolved(&loaded.dir);
    describe();
    make_data_dir(&config.data_dir)?;
    if config.admin.http.is_some() && config.admin.token_file.is_none() {
        config.admin.token_file = Some(token::made(&config.data_dir).map_err(StartError::Other)?);
    }
    let admin = admin::Bound::bind(&config.admin).await?;
    let listeners = bind(&config)?;
    let store = open(&config, &loaded.version).await?;
    let antivirus = antivirus(&config).await?;
    let client_tls = ClientTls::new(config.delivery.ca_file.as_deref())?;
    let dns = Resolver::new(&config.delivery.nameservers).unwrap_or_else(|why| {
        tracing::warn!(why, "no DNS: only next hops given as addresses can be reached");
        Resolver::without(why)
    });
    let pipeline = Arc::new(Pipeline::new(Parts {
        hostname: config.hostname.as_str().into(),
        mode: config.mode,
        version: loaded.version.clone(),
        routes: loaded.routes.clone(),
        limits: config.content.clone(),
        policy: config.policy(),
        inspector: Inspector::new(&config.inspect, &inspect::content::Settings::default(), Some(loaded.rules.clone()), antivirus.clone()),
        courier: Courier::new(&config.delivery, &config.hostname, Arc::new(dns), client_tls),
        store: store.clone(),
    }));
    let people = CancellationToken::new();
    let desk = Arc::new(Desk {
        hostname: config.hostname.clone(),
        data_dir: config.data_dir.clone(),
        store,
        hands: Some(pipeline.clone()),
        read_only: String::new(),
        limits: config.content.clone(),
        version: loaded.version.clone(),
        mode: config.mode,
        started: Some(jiff::Timestamp::now()),
        listeners: listeners.iter().map(|listener| Listening { name: listener.name().to_owned(), address: shown(listener) }).collect(),
        engines: antivirus.clone().map(|engines| engines as Arc<dyn Engines>),
        engine_optional: antivirus.is_none() || config.antivirus.on_unavailable == Disposition::Deliver,
        shutdown: people.clone(),
    });
    Ok(Running { config, listeners, admin, desk, metrics, pipeline, antivirus, people })
}

impl Running {
    /// Every bound address by name: the listeners, `http` and `metrics`.
    pub fn addresses(&self) -> Vec<(String, SocketAddr)> {
        let mail = self.listeners.iter().filter_map(|listener| Some((listener.name().to_owned(), listener.local_addr().ok()?)));
        let people = [("http", self.admin.http_address()), ("metrics", self.admin.metrics_address())];
        mail.chain(people.into_iter().filter_map(|(name, address)| Some((name.to_owned(), address?)))).collect()
    }

    /// The way of a message.
    pub fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Takes mail until `stop`; then finishes what was begun, in order, and closes the store.
    pub async fn run(self, stop: CancellationToken) {
        let Self { config, listeners, admin, desk, metrics, pipeline, antivirus, people } = self;
        let deliveries = CancellationToken::new();
        let dispatching = tokio::spawn(pipeline.clone().dispatch(deliveries.clone()));
        let expiring = tokio::spawn(keep::expire(pipeline.clone(), deliveries.clone()));
        let watching = antivirus.map(|antivirus| {
            let until = people.clone();
            tokio::spawn(async move { antivirus.watch(until).await })
        });
        let serving_people = tokio::spawn(admin.serve(desk, metrics, people.clone()));

        gateway::serve(listeners, pipeline.clone(), &config.limits, &config.hostname, stop).await;
        tracing::info!("no more mail is taken; deliveries under way are finished");
        deliveries.cancel();
        ended("dispatch", dispatching.await);
        ended("expiry", expiring.await);
        pipeline.parts().courier.close();
        people.cancel();
        match serving_people.await {
            Ok(Err(error)) => tracing::error!(%error, "the admin sockets failed"),
            ended_with => ended("admin", ended_with.map(|_| ())),
        }
        if let Some(watching) = watching {
            ended("engines", watching.await);
        }
        pipeline.parts().store.close().await;
    }
}

fn ended(task: &'static str, result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        tracing::error!(task, %error, "a task broke off");
    }
}

fn describe() {
    gateway::describe();
    store::describe();
    deliver::describe();
    inspect::describe();
    inspect::antivirus::describe();
}

fn shown(listener: &Listener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}

fn make_data_dir(path: &Path) -> Result<(), StartError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| StartError::DataDir { path: path.to_owned(), source })
}

/// All listeners, each with its certificate. The one that signs itself is made where none is named.
pub(super) fn bind(config: &Config) -> Result<Vec<Listener>, StartError> {
    let certificate = |listener: &ListenerSettings| -> Result<Option<Tls>, StartError> {
        let tls = match (&listener.tls_certificate, &listener.tls_key) {
            _ if listener.tls == TlsUse::Off => return Ok(None),
            (Some(certificate), Some(key)) => ServerTls::load(certificate, key)?,
            _ => ServerTls::self_signed(&config.data_dir.join("tls"), &config.hostname)?,
        };
        Ok(Some(Tls::new(tls.config())))
    };
    config.listeners.iter().map(|listener| Ok(Listener::bind(listener, certificate(listener)?)?)).collect()
}

/// Opens the store; what its recovery had to set aside is recorded.
async fn open(config: &Config, version: &VersionId) -> Result<Arc<Store>, StartError> {
    let (dir, quarantine, journal) = (config.data_dir.clone(), config.quarantine.clone(), config.journal.clone());
    let opened = tokio::task::spawn_blocking(move || Store::open_with(&dir, &quarantine, &journal)).await;
    let (store, recovery): (Arc<Store>, Recovery) = opened.map_err(|error| StartError::Other(error.to_string()))??;
    let at = jiff::Timestamp::now();
    let records = recovery.damaged.into_iter().filter_map(|damaged| {
        let lies = damaged.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
        let what = format!("{}; set aside: {lies}", damaged.what);
        Some(Record { at, id: damaged.id?, version: version.clone(), event: Event::Damaged { what } })
    });
    let records: Vec<Record> = records.collect();
    if !records.is_empty() {
        store.record_synced(&records).await?;
    }
    Ok(store)
}

/// The engines, tried once. One that does not answer keeps nobody from starting: `on_unavailable` says what becomes of mail.
async fn antivirus(config: &Config) -> Result<Option<Arc<Antivirus>>, StartError> {
    if !config.inspect.checks.contains(&Check::Antivirus) {
        return Ok(None);
    }
    let (settings, size) = (config.antivirus.clone(), config.limits.message_size.0);
    let built = tokio::task::spawn_blocking(move || Antivirus::new(&settings, size)).await;
    let antivirus = Arc::new(built.map_err(|error| StartError::Other(error.to_string()))??);
    match tokio::time::timeout(FIRST_PROBE, antivirus.probe()).await {
        Ok(all) => all.iter().for_each(|engine| say(engine, config.antivirus.on_unavailable)),
        Err(_) => tracing::warn!("the virus engines have not answered within {FIRST_PROBE:?}; mail is taken all the same"),
    }
    Ok(Some(antivirus))
}

/// One log line for an engine, and one for each thing to change.
fn say(engine: &EngineStatus, on_unavailable: Disposition) {
    let name = &engine.engine;
    match &engine.state {
        State::Down { reason } | State::Wrong { reason } => {
            tracing::warn!(engine = name, reason, %on_unavailable, "this virus engine cannot be used; mail is treated as on_unavailable says");
        }
        _ => tracing::info!(engine = name, version = engine.version.as_deref().unwrap_or_default(), "virus engine ready"),
    }
    for warning in &engine.warnings {
        tracing::warn!(engine = name, "{warning}");
    }
}
