//! `keystill bench cascade`: both sides of Cascade on simulated frames.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keystill::Isa;
use keystill::bits::BitBlock;
use keystill::ledger::{Disclosure, Ledger};
use keystill::random::OperatingSystem;
use keystill::reconcile::cascade::{Corrector, Plan, Reference, Thrift};
use keystill::stage::{Abort, Fault, Job, Outbox, Stage, Step, Workbench};
use keystill::verify::{self, Candidate};
use keystill::wire::Reader;
use keystill_kernels::noise;
use rayon::prelude::*;
use serde_json::json;

use crate::cli::{Exit, Failure, OrExit};

/// Frames that are simulated before they are reconciled together.
const BATCH: usize = 64;

/// Cascade: both sides and the verification hash computed here, every message written and read,
/// independent errors.
///
/// Efficiency counts the reference side's parities, as the literature does, and a failed frame as
/// fully disclosed; the two-way figure counts those of both sides.
///
/// Example: keystill bench cascade --qber 0.01,0.05 --frames 200 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Error rates, each measured by itself.
    #[arg(long, value_delimiter = ',', default_values_t = [0.01, 0.02, 0.03, 0.05])]
    qber: Vec<f64>,
    /// Bits of a frame.
    #[arg(long, default_value_t = 1 << 20)]
    n: usize,
    /// Frames for each error rate.
    #[arg(long, default_value_t = 100, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    frames: usize,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// The error rate the plan is made for, if it is not the true one.
    #[arg(long)]
    estimate: Option<f64>,
    /// Spare rounds instead of parities: for long links.
    #[arg(long)]
    spare_rounds: bool,
    /// Seed of the simulated frames.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object per error rate.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "every command has this shape")]
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().or_exit(Exit::Internal)?;
    let plans: Vec<(f64, Plan)> =
        args.qber.iter().map(|qber| Ok((*qber, plan(&args, *qber)?))).collect::<Result<_, Failure>>()?;
    if !args.json {
        println!(
            "{:>8} {:>9} {:>8} {:>8} {:>9} {:>7} {:>7}",
            "qber", "Mbit/s", "f", "f 2-way", "fer", "rounds", "passes"
        );
    }
    for (qber, plan) in plans {
        let sum = pool.install(|| measure(&args, &plan, qber))?;
        report(&args, &sum, qber, pool.current_num_threads());
    }
    Ok(())
}

fn plan(args: &Args, qber: f64) -> Result<Plan, Failure> {
    if !(qber > 0.0 && qber < 0.5) {
        return Err(Failure::new(Exit::Usage, anyhow::anyhow!("--qber {qber}: between 0 and 0.5, please")));
    }
    let thrift = if args.spare_rounds { Thrift::Rounds } else { Thrift::Parities };
    Ok(Plan::choose(args.estimate.unwrap_or(qber), args.n).or_exit(Exit::Usage)?.sparing(thrift))
}

/// What the frames of one error rate took.
#[derive(Debug, Default)]
struct Sum {
    answers: u64,
    disclosed: u64,
    failed: u64,
    messages: u64,
    passes: u64,
    elapsed: Duration,
}

fn measure(args: &Args, plan: &Plan, qber: f64) -> Result<Sum, Failure> {
    let mut sum = Sum::default();
    for first in (0..args.frames).step_by(BATCH) {
        let frames = first..args.frames.min(first + BATCH);
        let pairs: Vec<_> =
            frames.into_par_iter().map(|frame| simulate(args.n, qber, args.seed, frame as u64)).collect();
        let start = Instant::now();
        let outcomes: Result<Vec<Outcome>, Fault> = pairs
            .into_par_iter()
            .map_init(|| Workbench::new(Isa::best()), |bench, pair| distil(bench, plan, pair))
            .collect();
        sum.elapsed += start.elapsed();
        for outcome in outcomes.or_exit(Exit::Internal)? {
            sum.failed += u64::from(!outcome.equal);
            if outcome.equal {
                sum.answers += outcome.ledger.disclosed_by(Disclosure::ParityAnswer);
                sum.disclosed += outcome.ledger.disclosed_bits();
            }
            sum.messages += u64::from(outcome.messages);
            sum.passes += u64::from(outcome.passes);
        }
    }
    Ok(sum)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
fn report(args: &Args, sum: &Sum, qber: f64, threads: usize) {
    let (frames, n) = (args.frames as f64, args.n as f64);
    let entropy = -qber * libm::log2(qber) - (1.0 - qber) * libm::log2(1.0 - qber);
    let lost = sum.failed as f64 * n;
    let efficiency = (sum.answers as f64 + lost) / (frames * n * entropy);
    let two_way = (sum.disclosed as f64 + lost) / (frames * n * entropy);
    let rate = frames * n / sum.elapsed.as_secs_f64() / 1e6;
    let fer = sum.failed as f64 / frames;
    let (messages, passes) = (sum.messages as f64 / frames, sum.passes as f64 / frames);
    if args.json {
        let object = json!({
            "stage": "cascade", "qber": qber, "n_bits": args.n, "frames": args.frames, "threads": threads,
            "isa": Isa::best().name(), "mbit_per_s": rate, "efficiency": efficiency,
            "efficiency_two_way": two_way, "fer_first": fer, "fer": fer, "rounds": messages / 2.0,
            "messages": messages, "iterations": passes,
        });
        println!("{object}");
    } else {
        let rounds = messages / 2.0;
        println!(
            "{qber:>8} {rate:>9.1} {efficiency:>8.4} {two_way:>8.4} {fer:>9.1e} {rounds:>7.1} {passes:>7.1}"
        );
    }
}

/// A random frame, and a copy with independent errors.
pub(super) fn simulate(n: usize, qber: f64, seed: u64, frame: u64) -> (BitBlock, BitBlock) {
    let mut random = Words { seed, frame, next_block: 0 };
    let words: Vec<u64> = (0..n.div_ceil(CHUNK * 64)).flat_map(|_| random.chunk()).collect();
    let mut noisy = BitBlock::from_words(words.clone(), n);
    let gap = 1.0 / libm::log1p(-qber);
    let mut place = 0.0;
    loop {
        for word in random.chunk() {
            // The errors are independent, so the right bits between two of them are geometric in number.
            #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
            let uniform = ((word >> 11) as f64 + 0.5) * (0.5f64).powi(53);
            place += libm::floor(libm::log(uniform) * gap);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float cast saturates"
            )]
            let at = place as usize;
            if at >= n {
                return (BitBlock::from_words(words, n), noisy);
            }
            noisy.set(at, !noisy.bit(at));
            place += 1.0;
        }
    }
}

