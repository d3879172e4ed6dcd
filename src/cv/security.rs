//! Key length of Gaussian-modulated CV-QKD with heterodyne detection, against collective attacks.
//!
//! # From quadratures to uniform bits
//!
//! Reverse reconciliation takes blocks of d = 8 real quadratures y (four symbols). Bob draws d uniform
//! bits u and announces r = |y| and the rotation m that turns y/r into the point of u on the sphere.
//! The bits u are the raw key: one a real quadrature, **two a heterodyne symbol**. Given m and r, u and
//! y determine each other. Before error correction, with n symbols in n/4 blocks, a block leaves
//!
//! ```text
//! H(u | E m r) = H(u m r | E) − H(m r | E) ≥ d + h(y | E) − h(m r)
//!              ≥ d + h(y_G) − 4 χ_BE − h(m r) ≥ d − 4 χ_BE.
//! ```
//!
//! First: (u, m, r) and (u, y) are the same data, volume preserved, and u is independent of y and E.
//! Second: for a given covariance matrix the conditional entropy h(y | E) is least for the Gaussian
//! state (Wolf, Giedke, Cirac, PRL 96, 080502 (2006); Navascués, Grosshans, Acín, PRL 97, 190502
//! (2006); García-Patrón, Cerf, ibid. 190503). Third: a density of given second moment has the most
//! entropy if it is an isotropic Gaussian, and y_G is one, because transmittance and noise are taken
//! as means over both quadratures.
//!
//! # The length
//!
//! The asymptotic equipartition property for n/4 independent blocks with |U| = 2⁸ (Pirandola,
//! Papanastasiou, arXiv:2301.10270, from Tomamichel, Colbeck, Renner, IEEE Trans. Inf. Theory 55,
//! 5840 (2009)) and the leftover-hash lemma give
//!
//! ```text
//! ℓ = ⌊ 2n − n χ − Δ √(n/4) − λ − 2 log₂(1/(2 ε_PA)) ⌋,
//! Δ = 4 log₂(√|U| + 2) √(−log₂(1 − √(1 − ε_s²))) = 4 log₂ 18 · √(…)
//! ```
//!
//! which is (ε_EV + ε_PA + 2 ε_s + ε_PE)-secure. λ is every bit disclosed, from the ledger: all syndrome
//! bits, so that 2n − λ is the code rate's share; never β·I. m and r are not in λ: they are conditioned
//! on above.
//!
//! Where quadratures are cut into slices, four bits each, the terms are those of [`slices`].
//!
//! # Which χ
//!
//! The largest over a box that holds the truth but for ε_PE. Estimation uses every frame, also those
//! that failed (Bob opens them): choosing the good ones would choose the data that look good. With m
//! pairs, x Alice's and y Bob's quadratures in the shot-noise unit as measured,
//!
//! ```text
//! t̂ = Σxy/Σx²,  t ∈ t̂ ± z √(σ²_max/Σx²);   σ²_max = Σ(y − t̂x)² / q,  Pr[χ²_{m−1} ≤ q] = ε
//! N₀ = V₀ − v_el,  V₀ ∈ its measured value times the χ² interval of the calibration samples
//! T = 2t²/(η N₀),  ξ = 2 (σ²/N₀ − 1 − v_el/N₀)/(ηT)
//! ```
//!
//! V₀ is the variance of the vacuum with the electronic noise, as calibrated; its scatter is that of
//! 1 + v_el, not of N₀ alone. χ is taken at every corner: t, V₀, η and v_el each low and high, σ² high. In reverse reconciliation
//! χ alone is *not* largest at the least T, which is the corner that bounds of the form βI − χ use; here
//! the leak is what was sent, so the corner must be found.
//!
//! # What is assumed
//!
//! Collective attacks, identically on every symbol; for the two confidence intervals, Gaussian noise.
//! η and v_el lie in their calibrated intervals and out of Eve's reach; the shot noise during key
//! distribution is the calibrated one. Frames that failed leave n, and their pass pattern is booked bit
//! by bit in λ: a frame that passed is taken to be in the same state as any frame, as in all published
//! analyses with a frame error rate. [`FailedFrames::Subtracted`] drops that assumption and pays for each
//! failed frame with its whole length.

