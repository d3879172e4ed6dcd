//! All that BB84 and CV-QKD do differently: two short wings before one hall.
//!
//! A [`Wing`] is one party's half of one block up to the meeting place: it takes raw frames, talks
//! to the peer's wing (positions, bases, side information), hands each frame that is ready to the
//! hall as a [`Task`], learns how its reconciliation ended, and in the end knows the counts from
//! which [`Wing::key_length`] follows. What lies behind the meeting place, the session, is the same
//! for all protocols. Direct or reverse reconciliation is the constant [`Protocol::REFERENCE`].

use std::fmt;
use std::sync::Arc;

use crate::ledger::{Disclosure, Epsilon, Ledger};
use crate::random::{Purpose, RandomSource};
use crate::reconcile::{Reconciled, Task};
use crate::stage::{Abort, Computation, Computed, Fault, Role, Side, Workbench};
use crate::wire::{Malformed, Reader};

/// A QKD protocol with its parameters: what both parties have agreed on before the session.
pub trait Protocol: Send + Sync + Sized + fmt::Debug + 'static {
    /// Raw data of a run of gates or symbols.
    type Frame: Recordable + Send + fmt::Debug + 'static;
    /// One party's half of one block up to the meeting place.
    type Wing: Wing<Frame = Self::Frame>;

    /// The name in messages, files and records.
    const NAME: &'static str;

    /// Whose bits are the key.
    const REFERENCE: Role;

    /// What the wings draw from the source of randomness.
    const DRAWS: &'static [Purpose];

    /// Begins a block.
    fn wing(self: &Arc<Self>, party: Party) -> Self::Wing;

    /// Raw frames in a block: blocks close by count, never by time.
    fn frames_per_block(&self) -> u64;

    /// The index of a raw frame, counted from the session's first, and whether the frame has the
    /// size that the protocol's parameters say.
    fn frame_index(&self, frame: &Self::Frame) -> Option<u64>;

    /// The parameters in one canonical spelling: both sides' must be equal, and their hash stands in
    /// every transcript.
    fn parameter_set(&self) -> Vec<u8>;

    /// The longest message body that an honest peer sends, in bytes.
    fn longest_message(&self) -> usize;

    /// What one block of one party may hold in memory before amplification, in bytes, at most.
    fn block_memory(&self) -> usize;

    /// The most bits that a block hands to amplification.
    fn most_key_bits(&self) -> usize;

    /// The failure probability of a block's key, at most.
    fn epsilon(&self) -> f64;
}

/// How far, and how long, the calibration of a device holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Validity {
    /// The probability, at most, that a calibrated number lies outside of its interval. Every block books
    /// it again.
    pub epsilon: f64,
    /// It holds for so many blocks from the session's first.
    pub blocks: u64,
}

impl Validity {
    /// The ε that a block books, if there is a calibration and it still holds.
    ///
    /// `total`: the failure probability of a block. Estimation, smoothing and amplification take three
    /// quarters of it; the calibration must fit into the rest, beside verification and authentication.
    ///
    /// # Errors
    /// [`Abort::Unusable`] without a calibration, past its end, or if its ε is too large.
    pub fn epsilon(validity: Option<&Self>, block: u64, total: f64) -> Result<f64, Abort> {
        let unusable = |reason: String| Err(Abort::Unusable { reason });
        match validity {
            None => unusable("the device was not calibrated: configure its intervals and their ε".into()),
            Some(Self { blocks, .. }) if block >= *blocks => {
                unusable(format!("the calibration is stale: it held for {blocks} blocks; calibrate again"))
            }
            Some(Self { epsilon, .. }) if !(0.0..=0.24 * total).contains(epsilon) => unusable(format!(
                "the calibration may fail with {epsilon:e}; a block's ε of {total:e} leaves less than a quarter for it"
            )),
            Some(Self { epsilon, .. }) => Ok(*epsilon),
        }
    }
}

/// Raw data that can be written down and read again.
pub trait Recordable: Sized {
    /// The bytes of the frame.
    fn encode(&self) -> Vec<u8>;

    /// The frame of a party's bytes.
    ///
    /// # Errors
    /// [`Malformed`] where they are no frame.
    fn decode(role: Role, bytes: &[u8]) -> Result<Self, Malformed>;
}

/// Who a wing works for.
#[derive(Clone, Debug)]
pub struct Party {
    /// Which end of the link.
    pub role: Role,
    /// The block.
    pub block: u64,
    /// The source of secrets and public seeds.
    pub random: Arc<dyn RandomSource>,
    /// What an earlier block taught, old enough that it was over on both sides when this one began.
    pub lesson: Option<Lesson>,
}

impl Party {
    /// Whose bits are the key, seen from here.
    #[must_use]
    pub fn side<P: Protocol>(&self) -> Side {
        if self.role == P::REFERENCE { Side::Reference } else { Side::Corrector }
    }
}

/// What the correction of a block taught of the channel. Both sides hold the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lesson {
    /// The error rate of the bits that were corrected, as it was told.
    pub error_rate: f64,
    /// The error rate of the block's sample, which stood for it before.
    pub sample: Measured,
}

/// One party's half of one block up to the meeting place.
pub trait Wing: Send + Sized + fmt::Debug {
    /// Raw data.
    type Frame;

    /// Whether the next raw frame can be taken now; if not, it can after more input was handled.
    fn has_room(&self) -> bool;

    /// Takes the next raw frame, in order, when there is room.
    ///
    /// # Errors
    /// [`Fault`] where the data cannot be used.
    fn offer(&mut self, frame: Self::Frame, desk: &mut Desk) -> Result<(), Fault>;

