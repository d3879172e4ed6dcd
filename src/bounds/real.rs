//! Reals of 106 bits: a sum of two doubles.
//!
//! Key lengths are floors of differences of numbers near 10¹⁸. A double has 53 bits and cannot hold
//! such a count, let alone round it outward; this type holds every count below 2¹⁰⁶ exactly, and its
//! operations err by less than 2⁻⁹⁰ of the result. Nothing here calls `std`'s transcendental
//! functions, so a length is the same on every machine.
//!
//! Dekker, "A floating-point technique for extending the available precision" (1971); Hida, Li,
//! Bailey, "Library for double-double and quad-double arithmetic" (2007).

use std::ops::{Add, Div, Mul, Neg, Sub};

/// A real number as an unevaluated sum of two doubles, the second below half an ulp of the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Real {
    high: f64,
    low: f64,
}

/// ln 2 to 106 bits.
const LN_2: Real = Real { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };
/// A bound on the relative error of every operation and of short chains of them.
const UNIT: f64 = 1.0 / (1_u128 << 88) as f64;

impl Real {
    /// Zero.
    pub const ZERO: Self = Self { high: 0.0, low: 0.0 };
    /// One.
    pub const ONE: Self = Self { high: 1.0, low: 0.0 };
    /// Not a number: what an undefined formula yields.
    pub const NAN: Self = Self { high: f64::NAN, low: f64::NAN };

    /// The nearest double.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.high
    }

    /// Whether it is neither infinite nor undefined.
    #[must_use]
    pub fn is_finite(self) -> bool {
        self.high.is_finite() && self.low.is_finite()
    }

    /// The magnitude.
    #[must_use]
    pub fn abs(self) -> Self {
        if self.high < 0.0 { -self } else { self }
    }

    /// The larger of two.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        if self < other { other } else { self }
    }

    /// The smaller of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        if other < self { other } else { self }
    }

    /// The square root; not a number below zero.
    #[must_use]
    pub fn sqrt(self) -> Self {
        if self.high == 0.0 {
            return Self::ZERO;
        }
        let root = Self::from(libm::sqrt(self.high));
        if !root.is_finite() {
            return root;
        }
        // One Newton step from 53 correct bits gives 106.
        let residue = self - root * root;
        root + residue / (root + root)
    }

    /// e to this power.
    #[must_use]
    pub fn exp(self) -> Self {
        if self.high > 709.0 || self.high < -700.0 {
            return Self::from(libm::exp(self.high));
        }
        let twos = libm::round(self.high / LN_2.high);
        let reduced = (self - Self::from(twos) * LN_2).scaled(-8);
        // |reduced| < 0.0014: fourteen terms leave less than 2⁻¹⁷⁰.
        let mut grown = Self::ZERO;
        for term in (1..=14).rev() {
            grown = reduced * (grown + Self::ONE) / Self::from(f64::from(term));
        }
        // e^{2r} − 1 = (e^r − 1)(e^r − 1 + 2) keeps the bits that squaring e^r would lose.
        for _ in 0..8 {
            grown = grown * (grown + Self::from(2.0));
        }
        #[expect(clippy::cast_possible_truncation, reason = "|twos| is at most 1 024")]
        let exponent = twos as i32;
        (grown + Self::ONE).scaled(exponent)
    }

    /// The natural logarithm; minus infinity at zero, not a number below.
    #[must_use]
    pub fn ln(self) -> Self {
        if self.high.partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater) || !self.is_finite() {
            return Self { high: libm::log(self.high), low: 0.0 };
        }
        // Take the binary exponent out, so that e^guess neither overflows nor vanishes.
        let exponent = libm::ilogb(self.high);
        let mantissa = self.scaled(-exponent);
        let guess = Self::from(libm::log(mantissa.high));
        let power = guess.exp();
        // Halley's step: the error of the guess is cubed.
        let step = (mantissa - power) / (mantissa + power);
        guess + step + step + LN_2 * Self::from(f64::from(exponent))
    }

    /// The binary logarithm.
    #[must_use]
    pub fn log2(self) -> Self {
        self.ln() / LN_2
    }

    /// ln(1 + x), exact also where x is far below one.
    #[must_use]
    pub fn ln_1p(self) -> Self {
        if self.high.abs() > 1e-3 {
            return (Self::ONE + self).ln();
        }
        // 2 artanh(x / (2 + x)); eleven odd terms reach (5e-4)²³.
        let ratio = self / (Self::from(2.0) + self);
        let square = ratio * ratio;
        let mut sum = Self::ZERO;
        for odd in (0..11).rev() {
            sum = sum * square + Self::ONE / Self::from(f64::from(2 * odd + 1));
        }
        let half = ratio * sum;
        half + half
    }

    /// This number to a whole power.
    #[must_use]
    pub fn powi(self, exponent: u32) -> Self {
        (0..exponent).fold(Self::ONE, |power, _| power * self)
    }

    /// The largest integer not above, from zero up; zero if negative or undefined.
    #[must_use]
    pub fn floor_to_u64(self) -> u64 {
        let (whole, rest) = (libm::floor(self.high), self.high - libm::floor(self.high));
        let carry = libm::floor(rest + self.low);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from float saturates, undefined is zero, and i128 holds all that u64 does"
        )]
        let sum = (whole as i128).saturating_add(carry as i128);
        u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
    }

    /// The smallest integer not below, from zero up; `u64::MAX` if undefined.
    #[must_use]
    pub fn ceil_to_u64(self) -> u64 {
        if self.high.is_nan() {
            return u64::MAX;
        }
        let floor = self.floor_to_u64();
        if Self::from(floor) < self { floor.saturating_add(1) } else { floor }
    }

    /// The sum of terms, rounded down: below the true sum by at most 2⁻⁸⁷ of the terms' magnitudes.
    #[must_use]
    pub fn sum_down(terms: &[Self]) -> Self {
        Self::sum(terms) - Self::slack(terms)
    }

    /// The sum of terms, rounded up.
    #[must_use]
    pub fn sum_up(terms: &[Self]) -> Self {
        Self::sum(terms) + Self::slack(terms)
    }

    fn sum(terms: &[Self]) -> Self {
        terms.iter().fold(Self::ZERO, |sum, term| sum + *term)
    }

    fn slack(terms: &[Self]) -> Self {
        terms.iter().fold(Self::ZERO, |sum, term| sum + term.abs()) * Self::from(UNIT)
    }

    /// Times a power of two.
    fn scaled(self, exponent: i32) -> Self {
        Self { high: libm::scalbn(self.high, exponent), low: libm::scalbn(self.low, exponent) }
    }

    /// The exact sum of two doubles (Knuth).
    fn two_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let image = high - a;
        Self { high, low: (a - (high - image)) + (b - image) }
    }

    /// The exact sum of two doubles, the first not smaller (Dekker).
    fn quick_two_sum(a: f64, b: f64) -> Self {
        let high = a + b;
        Self { high, low: if high.is_finite() { b - (high - a) } else { 0.0 } }
    }
}

