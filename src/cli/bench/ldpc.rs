//! `keystill bench ldpc`: both sides of one-way reconciliation on simulated frames.

use std::time::{Duration, Instant};

use keystill::Isa;
use keystill::bits::{BitBlock, Llrs};
use keystill::ledger::{Disclosure, Ledger};
use keystill::reconcile::ldpc::{Corrector, Plan, Reference};
use keystill::stage::{Fault, Workbench};
use rayon::prelude::*;
use serde_json::json;

use super::cascade::{converse, simulate, verified};
use crate::cli::{Exit, Failure, OrExit};

/// Frames that are simulated before they are reconciled together.
const BATCH: usize = 32;

/// LDPC: both sides and the verification hash computed here, every message written and read, independent
/// errors.
///
/// Efficiency counts syndrome and increments, and a failed frame as fully disclosed.
///
/// Example: keystill bench ldpc --qber 0.01,0.05 --frames 50 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Error rates, each measured by itself.
    #[arg(long, value_delimiter = ',', default_values_t = [0.01, 0.02, 0.03, 0.05])]
    qber: Vec<f64>,
    /// Bits that are cut into frames.
    #[arg(long, default_value_t = 1 << 20)]
    n: usize,
    /// Frames for each error rate.
    #[arg(long, default_value_t = 50, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    frames: usize,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// The error rate the plan is made for, if it is not the true one.
    #[arg(long)]
    estimate: Option<f64>,
    /// Seed of the simulated frames.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object per error rate.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().or_exit(Exit::Internal)?;
    if !args.json {
        println!(
            "{:>8} {:>9} {:>8} {:>10} {:>9} {:>6} {:>6}",
            "qber", "Mbit/s", "f", "fer first", "fer", "it", "Gedge/s"
        );
    }
    for qber in &args.qber {
        let plan = Plan::choose(args.estimate.unwrap_or(*qber), args.n).or_exit(Exit::Usage)?;
        let sum = pool.install(|| measure(args, &plan, *qber))?;
        report(args, &plan, &sum, *qber, pool.current_num_threads());
    }
    Ok(())
}

/// What the frames of one error rate took.
#[derive(Debug, Default)]
struct Sum {
    told: u64,
    two_way: u64,
    failed: u64,
    failed_first: u64,
    messages: u64,
    iterations: u64,
    elapsed: Duration,
}

fn measure(args: &Args, plan: &Plan, qber: f64) -> Result<Sum, Failure> {
    let n = plan.frame_bits();
    let mut sum = Sum::default();
    for first in (0..args.frames).step_by(BATCH) {
        let frames = first..args.frames.min(first + BATCH);
        let pairs: Vec<_> =
            frames.into_par_iter().map(|frame| simulate(n, qber, args.seed, frame as u64)).collect();
        let start = Instant::now();
        let outcomes: Result<Vec<Outcome>, Fault> = pairs
            .into_par_iter()
            .map_init(|| Workbench::new(Isa::best()), |bench, pair| distil(bench, plan, pair))
            .collect();
        sum.elapsed += start.elapsed();
        for outcome in outcomes.or_exit(Exit::Internal)? {
            let lost = if outcome.equal { 0 } else { n as u64 };
            let told = outcome.ledger.disclosed_by(Disclosure::Syndrome)
                + outcome.ledger.disclosed_by(Disclosure::Increment);
            sum.told += told.max(lost);
            sum.two_way += outcome.ledger.disclosed_bits().max(lost);
            sum.failed += u64::from(!outcome.equal);
            sum.failed_first += u64::from(!outcome.equal || outcome.increments > 0);
            sum.messages += u64::from(outcome.messages);
            sum.iterations += u64::from(outcome.iterations);
        }
    }
    Ok(sum)
}

fn report(args: &Args, plan: &Plan, sum: &Sum, qber: f64, threads: usize) {
    let (frames, n) = (args.frames as f64, plan.frame_bits() as f64);
    let entropy = -qber * libm::log2(qber) - (1.0 - qber) * libm::log2(1.0 - qber);
    let seconds = sum.elapsed.as_secs_f64();
    let efficiency = sum.told as f64 / (frames * n * entropy);
    let rate = frames * n / seconds / 1e6;
    let (first, fer) = (sum.failed_first as f64 / frames, sum.failed as f64 / frames);
    let iterations = sum.iterations as f64 / frames;
    let edges = sum.iterations as f64 * plan.code().edge_count() as f64 / seconds;
    if args.json {
        let object = json!({
            "stage": "ldpc", "qber": qber, "n_bits": plan.frame_bits(), "frames": args.frames, "threads": threads,
            "isa": Isa::best().name(), "mbit_per_s": rate, "efficiency": efficiency,
            "efficiency_two_way": sum.two_way as f64 / (frames * n * entropy), "fer_first": first, "fer": fer,
            "rounds": sum.messages as f64 / frames / 2.0, "messages": sum.messages as f64 / frames,
            "iterations": iterations, "edge_updates_per_s": edges,
        });
        println!("{object}");
    } else {
        println!(
            "{qber:>8} {rate:>9.1} {efficiency:>8.4} {first:>10.3} {fer:>9.1e} {iterations:>6.1} {:>6.2}",
            edges / 1e9
        );
    }
}

/// What one frame came to.
#[derive(Debug)]
struct Outcome {
    equal: bool,
    ledger: Ledger,
    messages: u32,
    iterations: u32,
    increments: u32,
}

/// Reconciles and verifies a frame, both sides.
fn distil(bench: &mut Workbench, plan: &Plan, pair: (BitBlock, BitBlock)) -> Result<Outcome, Fault> {
    let mut ledger = Ledger::new();
    let llrs = Llrs::Hard { bits: pair.1, error_probability: plan.qber() };
    let sides = (Reference::new(plan.clone(), pair.0), Corrector::new(plan.clone(), llrs));
    let (kept, corrected) = converse(bench, sides.0, sides.1, &mut ledger)?;
    let effort = corrected.effort;
    let mut outcome = Outcome {
        equal: false,
        ledger,
        messages: effort.messages,
        iterations: effort.iterations,
        increments: effort.increments,
    };
    outcome.equal = verified(bench, kept.bits, corrected.bits)?;
    Ok(outcome)
}
