//! Threads for opening messages. One whose priority was lowered, or that was given up, does not come back to the others: a process may
//! lower its priority, but not raise it again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Pid;

/// Work for a thread; it says whether the thread is as good as new.
pub(super) type Job = Box<dyn FnOnce() -> bool + Send>;

/// Threads that have nothing to do. How many have, is for the caller to bound.
#[derive(Debug)]
pub(super) struct Workers {
    idle: Mutex<Vec<Sender<Job>>>,
    /// So many are kept.
    most: usize,
}

impl Workers {
    /// None yet; up to `most` are kept for the next job.
    pub(super) fn new(most: usize) -> Self {
        Self { idle: Mutex::default(), most }
    }

    /// Has `job` done by an idle thread, or by a new one.
    ///
    /// # Errors
    /// When no thread is to be had.
    pub(super) fn run(self: &Arc<Self>, mut job: Job) -> io::Result<()> {
        while let Some(thread) = self.idle().pop() {
            match thread.send(job) {
                Ok(()) => return Ok(()),
                Err(gone) => job = gone.0,
            }
        }
        let workers = self.clone();
        std::thread::Builder::new().name("opening".to_owned()).spawn(move || workers.work(job)).map(drop)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Sender<Job>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does one job after the other, while it is wanted.
    fn work(&self, mut job: Job) {
        let (sender, jobs) = channel();
        loop {
            if !catch_unwind(AssertUnwindSafe(job)).unwrap_or(true) {
                return;
            }
            {
                let mut idle = self.idle();
                if idle.len() >= self.most {
                    return;
                }
                idle.push(sender.clone());
            }
            match jobs.recv() {
                Ok(next) => job = next,
                Err(_) => return,
            }
        }
    }
}

/// Lowers the priority of this thread. Where it cannot be done, it stays as it is: what we promise does not rest on it.
pub(super) fn lower_priority(steps: i32) {
    // On Linux this is the calling thread's own (setpriority(2), "C library/kernel differences").
    let _as_it_was = rustix::process::nice(steps);
}

/// Gives a thread of this process a priority as of nice(2): a lower one, since it may not be raised again.
pub(super) fn set_priority(thread: Pid, nice: i32) {
    let _as_it_was = rustix::process::setpriority_process(Some(thread), nice);
}

/// This thread, for [`set_priority`].
pub(super) fn this_thread() -> Pid {
    rustix::thread::gettid()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn threads_are_used_again_unless_they_were_changed() {
        let workers = Arc::new(Workers::new(1));
        let (tell, hear) = channel();
        let run = |good: bool, panics: bool| {
            let tell = tell.clone();
            let job = move || {
                tell.send((this_thread(), rustix::process::getpriority_process(None).unwrap())).unwrap();
                assert!(!panics);
                if !good {
                    lower_priority(3);
                }
                good
            };
            workers.run(Box::new(job)).unwrap();
            let said = hear.recv_timeout(PATIENCE).unwrap();
            // It is idle, or gone, only a moment later.
            let end = std::time::Instant::now() + PATIENCE;
            while good && workers.idle().is_empty() && std::time::Instant::now() < end {
                std::thread::yield_now();
            }
            said
        };
        let first = run(true, false);
        assert_eq!(run(true, true), first, "also after a panic");
        assert_eq!(run(false, false), first);
        let second = run(true, false);
        assert_ne!(second.0, first.0);
        assert_eq!(second.1, first.1, "of the priority that a new thread has");
    }
}
