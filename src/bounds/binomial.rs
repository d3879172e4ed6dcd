//! Clopper–Pearson: exact bounds on the rate of equal, independent trials.
//!
//! With B(x; n, p) = Pr[at most x of n], the upper bound on p is the root of B(x; n, p) = ε, the lower
//! that of 1 − B(x − 1; n, p) = ε. Also valid for trials with different rates, for the mean rate, if the
//! bound lies beyond x ± 1 (Hoeffding, Ann. Math. Stat. 27, 713 (1956)).
//!
//! C. J. Clopper, E. S. Pearson, Biometrika 26, 404 (1934).

use super::stirling::{ln_binomial, margin};

/// Terms of a tail that are summed before the rest is bounded by a geometric series.
const TERMS: usize = 20_000;

/// An upper bound on the rate of which `successes` in `trials` were seen, wrong with probability at most ε.
///
/// 1 where every trial succeeded, nothing was tried, or ε ≤ 0.
#[must_use]
pub fn rate_above(successes: u64, trials: u64, epsilon: f64) -> f64 {
    let inside = epsilon > 0.0 && epsilon < 1.0;
    if !inside || successes >= trials {
        return if epsilon >= 1.0 && trials > 0 { (successes as f64 / trials as f64).min(1.0) } else { 1.0 };
    }
    let claim = libm::log(epsilon);
    // The tail falls with p: `possible` stays above ε, `excluded` at or below.
    let (mut possible, mut excluded) = (successes as f64 / trials as f64, 1.0);
    for _ in 0..200 {
        let rate = 0.5 * (possible + excluded);
        if rate <= possible || rate >= excluded {
            break;
        }
        if ln_at_most(successes, trials, rate) > claim { possible = rate } else { excluded = rate }
    }
    excluded
}

/// A lower bound on the rate of which `successes` in `trials` were seen, wrong with probability at most ε.
#[must_use]
pub fn rate_below(successes: u64, trials: u64, epsilon: f64) -> f64 {
    if successes > trials {
        return 0.0;
    }
    1.0 - rate_above(trials - successes, trials, epsilon)
}

