//! One-way reconciliation with quasi-cyclic LDPC codes on the binary symmetric channel.
//!
//! The reference side sends the syndrome of its bits; the correcting side finds the bits nearest to its
//! own that have it. A first shot that fails costs an increment, not the frame: the reference side tells the
//! parities of half checks, first 1/64 of the first shot, later more (eight in all, together 15/32 of it), then
//! key bits at places that both know beforehand, in up to sixteen steps of a sixty-fourth of the frame.
//! The decoder starts again with what it learned. After that the frame is given up.
//!
//! The rate fits the error rate, not the other way round: a code is built for every number of block rows
//! ([`codes::bsc`](super::codes::bsc)), and some of its half checks are told too, so that between 0.3 % and
//! 11 % the leak follows the estimate in steps of 64 bits. So does the length: a code has 256 to 511 block columns, fewer
//! below 65 536 bits, whose lift goes with the frame, and what is missing up to the next 4096 bits is filled up with known zeros.
//!
//! *Interleaving.* The bits of a frame are spread over the code word so that bursts, and bits that are known, fall on
//! all block columns alike ([`interleaver`]).
//!
//! *Books.* The syndrome's bits are [`Disclosure::Syndrome`]; those of increments [`Disclosure::Increment`]; each
//! answer of the correcting side, that it is done, wants more or gives up, one bit: [`Disclosure::Verdict`].
//! Each is booked by who sends and by who receives.
//!
//! ```text
//! reference → corrector   syndrome: bit string; then per increment further syndrome or key bits: bit string
//! corrector → reference   0 done · 1 more · 2 given up
//! ```

#![expect(clippy::cast_possible_truncation, reason = "places in a code word are far below 2^32")]

use std::ops::Range;
use std::sync::Arc;

use keystill_kernels::Isa;
use keystill_kernels::ldpc::bsc as kernel;
use zeroize::Zeroize;

use super::codes::bsc::Code;
use super::{Effort, Reconciled};
use crate::bits::{BitBlock, Llrs};
use crate::ledger::Disclosure;
use crate::stage::{Abort, Fault, Job, Outbox, Stage, Step, Workbench};
use crate::wire::{Malformed, Reader, Writer};
use interleaver::Interleaver;

/// The highest error rate that is tried.
pub const MOST_QBER: f64 = 0.12;
/// The longest code word.
const MOST_BITS: usize = 1 << 20;
/// Code words are a multiple of this, as the interleaver wants it.
const GRAIN: usize = 4096;
/// Most block columns. Half as many would be too few at low error rates: columns of degree 20 need more rows.
const MOST_COLUMNS: usize = 511;
/// Seed of the codes in use.
const SEED: u64 = 1;
/// Iterations of one shot.
const MOST_ITERATIONS: u32 = 80;
/// A shot ends when in so many iterations no fewer checks were violated: of a hundred such shots one or two would have decoded.
const PATIENCE: u32 = 12;
/// Whether a word is found is looked at when one check in so many was violated during a pass.
const FEW: usize = 32;
/// Increments of syndrome, in units of 1/64 of the first shot.
const STEPS: [usize; 8] = [1, 1, 2, 2, 4, 4, 8, 8];
/// Increments of key bits.
const MOST_REVEALS: usize = 16;
/// Increments before a frame is given up.
const MOST_INCREMENTS: u32 = (STEPS.len() + MOST_REVEALS) as u32;

/// Leak of a first shot in units of h₂ of the errors that are there, by error rate: where the codes decode
/// in about thirty iterations.
const EFFICIENCY: &[(f64, f64)] = &[
    (0.003, 1.28),
    (0.006, 1.145),
    (0.010, 1.108),
    (0.015, 1.102),
    (0.020, 1.096),
    (0.030, 1.094),
    (0.050, 1.092),
    (0.080, 1.10),
    (0.110, 1.13),
    (0.120, 1.14),
];
/// What code words of fewer bits need beyond it.
const SHORTER: &[(f64, f64)] = &[(4096.0, 0.12), (16_384.0, 0.04), (65_536.0, 0.02), (262_144.0, 0.0)];
/// A first shot is for as many errors as the mean and so many standard deviations: 0.6 % of the frames have
/// more.
const DEVIATIONS: f64 = 2.5;

