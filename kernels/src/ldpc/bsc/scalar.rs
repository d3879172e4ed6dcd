//! The reference, lane by lane.

use super::{Graph, LANES, MESSAGE_LIMIT, MOST_EDGES};

type Lanes = [i8; LANES];
type Magnitudes = [u8; LANES];

#[inline(always)]
pub(super) fn iterate(graph: Graph<'_>, syndrome: &[u64], posteriors: &mut [i8], messages: &mut [i8]) {
    graph.check();
    let words = graph.lift / LANES;
    assert_eq!(syndrome.len(), (graph.rows.len() - 1) * words, "a bit a check");
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let mut values = [[0i8; LANES]; MOST_EDGES];
    for (row, bounds) in graph.rows.windows(2).enumerate() {
        let (first, end) = (bounds[0] as usize, bounds[1] as usize);
        for word in 0..words {
            let parity = syndrome[row * words + word];
            check(graph, [first, end, word], parity, posteriors, messages, &mut values);
        }
    }
}

/// Sixty-four checks of a row.
#[inline(always)]
fn check(
    graph: Graph<'_>,
    [first, end, word]: [usize; 3],
    parity: u64,
    posteriors: &mut [i8],
    messages: &mut [i8],
    values: &mut [Lanes; MOST_EDGES],
) {
    let edges = &graph.edges[first..end];
    let mut signs: Lanes = std::array::from_fn(|lane| if parity >> lane & 1 == 1 { -1 } else { 0 });
    let (mut least, mut rest): (Magnitudes, Magnitudes) = ([127; LANES], [127; LANES]);
    for (place, (edge, value)) in edges.iter().zip(values.iter_mut()).enumerate() {
        let offset = offset(graph, *edge, word);
        let message = &messages[(first + place) * graph.lift + word * LANES..][..LANES];
        let posterior = &posteriors[offset..][..LANES];
        for lane in 0..LANES {
            value[lane] = posterior[lane].saturating_sub(message[lane]);
            signs[lane] ^= value[lane];
        }
        for lane in 0..LANES {
            let magnitude = value[lane].unsigned_abs().min(127);
            let larger = least[lane].max(magnitude);
            least[lane] = least[lane].min(magnitude);
            rest[lane] = if place == 0 { larger } else { boxplus(rest[lane], larger) };
        }
    }
    let mut all: Magnitudes = [0; LANES];
    for lane in 0..LANES {
        all[lane] = boxplus(rest[lane], least[lane]).min(MESSAGE_LIMIT);
        rest[lane] = rest[lane].min(MESSAGE_LIMIT);
    }
    for (place, (edge, value)) in edges.iter().zip(values.iter()).enumerate() {
        let offset = offset(graph, *edge, word);
        let message = &mut messages[(first + place) * graph.lift + word * LANES..][..LANES];
        let posterior = &mut posteriors[offset..][..LANES];
        for lane in 0..LANES {
            let is_least = value[lane].unsigned_abs().min(127) == least[lane];
            let magnitude = if is_least { rest[lane] } else { all[lane] }.cast_signed();
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

/// min + g(sum) − g(difference), at least 0.
#[inline(always)]
fn boxplus(a: u8, b: u8) -> u8 {
    let (low, high) = (a.min(b), a.max(b));
    (low + correction(a + b)).saturating_sub(correction(high - low))
}

/// g.
#[inline(always)]
fn correction(x: u8) -> u8 {
    u8::from(x == 0) + u8::from(x <= 3) + u8::from(x <= 8)
}

#[inline(always)]
pub(super) fn is_satisfied(graph: Graph<'_>, syndrome: &[u64], posteriors: &[i8]) -> bool {
    graph.check();
    let words = graph.lift / LANES;
    assert_eq!(syndrome.len(), (graph.rows.len() - 1) * words, "a bit a check");
    for (row, bounds) in graph.rows.windows(2).enumerate() {
        let edges = &graph.edges[bounds[0] as usize..bounds[1] as usize];
        for word in 0..words {
            let parity = syndrome[row * words + word];
            let mut signs: Lanes = std::array::from_fn(|lane| if parity >> lane & 1 == 1 { -1 } else { 0 });
            for edge in edges {
                let posterior = &posteriors[offset(graph, *edge, word)..][..LANES];
                for lane in 0..LANES {
                    signs[lane] ^= posterior[lane];
                }
            }
            if signs.iter().any(|sign| *sign < 0) {
                return false;
            }
        }
    }
    true
}

#[inline(always)]
pub(super) fn syndrome(graph: Graph<'_>, bits: &[u64], out: &mut [u64]) {
    graph.check();
    let words = graph.lift / LANES;
    assert_eq!(bits.len(), graph.columns * words, "a word for 64 bits");
    assert_eq!(out.len(), (graph.rows.len() - 1) * words, "a bit a check");
    out.fill(0);
    for (row, bounds) in graph.rows.windows(2).enumerate() {
        for (column, shift) in &graph.edges[bounds[0] as usize..bounds[1] as usize] {
            let block = &bits[*column as usize * words..][..words];
            let (skip, shift) = (*shift as usize / LANES, *shift as usize % LANES);
            for word in 0..words {
                let low = block[(word + skip) % words];
                let high = block[(word + skip + 1) % words];
                let moved = if shift == 0 { low } else { low >> shift | high << (LANES - shift) };
                out[row * words + word] ^= moved;
            }
        }
    }
}
