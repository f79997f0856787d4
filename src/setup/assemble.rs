//! The pieces that are made of a configuration, at start and at a reload alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Config, Loaded};
use crate::gateway::{ListenerSettings, Tls, TlsUse};
use crate::inspect::antivirus::{Antivirus, SettingsError};
use crate::inspect::{Check, Inspector};
use crate::mail::Disposition;
use crate::net::{ServerTls, TlsError};
use crate::pipeline::InForce;

/// The certificate of a listener; one that signs itself where none is named. `data_dir` holds that one. Reads files.
///
/// # Errors
/// When certificate or key cannot be used.
pub fn tls(settings: &ListenerSettings, data_dir: &Path, hostname: &str) -> Result<Option<Tls>, TlsError> {
    let tls = match (settings.tls, &settings.tls_certificate, &settings.tls_key) {
        (TlsUse::Off, _, _) => return Ok(None),
        (_, Some(certificate), Some(key)) => ServerTls::load(certificate, key)?,
        _ => ServerTls::self_signed(&data_dir.join("tls"), hostname)?,
    };
    Ok(Some(Tls::new(tls.config())))
}

/// The engines; `None` where mail is not checked for viruses. Reads lists of signatures, connects to nothing.
///
/// # Errors
/// When an engine is configured wrongly.
pub fn antivirus(config: &Config) -> Result<Option<Arc<Antivirus>>, SettingsError> {
    if !config.inspect.checks.contains(&Check::Antivirus) {
        return Ok(None);
    }
    Antivirus::new(&config.antivirus, config.limits.message_size.0).map(|antivirus| Some(Arc::new(antivirus)))
}

/// The settings that an [`Antivirus`] is made of. Where they are equal the one that runs is kept, with all it has measured.
pub fn engines(config: &Config) -> String {
    let mut settings = toml::Table::try_from(&config.antivirus).unwrap_or_default();
    // What answers lead to is the policy's business.
    settings.retain(|name, _| !name.starts_with("on_") && name != "unavailable_hold_after");
    format!("{settings} {:?} {}", config.limits.message_size, config.inspect.checks.contains(&Check::Antivirus))
}

/// What messages are judged and settled by. `config` has its paths resolved.
pub fn in_force(loaded: &Loaded, config: &Config, antivirus: Option<Arc<Antivirus>>) -> InForce {
    let rules = config.inspect.checks.iter().any(|check| *check != Check::Antivirus).then(|| loaded.rules.clone());
    InForce {
        mode: config.mode,
        version: loaded.version.clone(),
        routes: loaded.routes.clone(),
        limits: config.content.clone(),
        policy: config.policy(),
        inspector: Inspector::new(&config.inspect, &config.suitability, rules, antivirus)
            .limits_hold(config.antivirus.on_unscannable != Disposition::Deliver),
    }
}

/// SHA-256 of everything that lies in files beside the configuration, by what it is: for what changed between two readings.
pub fn files(loaded: &Loaded, config: &Config) -> BTreeMap<String, [u8; 32]> {
    let mut found = BTreeMap::from([("rules".to_owned(), loaded.rules.source_digest())]);
    for listener in &config.listeners {
        if let (Some(certificate), Some(key)) = (&listener.tls_certificate, &listener.tls_key) {
            found.insert(format!("listener {:?} certificate", listener.name), digest([certificate.as_path(), key.as_path()]));
        }
    }
    for route in &config.routes {
        if let Some(list) = &route.recipients {
            found.insert(format!("route {:?} list of recipients", route.name), digest([list.as_path()]));
        }
    }
    for engine in &config.antivirus.engines {
        if let Some(lists) = engine.strip_prefix("builtin:") {
            let mut files: Vec<_> = std::fs::read_dir(lists).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            files.sort();
            found.insert(format!("{LISTS}{engine}"), digest(files.iter().map(|file| file.as_path())));
        }
    }
    found
}

/// How the lists of a built-in engine are called in [`files`].
pub const LISTS: &str = "lists of ";

/// A file that cannot be read counts as empty: whoever needs it says what is wrong.
fn digest<'a>(files: impl IntoIterator<Item = &'a Path>) -> [u8; 32] {
    let mut sum = Sha256::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap_or_default();
        sum.update((bytes.len() as u64).to_be_bytes());
        sum.update(&bytes);
    }
    sum.finalize().into()
}
