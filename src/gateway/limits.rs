//! What is shared out among connections: places, and memory for mail.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Connections, counted in total and by peer.
#[derive(Debug)]
pub(super) struct Slots {
    total: usize,
    per_peer: usize,
    /// A part of `total` that only outbound listeners use.
    reserve: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All are in use.
    Total,
    /// All that this peer may have.
    Peer,
}

impl Slots {
    /// `reserve`: keep a tenth for outbound listeners.
    pub(super) fn new(total: usize, per_peer: usize, reserve: bool) -> Self {
        Self { total, per_peer, reserve: if reserve { total / 10 } else { 0 }, open: Arc::default() }
    }

    /// The same places with other limits; connections that are open count in both.
    pub(super) fn resized(&self, total: usize, per_peer: usize, reserve: bool) -> Self {
        Self { open: self.open.clone(), ..Self::new(total, per_peer, reserve) }
    }

    /// A place for a connection from `peer`, given back when dropped.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr, inbound: bool) -> Result<Slot, Taken> {
        let peer = key(peer);
        let total = if inbound { self.total - self.reserve } else { self.total };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= total {
            return Err(Taken::Total);
        }
        let of_peer = open.by_peer.entry(peer).or_default();
        if *of_peer >= self.per_peer {
            return Err(Taken::Peer);
        }
        *of_peer += 1;
        open.total += 1;
        Ok(Slot { slots: self.clone(), peer })
    }
}

/// Who counts as one peer: an IPv4 address, or an IPv6 /64, which is what one site gets.
fn key(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

/// One connection's place.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    peer: IpAddr,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total = open.total.saturating_sub(1);
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer = of_peer.saturating_sub(1);
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

/// Bytes that one permit stands for.
const UNIT: u64 = 1024;
/// What a message takes at a time, in permits: few enough waits, little enough waste.
const STEP: u64 = 64;

/// The memory for mail: a fixed amount.
///
/// A message that begins waits its turn. One that is coming in holds what it has while it wants more, so that at most one of these
/// may wait: would they all, none could go on. The others are given up, and what they held lets that one through.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    permits: Arc<Semaphore>,
    /// All permits there are.
    total: u64,
    wait: Duration,
    /// Held by the message that waits to begin.
    beginning: Arc<tokio::sync::Mutex<()>>,
    /// Held by the message that waits to grow.
    growing: Arc<tokio::sync::Mutex<()>>,
    freed: Arc<Notify>,
}

/// What one connection holds of the budget; given back when dropped.
#[derive(Debug, Default)]
pub(super) struct Held(Option<(OwnedSemaphorePermit, Arc<Notify>)>);

impl Budget {
    /// `bytes` in all; whoever asks for more than is there waits for up to `wait`.
    pub(super) fn new(bytes: u64, wait: Duration) -> Self {
        let permits = usize::try_from(bytes / UNIT).unwrap_or(usize::MAX).clamp(STEP as usize, Semaphore::MAX_PERMITS);
        let (total, permits) = (permits as u64, Arc::new(Semaphore::new(permits)));
        Self { permits, total, wait, beginning: Arc::default(), growing: Arc::default(), freed: Arc::default() }
    }

    /// Makes `held` stand for at least `bytes`. False: the memory is not to be had, and `held` is as before.
    pub(super) async fn grow(&self, held: &mut Held, bytes: usize) -> bool {
        let least = (bytes as u64).div_ceil(UNIT);
        if least > self.total {
            return false; // waiting for it would only hold up the others
        }
        let want = least.next_multiple_of(STEP).min(self.total);
        let missing = match u32::try_from(want.saturating_sub(held.permits())) {
            Ok(0) => return true,
            Ok(missing) => missing,
            Err(_) => return false,
        };
        let permit = match self.permits.clone().try_acquire_many_owned(missing) {
            Ok(permit) => Some(permit),
            Err(_) => tokio::time::timeout(self.wait, self.wait_for(missing, held.0.is_some())).await.ok().flatten(),
        };
        let Some(permit) = permit else { return false };
        gauge().increment(f64::from(missing) * UNIT as f64);
        match &mut held.0 {
            Some((had, _)) => had.merge(permit),
            none => *none = Some((permit, self.freed.clone())),
        }
        true
    }

    async fn wait_for(&self, missing: u32, growing: bool) -> Option<OwnedSemaphorePermit> {
        if growing {
            let _alone = self.growing.try_lock().ok()?;
            return self.permits.clone().acquire_many_owned(missing).await.ok();
        }
        // Not in the semaphore's own queue: who waits there goes before who holds something already.
        let _turn = self.beginning.lock().await;
        loop {
            let freed = self.freed.notified();
            if let Ok(permit) = self.permits.clone().try_acquire_many_owned(missing) {
                return Some(permit);
            }
            freed.await;
        }
    }
}

