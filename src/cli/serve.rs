//! `mailweir serve`: the gateway, until SIGTERM or SIGINT.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{CliError, Code, Global, offline};
use crate::admin::Metrics;
use crate::setup::{self, Loaded, wire};

/// Arguments of `mailweir serve`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the gateway. Whatever keeps it from starting is said in one line, after that the log speaks.
pub fn run(_args: Args, global: &Global) -> Result<Code, CliError> {
    let path = setup::find(global.config.as_deref()).map_err(CliError::new)?;
    let loaded = setup::load(&path).map_err(|problems| offline::problems(&problems))?;
    loaded.config.log.start();
    for warning in &loaded.warnings {
        tracing::warn!(file = warning.file, line = warning.line, write = warning.hint, "{}", warning.what);
    }
    let metrics = Metrics::install().map_err(|error| CliError::new(format!("metrics: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("mailweir").build()?;
    runtime.block_on(serve(loaded, metrics))?;
    Ok(Code::Done)
}

async fn serve(loaded: Loaded, metrics: Metrics) -> Result<(), CliError> {
    let (mode, version, hostname) = (loaded.config.mode, loaded.version.clone(), loaded.config.hostname.clone());
    let stop = stopped_by_signals()?;
    let running = wire(loaded, metrics).await.map_err(|error| CliError::new(error.to_string()))?;
    for (listener, address) in running.addresses() {
        tracing::info!(listener, %address, "listening");
    }
    tracing::info!(hostname, %mode, %version, program = env!("CARGO_PKG_VERSION"), "ready");
    running.run(stop).await;
    tracing::info!("stopped");
    Ok(())
}

/// Cancelled by the first SIGTERM or SIGINT; the second one ends the process at once.
fn stopped_by_signals() -> Result<CancellationToken, CliError> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let first = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!(signal = name, "stopping; a second signal stops at once");
        first.cancel();
        let name = next().await;
        tracing::warn!(signal = name, "stopped at once; what was under way is taken up at the next start");
        std::process::exit(1);
    });
    Ok(stop)
}
