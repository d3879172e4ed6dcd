//! Chernoff's multiplicative bounds for a sum X of independent 0/1 variables with mean λ.
//!
//! ```text
//! Pr[X ≥ x] ≤ exp(−D(x, λ)) for x ≥ λ,   Pr[X ≤ x] ≤ exp(−D(x, λ)) for x ≤ λ,
//! D(x, λ) = λ − x + x ln(x/λ)
//! ```
//!
//! The variables may have different means: the number of detections from one intensity, given the
//! photon numbers of all pulses, is such a sum. [`expected_above`] and [`expected_below`] invert D
//! exactly; [`closed_above`] and [`closed_below`] are the looser closed forms that published decoy
//! analyses print (Yin, Zhou, Gu, Xie, Lu, Chen, Sci. Rep. 10, 14312 (2020)).

use super::Real;

/// ln(1/ε), the exponent that a tail must reach; infinite where ε ≤ 0, zero where ε ≥ 1.
#[must_use]
pub fn exponent(epsilon: f64) -> Real {
    if epsilon >= 1.0 {
        return Real::ZERO;
    }
    if epsilon > 0.0 { -Real::from(epsilon).ln() } else { Real::from(f64::INFINITY) }
}

/// An upper bound on the mean of a sum seen to be `observed`, wrong with probability at most ε.
///
/// The root λ ≥ x of D(x, λ) = ln(1/ε); for x = 0 that is ln(1/ε). Infinite where ε ≤ 0.
#[must_use]
pub fn expected_above(observed: u64, epsilon: f64) -> Real {
    let (count, beta) = (Real::from(observed), exponent(epsilon));
    if observed == 0 || !beta.is_finite() {
        return beta;
    }
    let start = closed_above(count, beta) - count;
    count + outward(newton(count, beta, start))
}

/// A lower bound on the mean of a sum seen to be `observed`, wrong with probability at most ε.
///
/// The root λ ≤ x of D(x, λ) = ln(1/ε); zero for x = 0 or ε ≤ 0.
#[must_use]
pub fn expected_below(observed: u64, epsilon: f64) -> Real {
    let (count, beta) = (Real::from(observed), exponent(epsilon));
    if observed == 0 || !beta.is_finite() {
        return Real::ZERO;
    }
    // λ > x e^{−1−β/x}, since D ≥ x ln(x/λ) − x: from there Newton climbs the convex D.
    let floor = count * (-Real::ONE - beta / count).exp();
    let start = (count - beta - (beta * (beta + count + count)).sqrt()).max(floor) - count;
    (count + outward(newton(count, beta, start))).max(Real::ZERO)
}

/// Yin's upper bound on the mean: x + β + √(2βx + β²).
#[must_use]
pub fn closed_above(observed: Real, beta: Real) -> Real {
    observed + beta + (beta * (observed + observed) + beta * beta).sqrt()
}

/// Yin's lower bound on the mean: x − β/2 − √(2βx + β²/4). May be negative.
#[must_use]
pub fn closed_below(observed: Real, beta: Real) -> Real {
    let half = beta * Real::from(0.5);
    observed - half - (beta * (observed + observed) + half * half).sqrt()
}

/// The exact inversion of the same quadratic tail: x + β/2 − √(2βx + β²/4). May be negative.
#[must_use]
pub fn quadratic_below(observed: Real, beta: Real) -> Real {
    closed_below(observed, beta) + beta
}

/// An upper bound on a sum whose mean is at most `expected`: λ + β/2 + √(2βλ + β²/4).
#[must_use]
pub fn observed_above(expected: Real, epsilon: f64) -> Real {
    let beta = exponent(epsilon);
    let half = beta * Real::from(0.5);
    expected + outward(half + (beta * (expected + expected) + half * half).sqrt())
}

/// A lower bound on a sum whose mean is at least `expected`: λ − √(2βλ), not below zero.
#[must_use]
pub fn observed_below(expected: Real, epsilon: f64) -> Real {
    let beta = exponent(epsilon);
    (expected - outward((beta * (expected + expected)).sqrt())).max(Real::ZERO)
}

/// The deviation d = λ − x at which D(x, x + d) = d − x ln(1 + d/x) reaches β.
///
/// D is convex in d and the start lies outside of the root, so Newton approaches it from outside
/// and every iterate is a valid bound: stopping early fails safe.
fn newton(count: Real, beta: Real, start: Real) -> Real {
    let mut deviation = start;
    for _ in 0..60 {
        let excess = deviation - count * (deviation / count).ln_1p() - beta;
        let slope = deviation / (count + deviation);
        let step = excess / slope;
        deviation = deviation - step;
        if step.to_f64().abs() <= deviation.to_f64().abs() * 1e-14 {
            break;
        }
    }
    deviation
}

