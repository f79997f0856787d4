//! An engine with a watch over it: slots, deadlines, its measured limits, its last known state, its answers so far. What the engine
//! itself says is believed only within them.

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
use super::objects::Object;
use super::probe::{self, EngineStatus, State, Terms};
use super::remembered::Remembered;

/// Up to this size, in bytes, an engine's *clean* is believed before its limits are measured: no clamd is set that low.
const UNMEASURED: u64 = 1 << 20;

/// Objects from this size on, in bytes, share an amount of bytes that an engine is given at once.
const BIG: usize = 1 << 20;

/// That amount at least; more where a message may be bigger.
const BIG_AT_ONCE: u64 = 64 << 20;

/// Bytes that one permit for it stands for.
const UNIT: u64 = 1024;

/// How often [`Watched::watch_once`] is meant to be called.
pub const WATCH_EVERY: Duration = Duration::from_secs(30);

/// One engine and what is known of it.
pub struct Watched {
    engine: Arc<dyn Engine>,
    slots: Semaphore,
    /// A quarter as many: heavy messages have no more of the slots than that, all together.
    heavy: Semaphore,
    /// Bytes of big objects.
    bytes: Semaphore,
    remembered: Remembered,
    terms: Terms,
    limits: ArcSwapOption<Limits>,
    measuring: Mutex<()>,
    status: ArcSwap<EngineStatus>,
}

