//! How frames are reconciled: the code, what it tells at first and by increments, and why so much.

#![expect(clippy::cast_possible_truncation, reason = "places in a code word are far below 2^32")]

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::interleaver::Interleaver;
use crate::reconcile::codes::bsc::Code;
use crate::stage::Abort;
use crate::wire::{Malformed, Reader, Writer};

/// The highest error rate that is tried.
pub const MOST_QBER: f64 = 0.12;
/// The longest code word.
const MOST_BITS: usize = 1 << 20;
/// Code words are a multiple of this, as the interleaver wants it.
const GRAIN: usize = 4096;
/// Most block columns. Half as many would be too few at low error rates: columns of degree 20 need more rows.
const MOST_COLUMNS: usize = 511;
/// Seed of the codes in use.
const SEED: u64 = 1;
/// Increments of syndrome, in units of 1/64 of the first shot.
pub(super) const STEPS: [usize; 8] = [1, 1, 2, 2, 4, 4, 8, 8];
/// Increments of key bits.
const MOST_REVEALS: usize = 16;
/// Increments before a frame is given up.
pub(super) const MOST_INCREMENTS: u32 = (STEPS.len() + MOST_REVEALS) as u32;

/// Leak of a first shot in units of h₂ of the errors that are there, by error rate: where the codes decode
/// in about thirty iterations.
const EFFICIENCY: &[(f64, f64)] = &[
    (0.003, 1.28),
    (0.006, 1.145),
    (0.010, 1.108),
    (0.015, 1.102),
    (0.020, 1.096),
    (0.030, 1.094),
    (0.050, 1.092),
    (0.080, 1.10),
    (0.110, 1.13),
    (0.120, 1.14),
];
/// What code words of fewer bits need beyond it.
const SHORTER: &[(f64, f64)] = &[(4096.0, 0.12), (16_384.0, 0.04), (65_536.0, 0.02), (262_144.0, 0.0)];
/// A first shot is for as many errors as the mean and so many standard deviations: 0.6 % of the frames have
/// more.
const DEVIATIONS: f64 = 2.5;

/// How frames are reconciled: both sides hold the same.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Checks and half checks of the first shot, 64 a word.
    words: usize,
    frame_bits: usize,
    qber_ppm: u32,
    code: Arc<Code>,
}

impl Plan {
    /// The plan for `available_bits` of error rate `qber`: as few frames as the codes allow, of equal
    /// length but for the last.
    ///
    /// An estimate that is wrong by a factor of two costs efficiency, never correctness.
    ///
    /// # Errors
    /// [`Abort::TooNoisy`] above [`MOST_QBER`]; [`Abort::Unusable`] for no bits or no probability.
    pub fn choose(qber: f64, available_bits: usize) -> Result<Self, Abort> {
        if !(0.0..=1.0).contains(&qber) || available_bits == 0 {
            return Err(Abort::Unusable { reason: format!("{available_bits} bits of error rate {qber}") });
        }
        if qber > MOST_QBER {
            return Err(Abort::TooNoisy { qber, limit: MOST_QBER });
        }
        let frame_bits = cut(available_bits);
        let shape = Shape::of(frame_bits);
        let qber = qber.max(EFFICIENCY[0].0);
        let leak = first_leak(qber, frame_bits as f64) / 64.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most the words of a frame"
        )]
        let words = (libm::ceil(leak) as usize).clamp(shape.least_words(), shape.most_words());
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 120 000")]
        let qber_ppm = libm::round(qber * 1e6) as u32;
        Self::build(words, frame_bits, qber_ppm).ok_or_else(|| Abort::Unusable {
            reason: format!("no code of {words} words of syndrome for error rate {qber}"),
        })
    }

    fn build(words: usize, frame_bits: usize, qber_ppm: u32) -> Option<Self> {
        let code = code(Shape::of(frame_bits), words)?;
        let words = words.max(code.checks() / 64);
        Some(Self { words, frame_bits, qber_ppm, code })
    }

    /// Bits of a frame; a shorter one is filled up.
    #[must_use]
    pub fn frame_bits(&self) -> usize {
        self.frame_bits
    }

    /// Bits of the first shot's syndrome.
    #[must_use]
    pub fn syndrome_bits(&self) -> usize {
        self.words * 64
    }

    /// The words that this shot tells: the first is number 0, then come the increments. Words behind the
    /// syndrome are the half checks.
    pub(super) fn told(&self, shot: usize) -> Range<usize> {
        let steps = |shots: usize| STEPS[..shots.min(STEPS.len())].iter().sum::<usize>();
        let end = |shot: usize| {
            (self.words + (self.words * steps(shot)).div_ceil(64)).min(2 * self.code.checks() / 64)
        };
        if shot == 0 { 0..self.words } else { end(shot - 1)..end(shot) }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// The error rate planned for.
    #[must_use]
    pub fn qber(&self) -> f64 {
        f64::from(self.qber_ppm) * 1e-6
    }

    /// Writes the plan: words of syndrome, frame length, error rate in parts per million.
    pub fn write(&self, writer: &mut Writer) {
        writer.count(self.words).count(self.frame_bits).u32(self.qber_ppm);
    }

    /// Reads a plan.
    ///
    /// # Errors
    /// [`Malformed`] if no honest side makes such a plan.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let malformed = Malformed::Field { field: "ldpc plan" };
        let words = reader.count(MOST_BITS / 64, "ldpc plan")?;
        let frame_bits = reader.count(MOST_BITS, "ldpc plan")?;
        let qber_ppm = reader.u32()?;
        let shape = Shape::of(frame_bits);
        if frame_bits == 0 || !(shape.least_words()..=shape.most_words()).contains(&words) {
            return Err(malformed);
        }
        let plan = Self::build(words, frame_bits, qber_ppm).filter(|plan| plan.words == words);
        plan.filter(|plan| plan.qber() > 0.0 && plan.qber() <= MOST_QBER).ok_or(malformed)
    }

    /// Where the bits of a frame stand in the code word.
    pub(super) fn interleaver(&self) -> Interleaver {
        Interleaver::new(self.code.bits())
    }

    /// The frame bits of a reveal, for a frame of `length` bits.
    pub(super) fn revealed(&self, reveal: usize, length: usize) -> impl Iterator<Item = usize> + use<> {
        let step = length.div_ceil(64);
        let stride = coprime(length);
        let first = reveal * step;
        (first..(first + step).min(length)).map(move |k| (k as u64 * stride as u64 % length as u64) as usize)
    }
}

