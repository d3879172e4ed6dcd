//! `keystill bench timing`: whether secrets show in the time that tags, comparisons and hashes take.
//!
//! Reparaz, Balasch, Verbauwhede, "Dude, is my code constant time?" (DATE 2017): inputs of two classes, one
//! fixed and one random, come in random order; Welch's t-test compares their times, over all samples and
//! over those below each of a hundred thresholds, which cuts off what the operating system interrupts. The
//! largest |t| tells: below 5, no difference was found.

use std::hint::black_box;
use std::time::Instant;

use anyhow::anyhow;
use keystill::Isa;
use keystill::amplify::{Matrix, Toeplitz};
use keystill::auth::{Pad, Pool, Tag, Transcript};
use keystill::bits::BitBlock;
use keystill::stage::Role;
use serde_json::json;

use super::auth::Dice;
use crate::cli::{Exit, Failure, OrExit};

/// Whether secrets show in the time that an operation takes (dudect).
///
/// tag: key and message zero or random. compare: equal tags or others. amplify: raw key zero or random,
/// n = 4096. control: a comparison that stops at the first difference, to show that the test finds it.
///
/// Example: keystill bench timing --subject tag,compare --samples 10000000
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// What is timed.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Subject::Tag, Subject::Compare, Subject::Amplify])]
    subject: Vec<Subject>,
    /// Samples of each; amplify takes a tenth.
    #[arg(long, default_value_t = 1_000_000)]
    samples: u64,
    /// One JSON object a subject.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Subject {
    Tag,
    Compare,
    Amplify,
    Control,
}

/// |t| below which no difference was found.
const LIMIT: f64 = 5.0;
/// Inputs made at a time.
const BATCH: u64 = 1 << 12;
/// Comparisons a sample: one alone is below the clock's resolution.
const COMPARISONS: usize = 32;
/// Bits of the raw key that is hashed, and of the key.
const INPUT_BITS: usize = 4_096;
const OUTPUT_BITS: usize = 1_638;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let isa = Isa::best();
    let mut shown = Vec::new();
    for subject in &args.subject {
        let samples = if *subject == Subject::Amplify { args.samples / 10 } else { args.samples };
        let start = Instant::now();
        let found = measure(isa, *subject, samples.max(BATCH)).or_exit(Exit::Internal)?;
        let name = format!("{subject:?}").to_lowercase();
        let (t, means) = (found.largest(), found.means());
        if args.json {
            let object = json!({
                "stage": "timing", "subject": name, "samples": found.samples(), "t": t, "limit": LIMIT,
                "mean_ns": means, "seconds": start.elapsed().as_secs_f64(), "isa": isa.name(),
            });
            println!("{object}");
        } else {
            println!(
                "{name:<8} {:>10} samples  |t| {t:>7.2}  fixed {:.1} ns, random {:.1} ns",
                found.samples(),
                means[0],
                means[1]
            );
        }
        if t >= LIMIT && *subject != Subject::Control {
            shown.push(name);
        }
    }
    if shown.is_empty() {
        return Ok(());
    }
    let error =
        anyhow!("the time of {} depends on secrets, or the machine was busy: repeat", shown.join(", "));
    Err(Failure::new(Exit::Internal, error))
}

/// Times a subject, batch by batch; the first batch warms up and sets the thresholds.
fn measure(isa: Isa, subject: Subject, samples: u64) -> anyhow::Result<Comparison> {
    let mut dice = Dice(1);
    let warm = batch(isa, subject, &mut dice)?;
    let mut comparison = Comparison::new(warm.into_iter().map(|(_, time)| time).collect());
    while comparison.samples() < samples {
        for (class, time) in batch(isa, subject, &mut dice)? {
            comparison.add(class, time);
        }
    }
    Ok(comparison)
}

/// Class and time in nanoseconds of each sample.
fn batch(isa: Isa, subject: Subject, dice: &mut Dice) -> anyhow::Result<Vec<(usize, f64)>> {
    match subject {
        Subject::Tag => tags(isa, dice),
        Subject::Compare => Ok(comparisons(dice, |a, b| a.matches(b))),
        Subject::Control => {
            Ok(comparisons(dice, |a, b| (0..16).all(|i| black_box(a.0[i]) == black_box(b.0[i]))))
        }
        Subject::Amplify => hashes(isa, dice),
    }
}

/// Draws a class; the bytes of class 0 are zero. Both classes cost the same to make.
fn classed(dice: &mut Dice, bytes: &mut [u8]) -> usize {
    let random = dice.next() >> 63;
    dice.fill(bytes);
    let mask = 0u8.wrapping_sub(u8::from(random == 1));
    bytes.iter_mut().for_each(|byte| *byte &= mask);
    usize::from(random == 1)
}

fn timed<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64() * 1e9, result)
}

fn tags(isa: Isa, dice: &mut Dice) -> anyhow::Result<Vec<(usize, f64)>> {
    type Prepared = (usize, Transcript, Pad, [u8; 256]);
    let mut prepared: Vec<Prepared> = Vec::new();
    for _ in 0..BATCH {
        let mut secret = [0; Pool::MINIMUM_BYTES + 256];
        let class = classed(dice, &mut secret);
        let (pre_shared, text) = secret.split_at(Pool::MINIMUM_BYTES);
        let mut pool = Pool::from_pre_shared(pre_shared)?;
        let mut message = [0; 256];
        message.copy_from_slice(text);
        prepared.push((class, pool.transcript(isa, Role::Alice), pool.pad(Role::Alice)?, message));
    }
    let sample = |(class, mut transcript, pad, message): Prepared| {
        let (time, _) = timed(|| {
            transcript.absorb(black_box(&message));
            black_box(transcript.tag(pad))
        });
        (class, time)
    };
    Ok(prepared.into_iter().map(sample).collect())
}

