//! What makes a hop this one and no other: where it is, and on which terms a route uses it.

use std::fmt;

use crate::mail::route::Credentials;
use crate::mail::{Profile, Route, TlsUse};

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

/// What a route wants of its hops. Where it changes, connections and limits begin anew.
#[derive(PartialEq)]
pub(super) struct Terms {
    profile: Profile,
    connections: usize,
    rate: Option<f64>,
    pub tls: TlsUse,
    /// `tls = "off"` stands on the route itself.
    pub in_clear: bool,
    pub auth: Option<Credentials>,
}

impl Terms {
    pub fn new(route: &Route, tls: TlsUse) -> Self {
        let in_clear = route.tls == Some(TlsUse::Off);
        Self {
            profile: route.profile,
            connections: route.connections,
            rate: route.rate,
            tls: route.tls.unwrap_or(tls),
            in_clear,
            auth: route.auth.clone(),
        }
    }
}
