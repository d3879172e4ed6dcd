//! What the correcting side knows of one pass: a partition of its places into nodes of known
//! error parity.
//!
//! Blocks are the first nodes; a search splits one into the halves it left aside and the place it
//! found. Only the leaves of these trees are kept, as bitmaps over the places of the pass: where a
//! node begins, and whether it is odd. So a known parity is never asked again, a search starts at
//! the smallest node known, and toggling the node of a corrected bit is a few bit operations.

use super::phase::Node;

/// The nodes of one pass. Every place given must be below the length.
#[derive(Debug)]
pub(super) struct Frontier {
    len: usize,
    cells: Vec<Cell>,
    /// Bit w: a node begins in word w.
    summary: Vec<u64>,
}

/// Sixty-four places.
#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    begins: u64,
    odd: u64,
}

/// Bits 2^l-aligned places with bit l set that are the middles of the nodes around a place within
/// its word: where a search that ended there has split.
const fn middles(place: usize) -> u64 {
    let (mut mask, mut level) = (0, 0);
    while level < 6 {
        mask |= 1 << ((place >> (level + 1) << (level + 1)) + (1 << level));
        level += 1;
    }
    mask
}

const MIDDLES: [u64; 64] = {
    let mut table = [0; 64];
    let mut place = 0;
    while place < 64 {
        table[place] = middles(place);
        place += 1;
    }
    table
};

impl Frontier {
    /// Even blocks of 2^`log2` places, the last one cut short by `len`.
    pub(super) fn new(len: usize, log2: u32) -> Self {
        let words = len.div_ceil(64);
        let mut frontier =
            Self { len, cells: vec![Cell::default(); words], summary: vec![0; words.div_ceil(64)] };
        let comb =
            if log2 < 6 { (0..64).step_by(1 << log2).fold(0, |all, place| all | 1 << place) } else { 1 };
        for word in (0..words).step_by(1 << log2.saturating_sub(6)) {
            frontier.cells[word].begins = comb;
            frontier.summary[word / 64] |= 1 << (word % 64);
        }
        frontier
    }

    #[inline]
    pub(super) fn is_odd(&self, start: u32) -> bool {
        self.cells[start as usize / 64].odd >> (start % 64) & 1 == 1
    }

    /// Makes the even node that begins at `start` odd.
    #[inline]
    pub(super) fn set_odd(&mut self, start: u32) {
        self.cells[start as usize / 64].odd |= 1 << (start % 64);
    }

    /// Splits a node around the error found in it, which is corrected: every part is even.
    #[inline]
    pub(super) fn settle(&mut self, node: Node, found: u32) {
        self.cells[node.start as usize / 64].odd &= !(1 << (node.start % 64));
        let word = found as usize / 64;
        let inside =
            if node.log2 < 6 { ((1 << (1 << node.log2)) - 1) << (node.start % 64) } else { u64::MAX };
        self.cells[word].begins |= MIDDLES[found as usize % 64] & inside;
        self.summary[word / 64] |= 1 << (word % 64);
        for level in 6..node.log2 {
            let middle = (found >> (level + 1) << (level + 1)) as usize + (1 << level);
            if middle < self.len {
                self.cells[middle / 64].begins |= 1;
                self.summary[middle / 4096] |= 1 << (middle / 64 % 64);
            }
        }
    }

    /// Toggles the parity of the node that contains `place`; the node, if that made it odd and it
    /// can be searched. (A node of one place is never odd again unless the peer lies.)
    #[inline]
    pub(super) fn toggle(&mut self, place: u32) -> Option<Node> {
        let start = self.start_of(place as usize);
        let (cell, bit) = (&mut self.cells[start / 64], 1 << (start % 64));
        cell.odd ^= bit;
        if cell.odd & bit == 0 {
            return None;
        }
        // Words are cut as if the places went on: beyond the end, nodes begin that hold nothing.
        let len = self.end_of(start).min(self.len) - start;
        if len == 1 {
            return None;
        }
        let start = u32::try_from(start).expect("frames are shorter than 2^32 bits");
        Some(Node { start, log2: len.next_power_of_two().ilog2() })
    }

    #[inline]
    fn start_of(&self, place: usize) -> usize {
        let word = place / 64;
        let below = self.cells[word].begins & (u64::MAX >> (63 - place % 64));
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
        word * 64 + highest(self.cells[word].begins)
    }

    #[inline]
    fn end_of(&self, place: usize) -> usize {
        let word = place / 64;
        let above = self.cells[word].begins & (u64::MAX << (place % 64) << 1);
        if above != 0 {
            return word * 64 + lowest(above);
        }
        let first = word / 64;
        let masked = self.summary[first] & (u64::MAX << (word % 64) << 1);
        let rest = self.summary[first + 1..].iter().copied();
        let found = std::iter::once(masked).chain(rest).zip(first..).find(|(full, _)| *full != 0);
        found.map_or(self.len, |(full, index)| {
            let word = index * 64 + lowest(full);
            word * 64 + lowest(self.cells[word].begins)
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
        /// Against the trees themselves: a list of ranges, split as the bisection does.
        #[test]
        fn nodes_are_those_of_the_bisection(
            len in 1u32..20_000, log2 in 1u32..13, events in proptest::collection::vec(any::<u32>(), 1..60),
        ) {
            let mut frontier = Frontier::new(len as usize, log2);
            let mut nodes: Vec<(Node, bool)> =
                (0..len).step_by(1 << log2).map(|start| (Node { start, log2 }, false)).collect();
            for event in events {
                let place = event % len;
                let at = nodes.iter().position(|(node, _)| place >> node.log2 == node.start >> node.log2);
                let at = at.expect("nodes cover every place");
                nodes[at].1 ^= true;
                let (node, odd) = nodes[at];
                let toggled = frontier.toggle(place);
                let alone = node.log2 == 0 || node.start + 1 == len;
                prop_assert_eq!(toggled.is_some(), odd && !alone, "place {} of {}", place, len);
                prop_assert_eq!(frontier.is_odd(node.start), odd);
                let Some(seen) = toggled else { continue };
                prop_assert_eq!(seen.start, node.start);
                prop_assert!(seen.log2 == node.log2 || node.start + (1 << node.log2) > len, "{:?} {:?}", seen, node);
                nodes.remove(at);
                let mut part = node;
                while part.log2 > 0 {
                    let right = Node { start: part.start + (1 << (part.log2 - 1)), log2: part.log2 - 1 };
                    let left = Node { log2: part.log2 - 1, ..part };
                    let (kept, aside) = if place >= right.start { (right, left) } else { (left, right) };
                    if aside.start < len {
                        nodes.push((aside, false));
                    }
                    part = kept;
                }
                nodes.push((part, false));
                frontier.settle(node, place);
                prop_assert!(!frontier.is_odd(node.start), "a settled node is even");
            }
        }
    }
}
