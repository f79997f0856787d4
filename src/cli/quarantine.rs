//! `mailweir quarantine`: look at held mail, release it, delete it, take copies.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, Client, Said, sentence};
use super::filters::{Filters, address};
use super::table::{fit, size, table, time};
use super::{CliError, Code, Global, block_on, print_json, print_line};
use crate::admin::api::Change;
use crate::mail::units::Period;
use crate::mail::{Area, MessageId};
use crate::operate::explain::{finding_line, local};
use crate::operate::filter::Query;
use crate::operate::hands::{Released, ReleasedTo, Went};
use crate::operate::quarantine::{Held, Listing, Shown};

/// Arguments of `mailweir quarantine`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

/// Which held messages: by id, or by filters.
#[derive(Debug, Clone, Default, clap::Args)]
struct Which {
    /// The ids; without any, all that match the filters
    ids: Vec<MessageId>,
    /// Only in this area: Virus, Spam, Content, Encrypted, Unscanned, Held, Operator
    #[arg(long)]
    area: Option<Area>,
    #[command(flatten)]
    filters: Filters,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// What is held, newest first
    List {
        /// Only in this area: Virus, Spam, Content, Encrypted, Unscanned, Held, Operator
        #[arg(long)]
        area: Option<Area>,
        #[command(flatten)]
        filters: Filters,
        /// What was released, instead of what is held
        #[arg(long)]
        released: bool,
    },
    /// Headers, text, parts and findings of one message, as harmless plain text
    Show {
        /// The id
        id: MessageId,
    },
    /// Hand on to the recipients, after a virus scan with today's signatures
    Release {
        #[command(flatten)]
        which: Which,
        /// Why; goes into the records
        #[arg(long, default_value = "", hide_default_value = true)]
        reason: String,
        /// How long to wait for the next hop's reply
        #[arg(long, default_value = "30s")]
        wait: Period,
        /// With filters: do it, instead of listing what would be released
        #[arg(long)]
        yes: bool,
    },
    /// Delete for good
    Delete {
        #[command(flatten)]
        which: Which,
        /// Why; goes into the records
        #[arg(long)]
        reason: String,
        /// With filters: do it, instead of listing what would be deleted
        #[arg(long)]
        yes: bool,
    },
    /// Teach the learner with held mail
    Learn(super::later::Args),
    /// The original bytes of held mail: one to stdout, several as ID.eml into a folder
    Export {
        #[command(flatten)]
        which: Which,
        /// A file, or a folder for several
        #[arg(long, short, value_name = "PATH")]
        out: Option<PathBuf>,
    },
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        match args.what {
            What::List { area, filters, released } => {
                let state = released.then(|| "delivered".to_owned());
                list(&Query { area: area.map(|area| area.to_string()), state, ..filters.query() }, global).await
            }
            What::Show { id } => show(id, global).await,
            What::Release { which, reason, wait, yes } => {
                change(&which, "release", &Change { reason, wait: Some(wait) }, yes, global).await
            }
            What::Delete { which, reason, yes } => change(&which, "delete", &Change { reason, wait: None }, yes, global).await,
            What::Learn(args) => super::later::run("quarantine learn", args),
            What::Export { which, out } => export(&which, out.as_deref(), global).await,
        }
    })
}

async fn list(query: &Query, global: &Global) -> Result<Code, CliError> {
    let answer = Client::new(global).await?.get(&address("/api/v1/quarantine", query)).await?;
    let listing: Listing = answer.value()?;
    if global.json {
        print_line(String::from_utf8_lossy(&answer.body))?;
    } else {
        print_line(listed(&listing))?;
    }
    Ok(if listing.messages.is_empty() { Code::No } else { Code::Done })
}

fn listed(listing: &Listing) -> String {
    if listing.messages.is_empty() {
        return "nothing is held (that matches)".to_owned();
    }
    let mut out = table(["RECEIVED", "ID", "AREA", "FROM", "TO", "SUBJECT", "WHY"], listing.messages.iter().map(row));
    let shown = listing.messages.len();
    if listing.total > shown {
        out.push_str(&format!("\n{shown} of {}; --limit shows more", listing.total));
    }
    out
}

