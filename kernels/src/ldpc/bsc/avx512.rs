//! Sixty-four lanes a vector; the correction g is one table look-up.

use std::arch::x86_64::{
    __m512i, _mm512_abs_epi8, _mm512_add_epi8, _mm512_adds_epi8, _mm512_cmpeq_epu8_mask, _mm512_loadu_si512,
    _mm512_mask_blend_epi8, _mm512_mask_sub_epi8, _mm512_max_epu8, _mm512_min_epu8, _mm512_movepi8_mask,
    _mm512_movm_epi8, _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_sub_epi8, _mm512_subs_epi8, _mm512_subs_epu8, _mm512_xor_si512,
};

use super::scalar::{self, mirror, offset};
use super::{Graph, LANES, MESSAGE_LIMIT, MOST_EDGES};

/// g(x) for x below 64; it is 0 from 9 on.
const CORRECTION: [i8; LANES] = {
    let mut table = [0; LANES];
    let mut x = 0;
    while x < 9 {
        table[x] = if x == 0 {
            3
        } else if x < 4 {
            2
        } else {
            1
        };
        x += 1;
    }
    table
};

#[target_feature(enable = "avx512f")]
fn load(bytes: &[i8]) -> __m512i {
    let lanes: &[i8; LANES] = bytes[..LANES].try_into().expect("a slice of that length");
    // SAFETY: sixty-four readable bytes.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(bytes: &mut [i8], value: __m512i) {
    let lanes: &mut [i8; LANES] = (&mut bytes[..LANES]).try_into().expect("a slice of that length");
    // SAFETY: sixty-four writable bytes.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn iterate(graph: Graph<'_>, syndrome: &[u64], posteriors: &mut [i8], messages: &mut [i8]) {
    graph.check();
    let words = graph.lift / LANES;
    assert_eq!(syndrome.len(), (graph.rows.len() - 1) * words, "a bit a check");
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let table = load(&CORRECTION);
    let mut values = [_mm512_setzero_si512(); MOST_EDGES];
    for (row, bounds) in graph.rows.windows(2).enumerate() {
        let (first, end) = (bounds[0] as usize, bounds[1] as usize);
        for word in 0..words {
            let parity = syndrome[row * words + word];
            check(
                graph,
                [first, end, word],
                parity,
                (&mut *posteriors, &mut *messages),
                (table, &mut values),
            );
        }
    }
}

/// Sixty-four checks of a row.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn check(
    graph: Graph<'_>,
    [first, end, word]: [usize; 3],
    parity: u64,
    (posteriors, messages): (&mut [i8], &mut [i8]),
    (table, values): (__m512i, &mut [__m512i; MOST_EDGES]),
) {
    let edges = &graph.edges[first..end];
    let most = _mm512_set1_epi8(127);
    let mut signs = _mm512_movm_epi8(parity);
    let (mut least, mut rest) = (most, most);
    let mut place = first * graph.lift + word * LANES;
    for (number, (edge, value)) in edges.iter().zip(values.iter_mut()).enumerate() {
        let posterior = load(&posteriors[offset(graph, *edge, word)..]);
        let extrinsic = _mm512_subs_epi8(posterior, load(&messages[place..]));
        *value = extrinsic;
        signs = _mm512_xor_si512(signs, extrinsic);
        let magnitude = _mm512_min_epu8(_mm512_abs_epi8(extrinsic), most);
        let larger = _mm512_max_epu8(least, magnitude);
        least = _mm512_min_epu8(least, magnitude);
        rest = if number == 0 { larger } else { boxplus(table, rest, larger) };
        place += graph.lift;
    }
    let limit = _mm512_set1_epi8(MESSAGE_LIMIT.cast_signed());
    let all = _mm512_min_epu8(boxplus(table, rest, least), limit);
    let others = _mm512_min_epu8(rest, limit);
    let mut place = first * graph.lift + word * LANES;
    for (edge, extrinsic) in edges.iter().zip(values.iter()) {
        let magnitude = _mm512_min_epu8(_mm512_abs_epi8(*extrinsic), most);
        let is_least = _mm512_cmpeq_epu8_mask(magnitude, least);
        let told = _mm512_mask_blend_epi8(is_least, all, others);
        let negative = _mm512_movepi8_mask(_mm512_xor_si512(signs, *extrinsic));
        let message = _mm512_mask_sub_epi8(told, negative, _mm512_setzero_si512(), told);
        store(&mut messages[place..], message);
        let offset = offset(graph, *edge, word);
        store(&mut posteriors[offset..], _mm512_adds_epi8(*extrinsic, message));
        mirror(graph, *edge, offset, posteriors);
        place += graph.lift;
    }
}

/// min + g(sum) − g(difference), at least 0.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn boxplus(table: __m512i, a: __m512i, b: __m512i) -> __m512i {
    let last = _mm512_set1_epi8(63);
    let (low, high) = (_mm512_min_epu8(a, b), _mm512_max_epu8(a, b));
    let sum = _mm512_permutexvar_epi8(_mm512_min_epu8(_mm512_add_epi8(a, b), last), table);
    let difference = _mm512_permutexvar_epi8(_mm512_min_epu8(_mm512_sub_epi8(high, low), last), table);
    _mm512_subs_epu8(_mm512_add_epi8(low, sum), difference)
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], posteriors: &[i8]) -> bool {
    graph.check();
    let words = graph.lift / LANES;
    assert_eq!(syndrome.len(), (graph.rows.len() - 1) * words, "a bit a check");
    for (row, bounds) in graph.rows.windows(2).enumerate() {
        let edges = &graph.edges[bounds[0] as usize..bounds[1] as usize];
        for word in 0..words {
            let mut signs = _mm512_movm_epi8(syndrome[row * words + word]);
            for edge in edges {
                signs = _mm512_xor_si512(signs, load(&posteriors[offset(graph, *edge, word)..]));
            }
            if _mm512_movepi8_mask(signs) != 0 {
                return false;
            }
        }
    }
    true
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn syndrome(graph: Graph<'_>, bits: &[u64], out: &mut [u64]) {
    scalar::syndrome(graph, bits, out);
}
