//! One party's half of one conversation about one block: the shape that every stage has.

pub mod loopback;

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use keystill_kernels::Isa;
use zeroize::Zeroizing;

use crate::ledger::Ledger;
use crate::wire::{Malformed, Reader};

/// Which end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The sender of quantum states.
    Alice,
    /// The receiver.
    Bob,
}

impl Role {
    /// The other end.
    #[must_use]
    pub fn peer(self) -> Self {
        match self {
            Self::Alice => Self::Bob,
            Self::Bob => Self::Alice,
        }
    }
}

/// Whose bits are the key: the reference side's stay, the correcting side's are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Discloses parities of its bits and keeps them.
    Reference,
    /// Corrects its bits to the reference side's.
    Corrector,
}

/// A stage: a state machine that hears messages, asks for computing, and leaves with a product.
pub trait Stage: Sized {
    /// What it asks to be computed.
    type Job: Job;
    /// What leaves it.
    type Product;

    /// Begins.
    ///
    /// # Errors
    /// [`Fault`] where the stage or its block cannot go on.
    fn start(self, out: &mut Outbox) -> Result<Step<Self>, Fault>;

    /// Hears a message of the peer's stage.
    ///
    /// # Errors
    /// [`Fault`] where the message is not one that may come now, or the block is lost.
    fn hear(self, message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault>;

    /// Takes the result of its job.
    ///
    /// # Errors
    /// [`Fault`] where the block is lost.
    fn done(self, result: <Self::Job as Job>::Output, out: &mut Outbox) -> Result<Step<Self>, Fault>;
}

/// What a stage does next.
#[derive(Debug)]
pub enum Step<S: Stage> {
    /// It waits for a message.
    Listen(S),
    /// It waits for the result of a job.
    Compute(S, S::Job),
    /// It is finished.
    Leave(S::Product),
}

/// A pure computation: it owns its input, touches nothing else, and gives its buffers back.
pub trait Job: Send + 'static {
    /// The result.
    type Output: Send + 'static;

    /// Computes. Never blocks.
    fn run(self, bench: &mut Workbench) -> Self::Output;
}

/// A computation whose types are forgotten: what a session hands to its pool. Its result takes the same memory.
pub struct Computation(Box<dyn Errand>);

/// The result of a [`Computation`].
pub struct Computed(Box<dyn Errand>);

impl Computation {
    /// Forgets the types of a job.
    #[must_use]
    pub fn new<J: Job>(job: J) -> Self {
        Self(Box::new(Slot { job: Some(job), output: None }))
    }

    /// A computation that is a function.
    #[must_use]
    pub fn of<R: Send + 'static>(job: impl FnOnce(&mut Workbench) -> R + Send + 'static) -> Self {
        Self::new(Function(job))
    }

    /// Computes. Never blocks.
    #[must_use]
    pub fn run(mut self, bench: &mut Workbench) -> Computed {
        self.0.run(bench);
        Computed(self.0)
    }
}

impl Computed {
    /// The result, if it is of this type.
    #[must_use]
    pub fn take<R: Send + 'static>(mut self) -> Option<R> {
        self.0.output().downcast_mut::<Option<R>>()?.take()
    }
}

impl fmt::Debug for Computation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Computation")
    }
}

impl fmt::Debug for Computed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Computed")
    }
}

/// A function as a job.
struct Function<F>(F);

impl<F, R> Job for Function<F>
where
    F: FnOnce(&mut Workbench) -> R + Send + 'static,
    R: Send + 'static,
{
    type Output = R;

    fn run(self, bench: &mut Workbench) -> R {
        self.0(bench)
    }
}

/// A job before it is run, and its result afterwards. A conversation uses it for one job after the other.
struct Slot<J: Job> {
    job: Option<J>,
    output: Option<J::Output>,
}

/// A [`Slot`] whose types are forgotten.
trait Errand: Send {
    fn run(&mut self, bench: &mut Workbench);

    /// The option of an output.
    fn output(&mut self) -> &mut dyn Any;

    /// The slot itself.
    fn slot(&mut self) -> &mut dyn Any;
}

impl<J: Job> Errand for Slot<J> {
    fn run(&mut self, bench: &mut Workbench) {
        self.output = self.job.take().map(|job| job.run(bench));
    }

    fn output(&mut self) -> &mut dyn Any {
        &mut self.output
    }

    fn slot(&mut self) -> &mut dyn Any {
        self
    }
}

/// A stage whose own types are forgotten, all but its product: what a session keeps.
pub trait Conversation<P>: Send {
    /// As [`Stage::start`].
    ///
    /// # Errors
    /// As there.
    fn start(&mut self, out: &mut Outbox) -> Result<Next<P>, Fault>;

