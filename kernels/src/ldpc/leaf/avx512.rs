//! 32 lanes a register, two registers a block.

use std::arch::x86_64::*;

use super::{
    ARTANH_FIRST, ARTANH_THIRD, CORRECTION_END, CORRECTION_SCALE, Edge, LINES, Lanes, LeafRule, PARITY_LIMIT,
};

/// 0, 1, … 127: 32 numbers from r on are the lane numbers of a rotation by r (the permutation
/// reads their low six bits).
const LANE_NUMBERS: [i16; 128] = {
    let mut numbers = [0; 128];
    let mut i = 0;
    while i < 128 {
        numbers[i] = i as i16;
        i += 1;
    }
    numbers
};

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(lanes: &[i16; 32]) -> __m512i {
    // SAFETY: the reference covers the 64 bytes read.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(lanes: &mut [i16; 32], value: __m512i) {
    // SAFETY: the reference covers the 64 bytes written.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), value) }
}

/// The two halves of a block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn halves(lanes: &Lanes) -> [__m512i; 2] {
    let (low, high) = lanes.0.split_at(32);
    [load(low.try_into().expect("half of 64")), load(high.try_into().expect("half of 64"))]
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store_half(lanes: &mut Lanes, half: usize, value: __m512i) {
    store((&mut lanes.0[32 * half..32 * half + 32]).try_into().expect("half of 64"), value);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn rotated(lanes: &Lanes, rotation: u16) -> [__m512i; 2] {
    let [low, high] = halves(lanes);
    let first = usize::from(rotation % 64);
    let order = |from: usize| load(LANE_NUMBERS[from..from + 32].try_into().expect("32 of 128"));
    [
        _mm512_permutex2var_epi16(low, order(first), high),
        _mm512_permutex2var_epi16(low, order(first + 32), high),
    ]
}

/// The constants of a pass, in registers.
#[derive(Clone, Copy)]
struct Tables {
    values: [__m512i; 2],
    rises: [__m512i; 2],
}

impl Tables {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new() -> Self {
        let half = |line: usize, half: usize| {
            load(LINES[line][32 * half..32 * half + 32].try_into().expect("half of 64"))
        };
        Self { values: [half(0, 0), half(0, 1)], rises: [half(1, 0), half(1, 1)] }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn tanh_half(&self, a: __m512i) -> __m512i {
        let line = _mm512_srli_epi16(a, 10);
        let value = _mm512_permutex2var_epi16(self.values[0], line, self.values[1]);
        let rise = _mm512_permutex2var_epi16(self.rises[0], line, self.rises[1]);
        _mm512_add_epi16(value, _mm512_mulhi_epu16(_mm512_slli_epi16(a, 6), rise))
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn artanh_twice(o: __m512i) -> __m512i {
    let third = _mm512_mulhrs_epi16(_mm512_mulhrs_epi16(o, o), _mm512_set1_epi16(ARTANH_THIRD));
    _mm512_mulhrs_epi16(o, _mm512_add_epi16(third, _mm512_set1_epi16(ARTANH_FIRST)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn correction(x: __m512i) -> __m512i {
    let rest = _mm512_subs_epu16(_mm512_set1_epi16(CORRECTION_END), x);
    let cube = _mm512_mulhrs_epi16(_mm512_mulhrs_epi16(rest, rest), rest);
    _mm512_mulhrs_epi16(cube, _mm512_set1_epi16(CORRECTION_SCALE))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn box_plus(a: __m512i, b: __m512i) -> __m512i {
    let (least, most) = (_mm512_min_epu16(a, b), _mm512_max_epu16(a, b));
    let raised = _mm512_add_epi16(least, correction(_mm512_adds_epu16(a, b)));
    _mm512_subs_epu16(raised, correction(_mm512_sub_epi16(most, least)))
}

runs!(target_feature(enable = "avx512f,avx512bw"));

#[target_feature(enable = "avx512f,avx512bw")]
fn leaf_checks<const D: usize, const CURVE: bool>(
    edges: &[Edge],
    (posteriors, messages): State<'_>,
    leaves: &[Lanes],
) {
    let tables = Tables::new();
    let (edges, _) = edges.as_chunks::<D>();
    let (messages, _) = messages.as_chunks_mut::<D>();
    for ((edges, messages), leaf) in edges.iter().zip(messages).zip(leaves) {
        let mut a = [[_mm512_setzero_si512(); D]; 2];
        for i in 0..D {
            let value = rotated(&posteriors[edges[i].block as usize], edges[i].rotation);
            let message = halves(&messages[i]);
            a[0][i] = _mm512_subs_epi16(value[0], message[0]);
            a[1][i] = _mm512_subs_epi16(value[1], message[1]);
        }
        let leaf = halves(leaf);
        for half in 0..2 {
            let told = leaf_messages::<D, CURVE>(&tables, leaf[half], &a[half]);
            for i in 0..D {
                store_half(&mut messages[i], half, told[i]);
                let value = _mm512_adds_epi16(a[half][i], told[i]);
                store_half(&mut posteriors[edges[i].block as usize], half, value);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn leaf_messages<const D: usize, const CURVE: bool>(
    tables: &Tables,
    leaf: __m512i,
    a: &[__m512i; D],
) -> [__m512i; D] {
    let mut tanh = [leaf; D];
    let mut told = [leaf; D];
    let mut before = leaf;
    for i in 0..D {
        tanh[i] = tables.tanh_half(a[i]);
        told[i] = before;
        if i + 1 < D {
            before = _mm512_mulhrs_epi16(before, tanh[i]);
        }
    }
    let mut after = tanh[D - 1];
    for i in (0..D - 1).rev() {
        told[i] = _mm512_mulhrs_epi16(told[i], after);
        if i > 0 {
            after = _mm512_mulhrs_epi16(after, tanh[i]);
        }
    }
    if CURVE {
        for told in &mut told {
            *told = artanh_twice(*told);
        }
    }
    told
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn parity_check<const D: usize>(
    edges: &[Edge; D],
    posteriors: &mut [Lanes],
    messages: &mut [Lanes; D],
    syndrome: u64,
) -> u32 {
    let mut a = [[_mm512_setzero_si512(); D]; 2];
    let mut odd = [syndrome as u32, (syndrome >> 32) as u32];
    for i in 0..D {
        let value = rotated(&posteriors[edges[i].block as usize], edges[i].rotation);
        let message = halves(&messages[i]);
        for half in 0..2 {
            odd[half] ^= _mm512_movepi16_mask(value[half]);
            a[half][i] = _mm512_subs_epi16(value[half], message[half]);
        }
    }
    for half in 0..2 {
        let told = parity_messages::<D>((syndrome >> (32 * half)) as u32, &a[half]);
        for i in 0..D {
            store_half(&mut messages[i], half, told[i]);
            let value = _mm512_adds_epi16(a[half][i], told[i]);
            store_half(&mut posteriors[edges[i].block as usize], half, value);
        }
    }
    odd[0].count_ones() + odd[1].count_ones()
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn parity_messages<const D: usize>(syndrome: u32, a: &[__m512i; D]) -> [__m512i; D] {
    let most = _mm512_set1_epi16(-1);
    let (mut size, mut told, mut signs, mut odd) = ([most; D], [most; D], [0; D], syndrome);
    let mut before = most;
    for i in 0..D {
        let least = _mm512_min_epu16(_mm512_abs_epi16(a[i]), _mm512_set1_epi16(i16::MAX / 2));
        size[i] = _mm512_slli_epi16(least, 2);
        signs[i] = _mm512_movepi16_mask(a[i]);
        odd ^= signs[i];
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
        let coarse = _mm512_srli_epi16(told[i], 2);
        let limited = _mm512_min_epi16(coarse, _mm512_set1_epi16(PARITY_LIMIT));
        told[i] = _mm512_mask_sub_epi16(limited, odd ^ signs[i], _mm512_setzero_si512(), limited);
    }
    told
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn leaves(rule: LeafRule, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]) {
    super::scalar::leaves(rule, ratios, syndrome, out);
}
