//! Hand over: one message to the next hops of all its recipients, side by side, following `unknown_user` from route to route.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::Pipeline;
use super::accept::Case;
use crate::deliver::{Job, Patience};
use crate::mail::route::Lookup;
use crate::mail::{Address, Body, Entry, Event, Outcome, ReversePath, Route};
use crate::rewrite;

/// What goes over the wire, whoever gets it.
pub(super) struct Letter {
    sender: ReversePath,
    body: Body,
    smtputf8: bool,
    data: Vec<Bytes>,
}

impl Letter {
    pub(super) fn of_case(case: &Case, trace: &str, hostname: &str) -> Self {
        let envelope = &case.incoming.envelope;
        let data = rewrite::outgoing(trace, &case.incoming.raw, hostname).slices;
        Self { sender: envelope.sender.clone(), body: envelope.body, smtputf8: envelope.smtputf8, data }
    }

    pub(super) fn of_entry(entry: &Entry, raw: &Bytes, hostname: &str) -> Self {
        let data = rewrite::outgoing(&entry.trace, raw, hostname).slices;
        Self { sender: entry.sender.clone(), body: entry.body, smtputf8: entry.smtputf8, data }
    }
}

/// What became of one recipient, and on which route.
#[derive(Debug, Clone)]
pub(super) struct Handed {
    pub(super) address: Address,
    pub(super) route: Arc<str>,
    pub(super) outcome: Outcome,
}

impl Handed {
    pub(super) fn event(&self, cut_through: bool) -> Event {
        let (recipient, route) = (self.address.clone(), self.route.to_string());
        Event::Attempted { recipient, route, outcome: self.outcome.clone(), cut_through }
    }
}

impl Pipeline {
    /// One outcome per recipient, in order.
    pub(super) async fn hand_over(&self, letter: &Letter, recipients: Vec<(Address, Arc<str>)>, patience: Patience) -> Vec<Handed> {
        let mut done: Vec<Option<Handed>> = vec![None; recipients.len()];
        let mut pending: Vec<(usize, Address, Arc<str>)> =
            recipients.into_iter().enumerate().map(|(place, (address, route))| (place, address, route)).collect();
        // Each round follows `unknown_user` once; there are no more rounds than routes, so a circle ends.
        let mut rounds = self.parts.routes.iter().count();
        while !pending.is_empty() {
            rounds = rounds.saturating_sub(1);
            let mut again = Vec::new();
            for (place, handed) in self.hand_over_once(letter, std::mem::take(&mut pending), patience).await {
                match self.fall_through(&handed) {
                    Some(next) if rounds > 0 => again.push((place, handed.address, next)),
                    _ => done[place] = Some(handed),
                }
            }
            pending = again;
        }
        done.into_iter().flatten().collect()
    }

    async fn hand_over_once(
        &self,
        letter: &Letter,
        recipients: Vec<(usize, Address, Arc<str>)>,
        patience: Patience,
    ) -> Vec<(usize, Handed)> {
        let mut by_route: BTreeMap<Arc<str>, Vec<(usize, Address)>> = BTreeMap::new();
        for (place, address, route) in recipients {
            by_route.entry(route).or_default().push((place, address));
        }
        let deliveries = by_route.into_iter().map(|(name, group)| async move {
            let (places, addresses): (Vec<usize>, Vec<Address>) = group.into_iter().unzip();
            let outcomes = match self.route(&name, addresses.first()) {
                Some(route) => self.parts.courier.deliver(letter.to(route, addresses.clone(), patience)).await,
                None => addresses.iter().map(|_| no_route(&name)).collect(),
            };
            let handed =
                addresses.into_iter().zip(outcomes).map(move |(address, outcome)| Handed { address, route: name.clone(), outcome });
            places.into_iter().zip(handed).collect::<Vec<_>>()
        });
        join_all(deliveries).await.into_iter().flatten().collect()
    }

    /// The route of this name, or (the configuration has changed since) the one that takes the address today.
    fn route(&self, name: &str, address: Option<&Address>) -> Option<Arc<Route>> {
        let today = || match self.parts.routes.lookup(address?) {
            Lookup::Found(name) => self.parts.routes.get(&name),
            Lookup::NoSuchUser | Lookup::NoRoute => None,
        };
        self.parts.routes.get(name).or_else(today).cloned()
    }

    fn fall_through(&self, handed: &Handed) -> Option<Arc<str>> {
        if !handed.outcome.is_unknown_user() {
            return None;
        }
        self.parts.routes.get(&handed.route)?.unknown_user.clone()
    }
}

impl Letter {
    fn to(&self, route: Arc<Route>, recipients: Vec<Address>, patience: Patience) -> Job {
        let (sender, data) = (self.sender.clone(), self.data.clone());
        Job { route, sender, recipients, body: self.body, smtputf8: self.smtputf8, data, patience }
    }
}

fn no_route(name: &str) -> Outcome {
    Outcome::Deferred { hop: None, reply: None, why: format!("there is no route {name:?} any more, and no other takes the domain") }
}
