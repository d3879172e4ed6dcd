//! The reference, lane by lane.

use super::{CERTAIN, Graph, INVERSE, LANES, MOST_EDGES, MOST_TOLD, MOST_WORDS, PHI, Told};

type Lanes = [i8; LANES];

#[inline(always)]
pub(super) fn prepare(graph: Graph<'_>, bits: &[u64], certain: &[u64], magnitude: i8, posteriors: &mut [i8]) {
    let words = graph.words();
    let count = graph.columns * words;
    assert_eq!((bits.len(), certain.len()), (count, count), "a word for 64 bits");
    assert_eq!(posteriors.len(), count * LANES, "a byte a bit");
    for (place, lanes) in posteriors.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
        let turn = u32::from(graph.firsts[place / words]);
        let (bits, certain) = (bits[place].rotate_right(turn), certain[place].rotate_right(turn));
        for (lane, value) in lanes.iter_mut().enumerate() {
            let size = if certain >> lane & 1 == 1 { CERTAIN } else { magnitude };
            *value = if bits >> lane & 1 == 1 { -size } else { size };
        }
    }
}

#[inline(always)]
pub(super) fn decide(graph: Graph<'_>, posteriors: &[i8], bits: &mut [u64]) {
    let words = graph.words();
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    assert_eq!(posteriors.len(), bits.len() * LANES, "a byte a bit");
    for (place, (lanes, bits)) in posteriors.as_chunks::<LANES>().0.iter().zip(bits).enumerate() {
        let signs = lanes.iter().rev().fold(0u64, |word, value| word << 1 | u64::from(*value < 0));
        *bits = signs.rotate_left(u32::from(graph.firsts[place / words]));
    }
}

#[inline(always)]
pub(super) fn iterate(
    graph: Graph<'_>,
    syndrome: &[u64],
    halves: &[u64],
    posteriors: &mut [i8],
    messages: &mut [i8],
) -> usize {
    assert_eq!(posteriors.len(), graph.columns * graph.lift, "a byte a bit");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let mut values = [[0i8; LANES]; MOST_EDGES];
    let mut violated = 0;
    for told in graph.told(syndrome, halves) {
        violated += check(graph, told, (posteriors, messages), &mut values);
    }
    violated
}

/// Sixty-four checks of a row: how many are violated.
#[inline(always)]
fn check(
    graph: Graph<'_>,
    Told { edges, parity, word, messages: at }: Told,
    (posteriors, messages): (&mut [i8], &mut [i8]),
    values: &mut [Lanes; MOST_EDGES],
) -> usize {
    let mut signs: Lanes = std::array::from_fn(|lane| if parity >> lane & 1 == 1 { -1 } else { 0 });
    let mut least = [127u8; LANES];
    let mut sums = [0u16; LANES];
    let messages = &mut messages[at..];
    for (number, (edge, value)) in graph.edges[edges.clone()].iter().zip(values.iter_mut()).enumerate() {
        let message = &messages[number * LANES..][..LANES];
        let posterior = &posteriors[graph.place(*edge, word) * LANES..][..LANES];
        for lane in 0..LANES {
            value[lane] = posterior[lane].saturating_sub(message[lane]);
            signs[lane] ^= value[lane];
            least[lane] = least[lane].min(value[lane].unsigned_abs());
        }
        for lane in 0..LANES {
            sums[lane] = sums[lane].saturating_add(phi(value[lane].unsigned_abs()));
        }
    }
    let mut told = [[0i8; LANES]; 2];
    for lane in 0..LANES {
        told[0][lane] = inverse(sums[lane]);
        told[1][lane] = inverse(sums[lane] - phi(least[lane]));
    }
    for (number, (index, value)) in edges.zip(values.iter()).enumerate() {
        let message = &mut messages[number * LANES..][..LANES];
        let posterior = &mut posteriors[graph.place(graph.edges[index], word) * LANES..][..LANES];
        let limit = graph.limits[index].min(MOST_TOLD).cast_signed();
        let mut heard = [0i8; LANES];
        for lane in 0..LANES {
            let is_least = value[lane].unsigned_abs() == least[lane];
            let magnitude = if is_least { told[1][lane] } else { told[0][lane] }.min(limit);
            let negative = signs[lane] ^ value[lane] < 0;
            message[lane] = if negative { -magnitude } else { magnitude };
            heard[lane] = value[lane].saturating_add(message[lane]);
        }
        let turn = usize::from(graph.turns[index]) % LANES;
        for lane in 0..LANES {
            posterior[lane] = heard[(lane + turn) % LANES];
        }
    }
    signs.iter().filter(|sign| **sign < 0).count()
}

/// φ.
#[inline(always)]
fn phi(magnitude: u8) -> u16 {
    PHI[usize::from(magnitude.min(31))]
}

/// φ⁻¹ of a sum.
#[inline(always)]
fn inverse(sum: u16) -> i8 {
    let sum = usize::from(sum);
    let told = match sum {
        0..64 => INVERSE[0][sum],
        64..1024 => INVERSE[1][sum >> 4],
        _ => INVERSE[2][(sum >> 8).min(63)],
    };
    told.cast_signed()
}

#[inline(always)]
pub(super) fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], halves: &[u64], bits: &[u64]) -> bool {
    let words = graph.words();
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    assert_eq!(syndrome.len(), graph.syndrome_words(), "a bit a check");
    let mut parities = [[0; MOST_WORDS]; 2];
    for (row, bounds) in graph.rows.windows(3).step_by(2).enumerate() {
        for (half, sums) in parities.iter_mut().enumerate() {
            add(
                graph,
                &graph.edges[bounds[half] as usize..bounds[half + 1] as usize],
                bits,
                &mut sums[..words],
            );
        }
        let (from, [first, second]) = (row * words, &mut parities);
        for (word, (first, second)) in first.iter_mut().zip(second).take(words).enumerate() {
            let whole = *first ^ *second ^ syndrome[from + word];
            let half = halves.get(from + word).map_or(0, |half| half ^ *first);
            if whole | half != 0 {
                return false;
            }
            (*first, *second) = (0, 0);
        }
    }
    true
}

/// Adds the bits that edges lead a row's checks to.
#[inline(always)]
fn add(graph: Graph<'_>, edges: &[(u32, u32)], bits: &[u64], sums: &mut [u64]) {
    let words = graph.words();
    for (column, shift) in edges {
        let (front, back) = bits[*column as usize * words..][..words].split_at(*shift as usize / LANES);
        let (low, high) = sums.split_at_mut(back.len());
        let lanes = shift % LANES as u32;
        low.iter_mut().zip(back).for_each(|(sum, bits)| *sum ^= bits.rotate_right(lanes));
        high.iter_mut().zip(front).for_each(|(sum, bits)| *sum ^= bits.rotate_right(lanes));
    }
}

#[inline(always)]
pub(super) fn syndrome(graph: Graph<'_>, bits: &[u64], syndrome: &mut [u64], halves: &mut [u64]) {
    let words = graph.words();
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    let checks = graph.syndrome_words();
    assert_eq!((syndrome.len(), halves.len()), (checks, checks), "a bit a check");
    let rows = syndrome.chunks_exact_mut(words).zip(halves.chunks_exact_mut(words));
    for ((whole, first), bounds) in rows.zip(graph.rows.windows(3).step_by(2)) {
        let edges = |half: usize| &graph.edges[bounds[half] as usize..bounds[half + 1] as usize];
        first.fill(0);
        add(graph, edges(0), bits, first);
        whole.copy_from_slice(first);
        add(graph, edges(1), bits, whole);
    }
}
