//! Look-ups in the DNS: mail hosts of a domain (RFC 5321 section 5.1, null MX RFC 7505) and addresses of a host.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver as Hickory, TokioResolver};

/// Mail hosts of one domain beyond this number are not looked at.
const MAX_TARGETS: usize = 20;
/// Addresses of one host beyond this number are not looked at.
const MAX_ADDRESSES: usize = 8;
/// How long one question to one name server may take; it is asked twice.
const QUESTION_TIME: Duration = Duration::from_secs(4);

/// A host that takes mail for a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name without a final dot, or an IP address.
    pub host: String,
    /// Lower is better.
    pub preference: u16,
}

/// Why a look-up gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The domain says that it takes no mail (RFC 7505). For good.
    #[error("{0} takes no mail (null MX)")]
    NullMx(String),
    /// There is no such domain or host. For good.
    #[error("there is no domain {0}")]
    NoSuchDomain(String),
    /// The name exists, but has neither mail host nor address. For good.
    #[error("{0} has no mail host and no address")]
    NoHost(String),
    /// The text is no domain name. For good.
    #[error("{0:?} is no domain name")]
    NotAName(String),
    /// No usable answer from any name server: try again later.
    #[error("no answer from the DNS about {name}: {what}")]
    Temporary {
        /// What was asked for.
        name: String,
        /// What happened.
        what: String,
    },
}

impl DnsError {
    /// Whether asking again later may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Temporary { .. })
    }
}

/// Asks name servers, and remembers answers for their time to live.
#[derive(Debug)]
pub struct Resolver {
    /// `Err`: there is none, and why.
    inner: Result<TokioResolver, String>,
}

impl Resolver {
    /// A resolver over these name servers (UDP, and TCP for long answers), or over those of `/etc/resolv.conf` where none are given.
    ///
    /// # Errors
    /// The text says that `/etc/resolv.conf` cannot be read. Go on with [`Self::without`]: next hops given as addresses need no DNS.
    pub fn new(nameservers: &[SocketAddr]) -> Result<Self, String> {
        let builder = if nameservers.is_empty() {
            Hickory::builder_tokio().map_err(|error| format!("cannot read name servers from /etc/resolv.conf: {error}"))?
        } else {
            let servers = nameservers.iter().map(name_server).collect();
            Hickory::builder_with_config(ResolverConfig::from_name_servers(servers), TokioRuntimeProvider::default())
        };
        let mut builder = builder;
        let options = builder.options_mut();
        options.timeout = QUESTION_TIME;
        options.attempts = 2;
        // A gateway in a DMZ often has IPv6 that leads nowhere, so that is tried second.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.try_tcp_on_error = true;
        let inner = builder.build().map_err(|error| format!("cannot start the DNS resolver: {error}"))?;
        Ok(Self { inner: Ok(inner) })
    }

    /// A resolver that answers every question with [`DnsError::Temporary`] and this text; addresses still work.
    pub fn without(why: impl Into<String>) -> Self {
        Self { inner: Err(why.into()) }
    }

    /// The hosts that take mail for `domain`, best first; those of equal preference in random order. Never empty.
    ///
    /// Without MX records the domain itself, if it has an address. An address literal (`[192.0.2.1]`) is its own host.
    pub async fn mx(&self, domain: &str) -> Result<Vec<Target>, DnsError> {
        if let Some(ip) = literal(domain) {
            return Ok(vec![Target { host: ip.to_string(), preference: 0 }]);
        }
        let mut targets: Vec<Target> = self
            .ask(domain, RecordType::MX)
            .await?
            .into_iter()
            .filter_map(|data| match data {
                RData::MX(mx) => Some(Target { host: plain(&mx.exchange), preference: mx.preference }),
                _ => None,
            })
            .collect();
        if targets.is_empty() {
            self.addresses(&absolute(domain)).await?;
            return Ok(vec![Target { host: domain.to_ascii_lowercase(), preference: 0 }]);
        }
        targets.retain(|target| !target.host.is_empty());
        if targets.is_empty() {
            return Err(DnsError::NullMx(domain.to_owned()));
        }
        // Every hasher starts from a random key: that spreads the load over hosts of one preference (RFC 5321 section 5.1).
        let chance = std::collections::hash_map::RandomState::new();
        targets.sort_by_cached_key(|target| (target.preference, std::hash::BuildHasher::hash_one(&chance, &target.host)));
        targets.truncate(MAX_TARGETS);
        Ok(targets)
    }

