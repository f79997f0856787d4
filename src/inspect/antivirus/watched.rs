//! An engine with a watch over it: slots, deadlines, its measured limits, its last known state. What the engine itself
//! says is believed only within them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use metrics::{counter, gauge, histogram};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::engine::{Answer, Engine, TroubleKind};
use super::measure::{Limits, measure};
use super::probe::{self, EngineStatus, State, Terms};

/// Up to this size, in bytes, an engine's *clean* is believed before its limits are measured: no clamd is set that low.
const UNMEASURED: u64 = 1 << 20;

/// How often [`Watched::watch_once`] is meant to be called.
pub const WATCH_EVERY: Duration = Duration::from_secs(30);

/// One engine and what is known of it.
pub struct Watched {
    engine: Arc<dyn Engine>,
    slots: Semaphore,
    terms: Terms,
    limits: ArcSwapOption<Limits>,
    measuring: Mutex<()>,
    status: ArcSwap<EngineStatus>,
}

impl Watched {
    /// Watches over `engine`, which gets at most `in_flight` scans at once.
    pub fn new(engine: Arc<dyn Engine>, in_flight: usize, terms: Terms) -> Self {
        let status = ArcSwap::from_pointee(EngineStatus::unknown(engine.name()));
        let slots = Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS));
        Self { engine, slots, terms, limits: ArcSwapOption::empty(), measuring: Mutex::new(()), status }
    }

    /// As written in `engines`.
    pub fn name(&self) -> &str {
        self.engine.name()
    }

    /// Whether a part must be shown as such although its bytes stand in the raw message.
    pub fn wants_whole_parts(&self) -> bool {
        self.engine.wants_whole_parts()
    }

    /// What was last seen of it.
    pub fn status(&self) -> Arc<EngineStatus> {
        self.status.load_full()
    }

    /// Has `bytes` scanned: an answer by `deadline` at the latest, waiting for a slot included, and within `timeout` once it has one.
    pub async fn scan(&self, bytes: Bytes, deadline: Instant) -> Answer {
        let started = Instant::now();
        let answer = match self.slot(deadline).await {
            Some(_slot) => self.ask(bytes, deadline.min(Instant::now() + self.terms.timeout)).await,
            None => Answer::trouble(TroubleKind::Time, "no time was left to scan it"),
        };
        counter!("mailweir_engine_scans_total", "engine" => self.name().to_owned(), "answer" => answer.as_str()).increment(1);
        histogram!("mailweir_engine_scan_seconds", "engine" => self.name().to_owned()).record(started.elapsed());
        answer
    }

    async fn slot(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        let slot = timeout_at(deadline, self.slots.acquire()).await.ok()?.ok()?;
        // A slot may come free at the very deadline: then the engine is not asked for what nobody waits for.
        (Instant::now() < deadline).then_some(slot)
    }

    async fn ask(&self, bytes: Bytes, deadline: Instant) -> Answer {
        let size = bytes.len() as u64;
        let limits = self.limits(size, deadline).await;
        if let Some(most) = limits.and_then(|limits| limits.stream).filter(|most| size > *most) {
            return Answer::trouble(TroubleKind::TooBig, format!("{size} bytes; the engine takes {most}"));
        }
        match timeout_at(deadline, self.engine.scan(bytes)).await {
            Err(_) => Answer::trouble(TroubleKind::Time, format!("no answer within {:?}", self.terms.timeout)),
            Ok(Answer::Clean) => self.believe(size, limits),
            Ok(Answer::CouldNotTell(trouble)) => {
                // It may come back with other settings.
                if trouble.kind == TroubleKind::Unavailable {
                    self.limits.store(None);
                    if matches!(self.status().state, State::Up | State::Unknown) {
                        self.remember(EngineStatus::down(self.name(), &trouble));
                    }
                }
                Answer::CouldNotTell(trouble)
            }
            Ok(found) => found,
        }
    }

    /// *Clean*, if the engine can have looked at an object of this size, and looks at anything at all.
    fn believe(&self, size: u64, limits: Option<Limits>) -> Answer {
        if let State::Wrong { reason } = &self.status.load().state {
            return Answer::trouble(TroubleKind::Unavailable, format!("its OK is not believed: {reason}"));
        }
        match limits {
            Some(limits) if limits.alerts || size <= limits.looked_into => Answer::Clean,
            None if size <= UNMEASURED => Answer::Clean,
            Some(limits) => Answer::trouble(
                TroubleKind::TooBig,
                format!("{size} bytes; the engine answers OK, but was only seen to look into {}", limits.looked_into),
            ),
            None => Answer::trouble(TroubleKind::TooBig, format!("{size} bytes; how much the engine looks into could not be measured")),
        }
    }

    /// The limits, measured now if they are needed for this size and not known.
    async fn limits(&self, size: u64, deadline: Instant) -> Option<Limits> {
        if !self.engine.has_limits() {
            return Some(Limits::NONE);
        }
        let known = || self.limits.load().as_deref().copied();
        if known().is_some() || size <= UNMEASURED {
            return known();
        }
        let measured = async {
            let _one = self.measuring.lock().await;
            match known() {
                Some(limits) => Some(limits),
                None => measure(&*self.engine, self.terms.message_size, self.terms.timeout).await.ok().inspect(|limits| self.keep(*limits)),
            }
        };
        timeout_at(deadline, measured).await.ok().flatten()
    }

    fn keep(&self, limits: Limits) {
        self.limits.store(Some(Arc::new(limits)));
    }

    /// Tries the engine, all of it, and remembers what came out.
    pub async fn probe(&self) -> EngineStatus {
        let _one = self.measuring.lock().await;
        let (status, limits) = probe::probe(&*self.engine, &self.terms).await;
        self.limits.store(limits.map(Arc::new));
        self.remember(status.clone());
        status
    }

    /// A sign of life and the version; everything is tried again when it came back, was not in order, or has new signatures.
    pub async fn watch_once(&self) {
        let before = self.status();
        match probe::version(&*self.engine, self.terms.timeout).await {
            Err(trouble) => {
                self.limits.store(None);
                self.remember(EngineStatus::down(self.name(), &trouble));
            }
            Ok(version) => {
                let same = before.version.as_deref() == Some(version.program.as_str()) && before.signature_time == version.signature_time;
                if before.state == State::Up && same {
                    self.set_gauges(&before);
                } else {
                    self.probe().await;
                }
            }
        }
    }

    fn remember(&self, status: EngineStatus) {
        self.set_gauges(&status);
        if self.status.load().state != status.state {
            match &status.state {
                State::Up => info!(engine = self.name(), version = status.version, "virus engine is up"),
                State::Down { reason } => warn!(engine = self.name(), reason, "virus engine is down"),
                State::Wrong { reason } => warn!(engine = self.name(), reason, "virus engine is not in order"),
                State::Unknown => {}
            }
        }
        self.status.store(Arc::new(status));
    }

    fn set_gauges(&self, status: &EngineStatus) {
        let up = if status.state == State::Up { 1.0 } else { 0.0 };
        gauge!("mailweir_engine_up", "engine" => self.name().to_owned()).set(up);
        if let Some(time) = status.signature_time {
            let age = jiff::Timestamp::now().duration_since(time).as_secs_f64();
            gauge!("mailweir_engine_signature_age_seconds", "engine" => self.name().to_owned()).set(age.max(0.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{BoxFuture, join_all};

    use super::*;
    use crate::inspect::antivirus::engine::{Trouble, Version};
    use crate::inspect::antivirus::probe::eicar;

    /// An engine that answers when `gate` lets it, looks into `file` bytes, and finds EICAR unless it is `blind`.
    struct Fake {
        gate: Semaphore,
        now: AtomicUsize,
        most: AtomicUsize,
        calls: AtomicUsize,
        file: usize,
        blind: bool,
        down: StdMutex<bool>,
    }

    impl Default for Fake {
        fn default() -> Self {
            let (now, most, calls) = Default::default();
            Self { gate: Semaphore::new(100), now, most, calls, file: usize::MAX, blind: false, down: StdMutex::new(false) }
        }
    }

    impl Engine for Fake {
        fn name(&self) -> &str {
            "fake"
        }
        fn scan(&self, bytes: Bytes) -> BoxFuture<'_, Answer> {
            Box::pin(async move {
                self.calls.fetch_add(1, Ordering::Relaxed);
                self.most.fetch_max(self.now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                let _through = self.gate.acquire().await;
                self.now.fetch_sub(1, Ordering::Relaxed);
                if *self.down.lock().unwrap() {
                    return Answer::trouble(TroubleKind::Unavailable, "gone");
                }
                let seen = bytes.len() <= self.file && bytes.ends_with(eicar()) && !self.blind;
                if seen { Answer::Found("Eicar".to_owned()) } else { Answer::Clean }
            })
        }
        fn version(&self) -> BoxFuture<'_, Result<Version, Trouble>> {
            let down = *self.down.lock().unwrap();
            Box::pin(async move {
                if down {
                    Err(Trouble::new(TroubleKind::Unavailable, "gone"))
                } else {
                    Ok(Version { program: "Fake 1".to_owned(), ..Version::default() })
                }
            })
        }
        fn has_limits(&self) -> bool {
            true
        }
    }

    const MESSAGE_SIZE: u64 = 4 << 20;

    fn watch(fake: Fake, in_flight: usize) -> (Arc<Fake>, Watched) {
        let fake = Arc::new(fake);
        let terms = Terms { timeout: Duration::from_secs(30), signature_age: Duration::MAX, message_size: MESSAGE_SIZE };
        (fake.clone(), Watched::new(fake, in_flight, terms))
    }

    fn later(seconds: u64) -> Instant {
        Instant::now() + Duration::from_secs(seconds)
    }

    fn kind(answer: &Answer) -> &'static str {
        answer.as_str()
    }

    #[tokio::test]
    async fn slots_hold() {
        let (fake, watched) = watch(Fake { gate: Semaphore::new(0), ..Fake::default() }, 3);
        let open = async {
            while fake.calls.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
            fake.gate.add_permits(100);
        };
        let scans = join_all((0..10).map(|_| watched.scan(Bytes::from_static(b"x"), later(60))));
        let (answers, ()) = tokio::join!(scans, open);
        assert!(answers.iter().all(|answer| *answer == Answer::Clean));
        assert_eq!((fake.most.load(Ordering::Relaxed), fake.calls.load(Ordering::Relaxed)), (3, 10));
    }

    #[tokio::test]
    async fn whoever_got_a_slot_or_not_hears_by_the_deadline() {
        let (fake, watched) = watch(Fake { gate: Semaphore::new(0), ..Fake::default() }, 3);
        let deadline = Instant::now() + Duration::from_millis(100);
        let answers = join_all((0..10).map(|_| watched.scan(Bytes::from_static(b"x"), deadline))).await;
        assert!(answers.iter().all(|answer| kind(answer) == "time"), "{answers:?}");
        assert_eq!(fake.calls.load(Ordering::Relaxed), 3);
        fake.gate.add_permits(100);
        assert_eq!(watched.scan(Bytes::from_static(b"x"), later(60)).await, Answer::Clean, "the slots are free again");
    }

    #[tokio::test]
    async fn after_the_deadline_the_engine_is_not_asked() {
        let (fake, watched) = watch(Fake::default(), 3);
        assert_eq!(kind(&watched.scan(Bytes::from_static(b"x"), Instant::now()).await), "time");
        assert_eq!(fake.calls.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn clean_is_believed_only_where_the_engine_looks() {
        let (_fake, watched) = watch(Fake { file: 2 << 20, ..Fake::default() }, 3);
        for (size, want) in [(1 << 20, "clean"), (3 << 19, "clean"), (3 << 20, "too_big"), (5 << 20, "too_big")] {
            assert_eq!(kind(&watched.scan(vec![0; size].into(), later(600)).await), want, "{size}, measured when first needed");
        }
        let status = watched.probe().await;
        assert_eq!((status.state, status.eicar_found, status.clean_passed), (State::Up, Some(true), Some(true)));
        assert!(status.scan_limit.is_some_and(|limit| limit <= 2 << 20), "{:?}", status.scan_limit);
        assert!(status.warnings.iter().any(|warning| warning.contains("MaxFileSize 5M")), "{:?}", status.warnings);
    }

    #[tokio::test]
    async fn an_engine_that_does_not_find_eicar_is_not_believed() {
        let (_fake, watched) = watch(Fake { blind: true, ..Fake::default() }, 3);
        assert_eq!(kind(&watched.scan(vec![0; 2 << 20].into(), later(600)).await), "too_big", "it cannot be measured");
        assert!(matches!(watched.probe().await.state, State::Wrong { .. }));
        assert_eq!(kind(&watched.scan(Bytes::from_static(b"x"), later(60)).await), "unavailable");
    }

    #[tokio::test]
    async fn the_watch_sees_it_go_and_come_back() {
        let (fake, watched) = watch(Fake::default(), 3);
        assert_eq!(watched.status().state, State::Unknown);
        watched.watch_once().await;
        assert_eq!(watched.status().state, State::Up);
        let calls = fake.calls.load(Ordering::Relaxed);
        watched.watch_once().await;
        assert_eq!(fake.calls.load(Ordering::Relaxed), calls, "as long as nothing changes the version is enough");
        *fake.down.lock().unwrap() = true;
        watched.watch_once().await;
        assert_eq!(watched.status().state, State::Down { reason: "gone".to_owned() });
        assert_eq!(kind(&watched.scan(Bytes::from_static(b"x"), later(60)).await), "unavailable", "it is asked all the same");
        *fake.down.lock().unwrap() = false;
        watched.watch_once().await;
        assert_eq!((&watched.status().state, watched.status().eicar_found), (&State::Up, Some(true)));
    }
}
