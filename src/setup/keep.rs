//! Held mail that has been kept for as long as `[quarantine] keep` says goes, and that is recorded.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::mail::Place;
use crate::pipeline::{Pipeline, ReleaseError};
use crate::store::{Change, StoreError};

/// How often we look.
const EVERY: Duration = Duration::from_secs(600);
/// Entries in one go.
const AT_ONCE: usize = 1_000;

/// Looks at start and every ten minutes until `stop`.
pub async fn expire(pipeline: Arc<Pipeline>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = sweep(&pipeline).await {
            tracing::warn!(%error, "held mail could not be expired; tried again in {EVERY:?}");
        }
    }
}

/// Lets go of everything that is past its time; how many entries that were.
pub async fn sweep(pipeline: &Pipeline) -> Result<usize, StoreError> {
    let store = &pipeline.parts().store;
    let mut gone = 0;
    loop {
        let expired = store.expired(Timestamp::now(), AT_ONCE);
        let count = expired.len();
        for id in expired {
            match pipeline.delete(id, "expiry", "kept for as long as [quarantine] keep says").await {
                Ok(_) => gone += 1,
                // Released or deleted before: its records say so, the entry was only kept to be listed.
                Err(ReleaseError::Already(_) | ReleaseError::Deleted(_)) => store.note(vec![Change::Remove(Place::Quarantine, id)]).await?,
                Err(ReleaseError::Store(error)) => return Err(error),
                Err(_being_released) => {}
            }
        }
        if count < AT_ONCE {
            return Ok(gone);
        }
    }
}