/// Words of a chunk.
const CHUNK: usize = 128;

/// The random words of one frame.
struct Words {
    seed: u64,
    frame: u64,
    next_block: u64,
}

impl Words {
    fn chunk(&mut self) -> [u64; CHUNK] {
        let [a, b, c, d] = [self.seed, self.seed >> 32, self.frame, self.frame >> 32].map(low);
        let mut halves = [0; 2 * CHUNK];
        noise::words(Isa::best(), &[a, b, c, d, 0, 0, 0, 0], self.next_block, &mut halves);
        self.next_block += halves.len() as u64 / 16;
        std::array::from_fn(|i| u64::from(halves[2 * i]) | u64::from(halves[2 * i + 1]) << 32)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn low(word: u64) -> u32 {
    word as u32
}

/// What one frame came to.
#[derive(Debug)]
struct Outcome {
    equal: bool,
    ledger: Ledger,
    messages: u32,
    passes: u32,
}

/// Reconciles and verifies a frame, both sides.
fn distil(bench: &mut Workbench, plan: &Plan, pair: (BitBlock, BitBlock)) -> Result<Outcome, Fault> {
    let mut ledger = Ledger::new();
    let (kept, corrected) =
        converse(bench, Reference::new(plan, pair.0)?, Corrector::new(plan, pair.1)?, &mut ledger)?;
    let (messages, passes) = (corrected.effort.messages, corrected.effort.iterations);
    let mut outcome = Outcome { equal: false, ledger, messages, passes };
    outcome.equal = verified(bench, kept.bits, corrected.bits)?;
    Ok(outcome)
}

/// Whether both sides have the frame and verification finds it equal.
pub(super) fn verified(
    bench: &mut Workbench,
    kept: Option<BitBlock>,
    corrected: Option<BitBlock>,
) -> Result<bool, Fault> {
    let (Some(kept), Some(corrected)) = (kept, corrected) else { return Ok(false) };
    let candidate = |bits| Candidate { block: 0, frames: vec![(0, bits)] };
    let reference = verify::Reference::new(candidate(kept), Arc::new(OperatingSystem));
    let corrector = verify::Corrector::new(candidate(corrected));
    match converse(bench, reference, corrector, &mut Ledger::new()) {
        Ok((ours, theirs)) => Ok(ours.bits() == theirs.bits()),
        Err(Fault::Abort(Abort::Unverified)) => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Lets two sides talk until both leave; their account is added to `ledger`.
pub(super) fn converse<R: Stage, C: Stage>(
    bench: &mut Workbench,
    reference: R,
    corrector: C,
    ledger: &mut Ledger,
) -> Result<(R::Product, C::Product), Fault> {
    let (mut to_corrector, mut to_reference) = (Outbox::new(), Outbox::new());
    let started = reference.start(&mut to_corrector)?;
    let mut reference = settle(bench, started, &mut to_corrector)?;
    let started = corrector.start(&mut to_reference)?;
    let mut corrector = settle(bench, started, &mut to_reference)?;
    loop {
        corrector = hear(bench, corrector, &mut to_corrector, &mut to_reference)?;
        reference = hear(bench, reference, &mut to_reference, &mut to_corrector)?;
        match (reference, corrector) {
            (Step::Leave(kept), Step::Leave(corrected)) => {
                ledger.absorb(&to_reference.ledger);
                return Ok((kept, corrected));
            }
            (going, on) => (reference, corrector) = (going, on),
        }
    }
}

/// Computes until the stage listens or leaves.
fn settle<S: Stage>(bench: &mut Workbench, mut step: Step<S>, out: &mut Outbox) -> Result<Step<S>, Fault> {
    while let Step::Compute(stage, job) = step {
        step = stage.done(job.run(bench), out)?;
    }
    Ok(step)
}

/// Brings a stage what its peer sent.
fn hear<S: Stage>(
    bench: &mut Workbench,
    mut step: Step<S>,
    from: &mut Outbox,
    out: &mut Outbox,
) -> Result<Step<S>, Fault> {
    for message in from.take() {
        let Step::Listen(stage) = step else { break };
        let heard = stage.hear(Reader::new(&message), out)?;
        step = settle(bench, heard, out)?;
    }
    Ok(step)
}
