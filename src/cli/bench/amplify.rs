//! `keystill bench amplify`: Toeplitz hashing by size, matrix, seed and threads.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use keystill::Isa;
use keystill::amplify::{Amplifier, Matrix, Toeplitz};
use keystill::bits::BitBlock;
use keystill::random::{Draw, OperatingSystem, Purpose, RandomSource};
use rayon::prelude::*;
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::{Exit, Failure, OrExit};

/// How long one setting is measured, once it ran twice.
const SPAN: Duration = Duration::from_millis(800);

/// Bytes drawn from the operating system at a time.
const DRAW_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum MatrixName {
    Plain,
    Modified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SeedName {
    Fresh,
    Cached,
}

/// Privacy amplification: Toeplitz hashing of n bits to 0.4 n.
///
/// A fresh seed is transformed anew with every block; a cached one only once, which is legitimate
/// within one block or for trusted sources only. Drawing the seed is measured apart.
///
/// Example: keystill bench amplify --n 1000000 --matrix modified --seed fresh --threads 1 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Bits of a block.
    #[arg(long, value_delimiter = ',', default_values_t = [100_000, 1_000_000, 10_000_000, 100_000_000, 1 << 27])]
    n: Vec<usize>,
    /// Matrices.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["plain", "modified"])]
    matrix: Vec<MatrixName>,
    /// Seeds.
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["fresh", "cached"])]
    seed: Vec<SeedName>,
    /// Computing threads.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    threads: Vec<usize>,
    /// One JSON object per setting.
    #[arg(long)]
    json: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "every command has this shape")]
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    for threads in &args.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(*threads).build().or_exit(Exit::Internal)?;
        for n in &args.n {
            for name in &args.matrix {
                let matrix = match name {
                    MatrixName::Plain => Matrix::Plain,
                    MatrixName::Modified => Matrix::Modified,
                };
                let hash = Toeplitz::new(matrix, *n, n * 2 / 5).or_exit(Exit::Usage)?;
                pool.install(|| setting(&args, *name, &hash))?;
            }
        }
    }
    Ok(())
}

/// Measures one size and matrix with every kind of seed, on the current pool.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^53")]
fn setting(args: &Args, name: MatrixName, hash: &Toeplitz) -> Result<(), Failure> {
    let isa = Isa::best();
    let input = drawn(hash.input_bits(), 0)?;
    let start = Instant::now();
    let seed = drawn(hash.seed_bits(), 1)?;
    let draw = hash.seed_bits() as f64 / start.elapsed().as_secs_f64() / 1e6;
    let matrix = if name == MatrixName::Plain { "plain" } else { "modified" };
    for kind in &args.seed {
        let (seconds, kind) = match kind {
            SeedName::Fresh => {
                let mut amplifier = Amplifier::new(isa);
                (best(|| amplifier.hash(hash, &input, &seed).map(drop))?, "fresh")
            }
            SeedName::Cached => {
                let cached = hash.prepare(isa, &seed).or_exit(Exit::Usage)?;
                (best(|| cached.hash(isa, &input).map(drop))?, "cached")
            }
        };
        let rate = hash.input_bits() as f64 / seconds / 1e6;
        let threads = rayon::current_num_threads();
        if args.json {
            let object = json!({
                "stage": "amplify", "n_bits": hash.input_bits(), "m_bits": hash.output_bits(), "matrix": matrix,
                "seed": kind, "seed_draw_mbit_per_s": draw, "threads": threads, "isa": isa.name(),
                "input_mbit_per_s": rate, "peak_bytes": hash.memory_bytes(threads),
            });
            println!("{object}");
        } else {
            println!(
                "{:>10} bits, {matrix:<8} matrix, {kind:<6} seed, {threads} threads: {rate:>8.1} Mbit/s",
                hash.input_bits()
            );
        }
    }
    Ok(())
}

/// Uniform bits of the operating system, drawn by all threads.
fn drawn(bits: usize, index: u64) -> Result<BitBlock, Failure> {
    let mut bytes = Zeroizing::new(vec![0; bits.div_ceil(8)]);
    let draw = Draw { block: 0, purpose: Purpose::AmplificationSeed, index };
    bytes
        .par_chunks_mut(DRAW_BYTES)
        .try_for_each(|chunk| OperatingSystem.draw(draw, chunk))
        .or_exit(Exit::Internal)?;
    Ok(BitBlock::from_bytes(&bytes, bits))
}

/// Seconds of the quickest run.
fn best(mut run: impl FnMut() -> Result<(), keystill::amplify::Error>) -> Result<f64, Failure> {
    run().or_exit(Exit::Internal)?;
    let (began, mut best) = (Instant::now(), f64::INFINITY);
    for round in 0.. {
        if round >= 2 && began.elapsed() > SPAN {
            break;
        }
        let start = Instant::now();
        run().or_exit(Exit::Internal)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
