//! Key lengths as three papers print them: to compare with, **not to make keys from**.
//!
//! * [`lim2014`]: Lim, Curty, Walenta, Xu, Zbinden, PRA 89, 022307 (2014), eqs. (1)–(5), two decoys.
//! * [`rusca2018`]: Rusca, Boaron, Grünenfelder, Martin, Zbinden, APL 112, 171104 (2018), one decoy.
//! * [`variable2024`]: Tupkary, Nahar, Sinha, Lütkenhaus, arXiv:2408.17349, with Hoeffding's and
//!   Serfling's bounds as instantiated there, no basis-efficiency mismatch.
//!
//! The first two prove security for lengths fixed *before* the data: computing ℓ from what was seen
//! lies outside of their proofs. Their γ (a Taylor expansion) is not a bound either: with 16 errors
//! among 1 000 + 1 000 positions it fails with probability 2·10⁻⁴ where it claims 10⁻¹⁰, and it is
//! undefined where no error was seen; the length is then `None`. The third is rigorous if it is
//! clamped; [`super::key_length`] is the same theorem with tighter bounds.
//!
//! ```text
//! n±ₖ = (e^μₖ/pₖ)(nₖ ± δ),  m±ₖ likewise,  τₙ = Σₖ pₖ e^{−μₖ} μₖⁿ/n!
//! s₀ ≥ τ₀ (μ₂ n⁻₃ − μ₃ n⁺₂)/(μ₂ − μ₃)
//! s₁ ≥ τ₁ μ₁ (n⁻₂ − n⁺₃ − (μ₂² − μ₃²)/μ₁² · (n⁺₁ − s₀/τ₀)) / (μ₁(μ₂ − μ₃) − μ₂² + μ₃²)
//! v₁ ≤ τ₁ (m⁺₂ − m⁻₃)/(μ₂ − μ₃)
//! ```

use crate::bounds::{Real, binary_entropy, chernoff, hoeffding, serfling};

/// Counts and source of a block with N intensities, brightest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block<const N: usize> {
    /// μ.
    pub mean_photons: [f64; N],
    /// p, the same in both bases.
    pub probability: [f64; N],
    /// Detections in the key basis.
    pub key: [u64; N],
    /// Their errors.
    pub key_errors: [u64; N],
    /// Detections in the test basis.
    pub test: [u64; N],
    /// Their errors.
    pub test_errors: [u64; N],
    /// λ_EC.
    pub disclosed_bits: u64,
}

/// ε_sec and ε_cor of a fixed-length proof.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epsilons {
    /// ε_sec.
    pub secrecy: f64,
    /// ε_cor.
    pub correctness: f64,
}

/// The four ε of the variable-length proof.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VariableEpsilons {
    /// ε_d: its square is the two-sided failure probability of each of nine intervals.
    pub decoy: f64,
    /// ε_a: its square is the failure probability of the sampling.
    pub sampling: f64,
    /// ε_PA.
    pub amplification: f64,
    /// ε_EV.
    pub verification: f64,
}

/// How the formulas of Lim et al. are read. Published programs differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimReading {
    /// Hoeffding as printed: n⁻ may be negative, v may exceed what was seen.
    Unclamped,
    /// Hoeffding with n⁻, m⁻ ≥ 0.
    Clamped,
    /// Besides, v₁ at most the errors seen.
    ClampedAndCapped,
    /// Yin's multiplicative bound in Hoeffding's place, v₁ capped.
    ChernoffCapped,
    /// No deviations at all: the limit of infinitely many pulses, γ apart.
    Asymptotic,
}

/// How the variable-length formula is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableReading {
    /// As printed.
    Unclamped,
    /// n⁻, m⁻ ≥ 0 and v₁ at most the errors seen.
    Clamped,
    /// Besides, bits from empty pulses are credited.
    ClampedWithVacuum,
}

/// From which intensity the number of vacuum events is bounded from above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VacuumFrom {
    /// Whichever gives less.
    Least,
    /// The brighter.
    Bright,
    /// The dimmer.
    Dim,
}

/// Which constant stands squared in γ: the paper prints 21, 19 is consistent with its ε.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GammaConstant {
    /// 19.
    Consistent,
    /// 21.
    Printed,
}

