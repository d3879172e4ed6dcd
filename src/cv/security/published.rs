//! Finite-size rates as published analyses print them: to compare with.
//!
//! * [`asymptotic`]: β I_AB − χ_BE, no finite size at all.
//! * [`leverrier2010`]: Leverrier, Grosshans, Grangier, PRA 81, 062343 (2010). Its 7 √(…) assumes one
//!   binary key symbol a use; its worst case is the corner (T_min, ξ_max) alone.
//! * [`composable2021`]: Mountogiannakis, Papanastasiou, Braverman, Pirandola, PRR 4, 013099 (2022),
//!   arXiv:2103.16589; the entropy of the digitised key is measured.
//! * [`general2017`]: Leverrier, PRL 118, 200501 (2017): what collective security costs to be raised to
//!   general attacks, with heterodyne detection and an energy test.

use crate::bounds::Real;

use super::gaussian::{Detection, Link, Trust, holevo, mutual_information};

/// β I_AB − χ_BE and its terms, in bits a symbol.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asymptotic {
    /// I_AB.
    pub mutual_information: Real,
    /// χ_BE.
    pub holevo: Real,
    /// β I_AB − χ_BE.
    pub rate: Real,
}

/// The rate of infinitely many symbols.
#[must_use]
pub fn asymptotic(link: &Link, detection: Detection, trust: Trust, beta: f64) -> Asymptotic {
    let mutual_information = mutual_information(link, detection);
    let holevo = holevo(link, detection, trust);
    Asymptotic { mutual_information, holevo, rate: Real::from(beta) * mutual_information - holevo }
}

/// How many independent pairs a heterodyne symbol counts for in estimation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairsPerSymbol {
    /// One a symbol, whatever is measured.
    One,
    /// One a quadrature.
    Quadratures,
}

/// Block and ε of [`leverrier2010`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FiniteBlock {
    /// N, symbols in all.
    pub symbols: f64,
    /// The share of them disclosed for estimation.
    pub estimation_share: f64,
    /// ε_PE.
    pub estimation: f64,
    /// ε̄.
    pub smoothing: f64,
    /// ε_PA.
    pub amplification: f64,
    /// β.
    pub beta: f64,
}

/// The terms of [`leverrier2010`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finite {
    /// z, the two-sided normal quantile.
    pub quantile: Real,
    /// t.
    pub amplitude: Real,
    /// σ².
    pub noise: Real,
    /// t_min.
    pub amplitude_min: Real,
    /// σ²_max.
    pub noise_max: Real,
    /// T_min.
    pub transmittance_min: Real,
    /// ξ_max.
    pub excess_noise_max: Real,
    /// I_AB.
    pub mutual_information: Real,
    /// χ(T_min, ξ_max).
    pub holevo_max: Real,
    /// Δ(n).
    pub finite_size: Real,
    /// K.
    pub rate: Real,
}

/// K = (n/N)(β I − χ(T_min, ξ_max) − Δ(n)), Δ = 7 √(log₂(2/ε̄)/n) + (2/n) log₂(1/ε_PA), trusted receiver.
#[must_use]
pub fn leverrier2010(
    link: &Link,
    detection: Detection,
    block: &FiniteBlock,
    pairs: PairsPerSymbol,
) -> Finite {
    let (one, two) = (Real::ONE, Real::from(2.0));
    let quadratures = if detection == Detection::Heterodyne { two } else { one };
    let sampled = Real::from(block.symbols) * Real::from(block.estimation_share);
    let kept = Real::from(block.symbols) - sampled;
    let m = if pairs == PairsPerSymbol::Quadratures { quadratures * sampled } else { sampled };
    let quantile = two_sided_quantile(block.estimation);
    let gain = link.efficiency * link.transmittance / quadratures;
    let amplitude = gain.sqrt();
    let noise = one + link.electronic_noise + gain * link.excess_noise;
    let amplitude_min = amplitude - quantile * (noise / (m * link.modulation_variance)).sqrt();
    let noise_max = noise * (one + quantile * (two / m).sqrt());
    let gain_min = amplitude_min * amplitude_min;
    let worst = Link {
        transmittance: gain_min * quadratures / link.efficiency,
        excess_noise: (noise_max - one - link.electronic_noise) / gain_min,
        ..*link
    };
    let mutual_information = mutual_information(link, detection);
    let holevo_max = holevo(&worst, detection, Trust::Trusted);
    let smoothing = ((two / Real::from(block.smoothing)).log2() / kept).sqrt();
    let hashing = two / kept * (one / Real::from(block.amplification)).log2();
    let finite_size = Real::from(7.0) * smoothing + hashing;
    let rate = kept / Real::from(block.symbols)
        * (Real::from(block.beta) * mutual_information - holevo_max - finite_size);
    Finite {
        quantile,
        amplitude,
        noise,
        amplitude_min,
        noise_max,
        transmittance_min: worst.transmittance,
        excess_noise_max: worst.excess_noise,
        mutual_information,
        holevo_max,
        finite_size,
        rate,
    }
}

