//! Where no gateway runs: the store is read in this process, and changed only with `--offline`.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{CliError, Global};
use crate::admin::{Desk, who};
use crate::deliver::Courier;
use crate::inspect::antivirus::Antivirus;
use crate::inspect::{self, Check, Inspector};
use crate::net::{ClientTls, Resolver};
use crate::operate::hands::Hands;
use crate::pipeline::{InForce, Parts, Pipeline};
use crate::rules::RuleSet;
use crate::setup::{self, Config, Loaded, Problem};
use crate::store::{Store, StoreError};

/// Problems of a configuration as one error, one line each.
pub fn problems(problems: &[Problem]) -> CliError {
    CliError::new(problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))
}

/// The desk over the store on disk: for reading, or with `--offline` for changes too.
///
/// # Errors
/// When there is no configuration, it is broken, or the store cannot be opened.
pub async fn desk(global: &Global, socket: &Path) -> Result<Desk, CliError> {
    let nobody = |why: String| CliError::new(format!("no gateway answers at {}, and {why}", socket.display()));
    let path = setup::find(global.config.as_deref()).map_err(nobody)?;
    let loaded = setup::load(&path).map_err(|found| problems(&found))?;
    let config = loaded.config.resolved(&loaded.dir);
    if !config.data_dir.exists() {
        return Err(nobody(format!("there is no store in {}; start it with `mailweir serve`", config.data_dir.display())));
    }
    let store = open(&config, global.offline).await.map_err(|error| nobody(error.to_string()))?;
    let hands = if global.offline { Some(hands(&loaded, &config, store.clone()).await?) } else { None };
    Ok(Desk {
        hostname: config.hostname,
        data_dir: config.data_dir,
        store,
        hands,
        read_only: format!("no gateway answers at {}; to change the store without one add --offline", socket.display()),
        limits: config.content,
        version: loaded.version,
        mode: config.mode,
        started: None,
        listeners: Vec::new(),
        engines: None,
        engine_optional: true,
        reloads: None,
        shutdown: CancellationToken::new(),
    })
}

/// Opens the store. For changes only as the user it belongs to: the gateway could not read what somebody else wrote.
async fn open(config: &Config, change: bool) -> Result<Arc<Store>, String> {
    let (dir, quarantine, journal) = (config.data_dir.clone(), config.quarantine.clone(), config.journal.clone());
    let owner = std::fs::metadata(&dir).map(|dir| who::Peer(Some(dir.uid())).name()).map_err(|error| error.to_string())?;
    if change && owner != who::myself() {
        return Err(format!("{} belongs to {name}; run it as {name}: sudo -u {name} mailweir …", dir.display(), name = owner.0));
    }
    let work = move || -> Result<_, StoreError> {
        if change { Store::open_with(&dir, &quarantine, &journal) } else { Store::open_read_only(&dir, &quarantine) }
    };
    let (store, _recovery) =
        tokio::task::spawn_blocking(work).await.map_err(|gone| gone.to_string())?.map_err(|error| error.to_string())?;
    Ok(store)
}

/// A pipeline that releases, deletes and sets what is due; nothing leaves it before a gateway runs.
async fn hands(loaded: &Loaded, config: &Config, store: Arc<Store>) -> Result<Arc<dyn Hands>, CliError> {
    let wrong = |error: String| CliError::new(error);
    let tls = ClientTls::new(config.delivery.ca_file.as_deref()).map_err(|error| wrong(error.to_string()))?;
    let dns = Resolver::new(&config.delivery.nameservers).unwrap_or_else(Resolver::without);
    let parts = Parts {
        hostname: config.hostname.as_str().into(),
        courier: Courier::new(&config.delivery, &config.hostname, Arc::new(dns), tls),
        store,
        opening: config.limits.for_opening(),
        leaving: config.limits.for_leaving(),
        data_dir: config.data_dir.clone(),
    };
    let in_force = InForce {
        mode: config.mode,
        version: loaded.version.clone(),
        routes: loaded.routes.clone(),
        limits: config.content.clone(),
        policy: config.policy(),
        inspector: inspector(config, loaded.rules.clone()).await?,
    };
    Ok(Arc::new(Pipeline::new(parts, in_force)))
}

/// The checks of a configuration, without a gateway.
///
/// # Errors
/// When an engine's settings are wrong.
pub async fn inspector(config: &Config, rules: Arc<RuleSet>) -> Result<Inspector, CliError> {
    let (settings, size) = (config.antivirus.clone(), config.limits.message_size.0);
    let antivirus = if config.inspect.checks.contains(&Check::Antivirus) {
        let built = tokio::task::spawn_blocking(move || Antivirus::new(&settings, size)).await;
        let built = built.map_err(|gone| CliError::new(gone.to_string()))?;
        Some(Arc::new(built.map_err(|error| CliError::new(error.to_string()))?))
    } else {
        None
    };
    Ok(Inspector::new(&config.inspect, &inspect::content::Settings::default(), Some(rules), antivirus))
}
