//! Parameter estimation of CV-QKD, from all frames, after correction.
//!
//! The model of a real symbol of heterodyne detection, in shot-noise units (vacuum variance 1):
//! y = t·x + z with t = √(ηT/2) and Var z = σ² = 1 + v_el + ηT·ξ/2, where η is the receiver's
//! efficiency, v_el its electronic noise a quadrature, T the channel's transmittance and ξ the excess
//! noise at its input. Maximum likelihood over m symbols:
//!
//! t̂ = Σxy/Σx², σ̂² = (Σy² − t̂·Σxy)/m; Var t̂ = σ²/(m·V_A), Var σ̂² = 2σ⁴/m;
//! T̂ = 2t̂²/η, ξ̂ = (σ̂² − 1 − v_el)/t̂².
//!
//! The shot-noise unit N₀ is itself an estimate: vacuum samples have mean square N₀ + electronic
//! noise, with relative variance 2/N_cal. In the receiver's units ξ̂·t̂² = (s² − vacuum)/N₀, s² being
//! the noise with the signal on: the error of the vacuum measurement enters ξ directly and is
//! part of its standard error.
//!
//! Sums are kept in fixed point, so that adding tallies is associative: neither the order of frames
//! nor the number of threads can change an estimate.

use std::ops::AddAssign;

use keystill_kernels::Isa;
use keystill_kernels::rotation::dot;

use super::frame::CalibrationRecord;
use super::rotation::{self, SideInfo};
use super::security::Moments;
use crate::bits::BitBlock;
use crate::stage::Abort;
use crate::wire::{Malformed, Reader, Writer};

/// Fractional bits of a sum.
const SUM_SCALE: f64 = (1u64 << 40) as f64;
/// A frame's sum above this is no physical signal.
const LARGEST_SUM: f64 = 1e15;

/// A sum in fixed point, 2⁻⁴⁰ of a shot-noise unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum(i128);

impl Sum {
    fn new(value: f64) -> Result<Self, Abort> {
        if value.abs() < LARGEST_SUM {
            #[expect(clippy::cast_possible_truncation, reason = "below 2⁹⁰")]
            return Ok(Self(libm::rint(value * SUM_SCALE) as i128));
        }
        Err(Abort::Unusable { reason: "quadratures are not finite or far out of range".to_owned() })
    }

    fn value(self) -> f64 {
        self.0 as f64 / SUM_SCALE
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

/// Second moments of x and y over some frames. Adding tallies joins the frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    symbols: u64,
    alice: Sum,
    cross: Sum,
    bob: Sum,
    rounding: Sum,
}

impl Tally {
    /// Moments of both sides' symbols where both are known: a disclosed sample. `x` in square roots
    /// of shot-noise units as prepared, `y` as measured.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if the lengths differ or a symbol is not finite.
    pub fn of_sample(isa: Isa, x: &[f32], y: &[f32]) -> Result<Self, Abort> {
        check_lengths(x, y)?;
        Ok(Self {
            symbols: x.len() as u64,
            alice: Sum::new(dot(isa, x, x))?,
            cross: Sum::new(dot(isa, x, y))?,
            bob: Sum::new(dot(isa, y, y))?,
            rounding: Sum::default(),
        })
    }

    /// Moments of a corrected or opened frame: the correcting side's `x`, the `rebuilt` symbols of
    /// the reference side, and what that side stated of its own rounding.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if the lengths differ, a symbol is not finite, or the statement of the
    /// reference side cannot be true.
    pub fn of_frame(isa: Isa, x: &[f32], rebuilt: &[f32], side: &SideInfo) -> Result<Self, Abort> {
        Self::of_rebuilt(isa, x, rebuilt, [side.square(), side.cross()])
    }

    /// The same, with the two sums as the reference side stated them: Σy² and Σy·ỹ, y being its symbols and
    /// ỹ what is rebuilt.
    ///
    /// # Errors
    /// Those of [`of_frame`](Self::of_frame).
    pub fn of_rebuilt(
        isa: Isa,
        x: &[f32],
        rebuilt: &[f32],
        [square, cross]: [f64; 2],
    ) -> Result<Self, Abort> {
        check_lengths(x, rebuilt)?;
        let share = share(square, cross)?;
        let rounding = dot(isa, rebuilt, rebuilt) - share * cross;
        Ok(Self {
            symbols: x.len() as u64,
            alice: Sum::new(dot(isa, x, x))?,
            cross: Sum::new(dot(isa, x, rebuilt) / share)?,
            bob: Sum::new(square)?,
            rounding: Sum::new(rounding.max(0.0))?,
        })
    }

