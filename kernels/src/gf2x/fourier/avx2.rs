//! Vectors of 64 bytes in two registers; products of bytes over nibbles, everything through `pshufb`.

use std::arch::x86_64::*;

use super::nibbles;
use super::tables::{Map, Maps};
use super::{Line, Tables};
use super::{basis_change::basis_change, layers::layers, planes::planes};

type V = [__m256i; 2];

basis_change!(#[target_feature(enable = "avx2")]);
planes!(#[target_feature(enable = "avx2")]);
layers!(#[target_feature(enable = "avx2")]);

#[inline]
#[target_feature(enable = "avx2")]
fn load32(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are readable.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load4(words: &[u64; 4]) -> __m256i {
    // SAFETY: four words are 32 readable bytes.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store4(words: &mut [u64; 4], value: __m256i) {
    // SAFETY: four words are 32 writable bytes.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn get(line: &Line) -> V {
    let (fours, _) = line.as_chunks::<4>();
    [load4(&fours[0]), load4(&fours[1])]
}

#[inline]
#[target_feature(enable = "avx2")]
fn put(line: &mut Line, value: V) {
    let (fours, _) = line.as_chunks_mut::<4>();
    store4(&mut fours[0], value[0]);
    store4(&mut fours[1], value[1]);
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(lines: &[Line], at: usize) -> V {
    get(&lines[at])
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(lines: &mut [Line], at: usize, value: V) {
    put(&mut lines[at], value);
}

#[inline]
#[target_feature(enable = "avx2")]
fn bytes(bytes: &[u8; 64]) -> V {
    let (halves, _) = bytes.as_chunks::<32>();
    [load32(&halves[0]), load32(&halves[1])]
}

#[inline]
#[target_feature(enable = "avx2")]
fn zero() -> V {
    [_mm256_setzero_si256(); 2]
}

#[inline]
#[target_feature(enable = "avx2")]
fn all(byte: u8) -> V {
    [_mm256_set1_epi8(byte.cast_signed()); 2]
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: V, b: V) -> V {
    [_mm256_xor_si256(a[0], b[0]), _mm256_xor_si256(a[1], b[1])]
}

#[inline]
#[target_feature(enable = "avx2")]
fn mul(a: V, b: V) -> V {
    Logarithms::new(a).times(&Logarithms::new(b))
}

/// Bytes as the logarithms of their low nibbles, their high ones and the sums of both.
#[derive(Clone, Copy)]
struct Logarithms([[__m256i; 3]; 2]);

impl Logarithms {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(x: V) -> Self {
        Self([logarithms(x[0]), logarithms(x[1])])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times(&self, t: &Self) -> V {
        [product(self.0[0], t.0[0]), product(self.0[1], t.0[1])]
    }
}

/// Three products of nibbles for a byte.
#[inline]
#[target_feature(enable = "avx2")]
fn product(a: [__m256i; 3], b: [__m256i; 3]) -> __m256i {
    let [low, high, sum] = [partial::<0>(a, b), partial::<1>(a, b), partial::<2>(a, b)];
    _mm256_xor_si256(_mm256_xor_si256(low, high), sum)
}

/// Lines that a factor of many products takes, its logarithms, and the factor there.
const SHARES: usize = 3;

#[inline]
#[target_feature(enable = "avx2")]
fn put_factor(lines: &mut [Line; SHARES], value: V) {
    let Logarithms([a, b]) = Logarithms::new(value);
    for (line, share) in lines.iter_mut().zip(a.into_iter().zip(b)) {
        put(line, [share.0, share.1]);
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn mul_factor(x: V, lines: &[Line; SHARES]) -> V {
    let [a, b, c] = [get(&lines[0]), get(&lines[1]), get(&lines[2])];
    Logarithms::new(x).times(&Logarithms([[a[0], b[0], c[0]], [a[1], b[1], c[1]]]))
}

/// A factor of many elements of GF(2^16), as bytes to multiply by: T = t₀ + t₁ z as t₀, γ t₁, t₁ and t₀ + t₁.
struct Pair([Logarithms; 4]);

impl Pair {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(field: &Field<'_>, t: [V; 2]) -> Self {
        let factors = [t[0], field.times_gamma(t[1]), t[1], xor(t[0], t[1])];
        Self(factors.map(|t| Logarithms::new(t)))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times(&self, _field: &Field<'_>, x: [V; 2]) -> [V; 2] {
        let [a, b] = [self.half::<0>([x[0][0], x[1][0]]), self.half::<1>([x[0][1], x[1][1]])];
        [[a[0], b[0]], [a[1], b[1]]]
    }

    /// The products of half a vector, so that their logarithms stay in registers.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn half<const H: usize>(&self, x: [__m256i; 2]) -> [__m256i; 2] {
        let (a, b, [t0, t1, t2, t3]) = (logarithms(x[0]), logarithms(x[1]), &self.0);
        [
            _mm256_xor_si256(product(a, t0.0[H]), product(b, t1.0[H])),
            _mm256_xor_si256(product(a, t2.0[H]), product(b, t3.0[H])),
        ]
    }
}

/// A factor of many elements of GF(2^32); see the 512-bit rung.
struct Factor {
    low: Pair,
    high: Pair,
    sum: Pair,
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(field: &Field<'_>, t: [V; 4]) -> Self {
        Self {
            low: Pair::new(field, [t[0], t[1]]),
            high: Pair::new(field, field.times_beta([t[2], t[3]])),
            sum: Pair::new(field, [xor(t[0], t[2]), xor(t[1], t[3])]),
        }
    }

    /// x by the factor of a block; see [`sixteen_pairs`].
    #[inline]
    #[target_feature(enable = "avx2")]
    fn times(&self, field: &Field<'_>, tables: &Tables, x: [V; 4], block: usize) -> [V; 4] {
        let low = self.low.times(field, [x[0], x[1]]);
        let high = self.high.times(field, [x[2], x[3]]);
        let sum = self.sum.times(field, [xor(x[0], x[2]), xor(x[1], x[3])]);
        let product = [xor(low[0], high[0]), xor(low[1], high[1]), xor(sum[0], low[0]), xor(sum[1], low[1])];
        if block == 0 {
            return product;
        }
        let more = Nibbles::new(&tables.times_sums[block]);
        [0, 1, 2, 3].map(|plane| xor(product[plane], more.apply(x[plane])))
    }
}

/// Of the low nibbles, the high ones and their sums.
#[inline]
#[target_feature(enable = "avx2")]
fn logarithms(x: __m256i) -> [__m256i; 3] {
    let (table, mask) = (twice(&nibbles::LOGARITHMS), _mm256_set1_epi8(15));
    let low = _mm256_and_si256(x, mask);
    let high = _mm256_and_si256(_mm256_srli_epi64::<4>(x), mask);
    [
        _mm256_shuffle_epi8(table, low),
        _mm256_shuffle_epi8(table, high),
        _mm256_shuffle_epi8(table, _mm256_xor_si256(low, high)),
    ]
}

/// What the product of a pair of nibbles adds: a sum of logarithms modulo 15 looked up; those with zero
/// stay above 127, where `pshufb` gives zero.
#[inline]
#[target_feature(enable = "avx2")]
fn partial<const N: usize>(a: [__m256i; 3], b: [__m256i; 3]) -> __m256i {
    let sum = _mm256_adds_epu8(a[N], b[N]);
    let modulo = _mm256_min_epu8(sum, _mm256_sub_epi8(sum, _mm256_set1_epi8(15)));
    _mm256_shuffle_epi8(twice(&nibbles::PRODUCTS[N]), modulo)
}

#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(line: &Line) {
    _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast());
}

/// Bytes are written over nibbles.
fn written(tables: &Tables) -> &Tables {
    tables.over_nibbles()
}

/// The words one place up, the last of `left` coming in.
#[inline]
#[target_feature(enable = "avx2")]
fn word_up(x: __m256i, left: __m256i) -> __m256i {
    let (x, left) = (_mm256_permute4x64_epi64::<0x93>(x), _mm256_permute4x64_epi64::<0x93>(left));
    _mm256_blend_epi32::<3>(x, left)
}

#[inline]
#[target_feature(enable = "avx2")]
fn funnel<const S: i32>(x: __m256i, before: __m256i) -> __m256i {
    let down = _mm_cvtsi32_si128(64 - S);
    _mm256_or_si256(_mm256_slli_epi64::<S>(x), _mm256_srl_epi64(before, down))
}

#[inline]
#[target_feature(enable = "avx2")]
fn up<const S: i32>(x: V, left: V) -> V {
    match S {
        128 => {
            [_mm256_permute2x128_si256::<0x21>(left[1], x[0]), _mm256_permute2x128_si256::<0x21>(x[0], x[1])]
        }
        64 => [word_up(x[0], left[1]), word_up(x[1], x[0])],
        _ => [funnel::<S>(x[0], word_up(x[0], left[1])), funnel::<S>(x[1], word_up(x[1], x[0]))],
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn up_half<const S: i32>(x: V, left: V) -> V {
    [funnel::<S>(x[0], word_up(x[0], left[0])), funnel::<S>(x[1], word_up(x[1], left[1]))]
}

#[inline]
#[target_feature(enable = "avx2")]
fn lower(a: V, b: V) -> V {
    [a[0], b[0]]
}

#[inline]
#[target_feature(enable = "avx2")]
fn upper(a: V, b: V) -> V {
    [a[1], b[1]]
}

#[inline]
#[target_feature(enable = "avx2")]
fn upper_to_lower(x: V) -> V {
    [x[1], _mm256_setzero_si256()]
}

#[inline]
#[target_feature(enable = "avx2")]
fn keep_upper(x: V) -> V {
    [_mm256_setzero_si256(), x[1]]
}

#[inline]
#[target_feature(enable = "avx2")]
fn swap_lanes<const K: usize>(a: V, b: V) -> (V, V) {
    if K == 5 {
        return (lower(a, b), upper(a, b));
    }
    let (low, high) = (swap32::<K>(a[0], b[0]), swap32::<K>(a[1], b[1]));
    ([low.0, high.0], [low.1, high.1])
}

#[inline]
#[target_feature(enable = "avx2")]
fn swap32<const K: usize>(a: __m256i, b: __m256i) -> (__m256i, __m256i) {
    match K {
        0 => {
            let odd = _mm256_set1_epi16(0xff00u16.cast_signed());
            (
                _mm256_blendv_epi8(a, _mm256_slli_epi64::<8>(b), odd),
                _mm256_blendv_epi8(_mm256_srli_epi64::<8>(a), b, odd),
            )
        }
        1 => (
            _mm256_blend_epi16::<0xaa>(a, _mm256_slli_epi64::<16>(b)),
            _mm256_blend_epi16::<0xaa>(_mm256_srli_epi64::<16>(a), b),
        ),
        2 => (
            _mm256_blend_epi32::<0xaa>(a, _mm256_slli_epi64::<32>(b)),
            _mm256_blend_epi32::<0xaa>(_mm256_srli_epi64::<32>(a), b),
        ),
        3 => (_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b)),
        _ => (_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)),
    }
}

/// A linear map of bytes: the images of low and of high nibbles.
#[derive(Clone, Copy)]
struct Nibbles([__m256i; 2]);

impl Nibbles {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(map: &Map) -> Self {
        Self([twice(&map.nibbles[0]), twice(&map.nibbles[1])])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn apply(self, x: V) -> V {
        let low = _mm256_set1_epi8(15);
        let half = |x: __m256i| {
            let high = _mm256_and_si256(_mm256_srli_epi64::<4>(x), low);
            let low = _mm256_shuffle_epi8(self.0[0], _mm256_and_si256(x, low));
            _mm256_xor_si256(low, _mm256_shuffle_epi8(self.0[1], high))
        };
        [half(x[0]), half(x[1])]
    }
}

/// Sixteen bytes in both halves.
#[inline]
#[target_feature(enable = "avx2")]
fn twice(table: &[u8; 16]) -> __m256i {
    // SAFETY: sixteen bytes are readable.
    let table = unsafe { _mm_loadu_si128(table.as_ptr().cast()) };
    _mm256_broadcastsi128_si256(table)
}

struct Field<'a> {
    maps: &'a Maps,
}

impl<'a> Field<'a> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(tables: &'a Tables) -> Self {
        Self { maps: &tables.maps }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times(&self, x: V, t: &Map) -> V {
        Nibbles::new(t).apply(x)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times_gamma(&self, x: V) -> V {
        Nibbles::new(&self.maps.gamma).apply(x)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times_v3(&self, x: V) -> V {
        Nibbles::new(&self.maps.v3).apply(x)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn times_beta(&self, x: [V; 2]) -> [V; 2] {
        let [a, b, c, d] = &self.maps.beta;
        let map = |map: &Map, x: V| Nibbles::new(map).apply(x);
        [xor(map(a, x[0]), map(b, x[1])), xor(map(c, x[0]), map(d, x[1]))]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn fourth(&self, x: V) -> V {
        Nibbles::new(&self.maps.fourth).apply(x)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn fourth_back(&self, x: V) -> V {
        Nibbles::new(&self.maps.fourth_back).apply(x)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn pack8(field: &Field<'_>, mut x: [V; 8]) -> [V; 8] {
    transpose_bytes(&mut x);
    for x in &mut x {
        *x = Nibbles::new(&field.maps.packed).apply(transpose_bits(*x));
    }
    x
}

#[inline]
#[target_feature(enable = "avx2")]
fn unpack8(field: &Field<'_>, mut x: [V; 8]) -> [V; 8] {
    for x in &mut x {
        *x = transpose_bits(Nibbles::new(&field.maps.unpacked).apply(*x));
    }
    transpose_bytes(&mut x);
    x
}

/// Swaps byte number and vector number within each word of eight vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_bytes(x: &mut [V; 8]) {
    for (a, b) in [(0, 1), (2, 3), (4, 5), (6, 7)] {
        (x[a], x[b]) = swap_lanes::<0>(x[a], x[b]);
    }
    for (a, b) in [(0, 2), (1, 3), (4, 6), (5, 7)] {
        (x[a], x[b]) = swap_lanes::<1>(x[a], x[b]);
    }
    for (a, b) in [(0, 4), (1, 5), (2, 6), (3, 7)] {
        (x[a], x[b]) = swap_lanes::<2>(x[a], x[b]);
    }
}

/// Swaps bit number and byte number of every word.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose_bits(x: V) -> V {
    let half = |x: __m256i| {
        let x = swap_bits::<7>(x, 0x00aa_00aa_00aa_00aa);
        let x = swap_bits::<14>(x, 0x0000_cccc_0000_cccc);
        swap_bits::<28>(x, 0x0000_0000_f0f0_f0f0)
    };
    [half(x[0]), half(x[1])]
}

#[inline]
#[target_feature(enable = "avx2")]
fn swap_bits<const S: i32>(x: __m256i, mask: i64) -> __m256i {
    let moved = _mm256_xor_si256(x, _mm256_srli_epi64::<S>(x));
    let swapped = _mm256_and_si256(moved, _mm256_set1_epi64x(mask));
    _mm256_xor_si256(x, _mm256_xor_si256(swapped, _mm256_slli_epi64::<S>(swapped)))
}
