//! `mailweir watch`: what happens to mail, as it happens.

use super::client::Client;
use super::filters::{Filters, address};
use super::table::clock;
use super::{CliError, Code, Global, block_on, print_line};
use crate::mail::{Event, Record};
use crate::operate::explain::event_line;
use crate::operate::plain::harmless_line;

/// Arguments of `mailweir watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    filters: Filters,
}

/// Runs it, until the gateway stops or somebody presses Ctrl-C.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        let client = Client::new(global).await?;
        let show = |line: &[u8]| match line {
            b"" => Ok(()),
            line if global.json => print_line(String::from_utf8_lossy(line)),
            line => match serde_json::from_slice::<Record>(line) {
                Ok(record) => print_line(text(&record)),
                Err(_) => print_line(format!("({})", String::from_utf8_lossy(line))),
            },
        };
        client.lines(&address("/api/v1/watch", &args.filters.query()), show).await?;
        Ok(Code::Done)
    })
}

fn text(record: &Record) -> String {
    let said = match &record.event {
        Event::Judged(judged) => {
            let to: Vec<&str> = judged.envelope.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
            let findings: Vec<&str> =
                judged.findings.iter().filter(|finding| finding.class.counts()).map(|finding| &*finding.code).collect();
            let found = if findings.is_empty() { String::new() } else { format!(" [{}]", findings.join(" ")) };
            let subject = harmless_line(&judged.subject);
            format!("{} -> {}: {subject}{found}", judged.envelope.sender, to.join(", "))
        }
        event => event_line(event),
    };
    format!("{} {} {:<11} {said}", clock(record.at), record.id, record.event.as_str())
}
