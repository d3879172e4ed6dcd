//! Finite-size rates as published analyses print them: to compare with.
//!
//! * [`asymptotic`]: β I_AB − χ_BE, no finite size at all.
//! * [`leverrier2010`]: Leverrier, Grosshans, Grangier, PRA 81, 062343 (2010). Its 7 √(…) assumes one
//!   binary key symbol a use; its worst case is the corner (T_min, ξ_max) alone.
//! * [`composable2021`]: Mountogiannakis, Papanastasiou, Braverman, Pirandola, PRR 4, 013099 (2022),
//!   arXiv:2103.16589; the entropy of the digitised key is measured.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finite_rates_approach_the_asymptotic_one() {
        let [modulation_variance, transmittance, excess_noise, efficiency, electronic_noise] =
            [4.0, 0.5, 0.01, 0.6, 0.1].map(Real::from);
        let link = Link { modulation_variance, transmittance, excess_noise, efficiency, electronic_noise };
        let limit = asymptotic(&link, Detection::Heterodyne, Trust::Trusted, 0.95).rate;
        let mut last = Real::from(f64::NEG_INFINITY);
        for symbols in [1e8, 1e10, 1e12, 1e14] {
            let block = FiniteBlock {
                symbols,
                estimation_share: 0.01,
                estimation: 1e-10,
                smoothing: 1e-10,
                amplification: 1e-10,
                beta: 0.95,
            };
            let rate = leverrier2010(&link, Detection::Heterodyne, &block, PairsPerSymbol::Quadratures).rate;
            assert!(rate > last && rate < limit, "{symbols:e} symbols: {rate:?} below {limit:?}");
            last = rate;
        }
        assert!(last > limit * Real::from(0.98), "all but the symbols disclosed: {last:?} of {limit:?}");
    }
}
