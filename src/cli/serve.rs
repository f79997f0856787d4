//! `mailweir serve`: runs the gateway in the foreground until SIGTERM or SIGINT.

use super::{CliError, Code, Global};
use crate::setup::{self, Running};

/// Arguments of `mailweir serve`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
///
/// # Errors
/// When the configuration has errors (all are told), or something that is needed cannot be had.
pub fn run(_args: Args, global: &Global) -> Result<Code, CliError> {
    let path = setup::find(global.config.as_deref()).map_err(CliError::new)?;
    let loaded = setup::load(&path).map_err(|problems| super::offline::problems(&problems))?;
    loaded.config.resolved(&loaded.dir).log.start().map_err(CliError::new)?;
    tracing::info!(version = %loaded.version, configuration = %loaded.file, mode = %loaded.config.mode, "mailweir {}", env!("CARGO_PKG_VERSION"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async { Running::build(loaded).await?.run().await });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    outcome.map(|()| Code::Done).map_err(|error: setup::StartError| CliError::new(error.to_string()))
}
