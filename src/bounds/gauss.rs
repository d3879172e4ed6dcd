//! Quantiles of the normal law, and χ² bounds on a variance from a mean square.
//!
//! With a = k/2, x = q/2 and π(a, x) = xᵃ e^{−x} / Γ(a + 1), the tails of χ² with k degrees of freedom
//! are bounded by the first terms of their series:
//!
//! ```text
//! Pr[χ² ≤ q] ≤ π(a, x) · (a + 1)/(a + 1 − x)   for x < a + 1,
//! Pr[χ² ≥ q] ≤ π(a, x) · a/(x − a + 1)         for x > a − 1.
//! ```
//!
//! Both exceed the tails by the factor 1 + O(1/z²) only, at any number of degrees of freedom.

use super::stirling::{deviance, remainder};

/// The z that a standard normal variable exceeds with probability ε, rounded up.
///
/// Infinite where ε ≤ 0; 0 from ½ on.
#[must_use]
pub fn quantile(epsilon: f64) -> f64 {
    if epsilon.is_nan() || epsilon <= 0.0 {
        return f64::INFINITY;
    }
    if epsilon >= 0.5 {
        return 0.0;
    }
    // Newton on the logarithm of the tail, which is concave: every step from √(2 ln 1/ε) ≥ z stays
    // on the far side of the root.
    let mut z = libm::sqrt(-2.0 * libm::log(epsilon));
    for _ in 0..100 {
        let tail = 0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2);
        let density = libm::exp(-0.5 * z * z) * 0.398_942_280_401_432_7;
        let step = tail / density * libm::log(tail / epsilon);
        z += step;
        if step.abs() <= z * 1e-15 {
            break;
        }
    }
    z * (1.0 + 1e-14)
}

/// By which factor a variance may exceed the mean square of its samples, at most, but for ε.
///
/// `freedom`: samples less parameters fitted. Infinite where nothing can be said.
#[must_use]
pub fn variance_above(freedom: u64, epsilon: f64) -> f64 {
    let a = 0.5 * freedom as f64;
    let tail = |depth: f64| {
        let x = a * (1.0 - depth);
        ln_density(a, x) + libm::log((a + 1.0) / (a + 1.0 - x))
    };
    if freedom == 0 { f64::INFINITY } else { 1.0 / (1.0 - reach(tail, 1.0, epsilon)).max(0.0) }
}

/// To which factor of the mean square of its samples a variance may fall, at most, but for ε.
#[must_use]
pub fn variance_below(freedom: u64, epsilon: f64) -> f64 {
    let a = 0.5 * freedom as f64;
    let tail = |height: f64| {
        let x = a * (1.0 + height);
        ln_density(a, x) + libm::log(a / (x - a + 1.0))
    };
    let furthest = (2.0 * -libm::log(epsilon.max(1e-300)) / a).max(4.0) * 2.0;
    if freedom == 0 { 0.0 } else { 1.0 / (1.0 + reach(tail, furthest, epsilon)) }
}

/// ln π(a, x).
fn ln_density(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return f64::NEG_INFINITY;
    }
    -remainder(a) - deviance(a, x) - 0.5 * libm::log(std::f64::consts::TAU * a)
}

