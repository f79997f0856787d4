//! Subcommands whose names are fixed but which are not built yet: they say so, whatever their arguments.

use super::{CliError, Code};

/// Takes anything.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Not read yet
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    anything: Vec<String>,
}

/// Says that it is not built yet.
pub fn run(name: &'static str, _args: Args) -> Result<Code, CliError> {
    Err(CliError::NotBuilt(name))
}
