//! Key length where quadratures themselves are the key, in slices.
//!
//! # From quadratures to uniform bits
//!
//! Bob's two quadratures of a symbol, y = (y₁, y₂), each fall into one of 16 slices that a normal value of variance s²
//! meets equally often: u, **four bits a quadrature, eight a symbol**. Let g be the density of that value and w ∈ [0, 1]
//! the share of its slice's probability that lies below y (above y in every second slice): (u, w) and y determine each
//! other, and dw = 16·g(y) dy. Bob announces v, a function of w. With E what Eve holds before the announcement,
//!
//! ```text
//! H(u | E v) ≥ H(u | E w) = H(u w | E) − H(w | E) ≥ H(u w | E)
//!            = 8 + h(y | E) + E log₂ g(y₁) + E log₂ g(y₂)
//!            ≥ 8 + log₂(2πe σ_y²) − χ_BE − log₂(2π s²) − (σ_y²/s²) log₂ e
//!            = 8 − χ_BE − D,   D = (ρ − 1) log₂ e − log₂ ρ,   ρ = σ_y²/s²
//! ```
//!
//! with σ_y² the mean of E y₁² and E y₂². First: more knowledge is less entropy. Second: densities on [0, 1]² have no
//! positive entropy. Third: the change of variables. Fourth: for given second moments h(y | E) is least for the
//! Gaussian state, as for rotations ([above](super)), and E log₂ g needs the second moments only. What is told within a
//! slice is free by this, but for D: twice the relative entropy of the values that the slices were made for to a normal
//! one of the true variance. D is zero if s is right, and of second order if it is not: 7·10⁻⁵ bits a symbol for one percent.
//! No entropy of u has to be estimated, and neither u nor v need be uniform in truth.
//!
//! The slices' ends are single-precision numbers: g is the normal density scaled in each of the 256 cells to 1/256
//! exactly, which costs at most 1.1·10⁻⁵ bits a quadrature more ([`ROUNDING_BITS`]).
//!
//! # Why the entropy is not estimated
//!
//! The published form takes Ĥ(u) from the data and pays log₂ n √(2 ln(2/ε)/n) a symbol for its scatter (Antos, Kontoyiannis,
//! Random Struct. Algorithms 19, 163 (2001)): 0.02 bit at 10⁸ symbols. Bounding H(u | v) through the
//! second moment instead, which the channel's estimate needs anyway, costs D.
//!
//! # The length
//!
//! Symbols are the independent systems, |U| = 2⁸ each:
//!
//! ```text
//! ℓ = ⌊ 8n − n χ − n D − Δ √n − λ − 2 log₂(1/(2 ε_PA)) ⌋,   Δ = 4 log₂ 18 · √(−log₂(1 − √(1 − ε_s²)))
//! ```
//!
//! The shape is that of Pirandola, Papanastasiou, arXiv:2301.10270, for digitised variables, nH(u) − nχ − Δ√n − leak,
//! with 8 − D in the place of an estimate of H(u). λ holds all syndrome bits of all levels, the levels that are told whole
//! and the sums Σy², Σyỹ, which are no function of v. χ is the largest over the box of [`super`]; D the larger one at the
//! two ends of the interval that holds σ_y²: Σy²/m times that of χ²_m. That interval is two more events beside the box's
//! six, so that all eight share ε_PE. What is assumed is what is assumed there.

use crate::bounds::Real;
use crate::bounds::gauss::{variance_above, variance_below};

use super::{Budget, Kept, KeyLength, Moments, NoKey, Raw, Receiver, reckon};

/// The proof, as certificates name it.
pub const PROOF: &str = "Gaussian-modulated CV-QKD, heterodyne, trusted receiver, collective attacks, worst-case \
                         parameters, quadratures in slices (arXiv:2301.10270)";

/// What ends of cells in single precision cost, in bits a symbol: twice what 512 · |x| φ(x) · 2⁻²⁴ ≤ 7.4·10⁻⁶ nats
/// are in bits.
pub const ROUNDING_BITS: f64 = 2.2e-5;

/// Raw bits of a symbol: two quadratures of 16 slices.
const BITS: u64 = 8;

/// Sides of intervals that share ε_PE: the box's six and two for σ_y².
const EVENTS: f64 = 8.0;

/// The length of the secret key, with every term.
///
/// `deviation`: s, in square roots of the measured shot-noise unit; agreed on before the symbols were sliced, from
/// other data than theirs.
///
/// # Errors
/// [`NoKey`] with the reason, and the terms where they exist.
pub fn key_length(
    moments: &Moments,
    receiver: &Receiver,
    kept: &Kept,
    budget: &Budget,
    deviation: f64,
) -> Result<KeyLength, NoKey> {
    let terms = terms(moments, receiver, kept, budget, deviation)?;
    if terms.ell > 0 { Ok(terms) } else { Err(NoKey::Spent(Box::new(terms))) }
}

