//! The reference.

use super::{SUBSETS, Weave, subset_mask};

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

#[inline]
pub(super) fn unweave(dst: &mut [u64], src: &[u64], weave: &Weave) {
    assert_eq!(dst.len(), weave.words(), "the string has another length");
    assert_eq!(src.len(), weave.words(), "the woven string has another length");
    let mut word = weave.offset;
    for group in src.as_chunks::<64>().0 {
        let mut group = *group;
        transpose(&mut group);
        for thread in group {
            let at = usize::try_from(word).unwrap_or_default();
            dst[at] = thread.rotate_right(u32::try_from(weave.turn(word)).unwrap_or_default());
            word += weave.stride;
            word -= if word >= weave.words { weave.words } else { 0 };
        }
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
pub(super) fn subset_parities(words: &[u64], draw: u32) -> u16 {
    let mut sums = [0u64; SUBSETS as usize];
    for (word, bits) in words.iter().enumerate() {
        let mask = subset_mask(word, SUBSETS * draw);
        for (subset, sum) in (0..).zip(&mut sums) {
            *sum ^= bits & mask.rotate_left(4 * subset);
        }
    }
    (0..).zip(sums).fold(0, |all, (subset, sum)| all | u16::from(sum.count_ones() & 1 == 1) << subset)
}

#[inline]
pub(super) fn block_parities(words: &[u64], log2: u32, out: &mut [u64]) {
    assert!(log2 > 0, "blocks of one bit need no parity");
    let blocks = (words.len() * 64).div_ceil(1 << log2);
    assert_eq!(out.len(), blocks.div_ceil(64), "one bit a block");
    out.fill(0);
    if log2 >= 6 {
        for (i, block) in words.chunks(1 << (log2 - 6)).enumerate() {
            let sum = block.iter().fold(0, |sum, word| sum ^ word);
            out[i / 64] |= u64::from(sum.count_ones() & 1) << (i % 64);
        }
        return;
    }
    let per_word = 64 >> log2;
    for (i, word) in words.iter().enumerate() {
        let at = i * per_word;
        out[at / 64] |= squeeze(fold(*word, log2), log2) << (at % 64);
    }
}

/// Bit i·2^`log2` is the parity of the 2^`log2` bits from there on.
#[inline]
pub(super) fn fold(word: u64, log2: u32) -> u64 {
    (0..log2).fold(word, |sum, step| sum ^ sum >> (1 << step))
}

/// Brings every 2^`log2`-th bit together.
#[inline]
fn squeeze(word: u64, log2: u32) -> u64 {
    (0..64u32 >> log2).fold(0, |all, i| all | (word >> (i << log2) & 1) << i)
}

#[inline]
pub(super) fn node_parities(words: &[u64], starts: &[u32], half: u32, out: &mut [u64]) {
    assert_eq!(out.len(), starts.len().div_ceil(64), "one bit a node");
    for (bits, starts) in out.iter_mut().zip(starts.chunks(64)) {
        *bits = (0..).zip(starts).fold(0, |all, (i, start)| all | node_parity(words, *start, half) << i);
    }
}

#[inline]
fn node_parity(words: &[u64], start: u32, half: u32) -> u64 {
    let first = (start / 64) as usize;
    if half < 6 {
        let mask = (1 << (1 << half)) - 1;
        return u64::from((words[first] >> (start % 64) & mask).count_ones() & 1);
    }
    let end = (first + (1 << (half - 6))).min(words.len());
    let sum = words[first..end].iter().fold(0, |sum, word| sum ^ word);
    u64::from(sum.count_ones() & 1)
}
