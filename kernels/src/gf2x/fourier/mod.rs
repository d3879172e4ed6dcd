//! Products modulo s_J(x) + 1, the polynomial of degree N = 2^J that the additive Fourier transform
//! likes: for J = 20 it is x^N + x^(2^16) + x^16 + x + 1, for J = 24 x^N + x^(2^16) + x^256 + x + 1.
//!
//! So a coefficient N + e of a product lands at e, e + 1, e + 16 (or 256) and e + 2^16: products of
//! a + b ≤ N − 2^16 keep b coefficients clean above a, which is all that a middle product needs.
//!
//! # The transform
//! Cantor's basis v_0 = 1, v_i² + v_i = v_(i−1) in the tower GF(2^8) ⊂ GF(2^16) ⊂ GF(2^32); subspace
//! polynomials s_i with s_i(v_b) = v_(b−i). A polynomial over GF(2) is written in the basis of products
//! of the s_i (only additions), then evaluated on the coset v_J + ⟨v_0 … v_(J−1)⟩ layer by layer, index
//! bit i = J − 1 … 0: (lo, hi) ↦ (lo + T·hi, lo + T·hi + hi), T = v_(J−i) + Σ v_(b−i) over the bits b > i
//! chosen. At the layers J − i = 1, 2, 4, 8, 16 both children are conjugates under Frobenius and one
//! suffices, so values double in width instead of number (Li, Chen, Kuo, Cheng, Yang, "Frobenius
//! additive fast Fourier transform", ISSAC 2018).
//!
//! # The passes
//! Bits stay in place up to layer 4, then bytes; a vector is 64 of them, whatever the rung. Per 64 bytes of
//! the N bits, on a Zen 4 core at 3.65 GHz (512-bit stores take two cycles, `gf2p8mulb` and each shuffle
//! one), for N = 2^20, which stays in the L2 cache, and 2^24, which streams through L3:
//!
//! | pass | file | what it costs at least | bound by | 2^20 | 2^24 |
//! |---|---|---|---|---|---|
//! | filling the rows | `basis_change` | 2 | stores | 6 | 11 |
//! | rows against each other | `basis_change` | 6 and 14 cycles | shuffles and stores of what moves on | 7 | 21 |
//! | within a row of 2^16 bits | `basis_change` | 20 | L1: a load and half a store a level | 20 | 21 |
//! | layers 1 to 4 | `planes` | 6 | shifts and blends of the transposition | 6 | 11 |
//! | layers 5 to 11 | `planes` | 10 | shuffles, then stores that leave L1 | 15 | 20 |
//! | layers 12 to J and index bits 0 to 7 | `layers` | 20 and 27 | arithmetic, then stores | 32 | 39 |
//!
//! In all 89 and 128 cycles, 0.050 and 1.15 ms, with other programs at work beside it, where ports and caches allow
//! about 64 and 79; in pages of 2 MiB, without which they are half as much again. Two layers from 12 on are done at a
//! time, which halves their stores: what bounds them now is arithmetic, 12 products of bytes and about 17 exclusive
//! ors for a butterfly of eight vectors. Coefficients in the lower half of the rows alone, and results in the upper
//! half alone, need half of the change of basis: 66 to 71 and 91 to 95 cycles. A sum of products takes
//! 22 to 26 cycles a product of 256 bytes at 2^20 and 30 to 32 at 2^24, where it asks memory for runs of lines
//! ahead; its operations would fit into 11. Blocks whose values no longer fit the L3 cache are bound by memory besides:
//! 2^27 bits make 52 MiB of values, each written once and read once before the sums are, in all about 250 MB
//! by count, at 25 GB/s, which both cores share. The rungs below take the same passes: avx2 multiplies bytes over nibbles by
//! tables of logarithms (21 operations for 32 products by a factor whose logarithms are at hand) and is bound by that,
//! portable lets the compiler vectorise bytes, scalar is the definition, element by element.

mod basis_change;
mod layers;
#[cfg(target_arch = "x86_64")]
mod nibbles;
mod planes;
mod tables;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
mod scalar;

#[cfg(target_arch = "aarch64")]
use portable as neon;

pub use tables::Tables;

