//! The command line: one file per subcommand, each a thin client of the admin API.

use std::process::ExitCode;

/// Parses the command line and runs the subcommand: 0 done, 1 no, 2 error.
pub fn run() -> ExitCode {
    ExitCode::from(2)
}
