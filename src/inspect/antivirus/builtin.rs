//! The engine `builtin`: lists of hashes and literals in ClamAV's text formats, for local lists and machines without clamd.
//! It unpacks nothing and knows nothing of its own but the EICAR test file: no substitute for a real engine, and it says so.

mod signatures;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use aho_corasick::AhoCorasick;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::engine::{Answer, Engine, Trouble, TroubleKind, Version, misspelled};
use super::probe::eicar;
use super::settings::{Settings, SettingsError};
use signatures::{Hashes, Lists};

/// How it is written in `engines`.
pub const USAGE: &str = "\"builtin:DIRECTORY\" with .hdb, .hsb or .ndb files in it";

/// What its status always says.
const NO_SUBSTITUTE: &str = "the built-in engine only knows the lists in its directory and unpacks nothing itself: it is no substitute for a \
                             real engine such as clamd";

/// The largest list file that is read, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Whether `rest`, what follows `builtin:`, is there at all.
pub fn check(spec: &str, rest: &str) -> Result<(), SettingsError> {
    if rest.is_empty() { Err(misspelled(spec, USAGE)) } else { Ok(()) }
}

/// Reads the lists in the directory that `rest` names. Blocking.
pub fn build(spec: &str, rest: &str, _: &Settings) -> Result<Arc<dyn Engine>, SettingsError> {
    check(spec, rest)?;
    let unusable = |what: String| {
        SettingsError::new("engines", format!("{spec:?}: {what}"), "name a readable directory with .hdb, .hsb or .ndb files")
    };
    let loaded = load(Path::new(rest)).map_err(unusable)?;
    Ok(Arc::new(Builtin { name: spec.to_owned(), matcher: Arc::new(loaded.0), version: loaded.1 }))
}

struct Builtin {
    name: String,
    matcher: Arc<Matcher>,
    version: Version,
}

/// All lists in one: hashes by look-up, literals by one automaton.
struct Matcher {
    hashes: Hashes,
    literals: AhoCorasick,
    names: Vec<String>,
    /// Signatures read from the lists; the built-in EICAR is not one of them.
    count: usize,
}

fn load(directory: &Path) -> Result<(Matcher, Version), String> {
    let mut lists = Lists::default();
    let mut warnings = vec![NO_SUBSTITUTE.to_owned()];
    let mut newest = None;
    for path in files(directory)? {
        if let Some(changed) = read(&path, &mut lists)? {
            newest = newest.max(Some(changed));
        } else {
            warnings.push(format!("{} is of no format that it reads", path.display()));
        }
    }
    if let Some(first) = &lists.first_not_understood {
        warnings.push(format!("{} lines of its lists are not understood, the first is {first}", lists.not_understood));
    }
    let count = lists.len();
    let version = Version {
        program: format!("built-in, {count} signatures"),
        signatures: u32::try_from(count).ok(),
        signature_time: newest.and_then(|time| Timestamp::try_from(time).ok()),
        warnings,
    };
    Ok((Matcher::new(lists, count)?, version))
}

fn files(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let fault = |error: std::io::Error| format!("cannot read {}: {error}", directory.display());
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads one file into `lists`; `None` if it is of another format, else when it was last changed.
fn read(path: &Path, lists: &mut Lists) -> Result<Option<SystemTime>, String> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !lists.read("", &extension, b"") {
        return Ok(None);
    }
    let fault = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let about = fs::metadata(path).map_err(fault)?;
    if about.len() > MAX_FILE {
        return Err(format!("{} is larger than {MAX_FILE} bytes", path.display()));
    }
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    lists.read(&file, &extension, &fs::read(path).map_err(fault)?);
    about.modified().map(Some).map_err(fault)
}

impl Matcher {
    fn new(lists: Lists, count: usize) -> Result<Self, String> {
        let (mut literals, mut names): (Vec<_>, Vec<_>) = lists.literals.into_iter().unzip();
        // Last, so that a list's own name for it wins.
        literals.push(eicar().to_vec());
        names.push("Test.EICAR".to_owned());
        let literals = AhoCorasick::new(&literals).map_err(|error| format!("its literals make no matcher: {error}"))?;
        Ok(Self { hashes: lists.hashes, literals, names, count })
    }

    fn look(&self, bytes: &[u8]) -> Answer {
        let name = self.by_hash(bytes).or_else(|| self.by_literal(bytes));
        match name {
            Some(name) => Answer::Found(name.to_owned()),
            // A list that is empty says nothing about anything.
            None if self.count == 0 => Answer::trouble(TroubleKind::Unavailable, "its directory holds no signature"),
            None => Answer::Clean,
        }
    }

