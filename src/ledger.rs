//! The account of a block: every bit disclosed and every ε spent, booked by the code that
//! spends it.
//!
//! Privacy amplification reads this account and nothing else: never `f·n·h(Q)`. Both parties
//! keep one, each books what it sends and what it receives, and the two are equal at the end of
//! a block because every message is.

use std::collections::BTreeMap;
use std::fmt;

/// What kind of message told Eve something of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Disclosure {
    /// Parities from which the error rate is estimated before reconciliation.
    PilotParity,
    /// Syndrome bits of a frame's first shot.
    Syndrome,
    /// Syndrome bits or key bits sent because a first shot failed.
    Increment,
    /// Parities that Cascade's reference side answers.
    ParityAnswer,
    /// Parities that Cascade's correcting side tells by its questions.
    ParityQuestion,
    /// Sums over values of which the key is made, told for the estimate.
    Moments,
    /// Tags of the verification hash.
    VerificationTag,
    /// Which frames or blocks passed: one bit each.
    Verdict,
    /// How many errors were corrected in all.
    ErrorRate,
}

impl Disclosure {
    /// All, in the order of records.
    const ALL: [Self; 9] = [
        Self::PilotParity,
        Self::Syndrome,
        Self::Increment,
        Self::ParityAnswer,
        Self::ParityQuestion,
        Self::Moments,
        Self::VerificationTag,
        Self::Verdict,
        Self::ErrorRate,
    ];

    /// The name in records and certificates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PilotParity => "pilot_parity",
            Self::Syndrome => "syndrome",
            Self::Increment => "increment",
            Self::ParityAnswer => "parity_answer",
            Self::ParityQuestion => "parity_question",
            Self::Moments => "moments",
            Self::VerificationTag => "verification_tag",
            Self::Verdict => "verdict",
            Self::ErrorRate => "error_rate",
        }
    }
}

/// What a share of the failure probability was spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Epsilon {
    /// The keys differ although verification passed.
    Correctness,
    /// The parameters estimated are wrong.
    Estimation,
    /// The devices are not what their calibration says.
    Calibration,
    /// Smoothing of the min-entropy.
    Smoothing,
    /// Privacy amplification (leftover hashing).
    Amplification,
    /// A forged message was accepted.
    Authentication,
}

impl Epsilon {
    /// All, in the order of records.
    const ALL: [Self; 6] = [
        Self::Correctness,
        Self::Estimation,
        Self::Calibration,
        Self::Smoothing,
        Self::Amplification,
        Self::Authentication,
    ];

    /// The name in records and certificates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Correctness => "correctness",
            Self::Estimation => "estimation",
            Self::Calibration => "calibration",
            Self::Smoothing => "smoothing",
            Self::Amplification => "amplification",
            Self::Authentication => "authentication",
        }
    }
}

/// The account of one block.
#[derive(Clone, Default, PartialEq)]
pub struct Ledger {
    /// By kind, and by purpose, in the order of their declarations: what was booked, be it nothing.
    disclosed_bits: [Option<u64>; Disclosure::ALL.len()],
    epsilons: [Option<f64>; Epsilon::ALL.len()],
    tag_pad_bits: u64,
    public_seed_bits: u64,
}

impl Ledger {
    /// An empty account.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Books bits that a message tells about the key.
    pub fn disclose(&mut self, kind: Disclosure, bits: u64) {
        let sum = self.disclosed_bits[kind as usize].get_or_insert(0);
        *sum = sum.saturating_add(bits);
    }

    /// Books a share of the failure probability.
    pub fn spend(&mut self, purpose: Epsilon, epsilon: f64) {
        *self.epsilons[purpose as usize].get_or_insert(0.0) += epsilon;
    }

    /// Books pad bits that closing tags consumed.
    pub fn consume_pad(&mut self, bits: u64) {
        self.tag_pad_bits = self.tag_pad_bits.saturating_add(bits);
    }

    /// Books uniform bits that were drawn fresh and sent in clear: verification keys and the seed of
    /// amplification. They tell nothing of the key and are never used again.
    pub fn consume_seed(&mut self, bits: u64) {
        self.public_seed_bits = self.public_seed_bits.saturating_add(bits);
    }

    /// All bits disclosed: what privacy amplification subtracts.
    #[must_use]
    pub fn disclosed_bits(&self) -> u64 {
        self.disclosed_bits.iter().flatten().fold(0, |sum, bits| sum.saturating_add(*bits))
    }

    /// Bits disclosed by one kind of message.
    #[must_use]
    pub fn disclosed_by(&self, kind: Disclosure) -> u64 {
        self.disclosed_bits[kind as usize].unwrap_or_default()
    }

