//! `keystill distill cv`.

use std::fs::File;
use std::io::{BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use indicatif::ProgressBar;
use keystill::Isa;
use keystill::bits::BitBlock;
use keystill::columns::Column;
use keystill::cv::Cv;
use keystill::cv::frame::CalibrationRecord;
use keystill::cv::recorded::{Number, Recorded};
use keystill::cv::rotation::{Dimension, capacity};
use keystill::protocol::Validity;
use keystill::reconcile::{Plan, leaf};
use keystill_kernels::os::FileMap;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::input;
use super::look::look;
use super::quadratures::{Account, Distilled, Distiller, FrameReport, Recording};
use super::say;
use crate::cli::amplify::write_whole;
use crate::cli::gaussian::CvMethod;
use crate::cli::{Exit, Failure, OrExit};

/// The least and the most symbols that are disclosed for the choice of rate, if nobody says how many.
const SAMPLE_SYMBOLS: (usize, usize) = (4096, 1 << 18);

/// Distil recorded quadratures of both sides of a Gaussian-modulated link with heterodyne detection.
///
/// Files are NumPy's .npy (f4 or f8, shape (n, 2) or (2n,), or complex of shape (n,)), CSV with columns x and p
/// (--columns names them where there are more), or plain little-endian numbers x, p, x, p, ... with --dtype. Alice's symbols may be in any unit: --modulation-variance says what
/// their variance is. Bob's are in the receiver's unit, which --shot-noise calibrates; the other options are in
/// shot-noise units (vacuum variance 1 a quadrature). A key needs all of them, and none has a default.
///
/// The first symbols are disclosed for the choice of rate; all frames, opened ones too, count for the certified
/// channel. Exit 0: frames were corrected and verified, even if no key remains of so few symbols; 5: none was, or
/// the data cannot be what they are said to be. With --out, alice.bits and bob.bits hold the
/// verified strings, alice.key and bob.key the keys, report.json the report. Nothing authenticates data that one
/// hand holds: these keys are for study.
///
/// Example: keystill distill cv --alice alice.npy --bob bob.npy --shot-noise 1.0 --electronic-noise 0.1 --efficiency 0.6 --modulation-variance 4 --calibration-samples 100000000 --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Alice's symbols as prepared.
    #[arg(long)]
    alice: PathBuf,
    /// Bob's outcomes.
    #[arg(long)]
    bob: PathBuf,
    /// The numbers of files that are not .npy.
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
    /// The columns x and p of CSV files, by their names in the first line or their numbers from 1: x,p.
    #[arg(long, value_parser = parse_columns)]
    columns: Option<[Column; 2]>,
    /// Variance of the vacuum alone, electronic noise taken off, in the square of the unit of Bob's file.
    #[arg(long)]
    shot_noise: Option<f64>,
    /// Electronic noise of a quadrature in shot-noise units: a value, or an interval LOW..HIGH.
    #[arg(long, value_parser = parse_interval)]
    electronic_noise: Option<[f64; 2]>,
    /// Efficiency of the receiver, trusted: a value, or an interval LOW..HIGH.
    #[arg(long, value_parser = parse_interval)]
    efficiency: Option<[f64; 2]>,
    /// Alice's modulation variance a quadrature in shot-noise units.
    #[arg(long)]
    modulation_variance: Option<f64>,
    /// Samples behind the shot noise: their number bounds its error.
    #[arg(long)]
    calibration_samples: Option<u64>,
    /// The probability that a calibrated number lies outside of its interval; 0 takes them for certain.
    #[arg(long, default_value_t = 0.0)]
    calibration_epsilon: f64,
    /// The failure probability of the key, at most.
    #[arg(long, default_value_t = 1e-10)]
    epsilon: f64,
    /// First symbols to disclose for the choice of rate; a sixteenth if it is not given.
    #[arg(long)]
    sample_symbols: Option<usize>,
    /// Choose the rate for this signal-to-noise ratio of a quadrature instead of the sample's.
    #[arg(long, allow_negative_numbers = true)]
    snr_db: Option<f64>,
    /// How quadratures become bits: rotations in eight dimensions, slices (for strong signals), or the one that leaves
    /// more.
    #[arg(long, value_enum, default_value_t = CvMethod::Auto)]
    method: CvMethod,
    /// Computing threads; 0 for one a core.
    #[arg(long, default_value_t = 0)]
    threads: usize,
    /// Where strings, keys and report go.
    #[arg(long)]
    out: Option<PathBuf>,
    /// One JSON object a frame, and a last one of all.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Dtype {
    /// Single precision.
    F32,
    /// Double precision.
    F64,
}

