//! Reconciliation: the meeting place of the protocols. Bits on the reference side, soft bits on
//! the correcting side; equal bits leave, and the ledger knows what it cost.
//!
//! Each method is a pair of stages, `Reference` and `Corrector`, over one plan that both sides
//! hold. One stage works on one frame (LDPC) or on a group of frames (Cascade).

pub mod cascade;
pub mod choice;
pub mod codes;
pub mod gaussian;
pub mod interleave;
pub mod ldpc;
pub mod leaf;
pub mod one_shot;
pub mod pilot;
pub mod slices;

use std::fmt;

use crate::bits::{BitBlock, Llrs};
use crate::stage::{Abort, Conversation, converse};
use crate::wire::{Malformed, Reader, Writer};
use choice::Conditions;

/// What leaves a reconciliation stage, on either side.
#[derive(Debug, PartialEq)]
pub struct Reconciled {
    /// The frame's bits, those of the reference side; `None` where the frame was given up, which
    /// both sides then know.
    pub bits: Option<BitBlock>,
    /// What it took.
    pub effort: Effort,
}

/// What the reconciliation of a frame took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Bits that the correcting side changed; zero on the reference side, which does not know.
    pub corrected_errors: u64,
    /// Decoder iterations, or passes of Cascade.
    pub iterations: u32,
    /// Increments after the first shot.
    pub increments: u32,
    /// Messages in both directions.
    pub messages: u32,
}

/// Which method reconciles hard bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// One way, by syndromes. Where both directions count, Cascade leaves less key.
    Ldpc,
    /// By parities and bisection, in many rounds.
    Cascade,
    /// The one that is expected to disclose less: see [`choice`].
    #[default]
    Auto,
}

/// How the frames of a block are reconciled: both sides hold the same plan.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Plan {
    /// Quasi-cyclic LDPC codes on the binary symmetric channel.
    Ldpc(ldpc::Plan),
    /// Cascade.
    Cascade(cascade::Plan),
    /// Codes of low rate with degree-1 leaves, for soft bits.
    Leaf(leaf::Plan),
    /// The same codes, one a level, for quadratures cut into slices.
    Slices(slices::Plan),
}

/// Bits of a Cascade frame: large enough for its efficiency and for few messages a bit.
const CASCADE_FRAME_BITS: usize = 1 << 20;

impl Plan {
    /// The plan for `available_bits` hard bits of error rate `qber`.
    ///
    /// # Errors
    /// [`Abort::TooNoisy`] beyond what the method corrects.
    pub fn choose_hard(method: Method, qber: f64, available_bits: usize) -> Result<Self, Abort> {
        match method {
            Method::Ldpc => ldpc::Plan::choose(qber, available_bits).map(Self::Ldpc),
            Method::Cascade => {
                // Frames of equal length: a last one of a few bits would cost as many rounds.
                let frames = available_bits.div_ceil(CASCADE_FRAME_BITS).max(1);
                let plan = cascade::Plan::choose(qber, available_bits.div_ceil(frames))?;
                Ok(Self::Cascade(plan.sparing(cascade::Thrift::Rounds)))
            }
            Method::Auto => {
                let conditions = Conditions { bits: available_bits, qber, ..Conditions::default() };
                Ok(choice::choose(method, &conditions)?.plan)
            }
        }
    }

    /// The plan for soft bits of a signal-to-noise ratio `snr` per real symbol, with frames of at most
    /// `most_frame_bits`.
    ///
    /// # Errors
    /// [`Abort::TooWeak`] beyond what the codes correct.
    pub fn choose_soft(snr: f64, most_frame_bits: usize) -> Result<Self, Abort> {
        leaf::Plan::choose(snr, most_frame_bits).map(Self::Leaf)
    }

    /// Bits of a frame; with hard bits the last of a block may be shorter.
    #[must_use]
    pub fn frame_bits(&self) -> usize {
        match self {
            Self::Ldpc(plan) => plan.frame_bits(),
            Self::Cascade(plan) => plan.frame_bits(),
            Self::Leaf(plan) => plan.frame_bits(),
            Self::Slices(plan) => plan.frame_bits(),
        }
    }

    /// Raw symbols of a frame: bits of BB84, quadratures of CV-QKD.
    #[must_use]
    pub fn frame_symbols(&self) -> usize {
        match self {
            Self::Slices(plan) => plan.symbols(),
            _ => self.frame_bits(),
        }
    }

    /// Bits of a whole frame, its first ones, that go on to amplification.
    #[must_use]
    pub fn kept_bits(&self) -> usize {
        match self {
            Self::Leaf(plan) => plan.core_bits(),
            Self::Slices(plan) => plan.core_bits(),
            Self::Ldpc(_) | Self::Cascade(_) => self.frame_bits(),
        }
    }

    /// The rate of a plan for soft bits or slices, in bits that stay secret a symbol; 0 for hard bits, whose rate
    /// adapts frame by frame.
    #[must_use]
    pub fn rate(&self) -> f64 {
        match self {
            Self::Leaf(plan) => plan.rate(),
            Self::Slices(plan) => plan.rate(),
            Self::Ldpc(_) | Self::Cascade(_) => 0.0,
        }
    }