    /// The sum of every ε spent: composability is additive.
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        // The sum of nothing would be −0.
        self.epsilons.iter().flatten().fold(0.0, |sum, epsilon| sum + epsilon)
    }

    /// Pad bits that tags consumed.
    #[must_use]
    pub fn tag_pad_bits(&self) -> u64 {
        self.tag_pad_bits
    }

    /// Uniform bits that were drawn and sent in clear.
    #[must_use]
    pub fn public_seed_bits(&self) -> u64 {
        self.public_seed_bits
    }

    /// The entries, by the names of records: bits by message kind.
    pub fn disclosures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let kinds = Disclosure::ALL.into_iter().zip(self.disclosed_bits);
        kinds.filter_map(|(kind, bits)| Some((kind.name(), bits?)))
    }

    /// The entries, by the names of records: ε by purpose.
    pub fn epsilons(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let purposes = Epsilon::ALL.into_iter().zip(self.epsilons);
        purposes.filter_map(|(purpose, epsilon)| Some((purpose.name(), epsilon?)))
    }

    /// Adds another account: that of a frame to its block's, or a block's to its session's.
    pub fn absorb(&mut self, other: &Self) {
        for (kind, bits) in Disclosure::ALL.into_iter().zip(other.disclosed_bits) {
            bits.into_iter().for_each(|bits| self.disclose(kind, bits));
        }
        for (purpose, epsilon) in Epsilon::ALL.into_iter().zip(other.epsilons) {
            epsilon.into_iter().for_each(|epsilon| self.spend(purpose, epsilon));
        }
        self.consume_pad(other.tag_pad_bits);
        self.consume_seed(other.public_seed_bits);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("disclosed_bits", &self.disclosures().collect::<BTreeMap<_, _>>())
            .field("epsilons", &self.epsilons().collect::<BTreeMap<_, _>>())
            .field("tag_pad_bits", &self.tag_pad_bits)
            .field("public_seed_bits", &self.public_seed_bits)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_purpose_has_its_own_entry() {
        for (place, kind) in Disclosure::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place, "{kind:?}");
        }
        for (place, purpose) in Epsilon::ALL.into_iter().enumerate() {
            assert_eq!(purpose as usize, place, "{purpose:?}");
        }
    }

    #[test]
    fn an_account_adds_up_by_kind_and_in_all() {
        let mut frame = Ledger::new();
        frame.disclose(Disclosure::Syndrome, 100);
        frame.disclose(Disclosure::Syndrome, 28);
        frame.disclose(Disclosure::Verdict, 1);
        let mut block = Ledger::new();
        block.disclose(Disclosure::VerificationTag, 128);
        block.spend(Epsilon::Amplification, 1e-11);
        block.spend(Epsilon::Correctness, 2e-11);
        block.consume_pad(512);
        frame.consume_seed(128);
        block.consume_seed(1000);
        block.absorb(&frame);
        assert_eq!(block.disclosed_by(Disclosure::Syndrome), 128, "one kind");
        assert_eq!(block.disclosed_bits(), 257, "all kinds");
        assert_eq!(block.tag_pad_bits(), 512, "pads are apart: they are not about the key");
        assert_eq!(block.public_seed_bits(), 1128, "seeds add up, apart from what is disclosed");
        assert!((block.epsilon() - 3e-11).abs() < 1e-25, "sum of ε");
    }

    #[test]
    fn every_entry_has_the_name_that_certificates_are_read_by() {
        let mut ledger = Ledger::new();
        let kinds = [
            Disclosure::PilotParity,
            Disclosure::Syndrome,
            Disclosure::Increment,
            Disclosure::ParityAnswer,
            Disclosure::ParityQuestion,
            Disclosure::Moments,
            Disclosure::VerificationTag,
            Disclosure::Verdict,
            Disclosure::ErrorRate,
        ];
        for (bits, kind) in (1..).zip(kinds) {
            ledger.disclose(kind, bits);
        }
        let told: Vec<_> = ledger.disclosures().collect();
        let expected = [
            ("pilot_parity", 1),
            ("syndrome", 2),
            ("increment", 3),
            ("parity_answer", 4),
            ("parity_question", 5),
            ("moments", 6),
            ("verification_tag", 7),
            ("verdict", 8),
            ("error_rate", 9),
        ];
        assert_eq!(told, expected, "each kind by its name");
        let purposes = [
            (Epsilon::Correctness, "correctness", 0.5),
            (Epsilon::Estimation, "estimation", 0.25),
            (Epsilon::Calibration, "calibration", 0.125),
            (Epsilon::Smoothing, "smoothing", 0.0625),
            (Epsilon::Amplification, "amplification", 0.031_25),
            (Epsilon::Authentication, "authentication", 0.015_625),
        ];
        purposes.iter().for_each(|(purpose, _, epsilon)| ledger.spend(*purpose, *epsilon));
        let spent: Vec<_> = ledger.epsilons().collect();
        assert_eq!(spent, purposes.map(|(_, name, epsilon)| (name, epsilon)), "each ε by its purpose");
    }

    #[test]
    fn an_account_saturates_instead_of_wrapping() {
        let mut ledger = Ledger::new();
        ledger.disclose(Disclosure::Syndrome, u64::MAX);
        ledger.disclose(Disclosure::Increment, 5);
        assert_eq!(ledger.disclosed_bits(), u64::MAX, "too much leak is no key, never a small leak");
    }

    #[test]
    fn an_account_is_printed_with_its_names() {
        let mut ledger = Ledger::new();
        ledger.disclose(Disclosure::Syndrome, 100);
        ledger.spend(Epsilon::Smoothing, 0.5);
        ledger.consume_pad(512);
        let shown = format!("{ledger:?}");
        let fields = "disclosed_bits: {\"syndrome\": 100}, epsilons: {\"smoothing\": 0.5}, tag_pad_bits: 512";
        assert_eq!(shown, format!("Ledger {{ {fields}, public_seed_bits: 0 }}"), "all four books");
    }
}
