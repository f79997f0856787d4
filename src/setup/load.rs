//! From a file to a configuration that can be used, or to everything that is wrong with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config::{Config, examples};
use super::effective;
use super::problem::{Problem, Source};
use super::read::{Position, read};
use super::validate::{self, Checker};
use super::version::version;
use crate::mail::{Routes, VersionId};
use crate::rules::RuleSet;

/// Where a configuration is looked for, in this order, when none is named.
pub const PLACES: [&str; 2] = ["./mailweir.toml", "/etc/mailweir/mailweir.toml"];

/// A configuration that the gateway can start with.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings, with what depends on other settings filled in.
    pub config: Config,
    /// The file, as it was named.
    pub file: String,
    /// The directory that relative paths begin at.
    pub dir: PathBuf,
    /// The routes, with their lists of recipients.
    pub routes: Arc<Routes>,
    /// The shipped rules and those of the configuration's directories.
    pub rules: Arc<RuleSet>,
    /// The version of all this.
    pub version: VersionId,
    /// What somebody should know although it is no error.
    pub warnings: Vec<Problem>,
    /// Where each setting of the file stands.
    places: BTreeMap<String, Position>,
}

impl Loaded {
    /// A path of the configuration, from the configuration file's directory.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// The line on which a setting (`route[0].name`) stands in the file; `None` for a default.
    pub fn line_of(&self, path: &str) -> Option<usize> {
        self.places.get(path).map(|place| place.key.0)
    }

    /// Puts a problem at a setting.
    pub fn place(&self, path: &str, problem: Problem) -> Problem {
        match self.places.get(path) {
            Some(place) => problem.at(&self.file, place.value.0, place.value.1),
            None => problem.at(&self.file, 0, 0),
        }
    }
}

/// The configuration file: the one that was named, else the first of [`PLACES`] that is there.
pub fn find(named: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    PLACES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.exists())
        .ok_or_else(|| format!("no configuration file: there is no {} and no {}; name one with --config FILE", PLACES[0], PLACES[1]))
}

/// Loads a file. Touches no socket and changes nothing; reads the files that the configuration names.
pub fn load(path: &Path) -> Result<Loaded, Vec<Problem>> {
    let (name, text) = read_text(path)?;
    load_text(&text, &name, path.parent().unwrap_or(Path::new("")))
}

/// Loads a text; `name` stands for the file in messages, and relative paths begin at the current directory.
pub fn load_str(text: &str, name: &str) -> Result<Loaded, Vec<Problem>> {
    load_text(text, name, Path::new(""))
}

/// The settings alone, without reading any file that they name: for clients of a running gateway, which may not be allowed to.
pub fn read_config(path: &Path) -> Result<Config, Vec<Problem>> {
    let (name, text) = read_text(path)?;
    let read = read::<Config>(&Source { name: &name, text: &text }, &examples());
    match read.value {
        Some(mut config) if !read.problems.iter().any(Problem::is_error) => {
            config.fill();
            Ok(config)
        }
        _ => Err(read.problems),
    }
}

/// The admin socket that a file names, whatever else is wrong with it: clients must reach a gateway whose file was broken since.
///
/// # Errors
/// When nothing of the file can be read.
pub fn admin_socket(path: &Path) -> Result<PathBuf, Vec<Problem>> {
    let (name, text) = read_text(path)?;
    let read = read::<Config>(&Source { name: &name, text: &text }, &examples());
    let config = read.value.ok_or(read.problems)?;
    Ok(config.resolved(path.parent().unwrap_or(Path::new(""))).admin.socket)
}

fn read_text(path: &Path) -> Result<(String, String), Vec<Problem>> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        vec![Problem::error(format!("cannot read the configuration: {error}"), "do: name a readable file with --config").at(&name, 0, 0)]
    })?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let valid = String::from_utf8_lossy(error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default()).into_owned();
            let (line, column) = Source { name: &name, text: &valid }.position(valid.len());
            Err(vec![Problem::error("not UTF-8 text", "do: save it as UTF-8").at(name, line, column)])
        }
    }
}

