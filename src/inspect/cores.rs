//! CPU work off the reactor: at most one check per core at once, and nobody waits for it beyond the deadline.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// Why a check gave no findings. Never the same as having found nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Not done by the deadline.
    Late,
    /// It panicked: a fault of ours that this message brought out.
    Panicked,
    /// It is asked for in the settings, but what it needs was not given to it.
    Missing,
}

/// Threads for CPU work, one a place; clones share them. Threads of our own rather than the runtime's, because a regex keeps a cache
/// for each thread that ever uses it.
#[derive(Debug, Clone)]
pub struct Cores {
    places: Arc<Semaphore>,
    jobs: Sender<Job>,
    /// How many jobs have been done.
    done: Arc<AtomicU64>,
}

type Job = Box<dyn FnOnce() + Send>;

impl Cores {
    /// As many as the machine has cores.
    pub fn all() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// This many.
    pub fn new(count: usize) -> Self {
        Self::with_priority(count, 0)
    }

    /// One, with a priority lower by `steps` of nice(2), so that it takes what the others leave.
    pub fn slow(steps: i32) -> Self {
        Self::with_priority(1, steps)
    }

    fn with_priority(count: usize, lower: i32) -> Self {
        let count = count.max(1);
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count {
            let queue = queue.clone();
            let work = move || {
                if lower > 0 {
                    // On Linux the thread's own. Where it cannot be done, the work is done all the same.
                    let _as_it_was = rustix::process::nice(lower);
                }
                work_through(&queue);
            };
            let spawned = std::thread::Builder::new().name(format!("check-{number}")).spawn(work);
            if let Err(error) = spawned {
                tracing::error!(%error, "a thread for checks cannot be had");
            }
        }
        Self { places: Arc::new(Semaphore::new(count)), jobs, done: Arc::default() }
    }

    /// Does `work` on one of the threads. Work that is late cannot be stopped: it keeps its place until it ends, so that late work
    /// never piles up beyond the cores.
    pub async fn run<T: Send + 'static>(&self, deadline: Instant, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let doing = async {
            let place = self.places.clone().acquire_owned().await.map_err(|_| Failure::Late)?;
            let (done, result) = oneshot::channel();
            let count = self.done.clone();
            let job = move || {
                let _place = place;
                let result = catch_unwind(AssertUnwindSafe(work));
                count.fetch_add(1, Ordering::Relaxed);
                let _nobody_waits_any_more = done.send(result);
            };
            self.jobs.send(Box::new(job)).map_err(|_| Failure::Missing)?;
            let result = result.await.map_err(|_| Failure::Panicked)?;
            result.map_err(|_| {
                tracing::error!("a check panicked");
                Failure::Panicked
            })
        };
        timeout_at(deadline, doing).await.unwrap_or(Err(Failure::Late))
    }

    /// Whether a thread took a job, or finished one, by `deadline`. Threads that are busy one message after the other respond;
    /// only where all hang, none does.
    pub async fn respond(&self, deadline: Instant) -> bool {
        let before = self.done.load(Ordering::Relaxed);
        self.run(deadline, || ()).await.is_ok() || self.done.load(Ordering::Relaxed) != before
    }
}

/// Does one job after the other until the last [`Cores`] is gone.
fn work_through(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(job) => job(),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    fn in_ms(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    #[tokio::test]
    async fn done_late_or_panicked() {
        let cores = Cores::new(1);
        assert_eq!(cores.run(in_ms(60_000), || 7).await, Ok(7));
        assert_eq!(cores.run(in_ms(60_000), || -> u8 { panic!("a fault") }).await, Err(Failure::Panicked));
        assert_eq!(cores.run(in_ms(60_000), || 8).await, Ok(8), "the place is free again after a panic");
        let (release, wait) = mpsc::channel::<()>();
        assert_eq!(cores.run(in_ms(50), move || wait.recv().is_ok()).await, Err(Failure::Late));
        assert_eq!(cores.run(in_ms(50), || 9).await, Err(Failure::Late), "late work keeps its place");
        assert!(!cores.respond(in_ms(50)).await, "the only thread hangs");
        release.send(()).unwrap();
        assert_eq!(cores.run(in_ms(60_000), || 10).await, Ok(10));
        assert!(cores.respond(in_ms(60_000)).await);
    }
}