    /// The same of a frame whose `bits` are known: the reference side's symbols are rebuilt a piece at a time, and
    /// never leave the cache.
    ///
    /// # Errors
    /// Those of [`of_frame`](Self::of_frame).
    pub fn of_bits(isa: Isa, x: &[f32], bits: &BitBlock, side: &SideInfo) -> Result<Self, Abort> {
        let share = share(side.square(), side.cross())?;
        let [alice, cross, rebuilt] = rotation::products(isa, side, x, bits)?;
        Ok(Self {
            symbols: x.len() as u64,
            alice: Sum::new(alice)?,
            cross: Sum::new(cross / share)?,
            bob: Sum::new(side.square())?,
            rounding: Sum::new((rebuilt - share * side.cross()).max(0.0))?,
        })
    }

    /// The standard deviation of the reference side's symbols.
    #[must_use]
    pub fn deviation(&self) -> f64 {
        libm::sqrt(self.bob.value() / self.symbols as f64)
    }

    /// Real symbols counted.
    #[must_use]
    pub fn symbols(&self) -> u64 {
        self.symbols
    }

    /// The sums that the key length is reckoned from.
    #[must_use]
    pub fn moments(&self) -> Moments {
        Moments {
            pairs: self.symbols,
            alice: self.alice.value(),
            cross: self.cross.value(),
            bob: self.bob.value(),
        }
    }

    /// What is left of these moments without a part of them; `None` where it is no part.
    #[must_use]
    pub fn without(&self, part: &Self) -> Option<Self> {
        let rest = |all: Sum, part: Sum| all.0.checked_sub(part.0).map(Sum);
        Some(Self {
            symbols: self.symbols.checked_sub(part.symbols)?,
            alice: rest(self.alice, part.alice)?,
            cross: rest(self.cross, part.cross)?,
            bob: rest(self.bob, part.bob)?,
            rounding: rest(self.rounding, part.rounding)?,
        })
    }

    /// Writes the tally for the peer.
    pub fn write(&self, writer: &mut Writer) {
        writer.u64(self.symbols);
        for sum in [self.alice, self.cross, self.bob, self.rounding] {
            writer.u128(sum.0.cast_unsigned());
        }
    }

    /// Reads the peer's tally.
    ///
    /// # Errors
    /// [`Malformed`] where the message ends or a sum is no physical one.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let symbols = reader.u64()?;
        let mut sum = || {
            let sum = Sum(reader.u128()?.cast_signed());
            let physical = sum.value().abs() < LARGEST_SUM * 1e6;
            if physical { Ok(sum) } else { Err(Malformed::Field { field: "tally" }) }
        };
        Ok(Self { symbols, alice: sum()?, cross: sum()?, bob: sum()?, rounding: sum()? })
    }

    /// What the moments say of the channel, for a receiver of efficiency η (0 to 1, trusted).
    ///
    /// # Errors
    /// [`Abort::Unusable`] for fewer than 100 symbols, no correlation, or no receiver.
    pub fn estimate(&self, receiver: &Receiver) -> Result<ChannelEstimate, Abort> {
        let unusable = |reason: &str| Abort::Unusable { reason: reason.to_owned() };
        let count = self.symbols as f64;
        let (alice, cross, bob) = (self.alice.value(), self.cross.value(), self.bob.value());
        if self.symbols < 100 || alice <= 0.0 {
            return Err(unusable("too few symbols to estimate the channel"));
        }
        let gain = cross / alice;
        let variance = (bob - gain * cross) / count;
        if gain <= 0.0 || variance <= 0.0 {
            return Err(unusable("the two sides' symbols are not correlated: not aligned?"));
        }
        let modulation_variance = alice / count;
        let rounding = self.rounding.value() / count;
        Ok(ChannelEstimate {
            symbols: self.symbols,
            efficiency: receiver.efficiency,
            electronic_noise: receiver.shot.electronic_noise,
            vacuum_error: receiver.shot.vacuum_error,
            modulation_variance,
            gain,
            gain_error: libm::sqrt((variance + rounding) / alice),
            variance,
            variance_error: libm::sqrt(
                (2.0 * square(variance) + 4.0 * gain * cross / count * rounding) / count,
            ),
        })
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.symbols = self.symbols.saturating_add(other.symbols);
        self.alice += other.alice;
        self.cross += other.cross;
        self.bob += other.bob;
        self.rounding += other.rounding;
    }
}

