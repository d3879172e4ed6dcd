//! Serfling's bound for sampling without replacement.
//!
//! Of n + m positions, m are tested at random; the error rate of the other n exceeds that of the
//! tested by more than γ with probability at most exp(−2 γ² f), f = n m² / ((n + m)(m + 1)).
//!
//! R. J. Serfling, Ann. Stat. 2, 39 (1974); in this form Curty et al., Nat. Commun. 5, 3732 (2014).

use super::Real;

/// γ for which the failure probability is e^{−β}²: √(β/f), as the variable-length proof prints it
/// with ε_a² = e^{−2β}. Infinite where nothing was tested.
#[must_use]
pub fn excess(tested: Real, others: Real, beta: Real) -> Real {
    if tested <= Real::ZERO || others <= Real::ZERO {
        return Real::from(f64::INFINITY);
    }
    let weight = others * tested * tested / ((others + tested) * (tested + Real::ONE));
    (beta / weight).sqrt()
}

/// An upper bound on the errors among `others` untested positions, wrong with probability at most ε.
#[must_use]
pub fn errors_above(errors: u64, tested: u64, others: u64, epsilon: f64) -> Real {
    let (n, m) = (Real::from(others), Real::from(tested));
    let half = super::chernoff::exponent(epsilon) * Real::from(0.5);
    let rate = Real::from(errors) / m + excess(m, n, half) * Real::from(1.0 + 1e-15);
    if rate.is_finite() { (rate * n).min(n) } else { n }
}

#[cfg(test)]
mod tests {
    use super::super::hypergeometric;
    use super::*;

    #[test]
    fn true_failure_is_below_the_claim_for_every_small_population() {
        let epsilon = 1e-2;
        for (tested, others) in [(5, 5_u64), (9, 30), (30, 9), (40, 40)] {
            for marked in 0..=tested + others {
                let lowest = marked.saturating_sub(others);
                let failure: f64 = (lowest..=marked.min(tested))
                    .filter(|k| errors_above(*k, tested, others, epsilon) < Real::from(marked - k))
                    .map(|k| libm::exp(hypergeometric::ln_probability(k, tested + others, marked, tested)))
                    .sum();
                assert!(failure <= epsilon, "{tested}+{others}, {marked} marked: {failure:e}");
            }
        }
    }

    #[test]
    fn the_excess_is_that_of_a_fifty_digit_reference() {
        let (tested, others, rate) = (73_910, 958_040, 2_877.0 / 73_910.0);
        let ours = errors_above(2_877, tested, others, 1e-9).to_f64() / others as f64 - rate;
        let expected = 0.012_288_615_188_185_277;
        assert!(ours >= expected && ours < expected * (1.0 + 1e-13), "γ is {ours}, {expected} rounded up");
    }

    #[test]
    fn nothing_tested_is_nothing_known() {
        assert_eq!(errors_above(0, 0, 100, 1e-10), Real::from(100_u64), "every other position may be wrong");
        assert_eq!(errors_above(50, 50, 100, 1e-10), Real::from(100_u64), "never more than there are");
    }

    #[test]
    fn errors_are_rounded_up() {
        let (tested, others) = (Real::from(500_u64), Real::from(700_u64));
        let half = super::super::chernoff::exponent(1e-6) * Real::from(0.5);
        let exact = (Real::from(3.0) / tested + excess(tested, others, half)) * others;
        let ours = errors_above(3, 500, 700, 1e-6);
        assert!(ours > exact && ours < exact * Real::from(1.0 + 1e-14), "{ours:?}, above {exact:?}");
        for (tested, others) in [(0.0, 5.0), (5.0, 0.0), (-1.0, 5.0)] {
            let unknown = excess(Real::from(tested), Real::from(others), half);
            assert_eq!(unknown.to_f64(), f64::INFINITY, "{tested} tested, {others} others");
        }
    }
}