impl From<f64> for Real {
    fn from(value: f64) -> Self {
        Self { high: value, low: 0.0 }
    }
}

impl From<u64> for Real {
    fn from(value: u64) -> Self {
        let low = value & 0xffff_ffff;
        Self::two_sum((value - low) as f64, low as f64)
    }
}

impl Neg for Real {
    type Output = Self;

    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Add for Real {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let high = Self::two_sum(self.high, other.high);
        if !high.high.is_finite() {
            return Self { high: high.high, low: 0.0 };
        }
        let low = Self::two_sum(self.low, other.low);
        let sum = Self::quick_two_sum(high.high, high.low + low.high);
        Self::quick_two_sum(sum.high, sum.low + low.low)
    }
}

impl Sub for Real {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Real {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let high = self.high * other.high;
        if !high.is_finite() || high == 0.0 {
            return Self { high, low: 0.0 };
        }
        let error = libm::fma(self.high, other.high, -high);
        Self::quick_two_sum(high, error + (self.high * other.low + self.low * other.high))
    }
}

impl Div for Real {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        if !first.is_finite() || first == 0.0 || !other.is_finite() {
            return Self { high: first, low: 0.0 };
        }
        let residue = self - other * Self::from(first);
        let second = residue.high / other.high;
        let residue = residue - other * Self::from(second);
        let third = residue.high / other.high;
        Self::quick_two_sum(first, second) + Self::from(third)
    }
}

