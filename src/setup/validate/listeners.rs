//! The listeners and the limits of what comes in over them.

use std::path::Path;

use super::Checker;
use crate::gateway::{ListenerDirection, ListenerSettings, TlsUse};
use crate::net::{ServerTls, TlsError};
use crate::setup::problem::Problem;
use crate::setup::route::RouteDirection;

pub fn check(checker: &mut Checker<'_>) {
    let config = checker.config;
    if config.listeners.is_empty() {
        checker.error("listener", "there is no listener: no mail could come in", "[[listener]] with name, address and direction");
    }
    for (i, listener) in config.listeners.iter().enumerate() {
        for problem in listener.problems() {
            checker.at(&format!("listener[{i}].{}", problem.key), Problem::said(problem.what, &problem.hint));
        }
        twice(checker, i, listener);
        let at = |setting: &str| format!("listener[{i}].{setting}");
        for (n, network) in listener.clients.iter().map(ToString::to_string).enumerate() {
            if ["0.0.0.0/0", "::/0"].contains(&network.as_str()) {
                let what = format!("{network} is everybody: an open relay");
                checker.error(&at(&format!("clients[{n}]")), what, "the addresses of your own mail servers, such as \"10.0.0.20\"");
            }
        }
        if listener.direction == ListenerDirection::Inbound && listener.tls == TlsUse::Require {
            let what =
                "tls = \"require\" keeps out all senders without TLS, which a listener for the internet must not (RFC 3207 section 4)";
            checker.warn(&at("tls"), what, "tls = \"offer\"");
        }
        certificate(checker, i, listener);
    }
    for problem in config.limits.problems() {
        checker.at(&format!("limits.{}", problem.key), Problem::said(problem.what, &problem.hint));
    }
    ways(checker);
}

/// Names and addresses that an earlier listener has.
fn twice(checker: &mut Checker<'_>, i: usize, listener: &ListenerSettings) {
    let earlier: Vec<&ListenerSettings> = checker.config.listeners.iter().take(i).collect();
    if let Some(first) = earlier.iter().position(|other| other.name == listener.name && !listener.name.is_empty()) {
        let line = checker.line_of(&format!("listener[{first}].name"));
        checker.error(&format!("listener[{i}].name"), format!("there is a listener \"{}\" already{line}", listener.name), "another name");
    }
    let same = |other: &&ListenerSettings| other.address == listener.address && listener.address.port() != 0;
    if let Some(first) = earlier.iter().position(same) {
        let line = checker.line_of(&format!("listener[{first}].address"));
        let what = format!(
            "listener \"{}\" has the address {} already{line}",
            earlier.get(first).map_or("", |other| &other.name),
            listener.address
        );
        checker.error(&format!("listener[{i}].address"), what, "another address or port");
    }
}

/// Reads the certificate and its key, where both are named.
fn certificate(checker: &mut Checker<'_>, i: usize, listener: &ListenerSettings) {
    let (Some(certificate), Some(key)) = (&listener.tls_certificate, &listener.tls_key) else { return };
    let (certificate, key) = (checker.resolve(certificate), checker.resolve(key));
    if let Err(error) = ServerTls::load(&certificate, &key) {
        let is_key = |path: &Path| path == key && key != certificate;
        let setting = match &error {
            TlsError::Unreadable { path, .. } | TlsError::NotPem { path, .. } if is_key(path) => "tls_key",
            _ => "tls_certificate",
        };
        checker.at(&format!("listener[{i}].{setting}"), Problem::from_text(&error.to_string()));
    }
}

/// Whether what comes in over the listeners has somewhere to go.
fn ways(checker: &mut Checker<'_>) {
    let config = checker.config;
    let goes = |direction| config.routes.iter().any(|route| route.direction == direction);
    if config.routes.is_empty() {
        return;
    }
    for (i, listener) in config.listeners.iter().enumerate() {
        let path = format!("listener[{i}].direction");
        if listener.direction == ListenerDirection::Inbound && !goes(RouteDirection::Inbound) {
            let what = format!("listener \"{}\" takes mail for our domains, but no route has any", listener.name);
            checker.error(&path, what, "[[route]] with domains = [\"example.org\"] and the next_hops of your mail server");
        }
        if listener.direction == ListenerDirection::Outbound && !goes(RouteDirection::Outbound) {
            let what =
                format!("listener \"{}\" takes mail to anybody, but no route leads outside: only internal mail will pass", listener.name);
            checker.warn(&path, what, "[[route]] with domains = [\"*\"], next_hops = [\"mx\"] and direction = \"outbound\"");
        }
    }
}
