//! Designs the patterns of the CV codes, and tries them out.
//!
//! `cargo run --release --example design_leaf_codes` evolves all stages from the seed of the shipped
//! table and prints them as they stand in `src/reconcile/codes/leaf/mod.rs`, with the thresholds that
//! they reach. `-- --rate 0.12 --seed 7` designs a family of its own for one rate, then decodes frames
//! of it and of the shipped family, dimension 8, at rising signal-to-noise ratio, until no more than one in
//! twenty fails. Minutes.

use clap::Parser;
use keystill::Isa;
use keystill::bits::{BitBlock, Llrs};
use keystill::cv::rotation::{self, Channel, Dimension};
use keystill::reconcile::codes::leaf::design::{Designer, Goal};
use keystill::reconcile::codes::leaf::{
    Code, FAMILY, Family, HIGH_FAMILY, HIGH_RATE, Pattern, Stage, chain_blocks,
};
use keystill::reconcile::leaf::{Decoder, capacity};
use keystill::stage::Others;
use keystill_kernels::parity::mix;

/// Rate where each stage ends, and the signal-to-noise ratio in dB it is made for.
const GOALS: [(f64, f64); 8] = [
    (0.25, -3.43),
    (0.2, -4.63),
    (0.15, -6.04),
    (0.1, -8.03),
    (0.05, -11.23),
    (0.03, -13.51),
    (0.02, -15.29),
    (0.012, -17.53),
];

/// The same of the family of high rates, which is designed for one of them.
const HIGH_GOAL: (f64, f64) = (0.3, -2.4);

/// Evolve the patterns of leaf checks.
#[derive(Debug, Parser)]
struct Args {
    /// Design for this rate alone: one stage.
    #[arg(long)]
    rate: Option<f64>,
    /// The signal-to-noise ratio in dB to design that rate for, instead of one between the table's.
    #[arg(long, requires = "rate", allow_negative_numbers = true)]
    snr_db: Option<f64>,
    /// Of the evolution.
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// How long it evolves.
    #[arg(long, default_value_t = 120)]
    generations: u32,
    /// Frames decoded at each signal-to-noise ratio, for one rate.
    #[arg(long, default_value_t = 40)]
    frames: u32,
    /// Information blocks of 64 bits of the code tried, a multiple of 8 from 16.
    #[arg(long, default_value_t = 2048)]
    information_blocks: usize,
}

fn main() {
    let args = Args::parse();
    let designer = Designer::new();
    let goals = match args.rate {
        Some(rate) => vec![(rate, args.snr_db.unwrap_or_else(|| goal_db(rate)))],
        None => GOALS.to_vec(),
    };
    for (rate, snr_db) in &goals {
        report("family in use", &designer, in_use(*rate), *rate, *snr_db);
    }
    let made = evolve(&designer, &goals, &args);
    if args.rate.is_none() {
        evolve(&designer, &[HIGH_GOAL], &args);
    }
    if let Some(rate) = args.rate {
        let own = Family { seed: args.seed, stages: &stages(&made) };
        for (name, family) in [("family in use", *in_use(rate)), ("evolved", own)] {
            try_out(name, &family, rate, designer.threshold_db(&family, rate), &args);
        }
    }
}

fn in_use(rate: f64) -> &'static Family<'static> {
    if rate > HIGH_RATE { &HIGH_FAMILY } else { &FAMILY }
}

/// A family's stages, one after the other.
fn evolve(designer: &Designer, goals: &[(f64, f64)], args: &Args) -> Vec<(f64, Vec<Pattern>)> {
    let mut made: Vec<(f64, Vec<Pattern>)> = Vec::new();
    for &(rate, snr_db) in goals {
        let goal = Goal { rate, snr_db, generations: args.generations, seed: args.seed };
        let patterns = designer.evolve(&stages(&made), &design_patterns(), &goal);
        print(rate, &patterns);
        made.push((rate, patterns));
        report("evolved", designer, &Family { seed: 0, stages: &stages(&made) }, rate, snr_db);
    }
    made
}

