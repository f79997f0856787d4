//! Connections to one hop at once: as many as the route allows, fewer while the hop pushes back.
//!
//! Additive increase, multiplicative decrease: a push-back halves the number, a whole round of successes adds one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The leave to use connections to one hop.
pub(super) struct Slots {
    most: usize,
    free: Arc<Semaphore>,
    window: Mutex<Window>,
}

struct Window {
    /// How many there are to be; whole ones count.
    size: f64,
    /// How many there are, in use or free.
    now: usize,
    /// How many of those in use are not to come back.
    owed: usize,
    /// What began before the last cut says nothing new.
    cut: Option<Instant>,
}

/// The leave to use one connection; comes back when it is dropped.
pub(super) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
    /// Since when.
    pub since: Instant,
}

impl Slots {
    pub fn new(most: usize) -> Arc<Self> {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        let size = f64::from(u32::try_from(most).unwrap_or(u32::MAX));
        Arc::new(Self { most, free: Arc::new(Semaphore::new(most)), window: Mutex::new(Window { size, now: most, owed: 0, cut: None }) })
    }

    /// Waits for one, in order of arrival; `None` if there was none in time.
    pub async fn take(self: &Arc<Self>, deadline: Instant) -> Option<Slot> {
        let permit = timeout_at(deadline, self.free.clone().acquire_owned()).await.ok()?.ok()?;
        Some(Slot { permit: Some(permit), slots: self.clone(), since: Instant::now() })
    }

    /// One that is free at this moment.
    pub fn try_take(self: &Arc<Self>) -> Option<Slot> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Slot { permit: Some(permit), slots: self.clone(), since: Instant::now() })
    }

    /// How many there are now.
    pub fn now(&self) -> usize {
        self.lock().now
    }

    /// The hop pushed back on what began at `since`: half as many as were in use. False if that is answered for already.
    pub fn halve(&self, since: Instant) -> bool {
        let mut window = self.lock();
        if window.cut.is_some_and(|cut| since < cut) {
            return false;
        }
        window.cut = Some(Instant::now());
        let used = (window.now + window.owed).saturating_sub(self.free.available_permits());
        let half = (window.now.min(used) / 2).max(1);
        window.size = f64::from(u32::try_from(half).unwrap_or(u32::MAX));
        self.fit(&mut window);
        true
    }

    /// Something that began at `since` went well. False if that says nothing, because the last cut came after it began.
    pub fn grow(&self, since: Instant) -> bool {
        let mut window = self.lock();
        if window.now < self.most && window.cut.is_none_or(|cut| since >= cut) {
            window.size += 1.0 / window.size;
            self.fit(&mut window);
        }
        window.cut.is_none_or(|cut| since >= cut)
    }

    /// Makes or takes away slots until there are as many as there are to be.
    fn fit(&self, window: &mut Window) {
        while window.now > 1 && f64::from(u32::try_from(window.now).unwrap_or(u32::MAX)) > window.size {
            window.now -= 1;
            if self.free.forget_permits(1) == 0 {
                window.owed += 1;
            }
        }
        while window.now < self.most && f64::from(u32::try_from(window.now + 1).unwrap_or(u32::MAX)) <= window.size {
            window.now += 1;
            match window.owed.checked_sub(1) {
                Some(owed) => window.owed = owed,
                None => self.free.add_permits(1),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut window = self.slots.lock();
        if let Some(owed) = window.owed.checked_sub(1) {
            window.owed = owed;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(slots: &Arc<Slots>) -> Vec<Slot> {
        std::iter::from_fn(|| slots.try_take()).collect()
    }

    #[tokio::test]
    async fn halved_once_for_one_congestion_and_grown_slowly() {
        let slots = Slots::new(16);
        let held = all(&slots);
        assert_eq!(held.len(), 16);
        let old = held[0].since;
        assert!(slots.halve(old));
        assert_eq!(slots.now(), 8);
        // The others of the same moment hear the same: that is one event.
        assert!(!slots.halve(old) && slots.now() == 8);
        assert!(!slots.grow(old) && slots.now() == 8);
        drop(held);
        let held = all(&slots);
        assert_eq!(held.len(), 8, "half of them did not come back");
        let new = held[0].since;
        for _ in 0..8 {
            assert!(slots.grow(new));
        }
        assert_eq!(slots.now(), 8, "a round of 8 is not quite one more");
        assert!(slots.grow(new) && slots.now() == 9);
        assert_eq!(all(&slots).len(), 1);
        for _ in 0..1000 {
            slots.grow(new);
        }
        drop(held);
        assert_eq!((slots.now(), all(&slots).len()), (16, 16));
    }

    #[tokio::test]
    async fn what_is_in_use_counts_and_one_is_left() {
        let slots = Slots::new(20);
        let four: Vec<Slot> = (0..4).filter_map(|_| slots.try_take()).collect();
        slots.halve(four[0].since);
        assert_eq!(slots.now(), 2, "half of those in use");
        drop(four);
        for _ in 0..5 {
            slots.halve(Instant::now());
        }
        assert_eq!((slots.now(), all(&slots).len()), (1, 1));
        let one = slots.try_take().unwrap();
        slots.grow(one.since);
        assert_eq!((slots.now(), slots.try_take().is_some()), (2, true));
        assert!(slots.take(Instant::now()).await.is_some(), "it came back");
    }
}
