//! `mailweir quarantine`.

use super::{CliError, Code, Global};

/// Arguments of `mailweir quarantine`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs it.
pub fn run(_args: Args, _global: &Global) -> Result<Code, CliError> {
    Err(CliError::NotBuilt("quarantine"))
}
