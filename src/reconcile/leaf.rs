//! Reconciliation of CV-QKD: one syndrome of a code of very low rate, decoded from soft bits.
//!
//! The reference side holds n uniform bits u, a *frame*; the correcting side holds one
//! log-likelihood ratio a bit. The reference side sends the syndrome s = H·u; the correcting side
//! decodes and answers with its verdict. The codes are those of [`codes::leaf`](super::codes::leaf):
//! k information bits, a core of k + c bits with c parity checks, and n − k − c leaf checks, each with
//! a leaf of its own.
//!
//! # What the codes reach
//!
//! Gaussian modulation, dimension 8, as `keystill bench cv --rate R --snr-db S` measures it; β is R over
//! ½·log₂(1 + SNR). No frame came out wrong that the parity checks had passed.
//!
//! | rate | SNR | β | of dimension 8's cap | frames failed | iterations |
//! |---|---|---|---|---|---|
//! | 0.303, chosen | −2.3 dB | 0.907 | 0.955 | 1 of 100 | 72 |
//! | 0.25 | −3.4 dB | 0.921 | 0.959 | 0 of 60 | 71 |
//! | 0.2 | −4.6 dB | 0.931 | 0.962 | 0 of 60 | 83 |
//! | 0.15 | −6.0 dB | 0.928 | 0.951 | 0 of 150 | 61 |
//! | 0.1 | −8.0 dB | 0.942 | 0.958 | 2 of 150 | 76 |
//! | 0.05 | −11.2 dB | 0.948 | 0.956 | 0 of 60 | 68 |
//! | 0.02 | −15.25 dB | 0.942 | 0.946 | 2 of 40, k = 20 480 | 53 |
//! | 0.02 | −15.2 dB | 0.932 | 0.935 | 0 of 40, k = 20 480 | 43 |
//! | 0.1, highest quality | −8.063 dB | 0.955 | 0.971 | 2 of 60 | 125 |
//! | 0.05, highest quality | −11.266 dB | 0.962 | 0.970 | 0 of 40 | 125 |
//! | 0.02, highest quality | −15.354 dB | 0.965 | 0.968 | 1 of 20 | 113 |
//! | 0.1, QPSK, dimension 1 | −8.045 dB | 0.951 | 0.952 of its own capacity | 0 of 60 | 58 |
//!
//! Where [`Plan::choose`] picks the rate it aims at 0.955 of the cap from −17 to −2.3 dB; `keystill bench
//! curve cv` measures it over the whole range. Above, leaf checks are few: 0.93 of the cap at −1 dB,
//! 0.914 at 0 dB (no frame of 16 failed), and rate 0.42 at most.
//!
//! Where the signal is stronger than −5 dB [slices](super::slices) with the same codes reach a higher β;
//! [`gaussian`](super::gaussian) has the comparison and chooses.
//!
//! # What is disclosed, and what is amplified
//!
//! The syndrome has n − k bits: c of the parity checks and n − k − c of the leaf checks. **All of
//! them are booked** ([`Disclosure::Syndrome`]), and one bit a frame for the verdict. The
//! convention of the ledger is therefore:
//!
//! > entropy of **all n bits** of the frame (one a real symbol), less all its entries.
//!
//! For any knowledge E of Eve's, E' = (E, s): H_min(u | E') ≥ H_min(u | E) − (n − k) by the chain
//! rule, since s takes at most 2^(n−k) values. Only the core of k + c bits ([`Plan::core_bits`]) then
//! enters amplification, and loses nothing: every leaf check reads u_leaf = s_leaf ⊕ f(u_core), so
//! given s the map u ↔ u_core is a bijection and H_min(u_core | E') = H_min(u | E'). It would be
//! wrong to subtract n − k from an entropy of the k + c core bits, or only the c parity bits from the
//! entropy of the n bits: the count of symbols that goes with this ledger is n.
//! A frame that was given up leaves with `None`: its n symbols leave the count, its entries stay,
//! and only errs on the safe side.

use std::fmt;
use std::sync::{Arc, LazyLock};

use keystill_kernels::Isa;
use keystill_kernels::ldpc::leaf::{
    self as kernel, Beliefs, FULL_FACTOR, Factors, Gain, Graph, Lanes, MAX_DEGREE, ParityRule,
};
use zeroize::Zeroize;