/// Decodes frames from the predicted threshold upwards.
fn try_out(name: &str, family: &Family<'_>, rate: f64, threshold_db: f64, args: &Args) {
    let core = args.information_blocks + chain_blocks(args.information_blocks);
    let leaves = (args.information_blocks as f64 / rate - core as f64) / 2.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "far below 2⁵³")]
    let code = Code::build(family, args.information_blocks, 2 * leaves.round() as usize);
    let mut decoder = Decoder::default();
    for step in 2..20 {
        let snr_db = threshold_db + 0.02 * f64::from(step);
        let snr = libm::pow(10.0, snr_db / 10.0);
        let (mut failed, mut iterations) = (0, 0);
        for frame in 0..args.frames {
            let (right, took) = one_frame(&code, snr, frame, &mut decoder);
            failed += u32::from(!right);
            iterations += took;
        }
        let beta = rate / capacity(snr);
        let (frames, mean) = (args.frames, iterations / args.frames.max(1));
        println!("{name}: {snr_db:.3} dB, β {beta:.4}: {failed} of {frames} failed, {mean} iterations");
        if 20 * failed <= frames {
            return;
        }
    }
}

/// Whether a frame of Gaussian symbols is decoded rightly, and in how many iterations.
#[expect(clippy::cast_possible_truncation, reason = "quadratures are single precision")]
fn one_frame(code: &Code, snr: f64, frame: u32, decoder: &mut Decoder) -> (bool, u32) {
    let isa = Isa::best();
    let symbols = 64 * code.blocks();
    let first = u64::from(frame) << 32;
    let bits = BitBlock::from_words((first..).take(code.blocks()).map(|i| mix(!i)).collect(), symbols);
    let (x, y): (Vec<f32>, Vec<f32>) = (first..)
        .take(symbols)
        .map(|counter| {
            let (x, noise) = gaussians(counter);
            (x as f32, (x + noise / libm::sqrt(snr)) as f32)
        })
        .unzip();
    let side = rotation::harden(isa, Dimension::Eight, &y, &bits).expect("whole groups");
    let channel = Channel { gain: 1.0, variance: 1.0 / snr };
    let Llrs::Soft(ratios) = &rotation::soften(isa, &side, &x, channel).expect("a channel") else {
        return (false, 0);
    };
    let syndrome = code.syndrome(bits.words());
    let (found, iterations) = decoder.correct(isa, &Others::default(), code, ratios, &syndrome);
    (found == Some(bits), iterations)
}

/// Two normal numbers from a counter.
fn gaussians(counter: u64) -> (f64, f64) {
    let uniform = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let radius = libm::sqrt(-2.0 * libm::log(uniform(mix(2 * counter))));
    let angle = std::f64::consts::TAU * uniform(mix(2 * counter + 1));
    (radius * libm::cos(angle), radius * libm::sin(angle))
}

/// Interpolates the goals in the efficiency they ask for.
fn goal_db(rate: f64) -> f64 {
    let place = GOALS.windows(2).position(|pair| rate >= pair[1].0).unwrap_or(GOALS.len() - 2);
    let [(rate_a, db_a), (rate_b, db_b)] = [GOALS[place], GOALS[place + 1]];
    let beta = |rate: f64, db: f64| rate / capacity(10f64.powf(db / 10.0));
    let share = ((rate - rate_a) / (rate_b - rate_a)).clamp(0.0, 1.0);
    let beta = beta(rate_a, db_a) + share * (beta(rate_b, db_b) - beta(rate_a, db_a));
    10.0 * (2f64.powf(2.0 * rate / beta) - 1.0).log10()
}

/// Up to four heavy and four light blocks and one of the chain, two to five in all.
fn design_patterns() -> Vec<[usize; 3]> {
    let all = (0..5).flat_map(|heavy| (0..5).flat_map(move |light| [[heavy, light, 0], [heavy, light, 1]]));
    all.filter(|blocks| (2..=5).contains(&blocks.iter().sum::<usize>())).collect()
}

fn stages(made: &[(f64, Vec<Pattern>)]) -> Vec<Stage<'_>> {
    made.iter().map(|(rate, patterns)| Stage { rate: *rate, patterns }).collect()
}

fn print(rate: f64, patterns: &[Pattern]) {
    println!("Stage {{ rate: {rate}, patterns: &[");
    for Pattern { heavy, light, chain, weight } in patterns {
        println!("    pattern([{heavy}, {light}, {chain}], {weight:.3}),");
    }
    println!("] }},");
}

fn report(name: &str, designer: &Designer, family: &Family<'_>, rate: f64, snr_db: f64) {
    let threshold = designer.threshold_db(family, rate);
    let beta = rate / capacity(10f64.powf(threshold / 10.0));
    let at = designer.predict(family, rate, 10f64.powf(snr_db / 10.0), 2000);
    eprintln!("{name}: rate {rate}: threshold {threshold:.3} dB (β {beta:.4}); at {snr_db} dB {at:?}");
}