/// √2 · erf⁻¹(1 − ε).
fn two_sided_quantile(epsilon: f64) -> Real {
    Real::from(crate::bounds::gauss::quantile(0.5 * epsilon))
}

/// What [`composable2021`] reads; every ε is 2⁻³².
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ComposableBlock {
    /// Blocks processed together.
    pub blocks: f64,
    /// N, symbols of a block.
    pub symbols: f64,
    /// n, symbols of a block that become key.
    pub kept: f64,
    /// p, bits a symbol is digitised to.
    pub digits: f64,
    /// q, of which this many are coded.
    pub coded_digits: f64,
    /// p_EC, the probability that correction succeeds.
    pub success: f64,
    /// R_code.
    pub code_rate: f64,
    /// H(K), the entropy of a digitised symbol.
    pub symbol_entropy: f64,
    /// δ_ent, the uncertainty of that entropy.
    pub entropy_spread: f64,
    /// χ_M, Holevo's bound at the worst case.
    pub holevo_max: f64,
}

/// The terms of [`composable2021`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Composable {
    /// Δ_AEP.
    pub equipartition: Real,
    /// Θ.
    pub hashing: Real,
    /// r_M, before finite size.
    pub rate: Real,
    /// r̃.
    pub finite_rate: Real,
    /// R, per symbol sent.
    pub rate_per_symbol: Real,
    /// The key of all blocks in bits.
    pub length: Real,
    /// ε in all.
    pub epsilon: Real,
}

/// R = (n p_EC/N)(H(K) − δ_ent + R_code q − p − χ_M − Δ_AEP/√n + Θ/n).
#[must_use]
pub fn composable2021(block: &ComposableBlock) -> Composable {
    let (two, epsilon) = (Real::from(2.0), Real::from(1.0 / 4_294_967_296.0));
    let [success, kept, digits] = [block.success, block.kept, block.digits].map(Real::from);
    // √(2^p) = e^{p ln 2 / 2}.
    let root = (digits * two.ln() / two).exp();
    let fourth = epsilon.powi(4);
    let smoothing = (Real::from(18.0) / (success * success * fourth)).log2().sqrt();
    let equipartition = Real::from(4.0) * (root + two).log2() * smoothing;
    let survived = success * (Real::ONE - epsilon * epsilon / Real::from(3.0));
    let hashing = survived.log2() + two * (two.sqrt() * epsilon).log2();
    let coded = Real::from(block.code_rate) * Real::from(block.coded_digits);
    let rate = Real::from(block.symbol_entropy) - Real::from(block.entropy_spread) + coded
        - digits
        - Real::from(block.holevo_max);
    let finite_rate = rate - equipartition / kept.sqrt() + hashing / kept;
    let rate_per_symbol = kept * success / Real::from(block.symbols) * finite_rate;
    Composable {
        equipartition,
        hashing,
        rate,
        finite_rate,
        rate_per_symbol,
        length: rate_per_symbol * Real::from(block.symbols) * Real::from(block.blocks),
        epsilon: Real::from(3.0) * epsilon * (Real::ONE + success),
    }
}

