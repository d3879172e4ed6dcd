//! The reference side at work: it opens passes and answers questions, and learns only where the
//! errors are.

use keystill_kernels::Isa;

use super::message::{Bounds, Request};
use super::phase::Phase;
use super::plan::Plan;
use super::strings::Strings;
use crate::bits::BitBlock;
use crate::wire::Malformed;

/// The reference side of one frame.
#[derive(Debug)]
pub(super) struct Answerer {
    plan: Plan,
    strings: Strings,
    phase: Option<Phase>,
    /// Draws of subsets opened.
    draws: u32,
}

impl Answerer {
    pub(super) fn new(plan: Plan, frame: BitBlock) -> Self {
        Self { strings: Strings::new(&plan, frame), plan, phase: None, draws: 0 }
    }

    pub(super) fn bounds(&self, parities: u64) -> Bounds {
        Bounds {
            frame_bits: self.strings.len(),
            asked: self
                .phase
                .as_ref()
                .filter(|phase| phase.level() > 1)
                .map_or(0, |phase| phase.starts().len()),
            passes: self.strings.opened(),
            subsets: self.plan.subsets(),
            draws: self.draws,
            max_draws: self.plan.draws(),
            parities,
        }
    }

    pub(super) fn passes(&self) -> usize {
        self.strings.opened() + usize::from(self.draws > 0)
    }

    pub(super) fn into_frame(self) -> BitBlock {
        self.strings.into_frame()
    }

    /// The last phase: where the next one is read, its memory may be taken.
    pub(super) fn phase(&mut self) -> &mut Option<Phase> {
        &mut self.phase
    }

    /// The parities that answer a request, in memory that was used before.
    ///
    /// # Errors
    /// [`Malformed`] if a search leaves the frame.
    pub(super) fn answer(
        &mut self,
        isa: Isa,
        request: Request,
        mut memory: BitBlock,
    ) -> Result<BitBlock, Malformed> {
        let outside = Malformed::Field { field: "right" };
        self.phase = match request {
            Request::Open => return Ok(self.open(isa)),
            Request::Search(phase) => Some(phase),
            Request::Descend(right) => {
                let mut phase = self.phase.take().ok_or(outside)?;
                let space = self.strings.space(phase.layer);
                let inside = phase.descend(right.words(), space);
                memory = right;
                inside.then_some(phase)
            }
            Request::Done | Request::GiveUp => None,
        };
        self.phase.as_ref().map(|phase| self.strings.parities(isa, phase, memory)).ok_or(outside)
    }

    fn open(&mut self, isa: Isa) -> BitBlock {
        self.phase = None;
        let opened = self.strings.opened();
        let Some(log2) = self.plan.passes().get(opened) else {
            let parities = self.strings.subsets(isa, self.draws);
            self.draws += 1;
            return BitBlock::from_words(vec![parities], self.plan.subsets() as usize);
        };
        let parities = self.strings.open(isa, *log2);
        // After the first pass the parity of the whole frame is known, and with it the last block's.
        let asked = parities.len() - usize::from(opened > 0);
        parities.slice(0..asked)
    }
}
