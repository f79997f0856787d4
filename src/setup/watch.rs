//! The watch over the virus engines.

use tokio_util::sync::CancellationToken;

use crate::inspect::antivirus::{Antivirus, State};
use crate::mail::Disposition;

/// Tries the engines and says what is wrong with them, then keeps watching until `stop`.
pub async fn watch(antivirus: &Antivirus, on_unavailable: Disposition, stop: CancellationToken) {
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
