//! Sifted bits of both sides, reconciled and verified: every message is written, read and booked as
//! between two machines.
//!
//! Blocks of up to 2²⁶ bits are interleaved and cut into frames. The error rate of the first frames is told
//! by the user or estimated from a few parities; from then on it is tracked: frames go in groups of sixteen,
//! and a group is planned from the errors corrected in groups before it, whatever the threads do. A
//! frame that could not be corrected, or that verification finds different, is tried once more with an
//! estimate of its own.

use std::ops::Range;
use std::sync::Arc;

use keystill::Isa;
use keystill::bits::{BitBlock, Llrs};
use keystill::ledger::Ledger;
use keystill::random::OperatingSystem;
use keystill::reconcile::choice::{self, Accounting, Choice, Conditions};
use keystill::reconcile::pilot::{self, Depth};
use keystill::reconcile::{Effort, Method, Plan, Task, interleave, ldpc};
use keystill::stage::loopback::Loopback;
use keystill::stage::{Abort, Fault, Workbench, converse};
use keystill::verify::{self, Candidate};
use rayon::prelude::*;

/// Bits that are interleaved and verified together.
const BLOCK_BITS: usize = 1 << 26;
/// Frames that are planned and corrected together.
const GROUP: usize = 16;
/// Frames whose errors are remembered.
const REMEMBERED: usize = 64;
/// The error rate planned for where nothing is known and the string is too short to ask.
const USUAL_QBER: f64 = 0.03;
/// Standard errors by which an estimate may differ from what the user says before it is believed instead.
const CONTRADICTION: f64 = 3.0;
/// Above this, no method corrects.
const MOST_QBER: f64 = 0.15;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    /// The method, or the better one.
    pub(super) method: Method,
    /// The error rate to begin with, if it is known.
    pub(super) qber: Option<f64>,
    /// How the proof counts.
    pub(super) accounting: Accounting,
}

/// What it took.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) ledger: Ledger,
    pub(super) errors: u64,
    pub(super) frames: usize,
    /// Frames that a first try did not correct.
    pub(super) retried: usize,
    pub(super) frames_failed: usize,
    pub(super) iterations: u64,
    pub(super) messages: u64,
    /// Of the frame that took most: all others talk at the same time.
    pub(super) rounds: u64,
    pub(super) choice: Option<Choice>,
    pub(super) estimate: Option<pilot::Estimate>,
}

/// Corrects strings block by block.
pub(super) struct Distiller {
    wish: Wish,
    track: Track,
    pub(super) account: Account,
}

/// Both sides of a frame.
struct Pair {
    alice: BitBlock,
    bob: BitBlock,
}

/// How the reconciliation of a frame ended.
struct Ended {
    talk: Loopback,
    outcome: Result<Option<(Pair, Effort)>, Fault>,
}

impl Distiller {
    pub(super) fn new(wish: Wish) -> Self {
        Self { wish, track: Track::default(), account: Account::default() }
    }

    /// The whole of both strings, corrected; `progress` hears how many bits are done.
    ///
    /// # Errors
    /// [`Fault`] where the strings cannot be corrected, or some frame of them cannot.
    pub(super) fn run(
        &mut self,
        alice: &[u8],
        bob: &[u8],
        bits: usize,
        progress: impl Fn(usize) + Sync,
    ) -> Result<(BitBlock, BitBlock), Fault> {
        let (mut kept, mut corrected) = (BitBlock::default(), BitBlock::default());
        for (number, first) in (0..bits).step_by(BLOCK_BITS).enumerate() {
            let length = BLOCK_BITS.min(bits - first);
            let part = |bytes: &[u8]| {
                let bytes = &bytes[first / 8..(first + length).div_ceil(8)];
                interleave::scatter(&BitBlock::from_bytes(bytes, length))
            };
            let block = Pair { alice: part(alice), bob: part(bob) };
            let done = self.block(number as u64, &block, |part| progress(first + part))?;
            kept.append(&interleave::gather(&done.alice));
            corrected.append(&interleave::gather(&done.bob));
        }
        Ok((kept, corrected))
    }

