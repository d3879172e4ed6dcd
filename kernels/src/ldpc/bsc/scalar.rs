//! The reference, lane by lane.

use super::{CERTAIN, Graph, INVERSE, LANES, MOST_EDGES, PHI, Told};

type Lanes = [i8; LANES];

#[inline(always)]
pub(super) fn prepare(graph: Graph<'_>, bits: &[u64], certain: &[u64], magnitude: i8, posteriors: &mut [i8]) {
    let words = graph.lift / LANES;
    assert_eq!(
        (bits.len(), certain.len()),
        (graph.columns * words, graph.columns * words),
        "a word for 64 bits"
    );
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    for (column, block) in posteriors.chunks_exact_mut(graph.stride()).enumerate() {
        for (word, lanes) in block.chunks_exact_mut(LANES).enumerate() {
            let (bits, certain) =
                (bits[column * words + word % words], certain[column * words + word % words]);
            for (lane, value) in lanes.iter_mut().enumerate() {
                let size = if certain >> lane & 1 == 1 { CERTAIN } else { magnitude };
                *value = if bits >> lane & 1 == 1 { -size } else { size };
            }
        }
    }
}

#[inline(always)]
pub(super) fn decide(graph: Graph<'_>, posteriors: &[i8], bits: &mut [u64]) {
    let words = graph.lift / LANES;
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    for (block, bits) in posteriors.chunks_exact(graph.stride()).zip(bits.chunks_exact_mut(words)) {
        for (lanes, bits) in block.chunks_exact(LANES).zip(bits) {
            *bits = lanes.iter().rev().fold(0, |word, value| word << 1 | u64::from(*value < 0));
        }
    }
}

#[inline(always)]
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
    let mut values = [[0i8; LANES]; MOST_EDGES];
    for Told { edges, parity, word, messages: at } in graph.told(syndrome, halves) {
        let messages = &mut messages[at..];
        check(graph, &graph.edges[edges], (parity, word), (posteriors, messages), &mut values);
    }
}

/// Sixty-four checks of a row.
#[inline(always)]
fn check(
    graph: Graph<'_>,
    edges: &[(u32, u32)],
    (parity, word): (u64, usize),
    (posteriors, messages): (&mut [i8], &mut [i8]),
    values: &mut [Lanes; MOST_EDGES],
) {
    let mut signs: Lanes = std::array::from_fn(|lane| if parity >> lane & 1 == 1 { -1 } else { 0 });
    let mut least = [127u8; LANES];
    let mut sums = [0i16; LANES];
    for (number, (edge, value)) in edges.iter().zip(values.iter_mut()).enumerate() {
        let message = &messages[number * LANES..][..LANES];
        let posterior = &posteriors[offset(graph, *edge, word)..][..LANES];
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
    for (number, (edge, value)) in edges.iter().zip(values.iter()).enumerate() {
        let offset = offset(graph, *edge, word);
        let message = &mut messages[number * LANES..][..LANES];
        let posterior = &mut posteriors[offset..][..LANES];
        for lane in 0..LANES {
            let is_least = value[lane].unsigned_abs() == least[lane];
            let magnitude = if is_least { told[1][lane] } else { told[0][lane] };
            let negative = signs[lane] ^ value[lane] < 0;
            message[lane] = if negative { -magnitude } else { magnitude };
            posterior[lane] = value[lane].saturating_add(message[lane]);
        }
        mirror(graph, *edge, offset, posteriors);
    }
}

/// Where the sixty-four bits of an edge begin.
#[inline(always)]
pub(super) fn offset(graph: Graph<'_>, (column, shift): (u32, u32), word: usize) -> usize {
    let place = shift as usize + word * LANES;
    let wrapped = if place >= graph.lift { place - graph.lift } else { place };
    column as usize * graph.stride() + wrapped
}

/// Keeps the block's mirrored bytes equal to its first ones after bytes from `offset` were written.
#[inline(always)]
pub(super) fn mirror(graph: Graph<'_>, (column, _): (u32, u32), offset: usize, posteriors: &mut [i8]) {
    let block = column as usize * graph.stride();
    let place = offset - block;
    if place > graph.lift - LANES {
        let over = place + LANES - graph.lift;
        posteriors.copy_within(block + graph.lift..block + graph.lift + over, block);
    }
    if place < LANES {
        posteriors.copy_within(offset..block + LANES, block + graph.lift + place);
    }
}

/// φ.
#[inline(always)]
fn phi(magnitude: u8) -> i16 {
    PHI[usize::from(magnitude.min(63))].cast_signed()
}

/// φ⁻¹ of a sum, which is not negative.
#[inline(always)]
fn inverse(sum: i16) -> i8 {
    let sum = usize::from(sum.cast_unsigned());
    let told = match sum {
        0..64 => INVERSE[0][sum],
        64..1024 => INVERSE[1][sum >> 4],
        _ => INVERSE[2][(sum >> 8).min(63)],
    };
    told.cast_signed()
}

#[inline(always)]
pub(super) fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], halves: &[u64], posteriors: &[i8]) -> bool {
    graph.check();
    for Told { edges, parity, word, .. } in graph.told(syndrome, halves) {
        let mut signs: Lanes = std::array::from_fn(|lane| if parity >> lane & 1 == 1 { -1 } else { 0 });
        for edge in &graph.edges[edges] {
            let posterior = &posteriors[offset(graph, *edge, word)..][..LANES];
            for lane in 0..LANES {
                signs[lane] ^= posterior[lane];
            }
        }
        if signs.iter().any(|sign| *sign < 0) {
            return false;
        }
    }
    true
}

#[inline(always)]
pub(super) fn syndrome(graph: Graph<'_>, bits: &[u64], syndrome: &mut [u64], halves: &mut [u64]) {
    graph.check();
    let words = graph.lift / LANES;
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    let checks = graph.syndrome_words();
    assert_eq!((syndrome.len(), halves.len()), (checks, checks), "a bit a check");
    let wrapped = |word: usize| if word >= words { word - words } else { word };
    for (row, bounds) in graph.rows.windows(3).step_by(2).enumerate() {
        for word in 0..words {
            let edge = |(column, shift): &(u32, u32)| {
                let block = &bits[*column as usize * words..][..words];
                let place = wrapped(word + *shift as usize / LANES);
                let (low, high, shift) = (block[place], block[wrapped(place + 1)], *shift as usize % LANES);
                if shift == 0 { low } else { low >> shift | high << (LANES - shift) }
            };
            let parity = |half: usize| {
                let edges = &graph.edges[bounds[half] as usize..bounds[half + 1] as usize];
                edges.iter().map(edge).fold(0, |sum, word| sum ^ word)
            };
            let first = parity(0);
            halves[row * words + word] = first;
            syndrome[row * words + word] = first ^ parity(1);
        }
    }
}
