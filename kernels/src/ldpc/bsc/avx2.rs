//! Thirty-two lanes a vector; tables are read sixteen entries at a time.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_abs_epi8, _mm256_adds_epi8, _mm256_adds_epu8,
    _mm256_adds_epu16, _mm256_blendv_epi8, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_max_epu8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_or_si256,
    _mm256_packus_epi16, _mm256_set1_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_sign_epi8,
    _mm256_srli_epi16, _mm256_storeu_si256, _mm256_sub_epi8, _mm256_sub_epi16, _mm256_subs_epi8,
    _mm256_unpackhi_epi8, _mm256_unpacklo_epi8, _mm256_xor_si256,
};

use super::scalar;
use super::{Graph, INVERSE, LANES, MOST_EDGES, PHI, Told};

/// Lanes of a vector.
const WIDTH: usize = 32;

#[target_feature(enable = "avx2")]
fn load(bytes: &[i8]) -> __m256i {
    let lanes: &[i8; WIDTH] = bytes[..WIDTH].try_into().expect("a slice of that length");
    // SAFETY: thirty-two readable bytes.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(bytes: &mut [i8], value: __m256i) {
    let lanes: &mut [i8; WIDTH] = (&mut bytes[..WIDTH]).try_into().expect("a slice of that length");
    // SAFETY: thirty-two writable bytes.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), value) }
}

#[target_feature(enable = "avx2")]
fn sixteen(bytes: &[u8]) -> __m256i {
    let lanes: &[u8; 16] = bytes[..16].try_into().expect("a slice of that length");
    // SAFETY: sixteen readable bytes.
    let half: __m128i = unsafe { _mm_loadu_si128(lanes.as_ptr().cast()) };
    _mm256_broadcastsi128_si256(half)
}

/// Thirty-two bits as bytes, all ones for a one.
#[target_feature(enable = "avx2")]
fn spread(bits: u32) -> __m256i {
    let bytes = bits.to_le_bytes();
    load(&std::array::from_fn::<i8, WIDTH, _>(|lane| -(bytes[lane / 8] >> (lane % 8) & 1).cast_signed()))
}

/// The tables, sixteen entries a vector. From 31 on φ is 0, its high byte from 16 on.
#[derive(Clone, Copy)]
struct Tables {
    phi_low: [__m256i; 2],
    phi_high: __m256i,
    inverse: [[__m256i; 4]; 3],
}

/// Sixteen bits a lane: the low and the high half of each 128 bits.
type Sums = [__m256i; 2];

/// The entry at `place` of a table that is zero beyond its sixteen entries.
#[target_feature(enable = "avx2")]
fn entry(table: __m256i, place: __m256i) -> __m256i {
    // Beyond fifteen the highest bit is set, which the shuffle takes for zero.
    _mm256_shuffle_epi8(table, _mm256_adds_epu8(place, _mm256_set1_epi8(0x70)))
}

impl Tables {
    #[target_feature(enable = "avx2")]
    fn new() -> Self {
        let (low, high) = (PHI.map(|value| value as u8), PHI.map(|value| (value >> 8) as u8));
        Self {
            phi_low: [sixteen(&low), sixteen(&low[16..])],
            phi_high: sixteen(&high),
            inverse: std::array::from_fn(|step| {
                std::array::from_fn(|part| sixteen(&INVERSE[step][16 * part..]))
            }),
        }
    }

    #[target_feature(enable = "avx2")]
    fn phi(self, magnitude: __m256i) -> Sums {
        let beyond = _mm256_sub_epi8(magnitude, _mm256_set1_epi8(16));
        let low = _mm256_or_si256(entry(self.phi_low[0], magnitude), entry(self.phi_low[1], beyond));
        let high = entry(self.phi_high, magnitude);
        [_mm256_unpacklo_epi8(low, high), _mm256_unpackhi_epi8(low, high)]
    }

    /// The entry at `place` below 64.
    #[target_feature(enable = "avx2")]
    fn inverse_at(self, step: usize, place: __m256i) -> __m256i {
        let mut told = entry(self.inverse[step][0], place);
        for part in 1..4 {
            let beyond = _mm256_sub_epi8(place, _mm256_set1_epi8(16 * part as i8));
            told = _mm256_or_si256(told, entry(self.inverse[step][part], beyond));
        }
        told
    }

    #[target_feature(enable = "avx2")]
    fn inverse(self, [low, high]: Sums) -> __m256i {
        let last = _mm256_set1_epi8(63);
        let ones = _mm256_min_epu8(_mm256_packus_epi16(low, high), last);
        let sixteens = _mm256_packus_epi16(_mm256_srli_epi16::<4>(low), _mm256_srli_epi16::<4>(high));
        let sixteens = _mm256_min_epu8(sixteens, last);
        let most = _mm256_packus_epi16(_mm256_srli_epi16::<8>(low), _mm256_srli_epi16::<8>(high));
        let most = _mm256_min_epu8(most, last);
        let four = _mm256_set1_epi8(4);
        let at_least_four = |x| _mm256_cmpeq_epi8(_mm256_max_epu8(x, four), x);
        let told = self.inverse_at(0, ones);
        let told = _mm256_blendv_epi8(told, self.inverse_at(1, sixteens), at_least_four(sixteens));
        _mm256_blendv_epi8(told, self.inverse_at(2, most), at_least_four(most))
    }
}

