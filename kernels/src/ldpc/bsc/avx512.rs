//! Sixty-four lanes a vector; every table is one look-up.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_abs_epi8, _mm512_add_epi8, _mm512_add_epi16, _mm512_add_epi32,
    _mm512_adds_epi8, _mm512_adds_epu8, _mm512_and_si512, _mm512_cmpeq_epu32_mask, _mm512_cmpge_epu8_mask,
    _mm512_cmpge_epu32_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_maddubs_epi16,
    _mm512_mask_blend_epi8, _mm512_mask_blend_epi32, _mm512_mask_permutexvar_epi8, _mm512_mask_sub_epi8,
    _mm512_mask_sub_epi32, _mm512_maskz_loadu_epi64, _mm512_min_epu8, _mm512_movepi8_mask, _mm512_movm_epi8,
    _mm512_mullo_epi32, _mm512_or_si512, _mm512_permutex2var_epi32, _mm512_permutexvar_epi8,
    _mm512_set1_epi8, _mm512_set1_epi16, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_si512,
    _mm512_slli_epi16, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_srli_epi32, _mm512_storeu_si512,
    _mm512_sub_epi8, _mm512_subs_epi8, _mm512_xor_si512,
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

/// φ⁻¹ of it and of all above is 0.
const NOTHING_TOLD: u16 = 22 << 8;

/// φ by its bytes: 64 times the high one and the low one.
///
/// φ(0) counts as the least sum of which nothing is told. That, and that sums saturate at 64 · 255, which is more than
/// twice as much, changes no message: with one such term the sum tells nothing, and without one that is among others it
/// still does.
static PHI_BYTES: [[u8; LANES]; 2] = {
    let (mut all, mut place) = ([[0; LANES]; 2], 0);
    while place < PHI.len() {
        let phi = if PHI[place] < NOTHING_TOLD { PHI[place] } else { NOTHING_TOLD };
        (all[0][place], all[1][place]) = ((phi / 64) as u8, (phi % 64) as u8);
        place += 1;
    }
    all
};

/// A sum of φ by lane, in two bytes as in [`PHI_BYTES`].
#[derive(Clone, Copy)]
struct Sum {
    high: __m512i,
    low: __m512i,
}

impl Sum {
    /// Without one of its terms. Both low bytes are below 64.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn without(self, term: Self) -> Self {
        let (high, low) = (_mm512_sub_epi8(self.high, term.high), _mm512_sub_epi8(self.low, term.low));
        let borrow = _mm512_movepi8_mask(low);
        Self {
            high: _mm512_mask_sub_epi8(high, borrow, high, _mm512_set1_epi8(1)),
            low: _mm512_and_si512(low, _mm512_set1_epi8(63)),
        }
    }
}

/// A sum that grows, saturating: its low bytes add up in 16 bits, those of the even lanes and those of the odd ones.
#[derive(Clone, Copy)]
struct Growing {
    high: __m512i,
    low: [__m512i; 2],
}

impl Growing {
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add(&mut self, term: Sum) {
        let even = _mm512_and_si512(term.low, _mm512_set1_epi16(0xff));
        // Odd lanes once and even ones not at all: a shift, for which more ports are free.
        let odd = _mm512_maddubs_epi16(term.low, _mm512_set1_epi16(0x0100));
        self.high = _mm512_adds_epu8(self.high, term.high);
        self.low = [_mm512_add_epi16(self.low[0], even), _mm512_add_epi16(self.low[1], odd)];
    }

