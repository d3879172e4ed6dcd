//! Carry-less multiplication: eight products are added up before one reduction.

use std::arch::x86_64::{
    __m128i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_setzero_si128, _mm_slli_si128,
    _mm_srli_si128, _mm_unpackhi_epi64, _mm_xor_si128,
};

/// Blocks whose products are added up before a reduction.
const STRIDE: usize = 8;

#[target_feature(enable = "avx2,pclmulqdq")]
pub(super) fn horner(key: u128, accumulator: u128, blocks: &[u8]) -> u128 {
    assert!(blocks.len().is_multiple_of(16), "whole blocks, not {} bytes", blocks.len());
    let powers = powers(key);
    let mut accumulator = vector(accumulator);
    for chunk in blocks.chunks(16 * STRIDE) {
        let count = chunk.len() / 16;
        let mut sum = Product::zero();
        for (place, block) in chunk.chunks_exact(16).enumerate() {
            let mut value = vector(super::scalar::load(block));
            if place == 0 {
                value = _mm_xor_si128(value, accumulator);
            }
            sum.add(value, powers[count - 1 - place]);
        }
        accumulator = sum.reduce();
    }
    integer(accumulator)
}

/// key, key², …
#[target_feature(enable = "avx2,pclmulqdq")]
fn powers(key: u128) -> [__m128i; STRIDE] {
    let key = vector(key);
    let mut powers = [key; STRIDE];
    for place in 1..STRIDE {
        let mut product = Product::zero();
        product.add(powers[place - 1], key);
        powers[place] = product.reduce();
    }
    powers
}

#[target_feature(enable = "avx2")]
pub(super) fn vector(value: u128) -> __m128i {
    let (high, low) = ((value >> 64) as u64, value as u64);
    _mm_set_epi64x(high.cast_signed(), low.cast_signed())
}

#[target_feature(enable = "avx2")]
pub(super) fn integer(value: __m128i) -> u128 {
    let low = _mm_cvtsi128_si64(value).cast_unsigned();
    let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(value, value)).cast_unsigned();
    u128::from(high) << 64 | u128::from(low)
}

/// A sum of products of 128-bit polynomials, not reduced.
pub(super) struct Product {
    pub(super) low: __m128i,
    pub(super) middle: __m128i,
    pub(super) high: __m128i,
}

impl Product {
    #[target_feature(enable = "avx2")]
    pub(super) fn zero() -> Self {
        let zero = _mm_setzero_si128();
        Self { low: zero, middle: zero, high: zero }
    }

    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn add(&mut self, a: __m128i, b: __m128i) {
        self.low = _mm_xor_si128(self.low, _mm_clmulepi64_si128::<0x00>(a, b));
        self.high = _mm_xor_si128(self.high, _mm_clmulepi64_si128::<0x11>(a, b));
        let cross = _mm_xor_si128(_mm_clmulepi64_si128::<0x10>(a, b), _mm_clmulepi64_si128::<0x01>(a, b));
        self.middle = _mm_xor_si128(self.middle, cross);
    }

    /// Folds the upper 128 bits down twice by x^128 = x^7 + x^2 + x + 1.
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn reduce(self) -> __m128i {
        let tail = _mm_set_epi64x(0, 0x87);
        let low = _mm_xor_si128(self.low, _mm_slli_si128::<8>(self.middle));
        let high = _mm_xor_si128(self.high, _mm_srli_si128::<8>(self.middle));
        let upper = _mm_clmulepi64_si128::<0x01>(high, tail);
        let low = _mm_xor_si128(low, _mm_clmulepi64_si128::<0x00>(high, tail));
        let low = _mm_xor_si128(low, _mm_slli_si128::<8>(upper));
        let rest = _mm_srli_si128::<8>(upper);
        _mm_xor_si128(low, _mm_clmulepi64_si128::<0x00>(rest, tail))
    }
}
