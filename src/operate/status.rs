//! `status`: is it well? A verdict for monitors with its reasons, and everything it rests on.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::reload::NotReloaded;
use crate::mail::{Area, Mode, Place, VersionId};
use crate::pipeline::Age;

/// A queue whose oldest message waits longer than this is a warning.
pub const QUEUE_WARNING: SignedDuration = SignedDuration::from_mins(30);
/// And longer than this is critical.
pub const QUEUE_CRITICAL: SignedDuration = SignedDuration::from_hours(4);
/// Seconds that a state may go past its deadline before somebody must look: what acts on it does so every few minutes.
pub const PAST_DEADLINE: u64 = 3600;
/// How well it is; the exit code of `mailweir status` is its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok = 0,
    /// Mail flows, and somebody should look.
    Warning = 1,
    /// Mail does not flow, or unscanned.
    Critical = 2,
}

impl Verdict {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One reason for a verdict that is not ok.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Because {
    /// How bad.
    pub verdict: Verdict,
    /// What, in words.
    pub what: String,
}

/// A virus engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Engine {
    /// Its name in the configuration.
    pub name: String,
    /// It answers, finds EICAR and passes what is clean.
    pub up: bool,
    /// Its version, as it says.
    pub version: String,
    /// When its signatures were made, where it says so.
    pub signatures: Option<Timestamp>,
    /// What should be changed about it.
    pub warnings: Vec<String>,
}

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// `host:port`.
    pub hop: String,
    /// The route it belongs to.
    pub route: String,
    /// It took the last connection.
    pub up: bool,
    /// Since when it is up or down; `None` before the first attempt.
    pub since: Option<Timestamp>,
    /// What it said last.
    pub last: String,
    /// Open connections to it.
    pub connections: usize,
}

/// A listener for mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Its name in the configuration.
    pub name: String,
    /// Where it listens.
    pub address: String,
}

/// How much lies in the spool or in an area of the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pile {
    /// Spool or quarantine.
    pub place: Place,
    /// The area, for the quarantine.
    pub area: Option<Area>,
    /// Messages that wait or are held; what is only kept to be looked at does not count.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest was accepted.
    pub oldest: Option<Timestamp>,
}

/// The facts that a verdict is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Our name in SMTP.
    pub hostname: String,
    /// A gateway runs; `false` where the command line reads the store itself.
    pub running: bool,
    /// The version of the program.
    pub program: String,
    /// The version of configuration and rules in force.
    pub version: VersionId,
    /// How strictly findings are acted on.
    pub mode: Mode,
    /// When the gateway started.
    pub started: Option<Timestamp>,
    /// The store takes what is written to it; else why not.
    pub store_trouble: Option<String>,
    /// Why the configuration file is not in force, if the last reload failed.
    #[serde(default)]
    pub not_reloaded: Option<NotReloaded>,
    /// What somebody should know about the look-up index: that it is being made, or cannot be used. Mail does not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// Bound listeners.
    pub listeners: Vec<Listening>,
    /// The virus check is configured to run.
    pub antivirus: bool,
    /// Virus engines.
    pub engines: Vec<Engine>,
    /// Next hops.
    pub hops: Vec<Hop>,
    /// Spool and quarantine.
    pub piles: Vec<Pile>,
    /// Every passing state: how much mail is in it, since when, and until when it may be. Empty where nothing may be changed.
    #[serde(default)]
    pub ages: Vec<Age>,
}

/// The answer of `status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The greatest of the reasons.
    pub verdict: Verdict,
    /// Why it is not ok, gravest first.
    pub reasons: Vec<Because>,
    /// What it rests on.
    #[serde(flatten)]
    pub facts: Facts,
}

