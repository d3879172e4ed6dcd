//! 32 lanes a register, two registers a block.

use std::arch::x86_64::*;

use super::{
    ARTANH, COARSE, CORRECTION_END, Edge, Factors, Gain, LEAF_LIMIT, Lanes, MOST_SIZE, PARITY_LIMIT, certain,
};

/// The lane numbers of each rotation, in whole cache lines: loads across two take longer.
#[repr(align(64))]
struct Orders([[i16; 64]; 64]);

static ORDERS: Orders = {
    let mut orders = [[0; 64]; 64];
    let mut i = 0;
    while i < 64 * 64 {
        orders[i / 64][i % 64] = ((i / 64 + i) % 64) as i16;
        i += 1;
    }
    Orders(orders)
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
    both_halves(&lanes.0)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn both_halves(numbers: &[i16; 64]) -> [__m512i; 2] {
    let (low, high) = numbers.split_at(32);
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
    let [first, second] = both_halves(&ORDERS.0[usize::from(rotation % 64)]);
    [_mm512_permutex2var_epi16(low, first, high), _mm512_permutex2var_epi16(low, second, high)]
}

/// 64 lines, in registers.
#[derive(Clone, Copy)]
struct Lines([__m512i; 2]);

impl Lines {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn new(lines: &[i16; 64]) -> Self {
        Self(both_halves(lines))
    }

    /// The entry that the low six bits of each lane name.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn at(&self, line: __m512i) -> __m512i {
        _mm512_permutex2var_epi16(self.0[0], line, self.0[1])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn factor(&self, a: __m512i) -> __m512i {
        let line = self.at(_mm512_srli_epi16(a, 10));
        // Bytes: the whole of a line's value, a part of its rise.
        let part = _mm512_or_si512(_mm512_slli_epi16(a, 6), _mm512_set1_epi16(0xff));
        _mm512_maddubs_epi16(part, line)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn artanh_twice(&self, o: __m512i) -> __m512i {
        let line = self.at(_mm512_srli_epi16(o, 9));
        // (x & 0x3f00) | 64.
        let (mask, whole) = (_mm512_set1_epi16(0x3f00), _mm512_set1_epi16(64));
        let part = _mm512_ternarylogic_epi32(_mm512_slli_epi16(o, 5), mask, whole, 0xea);
        _mm512_maddubs_epi16(part, line)
    }
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
fn leaf_checks<const D: usize>(
    factors: &Factors,
    edges: &[Edge],
    (posteriors, messages): State<'_>,
    leaves: &[Lanes],
) {
    let lines = Lines::new(&factors.0);
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
            let told = products::<D>(&lines, leaf[half], &a[half]);
            for i in 0..D {
                store_half(&mut messages[i], half, told[i]);
                let value = _mm512_adds_epi16(a[half][i], told[i]);
                store_half(&mut posteriors[edges[i].block as usize], half, value);
            }
        }
    }
}

/// What the leaf enters with times the factors of all bits but one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn products<const D: usize>(lines: &Lines, leaf: __m512i, a: &[__m512i; D]) -> [__m512i; D] {
    let mut factor = [leaf; D];
    let mut told = [leaf; D];
    let mut before = leaf;
    for i in 0..D {
        factor[i] = lines.factor(a[i]);
        told[i] = before;
        if i + 1 < D {
            before = _mm512_mulhrs_epi16(before, factor[i]);
        }
    }
    let mut after = factor[D - 1];
    for i in (0..D - 1).rev() {
        told[i] = _mm512_mulhrs_epi16(told[i], after);
        if i > 0 {
            after = _mm512_mulhrs_epi16(after, factor[i]);
        }
    }
    told
}

/// The value, computed here: left alone, the compiler puts a sum off and keeps all that it is of on the stack.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn now(mut value: __m512i) -> __m512i {
    // SAFETY: no instruction.
    unsafe {
        std::arch::asm!("/* {0} */", inout(zmm_reg) value, options(nomem, nostack, preserves_flags));
    }
    value
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
            let sum = _mm512_xor_si512(odd[half], value[half]);
            odd[half] = if PRODUCT { now(sum) } else { sum };
            a[half][I] = _mm512_subs_epi16(value[half], message[half]);
        }
    });
    for (half, a) in a.iter().enumerate() {
        let told = if PRODUCT {
            let one = _mm512_set1_epi16(const { certain(D) });
            let leaf = _mm512_mask_sub_epi16(one, bits[half], zero, one);
            let mut told = products::<D>(&Lines::new(&Factors::TANH.0), leaf, a);
            let artanh = Lines::new(&ARTANH);
            each!(I, D, {
                told[I] = artanh.artanh_twice(told[I]);
            });
            told
        } else {
            parity_messages::<D>(_mm512_movm_epi16(bits[half]), a)
        };
        each!(I, D, {
            store_half(&mut messages[I], half, told[I]);
            let value = _mm512_adds_epi16(a[I], told[I]);
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
pub(super) fn leaves(gain: &Gain, ratios: &[i16], syndrome: &[u64], out: &mut [Lanes]) {
    assert_eq!((ratios.len(), syndrome.len()), (64 * out.len(), out.len()), "one leaf a check");
    let (values, rises) = (Lines::new(&gain.values), Lines::new(&gain.rises));
    let (most, zero) = (_mm512_set1_epi16(LEAF_LIMIT), _mm512_setzero_si512());
    let least = _mm512_sub_epi16(zero, most);
    for ((out, ratios), syndrome) in out.iter_mut().zip(ratios.as_chunks::<64>().0).zip(syndrome) {
        let ratios = both_halves(ratios);
        for half in 0..2 {
            let ratio = _mm512_min_epi16(_mm512_max_epi16(ratios[half], least), most);
            let ratio = _mm512_slli_epi16(ratio, 2);
            let line = _mm512_srli_epi16(ratio, 10);
            let rise = _mm512_mulhi_epu16(_mm512_slli_epi16(ratio, 6), rises.at(line));
            let value = _mm512_add_epi16(values.at(line), rise);
            let negative = (syndrome >> (32 * half)) as u32;
            store_half(out, half, _mm512_mask_sub_epi16(value, negative, zero, value));
        }
    }
}