pub(super) use super::codes::leaf::BLOCK_BITS;
use super::codes::leaf::{Check, Code, FAMILY, HIGH_FAMILY, HIGH_RATE, Visit, chain_blocks};
use super::one_shot::{self, OneShot, wrong_length};
use super::{Effort, Reconciled};
use crate::bits::{BitBlock, Llrs};
use crate::ledger::Disclosure;
use crate::stage::{Abort, Others, Outbox, Workbench};
use crate::wire::{Malformed, Reader, Writer};

/// The weakest signal that a code at hand corrects, in dB.
const LOWEST_SNR_DB: f64 = -18.5;
/// The highest rate in use: above it the core alone would have to decode.
const HIGHEST_RATE: f64 = 0.42;
/// Sizes of the core's information part in blocks, and the share of the efficiency of the quality's own
/// size that each reaches.
const SIZES: [(u32, f64); 5] = [(2048, 1.0), (1024, 0.993), (512, 0.98), (128, 0.94), (32, 0.86)];
/// Most blocks of a frame: 2²³ bits.
const MOST_BLOCKS: u32 = 1 << 17;
/// Iterations after which any frame is given up.
const MOST_ITERATIONS: u32 = 400;
/// Iterations without progress after which a frame is given up.
const PATIENCE: u32 = 40;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Few iterations and few failed frames.
    Balanced,
    /// The most bits a symbol: twice the iterations, and some frames fail.
    Highest,
}

impl Quality {
    /// The size of the code, in blocks of 64 information bits, where there are symbols enough.
    ///
    /// A longer frame varies less in how much noise it met, and frames of low rates are long anyway. What limits the
    /// size is the cache that cores share: where two frames no longer fit, an iteration waits for memory. At rate
    /// 0.02 a frame of 1.6·10⁶ symbols takes twice as long a symbol as one of 10⁶.
    #[must_use]
    pub fn information_blocks(self, rate: f64) -> u32 {
        const BALANCED: [(f64, u32); 4] = [(0.03, 384), (0.07, 768), (0.18, 1024), (0.22, 1536)];
        match self {
            Self::Balanced => {
                BALANCED.iter().find(|(most, _)| rate <= *most).map_or(2048, |(_, blocks)| *blocks)
            }
            Self::Highest => 2048,
        }
    }

    /// What is added to [`efficiency`].
    fn more(self) -> f64 {
        match self {
            Self::Balanced => 0.0,
            Self::Highest => 0.012,
        }
    }
}

/// Which code a frame is reconciled with. Both sides hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    information_blocks: u32,
    leaf_blocks: u32,
}

impl Plan {
    /// Chooses rate and length for a signal-to-noise ratio `snr` (a power ratio per real symbol,
    /// as the lower end of what the estimate allows) where about `available_symbols` are at hand.
    ///
    /// # Errors
    /// [`Abort::TooWeak`] below −18.5 dB, [`Abort::Unusable`] if the ratio is not a number.
    pub fn choose(snr: f64, available_symbols: usize) -> Result<Self, Abort> {
        Self::choose_for(Quality::Balanced, snr, available_symbols)
    }

    /// Chooses like [`choose`](Self::choose), for a quality.
    ///
    /// # Errors
    /// Those of [`choose`](Self::choose).
    pub fn choose_for(quality: Quality, snr: f64, available_symbols: usize) -> Result<Self, Abort> {
        if !snr.is_finite() || snr < 0.0 {
            return Err(Abort::Unusable { reason: format!("signal-to-noise ratio {snr}") });
        }
        let snr_db = 10.0 * libm::log10(snr);
        if snr_db < LOWEST_SNR_DB {
            return Err(Abort::TooWeak { snr_db, limit_db: LOWEST_SNR_DB });
        }
        let best = efficiency(snr_db) + quality.more();
        let rate = |share: f64| (share * best * capacity(snr)).min(HIGHEST_RATE);
        let most = quality.information_blocks(rate(1.0));
        let fits = |(blocks, share): &&(u32, f64)| {
            *blocks <= most && f64::from(*blocks) * 64.0 / rate(*share) <= available_symbols as f64
        };
        let smallest = &SIZES[SIZES.len() - 1];
        let own = [(most, 1.0)];
        let (blocks, share) = *own.iter().chain(&SIZES).find(fits).unwrap_or(smallest);
        let rate = rate(share);
        Self::with_rate(rate, blocks)
    }

