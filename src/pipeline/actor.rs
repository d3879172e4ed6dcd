//! One session with its source of raw frames, ready to be driven.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use keystill_kernels::Isa;

use crate::protocol::Protocol;
use crate::session::{Error, Event, Finished, Input, Output, Refused, SecretKey, Session, Time};
use crate::stage::{Computed, Role};

use super::workers::Workers;

/// Raw frames asked of the source before they are needed.
const AHEAD: u64 = 12;

/// Makes one raw frame.
pub type FrameJob<F> = Box<dyn FnOnce(Isa) -> Result<F, SourceError> + Send>;

/// Where raw frames come from: hardware, a recording, the simulated world.
pub trait FrameSource<F>: Send + fmt::Debug {
    /// A job that makes or reads frame `index`, on any thread; jobs may run in any order.
    fn frame(&self, index: u64) -> FrameJob<F>;

    /// How many frames there are.
    fn frames(&self) -> u64;

    /// How long a frame takes on the link.
    fn frame_duration(&self) -> Duration;
}

/// A source failed.
#[derive(Debug, thiserror::Error)]
#[error("raw frame {index} cannot be had: {reason}")]
pub struct SourceError {
    /// The frame.
    pub index: u64,
    /// Why.
    pub reason: String,
}

/// How fast raw frames are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as they can be distilled.
    Max,
    /// As fast as the link makes them.
    RealTime,
}

/// Something that an actor has to say.
#[derive(Debug)]
pub enum News {
    /// A key that both sides hold.
    Key(SecretKey),
    /// An event of the session.
    Event(Event),
}

/// Hears news by actor number, and with `None` a sign of life now and then; returns whether to go on.
pub type Told<'a> = &'a mut dyn FnMut(&[Box<dyn Actor>], Option<(usize, News)>) -> bool;

/// Why an actor stopped.
#[derive(Debug, thiserror::Error)]
pub enum ActorError {
    /// Its session is over.
    #[error("{protocol}, {role:?}: {source}")]
    Session {
        /// The protocol.
        protocol: &'static str,
        /// The party.
        role: Role,
        /// Why.
        source: Error,
    },
    /// Its source failed.
    #[error("{protocol}, {role:?}: {source}")]
    Source {
        /// The protocol.
        protocol: &'static str,
        /// The party.
        role: Role,
        /// Why.
        source: SourceError,
    },
}

/// One party of one protocol with its source, its types forgotten.
pub trait Actor: Send + fmt::Debug {
    /// The protocol's name.
    fn protocol(&self) -> &'static str;

    /// Which end of the link.
    fn role(&self) -> Role;

    /// Goes on as far as it can: feeds frames, starts work, collects messages and news. Returns
    /// whether anything moved.
    ///
    /// # Errors
    /// [`ActorError`], after which it is over.
    fn advance(&mut self, number: usize, workers: &Workers) -> Result<bool, ActorError>;

    /// Hands over a message of the peer.
    ///
    /// # Errors
    /// As [`Actor::advance`].
    fn deliver(&mut self, message: &[u8]) -> Result<(), ActorError>;

    /// Hands over the result of work.
    ///
    /// # Errors
    /// As [`Actor::advance`].
    fn arrived(&mut self, result: Computed) -> Result<(), ActorError>;

    /// Takes the messages for the peer, in order.
    fn take_messages(&mut self) -> Vec<Vec<u8>>;

    /// Takes what there is to say.
    fn take_news(&mut self) -> Vec<News>;

    /// Whether every block is over and everything said was taken.
    fn is_finished(&self) -> bool;

    /// Raw frames taken so far, and in all.
    fn progress(&self) -> (u64, u64);

    /// When the next frame is due, if the actor waits for it only.
    fn next_due(&self) -> Option<Instant>;
}

/// A session and its source.
#[derive(Debug)]
pub struct Party<P: Protocol> {
    session: Session<P>,
    role: Role,
    source: Box<dyn FrameSource<P::Frame>>,
    blocks: u64,
    pace: Pace,
    began: Instant,
    requested: u64,
    ready: BTreeMap<u64, P::Frame>,
    messages: Vec<Vec<u8>>,
    news: Vec<News>,
}

enum Arrived<F> {
    Frame { index: u64, frame: Result<F, SourceError> },
    Work(Finished),
}

