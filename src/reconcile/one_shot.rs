//! One message and a verdict: the stages of methods whose reference side tells all at once.
//!
//! ```text
//! reference → corrector   what is told: bit string
//! corrector → reference   0 given up · 1 corrected
//! ```
//!
//! What is told is booked as its method says, the verdict as one bit: [`Disclosure::Verdict`].

use std::fmt;

use super::{Effort, Reconciled};
use crate::bits::BitBlock;
use crate::ledger::Disclosure;
use crate::stage::{Abort, Fault, Job, Outbox, Stage, Step, Workbench};
use crate::wire::{Malformed, Reader, Writer};

/// The plan of a method whose reference side tells all at once: both sides hold the same.
pub trait OneShot: Copy + fmt::Debug + Send + 'static {
    /// What the correcting side holds of a frame.
    type Evidence: fmt::Debug + Send + 'static;

    /// What is told, in errors.
    const TOLD: &'static str;

    /// Bits of the reference side's frame.
    fn frame_bits(&self) -> usize;

    /// Bits of what is told.
    fn told_bits(&self) -> usize;

    /// Whether this can be decoded from.
    ///
    /// # Errors
    /// [`Abort::Unusable`] with what is wrong.
    fn check(&self, evidence: &Self::Evidence) -> Result<(), Abort>;

    /// Books what is told: on both sides, where it is sent and where it is received.
    fn book(&self, out: &mut Outbox);

    /// What is told of a frame, and the frame as it leaves.
    fn tell(&self, bits: BitBlock, bench: &mut Workbench) -> (BitBlock, BitBlock);

    /// The frame as it leaves, if it is found.
    fn decode(&self, evidence: &Self::Evidence, told: &BitBlock, bench: &mut Workbench) -> Reconciled;
}

/// A frame that is not of its plan's length.
pub(super) fn wrong_length(what: &str) -> Abort {
    Abort::Unusable { reason: format!("the {what} of a frame are not as many as its plan says") }
}

/// The side whose bits are the key.
#[derive(Debug)]
pub struct Reference<P> {
    plan: P,
    bits: Option<BitBlock>,
    messages: u32,
}

impl<P> Reference<P> {
    /// Begins with the frame's bits.
    #[must_use]
    pub fn new(plan: P, bits: BitBlock) -> Self {
        Self { plan, bits: Some(bits), messages: 0 }
    }
}

/// Computes what is told of a frame.
#[derive(Debug)]
pub struct TellJob<P> {
    plan: P,
    bits: BitBlock,
}

impl<P: OneShot> Job for TellJob<P> {
    /// What is told, and the frame as it leaves.
    type Output = (BitBlock, BitBlock);

    fn run(self, bench: &mut Workbench) -> Self::Output {
        self.plan.tell(self.bits, bench)
    }
}

impl<P: OneShot> Stage for Reference<P> {
    type Job = TellJob<P>;
    type Product = Reconciled;

    fn start(mut self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let plan = self.plan;
        let bits = self.bits.take().filter(|bits| bits.len() == plan.frame_bits());
        let bits = bits.ok_or_else(|| wrong_length("bits"))?;
        Ok(Step::Compute(self, TellJob { plan, bits }))
    }

    fn done(mut self, (told, bits): (BitBlock, BitBlock), out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let mut writer = Writer::new();
        writer.bits(&told);
        out.send(writer.finish());
        self.plan.book(out);
        self.bits = Some(bits);
        self.messages += 1;
        Ok(Step::Listen(self))
    }

    fn hear(self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let verdict = message.u8()?;
        message.end()?;
        // Nothing can be judged before it was told.
        if verdict > 1 || self.messages == 0 || self.bits.is_none() {
            return Err(Malformed::Field { field: "verdict" }.into());
        }
        out.ledger.disclose(Disclosure::Verdict, 1);
        let effort = Effort { messages: self.messages + 1, ..Effort::default() };
        Ok(Step::Leave(Reconciled { bits: self.bits.filter(|_| verdict == 1), effort }))
    }
}

/// The side that corrects: finds the reference side's bits from its own evidence.
#[derive(Debug)]
pub struct Corrector<P: OneShot> {
    plan: P,
    evidence: Option<P::Evidence>,
}

impl<P: OneShot> Corrector<P> {
    /// Begins with what this side holds of the frame.
    #[must_use]
    pub fn new(plan: P, evidence: P::Evidence) -> Self {
        Self { plan, evidence: Some(evidence) }
    }
}

/// Decodes a frame.
#[derive(Debug)]
pub struct DecodeJob<P: OneShot> {
    plan: P,
    evidence: P::Evidence,
    told: BitBlock,
}

impl<P: OneShot> Job for DecodeJob<P> {
    type Output = Reconciled;

    fn run(self, bench: &mut Workbench) -> Reconciled {
        self.plan.decode(&self.evidence, &self.told, bench)
    }
}

impl<P: OneShot> Stage for Corrector<P> {
    type Job = DecodeJob<P>;
    type Product = Reconciled;

    fn start(self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        if let Some(evidence) = &self.evidence {
            self.plan.check(evidence)?;
        }
        Ok(Step::Listen(self))
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let plan = self.plan;
        let malformed = Malformed::Field { field: P::TOLD };
        let told = message.bits(plan.told_bits(), P::TOLD)?;
        message.end()?;
        let Some(evidence) = self.evidence.take().filter(|_| told.len() == plan.told_bits()) else {
            return Err(malformed.into());
        };
        plan.book(out);
        Ok(Step::Compute(self, DecodeJob { plan, evidence, told }))
    }

    fn done(self, result: Reconciled, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let mut writer = Writer::new();
        writer.u8(u8::from(result.bits.is_some()));
        out.send(writer.finish());
        out.ledger.disclose(Disclosure::Verdict, 1);
        Ok(Step::Leave(result))
    }
}