fn row(held: &Held) -> [String; 7] {
    let sender = if held.sender.is_empty() { "<>" } else { &held.sender };
    let first = held.recipients.first().map(|recipient| recipient.address.as_str()).unwrap_or_default();
    let to = match held.recipients.len() {
        0 | 1 => fit(first, 18),
        more => format!("{} +{}", fit(first, 14), more - 1),
    };
    let why = match &held.release {
        Some(release) => format!("released by {}", release.by),
        None => held.why.clone(),
    };
    let area = held.area.map(|area| area.to_string()).unwrap_or_default();
    [time(held.received_at), held.id.to_string(), area, fit(sender, 16), to, fit(&held.subject, 14), fit(&why, 34)]
}

async fn show(id: MessageId, global: &Global) -> Result<Code, CliError> {
    let answer = Client::new(global).await?.get(&format!("/api/v1/quarantine/{id}")).await?;
    match answer.said::<Shown>()? {
        Said::No(refusal) => {
            print_line(sentence(&refusal))?;
            return Ok(Code::No);
        }
        Said::Yes(_) if global.json => print_line(String::from_utf8_lossy(&answer.body))?,
        Said::Yes(shown) => print_line(page(&shown))?,
    }
    Ok(Code::Done)
}

fn page(shown: &Shown) -> String {
    let held = &shown.held;
    let area = held.area.map(|area| format!(", area {area}")).unwrap_or_default();
    let mut lines = vec![
        format!("Message {}, {}{area}, version {}", held.id, size(held.size), shown.version),
        format!("  received  {} from {}", local(held.received_at), shown.origin),
        format!("  sender    <{}>", held.sender),
    ];
    lines.extend(held.recipients.iter().map(|to| format!("  to        {} ({}, {})", to.address, to.direction, to.state)));
    lines.push(format!("  held by   {}", held.why));
    if let Some(release) = &held.release {
        lines.push(format!("  released  by {} at {}: {}", release.by, local(release.at), release.reason));
    }
    lines.push("\nFindings".into());
    lines.extend(shown.findings.iter().map(|finding| format!("  {}", finding_line(finding))));
    lines.push("\nHeader".into());
    lines.extend(shown.headers.iter().map(|(name, value)| format!("  {name}: {value}")));
    lines.push("\nParts".into());
    lines.extend(shown.parts.iter().map(|part| {
        let name = part.name.as_deref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
        let attached = if part.attachment { ", attachment" } else { "" };
        let true_type = if part.true_type.is_empty() { String::new() } else { format!(", is {}", part.true_type) };
        let declared = if part.declared_type.is_empty() { "no type" } else { &part.declared_type };
        format!(
            "  {:>3} {}{declared}{name}{true_type}, {}{attached}",
            part.part,
            "  ".repeat(part.depth.min(10).into()),
            size(part.size as u64)
        )
    }));
    if !shown.links.is_empty() {
        lines.push("\nLinks (defanged)".into());
        lines.extend(shown.links.iter().map(|link| format!("  {link}")));
    }
    lines.push("\nText".into());
    lines.extend(shown.text.lines().map(|line| format!("  {line}")));
    if shown.text_cut {
        lines.push("  … (cut; `mailweir quarantine export` has all of it)".into());
    }
    lines.join("\n")
}

/// The ids that were named, or those of the messages that the filters find.
async fn chosen(which: &Which, client: &Client) -> Result<(Vec<MessageId>, Option<Listing>), CliError> {
    if !which.ids.is_empty() {
        return Ok((which.ids.clone(), None));
    }
    let query = Query { area: which.area.map(|area| area.to_string()), ..which.filters.query() };
    if query.is_empty() {
        return Err(CliError::new("name ids, or filters such as --area Spam --from ADDRESS"));
    }
    let listing: Listing = client.get(&address("/api/v1/quarantine", &query)).await?.value()?;
    Ok((listing.messages.iter().map(|held| held.id).collect(), Some(listing)))
}