    /// The addresses of a host, IPv4 first. Never empty. A name without a dot is looked up in the machine's search domains.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, DnsError> {
        if let Ok(ip) = host.parse() {
            return Ok(vec![ip]);
        }
        let (four, six) = tokio::join!(self.ask(host, RecordType::A), self.ask(host, RecordType::AAAA));
        let found: Vec<IpAddr> = [&four, &six]
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|data| match data {
                RData::A(a) => Some(IpAddr::V4(a.0)),
                RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                _ => None,
            })
            .take(MAX_ADDRESSES)
            .collect();
        if !found.is_empty() {
            return Ok(found);
        }
        // A temporary failure of either outweighs the other's "no": there may be an address yet.
        match (four, six) {
            (Err(error), _) | (_, Err(error)) if error.is_temporary() => Err(error),
            (Err(error), Ok(_)) | (Ok(_), Err(error)) | (Err(_), Err(error)) => Err(error),
            (Ok(_), Ok(_)) => Err(DnsError::NoHost(host.trim_end_matches('.').to_owned())),
        }
    }

    /// The records of one type; empty where the name exists without any.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, DnsError> {
        let shown = || name.trim_end_matches('.').to_owned();
        let temporary = |what: String| DnsError::Temporary { name: shown(), what };
        let resolver = self.inner.as_ref().map_err(|why| temporary(why.clone()))?;
        let query = Name::from_utf8(absolute(name)).map_err(|_| DnsError::NotAName(shown()))?;
        match resolver.lookup(query, kind).await {
            Ok(lookup) => {
                Ok(lookup.answers().iter().filter(|record| record.record_type() == kind).map(|record| record.data.clone()).collect())
            }
            Err(error) if error.is_nx_domain() => Err(DnsError::NoSuchDomain(shown())),
            Err(error) if error.is_no_records_found() => Ok(Vec::new()),
            Err(NetError::Timeout) => Err(temporary("the name servers did not answer in time".into())),
            Err(error) => Err(temporary(error.to_string())),
        }
    }
}

/// A name with a dot in it is taken as complete; a single word may be one of the local domain.
fn absolute(name: &str) -> String {
    if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() }
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

