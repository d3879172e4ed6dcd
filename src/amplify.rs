//! Privacy amplification: Toeplitz hashing of a verified block down to its secret key.
//!
//! # The matrices
//! *Plain*: y_i = ⊕_j T_ij x_j with an m × n Toeplitz matrix from n + m − 1 seed bits; its first column
//! is s_0 … s_(m−1), its first row s_0, s_(n+m−2), …, s_m. *Modified*: [T′ | I], y = T′ x_(0…n−m−1) ⊕
//! x_(n−m…n−1), with n − 1 seed bits. Both families are universal₂ (Krawczyk, CRYPTO '94; Hayashi and
//! Tsurumaru, IEEE Trans. Inf. Theory 62 (2016) 2213, which also shows the modified one dual universal),
//! so by the leftover hash lemma a seed that is uniform and independent of the block leaves a key that is
//! ε_PA-secret, and the seed may be public. It is drawn when the block is fixed and never used again.
//!
//! # The computation
//! With t = s_m … s_(n+m−2) s_0 … s_(m−1), y_i is the coefficient of X^(i+n−1) of t(X)·x(X): a middle
//! product. Both are cut into tiles of 2^15 bits and multiplied tile by tile.

mod block;

use keystill_kernels::{Isa, bits, gf2x};
use rayon::prelude::*;
use zeroize::{Zeroize, Zeroizing};

use crate::bits::BitBlock;

pub use block::{Amplification, AmplifiedBlock};

/// The longest block, in bits.
pub const MOST_INPUT_BITS: usize = 1 << 30;

/// Words of a tile.
const TILE: usize = 512;

/// Which universal family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Matrix {
    /// A full Toeplitz matrix.
    Plain,
    /// A Toeplitz matrix beside the identity: a shorter seed and less work.
    #[default]
    Modified,
}

/// Why a hash cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No output, more output than input, or too much input.
    #[error("{input_bits} bits cannot be hashed to {output_bits}: 1 ≤ output ≤ input ≤ {MOST_INPUT_BITS}")]
    Size {
        /// Bits in.
        input_bits: usize,
        /// Bits out.
        output_bits: usize,
    },
    /// The input has another length than the matrix.
    #[error("the input has {found_bits} bits where the matrix takes {needed_bits}")]
    Input {
        /// Bits needed.
        needed_bits: usize,
        /// Bits given.
        found_bits: usize,
    },
    /// The seed has the wrong length.
    #[error("the seed has {found_bits} bits; this matrix needs exactly {needed_bits}")]
    Seed {
        /// Bits needed.
        needed_bits: usize,
        /// Bits given.
        found_bits: usize,
    },
}

/// A Toeplitz hash of given size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toeplitz {
    matrix: Matrix,
    input_bits: usize,
    output_bits: usize,
}

impl Toeplitz {
    /// The hash of n = `input_bits` to m = `output_bits`.
    ///
    /// # Errors
    /// [`Error::Size`] unless 1 ≤ m ≤ n ≤ 2^30.
    pub fn new(matrix: Matrix, input_bits: usize, output_bits: usize) -> Result<Self, Error> {
        if output_bits == 0 || output_bits > input_bits || input_bits > MOST_INPUT_BITS {
            return Err(Error::Size { input_bits, output_bits });
        }
        Ok(Self { matrix, input_bits, output_bits })
    }

    /// Bits of the seed: n + m − 1, or n − 1 for the modified matrix.
    #[must_use]
    pub fn seed_bits(&self) -> usize {
        match self.matrix {
            Matrix::Plain => self.input_bits + self.output_bits - 1,
            Matrix::Modified => self.input_bits - 1,
        }
    }

    /// Hashes, on the current rayon pool; the number of threads does not change the result.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Seed`] if a length does not fit.
    pub fn hash(&self, isa: Isa, input: &BitBlock, seed: &BitBlock) -> Result<BitBlock, Error> {
        let (n, m) = (self.input_bits, self.output_bits);
        if input.len() != n {
            return Err(Error::Input { needed_bits: n, found_bits: input.len() });
        }
        if seed.len() != self.seed_bits() {
            return Err(Error::Seed { needed_bits: self.seed_bits(), found_bits: seed.len() });
        }
        match self.matrix {
            Matrix::Plain => Ok(middle_product(isa, input, &diagonals(seed, m), m)),
            Matrix::Modified => {
                let mut output = input.slice(n - m..n);
                if n > m {
                    let product = middle_product(isa, &input.slice(0..n - m), &diagonals(seed, m), m);
                    output.edit(|words| bits::xor(isa, words, product.words()));
                }
                Ok(output)
            }
        }
    }
}

/// t: the seed rotated left by m, diagonal by diagonal from the upper right.
fn diagonals(seed: &BitBlock, m: usize) -> BitBlock {
    let m = m.min(seed.len());
    let mut diagonals = seed.slice(m..seed.len());
    diagonals.append(&seed.slice(0..m));
    diagonals
}

