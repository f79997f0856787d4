//! A visit to one hop: wait for a turn, connect, and hand over in one transaction, or in as many as the hop wants.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Job;
use super::clock::Clock;
use super::connection::{Connection, NotOpen, Opening, Trouble};
use super::courier::Office;
use super::hop::{Hop, part};
use super::screen;
use super::slots::Slot;
use super::terms::Endpoint;
use super::transaction::{Report, Transaction};
use crate::mail::{Outcome, TlsUse};

/// A connection in hand.
pub(super) struct Ready {
    pub connection: Connection,
    /// It was used before, and may have ended unnoticed.
    pub reused: bool,
}

/// The leave to use a connection: the hop's own, and for strangers one of those of the domain and one of those that they share.
pub(super) struct Turn {
    own: Slot,
    _strangers: Option<(Option<OwnedSemaphorePermit>, OwnedSemaphorePermit)>,
}

impl Office {
    /// One hop: a turn, a connection, the pace, one transaction after another. What is left open, another hop may take.
    pub async fn visit(
        &self,
        hop: &Arc<Hop>,
        domain: Option<&Arc<Semaphore>>,
        job: &Job,
        open: &[usize],
        clock: &Clock<'_>,
        hops_left: usize,
    ) -> Report {
        let turn = match self.turn(hop, domain, clock.wait(hops_left)).await {
            Ok(turn) => turn,
            Err(trouble) => return Report::failed(open.len(), trouble),
        };
        let pause = clock.pace();
        let mut ready = match self.ready(hop, pause, || clock.connect(hops_left)).await {
            Ok(ready) => ready,
            Err(trouble) => return Report::failed(open.len(), trouble),
        };
        let (screened, rest) = screen::screen(job, open, &ready.connection.capabilities, &hop.name);
        let mut answered: Vec<Option<Outcome>> = vec![None; rest.len()];
        loop {
            let places: Vec<usize> = (0..rest.len()).filter(|n| matches!(answered.get(*n), Some(None))).take(hop.at_once()).collect();
            if places.is_empty() {
                hop.put(ready.connection, turn);
                return Report { outcomes: screen::merge(screened, answered), ..Report::over(None) };
            }
            if let Err(trouble) = hop.pace(clock.pace()).await {
                hop.put(ready.connection, turn);
                return Report { outcomes: screen::merge(screened, answered), ..Report::over(Some(trouble)) };
            }
            let which: Vec<usize> = places.iter().filter_map(|place| rest.get(*place).copied()).collect();
            let (report, connection) = self.transact(hop, transaction(&hop.name, job, &which, clock), ready, clock, hops_left).await;
            self.learn(hop, &turn, &report);
            for (place, outcome) in places.into_iter().zip(report.outcomes) {
                if let Some(open) = answered.get_mut(place) {
                    *open = outcome;
                }
            }
            // Where it went well and some are left, they were too many: they go now. A transaction settles at least one.
            let over = report.trouble.is_some() || answered.iter().all(Option::is_some);
            match connection.filter(|_| report.reusable) {
                Some(connection) if over => self.leave(hop, connection, turn),
                Some(connection) => {
                    ready = Ready { connection, reused: false };
                    continue;
                }
                None if over => {}
                None => match self.fresh(hop, clock.connect(hops_left)).await {
                    Ok(connection) => {
                        ready = Ready { connection, reused: false };
                        continue;
                    }
                    Err(trouble) => {
                        return Report { outcomes: screen::merge(screened, answered), ..Report::over(Some(trouble)) };
                    }
                },
            }
            return Report { outcomes: screen::merge(screened, answered), ..Report::over(report.trouble) };
        }
    }

    /// One transaction; on a fresh connection if the one that was kept had ended.
    async fn transact(
        &self,
        hop: &Arc<Hop>,
        transaction: Transaction<'_>,
        ready: Ready,
        clock: &Clock<'_>,
        hops_left: usize,
    ) -> (Report, Option<Connection>) {
        let Ready { mut connection, reused } = ready;
        let report = transaction.run(&mut connection).await;
        if !(report.stale && reused) {
            return (report, Some(connection));
        }
        // The old one goes first: it may count at the other end.
        drop(connection);
        match self.fresh(hop, clock.connect(hops_left)).await {
            Ok(mut connection) => (transaction.run(&mut connection).await, Some(connection)),
            Err(trouble) => (Report::failed(transaction.recipients.len(), trouble), None),
        }
    }

    /// What the hop said, and whether it wants less or may get more.
    fn learn(&self, hop: &Arc<Hop>, turn: &Turn, report: &Report) {
        let said = report.outcomes.iter().flatten().filter_map(Outcome::reply).next_back().map(ToString::to_string);
        if let Some(said) = said.or_else(|| report.trouble.as_ref().map(|trouble| trouble.why.clone())) {
            hop.note(said);
        }
        if let Some(took) = report.took {
            hop.learn_at_once(took);
        }
        let busy = report.outcomes.iter().flatten().find(|outcome| outcome.is_busy()).map(ToString::to_string);
        let busy = report.trouble.as_ref().filter(|trouble| trouble.is_busy()).map(|trouble| trouble.why.clone()).or(busy);
        match busy {
            Some(why) => hop.pushed_back(turn.own.since, true, &why),
            None if report.outcomes.iter().flatten().any(Outcome::is_delivered) => hop.went_well(turn.own.since),
            None => {}
        }
    }

