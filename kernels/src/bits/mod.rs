//! Bit strings packed in words of 64, lowest bit first.
//!
//! | kernel | avx512 | avx2 | portable | bound by |
//! |---|---|---|---|---|
//! | [`xor`] | the scalar body, 64-byte vectors | 32-byte vectors | scalar | loads and stores |
//! | [`add_shifted`] | the same | the same | scalar | loads and stores |
//! | [`count_ones`], [`distance`], [`common`] | `vpopcntq` by the compiler | `popcnt` | scalar | loads |
//! | [`compress`], [`expand`] | as avx2 | `pext`, `pdep` | scalar | a word in two clocks |

kernel! {
    /// `dst ^= src`, word by word.
    ///
    /// Panics if the lengths differ. Time depends on the length only.
    pub fn xor(dst: &mut [u64], src: &[u64]);

    /// `dst ^= src` moved down by `shift` bits: what moves out of a word enters the one below it.
    ///
    /// `shift`: below 64; `src`: at least as long as `dst`; its next word, if there is one, enters the last.
    /// Panics otherwise. Time depends on lengths and shift only.
    pub fn add_shifted(dst: &mut [u64], src: &[u64], shift: usize);

    /// The number of ones.
    ///
    /// Time depends on the length only.
    pub fn count_ones(words: &[u64]) -> u64;

    /// The number of places where two strings of the same length differ.
    ///
    /// Panics if the lengths differ. Time depends on the length only.
    pub fn distance(a: &[u64], b: &[u64]) -> u64;

    /// The number of places where two strings of the same length are both 1.
    ///
    /// Panics if the lengths differ. Time depends on the length only.
    pub fn common(a: &[u64], b: &[u64]) -> u64;

    /// Moves the bits of `words` where `mask` is set together, in order, into the front of `out`; returns how
    /// many they are. Words of `out` behind them stay.
    ///
    /// Panics if the lengths differ, or if `out` has no room. Time depends on the mask only.
    pub fn compress(words: &[u64], mask: &[u64], out: &mut [u64]) -> usize;

    /// Undoes [`compress`]: lays the bits of `packed`, in order, where `mask` is set, zeros elsewhere. What
    /// `packed` lacks is zero.
    ///
    /// Panics if `out` and `mask` differ in length. Time depends on the mask only.
    pub fn expand(packed: &[u64], mask: &[u64], out: &mut [u64]);
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

    #[target_feature(enable = "avx2")]
    pub(super) fn add_shifted(dst: &mut [u64], src: &[u64], shift: usize) {
        super::scalar::add_shifted(dst, src, shift);
    }

    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn count_ones(words: &[u64]) -> u64 {
        super::scalar::count_ones(words)
    }

    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn distance(a: &[u64], b: &[u64]) -> u64 {
        super::scalar::distance(a, b)
    }

    #[target_feature(enable = "avx2,popcnt")]
    pub(super) fn common(a: &[u64], b: &[u64]) -> u64 {
        super::scalar::common(a, b)
    }

    #[target_feature(enable = "bmi2,popcnt")]
    pub(super) fn compress(words: &[u64], mask: &[u64], out: &mut [u64]) -> usize {
        super::scalar::compress_by(words, mask, out, |word, mask| std::arch::x86_64::_pext_u64(word, mask))
    }

    #[target_feature(enable = "bmi2,popcnt")]
    pub(super) fn expand(packed: &[u64], mask: &[u64], out: &mut [u64]) {
        super::scalar::expand_by(packed, mask, out, |word, mask| std::arch::x86_64::_pdep_u64(word, mask));
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    pub(super) use super::avx2::{compress, expand};

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn xor(dst: &mut [u64], src: &[u64]) {
        super::scalar::xor(dst, src);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl")]
    pub(super) fn add_shifted(dst: &mut [u64], src: &[u64], shift: usize) {
        super::scalar::add_shifted(dst, src, shift);
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,popcnt")]
    pub(super) fn count_ones(words: &[u64]) -> u64 {
        super::scalar::count_ones(words)
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,popcnt")]
    pub(super) fn distance(a: &[u64], b: &[u64]) -> u64 {
        super::scalar::distance(a, b)
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512vpopcntdq,popcnt")]
    pub(super) fn common(a: &[u64], b: &[u64]) -> u64 {
        super::scalar::common(a, b)
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

    #[test]
    fn shifted_bits_come_down_on_every_level() {
        let word = |i: usize| (i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit =
            |words: &[u64], at: usize| words.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        for (isa, len) in Isa::available().flat_map(|isa| [0, 1, 8, 9, 17, 100].map(|len| (isa, len))) {
            for (more, shift) in [(0, 0), (0, 1), (1, 0), (1, 7), (1, 63), (3, 33)] {
                let src: Vec<u64> = (0..len + more).map(word).collect();
                let mut dst = vec![u64::MAX; len];
                add_shifted(isa, &mut dst, &src, shift);
                let held = (0..64 * len).all(|at| bit(&dst, at) != bit(&src, at + shift));
                assert!(held, "{isa}: {len} words from {more} more by {shift} bits");
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
                let both: u64 = a.iter().zip(&b).map(|(a, b)| u64::from((a & b).count_ones())).sum();
                prop_assert_eq!(common(isa, &a, &b), both);
            }
        }

        #[test]
        fn compressed_bits_are_those_under_the_mask_and_expand_again(
            words in proptest::collection::vec(any::<(u64, u64, u8)>(), 0..60),
        ) {
            let (bits, mask): (Vec<u64>, Vec<u64>) = words
                .into_iter()
                .map(|(word, mask, form)| (word, match form { 0..50 => 0, 50..100 => u64::MAX, _ => mask }))
                .unzip();
            let bit = |words: &[u64], i: usize| words[i / 64] >> (i % 64) & 1;
            let chosen: Vec<usize> = (0..64 * mask.len()).filter(|i| bit(&mask, *i) == 1).collect();
            for isa in Isa::available() {
                let mut packed = vec![u64::MAX; mask.len()];
                prop_assert_eq!(compress(isa, &bits, &mask, &mut packed), chosen.len(), "{}", isa);
                for (place, i) in chosen.iter().enumerate() {
                    prop_assert_eq!(bit(&packed, place), bit(&bits, *i), "{}, bit {}", isa, i);
                }
                let mut spread = vec![u64::MAX; mask.len()];
                expand(isa, &packed[..chosen.len().div_ceil(64)], &mask, &mut spread);
                let want: Vec<u64> = bits.iter().zip(&mask).map(|(bits, mask)| bits & mask).collect();
                prop_assert_eq!(&spread, &want, "{}", isa);
            }
        }
    }
}
