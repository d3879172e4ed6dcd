//! Designs the patterns of the CV codes.
//!
//! `cargo run --release --example design_leaf_codes` evolves all stages from the seed of the shipped
//! table and prints them as they stand in `src/reconcile/codes/leaf/mod.rs`, with the thresholds that
//! they reach. `-- --rate 0.12 --seed 7` designs a family of its own for one rate.

use clap::Parser;
use keystill::reconcile::codes::leaf::design::{Designer, Goal};
use keystill::reconcile::codes::leaf::{FAMILY, Family, Pattern, Stage};
use keystill::reconcile::leaf::capacity;

/// Rate where each stage ends, and the signal-to-noise ratio in dB it is made for.
const GOALS: [(f64, f64); 6] =
    [(0.25, -3.43), (0.2, -4.63), (0.15, -6.04), (0.1, -8.03), (0.05, -11.23), (0.02, -15.29)];

/// Evolve the patterns of leaf checks.
#[derive(Debug, Parser)]
struct Args {
    /// Design for this rate alone: one stage.
    #[arg(long)]
    rate: Option<f64>,
    /// Of the evolution.
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// How long it evolves.
    #[arg(long, default_value_t = 120)]
    generations: u32,
}

fn main() {
    let args = Args::parse();
    let designer = Designer::new();
    let goals = match args.rate {
        Some(rate) => vec![(rate, goal_db(rate))],
        None => GOALS.to_vec(),
    };
    for (rate, snr_db) in &goals {
        report("family in use", &designer, &FAMILY, *rate, *snr_db);
    }
    let mut made: Vec<(f64, Vec<Pattern>)> = Vec::new();
    for (rate, snr_db) in goals {
        let goal = Goal { rate, snr_db, generations: args.generations, seed: args.seed };
        let patterns = designer.evolve(&stages(&made), &design_patterns(), &goal);
        print(rate, &patterns);
        made.push((rate, patterns));
        report("evolved", &designer, &Family { seed: 0, stages: &stages(&made) }, rate, snr_db);
    }
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