/// Block columns and lift of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    columns: usize,
    lift: usize,
}

impl Shape {
    /// Of the code for a frame: its bits up to the next 4096. There are at most twice as many columns as a block has
    /// bits, or cycles of four edges could not be avoided.
    fn of(frame_bits: usize) -> Self {
        let bits = frame_bits.clamp(1, MOST_BITS).next_multiple_of(GRAIN);
        let lift = (bits / 2).isqrt().max(bits.div_ceil(MOST_COLUMNS)).next_power_of_two();
        Self { columns: bits / lift, lift }
    }

    /// The fewest words of syndrome: four block rows.
    fn least_words(self) -> usize {
        self.lift / 64 * 4
    }

    /// The most words of syndrome: three quarters of the code word.
    fn most_words(self) -> usize {
        self.columns * self.lift / 64 * 3 / 4
    }
}

/// The codes asked for last: a session's blocks ask for few, and one takes a millisecond to build. They are public, and of
/// some 30 kB each.
static KEPT: Mutex<VecDeque<(Asked, Arc<Code>)>> = Mutex::new(VecDeque::new());

/// Codes kept.
const MOST_KEPT: usize = 4;

/// A code's shape, and the block rows it was to have at least.
type Asked = (Shape, usize);

/// The code of this shape that tells no more than so many words of syndrome, or as few as it can.
fn code(shape: Shape, words: usize) -> Option<Arc<Code>> {
    let asked = (shape, words * 64 / shape.lift);
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, code)) = kept().iter().find(|(own, _)| *own == asked) {
        return Some(code.clone());
    }
    // A row too heavy for the decoder becomes lighter with more rows.
    let mut rows = asked.1..=shape.columns * 3 / 4;
    let code = Arc::new(rows.find_map(|checks| Code::build(shape.columns, checks, shape.lift, SEED))?);
    let mut kept = kept();
    kept.truncate(MOST_KEPT - 1);
    kept.push_front((asked, code.clone()));
    Some(code)
}

/// Length of a frame of so many bits.
fn cut(available_bits: usize) -> usize {
    available_bits.div_ceil(available_bits.div_ceil(MOST_BITS).max(1))
}

/// Bits that the first shots for `available_bits` of error rate `qber` tell, foretold without building a code:
/// what [`Plan::choose`] aims at, in bits.
#[must_use]
pub fn expected_leak_bits(qber: f64, available_bits: usize) -> f64 {
    let frame_bits = cut(available_bits) as f64;
    let share = first_leak(qber.clamp(EFFICIENCY[0].0, MOST_QBER), frame_bits) / frame_bits;
    share * available_bits as f64
}

/// A stride near the golden section of a length that visits every place.
fn coprime(length: usize) -> usize {
    fn divisor(a: usize, b: usize) -> usize {
        if b == 0 { a } else { divisor(b, a % b) }
    }
    let near = ((length as u64 * 0x9e37_79b9) >> 32) as usize;
    (near.max(1)..).find(|stride| divisor(*stride, length) == 1).unwrap_or(1)
}

/// h₂.
pub(super) fn entropy(p: f64) -> f64 {
    -(p * libm::log2(p) + (1.0 - p) * libm::log2(1.0 - p))
}

/// Bits that the first shot for a frame of `bits` tells.
fn first_leak(qber: f64, bits: f64) -> f64 {
    let efficiency = between(EFFICIENCY, qber) + between(SHORTER, bits);
    let deviation = libm::sqrt(qber * (1.0 - qber) / bits);
    efficiency * entropy((qber + DEVIATIONS * deviation).min(0.5)) * bits
}

/// The value of a table at x: between two rows straight in ln x, before the first and behind the last theirs.
fn between(table: &[(f64, f64)], x: f64) -> f64 {
    let above = table.iter().position(|(own, _)| *own >= x).unwrap_or(table.len() - 1).max(1);
    let ((low, lower), (high, upper)) = (table[above - 1], table[above]);
    let toward = ((libm::log(x) - libm::log(low)) / (libm::log(high) - libm::log(low))).clamp(0.0, 1.0);
    lower + (upper - lower) * toward
}
