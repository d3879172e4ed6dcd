//! Cascade: interactive error correction by parities and bisection.
//!
//! # The way of a frame
//! Both sides permute the frame anew in each pass and cut it into blocks. The reference side
//! sends the parities of the blocks; where the correcting side's differs, an odd number of errors
//! is in the block, and bisection finds one: it asks for the parity of the left half, infers the
//! right half's, and goes on in the odd one. A corrected bit toggles the parity of every known
//! node that holds it in the other passes; those that became odd hold another error, and are
//! searched from the smallest known node down.
//!
//! Searches go on in *phases*: all odd nodes of one pass at once, in step, one message a level and
//! direction whatever their number; when all have ended, what they found is corrected. The pass
//! with the smallest blocks goes first. So no two searches of a phase can find the same error, and
//! between the rounds of a phase nothing changes: a round is one kernel call on either side.
//!
//! At the end the parities of pseudo-random subsets of the whole frame find what is left: a pattern
//! of errors that all parities of the passes miss is missed by sixteen more with probability 2⁻¹⁶.
//! If they found something, others are drawn.
//!
//! A parity is never asked if it follows from others: the last block's of a pass from the whole
//! frame's, a complement's from its subset's, a half's from its sibling's. (The last block of a
//! pass, cut short, may be asked for a half that is all of it.) What is asked is the answer to a
//! question with nearly even odds, and that is why little is wasted.
//!
//! | QBER | f | rounds | f, sparing rounds | rounds |
//! |---|---|---|---|---|
//! | 0.3 % | 1.022 | 463 | 1.027 | 202 |
//! | 1 % | 1.025 | 624 | 1.031 | 248 |
//! | 2 % | 1.030 | 617 | 1.036 | 234 |
//! | 3 % | 1.030 | 804 | 1.036 | 295 |
//! | 5 % | 1.040 | 466 | 1.050 | 175 |
//! | 8 % | 1.054 | 514 | 1.063 | 186 |
//! | 11 % | 1.060 | 508 | 1.070 | 176 |
//!
//! 2²⁰ bits, 2 000 frames each without a failure (95 % bound of the failure rate: 1.5·10⁻³), nor in
//! 30 000 of 2¹⁶ bits (10⁻⁴); f counts the reference side's parities. `keystill bench cascade`
//! measures it anew.
//!
//! # What is disclosed, and booked
//! - *By the reference side*: the parities that it sends, one bit each: [`Disclosure::ParityAnswer`].
//! - *By the correcting side*: what it says next (which half is searched on, which blocks are
//!   searched, that a pass is done) is a function of the answers and of **its own parities of the
//!   same sets**, and of nothing else. Each answer thus costs at most one more bit, of the other
//!   string: [`Disclosure::ParityQuestion`], booked when the message that reveals it is sent.
//!
//! So the whole conversation is a function of two bits an answer, and that is what the ledger of
//! both sides holds: 2·f·n·h(q) instead of f·n·h(q). To subtract the answers only is a flaw
//! unless the proof hands Eve the error pattern, from which she can compute the corrector's
//! parities herself (Tupkary, Lütkenhaus, "Using Cascade in quantum key distribution", arXiv
//! 2307.00576): such a proof may leave the questions out.
//!
//! Brassard, Salvail, "Secret-key reconciliation by public discussion", EUROCRYPT '93.
//! Martinez-Mateo, Pacher, Peev, Ciurana, Martin, "Demystifying the information reconciliation
//! protocol Cascade", Quantum Inf. Comput. 15 (2015) 453: reuse of the parities of sub-blocks.

mod answer;
mod frontier;
mod message;
mod permutation;
mod phase;
mod plan;
mod search;
mod strings;
mod subsets;

use answer::Answerer;
use message::Request;
pub use plan::{MAX_FRAME_BITS, MAX_QBER, Plan, Thrift};
use search::{Next, Search};

use super::{Effort, Reconciled};
use crate::bits::BitBlock;
use crate::ledger::Disclosure;
use crate::stage::{Abort, Fault, Job, Outbox, Stage, Step, Workbench};
use crate::wire::{Malformed, Reader};

/// The reference side of one frame: answers parities of its bits and keeps them.
#[derive(Debug)]
pub struct Reference {
    machine: Option<Box<Answerer>>,
    plan: Plan,
    /// Parities sent.
    answered: u64,
    /// Those of them that the peer has not spoken to yet.
    open: u64,
    messages: u32,
    /// The memory of the last answers, for the next request.
    memory: BitBlock,
}

impl Reference {
    /// The reference side of a frame of `plan.frame_bits()` bits.
    ///
    /// # Errors
    /// [`Abort::Unusable`] for a frame of another length.
    pub fn new(plan: &Plan, frame: BitBlock) -> Result<Self, Abort> {
        check_length(plan, &frame)?;
        let machine = Some(Box::new(Answerer::new(plan.clone(), frame)));
        let memory = BitBlock::default();
        Ok(Self { machine, plan: plan.clone(), answered: 0, open: 0, messages: 0, memory })
    }

    fn compute(mut self, request: Request) -> Step<Self> {
        let machine = self.machine.take().expect("the machine is here while the stage listens");
        let memory = std::mem::take(&mut self.memory);
        Step::Compute(self, ReferenceJob { machine, request, memory })
    }

    fn leave(self, bits: impl FnOnce(Answerer) -> Option<BitBlock>) -> Step<Self> {
        let machine = self.machine.expect("the machine is here while the stage listens");
        let iterations = u32::try_from(machine.passes()).expect("few passes");
        let effort = Effort { iterations, messages: self.messages, ..Effort::default() };
        Step::Leave(Reconciled { bits: bits(*machine), effort })
    }
}

