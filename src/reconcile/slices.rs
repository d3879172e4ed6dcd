//! Reconciliation of CV-QKD where the signal is strong: the value itself, cut into slices.
//!
//! The reference side's quadrature y, normal of standard deviation s, falls into one of 256 cells of equal
//! probability. The upper four bits of the cell's number are the key's raw bits, four *levels*; the lower four are told
//! ([`keystill_kernels::slices`] says how they are mirrored). The levels are corrected one after the other, the highest
//! first, each with what is known of those above: one code of [`codes::leaf`](super::codes::leaf) a level, all of the
//! frame's length, each of its own rate. A level that says too little for a code is told whole. (Van Assche, Cardinal and
//! Cerf, IEEE Trans. Inf. Theory 50, 394 (2004), with multi-level codes as Wachsmann, Fischer and Huber, ibid. 45, 1361
//! (1999), and with the part of y within its slice told.)
//!
//! # Why the part within a slice is told
//!
//! The levels alone say 0.92 of the capacity at 0 dB to who does not know where in its interval y lies. That part, v,
//! is independent of the levels' number u, because the cells are equally probable, and nearly so of the other side's x;
//! with it the levels say I(u; x | v) = ½·log₂(1 + SNR) − I(v; x):
//!
//! | SNR | −6 dB | −2.3 dB | 0 dB | 3 dB | 6 dB |
//! |---|---|---|---|---|---|
//! | of the capacity | 0.993 | 0.992 | 0.989 | 0.985 | 0.978 |
//! | rotations in eight dimensions | 0.976 | 0.950 | 0.919 | 0.849 | |
//!
//! and who corrected u knows y to a cell, so that the channel is estimated from all frames, failed ones included. What
//! telling v costs in secrecy: nothing but for the difference between the true variance of y and s²; the proof is in
//! [`cv::security`](crate::cv::security).
//!
//! # What is disclosed, and what is amplified
//!
//! One message a frame: v, Σy² and Σy·ỹ of the frame (ỹ: the values that stand for the cells), and of each level the
//! syndrome, n − k bits, or the whole level, n bits. **All bits of all levels are booked** ([`Disclosure::Syndrome`]), the
//! two sums with 128 bits ([`Disclosure::Moments`]), and one bit a frame for the verdict. v is not: it is conditioned
//! on. The convention of the ledger is
//!
//! > entropy of **all 4n bits** of the frame's levels given v (four a quadrature), less all its entries.
//!
//! Only the cores of the levels' codes enter amplification ([`Plan::core_bits`]): given its syndrome each level and its
//! core determine each other, as [`leaf`] shows, and a level that was told has nothing left.
//!
//! ```text
//! reference → corrector   v · Σy² · Σyỹ · level 0: syndrome, or all of it · level 1 · level 2 · level 3: one bit string
//! corrector → reference   0 given up · 1 corrected
//! ```

use keystill_kernels::slices::{self as kernel, Sight, TOLD};

use super::leaf::{self, BLOCK_BITS, Codes, Decoder};
use super::one_shot::{self, OneShot, wrong_length};
use super::{Effort, Reconciled};
use crate::bits::{BitBlock, LLR_UNIT, Wiped};
use crate::ledger::Disclosure;
use crate::stage::{Abort, Outbox, Workbench};
use crate::wire::{Malformed, Reader, Writer};

mod cells;

use cells::Cells;

pub use cells::information;
pub use keystill_kernels::slices::LEVELS;

/// Bits in which the two sums are told.
const SUM_BITS: usize = 128;

/// Quadratures of a frame in blocks of 64, at most: 2¹⁹.
const MOST_BLOCKS: u32 = 1 << 13;
/// The same, at least.
const LEAST_BLOCKS: u32 = 1 << 8;

/// The weakest signal for slices, in dB: below, the codes of the lower levels would be too weak.
pub const LOWEST_SNR_DB: f64 = -8.0;
/// The strongest, in dB: above, the highest level asks for codes of rates that are not at hand.
pub const HIGHEST_SNR_DB: f64 = 7.0;

