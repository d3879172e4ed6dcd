//! The transform on byte planes.
//!
//! After the change of basis, pass one packs the layers 1, 2, 4 into bytes and does layer 3; pass two
//! does the layers 5 to 11 and turns their index bits into lane numbers, so that no later layer mixes
//! lanes; then cells of two vectors (the planes of GF(2^16)) follow, and pairs of cells after layer 16.

use std::arch::x86_64::*;

use super::tables::{LANE_BITS, multiply8, multiply16};
use super::{Tables, basis_change};

pub(super) type V = __m512i;

/// Words of a cell: two vectors.
const CELL: usize = 16;

/// Layers done at once at the end.
const LEAF: usize = 4;

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn load(words: &[u64], at: usize) -> V {
    let words: &[u64; 8] = words[at..at + 8].first_chunk().expect("eight words");
    // SAFETY: eight words are 64 readable bytes.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn store(words: &mut [u64], at: usize, value: V) {
    let words: &mut [u64; 8] = words[at..at + 8].first_chunk_mut().expect("eight words");
    // SAFETY: eight words are 64 writable bytes.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn bytes(bytes: &[u8; 64]) -> V {
    // SAFETY: 64 bytes are readable.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn xor(a: V, b: V) -> V {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn mul(a: V, b: V) -> V {
    _mm512_gf2p8mul_epi8(a, b)
}

