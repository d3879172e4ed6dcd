//! Parities of ranges and of pseudo-random subsets of a bit string, and the weave: a permutation
//! of bits that costs a few instructions a word.
//!
//! # The weave
//! The string is W words, W a multiple of 64. Word 64g + i of the *loom* is the word
//! w = (a·(64g + i) + b) mod W of the source, rotated left by r(w) places; each group of 64 words
//! is then transposed as a 64 × 64 bit matrix. With gcd(a, W) = 1 this is a bijection whose image
//! and preimage of one bit cost one multiplication each ([`Weave::forward`],
//! [`Weave::backward`]): no table of n indices.
//!
//! # The subsets
//! For draw d, word w of the string has a pseudo-random word M(d, w); bit j of it is in subset
//! 16d + t if bit j of M(d, w) rotated left by 4t is one. Sixteen subsets from one hash, and the
//! parities of a given set of places over them are independent but for one relation of places in
//! one word.
//!
//! # Measured
//! A string of 2²⁰ bits in the second cache, EPYC (Zen 4), one thread:
//!
//! | kernel | avx512 | avx2 | scalar | bound by |
//! |---|---|---|---|---|
//! | [`weave`] | 82 Gbit/s: gathers, `gf2p8affineqb` | 24: the scalar body | 22 | loads of single words |
//! | [`block_parities`], 16 bits | as avx2 | 46 Gbit/s: `pext` | 18 | packing |
//! | [`block_parities`], 128 bits | as avx2 | 87 Gbit/s: the scalar body | 71 | packing |
//! | [`node_parities`] | as avx2: gathers gave 1.2 times as much | 1.2 ns: the scalar body | 1.2 ns | cache |
//! | [`subset_parities`] | 65 Gbit/s: the scalar body | 22: the scalar body | 11 | rotations |

/// Subsets of one draw: as many as one hash of the word index serves.
pub const SUBSETS: u32 = 16;

/// One round of the permutation: see the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weave {
    count: usize,
    words: u64,
    stride: u64,
    inverse: u64,
    offset: u64,
    salt: u64,
}

impl Weave {
    /// The weave of this many words, a multiple of 64 below 2³¹; every seed another one.
    ///
    /// # Panics
    /// At other counts.
    #[must_use]
    pub fn new(words: usize, seed: u64) -> Self {
        assert!(words > 0 && words.is_multiple_of(64) && words < 1 << 31, "{words} words cannot be woven");
        let (count, words) = (words, words as u64);
        let mut stride = (mix(seed) % words) | 1;
        let inverse = loop {
            match inverse_modulo(stride, words) {
                Some(inverse) => break inverse,
                None => stride = (stride + 2) % words,
            }
        };
        Self {
            count,
            words,
            stride,
            inverse,
            offset: mix(seed ^ 0x6c6f_6f6d) % words,
            salt: mix(seed ^ 0x726f_7461),
        }
    }

    /// How many words it permutes.
    #[must_use]
    pub fn words(&self) -> usize {
        self.count
    }

    /// Where bit `place` of the source goes.
    #[inline]
    #[must_use]
    pub fn forward(&self, place: u64) -> u64 {
        let (word, bit) = (place / 64, place % 64);
        let turned = (bit + self.turn(word)) % 64;
        let thread = self.inverse * (word + self.words - self.offset) % self.words;
        (thread / 64 * 64 + turned) * 64 + thread % 64
    }

    /// Where bit `place` of the woven string came from.
    #[inline]
    #[must_use]
    pub fn backward(&self, place: u64) -> u64 {
        let (row, bit) = (place / 64, place % 64);
        let word = (self.stride * (row / 64 * 64 + bit) + self.offset) % self.words;
        word * 64 + (row % 64 + 64 - self.turn(word)) % 64
    }