/// Every mistake in the settings of a text; the rules are not looked at.
pub fn check_str(text: &str, name: &str) -> Vec<Problem> {
    let read = read::<Config>(&Source { name, text }, &examples());
    let mut problems = read.problems;
    if let Some(config) = read.value {
        let mut checker = Checker::new(&config, (name, Path::new("")), &read.places, &read.broken_lines, &read.removed);
        validate::settings(&mut checker);
        validate::routes(&mut checker);
        problems.extend(checker.problems);
    }
    problems
}

fn load_text(text: &str, name: &str, dir: &Path) -> Result<Loaded, Vec<Problem>> {
    let read = read::<Config>(&Source { name, text }, &examples());
    let mut problems = read.problems;
    let Some(mut config) = read.value else { return Err(problems) };
    let mut checker = Checker::new(&config, (name, dir), &read.places, &read.broken_lines, &read.removed);
    if !read.incomplete {
        validate::settings(&mut checker);
    }
    let routes = Arc::new(Routes::new(validate::routes(&mut checker)));
    let rules = validate::rules(&mut checker);
    problems.extend(checker.problems);
    problems.sort_by(|a, b| (a.file != name, &a.file, a.line, a.column).cmp(&(b.file != name, &b.file, b.line, b.column)));
    let Some(rules) = rules.filter(|_| !problems.iter().any(Problem::is_error)) else { return Err(problems) };
    config.fill();
    let version = version(&effective::canonical(&config), rules.source_digest());
    Ok(Loaded { config, file: name.to_owned(), dir: dir.to_owned(), routes, rules, version, warnings: problems, places: read.places })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::config::EXAMPLE;

    #[test]
    fn the_example_is_right() {
        let loaded = load_str(EXAMPLE, "example.toml").unwrap();
        assert_eq!(loaded.warnings, []);
        assert_eq!(loaded.config.hostname, "mx1.example.gov.uk");
        assert!(loaded.routes.get("exchange").is_some());
        assert_eq!(loaded.line_of("hostname"), Some(2));
    }

    #[test]
    fn no_file() {
        let error = load(Path::new("/nonexistent/mailweir.toml")).unwrap_err();
        assert!(
            error[0].to_string().starts_with("/nonexistent/mailweir.toml: error: cannot read the configuration: No such file"),
            "{}",
            error[0]
        );
        assert_eq!(find(Some(Path::new("x.toml"))), Ok("x.toml".into()));
    }

    #[test]
    fn a_password_file_is_read_and_never_shown() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (file, password) = (dir.path().join("m.toml"), dir.path().join("password"));
        std::fs::write(&password, "s3cret\n").unwrap();
        let smart = "next_hops = [\"smtp.example:587\"]\ntls = \"required\"\nusername = \"ann\"\npassword_file = \"password\"";
        let text = EXAMPLE.replace("next_hops = [\"mx\"]", smart).replace("unknown_user = \"exchange\"", "");
        std::fs::write(&file, text).unwrap();
        for (mode, warnings) in [(0o640, 0), (0o644, 1)] {
            std::fs::set_permissions(&password, std::fs::Permissions::from_mode(mode)).unwrap();
            let loaded = load(&file).unwrap();
            assert_eq!(loaded.warnings.len(), warnings, "{:?}", loaded.warnings);
            assert!(loaded.warnings.iter().all(|warning| warning.what.contains("everybody on this machine may read")));
            let auth = loaded.routes.get("internet").and_then(|route| route.auth.clone()).unwrap();
            assert_eq!((auth.user.as_str(), auth.password.as_str()), ("ann", "s3cret"));
            let shown = format!("{loaded:?} {:?} {}", effective::effective(&loaded), effective::canonical(&loaded.config));
            assert!(shown.contains("password_file") && !shown.contains("s3cret"));
            let resolved = loaded.config.resolved(dir.path());
            assert!(resolved.routes.iter().any(|route| route.password_file.as_ref() == Some(&password)));
        }
    }

    #[test]
    fn not_utf8() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.toml");
        std::fs::write(&path, b"hostname = \"a\"\n# caf\xe9\n").unwrap();
        let error = load(&path).unwrap_err();
        assert_eq!((error[0].line, error[0].column), (2, 6));
    }
}
