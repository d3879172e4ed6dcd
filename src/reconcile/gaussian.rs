//! Which method reconciles Gaussian quadratures, and why.
//!
//! Rotations in eight dimensions cost one code and little time, but say 0.97 of the capacity at −5 dB, 0.95 at −2.3 dB
//! and 0.92 at 0 dB. [Slices](super::slices) say 0.98 to 0.99 at all of these with four codes, take several times as
//! long a symbol, and pay for the equipartition property by the symbol instead of by four symbols: Δ√n instead of
//! Δ√(n/4). The measure is what a block leaves: β of each plan on its capacity, less that difference. Measured over the
//! channel, β of the highest rates at which no frame of ten failed
//! (`cargo run --release --example compare_slices -- --frames 10 --snr-db=-8,-6,-5,-4,-3,-2.3,0,3,6`):
//!
//! | SNR | rotations | slices | slices, perfect codes |
//! |---|---|---|---|
//! | −8 dB | 0.935 | 0.825 | 0.994 |
//! | −6 dB | 0.930 | 0.903 | 0.993 |
//! | −5 dB | 0.930 | 0.948 | 0.993 |
//! | −4 dB | 0.925 | 0.956 | 0.993 |
//! | −3 dB | 0.905 | 0.958 | 0.992 |
//! | −2.3 dB | 0.905 | 0.953 | 0.992 |
//! | 0 dB | 0.840 | 0.944 | 0.989 |
//! | 3 dB | 0.615 | 0.930 | 0.985 |
//! | 6 dB | no code | 0.909 | 0.978 |
//!
//! Below −5 dB the lowest levels say too little for a code, are told, and slices lose. At the rates that are chosen, of
//! which one frame in a hundred fails, β is 0.927 by both at −5 dB, 0.930 and 0.911 at −3 dB, 0.920 and 0.840 at 0 dB, 0.906
//! and 0.531 at 3 dB, 0.887 at 6 dB; a quadrature takes slices 2.5 times as long or more (`keystill bench curve cv`).
//!
//! A pure function of estimate and block: a replay chooses alike.

use std::fmt;

use super::{Plan, leaf, slices};
use crate::stage::Abort;

/// Below this rotations have the higher β, and they take less time everywhere.
pub const CROSSOVER_DB: f64 = -5.0;

/// Δ = 4 log₂ 18 · √(−log₂(1 − √(1 − ε_s²))) for the ε_s of a block of 10⁻¹⁰: slices pay half of it, times √n, more.
const EQUIPARTITION: f64 = 143.0;

/// Which method reconciles quadratures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Rotations in eight dimensions.
    Rotation,
    /// Slices.
    Slices,
    /// Above [`CROSSOVER_DB`] the one that leaves more; rotations below.
    #[default]
    Auto,
}

/// What a choice is made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// The signal-to-noise ratio of a quadrature, at the lower end of what the estimate allows.
    pub snr: f64,
    /// The standard deviation of the reference side's quadratures, in square roots of shot-noise units.
    pub deviation: f64,
    /// Quadratures at hand.
    pub symbols: usize,
}

/// What was chosen, and why.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Method, codes and frame length.
    pub plan: Plan,
    /// Why.
    pub reason: Reason,
}

/// Why a method was taken.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// It was asked for.
    Asked,
    /// The signal is too weak for slices.
    Weak {
        /// In dB.
        snr_db: f64,
    },
    /// It leaves more of the block than the other.
    LeavesMore {
        /// By so many bits.
        bits: f64,
    },
    /// The other has no code for this signal.
    OnlyOne,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => write!(f, "asked for"),
            Self::Weak { snr_db } => {
                write!(
                    f,
                    "{snr_db:.2} dB is below {CROSSOVER_DB} dB, where slices begin to be worth their time"
                )
            }
            Self::LeavesMore { bits } => write!(f, "leaves {bits:.0} bits more than the other method"),
            Self::OnlyOne => write!(f, "the other method has no code for this signal"),
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, symbols) = (self.plan.method(), self.plan.frame_symbols());
        write!(
            f,
            "{method} in frames of {symbols} quadratures at rate {:.4}: {}",
            self.plan.rate(),
            self.reason
        )
    }
}

