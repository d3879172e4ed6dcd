//! Four carry-less products an instruction.
//!
//! With the words of a in four lanes of two and a pair of words of b in every lane, the products of
//! even words with even ones stand in place, those of odd with odd two words up, the mixed ones one
//! word up.

use std::arch::x86_64::{
    __m512i, _mm512_alignr_epi64, _mm512_clmulepi64_epi128, _mm512_loadu_si512, _mm512_set_epi64,
    _mm512_setzero_si512, _mm512_shuffle_i64x2, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::BASE;

by_karatsuba!(#[target_feature(enable = "avx512f,vpclmulqdq")]);

#[target_feature(enable = "avx512f")]
fn load(words: &[u64; BASE]) -> __m512i {
    // SAFETY: eight words are 64 readable bytes.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(words: &mut [u64; BASE], value: __m512i) {
    // SAFETY: eight words are 64 writable bytes.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

/// Adds a vector, moved up by K words, to sixteen words.
#[target_feature(enable = "avx512f")]
fn add<const K: i32, const DOWN: i32>(sum: &mut [__m512i; 2], value: __m512i) {
    let zero = _mm512_setzero_si512();
    if K == 0 {
        sum[0] = _mm512_xor_si512(sum[0], value);
    } else if K == 8 {
        sum[1] = _mm512_xor_si512(sum[1], value);
    } else {
        sum[0] = _mm512_xor_si512(sum[0], _mm512_alignr_epi64::<DOWN>(value, zero));
        sum[1] = _mm512_xor_si512(sum[1], _mm512_alignr_epi64::<DOWN>(zero, value));
    }
}

#[target_feature(enable = "avx512f,vpclmulqdq")]
#[inline]
fn base(a: &[u64; BASE], b: &[u64; BASE], out: &mut [u64; 2 * BASE]) {
    let (a, b) = (load(a), load(b));
    let zero = _mm512_set_epi64(0, 0, 0, 0, 0, 0, 0, 0);
    let pairs = [
        _mm512_shuffle_i64x2::<0b00_00_00_00>(b, b),
        _mm512_shuffle_i64x2::<0b01_01_01_01>(b, b),
        _mm512_shuffle_i64x2::<0b10_10_10_10>(b, b),
        _mm512_shuffle_i64x2::<0b11_11_11_11>(b, b),
    ];
    // even[p]: at word 2p; mixed[p]: at word 2p + 1.
    let (mut even, mut mixed) = ([zero; 5], [zero; 4]);
    for (p, pair) in pairs.into_iter().enumerate() {
        even[p] = _mm512_xor_si512(even[p], _mm512_clmulepi64_epi128::<0x00>(a, pair));
        even[p + 1] = _mm512_xor_si512(even[p + 1], _mm512_clmulepi64_epi128::<0x11>(a, pair));
        let cross = _mm512_clmulepi64_epi128::<0x01>(a, pair);
        mixed[p] = _mm512_xor_si512(cross, _mm512_clmulepi64_epi128::<0x10>(a, pair));
    }
    let mut sum = [zero; 2];
    add::<0, 8>(&mut sum, even[0]);
    add::<2, 6>(&mut sum, even[1]);
    add::<4, 4>(&mut sum, even[2]);
    add::<6, 2>(&mut sum, even[3]);
    add::<8, 0>(&mut sum, even[4]);
    add::<1, 7>(&mut sum, mixed[0]);
    add::<3, 5>(&mut sum, mixed[1]);
    add::<5, 3>(&mut sum, mixed[2]);
    add::<7, 1>(&mut sum, mixed[3]);
    let (low, high) = out.split_at_mut(BASE);
    if let (Some(low), Some(high)) = (low.first_chunk_mut(), high.first_chunk_mut()) {
        store(low, sum[0]);
        store(high, sum[1]);
    }
}
