//! Wiring: from a loaded configuration to a running gateway, and from a signal to a drained end.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use super::reload::{Current, Reloader};
use super::sockets::Given;
use super::{Config, Loaded, assemble, history, service, signals, token};
use crate::admin::{self, Metrics};
use crate::deliver::Courier;
use crate::gateway::{self, Gateway, Planned, Reserved};
use crate::inspect::antivirus::Antivirus;
use crate::mail::{Event, Mode, Record, VersionId};
use crate::net::{ClientTls, Resolver, TlsError};
use crate::pipeline::{Parts, Pipeline};
use crate::store::{Damaged, Store, StoreError};

/// How long at the end everything beside the mail that comes in may take: deliveries in progress have 20 seconds of their own,
/// the API finishes requests under way.
const END: Duration = Duration::from_secs(30);
/// How long the last writing to disk may take before the service manager thinks that we hang.
const LAST_WRITES: Duration = Duration::from_secs(60);

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
    reloader: Arc<Reloader>,
    current: Current,
    plan: Vec<Planned>,
    admin: admin::Bound,
    metrics: Metrics,
    hangup: Signal,
}

impl Running {
    /// Reserves every address, opens the store, then listens; nothing is accepted yet. Must run inside a runtime.
    ///
    /// # Errors
    /// See [`StartError`]; nothing is left behind then.
    pub async fn build(loaded: Loaded) -> Result<Self, StartError> {
        // From here on a SIGHUP does not end us.
        let hangup = signals::hangup().map_err(|error| StartError::Other(format!("signals: {error}")))?;
        let config = loaded.config.resolved(&loaded.dir);
        let metrics = Metrics::install().map_err(|error| StartError::Other(error.to_string()))?;
        describe();
        let mut given = Given::from_environment();
        let reserved = config.listeners.iter().map(|settings| given.reserve(settings)).collect::<Result<Vec<_>, _>>()?;
        given.tell_the_rest();
        let (courier, antivirus) = (courier(&config)?, antivirus(&config).await?);
        let store = open_store(&config, &loaded.version).await?;
        let (plan, admin) = match listen(reserved, config.clone()).await {
            Ok(listening) => listening,
            Err(error) => {
                store.close().await;
                return Err(error);
            }
        };
        let tokens = [CancellationToken::new(), CancellationToken::new()];
        let parts = Parts {
            hostname: config.hostname.as_str().into(),
            courier,
            store,
            opening: config.limits.for_opening(),
            leaving: config.limits.for_leaving(),
            data_dir: config.data_dir.clone(),
        };
        let pipeline = Arc::new(Pipeline::new(parts, assemble::in_force(&loaded, &config, antivirus.clone())));
        let gateway = Gateway::new(pipeline.clone(), &config.limits, &config.hostname, tokens[0].clone());
        let files = assemble::files(&loaded, &config);
        let reloader = Reloader::new(&loaded, pipeline, gateway, tokens);
        let watching = reloader.no_more.child_token();
        let current = Current { loaded, files, antivirus, watching, given };
        Ok(Self { reloader, current, plan, admin, metrics, hangup })
    }

