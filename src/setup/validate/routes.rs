//! The routes: names, domains, next hops, lists, and where they refer to each other.

use std::collections::{BTreeMap, HashSet};

use super::Checker;
use crate::mail::{Address, NextHop, Route, TlsUse};
use crate::setup::problem::Problem;
use crate::setup::route::{RouteDirection, RouteSettings, is_open_to_all, read_password, read_recipients};
use crate::setup::suggest::nearest;

pub fn check(checker: &mut Checker<'_>) {
    let config = checker.config;
    if config.routes.is_empty() {
        checker.error("route", "there is no route: no mail would be accepted", "[[route]] with name, domains and next_hops");
    }
    let mut domains: BTreeMap<String, usize> = BTreeMap::new();
    for (i, route) in config.routes.iter().enumerate() {
        let at = |setting: &str| format!("route[{i}].{setting}");
        name(checker, i, route);
        if route.domains.is_empty() && route.recipients.is_none() {
            checker.error(
                &at("domains"),
                format!("{} takes nobody", title(i, route)),
                "domains = [\"example.org\"], or recipients = \"users.txt\"",
            );
        }
        for (n, domain) in route.domains.iter().enumerate() {
            self::domain(checker, i, n, domain, &mut domains);
        }
        next_hops(checker, i, route);
        unknown_user(checker, i, route);
        if route.domains.iter().any(|domain| domain == "*") && route.direction != RouteDirection::Outbound {
            let what = format!("{} takes \"*\", every domain there is, as ours: an open relay", title(i, route));
            checker.error(&at("domains"), what, "direction = \"outbound\", or name your own domains");
        }
        if route.direction == RouteDirection::Outbound && route.recipients.is_some() {
            checker.error(
                &at("recipients"),
                "a list of recipients on an outbound route",
                "recipients on the route of your own mail server",
            );
        }
        limits(checker, i, route);
        log_in(checker, i, route);
        callout(checker, i, route);
    }
}

/// User name, password and encryption: a password is sent to named hosts only, and in the clear only to this machine.
fn log_in(checker: &mut Checker<'_>, i: usize, route: &RouteSettings) {
    let at = |setting: &str| format!("route[{i}].{setting}");
    let hint = "password_file = \"smart-host-password\"";
    let user = match (&route.username, &route.password_file) {
        (None, None) => return,
        (None, Some(_)) => {
            checker.error(&at("password_file"), "a password_file, but no username to log in with", "username = \"mailweir\"");
            return;
        }
        (Some(user), None) => {
            checker.error(&at("username"), "a username, but no password_file", hint);
            user
        }
        (Some(user), Some(_)) => user,
    };
    if user.is_empty() || user.contains(char::is_control) {
        checker.error(&at("username"), format!("{user:?} is no user name"), "username = \"mailweir\"");
    }
    if route.next_hops.iter().any(|hop| hop == "mx") {
        let what = format!("{} would show its password to whatever host a domain's MX names", title(i, route));
        checker.error(&at("username"), what, "next_hops = [\"smtp.provider.example:587\"]");
    }
    match route.tls.unwrap_or(checker.config.delivery.tls) {
        TlsUse::Required => {}
        TlsUse::Opportunistic => {
            let what = "the password is sent to whoever answers: with tls = \"opportunistic\" no certificate is checked";
            checker.warn(&at("username"), what, "tls = \"required\"");
        }
        TlsUse::Off if route.tls.is_some() && route.next_hops.iter().all(|hop| is_this_machine(hop)) => {}
        TlsUse::Off => {
            let what = "the password would cross the network unencrypted: tls = \"off\" with a username is for next hops on this machine";
            checker.error(&at(if route.tls.is_some() { "tls" } else { "username" }), what, "tls = \"required\"");
        }
    }
}

fn is_this_machine(hop: &str) -> bool {
    match hop.parse() {
        Ok(NextHop::Host { host, .. }) => {
            host.eq_ignore_ascii_case("localhost") || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        // What it is instead has been said.
        Ok(NextHop::Mx) | Err(_) => true,
    }
}

fn callout(checker: &mut Checker<'_>, i: usize, route: &RouteSettings) {
    if route.callout != Some(true) {
        return;
    }
    let path = format!("route[{i}].callout");
    if route.direction == RouteDirection::Outbound {
        checker.error(&path, "callout on an outbound route: servers of others are not asked about their users", "callout = false");
    } else if !route.has_named_hops() && !route.next_hops.is_empty() {
        checker.error(
            &path,
            "callout needs next hops that are named, not \"mx\"",
            "callout = false, or next_hops = [\"gwia.example.internal\"]",
        );
    }
}

/// How a message calls a route.
fn title(i: usize, route: &RouteSettings) -> String {
    if route.name.is_empty() { format!("route {}", i + 1) } else { format!("route \"{}\"", route.name) }
}

fn name(checker: &mut Checker<'_>, i: usize, route: &RouteSettings) {
    let path = format!("route[{i}].name");
    if route.name.is_empty() {
        checker.error(&path, format!("route {} has no name", i + 1), "name = \"groupwise\"");
    } else if !route.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        let what =
            format!("route name \"{}\": letters, digits, - _ . only, because it stands in metrics and on the command line", route.name);
        checker.error(&path, what, "name = \"groupwise\"");
    } else if let Some(first) = checker.config.routes.iter().take(i).position(|other| other.name == route.name) {
        let line = checker.line_of(&format!("route[{first}].name"));
        checker.error(&path, format!("there is a route \"{}\" already{line}", route.name), "another name");
    }
}