fn comparisons(dice: &mut Dice, matches: impl Fn(&Tag, &Tag) -> bool) -> Vec<(usize, f64)> {
    let mut prepared = Vec::new();
    for _ in 0..BATCH {
        let (mut tag, mut difference) = ([0; 16], [0; 16]);
        dice.fill(&mut tag);
        let class = classed(dice, &mut difference);
        let other: [u8; 16] = std::array::from_fn(|i| tag[i] ^ difference[i]);
        prepared.push((class, Tag(tag), Tag(other)));
    }
    let sample = |(class, a, b): (usize, Tag, Tag)| {
        let (time, _) = timed(|| {
            for _ in 0..COMPARISONS {
                black_box(matches(black_box(&a), black_box(&b)));
            }
        });
        (class, time)
    };
    prepared.into_iter().map(sample).collect()
}

fn hashes(isa: Isa, dice: &mut Dice) -> anyhow::Result<Vec<(usize, f64)>> {
    let hash = Toeplitz::new(Matrix::Modified, INPUT_BITS, OUTPUT_BITS)?;
    let mut seed = vec![0; hash.seed_bits().div_ceil(8)];
    dice.fill(&mut seed);
    let seed = BitBlock::from_bytes(&seed, hash.seed_bits());
    let prepared: Vec<(usize, BitBlock)> = (0..BATCH / 16)
        .map(|_| {
            let mut bytes = [0; INPUT_BITS / 8];
            let class = classed(dice, &mut bytes);
            (class, BitBlock::from_bytes(&bytes, INPUT_BITS))
        })
        .collect();
    let sample = |(class, input): (usize, BitBlock)| {
        let (time, key) = timed(|| hash.hash(isa, black_box(&input), &seed));
        key.map(|key| (class, black_box((time, key)).0)).map_err(Into::into)
    };
    prepared.into_iter().map(sample).collect()
}

/// Thresholds below which samples are compared, besides all of them.
const CROPS: i32 = 100;

/// Welch's t-test of two classes, under every threshold at once.
struct Comparison {
    thresholds: Vec<f64>,
    /// By threshold, then by class.
    sums: Vec<[Sums; 2]>,
}

/// Welford's running sums.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }

    /// The variance of the mean.
    fn error(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

impl Comparison {
    /// Thresholds at the quantiles 1 − 2^(−10 i/100) of a first batch, and none at all.
    fn new(mut first: Vec<f64>) -> Self {
        first.sort_by(f64::total_cmp);
        let quantile = |i: i32| {
            let share = 1.0 - (-10.0 * f64::from(i) / f64::from(CROPS)).exp2();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a place in the list"
            )]
            let place = (share * first.len() as f64) as usize;
            first.get(place).copied().unwrap_or(f64::INFINITY)
        };
        let thresholds: Vec<f64> = (1..=CROPS).map(quantile).chain([f64::INFINITY]).collect();
        let sums = vec![[Sums::default(); 2]; thresholds.len()];
        Self { thresholds, sums }
    }

    fn add(&mut self, class: usize, time: f64) {
        for (threshold, sums) in self.thresholds.iter().zip(&mut self.sums).rev() {
            if time > *threshold {
                break;
            }
            sums[class].add(time);
        }
    }

    fn samples(&self) -> u64 {
        let all = self.sums.last().map_or(0.0, |[a, b]| a.count + b.count);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let samples = all as u64;
        samples
    }

    /// Means in nanoseconds of what lies below the threshold that cuts off a thousandth.
    fn means(&self) -> [f64; 2] {
        self.sums.get(98).map_or([0.0; 2], |[a, b]| [a.mean, b.mean])
    }

    /// The largest |t| under thresholds that leave enough samples.
    fn largest(&self) -> f64 {
        let t = |[a, b]: &[Sums; 2]| {
            let error = a.error() + b.error();
            let enough = a.count > 1_000.0 && b.count > 1_000.0 && error > 0.0;
            if enough { ((a.mean - b.mean) / error.sqrt()).abs() } else { 0.0 }
        };
        self.sums.iter().map(t).fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of a machine that is interrupted now and then; class 1 takes `slower` longer.
    fn compared(slower: f64) -> f64 {
        let mut dice = Dice(3);
        let sample = |dice: &mut Dice| {
            let class = (dice.next() >> 63) as usize;
            let uniform = (dice.next() >> 11) as f64 / (1u64 << 53) as f64;
            let interrupted = if dice.next().is_multiple_of(100) { 5_000.0 * uniform } else { 0.0 };
            (class, 100.0 + 10.0 * uniform + interrupted + slower * class as f64)
        };
        let first = (0..5_000).map(|_| sample(&mut dice).1).collect();
        let mut comparison = Comparison::new(first);
        for _ in 0..200_000 {
            let (class, time) = sample(&mut dice);
            comparison.add(class, time);
        }
        assert_eq!(comparison.samples(), 200_000, "every sample counts");
        comparison.largest()
    }

    #[test]
    fn a_difference_of_a_thousandth_is_found_and_none_where_there_is_none() {
        let (none, some) = (compared(0.0), compared(0.1));
        assert!(none < LIMIT, "no difference, but |t| = {none}");
        assert!(some > LIMIT, "a tenth of a nanosecond in 105, but |t| = {some}");
    }

    #[test]
    fn every_subject_can_be_timed() {
        for subject in [Subject::Tag, Subject::Compare, Subject::Amplify, Subject::Control] {
            let found = measure(Isa::best(), subject, 1_000).unwrap();
            assert!(found.samples() >= 1_000, "{subject:?}: {} samples", found.samples());
            assert!(found.largest().is_finite(), "{subject:?}");
        }
    }
}
