//! Probabilities of the binomial and the Poisson law without cancellation, for counts of any size.
//!
//! C. Loader, "Fast and accurate computation of binomial probabilities" (2000): the large parts of
//! the factorials cancel by algebra, and what remains is a deviance and Stirling's remainders.

/// ln √(2π).
const LN_SQRT_2PI: f64 = 0.918_938_533_204_672_8;

/// How much larger than computed the logarithm of a probability near 10⁻⁵⁰ or above may be.
///
/// A deviance D = 2z² of a mean m is computed from a difference z√m of numbers that are rounded to m·2⁻⁵³.
pub(super) fn margin(population: f64) -> f64 {
    1e-9 + 1e-14 * libm::sqrt(population)
}

/// Stirling's remainder: ln n! − ln(√(2πn) (n/e)ⁿ), also between the integers. Error below 1e-14.
pub(super) fn remainder(n: f64) -> f64 {
    if n == 0.0 {
        return 0.0;
    }
    if n < 16.0 {
        return libm::lgamma(n + 1.0) - LN_SQRT_2PI - (n + 0.5) * libm::log(n) + n;
    }
    let square = n * n;
    (1.0 / 12.0
        - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / 1188.0 / square) / square) / square) / square)
        / n
}

/// The deviance x ln(x/mean) + mean − x, ≥ 0; accurate also where x is close to the mean.
pub(super) fn deviance(x: f64, mean: f64) -> f64 {
    if x == 0.0 {
        return mean;
    }
    let gap = x - mean;
    if gap.abs() < 0.1 * (x + mean) {
        // x ln(x/mean) = 2x artanh(v), v = gap/(x + mean).
        let v = gap / (x + mean);
        let square = v * v;
        let mut sum = gap * v;
        let mut odd_power = 2.0 * x * v;
        for j in 1..60_u32 {
            odd_power *= square;
            let next = sum + odd_power / f64::from(2 * j + 1);
            if next == sum {
                break;
            }
            sum = next;
        }
        return sum;
    }
    x * libm::log(x / mean) + mean - x
}