    /// Hears a message of the peer's wing.
    ///
    /// # Errors
    /// [`Fault`] where the message is not one that may come now, or the block is lost.
    fn hear(&mut self, message: Reader<'_>, desk: &mut Desk) -> Result<(), Fault>;

    /// Takes the result of one of its computations.
    ///
    /// # Errors
    /// [`Fault`] where the block is lost.
    fn done(&mut self, result: Computed, desk: &mut Desk) -> Result<(), Fault>;

    /// Learns how the reconciliation of a frame ended.
    ///
    /// # Errors
    /// [`Fault`] where the block is lost.
    fn reconciled(&mut self, frame: u32, outcome: &Reconciled, desk: &mut Desk) -> Result<(), Fault>;

    /// Whether every frame has been handed over and every count is known.
    fn is_complete(&self) -> bool;

    /// The length of the secret key, once the block is verified; the same on both sides, because the
    /// counts and the books are.
    ///
    /// # Errors
    /// [`Abort`] where the proof leaves no key.
    fn key_length(&self, kept: &Kept<'_>) -> Result<KeyLength, Abort>;

    /// How the block is reconciled and why so, where this side chose.
    fn choice(&self) -> Option<String> {
        None
    }

    /// How the transmittance moved within the block, where the protocol estimates it.
    fn course(&self) -> Option<Course> {
        None
    }

    /// What later blocks can learn from this one, once it is over.
    fn lesson(&self) -> Option<Lesson> {
        None
    }

    /// What this side estimated, by the names of records.
    fn figures(&self) -> Vec<(&'static str, f64)>;

    /// What the hardware is adjusted by, besides the figures; nothing in it depends on key bits.
    fn feedback(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

/// A number as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The estimate.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Measured {
    /// By how many standard errors of their difference another lies above.
    #[must_use]
    pub fn deviations_to(self, other: Self) -> f64 {
        (other.value - self.value) / libm::sqrt(self.error * self.error + other.error * other.error)
    }
}

/// The transmittance in the earlier and in the later half of a block.
///
/// Channels that are switched on or off beside the signal move it, by Raman scattering's depletion and gain.
/// A block that sees both states is charged for the difference as excess noise; this says why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    /// In the earlier half.
    pub earlier: Measured,
    /// In the later half.
    pub later: Measured,
}

/// What of a block stays after verification.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The frames, in order.
    pub frames: &'a [u32],
    /// Bits that go to amplification.
    pub bits: u64,
    /// The block's books.
    pub ledger: &'a Ledger,
}

/// The length of a secret key and how it comes about.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyLength {
    /// Bits.
    pub secret_bits: u64,
    /// The ε of the block, by purpose.
    pub epsilons: Vec<(Epsilon, f64)>,
    /// Every term, by the names of certificates.
    pub terms: Vec<(&'static str, f64)>,
    /// The proof that the length rests on.
    pub proof: &'static str,
    /// How its formula is read, as `keystill keylen` names it.
    pub mode: &'static str,
    /// All that the length follows from, by the names that `keystill keylen` reads.
    pub inputs: Vec<(&'static str, Evidence)>,
}

/// An input of a key length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Evidence {
    /// A count.
    Count(u64),
    /// Counts by intensity, brightest first.
    Counts([u64; 3]),
    /// A real number.
    Number(f64),
    /// Real numbers by intensity, brightest first.
    Numbers([f64; 3]),
    /// The ends of an interval.
    Interval([f64; 2]),
}

/// Where a wing puts what it wants done.
#[derive(Default)]
pub struct Desk {
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) computations: Vec<Computation>,
    pub(crate) tasks: Vec<(u32, Task)>,
    pub(crate) ledger: Ledger,
}

impl Desk {
    /// An empty desk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends the body of a message to the peer's wing.
    pub fn send(&mut self, body: Vec<u8>) {
        self.messages.push(body);
    }

    /// Books what a message tells of the key; by who sends it, and by who hears it.
    pub fn disclose(&mut self, kind: Disclosure, bits: u64) {
        self.ledger.disclose(kind, bits);
    }

    /// Asks for a computation; its result comes back through [`Wing::done`].
    pub fn compute<R: Send + 'static>(&mut self, job: impl FnOnce(&mut Workbench) -> R + Send + 'static) {
        self.computations.push(Computation::of(job));
    }

    /// Hands a frame to the hall.
    pub fn reconcile(&mut self, frame: u32, task: Task) {
        self.tasks.push((frame, task));
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("messages", &self.messages.len())
            .field("computations", &self.computations.len())
            .field("tasks", &self.tasks.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_that_is_absent_stale_or_vague_makes_no_key() {
        let valid = Validity { epsilon: 1e-11, blocks: 3 };
        assert_eq!(Validity::epsilon(Some(&valid), 2, 1e-10), Ok(1e-11), "the last block that it holds for");
        for (validity, block, word) in [
            (None, 0, "not calibrated"),
            (Some(valid), 3, "stale"),
            (Some(Validity { epsilon: 2.5e-11, ..valid }), 0, "quarter"),
            (Some(Validity { epsilon: f64::NAN, ..valid }), 0, "quarter"),
            (Some(Validity { epsilon: -1e-12, ..valid }), 0, "quarter"),
        ] {
            let refused =
                Validity::epsilon(validity.as_ref(), block, 1e-10).map_err(|abort| abort.to_string());
            assert!(refused.as_ref().is_err_and(|why| why.contains(word)), "{word}: {refused:?}");
        }
    }
}
