//! The program: turns what [`mailweir::cli::run`] says into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    mailweir::cli::run()
}