/// The terms of a published formula.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Terms {
    /// s₀ of the key basis, from below.
    pub vacuum_key: Real,
    /// s₀ of the key basis, from above (one decoy).
    pub vacuum_key_above: Real,
    /// s₁ of the key basis, from below.
    pub single_key: Real,
    /// s₀ of the test basis, from below (two decoys).
    pub vacuum_test: Real,
    /// s₀ of the test basis, from above (one decoy).
    pub vacuum_test_above: Real,
    /// s₁ of the test basis, from below.
    pub single_test: Real,
    /// v₁, from above.
    pub single_test_errors: Real,
    /// φ; `None` where γ is undefined.
    pub phase_error_rate: Option<Real>,
    /// ℓ before the floor.
    pub length: Option<Real>,
}

/// ℓ of Lim et al. with ε = ε_sec/21 a term.
#[must_use]
pub fn lim2014(block: &Block<3>, epsilons: Epsilons, reading: LimReading) -> Terms {
    let beta = exponent(21.0, epsilons.secrecy);
    let tails = match reading {
        LimReading::Unclamped => Tails { law: Law::Hoeffding(beta), clamped: false, capped: false },
        LimReading::Clamped => Tails { law: Law::Hoeffding(beta), clamped: true, capped: false },
        LimReading::ClampedAndCapped => Tails { law: Law::Hoeffding(beta), clamped: true, capped: true },
        LimReading::ChernoffCapped => Tails { law: Law::Chernoff(beta), clamped: false, capped: true },
        LimReading::Asymptotic => Tails { law: Law::None, clamped: false, capped: false },
    };
    let mut terms = two_decoys(block, &tails);
    terms.phase_error_rate = sampled(&terms, |rate| gamma(rate, positions(&terms), 21.0, epsilons.secrecy));
    terms.length = fixed_length(&terms, block.disclosed_bits, 21.0, epsilons);
    terms
}

/// ℓ of the variable-length theorem with Hoeffding's and Serfling's bounds.
#[must_use]
pub fn variable2024(block: &Block<3>, epsilons: VariableEpsilons, reading: VariableReading) -> Terms {
    let clamped = reading != VariableReading::Unclamped;
    // ln(2/ε_d²), also where the square is below what a double holds.
    let two_sided = Real::from(2.0).ln() - Real::from(2.0) * Real::from(epsilons.decoy).ln();
    let law = Law::Hoeffding(two_sided);
    let mut terms = two_decoys(block, &Tails { law, clamped, capped: clamped });
    let beta = exponent(1.0, epsilons.sampling);
    terms.phase_error_rate =
        sampled(&terms, |_| Some(serfling::excess(terms.single_test, terms.single_key, beta)));
    let vacuum = if reading == VariableReading::ClampedWithVacuum { terms.vacuum_key } else { Real::ZERO };
    let two = Real::from(2.0);
    let hashing = two * bits_of(0.5, epsilons.amplification);
    let verification = bits_of(2.0, epsilons.verification);
    terms.length = terms.phase_error_rate.map(|rate| {
        terms.single_key * (Real::ONE - binary_entropy(rate))
            - Real::from(block.disclosed_bits)
            - hashing
            - verification
            + vacuum
    });
    terms
}

impl VariableEpsilons {
    /// 2 √(9 ε_d² + ε_a²) + ε_PA + ε_EV: what the key is secure up to.
    #[must_use]
    pub fn total(&self) -> Real {
        let square = |epsilon: f64| Real::from(epsilon) * Real::from(epsilon);
        let estimation = (Real::from(9.0) * square(self.decoy) + square(self.sampling)).sqrt();
        Real::from(2.0) * estimation + Real::from(self.amplification) + Real::from(self.verification)
    }
}