fn parse_columns(text: &str) -> Result<[Column; 2], String> {
    let wanted = text.split_once(',').ok_or_else(|| format!("`{text}`: two columns, as in x,p"))?;
    Ok([wanted.0, wanted.1].map(Column::from))
}

fn parse_interval(text: &str) -> Result<[f64; 2], String> {
    let number = |text: &str| match text.trim().parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!("`{text}` is no number of 0 or more")),
    };
    let (low, high) = text.split_once("..").unwrap_or((text, text));
    let interval = [number(low)?, number(high)?];
    if interval[0] <= interval[1] { Ok(interval) } else { Err(format!("{text}: the lower end comes first")) }
}

/// The numbers of one side.
enum Numbers {
    /// Where they stand.
    Mapped(FileMap),
    /// Read from text, as plain numbers.
    Csv(Zeroizing<Vec<u8>>),
}

/// What the receiver and the source are known to be.
#[derive(Clone, Copy, Debug)]
struct Calibration {
    shot_noise: f64,
    electronic_noise: [f64; 2],
    efficiency: [f64; 2],
    modulation_variance: f64,
    samples: u64,
}

impl Args {
    /// All of the calibration, or a message that says what is missing.
    fn calibration(&self) -> Result<Calibration, Failure> {
        let usage = |error| Failure::new(Exit::Usage, error);
        let all = (
            self.shot_noise,
            self.electronic_noise,
            self.efficiency,
            self.modulation_variance,
            self.calibration_samples,
        );
        let (
            Some(shot_noise),
            Some(electronic_noise),
            Some(efficiency),
            Some(modulation_variance),
            Some(samples),
        ) = all
        else {
            let options = [
                (
                    self.shot_noise.is_none(),
                    "--shot-noise (variance of the vacuum in the unit of Bob's file)",
                ),
                (self.electronic_noise.is_none(), "--electronic-noise (in shot-noise units)"),
                (self.efficiency.is_none(), "--efficiency (of the receiver)"),
                (self.modulation_variance.is_none(), "--modulation-variance (in shot-noise units)"),
                (self.calibration_samples.is_none(), "--calibration-samples (behind the shot noise)"),
            ];
            let missing: Vec<&str> =
                options.iter().filter(|(missing, _)| *missing).map(|own| own.1).collect();
            return Err(usage(anyhow!(
                "without calibration there is no key; missing: {}",
                missing.join(", ")
            )));
        };
        for (name, value) in [("--shot-noise", shot_noise), ("--modulation-variance", modulation_variance)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(usage(anyhow!("{name} {value}: must be above 0")));
            }
        }
        if !(efficiency[0] > 0.0 && efficiency[1] <= 1.0) {
            return Err(usage(anyhow!("--efficiency: above 0 and at most 1, please")));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return Err(usage(anyhow!("--epsilon {}: a probability, please", self.epsilon)));
        }
        Ok(Calibration { shot_noise, electronic_noise, efficiency, modulation_variance, samples })
    }

    /// A file as it stands, or the numbers of a CSV file.
    fn open(&self, path: &Path) -> Result<Numbers, Failure> {
        let suffix = path.extension().map(|suffix| suffix.to_string_lossy().to_lowercase());
        if self.dtype.is_some() || !suffix.is_some_and(|suffix| input::is_csv(&suffix)) {
            return Ok(Numbers::Mapped(FileMap::open(path, None).or_exit(Exit::Storage)?));
        }
        let shown = || path.display().to_string();
        let file = File::open(path).with_context(shown).or_exit(Exit::Storage)?;
        let numbers = keystill::cv::recorded::csv(BufReader::new(file), self.columns.clone());
        Ok(Numbers::Csv(numbers.with_context(shown).or_exit(Exit::Configuration)?))
    }

    fn recorded<'a>(&self, path: &Path, numbers: &'a Numbers) -> Result<Recorded<'a>, Failure> {
        let recorded = match (numbers, self.dtype) {
            (Numbers::Csv(numbers), _) => Recorded::plain(numbers, Number::F32),
            (Numbers::Mapped(file), _) if Recorded::is_npy(file) => Recorded::npy(file),
            (Numbers::Mapped(file), Some(Dtype::F32)) => Recorded::plain(file, Number::F32),
            (Numbers::Mapped(file), Some(Dtype::F64)) => Recorded::plain(file, Number::F64),
            (Numbers::Mapped(_), None) => {
                let error = anyhow!(
                    "{} is no .npy and no .csv file: say with --dtype what its numbers are",
                    path.display()
                );
                return Err(Failure::new(Exit::Configuration, error));
            }
        };
        recorded.with_context(|| path.display().to_string()).or_exit(Exit::Configuration)
    }

    fn sample_symbols(&self, symbols: usize) -> Result<usize, Failure> {
        let usual = (symbols / 16).clamp(SAMPLE_SYMBOLS.0, SAMPLE_SYMBOLS.1);
        let sample = self.sample_symbols.unwrap_or(usual);
        if sample == 0 || sample >= symbols {
            let error = anyhow!("{symbols} symbols are recorded: too few to disclose {sample} of them");
            return Err(Failure::new(Exit::Configuration, error));
        }
        Ok(sample)
    }
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let calibration = args.calibration()?;
    let files = (args.open(&args.alice)?, args.open(&args.bob)?);
    let (alice, bob) = (args.recorded(&args.alice, &files.0)?, args.recorded(&args.bob, &files.1)?);
    if alice.symbols() != bob.symbols() {
        let error = anyhow!(
            "{} symbols of Alice, {} of Bob: they do not belong together",
            alice.symbols(),
            bob.symbols()
        );
        return Err(Failure::new(Exit::Configuration, error));
    }
    let sample_symbols = args.sample_symbols(alice.symbols())?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads).build().or_exit(Exit::Internal)?;
    let start = Instant::now();
    let sent = match pool.install(|| look(&alice, &bob)) {
        Ok((sent, _)) => sent,
        Err(abort) => {
            let report = Report::new(args, alice.symbols(), start, &pool).aborted(Some(abort.to_string()));
            report.print(&Account::default(), &report.summary(&Account::default(), false), args.json);
            return Err(Failure::new(Exit::NoKey, abort));
        }
    };
    let protocol = protocol(args, &calibration, alice.symbols(), sample_symbols);
    #[expect(clippy::cast_possible_truncation, reason = "quadratures are single precision")]
    let recording = Recording {
        alice,
        bob,
        alice_scale: libm::sqrt(calibration.modulation_variance / sent) as f32,
        bob_scale: (1.0 / libm::sqrt(calibration.shot_noise)) as f32,
    };
    let mut distiller = Distiller {
        protocol: &protocol,
        calibration: record(&calibration),
        recording: &recording,
        told_snr: args.snr_db.map(|snr_db| libm::pow(10.0, snr_db / 10.0)),
        account: Account::default(),
    };
    let bar = (std::io::stderr().is_terminal() && !args.json).then(|| ProgressBar::new(0));
    let result = pool.install(|| {
        distiller.run(|done, all| {
            if let Some(bar) = &bar {
                bar.set_length(all as u64);
                bar.set_position(done as u64);
            }
        })
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let abort = result.as_ref().err().map(ToString::to_string);
    let report = Report::new(args, recording.alice.symbols(), start, &pool).aborted(abort);
    let equal = |pair: &Option<(BitBlock, BitBlock)>| pair.as_ref().is_none_or(|(alice, bob)| alice == bob);
    let mismatch = result.as_ref().is_ok_and(|distilled| !equal(&distilled.bits) || !equal(&distilled.key));
    let summary = report.summary(&distiller.account, result.is_ok() && !mismatch);
    report.print(&distiller.account, &summary, args.json);
    let distilled = result.or_exit(Exit::NoKey)?;
    if mismatch {
        return Err(Failure::new(Exit::KeyMismatch, anyhow!("verification passed, but the strings differ")));
    }
    match &args.out {
        Some(folder) => write(folder, &distilled, &summary),
        None => Ok(()),
    }
}

/// One block of the whole recording.
fn protocol(args: &Args, calibration: &Calibration, symbols: usize, sample_symbols: usize) -> Cv {
    Cv {
        symbols_per_frame: u32::try_from(symbols).unwrap_or(u32::MAX),
        frames_per_block: 1,
        sample_symbols,
        efficiency: calibration.efficiency,
        electronic_noise: calibration.electronic_noise,
        epsilon: args.epsilon,
        validity: Some(Validity { epsilon: args.calibration_epsilon, blocks: 1 }),
        calibration: Some(record(calibration)),
        method: args.method.of_plan(),
    }
}

/// The calibration as a receiver would tell it, in shot-noise units.
fn record(calibration: &Calibration) -> CalibrationRecord {
    let electronic = 0.5 * (calibration.electronic_noise[0] + calibration.electronic_noise[1]);
    CalibrationRecord {
        vacuum_samples: calibration.samples,
        vacuum_mean_square: 1.0 + electronic,
        electronic_samples: calibration.samples,
        electronic_mean_square: electronic,
    }
}

fn write(folder: &Path, distilled: &Distilled, summary: &Value) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string()).or_exit(Exit::Storage)?;
    let secret = |name: &str, bits: &BitBlock| {
        write_whole(&folder.join(name), &Zeroizing::new(bits.to_bytes())).or_exit(Exit::Storage)
    };
    if let Some((alice, bob)) = &distilled.bits {
        secret("alice.bits", alice)?;
        secret("bob.bits", bob)?;
    }
    if let Some((alice, bob)) = &distilled.key {
        secret("alice.key", alice)?;
        secret("bob.key", bob)?;
    }
    let report = format!("{summary:#}\n");
    write_whole(&folder.join("report.json"), report.as_bytes()).or_exit(Exit::Storage)
}

