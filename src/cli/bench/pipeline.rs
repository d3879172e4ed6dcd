//! `keystill bench pipeline`: a protocol from raw frames to keys, both ends, no simulator in the loop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use keystill::Isa;
use keystill::bb84::Bb84;
use keystill::cv::Cv;
use keystill::pipeline::{Actor, ActorError, News, Pace, Workers, drive};
use keystill::protocol::Protocol;
use keystill::session::{BlockReport, Event, Outcome};
use keystill::stage::Abort;
use serde_json::json;

use crate::cli::gaussian::CvMethod;
use crate::cli::world::{MethodName, Recordings, WorldArgs, parse_duration, parse_margin};
use crate::cli::{Exit, Failure, OrExit};

/// A protocol end to end, both ends on this machine: from raw frames, made beforehand and held in memory, to
/// keys in both hands.
///
/// Without --scenario, BB84 runs on a link as dense as the one that holds the record of key rate (344 Mb/s sifted
/// of 2.5 GHz: arXiv:2307.02364), where 100 gates leave 13.8 sifted bits at an error rate of 1 %, in blocks of
/// 11 Mbit, and CV beside 47.2 Tb/s of data, at -6 dB, in blocks of two seconds. On thinner links sifting takes
/// more of the time, as the settings of all gates are read. With --json `input_mbit_per_cpu_s` is the same speed by processor time: what the threads would reach
/// on a machine that nobody else uses.
///
/// Cascade computes several times as fast as LDPC and leaves less key, as both directions are booked: where sifted
/// bits come faster than LDPC takes them, it may leave more key a second.
///
/// Example: keystill bench pipeline --method cascade --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The protocol.
    #[arg(long, default_value = "bb84", value_parser = ["bb84", "cv"])]
    protocol: String,
    /// A scenario that ships, or a TOML file.
    #[arg(long, value_name = "NAME|FILE")]
    scenario: Option<String>,
    /// Override a value of the scenario; may be repeated.
    #[arg(long = "set", value_name = "SECTION.KEY=VALUE")]
    overrides: Vec<String>,
    /// Link time [default: 1s of BB84, 6s of CV].
    #[arg(long, value_parser = parse_duration)]
    duration: Option<Duration>,
    /// How BB84's bits are reconciled.
    #[arg(long, value_enum, default_value_t = MethodName::default())]
    method: MethodName,
    /// By what share the error rate that BB84's code is chosen for lies above the estimate: 0 tells least, and
    /// takes twice the computing.
    #[arg(long, default_value_t = 0.1, value_parser = parse_margin)]
    code_margin: f64,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What makes a scenario's BB84 as dense as the fastest link known, at an error rate of 1 %.
const DENSE: [&str; 8] = [
    "link.length_km=1",
    "bb84.mean_photons=[0.6, 0.2, 0.001]",
    "bb84.test_probability=0.05",
    "bb84.receiver_loss_db=2",
    "bb84.detector_efficiency=0.8",
    "bb84.afterpulse_probability=0",
    "bb84.frame_ms=1",
    "bb84.block_s=0.08",
];

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = Workers::new(if args.threads == 0 { cores } else { args.threads }, Isa::best())
        .or_exit(Exit::Internal)?;
    let world = world(args).build()?;
    let (actors, corrector) = match args.protocol.as_str() {
        Bb84::NAME => (world.bb84_actors(&Recordings::Cache, Pace::Max)?, Bb84::REFERENCE.peer()),
        _ => (world.cv_actors(&Recordings::Cache, Pace::Max)?, Cv::REFERENCE.peer()),
    };
    let mut actors: Vec<Box<dyn Actor>> = actors.into();
    let mut run = Run::default();
    let (began, computed) = (Instant::now(), processor_s());
    let outcome = drive(&mut actors, &workers, &mut |actors, news| {
        match news {
            Some((number, News::Event(Event::Block(report)))) if actors[number].role() == corrector => {
                run.reports.push(*report);
            }
            Some((_, News::Took { stage_s, .. })) => {
                for (stage, seconds) in stage_s {
                    *run.stage_s.entry(stage).or_default() += seconds;
                }
            }
            _ => {}
        }
        true
    });
    run.seconds = began.elapsed().as_secs_f64();
    run.processor_s = processor_s().zip(computed).map(|(after, before)| after - before);
    outcome.map_err(|error: ActorError| Failure::new(Exit::Internal, error))?;
    report(args, &run, workers.threads());
    match run.why_no_key() {
        Some(why) if run.keys() == 0 => Err(Failure::new(Exit::NoKey, anyhow!("no secure key: {why}"))),
        _ => Ok(()),
    }
}

