//! `mailweir reload`: the running gateway reads its configuration file again, as at SIGHUP, and this prints what came of it.

use super::client::{Client, Said};
use super::{CliError, Code, Global, block_on, print_json, print_line};
use crate::operate::reload::Reloaded;

/// Arguments of `mailweir reload`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 in force, 1 not reloaded: the configuration before stays in force, 2 no gateway was reached.")]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        let client = Client::new(global).await?;
        if client.is_offline() {
            return Err(CliError::new("no gateway is running: there is nothing to reload"));
        }
        let answer = client.post("/api/v1/reload", &()).await?;
        match answer.said::<Reloaded>()? {
            Said::Yes(reloaded) if global.json => print_json(&reloaded)?,
            Said::Yes(reloaded) => print_line(text(&reloaded))?,
            Said::No(refusal) => {
                match global.json {
                    true => print_json(&refusal)?,
                    false => print_line(format!("{}\nnot reloaded: {}", refusal.error, refusal.hint))?,
                }
                return Ok(Code::No);
            }
        }
        Ok(Code::Done)
    })
}

fn text(reloaded: &Reloaded) -> String {
    let mut lines = reloaded.warnings.clone();
    lines.extend(reloaded.changed.iter().cloned());
    lines.extend(reloaded.needs_restart.iter().map(|setting| format!("needs a restart: {setting}")));
    let nothing = if reloaded.changed.is_empty() { ", as before" } else { "" };
    lines.push(format!("reloaded: version {}{nothing}", reloaded.version));
    lines.join("\n")
}