    /// As [`Stage::hear`].
    ///
    /// # Errors
    /// As there; also [`Malformed`] where the stage is computing or gone and may hear nothing.
    fn hear(&mut self, message: Reader<'_>, out: &mut Outbox) -> Result<Next<P>, Fault>;

    /// As [`Stage::done`].
    ///
    /// # Errors
    /// As there.
    fn done(&mut self, result: Computed, out: &mut Outbox) -> Result<Next<P>, Fault>;
}

/// [`Step`] with the stage's own types forgotten.
#[derive(Debug)]
pub enum Next<P> {
    /// It waits for a message.
    Listen,
    /// It waits for the result of a computation.
    Compute(Computation),
    /// It is finished.
    Leave(P),
}

/// Forgets the types of a stage.
pub fn converse<S>(stage: S) -> Box<dyn Conversation<S::Product>>
where
    S: Stage + Send + 'static,
    S::Product: 'static,
{
    Box::new(Held { stage: Some(stage), computing: false, slot: None })
}

/// A stage between two steps. It is absent once it has left or failed.
struct Held<S> {
    stage: Option<S>,
    computing: bool,
    /// The memory of the last job, for the next.
    slot: Option<Box<dyn Errand>>,
}

impl<S: Stage + Send + 'static> Held<S> {
    fn step(&mut self, step: impl FnOnce(S) -> Result<Step<S>, Fault>) -> Result<Next<S::Product>, Fault> {
        let stage = self.stage.take().ok_or(Malformed::Field { field: "stage" })?;
        self.computing = false;
        Ok(match step(stage)? {
            Step::Listen(stage) => {
                self.stage = Some(stage);
                Next::Listen
            }
            Step::Compute(stage, job) => {
                self.stage = Some(stage);
                self.computing = true;
                Next::Compute(self.computation(job))
            }
            Step::Leave(product) => Next::Leave(product),
        })
    }

    fn computation(&mut self, job: S::Job) -> Computation {
        if let Some(mut slot) = self.slot.take()
            && let Some(empty) = slot.slot().downcast_mut::<Slot<S::Job>>()
        {
            empty.job = Some(job);
            return Computation(slot);
        }
        Computation::new(job)
    }
}

impl<S: Stage + Send + 'static> Conversation<S::Product> for Held<S> {
    fn start(&mut self, out: &mut Outbox) -> Result<Next<S::Product>, Fault> {
        self.step(|stage| stage.start(out))
    }

    fn hear(&mut self, message: Reader<'_>, out: &mut Outbox) -> Result<Next<S::Product>, Fault> {
        if self.computing {
            // The protocols are half-duplex within a stage: nothing may come while it computes.
            return Err(Malformed::Field { field: "turn" }.into());
        }
        self.step(|stage| stage.hear(message, out))
    }

    fn done(&mut self, result: Computed, out: &mut Outbox) -> Result<Next<S::Product>, Fault> {
        let Computed(mut slot) = result;
        let output = slot.output().downcast_mut::<Option<<S::Job as Job>::Output>>().and_then(Option::take);
        let output = output.expect("a session returns to a stage the result of that stage's job");
        self.slot = Some(slot);
        self.step(|stage| stage.done(output, out))
    }
}

/// Other machines of the trusted site that compute, too.
pub trait Elsewhere: Send + Sync + fmt::Debug {
    /// Has a question answered, or tells after a bounded time that nobody did. The answer is to be
    /// checked: who computed it may have erred.
    fn ask(&self, question: &[u8]) -> Option<Zeroizing<Vec<u8>>>;
}

/// Jobs of others that wait while a long one runs.
pub trait GiveWay: Send + Sync {
    /// Runs them while it is their turn.
    fn give_way(&self);
}

/// Counts how often it was asked.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Asked(pub(crate) std::sync::atomic::AtomicU32);

#[cfg(test)]
impl GiveWay for Asked {
    fn give_way(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

/// What a long job asks now and then, between two iterations: see [`Workbench::others`].
#[derive(Clone, Default)]
pub struct Others(Option<Arc<dyn GiveWay>>);

impl Others {
    /// Runs jobs of others who had less than their share, if there are any. A millisecond is a good time from one
    /// call to the next.
    pub fn give_way(&self) {
        if let Self(Some(others)) = self {
            others.give_way();
        }
    }
}

impl fmt::Debug for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Others({})", if self.0.is_some() { "may wait" } else { "none" })
    }
}

/// A worker's place: its instruction set, and scratch memory that survives from job to job.
pub struct Workbench {
    isa: Isa,
    scratch: HashMap<TypeId, Box<dyn Any + Send>>,
    elsewhere: Option<Arc<dyn Elsewhere>>,
    others: Others,
}