impl Watched {
    /// Watches over `engine`, which gets at most `in_flight` scans at once, and of which `remember` answers are remembered.
    pub fn new(engine: Arc<dyn Engine>, in_flight: usize, remember: usize, terms: Terms) -> Self {
        let status = ArcSwap::from_pointee(EngineStatus::unknown(engine.name()));
        let slots = Semaphore::new(in_flight.clamp(1, Semaphore::MAX_PERMITS));
        let heavy = Semaphore::new((in_flight / 4).clamp(1, Semaphore::MAX_PERMITS));
        let bytes = Semaphore::new(big_units(&terms) as usize);
        // One that compares hashes itself is as fast as our memory.
        let remembered = Remembered::new(if engine.wants_whole_parts() { 0 } else { remember });
        Self { engine, slots, heavy, bytes, remembered, terms, limits: ArcSwapOption::empty(), measuring: Mutex::new(()), status }
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

    /// Has an object scanned, as [`Self::scan`] does, unless what the engine says of it is known. `heavy`: it belongs to a message with
    /// much to scan, which leaves most slots to others.
    pub async fn scan_object(&self, object: Object, heavy: bool, deadline: Instant) -> Answer {
        let Some(hash) = object.sha256.filter(|_| self.status().state == State::Up) else {
            return self.scan_as(object.bytes, heavy, deadline).await;
        };
        let (known, epoch) = self.remembered.recall(&hash);
        let result = if known.is_some() { "hit" } else { "miss" };
        counter!("mailweir_engine_remembered_total", "engine" => self.name().to_owned(), "result" => result).increment(1);
        if let Some(known) = known {
            return known;
        }
        let answer = self.scan_as(object.bytes, heavy, deadline).await;
        self.remembered.keep(&hash, &answer, epoch);
        answer
    }

    /// Has `bytes` scanned: an answer by `deadline` at the latest, waiting for a slot included, and within `timeout` once it has one.
    #[cfg(test)]
    pub async fn scan(&self, bytes: Bytes, deadline: Instant) -> Answer {
        self.scan_as(bytes, false, deadline).await
    }

    async fn scan_as(&self, bytes: Bytes, heavy: bool, deadline: Instant) -> Answer {
        let started = Instant::now();
        let answer = match self.slot(bytes.len(), heavy, deadline).await {
            Some(_slot) => self.ask(bytes, deadline.min(Instant::now() + self.terms.timeout)).await,
            None => Answer::trouble(TroubleKind::Time, "no time was left to scan it"),
        };
        counter!("mailweir_engine_scans_total", "engine" => self.name().to_owned(), "answer" => answer.as_str()).increment(1);
        histogram!("mailweir_engine_scan_seconds", "engine" => self.name().to_owned()).record(started.elapsed());
        answer
    }

    /// A slot, and before it what else such an object needs: nobody has a slot and waits.
    async fn slot(&self, size: usize, heavy: bool, deadline: Instant) -> Option<[Option<SemaphorePermit<'_>>; 3]> {
        let units = u32::try_from(size as u64 / UNIT).unwrap_or(u32::MAX).min(big_units(&self.terms));
        let all = async {
            let turn = if heavy { Some(self.heavy.acquire().await.ok()?) } else { None };
            let bytes = if size >= BIG { Some(self.bytes.acquire_many(units).await.ok()?) } else { None };
            Some([turn, bytes, Some(self.slots.acquire().await.ok()?)])
        };
        let slot = timeout_at(deadline, all).await.ok()??;
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
                    self.remembered.forget();
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
        self.remembered.forget();
        self.remember(status.clone());
        status
    }

    /// A sign of life and the version; everything is tried again when it came back, was not in order, or has new signatures.
    pub async fn watch_once(&self) {
        let before = self.status();
        match probe::version(&*self.engine, self.terms.timeout).await {
            Err(trouble) => {
                self.limits.store(None);
                self.remembered.forget();
                self.remember(EngineStatus::down(self.name(), &trouble));
            }
            Ok(version) => {
                let signatures = (version.signatures, version.signature_time) == (before.signatures, before.signature_time);
                let same = signatures && before.version.as_deref() == Some(version.program.as_str());
                if before.state == State::Up && same {
                    self.set_gauges(&before);
                } else {
                    // At once, not only when the probe is through.
                    self.remembered.forget();
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

/// Permits for the bytes of big objects, all together.
fn big_units(terms: &Terms) -> u32 {
    u32::try_from(terms.message_size.max(BIG_AT_ONCE) / UNIT).unwrap_or(u32::MAX).min(u32::MAX >> 3)
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
        signatures: AtomicUsize,
    }

    impl Default for Fake {
        fn default() -> Self {
            let (now, most, calls, signatures) = Default::default();
            Self { gate: Semaphore::new(100), now, most, calls, file: usize::MAX, blind: false, down: StdMutex::new(false), signatures }
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
                    let signatures = u32::try_from(self.signatures.load(Ordering::Relaxed)).ok();
                    Ok(Version { program: "Fake 1".to_owned(), signatures, ..Version::default() })
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
        (fake.clone(), Watched::new(fake, in_flight, 100, terms))
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

    fn object(bytes: &'static [u8]) -> Object {
        let sha256 = std::array::from_fn(|at| bytes.get(at).copied().unwrap_or_default());
        Object { part: None, bytes: Bytes::from_static(bytes), sha256: Some(sha256) }
    }

    #[tokio::test]
    async fn what_it_said_is_remembered_until_something_changes() {
        let (fake, watched) = watch(Fake::default(), 3);
        let asked = async |object: Object, times: usize| {
            let before = fake.calls.load(Ordering::Relaxed);
            for _ in 0..3 {
                watched.scan_object(object.clone(), false, later(60)).await;
            }
            assert_eq!(fake.calls.load(Ordering::Relaxed) - before, times);
        };
        asked(object(b"x"), 3).await; // not before it was tried
        watched.watch_once().await;
        asked(object(b"x"), 1).await;
        asked(object(eicar()), 1).await;
        assert_eq!(kind(&watched.scan_object(object(eicar()), true, later(60)).await), "found");
        asked(Object { sha256: None, ..object(b"x") }, 3).await;
        watched.watch_once().await;
        asked(object(b"x"), 0).await; // nothing changed
        fake.signatures.store(2, Ordering::Relaxed);
        watched.watch_once().await;
        asked(object(b"x"), 1).await;
        *fake.down.lock().unwrap() = true;
        assert_eq!(kind(&watched.scan_object(object(b"y"), false, later(60)).await), "unavailable");
        assert_eq!(
            kind(&watched.scan_object(object(b"x"), false, later(60)).await),
            "unavailable",
            "it is down: nothing is taken from memory"
        );
        *fake.down.lock().unwrap() = false;
        watched.watch_once().await;
        asked(object(b"x"), 1).await;
        asked(object(b"y"), 1).await; // could not tell was not kept
    }

    #[tokio::test]
    async fn heavy_messages_leave_slots_to_others() {
        let (fake, watched) = watch(Fake { gate: Semaphore::new(0), ..Fake::default() }, 8);
        let open = async {
            while fake.calls.load(Ordering::Relaxed) < 2 {
                tokio::task::yield_now().await;
            }
            tokio::task::yield_now().await;
            assert_eq!(watched.slots.available_permits(), 6);
            fake.gate.add_permits(100);
        };
        let scans = join_all((0..10).map(|_| watched.scan_object(Object { sha256: None, ..object(b"x") }, true, later(60))));
        tokio::join!(scans, open);
        assert_eq!(fake.most.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn big_objects_share_an_amount_of_bytes() {
        let (fake, watched) = watch(Fake { gate: Semaphore::new(0), ..Fake::default() }, 8);
        watched.keep(Limits::NONE);
        let big = Bytes::from(vec![0; 30 << 20]);
        let open = async {
            while fake.calls.load(Ordering::Relaxed) < 3 {
                tokio::task::yield_now().await;
            }
            fake.gate.add_permits(100);
        };
        let small = watched.scan(Bytes::from_static(b"x"), later(60));
        let scans = join_all((0..4).map(|_| watched.scan(big.clone(), later(60))));
        let (answers, small, ()) = tokio::join!(scans, small, open);
        assert!(answers.iter().all(|answer| *answer == Answer::Clean) && small == Answer::Clean, "{answers:?}");
        assert_eq!(fake.most.load(Ordering::Relaxed), 3, "two big ones and the small one");
    }
}