/// What was measured.
#[derive(Default)]
struct Run {
    reports: Vec<BlockReport>,
    /// Seconds of computing by stage, both ends and all threads together.
    stage_s: BTreeMap<&'static str, f64>,
    seconds: f64,
    /// Processor time, where the system tells it.
    processor_s: Option<f64>,
}

impl Run {
    fn keys(&self) -> usize {
        self.reports.iter().filter(|report| matches!(report.outcome, Outcome::Key { .. })).count()
    }

    /// Why the last block without key left none.
    fn why_no_key(&self) -> Option<&Abort> {
        self.reports.iter().rev().find_map(|report| match &report.outcome {
            Outcome::Aborted(abort) => Some(abort),
            Outcome::Key { .. } => None,
        })
    }
}

/// Seconds that this process has computed: user and system time, fields 14 and 15, in hundredths.
fn processor_s() -> Option<f64> {
    let told = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = told.rsplit_once(") ")?.1.split(' ').skip(11);
    let mut hundredths = || fields.next()?.parse::<f64>().ok();
    Some((hundredths()? + hundredths()?) / 100.0)
}

fn world(args: &Args) -> WorldArgs {
    let is_bb84 = args.protocol == Bb84::NAME;
    let (scenario, own): (_, &[&str]) = match &args.scenario {
        Some(scenario) => (scenario.as_str(), &[]),
        None if is_bb84 => ("dark-fibre", &DENSE),
        None => ("iown-47t2", &["cv.block_s=2"]),
    };
    let overrides = own.iter().map(ToString::to_string).chain(args.overrides.iter().cloned());
    WorldArgs {
        scenario: scenario.to_owned(),
        overrides: overrides.collect(),
        duration: args.duration.unwrap_or(Duration::from_secs(if is_bb84 { 1 } else { 6 })),
        seed: 1,
        protocol: Some(args.protocol.clone()),
        method: args.method,
        code_margin: args.code_margin,
        cv_method: CvMethod::Auto,
    }
}

fn report(args: &Args, run: &Run, threads: usize) {
    let figure = |name: &str| {
        let values = run.reports.iter().flat_map(|report| &report.figures).filter(|(own, _)| *own == name);
        values.fold(0.0, |sum, (_, value)| sum + value)
    };
    let secret: u64 = run
        .reports
        .iter()
        .map(|report| match report.outcome {
            Outcome::Key { secret_bits, .. } => secret_bits,
            Outcome::Aborted(_) => 0,
        })
        .sum();
    let keys = run.keys();
    let blocks = run.reports.len().max(1) as f64;
    let (input, secret) = (figure("sifted_bits") / run.seconds / 1e6, secret as f64 / run.seconds / 1e6);
    let unshared = run.processor_s.map(|busy| figure("sifted_bits") * threads as f64 / busy.max(0.01) / 1e6);
    let (name, value) = match args.protocol.as_str() {
        "bb84" => ("qber", figure("qber") / blocks),
        _ => ("snr_db", 10.0 * (figure("snr") / blocks).log10()),
    };
    if args.json {
        let mut object = json!({
            "stage": "pipeline", "protocol": args.protocol, "input_mbit_per_s": input, "secret_mbit_per_s": secret,
            "blocks": run.reports.len(), "keys": keys, "threads": threads, "isa": Isa::best().name(),
            "seconds": run.seconds, "input_mbit_per_cpu_s": unshared, "stage_s": run.stage_s,
            "why_no_key": run.why_no_key().map(ToString::to_string),
        });
        object[name] = json!(value);
        if args.protocol == Bb84::NAME {
            object["code_margin"] = json!(args.code_margin);
        }
        println!("{object}");
    } else {
        println!(
            "{}: {input:.1} Mbit/s sifted, {secret:.3} Mbit/s secret, {name} {value:.4}, {keys} keys of {} blocks, \
             both ends on {threads} thread(s), {}",
            args.protocol,
            run.reports.len(),
            Isa::best()
        );
        if let Some(why) = run.why_no_key().filter(|_| keys > 0) {
            println!("the last block without key: {why}");
        }
    }
}