impl Workbench {
    /// An empty bench.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa, scratch: HashMap::new(), elsewhere: None, others: Others::default() }
    }

    /// An empty bench that may have jobs computed elsewhere.
    #[must_use]
    pub fn with_elsewhere(isa: Isa, elsewhere: Option<Arc<dyn Elsewhere>>) -> Self {
        Self { elsewhere, ..Self::new(isa) }
    }

    /// Whom jobs on this bench give way to.
    pub(crate) fn set_others(&mut self, others: Option<Arc<dyn GiveWay>>) {
        self.others = Others(others);
    }

    /// Whom a job of more than some milliseconds gives way to.
    #[must_use]
    pub fn others(&self) -> Others {
        self.others.clone()
    }

    /// Who computes elsewhere.
    #[must_use]
    pub fn elsewhere(&self) -> Option<Arc<dyn Elsewhere>> {
        self.elsewhere.clone()
    }

    /// The instruction set to compute with.
    #[must_use]
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// The scratch memory of this type, made on first use. It outlives the job: wipe secrets.
    #[expect(clippy::missing_panics_doc, reason = "the slot of a type holds that type")]
    pub fn scratch<T: Any + Send + Default>(&mut self) -> &mut T {
        let slot = self.scratch.entry(TypeId::of::<T>()).or_insert_with(|| Box::new(T::default()));
        slot.downcast_mut().expect("the slot of a type holds that type")
    }
}

impl fmt::Debug for Workbench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workbench({}, {} kinds of scratch)", self.isa, self.scratch.len())
    }
}

/// Where a stage puts what it sends, and books what its messages tell.
#[derive(Debug, Default)]
pub struct Outbox {
    messages: Vec<Vec<u8>>,
    /// The account of the block or frame that the stage works on. Both the sender and the
    /// receiver of a disclosing message book it here.
    pub ledger: Ledger,
}

impl Outbox {
    /// An empty box with an empty account.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the body of a message to the peer's half of this stage.
    pub fn send(&mut self, body: Vec<u8>) {
        self.messages.push(body);
    }

    /// Takes the messages one by one, in order, and keeps the box's memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.messages.drain(..)
    }

    /// Takes the messages, in order.
    pub fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.messages)
    }
}

/// Why a block ends without key. The session goes on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Abort {
    /// The error rate is beyond what any code at hand corrects.
    #[error("error rate {qber:.4} is above the {limit:.4} that can be corrected")]
    TooNoisy {
        /// Estimated error rate.
        qber: f64,
        /// The limit.
        limit: f64,
    },
    /// The signal is too weak for any code at hand.
    #[error("{} is below the {limit_db:.2} dB that can be reconciled", signal(*snr_db))]
    TooWeak {
        /// Estimated ratio in dB; −∞ for no signal.
        snr_db: f64,
        /// The limit in dB.
        limit_db: f64,
    },
    /// Too many frames could not be corrected.
    #[error("{failed} of {frames} frames could not be corrected")]
    Uncorrected {
        /// Frames that failed.
        failed: usize,
        /// Frames in all.
        frames: usize,
    },
    /// The verification tags differ.
    #[error("the corrected bits differ between the two sides")]
    Unverified,
    /// The proof leaves no key.
    #[error("the finite-key bound leaves no key: {reason}")]
    NoKey {
        /// Which term took it.
        reason: String,
    },
    /// The data are not aligned or not calibrated.
    #[error("the raw data cannot be used: {reason}")]
    Unusable {
        /// What is wrong with them.
        reason: String,
    },
    /// The two sides reckon different key lengths.
    #[error("this side reckons a key of {ours} bits, the peer one of {theirs}: their counts differ")]
    LengthsDiffer {
        /// Our length in bits.
        ours: u64,
        /// The peer's.
        theirs: u64,
    },
    /// The source of randomness failed.
    #[error("{0}")]
    Random(#[from] crate::random::RandomFailure),
    /// The peer gave the block up.
    #[error("the peer gave the block up: {why}")]
    Peer {
        /// What it told.
        why: PeerReason,
    },
    /// The connection or this node was lost while the block was on its way.
    #[error(
        "the connection was lost before the block was closed; what it disclosed is booked, its key wiped"
    )]
    Cut,
}

