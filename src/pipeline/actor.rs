//! One session with its source of raw frames, ready to be driven.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use keystill_kernels::Isa;

use crate::auth::{AuthError, Pool};
use crate::protocol::Protocol;
use crate::session::{
    Config, Error, Event, Input, LinkState, Output, Refused, Remembered, SecretKey, Session, Time,
};
use crate::stage::{Computation, Role};
use crate::store::{Forgetful, Keeper, StoreError};

use super::workers::{Arrived, Job, Kind, Workers};

/// Raw frames asked of the source before they are needed.
const AHEAD: u64 = 12;

/// How often a live source is asked whether it has the next frame.
const SOURCE_POLL: Duration = Duration::from_millis(1);

/// Makes one raw frame.
pub type FrameJob<F> = Box<dyn FnOnce(Isa) -> Result<F, SourceError> + Send>;

/// Where raw frames come from: hardware, a recording, the simulated world.
pub trait FrameSource<F>: Send + fmt::Debug {
    /// A job that makes or reads frame `index`, on any thread; jobs may run in any order.
    fn frame(&self, index: u64) -> FrameJob<F>;

    /// The index after the last frame; `u64::MAX` while a live source knows no end.
    fn frames(&self) -> u64;

    /// The first frame there is: a live source began before or after us.
    fn first_frame(&self) -> u64 {
        0
    }

    /// Whether frame `index` can be asked for now; none before it will be. Jobs must not wait, so a live
    /// source says no until it has read the frame, or has failed.
    fn is_ready(&self, _index: u64) -> bool {
        true
    }

    /// How long a frame takes on the link.
    fn frame_duration(&self) -> Duration;

    /// Begins to open it anew after it failed, and returns at once; `false` if that cannot be.
    fn reopen(&mut self) -> bool {
        false
    }

    /// Whether it is there again after [`FrameSource::reopen`]; from then on it is the new one.
    fn is_back(&mut self) -> bool {
        true
    }
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
    /// What computing for a block took; comes right before the block's own event.
    Took {
        /// The block.
        block: u64,
        /// Seconds by stage, summed over the threads; `source` makes raw frames.
        stage_s: BTreeMap<&'static str, f64>,
    },
    /// The session failed and begins again from what was remembered.
    Restarted(Error),
    /// The source failed and is opened anew; the actor rests meanwhile.
    Resting(SourceError),
    /// The source is there again.
    Back,
    /// The actor is over, and the others go on ([`Alone`](super::Alone)).
    Stopped(ActorError),
}

/// What a session lives on; it ends when either is used up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reserves {
    /// Blocks whose tags the pads still cover.
    pub pads_for_blocks: usize,
    /// ε of all blocks so far, aborted ones in full.
    pub epsilon_spent: f64,
    /// What it may add up to.
    pub epsilon_cap: f64,
}

/// What waits inside an actor; each is bounded by the session's window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Raw frames that are there and not taken yet.
    pub frames: usize,
    /// Computations under way or waiting for a thread.
    pub computations: usize,
    /// Messages that the connection has not taken.
    pub messages: usize,
}

/// Whether an actor takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Running,
    /// Not until its source is there again.
    Resting,
    /// Never again.
    Stopped,
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
    /// What it must remember cannot be.
    #[error("{protocol}, {role:?}: {source}")]
    Storage {
        /// The protocol.
        protocol: &'static str,
        /// The party.
        role: Role,
        /// Why.
        source: StoreError,
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

    /// Tells whether there is a connection to the peer.
    ///
    /// # Errors
    /// As [`Actor::advance`].
    fn link(&mut self, state: LinkState) -> Result<(), ActorError>;

    /// Whether the connection should be closed and made anew; asked once.
    fn take_hangup(&mut self) -> bool;

    /// Hands over a message of the peer.
    ///
    /// # Errors
    /// As [`Actor::advance`].
    fn deliver(&mut self, message: &[u8]) -> Result<(), ActorError>;

    /// Hands over the result of work.
    ///
    /// # Errors
    /// As [`Actor::advance`].
    fn arrived(&mut self, result: Arrived) -> Result<(), ActorError>;

    /// Appends the messages for the peer, in order, to what the caller sends.
    fn take_messages(&mut self, sent: &mut Vec<Vec<u8>>);

    /// Takes what there is to say.
    fn take_news(&mut self) -> Vec<News>;

    /// Whether every block is over and everything said was taken.
    fn is_finished(&self) -> bool;

    /// Raw frames taken so far, and in all.
    fn progress(&self) -> (u64, u64);

    /// When the actor wants its turn though nothing arrives: the next frame is due, or patience ends.
    fn next_due(&self) -> Option<Instant>;

    /// Whether it takes part.
    fn condition(&self) -> Condition;

    /// What its session lives on.
    fn reserves(&self) -> Reserves;

    /// What waits in it.
    fn queues(&self) -> Queues;
}