/// ℓ of Rusca et al. with ε = ε_sec/19 a term, every n⁻ and m⁻ clamped at zero.
#[must_use]
pub fn rusca2018(block: &Block<2>, epsilons: Epsilons, vacuum: VacuumFrom, constant: GammaConstant) -> Terms {
    let source = Printed::new(block.mean_photons, block.probability);
    let tails = Tails { law: Law::Hoeffding(exponent(19.0, epsilons.secrecy)), clamped: true, capped: false };
    let [bright, dim] = source.mean;
    let of = |counts: [u64; 2], errors: [u64; 2]| one_decoy(&source, &tails, (counts, errors), vacuum);
    let (vacuum_key, vacuum_key_above, single_key) = of(block.key, block.key_errors);
    let (_, vacuum_test_above, single_test) = of(block.test, block.test_errors);
    let errors = tails.ends(&source, block.test_errors);
    let single_test_errors =
        (source.tau(1) / (bright - dim) * (errors.above[0] - errors.below[1])).max(Real::ZERO);
    let mut terms = Terms {
        vacuum_key,
        vacuum_key_above,
        single_key,
        vacuum_test_above,
        single_test,
        single_test_errors,
        ..Terms::default()
    };
    let constant = if constant == GammaConstant::Printed { 21.0 } else { 19.0 };
    terms.phase_error_rate =
        sampled(&terms, |rate| gamma(rate, positions(&terms), constant, epsilons.secrecy));
    terms.length = fixed_length(&terms, block.disclosed_bits, 19.0, epsilons);
    terms
}

/// ln(shares/ε), without the quotient, which may be more than a double holds.
fn exponent(shares: f64, epsilon: f64) -> Real {
    Real::from(shares).ln() - Real::from(epsilon).ln()
}

/// log₂(shares/ε).
fn bits_of(shares: f64, epsilon: f64) -> Real {
    Real::from(shares).log2() - Real::from(epsilon).log2()
}

/// The source in the papers' notation.
struct Printed<const N: usize> {
    mean: [Real; N],
    probability: [Real; N],
}

impl<const N: usize> Printed<N> {
    fn new(mean: [f64; N], probability: [f64; N]) -> Self {
        Self { mean: mean.map(Real::from), probability: probability.map(Real::from) }
    }

    /// τₙ for n = 0 or 1.
    fn tau(&self, photons: u32) -> Real {
        let terms = self.mean.iter().zip(&self.probability);
        terms.fold(Real::ZERO, |sum, (mean, p)| sum + *p * (-*mean).exp() * mean.powi(photons))
    }

    /// e^μₖ/pₖ.
    fn weight(&self, k: usize) -> Real {
        self.mean[k].exp() / self.probability[k]
    }
}

/// A tail bound as the papers apply it: β = ln(1/ε) or its like.
#[derive(Clone, Copy)]
enum Law {
    Hoeffding(Real),
    Chernoff(Real),
    None,
}

impl Law {
    fn above(self, count: Real, total: Real) -> Real {
        match self {
            Self::Hoeffding(beta) => count + hoeffding::deviation(total, beta),
            Self::Chernoff(beta) => chernoff::closed_above(count, beta),
            Self::None => count,
        }
    }

    fn below(self, count: Real, total: Real) -> Real {
        match self {
            Self::Hoeffding(beta) => count - hoeffding::deviation(total, beta),
            Self::Chernoff(beta) => chernoff::closed_below(count, beta),
            Self::None => count,
        }
    }
}

struct Tails {
    law: Law,
    clamped: bool,
    capped: bool,
}

/// n⁺ₖ and n⁻ₖ, weighted.
struct Ends<const N: usize> {
    above: [Real; N],
    below: [Real; N],
}

impl Tails {
    fn ends<const N: usize>(&self, source: &Printed<N>, counts: [u64; N]) -> Ends<N> {
        let total = sum(counts);
        let mut ends = Ends { above: [Real::ZERO; N], below: [Real::ZERO; N] };
        for (k, count) in counts.into_iter().map(Real::from).enumerate() {
            let below = self.law.below(count, total);
            let below = if self.clamped { below.max(Real::ZERO) } else { below };
            ends.above[k] = source.weight(k) * self.law.above(count, total);
            ends.below[k] = source.weight(k) * below;
        }
        ends
    }
}

fn sum<const N: usize>(counts: [u64; N]) -> Real {
    counts.iter().fold(Real::ZERO, |sum, count| sum + Real::from(*count))
}

fn two_decoys(block: &Block<3>, tails: &Tails) -> Terms {
    let source = Printed::new(block.mean_photons, block.probability);
    let [_, decoy, dim] = source.mean;
    let (vacuum_key, single_key) = photons(&source, &tails.ends(&source, block.key));
    let (vacuum_test, single_test) = photons(&source, &tails.ends(&source, block.test));
    let errors = tails.ends(&source, block.test_errors);
    let seen = (source.tau(1) * (errors.above[1] - errors.below[2]) / (decoy - dim)).max(Real::ZERO);
    let single_test_errors = if tails.capped { seen.min(sum(block.test_errors)) } else { seen };
    Terms { vacuum_key, single_key, vacuum_test, single_test, single_test_errors, ..Terms::default() }
}