/// Σy·ỹ/Σy², which cannot be far from one.
fn share(square: f64, cross: f64) -> Result<f64, Abort> {
    let share = if square > 0.0 { cross / square } else { 1.0 };
    if (0.9..=1.1).contains(&share) {
        return Ok(share);
    }
    Err(Abort::Unusable { reason: format!("rounding left {share} of the signal") })
}

fn check_lengths(x: &[f32], y: &[f32]) -> Result<(), Abort> {
    if x.len() == y.len() {
        return Ok(());
    }
    Err(Abort::Unusable { reason: format!("{} symbols of one side, {} of the other", x.len(), y.len()) })
}

/// The shot-noise unit, from a calibration record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShotUnit {
    /// N₀ in the square of the receiver's own units.
    pub unit: f64,
    /// v_el: electronic noise of a quadrature, in shot-noise units.
    pub electronic_noise: f64,
    /// Standard error of the vacuum variance 1 + v_el, in shot-noise units.
    pub vacuum_error: f64,
}

impl ShotUnit {
    /// Takes the electronic noise off the vacuum's.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if there are no samples or no shot noise is left.
    pub fn new(record: &CalibrationRecord) -> Result<Self, Abort> {
        let (vacuum, electronic) = (record.vacuum_mean_square, record.electronic_mean_square);
        let unit = vacuum - electronic;
        let sampled = record.vacuum_samples > 0 && record.electronic_samples > 0;
        if !(sampled && unit.is_finite() && unit > 0.0 && electronic >= 0.0) {
            return Err(Abort::Unusable { reason: "the calibration shows no shot noise".to_owned() });
        }
        Ok(Self {
            unit,
            electronic_noise: electronic / unit,
            vacuum_error: vacuum / unit * libm::sqrt(2.0 / record.vacuum_samples as f64),
        })
    }

    /// Brings quadratures from the receiver's units to square roots of shot-noise units.
    pub fn normalise(&self, quadratures: &mut [f32]) {
        #[expect(clippy::cast_possible_truncation, reason = "quadratures are single precision")]
        let scale = (1.0 / libm::sqrt(self.unit)) as f32;
        for quadrature in quadratures {
            *quadrature *= scale;
        }
    }
}

/// A heterodyne receiver whose losses and noise are trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Receiver {
    /// η, 0 to 1.
    pub efficiency: f64,
    /// Its calibration.
    pub shot: ShotUnit,
}

/// The channel as estimated, with standard errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChannelEstimate {
    /// Real symbols behind it.
    pub symbols: u64,
    /// η.
    pub efficiency: f64,
    /// v_el a quadrature, in shot-noise units.
    pub electronic_noise: f64,
    /// Standard error of the calibrated vacuum variance.
    pub vacuum_error: f64,
    /// V_A, in shot-noise units.
    pub modulation_variance: f64,
    /// t̂.
    pub gain: f64,
    /// Standard error of t̂.
    pub gain_error: f64,
    /// σ̂², in shot-noise units.
    pub variance: f64,
    /// Standard error of σ̂².
    pub variance_error: f64,
}

impl ChannelEstimate {
    /// T̂ = 2t̂²/η.
    #[must_use]
    pub fn transmittance(&self) -> f64 {
        2.0 * self.gain * self.gain / self.efficiency
    }

    /// Standard error of T̂.
    #[must_use]
    pub fn transmittance_error(&self) -> f64 {
        4.0 * self.gain * self.gain_error / self.efficiency
    }

    /// ξ̂ at the channel's input, in shot-noise units; may be negative by chance.
    #[must_use]
    pub fn excess_noise(&self) -> f64 {
        (self.variance - 1.0 - self.electronic_noise) / (self.gain * self.gain)
    }

    /// Standard error of ξ̂, the calibration's share included.
    #[must_use]
    pub fn excess_noise_error(&self) -> f64 {
        let power = self.gain * self.gain;
        let by_gain = 2.0 * self.excess_noise() * self.gain_error / self.gain;
        libm::sqrt(square(self.variance_error / power) + square(self.vacuum_error / power) + square(by_gain))
    }

