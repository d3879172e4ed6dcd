//! The pool that computes: rayon threads, each job with a workbench of its own.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, unbounded};
use keystill_kernels::Isa;

use crate::stage::{Computed, Elsewhere, Workbench};

/// A finished piece of work and the actor that it belongs to.
pub(super) struct Arrival {
    pub(super) actor: usize,
    pub(super) result: Computed,
}

/// A pool of threads. What comes back is joined by number, so how many there are changes no key.
pub struct Workers {
    pool: rayon::ThreadPool,
    /// A stack, not a bench a thread: a worker that waits inside a job may take up another job.
    benches: Arc<Mutex<Vec<Workbench>>>,
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
        Ok(Self { pool, benches: Arc::default(), isa, elsewhere: None, sender, arrivals })
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
    pub(super) fn spawn(&self, actor: usize, job: impl FnOnce(&mut Workbench) -> Computed + Send + 'static) {
        let (benches, sender, isa) = (self.benches.clone(), self.sender.clone(), self.isa);
        let elsewhere = self.elsewhere.clone();
        self.pool.spawn_fifo(move || {
            let lock = || benches.lock().unwrap_or_else(PoisonError::into_inner);
            let bench = lock().pop();
            let mut bench = bench.unwrap_or_else(|| Workbench::with_elsewhere(isa, elsewhere));
            let result = job(&mut bench);
            lock().push(bench);
            // Nobody listens any more once a run has ended early.
            let _ = sender.send(Arrival { actor, result });
        });
    }

    pub(super) fn arrivals(&self) -> &Receiver<Arrival> {
        &self.arrivals
    }
}