    /// The plan of a given rate and size: `information_blocks` times 64 bits of information.
    ///
    /// # Errors
    /// [`Abort::Unusable`] for a rate outside of 0.005 to 0.49, or a size that is no multiple of 8 from 16 to
    /// 2¹⁵ − 8 blocks or above 2²³ bits a frame.
    pub fn with_rate(rate: f64, information_blocks: u32) -> Result<Self, Abort> {
        let unusable = || Abort::Unusable { reason: format!("rate {rate}, {information_blocks} blocks") };
        if !(0.005..=0.49).contains(&rate) {
            return Err(unusable());
        }
        let core = information_blocks as usize + chain_blocks(information_blocks as usize);
        let leaves = f64::from(information_blocks) / rate - core as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 200 · 2³², saturating"
        )]
        let plan = Self { information_blocks, leaf_blocks: 2 * (leaves / 2.0).round() as u32 };
        if plan.is_bounded() { Ok(plan) } else { Err(unusable()) }
    }

    /// The plan of `information_blocks` times 64 bits of information in frames of `frame_blocks` times 64 bits, if
    /// there is such a code.
    pub(super) fn of_size(information_blocks: u32, frame_blocks: u32) -> Option<Self> {
        if !information_blocks.is_multiple_of(8) || information_blocks > frame_blocks / 2 {
            return None;
        }
        let leaf_blocks = frame_blocks.checked_sub(information_blocks / 2 * 3)?;
        Some(Self { information_blocks, leaf_blocks }).filter(|plan| plan.is_bounded())
    }

    fn is_bounded(self) -> bool {
        (16..1 << 15).contains(&self.information_blocks)
            && self.information_blocks.is_multiple_of(8)
            && (2..=MOST_BLOCKS).contains(&self.leaf_blocks)
            && self.leaf_blocks.is_multiple_of(2)
            && self.frame_bits() <= BLOCK_BITS * MOST_BLOCKS as usize
    }

    /// Bits of a frame, n: one a real symbol, a multiple of 128.
    #[must_use]
    pub fn frame_bits(&self) -> usize {
        self.core_bits() + BLOCK_BITS * self.leaf_blocks as usize
    }

    /// The first bits of a frame, which alone enter amplification: k + c.
    #[must_use]
    pub fn core_bits(&self) -> usize {
        self.information_bits() + self.chain_bits()
    }

    /// Bits of a syndrome: n − k, all of them disclosed.
    #[must_use]
    pub fn syndrome_bits(&self) -> usize {
        self.chain_bits() + BLOCK_BITS * self.leaf_blocks as usize
    }

    fn information_bits(&self) -> usize {
        BLOCK_BITS * self.information_blocks as usize
    }

    fn chain_bits(&self) -> usize {
        BLOCK_BITS * chain_blocks(self.information_blocks as usize)
    }

    /// The rate R = k/n.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.information_bits() as f64 / self.frame_bits() as f64
    }

    /// The reconciliation efficiency β = R/C at a signal-to-noise ratio (power, per real symbol).
    #[must_use]
    pub fn efficiency(&self, snr: f64) -> f64 {
        self.rate() / capacity(snr)
    }

    /// Appends the plan to a message.
    pub fn write(&self, writer: &mut Writer) {
        writer.varint(u64::from(self.information_blocks)).varint(u64::from(self.leaf_blocks));
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Malformed`] where the message ends or no code has this size.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut size = |field| -> Result<u32, Malformed> {
            let value = reader.count(MOST_BLOCKS as usize, field)?;
            u32::try_from(value).map_err(|_| Malformed::Field { field })
        };
        let plan =
            Self { information_blocks: size("information_blocks")?, leaf_blocks: size("leaf_blocks")? };
        if plan.is_bounded() { Ok(plan) } else { Err(Malformed::Field { field: "leaf_blocks" }) }
    }

    fn build(self) -> Code {
        let family = if self.rate() > HIGH_RATE { &HIGH_FAMILY } else { &FAMILY };
        Code::build(family, self.information_blocks as usize, self.leaf_blocks as usize)
    }
}

/// Shannon's capacity of a real symbol, ½·log₂(1 + SNR), in bits.
#[must_use]
pub fn capacity(snr: f64) -> f64 {
    0.5 * libm::log1p(snr) / std::f64::consts::LN_2
}

/// The efficiency to aim at, by the signal-to-noise ratio in dB: 0.955 of what dimension 8 allows, from
/// −17 to −2.3 dB, which the codes reach with few failed frames.
fn efficiency(snr_db: f64) -> f64 {
    const POINTS: [(f64, f64); 12] = [
        (-18.5, 0.94),
        (-17.0, 0.95),
        (-15.0, 0.949),
        (-11.0, 0.948),
        (-8.0, 0.94),
        (-6.0, 0.932),
        (-4.6, 0.925),
        (-3.0, 0.9115),
        (-2.3, 0.907),
        (-1.5, 0.887),
        (-1.0, 0.867),
        (0.0, 0.84),
    ];
    let [first, .., last] = POINTS;
    let above = POINTS.windows(2).find(|pair| snr_db <= pair[1].0);
    let Some(pair) = above else { return last.1 };
    let share = ((snr_db - pair[0].0) / (pair[1].0 - pair[0].0)).max(0.0);
    if snr_db < first.0 { first.1 } else { pair[0].1 + share * (pair[1].1 - pair[0].1) }
}

/// The side whose bits are the key: discloses the syndrome.
pub type Reference = one_shot::Reference<Plan>;

/// The side that corrects: decodes the reference side's bits from its own soft bits.
pub type Corrector = one_shot::Corrector<Plan>;

impl OneShot for Plan {
    type Evidence = Llrs;

    const TOLD: &'static str = "syndrome";

    fn frame_bits(&self) -> usize {
        Self::frame_bits(self)
    }

    fn told_bits(&self) -> usize {
        self.syndrome_bits()
    }

    fn check(&self, llrs: &Llrs) -> Result<(), Abort> {
        match llrs {
            Llrs::Soft(values) if values.len() == Self::frame_bits(self) => Ok(()),
            _ => Err(wrong_length("soft bits")),
        }
    }

    fn book(&self, out: &mut Outbox) {
        out.ledger.disclose(Disclosure::Syndrome, self.syndrome_bits() as u64);
    }

    fn tell(&self, bits: BitBlock, bench: &mut Workbench) -> (BitBlock, BitBlock) {
        let code = bench.scratch::<Codes>().of(*self);
        (BitBlock::from_words(code.syndrome(bits.words()), self.syndrome_bits()), bits)
    }

    fn decode(&self, llrs: &Llrs, syndrome: &BitBlock, bench: &mut Workbench) -> Reconciled {
        let isa = bench.isa();
        let code = bench.scratch::<Codes>().of(*self);
        let Llrs::Soft(ratios) = llrs else {
            return Reconciled { bits: None, effort: Effort::default() };
        };
        let others = bench.others();
        let decoder = bench.scratch::<Decoder>();
        let (bits, iterations) = decoder.correct(isa, &others, &code, ratios, syndrome.words());
        let corrected_errors = bits.as_ref().map_or(0, |bits| changed(bits, ratios));
        Reconciled { bits, effort: Effort { corrected_errors, iterations, increments: 0, messages: 2 } }
    }
}

/// In how many places the bits differ from the signs of the ratios.
pub(super) fn changed(bits: &BitBlock, ratios: &[i16]) -> u64 {
    let signs = |chunk: &[i16]| {
        chunk.iter().enumerate().fold(0, |word, (i, ratio)| word | u64::from(*ratio < 0) << i)
    };
    let words = ratios.chunks(BLOCK_BITS).zip(bits.words());
    words.map(|(chunk, word)| u64::from((signs(chunk) ^ word).count_ones())).sum()
}

/// The codes last used by a worker.
#[derive(Default)]
pub(super) struct Codes {
    recent: Vec<(Plan, Arc<Code>)>,
}

impl Codes {
    /// How many are kept: a link's rate moves among few, and slices use one a level.
    const KEPT: usize = 8;

    pub(super) fn of(&mut self, plan: Plan) -> Arc<Code> {
        let place = self.recent.iter().position(|(known, _)| *known == plan);
        let entry = match place {
            Some(place) => self.recent.remove(place),
            None => (plan, Arc::new(plan.build())),
        };
        let code = Arc::clone(&entry.1);
        self.recent.insert(0, entry);
        self.recent.truncate(Self::KEPT);
        code
    }
}

impl fmt::Debug for Codes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Codes({})", self.recent.len())
    }
}

/// How bent a leaf check's factors are, a unit of rate: the more leaves say, the more 2·artanh bends what follows
/// from a product. At rate 0.2 anything from 0.4 to 0.6 takes the same iterations, nothing a tenth more; at rate 0.1
/// 1.5 takes a fifth more.
const BEND: f64 = 0.6;

/// How far a frame has come: the share of parity checks violated, down to which a stretch of its way goes, and q, as
/// large as the product of the other factors typically is there. A leaf of ratio L enters with
/// 2·artanh(q·tanh(L/2))/q, which is exact at such products.
const STRETCHES: [(f64, f64); 4] = [(0.42, 0.8), (0.25, 0.88), (0.1, 0.94), (0.0, 0.97)];

/// What leaves enter with, by stretch and by the degree of their checks, from 1.
static GAINS: LazyLock<[[Gain; MAX_DEGREE]; STRETCHES.len()]> = LazyLock::new(|| {
    STRETCHES.map(|(_, q)| {
        let gain = |ratio: f64| 2.0 * libm::atanh(q * libm::tanh(ratio / 2.0)) / q;
        std::array::from_fn(|others| {
            let shrunk: f64 = (0..others).map(|_| FULL_FACTOR).product();
            Gain::new(|ratio| gain(ratio) / shrunk)
        })
    })
});

/// The parity checks' exact rule only where no more than one in fifty is violated: before, what it costs more
/// than the product is lost; with fewer, bits that the product cannot push far enough stick.
fn parity_rule(share: f64) -> ParityRule {
    if share > 0.02 { ParityRule::Product } else { ParityRule::Sizes }
}

/// The decoder: its working memory, all zero between frames. Serves any code, one after the other.
#[derive(Debug, Default)]
pub struct Decoder {
    posteriors: Vec<Lanes>,
    messages: Vec<Lanes>,
    leaves: Vec<Lanes>,
    core: Vec<u64>,
}

impl Decoder {
    /// The frame that has this syndrome and most likely gave these ratios, if it is found, and the
    /// iterations it took.
    ///
    /// # Panics
    /// If `ratios` are not 64 a block of the code, or `syndrome` is not one word a check.
    pub fn correct(
        &mut self,
        isa: Isa,
        others: &Others,
        code: &Code,
        ratios: &[i16],
        syndrome: &[u64],
    ) -> (Option<BitBlock>, u32) {
        assert_eq!(ratios.len(), BLOCK_BITS * code.blocks(), "one ratio a bit");
        self.lay(code, ratios);
        let (corrected, iterations) = self.decode(isa, others, code, ratios, syndrome);
        let bits = corrected.then(|| self.frame(code, syndrome));
        self.clear();
        (bits, iterations)
    }

    /// Lays the soft bits of the core out in the decoder's lane order.
    fn lay(&mut self, code: &Code, ratios: &[i16]) {
        let (blocks, _) = ratios.as_chunks::<BLOCK_BITS>();
        let homes = code.walks().last().map_or(&[][..], |walk| &walk.homes[..]);
        self.posteriors.clear();
        self.posteriors.extend(blocks.iter().zip(homes).map(|(block, home)| {
            let mut lanes = Lanes(*block);
            lanes.0.rotate_left(*home as usize);
            lanes
        }));
        self.messages.resize(code.edge_count(), Lanes::default());
        self.leaves.resize(code.leaf_blocks(), Lanes::default());
    }

    /// Lays out what the leaves enter their checks with on a stretch of the way.
    fn lay_leaves(&mut self, isa: Isa, code: &Code, stretch: usize, ratios: &[i16], syndrome: &[u64]) {
        let ratios = &ratios[BLOCK_BITS * code.core_blocks()..];
        let mut first = 0;
        for run in code.leaf_runs() {
            let checks = first..first + run.checks;
            let ratios = &ratios[BLOCK_BITS * checks.start..BLOCK_BITS * checks.end];
            let (syndrome, out) = (&syndrome[checks.clone()], &mut self.leaves[checks.clone()]);
            kernel::leaves(isa, &GAINS[stretch][run.degree - 1], ratios, syndrome, out);
            first = checks.end;
        }
    }

    /// Iterates until every parity check holds, or the frame is hopeless.
    fn decode(
        &mut self,
        isa: Isa,
        others: &Others,
        code: &Code,
        ratios: &[i16],
        syndrome: &[u64],
    ) -> (bool, u32) {
        let parity = &syndrome[code.leaf_blocks()..];
        let factors = Factors::bent((BEND * code.rate()).min(1.0));
        let (mut fewest, mut fewest_at, mut share, mut stretch) = (u32::MAX, 0, 1.0, 0);
        self.lay_leaves(isa, code, stretch, ratios, syndrome);
        let iterations =
            (1..=MOST_ITERATIONS).flat_map(|k| std::iter::repeat_n(k, code.walks_an_iteration()));
        for (iteration, walk) in iterations.zip(code.walks().iter().cycle()) {
            others.give_way();
            let begun = stretch;
            while share < STRETCHES[stretch].0 {
                stretch += 1;
            }
            if stretch > begun {
                self.lay_leaves(isa, code, stretch, ratios, syndrome);
            }
            let rules = (&factors, parity_rule(share));
            let violated = walk.visits.iter().map(|visit| self.visit(isa, visit, rules, syndrome)).sum();
            share = f64::from(violated) / (BLOCK_BITS * parity.len()) as f64;
            if violated == 0 && self.settle(code, &walk.homes, parity) {
                return (true, iteration);
            }
            if violated < fewest {
                (fewest, fewest_at) = (violated, iteration);
            }
            if iteration - fewest_at > PATIENCE {
                return (false, iteration);
            }
        }
        (false, MOST_ITERATIONS)
    }

    /// Visits checks. Returns how many parity checks among them were violated.
    fn visit(
        &mut self,
        isa: Isa,
        visit: &Visit,
        (factors, parity_rule): (&Factors, ParityRule),
        syndrome: &[u64],
    ) -> u32 {
        let Visit { kind, run, order, first_check, first_edge, ref edges } = *visit;
        let (checks, runs) = (first_check..first_check + run.checks, [run]);
        let (leaf_runs, parity_runs, leaves, syndrome) = match kind {
            Check::Leaf => (&runs[..], &[][..], &self.leaves[checks], &[][..]),
            Check::Parity => (&[][..], &runs[..], &[][..], &syndrome[checks]),
        };
        let graph = Graph { leaf_runs, factors, parity_runs, parity_order: order, parity_rule, edges };
        let mut beliefs = Beliefs {
            posteriors: &mut self.posteriors,
            messages: &mut self.messages[first_edge..first_edge + edges.len()],
            leaves,
            syndrome,
        };
        kernel::iterate(isa, &graph, &mut beliefs)
    }

    /// Takes the signs for bits and tests the parity checks: the posteriors moved on while the last
    /// iteration looked at them.
    fn settle(&mut self, code: &Code, homes: &[u32], parity: &[u64]) -> bool {
        let signs = |lanes: &Lanes| {
            lanes.0.iter().enumerate().fold(0, |word, (i, ratio)| word | u64::from(*ratio < 0) << i)
        };
        self.core.clear();
        let words = self.posteriors.iter().zip(homes);
        self.core.extend(words.map(|(lanes, home)| signs(lanes).rotate_left(*home)));
        code.parity(&self.core).eq(parity.iter().copied())
    }

    /// The frame: the core and the leaves that follow from it.
    fn frame(&self, code: &Code, syndrome: &[u64]) -> BitBlock {
        let mut words = self.core.clone();
        words.extend(code.leaves(&self.core).zip(syndrome).map(|(word, syndrome)| word ^ syndrome));
        let len = words.len() * BLOCK_BITS;
        BitBlock::from_words(words, len)
    }

    /// Wipes the frame and leaves the messages at zero, where the next one begins.
    fn clear(&mut self) {
        self.posteriors.fill(Lanes::default());
        self.messages.fill(Lanes::default());
        self.leaves.fill(Lanes::default());
        self.core.zeroize();
    }
}

#[cfg(test)]
mod sum_product;
#[cfg(test)]
mod tests;