impl Stage for Reference {
    type Job = ReferenceJob;
    type Product = Reconciled;

    fn start(self, _: &mut Outbox) -> Result<Step<Self>, Fault> {
        Ok(self.compute(Request::Open))
    }

    fn hear(mut self, message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let unexpected = Malformed::Field { field: "cascade_request" };
        let machine = self.machine.as_mut().ok_or(unexpected)?;
        let left = self.plan.parity_limit().saturating_sub(self.answered);
        let request = Request::read(message, machine.bounds(left), &mut self.memory, machine.phase())?;
        self.messages += 1;
        out.ledger.disclose(Disclosure::ParityQuestion, std::mem::take(&mut self.open));
        Ok(match request {
            Request::Done => self.leave(|machine| Some(machine.into_frame())),
            Request::GiveUp => self.leave(|_| None),
            request => self.compute(request),
        })
    }

    fn done(mut self, result: Answered, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let Answered { machine, parities } = result;
        let parities = parities?;
        self.machine = Some(machine);
        self.open = parities.len() as u64;
        self.answered += self.open;
        if self.answered > self.plan.parity_limit() {
            return Err(Malformed::Field { field: "cascade_questions" }.into());
        }
        self.messages += 1;
        out.ledger.disclose(Disclosure::ParityAnswer, self.open);
        out.send(message::write_answers(&parities));
        self.memory = parities;
        Ok(Step::Listen(self))
    }
}

/// Computes the parities that answer one request.
#[derive(Debug)]
pub struct ReferenceJob {
    machine: Box<Answerer>,
    request: Request,
    memory: BitBlock,
}

impl Job for ReferenceJob {
    type Output = Answered;

    fn run(mut self, bench: &mut Workbench) -> Self::Output {
        let parities = self.machine.answer(bench.isa(), self.request, self.memory);
        Answered { machine: self.machine, parities }
    }
}

/// What a [`ReferenceJob`] gives back.
#[derive(Debug)]
pub struct Answered {
    machine: Box<Answerer>,
    parities: Result<BitBlock, Malformed>,
}

/// The correcting side of one frame: corrects its bits to the reference side's.
#[derive(Debug)]
pub struct Corrector {
    machine: Option<Box<Search>>,
    /// Whether the next answers open a pass or the subsets.
    opening: bool,
    /// How many answers come next.
    expected: usize,
    messages: u32,
    /// The memory of the last answers, for the next.
    memory: BitBlock,
}

impl Corrector {
    /// The correcting side of a frame of `plan.frame_bits()` bits.
    ///
    /// # Errors
    /// [`Abort::Unusable`] for a frame of another length.
    pub fn new(plan: &Plan, frame: BitBlock) -> Result<Self, Abort> {
        check_length(plan, &frame)?;
        let machine = Box::new(Search::new(plan.clone(), frame));
        let expected = machine.expected(&Next::Open);
        let memory = BitBlock::default();
        Ok(Self { machine: Some(machine), opening: true, expected, messages: 0, memory })
    }
}

impl Stage for Corrector {
    type Job = CorrectorJob;
    type Product = Reconciled;

    fn start(self, _: &mut Outbox) -> Result<Step<Self>, Fault> {
        Ok(Step::Listen(self))
    }

    fn hear(mut self, message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let unexpected = Malformed::Field { field: "cascade_answers" };
        let machine = self.machine.take().ok_or(unexpected)?;
        let answers = message::read_answers(message, std::mem::take(&mut self.memory), self.expected)?;
        self.messages += 1;
        out.ledger.disclose(Disclosure::ParityAnswer, self.expected as u64);
        let opening = self.opening;
        Ok(Step::Compute(self, CorrectorJob { machine, answers, opening }))
    }

    fn done(mut self, result: Corrected, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let Corrected { mut machine, next, message, answers } = result;
        self.messages += 1;
        out.ledger.disclose(Disclosure::ParityQuestion, self.expected as u64);
        out.send(message);
        self.opening = next == Next::Open;
        self.expected = machine.expected(&next);
        if !matches!(next, Next::Done | Next::GiveUp) {
            machine.take_back(next);
            self.memory = answers;
            self.machine = Some(machine);
            return Ok(Step::Listen(self));
        }
        let effort = Effort {
            corrected_errors: machine.corrected(),
            iterations: u32::try_from(machine.passes()).expect("few passes"),
            increments: 0,
            messages: self.messages,
        };
        let bits = (next == Next::Done).then(|| machine.into_frame());
        Ok(Step::Leave(Reconciled { bits, effort }))
    }
}

/// Corrects what one message of answers tells, and chooses the next questions.
#[derive(Debug)]
pub struct CorrectorJob {
    machine: Box<Search>,
    answers: BitBlock,
    opening: bool,
}

impl Job for CorrectorJob {
    type Output = Corrected;

    fn run(mut self, bench: &mut Workbench) -> Self::Output {
        let (isa, answers) = (bench.isa(), &self.answers);
        let next = if self.opening {
            self.machine.opened(isa, answers)
        } else {
            self.machine.answered(isa, answers)
        };
        let message = self.machine.message(&next);
        Corrected { machine: self.machine, next, message, answers: self.answers }
    }
}

/// What a [`CorrectorJob`] gives back.
#[derive(Debug)]
pub struct Corrected {
    machine: Box<Search>,
    next: Next,
    message: Vec<u8>,
    answers: BitBlock,
}

fn check_length(plan: &Plan, frame: &BitBlock) -> Result<(), Abort> {
    if frame.len() == plan.frame_bits() {
        return Ok(());
    }
    let reason = format!("a frame of {} bits for a plan of {}", frame.len(), plan.frame_bits());
    Err(Abort::Unusable { reason })
}

#[cfg(test)]
mod tests;
