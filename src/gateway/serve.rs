//! The running gateway: listeners that can be added, changed and removed while sessions go on, and the end of all of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::pipeline::Accept;

use super::Shared;
use super::limits::{Budget, Slots};
use super::listener::{self, Listener, Open, Port};
use super::settings::{Limits, ListenerDirection, ListenerSettings};
use super::tls::Tls;

/// Takes connections on its listeners until `shutdown`.
pub struct Gateway<A> {
    shared: ArcSwap<Shared<A>>,
    served: Mutex<Vec<Served<A>>>,
    loops: TaskTracker,
}

/// One listener that takes connections.
struct Served<A> {
    settings: ListenerSettings,
    local: SocketAddr,
    open: Arc<ArcSwap<Open<A>>>,
    stop: CancellationToken,
}

/// One listener of the configuration that is to be in force.
#[derive(Debug)]
pub enum Planned {
    /// Keeps the socket that listens on this address now; what was changed about it holds for new sessions.
    Kept(ListenerSettings, Option<Tls>),
    /// A new socket.
    New(Listener),
}

impl<A: Accept> Gateway<A> {
    /// Without listeners so far. `hostname` is our name in greetings, and the last resort for `<postmaster>`.
    pub fn new(accept: Arc<A>, limits: &Limits, hostname: &str, shutdown: CancellationToken) -> Self {
        let shared = Shared {
            accept,
            hostname: hostname.to_owned(),
            slots: Arc::new(Slots::new(limits.connections, limits.connections_per_peer, false)),
            budget: Budget::new(limits.for_receiving(), limits.memory_wait.0),
            limits: limits.clone(),
            shutdown,
            hurry: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        Self { shared: ArcSwap::from_pointee(shared), served: Mutex::default(), loops: TaskTracker::new() }
    }

    /// Which of these listeners have a socket already: one on the same address, whatever its name was. The others must be bound.
    pub fn has(&self, wanted: &[ListenerSettings]) -> Vec<bool> {
        let served = self.served();
        let have: Vec<(&str, SocketAddr)> = served.iter().map(|one| (one.settings.name.as_str(), one.settings.address)).collect();
        matching(&have, wanted.iter()).into_iter().map(|found| found.is_some()).collect()
    }

    /// Puts listeners and limits in force, for new sessions; sessions that have begun keep theirs and go on, also those of a listener
    /// that is not in the plan any more. The memory for mail stays as it was (`memory`, `memory_wait`).
    pub fn put_in_force(&self, plan: Vec<Planned>, limits: &Limits) {
        let reserve = plan.iter().any(|planned| planned.settings().direction == ListenerDirection::Outbound);
        let shared = Arc::new(self.shared.load().renewed(limits, reserve));
        self.shared.store(shared.clone());
        let mut served = self.served();
        let mut have: Vec<Option<Served<A>>> = served.drain(..).map(Some).collect();
        let names: Vec<(&str, SocketAddr)> = have.iter().flatten().map(|one| (one.settings.name.as_str(), one.settings.address)).collect();
        let kept = |planned: &&Planned| matches!(planned, Planned::Kept(..));
        let mut places = matching(&names, plan.iter().filter(kept).map(Planned::settings)).into_iter();
        for planned in plan {
            match planned {
                Planned::New(listener) => served.extend(self.open(listener, &shared)),
                Planned::Kept(settings, tls) => {
                    let Some(one) = places.next().flatten().and_then(|place| have.get_mut(place)?.take()) else { continue };
                    let port = Port::new(settings.clone(), tls, &shared.limits, &shared.hostname);
                    one.open.store(Arc::new(Open { port: Arc::new(port), shared: shared.clone() }));
                    served.push(Served { settings, ..one });
                }
            }
        }
        for gone in have.into_iter().flatten() {
            tracing::info!(listener = gone.settings.name, address = %gone.local, "takes no new connections any more");
            gone.stop.cancel();
        }
    }

    /// Names and addresses of the listeners, in the order of the configuration.
    pub fn listening(&self) -> Vec<(String, SocketAddr)> {
        self.served().iter().map(|one| (one.settings.name.clone(), one.local)).collect()
    }

    /// How long running transactions may take to finish at the end.
    pub fn grace(&self) -> std::time::Duration {
        self.shared.load().limits.shutdown_grace.0
    }

    /// Once `shutdown` is cancelled: closes the listeners, ends idle sessions with 421, lets running transactions finish within
    /// [`Limits::shutdown_grace`], cuts what is left, and returns.
    pub async fn drained(&self) {
        let shared = self.shared.load_full();
        shared.shutdown.cancelled().await;
        self.loops.close();
        self.loops.wait().await;
        shared.tasks.close();
        let grace = shared.limits.shutdown_grace.0;
        if tokio::time::timeout(grace, shared.tasks.wait()).await.is_err() {
            let connections = shared.tasks.len();
            tracing::warn!(connections, ?grace, "shutdown grace is over; connections are cut, their clients will try again");
            shared.hurry.cancel();
            shared.tasks.wait().await;
        }
    }

    fn open(&self, listener: Listener, shared: &Arc<Shared<A>>) -> Option<Served<A>> {
        let settings = listener.settings().clone();
        let local = listener.local_addr().inspect_err(|error| tracing::error!(listener = settings.name, %error, "no address")).ok()?;
        let (socket, open) = listener.split(shared.clone());
        let (open, stop) = (Arc::new(ArcSwap::from_pointee(open)), shared.shutdown.child_token());
        self.loops.spawn(listener::run(socket, open.clone(), stop.clone()));
        Some(Served { settings, local, open, stop })
    }

    fn served(&self) -> MutexGuard<'_, Vec<Served<A>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Planned {
    fn settings(&self) -> &ListenerSettings {
        match self {
            Self::Kept(settings, _) => settings,
            Self::New(listener) => listener.settings(),
        }
    }
}

impl<A> Shared<A> {
    /// The same with other limits.
    fn renewed(&self, limits: &Limits, reserve: bool) -> Self {
        Self {
            accept: self.accept.clone(),
            hostname: self.hostname.clone(),
            slots: Arc::new(self.slots.resized(limits.connections, limits.connections_per_peer, reserve)),
            budget: self.budget.clone(),
            limits: Limits { memory: self.limits.memory, memory_wait: self.limits.memory_wait, ..limits.clone() },
            shutdown: self.shutdown.clone(),
            hurry: self.hurry.clone(),
            tasks: self.tasks.clone(),
        }
    }
}

/// For each listener wanted the place of the one that listens on its address: of that name if there is one, else of another name
/// (it was renamed, or had port 0 twice).
fn matching<'a>(have: &[(&str, SocketAddr)], wanted: impl Iterator<Item = &'a ListenerSettings>) -> Vec<Option<usize>> {
    let wanted: Vec<&ListenerSettings> = wanted.collect();
    let mut taken = vec![false; have.len()];
    let mut found = vec![None; wanted.len()];
    for by_name in [true, false] {
        for (settings, found) in wanted.iter().zip(&mut found).filter(|(_, found)| found.is_none()) {
            let fits = |(place, (name, address)): (usize, &(&str, SocketAddr))| {
                let free = taken.get(place).is_some_and(|taken| !taken);
                (free && *address == settings.address && (!by_name || *name == settings.name)).then_some(place)
            };
            *found = have.iter().enumerate().find_map(fits);
            if let Some(taken) = found.and_then(|place| taken.get_mut(place)) {
                *taken = true;
            }
        }
    }
    found
}

