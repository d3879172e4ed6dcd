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

/// A word eight times.
#[inline]
#[target_feature(enable = "avx512f")]
fn words(word: u64) -> V {
    _mm512_set1_epi64(word.cast_signed())
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

/// Lines that a factor of many products takes, and the factor there.
const SHARES: usize = 1;

#[inline]
#[target_feature(enable = "avx512f")]
fn put_factor(lines: &mut [Line; SHARES], value: V) {
    put(&mut lines[0], value);
}

#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn mul_factor(x: V, lines: &[Line; SHARES]) -> V {
    mul(x, get(&lines[0]))
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

#[inline]
#[target_feature(enable = "avx512f")]
fn prefetch(line: &Line) {
    _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
}

/// A factor of many elements of GF(2^16), as bytes to multiply by: T = t₀ + t₁ z as t₀, γ t₁, t₁ and t₀ + t₁.
#[derive(Clone, Copy)]
struct Pair([V; 4]);

impl Pair {
    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn new(field: &Field<'_>, t: [V; 2]) -> Self {
        Self([t[0], field.times_gamma(t[1]), t[1], xor(t[0], t[1])])
    }

    /// With elements of GF(2^8) more.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn plus(&self, c: V) -> Self {
        let t = self.0;
        Self([xor(t[0], c), t[1], t[2], xor(t[3], c)])
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn times(&self, _field: &Field<'_>, x: [V; 2]) -> [V; 2] {
        let t = self.0;
        [xor(mul(x[0], t[0]), mul(x[1], t[1])), xor(mul(x[0], t[2]), mul(x[1], t[3]))]
    }
}

/// A factor of many elements of GF(2^32), as bytes to multiply by: of X = X₀ + X₁ w and T = T₀ + T₁ w the
/// product is (T₀ X₀ + β T₁ X₁) + ((T₀ + T₁)(X₀ + X₁) + T₀ X₀) w, each product over GF(2^16) four of bytes.
struct Factor {
    low: Pair,
    high: Pair,
    sum: Pair,
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn new(field: &Field<'_>, t: [V; 4]) -> Self {
        Self {
            low: Pair::new(field, [t[0], t[1]]),
            high: Pair::new(field, field.times_beta([t[2], t[3]])),
            sum: Pair::new(field, [xor(t[0], t[2]), xor(t[1], t[3])]),
        }
    }

    /// x by the factor of a block; see [`sixteen_pairs`].
    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn times(&self, field: &Field<'_>, tables: &Tables, x: [V; 4], block: usize) -> [V; 4] {
        let more = words(tables.sums[block]);
        let low = self.low.plus(more).times(field, [x[0], x[1]]);
        let high = self.high.times(field, [x[2], x[3]]);
        let sum = self.sum.plus(more).times(field, [xor(x[0], x[2]), xor(x[1], x[3])]);
        [xor(low[0], high[0]), xor(low[1], high[1]), xor(sum[0], low[0]), xor(sum[1], low[1])]
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
    #[target_feature(enable = "avx512f,gfni")]
    fn times(&self, x: V, t: &Map) -> V {
        affine(x, matrix(t))
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
