//! All next hops in use, by route, host and port. Hosts found by MX are forgotten when they were not used for some time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::hop::{Hop, HopStatus};
use super::terms::Endpoint;
use crate::mail::{Route, TlsUse};

/// Hops are looked through for forgettable ones when there are more than this.
const SWEEP_ABOVE: usize = 512;
/// A host found by MX is forgotten after this time without use.
const FORGET_AFTER: Duration = Duration::from_secs(600);

type Key = (Arc<str>, String, u16);

#[derive(Default)]
pub(super) struct Pool {
    inner: Mutex<Hops>,
}

struct Hops {
    by_key: HashMap<Key, Arc<Hop>>,
    sweep_above: usize,
}

impl Default for Hops {
    fn default() -> Self {
        Self { by_key: HashMap::new(), sweep_above: SWEEP_ABOVE }
    }
}

impl Pool {
    /// The hop, made at first use and made anew when the route's limits, encryption or log-in have changed. Routes share no hop, so that
    /// none uses a connection that was opened on other terms. `tls`: for routes that do not say.
    pub fn hop(&self, route: &Route, endpoint: Endpoint, tls: TlsUse) -> Arc<Hop> {
        let key = (route.name.clone(), endpoint.host.clone(), endpoint.port);
        let mut hops = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(hop) = hops.by_key.get(&key).filter(|hop| hop.fits(route, tls)) {
            return hop.clone();
        }
        let hop = Arc::new(Hop::new(route, endpoint, tls));
        hops.by_key.insert(key, hop.clone());
        if hops.by_key.len() > hops.sweep_above {
            hops.by_key.retain(|_, hop| Arc::strong_count(hop) > 1 || !hop.is_forgettable(FORGET_AFTER));
            hops.sweep_above = SWEEP_ABOVE.max(2 * hops.by_key.len());
        }
        hop
    }

    /// All hops, in order of route and name.
    pub fn status(&self) -> Vec<HopStatus> {
        let mut all: Vec<HopStatus> = self.all().iter().map(|hop| hop.status()).collect();
        all.sort_by(|a, b| (&a.route, &a.hop).cmp(&(&b.route, &b.hop)));
        all
    }

    /// Closes all idle connections.
    pub fn close(&self) {
        self.all().iter().for_each(|hop| hop.close());
    }

    fn all(&self) -> Vec<Arc<Hop>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).by_key.values().cloned().collect()
    }
}
