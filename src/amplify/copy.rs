//! Bits from any place to whole words.

use std::ops::Range;

use keystill_kernels::{Isa, bits};

use crate::bits::BitBlock;

/// Adds the bits of a range of `words`, from bit `start` on (which may lie before or after the range), to
/// `out`; beyond the range they are zeros.
pub(super) fn read_bits(isa: Isa, words: &[u64], range: Range<usize>, start: i64, out: &mut [u64]) {
    let (begin, end) = (range.start as i64, range.end as i64);
    let place = |bit: i64| usize::try_from((bit - start).max(0)).unwrap_or(0);
    // The words of `out` whose 64 bits, and the word after, all lie within the range.
    let first = place(begin).div_ceil(64).min(out.len());
    let inner = usize::try_from((end - start).max(0)).unwrap_or(0) / 64;
    let last = inner.min(out.len()).max(first);
    let touched = usize::try_from((end - start).max(0)).unwrap_or(0).div_ceil(64).min(out.len());
    let edge = |out: &mut [u64], index: usize| {
        let at = start + 64 * index as i64;
        out[index] ^= bits_at(words, at, begin, end);
    };
    (place(begin) / 64..first).for_each(|index| edge(out, index));
    if first < last {
        let from = usize::try_from(start + 64 * first as i64).unwrap_or(0);
        bits::add_shifted(isa, &mut out[first..last], &words[from / 64..], from % 64);
    }
    (last..touched).for_each(|index| edge(out, index));
}

/// t: the seed rotated left by m, diagonal by diagonal from the upper right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotated<'a> {
    pub(super) seed: &'a BitBlock,
    pub(super) m: usize,
    /// Bits of t to leave out at its beginning: rows of the matrix.
    pub(super) skipped: usize,
}

impl Rotated<'_> {
    /// Bits of t from `start` on, zeros where there are none.
    pub(super) fn read(&self, isa: Isa, start: i64, out: &mut [u64]) {
        let (bits, m) = (self.seed.len(), self.m.min(self.seed.len()));
        let start = start + self.skipped as i64;
        read_bits(isa, self.seed.words(), m..bits, start + m as i64, out);
        let turn = (bits - m) as i64;
        if start + 64 * out.len() as i64 > turn {
            read_bits(isa, self.seed.words(), 0..m, start - turn, out);
        }
    }
}

/// The 64 bits from `at` on, of which those outside `begin … end` are zeros.
fn bits_at(words: &[u64], at: i64, begin: i64, end: i64) -> u64 {
    let skipped = (begin - at).clamp(0, 64);
    let kept = (end - at).clamp(0, 64);
    if skipped >= kept {
        return 0;
    }
    let from = usize::try_from(at + skipped).unwrap_or(0);
    let (word, shift) = (from / 64, from % 64);
    let low = words.get(word).map_or(0, |word| word >> shift);
    let high = words.get(word + 1).filter(|_| shift > 0).map_or(0, |word| word << (64 - shift));
    let count = kept - skipped;
    ((low | high) & (u64::MAX >> (64 - count))) << skipped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_bit_lands_in_its_place(
            words in proptest::collection::vec(any::<u64>(), 1..9),
            from in 0usize..300,
            to in 0usize..600,
            start in -400i64..800,
            count in 0usize..12,
        ) {
            let len = 64 * words.len();
            let range = from.min(len)..to.min(len).max(from.min(len));
            let mut out = vec![0; count];
            read_bits(Isa::best(), &words, range.clone(), start, &mut out);
            for bit in 0..64 * count {
                let place = start + bit as i64;
                let within = usize::try_from(place).ok().filter(|place| range.contains(place));
                let want = within.is_some_and(|place| words[place / 64] >> (place % 64) & 1 == 1);
                prop_assert_eq!(out[bit / 64] >> (bit % 64) & 1 == 1, want, "bit {}", bit);
            }
        }
    }
}