/// Serves listeners that never change until `shutdown` is cancelled, and returns when they are drained ([`Gateway::drained`]).
pub async fn serve<A: Accept>(listeners: Vec<Listener>, accept: Arc<A>, limits: &Limits, hostname: &str, shutdown: CancellationToken) {
    let gateway = Gateway::new(accept, limits, hostname, shutdown);
    gateway.put_in_force(listeners.into_iter().map(Planned::New).collect(), limits);
    gateway.drained().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_which_socket() {
        let settings = |name: &str, address: &str| -> ListenerSettings {
            serde_json::from_str(&format!(r#"{{"name":"{name}","address":"{address}","direction":"inbound"}}"#)).unwrap()
        };
        let [a, b] = ["127.0.0.1:25", "127.0.0.2:25"];
        let have = [("in", a.parse().unwrap()), ("out", b.parse().unwrap())];
        let rows = [
            (vec![("in", a), ("out", b)], vec![Some(0), Some(1)]),
            (vec![("out", b)], vec![Some(1)]),
            (vec![("inside", a), ("out", b)], vec![Some(0), Some(1)]),
            (vec![("in", b), ("out", a)], vec![Some(1), Some(0)]),
            (vec![("in", "127.0.0.3:25")], vec![None]),
            (vec![("new", a), ("in", a)], vec![None, Some(0)]),
        ];
        for (wanted, places) in rows {
            let wanted: Vec<ListenerSettings> = wanted.iter().map(|(name, address)| settings(name, address)).collect();
            assert_eq!(matching(&have, wanted.iter()), places, "{wanted:?}");
        }
    }
}
