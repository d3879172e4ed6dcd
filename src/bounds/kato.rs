//! Kato's bounds for sums of dependent variables.
//!
//! Let ξ₁, …, ξₙ lie in \[0, 1\], in any dependence, Λ = Σ ξᵤ, and S = Σ E(ξᵤ | ξ₁, …, ξᵤ₋₁). For b ≥ |a|,
//!
//! ```text
//! Pr[ S − Λ ≥ (b + a(2Λ/n − 1)) √n ] ≤ exp( −2(b² − a²) / (1 + 4a/(3√n))² )
//! Pr[ Λ − S ≥ (b + a(2Λ/n − 1)) √n ] ≤ exp( −2(b² − a²) / (1 − 4a/(3√n))² )
//! ```
//!
//! a and b are chosen **before** the data from a predicted Λ; a good prediction makes the bound as tight
//! as Chernoff's, a bad one only loosens it. With a = 0 it is half of Azuma's.
//!
//! G. Kato, arXiv:2002.04357; with the choice of a and b as in Currás-Lorenzo, Navarrete, Azuma, Kato,
//! Curty, Razavi, npj Quantum Inf. 7, 22 (2021), found here by search.

use super::Real;
use super::chernoff::exponent;

/// The constants of a bound, chosen for a prediction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Kato {
    a: f64,
    b: f64,
    trials: u64,
}

impl Kato {
    /// A bound on S from above that is tight if Λ comes out near `predicted`.
    ///
    /// Infinite where ε ≤ 0 or nothing is summed.
    #[must_use]
    pub fn above(trials: u64, predicted: f64, epsilon: f64) -> Self {
        Self::choose(trials, predicted, epsilon, 1.0)
    }

    /// A bound on S from below that is tight if Λ comes out near `predicted`.
    #[must_use]
    pub fn below(trials: u64, predicted: f64, epsilon: f64) -> Self {
        Self::choose(trials, predicted, epsilon, -1.0)
    }

    /// By how much S may lie beyond an observed Λ, on the side chosen. Never negative.
    #[must_use]
    pub fn deviation(&self, observed: u64) -> Real {
        let n = Real::from(self.trials);
        if self.trials == 0 || observed > self.trials {
            return Real::from(f64::INFINITY);
        }
        let balance = Real::from(observed) * Real::from(2.0) / n - Real::ONE;
        let deviation = (Real::from(self.b) + Real::from(self.a) * balance) * n.sqrt();
        deviation.max(Real::ZERO)
    }

    /// Minimises b + a(2Λ/n − 1) over a: b follows from a and ε, and the sum is convex.
    fn choose(trials: u64, predicted: f64, epsilon: f64, side: f64) -> Self {
        let root = libm::sqrt(trials as f64);
        let beta = exponent(epsilon).to_f64() * (1.0 + 1e-12);
        let b_of = |a: f64| {
            let stretch = 1.0 + side * 4.0 * a / (3.0 * root);
            libm::sqrt(a * a + 0.5 * beta * stretch * stretch) * (1.0 + 1e-15)
        };
        let balance = (2.0 * predicted / trials as f64 - 1.0).clamp(-1.0, 1.0);
        let cost = |a: f64| b_of(a) + a * balance;
        if trials == 0 || !balance.is_finite() || !beta.is_finite() {
            return Self { a: 0.0, b: b_of(0.0), trials };
        }
        let (mut low, mut high) = (-root, root);
        for _ in 0..200 {
            let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
            if cost(left) < cost(right) { high = right } else { low = left }
        }
        let a = 0.5 * (low + high);
        Self { a, b: b_of(a), trials }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{hoeffding, stirling::ln_binomial};
    use super::*;

    #[test]
    fn true_failure_is_at_most_the_claim_for_independent_trials() {
        for (trials, epsilon) in [(10_u64, 1e-1), (40, 1e-2), (150, 1e-4)] {
            for predicted in [0.0, 0.1, 0.5, 1.0] {
                let predicted = predicted * trials as f64;
                let (above, below) =
                    (Kato::above(trials, predicted, epsilon), Kato::below(trials, predicted, epsilon));
                for percent in 1..100_u32 {
                    let p = f64::from(percent) / 100.0;
                    let mean = Real::from(p * trials as f64);
                    let chance = |x: &u64| libm::exp(ln_binomial(*x as f64, trials as f64, p, 1.0 - p));
                    let high: f64 = (0..=trials)
                        .filter(|x| mean - Real::from(*x) >= above.deviation(*x) && mean > Real::from(*x))
                        .map(|x| chance(&x))
                        .sum();
                    let low: f64 = (0..=trials)
                        .filter(|x| Real::from(*x) - mean >= below.deviation(*x) && mean < Real::from(*x))
                        .map(|x| chance(&x))
                        .sum();
                    assert!(high <= epsilon, "above, n = {trials}, p = {p}, predicted {predicted}: {high:e}");
                    assert!(low <= epsilon, "below, n = {trials}, p = {p}, predicted {predicted}: {low:e}");
                }
            }
        }
    }

    #[test]
    fn a_good_prediction_is_worth_it() {
        let (trials, seen, epsilon) = (1_000_000_000, 10_000, 1e-10);
        let azuma = hoeffding::azuma(trials, epsilon);
        let good = Kato::above(trials, 10_000.0, epsilon).deviation(seen);
        let none = Kato::above(trials, 0.5 * trials as f64, epsilon).deviation(seen);
        assert!(good < Real::from(750.0), "as tight as Chernoff's 690: {good:?}");
        assert!(none < azuma, "no prediction is still better than Azuma: {none:?}");
    }

    #[test]
    fn nothing_known_is_no_bound() {
        assert!(!Kato::above(0, 0.0, 1e-10).deviation(0).is_finite(), "nothing summed");
        assert!(!Kato::above(10, 5.0, 0.0).deviation(5).is_finite(), "no ε");
        assert!(!Kato::below(10, 5.0, 1e-10).deviation(11).is_finite(), "impossible");
        assert!(Kato::above(1, 0.5, 1e-10).deviation(1).is_finite(), "one is not nothing");
    }

    #[test]
    fn deviations_are_the_least_there_are_rounded_up() {
        // The least over a of fifty digits.
        for (kato, observed, least) in [
            (Kato::above(10_000, 100.0, 1e-10), 100, 84.115_586_992_011_28),
            (Kato::below(10_000, 100.0, 1e-10), 100, 54.089_929_892_839_22),
            (Kato::above(10_000, 5_000.0, 1e-10), 5_000, 338.960_316_324_419_06),
            (Kato::below(10_000, 5_000.0, 1e-10), 5_000, 338.960_316_324_419_06),
        ] {
            let ours = kato.deviation(observed).to_f64();
            assert!(
                ours >= least && ours < least * (1.0 + 2e-12),
                "{kato:?} at {observed}: {ours}, not {least}"
            );
        }
        let off = Kato::above(10_000, 0.0, 1e-10);
        assert_eq!(off, Kato::above(10_000, -7.0, 1e-10), "a prediction below nothing is nothing");
        assert_eq!(Kato::below(10, 10.0, 0.1), Kato::below(10, 11.0, 0.1), "one above all is all");
        assert_eq!(Kato::above(10, f64::NAN, 0.1).a, 0.0, "without a prediction it is half of Azuma's");
        assert_eq!(Kato::above(10, 5.0, 0.0).a, 0.0, "and without ε there is nothing to choose");
    }
}