    /// Four terms: no two high bytes add up to more than 255, nor do four low ones.
    #[target_feature(enable = "avx512f,avx512bw")]
    fn add_four(&mut self, [a, b, c, d]: [Sum; 4]) {
        let low = _mm512_add_epi8(_mm512_add_epi8(a.low, b.low), _mm512_add_epi8(c.low, d.low));
        self.high = _mm512_adds_epu8(self.high, _mm512_add_epi8(a.high, b.high));
        self.add(Sum { high: _mm512_add_epi8(c.high, d.high), low });
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    fn sum(self) -> Sum {
        let join = |[even, odd]: [__m512i; 2]| {
            _mm512_mask_blend_epi8(0xaaaa_aaaa_aaaa_aaaa, even, _mm512_slli_epi16::<8>(odd))
        };
        let carry = join(self.low.map(|low| _mm512_srli_epi16::<6>(low)));
        let low = _mm512_and_si512(join(self.low), _mm512_set1_epi8(63));
        Sum { high: _mm512_adds_epu8(self.high, carry), low }
    }
}

/// The tables: φ by its bytes, and φ⁻¹ in three steps.
#[derive(Clone, Copy)]
struct Tables {
    phi: [__m512i; 2],
    inverse: [__m512i; 3],
}

impl Tables {
    #[target_feature(enable = "avx512f")]
    fn new() -> Self {
        let bytes = |table: &[u8; LANES]| load(&table.map(u8::cast_signed));
        Self {
            phi: [bytes(&PHI_BYTES[0]), bytes(&PHI_BYTES[1])],
            inverse: [bytes(&INVERSE[0]), bytes(&INVERSE[1]), bytes(&INVERSE[2])],
        }
    }

    /// φ of magnitudes below 32.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
    fn phi(self, magnitude: __m512i) -> Sum {
        let [high, low] = self.phi.map(|table| _mm512_permutexvar_epi8(magnitude, table));
        Sum { high, low }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
    fn inverse(self, Sum { high, low }: Sum) -> __m512i {
        let byte = |value| _mm512_set1_epi8(value);
        let sixteens = _mm512_or_si512(
            _mm512_slli_epi16::<2>(_mm512_and_si512(high, byte(15))),
            _mm512_and_si512(_mm512_srli_epi16::<4>(low), byte(3)),
        );
        let most = _mm512_and_si512(_mm512_srli_epi16::<2>(high), byte(63));
        let told = _mm512_permutexvar_epi8(low, self.inverse[0]);
        let beyond = _mm512_cmpge_epu8_mask(high, byte(1));
        let told = _mm512_mask_permutexvar_epi8(told, beyond, sixteens, self.inverse[1]);
        let beyond = _mm512_cmpge_epu8_mask(high, byte(16));
        _mm512_mask_permutexvar_epi8(told, beyond, most, self.inverse[2])
    }
}

/// A byte four times, by byte: no port is needed to spread it further.
static FOURFOLD: [u32; 256] = {
    let (mut all, mut byte) = ([0; 256], 0);
    while byte < all.len() {
        all[byte] = 0x0101_0101 * byte as u32;
        byte += 1;
    }
    all
};

/// Words of a row that are worked on at once: what they have in common is done once, and there is work on one while the
/// other's results are waited for.
const PAIR: usize = 2;

/// By word of a pair and edge: where in the posteriors it leads, in bytes.
type Places = [[u32; MOST_EDGES]; PAIR];

/// Finds where edges lead two words of their row, `word` and the next one.
#[target_feature(enable = "avx512f")]
fn find(places: &mut Places, graph: Graph<'_>, edges: &[(u32, u32)], word: usize) {
    let [words, word] = [graph.words(), word].map(|value| _mm512_set1_epi32(value as i32));
    let (zero, one) = (_mm512_setzero_si512(), _mm512_set1_epi32(1));
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_or_si512(even, one);
    let [first, second] = places.each_mut().map(|places| places.as_chunks_mut::<16>().0);
    for ((edges, first), second) in edges.chunks(16).zip(first).zip(second) {
        let there = u16::MAX >> (16 - edges.len());
        let eight = |first: usize| {
            let from = edges.as_ptr().wrapping_add(first).cast();
            // SAFETY: of eight edges of eight bytes, those that are there.
            unsafe { _mm512_maskz_loadu_epi64((there >> first) as u8, from) }
        };
        let eights = [eight(0), eight(8)];
        let columns = _mm512_permutex2var_epi32(eights[0], even, eights[1]);
        let shifts = _mm512_permutex2var_epi32(eights[0], odd, eights[1]);
        let start = _mm512_mullo_epi32(columns, words);
        let at = _mm512_add_epi32(_mm512_srli_epi32::<6>(shifts), word);
        let at = _mm512_mask_sub_epi32(at, _mm512_cmpge_epu32_mask(at, words), at, words);
        let next = _mm512_add_epi32(at, one);
        let next = _mm512_mask_blend_epi32(_mm512_cmpeq_epu32_mask(next, words), next, zero);
        for (places, at) in [(first, at), (second, next)] {
            let bytes = _mm512_slli_epi32::<6>(_mm512_add_epi32(start, at));
            // SAFETY: sixteen places.
            unsafe { _mm512_storeu_si512(places.as_mut_ptr().cast(), bytes) };
        }
    }
}

/// What a row's edges lead to from one of its words of checks, or from two.
#[derive(Clone, Copy)]
struct Edges<'a> {
    /// How each edge turns lanes, and its largest message.
    turns: &'a [u8],
    limits: &'a [u8],
    places: &'a Places,
    posteriors: *mut Lanes,
    /// Of the first word, then of the next.
    messages: *mut Lanes,
}

impl Edges<'_> {
    /// The posteriors and the messages of an edge.
    ///
    /// # Safety
    /// There are this word and this edge, and what they lead to is used by nobody else.
    #[inline(always)]
    unsafe fn at<'b>(&self, word: usize, edge: usize) -> (&'b mut Lanes, &'b mut Lanes) {
        // SAFETY: there are so many edges.
        let place = unsafe { self.places.as_flattened().get_unchecked(word * MOST_EDGES + edge) };
        let posterior = self.posteriors.wrapping_byte_add(*place as usize);
        let message = self.messages.wrapping_add(word * self.turns.len() + edge);
        // SAFETY: a place is that of a word of posteriors.
        let posterior = unsafe { &mut *posterior };
        // SAFETY: there are messages of all edges of all words.
        (posterior, unsafe { &mut *message })
    }
}

