//! `keystill bench cv`.

#![expect(clippy::cast_possible_truncation, reason = "simulated symbols are single precision")]

use std::time::{Duration, Instant};

use keystill::Isa;
use keystill::bits::BitBlock;
use keystill::cv::rotation::{self, Channel, Dimension, capacity};
use keystill::reconcile::leaf::{self, Plan};
use keystill::reconcile::slices::{self, Evidence};
use keystill::reconcile::{self, Reconciled, Task};
use keystill::stage::Workbench;
use keystill::stage::loopback::Loopback;
use keystill_kernels::gf128;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::json;

use crate::cli::{Exit, Failure, OrExit};

/// Rates and signal-to-noise ratios measured when none are named.
const POINTS: [(f64, f64); 7] =
    [(0.25, -3.4), (0.2, -4.6), (0.15, -6.0), (0.1, -8.0), (0.05, -11.2), (0.02, -15.25), (0.02, -15.2)];
/// The same at the highest efficiency, where one frame in ten may fail.
const HIGHEST_POINTS: [(f64, f64); 3] = [(0.1, -8.063), (0.05, -11.266), (0.02, -15.354)];
/// Signal-to-noise ratios of slices, which choose their rates themselves.
const SLICES_POINTS: [f64; 4] = [-2.3, 0.0, 3.0, 6.0];
/// The same for QPSK: 0.95 of the capacity.
const QPSK_POINTS: [(f64, f64); 1] = [(0.1, -8.045)];

/// Reconcile CV-QKD frames over a simulated channel: efficiency, failures, speed.
///
/// With --method slices quadratures are cut into slices instead of rotated, at the rates that distillation would choose.
/// Both parties' work counts: rotation, soft bits, syndrome, decoding, verification hash. Making the
/// noise does not. `msymbol_per_cpu_s` is the same speed by processor time: on a machine that others use,
/// what it would be without them.
///
/// Examples: keystill bench cv --rate 0.15 --snr-db=-6 --frames 300 --json
///           keystill bench cv --method slices --snr-db 3 --frames 100
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Code rate; with --snr-db, the only point measured.
    #[arg(long, requires = "snr_db")]
    rate: Option<f64>,
    /// Signal-to-noise ratio of a real symbol in dB.
    #[arg(long, allow_negative_numbers = true)]
    snr_db: Option<f64>,
    /// Frames a point.
    #[arg(long, default_value_t = 100, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    frames: usize,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How quadratures become bits.
    #[arg(long, value_enum, default_value_t = Method::Rotation)]
    method: Method,
    /// Modulation: rotations of dimension 8, or signs alone.
    #[arg(long, value_enum, default_value_t = Modulation::Gaussian)]
    modulation: Modulation,
    /// Where rate and size come from: swift, or as efficient as the codes can be.
    #[arg(long, value_enum, default_value_t = Quality::Balanced)]
    quality: Quality,
    /// Information bits of the code, a multiple of 512; by default the most that the quality uses.
    #[arg(long)]
    information_bits: Option<u32>,
    /// Of the simulated channel.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object a point.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Modulation {
    Gaussian,
    Qpsk,
}

impl Modulation {
    fn dimension(self) -> Dimension {
        match self {
            Self::Gaussian => Dimension::Eight,
            Self::Qpsk => Dimension::One,
        }
    }