/// Why a peer gave a block up, as far as it tells: nothing that depends on key bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerReason {
    /// Its [`Abort::TooNoisy`].
    TooNoisy,
    /// Its [`Abort::TooWeak`].
    TooWeak,
    /// Its [`Abort::Uncorrected`].
    Uncorrected,
    /// Its [`Abort::Unverified`].
    Unverified,
    /// Its [`Abort::NoKey`].
    NoKey,
    /// Its [`Abort::Unusable`].
    Unusable,
    /// Its [`Abort::LengthsDiffer`].
    LengthsDiffer,
    /// Its [`Abort::Random`].
    Random,
    /// Its [`Abort::Peer`]: the answer to a block given up here.
    Peer,
    /// Its [`Abort::Cut`].
    Cut,
    /// One that this version does not know.
    Unknown,
}

/// Reasons as they go over the wire, from 1 on.
const PEER_REASONS: [PeerReason; 10] = [
    PeerReason::TooNoisy,
    PeerReason::TooWeak,
    PeerReason::Uncorrected,
    PeerReason::Unverified,
    PeerReason::NoKey,
    PeerReason::Unusable,
    PeerReason::LengthsDiffer,
    PeerReason::Random,
    PeerReason::Peer,
    PeerReason::Cut,
];

impl PeerReason {
    /// What the peer is told of an abort.
    #[must_use]
    pub fn of(abort: &Abort) -> Self {
        match abort {
            Abort::TooNoisy { .. } => Self::TooNoisy,
            Abort::TooWeak { .. } => Self::TooWeak,
            Abort::Uncorrected { .. } => Self::Uncorrected,
            Abort::Unverified => Self::Unverified,
            Abort::NoKey { .. } => Self::NoKey,
            Abort::Unusable { .. } => Self::Unusable,
            Abort::LengthsDiffer { .. } => Self::LengthsDiffer,
            Abort::Random(_) => Self::Random,
            Abort::Peer { .. } => Self::Peer,
            Abort::Cut => Self::Cut,
        }
    }

    /// Its number on the wire; 0 for none that is known.
    pub(crate) fn number(self) -> u8 {
        (1..).zip(PEER_REASONS).find(|(_, reason)| *reason == self).map_or(0, |(number, _)| number)
    }

    /// The reason of a number from the wire.
    pub(crate) fn from_number(number: u8) -> Self {
        (1..).zip(PEER_REASONS).find(|(own, _)| *own == number).map_or(Self::Unknown, |(_, reason)| reason)
    }
}

impl fmt::Display for PeerReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooNoisy => "its error rate is above what can be corrected",
            Self::TooWeak => "its signal-to-noise ratio is below what can be reconciled",
            Self::Uncorrected => "too many of its frames could not be corrected",
            Self::Unverified => "its corrected bits differ from ours",
            Self::NoKey => "its finite-key bound leaves no key",
            Self::Unusable => "its raw data cannot be used",
            Self::LengthsDiffer => "it reckons another key length",
            Self::Random => "its source of randomness failed",
            Self::Peer => "as we did",
            Self::Cut => "its connection was lost",
            Self::Unknown => "for a reason that this version does not know",
        })
    }
}

/// Why a stage cannot go on: nature took the block, or the peer broke the protocol.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Fault {
    /// The block is lost; the session goes on.
    #[error(transparent)]
    Abort(#[from] Abort),
    /// The peer's message is not one that may come now; the session is over.
    #[error("the peer broke the protocol: {0}")]
    Peer(#[from] Malformed),
}

/// A signal-to-noise ratio in words.
fn signal(snr_db: f64) -> String {
    if snr_db.is_finite() { format!("signal-to-noise ratio {snr_db:.2} dB") } else { "no signal: it".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_comes_back_from_the_wire() {
        for reason in PEER_REASONS {
            assert_eq!(PeerReason::from_number(reason.number()), reason, "{reason}");
        }
        for unknown in [0, 11, 255] {
            assert_eq!(PeerReason::from_number(unknown), PeerReason::Unknown, "{unknown}");
        }
        assert_eq!(PeerReason::of(&Abort::Unverified).number(), 4, "as in earlier versions");
    }

    #[test]
    fn no_signal_is_told_in_words() {
        let weak = |snr_db| Abort::TooWeak { snr_db, limit_db: -18.5 }.to_string();
        assert_eq!(
            weak(-20.0),
            "signal-to-noise ratio -20.00 dB is below the -18.50 dB that can be reconciled"
        );
        assert_eq!(weak(f64::NEG_INFINITY), "no signal: it is below the -18.50 dB that can be reconciled");
    }

    #[test]
    fn scratch_memory_survives_from_job_to_job() {
        let mut bench = Workbench::new(Isa::SCALAR);
        bench.scratch::<Vec<u8>>().push(7);
        assert_eq!(bench.scratch::<Vec<u8>>(), &[7], "the same memory");
        assert!(bench.scratch::<Vec<u16>>().is_empty(), "another type, other memory");
    }
}
