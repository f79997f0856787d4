//! The courier: which hops take which recipients, in which order, and for how long.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::clock::Clock;
use super::connection::{Connection, NotOpen, Opening, Trouble};
use super::hop::{Endpoint, Hop, HopStatus};
use super::pool::Pool;
use super::screen;
use super::transaction::{Report, Transaction};
use super::{Job, Settings};
use crate::mail::{HopReply, NextHop, Outcome, TlsUse};
use crate::net::{ClientTls, DnsError, Resolver};

/// Domains of one message that are delivered side by side.
const DOMAINS_AT_ONCE: usize = 8;

/// Delivers messages to next hops. Cheap to share; all its waits end.
pub struct Courier {
    settings: Settings,
    hostname: String,
    dns: Arc<Resolver>,
    tls: ClientTls,
    pool: Pool,
    mx_slots: Arc<Semaphore>,
    /// Connections to strangers that may be kept idle, in use ones included; those above are closed after use.
    mx_kept: Arc<Semaphore>,
}

/// A connection in hand, with the leave to use it.
struct Ready {
    connection: Connection,
    reused: bool,
}

impl Courier {
    /// A courier that calls itself `hostname`.
    pub fn new(settings: &Settings, hostname: &str, dns: Arc<Resolver>, tls: ClientTls) -> Self {
        Self {
            settings: settings.clone(),
            hostname: hostname.to_owned(),
            dns,
            tls,
            pool: Pool::default(),
            mx_slots: Arc::new(Semaphore::new(settings.mx_connections.clamp(1, Semaphore::MAX_PERMITS))),
            mx_kept: Arc::new(Semaphore::new(settings.mx_connections.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// Tries to deliver once: every hop that may take a recipient, in order. One outcome per recipient, in their order.
    ///
    /// If the future is dropped, connections in use are closed, and what was under way may or may not have been delivered.
    pub async fn deliver(&self, job: Job) -> Vec<Outcome> {
        let start = Instant::now();
        let job = &job;
        let parts: Vec<_> = self.parts(job).into_iter().map(|(domain, which)| self.part(job, domain, which)).collect();
        let settled: Vec<Vec<(usize, Outcome)>> = stream::iter(parts).buffer_unordered(DOMAINS_AT_ONCE).collect().await;
        let mut outcomes: Vec<(usize, Outcome)> = settled.into_iter().flatten().collect();
        outcomes.sort_by_key(|(n, _)| *n);
        let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        measure(job, &outcomes, start);
        outcomes
    }

    /// The hops used so far and how they stand.
    pub fn hops(&self) -> Vec<HopStatus> {
        self.pool.status()
    }

    /// Says goodbye on all idle connections; for shutdown.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Recipients that go in one transaction: those of one domain where the domain's MX is asked, else all; in portions.
    fn parts(&self, job: &Job) -> Vec<(Option<String>, Vec<usize>)> {
        let by_mx = job.route.next_hops.contains(&NextHop::Mx);
        let mut groups: Vec<(Option<String>, Vec<usize>)> = Vec::new();
        let mut places: HashMap<Option<String>, usize> = HashMap::new();
        for (n, recipient) in job.recipients.iter().enumerate() {
            let domain = by_mx.then(|| recipient.address.domain_key());
            let place = *places.entry(domain.clone()).or_insert(groups.len());
            match groups.get_mut(place).filter(|group| group.1.len() < self.settings.recipients_per_transaction.max(1)) {
                Some(group) => group.1.push(n),
                None => {
                    places.insert(domain.clone(), groups.len());
                    groups.push((domain, vec![n]));
                }
            }
        }
        groups
    }

    /// One portion of recipients: hop after hop until all are settled.
    async fn part(&self, job: &Job, domain: Option<String>, which: Vec<usize>) -> Vec<(usize, Outcome)> {
        let clock = Clock::start(&self.settings, job.patience);
        let hops = match timeout_at(clock.connect(1), self.hops_for(job, domain.as_deref())).await {
            Ok(Ok(hops)) => hops,
            Ok(Err(outcome)) => return which.into_iter().map(|n| (n, outcome.clone())).collect(),
            Err(_) => {
                let why = format!("no answer from the DNS about {} in time", domain.unwrap_or_default());
                return which.into_iter().map(|n| (n, Outcome::Deferred { hop: None, reply: None, why: why.clone() })).collect();
            }
        };
        let mut settled = Vec::with_capacity(which.len());
        let mut open = which;
        let mut troubles: Vec<(&str, Trouble)> = Vec::new();
        for (n, hop) in hops.iter().enumerate() {
            let report = self.attempt(hop, job, &open, &clock, hops.len() - n).await;
            let mut left = Vec::new();
            for (n, outcome) in open.into_iter().zip(report.outcomes) {
                match outcome {
                    Some(outcome) => settled.push((n, outcome)),
                    None => left.push(n),
                }
            }
            open = left;
            if open.is_empty() {
                break;
            }
            troubles.extend(report.trouble.map(|trouble| (hop.name.as_str(), trouble)));
        }
        let deferred = deferred(troubles);
        settled.extend(open.into_iter().map(|n| (n, deferred.clone())));
        settled
    }

    /// The hops for a domain, those that are up first.
    async fn hops_for(&self, job: &Job, domain: Option<&str>) -> Result<Vec<Arc<Hop>>, Outcome> {
        let mut hops = Vec::new();
        for next_hop in &job.route.next_hops {
            match (next_hop, domain) {
                (NextHop::Host { host, port }, _) => {
                    hops.push(self.pool.hop(&job.route, Endpoint { host: host.clone(), port: *port, configured: true }));
                }
                (NextHop::Mx, Some(domain)) => match self.mail_hosts(domain).await {
                    Ok(hosts) => {
                        let endpoints = hosts.into_iter().map(|host| Endpoint { host, port: self.settings.mx_port, configured: false });
                        hops.extend(endpoints.map(|endpoint| self.pool.hop(&job.route, endpoint)));
                    }
                    Err(outcome @ Outcome::Refused { .. }) => return Err(outcome),
                    Err(outcome) if job.route.next_hops.len() == 1 => return Err(outcome),
                    Err(_) => {}
                },
                (NextHop::Mx, None) => {}
            }
        }
        hops.sort_by_cached_key(|hop| hop.is_down());
        Ok(hops)
    }

    /// The domain's mail hosts before ourselves (RFC 5321 section 5.1), or what the DNS has settled.
    async fn mail_hosts(&self, domain: &str) -> Result<Vec<String>, Outcome> {
        let ours = |code: u16, enhanced: &str, text: String| Outcome::Refused {
            hop: String::new(),
            reply: HopReply { code, enhanced: Some(enhanced.to_owned()), text },
        };
        let targets = self.dns.mx(domain).await.map_err(|error| match error {
            DnsError::NullMx(_) => ours(556, "5.1.10", error.to_string()),
            DnsError::NoSuchDomain(_) | DnsError::NotAName(_) => ours(550, "5.1.2", error.to_string()),
            DnsError::NoHost(_) => ours(550, "5.4.4", error.to_string()),
            DnsError::Temporary { .. } => Outcome::Deferred { hop: None, reply: None, why: error.to_string() },
        })?;
        let own = targets.iter().find(|target| target.host.eq_ignore_ascii_case(&self.hostname)).map(|target| target.preference);
        let hosts: Vec<String> =
            targets.into_iter().filter(|target| own.is_none_or(|own| target.preference < own)).map(|target| target.host).collect();
        if hosts.is_empty() {
            return Err(ours(554, "5.4.6", format!("the mail host of {domain} is this gateway, which does not take mail for it")));
        }
        Ok(hosts)
    }

    /// One hop: slot, connection, pace, transaction.
    async fn attempt(&self, hop: &Arc<Hop>, job: &Job, open: &[usize], clock: &Clock<'_>, hops_left: usize) -> Report {
        let failed = |trouble| Report::failed(open.len(), trouble);
        let _slots = match self.slots(hop, clock.wait(hops_left)).await {
            Ok(slots) => slots,
            Err(trouble) => return failed(trouble),
        };
        let mut ready = match self.ready(hop, clock, hops_left).await {
            Ok(ready) => ready,
            Err(trouble) => return failed(trouble),
        };
        let (outcomes, rest) = screen::screen(job, open, &ready.connection.capabilities, &hop.name);
        if rest.is_empty() {
            hop.put(ready.connection);
            return Report { outcomes, trouble: None, stale: false, reusable: true };
        }
        if let Err(trouble) = hop.pace(clock.pace()).await {
            hop.put(ready.connection);
            return Report { outcomes, trouble: Some(trouble), stale: false, reusable: true };
        }
        let transaction = transaction(&hop.name, job, &rest, clock);
        let mut report = transaction.run(&mut ready.connection).await;
        if report.stale && ready.reused {
            ready = match self.fresh(hop, clock.connect(hops_left)).await {
                Ok(connection) => Ready { connection, reused: false },
                Err(trouble) => return Report { outcomes, ..failed(trouble) },
            };
            report = transaction.run(&mut ready.connection).await;
        }
        self.after(hop, ready.connection, &report);
        Report { outcomes: screen::merge(outcomes, report.outcomes), ..report }
    }

    /// Keeps or closes the connection, and what the hop said.
    fn after(&self, hop: &Arc<Hop>, connection: Connection, report: &Report) {
        let said = report.outcomes.iter().flatten().filter_map(Outcome::reply).next_back().map(ToString::to_string);
        if let Some(said) = said.or_else(|| report.trouble.as_ref().map(|trouble| trouble.why.clone())) {
            hop.note(said);
        }
        if !report.reusable {
            return;
        }
        if connection.messages < self.settings.messages_per_connection {
            hop.put(connection);
        } else {
            tokio::spawn(connection.quit());
        }
    }

    /// The leave to use a connection: the hop's own, and for strangers one of those that they share.
    async fn slots(&self, hop: &Hop, deadline: Instant) -> Result<(OwnedSemaphorePermit, Option<OwnedSemaphorePermit>), Trouble> {
        let own = hop.slot(deadline).await?;
        if hop.endpoint.configured {
            return Ok((own, None));
        }
        match timeout_at(deadline, self.mx_slots.clone().acquire_owned()).await {
            Ok(Ok(shared)) => Ok((own, Some(shared))),
            _ => Err(Trouble::new("all connections to hosts found by MX were busy (mx_connections)")),
        }
    }

    async fn ready(&self, hop: &Arc<Hop>, clock: &Clock<'_>, hops_left: usize) -> Result<Ready, Trouble> {
        match hop.take_idle() {
            Some(connection) => Ok(Ready { connection, reused: true }),
            None => Ok(Ready { connection: self.fresh(hop, clock.connect(hops_left)).await?, reused: false }),
        }
    }

    /// A new connection. Its failure marks the hop as down.
    async fn fresh(&self, hop: &Hop, deadline: Instant) -> Result<Connection, Trouble> {
        let _trial = hop.admit()?;
        match self.open(hop, deadline).await {
            Ok(mut connection) => {
                let kept = if hop.endpoint.configured { None } else { self.mx_kept.clone().try_acquire_owned().ok() };
                connection.keep = hop.endpoint.configured || kept.is_some();
                connection.counted = Some(Box::new((hop.count(), kept)));
                hop.connected();
                Ok(connection)
            }
            Err(trouble) => {
                hop.failed(&trouble, self.settings.down_time.0);
                Err(trouble)
            }
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

    /// One address; in plain text where TLS is opportunistic and its handshake fails.
    async fn dial(&self, hop: &Hop, address: std::net::SocketAddr, deadline: Instant) -> Result<Connection, Trouble> {
        let opportunistic = self.settings.tls == TlsUse::Opportunistic;
        let use_tls = if opportunistic && hop.is_plain() { TlsUse::Off } else { self.settings.tls };
        let opening = Opening { host: &hop.endpoint.host, hostname: &self.hostname, tls: &self.tls, use_tls };
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
        data: &job.data,
        size: screen::size(job),
        envelope_time: clock.envelope_time(),
        final_time: clock.final_time(),
        limit: clock.limit(),
    }
}

/// What is said of recipients that no hop has settled: the last trouble, and those before it.
fn deferred(mut troubles: Vec<(&str, Trouble)>) -> Outcome {
    let Some((hop, last)) = troubles.pop() else {
        return Outcome::Deferred { hop: None, reply: None, why: "the route has no next hop for it".to_owned() };
    };
    let mut why = last.why;
    for (hop, before) in troubles {
        why.push_str(&format!(" (before it {hop}: {})", before.why));
    }
    Outcome::Deferred { hop: Some(hop.to_owned()), reply: last.reply, why }
}

fn measure(job: &Job, outcomes: &[Outcome], start: Instant) {
    let route = job.route.name.to_string();
    metrics::histogram!("mailweir_delivery_seconds", "route" => route.clone()).record(start.elapsed().as_secs_f64());
    for outcome in outcomes {
        let class = match outcome.reply().map(|reply| reply.code / 100) {
            Some(2) => "2xx",
            Some(4) => "4xx",
            Some(5) => "5xx",
            _ => "none",
        };
        metrics::counter!("mailweir_next_hop_replies_total", "route" => route.clone(), "class" => class).increment(1);
    }
}