/// How frames are reconciled: both sides hold the same.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Checks and half checks of the first shot, 64 a word.
    words: usize,
    frame_bits: usize,
    qber_ppm: u32,
    code: Arc<Code>,
}

impl Plan {
    /// The plan for `available_bits` of error rate `qber`: as few frames as the codes allow, of equal
    /// length but for the last.
    ///
    /// An estimate that is wrong by a factor of two costs efficiency, never correctness.
    ///
    /// # Errors
    /// [`Abort::TooNoisy`] above [`MOST_QBER`]; [`Abort::Unusable`] for no bits or no probability.
    pub fn choose(qber: f64, available_bits: usize) -> Result<Self, Abort> {
        if !(0.0..=1.0).contains(&qber) || available_bits == 0 {
            return Err(Abort::Unusable { reason: format!("{available_bits} bits of error rate {qber}") });
        }
        if qber > MOST_QBER {
            return Err(Abort::TooNoisy { qber, limit: MOST_QBER });
        }
        let frame_bits = cut(available_bits);
        let shape = Shape::of(frame_bits);
        let qber = qber.max(EFFICIENCY[0].0);
        let leak = first_leak(qber, frame_bits as f64) / 64.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the words of a frame"
        )]
        let words = (libm::ceil(leak) as usize).clamp(shape.least_words(), shape.most_words());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 120 000")]
        let qber_ppm = libm::round(qber * 1e6) as u32;
        Self::build(words, frame_bits, qber_ppm).ok_or_else(|| Abort::Unusable {
            reason: format!("no code of {words} words of syndrome for error rate {qber}"),
        })
    }

    fn build(words: usize, frame_bits: usize, qber_ppm: u32) -> Option<Self> {
        let Shape { columns, lift } = Shape::of(frame_bits);
        // A row too heavy for the decoder becomes lighter with more rows.
        let code = (words * 64 / lift..=columns * 3 / 4)
            .find_map(|checks| Code::build(columns, checks, lift, SEED))?;
        let words = words.max(code.checks() / 64);
        Some(Self { words, frame_bits, qber_ppm, code: Arc::new(code) })
    }

    /// Bits of a frame; a shorter one is filled up.
    #[must_use]
    pub fn frame_bits(&self) -> usize {
        self.frame_bits
    }

    /// Bits of the first shot's syndrome.
    #[must_use]
    pub fn syndrome_bits(&self) -> usize {
        self.words * 64
    }

    /// The words that this shot tells: the first is number 0, then come the increments. Words behind the
    /// syndrome are the half checks.
    fn told(&self, shot: usize) -> Range<usize> {
        let steps = |shots: usize| STEPS[..shots.min(STEPS.len())].iter().sum::<usize>();
        let end = |shot: usize| {
            (self.words + (self.words * steps(shot)).div_ceil(64)).min(2 * self.code.checks() / 64)
        };
        if shot == 0 { 0..self.words } else { end(shot - 1)..end(shot) }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The error rate planned for.
    #[must_use]
    pub fn qber(&self) -> f64 {
        f64::from(self.qber_ppm) * 1e-6
    }

    /// Writes the plan: words of syndrome, frame length, error rate in parts per million.
    pub fn write(&self, writer: &mut Writer) {
        writer.count(self.words).count(self.frame_bits).u32(self.qber_ppm);
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Malformed`] if no honest side makes such a plan.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let malformed = Malformed::Field { field: "ldpc plan" };
        let words = reader.count(MOST_BITS / 64, "ldpc plan")?;
        let frame_bits = reader.count(MOST_BITS, "ldpc plan")?;
        let qber_ppm = reader.u32()?;
        let shape = Shape::of(frame_bits);
        if frame_bits == 0 || !(shape.least_words()..=shape.most_words()).contains(&words) {
            return Err(malformed);
        }
        let plan = Self::build(words, frame_bits, qber_ppm).filter(|plan| plan.words == words);
        plan.filter(|plan| plan.qber() > 0.0 && plan.qber() <= MOST_QBER).ok_or(malformed)
    }

    /// Where the bits of a frame stand in the code word.
    fn interleaver(&self) -> Interleaver {
        Interleaver::new(self.code.bits())
    }

    /// The frame bits of a reveal, for a frame of `length` bits.
    fn revealed(&self, reveal: usize, length: usize) -> impl Iterator<Item = usize> + use<> {
        let step = length.div_ceil(64);
        let stride = coprime(length);
        let first = reveal * step;
        (first..(first + step).min(length)).map(move |k| (k as u64 * stride as u64 % length as u64) as usize)
    }
}

/// Block columns and lift of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    columns: usize,
    lift: usize,
}

impl Shape {
    /// Of the code for a frame: its bits up to the next 4096. There are at most twice as many columns as a block has
    /// bits, or cycles of four edges could not be avoided.
    fn of(frame_bits: usize) -> Self {
        let bits = frame_bits.clamp(1, MOST_BITS).next_multiple_of(GRAIN);
        let lift = (bits / 2).isqrt().max(bits.div_ceil(MOST_COLUMNS)).next_power_of_two();
        Self { columns: bits / lift, lift }
    }

    /// The fewest words of syndrome: four block rows.
    fn least_words(self) -> usize {
        self.lift / 64 * 4
    }

    /// The most words of syndrome: three quarters of the code word.
    fn most_words(self) -> usize {
        self.columns * self.lift / 64 * 3 / 4
    }
}

/// Length of a frame of so many bits.
fn cut(available_bits: usize) -> usize {
    available_bits.div_ceil(available_bits.div_ceil(MOST_BITS).max(1))
}

/// Bits that the first shots for `available_bits` of error rate `qber` tell, foretold without building a code:
/// what [`Plan::choose`] aims at, in bits.
#[must_use]
pub fn expected_leak_bits(qber: f64, available_bits: usize) -> f64 {
    let frame_bits = cut(available_bits) as f64;
    let share = first_leak(qber.clamp(EFFICIENCY[0].0, MOST_QBER), frame_bits) / frame_bits;
    share * available_bits as f64
}

/// A stride near the golden section of a length that visits every place.
fn coprime(length: usize) -> usize {
    fn divisor(a: usize, b: usize) -> usize {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    let near = ((length as u64 * 0x9e37_79b9) >> 32) as usize;
    (near.max(1)..).find(|stride| divisor(*stride, length) == 1).unwrap_or(1)
}

/// h₂.
fn entropy(p: f64) -> f64 {
    -(p * libm::log2(p) + (1.0 - p) * libm::log2(1.0 - p))
}

/// Bits that the first shot for a frame of `bits` tells.
fn first_leak(qber: f64, bits: f64) -> f64 {
    let efficiency = between(EFFICIENCY, qber) + between(SHORTER, bits);
    let deviation = libm::sqrt(qber * (1.0 - qber) / bits);
    efficiency * entropy((qber + DEVIATIONS * deviation).min(0.5)) * bits
}

/// The value of a table at x: between two rows straight in ln x, before the first and behind the last theirs.
fn between(table: &[(f64, f64)], x: f64) -> f64 {
    let above = table.iter().position(|(own, _)| *own >= x).unwrap_or(table.len() - 1).max(1);
    let ((low, lower), (high, upper)) = (table[above - 1], table[above]);
    let toward = ((libm::log(x) - libm::log(low)) / (libm::log(high) - libm::log(low))).clamp(0.0, 1.0);
    lower + (upper - lower) * toward
}

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
    plan: Plan,
    bits: BitBlock,
}

impl Job for Syndrome {
    type Output = (BitBlock, BitBlock);

    fn run(self, bench: &mut Workbench) -> Self::Output {
        let mut woven = self.plan.interleaver().weave(bench.isa(), &self.bits);
        let checks = self.plan.code.checks();
        let mut syndrome = BitBlock::zeros(2 * checks);
        syndrome.edit(|out| {
            let (syndrome, halves) = out.split_at_mut(checks / 64);
            kernel::syndrome(bench.isa(), self.plan.code.graph(), &woven, syndrome, halves);
        });
        woven.zeroize();
        (self.bits, syndrome)
    }
}

impl Stage for Reference {
    type Job = Syndrome;
    type Product = Reconciled;

    fn start(mut self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        if self.bits.is_empty() || self.bits.len() > self.plan.frame_bits {
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

fn wrong_length(plan: &Plan, bits: usize) -> Fault {
    Abort::Unusable { reason: format!("a frame of {bits} bits for a plan of {}", plan.frame_bits) }.into()
}

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

/// One run of the decoder.
pub struct Shot {
    plan: Plan,
    /// The correcting side's bits.
    bits: BitBlock,
    /// Checks told so far, and behind them half checks.
    syndrome: BitBlock,
    /// Bits revealed so far: place in the frame and value.
    certain: Vec<(usize, bool)>,
}

impl std::fmt::Debug for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shot({} bits, {} certain)", self.bits.len(), self.certain.len())
    }
}

/// A worker's decoder memory.
#[derive(Default)]
struct Scratch {
    /// The code word.
    words: Vec<u64>,
    posteriors: Vec<i8>,
    messages: Vec<i8>,
}

impl Scratch {
    /// Wipes what was decoded. The memory outlives the job, so that plain writes stay.
    fn wipe(&mut self) {
        self.words.fill(0);
        self.posteriors.fill(0);
        self.messages.fill(0);
        std::hint::black_box(self);
    }
}

/// What a [`Shot`] gives back.
#[derive(Debug)]
pub struct Decoded {
    task: Shot,
    /// The frame's bits, if the decoder met the syndrome.
    bits: Option<BitBlock>,
    iterations: u32,
}

impl Job for Shot {
    type Output = Decoded;

    fn run(self, bench: &mut Workbench) -> Decoded {
        let elsewhere = bench.elsewhere().and_then(|elsewhere| self.ask(&*elsewhere, bench.isa()));
        let (bits, iterations) = elsewhere.unwrap_or_else(|| self.decode(bench));
        Decoded { task: self, bits, iterations }
    }
}

impl Shot {
    /// Runs the decoder: the frame's bits, if it met the syndrome, and its iterations.
    fn decode(&self, bench: &mut Workbench) -> (Option<BitBlock>, u32) {
        let isa = bench.isa();
        let graph = self.plan.code.graph();
        let scratch = bench.scratch::<Scratch>();
        self.load(isa, scratch);
        let Scratch { words, posteriors, messages } = &mut *scratch;
        let (syndrome, halves) = self.syndrome.words().split_at(graph.syndrome_words());
        let few = 64 * (syndrome.len() + halves.len()) / FEW;
        let (mut iterations, mut violated) = (0, few);
        // The fewest checks that an iteration left violated, and the iterations since.
        let (mut fewest, mut since) = (usize::MAX, 0);
        let met = loop {
            let is_last = iterations == MOST_ITERATIONS || since == PATIENCE;
            if violated <= few || is_last {
                kernel::decide(isa, graph, posteriors, words);
                let is_met = kernel::is_satisfied(isa, graph, syndrome, halves, words);
                // A residue of light columns would stand still from here on.
                let is_residue = is_last || iterations > 0 && violated <= chain::MOST_VIOLATED;
                if is_met || is_residue && chain::mend(isa, graph, words, syndrome, halves) {
                    break true;
                }
            }
            if is_last {
                break false;
            }
            violated = kernel::iterate(isa, graph, syndrome, halves, posteriors, messages);
            iterations += 1;
            since = if violated < fewest { 0 } else { since + 1 };
            fewest = fewest.min(violated);
        };
        let bits = met.then(|| self.plan.interleaver().unweave(isa, &scratch.words, self.bits.len()));
        scratch.wipe();
        (bits, iterations)
    }

    /// Takes up what an increment told, or the first shot. False if it is not of that length.
    fn learn(&mut self, increment: usize, told: &BitBlock) -> bool {
        if increment <= STEPS.len() {
            self.syndrome.append(told);
            return told.len() == self.plan.told(increment).len() * 64;
        }
        let places = self.plan.revealed(increment - STEPS.len() - 1, self.bits.len());
        let known = self.certain.len();
        self.certain.extend(places.zip((0..told.len()).map(|bit| told.bit(bit))));
        let wanted = self.plan.revealed(increment - STEPS.len() - 1, self.bits.len()).count();
        self.certain.len() - known == wanted && told.len() == wanted
    }

    /// Sets the decoder's memory to the state before the first pass.
    fn load(&self, isa: Isa, scratch: &mut Scratch) {
        let (graph, interleaver) = (self.plan.code.graph(), self.plan.interleaver());
        // Bits beyond the frame are zeros that both know.
        let mut inside = BitBlock::zeros(self.bits.len());
        inside.edit(|words| words.fill(!0));
        let mut certain = interleaver.weave(isa, &inside);
        certain.iter_mut().for_each(|word| *word = !*word);
        scratch.words = interleaver.weave(isa, &self.bits);
        for (bit, value) in &self.certain {
            let (word, mask) = interleaver.place(*bit);
            certain[word] |= mask;
            scratch.words[word] = scratch.words[word] & !mask | if *value { mask } else { 0 };
        }
        scratch.messages.resize(self.plan.code.edge_count(), 0);
        scratch.posteriors.resize(self.plan.code.bits(), 0);
        let q = self.plan.qber();
        #[expect(clippy::cast_possible_truncation, reason = "1 to 40")]
        let magnitude = libm::round(4.0 * libm::log((1.0 - q) / q)).clamp(1.0, 40.0) as i8;
        kernel::prepare(isa, graph, &scratch.words, &certain, magnitude, &mut scratch.posteriors);
    }
}

impl Stage for Corrector {
    type Job = Shot;
    type Product = Reconciled;

    fn start(self, _out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let bits = self.task.as_ref().map_or(0, |task| task.bits.len());
        if bits == 0 || bits > self.plan.frame_bits {
            return Err(wrong_length(&self.plan, bits));
        }
        Ok(Step::Listen(self))
    }

    fn hear(mut self, mut message: Reader<'_>, out: &mut Outbox) -> Result<Step<Self>, Fault> {
        let unexpected = Malformed::Field { field: "ldpc message" };
        let mut task = self.task.take().ok_or(unexpected)?;
        let told = message.bits(self.plan.code.bits(), "ldpc message")?;
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
        // A word that meets the syndrome but not the bits revealed is not the reference side's.
        let agrees =
            |bits: &BitBlock| decoded.task.certain.iter().all(|(place, value)| bits.bit(*place) == *value);
        let bits = decoded.bits.filter(agrees);
        if bits.is_none() && self.increments < MOST_INCREMENTS {
            out.send(vec![1]);
            self.task = Some(decoded.task);
            return Ok(Step::Listen(self));
        }
        out.send(vec![if bits.is_some() { 0 } else { 2 }]);
        let distance = |bits: &BitBlock| {
            let pairs = bits.words().iter().zip(decoded.task.bits.words());
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

mod chain;
mod elsewhere;
mod interleaver;
#[cfg(test)]
mod tests;

pub use elsewhere::answer;
