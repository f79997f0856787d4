//! `mailweir queue`: mail that was accepted and is not delivered yet.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::client::{Client, Said, sentence};
use super::filters::{Filters, address};
use super::table::{fit, size, table, time};
use super::{CliError, Code, Global, block_on, print_json, print_line};
use crate::mail::MessageId;
use crate::operate::explain::local;
use crate::operate::queue::{Queue, Waiting};

/// Arguments of `mailweir queue`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What waits, newest first
    List(Filters),
    /// One message: its recipients, attempts, and what the next hop said last
    Show {
        /// The id
        id: MessageId,
    },
    /// Try again now
    Retry {
        /// The ids; without any, all that match the filters
        ids: Vec<MessageId>,
        #[command(flatten)]
        filters: Filters,
        /// Everything that waits
        #[arg(long)]
        all: bool,
    },
    /// Keep from being delivered
    Hold(super::later::Args),
    /// Give up and notify the sender
    Bounce(super::later::Args),
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        match args.what {
            What::List(filters) => list(&filters, global).await,
            What::Show { id } => show(id, global).await,
            What::Retry { ids, filters, all } => retry(ids, &filters, all, global).await,
            What::Hold(args) => super::later::run("queue hold", args),
            What::Bounce(args) => super::later::run("queue bounce", args),
        }
    })
}

async fn list(filters: &Filters, global: &Global) -> Result<Code, CliError> {
    let answer = Client::new(global).await?.get(&address("/api/v1/queue", &filters.query())).await?;
    let queue: Queue = answer.value()?;
    if global.json {
        print_line(String::from_utf8_lossy(&answer.body))?;
    } else if queue.messages.is_empty() {
        print_line("nothing waits")?;
    } else {
        print_line(table(["RECEIVED", "ID", "FROM", "TO", "TRIES", "NEXT TRY", "LAST"], queue.messages.iter().flat_map(lines)))?;
        if queue.total > queue.messages.len() {
            print_line(format!("{} of {}; --limit shows more", queue.messages.len(), queue.total))?;
        }
    }
    Ok(if queue.messages.is_empty() { Code::No } else { Code::Done })
}

fn lines(message: &Waiting) -> impl Iterator<Item = [String; 7]> {
    message.recipients.iter().enumerate().map(move |(number, recipient)| {
        let first = |text: String| if number == 0 { text } else { String::new() };
        let sender = if message.sender.is_empty() { "<>" } else { &message.sender };
        [
            first(time(message.received_at)),
            first(message.id.to_string()),
            first(fit(sender, 16)),
            fit(recipient.address.as_str(), 20),
            recipient.attempts.to_string(),
            soon(recipient.next_try),
            fit(&recipient.last, 40),
        ]
    })
}

fn soon(at: Timestamp) -> String {
    if at <= Timestamp::now() { "now".to_owned() } else { time(at) }
}

async fn show(id: MessageId, global: &Global) -> Result<Code, CliError> {
    let answer = Client::new(global).await?.get(&format!("/api/v1/queue/{id}")).await?;
    let message = match answer.said::<Waiting>()? {
        Said::No(refusal) => {
            print_line(sentence(&refusal))?;
            return Ok(Code::No);
        }
        Said::Yes(message) => message,
    };
    if global.json {
        print_line(String::from_utf8_lossy(&answer.body))?;
        return Ok(Code::Done);
    }
    print_line(format!("Message {id}, {}, received {}", size(message.size), local(message.received_at)))?;
    print_line(format!("  sender   <{}>\n  subject  {}", message.sender, message.subject))?;
    for recipient in &message.recipients {
        print_line(format!("\nTo {} ({}), route {}", recipient.address, recipient.direction, recipient.route))?;
        print_line(format!("  {} attempt(s), next {}", recipient.attempts, local(recipient.next_try)))?;
        if !recipient.last.is_empty() {
            print_line(format!("  last: {}", recipient.last))?;
        }
    }
    Ok(Code::Done)
}

async fn retry(ids: Vec<MessageId>, filters: &Filters, all: bool, global: &Global) -> Result<Code, CliError> {
    let client = Client::new(global).await?;
    let query = filters.query();
    let ids = if ids.is_empty() {
        if query.is_empty() && !all {
            return Err(CliError::new("name ids, or filters such as --to, or --all"));
        }
        let queue: Queue = client.get(&address("/api/v1/queue", &query)).await?.value()?;
        queue.messages.into_iter().map(|message| message.id).collect()
    } else {
        ids
    };
    let mut results = Vec::new();
    let mut code = if ids.is_empty() { Code::No } else { Code::Done };
    for id in ids {
        let answer = client.post(&format!("/api/v1/queue/{id}/retry"), &json!({})).await?;
        let said = match answer.said::<Value>()? {
            Said::Yes(_) if client.is_offline() => "due when the gateway starts".to_owned(),
            Said::Yes(_) => "due now".to_owned(),
            Said::No(refusal) => {
                code = Code::No;
                sentence(&refusal)
            }
        };
        if !global.json {
            print_line(format!("{id}  {said}"))?;
        }
        results.push(json!({ "id": id, "result": said }));
    }
    if global.json {
        print_json(&results)?;
    } else if results.is_empty() {
        print_line("nothing waits")?;
    }
    Ok(code)
}
