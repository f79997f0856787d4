//! What the service manager is told (sd_notify(3)): ready, reloading, stopping, and that we are alive. Without one, nothing is said.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use crate::pipeline::Pipeline;

/// A service manager that does not listen holds nobody up for longer than this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Mail is taken.
pub async fn ready(status: String) {
    say(move || sd_notify::notify(&[NotifyState::Ready, NotifyState::Status(&status)])).await;
}

/// A reload begins; it ends with [`ready`].
pub async fn reloading() {
    say(|| sd_notify::notify(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?, NotifyState::Status("reloading")])).await;
}

/// The end begins, and takes `time` at most.
pub async fn stopping(time: Duration) {
    let time = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
    let status = "finishing what is in progress, taking nothing new";
    say(move || sd_notify::notify(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(time), NotifyState::Status(status)])).await;
}

/// Says that we are alive, at half the time that the service manager wants to hear it in: as long as the reactor and the threads that
/// checks run on respond. Runs until `stop`; returns at once where nobody watches.
pub async fn watchdog(pipeline: Arc<Pipeline>, stop: CancellationToken) {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| !period.is_zero()) else { return };
    let alive = async {
        loop {
            if responds(&pipeline, period / 4).await {
                say(|| sd_notify::notify(&[NotifyState::Watchdog])).await;
                tokio::time::sleep(period / 2).await;
            } else {
                tracing::error!("the threads that checks run on do not respond; the service manager is not told that we are alive");
            }
        }
    };
    stop.run_until_cancelled(alive).await;
}

async fn responds(pipeline: &Pipeline, within: Duration) -> bool {
    // A task of its own, so that a reactor with tasks that never yield is noticed.
    let reactor = tokio::time::timeout(within, tokio::spawn(async {}));
    let in_force = pipeline.in_force();
    let (reactor, checks) = tokio::join!(reactor, in_force.inspector.responds(within));
    matches!(reactor, Ok(Ok(()))) && checks
}

/// Off the reactor: the socket may be full.
async fn say(what: impl FnOnce() -> std::io::Result<()> + Send + 'static) {
    match tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(what)).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the service manager cannot be told"),
        Ok(Err(_)) | Err(_) => tracing::warn!("the service manager does not listen"),
    }
}
