//! `mailweir queue`: mail that was accepted and is not delivered yet.

use jiff::Timestamp;
use serde_json::json;

use super::client::{Client, Said, sentence};
use super::filters::{Filters, address};
use super::table::{fit, size, table, time};
use super::{CliError, Code, Global, block_on, print_json, print_line};
use crate::admin::api::{Done, Order};
use crate::mail::units::Period;
use crate::mail::{Address, MessageId};
use crate::operate::explain::local;
use crate::operate::filter::{MAX_LIMIT, Query};
use crate::operate::queue::{Queue, Waiting};

/// Arguments of `mailweir queue`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// Filters for what waits; all that are given must match.
#[derive(Debug, Clone, Default, clap::Args)]
struct Which {
    #[command(flatten)]
    filters: Filters,
    /// Only on this route
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Part of the name of the next hop that was tried last
    #[arg(long, value_name = "HOST")]
    next_hop: Option<String>,
    /// Part of what the next hop said last, or of why it could not be reached
    #[arg(long, value_name = "WORDS")]
    reply: Option<String>,
    /// Waiting for longer than this: 2h, 3d
    #[arg(long, value_name = "PERIOD", conflicts_with = "until")]
    older_than: Option<Period>,
}

impl Which {
    fn query(&self) -> Query {
        let until = self.older_than.map(|age| age.to_string());
        let query = self.filters.query();
        let (route, next_hop, reply) = (self.route.clone(), self.next_hop.clone(), self.reply.clone());
        Query { until: until.or(query.until.clone()), route, next_hop, reply, ..query }
    }
}

/// What an order is about: ids, or filters.
#[derive(Debug, Clone, Default, clap::Args)]
struct About {
    /// The ids, for all their waiting recipients; without any, the recipients that match the filters
    ids: Vec<MessageId>,
    #[command(flatten)]
    which: Which,
    /// Everything that waits
    #[arg(long)]
    all: bool,
    /// With filters: do it, instead of counting what it would be done to
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What waits, newest first
    List(Which),
    /// One message: its recipients, attempts, and what the next hop said last
    Show {
        /// The id
        id: MessageId,
    },
    /// Try again now
    Retry(About),
    /// Take out of the queue into the quarantine, area Operator; `quarantine release` brings it back
    Hold {
        #[command(flatten)]
        about: About,
        /// Why; goes into the records
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
    },
    /// Give up now, and notify the sender
    Bounce {
        #[command(flatten)]
        about: About,
        /// Why; goes into the records and into the notification
        #[arg(long)]
        reason: String,
    },
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        match args.what {
            What::List(which) => list(&which, global).await,
            What::Show { id } => show(id, global).await,
            What::Retry(about) => order(&about, Verb::Retry, "", global).await,
            What::Hold { about, reason } => order(&about, Verb::Hold, &reason, global).await,
            What::Bounce { about, reason } => order(&about, Verb::Bounce, &reason, global).await,
        }
    })
}

async fn list(which: &Which, global: &Global) -> Result<Code, CliError> {
    let answer = Client::new(global).await?.get(&address("/api/v1/queue", &which.query())).await?;
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

/// What can be done to waiting mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Retry,
    Hold,
    Bounce,
}

impl Verb {
    fn path(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Hold => "hold",
            Self::Bounce => "bounce",
        }
    }

    fn would(self) -> &'static str {
        match self {
            Self::Retry => "tried again",
            Self::Hold => "held",
            Self::Bounce => "bounced",
        }
    }
}

/// Retry, hold or bounce: of ids at once, by filters only with `--yes`, else a count of what it would be done to. The code is *done* only
/// if all was.
async fn order(about: &About, verb: Verb, reason: &str, global: &Global) -> Result<Code, CliError> {
    let client = Client::new(global).await?;
    let (orders, beyond) = if about.ids.is_empty() {
        let found = matching(about, &client).await?;
        if !about.yes {
            return preview(&found, verb, global);
        }
        let whom = |message: &Waiting| message.recipients.iter().map(|recipient| recipient.address.clone()).collect();
        let beyond = found.total - found.messages.len();
        (found.messages.iter().map(|message| (message.id, whom(message))).collect::<Vec<_>>(), beyond)
    } else {
        (about.ids.iter().map(|id| (*id, Vec::new())).collect(), 0)
    };
    let mut results = Vec::new();
    let mut code = if orders.is_empty() { Code::No } else { Code::Done };
    for (id, recipients) in orders {
        let order = Order { reason: reason.to_owned(), recipients };
        let answer = client.post(&format!("/api/v1/queue/{id}/{}", verb.path()), &order).await?;
        let (said, done) = match answer.said::<Option<Done>>()? {
            Said::Yes(done) => (sentence_of(verb, done.as_ref(), client.is_offline()), true),
            Said::No(refusal) => (sentence(&refusal), false),
        };
        if !done {
            code = Code::No;
        }
        if !global.json {
            print_line(format!("{id}  {said}"))?;
        }
        results.push(json!({ "id": id, "done": done, "result": said }));
    }
    if global.json {
        print_json(&results)?;
    } else if results.is_empty() {
        print_line("nothing waits (that matches)")?;
    } else if beyond > 0 {
        print_line(format!("{beyond} more match: say it again"))?;
    }
    Ok(code)
}

/// What waits and matches; as much of it at once as the API gives.
async fn matching(about: &About, client: &Client) -> Result<Queue, CliError> {
    let query = about.which.query();
    if query.is_empty() && !about.all {
        return Err(CliError::new("name ids, or filters such as --route NAME --older-than 2h, or --all"));
    }
    let query = Query { limit: query.limit.or(Some(MAX_LIMIT)), ..query };
    client.get(&address("/api/v1/queue", &query)).await?.value()
}

fn preview(found: &Queue, verb: Verb, global: &Global) -> Result<Code, CliError> {
    let (messages, recipients) = (found.total, found.recipients);
    if global.json {
        print_json(&json!({ "would": verb.path(), "messages": messages, "recipients": recipients }))?;
    } else if messages == 0 {
        print_line("nothing waits (that matches)")?;
    } else {
        print_line(format!("{messages} message(s) to {recipients} recipient(s) would be {}; add --yes to do it", verb.would()))?;
    }
    Ok(Code::No)
}

fn sentence_of(verb: Verb, done: Option<&Done>, offline: bool) -> String {
    let whom = done.map(|done| done.recipients.iter().map(Address::as_str).collect::<Vec<_>>().join(", ")).unwrap_or_default();
    match verb {
        Verb::Retry if offline => "due when the gateway starts".to_owned(),
        Verb::Retry => "due now".to_owned(),
        Verb::Hold => format!("held for {whom}"),
        Verb::Bounce => format!("bounced for {whom}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_a_query() {
        let age = "2h".parse().unwrap();
        let which = Which { route: Some("gw".into()), older_than: Some(age), ..Which::default() };
        let query = which.query();
        assert_eq!((query.route.as_deref(), query.until.as_deref()), (Some("gw"), Some("2h")));
        assert!(!query.is_empty() && Which::default().query().is_empty());
    }
}