    /// Runs until SIGTERM or SIGINT; then takes nothing new, finishes what is in progress, and puts everything in order on disk.
    ///
    /// # Errors
    /// When the signals cannot be listened to.
    pub async fn run(self) -> Result<(), StartError> {
        let mut signals = signals::Stop::new().map_err(|error| StartError::Other(format!("signals: {error}")))?;
        let Self { reloader, current, plan, admin, metrics, hangup } = self;
        let (pipeline, no_more, tasks) = (reloader.pipeline.clone(), reloader.no_more.clone(), reloader.tasks.clone());
        let config = current.loaded.config.resolved(&current.loaded.dir);
        reloader.gateway.put_in_force(plan, &config.limits);
        announce(&reloader, &current.loaded, &admin);

        let (kept, version, stop) = (pipeline.parts().store.clone(), current.loaded.version.clone(), no_more.clone());
        tasks.spawn(async move {
            // The start leaves many entries to be read later; damage among them is recorded then.
            while let Some(damaged) = stop.run_until_cancelled(kept.next_damaged()).await {
                record_damaged(&kept, damaged, &version).await;
            }
        });
        tasks.spawn(pipeline.clone().dispatch(no_more.clone()));
        tasks.spawn(pipeline.clone().expire(no_more.clone()));
        let (desks, stop) = (reloader.desks(&current), no_more.clone());
        tasks.spawn(async move {
            if let Err(error) = admin.serve(desks, metrics, stop).await {
                tracing::error!(%error, "the admin sockets ended; mail goes on");
            }
        });
        let over = CancellationToken::new();
        tokio::spawn(service::watchdog(pipeline.clone(), over.clone()));
        let line = history::Line { at: Timestamp::now(), version: &current.loaded.version, by: "start", changed: &[] };
        history::write(&config.data_dir, &line);
        let status = reloader.status(&current.loaded);
        reloader.begin(current).await;
        tasks.spawn(on_hangup(reloader.clone(), hangup));
        tracing::info!("ready");
        service::ready(status).await;

        let signal = signals.next().await;
        tracing::info!(signal, "stopping: no new mail; what is in progress is finished; a second signal stops at once");
        reloader.stop_mail();
        tokio::spawn(async move {
            let signal = signals.next().await;
            tracing::warn!(signal, "stopped at once; what was in progress is taken up at the next start");
            std::process::exit(1);
        });
        service::stopping(reloader.gateway.grace() + END + LAST_WRITES).await;
        reloader.gateway.drained().await;
        no_more.cancel();
        tasks.close();
        if tokio::time::timeout(END, tasks.wait()).await.is_err() {
            tracing::warn!(tasks = tasks.len(), "not everything beside the mail ended in time; it is cut off");
        }
        pipeline.parts().courier.close();
        pipeline.parts().store.close().await;
        over.cancel();
        tracing::info!("stopped");
        Ok(())
    }
}

/// Reloads at every SIGHUP until the end.
async fn on_hangup(reloader: Arc<Reloader>, mut hangup: Signal) {
    let work = async {
        while hangup.recv().await.is_some() {
            // What came of it is in the log and in `status`.
            let _told = reloader.reload("SIGHUP").await;
        }
    };
    reloader.no_more_mail.run_until_cancelled(work).await;
}

/// Where everything listens, and what somebody should know about this configuration.
fn announce(reloader: &Reloader, loaded: &Loaded, admin: &admin::Bound) {
    for (listener, address) in reloader.gateway.listening() {
        tracing::info!(listener, address = %address, "listening");
    }
    let mut others = vec![("http", admin.http_address()), ("metrics", admin.metrics_address())];
    others.retain(|(_, address)| address.is_some());
    for (name, address) in others {
        tracing::info!(listener = name, address = address.map(tracing::field::display), "listening");
    }
    // Checks that are off and mail that may pass unscanned are among them.
    for warning in &loaded.warnings {
        tracing::warn!(file = warning.file, line = warning.line, "{}", warning.what);
    }
    if loaded.config.mode != Mode::Normal {
        tracing::warn!(mode = %loaded.config.mode, "the mode is not normal");
    }
}

/// Declares the metrics of all parts.
fn describe() {
    super::reload::describe();
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

/// The way to the next hops.
fn courier(config: &Config) -> Result<Courier, StartError> {
    let resolver = Resolver::new(&config.delivery.nameservers).unwrap_or_else(|why| {
        tracing::warn!(%why, "no DNS: only next hops that are addresses can be reached");
        Resolver::without(why)
    });
    let tls = ClientTls::new(config.delivery.ca_file.as_deref())?;
    Ok(Courier::new(&config.delivery, &config.hostname, Arc::new(resolver), tls))
}

/// The engines. One that does not answer keeps nobody from starting: `on_unavailable` says what becomes of mail.
async fn antivirus(config: &Config) -> Result<Option<Arc<Antivirus>>, StartError> {
    let config = config.clone();
    let built = tokio::task::spawn_blocking(move || assemble::antivirus(&config)).await;
    built.map_err(|error| StartError::Other(error.to_string()))?.map_err(|error| StartError::Antivirus(error.to_string()))
}

/// Certificates and sockets, those of people last: nothing that comes after can fail.
async fn listen(reserved: Vec<Reserved>, mut config: Config) -> Result<(Vec<Planned>, admin::Bound), StartError> {
    let mut plan = Vec::new();
    for (settings, reserved) in config.listeners.iter().zip(reserved) {
        let tls = assemble::tls(settings, &config.data_dir, &config.hostname)?;
        plan.push(Planned::New(reserved.listen(tls)?));
    }
    if config.admin.http.is_some() && config.admin.token_file.is_none() {
        config.admin.token_file = Some(token::made(&config.data_dir).map_err(StartError::Other)?);
    }
    let admin = admin::Bound::bind(&config.admin).await?;
    Ok((plan, admin))
}