/// Chooses for these conditions, among both methods or `asked` alone.
///
/// # Errors
/// [`Abort::TooWeak`] or [`Abort::Unusable`] where none corrects the signal.
pub fn choose(asked: Method, conditions: &Conditions) -> Result<Choice, Abort> {
    let Conditions { snr, deviation, symbols } = *conditions;
    let rotation = || leaf::Plan::choose(snr, symbols).map(Plan::Leaf);
    let slices = || slices::Plan::choose(snr, deviation, symbols).map(Plan::Slices);
    let of = |reason| move |plan| Choice { plan, reason };
    match asked {
        Method::Rotation => return rotation().map(of(Reason::Asked)),
        Method::Slices => return slices().map(of(Reason::Asked)),
        Method::Auto => {}
    }
    let snr_db = 10.0 * libm::log10(snr);
    // What is no number is refused there, too.
    if snr_db.is_nan() || snr_db < CROSSOVER_DB {
        return rotation().map(of(Reason::Weak { snr_db }));
    }
    Ok(match (rotation(), slices()) {
        (Ok(rotation), Ok(slices)) => {
            let gained = leaves(&slices, symbols)
                - leaves(&rotation, symbols)
                - 0.5 * EQUIPARTITION * libm::sqrt(0.5 * symbols as f64);
            let plan = if gained > 0.0 { slices } else { rotation };
            Choice { plan, reason: Reason::LeavesMore { bits: gained.abs() } }
        }
        (Ok(plan), Err(_)) | (Err(_), Ok(plan)) => Choice { plan, reason: Reason::OnlyOne },
        (Err(abort), Err(_)) => return Err(abort),
    })
}

/// Bits that a plan leaves of the block's frames.
fn leaves(plan: &Plan, symbols: usize) -> f64 {
    (symbols / plan.frame_symbols() * plan.frame_symbols()) as f64 * plan.rate()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(snr_db: f64, symbols: usize) -> Conditions {
        Conditions { snr: libm::pow(10.0, 0.1 * snr_db), deviation: 1.5, symbols }
    }

    fn method(snr_db: f64, symbols: usize) -> (&'static str, Reason) {
        let choice = choose(Method::Auto, &conditions(snr_db, symbols)).expect("a choice");
        (choice.plan.method(), choice.reason)
    }

    #[test]
    fn slices_are_taken_where_the_signal_is_strong_and_the_block_large() {
        for snr_db in [-17.0, -6.0, -5.1] {
            let (name, reason) = method(snr_db, 20_000_000);
            assert!(name == "leaf" && matches!(reason, Reason::Weak { .. }), "{snr_db} dB: {name}, {reason}");
        }
        for snr_db in [-2.2, 0.0, 3.0, 6.0] {
            let (name, reason) = method(snr_db, 20_000_000);
            assert!(
                name == "slices" && matches!(reason, Reason::LeavesMore { .. }),
                "{snr_db} dB: {name}, {reason}"
            );
        }
        let (name, reason) = method(-4.0, 300_000);
        assert_eq!(name, "leaf", "few symbols do not pay for Δ√n: {reason}");
    }

    #[test]
    fn what_is_asked_for_is_taken_or_refused() {
        let asked = |method, snr_db| choose(method, &conditions(snr_db, 4_000_000));
        let choice = asked(Method::Slices, -6.0).expect("slices");
        assert!(matches!(choice.plan, Plan::Slices(_)) && choice.reason == Reason::Asked, "{choice}");
        let choice = asked(Method::Rotation, 3.0).expect("a rotation");
        assert!(matches!(choice.plan, Plan::Leaf(_)) && choice.reason == Reason::Asked, "{choice}");
        assert!(matches!(asked(Method::Slices, -12.0), Err(Abort::TooWeak { .. })), "too weak for slices");
        assert!(
            choose(Method::Auto, &Conditions { snr: f64::NAN, ..conditions(0.0, 1 << 20) }).is_err(),
            "no ratio"
        );
        let (name, reason) = method(8.0, 4_000_000);
        assert!(name == "leaf" && reason == Reason::OnlyOne, "beyond the codes of slices: {name}, {reason}");
    }
}
