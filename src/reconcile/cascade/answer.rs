//! The reference side at work: it opens passes and answers questions, and learns only where the
//! errors are.

use keystill_kernels::Isa;

use super::message::{Bounds, Request};
use super::plan::Plan;
use super::strings::{Node, Strings};
use crate::bits::BitBlock;

/// The reference side of one frame.
#[derive(Debug)]
pub(super) struct Answerer {
    plan: Plan,
    strings: Strings,
    asked: Vec<Node>,
    subsets: bool,
}

impl Answerer {
    pub(super) fn new(plan: Plan, frame: BitBlock) -> Self {
        Self { plan, strings: Strings::new(frame), asked: Vec::new(), subsets: false }
    }

    pub(super) fn bounds(&self, questions: usize) -> Bounds {
        Bounds { asked: self.asked.len(), passes: self.strings.opened(), subsets: self.subsets, questions }
    }

    pub(super) fn passes(&self) -> usize {
        self.strings.opened() + usize::from(self.subsets)
    }

    pub(super) fn into_frame(self) -> BitBlock {
        self.strings.into_frame()
    }

    /// The parities that answer a request.
    pub(super) fn answer(&mut self, isa: Isa, request: &Request) -> Vec<bool> {
        match request {
            Request::Ask(ask) => {
                self.asked = ask.advance(&self.asked);
                self.asked.iter().map(|node| self.strings.parity(isa, node.left())).collect()
            }
            Request::Open => self.open(isa),
            Request::Done | Request::GiveUp => Vec::new(),
        }
    }

    fn open(&mut self, isa: Isa) -> Vec<bool> {
        self.asked.clear();
        let opened = self.strings.opened();
        let Some(blocks) = self.plan.passes().get(opened) else {
            self.subsets = true;
            return self.strings.subsets(isa);
        };
        let mut parities = self.strings.open(isa, *blocks);
        // After the first pass the parity of the whole frame is known, and with it the last block's.
        if opened > 0 {
            parities.pop();
        }
        parities
    }
}
