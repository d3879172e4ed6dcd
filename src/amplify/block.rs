//! From a verified block to its key: the only way to an amplified one.

use crate::bits::BitBlock;
use crate::verify::VerifiedBlock;

use super::{Amplifier, Error, Matrix, Toeplitz};

/// Bits that are secret, but for the ε booked, once the peer has them too. Only amplification builds
/// one.
#[derive(Debug)]
pub struct AmplifiedBlock {
    bits: BitBlock,
}

impl AmplifiedBlock {
    /// The bits.
    #[must_use]
    pub fn bits(&self) -> &BitBlock {
        &self.bits
    }
}

/// A verified block with its key length and its seed.
#[derive(Debug)]
pub struct Amplification {
    /// The block.
    pub verified: VerifiedBlock,
    /// The length of the key, from the key-length function.
    pub secret_bits: u64,
    /// The seed, drawn when the block was fixed.
    pub seed: BitBlock,
}

impl Amplification {
    /// Bits of the seed that a block and a length need.
    ///
    /// # Errors
    /// [`Error::Size`] if the length is none for this block.
    pub fn seed_bits(verified: &VerifiedBlock, secret_bits: u64) -> Result<usize, Error> {
        Ok(toeplitz(verified, secret_bits)?.seed_bits())
    }

    /// Hashes with the modified Toeplitz matrix.
    ///
    /// # Errors
    /// [`Error`] if length or seed do not fit the block.
    pub fn run(self, amplifier: &mut Amplifier) -> Result<AmplifiedBlock, Error> {
        let hash = toeplitz(&self.verified, self.secret_bits)?;
        Ok(AmplifiedBlock { bits: amplifier.hash(&hash, self.verified.bits(), &self.seed)? })
    }
}

fn toeplitz(verified: &VerifiedBlock, secret_bits: u64) -> Result<Toeplitz, Error> {
    let output_bits = usize::try_from(secret_bits).unwrap_or(usize::MAX);
    Toeplitz::new(Matrix::Modified, verified.bits().len(), output_bits)
}