    /// Keeps the connection, or closes it after its messages.
    fn leave(&self, hop: &Arc<Hop>, connection: Connection, turn: Turn) {
        if connection.messages < self.settings.messages_per_connection {
            hop.put(connection, turn);
        } else {
            part(connection, turn);
        }
    }

    /// Waits for a turn. First come those that fewest wait for, so that nobody who waits keeps others waiting.
    pub async fn turn(&self, hop: &Hop, domain: Option<&Arc<Semaphore>>, deadline: Instant) -> Result<Turn, Trouble> {
        if hop.endpoint.configured {
            return Ok(Turn { own: hop.slot(deadline).await?, _strangers: None });
        }
        let domain = match domain {
            Some(slots) => match timeout_at(deadline, slots.clone().acquire_owned()).await {
                Ok(Ok(permit)) => Some(permit),
                _ => return Err(Trouble::busy("all connections for its domain were busy (mx_domain_connections)")),
            },
            None => None,
        };
        let own = hop.slot(deadline).await?;
        match timeout_at(deadline, self.mx_slots.clone().acquire_owned()).await {
            Ok(Ok(shared)) => Ok(Turn { own, _strangers: Some((domain, shared)) }),
            _ => Err(Trouble::busy("all connections to hosts found by MX were busy (mx_connections)")),
        }
    }

    /// An idle connection, or a new one: that waits for the end of a pause.
    pub async fn ready(&self, hop: &Arc<Hop>, pause: Instant, connect: impl FnOnce() -> Instant) -> Result<Ready, Trouble> {
        if let Some(connection) = hop.take_idle() {
            return Ok(Ready { connection, reused: true });
        }
        hop.pause(pause).await?;
        Ok(Ready { connection: self.fresh(hop, connect()).await?, reused: false })
    }

    /// A new connection. Its failure marks the hop as down.
    pub async fn fresh(&self, hop: &Arc<Hop>, deadline: Instant) -> Result<Connection, Trouble> {
        let _trial = hop.admit()?;
        let since = Instant::now();
        match self.open(hop, deadline).await {
            Ok(mut connection) => {
                let kept = if hop.endpoint.configured { None } else { self.mx_kept.clone().try_acquire_owned().ok() };
                connection.keep = hop.endpoint.configured || kept.is_some();
                connection.counted = Some(Box::new((hop.count(), kept)));
                hop.connected();
                Ok(connection)
            }
            Err(trouble) => Err(hop.failed(trouble, since, self.settings.down_time.0)),
        }
    }

    /// Address after address, each with its share of the time.
    async fn open(&self, hop: &Hop, deadline: Instant) -> Result<Connection, Trouble> {
        let Endpoint { host, port, .. } = &hop.endpoint;
        let found = timeout_at(deadline, self.dns.addresses(host)).await;
        let addresses = found.map_err(|_| Trouble::new(format!("no answer from the DNS about {host} in time")))?;
        let addresses = addresses.map_err(|error| Trouble::new(error.to_string()))?;
        let mut last = Trouble::new("no address");
        for (n, address) in addresses.iter().enumerate() {
            let left = u32::try_from(addresses.len() - n).unwrap_or(1);
            let share = Instant::now() + deadline.saturating_duration_since(Instant::now()) / left;
            match self.dial(hop, (*address, *port).into(), share).await {
                Ok(connection) => return Ok(connection),
                Err(trouble) => last = trouble,
            }
        }
        Err(last)
    }

    /// One address; in plain text where TLS is opportunistic and its handshake fails, but not with a password.
    async fn dial(&self, hop: &Hop, address: std::net::SocketAddr, deadline: Instant) -> Result<Connection, Trouble> {
        let auth = hop.log_in();
        let opportunistic = hop.tls() == TlsUse::Opportunistic && auth.is_none();
        let use_tls = if opportunistic && hop.is_plain() { TlsUse::Off } else { hop.tls() };
        let opening = Opening { host: &hop.endpoint.host, hostname: &self.hostname, tls: &self.tls, use_tls, auth };
        match opening.open(address, deadline).await {
            Ok(connection) => Ok(connection),
            Err(NotOpen::Handshake(trouble)) if opportunistic => {
                hop.remember_plain(&trouble);
                let plain = Opening { use_tls: TlsUse::Off, ..opening };
                plain.open(address, deadline).await.map_err(|(NotOpen::Handshake(trouble) | NotOpen::Other(trouble))| trouble)
            }
            Err(NotOpen::Handshake(trouble) | NotOpen::Other(trouble)) => Err(trouble),
        }
    }
}

fn transaction<'a>(hop: &'a str, job: &'a Job, which: &[usize], clock: &Clock<'_>) -> Transaction<'a> {
    let recipients: Vec<_> = which.iter().filter_map(|n| job.recipients.get(*n)).collect();
    let smtputf8 = job.smtputf8 || recipients.iter().any(|to| !to.address.is_ascii());
    Transaction {
        hop,
        sender: &job.sender,
        recipients,
        body: job.body,
        smtputf8,
        dsn: &job.dsn,
        data: &job.data,
        size: screen::size(job),
        envelope_time: clock.envelope_time(),
        final_time: clock.final_time(),
        limit: clock.limit(),
    }
}