/// An upper bound on ln Pr[at most x of n at rate p], tight to 1e-5; 0 from the mean on.
#[must_use]
pub fn ln_at_most(x: u64, n: u64, p: f64) -> f64 {
    if x >= n || x as f64 >= n as f64 * p {
        return 0.0;
    }
    let q = 1.0 - p;
    let top = ln_binomial(x as f64, n as f64, p, q);
    let (mut sum, mut term, mut ratio) = (1.0, 1.0, 1.0);
    for j in (1..=x).rev().take(TERMS) {
        // P(j − 1)/P(j).
        ratio = j as f64 / (n - j + 1) as f64 * (q / p);
        term *= ratio;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    let cut = x > TERMS as u64 && term >= sum * 1e-17;
    let rest = if cut { term * ratio / (1.0 - ratio).max(0.0) } else { 0.0 };
    (top + libm::log(sum + rest) + margin(n as f64)).min(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn true_failure_is_at_most_the_claim_for_every_small_number_of_trials() {
        for epsilon in [0.2, 1e-2, 1e-4] {
            for trials in 1..=30_u64 {
                let above: Vec<f64> = (0..=trials).map(|x| rate_above(x, trials, epsilon)).collect();
                let below: Vec<f64> = (0..=trials).map(|x| rate_below(x, trials, epsilon)).collect();
                for percent in 1..100_u32 {
                    let p = f64::from(percent) / 100.0;
                    let chance = |x: u64| libm::exp(ln_binomial(x as f64, trials as f64, p, 1.0 - p));
                    let fails = |bad: &dyn Fn(usize) -> bool| -> f64 {
                        (0..=trials).filter(|x| bad(*x as usize)).map(chance).sum()
                    };
                    let (high, low) = (fails(&|x| above[x] < p), fails(&|x| below[x] > p));
                    assert!(high <= epsilon, "above, n = {trials}, p = {p}: {high:e} > {epsilon:e}");
                    assert!(low <= epsilon, "below, n = {trials}, p = {p}: {low:e} > {epsilon:e}");
                }
            }
        }
    }

    #[test]
    fn known_values_are_met() {
        // No success: 1 − ε^{1/n}; tables of Clopper and Pearson: 2 of 10 at 2.5 % a side.
        let none = rate_above(0, 100, 1e-10);
        assert!((none - (1.0 - libm::pow(1e-10, 0.01))).abs() < 1e-6, "no success: {none}");
        let (low, high) = (rate_below(2, 10, 0.025), rate_above(2, 10, 0.025));
        assert!(
            (low - 0.025_211).abs() < 1e-5 && (high - 0.556_095).abs() < 1e-5,
            "2 of 10: {low} to {high}"
        );
    }

    #[test]
    fn a_tail_of_more_terms_than_are_summed_is_bounded_by_its_rest() {
        // Four standard deviations below a mean of 10¹²: ln Φ(−4).
        let below = ln_at_most(1_000_000_000_000 - 4 * 866_025, 4_000_000_000_000, 0.25);
        assert!((-10.360_2..-10.3).contains(&below), "{below}");
        for (x, n, p) in [(3, 10, 0.3), (5, 10, 0.3), (10, 10, 0.999), (0, 0, 0.5)] {
            assert_eq!(ln_at_most(x, n, p), 0.0, "{x} of {n} at {p}: nothing is excluded");
        }
        let near = ln_at_most(29, 100, 0.3);
        assert!(near < 0.0 && near > -0.8, "just below the mean: {near}");
        assert_eq!(rate_above(2, 10, 1.0), 0.2, "nothing claimed: the rate that was seen");
    }

    #[test]
    fn large_numbers_of_trials_are_no_harder() {
        let rate = rate_above(1 << 50, 1 << 54, 1e-23);
        assert!(rate > 0.0625 && rate < 0.0625 * (1.0 + 1e-6), "{rate}");
    }

    #[test]
    fn nothing_known_is_everything_possible() {
        assert_eq!(rate_above(5, 5, 1e-10), 1.0, "all succeeded");
        assert_eq!(rate_above(0, 0, 1e-10), 1.0, "nothing tried");
        assert_eq!(rate_above(1, 5, 0.0), 1.0, "no ε");
        assert_eq!(rate_above(1, 5, f64::NAN), 1.0, "undefined ε");
        assert_eq!(rate_below(0, 5, 1e-10), 0.0, "none succeeded");
        assert_eq!(rate_below(6, 5, 1e-10), 0.0, "impossible");
    }

    #[test]
    fn rates_are_those_of_fifty_digits_rounded_outward() {
        for (successes, trials, epsilon, exact) in [
            (2, 10, 0.025, 0.556_095_462_307_641_5),
            (0, 100, 1e-10, 0.205_671_765_275_718_5),
            (30, 1_000, 1e-10, 0.078_442_979_753_766_65),
            (999, 1_000, 1e-3, 0.999_998_999_500_166_9),
        ] {
            let ours = rate_above(successes, trials, epsilon);
            let bound = exact * (1.0 + 1e-8);
            assert!(ours >= exact && ours <= bound, "{successes} of {trials}, ε {epsilon:e}: {ours}");
            let below = rate_below(trials - successes, trials, epsilon);
            assert_eq!(below, 1.0 - ours, "the failures' rate from below");
        }
    }

    #[test]
    fn tails_are_those_of_fifty_digits_rounded_up() {
        // Pr[none of 50 at 2 %] = 0.98⁵⁰; at most 9 of 1000 at 3 %.
        let none = ln_at_most(0, 50, 0.02);
        assert!((none + 1.010_135_365_875_973).abs() < 1e-8 && none > -1.010_135_365_875_973, "{none}");
        assert_eq!(ln_at_most(1, 50, 0.02), 0.0, "at the mean nothing is excluded");
        assert_eq!(rate_above(1, 0, 1.0), 1.0, "an impossible count, and no claim");
        assert_eq!(rate_above(12, 10, 1.0), 1.0, "no rate is above one");
        let nearly = rate_above(2, 10, 1.0 - 1e-9);
        assert!(nearly > 0.2 && nearly < 0.21, "next to no claim: {nearly}");
    }
}
