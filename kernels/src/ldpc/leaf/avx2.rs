//! 16 lanes a register, four registers a block.

use std::arch::x86_64::*;

use super::{ARTANH, COARSE, CORRECTION_END, Edge, Factors, Gain, Lanes, MOST_SIZE, PARITY_LIMIT, certain};

/// Registers of a block.
const QUARTERS: usize = 4;

#[inline]
#[target_feature(enable = "avx2")]
fn load(lanes: &[i16; 16]) -> __m256i {
    // SAFETY: the reference covers the 32 bytes read.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(lanes: &mut [i16; 16], value: __m256i) {
    // SAFETY: the reference covers the 32 bytes written.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), value) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn quarters(lanes: &Lanes) -> [__m256i; QUARTERS] {
    let (parts, _) = lanes.0.as_chunks::<16>();
    [load(&parts[0]), load(&parts[1]), load(&parts[2]), load(&parts[3])]
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_quarter(lanes: &mut Lanes, quarter: usize, value: __m256i) {
    store(&mut lanes.0.as_chunks_mut::<16>().0[quarter], value);
}

/// A block's lanes from the rotation on: three quarters lie in a row, one goes over the end.
#[inline]
#[target_feature(enable = "avx2")]
fn rotated(lanes: &Lanes, rotation: u16) -> [__m256i; QUARTERS] {
    let mut seam = [0; 32];
    seam[..16].copy_from_slice(&lanes.0[48..]);
    seam[16..].copy_from_slice(&lanes.0[..16]);
    let mut out = [_mm256_setzero_si256(); QUARTERS];
    for (quarter, out) in out.iter_mut().enumerate() {
        let first = (16 * quarter + usize::from(rotation)) % 64;
        let from = if first <= 48 { &lanes.0[first..first + 16] } else { &seam[first - 48..first - 32] };
        *out = load(from.try_into().expect("16 lanes"));
    }
    out
}

/// Low and high bytes of 16 lines of a table, twice: what a byte shuffle reads.
type Bytes = [__m256i; 2];

#[inline]
#[target_feature(enable = "avx2")]
fn bytes_of(lines: &[i16]) -> Bytes {
    let (mut low, mut high) = ([0; 16], [0; 16]);
    for (i, line) in lines.iter().enumerate().take(16) {
        let [least, most] = line.to_le_bytes();
        low[i] = least;
        high[i] = most;
    }
    [twice(&low), twice(&high)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn twice(bytes: &[u8; 16]) -> __m256i {
    _mm256_set_m128i(
        _mm_set_epi64x(word(bytes, 8), word(bytes, 0)),
        _mm_set_epi64x(word(bytes, 8), word(bytes, 0)),
    )
}

fn word(bytes: &[u8; 16], from: usize) -> i64 {
    i64::from_le_bytes(bytes[from..from + 8].try_into().expect("8 of 16"))
}

/// The lines of factors within ±16, beyond which they are flat: positive ones, negative ones.
#[derive(Clone, Copy)]
struct Lines([Bytes; 2]);

impl Lines {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new(factors: &Factors) -> Self {
        Self([bytes_of(&factors.0[..16]), bytes_of(&factors.0[48..])])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn factor(&self, a: __m256i) -> __m256i {
        let a = _mm256_max_epi16(a, _mm256_set1_epi16(-16384));
        let a = _mm256_min_epi16(a, _mm256_set1_epi16(16383));
        let line = _mm256_and_si256(_mm256_srli_epi16(a, 10), _mm256_set1_epi16(15));
        let line = look_up(&self.0, line, _mm256_srai_epi16(a, 15));
        // Bytes: the whole of a line's value, a part of its rise.
        let part = _mm256_or_si256(_mm256_slli_epi16(a, 6), _mm256_set1_epi16(0xff));
        _mm256_maddubs_epi16(part, line)
    }
}

/// The entry of one table where the choice is 0, of the other where it is −1.
#[inline]
#[target_feature(enable = "avx2")]
fn look_up(tables: &[Bytes; 2], line: __m256i, choice: __m256i) -> __m256i {
    // A byte with its top bit set is shuffled to zero: only the low byte of a lane is looked up.
    let line = _mm256_or_si256(line, _mm256_set1_epi16(i16::MIN));
    let byte = |which: usize| {
        let above = _mm256_shuffle_epi8(tables[0][which], line);
        _mm256_blendv_epi8(above, _mm256_shuffle_epi8(tables[1][which], line), choice)
    };
    _mm256_or_si256(byte(0), _mm256_slli_epi16(byte(1), 8))
}

/// All lines of 2·artanh: the two sixteens of positive products, and of negative ones.
#[derive(Clone, Copy)]
struct Artanh([[Bytes; 2]; 2]);

impl Artanh {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        let sixteen = |i: usize| bytes_of(&ARTANH[16 * i..16 * i + 16]);
        Self([[sixteen(0), sixteen(1)], [sixteen(2), sixteen(3)]])
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn twice(&self, o: __m256i) -> __m256i {
        let line = _mm256_and_si256(_mm256_srli_epi16(o, 9), _mm256_set1_epi16(15));
        // The fifth bit of the line's number, and its sign.
        let (upper, negative) = (_mm256_srai_epi16(_mm256_slli_epi16(o, 2), 15), _mm256_srai_epi16(o, 15));
        let above = look_up(&self.0[0], line, upper);
        let line = _mm256_blendv_epi8(above, look_up(&self.0[1], line, upper), negative);
        let part = _mm256_and_si256(_mm256_slli_epi16(o, 5), _mm256_set1_epi16(0x3f00));
        _mm256_maddubs_epi16(_mm256_or_si256(part, _mm256_set1_epi16(64)), line)
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn box_plus(a: __m256i, b: __m256i) -> __m256i {
    let (least, most) = (_mm256_min_epi16(a, b), _mm256_max_epi16(a, b));
    let end = _mm256_set1_epi16(CORRECTION_END);
    let near = _mm256_subs_epu16(end, _mm256_sub_epi16(most, least));
    let far = _mm256_subs_epu16(end, _mm256_add_epi16(a, b));
    let excess = _mm256_mulhrs_epi16(_mm256_sub_epi16(near, far), _mm256_add_epi16(near, far));
    _mm256_sub_epi16(least, excess)
}

runs!(target_feature(enable = "avx2"));

#[target_feature(enable = "avx2")]
fn leaf_checks<const D: usize>(
    factors: &Factors,
    edges: &[Edge],
    (posteriors, messages): State<'_>,
    leaves: &[Lanes],
) {
    let lines = Lines::new(factors);
    let (edges, _) = edges.as_chunks::<D>();
    let (messages, _) = messages.as_chunks_mut::<D>();
    for ((edges, messages), leaf) in edges.iter().zip(messages).zip(leaves) {
        let values: [_; D] = values(edges, posteriors);
        let leaf = quarters(leaf);
        for quarter in 0..QUARTERS {
            let a = without(&values, messages, quarter);
            let told = products::<D>(&lines, leaf[quarter], &a);
            tell((edges, posteriors), messages, (&a, &told), quarter);
        }
    }
}

/// The posteriors of a check's bits in its lane order.
#[inline]
#[target_feature(enable = "avx2")]
fn values<const D: usize>(edges: &[Edge; D], posteriors: &[Lanes]) -> [[__m256i; QUARTERS]; D] {
    let mut values = [[_mm256_setzero_si256(); QUARTERS]; D];
    for (value, edge) in values.iter_mut().zip(edges) {
        *value = rotated(&posteriors[edge.block as usize], edge.rotation);
    }
    values
}

/// The same without what the check said before.
#[inline]
#[target_feature(enable = "avx2")]
fn without<const D: usize>(
    values: &[[__m256i; QUARTERS]; D],
    messages: &[Lanes; D],
    quarter: usize,
) -> [__m256i; D] {
    let mut a = [_mm256_setzero_si256(); D];
    for i in 0..D {
        a[i] = _mm256_subs_epi16(values[i][quarter], quarters(&messages[i])[quarter]);
    }
    a
}

/// Stores what the check says now, and adds it.
#[inline]
#[target_feature(enable = "avx2")]
fn tell<const D: usize>(
    (edges, posteriors): (&[Edge; D], &mut [Lanes]),
    messages: &mut [Lanes; D],
    (a, told): (&[__m256i; D], &[__m256i; D]),
    quarter: usize,
) {
    for i in 0..D {
        store_quarter(&mut messages[i], quarter, told[i]);
        let block = &mut posteriors[edges[i].block as usize];
        store_quarter(block, quarter, _mm256_adds_epi16(a[i], told[i]));
    }
}

/// What the leaf enters with times the factors of all bits but one.
#[inline]
#[target_feature(enable = "avx2")]
fn products<const D: usize>(lines: &Lines, leaf: __m256i, a: &[__m256i; D]) -> [__m256i; D] {
    let (mut factor, mut told, mut before) = ([leaf; D], [leaf; D], leaf);
    for i in 0..D {
        factor[i] = lines.factor(a[i]);
        told[i] = before;
        if i + 1 < D {
            before = _mm256_mulhrs_epi16(before, factor[i]);
        }
    }
    let mut after = factor[D - 1];
    for i in (0..D - 1).rev() {
        told[i] = _mm256_mulhrs_epi16(told[i], after);
        if i > 0 {
            after = _mm256_mulhrs_epi16(after, factor[i]);
        }
    }
    told
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity_check<const D: usize, const PRODUCT: bool>(
    edges: &[Edge; D],
    posteriors: &mut [Lanes],
    messages: &mut [Lanes; D],
    syndrome: u64,
) -> u32 {
    let values = values(edges, posteriors);
    let (lines, artanh) = (Lines::new(&Factors::TANH), Artanh::new());
    let one = _mm256_set1_epi16(const { certain(D) });
    let mut violated = 0;
    for quarter in 0..QUARTERS {
        let syndrome = signs_of((syndrome >> (16 * quarter)) as u16);
        let odd = values.iter().fold(syndrome, |odd, value| _mm256_xor_si256(odd, value[quarter]));
        let tops = _mm256_movemask_epi8(odd).cast_unsigned() & 0xaaaa_aaaa;
        violated += tops.count_ones();
        let a = without(&values, messages, quarter);
        let told = if PRODUCT {
            let negative = _mm256_srai_epi16(syndrome, 15);
            let leaf = _mm256_sub_epi16(_mm256_xor_si256(one, negative), negative);
            let mut told = products::<D>(&lines, leaf, &a);
            for told in &mut told {
                *told = artanh.twice(*told);
            }
            told
        } else {
            parity_messages(syndrome, &a)
        };
        tell((edges, posteriors), messages, (&a, &told), quarter);
    }
    violated
}

/// A lane's sign bit by its bit.
#[inline]
#[target_feature(enable = "avx2")]
fn signs_of(bits: u16) -> __m256i {
    let places = _mm256_setr_epi16(
        1 << 15,
        1 << 14,
        1 << 13,
        1 << 12,
        1 << 11,
        1 << 10,
        1 << 9,
        1 << 8,
        1 << 7,
        1 << 6,
        1 << 5,
        1 << 4,
        1 << 3,
        1 << 2,
        1 << 1,
        1,
    );
    _mm256_mullo_epi16(_mm256_set1_epi16(bits.cast_signed()), places)
}

#[inline]
#[target_feature(enable = "avx2")]
fn parity_messages<const D: usize>(syndrome: __m256i, a: &[__m256i; D]) -> [__m256i; D] {
    let most = _mm256_set1_epi16(i16::MAX);
    let (mut size, mut told, mut odd, mut before) = ([most; D], [most; D], syndrome, most);
    for i in 0..D {
        let least = _mm256_min_epu16(_mm256_abs_epi16(a[i]), _mm256_set1_epi16(MOST_SIZE as i16));
        size[i] = _mm256_add_epi16(least, _mm256_add_epi16(least, least));
        odd = _mm256_xor_si256(odd, a[i]);
        told[i] = before;
        if i + 1 < D {
            before = if i == 0 { size[i] } else { box_plus(before, size[i]) };
        }
    }
    let mut after = size[D - 1];
    for i in (0..D - 1).rev() {
        told[i] = if i == 0 { after } else { box_plus(told[i], after) };
        if i > 0 {
            after = box_plus(after, size[i]);
        }
    }
    for i in 0..D {
        let coarse = _mm256_mulhi_epu16(told[i], _mm256_set1_epi16(COARSE as i16));
        let limited = _mm256_min_epi16(coarse, _mm256_set1_epi16(PARITY_LIMIT));
        let negative = _mm256_srai_epi16(_mm256_xor_si256(odd, a[i]), 15);
        told[i] = _mm256_sub_epi16(_mm256_xor_si256(limited, negative), negative);
    }
    told
}

#[target_feature(enable = "avx2")]
pub(super) fn leaves(gain: &Gain, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]) {
    super::scalar::leaves(gain, ratios, syndrome, out);
}
