//! The exact bound for sampling without replacement: Neyman's construction on the hypergeometric law.
//!
//! A population of N = n_test + n_key positions holds W errors; the test finds k of them. An
//! adversary fixes W, chance fixes k. With
//!
//! ```text
//! F(k; W) = Pr[at most k of the W errors fall among the n_test],
//! K(k) = max{ W : F(k; W) > ε } − k,
//! ```
//!
//! the key holds more than K(k) errors with probability at most ε, for every W. Tighter than
//! Serfling's bound and than the Taylor-expanded "γ" of Lim et al., which is not a bound at all.

use super::stirling::{ln_binomial, margin};

/// Terms of a tail that are summed before the rest is bounded by a geometric series.
const TERMS: usize = 20_000;

/// ln of the probability that k of `marked` fall among the `drawn` of `population` positions.
///
/// Minus infinity where that cannot be. Error below 3e-5 for populations up to 2⁶³.
#[must_use]
pub fn ln_probability(k: u64, population: u64, marked: u64, drawn: u64) -> f64 {
    if k > marked || k > drawn || drawn > population || marked > population {
        return f64::NEG_INFINITY;
    }
    if drawn - k > population - marked {
        return f64::NEG_INFINITY;
    }
    let (p, q) = (drawn as f64 / population as f64, (population - drawn) as f64 / population as f64);
    // Hypergeometric as a ratio of binomials (Loader).
    ln_binomial(k as f64, marked as f64, p, q)
        + ln_binomial((drawn - k) as f64, (population - marked) as f64, p, q)
        - ln_binomial(drawn as f64, population as f64, p, q)
}

/// An upper bound on ln Pr[at most k of `marked` fall among the `drawn`], tight to 1e-5.
///
/// For k at or above the mean it returns 0.
#[must_use]
pub fn ln_at_most(k: u64, population: u64, marked: u64, drawn: u64) -> f64 {
    let lowest = marked.saturating_sub(population.saturating_sub(drawn));
    if k < lowest {
        return f64::NEG_INFINITY;
    }
    let mean = drawn as f64 * (marked as f64 / population as f64);
    if k as f64 >= mean || k >= marked.min(drawn) {
        return 0.0;
    }
    let top = ln_probability(k, population, marked, drawn);
    (top + libm::log(lower_series(k, lowest, (population, marked, drawn))) + margin(population as f64))
        .min(0.0)
}

/// An upper bound on Σ_{j ≤ k} P(j) / P(k): ratios fall, so a geometric series bounds what is cut.
fn lower_series(k: u64, lowest: u64, (population, marked, drawn): (u64, u64, u64)) -> f64 {
    let (mut sum, mut term, mut ratio) = (1.0, 1.0, 1.0);
    for j in (lowest + 1..=k).rev().take(TERMS) {
        // P(j − 1)/P(j); the differences are taken in integers.
        let free = population - marked + j - drawn;
        ratio = (j as f64 / (marked - j + 1) as f64) * (free as f64 / (drawn - j + 1) as f64);
        term *= ratio;
        sum += term;
        if term < sum * 1e-17 {
            return sum;
        }
    }
    let cut = k - lowest > TERMS as u64;
    if cut { sum + term * ratio / (1.0 - ratio).max(0.0) } else { sum }
}

/// An upper bound on the errors among `others` untested positions, wrong with probability at most ε.
///
/// `errors` were found among `tested` positions, drawn at random from all. Everything may be wrong
/// where nothing was tested, ε ≤ 0, or the population is beyond 2⁶³. O(log n) tails.
#[must_use]
pub fn errors_above(errors: u64, tested: u64, others: u64, epsilon: f64) -> u64 {
    let population = match tested.checked_add(others) {
        Some(population) if population < 1 << 63 && tested > errors && epsilon > 0.0 => population,
        _ => return others,
    };
    let claim = libm::log(epsilon);
    // F falls with W: `possible` stays above ε, `excluded` at or below.
    let (mut possible, mut excluded) = (errors, errors + others + 1);
    while excluded - possible > 1 {
        let marked = possible + (excluded - possible) / 2;
        if ln_at_most(errors, population, marked, tested) > claim {
            possible = marked;
        } else {
            excluded = marked;
        }
    }
    possible - errors
}

