//! Polynomial hashing over GF(2^128).
//!
//! The field is GF(2)\[x\]/(x^128 + x^7 + x^2 + x + 1); bit i of an integer is the coefficient of
//! x^i, and a block is sixteen bytes as a big-endian integer.
//!
//! | rung | way | bound by |
//! |---|---|---|
//! | avx512 | sixteen blocks against sixteen powers of the key, four a vector, one reduction | latency of the reduction |
//! | avx2 | eight blocks against eight powers of the key, one reduction | carry-less multiplier, 4 products a block |
//! | portable, scalar | bit by bit, masked | 128 steps a block |

kernel! {
    /// Horner's rule: for each block b, `accumulator = (accumulator ⊕ b) · key`; returns the last.
    ///
    /// Panics if `blocks` is not a multiple of 16 bytes. Time depends on the length only.
    pub fn horner(key: u128, accumulator: u128, blocks: &[u8]) -> u128;
}

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

    #[test]
    fn x_times_x_is_x_squared_and_the_top_wraps() {
        for isa in Isa::available() {
            let block = |value: u128| value.to_be_bytes();
            assert_eq!(horner(isa, 2, 0, &block(2)), 4, "{isa}: x · x");
            assert_eq!(horner(isa, 2, 0, &block(1 << 127)), 0x87, "{isa}: x · x^127 = x^7 + x^2 + x + 1");
            assert_eq!(horner(isa, 5, 9, &[]), 9, "{isa}: no block, no change");
        }
    }

    proptest! {
        #[test]
        fn every_level_equals_scalar(
            key: u128,
            accumulator: u128,
            mut bytes in proptest::collection::vec(any::<u8>(), 0..800),
        ) {
            bytes.truncate(bytes.len() / 16 * 16);
            let want = horner(Isa::SCALAR, key, accumulator, &bytes);
            for isa in Isa::available() {
                prop_assert_eq!(horner(isa, key, accumulator, &bytes), want, "{}", isa);
            }
            let cut = bytes.len() / 32 * 16;
            let first = horner(Isa::best(), key, accumulator, &bytes[..cut]);
            prop_assert_eq!(horner(Isa::best(), key, first, &bytes[cut..]), want, "in two parts");
        }
    }
}
