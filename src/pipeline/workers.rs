//! The pool that computes: rayon threads, each job with a workbench of its own.
//!
//! Every actor has a queue of its own, and a thread that is free takes the oldest job of the actor that was computed
//! for least: one that asks for much does not hold up one whose jobs are few and wait for each other. Jobs of many
//! milliseconds, the decoders', let such a job in between two iterations: a conversation of hundreds of rounds would
//! else wait for one of them in every round.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};
use keystill_kernels::Isa;

use crate::session::{Finished, Work};
use crate::stage::{Computation, Computed, Elsewhere, GiveWay, Workbench};

/// A finished piece of work and the actor that it belongs to.
pub(super) struct Arrival {
    pub(super) actor: usize,
    pub(super) result: Arrived,
}

/// What an actor has computed.
pub(super) enum Job {
    /// A raw frame, of the actor's own type.
    Frame(Computation),
    /// What the actor's session asked for; `restarts` tells of which session.
    Work { restarts: u64, work: Work },
}

impl Job {
    /// Runs it; `took` tells how long in the end.
    fn run(self, bench: &mut Workbench, took: impl FnOnce() -> Duration) -> Arrived {
        match self {
            Self::Frame(job) => Arrived(Kind::Frame(job.run(bench))),
            Self::Work { restarts, work } => {
                let (block, stage) = (work.block(), work.stage());
                let finished = work.run(bench);
                Arrived(Kind::Work { restarts, finished, block, stage, took: took() })
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

    /// The oldest job of an actor for which nothing is computed, and was less than for this one, `so_far` included.
    fn take_before(&mut self, actor: usize, so_far: Duration) -> Option<(usize, Job)> {
        let most = self.0[actor].used + so_far;
        let waits = |queue: &Queue| queue.running == 0 && !queue.jobs.is_empty() && queue.used < most;
        let waiting = self.0.iter_mut().enumerate().filter(|(_, queue)| waits(queue));
        let (actor, queue) = waiting.min_by_key(|(_, queue)| queue.used)?;
        queue.running += 1;
        queue.jobs.pop_front().map(|job| (actor, job))
    }

    fn took(&mut self, actor: usize, time: Duration) {
        self.0[actor].running -= 1;
        self.0[actor].used += time;
    }
}

/// What threads share.
struct Shared {
    /// A stack, not a place a thread: a worker that waits inside a job may take up another job.
    places: Mutex<Vec<Place>>,
    queues: Mutex<Queues>,
    isa: Isa,
    elsewhere: OnceLock<Arc<dyn Elsewhere>>,
    sender: Sender<Arrival>,
}

/// Where a job is computed.
struct Place {
    bench: Workbench,
    running: Arc<Running>,
}

/// The job that is computed at a place.
struct Running {
    shared: Weak<Shared>,
    job: Mutex<Turn>,
}

#[derive(Clone, Copy)]
struct Turn {
    actor: usize,
    began: Instant,
    /// Time of it that went to others.
    given: Duration,
}

impl Turn {
    fn took(&self) -> Duration {
        self.began.elapsed().saturating_sub(self.given)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Computes a job and sends its result; others may come in between if `gives_way`.
    fn compute(self: &Arc<Self>, actor: usize, job: Job, gives_way: bool) {
        let place = locked(&self.places).pop();
        let mut place = place.unwrap_or_else(|| self.new_place());
        *locked(&place.running.job) = Turn { actor, began: Instant::now(), given: Duration::ZERO };
        place.bench.set_others(gives_way.then(|| Arc::clone(&place.running) as Arc<dyn GiveWay>));
        let took = || locked(&place.running.job).took();
        let result = job.run(&mut place.bench, took);
        locked(&self.queues).took(actor, took());
        place.bench.set_others(None);
        locked(&self.places).push(place);
        // Nobody listens any more once a run has ended early.
        let _ = self.sender.send(Arrival { actor, result });
    }

    fn new_place(self: &Arc<Self>) -> Place {
        let turn = Turn { actor: 0, began: Instant::now(), given: Duration::ZERO };
        Place {
            bench: Workbench::with_elsewhere(self.isa, self.elsewhere.get().cloned()),
            running: Arc::new(Running { shared: Arc::downgrade(self), job: Mutex::new(turn) }),
        }
    }
}

impl GiveWay for Running {
    fn give_way(&self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let next = || {
            let turn = *locked(&self.job);
            locked(&shared.queues).take_before(turn.actor, turn.took())
        };
        while let Some((actor, job)) = next() {
            let began = Instant::now();
            shared.compute(actor, job, false);
            locked(&self.job).given += began.elapsed();
        }
    }
}

/// A pool of threads. What comes back is joined by number, so how many there are changes no key.
pub struct Workers {
    pool: rayon::ThreadPool,
    shared: Arc<Shared>,
    arrivals: Receiver<Arrival>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workers({} threads, {})", self.pool.current_num_threads(), self.shared.isa)
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
        let shared = Shared {
            places: Mutex::default(),
            queues: Mutex::default(),
            isa,
            elsewhere: OnceLock::new(),
            sender,
        };
        Ok(Self { pool, shared: Arc::new(shared), arrivals })
    }

    /// Has jobs that can be computed elsewhere computed there; a thread waits meanwhile.
    #[must_use]
    pub fn with_elsewhere(self, elsewhere: Arc<dyn Elsewhere>) -> Self {
        // The first counts.
        let _ = self.shared.elsewhere.set(elsewhere);
        self
    }

    /// The number of threads.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.pool.current_num_threads()
    }

    /// Runs a job on the pool; its result arrives for the actor.
    pub(super) fn spawn(&self, actor: usize, job: Job) {
        locked(&self.shared.queues).push(actor, job);
        let shared = self.shared.clone();
        // One of these for each job, whichever it then takes.
        self.pool.spawn_fifo(move || {
            let next = locked(&shared.queues).take();
            if let Some((actor, job)) = next {
                shared.compute(actor, job, true);
            }
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
        let job = || Job::Frame(Computation::of(|_| ()));
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

    #[test]
    fn a_long_job_lets_in_who_had_less_and_has_nothing_running() {
        let mut queues = Queues::default();
        let job = || Job::Frame(Computation::of(|_| ()));
        queues.push(0, job());
        assert_eq!(queues.take().map(|(actor, _)| actor), Some(0));
        (0..3).for_each(|_| queues.push(1, job()));
        let mut next = |so_far, running: &[(usize, u64)]| {
            running.iter().for_each(|(actor, time)| queues.took(*actor, Duration::from_millis(*time)));
            queues.take_before(0, Duration::from_millis(so_far)).map(|(actor, _)| actor)
        };
        assert_eq!(next(0, &[]), None, "as much as it had");
        assert_eq!(next(5, &[]), Some(1), "less");
        assert_eq!(next(6, &[]), None, "one of its own is running");
        assert_eq!(next(6, &[(1, 7)]), None, "it has had more");
        assert_eq!(next(8, &[]), Some(1), "less again");
    }

    #[test]
    fn a_short_job_ends_within_a_long_one_on_the_same_thread() {
        let workers = Workers::new(1, Isa::best()).expect("a thread");
        let (over, is_over) = std::sync::mpsc::channel();
        let long = move |bench: &mut Workbench| {
            let others = bench.others();
            while is_over.try_recv().is_err() {
                others.give_way();
            }
        };
        let short = move |_: &mut Workbench| over.send(()).expect("the long job listens");
        workers.spawn(0, Job::Frame(Computation::of(long)));
        workers.spawn(1, Job::Frame(Computation::of(short)));
        let order: Vec<usize> = workers.arrivals().iter().take(2).map(|arrival| arrival.actor).collect();
        assert_eq!(order, [1, 0], "the short job came in between");
    }
}