/// The energy test and the target of [`general2017`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnergyTest {
    /// n, symbols in all.
    pub symbols: f64,
    /// k, symbols tested for their energy.
    pub tested: f64,
    /// d_A, the threshold of Alice's mean photon number.
    pub alice: f64,
    /// d_B, that of Bob's.
    pub bob: f64,
    /// ε of the key against general attacks.
    pub epsilon: f64,
}

/// The price of general attacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct General {
    /// K, the photon-number cut-off.
    pub cutoff: Real,
    /// The ε that collective security must reach: 50 ε/K⁴.
    pub collective_epsilon: Real,
    /// 2 ⌈log₂ C(K + 4, 4)⌉ bits by which the key is shortened.
    pub toll_bits: u64,
}

/// From collective to general attacks by the Gaussian de Finetti reduction.
///
/// ε' = K⁴ ε/50 with K = max{1, n(d_A + d_B)(1 + 2√(ln(8/ε)/2n) + ln(8/ε)/n)/(1 − 2√(ln(8/ε)/2k))},
/// rounded up, where ε is that of collective attacks: a fixed point, reached in a few steps. `None`
/// where the test is too small to bound anything.
#[must_use]
pub fn general2017(test: &EnergyTest) -> Option<General> {
    let target = Real::from(test.epsilon);
    if test.epsilon.is_nan() || test.epsilon <= 0.0 {
        return None;
    }
    let mut epsilon = target;
    let mut cutoff = Real::ONE;
    for _ in 0..50 {
        let before = cutoff;
        cutoff = energy_cutoff(test, epsilon)?;
        epsilon = Real::from(50.0) * target / cutoff.powi(4);
        if cutoff == before {
            break;
        }
    }
    // C(K + 4, 4) = (K+1)(K+2)(K+3)(K+4)/24.
    let product = (1..=4_u32).fold(Real::ONE, |product, j| product * (cutoff + Real::from(f64::from(j))));
    let bits = (product / Real::from(24.0)).log2().ceil_to_u64();
    Some(General { cutoff, collective_epsilon: epsilon, toll_bits: bits.saturating_mul(2) })
}

fn energy_cutoff(test: &EnergyTest, epsilon: Real) -> Option<Real> {
    let (one, two) = (Real::ONE, Real::from(2.0));
    let [n, k] = [test.symbols, test.tested].map(Real::from);
    let beta = (Real::from(8.0) / epsilon).ln();
    let above = one + two * (beta / (two * n)).sqrt() + beta / n;
    let below = one - two * (beta / (two * k)).sqrt();
    if below.partial_cmp(&Real::ZERO) != Some(std::cmp::Ordering::Greater) {
        return None;
    }
    let cutoff = (n * (Real::from(test.alice) + Real::from(test.bob)) * above / below).max(one);
    Some(Real::from(cutoff.ceil_to_u64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn general_attacks_cost_what_another_program_says() {
        for (symbols, tested, cutoff, epsilon, toll) in [
            (1e9, 1e7, 6_031_283_769.0, 3.778_600_303_725_742e-48, 251),
            (1e11, 1e9, 600_336_288_070.0, 3.849_387_412_789_483_4e-56, 304),
            (1e12, 1e10, 6_001_100_169_289.0, 3.855_196_334_485_527e-60, 331),
        ] {
            let general =
                general2017(&EnergyTest { symbols, tested, alice: 3.5, bob: 2.5, epsilon: 1e-10 }).unwrap();
            assert!((general.cutoff.to_f64() - cutoff).abs() <= 1.0, "K: {general:?}");
            assert!((general.collective_epsilon.to_f64() / epsilon - 1.0).abs() < 1e-9, "ε: {general:?}");
            // That program rounds up once, after doubling; the theorem before.
            assert!((toll..=toll + 1).contains(&general.toll_bits), "toll: {general:?}");
        }
    }

    #[test]
    fn a_test_too_small_bounds_nothing() {
        let test = EnergyTest { symbols: 1e9, tested: 10.0, alice: 3.5, bob: 2.5, epsilon: 1e-10 };
        assert_eq!(general2017(&test), None, "ten symbols");
        assert_eq!(general2017(&EnergyTest { tested: 1e7, epsilon: 0.0, ..test }), None, "no ε");
    }
}