kernel! {
    /// Turns the N coefficients into values, in the rung's own order.
    ///
    /// `values`: N/64 words, whatever they were; `scratch`: [`scratch_words`]. Panics otherwise. Time depends on
    /// N and the count of rows only; O(N log N).
    pub fn forward(tables: &Tables, input: Rows<'_>, values: &mut [u64], scratch: &mut [u64]);
    /// Sums of products, value by value: x_r becomes Σ_(c < terms) x_c · t_(r + terms − 1 − c) for every r
    /// up to the number of t's less `terms`.
    ///
    /// `t` and `x` hold N/64 words each or the same part of all, in whole [`part_words`]; there are at least
    /// `terms` of x and as many as results. `scratch`: [`sums_words`]. Panics otherwise. Time depends on the
    /// lengths only.
    pub fn convolve(tables: &Tables, t: &[&[u64]], x: &mut [&mut [u64]], terms: usize, scratch: &mut [u64]);
    /// Turns values back into the coefficients, those of the rows from `output.first` on: the inverse of
    /// [`forward`]. What the values become means nothing.
    pub fn inverse(tables: &Tables, values: &mut [u64], output: Taken<'_>, scratch: &mut [u64]);
}

/// Words of a row: 2^16 coefficients.
pub const ROW_WORDS: usize = 8 * basis_change::ROW;

/// Coefficients to transform, row by row; if at most half of the rows are given, it takes less time.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// How many rows there are; all further coefficients are zeros.
    pub count: usize,
    /// Writes all [`ROW_WORDS`] words of the row of a number.
    pub fill: &'a dyn Fn(usize, &mut [u64]),
}

/// Where coefficients go, row by row; if only rows of the upper half are wanted, it takes less time.
pub struct Taken<'a> {
    /// The first row wanted.
    pub first: usize,
    /// Takes the row of a number.
    pub take: &'a mut dyn FnMut(usize, &[u64]),
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rows({})", self.count)
    }
}

impl std::fmt::Debug for Taken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Taken({}…)", self.first)
    }
}

/// Words of scratch for [`convolve`] with so many terms and t's.
#[must_use]
pub fn sums_words(terms: usize, ts: usize) -> usize {
    8 * (4 * terms + layers::MOST_SHARES * layers::FACTORS * ts)
}

/// Words of scratch for transforms of 2^`log` bits.
#[must_use]
pub fn scratch_words(log: usize) -> usize {
    8 * ((basis_change::PITCH << (log - 16)) + SMALL)
}

/// Words of which [`convolve`] takes whole multiples.
#[must_use]
pub fn part_words(log: usize) -> usize {
    (8 * layers::CELL) << (log - 15)
}

/// Eight words: what a vector holds.
type Line = [u64; 8];

/// Lines of scratch for a column of 256 rows or a group of 128 vectors.
const SMALL: usize = 256;

