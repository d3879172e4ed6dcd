//! `keystill bench sim`: how fast the simulated world makes raw frames.

use std::time::Instant;

use keystill::Isa;
use keystill::sim::{Bb84Source, CvSource};
use rayon::prelude::*;
use serde_json::json;

use crate::cli::world::load_scenario;
use crate::cli::{Exit, Failure, OrExit};

/// The simulated world: gates of BB84 and quadratures of CV made a second.
///
/// Example: keystill bench sim --threads 1 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// A scenario that ships, or a TOML file.
    #[arg(long, default_value = "iown-47t2", value_name = "NAME|FILE")]
    scenario: String,
    /// Frames of each kind.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    frames: u64,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// One JSON object a source.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let scenario = load_scenario(&args.scenario, &[])?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().or_exit(Exit::Internal)?;
    let (bb84, cv) = (Bb84Source::new(&scenario, 1), CvSource::new(&scenario, 1));
    let isa = Isa::best();
    let time = |make: &(dyn Fn(u64) + Sync)| {
        let began = Instant::now();
        pool.install(|| (0..args.frames).into_par_iter().for_each(make));
        began.elapsed().as_secs_f64()
    };
    let detections = time(&|index| drop(bb84.bob_frame(isa, index)));
    let modulation = time(&|index| drop(cv.alice_frame(isa, index)));
    let outcomes = time(&|index| drop(cv.bob_frame(isa, index)));
    let gates = f64::from(bb84.gates_per_frame()) * args.frames as f64;
    let quadratures = 2.0 * f64::from(cv.symbols_per_frame()) * args.frames as f64;
    let threads = pool.current_num_threads();
    for (source, items, seconds) in [
        ("bb84_gates", gates, detections),
        ("cv_alice_quadratures", quadratures, modulation),
        ("cv_bob_quadratures", quadratures, outcomes),
    ] {
        let rate = items / seconds / 1e6;
        if args.json {
            let name = isa.name();
            println!(
                "{}",
                json!({ "stage": "sim", "source": source, "million_per_s": rate, "threads": threads, "isa": name })
            );
        } else {
            println!("{source:<22} {rate:>10.1} million/s on {threads} thread(s), {isa}");
        }
    }
    Ok(())
}
