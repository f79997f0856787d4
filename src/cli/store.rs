//! `mailweir store`: is everything on disk what was written? And the look-up index, made again.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::json;

use super::client::{Answer, Client};
use super::table::size;
use super::{CliError, Code, Global, block_on, print_line};
use crate::operate::store::StoreState;
use crate::store::{IndexState, Tally, Verified};

/// How often progress is asked for.
const ASK: Duration = Duration::from_millis(250);

/// Arguments of `mailweir store`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Read everything: journal, messages, envelopes, records, index; changes nothing, also while the gateway runs
    #[command(after_help = "Exit codes: 0 everything is whole, 1 something is damaged or belongs to nothing, 2 error.")]
    Verify,
    /// Make the look-up index again from the files; mail goes on meanwhile
    #[command(after_help = "Where no gateway runs, add --offline.")]
    Rebuild,
}

/// Runs it.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    block_on(async {
        match args.what {
            What::Verify => verify(global).await,
            What::Rebuild => rebuild(global).await,
        }
    })
}

async fn verify(global: &Global) -> Result<Code, CliError> {
    let client = Client::new(global).await?;
    let mut bar = Bar::new("messages");
    let answer = {
        let reading = client.get("/api/v1/store/verify");
        let mut reading = std::pin::pin!(reading);
        loop {
            tokio::select! {
                answer = &mut reading => break answer?,
                () = tokio::time::sleep(ASK) => {
                    let state: StoreState = client.get("/api/v1/store").await?.value()?;
                    bar.show(state.verified.unwrap_or_default(), state.of.unwrap_or_default());
                }
            }
        }
    };
    bar.end();
    let verified: Verified = answer.value()?;
    tell(&answer, global, || text(&verified))?;
    Ok(if verified.is_whole() { Code::Done } else { Code::No })
}

async fn rebuild(global: &Global) -> Result<Code, CliError> {
    let client = Client::new(global).await?;
    let mut answer = client.post("/api/v1/store/rebuild", &json!({})).await?;
    let mut bar = Bar::new("entries");
    let state = loop {
        let state: StoreState = answer.value()?;
        let IndexState::Building { done, of } = state.index else { break state };
        bar.show(done, of);
        tokio::time::sleep(ASK).await;
        answer = client.get("/api/v1/store").await?;
    };
    bar.end();
    tell(&answer, global, || state.index.to_string())?;
    Ok(if matches!(state.index, IndexState::Broken { .. }) { Code::No } else { Code::Done })
}

fn tell(answer: &Answer, global: &Global, text: impl FnOnce() -> String) -> Result<(), CliError> {
    if global.json { print_line(String::from_utf8_lossy(&answer.body)) } else { print_line(text()) }
}

fn text(verified: &Verified) -> String {
    let tally = |tally: Tally| format!("{:>8}  {:>10}", tally.count, size(tally.bytes));
    let mut lines = vec![
        format!("  whole, in plain files     {}", tally(verified.files)),
        format!("  whole, in the journal     {}", tally(verified.journal)),
        format!("  damaged                   {:>8}", verified.damaged.len()),
        format!("  unfinished                {:>8}", verified.unfinished.len()),
        format!("  belong to no message      {:>8}", verified.orphaned.len()),
        format!("  journal segments          {}", tally(verified.segments)),
        format!("  records in them           {:>8}", verified.journal_records),
        format!("  records of what happened  {:>8}", verified.records),
    ];
    if verified.records_unreadable > 0 {
        lines.push(format!("  of them cut off           {:>8}", verified.records_unreadable));
    }
    if let Some(torn) = &verified.torn_tail {
        lines.push(format!("the last write to {} was cut off at byte {}: nobody was promised it", torn.segment.display(), torn.offset));
    }
    match &verified.index {
        Some(index) if verified.index_right + verified.index_stale > 0 => {
            lines.push(format!("{index}: {} rows are right, {} are read from their files", verified.index_right, verified.index_stale));
        }
        Some(index) => lines.push(index.to_string()),
        None => {}
    }
    if verified.set_aside > 0 {
        lines.push(format!("{} things were set aside in damaged/ by earlier starts", verified.set_aside));
    }
    for damaged in &verified.damaged {
        let id = damaged.id.map_or("?".to_owned(), |id| id.to_string());
        lines.push(format!("DAMAGED {id}: {}", damaged.what));
        lines.extend(damaged.files.iter().map(|file| format!("  {}", file.display())));
    }
    lines.extend(verified.unfinished.iter().map(|path| format!("unfinished (removed at the next start): {}", path.display())));
    lines.extend(verified.orphaned.iter().map(|path| format!("BELONGS TO NO MESSAGE: {}", path.display())));
    lines.push(match verified.is_whole() {
        true => format!("everything is what was written ({:.1} s)", verified.took_ms as f64 / 1000.0),
        false => "NOT EVERYTHING IS WHAT WAS WRITTEN; quarantine/README.md says what can be done".to_owned(),
    });
    lines.join("\n")
}

/// Progress on stderr: a bar on a terminal, else a line for every tenth.
struct Bar {
    of_what: &'static str,
    terminal: bool,
    /// The last tenth told.
    told: usize,
    drawn: bool,
}

impl Bar {
    fn new(of_what: &'static str) -> Self {
        Self { of_what, terminal: std::io::stderr().is_terminal(), told: 0, drawn: false }
    }

    fn show(&mut self, done: usize, of: usize) {
        if of == 0 {
            return;
        }
        let tenths = (done * 10 / of).min(10);
        let mut err = std::io::stderr().lock();
        // Progress that nobody can see is no reason to fail.
        let _ = if self.terminal {
            self.drawn = true;
            let bar = format!("{}{}", "#".repeat(tenths * 3), ".".repeat(30 - tenths * 3));
            write!(err, "\r[{bar}] {:>3} %  {done} of {of} {}", (done * 100 / of).min(100), self.of_what)
        } else if tenths > self.told {
            self.told = tenths;
            writeln!(err, "{} % ({done} of {of} {})", tenths * 10, self.of_what)
        } else {
            Ok(())
        };
    }

    fn end(&self) {
        if self.drawn {
            let _ = write!(std::io::stderr().lock(), "\r{:70}\r", "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Damaged;

    #[test]
    fn what_is_told() {
        let whole =
            Verified { files: Tally { count: 3, bytes: 4096 }, index: Some(IndexState::Whole), index_right: 3, ..Verified::default() };
        let told = text(&whole);
        assert!(
            told.contains("the index is whole: 3 rows are right") && told.ends_with("everything is what was written (0.0 s)"),
            "{told}"
        );
        let damaged = Damaged { id: None, place: None, what: "journal records 3 to 4".into(), files: vec!["/d/x.seg".into()] };
        let hurt = Verified { damaged: vec![damaged], orphaned: vec!["/d/spool/x.eml".into()], ..whole };
        let told = text(&hurt);
        for part in ["DAMAGED ?: journal records 3 to 4", "  /d/x.seg", "BELONGS TO NO MESSAGE: /d/spool/x.eml", "NOT EVERYTHING"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
