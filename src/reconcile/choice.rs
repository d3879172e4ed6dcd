//! Which method, code and frame length: from error rate, round-trip time and the proof in force.
//!
//! The measure is the key: each method's disclosed bits are foretold under the accounting of the proof, and the
//! one that discloses less is taken, unless it cannot keep up. Cascade takes [`ROUNDS`] round trips a frame, and
//! with at most W bits under way it corrects W/(rounds·RTT) bits a second, whatever the computers do; LDPC takes
//! one or two, and is never held up.
//!
//! Where the proof books Cascade in both directions, it costs 2·1.03·h(q) against LDPC's 1.07 to 1.2·h(q): LDPC
//! is taken, but for error rates so low that no code is short enough, and for frames too short for codes.
//!
//! A pure function: both sides would choose alike, and so does a replay.

use std::fmt;

use super::{Method, Plan, cascade, ldpc};
use crate::stage::Abort;

/// Round trips of a Cascade frame that spares rounds, at most: see [`cascade`].
pub const ROUNDS: f64 = 300.0;

/// What Cascade's parities in one direction cost, in units of h₂: long frames, sparing rounds.
const CASCADE_EFFICIENCY: f64 = 1.04;

/// How the proof in force counts a conversation in two directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accounting {
    /// Every bit of either side.
    #[default]
    BothDirections,
    /// The reference side's bits only: the proof hands Eve the error pattern.
    ReferenceOnly,
}

/// What a choice is made from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Bits to be reconciled.
    pub bits: usize,
    /// Their error rate, as estimated.
    pub qber: f64,
    /// Round-trip time to the peer in seconds; 0 for none.
    pub round_trip_s: f64,
    /// Bits that come in a second and must be kept up with; 0 where nothing waits.
    pub bits_per_s: f64,
    /// Bits that may be under way at once; matters only where something waits.
    pub window_bits: f64,
    /// How the proof counts.
    pub accounting: Accounting,
}

/// What was chosen, and why.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Method, code and frame length.
    pub plan: Plan,
    /// Why.
    pub reason: Reason,
    /// Bits that it is expected to disclose under the accounting given.
    pub expected_bits: u64,
}

/// Why a method was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// It was asked for.
    Asked,
    /// It is expected to disclose less than the other.
    DisclosesLess {
        /// Bits that the other would disclose.
        other_bits: u64,
    },
    /// The other would disclose less but could not keep up with what comes in.
    KeepsUp {
        /// Bits a second that the other could correct over this round trip.
        other_bits_per_s: f64,
    },
    /// The other does not correct this error rate.
    OnlyOne,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => write!(f, "asked for"),
            Self::DisclosesLess { other_bits } => {
                write!(f, "discloses less: the other method would tell {other_bits} bits")
            }
            Self::KeepsUp { other_bits_per_s } => {
                write!(
                    f,
                    "keeps up: over this round trip the other method corrects {other_bits_per_s:.0} bit/s"
                )
            }
            Self::OnlyOne => write!(f, "the other method does not correct this error rate"),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, bits) = (self.plan.method(), self.plan.frame_bits());
        write!(
            f,
            "{method} in frames of {bits} bits, about {} bits told: {}",
            self.expected_bits, self.reason
        )
    }
}

/// Chooses for these conditions, among all methods or `asked` alone.
///
/// # Errors
/// [`Abort::TooNoisy`] where none corrects the error rate, [`Abort::Unusable`] where it is none.
pub fn choose(asked: Method, conditions: &Conditions) -> Result<Choice, Abort> {
    let Conditions { bits, qber, .. } = *conditions;
    let ldpc = || Plan::choose_hard(Method::Ldpc, qber, bits);
    let cascade = || Plan::choose_hard(Method::Cascade, qber, bits);
    if asked != Method::Auto {
        let plan = Plan::choose_hard(asked, qber, bits)?;
        let expected_bits = expected(&plan, conditions);
        return Ok(Choice { plan, reason: Reason::Asked, expected_bits });
    }
    let (code, search) = match (ldpc(), cascade()) {
        (Ok(code), Ok(search)) => (code, search),
        (Ok(plan), Err(_)) | (Err(_), Ok(plan)) => {
            let expected_bits = expected(&plan, conditions);
            return Ok(Choice { plan, reason: Reason::OnlyOne, expected_bits });
        }
        (Err(_), Err(abort)) => return Err(abort),
    };
    let (by_code, by_search) = (expected(&code, conditions), expected(&search, conditions));
    let possible = conditions.window_bits / (ROUNDS * conditions.round_trip_s).max(f64::MIN_POSITIVE);
    Ok(if by_code <= by_search {
        Choice { plan: code, reason: Reason::DisclosesLess { other_bits: by_search }, expected_bits: by_code }
    } else if possible < conditions.bits_per_s {
        Choice { plan: code, reason: Reason::KeepsUp { other_bits_per_s: possible }, expected_bits: by_code }
    } else {
        Choice {
            plan: search,
            reason: Reason::DisclosesLess { other_bits: by_code },
            expected_bits: by_search,
        }
    })
}