impl Held {
    fn permits(&self) -> u64 {
        self.0.as_ref().map_or(0, |(permit, _)| permit.num_permits() as u64)
    }

    /// Gives all of it back.
    pub(super) fn release(&mut self) {
        if let Some((permit, freed)) = self.0.take() {
            gauge().decrement((permit.num_permits() as u64 * UNIT) as f64);
            drop(permit);
            freed.notify_one();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

fn gauge() -> metrics::Gauge {
    metrics::gauge!("mailweir_mail_memory_bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let slots = Arc::new(Slots::new(4, 2, false));
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let a1 = slots.take(ip("192.0.2.1"), true).unwrap();
        let _a2 = slots.take(ip("::ffff:192.0.2.1"), true).unwrap();
        assert_eq!(slots.take(ip("192.0.2.1"), true).unwrap_err(), Taken::Peer);
        let _b1 = slots.take(ip("2001:db8::1"), true).unwrap();
        let _b2 = slots.take(ip("2001:db8::ffff:1"), true).unwrap();
        assert_eq!(slots.take(ip("192.0.2.2"), true).unwrap_err(), Taken::Total);
        drop(a1);
        let _a3 = slots.take(ip("192.0.2.1"), true).unwrap();
    }

    #[test]
    fn a_tenth_is_for_our_own_servers() {
        let slots = Arc::new(Slots::new(10, 100, true));
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let _nine: Vec<_> = (0..9).map(|_| slots.take(ip, true).unwrap()).collect();
        assert_eq!(slots.take(ip, true).unwrap_err(), Taken::Total);
        let _last = slots.take(ip, false).unwrap();
        assert_eq!(slots.take(ip, false).unwrap_err(), Taken::Total);
    }

    #[test]
    fn other_limits_for_the_same_places() {
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let slots = Arc::new(Slots::new(3, 3, false));
        let first = slots.take(ip, true).unwrap();
        let _second = slots.take(ip, true).unwrap();
        let fewer = Arc::new(slots.resized(2, 9, false));
        assert_eq!(fewer.take(ip, true).unwrap_err(), Taken::Total, "those that are open count");
        drop(first);
        let _third = fewer.take(ip, true).unwrap();
        assert_eq!(fewer.take(ip, true).unwrap_err(), Taken::Total);
        let _fourth = slots.take(ip, true).unwrap();
    }

    #[tokio::test]
    async fn memory() {
        let budget = Budget::new(256 * 1024, Duration::from_millis(1));
        let (mut a, mut b) = (Held::default(), Held::default());
        assert!(budget.grow(&mut a, 1).await);
        assert!(budget.grow(&mut a, 64 * 1024).await, "it has that already");
        assert!(budget.grow(&mut a, 64 * 1024 + 1).await);
        assert!(budget.grow(&mut b, 128 * 1024).await);
        assert!(!budget.grow(&mut b, 128 * 1024 + 1).await);
        a.release();
        assert!(budget.grow(&mut b, 256 * 1024).await);
        assert!(!budget.grow(&mut a, 1).await);
        drop(b);
        assert!(budget.grow(&mut a, 256 * 1024).await);
        assert!(!budget.grow(&mut a, 256 * 1024 + 1).await, "more than there is");
    }

    #[tokio::test]
    async fn messages_that_all_want_more_do_not_wait_for_each_other() {
        let budget = Budget::new(256 * 1024, Duration::from_secs(60));
        let start = std::time::Instant::now();
        let messages = (0..4).map(|_| {
            let budget = budget.clone();
            tokio::spawn(async move {
                let mut held = Held::default();
                assert!(budget.grow(&mut held, 64 * 1024).await, "all of them begin");
                tokio::task::yield_now().await;
                budget.grow(&mut held, 128 * 1024).await
            })
        });
        let through = futures_util::future::join_all(messages).await.into_iter().filter(|grown| *grown.as_ref().unwrap()).count();
        assert!((1..4).contains(&through), "{through}");
        assert!(start.elapsed() < Duration::from_secs(30), "nobody waited for nothing");
        let mut held = Held::default();
        assert!(budget.grow(&mut held, 256 * 1024).await, "all of it is there again");
        let (next, budget) = (
            tokio::spawn({
                let budget = budget.clone();
                async move { budget.grow(&mut Held::default(), 1).await }
            }),
            budget,
        );
        tokio::task::yield_now().await;
        drop(held);
        assert!(next.await.unwrap(), "who waits to begin is woken");
        drop(budget);
    }
}