/// The address in `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
fn literal(domain: &str) -> Option<IpAddr> {
    let inner = domain.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("ipv6:") => inner.get(5..)?.parse().ok(),
        _ => inner.parse().ok(),
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .collect();
    NameServerConfig::new(address.ip(), true, connections)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use tokio::net::UdpSocket;

    /// One record of the zone below: name, type, data (an address, or `preference host`).
    pub type Row = (&'static str, &'static str, &'static str);

    fn name_bytes(name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        for label in name.split('.').filter(|label| !label.is_empty()) {
            out.push(u8::try_from(label.len()).unwrap());
            out.extend_from_slice(label.as_bytes());
        }
        out.push(0);
        out
    }

    fn data(kind: &str, text: &str) -> (u16, Vec<u8>) {
        match kind {
            "A" => (1, text.parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec()),
            "AAAA" => (28, text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()),
            "MX" => {
                let (preference, host) = text.split_once(' ').unwrap();
                let mut out = preference.parse::<u16>().unwrap().to_be_bytes().to_vec();
                out.extend(name_bytes(host));
                (15, out)
            }
            "CNAME" => (5, name_bytes(text)),
            other => panic!("{other}"),
        }
    }

    /// The answer of a small authoritative server; `None` for names under `silent.example`, to which it does not answer.
    fn answer(zone: &[Row], query: &[u8]) -> Option<Vec<u8>> {
        let mut labels = Vec::new();
        let mut at = 12;
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
            at = end;
        }
        let question = &query[12..at + 5];
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let name = labels.join(".");
        if name.ends_with("silent.example") {
            return None;
        }
        let failing = name.ends_with("broken.example");
        // An alias is answered as it is, without what it points to: the resolver has to go on from there.
        let known: Vec<&Row> = zone.iter().filter(|row| row.0 == name).collect();
        let alias = known.iter().any(|row| row.1 == "CNAME");
        let answers: Vec<(u16, Vec<u8>)> = known.iter().map(|row| data(row.1, row.2)).filter(|(k, _)| *k == kind || alias).collect();
        let code = if failing {
            2
        } else if known.is_empty() {
            3
        } else {
            0
        };
        let mut out = query[..2].to_vec();
        out.extend([0x85, 0x80 | code, 0, 1, 0, u8::try_from(answers.len()).unwrap(), 0, u8::from(answers.is_empty() && !failing), 0, 0]);
        out.extend(question);
        for (kind, data) in &answers {
            out.extend([0xc0, 12]);
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 60]);
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(data);
        }
        if answers.is_empty() && !failing {
            // A negative answer bears the zone's SOA (RFC 2308).
            let soa = [name_bytes("ns.example"), name_bytes("hostmaster.example"), [0, 0, 0, 60].repeat(5)].concat();
            out.extend(name_bytes("example"));
            out.extend([0, 6, 0, 1, 0, 0, 0, 60]);
            out.extend(u16::try_from(soa.len()).unwrap().to_be_bytes());
            out.extend(soa);
        }
        Some(out)
    }

    /// A name server on loopback that knows `zone` and nothing else.
    pub async fn serve(zone: Vec<Row>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0u8; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                if let Some(answer) = answer(&zone, &buffer[..length]) {
                    let _ = socket.send_to(&answer, peer).await;
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn mail_hosts_and_addresses() {
        let server = serve(vec![
            ("two.example", "MX", "20 b.two.example"),
            ("two.example", "MX", "10 a.two.example"),
            ("a.two.example", "A", "127.0.0.2"),
            ("a.two.example", "AAAA", "::1"),
            ("null.example", "MX", "0 ."),
            ("alone.example", "A", "127.0.0.3"),
            ("empty.example", "MX", "10 gone.empty.example"),
            ("nothing.example", "AAAA", "::2"),
            ("xn--mnchen-3ya.example", "MX", "5 mail.example"),
            ("alias.example", "CNAME", "two.example"),
            ("host.example", "CNAME", "alone.example"),
        ])
        .await;
        let resolver = Resolver::new(&[server]).unwrap();
        let mx = async |domain: &str| {
            resolver.mx(domain).await.map(|found| found.into_iter().map(|t| (t.preference, t.host)).collect::<Vec<_>>())
        };
        assert_eq!(mx("two.example").await, Ok(vec![(10, "a.two.example".into()), (20, "b.two.example".into())]));
        assert_eq!(mx("Two.Example").await.map(|found| found.len()), Ok(2));
        assert_eq!(mx("null.example").await, Err(DnsError::NullMx("null.example".into())));
        assert_eq!(mx("alone.example").await, Ok(vec![(0, "alone.example".into())]));
        assert_eq!(mx("nothing.example").await, Ok(vec![(0, "nothing.example".into())]));
        assert_eq!(mx("absent.example").await, Err(DnsError::NoSuchDomain("absent.example".into())));
        assert_eq!(mx("münchen.example").await, Ok(vec![(5, "mail.example".into())]));
        assert_eq!(mx("alias.example").await.map(|found| found.len()), Ok(2));
        assert_eq!(resolver.addresses("host.example").await, Ok(vec!["127.0.0.3".parse().unwrap()]));
        assert_eq!(mx("[192.0.2.7]").await, Ok(vec![(0, "192.0.2.7".into())]));
        assert_eq!(mx("[IPv6:2001:db8::1]").await, Ok(vec![(0, "2001:db8::1".into())]));
        assert!(mx("mail.broken.example").await.unwrap_err().is_temporary());

        assert_eq!(resolver.addresses("a.two.example").await, Ok(vec!["127.0.0.2".parse().unwrap(), "::1".parse().unwrap()]));
        assert_eq!(resolver.addresses("gone.empty.example").await, Err(DnsError::NoSuchDomain("gone.empty.example".into())));
        assert_eq!(resolver.addresses("null.example").await, Err(DnsError::NoHost("null.example".into())));
        assert_eq!(resolver.addresses("::1").await, Ok(vec!["::1".parse().unwrap()]));
    }

    #[tokio::test]
    async fn without_name_servers() {
        let resolver = Resolver::without("no name servers");
        assert!(matches!(resolver.mx("a.example").await, Err(DnsError::Temporary { what, .. }) if what == "no name servers"));
        assert_eq!(resolver.addresses("127.0.0.1").await, Ok(vec!["127.0.0.1".parse().unwrap()]));
    }
}
