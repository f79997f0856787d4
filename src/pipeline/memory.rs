//! Memory for what is not the sender's any more and not the next hop's yet: messages opened for the checks, and out of the spool.
//!
//! Who waits here holds nothing that those before it need, so the wait ends; the checks and deliveries before it have their time limits.
//! Who holds something already takes more only where it is to be had at once (`opening`).

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
#[derive(Debug, Default)]
pub(super) struct Room(Vec<OwnedSemaphorePermit>);

impl Room {
    /// Takes over what `other` stands for, out of whatever amount.
    pub(super) fn join(&mut self, other: Room) {
        for permit in other.0 {
            match self.0.iter_mut().find(|mine| Arc::ptr_eq(mine.semaphore(), permit.semaphore())) {
                Some(mine) => mine.merge(permit),
                None => self.0.push(permit),
            }
        }
    }

    /// Bytes that it stands for.
    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|permit| permit.num_permits() as u64 * UNIT).sum()
    }

    /// Gives back what is above `bytes`.
    pub(super) fn trim(&mut self, bytes: u64) {
        let mut above = usize::try_from(self.bytes().saturating_sub(bytes) / UNIT).unwrap_or(usize::MAX);
        for permit in &mut self.0 {
            let back = above.min(permit.num_permits());
            above -= back;
            drop(permit.split(back));
        }
    }
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 3);
        Self { permits: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Room for a message of this size. One that is larger than all of it has all of it to itself.
    pub(super) async fn room(&self, size: u64) -> Room {
        // It is never closed, so there is always one to be had in the end.
        Room(self.permits.clone().acquire_many_owned(self.units(size)).await.into_iter().collect())
    }

    /// The same for who must not wait; `None` where there is not that much now.
    pub(super) fn room_at_once(&self, size: u64) -> Option<Room> {
        self.permits.clone().try_acquire_many_owned(self.units(size)).ok().map(|permit| Room(vec![permit]))
    }

    /// The same, where `keep` bytes stay free for others.
    pub(super) fn spare_room(&self, size: u64, keep: u64) -> Option<Room> {
        // Between the question and the taking others may have taken some: what is kept is kept nearly.
        let free = self.permits.available_permits() as u64 * UNIT;
        if free < size.saturating_add(keep) { None } else { self.room_at_once(size) }
    }

    /// All of it, in bytes.
    pub(super) fn total(&self) -> u64 {
        u64::from(self.total) * UNIT
    }

    fn units(&self, size: u64) -> u32 {
        u32::try_from(size.div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.total)
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

    #[tokio::test]
    async fn what_was_not_needed_goes_back() {
        let (one, other) = (Memory::new(10 * UNIT), Memory::new(10 * UNIT));
        let mut room = one.room(6 * UNIT).await;
        assert!(one.room_at_once(5 * UNIT).is_none());
        room.join(one.room_at_once(2 * UNIT).unwrap());
        room.join(other.room(3 * UNIT).await);
        assert_eq!((room.bytes(), room.0.len()), (11 * UNIT, 2));
        room.trim(20 * UNIT);
        assert_eq!(room.bytes(), 11 * UNIT);
        room.trim(4 * UNIT);
        assert_eq!(room.bytes(), 4 * UNIT);
        assert!(one.spare_room(4 * UNIT, 6 * UNIT).is_none() && one.spare_room(4 * UNIT, 5 * UNIT).is_some());
        room.join(one.room_at_once(7 * UNIT).unwrap());
        drop(room);
        assert_eq!((one.room_at_once(u64::MAX).unwrap().bytes(), one.total()), (10 * UNIT, 10 * UNIT));
    }
}
