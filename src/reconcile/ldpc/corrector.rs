//! The correcting side.

use super::plan::MOST_INCREMENTS;
use super::shot::{Decoded, End, Shot};
use super::{Plan, wrong_length};
use crate::bits::{BitBlock, Llrs};
use crate::ledger::Disclosure;
use crate::reconcile::{Effort, Reconciled};
use crate::stage::{Fault, Outbox, Stage, Step};
use crate::wire::{Malformed, Reader};

/// The correcting side of one frame.
#[derive(Debug)]
pub struct Corrector {
    plan: Plan,
    task: Option<Shot>,
    increments: u32,
    iterations: u32,
    messages: u32,
}

impl Corrector {
    /// Corrects hard bits, at most the plan's frame, to the reference side's.
    #[must_use]
    pub fn new(plan: Plan, llrs: Llrs) -> Self {
        let bits = llrs.into_hard_bits().unwrap_or_default();
        let task = Shot { plan: plan.clone(), bits, syndrome: BitBlock::default(), certain: Vec::new() };
        Self { plan, task: Some(task), increments: 0, iterations: 0, messages: 0 }
    }
}

impl Stage for Corrector {
    type Job = Shot;
    type Product = Reconciled;

    fn start(self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let bits = self.task.as_ref().map_or(0, |task| task.bits.len());
        if bits == 0 || bits > self.plan.frame_bits() {
            return Err(wrong_length(&self.plan, bits));
        }
        Ok(Step::Listen(self))
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let unexpected = Malformed::Field { field: "ldpc message" };
        let mut task = self.task.take().ok_or(unexpected)?;
        let told = message.bits(self.plan.code().bits(), "ldpc message")?;
        message.end()?;
        self.messages += 1;
        let first = task.syndrome.is_empty();
        let kind = if first { Disclosure::Syndrome } else { Disclosure::Increment };
        out.ledger.disclose(kind, told.len() as u64);
        self.increments += u32::from(!first);
        if !task.learn(self.increments as usize, &told) {
            return Err(unexpected.into());
        }
        Ok(Step::Compute(self, task))
    }

    fn done(mut self, decoded: Decoded, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        self.iterations += decoded.iterations;
        self.messages += 1;
        out.ledger.disclose(Disclosure::Verdict, 1);
        let Decoded { task, end, .. } = decoded;
        // A word that meets the syndrome but not the bits revealed is not the reference side's.
        let agrees = |bits: &BitBlock| task.certain.iter().all(|(place, value)| bits.bit(*place) == *value);
        let bits = match end {
            End::Found(bits) if agrees(&bits) => Some(bits),
            End::Found(_) | End::More if self.increments < MOST_INCREMENTS => {
                out.send(vec![1]);
                self.task = Some(task);
                return Ok(Step::Listen(self));
            }
            _ => None,
        };
        out.send(vec![if bits.is_some() { 0 } else { 2 }]);
        let distance = |bits: &BitBlock| {
            let pairs = bits.words().iter().zip(task.bits.words());
            pairs.map(|(a, b)| u64::from((a ^ b).count_ones())).sum()
        };
        let effort = Effort {
            corrected_errors: bits.as_ref().map_or(0, distance),
            iterations: self.iterations,
            increments: self.increments,
            messages: self.messages,
        };
        Ok(Step::Leave(Reconciled { bits, effort }))
    }
}
