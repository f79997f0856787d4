//! Trying an engine: does it answer, how old are its signatures, does it find the EICAR test file and let plain text pass,
//! and how big may a message be.

use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::engine::{Answer, Engine, Trouble, TroubleKind, Version};
use super::measure::{Limits, measure};

/// The EICAR test file (eicar.org) is put together at run time, its second half read backwards, so that no scanner takes this
/// program or its source for it.
static EICAR: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let second = b"*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-";
    b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR".iter().chain(second.iter().rev()).copied().collect()
});

/// The same in base64, in two halves.
pub const EICAR_BASE64_HALVES: [&str; 2] =
    ["WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5E", "QVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo="];

/// The 68 bytes of the EICAR test file.
pub fn eicar() -> &'static [u8] {
    &EICAR
}

const CLEAN: &[u8] = b"Nothing is in this text that any engine should find.\r\n";

/// How an engine stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Not tried yet.
    Unknown,
    /// It answers, finds the EICAR test file and lets plain text pass.
    Up,
    /// It does not answer.
    Down {
        /// What happened instead.
        reason: String,
    },
    /// It answers, but not as an engine must: its *clean* is not believed.
    Wrong {
        /// What it got wrong.
        reason: String,
    },
}

/// What is known of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// As written in `engines`.
    pub engine: String,
    /// How it stands.
    #[serde(flatten)]
    pub state: State,
    /// Program and version.
    pub version: Option<String>,
    /// The number of its signature database, or of its signatures.
    pub signatures: Option<u32>,
    /// When its signatures were made.
    pub signature_time: Option<Timestamp>,
    /// How old they were when it was asked, in hours.
    pub signature_age_hours: Option<u64>,
    /// Whether it found the EICAR test file; `None` if it could not be asked.
    pub eicar_found: Option<bool>,
    /// Whether it let plain text pass.
    pub clean_passed: Option<bool>,
    /// The largest stream it takes, in bytes; `None`: messages of `message_size` and more, or not measured.
    pub stream_limit: Option<u64>,
    /// The largest object it was seen to look into, in bytes; `None`: not measured, or no limit.
    pub scan_limit: Option<u64>,
    /// What an administrator should change, with the lines of clamd.conf.
    pub warnings: Vec<String>,
    /// When it was asked.
    pub checked_at: Timestamp,
}

impl EngineStatus {
    /// Of an engine that has not been tried.
    pub fn unknown(engine: &str) -> Self {
        Self {
            engine: engine.to_owned(),
            state: State::Unknown,
            version: None,
            signatures: None,
            signature_time: None,
            signature_age_hours: None,
            eicar_found: None,
            clean_passed: None,
            stream_limit: None,
            scan_limit: None,
            warnings: Vec::new(),
            checked_at: Timestamp::now(),
        }
    }

    /// Of an engine that does not answer.
    pub fn down(engine: &str, trouble: &Trouble) -> Self {
        Self { state: State::Down { reason: trouble.detail.clone() }, ..Self::unknown(engine) }
    }

    /// Takes over what the engine says of itself, and warns if its signatures are older than `old`.
    fn tell(&mut self, version: Version, old: Duration) {
        self.version = Some(version.program);
        self.signatures = version.signatures;
        self.signature_time = version.signature_time;
        self.warnings = version.warnings;
        let age = version.signature_time.and_then(|time| Duration::try_from(self.checked_at.duration_since(time)).ok());
        self.signature_age_hours = age.map(|age| age.as_secs() / 3600);
        if let Some(age) = age.filter(|age| *age > old) {
            self.warnings.push(format!("its signatures are {} days old: see why freshclam does not update them", age.as_secs() / 86_400));
        }
    }
}

/// What a probe needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// For each question to the engine.
    pub timeout: Duration,
    /// From which age on signatures are old.
    pub signature_age: Duration,
    /// What must fit through the engine, in bytes.
    pub message_size: u64,
}

