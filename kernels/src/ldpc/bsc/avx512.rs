//! Sixty-four lanes a vector; every table is one look-up.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_abs_epi8, _mm512_adds_epi8, _mm512_adds_epu16,
    _mm512_cmpeq_epu8_mask, _mm512_cmpge_epu8_mask, _mm512_loadu_si512, _mm512_mask_blend_epi8,
    _mm512_mask_permutexvar_epi8, _mm512_mask_sub_epi8, _mm512_min_epu8, _mm512_min_epu16,
    _mm512_movepi8_mask, _mm512_movm_epi8, _mm512_or_si512, _mm512_permutexvar_epi8,
    _mm512_permutexvar_epi16, _mm512_set1_epi8, _mm512_set1_epi16, _mm512_setzero_si512, _mm512_slli_epi16,
    _mm512_srli_epi16, _mm512_storeu_si512, _mm512_sub_epi16, _mm512_subs_epi8, _mm512_xor_si512,
};

use super::scalar;
use super::{CERTAIN, Graph, INVERSE, LANES, MOST_EDGES, PHI, Told};

type Lanes = [i8; LANES];

#[target_feature(enable = "avx512f")]
fn load(lanes: &Lanes) -> __m512i {
    // SAFETY: sixty-four readable bytes.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f")]
fn store(lanes: &mut Lanes, value: __m512i) {
    // SAFETY: sixty-four writable bytes.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), value) }
}

/// Asks for the word `ahead` behind this one, whether there is one or not.
#[target_feature(enable = "avx512f")]
fn expect(word: &Lanes, ahead: usize) {
    let place = std::ptr::from_ref(word).wrapping_add(ahead);
    _mm_prefetch::<_MM_HINT_T0>(place.cast());
}

/// The lanes in order, turned by 0 to 63 of them.
#[repr(align(64))]
struct Turned([Lanes; LANES]);

static TURNED: Turned = {
    let (mut all, mut turn) = ([[0; LANES]; LANES], 0);
    while turn < LANES {
        let mut lane = 0;
        while lane < LANES {
            all[turn][lane] = ((lane + turn) % LANES) as i8;
            lane += 1;
        }
        turn += 1;
    }
    Turned(all)
};

/// The tables: φ, and φ⁻¹ in three steps.
#[derive(Clone, Copy)]
struct Tables {
    phi: __m512i,
    inverse: [__m512i; 3],
}

/// Sixteen bits a lane: those of the even lanes and those of the odd ones.
type Sums = [__m512i; 2];

impl Tables {
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        let pairs = PHI.map(|value| value.to_le_bytes().map(u8::cast_signed));
        let bytes = |table: &[u8; LANES]| load(&table.map(u8::cast_signed));
        Self {
            phi: load(&std::array::from_fn(|byte| pairs[byte / 2][byte % 2])),
            inverse: [bytes(&INVERSE[0]), bytes(&INVERSE[1]), bytes(&INVERSE[2])],
        }
    }

    /// φ of magnitudes below 32. Of a place in a table of thirty-two, the higher bits do not count.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn phi(self, magnitude: __m512i) -> Sums {
        let odd = _mm512_srli_epi16::<8>(magnitude);
        [_mm512_permutexvar_epi16(magnitude, self.phi), _mm512_permutexvar_epi16(odd, self.phi)]
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn inverse(self, sums: Sums) -> __m512i {
        let steps = |[even, odd]: Sums| {
            let last = _mm512_set1_epi16(63);
            let odd = _mm512_slli_epi16::<8>(_mm512_min_epu16(odd, last));
            _mm512_or_si512(_mm512_min_epu16(even, last), odd)
        };
        let [ones, sixteens, most] = [
            steps(sums),
            steps(sums.map(|sums| _mm512_srli_epi16::<4>(sums))),
            steps(sums.map(|sums| _mm512_srli_epi16::<8>(sums))),
        ];
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
    /// The word that each edge leads to.
    places: [u32; MOST_EDGES],
    /// What each edge's bits know without this check.
    extrinsic: [__m512i; MOST_EDGES],
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn iterate(
    graph: Graph<'_>,
    syndrome: &[u64],
    halves: &[u64],
    posteriors: &mut [i8],
    messages: &mut [i8],
) -> usize {
    graph.check();
    assert_eq!(posteriors.len(), graph.columns * graph.lift, "a byte a bit");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let (posteriors, messages) = (posteriors.as_chunks_mut().0, messages.as_chunks_mut().0);
    let tables = Tables::new();
    let mut bench = Bench { places: [0; MOST_EDGES], extrinsic: [_mm512_setzero_si512(); MOST_EDGES] };
    let mut violated = 0;
    for Told { edges, parity, word, messages: at } in graph.told(syndrome, halves) {
        let messages = &mut messages[at / LANES..];
        for (place, edge) in bench.places.iter_mut().zip(&graph.edges[edges.clone()]) {
            *place = graph.place(*edge, word) as u32;
        }
        violated += check(
            (&graph.turns[edges.clone()], &graph.limits[edges], parity),
            posteriors,
            messages,
            (tables, &mut bench),
        );
    }
    violated
}

/// Sixty-four checks of a row: how many are violated.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn check(
    (turns, limits, parity): (&[u8], &[u8], u64),
    posteriors: &mut [Lanes],
    messages: &mut [Lanes],
    (tables, bench): (Tables, &mut Bench),
) -> usize {
    let (zero, most, count) = (_mm512_setzero_si512(), _mm512_set1_epi8(31), turns.len());
    let mut signs = _mm512_movm_epi8(parity);
    let mut least = most;
    let [mut even, mut odd] = [zero; 2];
    let edges = bench.places[..count].iter().zip(&mut bench.extrinsic).zip(messages.iter());
    for ((place, extrinsic), message) in edges {
        let posterior = &posteriors[*place as usize];
        expect(posterior, 2);
        expect(message, count);
        let value = _mm512_subs_epi8(load(posterior), load(message));
        *extrinsic = value;
        signs = _mm512_xor_si512(signs, value);
        let magnitude = _mm512_min_epu8(_mm512_abs_epi8(value), most);
        least = _mm512_min_epu8(least, magnitude);
        let phi = tables.phi(magnitude);
        even = _mm512_adds_epu16(even, phi[0]);
        odd = _mm512_adds_epu16(odd, phi[1]);
    }
    let own = tables.phi(least);
    let all = tables.inverse([even, odd]);
    let others = tables.inverse([_mm512_sub_epi16(even, own[0]), _mm512_sub_epi16(odd, own[1])]);
    let edges = bench.places[..count].iter().zip(&bench.extrinsic).zip(messages.iter_mut());
    for (((place, value), message), (turn, limit)) in edges.zip(turns.iter().zip(limits)) {
        let is_least = _mm512_cmpeq_epu8_mask(_mm512_abs_epi8(*value), least);
        let told = _mm512_mask_blend_epi8(is_least, all, others);
        let told = _mm512_min_epu8(told, _mm512_set1_epi8(limit.cast_signed()));
        let negative = _mm512_movepi8_mask(_mm512_xor_si512(signs, *value));
        let told = _mm512_mask_sub_epi8(told, negative, zero, told);
        store(message, told);
        let order = load(&TURNED.0[usize::from(*turn) % LANES]);
        let heard = _mm512_permutexvar_epi8(order, _mm512_adds_epi8(*value, told));
        store(&mut posteriors[*place as usize], heard);
    }
    _mm512_movepi8_mask(signs).count_ones() as usize
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn prepare(graph: Graph<'_>, bits: &[u64], certain: &[u64], magnitude: i8, posteriors: &mut [i8]) {
    let words = graph.words();
    let count = graph.columns * words;
    assert_eq!((bits.len(), certain.len()), (count, count), "a word for 64 bits");
    assert_eq!(posteriors.len(), count * LANES, "a byte a bit");
    let (zero, usual, known) =
        (_mm512_setzero_si512(), _mm512_set1_epi8(magnitude), _mm512_set1_epi8(CERTAIN));
    for (place, lanes) in posteriors.as_chunks_mut().0.iter_mut().enumerate() {
        let turn = u32::from(graph.firsts[place / words]);
        let size = _mm512_mask_blend_epi8(certain[place].rotate_right(turn), usual, known);
        store(lanes, _mm512_mask_sub_epi8(size, bits[place].rotate_right(turn), zero, size));
    }
}

#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn decide(graph: Graph<'_>, posteriors: &[i8], bits: &mut [u64]) {
    let words = graph.words();
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    assert_eq!(posteriors.len(), bits.len() * LANES, "a byte a bit");
    for (place, (lanes, bits)) in posteriors.as_chunks().0.iter().zip(bits).enumerate() {
        *bits = _mm512_movepi8_mask(load(lanes)).rotate_left(u32::from(graph.firsts[place / words]));
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], halves: &[u64], bits: &[u64]) -> bool {
    scalar::is_satisfied(graph, syndrome, halves, bits)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn syndrome(graph: Graph<'_>, bits: &[u64], syndrome: &mut [u64], halves: &mut [u64]) {
    scalar::syndrome(graph, bits, syndrome, halves);
}
