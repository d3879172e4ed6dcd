//! A live source that is opened anew after it failed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::protocol::Recordable;

use super::actor::{FrameJob, FrameSource};
use super::stream::{Stream, StreamError};

/// The first wait before a source is tried again, and the longest: each is twice the one before.
const WAITS: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];

/// Opens a source.
type Opener<F> = Arc<dyn Fn() -> Result<Stream<F>, StreamError> + Send + Sync>;

/// Where the thread that opens leaves what it opened.
type Opened<F> = Mutex<Option<Stream<F>>>;

/// A [`Stream`] that comes again: after it was cut or damaged it is opened anew, as often as it takes.
pub struct Reopening<F> {
    open: Opener<F>,
    stream: Stream<F>,
    next: Arc<Opened<F>>,
}

impl<F> fmt::Debug for Reopening<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reopening({:?})", self.stream.description())
    }
}

impl<F: 'static> Reopening<F> {
    /// Opens a source for the first time.
    ///
    /// # Errors
    /// [`StreamError`].
    pub fn open(
        open: impl Fn() -> Result<Stream<F>, StreamError> + Send + Sync + 'static,
    ) -> Result<Self, StreamError> {
        Ok(Self { stream: open()?, open: Arc::new(open), next: Arc::default() })
    }

    /// The stream that is open now.
    #[must_use]
    pub fn stream(&self) -> &Stream<F> {
        &self.stream
    }
}

/// Tries until it is open, or nobody wants it any more.
fn open_again<F>(open: &Opener<F>, preamble: &[u8], place: &Weak<Opened<F>>) {
    let [mut wait, longest] = WAITS;
    loop {
        std::thread::sleep(wait);
        wait = (2 * wait).min(longest);
        let opened = open();
        let Some(place) = place.upgrade() else { return };
        match opened {
            // A session knows one calibration.
            Ok(stream) if stream.description().preamble != preamble => {
                tracing::error!(
                    "a source of raw frames came again with another calibration: start the node again"
                );
            }
            Ok(stream) => {
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
                return;
            }
            Err(error) => tracing::warn!("a source of raw frames is not there again: {error}"),
        }
    }
}

impl<F: Recordable + Send + fmt::Debug + 'static> FrameSource<F> for Reopening<F> {
    fn frame(&self, index: u64) -> FrameJob<F> {
        self.stream.frame(index)
    }

    fn frames(&self) -> u64 {
        self.stream.frames()
    }

    fn first_frame(&self) -> u64 {
        self.stream.first_frame()
    }

    fn is_ready(&self, index: u64) -> bool {
        self.stream.is_ready(index)
    }

    fn frame_duration(&self) -> Duration {
        self.stream.frame_duration()
    }

    fn reopen(&mut self) -> bool {
        let (open, place) = (self.open.clone(), Arc::downgrade(&self.next));
        let preamble = self.stream.description().preamble.clone();
        // The old one's hardware is told: nobody reads on.
        self.stream.close();
        let thread = std::thread::Builder::new().name("source".into());
        thread.spawn(move || open_again(&open, &preamble, &place)).is_ok()
    }

    fn is_back(&mut self) -> bool {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        let back = next.is_some();
        if let Some(stream) = next {
            self.stream = stream;
        }
        back
    }
}
