//! Rows of 64 lanes: the reference's arithmetic, in loops that the compiler vectorises.

use super::scalar::{artanh_twice, box_plus, mul, size_of, tanh_half};
use super::{Edge, FINE, Lanes, LeafRule, PARITY_LIMIT};

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
fn leaf_checks<const D: usize, const CURVE: bool>(
    edges: &[Edge],
    (posteriors, messages): State<'_>,
    leaves: &[Lanes],
) {
    let (edges, _) = edges.as_chunks::<D>();
    let (messages, _) = messages.as_chunks_mut::<D>();
    for ((edges, messages), leaf) in edges.iter().zip(messages).zip(leaves) {
        let (mut a, mut tanh, mut told) = ([leaf.0; D], [leaf.0; D], [leaf.0; D]);
        let mut before = leaf.0;
        for i in 0..D {
            let value = rotated(&posteriors[edges[i].block as usize], edges[i].rotation);
            a[i] = both(&value, &messages[i].0, i16::saturating_sub);
            tanh[i] = a[i].map(tanh_half);
            told[i] = before;
            before = both(&before, &tanh[i], mul);
        }
        let mut after = tanh[D - 1];
        for i in (0..D - 1).rev() {
            told[i] = both(&told[i], &after, mul);
            after = both(&after, &tanh[i], mul);
        }
        for i in 0..D {
            let message = if CURVE { told[i].map(artanh_twice) } else { told[i] };
            messages[i].0 = message;
            posteriors[edges[i].block as usize].0 = both(&a[i], &message, i16::saturating_add);
        }
    }
}

#[inline]
fn parity_check<const D: usize>(
    edges: &[Edge; D],
    posteriors: &mut [Lanes],
    messages: &mut [Lanes; D],
    syndrome: u64,
) -> u32 {
    let bit: Row = std::array::from_fn(|lane| if syndrome >> lane & 1 == 1 { -1 } else { 0 });
    let (mut odd_now, mut odd) = (bit, bit);
    let (mut a, mut size) = ([bit; D], [[u16::MAX; 64]; D]);
    let mut rest = [[u16::MAX; 64]; D];
    let mut before = [u16::MAX; 64];
    for i in 0..D {
        let value = rotated(&posteriors[edges[i].block as usize], edges[i].rotation);
        odd_now = both(&odd_now, &value, |odd, value| odd ^ value);
        a[i] = both(&value, &messages[i].0, i16::saturating_sub);
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
        let limited = rest[i].map(|size| (size / FINE).cast_signed().min(PARITY_LIMIT));
        let message = both(&limited, &negative, |size, negative| (size ^ negative) - negative);
        messages[i].0 = message;
        posteriors[edges[i].block as usize].0 = both(&a[i], &message, i16::saturating_add);
    }
    odd_now.iter().map(|odd| u32::from(*odd < 0)).sum()
}