    fn block(&mut self, number: u64, block: &Pair, progress: impl Fn(usize)) -> Result<Pair, Fault> {
        let bits = block.alice.len();
        let qber = self.begin(block)?;
        let conditions = Conditions { bits, qber, accounting: self.wish.accounting, ..Conditions::default() };
        let choice = choice::choose(self.wish.method, &conditions)?;
        let method = if matches!(choice.plan, Plan::Cascade(_)) { Method::Cascade } else { Method::Ldpc };
        let frame_bits = choice.plan.frame_bits();
        let mut plan = choice.plan.clone();
        self.account.choice.get_or_insert(choice);
        let cuts: Vec<Range<usize>> =
            (0..bits).step_by(frame_bits).map(|first| first..bits.min(first + frame_bits)).collect();
        let mut frames = Vec::with_capacity(cuts.len());
        let mut next = 0;
        while next < cuts.len() {
            // The very first frame goes alone: what it teaches serves all others.
            let group = if self.track.is_empty() { 1 } else { GROUP };
            let group = &cuts[next..cuts.len().min(next + group)];
            if let Some(qber) = self.track.qber() {
                plan = Plan::choose_hard(method, qber, bits).unwrap_or(plan);
            }
            frames.extend(self.group(&plan, method, block, group)?);
            next += group.len();
            progress(group.last().map_or(0, |cut| cut.end));
        }
        self.verify(number, block, &cuts, frames)
    }

    /// The error rate to begin a block with.
    fn begin(&mut self, block: &Pair) -> Result<f64, Fault> {
        if let Some(qber) = self.track.qber() {
            return Ok(qber);
        }
        let depth = match (self.wish.qber, self.wish.method) {
            // Cascade does not mind an error rate that is half or twice what it is told.
            (Some(qber), Method::Cascade) => return Ok(qber),
            (Some(_), _) | (None, Method::Cascade) => Depth::Check,
            (None, _) => Depth::Estimate,
        };
        let Some(estimate) = self.pilot(block, depth)? else {
            return Ok(self.wish.qber.unwrap_or(USUAL_QBER));
        };
        self.account.estimate = Some(estimate);
        let off = |qber: &f64| (estimate.qber - qber).abs() > CONTRADICTION * estimate.error;
        // Half a standard error above: an increment costs more than a few checks too many.
        let estimated = self.limited(estimate.qber + 0.5 * estimate.error);
        Ok(self.wish.qber.filter(|qber| !off(qber)).unwrap_or(estimated))
    }

    /// Estimates an error rate from parities, if there are bits enough.
    fn pilot(&mut self, pair: &Pair, depth: Depth) -> Result<Option<pilot::Estimate>, Fault> {
        let bits = pair.alice.len();
        if depth.parities(bits) == 0 {
            return Ok(None);
        }
        let copy = |bits: &BitBlock| bits.slice(0..bits.len());
        let mut reference = converse(pilot::Reference::new(copy(&pair.alice), depth));
        let mut corrector = converse(pilot::Corrector::new(copy(&pair.bob), depth));
        let mut talk = Loopback::new();
        let spoken = talk.hold(&mut Workbench::new(Isa::best()), &mut *reference, &mut *corrector);
        self.book(&talk);
        let ((_, estimate), _) = spoken?;
        let least = estimate.qber - 3.0 * estimate.error;
        let limit = self.limited(1.0);
        if least > limit {
            return Err(Abort::TooNoisy { qber: estimate.qber, limit }.into());
        }
        Ok(Some(estimate))
    }

    /// An error rate that may be too high but is not certain to be: the highest that can be tried.
    fn limited(&self, qber: f64) -> f64 {
        qber.min(if self.wish.method == Method::Ldpc { ldpc::MOST_QBER } else { MOST_QBER })
    }

