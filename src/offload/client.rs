//! The node's side: asks, waits, asks again, gives up.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::{Client, Request, RequestErrorKind};
use zeroize::Zeroizing;

use crate::stage::Elsewhere;
use crate::store::SiteKey;

use super::{OffloadError, QUESTION, Settings, answer_to};

/// How often a question is asked.
const TRIES: u32 = 2;

/// How long nobody is asked after all tries were in vain.
const REST: Duration = Duration::from_secs(5);

/// The workers of a site, as its node sees them.
pub struct Site {
    runtime: tokio::runtime::Runtime,
    client: Client,
    key: SiteKey,
    jobs: String,
    telemetry: String,
    patience: Duration,
    rests_until: Mutex<Option<Instant>>,
    answered: AtomicU64,
    unanswered: AtomicU64,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Site({}, {:?})", self.jobs, self.counts())
    }
}

impl Site {
    /// Connects to the site's NATS server.
    ///
    /// # Errors
    /// [`OffloadError`].
    pub fn connect(settings: &Settings) -> Result<Self, OffloadError> {
        let key = settings.read_site_key()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| OffloadError::Settings { what: "threads".into(), why: error.to_string() })?;
        let client = runtime.block_on(settings.connect("keystill node"))?;
        Ok(Self {
            runtime,
            client,
            key,
            jobs: settings.subject("jobs"),
            telemetry: settings.subject("telemetry"),
            patience: settings.patience(),
            rests_until: Mutex::default(),
            answered: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        })
    }

    /// Jobs that workers answered, and jobs that were computed here after all.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.answered.load(Ordering::Relaxed), self.unanswered.load(Ordering::Relaxed))
    }

    /// Tells whoever listens how the node is. Figures only: this is not sealed.
    pub fn tell(&self, figures: &str) {
        let sent = self
            .runtime
            .block_on(async { self.client.publish(self.telemetry.clone(), figures.to_owned().into()).await });
        if let Err(error) = sent {
            tracing::warn!("telemetry was not sent: {error}");
        }
    }

    fn rests(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn asked(&self, question: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let sealed = self.key.seal(QUESTION, question)?;
        let what = answer_to(&sealed);
        let payload = hyper::body::Bytes::from(sealed);
        for _ in 0..TRIES {
            let request = Request::new().payload(payload.clone()).timeout(Some(self.patience));
            match self.runtime.block_on(self.client.send_request(self.jobs.clone(), request)) {
                Ok(message) => {
                    let answer = self.key.open(&what, &message.payload);
                    if answer.is_some() {
                        return answer;
                    }
                    tracing::warn!("a worker answered under another site's key, or refused the question");
                }
                Err(error) if error.kind() == RequestErrorKind::TimedOut => {}
                Err(error) => {
                    tracing::debug!("no worker: {error}");
                    break;
                }
            }
        }
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        None
    }
}

impl Elsewhere for Site {
    fn ask(&self, question: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let answer = if self.rests() { None } else { self.asked(question) };
        let count = if answer.is_some() { &self.answered } else { &self.unanswered };
        count.fetch_add(1, Ordering::Relaxed);
        answer
    }
}
