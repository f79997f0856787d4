//! Memory for what is not the sender's any more and not the next hop's yet: messages opened for the checks, and out of the spool.
//!
//! Who waits here holds nothing that those before it need, so the wait ends; the checks and deliveries before it have their time limits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one permit stands for.
const UNIT: u64 = 1024;

/// A fixed amount, given out in the order of asking.
#[derive(Debug)]
pub(super) struct Memory {
    permits: Arc<Semaphore>,
    total: u32,
}

/// Given back when dropped.
#[derive(Debug)]
pub(super) struct Room(#[expect(dead_code, reason = "held")] Option<OwnedSemaphorePermit>);

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self { permits: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Room for a message of this size. One that is larger than all of it has all of it to itself.
    pub(super) async fn room(&self, size: u64) -> Room {
        let wanted = u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total);
        // It is never closed, so there is always one to be had in the end.
        Room(self.permits.clone().acquire_many_owned(wanted).await.ok())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn one_waits_for_the_other() {
        let memory = Memory::new(10 * UNIT);
        let first = memory.room(6 * UNIT).await;
        assert!(memory.room(5 * UNIT).now_or_never().is_none());
        let small = memory.room(4 * UNIT).now_or_never().unwrap();
        drop((first, small));
        let _all = memory.room(u64::MAX).now_or_never().unwrap();
    }
}