fn domain(checker: &mut Checker<'_>, i: usize, n: usize, domain: &str, seen: &mut BTreeMap<String, usize>) {
    let path = format!("route[{i}].domains[{n}]");
    if domain != "*" && format!("x@{domain}").parse::<Address>().is_err() {
        let bare = domain.trim_start_matches(['*', '.', '@', ' ']).trim_end_matches(['.', ' ']);
        let hint = if format!("x@{bare}").parse::<Address>().is_ok() { format!("\"{bare}\"") } else { "\"example.org\"".to_owned() };
        let why = if domain.starts_with("*.") { ": sub-domains are named one by one" } else { "" };
        checker.error(&path, format!("\"{domain}\" is not a domain{why}"), hint);
        return;
    }
    match seen.get(&domain.to_lowercase()) {
        Some(first) => {
            let other = checker.config.routes.get(*first).map_or(String::new(), |route| title(*first, route));
            let line = checker.line_of(&format!("route[{first}].domains"));
            let what = format!("domain \"{domain}\" has {} already{line}", if *first == i { "this route" } else { &other });
            checker.error(
                &path,
                what,
                "do: name it on one route only; for a few users of it elsewhere, give that route recipients = \"users.txt\"",
            );
        }
        None => {
            seen.insert(domain.to_lowercase(), i);
        }
    }
}

fn next_hops(checker: &mut Checker<'_>, i: usize, route: &RouteSettings) {
    if route.next_hops.is_empty() {
        let what = format!("{} has no next hop", title(i, route));
        checker.error(&format!("route[{i}].next_hops"), what, "next_hops = [\"gwia.example.internal:25\"]");
    }
    for (n, hop) in route.next_hops.iter().enumerate() {
        let path = format!("route[{i}].next_hops[{n}]");
        match hop.parse::<NextHop>() {
            Err(error) => {
                let (what, hint) = error.split_once("; write ").unwrap_or((&error, "\"host:port\""));
                checker.error(&path, what.to_owned(), hint.to_owned());
            }
            Ok(NextHop::Mx) if route.direction == RouteDirection::Inbound => {
                let what = format!(
                    "{} hands our own mail to the MX of its domain, which may well be this gateway: mail would loop",
                    title(i, route)
                );
                checker.warn(&path, what, "the mail server's own name, such as \"gwia.example.internal:25\"");
            }
            Ok(_) => {}
        }
        if route.next_hops.iter().take(n).any(|other| other == hop) {
            checker.warn(&path, format!("next hop \"{hop}\" stands there twice"), "do: take one of them out");
        }
    }
}

fn unknown_user(checker: &mut Checker<'_>, i: usize, route: &RouteSettings) {
    let Some(next) = route.unknown_user.as_deref() else { return };
    let path = format!("route[{i}].unknown_user");
    let by_name = |name: &str| checker.config.routes.iter().find(|other| other.name == name);
    let Some(other) = by_name(next) else {
        let names: Vec<&str> = checker.config.routes.iter().map(|other| other.name.as_str()).filter(|name| !name.is_empty()).collect();
        let guess = nearest(next, names.iter().copied()).map(|name| format!("; did you mean \"{name}\"?")).unwrap_or_default();
        checker.error(&path, format!("there is no route \"{next}\"{guess}"), format!("one of: {}", names.join(", ")));
        return;
    };
    if other.direction == RouteDirection::Outbound {
        let what = format!("unknown users would go out again over \"{next}\", an outbound route");
        checker.error(&path, what, "the name of a route to one of your own mail servers");
        return;
    }
    let mut way = vec![route.name.as_str()];
    let mut at = Some(next);
    while let Some(name) = at {
        if way.contains(&name) {
            // Each circle is told once, at its first route in the file.
            let circle: Vec<&str> = way.iter().skip_while(|step| **step != name).copied().collect();
            let first = checker.config.routes.iter().find(|other| circle.contains(&other.name.as_str()));
            if first.is_some_and(|first| first.name == route.name) {
                let what = format!("unknown users go in a circle: {} → {name}", circle.join(" → "));
                checker.error(&path, what, "do: take unknown_user out of one of these routes");
            }
            return;
        }
        way.push(name);
        at = by_name(name).and_then(|route| route.unknown_user.as_deref());
    }
}