/// Away from zero by more than the error of its computation.
fn outward(deviation: Real) -> Real {
    deviation * Real::from(1.0 + 1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pr[X ≤ x] of a Poisson variable, summed term by term.
    fn poisson_at_most(x: u64, mean: f64) -> f64 {
        let mut term = libm::exp(-mean);
        let mut sum = term;
        for k in 1..=x {
            term *= mean / k as f64;
            sum += term;
        }
        sum
    }

    #[test]
    fn true_failure_is_below_the_claim_for_every_small_mean() {
        for epsilon in [1e-2, 1e-5] {
            for tenth in 1..400_u32 {
                let mean = f64::from(tenth) * 0.1;
                let above = (0..).take_while(|x| expected_above(*x, epsilon).to_f64() < mean).count() as u64;
                let too_low = if above == 0 { 0.0 } else { poisson_at_most(above - 1, mean) };
                assert!(too_low <= epsilon, "upper bound fails with {too_low:e} at mean {mean}");
                let below = (0..).take_while(|x| expected_below(*x, epsilon).to_f64() <= mean).count() as u64;
                let too_high = 1.0 - poisson_at_most(below - 1, mean);
                assert!(too_high <= epsilon, "lower bound fails with {too_high:e} at mean {mean}");
            }
        }
    }

    #[test]
    fn the_exact_inversion_is_tighter_than_the_closed_forms() {
        for (x, epsilon) in [(21, 8e-11), (3_044, 7e-13), (48_557_832, 6e-11), (1 << 60, 1e-23)] {
            let (count, beta) = (Real::from(x), exponent(epsilon));
            let (above, below) = (expected_above(x, epsilon), expected_below(x, epsilon));
            assert!(above > count && above <= closed_above(count, beta), "above {x}: {above:?}");
            assert!(below < count && below >= quadratic_below(count, beta), "below {x}: {below:?}");
            let reached = above - count - count * ((above - count) / count).ln_1p();
            assert!(reached >= beta, "the upper root is rounded outward at {x}");
            let reached = below - count - count * ((below - count) / count).ln_1p();
            assert!(reached >= beta, "the lower root is rounded outward at {x}");
        }
    }

    #[test]
    fn closed_forms_are_those_of_the_paper() {
        let (x, beta, epsilon) = (Real::from(100.0), Real::from(8.0), libm::exp(-8.0));
        // 2βx + β² = 1664 and 2βx + β²/4 = 1616.
        for (name, ours, expected) in [
            ("x + β + √(2βx + β²)", closed_above(x, beta), 148.792_156_108_742_3),
            ("x − β/2 − √(2βx + β²/4)", closed_below(x, beta), 55.800_497_515_516_39),
            ("x + β/2 − √(2βx + β²/4)", quadratic_below(x, beta), 63.800_497_515_516_39),
            ("λ + β/2 + √(2βλ + β²/4)", observed_above(x, epsilon), 144.199_502_484_483_6),
            ("λ − √(2βλ)", observed_below(x, epsilon), 60.0),
        ] {
            assert!((ours.to_f64() - expected).abs() < 1e-9, "{name} is {ours:?}, not {expected}");
        }
        assert_eq!(exponent(1.0), Real::ZERO, "nothing is claimed");
    }

    #[test]
    fn zero_counts_and_zero_epsilon_fail_safe() {
        assert!((expected_above(0, 1e-10).to_f64() - 23.025_850_929_940_457).abs() < 1e-12, "ln 1/ε");
        assert_eq!(expected_below(0, 1e-10).to_f64(), 0.0, "nothing seen, nothing sure");
        assert_eq!(expected_above(5, 0.0).to_f64(), f64::INFINITY, "no ε, no upper bound");
        assert_eq!(expected_below(5, -1.0).to_f64(), 0.0, "no ε, no lower bound");
        let almost_nothing = expected_below(1, 1e-23);
        assert!(almost_nothing.to_f64() >= 0.0 && almost_nothing.to_f64() < 1e-22, "{almost_nothing:?}");
    }

    #[test]
    fn expected_to_observed_holds_for_every_small_mean() {
        let epsilon = 1e-3;
        for mean in 1..60_u32 {
            let mean = f64::from(mean);
            let above = observed_above(Real::from(mean), epsilon).ceil_to_u64();
            assert!(1.0 - poisson_at_most(above, mean) <= epsilon, "above, mean {mean}");
            let below = observed_below(Real::from(mean), epsilon).floor_to_u64();
            if below > 0 {
                assert!(poisson_at_most(below - 1, mean) <= epsilon, "below, mean {mean}");
            }
        }
    }

    #[test]
    fn roots_are_those_of_fifty_digits_rounded_outward() {
        for (count, epsilon, above, below) in [
            (1, 1e-3, 10.233_413_476_451_586, 3.680_148_511_841_583e-4),
            (21, 1e-10, 69.010_229_398_835_1, 2.973_184_359_691_582),
            (1_000_000, 1e-20, 1_009_627.777_480_914_6, 990_433.624_725_394_7),
        ] {
            let ours = (expected_above(count, epsilon).to_f64(), expected_below(count, epsilon).to_f64());
            assert!(
                ours.0 > above && ours.0 < above * (1.0 + 1e-11),
                "{count}, {epsilon:e}: at most {}",
                ours.0
            );
            // Where nearly all is the deviation, the error is that of the deviation.
            let reach = (count as f64 - below) * 1e-11;
            assert!(ours.1 < below && ours.1 > below - reach, "{count}, {epsilon:e}: {} at least", ours.1);
        }
    }

    #[test]
    fn observed_bounds_are_rounded_outward() {
        let (mean, beta) = (Real::from(50.0), exponent(1e-6));
        let half = beta * Real::from(0.5);
        let above = mean + half + (beta * Real::from(100.0) + half * half).sqrt();
        let below = mean - (beta * Real::from(100.0)).sqrt();
        let (most, least) = (observed_above(mean, 1e-6), observed_below(mean, 1e-6));
        assert!(most > above && most < above * Real::from(1.0 + 1e-11), "{most:?}, above {above:?}");
        assert!(least < below && least > below * Real::from(1.0 - 1e-10), "{least:?}, below {below:?}");
        assert_eq!(observed_below(Real::from(1.0), 1e-6), Real::ZERO, "never below nothing");
        assert_eq!(exponent(2.0), Real::ZERO, "more than certain");
        assert_eq!(exponent(f64::NAN).to_f64(), f64::INFINITY, "an undefined ε proves nothing");
        assert!(exponent(0.999).to_f64() > 1e-3, "nearly nothing is claimed");
    }
}
