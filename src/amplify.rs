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
//! product. Short blocks are multiplied tile by tile. Longer ones are cut into p chunks of x and q of y,
//! whose p + q transforms and the p + q − 1 of t are multiplied point by point and added up; up to 2^20
//! bits of t one transform each is enough. Where the transforms would hold more than six times the block,
//! some rows or columns of the matrix are done at a time.
//!
//! A block that is still being verified can be hashed as it comes ([`Arriving`]); blocks that follow each
//! other share their memory ([`Amplifier`]).

mod arriving;
mod block;
mod buffers;
mod copy;
mod cut;
mod speed;
mod tiles;
mod transform;

use keystill_kernels::Isa;
use rayon::prelude::*;

use crate::bits::BitBlock;

use buffers::Buffers;
use copy::{Rotated, read_bits};
use cut::Cut;
use speed::Speed;
use transform::{Diagonals, Shape};

pub use arriving::Arriving;
pub use block::{Amplification, AmplifiedBlock};

/// The longest block, in bits.
pub const MOST_INPUT_BITS: usize = 1 << 30;

/// Words of the identity's part that a thread copies at a time.
const KEPT_WORDS: usize = 1 << 16;

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

    /// n.
    #[must_use]
    pub fn input_bits(&self) -> usize {
        self.input_bits
    }

    /// m.
    #[must_use]
    pub fn output_bits(&self) -> usize {
        self.output_bits
    }

    /// The most bytes that one hash holds at a time on so many threads, its output included, input and
    /// seed apart: from 10^5 bits on at most 6·n/8, for any number of threads up to two. They come in huge
    /// pages where the system has them, so that an amplifier of short blocks keeps 2 MiB mapped.
    #[must_use]
    pub fn memory_bytes(&self, threads: usize) -> usize {
        let cut = self.cut(Isa::best());
        let words = cut.memory_words(self.product_bits(), self.output_bits, threads);
        8 * (words + self.output_bits.div_ceil(64))
    }

    /// How the product is computed.
    fn cut(&self, isa: Isa) -> Cut {
        Cut::of(isa, self.product_bits(), self.output_bits, self.most_words())
    }

    /// The words that the product may hold beside the output.
    fn most_words(&self) -> usize {
        (6 * self.input_bits / 64).saturating_sub(self.output_bits.div_ceil(64))
    }

    /// Hashes once, on the current rayon pool; the number of threads does not change the result. An
    /// [`Amplifier`] keeps its memory for the next block.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Seed`] if a length does not fit.
    pub fn hash(&self, isa: Isa, input: &BitBlock, seed: &BitBlock) -> Result<BitBlock, Error> {
        Amplifier::new(isa).hash(self, input, seed)
    }

    /// Transforms a seed once for several inputs: one block's only, or those of a device that is trusted.
    ///
    /// # Errors
    /// [`Error::Seed`] if the length does not fit.
    pub fn prepare(&self, isa: Isa, seed: &BitBlock) -> Result<Prepared, Error> {
        self.check_seed(seed)?;
        let buffers = Buffers::default();
        let seed = match self.cut(isa) {
            Cut::Whole(shape) => Seed::Values(isa, Box::new(self.transformed(isa, &buffers, shape, seed))),
            _ => Seed::Bits(seed.slice(0..seed.len())),
        };
        Ok(Prepared { hash: *self, seed, buffers })
    }

    fn transformed(&self, isa: Isa, buffers: &Buffers, shape: Shape, seed: &BitBlock) -> Diagonals {
        Diagonals::new(isa, buffers, shape, &Rotated { seed, m: self.output_bits, skipped: 0 })
    }

    /// The hash of an input by a seed as it is.
    fn hashed(&self, isa: Isa, buffers: &Buffers, input: &BitBlock, seed: &BitBlock) -> BitBlock {
        let (x_bits, m) = (self.product_bits(), self.output_bits);
        let mut output = self.kept(isa, input);
        let part = |shape: Shape, skipped: usize, output: &mut [u64]| {
            let diagonals = Diagonals::new(isa, buffers, shape, &Rotated { seed, m, skipped });
            diagonals.middle_product(isa, buffers, input, Vec::new(), output);
            buffers.wipe();
            diagonals.recycle(buffers);
        };
        let tiles = |input: &BitBlock, skipped: usize, output: &mut [u64]| {
            let columns = input.len().min(x_bits - skipped);
            tiles::middle_product(isa, input, columns, &Rotated { seed, m, skipped }, output);
        };
        output.edit(|output| match self.cut(isa) {
            _ if x_bits == 0 => {}
            Cut::Tiles => tiles(input, 0, output),
            Cut::Whole(shape) => part(shape, 0, output),
            Cut::Rows(shape) => {
                let rows = shape.rows();
                let parts = output.chunks_mut(rows / 64).enumerate();
                parts.for_each(|(number, output)| part(shape, number * rows, output));
            }
            Cut::Columns(shape) => {
                for first in (0..x_bits).step_by(shape.columns()) {
                    let here = shape.columns().min(x_bits - first);
                    let skipped = x_bits - first - here;
                    match Shape::of(&Speed::of(isa), here, m, self.most_words()) {
                        Some(shape) => part(shape.starting_at(first), skipped, output),
                        None => tiles(&input.slice(first..first + here), skipped, output),
                    }
                }
            }
        });
        output
    }

    /// What the product is added to: the part of the input that meets the identity, or nothing.
    fn kept(&self, isa: Isa, input: &BitBlock) -> BitBlock {
        let mut output = BitBlock::zeros(self.output_bits);
        if self.matrix == Matrix::Modified {
            let (first, last) = (self.product_bits(), self.input_bits);
            output.edit(|output| {
                output.par_chunks_mut(KEPT_WORDS).enumerate().for_each(|(number, output)| {
                    let start = first + 64 * KEPT_WORDS * number;
                    read_bits(isa, input.words(), first..last, start as i64, output);
                });
            });
        }
        output
    }

    fn check_seed(&self, seed: &BitBlock) -> Result<(), Error> {
        if seed.len() == self.seed_bits() {
            return Ok(());
        }
        Err(Error::Seed { needed_bits: self.seed_bits(), found_bits: seed.len() })
    }

    fn check_input(&self, input: &BitBlock) -> Result<(), Error> {
        if input.len() == self.input_bits {
            return Ok(());
        }
        Err(Error::Input { needed_bits: self.input_bits, found_bits: input.len() })
    }

    /// Bits of the input that the Toeplitz part meets.
    fn product_bits(&self) -> usize {
        match self.matrix {
            Matrix::Plain => self.input_bits,
            Matrix::Modified => self.input_bits - self.output_bits,
        }
    }
}

