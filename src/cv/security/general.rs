//! From collective to general attacks, for heterodyne detection with an energy test.
//!
//! Leverrier, PRL 118, 200501 (2017): if a protocol that is invariant under rotations of phase space is
//! ε-secure against collective attacks, then it is ε'-secure against all, with
//!
//! ```text
//! ε' = K⁴ ε/50,  ℓ' = ℓ − 2 ⌈log₂ C(K + 4, 4)⌉,
//! K = max{1, n(d_A + d_B)(1 + 2√(ln(8/ε)/2n) + ln(8/ε)/n)/(1 − 2√(ln(8/ε)/2k))},
//! ```
//!
//! provided that k of the symbols, picked at random, showed mean photon numbers of at most d_A and d_B
//! on the two sides. ε becomes 10⁻⁴⁸ to 10⁻⁶⁰, which is what makes blocks of 10⁹ symbols and more
//! necessary. Both sides must first apply the same random rotation to their data, and frames that failed
//! count whole ([`FailedFrames::Subtracted`]): which frames fail is not invariant.

use crate::bounds::Real;

use super::{Budget, FailedFrames, Kept, KeyLength, Moments, NoKey, Receiver};

/// The length of a key against general attacks, after an energy test that passed.
///
/// The terms are those of collective attacks at the ε that the reduction asks for; `disclosed_bits`
/// includes its toll.
///
/// # Errors
/// [`NoKey`] with the reason; [`NoKey::Uncovered`] where failed frames are not subtracted or the energy
/// test is too small.
pub fn key_length(
    moments: &Moments,
    receiver: &Receiver,
    kept: &Kept,
    test: &EnergyTest,
) -> Result<(KeyLength, General), NoKey> {
    if kept.failed == FailedFrames::Left {
        return Err(NoKey::Uncovered("against general attacks failed frames must be subtracted whole"));
    }
    let general = reduction(test).ok_or(NoKey::Uncovered("the energy test is too small for this ε"))?;
    let budget = Budget::of_block(general.collective_epsilon.to_f64());
    let disclosed_bits = kept.disclosed_bits.saturating_add(general.toll_bits);
    let key = super::key_length(moments, receiver, &Kept { disclosed_bits, ..*kept }, &budget)?;
    Ok((key, general))
}

/// The energy test and the target of [`reduction`].
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
pub fn reduction(test: &EnergyTest) -> Option<General> {
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
                reduction(&EnergyTest { symbols, tested, alice: 3.5, bob: 2.5, epsilon: 1e-10 }).unwrap();
            assert!((general.cutoff.to_f64() - cutoff).abs() <= 1.0, "K: {general:?}");
            assert!((general.collective_epsilon.to_f64() / epsilon - 1.0).abs() < 1e-9, "ε: {general:?}");
            // That program rounds up once, after doubling; the theorem before.
            assert!((toll..=toll + 1).contains(&general.toll_bits), "toll: {general:?}");
        }
    }

    #[test]
    fn large_blocks_have_a_key_against_every_attack() {
        use super::super::Interval;
        use super::super::gaussian::Trust;
        let symbols = 10_000_000_000;
        let moments = Moments::expected(2 * symbols, [4.0, 0.216, 0.005, 0.6, 0.1]);
        let receiver = Receiver {
            efficiency: Interval::exact(0.6),
            electronic_noise: Interval::exact(0.1),
            electronic_measured: None,
            calibration_samples: 1 << 40,
            trust: Trust::Trusted,
        };
        let failed = FailedFrames::Subtracted { symbols: 0 };
        // β = 0.95: R = 0.95 · ½ log₂(1 + 0.2356).
        let kept = Kept { symbols, failed, disclosed_bits: 17_100_000_000 };
        let test = EnergyTest { symbols: symbols as f64, tested: 1e9, alice: 3.0, bob: 1.0, epsilon: 1e-10 };
        let (key, general) = key_length(&moments, &receiver, &kept, &test).unwrap();
        let collective =
            super::super::key_length(&moments, &receiver, &kept, &Budget::of_block(1e-10)).unwrap();
        assert!(key.ell > 0 && key.ell < collective.ell, "{key:?} against {collective:?}");
        assert_eq!(key.disclosed_bits, kept.disclosed_bits + general.toll_bits, "the toll is paid");
        assert!(general.collective_epsilon.to_f64() < 1e-48, "{general:?}");
        let left = Kept { failed: FailedFrames::Left, ..kept };
        let refused = key_length(&moments, &receiver, &left, &test);
        assert!(matches!(refused, Err(NoKey::Uncovered(_))), "failed frames left: {refused:?}");
    }

    #[test]
    fn no_photons_cost_the_least_toll() {
        let test = EnergyTest { symbols: 1e9, tested: 1e7, alice: 0.0, bob: 0.0, epsilon: 1e-10 };
        let general = reduction(&test).unwrap();
        // K = 1: 2 ⌈log₂ C(5, 4)⌉ = 2 · 3.
        assert_eq!((general.cutoff, general.toll_bits), (Real::ONE, 6), "{general:?}");
        assert!((general.collective_epsilon.to_f64() / 50e-10 - 1.0).abs() < 1e-12, "ε/50 · K⁴: {general:?}");
    }

    #[test]
    fn a_test_too_small_bounds_nothing() {
        let test = EnergyTest { symbols: 1e9, tested: 10.0, alice: 3.5, bob: 2.5, epsilon: 1e-10 };
        assert_eq!(reduction(&test), None, "ten symbols");
        for epsilon in [0.0, -1e-10, f64::NAN] {
            assert_eq!(reduction(&EnergyTest { tested: 1e7, epsilon, ..test }), None, "no ε: {epsilon}");
        }
    }
}