impl<P: Protocol> Party<P> {
    /// A session that takes all frames of `source`; a last block that they do not fill is not begun.
    #[must_use]
    pub fn new(
        session: Session<P>,
        role: Role,
        protocol: &P,
        source: Box<dyn FrameSource<P::Frame>>,
        pace: Pace,
    ) -> Self {
        let blocks = source.frames() / protocol.frames_per_block();
        Self {
            session,
            role,
            source,
            blocks,
            pace,
            began: Instant::now(),
            requested: 0,
            ready: BTreeMap::new(),
            messages: Vec::new(),
            news: Vec::new(),
        }
    }

    fn failed(&self, source: Error) -> ActorError {
        ActorError::Session { protocol: P::NAME, role: self.role, source }
    }

    fn frames(&self) -> u64 {
        self.source.frames()
    }

    fn due(&self, index: u64) -> Instant {
        let nanoseconds = self.source.frame_duration().as_nanos().saturating_mul(u128::from(index) + 1);
        self.began + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    fn is_due(&self, index: u64) -> bool {
        self.pace == Pace::Max || self.due(index) <= Instant::now()
    }

    fn request(&mut self, number: usize, workers: &Workers) -> bool {
        let mut moved = false;
        while self.requested < self.frames().min(self.session.next_frame() + AHEAD) {
            let index = self.requested;
            let job = self.source.frame(index);
            workers.spawn(number, move |bench| Box::new(Arrived::Frame { index, frame: job(bench.isa()) }));
            self.requested += 1;
            moved = true;
        }
        moved
    }

    fn feed(&mut self) -> Result<bool, ActorError> {
        let mut moved = false;
        loop {
            let index = self.session.next_frame();
            if !self.is_due(index) {
                return Ok(moved);
            }
            let Some(frame) = self.ready.remove(&index) else { return Ok(moved) };
            match self.session.offer(frame) {
                Ok(()) => moved = true,
                Err(Refused::Full(frame)) => {
                    self.ready.insert(index, frame);
                    return Ok(moved);
                }
                Err(Refused::Closed(error)) => return Err(self.failed(error)),
            }
        }
    }

    fn drain(&mut self, number: usize, workers: &Workers) -> bool {
        let mut moved = false;
        loop {
            match self.session.poll() {
                Output::Transmit(message) => self.messages.push(message),
                Output::Compute(work) => {
                    workers.spawn(number, move |bench| Box::new(Arrived::<P::Frame>::Work(work.run(bench))));
                }
                Output::Key(key) => self.news.push(News::Key(key)),
                Output::Event(event) => self.news.push(News::Event(event)),
                Output::Wait => return moved,
            }
            moved = true;
        }
    }
}

impl<P: Protocol> Actor for Party<P> {
    fn protocol(&self) -> &'static str {
        P::NAME
    }

    fn role(&self) -> Role {
        self.role
    }

    fn advance(&mut self, number: usize, workers: &Workers) -> Result<bool, ActorError> {
        let requested = self.request(number, workers);
        let fed = self.feed()?;
        let drained = self.drain(number, workers);
        Ok(requested || fed || drained)
    }

    fn deliver(&mut self, message: &[u8]) -> Result<(), ActorError> {
        self.session.handle(Time::default(), Input::Received(message)).map_err(|error| self.failed(error))
    }

    fn arrived(&mut self, result: Computed) -> Result<(), ActorError> {
        let arrived = result.downcast::<Arrived<P::Frame>>();
        match *arrived.expect("the pool returns to an actor what that actor asked for") {
            Arrived::Frame { index, frame } => {
                let failed = |source| ActorError::Source { protocol: P::NAME, role: self.role, source };
                self.ready.insert(index, frame.map_err(failed)?);
                Ok(())
            }
            Arrived::Work(finished) => {
                let input = Input::Finished(finished);
                self.session.handle(Time::default(), input).map_err(|error| self.failed(error))
            }
        }
    }

    fn take_messages(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.messages)
    }

    fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn is_finished(&self) -> bool {
        let told = self.session.is_drained() && self.messages.is_empty() && self.news.is_empty();
        told && self.session.blocks_over() >= self.blocks
    }

    fn progress(&self) -> (u64, u64) {
        (self.session.next_frame(), self.frames())
    }

    fn next_due(&self) -> Option<Instant> {
        let next = self.session.next_frame();
        (self.pace == Pace::RealTime && next < self.frames()).then(|| self.due(next))
    }
}
