//! Routes: which recipients go to which next hops.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Address, Direction};

/// Where a route's mail is handed to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// The MX hosts of the recipient's domain (RFC 5321 section 5.1).
    Mx,
    /// A named host or address, with port (25 where none is given).
    Host {
        /// Host name, IPv4 address, or IPv6 address without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
}

impl FromStr for NextHop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "mx" {
            return Ok(Self::Mx);
        }
        let wrong = || format!("not a next hop: {text:?}; write \"mx\", \"host\" or \"host:port\" (IPv6 as \"[2001:db8::1]:25\")");
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None => match text.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let is_host = host.parse::<std::net::IpAddr>().is_ok() || format!("x@{host}").parse::<Address>().is_ok();
        if !is_host {
            return Err(wrong());
        }
        let port = port.map_or(Ok(25), |port| port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong))?;
        Ok(Self::Host { host: host.to_owned(), port })
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mx => f.write_str("mx"),
            Self::Host { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// How a route's mail leaves: inside the sender's session, or through the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Inside the sender's session where the next hop is up, else through the spool.
    CutThrough,
    /// Always through the spool.
    Spool,
}

/// What kind of mail server the next hop is; sets pacing and quirks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Anything else.
    #[default]
    Generic,
    /// GroupWise Internet Agent: few receive threads, refuses more than 30 messages in 10 seconds from one host by default.
    Groupwise,
    /// Exchange: tarpits, caps connections of a source at 20 by default.
    Exchange,
}

/// Encryption towards next hops (STARTTLS, RFC 3207).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsUse {
    /// Where it is offered, with any certificate; in plain text where it is not, or where the handshake fails.
    #[default]
    Opportunistic,
    /// Always, with a certificate valid for the hop's name; else the mail waits.
    Required,
    /// Never.
    Off,
}

/// What we log in with at a next hop (AUTH, RFC 4954).
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User name.
    pub user: String,
    /// Password; never shown.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A route, ready to use.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name in the configuration; unique.
    pub name: Arc<str>,
    /// Domains in lower case; `*` matches every domain that no other route names.
    pub domains: Vec<String>,
    /// Addresses in lower case from a list file; `None` where the route goes by domain only.
    /// With domains too, the list says which users exist there.
    pub recipients: Option<HashSet<String>>,
    /// Tried in order.
    pub next_hops: Vec<NextHop>,
    /// Kind of mail server.
    pub profile: Profile,
    /// A recipient that the next hop does not know is tried on this route.
    pub unknown_user: Option<Arc<str>>,
    /// `Outbound` for the route to the internet; all others are ours.
    pub outbound: bool,
    /// How it leaves.
    pub delivery: Delivery,
    /// Waits between attempts; the last repeats. Never empty.
    pub retry: Vec<Duration>,
    /// Age at which a recipient is given up.
    pub expire: Duration,
    /// Age at which the sender is told that it takes longer; `None` for never.
    pub warn_after: Option<Duration>,
    /// Encryption towards its next hops; `None` for what `[delivery]` says.
    pub tls: Option<TlsUse>,
    /// What we log in with at its next hops (a smart host, as a rule).
    pub auth: Option<Credentials>,
    /// Recipients are asked for at the next hop before they are accepted (RCPT).
    pub callout: bool,
    /// Connections to one next hop at once.
    pub connections: usize,
    /// Messages per second to one next hop; `None` for as fast as it takes them.
    pub rate: Option<f64>,
}

/// Whether a recipient is taken, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// On this route.
    Found(Arc<str>),
    /// The domain is ours, but a list says that there is no such user.
    NoSuchUser,
    /// No route takes this domain.
    NoRoute,
}

/// All routes, with their look-up tables.
#[derive(Debug, Clone, Default)]
pub struct Routes {
    by_name: HashMap<Arc<str>, Arc<Route>>,
    by_address: HashMap<String, Arc<str>>,
    by_domain: HashMap<String, Arc<str>>,
    any: Option<Arc<str>>,
    /// Domains that routes of ours name, or that have a user on a list of theirs.
    ours: HashSet<String>,
}

impl Routes {
    /// Builds the tables. The first route that names a domain or an address has it (the configuration check warns of a second).
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Self {
        let mut tables = Self::default();
        for route in routes {
            let name = route.name.clone();
            for address in route.recipients.iter().flatten() {
                tables.by_address.entry(address.clone()).or_insert_with(|| name.clone());
            }
            if !route.outbound {
                let listed = route.recipients.iter().flatten().filter_map(|address| address.rsplit_once('@'));
                tables.ours.extend(listed.map(|(_, domain)| domain.to_owned()));
            }
            for domain in &route.domains {
                if domain == "*" {
                    tables.any.get_or_insert_with(|| name.clone());
                } else {
                    tables.by_domain.entry(domain.clone()).or_insert_with(|| name.clone());
                }
            }
            tables.by_name.insert(name, Arc::new(route));
        }
        tables
    }

