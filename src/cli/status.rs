//! `mailweir status`: one line and an exit code for monitors, then everything it rests on.

use jiff::Timestamp;

use super::client::Client;
use super::table::{size, table};
use super::{CliError, Code, Global, block_on, print_line};
use crate::operate::status::{Facts, Status, Verdict, age};

/// Arguments of `mailweir status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 ok, 1 warning, 2 critical.")]
pub struct Args {
    /// Only the one line for monitors
    #[arg(long)]
    line: bool,
}

/// Runs it: the exit code is the verdict.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        let answer = match Client::new(global).await {
            Ok(client) => client.get("/api/v1/status").await?,
            Err(CliError::Message(why)) if !global.json => {
                print_line(format!("critical: {why}"))?;
                return Ok(Code::Critical);
            }
            Err(error) => return Err(error),
        };
        let status: Status = answer.value()?;
        if global.json {
            print_line(String::from_utf8_lossy(&answer.body))?;
        } else {
            print_line(status.line())?;
            if !args.line {
                print_line(text(&status))?;
            }
        }
        Ok(match status.verdict {
            Verdict::Ok => Code::Done,
            Verdict::Warning => Code::No,
            Verdict::Critical => Code::Critical,
        })
    })
}

fn text(status: &Status) -> String {
    let facts = &status.facts;
    let now = Timestamp::now();
    let mut blocks = Vec::new();
    if status.reasons.len() > 1 {
        let reasons = status.reasons.iter().map(|reason| format!("  {}: {}", reason.verdict.as_str(), reason.what));
        blocks.push(reasons.collect::<Vec<_>>().join("\n"));
    }
    blocks.push(head(facts, now));
    if !facts.listeners.is_empty() {
        blocks.push(table(["LISTENER", "ADDRESS"], facts.listeners.iter().map(|l| [l.name.clone(), l.address.clone()])));
    }
    if !facts.engines.is_empty() {
        let signatures = |made: Option<Timestamp>| made.map_or("-".to_owned(), |made| format!("{} old", age(now.duration_since(made))));
        let rows = facts.engines.iter().map(|e| [e.name.clone(), up(e.up), signatures(e.signatures), e.version.clone()]);
        blocks.push(table(["ENGINE", "STATE", "SIGNATURES", "VERSION"], rows));
    }
    if !facts.hops.is_empty() {
        let rows = facts.hops.iter().map(|h| [h.hop.clone(), h.route.clone(), up(h.up), h.connections.to_string(), h.last.clone()]);
        blocks.push(table(["NEXT HOP", "ROUTE", "STATE", "CONNECTIONS", "SAID LAST"], rows));
    }
    let rows = facts.piles.iter().map(|pile| {
        let name = pile.area.map_or_else(|| "queue".to_owned(), |area| format!("quarantine {area}"));
        let oldest = pile.oldest.map_or("-".to_owned(), |oldest| age(now.duration_since(oldest)));
        [name, pile.count.to_string(), size(pile.bytes), oldest]
    });
    if !facts.piles.is_empty() {
        blocks.push(table(["KEPT", "MESSAGES", "SIZE", "OLDEST"], rows));
    }
    blocks.join("\n\n")
}

fn head(facts: &Facts, now: Timestamp) -> String {
    let up = facts.started.map_or("not running".to_owned(), |started| format!("up for {}", age(now.duration_since(started))));
    format!("{}: mailweir {}, {up}, mode {}, version {}", facts.hostname, facts.program, facts.mode, facts.version)
}

fn up(up: bool) -> String {
    if up { "up" } else { "DOWN" }.to_owned()
}