/// Judges the facts at the time `now`.
pub fn judge(facts: Facts, now: Timestamp) -> Status {
    let mut reasons = Vec::new();
    let mut say = |verdict, what: String| reasons.push(Because { verdict, what });
    if !facts.running {
        say(Verdict::Critical, "no gateway is running".into());
    } else if facts.listeners.is_empty() {
        say(Verdict::Critical, "no listener takes mail".into());
    }
    if let Some(trouble) = &facts.store_trouble {
        say(Verdict::Critical, format!("the store cannot be written: {trouble}"));
    }
    if let Some(index) = &facts.index {
        say(Verdict::Warning, index.clone());
    }
    if facts.running {
        of_engines(&facts, &mut say);
        for hop in facts.hops.iter().filter(|hop| !hop.up) {
            say(Verdict::Warning, format!("next hop {} ({}) is down{}: {}", hop.hop, hop.route, since(hop.since, now), hop.last));
        }
    }
    if let Some(failed) = &facts.not_reloaded {
        let why = failed.why.join("; ").replace("\n    ", "; ");
        say(Verdict::Warning, format!("not reloaded, version {} stays in force: {why}", facts.version));
    }
    of_piles(&facts.piles, now, &mut say);
    if facts.running {
        of_ages(&facts.ages, &mut say);
    }
    if facts.mode != Mode::Normal {
        say(Verdict::Warning, format!("mode is {}", facts.mode));
    }
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.verdict));
    Status { verdict: reasons.iter().map(|reason| reason.verdict).max().unwrap_or(Verdict::Ok), reasons, facts }
}

fn of_engines(facts: &Facts, say: &mut impl FnMut(Verdict, String)) {
    if !facts.antivirus {
        say(Verdict::Warning, "no virus check: mail passes unscanned".into());
        return;
    }
    let any_up = facts.engines.iter().any(|engine| engine.up);
    for engine in &facts.engines {
        if !engine.up {
            let verdict = if any_up { Verdict::Warning } else { Verdict::Critical };
            say(verdict, format!("virus engine {} does not work: {}", engine.name, engine.warnings.join("; ")));
        } else {
            for warning in &engine.warnings {
                say(Verdict::Warning, format!("virus engine {}: {warning}", engine.name));
            }
        }
    }
}

fn of_piles(piles: &[Pile], now: Timestamp, say: &mut impl FnMut(Verdict, String)) {
    for pile in piles.iter().filter(|pile| pile.place == Place::Spool) {
        let waits = pile.oldest.map(|oldest| now.duration_since(oldest)).unwrap_or_default();
        let verdict = match waits {
            waits if waits > QUEUE_CRITICAL => Verdict::Critical,
            waits if waits > QUEUE_WARNING => Verdict::Warning,
            _ => continue,
        };
        say(verdict, format!("{} message(s) in the queue, the oldest for {}", pile.count, age(waits)));
    }
}

/// What should have been acted on, and was not.
fn of_ages(ages: &[Age], say: &mut impl FnMut(Verdict, String)) {
    for late in ages.iter().filter(|age| age.oldest > age.deadline.saturating_add(PAST_DEADLINE)) {
        let name = if late.name.is_empty() { String::new() } else { format!(" ({})", late.name) };
        let seconds = SignedDuration::from_secs(i64::try_from(late.oldest).unwrap_or(i64::MAX));
        say(Verdict::Critical, format!("{}{name}: the oldest for {}, which is past its deadline", late.state, age(seconds)));
    }
}

fn since(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map(|since| format!(" for {}", age(now.duration_since(since)))).unwrap_or_default()
}