    fn book(&mut self, talk: &Loopback) {
        debug_assert_eq!(talk.first.ledger, talk.second.ledger, "both sides book every message");
        self.account.ledger.absorb(&talk.first.ledger);
        self.account.messages += talk.messages;
    }

    /// Corrects a group of frames.
    fn group(
        &mut self,
        plan: &Plan,
        method: Method,
        block: &Pair,
        cuts: &[Range<usize>],
    ) -> Result<Vec<Pair>, Fault> {
        let ended: Vec<Ended> = cuts
            .par_iter()
            .map_init(|| Workbench::new(Isa::best()), |bench, cut| reconcile(bench, plan, block.cut(cut)))
            .collect();
        self.account.frames += cuts.len();
        let mut frames = Vec::with_capacity(cuts.len());
        for (ended, cut) in ended.into_iter().zip(cuts) {
            frames.push(match self.ended(ended)? {
                Some(pair) => pair,
                None => self.again(method, plan, &block.cut(cut))?,
            });
        }
        Ok(frames)
    }

    fn ended(&mut self, ended: Ended) -> Result<Option<Pair>, Fault> {
        self.book(&ended.talk);
        self.account.rounds = self.account.rounds.max(ended.talk.messages.div_ceil(2));
        let Some((pair, effort)) = ended.outcome? else { return Ok(None) };
        self.account.iterations += u64::from(effort.iterations);
        self.account.errors += effort.corrected_errors;
        self.track.note(effort.corrected_errors, pair.alice.len());
        Ok(Some(pair))
    }

    /// A frame that its plan did not correct: the estimate was wrong, so another is made for it alone.
    fn again(&mut self, method: Method, plan: &Plan, pair: &Pair) -> Result<Pair, Fault> {
        self.account.retried += 1;
        let planned = match plan {
            Plan::Ldpc(plan) => plan.qber(),
            Plan::Cascade(plan) => plan.qber(),
            _ => USUAL_QBER,
        };
        let bits = pair.alice.len();
        let qber = match self.pilot(pair, Depth::Estimate)? {
            Some(estimate) => self.limited(estimate.qber + estimate.error),
            None => self.limited(2.0 * planned),
        };
        let method = if self.wish.method == Method::Auto { Method::Cascade } else { method };
        let plan = Plan::choose_hard(method, qber, bits)?;
        let mut whole = Pair { alice: BitBlock::default(), bob: BitBlock::default() };
        for first in (0..bits).step_by(plan.frame_bits()) {
            let part = pair.cut(&(first..bits.min(first + plan.frame_bits())));
            let ended = reconcile(&mut Workbench::new(Isa::best()), &plan, part);
            let Some(part) = self.ended(ended)? else {
                self.account.frames_failed += 1;
                return Err(Abort::Uncorrected { failed: 1, frames: self.account.frames }.into());
            };
            whole.alice.append(&part.alice);
            whole.bob.append(&part.bob);
        }
        Ok(whole)
    }

    /// Verifies the frames of a block; those that differ are corrected and verified once more.
    fn verify(
        &mut self,
        number: u64,
        block: &Pair,
        cuts: &[Range<usize>],
        frames: Vec<Pair>,
    ) -> Result<Pair, Fault> {
        let (mut alice, mut bob) = (BitBlock::zeros(0), BitBlock::zeros(0));
        let verified = self.verified(number, frames)?;
        for (cut, frame) in cuts.iter().zip(verified) {
            let frame = match frame {
                Some(pair) => pair,
                None => self.mended(number, block.cut(cut))?,
            };
            alice.append(&frame.alice);
            bob.append(&frame.bob);
        }
        Ok(Pair { alice, bob })
    }

