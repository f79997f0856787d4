//! The first half of a reload: everything that can go wrong, before anything that runs is touched.

use std::collections::BTreeMap;
use std::path::Path;

use super::changes::keep;
use super::effective::canonical;
use super::problem::Problem;
use super::sockets::Given;
use super::version::version;
use super::{Config, Loaded, assemble, load};
use crate::gateway::{Gateway, ListenerSettings, Planned, Tls};
use crate::pipeline::Pipeline;

/// A configuration that was read and checked, with all that can be made of it without touching what runs.
pub struct Ready {
    /// As it will be in force: what needs a restart has the values that run.
    pub loaded: Loaded,
    /// The same with its paths resolved.
    pub config: Config,
    /// The certificate of each listener.
    pub tls: Vec<Option<Tls>>,
    /// What lies in files beside it.
    pub files: BTreeMap<String, [u8; 32]>,
    /// What was changed and needs a restart.
    pub needs_restart: Vec<String>,
}

/// Reads and checks the file as a whole. Reads files only; blocking.
///
/// # Errors
/// Everything that is wrong with it.
pub fn prepare(file: &Path, running: &Loaded) -> Result<Ready, Vec<Problem>> {
    let mut loaded = load(file)?;
    let needs_restart = keep(&mut loaded.config, &running.config);
    loaded.version = version(&canonical(&loaded.config), loaded.rules.source_digest());
    let config = loaded.config.resolved(&loaded.dir);
    let mut tls = Vec::new();
    for (place, listener) in config.listeners.iter().enumerate() {
        let made = assemble::tls(listener, &config.data_dir, &config.hostname);
        let at = |error: crate::net::TlsError| {
            vec![loaded.place(&format!("listener[{place}].tls_certificate"), Problem::from_text(&error.to_string()))]
        };
        tls.push(made.map_err(at)?);
    }
    let files = assemble::files(&loaded, &config);
    Ok(Ready { loaded, config, tls, files, needs_restart })
}

/// What becomes of each listener; new addresses are bound and listen, and nobody is served there yet.
///
/// # Errors
/// When an address cannot be had.
pub fn plan(gateway: &Gateway<Pipeline>, given: &mut Given, ready: &Ready) -> Result<Vec<Planned>, Vec<Problem>> {
    let listeners = &ready.config.listeners;
    let has = gateway.has(listeners);
    let mut planned = Vec::new();
    for (place, ((settings, tls), has)) in listeners.iter().zip(&ready.tls).zip(has).enumerate() {
        planned.push(match has {
            true => Planned::Kept(settings.clone(), tls.clone()),
            false => {
                let problem = |error: crate::gateway::BindError| {
                    vec![ready.loaded.place(&format!("listener[{place}].address"), Problem::from_text(&error.to_string()))]
                };
                Planned::New(bind(given, settings, tls).map_err(problem)?)
            }
        });
    }
    Ok(planned)
}

fn bind(given: &mut Given, settings: &ListenerSettings, tls: &Option<Tls>) -> Result<crate::gateway::Listener, crate::gateway::BindError> {
    let listener = given.reserve(settings)?.listen(tls.clone())?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(listener = settings.name, %address, "listening");
    }
    Ok(listener)
}

/// A fault of our own.
pub fn own(what: String) -> Vec<Problem> {
    vec![Problem::error(what, "")]
}
