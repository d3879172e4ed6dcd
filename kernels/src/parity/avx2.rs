//! The scalar bodies under wider features: the compiler vectorises them.

use std::arch::x86_64::_pext_u64;

use super::{Weave, scalar};

#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn weave(dst: &mut [u64], src: &[u64], weave: &Weave) {
    scalar::weave(dst, src, weave);
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn unweave(dst: &mut [u64], src: &[u64], weave: &Weave) {
    scalar::unweave(dst, src, weave);
}

#[target_feature(enable = "avx2,popcnt")]
pub(super) fn subset_parities(words: &[u64], draw: u32) -> u16 {
    scalar::subset_parities(words, draw)
}

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) fn node_parities(words: &[u64], starts: &[u32], half: u32, out: &mut [u64]) {
    scalar::node_parities(words, starts, half, out);
}

/// Every 2^log2-th bit, for log2 = 0 … 5.
const COMBS: [u64; 6] = [
    u64::MAX,
    0x5555_5555_5555_5555,
    0x1111_1111_1111_1111,
    0x0101_0101_0101_0101,
    0x0001_0001_0001_0001,
    0x0000_0001_0000_0001,
];

#[target_feature(enable = "avx2,bmi1,bmi2,popcnt")]
pub(super) fn block_parities(words: &[u64], log2: u32, out: &mut [u64]) {
    let Some(comb) = COMBS.get(log2 as usize).filter(|_| log2 > 0) else {
        return scalar::block_parities(words, log2, out);
    };
    let blocks = words.len() * (64 >> log2);
    assert_eq!(out.len(), blocks.div_ceil(64), "one bit a block");
    for (bits, chunk) in out.iter_mut().zip(words.chunks(1 << log2)) {
        *bits = (0..).zip(chunk).fold(0, |all, (i, word)| {
            all | _pext_u64(scalar::fold(*word, log2), *comb) << (i * (64 >> log2))
        });
    }
}
