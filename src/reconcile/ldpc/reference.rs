//! The reference side.

use keystill_kernels::ldpc::bsc as kernel;

use super::plan::{MOST_INCREMENTS, STEPS};
use super::shot::Scratch;
use super::{Plan, wrong_length};
use crate::bits::BitBlock;
use crate::ledger::Disclosure;
use crate::reconcile::{Effort, Reconciled};
use crate::stage::{Fault, Job, Outbox, Stage, Step, Workbench};
use crate::wire::{Malformed, Reader, Writer};

/// The reference side of one frame.
#[derive(Debug)]
pub struct Reference {
    plan: Plan,
    bits: BitBlock,
    /// The whole syndrome, and behind it all half checks.
    syndrome: BitBlock,
    increments: u32,
    messages: u32,
}

impl Reference {
    /// Sends the syndrome of `bits`, at most the plan's frame.
    #[must_use]
    pub fn new(plan: Plan, bits: BitBlock) -> Self {
        Self { plan, bits, syndrome: BitBlock::default(), increments: 0, messages: 0 }
    }

    /// The syndrome that this shot tells.
    fn told(&self, shot: usize) -> BitBlock {
        let words = self.plan.told(shot);
        self.syndrome.slice(words.start * 64..words.end * 64)
    }

    /// What the increment asked for last tells.
    fn increment(&self) -> BitBlock {
        let number = self.increments as usize;
        if number <= STEPS.len() {
            return self.told(number);
        }
        let places = self.plan.revealed(number - STEPS.len() - 1, self.bits.len());
        BitBlock::from_bools(&places.map(|bit| self.bits.bit(bit)).collect::<Vec<_>>())
    }

    fn leave(self, given_up: bool) -> Step<Self> {
        let effort = Effort { increments: self.increments, messages: self.messages, ..Effort::default() };
        Step::Leave(Reconciled { bits: (!given_up).then_some(self.bits), effort })
    }
}

/// Computes a syndrome.
#[derive(Debug)]
pub struct Syndrome {
    pub(super) plan: Plan,
    pub(super) bits: BitBlock,
}

impl Job for Syndrome {
    type Output = (BitBlock, BitBlock);

    fn run(self, bench: &mut Workbench) -> Self::Output {
        let isa = bench.isa();
        let scratch = bench.scratch::<Scratch>();
        self.plan.interleaver().weave(isa, &self.bits, &mut scratch.between, &mut scratch.words);
        let checks = self.plan.code().checks();
        let mut syndrome = BitBlock::zeros(2 * checks);
        syndrome.edit(|out| {
            let (syndrome, halves) = out.split_at_mut(checks / 64);
            kernel::syndrome(isa, self.plan.code().graph(), &scratch.words, syndrome, halves);
        });
        scratch.wipe();
        (self.bits, syndrome)
    }
}

impl Stage for Reference {
    type Job = Syndrome;
    type Product = Reconciled;

    fn start(mut self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        if self.bits.is_empty() || self.bits.len() > self.plan.frame_bits() {
            return Err(wrong_length(&self.plan, self.bits.len()));
        }
        let job = Syndrome { plan: self.plan.clone(), bits: std::mem::take(&mut self.bits) };
        Ok(Step::Compute(self, job))
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let answer = message.u8()?;
        message.end()?;
        self.messages += 1;
        out.ledger.disclose(Disclosure::Verdict, 1);
        match answer {
            0 => Ok(self.leave(false)),
            1 if self.increments < MOST_INCREMENTS => {
                self.increments += 1;
                self.messages += 1;
                let told = self.increment();
                out.ledger.disclose(Disclosure::Increment, told.len() as u64);
                send_bits(&told, out);
                Ok(Step::Listen(self))
            }
            2 => Ok(self.leave(true)),
            _ => Err(Malformed::Field { field: "ldpc verdict" }.into()),
        }
    }

    fn done(mut self, (bits, syndrome): (BitBlock, BitBlock), out: &mut Outbox) -> Result<Step<Self>, Fault> {
        (self.bits, self.syndrome) = (bits, syndrome);
        self.messages += 1;
        let told = self.told(0);
        out.ledger.disclose(Disclosure::Syndrome, told.len() as u64);
        send_bits(&told, out);
        Ok(Step::Listen(self))
    }
}

fn send_bits(bits: &BitBlock, out: &mut Outbox) {
    let mut writer = Writer::new();
    writer.bits(bits);
    out.send(writer.finish());
}
