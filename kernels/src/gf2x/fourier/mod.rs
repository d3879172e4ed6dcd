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
//! | rung | values | bound by |
//! |---|---|---|
//! | avx512 | byte planes of GF(2^32), one `gf2p8mulb` for 64 products | multiplier port in the layers, shuffles and L2 in the change of basis |
//! | below | the coefficients themselves: products by Karatsuba's rule | carry-less multiplier |

use crate::Isa;

mod tables;

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod basis_change;
mod scalar;

pub use tables::Tables;

kernel! {
    /// Turns the N coefficients into values, in the rung's own order.
    ///
    /// `values`: N/64 words, the coefficients before; `scratch`: [`scratch_words`]. Panics otherwise.
    /// Time depends on N only; O(N log N).
    pub fn forward(tables: &Tables, values: &mut [u64], scratch: &mut [u64]);
    /// Adds products: `sum += a · b`, value by value. All N/64 words; scratch as in [`forward`].
    pub fn multiply_add(tables: &Tables, sum: &mut [u64], a: &[u64], b: &[u64], scratch: &mut [u64]);
    /// Turns values back into the coefficients: the inverse of [`forward`].
    pub fn inverse(tables: &Tables, values: &mut [u64], scratch: &mut [u64]);
}

/// Words of scratch for transforms of 2^`log` bits.
#[must_use]
pub fn scratch_words(isa: Isa, log: usize) -> usize {
    let words = 1 << (log - 6);
    if is_transform(isa) { words } else { 6 * words }
}

/// Whether the values are of a transform, where products cost O(N), or the coefficients, where
/// transforms are free.
#[must_use]
pub fn is_transform(isa: Isa) -> bool {
    isa.name() == "avx512"
}

use scalar as portable;
#[cfg(target_arch = "aarch64")]
use scalar as neon;
#[cfg(target_arch = "x86_64")]
mod avx2 {
    //! The coefficients, multiplied by the `pclmulqdq` rung of the product.
    use super::Tables;

    pub(super) use super::scalar::{forward, inverse};

    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn multiply_add(tables: &Tables, sum: &mut [u64], a: &[u64], b: &[u64], scratch: &mut [u64]) {
        super::scalar::with_product(tables, sum, scratch, |out, rest| {
            crate::gf2x::avx2::product(a, b, out, rest);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize, mut seed: u64) -> Vec<u64> {
        let mut next = || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn every_level_multiplies_modulo_the_same_polynomial() {
        for log in [20, 24] {
            let tables = Tables::new(log);
            let n = tables.words();
            let (a, b) = (words(n, 3), words(n, 5));
            // The plain product of 2^24 bits takes the slower levels minutes.
            let fast = |isa: &Isa| matches!(isa.name(), "avx2" | "avx512");
            let levels: Vec<Isa> = Isa::available().filter(|isa| log == 20 || fast(isa)).collect();
            let run = |isa: Isa| {
                let mut scratch = vec![0; scratch_words(isa, log)];
                let (mut a, mut b, mut sum) = (a.clone(), b.clone(), vec![0; n]);
                forward(isa, &tables, &mut a, &mut scratch);
                forward(isa, &tables, &mut b, &mut scratch);
                multiply_add(isa, &tables, &mut sum, &a, &b, &mut scratch);
                inverse(isa, &tables, &mut sum, &mut scratch);
                sum
            };
            let products: Vec<Vec<u64>> = levels.iter().map(|isa| run(*isa)).collect();
            for (product, isa) in products.iter().zip(&levels) {
                assert!(*product == products[0], "2^{log} bits: {isa} differs from {}", levels[0]);
            }
        }
    }
}
