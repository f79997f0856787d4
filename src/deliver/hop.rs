//! One next hop: slots, pace, idle connections, and whether it is up.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Trouble};
use super::pace::Pace;
use super::profile::{Defaults, defaults};
use crate::mail::Route;

/// For how long a hop whose TLS handshake failed is spoken to in plain text, where TLS is opportunistic.
const PLAIN_TIME: Duration = Duration::from_secs(600);

/// For how long an idle connection to a host found by MX is kept.
const STRANGER_TIME: Duration = Duration::from_secs(5);

/// A host and port to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    pub host: String,
    pub port: u16,
    /// Named in a route; else found by MX.
    pub configured: bool,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

/// A next hop as `status` and the admin API show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HopStatus {
    /// `host:port`.
    pub hop: String,
    /// The route that uses it.
    pub route: String,
    /// It took the last connection.
    pub up: bool,
    /// Since when it is up or down.
    pub since: Timestamp,
    /// What it said last, or why it could not be reached.
    pub last: Option<String>,
    /// Open connections, idle ones included.
    pub connections: usize,
    /// Idle connections.
    pub idle: usize,
}

#[derive(Debug)]
struct Health {
    up: bool,
    since: Timestamp,
    /// Tried after all others until then.
    down_until: Option<Instant>,
    plain_until: Option<Instant>,
    last: Option<String>,
}