mod course;
pub mod discrete;
pub mod gaussian;
pub mod general;
pub mod published;
pub mod slices;
mod worst;

use crate::bounds::Real;
use crate::ledger::Epsilon;
use crate::stage::Abort;

pub use course::course;
pub use worst::Worst;

use gaussian::Trust;
use worst::worst_case;

/// The proof, as certificates name it.
pub const PROOF: &str = "Gaussian-modulated CV-QKD, heterodyne, trusted receiver, collective attacks, worst-case \
                         parameters (arXiv:2301.10270)";

/// A calibrated number that lies between two bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// It is at least this.
    pub low: f64,
    /// It is at most this.
    pub high: f64,
}

impl Interval {
    /// A number known exactly.
    #[must_use]
    pub fn exact(value: f64) -> Self {
        Self { low: value, high: value }
    }
}

/// Sums over pairs of real quadratures, two pairs a symbol, of **all** frames.
///
/// x: Alice's modulation, y: Bob's outcome, both in square roots of the measured shot-noise unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moments {
    /// m, the number of pairs.
    pub pairs: u64,
    /// Σx².
    pub alice: f64,
    /// Σxy.
    pub cross: f64,
    /// Σy².
    pub bob: f64,
}

impl Moments {
    /// The moments that a heterodyne link has on average: V_A, T, ξ at the input, η, v_el.
    #[must_use]
    pub fn expected(pairs: u64, link: [f64; 5]) -> Self {
        let [modulation_variance, transmittance, excess_noise, efficiency, electronic_noise] = link;
        let gain = 0.5 * efficiency * transmittance;
        let noise = 1.0 + electronic_noise + gain * excess_noise;
        let alice = pairs as f64 * modulation_variance;
        let amplitude = libm::sqrt(gain);
        Self { pairs, alice, cross: amplitude * alice, bob: gain * alice + pairs as f64 * noise }
    }
}

/// What was calibrated of Bob's receiver.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Receiver {
    /// η.
    pub efficiency: Interval,
    /// v_el per quadrature, in shot-noise units.
    pub electronic_noise: Interval,
    /// v_el as measured, which the shot-noise unit was reckoned with; `None` where that is not known: it
    /// may then be any of the interval.
    pub electronic_measured: Option<f64>,
    /// Samples from which the shot-noise unit was measured.
    pub calibration_samples: u64,
    /// Whether loss and electronic noise are out of Eve's reach.
    pub trust: Trust,
}

/// How frames that could not be corrected are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedFrames {
    /// They left the key; the verdicts are in the ledger.
    Left,
    /// They count as wholly known to Eve: this many symbols are taken from the entropy.
    Subtracted {
        /// Symbols in failed frames.
        symbols: u64,
    },
}

/// What enters privacy amplification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Heterodyne symbols of the frames that were corrected and verified.
    pub symbols: u64,
    /// How the others are paid for.
    pub failed: FailedFrames,
    /// λ: all that the ledger says, including the verification tag and verdicts.
    pub disclosed_bits: u64,
}

/// How the failure probability of a block is shared out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// ε_PE: the link lies outside of the box.
    pub estimation: f64,
    /// 2 ε_s: smoothing.
    pub smoothing: f64,
    /// ε_PA: privacy amplification.
    pub amplification: f64,
}

impl Budget {
    /// A quarter each for estimation, smoothing and amplification; the last quarter is left to
    /// verification and authentication, which book their own.
    #[must_use]
    pub fn of_block(epsilon: f64) -> Self {
        let quarter = 0.25 * epsilon;
        Self { estimation: quarter, smoothing: quarter, amplification: quarter }
    }

