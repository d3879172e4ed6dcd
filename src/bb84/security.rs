//! Key length of decoy-state BB84 by the variable-length entropic-uncertainty bound.
//!
//! # The theorem
//!
//! Tupkary, Nahar, Sinha, Lütkenhaus, arXiv:2408.17349: if for every attack the phase-error rate
//! of the single-photon key bits exceeds a function B of the observed data with probability at most
//! ε_AT², then keys of the data-dependent length
//!
//! ```text
//! ℓ = ⌊ s_K (1 − h(B)) − λ − 2 log₂(1/(2 ε_PA)) ⌋
//! ```
//!
//! are (2 ε_AT + ε_PA + ε_EV)-secure, where s_K is a lower bound on the single-photon bits of the
//! key, and λ every bit disclosed about it: syndromes, retries, the verification tag and its
//! verdict. λ is read from the [`Ledger`](crate::ledger::Ledger). The theorem asks for log₂(2/ε_EV)
//! bits for the tag; the ledger charges the tag's full length and the verdict's bit, which is at
//! least as much.
//!
//! # The bound B
//!
//! 1. Counts per intensity and basis become intervals of their expectations by Chernoff's bound,
//!    inverted exactly ([`chernoff`]): the choice of intensity, given the photon number, is
//!    independent from pulse to pulse.
//! 2. The intervals become bounds on single photons by a linear program with a certified dual
//!    (module `decoy`): s_K and s_T from below, their errors v_T in the test basis from above. That
//!    program also knows that of the e₀ errors from empty pulses there are half as many as empty
//!    pulses, up to their scatter: Alice's bit of an empty pulse is a fair coin that nobody saw.
//! 3. If the share q of sifted pulses that are tested is known from the choice of bases
//!    ([`Source::test_share`]), the two bases are counted together: single photons and empty pulses
//!    are in the same state in both, so that each of them is a tested one with probability q, whatever
//!    Eve does. s_T ≥ q s₁ and e₀ ≥ ½ q s₀ up to their scatter, with s₁ and s₀ from all detections,
//!    of which there are many more than tested ones.
//! 4. Single photons of both bases are in the same state, so the tested ones are a random sample;
//!    the exact hypergeometric law bounds the error rate of the others
//!    ([`hypergeometric::rate_above`], which also proves that bounds s_K, s_T, v_T may stand for
//!    the true numbers).
//!
//! The one-sided tail events share Σf = ε_AT² equally: two for each of three intensities, for
//! detections in either basis and for test errors; e₀; the sampling. With q, six for both bases
//! together, s_T and e₀ once more.
//!
//! # Two intensities
//!
//! A source with two has a third of a probability of at most [`NEVER`], without counts. Two counts cannot tell empty
//! pulses from single photons. Errors can (as in Rusca, Boaron, Grünenfelder, Martin, Zbinden, Appl. Phys. Lett. 112,
//! 171104 (2018)): the bit of an empty pulse is a fair coin, so that of x empty pulses of the test basis x/2 are errors
//! up to their scatter, and all errors seen there bound them from above; with q they bound those of both bases together,
//! and those of the key basis. These enter the program as upper bounds on x₀. Three more tail events.
//!
//! # What is credited besides
//!
//! With [`Vacuum::Credited`], ℓ grows by a lower bound on the key bits from empty pulses. Such a
//! pulse is the same state whatever the bit, and the bit is uniform, so these bits are in a product
//! state with everything that Eve holds and their number adds to the smooth min-entropy exactly. No
//! further ε: the bound follows from the same intervals.
//!
//! # What is assumed
//!
//! Phases are random, mean photon numbers and the probabilities of choosing them within their
//! intervals, pulses uncorrelated; the detection of a single photon does not depend on the basis,
//! or within [`mismatch`] only; double clicks became random bits before sifting; bases were announced
//! after the last gate of the block. Bits sampled from the key basis may leave [`Observation::key`]:
//! that lowers every bound.

mod claim;
mod decoy;
pub mod mismatch;
pub mod published;

use crate::bounds::{Real, binary_entropy, chernoff, hypergeometric};
use crate::stage::Abort;

pub use claim::{Budget, Claim, Vacuum};

use claim::events;
use decoy::{COUNTS, Counts, EMPTY, Mixture, Spread};
use mismatch::Mismatch;

/// The theorem, as certificates name it.
pub const PROOF: &str =
    "decoy BB84, variable length, entropic uncertainty (arXiv:2408.17349), coherent attacks";

/// A third intensity of at most this probability is not there: in a block of 10¹³ pulses the source differs by less than
/// 10⁻¹⁶ from one that never sends it.
pub const NEVER: f64 = 1e-30;

