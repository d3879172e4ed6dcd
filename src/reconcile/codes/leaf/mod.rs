//! The codes of CV reconciliation: a core, its parity checks, and as many leaves as the rate asks.
//!
//! The graph is made of blocks of 64 bits joined by rotations. With k = 64·K information bits:
//!
//! * the **core** has K *dense* blocks that many checks read, a quarter of them, the *heavy* ones,
//!   more often than the others, the *light* ones, and C = K/2 *chain* blocks;
//! * C **parity checks**, each of six dense blocks and of two neighbours of the chain, which
//!   closes after all 64·C of its bits: one long cycle, no short one (two bits of degree two in
//!   two checks would be a word of weight two, and a floor in the failure rate); a dense bit stands
//!   in three of them;
//! * **leaf checks**, each of a few core blocks and one leaf of its own. A code of rate R has
//!   L = K/R − K − C of them, and a code of lower rate begins with the same checks: the rate
//!   follows the channel by the number of leaves alone.
//!
//! Which blocks a leaf check reads is dealt from shuffled decks, so that all blocks of a kind have
//! nearly the same degree at any length; how many of which kind comes from [`Stage`]s along the
//! list, because the best pattern depends on the rate. Above rate 0.27 the list is another one. Everything follows from a seed. With one kind
//! of dense block the thresholds lie 0.02 to 0.08 dB higher and decoding takes twice the iterations.

pub mod design;
mod family;
mod walks;
mod wiring;

use keystill_kernels::ldpc::leaf::{Edge, Run};

pub use family::{FAMILY, Family, HIGH_FAMILY, HIGH_RATE, Pattern, Stage};
use walks::sweeps;
pub use walks::{Check, Visit, Walk};
use wiring::{Sequence, Wiring};

/// Bits in a block.
pub const BLOCK_BITS: usize = 64;
/// Blocks of the core a check may have, and more than any pattern has.
const MOST_IN_CHECK: usize = 8;
/// Dense blocks in a parity check.
const DENSE_IN_PARITY_CHECK: usize = 6;
/// Parity checks of a dense block.
const PARITY_CHECKS_OF_DENSE: usize = 3;
/// Heavy blocks are one in so many dense ones.
const DENSE_TO_HEAVY: usize = 4;
/// Chain blocks in a parity check.
const CHAIN_IN_PARITY_CHECK: usize = 2;

/// Blocks of the chain in a core of `information_blocks`, a multiple of 8: as many as parity checks.
#[must_use]
pub const fn chain_blocks(information_blocks: usize) -> usize {
    information_blocks * PARITY_CHECKS_OF_DENSE / DENSE_IN_PARITY_CHECK
}

/// A code of the family: its graph.
#[derive(Debug)]
pub struct Code {
    information_blocks: usize,
    leaf_runs: Vec<Run>,
    parity_runs: [Run; 1],
    edges: Vec<Edge>,
    walks: Vec<Walk>,
}

impl Code {
    /// Builds the code with `information_blocks` K (a multiple of 8 from 16, below 2¹⁵) and `leaf_blocks` L.
    ///
    /// O(edges · degree).
    ///
    /// # Panics
    /// Outside of this range: a plan checks it first.
    #[must_use]
    pub fn build(family: &Family<'_>, information_blocks: usize, leaf_blocks: usize) -> Self {
        let supported = (16..1 << 15).contains(&information_blocks) && information_blocks.is_multiple_of(8);
        assert!(supported, "{information_blocks} information blocks");
        let mut wiring = Wiring::new(family.seed, information_blocks);
        for check in 0..chain_blocks(information_blocks) {
            wiring.parity_check(check);
        }
        for pattern in Sequence::new(family, information_blocks).take(leaf_blocks) {
            wiring.leaf_check(pattern);
        }
        wiring.finish()
    }

    /// Blocks of the core: the first of a frame.
    #[must_use]
    pub fn core_blocks(&self) -> usize {
        self.information_blocks + chain_blocks(self.information_blocks)
    }

    /// Leaves: the blocks after the core.
    #[must_use]
    pub fn leaf_blocks(&self) -> usize {
        self.leaf_runs.iter().map(|run| run.checks).sum()
    }