/// What the edges of sixty-four checks work on.
struct Bench {
    /// Where the lanes of the word that each edge leads to begin.
    places: [u32; MOST_EDGES],
    /// What each edge's bits know without this check, and then with it: the lanes of a word twice, so that turned
    /// ones are a plain load.
    values: [[i8; 2 * LANES]; MOST_EDGES],
}

#[target_feature(enable = "avx2,popcnt")]
pub(super) fn iterate(
    graph: Graph<'_>,
    syndrome: &[u64],
    halves: &[u64],
    posteriors: &mut [i8],
    messages: &mut [i8],
) -> usize {
    assert_eq!(posteriors.len(), graph.columns * graph.lift, "a byte a bit");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let tables = Tables::new();
    let mut bench = Bench { places: [0; MOST_EDGES], values: [[0; 2 * LANES]; MOST_EDGES] };
    let mut violated = 0;
    for Told { edges, parity, word, messages: at } in graph.told(syndrome, halves) {
        let messages = &mut messages[at..];
        let limits = &graph.limits[edges.clone()];
        for (place, edge) in bench.places.iter_mut().zip(&graph.edges[edges.clone()]) {
            *place = (graph.place(*edge, word) * LANES) as u32;
        }
        for first in (0..LANES).step_by(WIDTH) {
            let parity = (parity >> first) as u32;
            violated += check((limits, parity, first), posteriors, messages, (tables, &mut bench));
        }
        let values = bench.places.iter().zip(&bench.values).zip(&graph.turns[edges]);
        for ((place, value), turn) in values {
            let turned = &value[usize::from(*turn) % LANES..];
            let (low, high) = (load(turned), load(&turned[WIDTH..]));
            let posterior = &mut posteriors[*place as usize..][..LANES];
            store(posterior, low);
            store(&mut posterior[WIDTH..], high);
        }
    }
    violated
}

/// Thirty-two checks of a row, from lane `first` of the word: how many are violated.
#[target_feature(enable = "avx2,popcnt")]
fn check(
    (limits, parity, first): (&[u8], u32, usize),
    posteriors: &[i8],
    messages: &mut [i8],
    (tables, bench): (Tables, &mut Bench),
) -> usize {
    let (zero, count) = (_mm256_setzero_si256(), limits.len());
    let mut signs = spread(parity);
    let mut least = _mm256_set1_epi8(127);
    let [mut low, mut high] = [zero; 2];
    for (number, (place, value)) in bench.places[..count].iter().zip(&mut bench.values).enumerate() {
        let posterior = load(&posteriors[*place as usize + first..]);
        let extrinsic = _mm256_subs_epi8(posterior, load(&messages[number * LANES + first..]));
        store(&mut value[first..], extrinsic);
        signs = _mm256_xor_si256(signs, extrinsic);
        let magnitude = _mm256_abs_epi8(extrinsic);
        least = _mm256_min_epu8(least, magnitude);
        let phi = tables.phi(magnitude);
        low = _mm256_adds_epu16(low, phi[0]);
        high = _mm256_adds_epu16(high, phi[1]);
    }
    let own = tables.phi(least);
    let all = tables.inverse([low, high]);
    let others = tables.inverse([_mm256_sub_epi16(low, own[0]), _mm256_sub_epi16(high, own[1])]);
    for (number, (value, limit)) in bench.values[..count].iter_mut().zip(limits).enumerate() {
        let extrinsic = load(&value[first..]);
        let is_least = _mm256_cmpeq_epi8(_mm256_abs_epi8(extrinsic), least);
        let told = _mm256_blendv_epi8(all, others, is_least);
        let told = _mm256_min_epu8(told, _mm256_set1_epi8(limit.cast_signed()));
        // The sign instruction needs a value that is not zero.
        let sign = _mm256_or_si256(_mm256_xor_si256(signs, extrinsic), _mm256_set1_epi8(1));
        let message = _mm256_sign_epi8(told, sign);
        store(&mut messages[number * LANES + first..], message);
        let heard = _mm256_adds_epi8(extrinsic, message);
        store(&mut value[first..], heard);
        store(&mut value[LANES + first..], heard);
    }
    _mm256_movemask_epi8(signs).count_ones() as usize
}

#[target_feature(enable = "avx2")]
pub(super) fn decide(graph: Graph<'_>, posteriors: &[i8], bits: &mut [u64]) {
    let words = graph.words();
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    assert_eq!(posteriors.len(), bits.len() * LANES, "a byte a bit");
    for (place, (lanes, bits)) in posteriors.chunks_exact(LANES).zip(bits).enumerate() {
        let half = |first: usize| u64::from(_mm256_movemask_epi8(load(&lanes[first..])).cast_unsigned());
        *bits = (half(0) | half(WIDTH) << WIDTH).rotate_left(u32::from(graph.firsts[place / words]));
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn prepare(graph: Graph<'_>, bits: &[u64], certain: &[u64], magnitude: i8, posteriors: &mut [i8]) {
    scalar::prepare(graph, bits, certain, magnitude, posteriors);
}

#[target_feature(enable = "avx2")]
pub(super) fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], halves: &[u64], bits: &[u64]) -> bool {
    scalar::is_satisfied(graph, syndrome, halves, bits)
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
pub(super) fn syndrome(graph: Graph<'_>, bits: &[u64], syndrome: &mut [u64], halves: &mut [u64]) {
    scalar::syndrome(graph, bits, syndrome, halves);
}
