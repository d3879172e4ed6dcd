//! What both sides compute alike: a frame's bits in the order of each pass, and parities of nodes.

use std::sync::Arc;

use keystill_kernels::Isa;
use keystill_kernels::parity;
use zeroize::Zeroizing;

use super::permutation::Permutation;
use super::phase::{FIRST_SUBSET, Phase};
use super::plan::Plan;
use crate::bits::BitBlock;

/// A frame in its own order and in that of each pass opened. Wiped on drop.
#[derive(Debug)]
pub(super) struct Strings {
    frame: BitBlock,
    permutations: Arc<[Permutation]>,
    /// The bits in the order of each pass opened.
    passes: Vec<Zeroizing<Vec<u64>>>,
    /// Memory of [`Strings::flip`].
    places: Vec<u32>,
}

impl Strings {
    pub(super) fn new(plan: &Plan, frame: BitBlock) -> Self {
        Self { frame, permutations: Arc::clone(plan.permutations()), passes: Vec::new(), places: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.frame.len()
    }

    /// How many passes are opened.
    pub(super) fn opened(&self) -> usize {
        self.passes.len()
    }

    pub(super) fn into_frame(self) -> BitBlock {
        self.frame
    }

    /// The places of a layer: those of the frame, or twice the next power of two, for a subset and
    /// its complement.
    pub(super) fn space(&self, layer: u8) -> usize {
        if layer < FIRST_SUBSET { self.len() } else { 2 * self.len().next_power_of_two() }
    }

    /// Opens the next pass; the parities of its blocks of 2^`log2` bits.
    pub(super) fn open(&mut self, isa: Isa, log2: u32) -> BitBlock {
        let permutation = &self.permutations[self.passes.len()];
        let bits = Zeroizing::new(permutation.apply(isa, self.frame.words()));
        let mut parities = vec![0; (bits.len() * 64).div_ceil(1 << log2).div_ceil(64)];
        parity::block_parities(isa, &bits, log2, &mut parities);
        self.passes.push(bits);
        BitBlock::from_words(parities, self.len().div_ceil(1 << log2))
    }

    /// The parities of the subsets of a draw.
    pub(super) fn subsets(&self, isa: Isa, draw: u32) -> u64 {
        u64::from(parity::subset_parities(isa, self.frame.words(), draw))
    }

    /// The parities of the left halves of the nodes that a phase asks about, in memory that was used before.
    pub(super) fn parities(&self, isa: Isa, phase: &Phase, memory: BitBlock) -> BitBlock {
        let (starts, half) = (phase.starts(), phase.level() - 1);
        let mut parities = memory.cleared(starts.len());
        if let Some(bits) = self.passes.get(usize::from(phase.layer)) {
            parities.edit(|parities| parity::node_parities(isa, bits, starts, half, parities));
            return parities;
        }
        for (i, start) in starts.iter().enumerate() {
            parities.set(i, self.subset_parity(phase.layer, *start as usize, half));
        }
        parities
    }

    fn subset_parity(&self, layer: u8, start: usize, half: u32) -> bool {
        let fold = self.len().next_power_of_two();
        let outside = if start >= fold { u64::MAX } else { 0 };
        let from = (start % fold).min(self.len());
        let to = (from + (1 << half)).min(self.len());
        parity::subset_parity(self.frame.words(), from, to, u32::from(layer - FIRST_SUBSET), outside)
    }

    /// Appends the bits of the frame that stand at `places` of `layer` to `bits`; whether all are places of the frame.
    pub(super) fn origins(&self, layer: u8, places: &[u32], bits: &mut Vec<u32>) -> bool {
        let is_inside = |place: &u32| (*place as usize) < self.len();
        let Some(permutation) = self.permutations.get(usize::from(layer)) else {
            let Ok(fold) = u32::try_from(self.len().next_power_of_two()) else { return false };
            bits.extend(places.iter().map(|place| place % fold));
            return bits.iter().all(is_inside);
        };
        let are_inside = places.iter().all(is_inside);
        if are_inside {
            bits.extend(places.iter().map(|place| permutation.backward(*place)));
        }
        are_inside
    }

    /// Flips bits of the frame; calls back with each pass and the places that they have there.
    ///
    /// One pass after the other, and places before bits: each loop is short, and the cache misses of
    /// its rounds overlap.
    pub(super) fn flip(&mut self, bits: &[u32], mut at: impl FnMut(usize, &[u32])) {
        self.frame.edit(|words| toggle(words, bits));
        let places = &mut self.places;
        for (index, (words, permutation)) in self.passes.iter_mut().zip(&*self.permutations).enumerate() {
            places.clear();
            places.extend(bits.iter().map(|bit| permutation.forward(*bit)));
            toggle(words, places);
            at(index, places);
        }
    }
}

fn toggle(words: &mut [u64], places: &[u32]) {
    for place in places {
        words[*place as usize / 64] ^= 1 << (place % 64);
    }
}