    /// Blocks of a frame.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.core_blocks() + self.leaf_blocks()
    }

    /// Information bits a bit of a frame.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.information_blocks as f64 / self.blocks() as f64
    }

    /// Leaf checks by degree.
    #[must_use]
    pub fn leaf_runs(&self) -> &[Run] {
        &self.leaf_runs
    }

    /// Parity checks by degree.
    #[must_use]
    pub fn parity_runs(&self) -> &[Run] {
        &self.parity_runs
    }

    /// The decoder's ways, one after the other and again from the first: the parity checks along the chain and back
    /// by turns. A frame begins as the last one leaves it.
    #[must_use]
    pub fn walks(&self) -> &[Walk] {
        &self.walks
    }

    /// How many walks visit every leaf check once: an iteration.
    #[must_use]
    pub fn walks_an_iteration(&self) -> usize {
        sweeps(self.rate())
    }

    /// Edges between checks and core blocks.
    #[must_use]
    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// Computes the syndrome of a frame: one word a leaf check, then one a parity check.
    ///
    /// Time independent of the bits.
    ///
    /// # Panics
    /// If `frame` has not [`blocks`](Self::blocks) words.
    #[must_use]
    pub fn syndrome(&self, frame: &[u64]) -> Vec<u64> {
        assert_eq!(frame.len(), self.blocks(), "the words of a frame");
        let (core, leaves) = frame.split_at(self.core_blocks());
        let leaf_words = self.leaves(core).zip(leaves).map(|(word, leaf)| word ^ leaf);
        leaf_words.chain(self.parity(core)).collect()
    }

    /// The core's part of each leaf check: the leaves of a frame whose leaf syndrome is zero.
    pub fn leaves(&self, core: &[u64]) -> impl Iterator<Item = u64> {
        check_words(&self.leaf_runs, &self.edges, core)
    }

    /// The parity checks of a core.
    pub fn parity(&self, core: &[u64]) -> impl Iterator<Item = u64> {
        let leaf_edges: usize = self.leaf_runs.iter().map(|run| run.degree * run.checks).sum();
        check_words(&self.parity_runs, &self.edges[leaf_edges..], core)
    }
}

/// The sums of the core bits of each check of the runs, whose edges come in order.
fn check_words(runs: &[Run], mut edges: &[Edge], core: &[u64]) -> impl Iterator<Item = u64> {
    runs.iter().flat_map(move |run| {
        let (mine, rest) = edges.split_at(run.degree * run.checks);
        edges = rest;
        mine.chunks_exact(run.degree).map(move |check| check_word(check, core))
    })
}

fn check_word(edges: &[Edge], core: &[u64]) -> u64 {
    let word = |edge: &Edge| core[usize::from(edge.block)].rotate_right(u32::from(edge.rotation));
    edges.iter().map(word).fold(0, |sum, word| sum ^ word)
}

#[cfg(test)]
mod tests {
    use super::wiring::Random;
    use super::*;

    #[test]
    fn a_code_has_the_size_asked_for_and_even_degrees() {
        let code = Code::build(&FAMILY, 64, 300);
        assert_eq!((code.core_blocks(), code.leaf_blocks()), (96, 300), "blocks");
        let mut degrees = vec![0; 96];
        for edge in &code.edges {
            degrees[usize::from(edge.block)] += 1;
        }
        for kind in [&degrees[..16], &degrees[16..64], &degrees[64..]] {
            let (least, most) = (kind.iter().min(), kind.iter().max());
            let spread = most.zip(least).map_or(0, |(most, least)| most - least);
            assert!(spread <= 3, "degrees of one kind of block differ by {spread}");
        }
    }

    #[test]
    fn no_check_reads_a_block_twice() {
        let code = Code::build(&FAMILY, 16, 200);
        let mut edges = code.edges.as_slice();
        for run in code.leaf_runs().iter().chain(code.parity_runs()) {
            for _ in 0..run.checks {
                let (check, rest) = edges.split_at(run.degree);
                let mut blocks: Vec<u16> = check.iter().map(|edge| edge.block).collect();
                blocks.sort_unstable();
                blocks.dedup();
                assert_eq!(blocks.len(), run.degree, "distinct blocks");
                edges = rest;
            }
        }
    }

    #[test]
    fn the_syndrome_is_linear_and_a_leaf_stands_in_one_check() {
        let code = Code::build(&FAMILY, 16, 50);
        let mut random = Random(1);
        let a: Vec<u64> = (0..code.blocks()).map(|_| random.next()).collect();
        let b: Vec<u64> = (0..code.blocks()).map(|_| random.next()).collect();
        let sum: Vec<u64> = a.iter().zip(&b).map(|(a, b)| a ^ b).collect();
        let both = code.syndrome(&a).into_iter().zip(code.syndrome(&b)).map(|(a, b)| a ^ b);
        assert_eq!(code.syndrome(&sum), both.collect::<Vec<u64>>(), "linear");
        let mut leaf = vec![0; code.blocks()];
        leaf[code.core_blocks() + 7] = 0b100;
        let syndrome = code.syndrome(&leaf);
        let ones: Vec<usize> = (0..syndrome.len()).filter(|i| syndrome[*i] != 0).collect();
        assert_eq!((ones, syndrome[7]), (vec![7], 0b100), "one leaf, one check");
    }
}