/// Tries an engine: everything, its limits included. The limits are `None` where it has none, or they could not be measured.
pub async fn probe(engine: &dyn Engine, terms: &Terms) -> (EngineStatus, Option<Limits>) {
    let version = match version(engine, terms.timeout).await {
        Ok(version) => version,
        Err(trouble) => return (EngineStatus::down(engine.name(), &trouble), None),
    };
    let warn_of_age = if engine.has_limits() { terms.signature_age } else { Duration::MAX };
    let mut status = EngineStatus::unknown(engine.name());
    status.tell(version, warn_of_age);
    let (found, clean) = (ask(engine, eicar(), terms).await, ask(engine, CLEAN, terms).await);
    status.eicar_found = yes_or_no(&found, matches!(found, Answer::Found(_)));
    status.clean_passed = yes_or_no(&clean, clean == Answer::Clean);
    status.state = state(&found, &clean);
    if status.state != State::Up || !engine.has_limits() {
        return (status, None);
    }
    let limits = match measure(engine, terms.message_size, terms.timeout).await {
        Ok(limits) => limits,
        Err(trouble) => {
            status.warnings.push(format!("its limits could not be measured: {trouble}"));
            return (status, None);
        }
    };
    status.stream_limit = limits.stream;
    status.scan_limit = Some(limits.looked_into);
    status.warnings.extend(limits.warnings(terms.message_size));
    (status, Some(limits))
}

/// Asks for the version within `patience`.
pub async fn version(engine: &dyn Engine, patience: Duration) -> Result<Version, Trouble> {
    let late = |_| Err(Trouble::new(TroubleKind::Time, format!("no answer within {patience:?}")));
    timeout(patience, engine.version()).await.unwrap_or_else(late)
}

async fn ask(engine: &dyn Engine, bytes: &'static [u8], terms: &Terms) -> Answer {
    let late = |_| Answer::trouble(TroubleKind::Time, format!("no answer within {:?}", terms.timeout));
    timeout(terms.timeout, engine.scan(bytes.into())).await.unwrap_or_else(late)
}

fn yes_or_no(answer: &Answer, yes: bool) -> Option<bool> {
    (!matches!(answer, Answer::CouldNotTell(_))).then_some(yes)
}

fn state(eicar: &Answer, clean: &Answer) -> State {
    match (eicar, clean) {
        (Answer::CouldNotTell(trouble), _) | (_, Answer::CouldNotTell(trouble)) => State::Down { reason: trouble.detail.clone() },
        (Answer::Clean, _) => {
            State::Wrong { reason: "it does not find the EICAR test file: see which signatures it has loaded".to_owned() }
        }
        (_, Answer::Found(name)) => State::Wrong { reason: format!("it finds {name} in a plain text") },
        (Answer::Found(_), Answer::Clean) => State::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    #[test]
    fn eicar_is_eicar() {
        assert_eq!(eicar().len(), 68);
        let digest: String = Sha256::digest(eicar()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f");
        assert_eq!(EICAR_BASE64_HALVES.concat().len(), 92);
    }

    #[test]
    fn states() {
        let found = || Answer::Found("Eicar".to_owned());
        let down = || Answer::trouble(TroubleKind::Unavailable, "gone");
        assert_eq!(state(&found(), &Answer::Clean), State::Up);
        assert!(matches!(state(&Answer::Clean, &Answer::Clean), State::Wrong { .. }));
        assert!(matches!(state(&found(), &found()), State::Wrong { .. }));
        assert!(matches!(state(&down(), &Answer::Clean), State::Down { .. }));
        assert!(matches!(state(&found(), &down()), State::Down { .. }));
    }

    #[test]
    fn status_as_json() {
        let trouble = Trouble::new(TroubleKind::Unavailable, "connection refused");
        let json = serde_json::to_value(EngineStatus::down("clamd:tcp:h:1", &trouble)).unwrap();
        assert_eq!((json["state"].as_str(), json["reason"].as_str()), (Some("down"), Some("connection refused")));
        assert_eq!(serde_json::from_value::<EngineStatus>(json).unwrap().engine, "clamd:tcp:h:1");
    }

    #[test]
    fn old_signatures_are_warned_of() {
        let mut status = EngineStatus::unknown("x");
        let time = status.checked_at.checked_sub(jiff::SignedDuration::from_hours(10 * 24)).unwrap();
        let version = Version { signature_time: Some(time), ..Version::default() };
        status.tell(version.clone(), Duration::from_hours(11 * 24));
        assert_eq!((status.signature_age_hours, status.warnings.len()), (Some(240), 0));
        status.tell(version, Duration::from_hours(9 * 24));
        assert!(status.warnings[0].contains("10 days old"), "{:?}", status.warnings);
    }
}
