//! Rotations in eight dimensions beside slices with the same codes, where the signal is strong.
//!
//! `cargo run --release --example compare_slices -- --snr-db=-2.3,0,3`
//!
//! Slices (Van Assche, Cardinal and Cerf, IEEE Trans. Inf. Theory 50, 394, 2004): the reference side cuts its Gaussian
//! value into eight intervals of equal probability and numbers them; the three bits are corrected one after the other,
//! the lowest first, each with what is known of those before. A bit that says less than a hundredth is told whole. β is
//! the sum of the rates over the capacity; each rate is the highest, in steps of a two-hundredth of what the bit allows,
//! at which no more than one frame in twenty fails.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "soft bits, and sizes far below 2⁵³"
)]

use clap::Parser;
use keystill::Isa;
use keystill::bits::{BitBlock, LLR_UNIT, Llrs};
use keystill::cv::rotation::{self, Channel, Dimension};
use keystill::reconcile::codes::leaf::{Code, FAMILY, HIGH_FAMILY, HIGH_RATE, chain_blocks};
use keystill::reconcile::leaf::{Decoder, capacity};
use keystill_kernels::parity::mix;

/// Bits of a slice's number.
const SLICES: usize = 3;
const INTERVALS: usize = 1 << SLICES;
/// A bit that says less than this is told.
const LEAST: f64 = 0.01;
/// Information blocks of 64 bits of a code.
const INFORMATION_BLOCKS: usize = 1024;

/// Compare rotations and slices.
#[derive(Debug, Parser)]
struct Args {
    /// Signal-to-noise ratios in dB.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, default_values_t = [-2.3, 0.0, 3.0])]
    snr_db: Vec<f64>,
    /// Frames decoded at each rate.
    #[arg(long, default_value_t = 20)]
    frames: u32,
}

fn main() {
    let args = Args::parse();
    println!(
        "{:>7} {:>10} {:>10} {:>10}   rates of the slices, lowest first",
        "dB", "rotations", "slices", "at most"
    );
    for snr_db in &args.snr_db {
        let snr = libm::pow(10.0, snr_db / 10.0);
        let rotations = best_rate(capacity(snr), args.frames, |code, frame| rotated(code, snr, frame));
        let cut = Slices::new(snr);
        let known = cut.information();
        let rates: Vec<f64> = (0..SLICES)
            .map(|slice| match known[slice] {
                most if most < LEAST => 0.0,
                most => best_rate(most, args.frames, |code, frame| cut.sliced(slice, code, frame)),
            })
            .collect();
        let [by_slices, at_most] =
            [rates.iter().sum::<f64>(), known.iter().sum()].map(|rate| rate / capacity(snr));
        let by_rotations = rotations / capacity(snr);
        println!("{snr_db:>7} {by_rotations:>10.4} {by_slices:>10.4} {at_most:>10.4}   {rates:.4?}");
    }
}

/// Code, soft bits and the bits they are of.
type Sent = (Vec<i16>, BitBlock);

/// The highest rate below `most` at which no more than one frame in twenty fails.
fn best_rate(most: f64, frames: u32, send: impl Fn(&Code, u32) -> Sent) -> f64 {
    let mut decoder = Decoder::default();
    let rates = (4..80).map(|step| most * (1.0 - 0.005 * f64::from(step))).filter(|rate| *rate < 0.47);
    for rate in rates {
        let core = INFORMATION_BLOCKS + chain_blocks(INFORMATION_BLOCKS);
        let leaves = (INFORMATION_BLOCKS as f64 / rate - core as f64) / 2.0;
        let family = if rate > HIGH_RATE { &HIGH_FAMILY } else { &FAMILY };
        let code = Code::build(family, INFORMATION_BLOCKS, 2 * leaves.round() as usize);
        let mut failed = 0;
        for frame in 0..frames {
            let (ratios, bits) = send(&code, frame);
            let (found, _) = decoder.correct(Isa::best(), &code, &ratios, &code.syndrome(bits.words()));
            failed += u32::from(found != Some(bits));
            if 20 * failed > frames {
                break;
            }
        }
        if 20 * failed <= frames {
            return rate;
        }
    }
    0.0
}

/// Gaussian symbols of a frame: Alice's, and Bob's after the channel.
fn symbols(count: usize, snr: f64, frame: u32) -> (Vec<f32>, Vec<f32>) {
    let first = u64::from(frame) << 32;
    let pair = |counter| {
        let (x, noise) = gaussians(counter);
        (x as f32, (x + noise / libm::sqrt(snr)) as f32)
    };
    (first..).take(count).map(pair).unzip()
}