/// ln of the binomial probability of x in n trials at rate p (q = 1 − p handed in for accuracy).
pub(super) fn ln_binomial(x: f64, n: f64, p: f64, q: f64) -> f64 {
    if p <= 0.0 {
        return if x == 0.0 { 0.0 } else { f64::NEG_INFINITY };
    }
    if q <= 0.0 {
        return if x == n { 0.0 } else { f64::NEG_INFINITY };
    }
    if x == 0.0 {
        return n * if p < 0.1 { libm::log1p(-p) } else { libm::log(q) };
    }
    if x == n {
        return n * if q < 0.1 { libm::log1p(-q) } else { libm::log(p) };
    }
    remainder(n) - remainder(x) - remainder(n - x) - deviance(x, n * p) - deviance(n - x, n * q)
        + 0.5 * (libm::log(n / x) - libm::log(n - x))
        - LN_SQRT_2PI
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_probabilities_agree_with_plain_products() {
        for (x, n, p) in [(0, 7, 0.3), (3, 7, 0.3), (7, 7, 0.3), (20, 60, 0.01), (31, 60, 0.5)] {
            let choose: f64 = (0..x).map(|i| f64::from(n - i) / f64::from(i + 1)).product();
            let plain =
                libm::log(choose) + f64::from(x) * libm::log(p) + f64::from(n - x) * libm::log(1.0 - p);
            let ours = ln_binomial(f64::from(x), f64::from(n), p, 1.0 - p);
            assert!((ours - plain).abs() < 1e-11, "({x}, {n}, {p}): {ours} against {plain}");
        }
    }

    #[test]
    fn remainders_are_those_of_fifty_digits() {
        for (n, exact) in [
            (16.0, 0.005_207_655_919_609_640_4),
            (20.0, 0.004_166_319_691_996_922),
            (40.0, 0.002_083_289_938_302_421_7),
        ] {
            let ours = remainder(n);
            assert!((ours - exact).abs() < 1e-15, "of {n}: {ours}");
        }
    }

    #[test]
    fn the_deviance_is_smooth_across_its_branches() {
        for mean in [5.0, 1e6, 1e15] {
            let (inside, outside) = (mean * 1.222_2, mean * 1.222_3);
            let slope = (deviance(outside, mean) - deviance(inside, mean)) / (outside - inside);
            assert!((slope - libm::log(1.222_25)).abs() < 1e-6, "slope at {mean}: {slope}");
        }
    }

    #[test]
    fn the_margin_is_what_rounding_may_cost() {
        assert!((margin(1e10) - 2e-9).abs() < 1e-20, "1e-9 + 1e-14 √(1e10)");
    }

    #[test]
    fn remainders_of_small_numbers_are_those_of_fifty_digits() {
        for (n, exact) in [
            (0.0, 0.0),
            (0.5, 0.153_426_409_720_027_35),
            (1.0, 0.081_061_466_795_327_26),
            (3.0, 0.027_677_925_684_998_34),
            (15.5, 0.005_375_599_032_926_834),
            (17.0, 0.004_901_395_948_434_738),
        ] {
            let ours = remainder(n);
            assert!((ours - exact).abs() < 2e-14, "of {n}: {ours}");
        }
    }

    #[test]
    fn deviances_are_those_of_fifty_digits() {
        for (x, mean, exact) in [
            (0.0, 7.0, 7.0),
            (10.0, 10.0, 0.0),
            (11.0, 10.0, 0.048_411_977_847_573_46),
            (9.0, 10.0, 0.051_755_359_079_563_29),
            (30.0, 10.0, 12.958_368_660_043_29),
            (1e6, 1.0, 12_815_511.557_964_275),
            (1e6, 100.0, 8_210_440.371_976_183),
            (1.0, 1e6, 999_985.184_489_442),
            (3.0, 10.0, 3.388_081_587_022_192),
            (1_000_000_030_000_000.0, 1e15, 0.449_999_995_500_000_1),
        ] {
            let ours = deviance(x, mean);
            assert!((ours - exact).abs() <= exact * 1e-14, "of {x} from {mean}: {ours}");
        }
    }

    #[test]
    fn probabilities_are_those_of_fifty_digits() {
        for (x, n, p, exact) in [
            (100.0, 1_000.0, 0.1, -3.169_685_958_183_667),
            (90.0, 1_000.0, 0.1, -3.695_526_713_095_144),
            (5e8, 1e9, 0.5, -10.587_424_271_367_933),
            (999.0, 1_000.0, 0.99, -7.737_700_424_653_902),
        ] {
            let ours = ln_binomial(x, n, p, 1.0 - p);
            assert!((ours - exact).abs() < 1e-12, "{x} of {n} at {p}: {ours}");
        }
    }

    #[test]
    fn rates_at_the_ends_keep_their_digits() {
        assert_eq!(ln_binomial(0.0, 1e20, 1e-20, 1.0), -1.0, "none of 10²⁰ at 10⁻²⁰");
        assert_eq!(ln_binomial(1e20, 1e20, 1.0, 1e-20), -1.0, "all of 10²⁰ but at 10⁻²⁰");
        let (none, all) = (ln_binomial(0.0, 10.0, 0.75, 0.25), ln_binomial(10.0, 10.0, 0.25, 0.75));
        assert!((none + 13.862_943_611_198_906).abs() < 1e-13, "none of ten at three quarters: {none}");
        assert!((all + 13.862_943_611_198_906).abs() < 1e-13, "all of ten at a quarter: {all}");
        assert_eq!(ln_binomial(0.0, 10.0, 0.0, 1.0), 0.0, "none where nothing happens");
        assert_eq!(ln_binomial(1.0, 10.0, 0.0, 1.0), f64::NEG_INFINITY, "one where nothing happens");
        assert_eq!(ln_binomial(10.0, 10.0, 1.0, 0.0), 0.0, "all where all do");
        assert_eq!(ln_binomial(9.0, 10.0, 1.0, 0.0), f64::NEG_INFINITY, "nine where all do");
    }
}