/// A session and its source.
#[derive(Debug)]
pub struct Party<P: Protocol> {
    config: Config<P>,
    session: Session<P>,
    /// Sessions before this one: their work comes back to nobody.
    restarts: u64,
    keeper: Box<dyn Keeper>,
    source: Box<dyn FrameSource<P::Frame>>,
    pace: Pace,
    began: Instant,
    /// The frame that was next when the party began.
    first_frame: u64,
    requested: u64,
    ready: BTreeMap<u64, P::Frame>,
    messages: Vec<Vec<u8>>,
    news: Vec<News>,
    deadline: Option<Time>,
    hangup: bool,
    was_live: bool,
    /// The source failed and is not there again.
    resting: bool,
    /// How often the source was opened anew: frames of an older one come back to nobody.
    reopened: u64,
    /// Seconds by stage of blocks under way.
    stage_s: BTreeMap<u64, BTreeMap<&'static str, f64>>,
}

/// A raw frame that was asked for.
struct Made<F> {
    reopened: u64,
    index: u64,
    frame: Result<F, SourceError>,
    took: Duration,
}

impl<P: Protocol> Party<P> {
    /// A party that begins with pads of its own, remembers nothing, and takes all frames of `source`; a
    /// last block that they do not fill is not begun.
    #[must_use]
    pub fn new(config: Config<P>, pool: Pool, source: Box<dyn FrameSource<P::Frame>>, pace: Pace) -> Self {
        Self::resume(config, Remembered::new(pool), Box::new(Forgetful), source, pace)
    }

