//! Vectors of 64 bytes, one `gf2p8mulb` for 64 products.

use std::arch::x86_64::*;

use super::tables::{Map, Maps};
use super::{Line, Tables};
use super::{basis_change::basis_change, layers::layers, planes::planes};

type V = __m512i;

basis_change!(#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,gfni")]);
planes!(#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,gfni")]);
layers!(#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,gfni")]);

#[inline]
#[target_feature(enable = "avx512f")]
fn get(line: &Line) -> V {
    // SAFETY: eight words are 64 readable bytes.
    unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn put(line: &mut Line, value: V) {
    // SAFETY: eight words are 64 writable bytes.
    unsafe { _mm512_storeu_si512(line.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lines: &[Line], at: usize) -> V {
    get(&lines[at])
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lines: &mut [Line], at: usize, value: V) {
    put(&mut lines[at], value);
}

#[inline]
#[target_feature(enable = "avx512f")]
fn bytes(bytes: &[u8; 64]) -> V {
    // SAFETY: 64 bytes are readable.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn zero() -> V {
    _mm512_setzero_si512()
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all(byte: u8) -> V {
    _mm512_set1_epi8(byte.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: V, b: V) -> V {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn mul(a: V, b: V) -> V {
    _mm512_gf2p8mul_epi8(a, b)
}

/// The 512 bits moved up by S, what leaves `left` at the top coming in.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn up<const S: i32>(x: V, left: V) -> V {
    match S {
        128 => _mm512_alignr_epi64::<6>(x, left),
        64 => _mm512_alignr_epi64::<7>(x, left),
        32 => _mm512_alignr_epi32::<15>(x, left),
        _ => _mm512_shldi_epi64::<S>(x, _mm512_alignr_epi64::<7>(x, left)),
    }
}

/// The same within either half.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn up_half<const S: i32>(x: V, left: V) -> V {
    let before = _mm512_permutex2var_epi64(x, _mm512_set_epi64(6, 5, 4, 15, 2, 1, 0, 11), left);
    _mm512_shldi_epi64::<S>(x, before)
}

/// The lower halves side by side.
#[inline]
#[target_feature(enable = "avx512f")]
fn lower(a: V, b: V) -> V {
    _mm512_shuffle_i64x2::<0x44>(a, b)
}

/// The upper halves side by side.
#[inline]
#[target_feature(enable = "avx512f")]
fn upper(a: V, b: V) -> V {
    _mm512_shuffle_i64x2::<0xee>(a, b)
}

/// The upper half in the place of the lower, zeros above.
#[inline]
#[target_feature(enable = "avx512f")]
fn upper_to_lower(x: V) -> V {
    _mm512_maskz_shuffle_i64x2::<0x0e>(0x0f, x, x)
}

/// The upper half alone.
#[inline]
#[target_feature(enable = "avx512f")]
fn keep_upper(x: V) -> V {
    _mm512_maskz_mov_epi64(0xf0, x)
}

/// Swaps lane bit K with the bit that tells a from b.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn swap_lanes<const K: usize>(a: V, b: V) -> (V, V) {
    const fn index(k: usize, odd: usize) -> [u8; 64] {
        let (mut index, mut lane) = ([0; 64], 0);
        while lane < 64 {
            index[lane] = match (lane >> k & 1, odd) {
                (0, 0) => lane as u8,
                (0, _) => (lane | 1 << k) as u8,
                (_, 0) => (64 + (lane ^ 1 << k)) as u8,
                _ => (64 + lane) as u8,
            };
            lane += 1;
        }
        index
    }
    match K {
        3 => (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)),
        5 => (lower(a, b), upper(a, b)),
        _ => {
            let (even, odd) = const { (index(K, 0), index(K, 1)) };
            (_mm512_permutex2var_epi8(a, bytes(&even), b), _mm512_permutex2var_epi8(a, bytes(&odd), b))
        }
    }
}

/// Bytes are written by the AES polynomial.
#[inline]
fn written(tables: &Tables) -> &Tables {
    tables
}

/// The constants of the field, in registers.
struct Field<'a> {
    maps: &'a Maps,
    gamma: V,
    beta: [V; 4],
    v3: V,
}

impl<'a> Field<'a> {
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn new(tables: &'a Tables) -> Self {
        let [a, b, c, d] = &tables.maps.beta;
        Self {
            maps: &tables.maps,
            gamma: all(tables.v(7) as u8),
            beta: [matrix(a), matrix(b), matrix(c), matrix(d)],
            v3: all(tables.v(3) as u8),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,gfni")]
    fn times(&self, x: V, t: u8) -> V {
        mul(x, all(t))
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn times_gamma(&self, x: V) -> V {
        mul(x, self.gamma)
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn times_v3(&self, x: V) -> V {
        mul(x, self.v3)
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn times_beta(&self, x: [V; 2]) -> [V; 2] {
        let [a, b, c, d] = self.beta;
        [xor(affine(x[0], a), affine(x[1], b)), xor(affine(x[0], c), affine(x[1], d))]
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn fourth(&self, x: V) -> V {
        affine(x, matrix(&self.maps.fourth))
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn fourth_back(&self, x: V) -> V {
        affine(x, matrix(&self.maps.fourth_back))
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn matrix(map: &Map) -> V {
    _mm512_set1_epi64(map.matrix.cast_signed())
}

#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn affine(x: V, matrix: V) -> V {
    _mm512_gf2p8affine_epi64_epi8::<0>(x, matrix)
}

/// Turns the bits of the identity's rows: `affine(rows, data)` transposes eight by eight bits of data.
#[inline]
#[target_feature(enable = "avx512f")]
fn rows() -> V {
    _mm512_set1_epi64(0x8040_2010_0804_0201u64.cast_signed())
}

/// Eight planes of bits to eight vectors of bytes: byte j of word w of vector b has the bits 8 b + j of
/// the words w.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn pack8(field: &Field<'_>, planes: [V; 8]) -> [V; 8] {
    // The transposition by `gf2p8affineqb` turns the order of the planes around.
    let [a, b, c, d, e, f, g, h] = planes;
    let mut x = [h, g, f, e, d, c, b, a];
    transpose_bytes(&mut x);
    for x in &mut x {
        *x = affine(affine(rows(), *x), matrix(&field.maps.packed));
    }
    x
}

/// The inverse of [`pack8`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn unpack8(field: &Field<'_>, mut x: [V; 8]) -> [V; 8] {
    for x in &mut x {
        *x = affine(affine(rows(), affine(*x, matrix(&field.maps.unpacked))), rows());
    }
    transpose_bytes(&mut x);
    x
}

/// Swaps byte number and vector number within each word of eight vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose_bytes(x: &mut [V; 8]) {
    transpose_step::<0, 8>(x, 0xaaaa_aaaa_aaaa_aaaa);
    transpose_step::<1, 16>(x, 0xcccc_cccc_cccc_cccc);
    transpose_step::<2, 32>(x, 0xf0f0_f0f0_f0f0_f0f0);
}

/// Swaps bit K of the vector's number with that of the byte's, SHIFT being 8 · 2^K.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose_step<const K: usize, const SHIFT: u32>(x: &mut [V; 8], upper: u64) {
    for pair in 0..4 {
        let low = (pair >> K) << (K + 1) | pair & ((1 << K) - 1);
        let (a, b) = (x[low], x[low | 1 << K]);
        x[low] = _mm512_mask_mov_epi8(a, upper, _mm512_slli_epi64::<SHIFT>(b));
        x[low | 1 << K] = _mm512_mask_mov_epi8(_mm512_srli_epi64::<SHIFT>(a), upper, b);
    }
}
