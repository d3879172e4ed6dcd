//! A worker: takes questions from the queue, decodes, answers, remembers nothing.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt;
use keystill_kernels::Isa;
use tokio::sync::Semaphore;

use crate::reconcile::ldpc;
use crate::stage::Workbench;
use crate::store::SiteKey;

use super::{OffloadError, QUESTION, Settings, answer_to};

/// The workers of a site take turns under this name.
const QUEUE: &str = "keystill";

/// What a worker did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worked {
    /// Questions answered.
    pub answered: u64,
    /// Questions that were none, or under another site's key.
    pub refused: u64,
}

/// A worker, connected and waiting.
pub struct Worker {
    client: Client,
    jobs: Subscriber,
    desk: Arc<Desk>,
    threads: usize,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({} threads)", self.threads)
    }
}

/// What the threads share.
struct Desk {
    key: SiteKey,
    isa: Isa,
    benches: Mutex<Vec<Workbench>>,
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Desk {
    /// The sealed answer to a sealed question.
    fn answer(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let question = self.key.open(QUESTION, sealed)?;
        let lock = || self.benches.lock().unwrap_or_else(PoisonError::into_inner);
        let bench = lock().pop();
        let mut bench = bench.unwrap_or_else(|| Workbench::new(self.isa));
        let answer = ldpc::answer(&question, &mut bench);
        lock().push(bench);
        self.key.seal(&answer_to(sealed), &answer.ok()?)
    }
}

impl Worker {
    /// Connects to the site's NATS server and takes its place in the queue.
    ///
    /// # Errors
    /// [`OffloadError`].
    pub async fn connect(settings: &Settings, threads: usize, isa: Isa) -> Result<Self, OffloadError> {
        let key = settings.read_site_key()?;
        let client = settings.connect("keystill worker").await?;
        let failed = |why: String| OffloadError::Server { server: settings.server.clone(), why };
        let jobs = client.queue_subscribe(settings.subject("jobs"), QUEUE.to_owned()).await;
        let jobs = jobs.map_err(|error| failed(error.to_string()))?;
        client.flush().await.map_err(|error| failed(error.to_string()))?;
        let (benches, answered, refused) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(0));
        let desk = Arc::new(Desk { key, isa, benches, answered, refused });
        Ok(Self { client, jobs, desk, threads: threads.max(1) })
    }

    /// Works until `end` is done, then finishes what it has begun.
    pub async fn run(mut self, end: impl Future<Output = ()>) -> Worked {
        let threads = u32::try_from(self.threads).unwrap_or(u32::MAX);
        let seats = Arc::new(Semaphore::new(self.threads));
        tokio::pin!(end);
        loop {
            let taken = async {
                // A seat first: a question that waits here could be answered by another worker.
                let seat = seats.clone().acquire_owned().await.ok()?;
                Some((seat, self.jobs.next().await?))
            };
            let (seat, message) = tokio::select! {
                () = &mut end => break,
                taken = taken => match taken {
                    Some(taken) => taken,
                    None => break,
                },
            };
            let (desk, client) = (self.desk.clone(), self.client.clone());
            tokio::spawn(async move {
                respond(desk, client, message).await;
                drop(seat);
            });
        }
        // Nobody is told: who waits for an answer asks again.
        let _ = self.jobs.unsubscribe().await;
        let _ = seats.acquire_many(threads).await;
        let _ = self.client.flush().await;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Worked { answered: count(&self.desk.answered), refused: count(&self.desk.refused) }
    }
}

async fn respond(desk: Arc<Desk>, client: Client, message: Message) {
    let Some(reply) = message.reply else { return };
    let asked = desk.clone();
    let answer = tokio::task::spawn_blocking(move || asked.answer(&message.payload)).await;
    let answer = answer.ok().flatten();
    let count = if answer.is_some() { &desk.answered } else { &desk.refused };
    count.fetch_add(1, Ordering::Relaxed);
    // An empty answer says that there is none: the node need not wait.
    if let Err(error) = client.publish(reply, answer.unwrap_or_default().into()).await {
        tracing::warn!("an answer was not sent: {error}");
    }
}