/// What Alice's source chooses from, brightest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source {
    /// Mean photon numbers μ₁ > μ₂ > μ₃ ≥ 0.
    pub mean_photons: [f64; 3],
    /// By how much each may be off either way, from pulse to pulse or for good.
    pub mean_spread: [f64; 3],
    /// Probability of each intensity, given that Alice chose the key basis.
    pub key_probability: [f64; 3],
    /// Probability of each intensity, given that Alice chose the test basis.
    pub test_probability: [f64; 3],
    /// By how much the probabilities of either basis may be off either way, from pulse to pulse or for
    /// good.
    pub probability_spread: [f64; 3],
    /// q, the probability that a pulse is in the test basis, given that both chose the same.
    ///
    /// `None` where it is not known: the proof then does without.
    pub test_share: Option<f64>,
}

impl Source {
    /// A source whose choice of intensity does not depend on the basis.
    #[must_use]
    pub fn new(mean_photons: [f64; 3], probability: [f64; 3]) -> Self {
        Self {
            mean_photons,
            mean_spread: [0.0; 3],
            key_probability: probability,
            test_probability: probability,
            probability_spread: [0.0; 3],
            test_share: None,
        }
    }

    /// The same, with mean photon numbers known within an interval only.
    #[must_use]
    pub fn with_mean_spread(self, mean_spread: [f64; 3]) -> Self {
        Self { mean_spread, ..self }
    }

    /// The same, with the probabilities of choosing them known within an interval only.
    #[must_use]
    pub fn with_probability_spread(self, probability_spread: [f64; 3]) -> Self {
        Self { probability_spread, ..self }
    }

    /// Whether the third intensity does not occur.
    fn has_two_intensities(&self) -> bool {
        self.key_probability[2] <= NEVER && self.test_probability[2] <= NEVER
    }

    /// The same, knowing how often, at least, Alice and Bob choose the test basis, independently of each
    /// other and of everything else: q only enters bounds from below, and grows with both.
    #[must_use]
    pub fn with_test_basis(self, alice: f64, bob: f64) -> Self {
        let (both, neither) = (alice * bob, (1.0 - alice) * (1.0 - bob));
        Self { test_share: Some(both / (both + neither)), ..self }
    }
}

/// What both parties saw in one block after sifting, by intensity, brightest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Bits of the key basis that enter privacy amplification.
    pub key: [u64; 3],
    /// Bits of the test basis.
    pub test: [u64; 3],
    /// Errors among the bits of the test basis.
    pub test_errors: [u64; 3],
}

/// A key length and every term that led to it. Bounds are rounded outward.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeyLength {
    /// At least this many key bits came from empty pulses.
    pub vacuum_key: f64,
    /// s_K: at least this many key bits came from single photons.
    pub single_key: f64,
    /// s_T: at least this many test bits came from single photons.
    pub single_test: f64,
    /// v_T: at most this many of those are errors.
    pub single_test_errors: f64,
    /// B: the phase-error rate of the single-photon key bits is at most this; 1 if there are none.
    pub phase_error_rate: f64,
    /// s_K (1 − h(B)), and the vacuum if credited: what Eve does not know before any message.
    pub entropy_bits: f64,
    /// λ: bits disclosed.
    pub disclosed_bits: u64,
    /// 2 log₂(1/(2 ε_PA)): what leftover hashing costs.
    pub hashing_bits: f64,
    /// Failure probability of one tail event.
    pub tail_epsilon: f64,
    /// The failure probabilities.
    pub budget: Budget,
    /// The length before the floor; negative where there is no key.
    pub ell_real: f64,
    /// The length of the key in bits.
    pub ell: u64,
}

impl KeyLength {
    /// Whether a key bit is certified to come from a single photon: without one no phase-error rate has a meaning.
    #[must_use]
    pub fn has_single_key(&self) -> bool {
        self.single_key >= 1.0
    }
}

