//! Designs the patterns of the CV codes, stage by stage: `cargo run --release --example
//! design_leaf_codes -- [SEED] [GENERATIONS]`. Prints the stages as they stand in
//! `src/reconcile/codes/leaf/mod.rs`, and the thresholds they reach.

use keystill::reconcile::codes::leaf::design::{Designer, Goal};
use keystill::reconcile::codes::leaf::{FAMILY, Family, Pattern, Stage};
use keystill::reconcile::leaf::capacity;

/// Rate where each stage ends, and the signal-to-noise ratio in dB it is made for.
const GOALS: [(f64, f64); 6] =
    [(0.25, -3.3), (0.2, -4.5), (0.15, -5.95), (0.1, -7.95), (0.05, -11.15), (0.02, -15.2)];

/// Dense and chain blocks of the patterns tried.
const PATTERNS: [(usize, usize); 10] =
    [(2, 0), (3, 0), (4, 0), (5, 0), (1, 1), (2, 1), (3, 1), (4, 1), (2, 2), (3, 2)];

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let seed = u64::from(arguments.next().unwrap_or(1));
    let generations = arguments.next().unwrap_or(100);
    let designer = Designer::new();
    for (rate, snr_db) in GOALS {
        report("family in use", &designer, &FAMILY, rate, snr_db);
    }
    let mut made: Vec<(f64, Vec<Pattern>)> = Vec::new();
    for (rate, snr_db) in GOALS {
        let goal = Goal { rate, snr_db, generations, seed };
        let before: Vec<Stage<'_>> =
            made.iter().map(|(rate, patterns)| Stage { rate: *rate, patterns }).collect();
        let patterns = designer.evolve(&before, &PATTERNS, &goal);
        println!("Stage {{ rate: {rate}, patterns: &[");
        for pattern in &patterns {
            println!("    pattern({}, {}, {:.3}),", pattern.dense, pattern.chain, pattern.weight);
        }
        println!("] }},");
        made.push((rate, patterns));
        let stages: Vec<Stage<'_>> =
            made.iter().map(|(rate, patterns)| Stage { rate: *rate, patterns }).collect();
        report("evolved", &designer, &Family { seed: 0, stages: &stages }, rate, snr_db);
    }
}

fn report(name: &str, designer: &Designer, family: &Family<'_>, rate: f64, snr_db: f64) {
    let threshold = designer.threshold_db(family, rate);
    let beta = rate / capacity(10f64.powf(threshold / 10.0));
    let at = designer.predict(family, rate, 10f64.powf(snr_db / 10.0), 2000);
    eprintln!("{name}: rate {rate}: threshold {threshold:.3} dB (β {beta:.4}); at {snr_db} dB {at:?}");
}