/// One next hop of one route.
pub(super) struct Hop {
    pub endpoint: Endpoint,
    /// `host:port`.
    pub name: String,
    route: Arc<str>,
    limits: (usize, Option<f64>),
    profile: Defaults,
    slots: Arc<Semaphore>,
    /// While it is down, only one connection at a time is tried.
    trial: Arc<Semaphore>,
    pace: Mutex<Pace>,
    idle: Mutex<Vec<(Connection, Instant)>>,
    sweeping: AtomicBool,
    open: Arc<AtomicUsize>,
    health: Mutex<Health>,
    used: Mutex<Instant>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hop {
    pub fn new(route: &Route, endpoint: Endpoint) -> Self {
        let mut profile = defaults(route.profile);
        if !endpoint.configured {
            // There are many strangers, and few of them get a second message soon.
            (profile.idle_connections, profile.idle_time) = (profile.idle_connections.min(2), profile.idle_time.min(STRANGER_TIME));
        }
        let burst = if route.rate == profile.rate { profile.burst } else { whole(route.rate).min(profile.burst) };
        Self {
            name: endpoint.to_string(),
            endpoint,
            route: route.name.clone(),
            limits: (route.connections, route.rate),
            profile,
            slots: Arc::new(Semaphore::new(route.connections.clamp(1, Semaphore::MAX_PERMITS))),
            trial: Arc::new(Semaphore::new(1)),
            pace: Mutex::new(Pace::new(route.rate, burst)),
            idle: Mutex::default(),
            sweeping: AtomicBool::new(false),
            open: Arc::default(),
            health: Mutex::new(Health { up: true, since: Timestamp::now(), down_until: None, plain_until: None, last: None }),
            used: Mutex::new(Instant::now()),
        }
    }

    /// Whether it was made for these limits; a changed route gets a new one.
    pub fn fits(&self, route: &Route) -> bool {
        self.limits == (route.connections, route.rate)
    }

    /// Waits for one of the connections allowed.
    pub async fn slot(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Trouble> {
        *lock(&self.used) = Instant::now();
        match timeout_at(deadline, self.slots.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Trouble::new(format!("all {} connections to it were busy", self.limits.0))),
        }
    }

    /// Waits for the pace of the route.
    pub async fn pace(&self, deadline: Instant) -> Result<(), Trouble> {
        let reserved = lock(&self.pace).reserve(Instant::now(), deadline);
        let at = reserved.ok_or_else(|| Trouble::new("too many messages wait for it: its pace is limited by the route's rate"))?;
        tokio::time::sleep_until(at).await;
        Ok(())
    }

    /// An idle connection that still stands.
    pub fn take_idle(&self) -> Option<Connection> {
        loop {
            let (mut connection, since) = lock(&self.idle).pop()?;
            if since.elapsed() < self.profile.idle_time && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Takes a connection back after use; what there are enough of is closed.
    pub fn put(self: &Arc<Self>, connection: Connection) {
        let full = {
            let mut idle = lock(&self.idle);
            if connection.keep && idle.len() < self.profile.idle_connections {
                idle.push((connection, Instant::now()));
                None
            } else {
                Some(connection)
            }
        };
        match full {
            Some(connection) => drop(tokio::spawn(connection.quit())),
            None if !self.sweeping.swap(true, Ordering::AcqRel) => drop(tokio::spawn(sweep(Arc::downgrade(self), self.profile.idle_time))),
            None => {}
        }
    }

    /// Closes idle connections: those past their time, or all. True if some are left.
    fn close_idle(&self, all: bool) -> bool {
        let mut old = Vec::new();
        let left = {
            let mut idle = lock(&self.idle);
            let (stay, go) =
                std::mem::take(&mut *idle).into_iter().partition(|(_, since)| !all && since.elapsed() < self.profile.idle_time);
            *idle = stay;
            old.extend::<Vec<_>>(go);
            !idle.is_empty()
        };
        for (connection, _) in old {
            tokio::spawn(connection.quit());
        }
        left
    }

    /// Closes all idle connections.
    pub fn close(&self) {
        self.close_idle(true);
    }

    /// Leave to open a connection. While the hop is down one at a time is tried, and the others do not wait for it.
    pub fn admit(&self) -> Result<Option<OwnedSemaphorePermit>, Trouble> {
        let (up, since, last) = {
            let health = lock(&self.health);
            (health.up, health.since, health.last.clone())
        };
        if up {
            return Ok(None);
        }
        self.trial.clone().try_acquire_owned().map(Some).map_err(|_| {
            Trouble::new(format!(
                "down since {}, and being tried just now; last: {}",
                since.strftime("%H:%M:%SZ"),
                last.unwrap_or_default()
            ))
        })
    }

    /// A connection was opened.
    pub fn connected(&self) {
        let mut health = lock(&self.health);
        if !health.up {
            tracing::info!(hop = self.name, route = %self.route, "next hop is up again");
            (health.up, health.since, health.last) = (true, Timestamp::now(), None);
        }
        health.down_until = None;
        drop(health);
        self.gauge(1.0);
    }

    /// A connection could not be opened. Where others stand, the hop is busy and not down.
    pub fn failed(&self, trouble: &Trouble, down_time: Duration) {
        let busy = self.open.load(Ordering::Acquire) > 0;
        let mut health = lock(&self.health);
        health.last = Some(trouble.why.clone());
        if busy {
            return;
        }
        if health.up {
            tracing::warn!(hop = self.name, route = %self.route, why = trouble.why, "next hop is down");
            (health.up, health.since) = (false, Timestamp::now());
        }
        health.down_until = Some(Instant::now() + down_time);
        drop(health);
        self.gauge(0.0);
    }

    /// Keeps what the hop said last, for status.
    pub fn note(&self, last: String) {
        lock(&self.health).last = Some(last);
    }

    /// Whether it is to be tried after all others.
    pub fn is_down(&self) -> bool {
        lock(&self.health).down_until.is_some_and(|until| Instant::now() < until)
    }

    /// Whether a TLS handshake failed a short time ago.
    pub fn is_plain(&self) -> bool {
        lock(&self.health).plain_until.is_some_and(|until| Instant::now() < until)
    }

    /// A TLS handshake failed: plain text for some time.
    pub fn remember_plain(&self, trouble: &Trouble) {
        tracing::warn!(hop = self.name, route = %self.route, why = trouble.why, "TLS failed, going on in plain text");
        lock(&self.health).plain_until = Some(Instant::now() + PLAIN_TIME);
    }

    /// Counts a connection until it is dropped.
    pub fn count(&self) -> Box<dyn Send + Sync> {
        self.open.fetch_add(1, Ordering::AcqRel);
        let gauge = metrics::gauge!("mailweir_next_hop_connections", "route" => self.route.to_string());
        gauge.increment(1.0);
        Box::new(Counted { open: self.open.clone(), gauge })
    }

    /// Unused for this long, nothing open, and nothing to remember.
    pub fn is_forgettable(&self, age: Duration) -> bool {
        !self.endpoint.configured && lock(&self.used).elapsed() > age && self.open.load(Ordering::Acquire) == 0
    }

    pub fn status(&self) -> HopStatus {
        let idle = lock(&self.idle).len();
        let health = lock(&self.health);
        HopStatus {
            hop: self.name.clone(),
            route: self.route.to_string(),
            up: health.up,
            since: health.since,
            last: health.last.clone(),
            connections: self.open.load(Ordering::Acquire),
            idle,
        }
    }

    /// Hosts found by MX have no gauge: strangers would fill the metrics.
    fn gauge(&self, up: f64) {
        if self.endpoint.configured {
            metrics::gauge!("mailweir_next_hop_up", "hop" => self.name.clone()).set(up);
        }
    }
}

/// Messages in one second at this rate, at least one.
fn whole(rate: Option<f64>) -> u32 {
    rate.map_or(1, |rate| (1..=1000).rev().find(|n| f64::from(*n) <= rate).unwrap_or(1))
}

struct Counted {
    open: Arc<AtomicUsize>,
    gauge: metrics::Gauge,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::AcqRel);
        self.gauge.decrement(1.0);
    }
}

/// Closes idle connections when their time is over; ends when none is left.
async fn sweep(hop: std::sync::Weak<Hop>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(hop) = hop.upgrade() else { return };
        if !hop.close_idle(false) {
            hop.sweeping.store(false, Ordering::Release);
            // One may have been put back between the two lines above.
            if lock(&hop.idle).is_empty() || hop.sweeping.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}
