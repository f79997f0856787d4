//! Who may send where: the one place that decides whether a recipient is taken.
//!
//! An inbound listener takes recipients in our domains and nothing else. An outbound one takes whatever has a route, since
//! only our own servers reach it. A recipient in our domains whose local part could send the mail on from there
//! (`user%elsewhere`, `elsewhere!user`, `"user@elsewhere"`) is refused on both, as is every source route.

use std::sync::Arc;

use crate::mail::route::Lookup;
use crate::mail::{Address, Recipient, Routes};
use crate::smtp::path::ForwardPath;
use crate::smtp::{Reply, replies};

/// Why a recipient is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not ours, and not from a client of ours; or a way to reach others through us.
    Relay,
    /// A source route.
    SourceRoute,
    /// The domain is ours, the user is on no list.
    NoSuchUser,
    /// No route takes the domain.
    NoRoute(Address),
}

impl Refusal {
    /// What the client hears.
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::Relay => replies::relaying_denied(),
            Self::SourceRoute => replies::source_route(),
            Self::NoSuchUser => replies::no_such_user(),
            Self::NoRoute(address) => replies::no_route(address),
        }
    }

    /// One word, for metrics.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::SourceRoute => "source_route",
            Self::NoSuchUser => "no_such_user",
            Self::NoRoute(_) => "no_route",
        }
    }
}

/// Decides on one recipient. `inbound`: the listener's direction; `hostname`: our name.
pub(super) fn decide(routes: &Routes, inbound: bool, hostname: &str, path: &ForwardPath) -> Result<Recipient, Refusal> {
    let address = match path {
        ForwardPath::SourceRouted(_) => return Err(Refusal::SourceRoute),
        ForwardPath::Postmaster => postmaster(routes, hostname).ok_or(Refusal::NoSuchUser)?,
        // Our notifications come from mailer-daemon@hostname: who answers them, or writes to our postmaster, reaches ours.
        ForwardPath::Mailbox(address) if is_our_desk(routes, hostname, address) => {
            postmaster(routes, hostname).ok_or(Refusal::NoSuchUser)?
        }
        ForwardPath::Mailbox(address) => address.clone(),
    };
    let domain = address.domain_key();
    let ours = routes.is_ours(&domain);
    if ours && address.local().contains(['%', '!', '@']) {
        return Err(Refusal::Relay);
    }
    let route = match routes.lookup(&address) {
        // `*` on a route that is not outbound does not make the whole world ours.
        Lookup::Found(route) if !inbound || ours && routes.get(&route).is_some_and(|route| !route.outbound) => route,
        Lookup::Found(_) => return Err(Refusal::Relay),
        Lookup::NoSuchUser if address.local().eq_ignore_ascii_case("postmaster") => {
            own_route(routes, &domain).ok_or(Refusal::NoSuchUser)?
        }
        Lookup::NoSuchUser => return Err(Refusal::NoSuchUser),
        Lookup::NoRoute if inbound => return Err(Refusal::Relay),
        Lookup::NoRoute => return Err(Refusal::NoRoute(address)),
    };
    Ok(Recipient { direction: routes.direction(inbound, &route), address, route, dsn: Default::default() })
}

/// Postmaster or mailer-daemon at our own name, where no route takes mail for that.
fn is_our_desk(routes: &Routes, hostname: &str, address: &Address) -> bool {
    let desk = ["postmaster", "mailer-daemon"].iter().any(|desk| address.local().eq_ignore_ascii_case(desk));
    desk && address.domain_key() == hostname.to_lowercase() && !routes.is_ours(&address.domain_key())
}

