//! What the correcting side knows of one pass: a partition of its places into nodes of known
//! error parity.
//!
//! Blocks are the first nodes; a question splits a node in two, and the parity of the second half
//! follows from the first. Only the leaves of these trees are kept, as bitmaps over the places of
//! the pass: where a node begins, whether it is odd, whether a question about it is under way. A
//! known parity is never asked again, a search starts at the smallest node known, and toggling the
//! node of a corrected bit is three bit operations.

/// The nodes of one pass. Every place given must be below the length.
#[derive(Debug)]
pub(super) struct Frontier {
    len: usize,
    begins: Vec<u64>,
    /// Bit w: word w of `begins` is not zero.
    summary: Vec<u64>,
    odd: Vec<u64>,
    busy: Vec<u64>,
}

impl Frontier {
    /// No node yet, over `len` places.
    pub(super) fn new(len: usize) -> Self {
        let words = len.div_ceil(64);
        let zeros = || vec![0; words];
        Self { len, begins: zeros(), summary: vec![0; words.div_ceil(64)], odd: zeros(), busy: zeros() }
    }

    /// Begins a node at `start`, idle, of the parity given.
    #[inline]
    pub(super) fn begin(&mut self, start: usize, odd: bool) {
        let (word, bit) = (start / 64, 1u64 << (start % 64));
        self.begins[word] |= bit;
        self.summary[word / 64] |= 1 << (word % 64);
        self.odd[word] = if odd { self.odd[word] | bit } else { self.odd[word] & !bit };
        self.busy[word] &= !bit;
    }

    #[inline]
    pub(super) fn is_odd(&self, start: usize) -> bool {
        self.odd[start / 64] >> (start % 64) & 1 == 1
    }

    /// Whether the node of `len` places that once began at `start` is still whole, odd, and not
    /// asked about. Then it is asked about from now on.
    #[inline]
    pub(super) fn claim(&mut self, start: usize, len: usize) -> bool {
        let middle = start + len / 2;
        let split = self.begins[middle / 64] >> (middle % 64) & 1 == 1;
        let (word, bit) = (start / 64, 1u64 << (start % 64));
        let free = self.odd[word] & !self.busy[word] & bit != 0 && !split;
        if free {
            self.busy[word] |= bit;
        }
        free
    }

    /// Toggles the parity of the node that contains `place`; its start, length and new parity.
    #[inline]
    pub(super) fn toggle(&mut self, place: usize) -> (usize, usize, bool) {
        let start = self.start_of(place);
        self.odd[start / 64] ^= 1 << (start % 64);
        (start, self.end_of(place) - start, self.is_odd(start))
    }

    fn start_of(&self, place: usize) -> usize {
        let word = place / 64;
        let below = self.begins[word] & (u64::MAX >> (63 - place % 64));
        if below != 0 {
            return word * 64 + highest(below);
        }
        let mut index = word / 64;
        let mut full = self.summary[index] & !(u64::MAX << (word % 64));
        while full == 0 {
            index -= 1;
            full = self.summary[index];
        }
        let word = index * 64 + highest(full);
        word * 64 + highest(self.begins[word])
    }

    fn end_of(&self, place: usize) -> usize {
        let word = place / 64;
        let above = self.begins[word] & (u64::MAX << (place % 64) << 1);
        if above != 0 {
            return word * 64 + lowest(above);
        }
        let first = word / 64;
        let masked = self.summary[first] & (u64::MAX << (word % 64) << 1);
        let rest = self.summary[first + 1..].iter().copied();
        let found = std::iter::once(masked).chain(rest).zip(first..).find(|(full, _)| *full != 0);
        found.map_or(self.len, |(full, index)| {
            let word = index * 64 + lowest(full);
            word * 64 + lowest(self.begins[word])
        })
    }
}

#[inline]
fn highest(word: u64) -> usize {
    63 - word.leading_zeros() as usize
}

#[inline]
fn lowest(word: u64) -> usize {
    word.trailing_zeros() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_place_is_in_the_node_that_begins_last_before_it(
            len in 1usize..20_000, cuts in proptest::collection::btree_set(0usize..20_000, 0..12), at in 0usize..20_000,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < len).collect();
            cuts.push(0);
            cuts.sort_unstable();
            let mut frontier = Frontier::new(len);
            for cut in &cuts {
                frontier.begin(*cut, false);
            }
            let place = at % len;
            let start = *cuts.iter().rev().find(|cut| **cut <= place).expect("0 begins a node");
            let end = cuts.iter().find(|cut| **cut > place).copied().unwrap_or(len);
            prop_assert_eq!(frontier.toggle(place), (start, end - start, true));
            prop_assert!(frontier.is_odd(start));
        }
    }

    #[test]
    fn a_node_is_claimed_once_and_only_while_odd_and_whole() {
        let mut frontier = Frontier::new(100);
        frontier.begin(0, true);
        frontier.begin(40, false);
        assert!(!frontier.claim(40, 60), "even");
        assert!(frontier.claim(0, 40), "odd, whole, idle");
        assert!(!frontier.claim(0, 40), "under way");
        frontier.begin(0, true);
        frontier.begin(20, false);
        assert!(!frontier.claim(0, 40), "split");
        assert!(frontier.claim(0, 20), "its odd half");
    }
}
