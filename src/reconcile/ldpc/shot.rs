//! One run of the decoder, and what the syndrome foretells of it.
//!
//! How many checks the own bits violate tells how many of them are wrong, before any decoding: of checks of d bits,
//! each wrong with probability q, a share (1 − (1 − 2q)^d) / 2 is violated (Gallager, "Low-Density Parity-Check Codes" (1963), Lemma 4.1).
//! So a frame with far more errors than planned for asks for more at once instead of decoding in vain, one with more than
//! leave any key is given up, and the decoder is told the frame's own error rate.

use keystill_kernels::Isa;
use keystill_kernels::ldpc::bsc as kernel;

use super::chain;
use super::plan::{Plan, STEPS, entropy};
use crate::bits::BitBlock;
use crate::stage::{Job, Others, Workbench};

/// Iterations of one shot.
pub(super) const MOST_ITERATIONS: u32 = 80;
/// A shot ends when in so many iterations no fewer checks were violated: of a hundred such shots one or two would have
/// decoded.
const PATIENCE: u32 = 12;
/// Whether a word is found is looked at when one check in so many was violated during a pass.
const FEW: usize = 32;
/// No code decodes with less than this, in units of h₂ of the errors that are there.
const LEAST_EFFICIENCY: f64 = 1.05;
/// Frames of a higher error rate are given up: no BB84 key is left, and what they would need is nearly the frame.
const BEYOND: f64 = 0.18;
/// How sure the least error rate is, in standard deviations of the violated checks.
const SURE: f64 = 2.0;

/// One run of the decoder.
pub struct Shot {
    pub(super) plan: Plan,
    /// The correcting side's bits.
    pub(super) bits: BitBlock,
    /// Checks told so far, and behind them half checks.
    pub(super) syndrome: BitBlock,
    /// Bits revealed so far: place in the frame and value.
    pub(super) certain: Vec<(usize, bool)>,
}

impl std::fmt::Debug for Shot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shot({} bits, {} certain)", self.bits.len(), self.certain.len())
    }
}

/// A worker's memory for a frame.
#[derive(Default)]
pub(super) struct Scratch {
    /// The code word, and what the interleaver needs.
    pub(super) words: Vec<u64>,
    pub(super) between: Vec<u64>,
    /// Bits of the code word that are known.
    certain: Vec<u64>,
    /// The own syndrome, and behind it its half checks.
    syndrome: Vec<u64>,
    posteriors: Vec<i8>,
    messages: Vec<i8>,
}

impl Scratch {
    /// Wipes it. The memory outlives the job, so that plain writes stay.
    pub(super) fn wipe(&mut self) {
        [&mut self.words, &mut self.between, &mut self.certain, &mut self.syndrome]
            .into_iter()
            .for_each(|words| words.fill(0));
        self.posteriors.fill(0);
        self.messages.fill(0);
        std::hint::black_box(self);
    }
}

/// What a [`Shot`] gives back.
#[derive(Debug)]
pub struct Decoded {
    pub(super) task: Shot,
    pub(super) end: End,
    pub(super) iterations: u32,
}

/// How a run of the decoder ends.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// The frame's bits, which meet the syndrome.
    Found(BitBlock),
    /// More has to be told.
    More,
    /// The frame has too many errors.
    Beyond,
}

impl Job for Shot {
    type Output = Decoded;

    fn run(self, bench: &mut Workbench) -> Decoded {
        let elsewhere = bench.elsewhere().and_then(|elsewhere| self.ask(&*elsewhere, bench));
        let (end, iterations) = elsewhere.unwrap_or_else(|| self.decode(bench));
        Decoded { task: self, end, iterations }
    }
}

/// The error rate of a frame's unknown bits by the checks that its own bits violate.
struct Outlook {
    likely: f64,
    least: f64,
}

impl Outlook {
    /// By `violated` of `checks`, of `degree` unknown bits on the average.
    fn new(violated: u64, checks: u64, degree: f64) -> Self {
        let share = violated as f64 / checks as f64;
        let error_rate =
            |share: f64| 0.5 * (1.0 - libm::pow((1.0 - 2.0 * share).clamp(0.0, 1.0), 1.0 / degree));
        let deviation = libm::sqrt(share * (1.0 - share) / checks as f64);
        Self { likely: error_rate(share), least: error_rate(share - SURE * deviation) }
    }
}

impl Shot {
    /// Runs the decoder, if the syndrome does not foretell that it fails: how it ends, and its iterations.
    pub(super) fn decode(&self, bench: &mut Workbench) -> (End, u32) {
        let (isa, others) = (bench.isa(), bench.others());
        let scratch = bench.scratch::<Scratch>();
        self.load(isa, scratch);
        let outlook = self.outlook(isa, scratch);
        let (is_met, iterations) = if self.is_hopeless(&outlook) {
            (false, 0)
        } else {
            self.iterate(isa, &others, scratch, outlook.likely)
        };
        let end = if is_met {
            let Scratch { words, between, .. } = scratch;
            End::Found(self.plan.interleaver().unweave(isa, words, between, self.bits.len()))
        } else if outlook.least > BEYOND {
            End::Beyond
        } else {
            End::More
        };
        scratch.wipe();
        (end, iterations)
    }