/// Hashes block after block, each with its own seed, in memory that it keeps.
#[derive(Debug)]
pub struct Amplifier {
    isa: Isa,
    buffers: Buffers,
}

impl Default for Amplifier {
    fn default() -> Self {
        Self::new(Isa::best())
    }
}

impl Amplifier {
    /// One that holds no memory yet.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa, buffers: Buffers::default() }
    }

    /// Hashes, on the current rayon pool; the number of threads does not change the result. What it keeps
    /// is wiped, and no more than [`Toeplitz::memory_bytes`].
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Seed`] if a length does not fit.
    pub fn hash(&mut self, hash: &Toeplitz, input: &BitBlock, seed: &BitBlock) -> Result<BitBlock, Error> {
        hash.check_input(input)?;
        hash.check_seed(seed)?;
        Ok(hash.hashed(self.isa, &self.buffers, input, seed))
    }
}

/// A hash with its seed, transformed.
#[derive(Debug)]
pub struct Prepared {
    hash: Toeplitz,
    seed: Seed,
    buffers: Buffers,
}

impl Prepared {
    /// Hashes, on the current rayon pool; the number of threads does not change the result. Values of
    /// another instruction set are worked with on that one.
    ///
    /// # Errors
    /// [`Error::Input`] if the length does not fit.
    pub fn hash(&self, isa: Isa, input: &BitBlock) -> Result<BitBlock, Error> {
        self.hash.check_input(input)?;
        let (isa, diagonals) = match &self.seed {
            Seed::Bits(seed) => return Ok(self.hash.hashed(isa, &self.buffers, input, seed)),
            Seed::Values(isa, diagonals) => (*isa, diagonals),
        };
        let mut output = self.hash.kept(isa, input);
        output.edit(|output| diagonals.middle_product(isa, &self.buffers, input, Vec::new(), output));
        self.buffers.wipe();
        Ok(output)
    }
}

/// A seed as the middle product takes it; values are of one instruction set.
#[derive(Debug)]
enum Seed {
    Bits(BitBlock),
    Values(Isa, Box<Diagonals>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> BitBlock {
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
        let output = hash.hash(Isa::best(), &of("1011001011100101"), &of("11010010110001110101101"));
        assert_eq!(output, Ok(of("11100001")), "the plain example");
        let hash = Toeplitz::new(Matrix::Modified, 16, 5).expect("a size");
        let output = hash.hash(Isa::best(), &of("0001010001111001"), &of("010000011001000"));
        assert_eq!(output, Ok(of("11010")), "the modified example");
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

    /// Some bits, by a linear congruence.
    fn mixed(len: usize, mut state: u64) -> BitBlock {
        let word = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        };
        BitBlock::from_words((0..len.div_ceil(64)).map(word).collect(), len)
    }

    /// 64 bits from a place on, zeros beyond the end.
    fn window(bits: &BitBlock, at: usize) -> u64 {
        let word = |place: usize| u128::from(bits.words().get(place).copied().unwrap_or(0));
        ((word(at / 64) | word(at / 64 + 1) << 64) >> (at % 64)) as u64
    }

    /// Output bits by the definition, each the parity of one row.
    fn checked(matrix: Matrix, n: usize, m: usize, samples: usize) {
        let hash = Toeplitz::new(matrix, n, m).expect("a size");
        let (x, seed) = (mixed(n, 1), mixed(hash.seed_bits(), 2));
        let output = hash.hash(Isa::best(), &x, &seed).expect("lengths fit");
        let x_bits = hash.product_bits();
        let mut t = vec![0; (n + m).div_ceil(64)];
        Rotated { seed: &seed, m, skipped: 0 }.read(Isa::best(), 0, &mut t);
        let t = BitBlock::from_words(t, 64 * (n + m).div_ceil(64));
        let mut turned = BitBlock::zeros(x_bits);
        (0..x_bits).for_each(|j| turned.set(j, x.bit(x_bits - 1 - j)));
        for sample in 0..samples {
            let i = match sample {
                0 => 0,
                1 => m - 1,
                _ => (sample * 0x9e37_79b9) % m,
            };
            // Row i against x is t, from bit i on, against x turned around.
            let parity = (0..x_bits.div_ceil(64))
                .fold(0, |sum, word| sum ^ (window(&t, 64 * word + i) & turned.words()[word]));
            let row = parity.count_ones() % 2 == 1;
            let kept = matrix == Matrix::Modified && x.bit(x_bits + i);
            assert_eq!(output.bit(i), row ^ kept, "{matrix:?}, {n} to {m} bits: bit {i}");
        }
    }

    #[test]
    fn transforms_equal_the_definition_on_sampled_bits() {
        for matrix in [Matrix::Plain, Matrix::Modified] {
            for (n, m) in [
                (900_000, 400_000),
                (1_000_000, 400_000),
                (3_000_001, 1_234_567),
                (1_000_003, 1_000_003),
                (2_542_070, 2_542_070),
            ] {
                checked(matrix, n, m, 12);
            }
        }
        checked(Matrix::Modified, 20_000_011, 8_000_001, 8);
    }

    #[test]
    fn transforms_are_linear_and_two_blocks_add_up() {
        let (n, m) = (1_100_000, 500_000);
        let hash = Toeplitz::new(Matrix::Plain, n, m).expect("a size");
        let seed = mixed(hash.seed_bits(), 3);
        let run = |x: &BitBlock| hash.hash(Isa::best(), x, &seed).expect("lengths fit");
        let whole = mixed(n, 4);
        let (mut first, mut second) = (BitBlock::zeros(0), BitBlock::zeros(n / 2));
        first.append(&whole.slice(0..n / 2));
        first.append(&BitBlock::zeros(n - n / 2));
        second.append(&whole.slice(n / 2..n));
        let mut sum = run(&first);
        let other = run(&second);
        sum.edit(|words| keystill_kernels::bits::xor(Isa::best(), words, other.words()));
        assert_eq!(sum, run(&whole), "the halves' hashes add up to the whole's");
    }

    /// 64 bits of the output at the largest size that a table names, by the definition.
    #[test]
    fn a_block_of_two_to_the_27_equals_the_definition_on_sampled_bits() {
        checked(Matrix::Modified, 1 << 27, 53_687_091, 64);
    }

    #[test]
    fn memory_is_bounded_by_six_blocks() {
        let sizes = (0..40).map(|step| (1e5 * 1.26f64.powi(step)) as usize).filter(|n| *n < 1 << 30);
        for n in sizes.chain([100_000, 1_000_000, 10_000_000, 100_000_000, 1 << 27, 1 << 30]) {
            for matrix in [Matrix::Plain, Matrix::Modified] {
                for m in [1, n / 10, n * 2 / 5, n / 2, n * 9 / 10, n] {
                    let bytes = Toeplitz::new(matrix, n, m).expect("a size").memory_bytes(2);
                    assert!(bytes <= 6 * n / 8, "{matrix:?}, {n} to {m} bits: {bytes} bytes");
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