/// What is printed.
struct Report {
    symbols: usize,
    elapsed: Duration,
    threads: usize,
    epsilon: f64,
    abort: Option<String>,
}

impl Report {
    fn new(args: &Args, symbols: usize, start: Instant, pool: &rayon::ThreadPool) -> Self {
        let threads = pool.current_num_threads();
        Self { symbols, elapsed: start.elapsed(), threads, epsilon: args.epsilon, abort: None }
    }

    fn aborted(self, abort: Option<String>) -> Self {
        Self { abort, ..self }
    }

    fn summary(&self, account: &Account, equal: bool) -> Value {
        let frames = account.frames.len();
        let failed = account.frames.iter().filter(|frame| !frame.verified).count();
        let iterations: u64 = account.frames.iter().map(|frame| u64::from(frame.effort.iterations)).sum();
        let undetected = account.frames.iter().filter(|frame| frame.corrected && !frame.verified).count();
        let frame_symbols = account.plan.as_ref().map_or(0, Plan::frame_symbols);
        let seconds = self.elapsed.as_secs_f64();
        let mut object = json!({
            "event": "summary", "protocol": "cv", "method": account.plan.as_ref().map(Plan::method),
            "choice": account.choice, "symbols": self.symbols,
            "sample_symbols": account.sample_symbols, "n_symbols": frame_symbols, "frames": frames,
            "frames_failed": failed, "undetected": undetected, "fer": share(failed as f64, frames),
            "iterations": share(iterations as f64, frames),
            "leaked_bits": account.ledger.disclosed_bits(), "messages": account.messages,
            "kept_bits": account.kept_bits, "secret_bits": 0, "equal": equal, "seconds": seconds,
            "mbit_per_s": (frames * frame_symbols) as f64 / seconds / 1e6, "threads": self.threads,
            "isa": Isa::best().name(), "epsilon": self.epsilon,
            "disclosed": account.ledger.disclosures().collect::<std::collections::BTreeMap<_, _>>(),
        });
        if let Some(estimate) = &account.estimate {
            let snr = estimate.snr();
            object["snr"] = json!(snr);
            object["snr_db"] = json!(10.0 * libm::log10(snr));
            object["transmittance"] = json!(estimate.transmittance());
            object["transmittance_error"] = json!(estimate.transmittance_error());
            object["excess_noise_snu"] = json!(estimate.excess_noise());
            object["excess_noise_error_snu"] = json!(estimate.excess_noise_error());
            if let Some(plan) = &account.plan {
                object["rate"] = json!(plan.rate());
                object["beta"] = json!(plan.rate() / leaf::capacity(snr));
                object["beta_of_cap"] = json!(plan.rate() / capacity::gaussian(Dimension::Eight, snr));
            }
        }
        match &account.key_length {
            Some(Ok(length)) => {
                object["secret_bits"] = json!(length.secret_bits);
                let terms: std::collections::BTreeMap<_, _> = length.terms.iter().copied().collect();
                object["terms"] = json!(terms);
            }
            Some(Err(abort)) => object["no_key"] = json!(abort.to_string()),
            None => {}
        }
        if let Some(abort) = &self.abort {
            object["abort"] = json!(abort);
        }
        object
    }