/// Release or delete, one after the other; the code is *done* only if all were.
async fn change(which: &Which, verb: &str, change: &Change, yes: bool, global: &Global) -> Result<Code, CliError> {
    let client = Client::new(global).await?;
    let (ids, listing) = chosen(which, &client).await?;
    if let Some(listing) = listing.filter(|_| !yes) {
        print_line(listed(&listing))?;
        if !listing.messages.is_empty() {
            print_line(format!("these {} would be {verb}d; add --yes to do it", listing.messages.len()))?;
        }
        return Ok(Code::No);
    }
    // Nothing is handed on before a gateway runs: no use in waiting for it.
    let wait = if client.is_offline() { change.wait.map(|_| Period(Duration::ZERO)) } else { change.wait };
    let change = Change { wait, ..change.clone() };
    let mut results = Vec::new();
    let mut code = if ids.is_empty() { Code::No } else { Code::Done };
    for id in ids {
        let answer = client.post(&format!("/api/v1/quarantine/{id}/{verb}"), &change).await?;
        let (lines, done) = if verb == "release" { released(&answer, client.is_offline())? } else { deleted(&answer)? };
        if !done {
            code = Code::No;
        }
        if !global.json {
            lines.iter().try_for_each(|line| print_line(format!("{id}  {line}")))?;
        }
        let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or(Value::Null);
        results.push(json!({ "id": id, "done": done, "result": lines, "answer": body }));
    }
    if global.json {
        print_json(&results)?;
    } else if results.is_empty() {
        print_line("nothing is held (that matches)")?;
    }
    Ok(code)
}

fn deleted(answer: &Answer) -> Result<(Vec<String>, bool), CliError> {
    Ok(match answer.said::<Value>()? {
        Said::Yes(_) => (vec!["deleted".into()], true),
        Said::No(refusal) => (vec![sentence(&refusal)], false),
    })
}

/// "released" is said only with the next hop's own reply.
fn released(answer: &Answer, offline: bool) -> Result<(Vec<String>, bool), CliError> {
    let released = match answer.said::<Released>()? {
        Said::Yes(released) => released,
        Said::No(refusal) => {
            let line = match (&refusal.by, refusal.at) {
                (Some(by), Some(at)) => format!("already released by {by} at {}", local(at)),
                _ => sentence(&refusal),
            };
            return Ok((vec![line], false));
        }
    };
    let several = released.recipients.len() > 1;
    let line = |to: &ReleasedTo| {
        let said = match to.went {
            Went::Delivered => format!("released: {}", to.detail),
            Went::Queued if offline => "queued for release: it goes out when the gateway starts".to_owned(),
            Went::Queued => format!("queued for release: {}", to.detail),
            Went::Refused => format!("refused by the next hop: {}", to.detail),
        };
        if several { format!("{}  {said}", to.address) } else { said }
    };
    let done = released.recipients.iter().all(|to| to.went != Went::Refused);
    Ok((released.recipients.iter().map(line).collect(), done))
}

/// Original bytes, never changed: one message to stdout or into a file, several into a folder.
async fn export(which: &Which, out: Option<&Path>, global: &Global) -> Result<Code, CliError> {
    let client = Client::new(global).await?;
    let (ids, _) = chosen(which, &client).await?;
    let into_folder = out.is_some_and(|out| out.is_dir()) || ids.len() > 1;
    if into_folder && out.is_none() {
        return Err(CliError::new(format!("{} messages: name a folder with --out", ids.len())));
    }
    if let (true, Some(folder)) = (into_folder, out) {
        std::fs::create_dir_all(folder).map_err(|error| CliError::new(format!("{}: {error}", folder.display())))?;
    }
    let mut code = if ids.is_empty() { Code::No } else { Code::Done };
    for id in ids {
        let answer = client.get(&format!("/api/v1/quarantine/{id}/raw")).await?;
        let Some(bytes) = answer.bytes() else {
            let Said::No(refusal) = answer.said::<Value>()? else { continue };
            writeln!(std::io::stderr(), "{id}  {}", sentence(&refusal))?;
            code = Code::No;
            continue;
        };
        match out {
            None => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()?;
            }
            Some(out) => {
                let path = if into_folder { out.join(format!("{id}.eml")) } else { out.to_owned() };
                std::fs::write(&path, bytes).map_err(|error| CliError::new(format!("{}: {error}", path.display())))?;
            }
        }
    }
    Ok(code)
}
