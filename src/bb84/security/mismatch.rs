//! Detectors that differ a little between the bases.
//!
//! With active choice of basis and two detectors whose efficiencies differ by at most the factors
//! 1 ± Δη and whose dark-count probabilities lie in d(1 ± Δd), the phase-error rate is bounded by
//!
//! ```text
//! B = (e + δ₁ + γ)/(1 − δ₂ − γ),  d∓ = d(1 ∓ Δd),  r = (1 − Δη)/(1 + Δη),
//! δ₁ = max{ [1 − (1 − (1−d₋)²)/(1 − (1−d₊)²)] · d₊(2 − d₋)/(1 − (1−d₋)²), 4(1 − √(1 − (1−d₋)²(1−r))) }
//! δ₂ = max{ 1 − (1 − (1−d₋)²)/(1 − (1−d₊)²), (1−d₋)²(1−r) }
//! ```
//!
//! where e bounds the error rate as if there were no mismatch, and γ is the scatter of a binomial law
//! over the key's single photons (Hoeffding), once above and once below.
//!
//! Tupkary, Nahar, Sinha, Lütkenhaus, arXiv:2408.17349.

use crate::bounds::{Real, hoeffding};

/// How far the two detectors may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mismatch {
    /// Δη: each efficiency lies within this relative distance of a common one.
    pub efficiency_spread: f64,
    /// d: the dark-count probability of a gate.
    pub dark_probability: f64,
    /// Δd: each dark-count probability lies within this relative distance of d.
    pub dark_spread: f64,
}

/// Tail events of the scatter γ: above and below.
pub(super) const EVENTS: f64 = 2.0;