/// The highest rate of a level's code in use.
const HIGHEST_RATE: f64 = 0.485;
/// A level whose code would be of a lower rate, or shorter, is told.
const LOWEST_RATE: f64 = 0.008;
const FEWEST_INFORMATION_BLOCKS: u32 = 16;

/// How a frame is cut and with which codes: both sides hold the same.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// n/64.
    blocks: u32,
    /// k/64 of each level; 0 where it is told.
    information_blocks: [u32; LEVELS],
    /// s, in square roots of shot-noise units.
    deviation: f64,
}

impl Plan {
    /// The plan for a signal-to-noise ratio `snr` (a power ratio per real symbol, as the lower end of what the
    /// estimate allows), values of standard `deviation` on the reference side, and about `available_symbols`
    /// quadratures.
    ///
    /// # Errors
    /// [`Abort::TooWeak`] below −8 dB, [`Abort::Unusable`] above 7 dB or if a number is not one.
    pub fn choose(snr: f64, deviation: f64, available_symbols: usize) -> Result<Self, Abort> {
        if !(snr.is_finite() && snr > 0.0 && is_deviation(deviation)) {
            return Err(Abort::Unusable { reason: format!("SNR {snr}, standard deviation {deviation}") });
        }
        let snr_db = 10.0 * libm::log10(snr);
        if snr_db < LOWEST_SNR_DB {
            return Err(Abort::TooWeak { snr_db, limit_db: LOWEST_SNR_DB });
        }
        if snr_db > HIGHEST_SNR_DB {
            let reason = format!("{snr_db:.1} dB: slices reach to {HIGHEST_SNR_DB} dB; modulate less");
            return Err(Abort::Unusable { reason });
        }
        let blocks = frame_blocks(available_symbols);
        let (most, shares) = (information(snr), shares(snr_db));
        let information_blocks =
            std::array::from_fn(|level| information_blocks(most[level], shares[level], blocks));
        Self::of_sizes(blocks, information_blocks, deviation)
            .ok_or_else(|| Abort::Unusable { reason: format!("no codes for {snr_db:.1} dB") })
    }

    /// The plan of given rates, 0 for a level that is told, and of frames of `symbols` quadratures.
    ///
    /// # Errors
    /// [`Abort::Unusable`] where there are no such codes.
    pub fn with_rates(rates: [f64; LEVELS], symbols: usize, deviation: f64) -> Result<Self, Abort> {
        let unusable = || Abort::Unusable { reason: format!("rates {rates:?}, frames of {symbols}") };
        let blocks = u32::try_from(symbols / BLOCK_BITS).map_err(|_| unusable())?;
        if rates.iter().any(|rate| !(0.0..=0.49).contains(rate)) {
            return Err(unusable());
        }
        let information_blocks = rates.map(|rate| whole_blocks(rate, blocks));
        Self::of_sizes(blocks, information_blocks, deviation).ok_or_else(unusable)
    }

    fn of_sizes(blocks: u32, information_blocks: [u32; LEVELS], deviation: f64) -> Option<Self> {
        let plan = Self { blocks, information_blocks, deviation };
        let codes = (0..LEVELS).all(|level| information_blocks[level] == 0 || plan.code(level).is_some());
        let any = information_blocks.iter().any(|blocks| *blocks > 0);
        let bounded = (LEAST_BLOCKS..=MOST_BLOCKS).contains(&blocks) && blocks.is_multiple_of(2);
        // No more than two core bits a quadrature.
        let sparse =
            information_blocks.iter().map(|own| u64::from(*own)).sum::<u64>() * 3 <= u64::from(blocks) * 4;
        (codes && any && bounded && sparse && is_deviation(deviation)).then_some(plan)
    }

    /// The code of a level, if it is not told whole.
    fn code(&self, level: usize) -> Option<leaf::Plan> {
        match self.information_blocks[level] {
            0 => None,
            information_blocks => leaf::Plan::of_size(information_blocks, self.blocks),
        }
    }

