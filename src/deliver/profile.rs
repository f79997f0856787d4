//! Kinds of next hops: what a route gets where its settings say nothing (docs/groupwise.md and docs/exchange.md give the reasons).

use std::time::Duration;

use crate::mail::Profile;

/// What a kind of mail server bears.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// Connections to one hop at once.
    pub connections: usize,
    /// Messages per second to one hop; `None` for as fast as it takes them.
    pub rate: Option<f64>,
    /// Messages that may go at once after a pause, where there is a rate.
    pub burst: u32,
    /// Idle connections kept open to one hop; there are never more than its `connections`.
    pub idle_connections: usize,
    /// For how long they are kept.
    pub idle_time: Duration,
}

/// The defaults of a profile. Setup fills a route's `connections` and `rate` from here.
pub fn defaults(profile: Profile) -> Defaults {
    match profile {
        Profile::Generic => {
            Defaults { connections: 20, rate: None, burst: 10, idle_connections: usize::MAX, idle_time: Duration::from_secs(30) }
        }
        // Its agent counts messages from one address and refuses from the 30th within 10 seconds: 3 at once and 2.5 a second
        // are never more than 28, and one is left for what the network bunches. It has 16 receive threads, and an idle
        // connection occupies one.
        Profile::Groupwise => {
            Defaults { connections: 8, rate: Some(2.5), burst: 3, idle_connections: 2, idle_time: Duration::from_secs(10) }
        }
        // A receive connector takes 20 connections from one source: the rest is left for tests and for other senders behind our address.
        Profile::Exchange => Defaults { connections: 15, rate: None, burst: 10, idle_connections: 15, idle_time: Duration::from_secs(30) },
    }
}
