//! The part for programs: message/delivery-status (RFC 3464 section 2), message/global-delivery-status (RFC 6533 section 4).

use std::fmt::Write;

use super::{Action, DsnInput, MAX_RECIPIENTS, Subject, Why, wrap};
use crate::mail::Outcome;
use crate::rewrite::trace::date;
use crate::rewrite::wishes::{envelope_id, original_recipient, shown};

pub(super) fn status(out: &mut String, input: &DsnInput<'_>, boundary: &str, utf8: bool) {
    let kind = if utf8 { "message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit" } else { "message/delivery-status" };
    let _infallible = write!(out, "--{boundary}\r\nContent-Type: {kind}\r\n\r\n");
    if let Some(envid) = &input.request.envid {
        field(out, "Original-Envelope-Id", &envelope_id(envid));
    }
    let _infallible = write!(
        out,
        "Reporting-MTA: dns; {}\r\nX-Mailweir-Id: {}\r\nArrival-Date: {}\r\n\r\n",
        input.hostname,
        input.original,
        date(input.arrived),
    );
    for about in input.about.iter().take(MAX_RECIPIENTS) {
        one(out, input.action, about, utf8);
    }
}

/// The fields of one recipient.
fn one(out: &mut String, action: Action, about: &Subject, utf8: bool) {
    if let Some(original) = about.orcpt.as_deref().and_then(|orcpt| original_recipient(orcpt, utf8)) {
        field(out, "Original-Recipient", &original);
    }
    // An address that is not ASCII is of the type `utf-8` (RFC 6533 section 3).
    let kind = if about.recipient.is_ascii() { "rfc822" } else { "utf-8" };
    field(out, "Final-Recipient", &format!("{kind}; {}", shown(about.recipient.as_str(), utf8)));
    field(out, "Action", action.as_str());
    field(out, "Status", &code(action, about));
    if let Some(hop) = about.outcome.as_ref().and_then(hop) {
        field(out, "Remote-MTA", &format!("dns; {}", shown(&hop, false)));
    }
    if let Some(reply) = about.outcome.as_ref().and_then(Outcome::reply) {
        let lines = wrap(&shown(&reply.to_string(), utf8), 60);
        field(out, "Diagnostic-Code", &format!("smtp; {}", lines.join("\r\n ")));
    }
    if let Some(tried) = about.tried {
        field(out, "Last-Attempt-Date", &date(tried));
    }
    if let Some(until) = about.until.filter(|_| action == Action::Delayed) {
        field(out, "Will-Retry-Until", &date(until));
    }
    out.push_str("\r\n");
}

fn field(out: &mut String, name: &str, value: &str) {
    let _infallible = write!(out, "{name}: {value}\r\n");
}

/// The status code (RFC 3463): the reply's own where its class fits the action, or the plainest that does.
fn code(action: Action, about: &Subject) -> String {
    let reply = about.outcome.as_ref().and_then(Outcome::reply);
    let own = |class: char| reply.and_then(|reply| reply.enhanced.clone()).filter(|code| code.starts_with(class));
    match (action, &about.why) {
        (Action::Failed, Why::Expired) => "5.4.7".to_owned(),
        (Action::Failed, Why::GivenUp(_)) => "5.0.0".to_owned(),
        (Action::Failed, Why::Said) => own('5').unwrap_or_else(|| "5.0.0".to_owned()),
        // Nobody answered: 4.4.1.
        (Action::Delayed, _) => own('4').unwrap_or_else(|| if reply.is_some() { "4.0.0" } else { "4.4.1" }.to_owned()),
        (Action::Relayed, _) => own('2').unwrap_or_else(|| "2.0.0".to_owned()),
    }
}

/// The next hop's name without its port; an address as a literal.
fn hop(outcome: &Outcome) -> Option<String> {
    let hop = outcome.hop()?;
    let name = hop.rsplit_once(':').map_or(hop, |(host, _)| host);
    let is_address = name.parse::<std::net::Ipv4Addr>().is_ok();
    (!name.is_empty()).then(|| if is_address { format!("[{name}]") } else { name.to_owned() })
}
