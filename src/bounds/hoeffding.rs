//! Hoeffding's additive bounds, and Azuma's for martingales.
//!
//! W. Hoeffding, J. Am. Stat. Assoc. 58, 13 (1963), theorem 2; K. Azuma, Tôhoku Math. J. 19, 357
//! (1967).

use super::Real;
use super::chernoff::exponent;

/// By how much a sum of n independent variables in \[0, 1\] may lie above its mean, or below: √(n β/2).
///
/// One-sided: each side is wrong with probability at most ε = e^{−β}.
#[must_use]
pub fn deviation(trials: Real, beta: Real) -> Real {
    (trials * beta * Real::from(0.5)).sqrt()
}

/// The same from ε, for one side; infinite where ε ≤ 0.
#[must_use]
pub fn one_sided(trials: u64, epsilon: f64) -> Real {
    deviation(Real::from(trials), exponent(epsilon)) * Real::from(1.0 + 1e-15)
}

/// By how much a martingale with n differences in \[−1, 1\] may lie above its start: √(2 n β).
///
/// Needed where the variables are not independent, as with correlated sources. Twice Hoeffding's.
#[must_use]
pub fn azuma(steps: u64, epsilon: f64) -> Real {
    let deviation = one_sided(steps, epsilon);
    deviation + deviation
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pr[X ≥ x] of n fair coins, summed term by term.
    fn coins_at_least(x: u64, n: u64) -> f64 {
        let mut term = libm::exp2(-(n as f64));
        let mut sum = 0.0;
        for k in 0..=n {
            if k >= x {
                sum += term;
            }
            term *= (n - k) as f64 / (k + 1) as f64;
        }
        sum
    }

    #[test]
    fn true_failure_is_below_the_claim_for_fair_coins() {
        for n in 1..200 {
            for epsilon in [1e-1, 1e-3, 1e-6] {
                let reach = one_sided(n, epsilon) + Real::from(n as f64 / 2.0);
                let failure = coins_at_least(reach.floor_to_u64() + 1, n);
                assert!(failure <= epsilon, "n = {n}, ε = {epsilon:e}: {failure:e}");
            }
        }
    }

    #[test]
    fn the_deviation_is_that_of_the_theorem() {
        let exact = deviation(Real::from(200.0), Real::from(2.0));
        assert!((exact.to_f64() - 14.142_135_623_730_951).abs() < 1e-13, "√(200 · 2/2): {exact:?}");
        let ours = one_sided(200, libm::exp(-2.0)).to_f64();
        assert!((ours - 14.142_135_623_730_951).abs() < 1e-12, "the same from ε: {ours}");
    }

    #[test]
    fn no_epsilon_is_no_bound() {
        assert_eq!(one_sided(10, 0.0).to_f64(), f64::INFINITY, "ε = 0");
        assert_eq!(one_sided(0, 1e-10).to_f64(), 0.0, "nothing deviates from nothing");
        assert!((azuma(50, 0.5) - one_sided(200, 0.5)).to_f64().abs() < 1e-12, "√4 = 2");
    }

    #[test]
    fn deviations_are_rounded_up() {
        let (exact, ours) = (deviation(Real::from(200.0), exponent(1e-3)), one_sided(200, 1e-3));
        assert!(ours > exact && ours < exact * Real::from(1.0 + 1e-14), "{ours:?}, above {exact:?}");
        assert!(azuma(200, 1e-3) == ours + ours, "twice that");
    }
}