/// The same terms also where they leave no key (`ell` is 0).
///
/// # Errors
/// [`NoKey`] where the formula has no meaning.
pub fn terms(
    moments: &Moments,
    receiver: &Receiver,
    kept: &Kept,
    budget: &Budget,
    deviation: f64,
) -> Result<KeyLength, NoKey> {
    if !(deviation > 0.0 && deviation.is_finite()) {
        return Err(NoKey::Uncovered("slices are made for a positive standard deviation"));
    }
    let box_share = Budget { estimation: budget.estimation * ((EVENTS - 2.0) / EVENTS), ..*budget };
    let mismatch = mismatch(moments, deviation, budget.estimation / EVENTS);
    if !mismatch.is_finite() {
        return Err(NoKey::Untested { pairs: moments.pairs });
    }
    let raw = Raw { bits: BITS, symbols_per_block: 1, mismatch };
    let length = reckon(moments, receiver, kept, &box_share, &raw)?;
    Ok(KeyLength { budget: *budget, ..length })
}

/// D and the rounding, at most, in bits a symbol.
fn mismatch(moments: &Moments, deviation: f64, epsilon: f64) -> f64 {
    let found = moments.bob / moments.pairs as f64 / (deviation * deviation);
    let ends = [variance_below(moments.pairs, epsilon), variance_above(moments.pairs, epsilon)];
    let most = ends.map(|end| divergence(found * end)).into_iter().fold(0.0, f64::max);
    most + ROUNDING_BITS
}

/// (ρ − 1) log₂ e − log₂ ρ, rounded up; not a finite number where ρ is not positive.
fn divergence(rho: f64) -> f64 {
    if !(rho > 0.0 && rho.is_finite()) {
        return f64::INFINITY;
    }
    let rho = Real::from(rho);
    let nats = rho - Real::ONE - rho.ln();
    (nats / Real::from(2.0).ln()).to_f64().max(0.0) * (1.0 + 1e-12) + 1e-15
}

#[cfg(test)]
mod tests {
    use super::super::gaussian::Trust;
    use super::super::{FailedFrames, Interval, terms as by_rotations};
    use super::*;

    const SYMBOLS: u64 = 100_000_000;

    /// V_A 8 over a short, quiet link: 0 dB.
    fn moments() -> Moments {
        Moments::expected(2 * SYMBOLS, [8.0, 0.45, 0.01, 0.6, 0.1])
    }

    fn receiver() -> Receiver {
        Receiver {
            efficiency: Interval::exact(0.6),
            electronic_noise: Interval::exact(0.1),
            electronic_measured: Some(0.1),
            calibration_samples: 1_000_000_000,
            trust: Trust::Trusted,
        }
    }

    fn deviation() -> f64 {
        libm::sqrt(moments().bob / moments().pairs as f64)
    }

    /// All that stays of `bits` raw bits a quadrature is β of the capacity.
    fn kept(bits: f64, beta: f64) -> Kept {
        let snr = 0.5 * 0.6 * 0.45 * 8.0 / 1.1;
        let leak = 2.0 * SYMBOLS as f64 * (bits - beta * 0.5 * libm::log2(1.0 + snr));
        Kept { symbols: SYMBOLS, failed: FailedFrames::Left, disclosed_bits: Real::from(leak).ceil_to_u64() }
    }

    #[test]
    fn the_length_is_what_its_terms_say() {
        let budget = Budget { estimation: 8e-11, smoothing: 2e-10, amplification: 3e-10 };
        let kept = kept(4.0, 0.93);
        let key = key_length(&moments(), &receiver(), &kept, &budget, deviation()).expect("a key");
        assert_eq!(key.raw_bits, 8 * SYMBOLS, "eight bits a symbol");
        // At ε_s = 1e-10 and |U| = 2⁸: 4 log₂ 18 · √((1 + 2 log₂ 1e10) n).
        let equipartition =
            16.679_700_005_769_25 * libm::sqrt((1.0 + 66.438_561_897_747_24) * SYMBOLS as f64);
        assert!((key.equipartition_bits / equipartition - 1.0).abs() < 1e-12, "Δ: {key:?}");
        assert!(
            (key.eavesdropped_bits / SYMBOLS as f64 / key.worst.holevo_max - 1.0).abs() < 1e-12,
            "n χ: {key:?}"
        );
        // z of 1e-11 is 6.7064: ρ may be off by z·√(2/m), which costs (ρ − 1)²/2 · log₂ e a symbol; and the rounding.
        let off = 6.706 * libm::sqrt(2.0 / (2.0 * SYMBOLS as f64));
        let mismatch = SYMBOLS as f64 * (0.5 * off * off * std::f64::consts::LOG2_E + ROUNDING_BITS);
        assert!((key.mismatch_bits / mismatch - 1.0).abs() < 0.02, "{} for {mismatch}", key.mismatch_bits);
        let costs = key.eavesdropped_bits + key.equipartition_bits + key.mismatch_bits + key.hashing_bits;
        let length = 8.0 * SYMBOLS as f64 - kept.disclosed_bits as f64 - costs;
        assert!((key.ell_real - length).abs() < 1e-3, "{length} from {key:?}");
        let spent: f64 = key.budget.epsilons().iter().map(|(_, epsilon)| epsilon).sum();
        assert!((spent - 5.8e-10).abs() < 1e-20, "every ε is booked once, all of it: {spent:e}");
        let alone = by_rotations(&moments(), &receiver(), &kept, &Budget { estimation: 6e-11, ..budget })
            .expect("terms");
        assert_eq!(key.worst, alone.worst, "six of eight events are the box's");
    }

