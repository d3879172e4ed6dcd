//! Bit strings packed in words of 64, lowest bit first.
//!
//! | kernel | avx512 | avx2 | portable | bound by |
//! |---|---|---|---|---|
//! | [`xor`] | the scalar body, 64-byte vectors | 32-byte vectors | scalar | loads and stores |
//! | [`count_ones`] | `vpopcntq` by the compiler | `popcnt` | scalar | loads |

kernel! {
    /// `dst ^= src`, word by word.
    ///
    /// Panics if the lengths differ. Time depends on the length only.
    pub fn xor(dst: &mut [u64], src: &[u64]);

    /// The number of ones.
    ///
    /// Time depends on the length only.
    pub fn count_ones(words: &[u64]) -> u64;

    /// The number of places where two strings of the same length differ.
    ///
    /// Panics if the lengths differ. Time depends on the length only.
    pub fn distance(a: &[u64], b: &[u64]) -> u64;
}

mod scalar;

use scalar as portable;
#[cfg(target_arch = "aarch64")]
use scalar as neon;

/// The scalar bodies under wider features: the compiler vectorises them.
#[cfg(target_arch = "x86_64")]
mod avx2 {
    #[target_feature(enable = "avx2")]
    pub(super) fn xor(dst: &mut [u64], src: &[u64]) {
        super::scalar::xor(dst, src);
    }

    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn count_ones(words: &[u64]) -> u64 {
        super::scalar::count_ones(words)
    }

    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn distance(a: &[u64], b: &[u64]) -> u64 {
        super::scalar::distance(a, b)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn xor(dst: &mut [u64], src: &[u64]) {
        super::scalar::xor(dst, src);
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,popcnt")]
    pub(super) fn count_ones(words: &[u64]) -> u64 {
        super::scalar::count_ones(words)
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,popcnt")]
    pub(super) fn distance(a: &[u64], b: &[u64]) -> u64 {
        super::scalar::distance(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use proptest::prelude::*;

    #[test]
    fn xor_undoes_itself_on_every_level() {
        for isa in Isa::available() {
            for len in [0, 1, 7, 8, 9, 15, 16, 17, 64, 1001] {
                let source: Vec<u64> =
                    (0..len).map(|i| (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
                let mut words = source.clone();
                xor(isa, &mut words, &source);
                assert!(words.iter().all(|w| *w == 0), "{isa}, {len} words");
            }
        }
    }

    proptest! {
        #[test]
        fn every_level_equals_scalar(a in proptest::collection::vec(any::<u64>(), 0..200), seed: u64) {
            let b: Vec<u64> = a.iter().map(|w| w.rotate_left(7) ^ seed).collect();
            for isa in Isa::available() {
                let (mut got, mut want) = (a.clone(), a.clone());
                xor(isa, &mut got, &b);
                xor(Isa::SCALAR, &mut want, &b);
                prop_assert_eq!(&got, &want, "{}", isa);
                prop_assert_eq!(count_ones(isa, &a), count_ones(Isa::SCALAR, &a));
                prop_assert_eq!(distance(isa, &a, &b), count_ones(Isa::SCALAR, &got));
            }
        }
    }
}
