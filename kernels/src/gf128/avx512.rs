//! Four blocks a vector: sixteen products are added up before one reduction.

use std::arch::x86_64::{
    __m128i, __m512i, _mm_set_epi64x, _mm_xor_si128, _mm512_broadcast_i32x4, _mm512_castsi128_si512,
    _mm512_clmulepi64_epi128, _mm512_extracti32x4_epi32, _mm512_inserti32x4, _mm512_loadu_si512,
    _mm512_setzero_si512, _mm512_shuffle_epi8, _mm512_xor_si512, _mm512_zextsi128_si512,
};

use super::avx2::{self, Product, integer, vector};

/// Blocks whose products are added up before a reduction.
const STRIDE: usize = 16;

#[target_feature(enable = "avx2,pclmulqdq,avx512f,avx512bw,vpclmulqdq")]
pub(super) fn horner(key: u128, accumulator: u128, blocks: &[u8]) -> u128 {
    let (strides, rest) = blocks.as_chunks::<{ 16 * STRIDE }>();
    if strides.is_empty() {
        return avx2::horner(key, accumulator, rest);
    }
    let powers = powers(key);
    let mut accumulator = vector(accumulator);
    for stride in strides {
        let zero = _mm512_setzero_si512();
        let (mut low, mut middle, mut high) = (zero, zero, zero);
        for (place, four) in stride.as_chunks::<64>().0.iter().enumerate() {
            let mut value = load(four);
            if place == 0 {
                value = _mm512_xor_si512(value, _mm512_zextsi128_si512(accumulator));
            }
            let power = powers[place];
            low = _mm512_xor_si512(low, _mm512_clmulepi64_epi128::<0x00>(value, power));
            high = _mm512_xor_si512(high, _mm512_clmulepi64_epi128::<0x11>(value, power));
            middle = _mm512_xor_si512(middle, _mm512_clmulepi64_epi128::<0x01>(value, power));
            middle = _mm512_xor_si512(middle, _mm512_clmulepi64_epi128::<0x10>(value, power));
        }
        accumulator = Product { low: folded(low), middle: folded(middle), high: folded(high) }.reduce();
    }
    avx2::horner(key, integer(accumulator), rest)
}

/// Four blocks as integers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(blocks: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are readable.
    let value = unsafe { _mm512_loadu_si512(blocks.as_ptr().cast()) };
    let reversed = _mm_set_epi64x(0x0001_0203_0405_0607, 0x0809_0a0b_0c0d_0e0f);
    _mm512_shuffle_epi8(value, _mm512_broadcast_i32x4(reversed))
}

/// The sum of the four lanes.
#[inline]
#[target_feature(enable = "avx2,avx512f")]
fn folded(value: __m512i) -> __m128i {
    let first = _mm_xor_si128(_mm512_extracti32x4_epi32::<0>(value), _mm512_extracti32x4_epi32::<1>(value));
    let second = _mm_xor_si128(_mm512_extracti32x4_epi32::<2>(value), _mm512_extracti32x4_epi32::<3>(value));
    _mm_xor_si128(first, second)
}

/// key^16 … key, four a vector.
#[target_feature(enable = "avx2,pclmulqdq,avx512f")]
fn powers(key: u128) -> [__m512i; STRIDE / 4] {
    let key = vector(key);
    let mut falling = [key; STRIDE];
    for place in (0..STRIDE - 1).rev() {
        let mut product = Product::zero();
        product.add(falling[place + 1], key);
        falling[place] = product.reduce();
    }
    std::array::from_fn(|place| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|lane| falling[4 * place + lane]);
        let vector = _mm512_inserti32x4::<1>(_mm512_castsi128_si512(a), b);
        _mm512_inserti32x4::<3>(_mm512_inserti32x4::<2>(vector, c), d)
    })
}