    /// The method, by the name in records.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::Ldpc(_) => "ldpc",
            Self::Cascade(_) => "cascade",
            Self::Leaf(_) => "leaf",
            Self::Slices(_) => "slices",
        }
    }

    /// Writes the plan for the peer.
    pub fn write(&self, writer: &mut Writer) {
        match self {
            Self::Ldpc(plan) => plan.write(writer.u8(0)),
            Self::Cascade(plan) => plan.write(writer.u8(1)),
            Self::Leaf(plan) => plan.write(writer.u8(2)),
            Self::Slices(plan) => plan.write(writer.u8(3)),
        }
    }

    /// Reads the peer's plan.
    ///
    /// # Errors
    /// [`Malformed`] where it is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        match reader.u8()? {
            0 => ldpc::Plan::read(reader).map(Self::Ldpc),
            1 => cascade::Plan::read(reader).map(Self::Cascade),
            2 => leaf::Plan::read(reader).map(Self::Leaf),
            3 => slices::Plan::read(reader).map(Self::Slices),
            _ => Err(Malformed::Field { field: "plan" }),
        }
    }
}

/// A frame to be reconciled, from one side.
pub struct Task {
    conversation: Box<dyn Conversation<Reconciled>>,
    kept_bits: usize,
}

impl Task {
    /// The reference side's half: its bits stay.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if the bits do not fit the plan.
    pub fn reference(plan: &Plan, bits: BitBlock) -> Result<Self, Abort> {
        let kept_bits = bits.len();
        let conversation = match plan {
            Plan::Ldpc(plan) => converse(ldpc::Reference::new(plan.clone(), bits)),
            Plan::Cascade(plan) => {
                let plan = plan.resized(bits.len())?;
                converse(cascade::Reference::new(&plan, bits)?)
            }
            Plan::Leaf(plan) => {
                fits(plan, bits.len())?;
                return Ok(Self {
                    kept_bits: plan.core_bits(),
                    conversation: converse(leaf::Reference::new(*plan, bits)),
                });
            }
            Plan::Slices(plan) => {
                return Ok(Self {
                    kept_bits: plan.core_bits(),
                    conversation: converse(slices::Reference::new(*plan, bits)),
                });
            }
        };
        Ok(Self { conversation, kept_bits })
    }

    /// The correcting side's half.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if the soft bits do not fit the plan.
    pub fn corrector(plan: &Plan, llrs: Llrs) -> Result<Self, Abort> {
        let kept_bits = llrs.len();
        let conversation = match plan {
            Plan::Ldpc(plan) => converse(ldpc::Corrector::new(plan.clone(), llrs)),
            Plan::Cascade(plan) => {
                let bits = llrs.into_hard_bits().unwrap_or_default();
                let plan = plan.resized(bits.len())?;
                converse(cascade::Corrector::new(&plan, bits)?)
            }
            Plan::Leaf(plan) => {
                fits(plan, llrs.len())?;
                return Ok(Self {
                    kept_bits: plan.core_bits(),
                    conversation: converse(leaf::Corrector::new(*plan, llrs)),
                });
            }
            Plan::Slices(_) => return Err(mismatched("soft bits for a plan of slices")),
        };
        Ok(Self { conversation, kept_bits })
    }

    /// The correcting side's half where quadratures themselves are reconciled, in slices.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if the plan is another.
    pub fn sliced(plan: &Plan, evidence: slices::Evidence) -> Result<Self, Abort> {
        let Plan::Slices(plan) = plan else { return Err(mismatched("quadratures for a plan of bits")) };
        let conversation = converse(slices::Corrector::new(*plan, evidence));
        Ok(Self { conversation, kept_bits: plan.core_bits() })
    }

    /// How many of the frame's bits, its first ones, go on to amplification.
    #[must_use]
    pub fn kept_bits(&self) -> usize {
        self.kept_bits
    }

    /// The conversation to be held.
    #[must_use]
    pub fn converse(self) -> Box<dyn Conversation<Reconciled>> {
        self.conversation
    }
}

fn mismatched(reason: &str) -> Abort {
    Abort::Unusable { reason: reason.to_owned() }
}

fn fits(plan: &leaf::Plan, bits: usize) -> Result<(), Abort> {
    if bits == plan.frame_bits() {
        return Ok(());
    }
    Err(Abort::Unusable { reason: format!("{bits} soft bits for frames of {}", plan.frame_bits()) })
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({} bits kept)", self.kept_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A random string and a copy of it with independent errors.
    pub(super) fn pair(bits: usize, qber: f64, seed: u64) -> (BitBlock, BitBlock) {
        let mut state = seed;
        let mut word = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        };
        let words: Vec<u64> = (0..bits.div_ceil(64)).map(|_| word()).collect();
        let mut noisy = BitBlock::from_words(words.clone(), bits);
        let limit = (qber * u64::MAX as f64) as u64;
        (0..bits).filter(|_| word() < limit).for_each(|place| noisy.set(place, !noisy.bit(place)));
        (BitBlock::from_words(words, bits), noisy)
    }
}