    /// Whether the channel can be one: it does not amplify, and the noise is no less than the vacuum's and the
    /// receiver's own, but for six standard errors. What is beyond is a wrong calibration, and no key may
    /// come of it.
    ///
    /// # Errors
    /// [`Abort::Unusable`] with what is wrong.
    pub fn possible(&self) -> Result<(), Abort> {
        const DEVIATIONS: f64 = 6.0;
        let (most, least) = (
            self.transmittance() - DEVIATIONS * self.transmittance_error(),
            self.excess_noise() + DEVIATIONS * self.excess_noise_error(),
        );
        if most > 1.0 {
            let found = self.transmittance();
            let reason = format!(
                "a transmittance of {found:.3}: check shot noise, efficiency and modulation variance"
            );
            return Err(Abort::Unusable { reason });
        }
        if least < 0.0 {
            let found = self.variance;
            let vacuum = 1.0 + self.electronic_noise;
            let reason = format!(
                "noise of {found:.4} shot-noise units where the vacuum has {vacuum:.4}: check shot noise and gain"
            );
            return Err(Abort::Unusable { reason });
        }
        Ok(())
    }

    /// The signal-to-noise ratio of a real symbol, t̂²·V_A/σ̂².
    #[must_use]
    pub fn snr(&self) -> f64 {
        square(self.gain) * self.modulation_variance / self.variance
    }

    /// Standard error of the ratio.
    #[must_use]
    pub fn snr_error(&self) -> f64 {
        let (gain, variance) = (2.0 * self.gain_error / self.gain, self.variance_error / self.variance);
        self.snr() * libm::sqrt(square(gain) + square(variance))
    }

    /// The ratio to choose a rate for: one and a half standard errors below the estimate. A frame that fails
    /// costs more than a few checks too many in all of them.
    #[must_use]
    pub fn cautious_snr(&self) -> f64 {
        (self.snr() - 1.5 * self.snr_error()).max(0.0)
    }

    /// The least T and the greatest ξ within `deviations` standard errors of t̂, σ̂² and the vacuum's
    /// variance, each on the side that helps Eve.
    ///
    /// # Errors
    /// [`Abort::Unusable`] if no correlation is certain.
    pub fn worst_case(&self, deviations: f64) -> Result<WorstCase, Abort> {
        let gain = self.gain - deviations * self.gain_error;
        if gain.is_nan() || gain <= 0.0 {
            return Err(Abort::Unusable { reason: "no transmittance is certain".to_owned() });
        }
        let variance = self.variance + deviations * self.variance_error;
        let vacuum = 1.0 + self.electronic_noise - deviations * self.vacuum_error;
        Ok(WorstCase {
            transmittance: 2.0 * square(gain) / self.efficiency,
            excess_noise: ((variance - vacuum) / square(gain)).max(0.0),
        })
    }
}

/// What must be granted to Eve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorstCase {
    /// The least transmittance.
    pub transmittance: f64,
    /// The greatest excess noise at the channel's input, in shot-noise units.
    pub excess_noise: f64,
}

fn square(x: f64) -> f64 {
    x * x
}

#[cfg(test)]
mod tests {
    use super::super::rotation::{self, Dimension};
    use super::*;
    use crate::bits::BitBlock;

    struct Noise(u64);

    impl Noise {
        fn uniform(&mut self) -> f64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (((z ^ z >> 31) >> 11) as f64 + 0.5) / (1u64 << 53) as f64
        }