    fn cap(self, snr: f64) -> f64 {
        match self {
            Self::Gaussian => capacity::gaussian(Dimension::Eight, snr),
            Self::Qpsk => capacity::binary(snr),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Method {
    Rotation,
    Slices,
}

/// How a point is measured.
#[derive(Clone, Copy, Debug)]
enum Way {
    Rotated(Plan, Modulation),
    Sliced(slices::Plan),
}

impl Way {
    fn sliced(snr: f64) -> anyhow::Result<Self> {
        Ok(Self::Sliced(slices::Plan::choose(snr, libm::sqrt(1.0 + 1.0 / snr), usize::MAX)?))
    }

    fn symbols(&self) -> usize {
        match self {
            Self::Rotated(plan, _) => plan.frame_bits(),
            Self::Sliced(plan) => plan.symbols(),
        }
    }

    fn rate(&self) -> f64 {
        match self {
            Self::Rotated(plan, _) => plan.rate(),
            Self::Sliced(plan) => plan.rate(),
        }
    }

    fn modulation(&self) -> Modulation {
        match self {
            Self::Rotated(_, modulation) => *modulation,
            Self::Sliced(_) => Modulation::Gaussian,
        }
    }

    /// The most that perfect codes reach.
    fn cap(&self, snr: f64) -> f64 {
        match self {
            Self::Rotated(_, modulation) => modulation.cap(snr),
            Self::Sliced(_) => slices::information(snr).iter().sum(),
        }
    }

    fn method(&self) -> &'static str {
        match self {
            Self::Rotated(..) => "rotation",
            Self::Sliced(_) => "slices",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Quality {
    Balanced,
    Highest,
}

impl Quality {
    fn of_plan(self) -> leaf::Quality {
        match self {
            Self::Balanced => leaf::Quality::Balanced,
            Self::Highest => leaf::Quality::Highest,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "every command has this shape")]
pub(crate) fn run(args: Args) -> Result<(), Failure> {
    if args.method == Method::Slices {
        if args.rate.is_some() || args.modulation != Modulation::Gaussian {
            let error =
                anyhow::anyhow!("slices are of Gaussian values and choose their rates: leave the option out");
            return Err(Failure::new(Exit::Usage, error));
        }
        for snr_db in args.snr_db.map_or(SLICES_POINTS.to_vec(), |snr_db| vec![snr_db]) {
            point(Way::sliced(libm::pow(10.0, snr_db / 10.0)).or_exit(Exit::Usage)?, snr_db, &args)?;
        }
        return Ok(());
    }
    let known = match (args.modulation, args.quality) {
        (Modulation::Qpsk, _) => &QPSK_POINTS[..],
        (Modulation::Gaussian, Quality::Balanced) => &POINTS,
        (Modulation::Gaussian, Quality::Highest) => &HIGHEST_POINTS,
    };
    let points = match args.snr_db {
        Some(snr_db) => vec![(args.rate, snr_db)],
        None => known.iter().map(|(rate, snr_db)| (Some(*rate), *snr_db)).collect(),
    };
    for (rate, snr_db) in points {
        let snr = libm::pow(10.0, snr_db / 10.0);
        let plan = match rate {
            Some(rate) => Plan::with_rate(rate, information_bits(rate, &args) / 64),
            None => Plan::choose_for(args.quality.of_plan(), snr, usize::MAX),
        };
        point(Way::Rotated(plan.or_exit(Exit::Usage)?, args.modulation), snr_db, &args)?;
    }
    Ok(())
}

fn point(way: Way, snr_db: f64, args: &Args) -> Result<(), Failure> {
    let tally = measure(way, libm::pow(10.0, snr_db / 10.0), args).or_exit(Exit::Internal)?;
    report(way, snr_db, &tally, args);
    Ok(())
}

fn information_bits(rate: f64, args: &Args) -> u32 {
    args.information_bits.unwrap_or_else(|| 64 * args.quality.of_plan().information_blocks(rate))
}

/// What the frames of a point came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    frames: usize,
    failed: usize,
    undetected: usize,
    iterations: u64,
    busy: Duration,
    /// Processor time, where the system tells it.
    computing: Option<Duration>,
}

fn report(way: Way, snr_db: f64, tally: &Tally, args: &Args) {
    let snr = libm::pow(10.0, snr_db / 10.0);
    let (beta, frames) = (way.rate() / leaf::capacity(snr), tally.frames as f64);
    let (of_cap, fer) = (way.rate() / way.cap(snr), tally.failed as f64 / frames);
    let iterations = tally.iterations as f64 / frames;
    let symbols = way.symbols() as f64 * frames;
    let per_second = |time: Duration| symbols * args.threads as f64 / time.as_secs_f64() / 1e6;
    let (speed, unshared) = (per_second(tally.busy), tally.computing.map(per_second));
    if args.json {
        let line = json!({
            "stage": "cv", "method": way.method(), "rate": way.rate(), "snr_db": snr_db, "beta": beta, "beta_of_cap": of_cap,
            "n_symbols": way.symbols(), "frames": tally.frames, "fer": fer,
            "undetected": tally.undetected, "iterations": iterations, "threads": args.threads,
            "isa": Isa::best().name(), "msymbol_per_s": speed, "msymbol_per_cpu_s": unshared,
        });
        println!("{line}");
        return;
    }
    println!(
        "rate {:.4}  {snr_db:>6.2} dB  β {beta:.4} ({of_cap:.4} of the cap)  {} symbols  FER {}/{}  \
         undetected {}  {iterations:.1} iterations  {speed:.1} Msymbol/s on {} threads ({}{})",
        way.rate(),
        way.symbols(),
        tally.failed,
        tally.frames,
        tally.undetected,
        args.threads,
        Isa::best(),
        unshared.map(|speed| format!("; {speed:.1} by processor time")).unwrap_or_default(),
    );
}

fn measure(way: Way, snr: f64, args: &Args) -> anyhow::Result<Tally> {
    let threads = args.threads.max(1);
    let work = |thread: usize| {
        let mut bench = Workbench::new(Isa::best());
        let mut tally = Tally::default();
        // The code is built once a link, on the first frame.
        let mut world = World::new(args.seed, u64::MAX);
        let sample = world.frame(way, snr);
        one_frame(way, sample, snr, &mut bench, &mut Tally::default())?;
        for frame in (thread..args.frames).step_by(threads) {
            let mut world = World::new(args.seed, frame as u64);
            let frame = world.frame(way, snr);
            one_frame(way, frame, snr, &mut bench, &mut tally)?;
        }
        anyhow::Ok(tally)
    };
    std::thread::scope(|scope| {
        let work = &work;
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        let mut sum = Tally::default();
        for handle in handles {
            let part = handle.join().map_err(|_| anyhow::anyhow!("a worker panicked"))??;
            sum.frames += part.frames;
            sum.failed += part.failed;
            sum.undetected += part.undetected;
            sum.iterations += part.iterations;
            sum.busy += part.busy;
            sum.computing = sum.computing.into_iter().chain(part.computing).reduce(|a, b| a + b);
        }
        Ok(sum)
    })
}

/// Both parties' way of one frame, timed.
fn one_frame(
    way: Way,
    (x, y, bits): (Vec<f32>, Vec<f32>, BitBlock),
    snr: f64,
    bench: &mut Workbench,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let isa = bench.isa();
    let (begin, computed) = (Instant::now(), computed());
    let [reference, corrector] = tasks(way, (x, y, bits), snr, bench)?;
    let (mut reference, mut corrector) = (reference.converse(), corrector.converse());
    let (kept, corrected): (Reconciled, Reconciled) =
        Loopback::new().hold(bench, &mut *reference, &mut *corrector)?;
    let both = kept.bits.as_ref().zip(corrected.bits.as_ref());
    let equal = both.map(|(kept, found)| hash(isa, kept) == hash(isa, found));
    tally.busy += begin.elapsed();
    let took = self::computed().zip(computed).map(|(end, begin)| end.saturating_sub(begin));
    tally.computing = tally.computing.into_iter().chain(took).reduce(|a, b| a + b);
    tally.frames += 1;
    tally.iterations += u64::from(corrected.effort.iterations);
    tally.failed += usize::from(equal != Some(true));
    // Wrong bits that satisfy the syndrome: the hash is what finds them.
    tally.undetected += usize::from(both.is_some_and(|(kept, found)| kept != found));
    Ok(())
}

/// A frame of both sides, from quadratures to what is reconciled.
fn tasks(
    way: Way,
    (x, y, bits): (Vec<f32>, Vec<f32>, BitBlock),
    snr: f64,
    bench: &Workbench,
) -> anyhow::Result<[Task; 2]> {
    Ok(match way {
        Way::Rotated(plan, modulation) => {
            let plan = reconcile::Plan::Leaf(plan);
            let side = rotation::harden(bench.isa(), modulation.dimension(), &y, &bits)?;
            let llrs = rotation::soften(bench.isa(), &side, &x, Channel { gain: 1.0, variance: 1.0 / snr })?;
            [Task::reference(&plan, bits)?, Task::corrector(&plan, llrs)?]
        }
        Way::Sliced(own) => {
            let plan = reconcile::Plan::Slices(own);
            let evidence = Evidence::new(x, 1.0, 1.0 / snr);
            [Task::reference(&plan, slices::cut(bench, &own, &y)?)?, Task::sliced(&plan, evidence)?]
        }
    })
}

/// Processor time of this thread so far, as Linux tells it: what a machine that others use takes nothing of.
fn computed() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The hash that verification compares, with a key of no secrecy.
fn hash(isa: Isa, bits: &BitBlock) -> u128 {
    const KEY: u128 = 0x6b65_7973_7469_6c6c_6b65_7973_7469_6c6d;
    let mut bytes = bits.to_bytes();
    bytes.resize(bytes.len().next_multiple_of(16), 0);
    gf128::horner(isa, KEY, 0, &bytes)
}

/// A seeded channel.
struct World {
    random: ChaCha8Rng,
}

impl World {
    fn new(seed: u64, frame: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(frame);
        Self { random }
    }

    /// x of unit power, y = x + noise, and uniform bits.
    fn frame(&mut self, way: Way, snr: f64) -> (Vec<f32>, Vec<f32>, BitBlock) {
        let (symbols, modulation) = (way.symbols(), way.modulation());
        let words = (0..symbols / 64).map(|_| self.random.next_u64()).collect();
        let deviation = libm::sqrt(1.0 / snr) as f32;
        let (mut x, mut y) = (Vec::with_capacity(symbols), Vec::with_capacity(symbols));
        for _ in 0..symbols {
            let (a, b) = self.gaussians();
            let sent = match modulation {
                Modulation::Gaussian => a,
                Modulation::Qpsk => a.signum(),
            };
            x.push(sent);
            y.push(sent + deviation * b);
        }
        (x, y, BitBlock::from_words(words, symbols))
    }

    /// Two normal numbers (Box and Muller).
    fn gaussians(&mut self) -> (f32, f32) {
        let word = self.random.next_u64();
        let uniform = |bits: u64| ((bits as u32) as f32 + 0.5) / 4_294_967_296.0;
        let radius = libm::sqrtf(-2.0 * libm::logf(uniform(word)));
        let angle = std::f32::consts::TAU * uniform(word >> 32);
        (radius * libm::cosf(angle), radius * libm::sinf(angle))
    }
}