impl Mismatch {
    /// Whether the numbers can be such spreads.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        let unit = 0.0..1.0;
        unit.contains(&self.efficiency_spread)
            && unit.contains(&self.dark_spread)
            && unit.contains(&self.dark_probability)
            && self.dark_probability * (1.0 + self.dark_spread) < 1.0
    }

    /// δ₁ and δ₂.
    #[must_use]
    pub fn deltas(&self) -> (Real, Real) {
        let (one, two) = (Real::ONE, Real::from(2.0));
        let [spread, dark, dark_spread] =
            [self.efficiency_spread, self.dark_probability, self.dark_spread].map(Real::from);
        let (least, most) = (dark * (one - dark_spread), dark * (one + dark_spread));
        // 1 − (1−d)² = d(2 − d) without cancellation.
        let (any_least, any_most) = (least * (two - least), most * (two - most));
        let uneven = if any_most > Real::ZERO { one - any_least / any_most } else { Real::ZERO };
        let spurious =
            if any_least > Real::ZERO { uneven * most * (two - least) / any_least } else { Real::ZERO };
        let lost = (one - least) * (one - least) * (two * spread / (one + spread));
        // 4(1 − √(1 − x)) = 4x/(1 + √(1 − x)).
        let filtered = Real::from(4.0) * lost / (one + (one - lost).sqrt());
        // Where no dark count is certain but some are possible, nothing is.
        let spurious = if any_least <= Real::ZERO && any_most > Real::ZERO { one } else { spurious };
        (spurious.max(filtered), uneven.max(lost))
    }

    /// B from the rate e that holds without mismatch, rounded up; at most ½.
    pub(super) fn widen(&self, rate: f64, single_key: u64, epsilon: f64) -> f64 {
        let (first, second) = self.deltas();
        let key = Real::from(single_key);
        let scatter = hoeffding::one_sided(single_key, epsilon) / key;
        let rest = Real::ONE - second - scatter;
        if !scatter.is_finite() || rest <= Real::ZERO {
            return 0.5;
        }
        let widened = (Real::from(rate) + first + scatter) / rest;
        (widened.to_f64() * (1.0 + 1e-15)).min(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Δη = Δd = 1e-4, as in the authors' own program.
    const SMALL: Mismatch = Mismatch { efficiency_spread: 1e-4, dark_probability: 1e-6, dark_spread: 1e-4 };

    #[test]
    fn the_authors_program_says_the_same() {
        let (first, second) = SMALL.deltas();
        assert!((first.to_f64() / 0.000_399_979_202_080_569_25 - 1.0).abs() < 1e-11, "δ₁ is {first:?}");
        // It cancels ten digits in 1 − (1 − d)².
        assert!((second.to_f64() / 0.000_199_979_896_516_322_42 - 1.0).abs() < 1e-6, "δ₂ is {second:?}");
        // Its ε is squared: 1e-24 a tail event.
        let rate = 0.130_224_265_420_583_8 + 0.001_788_449_509_247_481_5;
        let widened = SMALL.widen(rate, 2_634_981_963, 1e-24);
        assert!((widened / 0.132_555_178_740_079 - 1.0).abs() < 1e-8, "B is {widened}");
    }

    #[test]
    fn dark_counts_alone_are_a_mismatch_too() {
        // d from 0.05 to 0.15: 1 − 0.95² = 0.0975 and 1 − 0.85² = 0.2775.
        let dark = Mismatch { efficiency_spread: 0.0, dark_probability: 0.1, dark_spread: 0.5 };
        let (first, second) = dark.deltas();
        assert!((second.to_f64() - (1.0 - 0.0975 / 0.2775)).abs() < 1e-14, "δ₂ is {second:?}");
        assert!((first.to_f64() - second.to_f64() * 0.15 * 1.95 / 0.0975).abs() < 1e-14, "δ₁ is {first:?}");
        assert!(Mismatch { dark_probability: 0.6, ..dark }.is_valid(), "at most 0.9");
        assert!(!Mismatch { dark_probability: 0.7, ..dark }.is_valid(), "at most 1.05");
    }

    #[test]
    fn where_nothing_is_left_to_divide_by_half_may_be_wrong() {
        // 1 − δ₂ − γ is negative: the quotient would be, too, and pass for a small rate.
        let blind = Mismatch { efficiency_spread: 0.999_9, dark_probability: 0.0, dark_spread: 0.0 };
        assert_eq!(blind.widen(0.0, 1 << 20, 1e-20), 0.5, "one detector may be blind");
        assert_eq!(SMALL.widen(0.0, 10, 1e-20), 0.5, "ten positions scatter by more than all");
    }

    #[test]
    fn no_mismatch_adds_the_scatter_alone() {
        let none = Mismatch { efficiency_spread: 0.0, dark_probability: 0.0, dark_spread: 0.0 };
        assert_eq!(none.deltas(), (Real::ZERO, Real::ZERO), "no δ");
        let widened = none.widen(0.03, 1 << 40, 1e-20);
        assert!(widened > 0.03 && widened < 0.030_01, "{widened}");
        let scatter = hoeffding::one_sided(1 << 40, 1e-20) / Real::from(1_u64 << 40);
        let exact = (Real::from(0.03) + scatter) / (Real::ONE - scatter);
        assert!(Real::from(widened) > exact, "rounded up from {exact:?}");
    }

    #[test]
    fn more_mismatch_is_never_less_phase_error() {
        let mut last = 0.0;
        for spread in [0.0, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9] {
            let widened = Mismatch { efficiency_spread: spread, ..SMALL }.widen(0.03, 1 << 30, 1e-20);
            assert!(widened > last || widened >= 0.5, "Δη = {spread}: {widened}");
            last = widened;
        }
        assert!(!Mismatch { efficiency_spread: 1.0, ..SMALL }.is_valid(), "one detector may be blind");
        assert!(!Mismatch { dark_probability: f64::NAN, ..SMALL }.is_valid(), "undefined");
        assert!((SMALL.widen(0.03, 0, 1e-20) - 0.5).abs() < 1e-15, "no key bits");
    }
}
