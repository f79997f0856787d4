//! `mailweir check`: everything that is wrong with configuration and rules, with the place and what to write instead.

use serde::Serialize;

use super::{CliError, Code, Global, block_on, print, print_json, print_line};
use crate::setup::effective::{Setting, effective};
use crate::setup::examine::examine;
use crate::setup::{self, Loaded, Problem};

/// Arguments of `mailweir check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Show every setting in force, and whether it comes from the file or is a default
    #[arg(long)]
    effective: bool,
    /// Read files only: try no address, no engine and no directory
    #[arg(long)]
    files_only: bool,
}

/// The answer as JSON.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    file: &'a str,
    version: Option<&'a str>,
    errors: usize,
    warnings: usize,
    problems: &'a [Problem],
    #[serde(skip_serializing_if = "Option::is_none")]
    effective: Option<Vec<Setting>>,
}

/// Prints the problems in the order of the file: exit code 0 for none but warnings, 1 otherwise.
pub fn run(args: Args, global: &Global) -> Result<Code, CliError> {
    let path = setup::find(global.config.as_deref()).map_err(CliError::new)?;
    let file = path.display().to_string();
    let loaded = setup::load(&path);
    let problems = match &loaded {
        Err(problems) => problems.clone(),
        Ok(loaded) if args.files_only => loaded.warnings.clone(),
        Ok(loaded) => block_on(async { Ok(tried(loaded).await) })?,
    };
    let loaded = loaded.ok();
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let effective = loaded.as_ref().filter(|_| args.effective).map(effective);
    if global.json {
        let version = loaded.as_ref().map(|loaded| &*loaded.version.0);
        print_json(&Answer { file: &file, version, errors, warnings: problems.len() - errors, problems: &problems, effective })?;
    } else {
        print(effective.map_or(String::new(), |settings| table(&settings)))?;
        print(problems.iter().map(|problem| format!("{problem}\n")).collect::<String>())?;
        print_line(summary(&file, loaded.as_ref(), errors, problems.len() - errors))?;
    }
    Ok(if errors == 0 { Code::Done } else { Code::No })
}

/// The warnings of the file, and what trying shows.
async fn tried(loaded: &Loaded) -> Vec<Problem> {
    let mut problems = loaded.warnings.clone();
    problems.extend(examine(loaded).await);
    problems.sort_by(|a, b| (a.file != loaded.file, &a.file, a.line, a.column).cmp(&(b.file != loaded.file, &b.file, b.line, b.column)));
    problems
}

fn summary(file: &str, loaded: Option<&Loaded>, errors: usize, warnings: usize) -> String {
    let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
    match loaded {
        Some(loaded) if errors == 0 => {
            let warned = if warnings == 0 { String::new() } else { format!(", {}", count(warnings, "warning")) };
            format!(
                "{file}: good{warned}; {}, {}, version {}",
                count(loaded.config.routes.len(), "route"),
                count(loaded.rules.rules().len(), "rule"),
                loaded.version
            )
        }
        _ => format!("{file}: {}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

/// `name = value   # origin`, in columns.
fn table(settings: &[Setting]) -> String {
    let lines: Vec<String> = settings.iter().map(|setting| format!("{} = {}", setting.name, setting.value)).collect();
    let width = lines.iter().map(|line| line.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    lines.iter().zip(settings).map(|(line, setting)| format!("{line:width$}  # {}\n", setting.origin)).collect()
}
