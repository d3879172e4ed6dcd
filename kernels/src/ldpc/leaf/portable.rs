//! Rows of 64 lanes: the reference's arithmetic, in loops that the compiler vectorises.

use super::scalar::{artanh_twice, box_plus, factor, limited, mul, size_of};
use super::{Edge, Factors, Lanes, certain};

pub(super) use super::scalar::leaves;

type Row = [i16; 64];

runs!(inline);

/// A block's lanes from the rotation on.
#[inline]
fn rotated(lanes: &Lanes, rotation: u16) -> Row {
    let rotation = usize::from(rotation % 64);
    let mut row = [0; 64];
    row[..64 - rotation].copy_from_slice(&lanes.0[rotation..]);
    row[64 - rotation..].copy_from_slice(&lanes.0[..rotation]);
    row
}

#[inline]
fn both<T: Copy, U: Copy, V>(a: &[T; 64], b: &[U; 64], f: impl Fn(T, U) -> V) -> [V; 64] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

#[inline]
fn leaf_checks<const D: usize>(
    factors: &Factors,
    edges: &[Edge],
    (posteriors, messages): State<'_>,
    leaves: &[Lanes],
) {
    let (edges, _) = edges.as_chunks::<D>();
    let (messages, _) = messages.as_chunks_mut::<D>();
    for ((edges, messages), leaf) in edges.iter().zip(messages).zip(leaves) {
        let a = without(edges, posteriors, messages);
        let told = by_product::<D>(factors, &leaf.0, &a);
        tell((edges, posteriors), messages, &a, &told);
    }
}

/// The posteriors of a check's bits in its lane order, without what the check said before.
#[inline]
fn without<const D: usize>(edges: &[Edge; D], posteriors: &[Lanes], messages: &[Lanes; D]) -> [Row; D] {
    let mut a = [[0; 64]; D];
    for i in 0..D {
        let value = rotated(&posteriors[edges[i].block as usize], edges[i].rotation);
        a[i] = both(&value, &messages[i].0, i16::saturating_sub);
    }
    a
}

/// Stores what the check says now, and adds it.
#[inline]
fn tell<const D: usize>(
    (edges, posteriors): (&[Edge; D], &mut [Lanes]),
    messages: &mut [Lanes; D],
    a: &[Row; D],
    told: &[Row; D],
) {
    for i in 0..D {
        messages[i].0 = told[i];
        posteriors[edges[i].block as usize].0 = both(&a[i], &told[i], i16::saturating_add);
    }
}

#[inline]
fn by_product<const D: usize>(factors: &Factors, leaf: &Row, a: &[Row; D]) -> [Row; D] {
    let (mut factors_of, mut told, mut before) = ([*leaf; D], [*leaf; D], *leaf);
    for i in 0..D {
        factors_of[i] = a[i].map(|a| factor(factors, a));
        told[i] = before;
        before = both(&before, &factors_of[i], mul);
    }
    let mut after = factors_of[D - 1];
    for i in (0..D - 1).rev() {
        told[i] = both(&told[i], &after, mul);
        after = both(&after, &factors_of[i], mul);
    }
    told
}

#[inline]
fn by_sizes<const D: usize>(syndrome: &Row, a: &[Row; D]) -> [Row; D] {
    let (mut odd, mut size, mut rest) = (*syndrome, [[i16::MAX; 64]; D], [[i16::MAX; 64]; D]);
    let mut before = [i16::MAX; 64];
    for i in 0..D {
        odd = both(&odd, &a[i], |odd, a| odd ^ a);
        size[i] = a[i].map(size_of);
        rest[i] = before;
        before = if i == 0 { size[i] } else { both(&before, &size[i], box_plus) };
    }
    let mut after = size[D - 1];
    for i in (0..D - 1).rev() {
        rest[i] = if i == 0 { after } else { both(&rest[i], &after, box_plus) };
        after = both(&after, &size[i], box_plus);
    }
    for i in 0..D {
        let negative = both(&odd, &a[i], |odd, a| (odd ^ a) >> 15);
        rest[i] = both(&rest[i].map(limited), &negative, |size, negative| (size ^ negative) - negative);
    }
    rest
}

#[inline]
fn parity_check<const D: usize, const PRODUCT: bool>(
    edges: &[Edge; D],
    posteriors: &mut [Lanes],
    messages: &mut [Lanes; D],
    syndrome: u64,
) -> u32 {
    let bit: Row = std::array::from_fn(|lane| if syndrome >> lane & 1 == 1 { -1 } else { 0 });
    let mut odd = bit;
    for edge in edges {
        let value = rotated(&posteriors[edge.block as usize], edge.rotation);
        odd = both(&odd, &value, |odd, value| odd ^ value);
    }
    let a = without(edges, posteriors, messages);
    let told = if PRODUCT {
        let one = certain(D);
        by_product::<D>(&Factors::TANH, &bit.map(|bit| (one ^ bit) - bit), &a)
            .map(|row| row.map(artanh_twice))
    } else {
        by_sizes(&bit, &a)
    };
    tell((edges, posteriors), messages, &a, &told);
    odd.iter().map(|odd| u32::from(*odd < 0)).sum()
}
