//! 32 lanes a register, two registers a block.

use std::arch::x86_64::*;

use super::{
    ARTANH_SLOPE, COARSE, CORRECTION_END, Edge, LINES, Lanes, LeafRule, MOST_SIZE, ONE, PARITY_LIMIT,
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
    _mm512_mulhrs_epi16(o, _mm512_add_epi16(_mm512_mulhrs_epi16(o, o), _mm512_set1_epi16(ARTANH_SLOPE)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn box_plus(a: __m512i, b: __m512i) -> __m512i {
    let (least, most) = (_mm512_min_epi16(a, b), _mm512_max_epi16(a, b));
    let end = _mm512_set1_epi16(CORRECTION_END);
    let near = _mm512_subs_epu16(end, _mm512_sub_epi16(most, least));
    let far = _mm512_subs_epu16(end, _mm512_add_epi16(a, b));
    let excess = _mm512_mulhrs_epi16(_mm512_sub_epi16(near, far), _mm512_add_epi16(near, far));
    _mm512_sub_epi16(least, excess)
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
fn parity_check<const D: usize, const PRODUCT: bool>(
    edges: &[Edge; D],
    posteriors: &mut [Lanes],
    messages: &mut [Lanes; D],
    syndrome: u64,
) -> u32 {
    let zero = _mm512_setzero_si512();
    let bits = [syndrome as u32, (syndrome >> 32) as u32];
    let mut odd = [_mm512_movm_epi16(bits[0]), _mm512_movm_epi16(bits[1])];
    let mut a = [[zero; D]; 2];
    each!(I, D, {
        let value = rotated(&posteriors[edges[I].block as usize], edges[I].rotation);
        let message = halves(&messages[I]);
        for half in 0..2 {
            odd[half] = _mm512_xor_si512(odd[half], value[half]);
            a[half][I] = _mm512_subs_epi16(value[half], message[half]);
        }
    });
    for half in 0..2 {
        let told = if PRODUCT {
            let one = _mm512_set1_epi16(ONE);
            let leaf = _mm512_mask_sub_epi16(one, bits[half], zero, one);
            leaf_messages::<D, true>(&Tables::new(), leaf, &a[half])
        } else {
            parity_messages::<D>(_mm512_movm_epi16(bits[half]), &a[half])
        };
        each!(I, D, {
            store_half(&mut messages[I], half, told[I]);
            let value = _mm512_adds_epi16(a[half][I], told[I]);
            store_half(&mut posteriors[edges[I].block as usize], half, value);
        });
    }
    let violated = |odd| _mm512_movepi16_mask(odd).count_ones();
    violated(odd[0]) + violated(odd[1])
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn parity_messages<const D: usize>(syndrome: __m512i, a: &[__m512i; D]) -> [__m512i; D] {
    let zero = _mm512_setzero_si512();
    let (mut size, mut told, mut odd) = ([zero; D], [_mm512_set1_epi16(i16::MAX); D], syndrome);
    each!(I, D, {
        let least = _mm512_min_epu16(_mm512_abs_epi16(a[I]), _mm512_set1_epi16(MOST_SIZE as i16));
        size[I] = _mm512_add_epi16(least, _mm512_add_epi16(least, least));
        odd = _mm512_xor_si512(odd, a[I]);
    });
    // ⊞ of the sizes before each, and of those after it.
    let (mut before, mut after) = (told, told);
    each!(I, D, {
        if I + 1 < D {
            let i = D - 1 - I;
            before[I + 1] = if I == 0 { size[0] } else { box_plus(before[I], size[I]) };
            after[i - 1] = if I == 0 { size[i] } else { box_plus(after[i], size[i]) };
        }
    });
    each!(I, D, {
        told[I] = match I {
            0 => after[0],
            _ if I + 1 == D => before[I],
            _ => box_plus(before[I], after[I]),
        };
        let coarse = _mm512_mulhi_epu16(told[I], _mm512_set1_epi16(COARSE as i16));
        let limited = _mm512_min_epi16(coarse, _mm512_set1_epi16(PARITY_LIMIT));
        let negative = _mm512_srai_epi16(_mm512_xor_si512(odd, a[I]), 15);
        told[I] = _mm512_sub_epi16(_mm512_xor_si512(limited, negative), negative);
    });
    told
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn leaves(rule: LeafRule, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]) {
    super::scalar::leaves(rule, ratios, syndrome, out);
}