    /// What a key of this budget books in the ledger. Verification books ε_EV itself.
    #[must_use]
    pub fn epsilons(&self) -> [(Epsilon, f64); 3] {
        [
            (Epsilon::Estimation, self.estimation),
            (Epsilon::Smoothing, self.smoothing),
            (Epsilon::Amplification, self.amplification),
        ]
    }
}

/// A key length and every term that led to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyLength {
    /// What is known of the link.
    pub worst: Worst,
    /// 2n, of slices 8n: uniform bits before anything was disclosed.
    pub raw_bits: u64,
    /// n χ: what Eve knows from the channel.
    pub eavesdropped_bits: f64,
    /// Δ √(n/4), of slices Δ √n: what the equipartition property costs at a finite size.
    pub equipartition_bits: f64,
    /// n D of slices that were made for a variance that need not be the true one; 0 of rotations.
    pub mismatch_bits: f64,
    /// What failed frames cost, where they are subtracted.
    pub failed_bits: f64,
    /// λ: bits disclosed.
    pub disclosed_bits: u64,
    /// 2 log₂(1/(2 ε_PA)): what leftover hashing costs.
    pub hashing_bits: f64,
    /// The failure probabilities.
    pub budget: Budget,
    /// The length before the floor; negative where there is no key.
    pub ell_real: f64,
    /// The length of the key in bits.
    pub ell: u64,
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoKey {
    /// Too little is known of the channel: its transmittance may be zero.
    #[error("{pairs} pairs do not show that the channel transmits: enlarge the block")]
    Untested {
        /// Pairs of quadratures.
        pairs: u64,
    },
    /// Eve and the disclosed bits know all.
    #[error("{} raw bits do not pay for {:.0} eavesdropped, {:.0} of finite size and {} disclosed", .0.raw_bits, .0.eavesdropped_bits, .0.equipartition_bits, .0.disclosed_bits)]
    Spent(Box<KeyLength>),
    /// The sums or the calibration contradict each other.
    #[error("impossible data: {0}")]
    Impossible(&'static str),
    /// The claim is outside of what the proof covers.
    #[error("the proof does not cover this: {0}")]
    Uncovered(&'static str),
}

impl From<NoKey> for Abort {
    fn from(why: NoKey) -> Self {
        let reason = why.to_string();
        match why {
            NoKey::Impossible(_) => Self::Unusable { reason },
            _ => Self::NoKey { reason },
        }
    }
}

/// The length of the secret key that a block yields, with every term.
///
/// Pure; well below a millisecond.
///
/// # Errors
/// [`NoKey`] with the reason, and the terms where they exist.
pub fn key_length(
    moments: &Moments,
    receiver: &Receiver,
    kept: &Kept,
    budget: &Budget,
) -> Result<KeyLength, NoKey> {
    let terms = terms(moments, receiver, kept, budget)?;
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
) -> Result<KeyLength, NoKey> {
    reckon(moments, receiver, kept, budget, &ROTATIONS)
}

/// How symbols become uniform bits.
struct Raw {
    /// Bits a symbol.
    bits: u64,
    /// Symbols that carry eight bits together: an independent system of the equipartition property, |U| = 2⁸.
    symbols_per_block: u64,
    /// Bits a symbol that they lack to uniform ones.
    mismatch: f64,
}

const ROTATIONS: Raw = Raw { bits: 2, symbols_per_block: 4, mismatch: 0.0 };

fn reckon(
    moments: &Moments,
    receiver: &Receiver,
    kept: &Kept,
    budget: &Budget,
    raw: &Raw,
) -> Result<KeyLength, NoKey> {
    if kept.symbols > MOST {
        return Err(NoKey::Impossible("more than 2⁵⁹ symbols in a block"));
    }
    let (worst, holevo_max) = worst_case(moments, receiver, budget)?;
    let raw_bits = raw.bits * kept.symbols;
    let eavesdropped = Real::from(kept.symbols) * holevo_max;
    // Of frames subtracted whole their bits go, while Eve's share of them stays.
    let subtracted = match kept.failed {
        FailedFrames::Left => 0,
        FailedFrames::Subtracted { symbols } => symbols,
    };
    let failed = Real::from(subtracted) * holevo_max;
    let blocks = kept.symbols.saturating_add(subtracted).div_ceil(raw.symbols_per_block);
    let mismatch = Real::from(kept.symbols) * Real::from(raw.mismatch);
    let equipartition = equipartition(blocks, 0.5 * budget.smoothing);
    let hashing = Real::from(-2.0) * Real::from(2.0 * budget.amplification).log2();
    let disclosed = Real::from(kept.disclosed_bits);
    let all = Real::from(raw_bits);
    let ell = Real::sum_down(&[all, -eavesdropped, -equipartition, -mismatch, -failed, -disclosed, -hashing]);
    Ok(KeyLength {
        worst,
        raw_bits,
        eavesdropped_bits: eavesdropped.to_f64(),
        equipartition_bits: equipartition.to_f64(),
        mismatch_bits: mismatch.to_f64(),
        failed_bits: failed.to_f64(),
        disclosed_bits: kept.disclosed_bits,
        hashing_bits: hashing.to_f64(),
        budget: *budget,
        ell_real: ell.to_f64(),
        ell: ell.floor_to_u64().min(raw_bits),
    })
}

/// More symbols than a block can have.
const MOST: u64 = 1 << 59;

/// Δ √blocks with |U| = 2⁸: 4 log₂ 18 · √(−log₂(1 − √(1 − ε_s²)) · blocks).
fn equipartition(blocks: u64, epsilon: f64) -> Real {
    let square = Real::from(epsilon) * Real::from(epsilon);
    // 1 − √(1 − ε²) = ε²/(1 + √(1 − ε²)), which neither cancels nor vanishes.
    let bits =
        (Real::ONE + (Real::ONE - square).sqrt()).log2() - Real::from(2.0) * Real::from(epsilon).log2();
    Real::from(4.0) * Real::from(18.0).log2() * (bits * Real::from(blocks)).sqrt()
}

fn check(moments: &Moments, receiver: &Receiver, budget: &Budget) -> Result<(), NoKey> {
    if moments.pairs < 2 {
        return Err(NoKey::Untested { pairs: moments.pairs });
    }
    let finite = moments.alice.is_finite() && moments.cross.is_finite() && moments.bob.is_finite();
    if !(finite && moments.alice > 0.0 && moments.bob > 0.0) {
        return Err(NoKey::Impossible("sums of squares must be positive"));
    }
    let Interval { low, high } = receiver.efficiency;
    if !(low > 0.0 && low <= high && high <= 1.0) {
        return Err(NoKey::Uncovered(
            "the receiver's efficiency must lie in an interval between zero and one",
        ));
    }
    let Interval { low, high } = receiver.electronic_noise;
    if !(low >= 0.0 && low <= high && high.is_finite()) {
        return Err(NoKey::Uncovered("the electronic noise must lie in an interval above zero"));
    }
    if receiver.electronic_measured.is_some_and(|measured| !(measured >= 0.0 && measured.is_finite())) {
        return Err(NoKey::Uncovered("the electronic noise measured must not be negative"));
    }
    let Budget { estimation, smoothing, amplification } = *budget;
    if ![estimation, smoothing, amplification].iter().all(|epsilon| *epsilon > 0.0 && *epsilon < 1.0) {
        return Err(NoKey::Uncovered("every ε must lie between zero and one"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: u64 = 100_000_000;

    /// V_A 4, η 0.6, v_el 0.1 at 1420 nm over 25 km beside +17 dBm, T = 0.216 with depletion.
    fn moments(excess_noise: f64) -> Moments {
        Moments::expected(2 * SYMBOLS, [4.0, 0.216, excess_noise, 0.6, 0.1])
    }

    fn receiver(calibration_samples: u64) -> Receiver {
        Receiver {
            efficiency: Interval::exact(0.6),
            electronic_noise: Interval::exact(0.1),
            electronic_measured: None,
            calibration_samples,
            trust: Trust::Trusted,
        }
    }

    /// β = 0.93 and a frame error rate of 5 %.
    fn kept() -> Kept {
        let (symbols, snr) = (SYMBOLS / 20 * 19, 0.6 * 0.216 * 0.5 * 4.0 / 1.1);
        let rate = 0.93 * 0.5 * libm::log2(1.0 + snr);
        let leak = Real::from(2.0 * symbols as f64 * (1.0 - rate));
        Kept { symbols, failed: FailedFrames::Left, disclosed_bits: leak.ceil_to_u64() }
    }

    fn bits_per_symbol(excess_noise: f64, calibration_samples: u64) -> f64 {
        let budget = Budget::of_block(4e-10);
        let key = key_length(&moments(excess_noise), &receiver(calibration_samples), &kept(), &budget);
        key.map_or(0.0, |key| key.ell as f64 / SYMBOLS as f64)
    }

    #[test]
    fn the_equipartition_term_is_finite_for_every_epsilon() {
        // 4 log₂ 18 · √(1 + 2 log₂ 1/ε): for ε = 2⁻¹⁰⁰⁰ and one block.
        let far = equipartition(1, libm::exp2(-1000.0)).to_f64();
        assert!((far - 16.679_700_005_769_25 * libm::sqrt(2001.0)).abs() < 1e-9, "{far}");
        assert!(equipartition(1, 1e-320).is_finite(), "nor below what a double holds in full");
        let near = equipartition(4, 0.5).to_f64();
        let exact = 2.0 * 16.679_700_005_769_25 * libm::sqrt(-libm::log2(1.0 - libm::sqrt(0.75)));
        assert!((near - exact).abs() < 1e-12, "1 − √(1 − ¼): {near}");
    }

    #[test]
    fn the_reviewed_operating_point_yields_its_key() {
        for (excess_noise, samples, expected) in [
            (0.005, 1 << 60, 0.033),
            (0.005, 100_000_000, 0.025),
            (0.02, 1 << 60, 0.025),
            (0.02, 100_000_000, 0.018),
        ] {
            let key = bits_per_symbol(excess_noise, samples);
            assert!(
                (key - expected).abs() < 0.001,
                "ξ {excess_noise}, {samples} samples: {key} bit a symbol"
            );
        }
    }

    #[test]
    fn the_length_is_what_its_terms_say() {
        let budget = Budget { estimation: 1e-10, smoothing: 2e-10, amplification: 3e-10 };
        let failed = FailedFrames::Subtracted { symbols: 1_000_003 };
        let kept = Kept { failed, ..kept() };
        let key = key_length(&moments(0.01), &receiver(1 << 40), &kept, &budget).unwrap();
        let eavesdropped = kept.symbols as f64 * key.worst.holevo_max;
        assert!((key.eavesdropped_bits - eavesdropped).abs() < 1e-4, "n χ: {key:?}");
        assert!(
            (key.failed_bits - 1_000_003.0 * key.worst.holevo_max).abs() < 1e-4,
            "of failed frames: {key:?}"
        );
        // 24 000 001 blocks of four symbols at ε_s = 1e-10, where 1 − √(1 − ε²) = ε²/2:
        // 4 log₂ 18 · √((1 + 2 log₂ 1e10) · 24 000 001).
        let equipartition = 16.679_700_005_769_25 * libm::sqrt((1.0 + 66.438_561_897_747_24) * 24_000_001.0);
        assert!(
            (key.equipartition_bits / equipartition - 1.0).abs() < 1e-12,
            "Δ: {key:?} against {equipartition}"
        );
        // 2 log₂(1/(2 · 3e-10)).
        assert!((key.hashing_bits - 61.268_636_896_305_03).abs() < 1e-9, "hashing: {key:?}");
        let costs = key.eavesdropped_bits + key.equipartition_bits + key.failed_bits + key.hashing_bits;
        let length = 2.0 * kept.symbols as f64 - kept.disclosed_bits as f64 - costs;
        assert!((key.ell_real - length).abs() < 1e-3, "{length} from {key:?}");
        assert_eq!(Real::from(key.ell_real).floor_to_u64(), key.ell, "one floor");
        let spent: f64 = budget.epsilons().iter().map(|(_, epsilon)| epsilon).sum();
        assert!((spent - 6e-10).abs() < 1e-20, "every ε is booked once: {spent:e}");
    }

    #[test]
    fn one_bit_is_a_key_and_none_is_not() {
        let budget = Budget::of_block(1e-10);
        let of = |disclosed_bits| {
            let kept = Kept { disclosed_bits, ..kept() };
            key_length(&moments(0.005), &receiver(1 << 40), &kept, &budget)
        };
        let all = of(0).unwrap().ell;
        assert_eq!(of(all - 1).unwrap().ell, 1, "one bit is left");
        assert!(matches!(of(all), Err(NoKey::Spent(terms)) if terms.ell == 0), "nothing is");
    }

    #[test]
    fn less_knowledge_is_never_more_key() {
        let known = bits_per_symbol(0.01, 1_000_000_000);
        assert!(bits_per_symbol(0.01, 10_000_000) < known, "fewer calibration samples");
        assert!(bits_per_symbol(0.012, 1_000_000_000) < known, "more excess noise");
        let budget = Budget::of_block(1e-10);
        let of = |receiver: &Receiver, kept: &Kept| {
            terms(&moments(0.01), receiver, kept, &budget).unwrap().ell_real
        };
        let receiver = receiver(1_000_000_000);
        let base = of(&receiver, &kept());
        let vague = Receiver { efficiency: Interval { low: 0.59, high: 0.61 }, ..receiver };
        assert!(of(&vague, &kept()) < base, "η in an interval");
        let vague = Receiver { electronic_noise: Interval { low: 0.099, high: 0.101 }, ..receiver };
        let blind = of(&vague, &kept());
        assert!(blind < base, "v_el in an interval");
        let measured = of(&Receiver { electronic_measured: Some(0.1), ..vague }, &kept());
        assert!(blind < measured && measured < base, "its measured value tells the vacuum's: {measured}");
        assert!(of(&Receiver { trust: Trust::Untrusted, ..receiver }, &kept()) < base, "no trust");
        let failed = FailedFrames::Subtracted { symbols: SYMBOLS / 20 };
        let subtracted = of(&receiver, &Kept { failed, ..kept() });
        let share = subtracted / base;
        assert!((0.4..0.7).contains(&share), "failed frames cost two fifths of the key, not all but {share}");
        let leaked = Kept { disclosed_bits: kept().disclosed_bits + 777, ..kept() };
        assert!((base - of(&receiver, &leaked) - 777.0).abs() < 1e-3, "a disclosed bit is a bit less");
    }

    #[test]
    fn data_without_meaning_are_refused() {
        let budget = Budget::of_block(1e-10);
        let refused =
            |moments: Moments| key_length(&moments, &receiver(1 << 40), &kept(), &budget).unwrap_err();
        assert!(matches!(refused(Moments::default()), NoKey::Untested { pairs: 0 }), "nothing measured");
        let nothing = Moments { cross: 0.0, ..moments(0.01) };
        assert!(matches!(refused(nothing), NoKey::Untested { .. }), "no correlation");
        let faint = Moments::expected(2 * SYMBOLS, [1e-9, 0.216, 0.01, 0.6, 0.1]);
        assert!(
            matches!(refused(faint), NoKey::Untested { .. }),
            "too little light to see, and no contradiction"
        );
        let more = Moments { cross: 1e12, ..moments(0.01) };
        assert!(
            matches!(refused(more), NoKey::Impossible(_)),
            "more correlation than Cauchy and Schwarz allow"
        );
        let undefined = Moments { bob: f64::NAN, ..moments(0.01) };
        assert!(matches!(refused(undefined), NoKey::Impossible(_)), "not a number");
        let spent = Kept { disclosed_bits: u64::MAX, ..kept() };
        let spent = key_length(&moments(0.01), &receiver(1 << 40), &spent, &budget);
        assert!(matches!(spent, Err(NoKey::Spent(_))), "all disclosed: {spent:?}");
        let uncalibrated = key_length(&moments(0.01), &receiver(0), &kept(), &budget);
        assert!(matches!(uncalibrated, Err(NoKey::Impossible(_))), "no calibration: {uncalibrated:?}");
        let claim = Budget { smoothing: 0.0, ..budget };
        let uncovered = key_length(&moments(0.01), &receiver(1 << 40), &kept(), &claim);
        assert!(matches!(uncovered, Err(NoKey::Uncovered(_))), "no ε: {uncovered:?}");
    }

    #[test]
    fn what_the_proof_does_not_cover_is_refused() {
        let (good, budget) = (receiver(1 << 40), Budget::of_block(1e-10));
        let refusal = |moments: &Moments, receiver: &Receiver, budget: &Budget| {
            terms(moments, receiver, &kept(), budget).err()
        };
        assert_eq!(refusal(&moments(0.01), &good, &budget), None, "the link itself is covered");
        let (fine, nan, far) = (moments(0.01), f64::NAN, f64::INFINITY);
        for wrong in [
            Moments { alice: 0.0, ..fine },
            Moments { alice: -1.0, ..fine },
            Moments { alice: far, ..fine },
            Moments { bob: 0.0, ..fine },
            Moments { bob: far, ..fine },
            Moments { cross: nan, ..fine },
        ] {
            let refused = refusal(&wrong, &good, &budget);
            assert!(matches!(refused, Some(NoKey::Impossible(_))), "{wrong:?}: {refused:?}");
        }
        let one = refusal(&Moments { pairs: 1, ..fine }, &good, &budget);
        assert!(matches!(one, Some(NoKey::Untested { pairs: 1 })), "one pair: {one:?}");
        let uncovered = |receiver: &Receiver, budget: &Budget| {
            let refused = refusal(&fine, receiver, budget);
            assert!(matches!(refused, Some(NoKey::Uncovered(_))), "{receiver:?}, {budget:?}: {refused:?}");
        };
        for (low, high) in [(0.0, 0.6), (-0.1, 0.6), (0.6, 0.5), (0.6, 1.1), (nan, 0.6), (0.6, nan)] {
            uncovered(&Receiver { efficiency: Interval { low, high }, ..good }, &budget);
        }
        for (low, high) in [(-0.1, 0.1), (0.2, 0.1), (0.1, far), (nan, 0.1), (0.1, nan)] {
            uncovered(&Receiver { electronic_noise: Interval { low, high }, ..good }, &budget);
        }
        for measured in [-0.1, nan, far] {
            uncovered(&Receiver { electronic_measured: Some(measured), ..good }, &budget);
        }
        for epsilon in [0.0, 1.0, -1e-10, nan] {
            uncovered(&good, &Budget { estimation: epsilon, ..budget });
            uncovered(&good, &Budget { smoothing: epsilon, ..budget });
            uncovered(&good, &Budget { amplification: epsilon, ..budget });
        }
        let perfect = Receiver {
            efficiency: Interval::exact(1.0),
            electronic_noise: Interval::exact(0.0),
            electronic_measured: Some(0.0),
            ..good
        };
        assert_eq!(refusal(&fine, &perfect, &budget), None, "a receiver without loss and noise is covered");
        let huge = Kept { symbols: MOST + 1, ..kept() };
        let refused = terms(&fine, &good, &huge, &budget).err();
        assert!(matches!(refused, Some(NoKey::Impossible(_))), "too many symbols: {refused:?}");
        let uncalibrated = refusal(&fine, &receiver(0), &budget);
        assert!(matches!(uncalibrated, Some(NoKey::Impossible(_))), "no calibration: {uncalibrated:?}");
    }
}
