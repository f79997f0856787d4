//! What a configuration cannot show by itself, tried out: the data directory, the rules' own cases, addresses, engines.
//! Nothing is changed, and a running gateway is not disturbed.

use std::path::{Path, PathBuf};

use super::load::Loaded;
use super::problem::Problem;

/// What to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Whether a gateway with this configuration runs: it has the addresses, so they are not tried.
    pub running: bool,
}

/// Tries everything; the problems have the places of the settings that they are about.
pub async fn examine(loaded: &Loaded, _extent: Extent) -> Vec<Problem> {
    let mut found = Vec::new();
    found.extend(data_dir(&loaded.resolve(&loaded.config.data_dir)).map(|problem| loaded.place("data_dir", problem)));
    found.extend(cases(loaded));
    found
}

/// Every rule's own cases.
fn cases(loaded: &Loaded) -> Vec<Problem> {
    let failed = loaded.rules.run_cases();
    failed
        .into_iter()
        .map(|failure| {
            let case: String = failure.case.chars().take(120).collect();
            Problem::error(
                format!("rule {}: {}: {case:?}", failure.rule, failure.what),
                "do: change the pattern or the case until they agree",
            )
            .at(failure.file, failure.line, 1)
        })
        .collect()
}

/// What keeps us from writing into the data directory, or from making it.
pub fn data_dir(dir: &Path) -> Option<Problem> {
    let advice = "do: make the directory and give it to the gateway's user (mkdir -p, chown, chmod 700)";
    let there: PathBuf = dir.ancestors().find(|part| part.exists()).unwrap_or(Path::new(".")).to_owned();
    if !there.is_dir() {
        return Some(Problem::error(format!("data_dir {}: {} is no directory", dir.display(), there.display()), advice));
    }
    let probe = there.join(format!(".mailweir-check-{}", std::process::id()));
    let tried = std::fs::OpenOptions::new().write(true).create_new(true).open(&probe);
    let _ = std::fs::remove_file(&probe);
    tried.err().map(|error| Problem::error(format!("cannot write in data_dir {}: {error}", dir.display()), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_directories() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        std::fs::write(path.join("file"), "").unwrap();
        assert_eq!(data_dir(path), None);
        assert_eq!(data_dir(&path.join("a/b/c")), None);
        assert_eq!(std::fs::read_dir(path).unwrap().count(), 1, "nothing is left behind, nothing made");
        let problem = data_dir(&path.join("file/data")).unwrap();
        assert!(problem.what.contains("is no directory"), "{problem}");
        // Not even root can write here.
        assert!(data_dir(Path::new("/proc/mailweir")).unwrap().what.contains("cannot write"));
    }
}
