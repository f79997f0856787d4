//! Virus engines, one file each, and how several are asked at once.
//!
//! Every engine is shown every object of the message ([`objects`]). Each answers *found*, *clean* or *could not tell* ([`engine`]);
//! its *clean* is believed only within what was measured of it ([`watched`], [`measure`]); the answers become findings ([`verdict`]).

mod builtin;
mod clamd;
pub mod engine;
mod measure;
pub mod objects;
pub mod probe;
mod remembered;
pub mod settings;
mod verdict;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use metrics::{describe_counter, describe_gauge, describe_histogram};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use probe::{EngineStatus, State};
pub use settings::{Rating, Scan, Settings, SettingsError};
pub use verdict::CHECK;

use crate::mail::{Finding, Message};
use engine::{Answer, TroubleKind};
use objects::Object;
use probe::Terms;
use verdict::Said;
use watched::{WATCH_EVERY, Watched};

/// How many objects of one message each engine is given at once, so that one message with many parts leaves room for others.
const PER_MESSAGE: usize = 4;

/// With more objects, or bytes, than this a message is heavy: all heavy messages together have a quarter of an engine's slots.
const MANY: usize = 200;
const MUCH: usize = 16 << 20;

/// What [`Antivirus::scan`] allows for a whole message.
const MESSAGE_BUDGET: Duration = Duration::from_secs(60);

/// All virus engines. Cheap to share in an `Arc`; the engines' slots are shared by all messages.
pub struct Antivirus {
    engines: Vec<Watched>,
    settings: Settings,
}

impl Antivirus {
    /// The engines of the settings. Reads the lists of a built-in engine (blocking); connects to nothing. `message_size` (bytes)
    /// is what must fit through the engines; their limits are measured against it.
    pub fn new(settings: &Settings, message_size: u64) -> Result<Self, SettingsError> {
        if let Some(problem) = settings.problems().into_iter().next() {
            return Err(problem);
        }
        let terms = Terms { timeout: settings.timeout.0, signature_age: settings.signature_age.0, message_size };
        let build =
            |spec: &String| engine::build(spec, settings).map(|engine| Watched::new(engine, settings.in_flight, settings.remember, terms));
        let engines = settings.engines.iter().map(build).collect::<Result<_, _>>()?;
        Ok(Self { engines, settings: settings.clone() })
    }

    /// Has a message scanned by every engine, within 60 seconds. Never fails: what could not be scanned is a finding.
    pub async fn scan(&self, message: &Arc<Message>) -> Vec<Finding> {
        self.scan_until(message, Instant::now() + MESSAGE_BUDGET).await
    }

    /// As [`Self::scan`], with what is known by `deadline`: what was not scanned by then is *could not tell (time)*.
    pub async fn scan_until(&self, message: &Arc<Message>, deadline: Instant) -> Vec<Finding> {
        verdict::findings(&self.ask_all(message, deadline).await, &self.settings)
    }

    /// As [`Self::scan_until`] for a message that will be held or refused in any case, for what could not be opened: no time is a limit then,
    /// and no reason to have it sent again.
    pub async fn scan_in_short(&self, message: &Arc<Message>, deadline: Instant) -> Vec<Finding> {
        let mut said = self.ask_all(message, deadline).await;
        for Said { answer, .. } in &mut said {
            if let Answer::CouldNotTell(trouble) = answer
                && trouble.kind == TroubleKind::Time
            {
                *answer = Answer::trouble(TroubleKind::Limit, "not scanned to its end: it was not taken apart to its end either");
            }
        }
        verdict::findings(&said, &self.settings)
    }

    async fn ask_all(&self, message: &Arc<Message>, deadline: Instant) -> Vec<Said<'_>> {
        let objects = |engine: &Watched| objects::of(message, self.settings.scan, engine.wants_whole_parts());
        join_all(self.engines.iter().map(|engine| ask(engine, objects(engine), deadline))).await.into_iter().flatten().collect()
    }

    /// Tries every engine: sign of life, version, EICAR, plain text, limits. May take a while; what came out is remembered.
    pub async fn probe(&self) -> Vec<EngineStatus> {
        join_all(self.engines.iter().map(Watched::probe)).await
    }

    /// What was last seen of every engine.
    pub fn status(&self) -> Vec<EngineStatus> {
        self.engines.iter().map(|engine| engine.status().as_ref().clone()).collect()
    }

    /// Watches the engines every 30 seconds until `cancel`: keeps [`Self::status`] and the gauges true.
    pub async fn watch(&self, cancel: CancellationToken) {
        let mut tick = tokio::time::interval(WATCH_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = tick.tick() => {}
            }
            let all = join_all(self.engines.iter().map(Watched::watch_once));
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = all => {}
            }
        }
    }
}

/// What `engine` says of each object, in their order.
async fn ask(engine: &Watched, objects: Vec<Object>, deadline: Instant) -> Vec<Said<'_>> {
    let heavy = objects.len() > MANY || objects.iter().map(|object| object.bytes.len()).sum::<usize>() > MUCH;
    let scans = objects.into_iter().map(|object| async move {
        let part = object.part;
        let answer = engine.scan_object(object, heavy, deadline).await;
        Said { engine: engine.name(), part, answer }
    });
    stream::iter(scans).buffered(PER_MESSAGE).collect().await
}

/// Describes the metrics of this module.
pub fn describe() {
    describe_counter!("mailweir_engine_scans_total", "Objects (messages and parts) given to a virus engine, by its answer");
    describe_histogram!(
        "mailweir_engine_scan_seconds",
        "Time from giving an object to a virus engine to its answer, waiting for a slot included"
    );
    describe_counter!(
        "mailweir_engine_remembered_total",
        "Objects whose hash is known, by whether the engine's answer was remembered (hit) or it was asked (miss)"
    );
    describe_gauge!("mailweir_engine_up", "1 if the virus engine answers, finds the EICAR test file and lets plain text pass, else 0");
    describe_gauge!("mailweir_engine_signature_age_seconds", "Age of the virus engine's signatures");
}