/// An upper bound on the error **rate** of at least `others` untested positions.
///
/// Holds with one ε for all numbers of untested positions from `others` up and of tested ones from
/// `tested` up at once, which is what counts known only by lower bounds need. That is
/// (K + 1)/`others` with K at ε/2:
///
/// *More tested positions*, W fixed: k grows stochastically, so F and K fall. *More untested ones*,
/// n' > n: suppose K'/n' > (K + 1)/n for a K' that n' allows, so that Pr\[k\] > ε there. Pick n of the
/// n' at random. Their errors have a hypergeometric law of mean above K + 1, so they are at least
/// K + 1 with probability ½ (its median is no less than the floor of its mean), and a test of the
/// picked and the tested together would err with probability above ε/2: a contradiction.
#[must_use]
pub fn rate_above(errors: u64, tested: u64, others: u64, epsilon: f64) -> f64 {
    if others == 0 {
        return 1.0;
    }
    let worst = errors_above(errors, tested, others, 0.5 * epsilon).saturating_add(1);
    (worst as f64 / others as f64 * (1.0 + 1e-15)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(k: u64, population: u64, marked: u64, drawn: u64) -> f64 {
        libm::exp(ln_probability(k, population, marked, drawn))
    }

    #[test]
    fn probabilities_add_up_to_one() {
        for (population, marked, drawn) in [(1, 0, 1), (10, 3, 4), (50, 25, 25), (1000, 20, 400)] {
            let sum: f64 = (0..=drawn).map(|k| chance(k, population, marked, drawn)).sum();
            assert!((sum - 1.0).abs() < 1e-11, "({population}, {marked}, {drawn}) sums to {sum}");
        }
    }

    #[test]
    fn tails_are_bounded_from_above_and_tightly() {
        for (population, marked, drawn) in [(10, 3, 4), (60, 30, 20), (5_000, 400, 1_000)] {
            let mut sum = 0.0;
            for k in 0..=drawn.min(marked) {
                sum += chance(k, population, marked, drawn);
                let bound = libm::exp(ln_at_most(k, population, marked, drawn));
                assert!(bound >= sum * (1.0 - 1e-9), "tail at {k} of {population} is {sum:e}, not {bound:e}");
                let below_mean = (k as f64) < drawn as f64 * marked as f64 / population as f64;
                assert!(!below_mean || bound <= sum * (1.0 + 1e-4), "loose at {k} of {population}");
            }
        }
    }

    #[test]
    fn a_tail_of_more_terms_than_are_summed_is_bounded_by_its_rest() {
        // Four standard deviations below a mean of 10¹²: ln Φ(−4).
        let k = 1_000_000_000_000 - 4 * 612_372;
        let below = ln_at_most(k, 8_000_000_000_000, 2_000_000_000_000, 4_000_000_000_000);
        assert!((-10.360_2..-10.3).contains(&below), "{below}");
    }

    #[test]
    fn what_cannot_be_has_no_probability() {
        for (k, population, marked, drawn) in
            [(5, 10, 3, 8), (5, 10, 8, 3), (1, 10, 3, 11), (1, 10, 11, 3), (0, 10, 6, 5), (2, 10, 9, 4)]
        {
            let ln = ln_probability(k, population, marked, drawn);
            assert_eq!(ln, f64::NEG_INFINITY, "{k} of {marked} among {drawn} of {population}");
        }
        assert_eq!(ln_at_most(0, 10, 6, 5), f64::NEG_INFINITY, "one is drawn at least");
        assert_eq!(ln_at_most(3, 10, 3, 8), 0.0, "never more than there are");
    }

    #[test]
    fn the_rate_is_one_error_more_than_at_half_the_claim() {
        for (errors, tested, others) in [(0, 50, 100), (3, 200, 333), (40, 1_000, 77_777)] {
            let worst = errors_above(errors, tested, others, 0.5e-3) + 1;
            let (rate, exact) = (rate_above(errors, tested, others, 1e-3), worst as f64 / others as f64);
            assert!(
                rate >= exact && rate < exact * (1.0 + 1e-14),
                "{errors} of {tested}: {rate} for {exact}"
            );
        }
    }

    #[test]
    fn true_failure_is_at_most_the_claim_for_every_small_population() {
        for epsilon in [0.3, 1e-2, 1e-4] {
            for (tested, others) in (1..=14_u64).flat_map(|t| (1..=14_u64).map(move |o| (t, o))) {
                for marked in 0..=tested + others {
                    let fails = |k: &u64| errors_above(*k, tested, others, epsilon) < marked - k;
                    let failure: f64 = (marked.saturating_sub(others)..=marked.min(tested))
                        .filter(fails)
                        .map(|k| chance(k, tested + others, marked, tested))
                        .sum();
                    assert!(
                        failure <= epsilon,
                        "{tested}+{others}, {marked} marked, ε {epsilon}: {failure:e}"
                    );
                }
            }
        }
    }

    #[test]
    fn one_rate_holds_for_every_larger_block() {
        for epsilon in [0.2, 1e-3] {
            for (tested, others) in (1..=10_u64).flat_map(|t| (1..=10_u64).map(move |o| (t, o))) {
                for errors in 0..=tested {
                    let rate = rate_above(errors, tested, others, epsilon);
                    for more in others..=40 {
                        let exact = errors_above(errors, tested, more, epsilon) as f64 / more as f64;
                        assert!(exact <= rate, "{errors}/{tested}, {others} to {more}: {exact} > {rate}");
                    }
                    let more_tested = rate_above(errors, tested + 3, others, epsilon);
                    assert!(more_tested <= rate, "more tested, {errors}/{tested}");
                }
            }
        }
    }

    #[test]
    fn where_gamma_fails_this_bound_holds() {
        // At 16 errors in all among 1 000 + 1 000, "γ" fails with 2.3e-4 for a claim of 1e-10.
        let fails = |k: &u64| errors_above(*k, 1_000, 1_000, 1e-10) < 16 - k;
        let failure: f64 = (0..=16).filter(fails).map(|k| chance(k, 2_000, 16, 1_000)).sum();
        assert!(failure <= 1e-10, "true failure {failure:e}");
    }

    #[test]
    fn large_counts_approach_the_observed_rate() {
        let (errors, tested, others) = (1 << 50, 1 << 54, 1 << 60);
        let rate = errors_above(errors, tested, others, 1e-23) as f64 / others as f64;
        assert!(rate > 0.0625 && rate < 0.0625 * (1.0 + 1e-6), "rate {rate}");
    }

    #[test]
    fn nothing_known_is_everything_wrong() {
        assert_eq!(errors_above(0, 0, 9, 1e-10), 9, "nothing tested");
        assert_eq!(errors_above(9, 9, 9, 1e-10), 9, "every test failed");
        assert_eq!(errors_above(0, 9, 9, 0.0), 9, "no ε");
        assert_eq!(errors_above(0, 1 << 63, 9, 0.1), 9, "beyond the range");
        assert!((rate_above(0, 5, 0, 0.1) - 1.0).abs() < 1e-15, "no others");
    }

    #[test]
    fn tails_are_those_of_fifty_digits_rounded_up() {
        for ((k, population, marked, drawn), exact) in [
            ((3, 100, 30, 40), -10.333_763_361_180_586),
            ((0, 50, 10, 20), -5.834_507_348_938_957),
            ((20, 5_000, 400, 1_000), -42.149_050_708_540_68),
            ((16, 60, 30, 40), -3.613_823_823_734_75),
        ] {
            let ours = ln_at_most(k, population, marked, drawn);
            let above = ours - exact;
            assert!(above > 5e-10 && above < 2e-9, "{k} of {marked} among {drawn} of {population}: {ours}");
        }
    }

    #[test]
    fn populations_beyond_two_to_the_63_are_not_judged() {
        let half = 1_u64 << 62;
        assert_eq!(errors_above(0, half, half, 0.1), half, "2⁶³");
        assert!(errors_above(0, half, half - 1, 0.1) < 10, "one less");
        assert_eq!(errors_above(0, u64::MAX, 9, 0.1), 9, "past every count");
        assert_eq!(errors_above(3, 3, 9, 0.5), 9, "every test failed");
        assert_eq!(errors_above(0, 9, 9, -1.0), 9, "less than no ε");
        assert_eq!(rate_above(0, 0, 1, 0.1), 1.0, "nothing tested, one other");
    }

    #[test]
    fn what_is_barely_possible_has_its_probability() {
        for ((k, population, marked, drawn), exact) in [
            // C(5, 3)/C(10, 3); C(7, 2)/C(10, 5); all are marked; all are drawn; two must be.
            ((3, 10, 5, 3), -2.484_906_649_788_000_4),
            ((3, 10, 3, 5), -2.484_906_649_788_000_4),
            ((3, 10, 10, 3), 0.0),
            ((3, 10, 3, 10), 0.0),
            ((2, 10, 7, 5), -2.484_906_649_788_000_4),
        ] {
            let ours = ln_probability(k, population, marked, drawn);
            assert!((ours - exact).abs() < 1e-12, "{k} of {marked} among {drawn} of {population}: {ours}");
        }
    }

    #[test]
    fn from_the_mean_on_nothing_is_excluded() {
        assert_eq!(ln_at_most(12, 100, 30, 40), 0.0, "the mean");
        let below = ln_at_most(11, 100, 30, 40);
        assert!(below < -0.3 && below > -1.5, "one below the mean: {below}");
    }
}