    /// A party that goes on from what its keeper remembers.
    #[must_use]
    pub fn resume(
        config: Config<P>,
        mut remembered: Remembered,
        keeper: Box<dyn Keeper>,
        source: Box<dyn FrameSource<P::Frame>>,
        pace: Pace,
    ) -> Self {
        skip_lost(&mut remembered, &config, &*source);
        let session = Session::resume(config.clone(), remembered);
        Self {
            config,
            first_frame: session.next_frame(),
            requested: session.next_frame(),
            session,
            restarts: 0,
            keeper,
            source,
            pace,
            began: Instant::now(),
            ready: BTreeMap::new(),
            messages: Vec::new(),
            news: Vec::new(),
            deadline: None,
            hangup: false,
            was_live: false,
            resting: false,
            reopened: 0,
            stage_s: BTreeMap::new(),
        }
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn storage(&self, source: StoreError) -> ActorError {
        ActorError::Storage { protocol: P::NAME, role: self.config.role, source }
    }

    /// Hands an input to the session; where it fails, begins again from what is remembered.
    fn handle(&mut self, input: Input<'_>) -> Result<(), ActorError> {
        match self.session.handle(self.now(), input) {
            Ok(()) => Ok(()),
            // It is given up anyway when the source is back.
            Err(_) if self.resting => Ok(()),
            Err(error) => self.restart(error),
        }
    }

    fn restart(&mut self, error: Error) -> Result<(), ActorError> {
        if let Error::FrameOutOfOrder { expected } = error {
            let reason = "another frame came in its place: the source lost data".into();
            if self.rest(SourceError { index: expected, reason }).is_ok() {
                return Ok(());
            }
        }
        if !self.begin_again()? || is_final(&error) {
            return Err(ActorError::Session { protocol: P::NAME, role: self.config.role, source: error });
        }
        self.news.push(News::Restarted(error));
        Ok(())
    }

    /// Gives the session up and begins another from what is remembered; `false` if that is nothing.
    fn begin_again(&mut self) -> Result<bool, ActorError> {
        // What the session asked to be remembered before it failed stays spent.
        loop {
            match self.session.poll() {
                Output::Persist(record) => match self.keeper.write(&record.entry) {
                    Ok(()) | Err(StoreError::Full { .. }) => {}
                    Err(source) => return Err(self.storage(source)),
                },
                Output::Key(key) => self.news.push(News::Key(key)),
                Output::Event(event) => self.news.push(News::Event(event)),
                Output::Wait(_) => break,
                Output::Transmit(_) | Output::Compute(_) | Output::Hangup => {}
            }
        }
        self.keeper.sync().map_err(|source| self.storage(source))?;
        let remembered = self.keeper.recall().map_err(|source| self.storage(source))?;
        let Some(mut remembered) = remembered else { return Ok(false) };
        skip_lost(&mut remembered, &self.config, &*self.source);
        self.session = Session::resume(self.config.clone(), remembered);
        self.restarts += 1;
        self.stage_s.clear();
        self.hangup = true;
        self.messages.clear();
        Ok(true)
    }

    /// The source failed: rests until it is there again, if it can be opened anew.
    fn rest(&mut self, error: SourceError) -> Result<(), ActorError> {
        if !self.source.reopen() {
            return Err(ActorError::Source { protocol: P::NAME, role: self.config.role, source: error });
        }
        self.resting = true;
        self.reopened += 1;
        self.ready.clear();
        self.news.push(News::Resting(error));
        Ok(())
    }

    /// Goes on with a source that is there again, from its first whole block.
    fn return_to_work(&mut self) -> Result<(), ActorError> {
        self.resting = false;
        if !self.begin_again()? {
            let source = SourceError {
                index: self.session.next_frame(),
                reason: "it is there again, but what the session spent was not remembered".into(),
            };
            return Err(ActorError::Source { protocol: P::NAME, role: self.config.role, source });
        }
        self.requested = self.session.next_frame();
        self.news.push(News::Back);
        Ok(())
    }

    fn frames(&self) -> u64 {
        self.source.frames()
    }

    /// Whether the next frame to ask for is not read yet.
    fn is_waiting_for_source(&self) -> bool {
        let wanted = self.frames().min(self.session.next_frame() + AHEAD);
        self.resting || self.requested < wanted && !self.source.is_ready(self.requested)
    }

    fn due(&self, index: u64) -> Instant {
        let nanoseconds = self
            .source
            .frame_duration()
            .as_nanos()
            .saturating_mul(u128::from(index.saturating_sub(self.first_frame)) + 1);
        self.began + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    fn is_due(&self, index: u64) -> bool {
        self.pace == Pace::Max || self.due(index) <= Instant::now()
    }

    fn request(&mut self, number: usize, workers: &Workers) -> bool {
        let mut moved = false;
        self.requested = self.requested.max(self.session.next_frame());
        while self.requested < self.frames().min(self.session.next_frame() + AHEAD) {
            if !self.source.is_ready(self.requested) {
                break;
            }
            let index = self.requested;
            let (job, reopened) = (self.source.frame(index), self.reopened);
            let made = Computation::of(move |bench| {
                let began = Instant::now();
                let frame = job(bench.isa());
                Made { reopened, index, frame, took: began.elapsed() }
            });
            workers.spawn(number, Job::Frame(made));
            self.requested += 1;
            moved = true;
        }
        moved
    }

    fn feed(&mut self) -> Result<bool, ActorError> {
        let mut moved = false;
        loop {
            let index = self.session.next_frame();
            let begins = index.is_multiple_of(self.config.protocol.frames_per_block());
            if !self.is_due(index) || begins && !self.has_room() {
                return Ok(moved);
            }
            // Frames that the session no longer wants belong to blocks that were cut.
            while self.ready.first_key_value().is_some_and(|(early, _)| *early < index) {
                self.ready.pop_first();
            }
            let Some(frame) = self.ready.remove(&index) else { return Ok(moved) };
            match self.session.offer(frame) {
                Ok(()) => moved = true,
                Err(Refused::Full(frame)) => {
                    self.ready.insert(index, frame);
                    return Ok(moved);
                }
                Err(Refused::Closed(error)) => self.restart(error)?,
            }
        }
    }

    fn has_room(&mut self) -> bool {
        self.keeper.has_room(self.config.protocol.most_key_bits() as u64)
    }

    /// Takes what the session asks for. Records of one turn last with one sync.
    fn drain(&mut self, number: usize, workers: &Workers) -> Result<bool, ActorError> {
        let (mut moved, mut ticket) = (false, None);
        loop {
            match self.session.poll() {
                Output::Transmit(message) => self.messages.push(message),
                Output::Compute(work) => workers.spawn(number, Job::Work { restarts: self.restarts, work }),
                Output::Key(key) => self.news.push(News::Key(key)),
                Output::Event(event) => {
                    self.was_live |= matches!(event, Event::PeerReady { .. });
                    if let Event::Block(report) = &event {
                        self.tell_times(report.block);
                    }
                    self.news.push(News::Event(event));
                }
                Output::Hangup => self.hangup = true,
                Output::Persist(record) => match self.keeper.write(&record.entry) {
                    Ok(()) => ticket = Some(record.ticket),
                    Err(full @ StoreError::Full { .. }) => {
                        ticket = None;
                        self.restart(Error::NotKept { reason: full.to_string() })?;
                    }
                    Err(source) => return Err(self.storage(source)),
                },
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    let Some(ticket) = ticket.take() else { return Ok(moved) };
                    self.keeper.sync().map_err(|source| self.storage(source))?;
                    self.handle(Input::Persisted(ticket))?;
                }
            }
            moved = true;
        }
    }

    fn take_frame(&mut self, made: Made<P::Frame>) -> Result<(), ActorError> {
        if made.reopened != self.reopened {
            return Ok(());
        }
        self.book_time(made.index / self.config.protocol.frames_per_block(), "source", made.took);
        match made.frame {
            Ok(frame) => {
                self.ready.insert(made.index, frame);
                Ok(())
            }
            Err(error) => self.rest(error),
        }
    }

    fn book_time(&mut self, block: u64, stage: &'static str, took: Duration) {
        *self.stage_s.entry(block).or_default().entry(stage).or_default() += took.as_secs_f64();
    }

    /// Tells what a block that is over took, and forgets those before it.
    fn tell_times(&mut self, block: u64) {
        let later = self.stage_s.split_off(&(block + 1));
        if let Some(stage_s) = std::mem::replace(&mut self.stage_s, later).remove(&block) {
            self.news.push(News::Took { block, stage_s });
        }
    }
}

/// Moves on to the first whole block of a source: what it made before it was asked is lost.
fn skip_lost<P: Protocol>(
    remembered: &mut Remembered,
    config: &Config<P>,
    source: &dyn FrameSource<P::Frame>,
) {
    let first_block = source.first_frame().div_ceil(config.protocol.frames_per_block());
    remembered.memory.next_block = remembered.memory.next_block.max(first_block);
}

/// Whether beginning again cannot help: the configuration is wrong, or something is used up.
fn is_final(error: &Error) -> bool {
    matches!(
        error,
        Error::Disagreement { .. }
            | Error::EpsilonSpent { .. }
            | Error::FrameOutOfOrder { .. }
            | Error::Auth(AuthError::PadsSpent { .. })
    )
}

impl<P: Protocol> Actor for Party<P> {
    fn protocol(&self) -> &'static str {
        P::NAME
    }