/// The least distance in (0, furthest] at which a falling tail is at most ε, rounded up.
fn reach(ln_tail: impl Fn(f64) -> f64, furthest: f64, epsilon: f64) -> f64 {
    if epsilon.is_nan() || epsilon <= 0.0 {
        return furthest;
    }
    let claim = libm::log(epsilon) - 1e-9;
    let (mut inside, mut outside) = (0.0, furthest);
    for _ in 0..200 {
        let middle = 0.5 * (inside + outside);
        if middle <= inside || middle >= outside {
            break;
        }
        if ln_tail(middle) <= claim { outside = middle } else { inside = middle }
    }
    (outside * (1.0 + 1e-9)).min(furthest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_a_fifty_digit_reference() {
        for (epsilon, z) in
            [(5e-11, 6.466_951_087_240_516), (5e-10, 6.109_410_204_869_397_5), (0.025, 1.959_963_984_540_054)]
        {
            let ours = quantile(epsilon);
            assert!(ours > z && ours < z * (1.0 + 1e-13), "quantile({epsilon:e}) is {ours}, above {z}");
        }
        assert_eq!(quantile(0.0), f64::INFINITY, "no ε, no bound");
        assert_eq!(quantile(0.7), 0.0, "more than half");
        assert!(quantile(1e-300) > 37.0, "far out");
    }

    /// Pr[χ² ≤ q] for an even number of degrees of freedom, from the Poisson law.
    fn at_most(q: f64, freedom: u32) -> f64 {
        let x = 0.5 * q;
        let (mut term, mut below) = (libm::exp(-x), 0.0);
        for k in 0..freedom / 2 {
            below += term;
            term *= x / f64::from(k + 1);
        }
        1.0 - below
    }

    #[test]
    fn true_failure_is_at_most_the_claim_and_near_it() {
        for freedom in [2_u32, 6, 20, 100, 400] {
            for epsilon in [1e-2, 1e-4, 1e-8] {
                let k = f64::from(freedom);
                let above = at_most(k / variance_above(u64::from(freedom), epsilon), freedom);
                assert!(
                    above <= epsilon * (1.0 + 1e-6) + 1e-14,
                    "χ²({freedom}) low tail {above:e} > {epsilon:e}"
                );
                assert!(above >= 0.4 * epsilon, "χ²({freedom}) low tail is loose: {above:e}");
                let below = 1.0 - at_most(k / variance_below(u64::from(freedom), epsilon), freedom);
                assert!(
                    below <= epsilon * (1.0 + 1e-6) + 1e-14,
                    "χ²({freedom}) high tail {below:e} > {epsilon:e}"
                );
                assert!(below >= 0.4 * epsilon, "χ²({freedom}) high tail is loose: {below:e}");
            }
        }
    }

    #[test]
    fn large_samples_approach_the_normal_law() {
        let freedom = 2_000_000_000_u64;
        let z = quantile(1e-10) * libm::sqrt(2.0 / freedom as f64);
        for factor in [variance_above(freedom, 1e-10) - 1.0, 1.0 - variance_below(freedom, 1e-10)] {
            assert!(factor > 0.99 * z && factor < 1.02 * z, "{factor:e} against {z:e}");
        }
    }

    #[test]
    fn nothing_measured_is_nothing_known() {
        assert_eq!(variance_above(0, 1e-10), f64::INFINITY, "no samples");
        assert_eq!(variance_below(0, 1e-10), 0.0, "no samples");
        assert_eq!(variance_above(100, 0.0), f64::INFINITY, "no ε");
    }

    #[test]
    fn variances_are_those_of_fifty_digits_rounded_outward() {
        for (freedom, epsilon, above, below) in [
            (1, 1e-2, 6_365.864_399_070_954, 0.151_731_651_641_461_53),
            (7, 1e-3, 11.699_185_635_418_17, 0.287_182_859_575_852_05),
            (30, 1e-12, 13.766_361_661_711_75, 0.249_857_951_438_188_13),
            (100, 1e-10, 2.907_405_970_459_293, 0.459_220_537_948_828_35),
            (100, 0.4, 1.103_337_138_363_608_6, 0.913_867_936_159_214_3),
            (1_000_000, 0.45, 1.000_983_653_178_678, 0.999_018_069_917_361_9),
            (1_000_000, 1e-10, 1.009_056_249_080_521_7, 0.991_053_086_086_606_1),
        ] {
            let (most, least) = (variance_above(freedom, epsilon), variance_below(freedom, epsilon));
            assert!(
                most > above && most < above * (1.0 + 4e-9 * above),
                "χ²({freedom}), {epsilon:e}: at most {most}"
            );
            assert!(
                least < below && least > below * (1.0 - 1e-7),
                "χ²({freedom}), {epsilon:e}: {least} at least"
            );
        }
    }

    #[test]
    fn quantiles_are_met_from_end_to_end() {
        for (epsilon, z) in
            [(0.4, 0.253_347_103_135_799_7), (0.1, 1.281_551_565_544_600_4), (1e-100, 21.273_453_560_965_325)]
        {
            let ours = quantile(epsilon);
            assert!(ours >= z && ours < z * (1.0 + 1e-13), "quantile({epsilon:e}) is {ours}, above {z}");
        }
        assert_eq!((quantile(0.5), quantile(-1.0)), (0.0, f64::INFINITY), "a half; less than nothing");
        assert_eq!(quantile(f64::NAN), f64::INFINITY, "undefined");
        assert_eq!(
            (variance_above(100, f64::NAN), variance_above(100, -1.0)),
            (f64::INFINITY, f64::INFINITY),
            "no ε"
        );
        let nothing = variance_below(100, 0.0);
        assert!(nothing > 0.0 && nothing < variance_below(100, 1e-100), "no ε reaches furthest: {nothing}");
    }
}
