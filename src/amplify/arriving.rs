//! A block that arrives piece by piece: what is there is transformed while the rest is still on its way.

use keystill_kernels::Isa;

use crate::bits::BitBlock;

use super::buffers::{Buffer, Buffers};
use super::copy::Rotated;
use super::transform::{Diagonals, Shape};
use super::{Error, MOST_INPUT_BITS, Matrix, Toeplitz};

/// The input of a hash whose length, matrix and seed are not known yet.
///
/// The seed belongs to a block that is fixed: draw it after the last piece.
#[derive(Debug)]
pub struct Arriving {
    isa: Isa,
    shape: Shape,
    input: BitBlock,
    chunks: Vec<Buffer>,
    buffers: Buffers,
}

impl Arriving {
    /// Nothing yet of a block of about that many bits.
    #[must_use]
    pub fn new(isa: Isa, expected_bits: usize) -> Self {
        let shape = Shape::arriving(isa, expected_bits.clamp(2, MOST_INPUT_BITS));
        Self { isa, shape, input: BitBlock::zeros(0), chunks: Vec::new(), buffers: Buffers::default() }
    }

    /// Bits so far.
    #[must_use]
    pub fn input_bits(&self) -> usize {
        self.input.len()
    }

    /// Appends bits, and transforms the chunks that they complete, on the current rayon pool.
    ///
    /// # Errors
    /// [`Error::Size`] if the block becomes longer than 2^30 bits; then it is as it was.
    pub fn push(&mut self, bits: &BitBlock) -> Result<(), Error> {
        let input_bits = self.input.len() + bits.len();
        if input_bits > MOST_INPUT_BITS {
            return Err(Error::Size { input_bits, output_bits: 1 });
        }
        self.input.append(bits);
        let complete = input_bits / self.shape.chunk_bits();
        let shape = self.shape.with_lengths(input_bits, 1);
        let new = shape.input_transforms(self.isa, &self.buffers, &self.input, self.chunks.len()..complete);
        self.chunks.extend(new);
        Ok(())
    }

    /// The hash of all bits: the same as [`Toeplitz::hash`]'s.
    ///
    /// # Errors
    /// [`Error::Size`] or [`Error::Seed`] if lengths do not fit.
    pub fn finish(mut self, matrix: Matrix, output_bits: usize, seed: &BitBlock) -> Result<BitBlock, Error> {
        let hash = Toeplitz::new(matrix, self.input.len(), output_bits)?;
        hash.check_seed(seed)?;
        let x_bits = hash.product_bits();
        // The identity part of the modified matrix was not known; a chunk that it cuts is transformed anew.
        let mut chunks = std::mem::take(&mut self.chunks);
        chunks
            .drain((x_bits / self.shape.chunk_bits()).min(chunks.len())..)
            .for_each(|chunk| self.buffers.give(chunk));
        if chunks.is_empty() {
            return hash.hash(self.isa, &self.input, seed);
        }
        let shape = self.shape.with_lengths(x_bits, output_bits);
        let t = Rotated { seed, m: output_bits, skipped: 0 };
        let diagonals = Diagonals::new(self.isa, &self.buffers, shape, &t);
        let mut output = hash.kept(self.isa, &self.input);
        output.edit(|output| diagonals.middle_product(self.isa, &self.buffers, &self.input, chunks, output));
        Ok(output)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        // The buffers wipe what they hold.
        self.chunks.drain(..).for_each(|chunk| self.buffers.give(chunk));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hash_to_what_the_whole_does() {
        let word = |k: usize| (k as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 7;
        let bits = |from: usize, len: usize| {
            BitBlock::from_words((from..from + len.div_ceil(64)).map(word).collect(), len)
        };
        let n = 1_700_001;
        let input = bits(0, n);
        for (matrix, m) in [(Matrix::Modified, 700_000), (Matrix::Plain, 500_001), (Matrix::Modified, n - 5)]
        {
            let hash = Toeplitz::new(matrix, n, m).expect("a size");
            let seed = bits(77, hash.seed_bits());
            let mut arriving = Arriving::new(Isa::best(), 2_000_000);
            let mut at = 0;
            for piece in [1, 491_519, 30_000, 999_999, 178_482] {
                arriving.push(&input.slice(at..at + piece)).expect("within limits");
                at += piece;
            }
            assert_eq!(arriving.input_bits(), n, "all of it");
            let found = arriving.finish(matrix, m, &seed).expect("lengths fit");
            let wanted = hash.hash(Isa::best(), &input, &seed).expect("lengths fit");
            assert_eq!(found, wanted, "{matrix:?}, {m} bits");
        }
    }
}
