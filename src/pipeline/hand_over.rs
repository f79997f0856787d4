//! Hand over: one message to the next hops of all its recipients, side by side, following `unknown_user` from route to route.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::Pipeline;
use super::accept::Case;
use crate::deliver::{Job, Patience, To};
use crate::mail::dsn::{MessageRequest, RecipientRequest};
use crate::mail::route::Lookup;
use crate::mail::{Address, Body, Entry, EntryRecipient, Event, Outcome, Recipient, ReversePath, Route, Routes};
use crate::rewrite;

/// What goes over the wire, whoever gets it.
pub(super) struct Letter {
    sender: ReversePath,
    body: Body,
    smtputf8: bool,
    dsn: MessageRequest,
    data: Vec<Bytes>,
    /// Those of the set that it was judged by; `None` for those in force when it goes.
    routes: Option<Arc<Routes>>,
}

impl Letter {
    pub(super) fn of_case(case: &Case, trace: &str, hostname: &str) -> Self {
        let envelope = &case.incoming.envelope;
        let data = rewrite::outgoing(trace, &case.incoming.raw, hostname).slices;
        let (sender, dsn, routes) = (envelope.sender.clone(), envelope.dsn.clone(), Some(case.in_force.routes.clone()));
        Self { sender, body: envelope.body, smtputf8: envelope.smtputf8, dsn, data, routes }
    }

    pub(super) fn of_entry(entry: &Entry, raw: &Bytes, hostname: &str) -> Self {
        let data = rewrite::outgoing(&entry.trace, raw, hostname).slices;
        Self { sender: entry.sender.clone(), body: entry.body, smtputf8: entry.smtputf8, dsn: entry.dsn.clone(), data, routes: None }
    }
}

/// One recipient to hand over to.
#[derive(Debug, Clone)]
pub(super) struct Onward {
    pub(super) address: Address,
    pub(super) route: Arc<str>,
    pub(super) dsn: RecipientRequest,
}

impl From<&Recipient> for Onward {
    fn from(recipient: &Recipient) -> Self {
        Self { address: recipient.address.clone(), route: recipient.route.clone(), dsn: recipient.dsn.clone() }
    }
}

impl From<&EntryRecipient> for Onward {
    fn from(recipient: &EntryRecipient) -> Self {
        Self { address: recipient.address.clone(), route: recipient.route.clone(), dsn: recipient.dsn.clone() }
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
    pub(super) async fn hand_over(&self, letter: &Letter, recipients: Vec<Onward>, patience: Patience) -> Vec<Handed> {
        let mut done: Vec<Option<Handed>> = vec![None; recipients.len()];
        let mut pending: Vec<(usize, Onward)> = recipients.into_iter().enumerate().collect();
        // Each round follows `unknown_user` once; there are no more rounds than routes, so a circle ends.
        let routes = letter.routes.clone().unwrap_or_else(|| self.in_force().routes.clone());
        let mut rounds = routes.iter().count();
        while !pending.is_empty() {
            rounds = rounds.saturating_sub(1);
            let mut again = Vec::new();
            for (place, handed, dsn) in self.hand_over_once(&routes, letter, std::mem::take(&mut pending), patience).await {
                match fall_through(&routes, &handed) {
                    Some(route) if rounds > 0 => again.push((place, Onward { address: handed.address, route, dsn })),
                    _ => done[place] = Some(handed),
                }
            }
            pending = again;
        }
        done.into_iter().flatten().collect()
    }

    async fn hand_over_once(
        &self,
        routes: &Routes,
        letter: &Letter,
        recipients: Vec<(usize, Onward)>,
        patience: Patience,
    ) -> Vec<(usize, Handed, RecipientRequest)> {
        let mut by_route: BTreeMap<Arc<str>, Vec<(usize, To)>> = BTreeMap::new();
        for (place, Onward { address, route, dsn }) in recipients {
            by_route.entry(route).or_default().push((place, To { address, dsn }));
        }
        let deliveries = by_route.into_iter().map(|(name, group)| async move {
            let (places, to): (Vec<usize>, Vec<To>) = group.into_iter().unzip();
            let outcomes = match route_of(routes, &name, to.first().map(|to| &to.address)) {
                Some(route) => self.parts.courier.deliver(letter.to(route, to.clone(), patience)).await,
                None => to.iter().map(|_| no_route(&name)).collect(),
            };
            let handed = to.into_iter().zip(outcomes);
            let handed = handed.map(move |(to, outcome)| (Handed { address: to.address, route: name.clone(), outcome }, to.dsn));
            places.into_iter().zip(handed).map(|(place, (handed, dsn))| (place, handed, dsn)).collect::<Vec<_>>()
        });
        join_all(deliveries).await.into_iter().flatten().collect()
    }
}

/// The route of this name, or (the configuration has changed since) the one that takes the address today.
fn route_of(routes: &Routes, name: &str, address: Option<&Address>) -> Option<Arc<Route>> {
    let today = || match routes.lookup(address?) {
        Lookup::Found(name) => routes.get(&name),
        Lookup::NoSuchUser | Lookup::NoRoute => None,
    };
    routes.get(name).or_else(today).cloned()
}

fn fall_through(routes: &Routes, handed: &Handed) -> Option<Arc<str>> {
    if !handed.outcome.is_unknown_user() {
        return None;
    }
    routes.get(&handed.route)?.unknown_user.clone()
}

impl Letter {
    fn to(&self, route: Arc<Route>, recipients: Vec<To>, patience: Patience) -> Job {
        let (sender, data) = (self.sender.clone(), self.data.clone());
        Job { route, sender, recipients, body: self.body, smtputf8: self.smtputf8, dsn: self.dsn.clone(), data, patience }
    }
}

fn no_route(name: &str) -> Outcome {
    let why = format!("there is no route {name:?} any more, and no other takes the domain");
    Outcome::Deferred { hop: None, reply: None, why, busy: false }
}