    fn codes(&self) -> [Option<leaf::Plan>; LEVELS] {
        std::array::from_fn(|level| self.code(level))
    }

    /// Quadratures of a frame, n: a multiple of 128.
    #[must_use]
    pub fn symbols(&self) -> usize {
        BLOCK_BITS * self.blocks as usize
    }

    /// s, the standard deviation that the cells are made for.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        self.deviation
    }

    /// Bits of a frame as [`cut`] makes it and as it leaves: 8n of the cells' numbers and 128 of the sums.
    #[must_use]
    pub fn frame_bits(&self) -> usize {
        (LEVELS + TOLD) * self.symbols() + SUM_BITS
    }

    /// The first bits of a frame when it leaves, which alone enter amplification: Σ (k + c) over the levels.
    #[must_use]
    pub fn core_bits(&self) -> usize {
        self.codes().iter().flatten().map(leaf::Plan::core_bits).sum()
    }

    /// Bits that a frame's message tells of the levels, all of them disclosed: Σ (n − k).
    #[must_use]
    pub fn syndrome_bits(&self) -> usize {
        self.codes().iter().map(|code| self.told_bits(code.as_ref())).sum()
    }

    fn told_bits(&self, code: Option<&leaf::Plan>) -> usize {
        code.map_or(self.symbols(), leaf::Plan::syndrome_bits)
    }

    /// Bits of a frame's message.
    fn message_bits(&self) -> usize {
        TOLD * self.symbols() + SUM_BITS + self.syndrome_bits()
    }

    /// Bits that stay secret a quadrature: Σ k/n over the levels.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rates().iter().sum()
    }

    /// k/n of each level, highest first.
    #[must_use]
    pub fn rates(&self) -> [f64; LEVELS] {
        self.information_blocks.map(|blocks| f64::from(blocks) / f64::from(self.blocks))
    }

    /// The reconciliation efficiency β: the rate over the capacity at a signal-to-noise ratio.
    #[must_use]
    pub fn efficiency(&self, snr: f64) -> f64 {
        self.rate() / leaf::capacity(snr)
    }

    /// Appends the plan to a message.
    pub fn write(&self, writer: &mut Writer) {
        writer.u32(self.blocks);
        self.information_blocks.iter().for_each(|blocks| {
            writer.u32(*blocks);
        });
        writer.f64(self.deviation);
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Malformed`] where the message ends or no codes have these sizes.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        const FIELD: &str = "slices plan";
        let blocks = reader.u32()?;
        let mut information_blocks = [0; LEVELS];
        for own in &mut information_blocks {
            *own = reader.u32()?;
        }
        let deviation = reader.f64(FIELD)?;
        Self::of_sizes(blocks, information_blocks, deviation).ok_or(Malformed::Field { field: FIELD })
    }
}

/// A standard deviation that a receiver's quadratures may have, in square roots of shot-noise units.
fn is_deviation(deviation: f64) -> bool {
    (1e-3..=1e4).contains(&deviation)
}

/// Frames of equal length, as few as can be.
fn frame_blocks(available_symbols: usize) -> u32 {
    let available = u32::try_from(available_symbols / BLOCK_BITS).unwrap_or(u32::MAX);
    let frames = available.div_ceil(MOST_BLOCKS).max(1);
    (available / frames / 2 * 2).clamp(LEAST_BLOCKS, MOST_BLOCKS)
}

/// The size of a level's code that says `most` bits a value, of which codes of the longest frames reach `share`.
fn information_blocks(most: f64, share: f64, blocks: u32) -> u32 {
    let longest = reach(most * f64::from(MOST_BLOCKS));
    let rate = most * share * reach(most * f64::from(blocks)) / longest;
    let settled = whole_blocks(rate.min(HIGHEST_RATE), blocks);
    if rate < LOWEST_RATE || settled < FEWEST_INFORMATION_BLOCKS { 0 } else { settled }
}

/// k/64, a multiple of 8.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below half of the blocks")]
fn whole_blocks(rate: f64, blocks: u32) -> u32 {
    8 * (rate * f64::from(blocks) / 8.0) as u32
}

/// What codes of the longest frames reach of what each level says, by the signal-to-noise ratio in dB: two hundredths
/// below the highest rate at which no frame of ten failed (`compare_slices`), for a receiver is not only Gaussian noise.
fn shares(snr_db: f64) -> [f64; LEVELS] {
    const POINTS: [(f64, [f64; LEVELS]); 6] = [
        (-6.0, [0.945, 0.915, 0.935, 0.89]),
        (-3.0, [0.950, 0.930, 0.930, 0.915]),
        (-2.3, [0.945, 0.930, 0.930, 0.915]),
        (0.0, [0.935, 0.940, 0.925, 0.900]),
        (3.0, [0.920, 0.935, 0.925, 0.885]),
        (6.0, [0.890, 0.930, 0.935, 0.890]),
    ];
    let above = POINTS.iter().position(|(own, _)| *own >= snr_db).unwrap_or(POINTS.len() - 1).max(1);
    let ((low, lower), (high, upper)) = (POINTS[above - 1], POINTS[above]);
    let toward = ((snr_db - low) / (high - low)).clamp(0.0, 1.0);
    std::array::from_fn(|level| lower[level] + toward * (upper[level] - lower[level]))
}

/// What a code of so many information blocks reaches, in units of what a long one does.
fn reach(information_blocks: f64) -> f64 {
    const POINTS: [(f64, f64); 5] = [(16.0, 0.80), (32.0, 0.86), (128.0, 0.94), (512.0, 0.98), (2048.0, 1.0)];
    let above = POINTS.iter().position(|(blocks, _)| *blocks >= information_blocks);
    match above {
        None => POINTS[POINTS.len() - 1].1,
        Some(0) => POINTS[0].1,
        Some(above) => {
            let ((low, lower), (high, upper)) = (POINTS[above - 1], POINTS[above]);
            lower + (upper - lower) * libm::log(information_blocks / low) / libm::log(high / low)
        }
    }
}

/// The reference side's frame: the planes of its quadratures' cells, the four levels, highest first, then what is told;
/// behind them the bits of Σy² and Σy·ỹ.
///
/// # Errors
/// [`Abort::Unusable`] if the quadratures are not as many as the plan says or one is not finite.
pub fn cut(bench: &Workbench, plan: &Plan, symbols: &[f32]) -> Result<BitBlock, Abort> {
    let isa = bench.isa();
    if symbols.len() != plan.symbols() {
        return Err(wrong_length("quadratures"));
    }
    let cells = Cells::new(plan.deviation);
    let mut frame = BitBlock::zeros(plan.frame_bits());
    let sums = frame.edit(|words| {
        let (planes, sums) = words.split_at_mut(words.len() - SUM_BITS / 64);
        kernel::cut(isa, symbols, &cells.ends, planes);
        let mut rebuilt = Wiped(vec![0.0; symbols.len()]);
        kernel::rebuild(isa, planes, &cells.values, &mut rebuilt.0);
        let told = [symbols, &rebuilt].map(|other| keystill_kernels::rotation::dot(isa, symbols, other));
        for (word, sum) in sums.iter_mut().zip(told) {
            *word = sum.to_bits();
        }
        told
    });
    if sums.iter().all(|sum| sum.is_finite()) {
        return Ok(frame);
    }
    Err(Abort::Unusable { reason: "a quadrature is not a finite number".into() })
}

/// The reference side's quadratures as a corrected frame gives them back, each the mean of its cell, and what
/// that side states of them: Σy² and Σy·ỹ. Wipe them after use.
///
/// # Errors
/// [`Abort::Unusable`] if the bits are no frame of the plan's, or the sums no numbers.
pub fn rebuild(bench: &Workbench, plan: &Plan, bits: &BitBlock) -> Result<(Vec<f32>, [f64; 2]), Abort> {
    if bits.len() != plan.frame_bits() {
        return Err(wrong_length("bits"));
    }
    let mut words = Wiped(part::restore(plan, bits.words()));
    let sums = words.0.split_off(words.len() - SUM_BITS / 64);
    let sums = [f64::from_bits(sums[0]), f64::from_bits(sums[1])];
    if !(sums[0].is_finite() && sums[1].is_finite() && sums[0] >= 0.0) {
        return Err(Abort::Unusable { reason: "the reference side's sums are no numbers".into() });
    }
    let mut symbols = vec![0.0; plan.symbols()];
    kernel::rebuild(bench.isa(), &words, &Cells::new(plan.deviation).values, &mut symbols);
    Ok((symbols, sums))
}

/// What the correcting side holds of a frame: its quadratures x, and y = gain·x + noise.
pub struct Evidence {
    symbols: Wiped<f32>,
    gain: f64,
    variance: f64,
}

impl Evidence {
    /// The correcting side's quadratures and what it knows of the channel: t and σ².
    #[must_use]
    pub fn new(symbols: Vec<f32>, gain: f64, variance: f64) -> Self {
        Self { symbols: Wiped(symbols), gain, variance }
    }

    /// Quadratures.
    #[must_use]
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// Soft bits of a level, once those above are known.
    fn soften(
        &self,
        bench: &Workbench,
        plan: &Plan,
        cells: &Cells,
        planes: &[u64],
        level: usize,
    ) -> Wiped<i16> {
        let Self { symbols, gain, variance } = self;
        let deviation = plan.deviation;
        let nats = std::f64::consts::LOG2_E;
        let curvature = 0.5 * nats * (1.0 / (deviation * deviation) - 1.0 / variance);
        #[expect(clippy::cast_possible_truncation, reason = "a likelihood's scale needs no more digits")]
        let sight = Sight {
            values: &cells.values,
            curvature: curvature as f32,
            slope: (nats * gain / variance) as f32,
        };
        let mut ratios = Wiped(vec![0; symbols.len()]);
        let planes = &planes[..(LEVELS + TOLD) * plan.blocks as usize];
        kernel::soften(bench.isa(), sight, planes, level, LLR_UNIT, symbols, &mut ratios.0);
        ratios
    }
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Evidence({} quadratures)", self.len())
    }
}

/// The side whose values are the key: it begins with a frame as [`cut`] made it.
pub type Reference = one_shot::Reference<Plan>;

/// The side that corrects: it begins with the frame's quadratures.
pub type Corrector = one_shot::Corrector<Plan>;

impl OneShot for Plan {
    type Evidence = Evidence;

    const TOLD: &'static str = "slices";

    fn frame_bits(&self) -> usize {
        Self::frame_bits(self)
    }

    fn told_bits(&self) -> usize {
        self.message_bits()
    }

    fn check(&self, evidence: &Evidence) -> Result<(), Abort> {
        if evidence.len() != self.symbols() {
            return Err(wrong_length("quadratures"));
        }
        if evidence.gain.is_finite() && evidence.variance > 0.0 && evidence.variance.is_finite() {
            return Ok(());
        }
        Err(Abort::Unusable { reason: "gain and variance of the channel give no likelihood".into() })
    }

    /// What a frame's message tells beyond what is conditioned on.
    fn book(&self, out: &mut Outbox) {
        out.ledger.disclose(Disclosure::Syndrome, self.syndrome_bits() as u64);
        out.ledger.disclose(Disclosure::Moments, SUM_BITS as u64);
    }

    fn tell(&self, bits: BitBlock, bench: &mut Workbench) -> (BitBlock, BitBlock) {
        let words = bits.words();
        let (levels, told) = words.split_at(LEVELS * self.blocks as usize);
        let mut message = told.to_vec();
        for (level, code) in levels.chunks(self.blocks as usize).zip(self.codes()) {
            match code {
                None => message.extend(level),
                Some(code) => message.extend(bench.scratch::<Codes>().of(code).syndrome(level)),
            }
        }
        let arranged = BitBlock::from_words(part::arrange(self, words), Self::frame_bits(self));
        (BitBlock::from_words(message, self.message_bits()), arranged)
    }

    fn decode(&self, evidence: &Evidence, told: &BitBlock, bench: &mut Workbench) -> Reconciled {
        let mut effort = Effort { messages: 2, ..Effort::default() };
        let bits = decode(self, evidence, told, bench, &mut effort);
        Reconciled { bits, effort }
    }
}

/// Decodes a frame, level by level.
fn decode(
    plan: &Plan,
    evidence: &Evidence,
    told: &BitBlock,
    bench: &mut Workbench,
    effort: &mut Effort,
) -> Option<BitBlock> {
    let blocks = plan.blocks as usize;
    let (behind, mut syndromes) = told.words().split_at(TOLD * blocks + SUM_BITS / 64);
    let mut planes = Wiped(vec![0; LEVELS * blocks]);
    planes.0.extend(behind);
    let cells = Cells::new(plan.deviation);
    for (level, code) in plan.codes().into_iter().enumerate() {
        let (syndrome, rest) = syndromes.split_at(plan.told_bits(code.as_ref()) / 64);
        syndromes = rest;
        let found = match code {
            None => BitBlock::from_words(syndrome.to_vec(), plan.symbols()),
            Some(code) => {
                let ratios = evidence.soften(bench, plan, &cells, &planes, level);
                correct(bench, code, &ratios, syndrome, effort)?
            }
        };
        planes.0[level * blocks..][..blocks].copy_from_slice(found.words());
    }
    Some(BitBlock::from_words(part::arrange(plan, &planes), plan.frame_bits()))
}

fn correct(
    bench: &mut Workbench,
    code: leaf::Plan,
    ratios: &[i16],
    syndrome: &[u64],
    effort: &mut Effort,
) -> Option<BitBlock> {
    let isa = bench.isa();
    let code = bench.scratch::<Codes>().of(code);
    let others = bench.others();
    let (bits, iterations) = bench.scratch::<Decoder>().correct(isa, &others, &code, ratios, syndrome);
    effort.iterations += iterations;
    effort.corrected_errors += bits.as_ref().map_or(0, |bits| leaf::changed(bits, ratios));
    bits
}

/// The two orders of a frame's words: by plane, as it is cut, and cores first, as it leaves.
mod part {
    use super::{BLOCK_BITS, LEVELS, Plan, leaf};

    /// Words of each level's core.
    fn cores(plan: &Plan) -> [usize; LEVELS] {
        plan.codes().map(|code| code.as_ref().map_or(0, leaf::Plan::core_bits) / BLOCK_BITS)
    }

    /// From planes to cores first: cores · other words of the levels · what is told · sums.
    pub(super) fn arrange(plan: &Plan, planes: &[u64]) -> Vec<u64> {
        let blocks = plan.blocks as usize;
        let (levels, behind) = planes.split_at(LEVELS * blocks);
        let pieces = || levels.chunks(blocks).zip(cores(plan));
        let mut words = Vec::with_capacity(planes.len());
        pieces().for_each(|(level, core)| words.extend(&level[..core]));
        pieces().for_each(|(level, core)| words.extend(&level[core..]));
        words.extend(behind);
        words
    }

    /// Back to planes.
    pub(super) fn restore(plan: &Plan, arranged: &[u64]) -> Vec<u64> {
        let (blocks, cores) = (plan.blocks as usize, cores(plan));
        let (levels, behind) = arranged.split_at(LEVELS * blocks);
        let (mut heads, mut tails) = levels.split_at(cores.iter().sum());
        let mut planes = Vec::with_capacity(arranged.len());
        for core in cores {
            let (head, more_heads) = heads.split_at(core);
            let (tail, more_tails) = tails.split_at(blocks - core);
            planes.extend(head);
            planes.extend(tail);
            (heads, tails) = (more_heads, more_tails);
        }
        planes.extend(behind);
        planes
    }
}

#[cfg(test)]
mod tests;
