//! Products of polynomials over GF(2): 64 coefficients a word, lowest first.
//!
//! | rung | 8 × 8 words | above |
//! |---|---|---|
//! | avx512 | 16 `vpclmulqdq` of four products each | Karatsuba |
//! | avx2 | 64 `pclmulqdq` | Karatsuba |
//! | portable, scalar | shift and add, masked | Karatsuba |

kernel! {
    /// `out = a · b`.
    ///
    /// `a`, `b`: n words, n a power of two of at least 8; `out`: 2n words; `scratch`: at least 4n words,
    /// overwritten. Panics otherwise. Time depends on n only; O(n^1.585).
    pub fn product(a: &[u64], b: &[u64], out: &mut [u64], scratch: &mut [u64]);
}

/// Words of the operands of the base product.
const BASE: usize = 8;

/// The product over a rung's `base`, of eight by eight words; `$level` are the attributes that enable its
/// instructions, for the additions, too.
macro_rules! by_karatsuba {
    ($(#[$level:meta])*) => {
        /// Karatsuba's rule down to the base: (a₁X + a₀)(b₁X + b₀) from three products of half the size.
        $(#[$level])*
        pub(super) fn product(a: &[u64], b: &[u64], out: &mut [u64], scratch: &mut [u64]) {
            let n = a.len();
            assert!(n.is_power_of_two() && n >= BASE && b.len() == n, "{n} words");
            assert!(out.len() == 2 * n && scratch.len() >= 4 * n, "{} and {} words", out.len(), scratch.len());
            recurse(a, b, out, scratch);
        }

        $(#[$level])*
        fn recurse(a: &[u64], b: &[u64], out: &mut [u64], scratch: &mut [u64]) {
            let n = a.len();
            if let (true, [a], [b], [out]) = (n == BASE, a.as_chunks().0, b.as_chunks().0, out.as_chunks_mut().0) {
                base(a, b, out);
                return;
            }
            let half = n / 2;
            let ((a_low, a_high), (b_low, b_high)) = (a.split_at(half), b.split_at(half));
            let (sums, rest) = scratch.split_at_mut(n);
            let (middle, rest) = rest.split_at_mut(n);
            let (a_sums, b_sums) = sums.split_at_mut(half);
            add_halves(a_sums, a_low, a_high);
            add_halves(b_sums, b_low, b_high);
            recurse(a_sums, b_sums, middle, rest);
            let (low, high) = out.split_at_mut(n);
            recurse(a_low, b_low, low, rest);
            recurse(a_high, b_high, high, rest);
            for (middle, (low, high)) in middle.iter_mut().zip(low.iter().zip(&*high)) {
                *middle ^= low ^ high;
            }
            for (out, middle) in out[half..half + n].iter_mut().zip(&*middle) {
                *out ^= middle;
            }
        }

        $(#[$level])*
        #[inline]
        fn add_halves(sums: &mut [u64], low: &[u64], high: &[u64]) {
            for (sum, (low, high)) in sums.iter_mut().zip(low.iter().zip(high)) {
                *sum = low ^ high;
            }
        }
    };
}

pub mod fourier;
mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
use scalar as neon;
use scalar as portable;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use proptest::prelude::*;

    /// The definition, coefficient by coefficient.
    fn defined(a: &[u64], b: &[u64]) -> Vec<u64> {
        let mut out = vec![0; a.len() + b.len()];
        for i in 0..64 * a.len() {
            if a[i / 64] >> (i % 64) & 1 == 1 {
                for j in 0..64 * b.len() {
                    let k = i + j;
                    out[k / 64] ^= (b[j / 64] >> (j % 64) & 1) << (k % 64);
                }
            }
        }
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn every_level_equals_the_definition(words in proptest::collection::vec(any::<u64>(), 64..=64)) {
            for n in [8, 16, 32] {
                let (a, b) = (&words[..n], &words[32..32 + n]);
                let want = defined(a, b);
                for isa in Isa::available() {
                    let (mut out, mut scratch) = (vec![1; 2 * n], vec![2; 4 * n]);
                    product(isa, a, b, &mut out, &mut scratch);
                    prop_assert_eq!(&out, &want, "{}, {} words", isa, n);
                }
            }
        }
    }
}
