//! One carry-less product a word pair; a diagonal is added up before it is spread.

use std::arch::x86_64::{
    __m128i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_setzero_si128,
    _mm_unpackhi_epi64, _mm_xor_si128,
};

use super::BASE;

by_karatsuba!(#[target_feature(enable = "avx2,pclmulqdq")]);

#[target_feature(enable = "avx2,pclmulqdq")]
fn base(a: &[u64; BASE], b: &[u64; BASE], out: &mut [u64; 2 * BASE]) {
    let mut diagonals = [_mm_setzero_si128(); 2 * BASE - 1];
    for (i, a) in a.iter().enumerate() {
        let a = _mm_cvtsi64_si128(a.cast_signed());
        for (j, b) in b.iter().enumerate() {
            let product = _mm_clmulepi64_si128::<0>(a, _mm_cvtsi64_si128(b.cast_signed()));
            diagonals[i + j] = _mm_xor_si128(diagonals[i + j], product);
        }
    }
    out.fill(0);
    for (place, diagonal) in diagonals.into_iter().enumerate() {
        out[place] ^= low(diagonal);
        out[place + 1] ^= low(_mm_unpackhi_epi64(diagonal, diagonal));
    }
}

#[target_feature(enable = "avx2")]
fn low(value: __m128i) -> u64 {
    _mm_cvtsi128_si64(value).cast_unsigned()
}
