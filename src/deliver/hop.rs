//! One next hop: slots, pace, idle connections, and whether it is up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::auth::LogIn;
use super::connection::{Connection, Kind, Trouble};
use super::pace::Pace;
use super::profile::{Defaults, defaults};
use super::slots::{Slot, Slots};
use super::terms::{Endpoint, Terms};
use crate::mail::{Route, TlsUse};

/// For how long a hop whose TLS handshake failed is spoken to in plain text, where TLS is opportunistic.
const PLAIN_TIME: Duration = Duration::from_secs(600);

/// For how long nobody logs in again at a hop that has refused our password: more attempts could lock the account.
const LOG_IN_PAUSE: Duration = Duration::from_secs(60);

/// For how long an idle connection to a host found by MX is kept.
const STRANGER_TIME: Duration = Duration::from_secs(5);

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
    /// Connections allowed at this moment: fewer than the route's while the hop pushes back.
    pub limit: usize,
}

#[derive(Debug)]
struct Health {
    up: bool,
    since: Timestamp,
    /// Tried after all others until then.
    down_until: Option<Instant>,
    plain_until: Option<Instant>,
    /// It refused our log-in: until then nobody tries again.
    shut: Option<(Instant, Trouble)>,
    last: Option<String>,
}

/// One next hop of one route.
pub(super) struct Hop {
    pub endpoint: Endpoint,
    /// `host:port`.
    pub name: String,
    route: Arc<str>,
    terms: Terms,
    profile: Defaults,
    slots: Arc<Slots>,
    /// Questions about recipients at once: most connections are left for mail.
    pub questions: Semaphore,
    /// Recipients that it takes in one transaction, where it has shown that there is a limit.
    at_once: AtomicUsize,
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
    /// `tls`: for routes that do not say.
    pub fn new(route: &Route, endpoint: Endpoint, tls: TlsUse) -> Self {
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
            terms: Terms::new(route, tls),
            profile,
            slots: Slots::new(route.connections),
            questions: Semaphore::new((route.connections / 4).clamp(1, Semaphore::MAX_PERMITS)),
            at_once: AtomicUsize::new(usize::MAX),
            trial: Arc::new(Semaphore::new(1)),
            pace: Mutex::new(Pace::new(route.rate, burst)),
            idle: Mutex::default(),
            sweeping: AtomicBool::new(false),
            open: Arc::default(),
            health: Mutex::new(Health { up: true, since: Timestamp::now(), down_until: None, plain_until: None, shut: None, last: None }),
            used: Mutex::new(Instant::now()),
        }
    }

    /// Whether it was made for these limits; a changed route gets a new one.
    pub fn fits(&self, route: &Route, tls: TlsUse) -> bool {
        self.terms == Terms::new(route, tls)
    }

    /// Encryption towards it.
    pub fn tls(&self) -> TlsUse {
        self.terms.tls
    }

    /// What to log in with. Never at strangers.
    pub fn log_in(&self) -> Option<LogIn<'_>> {
        let credentials = self.terms.auth.as_ref().filter(|_| self.endpoint.configured)?;
        Some(LogIn { credentials, in_clear: self.terms.in_clear })
    }

    /// Waits for one of the connections allowed.
    pub async fn slot(&self, deadline: Instant) -> Result<Slot, Trouble> {
        *lock(&self.used) = Instant::now();
        let busy = || Trouble::busy(format!("all {} connections to it were busy", self.slots.now()));
        self.slots.take(deadline).await.ok_or_else(busy)
    }

    /// Waits until the hop may be asked for a new connection: not while it wants a pause.
    pub async fn pause(&self, deadline: Instant) -> Result<(), Trouble> {
        loop {
            let pause = lock(&self.pace).pause(Instant::now());
            match pause {
                None => return Ok(()),
                Some(end) if end > deadline => return Err(self.wants_less()),
                Some(end) => tokio::time::sleep_until(end).await,
            }
        }
    }

    /// Waits for the pace of the route, or the slower one of the hop.
    pub async fn pace(&self, deadline: Instant) -> Result<(), Trouble> {
        let (reserved, pause) = {
            let mut pace = lock(&self.pace);
            (pace.reserve(Instant::now(), deadline), pace.pause(Instant::now()))
        };
        match reserved {
            Some(at) if at <= Instant::now() => Ok(()),
            Some(at) => {
                tokio::time::sleep_until(at).await;
                Ok(())
            }
            None if pause.is_some() => Err(self.wants_less()),
            None => Err(Trouble::busy("too many messages wait for it: its pace is limited by the route's rate, or by itself")),
        }
    }

    fn wants_less(&self) -> Trouble {
        let last = lock(&self.health).last.clone().unwrap_or_default();
        Trouble::busy(format!("it has asked for less, and has a pause; last: {last}"))
    }

    /// The hop asked for less, about what began at `since`: half the connections, a pause, and half the rate if it was about `messages`.
    pub fn pushed_back(&self, since: Instant, messages: bool, why: &str) {
        if !self.slots.halve(since) {
            return;
        }
        let pause = lock(&self.pace).push_back(Instant::now(), messages);
        // What is idle counts at the other end too.
        self.close_idle(true);
        metrics::counter!("mailweir_next_hop_push_backs_total", "route" => self.route.to_string()).increment(1);
        tracing::info!(hop = self.name, route = %self.route, why, connections = self.slots.now(), ?pause, "next hop asks for less");
    }

    /// It took a message, with a connection held since `since`.
    pub fn went_well(&self, since: Instant) {
        if self.slots.grow(since) {
            lock(&self.pace).went_well(Instant::now());
        }
    }

    /// Recipients for one transaction.
    pub fn at_once(&self) -> usize {
        self.at_once.load(Ordering::Relaxed)
    }

    /// It took so many, and said that more are too many.
    pub fn learn_at_once(&self, took: usize) {
        self.at_once.fetch_min(took.max(1), Ordering::Relaxed);
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

    /// Takes a connection back after use; what there are enough of is closed, and holds `slot` until it is.
    pub fn put(self: &Arc<Self>, connection: Connection, slot: impl Send + 'static) {
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
            Some(connection) => part(connection, slot),
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
            part(connection, self.slots.try_take());
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
            if let Some((_, trouble)) = health.shut.as_ref().filter(|(until, _)| Instant::now() < *until) {
                return Err(trouble.clone());
            }
            (health.up, health.since, health.last.clone())
        };
        if up {
            return Ok(None);
        }
        self.trial.clone().try_acquire_owned().map(Some).map_err(|_| {
            Trouble::busy(format!(
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
        (health.down_until, health.shut) = (None, None);
        drop(health);
        self.gauge(1.0);
    }

    /// A connection that was begun at `since` could not be opened: the hop is down. Not where it only asks for less, and not where other
    /// connections stand: then it has enough of them.
    pub fn failed(&self, mut trouble: Trouble, since: Instant, down_time: Duration) -> Trouble {
        if self.open.load(Ordering::Acquire) > 0 && trouble.kind == Kind::Failed {
            trouble.kind = Kind::Busy;
        }
        let mut health = lock(&self.health);
        health.last = Some(trouble.why.clone());
        if trouble.is_busy() {
            drop(health);
            self.pushed_back(since, false, &trouble.why);
            return trouble;
        }
        if health.up {
            tracing::warn!(hop = self.name, route = %self.route, why = trouble.why, "next hop is down");
            (health.up, health.since) = (false, Timestamp::now());
        }
        health.down_until = Some(Instant::now() + down_time);
        if trouble.kind == Kind::LogIn {
            health.shut = Some((Instant::now() + LOG_IN_PAUSE, trouble.clone()));
        }
        drop(health);
        self.gauge(0.0);
        trouble
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
            limit: self.slots.now(),
        }
    }

    /// Hosts found by MX have no gauge: strangers would fill the metrics.
    fn gauge(&self, up: f64) {
        if self.endpoint.configured {
            metrics::gauge!("mailweir_next_hop_up", "hop" => self.name.clone()).set(up);
        }
    }
}

/// Says goodbye, and keeps the slot until the server has heard it.
pub(super) fn part(connection: Connection, slot: impl Send + 'static) {
    tokio::spawn(async move {
        connection.quit().await;
        drop(slot);
    });
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