/// What sixty-four checks hear from their edges.
#[derive(Clone, Copy)]
struct Heard {
    /// The product of signs, and the smallest magnitude.
    signs: __m512i,
    least: __m512i,
    sum: Growing,
}

impl Heard {
    /// Hears what the bits of an edge know: φ of it, the sum's next term.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
    fn hear(&mut self, tables: Tables, value: __m512i) -> Sum {
        let magnitude = _mm512_min_epu8(_mm512_abs_epi8(value), _mm512_set1_epi8(31));
        self.signs = _mm512_xor_si512(self.signs, value);
        self.least = _mm512_min_epu8(self.least, magnitude);
        tables.phi(magnitude)
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
pub(super) fn iterate(
    graph: Graph<'_>,
    syndrome: &[u64],
    halves: &[u64],
    posteriors: &mut [i8],
    messages: &mut [i8],
) -> usize {
    assert_eq!(posteriors.len(), graph.columns * graph.lift, "a byte a bit");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let (tables, mut places) = (Tables::new(), [[0; MOST_EDGES]; PAIR]);
    let mut violated = 0;
    let mut walk = graph.told(syndrome, halves);
    while let Some(Told { edges, parity, word, messages: at }) = walk.next() {
        let next = walk.beside();
        find(&mut places, graph, &graph.edges[edges.clone()], word);
        let words = 1 + usize::from(next.is_some());
        let messages = messages[at..at + words * edges.len() * LANES].as_mut_ptr().cast();
        let (turns, limits) = (&graph.turns[edges.clone()], &graph.limits[edges]);
        let (places, posteriors) = (&places, posteriors.as_mut_ptr().cast());
        let edges = Edges { turns, limits, places, posteriors, messages };
        // No edge leads out of a graph, so what was found are places of words of posteriors; no two edges of a row lead
        // to the same column, and from two of its checks none leads to the same bit.
        violated += match next {
            // SAFETY: see above.
            None => unsafe { check(tables, [parity], edges) },
            // SAFETY: see above.
            Some(next) => unsafe { check(tables, [parity, next], edges) },
        };
    }
    violated
}

/// Sixty-four checks of a row by word: how many are violated.
///
/// # Safety
/// Edges lead to posteriors and messages, no two to the same, and nobody else uses those.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
unsafe fn check<const WORDS: usize>(tables: Tables, parities: [u64; WORDS], edges: Edges<'_>) -> usize {
    let (zero, count) = (_mm512_setzero_si512(), edges.turns.len());
    let nothing = Growing { high: zero, low: [zero; 2] };
    let mut heard = [Heard { signs: zero, least: _mm512_set1_epi8(31), sum: nothing }; WORDS];
    for (heard, parity) in heard.iter_mut().zip(parities) {
        heard.signs = _mm512_movm_epi8(parity);
    }
    let in_fours = count / 4 * 4;
    for edge in (0..in_fours).step_by(4) {
        for (word, heard) in heard.iter_mut().enumerate() {
            let four = std::array::from_fn(|more| {
                // SAFETY: there are these edges, and the caller vouches for them.
                let value = unsafe { known(edges, (WORDS, word), edge + more) };
                heard.hear(tables, value)
            });
            heard.sum.add_four(four);
        }
    }
    for edge in in_fours..count {
        for (word, heard) in heard.iter_mut().enumerate() {
            // SAFETY: likewise.
            let term = heard.hear(tables, unsafe { known(edges, (WORDS, word), edge) });
            heard.sum.add(term);
        }
    }
    // SAFETY: the caller vouches for the edges.
    unsafe { tell(tables, heard, edges) };
    let mut violated = 0;
    for heard in heard {
        violated += _mm512_movepi8_mask(heard.signs).count_ones() as usize;
    }
    violated
}

/// What the bits of an edge know without their checks, with what they will be asked next on its way. There are so many
/// words.
///
/// # Safety
/// There are this word and this edge, and what they lead to is used by nobody else.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
unsafe fn known(edges: Edges<'_>, (words, word): (usize, usize), edge: usize) -> __m512i {
    // SAFETY: the caller vouches for it.
    let (posterior, message) = unsafe { edges.at(word, edge) };
    expect(posterior, 2);
    expect(message, words * edges.turns.len());
    _mm512_subs_epi8(load(posterior), load(message))
}

/// Tells all edges what their checks heard from the others.
///
/// # Safety
/// As for [`check`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
unsafe fn tell<const WORDS: usize>(tables: Tables, heard: [Heard; WORDS], edges: Edges<'_>) {
    let zero = _mm512_setzero_si512();
    let (mut all, mut others, mut twice) = ([zero; WORDS], [zero; WORDS], [zero; WORDS]);
    for (word, Heard { least, sum, .. }) in heard.into_iter().enumerate() {
        let sum = sum.sum();
        all[word] = tables.inverse(sum);
        others[word] = tables.inverse(sum.without(tables.phi(least)));
        twice[word] = _mm512_add_epi8(least, least);
    }
    for (edge, (turn, limit)) in edges.turns.iter().zip(edges.limits).enumerate() {
        let limit = _mm512_set1_epi32(FOURFOLD[usize::from(*limit)].cast_signed());
        let order = load(&TURNED.0[usize::from(*turn) % LANES]);
        for (word, Heard { signs, least, .. }) in heard.into_iter().enumerate() {
            // SAFETY: there are this word and this edge, and the caller vouches for them.
            let (posterior, message) = unsafe { edges.at(word, edge) };
            let value = _mm512_subs_epi8(load(posterior), load(message));
            // |value| ≤ least, in two steps for which more ports are free than for a magnitude's.
            let is_least = _mm512_cmple_epu8_mask(_mm512_add_epi8(value, least), twice[word]);
            let told = _mm512_min_epu8(_mm512_mask_blend_epi8(is_least, all[word], others[word]), limit);
            let negative = _mm512_movepi8_mask(_mm512_xor_si512(signs, value));
            let told = _mm512_mask_sub_epi8(told, negative, zero, told);
            store(message, told);
            store(posterior, _mm512_permutexvar_epi8(order, _mm512_adds_epi8(value, told)));
        }
    }
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
