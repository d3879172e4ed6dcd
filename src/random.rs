//! Where secrets and public seeds come from.
//!
//! Every draw names its block, its purpose and an index. A source of real randomness ignores
//! them; the simulated one (feature `sim`) is keyed by them and never by the order of calls, so
//! that a simulated run is the same whatever the threads do. Sessions draw through [`health::Tested`] only.

pub mod health;

use std::fmt;

/// What a draw is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// The bit of a gate in which both detectors clicked; the index is the frame.
    DoubleClick,
    /// The uniform bits that CV reconciliation maps on quadratures; the index is the frame.
    KeyBits,
    /// The key of the verification hash; the index is the round.
    VerificationKey,
    /// The seed of privacy amplification.
    AmplificationSeed,
    /// Bytes that are tested and thrown away.
    HealthTest,
}

impl Purpose {
    /// The name in records and certificates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DoubleClick => "double_click",
            Self::KeyBits => "key_bits",
            Self::VerificationKey => "verification_key",
            Self::AmplificationSeed => "amplification_seed",
            Self::HealthTest => "health_test",
        }
    }
}

/// What the uniformity of a source rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Foundation {
    /// A physical process, tested while it runs.
    Physical,
    /// A cryptographic generator: what is drawn from it is secure against bounded adversaries only.
    Computational,
    /// A seed that is written down: nothing is secret.
    Simulated,
}

impl Foundation {
    /// The name in records and certificates.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Physical => "physical",
            Self::Computational => "computational",
            Self::Simulated => "simulated",
        }
    }
}

/// One draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Draw {
    /// The block it serves.
    pub block: u64,
    /// What for.
    pub purpose: Purpose,
    /// Which of several.
    pub index: u64,
}

/// A source of uniform bytes.
pub trait RandomSource: Send + Sync + fmt::Debug {
    /// Fills `out` with uniform bytes.
    ///
    /// # Errors
    /// [`RandomFailure`] if the source cannot give them all. Nothing may then be used.
    fn draw(&self, draw: Draw, out: &mut [u8]) -> Result<(), RandomFailure>;

    /// What it rests on: printed in every certificate. Computational unless the source knows better.
    fn foundation(&self) -> Foundation {
        Foundation::Computational
    }
}

/// The source of randomness failed: no key can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the source of randomness failed: {reason}; check the device or the operating system's generator")]
pub struct RandomFailure {
    /// What the source said.
    pub reason: String,
}

/// The operating system's generator. It is computational: what rests on it is not
/// information-theoretic, and a key's certificate says so.
#[derive(Clone, Copy, Debug, Default)]
pub struct OperatingSystem;

impl RandomSource for OperatingSystem {
    fn draw(&self, _draw: Draw, out: &mut [u8]) -> Result<(), RandomFailure> {
        getrandom::fill(out).map_err(|error| RandomFailure { reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_system_gives_other_bytes_each_time() {
        let draw = Draw { block: 0, purpose: Purpose::KeyBits, index: 0 };
        let (mut a, mut b) = ([0; 32], [0; 32]);
        OperatingSystem.draw(draw, &mut a).expect("a generator");
        OperatingSystem.draw(draw, &mut b).expect("a generator");
        assert_ne!(a, b, "the arguments do not key it");
    }
}
