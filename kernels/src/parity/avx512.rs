//! The weave eight words at a time; the rest are the scalar bodies under wider features.

use std::arch::x86_64::*;

pub(super) use super::avx2::{block_parities, node_parities};
use super::{Weave, scalar};

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vbmi,gfni,avx2,bmi1,bmi2")]
pub(super) fn weave(dst: &mut [u64], src: &[u64], weave: &Weave) {
    assert_eq!(dst.len(), weave.words(), "the woven string has another length");
    assert_eq!(src.len(), weave.words(), "the string to weave has another length");
    let words = set(weave.words);
    let step = set(8 * weave.stride % weave.words);
    let lanes: [u64; 8] = std::array::from_fn(|i| (weave.offset + weave.stride * i as u64) % weave.words);
    let mut word = load8(&lanes);
    for group in dst.as_chunks_mut::<64>().0 {
        let rows = std::array::from_fn(|_| {
            let row = _mm512_rolv_epi64(gather(src, word), turn(word, weave.salt));
            let next = _mm512_add_epi64(word, step);
            word = _mm512_min_epu64(next, _mm512_sub_epi64(next, words));
            row
        });
        for (out, row) in group.as_chunks_mut::<8>().0.iter_mut().zip(transpose(rows)) {
            store8(out, row);
        }
    }
}

#[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl,avx512vbmi,gfni,avx2,bmi1,bmi2")]
pub(super) fn unweave(dst: &mut [u64], src: &[u64], weave: &Weave) {
    assert_eq!(dst.len(), weave.words(), "the string has another length");
    assert_eq!(src.len(), weave.words(), "the woven string has another length");
    let words = set(weave.words);
    let step = set(8 * weave.stride % weave.words);
    let lanes: [u64; 8] = std::array::from_fn(|i| (weave.offset + weave.stride * i as u64) % weave.words);
    let mut word = load8(&lanes);
    for group in src.as_chunks::<64>().0 {
        let eights = group.as_chunks::<8>().0;
        let rows = std::array::from_fn(|row| load8(&eights[row]));
        for row in transpose(rows) {
            let (mut places, mut bits) = ([0; 8], [0; 8]);
            store8(&mut places, word);
            store8(&mut bits, _mm512_rorv_epi64(row, turn(word, weave.salt)));
            for (place, bits) in places.into_iter().zip(bits) {
                dst[usize::try_from(place).unwrap_or_default()] = bits;
            }
            let next = _mm512_add_epi64(word, step);
            word = _mm512_min_epu64(next, _mm512_sub_epi64(next, words));
        }
    }
}

/// [`Weave`]'s rotation of eight words.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn turn(word: __m512i, salt: u64) -> __m512i {
    let z = _mm512_mullo_epi64(_mm512_xor_si512(word, set(salt)), set(0x9e37_79b9_7f4a_7c15));
    let z = _mm512_xor_si512(z, _mm512_srli_epi64::<32>(z));
    _mm512_srli_epi64::<58>(_mm512_mullo_epi64(z, set(0xd6e8_feb8_6659_fd93)))
}

/// Transposes a 64 × 64 bit matrix, eight rows a vector.
///
/// Byte b of the eight words of a vector is gathered into quadword b, a matrix of 8 × 8 bits,
/// which `gf2p8affineqb` transposes; then the 8 × 8 matrix of those matrices is.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
fn transpose(rows: [__m512i; 8]) -> [__m512i; 8] {
    let (bytes, upended) = (load64(&BYTES), load64(&UPENDED));
    // The instruction takes the rows of its matrix last to first.
    let identity = set(0x8040_2010_0804_0201);
    let tiles = rows.map(|row| {
        let tile = _mm512_permutexvar_epi8(upended, row);
        _mm512_gf2p8affine_epi64_epi8::<0>(identity, tile)
    });
    transpose_quads(tiles).map(|row| _mm512_permutexvar_epi8(bytes, row))
}

/// Transposes an 8 × 8 matrix of quadwords.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_quads(m: [__m512i; 8]) -> [__m512i; 8] {
    let low = |i: usize| _mm512_unpacklo_epi64(m[i], m[i + 1]);
    let high = |i: usize| _mm512_unpackhi_epi64(m[i], m[i + 1]);
    let [a, b, c, d] = [low(0), low(2), low(4), low(6)];
    let [e, f, g, h] = [high(0), high(2), high(4), high(6)];
    let (evens, odds) = (transpose_pairs([a, b, c, d]), transpose_pairs([e, f, g, h]));
    [evens[0], odds[0], evens[1], odds[1], evens[2], odds[2], evens[3], odds[3]]
}

/// Transposes a 4 × 4 matrix of pairs of quadwords.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose_pairs([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0x88>(c, d));
    let (ba, dc) = (_mm512_shuffle_i64x2::<0xdd>(a, b), _mm512_shuffle_i64x2::<0xdd>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(ab, cd),
        _mm512_shuffle_i64x2::<0x88>(ba, dc),
        _mm512_shuffle_i64x2::<0xdd>(ab, cd),
        _mm512_shuffle_i64x2::<0xdd>(ba, dc),
    ]
}

/// Byte 8i + j takes byte 8j + i: the transposition of an 8 × 8 matrix of bytes.
const BYTES: [u8; 64] = transposition(0);
/// The same, of a matrix whose rows are taken last to first.
const UPENDED: [u8; 64] = transposition(7);

const fn transposition(flip: u8) -> [u8; 64] {
    let mut table = [0; 64];
    let mut at = 0;
    while at < 64 {
        table[at as usize] = ((at % 8) ^ flip) * 8 + at / 8;
        at += 1;
    }
    table
}

#[target_feature(enable = "avx512f,avx512dq,avx512vl,popcnt")]
pub(super) fn subset_parities(words: &[u64], draw: u32) -> u16 {
    scalar::subset_parities(words, draw)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn set(value: u64) -> __m512i {
    _mm512_set1_epi64(value.cast_signed())
}

/// Eight words of `src`. Panics beyond the end.
#[inline]
#[target_feature(enable = "avx512f")]
fn gather(src: &[u64], at: __m512i) -> __m512i {
    let inside = _mm512_cmplt_epu64_mask(at, set(src.len() as u64));
    assert_eq!(inside, 0xff, "a word beyond the end");
    // SAFETY: every index was just checked against the length.
    unsafe { _mm512_i64gather_epi64::<8>(at, src.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load8(words: &[u64; 8]) -> __m512i {
    // SAFETY: the reference covers the 64 bytes read; the load needs no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load64(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the reference covers the 64 bytes read; the load needs no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store8(words: &mut [u64; 8], value: __m512i) {
    // SAFETY: the reference covers the 64 bytes written, exclusively; the store needs no alignment.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}