/// Coefficients n − 1 … n + m − 2 of t·x.
///
/// x is moved up so that it fills whole tiles, t by one bit: then coefficient k of the output lies in
/// the products of tiles c of x and j of t with j + c = N + ⌊k/tile⌋ or one less, N being x's tiles.
fn middle_product(isa: Isa, x: &BitBlock, t: &BitBlock, m: usize) -> BitBlock {
    let x = tiles(x, x.len().next_multiple_of(64 * TILE) - x.len());
    let t = tiles(t, 1);
    let (x_tiles, rows) = (x.len() / TILE, m.div_ceil(64 * TILE));
    let tile_of_t = |j: usize| t.get(j * TILE..(j + 1) * TILE);
    let add = |mut sum: Vec<u64>, c: usize| {
        let (mut product, mut scratch) =
            (Zeroizing::new(vec![0; 2 * TILE]), Zeroizing::new(vec![0; 4 * TILE]));
        for row in 0..=rows {
            // The product of tile j meets the rows row − 1 (its low half) and row (its high half).
            let Some(tile) = (row + x_tiles).checked_sub(c + 1).and_then(tile_of_t) else { continue };
            gf2x::product(isa, tile, &x[c * TILE..(c + 1) * TILE], &mut product, &mut scratch);
            let (low, high) = product.split_at(TILE);
            if row > 0 {
                bits::xor(isa, &mut sum[(row - 1) * TILE..row * TILE], low);
            }
            if row < rows {
                bits::xor(isa, &mut sum[row * TILE..(row + 1) * TILE], high);
            }
        }
        sum
    };
    let empty = || vec![0; rows * TILE];
    let join = |mut a: Vec<u64>, mut b: Vec<u64>| {
        bits::xor(isa, &mut a, &b);
        b.zeroize();
        a
    };
    let sum = (0..x_tiles).into_par_iter().with_min_len(16).fold(empty, add).reduce(empty, join);
    BitBlock::from_words(sum, m)
}

/// The bits moved up by `up`, in whole tiles.
fn tiles(block: &BitBlock, up: usize) -> Zeroizing<Vec<u64>> {
    let words = (block.len() + up).div_ceil(64).next_multiple_of(TILE);
    let mut moved = Zeroizing::new(vec![0; words]);
    let (skip, shift) = (up / 64, up % 64);
    for (place, word) in block.words().iter().enumerate() {
        moved[skip + place] |= word << shift;
        if shift > 0 && word >> (64 - shift) != 0 {
            moved[skip + place + 1] |= word >> (64 - shift);
        }
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(text: &str) -> BitBlock {
        BitBlock::from_bools(&text.bytes().map(|byte| byte == b'1').collect::<Vec<_>>())
    }

    /// The definition: the matrix, row by row.
    fn defined(matrix: Matrix, x: &BitBlock, seed: &BitBlock, m: usize) -> BitBlock {
        let (n, kept) = match matrix {
            Matrix::Plain => (x.len(), None),
            Matrix::Modified => (x.len() - m, Some(x.slice(x.len() - m..x.len()))),
        };
        let entry = |i: usize, j: usize| if i >= j { seed.bit(i - j) } else { seed.bit(n + m - 1 - (j - i)) };
        let row = |i: usize| (0..n).fold(false, |sum, j| sum ^ (entry(i, j) & x.bit(j)));
        let bools: Vec<bool> =
            (0..m).map(|i| row(i) ^ kept.as_ref().is_some_and(|kept| kept.bit(i))).collect();
        BitBlock::from_bools(&bools)
    }

    #[test]
    fn the_worked_example_of_the_convention_holds() {
        let hash = Toeplitz::new(Matrix::Plain, 16, 8).expect("a size");
        let output = hash.hash(Isa::best(), &bits("1011001011100101"), &bits("11010010110001110101101"));
        assert_eq!(output, Ok(bits("11100001")), "the plain example");
        let hash = Toeplitz::new(Matrix::Modified, 16, 5).expect("a size");
        let output = hash.hash(Isa::best(), &bits("0001010001111001"), &bits("010000011001000"));
        assert_eq!(output, Ok(bits("11010")), "the modified example");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn tiles_equal_the_definition(n in 2usize..600, share in 0.01f64..=1.0, words in proptest::collection::vec(any::<u64>(), 30)) {
            let m = ((n as f64 * share) as usize).clamp(1, n);
            let x = BitBlock::from_words(words[..10].to_vec(), n);
            for matrix in [Matrix::Plain, Matrix::Modified] {
                let hash = Toeplitz::new(matrix, n, m).expect("a size");
                let seed = BitBlock::from_words(words[10..].to_vec(), hash.seed_bits());
                for isa in Isa::available() {
                    let output = hash.hash(isa, &x, &seed).expect("lengths fit");
                    prop_assert_eq!(output, defined(matrix, &x, &seed, m), "{:?}, {}", matrix, isa);
                }
            }
        }
    }

    #[test]
    fn sizes_and_seeds_that_do_not_fit_are_refused() {
        assert_eq!(
            Toeplitz::new(Matrix::Plain, 10, 0),
            Err(Error::Size { input_bits: 10, output_bits: 0 }),
            "no output"
        );
        assert!(Toeplitz::new(Matrix::Plain, 10, 11).is_err(), "more out than in");
        assert!(Toeplitz::new(Matrix::Plain, MOST_INPUT_BITS + 1, 1).is_err(), "too long");
        let hash = Toeplitz::new(Matrix::Modified, 10, 4).expect("a size");
        let short = hash.hash(Isa::SCALAR, &BitBlock::zeros(10), &BitBlock::zeros(8));
        assert_eq!(short, Err(Error::Seed { needed_bits: 9, found_bits: 8 }), "one bit short");
    }
}
