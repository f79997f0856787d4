//! The checks, one file each. A check reports; it never decides and never sees the store.
//!
//! ```text
//!  Message ─┬─► antivirus: every engine, every object ───────────────────┬─► findings of each check, or why there are none
//!           └─► rules' hits, once ─┬─► heuristics ───────────────────────┤   (late, panicked: could not tell, never a pass)
//!               (blocking threads) └─► content ──────────────────────────┘
//! ```

pub mod antivirus;
pub mod content;
mod cores;
pub mod heuristics;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use metrics::{describe_histogram, histogram};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

use crate::mail::units::Period;
use crate::mail::{Class, Context, Finding, Message, Mode, Reason};
use crate::rules::{Hit, RuleSet};
use antivirus::Antivirus;
use cores::{Cores, Failure};

/// How long the checks may take for a message that was not taken apart to its end: it will not be delivered, and nobody shall wait long
/// to hear that.
const IN_SHORT: Duration = Duration::from_secs(2);

/// With more text, in bytes, or more parts than this, a message has its rules applied on a slow thread beside the others.
const MUCH_TEXT: usize = 4 << 20;
const MANY_PARTS: usize = 500;
/// How much lower that thread's priority is, in steps of nice(2).
const SLOW: i32 = 10;

/// The virus check keeps the deadline itself and then says what it knows; this much later it is not waited for.
const GRACE: Duration = Duration::from_secs(1);

/// The checks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Spam heuristics.
    Heuristics,
    /// Content suitability.
    Content,
    /// Virus engines.
    Antivirus,
}

impl Check {
    /// The word, as in `inspect.checks` and in findings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heuristics => "heuristics",
            Self::Content => "content",
            Self::Antivirus => antivirus::CHECK,
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Settings of the checks as a whole, the `[inspect]` table.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Which checks run: `heuristics`, `content`, `antivirus`. None (`[]`) is a bare relay. Default: all three.
    pub checks: Vec<Check>,
    /// How long all of them together may take for one message; then *could not tell (time)*. Default: `60s`.
    pub scan_time: Period,
}

impl Default for Settings {
    fn default() -> Self {
        Self { checks: vec![Check::Heuristics, Check::Content, Check::Antivirus], scan_time: Period(Duration::from_secs(60)) }
    }
}

/// Runs the checks on messages. One for the whole program; messages share its places for CPU work and the engines' slots.
pub struct Inspector {
    checks: Vec<Check>,
    scan_time: Duration,
    content: Arc<content::Settings>,
    rules: Option<Arc<RuleSet>>,
    antivirus: Option<Arc<Antivirus>>,
    cores: Cores,
    /// For messages with much text.
    slow: Cores,
    /// A message that was not taken apart to its end is not delivered.
    limits_hold: bool,
}

/// How a message is looked at.
#[derive(Debug, Clone, Copy)]
struct Look {
    deadline: Instant,
    /// It was not taken apart to its end and will not be delivered: what else there is to know is asked for in short.
    in_short: bool,
}

/// What came of each check.
type Results = Vec<(Check, Result<Vec<Finding>, Failure>)>;

impl Inspector {
    /// The checks of `settings`. One that is asked for and whose `rules` or `antivirus` is missing is *could not tell* for every message.
    pub fn new(settings: &Settings, content: &content::Settings, rules: Option<Arc<RuleSet>>, antivirus: Option<Arc<Antivirus>>) -> Self {
        let mut checks = Vec::new();
        for check in &settings.checks {
            if !checks.contains(check) {
                checks.push(*check);
            }
        }
        let (content, cores, slow) = (Arc::new(content.clone()), Cores::all(), Cores::slow(SLOW));
        Self { checks, scan_time: settings.scan_time.0, content, rules, antivirus, cores, slow, limits_hold: false }
    }

    /// The same, where messages that were not taken apart to their end are not delivered (`on_unscannable`): less time is spent on them then.
    pub fn limits_hold(self, limits_hold: bool) -> Self {
        Self { limits_hold, ..self }
    }

    /// No checks at all: nobody looks at anything but the header fields.
    pub fn is_bare(&self) -> bool {
        self.checks.is_empty()
    }

    /// All findings about a message: those of its decomposition and those of every check that `mode` lets run. Takes `scan_time` at
    /// most (and a second). A check that did not finish is a finding too. With no checks at all there are none (a bare relay).
    ///
    /// Where it was not taken apart to its end (a limit, damage, an unknown container) and will not be delivered for that, the checks
    /// have two seconds; what they did not come to is *could not tell (limit)*.
    pub async fn run(&self, message: Arc<Message>, context: Arc<Context>, mode: Mode) -> Vec<Finding> {
        // In observe mode what could not be opened holds nothing.
        let in_short = self.limits_hold && mode != Mode::Observe && message.findings.iter().any(is_unscannable);
        self.look(message, context, mode, in_short).await
    }

    /// The same with all the time there is, for a message that a person wants to release.
    pub async fn run_in_full(&self, message: Arc<Message>, context: Arc<Context>, mode: Mode) -> Vec<Finding> {
        self.look(message, context, mode, false).await
    }

    async fn look(&self, message: Arc<Message>, context: Arc<Context>, mode: Mode, in_short: bool) -> Vec<Finding> {
        if self.checks.is_empty() {
            return Vec::new();
        }
        let time = if in_short { self.scan_time.min(IN_SHORT) } else { self.scan_time };
        let look = Look { deadline: Instant::now() + time, in_short };
        let (engines, rules) = tokio::join!(self.ask_engines(&message, look), self.apply_rules(&message, &context, mode, look.deadline));
        let mut findings = message.findings.clone();
        findings.extend(gather(engines.into_iter().chain(rules).collect(), in_short));
        findings
    }

