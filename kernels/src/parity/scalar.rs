//! The reference.

use super::{Weave, subset_mask};

#[inline]
pub(super) fn weave(dst: &mut [u64], src: &[u64], weave: &Weave) {
    assert_eq!(dst.len(), weave.words(), "the woven string has another length");
    assert_eq!(src.len(), weave.words(), "the string to weave has another length");
    let mut word = weave.offset;
    for group in dst.as_chunks_mut::<64>().0 {
        for thread in group.iter_mut() {
            let at = usize::try_from(word).unwrap_or_default();
            *thread = src[at].rotate_left(u32::try_from(weave.turn(word)).unwrap_or_default());
            word += weave.stride;
            word -= if word >= weave.words { weave.words } else { 0 };
        }
        transpose(group);
    }
}

/// Transposes a 64 × 64 bit matrix: bit j of word i and bit i of word j change places.
///
/// Warren, "Hacker's Delight" (2nd ed.), §7-3.
#[inline]
fn transpose(rows: &mut [u64; 64]) {
    swap::<32>(rows, 0x0000_0000_ffff_ffff);
    swap::<16>(rows, 0x0000_ffff_0000_ffff);
    swap::<8>(rows, 0x00ff_00ff_00ff_00ff);
    swap::<4>(rows, 0x0f0f_0f0f_0f0f_0f0f);
    swap::<2>(rows, 0x3333_3333_3333_3333);
    swap::<1>(rows, 0x5555_5555_5555_5555);
}

#[inline]
fn swap<const DISTANCE: usize>(rows: &mut [u64; 64], mask: u64) {
    for pair in rows.chunks_exact_mut(2 * DISTANCE) {
        let (upper, lower) = pair.split_at_mut(DISTANCE);
        for (a, b) in upper.iter_mut().zip(lower) {
            let moved = ((*a >> DISTANCE) ^ *b) & mask;
            *b ^= moved;
            *a ^= moved << DISTANCE;
        }
    }
}

#[inline]
pub(super) fn subset_parity(words: &[u64], start: usize, end: usize, subset: u32, outside: u64) -> bool {
    if start >= end {
        return false;
    }
    let (first, last) = (start / 64, (end - 1) / 64);
    let low = u64::MAX << (start % 64);
    let high = u64::MAX >> (63 - (end - 1) % 64);
    let inside = |word: usize| words[word] & (subset_mask(word, subset) ^ outside);
    if first == last {
        return (inside(first) & low & high).count_ones() & 1 == 1;
    }
    let inner = words[first + 1..last]
        .iter()
        .zip(first + 1..)
        .fold(0, |sum, (bits, word)| sum ^ (bits & (subset_mask(word, subset) ^ outside)));
    ((inside(first) & low) ^ (inside(last) & high) ^ inner).count_ones() & 1 == 1
}