/// s₀ and s₁ with two decoys.
fn photons(source: &Printed<3>, ends: &Ends<3>) -> (Real, Real) {
    let [signal, decoy, dim] = source.mean;
    let (decoy2, dim2) = (decoy * decoy, dim * dim);
    let (none, one) = (source.tau(0), source.tau(1));
    let vacuum = (none * (decoy * ends.below[2] - dim * ends.above[1]) / (decoy - dim)).max(Real::ZERO);
    let more = (decoy2 - dim2) / (signal * signal) * (ends.above[0] - vacuum / none);
    let single = one * signal * (ends.below[1] - ends.above[2] - more);
    let single = single / (signal * (decoy - dim) - decoy2 + dim2);
    (vacuum, single.max(Real::ZERO))
}

/// s₀ from below and above and s₁ with one decoy.
fn one_decoy(
    source: &Printed<2>,
    tails: &Tails,
    (counts, errors): ([u64; 2], [u64; 2]),
    from: VacuumFrom,
) -> (Real, Real, Real) {
    let [bright, dim] = source.mean;
    let (none, one) = (source.tau(0), source.tau(1));
    let (total, error_total) = (sum(counts), sum(errors));
    let ends = tails.ends(source, counts);
    let below = none / (bright - dim) * (bright * ends.below[1] - dim * ends.above[0]);
    // Half of what is detected of an empty pulse is an error.
    let twice = |k: usize| {
        let wrong = none * source.weight(k) * tails.law.above(Real::from(errors[k]), error_total);
        let both = wrong + tails.law.above(Real::ZERO, total);
        both + both
    };
    let above = match from {
        VacuumFrom::Least => twice(0).min(twice(1)),
        VacuumFrom::Bright => twice(0),
        VacuumFrom::Dim => twice(1),
    };
    let above = above.min(total);
    let (bright2, dim2) = (bright * bright, dim * dim);
    let rest = ends.below[1] - dim2 / bright2 * ends.above[0] - (bright2 - dim2) / bright2 * above / none;
    let single = one * bright / (dim * (bright - dim)) * rest;
    (below.max(Real::ZERO), above, single.max(Real::ZERO))
}

/// φ = v/s + what sampling adds, at most ½; ½ where no single photon is certain.
fn sampled(terms: &Terms, added: impl Fn(Real) -> Option<Real>) -> Option<Real> {
    let half = Real::from(0.5);
    if terms.single_test <= Real::ZERO || terms.single_key <= Real::ZERO {
        return Some(half);
    }
    let rate = terms.single_test_errors / terms.single_test;
    added(rate).map(|added| (rate + added).min(half))
}

fn positions(terms: &Terms) -> [Real; 2] {
    [terms.single_test, terms.single_key]
}

/// γ(ε, b, c, d) of Lim et al. with `constant`² in its logarithm: **not a bound**, see the module's head.
///
/// b: the error rate among `tested` positions c, for d `others`. Undefined at b = 0, and where so many were
/// tested that the logarithm is negative; more than a half from b = 1 on.
#[must_use]
pub fn gamma(rate: Real, [tested, others]: [Real; 2], constant: f64, epsilon: f64) -> Option<Real> {
    if rate <= Real::ZERO {
        return None;
    }
    if rate >= Real::ONE {
        return Some(Real::ONE);
    }
    let spread = (Real::ONE - rate) * rate;
    let weight = (tested + others) / (tested * others);
    let inner = (weight / spread).log2() + Real::from(2.0) * bits_of(constant, epsilon);
    (inner >= Real::ZERO).then(|| (weight * spread / Real::from(2.0).ln() * inner).sqrt())
}

