//! `keystill bench curve`: quality and speed of reconciliation over the whole range, measured and drawn.

mod draw;
mod published;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow};
use keystill::cv::rotation::{Dimension, capacity};
use keystill::reconcile::leaf;
use serde_json::Value;

use crate::cli::{Exit, Failure, OrExit};
use draw::{Chart, Scale, Series};

/// Measure reconciliation over all error rates (bb84) or signal-to-noise ratios (cv), and draw it beside
/// published figures.
///
/// Each point is measured by `keystill bench cascade`, `ldpc` or `cv` in a process of its own. With --json the lines
/// of those come out; kept in a file, they can be drawn again with --from.
///
/// Example: keystill bench curve bb84 --plot bb84.svg --json > bb84.ndjson
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What is measured.
    #[arg(value_enum)]
    protocol: Protocol,
    /// Frames a point.
    #[arg(long, default_value_t = 20)]
    frames: usize,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// How often each point is measured; the fastest run counts.
    #[arg(long, default_value_t = 1)]
    runs: usize,
    /// Error rates, or signal-to-noise ratios in dB, instead of the usual ones.
    #[arg(long, value_delimiter = ',', allow_negative_numbers = true)]
    at: Vec<f64>,
    /// Draw these lines of an earlier run instead of measuring.
    #[arg(long)]
    from: Option<PathBuf>,
    /// Where the picture goes.
    #[arg(long)]
    plot: Option<PathBuf>,
    /// One JSON object a point.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Protocol {
    Bb84,
    Cv,
}

const QBERS: [f64; 10] = [0.003, 0.005, 0.01, 0.015, 0.02, 0.03, 0.045, 0.06, 0.08, 0.11];
const SNRS_DB: [f64; 12] = [-17.0, -15.2, -13.0, -11.2, -9.5, -8.0, -6.0, -4.6, -3.4, -2.3, -1.0, 0.0];
/// Where slices are measured, and the range in which each method has codes worth measuring.
const SLICES_SNRS_DB: [f64; 10] = [-6.0, -5.0, -4.0, -3.0, -2.3, -1.0, 0.0, 1.5, 3.0, 6.0];
const LEAST_SLICES_DB: f64 = -6.0;
const MOST_ROTATION_DB: f64 = 3.0;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let points = match &args.from {
        Some(path) => read(path).or_exit(Exit::Configuration)?,
        None => measure(args).or_exit(Exit::Internal)?,
    };
    if let Some(path) = &args.plot {
        let (left, right) = match args.protocol {
            Protocol::Bb84 => bb84(&points),
            Protocol::Cv => cv(&points),
        };
        let picture = draw::draw(&left, &right).or_exit(Exit::Internal)?;
        fs::write(path, picture).with_context(|| path.display().to_string()).or_exit(Exit::Storage)?;
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let line = |line: &str| serde_json::from_str(line).with_context(|| path.display().to_string());
    text.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

/// What is measured at which places.
struct Sweep {
    name: &'static str,
    stage: &'static [&'static str],
    option: &'static str,
    places: Vec<f64>,
}

impl Protocol {
    /// The sweeps, at the usual places or those of them where a method has codes.
    fn sweeps(self, at: &[f64]) -> Vec<Sweep> {
        let places = |usual: &[f64], range: std::ops::RangeInclusive<f64>| -> Vec<f64> {
            let asked = if at.is_empty() { usual } else { at };
            asked.iter().copied().filter(|place| range.contains(place)).collect()
        };
        let all = f64::NEG_INFINITY..=f64::INFINITY;
        let errors =
            |name, stage| Sweep { name, stage, option: "--qber", places: places(&QBERS, all.clone()) };
        let signals = |name, stage, places| Sweep { name, stage, option: "--snr-db", places };
        match self {
            Self::Bb84 => vec![errors("cascade", &["cascade"]), errors("ldpc", &["ldpc"])],
            Self::Cv => vec![
                signals("rotation", &["cv"], places(&SNRS_DB, f64::NEG_INFINITY..=MOST_ROTATION_DB)),
                signals(
                    "slices",
                    &["cv", "--method", "slices"],
                    places(&SLICES_SNRS_DB, LEAST_SLICES_DB..=f64::INFINITY),
                ),
            ],
        }
    }
}