/// A length of time for people: its two greatest units (`3 d 4 h`).
pub fn age(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

impl Status {
    /// The one line for monitors: verdict, reasons or the figures that matter.
    pub fn line(&self) -> String {
        let facts = &self.facts;
        if let Some(first) = self.reasons.first() {
            let more = self.reasons.len() - 1;
            let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
            return format!("{}: {}{more}", self.verdict.as_str(), first.what);
        }
        let count = |place| facts.piles.iter().filter(|pile| pile.place == place).map(|pile| pile.count).sum::<u64>();
        let (queued, held) = (count(Place::Spool), count(Place::Quarantine));
        format!("ok: {} in the queue, {} held, {} engine(s), version {}", queued, held, facts.engines.len(), facts.version)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn facts() -> Facts {
        Facts {
            hostname: "mx1.ours.example".into(),
            running: true,
            program: "0.1.0".into(),
            version: VersionId("v1".into()),
            mode: Mode::Normal,
            started: None,
            store_trouble: None,
            not_reloaded: None,
            index: None,
            listeners: vec![Listening { name: "internet".into(), address: "192.0.2.25:25".into() }],
            antivirus: true,
            engines: vec![engine("clamd", true)],
            hops: vec![Hop {
                hop: "gwia:25".into(),
                route: "groupwise".into(),
                up: true,
                since: None,
                last: String::new(),
                connections: 1,
            }],
            piles: vec![],
            ages: vec![],
        }
    }

    fn engine(name: &str, up: bool) -> Engine {
        Engine { name: name.into(), up, version: "1".into(), signatures: None, warnings: vec![] }
    }

    fn not_reloaded() -> NotReloaded {
        let why = vec!["m.toml:3:1: error: wrong\n    write: right".into(), "m.toml: error: bad".into()];
        NotReloaded { at: Timestamp::UNIX_EPOCH, by: "SIGHUP".into(), why }
    }

    #[test]
    fn verdicts() {
        let now: Timestamp = "2026-11-03T12:00:00Z".parse().unwrap();
        let before = |hours: i64| now.checked_sub(SignedDuration::from_hours(hours)).unwrap();
        let spool = |oldest| Pile { place: Place::Spool, area: None, count: 3, bytes: 9, oldest: Some(oldest) };
        let spooled = |oldest| Age { state: "spooled".into(), name: "groupwise".into(), count: 1, oldest, deadline: 432_000 };
        let down = Hop { up: false, since: Some(before(2)), last: "connection refused".into(), ..facts().hops[0].clone() };
        let rows: Vec<(Facts, Verdict, &str)> = vec![
            (facts(), Verdict::Ok, "ok: 0 in the queue, 0 held, 1 engine(s), version v1"),
            (Facts { running: false, ..facts() }, Verdict::Critical, "critical: no gateway is running"),
            (Facts { listeners: vec![], ..facts() }, Verdict::Critical, "critical: no listener takes mail"),
            (
                Facts { store_trouble: Some("no room".into()), ..facts() },
                Verdict::Critical,
                "critical: the store cannot be written: no room",
            ),
            (
                Facts { not_reloaded: Some(not_reloaded()), ..facts() },
                Verdict::Warning,
                "warning: not reloaded, version v1 stays in force: m.toml:3:1: error: wrong; write: right; m.toml: error: bad",
            ),
            (
                Facts { index: Some("the index is being rebuilt, 42 % (42 of 100)".into()), ..facts() },
                Verdict::Warning,
                "warning: the index is being rebuilt, 42 % (42 of 100)",
            ),
            (Facts { antivirus: false, ..facts() }, Verdict::Warning, "warning: no virus check: mail passes unscanned"),
            (Facts { engines: vec![engine("a", false)], ..facts() }, Verdict::Critical, "critical: virus engine a does not work: "),
            (
                Facts { engines: vec![engine("a", false), engine("b", true)], ..facts() },
                Verdict::Warning,
                "warning: virus engine a does not work: ",
            ),
            (
                Facts { engines: vec![Engine { warnings: vec!["its signatures are old".into()], ..engine("a", true) }], ..facts() },
                Verdict::Warning,
                "warning: virus engine a: its signatures are old",
            ),
            (
                Facts { hops: vec![down], ..facts() },
                Verdict::Warning,
                "warning: next hop gwia:25 (groupwise) is down for 2 h 0 min: connection refused",
            ),
            (Facts { ages: vec![spooled(432_000 + 3600)], ..facts() }, Verdict::Ok, "ok: 0 in the queue, 0 held, 1 engine(s), version v1"),
            (
                Facts { ages: vec![spooled(432_000 + 3601)], ..facts() },
                Verdict::Critical,
                "critical: spooled (groupwise): the oldest for 5 d 1 h, which is past its deadline",
            ),
            (Facts { piles: vec![spool(now)], ..facts() }, Verdict::Ok, "ok: 3 in the queue, 0 held, 1 engine(s), version v1"),
            (
                Facts { piles: vec![spool(before(1))], ..facts() },
                Verdict::Warning,
                "warning: 3 message(s) in the queue, the oldest for 1 h 0 min",
            ),
            (
                Facts { piles: vec![spool(before(5))], mode: Mode::Observe, ..facts() },
                Verdict::Critical,
                "critical: 3 message(s) in the queue, the oldest for 5 h 0 min (and 1 more)",
            ),
        ];
        for (facts, verdict, line) in rows {
            let status = judge(facts, now);
            assert_eq!((status.verdict, status.line().as_str()), (verdict, line));
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }
}
