//! Rotations in eight dimensions beside slices with the same codes, where the signal is strong.
//!
//! `cargo run --release --example compare_slices -- --snr-db=-3,0,3,6`
//!
//! Each line: the β of the highest rate, in steps of a two-hundredth, at which no more than one frame in twenty fails:
//! by rotations with one code, and by [slices](keystill::reconcile::slices) with a code a level, each level's rate
//! sought by itself; the rates of the levels; and what they would be if codes were perfect. Frames of slices have 2¹⁹
//! quadratures, those of rotations 65 536 information bits.

#![expect(clippy::cast_possible_truncation, reason = "soft bits and symbols are narrow")]

use clap::Parser;
use keystill::Isa;
use keystill::bits::{BitBlock, Llrs};
use keystill::cv::rotation::{self, Channel, Dimension};
use keystill::reconcile::slices::{self, Evidence, LEVELS};
use keystill::reconcile::{Plan, Reconciled, Task, leaf};
use keystill::stage::Workbench;
use keystill::stage::loopback::Loopback;
use keystill_kernels::parity::mix;

/// Information blocks of 64 bits of a rotation's code.
const INFORMATION_BLOCKS: u32 = 1024;

/// Quadratures of a frame of slices.
const SYMBOLS: usize = 1 << 19;

/// A level that says less than this is told.
const LEAST: f64 = 0.01;

/// Compare rotations and slices.
#[derive(Debug, Parser)]
struct Args {
    /// Signal-to-noise ratios in dB.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true, default_values_t = [-3.0, 0.0, 3.0, 6.0])]
    snr_db: Vec<f64>,
    /// Frames decoded at each rate.
    #[arg(long, default_value_t = 20)]
    frames: u32,
}

fn main() {
    let args = Args::parse();
    println!(
        "{:>7} {:>10} {:>10}   rates of the slices, highest first, of what perfect codes reach",
        "dB", "rotations", "slices"
    );
    for snr_db in &args.snr_db {
        let snr = libm::pow(10.0, snr_db / 10.0);
        let rotations = best_rate(leaf::capacity(snr), args.frames, |rate, frame| rotated(rate, snr, frame));
        let most = slices::information(snr);
        let rates: [f64; LEVELS] = std::array::from_fn(|level| match most[level] {
            most if most < LEAST => 0.0,
            most => best_rate(most, args.frames, |rate, frame| sliced(level, rate, snr, frame)),
        });
        let [by_rotations, by_slices] =
            [rotations, rates.iter().sum()].map(|rate| rate / leaf::capacity(snr));
        println!("{snr_db:>7} {by_rotations:>10.4} {by_slices:>10.4}   {rates:.4?} of {most:.4?}");
    }
}

/// The highest rate below `most` at which no more than one frame in twenty fails.
fn best_rate(most: f64, frames: u32, survives: impl Fn(f64, u32) -> Option<bool>) -> f64 {
    let rates = (4..80).map(|step| most * (1.0 - 0.005 * f64::from(step)));
    let good = |rate: &f64| {
        let mut failed = 0;
        (0..frames).all(|frame| {
            failed += u32::from(survives(*rate, frame) != Some(true));
            20 * failed <= frames
        })
    };
    rates.into_iter().find(good).unwrap_or(0.0)
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

/// Whether a frame comes through by rotations in eight dimensions; `None` where there is no such code.
fn rotated(rate: f64, snr: f64, frame: u32) -> Option<bool> {
    let plan = Plan::Leaf(leaf::Plan::with_rate(rate, INFORMATION_BLOCKS).ok()?);
    let count = plan.frame_bits();
    let (x, y) = symbols(count, snr, frame);
    let first = u64::from(frame) << 32;
    let bits = BitBlock::from_words((first..).take(count / 64).map(|i| mix(!i)).collect(), count);
    let side = rotation::harden(Isa::best(), Dimension::Eight, &y, &bits).ok()?;
    let llrs: Llrs =
        rotation::soften(Isa::best(), &side, &x, Channel { gain: 1.0, variance: 1.0 / snr }).ok()?;
    converse(Task::reference(&plan, bits).ok()?, Task::corrector(&plan, llrs).ok()?)
}

/// Whether one level of a frame of slices comes through, those above it being known.
fn sliced(level: usize, rate: f64, snr: f64, frame: u32) -> Option<bool> {
    let mut rates = [0.0; LEVELS];
    rates[level] = rate;
    let deviation = libm::sqrt(1.0 + 1.0 / snr);
    let plan = slices::Plan::with_rates(rates, SYMBOLS, deviation).ok()?;
    let (x, y) = symbols(SYMBOLS, snr, frame);
    let bits = slices::cut(&Workbench::new(Isa::best()), &plan, &y).ok()?;
    let evidence = Evidence::new(x, 1.0, 1.0 / snr);
    let plan = Plan::Slices(plan);
    converse(Task::reference(&plan, bits).ok()?, Task::sliced(&plan, evidence).ok()?)
}

fn converse(reference: Task, corrector: Task) -> Option<bool> {
    let (mut reference, mut corrector) = (reference.converse(), corrector.converse());
    let mut bench = Workbench::new(Isa::best());
    let (kept, found): (Reconciled, Reconciled) =
        Loopback::new().hold(&mut bench, &mut *reference, &mut *corrector).ok()?;
    Some(found.bits.is_some() && kept.bits == found.bits)
}

/// Two normal numbers from a counter.
fn gaussians(counter: u64) -> (f64, f64) {
    let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = libm::sqrt(-2.0 * libm::log(uniform(mix(2 * counter))));
    let angle = std::f64::consts::TAU * uniform(mix(2 * counter + 1));
    (radius * libm::cos(angle), radius * libm::sin(angle))
}
