//! The command line: one file per subcommand, each a thin client of the admin API.
//!
//! To add a subcommand: one file with `Args` and `run`, one line in [`Command`] and one in [`dispatch`]. The tests below
//! refuse one without a description.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub mod audit;
pub mod check;
pub mod client;
pub mod demo;
pub mod explain;
pub mod filters;
pub mod find;
pub mod later;
mod offline;
pub mod quarantine;
pub mod queue;
pub mod reload;
pub mod scan;
pub mod serve;
pub mod status;
pub mod store;
pub mod table;
pub mod watch;

/// What every subcommand knows.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Global {
    /// Configuration file; else ./mailweir.toml, else /etc/mailweir/mailweir.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON for programs instead of tables for people
    #[arg(long, global = true)]
    pub json: bool,
    /// Change the store although no gateway is running
    #[arg(long, global = true)]
    pub offline: bool,
}

/// Mail-scanning gateway: takes mail in over SMTP, looks into it, and hands it on, holds it, or refuses it.
#[derive(Debug, Parser)]
#[command(name = "mailweir", version, propagate_version = false, max_term_width = 120)]
#[command(after_help = "Exit codes: 0 done, 1 no (found nothing, refused), 2 error.")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// All subcommands.
#[derive(Debug, Subcommand)]
enum Command {
    /// Start a gateway, a stand-in mail server and sample mail on loopback, and print what became of each
    Demo(demo::Args),
    /// Run the gateway
    Serve(serve::Args),
    /// Have the running gateway read its configuration, rules, lists and certificates again, without ending a session
    Reload(reload::Args),
    /// Name every error in configuration and rules, with file and line
    Check(check::Args),
    /// One line and an exit code for a monitor; then engines, next hops, queue, areas, version, mode
    Status(status::Args),
    /// What became of any message, delivered ones included
    Find(find::Args),
    /// The same as find, live
    Watch(watch::Args),
    /// Everything that is known about one message: rules, evidence, scores, and what happened at each recipient
    Explain(explain::Args),
    /// Findings and the decision for a message in a file, offline
    Scan(scan::Args),
    /// Look at held mail, release it, delete it
    Quarantine(quarantine::Args),
    /// Look at accepted mail that is not delivered yet, try it again, hold it, give it up
    Queue(queue::Args),
    /// Read everything on disk and say what is whole, or make the index again
    Store(store::Args),
    /// Teach the learner what is spam and what is not
    Learn(later::Args),
    /// Show that the promises hold on this machine
    Prove(later::Args),
    /// Recompute from the records where every accepted recipient is, and name what is missing
    Audit(audit::Args),
    /// Figures about a period
    Report(later::Args),
    /// Write everything that is needed to stand up again into one bundle
    Backup(later::Args),
    /// Stand up again from a bundle
    Restore(later::Args),
    /// Versions of configuration and rules: list, apply, take back
    Version(later::Args),
    /// Show or change the mode: normal, observe, av-only, hold-all
    Mode(later::Args),
}

/// How a subcommand ended, where it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done: exit code 0.
    Done,
    /// No: found nothing, refused, problems found. Exit code 1.
    No,
    /// `status` says critical. Exit code 2, and no error.
    Critical,
}

/// Why a subcommand failed: exit code 2 and one line on stderr (several for a broken configuration).
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// What is wrong and what to do about it, in one line.
    #[error("{0}")]
    Message(String),
    /// A subcommand whose name is fixed but which does nothing yet.
    #[error("`mailweir {0}` is not built yet")]
    NotBuilt(&'static str),
    /// Who read our output has closed it: not an error, the program ends quietly.
    #[error("output closed")]
    Closed,
}

impl CliError {
    /// A message as error.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Message(message.into())
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Message(error.to_string()),
        }
    }
}

/// Parses the command line and runs the subcommand: 0 done, 1 no, 2 error.
pub fn run() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match dispatch(cli.command, &cli.global) {
        Ok(Code::Done) | Err(CliError::Closed) => ExitCode::SUCCESS,
        Ok(Code::No) => ExitCode::from(1),
        Ok(Code::Critical) => ExitCode::from(2),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "mailweir: {error}");
            ExitCode::from(2)
        }
    }
}

/// One line for each subcommand.
fn dispatch(command: Command, global: &Global) -> Result<Code, CliError> {
    match command {
        Command::Demo(args) => demo::run(args, global),
        Command::Serve(args) => serve::run(args, global),
        Command::Reload(args) => reload::run(args, global),
        Command::Check(args) => check::run(args, global),
        Command::Status(args) => status::run(args, global),
        Command::Find(args) => find::run(args, global),
        Command::Watch(args) => watch::run(args, global),
        Command::Explain(args) => explain::run(args, global),
        Command::Scan(args) => scan::run(args, global),
        Command::Quarantine(args) => quarantine::run(args, global),
        Command::Queue(args) => queue::run(args, global),
        Command::Store(args) => store::run(args, global),
        Command::Learn(args) => later::run("learn", args),
        Command::Prove(args) => later::run("prove", args),
        Command::Audit(args) => audit::run(args, global),
        Command::Report(args) => later::run("report", args),
        Command::Backup(args) => later::run("backup", args),
        Command::Restore(args) => later::run("restore", args),
        Command::Version(args) => later::run("version", args),
        Command::Mode(args) => later::run("mode", args),
    }
}

/// Writes to stdout at once; a closed pipe becomes [`CliError::Closed`], which every subcommand hands up.
pub fn print(text: impl AsRef<str>) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    Ok(out.flush()?)
}

/// Like [`print()`], with a line end.
pub fn print_line(text: impl AsRef<str>) -> Result<(), CliError> {
    print(format!("{}\n", text.as_ref()))
}

/// Prints a value as indented JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CliError::new(format!("cannot write JSON: {error}")))?;
    print_line(text)
}

/// Runs a future to its end, for subcommands that talk to the gateway; I/O and timers are there.
pub fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_hold() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_and_argument_is_described() {
        fn walk(command: &clap::Command, path: &str) {
            assert!(command.get_about().is_some_and(|about| !about.to_string().is_empty()), "{path} has no description");
            for argument in command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
                assert!(argument.get_help().is_some(), "{path}: {} has no description", argument.get_id());
            }
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                walk(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        let mut command = Cli::command();
        command.build();
        walk(&command, "mailweir");
    }

    #[test]
    fn the_names_of_the_design_are_there() {
        let names: Vec<String> = Cli::command().get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        for name in [
            "demo",
            "serve",
            "check",
            "status",
            "find",
            "watch",
            "explain",
            "scan",
            "quarantine",
            "queue",
            "store",
            "learn",
            "prove",
            "audit",
            "report",
            "backup",
            "restore",
            "version",
            "mode",
        ] {
            assert!(names.iter().any(|n| n == name), "{name}");
        }
    }

    #[test]
    fn what_is_not_built_says_so() {
        for line in [&["mailweir", "learn", "spam", "x.eml"][..], &["mailweir", "mode"], &["mailweir", "version", "back", "--json"]] {
            let cli = Cli::try_parse_from(line).expect("parses");
            let error = dispatch(cli.command, &cli.global).expect_err("not built");
            assert_eq!(error.to_string(), format!("`mailweir {}` is not built yet", line[1]));
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let error = |kind| CliError::from(std::io::Error::from(kind));
        assert!(matches!(error(ErrorKind::BrokenPipe), CliError::Closed));
        assert!(matches!(error(ErrorKind::StorageFull), CliError::Message(_)));
    }
}