    /// A frame that decoded to other bits: rare enough to take the surest way.
    fn mended(&mut self, number: u64, pair: Pair) -> Result<Pair, Fault> {
        self.account.retried += 1;
        let qber = self.track.qber().unwrap_or(USUAL_QBER).clamp(1e-3, MOST_QBER);
        let plan = Plan::choose_hard(Method::Cascade, qber, pair.alice.len())?;
        let ended = reconcile(&mut Workbench::new(Isa::best()), &plan, pair);
        let mended = match self.ended(ended)? {
            Some(pair) => self.verified(number, vec![pair])?.pop().flatten(),
            None => None,
        };
        mended.ok_or_else(|| {
            self.account.frames_failed += 1;
            Abort::Unverified.into()
        })
    }

    /// The frames that verification finds equal.
    fn verified(&mut self, number: u64, frames: Vec<Pair>) -> Result<Vec<Option<Pair>>, Fault> {
        let lengths: Vec<usize> = frames.iter().map(|pair| pair.alice.len()).collect();
        let (alice, bob): (Vec<_>, Vec<_>) =
            (0u32..).zip(frames).map(|(index, pair)| ((index, pair.alice), (index, pair.bob))).unzip();
        let candidate = |frames| Candidate { block: number, frames };
        let mut reference = converse(verify::Reference::new(candidate(alice), Arc::new(OperatingSystem)));
        let mut corrector = converse(verify::Corrector::new(candidate(bob)));
        let mut talk = Loopback::new();
        let spoken = talk.hold(&mut Workbench::new(Isa::best()), &mut *reference, &mut *corrector);
        self.book(&talk);
        self.account.rounds += talk.messages.div_ceil(2);
        let mut passed: Vec<Option<Pair>> = lengths.iter().map(|_| None).collect();
        let (alice, bob) = match spoken {
            Ok(both) => both,
            // Not one frame is equal.
            Err(Fault::Abort(Abort::Unverified)) => return Ok(passed),
            Err(fault) => return Err(fault),
        };
        let mut first = 0;
        for index in alice.frames() {
            let place = *index as usize;
            let cut = first..first + lengths[place];
            first = cut.end;
            let pair = Pair { alice: alice.bits().slice(cut.clone()), bob: bob.bits().slice(cut) };
            passed[place] = Some(pair);
        }
        Ok(passed)
    }
}

impl Pair {
    fn cut(&self, range: &Range<usize>) -> Self {
        Self { alice: self.alice.slice(range.clone()), bob: self.bob.slice(range.clone()) }
    }
}

fn reconcile(bench: &mut Workbench, plan: &Plan, pair: Pair) -> Ended {
    let mut talk = Loopback::new();
    let outcome = hold(&mut talk, bench, plan, pair);
    Ended { talk, outcome }
}

fn hold(
    talk: &mut Loopback,
    bench: &mut Workbench,
    plan: &Plan,
    pair: Pair,
) -> Result<Option<(Pair, Effort)>, Fault> {
    let llrs = Llrs::Hard { bits: pair.bob, error_probability: 0.0 };
    let mut reference = Task::reference(plan, pair.alice)?.converse();
    let mut corrector = Task::corrector(plan, llrs)?.converse();
    let (kept, corrected) = talk.hold(bench, &mut *reference, &mut *corrector)?;
    let bits = kept.bits.zip(corrected.bits);
    Ok(bits.map(|(alice, bob)| (Pair { alice, bob }, corrected.effort)))
}

/// The error rate of the last frames.
#[derive(Debug, Default)]
struct Track {
    frames: std::collections::VecDeque<(u64, usize)>,
}

impl Track {
    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn note(&mut self, errors: u64, bits: usize) {
        if self.frames.len() == REMEMBERED {
            self.frames.pop_front();
        }
        self.frames.push_back((errors, bits));
    }

    /// The mean of what is remembered, half a standard error above.
    fn qber(&self) -> Option<f64> {
        let (errors, bits) = self.frames.iter().fold((0, 0), |sum, own| (sum.0 + own.0, sum.1 + own.1));
        let (errors, bits) = (errors as f64, bits as f64);
        (bits > 0.0).then(|| ((errors + 0.5 * libm::sqrt(errors)) / bits).clamp(1e-4, MOST_QBER))
    }
}
