//! `mailweir audit`: do the books balance?

use super::client::Client;
use super::filters::address;
use super::{CliError, Code, Global, block_on, print_line};
use crate::operate::audit::{Audit, Problem};
use crate::operate::fate::State;
use crate::operate::filter::Query;

/// Arguments of `mailweir audit`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Every accepted recipient must be in exactly one state. Looks through all records unless --since says otherwise.")]
pub struct Args {
    /// Messages judged not before: 2h, 7d, 2026-11-03 or "2026-11-03 14:00"
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Messages judged before: written like --since
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// Runs it: exit code 1 if something is missing, double or contradictory.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        let query = Query { since: args.since, until: args.until, ..Query::default() };
        let answer = Client::new(global).await?.get(&address("/api/v1/audit", &query)).await?;
        let audit: Audit = answer.value()?;
        if global.json {
            print_line(String::from_utf8_lossy(&answer.body))?;
        } else {
            print_line(text(&audit))?;
        }
        Ok(if audit.balanced { Code::Done } else { Code::No })
    })
}

fn text(audit: &Audit) -> String {
    let mut lines = vec![format!("{} messages for {} recipients", audit.messages, audit.received)];
    let count = |state: State| audit.states.get(state.as_str()).copied().unwrap_or_default();
    for state in State::ALL {
        if count(state) > 0 || !matches!(state, State::Damaged | State::Unanswered) {
            lines.push(format!("  {state:<12} {:>9}", count(state)));
        }
    }
    if audit.in_flight > 0 {
        lines.push(format!("  {:<12} {:>9}", "in flight", audit.in_flight));
    }
    let notifications: u64 = audit.notifications.values().sum();
    if notifications > 0 {
        lines.push(format!("and {notifications} recipients of our own notifications"));
    }
    if audit.unreadable > 0 {
        lines.push(format!("{} record(s) cannot be read: torn by a crash, or damaged", audit.unreadable));
    }
    let listed = |problem: &Problem| format!("  {}  {}: {}", problem.id, problem.what, problem.detail);
    if !audit.notes.is_empty() {
        lines.push("worth knowing:".into());
        lines.extend(audit.notes.iter().map(listed));
    }
    if audit.balanced {
        lines.push("the books balance: every recipient is in exactly one state".into());
    } else {
        lines.push(format!("THE BOOKS DO NOT BALANCE, {} problem(s):", audit.problem_count));
        lines.extend(audit.problems.iter().map(listed));
        lines.push("`mailweir explain ID` tells everything about one".into());
    }
    lines.join("\n")
}