fn measure(args: &Args) -> anyhow::Result<Vec<Value>> {
    let mut points = Vec::new();
    for Sweep { name, stage, option, places } in args.protocol.sweeps(&args.at) {
        for place in places {
            let point = best(args, stage, &format!("{option}={place}"))?;
            if args.json {
                println!("{point}");
            } else {
                println!("{name:<8} {place:>6}  {:>8.1} M/s", speed(&point));
            }
            points.push(point);
        }
    }
    Ok(points)
}

/// The fastest of several runs of a point.
fn best(args: &Args, stage: &[&str], place: &str) -> anyhow::Result<Value> {
    let mut best: Option<Value> = None;
    for _ in 0..args.runs.max(1) {
        let point = once(args, stage, place)?;
        if best.as_ref().is_none_or(|best| speed(best) < speed(&point)) {
            best = Some(point);
        }
    }
    best.ok_or_else(|| anyhow!("nothing was measured"))
}

fn once(args: &Args, stage: &[&str], place: &str) -> anyhow::Result<Value> {
    let program = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(program);
    command.arg("bench").args(stage).args([place, "--json", "--frames", &args.frames.to_string()]);
    // CV counts its threads, the others take 0 for all.
    let threads = match (args.threads, stage) {
        (0, ["cv", ..]) => std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        (threads, _) => threads,
    };
    let output =
        command.args(["--threads", &threads.to_string()]).output().context("cannot run the bench")?;
    if !output.status.success() {
        return Err(anyhow!("bench {stage:?} {place}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().next().ok_or_else(|| anyhow!("bench {stage:?} {place} printed nothing"))?;
    Ok(serde_json::from_str(line)?)
}

fn speed(point: &Value) -> f64 {
    let told = ["mbit_per_s", UNSHARED, "msymbol_per_s"].iter().find_map(|field| point[field].as_f64());
    told.unwrap_or(0.0)
}

/// Speed by processor time: what others on the machine take does not count.
const UNSHARED: &str = "msymbol_per_cpu_s";

/// A line of a stage's points: one field over another.
fn series(points: &[Value], (stage, name): (&str, &str), (x, y): (&str, &str)) -> Series {
    let own = points.iter().filter(|point| point["stage"] == stage);
    let mut points: Vec<(f64, f64)> =
        own.filter_map(|point| Some((point[x].as_f64()?, point[y].as_f64()?))).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    Series { name: name.to_owned(), points, theory: false }
}

fn bb84(points: &[Value]) -> (Chart, Chart) {
    let lines = |field| {
        vec![
            series(points, ("cascade", "keystill, Cascade"), ("qber", field)),
            series(points, ("ldpc", "keystill, LDPC"), ("qber", field)),
        ]
    };
    let left = Chart {
        title: "f: bits told by the reference side / n·h(QBER)".to_owned(),
        x_name: "QBER",
        x: 0.0..0.115,
        y: 1.0..1.5,
        scale: Scale::Linear,
        ours: lines("efficiency"),
        published: published::BB84_EFFICIENCY,
    };
    let title = format!("Mbit/s, both sides on {}", machine(points));
    let right = Chart {
        title,
        y: 5.0..3000.0,
        scale: Scale::Logarithmic,
        ours: lines("mbit_per_s"),
        published: published::BB84_SPEED,
        ..left.clone()
    };
    (left, right)
}

fn cv(points: &[Value]) -> (Chart, Chart) {
    let (slices, rotations): (Vec<Value>, Vec<Value>) =
        points.iter().cloned().partition(|point| point["method"] == "slices");
    let ours = |field: &str| {
        let mut ours = vec![series(&rotations, ("cv", "keystill"), ("snr_db", field))];
        if !slices.is_empty() {
            ours.push(series(&slices, ("cv", "keystill, slices"), ("snr_db", field)));
        }
        ours
    };
    let cap = |share: f64, name: &str| {
        let at = |i: i32| {
            let snr_db = f64::from(i) / 4.0;
            let snr = libm::pow(10.0, snr_db / 10.0);
            (snr_db, share * capacity::gaussian(Dimension::Eight, snr) / leaf::capacity(snr))
        };
        Series { name: name.to_owned(), points: (-70..=0).map(at).collect(), theory: true }
    };
    let left = Chart {
        title: "reconciliation efficiency β".to_owned(),
        x_name: "signal-to-noise ratio of a quadrature, dB",
        x: -17.5..6.5,
        y: 0.84..1.04,
        scale: Scale::Linear,
        ours: ours("beta")
            .into_iter()
            .chain([cap(1.0, "what dimension 8 allows"), cap(0.95, "0.95 of it")])
            .collect(),
        published: published::CV_EFFICIENCY,
    };
    let unshared = points.iter().all(|point| point[UNSHARED].is_f64());
    let (field, by) = if unshared { (UNSHARED, " (processor time)") } else { ("msymbol_per_s", "") };
    let right = Chart {
        title: format!("million quadratures/s{by}, both sides on {}", machine(points)),
        y: 5.0..1000.0,
        scale: Scale::Logarithmic,
        ours: ours(field),
        published: published::CV_SPEED,
        ..left.clone()
    };
    (left, right)
}

/// Threads and instruction set that the points were measured with.
fn machine(points: &[Value]) -> String {
    let Some(point) = points.first() else { return "no machine".to_owned() };
    format!("{} threads ({})", point["threads"], point["isa"].as_str().unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn points() -> Vec<Value> {
        let point = |stage: &str, qber: f64, efficiency: f64| json!({"stage": stage, "qber": qber, "efficiency": efficiency, "mbit_per_s": 100.0, "threads": 2, "isa": "avx2"});
        vec![point("ldpc", 0.05, 1.1), point("cascade", 0.01, 1.04), point("ldpc", 0.01, 1.2)]
    }

    #[test]
    fn lines_are_of_their_stage_and_in_order() {
        let line = series(&points(), ("ldpc", "LDPC"), ("qber", "efficiency"));
        assert_eq!(line.points, [(0.01, 1.2), (0.05, 1.1)], "sorted, without Cascade's");
    }

    #[test]
    fn slices_are_measured_where_they_have_codes_and_drawn_apart() {
        let places = |at: &[f64]| -> Vec<Vec<f64>> {
            Protocol::Cv.sweeps(at).into_iter().map(|sweep| sweep.places).collect()
        };
        assert_eq!(places(&[-17.0, 0.0, 6.0]), [vec![-17.0, 0.0], vec![0.0, 6.0]], "each in its range");
        assert_eq!(places(&[])[1], SLICES_SNRS_DB, "the usual ones");
        let point =
            |method: &str, beta: f64| json!({"stage": "cv", "method": method, "snr_db": 0.0, "beta": beta});
        let (left, _) = cv(&[point("rotation", 0.84), point("slices", 0.93)]);
        assert_eq!(left.ours[0].points, [(0.0, 0.84)], "rotations");
        assert_eq!(left.ours[1].points, [(0.0, 0.93)], "slices");
    }

    #[test]
    fn both_pictures_are_drawn_with_ours_and_theirs() {
        let (left, right) = bb84(&points());
        let picture = draw::draw(&left, &right).expect("a picture");
        for text in ["<svg", "keystill, LDPC", "Brassard", "2 threads (avx2)", "</svg>"] {
            assert!(picture.contains(text), "{text}");
        }
        let point = json!({"stage": "cv", "snr_db": -8.0, "beta": 0.94, "msymbol_per_s": 30.0});
        let shared = cv(std::slice::from_ref(&point)).1;
        assert_eq!(shared.ours[0].points, [(-8.0, 30.0)], "by the clock where nothing else is told");
        let unshared =
            [json!({"stage": "cv", "snr_db": -8.0, "msymbol_per_s": 30.0, "msymbol_per_cpu_s": 50.0})];
        let drawn = cv(&unshared).1;
        assert_eq!(drawn.ours[0].points, [(-8.0, 50.0)], "by processor time where it is");
        assert!(drawn.title.contains("processor time"), "and it says so: {}", drawn.title);
        let none = draw::draw(&cv(&[]).0, &cv(&[]).1).expect("a picture without points");
        assert!(none.contains("what dimension 8 allows"), "theory needs no measurement");
    }
}