    #[inline]
    fn turn(&self, word: u64) -> u64 {
        let z = (word ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (z ^ z >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 58
    }
}

/// A number that looks random, from one that does not (the finaliser of `splitmix64`).
#[inline]
#[must_use]
pub const fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The places of word `word` that are in subset `subset`.
#[inline]
#[must_use]
pub fn subset_mask(word: usize, subset: u32) -> u64 {
    mix(word as u64 ^ u64::from(subset / SUBSETS) << 40).rotate_left(4 * (subset % SUBSETS))
}

/// The inverse of `a` modulo `m`, if there is one.
fn inverse_modulo(a: u64, m: u64) -> Option<u64> {
    let (mut r, mut next_r) = (i128::from(m), i128::from(a));
    let (mut t, mut next_t) = (0i128, 1i128);
    while next_r != 0 {
        let quotient = r / next_r;
        (r, next_r) = (next_r, r - quotient * next_r);
        (t, next_t) = (next_t, t - quotient * next_t);
    }
    (r == 1).then(|| u64::try_from(t.rem_euclid(i128::from(m))).expect("a residue of a u64"))
}

/// The parity of bits `start..end`.
///
/// Panics beyond the end. Time depends on the range only. Ranges of a search are short, so this
/// one is inlined and not dispatched.
#[inline]
#[must_use]
pub fn range_parity(words: &[u64], start: usize, end: usize) -> bool {
    if start >= end {
        return false;
    }
    let (first, last) = (start / 64, (end - 1) / 64);
    let low = u64::MAX << (start % 64);
    let high = u64::MAX >> (63 - (end - 1) % 64);
    if first == last {
        return (words[first] & low & high).count_ones() & 1 == 1;
    }
    let inner = words[first + 1..last].iter().fold(0, |sum, word| sum ^ word);
    ((words[first] & low) ^ (words[last] & high) ^ inner).count_ones() & 1 == 1
}

/// The parity of the bits `start..end` that are in subset `subset`, or that are not if `outside` is
/// all ones (it is zero otherwise).
///
/// Panics beyond the end. Time depends on the range only.
#[must_use]
pub fn subset_parity(words: &[u64], start: usize, end: usize, subset: u32, outside: u64) -> bool {
    if start >= end {
        return false;
    }
    let (first, last) = (start / 64, (end - 1) / 64);
    let low = u64::MAX << (start % 64);
    let high = u64::MAX >> (63 - (end - 1) % 64);
    let inside = |word: usize| words[word] & (subset_mask(word, subset) ^ outside);
    if first == last {
        return (inside(first) & low & high).count_ones() & 1 == 1;
    }
    let inner = (first + 1..last).fold(0, |sum, word| sum ^ inside(word));
    ((inside(first) & low) ^ (inside(last) & high) ^ inner).count_ones() & 1 == 1
}

kernel! {
    /// The parities of consecutive blocks of 2^`log2` bits, packed.
    ///
    /// `out` has a bit for each block, the last of which may be cut short by the end of `words`.
    /// Panics if `log2` is 0 or `out` has another length. Time depends on the lengths only.
    pub fn block_parities(words: &[u64], log2: u32, out: &mut [u64]);

    /// The parities of the 2^`half` bits from each start on, packed.
    ///
    /// Starts are multiples of 2^`half`; what lies beyond the end counts as zeros. `out` has a bit
    /// for each start: panics otherwise, and if a start is beyond the end. Time and places read
    /// depend on the starts.
    pub fn node_parities(words: &[u64], starts: &[u32], half: u32, out: &mut [u64]);

    /// `dst` = `src` woven. Panics unless both have as many words as the weave.
    ///
    /// Time depends on the length only.
    pub fn weave(dst: &mut [u64], src: &[u64], weave: &Weave);

    /// `dst` = what was woven to `src`: the inverse of [`weave`](fn@weave). Panics unless both have as many words as
    /// the weave.
    ///
    /// Time depends on the length only.
    pub fn unweave(dst: &mut [u64], src: &[u64], weave: &Weave);

    /// The parities of the sixteen subsets of a draw, that of subset 16·`draw` + t in bit t.
    ///
    /// Time depends on the length only.
    pub fn subset_parities(words: &[u64], draw: u32) -> u16;
}

mod scalar;

use scalar as portable;
#[cfg(target_arch = "aarch64")]
use scalar as neon;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use proptest::prelude::*;

    fn noise(words: usize, seed: u64) -> Vec<u64> {
        (0..words as u64).map(|i| mix(i ^ seed)).collect()
    }

    fn bit(words: &[u64], place: usize) -> bool {
        words[place / 64] >> (place % 64) & 1 == 1
    }

    #[test]
    fn a_weave_moves_every_bit_where_it_says() {
        for words in [64, 128, 192, 1024, 64 * 37] {
            for seed in 0..3 {
                let weave_of = Weave::new(words, seed);
                let src = noise(words, seed);
                for isa in Isa::available() {
                    let mut dst = vec![0; words];
                    weave(isa, &mut dst, &src, &weave_of);
                    let mut back = vec![0; words];
                    unweave(isa, &mut back, &dst, &weave_of);
                    assert_eq!(back, src, "{isa}, {words} words: there and back");
                    for place in 0..words * 64 {
                        let to = weave_of.forward(place as u64);
                        assert_eq!(weave_of.backward(to), place as u64, "{words} words, place {place}");
                        assert_eq!(bit(&src, place), bit(&dst, to as usize), "{isa}, {words} words");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn parities_count_the_bits_of_their_set(
            words in 1usize..80, seed: u64, cut in 0.0f64..1.0, width in 0.0f64..1.0, subset in 0u32..48,
        ) {
            let string = noise(words, seed);
            let start = (cut * (words * 64) as f64) as usize;
            let end = start + (width * (words * 64 - start) as f64) as usize;
            let count = |keep: &dyn Fn(usize) -> bool| {
                (start..end).filter(|place| keep(*place) && bit(&string, *place)).count() % 2 == 1
            };
            prop_assert_eq!(range_parity(&string, start, end), count(&|_| true));
            let inside = |place: usize| subset_mask(place / 64, subset) >> (place % 64) & 1 == 1;
            prop_assert_eq!(subset_parity(&string, start, end, subset, 0), count(&inside));
            prop_assert_eq!(subset_parity(&string, start, end, subset, u64::MAX), count(&|place| !inside(place)));
            for isa in Isa::available() {
                let all = subset_parities(isa, &string, subset / 16) >> (subset % 16) & 1 == 1;
                prop_assert_eq!(all, subset_parity(&string, 0, words * 64, subset, 0), "{} subsets", isa);
            }
        }

        #[test]
        fn blocks_and_nodes_are_ranges(words in 1usize..80, seed: u64, log2 in 1u32..14) {
            let string = noise(words, seed);
            let range = |start: usize| range_parity(&string, start, (start + (1 << log2)).min(words * 64));
            let blocks = (words * 64).div_ceil(1 << log2);
            let starts: Vec<u32> =
                (0..blocks as u32).filter(|i| !mix(u64::from(*i) ^ seed).is_multiple_of(3)).map(|i| i << log2).collect();
            for isa in Isa::available() {
                let mut out = vec![u64::MAX; blocks.div_ceil(64)];
                block_parities(isa, &string, log2, &mut out);
                for i in 0..out.len() * 64 {
                    prop_assert_eq!(bit(&out, i), i < blocks && range(i << log2), "{} block {}", isa, i);
                }
                let mut out = vec![u64::MAX; starts.len().div_ceil(64)];
                node_parities(isa, &string, &starts, log2, &mut out);
                for i in 0..out.len() * 64 {
                    let want = starts.get(i).is_some_and(|start| range(*start as usize));
                    prop_assert_eq!(bit(&out, i), want, "{} node {}", isa, i);
                }
            }
        }
    }
}
