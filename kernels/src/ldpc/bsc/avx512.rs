//! Sixty-four lanes a vector; every table is one look-up.

use std::arch::x86_64::{
    __m512i, _mm512_abs_epi8, _mm512_adds_epi8, _mm512_adds_epi16, _mm512_cmpeq_epu8_mask,
    _mm512_cmpge_epu8_mask, _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_mask_permutexvar_epi8,
    _mm512_mask_sub_epi8, _mm512_min_epu8, _mm512_movepi8_mask, _mm512_movm_epi8, _mm512_packus_epi16,
    _mm512_permutexvar_epi8, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_srli_epi16, _mm512_storeu_si512,
    _mm512_sub_epi16, _mm512_subs_epi8, _mm512_unpackhi_epi8, _mm512_unpacklo_epi8, _mm512_xor_si512,
};

use super::scalar::{self, offset};
use super::{CERTAIN, Graph, INVERSE, LANES, MOST_EDGES, PHI, Told};

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

/// The tables: φ low and high byte, φ⁻¹ three steps.
#[derive(Clone, Copy)]
struct Tables {
    phi: [__m512i; 2],
    inverse: [__m512i; 3],
}

/// Sixteen bits a lane: the low and the high half of each 128 bits.
type Sums = [__m512i; 2];

impl Tables {
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn new() -> Self {
        let bytes = |table: &[u8; LANES]| load(&table.map(u8::cast_signed));
        let phi = [PHI.map(|value| value as u8), PHI.map(|value| (value >> 8) as u8)];
        Self {
            phi: [bytes(&phi[0]), bytes(&phi[1])],
            inverse: [bytes(&INVERSE[0]), bytes(&INVERSE[1]), bytes(&INVERSE[2])],
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn phi(self, magnitude: __m512i) -> Sums {
        let place = _mm512_min_epu8(magnitude, _mm512_set1_epi8(63));
        let low = _mm512_permutexvar_epi8(place, self.phi[0]);
        let high = _mm512_permutexvar_epi8(place, self.phi[1]);
        [_mm512_unpacklo_epi8(low, high), _mm512_unpackhi_epi8(low, high)]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn inverse(self, [low, high]: Sums) -> __m512i {
        let last = _mm512_set1_epi8(63);
        let ones = _mm512_min_epu8(_mm512_packus_epi16(low, high), last);
        let sixteens = _mm512_packus_epi16(_mm512_srli_epi16::<4>(low), _mm512_srli_epi16::<4>(high));
        let sixteens = _mm512_min_epu8(sixteens, last);
        let most = _mm512_packus_epi16(_mm512_srli_epi16::<8>(low), _mm512_srli_epi16::<8>(high));
        let most = _mm512_min_epu8(most, last);
        let four = _mm512_set1_epi8(4);
        let told = _mm512_permutexvar_epi8(ones, self.inverse[0]);
        let beyond = _mm512_cmpge_epu8_mask(sixteens, four);
        let told = _mm512_mask_permutexvar_epi8(told, beyond, sixteens, self.inverse[1]);
        let beyond = _mm512_cmpge_epu8_mask(most, four);
        _mm512_mask_permutexvar_epi8(told, beyond, most, self.inverse[2])
    }
}

/// What the edges of sixty-four checks work on.
struct Bench {
    /// Where each edge's lanes begin in its block, and in the posteriors.
    inside: [u32; MOST_EDGES],
    places: [u32; MOST_EDGES],
    /// What each edge's bits know without this check.
    extrinsic: [__m512i; MOST_EDGES],
}

impl Bench {
    /// Finds the places of a word's edges.
    #[inline(always)]
    fn lay(&mut self, graph: Graph<'_>, edges: &[(u32, u32)], word: usize) {
        let (lift, stride, word) = (graph.lift as u32, graph.stride() as u32, (word * LANES) as u32);
        for ((inside, place), (column, shift)) in self.inside.iter_mut().zip(&mut self.places).zip(edges) {
            let at = shift + word;
            *inside = if at >= lift { at - lift } else { at };
            *place = column * stride + *inside;
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn iterate(
    graph: Graph<'_>,
    syndrome: &[u64],
    halves: &[u64],
    posteriors: &mut [i8],
    messages: &mut [i8],
) {
    graph.check();
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let tables = Tables::new();
    let lanes = [_mm512_setzero_si512(); MOST_EDGES];
    let mut bench = Bench { inside: [0; MOST_EDGES], places: [0; MOST_EDGES], extrinsic: lanes };
    for Told { edges, parity, word, messages: at } in graph.told(syndrome, halves) {
        let messages = &mut messages[at..];
        let count = edges.len();
        bench.lay(graph, &graph.edges[edges], word);
        check((count, parity), posteriors, messages, (tables, &mut bench));
        // A lane is at the rim of its block once in lift/128 words.
        for (inside, place) in bench.inside[..count].iter().zip(&bench.places) {
            let inside = *inside as usize;
            if inside < LANES || inside > graph.lift - LANES {
                rim(graph.lift, *place as usize - inside, inside, posteriors);
            }
        }
    }
}

/// Keeps a block's mirrored bytes equal to its first ones after lanes at its rim were written.
#[cold]
fn rim(lift: usize, block: usize, inside: usize, posteriors: &mut [i8]) {
    if inside > lift - LANES {
        posteriors.copy_within(block + lift..block + inside + LANES, block);
    }
    if inside < LANES {
        posteriors.copy_within(block + inside..block + LANES, block + lift + inside);
    }
}

/// Sixty-four checks of a row.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn check(
    (count, parity): (usize, u64),
    posteriors: &mut [i8],
    messages: &mut [i8],
    (tables, bench): (Tables, &mut Bench),
) {
    let zero = _mm512_setzero_si512();
    let mut signs = _mm512_movm_epi8(parity);
    let mut least = _mm512_set1_epi8(127);
    let [mut low, mut high] = [zero; 2];
    let mut at = 0;
    for (place, extrinsic) in bench.places[..count].iter().zip(&mut bench.extrinsic) {
        let value = _mm512_subs_epi8(load(&posteriors[*place as usize..]), load(&messages[at..]));
        *extrinsic = value;
        signs = _mm512_xor_si512(signs, value);
        let magnitude = _mm512_abs_epi8(value);
        least = _mm512_min_epu8(least, magnitude);
        let phi = tables.phi(magnitude);
        low = _mm512_adds_epi16(low, phi[0]);
        high = _mm512_adds_epi16(high, phi[1]);
        at += LANES;
    }
    let own = tables.phi(least);
    let all = tables.inverse([low, high]);
    let others = tables.inverse([_mm512_sub_epi16(low, own[0]), _mm512_sub_epi16(high, own[1])]);
    let mut at = 0;
    for (place, value) in bench.places[..count].iter().zip(&bench.extrinsic) {
        let is_least = _mm512_cmpeq_epu8_mask(_mm512_abs_epi8(*value), least);
        let told = _mm512_mask_blend_epi8(is_least, all, others);
        let negative = _mm512_movepi8_mask(_mm512_xor_si512(signs, *value));
        let message = _mm512_mask_sub_epi8(told, negative, zero, told);
        store(&mut messages[at..], message);
        store(&mut posteriors[*place as usize..], _mm512_adds_epi8(*value, message));
        at += LANES;
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn prepare(graph: Graph<'_>, bits: &[u64], certain: &[u64], magnitude: i8, posteriors: &mut [i8]) {
    let words = graph.lift / LANES;
    assert_eq!(
        (bits.len(), certain.len()),
        (graph.columns * words, graph.columns * words),
        "a word for 64 bits"
    );
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    let (zero, usual, known) =
        (_mm512_setzero_si512(), _mm512_set1_epi8(magnitude), _mm512_set1_epi8(CERTAIN));
    for (column, block) in posteriors.chunks_exact_mut(graph.stride()).enumerate() {
        for (word, lanes) in block.chunks_exact_mut(LANES).enumerate() {
            let place = column * words + if word == words { 0 } else { word };
            let size = _mm512_mask_blend_epi8(certain[place], usual, known);
            store(lanes, _mm512_mask_sub_epi8(size, bits[place], zero, size));
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn decide(graph: Graph<'_>, posteriors: &[i8], bits: &mut [u64]) {
    let words = graph.lift / LANES;
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    for (block, bits) in posteriors.chunks_exact(graph.stride()).zip(bits.chunks_exact_mut(words)) {
        for (lanes, bits) in block.chunks_exact(LANES).zip(bits) {
            *bits = _mm512_movepi8_mask(load(lanes));
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], halves: &[u64], posteriors: &[i8]) -> bool {
    graph.check();
    for Told { edges, parity, word, .. } in graph.told(syndrome, halves) {
        let mut signs = _mm512_movm_epi8(parity);
        for edge in &graph.edges[edges] {
            signs = _mm512_xor_si512(signs, load(&posteriors[offset(graph, *edge, word)..]));
        }
        if _mm512_movepi8_mask(signs) != 0 {
            return false;
        }
    }
    true
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn syndrome(graph: Graph<'_>, bits: &[u64], syndrome: &mut [u64], halves: &mut [u64]) {
    scalar::syndrome(graph, bits, syndrome, halves);
}
