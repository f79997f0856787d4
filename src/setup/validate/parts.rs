//! The settings of checks, store and delivery: what each part says of its own, put at its place.

use super::Checker;
use crate::net::ClientTls;
use crate::setup::problem::Problem;

pub fn check(checker: &mut Checker<'_>) {
    antivirus(checker);
    delivery(checker);
}

fn antivirus(checker: &mut Checker<'_>) {
    let settings = &checker.config.antivirus;
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

fn delivery(checker: &mut Checker<'_>) {
    let settings = &checker.config.delivery;
    let counts = [
        ("mx_connections", settings.mx_connections),
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