    /// Whether the threads that checks run on do anything within this time: for a watchdog.
    pub async fn responds(&self, within: Duration) -> bool {
        self.cores.respond(Instant::now() + within).await
    }

    async fn ask_engines(&self, message: &Arc<Message>, Look { deadline, in_short }: Look) -> Results {
        if !self.checks.contains(&Check::Antivirus) {
            return Vec::new();
        }
        let Some(antivirus) = self.antivirus.clone() else { return vec![(Check::Antivirus, Err(Failure::Missing))] };
        let message = message.clone();
        // A task of its own, so that a panic in it ends there.
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            if in_short { antivirus.scan_in_short(&message, deadline).await } else { antivirus.scan_until(&message, deadline).await }
        }));
        let started = Instant::now();
        let result = match timeout_at(deadline + GRACE, task).await {
            Ok(Ok(findings)) => Ok(findings),
            Ok(Err(_)) => Err(Failure::Panicked),
            Err(_) => Err(Failure::Late),
        };
        observe(Check::Antivirus, started);
        vec![(Check::Antivirus, result)]
    }

    async fn apply_rules(&self, message: &Arc<Message>, context: &Arc<Context>, mode: Mode, deadline: Instant) -> Results {
        let is_wanted = |check: &Check| mode != Mode::AvOnly && *check != Check::Antivirus;
        let checks: Vec<Check> = self.checks.iter().copied().filter(is_wanted).collect();
        if checks.is_empty() {
            return Vec::new();
        }
        let Some(rules) = self.rules.clone() else { return failed(&checks, Failure::Missing) };
        let hits = {
            let (message, context) = (message.clone(), context.clone());
            let cores = if is_long(&message) { &self.slow } else { &self.cores };
            cores.run(deadline, move || Arc::<[Hit]>::from(rules.hits(&message, &context))).await
        };
        match hits {
            Ok(hits) => join_all(checks.into_iter().map(|check| self.judge(check, hits.clone(), message, context, deadline))).await,
            Err(failure) => failed(&checks, failure),
        }
    }

    /// One check that works from the rules' hits.
    async fn judge(
        &self,
        check: Check,
        hits: Arc<[Hit]>,
        message: &Arc<Message>,
        context: &Arc<Context>,
        deadline: Instant,
    ) -> (Check, Result<Vec<Finding>, Failure>) {
        let (message, context, settings) = (message.clone(), context.clone(), self.content.clone());
        let cores = if is_long(&message) { &self.slow } else { &self.cores };
        let started = Instant::now();
        let work = move || match check {
            Check::Heuristics => heuristics::check(&hits),
            Check::Content => content::check(&settings, &hits, &message, &context),
            Check::Antivirus => Vec::new(),
        };
        let result = cores.run(deadline, work).await;
        observe(check, started);
        (check, result)
    }
}

fn failed(checks: &[Check], failure: Failure) -> Results {
    checks.iter().map(|check| (*check, Err(failure))).collect()
}

/// Whether it says that something was not opened, for a reason that does not pass: a limit, damage, an unknown container.
fn is_unscannable(finding: &Finding) -> bool {
    matches!(finding.class, Class::CouldNotTell { reason } if !reason.is_passing())
}

/// Whether rules have long to do for it.
fn is_long(message: &Message) -> bool {
    let text = || message.parts.iter().map(|part| part.text.as_ref().map_or(0, String::len)).sum::<usize>();
    message.parts.len() > MANY_PARTS || text() > MUCH_TEXT
}

/// The findings of all checks; those that gave none because they failed are named in one finding for each kind of failure.
fn gather(results: Results, in_short: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut without: [(Failure, Vec<&str>); 3] = [Failure::Late, Failure::Panicked, Failure::Missing].map(|failure| (failure, Vec::new()));
    for (check, result) in results {
        match result {
            Ok(found) => findings.extend(found),
            Err(failure) => without.iter_mut().filter(|(kind, _)| *kind == failure).for_each(|(_, names)| names.push(check.as_str())),
        }
    }
    let named = without.into_iter().filter(|(_, names)| !names.is_empty());
    findings.extend(named.map(|(failure, names)| unchecked(failure, in_short, &names.join(", "))));
    findings
}

fn unchecked(failure: Failure, in_short: bool, names: &str) -> Finding {
    let (code, reason, words) = match failure {
        Failure::Late if in_short => {
            ("check.limit", Reason::Limit, "Checks that did not finish in the short time for a message that is held anyway")
        }
        Failure::Late => ("check.time", Reason::Time, "Checks that did not finish in time"),
        Failure::Panicked => ("check.panicked", Reason::Malformed, "Checks that failed on this message"),
        Failure::Missing => ("check.missing", Reason::Unavailable, "Checks that are asked for and not there"),
    };
    Finding::new("inspect", code, Class::CouldNotTell { reason }, words, names)
}

fn observe(check: Check, started: Instant) {
    histogram!("mailweir_check_seconds", "check" => check.as_str()).record(started.elapsed());
}

/// Describes the metrics of this module and of the engines.
pub fn describe() {
    antivirus::describe();
    describe_histogram!("mailweir_check_seconds", "Time a check took for a message, waiting for a core or a slot included");
}

#[cfg(test)]
mod tests;
