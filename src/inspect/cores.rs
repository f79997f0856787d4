//! CPU work off the reactor: at most one check per core at once, and nobody waits for it beyond the deadline.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
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

/// The places for CPU work; clones share them.
#[derive(Debug, Clone)]
pub struct Cores(Arc<Semaphore>);

impl Cores {
    /// As many as the machine has cores.
    pub fn all() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// This many.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count.max(1))))
    }

    /// Does `work` on a blocking thread. Work that is late cannot be stopped: it keeps its place until it ends, so that late work
    /// never piles up beyond the cores.
    pub async fn run<T: Send + 'static>(&self, deadline: Instant, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
        let doing = async {
            let place = self.0.clone().acquire_owned().await.map_err(|_| Failure::Late)?;
            let task = spawn_blocking(move || {
                let _place = place;
                work()
            });
            task.await.map_err(|error| {
                tracing::error!(%error, "a check panicked");
                Failure::Panicked
            })
        };
        timeout_at(deadline, doing).await.unwrap_or(Err(Failure::Late))
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
        release.send(()).unwrap();
        assert_eq!(cores.run(in_ms(60_000), || 10).await, Ok(10));
    }
}