    /// Iterates from the loaded bits on: whether their place was taken by bits that meet the syndrome, and after how
    /// many iterations.
    fn iterate(&self, isa: Isa, others: &Others, scratch: &mut Scratch, error_rate: f64) -> (bool, u32) {
        let graph = self.plan.code().graph();
        let Scratch { words, certain, posteriors, messages, .. } = scratch;
        messages.resize(self.plan.code().edge_count(), 0);
        posteriors.resize(self.plan.code().bits(), 0);
        #[expect(clippy::cast_possible_truncation, reason = "1 to 40")]
        let magnitude = libm::round(4.0 * libm::log((1.0 - error_rate) / error_rate)).clamp(1.0, 40.0) as i8;
        kernel::prepare(isa, graph, words, certain, magnitude, posteriors);
        let (syndrome, halves) = self.syndrome.words().split_at(graph.syndrome_words());
        let few = 64 * (syndrome.len() + halves.len()) / FEW;
        let (mut iterations, mut violated) = (0, few);
        // The fewest checks that an iteration left violated, and the iterations since.
        let (mut fewest, mut since) = (usize::MAX, 0);
        loop {
            let is_last = iterations == MOST_ITERATIONS || since == PATIENCE;
            if violated <= few || is_last {
                kernel::decide(isa, graph, posteriors, words);
                let is_met = kernel::is_satisfied(isa, graph, syndrome, halves, words);
                // A residue of light columns would stand still from here on.
                let is_residue = is_last || iterations > 0 && violated <= chain::MOST_VIOLATED;
                if is_met || is_residue && chain::mend(isa, graph, words, syndrome, halves) {
                    return (true, iterations);
                }
            }
            if is_last {
                return (false, iterations);
            }
            others.give_way();
            violated = kernel::iterate(isa, graph, syndrome, halves, posteriors, messages);
            iterations += 1;
            since = if violated < fewest { 0 } else { since + 1 };
            fewest = fewest.min(violated);
        }
    }

    /// Takes up what an increment told, or the first shot. False if it is not of that length.
    pub(super) fn learn(&mut self, increment: usize, told: &BitBlock) -> bool {
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

    /// Loads the own bits, corrected where they are revealed, and which of the code word's are known.
    fn load(&self, isa: Isa, scratch: &mut Scratch) {
        let interleaver = self.plan.interleaver();
        let Scratch { words, between, certain, .. } = scratch;
        // Bits beyond the frame are zeros that both know.
        let mut inside = BitBlock::zeros(self.bits.len());
        inside.edit(|words| words.fill(!0));
        interleaver.weave(isa, &inside, between, certain);
        certain.iter_mut().for_each(|word| *word = !*word);
        interleaver.weave(isa, &self.bits, between, words);
        for (bit, value) in &self.certain {
            let (word, mask) = interleaver.place(*bit);
            certain[word] |= mask;
            words[word] = words[word] & !mask | if *value { mask } else { 0 };
        }
    }

    /// What the loaded bits' syndrome foretells.
    fn outlook(&self, isa: Isa, scratch: &mut Scratch) -> Outlook {
        let graph = self.plan.code().graph();
        let told = graph.syndrome_words();
        scratch.syndrome.resize(2 * told, 0);
        let (syndrome, halves) = scratch.syndrome.split_at_mut(told);
        kernel::syndrome(isa, graph, &scratch.words, syndrome, halves);
        let pairs = syndrome.iter().zip(self.syndrome.words());
        let violated = pairs.map(|(own, told)| u64::from((own ^ told).count_ones())).sum();
        let edges =
            self.plan.code().edge_count() as f64 * self.unknown_bits() / self.plan.code().bits() as f64;
        let checks = 64 * told as u64;
        Outlook::new(violated, checks, edges / checks as f64)
    }

    fn unknown_bits(&self) -> f64 {
        (self.bits.len() - self.certain.len()) as f64
    }

    /// Whether even the least error rate is too high for what was told, or altogether.
    fn is_hopeless(&self, outlook: &Outlook) -> bool {
        let needed = LEAST_EFFICIENCY * entropy(outlook.least) * self.unknown_bits();
        outlook.least > BEYOND || outlook.least > 0.0 && (self.syndrome.len() as f64) < needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violated_checks_tell_the_error_rate() {
        // Of 25 bits, each wrong with 3 %: (1 − 0.94²⁵) / 2 = 0.3935 of the checks.
        let outlook = Outlook::new(3935, 10_000, 25.0);
        assert!((outlook.likely - 0.03).abs() < 1e-4, "{}", outlook.likely);
        let least = Outlook::new(3837, 10_000, 25.0).likely;
        assert!((outlook.least - least).abs() < 1e-4, "two deviations of 49: {} and {least}", outlook.least);
        let none = Outlook::new(0, 100, 25.0);
        assert_eq!((none.likely, none.least), (0.0, 0.0), "no errors");
        assert_eq!(Outlook::new(60, 100, 25.0).likely, 0.5, "more than half");
    }
}