/// Where `<postmaster>` goes: to the domain of ours that our own name lies in, else to the first in alphabetical order.
fn postmaster(routes: &Routes, hostname: &str) -> Option<Address> {
    let hostname = hostname.to_lowercase();
    let own = || own_domains(routes).map(|(domain, _)| domain);
    let around = |domain: &&str| hostname.strip_suffix(*domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    let domain = own().filter(around).max_by_key(|domain| domain.len()).or_else(|| own().min()).unwrap_or(&hostname);
    format!("postmaster@{domain}").parse().ok()
}

/// The route that names `domain` as ours: postmaster is taken there even where a list does not have it (RFC 5321 section 4.5.1).
fn own_route(routes: &Routes, domain: &str) -> Option<Arc<str>> {
    own_domains(routes).filter(|(own, _)| *own == domain).map(|(_, route)| route).min().cloned()
}

fn own_domains(routes: &Routes) -> impl Iterator<Item = (&str, &Arc<str>)> {
    let own = routes.iter().filter(|route| !route.outbound);
    own.flat_map(|route| route.domains.iter().filter(|domain| *domain != "*").map(|domain| (domain.as_str(), &route.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::{Delivery, Direction, NextHop, Profile, Route};
    use crate::smtp::command::{Command, parse};
    use std::time::Duration;

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

    fn ask(routes: &Routes, inbound: bool, path: &str) -> Result<(String, Direction, String), Refusal> {
        let Ok(Command::Rcpt(path, _)) = parse(format!("RCPT TO:{path}").as_bytes()) else { panic!("not a path: {path}") };
        decide(routes, inbound, "mx1.ours.test", &path).map(|r| (r.address.to_string(), r.direction, r.route.to_string()))
    }

    #[test]
    fn who_may_send_where() {
        let routes = Routes::new([
            route("exchange", &["legacy.test", "a.test"], None, false),
            route("groupwise", &["ours.test"], Some(&["ann@ours.test", "bob@shared.test"]), false),
            route("internet", &["*"], None, true),
        ]);
        let ok = |address: &str, direction, route: &str| Ok((address.to_owned(), direction, route.to_owned()));
        let inside = |address: &str, route: &str| (ok(address, Direction::Inbound, route), ok(address, Direction::Internal, route));
        let outside = |address: &str| (Err(Refusal::Relay), ok(address, Direction::Outbound, "internet"));
        let never = |refusal: Refusal| (Err(refusal.clone()), Err(refusal));
        let rows = [
            ("<x@legacy.test>", inside("x@legacy.test", "exchange")),
            ("<X@LEGACY.test>", inside("X@LEGACY.test", "exchange")),
            ("<ann@ours.test>", inside("ann@ours.test", "groupwise")),
            ("<bob@shared.test>", inside("bob@shared.test", "groupwise")),
            ("<carl@ours.test>", never(Refusal::NoSuchUser)),
            ("<carl@shared.test>", never(Refusal::NoSuchUser)),
            ("<x@else.test>", outside("x@else.test")),
            ("<x@sub.legacy.test>", outside("x@sub.legacy.test")),
            ("<x@[192.0.2.1]>", outside("x@[192.0.2.1]")),
            // Ways to relay.
            ("<x%else.test@legacy.test>", never(Refusal::Relay)),
            ("<else.test!x@legacy.test>", never(Refusal::Relay)),
            ("<\"x@else.test\"@legacy.test>", never(Refusal::Relay)),
            ("<\"x\\@else.test\"@legacy.test>", never(Refusal::Relay)),
            ("<\"x%else.test\"@ours.test>", never(Refusal::Relay)),
            ("<@legacy.test:x@else.test>", never(Refusal::SourceRoute)),
            ("<@else.test:x@legacy.test>", never(Refusal::SourceRoute)),
            ("<@legacy.test,@ours.test:x@else.test>", never(Refusal::SourceRoute)),
            // From our own servers, what others do with their local parts is theirs.
            ("<x%y@else.test>", outside("x%y@else.test")),
            ("<y!x@else.test>", outside("y!x@else.test")),
            // Postmaster always gets through, list or not.
            ("<postmaster>", inside("postmaster@ours.test", "groupwise")),
            ("<POSTMASTER>", inside("postmaster@ours.test", "groupwise")),
            ("<Postmaster@ours.test>", inside("Postmaster@ours.test", "groupwise")),
            ("<postmaster@legacy.test>", inside("postmaster@legacy.test", "exchange")),
            ("<postmaster@else.test>", outside("postmaster@else.test")),
        ];
        for (path, (inbound, outbound)) in rows {
            assert_eq!(ask(&routes, true, path), inbound, "inbound {path}");
            assert_eq!(ask(&routes, false, path), outbound, "outbound {path}");
        }
    }

    #[test]
    fn a_star_that_is_not_outbound_is_no_open_relay() {
        let routes = Routes::new([route("gw", &["other.test", "b.test"], None, false), route("all", &["*"], None, false)]);
        assert_eq!(ask(&routes, true, "<x@else.test>"), Err(Refusal::Relay));
        assert!(ask(&routes, true, "<x@b.test>").is_ok());
        assert!(ask(&routes, false, "<x@else.test>").is_ok());
        assert_eq!(ask(&routes, true, "<postmaster>").unwrap().0, "postmaster@b.test", "the first in order where none fits our name");
    }

    #[test]
    fn without_routes() {
        let none = Routes::default();
        assert_eq!(ask(&none, true, "<x@else.test>"), Err(Refusal::Relay));
        assert_eq!(ask(&none, false, "<x@else.test>"), Err(Refusal::NoRoute("x@else.test".parse().unwrap())));
        assert_eq!(ask(&none, true, "<postmaster>"), Err(Refusal::Relay));
    }
}
