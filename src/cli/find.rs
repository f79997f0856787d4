//! `mailweir find`: what became of any message, delivered ones included.

use super::client::Client;
use super::filters::{Filters, address};
use super::table::{fit, table, time};
use super::{CliError, Code, Global, block_on, print_line};
use crate::operate::filter::Query;
use crate::operate::find::{Found, Row};

/// Arguments of `mailweir find`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Looks through the last 24 hours unless --since says otherwise. `mailweir explain ID` tells everything about one.")]
pub struct Args {
    #[command(flatten)]
    filters: Filters,
    /// A recipient's state: delivered, held, spooled, refused, deferred-in, bounced, discarded, deleted
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        let query = Query { state: args.state, ..args.filters.query() };
        let answer = Client::new(global).await?.get(&address("/api/v1/find", &query)).await?;
        let found: Found = answer.value()?;
        if global.json {
            print_line(String::from_utf8_lossy(&answer.body))?;
        } else {
            print_line(text(&found))?;
        }
        Ok(if found.messages.is_empty() { Code::No } else { Code::Done })
    })
}

/// One line for each recipient, the message's own columns on its first.
fn text(found: &Found) -> String {
    if found.messages.is_empty() {
        return format!("found nothing since {}; --since 30d looks further back", time(found.since));
    }
    let mut out = table(["TIME", "ID", "FROM", "TO", "STATE", "SUBJECT"], found.messages.iter().flat_map(lines));
    let shown = found.messages.len();
    if found.total > shown {
        out.push_str(&format!("\n{shown} of {}; --limit shows more", found.total));
    }
    if found.cut {
        out.push_str("\nthere were too many messages to look at all: narrow the time with --since and --until");
    }
    out
}

fn lines(row: &Row) -> impl Iterator<Item = [String; 6]> {
    row.recipients.iter().enumerate().map(move |(number, fate)| {
        let to = fit(fate.address.as_str(), 22);
        let state = match row.would {
            Some(would) => format!("{} (normal: {would})", fate.state),
            None => fate.state.to_string(),
        };
        if number > 0 {
            return [String::new(), String::new(), String::new(), to, state, String::new()];
        }
        let sender = if row.sender.is_empty() { "<>" } else { &row.sender };
        [time(row.at), row.id.to_string(), fit(sender, 22), to, state, fit(&row.subject, 15)]
    })
}
