//! The courier: which hops take which recipients, in which order, and for how long.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::callout::Callouts;
use super::clock::Clock;
use super::connection::Trouble;
use super::hop::{Hop, HopStatus};
use super::pool::Pool;
use super::terms::Endpoint;
use super::{Job, Settings, Verified};
use crate::mail::{Address, HopReply, NextHop, Outcome, Route};
use crate::net::{ClientTls, DnsError, Resolver};

/// Domains of one message that are delivered side by side: so many that slow ones do not hold up the others.
const DOMAINS_AT_ONCE: usize = 100;
/// Domains are looked through for those without connections when there are more than this.
const SWEEP_ABOVE: usize = 1024;

/// Delivers messages to next hops. Cheap to share; all its waits end.
pub struct Courier {
    office: Arc<Office>,
}

/// What deliveries and questions work with.
pub(super) struct Office {
    pub settings: Settings,
    pub hostname: String,
    pub dns: Arc<Resolver>,
    pub tls: ClientTls,
    pub pool: Pool,
    pub mx_slots: Arc<Semaphore>,
    /// Connections to strangers that may be kept idle, in use ones included; those above are closed after use.
    pub mx_kept: Arc<Semaphore>,
    pub callouts: Callouts,
    domains: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Courier {
    /// A courier that calls itself `hostname`.
    pub fn new(settings: &Settings, hostname: &str, dns: Arc<Resolver>, tls: ClientTls) -> Self {
        let office = Office {
            settings: settings.clone(),
            hostname: hostname.to_owned(),
            dns,
            tls,
            pool: Pool::default(),
            mx_slots: Arc::new(Semaphore::new(settings.mx_connections.clamp(1, Semaphore::MAX_PERMITS))),
            mx_kept: Arc::new(Semaphore::new(settings.mx_connections.clamp(1, Semaphore::MAX_PERMITS))),
            callouts: Callouts::default(),
            domains: Mutex::default(),
        };
        Self { office: Arc::new(office) }
    }

    /// Tries to deliver once: every hop that may take a recipient, in order. One outcome per recipient, in their order.
    ///
    /// If the future is dropped, connections in use are closed, and what was under way may or may not have been delivered.
    pub async fn deliver(&self, job: Job) -> Vec<Outcome> {
        let start = Instant::now();
        let job = &job;
        let office = &self.office;
        let parts: Vec<_> = office.parts(job).into_iter().map(|(domain, which)| office.part(job, domain, which)).collect();
        let settled: Vec<Vec<(usize, Outcome)>> = stream::iter(parts).buffer_unordered(DOMAINS_AT_ONCE).collect().await;
        let mut outcomes: Vec<(usize, Outcome)> = settled.into_iter().flatten().collect();
        outcomes.sort_by_key(|(n, _)| *n);
        let outcomes: Vec<Outcome> = outcomes.into_iter().map(|(_, outcome)| outcome).collect();
        measure(job, &outcomes, start);
        outcomes
    }

    /// The hops used so far and how they stand.
    pub fn hops(&self) -> Vec<HopStatus> {
        self.office.pool.status()
    }

    /// Whether the hops of `route` take a recipient: what is remembered of that, else asked by a short MAIL, RCPT, RSET. The answer is
    /// there within `callout_time`. Only a 5xx to RCPT about the recipient makes it unknown; whatever else goes wrong cannot tell.
    pub async fn verify(&self, route: &Arc<Route>, address: &Address) -> Verified {
        Office::verify(&self.office, route, address).await
    }

    /// Says goodbye on all idle connections; for shutdown.
    pub fn close(&self) {
        self.office.pool.close();
    }
}

impl Office {
    /// Connections to strangers for one domain.
    fn domain_slots(&self, domain: &str) -> Arc<Semaphore> {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slots) = domains.get(domain).and_then(Weak::upgrade) {
            return slots;
        }
        if domains.len() > SWEEP_ABOVE {
            domains.retain(|_, slots| slots.strong_count() > 0);
        }
        let slots = Arc::new(Semaphore::new(self.settings.mx_domain_connections.clamp(1, Semaphore::MAX_PERMITS)));
        domains.insert(domain.to_owned(), Arc::downgrade(&slots));
        slots
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
        let hops = match timeout_at(clock.connect(1), self.hops_for(&job.route, domain.as_deref())).await {
            Ok(Ok(hops)) => hops,
            Ok(Err(outcome)) => return which.into_iter().map(|n| (n, outcome.clone())).collect(),
            Err(_) => {
                let why = format!("no answer from the DNS about {} in time", domain.unwrap_or_default());
                return which.into_iter().map(|n| (n, nowhere(why.clone()))).collect();
            }
        };
        let domain_slots = domain.as_deref().map(|domain| self.domain_slots(domain));
        let mut settled = Vec::with_capacity(which.len());
        let mut open = which;
        let mut troubles: Vec<(&str, Trouble)> = Vec::new();
        for (n, hop) in hops.iter().enumerate() {
            let report = self.visit(hop, domain_slots.as_ref(), job, &open, &clock, hops.len() - n).await;
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
    pub async fn hops_for(&self, route: &Route, domain: Option<&str>) -> Result<Vec<Arc<Hop>>, Outcome> {
        let mut hops = Vec::new();
        for next_hop in &route.next_hops {
            match (next_hop, domain) {
                (NextHop::Host { host, port }, _) => {
                    hops.push(self.hop(route, host.clone(), *port, true));
                }
                (NextHop::Mx, Some(domain)) => match self.mail_hosts(domain).await {
                    Ok(hosts) => {
                        hops.extend(hosts.into_iter().map(|host| self.hop(route, host, self.settings.mx_port, false)));
                    }
                    Err(outcome @ Outcome::Refused { .. }) => return Err(outcome),
                    Err(outcome) if route.next_hops.len() == 1 => return Err(outcome),
                    Err(_) => {}
                },
                (NextHop::Mx, None) => {}
            }
        }
        hops.sort_by_cached_key(|hop| hop.is_down());
        Ok(hops)
    }

    fn hop(&self, route: &Route, host: String, port: u16, configured: bool) -> Arc<Hop> {
        self.pool.hop(route, Endpoint { host, port, configured }, self.settings.tls)
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
            DnsError::Temporary { .. } => nowhere(error.to_string()),
        })?;
        let own = targets.iter().find(|target| target.host.eq_ignore_ascii_case(&self.hostname)).map(|target| target.preference);
        let hosts: Vec<String> =
            targets.into_iter().filter(|target| own.is_none_or(|own| target.preference < own)).map(|target| target.host).collect();
        if hosts.is_empty() {
            return Err(ours(554, "5.4.6", format!("the mail host of {domain} is this gateway, which does not take mail for it")));
        }
        Ok(hosts)
    }
}

/// What is said of recipients that no hop has settled: the last trouble, and those before it.
fn deferred(mut troubles: Vec<(&str, Trouble)>) -> Outcome {
    let Some((hop, last)) = troubles.pop() else {
        return nowhere("the route has no next hop for it".to_owned());
    };
    // Where one of several only wants less, that one takes it soon.
    let busy = last.is_busy() || troubles.iter().any(|(_, trouble)| trouble.is_busy());
    let mut why = last.why;
    for (hop, before) in troubles {
        why.push_str(&format!(" (before it {hop}: {})", before.why));
    }
    Outcome::Deferred { hop: Some(hop.to_owned()), reply: last.reply, why, busy }
}

/// No hop was found that could have been tried.
fn nowhere(why: String) -> Outcome {
    Outcome::Deferred { hop: None, reply: None, why, busy: false }
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
