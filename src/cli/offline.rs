//! Where no gateway runs: the store is read in this process, and changed only with `--offline`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{CliError, Global};
use crate::admin::Desk;
use crate::content;
use crate::setup::{self, Config, Problem};
use crate::store::{Settings, Store};

/// Problems of a configuration as one error, one line each.
pub fn problems(problems: &[Problem]) -> CliError {
    CliError::new(problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))
}

/// The admin socket of a configuration; a relative path begins at its file's folder.
pub fn socket_of(config: &Config, file: &Path) -> PathBuf {
    let tree = config.tree();
    let set = tree.get("admin").and_then(|admin| admin.get("socket")).and_then(|socket| socket.as_str());
    let socket = set.map_or(crate::admin::Settings::default().socket, PathBuf::from);
    file.parent().unwrap_or(Path::new("")).join(socket)
}

/// The desk over the store on disk.
///
/// # Errors
/// When there is no configuration, it is broken, or the store cannot be opened.
pub async fn desk(global: &Global, socket: &Path) -> Result<Desk, CliError> {
    let nobody = |why: String| CliError::new(format!("no gateway answers at {}, and {why}", socket.display()));
    let path = setup::find(global.config.as_deref()).map_err(nobody)?;
    let loaded = setup::load(&path).map_err(|found| problems(&found))?;
    let data_dir = loaded.resolve(&loaded.config.data_dir);
    let dir = data_dir.clone();
    let opened = tokio::task::spawn_blocking(move || Store::open(&dir, &Settings::default())).await;
    let (store, _) = opened.map_err(|gone| nobody(gone.to_string()))?.map_err(|error| nobody(error.to_string()))?;
    Ok(Desk {
        hostname: loaded.config.hostname.clone(),
        data_dir,
        store,
        hands: None,
        read_only: format!("no gateway answers at {}; to change the store without one add --offline", socket.display()),
        limits: content::Limits::default(),
        version: loaded.version.clone(),
        mode: loaded.config.mode,
        started: None,
        listeners: Vec::new(),
        engines: None,
        engine_optional: true,
        shutdown: CancellationToken::new(),
    })
}

#[allow(dead_code)]
fn unused(_: Arc<Store>) {}
