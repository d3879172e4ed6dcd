//! `keystill bench pipeline`: a protocol from raw frames to keys, both ends, no simulator in the loop.

use std::time::{Duration, Instant};

use keystill::Isa;
use keystill::bb84::Bb84;
use keystill::cv::Cv;
use keystill::pipeline::{Actor, ActorError, News, Pace, Workers, drive};
use keystill::protocol::Protocol;
use keystill::session::{BlockReport, Event, Outcome};
use serde_json::json;

use crate::cli::world::{MethodName, Recordings, WorldArgs, parse_duration};
use crate::cli::{Exit, Failure, OrExit};

/// A protocol end to end, both ends on this machine: from raw frames, made beforehand and held in memory, to
/// keys in both hands.
///
/// Example: keystill bench pipeline --protocol cv --duration 2s --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The protocol.
    #[arg(long, default_value = "bb84", value_parser = ["bb84", "cv"])]
    protocol: String,
    /// A scenario that ships, or a TOML file.
    #[arg(long, default_value = "iown-47t2", value_name = "NAME|FILE")]
    scenario: String,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    overrides: Vec<String>,
    /// Link time, one block.
    #[arg(long, default_value = "2s", value_parser = parse_duration)]
    duration: Duration,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Workers::new(if args.threads == 0 { cores } else { args.threads }, Isa::best())
        .or_exit(Exit::Internal)?;
    let mut overrides = args.overrides.clone();
    overrides
        .extend(["bb84", "cv"].map(|section| format!("{section}.block_s={:?}", args.duration.as_secs_f64())));
    let world = WorldArgs {
        scenario: args.scenario.clone(),
        overrides,
        duration: args.duration,
        seed: 1,
        protocol: Some(args.protocol.clone()),
        method: MethodName::default(),
    };
    let world = world.build()?;
    let (actors, corrector) = match args.protocol.as_str() {
        Bb84::NAME => (world.bb84_actors(&Recordings::Cache, Pace::Max)?, Bb84::REFERENCE.peer()),
        _ => (world.cv_actors(&Recordings::Cache, Pace::Max)?, Cv::REFERENCE.peer()),
    };
    let mut actors: Vec<Box<dyn Actor>> = actors.into();
    let mut reports: Vec<BlockReport> = Vec::new();
    let began = Instant::now();
    let outcome = drive(&mut actors, &workers, &mut |actors, news| {
        if let Some((number, News::Event(Event::Block(report)))) = news
            && actors[number].role() == corrector
        {
            reports.push(*report);
        }
        true
    });
    let seconds = began.elapsed().as_secs_f64();
    outcome.map_err(|error: ActorError| Failure::new(Exit::Internal, error))?;
    report(args, &reports, seconds, workers.threads());
    Ok(())
}

fn report(args: &Args, reports: &[BlockReport], seconds: f64, threads: usize) {
    let figure = |name: &str| {
        let values = reports.iter().flat_map(|report| &report.figures).filter(|(own, _)| *own == name);
        values.map(|(_, value)| *value).sum::<f64>()
    };
    let secret: u64 = reports
        .iter()
        .map(|report| match report.outcome {
            Outcome::Key { secret_bits, .. } => secret_bits,
            Outcome::Aborted(_) => 0,
        })
        .sum();
    let blocks = reports.len().max(1) as f64;
    let (input, secret) = (figure("sifted_bits") / seconds / 1e6, secret as f64 / seconds / 1e6);
    let (name, value) = match args.protocol.as_str() {
        "bb84" => ("qber", figure("qber") / blocks),
        _ => ("snr_db", 10.0 * (figure("snr") / blocks).log10()),
    };
    if args.json {
        let mut object = json!({
            "stage": "pipeline", "protocol": args.protocol, "input_mbit_per_s": input, "secret_mbit_per_s": secret,
            "threads": threads, "isa": Isa::best().name(), "seconds": seconds,
        });
        object[name] = json!(value);
        println!("{object}");
    } else {
        println!(
            "{}: {input:.1} Mbit/s sifted, {secret:.3} Mbit/s secret, {name} {value:.4}, both ends on {threads} thread(s), {}",
            args.protocol,
            Isa::best()
        );
    }
}
