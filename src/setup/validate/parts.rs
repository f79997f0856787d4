//! The settings of checks, store and delivery: what each part says of its own, put at its place.

use super::Checker;
use crate::admin::token::Tokens;
use crate::inspect::Check;
use crate::mail::Disposition;
use crate::net::ClientTls;
use crate::setup::problem::Problem;
use crate::store::StoreError;

pub fn check(checker: &mut Checker<'_>) {
    inspect(checker);
    antivirus(checker);
    store(checker);
    delivery(checker);
    admin(checker);
}

fn inspect(checker: &mut Checker<'_>) {
    let inspect = &checker.config.inspect;
    let all = "checks = [\"heuristics\", \"content\", \"antivirus\"]";
    if inspect.checks.is_empty() {
        checker.warn("inspect.checks", "NOTHING IS CHECKED: with checks = [] this is a bare relay, and viruses pass", all);
    } else if !inspect.checks.contains(&Check::Antivirus) {
        checker.warn("inspect.checks", "VIRUSES PASS: \"antivirus\" is not among the checks", all);
    }
    if inspect.scan_time.0.is_zero() {
        checker.error("inspect.scan_time", "scan_time is no time at all", "scan_time = \"60s\"");
    }
    let content = &checker.config.content;
    let least = [("depth", content.depth.into()), ("parts", content.parts), ("header_fields", content.header_fields)];
    for (key, _) in least.into_iter().filter(|(_, value)| *value == 0) {
        checker.error(
            &format!("content.{key}"),
            format!("{key} = 0 lets no message be taken apart"),
            "do: remove the line for the default",
        );
    }
}

fn antivirus(checker: &mut Checker<'_>) {
    let settings = &checker.config.antivirus;
    if !checker.config.inspect.checks.contains(&Check::Antivirus) {
        return;
    }
    if settings.on_unavailable == Disposition::Deliver {
        let what = "MAIL PASSES UNSCANNED while the virus engine is down: on_unavailable = \"deliver\"";
        checker.warn("antivirus.on_unavailable", what, "on_unavailable = \"defer\"");
    }
    for error in settings.problems() {
        // Of a list, the element that the message quotes.
        let element = settings.engines.iter().position(|engine| error.what.contains(&format!("{engine:?}")));
        let path = match element {
            Some(i) if error.key == "engines" => format!("antivirus.engines[{i}]"),
            _ => format!("antivirus.{}", error.key),
        };
        let what = if element.is_some() { error.what } else { format!("{}: {}", error.key, error.what) };
        checker.at(&path, Problem::said(what, &error.hint));
    }
}

fn store(checker: &mut Checker<'_>) {
    let config = checker.config;
    if let Err(error) = config.quarantine.validate() {
        checker.at("quarantine.store", of_table(&error));
    }
    if let Err(error) = config.journal.validate() {
        let mut problem = of_table(&error);
        if problem.hint.is_empty() {
            problem.hint = "do: remove the line for the default".to_owned();
        }
        let key = problem.what.split(' ').next().unwrap_or_default().to_owned();
        checker.at(&format!("journal.{key}"), problem);
    }
    if config.quarantine.keep.0.is_zero() {
        checker.error("quarantine.keep", "keep = 0 expires held mail at once", "keep = \"30d\"");
    }
}

/// An error that names its table, as a problem that stands there anyway.
fn of_table(error: &StoreError) -> Problem {
    let text = error.to_string();
    Problem::from_text(text.split_once("] ").map_or(text.as_str(), |(_, rest)| rest))
}

fn admin(checker: &mut Checker<'_>) {
    let admin = &checker.config.admin;
    if admin.socket.as_os_str().is_empty() {
        checker.error("admin.socket", "socket is empty", "socket = \"/run/mailweir/admin.sock\"");
    }
    if let Some(http) = admin.http.filter(|http| !http.ip().is_loopback()) {
        let hint = "http = \"127.0.0.1:8025\", and reach it through ssh or a proxy with TLS";
        match &admin.token_file {
            None => checker.error("admin.http", format!("http = \"{http}\" is not on loopback, and there is no token_file"), hint),
            Some(_) => {
                checker.warn("admin.http", format!("http = \"{http}\" is not on loopback: tokens cross the network unencrypted"), hint)
            }
        }
    }
    if let Some(file) = &admin.token_file {
        match admin.http {
            None => checker.warn("admin.token_file", "token_file without http is not used", "http = \"127.0.0.1:8025\""),
            Some(_) => {
                if let Err(error) = Tokens::load(&checker.resolve(file)) {
                    checker.at("admin.token_file", Problem::from_text(&error.to_string()));
                }
            }
        }
    }
    addresses(checker);
}

/// Two sockets on one address.
fn addresses(checker: &mut Checker<'_>) {
    let config = checker.config;
    let listeners = config.listeners.iter().enumerate().map(|(i, listener)| (format!("listener[{i}].address"), listener.address));
    let people = [("admin.http", config.admin.http), ("admin.metrics", config.admin.metrics)];
    let people = people.into_iter().filter_map(|(path, address)| Some((path.to_owned(), address?)));
    let mut seen: Vec<(String, std::net::SocketAddr)> = Vec::new();
    for (path, address) in listeners.chain(people) {
        let taken = seen.iter().find(|(_, other)| *other == address && address.port() != 0);
        if let Some((other, _)) = taken.filter(|_| path.starts_with("admin")) {
            let line = checker.line_of(other);
            checker.error(&path, format!("{address} is taken by {other} already{line}"), "another port");
        }
        seen.push((path, address));
    }
}

fn delivery(checker: &mut Checker<'_>) {
    let settings = &checker.config.delivery;
    let counts = [
        ("mx_connections", settings.mx_connections),
        ("mx_domain_connections", settings.mx_domain_connections),
        ("messages_per_connection", settings.messages_per_connection),
        ("recipients_per_transaction", settings.recipients_per_transaction),
        ("mx_port", settings.mx_port.into()),
    ];
    for (key, _) in counts.into_iter().filter(|(_, count)| *count == 0) {
        checker.error(
            &format!("delivery.{key}"),
            format!("{key} = 0 delivers nothing"),
            "do: write 1 or more, or remove the line for the default",
        );
    }
    let times = [
        ("connect_time", settings.connect_time),
        ("envelope_time", settings.envelope_time),
        ("final_time", settings.final_time),
        ("callout_time", settings.callout_time),
        ("spool_connect_time", settings.spool_connect_time),
        ("spool_envelope_time", settings.spool_envelope_time),
        ("spool_final_time", settings.spool_final_time),
    ];
    for (key, _) in times.into_iter().filter(|(_, time)| time.0.is_zero()) {
        checker.error(&format!("delivery.{key}"), format!("{key} is no time at all"), format!("{key} = \"20s\""));
    }
    if let Some(file) = &settings.ca_file
        && let Err(error) = ClientTls::new(Some(&checker.resolve(file)))
    {
        checker.at("delivery.ca_file", Problem::from_text(&error.to_string()));
    }
}