        fn gaussian(&mut self) -> f64 {
            libm::sqrt(-2.0 * libm::log(self.uniform())) * libm::cos(std::f64::consts::TAU * self.uniform())
        }
    }

    const RECORD: CalibrationRecord = CalibrationRecord {
        vacuum_samples: 100_000_000,
        vacuum_mean_square: 4.4,
        electronic_samples: 100_000_000,
        electronic_mean_square: 0.4,
    };

    /// V_A = 4, η = 0.6, T = 0.4, ξ = 0.05.
    fn quadratures(seed: u64, len: usize) -> (Vec<f32>, Vec<f32>) {
        let mut noise = Noise(seed);
        let gain = libm::sqrt(0.6 * 0.4 / 2.0);
        let deviation = libm::sqrt(1.0 + 0.1 + 0.6 * 0.4 * 0.05 / 2.0);
        let pair = |_| {
            let x = 2.0 * noise.gaussian();
            (x as f32, (gain * x + deviation * noise.gaussian()) as f32)
        };
        (0..len).map(pair).unzip()
    }

    fn receiver() -> Receiver {
        Receiver { efficiency: 0.6, shot: ShotUnit::new(&RECORD).unwrap() }
    }

    #[test]
    fn a_known_channel_is_found_within_its_errors() {
        let (x, y) = quadratures(1, 400_000);
        let found = Tally::of_sample(Isa::best(), &x, &y).unwrap().estimate(&receiver()).unwrap();
        let off = (found.transmittance() - 0.4) / found.transmittance_error();
        assert!(off.abs() < 4.0, "transmittance {off} standard errors off");
        let off = (found.excess_noise() - 0.05) / found.excess_noise_error();
        assert!(off.abs() < 4.0, "excess noise {off} standard errors off");
        assert!((found.snr() / (0.12 * 4.0 / 1.106) - 1.0).abs() < 0.02, "ratio {}", found.snr());
        let margin = 1.0 - found.cautious_snr() / found.snr();
        assert!((0.001..0.05).contains(&margin), "a rate's margin: {margin}");
        let worst = found.worst_case(6.5).unwrap();
        assert!(worst.transmittance < 0.4 && worst.excess_noise > 0.05, "the worst case is worse");
    }

    #[test]
    fn an_impossible_channel_is_refused() {
        let (x, y) = quadratures(3, 400_000);
        let look = |x: &[f32], y: &[f32]| {
            Tally::of_sample(Isa::best(), x, y).unwrap().estimate(&receiver()).unwrap().possible()
        };
        let scaled = |values: &[f32], factor: f32| values.iter().map(|v| v * factor).collect::<Vec<_>>();
        assert_eq!(look(&x, &y), Ok(()), "as it was made");
        assert!(look(&x, &scaled(&y, 0.95)).is_err(), "less noise than the vacuum has");
        assert!(look(&scaled(&x, 0.3), &y).is_err(), "more light than was sent");
    }

    #[test]
    fn rounding_does_not_count_as_excess_noise() {
        let (x, y) = quadratures(2, 256_000);
        let words = (1..=4000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let bits = BitBlock::from_words(words, 256_000);
        let side = rotation::harden(Isa::best(), Dimension::Eight, &y, &bits).unwrap();
        let rebuilt = rotation::rebuild(Isa::best(), &side, &bits).unwrap();
        let direct = Tally::of_sample(Isa::best(), &x, &y).unwrap().estimate(&receiver()).unwrap();
        let corrected = Tally::of_frame(Isa::best(), &x, &rebuilt, &side).unwrap();
        let corrected = corrected.estimate(&receiver()).unwrap();
        let shift = corrected.excess_noise() - direct.excess_noise();
        assert!(shift.abs() < 1e-3, "excess noise moved by {shift}");
    }

    #[test]
    fn tallies_add_in_any_order() {
        let parts: Vec<Tally> = (0..5)
            .map(|seed| quadratures(seed, 1000))
            .map(|(x, y)| Tally::of_sample(Isa::best(), &x, &y).unwrap())
            .collect();
        let (mut forward, mut backward) = (Tally::default(), Tally::default());
        parts.iter().for_each(|part| forward += *part);
        parts.iter().rev().for_each(|part| backward += *part);
        assert_eq!(forward, backward, "associative");
        assert_eq!(forward.symbols(), 5000, "all counted");
    }

    #[test]
    fn calibration_and_nonsense() {
        let shot = ShotUnit::new(&RECORD).unwrap();
        assert!((shot.unit - 4.0).abs() < 1e-12, "shot noise alone");
        assert!((shot.electronic_noise - 0.1).abs() < 1e-12, "in shot-noise units");
        let mut quadratures = [2.0, -4.0];
        shot.normalise(&mut quadratures);
        assert_eq!(quadratures, [1.0, -2.0], "in square roots of shot-noise units");
        let dark = CalibrationRecord { electronic_mean_square: 5.0, ..RECORD };
        assert!(ShotUnit::new(&dark).is_err(), "no shot noise left");
        let (x, _) = quadratures_uncorrelated();
        assert!(Tally::of_sample(Isa::best(), &x, &[f32::NAN; 200]).is_err(), "not a number");
        let flipped: Vec<f32> = x.iter().map(|x| -x).collect();
        let tally = Tally::of_sample(Isa::best(), &x, &flipped).unwrap();
        assert!(tally.estimate(&receiver()).is_err(), "anticorrelated: not aligned");
    }

    fn quadratures_uncorrelated() -> (Vec<f32>, Vec<f32>) {
        quadratures(9, 200)
    }
}