    fn by_hash(&self, bytes: &[u8]) -> Option<&str> {
        let size = bytes.len() as u64;
        let wanted = |length| self.hashes.wanted(length, size);
        let md5 = || wanted(16).then(|| self.hashes.get(&Md5::digest(bytes), size))?;
        let sha1 = || wanted(20).then(|| self.hashes.get(&Sha1::digest(bytes), size))?;
        let sha256 = || wanted(32).then(|| self.hashes.get(&Sha256::digest(bytes), size))?;
        md5().or_else(sha1).or_else(sha256)
    }

    fn by_literal(&self, bytes: &[u8]) -> Option<&str> {
        let found = self.literals.find(bytes)?;
        self.names.get(found.pattern().as_usize()).map(String::as_str)
    }
}

impl Engine for Builtin {
    fn name(&self) -> &str {
        &self.name
    }

    fn scan(&self, bytes: Bytes) -> BoxFuture<'_, Answer> {
        let matcher = self.matcher.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || matcher.look(&bytes)).await {
                Ok(answer) => answer,
                Err(error) => Answer::trouble(TroubleKind::Unavailable, format!("the built-in engine failed: {error}")),
            }
        })
    }

    fn version(&self) -> BoxFuture<'_, Result<Version, Trouble>> {
        Box::pin(async { Ok(self.version.clone()) })
    }

    fn has_limits(&self) -> bool {
        false
    }

    fn wants_whole_parts(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Arc<dyn Engine>, SettingsError>) {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let spec = format!("builtin:{}", directory.path().display());
        let engine = super::super::engine::build(&spec, &Settings::default());
        (directory, engine)
    }

    #[tokio::test]
    async fn finds_what_is_on_its_lists() {
        let md5 = "900150983cd24fb0d6963f7d28e17f72:3:Hash.Md5\n";
        let sha = "a9993e364706816aba3e25717850c26c9cd0d89d:*:Hash.Sha1\n\
                   ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad:3:Hash.Sha256\n";
        let literals = "Literal.One:0:*:6e6565646c65\nLiteral.Wild:0:*:6e65??6c65\n";
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a [u8], Option<&'a str>);
        let rows: &[Row<'_>] = &[
            (&[("a.hdb", md5)], b"abc", Some("Hash.Md5")),
            (&[("a.hdb", md5)], b"abcd", None),
            (&[("a.hsb", sha)], b"abc", Some("Hash.Sha1")),
            (&[("a.hsb", &sha[sha.find('\n').unwrap() + 1..])], b"abc", Some("Hash.Sha256")),
            (&[("a.ndb", literals)], b"hay needle hay", Some("Literal.One")),
            (&[("a.ndb", literals)], b"hay needl", None),
            (&[("a.ndb", literals), ("b.hdb", md5)], eicar(), Some("Test.EICAR")),
        ];
        for (files, bytes, want) in rows {
            let (_directory, engine) = engine(files);
            let want = want.map_or(Answer::Clean, |name| Answer::Found(name.to_owned()));
            assert_eq!(engine.unwrap().scan(Bytes::copy_from_slice(bytes)).await, want, "{files:?}");
        }
    }

    #[tokio::test]
    async fn says_what_it_is_and_what_it_did_not_read() {
        let (_directory, engine) =
            engine(&[("a.ndb", "A:0:*:41414141\nB:0:5:41414141\nC:0:*:4141??41"), ("daily.cvd", "x"), (".hidden", "x")]);
        let version = engine.unwrap().version().await.unwrap();
        assert_eq!((version.program.as_str(), version.signatures), ("built-in, 1 signatures", Some(1)));
        assert!(version.signature_time.is_some());
        assert!(version.warnings[0].contains("no substitute"));
        assert!(version.warnings.iter().any(|text| text.contains("2 lines") && text.contains("a.ndb:2")), "{:?}", version.warnings);
        assert!(version.warnings.iter().any(|text| text.contains("daily.cvd")), "{:?}", version.warnings);
        assert_eq!(version.warnings.len(), 3);
    }

    #[tokio::test]
    async fn an_empty_list_is_not_clean() {
        let (_directory, engine) = engine(&[]);
        let answer = engine.unwrap().scan(Bytes::from_static(b"hello")).await;
        assert!(matches!(answer, Answer::CouldNotTell(ref trouble) if trouble.kind == TroubleKind::Unavailable), "{answer:?}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_of_the_settings() {
        let error = super::super::engine::build("builtin:/nonexistent/lists", &Settings::default()).err().unwrap();
        assert!(error.to_string().contains("cannot read /nonexistent/lists"), "{error}");
    }
}