/// Bits that a plan is expected to disclose.
fn expected(plan: &Plan, conditions: &Conditions) -> u64 {
    let frames = conditions.bits.div_ceil(plan.frame_bits().max(1));
    match plan {
        Plan::Ldpc(plan) => told_by_code(plan, frames),
        Plan::Cascade(plan) => told_by_search(plan, conditions, frames),
        Plan::Leaf(plan) => (frames * plan.syndrome_bits()) as u64,
        Plan::Slices(plan) => (frames * plan.syndrome_bits()) as u64,
    }
}

fn told_by_code(plan: &ldpc::Plan, frames: usize) -> u64 {
    // A verdict of one bit a frame.
    (frames * (plan.syndrome_bits() + 1)) as u64
}

fn told_by_search(plan: &cascade::Plan, conditions: &Conditions, frames: usize) -> u64 {
    let q = plan.qber();
    let entropy = -(q * libm::log2(q) + (1.0 - q) * libm::log2(1.0 - q));
    // Behind the passes sixteen parities or so find that nothing is left.
    let answers = CASCADE_EFFICIENCY * entropy * conditions.bits as f64 + 16.0 * frames as f64;
    let directions = match conditions.accounting {
        Accounting::BothDirections => 2.0,
        Accounting::ReferenceOnly => 1.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, saturating")]
    let bits = libm::ceil(directions * answers) as u64;
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(qber: f64) -> Conditions {
        Conditions {
            bits: 1 << 20,
            qber,
            round_trip_s: 0.0,
            bits_per_s: 0.0,
            window_bits: 1e8,
            accounting: Accounting::BothDirections,
        }
    }

    fn method(conditions: &Conditions) -> Method {
        match choose(Method::Auto, conditions).expect("a choice").plan {
            Plan::Ldpc(_) => Method::Ldpc,
            _ => Method::Cascade,
        }
    }

    #[test]
    fn where_both_directions_count_codes_are_taken() {
        for qber in [0.005, 0.01, 0.02, 0.05, 0.08, 0.11] {
            assert_eq!(method(&conditions(qber)), Method::Ldpc, "at {qber}");
        }
        assert_eq!(method(&conditions(0.0004)), Method::Cascade, "no code is as short as that");
    }

    #[test]
    fn where_the_proof_spares_the_questions_cascade_is_taken_if_it_keeps_up() {
        for qber in [0.005, 0.01, 0.02, 0.05, 0.08, 0.11] {
            let near = Conditions { accounting: Accounting::ReferenceOnly, ..conditions(qber) };
            assert_eq!(method(&near), Method::Cascade, "at {qber}, nothing waits");
            let metro = Conditions { round_trip_s: 1e-3, bits_per_s: 1e6, ..near };
            assert_eq!(method(&metro), Method::Cascade, "at {qber} over 100 km");
            let far = Conditions { round_trip_s: 0.05, bits_per_s: 1e7, ..near };
            assert_eq!(method(&far), Method::Ldpc, "at {qber}: 1e8/(300·0.05) = 6.7 Mbit/s");
            let reason = choose(Method::Auto, &far).expect("a choice").reason;
            assert!(matches!(reason, Reason::KeepsUp { .. }), "{reason}");
        }
    }

    #[test]
    fn short_strings_and_high_rates_have_one_way_only() {
        for bits in [1, 63, 64, 65, 500] {
            assert_eq!(method(&Conditions { bits, ..conditions(0.02) }), Method::Cascade, "{bits} bits");
        }
        let choice = choose(Method::Auto, &conditions(0.14)).expect("Cascade");
        assert_eq!(choice.reason, Reason::OnlyOne, "beyond the codes");
        assert!(matches!(choose(Method::Auto, &conditions(0.2)), Err(Abort::TooNoisy { .. })), "beyond both");
        assert!(choose(Method::Auto, &conditions(f64::NAN)).is_err(), "no error rate");
        let asked = choose(Method::Cascade, &conditions(0.02)).expect("as asked");
        assert!(matches!(asked.plan, Plan::Cascade(_)) && asked.reason == Reason::Asked, "as asked");
    }

    #[test]
    fn expectations_are_near_what_is_told() {
        let choice = choose(Method::Cascade, &conditions(0.02)).expect("Cascade");
        let share = choice.expected_bits as f64 / f64::from(1 << 20) / 0.14144;
        assert!((share / 2.08 - 1.0).abs() < 0.02, "{share} h(q)");
    }
}