#[inline]
#[target_feature(enable = "avx512f,gfni")]
fn affine(x: V, matrix: V) -> V {
    _mm512_gf2p8affine_epi64_epi8::<0>(x, matrix)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn all(byte: u32) -> V {
    _mm512_set1_epi8(byte as u8 as i8)
}

/// The constants of the field, in registers.
struct Field {
    gamma: V,
    /// Multiplication by β as two by two matrices over GF(2^8).
    beta: [V; 4],
    /// A bit a byte, transposed and in the basis of products of v_1, v_2, v_4; and back.
    packed: V,
    unpacked: V,
    identity: V,
    /// Layer 4 of the upper half, and back.
    fourth: V,
    fourth_back: V,
    v3: V,
}

/// The matrix of a linear map of bytes as `gf2p8affineqb` reads it: row r in byte 7 − r.
fn matrix(map: impl Fn(u8) -> u8) -> u64 {
    let mut rows = 0;
    for column in 0..8 {
        let image = u64::from(map(1 << column));
        for row in 0..8 {
            rows |= (image >> row & 1) << (8 * (7 - row) + column);
        }
    }
    rows
}

/// The inverse of a linear map of bytes.
fn back(map: impl Fn(u8) -> u8) -> impl Fn(u8) -> u8 {
    let mut table = [0; 256];
    for x in 0..=255 {
        table[usize::from(map(x))] = x;
    }
    move |y| table[usize::from(y)]
}

impl Field {
    #[target_feature(enable = "avx512f")]
    fn new(tables: &Tables) -> Self {
        let v = |i: usize| tables.v(i) as u8;
        let (gamma, beta) = (v(7), tables.v(15) as u16);
        let times_beta = |shift: u32, part: usize| {
            matrix(move |x| multiply16(gamma, u16::from(x) << shift, beta).to_le_bytes()[part])
        };
        let product = |bits: u8| {
            [1, 2, 4].iter().enumerate().fold(1, |product, (bit, i)| match bits >> bit & 1 {
                1 => multiply8(product, v(*i)),
                _ => product,
            })
        };
        // Computed once: the inverse maps below ask for them at every byte.
        let products: [u8; 8] = std::array::from_fn(|bits| product(bits as u8));
        let pack =
            move |x: u8| (0..8).fold(0, |sum, bit| sum ^ products[bit] & 0u8.wrapping_sub(x >> bit & 1));
        let unpack = back(pack);
        let fourth = |x: u8| x ^ multiply8(v(1), pack(unpack(x) >> 4));
        let word = |matrix: u64| _mm512_set1_epi64(matrix.cast_signed());
        Self {
            gamma: all(gamma.into()),
            beta: [
                word(times_beta(0, 0)),
                word(times_beta(8, 0)),
                word(times_beta(0, 1)),
                word(times_beta(8, 1)),
            ],
            packed: word(matrix(pack)),
            unpacked: word(matrix(&unpack)),
            identity: word(0x8040_2010_0804_0201),
            fourth: word(matrix(fourth)),
            fourth_back: word(matrix(back(fourth))),
            v3: all(v(3).into()),
        }
    }

    /// x · t in GF(2^16).
    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn mul16(&self, x: [V; 2], t: [V; 2]) -> [V; 2] {
        let (low, high) = (mul(x[0], t[0]), mul(x[1], t[1]));
        let middle = mul(xor(x[0], x[1]), xor(t[0], t[1]));
        [xor(low, mul(high, self.gamma)), xor(middle, low)]
    }

    /// x · t in GF(2^32).
    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn mul32(&self, x: [V; 4], t: [V; 4]) -> [V; 4] {
        let low = self.mul16([x[0], x[1]], [t[0], t[1]]);
        let high = self.mul16([x[2], x[3]], [t[2], t[3]]);
        let middle = self.mul16([xor(x[0], x[2]), xor(x[1], x[3])], [xor(t[0], t[2]), xor(t[1], t[3])]);
        let beta = &self.beta;
        [
            _mm512_ternarylogic_epi64::<0x96>(low[0], affine(high[0], beta[0]), affine(high[1], beta[1])),
            _mm512_ternarylogic_epi64::<0x96>(low[1], affine(high[0], beta[2]), affine(high[1], beta[3])),
            xor(middle[0], low[0]),
            xor(middle[1], low[1]),
        ]
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,gfni")]
pub(super) fn forward(tables: &Tables, values: &mut [u64], scratch: &mut [u64]) {
    let n = tables.words();
    assert!(values.len() == n && scratch.len() >= n, "{} words", values.len());
    let (field, scratch) = (Field::new(tables), &mut scratch[..n]);
    basis_change::forward(tables.log(), values, scratch);
    pack(&field, values, scratch);
    spread::<false>(&field, tables, scratch, values);
    let (zero, one) = values.split_at_mut(n / 2);
    layers16::<false>(&field, tables, zero, tables.log() - 12, 0);
    layers16::<false>(&field, tables, one, tables.log() - 12, 1 << (tables.log() - 3));
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,gfni")]
pub(super) fn inverse(tables: &Tables, values: &mut [u64], scratch: &mut [u64]) {
    let n = tables.words();
    assert!(values.len() == n && scratch.len() >= n, "{} words", values.len());
    let (field, scratch) = (Field::new(tables), &mut scratch[..n]);
    let (zero, one) = values.split_at_mut(n / 2);
    layers16::<true>(&field, tables, zero, tables.log() - 12, 0);
    layers16::<true>(&field, tables, one, tables.log() - 12, 1 << (tables.log() - 3));
    spread::<true>(&field, tables, scratch, values);
    unpack(&field, scratch, values);
    basis_change::inverse(tables.log(), values, scratch);
}

#[target_feature(enable = "avx512f,gfni")]
pub(super) fn multiply_add(tables: &Tables, sum: &mut [u64], a: &[u64], b: &[u64], _scratch: &mut [u64]) {
    let n = tables.words();
    assert!(sum.len() == n && a.len() == n && b.len() == n, "{} words", sum.len());
    let field = Field::new(tables);
    let half = CELL << (tables.log() - 16);
    for block in (0..n).step_by(2 * half) {
        for cell in (block..block + half).step_by(CELL) {
            let at = [cell, cell + 8, cell + half, cell + half + 8];
            let product = field.mul32(at.map(|at| load(a, at)), at.map(|at| load(b, at)));
            for (at, product) in at.into_iter().zip(product) {
                store(sum, at, xor(load(sum, at), product));
            }
        }
    }
}

/// Swaps byte number and vector number within each word of eight vectors.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose_bytes(x: &mut [V; 8]) {
    const MASKS: [u64; 3] = [0xaaaa_aaaa_aaaa_aaaa, 0xcccc_cccc_cccc_cccc, 0xf0f0_f0f0_f0f0_f0f0];
    for k in 0..3 {
        let shift = _mm_cvtsi32_si128(8 << k);
        for p in (0..8).filter(|p| p >> k & 1 == 0) {
            let (a, b) = (x[p], x[p | 1 << k]);
            x[p] = _mm512_mask_mov_epi8(a, MASKS[k], _mm512_sll_epi64(b, shift));
            x[p | 1 << k] = _mm512_mask_mov_epi8(_mm512_srl_epi64(a, shift), MASKS[k], b);
        }
    }
}

/// The segment of sixteen that half c and plane p come from: the top index bits are p₀ p₁ c p₂.
fn segment(c: usize, p: usize) -> usize {
    (p & 1) << 3 | (p >> 1 & 1) << 2 | c << 1 | p >> 2
}

/// Layers 1 to 4.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn pack(field: &Field, bits: &[u64], out: &mut [u64]) {
    let (n, length) = (bits.len(), bits.len() / 16);
    for g in (0..length).step_by(8) {
        let mut x = [[_mm512_setzero_si512(); 8]; 2];
        for c in 0..2 {
            for p in 0..8 {
                x[c][7 - p] = load(bits, segment(c, p) * length + g);
            }
            transpose_bytes(&mut x[c]);
            for b in 0..8 {
                x[c][b] = affine(affine(field.identity, x[c][b]), field.packed);
            }
        }
        for b in 0..8 {
            let low = xor(x[0][b], mul(x[1][b], field.v3));
            store(out, 8 * g + 8 * b, low);
            store(out, n / 2 + 8 * g + 8 * b, affine(xor(low, x[1][b]), field.fourth));
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn unpack(field: &Field, values: &[u64], bits: &mut [u64]) {
    let (n, length) = (bits.len(), bits.len() / 16);
    for g in (0..length).step_by(8) {
        let mut x = [[_mm512_setzero_si512(); 8]; 2];
        for b in 0..8 {
            let low = load(values, 8 * g + 8 * b);
            let high = affine(load(values, n / 2 + 8 * g + 8 * b), field.fourth_back);
            x[1][b] = xor(low, high);
            x[0][b] = xor(low, mul(x[1][b], field.v3));
        }
        for c in 0..2 {
            for b in 0..8 {
                let rows = affine(x[c][b], field.unpacked);
                x[c][b] = affine(affine(field.identity, rows), field.identity);
            }
            transpose_bytes(&mut x[c]);
            for p in 0..8 {
                store(bits, segment(c, p) * length + g, x[c][p]);
            }
        }
    }
}

/// The layers 5 to 11, and the exchange of their index bits with the lane number: unit by unit from
/// `packed` to `cells`, or back.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,gfni")]
fn spread<const BACK: bool>(field: &Field, tables: &Tables, packed: &mut [u64], cells: &mut [u64]) {
    let (log, n) = (tables.log(), packed.len());
    let offsets: [usize; 64] = std::array::from_fn(|number| {
        let place = |k: usize| 1 << (log - LANE_BITS[k] - 3);
        (0..6).filter(|k| number >> k & 1 == 1).map(place).sum()
    });
    for c in 0..2 {
        let twiddles = Twiddles::new(tables, c);
        for r in 0..1usize << (log - 17) {
            let mut x = [[_mm512_setzero_si512(); 64]; 2];
            let from = c * n / 2 + 8 * r;
            let to = c * n / 2 + CELL * ((r & 7) << 3 | r >> 3 << 9);
            let cell = |m: usize| to + CELL * (m & 7 | m >> 3 << 6);
            if BACK {
                for m in 0..64 {
                    x[0][m] = load(cells, cell(m));
                    x[1][m] = load(cells, cell(m) + 8);
                }
                exchange(&mut x);
                twiddles.back(field, &mut x);
                for plane in 0..2 {
                    for number in 0..64 {
                        let at = from + offsets[number] + (plane << (log - 11));
                        store(packed, at, x[plane][number]);
                    }
                }
            } else {
                for plane in 0..2 {
                    for number in 0..64 {
                        x[plane][number] = load(packed, from + offsets[number] + (plane << (log - 11)));
                    }
                }
                twiddles.apply(field, &mut x);
                exchange(&mut x);
                for m in 0..64 {
                    store(cells, cell(m), x[0][m]);
                    store(cells, cell(m) + 8, x[1][m]);
                }
            }
        }
    }
}

/// Swaps vector number and lane number of 64 vectors, in both planes.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi")]
fn exchange(x: &mut [[V; 64]; 2]) {
    for k in 0..6 {
        let kept = |lane: usize| if lane >> k & 1 == 0 { lane } else { 64 + (lane ^ 1 << k) };
        let low: [u8; 64] = std::array::from_fn(|lane| kept(lane) as u8);
        let high: [u8; 64] =
            std::array::from_fn(|lane| (if lane >> k & 1 == 0 { lane | 1 << k } else { 64 + lane }) as u8);
        let (low, high) = (bytes(&low), bytes(&high));
        for plane in &mut *x {
            for n in (0..64).filter(|n| n >> k & 1 == 0) {
                let (a, b) = (plane[n], plane[n | 1 << k]);
                plane[n] = _mm512_permutex2var_epi8(a, low, b);
                plane[n | 1 << k] = _mm512_permutex2var_epi8(a, high, b);
            }
        }
    }
}

/// The twiddles of the layers 5, 6, 7 (bytes), 8 and 9, 10, 11 (two bytes) by the numbers chosen above.
struct Twiddles {
    layers: [[u16; 32]; 6],
    eighth: [u8; 8],
}

impl Twiddles {
    fn new(tables: &Tables, c: usize) -> Self {
        let log = tables.log();
        let mask = |number: usize| {
            let bits = (0..6).filter(|k| number >> k & 1 == 1).map(|k| 1 << (log - LANE_BITS[k]));
            bits.fold((c as u32) << (log - 3), |mask, bit: u32| mask | bit)
        };
        let layer = |k: usize| {
            let twiddle = |number: usize| tables.twiddle(log - LANE_BITS[k], mask(number)) as u16;
            std::array::from_fn(|number| if number < 1 << k { twiddle(number) } else { 0 })
        };
        Self {
            layers: std::array::from_fn(layer),
            eighth: std::array::from_fn(|number| tables.chosen(log - 8, mask(number)) as u8),
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,gfni")]
    fn apply(&self, field: &Field, x: &mut [[V; 64]; 2]) {
        for k in 0..3 {
            for n in (0..64).filter(|n| n >> k & 1 == 0) {
                let t = all(self.layers[k][n & ((1 << k) - 1)].into());
                for plane in &mut *x {
                    plane[n] = xor(plane[n], mul(plane[n | 1 << k], t));
                    plane[n | 1 << k] = xor(plane[n | 1 << k], plane[n]);
                }
            }
        }
        self.drop8(x);
        for k in 3..6 {
            for n in (0..64).filter(|n| n >> k & 1 == 0) {
                let t = self.twiddle16(k, n);
                let hi = n | 1 << k;
                let product = field.mul16([x[0][hi], x[1][hi]], t);
                for plane in 0..2 {
                    x[plane][n] = xor(x[plane][n], product[plane]);
                    x[plane][hi] = xor(x[plane][hi], x[plane][n]);
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,gfni")]
    fn back(&self, field: &Field, x: &mut [[V; 64]; 2]) {
        for k in (3..6).rev() {
            for n in (0..64).filter(|n| n >> k & 1 == 0) {
                let t = self.twiddle16(k, n);
                let hi = n | 1 << k;
                for plane in &mut *x {
                    plane[hi] = xor(plane[hi], plane[n]);
                }
                let product = field.mul16([x[0][hi], x[1][hi]], t);
                for plane in 0..2 {
                    x[plane][n] = xor(x[plane][n], product[plane]);
                }
            }
        }
        self.drop8(x);
        for k in (0..3).rev() {
            for n in (0..64).filter(|n| n >> k & 1 == 0) {
                let t = all(self.layers[k][n & ((1 << k) - 1)].into());
                for plane in &mut *x {
                    plane[n | 1 << k] = xor(plane[n | 1 << k], plane[n]);
                    plane[n] = xor(plane[n], mul(plane[n | 1 << k], t));
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn twiddle16(&self, k: usize, n: usize) -> [V; 2] {
        let t = u32::from(self.layers[k][n & ((1 << k) - 1)]);
        [all(t), all(t >> 8)]
    }

    /// Layer 8, its own inverse.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,gfni")]
    fn drop8(&self, x: &mut [[V; 64]; 2]) {
        let [low, high] = x;
        for n in 0..64 {
            low[n] = xor(low[n], mul(high[n], all(self.eighth[n & 7].into())));
        }
    }
}

/// The twiddle vectors of a layer: the part all lanes share, and each lane's own.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn vectors(tables: &Tables, i: usize, shared: u32) -> [V; 4] {
    let lanes = &tables.lanes[i];
    std::array::from_fn(|plane| xor(all(shared >> (8 * plane)), bytes(&lanes[plane])))
}

/// The layers 12 to 15 of GF(2^16), depth first, then each block's layers over GF(2^32).
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn layers16<const BACK: bool>(field: &Field, tables: &Tables, cells: &mut [u64], i: usize, mask: u32) {
    if i == tables.log() - 16 {
        let [t0, t1, ..] = vectors(tables, i, tables.chosen(i, mask));
        let (low, high) = cells.split_at_mut(cells.len() / 2);
        if BACK {
            layers32::<true>(field, tables, (low, high), i - 1, mask);
        }
        for at in (0..low.len()).step_by(CELL) {
            let product = field.mul16([load(high, at), load(high, at + 8)], [t0, t1]);
            store(low, at, xor(load(low, at), product[0]));
            store(low, at + 8, xor(load(low, at + 8), product[1]));
        }
        if !BACK {
            layers32::<false>(field, tables, (low, high), i - 1, mask);
        }
        return;
    }
    let (low, high) = cells.split_at_mut(cells.len() / 2);
    if BACK {
        layers16::<true>(field, tables, low, i - 1, mask);
        layers16::<true>(field, tables, high, i - 1, mask | 1 << i);
    }
    let [t0, t1, ..] = vectors(tables, i, tables.twiddle(i, mask));
    for at in (0..low.len()).step_by(CELL) {
        let mut a = [load(low, at), load(low, at + 8)];
        let mut b = [load(high, at), load(high, at + 8)];
        if BACK {
            b = [xor(b[0], a[0]), xor(b[1], a[1])];
        }
        let product = field.mul16(b, [t0, t1]);
        a = [xor(a[0], product[0]), xor(a[1], product[1])];
        if !BACK {
            b = [xor(b[0], a[0]), xor(b[1], a[1])];
        }
        for plane in 0..2 {
            store(low, at + 8 * plane, a[plane]);
            store(high, at + 8 * plane, b[plane]);
        }
    }
    if !BACK {
        layers16::<false>(field, tables, low, i - 1, mask);
        layers16::<false>(field, tables, high, i - 1, mask | 1 << i);
    }
}

/// One butterfly over GF(2^32) at two places; the planes 0, 1 lie in one slice, 2, 3 in the other.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn butterfly<const BACK: bool>(
    field: &Field,
    halves: (&mut [u64], &mut [u64]),
    at: usize,
    up: usize,
    t: [V; 4],
) {
    let (low, high) = halves;
    let (mut a, mut b) = (four(low, high, at), four(low, high, at + up));
    if BACK {
        b = std::array::from_fn(|plane| xor(b[plane], a[plane]));
    }
    let product = field.mul32(b, t);
    a = std::array::from_fn(|plane| xor(a[plane], product[plane]));
    if !BACK {
        b = std::array::from_fn(|plane| xor(b[plane], a[plane]));
    }
    for (at, x) in [(at, a), (at + up, b)] {
        store(low, at, x[0]);
        store(low, at + 8, x[1]);
        store(high, at, x[2]);
        store(high, at + 8, x[3]);
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn four(low: &[u64], high: &[u64], at: usize) -> [V; 4] {
    [load(low, at), load(low, at + 8), load(high, at), load(high, at + 8)]
}

/// The layers i … 0 over GF(2^32), depth first down to the leaves.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn layers32<const BACK: bool>(
    field: &Field,
    tables: &Tables,
    halves: (&mut [u64], &mut [u64]),
    i: usize,
    mask: u32,
) {
    if i + 1 == LEAF {
        leaf::<BACK>(field, tables, halves, mask);
        return;
    }
    let (low, high) = halves;
    let half = low.len() / 2;
    if BACK {
        layers32::<true>(field, tables, (&mut low[..half], &mut high[..half]), i - 1, mask);
        layers32::<true>(field, tables, (&mut low[half..], &mut high[half..]), i - 1, mask | 1 << i);
    }
    let t = vectors(tables, i, tables.twiddle(i, mask));
    for at in (0..half).step_by(CELL) {
        butterfly::<BACK>(field, (low, high), at, half, t);
    }
    if !BACK {
        layers32::<false>(field, tables, (&mut low[..half], &mut high[..half]), i - 1, mask);
        layers32::<false>(field, tables, (&mut low[half..], &mut high[half..]), i - 1, mask | 1 << i);
    }
}

/// The last layers on sixteen pairs of cells.
#[target_feature(enable = "avx512f,avx512bw,gfni")]
fn leaf<const BACK: bool>(field: &Field, tables: &Tables, halves: (&mut [u64], &mut [u64]), mask: u32) {
    let (low, high) = halves;
    // From block j to j + 1 the twiddle changes by v_1 + … + v_(1+t), t the trailing ones of j.
    let step: [[V; 4]; 3] = std::array::from_fn(|t| {
        let sum = (0..=t).fold(0, |sum, k| sum ^ tables.v(1 + k));
        std::array::from_fn(|plane| all(sum >> (8 * plane)))
    });
    for layer in 0..LEAF {
        let i = if BACK { layer } else { LEAF - 1 - layer };
        let mut t = vectors(tables, i, tables.twiddle(i, mask));
        let blocks = 1usize << (LEAF - 1 - i);
        for block in 0..blocks {
            let start = block << (i + 1);
            for cell in start..start + (1 << i) {
                butterfly::<BACK>(field, (low, high), CELL * cell, CELL << i, t);
            }
            if block + 1 < blocks {
                let step = step[block.trailing_ones() as usize];
                t = std::array::from_fn(|plane| xor(t[plane], step[plane]));
            }
        }
    }
}
