//! The pool that computes: rayon threads, each job with a workbench of its own.
//!
//! Every actor has a queue of its own, and a thread that is free takes the oldest job of the actor that was computed
//! for least: one that asks for much does not hold up one whose jobs are few and wait for each other.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use keystill_kernels::Isa;

use crate::session::{Finished, Work};
use crate::stage::{Computed, Elsewhere, Workbench};

/// A finished piece of work and the actor that it belongs to.
pub(super) struct Arrival {
    pub(super) actor: usize,
    pub(super) result: Arrived,
}

/// What an actor has computed.
pub(super) enum Job {
    /// A raw frame, of the actor's own type.
    Frame(Box<dyn FnOnce(&mut Workbench) -> Computed + Send>),
    /// What the actor's session asked for; `restarts` tells of which session.
    Work { restarts: u64, work: Work },
}

impl Job {
    fn run(self, bench: &mut Workbench) -> Arrived {
        match self {
            Self::Frame(job) => Arrived(Kind::Frame(job(bench))),
            Self::Work { restarts, work } => {
                let (block, stage, began) = (work.block(), work.stage(), Instant::now());
                let finished = work.run(bench);
                Arrived(Kind::Work { restarts, finished, block, stage, took: began.elapsed() })
            }
        }
    }
}

/// The result of a job, on its way to the actor that asked for it.
#[derive(Debug)]
pub struct Arrived(pub(super) Kind);

/// What came back.
#[derive(Debug)]
pub(super) enum Kind {
    Frame(Computed),
    Work { restarts: u64, finished: Finished, block: u64, stage: &'static str, took: Duration },
}

/// Jobs of one actor.
#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Jobs that are being computed.
    running: u32,
    /// Computing time of the actor; what it did not ask for while it was idle, it does not get later.
    used: Duration,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.running == 0
    }
}

/// Jobs by actor.
#[derive(Default)]
struct Queues(Vec<Queue>);

impl Queues {
    fn push(&mut self, actor: usize, job: Job) {
        if self.0.len() <= actor {
            self.0.resize_with(actor + 1, Queue::default);
        }
        if self.0[actor].is_idle() {
            let least = self.0.iter().filter(|queue| !queue.is_idle()).map(|queue| queue.used).min();
            self.0[actor].used = self.0[actor].used.max(least.unwrap_or_default());
        }
        self.0[actor].jobs.push_back(job);
    }

    /// The oldest job of the actor that was computed for least.
    fn take(&mut self) -> Option<(usize, Job)> {
        let waiting = self.0.iter_mut().enumerate().filter(|(_, queue)| !queue.jobs.is_empty());
        let (actor, queue) = waiting.min_by_key(|(_, queue)| queue.used)?;
        queue.running += 1;
        queue.jobs.pop_front().map(|job| (actor, job))
    }

    fn took(&mut self, actor: usize, time: Duration) {
        self.0[actor].running -= 1;
        self.0[actor].used += time;
    }
}

/// A pool of threads. What comes back is joined by number, so how many there are changes no key.
pub struct Workers {
    pool: rayon::ThreadPool,
    /// A stack, not a bench a thread: a worker that waits inside a job may take up another job.
    benches: Arc<Mutex<Vec<Workbench>>>,
    queues: Arc<Mutex<Queues>>,
    isa: Isa,
    elsewhere: Option<Arc<dyn Elsewhere>>,
    sender: Sender<Arrival>,
    arrivals: Receiver<Arrival>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workers({} threads, {})", self.pool.current_num_threads(), self.isa)
    }
}

/// The threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads: {source}")]
pub struct NoThreads {
    /// Threads asked for.
    pub threads: usize,
    /// What the operating system said.
    source: rayon::ThreadPoolBuildError,
}

impl Workers {
    /// Starts threads, at least one.
    ///
    /// # Errors
    /// [`NoThreads`] if the operating system refuses.
    pub fn new(threads: usize, isa: Isa) -> Result<Self, NoThreads> {
        let threads = threads.max(1);
        let name = |i| format!("keystill-{i}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(name).build();
        let pool = pool.map_err(|source| NoThreads { threads, source })?;
        // The channel holds what the actors asked for and no more: each bounds its own requests.
        let (sender, arrivals) = unbounded();
        Ok(Self {
            pool,
            benches: Arc::default(),
            queues: Arc::default(),
            isa,
            elsewhere: None,
            sender,
            arrivals,
        })
    }

    /// Has jobs that can be computed elsewhere computed there; a thread waits meanwhile.
    #[must_use]
    pub fn with_elsewhere(mut self, elsewhere: Arc<dyn Elsewhere>) -> Self {
        self.elsewhere = Some(elsewhere);
        self
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs a job on the pool; its result arrives for the actor.
    pub(super) fn spawn(&self, actor: usize, job: Job) {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).push(actor, job);
        let (benches, queues, sender) = (self.benches.clone(), self.queues.clone(), self.sender.clone());
        let (isa, elsewhere) = (self.isa, self.elsewhere.clone());
        // One of these for each job, whichever it then takes.
        self.pool.spawn_fifo(move || {
            let lock = || benches.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = || queues.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((actor, job)) = waiting().take() else { return };
            let bench = lock().pop();
            let mut bench = bench.unwrap_or_else(|| Workbench::with_elsewhere(isa, elsewhere));
            let began = Instant::now();
            let result = job.run(&mut bench);
            waiting().took(actor, began.elapsed());
            lock().push(bench);
            // Nobody listens any more once a run has ended early.
            let _ = sender.send(Arrival { actor, result });
        });
    }

    pub(super) fn arrivals(&self) -> &Receiver<Arrival> {
        &self.arrivals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The actors in the order in which their jobs are taken, each job of so many milliseconds.
    fn taken(queues: &mut Queues, milliseconds: [u64; 2], count: usize) -> Vec<usize> {
        let mut order = Vec::new();
        while order.len() < count
            && let Some((actor, _)) = queues.take()
        {
            queues.took(actor, Duration::from_millis(milliseconds[actor]));
            order.push(actor);
        }
        order
    }

    #[test]
    fn short_jobs_do_not_wait_for_a_queue_of_long_ones() {
        let mut queues = Queues::default();
        let job = || Job::Frame(Box::new(|_| Box::new(())));
        (0..4).for_each(|_| queues.push(0, job()));
        assert_eq!(taken(&mut queues, [10, 1], 2), [0, 0], "alone");
        (0..9).for_each(|_| queues.push(1, job()));
        let order = taken(&mut queues, [10, 1], 5);
        assert_eq!(
            order,
            [0, 1, 1, 1, 1],
            "one long job, then short ones; none for the time before they came"
        );
        assert_eq!(taken(&mut queues, [10, 1], 9), [1, 1, 1, 1, 1, 0], "until they have had as much");
    }
}