/// The binary entropy h(x) of an error rate; 1 from x = ½ on, 0 at or below x = 0.
///
/// An error rate of a half or more is no key, whatever a formula would say beyond it.
#[must_use]
pub fn binary_entropy(rate: Real) -> Real {
    let half = Real::from(0.5);
    if rate.to_f64().is_nan() || rate >= half {
        return Real::ONE;
    }
    if rate <= Real::ZERO {
        return Real::ZERO;
    }
    let rest = Real::ONE - rate;
    -(rate * rate.ln() + rest * (-rate).ln_1p()) / LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: Real, high: f64, low: f64, what: &str) {
        let error = (value - Real::from(high) - Real::from(low)).to_f64().abs();
        assert!(error <= high.abs() * 1e-29, "{what}: {value:?}, off by {error:e}");
    }

    #[test]
    fn functions_agree_with_a_fifty_digit_reference() {
        close(Real::from(2.0).sqrt(), std::f64::consts::SQRT_2, -9.667_293_313_452_913e-17, "√2");
        close(Real::ONE.exp(), std::f64::consts::E, 1.445_646_891_729_250_2e-16, "e");
        close(Real::from(10.0).ln(), std::f64::consts::LN_10, -2.170_756_223_382_249_4e-16, "ln 10");
        let back = Real::from(1e-30).ln().exp();
        close(back, 1e-30, 0.0, "exp ∘ ln");
    }

    #[test]
    fn the_logarithm_near_one_keeps_its_digits() {
        let tiny = Real::from(1e-12);
        let series = tiny - tiny * tiny / Real::from(2.0) + tiny * tiny * tiny / Real::from(3.0);
        let error = (tiny.ln_1p() - series).to_f64().abs();
        assert!(error < 1e-45, "ln(1 + 1e-12) is off by {error:e}");
        let across = (Real::from(0.001_000_1).ln_1p() - (Real::ONE + Real::from(0.001_000_1)).ln()).to_f64();
        assert!(across.abs() < 1e-31, "both branches agree");
    }

    #[test]
    fn counts_beyond_doubles_are_exact() {
        let count = Real::from(u64::MAX);
        assert_eq!(count.floor_to_u64(), u64::MAX, "2⁶⁴ − 1");
        assert_eq!((count - Real::ONE).floor_to_u64(), u64::MAX - 1, "2⁶⁴ − 2");
        assert_eq!((count - Real::from(0.5)).floor_to_u64(), u64::MAX - 1, "the floor of a half");
        assert_eq!((count - Real::from(0.5)).ceil_to_u64(), u64::MAX, "the ceiling of a half");
        assert_eq!((count + Real::ONE).floor_to_u64(), u64::MAX, "saturates");
    }

    #[test]
    fn floors_are_never_negative_and_undefined_is_nothing() {
        assert_eq!(Real::from(-3.5).floor_to_u64(), 0, "negative");
        assert_eq!(Real::NAN.floor_to_u64(), 0, "undefined is no key");
        assert_eq!(Real::NAN.ceil_to_u64(), u64::MAX, "undefined is all that an upper bound can be");
        let just_below = Real::from(7.0) - Real::from(1e-25);
        assert_eq!(just_below.floor_to_u64(), 6, "a hair below an integer");
    }

    #[test]
    fn directed_sums_enclose_the_sum() {
        let terms = [Real::from(1e18), Real::from(-1e18), Real::from(0.1)];
        assert!(Real::sum_down(&terms) < Real::from(0.1), "down");
        assert!(Real::sum_up(&terms) > Real::from(0.1), "up");
    }

    #[test]
    fn directed_sums_are_near_the_sum() {
        let terms = [Real::from(1e18), Real::from(-1e18), Real::from(3.0)];
        let (down, up) = (Real::sum_down(&terms), Real::sum_up(&terms));
        assert!(down < Real::from(3.0) && down > Real::from(3.0 - 1e-8), "2⁻⁸⁷ of 2e18: {down:?}");
        assert!(up > Real::from(3.0) && up < Real::from(3.0 + 1e-8), "{up:?}");
    }

    #[test]
    fn negative_sums_are_rounded_outward_too() {
        let three = Real::from(-3.0);
        assert_eq!(three.abs(), Real::from(3.0), "|−3|");
        assert!(Real::sum_down(&[three]) < three && Real::sum_up(&[three]) > three, "around −3");
    }

    #[test]
    fn powers_and_binary_logarithms_are_what_they_say() {
        assert_eq!(Real::from(3.0).powi(4).to_f64(), 81.0, "3⁴");
        assert_eq!(Real::from(3.0).powi(0), Real::ONE, "3⁰");
        close(Real::from(10.0).log2(), std::f64::consts::LOG2_10, 1.661_617_516_973_592e-16, "log₂ 10");
    }

    #[test]
    fn binary_entropy_is_capped_on_both_sides() {
        assert_eq!(binary_entropy(Real::from(0.7)).to_f64(), 1.0, "beyond a half");
        assert_eq!(binary_entropy(Real::ZERO).to_f64(), 0.0, "no error");
        assert_eq!(binary_entropy(Real::NAN).to_f64(), 1.0, "undefined fails safe");
        let quarter = binary_entropy(Real::from(0.25)).to_f64();
        assert!((quarter - 0.811_278_124_459_132_8).abs() < 1e-16, "h(¼) is {quarter}");
    }

    #[test]
    fn functions_keep_their_digits_everywhere() {
        let third = Real::ONE / Real::from(3.0);
        close(Real::from(705.0).exp(), 1.505_253_833_063_194e306, -7.148_066_805_174_151e289, "e^705");
        close(Real::from(-600.0).exp(), 2.650_396_553_004_310_8e-261, 6.377_342_817_491_395e-278, "e^−600");
        close(Real::from(-0.3).exp(), 0.740_818_220_681_717_9, -1.805_530_505_953e-18, "e^−0.3");
        close(Real::from(20.7).exp(), 977_002_725.826_907_3, 8.802_835_844_191_425e-09, "e^20.7");
        close(Real::from(1e300).ln(), 690.775_527_898_213_7, 2.374_766_002_880_024_3e-14, "ln 1e300");
        close(Real::from(3.0).ln(), 1.098_612_288_668_109_8, -9.071_297_235_001_53e-17, "ln 3");
        close(Real::from(0.7).ln(), -0.356_674_943_938_732_45, 4.825_563_799_376_62e-18, "ln 0.7");
        close(Real::from(1e-310).ln(), -713.801_378_828_154_2, -8.592_254_740_270_771e-15, "ln 1e−310");
        close(Real::from(9e-4).ln_1p(), 0.000_899_595_242_836_093, -4.132_527_023_524_904e-20, "ln 1.0009");
        close(
            Real::from(-9e-4).ln_1p(),
            -0.000_900_405_243_164_143_2,
            1.979_524_771_395_905_8e-20,
            "ln 0.9991",
        );
        close(Real::from(0.5).ln_1p(), 0.405_465_108_108_164_4, -2.881_138_025_962_642_6e-18, "ln 1.5");
        close(Real::from(-0.5).ln_1p(), -std::f64::consts::LN_2, -2.319_046_813_846_299_6e-17, "ln ½");
        close(third, 0.333_333_333_333_333_3, 1.850_371_707_708_594e-17, "⅓");
        close(third.sqrt(), 0.577_350_269_189_625_7, 3.345_028_073_935_634_5e-17, "√⅓");
        close(third * third, 0.111_111_111_111_111_1, 6.167_905_692_361_980_4e-18, "⅓²");
        close(third / Real::from(2.0).sqrt(), 0.235_702_260_395_515_84, 2.391_561_554_664_420_7e-18, "⅓/√2");
        close(binary_entropy(Real::from(0.25)), 0.811_278_124_459_132_8, 3.167_394_316_167_15e-17, "h(¼)");
        close(
            binary_entropy(Real::from(1e-12)),
            4.130_583_217_953_659e-11,
            1.830_728_203_221_987e-27,
            "h(1e−12)",
        );
        let (more, less) =
            (Real { high: 1.0, low: libm::exp2(-60.0) }, Real { high: -1.0, low: libm::exp2(-120.0) });
        let left = Real { high: libm::exp2(-60.0), low: libm::exp2(-120.0) };
        assert_eq!(more + less, left, "what cancels leaves every digit of the rest");
        let twice = Real::from(1e16) + Real::from(0.3);
        close(twice - Real::from(1e16), 0.3, 0.0, "what a double would drop");
        close(twice + twice, 2e16, 0.6, "2(1e16 + 0.3)");
    }

    #[test]
    fn limits_are_those_of_doubles() {
        for large in [710.0, 1e300, f64::INFINITY] {
            assert_eq!(Real::from(large).exp(), Real::from(f64::INFINITY), "e^{large}");
        }
        assert_eq!(Real::from(-800.0).exp().to_f64(), 0.0, "e^−800");
        assert_eq!(Real::from(f64::NEG_INFINITY).exp().to_f64(), 0.0, "e^−∞");
        assert_eq!(Real::ZERO.sqrt(), Real::ZERO, "√0");
        assert!(Real::from(-1.0).sqrt().to_f64().is_nan(), "√−1");
        assert_eq!(Real::from(f64::INFINITY).sqrt().to_f64(), f64::INFINITY, "√∞");
        assert_eq!(Real::ZERO.ln().to_f64(), f64::NEG_INFINITY, "ln 0");
        assert_eq!(Real::from(f64::INFINITY).ln().to_f64(), f64::INFINITY, "ln ∞");
        assert!(Real::from(-1.0).ln().to_f64().is_nan(), "ln −1");
        let large = Real::from(1e308);
        assert_eq!((large + large * Real::from(9.0)).to_f64(), f64::INFINITY, "beyond the range");
        assert_eq!((large * large).to_f64(), f64::INFINITY, "10⁶¹⁶");
        assert_eq!((Real::ONE / Real::ZERO).to_f64(), f64::INFINITY, "1/0");
        assert_eq!((Real::ONE / Real::from(f64::INFINITY)).to_f64(), 0.0, "1/∞");
        assert_eq!((Real::ZERO / Real::from(3.0)), Real::ZERO, "0/3");
        assert!(!Real::from(f64::INFINITY).is_finite() && !Real::NAN.is_finite(), "neither is finite");
        assert!(Real::ONE.is_finite(), "one is");
        let halves = Real { high: 1.0, low: f64::NAN };
        assert!(!halves.is_finite(), "both parts count");
    }

    #[test]
    fn the_larger_and_the_smaller_are_told_apart_by_a_hair() {
        let (less, more) = (Real::ONE, Real::ONE + Real::from(1e-25));
        assert_eq!((less.max(more), more.max(less)), (more, more), "the larger");
        assert_eq!((less.min(more), more.min(less)), (less, less), "the smaller");
        assert_eq!((-more).abs(), more, "|−x|");
        assert_eq!(Real::ZERO.abs(), Real::ZERO, "|0|");
    }

    #[test]
    fn whole_parts_are_exact_on_both_sides_of_an_integer() {
        let hair = Real::from(1e-25);
        let seven = Real::from(7.0);
        assert_eq!((seven.floor_to_u64(), seven.ceil_to_u64()), (7, 7), "an integer is its own");
        assert_eq!(((seven + hair).floor_to_u64(), (seven + hair).ceil_to_u64()), (7, 8), "a hair above");
        assert_eq!(((seven - hair).floor_to_u64(), (seven - hair).ceil_to_u64()), (6, 7), "a hair below");
        let half = Real::from(6.5);
        assert_eq!((half.floor_to_u64(), half.ceil_to_u64()), (6, 7), "a half");
        assert_eq!(((half + hair).floor_to_u64(), (half - hair).floor_to_u64()), (6, 6), "near a half");
        assert_eq!((Real::ZERO - hair).floor_to_u64(), 0, "a hair below nothing");
        assert_eq!((Real::ZERO - hair).ceil_to_u64(), 0, "which is its ceiling");
        assert_eq!(
            (Real::from(1e30).floor_to_u64(), Real::from(1e30).ceil_to_u64()),
            (u64::MAX, u64::MAX),
            "more"
        );
        let split = Real::from((1_u64 << 60) + 1);
        assert_eq!(split.floor_to_u64(), (1 << 60) + 1, "both parts count");
        assert_eq!(Real::from(0x1_ffff_ffff_u64).to_f64(), 8_589_934_591.0, "2³³ − 1");
    }

    #[test]
    fn directed_sums_are_wider_by_two_to_the_minus_88() {
        let one = [Real::ONE];
        let unit = Real::from(libm::exp2(-88.0));
        assert_eq!(Real::sum_up(&one) - Real::ONE, unit, "up");
        assert_eq!(Real::ONE - Real::sum_down(&one), unit, "down");
    }

    #[test]
    fn binary_entropy_ends_where_it_says() {
        assert_eq!(binary_entropy(Real::from(0.5)), Real::ONE, "at a half");
        let below = binary_entropy(Real::from(0.499)).to_f64();
        assert!((below - 0.999_997_114_607_994_6).abs() < 1e-15, "just below: {below}");
        assert_eq!(binary_entropy(Real::from(-0.1)), Real::ZERO, "below nothing");
        let least = binary_entropy(Real::from(1e-300)).to_f64();
        assert!(least > 9e-298 && least < 1e-297, "just above nothing: {least:e}");
    }
}