/// A frame by rotations in eight dimensions.
fn rotated(code: &Code, snr: f64, frame: u32) -> Sent {
    let count = 64 * code.blocks();
    let (x, y) = symbols(count, snr, frame);
    let first = u64::from(frame) << 32;
    let bits = BitBlock::from_words((first..).take(code.blocks()).map(|i| mix(!i)).collect(), count);
    let side = rotation::harden(Isa::best(), Dimension::Eight, &y, &bits).expect("whole groups");
    let channel = Channel { gain: 1.0, variance: 1.0 / snr };
    match &rotation::soften(Isa::best(), &side, &x, channel).expect("a channel") {
        Llrs::Soft(ratios) => (ratios.clone(), bits),
        Llrs::Hard { .. } => (Vec::new(), bits),
    }
}

/// How Bob's values are cut.
struct Slices {
    snr: f64,
    /// Where the intervals end, but for the last.
    ends: [f64; INTERVALS - 1],
}

impl Slices {
    fn new(snr: f64) -> Self {
        let deviation = libm::sqrt(1.0 + 1.0 / snr);
        let ends = std::array::from_fn(|i| deviation * quantile((i + 1) as f64 / INTERVALS as f64));
        Self { snr, ends }
    }

    /// The probability of each interval where Alice holds `x`.
    fn chances(&self, x: f64) -> [f64; INTERVALS] {
        let below = |i: usize| match i {
            0 => 0.0,
            INTERVALS => 1.0,
            i => 0.5 * libm::erfc((x - self.ends[i - 1]) * libm::sqrt(self.snr / 2.0)),
        };
        std::array::from_fn(|i| (below(i + 1) - below(i)).max(1e-12))
    }

    fn interval(&self, y: f64) -> usize {
        self.ends.iter().filter(|end| y >= **end).count()
    }

    /// The logarithm of the odds that a bit is 0, where the bits below it are those of `interval`.
    fn log_odds(&self, slice: usize, x: f64, interval: usize) -> f64 {
        let chances = self.chances(x);
        let sum = |bit: usize| -> f64 {
            let wanted = bit << slice | interval & ((1 << slice) - 1);
            (0..INTERVALS).filter(|i| i & ((2 << slice) - 1) == wanted).map(|i| chances[i]).sum()
        };
        libm::log(sum(0) / sum(1))
    }

    /// What each bit says with those below it known, by a million symbols.
    fn information(&self) -> [f64; SLICES] {
        let (x, y) = symbols(1 << 20, self.snr, u32::MAX);
        let lost = |slice: usize| -> f64 {
            let bits = x.iter().zip(&y).map(|(x, y)| {
                let interval = self.interval(f64::from(*y));
                let odds = self.log_odds(slice, f64::from(*x), interval);
                let right = if interval >> slice & 1 == 0 { odds } else { -odds };
                libm::log2(1.0 + libm::exp(-right))
            });
            bits.sum::<f64>() / x.len() as f64
        };
        std::array::from_fn(|slice| 1.0 - lost(slice))
    }

    /// A frame of one bit of the numbers.
    fn sliced(&self, slice: usize, code: &Code, frame: u32) -> Sent {
        let (x, y) = symbols(64 * code.blocks(), self.snr, frame);
        let intervals: Vec<usize> = y.iter().map(|y| self.interval(f64::from(*y))).collect();
        let bits: Vec<bool> = intervals.iter().map(|interval| interval >> slice & 1 == 1).collect();
        let unit = f64::from(LLR_UNIT);
        let ratio = |(x, interval): (&f32, &usize)| {
            (unit * self.log_odds(slice, f64::from(*x), *interval)).round().clamp(-31.9 * unit, 31.9 * unit)
                as i16
        };
        (x.iter().zip(&intervals).map(ratio).collect(), BitBlock::from_bools(&bits))
    }
}

/// The value that a standard normal number stays below with this probability, by bisection.
fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-9.0, 9.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if 0.5 * libm::erfc(-middle * std::f64::consts::FRAC_1_SQRT_2) < share {
            low = middle
        } else {
            high = middle
        }
    }
    0.5 * (low + high)
}

/// Two normal numbers from a counter.
fn gaussians(counter: u64) -> (f64, f64) {
    let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = libm::sqrt(-2.0 * libm::log(uniform(mix(2 * counter))));
    let angle = std::f64::consts::TAU * uniform(mix(2 * counter + 1));
    (radius * libm::cos(angle), radius * libm::sin(angle))
}
