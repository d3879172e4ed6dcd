//! Sixteen lanes at a time on `wide`: what every x86-64 machine has, and NEON arithmetic on AArch64.

use wide::{i8x16, u8x16};

use super::scalar::{mirror, offset};
use super::{Graph, LANES, MESSAGE_LIMIT, MOST_EDGES};

pub(super) use super::scalar::{is_satisfied, syndrome};

/// Vectors that hold the lanes of a word.
const VECTORS: usize = LANES / 16;

pub(super) fn iterate(graph: Graph<'_>, syndrome: &[u64], posteriors: &mut [i8], messages: &mut [i8]) {
    graph.check();
    let words = graph.lift / LANES;
    assert_eq!(syndrome.len(), (graph.rows.len() - 1) * words, "a bit a check");
    assert_eq!(posteriors.len(), graph.columns * graph.stride(), "a stride a column");
    assert_eq!(messages.len(), graph.edges.len() * graph.lift, "a byte an edge");
    let mut values = [[i8x16::ZERO; VECTORS]; MOST_EDGES];
    for (row, bounds) in graph.rows.windows(2).enumerate() {
        let (first, end) = (bounds[0] as usize, bounds[1] as usize);
        for word in 0..words {
            let parity = syndrome[row * words + word];
            for vector in 0..VECTORS {
                check(graph, [first, end, word, vector], parity, posteriors, messages, &mut values);
            }
            // Only now may a block's mirrored bytes change: the vectors read them.
            for edge in &graph.edges[first..end] {
                mirror(graph, *edge, offset(graph, *edge, word), posteriors);
            }
        }
    }
}

/// Sixteen checks of a row.
#[inline]
fn check(
    graph: Graph<'_>,
    [first, end, word, vector]: [usize; 4],
    parity: u64,
    posteriors: &mut [i8],
    messages: &mut [i8],
    values: &mut [[i8x16; VECTORS]; MOST_EDGES],
) {
    let edges = &graph.edges[first..end];
    let lanes: [i8; 16] =
        std::array::from_fn(|lane| if parity >> (16 * vector + lane) & 1 == 1 { -1 } else { 0 });
    let mut signs = i8x16::new(lanes);
    let (mut least, mut rest) = (u8x16::splat(127), u8x16::splat(127));
    for (place, (edge, value)) in edges.iter().zip(values.iter_mut()).enumerate() {
        let message = load(&messages[message_at(graph, [first + place, word, vector])..]);
        let posterior = load(&posteriors[offset(graph, *edge, word) + 16 * vector..]);
        let extrinsic = posterior.saturating_sub(message);
        value[vector] = extrinsic;
        signs ^= extrinsic;
        let magnitude = magnitude(extrinsic);
        let larger = least.max(magnitude);
        least = least.min(magnitude);
        rest = if place == 0 { larger } else { boxplus(rest, larger) };
    }
    let limit = u8x16::splat(MESSAGE_LIMIT);
    let (all, others) = (signed(boxplus(rest, least).min(limit)), signed(rest.min(limit)));
    for (place, (edge, value)) in edges.iter().zip(values.iter()).enumerate() {
        let extrinsic = value[vector];
        let is_least = signed(magnitude(extrinsic).simd_eq(least));
        let told = is_least.bitselect(others, all);
        let negative = (signs ^ extrinsic).simd_lt(i8x16::ZERO);
        let message = (told ^ negative) - negative;
        store(message, &mut messages[message_at(graph, [first + place, word, vector])..]);
        store(extrinsic.saturating_add(message), &mut posteriors[offset(graph, *edge, word) + 16 * vector..]);
    }
}

fn message_at(graph: Graph<'_>, [edge, word, vector]: [usize; 3]) -> usize {
    edge * graph.lift + word * LANES + 16 * vector
}

fn load(bytes: &[i8]) -> i8x16 {
    let mut lanes = [0; 16];
    lanes.copy_from_slice(&bytes[..16]);
    i8x16::new(lanes)
}

fn store(vector: i8x16, bytes: &mut [i8]) {
    bytes[..16].copy_from_slice(&vector.to_array());
}

fn signed(vector: u8x16) -> i8x16 {
    i8x16::new(vector.to_array().map(u8::cast_signed))
}

/// |x|, at most 127.
fn magnitude(x: i8x16) -> u8x16 {
    let absolute = x.max(i8x16::ZERO.saturating_sub(x));
    u8x16::new(absolute.to_array().map(i8::cast_unsigned))
}

/// min + g(sum) − g(difference), at least 0.
fn boxplus(a: u8x16, b: u8x16) -> u8x16 {
    let (low, high) = (a.min(b), a.max(b));
    (low + correction(a + b)).saturating_sub(correction(high - low))
}

/// g: a comparison that holds is all ones, which is −1.
fn correction(x: u8x16) -> u8x16 {
    let at_most = |limit: u8| x.min(u8x16::splat(limit)).simd_eq(x);
    u8x16::ZERO - x.simd_eq(u8x16::ZERO) - at_most(3) - at_most(8)
}