    fn print(&self, account: &Account, summary: &Value, json: bool) {
        if json {
            for (index, frame) in account.frames.iter().enumerate() {
                say(&format!("{}", frame_json(index, frame, account)));
            }
            say(&summary.to_string());
            return;
        }
        let number = |field: &str| summary[field].as_f64().unwrap_or(f64::NAN);
        let (Some(estimate), Some(plan)) = (&account.estimate, &account.plan) else { return };
        say(&format!(
            "channel   T {:.4} ± {:.4}, ξ {:.4} ± {:.4} shot-noise units, SNR {:.2} dB",
            estimate.transmittance(),
            estimate.transmittance_error(),
            estimate.excess_noise(),
            estimate.excess_noise_error(),
            number("snr_db")
        ));
        if let Some(choice) = &account.choice {
            say(&format!("method    {choice}"));
        }
        say(&format!(
            "frames    {} of {} symbols at rate {:.4}, {} failed; β {:.4} ({:.4} of what dimension 8 allows), {:.1} iterations",
            account.frames.len(),
            plan.frame_symbols(),
            plan.rate(),
            number("frames_failed"),
            number("beta"),
            number("beta_of_cap"),
            number("iterations")
        ));
        match &account.key_length {
            Some(Ok(length)) => {
                say(&format!("key       {} bits of {} kept", length.secret_bits, account.kept_bits));
                length.terms.iter().for_each(|(name, value)| say(&format!("  {name:<22} {value}")));
            }
            Some(Err(abort)) => say(&format!("key       none: {abort}")),
            None => {}
        }
        say(&format!(
            "took      {:.2} s, {:.1} Mbit/s on {} threads",
            number("seconds"),
            number("mbit_per_s"),
            self.threads
        ));
    }
}

fn share(sum: f64, count: usize) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

fn frame_json(index: usize, frame: &FrameReport, account: &Account) -> Value {
    let rate = account.plan.as_ref().map_or(0.0, Plan::rate);
    json!({
        "event": "frame", "frame": index, "corrected": frame.corrected, "verified": frame.verified,
        "snr_db": 10.0 * libm::log10(frame.snr), "beta": rate / leaf::capacity(frame.snr),
        "iterations": frame.effort.iterations, "seconds": frame.took.as_secs_f64(),
    })
}