    /// The route of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Route>> {
        self.by_name.get(name)
    }

    /// All routes, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.by_name.values()
    }

    /// Whether mail for this domain (lower case) is ours: some route that is not outbound names it, or a list has a user there.
    pub fn is_ours(&self, domain: &str) -> bool {
        let by_domain = self.by_domain.get(domain).and_then(|name| self.get(name));
        by_domain.is_some_and(|route| !route.outbound) || self.ours.contains(domain)
    }

    /// Which route takes `address`: list first, then domain, then `*`. A domain whose route has a list takes only who is on some list.
    pub fn lookup(&self, address: &Address) -> Lookup {
        if let Some(name) = self.by_address.get(&address.key()) {
            return Lookup::Found(name.clone());
        }
        let domain = address.domain_key();
        match self.by_domain.get(&domain) {
            Some(name) if self.get(name).is_some_and(|route| route.recipients.is_some()) => Lookup::NoSuchUser,
            Some(name) => Lookup::Found(name.clone()),
            None if self.is_ours(&domain) => Lookup::NoSuchUser,
            None => self.any.clone().map_or(Lookup::NoRoute, Lookup::Found),
        }
    }

    /// Which way mail from this kind of listener to `route` goes.
    pub fn direction(&self, listener_is_inbound: bool, route: &str) -> Direction {
        let outbound = self.get(route).is_some_and(|route| route.outbound);
        match (listener_is_inbound, outbound) {
            (true, _) => Direction::Inbound,
            (false, true) => Direction::Outbound,
            (false, false) => Direction::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, domains: &[&str], recipients: Option<&[&str]>, outbound: bool) -> Route {
        Route {
            name: name.into(),
            domains: domains.iter().map(|d| d.to_string()).collect(),
            recipients: recipients.map(|list| list.iter().map(|a| a.to_string()).collect()),
            next_hops: vec![NextHop::Mx],
            profile: Profile::Generic,
            unknown_user: None,
            outbound,
            delivery: Delivery::CutThrough,
            retry: vec![Duration::from_secs(60)],
            expire: Duration::from_secs(3600),
            warn_after: None,
            tls: None,
            auth: None,
            callout: false,
            connections: 10,
            rate: None,
        }
    }

    #[test]
    fn lookups() {
        let routes = Routes::new([
            route("exchange", &["legacy.example"], None, false),
            route("groupwise", &["ours.example"], Some(&["ann@ours.example", "bob@shared.example"]), false),
            route("internet", &["*"], None, true),
        ]);
        let rows = [
            ("x@legacy.example", Lookup::Found("exchange".into())),
            ("x@LEGACY.example", Lookup::Found("exchange".into())),
            ("Ann@ours.example", Lookup::Found("groupwise".into())),
            ("carl@ours.example", Lookup::NoSuchUser),
            ("bob@shared.example", Lookup::Found("groupwise".into())),
            ("carl@shared.example", Lookup::NoSuchUser),
            ("x@else.example", Lookup::Found("internet".into())),
            ("x@sub.legacy.example", Lookup::Found("internet".into())),
        ];
        for (address, want) in rows {
            assert_eq!(routes.lookup(&address.parse().unwrap()), want, "{address}");
        }
        assert!(routes.is_ours("legacy.example") && routes.is_ours("shared.example") && !routes.is_ours("else.example"));
        assert_eq!(Routes::new([route("a", &["a.example"], None, false)]).lookup(&"x@b.example".parse().unwrap()), Lookup::NoRoute);
    }

    #[test]
    fn next_hops() {
        for (text, want) in [
            ("mx", Ok("mx")),
            ("gwia.example", Ok("gwia.example:25")),
            ("gwia.example:2525", Ok("gwia.example:2525")),
            ("127.0.0.1:1", Ok("127.0.0.1:1")),
            ("[::1]:25", Ok("[::1]:25")),
            ("[::1]", Ok("[::1]:25")),
            ("a b", Err(())),
            ("host:port", Err(())),
            ("host:0", Err(())),
            ("", Err(())),
        ] {
            let got = text.parse::<NextHop>().map(|hop| hop.to_string());
            assert_eq!(got.as_deref().map_err(|_| ()), want, "{text:?}");
        }
    }
}
