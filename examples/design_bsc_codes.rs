//! Designs the degrees of the BSC codes: `cargo run --release --example design_bsc_codes --
//! [SEED] [GENERATIONS] [LEAK …]`. Prints the table as it stands in `src/reconcile/codes/bsc/table.rs`,
//! or the rows for the leaks given, and on the side what they reach.

use keystill::reconcile::codes::bsc::design::{Designer, Goal, error_rate};

/// Leaks of the table, and the efficiency each is made for.
const GOALS: [(f64, f64); 14] = [
    (0.045, 1.15),
    (0.06, 1.13),
    (0.08, 1.115),
    (0.10, 1.10),
    (0.125, 1.09),
    (0.15, 1.085),
    (0.175, 1.08),
    (0.20, 1.075),
    (0.25, 1.07),
    (0.30, 1.07),
    (0.35, 1.07),
    (0.40, 1.07),
    (0.45, 1.07),
    (0.50, 1.07),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (seed, generations) = (u64::from(number(1)), number(20));
    let leaks: Vec<f64> = arguments.filter_map(|text| text.parse().ok()).collect();
    let designer = Designer::new();
    let all = GOALS.iter().map(|(leak, _)| *leak).collect();
    for leak in if leaks.is_empty() { all } else { leaks } {
        let near = GOALS.iter().find(|(own, _)| *own >= leak).unwrap_or(&GOALS[GOALS.len() - 1]);
        let Some(checks) = (1..192).find(|checks| f64::from(*checks) >= leak * 256.0 - 0.5) else { continue };
        let goal = Goal { checks, efficiency: near.1, generations, seed };
        let degrees = designer.evolve(&goal);
        let qber = error_rate(f64::from(checks) / 256.0, goal.efficiency);
        let at = designer.predict(&degrees, checks, qber, 250);
        let threshold = designer.threshold(&degrees, checks, 100);
        println!("    Row {{ checks: {checks}, threshold: {threshold:.5}, columns: &{degrees:?} }},");
        let edges: u32 = degrees.iter().map(|(degree, columns)| degree * columns).sum();
        let efficiency = |p: f64| f64::from(checks) / 256.0 / -(p * p.log2() + (1.0 - p) * (1.0 - p).log2());
        eprintln!(
            "// leak {:.4}: {:.2} edges a bit; f {:.4} at 100 iterations; at f {:.3} {at:?}",
            f64::from(checks) / 256.0,
            f64::from(edges) / 256.0,
            efficiency(threshold),
            goal.efficiency,
        );
    }
}