/// Values, working copy and the small part of the scratch memory, in lines.
fn lines<'a>(
    tables: &Tables,
    values: &'a mut [u64],
    scratch: &'a mut [u64],
) -> (&'a mut [Line], &'a mut [Line], &'a mut [Line]) {
    let (n, work) = (tables.words(), basis_change::PITCH << (tables.log() - 16));
    let (values, scratch) = (values.as_chunks_mut().0, scratch.as_chunks_mut().0);
    assert!(
        8 * values.len() == n && scratch.len() >= work + SMALL,
        "{} and {} lines",
        values.len(),
        scratch.len()
    );
    let (work, small) = scratch.split_at_mut(work);
    (values, work, &mut small[..SMALL])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;

    fn words(count: usize, mut seed: u64) -> Vec<u64> {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        (0..count).map(|_| next()).collect()
    }

    /// The transform of words.
    fn transformed(isa: Isa, log: usize, words: &[u64]) -> Vec<u64> {
        let (mut values, mut scratch) = (vec![7; 1 << (log - 6)], vec![0; scratch_words(log)]);
        let fill = |row: usize, out: &mut [u64]| {
            for (place, out) in out.iter_mut().enumerate() {
                *out = words.get(ROW_WORDS * row + place).copied().unwrap_or(0);
            }
        };
        let input = Rows { count: words.len().div_ceil(ROW_WORDS), fill: &fill };
        forward(isa, Tables::of(log), input, &mut values, &mut scratch);
        values
    }

    /// The coefficients from a row on.
    fn coefficients(isa: Isa, log: usize, mut values: Vec<u64>, first: usize) -> Vec<u64> {
        let (mut words, mut scratch) = (Vec::new(), vec![0; scratch_words(log)]);
        let mut take = |row: usize, from: &[u64]| {
            assert_eq!(ROW_WORDS * (row - first), words.len(), "rows come in order");
            words.extend_from_slice(from);
        };
        inverse(isa, Tables::of(log), &mut values, Taken { first, take: &mut take }, &mut scratch);
        words
    }

    /// The product of a and b by one level.
    fn product(isa: Isa, log: usize, a: &[u64], b: &[u64]) -> Vec<u64> {
        let (a, mut b) = (transformed(isa, log, a), transformed(isa, log, b));
        convolve(isa, Tables::of(log), &[&a], &mut [&mut b], 1, &mut vec![0; sums_words(1, 1)]);
        coefficients(isa, log, b, 0)
    }

    #[test]
    fn every_level_multiplies_modulo_the_same_polynomial() {
        let n = Tables::of(20).words();
        let single = |bit: usize| {
            let mut words = vec![0; n];
            words[bit / 64] = 1 << (bit % 64);
            words
        };
        let random = words(n, 3);
        let others = [vec![0; n], vec![u64::MAX; n], single(0), single(63), single(64 * n - 1), words(n, 5)];
        for (number, other) in others.iter().enumerate() {
            let wanted = product(Isa::SCALAR, 20, &random, other);
            for isa in Isa::available() {
                assert!(product(isa, 20, &random, other) == wanted, "{isa}: case {number}");
            }
        }
        assert!(product(Isa::best(), 20, &random, &others[2]) == random, "one is one");
    }

    #[test]
    fn every_level_multiplies_long_ones_alike() {
        let n = Tables::of(24).words();
        let (a, b) = (words(n, 3), words(n, 5));
        let wanted = product(Isa::SCALAR, 24, &a, &b);
        for isa in Isa::available().filter(|isa| *isa != Isa::SCALAR) {
            assert!(product(isa, 24, &a, &b) == wanted, "{isa} differs from the reference");
        }
    }

    #[test]
    fn sums_of_products_go_to_their_places() {
        let (tables, n) = (Tables::of(20), Tables::of(20).words());
        let transformed = |isa: Isa, seed: u64| transformed(isa, 20, &words(n, seed));
        for isa in Isa::available().filter(|isa| *isa != Isa::SCALAR) {
            let t: Vec<Vec<u64>> = (1..=4).map(|seed| transformed(isa, seed)).collect();
            let x: Vec<Vec<u64>> = (5..=7).map(|seed| transformed(isa, seed)).collect();
            let mut scratch = vec![0; sums_words(3, 4)];
            let mut sums = x.clone();
            let parts: Vec<&[u64]> = t.iter().map(Vec::as_slice).collect();
            convolve(
                isa,
                tables,
                &parts,
                &mut sums.iter_mut().map(Vec::as_mut_slice).collect::<Vec<_>>(),
                3,
                &mut scratch,
            );
            for r in 0..2 {
                let mut wanted = vec![0; n];
                for c in 0..3 {
                    let mut one = x[c].clone();
                    convolve(isa, tables, &[&t[r + 2 - c]], &mut [&mut one], 1, &mut scratch);
                    wanted.iter_mut().zip(&one).for_each(|(sum, one)| *sum ^= one);
                }
                assert!(sums[r] == wanted, "{isa}: sum {r} of three products");
            }
            assert!(sums[2] == x[2], "{isa}: the third is no result");
        }
    }

    /// Flips the coefficients of a word's bits, moved up.
    fn add(to: &mut [u64], from: &[u64], shift: usize) {
        for bit in (0..64 * from.len()).filter(|bit| from[bit / 64] >> (bit % 64) & 1 == 1) {
            to[(bit + shift) / 64] ^= 1 << ((bit + shift) % 64);
        }
    }

    #[test]
    fn the_product_is_that_of_karatsuba_reduced() {
        let tables = Tables::of(20);
        let n = tables.words();
        let (a, b) = (words(n, 7), words(n, 9));
        let (mut product, mut scratch) = (vec![0; 2 * n], vec![0; 4 * n]);
        crate::gf2x::product(Isa::best(), &a, &b, &mut product, &mut scratch);
        while product[n..].iter().any(|word| *word != 0) {
            let high = product.split_off(n);
            product.resize(2 * n, 0);
            [0, 1, 16, 1 << 16].into_iter().for_each(|wrap| add(&mut product, &high, wrap));
        }
        assert!(
            self::product(Isa::SCALAR, 20, &a, &b) == product[..n],
            "the reference multiplies modulo x^N + x^(2^16) + x^16 + x + 1"
        );
    }

    #[test]
    fn every_level_comes_back() {
        for (log, isa) in Isa::available()
            .flat_map(|isa| [(20, isa), (24, isa)])
            .filter(|(log, isa)| *log == 20 || *isa != Isa::SCALAR)
        {
            let a = words(Tables::of(log).words(), 3);
            let found = coefficients(isa, log, transformed(isa, log, &a), 0);
            assert!(found == a, "{isa}, 2^{log}: there and back again");
        }
    }

    #[test]
    fn halves_are_parts_of_the_whole() {
        for (log, isa) in Isa::available()
            .flat_map(|isa| [(20, isa), (24, isa)])
            .filter(|(log, isa)| *log == 20 || *isa != Isa::SCALAR)
        {
            let n = Tables::of(log).words();
            let (mut a, rows) = (words(n, 3), n / ROW_WORDS);
            let upper = coefficients(isa, log, transformed(isa, log, &a), rows / 2);
            assert!(upper == a[n / 2..], "{isa}, 2^{log}: the upper half comes back alone");
            a[n / 2 - 1000..].fill(0);
            let lower = transformed(isa, log, &a[..n / 2 - 1000]);
            assert!(lower == transformed(isa, log, &a), "{isa}, 2^{log}: the lower half goes alone");
        }
    }
}