    #[test]
    fn slices_made_for_another_variance_leave_less() {
        let budget = Budget::of_block(1e-10);
        let of = |factor: f64| {
            let key = terms(&moments(), &receiver(), &kept(4.0, 0.93), &budget, factor * deviation())
                .expect("terms");
            key.mismatch_bits / SYMBOLS as f64
        };
        let right = of(1.0);
        assert!((ROUNDING_BITS..3e-5).contains(&right), "{right} bits a symbol");
        for factor in [0.99, 1.01] {
            let cost = of(factor) - ROUNDING_BITS;
            assert!((2.5e-4..3.3e-4).contains(&cost), "two percent of the variance cost {cost}");
        }
        assert!(of(2.0) > 0.9 && of(0.5) > 2.3, "a factor of two is no key: {} and {}", of(2.0), of(0.5));
    }

    #[test]
    fn the_divergence_is_that_of_normal_densities() {
        // ∫ p log₂(p/q) over two values, by the trapezoidal rule.
        for rho in [0.5, 0.9, 1.0, 1.1, 3.0] {
            let density = |x: f64, variance: f64| {
                libm::exp(-0.5 * x * x / variance) / libm::sqrt(std::f64::consts::TAU * variance)
            };
            let steps = (-4000..=4000).map(|i| f64::from(i) * 0.005);
            let sum: f64 = steps
                .map(|x| density(x, rho) * libm::log2(density(x, rho) / density(x, 1.0).max(1e-300)))
                .filter(|part| part.is_finite())
                .sum();
            assert!(
                (2.0 * 0.005 * sum - divergence(rho)).abs() < 1e-9,
                "ρ {rho}: {} for {}",
                divergence(rho),
                2.0 * 0.005 * sum
            );
        }
    }

    #[test]
    fn two_of_eight_events_bound_the_variance() {
        let budget = Budget::of_block(1e-10);
        let key = terms(&moments(), &receiver(), &kept(4.0, 0.93), &budget, deviation()).expect("terms");
        let each = mismatch(&moments(), deviation(), 0.125 * budget.estimation);
        assert_eq!(key.mismatch_bits, (Real::from(SYMBOLS) * Real::from(each)).to_f64(), "an eighth each");
        // Twenty pairs: the far end of the interval counts.
        let few = Moments { pairs: 20, alice: 80.0, cross: 40.0, bob: 40.0 };
        let ends = [variance_below(20, 1e-3), variance_above(20, 1e-3)];
        let [low, high] = ends.map(|end| divergence(2.0 * end));
        assert_eq!(mismatch(&few, 1.0, 1e-3), low.max(high) + ROUNDING_BITS, "{low} and {high}");
    }

    #[test]
    fn the_divergence_is_rounded_up() {
        assert!(divergence(1.0) > 0.0, "of equal densities");
        for rho in [0.25, 0.9, 1.5, 3.0] {
            let exact = (Real::from(rho) - Real::ONE - Real::from(rho).ln()) / Real::from(2.0).ln();
            let ours = Real::from(divergence(rho));
            assert!(
                ours > exact && ours < exact * Real::from(1.0 + 1e-11),
                "ρ {rho}: {ours:?} for {exact:?}"
            );
        }
    }

    #[test]
    fn strong_signals_leave_more_by_slices_and_weak_claims_are_refused() {
        let budget = Budget::of_block(1e-10);
        let sliced = terms(&moments(), &receiver(), &kept(4.0, 0.93), &budget, deviation()).expect("terms");
        let rotated = by_rotations(&moments(), &receiver(), &kept(1.0, 0.84), &budget).expect("terms");
        assert!(sliced.ell > rotated.ell, "{} bits, {} by rotations", sliced.ell, rotated.ell);
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = terms(&moments(), &receiver(), &kept(4.0, 0.93), &budget, wrong);
            assert!(matches!(refused, Err(NoKey::Uncovered(_))), "{wrong}: {refused:?}");
        }
        let nothing = terms(&Moments::default(), &receiver(), &kept(4.0, 0.93), &budget, 1.0);
        assert!(matches!(nothing, Err(NoKey::Untested { .. })), "nothing measured: {nothing:?}");
        let all = Kept { disclosed_bits: 8 * SYMBOLS, ..kept(4.0, 0.93) };
        let spent = key_length(&moments(), &receiver(), &all, &budget, deviation());
        assert!(matches!(spent, Err(NoKey::Spent(_))), "all disclosed: {spent:?}");
    }
}
