//! Randomness of a simulated run: seeded, and keyed by what it is for.
//!
//! **Simulation only.** Whoever knows the seed knows every key.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::random::{Draw, Foundation, RandomFailure, RandomSource};
use crate::stage::Role;

/// A [`RandomSource`] for simulation: every draw follows from the seed, the party, the protocol, the
/// block, the purpose and the index, never from the order of calls.
pub struct SimulatedRandom {
    seed: u64,
    role: Role,
    protocol: &'static str,
}

impl SimulatedRandom {
    /// The source of one party of one protocol.
    #[must_use]
    pub fn new(seed: u64, role: Role, protocol: &'static str) -> Self {
        Self { seed, role, protocol }
    }

    fn stream(&self, what: &str) -> ChaCha20Rng {
        let name = format!("keystill simulation {} {:?} {} {what}", self.seed, self.role, self.protocol);
        ChaCha20Rng::from_seed(blake3::hash(name.as_bytes()).into())
    }
}

impl RandomSource for SimulatedRandom {
    fn draw(&self, draw: Draw, out: &mut [u8]) -> Result<(), RandomFailure> {
        let what = format!("{} {:?} {}", draw.block, draw.purpose, draw.index);
        self.stream(&what).fill_bytes(out);
        Ok(())
    }

    fn foundation(&self) -> Foundation {
        Foundation::Simulated
    }
}

impl fmt::Debug for SimulatedRandom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimulatedRandom({:?}, {})", self.role, self.protocol)
    }
}

/// The pre-shared key of a simulated protocol, the same on both sides.
#[must_use]
pub fn simulated_pre_shared_key(seed: u64, protocol: &'static str, bytes: usize) -> Vec<u8> {
    let mut key = vec![0; bytes];
    SimulatedRandom::new(seed, Role::Alice, protocol).stream("pre-shared key").fill_bytes(&mut key);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Purpose;

    #[test]
    fn a_draw_depends_on_its_name_and_not_on_the_order() {
        let draw = |block, index| Draw { block, purpose: Purpose::KeyBits, index };
        let source = SimulatedRandom::new(7, Role::Bob, "cv");
        let bytes = |draw| {
            let mut out = [0; 16];
            source.draw(draw, &mut out).expect("never fails");
            out
        };
        let first = bytes(draw(0, 0));
        assert_ne!(first, bytes(draw(0, 1)), "another index");
        assert_ne!(first, bytes(draw(1, 0)), "another block");
        assert_eq!(first, bytes(draw(0, 0)), "the same draw, later");
    }
}