/// s₀ + s₁(1 − h(φ)) − λ_EC − 6 log₂(shares/ε_sec) − log₂(2/ε_cor).
fn fixed_length(terms: &Terms, disclosed_bits: u64, shares: f64, epsilons: Epsilons) -> Option<Real> {
    let rate = terms.phase_error_rate?;
    let secrecy = Real::from(6.0) * bits_of(shares, epsilons.secrecy);
    let correctness = bits_of(2.0, epsilons.correctness);
    let entropy = terms.vacuum_key + terms.single_key * (Real::ONE - binary_entropy(rate));
    Some(entropy - Real::from(disclosed_bits) - secrecy - correctness)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::hypergeometric::ln_probability;

    const EPSILONS: Epsilons = Epsilons { secrecy: 1e-10, correctness: 1e-15 };

    fn quiet() -> Block<3> {
        Block {
            mean_photons: [0.5, 0.15, 0.0],
            probability: [0.6, 0.25, 0.15],
            key: [37_447_198, 4_764_705, 0],
            key_errors: [0; 3],
            test: [2_339_058, 297_367, 0],
            test_errors: [0; 3],
            disclosed_bits: 0,
        }
    }

    #[test]
    fn without_errors_gamma_has_no_value_and_there_is_no_length() {
        let terms = lim2014(&quiet(), EPSILONS, LimReading::Clamped);
        assert_eq!(terms.phase_error_rate, None, "γ at b = 0");
        assert_eq!(terms.length, None, "no length from an undefined bound");
        let epsilons =
            VariableEpsilons { decoy: 1e-12, sampling: 1e-12, amplification: 1e-12, verification: 1e-12 };
        let rigorous = variable2024(&quiet(), epsilons, VariableReading::Clamped);
        assert!(rigorous.phase_error_rate.is_some_and(|rate| rate > Real::ZERO), "Serfling is defined");
    }

    #[test]
    fn gamma_fails_a_million_times_more_often_than_it_claims() {
        // (tested, others, errors in all, true failure), claimed 1e-10, by an exact count elsewhere.
        for (tested, others, marked, failure) in [
            (1_000, 1_000, 16, 0.000_233_314_840_168_254_64),
            (5_000, 50_000, 114, 0.000_215_788_261_553_129_4),
        ] {
            let positions = [Real::from(tested), Real::from(others)];
            let fails = |k: &u64| {
                let rate = Real::from(*k) / positions[0];
                // Without an error γ is undefined: not counted against it.
                let added = gamma(rate, positions, 1.0, 1e-10);
                added.is_some_and(|added| Real::from(marked - k) / positions[1] > rate + added)
            };
            let ours: f64 = (0..=marked)
                .filter(fails)
                .map(|k| libm::exp(ln_probability(k, tested + others, marked, tested)))
                .sum();
            assert!((ours / failure - 1.0).abs() < 1e-6, "{tested} + {others}: {ours:e}");
        }
    }

    #[test]
    fn gamma_has_no_value_where_its_logarithm_is_negative() {
        let positions = [Real::from(1e9), Real::from(1e9)];
        let of = |epsilon| gamma(Real::from(0.05), positions, 1.0, epsilon);
        assert_eq!(of(0.01), None, "2e-9/0.0475 · 1e4 is less than one");
        assert!(of(1e-5).is_some_and(|added| added > Real::ZERO), "… · 1e10 is more");
    }

    #[test]
    fn epsilons_whose_quotients_no_double_holds_are_paid_for() {
        let seen = Block { test_errors: [23_390, 2_973, 0], ..quiet() };
        let all = |epsilon| {
            let fixed =
                lim2014(&seen, Epsilons { secrecy: epsilon, correctness: epsilon }, LimReading::Clamped);
            let epsilons = VariableEpsilons {
                decoy: epsilon,
                sampling: epsilon,
                amplification: epsilon,
                verification: epsilon,
            };
            [fixed, variable2024(&seen, epsilons, VariableReading::Clamped)]
                .map(|terms| terms.length.unwrap())
        };
        let (usual, least) = (all(1e-300), all(1e-320));
        for (usual, least) in usual.into_iter().zip(least) {
            assert!(least.is_finite() && least < usual, "{least:?} below {usual:?}");
            assert!(least > usual * Real::from(0.95), "and near it: {least:?} below {usual:?}");
        }
    }

    #[test]
    fn empty_blocks_have_no_key() {
        let empty = Block { key: [0; 3], test: [0; 3], ..quiet() };
        for reading in [LimReading::Unclamped, LimReading::ChernoffCapped, LimReading::Asymptotic] {
            let terms = lim2014(&empty, EPSILONS, reading);
            assert_eq!(terms.length.map(Real::floor_to_u64), Some(0), "{reading:?}: {terms:?}");
        }
    }
}