/// Why there is no key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoKey {
    /// The test basis shows no single photon, so that nothing is known of phase errors.
    #[error(
        "the test basis certifies no single photon among {test_bits} bits: enlarge the block or its decoys"
    )]
    Untested {
        /// Bits of the test basis.
        test_bits: u64,
    },
    /// The key basis shows no single photon: there is nothing whose phase errors could be bounded.
    #[error("the key basis certifies no single photon: enlarge the block or its decoys")]
    Keyless(Box<KeyLength>),
    /// Phase errors may be as frequent as one half.
    #[error("the phase-error rate is bounded only by {:.3}", .0.phase_error_rate)]
    PhaseErrors(Box<KeyLength>),
    /// More was disclosed than Eve does not know.
    #[error("{:.0} bits of entropy do not pay for {} disclosed and {:.0} of hashing", .0.entropy_bits, .0.disclosed_bits, .0.hashing_bits)]
    Spent(Box<KeyLength>),
    /// The counts contradict each other.
    #[error("impossible counts: {0}")]
    Impossible(&'static str),
    /// The source or the claim is outside of what the proof covers.
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
/// `disclosed_bits`: all that the ledger of the block says, including the verification tag and
/// verdicts. Pure; some milliseconds for the first block of a source, a tenth of one for those after it.
///
/// # Errors
/// [`NoKey`] with the reason, and the terms where they exist.
pub fn key_length(
    seen: &Observation,
    source: &Source,
    claim: &Claim,
    disclosed_bits: u64,
) -> Result<KeyLength, NoKey> {
    let terms = terms(seen, source, claim, disclosed_bits)?;
    if terms.ell > 0 {
        return Ok(terms);
    }
    if terms.single_test <= 0.0 {
        return Err(NoKey::Untested { test_bits: total(seen.test) });
    }
    if !terms.has_single_key() {
        return Err(NoKey::Keyless(Box::new(terms)));
    }
    if terms.phase_error_rate >= 0.5 {
        return Err(NoKey::PhaseErrors(Box::new(terms)));
    }
    Err(NoKey::Spent(Box::new(terms)))
}

/// The same terms also where they leave no key (`ell` is 0).
///
/// # Errors
/// [`NoKey::Impossible`] or [`NoKey::Uncovered`] where the formula has no meaning.
pub fn terms(
    seen: &Observation,
    source: &Source,
    claim: &Claim,
    disclosed_bits: u64,
) -> Result<KeyLength, NoKey> {
    check(seen, source, claim)?;
    let tail = claim.budget.per_event(events(source, claim));
    let Photons { vacuum_key, single_key, single_test, single_test_errors } = photons(seen, source, tail)?;
    let sampled = hypergeometric::rate_above(
        single_test_errors.ceil_to_u64(),
        single_test.floor_to_u64(),
        single_key.floor_to_u64(),
        tail,
    );
    let widen = |mismatch: Mismatch| mismatch.widen(sampled, single_key.floor_to_u64(), tail);
    let phase_error_rate = claim.mismatch.map_or(sampled, widen);
    let credited = if claim.vacuum == Vacuum::Credited { vacuum_key } else { Real::ZERO };
    let unknown = Real::ONE - binary_entropy(Real::from(phase_error_rate));
    let entropy = Real::sum_down(&[single_key * unknown, credited]);
    let hashing = Real::from(-2.0) * (Real::from(2.0 * claim.budget.amplification)).log2();
    let ell = Real::sum_down(&[entropy, -Real::from(disclosed_bits), -hashing]);
    Ok(KeyLength {
        vacuum_key: vacuum_key.to_f64(),
        single_key: single_key.to_f64(),
        single_test: single_test.to_f64(),
        single_test_errors: single_test_errors.to_f64(),
        phase_error_rate,
        entropy_bits: entropy.to_f64(),
        disclosed_bits,
        hashing_bits: hashing.to_f64(),
        tail_epsilon: tail,
        budget: claim.budget,
        ell_real: ell.to_f64(),
        ell: ell.floor_to_u64().min(total(seen.key)),
    })
}

/// What the counts say of photon numbers.
struct Photons {
    vacuum_key: Real,
    single_key: Real,
    single_test: Real,
    single_test_errors: Real,
}

fn photons(seen: &Observation, source: &Source, tail: f64) -> Result<Photons, NoKey> {
    let mean = Spread { middle: source.mean_photons, half_width: source.mean_spread };
    let chosen = |middle| Spread { middle, half_width: source.probability_spread };
    let key = Mixture::of(mean, chosen(source.key_probability));
    let test = Mixture::of(mean, chosen(source.test_probability));
    let half = Real::from(0.5);
    let (mut key_counts, mut test_counts) = (expected(seen.key, tail), expected(seen.test, tail));
    let mut all = expected([0, 1, 2].map(|k: usize| seen.key[k] + seen.test[k]), tail);
    if source.has_two_intensities() {
        let most = MostEmpty::of(seen, source, tail);
        let limit = |counts: &mut Counts, most: Real| counts.above[EMPTY] = most.min(counts.total);
        limit(&mut test_counts, most.test);
        most.all.iter().for_each(|most| limit(&mut all, *most));
        most.key.iter().for_each(|most| limit(&mut key_counts, *most));
    }
    let mut single_test = test.fewest(1, &test_counts);
    let mut empty_errors = chernoff::observed_below(half * test.fewest(0, &test_counts), tail);
    if let Some(share) = source.test_share.map(Real::from) {
        let tested = |photons: usize| share * key.fewest(photons, &all);
        single_test = single_test.max(chernoff::observed_below(tested(1), tail));
        empty_errors = empty_errors.max(chernoff::observed_below(half * tested(0), tail));
    }
    let mut errors = expected(seen.test_errors, tail);
    errors.below[EMPTY] = empty_errors.min(errors.total);
    if key.contradicts(&key_counts) || test.contradicts(&test_counts) || test.contradicts(&errors) {
        return Err(NoKey::Impossible("no light of these intensities gives these counts"));
    }
    Ok(Photons {
        vacuum_key: key.fewest(0, &key_counts),
        single_key: key.fewest(1, &key_counts),
        single_test: single_test.min(test_counts.total),
        single_test_errors: test.most(1, &errors),
    })
}

/// Empty pulses among the detected ones, at most, by the errors of the test basis.
struct MostEmpty {
    test: Real,
    /// Of both bases, if the share of tested ones is known.
    all: Option<Real>,
    key: Option<Real>,
}

impl MostEmpty {
    fn of(seen: &Observation, source: &Source, tail: f64) -> Self {
        let test = Real::from(2.0) * chernoff::expected_above(total(seen.test_errors), tail);
        let all = source.test_share.map(|share| {
            // A tested share of at least q: at most this many, of which at most 1 − q are not tested.
            (chernoff::expected_above(test.ceil_to_u64(), tail) / Real::from(share), share)
        });
        let untested =
            |(all, share): (Real, f64)| chernoff::observed_above(all * (Real::ONE - Real::from(share)), tail);
        Self { test, all: all.map(|(all, _)| all), key: all.map(untested) }
    }
}

/// The intervals of the expected counts; of empty pulses nothing is known yet.
fn expected(counts: [u64; 3], epsilon: f64) -> Counts {
    let total = counts.iter().fold(Real::ZERO, |sum, count| sum + Real::from(*count));
    let mut intervals = Counts { below: [Real::ZERO; COUNTS], above: [total; COUNTS], total };
    for (k, count) in counts.into_iter().enumerate() {
        intervals.below[k] = chernoff::expected_below(count, epsilon);
        intervals.above[k] = chernoff::expected_above(count, epsilon);
    }
    intervals
}

fn total(counts: [u64; 3]) -> u64 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

fn check(seen: &Observation, source: &Source, claim: &Claim) -> Result<(), NoKey> {
    if (0..3).any(|k| seen.test_errors[k] > seen.test[k]) {
        return Err(NoKey::Impossible("more errors than bits in the test basis"));
    }
    if source.has_two_intensities() && (seen.key[2] > 0 || seen.test[2] > 0) {
        return Err(NoKey::Impossible("events of a third intensity, which the source does not have"));
    }
    if total(seen.key) > MOST || total(seen.test) > MOST {
        return Err(NoKey::Impossible("more than 2⁶² bits in a block"));
    }
    let [signal, decoy, vacuum] = source.mean_photons;
    let [at_signal, at_decoy, at_vacuum] = source.mean_spread;
    let ordered = signal - at_signal > decoy + at_decoy && decoy - at_decoy > vacuum + at_vacuum;
    let positive = at_signal >= 0.0 && at_decoy >= 0.0 && at_vacuum >= 0.0 && vacuum >= 0.0;
    if !(signal.is_finite() && at_signal.is_finite() && ordered && positive) {
        return Err(NoKey::Uncovered(
            "mean photon numbers must decrease, apart from their spread, and not be negative",
        ));
    }
    let off = source.probability_spread;
    let positive = |k: usize| {
        let least = source.key_probability[k].min(source.test_probability[k]);
        off[k] >= 0.0 && off[k] < least
    };
    if !(positive(0) && positive(1) && positive(2)) {
        return Err(NoKey::Uncovered("intensity probabilities must stay positive within their spread"));
    }
    if !is_distribution(source.key_probability) || !is_distribution(source.test_probability) {
        return Err(NoKey::Uncovered("intensity probabilities must be positive and sum to one"));
    }
    if let Some(share) = source.test_share {
        if !(share > 0.0 && share < 1.0) {
            return Err(NoKey::Uncovered("the share of tested pulses must lie between zero and one"));
        }
        if source.key_probability != source.test_probability {
            return Err(NoKey::Uncovered("both bases can be counted together only with equal intensities"));
        }
    }
    if let Some(mismatch) = claim.mismatch {
        if !mismatch.is_valid() {
            return Err(NoKey::Uncovered("the detectors' spreads must lie between zero and one"));
        }
        if source.test_share.is_some() {
            return Err(NoKey::Uncovered("the bases can be counted together only with equal detectors"));
        }
    }
    let Budget { estimation, amplification } = claim.budget;
    if !(estimation > 0.0 && estimation < 1.0 && amplification > 0.0 && amplification < 1.0) {
        return Err(NoKey::Uncovered("every ε must lie between zero and one"));
    }
    Ok(())
}

/// More bits than a block can have; sums of two such numbers do not overflow.
const MOST: u64 = 1 << 62;

fn is_distribution(probability: [f64; 3]) -> bool {
    let sum: f64 = probability.iter().sum();
    probability.iter().all(|p| *p > 0.0) && (sum - 1.0).abs() < 1e-9
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Epsilon;

    /// Ten seconds of the coexistence link: 1 GHz, 25 km in the O band, μ = (0.5, 0.2, 0.001),
    /// p = (0.81, 0.14, 0.05), one pulse in eight in the test basis: 5.32 Mb/s sifted at 3.71 %.
    const LINK: Observation = Observation {
        key: [49_378_660, 3_668_401, 152_938],
        test: [1_007_727, 74_865, 3_121],
        test_errors: [33_909, 4_867, 1_502],
    };
    /// 1.10 · n · h(3.71 %).
    const LINK_LEAK: u64 = 13_392_000;

    fn link_source() -> Source {
        Source::new([0.5, 0.2, 0.001], [0.81, 0.14, 0.05])
    }

    #[test]
    fn two_intensities_make_key_where_errors_are_few() {
        // A million clicks, even bases, μ = (0.5, 0.1), p = (0.7, 0.3).
        let seen = |thousandths: u64| Observation {
            key: [230_225, 19_775, 0],
            test: [230_225, 19_775, 0],
            test_errors: [230 * thousandths, 20 * thousandths, 0],
        };
        let source = |third: f64| Source::new([0.5, 0.1, 0.0], [0.7, 0.3, third]).with_test_basis(0.5, 0.5);
        let claim = Claim::of_block(1e-10);
        let length = |thousandths| key_length(&seen(thousandths), &source(NEVER), &claim, 23_000);
        let few = length(10).expect("one in a hundred");
        assert!((50_000..90_000).contains(&few.ell), "{few:?}");
        assert!(few.single_key < 0.53 * 250_000.0, "no more than its share of weak pulses tells: {few:?}");
        assert!(length(5).expect("fewer errors").ell > few.ell, "fewer empty pulses are possible");
        assert!(length(50).is_err(), "one in twenty leaves none");
        let counted = Observation { key: [1000, 100, 1], ..seen(10) };
        let impossible = key_length(&counted, &source(NEVER), &claim, 0);
        assert!(matches!(impossible, Err(NoKey::Impossible(_))), "a third intensity: {impossible:?}");
        for third in [
            Observation { key: [1000, 100, 1], ..seen(10) },
            Observation { test: [230_225, 19_775, 1], ..seen(10) },
        ] {
            let refused = key_length(&third, &source(NEVER), &claim, 0);
            let what = |why: &NoKey| why.to_string().contains("third");
            assert!(refused.as_ref().is_err_and(what), "in either basis: {refused:?}");
        }
        let rare = key_length(&seen(10), &source(1e-12), &claim, 23_000);
        assert!(
            matches!(rare, Err(NoKey::Untested { .. })),
            "a rare third is no second kind of proof: {rare:?}"
        );
        let alone = Source { test_share: None, ..source(NEVER) };
        assert!(
            key_length(&seen(10), &alone, &claim, 23_000).is_err(),
            "nothing bounds the key's empty pulses"
        );
    }

    #[test]
    fn the_coexistence_link_yields_its_key() {
        let key = key_length(&LINK, &link_source(), &Claim::of_block(1e-10), LINK_LEAK).unwrap();
        // The truth of the model: 654 400 single photons and 14 440 of their errors in the test basis,
        // 32.1 million single photons in the key. Closed formulas give φ = 7.2 % and 0.51 Mb/s.
        assert!((500_000.0..654_400.0).contains(&key.single_test), "single photons: {key:?}");
        assert!((14_440.0..26_000.0).contains(&key.single_test_errors), "their errors: {key:?}");
        assert!((29.4e6..32.1e6).contains(&key.single_key), "single photons of the key: {key:?}");
        assert!((0.022..0.052).contains(&key.phase_error_rate), "phase errors: {key:?}");
        assert!((7_500_000..9_000_000).contains(&key.ell), "0.75 Mb/s for ten seconds: {key:?}");
    }

    #[test]
    fn the_length_is_what_its_terms_say() {
        let claim = Claim { vacuum: Vacuum::Credited, ..Claim::of_block(1e-10) };
        let key = key_length(&LINK, &link_source(), &claim, LINK_LEAK).unwrap();
        let entropy = key.single_key * (1.0 - binary_entropy(Real::from(key.phase_error_rate)).to_f64());
        // 2 log₂(1/(2 · 2.5e-11)).
        let length = entropy + key.vacuum_key - LINK_LEAK as f64 - 68.438_561_897_747_24;
        assert!((key.ell_real - length).abs() < 1e-6, "{length} from {key:?}");
        assert_eq!(Real::from(key.ell_real).floor_to_u64(), key.ell, "one floor");
        let sampled = hypergeometric::rate_above(
            Real::from(key.single_test_errors).ceil_to_u64(),
            Real::from(key.single_test).floor_to_u64(),
            Real::from(key.single_key).floor_to_u64(),
            key.tail_epsilon,
        );
        assert!((key.phase_error_rate - sampled).abs() < 1e-15, "the rate is that of the sample");
        let [estimation, amplification] = key.budget.epsilons();
        assert_eq!(estimation, (Epsilon::Estimation, 5e-11), "half of the budget");
        assert_eq!(amplification, (Epsilon::Amplification, 2.5e-11), "a quarter");
        // 2 √(20 f) = 5e-11.
        let spent = 2.0 * libm::sqrt(20.0 * key.tail_epsilon);
        assert!((spent / 5e-11 - 1.0).abs() < 1e-9 && spent <= 5e-11, "twenty events spend {spent:e}");
    }

    /// T12 (Lucamarini et al., Opt. Express 21, 24550 (2013)) at 50 km: 20 minutes at 1 GHz; the errors of
    /// the two decoys are modelled, and 1.10 n h(Q) bits disclosed.
    #[test]
    fn t12_yields_most_of_the_rate_that_was_published() {
        let seen = Observation {
            key: [5_016_000_000, 6_210_000, 1_259_000],
            test: [22_310_000, 28_430, 5_790],
            test_errors: [812_084, 5_509, 2_703],
        };
        let probability = [0.988_281_25, 0.007_812_5, 0.003_906_25];
        let source = Source::new([0.425, 0.044, 0.001], probability);
        let known = source.with_test_basis(0.0625, 0.0625);
        let mbit_per_s = |source: &Source, vacuum: Vacuum| {
            let claim = Claim { vacuum, ..Claim::of_block(1e-10) };
            key_length(&seen, source, &claim, 1_411_709_106).unwrap().ell as f64 / 1_200e6
        };
        // Published 1.09 Mb/s, against collective attacks, from both bases; 1.18 is the limit of
        // infinitely long sessions of the key basis, vacuum credited.
        assert!((0.73..0.75).contains(&mbit_per_s(&source, Vacuum::Uncredited)), "as the theorem is printed");
        assert!((0.90..0.92).contains(&mbit_per_s(&source, Vacuum::Credited)), "with the vacuum");
        assert!((0.86..0.88).contains(&mbit_per_s(&known, Vacuum::Uncredited)), "with the share of tests");
        assert!((1.02..1.05).contains(&mbit_per_s(&known, Vacuum::Credited)), "with both");
    }

    #[test]
    fn knowing_the_share_of_tests_helps_and_stays_true() {
        let claim = Claim::of_block(1e-10);
        let source = link_source();
        let without = key_length(&LINK, &source, &claim, LINK_LEAK).unwrap();
        let with = key_length(&LINK, &source.with_test_basis(0.125, 0.125), &claim, LINK_LEAK).unwrap();
        assert!(with.ell > without.ell, "more key: {with:?}");
        assert!(
            (without.single_test..654_400.0).contains(&with.single_test),
            "more single photons: {with:?}"
        );
        assert!(
            (14_440.0..without.single_test_errors).contains(&with.single_test_errors),
            "fewer errors: {with:?}"
        );
        // q s₁ less its scatter, √(2 ln 1/f) = 10.2 standard deviations.
        let all = expected([0, 1, 2].map(|k: usize| LINK.key[k] + LINK.test[k]), with.tail_epsilon);
        let exact = |middle| Spread { middle, half_width: [0.0; 3] };
        let mixture = Mixture::new(exact(source.mean_photons), exact(source.key_probability));
        let tested = mixture.fewest(1, &all).to_f64() / 50.0;
        let deviations = (tested - with.single_test) / libm::sqrt(tested);
        assert!((10.1..10.3).contains(&deviations), "{deviations} below the {tested} to expect");
        let unsure = source.with_test_basis(0.125, 0.125).with_mean_spread([1e-3, 4e-4, 2e-5]);
        let unsure = key_length(&LINK, &unsure, &claim, LINK_LEAK).unwrap();
        assert!(unsure.ell < with.ell, "intensities in an interval cost key: {unsure:?}");
        let loose = source.with_test_basis(0.125, 0.125).with_probability_spread([1e-3, 4e-4, 2e-4]);
        let loose = key_length(&LINK, &loose, &claim, LINK_LEAK).unwrap();
        assert!(loose.ell < with.ell, "probabilities in an interval cost key: {loose:?}");
        let open = source.with_probability_spread([0.0, 0.0, 0.05]);
        let refused = key_length(&LINK, &open, &claim, LINK_LEAK);
        assert!(
            matches!(refused, Err(NoKey::Uncovered(_))),
            "an intensity that may never be sent: {refused:?}"
        );
        let mixed = Source { test_probability: [0.5, 0.3, 0.2], ..source.with_test_basis(0.125, 0.125) };
        let refused = key_length(&LINK, &mixed, &claim, LINK_LEAK);
        assert!(matches!(refused, Err(NoKey::Uncovered(_))), "bases with different intensities: {refused:?}");
    }

    #[test]
    fn detectors_that_differ_cost_key() {
        let claim = Claim::of_block(1e-10);
        let mismatch = Mismatch { efficiency_spread: 1e-3, dark_probability: 1e-6, dark_spread: 1e-3 };
        let alike = key_length(&LINK, &link_source(), &claim, LINK_LEAK).unwrap();
        let unlike = Claim { mismatch: Some(mismatch), ..claim };
        let key = key_length(&LINK, &link_source(), &unlike, LINK_LEAK).unwrap();
        assert!(key.phase_error_rate > alike.phase_error_rate + 0.004, "δ₁ and δ₂ are in B: {key:?}");
        let share = link_source().with_test_basis(0.125, 0.125);
        let refused = key_length(&LINK, &share, &unlike, LINK_LEAK);
        assert!(
            matches!(refused, Err(NoKey::Uncovered(_))),
            "no common count of unequal detectors: {refused:?}"
        );
    }

    #[test]
    fn every_tail_event_has_its_share() {
        let (source, claim) = (link_source(), Claim::of_block(1e-10));
        let mismatch = Mismatch { efficiency_spread: 1e-3, dark_probability: 1e-6, dark_spread: 1e-3 };
        let unlike = Claim { mismatch: Some(mismatch), ..claim };
        let two = Source::new([0.5, 0.1, 0.0], [0.7, 0.3, NEVER]);
        for (source, claim, expected) in [
            (source, claim, 20.0),
            (source.with_test_basis(0.125, 0.125), claim, 28.0),
            (source, unlike, 22.0),
            (two, claim, 23.0),
            (two, unlike, 25.0),
            (two.with_test_basis(0.5, 0.5), claim, 31.0),
        ] {
            assert_eq!(events(&source, &claim), expected, "{source:?}, {claim:?}");
        }
    }

    #[test]
    fn a_block_has_at_most_two_to_the_62_bits() {
        // Counts in the proportions of the link, 2³⁷ times as many: only their number is impossible.
        let many = |counts: [u64; 3]| counts.map(|count| count << 37);
        for (seen, what) in [
            (Observation { key: many(LINK.key), ..LINK }, "key"),
            (Observation { test: many(LINK.key), ..LINK }, "test"),
        ] {
            let refused = terms(&seen, &link_source(), &Claim::of_block(1e-10), 0).err();
            assert!(
                matches!(refused, Some(NoKey::Impossible(why)) if why.contains("2⁶²")),
                "{what}: {refused:?}"
            );
        }
    }

    #[test]
    fn more_disclosed_is_less_key_bit_by_bit() {
        let claim = Claim::of_block(1e-10);
        let one = key_length(&LINK, &link_source(), &claim, LINK_LEAK).unwrap();
        let two = key_length(&LINK, &link_source(), &claim, LINK_LEAK + 1_000).unwrap();
        assert_eq!(one.ell - two.ell, 1_000, "a disclosed bit is a bit less");
    }

    #[test]
    fn every_empty_observation_is_a_reason_and_no_key() {
        let claim = Claim::of_block(1e-10);
        let none = key_length(&Observation::default(), &link_source(), &claim, 0);
        assert!(matches!(none, Err(NoKey::Untested { test_bits: 0 })), "nothing seen: {none:?}");
        let impossible = Observation { test_errors: [2_000_000, 0, 0], ..LINK };
        let refused = key_length(&impossible, &link_source(), &claim, 0);
        assert!(matches!(refused, Err(NoKey::Impossible(_))), "more errors than bits: {refused:?}");
        let swapped = Observation { key: [152_938, 3_668_401, 49_378_660], ..LINK };
        let refused = key_length(&swapped, &link_source(), &claim, 0);
        assert!(matches!(refused, Err(NoKey::Impossible(_))), "most light from the vacuum: {refused:?}");
        for odd in [
            Observation { test: [3_121, 74_865, 1_007_727], test_errors: [0; 3], ..LINK },
            Observation { test_errors: [10, 10, 3_000], ..LINK },
        ] {
            let refused = key_length(&odd, &link_source(), &claim, 0);
            assert!(matches!(refused, Err(NoKey::Impossible(_))), "{odd:?}: {refused:?}");
        }
        let spent = key_length(&LINK, &link_source(), &claim, u64::MAX);
        assert!(matches!(spent, Err(NoKey::Spent(_))), "all disclosed: {spent:?}");
    }

    #[test]
    fn what_the_proof_does_not_cover_is_refused() {
        let (source, claim) = (link_source(), Claim::of_block(1e-10));
        let refusal =
            |seen: &Observation, source: &Source, claim: &Claim| terms(seen, source, claim, 0).err();
        let edge = |mean: [f64; 3], spread: [f64; 3]| {
            refusal(&LINK, &Source { mean_photons: mean, ..source }.with_mean_spread(spread), &claim)
        };
        for (mean, spread) in [
            ([0.5, 0.5, 0.001], [0.0; 3]),
            ([0.5, 0.2, 0.2], [0.0; 3]),
            ([0.5, 0.2, -0.001], [0.0; 3]),
            ([f64::INFINITY, 0.2, 0.001], [0.0; 3]),
            ([f64::NAN, 0.2, 0.001], [0.0; 3]),
            ([0.5, 0.2, 0.001], [0.2, 0.1, 0.0]),
            ([0.5, 0.2, 0.001], [0.0, 0.1, 0.099]),
            ([0.5, 0.2, 0.001], [-0.1, 0.0, 0.0]),
            ([0.5, 0.2, 0.001], [0.0, -0.1, 0.0]),
            ([0.5, 0.2, 0.001], [0.0, 0.0, -0.1]),
            ([0.5, 0.2, 0.001], [f64::NAN, 0.0, 0.0]),
        ] {
            let refused = edge(mean, spread);
            assert!(matches!(refused, Some(NoKey::Uncovered(_))), "μ = {mean:?} ± {spread:?}: {refused:?}");
        }
        assert_eq!(edge([0.5, 0.2, 0.0], [0.0; 3]), None, "an empty third intensity is covered");
        for probability in [[0.5, 0.5, 0.0], [0.9, 0.2, -0.1], [0.5, 0.3, 0.1], [0.5, 0.3, f64::NAN]] {
            let refused = refusal(&LINK, &Source { key_probability: probability, ..source }, &claim);
            assert!(matches!(refused, Some(NoKey::Uncovered(_))), "key, p = {probability:?}: {refused:?}");
            let refused = refusal(&LINK, &Source { test_probability: probability, ..source }, &claim);
            assert!(matches!(refused, Some(NoKey::Uncovered(_))), "test, p = {probability:?}: {refused:?}");
        }
        for (k, spread) in [(0, -0.1), (1, -0.1), (2, -0.1), (0, 0.81), (1, 0.14), (2, 0.05), (2, f64::NAN)] {
            let mut off = [0.0; 3];
            off[k] = spread;
            let refused = refusal(&LINK, &source.with_probability_spread(off), &claim);
            assert!(matches!(refused, Some(NoKey::Uncovered(_))), "p ± {off:?}: {refused:?}");
        }
        let unlike = Source { test_probability: [0.81, 0.16, 0.03], ..source };
        let refused = refusal(&LINK, &unlike.with_probability_spread([0.0, 0.0, 0.04]), &claim);
        assert!(matches!(refused, Some(NoKey::Uncovered(_))), "never sent in the test basis: {refused:?}");
        for share in [0.0, 1.0, -0.1, f64::NAN] {
            let refused = refusal(&LINK, &Source { test_share: Some(share), ..source }, &claim);
            assert!(matches!(refused, Some(NoKey::Uncovered(_))), "share {share}: {refused:?}");
        }
        for epsilon in [0.0, 1.0, -1e-10, f64::NAN] {
            for budget in [
                Budget { estimation: epsilon, ..claim.budget },
                Budget { amplification: epsilon, ..claim.budget },
            ] {
                let refused = refusal(&LINK, &source, &Claim { budget, ..claim });
                assert!(matches!(refused, Some(NoKey::Uncovered(_))), "{budget:?}: {refused:?}");
            }
        }
        let huge = [MOST, 1, 0];
        for (seen, what) in [
            (Observation { key: huge, ..LINK }, "key"),
            (Observation { test: huge, ..LINK }, "test"),
            (Observation { test_errors: [0, 74_866, 0], ..LINK }, "errors"),
        ] {
            let refused = refusal(&seen, &source, &claim);
            assert!(matches!(refused, Some(NoKey::Impossible(_))), "{what}: {refused:?}");
        }
    }
}
