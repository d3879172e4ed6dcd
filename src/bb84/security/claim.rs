//! What is claimed of a key: its failure probabilities and what they are shared out to.

use crate::ledger::Epsilon;

use super::Source;
use super::mismatch::{self, Mismatch};

/// How the failure probability of a block is shared out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// 2 ε_AT = 2 √Σf: the parameters estimated are wrong.
    pub estimation: f64,
    /// ε_PA: privacy amplification.
    pub amplification: f64,
}

impl Budget {
    /// Half for estimation, a quarter for amplification; the last quarter is left to verification
    /// and authentication, which book their own.
    #[must_use]
    pub fn of_block(epsilon: f64) -> Self {
        Self { estimation: 0.5 * epsilon, amplification: 0.25 * epsilon }
    }

    /// What a key of this budget books in the ledger. Verification books ε_EV itself.
    #[must_use]
    pub fn epsilons(&self) -> [(Epsilon, f64); 2] {
        [(Epsilon::Estimation, self.estimation), (Epsilon::Amplification, self.amplification)]
    }

    /// The failure probability of one of so many tail events.
    pub(super) fn per_event(&self, events: f64) -> f64 {
        0.25 * self.estimation * self.estimation / events * (1.0 - 1e-12)
    }
}

/// Tail events that share Σf: six for each of three kinds of counts, empty errors, the sampling.
const EVENTS: f64 = 20.0;
/// Those that the known share of tested pulses adds: six for both bases, its two splits.
const SHARE_EVENTS: f64 = 8.0;

/// Those that a source of two intensities adds: empty pulses of the test basis, of both, of the key basis.
const TWO_INTENSITIES_EVENTS: f64 = 3.0;

/// How many tail events a claim rests on.
pub(super) fn events(source: &Source, claim: &Claim) -> f64 {
    let share = if source.test_share.is_some() { SHARE_EVENTS } else { 0.0 };
    let mismatch = if claim.mismatch.is_some() { mismatch::EVENTS } else { 0.0 };
    let two = if source.has_two_intensities() { TWO_INTENSITIES_EVENTS } else { 0.0 };
    EVENTS + share + mismatch + two
}

/// Whether bits from empty pulses count as secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Vacuum {
    /// They do not, as the theorem is printed.
    #[default]
    Uncredited,
    /// They do.
    Credited,
}

/// What is claimed of a key, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The failure probabilities.
    pub budget: Budget,
    /// The credit for empty pulses.
    pub vacuum: Vacuum,
    /// How far the detectors may differ; `None` where they are taken to be alike.
    pub mismatch: Option<Mismatch>,
}

impl Claim {
    /// The default: a total failure probability of one block, empty pulses not credited.
    #[must_use]
    pub fn of_block(epsilon: f64) -> Self {
        Self { budget: Budget::of_block(epsilon), vacuum: Vacuum::Uncredited, mismatch: None }
    }
}