    fn role(&self) -> Role {
        self.config.role
    }

    fn advance(&mut self, number: usize, workers: &Workers) -> Result<bool, ActorError> {
        if self.deadline.is_some_and(|deadline| deadline <= self.now()) {
            self.handle(Input::Tick)?;
        }
        if self.resting {
            if self.source.is_back() {
                self.return_to_work()?;
            }
            return self.drain(number, workers);
        }
        let requested = self.request(number, workers);
        let fed = self.feed()?;
        let drained = self.drain(number, workers)?;
        Ok(requested || fed || drained)
    }

    fn link(&mut self, state: LinkState) -> Result<(), ActorError> {
        self.messages.clear();
        self.hangup = false;
        self.handle(Input::Link(state))
    }

    fn take_hangup(&mut self) -> bool {
        std::mem::take(&mut self.hangup)
    }

    fn deliver(&mut self, message: &[u8]) -> Result<(), ActorError> {
        if self.hangup {
            return Ok(());
        }
        self.handle(Input::Received(message))
    }

    fn arrived(&mut self, result: Arrived) -> Result<(), ActorError> {
        match result.0 {
            Kind::Frame(made) => {
                let made = made.take::<Made<P::Frame>>();
                self.take_frame(made.expect("the pool returns to an actor what that actor asked for"))
            }
            Kind::Work { restarts, finished, block, stage, took } if restarts == self.restarts => {
                self.book_time(block, stage, took);
                self.handle(Input::Finished(finished))
            }
            Kind::Work { .. } => Ok(()),
        }
    }

    fn take_messages(&mut self, sent: &mut Vec<Vec<u8>>) {
        sent.append(&mut self.messages);
    }

    fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn is_finished(&self) -> bool {
        let told = self.session.is_drained() && self.messages.is_empty() && self.news.is_empty();
        let over = self.was_live
            && !self.session.is_in_doubt()
            && self.session.blocks_over() >= self.frames() / self.config.protocol.frames_per_block();
        told && over
    }

    fn progress(&self) -> (u64, u64) {
        (self.session.next_frame(), self.frames())
    }

    fn next_due(&self) -> Option<Instant> {
        let next = self.session.next_frame();
        let frame = (self.pace == Pace::RealTime && next < self.frames()).then(|| self.due(next));
        let deadline = self.deadline.map(|deadline| self.began + Duration::from_nanos(deadline.0));
        let source = self.is_waiting_for_source().then(|| Instant::now() + SOURCE_POLL);
        frame.into_iter().chain(deadline).chain(source).min()
    }

    fn condition(&self) -> Condition {
        if self.resting { Condition::Resting } else { Condition::Running }
    }

    fn reserves(&self) -> Reserves {
        Reserves {
            pads_for_blocks: self.session.pads_for_blocks(),
            epsilon_spent: self.session.epsilon_spent(),
            epsilon_cap: self.config.epsilon_cap,
        }
    }

    fn queues(&self) -> Queues {
        Queues {
            frames: self.ready.len(),
            computations: self.session.computations(),
            messages: self.messages.len(),
        }
    }
}
