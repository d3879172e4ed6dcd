//! Designs the degrees of the BSC codes: `cargo run --release --example design_bsc_codes --
//! [SEED] [GENERATIONS] [LEAK …]`. Prints the table as it stands in `src/reconcile/codes/bsc/table.rs`,
//! or the rows for the leaks given, and on the side what they reach. For leaks given, frames of 262 144 bits are
//! decoded besides, by a code of the new degrees and by the one in use, at falling error rates until all of 20
//! decode: `-- 7 20 0.17` takes two minutes.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "shares of 2^32, and 1 to 40")]

use keystill::Isa;
use keystill::reconcile::codes::bsc::Code;
use keystill::reconcile::codes::bsc::design::{Designer, Goal, error_rate};
use keystill_kernels::ldpc::bsc as kernel;
use keystill_kernels::noise;

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
    let is_trial = !leaks.is_empty();
    for leak in if is_trial { leaks } else { all } {
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
        if is_trial {
            let shares: Vec<(u32, f64)> = degrees.iter().map(|(d, n)| (*d, f64::from(*n) / 256.0)).collect();
            let own = Code::with_shares(256, checks as usize, LIFT, seed, &shares);
            let in_use = Code::build(256, checks as usize, LIFT, 1);
            for (name, code) in [("this code", own), ("the one in use", in_use)] {
                let reached = code.map(|code| efficiency(decodable(&code)));
                eprintln!("// {name}: all of {FRAMES} frames decode at f {reached:.4?}");
            }
        }
    }
}

/// Lift of the codes that are tried: frames of 262 144 bits.
const LIFT: usize = 1024;
/// Frames that must decode.
const FRAMES: u32 = 20;
/// Iterations of one frame.
const MOST_ITERATIONS: u32 = 60;

/// The highest error rate at which all frames decode, f in steps of 0.005.
fn decodable(code: &Code) -> f64 {
    let leak = code.checks() as f64 / code.bits() as f64;
    let rates = (0..60).map(|step| error_rate(leak, 1.05 + 0.005 * f64::from(step)));
    let mut rates = rates.skip_while(|qber| !(0..FRAMES).all(|frame| decodes(code, *qber, frame)));
    rates.next().unwrap_or(0.0)
}

/// Whether a word of zeros with simulated errors is found again.
fn decodes(code: &Code, qber: f64, frame: u32) -> bool {
    let (isa, graph) = (Isa::best(), code.graph());
    let mut draws = vec![0; code.bits()];
    noise::words(isa, &[frame, 0, 0, 0, 0, 0, 0, 1], 0, &mut draws);
    let threshold = (qber * 4_294_967_296.0) as u32;
    let bit = |draw: &u32| u64::from(*draw < threshold);
    let words: Vec<u64> =
        draws.chunks(64).map(|word| word.iter().rev().fold(0, |word, draw| word << 1 | bit(draw))).collect();
    let magnitude = (4.0 * ((1.0 - qber) / qber).ln()).round().clamp(1.0, 40.0) as i8;
    let (mut posteriors, mut messages) = (vec![0; code.bits()], vec![0; code.edge_count()]);
    let (none, mut decided) = (vec![0; words.len()], vec![0; words.len()]);
    let syndrome = vec![0; graph.syndrome_words()];
    kernel::prepare(isa, graph, &words, &none, magnitude, &mut posteriors);
    for _ in 0..MOST_ITERATIONS {
        kernel::iterate(isa, graph, &syndrome, &[], &mut posteriors, &mut messages);
        kernel::decide(isa, graph, &posteriors, &mut decided);
        if kernel::is_satisfied(isa, graph, &syndrome, &[], &decided) {
            return true;
        }
    }
    false
}
