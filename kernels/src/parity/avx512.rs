//! Eight nodes at a time; the rest are the scalar bodies under wider features.

use std::arch::x86_64::*;

pub(super) use super::avx2::block_parities;
use super::{Weave, scalar};

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,bmi1,bmi2")]
pub(super) fn weave(dst: &mut [u64], src: &[u64], weave: &Weave) {
    scalar::weave(dst, src, weave);
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,popcnt")]
pub(super) fn subset_parities(words: &[u64]) -> u16 {
    scalar::subset_parities(words)
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq,avx2,bmi1,bmi2,popcnt")]
pub(super) fn node_parities(words: &[u64], starts: &[u32], half: u32, out: &mut [u64]) {
    if half >= 6 {
        return scalar::node_parities(words, starts, half, out);
    }
    assert_eq!(out.len(), starts.len().div_ceil(64), "one bit a node");
    let whole = starts.len() / 64;
    for (bits, starts) in out.iter_mut().zip(starts.as_chunks::<64>().0) {
        *bits = short_nodes(words, starts, half);
    }
    scalar::node_parities(words, &starts[whole * 64..], half, &mut out[whole..]);
}

/// The parities of 64 nodes of at most 32 bits.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
fn short_nodes(words: &[u64], starts: &[u32; 64], half: u32) -> u64 {
    assert!(starts.iter().all(|start| ((*start / 64) as usize) < words.len()), "a node beyond the end");
    let mask = _mm512_set1_epi64((1 << (1 << half)) - 1);
    let low_bit = _mm512_set1_epi64(1);
    let mut all = 0;
    for (i, starts) in starts.as_chunks::<8>().0.iter().enumerate() {
        let starts = load(starts);
        let (at, from) = (_mm256_srli_epi32::<6>(starts), words.as_ptr().cast());
        // SAFETY: every index was checked against the length above.
        let bits = unsafe { _mm512_i32gather_epi64::<8>(at, from) };
        let turn = _mm512_cvtepu32_epi64(_mm256_and_si256(starts, _mm256_set1_epi32(63)));
        let node = _mm512_and_si512(_mm512_srlv_epi64(bits, turn), mask);
        let parities = _mm512_test_epi64_mask(_mm512_popcnt_epi64(node), low_bit);
        all |= u64::from(parities) << (8 * i);
    }
    all
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(words: &[u32; 8]) -> __m256i {
    // SAFETY: the reference covers the 32 bytes read; the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}
