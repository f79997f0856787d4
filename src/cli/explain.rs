//! `mailweir explain`: everything that is known about one message.

use super::client::{Client, Said, sentence};
use super::{CliError, Code, Global, block_on, print, print_line};
use crate::mail::MessageId;
use crate::operate::explain::Explanation;

/// Arguments of `mailweir explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The id: in our replies, in listings, in the X-Mailweir-Id field
    id: MessageId,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        let answer = Client::new(global).await?.get(&format!("/api/v1/explain/{}", args.id)).await?;
        match answer.said::<Explanation>()? {
            Said::No(refusal) => {
                print_line(sentence(&refusal))?;
                return Ok(Code::No);
            }
            Said::Yes(_) if global.json => print_line(String::from_utf8_lossy(&answer.body))?,
            Said::Yes(explanation) => print(explanation.text())?,
        }
        Ok(Code::Done)
    })
}