fn limits(checker: &mut Checker<'_>, i: usize, route: &RouteSettings) {
    let at = |setting: &str| format!("route[{i}].{setting}");
    if route.retry.is_empty() {
        checker.error(&at("retry"), "retry is empty: when would a delivery be tried again?", "retry = [\"1m\", \"5m\", \"15m\", \"1h\"]");
    }
    for (n, _) in route.retry.iter().enumerate().filter(|(_, period)| period.0.as_secs() == 0) {
        checker.error(&format!("route[{i}].retry[{n}]"), "a wait of less than a second would only load the next hop", "\"1m\"");
    }
    if route.retry.first().is_some_and(|first| route.expire <= *first) {
        let what = format!("mail is given up after {}, before the first new attempt", route.expire);
        checker.error(&at("expire"), what, "expire = \"5d\"");
    }
    let written = checker.places.contains_key(&at("warn_after"));
    if written && !route.warn_after.0.is_zero() && route.warn_after >= route.expire {
        let what = format!("nobody is warned: mail is given up after {}, before {}", route.expire, route.warn_after);
        checker.warn(&at("warn_after"), what, "warn_after = \"4h\", or \"0s\" for never");
    }
    if route.connections == Some(0) {
        checker.error(&at("connections"), "connections = 0 delivers nothing", "connections = 10, or leave it out");
    }
    if route.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
        checker.error(&at("rate"), "a rate must be greater than 0", "rate = 3.0 (messages a second), or leave it out");
    }
}

/// The routes ready to use, with their list files read; notes what is wrong with those.
pub fn build(checker: &mut Checker<'_>) -> Vec<Route> {
    let mut owners: BTreeMap<String, String> = BTreeMap::new();
    let mut built = Vec::new();
    for (i, route) in checker.config.routes.iter().enumerate() {
        let recipients = route.recipients.as_ref().map(|list| {
            let path = checker.resolve(list);
            match read_recipients(&path) {
                Ok((addresses, problems)) => {
                    if addresses.is_empty() && problems.is_empty() {
                        let what = format!("{} is empty: nobody exists on {}", path.display(), title(i, route));
                        checker.warn(&format!("route[{i}].recipients"), what, "do: write one address a line into it");
                    }
                    checker.problems.extend(problems);
                    addresses
                }
                Err(error) => {
                    let what = format!("cannot read the list of recipients {}: {error}", path.display());
                    checker.error(
                        &format!("route[{i}].recipients"),
                        what,
                        "do: name a file with one address a line that the gateway's user may read",
                    );
                    HashSet::new()
                }
            }
        });
        shared(checker, i, route, recipients.as_ref(), &mut owners);
        built.push(route.build(recipients, password(checker, i, route)));
    }
    built
}

/// The password of a route that logs in; notes what is wrong with its file.
fn password(checker: &mut Checker<'_>, i: usize, route: &RouteSettings) -> Option<String> {
    let file = route.password_file.as_ref().filter(|_| route.username.is_some())?;
    let (file, setting) = (checker.resolve(file), format!("route[{i}].password_file"));
    match read_password(&file) {
        Ok(password) => {
            if is_open_to_all(&file) {
                let what = format!("everybody on this machine may read {}", file.display());
                checker.warn(&setting, what, "do: chmod 640 it, with the gateway's group");
            }
            Some(password)
        }
        Err(what) => {
            checker.error(&setting, what, "do: write the password into it, one line, for the gateway's user to read");
            None
        }
    }
}

/// Warns of addresses that two lists have; the first route has them.
fn shared(
    checker: &mut Checker<'_>,
    i: usize,
    route: &RouteSettings,
    list: Option<&HashSet<String>>,
    owners: &mut BTreeMap<String, String>,
) {
    let mut twice: Vec<(&String, String)> = Vec::new();
    for address in list.into_iter().flatten() {
        match owners.get(address) {
            Some(owner) => twice.push((address, owner.clone())),
            None => {
                owners.insert(address.clone(), route.name.clone());
            }
        }
    }
    twice.sort();
    if let Some((address, owner)) = twice.first() {
        let what = format!("{} addresses stand on two lists, {address} on that of \"{owner}\" too, which has it", twice.len());
        checker.at(&format!("route[{i}].recipients"), Problem::warning(what, "do: keep each address on one list"));
    }
}
